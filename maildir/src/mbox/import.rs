//! Bringing in what other programs kept.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use pillarbox_fs::{ErrorKind, FsError, replace_file};

use super::source::{MaildirSource, Source, fnv};
use super::{MboxError, MboxReader};
use crate::error::NotFound;
use crate::{Maildir, MaildirError, Prepared, Result as StoreResult};

/// How far an import has come. What is counted in `messages` and `there_before` is on stable storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Messages brought in.
    pub messages: u64,
    /// Messages that an earlier try had brought in.
    pub there_before: u64,
    /// How much of the source has been read: octets of an mbox, messages of a Maildir.
    pub read: u64,
    /// How much the source has.
    pub total: u64,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Messages brought in.
    pub messages: u64,
    /// Messages that an earlier try had brought in.
    pub there_before: u64,
    /// This very import had come to its end before, so that nothing was done.
    pub ended_before: bool,
    /// UW-imapd's notes to itself, which are no messages.
    pub passed_over: u64,
    /// Keywords that no letter was left for, or that are no atoms. Their messages are there without them.
    pub keywords_lost: Vec<String>,
}

/// Why an import stopped. The messages of earlier batches are there, and the same import goes on behind them.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read, or is no mbox.
    #[error(transparent)]
    Mbox(#[from] MboxError),
    /// A message cannot be read or stored.
    #[error("{place}: {error}")]
    Store {
        /// Which message: the line of its From_ line, or its file.
        place: String,
        /// Why.
        error: MaildirError,
    },
}

impl ImportError {
    pub(super) fn new(place: String, error: MaildirError) -> Self {
        ImportError::Store { place, error }
    }
}

/// Messages that become visible, and are told of, together.
const BATCH: usize = 256;
const FILE: &str = "pillarbox-import-";
/// So many octets of it are read, and no more are written: what came in of some four million messages.
const FILE_MAX: usize = 64 << 20;

/// Brings the messages of an mbox into a mailbox, in their order, in batches: of each batch all or none is there, durably, before
/// `progress` hears of it.
///
/// An import that was broken off, by an error or a power cut, goes on where it was when it is begun again with the same `id`, and brings
/// no message twice, wherever the user has put it meanwhile; one that has ended does nothing any more
/// ([`Imported::ended_before`]), until [`forget_import`]. For that the mailbox keeps a file `pillarbox-import-*`, with a number that is in the
/// names of the messages too, and with what came in of each batch. Of a batch that a power cut kept from being noted there, what is
/// still in the mailbox is known by its names. `id` should tell the source from others and from later versions of itself, such as
/// path, size and time. One process may do an import at a time.
///
/// ```
/// use pillarbox_maildir::mbox::{MboxReader, import_mbox};
/// use pillarbox_maildir::{Access, Mailbox, Maildir, Options, Store};
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
///
/// let inbox = Maildir::create(&store, dir.path().join("Maildir"))?;
/// let file = "From a@b.example Wed Feb  3 10:11:12 2021\nStatus: RO\nSubject: hi\n\nhello\n\n";
/// let mut mbox = MboxReader::new(std::io::Cursor::new(file))?;
/// let imported = import_mbox(&inbox, &mut mbox, "hello.mbox", |_| {})?;
/// assert_eq!(imported.messages, 1);
/// assert_eq!(Mailbox::open(&inbox, Access::ReadOnly)?.messages().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn import_mbox<R: Read + Seek>(
    maildir: &Maildir,
    mbox: &mut MboxReader<R>,
    id: &str,
    progress: impl FnMut(&Progress),
) -> Result<Imported, ImportError> {
    import(maildir, mbox, id, progress)
}

/// Brings the messages of another Maildir folder into a mailbox, in the order of their names, with flags and keywords, as
/// [`import_mbox`] does. Nothing in `source` changes.
pub fn import_maildir(
    maildir: &Maildir,
    source: &Path,
    id: &str,
    progress: impl FnMut(&Progress),
) -> Result<Imported, ImportError> {
    import(maildir, &mut MaildirSource::open(maildir.store(), source)?, id, progress)
}

fn import(
    maildir: &Maildir,
    source: &mut dyn Source,
    id: &str,
    mut progress: impl FnMut(&Progress),
) -> Result<Imported, ImportError> {
    let begun = |error| ImportError::new(format!("the mailbox {}", maildir.path().display()), error);
    let (mut ticket, noted) = Ticket::take(maildir, id).map_err(begun)?;
    if ticket.ended {
        return Ok(Imported { ended_before: true, ..Imported::default() });
    }
    let there = ticket.there(noted).map_err(begun)?;
    let mut imported = Imported::default();
    let mut batch: Vec<Prepared> = Vec::new();
    let mut keys = Vec::new();
    loop {
        let head = source.next()?;
        let place = source.place();
        let told = |error| ImportError::new(place.clone(), error);
        if batch.len() == BATCH || head.is_none() {
            let messages = batch.len() as u64;
            if messages > 0 {
                maildir.append(std::mem::take(&mut batch)).map_err(told)?;
                ticket.note(&keys).map_err(told)?;
                keys.clear();
            }
            imported.messages += messages;
            let (mut read, total) = source.progress();
            if head.is_none() {
                read = total;
            }
            let Imported { messages, there_before, .. } = imported;
            progress(&Progress { messages, there_before, read, total });
        }
        let Some(head) = head else { break };
        if there.contains(&head.key) {
            imported.there_before += 1;
            continue;
        }
        let mut incoming = maildir.begin().map_err(told)?;
        while let Some(piece) = source.read()? {
            incoming.write(piece).map_err(told)?;
        }
        let Some(marks) = source.marks() else {
            imported.passed_over += 1;
            continue;
        };
        let words: Vec<&str> = marks.keywords.iter().map(String::as_str).collect();
        let (letters, lost) = maildir.keyword_flags(&words).map_err(told)?;
        for word in lost {
            if imported.keywords_lost.len() < LOST_MAX && !imported.keywords_lost.contains(&word) {
                imported.keywords_lost.push(word);
            }
        }
        let prepared = incoming.prepare(marks.flags | letters, head.date).map_err(told)?;
        batch.push(prepared.named(&ticket.name(head.key)));
        keys.push(head.key);
    }
    Ticket { ended: true, ..ticket }.write().map_err(begun)?;
    Ok(imported)
}

/// Forgets that there was an import with this `id`, so that the same can be brought in once more; true if there was one. Durable.
pub fn forget_import(maildir: &Maildir, id: &str) -> StoreResult<bool> {
    let found = maildir.store().fs().unlink(&Ticket::path(maildir, id)).if_found()?.is_some();
    maildir.store().sync_dir(maildir.path())?;
    Ok(found)
}

/// Of the keywords that are lost so many are named.
const LOST_MAX: usize = 100;

/// What makes an import one, however often it is broken off.
struct Ticket<'a> {
    maildir: &'a Maildir,
    path: PathBuf,
    number: u64,
    ended: bool,
    /// Octets of the file.
    len: usize,
}

impl<'a> Ticket<'a> {
    fn path(maildir: &Maildir, id: &str) -> PathBuf {
        maildir.path().join(format!("{FILE}{:016x}", fnv(id.as_bytes())))
    }

    /// That of an import that was broken off, with the keys of what it brought in, or a new one. Durable.
    fn take(maildir: &'a Maildir, id: &str) -> StoreResult<(Self, HashSet<u64>)> {
        let store = maildir.store();
        let path = Ticket::path(maildir, id);
        let found = match store.fs().read(&path, FILE_MAX) {
            Ok(bytes) => parse(&bytes).map(|parsed| (parsed, bytes.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some((Parsed { number, ended, keys }, len)) = found {
            // Who wrote it may not have come to the sync.
            store.sync_dir(maildir.path())?;
            return Ok((Ticket { maildir, path, number, ended, len }, keys));
        }
        let mut ticket = Ticket { maildir, path, number: store.random(), ended: false, len: 0 };
        ticket.write()?;
        Ok((ticket, HashSet::new()))
    }

    /// Writes down that messages with these keys are there. Durable on return.
    fn note(&mut self, keys: &[u64]) -> StoreResult<()> {
        // It begins with a line of its own: the one before may have been cut off by a crash.
        let mut lines = String::from("\n");
        lines.extend(keys.iter().map(|key| format!("{key:016x}\n")));
        if self.len + lines.len() > FILE_MAX {
            return Ok(());
        }
        let mut file = self.maildir.fs().open_append(&self.path)?;
        file.write(lines.as_bytes())?;
        file.sync()?;
        self.len += lines.len();
        Ok(file.close()?)
    }

    /// Writes it anew, with no keys. Durable on return.
    fn write(&mut self) -> StoreResult<()> {
        let store = self.maildir.store();
        let line = format!("{:016x}{}\n", self.number, if self.ended { ENDED } else { "" });
        self.len = line.len();
        let written = self.path.with_extension("tmp");
        replace_file(store.fs(), &written, &self.path, line.as_bytes(), || Ok::<(), FsError>(()))?;
        Ok(store.sync_dir(self.maildir.path())?)
    }

    /// The name of the message with this key: one like all others, with the two numbers in it.
    fn name(&self, key: u64) -> String {
        let unique = self.maildir.store().unique_name();
        let random_end = unique.find('R').expect("every name has a random number") + 1 + 16;
        let (front, host) = unique.split_at(random_end);
        format!("{front}{}{key:016x}{host}", self.mark())
    }

    fn mark(&self) -> String {
        format!("I{:016x}K", self.number)
    }

    /// The keys of the messages that need not come: of those that were `noted`, and of those that are in the mailbox.
    fn there(&self, noted: HashSet<u64>) -> StoreResult<HashSet<u64>> {
        let mark = self.mark();
        let key = |name: &OsStr| {
            let (_, key) = name.to_str()?.split_once(&mark)?;
            u64::from_str_radix(key.get(..16)?, 16).ok()
        };
        let mut there = noted;
        // Twice, since a name that is being renamed may be missed once.
        for dir in ["new", "cur", "new", "cur"] {
            self.maildir.fs().list_each(&self.maildir.dir(dir), &mut |name, _| there.extend(key(name)))?;
        }
        Ok(there)
    }
}

const ENDED: &str = " ended";

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    number: u64,
    ended: bool,
    keys: HashSet<u64>,
}

/// `None`: nobody wrote it so, and what is there is written anew. A line of keys that is none was cut off, and its message is known by
/// its name.
fn parse(bytes: &[u8]) -> Option<Parsed> {
    let hex = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 16)?;
        // A sign would be read too.
        u64::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|octet| octet.is_ascii_hexdigit()))
    };
    let end = memchr::memchr(b'\n', bytes)?;
    let (line, mut rest) = (&bytes[..end], &bytes[end + 1..]);
    let (number, ended) = match line.strip_suffix(ENDED.as_bytes()) {
        Some(number) => (hex(number)?, true),
        None => (hex(line)?, false),
    };
    let mut keys = HashSet::new();
    while let Some(end) = memchr::memchr(b'\n', rest) {
        keys.extend(hex(&rest[..end]));
        rest = &rest[end + 1..];
    }
    Some(Parsed { number, ended, keys })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<(u64, bool, Vec<u64>)> {
        let Parsed { number, ended, keys } = parse(bytes)?;
        let mut keys: Vec<u64> = keys.into_iter().collect();
        keys.sort_unstable();
        Some((number, ended, keys))
    }

    #[test]
    fn what_is_cut_off_or_torn_is_no_key() {
        let whole = b"00000000000000ff\n\n0000000000000001\n0000000000000002\n\n0000000000000003\n";
        assert_eq!(read(whole), Some((255, false, vec![1, 2, 3])));
        for cut in 0..whole.len() {
            let told = read(&whole[..cut]);
            assert_eq!(told.is_some(), cut > 16);
            assert!(told.is_none_or(|(number, _, keys)| number == 255 && [1, 2, 3].starts_with(&keys)), "{cut}");
        }
        let mut torn = whole.to_vec();
        torn[20..30].fill(0);
        assert_eq!(read(&torn), Some((255, false, vec![2, 3])));
        assert_eq!(read(b"00000000000000ff ended\n"), Some((255, true, vec![])));
        // A sign is no digit, and a number has sixteen.
        for none in [&b""[..], b"ff\n", b"+0000000000000ff\n", b"00000000000000ff", b"00000000000000ff ended!\n"] {
            assert_eq!(read(none).map(|(number, ..)| number), None, "{}", none.escape_ascii());
        }
    }
}
