//! What this process has put into `cur/` lately, so that its views find it without reading the directory.

use std::collections::VecDeque;

use pillarbox_fs::Metadata;

use crate::file_name::Base;

/// Files that were put into `cur/` one after the other, with nothing in between as far as the directory's time tells.
#[derive(Debug, Default)]
pub(crate) struct Own {
    steps: VecDeque<Step>,
    /// How many steps there have been.
    count: u64,
    /// What the directory was after the last one.
    end: Option<Metadata>,
}

#[derive(Debug)]
struct Step {
    /// What the directory was before.
    before: Metadata,
    base: Base,
    info: Box<[u8]>,
}

/// So many are remembered. Who looks less often than that reads the directory.
const STEPS_MAX: usize = 256;

impl Own {
    pub(crate) fn put(&mut self, before: Metadata, after: Metadata, base: Base, info: Box<[u8]>) {
        if self.end != Some(before) {
            self.steps.clear();
        }
        if self.steps.len() == STEPS_MAX {
            self.steps.pop_front();
        }
        self.steps.push_back(Step { before, base, info });
        self.count += 1;
        self.end = Some(after);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What was put there since there were `count` steps, if that is all that has happened since the directory was `before`, up to
    /// when it is `now`.
    pub(crate) fn since(
        &self,
        count: u64,
        before: &Metadata,
        now: &Metadata,
    ) -> Option<impl Iterator<Item = (&Base, &[u8])>> {
        let steps = usize::try_from(self.count - count).ok()?;
        let from = self.steps.len().checked_sub(steps)?;
        let all = match self.steps.get(from) {
            Some(first) => first.before == *before && self.end == Some(*now),
            None => before == now,
        };
        all.then(|| self.steps.range(from..).map(|step| (&step.base, &step.info[..])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox_fs::Kind;
    use std::time::{Duration, SystemTime};

    fn at(second: u64) -> Metadata {
        Metadata::new(Kind::Directory, 0, SystemTime::UNIX_EPOCH + Duration::from_secs(second), (1, 1))
    }

    fn since(own: &Own, count: u64, before: u64, now: u64) -> Option<Vec<u8>> {
        own.since(count, &at(before), &at(now)).map(|steps| steps.map(|(base, _)| base[0]).collect())
    }

    #[test]
    fn only_what_is_complete_is_told() {
        let mut own = Own::default();
        assert_eq!(since(&own, 0, 1, 1), Some(vec![]));
        assert_eq!(since(&own, 0, 1, 2), None, "somebody else was there");
        let put = |own: &mut Own, before, after, name: &[u8]| own.put(at(before), at(after), name.into(), [].into());
        put(&mut own, 1, 2, b"a");
        // Within one step of the clock.
        put(&mut own, 2, 2, b"b");
        assert_eq!(since(&own, 0, 1, 2), Some(b"ab".to_vec()));
        assert_eq!(since(&own, 1, 2, 2), Some(b"b".to_vec()));
        assert_eq!(since(&own, 2, 2, 2), Some(vec![]));
        assert_eq!(since(&own, 0, 1, 3), None, "somebody was there afterwards");
        assert_eq!(since(&own, 0, 0, 2), None, "somebody was there before");
        put(&mut own, 4, 5, b"c");
        assert_eq!(since(&own, 1, 2, 5), None, "somebody was there in between");
        assert_eq!(since(&own, 2, 4, 5), Some(b"c".to_vec()));
        for n in 5..300 {
            put(&mut own, n, n + 1, b"x");
        }
        assert_eq!(since(&own, 3, 5, 300), None, "too long ago");
        assert_eq!(since(&own, 298 - 200, 100, 300).map(|names| names.len()), Some(200));
    }
}
