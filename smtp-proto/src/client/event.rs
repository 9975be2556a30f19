//! What the client session tells and asks, and what it takes for an answer.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::sasl::SaslError;
use pillarbox_core::{Reply, UpgradeError};

use super::{Envelope, RecipientOutcome};
use crate::reply_parser::ReplyError;

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
/// half sent; it says [`NeedAnswer`](pillarbox_core::Step::NeedAnswer) when there was nothing of that kind. It says
/// [`NeedInput`](pillarbox_core::Step::NeedInput) while `NeedBody` is open if the next piece has no room before the
/// server's reply to the last chunk of BDAT; the question stays open, and only more input helps. Each
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
    /// ? The message is wanted: at least one recipient was accepted, or the message goes by BDAT in one flight with its
    /// envelope.
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
#[expect(clippy::large_enum_variant, reason = "an answer is made and taken, and lies nowhere")]
pub enum Answer<'a> {
    /// Send a message to these recipients. It is a [`Misuse`](pillarbox_core::Misuse) if there are none.
    Send(Envelope),
    /// There is no more to send: say goodbye.
    Quit,
    /// The next octets of the message, at most [`room`](pillarbox_core::Machine::room) of them. They are put on the wire
    /// with bare CR and LF repaired, behind DATA also with dots stuffed; those of a binary message go as they are. It is a
    /// [`Misuse`](pillarbox_core::Misuse) if the envelope says 7 bits and they hold others. Lines of more than 998 octets
    /// go as they are (RFC 5321 §4.5.3.1); a server that takes none refuses the message.
    Body(&'a [u8]),
    /// The message is complete.
    BodyEnd,
    /// The message cannot be completed. Behind DATA the connection is closed without an end mark, as there is no other way
    /// to keep half a message from being delivered; behind BDAT it goes on with RSET. The recipients are to be tried later.
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
    /// What the server called itself in its last answer to EHLO, if it gave one.
    pub server_name: Option<String>,
}

impl Failure {
    /// Whether another try at the same server can go better. Only one that greets us or answers a login with 5yz is
    /// hopeless, and credentials that no proof can be made of.
    pub fn is_temporary(&self) -> bool {
        if let FailureCause::AuthFailed(error) = self.cause {
            return !matches!(error, SaslError::Unprepared | SaslError::Empty | SaslError::Unsupported);
        }
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
    /// The login was refused.
    #[error("the login was refused")]
    AuthRefused,
    /// We gave the login up: the server asked for something odd or did not prove who it is, or the mechanism cannot carry
    /// the credentials.
    #[error("the login was given up: {0}")]
    AuthFailed(SaslError),
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
