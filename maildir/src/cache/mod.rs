//! `pillarbox-cache`: pieces of answers about messages, kept so that their files need not be opened again.
//!
//! Never the truth: lost, stale, damaged or of a later version it is made anew by whoever next has something to put into it,
//! and nobody hears of it. So nothing here is synced, and no error of the file system leaves this module.
//!
//! The file grows at its end by whole records, several in one write; two programs that append at the same time append one
//! behind the other. It is written anew under another name, and renamed, when most of its records are dead or some of its octets
//! cannot be read; who has the old file open goes on with it until the next look.

mod bulk;
mod pieces;
mod record;
mod scan;
mod table;

use std::sync::Mutex;

use pillarbox_fs::{File, Metadata};

pub use self::pieces::{Piece, Pieces};
use self::table::Table;
use crate::store::lock;
use crate::{Mailbox, Maildir, Uid};

pub(crate) const FILE: &str = "pillarbox-cache";

/// A larger file is written anew.
const FILE_MAX: u64 = 1 << 30;

/// Records in a file whatever its mailbox holds: below this nobody minds the dead ones.
const RECORDS_MIN: u64 = 100;

/// So many records are looked for in a file, or four for each message if that is more. Whoever fills a file with records of
/// messages that are not there costs us no more memory than this; a mailbox that has shrunk so much needs another file anyway.
const RECORDS_READ: u64 = 1 << 17;

/// So many sizes are found out before they are written down.
const SIZES_MAX: usize = 64;

/// The kind of the one piece that is this crate's own: the length of the file and the size of the message in it, eight octets
/// each.
pub(crate) const SIZES: u8 = 0;

/// What is known of a mailbox's cache file.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    open: Option<Open>,
    sizes: Vec<(Uid, Pieces)>,
    /// It could not be written anew. On a full disk each attempt would copy all of it, so there is one for each opening of the
    /// mailbox.
    stays: bool,
}

/// A file that was looked through.
#[derive(Debug)]
struct Open {
    file: Mutex<File>,
    id: (u64, u64),
    /// Up to here.
    seen: u64,
    /// It is so long; what lies between is the beginning of a record.
    len: u64,
    table: Table,
    /// Records, the dead ones among them.
    records: u64,
    /// Places where no record could be read.
    damaged: u32,
}

impl Mailbox {
    /// What [`remember`](Mailbox::remember) kept of these messages, in their order; `None` where it kept nothing.
    ///
    /// The first call reads through the cache file once, some 800 octets a message where ENVELOPE and BODYSTRUCTURE are kept, and
    /// from then on a place in a table stands for each message, eight octets. Each call costs a question to the file
    /// system, and each message one or two reads at a known place.
    ///
    /// ```
    /// use pillarbox_maildir::{Access, Flags, Mailbox, Maildir, Options, Pieces, Store};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
    /// # let inbox = Maildir::create(&store, dir.path().join("Maildir"))?;
    /// # let mut message = inbox.begin()?;
    /// # message.write(b"Subject: hello\r\n\r\n")?;
    /// # message.commit(Flags::NONE, None)?;
    /// const SUBJECT: u8 = 16;
    ///
    /// let mut mailbox = Mailbox::open(&inbox, Access::ReadWrite)?;
    /// let uid = mailbox.messages().next().expect("one message").uid;
    /// assert_eq!(mailbox.cached(&[uid]), [None]);
    ///
    /// let mut pieces = Pieces::new();
    /// pieces.insert(SUBJECT, b"", b"hello");
    /// mailbox.remember(&[(uid, pieces)]);
    /// let cached = mailbox.cached(&[uid]).remove(0).expect("it was remembered");
    /// assert_eq!(cached.find(SUBJECT, b""), Some(&b"hello"[..]));
    /// # Ok::<(), pillarbox_maildir::MaildirError>(())
    /// ```
    pub fn cached(&mut self, uids: &[Uid]) -> Vec<Option<Pieces>> {
        self.look_at_cache();
        uids.iter().map(|uid| self.cached_now(*uid)).collect()
    }

    /// Keeps pieces of messages beside those that are kept already; of two with one kind and name the new one stays. What
    /// finds no room is dropped (see [`Pieces::insert`]), the oldest first.
    ///
    /// Kinds below 16 are this crate's own. A kind stands for one way of computing: whoever computes differently takes a new
    /// number, for what is kept may have been written by an older program.
    pub fn remember(&mut self, pieces: &[(Uid, Pieces)]) {
        self.look_at_cache();
        let mut records = Vec::new();
        let mut count = 0;
        for (uid, new) in pieces.iter().chain(&std::mem::take(&mut self.cache.sizes)) {
            let Some(message) = self.view.find(*uid) else { continue };
            let old = self.cached_now(*uid).unwrap_or_default();
            if new.iter().any(|piece| old.find(piece.kind, piece.name) != Some(piece.octets)) {
                record::encode(&mut records, *uid, record::key(message.base), &new.merged(&old));
                count += 1;
            }
        }
        if count == 0 {
            return;
        }
        let most = RECORDS_MIN.max((self.view.files().len() as u64).saturating_mul(2));
        let is_good = self.cache.open.as_ref().is_some_and(|open| {
            let len = open.len.saturating_add(records.len() as u64);
            // Behind a tail that was cut off by a crash nothing would be found.
            open.damaged == 0 && open.seen == open.len && open.records + count <= most && len <= FILE_MAX
        });
        if !is_good && !self.cache.stays {
            self.cache.stays = self.write_cache_anew(&records).is_err();
            self.cache.open = None;
        } else if let Some(open) = &self.cache.open {
            // One write, so that what two programs append at the same time is not mixed.
            if lock(&open.file).write(&records).is_err() {
                self.cache.open = None;
            }
        }
    }

    /// The size of a message whose file is so long, if it is known.
    pub(crate) fn cached_size(&mut self, uid: Uid, file: u64) -> Option<u64> {
        self.look_at_cache();
        let pieces = self.cached_now(uid)?;
        let (known, size) = pieces.find(SIZES, b"")?.split_at_checked(8)?;
        let is_it = known == file.to_le_bytes();
        size.try_into().ok().filter(|_| is_it).map(u64::from_le_bytes)
    }

    /// Keeps the size of a message, together with those of others.
    pub(crate) fn remember_size(&mut self, uid: Uid, file: u64, size: u64) {
        let mut pieces = Pieces::new();
        pieces.insert(SIZES, b"", &[file.to_le_bytes(), size.to_le_bytes()].concat());
        self.cache.sizes.push((uid, pieces));
        if self.cache.sizes.len() >= SIZES_MAX {
            self.remember_sizes();
        }
    }

    /// Writes down the sizes that were found out.
    pub(crate) fn remember_sizes(&mut self) {
        if !self.cache.sizes.is_empty() {
            self.remember(&[]);
        }
    }

    fn cached_now(&self, uid: Uid) -> Option<Pieces> {
        let message = self.view.find(uid)?;
        let open = self.cache.open.as_ref()?;
        record::read(&lock(&open.file), open.table.find(uid)?, uid, record::key(message.base))
    }

    /// Takes in what the file holds now: all of it if it is another one than before.
    fn look_at_cache(&mut self) {
        let validity = self.uid_validity();
        let path = self.maildir.dir(FILE);
        let Ok(found) = self.maildir.fs().metadata(&path) else {
            self.cache.open = None;
            return;
        };
        self.cache.open = self.cache.open.take().filter(|open| open.id == found.id && open.seen <= found.len);
        if self.cache.open.is_none() {
            self.cache.open = Open::new(&self.maildir, validity);
        }
        let most = RECORDS_READ.max((self.view.files().len() as u64).saturating_mul(4));
        if let Some(open) = &mut self.cache.open
            && open.look(found, most).is_none()
        {
            self.cache.open = None;
        }
    }

    /// Writes the records that are alive, and these behind them, into a new file. Where that cannot be done there is the old
    /// one, or none.
    fn write_cache_anew(&self, new: &[u8]) -> pillarbox_fs::Result<()> {
        let fs = self.maildir.fs();
        // What a crash leaves there is removed as all leftovers of deliveries are.
        let written = self.maildir.dir("tmp").join(self.maildir.store().unique_name());
        let mut out = scan::header(self.uid_validity()).to_vec();
        let mut len = new.len();
        let write = |mut file: File| {
            for message in self.view.files() {
                let Some(pieces) = self.cached_now(message.uid) else { continue };
                let before = out.len();
                record::encode(&mut out, message.uid, record::key(message.base), &pieces);
                len += out.len() - before;
                if len as u64 > FILE_MAX / 2 {
                    // The rest is found out again when it is asked for.
                    break;
                }
                if out.len() >= scan::BUFFER {
                    file.write(&out)?;
                    out.clear();
                }
            }
            out.extend_from_slice(new);
            file.write(&out)?;
            file.close()?;
            fs.rename(&written, &self.maildir.dir(FILE))
        };
        let result = fs.create(&written).and_then(write);
        if result.is_err() {
            let _ = fs.unlink(&written);
        }
        result
    }
}

/// All that a cache file keeps, for whoever checks it.
pub(crate) struct Contents(Open);

impl Contents {
    /// What the file keeps; `None` if it cannot be read, or is of another UIDVALIDITY or version.
    pub(crate) fn read(maildir: &Maildir, validity: u32) -> Option<Self> {
        let mut open = Open::new(maildir, validity)?;
        let found = lock(&open.file).metadata().ok()?;
        // A check may take longer, and a little more memory.
        open.look(found, RECORDS_READ * 32)?;
        Some(Contents(open))
    }

    /// What is kept of a message.
    pub(crate) fn pieces(&self, uid: Uid, base: &[u8]) -> Option<Pieces> {
        record::read(&lock(&self.0.file), self.0.table.find(uid)?, uid, record::key(base))
    }

    /// False if there is something that is no record.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.damaged == 0 && self.0.seen == self.0.len
    }
}

impl Open {
    /// The file, if it is one of this UIDVALIDITY that can be read.
    fn new(maildir: &Maildir, validity: u32) -> Option<Self> {
        let path = maildir.dir(FILE);
        let file = maildir.fs().open_append(&path).or_else(|_| maildir.fs().open(&path)).ok()?;
        let metadata = file.metadata().ok()?;
        if metadata.len > FILE_MAX || !scan::has_header(&file, validity) {
            return None;
        }
        let seen = scan::header(validity).len() as u64;
        Some(Open {
            file: Mutex::new(file),
            id: metadata.id,
            seen,
            len: seen,
            table: Table::default(),
            records: 0,
            damaged: 0,
        })
    }

    /// Takes in what came behind what was seen; `None` if the file is of no use, or holds more than `most` records.
    fn look(&mut self, found: Metadata, most: u64) -> Option<()> {
        if found.len > self.seen {
            let mut places = Vec::new();
            let scanned =
                scan::scan(&lock(&self.file), self.seen, found.len, most.saturating_sub(self.records), &mut places)?;
            self.table.add(places);
            self.seen = scanned.end;
            self.records += scanned.records;
            self.damaged += scanned.damaged;
            self.len = found.len;
        }
        (self.damaged <= scan::DAMAGED_MAX).then_some(())
    }
}
