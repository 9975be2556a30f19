//! Sending messages over one connection to a server of SMTP or LMTP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::{Layer, Step, UpgradeError};
use pillarbox_smtp::client::{
    Answer, Capabilities, ClientConfig, ClientSession, Envelope, Event, Failure, RecipientOutcome, StartTls,
};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::ToSocketAddrs;

use crate::net::{Dialect, Lost, Transcript, Transport, Wire, early_input};
use crate::parts::{Clock, Silent, SystemClock};

/// How long it may take to connect, over all addresses of a host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a message at a time.
const PIECE: usize = 16 * 1024;

/// TLS towards a server: with whom, and when. Made with the feature `tls`.
#[derive(Clone, Debug)]
pub struct ClientTls {
    #[cfg(feature = "tls")]
    config: Arc<rustls::ClientConfig>,
    #[cfg(feature = "tls")]
    server_name: rustls::pki_types::ServerName<'static>,
    /// The connection begins with TLS.
    #[cfg(feature = "tls")]
    is_implicit: bool,
    #[cfg(not(feature = "tls"))]
    never: std::convert::Infallible,
}

#[cfg(feature = "tls")]
impl ClientTls {
    /// TLS by STARTTLS, as [`ClientConfig::starttls`] says. `server_name` is what the server's certificate has to be for.
    pub const fn starttls(
        config: Arc<rustls::ClientConfig>,
        server_name: rustls::pki_types::ServerName<'static>,
    ) -> Self {
        ClientTls { config, server_name, is_implicit: false }
    }

    /// TLS from the first octet (RFC 8314 §3).
    pub const fn implicit(
        config: Arc<rustls::ClientConfig>,
        server_name: rustls::pki_types::ServerName<'static>,
    ) -> Self {
        ClientTls { config, server_name, is_implicit: true }
    }

    fn side(&self) -> crate::tls::Side {
        crate::tls::Side::Client(Arc::clone(&self.config), self.server_name.clone())
    }
}

/// A connection to a server that is ready for a message.
///
/// ```no_run
/// use pillarbox::mailcore::address::Address;
/// use pillarbox::smtp::{ClientConfig, Envelope, RecipientOutcome, SmtpClient};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = ClientConfig::new("c.example")?;
/// let mut client = SmtpClient::connect("127.0.0.1:2525", config, None).await?;
/// let from = Address::parse("joe@c.example")?.into_owned();
/// let envelope = Envelope::new(from.into(), [Address::parse("u@own.example")?.into_owned()]);
/// for outcome in client.send(envelope, &b"Subject: hi\r\n\r\nhello\r\n"[..]).await? {
///     assert!(matches!(outcome, RecipientOutcome::Delivered(_)));
/// }
/// client.quit().await;
/// # Ok(())
/// # }
/// ```
///
/// Messages go one after the other. Nothing is said to the server while no message is on its way, so a connection that is kept
/// for later may be gone by then: [`send`](SmtpClient::send) then says [`Later`](RecipientOutcome::Later) for everybody.
pub struct SmtpClient {
    wire: Wire<ClientSession>,
    tls: Option<ClientTls>,
    /// What the session told while it was asked for something else.
    told: VecDeque<Event>,
    failure: Option<Failure>,
    /// The socket failed: what is left to hear is what the session makes of that.
    is_lost: bool,
}

/// Why there is no connection that a message could be sent over.
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

/// Why a message could not be sent. Nothing is known to be delivered; where something is known,
/// [`send`](SmtpClient::send) gives outcomes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is of no more use: it ended with an earlier message, or the server takes no more in one session.
    #[error("the connection has ended")]
    Ended,
    /// The envelope has no recipients.
    #[error("the envelope has no recipients")]
    NoRecipients,
    /// The message could not be read to its end. The connection was closed before the server could take what it had for a
    /// whole message.
    #[error("the message cannot be read: {0}")]
    Body(#[source] std::io::Error),
}

impl SmtpClient {
    /// Connects over TCP, and speaks until the server is ready for a message: greeting, EHLO, STARTTLS, AUTH.
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
        let deadline = clock.now() + CONNECT_TIMEOUT;
        let stream = tokio::select! {
            stream = tokio::net::TcpStream::connect(address) => stream.map_err(ConnectError::Connect)?,
            () = clock.sleep_until(deadline) => return Err(ConnectError::Connect(std::io::ErrorKind::TimedOut.into())),
        };
        // Flights are written at once; waiting for more would only delay them.
        stream.set_nodelay(true).map_err(ConnectError::Connect)?;
        SmtpClient::over(stream, config, tls, clock).await
    }

    /// The same over a socket in the file system, as servers of LMTP have.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    #[cfg(unix)]
    pub async fn connect_unix(path: impl AsRef<std::path::Path>, config: ClientConfig) -> Result<Self, ConnectError> {
        let stream = tokio::net::UnixStream::connect(path).await.map_err(ConnectError::Connect)?;
        SmtpClient::over(stream, config, None, Arc::new(SystemClock::new())).await
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
        let transport: Box<dyn Transport> = Box::new(transport);
        let (session, mut transport) = match &tls {
            #[cfg(feature = "tls")]
            Some(tls) if tls.is_implicit => {
                let made = crate::tls::handshake(tls.side(), transport, &*clock).await;
                let (transport, facts) = made.map_err(ConnectError::Tls)?;
                (ClientSession::over_tls(config, facts), transport)
            }
            #[cfg(not(feature = "tls"))]
            Some(tls) => match tls.never {},
            _ => (ClientSession::new(config), transport),
        };
        let early = early_input(&mut *transport).await;
        // No observer: a session of ours is in nobody's count, and its lines hold our own passwords.
        let transcript = Transcript::new(Arc::new(Silent), 0, Dialect::Smtp);
        let wire = Wire::new(session, transport, early, clock, transcript);
        let mut client = SmtpClient { wire, tls, told: VecDeque::new(), failure: None, is_lost: false };
        loop {
            match client.next().await {
                Some(Event::Ready) => return Ok(client),
                Some(Event::Failed(failure)) => {
                    // Says goodbye, if there is somebody to say it to.
                    client.quit().await;
                    return Err(ConnectError::Session(failure));
                }
                Some(_) => {}
                None => unreachable!("a session that ends before it was ready says why"),
            }
        }
    }

    /// Sends a message and says what became of it for each recipient, in the envelope's order. `body` is read once, and only
    /// if the server wants it; line ends are repaired and dots stuffed on the way.
    ///
    /// A connection that is lost is no error here: those of whom the server had said nothing final are to be tried later.
    /// Dropping the future before its end leaves the connection in the middle of a message: only [`quit`](SmtpClient::quit) is
    /// of use then, or dropping the client as well.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub async fn send(
        &mut self,
        envelope: Envelope,
        mut body: impl AsyncRead + Unpin,
    ) -> Result<Vec<RecipientOutcome>, SendError> {
        if envelope.recipients.is_empty() {
            return Err(SendError::NoRecipients);
        }
        let now = self.wire.now();
        if self.wire.machine.answer(now, Answer::Send(envelope)).is_err() {
            return Err(SendError::Ended);
        }
        let mut outcomes = None;
        let mut unreadable = None;
        // What happens behind `Sent` belongs to this message too: the connection is ready for the next one or it ends.
        loop {
            match self.next().await {
                Some(Event::NeedBody) => unreadable = self.body(&mut body).await.err(),
                Some(Event::Sent(sent)) => outcomes = Some(sent),
                Some(Event::Ready) | None => break,
                Some(_) => {}
            }
        }
        if let Some(error) = unreadable {
            return Err(SendError::Body(error));
        }
        Ok(outcomes.unwrap_or_else(|| unreachable!("a session settles each message")))
    }

    /// What the server said it can do.
    pub const fn capabilities(&self) -> &Capabilities {
        self.wire.machine.capabilities()
    }

    /// Whether another message can be sent. A server may still have closed the connection since.
    pub const fn is_open(&self) -> bool {
        self.wire.machine.close_reason().is_none()
    }

    /// What ended the connection, if something did that was not asked for.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Says goodbye and closes. A message that was left half sent is given up.
    pub async fn quit(mut self) {
        let now = self.wire.now();
        // Refused where the session has ended, or where a `send` was dropped half-way: then it is given up.
        if self.wire.machine.answer(now, Answer::Quit).is_err() {
            self.wire.shut_down();
        }
        while self.next().await.is_some() {}
        self.wire.close().await;
    }

    /// Hands the message over, piece by piece, as fast as the server takes it. The server may refuse it meanwhile; the
    /// event that says so is still to come then.
    async fn body(&mut self, body: &mut (impl AsyncRead + Unpin)) -> Result<(), std::io::Error> {
        let mut piece = vec![0; PIECE];
        loop {
            let room = self.wire.machine.room().min(PIECE);
            if room > 0 {
                let now = self.wire.now();
                let answer = match body.read(&mut piece[..room]).await {
                    Ok(0) => Answer::BodyEnd,
                    Ok(read) => Answer::Body(&piece[..read]),
                    Err(error) => {
                        // An end mark now would have half a message delivered.
                        let _ = self.wire.machine.answer(now, Answer::Abort);
                        return Err(error);
                    }
                };
                let is_end = matches!(answer, Answer::BodyEnd);
                // Refused if the question was taken back: the server has said no, or time is up.
                if self.wire.machine.answer(now, answer).is_err() || is_end {
                    return Ok(());
                }
            }
            if self.wire.flush().await.is_err() {
                self.lose();
            }
            if !self.is_wanted() {
                return Ok(());
            }
        }
    }

    /// The next event; `None` once the session is closed.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Some(event);
            }
            let (step, used) = self.wire.poll();
            self.wire.used(used);
            let moved = match step {
                Step::Event(event) => {
                    if let Event::Failed(failure) = &event {
                        self.failure = Some(failure.clone());
                    }
                    return Some(event);
                }
                Step::Closed => return None,
                Step::Upgrade(layer) => self.upgrade(layer).await,
                // Its end was told to the session, which has nothing more to wait for.
                _ if self.is_lost => return None,
                Step::NeedTime => match self.wire.flush().await {
                    Ok(()) => self.wire.rest().await,
                    lost => lost,
                },
                Step::NeedInput | Step::NeedAnswer => match self.wire.flush().await {
                    Ok(()) => self.wire.fill().await,
                    lost => lost,
                },
            };
            if moved.is_err() {
                self.lose();
            }
        }
    }

    async fn upgrade(&mut self, layer: Layer) -> Result<(), Lost> {
        match (layer, &self.tls) {
            #[cfg(feature = "tls")]
            (Layer::Tls, Some(tls)) => {
                let side = tls.side();
                self.wire.start_tls(side).await
            }
            _ => {
                let now = self.wire.now();
                self.wire.machine.upgrade_failed(now, UpgradeError::Handshake);
                Ok(())
            }
        }
    }

    /// Tells the session that the socket has failed. Replies that had come before still count.
    fn lose(&mut self) {
        self.is_lost = true;
        let now = self.wire.now();
        self.wire.machine.handle_eof(now);
    }

    /// Lets the server object to a message that is half sent; `false` once it is not wanted any more.
    fn is_wanted(&mut self) -> bool {
        let (step, used) = self.wire.poll();
        let is_wanted = match step {
            Step::NeedAnswer => true,
            Step::Event(event) => {
                // The refusal of the message; more follows, and nothing of it is asked for here.
                self.told.push_back(event);
                false
            }
            _ => false,
        };
        self.wire.used(used);
        is_wanted
    }
}
