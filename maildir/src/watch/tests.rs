//! What cannot be made to happen from outside: notices that the system loses.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Op, RealFs};

use super::{WatchOptions, Watcher};
use crate::store::lock;
use crate::{Maildir, Options, Store};

const LONG: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn after_an_overflow_everything_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(RealFs, Options::from_system());
    let folders = ["a", "b"].map(|name| Maildir::create(&store, dir.path().join(name)).unwrap());
    let options = WatchOptions { rescan_every: LONG, distrust_every: LONG, ..WatchOptions::default() };
    let watcher = Watcher::new(&store, options);
    let _watches = folders.clone().map(|folder| watcher.folder(&folder));
    let mut told = watcher.wait(PATIENCE).unwrap().folders;
    told.sort();
    assert_eq!(told, folders.clone().map(|folder| folder.path().to_owned()));

    // The thread of the notices waits for this, and the system's queue runs over: each file is at least two notices.
    let state = lock(&watcher.0.heard.state);
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse::<usize>().unwrap();
    let busy = folders[0].path().join("new");
    for n in 0..queue {
        fs::write(busy.join(format!("{n}.x")), "").unwrap();
    }
    // This is one of the notices that are lost.
    fs::write(folders[1].path().join("new/1.x"), "").unwrap();
    drop(state);
    let mut told = Vec::new();
    while !told.iter().any(|path| path == folders[1].path()) {
        let news = watcher.wait(PATIENCE).unwrap();
        assert!(!news.is_empty(), "the lost notice was never made up for");
        told.extend(news.folders);
    }

    // And notices go on.
    loop {
        let news = watcher.wait(Duration::ZERO).unwrap();
        if news.is_empty() && lock(&watcher.0.heard.state).news_since.is_none() {
            break;
        }
    }
    fs::remove_file(folders[1].path().join("new/1.x")).unwrap();
    assert_eq!(watcher.wait(PATIENCE).unwrap().folders, [folders[1].path()]);
}

/// Sessions that begin and end to wait all the time, or folders that others remove and make again.
#[test]
fn news_are_told_however_much_work_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let watcher: Arc<OnceLock<Watcher>> = Arc::default();
    let looks: Arc<AtomicUsize> = Arc::default();
    let (busy, counted) = (watcher.clone(), looks.clone());
    let fs = Watched::new(RealFs).before(move |op, path| {
        // In the middle of each look the next one becomes due; not without end, so that this test has one.
        if let Some(watcher) = busy.get().filter(|_| op == Op::Metadata && path.ends_with("new"))
            && counted.fetch_add(1, Ordering::SeqCst) < 1000
        {
            lock(&watcher.0.heard.state).unsettled = true;
        }
    });
    let store = Store::new(fs, Options::from_system());
    let folder = Maildir::create(&store, dir.path().join("a")).unwrap();
    let options = WatchOptions { distrust_every: Duration::ZERO, gather: Duration::ZERO, ..WatchOptions::default() };
    let watcher = watcher.get_or_init(|| Watcher::new(&store, options));
    let _watch = watcher.folder(&folder);
    assert_eq!(watcher.wait(PATIENCE).unwrap().folders, [folder.path()]);
    assert!(looks.load(Ordering::SeqCst) < 10, "{looks:?}");
}
