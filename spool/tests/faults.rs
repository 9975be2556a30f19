//! Every change of the disk fails once, with every error that a disk has.

mod support;

use std::path::Path;

use nix::errno::Errno;
use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Fs, Op, SimulatedFs};
use pillarbox_spool::{Change, Outcome, Store};
use support::{ROOT, accept, open, report, small};

/// A queue with a segment that is written to.
fn store() -> (SimulatedFs, Watched, Store) {
    let disk = SimulatedFs::new();
    let fs = Watched::new(disk.clone());
    let (store, ..) = open(fs.clone(), ROOT, small(1)).unwrap();
    accept(&store, b"before", 1).unwrap();
    (disk, fs, store)
}

// DSK-01, DSK-02, DSK-05, DSK-06, DSK-07
#[test]
fn a_failed_accept_is_temporary_and_leaves_nothing() {
    let mut faults = 0;
    for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EIO, Errno::EROFS, Errno::EMFILE] {
        for octets in [10, 5000] {
            for n in 0.. {
                let (disk, fs, store) = store();
                fs.clear();
                fs.fail_at(n, errno as i32);
                let accepted = accept(&store, &vec![b'x'; octets], 1);
                if fs.heal() {
                    accepted.unwrap();
                    break;
                }
                faults += 1;
                let error = accepted.unwrap_err();
                let case = format!("{errno} at change {n} of {octets} octets: {error}");
                assert!(error.is_temporary(), "{case}");
                assert_eq!(error.is_full(), matches!(errno, Errno::ENOSPC | Errno::EDQUOT), "{case}");
                assert_eq!(store.ids(None, 10).len(), 1, "{case}");
                // The file whose write or sync failed is left alone.
                let before = fs.changes();
                let next = accept(&store, b"next", 1).unwrap();
                let after = &fs.changes()[before.len()..];
                assert!(matches!(after[0].0, Op::Create | Op::Write), "{case}: {after:?}");
                drop(store);
                let (store, waiting, findings) = open(disk.clone(), ROOT, small(2)).unwrap();
                assert_eq!((waiting.len(), waiting[1].id), (2, next), "{case}");
                assert_eq!(findings, [], "{case}");
                // What is left of a large one goes with its age.
                disk.advance(std::time::Duration::from_secs(48 * 3600));
                store.sweep(disk.now()).unwrap();
                assert_eq!(disk.list(Path::new("/spool/bodies")).unwrap().len(), 0, "{case}");
            }
        }
    }
    assert_eq!(faults, 5 * (2 + 7));
}

/// A failed sync fails everyone in its group, and nobody else.
// DUR-10
#[test]
fn a_failed_sync_fails_its_group() {
    let (_, fs, store) = store();
    let begin = |text: &[u8]| {
        let mut incoming = store.begin(support::now());
        incoming.write(text).unwrap();
        incoming.commit(support::envelope(1)).unwrap()
    };
    let group: Vec<_> = (0..5).map(|_| begin(b"together")).collect();
    fs.clear();
    fs.fail_at(1, Errno::EIO as i32);
    for commit in group {
        assert!(commit.wait().unwrap_err().is_temporary());
    }
    assert_eq!(fs.changes().len(), 1, "one write, and a sync that failed: {:?}", fs.changes());
    begin(b"alone").wait().unwrap();
    assert_eq!(store.ids(None, 10).len(), 2);
}

/// Many threads, few syncs.
// DUR-10
#[test]
fn one_sync_for_all_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    let fs = Watched::new(pillarbox_fs::RealFs);
    let root = folder.path().join("spool");
    let (store, ..) = open(fs.clone(), root.to_str().unwrap(), support::options(1)).unwrap();
    fs.clear();
    // All have something that waits before any of them waits for it.
    let all = std::sync::Barrier::new(50);
    let together = |changes: Vec<Change>| {
        let commit = store.commit(changes).unwrap();
        all.wait();
        commit.wait().unwrap();
    };
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let mut incoming = store.begin(support::now());
                    incoming.write(&[b'x'; 1000]).unwrap();
                    let id = incoming.id();
                    together(vec![Change::Accept(incoming.finish(support::envelope(2)).unwrap())]);
                    together(vec![Change::Report(report(id, &[(0, Outcome::Delivered)]))]);
                }
            });
        }
    });
    let syncs = fs.changes().iter().filter(|(op, _)| *op == Op::Sync).count();
    assert_eq!(syncs, 40, "for 2,000 commits");
    drop(store);
    let (_, waiting, findings) = open(pillarbox_fs::RealFs, root.to_str().unwrap(), support::options(2)).unwrap();
    assert_eq!((waiting.len(), findings.len()), (1000, 0));
    assert!(waiting.iter().all(|message| message.recipients[0].0 == Some(Outcome::Delivered)));
}

/// A disk that gives an error while the queue is opened: it does not open, and nothing is changed for the worse.
#[test]
fn faults_while_it_opens() {
    let (disk, _, store) = store();
    drop(store);
    for n in 0.. {
        let image = disk.crash().images(1, 1).next().unwrap();
        image.fail_at(n, Errno::EIO as i32, n % 2 == 0);
        let opened = open(image.clone(), ROOT, small(3));
        let is_over = image.heal();
        match opened {
            Ok((store, waiting, _)) => {
                drop(store);
                assert_eq!(waiting.len(), 1);
            }
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
        let (_, waiting, findings) = open(image, ROOT, small(4)).unwrap();
        assert_eq!((waiting.len(), findings.len()), (1, 0), "change {n}");
        if is_over {
            break;
        }
    }
}
