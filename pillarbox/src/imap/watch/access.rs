//! Which mailboxes the user may not read, as the client was told it (RFC 5465 §3.1, §5.9).

use std::collections::BTreeSet;

use pillarbox_imap::notify::Notification;
use pillarbox_imap::server::Listed;
use pillarbox_imap::types::MailboxName;

use super::{Names, Watching, is_not_there, is_visible};
use crate::parts::NameChange;

/// Mailboxes of which a session was told that it may not read them, so that it is told when it may.
const UNREADABLE_MAX: usize = 1000;

impl Watching {
    /// A watch finds out that its mailbox may not be read any more when something happens there. Who hears that rights changed need not
    /// wait for that.
    pub(super) async fn let_go_unreadable(&mut self, changes: &[NameChange]) {
        let names: BTreeSet<&MailboxName> = changes
            .iter()
            .filter_map(|change| match change {
                NameChange::Rights(name) if self.mailboxes.contains_key(name) => Some(name),
                _ => None,
            })
            .collect();
        for name in names {
            if self.store.watch(&self.user, name).await.is_err_and(|error| is_not_there(&error)) {
                self.mailboxes.remove(name);
            }
        }
    }

    /// Tells that a mailbox may not be read. Another look, whatever it is for, must not show that something happened.
    pub(super) fn say_no_access(&mut self, name: &MailboxName, told: &mut Vec<Notification>) {
        if self.unreadable.insert(name.clone()) {
            let listed = Listed::new(name.clone(), vec!["\\NoAccess".into()]);
            told.push(Notification::Listed { listed, old_name: None });
        }
        if self.unreadable.len() > UNREADABLE_MAX {
            self.unreadable.pop_first();
        }
    }

    /// RFC 5465 §5.9: a mailbox that the client watches and knew of, and of which the user may not know any more. Who wants to hear of
    /// names is told that there is none of this name.
    pub(super) fn lost_by<'c>(&self, change: &'c NameChange, now: &Names) -> Option<&'c MailboxName> {
        let NameChange::Rights(name) = change else { return None };
        let events = self.events_of(name, now.get(name));
        let is_lost = self.visible.contains(name) && !is_visible(now.get(name));
        (is_lost && events.has_any_of_messages() && !events.names).then_some(name)
    }

    /// What is watched, or may not be known of now and would be watched, can be read again one day. The rest need not be kept.
    pub(super) fn forget_access(&mut self, is_watched: impl Fn(&MailboxName) -> bool, now: &Names) {
        let mut unreadable = std::mem::take(&mut self.unreadable);
        unreadable.retain(|name| {
            let listed = now.get(name);
            is_watched(name) || !is_visible(listed) && self.events_of(name, listed).has_any_of_messages()
        });
        self.unreadable = unreadable;
    }

    /// Who wants to hear of names was told that there is none of these.
    pub(super) fn told_gone(&mut self, is_gone: impl Fn(&MailboxName) -> bool, now: &Names) {
        let mut unreadable = std::mem::take(&mut self.unreadable);
        unreadable.retain(|name| !is_gone(name) || !self.events_of(name, now.get(name)).names);
        self.unreadable = unreadable;
    }
}
