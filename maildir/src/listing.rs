//! What `new/` and `cur/` hold, read while other programs rename files there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::SystemTime;

use pillarbox_fs::{Kind, Metadata};

use crate::error::NotFound;
use crate::file_name::{self, Base, Form, bytes, join, split};
use crate::uid_list::UidList;
use crate::{Flags, Maildir, MaildirError, Result};

/// Where a message's file is, and what the second part of its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) flags: Flags,
    pub(crate) dir: Dir,
    /// Of an odd one the second part is kept elsewhere.
    pub(crate) form: Form,
    /// The view was the first to take it out of `new/`; a listing does not know.
    pub(crate) recent: bool,
}

impl Found {
    pub(crate) fn of(dir: Dir, info: &[u8]) -> Self {
        let (flags, form) = file_name::read_info(info);
        Found { flags, dir, form, recent: false }
    }

    /// The second part of the name; `odd` is what was kept of it.
    pub(crate) fn info<'a>(&self, odd: Option<&'a [u8]>) -> Cow<'a, [u8]> {
        match self.form {
            Form::Bare => Cow::Borrowed(b""),
            Form::Plain => Cow::Owned(file_name::with_flags(b"", self.flags)),
            Form::Odd => Cow::Borrowed(odd.expect("kept for each that is odd")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dir {
    New,
    Cur,
}

impl Dir {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Dir::New => "new",
            Dir::Cur => "cur",
        }
    }
}

/// A message file by its own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) dir: Dir,
    /// The second part of the name.
    pub(crate) info: Box<[u8]>,
}

/// All messages of a folder, beside a UID list.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// For each line of the list the file that has its name.
    found: Vec<Option<Found>>,
    /// How many of them there are.
    count: usize,
    /// The second parts of those that are odd, by line.
    odd: HashMap<u32, Box<[u8]>>,
    /// Files that the list does not name.
    pub(crate) unlisted: HashMap<Base, Named>,
    /// A message had two names: it was renamed during the listing, or there really are two files.
    doubles: Vec<(Base, Named)>,
    /// Why they still have, where that had to change.
    pub(crate) unrepaired: Option<MaildirError>,
    /// What is no regular file, or has a name that no UID list can hold.
    pub(crate) ignored: Vec<PathBuf>,
    /// The two directories as they were before, if they were the same afterwards, and when that was.
    pub(crate) quiet: Option<(DirStamps, SystemTime)>,
    /// What is missing is not there.
    pub(crate) certain: bool,
}

/// Changes whenever a file comes, goes or is renamed, as far as the file system's clock can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirStamps {
    pub(crate) new: Metadata,
    pub(crate) cur: Metadata,
}

impl DirStamps {
    pub(crate) fn read(maildir: &Maildir) -> Result<Self> {
        Ok(DirStamps { new: stamp(maildir, Dir::New)?, cur: stamp(maildir, Dir::Cur)? })
    }
}

pub(crate) fn stamp(maildir: &Maildir, dir: Dir) -> Result<Metadata> {
    Ok(maildir.fs().metadata(&maildir.dir(dir.name()))?)
}

/// What no message is named; whoever planted more of it gets no more of our memory.
const IGNORED_MAX: usize = 16;

impl Listing {
    pub(crate) fn read(maildir: &Maildir, uids: &UidList) -> Result<Listing> {
        let (before, began) = (DirStamps::read(maildir)?, maildir.store().options().clock.now());
        let mut listing = Listing { found: vec![None; uids.lines().len() as usize], ..Listing::default() };
        // A message goes from new/ to cur/ and not back, so that in this order it is not missed between the two.
        for dir in [Dir::New, Dir::Cur] {
            let path = maildir.dir(dir.name());
            maildir.fs().list_each(&path, &mut |name, kind| {
                let octets = bytes(name);
                // Names with a dot in front belong to other programs, by the Maildir convention.
                if octets.starts_with(b".") {
                    return;
                }
                if kind != Kind::File || octets.contains(&b'\n') {
                    if listing.ignored.len() < IGNORED_MAX {
                        listing.ignored.push(path.join(name));
                    }
                    return;
                }
                let (base, info) = split(octets);
                if base.is_empty() {
                    return;
                }
                if let Some(old) = listing.put(uids, base, dir, info) {
                    listing.doubles.push((base.into(), old));
                }
            })?;
        }
        listing.settle_doubles(maildir, uids)?;
        let is_quiet = DirStamps::read(maildir).is_ok_and(|after| after == before);
        listing.quiet = is_quiet.then_some((before, began));
        Ok(listing)
    }

    /// Takes a file in, and returns the one that had its name.
    pub(crate) fn put(&mut self, uids: &UidList, base: &[u8], dir: Dir, info: &[u8]) -> Option<Named> {
        let Some(line) = uids.line(base) else {
            return self.unlisted.insert(base.into(), Named { dir, info: info.into() });
        };
        let old = self.take(line);
        self.put_at(line, Found::of(dir, info), info);
        old
    }

    fn put_at(&mut self, line: u32, found: Found, info: &[u8]) {
        if found.form == Form::Odd {
            self.odd.insert(line, info.into());
        }
        self.count += usize::from(self.found[line as usize].replace(found).is_none());
    }

    fn take(&mut self, line: u32) -> Option<Named> {
        let old = self.found[line as usize].take()?;
        self.count -= 1;
        let odd = self.odd.remove(&line);
        Some(Named { dir: old.dir, info: old.info(odd.as_deref()).into() })
    }

    /// The file that has the name in this line.
    pub(crate) fn at(&self, line: u32) -> Option<Found> {
        self.found[line as usize]
    }

    /// What was kept of a file's name that is odd.
    pub(crate) fn odd(&self, line: u32) -> Option<&[u8]> {
        self.odd.get(&line).map(|info| &info[..])
    }

    /// How many files have lines.
    pub(crate) fn listed(&self) -> usize {
        self.count
    }

    /// The lines that have files, in their order.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u32, Found)> {
        self.found.iter().zip(0..).filter_map(|(found, line)| Some((line, (*found)?)))
    }

    pub(crate) fn has(&self, uids: &UidList, base: &[u8]) -> bool {
        match uids.line(base) {
            Some(line) => self.at(line).is_some(),
            None => self.unlisted.contains_key(base),
        }
    }

    fn named(&self, uids: &UidList, base: &[u8]) -> Option<Named> {
        match uids.line(base) {
            Some(line) => {
                let found = self.at(line)?;
                Some(Named { dir: found.dir, info: found.info(self.odd(line)).into() })
            }
            None => self.unlisted.get(base).cloned(),
        }
    }

    /// Takes over what an earlier listing beside the same list found and this one did not.
    pub(crate) fn add_missed(&mut self, earlier: Listing) {
        for (line, found) in earlier.lines() {
            if self.at(line).is_none() {
                self.put_at(line, found, earlier.odd(line).unwrap_or_default());
            }
        }
        for (base, named) in earlier.unlisted {
            self.unlisted.entry(base).or_insert(named);
        }
    }

    /// The same files beside another list, or beside one that has grown.
    pub(crate) fn move_to(&mut self, old: &UidList, new: &UidList) {
        let mut unlisted = std::mem::take(&mut self.unlisted);
        if old.lines().is_kin(new.lines()) {
            self.found.resize(new.lines().len() as usize, None);
        } else {
            let found = std::mem::replace(&mut self.found, vec![None; new.lines().len() as usize]);
            let mut odd = std::mem::take(&mut self.odd);
            self.count = 0;
            for (found, line) in found.into_iter().zip(0..) {
                let Some(found) = found else { continue };
                let odd = odd.remove(&line);
                let info = found.info(odd.as_deref());
                self.put(new, old.lines().base(line), found.dir, &info);
            }
        }
        for (base, named) in unlisted.drain() {
            self.put(new, &base, named.dir, &named.info);
        }
    }

    /// Files beside which there is another one of the same name.
    pub(crate) fn doubles(&self) -> impl Iterator<Item = (&Base, &Named)> {
        self.doubles.iter().map(|(base, named)| (base, named))
    }

    pub(crate) fn has_doubles(&self) -> bool {
        !self.doubles.is_empty()
    }

    /// Finds out which of two names is still there. What stays in `doubles` exists beside the other.
    fn settle_doubles(&mut self, maildir: &Maildir, uids: &UidList) -> Result<()> {
        for (base, old) in std::mem::take(&mut self.doubles) {
            let new = self.named(uids, &base).expect("it took the place of the other");
            if maildir.fs().metadata(&path(maildir, &base, &old)).if_found()?.is_none() {
                continue;
            }
            if maildir.fs().metadata(&path(maildir, &base, &new)).if_found()?.is_none() {
                self.put(uids, &base, old.dir, &old.info);
            } else {
                self.doubles.push((base, old));
            }
        }
        Ok(())
    }

    /// Makes one file of two names, or two names of two files, as it may be after a crash or a restored backup. A file
    /// with a name of its own is a new message. The lock on the UID list is to be held since it was listed.
    pub(crate) fn repair_doubles(&mut self, maildir: &Maildir, uids: &UidList) -> Result<()> {
        let fs = maildir.fs();
        for (base, old) in std::mem::take(&mut self.doubles) {
            let kept = self.named(uids, &base).expect("both were there");
            let (old, kept) = (path(maildir, &base, &old), path(maildir, &base, &kept));
            let (Some(old_is), Some(kept_is)) = (fs.metadata(&old).if_found()?, fs.metadata(&kept).if_found()?) else {
                continue;
            };
            if old_is.id == kept_is.id {
                fs.unlink(&old).if_found()?;
            } else {
                let renamed = Named { dir: Dir::Cur, info: b":2,"[..].into() };
                let base = maildir.store().unique_name().into_bytes();
                if fs.rename(&old, &path(maildir, &base, &renamed)).if_found()?.is_some() {
                    self.put(uids, &base, renamed.dir, &renamed.info);
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn path(maildir: &Maildir, base: &[u8], named: &Named) -> PathBuf {
    maildir.dir(named.dir.name()).join(join(base, &named.info))
}
