//! What `new/` and `cur/` hold, read while other programs rename files there.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use pillarbox_fs::{Kind, Metadata};

use crate::error::NotFound;
use crate::file_name::{Base, bytes, join, split};
use crate::{Maildir, Result};

/// One message file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) dir: Dir,
    /// The second part of the name.
    pub(crate) info: Box<[u8]>,
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

/// All messages of a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: HashMap<Base, Found>,
    /// A message had two names: it was renamed during the listing, or there really are two files.
    pub(crate) doubles: Vec<(Base, Found)>,
    /// What is no regular file.
    pub(crate) ignored: Vec<PathBuf>,
    /// The two directories as they were before, if they were the same afterwards.
    pub(crate) quiet: Option<DirStamps>,
    /// What is missing is not there.
    pub(crate) certain: bool,
}

/// Changes whenever a file comes, goes or is renamed, as far as the file system's clock can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirStamps([Metadata; 2]);

impl DirStamps {
    pub(crate) fn read(maildir: &Maildir) -> Result<Self> {
        let fs = maildir.fs();
        Ok(DirStamps([fs.metadata(&maildir.dir("new"))?, fs.metadata(&maildir.dir("cur"))?]))
    }

    /// When the later of the two last changed.
    pub(crate) fn modified(&self) -> std::time::SystemTime {
        self.0[0].modified.max(self.0[1].modified)
    }
}

/// What no message is named; whoever planted more of it gets no more of our memory.
const IGNORED_MAX: usize = 16;

impl Listing {
    pub(crate) fn read(maildir: &Maildir) -> Result<Listing> {
        let before = DirStamps::read(maildir)?;
        let mut listing = Listing::default();
        // A message goes from new/ to cur/ and not back, so that in this order it is not missed between the two.
        for dir in [Dir::New, Dir::Cur] {
            let path = maildir.dir(dir.name());
            for entry in maildir.fs().list(&path)? {
                let name = bytes(&entry.name);
                // Names with a dot in front belong to other programs, by the Maildir convention.
                if name.starts_with(b".") {
                    continue;
                }
                if entry.kind != Kind::File {
                    if listing.ignored.len() < IGNORED_MAX {
                        listing.ignored.push(path.join(&entry.name));
                    }
                    continue;
                }
                let (base, info) = split(name);
                if base.is_empty() {
                    continue;
                }
                let base: Base = base.into();
                if let Some(old) = listing.files.insert(base.clone(), Found { dir, info: info.into() }) {
                    listing.doubles.push((base, old));
                }
            }
        }
        listing.settle_doubles(maildir)?;
        listing.quiet = Some(before).filter(|before| DirStamps::read(maildir).is_ok_and(|after| after == *before));
        Ok(listing)
    }

    /// Finds out which of two names is still there. What stays in `doubles` exists beside the other.
    fn settle_doubles(&mut self, maildir: &Maildir) -> Result<()> {
        for (base, old) in std::mem::take(&mut self.doubles) {
            let new = self.files[&base].clone();
            if maildir.fs().metadata(&path(maildir, &base, &old)).if_found()?.is_none() {
                continue;
            }
            if maildir.fs().metadata(&path(maildir, &base, &new)).if_found()?.is_none() {
                self.files.insert(base, old);
            } else {
                self.doubles.push((base, old));
            }
        }
        Ok(())
    }

    /// Makes one file of two names, or two names of two files, as it may be after a crash or a restored backup. A file
    /// with a name of its own is a new message.
    pub(crate) fn repair_doubles(&mut self, maildir: &Maildir) -> Result<()> {
        let fs = maildir.fs();
        for (base, old) in std::mem::take(&mut self.doubles) {
            let (old, kept) = (path(maildir, &base, &old), path(maildir, &base, &self.files[&base]));
            let (Some(old_is), Some(kept_is)) = (fs.metadata(&old).if_found()?, fs.metadata(&kept).if_found()?) else {
                continue;
            };
            if old_is.id == kept_is.id {
                fs.unlink(&old).if_found()?;
            } else {
                let renamed = Found { dir: Dir::Cur, info: b":2,"[..].into() };
                let base: Base = maildir.store().unique_name().into_bytes().into();
                if fs.rename(&old, &path(maildir, &base, &renamed)).if_found()?.is_some() {
                    self.files.insert(base, renamed);
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn file_name(base: &[u8], found: &Found) -> OsString {
    join(base, &found.info)
}

pub(crate) fn path(maildir: &Maildir, base: &[u8], found: &Found) -> PathBuf {
    maildir.dir(found.dir.name()).join(file_name(base, found))
}
