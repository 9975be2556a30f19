//! A folder that somebody watches without having it open.

use std::sync::Arc;

use pillarbox_imap::server::Status;

use super::news::Waiting;
use super::shared::Shared;
use super::{Inner, Result, numbers};
use crate::parts::{BoxFuture, MailboxWatch, Stirred};
use crate::store::feed::{Told, Watcher};

/// The folder is looked at as for sessions in IDLE: when we change it, and when the system or a look now and then says that others
/// did.
pub(super) struct Watched {
    watcher: Watcher,
    /// What had happened when the numbers were counted that were told last.
    told: Told,
    /// Held for all that the folder is looked at because of it.
    waiting: Waiting,
}

impl Watched {
    pub(super) fn begin(inner: &Arc<Inner>, shared: Arc<Shared>) -> Result<Self> {
        // In this order: a mailbox that goes in between tells the watcher, or is found gone.
        let watcher = shared.watcher();
        shared.while_there()?;
        Ok(Watched { told: watcher.heard(), watcher, waiting: Waiting::begin(inner, &shared)? })
    }
}

impl MailboxWatch for Watched {
    fn stirred(&mut self) -> BoxFuture<'_, Result<Stirred>> {
        Box::pin(self.waiting.hear(self.watcher.stirred()))
    }

    fn numbers(&mut self) -> BoxFuture<'_, Result<Option<Status>>> {
        Box::pin(async {
            let (told, status) = numbers::after(self.waiting.folder(), self.told).await?;
            self.told = told;
            // What came later is news of its own.
            self.watcher.has_heard(told);
            Ok(Some(status))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use pillarbox_imap::types::MailboxName;

    use super::*;
    use crate::parts::{Append, Identity, Mailbox, MailboxStore};
    use crate::store::maildir::unasked::without_notices;

    /// In each round messages come while nobody waits, and then all are told: looks at the folder, and how often its messages were
    /// counted.
    async fn looks_and_counts(sessions: usize, rounds: u32) -> (u64, usize) {
        let dir = tempfile::tempdir().unwrap();
        let store = without_notices(dir.path().join("Maildir"));
        let (you, inbox) = (Identity::new("you"), MailboxName::inbox());
        let put = async || {
            let mut append = store.append(&you, &inbox, Append::default()).await.unwrap();
            append.write(b"Subject: news\n\n").await.unwrap();
            append.publish().await.unwrap();
        };
        put().await;
        let (mut selected, mut watches) = (Vec::new(), Vec::new());
        for _ in 0..sessions {
            let mut mailbox = store.open(&you, &inbox, false).await.unwrap();
            mailbox.snapshot().await.unwrap();
            selected.push(mailbox);
            watches.push(MailboxStore::watch(&store, &you, &inbox).await.unwrap());
        }
        let (looks, mut messages) = (store.inner.looks.begun(), 1);
        for _ in 0..rounds {
            let before = store.inner.looks.begun();
            for _ in 0..10 {
                put().await;
            }
            messages += 10;
            assert_eq!(store.inner.looks.begun(), before, "nobody waits for what is put there");
            let told = async |mailbox: &mut Box<dyn Mailbox>| {
                assert!(!mailbox.changes().await.unwrap().is_empty());
            };
            let numbers = async |watch: &mut Box<dyn MailboxWatch>| {
                assert!(watch.stirred().await.unwrap().messages);
                assert_eq!(watch.numbers().await.unwrap().unwrap().messages, messages);
            };
            let mut all: Vec<BoxFuture<'_, ()>> = Vec::new();
            selected.iter_mut().for_each(|mailbox| all.push(Box::pin(told(mailbox))));
            watches.iter_mut().for_each(|watch| all.push(Box::pin(numbers(watch))));
            // All wait at once, and each is told.
            let mut left = all.len();
            std::future::poll_fn(|context| {
                all.retain_mut(|one| one.as_mut().poll(context).is_pending());
                left = left.min(all.len());
                if left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
        let folder = store.inner.find_open(&(dir.path().join("Maildir"), true)).unwrap();
        (store.inner.looks.begun() - looks, folder.numbers.counts.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_is_the_same_for_all_is_looked_up_once() {
        for sessions in [1, 100] {
            let (looks, counts) = looks_and_counts(sessions, 3).await;
            // One for those who have it open and one for those who watch it.
            assert!(looks <= 2 * 3, "{looks} looks for {sessions} sessions");
            assert_eq!(counts, 3, "for {sessions} sessions");
        }
    }
}
