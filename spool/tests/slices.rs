//! A million messages and an operator: what is done to all of them is done in slices, and no slice is long.

mod support;

use std::time::Duration;

use pillarbox_core::{SeededRandom, Time, WallTime};
use pillarbox_spool::{Cursor, Item, MessageId, Schedule, ScheduleOptions, Selector};
use support::envelope;

const MESSAGES: u32 = 100_000;
/// Steps of a slice.
const STEPS: usize = 1000;

fn wall() -> WallTime {
    WallTime::new(1_700_000_000, 0)
}

fn id(n: u32) -> MessageId {
    MessageId::new(wall(), u16::try_from(n >> 8).unwrap(), u64::from(n & 0xff))
}

type Slice = fn(&mut Schedule, Time, Selector<'_>, &mut Cursor) -> Vec<MessageId>;

/// Each hundredth message goes two hundred ways, the others one.
fn schedule() -> Schedule {
    let mut schedule = Schedule::new(ScheduleOptions::default(), SeededRandom::new(1));
    let envelope = envelope(1);
    for n in 0..MESSAGES {
        let mut item = Item::new(id(n), &envelope);
        item.hold_until = Some(wall().unix_seconds() + 3600);
        let ways = if n % 100 == 0 { 200 } else { 1 };
        for way in 0..ways {
            item = item.route(format!("host{}.example", (n + way) % 500), [way]);
        }
        assert!(schedule.insert(Time::ZERO, wall(), item));
    }
    schedule
}

#[test]
fn no_slice_takes_more_steps_than_it_may() {
    let mut schedule = schedule();
    let now = Time::from_origin(Duration::from_secs(1));
    for selector in [Selector::All, Selector::Sender(None), Selector::Destination("host7.example"), Selector::Code(450)]
    {
        let whole: Vec<MessageId> = schedule.select(now, selector).into_iter().map(|(id, _)| id).collect();
        let is_all = selector == Selector::All;
        assert!(is_all == (whole.len() == MESSAGES as usize), "{selector:?}: {}", whole.len());
        let slice: [Slice; 3] = [Schedule::flush_slice, Schedule::requeue_slice, |schedule, now, meant, cursor| {
            schedule.select_slice(now, meant, cursor).into_iter().map(|(id, _)| id).collect()
        }];
        for slice in slice {
            let (mut cursor, mut found, mut slices, mut steps) = (Cursor::new(STEPS), Vec::new(), 0, 0);
            while !cursor.is_over() {
                found.extend(slice(&mut schedule, now, selector, &mut cursor));
                // A message is not cut in two: it has two hundred ways.
                assert!(cursor.steps() < STEPS + 201, "{selector:?}: {} steps", cursor.steps());
                (slices, steps) = (slices + 1, steps + cursor.steps());
            }
            assert!(found == whole, "{selector:?}: {} of {}", found.len(), whole.len());
            // Each message and each way once, whatever is meant.
            assert_eq!(steps, MESSAGES as usize / 100 * (99 * 2 + 201), "{selector:?}");
            assert!(slices <= steps / STEPS + 1, "{slices} slices");
            assert!(slice(&mut schedule, now, selector, &mut cursor).is_empty(), "it is over");
        }
    }
}

// What comes and goes between two slices neither ends it nor is looked at twice.
#[test]
fn messages_come_and_go_between_slices() {
    let mut schedule = Schedule::new(ScheduleOptions::default(), SeededRandom::new(1));
    let envelope = envelope(1);
    let item = |n| Item::new(id(n), &envelope).route("a.example", [0]);
    for n in (0..100).step_by(2) {
        schedule.insert(Time::ZERO, wall(), item(n));
    }
    let mut cursor = Cursor::new(20);
    let first = schedule.flush_slice(Time::ZERO, Selector::All, &mut cursor);
    assert_eq!(first, (0..20).step_by(2).map(id).collect::<Vec<_>>());
    schedule.delete(Time::ZERO, Selector::Ids(&[id(18), id(20)]));
    schedule.insert(Time::ZERO, wall(), item(5));
    schedule.insert(Time::ZERO, wall(), item(31));
    let mut rest = Vec::new();
    while !cursor.is_over() {
        rest.extend(schedule.flush_slice(Time::ZERO, Selector::All, &mut cursor));
    }
    let mut expected: Vec<u32> = (22..100).step_by(2).chain([31]).collect();
    expected.sort_unstable();
    assert_eq!(rest, expected.into_iter().map(id).collect::<Vec<_>>());
    // A message by its name, however many ways it goes, is one slice.
    let mut cursor = Cursor::new(1);
    assert_eq!(schedule.flush_slice(Time::ZERO, Selector::Id(id(31)), &mut cursor), [id(31)]);
    assert!(cursor.is_over());
}
