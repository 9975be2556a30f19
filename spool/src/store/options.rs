//! What a store needs to know.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use pillarbox_core::{Random, WallTime};

use crate::MessageId;

/// What a [`Store`](crate::Store) needs to know. Start from [`Options::from_system`] and change what should differ.
#[non_exhaustive]
pub struct Options {
    /// A segment that has so many octets is followed by another one.
    pub segment_size: u64,
    /// Content of at most so many octets goes into the log; more goes into a file.
    pub inline_max: usize,
    /// Octets of content that all sessions together hold in memory; beyond that, smaller content goes into files, too.
    pub inline_budget: usize,
    /// Octets that have to stay free on the disk.
    pub reserve_bytes: u64,
    /// Files that have to be possible on the disk.
    pub reserve_files: u64,
    /// A body that belongs to no message is removed when nobody has written to it for so long.
    pub orphan_age: Duration,
    /// For names of messages and salts of segments: nobody must be able to guess what comes next.
    pub random: Box<dyn Random + Send>,
}

/// The numbers among the options.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) segment_size: u64,
    pub(super) inline_max: usize,
    pub(super) inline_budget: usize,
    pub(super) reserve_bytes: u64,
    pub(super) reserve_files: u64,
    pub(super) orphan_age: Duration,
}

impl Options {
    /// Segments of 64 MiB, content of up to 256 KiB in the log with 64 MiB of memory for all, 64 MiB and 1,000 files to stay
    /// free, 36 hours, and randomness from the system.
    pub fn from_system() -> Self {
        Options {
            segment_size: 64 << 20,
            inline_max: 256 << 10,
            inline_budget: 64 << 20,
            reserve_bytes: 64 << 20,
            reserve_files: 1000,
            orphan_age: Duration::from_secs(36 * 3600),
            random: Box::new(SystemRandom),
        }
    }

    pub(super) fn into_parts(self) -> (Limits, Names) {
        let limits = Limits {
            segment_size: self.segment_size,
            inline_max: self.inline_max.min(u32::MAX as usize / 4),
            inline_budget: self.inline_budget,
            reserve_bytes: self.reserve_bytes,
            reserve_files: self.reserve_files,
            orphan_age: self.orphan_age,
        };
        (limits, Names { random: self.random, second: i64::MIN, sequence: 0 })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("segment_size", &self.segment_size)
            .field("inline_max", &self.inline_max)
            .field("inline_budget", &self.inline_budget)
            .finish_non_exhaustive()
    }
}

/// Randomness from the keys that the standard library draws for its hash maps: the system's generator, once for each thread, and
/// from there on a keyed hash (SipHash). Good enough for names; not for keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let octets = RandomState::new().hash_one(0u64).to_le_bytes();
            chunk.copy_from_slice(&octets[..chunk.len()]);
        }
    }
}

/// Where names and salts come from.
pub(super) struct Names {
    random: Box<dyn Random + Send>,
    second: i64,
    sequence: u16,
}

impl Names {
    pub(super) fn next_u64(&mut self) -> u64 {
        self.random.next_u64()
    }

    pub(super) fn next_id(&mut self, received: WallTime) -> MessageId {
        let second = received.unix_seconds();
        self.sequence = if second == self.second { self.sequence.wrapping_add(1) } else { 0 };
        self.second = second;
        MessageId::new(received, self.sequence, self.random.next_u64())
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}
