//! Searches whose results are kept up to date (RFC 5267): which messages each has told, and how the client hears what changed.

use alloc::string::String;
use alloc::vec::Vec;

use super::messages::in_order;
use super::reply::End;
use super::search::Resolved;
use super::session::Standing;
use super::{Change, FetchItem, ServerSession};
use crate::search::Query;
use crate::sort::SortCriterion;
use crate::types::{Uid, UidSet};
use crate::view::View;
use crate::wire::encode::push;

/// How many ranges or positions stand in one line: some ten thousand octets, which clients take in one piece.
const PAIRS_MAX: usize = 500;

/// The most ranges of all sets in the criteria of a context, which keeps them: eight octets each.
const RANGES_MAX: usize = 10_000;

/// The contexts of a selection, and what happened that they were not asked about yet.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    all: Vec<Context>,
    /// A search is being answered that is to become one.
    begins: bool,
    /// Messages that came or changed.
    changed: UidSet,
    /// Messages that came, as long as it is not known and told whether they enter a result.
    arrived: UidSet,
    /// Messages that the client knows and that are gone.
    removed: UidSet,
    /// More changed than will be looked at.
    overrun: bool,
}

/// One search that is kept up to date.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) tag: String,
    form: Form,
    pub(super) query: Query,
    /// SORT: the order of the result, equal messages rising by UID. Else empty.
    pub(super) criteria: Vec<SortCriterion>,
    /// What FETCH is to tell of new messages that enter the result (RFC 5465 §7).
    wanted: Vec<FetchItem>,
    /// The result as the client was told.
    told: UidSet,
    /// The result as it is, if that may be another one.
    next: Option<UidSet>,
    /// SORT: all that was told, and what was placed among it since, in its order. Else empty.
    pub(super) order: Vec<Uid>,
    /// What stands in the order and was not told.
    placed: UidSet,
}

/// How the messages of a search are told.
#[derive(Debug)]
pub(super) struct Form {
    /// UIDs are told, not sequence numbers.
    pub(super) uid: bool,
    /// Which mailbox it is, where several may be searched: what stands behind the tag (RFC 7377 §2.1). Else empty.
    pub(super) correlators: Vec<u8>,
}

/// A search that is to become a context, while it is answered.
#[derive(Debug)]
pub(super) enum Updating {
    /// It is not to be; the client hears why.
    Refused(&'static str),
    Wanted {
        query: Query,
        criteria: Vec<SortCriterion>,
        wanted: Vec<FetchItem>,
        /// What was found so far, in its order.
        found: Vec<Uid>,
    },
}

impl Contexts {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn has(&self, tag: &str) -> bool {
        self.all.iter().any(|context| context.tag == tag)
    }

    /// A search begins that is to become a context. Of what waits in the view it will find nothing that the client knows.
    pub(super) fn begin(&mut self, view: &View) {
        self.begins = true;
        self.changed.add(&view.unheard_of());
        self.arrived.add(&view.unheard_of());
    }

    /// It failed.
    pub(super) fn abandon(&mut self) {
        self.begins = false;
        self.forget_if_empty();
    }

    /// It ended.
    pub(super) fn add(&mut self, tag: String, form: Form, updating: Updating) {
        self.begins = false;
        if let Updating::Wanted { query, criteria, wanted, found } = updating {
            let told = found.iter().copied().collect();
            let order = if criteria.is_empty() { Vec::new() } else { found };
            let (next, placed) = (None, UidSet::new());
            self.all.push(Context { tag, form, query, criteria, wanted, told, next, order, placed });
        }
        self.forget_if_empty();
    }

    pub(super) fn cancel(&mut self, tag: &[u8]) {
        self.all.retain(|context| context.tag.as_bytes() != tag);
        self.forget_if_empty();
    }

    pub(super) fn remove(&mut self, at: usize) -> String {
        let tag = self.all.remove(at).tag;
        self.forget_if_empty();
        tag
    }

    fn forget_if_empty(&mut self) {
        if self.all.is_empty() && !self.begins {
            *self = Contexts::default();
        }
    }

    pub(super) fn at(&mut self, at: usize) -> Option<&mut Context> {
        self.all.get_mut(at)
    }

    /// Takes note of a change before the view does. More than `changes_max` messages are not looked at.
    pub(super) fn learn(&mut self, change: &Change, view: &View, changes_max: usize) {
        if self.all.is_empty() && !self.begins || self.overrun {
            return;
        }
        match change {
            Change::Added { uids, .. } => uids.iter().for_each(|uid| {
                self.changed.insert(*uid);
                self.arrived.insert(*uid);
            }),
            Change::Flags { uid, .. } => {
                self.changed.insert(*uid);
            }
            Change::Removed { uids, .. } => {
                self.changed = self.changed.without(uids);
                self.arrived = self.arrived.without(uids);
                self.removed.add(&view.known_of(uids));
            }
            Change::Keywords { .. } | Change::Rights(_) | Change::Gone => {}
        }
        if self.changed.len() > changes_max as u64 {
            (self.changed, self.arrived, self.overrun) = (UidSet::new(), UidSet::new(), true);
        }
    }

    /// Whether the contexts have to be asked about messages. Those that came wait until `arrivals` are told.
    pub(super) fn waits(&self, view: &View, arrivals: bool) -> bool {
        let can_be_asked = || arrivals || !self.changed.without(&view.unheard_of()).is_empty();
        !self.all.is_empty() && !self.changed.is_empty() && can_be_asked()
    }

    /// Whether more changed than will be looked at.
    pub(super) fn is_overrun(&self) -> bool {
        self.overrun
    }

    /// What is still to be asked about.
    pub(super) fn changed(&self) -> &UidSet {
        &self.changed
    }

    /// Whether more is to be told of new messages than that they entered a result.
    pub(super) fn want_items(&self) -> bool {
        self.all.iter().any(|context| !context.wanted.is_empty())
    }

    /// The new messages that are about to be told as such of results, and what is wanted of them.
    // RFC 5465 §7: not of those that enter because their flags changed.
    pub(super) fn wanted(&self, view: &View) -> impl Iterator<Item = (UidSet, &[FetchItem])> {
        let wanting = self.all.iter().filter(|context| !context.wanted.is_empty());
        wanting.map(|context| (context.entering(view).intersect(&self.arrived), context.wanted.as_slice()))
    }

    /// The messages that changed: they are going to be asked about. Those that came are kept unless `arrivals` are told.
    pub(super) fn take_changed(&mut self, view: &View, arrivals: bool) -> UidSet {
        let changed = core::mem::take(&mut self.changed);
        if arrivals {
            return view.will_know(&changed);
        }
        self.changed = changed.intersect(&view.unheard_of());
        view.still_there(&changed)
    }

    /// Too much changed: the contexts end, and these are their tags.
    pub(super) fn take_overrun(&mut self) -> Vec<String> {
        if !core::mem::take(&mut self.overrun) {
            return Vec::new();
        }
        core::mem::take(&mut self.all).into_iter().map(|context| context.tag).collect()
    }

    /// Whether there is something to tell.
    pub(super) fn has_news(&self) -> bool {
        !self.removed.is_empty() || self.all.iter().any(|context| context.next.is_some())
    }

    /// Tells that messages are gone. RFC 5267 §4.3.4: before EXPUNGE, while their numbers are good; also where EXPUNGE has to
    /// wait.
    pub(super) fn tell_removed(&mut self, view: &View, out: &mut Vec<u8>) {
        let removed = core::mem::take(&mut self.removed);
        if !removed.is_empty() {
            self.all.iter_mut().for_each(|context| context.tell_removed(&removed, view, out));
        }
    }

    /// Tells what else changed. RFC 5267 §4.3.3: behind EXISTS.
    pub(super) fn tell_changed(&mut self, view: &View, out: &mut Vec<u8>) {
        self.all.iter_mut().for_each(|context| context.tell_changed(view, out));
        self.arrived = self.arrived.intersect(&self.changed);
    }
}

impl Context {
    /// These messages were asked about, and those match. Gives what has to be placed in the order.
    pub(super) fn matched(&mut self, asked: &UidSet, matching: &UidSet) -> UidSet {
        let mut next = self.next.as_ref().unwrap_or(&self.told).without(asked);
        next.add(matching);
        if next == self.told && self.next.is_none() {
            return UidSet::new();
        }
        self.next = Some(next);
        match self.criteria.is_empty() {
            true => UidSet::new(),
            false => matching.without(&self.told).without(&self.placed),
        }
    }

    /// The order with these placed in it.
    pub(super) fn reordered(&mut self, order: Vec<Uid>, placed: &UidSet) {
        self.order = order;
        self.placed.add(placed);
    }

    fn tell_removed(&mut self, removed: &UidSet, view: &View, out: &mut Vec<u8>) {
        let gone = self.told.intersect(removed);
        if let Some(next) = &mut self.next {
            *next = next.without(removed);
        }
        self.remove(&gone, view, out);
    }

    fn remove(&mut self, gone: &UidSet, view: &View, out: &mut Vec<u8>) {
        if gone.is_empty() {
            return;
        }
        if self.criteria.is_empty() {
            self.tell("REMOVEFROM", &self.runs(gone, view), out);
        } else {
            // From the last to the first, no removal changes the place of one that follows.
            let mut runs = self.runs_in_order(gone, &self.told);
            runs.reverse();
            self.tell("REMOVEFROM", &self.numbered(runs, view), out);
            self.order.retain(|uid| !gone.contains(*uid));
        }
        self.told = self.told.without(gone);
    }

    /// What is going to be told to be in the result now.
    fn entering(&self, view: &View) -> UidSet {
        let Some(next) = &self.next else { return UidSet::new() };
        let entering = view.still_there(next).without(&self.told);
        match self.criteria.is_empty() {
            true => entering,
            false => entering.intersect(&self.placed),
        }
    }

    fn tell_changed(&mut self, view: &View, out: &mut Vec<u8>) {
        let Some(next) = self.next.take() else { return };
        // What went meanwhile is told as gone, or was never told.
        let next = view.still_there(&next);
        self.remove(&self.told.without(&next), view, out);
        let added = next.without(&self.told);
        if self.criteria.is_empty() {
            self.told = next;
            self.tell("ADDTO", &self.runs(&added, view), out);
        } else {
            // A message that could not be placed is told by nobody.
            let placed: UidSet = self.order.iter().copied().filter(|uid| added.contains(*uid)).collect();
            self.told.add(&placed);
            let told = &self.told;
            self.order.retain(|uid| told.contains(*uid));
            self.tell("ADDTO", &self.numbered(self.runs_in_order(&placed, &self.told), view), out);
            self.placed = UidSet::new();
        }
    }

    /// Messages in the order of the mailbox, at no place (RFC 5267 §4.3.3).
    fn runs(&self, uids: &UidSet, view: &View) -> Vec<(usize, String)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        let numbers = uids.iter().filter_map(|uid| match self.form.uid {
            true => Some(uid.get()),
            false => view.seq(uid).map(|seq| seq.get()),
        });
        for number in numbers {
            match runs.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
                _ => runs.push((number, number)),
            }
        }
        let some = runs.chunks(PAIRS_MAX);
        some.map(|some| (0, in_order_of_runs(some))).collect()
    }

    /// Where these stand among those, as runs, with the place of each run.
    fn runs_in_order(&self, uids: &UidSet, among: &UidSet) -> Vec<(usize, Vec<Uid>)> {
        let mut runs: Vec<(usize, Vec<Uid>)> = Vec::new();
        for (at, uid) in self.order.iter().filter(|uid| among.contains(**uid)).enumerate() {
            if uids.contains(*uid) {
                match runs.last_mut() {
                    Some((first, run)) if *first + run.len() == at + 1 && run.len() < PAIRS_MAX => run.push(*uid),
                    _ => runs.push((at + 1, Vec::from([*uid]))),
                }
            }
        }
        runs
    }

    fn numbered(&self, runs: Vec<(usize, Vec<Uid>)>, view: &View) -> Vec<(usize, String)> {
        let number = |uid: &Uid| match self.form.uid {
            true => Some(uid.get()),
            false => view.seq(*uid).map(|seq| seq.get()),
        };
        runs.into_iter().map(|(at, run)| (at, in_order(run.iter().filter_map(number)))).collect()
    }

    /// RFC 5267 §4.3.2
    fn tell(&self, what: &str, pairs: &[(usize, String)], out: &mut Vec<u8>) {
        let mut pairs = pairs.iter().peekable();
        while let Some((at, set)) = pairs.next() {
            push(out, format_args!("* ESEARCH (TAG \"{}\"", self.tag));
            out.extend_from_slice(&self.form.correlators);
            let uid = if self.form.uid { " UID" } else { "" };
            push(out, format_args!("){uid} {what} ({at} {set}"));
            let (mut count, mut octets) = (1, set.len());
            while let Some((at, set)) = pairs.next_if(|_| count < PAIRS_MAX && octets < 20 * PAIRS_MAX) {
                push(out, format_args!(" {at} {set}"));
                (count, octets) = (count + 1, octets + set.len());
            }
            out.extend_from_slice(b")\r\n");
        }
    }
}

fn in_order_of_runs(runs: &[(u32, u32)]) -> String {
    use core::fmt::Write;
    let mut text = String::new();
    for (index, (first, last)) in runs.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to memory cannot fail.
        let _ = match first == last {
            true => write!(text, "{comma}{first}"),
            false => write!(text, "{comma}{first}:{last}"),
        };
    }
    text
}

impl ServerSession {
    /// A search that was to be kept up to date is answered.
    pub(super) fn updates_begin(&mut self, updating: Option<(Form, Updating)>) {
        let Some((form, updating)) = updating else { return };
        let tag = self.running.tag.clone();
        match (updating, &mut self.standing) {
            (Updating::Refused(why), _) => self.no_update(&tag, why),
            (wanted, Standing::Selected { mailbox, .. }) => mailbox.contexts.add(tag, form, wanted),
            _ => {}
        }
    }

    /// How a search with this query is kept up to date; an error where the client could not tell it from another.
    pub(super) fn updating(
        &mut self,
        Resolved { query, ranges, .. }: &Resolved,
        criteria: &[SortCriterion],
        wanted: Vec<FetchItem>,
    ) -> Result<Updating, End> {
        if !wanted.is_empty() && !self.config.extensions.notify {
            return Err(End::bad("UPDATE takes no items where NOTIFY is not on offer"));
        }
        self.refuse_items(&wanted)?;
        if wanted.contains(&FetchItem::ModSeq) {
            self.refuse_without_mod_seqs()?;
        }
        let max = self.config.limits.contexts_max;
        let taken_from = self.running.taken_from;
        self.refuse_taken_tag()?;
        let mailbox = self.mailbox()?;
        if mailbox.contexts.len() >= max {
            return Ok(Updating::Refused("Too many contexts"));
        }
        if taken_from.is_some() {
            return Ok(Updating::Refused("Not all messages were searched"));
        }
        if *ranges > RANGES_MAX {
            return Ok(Updating::Refused("The sets of this search are too large for that"));
        }
        if query.depends_on_time() {
            return Ok(Updating::Refused("What changes by the clock is not told"));
        }
        mailbox.contexts.begin(&mailbox.view);
        if wanted.contains(&FetchItem::ModSeq) {
            // RFC 7162 §3.1
            self.enable_condstore();
        }
        Ok(Updating::Wanted { query: query.clone(), criteria: criteria.to_vec(), wanted, found: Vec::new() })
    }

    /// RFC 5267 §4.3
    pub(super) fn refuse_taken_tag(&mut self) -> Result<(), End> {
        let tag = self.running.tag.clone();
        match self.mailbox()?.contexts.has(&tag) {
            true => Err(End::bad("This tag is taken by a search that is kept up to date")),
            false => Ok(()),
        }
    }

    /// RFC 5267 §4.3.1
    pub(super) fn no_update(&mut self, tag: &str, why: &str) {
        self.untagged("NO", Some(&alloc::format!("NOUPDATE \"{tag}\"")), why);
    }
}
