//! All kinds of work mixed by lot.

use pillarbox_core::{Random, SeededRandom};
use pillarbox_maildir::{FlagChange, Flags, Layout};

use crate::audit::{Budget, audit};
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
        let budget = Budget { per_cut: 8, again_every: 499, per_second_cut: 2 };
        disks += audit(&format!("mixture {seed}"), &world, budget);
        if wanted > STATES {
            eprintln!("{disks} of {wanted} disks, {seed} mixtures");
        }
    }
    println!("mixture: {disks} disks, {seed} mixtures");
}

fn work(seed: u64) -> World {
    let mut random = SeededRandom::new(seed);
    let mut below = move |n: u64| random.next_u64() % n;
    let mut world = World::with(if seed.is_multiple_of(3) { Layout::Fs } else { Layout::MaildirPlusPlus });
    world.create("a", &[]);
    world.create("a/b", &[]);
    for _ in 0..12 {
        let names: Vec<String> = world.ledger.mailboxes_now().into_iter().collect();
        let mailbox = names[below(names.len() as u64) as usize].clone();
        let other = names[below(names.len() as u64) as usize].clone();
        let which = [below(2) as usize, 1 + below(3) as usize];
        let keywords = [["red", "green"], ["blue", "red"]][below(2) as usize];
        match below(12) {
            0 | 1 => drop(world.deliver(&[&mailbox], below(40) as usize)),
            2 if mailbox != other => drop(world.deliver(&[&mailbox, &other], 1)),
            3 | 4 => world.append(&mailbox, Flags::SEEN, &keywords[..below(3) as usize], 1 + below(2) as usize),
            5 => world.store_flags(&mailbox, &which[1..], FlagChange::Add, Flags::FLAGGED, &keywords[1..]),
            6 => world.store_flags(&mailbox, &which, FlagChange::Remove, Flags::SEEN, &keywords[..1]),
            7 => world.expunge(&mailbox, &which[..1]),
            8 if mailbox != other && !world.shares(&mailbox, &other) => world.copy(&mailbox, &which[..1], &other, true),
            9 if mailbox != other && !world.shares(&mailbox, &other) => world.copy(&mailbox, &which, &other, false),
            10 if mailbox != "INBOX" => match below(3) {
                0 => world.delete(&mailbox),
                1 => world.rename(&mailbox, &format!("{}r{}", ["", "deep/"][below(2) as usize], below(1000))),
                _ => world.create(&format!("c{}", below(1000)), &[]),
            },
            _ => drop(world.select(&mailbox)),
        }
    }
    world
}
