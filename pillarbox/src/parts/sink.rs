//! Where accepted messages go.

use std::sync::{Arc, Mutex};

use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::{Reply, WallTime};
use pillarbox_smtp::command::{DeliverBy, FutureRelease, MtPriority};
use pillarbox_smtp::server::{BodyKind, Notify, Orcpt, Ret};

use super::{BoxFuture, Session};

/// Who a message is from and for, with what the sink needs to write about its way here.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Envelope {
    /// The name of this message in logs and in its Received field.
    pub id: String,
    /// Where notices about it go.
    pub from: ReversePath<'static>,
    /// The recipients that were accepted, in order.
    pub recipients: Vec<ForwardPath<'static>>,
    /// Header fields to write in front of the message (Received), each ended by CRLF.
    pub trace: Vec<u8>,
    /// The size that the client announced.
    pub size: Option<u64>,
    /// What kind of body the client announced. [`BodyKind::BinaryMime`] comes only where the configuration offers it: its
    /// octets have to be kept as they are.
    pub body: BodyKind,
    /// Addresses and header may hold UTF-8 (RFC 6531).
    pub smtputf8: bool,
    /// How much of the message a notice of its failure should hold (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// The sender's name for this message, to be repeated in notices (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// What notices are wanted about each of the recipients, in their order. Empty: nobody said.
    pub notices: Vec<Notices>,
    /// From here on it may only go where TLS protects it, or back (RFC 8689 §4). This and what follows comes only where the
    /// configuration offers it, which is a promise of yours.
    pub require_tls: bool,
    /// When it may be released; a hold begins at [`arrived`](Self::arrived) (RFC 4865).
    pub future_release: Option<FutureRelease>,
    /// How soon it has to be delivered, from [`arrived`](Self::arrived) on (RFC 2852).
    pub deliver_by: Option<DeliverBy>,
    /// Its priority (RFC 6710).
    pub mt_priority: Option<MtPriority>,
    /// When MAIL came; of use with the times above.
    pub arrived: Option<WallTime>,
    /// The session that brings it.
    pub session: Session,
}

/// What the sender said about notices on one recipient (RFC 3461 §4.1, §4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notices {
    /// When to send one; `None` leaves it to the server.
    pub notify: Option<Notify>,
    /// The recipient as the sender named it.
    pub orcpt: Option<Orcpt<'static>>,
}

impl Notices {
    /// What RCPT said.
    pub const fn new(notify: Option<Notify>, orcpt: Option<Orcpt<'static>>) -> Self {
        Notices { notify, orcpt }
    }
}

impl Envelope {
    /// An envelope with a name, a sender and recipients.
    pub fn new(id: impl Into<String>, from: ReversePath<'static>, recipients: Vec<ForwardPath<'static>>) -> Self {
        Envelope {
            id: id.into(),
            from,
            recipients,
            trace: Vec::new(),
            size: None,
            body: BodyKind::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            notices: Vec::new(),
            require_tls: false,
            future_release: None,
            deliver_by: None,
            mt_priority: None,
            arrived: None,
            session: Session::default(),
        }
    }
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is on stable storage.
    Delivered,
    /// It is not; the reply says whether for now (4yz) or for good (5yz).
    Refused(Reply),
}

/// Why a sink cannot take a message. The peer gets `reply`; `cause` is for our own logs.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause}")]
#[non_exhaustive]
pub struct SinkError {
    /// What the peer is told.
    pub reply: Reply,
    /// What happened.
    pub cause: String,
}

impl SinkError {
    /// An error with the peer's reply and the private cause.
    pub fn new(reply: Reply, cause: impl Into<String>) -> Self {
        SinkError { reply, cause: cause.into() }
    }
}

/// Where accepted messages go.
pub trait MessageSink: Send + Sync {
    /// Begins a message whose recipients are known.
    fn begin(&self, envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>>;
}

/// A message on its way into a sink. Dropping it leaves nothing behind.
pub trait IncomingMessage: Send {
    /// The next octets.
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>>;
    /// The message is complete: brings it to stable storage, and says for each recipient, in order, what became of it.
    ///
    /// With `all_or_nothing` (SMTP: one reply for all) either every recipient is delivered or none is.
    fn commit(self: Box<Self>, all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>>;
}

/// A message that a [`MemorySink`] holds.
#[derive(Clone, Debug)]
pub struct MemoryMessage {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its octets, the trace fields in front.
    pub octets: Vec<u8>,
}

/// Keeps messages in memory, for tests.
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    messages: Arc<Mutex<Vec<MemoryMessage>>>,
}

impl MemorySink {
    /// An empty sink.
    pub fn new() -> Self {
        MemorySink::default()
    }

    /// The messages so far.
    pub fn messages(&self) -> Vec<MemoryMessage> {
        self.messages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

struct MemoryIncoming {
    sink: MemorySink,
    message: MemoryMessage,
}

impl MessageSink for MemorySink {
    fn begin(&self, envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        let octets = envelope.trace.clone();
        let incoming = MemoryIncoming { sink: self.clone(), message: MemoryMessage { envelope, octets } };
        Box::pin(std::future::ready(Ok(Box::new(incoming) as Box<dyn IncomingMessage>)))
    }
}

impl IncomingMessage for MemoryIncoming {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        self.message.octets.extend_from_slice(octets);
        Box::pin(std::future::ready(Ok(())))
    }

    fn commit(self: Box<Self>, _all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>> {
        let outcomes = vec![Outcome::Delivered; self.message.envelope.recipients.len()];
        self.sink.messages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(self.message);
        Box::pin(std::future::ready(outcomes))
    }
}
