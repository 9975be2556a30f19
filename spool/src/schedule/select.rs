//! What an operator does to many messages at once.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use pillarbox_core::{EnhancedCode, Time};

use super::backoff::millis;
use super::{NEVER, Reason, Schedule, State, floor};
use crate::MessageId;

/// Which messages are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector<'a> {
    /// All of them.
    All,
    /// This one.
    Id(MessageId),
    /// These, in any order.
    Ids(&'a [MessageId]),
    /// Those of a sender, as the envelope writes it; `None` is the null path.
    Sender(Option<&'a str>),
    /// Those with recipients that go to a destination.
    Destination(&'a str),
    /// Those that were received at least so long ago.
    OlderThan(Duration),
    /// Those with recipients that were refused with this code last.
    Code(u16),
    /// Those with recipients that were refused with this enhanced code last.
    Status(EnhancedCode),
}

/// How far something has come that is done to many messages in slices, so that a schedule which others wait for is never away for
/// long, however many messages there are.
///
/// ```
/// use pillarbox_core::{SeededRandom, Time};
/// use pillarbox_spool::{Cursor, Schedule, ScheduleOptions, Selector};
///
/// let mut schedule = Schedule::new(ScheduleOptions::default(), SeededRandom::new(1));
/// let mut cursor = Cursor::new(1000);
/// let mut tried = Vec::new();
/// while !cursor.is_over() {
///     tried.extend(schedule.flush_slice(Time::ZERO, Selector::All, &mut cursor));
/// }
/// assert!(tried.is_empty(), "nothing is waiting");
/// ```
#[derive(Clone, Debug)]
pub struct Cursor {
    after: Option<MessageId>,
    steps_max: usize,
    steps: usize,
    is_over: bool,
}

impl Cursor {
    /// At the beginning, for slices of so many steps: a message, or one of the ways that its recipients go, is a step each. A message is
    /// never cut in two, and what is named by a selector is one slice.
    pub const fn new(steps_max: usize) -> Self {
        Cursor { after: None, steps_max, steps: 0, is_over: false }
    }

    /// Whether all messages were looked at.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// How many steps the last slice took.
    pub const fn steps(&self) -> usize {
        self.steps
    }
}

impl Schedule {
    /// The messages that are meant, in order of their names, and whether each is held. Nothing is changed.
    pub fn select(&self, now: Time, selector: Selector<'_>) -> Vec<(MessageId, bool)> {
        self.select_slice(now, selector, &mut Cursor::new(usize::MAX))
    }

    /// The next slice of them.
    pub fn select_slice(&self, now: Time, selector: Selector<'_>, cursor: &mut Cursor) -> Vec<(MessageId, bool)> {
        let selected = self.selected_slice(floor(now), selector, cursor).into_iter();
        selected.map(|(message, _)| (self.messages[message].id, self.messages[message].held)).collect()
    }

    /// Keeps messages from being tried, told of as late, and given up, until they are released. They grow older meanwhile.
    /// Attempts under way go on. Gives those that were not held; the store has to know it as well.
    pub fn hold(&mut self, now: Time, selector: Selector<'_>) -> Vec<MessageId> {
        let now = floor(now);
        let selected = self.selected(now, selector).into_iter().filter(|(message, _)| !self.messages[*message].held);
        let selected: Vec<u32> = selected.map(|(message, _)| message).collect();
        for message in &selected {
            self.messages[*message].held = true;
            self.clear_timer(*message);
            for job in self.jobs_of(*message) {
                match self.jobs[job].state {
                    State::Waiting => {
                        self.withdraw(job);
                        self.settle(self.jobs[job].destination, now);
                    }
                    State::Expired => self.jobs[job].state = State::Held,
                    State::Away | State::Held => {}
                }
            }
        }
        self.ids_of(&selected)
    }

    /// Lets held messages go on. One that has become too old, or would before its next try, is tried once more at once, and
    /// given up if that is in vain; what its sender said of time (RFC 2852) holds all the same. Gives those that were held.
    pub fn release(&mut self, now: Time, selector: Selector<'_>) -> Vec<MessageId> {
        let now = floor(now);
        let selected = self.selected(now, selector).into_iter().filter(|(message, _)| self.messages[*message].held);
        let selected: Vec<u32> = selected.map(|(message, _)| message).collect();
        for message in &selected {
            self.messages[*message].held = false;
            self.hasten_old(*message, now);
            self.set_timer(*message);
            self.resume(*message, now);
        }
        self.ids_of(&selected)
    }

    /// Tries the selected recipients now, also where their destination was found dead; those of held messages and those that are to
    /// wait by their sender's wish stay. What is being tried already is not tried twice. Gives the messages.
    pub fn flush(&mut self, now: Time, selector: Selector<'_>) -> Vec<MessageId> {
        self.flush_slice(now, selector, &mut Cursor::new(usize::MAX))
    }

    /// The same for the next slice of them.
    pub fn flush_slice(&mut self, now: Time, selector: Selector<'_>, cursor: &mut Cursor) -> Vec<MessageId> {
        self.hasten(floor(now), selector, false, cursor)
    }

    /// The same, and the next waits are those of a new message.
    pub fn requeue(&mut self, now: Time, selector: Selector<'_>) -> Vec<MessageId> {
        self.requeue_slice(now, selector, &mut Cursor::new(usize::MAX))
    }

    /// The same for the next slice of them.
    pub fn requeue_slice(&mut self, now: Time, selector: Selector<'_>, cursor: &mut Cursor) -> Vec<MessageId> {
        self.hasten(floor(now), selector, true, cursor)
    }

    /// Forgets messages; what is being tried ends with its report. Gives their names; the store has to forget them as well.
    pub fn delete(&mut self, now: Time, selector: Selector<'_>) -> Vec<MessageId> {
        let now = floor(now);
        let selected: Vec<u32> = self.selected(now, selector).into_iter().map(|(message, _)| message).collect();
        let ids = self.ids_of(&selected);
        for message in selected {
            self.messages[message].is_deleted = true;
            for job in self.jobs_of(message) {
                if self.jobs[job].state != State::Away {
                    let destination = self.jobs[job].destination;
                    self.withdraw(job);
                    self.settle(destination, now);
                    self.remove_job(job);
                }
            }
            // What is left is away.
            if self.messages.find(message).is_some() {
                self.clear_timer(message);
            }
        }
        ids
    }

    /// Sees to it that a message is tried before it is given up.
    pub(super) fn hasten_old(&mut self, number: u32, now: u64) {
        let (expire_at, released) = (self.messages[number].expire_at, self.messages[number].released);
        for job in self.jobs_of(number) {
            if self.jobs[job].state == State::Held && self.jobs[job].due.max(now) >= expire_at {
                self.jobs[job].due = now.max(released);
                let destination = self.jobs[job].destination;
                self.destinations[destination].closed_until = 0;
            }
        }
        if expire_at <= now {
            // The report of the attempt gives up what is left; a notice that it is late would be of no use any more.
            let message = &mut self.messages[number];
            message.expired.get_or_insert(Reason::Age);
            (message.expire_at, message.notice_at) = (NEVER, NEVER);
        }
    }

    fn hasten(&mut self, now: u64, selector: Selector<'_>, anew: bool, cursor: &mut Cursor) -> Vec<MessageId> {
        let mut messages = Vec::new();
        for (message, jobs) in self.selected_slice(now, selector, cursor) {
            let due = now.max(self.messages[message].released);
            for job in jobs {
                if anew {
                    self.jobs[job].attempts = 0;
                }
                if self.jobs[job].state == State::Waiting {
                    self.withdraw(job);
                    self.jobs[job].due = due;
                    let destination = self.jobs[job].destination;
                    self.destinations[destination].closed_until = 0;
                    self.enqueue(job, now);
                }
            }
            messages.push(message);
        }
        self.ids_of(&messages)
    }

    fn ids_of(&self, messages: &[u32]) -> Vec<MessageId> {
        messages.iter().map(|message| self.messages[*message].id).collect()
    }

    /// The messages that are meant, in order of their names where it is more than one, and those of their jobs that make it so.
    fn selected(&self, now: u64, selector: Selector<'_>) -> Vec<(u32, Vec<u32>)> {
        self.selected_slice(now, selector, &mut Cursor::new(usize::MAX))
    }

    fn selected_slice(&self, now: u64, selector: Selector<'_>, cursor: &mut Cursor) -> Vec<(u32, Vec<u32>)> {
        cursor.steps = 0;
        if cursor.is_over {
            return Vec::new();
        }
        let named = match selector {
            Selector::Id(id) => Some(BTreeSet::from([id])),
            Selector::Ids(ids) => Some(ids.iter().copied().collect()),
            _ => None,
        };
        let steps_max = if named.is_some() { usize::MAX } else { cursor.steps_max };
        let mut all: Box<dyn Iterator<Item = u32>> = match named {
            Some(ids) => Box::new(ids.into_iter().filter_map(|id| self.names.get(&id).copied())),
            None => {
                let from = cursor.after.map_or(Bound::Unbounded, Bound::Excluded);
                Box::new(self.names.range((from, Bound::Unbounded)).map(|(_, number)| *number))
            }
        };
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let mut selected = Vec::new();
        while cursor.steps < steps_max {
            let Some(number) = all.next() else {
                cursor.is_over = true;
                break;
            };
            let message = &self.messages[number];
            cursor.after = Some(message.id);
            cursor.steps += 1;
            if message.is_deleted {
                continue;
            }
            let mut jobs = self.jobs_of(number);
            cursor.steps += jobs.len();
            let is_meant = match selector {
                Selector::All | Selector::Id(_) | Selector::Ids(_) => true,
                Selector::Sender(sender) => message.sender.as_deref() == sender,
                Selector::OlderThan(age) => {
                    u64::try_from(now.saturating_sub(message.received)).is_ok_and(|known| known >= millis(age))
                }
                Selector::Destination(name) => {
                    jobs.retain(|job| *self.destinations[self.jobs[*job].destination].name == *name);
                    !jobs.is_empty()
                }
                Selector::Code(code) => {
                    jobs.retain(|job| code != 0 && self.jobs[*job].fault.code == code);
                    !jobs.is_empty()
                }
                Selector::Status(status) => {
                    jobs.retain(|job| self.jobs[*job].fault.status == Some(status));
                    !jobs.is_empty()
                }
            };
            if is_meant {
                selected.push((number, jobs));
            }
        }
        selected
    }
}
