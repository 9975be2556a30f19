//! NOTIFY: of which mailboxes a client wants to hear, and what it is told of them (RFC 5465).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::metadata::EntryName;
use crate::server::{Listed, Status};
use crate::types::MailboxName;

/// What NOTIFY SET asks for of mailboxes other than the selected one. Nothing in it: the client wants to hear of none.
///
/// ```
/// use pillarbox_imap::notify::{Events, Filter, Watch, WatchGroup};
/// use pillarbox_imap::types::MailboxName;
///
/// let name = |text| MailboxName::new(text).unwrap();
/// let (mut messages, mut names) = (Events::default(), Events::default());
/// (messages.messages, names.names) = (true, true);
/// let watch = Watch {
///     groups: vec![
///         WatchGroup { filter: Filter::Subtree(vec![name("Lists")]), events: messages },
///         WatchGroup { filter: Filter::Personal, events: names },
///     ],
///     status: false,
/// };
/// let events = watch.events_of(&name("Lists/Lemonade"), true, false);
/// assert!(events.messages && events.names && !events.flags);
/// assert!(!watch.events_of(&name("Listsx"), true, false).messages);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Each says something about some mailboxes; of a mailbox that several speak of, all of it counts.
    pub groups: Vec<WatchGroup>,
    /// The numbers of each mailbox are wanted now (RFC 5465 §3.1, STATUS).
    pub status: bool,
}

/// Some mailboxes and what is wanted of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchGroup {
    /// Which mailboxes.
    pub filter: Filter,
    /// What is wanted.
    pub events: Events,
}

/// Which mailboxes (RFC 5465 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filter {
    /// Those of the user's own into which mail may be delivered. Rules of the user may deliver into each, so it means the same as
    /// [`Personal`](Filter::Personal), which RFC 5465 §6.3 allows.
    Inboxes,
    /// The user's own.
    Personal,
    /// Those that the user subscribes to, at each moment.
    Subscribed,
    /// These and all below them.
    Subtree(Vec<MailboxName>),
    /// These, whatever wildcards stand in them.
    Mailboxes(Vec<MailboxName>),
}

/// What is wanted of mailboxes (RFC 5465 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Events {
    /// MessageNew and MessageExpunge.
    pub messages: bool,
    /// FlagChange.
    pub flags: bool,
    /// MailboxName.
    pub names: bool,
    /// SubscriptionChange.
    pub subscriptions: bool,
    /// MailboxMetadataChange.
    pub annotations: bool,
    /// ServerMetadataChange, whichever mailboxes it is asked for with: the server is none.
    pub server_annotations: bool,
}

impl Events {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Events) -> Events {
        Events {
            messages: self.messages || other.messages,
            flags: self.flags || other.flags,
            names: self.names || other.names,
            subscriptions: self.subscriptions || other.subscriptions,
            annotations: self.annotations || other.annotations,
            server_annotations: self.server_annotations || other.server_annotations,
        }
    }

    /// Something is wanted of messages.
    pub const fn has_any_of_messages(self) -> bool {
        self.messages || self.flags
    }
}

impl Filter {
    /// Whether a mailbox is meant, which is one of the user's own or not, and subscribed to or not.
    pub fn covers(&self, mailbox: &MailboxName, is_own: bool, is_subscribed: bool) -> bool {
        match self {
            Filter::Inboxes | Filter::Personal => is_own,
            Filter::Subscribed => is_subscribed,
            Filter::Subtree(names) => names.iter().any(|name| name == mailbox || mailbox.is_below(name)),
            Filter::Mailboxes(names) => names.contains(mailbox),
        }
    }

    /// The names that are written in it.
    pub fn names(&self) -> &[MailboxName] {
        match self {
            Filter::Subtree(names) | Filter::Mailboxes(names) => names,
            _ => &[],
        }
    }
}

impl Watch {
    /// What is wanted of a mailbox, which is one of the user's own or not, and subscribed to or not.
    pub fn events_of(&self, mailbox: &MailboxName, is_own: bool, is_subscribed: bool) -> Events {
        let meant = self.groups.iter().filter(|group| group.filter.covers(mailbox, is_own, is_subscribed));
        meant.fold(Events::default(), |all, group| all.and(group.events))
    }

    /// What is wanted of any mailbox at all.
    pub fn events(&self) -> Events {
        self.groups.iter().fold(Events::default(), |all, group| all.and(group.events))
    }
}

/// Something that happened elsewhere than in the selected mailbox, as the client is told it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notification {
    /// The numbers of a mailbox: of one that is watched from now on, or of one in which something changed.
    Numbers {
        /// Which mailbox.
        mailbox: MailboxName,
        /// For what it is watched, or what happened.
        events: Events,
        /// It is watched from now on.
        first: bool,
        /// All of its numbers.
        status: Status,
    },
    /// A name as it is now. What is there no more has `\NonExistent`; a mailbox that may be seen and not read, `\NoAccess`.
    Listed {
        /// The name, with all its attributes.
        listed: Listed,
        /// What it was called before.
        old_name: Option<MailboxName>,
    },
    /// Annotations have other values than before, or are gone.
    Annotated {
        /// Of which mailbox; none: of the server.
        mailbox: Option<MailboxName>,
        /// Which, and none that the user may not see. The values are for the client to ask for.
        entries: BTreeSet<EntryName>,
    },
    /// More happened than was kept: the client is told no more until it asks again (RFC 5465 §5.8).
    Overflow,
}
