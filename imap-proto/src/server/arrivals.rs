//! New messages in the selected mailbox, of which the client is told more than that they are there: what NOTIFY asks for of all of
//! them (RFC 5465 §5.2), and what UPDATE asks for of those that enter a result (§7).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::fetch::Fetching;
use super::reply::End;
use super::session::{Asked, Doing, Selected, Standing};
use super::{Event, FetchItem, ServerSession};
use crate::types::{MailboxName, Uid, UidSet};

/// The most items of one message in one FETCH answer: as many as FETCH takes. What more is wanted comes in another.
const ITEMS_MAX: usize = 100;

/// What is done once messages are told that came in the selected mailbox.
#[derive(Debug)]
pub(super) enum Afterwards {
    /// The command ends.
    Finish(End),
    /// The client is listened to as before.
    Resume(Box<Doing>),
}

/// What is to be told of which messages.
#[derive(Debug, Default)]
pub(super) struct Wanted(Vec<(UidSet, Vec<FetchItem>)>);

impl Wanted {
    /// These items of these messages too. RFC 5465 §5.2: in one FETCH answer with what else is told of each.
    pub(super) fn add(&mut self, mut uids: UidSet, items: &[FetchItem]) {
        for at in 0..self.0.len() {
            let (told, before) = &mut self.0[at];
            let both = told.intersect(&uids);
            let more: Vec<&FetchItem> = items.iter().filter(|item| !before.contains(item)).collect();
            if both.is_empty() || before.len() + more.len() > ITEMS_MAX {
                continue;
            }
            uids = uids.without(&both);
            if more.is_empty() {
                continue;
            }
            let all: Vec<FetchItem> = before.iter().chain(more).cloned().collect();
            let others = told.without(&both);
            let before = core::mem::replace(before, all);
            *told = both;
            if !others.is_empty() {
                self.0.push((others, before));
            }
        }
        if !uids.is_empty() && !items.is_empty() {
            self.0.push((uids, items.to_vec()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Selected {
    /// What the client is to be told of the messages that it was just told of, the last so many of all that it knows, and of those that
    /// enter results. `of_all`: what it wants of each of them.
    pub(super) fn wanted(&mut self, arrived: usize, of_all: &[FetchItem]) -> Wanted {
        let mut wanted = Wanted::default();
        if of_all.is_empty() && !self.contexts.want_items() {
            return wanted;
        }
        let known = self.view.uids();
        let arrived: UidSet = known[known.len() - arrived..].iter().copied().collect();
        // What the client put there itself it need not be shown.
        wanted.add(arrived.without(&self.brought), of_all);
        for (uids, items) in self.contexts.wanted(&self.view) {
            wanted.add(uids.without(&self.brought), items);
        }
        // The last is asked for first.
        wanted.0.sort_by_key(|(uids, _)| core::cmp::Reverse(uids.iter().next()));
        let mut untold = self.view.unheard_of();
        // It may still have to be asked whether they enter a result.
        untold.add(self.contexts.changed());
        self.brought = self.brought.intersect(&untold);
        wanted
    }
}

impl ServerSession {
    /// The client did this itself: RFC 5465 §5.2, it asks for no FETCH answer.
    pub(super) fn brought(&mut self, target: &MailboxName, uids: impl Iterator<Item = Uid>) {
        let is_wanted = !self.wanted_of_all().is_empty();
        if let Standing::Selected { mailbox, .. } = &mut self.standing
            && (is_wanted || mailbox.contexts.want_items())
            && mailbox.name == *target
        {
            mailbox.brought.add(&uids.collect());
        }
    }

    /// Asks for what is to be told of new messages, if there is any. Else `then` is given back.
    pub(super) fn ask_arrived(&mut self, mut wanted: Wanted, then: Afterwards) -> Option<Afterwards> {
        let Standing::Selected { mailbox, .. } = &mut self.standing else { return Some(then) };
        let has_mod_seqs = mailbox.view.has_mod_seqs();
        let next = if self.stopping || self.gone { None } else { wanted.0.pop() };
        let Some((uids, items)) = next else {
            // RFC 5465 §7: behind FETCH. Nothing where it was told before (§5.2).
            mailbox.contexts.tell_changed(&mailbox.view, self.out.end());
            return Some(then);
        };
        let tells_uid = items.contains(&FetchItem::Uid);
        let is_lazy_only = !items.contains(&FetchItem::Preview { lazy: false });
        let items: Vec<FetchItem> = items
            .into_iter()
            .filter(|item| match item {
                FetchItem::Uid => false,
                FetchItem::ModSeq => has_mod_seqs,
                FetchItem::Preview { lazy: true } => is_lazy_only,
                _ => true,
            })
            .collect();
        let fetching = Fetching::new(items.clone(), tells_uid, End::ok("Done"));
        self.queue.push_back(Event::Fetch { uids, wanted: items, mark_seen: false, changed_since: None });
        self.doing = Doing::Asked(Asked::Arrived { fetching, left: wanted, then });
        None
    }

    /// Some of the messages that came were told.
    pub(super) fn arrivals_told(&mut self, left: Wanted, then: Afterwards) {
        match self.ask_arrived(left, then) {
            None => {}
            Some(Afterwards::Finish(end)) => self.finish_now(end),
            Some(Afterwards::Resume(doing)) => {
                self.doing = *doing;
                self.tell_at_once();
                self.leave_if_due();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(numbers: core::ops::RangeInclusive<u32>) -> UidSet {
        numbers.filter_map(Uid::new).collect()
    }

    #[test]
    fn each_message_is_told_in_one_answer_and_each_item_once() {
        let mut wanted = Wanted::default();
        wanted.add(uids(1..=9), &[FetchItem::Flags]);
        wanted.add(uids(3..=4), &[FetchItem::Flags]);
        wanted.add(uids(4..=20), &[FetchItem::Envelope, FetchItem::Flags]);
        wanted.add(uids(1..=20), &[]);
        let expected = [
            (uids(4..=9), Vec::from([FetchItem::Flags, FetchItem::Envelope])),
            (uids(1..=3), Vec::from([FetchItem::Flags])),
            (uids(10..=20), Vec::from([FetchItem::Envelope, FetchItem::Flags])),
        ];
        assert_eq!(wanted.0, expected);
    }

    #[test]
    fn no_answer_has_more_items_than_fetch_takes() {
        use crate::message::Section;
        let items = |from: u32, to: u32| -> Vec<FetchItem> {
            (from..to)
                .map(|part| FetchItem::BinarySize(Section { path: alloc::vec![part], ..Section::default() }))
                .collect()
        };
        let mut wanted = Wanted::default();
        (0..10).for_each(|n| wanted.add(uids(1..=1), &items(60 * n, 60 * n + 60)));
        assert!(wanted.0.iter().all(|(_, items)| items.len() <= ITEMS_MAX));
        assert_eq!(wanted.0.iter().map(|(_, items)| items.len()).sum::<usize>(), 600);
    }
}
