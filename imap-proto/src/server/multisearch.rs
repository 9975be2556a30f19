//! ESEARCH: searches of several mailboxes (RFC 7377).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::read::Served;
use super::reply::{End, Output};
use super::search::{Resolved, Returned, Searching};
use super::session::{Asked, Doing};
use super::{Event, FetchItem, ServerSession};
use crate::list::SearchScope;
use crate::search::Query;
use crate::types::{Flag, MailboxName, ResponseCode, SetNumber, Uid, UidSet, UidValidity};
use crate::wire::encode::{mailbox, push};
use crate::wire::parse::{SearchKey, SearchReturns, SearchSource};

/// An ESEARCH of other mailboxes that is being answered.
#[derive(Debug)]
pub(super) struct SearchingMailboxes {
    returns: SearchReturns,
    /// None: before the first mailbox, or in one whose name cannot be told.
    current: Option<Box<Searching>>,
}

impl ServerSession {
    /// RFC 7377 §2
    pub(super) fn esearch<'b>(
        &mut self,
        sources: Vec<SearchSource<'_>>,
        key: Option<SearchKey>,
        Returned { returns, wanted }: Returned,
        charset: bool,
    ) -> Served<'b> {
        if !self.config.extensions.multisearch {
            return Err(End::bad("ESEARCH is not on offer"));
        }
        if charset && self.enabled.utf8 {
            // RFC 6855 §3
            return Err(End::bad("Everything is UTF-8 here"));
        }
        // RFC 7377 §2.1
        let returns = returns.unwrap_or(SearchReturns { all: true, ..SearchReturns::default() });
        let selected = sources.is_empty() || sources.contains(&SearchSource::Selected);
        if selected || returns.update {
            // RFC 7377 §2.2
            self.mailbox()?;
        }
        if sources.iter().all(|source| *source == SearchSource::Selected) {
            return self.esearch_selected(key, returns, wanted);
        }
        if returns.save {
            // RFC 7377 §2.2
            return Err(End::bad("SAVE is for the selected mailbox alone"));
        }
        self.refuse_returns(returns)?;
        let mut scopes = Vec::new();
        for source in sources {
            match source {
                SearchSource::Selected => scopes.push(SearchScope::Mailbox(self.mailbox()?.name.clone())),
                SearchSource::Inboxes => scopes.push(SearchScope::Inboxes),
                SearchSource::Personal => scopes.push(SearchScope::Personal),
                SearchSource::Subscribed => scopes.push(SearchScope::Subscribed),
                SearchSource::Subtree(names) => self.add_scopes(&mut scopes, &names, SearchScope::Subtree)?,
                SearchSource::SubtreeOne(names) => self.add_scopes(&mut scopes, &names, SearchScope::SubtreeOne)?,
                SearchSource::Mailboxes(names) => self.add_scopes(&mut scopes, &names, SearchScope::Mailbox)?,
            }
        }
        let query = self.query_elsewhere(key.ok_or_else(super::search::unknown_charset)?)?;
        if returns.update {
            self.refuse_taken_tag()?;
            // RFC 5267 §4.3.1
            let tag = self.running.tag.clone();
            self.no_update(&tag, "Only searches of the selected mailbox alone are kept up to date");
        }
        let mailboxes_max = self.config.limits.search_mailboxes_max;
        let asked = Asked::SearchMailboxes(SearchingMailboxes { returns, current: None });
        Ok(self.ask(asked, Event::SearchMailboxes { sources: scopes, query, mailboxes_max }))
    }

    /// The selected mailbox alone: as UID SEARCH, with another answer.
    fn esearch_selected<'b>(
        &mut self,
        key: Option<SearchKey>,
        returns: SearchReturns,
        wanted: Vec<FetchItem>,
    ) -> Served<'b> {
        let resolved = self.query_to_answer(key, Some(returns))?;
        let updating = self.updating_if(Returned { returns: Some(returns), wanted }, &resolved, &[])?;
        let Resolved { query, mod_seqs, .. } = resolved;
        if mod_seqs {
            self.enable_condstore();
        }
        let selected = self.mailbox()?;
        let (name, uid_validity) = (selected.name.clone(), selected.uid_validity);
        let searching = Searching::new(true, Some(returns), false).updating(updating);
        // It was selected by that name, so it can be told.
        let correlators = self.correlators(&name, uid_validity).unwrap_or_default();
        Ok(self.ask(Asked::Search(searching.correlated(correlators)), Event::Search { query, mod_seqs }))
    }

    fn add_scopes(
        &self,
        scopes: &mut Vec<SearchScope>,
        names: &[alloc::borrow::Cow<'_, [u8]>],
        scope: fn(MailboxName) -> SearchScope,
    ) -> Result<(), End> {
        for name in names {
            scopes.push(scope(self.mailbox_name(name)?));
        }
        if scopes.len() > self.config.limits.search_mailboxes_max {
            // RFC 7377 §2.4
            return Err(End::no(&ResponseCode::Limit, "These are too many mailboxes for one search"));
        }
        Ok(())
    }

    /// The query for mailboxes of which the session knows no messages. What would need to is refused.
    fn query_elsewhere(&self, key: SearchKey) -> Result<Query, End> {
        let cannot = |text| Err(End::no(&ResponseCode::Cannot, text));
        Ok(match key {
            // RFC 9051 Appendix E, 12
            SearchKey::Query(Query::Flag(Flag::Recent)) if self.enabled.rev2 => {
                return Err(End::bad("Nothing is recent in IMAP4rev2"));
            }
            SearchKey::Query(query) => {
                self.refuse_key(&query)?;
                query
            }
            SearchKey::Seqs(_) => return cannot("Sequence numbers are searched for in the selected mailbox alone"),
            SearchKey::Uids(set) if set.names_saved() => return cannot("$ is of the selected mailbox alone"),
            SearchKey::Uids(set) => {
                let last_alone = (SetNumber::Star, SetNumber::Star);
                if set.ranges().any(|range| range == last_alone) {
                    return cannot("The last message is searched for in the selected mailbox alone");
                }
                let ranges = set.resolve(u32::MAX).into_iter();
                let uids = ranges.filter_map(|range| Some(Uid::new(*range.start())?..=Uid::new(*range.end())?));
                Query::Uids(uids.collect::<UidSet>())
            }
            SearchKey::And(keys) => {
                Query::And(keys.into_iter().map(|key| self.query_elsewhere(key)).collect::<Result<_, _>>()?)
            }
            SearchKey::Or(one, other) => {
                Query::Or(Box::new(self.query_elsewhere(*one)?), Box::new(self.query_elsewhere(*other)?))
            }
            SearchKey::Not(key) => Query::Not(Box::new(self.query_elsewhere(*key)?)),
        })
    }

    /// What says which mailbox an ESEARCH line is of; nothing if its name cannot be told.
    fn correlators(&self, name: &MailboxName, uid_validity: UidValidity) -> Option<Vec<u8>> {
        let mut text = b" MAILBOX ".to_vec();
        let told = mailbox(&mut text, name, self.config.separator, self.name_encoding());
        push(&mut text, format_args!(" UIDVALIDITY {uid_validity}"));
        told.then_some(text)
    }

    /// The next mailbox was searched.
    pub(super) fn mailbox_searched(&mut self, name: &MailboxName, uid_validity: UidValidity) {
        let correlators = self.correlators(name, uid_validity);
        let Doing::Asked(Asked::SearchMailboxes(searching)) = &mut self.doing else { return };
        searching.end(&self.running.tag, &mut self.out);
        let next = |correlators| Searching::new(true, Some(searching.returns), false).correlated(correlators);
        searching.current = correlators.map(next).map(Box::new);
    }
}

impl SearchingMailboxes {
    pub(super) fn found(&mut self, uids: &[Uid], tag: &str, out: &mut Output) {
        if let Some(current) = &mut self.current {
            current.found(uids.iter().map(|uid| (*uid, None)), None, tag, out);
        }
    }

    /// The mailbox that was searched last is done with.
    pub(super) fn end(&mut self, tag: &str, out: &mut Output) {
        if let Some(mut current) = self.current.take() {
            current.end(None, tag, out);
        }
    }

    /// Whether a line of the answer has begun.
    pub(super) fn is_open(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.is_open())
    }

    pub(super) fn break_off(&mut self, tag: &str, out: &mut Output) {
        if let Some(mut current) = self.current.take() {
            current.break_off(tag, out);
        }
    }
}
