//! Counting all messages of an account while other programs work on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox_fs::{ErrorKind, Fs, FsError, Kind, Metadata, replace_file};

use super::{FILE, Quota, Usage, file};
use crate::error::NotFound;
use crate::file_name::{bytes, sizes, split};
use crate::{Maildir, MaildirError, Result, Tree};

/// After so many counts what was found last is taken: somebody is always at work, and the next count mends it.
const COUNTS_MAX: usize = 4;

/// The file system's clock moves in steps, so a directory that has just changed may change again and look the same.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// All mailboxes of a tree.
pub(super) struct Account<'a>(pub(super) &'a Tree);

impl Account<'_> {
    /// Counts, and writes the file. Who changes something meanwhile in another process opened the file before and finds it
    /// replaced, or is seen here: by the times of the directories, or by another count.
    pub(super) fn recount(&self, limits: Quota) -> Result<Usage> {
        let counting = self.0.store.quota_gates().of(&self.0.root).count();
        counting.believe(false);
        let mut usage = Usage::default();
        for _ in 0..COUNTS_MAX {
            let before = self.stamps()?;
            usage = self.count()?;
            if self.write(limits, usage).is_err() {
                // A full disk, say: what was counted is right all the same, and the next who asks need not count again.
                counting.keep(usage, self.0.store.options().clock.now());
                return Ok(usage);
            }
            let settled = before.iter().all(|(_, stamp)| self.is_settled(stamp));
            if settled && self.stamps()? == before || self.count()? == usage {
                counting.believe(true);
                break;
            }
        }
        Ok(usage)
    }

    pub(super) fn count(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        self.each_mailbox(|maildir| {
            // In this order a message on its way to cur/ is not missed.
            usage = usage.plus(of_dirs(maildir.fs(), &["new", "cur"].map(|name| maildir.dir(name)))?);
            Ok(())
        })?;
        Ok(usage)
    }

    fn stamps(&self) -> Result<Vec<(PathBuf, Metadata)>> {
        let mut stamps = Vec::new();
        self.each_mailbox(|maildir| {
            for name in ["new", "cur"] {
                let path = maildir.dir(name);
                stamps.extend(maildir.fs().metadata(&path).if_found()?.map(|metadata| (path, metadata)));
            }
            Ok(())
        })?;
        Ok(stamps)
    }

    fn is_settled(&self, stamp: &Metadata) -> bool {
        let age = self.0.store.options().clock.now().duration_since(stamp.modified);
        age.is_ok_and(|age| age >= SETTLED_AFTER)
    }

    fn each_mailbox(&self, mut look: impl FnMut(&Maildir) -> Result<()>) -> Result<()> {
        for listed in self.0.list()?.into_iter().filter(|listed| listed.exists) {
            // Opened as it is: who counts makes nothing, and what is gone meanwhile holds nothing.
            let maildir = Maildir::at(&self.0.store, self.0.path(&listed.name)?, self.0.root.clone());
            match look(&maildir) {
                // A link in the place of a directory is not followed, and nobody is shown such a mailbox.
                Err(MaildirError::Fs(error)) if error.kind() == ErrorKind::WrongKind => {}
                // Somebody else's folder, of which the account uses nothing.
                Err(MaildirError::Fs(error))
                    if error.kind() == ErrorKind::PermissionDenied && !listed.name.is_inbox() => {}
                looked => looked?,
            }
        }
        Ok(())
    }

    /// The file takes the place of the one that was there. Synced before, so that a power cut leaves one of the two: where the
    /// limits are in the file alone, an empty one would be without them.
    fn write(&self, limits: Quota, usage: Usage) -> Result<()> {
        let (store, root) = (&self.0.store, &self.0.root);
        let octets = file::encode(limits, usage);
        let replace = |written: PathBuf| {
            replace_file(store.fs(), &written, &root.join(FILE), &octets, || Ok::<(), FsError>(())).map(drop)
        };
        Ok(match replace(root.join("tmp").join(store.unique_name())) {
            // Where INBOX is elsewhere, the root has no such directory.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                replace(root.join(format!("{FILE}.{}", store.unique_name())))
            }
            replaced => replaced,
        }?)
    }
}

/// What lies in these directories of messages. Nothing, if they are gone.
pub(super) fn of_dirs(fs: &dyn Fs, dirs: &[PathBuf]) -> Result<Usage> {
    let mut usage = Usage::default();
    for dir in dirs {
        let mut without_size = Vec::new();
        let listed = fs.list_each(dir, &mut |name, kind| {
            let octets = bytes(name);
            let (base, _) = split(octets);
            // As a mailbox shows them.
            if kind != Kind::File || base.is_empty() || base.starts_with(b".") || octets.contains(&b'\n') {
                return;
            }
            match sizes(base).0 {
                Some(size) => usage = usage.plus(Usage::message(size)),
                None => without_size.push(name.to_owned()),
            }
        });
        listed.if_found()?;
        for name in without_size {
            if let Some(metadata) = fs.metadata(&dir.join(name)).if_found()? {
                usage = usage.plus(Usage::message(metadata.len));
            }
        }
    }
    Ok(usage)
}

/// The bytes of a message's file: `S=` of its name, as it was written, and where there is none what the file system says.
pub(crate) fn file_size(fs: &dyn Fs, base: &[u8], path: &Path) -> Result<u64> {
    match sizes(base).0 {
        Some(bytes) => Ok(bytes),
        None => Ok(fs.metadata(path)?.len),
    }
}
