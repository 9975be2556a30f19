//! Messages that were accepted just now and are sent at once: what is in memory anyway need not be read from the disk.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox_spool::{Message, MessageId};

use super::body::Content;

/// Octets of content that are kept, over all messages.
pub(super) const FRESH_MAX: u64 = 16 << 20;

/// A message of which nothing has become yet.
#[derive(Clone)]
pub(super) struct Fresh {
    pub(super) message: Arc<Message>,
    pub(super) body: Arc<Content>,
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
        let len = fresh.body.len;
        if ways == 0 || len > FRESH_MAX {
            return;
        }
        let mut state = self.state();
        while state.octets + len > FRESH_MAX {
            let Some(oldest) = state.order.pop_front() else { break };
            state.forget(oldest);
        }
        let id = fresh.message.id;
        state.octets += len;
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
        self.octets -= fresh.body.len;
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
        let now = WallTime::new(1_700_000_000, 0);
        let mut incoming = store.begin(now);
        assert!(incoming.write_in_memory(&vec![b'x'; octets]));
        let envelope = Envelope::new(now, ReversePath::Null, [Recipient::new(ForwardPath::Postmaster)]);
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
        let large = 256 * 1024;
        let most = usize::try_from(FRESH_MAX).unwrap() / large;
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
        for _ in 0..1000 {
            let small = fresh(&store, 1);
            let id = small.message.id;
            kept.keep(small, 1);
            kept.take(id);
        }
        assert!(kept.state().order.len() <= 101, "those that are gone are not remembered");
    }
}
