//! The first look at a log: which segments there are, what counts of each, and where the log ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pillarbox_fs::{ErrorKind, Fs, Kind};

use super::index::SegmentState;
use super::segment::SegmentFile;
use super::{Finding, Paths};
use crate::error::{Result, StoreError};
use crate::format::frame::{SEGMENT_HEADER, Segment, Unusable};

/// The numbers that names are read with.
const NUMBER_MAX: u64 = 1 << 62;
/// No log comes so far by itself; a file that says so is not ours, unless the log went on behind it.
const FOREIGN: u64 = 1 << 56;
/// So many segments in a row may have been begun in vain.
const UNUSED_MAX: u64 = 1 << 20;
/// Octets of a segment's name.
const NAME_LEN: usize = 33;
/// Octets of the header that are known before a segment is begun: up to its floor.
const FLOOR_AT: usize = 28;

#[derive(Debug)]
pub(super) struct Survey {
    pub(super) segments: BTreeMap<u64, SegmentState>,
    /// The last segment of which something counts, and where it ends.
    pub(super) last: (u64, u64),
    pub(super) next_number: u64,
    /// Segments below it do not count.
    pub(super) floor: u64,
    pub(super) findings: Vec<Finding>,
    /// Records of messages may be missing.
    pub(super) is_short: bool,
}

/// A file that may be a segment.
struct Candidate {
    path: PathBuf,
    salt: u64,
    /// `None` if it was not written whole, or is damaged.
    header: Option<Segment>,
    len: u64,
    /// Where the last group ends, where that was looked for.
    end: Option<u64>,
    /// The disk did not give it.
    is_unread: bool,
}

/// `settles`: what a process that was killed may have left is made durable, for it counts from now on.
pub(super) fn survey(fs: &dyn Fs, paths: &Paths, mut findings: Vec<Finding>, settles: bool) -> Result<Survey> {
    let candidates = candidates(fs, paths, &mut findings)?;
    let floor = candidates.values().filter_map(|it| it.header).map(|header| header.floor).max().unwrap_or(1);
    let highest = candidates.keys().next_back().copied().unwrap_or(0);
    let next_number = highest.max(highest_aside(fs, paths, highest)).saturating_add(1).max(floor);
    let mut segments = BTreeMap::new();
    let mut last = (0, 0);
    // What the segment behind says: which one is before it, and where that ends.
    let mut before: Option<(u64, u64)> = None;
    for (number, candidate) in candidates.iter().rev() {
        let chain = candidate.header.map(|header| header.check);
        let mut state = SegmentState::new(candidate.salt, chain, 0);
        if *number < floor {
            // Its name came back after a crash.
            state.retired = true;
            segments.insert(*number, state);
            continue;
        }
        if before.is_some_and(|(previous, _)| *number > previous) {
            // Its first group was never synced.
            segments.insert(*number, state);
            continue;
        }
        if let Some((previous, _)) = before.filter(|(previous, _)| *number < *previous) {
            findings.push(Finding::Lost { segment: previous });
            before = None;
        }
        let is_sealed = before.is_some();
        let end = match before {
            Some((_, end)) => end,
            None => candidate.good_end(fs)?,
        };
        if !is_sealed && candidate.holds_nothing() {
            // A segment whose header was not written whole.
            segments.insert(*number, state);
            continue;
        }
        state.end = end;
        if last == (0, 0) {
            last = (*number, end);
            if candidate.len > end {
                findings.push(Finding::Cut { segment: *number, from: end, octets: candidate.len - end });
            }
            if settles && !candidate.is_unread {
                fs.open_append(&candidate.path)?.sync_data()?;
                fs.sync_dir(&paths.log)?;
            }
        }
        before = candidate.header.map(|header| (header.previous, header.previous_end));
        segments.insert(*number, state);
    }
    if let Some((previous, _)) = before.filter(|(previous, _)| *previous >= floor && *previous != 0) {
        findings.push(Finding::Lost { segment: previous });
    }
    let is_short = findings.iter().any(|finding| !matches!(finding, Finding::Cut { .. }));
    if is_short {
        // A sweep asks for the mark again.
        let _ = paths.mark_incomplete(fs);
    }
    Ok(Survey { segments, last, next_number, floor, findings, is_short })
}

/// The highest number among the segments that were moved aside, here or at an earlier start, as far as it may be one of this log.
fn highest_aside(fs: &dyn Fs, paths: &Paths, highest: u64) -> u64 {
    // Those that could not be moved are still in the log.
    let names = [&paths.aside, &paths.log].into_iter().flat_map(|folder| fs.list(folder).unwrap_or_default());
    // Behind the name of one there may be a number that makes it another name.
    let numbers = names.filter_map(|entry| entry.name.to_str()?.get(..NAME_LEN).and_then(parse_name));
    let possible = |number: &u64| *number <= highest.saturating_add(UNUSED_MAX);
    numbers.map(|(number, _)| number).filter(possible).max().unwrap_or(0)
}

fn candidates(fs: &dyn Fs, paths: &Paths, findings: &mut Vec<Finding>) -> Result<BTreeMap<u64, Candidate>> {
    let mut found: BTreeMap<u64, Vec<Candidate>> = BTreeMap::new();
    let mut aside = |path: &Path, why: String| findings.push(paths.put_away(fs, path, why));
    let mut entries = fs.list(&paths.log)?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries {
        let path = paths.log.join(&entry.name);
        let name = entry.name.to_str().and_then(parse_name).filter(|_| entry.kind == Kind::File);
        let Some((number, salt)) = name else {
            aside(&path, "not a segment".into());
            continue;
        };
        let mut file = match SegmentFile::open_past_gaps(fs, &path) {
            Ok(file) => file,
            Err(error) if is_passing(&error) => return Err(error),
            // What is in it may come back with the disk: it counts, and stays.
            Err(_) => {
                let len = fs.metadata(&path).map_or(0, |metadata| metadata.len);
                let candidate = Candidate { path, salt, header: None, len, end: None, is_unread: true };
                found.entry(number).or_default().push(candidate);
                continue;
            }
        };
        let header = match Segment::decode(file.octets(0, SEGMENT_HEADER)?) {
            Ok(header) => Some(header),
            Err(Unusable::Malformed) => None,
            Err(Unusable::Version(version)) => {
                aside(&path, format!("written by a newer program, in version {version} of the format"));
                continue;
            }
        };
        // Where a header is whole, the next segment mostly says where this one ends.
        let end = if header.is_none() { Some(file.good_end(salt)?) } else { None };
        let candidate = Candidate { path, salt, header, len: file.len(), end, is_unread: false };
        let is_other = header.is_some_and(|header| (header.number, header.salt) != (number, salt));
        if is_other || candidate.holds_nothing() && !could_be_begun(file.octets(0, SEGMENT_HEADER)?, number, salt) {
            aside(&candidate.path, "not the segment that its name says".into());
            continue;
        }
        found.entry(number).or_default().push(candidate);
    }
    // A file with nothing in it may have any number, and must not lead the others astray.
    let highest = found.iter().rev().find(|(_, all)| all.iter().any(|it| !it.holds_nothing()));
    let highest = highest.map_or(0, |(number, _)| *number);
    let mut candidates = BTreeMap::new();
    for (number, mut all) in found {
        if all.len() > 1 {
            for one in &mut all {
                one.end = Some(one.good_end(fs)?);
            }
            // Of several with one number the one that holds most is the segment.
            all.sort_by_key(|it| (it.header.is_some(), it.end));
        }
        let segment = all.pop_if(|it| match it.header {
            _ if it.holds_nothing() => number <= highest.saturating_add(UNUSED_MAX),
            header => number <= FOREIGN || header.is_some_and(|header| header.previous >= FOREIGN),
        });
        let why = if segment.is_some() { "another file is the segment of that number" } else { "no log comes so far" };
        all.iter().for_each(|it| aside(&it.path, why.into()));
        candidates.extend(segment.map(|segment| (number, segment)));
    }
    Ok(candidates)
}

impl Candidate {
    /// Whether nothing in it was ever synced.
    fn holds_nothing(&self) -> bool {
        self.header.is_none() && self.end.is_some_and(|end| end <= SEGMENT_HEADER as u64)
    }

    /// Where it ends, if nothing behind it says that.
    fn good_end(&self, fs: &dyn Fs) -> Result<u64> {
        match self.end {
            Some(end) => Ok(end),
            None if self.is_unread => Ok(self.len.max(SEGMENT_HEADER as u64)),
            None => SegmentFile::open_past_gaps(fs, &self.path)?.good_end(self.salt),
        }
    }
}

/// Whether these may be the first octets of a segment whose header was not written whole: of each either what belongs there,
/// or what a file has that was only made longer.
fn could_be_begun(octets: &[u8], number: u64, salt: u64) -> bool {
    let (_, header) = Segment::encode(number, salt, 0, (0, 0));
    let known = octets.iter().zip(&header).take(FLOOR_AT);
    known.into_iter().all(|(found, expected)| found == expected || *found == 0)
}

/// Whether the same request has to be made again, as nothing is known of what was asked for.
pub(super) fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::Fs(error) if error.kind() == ErrorKind::TooManyOpenFiles)
}

/// The number and salt in the name of a segment.
pub(super) fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (number, salt) = name.split_once('.')?;
    let parse = |digits: &str| {
        let is_one = digits.len() == 16 && digits.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
    };
    Some((parse(number)?, parse(salt)?)).filter(|(number, _)| (1..=NUMBER_MAX).contains(number))
}
