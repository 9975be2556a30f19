//! What an open mailbox of a hundred thousand messages keeps in memory.

#![allow(clippy::print_stdout, reason = "tests show what they measured")]

mod support;

use std::fs;

use peak_alloc::PeakAlloc;
use pillarbox_fs::RealFs;
use pillarbox_maildir::{Access, Mailbox, Maildir, Options, Store};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MESSAGES: usize = 100_000;
/// For the view, the UID list, and what the handles on the folder share.
const OCTETS_MAX: usize = 12 << 20;
/// While it is opened, and with what is kept of work in it.
const PEAK_MAX: usize = 14 << 20;

#[test]
fn a_hundred_thousand_messages() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(RealFs, Options::from_system());
    let folder = Maildir::create(&store, dir.path().join("m")).unwrap();
    let mut octets = 0;
    for number in 0..MESSAGES {
        // A name as this crate makes them, on a host with a name of common length.
        let (seconds, random) = (1_700_000_000 + number, (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let name =
            format!("{seconds}.M{:06}P4711Q{number}R{random:016x}.mx1.example.org,S=4321,W=4400", number % 999_983);
        octets += name.len();
        fs::write(folder.path().join("cur").join(format!("{name}:2,{}", ["", "S", "RS", "FSa"][number % 4])), "")
            .unwrap();
    }
    drop(Mailbox::open(&folder, Access::ReadWrite).unwrap());
    drop((folder, store));

    let store = Store::new(RealFs, Options::from_system());
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let folder = Maildir::open(&store, dir.path().join("m")).unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let opened = MEMORY.current_usage() - before;
    let peak = MEMORY.peak_usage() - before;
    println!("names of {} octets on average", octets / MESSAGES);
    println!("opened: {opened} octets, {} a message; at most {peak} while it was opened", opened / MESSAGES);
    assert_eq!(mailbox.messages().len(), MESSAGES);
    assert!(opened <= OCTETS_MAX && peak <= PEAK_MAX, "{opened}, {peak}");

    // A day later: a hundred deliveries, and everything asked for once.
    for _ in 0..10 {
        for _ in 0..10 {
            support::deliver(&folder, "x\r\n").unwrap();
        }
        assert_eq!(mailbox.refresh().unwrap().added.len(), 10);
    }
    let all: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
    for uid in &all {
        mailbox.info(*uid).unwrap();
    }
    drop(all);
    let used = MEMORY.current_usage() - before;
    println!("after a hundred deliveries, and asked for size and date of each: {used} octets");
    assert!(used <= PEAK_MAX, "{used}");
}
