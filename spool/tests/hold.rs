//! Messages that an operator held, and let go on.

mod support;

use std::time::Duration;

use pillarbox_core::{SeededRandom, Time, WallTime};
use pillarbox_spool::{
    Attempted, ByMode, DeliverBy, Due, Fault, Health, Item, MessageId, Reason, Schedule, ScheduleOptions, Selector,
    Task,
};
use support::envelope;

/// The date at the origin of time.
fn wall() -> WallTime {
    WallTime::new(1_700_000_000, 0)
}

const DAY: u64 = 24 * 3600;

fn at(seconds: u64) -> Time {
    Time::from_origin(Duration::from_secs(seconds))
}

fn in_vain() -> Attempted {
    Attempted::none(Health::Trouble, Fault::default())
}

/// A message that was tried once at a host that is dead, and is held then.
fn held(change: impl FnOnce(&mut Item)) -> Schedule {
    let mut schedule = Schedule::new(ScheduleOptions::default(), SeededRandom::new(1));
    let mut item = Item::new(MessageId::new(wall(), 1, 0), &envelope(2)).route("dead.example", [0, 1]);
    change(&mut item);
    assert!(schedule.insert(Time::ZERO, wall(), item));
    let task = attempt(&mut schedule, Time::ZERO);
    schedule.report(Time::ZERO, &task, in_vain());
    assert_eq!(schedule.hold(at(1), Selector::All).len(), 1);
    assert_eq!((schedule.due(at(30 * DAY)), schedule.deadline()), (None, None), "nothing happens to it");
    schedule
}

fn attempt(schedule: &mut Schedule, now: Time) -> Task {
    match schedule.due(now) {
        Some(Due::Attempt(task)) => task,
        other => panic!("{other:?} in place of an attempt"),
    }
}

#[test]
fn a_message_that_was_held_too_long_is_tried_once_more() {
    let mut schedule = held(|_| {});
    let now = at(6 * DAY);
    schedule.release(now, Selector::All);
    // Held again before it was tried, it is owed that still.
    schedule.hold(now, Selector::All);
    assert_eq!(schedule.due(at(7 * DAY)), None);
    let now = at(8 * DAY);
    schedule.release(now, Selector::All);
    let task = attempt(&mut schedule, now);
    assert_eq!(schedule.due(now), None, "nothing is said meanwhile");
    let mut attempted = in_vain();
    attempted.done = vec![1];
    schedule.report(now, &task, attempted);
    let Some(Due::Expired(task, Reason::Age)) = schedule.due(now) else { panic!("what is left is given up") };
    assert_eq!(task.recipients, [0]);
    schedule.report(now, &task, Attempted::all(&task));
    assert!(schedule.is_empty());
}

#[test]
fn a_message_that_would_be_too_old_before_its_next_try_is_tried_at_once() {
    let mut schedule =
        held(|item| (item.received, item.is_noticed) = (wall().unix_seconds() - (5 * DAY - 10) as i64, true));
    schedule.release(at(2), Selector::All);
    let task = attempt(&mut schedule, at(2));
    schedule.report(at(2), &task, in_vain());
    assert_eq!(schedule.due(at(9)), None);
    assert!(matches!(schedule.due(at(10)), Some(Due::Expired(_, Reason::Age))));
}

// RFC 2852 §4.1.4: nothing is delivered after the time that its sender gave.
#[test]
fn a_message_whose_time_is_over_is_not_tried_again() {
    let deadline = WallTime::new(wall().unix_seconds() + 3600, 0);
    let mut schedule = held(|item| item.deliver_by = Some(DeliverBy { deadline, mode: ByMode::Return, trace: false }));
    schedule.release(at(6 * DAY), Selector::All);
    assert!(matches!(schedule.due(at(6 * DAY)), Some(Due::Expired(..))));
}

// What was released before a restart, and not tried before it.
#[test]
fn a_try_that_is_owed_outlives_a_restart() {
    for (is_owed, attempts) in [(true, 0), (true, 7), (false, 7)] {
        let mut schedule = Schedule::new(ScheduleOptions::default(), SeededRandom::new(1));
        let mut item = Item::new(MessageId::new(wall(), 1, 0), &envelope(1)).route("dead.example", [0]);
        item.received = wall().unix_seconds() - (8 * DAY) as i64;
        (item.is_owed, item.attempts) = (is_owed, attempts);
        item.last_attempt = (attempts > 0).then_some(item.received + DAY as i64);
        assert!(schedule.insert(at(0), wall(), item));
        if is_owed {
            let task = attempt(&mut schedule, at(0));
            assert_eq!(schedule.due(at(0)), None, "it is not given up meanwhile");
            schedule.report(at(0), &task, in_vain());
        }
        assert!(matches!(schedule.due(at(0)), Some(Due::Expired(_, Reason::Age))), "{is_owed}");
    }
}
