//! What cannot be used is put where a person finds it.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use pillarbox_fs::{ErrorKind, Fs};

use super::recovery::if_found;
use super::segment::SegmentFile;
use super::{Paths, Shared, Store, lock};
use crate::MessageId;
use crate::error::Result;
use crate::format::record::Place;

/// Octets that are copied at once.
const CHUNK: usize = 64 * 1024;
/// Octets of a name that is to be followed by a number: together they are no more than a file system takes.
const NAME_MAX: usize = 200;

/// Something that was not as it should be when the spool was opened. `Display` is a line for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The last group was not written whole: nobody was told that it was accepted. After a power cut that is as it should be.
    Cut {
        /// The segment.
        segment: u64,
        /// Where it ends now.
        from: u64,
        /// Octets behind that.
        octets: u64,
    },
    /// Octets of the log that were accepted once and cannot be read. Everything behind them goes on.
    Damaged {
        /// The segment.
        segment: u64,
        /// The first octet.
        from: u64,
        /// The first one behind them; equal to `from` where something is missing or out of order.
        to: u64,
        /// What is wrong.
        why: &'static str,
        /// A copy of them, if one could be made. Without it the segment stays.
        kept: Option<PathBuf>,
    },
    /// A file that does not belong here or cannot be used at all.
    Moved {
        /// Where it was.
        from: PathBuf,
        /// Where it is.
        to: PathBuf,
        /// Why.
        why: String,
    },
    /// A file that does not belong here and could not be moved. It is passed over.
    Left {
        /// Where it is.
        path: PathBuf,
        /// Why it does not belong here.
        why: String,
        /// Why it could not be moved.
        error: String,
    },
    /// A segment is gone that the one behind it names.
    Lost {
        /// Its number.
        segment: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Cut { segment, from, octets } => {
                write!(f, "segment {segment} ends at {from}: {octets} octets behind that were never accepted")
            }
            Finding::Damaged { segment, from, to, why, kept } => {
                write!(f, "segment {segment} is damaged from {from} to {to}: {why}")?;
                match kept {
                    Some(path) => write!(f, "; a copy is in {}", path.display()),
                    None => write!(f, "; the segment is kept"),
                }
            }
            Finding::Moved { from, to, why } => {
                write!(f, "{} was moved to {}: {why}", from.display(), to.display())
            }
            Finding::Left { path, why, error } => {
                write!(f, "{} is passed over: {why}; it could not be moved: {error}", path.display())
            }
            Finding::Lost { segment } => write!(f, "segment {segment} is missing"),
        }
    }
}

impl Paths {
    /// Gives something a place under `set-aside/`, durably.
    pub(super) fn move_aside(&self, fs: &dyn Fs, from: &Path, why: impl Into<String>) -> Result<Finding> {
        let to = self.free_name(fs, from.file_name().unwrap_or_default())?;
        fs.rename(from, &to)?;
        // Of the two names a power cut leaves one or both, never none.
        fs.sync_dir(&self.aside)?;
        if let Some(parent) = from.parent() {
            fs.sync_dir(parent)?;
        }
        Ok(Finding::Moved { from: from.to_owned(), to, why: why.into() })
    }

    /// The same for something of the log that nobody can learn from. Where it cannot be moved, it stays, and is passed over.
    pub(super) fn put_away(&self, fs: &dyn Fs, from: &Path, why: String) -> Finding {
        // The mark comes first: a start that finds nothing any more must know that something was there.
        match self.mark_incomplete(fs).and_then(|()| self.move_aside(fs, from, why.clone())) {
            Ok(finding) => finding,
            Err(error) => Finding::Left { path: from.to_owned(), why, error: error.to_string() },
        }
    }

    /// A path under `set-aside/` that nothing has.
    fn free_name(&self, fs: &dyn Fs, name: &OsStr) -> Result<PathBuf> {
        let is_free = |path: &Path| match fs.metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) if !matches!(error.kind(), ErrorKind::NameTooLong | ErrorKind::WrongKind) => Err(error),
            _ => Ok(false),
        };
        let path = self.aside.join(name);
        if is_free(&path)? {
            return Ok(path);
        }
        let numbered = |number: u64| {
            let mut name = OsStr::from_bytes(&name.as_bytes()[..name.len().min(NAME_MAX)]).to_owned();
            name.push(format!(".{number}"));
            self.aside.join(name)
        };
        // There may be many: the free one next to a taken one is found in few steps.
        let (mut taken, mut free) = (0, 1);
        while !is_free(&numbered(free))? {
            (taken, free) = (free, free * 2);
        }
        while free - taken > 1 {
            let middle = taken + (free - taken) / 2;
            if is_free(&numbered(middle))? { free = middle } else { taken = middle }
        }
        Ok(numbered(free))
    }

    /// Notes, durably and from now on, that records of messages may be missing.
    pub(super) fn mark_incomplete(&self, fs: &dyn Fs) -> Result<()> {
        let new = self.root.join("incomplete.new");
        if_found(fs.unlink(&new))?;
        fs.create(&new)?.close()?;
        fs.rename(&new, &self.incomplete)?;
        Ok(fs.sync_dir(&self.root)?)
    }
}

impl Store {
    /// Gives the segment of a message a second name under `set-aside/`, durably.
    pub(super) fn keep_whole(&self, id: MessageId, place: Place) -> Result<()> {
        let Shared { fs, paths, index, .. } = &*self.0;
        let Some(salt) = lock(index).segments.get(&place.segment).map(|segment| segment.salt) else { return Ok(()) };
        let to = paths.free_name(&**fs, OsStr::new(&format!("{id}.segment")))?;
        fs.link(&paths.segment(place.segment, salt), &to)?;
        Ok(fs.sync_dir(&paths.aside)?)
    }
}

impl Shared {
    /// Copies a damaged part of a segment to `set-aside/`, durably.
    pub(super) fn keep_part(&self, number: u64, segment: &mut SegmentFile, from: u64, to: u64) -> Result<PathBuf> {
        self.keep(&format!("{number:016x}-{from}"), segment, from, to)
    }

    /// Copies a part of a segment to `set-aside/`, durably.
    pub(super) fn keep(&self, name: &str, segment: &mut SegmentFile, from: u64, to: u64) -> Result<PathBuf> {
        let to = to.min(segment.len()).max(from);
        let path = self.paths.aside.join(name);
        // An earlier start was here. The name came only after all octets were durable.
        if self.fs.metadata(&path).is_ok_and(|known| known.len == to - from) {
            return Ok(path);
        }
        let unfinished = self.paths.aside.join(format!("{name}.part"));
        match self.fs.unlink(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = self.fs.create(&unfinished)?;
        let mut at = from;
        while at < to {
            let chunk = segment.octets(at, CHUNK.min(usize::try_from(to - at).unwrap_or(CHUNK)))?;
            if chunk.is_empty() {
                break;
            }
            file.write(chunk)?;
            at += chunk.len() as u64;
        }
        file.sync()?;
        file.close()?;
        self.fs.rename(&unfinished, &path)?;
        self.fs.sync_dir(&self.paths.aside)?;
        Ok(path)
    }
}
