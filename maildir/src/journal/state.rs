//! What a journal knows of its mailbox.

use std::collections::VecDeque;

use super::format::{Cut, Item};
use crate::{Flags, Keywords, Uid};

/// Ranges of expunged messages that are remembered. A client that was away for longer is told of every number that is not
/// there (RFC 7162 §5.3).
const RANGES_MAX: usize = 10_000;

/// What a look could not make out.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Messages that are missing are gone.
    pub(super) all_listed: bool,
    /// Messages that were missing last time, though it is not certain that they were gone. Who looks does not see them, and yet hears of
    /// mod-sequences above theirs: once they are seen they need new ones.
    pub(super) unseen: Vec<Uid>,
}

/// The letters and what they stand for.
type Letters = [Option<String>; Keywords::LETTERS];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// By rising UID. A message takes 12 octets.
    rows: Vec<Row>,
    /// What the rows' mod-sequences are counted from.
    base: Option<u64>,
    /// Said of messages below the last row: put in their places when all is read.
    late: Vec<Row>,
    /// Went, but are still in their places.
    dead: usize,
    /// In the order in which they went.
    expunged: VecDeque<Range>,
    forgotten: u64,
    letters: Letters,
    highest: u64,
    pub(super) reserved: u64,
    pub(super) boot: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    uid: Uid,
    flags: u32,
    /// Its mod-sequence, counted from the state's base. 0: it went.
    at: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: Uid,
    last: Uid,
    mod_seq: u64,
}

impl State {
    /// A mailbox of which nothing is known but what is in it: every message counts as changed, and whatever is not there may have
    /// gone, at one mod-sequence.
    pub(super) fn begun(
        mod_seq: u64,
        messages: impl Iterator<Item = (Uid, Flags)>,
        keywords: &Keywords,
        reserved: u64,
        boot: u128,
    ) -> Self {
        let (forgotten, highest, letters) = (mod_seq, mod_seq, letters(keywords));
        let mut state = State { forgotten, highest, letters, reserved, boot, ..State::default() };
        let at = state.at(mod_seq).expect("the base is chosen for it");
        state.rows = messages.map(|(uid, flags)| Row { uid, flags: flags.bits(), at }).collect();
        state.rows.shrink_to_fit();
        state
    }

    /// Nothing yet; so many messages will fit.
    pub(super) fn with_room(messages: usize) -> Self {
        State { rows: Vec::with_capacity(messages), ..State::default() }
    }

    /// How much there is to be said of it.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.expunged.len() + Keywords::LETTERS
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    pub(super) fn mod_seq(&self, uid: Uid) -> Option<u64> {
        self.find(uid).map(|place| self.mod_seq_at(self.rows[place].at))
    }

    /// What went after a mod-sequence, if that is known.
    pub(super) fn gone_since(&self, since: u64) -> Option<Vec<(Uid, Uid)>> {
        if self.forgotten > since {
            return None;
        }
        let after = self.expunged.iter().rev().take_while(|range| range.mod_seq > since);
        Some(after.map(|range| (range.first, range.last)).collect())
    }

    /// At which mod-sequence each of these messages, of rising UIDs, went last; none for those of which that is not known.
    pub(super) fn gone_at(&self, uids: &[Uid]) -> Vec<Option<u64>> {
        let mut at = vec![None; uids.len()];
        let mut left = uids.len();
        for range in self.expunged.iter().rev() {
            if left == 0 {
                break;
            }
            let start = uids.partition_point(|uid| *uid < range.first);
            let inside = uids[start..].iter().take_while(|uid| **uid <= range.last).count();
            for known in at[start..start + inside].iter_mut().filter(|known| known.is_none()) {
                *known = Some(range.mod_seq);
                left -= 1;
            }
        }
        at
    }

    /// A mod-sequence counted from the base, which lies well below the first one. Four thousand million changes later there is no number for it:
    /// then the journal has to begin anew.
    pub(super) fn at(&mut self, mod_seq: u64) -> Result<u32, Cut> {
        let base = *self.base.get_or_insert(mod_seq.saturating_sub(1 << 31));
        let at = mod_seq.checked_sub(base).and_then(|at| u32::try_from(at).ok());
        at.filter(|at| *at > 0).ok_or(Cut)
    }

    fn mod_seq_at(&self, at: u32) -> u64 {
        self.base.unwrap_or_default() + u64::from(at)
    }

    /// Takes in what the journal says next. After a cut nothing that this says is of use.
    pub(super) fn apply(&mut self, item: &Item<'_>) -> Result<(), Cut> {
        match *item {
            Item::Message { uid, flags, mod_seq } => {
                self.count(mod_seq)?;
                let row = Row { uid, flags, at: self.at(mod_seq)? };
                if self.rows.last().is_none_or(|last| last.uid < uid) {
                    if self.rows.len() == self.rows.capacity() {
                        // A doubling would cost a large mailbox as much as it holds.
                        self.rows.reserve_exact(self.rows.len() / 8 + 8);
                    }
                    self.rows.push(row);
                } else if let Ok(at) = self.place(uid) {
                    self.dead -= usize::from(self.rows[at].at == 0);
                    self.rows[at] = row;
                } else {
                    self.late.push(row);
                }
            }
            Item::Expunged { first, last, mod_seq } => {
                self.count(mod_seq)?;
                let start = self.find(first).ok_or(Cut)?;
                let len = (last.get() - first.get()) as usize + 1;
                let rows = self.rows.get_mut(start..).and_then(|rows| rows.get_mut(..len)).ok_or(Cut)?;
                // All of them are there, so that reading costs no more than the messages that ever were.
                if rows.last().is_none_or(|row| row.uid != last) || rows.iter().any(|row| row.at == 0) {
                    return Err(Cut);
                }
                rows.iter_mut().for_each(|row| row.at = 0);
                self.dead += len;
                self.remember(Range { first, last, mod_seq })?;
            }
            Item::History { first, last, mod_seq } => {
                self.count(mod_seq)?;
                self.remember(Range { first, last, mod_seq })?;
            }
            Item::Forgotten { mod_seq } => {
                self.count(mod_seq)?;
                self.forgotten = self.forgotten.max(mod_seq);
            }
            Item::Keyword { number, name } => {
                *self.letters.get_mut(usize::from(number)).ok_or(Cut)? = name.map(str::to_owned);
            }
            Item::Reserved { up_to, boot } => {
                if up_to < self.reserved {
                    return Err(Cut);
                }
                (self.reserved, self.boot) = (up_to, boot);
            }
            Item::Highest { mod_seq } => self.count(mod_seq)?,
        }
        Ok(())
    }

    /// Nothing is told that was not reserved before.
    fn count(&mut self, mod_seq: u64) -> Result<(), Cut> {
        if mod_seq > self.reserved {
            return Err(Cut);
        }
        self.highest = self.highest.max(mod_seq);
        Ok(())
    }

    fn remember(&mut self, range: Range) -> Result<(), Cut> {
        if self.expunged.back().is_some_and(|last| last.mod_seq > range.mod_seq) {
            return Err(Cut);
        }
        if self.expunged.len() >= RANGES_MAX
            && let Some(oldest) = self.expunged.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest.mod_seq);
        }
        self.expunged.push_back(range);
        Ok(())
    }

    /// Puts what came late in its place.
    fn settle(&mut self) {
        if self.late.is_empty() {
            return;
        }
        self.rows.append(&mut self.late);
        // Stable: of several words about one message the last one counts.
        self.rows.sort_by_key(|row| row.uid);
        self.rows.dedup_by(|later, earlier| {
            let same = later.uid == earlier.uid;
            if same {
                *earlier = *later;
            }
            same
        });
    }

    /// Everything is read.
    pub(super) fn finish(&mut self) {
        self.settle();
        if self.dead > 0 {
            self.rows.retain(|row| row.at > 0);
            self.dead = 0;
        }
    }

    fn place(&self, uid: Uid) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&uid, |row| row.uid)
    }

    fn find(&self, uid: Uid) -> Option<usize> {
        self.place(uid).ok().filter(|place| self.rows[*place].at > 0)
    }

    /// What has to be said so that the journal knows the mailbox as it is: first what went, then what came, each under a mod-sequence
    /// of its own, then what changed.
    pub(super) fn differences<'a>(
        &self,
        messages: impl Iterator<Item = (Uid, Flags)>,
        keywords: &'a Keywords,
        doubt: &mut Doubt,
    ) -> Vec<Item<'a>> {
        let mut items = Vec::new();
        let mut renamed = Flags::NONE;
        for (number, known) in (0_u8..).zip(&self.letters) {
            let name = keywords.name(number);
            if known.as_deref() != name {
                renamed |= Flags::keyword(number).unwrap_or_default();
                items.push(Item::Keyword { number, name });
            }
        }
        let (mut gone, mut came, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = self.rows.iter().peekable();
        for (uid, flags) in messages {
            while let Some(row) = rows.next_if(|row| row.uid < uid) {
                gone.push(row.uid);
            }
            match rows.next_if(|row| row.uid == uid) {
                None => came.push((uid, flags)),
                Some(row) => {
                    let other = row.flags != flags.bits() || flags.bits() & renamed.bits() != 0;
                    if other || doubt.unseen.binary_search(&uid).is_ok() {
                        changed.push((uid, flags));
                    }
                }
            }
        }
        gone.extend(rows.map(|row| row.uid));
        if doubt.all_listed {
            items.extend(self.expunge(&gone));
            gone.clear();
        }
        doubt.unseen = gone;
        let mut mod_seq = highest_of(&items).unwrap_or(self.highest);
        items.extend(one_by_one(&came, mod_seq));
        mod_seq += came.len() as u64;
        let message = |(uid, flags): (Uid, Flags)| Item::Message { uid, flags: flags.bits(), mod_seq: mod_seq + 1 };
        items.extend(changed.into_iter().map(message));
        items
    }

    /// What has to be said of messages that came, unless it was said already.
    pub(super) fn came(&self, messages: &[(Uid, Flags)]) -> Vec<Item<'static>> {
        let new: Vec<_> = messages.iter().copied().filter(|(uid, _)| self.find(*uid).is_none()).collect();
        one_by_one(&new, self.highest).collect()
    }

    /// What has to be said of flags that were changed at once, unless it was said already.
    pub(super) fn change(&self, messages: &[(Uid, Flags)]) -> Vec<Item<'static>> {
        let mod_seq = self.highest + 1;
        let is_known = |uid, flags| self.find(uid).is_some_and(|place| self.rows[place].flags == flags);
        let messages =
            messages.iter().map(|(uid, flags)| (*uid, flags.bits())).filter(|(uid, flags)| !is_known(*uid, *flags));
        messages.map(|(uid, flags)| Item::Message { uid, flags, mod_seq }).collect()
    }

    /// What has to be said of messages that went at once, of rising UIDs; those that were not there are passed over.
    pub(super) fn expunge(&self, uids: &[Uid]) -> Vec<Item<'static>> {
        let mod_seq = self.highest + 1;
        let mut items: Vec<Item<'static>> = Vec::new();
        for uid in uids.iter().copied().filter(|uid| self.find(*uid).is_some()) {
            match items.last_mut() {
                Some(Item::Expunged { last, .. }) if last.checked_add(1) == Some(uid) => *last = uid,
                _ => items.push(Item::Expunged { first: uid, last: uid, mod_seq }),
            }
        }
        items
    }

    /// All of it, for a file that begins anew.
    pub(super) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let reserved = Item::Reserved { up_to: self.reserved, boot: self.boot };
        let numbers = [(self.highest, false), (self.forgotten, true)].into_iter().filter(|(mod_seq, _)| *mod_seq > 0);
        let numbers = numbers.map(|(mod_seq, forgotten)| match forgotten {
            true => Item::Forgotten { mod_seq },
            false => Item::Highest { mod_seq },
        });
        let keywords = (0_u8..).zip(&self.letters).filter(|(_, name)| name.is_some());
        let keywords = keywords.map(|(number, name)| Item::Keyword { number, name: name.as_deref() });
        let history = self.expunged.iter();
        let history = history.map(|&Range { first, last, mod_seq }| Item::History { first, last, mod_seq });
        let messages = self.rows.iter().filter(|row| row.at > 0);
        let message = |row: &Row| Item::Message { uid: row.uid, flags: row.flags, mod_seq: self.mod_seq_at(row.at) };
        let messages = messages.map(message);
        std::iter::once(reserved).chain(numbers).chain(keywords).chain(history).chain(messages)
    }
}

/// Each that comes has a mod-sequence of its own.
fn one_by_one<'a>(messages: &[(Uid, Flags)], before: u64) -> impl Iterator<Item = Item<'a>> {
    messages.iter().zip(before + 1..).map(|((uid, flags), mod_seq)| Item::Message {
        uid: *uid,
        flags: flags.bits(),
        mod_seq,
    })
}

/// The highest mod-sequence that is said.
pub(super) fn highest_of(items: &[Item<'_>]) -> Option<u64> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Message { mod_seq, .. } | Item::Expunged { mod_seq, .. } => Some(*mod_seq),
            _ => None,
        })
        .max()
}

fn letters(keywords: &Keywords) -> Letters {
    std::array::from_fn(|number| keywords.name(number as u8).map(str::to_owned))
}
