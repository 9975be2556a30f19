//! All kinds of work mixed by lot.

use pillarbox_core::{Random, SeededRandom};
use pillarbox_spool::Outcome;

use crate::audit::{Budget, audit};
use crate::support::report;
use crate::world::World;

/// Disks to look at where `CRASH_STATES` says nothing.
const STATES: usize = 15_000;

#[test]
fn mixture() {
    let wanted = std::env::var("CRASH_STATES").ok().map_or(STATES, |n| n.parse().expect("CRASH_STATES is a number"));
    let (mut disks, mut seed) = (0, 0);
    while disks < wanted {
        seed += 1;
        let world = work(seed);
        let budget = Budget { per_cut: 12, again_every: 499, per_second_cut: 2 };
        disks += audit(&format!("mixture {seed}"), &world, budget);
        if wanted > STATES {
            eprintln!("{disks} of {wanted} disks, {seed} mixtures");
        }
    }
    println!("mixture: {disks} disks, {seed} mixtures");
}

fn work(seed: u64) -> World {
    let mut random = SeededRandom::new(seed);
    let mut below = move |n: u64| random.below(n);
    let mut world = World::new();
    for _ in 0..30 {
        let waiting = world.ledger.waiting();
        let id = (!waiting.is_empty()).then(|| waiting[below(waiting.len() as u64) as usize]);
        let outcomes = [Outcome::Delivered, Outcome::Delayed, Outcome::Failed, Outcome::Relayed];
        match (below(12), id) {
            (0, _) => drop(world.accept(1100 + below(900) as usize, 1)),
            (1, _) => {
                let count = 1 + below(3);
                let all: Vec<_> =
                    (0..count).filter_map(|_| world.receive(below(700) as usize, 1 + below(3) as usize)).collect();
                let under_way: Vec<_> = all.into_iter().map(|change| world.begin(vec![change])).collect();
                for under_way in under_way {
                    world.end(under_way);
                }
            }
            (2, Some(id)) => drop(world.hold(id, below(2) == 0)),
            (3, Some(id)) => drop(world.delete(id)),
            (4, Some(id)) => drop(world.bounce(report(id, &[(0, Outcome::Failed)]), 300)),
            (5, _) => drop(world.tend()),
            (6..=9, Some(id)) => {
                let outcome = outcomes[below(4) as usize];
                world.report(report(id, &[(0, outcome)]));
            }
            _ => drop(world.accept(below(900) as usize, 1 + below(2) as usize)),
        }
    }
    world
}
