//! What is tried next. Pure: no files, no clock, no threads.

mod backoff;
mod destination;
mod item;
mod plan;
mod recipients;
mod select;
mod slab;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::{Random, Time, WallTime};

pub use backoff::ScheduleOptions;
pub use item::{Attempted, Due, Fault, Health, Item, Lanes, Reason, Route, Task};
pub use plan::NextTry;
pub use select::{Cursor, Selector};

use crate::MessageId;
use crate::envelope::{ByMode, DeliverBy};
use backoff::millis;
use destination::{Destination, Place};
use recipients::Recipients;
use slab::Slab;

/// No moment at all.
const NEVER: u64 = u64::MAX;
/// The end of the list of a message's jobs.
const NONE: u32 = u32::MAX;

/// Which message is tried when, and where: a value that reads no clock and touches no file.
///
/// Each recipient belongs to a destination, and destinations take turns: a dead one, however much waits for it, holds up nobody.
/// Of what waits for one destination, and among destinations, what has more priority goes first. What was given out by
/// [`due`](Schedule::due) is with the caller until [`report`](Schedule::report): no recipient is tried twice at once.
///
/// Every step takes time in proportion to the logarithm of what there is; [`Selector`]s that are no name look at everything.
///
/// ```
/// use std::time::Duration;
/// use pillarbox_core::address::{ForwardPath, ReversePath};
/// use pillarbox_core::{SeededRandom, Time, WallTime};
/// use pillarbox_spool::{Attempted, Due, Envelope, Fault, Health, Item, MessageId, Recipient, Schedule, ScheduleOptions};
///
/// let wall = WallTime::new(1_700_000_000, 0);
/// let envelope = Envelope::new(wall, ReversePath::Null, [Recipient::new(ForwardPath::Postmaster)]);
/// let mut schedule = Schedule::new(ScheduleOptions::default(), SeededRandom::new(1));
/// let start = Time::ZERO;
/// schedule.insert(start, wall, Item::new(MessageId::from_octets([1; 10]), &envelope).route("example.com", [0]));
///
/// let Some(Due::Attempt(task)) = schedule.due(start) else { panic!("the first try is at once") };
/// assert_eq!(schedule.due(start), None);
/// schedule.report(start, &task, Attempted::none(Health::Good, Fault { code: 450, status: None }));
///
/// let next = schedule.deadline().expect("it is tried again");
/// assert!((240..=360).contains(&next.since(start).as_secs()));
/// assert!(matches!(schedule.due(next), Some(Due::Attempt(_))));
/// ```
pub struct Schedule {
    options: ScheduleOptions,
    random: Box<dyn Random + Send>,
    names: BTreeMap<MessageId, u32>,
    messages: Slab<Message>,
    jobs: Slab<Job>,
    by_name: HashMap<Arc<str>, u32>,
    destinations: Slab<Destination>,
    /// Limits of destinations that differ from the usual one.
    limits: HashMap<Arc<str>, u32>,
    /// When something is to be done about a message as a whole.
    timers: BTreeSet<(u64, u32)>,
    /// When a destination may have something.
    waking: BTreeSet<(u64, u32)>,
    /// Destinations that have something: priority turned round, turn.
    ready: BTreeSet<(i8, u64, u32)>,
    /// The same for those that were found in trouble, or not to answer.
    doubtful: BTreeSet<(i8, u64, u32)>,
    turn: u64,
    /// Jobs that are to be given up.
    expired: VecDeque<u32>,
}

/// A message.
#[derive(Debug)]
struct Message {
    id: MessageId,
    sender: Option<Box<str>>,
    /// In milliseconds since the origin; before it for what was received earlier.
    received: i64,
    priority: i8,
    held: bool,
    is_deleted: bool,
    expired: Option<Reason>,
    first_job: u32,
    /// Nothing is tried before.
    released: u64,
    /// When its sender is to be told, and when it is to be given up.
    notice_at: u64,
    expire_at: u64,
    deliver_by: u64,
    is_returned: bool,
    /// The moment under which it stands among the timers.
    timer: u64,
}

/// Recipients of one message that go to one destination.
#[derive(Debug)]
struct Job {
    message: u32,
    destination: u32,
    /// The others of the message.
    next_job: u32,
    previous_job: u32,
    recipients: Recipients,
    due: u64,
    attempts: u32,
    state: State,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It stands with its destination.
    Waiting,
    /// The caller has it.
    Away,
    /// Its message is held.
    Held,
    /// It is to be given up.
    Expired,
}

impl Schedule {
    /// A schedule with nothing in it. `random` is for jitter.
    pub fn new(options: ScheduleOptions, random: impl Random + Send + 'static) -> Self {
        Schedule {
            options,
            random: Box::new(random),
            names: BTreeMap::new(),
            messages: Slab::new(),
            jobs: Slab::new(),
            by_name: HashMap::new(),
            destinations: Slab::new(),
            limits: HashMap::new(),
            timers: BTreeSet::new(),
            waking: BTreeSet::new(),
            ready: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            turn: 0,
            expired: VecDeque::new(),
        }
    }

    /// Messages that are waiting or being tried.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Adds a message; `wall` is the date at the moment `now`, so that dates of the item can be placed. False if the schedule
    /// has a message of that name, or this one goes nowhere.
    pub fn insert(&mut self, now: Time, wall: WallTime, item: Item) -> bool {
        if self.names.contains_key(&item.id) || item.routes.iter().all(|route| route.recipients.is_empty()) {
            return false;
        }
        let now = floor(now);
        let place = |seconds: i64| {
            let ahead = seconds.saturating_sub(wall.unix_seconds()).saturating_mul(1000);
            i64::try_from(now).unwrap_or(i64::MAX).saturating_add(ahead)
        };
        let moment = |at: i64| u64::try_from(at).unwrap_or(0);
        let received = place(item.received);
        // RFC 4865 §3
        let released = item.hold_until.map_or(received, place).max(received);
        let after = |at: i64, age: Duration| moment(at.saturating_add_unsigned(millis(age)));
        let age = if item.sender.is_none() { self.options.notice_expire_after } else { self.options.expire_after };
        let (deliver_by, is_returned) = match item.deliver_by {
            Some(DeliverBy { deadline, mode, .. }) => (moment(place(deadline.unix_seconds())), mode == ByMode::Return),
            None => (NEVER, false),
        };
        let notice_at = if item.is_noticed { NEVER } else { after(released, self.options.notice_after) };
        let message = self.messages.insert(Message {
            id: item.id,
            sender: item.sender.map(String::into_boxed_str),
            received,
            priority: item.priority.clamp(-9, 9),
            held: item.held,
            is_deleted: false,
            expired: None,
            released: moment(released),
            first_job: NONE,
            notice_at,
            expire_at: after(released, age),
            // That it is late has been said; with N, nothing else happens then.
            deliver_by: if is_returned || !item.is_noticed { deliver_by } else { NEVER },
            is_returned,
            timer: NEVER,
        });
        self.names.insert(item.id, message);
        let due = match item.last_attempt {
            Some(last) if item.attempts > 0 => {
                moment(place(last)).saturating_add(self.options.delay(item.attempts, &mut *self.random))
            }
            _ => now,
        };
        let due = due.max(moment(released));
        for route in item.routes.into_iter().filter(|route| !route.recipients.is_empty()) {
            let destination = self.destination(&route.destination);
            let recipients = Recipients::of(route.recipients);
            let (next_job, previous_job) = (self.messages[message].first_job, NONE);
            let (attempts, state) = (item.attempts, State::Held);
            let fault = Fault::default();
            let job = Job { message, destination, next_job, previous_job, recipients, due, attempts, state, fault };
            let number = self.jobs.insert(job);
            self.messages[message].first_job = number;
            if next_job != NONE {
                self.jobs[next_job].previous_job = number;
            }
            self.destinations[destination].jobs += 1;
        }
        if !item.held {
            if item.is_owed {
                self.hasten_old(message, now);
            }
            self.set_timer(message);
            self.resume(message, now);
        }
        true
    }

    /// Something that is due, if there is anything. Call it until it gives `None`, or for as long as there is room for more attempts;
    /// the caller limits how many there are all together.
    pub fn due(&mut self, now: Time) -> Option<Due> {
        self.due_of(now, Lanes::ALL)
    }

    /// The same for one of the lanes alone, or for both. A caller that lets attempts at destinations in doubt take only a part of
    /// its room keeps the rest for those that answer, however many there are that do not.
    pub fn due_of(&mut self, now: Time, lanes: Lanes) -> Option<Due> {
        let now = floor(now);
        loop {
            if let Some(job) = self.expired.pop_front() {
                if let Some(due) = self.give_up(job) {
                    return Some(due);
                }
                continue;
            }
            if let Some((at, message)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
                self.timers.remove(&(at, message));
                self.messages[message].timer = NEVER;
                if let Some(due) = self.ring(message, now) {
                    return Some(due);
                }
                continue;
            }
            if let Some((at, destination)) = self.waking.first().copied().filter(|(at, _)| *at <= now) {
                self.waking.remove(&(at, destination));
                self.destinations[destination].place = Place::Nowhere;
                self.settle(destination, now);
                continue;
            }
            let (sound, doubtful) = (self.ready.first(), self.doubtful.first());
            let is_doubtful = match (sound.filter(|_| lanes.sound), doubtful.filter(|_| lanes.doubtful)) {
                (Some(sound), Some(doubtful)) => doubtful < sound,
                (sound, doubtful) => sound.or(doubtful).map(|_| sound.is_none())?,
            };
            let lane = if is_doubtful { &mut self.doubtful } else { &mut self.ready };
            let (priority, turn, number) = lane.pop_first().expect("it was looked at");
            debug_assert_eq!(self.destinations[number].place, Place::Ready(priority, turn, is_doubtful));
            let destination = &mut self.destinations[number];
            destination.place = Place::Nowhere;
            let (_, _, job) = destination.ready.pop_first().expect("a destination that is ready has something");
            destination.in_flight += 1;
            self.jobs[job].state = State::Away;
            self.settle(number, now);
            let mut task = self.task(job, true);
            task.is_doubtful = is_doubtful;
            return Some(Due::Attempt(task));
        }
    }

    /// What came of a task. Recipients that are not done are tried again later.
    pub fn report(&mut self, now: Time, task: &Task, attempted: Attempted) {
        let now = floor(now);
        let is_away = |job: &Job| job.state == State::Away && self.messages[job.message].id == task.id;
        if !self.jobs.find(task.job).is_some_and(is_away) {
            return;
        }
        let Schedule { options, random, destinations, jobs, .. } = self;
        let job = &mut jobs[task.job];
        let (number, message) = (job.destination, job.message);
        if task.is_attempt {
            let destination = &mut destinations[number];
            destination.in_flight -= 1;
            destination.learn(attempted.health, now, |troubles| options.delay(troubles, &mut **random));
        }
        job.recipients.remove(&attempted.done);
        job.attempts = job.attempts.saturating_add(1);
        job.fault = attempted.fault.unwrap_or_default();
        if job.recipients.as_slice().is_empty() || self.messages[message].is_deleted {
            self.remove_job(task.job);
        } else {
            job.due = now.saturating_add(options.delay(job.attempts, &mut **random));
            job.state = State::Held;
            match (self.messages[message].expired, self.messages[message].held) {
                (_, true) => {}
                (None, false) => self.enqueue(task.job, now),
                (Some(_), false) if task.is_attempt => self.expire_job(task.job),
                (Some(_), false) => {
                    let due = self.jobs[task.job].due;
                    let known = &mut self.messages[message];
                    // The moments that have passed would come again at once.
                    (known.expire_at, known.notice_at, known.deliver_by) = (due, NEVER, NEVER);
                    self.set_timer(message);
                }
            }
        }
        if self.destinations.find(number).is_some() {
            self.settle(number, now);
        }
    }

    /// It is known before its end that an attempt is being kept waiting: until one goes well, the destination is in doubt.
    pub fn is_slow(&mut self, now: Time, task: &Task) {
        let is_away = |job: &Job| job.state == State::Away && self.messages[job.message].id == task.id;
        if let Some(job) = self.jobs.find(task.job).filter(|job| is_away(job)) {
            let number = job.destination;
            self.destinations[number].is_slow = true;
            self.settle(number, floor(now));
        }
    }

    /// When [`due`](Schedule::due) has something next, if nothing happens before: a moment that has passed if it has something
    /// now.
    pub fn deadline(&self) -> Option<Time> {
        self.deadline_of(Lanes::ALL)
    }

    /// The same for [`due_of`](Schedule::due_of).
    pub fn deadline_of(&self, lanes: Lanes) -> Option<Time> {
        let is_ready = lanes.sound && !self.ready.is_empty() || lanes.doubtful && !self.doubtful.is_empty();
        if !self.expired.is_empty() || is_ready {
            return Some(Time::ZERO);
        }
        let message = self.timers.first().map(|(at, _)| *at);
        let destination = self.waking.first().map(|(at, _)| *at);
        let at = [message, destination].into_iter().flatten().min()?;
        Some(Time::from_origin(Duration::from_millis(at)))
    }

    /// Attempts at once that a destination may get at most, in place of the usual limit; at least 1.
    pub fn set_limit(&mut self, now: Time, destination: &str, limit: u32) {
        let limit = limit.max(1);
        self.limits.insert(destination.into(), limit);
        if let Some(number) = self.by_name.get(destination).copied() {
            let destination = &mut self.destinations[number];
            (destination.limit_max, destination.limit) = (limit, destination.limit.min(limit));
            self.settle(number, floor(now));
        }
    }

    fn destination(&mut self, name: &str) -> u32 {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let name: Arc<str> = name.into();
        let limit_max = self.limits.get(&name).copied().unwrap_or(self.options.concurrency_max).max(1);
        let limit = self.options.concurrency_first.max(1);
        let number = self.destinations.insert(Destination::new(name.clone(), limit, limit_max));
        self.by_name.insert(name, number);
        number
    }

    /// Finds a destination its place among the others.
    fn settle(&mut self, number: u32, now: u64) {
        let Schedule { destinations, jobs, messages, .. } = self;
        let destination = &mut destinations[number];
        let old = destination.place;
        self.turn += 1;
        let mut new = destination.settle(now, self.turn, |job| -messages[jobs[job].message].priority);
        if let (Place::Ready(before, turn, _), Place::Ready(after, _, is_doubtful)) = (old, new)
            && before == after
        {
            // Who waits for a turn keeps it.
            new = Place::Ready(after, turn, is_doubtful);
        }
        if old == new {
            return;
        }
        destination.place = new;
        self.take_from(old, number);
        match new {
            Place::Nowhere => {}
            Place::Timer(at) => drop(self.waking.insert((at, number))),
            Place::Ready(priority, turn, false) => drop(self.ready.insert((priority, turn, number))),
            Place::Ready(priority, turn, true) => drop(self.doubtful.insert((priority, turn, number))),
        }
    }

    fn take_from(&mut self, place: Place, number: u32) {
        match place {
            Place::Nowhere => {}
            Place::Timer(at) => drop(self.waking.remove(&(at, number))),
            Place::Ready(priority, turn, false) => drop(self.ready.remove(&(priority, turn, number))),
            Place::Ready(priority, turn, true) => drop(self.doubtful.remove(&(priority, turn, number))),
        }
    }

    /// Puts a job with its destination.
    fn enqueue(&mut self, job: u32, now: u64) {
        let Job { due, destination, state, .. } = &mut self.jobs[job];
        *state = State::Waiting;
        self.destinations[*destination].later.insert((*due, job));
        let destination = *destination;
        self.settle(destination, now);
    }

    /// Takes a job from its destination.
    fn withdraw(&mut self, job: u32) {
        let Job { due, destination, message, state, .. } = &mut self.jobs[job];
        if *state == State::Waiting {
            *state = State::Held;
            let priority = -self.messages[*message].priority;
            let destination = &mut self.destinations[*destination];
            if !destination.later.remove(&(*due, job)) {
                destination.ready.remove(&(priority, *due, job));
            }
        }
    }

    /// The jobs of a message that nobody has go to their destinations.
    fn resume(&mut self, message: u32, now: u64) {
        for job in self.jobs_of(message) {
            if self.jobs[job].state == State::Held {
                self.enqueue(job, now);
            }
        }
    }

    fn jobs_of(&self, message: u32) -> Vec<u32> {
        let mut all = Vec::new();
        let mut next = self.messages[message].first_job;
        while next != NONE {
            all.push(next);
            next = self.jobs[next].next_job;
        }
        all
    }

    /// Removes a job that is nowhere, and with the last one its message.
    fn remove_job(&mut self, job: u32) {
        let Some(removed) = self.jobs.remove(job) else { return };
        self.leave(removed.destination);
        match removed.previous_job {
            NONE => self.messages[removed.message].first_job = removed.next_job,
            previous => self.jobs[previous].next_job = removed.next_job,
        }
        if removed.next_job != NONE {
            self.jobs[removed.next_job].previous_job = removed.previous_job;
        }
        if self.messages[removed.message].first_job == NONE {
            self.clear_timer(removed.message);
            let id = self.messages[removed.message].id;
            self.names.remove(&id);
            self.messages.remove(removed.message);
        }
    }

    /// A destination has a job less. One that nobody wants is forgotten.
    fn leave(&mut self, number: u32) {
        let destination = &mut self.destinations[number];
        destination.jobs -= 1;
        if destination.jobs == 0
            && let Some(destination) = self.destinations.remove(number)
        {
            self.take_from(destination.place, number);
            self.by_name.remove(&destination.name);
        }
    }

    fn set_timer(&mut self, number: u32) {
        self.clear_timer(number);
        let message = &mut self.messages[number];
        let at = message.notice_at.min(message.expire_at).min(message.deliver_by);
        if at != NEVER {
            message.timer = at;
            self.timers.insert((at, number));
        }
    }

    fn clear_timer(&mut self, number: u32) {
        let message = &mut self.messages[number];
        if message.timer != NEVER {
            self.timers.remove(&(message.timer, number));
            message.timer = NEVER;
        }
    }

    /// The moment of a message has come.
    fn ring(&mut self, number: u32, now: u64) -> Option<Due> {
        let message = &mut self.messages[number];
        let is_over = message.deliver_by <= now;
        if message.expire_at <= now || is_over && message.is_returned {
            let reason = if message.expire_at <= now { Reason::Age } else { Reason::DeliverBy };
            message.expired.get_or_insert(reason);
            for job in self.jobs_of(number) {
                // What the caller has follows when it is reported.
                if matches!(self.jobs[job].state, State::Waiting | State::Held) {
                    self.expire_job(job);
                    let destination = self.jobs[job].destination;
                    self.settle(destination, now);
                }
            }
            return None;
        }
        let id = message.id;
        let reason = if is_over { Reason::DeliverBy } else { Reason::Age };
        message.notice_at = NEVER;
        // Not before: who wants no notice of a delay is told all the same that the time it gave has passed (RFC 2852 §4.1.4).
        if is_over {
            message.deliver_by = NEVER;
        }
        self.set_timer(number);
        let jobs = self.jobs_of(number);
        let recipients = jobs.into_iter().flat_map(|job| self.jobs[job].recipients.as_slice().to_vec()).collect();
        Some(Due::Late(id, recipients, reason))
    }

    fn expire_job(&mut self, job: u32) {
        self.withdraw(job);
        self.jobs[job].state = State::Expired;
        self.expired.push_back(job);
    }

    fn give_up(&mut self, job: u32) -> Option<Due> {
        let known = self.jobs.find(job).filter(|job| job.state == State::Expired)?;
        let reason = self.messages[known.message].expired?;
        self.jobs[job].state = State::Away;
        Some(Due::Expired(self.task(job, false), reason))
    }

    fn task(&self, number: u32, is_attempt: bool) -> Task {
        let job = &self.jobs[number];
        Task {
            id: self.messages[job.message].id,
            destination: self.destinations[job.destination].name.clone(),
            recipients: job.recipients.as_slice().to_vec(),
            attempts: job.attempts,
            is_doubtful: false,
            job: number,
            is_attempt,
        }
    }
}

/// Whole milliseconds: what is due at one of them is not due before it.
fn floor(time: Time) -> u64 {
    millis(time.since_origin())
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("messages", &self.names.len())
            .field("destinations", &self.by_name.len())
            .finish_non_exhaustive()
    }
}
