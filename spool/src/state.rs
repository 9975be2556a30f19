//! What has become of a message so far.

use pillarbox_core::{EnhancedCode, WallTime};

use crate::MessageId;

/// What came of trying to send a message to a recipient. The words are those of notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It is with the recipient, or with a server that will tell the sender (RFC 3461 §5.2.1).
    Delivered,
    /// It was handed to a server that tells nobody anything (RFC 3461 §5.2.2).
    Relayed,
    /// It went to the members of a list or to another address (RFC 3461 §5.2.7).
    Expanded,
    /// It cannot be delivered, and its sender was told where that had to be.
    Failed,
    /// Not this time.
    Delayed,
}

impl Outcome {
    /// Whether nothing is left to do. A final outcome never changes.
    pub const fn is_final(self) -> bool {
        !matches!(self, Outcome::Delayed)
    }
}

/// One attempt at one recipient, with the other side's words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// When it ended.
    pub at: WallTime,
    /// What came of it.
    pub outcome: Outcome,
    /// Whom we spoke to: name and address of a host; empty if nobody answered.
    pub peer: String,
    /// The code of its reply.
    pub code: Option<u16>,
    /// Its enhanced code (RFC 3463), or ours where no reply came.
    pub status: Option<EnhancedCode>,
    /// Its text, or our reason. The store keeps 1,000 octets of it.
    pub text: String,
}

impl Attempt {
    /// An attempt of which nothing more is known.
    pub const fn new(at: WallTime, outcome: Outcome) -> Self {
        Attempt { at, outcome, peer: String::new(), code: None, status: None, text: String::new() }
    }
}

/// Which notices about a recipient were made. Each is made at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// That it was delivered, relayed or expanded.
    pub success: bool,
    /// That it failed.
    pub failure: bool,
    /// That it is late.
    pub delay: bool,
}

impl Notices {
    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Notices) -> Notices {
        Notices {
            success: self.success || other.success,
            failure: self.failure || other.failure,
            delay: self.delay || other.delay,
        }
    }
}

/// What has become of one recipient so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecipientState {
    /// The final outcome, once there is one.
    pub outcome: Option<Outcome>,
    /// The notices that were made.
    pub notices: Notices,
    /// How often it was tried.
    pub attempts: u32,
    /// The message was released, and this recipient not tried since.
    pub is_owed: bool,
    /// The attempts, oldest first. Of many, those between the first and the last fifteen may be gone.
    pub history: Vec<Attempt>,
}

/// Attempts of a recipient that are kept: the first one and the last ones.
pub(crate) const HISTORY_MAX: usize = 16;

impl RecipientState {
    /// Leaves the first attempt and the last ones, so many in all; of one, the last.
    pub(crate) fn shorten(&mut self, most: usize) {
        let surplus = self.history.len().saturating_sub(most);
        let from = usize::from(most > 1 && surplus > 0);
        self.history.drain(from..from + surplus);
    }
}

/// News about one message: what an attempt came to, and which notices were made.
///
/// ```
/// use pillarbox_core::WallTime;
/// use pillarbox_spool::{Attempt, MessageId, Outcome, Report};
///
/// # let id = MessageId::from_octets([0; 10]);
/// let now = WallTime::new(1_700_000_000, 0);
/// let mut report = Report::new(id);
/// report.attempt(0, Attempt::new(now, Outcome::Delivered));
/// let mut busy = Attempt::new(now, Outcome::Delayed);
/// busy.text = "mailbox busy".into();
/// report.attempt(1, busy);
/// assert_eq!(report.recipients.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The message.
    pub id: MessageId,
    /// What there is to say about its recipients.
    pub recipients: Vec<RecipientReport>,
}

/// News about one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecipientReport {
    /// The recipient's place in the envelope.
    pub recipient: u32,
    /// The attempt, if there was one.
    pub attempt: Option<Attempt>,
    /// The notices that are made with this report.
    pub notices: Notices,
}

impl Report {
    /// A report that says nothing yet.
    pub const fn new(id: MessageId) -> Self {
        Report { id, recipients: Vec::new() }
    }

    /// Adds an attempt at a recipient.
    pub fn attempt(&mut self, recipient: u32, attempt: Attempt) -> &mut Self {
        self.recipients.push(RecipientReport { recipient, attempt: Some(attempt), notices: Notices::default() });
        self
    }

    /// Adds that notices about a recipient were made.
    pub fn noticed(&mut self, recipient: u32, notices: Notices) -> &mut Self {
        self.recipients.push(RecipientReport { recipient, attempt: None, notices });
        self
    }
}
