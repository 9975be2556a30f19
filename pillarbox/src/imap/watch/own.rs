//! What a session does itself, of which its client need not be told (RFC 5465 §5).

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Waker};

use pillarbox_imap::server::Status;
use pillarbox_imap::types::{MailboxName, Uid, UidSet, UidValidity};

use super::{CHANGES_MAX, Watching, may_matter};
use crate::parts::NameChange;

/// What the session did and the client need not hear of.
#[derive(Default)]
pub(super) struct Own {
    /// Changes that are still to come: who has to look at rights first tells of them later.
    coming: VecDeque<NameChange>,
    /// Changes that came: what can be seen by them is looked up when the rest is told.
    done: Vec<NameChange>,
    /// Mailboxes that it made and that are not watched yet, with the messages that it put there.
    made: BTreeMap<MailboxName, UidSet>,
    /// So many changes were there before the command that is being served.
    before: usize,
}

impl Own {
    /// Whether this was to come. One for one: others may have done the same.
    pub(super) fn was_to_come(&mut self, change: &NameChange) -> bool {
        let at = self.coming.iter().rposition(|own| own == change);
        at.and_then(|at| self.coming.remove(at)).is_some()
    }

    /// All changes that were there are told.
    pub(super) fn told(&mut self) {
        self.before = 0;
    }

    pub(super) fn take_done(&mut self) -> Vec<NameChange> {
        std::mem::take(&mut self.done)
    }

    pub(super) fn take_made(&mut self) -> BTreeMap<MailboxName, UidSet> {
        std::mem::take(&mut self.made)
    }

    /// A change is left to come. The oldest are forgotten: those are told like those of others.
    fn will_come(&mut self, change: NameChange) {
        self.coming.truncate(CHANGES_MAX - 1);
        self.coming.push_front(change);
    }
}

/// The numbers of a mailbox by which arrivals and departures show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    messages: u64,
    uid_next: u64,
    /// None: of whichever mailbox there is.
    uid_validity: Option<UidValidity>,
}

impl Numbers {
    pub(super) fn of(status: &Status) -> Self {
        Numbers {
            messages: status.messages.into(),
            uid_next: status.uid_next.get().into(),
            uid_validity: Some(status.uid_validity),
        }
    }

    /// Those of a mailbox that was just made.
    pub(super) fn none() -> Self {
        Numbers { messages: 0, uid_next: 1, uid_validity: None }
    }

    /// Whether these numbers come to those if these messages and no others came, and none went. Every message that comes takes a UID
    /// for good, so that one that came and went shows.
    pub(super) fn come_to(&self, now: &Numbers, brought: &UidSet) -> bool {
        let (count, mut uids) = (brought.len(), brought.iter().map(|uid| u64::from(uid.get())));
        now.messages == self.messages + count
            && now.uid_next == self.uid_next + count
            && uids.all(|uid| (self.uid_next..now.uid_next).contains(&uid))
            && self.uid_validity.is_none_or(|before| now.uid_validity == Some(before))
    }
}

impl Watching {
    /// The session is about to do something to a name.
    pub(in crate::imap) fn acts(&mut self) {
        self.look(&mut Context::from_waker(Waker::noop()));
        self.own.before = self.changes.len();
    }

    /// The session has just done this itself. Stores tell of it before they say that it is done.
    pub(in crate::imap) fn did(&mut self, change: NameChange) {
        self.look(&mut Context::from_waker(Waker::noop()));
        if let NameChange::Created(name) = &change
            && self.own.made.len() < CHANGES_MAX
        {
            self.own.made.insert(name.clone(), UidSet::new());
        }
        let mut own = Some(change);
        while let Some(change) = own.take() {
            let since = self.changes.get(self.own.before..).unwrap_or_default();
            let Some(at) = since.iter().rposition(|other| *other == change) else {
                // Rights are looked at before annotations are told, and what another has before a subscription to it is.
                let is_late = match &change {
                    NameChange::Annotated { .. } => may_matter(&self.watch, &self.user, &change),
                    NameChange::Subscribed(name) => !self.is_own(name),
                    _ => false,
                };
                if is_late {
                    self.own.will_come(change);
                }
                return;
            };
            self.changes.remove(self.own.before + at);
            // What comes to be above comes to be because of it.
            own = match &change {
                NameChange::Created(name) => name.parent().map(NameChange::Created),
                _ => None,
            };
            self.own_change(change);
        }
    }

    /// What the session did came.
    pub(super) fn own_change(&mut self, change: NameChange) {
        match &change {
            NameChange::Created(name) => {
                self.visible.insert(name.clone());
            }
            NameChange::Deleted(name) => {
                self.visible.remove(name);
            }
            NameChange::Renamed { from, to } => {
                let is_moved = |name: &&MailboxName| *name == from || name.is_below(from);
                let moved: Vec<MailboxName> = self.visible.iter().filter(is_moved).cloned().collect();
                moved.iter().for_each(|name| {
                    self.visible.remove(name);
                });
                let renamed = moved
                    .iter()
                    .filter_map(|old| MailboxName::new(&format!("{to}{}", &old.as_str()[from.as_str().len()..])).ok());
                self.visible.extend(renamed);
            }
            // What they make visible has to be looked up.
            NameChange::Subscribed(_) | NameChange::Rights(_) if !self.own.done.contains(&change) => {
                self.own.done.push(change.clone());
            }
            _ => {}
        }
        // What is subscribed to, and what can be watched, is another now.
        self.out_of_date |= !matches!(change, NameChange::Annotated { .. });
    }

    /// The session has just put these messages into a mailbox.
    pub(in crate::imap) fn brought(&mut self, mailbox: &MailboxName, uids: impl Iterator<Item = Uid>) {
        let brought = match self.mailboxes.get_mut(mailbox) {
            Some(watched) => Some(&mut watched.brought),
            None => self.own.made.get_mut(mailbox),
        };
        if let Some(brought) = brought {
            brought.add(&uids.collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_did_too_shows_in_the_numbers() {
        let numbers = |messages, uid_next| Numbers { messages, uid_next, uid_validity: UidValidity::new(1) };
        let uids = |numbers: &[u32]| numbers.iter().filter_map(|number| Uid::new(*number)).collect::<UidSet>();
        let before = numbers(3, 9);
        for (now, brought, is_own) in [
            (numbers(3, 9), uids(&[]), true),
            (numbers(4, 10), uids(&[9]), true),
            (numbers(5, 11), uids(&[9, 10]), true),
            // One of another's came too; or instead; or came and went; one went; one came and another went.
            (numbers(5, 11), uids(&[9]), false),
            (numbers(4, 10), uids(&[]), false),
            (numbers(4, 11), uids(&[10]), false),
            (numbers(3, 10), uids(&[9]), false),
            (numbers(2, 9), uids(&[]), false),
            (numbers(4, 11), uids(&[9, 10]), false),
            // Numbers that were told before say nothing.
            (numbers(4, 10), uids(&[8]), false),
            (Numbers { uid_validity: UidValidity::new(2), ..before }, uids(&[]), false),
        ] {
            assert_eq!(before.come_to(&now, &brought), is_own, "{now:?} {brought}");
        }
        assert!(Numbers::none().come_to(&numbers(2, 3), &uids(&[1, 2])));
        assert!(!Numbers::none().come_to(&numbers(3, 4), &uids(&[1, 2])));
    }
}
