//! SEARCH: what is asked, and the two forms of its answer.

use alloc::boxed::Box;

use super::read::Served;
use super::reply::{End, Output};
use super::session::{Asked, Standing};
use super::{Event, ServerSession};
use crate::search::Query;
use crate::types::{Flag, ResponseCode, SequenceSet, Uid, UidSet};
use crate::view::View;
use crate::wire::encode::push;
use crate::wire::parse::{SearchKey, SearchReturns};

/// The most ranges of all sets in one SEARCH, beside two for each message: eight octets each.
const RANGES_MAX: usize = 100_000;

/// A SEARCH that is being answered. The answer streams: what was found is told as it comes and kept only to be saved.
#[derive(Debug)]
pub(super) struct Searching {
    /// UIDs are told, not sequence numbers.
    uid: bool,
    /// None: the answer is a SEARCH line. Else an ESEARCH line with these in it.
    returns: Option<SearchReturns>,
    /// The answer's line has begun.
    open: bool,
    /// The set in the answer has begun.
    set_open: bool,
    /// The numbers found last, one behind the other: not told yet.
    run: Option<(u32, u32)>,
    found: u32,
    first: Option<Uid>,
    last: Option<Uid>,
    saved: UidSet,
}

impl ServerSession {
    /// RFC 9051 §6.4.4
    pub(super) fn search<'b>(
        &mut self,
        key: Option<SearchKey>,
        returns: Option<SearchReturns>,
        charset: bool,
        uid: bool,
    ) -> Served<'b> {
        if charset && self.enabled.utf8 {
            // RFC 6855 §3
            return Err(End::bad("Everything is UTF-8 here"));
        }
        let save = returns.is_some_and(|returns| returns.save);
        let query = self.query_of(key).inspect_err(|end| {
            // RFC 5182 §2.1: NO empties what was saved, BAD changes nothing.
            if save && end.verdict == super::reply::Verdict::No {
                self.save(UidSet::new());
            }
        })?;
        // RFC 9051 §6.4.4: in IMAP4rev2 every answer is ESEARCH, and names all if nothing else is asked for.
        let all = SearchReturns { all: true, ..SearchReturns::default() };
        let searching = Searching {
            uid,
            returns: returns.or(self.enabled.rev2.then_some(all)),
            open: false,
            set_open: false,
            run: None,
            found: 0,
            first: None,
            last: None,
            saved: UidSet::new(),
        };
        Ok(self.ask(Asked::Search(searching), Event::Search(query)))
    }

    /// The query of a key.
    fn query_of(&mut self, key: Option<SearchKey>) -> Result<Query, End> {
        // RFC 3501 §6.4.4
        let unknown =
            || End { code: Some("BADCHARSET (US-ASCII UTF-8)".into()), ..End::no_such("Unknown character set") };
        let mut ranges_left = 2 * self.mailbox()?.view.len() + RANGES_MAX;
        self.query(key.ok_or_else(unknown)?, &mut ranges_left)
    }

    /// The key with its numbers resolved. The parser limited the depth.
    fn query(&mut self, key: SearchKey, ranges_left: &mut usize) -> Result<Query, End> {
        Ok(match key {
            // RFC 9051 Appendix E, 12
            SearchKey::Query(Query::Flag(Flag::Recent)) if self.enabled.rev2 => {
                return Err(End::bad("Nothing is recent in IMAP4rev2"));
            }
            SearchKey::Query(query) => query,
            SearchKey::Seqs(set) => self.uids_of(&set, false, ranges_left)?,
            SearchKey::Uids(set) => self.uids_of(&set, true, ranges_left)?,
            SearchKey::And(keys) => {
                let keys = keys.into_iter().map(|key| self.query(key, ranges_left));
                Query::And(keys.collect::<Result<_, _>>()?)
            }
            SearchKey::Or(one, other) => {
                let (one, other) = (self.query(*one, ranges_left)?, self.query(*other, ranges_left)?);
                Query::Or(Box::new(one), Box::new(other))
            }
            SearchKey::Not(key) => Query::Not(Box::new(self.query(*key, ranges_left)?)),
        })
    }

    /// Two octets of a command can stand for a set as large as the mailbox, so what they come to is counted.
    fn uids_of(&mut self, set: &SequenceSet, uid: bool, ranges_left: &mut usize) -> Result<Query, End> {
        let uids = self.resolve(set, uid)?;
        match ranges_left.checked_sub(uids.ranges().len()) {
            Some(left) => *ranges_left = left,
            None => return Err(End::no(&ResponseCode::Limit, "The sets of this search are too large")),
        }
        Ok(Query::Uids(uids))
    }

    /// What `$` means from now on (RFC 5182).
    pub(super) fn save(&mut self, uids: UidSet) {
        if let Standing::Selected { mailbox, .. } = &mut self.standing {
            mailbox.saved = uids;
        }
    }
}

impl Searching {
    /// Whether its failure empties `$`.
    pub(super) fn saves(&self) -> bool {
        self.returns.is_some_and(|returns| returns.save)
    }

    /// What `$` will mean (RFC 5182 §2.4): of MIN and MAX alone only those, else all.
    pub(super) fn into_saved(self) -> Option<UidSet> {
        let returns = self.returns.filter(|returns| returns.save)?;
        Some(match keeps_all(returns) {
            true => self.saved,
            false => {
                let first = self.first.filter(|_| returns.min);
                let last = self.last.filter(|_| returns.max);
                first.into_iter().chain(last).collect()
            }
        })
    }

    /// Messages were found. One that the client was not told of yet is none.
    pub(super) fn found(&mut self, uids: &[Uid], view: &View, tag: &str, out: &mut Output) {
        for &uid in uids {
            let Some(seq) = view.seq(uid) else { continue };
            let number = if self.uid { uid.get() } else { seq.get() };
            let Some(returns) = self.returns else {
                self.begin(tag, out);
                push(out.end(), format_args!(" {number}"));
                continue;
            };
            self.found = self.found.saturating_add(1);
            self.first = Some(self.first.map_or(uid, |first| first.min(uid)));
            self.last = self.last.max(Some(uid));
            if returns.save && keeps_all(returns) {
                self.saved.insert(uid);
            }
            if returns.all {
                match &mut self.run {
                    Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
                    _ => {
                        self.tell_run(tag, out);
                        self.run = Some((number, number));
                    }
                }
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
            None => out.end().extend_from_slice(b"* SEARCH"),
            // RFC 9051 §7.3.4, RFC 4731 §3.1. A tag holds nothing that would have to be escaped.
            Some(_) => {
                push(out.end(), format_args!("* ESEARCH (TAG \"{tag}\"){}", if self.uid { " UID" } else { "" }));
            }
        }
    }

    fn tell_run(&mut self, tag: &str, out: &mut Output) {
        let Some((first, last)) = self.run.take() else { return };
        self.begin(tag, out);
        let before = if core::mem::replace(&mut self.set_open, true) { "," } else { " ALL " };
        match first == last {
            true => push(out.end(), format_args!("{before}{first}")),
            false => push(out.end(), format_args!("{before}{first}:{last}")),
        }
    }

    /// Ends the line. What is only known now stands at its end.
    pub(super) fn end(&mut self, view: &View, tag: &str, out: &mut Output) {
        self.tell_run(tag, out);
        if let Some(returns) = self.returns {
            // RFC 5182 §2: SAVE alone has no answer.
            if returns.save && !(returns.all || returns.count || returns.min || returns.max) {
                return;
            }
            self.begin(tag, out);
            let number = |uid: Uid| if self.uid { Some(uid.get()) } else { view.seq(uid).map(|seq| seq.get()) };
            for (wanted, name, uid) in [(returns.min, "MIN", self.first), (returns.max, "MAX", self.last)] {
                if let Some(number) = uid.filter(|_| wanted).and_then(number) {
                    push(out.end(), format_args!(" {name} {number}"));
                }
            }
            if returns.count {
                push(out.end(), format_args!(" COUNT {}", self.found));
            }
        }
        self.begin(tag, out);
        out.end().extend_from_slice(b"\r\n");
    }

    /// Ends the line before its time.
    pub(super) fn break_off(&mut self, tag: &str, out: &mut Output) {
        self.tell_run(tag, out);
        if self.open {
            out.end().extend_from_slice(b"\r\n");
        }
    }
}

/// RFC 5182 §2.4
const fn keeps_all(returns: SearchReturns) -> bool {
    returns.all || returns.count || !(returns.min || returns.max)
}
