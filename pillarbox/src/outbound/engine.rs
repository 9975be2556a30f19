//! The task that asks what is due, and those that do it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use pillarbox_core::Time;
use pillarbox_spool::{Attempted, Due, Fault, Health, Recovered, Recovery, StoreError, Task};
use tokio::task::{Id, JoinError, JoinSet};

use super::delivery::{deliver, expire, say_late, set_aside};
use super::shared::Shared;
use crate::parts::QueueEvent;
use crate::shutdown::Shutdown;

/// What the recovery tells is taken in steps of so many, each in one call on a thread for the disk.
const RECOVERED_AT_ONCE: usize = 256;
/// How often the log is tidied, at most.
const TEND_EVERY: Duration = Duration::from_secs(5);
/// How often bodies that belong to nobody are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn run(shared: &Arc<Shared>, recovery: Recovery, shutdown: &Shutdown) {
    // Dropped with this future, and with it everything that is under way.
    let mut household = JoinSet::new();
    household.spawn(keep_house(Arc::clone(shared), recovery));
    let mut deliveries = Deliveries { shared: Arc::clone(shared), set: JoinSet::new(), tasks: HashMap::new() };
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
    tasks: HashMap<Id, Task>,
}

impl Deliveries {
    /// Begins what is due, as far as there is room.
    fn begin(&mut self) {
        while self.set.len() < self.shared.config.deliveries_max.max(1) {
            let now = self.shared.parts.clock.now();
            let Some(due) = self.shared.schedule().due(now) else { return };
            let shared = Arc::clone(&self.shared);
            match due {
                Due::Attempt(task) => {
                    let begun = self.set.spawn(deliver(shared, task.clone()));
                    self.tasks.insert(begun.id(), task);
                }
                Due::Expired(task, reason) => {
                    let begun = self.set.spawn(expire(shared, task.clone(), reason));
                    self.tasks.insert(begun.id(), task);
                }
                Due::Late(id, recipients, reason) => drop(self.set.spawn(say_late(shared, id, recipients, reason))),
                _ => {}
            }
        }
    }

    /// When something is due, if there is room for it.
    fn next_moment(&self) -> Option<Time> {
        let has_room = self.set.len() < self.shared.config.deliveries_max.max(1);
        if has_room { self.shared.schedule().deadline() } else { None }
    }

    /// One has ended. If a part of ours panicked, the others go on, and its recipients are tried again.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        match ended {
            Ok((id, ())) => drop(self.tasks.remove(&id)),
            Err(error) => {
                let task = self.tasks.remove(&error.id());
                self.shared.tell(&QueueEvent::Failed { what: "a delivery", cause: &error });
                if let Some(task) = task {
                    let now = self.shared.parts.clock.now();
                    let attempted = Attempted::none(Health::Unknown, Fault::default());
                    self.shared.schedule().report(now, &task, attempted);
                }
            }
        }
    }

    async fn rest(&mut self) {
        while self.set.join_next().await.is_some() {}
    }
}

/// Reads what was waiting before the start, and then keeps the log tidy.
async fn keep_house(shared: Arc<Shared>, recovery: Recovery) {
    recover(&shared, recovery).await;
    shared.recovered.store(true, Ordering::Release);
    let clock = Arc::clone(&shared.parts.clock);
    let mut sweep_at = clock.now();
    loop {
        let (store, is_sweep) = (shared.store.clone(), clock.now() >= sweep_at);
        let tidied = shared.disk.run(move || {
            store.tend()?;
            if is_sweep { store.sweep(SystemTime::now()).map(drop) } else { Ok(()) }
        });
        if let Err(error) = tidied.await {
            shared.tell(&QueueEvent::Failed { what: "tidying the queue", cause: &error });
        }
        if is_sweep {
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

async fn recover(shared: &Arc<Shared>, recovery: Recovery) {
    let mut recovery = Some(recovery);
    while let Some(mut more) = recovery.take() {
        let (some, rest) = shared
            .disk
            .run(move || {
                let some: Vec<Recovered> = more.by_ref().take(RECOVERED_AT_ONCE).collect();
                (some, more)
            })
            .await;
        if some.is_empty() {
            return;
        }
        recovery = Some(rest);
        for recovered in some {
            match recovered {
                Recovered::Waiting(waiting) => shared.admit(shared.item_of(&waiting)),
                Recovered::Finding(finding) => shared.tell(&QueueEvent::Damaged { finding: &finding }),
                Recovered::Unreadable(id, error @ StoreError::Damaged(..)) => set_aside(shared, id, &error).await,
                Recovered::Unreadable(_, error) => {
                    shared.tell(&QueueEvent::Failed { what: "reading a message after the start", cause: &error });
                }
                _ => {}
            }
        }
    }
}
