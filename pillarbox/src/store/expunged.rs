//! Which messages were expunged, and when: as far as it is worth remembering.

use std::collections::VecDeque;

use pillarbox_imap::types::{ModSeq, Uid, UidSet};

/// Ranges that are remembered for one mailbox: 16 octets each. A client that was away for longer than that is told of every
/// number that is not there (RFC 7162 §5.3).
const RANGES_MAX: usize = 10_000;

/// The expunges of one mailbox, the last of them by their ranges and mod-sequences.
#[derive(Debug)]
pub(crate) struct Expunged {
    /// In the order in which they happened.
    ranges: VecDeque<(ModSeq, Uid, Uid)>,
    /// The last of those that were forgotten.
    forgotten: Option<ModSeq>,
    ranges_max: usize,
}

impl Default for Expunged {
    fn default() -> Self {
        Expunged { ranges: VecDeque::new(), forgotten: None, ranges_max: RANGES_MAX }
    }
}

impl Expunged {
    /// These went at this mod-sequence, which is higher than any before.
    pub(crate) fn remember(&mut self, uids: &UidSet, mod_seq: ModSeq) {
        for range in uids.ranges() {
            if self.ranges.len() >= self.ranges_max {
                self.forgotten = self.ranges.pop_front().map(|(mod_seq, ..)| mod_seq);
            }
            self.ranges.push_back((mod_seq, *range.start(), *range.end()));
        }
    }

    /// What went after a mod-sequence; `None` if that is not known any more.
    pub(crate) fn since(&self, since: ModSeq) -> Option<UidSet> {
        if self.forgotten > Some(since) {
            return None;
        }
        let after = self.ranges.iter().rev().take_while(|(mod_seq, ..)| *mod_seq > since);
        Some(after.map(|&(_, first, last)| first..=last).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_remembered_is_not_answered() {
        let uid = |number| Uid::new(number).unwrap();
        let at = |number| ModSeq::new(number).unwrap();
        let mut expunged = Expunged { ranges_max: 3, ..Expunged::default() };
        let since = |expunged: &Expunged, number| expunged.since(at(number)).map(|set| set.to_string());
        assert_eq!(since(&expunged, 1).as_deref(), Some(""));
        expunged.remember(&[uid(1), uid(2), uid(5)].into_iter().collect(), at(3));
        expunged.remember(&UidSet::one(uid(9)), at(4));
        assert_eq!(since(&expunged, 1).as_deref(), Some("1:2,5,9"));
        assert_eq!(since(&expunged, 3).as_deref(), Some("9"));
        assert_eq!(since(&expunged, 9).as_deref(), Some(""));
        // A part of what went at 3 is forgotten.
        expunged.remember(&UidSet::one(uid(7)), at(6));
        assert_eq!(since(&expunged, 2), None);
        assert_eq!(since(&expunged, 3).as_deref(), Some("7,9"));
        expunged.remember(&[uid(11), uid(13), uid(15), uid(17)].into_iter().collect(), at(7));
        assert_eq!(since(&expunged, 6), None, "more at once than is remembered");
        assert_eq!(since(&expunged, 7).as_deref(), Some(""));
        assert_eq!(expunged.ranges.len(), 3);
    }
}
