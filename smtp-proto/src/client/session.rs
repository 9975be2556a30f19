//! The client session: bytes, answers and time in, events and bytes out.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::crypto::Crypto;
use pillarbox_core::dot::DotEncoder;
use pillarbox_core::{LayerFacts, Misuse, Random, Step, Time, TlsFacts, UpgradeError};

use super::chunks::Chunks;
use super::login::Proofs;
use super::state::{State, take};
use super::transaction::Transaction;
use super::{Answer, Capabilities, ClientConfig, CloseReason, Event, FailureCause};
use crate::reply_parser::ReplyParser;

/// The client's side of one connection: SMTP, or LMTP with a reply per recipient.
///
/// What is sent next is decided by the embedder ([`Answer`]); how it is said, and what the server's replies mean, is
/// decided here. [`Event`] has the table of questions. Commands go out in flights where the server offers that, and a reply
/// counts for a command only if that had left when the reply began; a surplus or early one ends the session, and nothing is
/// called delivered that has no final reply of its own.
///
/// A whole delivery, with a server played by hand; a driver does the same with a socket:
///
/// ```
/// use pillarbox_core::address::Address;
/// use pillarbox_core::{Step, Time};
/// use pillarbox_smtp::client::{Answer, ClientConfig, ClientSession, Envelope, Event, RecipientOutcome};
///
/// let mut server = ["220 mx.example", "250 mx.example", "250 ok", "250 ok", "354 go", "250 kept", "221 bye"].into_iter();
/// let mut sent = Vec::new();
///
/// let mut envelope = Some(Envelope::new(
///     Address::parse("joe@c.example")?.into_owned().into(),
///     [Address::parse("u@own.example")?.into_owned()],
/// ));
/// let mut message = &b"Subject: hi\r\n\r\n.\r\n"[..];
///
/// let mut session = ClientSession::new(ClientConfig::new("c.example")?);
/// let mut inbuf = Vec::new();
/// let now = Time::ZERO;
/// loop {
///     let mut unread = &inbuf[..];
///     let step = session.poll(now, &mut unread);
///     let used = inbuf.len() - unread.len();
///     match step {
///         Step::Event(Event::Ready) => match envelope.take() {
///             Some(envelope) => session.answer(now, Answer::Send(envelope))?,
///             None => session.answer(now, Answer::Quit)?,
///         },
///         Step::Event(Event::Sent(outcomes)) => assert!(matches!(outcomes[..], [RecipientOutcome::Delivered(_)])),
///         Step::Event(Event::Failed(failure)) => return Err(failure.into()),
///         Step::Event(_) => {}
///         // Of the two questions only NeedBody can be open here. Polling between the pieces lets the server object.
///         Step::NeedAnswer => {
///             let piece = message.len().min(session.room());
///             if piece > 0 {
///                 session.answer(now, Answer::Body(&message[..piece]))?;
///                 message = &message[piece..];
///             } else if message.is_empty() {
///                 session.answer(now, Answer::BodyEnd)?;
///             }
///             // Full: flush, here at once; a driver also reads while it waits for the socket.
///             sent.extend_from_slice(session.output());
///             session.consume_output(now, usize::MAX);
///         }
///         Step::NeedInput => {
///             sent.extend_from_slice(session.output());
///             session.consume_output(now, usize::MAX);
///             // Wait for bytes, the end of input, or session.deadline().
///             match server.next() {
///                 Some(line) => inbuf.extend_from_slice(format!("{line}\r\n").as_bytes()),
///                 None => session.handle_eof(now),
///             }
///         }
///         Step::Upgrade(_) | Step::NeedTime => unreachable!("this server offers no TLS, and clients delay nothing"),
///         Step::Closed => break,
///     }
///     inbuf.drain(..used);
/// }
/// assert!(sent.ends_with(b"DATA\r\nSubject: hi\r\n\r\n..\r\n.\r\nQUIT\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClientSession {
    pub(super) config: ClientConfig,
    pub(super) state: State,
    parser: ReplyParser,
    pub(super) capabilities: Capabilities,
    pub(super) tls: Option<TlsFacts>,
    pub(super) proofs: Option<Proofs>,
    pub(super) output: Vec<u8>,
    /// Octets at the front of `output` that have left.
    gone: usize,
    /// How many octets have left in all.
    pub(super) left: u64,
    /// Where in all that is sent the commands end whose replies are not there. Each counts once it has left as a whole.
    pub(super) due: VecDeque<u64>,
    /// MAIL commands so far.
    pub(super) mails: u64,
    /// What was decided and not told yet.
    pub(super) events: VecDeque<Event>,
    pub(super) timer: Option<Time>,
    pub(super) now: Time,
    is_input_ended: bool,
    is_stopping: bool,
    /// The reply that is being read began before what it should answer had left.
    is_early: bool,
}

impl ClientSession {
    /// A session over a connection without TLS.
    pub fn new(config: ClientConfig) -> Self {
        ClientSession {
            parser: ReplyParser::new(config.limits.reply.clone()),
            config,
            state: State::Connecting,
            capabilities: Capabilities::default(),
            tls: None,
            proofs: None,
            output: Vec::new(),
            gone: 0,
            left: 0,
            due: VecDeque::new(),
            mails: 0,
            events: VecDeque::new(),
            timer: None,
            now: Time::ZERO,
            is_input_ended: false,
            is_stopping: false,
            is_early: false,
        }
    }

    /// A session over a connection that began with TLS (implicit TLS, RFC 8314 §3.3): STARTTLS is not asked for.
    pub fn over_tls(config: ClientConfig, facts: TlsFacts) -> Self {
        ClientSession { tls: Some(facts), ..ClientSession::new(config) }
    }

    /// The same session, able to log in by SCRAM, bound to the TLS connection where the server offers that and TLS has an
    /// exporter (RFC 9266), and by CRAM-MD5 where the policy of the login names it. `random` is a source that nobody can
    /// foresee. A proof takes the time of [`Crypto::pbkdf2`] within [`poll`](ClientSession::poll): milliseconds, and with
    /// as many iterations as a server may ask for less than a second.
    ///
    /// Without this a login passes those mechanisms over.
    #[must_use]
    pub fn with_crypto(self, crypto: Arc<dyn Crypto>, random: impl Random + Send + Sync + 'static) -> Self {
        ClientSession { proofs: Some(Proofs { crypto, random: Box::new(random) }), ..self }
    }

    /// What the server said it can do, in its last reply to EHLO or LHLO. Empty before it, and behind HELO.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What is known about TLS; `None` without it.
    pub const fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Why the session has ended; `None` while it has not.
    pub const fn close_reason(&self) -> Option<CloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// See [`Machine::poll`](pillarbox_core::Machine::poll).
    pub fn poll(&mut self, now: Time, input: &mut &[u8]) -> Step<Event> {
        self.advance(now);
        loop {
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            match &mut self.state {
                State::Closed(_) => return Step::Closed,
                State::Connecting => {
                    self.timer = Some(self.now + self.config.timeouts.greeting);
                    self.state = State::Greeting;
                }
                State::Ready { asked: asked @ false } => {
                    *asked = true;
                    return Step::Event(Event::Ready);
                }
                State::Body { asked: asked @ false, .. } => {
                    *asked = true;
                    return Step::Event(Event::NeedBody);
                }
                State::Chunks(chunks) if chunks.is_open() && !chunks.asked => {
                    chunks.asked = true;
                    return Step::Event(Event::NeedBody);
                }
                // RFC 3207 §4: the client starts the handshake, so nothing can be there yet that came over TLS.
                State::Upgrading if !input.is_empty() => self.give_up(FailureCause::StartTlsInjection),
                State::Upgrading if self.is_input_ended => self.give_up(FailureCause::ConnectionLost),
                State::Upgrading => return Step::Upgrade(pillarbox_core::Layer::Tls),
                _ => {
                    if let Some(step) = self.read(input) {
                        return step;
                    }
                }
            }
        }
    }

    /// See [`Machine::answer`](pillarbox_core::Machine::answer).
    ///
    /// # Errors
    ///
    /// [`Misuse`] if no question is open, the answer does not fit it, an envelope has no recipients, or a piece of a
    /// message is longer than [`room`](ClientSession::room) or holds octets that its envelope denies. The state is then
    /// unchanged.
    pub fn answer(&mut self, now: Time, answer: Answer<'_>) -> Result<(), Misuse> {
        self.advance(now);
        if let (State::Body { transaction, .. } | State::Chunks(Chunks { transaction, .. }), Answer::Body(piece)) =
            (&self.state, &answer)
            && self.state.question().is_some()
        {
            if piece.len() > self.room() {
                return Err(Misuse::TooLong { what: "a piece of the message" });
            }
            // RFC 6152 §3: the server was told that there are none.
            if !transaction.may_hold(piece) {
                return Err(Misuse::ForbiddenOctet { what: "a message of 7 bits" });
            }
        }
        let wrong = |question, answer| Err(Misuse::WrongAnswer { question, answer });
        match (&mut self.state, answer) {
            (State::Ready { asked: true }, Answer::Send(envelope)) => {
                if envelope.recipients.is_empty() {
                    return wrong("Ready", "Send with no recipients");
                }
                let by_chunks = self.config.chunking;
                let transaction = Transaction::new(envelope, &self.capabilities, self.tls.is_some(), by_chunks);
                self.state = self.begin(transaction);
                self.pump(false);
            }
            (State::Ready { asked: true }, Answer::Quit) => self.state = self.quit(CloseReason::Quit),
            (State::Body { asked: true, encoder, .. }, Answer::Body(chunk)) => {
                if self.gone == self.output.len() && !chunk.is_empty() {
                    self.timer = Some(self.now + self.config.timeouts.data_block);
                }
                let used = encoder.encode(chunk, &mut self.output, usize::MAX);
                debug_assert_eq!(used, chunk.len());
            }
            (State::Body { asked: true, encoder, .. }, Answer::BodyEnd) => {
                if self.gone == self.output.len() {
                    self.timer = Some(self.now + self.config.timeouts.data_block);
                }
                encoder.finish(&mut self.output);
                if let State::Body { transaction, .. } = take(&mut self.state) {
                    self.state = State::EndOfData(transaction);
                }
            }
            (State::Chunks(chunks), Answer::Body(chunk)) if chunks.asked && chunks.is_open() => {
                chunks.add(chunk);
                self.pump(false);
            }
            (State::Chunks(chunks), Answer::BodyEnd) if chunks.asked && chunks.is_open() => {
                chunks.complete();
                self.pump(false);
            }
            (State::Chunks(chunks), Answer::Abort) if chunks.asked && chunks.is_open() => {
                if let State::Chunks(chunks) = take(&mut self.state) {
                    self.state = self.abort_chunks(chunks);
                    self.pump(false);
                }
            }
            (State::Body { asked: true, .. }, Answer::Abort) => {
                let state = take(&mut self.state);
                if let Some(transaction) = state.into_transaction() {
                    self.events.push_back(Event::Sent(transaction.end(None)));
                }
                self.state = self.close(CloseReason::Aborted);
            }
            (state, answer) => {
                let question = state.question().ok_or(Misuse::NoOpenQuestion)?;
                return wrong(question, answer.name());
            }
        }
        Ok(())
    }

    /// See [`Machine::output`](pillarbox_core::Machine::output).
    pub fn output(&self) -> &[u8] {
        &self.output[self.gone..]
    }

    /// See [`Machine::consume_output`](pillarbox_core::Machine::consume_output).
    pub fn consume_output(&mut self, now: Time, n: usize) {
        self.advance(now);
        let n = n.min(self.output().len());
        if n == 0 {
            return;
        }
        self.gone += n;
        self.left += n as u64;
        let is_flushed = self.gone == self.output.len();
        if is_flushed {
            self.clear_output();
        }
        let timeouts = &self.config.timeouts;
        match &self.state {
            // RFC 5321 §4.5.3.2.5, §4.5.3.2.6
            State::Body { .. } if is_flushed => self.timer = None,
            State::EndOfData(_) if is_flushed => self.timer = Some(self.now + timeouts.data_end),
            State::Body { .. } | State::EndOfData(_) => self.timer = Some(self.now + timeouts.data_block),
            _ => self.pump(true),
        }
    }

    /// How many octets the next piece of the message may have. See [`Machine::room`](pillarbox_core::Machine::room).
    pub fn room(&self) -> usize {
        match &self.state {
            State::Chunks(chunks) if chunks.asked => chunks.room(),
            // An octet becomes two at most (a dot, a bare LF); what is held back leaves at the end, for which there is room.
            State::Body { asked: true, .. } => {
                let max = self.config.limits.output_max.max(1024);
                max.saturating_sub(self.output.len() + DotEncoder::FINISH_MAX) / 2
            }
            _ => 0,
        }
    }

    /// See [`Machine::deadline`](pillarbox_core::Machine::deadline).
    pub const fn deadline(&self) -> Option<Time> {
        self.timer
    }

    /// See [`Machine::handle_timeout`](pillarbox_core::Machine::handle_timeout).
    pub fn handle_timeout(&mut self, now: Time) {
        self.advance(now);
        if self.timer.is_some_and(|timer| timer <= self.now) {
            self.give_up(FailureCause::Timeout);
        }
    }

    /// See [`Machine::handle_eof`](pillarbox_core::Machine::handle_eof). Whole replies that are still unread count.
    pub fn handle_eof(&mut self, now: Time) {
        self.advance(now);
        self.is_input_ended = true;
    }

    /// See [`Machine::upgraded`](pillarbox_core::Machine::upgraded).
    ///
    /// # Errors
    ///
    /// [`Misuse::NoUpgrade`] if TLS was not asked for, or the facts are of another layer.
    pub fn upgraded(&mut self, now: Time, facts: LayerFacts) -> Result<(), Misuse> {
        self.advance(now);
        let (State::Upgrading, LayerFacts::Tls(facts)) = (&self.state, facts) else { return Err(Misuse::NoUpgrade) };
        self.tls = Some(facts);
        // RFC 3207 §4.2: nothing that was learned before TLS counts.
        self.capabilities = Capabilities::default();
        self.state = if self.is_stopping { self.quit(CloseReason::ShutDown) } else { self.hello() };
        Ok(())
    }

    /// See [`Machine::upgrade_failed`](pillarbox_core::Machine::upgrade_failed).
    pub fn upgrade_failed(&mut self, now: Time, why: UpgradeError) {
        self.advance(now);
        if matches!(self.state, State::Upgrading) {
            self.give_up(FailureCause::Tls(why));
        }
    }

    /// See [`Machine::shut_down`](pillarbox_core::Machine::shut_down). A message whose end mark is written waits for its final reply; any other is given up and
    /// its recipients are to be tried later.
    pub fn shut_down(&mut self, now: Time) {
        self.advance(now);
        self.is_stopping = true;
        match &self.state {
            State::Chunks(chunks) if chunks.is_ended() => {}
            State::Ready { .. } | State::Body { .. } | State::Chunks(_) => {
                let state = take(&mut self.state);
                self.state = self.stop(state);
            }
            State::EndOfData(_) | State::Quitting(_) | State::Closed(_) => {}
            // The reply that is due has to come before QUIT can go, but nobody waits for it as long as he would for mail.
            State::Connecting => {
                self.state = State::Greeting;
                self.timer = Some(self.now + self.config.timeouts.quit);
            }
            _ => {
                let patience = self.now + self.config.timeouts.quit;
                self.timer = self.timer.map(|timer| timer.min(patience));
            }
        }
    }

    /// See [`Machine::max_unread`](pillarbox_core::Machine::max_unread): a line of a reply.
    pub const fn max_unread(&self) -> usize {
        self.config.limits.reply.line_max
    }

    /// Reads a reply. `None`: something happened.
    fn read(&mut self, input: &mut &[u8]) -> Option<Step<Event>> {
        let is_due = self.state.awaits_reply()
            && match self.due.front() {
                Some(end) => *end <= self.left,
                // The greeting and the end of data answer no command.
                None => self.output().is_empty(),
            };
        self.is_early |= !is_due && !input.is_empty();
        match self.parser.parse(input) {
            Ok(Some(reply)) => {
                let is_early = core::mem::take(&mut self.is_early);
                self.due.pop_front();
                let state = take(&mut self.state);
                self.state = self.on_reply(state, &reply, is_early);
                if self.is_stopping {
                    let state = take(&mut self.state);
                    self.state = self.stop(state);
                }
                self.pump(true);
                None
            }
            Err(error) => {
                self.give_up(FailureCause::BadReply(error));
                None
            }
            Ok(None) if self.is_input_ended => {
                self.give_up(FailureCause::ConnectionLost);
                None
            }
            // Between chunks the next move can be the server's, though the question for the rest stays open.
            Ok(None) if matches!(self.state, State::Chunks(_)) && self.room() == 0 && self.output().is_empty() => {
                Some(Step::NeedInput)
            }
            Ok(None) if self.state.question().is_some() => Some(Step::NeedAnswer),
            Ok(None) => Some(Step::NeedInput),
        }
    }

    fn give_up(&mut self, cause: FailureCause) {
        let state = take(&mut self.state);
        self.state = self.fail(state, cause, None);
    }

    pub(super) fn clear_output(&mut self) {
        self.output.clear();
        self.gone = 0;
        while self.due.back().is_some_and(|end| *end > self.left) {
            self.due.pop_back();
        }
    }

    /// Time only moves forward.
    fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
    }
}

impl fmt::Debug for ClientSession {
    /// Without the output, as that may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession")
            .field("config", &self.config)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

pillarbox_core::machine_by_inherent_methods!(ClientSession, Event<'b> = Event, Answer<'a> = Answer<'a>);
