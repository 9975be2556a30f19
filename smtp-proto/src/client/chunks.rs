//! BDAT (RFC 3030): a message in chunks, each with its reply.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use pillarbox_core::Reply;
use pillarbox_core::dot::{BareNewlines, DotDecoder, Piece};

use super::state::{FLIGHT_MAX, State};
use super::transaction::Transaction;
use super::{BodyKind, ClientSession, Event, FailureCause, Phase};
use crate::server::Protocol;

/// The longest `BDAT size LAST` with its CRLF.
const COMMAND_MAX: usize = 32;
/// What the end of a text may add: an octet that was held back, and a CRLF.
const FINISH_MAX: usize = 3;

/// A message that goes by BDAT. With PIPELINING its chunks leave before the replies to MAIL and RCPT are there, so all of
/// them are counted here; they come in this order.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) transaction: Transaction,
    /// The reply to MAIL is not there.
    pub(super) mail_due: bool,
    /// Chunks without a reply, but for the last one.
    chunks_due: usize,
    /// Replies to the last chunk that are not there.
    finals_due: usize,
    /// Repairs bare newlines of a text; binary octets go as they are.
    text: Option<DotDecoder>,
    /// The octets so far do not end a line.
    is_inside_line: bool,
    /// What is not in a chunk yet.
    octets: Vec<u8>,
    /// The most octets of a chunk.
    size_max: usize,
    /// The embedder was asked for the message.
    pub(super) asked: bool,
    flow: Flow,
}

/// How far the message is, seen from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// More of it may come.
    Open,
    /// It is complete, and the last chunk has not been written.
    Complete,
    /// The last chunk is written.
    Ended,
    /// The rest is not sent: there is nobody to have it, the server refused it, or our side cannot go on. What was sent
    /// before is still replied to.
    Stopped { refused: bool },
}

impl Chunks {
    pub(super) fn new(transaction: Transaction, mail_due: bool, size_max: usize) -> Self {
        let is_binary = transaction.body() == BodyKind::BinaryMime;
        Chunks {
            transaction,
            mail_due,
            chunks_due: 0,
            finals_due: 0,
            text: (!is_binary).then(|| DotDecoder::for_chunks(BareNewlines::Repair)),
            is_inside_line: false,
            octets: Vec::new(),
            size_max,
            asked: false,
            flow: Flow::Open,
        }
    }

    /// Whether the embedder is to be asked for the message, or was and has not said that it is complete.
    pub(super) fn is_open(&self) -> bool {
        self.flow == Flow::Open
    }

    /// Whether the end of the message is with the server, or on its way.
    pub(super) fn is_ended(&self) -> bool {
        self.flow == Flow::Ended
    }

    pub(super) const fn awaits_reply(&self) -> bool {
        self.mail_due || self.transaction.awaits_rcpt() || self.chunks_due > 0 || self.finals_due > 0
    }

    pub(super) fn phase(&self) -> Phase {
        match self.flow {
            _ if self.mail_due => Phase::Mail,
            _ if self.transaction.awaits_rcpt() => Phase::Rcpt,
            Flow::Open | Flow::Stopped { .. } => Phase::Body,
            Flow::Complete | Flow::Ended => Phase::EndOfData,
        }
    }

    /// How many octets may be added.
    pub(super) fn room(&self) -> usize {
        let room = self.size_max.saturating_sub(self.octets.len());
        match (self.flow, &self.text) {
            (Flow::Open, None) => room,
            // A bare LF becomes two octets.
            (Flow::Open, Some(_)) => room.saturating_sub(FINISH_MAX) / 2,
            _ => 0,
        }
    }

    pub(super) fn add(&mut self, mut piece: &[u8]) {
        let Some(decoder) = &mut self.text else { return self.octets.extend_from_slice(piece) };
        while let Piece::Body(octets) = decoder.decode(&mut piece) {
            self.octets.extend_from_slice(octets);
            self.is_inside_line = octets.last() != Some(&b'\n');
        }
    }

    /// The message is complete. A text ends with a line, as it would behind DATA.
    pub(super) fn complete(&mut self) {
        if let Some(decoder) = &mut self.text {
            if let Piece::Body(octets) = decoder.finish() {
                self.octets.extend_from_slice(octets);
                self.is_inside_line = true;
            }
            if self.is_inside_line {
                self.octets.extend_from_slice(b"\r\n");
            }
        }
        self.flow = Flow::Complete;
    }

    /// No more of the message is sent.
    fn stop(&mut self, refused: bool) {
        self.flow = Flow::Stopped { refused };
        self.octets = Vec::new();
    }

    fn is_stopped(&self) -> bool {
        matches!(self.flow, Flow::Stopped { .. })
    }
}

impl ClientSession {
    /// Goes on with the message: by chunks from here. `mail_due`: what was said before is not replied to.
    pub(super) fn begin_chunks(&mut self, transaction: Transaction, mail_due: bool) -> State {
        let limits = &self.config.limits;
        let size_max = limits.chunk_max.max(512).min(limits.output_max.max(1024) - COMMAND_MAX);
        self.timer = None;
        State::Chunks(Chunks::new(transaction, mail_due, size_max))
    }

    /// Writes what can be written of the message, and sets the clock. `progress`: the server did something.
    pub(super) fn pump(&mut self, progress: bool) {
        let room = self.config.limits.output_max.max(1024).saturating_sub(self.output.len());
        let is_pipelined = self.is_pipelined();
        let State::Chunks(chunks) = &mut self.state else { return };
        let has_chunk = match chunks.flow {
            // A message that is smaller than a chunk is one chunk.
            Flow::Open => chunks.octets.len() >= chunks.size_max / 2,
            Flow::Complete => true,
            Flow::Ended | Flow::Stopped { .. } => false,
        };
        let is_last = chunks.flow == Flow::Complete;
        let may_go = if chunks.mail_due || chunks.transaction.awaits_rcpt() {
            // Nobody may want it, so one chunk goes ahead and no more. RFC 2033 §4.3: how many replies the last one gets,
            // and be it none, hangs on those to RCPT.
            is_pipelined && chunks.chunks_due == 0 && !(is_last && self.config.protocol == Protocol::Lmtp)
        } else {
            !chunks.awaits_reply() || (is_pipelined && self.due.len() < FLIGHT_MAX)
        };
        if has_chunk && may_go && chunks.octets.len() + COMMAND_MAX <= room {
            if is_last {
                chunks.flow = Flow::Ended;
                chunks.finals_due = match self.config.protocol {
                    Protocol::Smtp => 1,
                    Protocol::Lmtp => chunks.transaction.accepted(),
                };
            } else {
                chunks.chunks_due += 1;
            }
            let last = if is_last { " LAST" } else { "" };
            let command = format!("BDAT {}{last}\r\n", chunks.octets.len());
            self.output.extend_from_slice(command.as_bytes());
            self.output.append(&mut chunks.octets);
            self.written();
        }
        self.time_chunks(progress);
    }

    /// RFC 5321 §4.5.3.2: no time runs while the embedder can go on, unless octets wait for the server to take them.
    fn time_chunks(&mut self, progress: bool) {
        let State::Chunks(chunks) = &self.state else { return };
        let timeouts = &self.config.timeouts;
        let patience: Option<Duration> = if !self.output().is_empty() {
            Some(timeouts.data_block)
        } else if chunks.is_open() && (chunks.room() > 0 || !chunks.awaits_reply()) {
            None
        } else if chunks.mail_due {
            Some(timeouts.mail)
        } else if chunks.transaction.awaits_rcpt() {
            Some(timeouts.rcpt)
        } else if chunks.chunks_due > 0 {
            Some(timeouts.data_block)
        } else {
            Some(timeouts.data_end)
        };
        match patience {
            None => self.timer = None,
            Some(patience) if progress || self.timer.is_none() => self.timer = Some(self.now + patience),
            Some(_) => {}
        }
    }

    /// Takes a reply that has its turn.
    pub(super) fn on_chunk_reply(&mut self, mut chunks: Chunks, reply: Reply) -> State {
        let class = reply.code() / 100;
        if !matches!(class, 2 | 4 | 5) {
            return self.fail(State::Chunks(chunks), FailureCause::UnexpectedReply, Some(reply));
        }
        let is_yes = class == 2;
        if chunks.mail_due {
            chunks.mail_due = false;
            if !is_yes {
                self.stop_chunks(&mut chunks, &reply, true);
                chunks.transaction.mail_refused(reply);
            }
        } else if chunks.transaction.awaits_rcpt() {
            // Somebody was accepted though nobody sends: whatever goes on there, it is not our message.
            if is_yes && chunks.transaction.mail_refused.is_some() {
                return self.fail(State::Chunks(chunks), FailureCause::UnexpectedReply, Some(reply));
            }
            let index = chunks.transaction.rcpt_replied(reply.clone());
            if chunks.transaction.mail_refused.is_none() {
                self.events.push_back(Event::RcptReply { index, reply: reply.clone() });
            }
            if !chunks.transaction.awaits_rcpt() && !chunks.transaction.has_accepted() && !chunks.is_stopped() {
                self.stop_chunks(&mut chunks, &reply, false);
            }
        } else if chunks.chunks_due > 0 {
            chunks.chunks_due -= 1;
            if !is_yes && !chunks.is_stopped() {
                self.stop_chunks(&mut chunks, &reply, true);
                chunks.transaction.refused(&reply);
            }
        } else {
            chunks.finals_due -= 1;
            if !chunks.is_stopped() {
                match self.config.protocol {
                    Protocol::Smtp => chunks.transaction.all_replied(&reply),
                    Protocol::Lmtp => chunks.transaction.one_replied(reply),
                }
                if chunks.finals_due == 0 {
                    self.events.push_back(Event::Sent(chunks.transaction.end(None)));
                    return self.ready();
                }
            } else if is_yes && chunks.flow != (Flow::Stopped { refused: false }) {
                // It took the end of a message that it had refused a part of: what has it now?
                return self.fail(State::Chunks(chunks), FailureCause::UnexpectedReply, Some(reply));
            }
        }
        self.after_chunks(chunks)
    }

    /// Gives the message up that the embedder cannot complete. No chunk is ever half written, so the connection goes on.
    pub(super) fn abort_chunks(&mut self, mut chunks: Chunks) -> State {
        chunks.stop(false);
        self.after_chunks(chunks)
    }

    /// Ends a message of which no more is sent, once everything that was sent has its reply.
    fn after_chunks(&mut self, chunks: Chunks) -> State {
        if !chunks.is_stopped() || chunks.awaits_reply() {
            return State::Chunks(chunks);
        }
        // RFC 3030 §2: behind a chunk that failed only RSET clears the transaction.
        self.unwanted(chunks.transaction)
    }

    /// The server does not want the message: takes the question for it back.
    fn stop_chunks(&mut self, chunks: &mut Chunks, reply: &Reply, refused: bool) {
        if chunks.asked && chunks.is_open() {
            self.events.push_back(Event::BodyRefused { reply: Some(reply.clone()) });
        }
        chunks.stop(refused);
    }
}
