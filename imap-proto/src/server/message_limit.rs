//! MESSAGELIMIT (RFC 9738): how many messages one command may be about.

use alloc::string::String;
use alloc::vec::Vec;

use super::ServerSession;
use super::reply::{End, Verdict};
use super::session::Standing;
use crate::search::Query;
use crate::types::{Uid, UidSet};

impl ServerSession {
    /// How many messages a command may be about.
    fn messages_max(&self) -> Option<usize> {
        self.config.limits.messages_max.map(|max| max.get() as usize)
    }

    /// Leaves out all but the last messages that a command may be about.
    pub(super) fn take_last(&mut self, uids: &mut UidSet) {
        let Some(max) = self.messages_max().filter(|max| uids.len() > *max as u64) else { return };
        let first = uids.iter().nth_back(max - 1);
        if let Some(first) = first {
            *uids = uids.intersect(&[first..=Uid::MAX].into_iter().collect());
            self.running.taken_from = Some(first);
        }
    }

    /// The same of the messages that a search looks at.
    pub(super) fn search_last(&mut self, query: Query) -> Query {
        let Some(max) = self.messages_max() else { return query };
        let Standing::Selected { mailbox, .. } = &self.standing else { return query };
        if mailbox.view.len() <= max {
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

    /// Refuses to be about more messages.
    pub(super) fn refuse_too_many(&mut self, uids: &UidSet) -> Result<(), End> {
        let mut last = uids.clone();
        self.take_last(&mut last);
        match self.message_limit() {
            Some(code) => {
                self.running.taken_from = None;
                Err(End { code: Some(code.into()), ..End::no_such("These are too many messages for one command") })
            }
            None => Ok(()),
        }
    }

    /// The code that tells which messages were taken, if not all were.
    fn message_limit(&self) -> Option<String> {
        let (max, first) = (self.messages_max()?, self.running.taken_from?);
        Some(alloc::format!("MESSAGELIMIT {max} {first}"))
    }

    /// Tells at the end of a command that it was not about all messages. Where the end says something else that is told before it.
    pub(super) fn tell_message_limit(&mut self, end: &mut End) {
        let Some(code) = self.message_limit().filter(|_| end.verdict == Verdict::Ok) else { return };
        match end.code {
            None => end.code = Some(code.into()),
            Some(_) => self.untagged("OK", Some(&code), "The messages before it were left out"),
        }
    }
}
