//! One session's selection of a folder.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_imap::server::{Change, FlagChange, Snapshot};
use pillarbox_imap::types::{Flags, MailboxName, Uid, UidSet, UidValidity};

use super::shared::Shared;
use super::{MaildirStore, Result, blocking, on_disk, told, uid, uid_validity};
use crate::parts::{BoxFuture, Identity, Mailbox, MessageData, MessageReader, StoreError, StoreErrorKind};
use crate::store::feed::FeedReader;

/// How often a folder is looked at for what other programs did, while somebody waits for news of it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Open {
    store: MaildirStore,
    user: Identity,
    shared: Arc<Shared>,
    reader: Arc<FeedReader>,
    read_only: bool,
}

impl Open {
    pub(super) fn new(store: MaildirStore, user: Identity, shared: Arc<Shared>, read_only: bool) -> Self {
        let reader = Arc::new(shared.reader());
        Open { store, user, shared, reader, read_only }
    }

    fn on_folder<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let (shared, pool) = (Arc::clone(&self.shared), Arc::clone(&self.store.inner.pool));
        Box::pin(async move { blocking(&pool, move || work(&shared)).await })
    }

    fn writable(&self) -> Result<()> {
        match self.read_only {
            true => Err(StoreError::new(StoreErrorKind::Cannot, "the mailbox is open for reading only")),
            false => Ok(()),
        }
    }
}

impl Mailbox for Open {
    fn snapshot(&mut self) -> BoxFuture<'_, Result<Snapshot>> {
        let read_only = self.read_only;
        let snapshot = self.on_folder(move |folder| folder.snapshot(read_only));
        Box::pin(async move {
            let (snapshot, reader) = snapshot.await?;
            self.reader = Arc::new(reader);
            Ok(snapshot)
        })
    }

    fn refresh(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        let refreshed = self.on_folder(Shared::refresh);
        Box::pin(async move {
            let refreshed = refreshed.await;
            let changes = self.reader.take();
            match refreshed {
                // What is known is told first; the trouble comes again.
                Err(error) if changes.is_empty() => Err(error),
                _ => Ok(changes),
            }
        })
    }

    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        Box::pin(async move {
            loop {
                tokio::select! {
                    biased;
                    changes = self.reader.next() => return Ok(changes),
                    () = tokio::time::sleep(LOOK_EVERY) => self.on_folder(Shared::refresh).await?,
                }
            }
        })
    }

    fn messages<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageData>>> {
        let uids = uids.clone();
        self.on_folder(move |folder| folder.messages(&uids))
    }

    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>>> {
        let pool = Arc::clone(&self.store.inner.pool);
        let opened = self.on_folder(move |folder| folder.read(uid));
        Box::pin(async move {
            let reader = opened.await?;
            Ok(Box::new(Reader { size: reader.len(), reader: Some(reader), pool }) as Box<dyn MessageReader>)
        })
    }

    fn set_flags<'a>(
        &'a mut self,
        uids: &'a UidSet,
        change: FlagChange,
        flags: &'a Flags,
    ) -> BoxFuture<'a, Result<Vec<(Uid, Flags)>>> {
        if let Err(error) = self.writable() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (uids, flags) = (uids.clone(), flags.clone());
        self.on_folder(move |folder| folder.set_flags(&uids, change, &flags))
    }

    fn copy<'a>(
        &'a mut self,
        uids: &'a UidSet,
        target: &'a MailboxName,
    ) -> BoxFuture<'a, Result<(UidValidity, Vec<(Uid, Uid)>)>> {
        let (uids, target, shared) = (uids.clone(), target.clone(), Arc::clone(&self.shared));
        self.store.on_tree(&self.user, move |inner, tree| {
            let target = tree.mailbox(&on_disk(&target)?).map_err(told)?;
            let copied = shared.copy(&uids, &target)?;
            inner.look_again(target.path());
            let pairs = copied.uids.iter().map(|(here, there)| (uid(*here), uid(*there)));
            Ok((uid_validity(copied.uid_validity)?, pairs.collect()))
        })
    }

    fn expunge<'a>(&'a mut self, only: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>>> {
        if let Err(error) = self.writable() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let only = only.cloned();
        self.on_folder(move |folder| folder.expunge(only.as_ref()))
    }
}

/// A message's file, read on the pool.
struct Reader {
    size: u64,
    /// Away while a thread reads; lost if that panicked or was not waited for.
    reader: Option<pillarbox_maildir::MessageReader>,
    pool: Arc<tokio::sync::Semaphore>,
}

impl MessageReader for Reader {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at<'a>(&'a mut self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let lost = || StoreError::new(StoreErrorKind::Unavailable, "an earlier read was broken off");
            let mut reader = self.reader.take().ok_or_else(lost)?;
            let mut octets = vec![0; buffer.len()];
            let (reader, octets, read) = blocking(&self.pool, move || {
                let read = reader.read_at(offset, &mut octets);
                Ok((reader, octets, read))
            })
            .await?;
            self.reader = Some(reader);
            let read = read.map_err(told)?;
            buffer[..read].copy_from_slice(&octets[..read]);
            Ok(read)
        })
    }
}
