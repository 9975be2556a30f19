//! What the client session tells and asks, and what it takes for an answer.

use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::{Reply, UpgradeError};

use crate::reply_parser::ReplyError;
use crate::server::BodyKind;

/// What happened. Events marked with a question mark are questions; they stay open until they are answered, or until the
/// session takes them back:
///
/// | event | ? | answers | taken back by |
/// |---|---|---|---|
/// | [`Ready`](Event::Ready) | ? | `Send`, `Quit` | [`Failed`](Event::Failed) |
/// | [`RcptReply`](Event::RcptReply) | | | |
/// | [`NeedBody`](Event::NeedBody) | ? | any number of `Body`, then `BodyEnd`; or `Abort` | [`BodyRefused`](Event::BodyRefused) |
/// | [`BodyRefused`](Event::BodyRefused), [`Sent`](Event::Sent), [`Failed`](Event::Failed) | | | |
///
/// No question has a default answer: the session cannot invent mail.
///
/// While a question is open `poll` still reads, because the server may close the connection or refuse a message that is
/// half sent; it says [`NeedAnswer`](pillarbox_core::Step::NeedAnswer) when there was nothing of that kind. Each
/// [`Send`](Answer::Send) is settled by exactly one [`Sent`](Event::Sent), whatever happens to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// ? The connection waits for a message.
    Ready,
    /// The reply to a RCPT, early news of what [`Sent`](Event::Sent) will say.
    RcptReply {
        /// Which of the envelope's recipients, counted from 0.
        index: usize,
        /// What the server said.
        reply: Reply,
    },
    /// ? At least one recipient was accepted: the message is wanted.
    NeedBody,
    /// The question [`NeedBody`](Event::NeedBody) is taken back: the server refused the message before its end, the
    /// connection was lost, or our side stops. The outcomes follow with [`Sent`](Event::Sent).
    BodyRefused {
        /// What the server said, if it said something.
        reply: Option<Reply>,
    },
    /// What became of a message, for each recipient of its envelope, in that order.
    Sent(Vec<RecipientOutcome>),
    /// The connection is of no more use. [`Closed`](pillarbox_core::Step::Closed) follows.
    Failed(Failure),
}

/// What the embedder says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// Send a message to these recipients. It is a [`Misuse`](pillarbox_core::Misuse) if there are none.
    Send(Envelope),
    /// There is no more to send: say goodbye.
    Quit,
    /// The next octets of the message, at most [`room`](pillarbox_core::Machine::room) of them. They are put on the wire
    /// with dots stuffed and bare CR and LF repaired. Lines of more than 998 octets go as they are (RFC 5321 §4.5.3.1); a
    /// server that takes none refuses the message.
    Body(&'a [u8]),
    /// The message is complete.
    BodyEnd,
    /// The message cannot be completed. The connection is closed without an end mark, as there is no other way to keep
    /// half a message from being delivered; the recipients are to be tried later.
    Abort,
}

impl Answer<'_> {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Answer::Send(_) => "Send",
            Answer::Quit => "Quit",
            Answer::Body(_) => "Body",
            Answer::BodyEnd => "BodyEnd",
            Answer::Abort => "Abort",
        }
    }
}

/// From whom, to whom, and what the server has to know of the message.
///
/// Paths are parsed ones, so nothing in them can end a command: text with CR, LF, NUL or a stray `>` does not become a path.
///
/// ```
/// use pillarbox_core::address::Address;
/// use pillarbox_smtp::client::Envelope;
///
/// let from = Address::parse("joe@c.example")?;
/// let mut envelope = Envelope::new(from.into_owned().into(), [Address::parse("u@own.example")?.into_owned()]);
/// envelope.size = Some(1234);
/// assert!(Address::parse("u@own.example>\r\nRSET").is_err());
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// Where notices about the message go; may be null.
    pub from: ReversePath<'static>,
    /// To whom. A server need not take more than 100 at once (RFC 5321 §4.5.3.1.8).
    pub recipients: Vec<Recipient>,
    /// The size of the message in octets with CRLF line ends and without stuffed dots (RFC 1870 §3), if it is known.
    pub size: Option<u64>,
    /// Whether the message holds octets beyond ASCII.
    pub body: BodyKind,
}

impl Envelope {
    /// An envelope for a message of 7 bits and unknown size.
    pub fn new<R: Into<Recipient>>(from: ReversePath<'static>, recipients: impl IntoIterator<Item = R>) -> Self {
        Envelope {
            from,
            recipients: recipients.into_iter().map(Into::into).collect(),
            size: None,
            body: BodyKind::SevenBit,
        }
    }
}

/// One recipient of an [`Envelope`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// Where to.
    pub to: ForwardPath<'static>,
}

impl<P: Into<ForwardPath<'static>>> From<P> for Recipient {
    fn from(to: P) -> Self {
        Recipient { to: to.into() }
    }
}

/// What became of a message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecipientOutcome {
    /// The server took it over (2yz to the end of data, in LMTP for this recipient). From now on it is the server's.
    Delivered(Reply),
    /// The server will never take it (5yz).
    Refused(Reply),
    /// Try again: the server said so (4yz), or the connection ended before it said anything about this recipient.
    Later(Option<Reply>),
    /// This server cannot take it, and nothing was sent.
    Impossible(Lack),
}

/// What a message needs and a server does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
    /// An address holds characters beyond ASCII, and there is no SMTPUTF8 (RFC 6531 §3.2).
    SmtpUtf8,
    /// The message holds octets beyond ASCII, and there is no 8BITMIME (RFC 6152 §3).
    EightBitMime,
    /// The message is larger than the server's SIZE (RFC 1870 §5).
    Size {
        /// What the server takes, in octets.
        max: u64,
    },
    /// The envelope has more recipients than the server takes at once (RFC 9422). They can have the message with another
    /// [`Send`](Answer::Send).
    Recipients {
        /// How many the server takes.
        max: u64,
    },
}

impl Lack {
    /// The reply that the server would have given; for a notice to the sender.
    pub fn reply(&self) -> Reply {
        match self {
            // RFC 6531 §3.5
            Lack::SmtpUtf8 => Reply::enhanced(553, 5, 6, 7, "the next server does not offer SMTPUTF8"),
            // RFC 3463 §3.7
            Lack::EightBitMime => Reply::enhanced(554, 5, 6, 3, "the next server does not offer 8BITMIME"),
            // RFC 1870 §6.3, RFC 3463 §3.4
            Lack::Size { max } => {
                Reply::enhanced(552, 5, 3, 4, alloc::format!("the next server takes no more than {max} octets"))
            }
            // RFC 5321 §4.5.3.1.10, RFC 3463 §3.6
            Lack::Recipients { max } => Reply::enhanced(
                452,
                4,
                5,
                3,
                alloc::format!("too many recipients for the next server, which takes {max}"),
            ),
        }
    }
}

/// Why a connection is of no more use. It says nothing about mail: that was settled with [`Event::Sent`] before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// How far the session was.
    pub phase: Phase,
    /// What went wrong, and by that whose fault it is.
    pub cause: FailureCause,
    /// The server's words, if words were the cause.
    pub reply: Option<Reply>,
}

impl Failure {
    /// Whether another try at the same server can go better. Only one that greets us or answers a login with 5yz is hopeless.
    pub fn is_temporary(&self) -> bool {
        let is_final = self.reply.as_ref().is_some_and(Reply::is_permanent);
        if is_final && self.cause == FailureCause::AuthRefused {
            return false;
        }
        !(is_final && self.cause == FailureCause::Refused && matches!(self.phase, Phase::Greeting | Phase::Hello))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.phase, self.cause)?;
        match &self.reply {
            Some(reply) => write!(f, ": {reply}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for Failure {}

/// How far a client session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Before the greeting.
    Greeting,
    /// EHLO, HELO or LHLO.
    Hello,
    /// STARTTLS and the handshake.
    StartTls,
    /// Between messages.
    Idle,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The message itself.
    Body,
    /// The end mark is written, a final reply is not there.
    EndOfData,
    /// RSET.
    Reset,
    /// QUIT, or the end.
    Quit,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Greeting => "greeting",
            Phase::Hello => "EHLO",
            Phase::StartTls => "STARTTLS",
            Phase::Idle => "between messages",
            Phase::Auth => "AUTH",
            Phase::Mail => "MAIL",
            Phase::Rcpt => "RCPT",
            Phase::Data => "DATA",
            Phase::Body => "message",
            Phase::EndOfData => "end of data",
            Phase::Reset => "RSET",
            Phase::Quit => "QUIT",
        })
    }
}

/// What made a connection useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureCause {
    /// The server said no (4yz, 5yz) where there is no way around.
    #[error("refused")]
    Refused,
    /// The server closes the connection (421, RFC 5321 §3.8).
    #[error("the server closes the connection")]
    Closing,
    /// The server refused a message before its end. The rest cannot be sent, and without it the server stays in the body.
    #[error("the message was refused before its end")]
    BodyRefused,
    /// The server said yes where that is no answer, such as 250 to DATA.
    #[error("the reply does not fit the command")]
    UnexpectedReply,
    /// The server said something that was not asked for: nobody knows any more which reply belongs to which command.
    #[error("a reply came that nothing had asked for")]
    UnaskedReply,
    /// The server sent something that is no reply.
    #[error("{0}")]
    BadReply(ReplyError),
    /// The connection ended.
    #[error("the connection was lost")]
    ConnectionLost,
    /// The server took longer than allowed.
    #[error("timed out")]
    Timeout,
    /// TLS is required and the server does not offer it.
    #[error("TLS is required and not offered")]
    TlsNotOffered,
    /// TLS is required and the server said no to STARTTLS.
    #[error("TLS is required and was refused")]
    TlsRefused,
    /// The server offers no mechanism that fits the login, or none that may be used without TLS.
    #[error("no mechanism for the login is offered")]
    AuthNotOffered,
    /// The login was refused, or we gave it up because the server asked for something odd.
    #[error("the login was refused")]
    AuthRefused,
    /// Bytes stood behind the reply to STARTTLS: somebody wants them to be taken for ones that came over TLS.
    #[error("bytes stood behind the reply to STARTTLS")]
    StartTlsInjection,
    /// The handshake failed.
    #[error("{0}")]
    Tls(UpgradeError),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// [`Answer::Quit`].
    Quit,
    /// [`Answer::Abort`].
    Aborted,
    /// The server takes no more messages in this session (RFC 9422); a new one may go on.
    MailMax,
    /// [`Event::Failed`] said why.
    Failed,
    /// Our side stopped.
    ShutDown,
}
