//! What an operator does to many messages at once.

use std::collections::BTreeSet;
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

impl Schedule {
    /// The messages that are meant, in order of their names, and whether each is held. Nothing is changed.
    pub fn select(&self, now: Time, selector: Selector<'_>) -> Vec<(MessageId, bool)> {
        let selected = self.selected(floor(now), selector).into_iter();
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
        self.hasten(floor(now), selector, false)
    }

    /// The same, and the next waits are those of a new message.
    pub fn requeue(&mut self, now: Time, selector: Selector<'_>) -> Vec<MessageId> {
        self.hasten(floor(now), selector, true)
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
    fn hasten_old(&mut self, number: u32, now: u64) {
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

    fn hasten(&mut self, now: u64, selector: Selector<'_>, anew: bool) -> Vec<MessageId> {
        let mut messages = Vec::new();
        for (message, jobs) in self.selected(now, selector) {
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
        let all: Vec<u32> = match selector {
            Selector::Id(id) => self.names.get(&id).copied().into_iter().collect(),
            Selector::Ids(ids) => {
                let ids: BTreeSet<MessageId> = ids.iter().copied().collect();
                ids.iter().filter_map(|id| self.names.get(id).copied()).collect()
            }
            _ => self.names.values().copied().collect(),
        };
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let mut selected = Vec::new();
        for number in all {
            let message = &self.messages[number];
            if message.is_deleted {
                continue;
            }
            let mut jobs = self.jobs_of(number);
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
