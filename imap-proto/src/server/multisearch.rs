//! ESEARCH: searches of several mailboxes (RFC 7377).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::read::{Served, uid_required};
use super::reply::{End, Output};
use super::search::{Resolved, Returned, Searching};
use super::session::{Asked, Doing};
use super::{Event, FetchItem, ServerSession};
use crate::list::SearchScope;
use crate::search::{MailboxesQuery, Query};
use crate::types::{Flag, MailboxName, ResponseCode, Uid, UidValidity};
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
        let query = self.query_of_mailboxes(key.ok_or_else(super::search::unknown_charset)?, &scopes)?;
        if returns.update {
            self.refuse_taken_tag()?;
            // RFC 5267 §4.3.1
            let tag = self.running.tag.clone();
            self.no_update(&tag, "Only searches of the selected mailbox alone are kept up to date");
        }
        let mailboxes_max = self.config.limits.search_mailboxes_max;
        let asked = Asked::SearchMailboxes(SearchingMailboxes { returns, current: None });
        Ok(self.ask(asked, Event::SearchMailboxes { sources: scopes, query: Box::new(query), mailboxes_max }))
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

    /// What is looked for in each mailbox. In the selected one, should it be among them, numbers mean what the client knows.
    fn query_of_mailboxes(&mut self, key: SearchKey, scopes: &[SearchScope]) -> Result<MailboxesQuery, End> {
        self.refuse_keys(&key)?;
        let selected = match self.view() {
            Some(_) => {
                let resolved = self.query_as_known(key.clone(), false)?;
                let name = self.mailbox()?.name.clone();
                // That it has no mod-sequences matters only where it is named.
                if resolved.mod_seqs && scopes.iter().any(|scope| scope.name() == Some(&name)) {
                    self.refuse_without_mod_seqs()?;
                }
                Some((name, resolved.query))
            }
            None => None,
        };
        Ok(MailboxesQuery::new(key, selected, self.messages_max()))
    }

    /// Refuses keys that are not on offer, or not any more.
    fn refuse_keys(&self, key: &SearchKey) -> Result<(), End> {
        match key {
            // RFC 9051 Appendix E, 12
            SearchKey::Query(Query::Flag(Flag::Recent)) if self.enabled.rev2 => {
                Err(End::bad("Nothing is recent in IMAP4rev2"))
            }
            SearchKey::Query(query) => self.refuse_key(query),
            SearchKey::Seqs(set) if set.has_numbers() && self.enabled.uid_only => Err(uid_required()),
            SearchKey::Seqs(_) | SearchKey::Uids(_) => Ok(()),
            SearchKey::UidAfter(_) | SearchKey::UidBefore(_) => self.refuse_without_message_limit(),
            SearchKey::And(keys) => keys.iter().try_for_each(|key| self.refuse_keys(key)),
            SearchKey::Or(one, other) => self.refuse_keys(one).and_then(|()| self.refuse_keys(other)),
            SearchKey::Not(key) => self.refuse_keys(key),
        }
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
