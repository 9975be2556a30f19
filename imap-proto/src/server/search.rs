//! SEARCH and SORT: what is asked, and the forms of the answer.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::context::{Form, Updating};
use super::read::{Served, uid_required};
use super::reply::{End, Output};
use super::session::{Asked, Standing};
use super::{Event, FetchItem, ServerSession};
use crate::search::{Query, RANGES_MAX, uids_after, uids_before};
use crate::sort::SortCriterion;
use crate::types::{Flag, ModSeq, ResponseCode, SequenceSet, Uid, UidSet};
use crate::view::View;
use crate::wire::encode::push;
use crate::wire::parse::{SearchKey, SearchReturns};

/// A SEARCH or SORT that is being answered. The answer streams: what was found is told as it comes, and kept only to be saved or
/// where a part is wanted that counts from the end.
#[derive(Debug)]
pub(super) struct Searching {
    /// UIDs are told, not sequence numbers.
    uid: bool,
    /// None: the answer is a SEARCH line. Else an ESEARCH line with these in it.
    returns: Option<SearchReturns>,
    /// SORT: what is found comes in another order than that of the mailbox.
    sorted: bool,
    /// The answer's line has begun.
    open: bool,
    /// The set in the answer has begun.
    set_open: bool,
    /// The numbers found last, one behind the other: not told yet.
    run: Option<(u32, u32)>,
    found: u32,
    first: Option<(Uid, Option<ModSeq>)>,
    last: Option<(Uid, Option<ModSeq>)>,
    /// The highest mod-sequence of all that were found.
    highest: Option<ModSeq>,
    saved: Vec<Uid>,
    /// The last messages that were found, where a part is wanted that counts from the end: as many as it may reach to.
    tail: VecDeque<(Uid, u32)>,
    /// Which mailbox it is, where several may be searched (RFC 7377): what stands behind the tag.
    correlators: Option<Vec<u8>>,
    /// It is to be kept up to date (RFC 5267).
    updating: Option<Updating>,
}

/// What a search is to return.
pub(super) struct Returned {
    pub(super) returns: Option<SearchReturns>,
    /// Of new messages that enter the result (RFC 5465 §7).
    pub(super) wanted: Vec<FetchItem>,
}

/// What is learned about a query while its numbers are resolved.
struct Resolving {
    /// How many more ranges its sets may come to.
    ranges_left: usize,
    /// Mod-sequences are a part of it.
    mod_seqs: bool,
    /// It will be put to messages that come later.
    updates: bool,
}

/// A query whose numbers are resolved.
pub(super) struct Resolved {
    pub(super) query: Query,
    /// It speaks of mod-sequences.
    pub(super) mod_seqs: bool,
    /// Of all sets in it.
    pub(super) ranges: usize,
}

impl ServerSession {
    /// RFC 9051 §6.4.4
    pub(super) fn search<'b>(
        &mut self,
        key: Option<SearchKey>,
        Returned { returns, wanted }: Returned,
        charset: bool,
        uid: bool,
    ) -> Served<'b> {
        if charset && self.enabled.utf8 {
            // RFC 6855 §3
            return Err(End::bad("Everything is UTF-8 here"));
        }
        let resolved = self.query_to_answer(key, returns)?;
        let updating = self.updating_if(Returned { returns, wanted }, &resolved, &[])?;
        let Resolved { query, mod_seqs, .. } = resolved;
        // RFC 9051 §6.4.4: in IMAP4rev2 every answer is ESEARCH, and names all if nothing else is asked for.
        let all = SearchReturns { all: true, ..SearchReturns::default() };
        let searching = Searching::new(uid, returns.or(self.enabled.rev2.then_some(all)), false).updating(updating);
        if mod_seqs {
            self.enable_condstore();
        }
        Ok(self.ask(Asked::Search(searching), Event::Search { query, mod_seqs }))
    }

    /// Refuses return options of extensions that are not on offer.
    pub(super) fn refuse_returns(&self, returns: SearchReturns) -> Result<(), End> {
        if (returns.update || returns.context) && !self.config.extensions.context {
            return Err(End::bad("UPDATE and CONTEXT are not on offer"));
        }
        let offered = &self.config.extensions;
        match returns.partial {
            Some(_) if !offered.partial && !offered.context => Err(End::bad("PARTIAL is not on offer")),
            // RFC 5267 §4.4 counts from the first message only.
            Some(range) if !offered.partial && range.from_end() => {
                Err(End::bad("PARTIAL from the end is not on offer"))
            }
            _ => Ok(()),
        }
    }

    /// How a search is kept up to date, if that is wished.
    pub(super) fn updating_if(
        &mut self,
        Returned { returns, wanted }: Returned,
        resolved: &Resolved,
        criteria: &[SortCriterion],
    ) -> Result<Option<Updating>, End> {
        match returns.is_some_and(|returns| returns.update) {
            true => self.updating(resolved, criteria, wanted).map(Some),
            false => Ok(None),
        }
    }

    /// The query of a command with these return options.
    pub(super) fn query_to_answer(
        &mut self,
        key: Option<SearchKey>,
        returns: Option<SearchReturns>,
    ) -> Result<Resolved, End> {
        returns.map_or(Ok(()), |returns| self.refuse_returns(returns))?;
        let save = returns.is_some_and(|returns| returns.save);
        let updates = returns.is_some_and(|returns| returns.update);
        self.query_of(key, updates).inspect_err(|end| {
            // RFC 5182 §2.1: NO empties what was saved, BAD changes nothing.
            if save && end.verdict == super::reply::Verdict::No {
                self.save(UidSet::new());
            }
        })
    }

    /// The query of a key, for the last messages if there are too many. `updates`: it will be put to messages that come later.
    pub(super) fn query_of(&mut self, key: Option<SearchKey>, updates: bool) -> Result<Resolved, End> {
        let resolved = self.whole_query(key.ok_or_else(unknown_charset)?, updates)?;
        Ok(Resolved { query: self.search_last(resolved.query), ..resolved })
    }

    /// The query of a key, for the selected mailbox.
    pub(super) fn whole_query(&mut self, key: SearchKey, updates: bool) -> Result<Resolved, End> {
        let resolved = self.query_as_known(key, updates)?;
        if resolved.mod_seqs {
            self.refuse_without_mod_seqs()?;
        }
        Ok(resolved)
    }

    /// The query of a key, with the numbers of the selected mailbox, whether that can be searched for it or not.
    pub(super) fn query_as_known(&mut self, key: SearchKey, updates: bool) -> Result<Resolved, End> {
        let ranges_left = 2 * self.mailbox()?.view.len() + RANGES_MAX;
        let mut resolving = Resolving { ranges_left, mod_seqs: false, updates };
        let query = self.query(key, &mut resolving)?;
        Ok(Resolved { query, mod_seqs: resolving.mod_seqs, ranges: ranges_left - resolving.ranges_left })
    }

    /// The key with its numbers resolved. The parser limited the depth.
    fn query(&mut self, key: SearchKey, resolving: &mut Resolving) -> Result<Query, End> {
        Ok(match key {
            // RFC 9051 Appendix E, 12
            SearchKey::Query(Query::Flag(Flag::Recent)) if self.enabled.rev2 => {
                return Err(End::bad("Nothing is recent in IMAP4rev2"));
            }
            SearchKey::Query(query) => {
                self.refuse_key(&query)?;
                resolving.mod_seqs |= matches!(query, Query::ModSeq(_));
                query
            }
            SearchKey::Seqs(set) => {
                // RFC 7162 §3.2.10.2: no VANISHED where numbers stand in the criteria. `$` alone is none.
                self.running.seqs_in_search |= set.has_numbers();
                if self.running.seqs_in_search && self.enabled.uid_only {
                    return Err(uid_required());
                }
                self.uids_of(&set, false, resolving)?
            }
            SearchKey::Uids(set) => self.uids_of(&set, true, resolving)?,
            SearchKey::UidAfter(uid) => {
                self.refuse_without_message_limit()?;
                Query::Uids(uids_after(uid.or_else(|| self.saved_there()?.last())))
            }
            SearchKey::UidBefore(uid) => {
                self.refuse_without_message_limit()?;
                Query::Uids(uids_before(uid.or_else(|| self.saved_there()?.first())))
            }
            SearchKey::And(keys) => {
                let keys = keys.into_iter().map(|key| self.query(key, resolving));
                Query::And(keys.collect::<Result<_, _>>()?)
            }
            SearchKey::Or(one, other) => {
                let (one, other) = (self.query(*one, resolving)?, self.query(*other, resolving)?);
                Query::Or(Box::new(one), Box::new(other))
            }
            SearchKey::Not(key) => Query::Not(Box::new(self.query(*key, resolving)?)),
        })
    }

    /// Refuses keys of extensions that are not on offer, as keys that are not known.
    pub(super) fn refuse_key(&self, query: &Query) -> Result<(), End> {
        let extensions = &self.config.extensions;
        let known = match query {
            Query::ModSeq(_) => extensions.condstore,
            Query::EmailId(_) | Query::ThreadId(_) => extensions.object_id,
            Query::SavedBefore(_) | Query::SavedOn(_) | Query::SavedSince(_) | Query::SaveDateSupported => {
                extensions.save_date
            }
            _ => true,
        };
        if known { Ok(()) } else { Err(End::bad("SEARCH knows no such key")) }
    }

    /// Two octets of a command can stand for a set as large as the mailbox, so what they come to is counted.
    fn uids_of(&mut self, set: &SequenceSet, uid: bool, resolving: &mut Resolving) -> Result<Query, End> {
        let mut uids = self.resolve_searched(set, uid)?;
        if uid && resolving.updates {
            // RFC 5267 §4.3: what sequence numbers mean is settled now, but UIDs name messages that are still to come.
            let ranges = set.resolve(u32::MAX).into_iter();
            uids.add(&ranges.filter_map(|range| Some(Uid::new(*range.start())?..=Uid::new(*range.end())?)).collect());
        }
        match resolving.ranges_left.checked_sub(uids.ranges().len()) {
            Some(left) => resolving.ranges_left = left,
            None => return Err(End::no(&ResponseCode::Limit, "The sets of this search are too large")),
        }
        Ok(Query::Uids(uids))
    }

    /// What `$` names in the selected mailbox.
    fn saved_there(&self) -> Option<UidSet> {
        match &self.standing {
            // RFC 5182 §2.1: what was expunged is no longer in it.
            Standing::Selected { mailbox, .. } => Some(mailbox.view.known_of(&mailbox.saved)),
            _ => None,
        }
    }

    /// What `$` means from now on (RFC 5182).
    pub(super) fn save(&mut self, uids: UidSet) {
        if let Standing::Selected { mailbox, .. } = &mut self.standing {
            mailbox.saved = uids;
        }
    }
}

impl Searching {
    pub(super) const fn new(uid: bool, returns: Option<SearchReturns>, sorted: bool) -> Self {
        Searching {
            uid,
            returns,
            sorted,
            open: false,
            set_open: false,
            run: None,
            found: 0,
            first: None,
            last: None,
            highest: None,
            saved: Vec::new(),
            tail: VecDeque::new(),
            correlators: None,
            updating: None,
        }
    }

    /// The same, told with what says which mailbox it is.
    pub(super) fn correlated(self, correlators: Vec<u8>) -> Self {
        Searching { correlators: Some(correlators), ..self }
    }

    /// The same, to be kept up to date.
    pub(super) fn updating(self, updating: Option<Updating>) -> Self {
        Searching { updating, ..self }
    }

    /// Whether UIDs are told, and how it is to be kept up to date.
    pub(super) fn take_updating(&mut self) -> Option<(Form, Updating)> {
        let form = Form { uid: self.uid, correlators: self.correlators.clone().unwrap_or_default() };
        Some((form, self.updating.take()?))
    }

    /// Whether a line of the answer has begun.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    pub(super) const fn is_sorted(&self) -> bool {
        self.sorted
    }

    /// Whether its failure empties `$`.
    pub(super) fn saves(&self) -> bool {
        self.returns.is_some_and(|returns| returns.save)
    }

    /// What `$` will mean (RFC 5182 §2.4, RFC 9394 §3.2): of MIN, MAX and PARTIAL alone only those, else all.
    pub(super) fn into_saved(self) -> Option<UidSet> {
        let returns = self.returns.filter(|returns| returns.save)?;
        let first = self.first.filter(|_| returns.min);
        let last = self.last.filter(|_| returns.max);
        let ends = first.into_iter().chain(last).map(|(uid, _)| uid);
        Some(ends.chain(self.saved).collect())
    }

    /// Messages were found. One that the client was not told of yet is none; without a view it is told of all.
    pub(super) fn found(
        &mut self,
        found: impl Iterator<Item = (Uid, Option<ModSeq>)>,
        view: Option<&View>,
        tag: &str,
        out: &mut Output,
    ) {
        for (uid, mod_seq) in found {
            let number = match view.map(|view| view.seq(uid)) {
                Some(None) => continue,
                Some(Some(seq)) if !self.uid => seq.get(),
                _ => uid.get(),
            };
            self.highest = self.highest.max(mod_seq);
            if let Some(Updating::Wanted { found, .. }) = &mut self.updating {
                found.push(uid);
            }
            let Some(returns) = self.returns else {
                self.begin(tag, out);
                push(out.end(), format_args!(" {number}"));
                continue;
            };
            self.found = self.found.saturating_add(1);
            // RFC 5267 §3.1: the ends of what is sorted are those of its order.
            if self.first.is_none_or(|(first, _)| !self.sorted && uid < first) {
                self.first = Some((uid, mod_seq));
            }
            if self.last.is_none_or(|(last, _)| self.sorted || uid > last) {
                self.last = Some((uid, mod_seq));
            }
            if returns.save && keeps_all(returns) {
                self.saved.push(uid);
            }
            match returns.partial.map(|range| (range, range.bounds())) {
                None if returns.all => self.tell_number(number, tag, out),
                None => {}
                Some((range, (_, farthest))) if range.from_end() => {
                    if self.tail.len() as u64 == u64::from(farthest) {
                        self.tail.pop_front();
                    }
                    self.tail.push_back((uid, number));
                }
                Some((_, (first, last))) if (first..=last).contains(&self.found) => {
                    self.tell_of_part(uid, number, returns, tag, out);
                }
                Some(_) => {}
            }
        }
    }

    /// A message of the part that is wanted.
    fn tell_of_part(&mut self, uid: Uid, number: u32, returns: SearchReturns, tag: &str, out: &mut Output) {
        // What is saved whole has it already.
        if returns.save && !keeps_all(returns) {
            self.saved.push(uid);
        }
        self.tell_number(number, tag, out);
    }

    fn tell_number(&mut self, number: u32, tag: &str, out: &mut Output) {
        match &mut self.run {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => {
                self.tell_run(tag, out);
                self.run = Some((number, number));
            }
        }
    }

    /// Begins the line, if that was not done.
    fn begin(&mut self, tag: &str, out: &mut Output) {
        if core::mem::replace(&mut self.open, true) {
            return;
        }
        match self.returns {
            // RFC 3501 §7.2.5
            None if !self.sorted => out.end().extend_from_slice(b"* SEARCH"),
            // RFC 5256 §4
            None => out.end().extend_from_slice(b"* SORT"),
            // RFC 9051 §7.3.4, RFC 4731 §3.1. A tag holds nothing that would have to be escaped.
            Some(_) => {
                push(out.end(), format_args!("* ESEARCH (TAG \"{tag}\""));
                out.end().extend_from_slice(self.correlators.as_deref().unwrap_or_default());
                out.end().extend_from_slice(if self.uid { b") UID" } else { b")" });
            }
        }
    }

    fn tell_run(&mut self, tag: &str, out: &mut Output) {
        let Some((first, last)) = self.run.take() else { return };
        self.begin(tag, out);
        if core::mem::replace(&mut self.set_open, true) {
            out.end().push(b',');
        } else {
            self.begin_set(out);
        }
        match first == last {
            true => push(out.end(), format_args!("{first}")),
            false => push(out.end(), format_args!("{first}:{last}")),
        }
    }

    fn begin_set(&self, out: &mut Output) {
        match self.returns.and_then(|returns| returns.partial) {
            Some(range) => push(out.end(), format_args!(" PARTIAL ({range} ")),
            None => out.end().extend_from_slice(b" ALL "),
        }
    }

    /// Ends the set, where there is more to it than its end.
    fn end_set(&mut self, tag: &str, out: &mut Output) {
        let Some((returns, range)) = self.returns.and_then(|returns| Some((returns, returns.partial?))) else { return };
        if range.from_end() {
            let (nearest, _) = range.bounds();
            let told = self.tail.len().saturating_sub(nearest as usize - 1);
            for (uid, number) in core::mem::take(&mut self.tail).into_iter().take(told) {
                self.tell_of_part(uid, number, returns, tag, out);
            }
            self.tell_run(tag, out);
        }
        self.begin(tag, out);
        if !core::mem::replace(&mut self.set_open, true) {
            self.begin_set(out);
            // RFC 9394 §3.1
            out.end().extend_from_slice(b"NIL");
        }
        out.end().push(b')');
    }

    /// Ends the line. What is only known now stands at its end.
    pub(super) fn end(&mut self, view: Option<&View>, tag: &str, out: &mut Output) {
        self.tell_run(tag, out);
        if let Some(returns) = self.returns {
            let told = returns.all || returns.count || returns.min || returns.max || returns.partial.is_some();
            // RFC 5182 §2: SAVE alone has no answer.
            if returns.save && !told {
                return;
            }
            // RFC 7377 §2.1: of a mailbox in which nothing was found nothing is told.
            if self.correlators.is_some() && self.found == 0 {
                return;
            }
            self.begin(tag, out);
            self.end_set(tag, out);
            let number = |uid: Uid| if self.uid { Some(uid.get()) } else { view?.seq(uid).map(|seq| seq.get()) };
            for (wanted, name, uid) in [(returns.min, "MIN", self.first), (returns.max, "MAX", self.last)] {
                if let Some(number) = uid.filter(|_| wanted).and_then(|(uid, _)| number(uid)) {
                    push(out.end(), format_args!(" {name} {number}"));
                }
            }
            if returns.count {
                push(out.end(), format_args!(" COUNT {}", self.found));
            }
        }
        self.begin(tag, out);
        match (self.mod_seq(), self.returns) {
            // RFC 7162 §3.1.6
            (Some(mod_seq), None) => push(out.end(), format_args!(" (MODSEQ {mod_seq})")),
            // RFC 7162 §3.1.10
            (Some(mod_seq), Some(_)) => push(out.end(), format_args!(" MODSEQ {mod_seq}")),
            (None, _) => {}
        }
        out.end().extend_from_slice(b"\r\n");
    }

    /// RFC 4731 §3.2: of MIN and MAX alone that of the messages that are told, else the highest of all.
    fn mod_seq(&self) -> Option<ModSeq> {
        match self.returns {
            Some(returns) if !keeps_all(returns) && returns.partial.is_none() => {
                let told = [(returns.min, self.first), (returns.max, self.last)].into_iter();
                told.filter_map(|(wanted, found)| found.filter(|_| wanted)?.1).max()
            }
            _ => self.highest,
        }
    }

    /// Ends the line before its time.
    pub(super) fn break_off(&mut self, tag: &str, out: &mut Output) {
        self.tell_run(tag, out);
        if self.set_open && self.returns.is_some_and(|returns| returns.partial.is_some()) {
            out.end().push(b')');
        }
        if self.open {
            out.end().extend_from_slice(b"\r\n");
        }
    }
}

/// RFC 3501 §6.4.4
pub(super) fn unknown_charset() -> End {
    End { code: Some("BADCHARSET (US-ASCII UTF-8)".into()), ..End::no_such("Unknown character set") }
}

/// RFC 5182 §2.4, RFC 9394 §3.2
const fn keeps_all(returns: SearchReturns) -> bool {
    returns.all || returns.count || !(returns.min || returns.max || returns.partial.is_some())
}
