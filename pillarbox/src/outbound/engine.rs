//! The task that asks what is due, and those that do it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use pillarbox_core::Time;
use pillarbox_spool::{Attempted, Due, Fault, Health, Lanes, MessageId, Recovered, Recovery, StoreError, Task};
use tokio::task::{Id, JoinError, JoinSet};

use super::delivery::{deliver, expire, is_not_given, is_set_aside, say_late, set_aside};
use super::seat::Seat;
use super::shared::Shared;
use super::tls_reports;
use crate::parts::QueueEvent;
use crate::shutdown::Shutdown;

/// What the recovery tells is taken in steps of so many, each in one call on a thread for the disk.
const RECOVERED_AT_ONCE: usize = 256;
/// How long it waits where no file can be opened, and how often a message is looked at that could not be read.
const RECOVER_AGAIN: Duration = Duration::from_secs(1);
const READ_AGAIN: Duration = Duration::from_secs(60);
/// How often the log is tidied, at most.
const TEND_EVERY: Duration = Duration::from_secs(5);
/// How often bodies that belong to nobody are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long it waits for those that were asked to give way, or where none can.
const ASK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: &Arc<Shared>, recovery: Recovery, shutdown: &Shutdown) {
    // Dropped with this future, and with it everything that is under way.
    let mut household = JoinSet::new();
    household.spawn(keep_house(Arc::clone(shared), recovery));
    household.spawn(tls_reports::run(Arc::clone(shared)));
    let mut deliveries = Deliveries::new(Arc::clone(shared));
    loop {
        deliveries.begin();
        let wait = sleep(shared, deliveries.next_moment());
        tokio::select! {
            biased;
            () = shutdown.begun() => break,
            Some(ended) = deliveries.set.join_next_with_id(), if !deliveries.set.is_empty() => deliveries.ended(ended),
            () = shared.wake.notified() => {}
            () = wait => {}
        }
    }
    let patience = sleep(shared, Some(shared.parts.clock.now() + shutdown.patience()));
    tokio::select! {
        biased;
        () = deliveries.rest() => {}
        () = patience => {}
    }
    deliveries.set.shutdown().await;
    household.shutdown().await;
    tls_reports::finish(shared).await;
    for kept in shared.pool.close() {
        kept.client.quit().await;
    }
}

async fn sleep(shared: &Shared, moment: Option<Time>) {
    match moment {
        Some(moment) => shared.parts.clock.sleep_until(moment).await,
        None => pending().await,
    }
}

/// What is under way.
struct Deliveries {
    shared: Arc<Shared>,
    set: JoinSet<()>,
    under_way: HashMap<Id, UnderWay>,
    /// When each of those that are not slow yet will be, the first one first.
    ageing: VecDeque<(Time, Id)>,
    /// Those that are slow, the one first that has been so for longest.
    slow: BTreeMap<u64, Id>,
    /// How many have been slow.
    slow_count: u64,
    /// Nobody is asked to give way before.
    ask_again_at: Option<Time>,
}

struct UnderWay {
    /// What has to be reported, should a part of ours panic.
    task: Option<Task>,
    seat: Arc<Seat>,
    /// Its number among the slow ones.
    slow: Option<u64>,
}

impl Deliveries {
    fn new(shared: Arc<Shared>) -> Self {
        let (slow, slow_count, ask_again_at) = (BTreeMap::new(), 0, None);
        let (set, under_way, ageing) = (JoinSet::new(), HashMap::new(), VecDeque::new());
        Deliveries { shared, set, under_way, ageing, slow, slow_count, ask_again_at }
    }

    /// Begins what is due, as far as there is room.
    fn begin(&mut self) {
        let now = self.shared.parts.clock.now();
        self.tell_slow(now);
        loop {
            let room = self.room();
            if !room.sound && !room.doubtful {
                return self.make_room(now);
            }
            let Some(due) = self.shared.schedule().due_of(now, room) else { return };
            let (shared, seat) = (Arc::clone(&self.shared), Arc::new(Seat::default()));
            let (begun, task) = match due {
                Due::Attempt(task) => (self.set.spawn(deliver(shared, task.clone(), Arc::clone(&seat))), Some(task)),
                Due::Expired(task, reason) => (self.set.spawn(expire(shared, task.clone(), reason)), Some(task)),
                Due::Late(id, recipients, reason) => (self.set.spawn(say_late(shared, id, recipients, reason)), None),
                _ => continue,
            };
            let is_slow = !room.sound || task.as_ref().is_some_and(|task| task.is_doubtful);
            let slow = is_slow.then(|| self.count_slow(begun.id()));
            if !is_slow {
                self.ageing.push_back((now + self.shared.config.slow_after, begun.id()));
            }
            self.under_way.insert(begun.id(), UnderWay { task, seat, slow });
        }
    }

    fn count_slow(&mut self, id: Id) -> u64 {
        self.slow_count += 1;
        self.slow.insert(self.slow_count, id);
        self.slow_count
    }

    /// Where there is room for one more.
    fn room(&self) -> Lanes {
        let config = &self.shared.config;
        let sound = self.under_way.len() - self.slow.len() < config.deliveries_max.max(1);
        Lanes { sound, doubtful: self.slow.len() < config.slow_max.max(1) }
    }

    /// Those that have taken long make room for others.
    fn tell_slow(&mut self, now: Time) {
        while self.room().doubtful
            && let Some((at, id)) = self.ageing.front().copied()
            && at <= now
        {
            self.ageing.pop_front();
            if !self.under_way.contains_key(&id) {
                continue;
            }
            let number = self.count_slow(id);
            let Some(known) = self.under_way.get_mut(&id) else { continue };
            known.slow = Some(number);
            if let Some(task) = &known.task {
                self.shared.schedule().is_slow(now, task);
            }
        }
    }

    /// All room is taken. Where something waits of which nothing bad is known, those give way that have been slow for longest, so
    /// many as have become slow meanwhile and found no room among them: hosts that hang, however many, hold nobody up for longer
    /// than it takes to find that out.
    fn make_room(&mut self, now: Time) {
        let only_sound = Lanes { sound: true, doubtful: false };
        self.ask_again_at = None;
        let aged = self.ageing.iter().take_while(|(at, _)| *at <= now);
        let wanted = aged.filter(|(_, id)| self.under_way.contains_key(id)).count();
        if wanted == 0 || self.shared.schedule().deadline_of(only_sound).is_none_or(|at| at > now) {
            return;
        }
        let seats = self.slow.values().filter_map(|id| self.under_way.get(id)).map(|known| &known.seat);
        seats.filter(|seat| seat.ask()).take(wanted).for_each(drop);
        // One that was asked may have begun to send before it heard of it, and goes on then.
        self.ask_again_at = Some(now + ASK_AGAIN);
    }

    /// When something is due for which there is room, or when there will be.
    fn next_moment(&self) -> Option<Time> {
        let room = self.room();
        let slow = self.ageing.front().map(|(at, _)| *at);
        if !room.sound && !room.doubtful {
            let due = self.shared.schedule().deadline_of(Lanes { sound: true, doubtful: false })?;
            return self
                .ask_again_at
                .or_else(|| slow.map(|slow| slow.max(due)).filter(|at| *at > self.shared.parts.clock.now()));
        }
        let due = self.shared.schedule().deadline_of(room);
        [due, slow.filter(|_| room.doubtful)].into_iter().flatten().min()
    }

    /// One has ended. If a part of ours panicked, the others go on, and its recipients are tried again.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let known = self.under_way.remove(&id);
        if let Some(number) = known.as_ref().and_then(|known| known.slow) {
            self.slow.remove(&number);
        }
        if let Err(error) = ended {
            self.shared.tell(&QueueEvent::Failed { what: "a delivery", cause: &error });
            if let Some(task) = known.and_then(|known| known.task) {
                let now = self.shared.parts.clock.now();
                let attempted = Attempted::none(Health::Unknown, Fault::default());
                self.shared.schedule().report(now, &task, attempted);
            }
        }
        // Those that ended before they were slow.
        while self.ageing.front().is_some_and(|(_, id)| !self.under_way.contains_key(id)) {
            self.ageing.pop_front();
        }
    }

    async fn rest(&mut self) {
        while self.set.join_next().await.is_some() {}
    }
}

/// Reads what was waiting before the start, and then keeps the log tidy.
async fn keep_house(shared: Arc<Shared>, recovery: Recovery) {
    let unread = recover(&shared, recovery).await;
    shared.recovered.store(true, Ordering::Release);
    tokio::join!(read_again(&shared, unread), tidy(&shared));
}

async fn tidy(shared: &Arc<Shared>) {
    let clock = Arc::clone(&shared.parts.clock);
    let mut sweep_at = clock.now();
    loop {
        let (store, is_sweep) = (shared.store.clone(), clock.now() >= sweep_at);
        let failed = |cause: &StoreError| shared.tell(&QueueEvent::Failed { what: "tidying the queue", cause });
        match shared.disk.run(move || store.tend()).await {
            Ok(tended) => tended.set_aside.iter().for_each(|(id, why)| is_set_aside(shared, *id, why)),
            Err(error) => failed(&error),
        }
        if is_sweep {
            let store = shared.store.clone();
            if let Err(error) = shared.disk.run(move || store.sweep(SystemTime::now())).await {
                failed(&error);
            }
            sweep_at = clock.now() + SWEEP_EVERY;
        }
        // A log to which nothing is added needs no care.
        tokio::select! {
            biased;
            () = shared.grown.notified() => {}
            () = clock.sleep_until(sweep_at) => {}
        }
        clock.sleep_until(clock.now() + TEND_EVERY).await;
    }
}

/// Reads what was waiting before the start, and gives the messages that the disk did not give.
async fn recover(shared: &Arc<Shared>, recovery: Recovery) -> Vec<MessageId> {
    let clock = &shared.parts.clock;
    let mut unread = Vec::new();
    let mut recovery = Some(recovery);
    while let Some(more) = recovery.take() {
        let (some, rest) = shared.disk.run(move || next_of(more)).await;
        if some.is_empty() {
            break;
        }
        recovery = Some(rest);
        for recovered in some {
            match recovered {
                Recovered::Waiting(waiting) => shared.admit(shared.item_of(&waiting)),
                Recovered::Finding(finding) => shared.tell(&QueueEvent::Damaged { finding: &finding }),
                Recovered::Unreadable(id, error) if !is_done_with(shared, id, &error).await => {
                    shared.tell(&QueueEvent::Failed { what: "reading a message after the start", cause: &error });
                    unread.push(id);
                }
                Recovered::Later(error) => {
                    shared.tell(&QueueEvent::Failed { what: "reading the queue after the start", cause: &error });
                    clock.sleep_until(clock.now() + RECOVER_AGAIN).await;
                }
                _ => {}
            }
        }
    }
    unread
}

/// What the recovery tells next, up to a failure; blocks.
fn next_of(mut recovery: Recovery) -> (Vec<Recovered>, Recovery) {
    let mut some = Vec::new();
    while some.len() < RECOVERED_AT_ONCE
        && let Some(next) = recovery.next()
    {
        let is_later = matches!(next, Recovered::Later(_));
        some.push(next);
        if is_later {
            break;
        }
    }
    (some, recovery)
}

/// Reads what could not be read, until it can be, or is set aside, while all else goes on. That it cannot was told.
async fn read_again(shared: &Arc<Shared>, mut unread: Vec<MessageId>) {
    let clock = &shared.parts.clock;
    while !unread.is_empty() {
        clock.sleep_until(clock.now() + READ_AGAIN).await;
        for id in std::mem::take(&mut unread) {
            let store = shared.store.clone();
            match shared.disk.run(move || store.waiting(id)).await {
                Ok(waiting) => shared.admit(shared.item_of(&waiting)),
                Err(error) if is_done_with(shared, id, &error).await => {}
                Err(error) if is_too_old(shared, id, &error) && set_aside(shared, id, &error).await => {}
                Err(_) => unread.push(id),
            }
        }
    }
}

/// Whether a message that the disk does not give is older than any gets here. Its name says when it came, and its envelope cannot.
fn is_too_old(shared: &Shared, id: MessageId, error: &StoreError) -> bool {
    let schedule = &shared.config.schedule;
    let most = schedule.expire_after.max(schedule.notice_expire_after).saturating_add(shared.config.hold_max);
    let age = shared.parts.clock.wall().unix_seconds().saturating_sub(id.unix_seconds());
    let is_old = u64::try_from(age).is_ok_and(|age| age >= most.as_secs());
    is_not_given(error) && is_old && shared.store.is_held(id) == Some(false) && !shared.store.is_owed(id)
}

/// Whether nothing is to be done any more about a message that could not be read.
async fn is_done_with(shared: &Arc<Shared>, id: MessageId, error: &StoreError) -> bool {
    match error {
        StoreError::NoSuchMessage(_) => true,
        StoreError::Damaged(..) => set_aside(shared, id, error).await,
        _ => false,
    }
}
