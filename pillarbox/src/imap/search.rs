//! SEARCH for stores that have no index of their own: in slices, off the threads that serve the other sessions.
//!
//! A slice is a bounded number of messages and octets. Before each one its user takes a turn ([`Searches`]), so that a user
//! with ten sessions gets no more than one with one; and whoever is gone meanwhile is searched for no longer.

use std::sync::Arc;

use pillarbox_imap::search::{MessageFacts, Needs, Query, Search};
use pillarbox_imap::server::Answer;
use pillarbox_imap::sort::SortCriterion;
use pillarbox_imap::types::{ModSeq, Uid, UidSet};

use super::fetch::read_message;
use super::searches::{Searches, Turn};
use super::session::{Connection, Trouble, no_mailbox};
use crate::parts::{MessageData, StoreError, StoreErrorKind};

/// So many messages are told at a time, so that a client that does not read holds up no more.
const FOUND_MAX: usize = 1024;

/// Messages of a slice that looks at what the mailbox knows of them: each costs at most a look at 2000 keys.
const FACTS_MAX: usize = 1024;

/// Messages of a slice that opens them.
const OPENED_MAX: usize = 64;

/// Octets of such a slice: once so many are in memory no other message is read.
const OCTETS_MAX: usize = 1 << 20;

impl Connection {
    /// `mod_seqs`: the mod-sequences of what is found are told as well.
    pub(super) async fn search(&mut self, query: Query, mod_seqs: bool) -> Result<(), Trouble> {
        self.look().await;
        let found = self.find_matching(&query, mod_seqs).await?;
        self.tell_found(&found, mod_seqs).await
    }

    /// Which of some messages match, for a search that is kept up to date, in the order of these criteria.
    pub(super) async fn recheck(&mut self, query: &Query, criteria: &[SortCriterion]) -> Result<(), Trouble> {
        match self.rechecked(query, criteria).await {
            // Nobody asked for this: the command before it is done and has to be answered, and those behind it served.
            Err(Trouble::HungUp) => {
                self.answer(Answer::No { code: None, text: "the client closed its side long ago".into() });
                Ok(())
            }
            result => result,
        }
    }

    async fn rechecked(&mut self, query: &Query, criteria: &[SortCriterion]) -> Result<(), Trouble> {
        let mut found = self.find_matching(query, false).await?;
        if !criteria.is_empty() {
            found = self.sorted(&found, criteria).await?.into_iter().map(|uid| (uid, ModSeq::MIN)).collect();
        }
        self.tell_found(&found, false).await
    }

    async fn tell_found(&mut self, found: &[(Uid, ModSeq)], mod_seqs: bool) -> Result<(), Trouble> {
        if mod_seqs {
            for some in found.chunks(FOUND_MAX) {
                self.answer(Answer::FoundWithModSeqs(some));
                self.flush_if_full().await?;
            }
        } else {
            self.tell_uids(found).await?;
        }
        self.answer(Answer::Done);
        Ok(())
    }

    /// Tells what was found, without mod-sequences; there may be more.
    pub(super) async fn tell_uids(&mut self, found: &[(Uid, ModSeq)]) -> Result<(), Trouble> {
        for some in found.chunks(FOUND_MAX) {
            self.answer(Answer::Found(&some.iter().map(|(uid, _)| *uid).collect::<Vec<_>>()));
            self.flush_if_full().await?;
        }
        Ok(())
    }

    /// The messages that a query finds, rising; with their mod-sequences where those are wanted.
    pub(super) async fn find_matching(&mut self, query: &Query, mod_seqs: bool) -> Result<Vec<(Uid, ModSeq)>, Trouble> {
        let found = {
            let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
            self.wire.answer(mailbox.search(query)).await?
        };
        Ok(match found {
            Some(found) if mod_seqs => self.with_mod_seqs(&found.into_iter().collect()).await?,
            Some(found) => found.into_iter().map(|uid| (uid, ModSeq::MIN)).collect(),
            None => self.search_in_slices(query).await?,
        })
    }

    /// What an index found, as far as it is still there.
    async fn with_mod_seqs(&mut self, found: &UidSet) -> Result<Vec<(Uid, ModSeq)>, Trouble> {
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        let found = self.wire.answer(mailbox.flags(found)).await?;
        Ok(found.into_iter().map(|message| (message.uid, message.mod_seq.unwrap_or(ModSeq::MIN))).collect())
    }

    /// Asks the query of every message. What can be said without opening a message is.
    async fn search_in_slices(&mut self, query: &Query) -> Result<Vec<(Uid, ModSeq)>, Trouble> {
        let search = Search::new(query, self.shared.parts.clock.wall())
            .map_err(|error| StoreError::new(StoreErrorKind::Limit, error.to_string()))?;
        let search = Arc::new(search);
        let lane = Searches::lane(&self.shared.searches, self.user()?);
        let all = query.within().unwrap_or_else(|| [Uid::MIN..=Uid::MAX].into_iter().collect());
        let messages = {
            let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
            self.wire.answer(mailbox.messages(&all)).await?
        };
        let all = messages.len();
        let (mut found, mut slices) = (Vec::new(), 0);
        let mut messages = messages.into_iter();
        loop {
            let slice: Vec<MessageData> = messages.by_ref().take(FACTS_MAX).collect();
            if slice.is_empty() {
                break;
            }
            let turn = self.wire.answer(Box::pin(lane.turn())).await;
            let decided = decide(Arc::clone(&search), slice, turn);
            let (matching, mut open) = self.wire.answer(Box::pin(decided)).await?;
            found.extend(matching);
            open.reverse();
            while !open.is_empty() {
                let looked_at = all - messages.len() - open.len();
                self.progress(looked_at, all).await?;
                // What is over in one slice is not worth a word about it.
                if slices > 0 {
                    self.still_wanted(looked_at, Some(all)).await?;
                }
                slices += 1;
                let turn = self.wire.answer(Box::pin(lane.turn())).await;
                let octets = self.read_slice(&mut open, |message| message.uid, search.needs() <= Needs::Header).await?;
                let matched = off_the_workers({
                    let search = Arc::clone(&search);
                    move || {
                        // Kept until the work is done, whatever became of the session.
                        let _turn = turn;
                        let matching = octets.iter().filter(|(data, octets)| search.matches(&facts(data), octets));
                        matching.map(|(data, _)| found_as(data)).collect::<Vec<_>>()
                    }
                });
                found.extend(self.wire.answer(Box::pin(matched)).await?);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Reads the messages of one slice, from the end of those that are left.
    pub(super) async fn read_slice<T>(
        &mut self,
        left: &mut Vec<T>,
        uid: impl Fn(&T) -> Uid,
        header_only: bool,
    ) -> Result<Vec<(T, Vec<u8>)>, Trouble> {
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        let (mut read, mut size) = (Vec::new(), 0);
        for _ in 0..OPENED_MAX {
            let Some(message) = left.pop_if(|_| size < OCTETS_MAX) else { break };
            let wanted = uid(&message);
            let reading = async {
                let mut reader = mailbox.read(wanted).await?;
                read_message(&mut *reader, header_only).await
            };
            match self.wire.answer(Box::pin(reading)).await {
                Ok(octets) => {
                    size += octets.len();
                    read.push((message, octets));
                }
                // It went while we looked.
                Err(error) if error.kind == StoreErrorKind::Expunged => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(read)
    }
}

/// Which messages match without being opened, and which have to be.
async fn decide(
    search: Arc<Search>,
    slice: Vec<MessageData>,
    turn: Turn,
) -> Result<(Vec<(Uid, ModSeq)>, Vec<MessageData>), StoreError> {
    off_the_workers(move || {
        let _turn = turn;
        let (mut matching, mut open) = (Vec::new(), Vec::new());
        for message in slice {
            match search.decide(&facts(&message)) {
                Some(true) => matching.push(found_as(&message)),
                Some(false) => {}
                None => open.push(message),
            }
        }
        (matching, open)
    })
    .await
}

fn facts(message: &MessageData) -> MessageFacts<'_> {
    let mut facts = MessageFacts::new(message.uid, &message.flags, message.internal_date, message.size);
    facts.mod_seq = message.mod_seq.map_or(0, ModSeq::get);
    facts.save_date = message.save_date;
    (facts.email_id, facts.thread_id) = (message.email_id.as_ref(), message.thread_id.as_ref());
    facts
}

fn found_as(message: &MessageData) -> (Uid, ModSeq) {
    (message.uid, message.mod_seq.unwrap_or(ModSeq::MIN))
}

/// Runs what only computes where it keeps nobody waiting.
pub(super) async fn off_the_workers<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        // It ends this session as a panic anywhere in it does.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => StoreError::new(StoreErrorKind::Unavailable, error.to_string()),
    })
}
