//! SORT and THREAD (RFC 5256): what messages are sorted and threaded by is gathered in slices, as searches look for it, and asked of the
//! mailbox first, which may have kept it.

use std::sync::Arc;

use pillarbox_imap::search::Query;
use pillarbox_imap::server::Answer;
use pillarbox_imap::sort::{SortCriterion, SortKey, SortKeys, Sorter};
use pillarbox_imap::thread::{ThreadAlgorithm, ThreadKeys, ThreadPart, Threader};
use pillarbox_imap::types::{ModSeq, Uid, UidSet};

use super::pieces;
use super::search::off_the_workers;
use super::searches::{Lane, Searches, Sorting};
use super::session::{Connection, Trouble, no_mailbox};
use crate::parts::{Cached, MessageData, Piece};

/// Messages whose keys are in memory at a time, beside what is made of them.
const KEYS_AT_ONCE: usize = 1024;

/// So much of an answer is told at a time, so that a client that does not read holds up no more.
const TOLD_MAX: usize = 1024;

/// The work of one command that goes on in slices.
struct Slices {
    lane: Lane,
    /// How many there were.
    done: usize,
}

impl Connection {
    /// `mod_seqs`: the mod-sequences of what is found are told as well.
    pub(super) async fn sort(
        &mut self,
        query: Query,
        criteria: &[SortCriterion],
        mod_seqs: bool,
    ) -> Result<(), Trouble> {
        self.look().await;
        let found = self.find_matching(&query, mod_seqs).await?;
        let sorted = self.sorted(&found, criteria).await?;
        for some in sorted.chunks(TOLD_MAX) {
            match mod_seqs {
                true => {
                    let with = some.iter().map(|uid| {
                        let at = found.binary_search_by_key(uid, |(uid, _)| *uid);
                        (*uid, at.map_or(ModSeq::MIN, |at| found[at].1))
                    });
                    self.answer(Answer::FoundWithModSeqs(&with.collect::<Vec<_>>()));
                }
                false => self.answer(Answer::Found(some)),
            }
            self.flush_if_full().await?;
        }
        self.answer(Answer::Done);
        Ok(())
    }

    /// What was found, in the order of these criteria; what went meanwhile is left out.
    pub(super) async fn sorted(
        &mut self,
        found: &[(Uid, ModSeq)],
        criteria: &[SortCriterion],
    ) -> Result<Vec<Uid>, Trouble> {
        let wants = |key: SortKey| criteria.iter().any(|criterion| criterion.key == key);
        let wants_keys = criteria.iter().any(|criterion| criterion.key.is_of_header());
        let wants_facts = wants(SortKey::Arrival) || wants(SortKey::Size);
        let mut slices = self.slices()?;
        let sorting = self.sorting(&slices).await?;
        let mut sorter = Sorter::new(criteria);
        for (index, some) in found.chunks(KEYS_AT_ONCE).enumerate() {
            self.progress(index * KEYS_AT_ONCE, found.len()).await?;
            let uids: Vec<Uid> = some.iter().map(|(uid, _)| *uid).collect();
            let keys = match wants_keys {
                true => self.keys(&uids, &Piece::SortKeys, &mut slices).await?,
                false => vec![Some(Vec::new()); uids.len()],
            };
            // RFC 5256 §2.2: where there is no date that can be read, INTERNALDATE counts.
            let undated = |keys: &Option<Vec<u8>>| {
                wants(SortKey::Date) && sort_keys(keys).is_some_and(|keys| keys.sent().is_none())
            };
            let of_facts = uids.iter().zip(&keys).filter(|(_, keys)| wants_facts || undated(keys)).map(|(uid, _)| *uid);
            let mut facts = self.facts(of_facts.collect()).await?;
            for (uid, octets) in uids.iter().zip(&keys) {
                let of_this = facts.next_of(*uid);
                // What went while we looked is no more.
                if octets.is_none() || (of_this.is_none() && (wants_facts || undated(octets))) {
                    continue;
                }
                let (arrival, size) = of_this.map_or((0, 0), |facts| (facts.internal_date.unix_seconds(), facts.size));
                sorter.add(*uid, arrival, size, sort_keys(octets));
            }
        }
        let turn = self.wire.answer(Box::pin(slices.lane.turn())).await;
        let sorted = off_the_workers(move || {
            let _held = (turn, sorting);
            sorter.finish()
        });
        Ok(self.wire.answer(Box::pin(sorted)).await?)
    }

    pub(super) async fn thread(&mut self, query: Query, algorithm: ThreadAlgorithm) -> Result<(), Trouble> {
        self.look().await;
        let mut found: Vec<Uid> = self.find_matching(&query, false).await?.into_iter().map(|(uid, _)| uid).collect();
        // What the client was not told of would leave a gap in a thread.
        found.retain(|uid| self.wire.machine.view().is_some_and(|view| view.seq(*uid).is_some()));
        let mut slices = self.slices()?;
        let sorting = self.sorting(&slices).await?;
        let mut threader = Threader::new(algorithm);
        for (index, uids) in found.chunks(KEYS_AT_ONCE).enumerate() {
            self.progress(index * KEYS_AT_ONCE, found.len()).await?;
            let keys = self.keys(uids, &Piece::ThreadKeys, &mut slices).await?;
            let read = |octets: &Option<Vec<u8>>| octets.as_deref().and_then(ThreadKeys::read).map(|keys| keys.sent());
            let undated = uids.iter().zip(&keys).filter(|(_, keys)| read(keys) == Some(None)).map(|(uid, _)| *uid);
            let mut facts = self.facts(undated.collect()).await?;
            for (uid, octets) in uids.iter().zip(&keys) {
                let Some(keys) = octets.as_deref().and_then(ThreadKeys::read) else { continue };
                let arrival = facts.next_of(*uid).map(|facts| facts.internal_date.unix_seconds());
                if arrival.or(keys.sent()).is_some() {
                    threader.add(*uid, arrival.unwrap_or_default(), &keys);
                }
            }
        }
        let turn = self.wire.answer(Box::pin(slices.lane.turn())).await;
        let threaded = off_the_workers(move || {
            let _held = (turn, sorting);
            threader.finish()
        });
        let threads = self.wire.answer(Box::pin(threaded)).await?;
        let mut parts = threads.parts();
        loop {
            let some: Vec<ThreadPart> = parts.by_ref().take(TOLD_MAX).collect();
            if some.is_empty() {
                break;
            }
            self.answer(Answer::Threads(&some));
            self.flush_if_full().await?;
        }
        self.answer(Answer::Done);
        Ok(())
    }

    fn slices(&self) -> Result<Slices, Trouble> {
        Ok(Slices { lane: Searches::lane(&self.shared.searches, self.user()?), done: 0 })
    }

    /// Waits until no other session of the user holds what a mailbox is put in order by.
    async fn sorting(&mut self, slices: &Slices) -> Result<Sorting, Trouble> {
        let sorting = self.wire.answer(Box::pin(slices.lane.sorting())).await;
        // It may have been a long time, and a long one may follow.
        if sorting.waited {
            self.still_wanted(0, None).await?;
        }
        Ok(sorting)
    }

    /// What is known of these messages without opening them; asked for only where there are any.
    async fn facts(&mut self, uids: UidSet) -> Result<Facts, Trouble> {
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        let messages = if uids.is_empty() { Vec::new() } else { self.wire.answer(mailbox.messages(&uids)).await? };
        Ok(Facts(messages.into_iter().peekable()))
    }

    /// What these messages are sorted or threaded by, in their order; `None` for one that went while we looked.
    async fn keys(
        &mut self,
        uids: &[Uid],
        piece: &Piece,
        slices: &mut Slices,
    ) -> Result<Vec<Option<Vec<u8>>>, Trouble> {
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        let Cached { found, also } = match mailbox.caches() {
            true => self.wire.answer(mailbox.cached(uids, std::slice::from_ref(piece))).await,
            false => Cached::default(),
        };
        let is_readable = |octets: &Vec<u8>| match piece {
            Piece::SortKeys => SortKeys::read(octets).is_some(),
            _ => ThreadKeys::read(octets).is_some(),
        };
        let mut keys: Vec<_> = found.into_iter().map(|kept| kept?.pop().filter(is_readable)).collect();
        keys.resize(uids.len(), None);
        let mut pieces = vec![piece.clone()];
        pieces.extend(also.into_iter().filter(|also| also != piece && pieces::is_of_header(also)));
        let pieces = Arc::new(pieces);
        let mut open: Vec<(Uid, usize)> =
            uids.iter().copied().zip(0..uids.len()).filter(|(_, at)| keys[*at].is_none()).rev().collect();
        while !open.is_empty() {
            // What is over in one slice is not worth a word about it.
            if slices.done > 0 {
                self.still_wanted(0, None).await?;
            }
            slices.done += 1;
            let turn = self.wire.answer(Box::pin(slices.lane.turn())).await;
            let octets = self.read_slice(&mut open, |(uid, _)| *uid, true).await?;
            let pieces = Arc::clone(&pieces);
            let computed = off_the_workers(move || {
                let _turn = turn;
                let compute =
                    |(place, octets): ((Uid, usize), Vec<u8>)| (place, pieces::compute(pieces.iter(), &octets));
                octets.into_iter().map(compute).collect::<Vec<_>>()
            });
            let mut computed = self.wire.answer(Box::pin(computed)).await?;
            for ((_, at), pieces) in &mut computed {
                keys[*at] = pieces.first().map(|(_, octets)| octets.clone());
                pieces::keep_small(pieces);
            }
            if let Some(mailbox) = self.selected.as_mut().filter(|mailbox| mailbox.caches() && !computed.is_empty()) {
                let computed = computed.into_iter().map(|((uid, _), pieces)| (uid, pieces)).collect();
                self.wire.answer(mailbox.remember(computed)).await;
            }
        }
        Ok(keys)
    }
}

fn sort_keys(octets: &Option<Vec<u8>>) -> Option<SortKeys<'_>> {
    octets.as_deref().and_then(SortKeys::read)
}

/// What is known of messages, rising by UID.
struct Facts(std::iter::Peekable<std::vec::IntoIter<MessageData>>);

impl Facts {
    /// That of a message that is behind those that were asked for before.
    fn next_of(&mut self, uid: Uid) -> Option<MessageData> {
        while self.0.next_if(|facts| facts.uid < uid).is_some() {}
        self.0.next_if(|facts| facts.uid == uid)
    }
}
