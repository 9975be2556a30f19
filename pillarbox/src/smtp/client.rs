//! Sending messages over one connection to a server of SMTP or LMTP.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use pillarbox_core::address::{Address, Domain, ForwardPath, ReversePath};
use pillarbox_core::{Misuse, Step, UpgradeError};
use pillarbox_smtp::client::{
    Answer, Capabilities, ClientConfig, ClientSession, Envelope, Event, Failure, Protocol, RecipientOutcome, StartTls,
};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::ToSocketAddrs;

use crate::crypto::SystemRandom;
use crate::net::{ClientTls, Dialect, Transcript, Transport, Wire, begin, dial, early_input, proofs, upgrade};
use crate::parts::{Clock, Silent, SystemClock};

/// The port of SMTP.
const SMTP_PORT: u16 = 25;
/// What is read of a message at a time.
const PIECE: usize = 16 * 1024;
/// With less room than this, what is there is sent before more is read.
const PIECE_MIN: usize = 4 * 1024;

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
/// All that a session can do is done here as its [`ClientConfig`] and each [`Envelope`] say: logins by SCRAM bound to TLS,
/// BDAT, notices, addresses beyond ASCII. Where a server without SMTPUTF8 meets a domain beyond ASCII, and nothing else is,
/// the domain goes in its A-labels.
///
/// A login belongs to one host. TLS is made with the name that [`ClientTls`] was given, whatever address or MX record led
/// to it, and without a certificate for that name nobody is told a password.
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
    /// LMTP is not spoken on the port of SMTP, where a server could take it for that (RFC 2033 §5).
    #[error("LMTP must not be spoken on port 25")]
    LmtpOnSmtpPort,
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
    /// The message could not be read to its end. It was given up before the server could take what it had for a whole
    /// message; where that took closing the connection, [`is_open`](SmtpClient::is_open) says so.
    #[error("the message cannot be read: {0}")]
    Body(#[source] std::io::Error),
    /// The message holds octets beyond ASCII, and its envelope says 7 bits. It was given up in the same way.
    #[error("the message holds octets beyond ASCII, and its envelope says 7 bits")]
    NotAsAnnounced,
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
        let is_lmtp = config.protocol == Protocol::Lmtp;
        // RFC 2033 §5
        let allow = |addresses: &[SocketAddr]| match addresses.iter().any(|address| address.port() == SMTP_PORT) {
            true if is_lmtp => Err(ConnectError::LmtpOnSmtpPort),
            _ => Ok(()),
        };
        let stream = dial(address, &*clock, allow, ConnectError::Connect).await?;
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
        let (transport, facts) = begin(tls.as_ref(), Box::new(transport), &*clock).await.map_err(ConnectError::Tls)?;
        let mut transport = transport;
        let session = match facts {
            Some(facts) => ClientSession::over_tls(config, facts),
            None => ClientSession::new(config),
        };
        let session = session.with_crypto(proofs(), SystemRandom::default());
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
        mut envelope: Envelope,
        mut body: impl AsyncRead + Unpin,
    ) -> Result<Vec<RecipientOutcome>, SendError> {
        if envelope.recipients.is_empty() {
            return Err(SendError::NoRecipients);
        }
        if !self.capabilities().has("SMTPUTF8") {
            add_a_labels(&mut envelope);
        }
        let now = self.wire.now();
        if self.wire.machine.answer(now, Answer::Send(envelope)).is_err() {
            return Err(SendError::Ended);
        }
        let mut outcomes = None;
        let mut broken = None;
        // What happens behind `Sent` belongs to this message too: the connection is ready for the next one or it ends.
        loop {
            match self.next().await {
                Some(Event::NeedBody) => broken = self.body(&mut body).await.err(),
                Some(Event::Sent(sent)) => outcomes = Some(sent),
                Some(Event::Ready) | None => break,
                Some(_) => {}
            }
        }
        if let Some(error) = broken {
            return Err(error);
        }
        Ok(outcomes.unwrap_or_else(|| unreachable!("a session settles each message")))
    }

    /// What the server said it can do.
    pub const fn capabilities(&self) -> &Capabilities {
        self.wire.machine.capabilities()
    }

    /// Whether the connection is under TLS.
    pub const fn is_encrypted(&self) -> bool {
        self.wire.machine.tls().is_some()
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
    async fn body(&mut self, body: &mut (impl AsyncRead + Unpin)) -> Result<(), SendError> {
        let mut piece = vec![0; PIECE];
        loop {
            let room = self.wire.machine.room().min(PIECE);
            if room > 0 {
                let read = self.read(body, &mut piece[..room]).await;
                let now = self.wire.now();
                let answer = match read {
                    Ok(0) => Answer::BodyEnd,
                    Ok(read) => Answer::Body(&piece[..read]),
                    Err(error) => {
                        // An end now would have half a message delivered.
                        let _ = self.wire.machine.answer(now, Answer::Abort);
                        return Err(SendError::Body(error));
                    }
                };
                let is_end = matches!(answer, Answer::BodyEnd);
                match self.wire.machine.answer(now, answer) {
                    Ok(()) if is_end => return Ok(()),
                    Ok(()) => {}
                    Err(Misuse::ForbiddenOctet { .. }) => {
                        let _ = self.wire.machine.answer(now, Answer::Abort);
                        return Err(SendError::NotAsAnnounced);
                    }
                    // The question was taken back: the server has said no, or time is up.
                    Err(_) => return Ok(()),
                }
            }
            // Pieces leave together while there is room, the last one with the end.
            if self.wire.machine.room() < PIECE_MIN && !self.is_wanted().await {
                return Ok(());
            }
        }
    }

    /// Reads a piece of a message. If that takes time, what was said before leaves first.
    async fn read(&mut self, body: &mut (impl AsyncRead + Unpin), piece: &mut [u8]) -> std::io::Result<usize> {
        let mut read = pin!(body.read(piece));
        if let Poll::Ready(read) = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await {
            return read;
        }
        if self.wire.flush().await.is_err() {
            self.lose();
        }
        read.await
    }

    /// The next event; `None` once the session is closed.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let told = self.told.pop_front();
            let (step, used) = match told {
                Some(event) => (Step::Event(event), 0),
                None => self.wire.poll(),
            };
            self.wire.used(used);
            let moved = match step {
                Step::Event(event) => {
                    if let Event::Failed(failure) = &event {
                        self.failure = Some(failure.clone());
                    }
                    return Some(event);
                }
                Step::Closed => return None,
                Step::Upgrade(layer) => upgrade(&mut self.wire, layer, self.tls.as_ref()).await,
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

    /// Tells the session that the socket has failed. Replies that had come before still count.
    fn lose(&mut self) {
        self.is_lost = true;
        let now = self.wire.now();
        self.wire.machine.handle_eof(now);
    }

    /// Sends what is there and lets the server object to a message that is half sent, or take so much that there is room
    /// again; `false` once no more is wanted.
    async fn is_wanted(&mut self) -> bool {
        if self.wire.flush().await.is_err() {
            self.lose();
        }
        loop {
            let (step, used) = self.wire.poll();
            self.wire.used(used);
            match step {
                Step::NeedAnswer => return true,
                // Early news of a recipient is no end; a refusal of the message is, and more follows it.
                Step::Event(event) => {
                    let is_news = matches!(event, Event::RcptReply { .. });
                    self.told.push_back(event);
                    if !is_news {
                        return false;
                    }
                }
                // The server's reply to a chunk has to be there before the next one.
                Step::NeedInput if !self.is_lost => {
                    let moved = match self.wire.flush().await {
                        Ok(()) => self.wire.fill().await,
                        lost => lost,
                    };
                    if moved.is_err() {
                        self.lose();
                    }
                }
                _ => return false,
            }
        }
    }
}

/// Gives domains beyond ASCII their A-labels, where the envelope has none.
fn add_a_labels(envelope: &mut Envelope) {
    if let ReversePath::Address(from) = &envelope.from {
        add_a_label(&mut envelope.from_ascii_domain, from);
    }
    for recipient in &mut envelope.recipients {
        if let ForwardPath::Address(to) = &recipient.to {
            add_a_label(&mut recipient.ascii_domain, to);
        }
    }
}

fn add_a_label(ascii: &mut Option<Domain<'static>>, address: &Address<'_>) {
    let name = address.domain().name().filter(|name| !name.is_ascii());
    if let (None, Some(name)) = (&ascii, name) {
        // A name without a form in ASCII stays as it is, and the session says what is lacking.
        let label = pillarbox_auth::idn::to_ascii(name).ok();
        *ascii = label.and_then(|label| Domain::parse(&label).ok().map(Domain::into_owned));
    }
}
