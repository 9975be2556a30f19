//! Speaking to an IMAP server over one connection.

use std::sync::Arc;

use pillarbox_core::{Layer, Misuse, Step, UpgradeError};
use pillarbox_imap::client::{
    Answer, Capabilities, ClientConfig, ClientSession, Command, CommandId, Event, Failure, Mirror, StartTls, Status,
};
use pillarbox_imap::types::NameEncoding;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::ToSocketAddrs;

use crate::crypto::SystemRandom;
use crate::net::{ClientTls, Dialect, Transcript, Transport, Wire, begin, dial, early_input, proofs, upgrade};
use crate::parts::{Clock, Silent, SystemClock};

/// What is read of a message at a time.
const PIECE: usize = 16 * 1024;
/// How often a mirror asks before it says that the server contradicts itself: once for a list, once for what has changed, and
/// again for each time that something happened meanwhile.
const SYNC_MAX: usize = 10;

/// A connection to an IMAP server that is logged in.
///
/// ```no_run
/// use pillarbox::imap::{ClientConfig, Command, Event, ImapClient, Login, Credentials};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut config = ClientConfig::default();
/// let mut login = Login::new(Credentials::plain("", "joe", "secret"));
/// login.policy.clear_text_without_tls = true; // on loopback
/// config.login = Some(login);
/// let mut client = ImapClient::connect("127.0.0.1:143", config, None).await?;
/// client.run(Command::select("INBOX"), |_| {}).await?;
/// client
///     .run(Command::uid_fetch("1:*", "(BODY.PEEK[])"), |event| match event {
///         Event::Section(section) => println!("message {:?}", section.uid),
///         Event::Body(octets) => println!("{} octets of it", octets.len()),
///         _ => {}
///     })
///     .await?;
/// client.log_out().await;
/// # Ok(())
/// # }
/// ```
///
/// A login belongs to one host: TLS is made with the name that [`ClientTls`] was given, and without a certificate for that name
/// nobody is told a password. Compression is asked for if the
/// configuration says so, with the feature `compress`.
pub struct ImapClient {
    wire: Wire<ClientSession>,
    tls: Option<ClientTls>,
    failure: Option<Failure>,
    /// The socket failed: what is left to hear is what the session makes of that.
    is_lost: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No address of the server accepted a connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// TLS from the start failed.
    #[error("{0}")]
    Tls(#[source] UpgradeError),
    /// The session came to an end before it was ready: no greeting, no TLS where it is required, a refused login.
    #[error("{0}")]
    Session(#[source] Failure),
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The server said NO or BAD.
    #[error("{0}")]
    Refused(Status),
    /// The connection ended before the server said what became of it. It may have been done.
    #[error("the connection has ended")]
    Lost(#[source] Option<Failure>),
    /// It was not sent: it names messages by their numbers, and while it waited the server told of an expunge, which makes
    /// them mean others. The connection goes on.
    #[error("the numbers of its messages mean others now")]
    Renumbered,
    /// The command cannot be sent.
    #[error("{0}")]
    Misuse(#[source] Misuse),
    /// A message could not be read to its end, or has not the size that was announced. The connection is closed, so that
    /// half of it is not stored.
    #[error("the message cannot be read: {0}")]
    Message(#[source] std::io::Error),
    /// The server contradicts itself about what is in the mailbox, or names more messages than a [`Mirror`] takes.
    #[error("the server contradicts itself")]
    Contradiction,
}

impl ImapClient {
    /// Connects over TCP, and speaks until the server is ready for commands: greeting, STARTTLS, login, ENABLE.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn connect(
        address: impl ToSocketAddrs,
        config: ClientConfig,
        tls: Option<ClientTls>,
    ) -> Result<Self, ConnectError> {
        let clock = Arc::new(SystemClock::new());
        let stream = dial(address, &*clock, |_| Ok(()), ConnectError::Connect).await?;
        ImapClient::over(stream, config, tls, clock).await
    }

    /// The same over a connection that you made yourself; `clock` is what its timeouts run by.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn over(
        transport: impl Transport + 'static,
        mut config: ClientConfig,
        tls: Option<ClientTls>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        // Nothing is there to make TLS with. Where it is required the server is still asked, and then nothing is sent.
        if tls.is_none() && config.starttls == StartTls::IfOffered {
            config.starttls = StartTls::Never;
        }
        config.compress &= cfg!(feature = "compress");
        let (transport, facts) = begin(tls.as_ref(), Box::new(transport), &*clock).await.map_err(ConnectError::Tls)?;
        let mut transport = transport;
        let session = match facts {
            Some(facts) => ClientSession::over_tls(config, facts),
            None => ClientSession::new(config),
        };
        let session = session.with_crypto(proofs(), SystemRandom::default());
        let early = early_input(&mut *transport).await;
        // No observer: a session of ours is in nobody's count, and its lines hold our own passwords.
        let transcript = Transcript::new(Arc::new(Silent), 0, Dialect::Imap);
        let wire = Wire::new(session, transport, early, clock, transcript);
        let mut client = ImapClient { wire, tls, failure: None, is_lost: false };
        loop {
            match client.next().await {
                Some(Event::Ready) => return Ok(client),
                Some(_) => {}
                None => {
                    let failure = client.failure.take();
                    client.wire.close().await;
                    return Err(ConnectError::Session(
                        failure.unwrap_or_else(|| unreachable!("a session that ends before it was ready says why")),
                    ));
                }
            }
        }
    }

    /// Gives a command to the session; [`next`](ImapClient::next) sends it and tells what comes of it. Commands that are
    /// submitted one after the other go together where they may.
    ///
    /// # Errors
    ///
    /// As [`ClientSession::submit`].
    pub fn submit(&mut self, command: Command) -> Result<CommandId, Misuse> {
        let now = self.wire.now();
        self.wire.machine.submit(now, command)
    }

    /// Ends IDLE.
    pub fn done(&mut self) {
        let now = self.wire.now();
        self.wire.machine.done(now);
    }

    /// The next event; `None` once the session is closed. Octets of messages are copied; [`run`](ImapClient::run) lends them.
    /// A message that is asked for ([`Event::NeedMessage`]) is what [`append`](ImapClient::append) brings; of APPEND that was
    /// submitted, or whose `append` was dropped, nobody does, and this waits for the end of the connection then. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Option<Event<'static>> {
        loop {
            if let Some(event) = self.step(|event| Some(event.into_owned())).await? {
                return Some(event);
            }
        }
    }

    /// Sends a command and waits until it is over. `tell` hears every event until then, of other commands too. APPEND that was
    /// submitted before, or whose [`append`](ImapClient::append) was dropped, and that is not over cannot be given its message
    /// here: the connection is closed then, and this command is not sent.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    pub async fn run(&mut self, command: Command, tell: impl FnMut(Event<'_>)) -> Result<Status, RunError> {
        self.append(command, tokio::io::empty(), tell).await
    }

    /// The same with APPEND: `messages` is read for as many octets as the command announces, of all its messages one behind
    /// the other.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    pub async fn append(
        &mut self,
        command: Command,
        mut messages: impl AsyncRead + Unpin,
        mut tell: impl FnMut(Event<'_>),
    ) -> Result<Status, RunError> {
        // What cannot be written is no reason to hang up.
        let id = self.submit(command).map_err(RunError::Misuse)?;
        let now = self.wire.now();
        // The message that was asked for before: nobody is here who has it, and no command goes before it has come.
        if self.wire.machine.answer(now, Answer::Abort).is_ok() {
            self.wire.hang_up().await;
            self.tell_rest(&mut tell).await;
            return Err(RunError::Lost(self.failure.clone()));
        }
        loop {
            let mut wanted = None;
            let mut end = None;
            let told = self
                .step(|event| {
                    match &event {
                        Event::NeedMessage(own) => wanted = Some(*own == id),
                        Event::Completed { id: own, status } if *own == id => end = Some(Ok(status.clone())),
                        Event::Lost { id: own, .. } if *own == id => end = Some(Err(())),
                        _ => {}
                    }
                    tell(event);
                    Some(())
                })
                .await;
            match end {
                Some(Ok(status)) if status.is_ok() => return Ok(status),
                Some(Ok(status)) => return Err(RunError::Refused(status)),
                Some(Err(())) if self.is_open() => return Err(RunError::Renumbered),
                Some(Err(())) => {
                    // Why stands behind it.
                    self.tell_rest(&mut tell).await;
                    return Err(RunError::Lost(self.failure.clone()));
                }
                None if told.is_none() => return Err(RunError::Lost(self.failure.clone())),
                None => match wanted {
                    Some(true) => {
                        let brought = self.message(&mut messages).await;
                        if brought.is_err() {
                            self.wire.hang_up().await;
                            self.tell_rest(&mut tell).await;
                        }
                        brought?;
                    }
                    // Nobody is here who has the message of another command, and these are not its octets.
                    Some(false) => {
                        let now = self.wire.now();
                        let _ = self.wire.machine.answer(now, Answer::Abort);
                        self.wire.hang_up().await;
                    }
                    None => {}
                },
            }
        }
    }

    /// Selects a mailbox and brings a mirror up to date, with whatever the server has for that. `mirror` is an empty one, or one
    /// of the same mailbox. `tell` hears every event.
    ///
    /// # Errors
    ///
    /// [`RunError`]; the mailbox is selected nevertheless if only what followed SELECT was refused.
    pub async fn sync(
        &mut self,
        select: Command,
        mirror: &mut Mirror,
        mut tell: impl FnMut(Event<'_>),
    ) -> Result<Status, RunError> {
        let is_qresync = self.wire.machine.enabled().has("QRESYNC");
        let known = mirror.known().filter(|_| is_qresync);
        let select = match &known {
            Some(known) => select.qresync(known),
            None if self.capabilities().has("CONDSTORE") || is_qresync => select.condstore(),
            None => select,
        };
        mirror.selecting(known.as_ref());
        let told = self
            .run(select, |event| {
                if let Event::Response(response) = &event {
                    mirror.learn(response);
                }
                tell(event);
            })
            .await;
        mirror.selected(told.is_ok());
        let status = told?;
        for _ in 0..SYNC_MAX {
            let Some(command) = mirror.command(self.capabilities()) else { break };
            let told = self
                .run(command, |event| {
                    if let Event::Response(response) = &event {
                        mirror.learn(response);
                    }
                    tell(event);
                })
                .await;
            if let Ok(status) | Err(RunError::Refused(status)) = &told {
                mirror.completed(status, true);
            }
            told?;
        }
        if mirror.is_right() { Ok(status) } else { Err(RunError::Contradiction) }
    }

    /// What the server said it can do.
    pub const fn capabilities(&self) -> &Capabilities {
        self.wire.machine.capabilities()
    }

    /// How the server spells names of mailboxes.
    pub fn name_encoding(&self) -> NameEncoding {
        self.wire.machine.name_encoding()
    }

    /// Whether the connection is under TLS.
    pub const fn is_encrypted(&self) -> bool {
        self.wire.machine.tls().is_some()
    }

    /// Whether the connection is compressed (RFC 4978).
    pub const fn is_compressed(&self) -> bool {
        self.wire.machine.is_compressed()
    }

    /// Whether commands can be sent. A server may still have closed the connection since.
    pub const fn is_open(&self) -> bool {
        self.wire.machine.close_reason().is_none()
    }

    /// What ended the connection, if something did that was not asked for.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Says goodbye and closes. What is under way is waited for, for a while.
    pub async fn log_out(mut self) {
        self.wire.shut_down();
        while self.step(|_| Some(())).await.is_some() {}
        self.wire.close().await;
    }

    /// What is left to tell of a session that has ended.
    async fn tell_rest(&mut self, tell: &mut impl FnMut(Event<'_>)) {
        let mut show = |event: Event<'_>| {
            tell(event);
            Some(())
        };
        while self.step(&mut show).await.is_some() {}
    }

    /// Brings a message, piece by piece, as fast as the server takes it.
    async fn message(&mut self, messages: &mut (impl AsyncRead + Unpin)) -> Result<(), RunError> {
        let mut piece = vec![0; PIECE];
        loop {
            let now = self.wire.now();
            match self.wire.machine.answer(now, Answer::BodyEnd) {
                // It is complete, or the session has ended, which is told next.
                Ok(()) | Err(Misuse::NoOpenQuestion) => return Ok(()),
                Err(_) => {}
            }
            let room = self.wire.machine.room().min(PIECE);
            if room > 0 {
                let read = messages.read(&mut piece[..room]).await;
                let now = self.wire.now();
                match read {
                    Ok(read) if read > 0 => {
                        let told = self.wire.machine.answer(now, Answer::Body(&piece[..read]));
                        told.unwrap_or_else(|misuse| unreachable!("there was room for it: {misuse}"));
                    }
                    ended => {
                        let _ = self.wire.machine.answer(now, Answer::Abort);
                        let short = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                        return Err(RunError::Message(ended.err().unwrap_or_else(short)));
                    }
                }
            }
            if self.wire.flush().await.is_err() {
                self.lose();
                return Ok(());
            }
            if self.wire.is_overdue() {
                return Ok(());
            }
        }
    }

    /// One step: shows the event to `tell`, or waits. `None` once the session is closed.
    async fn step<T>(&mut self, tell: impl FnOnce(Event<'_>) -> Option<T>) -> Option<Option<T>> {
        let (step, used) = self.wire.poll();
        let (told, wants) = match step {
            Step::Event(event) => {
                if let Event::Failed(failure) = &event {
                    self.failure = Some(failure.clone());
                }
                (tell(event), Wants::Nothing)
            }
            Step::Closed => (None, Wants::Close),
            Step::Upgrade(layer) => (None, Wants::Layer(layer)),
            Step::NeedTime => (None, Wants::Time),
            Step::NeedInput | Step::NeedAnswer => (None, Wants::Input),
        };
        self.wire.used(used);
        let moved = match wants {
            Wants::Nothing => return Some(told),
            Wants::Close => return None,
            Wants::Layer(layer) => upgrade(&mut self.wire, layer, self.tls.as_ref()).await,
            _ if self.is_lost => return None,
            wants => match self.wire.flush().await {
                Ok(()) => self.wire.wait(matches!(wants, Wants::Time)).await,
                lost => lost,
            },
        };
        if moved.is_err() {
            self.lose();
        }
        Some(None)
    }

    /// Tells the session that the socket has failed. Responses that had come before still count.
    fn lose(&mut self) {
        self.is_lost = true;
        let now = self.wire.now();
        self.wire.machine.handle_eof(now);
    }
}

/// What a step waits for.
enum Wants {
    Nothing,
    Input,
    Time,
    Layer(Layer),
    Close,
}
