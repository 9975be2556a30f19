//! What a session remembers, and for how long.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pillarbox_core::line::{LineScanner, LineSkipper};

use super::CloseReason;
use super::Hello;
use super::body::{Body, Stray};
use super::login::Login;

/// What is true only for a while.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was said yet.
    Fresh,
    /// The connection was refused; the client may say QUIT.
    TurnedAway,
    /// Commands are read, and no transaction is open.
    Ready,
    /// Lines are responses of a SASL exchange, which is large and seldom there.
    Login(Box<Login>),
    /// MAIL was accepted, and so many recipients.
    Transaction { recipients: usize },
    /// The message arrives: what stands behind DATA, or a chunk of it.
    Body(Body),
    /// A chunk of the message was taken, and more are to come.
    Chunks(Body),
    /// A chunk arrives that nobody wants.
    Stray(Stray),
    /// The message was refused, with MAIL or with a chunk; a client that did not wait may send more of it: so much is eaten
    /// and is no mistake.
    Spoilt { recipients: usize, left: u64 },
    /// The message is complete; recipients from `next` on wait for their outcome.
    Stored { recipients: usize, next: usize },
    /// 220 to STARTTLS was written.
    Upgrading,
    /// Over.
    Closed(CloseReason),
}

/// What the embedder was asked.
#[derive(Debug)]
pub(super) enum Question {
    Connect,
    Hello(Hello<'static>),
    StartTls,
    ScramKeys(Box<Login>),
    CramChallenge,
    Login(Box<Login>),
    WrongProof,
    Mail(Kind),
    /// The domain of the recipient, if it is one more.
    Rcpt(Option<Box<str>>),
    Data,
    Chunk {
        size: u64,
        last: bool,
    },
    Outcome,
    Verify,
    Expand,
    Etrn,
}

/// What MAIL announced and later commands depend on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    /// BODY=BINARYMIME.
    pub(super) binary: bool,
    /// SMTPUTF8.
    pub(super) utf8: bool,
}

/// Whose turn it is. Bytes that a client sends before it read the reply it has to wait for are an attack on one of the two
/// sides (commands hidden in another protocol's request, a second message behind a first, clear text in front of TLS), or a
/// client that does not look at replies. They meet the same refusal however they were cut: the reply, for it may have left
/// already, then 554 and the end. Behind STARTTLS that is 220 and 554, both in clear text: the session closes instead of
/// asking for a handshake, so nothing that was said in front of one can count behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The client may send.
    Peer,
    /// A line that has to be waited on was read, and its reply is not written.
    Ours,
    /// Its reply is written and not sent.
    Flush,
    /// The client did not wait.
    Broken,
}

#[derive(Debug)]
pub(super) enum Framing {
    Line(LineScanner),
    /// In a line that is too long.
    Skip(LineSkipper),
}

/// What was heard while it could not be acted upon.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    pub(super) end_of_input: bool,
    pub(super) shut_down: bool,
    /// The peer does not take our replies.
    pub(super) stalled: bool,
}

/// What adds up over a connection.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) errors: u32,
    pub(super) idle: u32,
    pub(super) logins: u32,
    pub(super) mails: u32,
    /// Domains of accepted recipients, where they are counted.
    pub(super) domains: Vec<Box<str>>,
}
