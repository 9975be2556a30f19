//! What the sink, the engine and the operator's handle have in common.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use pillarbox_core::Random;
use pillarbox_core::address::Domain;
use pillarbox_smtp::route::RouteTable;
use pillarbox_spool::{Envelope, Item, MessageId, Notices, Notify, Outcome, Schedule, Store, Waiting};
use tokio::sync;

use super::commits::Commits;
use super::disk::Blocking;
use super::fresh::Freshest;
use super::pool::Pool;
use super::race::Pace;
use super::route::{Route, route_of};
use super::space::Space;
use super::tls::HostTls;
use super::tls_reports::TlsCounts;
use super::turns::Turns;
use super::{OutboundConfig, OutboundParts, SharedForward};
use crate::parts::QueueEvent;

/// How often who looks at all of the queue looks whether somebody waits: one who comes to nothing because of others never ends.
const YIELDS_MAX: usize = 10_000;

pub(super) struct Shared {
    pub(super) config: OutboundConfig,
    pub(super) parts: OutboundParts,
    pub(super) routes: RouteTable<Route>,
    pub(super) store: Store,
    pub(super) schedule: Mutex<Schedule>,
    /// Who waits for it.
    pub(super) waiting: AtomicUsize,
    /// Something came into the schedule, or is due sooner.
    pub(super) wake: sync::Notify,
    /// What was waiting before the start is known, all of it.
    pub(super) recovered: AtomicBool,
    /// The log has grown.
    pub(super) grown: sync::Notify,
    pub(super) disk: Blocking,
    pub(super) commits: Commits,
    pub(super) fresh: Freshest,
    pub(super) space: Space,
    pub(super) pool: Pool,
    /// Who writes down something about a message.
    pub(super) turns: Turns<MessageId>,
    /// One operator at a time.
    pub(super) operator: Arc<sync::Mutex<()>>,
    pub(super) tls: HostTls,
    pub(super) tls_counts: Option<TlsCounts>,
    pub(super) random: Mutex<Box<dyn Random + Send>>,
}

impl Shared {
    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        match self.schedule.try_lock() {
            Ok(schedule) => return schedule,
            Err(TryLockError::Poisoned(schedule)) => return schedule.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        schedule
    }

    /// Leaves the schedule to those who wait for it. The mutex alone would not: who gives it back and takes it again at once is faster
    /// than one who sleeps.
    pub(super) async fn let_others(&self) {
        for _ in 0..YIELDS_MAX {
            tokio::task::yield_now().await;
            if self.waiting.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }

    pub(super) fn random(&self) -> MutexGuard<'_, Box<dyn Random + Send>> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, event: &QueueEvent<'_>) {
        self.parts.observer.queue(event);
    }

    pub(super) fn pace(&self) -> Pace<'_> {
        let (connect, clock) = (&*self.parts.connect, &*self.parts.clock);
        Pace { connect, clock, delay: self.config.attempt_delay, timeout: self.config.connect_timeout }
    }

    /// The route of a recipient, and its domain in A-labels.
    pub(super) fn route(&self, envelope: &Envelope, recipient: usize) -> (Route, Domain<'static>) {
        let to = &envelope.recipients[recipient].to;
        let (route, domain) = route_of(&self.routes, &envelope.from, to, self.config.hostname());
        let forward = self.parts.forward.as_ref().map(SharedForward::current).filter(|forward| forward.takes(to));
        let route = forward.map_or(route, Route::Forward);
        match &route {
            Route::Forward(forward) if envelope.is_kept => match forward.mailboxes_of_kept() {
                Some(sink) => (Route::Sink(Arc::clone(sink)), domain),
                None => (route, domain),
            },
            _ => (route, domain),
        }
    }

    /// Lets the schedule know of a message that the store has. An operator may have come to it since the item was made: the
    /// log is changed before the schedule, so what it says while nobody else has the schedule is true, or made so right after.
    pub(super) fn admit(&self, mut item: Item) {
        let (now, wall) = (self.parts.clock.now(), self.parts.clock.wall());
        let mut schedule = self.schedule();
        let Some(held) = self.store.is_held(item.id) else { return };
        (item.held, item.is_owed) = (held, self.store.is_owed(item.id));
        if schedule.insert(now, wall, item) {
            self.wake.notify_one();
        }
    }

    /// A message that was accepted just now.
    pub(super) fn item(&self, id: MessageId, envelope: &Envelope) -> Item {
        self.item_with(id, envelope, |_| (None, Notices::default()))
    }

    /// A message that was waiting before the start.
    pub(super) fn item_of(&self, waiting: &Waiting) -> Item {
        let mut item = self.item_with(waiting.id, &waiting.envelope, |recipient| {
            waiting.recipients.get(recipient).copied().unwrap_or_default()
        });
        (item.held, item.is_owed) = (waiting.held, waiting.is_owed);
        (item.attempts, item.last_attempt) = (waiting.attempts, waiting.last_attempt);
        item
    }

    fn item_with(
        &self,
        id: MessageId,
        envelope: &Envelope,
        known: impl Fn(usize) -> (Option<Outcome>, Notices),
    ) -> Item {
        // Two ways may share a destination and its limits, but an attempt goes one way.
        let mut routes: BTreeMap<(String, usize), Vec<u32>> = BTreeMap::new();
        let mut wants_delay = false;
        // RFC 2852 §4.1.3: who gave a time is told that it has passed, unless nothing at all is to be told.
        let gave_time = envelope.deliver_by.is_some();
        for (index, recipient) in envelope.recipients.iter().enumerate() {
            let (outcome, notices) = known(index);
            if outcome.is_some() {
                continue;
            }
            let wants = |notify: Notify| notify.delay || gave_time && !notify.is_never();
            wants_delay |= !notices.delay && recipient.notify.is_none_or(wants);
            let (route, domain) = self.route(envelope, index);
            let key = (route.key_of(Some(domain.as_str())), route.identity());
            routes.entry(key).or_default().push(u32::try_from(index).unwrap_or(u32::MAX));
        }
        let mut item = Item::new(id, envelope);
        item.is_noticed |= !wants_delay;
        routes.into_iter().fold(item, |item, ((key, _), recipients)| item.route(key, recipients))
    }
}

/// The sink and the engine hold the same.
pub(super) type Handle = Arc<Shared>;

#[cfg(test)]
mod tests {
    use pillarbox_core::WallTime;
    use pillarbox_core::address::{ForwardPath, ReversePath};
    use pillarbox_fs::SimulatedFs;
    use pillarbox_spool::{Options, Recipient, Selector};

    use super::*;
    use crate::outbound::{Disk, Outbound};

    // What waited is read before the operator acts, and admitted after that.
    #[tokio::test]
    async fn what_an_operator_does_meanwhile_counts() {
        let mut options = Options::from_system();
        (options.reserve_bytes, options.reserve_files) = (0, 0);
        let (store, recovery) = Store::open(SimulatedFs::new(), "/spool", options).unwrap();
        recovery.for_each(drop);
        let mut config = OutboundConfig::new("mx.here.example").unwrap();
        config.disk = Disk::Here;
        let outbound = Outbound::new(config, OutboundParts::from_system(), RouteTable::new(), store.clone());
        let (shared, handle) = (&outbound.0, outbound.handle());
        let now = WallTime::new(1_700_000_000, 0);
        let mut incoming = store.begin(now);
        incoming.write(b"Subject: x\r\n\r\n").unwrap();
        let id = incoming.id();
        let envelope = Envelope::new(now, ReversePath::Null, [Recipient::new(ForwardPath::Postmaster)]);
        incoming.commit(envelope).unwrap().wait().unwrap();

        let all = || shared.schedule().select(shared.parts.clock.now(), Selector::All);
        let forget = || drop(shared.schedule().delete(shared.parts.clock.now(), Selector::All));
        let free = shared.item_of(&store.waiting(id).unwrap());
        assert_eq!(handle.hold(Selector::Id(id)).await.unwrap(), [id]);
        shared.admit(free.clone());
        assert_eq!(all(), [(id, true)]);
        forget();
        let held = shared.item_of(&store.waiting(id).unwrap());
        assert_eq!(handle.release(Selector::Id(id)).await.unwrap(), [id]);
        shared.admit(held);
        assert_eq!(all(), [(id, false)]);
        forget();
        assert_eq!(handle.delete(Selector::Id(id)).await.unwrap(), [id]);
        shared.admit(free);
        assert_eq!(all(), []);
    }
}
