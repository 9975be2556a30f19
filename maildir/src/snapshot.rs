//! `pillarbox-index`: what a folder at rest held, so that it can be opened again without reading its directories.
//!
//! Never the truth. It is believed only while `new/`, `cur/` and the UID list have the times that they had, all of which were
//! old enough then to tell any later change; whatever is wrong with it, the folder is read and it is written anew. It
//! carries the number of its own file, so that one that was copied back beside other contents is not believed.
//!
//! All numbers are little-endian.
//!
//! | octets | what |
//! |---|---|
//! | 8 | `PBXIDX1` and a line feed |
//! | 16 | device and inode of this file |
//! | 36 | `new/`: device, inode, length, seconds since 1970 (8 each), nanoseconds (4) |
//! | 36 | `cur/`, the same |
//! | 36 | `dovecot-uidlist`, the same |
//! | 4 | UIDVALIDITY |
//! | 4 | how many messages |
//! | 4 | how many octets the names at the end take |
//! | 9 each | a message, by rising UID: UID (4), flags (4: bits 0 to 5 are DFPRST, bits 6 to 31 are a to z), 1 for `cur/` or 0 for `new/`, plus 0 if the name's second part is empty, 2 if the flags tell it, 4 if it stands at the end |
//! | 2 and more each | the second parts that the flags do not tell, in the order of their messages: length (2), text |
//! | 4 | CRC-32 of all that is before |

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pillarbox_fs::Metadata;

use crate::file_name::{Form, read_info};
use crate::folder::Stamp;
use crate::listing::{Dir, DirStamps, Found};
use crate::look::{Seen, is_old};
use crate::view::{MessageFile, View};
use crate::{Access, Flags, Mailbox, Maildir, Result, Uid};

/// What has to be as it was. Nobody has to understand it, so it is kept as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamps([u8; STAMPS]);

/// What the file said, checked as far as it can be without the UID list.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) stamps: Stamps,
    pub(crate) validity: u32,
    bytes: Vec<u8>,
    count: usize,
}

pub(crate) const FILE: &str = "pillarbox-index";
const MAGIC: &[u8; 8] = b"PBXIDX1\n";
const STAMP: usize = 36;
const STAMPS: usize = 3 * STAMP;
const HEADER: usize = 8 + 16 + STAMPS + 12;
const ROW: usize = 9;
const CHECK: usize = 4;

/// More than 4 million messages; a larger file is none of ours.
const SNAPSHOT_MAX: usize = 64 << 20;

impl Stamps {
    /// `None` if one of the times is before 1970.
    pub(crate) fn of(dirs: &DirStamps, uids: &Stamp) -> Option<Self> {
        let mut octets = [0; STAMPS];
        let stamps = [stamp(&dirs.new)?, stamp(&dirs.cur)?, encode_stamp(uids.id, uids.len, uids.modified)?];
        for (place, stamp) in octets.chunks_exact_mut(STAMP).zip(stamps) {
            place.copy_from_slice(&stamp);
        }
        Some(Stamps(octets))
    }
}

fn stamp(metadata: &Metadata) -> Option<[u8; STAMP]> {
    encode_stamp(metadata.id, metadata.len, metadata.modified)
}

fn encode_stamp(id: (u64, u64), len: u64, modified: SystemTime) -> Option<[u8; STAMP]> {
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    let mut octets = [0; STAMP];
    for (place, number) in octets.chunks_exact_mut(8).zip([id.0, id.1, len, since.as_secs()]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    octets[32..].copy_from_slice(&since.subsec_nanos().to_le_bytes());
    Some(octets)
}

impl Snapshot {
    /// The folder's snapshot, if there is a whole one.
    pub(crate) fn read(maildir: &Maildir) -> Option<Snapshot> {
        let file = maildir.fs().open(&path(maildir)).ok()?;
        let metadata = file.metadata().ok()?;
        let len = usize::try_from(metadata.len).ok().filter(|len| *len <= SNAPSHOT_MAX)?;
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match file.read_at(filled as u64, &mut bytes[filled..]).ok()? {
                0 => return None,
                n => filled += n,
            }
        }
        Snapshot::decode(bytes, metadata.id)
    }

    fn decode(bytes: Vec<u8>, id: (u64, u64)) -> Option<Snapshot> {
        let body = bytes.len().checked_sub(CHECK).filter(|body| *body >= HEADER)?;
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four octets"));
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight octets"));
        if bytes[..8] != *MAGIC || (long(8), long(16)) != id || number(body) != crc32fast::hash(&bytes[..body]) {
            return None;
        }
        let [validity, count, odd] = [HEADER - 12, HEADER - 8, HEADER - 4].map(number);
        let len = (count as usize).checked_mul(ROW)?.checked_add(odd as usize)?;
        if len != body - HEADER {
            return None;
        }
        let stamps = Stamps(bytes[24..24 + STAMPS].try_into().expect("as many octets"));
        Some(Snapshot { stamps, validity, bytes, count: count as usize })
    }

    /// How many messages there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Shows the messages, with the second part of each name that is odd. False if they are not what [`write`] writes, or `show`
    /// returned false.
    pub(crate) fn rows(&self, mut show: impl FnMut(Uid, Found, Option<&[u8]>) -> bool) -> bool {
        let body = self.bytes.len() - CHECK;
        let (rows, mut odd) = self.bytes[HEADER..body].split_at(self.count * ROW);
        let mut last = 0;
        for row in rows.chunks_exact(ROW) {
            let number = |at: usize| u32::from_le_bytes(row[at..at + 4].try_into().expect("four octets"));
            let Some(uid) = Uid::new(number(0)).filter(|uid| uid.get() > last) else { return false };
            last = uid.get();
            let dir = if row[8] & 1 == 0 { Dir::New } else { Dir::Cur };
            let flags = Flags::from_bits(number(4));
            let (form, info) = match row[8] >> 1 {
                0 if flags.is_empty() => (Form::Bare, None),
                1 => (Form::Plain, None),
                2 => {
                    let Some((len, rest)) = odd.split_first_chunk() else { return false };
                    let Some((info, rest)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len))) else {
                        return false;
                    };
                    odd = rest;
                    if read_info(info) != (flags, Form::Odd) {
                        return false;
                    }
                    (Form::Odd, Some(info))
                }
                _ => return false,
            };
            if !show(uid, Found { flags, dir, form, recent: dir == Dir::New }, info) {
                return false;
            }
        }
        odd.is_empty()
    }
}

/// How often a snapshot is written of a mailbox that stays open.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(600);

impl Mailbox {
    /// Shows what the snapshot says, if nothing has changed since.
    pub(crate) fn open_snapshot(&mut self) -> Option<Seen> {
        let from = self.maildir.store().options().snapshot_from;
        let snapshot = Snapshot::read(&self.maildir).filter(|snapshot| snapshot.count() >= from)?;
        let own = self.maildir.own().count();
        let uids = self.maildir.uids_stamp().ok()??;
        let dirs = DirStamps::read(&self.maildir).ok()?;
        let list = self.maildir.uids().ok()??;
        // The list that was read is the one that had this stamp.
        let same = snapshot.stamps == Stamps::of(&dirs, &uids)? && self.maildir.uids_stamp().ok()? == Some(uids);
        if !same || snapshot.validity != list.validity || list.is_withdrawn() {
            return None;
        }
        let lines = list.lines();
        let mut view = View::of(lines, snapshot.count());
        let mut line = 0;
        let whole = snapshot.rows(|uid, found, odd| {
            while line < lines.len() && (lines.uid(line) < uid || lines.is_dead(line)) {
                line += 1;
            }
            // Who opens it for writing takes what is in new/ first.
            let shows = line < lines.len() && lines.uid(line) == uid && found.dir == Dir::Cur;
            if shows {
                view.push(line, found, odd);
                line += 1;
            }
            shows
        });
        if !whole {
            return None;
        }
        self.view = view;
        self.uid_validity = list.validity;
        self.uid_next = list.uid_next();
        self.snapshot = Some((snapshot.stamps, self.maildir.store().options().clock.now()));
        Some(Seen { dirs, uids: Some(uids), own, listed: list.len(), new_settled: true, doubt: None })
    }

    /// Writes the snapshot anew, if the folder is at rest and the last one was long ago. Nothing depends on it, so errors wait for
    /// the next time.
    pub(crate) fn keep_snapshot(&mut self) {
        let options = self.maildir.store().options();
        let now = options.clock.now();
        let recent = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age < SNAPSHOT_EVERY);
        if self.access == Access::ReadOnly
            || self.view.files().len() < options.snapshot_from
            || self.snapshot.is_some_and(|(_, at)| recent(at))
        {
            return;
        }
        let Some(seen) = self.seen.as_ref().filter(|seen| seen.doubt.is_none() && seen.new_settled) else { return };
        let Some(uids) = seen.uids.filter(|uids| is_old(uids.modified, now)) else { return };
        let Some(stamps) = Stamps::of(&seen.dirs, &uids) else { return };
        let same = self.snapshot.is_some_and(|(kept, _)| kept == stamps);
        self.snapshot = Some((stamps, now));
        if same {
            return;
        }
        // Names that a power cut takes back would leave it with times that are still true.
        let _ = self
            .sync(Dir::New)
            .and_then(|()| self.sync(Dir::Cur))
            .and_then(|()| write(&self.maildir, &stamps, self.uid_validity, self.view.files()));
    }
}

/// Writes the snapshot anew. Nothing waits for it to be on the disk: what a power cut leaves of it fails its check.
pub(crate) fn write<'a>(
    maildir: &Maildir,
    stamps: &Stamps,
    validity: u32,
    files: impl ExactSizeIterator<Item = MessageFile<'a>>,
) -> Result<()> {
    let fs = maildir.fs();
    let written = maildir.dir("tmp").join(maildir.store().unique_name());
    let mut file = fs.create(&written)?;
    let renamed = file.metadata().and_then(|metadata| {
        file.write(&encode(metadata.id, stamps, validity, files))?;
        file.close()?;
        fs.rename(&written, &path(maildir))
    });
    if renamed.is_err() {
        let _ = fs.unlink(&written);
    }
    Ok(renamed?)
}

fn encode<'a>(
    id: (u64, u64),
    stamps: &Stamps,
    validity: u32,
    files: impl ExactSizeIterator<Item = MessageFile<'a>>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + files.len() * ROW + CHECK);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&id.0.to_le_bytes());
    out.extend_from_slice(&id.1.to_le_bytes());
    out.extend_from_slice(&stamps.0);
    out.extend_from_slice(&validity.to_le_bytes());
    out.extend_from_slice(&(files.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let mut odd = Vec::new();
    for file in files {
        out.extend_from_slice(&file.uid.get().to_le_bytes());
        out.extend_from_slice(&file.flags().bits().to_le_bytes());
        let form = match file.found.form {
            Form::Bare => 0,
            Form::Plain => 1,
            Form::Odd => 2,
        };
        out.push(form << 1 | u8::from(file.found.dir == Dir::Cur));
        if file.found.form == Form::Odd {
            let info = file.info();
            // No file system has names as long as that.
            odd.extend_from_slice(&(info.len() as u16).to_le_bytes());
            odd.extend_from_slice(&info);
        }
    }
    out[HEADER - 4..HEADER].copy_from_slice(&(odd.len() as u32).to_le_bytes());
    out.extend_from_slice(&odd);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

fn path(maildir: &Maildir) -> PathBuf {
    maildir.dir(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Lines;
    use proptest::prelude::*;

    const ID: (u64, u64) = (1, 2);

    fn written() -> Vec<u8> {
        let mut lines = Lines::default();
        let infos: [&[u8]; 5] = [b"", b":2,", b":2,FSab", b":2,SX", b":1,odd"];
        for n in 1..=5 {
            assert!(lines.push(Uid::new(n * n).unwrap(), b"", b"name"));
        }
        let mut view = View::of(&lines, 5);
        for (line, info) in (0..).zip(infos) {
            let dir = if info.is_empty() { Dir::New } else { Dir::Cur };
            view.push(line, Found::of(dir, info), Some(info));
        }
        encode(ID, &Stamps([7; STAMPS]), 9, view.files())
    }

    type Message = (u32, Found, Option<Vec<u8>>);

    fn read(bytes: Vec<u8>) -> Option<Vec<Message>> {
        let snapshot = Snapshot::decode(bytes, ID)?;
        let mut rows = Vec::new();
        let whole = snapshot.rows(|uid, found, odd| {
            rows.push((uid.get(), found, odd.map(<[u8]>::to_vec)));
            true
        });
        assert!(!whole || rows.len() == snapshot.count());
        whole.then_some(rows)
    }

    fn with_check(mut bytes: Vec<u8>) -> Vec<u8> {
        let body = bytes.len() - CHECK;
        let check = crc32fast::hash(&bytes[..body]);
        bytes[body..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = written();
        let snapshot = Snapshot::decode(bytes.clone(), ID).unwrap();
        assert_eq!((snapshot.stamps, snapshot.validity), (Stamps([7; STAMPS]), 9));
        let rows = read(bytes).unwrap();
        let odd: Vec<_> = rows.iter().map(|(uid, found, odd)| (*uid, found.form, odd.as_deref())).collect();
        let expected: [(u32, Form, Option<&[u8]>); 5] = [
            (1, Form::Bare, None),
            (4, Form::Plain, None),
            (9, Form::Plain, None),
            (16, Form::Odd, Some(b":2,SX")),
            (25, Form::Odd, Some(b":1,odd")),
        ];
        assert_eq!(odd, expected);
        assert_eq!(rows[2].1.flags.to_string(), "FSab");
    }

    // MDR-06
    #[test]
    fn a_copy_of_it_is_another_file() {
        assert!(Snapshot::decode(written(), (1, 3)).is_none());
    }

    // MDR-06
    #[test]
    fn cut_or_changed_anywhere_it_counts_as_lost() {
        let whole = written();
        for cut in 0..whole.len() {
            assert!(read(whole[..cut].to_vec()).is_none(), "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            assert!(read(bytes).is_none(), "changed at {at}");
        }
    }

    proptest! {
        // MDR-06: sizes and counts that lie under a true check.
        #[test]
        fn no_count_leads_astray(
            changes in proptest::collection::vec((HEADER - 12..HEADER + 5 * ROW + 15, any::<u8>()), 1..6),
            cut in proptest::option::of(0..200usize),
        ) {
            let mut bytes = written();
            for (at, octet) in changes {
                let at = at.min(bytes.len() - CHECK - 1);
                bytes[at] = octet;
            }
            if let Some(cut) = cut {
                bytes.truncate(bytes.len().saturating_sub(cut).max(CHECK));
            }
            // Whatever is read of it, nothing is read beyond it.
            let rows = read(with_check(bytes));
            prop_assert!(rows.is_none_or(|rows| rows.is_sorted_by(|a, b| a.0 < b.0)));
        }

        // MDR-06
        #[test]
        fn any_octets_are_no_snapshot(bytes in proptest::collection::vec(any::<u8>(), CHECK..400)) {
            prop_assert!(read(with_check(bytes)).is_none());
        }
    }
}
