//! What a schedule is told, and what it says.

use std::sync::Arc;

use pillarbox_core::EnhancedCode;

use crate::envelope::DeliverBy;
use crate::{Envelope, MessageId};

/// A message as a schedule needs to know it.
///
/// ```
/// use pillarbox_core::WallTime;
/// use pillarbox_core::address::ReversePath;
/// use pillarbox_spool::{Envelope, Item, MessageId};
///
/// let envelope = Envelope::new(WallTime::new(1_700_000_000, 0), ReversePath::Null, []);
/// let item = Item::new(MessageId::from_octets([1; 10]), &envelope)
///     .route("example.com", [0, 2])
///     .route("example.net", [1]);
/// assert_eq!(item.routes.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// The message.
    pub id: MessageId,
    /// Who sent it; `None` is the null path.
    pub sender: Option<String>,
    /// When it was received, in seconds since 1970.
    pub received: i64,
    /// Before when it is not tried, in seconds since 1970. The time until then does not count for its age.
    pub hold_until: Option<i64>,
    /// By when it has to be delivered.
    pub deliver_by: Option<DeliverBy>,
    /// Which goes first: -9 to 9, more is sooner.
    pub priority: i8,
    /// It is held until it is released.
    pub held: bool,
    /// It was released and not tried since: it is tried once more, however old it is.
    pub is_owed: bool,
    /// Its sender knows that it is late, or does not want to.
    pub is_noticed: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last, in seconds since 1970.
    pub last_attempt: Option<i64>,
    /// Where its recipients are to be sent.
    pub routes: Vec<Route>,
}

/// The recipients of a message that go one way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// What is shared with others that go the same way: a domain, or the name of a smart host. The schedule only compares it.
    pub destination: String,
    /// The recipients' places in the envelope.
    pub recipients: Vec<u32>,
}

impl Item {
    /// A message that goes nowhere yet.
    pub fn new(id: MessageId, envelope: &Envelope) -> Self {
        Item {
            id,
            sender: envelope.from.address().map(ToString::to_string),
            received: envelope.received.unix_seconds(),
            hold_until: envelope.hold_until.map(|date| date.unix_seconds()),
            deliver_by: envelope.deliver_by,
            priority: envelope.priority,
            held: false,
            is_owed: false,
            // RFC 5321 §4.5.5
            is_noticed: envelope.from.is_null(),
            attempts: 0,
            last_attempt: None,
            routes: Vec::new(),
        }
    }

    /// Adds recipients that go to a destination.
    #[must_use]
    pub fn route(mut self, destination: impl Into<String>, recipients: impl IntoIterator<Item = u32>) -> Self {
        let recipients = recipients.into_iter().collect();
        self.routes.push(Route { destination: destination.into(), recipients });
        self
    }
}

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Due {
    /// These recipients are to be tried now. [`Schedule::report`](crate::Schedule::report) has to follow.
    Attempt(Task),
    /// These recipients are to be given up, and the sender told. [`Schedule::report`](crate::Schedule::report) has to follow, when that is durable.
    Expired(Task, Reason),
    /// The sender is to be told that these recipients are waiting still. It is said once.
    Late(MessageId, Vec<u32>, Reason),
}

/// Why something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The message is that old.
    Age,
    /// The time is over that its sender gave (RFC 2852).
    DeliverBy,
}

/// Recipients of one message that go to one destination. Nobody else has them until it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Task {
    /// The message.
    pub id: MessageId,
    /// Where to.
    pub destination: Arc<str>,
    /// The recipients' places in the envelope.
    pub recipients: Vec<u32>,
    /// How often they were tried before.
    pub attempts: u32,
    /// The destination was in trouble the last time, or keeps others waiting.
    pub is_doubtful: bool,
    pub(super) job: u32,
    pub(super) is_attempt: bool,
}

/// Of which destinations attempts are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Those of which nothing bad is known.
    pub sound: bool,
    /// Those that were in trouble the last time, or keep others waiting.
    pub doubtful: bool,
}

impl Lanes {
    /// All of them.
    pub const ALL: Lanes = Lanes { sound: true, doubtful: true };
}

/// What came of a [`Task`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempted {
    /// Recipients of the task that have a final outcome. The others are tried again.
    pub done: Vec<u32>,
    /// How the destination was.
    pub health: Health,
    /// What the others were refused with.
    pub fault: Option<Fault>,
}

/// How a destination was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nothing can be said: it was not spoken to.
    #[default]
    Unknown,
    /// It took messages, or refused some for reasons of their own.
    Good,
    /// It did not answer, or wanted nothing of us: no connection, 421, a refusal at the greeting.
    Trouble,
}

/// Why recipients are waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The code of the reply; 0 if there was none.
    pub code: u16,
    /// Its enhanced code, or ours.
    pub status: Option<EnhancedCode>,
}

impl Attempted {
    /// All recipients that were tried are done, at a destination that works.
    pub fn all(task: &Task) -> Self {
        Attempted { done: task.recipients.clone(), health: Health::Good, fault: None }
    }

    /// None is.
    pub const fn none(health: Health, fault: Fault) -> Self {
        Attempted { done: Vec::new(), health, fault: Some(fault) }
    }
}
