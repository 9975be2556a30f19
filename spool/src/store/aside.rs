//! What cannot be used is put where a person finds it.

use std::fmt;
use std::path::{Path, PathBuf};

use pillarbox_fs::{ErrorKind, Fs};

use super::segment::SegmentFile;
use super::{Paths, Shared};
use crate::error::Result;

/// Octets that are copied at once.
const CHUNK: usize = 64 * 1024;

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
            Finding::Lost { segment } => write!(f, "segment {segment} is missing"),
        }
    }
}

impl Paths {
    /// Gives something a place under `set-aside/`, durably.
    pub(super) fn move_aside(&self, fs: &dyn Fs, from: &Path, why: impl Into<String>) -> Result<Finding> {
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        let mut to = self.aside.join(&*name);
        let mut count = 1;
        while fs.metadata(&to).is_ok() {
            to = self.aside.join(format!("{name}.{count}"));
            count += 1;
        }
        fs.rename(from, &to)?;
        fs.sync_dir(&self.aside)?;
        Ok(Finding::Moved { from: from.to_owned(), to, why: why.into() })
    }
}

impl Shared {
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
