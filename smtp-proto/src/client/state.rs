//! What happens next: the states of a client session, and what each reply makes of them.

use alloc::format;
use core::mem;
use core::time::Duration;

use pillarbox_core::Reply;
use pillarbox_core::dot::DotEncoder;
use pillarbox_core::sasl::{ClientExchange, SaslError};

use super::chunks::Chunks;
use super::transaction::Transaction;
use super::{Capabilities, ClientSession, CloseReason, Event, Failure, FailureCause, Phase, StartTls};
use crate::reply_parser::RawReply;
use crate::server::{HelloVerb, Protocol};

/// How many commands may wait for their replies. More would gain nothing, and a driver that reads nothing before all is
/// written might wait for a server that does the same (RFC 2920 §3.1).
pub(super) const FLIGHT_MAX: usize = 100;

const NEED_BODY: &str = "NeedBody";

/// Where a session is, and what a reply makes of it:
///
/// | state | a reply | next |
/// |---|---|---|
/// | Greeting | 2yz | EHLO or LHLO |
/// | Hello | 2yz | STARTTLS, or Ready |
/// | Hello(EHLO) | 5yz | HELO |
/// | StartTls | 220 | Upgrading; then EHLO again |
/// | StartTls | 4yz, 5yz | Ready, if TLS is not required |
/// | Auth | 334 | the next response |
/// | Auth | 2yz | Ready, if the server has proved what the mechanism makes it prove; else `Failed`, Quitting |
/// | Mail | 2yz | RCPT |
/// | Mail | 4yz, 5yz | `Sent`, Ready; in a flight the replies to the rest of it first |
/// | Rcpt | any | RCPT; DATA if one was accepted or it has gone; else `Sent`, RSET |
/// | Data | 3yz | Body; `Sent`, Discard if nobody was accepted |
/// | Data | 4yz, 5yz | `Sent`, RSET |
/// | Discard | 2yz, 4yz, 5yz | Ready |
/// | Body | 4yz, 5yz | `BodyRefused`, `Sent`, `Failed` |
/// | EndOfData | 2yz, 4yz, 5yz | `Sent` when each recipient has its reply, Ready |
/// | Chunks | as to Mail and Rcpt, if they are due | Chunks; if nobody is left, nothing more is sent, and behind all replies `Sent`, RSET |
/// | Chunks | 2yz to a chunk | Chunks; behind the last one as EndOfData |
/// | Chunks | 4yz, 5yz to a chunk | `BodyRefused`, and behind all replies `Sent`, RSET |
/// | Reset | 2yz | Ready |
/// | Quitting | any | Closed |
/// | every other | 421 | `Sent` for an open message, `Failed`, Closed |
/// | | anything else | the same |
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was polled yet.
    Connecting,
    Greeting,
    Hello(HelloVerb),
    StartTls,
    Upgrading,
    Auth(ClientExchange),
    /// We have cancelled the exchange.
    AuthCancelled(SaslError),
    Ready {
        asked: bool,
    },
    Mail(Transaction),
    Rcpt(Transaction),
    Data(Transaction),
    Body {
        transaction: Transaction,
        encoder: DotEncoder,
        asked: bool,
    },
    EndOfData(Transaction),
    /// The message goes by BDAT.
    Chunks(Chunks),
    /// A message without content is with the server, for nobody.
    Discard,
    Reset,
    Quitting(CloseReason),
    Closed(CloseReason),
}

impl State {
    /// The question that the embedder has to answer.
    pub(super) fn question(&self) -> Option<&'static str> {
        match self {
            State::Ready { asked: true } => Some("Ready"),
            State::Body { asked: true, .. } => Some(NEED_BODY),
            State::Chunks(chunks) if chunks.asked && chunks.is_open() => Some(NEED_BODY),
            _ => None,
        }
    }

    /// Whether a reply to something that we sent (or the greeting) is due.
    pub(super) const fn awaits_reply(&self) -> bool {
        match self {
            State::Chunks(chunks) => chunks.awaits_reply(),
            State::Upgrading | State::Ready { .. } | State::Body { .. } | State::Closed(_) => false,
            _ => true,
        }
    }

    fn phase(&self) -> Phase {
        match self {
            State::Connecting | State::Greeting => Phase::Greeting,
            State::Hello(_) => Phase::Hello,
            State::StartTls | State::Upgrading => Phase::StartTls,
            State::Auth(_) | State::AuthCancelled(_) => Phase::Auth,
            State::Ready { .. } => Phase::Idle,
            State::Mail(_) => Phase::Mail,
            State::Rcpt(_) => Phase::Rcpt,
            State::Data(_) => Phase::Data,
            State::Body { .. } => Phase::Body,
            State::EndOfData(_) | State::Discard => Phase::EndOfData,
            State::Chunks(chunks) => chunks.phase(),
            State::Reset => Phase::Reset,
            State::Quitting(_) | State::Closed(_) => Phase::Quit,
        }
    }

    pub(super) fn into_transaction(self) -> Option<Transaction> {
        match self {
            State::Mail(transaction)
            | State::Rcpt(transaction)
            | State::Data(transaction)
            | State::Body { transaction, .. }
            | State::EndOfData(transaction)
            | State::Chunks(Chunks { transaction, .. }) => Some(transaction),
            _ => None,
        }
    }
}

/// Takes the state out for a transition. What is left says "closed", so that a transition that forgets to put a state back
/// ends the session and nothing worse.
pub(super) const fn take(state: &mut State) -> State {
    mem::replace(state, State::Closed(CloseReason::Failed))
}

impl ClientSession {
    /// Takes a whole reply. `early`: it began before all of what it should answer had left.
    pub(super) fn on_reply(&mut self, state: State, raw: &RawReply<'_>, early: bool) -> State {
        let reply = raw.to_reply();
        let class = reply.code() / 100;
        match (state, class) {
            (State::Quitting(reason) | State::Closed(reason), _) => self.close(reason),
            // RFC 5321 §3.8: 421 may answer any command, and may come when nothing was asked.
            (state, _) if reply.code() == 421 => self.fail(state, FailureCause::Closing, Some(reply)),
            (state @ State::Body { .. }, 4 | 5) => self.fail(state, FailureCause::BodyRefused, Some(reply)),
            (state @ State::EndOfData(_), 4 | 5) if early => self.fail(state, FailureCause::BodyRefused, Some(reply)),
            (State::Chunks(chunks), 4 | 5) if early && matches!(chunks.phase(), Phase::Body | Phase::EndOfData) => {
                self.fail(State::Chunks(chunks), FailureCause::BodyRefused, Some(reply))
            }
            (state, _) if early => self.fail(state, FailureCause::UnaskedReply, Some(reply)),

            (State::Connecting | State::Greeting, 2) => self.hello(),
            (State::Hello(verb), 2) => {
                self.capabilities =
                    if verb == HelloVerb::Helo { Capabilities::default() } else { Capabilities::from_reply(raw) };
                self.identified()
            }
            (State::Hello(HelloVerb::Ehlo), 5) if self.needs_tls() => {
                self.refuse(State::Hello(HelloVerb::Ehlo), FailureCause::TlsNotOffered, reply)
            }
            // RFC 5321 §3.2: a server that knows no EHLO says 500 or 502; others that do not want it are tried, too.
            (State::Hello(HelloVerb::Ehlo), 5) => {
                self.command(&format!("HELO {}", self.config.hello_name()), self.config.timeouts.hello);
                State::Hello(HelloVerb::Helo)
            }
            (State::StartTls, 2) if reply.code() == 220 => {
                self.timer = None;
                State::Upgrading
            }
            (State::StartTls, 4 | 5) if self.needs_tls() => {
                self.refuse(State::StartTls, FailureCause::TlsRefused, reply)
            }
            (State::StartTls, 4 | 5) => self.authenticate(),
            (State::Auth(exchange), 3) if reply.code() == 334 => self.respond(exchange, raw),
            (State::Auth(exchange), 2) => self.logged_in(&exchange),
            (state @ State::Auth(_), 4 | 5) => self.refuse(state, FailureCause::AuthRefused, reply),
            (state @ State::AuthCancelled(error), 4 | 5) => self.refuse(state, FailureCause::AuthFailed(error), reply),
            (state @ (State::Connecting | State::Greeting | State::Hello(_) | State::Reset), 4 | 5) => {
                self.refuse(state, FailureCause::Refused, reply)
            }

            (State::Mail(transaction), 2) => self.next_rcpt(transaction),
            (State::Mail(mut transaction), 4 | 5) => {
                transaction.mail_refused(reply);
                self.next_rcpt(transaction)
            }
            // Somebody was accepted though nobody sends: whatever goes on there, it is not our message.
            (state @ State::Rcpt(Transaction { mail_refused: Some(_), .. }), 2) => {
                self.fail(state, FailureCause::UnexpectedReply, Some(reply))
            }
            (State::Rcpt(mut transaction), 2 | 4 | 5) => {
                let index = transaction.rcpt_replied(reply.clone());
                if transaction.mail_refused.is_none() {
                    self.events.push_back(Event::RcptReply { index, reply });
                }
                self.next_rcpt(transaction)
            }
            (State::Data(transaction), 3) if transaction.has_accepted() => {
                self.timer = None;
                State::Body { transaction, encoder: DotEncoder::new(), asked: false }
            }
            // RFC 2920 §3.1: DATA went along and was accepted though no recipient was; a single dot ends that. In LMTP such
            // a message has no final reply that could be waited for, and RFC 2033 §4.2 forbids it.
            (State::Data(transaction), 3) if self.config.protocol == Protocol::Smtp => {
                self.events.push_back(Event::Sent(transaction.end(None)));
                self.command(".", self.config.timeouts.data_end);
                State::Discard
            }
            (State::Data(transaction), 4 | 5) if transaction.has_accepted() => self.reset(transaction, Some(&reply)),
            // It was refused for want of recipients, each of which has its own reply.
            (State::Data(transaction), 4 | 5) => self.unwanted(transaction),
            (State::Discard, 2 | 4 | 5) => self.ready(),
            (State::EndOfData(mut transaction), 2 | 4 | 5) => {
                match self.config.protocol {
                    Protocol::Smtp => transaction.all_replied(&reply),
                    Protocol::Lmtp => transaction.one_replied(reply),
                }
                if transaction.has_accepted() {
                    return State::EndOfData(transaction);
                }
                self.events.push_back(Event::Sent(transaction.end(None)));
                self.ready()
            }
            (State::Chunks(chunks), _) => self.on_chunk_reply(chunks, reply),
            (State::Reset, 2) => self.ready(),
            (state, _) => self.fail(state, FailureCause::UnexpectedReply, Some(reply)),
        }
    }

    /// Begins a message, or is through with it if there is nobody whom this server could take.
    pub(super) fn begin(&mut self, mut transaction: Transaction) -> State {
        if !transaction.has_hope() {
            self.events.push_back(Event::Sent(transaction.end(None)));
            return self.ready();
        }
        self.command(&transaction.mail(), self.config.timeouts.mail);
        self.mails += 1;
        self.send_ahead(&mut transaction);
        if self.goes_ahead_by_chunks(&transaction) {
            return self.begin_chunks(transaction, true);
        }
        State::Mail(transaction)
    }

    pub(super) fn is_pipelined(&self) -> bool {
        self.config.pipelining && self.capabilities.has("PIPELINING")
    }

    /// Sends what may go before the replies to what has gone (RFC 2920 §3.1): RCPT and DATA behind MAIL. A message behind
    /// DATA may not, as the reply to that has to be seen first.
    fn send_ahead(&mut self, transaction: &mut Transaction) {
        if !self.is_pipelined() || transaction.mail_refused.is_some() {
            return;
        }
        while self.due.len() < FLIGHT_MAX && !transaction.data_asked {
            if let Some(line) = transaction.ask_rcpt() {
                self.write(&line);
            } else if transaction.by_chunks {
                break;
            } else {
                transaction.data_asked = true;
                self.write("DATA");
            }
        }
    }

    /// Whether the message itself may go before the replies: by BDAT, behind the last RCPT (RFC 3030 §4.2).
    fn goes_ahead_by_chunks(&self, transaction: &Transaction) -> bool {
        transaction.by_chunks && self.is_pipelined() && transaction.mail_refused.is_none() && transaction.all_asked()
    }

    /// Goes on behind the reply to MAIL or RCPT.
    fn next_rcpt(&mut self, mut transaction: Transaction) -> State {
        self.send_ahead(&mut transaction);
        if transaction.awaits_rcpt() && self.goes_ahead_by_chunks(&transaction) {
            self.begin_chunks(transaction, false)
        } else if transaction.awaits_rcpt() {
            self.timer = Some(self.now + self.config.timeouts.rcpt);
            State::Rcpt(transaction)
        } else if transaction.data_asked {
            self.timer = Some(self.now + self.config.timeouts.data_start);
            State::Data(transaction)
        } else if transaction.mail_refused.is_some() {
            self.unwanted(transaction)
        } else if let Some(line) = transaction.ask_rcpt() {
            self.command(&line, self.config.timeouts.rcpt);
            State::Rcpt(transaction)
        } else if transaction.has_accepted() && transaction.by_chunks {
            self.begin_chunks(transaction, false)
        } else if transaction.has_accepted() {
            self.command("DATA", self.config.timeouts.data_start);
            State::Data(transaction)
        } else {
            self.unwanted(transaction)
        }
    }

    /// Ends a message that has no recipients, or that the server refused with its sender.
    pub(super) fn unwanted(&mut self, transaction: Transaction) -> State {
        if transaction.mail_refused.is_none() {
            return self.reset(transaction, None);
        }
        self.events.push_back(Event::Sent(transaction.end(None)));
        self.ready()
    }

    /// Ends a message that the server has heard of and does not take.
    fn reset(&mut self, transaction: Transaction, reply: Option<&Reply>) -> State {
        self.events.push_back(Event::Sent(transaction.end(reply)));
        self.command("RSET", self.config.timeouts.quit);
        State::Reset
    }

    pub(super) fn hello(&mut self) -> State {
        // RFC 2033 §4.1: LHLO, and no way back to HELO.
        let (verb, name) = match self.config.protocol {
            Protocol::Smtp => (HelloVerb::Ehlo, "EHLO"),
            Protocol::Lmtp => (HelloVerb::Lhlo, "LHLO"),
        };
        self.command(&format!("{name} {}", self.config.hello_name()), self.config.timeouts.hello);
        State::Hello(verb)
    }

    fn identified(&mut self) -> State {
        let offered = self.capabilities.has("STARTTLS");
        match self.config.starttls {
            StartTls::IfOffered | StartTls::Required if self.tls.is_none() && offered => {
                self.command("STARTTLS", self.config.timeouts.hello);
                State::StartTls
            }
            _ if self.needs_tls() => {
                self.failed(Phase::StartTls, FailureCause::TlsNotOffered, None);
                self.quit(CloseReason::Failed)
            }
            _ => self.authenticate(),
        }
    }

    fn needs_tls(&self) -> bool {
        self.config.starttls == StartTls::Required && self.tls.is_none()
    }

    pub(super) fn ready(&mut self) -> State {
        // RFC 9422: MAILMAX counts the MAIL commands of a session.
        if self.capabilities.mail_max().is_some_and(|max| self.mails >= max) {
            return self.quit(CloseReason::MailMax);
        }
        self.timer = None;
        State::Ready { asked: false }
    }

    /// Says goodbye. Commands that have not left are taken back.
    pub(super) fn quit(&mut self, reason: CloseReason) -> State {
        self.clear_output();
        self.command("QUIT", self.config.timeouts.quit);
        State::Quitting(reason)
    }

    /// The server said no to the session: it gets a goodbye (RFC 5321 §3.1, §4.1.1.10).
    fn refuse(&mut self, state: State, cause: FailureCause, reply: Reply) -> State {
        self.failed(state.phase(), cause, Some(reply));
        self.quit(CloseReason::Failed)
    }

    /// Gives the connection up at once: there is nobody to say goodbye to, or no telling what the server would take it for.
    /// An open message is settled first.
    pub(super) fn fail(&mut self, state: State, cause: FailureCause, reply: Option<Reply>) -> State {
        if let State::Quitting(reason) | State::Closed(reason) = state {
            return self.close(reason);
        }
        let phase = state.phase();
        let verdict = match cause {
            FailureCause::Closing => reply.as_ref(),
            // In LMTP one refusal is one recipient's, and which one it is cannot be known before the end of data.
            FailureCause::BodyRefused if self.config.protocol == Protocol::Smtp => reply.as_ref(),
            _ => None,
        };
        self.settle(state, reply.clone(), verdict);
        self.failed(phase, cause, reply);
        self.close(CloseReason::Failed)
    }

    /// Takes back an open question for the message and tells the outcome.
    fn settle(&mut self, state: State, words: Option<Reply>, verdict: Option<&Reply>) {
        if state.question() == Some(NEED_BODY) {
            self.events.push_back(Event::BodyRefused { reply: words });
        }
        if let Some(transaction) = state.into_transaction() {
            self.events.push_back(Event::Sent(transaction.end(verdict)));
        }
    }

    /// Our side stops: gives up what is not with the server yet, waits for what may be.
    pub(super) fn stop(&mut self, state: State) -> State {
        match state {
            State::EndOfData(_) | State::Quitting(_) | State::Closed(_) | State::Upgrading => state,
            // QUIT would be a line of the message, and the end mark would deliver it.
            State::Mail(Transaction { data_asked: true, .. })
            | State::Rcpt(Transaction { data_asked: true, .. })
            | State::Data(Transaction { data_asked: true, .. })
            | State::Body { .. } => {
                self.settle(state, None, None);
                self.close(CloseReason::ShutDown)
            }
            State::Chunks(chunks) if chunks.is_ended() => State::Chunks(chunks),
            // A line in the middle of a chunk would be a part of it; behind a chunk QUIT ends the message undelivered.
            State::Chunks(_) if !self.output().is_empty() => {
                self.settle(state, None, None);
                self.close(CloseReason::ShutDown)
            }
            state => {
                self.settle(state, None, None);
                self.quit(CloseReason::ShutDown)
            }
        }
    }

    /// The end: nothing is sent any more, and nothing is waited for.
    pub(super) fn close(&mut self, reason: CloseReason) -> State {
        self.clear_output();
        self.timer = None;
        State::Closed(reason)
    }

    pub(super) fn failed(&mut self, phase: Phase, cause: FailureCause, reply: Option<Reply>) {
        let server_name = self.capabilities.server_name().map(Into::into);
        self.events.push_back(Event::Failed(Failure { phase, cause, reply, server_name }));
    }

    /// Writes a command and starts the clock for its reply.
    pub(super) fn command(&mut self, line: &str, timeout: Duration) {
        self.write(line);
        self.timer = Some(self.now + timeout);
    }

    /// Writes a command, whose reply becomes due once it has left.
    fn write(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.written();
    }

    /// A command was written: its reply becomes due once it has left.
    pub(super) fn written(&mut self) {
        self.due.push_back(self.left + self.output().len() as u64);
    }
}
