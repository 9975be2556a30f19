//! Handing out what is in a mailbox.

use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use pillarbox_core::WallTime;
use pillarbox_fs::{ErrorKind, File, FsError, Op};

use super::{Envelope, Marks, MboxWriter, Progress};
use crate::deletion;
use crate::error::NotFound;
use crate::file_name;
use crate::folder::parent;
use crate::layout::FILE_NAME_MAX;
use crate::{Flags, Mailbox, MaildirError, MessageReader, Result, Store, Uid};

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Messages.
    pub messages: u64,
    /// Messages that somebody expunged meanwhile.
    pub gone: u64,
}

/// Writes the messages of a mailbox to a new mbox file, with their flags, keywords and dates. UIDs are not written.
///
/// The file is written beside its place, synced, and then put there: it is there whole or not at all, durably on return. What is there
/// already is not replaced.
///
/// # Errors
///
/// [`ErrorKind::AlreadyExists`] in [`MaildirError::Fs`] if something is there.
pub fn export_mbox(mailbox: &mut Mailbox, to: &Path, progress: impl FnMut(&Progress)) -> Result<Exported> {
    let store = mailbox.maildir().store().clone();
    let fs = store.fs();
    refuse_existing(&store, to)?;
    let beside = beside(&store, to);
    let written = write_mbox(mailbox, fs.create(&beside)?, progress).and_then(|exported| {
        // A link replaces nothing, whoever made a file there meanwhile.
        match fs.link(&beside, to) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                refuse_existing(&store, to)?;
                fs.rename(&beside, to)?;
            }
            linked => linked?,
        }
        Ok(exported)
    });
    let _ = fs.unlink(&beside);
    let exported = written?;
    store.sync_dir(&parent(to))?;
    Ok(exported)
}

/// Writes the messages of a mailbox to a new Maildir folder: `cur`, `new` and `tmp`, flags in the names, the dates of the files, and a
/// `dovecot-keywords` if there are keywords. UIDs are not written.
///
/// It is written beside its place, synced, and then put there: it is there whole or not at all, durably on return.
///
/// # Errors
///
/// [`ErrorKind::AlreadyExists`] in [`MaildirError::Fs`] if something is there.
pub fn export_maildir(mailbox: &mut Mailbox, to: &Path, progress: impl FnMut(&Progress)) -> Result<Exported> {
    let store = mailbox.maildir().store().clone();
    let fs = store.fs();
    refuse_existing(&store, to)?;
    let beside = beside(&store, to);
    fs.make_dir(&beside)?;
    let placed = write_maildir(mailbox, &beside, progress).and_then(|exported| {
        fs.rename(&beside, to)?;
        store.sync_dir(&parent(to))?;
        Ok(exported)
    });
    if placed.is_err() {
        let _ = deletion::remove(&store, &beside);
    }
    placed
}

fn write_mbox(mailbox: &mut Mailbox, file: File, progress: impl FnMut(&Progress)) -> Result<Exported> {
    let path = file.path().to_owned();
    let mut out = MboxWriter::new(BufWriter::with_capacity(PIECE, Out(file)));
    let exported = each(mailbox, progress, |mailbox, uid, flags| {
        let date = mailbox.info(uid)?.date;
        let keywords = mailbox.keyword_names(flags).into_iter().map(str::to_owned).collect();
        let marks = Marks { flags: flags.system().without(Flags::PASSED), keywords };
        let envelope = Envelope { sender: String::new(), date: Some(wall_time(date)) };
        let message = Octets { reader: mailbox.read(uid)?, at: 0 };
        out.add(&envelope, &marks, message).map_err(|error| told(error, &path))
    })?;
    let out = out.into_inner().into_inner().map_err(|error| told(error.into_error(), &path))?;
    let mut file = out.0;
    file.sync()?;
    file.close()?;
    Ok(exported)
}

fn write_maildir(mailbox: &mut Mailbox, to: &Path, progress: impl FnMut(&Progress)) -> Result<Exported> {
    let store = mailbox.maildir().store().clone();
    let fs = store.fs();
    for dir in ["tmp", "new", "cur"] {
        fs.make_dir(&to.join(dir))?;
    }
    let mut piece = vec![0; PIECE];
    let exported = each(mailbox, progress, |mailbox, uid, flags| {
        let mut name = None;
        // Opened where it is now, so that it can be read on wherever it goes.
        let source = mailbox.with_file(uid, |maildir, file| {
            let info = file_name::with_flags(b"", flags);
            let kept = file_name::join(file.base, &info);
            // With all its flags a name may be longer than the one that it has, and than any can be.
            let fits = kept.len() <= FILE_NAME_MAX;
            name = Some(if fits { kept } else { file_name::join(maildir.store().unique_name().as_bytes(), &info) });
            Ok(maildir.fs().open(&file.path(maildir))?)
        })?;
        let mut file = fs.create(&to.join("cur").join(name.expect("it was opened")))?;
        let mut at = 0;
        loop {
            match source.read_at(at, &mut piece)? {
                0 => break,
                read => {
                    file.write(&piece[..read])?;
                    at += read as u64;
                }
            }
        }
        file.set_modified(source.metadata()?.modified)?;
        file.sync()?;
        Ok(file.close()?)
    })?;
    let keywords = mailbox.keywords().encode();
    if !keywords.is_empty() {
        let mut file = fs.create(&to.join("dovecot-keywords"))?;
        file.write(&keywords)?;
        file.sync()?;
        file.close()?;
    }
    store.sync_dir(&to.join("cur"))?;
    store.sync_dir(to)?;
    Ok(exported)
}

const PIECE: usize = 64 << 10;
/// Progress is told each time so many messages are written.
const STEP: u64 = 256;

fn each(
    mailbox: &mut Mailbox,
    mut progress: impl FnMut(&Progress),
    mut write: impl FnMut(&mut Mailbox, Uid, Flags) -> Result<()>,
) -> Result<Exported> {
    // An export that lacks messages would look whole.
    if let Some(error) = mailbox.held_back() {
        return Err(error);
    }
    let messages: Vec<(Uid, Flags)> = mailbox.messages().map(|message| (message.uid, message.flags)).collect();
    let mut exported = Exported::default();
    for (n, (uid, flags)) in (1..).zip(&messages) {
        match write(mailbox, *uid, *flags) {
            Ok(()) => exported.messages += 1,
            Err(MaildirError::NoSuchMessage(_)) => exported.gone += 1,
            Err(error) => return Err(error),
        }
        if n % STEP == 0 || n == messages.len() as u64 {
            let total = messages.len() as u64;
            progress(&Progress { messages: exported.messages, read: n, total, ..Progress::default() });
        }
    }
    Ok(exported)
}

fn refuse_existing(store: &Store, to: &Path) -> Result<()> {
    match store.fs().metadata(to).if_found()? {
        Some(_) => Err(FsError::with_kind(Op::Create, to, ErrorKind::AlreadyExists, "it exists").into()),
        None => Ok(()),
    }
}

/// Where something is written before it takes its place.
fn beside(store: &Store, to: &Path) -> PathBuf {
    to.parent().unwrap_or(to).join(format!(".pillarbox-export.{}", store.unique_name()))
}

fn wall_time(time: SystemTime) -> WallTime {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    WallTime::new(seconds, 0)
}

/// Our own error back out of the one that went through `std::io`.
fn told(error: io::Error, path: &Path) -> MaildirError {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<MaildirError>()).cloned();
    ours.unwrap_or_else(|| FsError::new(Op::Write, path, error).into())
}

/// A file that is written through `std::io`.
struct Out(File);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| io::Error::other(MaildirError::from(error)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message that is read through `std::io`.
struct Octets {
    reader: MessageReader,
    at: u64,
}

impl Read for Octets {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read_at(self.at, into).map_err(io::Error::other)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Octets {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::End(by) => (self.reader.len(), by),
            SeekFrom::Current(by) => (self.at, by),
        };
        self.at = base.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
