//! Putting messages into folders: written, synced, named, the name synced. Only then does anyone hear of it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pillarbox_fs::{ErrorKind, File, FsError, Op};

use crate::error::NotFound;
use crate::file_name::{self, Base, Sizes};
use crate::line_ends::{Ambiguous, Encoder, expand};
use crate::listing::{Dir, stamp};
use crate::quota::{Tally, Usage};
use crate::uid_list::NewMessage;
use crate::view::MessageFile;
use crate::{Flags, LineEnds, Maildir, Result, Uid};

/// A message on its way in. Dropping it leaves nothing behind.
///
/// It is written to `tmp/` as it comes, whatever its size; no part of it is kept in memory but a buffer.
#[derive(Debug)]
pub struct Incoming {
    tmp: Tmp,
    /// None while it is parked.
    file: Option<File>,
    encoder: Encoder,
    buffer: Vec<u8>,
    /// A part of it was not written.
    failed: bool,
}

/// A message that is whole and synced, in `tmp/`, where nobody sees it yet. Dropping it leaves nothing behind.
///
/// A message for several mailboxes is prepared in all of them before [`publish_all`] makes it visible in any.
#[derive(Debug)]
pub struct Prepared {
    tmp: Tmp,
    base: Base,
    /// Of a copy: its source's.
    guid: Option<Base>,
    flags: Flags,
}

/// A message that is in its folder, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The first part of the file's name, which it keeps for life.
    pub name: String,
}

/// Messages that are in their folder, durably, and their UIDs (RFC 4315 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The folder's UIDVALIDITY.
    pub uid_validity: u32,
    /// One UID a message, in the order given.
    pub uids: Vec<Uid>,
    /// The messages, in the order given.
    pub delivered: Vec<Delivered>,
}

const BUFFER: usize = 64 << 10;

impl Maildir {
    /// Begins a message.
    pub fn begin(&self) -> Result<Incoming> {
        let (tmp, file) = Tmp::create(self)?;
        let verbatim = self.store().options().line_ends == LineEnds::AsReceived;
        Ok(Incoming { tmp, file: Some(file), encoder: Encoder::new(verbatim), buffer: Vec::new(), failed: false })
    }

    /// Makes messages visible here and gives them UIDs, all or none. Durable on return: files, names and UIDs. All must
    /// have been prepared in this folder; others are refused as a caller's mistake, by a panic.
    ///
    /// This is IMAP's APPEND, which has to name the UIDs. A delivery needs none and takes no lock: see
    /// [`Prepared::publish`].
    ///
    /// # Panics
    /// If a message was prepared in another folder.
    pub fn append(&self, messages: Vec<Prepared>) -> Result<Appended> {
        assert!(messages.iter().all(|message| message.tmp.maildir.path() == self.path()), "prepared in another folder");
        let mut locked = self.lock()?;
        // A new list is made before there is anything to undo.
        locked.uids()?;
        // Files come before UIDs: whoever meets a line of the list can count on its file being there, unless expunged.
        let published = Published::publish(messages)?;
        let new: Vec<NewMessage> = published.0.iter().map(PublishedFile::new_message).collect();
        let (uid_validity, uids) = locked.assign(&new)?;
        Ok(Appended { uid_validity, uids, delivered: published.keep() })
    }

    /// Removes a message that was put here, wherever its readers have moved it; true if it was still there. Durable. It needs no
    /// room, no lock and no UID, so that a delivery can be undone whatever made another copy of it fail.
    pub fn take_back(&self, delivered: &Delivered) -> Result<bool> {
        let mut tally = Tally::begin([self]);
        let found = self.take_away(delivered.name.as_bytes())?;
        if found {
            tally.remove(self, file_name::sizes(delivered.name.as_bytes()).0);
        }
        tally.write();
        for dir in ["new", "cur"] {
            self.store().sync_dir(&self.dir(dir))?;
        }
        Ok(found)
    }

    fn take_away(&self, base: &[u8]) -> Result<bool> {
        if self.fs().unlink(&self.dir("new").join(file_name::join(base, b""))).if_found()?.is_some() {
            return Ok(true);
        }
        let cur = self.dir("cur");
        // Who renames it meanwhile may hide it from one listing; a few are enough for all but the most unlucky.
        for _ in 0..4 {
            for entry in self.fs().list(&cur)? {
                if file_name::split(file_name::bytes(&entry.name)).0 == base
                    && self.fs().unlink(&cur.join(&entry.name)).if_found()?.is_some()
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Incoming {
    /// Adds to the message. CRLF line ends are what is expected, and all else is kept as it is.
    ///
    /// # Errors
    ///
    /// What the file system refuses. The message has a hole then, and all that is asked of it later is refused
    /// ([`ErrorKind::GivenUp`]).
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.unless_failed(|message| {
            // In pieces, so that the buffer is bounded however large a slice the caller holds.
            bytes.chunks(BUFFER).try_for_each(|piece| message.write_piece(piece))
        })
    }

    fn unless_failed<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.failed {
            let text = "an earlier part of this message was not written";
            return Err(FsError::with_kind(Op::Write, self.tmp.path(), ErrorKind::GivenUp, text).into());
        }
        let done = act(self);
        self.failed = done.is_err();
        done
    }

    /// Octets so far, as they will be read back.
    pub fn len(&self) -> u64 {
        self.encoder.clone().finish(&mut Vec::new()).message
    }

    /// True before the first octet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the message and syncs its file. `date` is IMAP's internal date, now if `None`.
    pub fn prepare(mut self, flags: Flags, date: Option<SystemTime>) -> Result<Prepared> {
        let (sizes, mut file) = self.unless_failed(|message| {
            let sizes = message.encoder.finish(&mut message.buffer);
            message.flush(0)?;
            Ok((sizes, message.take_file()?))
        })?;
        if let Some(date) = date {
            file.set_modified(date)?;
        }
        file.sync()?;
        file.close()?;
        let base = file_name::with_sizes(&self.tmp.unique, sizes);
        Ok(Prepared { tmp: self.tmp, base, guid: None, flags })
    }

    /// Ends the message, syncs it, makes it visible and syncs its name: durable on return.
    pub fn commit(self, flags: Flags, date: Option<SystemTime>) -> Result<Delivered> {
        self.prepare(flags, date)?.publish()
    }

    /// Writes out what is held in memory, and closes the file until there is more. Who writes one message into many
    /// folders parks each after each piece, so that no more than one file is open. What came so far is synced: an error of
    /// the disk is told to a file that was open when it was written, and the next one may never hear of it.
    pub fn park(&mut self) -> Result<()> {
        self.unless_failed(|message| {
            message.flush(0)?;
            message.buffer = Vec::new();
            if let Some(mut file) = message.file.take() {
                file.sync()?;
                file.close()?;
            }
            Ok(())
        })
    }

    /// The file, open again if it was parked.
    fn take_file(&mut self) -> Result<File> {
        match self.file.take() {
            Some(file) => Ok(file),
            None => Ok(self.tmp.maildir.fs().open_append(&self.tmp.path())?),
        }
    }

    fn write_piece(&mut self, piece: &[u8]) -> Result<()> {
        if let Err(Ambiguous { used }) = self.encoder.encode(piece, &mut self.buffer) {
            self.encoder.go_verbatim(&mut self.buffer);
            self.flush(0)?;
            self.rewrite_verbatim()?;
            // Verbatim, nothing is ambiguous.
            let _ = self.encoder.encode(&piece[used..], &mut self.buffer);
        }
        self.flush(BUFFER)
    }

    /// Writes the buffer out if it holds more than `most`.
    fn flush(&mut self, most: usize) -> Result<()> {
        if self.buffer.len() > most {
            let mut file = self.take_file()?;
            file.write(&self.buffer)?;
            self.file = Some(file);
            self.buffer.clear();
        }
        Ok(())
    }

    /// Starts another file with what came so far, line ends as they came. Happens at most once a message.
    fn rewrite_verbatim(&mut self) -> Result<()> {
        let (tmp, mut file) = Tmp::create(&self.tmp.maildir)?;
        let mut piece = vec![0; BUFFER];
        let (mut offset, mut after_cr) = (0, false);
        let old = self.take_file()?;
        loop {
            let n = old.read_at(offset, &mut piece)?;
            if n == 0 {
                break;
            }
            offset += n as u64;
            self.buffer.clear();
            expand(&piece[..n], &mut after_cr, &mut self.buffer);
            file.write(&self.buffer)?;
        }
        self.buffer.clear();
        // The old file goes with the old value.
        self.tmp = tmp;
        self.file = Some(file);
        Ok(())
    }
}

impl Prepared {
    /// Makes it a copy of the message of which this is the [`guid`](crate::Message::guid), and have the same. What cannot stand in a list of
    /// UIDs is left out, and so is all where the message gets no UID at once.
    #[must_use]
    pub fn with_guid(self, guid: &[u8]) -> Self {
        Prepared { guid: Some(guid.into()), ..self }
    }

    /// The folder that it will be visible in.
    pub fn maildir(&self) -> &Maildir {
        &self.tmp.maildir
    }

    /// Gives it a name that the caller made, so that it can be known again. No message may have had it before.
    pub(crate) fn named(mut self, unique: &str) -> Prepared {
        // Behind the first comma are the sizes: what was unique holds none.
        let sizes = self.base.iter().position(|octet| *octet == b',').unwrap_or(self.base.len());
        self.base = [unique.as_bytes(), &self.base[sizes..]].concat().into();
        self
    }

    /// What it will use of its account's quota.
    pub fn usage(&self) -> Usage {
        // The name was made here, and holds the size.
        Usage::message(file_name::sizes(&self.base).0.unwrap_or(0))
    }

    /// The flags that it will have.
    pub fn set_flags(&mut self, flags: Flags) {
        self.flags = flags;
    }

    /// Makes it visible and syncs its name: durable on return. It gets its UID when somebody next opens the mailbox. After an error
    /// it is gone, unless a reader took it meanwhile.
    pub fn publish(self) -> Result<Delivered> {
        let mut all = publish_all(vec![self])?;
        Ok(all.remove(0))
    }

    /// Gives the file its name. In `cur/` it is written down, because a view would have to read the whole directory to find it.
    fn put(&self, from: &Path, path: &Path, info: &[u8]) -> Result<()> {
        let maildir = &self.tmp.maildir;
        if info.is_empty() {
            return Ok(maildir.fs().rename(from, path)?);
        }
        let mut own = maildir.own();
        let before = stamp(maildir, Dir::Cur)?;
        maildir.fs().rename(from, path)?;
        // Whoever does not find it written down reads the directory.
        if let Ok(after) = stamp(maildir, Dir::Cur) {
            own.put(before, after, self.base.clone(), info.into());
        }
        Ok(())
    }

    /// A message that is one more name of a file, or a copy of it, in another folder.
    pub(crate) fn of_file(maildir: &Maildir, source: &Path, of: &MessageFile<'_>, flags: Flags) -> Result<Prepared> {
        let fs = maildir.fs();
        let mut file = fs.open(source)?;
        // Whoever put the file there may not have synced it.
        file.sync()?;
        let metadata = file.metadata()?;
        let mut tmp = Tmp::named(maildir);
        let base = match of.sizes().filter(|sizes| sizes.file == metadata.len) {
            Some(sizes) => file_name::with_sizes(&tmp.unique, sizes),
            None => {
                let message = crate::MessageReader::new(fs.open(source)?, of.sizes())?.len();
                file_name::with_sizes(&tmp.unique, Sizes { file: metadata.len, message })
            }
        };
        match fs.link(source, &tmp.path()) {
            Ok(()) => tmp.armed = true,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::CrossDevice | ErrorKind::TooManyLinks | ErrorKind::PermissionDenied
                ) =>
            {
                let mut copy = fs.create(&tmp.path())?;
                tmp.armed = true;
                let mut piece = vec![0; BUFFER];
                let mut offset = 0;
                loop {
                    let n = file.read_at(offset, &mut piece)?;
                    if n == 0 {
                        break;
                    }
                    copy.write(&piece[..n])?;
                    offset += n as u64;
                }
                copy.set_modified(metadata.modified)?;
                copy.sync()?;
                copy.close()?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Prepared { tmp, base, guid: Some(of.guid().into()), flags })
    }
}

/// Makes messages visible, in one folder or several, all or none: first every file gets its place, then each directory is synced.
/// After an error all are gone again, unless a reader took one meanwhile.
pub fn publish_all(messages: Vec<Prepared>) -> Result<Vec<Delivered>> {
    Ok(Published::publish(messages)?.keep())
}

/// Files that are in their place; dropping it takes them away again.
struct Published(Vec<PublishedFile>);

struct PublishedFile {
    maildir: Maildir,
    dir: &'static str,
    base: Base,
    guid: Option<Base>,
    path: PathBuf,
    /// It is in its account's tally.
    counted: bool,
}

impl PublishedFile {
    fn new_message(&self) -> NewMessage {
        NewMessage { base: self.base.clone(), guid: self.guid.clone() }
    }
}

impl Published {
    fn publish(messages: Vec<Prepared>) -> Result<Published> {
        let mut published = Published(Vec::with_capacity(messages.len()));
        for message in &messages {
            message.tmp.maildir.make_sure()?;
        }
        let mut tally = Tally::begin(messages.iter().map(|message| &message.tmp.maildir));
        for mut message in messages {
            let maildir = message.tmp.maildir.clone();
            // A new message without flags goes to new/, where names have no second part.
            let (dir, info) = match message.flags {
                Flags::NONE => ("new", Vec::new()),
                flags => ("cur", file_name::with_flags(b"", flags)),
            };
            let path = maildir.dir(dir).join(file_name::join(&message.base, &info));
            let from = message.tmp.path();
            // Listed before it is tried: a rename that reports an error may have happened.
            let (base, guid) = (message.base.clone(), message.guid.take());
            published.0.push(PublishedFile { maildir, dir, base, guid, path: path.clone(), counted: false });
            message.put(&from, &path, &info)?;
            message.tmp.armed = false;
        }
        for file in &mut published.0 {
            tally.add(&file.maildir, file_name::sizes(&file.base).0);
            file.counted = true;
        }
        tally.write();
        let mut dirs: Vec<(PathBuf, &Maildir)> =
            published.0.iter().map(|file| (file.maildir.dir(file.dir), &file.maildir)).collect();
        dirs.sort_by(|a, b| a.0.cmp(&b.0));
        dirs.dedup_by(|a, b| a.0 == b.0);
        for (dir, maildir) in dirs {
            maildir.store().sync_dir(&dir)?;
        }
        published.follow()?;
        Ok(published)
    }

    /// A reader may have moved a file from new/ to cur/ before its name in new/ was durable. Then the name in cur/ has to be.
    fn follow(&self) -> Result<()> {
        let mut synced: Vec<&std::path::Path> = Vec::new();
        for file in self.0.iter().filter(|file| file.dir == "new") {
            let folder = file.maildir.path();
            if !synced.contains(&folder) && file.maildir.fs().metadata(&file.path).if_found()?.is_none() {
                file.maildir.store().sync_dir(&file.maildir.dir("cur"))?;
                synced.push(folder);
            }
        }
        Ok(())
    }

    fn keep(mut self) -> Vec<Delivered> {
        let name = |file: PublishedFile| Delivered { name: String::from_utf8_lossy(&file.base).into_owned() };
        self.0.drain(..).map(name).collect()
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let mut tally = Tally::begin(self.0.iter().map(|file| &file.maildir));
        for file in &self.0 {
            let gone = match file.maildir.fs().unlink(&file.path).if_found() {
                Ok(Some(())) => true,
                // A reader may have moved it in the meantime.
                Ok(None) => matches!(file.maildir.take_away(&file.base), Ok(true)),
                Err(_) => false,
            };
            if gone && file.counted {
                tally.remove(&file.maildir, file_name::sizes(&file.base).0);
            }
        }
        tally.write();
    }
}

/// A file in `tmp/` that goes away with this value.
#[derive(Debug)]
struct Tmp {
    maildir: Maildir,
    unique: String,
    armed: bool,
}

impl Tmp {
    fn named(maildir: &Maildir) -> Tmp {
        Tmp { maildir: maildir.clone(), unique: maildir.store().unique_name(), armed: false }
    }

    fn create(maildir: &Maildir) -> Result<(Tmp, File)> {
        let mut tmp = Tmp::named(maildir);
        let file = maildir.fs().create(&tmp.path())?;
        tmp.armed = true;
        Ok((tmp, file))
    }

    fn path(&self) -> PathBuf {
        self.maildir.dir("tmp").join(&self.unique)
    }
}

impl Drop for Tmp {
    fn drop(&mut self) {
        if self.armed {
            // If this fails, the file is removed when it is 36 hours old.
            let _ = self.maildir.fs().unlink(&self.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Barrier};

    use pillarbox_fs::RealFs;
    use pillarbox_fs::testing::Watched;

    use super::*;
    use crate::{Options, Store};

    const AT_ONCE: usize = 32;

    /// Each message costs one sync of its file; their directory is synced for those who come first and once more for all others.
    #[test]
    fn messages_that_come_at_once_share_the_syncs_of_their_directory() {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<OnceLock<Store>> = Arc::default();
        let (watching, first) = (store.clone(), AtomicBool::new(true));
        // The disk is as slow as it takes for all to be waiting for it.
        let slow = move |path: &Path| {
            if path.ends_with("new") && first.swap(false, Ordering::SeqCst) {
                while watching.get().expect("set before the first delivery").waiting_for_sync(path) < AT_ONCE {
                    std::thread::yield_now();
                }
            }
            Ok(())
        };
        let fs = Watched::new(RealFs).on_sync_dir(Box::new(slow));
        let store = store.get_or_init(|| Store::new(fs.clone(), Options::from_system()));
        let folder = Maildir::create(store, dir.path().join("m")).unwrap();
        fs.clear();
        let together = Barrier::new(AT_ONCE);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    together.wait();
                    let mut message = folder.begin().unwrap();
                    message.write(b"x\r\n").unwrap();
                    message.commit(Flags::NONE, None).unwrap();
                });
            }
        });
        let count = |op| fs.changes().iter().filter(|(done, _)| *done == op).count();
        assert_eq!((count(Op::Create), count(Op::Rename), count(Op::Sync)), (AT_ONCE, AT_ONCE, AT_ONCE));
        let shared = count(Op::SyncDir);
        assert!((1..=AT_ONCE / 10).contains(&shared), "{shared}");
    }
}
