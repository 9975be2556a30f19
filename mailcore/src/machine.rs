//! The contract of every protocol machine: bytes and answers in, events and bytes out.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::Time;

/// One side of one connection. Never touches a socket, a clock or a file.
///
/// The caller owns the unread bytes: [`poll`](Machine::poll) lends events out of them and advances the slice past what
/// was used. The machine owns the bytes to send: they grow in [`output`](Machine::output) until the caller says with
/// [`consume_output`](Machine::consume_output) that they left. Time is an argument, and only ever moves forward
/// (a smaller value counts as the last one).
///
/// # Laws
///
/// 1. *Split invariance*: any cutting of the input gives the same events (adjacent bodies merged) and the same output,
///    as long as nothing behind a synchronisation point of the protocol is shown before the output was flushed.
/// 2. *Progress*: `poll` on unchanged input reaches a step that is no event; [`Step::NeedInput`] is never returned while
///    at least [`max_unread`](Machine::max_unread) bytes are shown.
/// 3. *Bounds*: memory and `max_unread` follow from the limits in the configuration, whatever arrives.
/// 4. *Order*: one final reply per command, in command order.
/// 5. *Finality*: after [`Step::Closed`] nothing else is returned.
/// 6. *No panic* on any input.
/// 7. *Determinism*: equal inputs (bytes, answers, times, seeds) give byte-equal runs.
///
/// The laws are checked for any machine by the `laws` module (feature `dialog`).
pub trait Machine {
    /// What happened; some events are questions that [`answer`](Machine::answer) must answer. The bytes in it are lent
    /// out of the caller's own input.
    type Event<'b>;
    /// What the embedder says to a question.
    type Answer<'a>;

    /// Makes one step. Advances `input` past what was used; bytes left over must be shown again, first and unchanged.
    fn poll<'b>(&mut self, now: Time, input: &mut &'b [u8]) -> Step<Self::Event<'b>>;
    /// Answers the open question, whole or (where the protocol's table says so) in parts.
    ///
    /// # Errors
    ///
    /// [`Misuse`] if no question is open or the answer does not fit it; the state is then unchanged.
    fn answer(&mut self, now: Time, answer: Self::Answer<'_>) -> Result<(), Misuse>;
    /// The bytes to send, oldest first.
    fn output(&self) -> &[u8];
    /// The first `n` bytes of [`output`](Machine::output) were sent (more than there are counts as all).
    fn consume_output(&mut self, now: Time, n: usize);
    /// How many bytes a streamed answer may still add to the output; 0 means: flush first.
    fn room(&self) -> usize;
    /// When [`handle_timeout`](Machine::handle_timeout) wants to be called; `None` while nothing is timed.
    fn deadline(&self) -> Option<Time>;
    /// The time of [`deadline`](Machine::deadline) has come. Calling it early does nothing.
    fn handle_timeout(&mut self, now: Time);
    /// The peer will send no more bytes. Complete commands that are still unread are served first.
    fn handle_eof(&mut self, now: Time);
    /// The layer asked for with [`Step::Upgrade`] was started under the machine.
    ///
    /// # Errors
    ///
    /// [`Misuse`] if no upgrade was asked for, or the facts are of another layer.
    fn upgraded(&mut self, now: Time, facts: LayerFacts) -> Result<(), Misuse>;
    /// The layer asked for with [`Step::Upgrade`] could not be started. The connection ends: a machine never goes back
    /// to clear text on the same socket (RFC 3207 §4).
    fn upgrade_failed(&mut self, now: Time, why: UpgradeError);
    /// Our side stops: say goodbye (421, BYE) as soon as the protocol allows and finish what was acknowledged.
    fn shut_down(&mut self, now: Time);
    /// How many unread bytes the caller's buffer must be able to hold *now*. A ceiling, not an allocation.
    fn max_unread(&self) -> usize;
}

/// Implements [`Machine`] for a type by its inherent methods of the same names, which an embedder calls without importing
/// the trait.
///
/// ```text
/// machine_by_inherent_methods!(ServerSession, Event<'b> = Event<'b>, Answer<'a> = Answer<'a>);
/// ```
#[macro_export]
macro_rules! machine_by_inherent_methods {
    ($machine:ty, Event<$b:lifetime> = $event:ty, Answer<$a:lifetime> = $answer:ty) => {
        impl $crate::Machine for $machine {
            type Event<$b> = $event;
            type Answer<$a> = $answer;

            fn poll<$b>(&mut self, now: $crate::Time, input: &mut &$b [u8]) -> $crate::Step<$event> {
                self.poll(now, input)
            }

            fn answer(&mut self, now: $crate::Time, answer: Self::Answer<'_>) -> Result<(), $crate::Misuse> {
                self.answer(now, answer)
            }

            fn output(&self) -> &[u8] {
                self.output()
            }

            fn consume_output(&mut self, now: $crate::Time, n: usize) {
                self.consume_output(now, n);
            }

            fn room(&self) -> usize {
                self.room()
            }

            fn deadline(&self) -> Option<$crate::Time> {
                self.deadline()
            }

            fn handle_timeout(&mut self, now: $crate::Time) {
                self.handle_timeout(now);
            }

            fn handle_eof(&mut self, now: $crate::Time) {
                self.handle_eof(now);
            }

            fn upgraded(&mut self, now: $crate::Time, facts: $crate::LayerFacts) -> Result<(), $crate::Misuse> {
                self.upgraded(now, facts)
            }

            fn upgrade_failed(&mut self, now: $crate::Time, why: $crate::UpgradeError) {
                self.upgrade_failed(now, why);
            }

            fn shut_down(&mut self, now: $crate::Time) {
                self.shut_down(now);
            }

            fn max_unread(&self) -> usize {
                self.max_unread()
            }
        }
    };
}

/// What [`Machine::poll`] came to. Exhaustive on purpose: a driver that misses one does not compile.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<E> {
    /// Something happened. Some events are questions; each protocol has a table that says which.
    Event(E),
    /// Nothing complete is left and no question is open: flush, then bring bytes, EOF, the timeout, or news from the store.
    /// A client says so, too, while it asks for a message of which no more has room before the server's next reply.
    NeedInput,
    /// The last question is still open. A server reads nothing before the answer. A client has read what it was shown, as
    /// its server may refuse the rest of a message or close the connection: show it more when bytes come, flush, and answer.
    NeedAnswer,
    /// A delay is being served: do not read; wait for [`Machine::deadline`].
    NeedTime,
    /// Flush, start this layer under the machine, then call [`Machine::upgraded`] or [`Machine::upgrade_failed`].
    Upgrade(Layer),
    /// Flush and close the connection; the machine's `close_reason()` says why.
    Closed,
}

impl<E> Step<E> {
    /// Changes the event and keeps the step.
    pub fn map<F>(self, change: impl FnOnce(E) -> F) -> Step<F> {
        match self {
            Step::Event(event) => Step::Event(change(event)),
            Step::NeedInput => Step::NeedInput,
            Step::NeedAnswer => Step::NeedAnswer,
            Step::NeedTime => Step::NeedTime,
            Step::Upgrade(layer) => Step::Upgrade(layer),
            Step::Closed => Step::Closed,
        }
    }
}

/// A layer that a machine can ask to be put between it and the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer {
    /// TLS (STARTTLS of RFC 3207 and RFC 9051 §6.2.1).
    Tls,
    /// DEFLATE (COMPRESS of RFC 4978).
    Deflate,
}

/// What is known about a layer that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerFacts {
    /// TLS, with what the handshake told.
    Tls(TlsFacts),
    /// DEFLATE; there is nothing to tell.
    Deflate,
}

/// What a TLS handshake told. With implicit TLS it goes into the constructor of a session, with STARTTLS into
/// [`Machine::upgraded`].
///
/// ```
/// use pillarbox_core::TlsFacts;
///
/// let mut facts = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
/// facts.alpn = Some(b"imap".to_vec());
/// assert_eq!(facts.to_string(), "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFacts {
    /// The protocol version in its usual spelling: `TLSv1.2`, `TLSv1.3`.
    pub version: String,
    /// The cipher suite by its IANA name.
    pub cipher: String,
    /// The application protocol that was agreed on (RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// The server name that the client asked for (RFC 6066 §3).
    pub sni: Option<String>,
    /// The peer's certificate in DER, if it showed one.
    pub peer_certificate: Option<Vec<u8>>,
    /// The channel binding `tls-exporter` (RFC 9266).
    pub exporter: Option<[u8; 32]>,
}

impl TlsFacts {
    /// Facts with a version and a cipher suite; the rest is filled in by assignment.
    pub fn new(version: impl Into<String>, cipher: impl Into<String>) -> Self {
        TlsFacts { version: version.into(), cipher: cipher.into(), ..TlsFacts::default() }
    }
}

impl fmt::Display for TlsFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with cipher {}", self.version, self.cipher)
    }
}

/// Why a certificate was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It is for another name than that of the host that was asked for.
    #[error("the certificate is for another name")]
    OtherName,
    /// Its time is over, or has not come yet.
    #[error("the certificate is not valid at this time")]
    Expired,
    /// No authority that is trusted stands behind it, or it is no sound certificate.
    #[error("the certificate does not come from an authority that is trusted")]
    Untrusted,
    /// It is not one that the DNS tells (RFC 6698).
    #[error("the certificate is not one that the TLSA records tell")]
    OtherThanTlsa,
}

/// Why a layer could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The handshake failed: no common version or cipher, a bad record, a peer who broke it off.
    #[error("the handshake failed")]
    Handshake,
    /// The peer's certificate was refused.
    #[error("{0}")]
    Certificate(CertificateFault),
    /// The handshake took too long.
    #[error("the handshake timed out")]
    Timeout,
    /// The connection was lost during the handshake.
    #[error("the connection was lost during the handshake")]
    ConnectionLost,
}

/// The embedder called a method that the state does not allow. Never caused by what a peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// An answer came while no question was open.
    #[error("no question is open: call poll() until it returns a question")]
    NoOpenQuestion,
    /// The answer does not fit the open question.
    #[error("the open question {question} cannot be answered with {answer}")]
    WrongAnswer {
        /// The question that is open.
        question: &'static str,
        /// The answer that was given.
        answer: &'static str,
    },
    /// A layer was reported that was not asked for.
    #[error("no layer was asked for: wait for Step::Upgrade")]
    NoUpgrade,
    /// A text that the embedder gave cannot stand in the protocol: it holds CR, LF, NUL or another forbidden octet.
    #[error("{what} holds an octet that the protocol forbids there")]
    ForbiddenOctet {
        /// Which text.
        what: &'static str,
    },
    /// More bytes were given than [`Machine::room`] or an announced length allows.
    #[error("{what} is longer than was announced or there is room for")]
    TooLong {
        /// What was too long.
        what: &'static str,
    },
    /// A command that the machine does not take from its embedder in this state: it would change what lies under it.
    #[error("{command} cannot be submitted: {why}")]
    ForbiddenCommand {
        /// Which.
        command: &'static str,
        /// Why not.
        why: &'static str,
    },
}
