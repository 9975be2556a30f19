//! The session: what it knows, and the one place that decides what happens next.

use alloc::sync::Arc;

use pillarbox_core::line::LineScanner;
use pillarbox_core::{Layer, LayerFacts, Misuse, Reply, Step, Time, TlsFacts, UpgradeError, WallTime};

use super::body::Arrived;
use super::output::Output;
use super::replying::Held;
use super::state::{Counts, Framing, Heard, Kind, Question, State, Turn};
use super::{CloseReason, Event, Hello, HelloVerb, Identity, Peer, Protocol, ServerConfig, Why, replies};

/// The server's side of one SMTP, submission or LMTP connection.
///
/// The states, and what leads from one to the next:
///
/// | state | what happens | next |
/// |---|---|---|
/// | Fresh | `Connect` accepted: 220 | Ready |
/// | | `Connect` refused for good: 554 | TurnedAway |
/// | TurnedAway | any command: 503 | TurnedAway |
/// | Ready | EHLO, HELO, LHLO accepted: 250 | Ready |
/// | | STARTTLS accepted: 220 | Upgrading |
/// | | AUTH: 334 | Login |
/// | | AUTH with credentials: 235 or 535 | Ready |
/// | | MAIL accepted: 250 | Transaction |
/// | | MAIL refused | Spoilt |
/// | | XCLIENT of a proxy that is trusted: all is forgotten | Fresh |
/// | Login | a response: 334 | Login |
/// | | the last response: 235 or 535; `*` or a wrong one: 501 | Ready |
/// | Transaction | RCPT: 250 or 550 | Transaction |
/// | | RSET, EHLO, HELO, LHLO accepted: 250 | Ready |
/// | | the first BDAT accepted | Body |
/// | | BDAT refused | Stray |
/// | | DATA accepted: 354 | Body |
/// | | DATA refused: 451, 554 | Ready |
/// | Body | the end mark, or the end of the last chunk | Stored |
/// | | the end of another chunk: 250 | Chunks |
/// | | the end of a refused chunk: its reply | Spoilt |
/// | | the end mark of a refused message: its reply | Ready |
/// | Chunks | BDAT | Body |
/// | | MAIL: 503 | Spoilt |
/// | | RSET, EHLO, HELO, LHLO accepted: 250 | Ready |
/// | Stray | the end of the chunk: its reply | Ready; Spoilt if more of the message may come |
/// | Spoilt | BDAT | Stray |
/// | | RCPT, DATA: 503, and no mistake where many are in flight | Spoilt |
/// | | RSET, EHLO, HELO, LHLO accepted: 250 | Ready |
/// | | MAIL accepted: 250 | Transaction |
/// | Stored | the outcome (LMTP: the last one): 250, 451, 554 | Ready |
/// | Upgrading | `upgraded`: all is forgotten | Ready |
/// | | `upgrade_failed` | Closed |
/// | any | QUIT: 221; timeout, shutdown, too many errors: 421; end of input | Closed |
///
/// What each state in which lines are read says to each command, where the embedder says yes to everything and STARTTLS and
/// AUTH are on offer:
///
#[doc = include_str!("commands.md")]
///
/// ```
/// use std::sync::Arc;
/// use pillarbox_core::{Step, Time};
/// use pillarbox_smtp::server::{Answer, Event, Peer, ServerConfig, ServerSession};
///
/// let config = Arc::new(ServerConfig::new("mx.example"));
/// let mut session = ServerSession::new(config, Peer::default());
/// let mut unread = &b"EHLO client.example\r\n"[..];
/// assert!(matches!(session.poll(Time::ZERO, &mut unread), Step::Event(Event::Connect)));
/// session.answer(Time::ZERO, Answer::Accept)?;
/// assert_eq!(session.output(), b"220 mx.example ESMTP\r\n");
/// let Step::Event(Event::Hello(hello)) = session.poll(Time::ZERO, &mut unread) else { panic!() };
/// assert_eq!(hello.name, "client.example");
/// # Ok::<(), pillarbox_core::Misuse>(())
/// ```
#[derive(Debug)]
pub struct ServerSession {
    pub(super) config: Arc<ServerConfig>,
    pub(super) state: State,
    pub(super) question: Option<Question>,
    pub(super) hello: Option<Hello<'static>>,
    pub(super) identity: Option<Identity<'static>>,
    pub(super) tls: Option<TlsFacts>,
    /// The date at the origin of time.
    origin: Option<WallTime>,
    pub(super) may_xclient: bool,
    pub(super) may_xforward: bool,
    /// XCLIENT was said: it is the client of a proxy that speaks.
    pub(super) proxied: bool,
    /// The last command that is known was AUTH.
    pub(super) after_auth: bool,
    /// XFORWARD was said of a message that has not begun.
    pub(super) forwarded: bool,
    /// Sessions are many: see [`under_stress`](ServerSession::under_stress).
    pub(super) stress: bool,
    /// What the last MAIL announced.
    pub(super) kind: Kind,
    pub(super) counts: Counts,
    /// The transaction that is gone and of which the embedder was not told yet.
    pub(super) abandoned: Option<Why>,
    pub(super) turn: Turn,
    pub(super) framing: Framing,
    pub(super) output: Output,
    /// A reply that is held back.
    pub(super) held: Option<Held>,
    /// The reply to come must not wait in the output.
    pub(super) prompt: bool,
    /// The command that is being served counts as an error.
    pub(super) counted: bool,
    /// The largest time that was heard of.
    pub(super) now: Time,
    /// Since when the peer is waited for.
    pub(super) waiting_since: Time,
    /// What was heard while it could not be acted upon.
    pub(super) heard: Heard,
}

/// What the caller's buffer should hold while a body arrives.
const BODY_READ: usize = 64 * 1024;

impl ServerSession {
    /// A session with a client that has just connected. Nothing is sent before [`Event::Connect`] was answered.
    pub fn new(config: Arc<ServerConfig>, peer: Peer) -> Self {
        ServerSession {
            config,
            state: State::Fresh,
            question: None,
            hello: None,
            identity: None,
            tls: peer.tls,
            origin: peer.origin,
            may_xclient: peer.may_xclient,
            may_xforward: peer.may_xforward,
            proxied: false,
            after_auth: false,
            forwarded: false,
            stress: false,
            kind: Kind::default(),
            counts: Counts::default(),
            abandoned: None,
            turn: Turn::Peer,
            framing: Framing::Line(LineScanner::new()),
            output: Output::default(),
            held: None,
            prompt: true,
            counted: false,
            now: Time::ZERO,
            waiting_since: Time::ZERO,
            heard: Heard::default(),
        }
    }

    /// Makes one step; see [`Machine::poll`](pillarbox_core::Machine::poll).
    pub fn poll<'b>(&mut self, now: Time, input: &mut &'b [u8]) -> Step<Event<'b>> {
        let now = self.advance(now);
        if matches!(self.turn, Turn::Ours | Turn::Flush) && !input.is_empty() {
            self.turn = Turn::Broken;
        }
        loop {
            if let Some(why) = self.abandoned.take() {
                return Step::Event(Event::Abandoned(why));
            }
            if self.question.is_some() {
                return Step::NeedAnswer;
            }
            if let State::Closed(_) = self.state {
                return Step::Closed;
            }
            if self.held.is_some() {
                return Step::NeedTime;
            }
            if self.heard.stalled {
                self.close(CloseReason::Timeout, None);
                self.output.clear();
                continue;
            }
            // Behind XCLIENT the greeting comes first, as the reply does behind any other command.
            if self.turn == Turn::Broken && !matches!(self.state, State::Fresh) {
                let reply = replies::out_of_turn();
                self.close(CloseReason::Synchronisation, Some(&reply));
                return Step::Event(Event::Refused { line: b"", reply });
            }
            if self.heard.shut_down && self.say_goodbye() {
                continue;
            }
            let step = match &mut self.state {
                State::Fresh => self.ask(Question::Connect, Event::Connect),
                State::TurnedAway
                | State::Ready
                | State::Transaction { .. }
                | State::Chunks(_)
                | State::Spoilt { .. }
                | State::Login(_) => self.poll_line(now, input),
                State::Body(_) => self.poll_body(now, input),
                State::Stray(_) => self.poll_stray(now, input),
                State::Stored { next, .. } => {
                    let recipient = (self.config.protocol == Protocol::Lmtp).then_some(*next);
                    self.ask(Question::Outcome, Event::Outcome { recipient })
                }
                State::Upgrading => Some(Step::Upgrade(Layer::Tls)),
                State::Closed(_) => Some(Step::Closed),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// The bytes to send, oldest first.
    pub fn output(&self) -> &[u8] {
        self.output.unsent()
    }

    /// The first `n` bytes of [`output`](ServerSession::output) were sent.
    pub fn consume_output(&mut self, now: Time, n: usize) {
        let now = self.advance(now);
        self.output.consume(now, n);
        if self.output.is_empty() && self.turn == Turn::Flush {
            self.turn = Turn::Peer;
        }
    }

    /// Whether the output holds a reply that must not wait for others (RFC 2920 §3.2 (5) and (6)): send it before
    /// [`poll`](ServerSession::poll) is called again.
    pub const fn must_flush(&self) -> bool {
        self.output.must_flush()
    }

    /// How many bytes a streamed answer may still add. This protocol has none, so it only says whether to flush first.
    pub fn room(&self) -> usize {
        BODY_READ.saturating_sub(self.output.unsent().len())
    }

    /// The peer will send no more bytes. Complete commands that are still unread are served first.
    pub fn handle_eof(&mut self, now: Time) {
        self.advance(now);
        self.heard.end_of_input = true;
    }

    /// The handshake is over: everything that the client said before it is forgotten (RFC 3207 §4.2).
    ///
    /// # Errors
    ///
    /// [`Misuse::NoUpgrade`] if [`Step::Upgrade`] was not returned, or the facts are of another layer than TLS.
    pub fn upgraded(&mut self, now: Time, facts: LayerFacts) -> Result<(), Misuse> {
        let (State::Upgrading, LayerFacts::Tls(facts)) = (&self.state, facts) else { return Err(Misuse::NoUpgrade) };
        self.waiting_since = self.advance(now);
        self.tls = Some(facts);
        self.hello = None;
        self.identity = None;
        self.forwarded = false;
        self.state = State::Ready;
        self.turn = Turn::Peer;
        self.framing = Framing::Line(LineScanner::new());
        Ok(())
    }

    /// The handshake failed. There is no way back to clear text (RFC 3207 §4.1).
    pub fn upgrade_failed(&mut self, now: Time, why: UpgradeError) {
        self.advance(now);
        if let State::Upgrading = self.state {
            let reason = match why {
                UpgradeError::Timeout => CloseReason::Timeout,
                UpgradeError::ConnectionLost => CloseReason::EndOfInput,
                _ => CloseReason::Tls,
            };
            self.close(reason, None);
            self.output.clear();
        }
    }

    /// Our side stops: 421 at once, or behind the reply to the question that is open. A message that is being stored is
    /// answered first, so that it does not look refused.
    pub fn shut_down(&mut self, now: Time) {
        self.advance(now);
        self.heard.shut_down = true;
        if self.question.is_none() {
            self.say_goodbye();
        }
    }

    /// How many unread bytes the caller's buffer must be able to hold now: a line, or what a body is read in.
    pub fn max_unread(&self) -> usize {
        match self.state {
            State::Body(_) | State::Stray(_) => BODY_READ,
            _ => self.line_max(),
        }
    }

    /// Why the session ended, once it did.
    pub const fn close_reason(&self) -> Option<CloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Who logged in.
    pub const fn identity(&self) -> Option<&Identity<'static>> {
        self.identity.as_ref()
    }

    /// The last EHLO, HELO or LHLO that was accepted (since TLS began).
    pub const fn hello(&self) -> Option<&Hello<'static>> {
        self.hello.as_ref()
    }

    /// What is known about TLS, if it is in use.
    pub const fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// The word for this connection in a Received field (RFC 3848): SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA or the same with
    /// LMTP; in a transaction with SMTPUTF8 those of RFC 6531 §4.3, which begin with UTF8.
    pub fn protocol_word(&self) -> &'static str {
        if self.config.protocol == Protocol::Smtp && !self.is_extended() {
            return "SMTP";
        }
        if self.is_utf8() {
            return match (self.config.protocol, self.tls.is_some(), self.identity.is_some()) {
                (Protocol::Smtp, false, false) => "UTF8SMTP",
                (Protocol::Smtp, false, true) => "UTF8SMTPA",
                (Protocol::Smtp, true, false) => "UTF8SMTPS",
                (Protocol::Smtp, true, true) => "UTF8SMTPSA",
                (Protocol::Lmtp, false, false) => "UTF8LMTP",
                (Protocol::Lmtp, false, true) => "UTF8LMTPA",
                (Protocol::Lmtp, true, false) => "UTF8LMTPS",
                (Protocol::Lmtp, true, true) => "UTF8LMTPSA",
            };
        }
        match (self.config.protocol, self.tls.is_some(), self.identity.is_some()) {
            (Protocol::Smtp, false, false) => "ESMTP",
            (Protocol::Smtp, false, true) => "ESMTPA",
            (Protocol::Smtp, true, false) => "ESMTPS",
            (Protocol::Smtp, true, true) => "ESMTPSA",
            (Protocol::Lmtp, false, false) => "LMTP",
            (Protocol::Lmtp, false, true) => "LMTPA",
            (Protocol::Lmtp, true, false) => "LMTPS",
            (Protocol::Lmtp, true, true) => "LMTPSA",
        }
    }

    /// Whether a transaction with SMTPUTF8 is open.
    pub(super) const fn is_utf8(&self) -> bool {
        let open =
            matches!(self.state, State::Transaction { .. } | State::Body(_) | State::Chunks(_) | State::Stored { .. });
        open && self.kind.utf8
    }

    /// Whether the client said EHLO or LHLO.
    pub(super) fn is_extended(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.verb != HelloVerb::Helo)
    }

    /// Whether AUTH is on offer here and now.
    pub(super) fn may_log_in(&self) -> bool {
        self.tls.is_some() || self.config.auth_without_tls
    }

    /// What date it is, if that can be told.
    pub(super) fn date(&self) -> Option<WallTime> {
        let seconds = i64::try_from(self.now.since_origin().as_secs()).unwrap_or(i64::MAX);
        self.origin.map(|origin| WallTime::new(origin.unix_seconds().saturating_add(seconds), 0))
    }

    /// Takes note of the time, and lets go of a reply that was held back until then.
    pub(super) fn advance(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        if let Some(held) = self.held.take_if(|held| held.until <= self.now) {
            self.waiting_since = self.now;
            self.write(&held.reply);
        }
        self.now
    }

    fn poll_body<'b>(&mut self, now: Time, input: &mut &'b [u8]) -> Option<Step<Event<'b>>> {
        let window = self.data_window();
        let State::Body(body) = &mut self.state else { unreachable!("called in that state only") };
        let was_wanted = body.is_wanted();
        let arrived = body.next(now, window, input);
        let recipients = body.recipients;
        if was_wanted && !body.is_wanted() {
            self.abandoned = Some(Why::Refused);
        }
        match arrived {
            Arrived::Piece(octets) => {
                // A message is spoilt by what stands behind this piece; that is told next.
                Some(Step::Event(Event::Body(octets)))
            }
            Arrived::NeedInput if self.abandoned.is_some() => None,
            Arrived::NeedInput => self.need_input(),
            Arrived::ChunkEnd => {
                self.end_chunk(now);
                None
            }
            Arrived::End(None) => {
                self.state = State::Stored { recipients, next: 0 };
                None
            }
            Arrived::End(Some(reply)) => {
                self.state = State::Ready;
                self.waiting_since = now;
                self.write_refusals(recipients, reply);
                None
            }
            Arrived::Overrun(reply) => {
                self.write_refusals(recipients, reply);
                self.close(CloseReason::Overrun, None);
                None
            }
        }
    }

    /// Says to the client what became of a message that was refused before its end.
    fn write_refusals(&mut self, recipients: usize, reply: Reply) {
        // RFC 2033 §4.2: one reply for each recipient, also when all are the same.
        let copies = if self.config.protocol == Protocol::Lmtp { recipients } else { 1 };
        for _ in 1..copies {
            self.write(&reply);
        }
        self.write_refusal(reply);
    }

    /// Nothing complete is left.
    pub(super) fn need_input<'b>(&mut self) -> Option<Step<Event<'b>>> {
        if !self.heard.end_of_input {
            return Some(Step::NeedInput);
        }
        self.close(CloseReason::EndOfInput, None);
        None
    }

    /// The embedder answered: the peer is waited for from now on.
    pub(super) fn begin_answer(&mut self, now: Time) -> Time {
        self.waiting_since = self.advance(now);
        self.now
    }

    /// Opens a question.
    pub(super) fn ask<'b>(&mut self, question: Question, event: Event<'b>) -> Option<Step<Event<'b>>> {
        self.question = Some(question);
        Some(Step::Event(event))
    }
}

pillarbox_core::machine_by_inherent_methods!(ServerSession, Event<'b> = Event<'b>, Answer<'a> = super::Answer<'a>);
