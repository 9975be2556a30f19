//! SEARCH for stores that have no index of their own.

use pillarbox_imap::search::{MessageFacts, Needs, Query, Search};
use pillarbox_imap::server::Answer;
use pillarbox_imap::types::{ModSeq, Uid, UidSet};

use super::fetch::read_message;
use super::session::{Connection, Trouble, no_mailbox};
use crate::parts::{StoreError, StoreErrorKind};

/// So many messages are told at a time, so that a client that does not read holds up no more.
const FOUND_MAX: usize = 1024;

impl Connection {
    /// `mod_seqs`: the mod-sequences of what is found are told as well.
    pub(super) async fn search(&mut self, query: Query, mod_seqs: bool) -> Result<(), Trouble> {
        self.look().await;
        let found = {
            let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
            self.wire.answer(mailbox.search(&query)).await?
        };
        let found = match found {
            Some(found) if mod_seqs => self.with_mod_seqs(&found.into_iter().collect()).await?,
            Some(found) => found.into_iter().map(|uid| (uid, ModSeq::MIN)).collect(),
            None => self.search_one_by_one(&query).await?,
        };
        for some in found.chunks(FOUND_MAX) {
            match mod_seqs {
                true => self.answer(Answer::FoundWithModSeqs(some)),
                false => self.answer(Answer::Found(&some.iter().map(|(uid, _)| *uid).collect::<Vec<_>>())),
            }
            self.flush_if_full().await?;
        }
        self.answer(Answer::Done);
        Ok(())
    }

    /// What an index found, as far as it is still there.
    async fn with_mod_seqs(&mut self, found: &UidSet) -> Result<Vec<(Uid, ModSeq)>, Trouble> {
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        let found = self.wire.answer(mailbox.flags(found)).await?;
        Ok(found.into_iter().map(|message| (message.uid, message.mod_seq.unwrap_or(ModSeq::MIN))).collect())
    }

    /// Asks the query of every message. What can be said without opening a message is.
    async fn search_one_by_one(&mut self, query: &Query) -> Result<Vec<(Uid, ModSeq)>, Trouble> {
        let search = Search::new(query, self.shared.parts.clock.wall())
            .map_err(|error| StoreError::new(StoreErrorKind::Limit, error.to_string()))?;
        let header_only = search.needs() <= Needs::Header;
        let mut all = UidSet::new();
        all.insert_range(Uid::new(1).expect("1 is not 0")..=Uid::new(u32::MAX).expect("it is not 0"));
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        let messages = self.wire.answer(mailbox.messages(&all)).await?;
        let mut found = Vec::new();
        for message in messages {
            let mut facts = MessageFacts::new(message.uid, &message.flags, message.internal_date, message.size);
            facts.mod_seq = message.mod_seq.map_or(0, ModSeq::get);
            facts.save_date = message.save_date;
            (facts.email_id, facts.thread_id) = (message.email_id.as_ref(), message.thread_id.as_ref());
            let matches = match search.decide(&facts) {
                Some(matches) => matches,
                None => {
                    // A store that is always ready would keep every other session waiting for as long as this takes.
                    tokio::task::yield_now().await;
                    let reading = async {
                        let mut reader = mailbox.read(message.uid).await?;
                        read_message(&mut *reader, header_only).await
                    };
                    match self.wire.answer(Box::pin(reading)).await {
                        Ok(octets) => search.matches(&facts, &octets),
                        // It went while we looked.
                        Err(error) if error.kind == StoreErrorKind::Expunged => false,
                        Err(error) => return Err(error.into()),
                    }
                }
            };
            if matches {
                found.push((message.uid, message.mod_seq.unwrap_or(ModSeq::MIN)));
            }
        }
        Ok(found)
    }
}
