//! What becomes of BDAT (RFC 3030 §2): chunks that belong to a message, and those that do not.

use core::mem;

use pillarbox_core::{Reply, Step, Time};

use super::body::{AfterStray, Body, Fault, Stray, patience};
use super::replying::cut;
use super::session::ServerSession;
use super::state::{Question, State};
use super::{CloseReason, Event, Protocol, Why, replies};
use crate::command::Verb;

/// What a command costs, at least, of the octets up to which a refused message is eaten: a flight has room for some thousands.
const IN_FLIGHT_COST: u64 = 16 * 1024;

impl ServerSession {
    /// Serves BDAT. Whatever is wrong with it, its octets are octets of a message and never read as commands.
    pub(super) fn chunk<'b>(&mut self, line: &'b [u8], size: u64, last: bool) -> Option<Step<Event<'b>>> {
        let rate_min = self.config.limits.data_rate_min;
        let drips =
            matches!(&self.state, State::Chunks(body) if body.has_dripped(self.now, self.data_window(), rate_min));
        if drips || (size == 0 && !last) {
            self.count_idle();
        }
        if let Err(reply) = self.check_chunk(size) {
            self.begin_stray(size, last, reply.clone(), Fault::Mistake);
            return Some(Step::Event(Event::Refused { line: cut(line), reply }));
        }
        match mem::replace(&mut self.state, State::Ready) {
            State::Chunks(mut body) => {
                body.begin_chunk(self.now, size, last);
                self.state = State::Body(body);
                None
            }
            transaction => {
                self.state = transaction;
                self.ask(Question::Chunk { size, last }, Event::Data)
            }
        }
    }

    /// Whether a line that cannot be read is a BDAT to somebody: octets may follow, and where commands begin again is not known.
    /// A control in the line, a space in front or a size of very many digits is for others to pass over, and a message that
    /// they let through would be commands here.
    pub(super) fn announces_octets(&self, line: &[u8]) -> bool {
        const VERB: &[u8] = b"BDAT";
        let line = line.trim_ascii_start();
        let verb = line.get(..VERB.len()).is_some_and(|verb| verb.eq_ignore_ascii_case(VERB));
        self.config.chunking && verb && line.get(VERB.len()).is_none_or(|behind| !behind.is_ascii_alphanumeric())
    }

    /// The same of the beginning of a line that is too long: where it is blank, what stands behind is not looked at.
    pub(super) fn may_announce_octets(&self, head: &[u8]) -> bool {
        self.announces_octets(head) || (self.config.chunking && head.trim_ascii_start().len() <= "BDAT".len())
    }

    /// Ends the session at such a line.
    pub(super) fn lose_track<'b>(&mut self, line: &'b [u8], reply: Reply) -> Step<Event<'b>> {
        self.close(CloseReason::Synchronisation, Some(&reply));
        Step::Event(Event::Refused { line: cut(line), reply })
    }

    fn check_chunk(&self, size: u64) -> Result<(), Reply> {
        match &self.state {
            // RFC 5321 §3.1
            State::TurnedAway => return Err(replies::sequence("The connection was refused: say QUIT")),
            _ => self.check_login()?,
        }
        match &self.state {
            State::Transaction { recipients: 0 } => Err(replies::sequence("No recipient was accepted")),
            // What is known to become too large is not begun.
            State::Transaction { .. } if size > self.config.limits.message_size_max => Err(replies::too_large()),
            State::Chunks(body) if body.is_wanted() && !body.has_room(size) => Err(replies::too_large()),
            State::Transaction { .. } | State::Chunks(_) => Ok(()),
            State::Spoilt { .. } => Err(replies::sequence("This message was refused")),
            _ => Err(replies::sequence("Say MAIL and RCPT first")),
        }
    }

    /// The octets of this chunk are eaten, and then it gets its reply (RFC 3030 §2). The transaction, if there is one, is over.
    pub(super) fn begin_stray(&mut self, size: u64, last: bool, reply: Reply, fault: Fault) {
        let patience = patience(&self.config.limits);
        let (recipients, left, fault) = match &self.state {
            State::Transaction { recipients } => (Some(*recipients), patience, fault),
            State::Chunks(body) => (Some(body.recipients), patience, fault),
            // RFC 3030 §2: chunks that are under way when one is refused are to be expected.
            State::Spoilt { recipients, left } => (Some(*recipients), *left, Fault::InFlight),
            _ => (None, patience, fault),
        };
        let copies = match recipients {
            // RFC 2033 §4.3: one for each recipient, and none if there is no recipient.
            Some(recipients) if last && self.config.protocol == Protocol::Lmtp => recipients,
            _ => 1,
        };
        let next = match (&self.state, recipients) {
            (State::TurnedAway, _) => AfterStray::TurnedAway,
            (_, Some(recipients)) if !last => {
                AfterStray::Spoilt { recipients, left: left.saturating_sub(size.max(IN_FLIGHT_COST)) }
            }
            _ => AfterStray::Ready,
        };
        self.abandon(Why::Refused);
        if size > left {
            // So much is not worth waiting for.
            for _ in 0..copies {
                self.write(&reply);
            }
            return self.close(CloseReason::Overrun, None);
        }
        self.state = State::Stray(Stray::new(self.now, size, reply, copies, fault, next));
    }

    /// The message is over before it came. What a client that did not wait sends of it is no mistake.
    pub(super) fn spoil(&mut self) {
        let recipients = match &self.state {
            State::Chunks(body) => body.recipients,
            State::Ready | State::Spoilt { .. } => 0,
            _ => return,
        };
        self.abandon(Why::Refused);
        self.state = State::Spoilt { recipients, left: patience(&self.config.limits) };
    }

    /// Whether this command can have been under way when its message was refused (RFC 2920 §3.1).
    pub(super) fn was_in_flight(&mut self, verb: Option<Verb>) -> bool {
        let State::Spoilt { left, .. } = &mut self.state else { return false };
        let of_message = matches!(verb, Some(Verb::Rcpt | Verb::Data)) && *left >= IN_FLIGHT_COST;
        if of_message {
            *left -= IN_FLIGHT_COST;
        }
        of_message
    }

    /// Eats a chunk that nobody wants.
    pub(super) fn poll_stray<'b>(&mut self, now: Time, input: &mut &'b [u8]) -> Option<Step<Event<'b>>> {
        let window = self.data_window();
        let State::Stray(stray) = &mut self.state else { unreachable!("called in that state only") };
        if !stray.eat(now, window, input) {
            return self.need_input();
        }
        let (reply, copies, fault) = (stray.reply.clone(), stray.copies, stray.fault);
        self.state = match stray.next {
            AfterStray::Ready => State::Ready,
            AfterStray::TurnedAway => State::TurnedAway,
            AfterStray::Spoilt { recipients, left } => State::Spoilt { recipients, left },
        };
        self.waiting_since = now;
        for _ in 1..copies {
            self.write(&reply);
        }
        match (copies, fault) {
            (0, Fault::Mistake) if reply.is_permanent() => self.count_error(),
            (0, _) => {}
            (_, Fault::Mistake) if reply.is_permanent() => self.refuse(reply),
            (_, Fault::Mistake | Fault::InFlight) => self.write_in_time(reply),
            (_, Fault::Refusal) => self.write_refusal(reply),
        }
        None
    }

    /// A chunk that is not the last one has ended.
    pub(super) fn end_chunk(&mut self, now: Time) {
        let State::Body(body) = mem::replace(&mut self.state, State::Ready) else {
            unreachable!("called in that state only")
        };
        self.waiting_since = now;
        match body.refusal() {
            Some(reply) => {
                self.state = State::Spoilt { recipients: body.recipients, left: body.patience() };
                self.write_refusal(reply);
            }
            None => {
                self.state = State::Chunks(body);
                self.write_in_time(Reply::enhanced(250, 2, 0, 0, "The chunk is here"));
            }
        }
    }

    /// The embedder wants the message whose first chunk this is.
    pub(super) fn begin_chunks(&mut self, now: Time, size: u64, last: bool) {
        if let State::Transaction { recipients } = self.state {
            let mut body = Body::in_chunks(now, recipients, self.kind.binary, &self.config);
            body.begin_chunk(now, size, last);
            self.state = State::Body(body);
        }
    }
}
