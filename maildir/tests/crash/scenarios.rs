//! One kind of work each, with a power cut after every change.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use pillarbox_fs::Fs;
use pillarbox_maildir::{Access, FlagChange, Flags, Layout, Mailbox};

use crate::audit::{Budget, audit};
use crate::world::World;

/// Runs the audit, and shows how many disks were looked at.
fn check(scenario: &str, world: &World, least: usize) {
    let disks = audit(scenario, world, Budget::default());
    println!("{scenario}: {disks} disks");
    assert!(disks >= least, "{scenario}: only {disks} disks");
}

/// The same work where the mailboxes lie beside each other, and where they lie in each other.
fn in_both_layouts(scenario: &str, least: usize, work: impl Fn(&mut World)) {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let mut world = World::with(layout);
        work(&mut world);
        check(&format!("{scenario}, {layout:?}"), &world, least);
    }
}

// MDR-02, MDR-03
#[test]
fn deliver() {
    let mut world = World::new();
    world.deliver(&["INBOX"], 3);
    world.deliver(&["INBOX"], 120);
    world.deliver(&["INBOX"], 0);
    check("deliver", &world, 300);
}

#[test]
fn deliver_to_several() {
    let mut world = World::new();
    world.create("a", &[]);
    world.create("b", &[]);
    world.now_it_begins();
    world.deliver(&["INBOX", "a", "b"], 3);
    check("deliver to several", &world, 500);
}

// MDR-04
#[test]
fn append_with_flags() {
    let mut world = World::new();
    world.append("INBOX", Flags::NONE, &[], 1);
    world.append("INBOX", Flags::SEEN | Flags::FLAGGED, &["work"], 2);
    world.append("INBOX", Flags::NONE, &["home", "work"], 1);
    check("append with flags", &world, 1000);
}

// MDR-07
#[test]
fn store_flags() {
    let mut world = World::new();
    for _ in 0..3 {
        world.deliver(&["INBOX"], 1);
    }
    world.select("INBOX");
    world.now_it_begins();
    world.store_flags("INBOX", &[0, 1, 2], FlagChange::Add, Flags::SEEN, &["one", "two"]);
    world.store_flags("INBOX", &[1], FlagChange::Remove, Flags::SEEN, &["one"]);
    world.store_flags("INBOX", &[0, 2], FlagChange::Replace, Flags::FLAGGED, &["three"]);
    check("store flags", &world, 1000);
}

// MDR-13
#[test]
fn copy() {
    let mut world = World::new();
    world.create("a", &[]);
    world.append("INBOX", Flags::SEEN, &["word"], 3);
    world.now_it_begins();
    world.copy("INBOX", &[0, 1, 2], "a", false);
    check("copy", &world, 1000);
}

// MDR-13
#[test]
fn move_messages() {
    let mut world = World::new();
    world.create("a", &[]);
    world.append("INBOX", Flags::SEEN, &["word"], 3);
    world.now_it_begins();
    world.copy("INBOX", &[0, 2], "a", true);
    check("move", &world, 1000);
}

/// A message goes when the one that takes its place has come, which looks like it, so that one of them has to be there.
#[test]
fn replace() {
    let mut world = World::new();
    world.create("a", &[]);
    world.append("INBOX", Flags::SEEN, &["word"], 3);
    world.deliver(&["INBOX"], 1);
    world.now_it_begins();
    world.replace("INBOX", 1, "a");
    world.replace("INBOX", 2, "a");
    world.deliver(&["INBOX"], 1);
    check("replace", &world, 1000);
}

// MDR-08
#[test]
fn expunge() {
    let mut world = World::new();
    for _ in 0..4 {
        world.deliver(&["INBOX"], 1);
    }
    world.now_it_begins();
    world.expunge("INBOX", &[0, 2, 3]);
    world.deliver(&["INBOX"], 1);
    world.select("INBOX");
    check("expunge", &world, 1000);
}

#[test]
fn create() {
    in_both_layouts("create", 500, |world| {
        world.create("a", &[]);
        world.create("a/b", &["\\Sent"]);
        world.create("x/y/z", &[]);
        world.deliver(&["a/b"], 1);
        world.append("a", Flags::NONE, &[], 1);
    });
}

// MDR-14
#[test]
fn rename() {
    in_both_layouts("rename", 200, |world| {
        for mailbox in ["a", "a/b", "c"] {
            world.create(mailbox, &[]);
            world.append(mailbox, Flags::SEEN, &["word"], 1);
        }
        world.now_it_begins();
        world.rename("a", "d");
        world.deliver(&["d/b"], 1);
        world.append("d", Flags::NONE, &[], 1);
        world.rename("d", "c/e/f");
        world.deliver(&["c/e/f/b"], 1);
    });
}

// MDR-14
#[test]
fn rename_inbox() {
    let mut world = World::new();
    world.append("INBOX", Flags::SEEN, &["word"], 2);
    world.now_it_begins();
    world.rename_inbox("old");
    world.deliver(&["INBOX"], 1);
    check("rename INBOX", &world, 1000);
}

#[test]
fn delete() {
    in_both_layouts("delete", 1000, |world| {
        world.create("a", &[]);
        world.create("a/b", &[]);
        world.append("a", Flags::SEEN, &["word"], 2);
        world.deliver(&["a"], 1);
        world.append("a/b", Flags::SEEN, &["word"], 1);
        world.now_it_begins();
        world.delete("a");
        world.create("a", &[]);
        world.append("a", Flags::NONE, &["word"], 1);
        world.delete("a/b");
    });
}

/// Every kind of change is written down in `maildirsize`, which is counted anew when its lines are many.
#[test]
fn quota_update() {
    let mut world = World::new();
    world.create("a", &[]);
    world.deliver(&["INBOX"], 3);
    world.limit(600);
    world.now_it_begins();
    world.deliver(&["INBOX", "a"], 1);
    world.append("a", Flags::SEEN, &[], 2);
    world.copy("a", &[0], "INBOX", true);
    world.expunge("a", &[0]);
    world.limit(500);
    world.deliver(&["INBOX"], 2);
    world.delete("a");
    world.limit(500);
    let disks = audit("quota update", &world, Budget { per_cut: 8, ..Budget::default() });
    println!("quota update: {disks} disks");
    assert!(disks >= 5000, "only {disks} disks");
}

#[test]
fn subscribe() {
    in_both_layouts("subscribe", 20, |world| {
        world.subscribe("INBOX", true);
        world.subscribe("a/b", true);
        world.subscribe("INBOX", false);
    });
}

/// What came while nobody looked gets its numbers.
#[test]
fn the_first_look() {
    let mut world = World::new();
    for n in 0..4 {
        world.deliver(&["INBOX"], n);
    }
    world.now_it_begins();
    world.select("INBOX");
    world.deliver(&["INBOX"], 1);
    world.select("INBOX");
    check("the first look", &world, 1000);
}

/// What another program has not synced is told no earlier than it is durable, be it UIDNEXT alone.
#[test]
fn uid_next() {
    let mut world = World::new();
    world.append("INBOX", Flags::NONE, &[], 2);
    world.now_it_begins();
    for anew in [false, true] {
        world.uid_given_behind_our_back("INBOX", anew);
        world.append("INBOX", Flags::NONE, &[], 1);
    }
    world.expunge("INBOX", &[0, 1, 2, 3]);
    world.select("INBOX");
    check("UIDNEXT", &world, 300);
}

/// A list of which most is dead is written anew.
#[test]
fn compaction() {
    let mut world = World::new();
    for _ in 0..3 {
        world.append("INBOX", Flags::NONE, &[], 40);
    }
    world.expunge("INBOX", &(2..120).collect::<Vec<_>>());
    world.deliver(&["INBOX"], 1);
    world.now_it_begins();
    world.select("INBOX");
    let list = world.fs.dump().lines().filter(|line| line.contains("dovecot-uidlist")).collect::<String>();
    assert!(list.matches(" :").count() < 10, "it was written anew: {list}");
    world.deliver(&["INBOX"], 1);
    world.select("INBOX");
    check("compaction", &world, 200);
}

/// Changes of ours and of another program, and a client that comes back after each power cut.
#[test]
fn mod_seqs() {
    let mut world = World::new();
    for _ in 0..4 {
        world.deliver(&["INBOX"], 1);
    }
    world.now_it_begins();
    world.select("INBOX");
    world.store_flags("INBOX", &[0], FlagChange::Add, Flags::SEEN, &["word"]);
    world.behind_our_back("INBOX", &[1, 0], Some(Flags::FLAGGED));
    world.store_flags("INBOX", &[0, 2], FlagChange::Replace, Flags::ANSWERED, &["word"]);
    world.expunge("INBOX", &[2]);
    world.behind_our_back("INBOX", &[0], None);
    world.deliver(&["INBOX"], 1);
    world.behind_our_back("INBOX", &[1], Some(Flags::SEEN));
    world.expunge("INBOX", &[1]);
    let disks = audit("mod-sequences", &world, Budget { per_cut: 8, ..Budget::default() });
    println!("mod-sequences: {disks} disks");
    assert!(disks >= 3000, "only {disks} disks");
}

/// A journal that has grown long is written anew.
#[test]
fn a_long_journal() {
    let mut world = World::new();
    for _ in 0..3 {
        world.deliver(&["INBOX"], 1);
    }
    world.expunge("INBOX", &[1]);
    world.fs.recorded();
    let journal = || world.fs.metadata(Path::new("/mail/pillarbox-journal")).unwrap().len;
    let mut open = Mailbox::open(&world.folder("INBOX"), Access::ReadWrite).unwrap();
    let first = [open.messages().next().unwrap().uid];
    let mut toggle = |change| open.set_flags(&first, change, Flags::DRAFT).map(|_| ()).unwrap();
    let mut longest = 0;
    // Until what comes next is too much.
    while journal() + longest < 64 * 1024 {
        let before = journal();
        [FlagChange::Add, FlagChange::Remove].into_iter().for_each(&mut toggle);
        longest = longest.max(journal().checked_sub(before).expect("it was not written anew too early"));
    }
    world.now_it_begins();
    world.store_flags("INBOX", &[0], FlagChange::Add, Flags::SEEN, &[]);
    world.store_flags("INBOX", &[0], FlagChange::Add, Flags::FLAGGED, &[]);
    assert!(world.fs.metadata(Path::new("/mail/pillarbox-journal")).unwrap().len < 1000, "it was written anew");
    world.expunge("INBOX", &[0]);
    check("a long journal", &world, 300);
}

/// Snapshots are written of mailboxes at rest, and what is done after them, and taken back by the power cut, is in none of them.
// MDR-06
#[test]
fn snapshots() {
    let mut world = World::new();
    for n in 0..3 {
        world.deliver(&["INBOX"], n);
    }
    world.select("INBOX");
    world.now_it_begins();
    let at_rest = |world: &mut World| {
        world.fs.advance(Duration::from_secs(700));
        world.select("INBOX");
        let written = world.fs.read(Path::new("/mail/pillarbox-index"), 1 << 20).unwrap();
        world.fs.advance(Duration::from_secs(1));
        written
    };
    let first = at_rest(&mut world);
    world.store_flags("INBOX", &[0, 1], FlagChange::Add, Flags::SEEN, &["word"]);
    world.deliver(&["INBOX"], 1);
    world.select("INBOX");
    assert_ne!(at_rest(&mut world), first);
    world.expunge("INBOX", &[0, 3]);
    at_rest(&mut world);
    world.append("INBOX", Flags::FLAGGED, &[], 1);
    world.select("INBOX");
    check("snapshots", &world, 1000);
}

/// A reader takes messages out of `new/` while they are delivered.
// MDR-12
#[test]
fn a_reader_between_rename_and_sync() {
    let mut world = World::new();
    world.deliver(&["INBOX"], 1);
    let folder = world.folder("INBOX");
    let reader = std::thread::spawn(move || {
        let mut open = Mailbox::open(&folder, Access::ReadWrite).unwrap();
        for _ in 0..30 {
            open.refresh().unwrap();
            std::thread::yield_now();
        }
    });
    for _ in 0..6 {
        world.deliver(&["INBOX"], 1);
    }
    reader.join().unwrap();
    check("a reader between rename and sync", &world, 1000);
}

/// Each change fails once, having happened or not; then the power fails.
// DSK-05
#[test]
fn after_an_error() {
    let mut disks = 0;
    let mut faults = BTreeSet::new();
    for carried_out in [false, true] {
        for n in 0.. {
            let mut world = World::new();
            world.create("a", &[]);
            world.append("INBOX", Flags::SEEN, &[], 1);
            world.now_it_begins();
            world.fs.fail_at(n, nix::errno::Errno::EIO as i32, carried_out);
            world.append("INBOX", Flags::SEEN, &["word"], 1);
            let _ = world.select("INBOX");
            world.deliver(&["INBOX", "a"], 1);
            if world.fs.heal() {
                break;
            }
            faults.insert((n, carried_out));
            let budget = Budget { per_cut: 6, again_every: 101, ..Budget::default() };
            disks += audit(&format!("error at change {n}, carried out: {carried_out}"), &world, budget);
        }
    }
    println!("after an error: {} errors, {disks} disks", faults.len());
    assert!(faults.len() > 60 && disks > 5000, "{} errors, {disks} disks", faults.len());
}

/// A message for many mailboxes is written a piece at a time, and no file of it stays open between two.
// DSK-05, DSK-06
#[test]
fn parked_between_two_pieces() {
    let (mut disks, mut errors) = (0, 0);
    for n in 0.. {
        let mut world = World::new();
        world.create("a", &[]);
        world.now_it_begins();
        world.fs.fail_at(n, nix::errno::Errno::EIO as i32, false);
        world.deliver_parked(&["INBOX", "a"], 50);
        let healed = world.fs.heal();
        let budget = Budget { per_cut: 8, again_every: 101, ..Budget::default() };
        disks += audit(&format!("parked, error at change {n}"), &world, budget);
        if healed {
            break;
        }
        errors += 1;
    }
    println!("parked between two pieces: {errors} errors, {disks} disks");
    assert!(errors > 20 && disks > 300, "{errors} errors, {disks} disks");
}
