//! What other programs do in a folder is noticed: by the system's notices where there are such (feature `notify`), and by
//! rescans where not.
#![allow(clippy::print_stdout, reason = "a failure is found again by the seed")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pillarbox_core::{Random, SeededRandom};
use pillarbox_fs::{Fs, RealFs};
use pillarbox_maildir::{
    Access, Clock, Flags, Mailbox, Maildir, News, Options, Store, Uid, Watch, WatchOptions, Watcher,
};
use support::deliver;

/// Nothing waits so long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_secs(3600);

/// Another process: nothing shared but the disk.
fn process() -> Store {
    Store::new(RealFs, Options::from_system())
}

/// The ways to notice: each alone has to do.
fn ways() -> Vec<(&'static str, WatchOptions)> {
    let options = |rescan_every, notices_max| {
        let mut options = WatchOptions::default();
        (options.rescan_every, options.distrust_every) = (rescan_every, NEVER);
        (options.gather, options.notices_max) = (Duration::from_millis(5), notices_max);
        options
    };
    let mut ways = vec![("rescans", options(Duration::from_millis(20), 0))];
    if cfg!(feature = "notify") {
        ways.push(("notices", options(NEVER, 1000)));
    }
    ways
}

/// A process in whose eyes nothing has happened for an hour.
fn later() -> Store {
    let mut options = Options::from_system();
    options.clock = Arc::new(Ahead);
    Store::new(RealFs, options)
}

struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_secs(3600)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Lets the disk's clock go on, so that the next change has another time than the last one.
fn age(path: &Path) {
    let probe = path.with_extension("probe");
    let time = |path: &Path| RealFs.metadata(path).map(|metadata| metadata.modified).ok();
    let names = ["new", "cur", "dovecot-uidlist", "dovecot-keywords"];
    let last = names.iter().filter_map(|name| time(&path.join(name))).max();
    while time(&probe) <= last {
        fs::write(&probe, "x").unwrap();
    }
}

fn news(watcher: &Watcher) -> News {
    let news = watcher.wait(PATIENCE).expect("it was not closed");
    assert!(!news.is_empty(), "nothing was noticed");
    news
}

fn watched(options: &WatchOptions, folder: &Maildir) -> (Watcher, Watch) {
    let watcher = Watcher::new(&later(), options.clone());
    let watch = watcher.folder(folder);
    assert_eq!(news(&watcher).folders, [folder.path()], "what happened before it was watched");
    (watcher, watch)
}

#[test]
fn each_kind_of_change_is_noticed() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 8] = [
        ("delivery", |path| {
            fs::write(path.join("tmp/1.a"), "x\n").unwrap();
            fs::rename(path.join("tmp/1.a"), path.join("new/1.a")).unwrap();
        }),
        ("a copy put there", |path| fs::write(path.join("new/2.b"), "x\n").unwrap()),
        ("a reader takes it", |path| fs::rename(path.join("new/1.a"), path.join("cur/1.a:2,")).unwrap()),
        ("flags", |path| fs::rename(path.join("cur/1.a:2,"), path.join("cur/1.a:2,FS")).unwrap()),
        ("removal", |path| fs::remove_file(path.join("cur/1.a:2,FS")).unwrap()),
        ("UIDs", |path| fs::write(path.join("dovecot-uidlist"), "3 V1 N9 G00\n1 :2.b\n").unwrap()),
        ("keywords", |path| {
            fs::write(path.join("dovecot-keywords.lock"), "0 work\n").unwrap();
            fs::rename(path.join("dovecot-keywords.lock"), path.join("dovecot-keywords")).unwrap();
        }),
        ("the folder goes", |path| fs::remove_dir_all(path).unwrap()),
    ];
    for (way, options) in ways() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Maildir::create(&process(), dir.path().join("m")).unwrap();
        for (what, change) in changes {
            println!("{way}: {what}");
            // Settled, so that only the change can be the reason.
            age(folder.path());
            let (watcher, _watch) = watched(&options, &folder);
            change(folder.path());
            assert_eq!(news(&watcher).folders, [folder.path()]);
        }
    }
}

#[test]
fn reading_is_no_news() {
    for (_, options) in ways() {
        let dir = tempfile::tempdir().unwrap();
        let store = process();
        let folders = ["m", "other"].map(|name| Maildir::create(&store, dir.path().join(name)).unwrap());
        deliver(&folders[0], "x\r\n").unwrap();
        let mut mailbox = Mailbox::open(&folders[0], Access::ReadWrite).unwrap();
        folders.iter().for_each(|folder| age(folder.path()));
        let (watcher, _watch) = watched(&options, &folders[0]);
        let _other = watcher.folder(&folders[1]);
        assert_eq!(news(&watcher).folders, [folders[1].path()]);

        mailbox.refresh().unwrap();
        assert_eq!(support::text(&mut mailbox, Uid::MIN), "x\r\n");
        deliver(&folders[1], "after it\r\n").unwrap();
        assert_eq!(news(&watcher).folders, [folders[1].path()]);
    }
}

#[test]
fn a_folder_that_is_made_again_is_watched_again() {
    for (_, mut options) in ways() {
        // A place that is not there is asked for again at each rescan.
        options.rescan_every = Duration::from_millis(20);
        let dir = tempfile::tempdir().unwrap();
        let store = process();
        let path = dir.path().join("m");
        let folder = Maildir::create(&store, &path).unwrap();
        let (watcher, _watch) = watched(&options, &folder);
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        news(&watcher);
        Maildir::create(&process(), &path).unwrap();
        news(&watcher);
        age(&path);
        while !watcher.wait(Duration::from_millis(200)).unwrap().is_empty() {}
        fs::write(path.join("new/1.x"), "").unwrap();
        assert_eq!(news(&watcher).folders, [path]);
    }
}

#[test]
fn closing_ends_the_waiting() {
    let watcher = Watcher::new(&process(), WatchOptions::default());
    let waiting = std::thread::spawn({
        let watcher = watcher.clone();
        move || watcher.wait(Duration::MAX)
    });
    watcher.close();
    assert_eq!(waiting.join().unwrap(), None);
    assert_eq!(watcher.wait(Duration::ZERO), None);
}

/// One program delivers, flags, renames and removes, at random and without a pause. Another looks only when it is told to.
#[test]
fn who_looks_when_told_sees_each_message_once_and_loses_no_flag() {
    let operations = std::env::var("OPERATIONS").map_or(2000, |count| count.parse().expect("OPERATIONS is a number"));
    for (way, options) in ways() {
        let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        println!("{way}: seed {seed}");
        let dir = tempfile::tempdir().unwrap();
        let folder = Maildir::create(&process(), dir.path().join("m")).unwrap();
        let (watcher, _watch) = watched(&options, &folder);
        let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
        let path = folder.path().to_owned();
        let other = std::thread::spawn(move || others_work(&path, operations, seed));
        let mut told: BTreeMap<Uid, Flags> = BTreeMap::new();
        let mut ever = BTreeMap::new();
        let mut take = |mailbox: &mut Mailbox| {
            let changes = mailbox.refresh().unwrap();
            assert!(!changes.reset && changes.held_back.is_none());
            for uid in changes.added {
                let name = mailbox.message(uid).unwrap().name.to_owned();
                assert_eq!(ever.insert(name, uid), None, "told twice");
                assert!(told.last_key_value().is_none_or(|(last, _)| *last < uid), "out of order");
                told.insert(uid, mailbox.message(uid).unwrap().flags);
            }
            for uid in changes.removed {
                assert!(told.remove(&uid).is_some(), "{uid} went without having come");
            }
            for uid in changes.flags {
                let flags = mailbox.message(uid).unwrap().flags;
                assert_ne!(told.insert(uid, flags), None, "flags of what had not come");
            }
            told.clone()
        };
        while !other.is_finished() {
            if !watcher.wait(Duration::from_millis(50)).unwrap().is_empty() {
                take(&mut mailbox);
            }
        }
        let left = other.join().unwrap();
        // Whatever was done last is told too.
        let mut last = BTreeMap::new();
        let as_left = |last: &BTreeMap<Uid, Flags>, mailbox: &Mailbox| {
            let view = last.iter().map(|(uid, flags)| (mailbox.message(*uid).unwrap().name.to_owned(), *flags));
            view.collect::<BTreeMap<_, _>>() == left
        };
        while !as_left(&last, &mailbox) {
            news(&watcher);
            last = take(&mut mailbox);
        }
    }
}

/// Works in a folder with renames alone, as a mail reader does. Returns what it leaves.
fn others_work(path: &Path, operations: usize, seed: u64) -> BTreeMap<Vec<u8>, Flags> {
    let mut random = SeededRandom::new(seed);
    let mut below = |n: usize| (random.next_u64() % n as u64) as usize;
    // Where a message is: who opened the mailbox may have taken it out of new/ meanwhile.
    let find = |name: &str| -> Option<PathBuf> {
        ["new", "cur"].iter().find_map(|dir| {
            let entries = fs::read_dir(path.join(dir)).unwrap().map(|entry| entry.unwrap().path());
            entries.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().split(':').next() == Some(name))
        })
    };
    let mut there: Vec<(String, Flags)> = Vec::new();
    for n in 0..operations {
        match below(if there.len() > 50 { 4 } else { 8 }) {
            0 if !there.is_empty() => {
                let (name, _) = there.swap_remove(below(there.len()));
                while find(&name).is_some_and(|found| fs::remove_file(found).is_err()) {}
            }
            1..=3 if !there.is_empty() => {
                let chosen = below(there.len());
                let (letters, flags) =
                    [("F", Flags::FLAGGED), ("FS", Flags::FLAGGED | Flags::SEEN), ("", Flags::NONE)][below(3)];
                let target = path.join(format!("cur/{}:2,{letters}", there[chosen].0));
                while fs::rename(find(&there[chosen].0).unwrap_or_default(), &target).is_err() {}
                there[chosen].1 = flags;
            }
            _ => {
                let name = format!("{}.M{n}.other", 1_000_000 + n);
                fs::write(path.join("tmp").join(&name), "x\n").unwrap();
                fs::rename(path.join("tmp").join(&name), path.join("new").join(&name)).unwrap();
                there.push((name, Flags::NONE));
            }
        }
    }
    there.into_iter().map(|(name, flags)| (name.into_bytes(), flags)).collect()
}
