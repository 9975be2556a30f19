//! The client session: bytes, commands and time in, events and bytes out.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::crypto::Crypto;
use pillarbox_core::{Layer, LayerFacts, Misuse, Random, Step, Time, TlsFacts, UpgradeError};

use super::code::Status;
use super::command::{Command, Rules};
use super::fetch::FetchReader;
use super::frame::Framer;
use super::handshake::{Goal, Proofs};
use super::words::Capabilities;
use super::write::{Wait, Writing};
use super::{Answer, ClientConfig, CloseReason, CommandId, Event, Failure, FailureCause, StartTls};

/// The client's side of one connection.
///
/// It greets, takes TLS and logs in as its configuration says, and then sends what was given to
/// [`submit`](ClientSession::submit), as many commands at once as cannot be mistaken for each other (RFC 9051 §5.5): one that
/// takes sequence numbers is held back while another is under way that could change them, one that selects a mailbox goes
/// alone. Answers are told as they come; each command is settled by one event. A sequence number in a response means what it
/// means when its event is told, so a [`Mirror`](super::Mirror) that is fed every event in order is always right.
///
/// A whole session, with a server played by hand; a driver does the same with a socket:
///
/// ```
/// use pillarbox_core::{Misuse, Step, Time};
/// use pillarbox_imap::client::{ClientConfig, ClientSession, Command, Event, Response};
///
/// let mut server = [
///     &b"* PREAUTH [CAPABILITY IMAP4rev2] welcome back\r\n"[..],
///     b"* 1 EXISTS\r\nA1 OK [READ-WRITE] selected\r\n",
///     b"* 1 FETCH (UID 7 BODY[] {7}\r\nHello!\n)\r\nA2 OK fetched\r\n",
///     b"* BYE see you\r\nA3 OK bye\r\n",
/// ]
/// .into_iter();
/// let now = Time::ZERO; // a real program asks its clock
/// let mut session = ClientSession::new(ClientConfig::default());
/// session.submit(now, Command::select("INBOX"))?;
/// session.submit(now, Command::uid_fetch("1:*", "(BODY.PEEK[])"))?;
/// session.submit(now, Command::logout())?;
/// let (mut buffer, mut sent, mut message) = (Vec::new(), Vec::new(), Vec::new());
/// loop {
///     let mut unread = &buffer[..];
///     let mut waits = false;
///     match session.poll(now, &mut unread) {
///         Step::Event(Event::Body(octets)) => message.extend_from_slice(&octets),
///         Step::Event(Event::Completed { status, .. }) => assert!(status.is_ok()),
///         Step::Event(Event::Response(response)) => assert!(!matches!(response, Response::Unread(_))),
///         Step::Event(_) => {}
///         Step::NeedInput => waits = true,
///         Step::Closed => break,
///         Step::NeedAnswer | Step::NeedTime | Step::Upgrade(_) => unreachable!("nothing is appended, no TLS is offered"),
///     }
///     let left = unread.len();
///     buffer.drain(..buffer.len() - left);
///     if waits {
///         // Flush first; then wait for bytes, the end of input, or session.deadline().
///         sent.extend_from_slice(session.output());
///         session.consume_output(now, usize::MAX);
///         buffer.extend_from_slice(server.next().unwrap());
///     }
/// }
/// assert_eq!(message, b"Hello!\n");
/// assert_eq!(sent, b"A1 SELECT INBOX\r\nA2 UID FETCH 1:* (BODY.PEEK[])\r\nA3 LOGOUT\r\n");
/// # Ok::<(), Misuse>(())
/// ```
pub struct ClientSession {
    pub(super) config: ClientConfig,
    pub(super) stage: Stage,
    pub(super) framer: Framer,
    /// A FETCH response that a section stands in the middle of.
    pub(super) fetch: Option<FetchReader>,
    /// Octets of that section that are still to come.
    pub(super) section_left: Option<u64>,
    pub(super) capabilities: Capabilities,
    /// What the server has enabled.
    pub(super) enabled: Capabilities,
    pub(super) tls: Option<TlsFacts>,
    is_compressed: bool,
    pub(super) proofs: Option<Proofs>,
    pub(super) goal: Goal,
    pub(super) output: Vec<u8>,
    /// Octets at the front of `output` that have left.
    gone: usize,
    /// How many octets have left in all.
    pub(super) left: u64,
    pub(super) queue: VecDeque<(CommandId, Command)>,
    /// Commands that were begun, in their order.
    pub(super) running: VecDeque<Running>,
    /// The last of those, if it is not written to its end.
    pub(super) writing: Option<Writing>,
    pub(super) next_tag: u64,
    next_id: u64,
    pub(super) idle: Idle,
    /// The server said BYE.
    pub(super) bye: Option<Status>,
    pub(super) events: VecDeque<Event<'static>>,
    pub(super) timer: Option<Time>,
    pub(super) now: Time,
    pub(super) is_input_ended: bool,
    pub(super) is_stopping: bool,
}

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Greeting,
    /// Commands of our own go first.
    Handshake,
    Upgrading(Layer),
    Ready,
    Closed(CloseReason),
}

/// A command under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) tag: String,
    pub(super) purpose: Purpose,
    pub(super) rules: Rules,
    /// Where in all that is sent it begins.
    pub(super) start: u64,
    /// Where in all that is sent it ends; none while it is not written to its end.
    pub(super) end: Option<u64>,
    /// The server said no before it was told all.
    pub(super) refused: Option<Status>,
}

/// What a command is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// It was submitted.
    User { id: CommandId, kind: Kind },
    /// The session's own.
    Own(super::handshake::Own),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Idle,
    Logout,
    Unauthenticate,
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Idle {
    /// The server has taken IDLE, and DONE was not sent.
    pub(super) is_on: bool,
    /// DONE is to be sent as soon as that can be.
    pub(super) is_over: bool,
    /// IDLE is begun anew behind that.
    pub(super) renews: bool,
    /// It was begun anew, which is no news.
    pub(super) is_again: bool,
}

impl ClientSession {
    /// A session over a connection without TLS.
    pub fn new(config: ClientConfig) -> Self {
        ClientSession {
            config,
            stage: Stage::Connecting,
            framer: Framer::default(),
            fetch: None,
            section_left: None,
            capabilities: Capabilities::default(),
            enabled: Capabilities::default(),
            tls: None,
            is_compressed: false,
            proofs: None,
            goal: Goal::default(),
            output: Vec::new(),
            gone: 0,
            left: 0,
            queue: VecDeque::new(),
            running: VecDeque::new(),
            writing: None,
            next_tag: 1,
            next_id: 1,
            idle: Idle::default(),
            bye: None,
            events: VecDeque::new(),
            timer: None,
            now: Time::ZERO,
            is_input_ended: false,
            is_stopping: false,
        }
    }

    /// A session over a connection that began with TLS (RFC 8314 §3.2): STARTTLS is not asked for.
    pub fn over_tls(config: ClientConfig, facts: TlsFacts) -> Self {
        ClientSession { tls: Some(facts), ..ClientSession::new(config) }
    }

    /// The same session, able to log in by SCRAM and, where the policy of the login names it, CRAM-MD5. `random` is a source
    /// that nobody can foresee. A proof takes the time of [`Crypto::pbkdf2`] within [`poll`](ClientSession::poll).
    #[must_use]
    pub fn with_crypto(self, crypto: Arc<dyn Crypto>, random: impl Random + Send + Sync + 'static) -> Self {
        ClientSession { proofs: Some(Proofs::new(crypto, random)), ..self }
    }

    /// What the server said it can do, the last time. Nothing that it said before TLS is in it once there is TLS,
    /// and behind UNAUTHENTICATE nothing but IMAP4rev1 and IMAP4rev2 until it is said anew.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What is enabled (RFC 5161).
    pub const fn enabled(&self) -> &Capabilities {
        &self.enabled
    }

    /// What is known about TLS; `None` without it.
    pub const fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Whether DEFLATE is under the session (RFC 4978).
    pub const fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Why the session has ended; `None` while it has not.
    pub const fn close_reason(&self) -> Option<CloseReason> {
        match self.stage {
            Stage::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Gives a command to the session, which sends it when it may. Commands are sent in the order in which they were
    /// submitted.
    ///
    /// # Errors
    ///
    /// [`Misuse`], with nothing changed: the session has ended or is about to, more than
    /// [`queue_max`](super::ClientLimits::queue_max) commands wait, an argument cannot be written, or it is a command that the
    /// session sends by itself: STARTTLS, COMPRESS. UNAUTHENTICATE (RFC 8437) is refused while the connection is compressed.
    ///
    /// Behind UNAUTHENTICATE log in by LOGIN, or by AUTHENTICATE with its response in the line (RFC 4959): a challenge is
    /// answered in the session's own login only, and ends the session otherwise.
    pub fn submit(&mut self, now: Time, mut command: Command) -> Result<CommandId, Misuse> {
        self.advance(now);
        if let Some(what) = command.forbidden {
            return Err(Misuse::ForbiddenOctet { what });
        }
        if self.queue.len() >= self.config.limits.queue_max.max(1) {
            return Err(Misuse::TooLong { what: "the queue of commands" });
        }
        let is_closed = matches!(self.stage, Stage::Closed(_)) || self.is_stopping || self.bye.is_some();
        if is_closed || self.queue.back().is_some_and(|(_, last)| last.name == "LOGOUT") || self.is_logging_out() {
            return Err(Misuse::WrongAnswer { question: "a session that ends", answer: "submit" });
        }
        self.may_submit(&command)?;
        command.settle_rules();
        let id = CommandId(self.next_id);
        self.next_id += 1;
        self.queue.push_back((id, command));
        self.pump();
        Ok(id)
    }

    /// Whether a command leaves what lies under the session as it is.
    fn may_submit(&self, command: &Command) -> Result<(), Misuse> {
        let forbidden = |command, why| Err(Misuse::ForbiddenCommand { command, why });
        let by_itself = "the session sends it by itself, as its configuration says";
        match &*command.name {
            "STARTTLS" => forbidden("STARTTLS", by_itself),
            "COMPRESS" => forbidden("COMPRESS", by_itself),
            // RFC 8437 §4.1: compression ends behind its line, where no driver looks for an end.
            "UNAUTHENTICATE" if self.is_compressed || (self.config.compress && self.stage != Stage::Ready) => {
                forbidden("UNAUTHENTICATE", "the connection is compressed, or is about to be")
            }
            _ => Ok(()),
        }
    }

    /// Ends IDLE. Nothing happens if it is not under way.
    pub fn done(&mut self, now: Time) {
        self.advance(now);
        if self.is_idle_running() {
            self.idle.is_over = true;
            self.idle.renews = false;
            self.pump();
        }
    }

    /// See [`Machine::poll`](pillarbox_core::Machine::poll).
    pub fn poll<'b>(&mut self, now: Time, input: &mut &'b [u8]) -> Step<Event<'b>> {
        self.advance(now);
        loop {
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            if let Some(id) = self.message_to_ask_for() {
                return Step::Event(Event::NeedMessage(id));
            }
            match self.stage {
                Stage::Closed(_) => return Step::Closed,
                Stage::Connecting => {
                    self.timer = Some(self.now + self.config.timeouts.greeting);
                    self.stage = Stage::Greeting;
                }
                // RFC 9051 §6.2.1: what came in clear must not count as said under TLS. With COMPRESS what follows the OK
                // is compressed already, and belongs to the layer (RFC 4978 §3).
                Stage::Upgrading(Layer::Tls) if !input.is_empty() => self.fail(FailureCause::StartTlsInjection, None),
                Stage::Upgrading(Layer::Tls) if self.is_input_ended => self.fail(FailureCause::ConnectionLost, None),
                Stage::Upgrading(layer) => return Step::Upgrade(layer),
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
    /// [`Misuse`] if no message is asked for, more octets are given than there is room for or were announced, or fewer at
    /// its end. The state is then unchanged.
    pub fn answer(&mut self, now: Time, answer: Answer<'_>) -> Result<(), Misuse> {
        self.advance(now);
        let room = self.room();
        let Some(Writing { wait: Wait::Message { left, is_asked: true }, .. }) = &mut self.writing else {
            return Err(Misuse::NoOpenQuestion);
        };
        match answer {
            Answer::Body(octets) => {
                if octets.len() > room {
                    return Err(Misuse::TooLong { what: "a piece of the message" });
                }
                *left -= octets.len() as u64;
                self.output.extend_from_slice(octets);
                self.expect_something();
            }
            Answer::BodyEnd if *left > 0 => {
                return Err(Misuse::WrongAnswer { question: "NeedMessage", answer: "BodyEnd before the end" });
            }
            Answer::BodyEnd => {
                self.message_is_written();
                self.pump();
                self.expect_something();
            }
            Answer::Abort => self.close(CloseReason::Aborted),
        }
        debug_assert!(!answer.name().is_empty());
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
        if self.gone == self.output.len() {
            self.clear_output();
        }
        self.pump();
        self.expect_something();
    }

    /// How many octets the next piece of the message may have. See [`Machine::room`](pillarbox_core::Machine::room).
    pub fn room(&self) -> usize {
        match &self.writing {
            Some(Writing { wait: Wait::Message { left, is_asked: true }, .. }) => {
                let room = self.output_max().saturating_sub(self.output().len());
                usize::try_from(*left).map_or(room, |left| room.min(left))
            }
            _ => 0,
        }
    }

    pub(super) fn output_max(&self) -> usize {
        self.config.limits.output_max.max(1024)
    }

    /// See [`Machine::deadline`](pillarbox_core::Machine::deadline).
    pub const fn deadline(&self) -> Option<Time> {
        self.timer
    }

    /// See [`Machine::handle_timeout`](pillarbox_core::Machine::handle_timeout).
    pub fn handle_timeout(&mut self, now: Time) {
        self.advance(now);
        if self.timer.is_none_or(|timer| timer > self.now) {
            return;
        }
        if self.idle.is_on {
            self.idle.is_over = true;
            self.idle.renews = true;
            self.pump();
            self.expect_something();
        } else if self.is_logging_out() {
            self.close(CloseReason::LoggedOut);
        } else if self.is_stopping {
            self.close(CloseReason::ShutDown);
        } else {
            self.fail(FailureCause::Timeout, None);
        }
    }

    /// See [`Machine::handle_eof`](pillarbox_core::Machine::handle_eof). Whole responses that are still unread count.
    pub fn handle_eof(&mut self, now: Time) {
        self.advance(now);
        self.is_input_ended = true;
    }

    /// See [`Machine::upgraded`](pillarbox_core::Machine::upgraded).
    ///
    /// # Errors
    ///
    /// [`Misuse::NoUpgrade`] if no layer was asked for, or the facts are of another.
    pub fn upgraded(&mut self, now: Time, facts: LayerFacts) -> Result<(), Misuse> {
        self.advance(now);
        match (self.stage, facts) {
            (Stage::Upgrading(Layer::Tls), LayerFacts::Tls(facts)) => {
                self.tls = Some(facts);
                // RFC 9051 §6.2.1: nothing that was learned before TLS counts.
                self.capabilities = Capabilities::default();
                self.bye = None;
            }
            (Stage::Upgrading(Layer::Deflate), LayerFacts::Deflate) => self.is_compressed = true,
            _ => return Err(Misuse::NoUpgrade),
        }
        self.stage = Stage::Handshake;
        self.next_step();
        Ok(())
    }

    /// See [`Machine::upgrade_failed`](pillarbox_core::Machine::upgrade_failed).
    pub fn upgrade_failed(&mut self, now: Time, why: UpgradeError) {
        self.advance(now);
        match self.stage {
            Stage::Upgrading(Layer::Tls) => self.fail(FailureCause::Tls(why), None),
            Stage::Upgrading(_) => self.fail(FailureCause::Compression(why), None),
            _ => {}
        }
    }

    /// See [`Machine::shut_down`](pillarbox_core::Machine::shut_down). What was not sent is lost, what is under way is waited
    /// for, then LOGOUT is sent; in the middle of a message the connection is closed, so that half of it is not stored.
    pub fn shut_down(&mut self, now: Time) {
        self.advance(now);
        if matches!(self.stage, Stage::Closed(_)) || self.is_stopping {
            return;
        }
        self.is_stopping = true;
        for (id, _) in core::mem::take(&mut self.queue) {
            self.events.push_back(Event::Lost { id, was_sent: false });
        }
        if self.writing.is_some() || matches!(self.stage, Stage::Connecting | Stage::Upgrading(_)) {
            return self.close(CloseReason::ShutDown);
        }
        self.idle.is_over = true;
        self.idle.renews = false;
        self.timer = Some(self.now + self.config.timeouts.logout);
        self.pump();
    }

    /// See [`Machine::max_unread`](pillarbox_core::Machine::max_unread): a response without the sections in it.
    pub fn max_unread(&self) -> usize {
        self.response_max()
    }

    pub(super) fn response_max(&self) -> usize {
        self.config.limits.response_max.max(1024)
    }

    /// Gives the connection up.
    pub(super) fn fail(&mut self, cause: FailureCause, status: Option<Status>) {
        if matches!(self.stage, Stage::Closed(_)) {
            return;
        }
        // Before TLS, where it is required, anybody may have said it, to whoever reads it.
        let status = status.filter(|_| self.tls.is_some() || self.config.starttls != StartTls::Required);
        self.settle();
        self.events.push_back(Event::Failed(Failure { cause, status }));
        self.close(CloseReason::Failed);
    }

    /// Tells of each command that is not over that it will not be.
    fn settle(&mut self) {
        let left = self.left;
        for running in core::mem::take(&mut self.running) {
            if let Purpose::User { id, .. } = running.purpose {
                self.events.push_back(match running.refused {
                    Some(status) => Event::Completed { id, status },
                    None => Event::Lost { id, was_sent: running.start < left },
                });
            }
        }
        for (id, _) in core::mem::take(&mut self.queue) {
            self.events.push_back(Event::Lost { id, was_sent: false });
        }
    }

    /// The end: nothing is sent any more, and nothing is waited for.
    pub(super) fn close(&mut self, reason: CloseReason) {
        self.settle();
        self.writing = None;
        self.section_left = None;
        self.fetch = None;
        self.clear_output();
        self.timer = None;
        self.stage = Stage::Closed(reason);
    }

    pub(super) fn clear_output(&mut self) {
        self.output.clear();
        self.gone = 0;
    }

    /// Time only moves forward.
    fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
    }
}

impl fmt::Debug for ClientSession {
    /// Without the output and what is being written, as that may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession")
            .field("config", &self.config)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

pillarbox_core::machine_by_inherent_methods!(ClientSession, Event<'b> = Event<'b>, Answer<'a> = Answer<'a>);
