//! What happens to the names of each account, for those who watch them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pillarbox_imap::metadata::EntryChange;
use pillarbox_imap::types::MailboxName;

use super::log::{Log, LogReader, Logged};
use crate::parts::{BoxFuture, Identity, NameChange, NameWatch, StoreError};

/// So many changes somebody may fall behind who watches the names of an account. One that names many annotations counts for several:
/// it is about a kilobyte that each may take.
const BEHIND_MAX: u64 = 1000;

impl Logged for NameChange {
    fn weight(&self) -> u64 {
        match self {
            NameChange::Annotated { entries, .. } => {
                let octets = entries.iter().map(|entry| size_of_val(entry) + entry.as_str().len()).sum::<usize>();
                1 + (octets / 1024) as u64
            }
            _ => 1,
        }
    }
}

/// The logs of the accounts that somebody watches.
#[derive(Default)]
pub(crate) struct NameLogs {
    logs: Mutex<HashMap<Identity, Weak<Log<NameChange>>>>,
}

impl NameLogs {
    fn logs(&self) -> MutexGuard<'_, HashMap<Identity, Weak<Log<NameChange>>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what happened to those who watch the account, if anybody does.
    pub(crate) fn tell(&self, account: &Identity, changes: Vec<NameChange>) {
        let log = self.logs().get(account).and_then(Weak::upgrade);
        if let Some(log) = log {
            log.tell_all(changes);
        }
    }

    /// Tells what somebody changed of the annotations of a mailbox, or of the account.
    pub(crate) fn tell_annotated(
        &self,
        account: &Identity,
        mailbox: Option<&MailboxName>,
        by: &Identity,
        changes: &[EntryChange],
    ) {
        self.tell(account, NameChange::annotated(mailbox, changes.iter().map(|(entry, _)| entry), by));
    }

    /// Somebody who watches an account from now on. The account need not be there.
    pub(crate) fn watch(&self, account: &Identity) -> Box<dyn NameWatch> {
        let mut logs = self.logs();
        let log = logs.get(account).and_then(Weak::upgrade).unwrap_or_else(|| {
            logs.retain(|_, log| log.strong_count() > 0);
            let log = Arc::new(Log::new(BEHIND_MAX, NameChange::TooMany));
            logs.insert(account.clone(), Arc::downgrade(&log));
            log
        });
        Box::new(Reader(log.reader()))
    }
}

struct Reader(LogReader<NameChange>);

impl NameWatch for Reader {
    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<NameChange>, StoreError>> {
        Box::pin(async { Ok(self.0.next().await) })
    }
}

#[cfg(test)]
mod tests {
    use pillarbox_imap::metadata::EntryName;

    use super::*;

    #[tokio::test]
    async fn who_falls_behind_hears_that_it_did() {
        let (logs, user) = (NameLogs::default(), Identity::new("you"));
        logs.tell(&user, vec![NameChange::Created(MailboxName::inbox())]);
        let (mut slow, mut quick) = (logs.watch(&user), logs.watch(&user));
        for _ in 0..BEHIND_MAX + 2 {
            logs.tell(&user, vec![NameChange::Created(MailboxName::inbox())]);
            assert_eq!(quick.changes().await.unwrap().len(), 1);
        }
        assert_eq!(slow.changes().await.unwrap(), [NameChange::TooMany]);
        drop((slow, quick));
        assert!(logs.logs()[&user].upgrade().is_none(), "what nobody watches is not kept");
    }

    /// One who may see a mailbox must not end what its owner hears of, by annotations that the owner does not even see.
    #[tokio::test]
    async fn annotations_of_one_command_are_one_change() {
        let (logs, owner, other) = (NameLogs::default(), Identity::new("owner"), Identity::new("other"));
        let mut slow = logs.watch(&owner);
        let entry = |number| EntryName::parse(&format!("/private/{number}")).unwrap();
        let mut changes: Vec<EntryChange> = (0..100).map(|number| (entry(number), None)).collect();
        changes.push((EntryName::parse("/shared/comment").unwrap(), None));
        for _ in 0..100 {
            logs.tell_annotated(&owner, Some(&MailboxName::inbox()), &other, &changes);
        }
        let told = slow.changes().await.unwrap();
        assert_eq!(told.len(), 200, "the shared one apart from the private ones");
        let counts = told.iter().map(|change| match change {
            NameChange::Annotated { entries, seen_by, .. } => (entries.len(), seen_by.clone()),
            other => panic!("{other:?}"),
        });
        let both = [(1, None), (100, Some(other.clone()))];
        assert_eq!(counts.take(2).collect::<Vec<_>>(), both);
        // But not without end.
        for _ in 0..1000 {
            logs.tell_annotated(&owner, Some(&MailboxName::inbox()), &other, &changes);
        }
        assert_eq!(slow.changes().await.unwrap(), [NameChange::TooMany]);
    }
}
