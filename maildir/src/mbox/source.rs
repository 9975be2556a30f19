//! What is imported: the messages of an mbox, or those of another Maildir.

use std::collections::HashSet;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pillarbox_fs::{ErrorKind, Kind};

use super::{ImportError, Marks, MboxReader};
use crate::file_name::{self, Base};
use crate::lines::Fields;
use crate::{Keywords, MessageReader, Store};

/// A message that is about to be read.
pub(super) struct Head {
    /// Tells it from all others of this source, and is the same whenever the source is read.
    pub(super) key: u64,
    pub(super) date: Option<SystemTime>,
}

pub(super) trait Source {
    fn next(&mut self) -> Result<Option<Head>, ImportError>;
    /// The next octets of the message; `None` at its end.
    fn read(&mut self) -> Result<Option<&[u8]>, ImportError>;
    /// Its flags, once it has been read. `None`: it is no message.
    fn marks(&self) -> Option<Marks>;
    /// Where it is, for people.
    fn place(&self) -> String;
    /// Octets of the source up to the message, and all.
    fn progress(&self) -> (u64, u64);
}

impl<R: Read + Seek> Source for MboxReader<R> {
    fn next(&mut self) -> Result<Option<Head>, ImportError> {
        let Some(envelope) = self.next_message()? else { return Ok(None) };
        let since = |seconds: i64| match u64::try_from(seconds) {
            Ok(after) => UNIX_EPOCH.checked_add(Duration::from_secs(after)),
            Err(_) => UNIX_EPOCH.checked_sub(Duration::from_secs(seconds.unsigned_abs())),
        };
        let date = envelope.date.and_then(|date| since(date.unix_seconds()));
        Ok(Some(Head { key: self.offset(), date }))
    }

    fn read(&mut self) -> Result<Option<&[u8]>, ImportError> {
        Ok(MboxReader::read(self)?)
    }

    fn marks(&self) -> Option<Marks> {
        (!self.is_internal()).then(|| MboxReader::marks(self).clone())
    }

    fn place(&self) -> String {
        format!("line {}", self.line())
    }

    fn progress(&self) -> (u64, u64) {
        (self.offset(), self.file_len())
    }
}

/// The messages of a Maildir that nobody need have used before; nothing in it is changed.
pub(super) struct MaildirSource<'a> {
    store: &'a Store,
    keywords: Keywords,
    /// In the order of their arrival, the last first.
    left: Vec<Waiting>,
    all: u64,
    now: Option<(Vec<u8>, PathBuf, MessageReader)>,
    at: u64,
    piece: Vec<u8>,
}

/// A file that was listed.
struct Waiting {
    base: Base,
    info: Vec<u8>,
    path: PathBuf,
    /// Tells it from another file that has its name but for the flags; none where there is no other.
    inode: Option<u64>,
}

const PIECE: usize = 64 << 10;
const KEYWORDS_MAX: usize = 64 << 10;

impl<'a> MaildirSource<'a> {
    pub(super) fn open(store: &'a Store, path: &Path) -> Result<Self, ImportError> {
        let told = |error: pillarbox_fs::FsError| ImportError::new(path.display().to_string(), error.into());
        let mut left = Vec::new();
        for dir in ["new", "cur"] {
            for entry in store.fs().list(&path.join(dir).join(".")).map_err(told)? {
                let name = file_name::bytes(&entry.name);
                let (base, info) = file_name::split(name);
                if entry.kind == Kind::File && !base.is_empty() && !name.starts_with(b".") {
                    let path = path.join(dir).join(&entry.name);
                    left.push(Waiting { base: Base::from(base), info: info.to_vec(), path, inode: None });
                }
            }
        }
        left.sort_by(|a, b| file_name::arrival(&b.base).cmp(&file_name::arrival(&a.base)));
        let left = tell_apart(store, left).map_err(told)?;
        let keywords = match store.fs().read(&path.join("dovecot-keywords"), KEYWORDS_MAX) {
            Ok(bytes) => Keywords::parse(&bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Keywords::default(),
            Err(error) => return Err(told(error)),
        };
        let all = left.len() as u64;
        Ok(MaildirSource { store, keywords, left, all, now: None, at: 0, piece: vec![0; PIECE] })
    }
}

impl Source for MaildirSource<'_> {
    fn next(&mut self) -> Result<Option<Head>, ImportError> {
        let Some(Waiting { base, info, path, inode }) = self.left.pop() else { return Ok(None) };
        let told = |error: crate::MaildirError| ImportError::new(path.display().to_string(), error);
        let file = self.store.fs().open(&path).map_err(|error| told(error.into()))?;
        let date = file.metadata().map_err(|error| told(error.into()))?.modified;
        let reader = MessageReader::new(file, Fields(b"").sizes(&base)).map_err(told)?;
        let key = match inode {
            None => fnv(&base),
            Some(inode) => fnv(&[&base[..], &inode.to_le_bytes()].concat()),
        };
        self.now = Some((info, path, reader));
        self.at = 0;
        Ok(Some(Head { key, date: Some(date) }))
    }

    fn read(&mut self) -> Result<Option<&[u8]>, ImportError> {
        let Some((_, path, reader)) = &mut self.now else { return Ok(None) };
        let read = reader.read_at(self.at, &mut self.piece);
        let read = read.map_err(|error| ImportError::new(path.display().to_string(), error))?;
        self.at += read as u64;
        Ok((read > 0).then_some(&self.piece[..read]))
    }

    fn marks(&self) -> Option<Marks> {
        let (info, ..) = self.now.as_ref()?;
        let flags = file_name::flags(info);
        let keywords = flags.keywords().filter_map(|number| self.keywords.name(number)).map(str::to_owned).collect();
        Some(Marks { flags: flags.system(), keywords })
    }

    fn place(&self) -> String {
        self.now.as_ref().map_or_else(String::new, |(_, path, _)| path.display().to_string())
    }

    fn progress(&self) -> (u64, u64) {
        (self.all - self.left.len() as u64, self.all)
    }
}

/// Drops all names but one of a file that has several, and notes which files share a name, as a crash or a restored backup
/// leaves them: each of these is a message.
fn tell_apart(store: &Store, listed: Vec<Waiting>) -> pillarbox_fs::Result<Vec<Waiting>> {
    let mut left: Vec<Waiting> = Vec::with_capacity(listed.len());
    let mut listed = listed.into_iter().peekable();
    while let Some(first) = listed.next() {
        if listed.peek().is_none_or(|next| next.base != first.base) {
            left.push(first);
            continue;
        }
        let (base, mut same) = (first.base.clone(), vec![first]);
        while let Some(next) = listed.next_if(|next| next.base == base) {
            same.push(next);
        }
        let mut files: Vec<((u64, u64), Waiting)> = Vec::new();
        // One name may have as many endings as somebody likes.
        let mut ids = HashSet::new();
        // Of two names of one file the one in cur/ has the flags, and was listed later.
        for one in same.into_iter().rev() {
            match store.fs().metadata(&one.path) {
                Ok(found) if ids.insert(found.id) => files.push((found.id, one)),
                Ok(_) => {}
                // It was renamed while it was listed, and has its other name now.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let several = files.len() > 1;
        left.extend(files.into_iter().map(|(id, file)| Waiting { inode: several.then_some(id.1), ..file }));
    }
    Ok(left)
}

/// FNV-1a: spreads names over 64 bits, the same way for ever.
pub(super) fn fnv(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}
