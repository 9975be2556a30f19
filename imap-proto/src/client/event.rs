//! What the client session tells and asks, and what it takes for an answer.

use alloc::borrow::Cow;
use core::fmt;

use pillarbox_core::UpgradeError;
use pillarbox_core::sasl::SaslError;

use super::code::Status;
use super::fetch::Section;
use super::response::Response;

/// A command that was submitted, until [`Completed`](Event::Completed) or [`Lost`](Event::Lost) names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub(super) u64);

/// What happened. One is a question:
///
/// | event | ? | answers | taken back by |
/// |---|---|---|---|
/// | [`NeedMessage`](Event::NeedMessage) | ? | any number of `Body`, then `BodyEnd`; or `Abort` | [`Lost`](Event::Lost) |
/// | all others | | | |
///
/// It has no default answer: the session cannot invent mail. While it is open `poll` still reads, and says
/// [`NeedAnswer`](pillarbox_core::Step::NeedAnswer) when there was nothing. Each command that was submitted is settled by
/// exactly one `Completed` or `Lost`, whatever happens to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// The greeting, TLS, the login and what belongs to it are done. Commands that were submitted before are sent now.
    Ready,
    /// The server tells something: what a command asked for, or news.
    Response(Response),
    /// A section of a message begins; its octets follow, then [`SectionEnd`](Event::SectionEnd). What else the response says
    /// of the message comes behind all its sections with [`Response::Fetch`].
    Section(Section),
    /// Octets of the section, slices of the caller's buffer.
    Body(Cow<'b, [u8]>),
    /// The section is complete.
    SectionEnd,
    /// The server took IDLE.
    Idling,
    /// ? The next message of APPEND is wanted, as many octets as the command says.
    NeedMessage(CommandId),
    /// The end of a command, and what the server says to it.
    Completed {
        /// Which.
        id: CommandId,
        /// OK, NO or BAD.
        status: Status,
    },
    /// The session ended before the server said what became of this command. It may have been done. Or it names messages by
    /// their numbers, and was not sent yet when the server told of an expunge, which makes those mean others; then the
    /// session goes on.
    Lost {
        /// Which.
        id: CommandId,
        /// Some of it had left.
        was_sent: bool,
    },
    /// The connection is of no more use. [`Closed`](pillarbox_core::Step::Closed) follows.
    Failed(Failure),
}

impl Event<'_> {
    /// The same event with nothing borrowed.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::Body(octets) => Event::Body(Cow::Owned(octets.into_owned())),
            Event::Ready => Event::Ready,
            Event::Response(response) => Event::Response(response),
            Event::Section(section) => Event::Section(section),
            Event::SectionEnd => Event::SectionEnd,
            Event::Idling => Event::Idling,
            Event::NeedMessage(id) => Event::NeedMessage(id),
            Event::Completed { id, status } => Event::Completed { id, status },
            Event::Lost { id, was_sent } => Event::Lost { id, was_sent },
            Event::Failed(failure) => Event::Failed(failure),
        }
    }
}

/// What the embedder says to [`Event::NeedMessage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// The next octets of the message, at most [`room`](pillarbox_core::Machine::room) of them and no more than were
    /// announced. They go as they are.
    Body(&'a [u8]),
    /// The message is complete: as many octets were given as were announced.
    BodyEnd,
    /// The message cannot be completed. The connection is closed, as there is no other way to keep half of it from being
    /// stored.
    Abort,
}

impl Answer<'_> {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Answer::Body(_) => "Body",
            Answer::BodyEnd => "BodyEnd",
            Answer::Abort => "Abort",
        }
    }
}

/// Why a connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What went wrong.
    pub cause: FailureCause,
    /// The server's words, if words were the cause; none of what was said before TLS where that is required.
    pub status: Option<Status>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            Some(status) => write!(f, "{}: {status}", self.cause),
            None => self.cause.fmt(f),
        }
    }
}

impl core::error::Error for Failure {}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureCause {
    /// The greeting was no welcome.
    #[error("the server does not want us")]
    Refused,
    /// TLS is required and not offered, or the server was done with the login before it.
    #[error("the server offers no TLS")]
    TlsNotOffered,
    /// TLS is required, and the server said no to STARTTLS.
    #[error("the server refused TLS")]
    TlsRefused,
    /// TLS was not made.
    #[error("TLS: {0}")]
    Tls(UpgradeError),
    /// Something stood behind the OK to STARTTLS, which nobody can have said under TLS.
    #[error("the server sent more behind its OK to STARTTLS")]
    StartTlsInjection,
    /// Compression was not begun after the server had agreed to it.
    #[error("compression: {0}")]
    Compression(UpgradeError),
    /// The server offers no way to log in that fits the credentials and the policy.
    #[error("the server offers no login that can be used")]
    LoginNotOffered,
    /// The server said no to the login.
    #[error("the server refused the login")]
    LoginRefused,
    /// The login failed on our side: the server's proof is wrong, or no proof of ours can be made.
    #[error("the login failed: {0}")]
    LoginFailed(SaslError),
    /// The server said BYE.
    #[error("the server closes the connection")]
    Closing,
    /// The server sent what is no response, or one that is too long.
    #[error("the server sent what is no response")]
    BadResponse,
    /// The server answered what nobody asked, or before it was asked.
    #[error("the server answered what it was not asked")]
    UnaskedResponse,
    /// The server takes too long.
    #[error("the server takes too long")]
    Timeout,
    /// The connection was lost.
    #[error("the connection was lost")]
    ConnectionLost,
}

/// Why a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// LOGOUT was submitted.
    LoggedOut,
    /// A message could not be completed.
    Aborted,
    /// Our side stopped.
    ShutDown,
    /// Something went wrong; [`Event::Failed`] said what.
    Failed,
}
