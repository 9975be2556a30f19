//! What is looked for in several mailboxes, each of which numbers its messages for itself (RFC 7377).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Query, TooComplex};
use crate::types::{MailboxName, Uid, UidSet};
use crate::view;
use crate::wire::parse::SearchKey;

/// The most ranges of all sets in one search, beside two for each message: eight octets each.
pub(crate) const RANGES_MAX: usize = 100_000;

/// What one ESEARCH looks for in several mailboxes (RFC 7377 §2), and how many messages it may still look at (RFC 9738).
///
/// Sequence numbers and `*` mean other messages in each mailbox, and `$` means some only in the selected one: the session knows them
/// there, and of the others [`in_mailbox`](Self::in_mailbox) is told which messages they have.
#[derive(Clone, Debug)]
pub struct MailboxesQuery {
    key: SearchKey,
    /// The selected mailbox, and what is looked for there: its numbers are those that the client knows.
    selected: Option<(MailboxName, Query)>,
    messages_left: Option<u64>,
    left_out: bool,
}

impl MailboxesQuery {
    pub(crate) const fn new(key: SearchKey, selected: Option<(MailboxName, Query)>, messages_max: Option<u64>) -> Self {
        MailboxesQuery { key, selected, messages_left: messages_max, left_out: false }
    }

    /// What is looked for in the next mailbox, which has these messages, rising. `None`: in none of them, for the search has looked at as
    /// many as it may.
    ///
    /// # Errors
    ///
    /// [`TooComplex`] if the sets of the search come to more than 100,000 ranges there, beside two for each message.
    pub fn in_mailbox(&mut self, mailbox: &MailboxName, uids: &[Uid]) -> Result<Option<Query>, TooComplex> {
        let query = match &self.selected {
            Some((selected, query)) if selected == mailbox => query.clone(),
            _ => resolve(&self.key, uids, &mut (2 * uids.len() + RANGES_MAX))?,
        };
        let Some(left) = &mut self.messages_left else { return Ok(Some(query)) };
        let all = match query.within() {
            Some(within) => view::known_of(uids, &within),
            None => [uids].into_iter().collect(),
        };
        match left.checked_sub(all.len()) {
            Some(rest) => {
                *left = rest;
                Ok(Some(query))
            }
            None => {
                self.left_out = true;
                // RFC 9738 §3.1: the last are looked at.
                let last = last_of(&all, core::mem::take(left));
                Ok((!last.is_empty()).then(|| Query::And(Vec::from([Query::Uids(last), query]))))
            }
        }
    }

    /// Whether messages were left out that should have been looked at: then the answer ends with
    /// [`DoneInPart`](crate::server::Answer::DoneInPart).
    pub const fn has_left_out(&self) -> bool {
        self.left_out
    }
}

/// The last messages of a set, at most so many.
pub(crate) fn last_of(uids: &UidSet, max: u64) -> UidSet {
    let before_last = usize::try_from(max).ok().and_then(|max| max.checked_sub(1));
    match before_last.and_then(|places| uids.iter().nth_back(places)) {
        Some(first) => uids.intersect(&[first..=Uid::MAX].into_iter().collect()),
        None if max == 0 => UidSet::new(),
        None => uids.clone(),
    }
}

/// UIDAFTER (RFC 9738 §3.2): what lies behind this UID, also of messages that are still to come; nothing if there is none.
// The RFC says also that it is the same as `UID <uid>+1:*`, which would name the last message even where its UID is smaller.
pub(crate) fn uids_after(uid: Option<Uid>) -> UidSet {
    let next = uid.and_then(|uid| Uid::new(uid.get().checked_add(1)?));
    next.map(|next| next..=Uid::MAX).into_iter().collect()
}

/// UIDBEFORE (RFC 9738 §3.2): what lies before this UID.
pub(crate) fn uids_before(uid: Option<Uid>) -> UidSet {
    let before = uid.and_then(|uid| Uid::new(uid.get() - 1));
    before.map(|before| Uid::MIN..=before).into_iter().collect()
}

/// The key with its numbers resolved in a mailbox that is not selected. The parser limited the depth.
fn resolve(key: &SearchKey, uids: &[Uid], ranges_left: &mut usize) -> Result<Query, TooComplex> {
    Ok(match key {
        SearchKey::Query(query) => query.clone(),
        SearchKey::Seqs(set) => counted(view::existing(uids, set), ranges_left)?,
        SearchKey::Uids(set) => {
            let ranges = uids.last().map(|last| set.resolve(last.get())).unwrap_or_default().into_iter();
            let uids = ranges.filter_map(|range| Some(Uid::new(*range.start())?..=Uid::new(*range.end())?));
            counted(uids.collect(), ranges_left)?
        }
        // RFC 5182 §2.1: `$` is of the selected mailbox. Elsewhere it names nothing, which is no error.
        SearchKey::UidAfter(uid) => Query::Uids(uids_after(*uid)),
        SearchKey::UidBefore(uid) => Query::Uids(uids_before(*uid)),
        SearchKey::And(keys) => {
            Query::And(keys.iter().map(|key| resolve(key, uids, ranges_left)).collect::<Result<_, _>>()?)
        }
        SearchKey::Or(one, other) => {
            Query::Or(Box::new(resolve(one, uids, ranges_left)?), Box::new(resolve(other, uids, ranges_left)?))
        }
        SearchKey::Not(key) => Query::Not(Box::new(resolve(key, uids, ranges_left)?)),
    })
}

/// Two octets of a command can stand for a set as large as the mailbox, so what they come to is counted.
fn counted(uids: UidSet, ranges_left: &mut usize) -> Result<Query, TooComplex> {
    *ranges_left = ranges_left.checked_sub(uids.ranges().len()).ok_or(TooComplex)?;
    Ok(Query::Uids(uids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SequenceSet;

    fn uids(numbers: impl IntoIterator<Item = u32>) -> Vec<Uid> {
        numbers.into_iter().map(|number| Uid::new(number).unwrap()).collect()
    }

    fn set(text: &str) -> SequenceSet {
        SequenceSet::parse(text.as_bytes()).unwrap()
    }

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    fn found(query: &Query) -> String {
        let Query::Uids(uids) = query else { panic!("{query:?}") };
        uids.to_string()
    }

    use alloc::string::{String, ToString};

    #[test]
    fn numbers_are_counted_in_each_mailbox() {
        for (text, in_five, in_two) in
            [("1:3", "5,7,9", "8,20"), ("*", "13", "20"), ("3:*", "9,11,13", "20"), ("4", "11", ""), ("$", "", "")]
        {
            let mut query = MailboxesQuery::new(SearchKey::Seqs(set(text)), None, None);
            let mut told = |uids: &[Uid]| found(&query.in_mailbox(&name("A"), uids).unwrap().unwrap());
            assert_eq!(told(&uids([5, 7, 9, 11, 13])), in_five, "{text}");
            assert_eq!(told(&uids([8, 20])), in_two, "{text}");
            assert_eq!(told(&[]), "", "{text}");
        }
        for (text, in_two) in [("*", "20"), ("30:*", "20:30"), ("1:9", "1:9"), ("$", "")] {
            let mut query = MailboxesQuery::new(SearchKey::Uids(set(text)), None, None);
            assert_eq!(found(&query.in_mailbox(&name("A"), &uids([8, 20])).unwrap().unwrap()), in_two, "{text}");
            assert_eq!(found(&query.in_mailbox(&name("A"), &[]).unwrap().unwrap()), "", "{text}");
        }
    }

    #[test]
    fn the_selected_mailbox_has_its_own_query() {
        let selected = Query::Uids(uids([2]).into_iter().collect());
        let mut query = MailboxesQuery::new(SearchKey::Seqs(set("1")), Some((name("A"), selected.clone())), None);
        assert_eq!(query.in_mailbox(&name("A"), &uids([1, 2, 3])), Ok(Some(selected)));
        assert_eq!(found(&query.in_mailbox(&name("B"), &uids([1, 2, 3])).unwrap().unwrap()), "1");
    }

    #[test]
    fn messages_count_in_all_mailboxes_together_and_the_last_are_taken() {
        let mut query = MailboxesQuery::new(SearchKey::Uids(set("1:8")), None, Some(5));
        let mut looks_at = |uids: &[Uid]| {
            let query = query.in_mailbox(&name("A"), uids).unwrap()?;
            Some(view::known_of(uids, &query.within().unwrap()).to_string())
        };
        assert_eq!(looks_at(&uids([1, 2, 9, 10])).unwrap(), "1:2");
        assert_eq!(looks_at(&uids([1, 2, 5, 7, 9])).unwrap(), "2,5,7");
        assert_eq!(looks_at(&uids([3])), None);
        assert_eq!(looks_at(&uids([9, 10])).unwrap(), "", "nothing of it counts");
        assert!(query.has_left_out());
    }

    #[test]
    fn sets_that_come_to_too_much_are_refused() {
        let sparse: Vec<Uid> = uids((1..=1000).map(|n| 2 * n));
        let keys = |count| SearchKey::And(alloc::vec![SearchKey::Seqs(set("1:*")); count]);
        let mut few = MailboxesQuery::new(keys(102), None, None);
        assert!(few.in_mailbox(&name("A"), &sparse).is_ok());
        let mut many = MailboxesQuery::new(keys(103), None, None);
        assert_eq!(many.in_mailbox(&name("A"), &sparse), Err(TooComplex));
        assert!(many.in_mailbox(&name("A"), &sparse[..10]).is_ok(), "it is counted for each mailbox");
    }

    #[test]
    fn beside_a_uid() {
        let one = |number| Uid::new(number);
        assert_eq!(uids_after(one(5)).to_string(), "6:4294967295");
        assert_eq!(uids_after(Some(Uid::MAX)).to_string(), "");
        assert_eq!(uids_before(one(5)).to_string(), "1:4");
        assert_eq!(uids_before(one(1)).to_string(), "");
        assert!(uids_after(None).is_empty() && uids_before(None).is_empty());
    }
}
