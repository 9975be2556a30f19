//! MESSAGELIMIT and SAVELIMIT (RFC 9738): how many messages one command may be about.

use alloc::string::String;
use alloc::vec::Vec;

use super::ServerSession;
use super::reply::{End, Verdict};
use super::session::Standing;
use crate::search::{Query, last_of};
use crate::types::UidSet;
use crate::wire::parse::PartialRange;

impl ServerSession {
    /// How many messages a command may be about.
    pub(super) fn messages_max(&self) -> Option<u64> {
        self.config.limits.messages_max.map(|max| max.get().into())
    }

    /// How many messages a command may add to a mailbox.
    fn copies_max(&self) -> Option<u64> {
        let limits = &self.config.limits;
        limits.messages_max.or(limits.copied_messages_max).map(|max| max.get().into())
    }

    /// Refuses UIDAFTER and UIDBEFORE, which come with a limit, as keys that are not known.
    pub(super) fn refuse_without_message_limit(&self) -> Result<(), End> {
        match self.copies_max() {
            Some(_) => Ok(()),
            None => Err(End::bad("SEARCH knows no such key")),
        }
    }

    /// Leaves out all but the last messages that a command may be about.
    pub(super) fn take_last(&mut self, uids: &mut UidSet) {
        let Some(max) = self.messages_max().filter(|max| uids.len() > *max) else { return };
        *uids = last_of(uids, max);
        self.running.taken_from = uids.first();
    }

    /// The same of the messages that a search looks at.
    pub(super) fn search_last(&mut self, query: Query) -> Query {
        let Some(max) = self.messages_max() else { return query };
        let Standing::Selected { mailbox, .. } = &self.standing else { return query };
        if mailbox.view.len() as u64 <= max {
            return query;
        }
        let mut uids = match query.within() {
            Some(within) => mailbox.view.known_of(&within),
            None => [mailbox.view.uids()].into_iter().collect(),
        };
        self.take_last(&mut uids);
        match self.running.taken_from {
            Some(_) => Query::And(Vec::from([Query::Uids(uids), query])),
            None => query,
        }
    }

    /// Refuses a COPY of more messages, with the first of those that one could be about.
    // RFC 9738 §3.1: COPY does all or nothing.
    pub(super) fn refuse_too_many_copies(&self, uids: &UidSet) -> Result<(), End> {
        let Some(max) = self.copies_max().filter(|max| uids.len() > *max) else { return Ok(()) };
        let code = last_of(uids, max).first().map(|first| alloc::format!("MESSAGELIMIT {max} {first}"));
        Err(too_many(code.unwrap_or_else(|| alloc::format!("MESSAGELIMIT {max}"))))
    }

    /// Refuses one more message of an APPEND that has so many.
    pub(super) fn refuse_appending(&self, messages: usize) -> Result<(), End> {
        self.refuse_number(self.copies_max(), messages as u64 + 1)
    }

    /// RFC 9738 §3.1: a part of a FETCH is not made smaller than it was asked for.
    pub(super) fn refuse_part_of_too_many(&self, range: PartialRange) -> Result<(), End> {
        let (nearest, farthest) = range.bounds();
        self.refuse_number(self.messages_max(), u64::from(farthest) - u64::from(nearest) + 1)
    }

    /// RFC 9738 §3.3: the order of some messages says nothing of that of all.
    pub(super) fn refuse_order_of_some(&mut self) -> Result<(), End> {
        match self.running.taken_from.take() {
            Some(_) => self.refuse_number(self.messages_max(), u64::MAX),
            None => Ok(()),
        }
    }

    fn refuse_number(&self, max: Option<u64>, messages: u64) -> Result<(), End> {
        match max.filter(|max| messages > *max) {
            Some(max) => Err(too_many(alloc::format!("MESSAGELIMIT {max}"))),
            None => Ok(()),
        }
    }

    /// Several mailboxes were searched, and not all messages of them: which is the last cannot be said in one UID.
    pub(super) fn searched_in_part(&mut self) {
        let end = match self.messages_max() {
            Some(max) => End::ok_with(alloc::format!("MESSAGELIMIT {max}"), "Searched in part"),
            None => End::ok("Searched in part"),
        };
        self.finish(end);
    }

    /// The code that tells which messages were taken, if not all were: once, for more may have to be asked before the end is told.
    fn message_limit(&mut self) -> Option<String> {
        let (max, first) = (self.messages_max()?, self.running.taken_from.take()?);
        Some(alloc::format!("MESSAGELIMIT {max} {first}"))
    }

    /// Tells at the end of a command that it was not about all messages. Where the end says something else that is told before it.
    pub(super) fn tell_message_limit(&mut self, end: &mut End) {
        let expunge_issued = end.code.as_deref() == Some("EXPUNGEISSUED");
        let Some(code) = self.message_limit().filter(|_| end.verdict == Verdict::Ok || expunge_issued) else { return };
        match end.code {
            None => end.code = Some(code.into()),
            // RFC 9738 §3.1
            Some(_) => self.untagged("NO", Some(&code), "The messages before it were left out"),
        }
    }
}

fn too_many(code: String) -> End {
    End { code: Some(code.into()), ..End::no_such("These are too many messages for one command") }
}
