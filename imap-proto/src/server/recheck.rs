//! Asking about what changed on behalf of contexts (RFC 5267), and CANCELUPDATE.
//!
//! The search is put to the messages that changed and to no others. Where the result is sorted each new message is placed by a few
//! of those that are there, again and again between closer ones.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pillarbox_core::line::LineScanner;

use super::arrivals::Wanted;
use super::read::Served;
use super::reply::End;
use super::session::{Asked, Doing, Selected, Standing};
use super::{Change, Event, FetchItem, ServerSession};
use crate::search::Query;
use crate::sort::SortCriterion;
use crate::types::{Uid, UidSet};
use crate::view::Telling;

/// Messages of a sorted result that are sorted again with new ones at a time; a smaller result is sorted whole.
const PIVOTS_MAX: usize = 256;
/// How often new messages are placed closer, at most. Each time there are some hundred times fewer places, or a message fewer.
const ROUNDS_MAX: usize = 20;

/// What the contexts are asked, one after the other.
#[derive(Debug)]
pub(super) struct Rechecking {
    /// About these messages.
    uids: UidSet,
    /// Which context it is about.
    at: usize,
    found: Vec<Uid>,
    /// None: which messages match.
    placing: Option<Placing>,
    then: Then,
}

/// What follows.
#[derive(Debug)]
pub(super) enum Then {
    Finish(End),
    Idle(LineScanner),
    /// Between commands.
    Read,
}

/// New messages on their way to their places in a sorted result.
#[derive(Debug, Default)]
struct Placing {
    /// Each with the first and the last place that it can have, in their order.
    open: Vec<(Uid, usize, usize)>,
    /// The messages that they are sorted with, and where those stand.
    pivots: Vec<(Uid, usize)>,
    /// Messages of the result that were to be sorted and are gone: where those stand says nothing.
    gone: UidSet,
    rounds: usize,
}

impl Placing {
    fn new(uids: &UidSet, len: usize) -> Self {
        Placing { open: uids.iter().map(|uid| (uid, 0, len)).collect(), ..Placing::default() }
    }

    /// The messages to be sorted next; none if all have their places.
    fn next(&mut self, order: &[Uid]) -> UidSet {
        let mut spans: Vec<(usize, usize)> = self.open.iter().map(|(_, first, last)| (*first, *last)).collect();
        spans.sort_unstable();
        spans.dedup();
        // Of each stretch the places that still say something.
        let candidates = |(first, last): (usize, usize)| {
            (first..last).filter(|at| !self.gone.contains(order[*at])).collect::<Vec<_>>()
        };
        let stretches: Vec<Vec<usize>> =
            spans.into_iter().map(candidates).filter(|places| !places.is_empty()).collect();
        if self.open.is_empty() || self.rounds > 0 && stretches.is_empty() {
            return UidSet::new();
        }
        self.rounds += 1;
        let whole = order.len() <= PIVOTS_MAX || self.open.len().saturating_mul(20) >= order.len();
        let of_each = if whole { usize::MAX } else { (PIVOTS_MAX / stretches.len().max(1)).max(1) };
        self.pivots.clear();
        for places in stretches {
            let (count, len) = (of_each.min(places.len()), places.len());
            // In the middle of as many equal parts.
            let middles = (0..count).map(|n| places[(2 * n + 1) * len / (2 * count)]);
            self.pivots.extend(middles.map(|at| (order[at], at)));
        }
        self.pivots.sort_unstable();
        let uids = self.open.iter().map(|(uid, ..)| *uid);
        uids.chain(self.pivots.iter().map(|(uid, _)| *uid)).collect()
    }

    /// They are sorted. What is not among them is gone.
    fn sorted(&mut self, sorted: &[Uid]) {
        let mut open: Vec<(Uid, usize, usize)> = core::mem::take(&mut self.open);
        open.sort_unstable();
        let pivot_at = |uid: &Uid| {
            let at = self.pivots.binary_search_by_key(uid, |(uid, _)| *uid).ok()?;
            Some(self.pivots[at].1)
        };
        let there: UidSet = sorted.iter().copied().collect();
        self.gone.add(&self.pivots.iter().map(|(uid, _)| *uid).filter(|uid| !there.contains(*uid)).collect());
        let mut floor = 0;
        for uid in sorted {
            if let Some(at) = pivot_at(uid) {
                floor = at + 1;
            } else if let Ok(at) = open.binary_search_by_key(uid, |(uid, ..)| *uid) {
                let (_, first, last) = open[at];
                self.open.push((*uid, first.max(floor).min(last), last));
            }
        }
        let mut ceiling = usize::MAX;
        let mut nearer = self.open.iter_mut().rev().peekable();
        for uid in sorted.iter().rev() {
            if let Some(at) = pivot_at(uid) {
                ceiling = at;
            } else if let Some((_, first, last)) = nearer.next_if(|(open, ..)| open == uid) {
                *last = (*last).min(ceiling).max(*first);
            }
        }
    }

    /// The order with the new messages in it.
    fn merged(&self, order: &[Uid]) -> Vec<Uid> {
        let mut merged = Vec::with_capacity(order.len() + self.open.len());
        let mut open = self.open.iter().peekable();
        for (at, uid) in order.iter().enumerate() {
            while let Some((new, ..)) = open.next_if(|(_, first, _)| *first <= at) {
                merged.push(*new);
            }
            merged.push(*uid);
        }
        merged.extend(open.map(|(uid, ..)| *uid));
        merged
    }
}

/// What was told, and what is to be.
#[derive(Debug)]
pub(super) struct Told {
    /// Some messages are gone.
    pub(super) expunged: bool,
    /// Of new messages.
    pub(super) fetch: Wanted,
}

impl Selected {
    /// Messages came, changed or went, whoever did it.
    pub(super) fn learn(&mut self, change: Change, context_changes_max: usize) {
        self.contexts.learn(&change, &self.view, context_changes_max);
        self.view.learn(change);
    }

    /// Tells what waits, of the mailbox and of its contexts, in the order that keeps all numbers good. `of_all`: what the client
    /// wants of each new message.
    pub(super) fn tell(&mut self, telling: Telling, of_all: &[FetchItem], out: &mut Vec<u8>) -> Told {
        self.contexts.tell_removed(&self.view, out);
        let told = self.view.tell_some(telling, out);
        let fetch = self.wanted(told.arrived, of_all);
        // RFC 5465 §5.2: what NOTIFY asks for follows what contexts say. §7: what UPDATE alone asks for precedes it.
        if fetch.is_empty() || !of_all.is_empty() {
            self.contexts.tell_changed(&self.view, out);
        }
        Told { expunged: told.expunged, fetch }
    }
}

impl ServerSession {
    /// Whether [`recheck`](Self::recheck) has something to do.
    pub(super) fn has_to_recheck(&self) -> bool {
        let arrivals = self.telling(false).arrivals;
        let Standing::Selected { mailbox, .. } = &self.standing else { return false };
        mailbox.contexts.waits(&mailbox.view, arrivals) || mailbox.contexts.is_overrun()
    }

    /// Ends contexts that cost too much, and asks about what changed if there is something to ask. Else `then` is given back.
    pub(super) fn recheck(&mut self, then: Then) -> Option<Then> {
        let arrivals = self.telling(false).arrivals;
        let Standing::Selected { mailbox, .. } = &mut self.standing else { return Some(then) };
        let ended = mailbox.contexts.take_overrun();
        let uids = if mailbox.contexts.waits(&mailbox.view, arrivals) && !self.stopping && !self.gone {
            mailbox.contexts.take_changed(&mailbox.view, arrivals)
        } else {
            UidSet::new()
        };
        for tag in ended {
            self.no_update(&tag, "Too much changed at once");
        }
        if uids.is_empty() {
            return Some(then);
        }
        let first = Rechecking { uids, at: 0, found: Vec::new(), placing: None, then };
        self.ask_again(Box::new(first));
        None
    }

    /// Asks about the next context, or ends the asking.
    fn ask_again(&mut self, mut rechecking: Box<Rechecking>) {
        let context = match &mut self.standing {
            Standing::Selected { mailbox, .. } => mailbox.contexts.at(rechecking.at),
            _ => None,
        };
        let Some(context) = context else {
            match rechecking.then {
                Then::Finish(end) => self.finish_now(end),
                Then::Read => {
                    self.doing = Doing::Reading;
                    self.tell_at_once();
                    self.leave_if_due();
                }
                Then::Idle(scanner) => {
                    self.doing = Doing::Idling { scanner };
                    self.tell_at_once();
                    self.leave_if_due();
                }
            }
            return;
        };
        let (query, criteria): (Query, Vec<SortCriterion>) = match &mut rechecking.placing {
            None => (Query::And(Vec::from([Query::Uids(rechecking.uids.clone()), context.query.clone()])), Vec::new()),
            Some(placing) => {
                let uids = placing.next(&context.order);
                if placing.rounds > ROUNDS_MAX {
                    return self.not_rechecked(rechecking);
                }
                if uids.is_empty() {
                    let placed: UidSet = placing.open.iter().map(|(uid, ..)| *uid).collect();
                    let order = placing.merged(&context.order);
                    context.reordered(order, &placed);
                    rechecking.placing = None;
                    rechecking.at += 1;
                    return self.ask_again(rechecking);
                }
                (Query::Uids(uids), context.criteria.clone())
            }
        };
        rechecking.found.clear();
        self.doing = Doing::Asked(Asked::Recheck(rechecking));
        self.queue.push_back(Event::Recheck { query, criteria });
    }

    /// An answer is complete.
    pub(super) fn rechecked(&mut self) {
        let Doing::Asked(Asked::Recheck(mut rechecking)) = core::mem::replace(&mut self.doing, Doing::Reading) else {
            return;
        };
        let found = core::mem::take(&mut rechecking.found);
        match &mut rechecking.placing {
            Some(placing) => placing.sorted(&found),
            None => {
                let context = match &mut self.standing {
                    Standing::Selected { mailbox, .. } => mailbox.contexts.at(rechecking.at),
                    _ => None,
                };
                if let Some(context) = context {
                    let matching = found.into_iter().collect::<UidSet>().intersect(&rechecking.uids);
                    let new = context.matched(&rechecking.uids, &matching);
                    match new.is_empty() {
                        true => rechecking.at += 1,
                        false => rechecking.placing = Some(Placing::new(&new, context.order.len())),
                    }
                }
            }
        }
        self.ask_again(rechecking);
    }

    /// It cannot be said: a context whose result is not known ends.
    pub(super) fn not_rechecked(&mut self, mut rechecking: Box<Rechecking>) {
        if let Standing::Selected { mailbox, .. } = &mut self.standing {
            let tag = mailbox.contexts.remove(rechecking.at);
            self.no_update(&tag, "The mailbox cannot be searched now");
        }
        rechecking.placing = None;
        self.ask_again(rechecking);
    }

    /// RFC 5267 §4.3.5
    // A tag that is not known may be one whose context ended by itself.
    pub(super) fn cancel_update<'b>(&mut self, tags: &[alloc::borrow::Cow<'_, [u8]>]) -> Served<'b> {
        if !self.config.extensions.context {
            return Err(End::bad("CANCELUPDATE is not on offer"));
        }
        let contexts = &mut self.mailbox()?.contexts;
        tags.iter().for_each(|tag| contexts.cancel(tag));
        self.finish(End::ok("No further updates"));
        Ok(None)
    }
}

impl Rechecking {
    pub(super) fn found(&mut self, found: &[Uid]) {
        self.found.extend_from_slice(found);
    }
}
