//! A thousand mailboxes, and no more watches, queues and threads than allowed. Alone in its process, because it counts what
//! the kernel gave to the process.
#![cfg(all(feature = "notify", target_os = "linux"))]

use std::fs;
use std::time::Duration;

use pillarbox_fs::RealFs;
use pillarbox_maildir::{Maildir, Options, Store, WatchOptions, Watcher};

const FOLDERS: usize = 1000;
const NOTICES_MAX: usize = 300;

/// The queues of the kernel's notices that this process has, and the watches in them.
fn kernel() -> (usize, usize) {
    let (mut queues, mut watches) = (0, 0);
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        if fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().contains("inotify")) {
            queues += 1;
            let info =
                fs::read_to_string(format!("/proc/self/fdinfo/{}", entry.file_name().to_str().unwrap())).unwrap();
            watches += info.lines().filter(|line| line.starts_with("inotify ")).count();
        }
    }
    (queues, watches)
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_thousand_mailboxes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(RealFs, Options::from_system());
    let folders: Vec<Maildir> = (0..FOLDERS)
        .map(|n| {
            let path = dir.path().join(n.to_string());
            // Without the syncs of a folder that is to last.
            ["tmp", "new", "cur"].iter().for_each(|name| fs::create_dir_all(path.join(name)).unwrap());
            Maildir::open(&store, path).unwrap()
        })
        .collect();
    let mut options = WatchOptions::default();
    (options.rescan_every, options.distrust_every) = (Duration::from_millis(50), Duration::from_secs(3600));
    options.notices_max = NOTICES_MAX;
    let watcher = Watcher::new(&store, options);
    let before = threads();
    let mut watches: Vec<_> = folders.iter().map(|folder| watcher.folder(folder)).collect();
    let look = |wanted: &[&Maildir]| {
        let mut missing: Vec<_> = wanted.iter().map(|folder| folder.path().to_owned()).collect();
        while !missing.is_empty() {
            let news = watcher.wait(Duration::from_secs(30)).unwrap();
            assert!(!news.is_empty(), "{} were never told", missing.len());
            missing.retain(|path| !news.folders.contains(path));
        }
    };
    look(&folders.iter().collect::<Vec<_>>());
    assert_eq!(kernel(), (1, NOTICES_MAX));
    assert!(threads() <= before + 1, "{} threads", threads());

    // Those with notices and those without.
    let some: Vec<&Maildir> = folders.iter().step_by(7).collect();
    some.iter().for_each(|folder| fs::write(folder.path().join("new/1.x"), "x\n").unwrap());
    look(&some);

    // A second watch of a folder costs nothing, and the folder is watched until the last goes.
    let second = watcher.folder(&folders[0]);
    watches.truncate(10);
    watcher.wait(Duration::ZERO).unwrap();
    let mut last = kernel();
    while last != (1, 30) {
        watcher.wait(Duration::from_millis(10)).unwrap();
        last = kernel();
        assert!(last.1 <= NOTICES_MAX);
    }
    watches.clear();
    watcher.wait(Duration::ZERO).unwrap();
    assert_eq!(kernel(), (1, 3));
    drop(second);
    watcher.wait(Duration::ZERO).unwrap();
    assert_eq!(kernel(), (1, 0));
}
