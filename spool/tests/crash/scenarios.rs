//! What a queue does, each alone, with the power cut everywhere.

use std::collections::BTreeSet;

use pillarbox_spool::{Notices, Outcome, Report};

use crate::audit::{Budget, audit};
use crate::support::report;
use crate::world::World;

fn check(scenario: &str, world: &World, at_least: usize) {
    let disks = audit(scenario, world, Budget::default());
    println!("{scenario}: {disks} disks");
    assert!(disks >= at_least, "{scenario}: only {disks} disks");
}

// DUR-03, DUR-04
#[test]
fn accept() {
    let mut world = World::new();
    for octets in [0, 10, 600, 1000] {
        world.accept(octets, 1);
    }
    check("accept", &world, 100);
}

// DUR-02
#[test]
fn accept_into_a_new_segment() {
    let mut world = World::new();
    world.accept(900, 1);
    world.accept(900, 1);
    world.accept(900, 1);
    world.now_it_begins();
    world.accept(900, 1);
    world.accept(300, 2);
    check("accept into a new segment", &world, 30);
}

// DUR-05
#[test]
fn a_hundred_recipients() {
    let mut world = World::new();
    let id = world.accept(100, 100).unwrap();
    for from in (0..100).step_by(25) {
        let outcomes: Vec<_> = (from..from + 25).map(|n| (n, Outcome::Delivered)).collect();
        world.report(report(id, &outcomes));
    }
    check("a hundred recipients", &world, 100);
}

#[test]
fn large_body() {
    let mut world = World::new();
    let id = world.accept(3000, 1).unwrap();
    world.accept(1001, 2);
    world.report(report(id, &[(0, Outcome::Delivered)]));
    world.tend();
    world.accept(5000, 1);
    check("large body", &world, 200);
}

/// The client goes away before the end, and nobody commits.
// DUR-08
#[test]
fn large_body_given_up() {
    let mut world = World::new();
    world.accept(100, 1);
    drop(world.receive(3000, 1));
    world.accept(100, 1);
    check("large body given up", &world, 30);
}

// DUR-10
#[test]
fn two_sessions_in_one_sync() {
    let mut world = World::new();
    world.accept(10, 1);
    for _ in 0..3 {
        let all: Vec<_> = [600, 20, 2000].map(|octets| world.receive(octets, 2).unwrap()).into();
        let under_way: Vec<_> = all.into_iter().map(|change| world.begin(vec![change])).collect();
        for under_way in under_way {
            world.end(under_way);
        }
    }
    check("two sessions in one sync", &world, 300);
}

// RTY-02, RST-08
#[test]
fn mixed_results() {
    let mut world = World::new();
    let id = world.accept(500, 4).unwrap();
    let other = world.accept(10, 1).unwrap();
    world.now_it_begins();
    world.report(report(id, &[(0, Outcome::Delivered), (1, Outcome::Delayed), (2, Outcome::Relayed)]));
    world.report(report(other, &[(0, Outcome::Delayed)]));
    world.report(report(id, &[(1, Outcome::Delayed), (3, Outcome::Expanded)]));
    world.hold(id, true);
    world.hold(id, false);
    world.report(report(id, &[(1, Outcome::Delivered)]));
    world.delete(other);
    check("mixed results", &world, 60);
}

/// A recipient fails for good: the news and the notice to the sender are there together, or neither.
#[test]
fn expiry() {
    let mut world = World::new();
    let id = world.accept(500, 2).unwrap();
    world.report(report(id, &[(0, Outcome::Delivered)]));
    world.now_it_begins();
    let late = Notices { delay: true, ..Notices::default() };
    let mut notice = Report::new(id);
    notice.noticed(1, late);
    world.bounce(notice, 700);
    let mut failed = report(id, &[(1, Outcome::Failed)]);
    failed.noticed(1, Notices { failure: true, ..Notices::default() });
    world.bounce(failed, 1500);
    world.tend();
    world.accept(100, 1);
    check("expiry", &world, 100);
}

/// A sender is told: the notice is there with the news that it tells, or neither is; in the log, in a file of its own, and where
/// it is the first thing in a segment.
// DSN-11
#[test]
fn bounce_creation() {
    let mut world = World::new();
    let id = world.accept(500, 4).unwrap();
    world.now_it_begins();
    for (recipient, octets) in [(0, 300), (1, 1800), (2, 900), (3, 900)] {
        let mut failed = report(id, &[(recipient, Outcome::Failed)]);
        failed.recipients[0].notices = Notices { failure: true, ..Notices::default() };
        assert!(world.bounce(failed, octets));
    }
    check("bounce creation", &world, 150);
}

/// A message for an alias turns into others, one of them with a file of its own: it is there, or all of them are.
// DUR-05
#[test]
fn sent_on() {
    let mut world = World::new();
    let id = world.accept(500, 3).unwrap();
    world.now_it_begins();
    for (recipient, octets) in [(0, &[400][..]), (1, &[400, 2500]), (2, &[900, 900, 900])] {
        assert!(world.send_on(report(id, &[(recipient, Outcome::Relayed)]), octets));
    }
    check("sent on", &world, 150);
}

/// What was released is owed a try, wherever its record is carried to, until it has had it.
#[test]
fn released_and_not_tried() {
    let mut world = World::new();
    let stuck = world.accept(300, 1).unwrap();
    world.hold(stuck, true);
    world.now_it_begins();
    world.hold(stuck, false);
    let mut moved = 0;
    for _ in 0..12 {
        let id = world.accept(800, 1).unwrap();
        world.report(report(id, &[(0, Outcome::Delivered)]));
        moved += world.tend();
    }
    assert!(moved > 2, "{moved}");
    world.report(report(stuck, &[(0, Outcome::Delayed)]));
    world.accept(100, 1);
    check("released and not tried", &world, 300);
}

/// The same with recipients that go different ways: each is owed a try of its own, also where it is carried forward in between.
#[test]
fn released_and_some_not_tried() {
    let mut world = World::new();
    let stuck = world.accept(300, 10).unwrap();
    world.report(report(stuck, &[(3, Outcome::Delivered)]));
    world.hold(stuck, true);
    world.now_it_begins();
    world.hold(stuck, false);
    world.report(report(stuck, &[(0, Outcome::Delayed), (8, Outcome::Delivered)]));
    let mut moved = 0;
    for _ in 0..12 {
        let id = world.accept(800, 1).unwrap();
        world.report(report(id, &[(0, Outcome::Delivered)]));
        moved += world.tend();
    }
    assert!(moved > 2, "{moved}");
    let others: Vec<_> = [1, 2, 4, 5, 6, 7, 9].map(|recipient| (recipient, Outcome::Delayed)).into();
    world.report(report(stuck, &others[..6]));
    world.report(report(stuck, &others[6..]));
    world.accept(100, 1);
    check("released and some not tried", &world, 300);
}

/// The power fails again at every change of a start, after everything that a first cut may have left.
#[test]
fn recovery_cut_again() {
    let mut world = World::new();
    let stuck = world.accept(300, 2).unwrap();
    for octets in [800, 2000] {
        let id = world.accept(octets, 1).unwrap();
        world.report(report(id, &[(0, Outcome::Delivered)]));
    }
    world.now_it_begins();
    let all: Vec<_> = [600, 1500].map(|octets| world.receive(octets, 2).unwrap()).into();
    let under_way: Vec<_> = all.into_iter().map(|change| world.begin(vec![change])).collect();
    for under_way in under_way {
        world.end(under_way);
    }
    world.report(report(stuck, &[(1, Outcome::Delivered)]));
    world.tend();
    let budget = Budget { per_cut: 12, again_every: 1, per_second_cut: 6 };
    let disks = audit("recovery cut again", &world, budget);
    println!("recovery cut again: {disks} disks");
    assert!(disks > 5000, "only {disks} disks");
}

#[test]
fn carrying_forward() {
    let mut world = World::new();
    let stuck = world.accept(300, 3).unwrap();
    world.report(report(stuck, &[(0, Outcome::Delivered), (1, Outcome::Delayed)]));
    let large = world.accept(2000, 1).unwrap();
    world.hold(large, true);
    let mut moved = 0;
    for n in 0..30 {
        let id = world.accept(800, 1).unwrap();
        world.report(report(id, &[(0, Outcome::Delivered)]));
        if n == 5 {
            world.now_it_begins();
        }
        moved += world.tend();
        if n % 7 == 0 {
            world.report(report(stuck, &[(1, Outcome::Delayed)]));
        }
    }
    assert!(moved > 10, "{moved}");
    check("carrying forward", &world, 2000);
}

#[test]
fn segment_deletion() {
    let mut world = World::new();
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.extend(world.accept(800, 1));
    }
    world.now_it_begins();
    for id in ids {
        world.report(report(id, &[(0, Outcome::Delivered)]));
        world.tend();
    }
    assert!(world.store.usage().segments < 4, "{:?}", world.store.usage());
    world.accept(100, 1);
    world.tend();
    check("segment deletion", &world, 300);
}

/// A report is under way while its message is carried forward.
#[test]
fn carrying_forward_beside_a_report() {
    let mut world = World::new();
    let stuck = world.accept(300, 2).unwrap();
    for _ in 0..12 {
        let id = world.accept(800, 1).unwrap();
        world.report(report(id, &[(0, Outcome::Delivered)]));
    }
    world.now_it_begins();
    let news = world.news(report(stuck, &[(0, Outcome::Delivered)]));
    let under_way = world.begin(vec![news]);
    world.tend();
    world.end(under_way);
    world.tend();
    world.accept(100, 1);
    world.tend();
    check("carrying forward beside a report", &world, 60);
}

/// Each change fails once, having happened or not; then the power fails.
// DSK-02, DSK-05, DSK-06
#[test]
fn after_an_error() {
    let mut disks = 0;
    let mut faults = BTreeSet::new();
    for carried_out in [false, true] {
        for n in 0.. {
            let mut world = World::new();
            let stuck = world.accept(200, 2).unwrap();
            for _ in 0..7 {
                let id = world.accept(800, 1).unwrap();
                world.report(report(id, &[(0, Outcome::Delivered)]));
            }
            world.now_it_begins();
            let errno = [nix::errno::Errno::EIO, nix::errno::Errno::ENOSPC][n % 2];
            world.fs.fail_at(n, errno as i32, carried_out);
            world.report(report(stuck, &[(0, Outcome::Delayed)]));
            let all: Vec<_> = [300, 1500].into_iter().filter_map(|octets| world.receive(octets, 1)).collect();
            let under_way: Vec<_> = all.into_iter().map(|change| world.begin(vec![change])).collect();
            for under_way in under_way {
                world.end(under_way);
            }
            world.tend();
            world.accept(700, 1);
            let is_over = world.fs.heal();
            assert!(world.accept(100, 1).is_some(), "the fault is gone, and the next message comes in");
            world.tend();
            let budget = Budget { per_cut: 12, again_every: 101, ..Budget::default() };
            disks += audit(&format!("error at change {n}, carried out: {carried_out}"), &world, budget);
            if is_over {
                break;
            }
            faults.insert((n, carried_out));
        }
    }
    println!("after an error: {} errors, {disks} disks", faults.len());
    assert!(faults.len() > 30 && disks > 3000, "{} errors, {disks} disks", faults.len());
}

/// The process ends before it could sync what it wrote. Another one finds that and builds on it; then the power fails.
#[test]
fn after_the_end_of_a_process() {
    let mut disks = 0;
    for n in 0..14 {
        let mut world = World::new();
        let id = world.accept(200, 2).unwrap();
        world.now_it_begins();
        // What comes behind this change comes from a process that is about to end.
        world.fs.fail_at(n, nix::errno::Errno::EIO as i32, true);
        world.report(report(id, &[(0, Outcome::Delivered)]));
        world.accept(1500, 1);
        world.accept(300, 1);
        if world.fs.heal() {
            break;
        }
        world.restart(100 + n as u64);
        world.now_it_begins();
        world.accept(100, 1);
        for id in world.ledger.waiting() {
            world.report(report(id, &[(0, Outcome::Delivered)]));
        }
        world.tend();
        let budget = Budget { per_cut: 30, ..Budget::default() };
        disks += audit(&format!("process ended at change {n}"), &world, budget);
    }
    assert!(disks > 500, "{disks} disks");
}
