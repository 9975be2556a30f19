//! Messages that were accepted just now and are sent at once: what is in memory anyway need not be read from the disk.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox_spool::{Message, MessageId, OriginalRecipient};

use super::body::Content;

/// Octets that are kept, over all messages: content and envelopes.
pub(super) const FRESH_MAX: u64 = 16 << 20;

/// What a message takes beside its content, and each of its recipients beside what it was called before.
const MESSAGE_COST: u64 = 1024;
const RECIPIENT_COST: u64 = 256;

/// A message of which nothing has become yet.
#[derive(Clone)]
pub(super) struct Fresh {
    pub(super) message: Arc<Message>,
    pub(super) body: Arc<Content>,
}

impl Fresh {
    /// Octets of memory that it takes, rather more than less.
    fn cost(&self) -> u64 {
        let original = |orcpt: &OriginalRecipient| (orcpt.addr_type.len() + orcpt.address.len()) as u64;
        let recipients = self.message.envelope.recipients.iter();
        let recipients = recipients.map(|it| RECIPIENT_COST + it.orcpt.as_ref().map_or(0, original)).sum::<u64>();
        self.body.len + MESSAGE_COST + recipients
    }
}

/// The newest ones that nobody has asked for yet. The log holds all of them: one that is not here is read there.
#[derive(Default)]
pub(super) struct Freshest(Mutex<State>);

#[derive(Default)]
struct State {
    /// With how many times each will be asked for.
    known: HashMap<MessageId, (Fresh, usize)>,
    /// Oldest first, with those that are gone.
    order: VecDeque<MessageId>,
    octets: u64,
}

impl Freshest {
    /// Keeps a message that is sent `ways` ways. For its sake the oldest ones may have to go.
    pub(super) fn keep(&self, fresh: Fresh, ways: usize) {
        let cost = fresh.cost();
        if ways == 0 || cost > FRESH_MAX {
            return;
        }
        let mut state = self.state();
        while state.octets + cost > FRESH_MAX {
            let Some(oldest) = state.order.pop_front() else { break };
            state.forget(oldest);
        }
        let id = fresh.message.id;
        state.octets += cost;
        state.order.push_back(id);
        state.known.insert(id, (fresh, ways));
        if state.order.len() > 2 * state.known.len() + 100 {
            let State { known, order, .. } = &mut *state;
            order.retain(|id| known.contains_key(id));
        }
    }

    /// The message, for one of its ways.
    pub(super) fn take(&self, id: MessageId) -> Option<Fresh> {
        let mut state = self.state();
        let (fresh, ways) = state.known.get_mut(&id)?;
        *ways -= 1;
        if *ways == 0 { state.forget(id) } else { Some(fresh.clone()) }
    }

    /// Something has become of the message, which only the log knows.
    pub(super) fn forget(&self, id: MessageId) {
        self.state().forget(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, id: MessageId) -> Option<Fresh> {
        let (fresh, _) = self.known.remove(&id)?;
        self.octets -= fresh.cost();
        Some(fresh)
    }
}

#[cfg(test)]
mod tests {
    use pillarbox_core::WallTime;
    use pillarbox_core::address::{ForwardPath, ReversePath};
    use pillarbox_fs::SimulatedFs;
    use pillarbox_spool::{Envelope, Options, Recipient, Store};

    use super::*;

    /// Messages of so many octets.
    fn fresh(store: &Store, octets: usize) -> Fresh {
        fresh_to(store, octets, 1)
    }

    fn fresh_to(store: &Store, octets: usize, recipients: usize) -> Fresh {
        let now = WallTime::new(1_700_000_000, 0);
        let mut incoming = store.begin(now);
        assert!(incoming.write_in_memory(&vec![b'x'; octets]));
        let envelope = Envelope::new(now, ReversePath::Null, vec![Recipient::new(ForwardPath::Postmaster); recipients]);
        let (message, body) = incoming.finish(envelope).unwrap().in_memory().unwrap();
        Fresh { message: Arc::new(message), body: Arc::new(Content::new(body)) }
    }

    #[test]
    fn the_newest_are_kept_until_all_ways_were_taken() {
        let (store, _) = Store::open(SimulatedFs::new(), "/spool", Options::from_system()).unwrap();
        let kept = Freshest::default();
        let (one, two) = (fresh(&store, 10), fresh(&store, 20));
        let (first, second) = (one.message.id, two.message.id);
        kept.keep(one.clone(), 2);
        kept.keep(two, 1);
        assert!(kept.take(first).is_some() && kept.take(first).is_some() && kept.take(first).is_none());
        kept.forget(second);
        assert!(kept.take(second).is_none());
        assert_eq!(kept.state().octets, 0);

        kept.keep(one, 1);
        // With what each takes beside it.
        let large = 256 * 1024 - 1024 - 256;
        let most = usize::try_from(FRESH_MAX).unwrap() / (256 * 1024);
        let ids: Vec<_> = (0..=most)
            .map(|_| {
                let large = fresh(&store, large);
                let id = large.message.id;
                kept.keep(large, 1);
                id
            })
            .collect();
        assert_eq!(kept.state().octets, FRESH_MAX);
        assert!(kept.take(first).is_none() && kept.take(ids[0]).is_none(), "the oldest have made room");
        assert!(ids[1..].iter().all(|id| kept.take(*id).is_some()));
        assert_eq!(kept.state().octets, 0);
        for _ in 0..100 {
            kept.keep(fresh_to(&store, 300, 1000), 1);
        }
        assert!(kept.state().known.len() <= 65, "recipients are counted as well");
        let known: Vec<_> = kept.state().known.keys().copied().collect();
        known.into_iter().for_each(|id| kept.forget(id));
        assert_eq!(kept.state().octets, 0);
        kept.state().order.clear();
        for _ in 0..1000 {
            let small = fresh(&store, 1);
            let id = small.message.id;
            kept.keep(small, 1);
            kept.take(id);
        }
        assert!(kept.state().order.len() <= 101, "those that are gone are not remembered");
    }
}
