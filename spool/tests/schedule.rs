//! Days of a queue in milliseconds: the clock is a number.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pillarbox_core::address::ReversePath;
use pillarbox_core::{EnhancedCode, Random, SeededRandom, Time, WallTime};
use pillarbox_spool::{
    Attempted, ByMode, DeliverBy, Due, Fault, Health, Item, Lanes, MessageId, NextTry, Reason, Schedule,
    ScheduleOptions, Selector, Task,
};
use support::envelope;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The date at the origin of time.
const WALL: i64 = 1_700_000_000;

fn schedule() -> Schedule {
    Schedule::new(ScheduleOptions::default(), SeededRandom::new(1))
}

fn id(n: u16) -> MessageId {
    MessageId::new(WallTime::new(WALL, 0), n, 0)
}

fn item(n: u16, destination: &str) -> Item {
    Item::new(id(n), &envelope(1)).route(destination, [0])
}

fn at(seconds: u64) -> Time {
    Time::from_origin(Duration::from_secs(seconds))
}

fn insert(schedule: &mut Schedule, item: Item) {
    assert!(schedule.insert(Time::ZERO, WallTime::new(WALL, 0), item));
}

fn attempt(schedule: &mut Schedule, now: Time) -> Option<Task> {
    match schedule.due(now) {
        Some(Due::Attempt(task)) => Some(task),
        None => None,
        other => panic!("{other:?}"),
    }
}

fn attempts(schedule: &mut Schedule, now: Time) -> Vec<Task> {
    std::iter::from_fn(|| attempt(schedule, now)).collect()
}

fn later(health: Health) -> Attempted {
    Attempted::none(health, Fault { code: 450, status: None })
}

/// A destination that refuses connections for ever.
// RTY-01, RTY-05
#[test]
fn a_dead_destination_for_five_days() {
    let mut schedule = schedule();
    insert(&mut schedule, item(1, "dead.example"));
    let (mut now, mut waits, mut notices, mut tried) = (Time::ZERO, Vec::new(), Vec::new(), Time::ZERO);
    let end = loop {
        match schedule.due(now) {
            Some(Due::Attempt(task)) => {
                assert_eq!((task.id, &*task.destination, &task.recipients[..]), (id(1), "dead.example", &[0][..]));
                waits.push(now.since(tried).as_secs_f64());
                tried = now;
                schedule.report(now, &task, later(Health::Trouble));
            }
            Some(Due::Late(late, recipients, reason)) => {
                assert_eq!((late, &recipients[..], reason), (id(1), &[0][..], Reason::Age));
                notices.push(now.since_origin());
            }
            Some(Due::Expired(task, Reason::Age)) => break (now, task),
            None => now = schedule.deadline().unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(waits[0], 0.0, "the first try is at once");
    for (n, wait) in waits[1..].iter().enumerate() {
        let expected = (300.0 * f64::from(1 << n.min(10) as u32)).min(4000.0);
        assert!((0.8..=1.2).contains(&(wait / expected)), "wait {n} is {wait} s in place of {expected}");
    }
    assert!((100..150).contains(&waits.len()), "{} attempts", waits.len());
    assert_eq!(notices, [4 * HOUR], "exactly one notice");
    let (now, task) = end;
    assert_eq!(now.since_origin(), 5 * DAY);
    // The notice could not be made durable: the disk is full. It is tried again.
    schedule.report(now, &task, Attempted::default());
    assert_eq!(schedule.due(now), None);
    let now = schedule.deadline().unwrap();
    let Some(Due::Expired(task, _)) = schedule.due(now) else { panic!("it is given up still") };
    schedule.report(now, &task, Attempted::all(&task));
    assert!(schedule.is_empty());
    assert_eq!((schedule.due(now), schedule.deadline()), (None, None));
}

// RTY-02, RTY-03
#[test]
fn only_those_are_tried_again_that_were_not_done() {
    let mut schedule = schedule();
    let both = Item::new(id(1), &envelope(4)).route("a.example", [0, 2, 3]).route("b.example", [1]);
    insert(&mut schedule, both);
    let tasks = attempts(&mut schedule, Time::ZERO);
    assert_eq!(tasks.iter().map(|task| task.recipients.len()).sum::<usize>(), 4);
    for task in tasks {
        let mut attempted = later(Health::Good);
        // Two are refused for good and one is delivered: all are done.
        attempted.done = if &*task.destination == "a.example" { vec![0, 3] } else { vec![1] };
        schedule.report(Time::ZERO, &task, attempted);
    }
    let next = schedule.deadline().unwrap();
    let task = attempt(&mut schedule, next).unwrap();
    assert_eq!((&task.recipients[..], &*task.destination, task.attempts), (&[2][..], "a.example", 1));
    schedule.report(next, &task, Attempted::all(&task));
    assert!(schedule.is_empty());
}

/// What waits for a dead destination costs one attempt at a time, and nobody else notices.
// RTY-04, RTY-06
#[test]
fn a_dead_destination_with_ten_thousand_messages() {
    let mut schedule = schedule();
    for n in 0..10_000 {
        insert(&mut schedule, item(n, "dead.example"));
    }
    for n in 10_000..10_100 {
        insert(&mut schedule, item(n, &format!("good{n}.example")));
    }
    // They take turns: the good ones do not stand behind the ten thousand.
    let first = attempts(&mut schedule, Time::ZERO);
    let dead = first.iter().filter(|task| &*task.destination == "dead.example").count();
    assert_eq!((first.len(), dead), (105, 5), "nothing is known yet, so a few at once");
    for task in &first {
        let is_dead = &*task.destination == "dead.example";
        let attempted = if is_dead { later(Health::Trouble) } else { Attempted::all(task) };
        schedule.report(Time::ZERO, task, attempted);
    }
    assert_eq!(attempts(&mut schedule, Time::ZERO), [], "it is left alone");
    let (mut now, mut probes) = (Time::ZERO, 0);
    while now < at(4 * 3600) {
        now = schedule.deadline().unwrap();
        while let Some(due) = schedule.due(now) {
            let Due::Attempt(task) = due else { continue };
            probes += 1;
            assert_eq!(attempts(&mut schedule, now), [], "one finds out for all");
            // Something else comes, and is tried at once.
            schedule.insert(now, WallTime::new(WALL, 0), item(20_000, "other.example"));
            let other = attempt(&mut schedule, now).unwrap();
            schedule.report(now, &other, Attempted::all(&other));
            schedule.report(now, &task, later(Health::Trouble));
        }
    }
    assert!((3..12).contains(&probes), "{probes} attempts in four hours");
}

/// What keeps others waiting gets only the room that the caller leaves for it, until it answers.
// RTY-06
#[test]
fn destinations_in_doubt_have_a_lane_of_their_own() {
    let mut schedule = schedule();
    for n in 0..20 {
        insert(&mut schedule, item(n, &format!("slow{}.example", n % 10)));
    }
    let (sound, doubtful) = (Lanes { sound: true, doubtful: false }, Lanes { sound: false, doubtful: true });
    let take = |schedule: &mut Schedule, lanes| match schedule.due_of(Time::ZERO, lanes) {
        Some(Due::Attempt(task)) => Some(task),
        None => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(take(&mut schedule, doubtful), None, "nothing is known yet");
    let first: Vec<Task> = (0..10).map(|_| take(&mut schedule, sound).unwrap()).collect();
    first.iter().for_each(|task| schedule.is_slow(Time::ZERO, task));
    assert_eq!((take(&mut schedule, sound), schedule.deadline_of(sound) > Some(at(3600))), (None, true));
    insert(&mut schedule, item(100, "good.example"));
    let good = take(&mut schedule, sound).unwrap();
    assert_eq!((&*good.destination, good.is_doubtful), ("good.example", false));
    let second = take(&mut schedule, doubtful).unwrap();
    assert!(second.is_doubtful && schedule.deadline_of(doubtful) == Some(Time::ZERO));
    // One of them answers after all.
    schedule.report(Time::ZERO, &second, Attempted::all(&second));
    let other = first.iter().find(|task| task.destination == second.destination).unwrap();
    schedule.report(Time::ZERO, other, Attempted::all(other));
    insert(&mut schedule, item(101, &second.destination));
    assert_eq!(take(&mut schedule, sound).map(|task| task.destination), Some(second.destination));
    // Another fails: that it is in doubt stays.
    schedule.report(Time::ZERO, &first[9], later(Health::Trouble));
    let probe = schedule.deadline_of(doubtful).unwrap();
    assert_eq!(probe, Time::ZERO, "the other eight have something still");
    let selected = schedule.select(Time::ZERO, Selector::Destination("slow9.example"));
    assert!(selected.iter().all(|(_, held)| !held) && !selected.is_empty(), "{selected:?}");
}

#[test]
fn a_destination_that_is_well_gets_more_and_one_that_comes_back_gets_all() {
    let mut schedule = schedule();
    for n in 0..200 {
        insert(&mut schedule, item(n, "good.example"));
    }
    let mut widths = Vec::new();
    let mut tried = 0;
    while tried < 150 {
        let tasks = attempts(&mut schedule, Time::ZERO);
        widths.push(tasks.len());
        tried += tasks.len();
        for task in tasks {
            schedule.report(Time::ZERO, &task, Attempted::all(&task));
        }
    }
    assert_eq!(widths, [5, 10, 20, 20, 20, 20, 20, 20, 20]);
    // Trouble: fewer and fewer.
    let mut widths = Vec::new();
    for _ in 0..4 {
        let tasks = attempts(&mut schedule, Time::ZERO);
        widths.push(tasks.len());
        for task in tasks.iter().take(1) {
            schedule.report(Time::ZERO, task, later(Health::Trouble));
        }
        for task in tasks.iter().skip(1) {
            schedule.report(Time::ZERO, task, later(Health::Unknown));
        }
    }
    assert_eq!(widths, [20, 10, 5, 2]);
    let mut now = schedule.deadline().unwrap();
    let probe = attempt(&mut schedule, now).unwrap();
    schedule.report(now, &probe, Attempted::all(&probe));
    let mut done = 0;
    while !schedule.is_empty() {
        for task in attempts(&mut schedule, now) {
            done += 1;
            schedule.report(now, &task, Attempted::all(&task));
        }
        now = schedule.deadline().unwrap_or(now);
    }
    assert_eq!(done, 200 - 155 - 1);
}

#[test]
fn a_limit_of_its_own() {
    let mut schedule = schedule();
    schedule.set_limit(Time::ZERO, "small.example", 2);
    for n in 0..10 {
        insert(&mut schedule, item(n, "small.example"));
    }
    let tasks = attempts(&mut schedule, Time::ZERO);
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        schedule.report(Time::ZERO, &task, Attempted::all(&task));
    }
    assert_eq!(attempts(&mut schedule, Time::ZERO).len(), 2, "it does not grow");
    schedule.set_limit(Time::ZERO, "small.example", 0);
    assert_eq!(schedule.len(), 8);
}

/// Destinations take turns, and more important messages go first.
// RFC 6710 §4.1
#[test]
fn turns_and_priorities() {
    let mut schedule = schedule();
    for n in 0..3 {
        insert(&mut schedule, item(n, "a.example"));
        insert(&mut schedule, item(100 + n, "b.example"));
    }
    let mut urgent = item(200, "a.example");
    urgent.priority = 4;
    let mut bulk = item(201, "c.example");
    bulk.priority = -4;
    insert(&mut schedule, bulk);
    insert(&mut schedule, urgent);
    let order: Vec<_> = attempts(&mut schedule, Time::ZERO).into_iter().map(|task| task.id).collect();
    assert_eq!((order[0], order[7]), (id(200), id(201)));
    let names: Vec<bool> = order[1..7].iter().map(|known| *known < id(100)).collect();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "in turns: {order:?}");
}

/// A message waits as long as its sender wants, and that does not make it old.
// RFC 4865
#[test]
fn future_release() {
    let mut schedule = schedule();
    let mut held = item(1, "a.example");
    held.hold_until = Some(WALL + 10 * 24 * 3600);
    insert(&mut schedule, held);
    assert_eq!(schedule.deadline(), Some(at(10 * 24 * 3600)));
    assert_eq!(schedule.due(at(10 * 24 * 3600 - 1)), None);
    assert_eq!(schedule.flush(at(5), Selector::All), [id(1)]);
    assert_eq!(schedule.due(at(6)), None, "nobody can hurry it");
    let task = attempt(&mut schedule, at(10 * 24 * 3600)).unwrap();
    schedule.report(at(10 * 24 * 3600), &task, later(Health::Good));
    assert!(matches!(schedule.due(at(10 * 24 * 3600 + 4 * 3600)), Some(Due::Late(..))));
}

// RFC 2852 §4.1.3
#[test]
fn deliver_by() {
    for (mode, is_returned) in [(ByMode::Return, true), (ByMode::Notify, false)] {
        let mut schedule = schedule();
        let mut urgent = item(1, "a.example");
        let deadline = WallTime::new(WALL + 120, 0);
        urgent.deliver_by = Some(DeliverBy { deadline, mode, trace: false });
        insert(&mut schedule, urgent);
        let task = attempt(&mut schedule, Time::ZERO).unwrap();
        schedule.report(Time::ZERO, &task, later(Health::Good));
        assert_eq!(schedule.deadline(), Some(at(120)), "before the next attempt");
        match schedule.due(at(120)) {
            Some(Due::Expired(task, Reason::DeliverBy)) if is_returned => {
                schedule.report(at(120), &task, Attempted::all(&task));
                assert!(schedule.is_empty());
            }
            Some(Due::Late(_, recipients, Reason::DeliverBy)) if !is_returned => {
                assert_eq!(recipients, [0]);
                // It goes on, and its sender is told once.
                let mut now = at(120);
                while now < at(5 * 24 * 3600) {
                    match schedule.due(now) {
                        Some(Due::Attempt(task)) => schedule.report(now, &task, later(Health::Good)),
                        None => now = schedule.deadline().unwrap(),
                        other => panic!("{other:?}"),
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_expires_while_it_is_tried_is_given_up_after_that() {
    let mut schedule = schedule();
    let mut urgent = item(1, "a.example");
    let deadline = WallTime::new(WALL + 60, 0);
    urgent.deliver_by = Some(DeliverBy { deadline, mode: ByMode::Return, trace: false });
    insert(&mut schedule, urgent.clone());
    let task = attempt(&mut schedule, Time::ZERO).unwrap();
    assert_eq!(schedule.due(at(61)), None);
    schedule.report(at(62), &task, later(Health::Good));
    assert!(matches!(schedule.due(at(62)), Some(Due::Expired(..))));
    // The other way round it was in time.
    let mut schedule = self::schedule();
    insert(&mut schedule, urgent);
    let task = attempt(&mut schedule, Time::ZERO).unwrap();
    assert_eq!(schedule.due(at(61)), None);
    schedule.report(at(62), &task, Attempted::all(&task));
    assert!(schedule.is_empty());
}

/// A notice of the usual delay, which may not have been wanted, is not the one that the time has passed.
// RFC 2852 §4.1.4
#[test]
fn a_time_that_passes_after_the_usual_delay_is_told() {
    let mut schedule = schedule();
    let mut urgent = item(1, "a.example");
    let deadline = WallTime::new(WALL + 5 * 3600, 0);
    urgent.deliver_by = Some(DeliverBy { deadline, mode: ByMode::Notify, trace: false });
    insert(&mut schedule, urgent);
    let mut told = Vec::new();
    let mut now = Time::ZERO;
    while now < at(24 * 3600) {
        match schedule.due(now) {
            Some(Due::Attempt(task)) => schedule.report(now, &task, later(Health::Good)),
            Some(Due::Late(_, _, reason)) => told.push((now, reason)),
            None => now = schedule.deadline().unwrap(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, [(at(4 * 3600), Reason::Age), (at(5 * 3600), Reason::DeliverBy)]);
}

/// The notice could not be written: it is tried again, but not at once, and for the same reason.
#[test]
fn giving_up_that_fails_is_put_off() {
    let mut schedule = schedule();
    let mut urgent = item(1, "a.example");
    let deadline = WallTime::new(WALL + 60, 0);
    urgent.deliver_by = Some(DeliverBy { deadline, mode: ByMode::Return, trace: false });
    insert(&mut schedule, urgent);
    let task = attempt(&mut schedule, Time::ZERO).unwrap();
    schedule.report(Time::ZERO, &task, later(Health::Good));
    let Some(Due::Expired(task, _)) = schedule.due(at(60)) else { panic!("it is over") };
    schedule.report(at(60), &task, later(Health::Unknown));
    assert_eq!(schedule.due(at(60)), None);
    let next = schedule.deadline().unwrap();
    assert!(next > at(61), "{next:?}");
    assert!(matches!(schedule.due(next), Some(Due::Expired(_, Reason::DeliverBy))));
}

/// A message that was waiting before a start: its age and its attempts count.
// RST-04
#[test]
fn after_a_start() {
    let mut schedule = schedule();
    let wall = WallTime::new(WALL + 3 * 3600, 0);
    let mut old = item(1, "a.example");
    (old.attempts, old.last_attempt) = (3, Some(WALL + 3 * 3600 - 60));
    assert!(schedule.insert(Time::ZERO, wall, old.clone()));
    assert!(!schedule.insert(Time::ZERO, wall, old), "it is there already");
    let next = schedule.deadline().unwrap().since_origin().as_secs();
    assert!((1200 * 8 / 10 - 60..=1200 * 12 / 10 - 60).contains(&next), "{next}");
    assert!(matches!(schedule.due(at(3600)), Some(Due::Late(..))), "four hours old");
    let mut very_old = item(2, "a.example");
    very_old.received = WALL - 6 * 24 * 3600;
    very_old.is_noticed = true;
    schedule.insert(Time::ZERO, wall, very_old);
    assert!(matches!(schedule.due(Time::ZERO), Some(Due::Expired(task, Reason::Age)) if task.id == id(2)));
}

#[test]
fn the_null_path_is_told_nothing() {
    let mut notice = envelope(1);
    notice.from = ReversePath::Null;
    let mut schedule = schedule();
    insert(&mut schedule, Item::new(id(1), &notice).route("a.example", [0]));
    let mut now = Time::ZERO;
    loop {
        match schedule.due(now) {
            Some(Due::Attempt(task)) => schedule.report(now, &task, later(Health::Good)),
            Some(Due::Expired(..)) => break,
            None => now = schedule.deadline().unwrap(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(now.since_origin(), 5 * DAY);
}

/// One lease for each recipient, whatever an operator does.
// RTY-09
#[test]
fn flush_beside_an_attempt() {
    let mut schedule = schedule();
    insert(&mut schedule, item(1, "a.example"));
    let task = attempt(&mut schedule, Time::ZERO).unwrap();
    assert_eq!(schedule.flush(Time::ZERO, Selector::All), [id(1)]);
    assert_eq!(schedule.due(at(1)), None);
    schedule.report(at(1), &task, later(Health::Trouble));
    assert_eq!(schedule.due(at(2)), None);
    schedule.flush(at(2), Selector::Id(id(1)));
    let again = attempt(&mut schedule, at(2)).unwrap();
    schedule.report(at(2), &task, Attempted::all(&task));
    assert_eq!((schedule.len(), attempts(&mut schedule, at(3)).len()), (0, 0), "a task is a task, whoever reports it");
    schedule.report(at(3), &again, Attempted::all(&again));
}

#[test]
fn hold_release_requeue_delete_by_what_is_meant() {
    let build = || {
        let mut schedule = schedule();
        for n in 0..4 {
            insert(&mut schedule, item(n, if n < 2 { "a.example" } else { "b.example" }));
        }
        let mut other = item(4, "b.example");
        (other.sender, other.received) = (None, WALL - 7200);
        insert(&mut schedule, other);
        for task in attempts(&mut schedule, Time::ZERO) {
            let code = if &*task.destination == "a.example" { 450 } else { 421 };
            let status = Some(EnhancedCode::new(4, 2, code % 10));
            schedule.report(Time::ZERO, &task, Attempted::none(Health::Good, Fault { code, status }));
        }
        schedule
    };
    let all = [0, 1, 2, 3, 4];
    let named = [3, 9, 1, 3].map(id);
    for (selector, meant) in [
        (Selector::All, &all[..]),
        (Selector::Id(id(3)), &[3]),
        (Selector::Id(id(9)), &[]),
        (Selector::Ids(&named), &[1, 3]),
        (Selector::Sender(Some("sender@example.org")), &[0, 1, 2, 3]),
        (Selector::Sender(None), &[4]),
        (Selector::Destination("b.example"), &[2, 3, 4]),
        (Selector::OlderThan(2 * HOUR), &[4]),
        (Selector::OlderThan(3 * HOUR), &[]),
        (Selector::Code(450), &[0, 1]),
        (Selector::Code(0), &[]),
        (Selector::Status(EnhancedCode::new(4, 2, 1)), &[2, 3, 4]),
    ] {
        let meant: Vec<MessageId> = meant.iter().map(|n| id(*n)).collect();
        let rest = all.len() - meant.len();
        let ids = |tasks: Vec<Task>| tasks.into_iter().map(|task| task.id).collect::<BTreeSet<_>>();
        let mut schedule = build();
        assert_eq!(schedule.flush(at(1), selector), meant, "{selector:?}");
        assert_eq!(ids(attempts(&mut schedule, at(1))), meant.iter().copied().collect(), "flush {selector:?}");

        let mut schedule = build();
        assert_eq!(schedule.requeue(at(1), selector), meant);
        let tasks = attempts(&mut schedule, at(1));
        assert!(tasks.iter().all(|task| task.attempts == 0));
        assert_eq!(tasks.len(), meant.len(), "requeue {selector:?}");

        let mut schedule = build();
        assert_eq!(schedule.hold(at(1), selector), meant);
        assert_eq!(schedule.hold(at(1), selector), [], "they are held");
        assert_eq!(attempts(&mut schedule, at(3000)).len(), rest, "hold {selector:?}");
        assert_eq!(schedule.release(at(3000), selector), meant);
        assert_eq!(attempts(&mut schedule, at(3000)).len(), meant.len(), "release {selector:?}");

        let mut schedule = build();
        assert_eq!(schedule.delete(at(1), selector), meant);
        assert_eq!((schedule.len(), attempts(&mut schedule, at(3000)).len()), (rest, rest), "delete {selector:?}");
    }
}

/// Work by lot against what must hold: no recipient is with two at once, none is lost, each ends once.
#[test]
fn random_work() {
    for seed in 0..300 {
        let mut random = SeededRandom::new(seed);
        let mut schedule = Schedule::new(ScheduleOptions::default(), SeededRandom::new(seed));
        let mut now = Time::ZERO;
        let mut open: BTreeMap<(MessageId, u32), bool> = BTreeMap::new();
        let mut away: Vec<Task> = Vec::new();
        let mut held: BTreeSet<MessageId> = BTreeSet::new();
        let mut doomed: BTreeSet<MessageId> = BTreeSet::new();
        let mut count = 0;
        for step in 0..400 {
            let wall = WallTime::new(WALL + now.since_origin().as_secs() as i64, 0);
            match if step < 250 { random.below(12) } else { 4 + random.below(5) } {
                0..=2 => {
                    count += 1;
                    let recipients = 1 + random.below(4) as u32;
                    let mut item = Item::new(id(count), &envelope(recipients as usize));
                    item.received = wall.unix_seconds();
                    item.priority = random.below(3) as i8 - 1;
                    for recipient in 0..recipients {
                        item = item.route(format!("d{}.example", random.below(4)), [recipient]);
                        open.insert((id(count), recipient), false);
                    }
                    assert!(schedule.insert(now, wall, item));
                }
                3 if count > 0 => {
                    let selector = Selector::Id(id(1 + random.below(u64::from(count)) as u16));
                    match random.below(4) {
                        0 => held.extend(schedule.hold(now, selector)),
                        1 => schedule.release(now, selector).iter().for_each(|id| {
                            held.remove(id);
                        }),
                        2 => drop(schedule.flush(now, selector)),
                        _ => doomed.extend(schedule.delete(now, selector)),
                    }
                    for gone in &doomed {
                        held.remove(gone);
                        open.retain(|(id, _), is_away| id != gone || *is_away);
                    }
                }
                4 => now = schedule.deadline().unwrap_or(now).max(now),
                5 => now = now + Duration::from_secs(random.below(20_000)),
                6 if !away.is_empty() => {
                    let task = away.swap_remove(random.below(away.len() as u64) as usize);
                    let done: Vec<u32> = task.recipients.iter().copied().filter(|_| random.below(2) == 0).collect();
                    let health = [Health::Good, Health::Trouble, Health::Unknown][random.below(3) as usize];
                    for recipient in &task.recipients {
                        assert_eq!(open.insert((task.id, *recipient), false), Some(true));
                        if done.contains(recipient) || doomed.contains(&task.id) {
                            open.remove(&(task.id, *recipient));
                        }
                    }
                    let mut attempted = Attempted::none(health, Fault::default());
                    attempted.done = done;
                    schedule.report(now, &task, attempted);
                }
                _ => match schedule.due(now) {
                    Some(Due::Attempt(task) | Due::Expired(task, _)) => {
                        for recipient in &task.recipients {
                            assert!(!held.contains(&task.id), "seed {seed}: a held message is tried");
                            let before = open.insert((task.id, *recipient), true);
                            assert_eq!(before, Some(false), "seed {seed}: {} {recipient}", task.id);
                        }
                        away.push(task);
                    }
                    Some(Due::Late(..)) => {}
                    None => assert!(schedule.deadline().is_none_or(|at| at > now), "seed {seed}"),
                    other => panic!("{other:?}"),
                },
            }
            let messages: BTreeSet<MessageId> = open.keys().map(|(id, _)| *id).collect();
            assert_eq!(messages.len(), schedule.len(), "seed {seed}, step {step}");
        }
        // In the end all is delivered.
        schedule.release(now, Selector::All);
        for task in away {
            schedule.report(now, &task, Attempted::all(&task));
            for recipient in &task.recipients {
                open.remove(&(task.id, *recipient));
            }
        }
        while !open.is_empty() {
            match schedule.due(now) {
                Some(Due::Attempt(task) | Due::Expired(task, _)) => {
                    for recipient in &task.recipients {
                        assert_eq!(open.remove(&(task.id, *recipient)), Some(false), "seed {seed}");
                    }
                    schedule.report(now, &task, Attempted::all(&task));
                }
                Some(_) => {}
                None => now = schedule.deadline().expect("something is open"),
            }
        }
        assert_eq!((schedule.len(), schedule.deadline()), (0, None), "seed {seed}");
    }
}

#[test]
fn who_asks_is_told_when_a_message_is_tried_next() {
    let mut schedule = schedule();
    assert_eq!(schedule.next_tries(Time::ZERO, id(1)), []);
    insert(&mut schedule, item(1, "example.com").route("example.net", [1, 2]));
    assert_eq!(
        schedule.next_tries(Time::ZERO, id(1)).into_iter().collect::<BTreeMap<_, _>>(),
        BTreeMap::from([(vec![0], NextTry::In(Duration::ZERO)), (vec![1, 2], NextTry::In(Duration::ZERO))])
    );
    let task = attempt(&mut schedule, Time::ZERO).unwrap();
    let next = |schedule: &Schedule, now| {
        let tries = schedule.next_tries(now, id(1));
        tries.into_iter().find(|(recipients, _)| *recipients == task.recipients).unwrap().1
    };
    assert_eq!(next(&schedule, Time::ZERO), NextTry::Trying);
    schedule.report(Time::ZERO, &task, later(Health::Good));
    let NextTry::In(wait) = next(&schedule, Time::ZERO) else { panic!("it is waiting") };
    assert!((240..=360).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(next(&schedule, at(10)), NextTry::In(wait - Duration::from_secs(10)));
    schedule.hold(at(10), Selector::All);
    assert_eq!(next(&schedule, at(10)), NextTry::Held);
    schedule.release(at(20), Selector::All);
    assert_eq!(next(&schedule, at(20)), NextTry::In(wait - Duration::from_secs(20)));
}
