//! The first look at a log: which segments there are, what counts of each, and where the log ends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pillarbox_fs::{Fs, Kind};

use super::index::SegmentState;
use super::segment::SegmentFile;
use super::{Finding, Paths};
use crate::error::Result;
use crate::format::frame::{SEGMENT_HEADER, Segment, Unusable};

/// No log comes so far; a file that says so is not ours.
const NUMBER_MAX: u64 = 1 << 56;

#[derive(Debug)]
pub(super) struct Survey {
    pub(super) segments: BTreeMap<u64, SegmentState>,
    /// The last segment of which something counts, and where it ends.
    pub(super) last: (u64, u64),
    pub(super) next_number: u64,
    /// Segments below it do not count.
    pub(super) floor: u64,
    pub(super) findings: Vec<Finding>,
}

/// A file that may be a segment.
struct Candidate {
    path: PathBuf,
    salt: u64,
    /// `None` if it was not written whole, or is damaged.
    header: Option<Segment>,
    len: u64,
}

pub(super) fn survey(fs: &dyn Fs, paths: &Paths, mut findings: Vec<Finding>) -> Result<Survey> {
    let candidates = candidates(fs, paths, &mut findings)?;
    let floor = candidates.values().filter_map(|it| it.header).map(|header| header.floor).max().unwrap_or(1);
    let next_number = candidates.keys().next_back().map_or(1, |number| number.saturating_add(1)).max(floor);
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
            None => SegmentFile::open(fs, &candidate.path)?.good_end(candidate.salt)?,
        };
        if !is_sealed && candidate.header.is_none() && end <= SEGMENT_HEADER as u64 {
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
            // A process that was killed may have left what is not durable yet. It counts from now on.
            fs.open_append(&candidate.path)?.sync_data()?;
            fs.sync_dir(&paths.log)?;
        }
        before = candidate.header.map(|header| (header.previous, header.previous_end));
        segments.insert(*number, state);
    }
    if let Some((previous, _)) = before.filter(|(previous, _)| *previous >= floor && *previous != 0) {
        findings.push(Finding::Lost { segment: previous });
    }
    Ok(Survey { segments, last, next_number, floor, findings })
}

fn candidates(fs: &dyn Fs, paths: &Paths, findings: &mut Vec<Finding>) -> Result<BTreeMap<u64, Candidate>> {
    let mut found: BTreeMap<u64, Candidate> = BTreeMap::new();
    let mut entries = fs.list(&paths.log)?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries {
        let path = paths.log.join(&entry.name);
        let name = entry.name.to_str().and_then(parse_name).filter(|_| entry.kind == Kind::File);
        let Some((number, salt)) = name else {
            findings.push(paths.move_aside(fs, &path, "not a segment")?);
            continue;
        };
        let mut file = SegmentFile::open(fs, &path)?;
        let header = match Segment::decode(file.octets(0, SEGMENT_HEADER)?) {
            Ok(header) => Some(header),
            Err(Unusable::Malformed) => None,
            Err(Unusable::Version(version)) => {
                let why = format!("written by a newer program, in version {version} of the format");
                findings.push(paths.move_aside(fs, &path, why)?);
                continue;
            }
        };
        let is_other = header.is_some_and(|header| (header.number, header.salt) != (number, salt));
        if is_other || found.contains_key(&number) {
            findings.push(paths.move_aside(fs, &path, "not the segment that its name says")?);
            continue;
        }
        found.insert(number, Candidate { path, salt, header, len: file.len() });
    }
    Ok(found)
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
