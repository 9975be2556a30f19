//! One session's selection of a folder.

use std::sync::Arc;

use pillarbox_imap::server::{Change, Snapshot};
use pillarbox_imap::types::{MailboxName, ModSeq, Uid, UidSet};
use pillarbox_maildir as maildir;

use super::append::Incoming;
use super::news::Waiting;
use super::pool::Lane;
use super::quota::Room;
use super::shared::Shared;
use super::{MaildirStore, Result, told, uid, uid_validity};
use crate::parts::{
    Append, BoxFuture, Cached, Computed, Copied, FlagsSet, Identity, IncomingAppend, Mailbox, MessageData,
    MessageFlags, MessageReader, Piece, Progress, SetFlags, StoreError, StoreErrorKind,
};
use crate::store::feed::FeedReader;

/// So much of a message is read when it is opened: most messages, and the headers of the others, cost one visit to the pool.
const HEAD: usize = 32 * 1024;

pub(super) struct Open {
    store: MaildirStore,
    user: Identity,
    shared: Arc<Shared>,
    reader: Arc<FeedReader>,
    read_only: bool,
    progress: Progress,
}

impl Open {
    pub(super) fn new(store: MaildirStore, user: Identity, shared: Arc<Shared>, read_only: bool) -> Self {
        let reader = Arc::new(shared.reader());
        Open { store, user, shared, reader, read_only, progress: Progress::default() }
    }

    fn on_folder<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let (shared, lane) = (Arc::clone(&self.shared), self.shared.lane.clone());
        Box::pin(async move { lane.run(move || work(shared.while_there()?)).await })
    }

    /// Puts messages into another mailbox, and tells those who have that one open.
    fn to_another(
        &self,
        target: &MailboxName,
        put: impl FnOnce(&maildir::Maildir, Option<Room>) -> Result<maildir::Copied> + Send + 'static,
    ) -> BoxFuture<'static, Result<Copied>> {
        let (target, user) = (target.clone(), self.user.clone());
        self.store.on_tree(&self.user, move |inner, tree| {
            let name = inner.names.find(tree, &target)?;
            let target = tree.mailbox(&name).map_err(told)?;
            let copied = put(&target, inner.room(&user, tree, &name))?;
            inner.look_again(target.path());
            let pairs = copied.uids.iter().map(|(here, there)| (uid(*here), uid(*there)));
            Ok(Copied::Known(uid_validity(copied.uid_validity)?, pairs.collect()))
        })
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
        let asked = self.shared.now();
        let refreshed = self.on_folder(move |shared| shared.refresh_since(asked));
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
            let waiting = Waiting::begin(&self.store.inner, &self.shared)?;
            waiting.hear(async { Ok(self.reader.next().await) }).await
        })
    }

    fn messages<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageData>>> {
        let uids = uids.clone();
        self.on_folder(move |folder| folder.messages(&uids))
    }

    fn flags<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageFlags>>> {
        let uids = uids.clone();
        self.on_folder(move |folder| folder.flags(&uids))
    }

    fn changed<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet>> {
        let uids = uids.clone();
        self.on_folder(move |folder| folder.changed(&uids, since))
    }

    fn vanished<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet>> {
        let uids = uids.clone();
        self.on_folder(move |folder| folder.vanished(&uids, since))
    }

    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>>> {
        let lane = self.shared.lane.clone();
        let opened = self.on_folder(move |folder| {
            let mut reader = folder.read(uid)?;
            let mut head = vec![0; HEAD.min(usize::try_from(reader.len()).unwrap_or(HEAD))];
            let read = reader.read_at(0, &mut head).map_err(told)?;
            head.truncate(read);
            Ok((reader, head))
        });
        Box::pin(async move {
            let (reader, head) = opened.await?;
            Ok(Box::new(Reader { size: reader.len(), head, reader: Some(reader), lane }) as Box<dyn MessageReader>)
        })
    }

    fn count_in(&mut self, progress: Progress) {
        self.progress = progress;
    }

    fn set_flags<'a>(&'a mut self, uids: &'a UidSet, what: &'a SetFlags) -> BoxFuture<'a, Result<Vec<FlagsSet>>> {
        if let Err(error) = self.writable() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (uids, what, progress) = (uids.clone(), what.clone(), self.progress.clone());
        self.on_folder(move |folder| folder.set_flags(&uids, &what, &progress))
    }

    fn copy<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied>> {
        let (uids, shared, progress) = (uids.clone(), Arc::clone(&self.shared), self.progress.clone());
        self.to_another(target, move |target, room| {
            let room = room.map(|room| move |adding| room.check(adding, maildir::Purpose::Own));
            shared.while_there()?.copy(&uids, target, room, &progress)
        })
    }

    fn move_to<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied>> {
        if let Err(error) = self.writable() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (uids, shared, progress) = (uids.clone(), Arc::clone(&self.shared), self.progress.clone());
        // Afterwards no more is used than before.
        self.to_another(target, move |target, _| shared.while_there()?.move_to(&uids, target, &progress))
    }

    fn replace<'a>(
        &'a mut self,
        uid: Uid,
        target: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>>> {
        if let Err(error) = self.writable() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (target, user, size) = (target.clone(), self.user.clone(), append.size);
        let (here, shared) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let opened = self.store.on_tree(&self.user, move |inner, tree| {
            let name = inner.names.find(tree, &target)?;
            let (folder, room) = (tree.mailbox(&name).map_err(told)?, inner.room(&user, tree, &name));
            if let (Some(room), Some(size)) = (&room, size) {
                // On disk it may be smaller, as CRLF becomes LF there.
                room.check_instead(maildir::Usage::message(size.div_ceil(2)), here.usage_of(uid)?)?;
            }
            let uid_validity = here.view().uid_validity();
            Ok((folder, room, uid_validity))
        });
        let (inner, lane) = (Arc::clone(&self.store.inner), self.shared.lane.clone());
        Box::pin(async move {
            let (folder, room, uid_validity) = opened.await?;
            let incoming = Incoming::new(inner, lane, folder, room, append).replacing(shared, uid, uid_validity);
            Ok(Box::new(incoming) as Box<dyn IncomingAppend>)
        })
    }

    fn expunge<'a>(&'a mut self, only: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>>> {
        if let Err(error) = self.writable() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (only, progress) = (only.cloned(), self.progress.clone());
        self.on_folder(move |folder| folder.expunge(only.as_ref(), &progress))
    }

    fn caches(&self) -> bool {
        true
    }

    fn cached<'a>(&'a mut self, uids: &'a [Uid], wanted: &'a [Piece]) -> BoxFuture<'a, Cached> {
        let (uids, wanted) = (uids.to_vec(), wanted.to_vec());
        let cached = self.on_folder(move |folder| Ok(folder.cached(&uids, &wanted)));
        Box::pin(async move { cached.await.unwrap_or_default() })
    }

    fn remember(&mut self, computed: Vec<Computed>) -> BoxFuture<'_, ()> {
        let remembered = self.on_folder(move |folder| {
            folder.remember(computed);
            Ok(())
        });
        Box::pin(async move { remembered.await.unwrap_or_default() })
    }
}

/// A message's file, read on the pool.
struct Reader {
    size: u64,
    /// Its first octets.
    head: Vec<u8>,
    /// Away while a thread reads; lost if that panicked or was not waited for.
    reader: Option<pillarbox_maildir::MessageReader>,
    lane: Lane,
}

impl MessageReader for Reader {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at<'a>(&'a mut self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<usize>> {
        let from_head = usize::try_from(offset).ok().and_then(|offset| self.head.get(offset..)).unwrap_or_default();
        if !from_head.is_empty() {
            let read = from_head.len().min(buffer.len());
            buffer[..read].copy_from_slice(&from_head[..read]);
            return Box::pin(std::future::ready(Ok(read)));
        }
        Box::pin(async move {
            let lost = || StoreError::new(StoreErrorKind::Unavailable, "an earlier read was broken off");
            let mut reader = self.reader.take().ok_or_else(lost)?;
            let mut octets = vec![0; buffer.len()];
            let (reader, octets, read) = self
                .lane
                .run(move || {
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
