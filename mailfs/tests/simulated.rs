//! The simulated file system: it answers as the real one does, and loses what the contract lets it lose.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pillarbox_fs::{ErrorKind, File, Fs, Op, RealFs, Result, SimulatedFs};
use proptest::prelude::*;

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn write(fs: &SimulatedFs, path: &str, text: &str) -> File {
    let mut file = fs.create(p(path)).unwrap();
    file.write(text.as_bytes()).unwrap();
    file
}

/// A disk with empty, durable directories.
fn disk(directories: &[&str]) -> SimulatedFs {
    let fs = SimulatedFs::new();
    for directory in directories {
        fs.make_dir(p(directory)).unwrap();
        fs.sync_dir(p(directory).parent().unwrap()).unwrap();
    }
    fs
}

/// The files that may be found, one text for each disk.
fn images(fs: &SimulatedFs) -> BTreeSet<String> {
    let mut images = fs.crash().images(10_000, 1);
    let found = images.by_ref().map(|disk| files(&disk, "", "/").join(" ")).collect();
    assert!(images.is_complete());
    found
}

fn files(fs: &SimulatedFs, shown: &str, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs.list(p(path)).unwrap() {
        let name = entry.name.to_str().unwrap();
        let (shown, path) = (format!("{shown}{name}"), format!("{path}{name}"));
        match fs.read(p(&path), 1 << 20) {
            Ok(bytes) => found.push(format!("{shown}={}", String::from_utf8(bytes).unwrap().replace('\0', "0"))),
            Err(_) => {
                let below = files(fs, &format!("{shown}/"), &format!("{path}/"));
                found.extend(if below.is_empty() { vec![shown + "/"] } else { below });
            }
        }
    }
    found
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn nothing_of_a_file_is_sure_before_its_syncs() {
    let fs = disk(&[]);
    let mut file = write(&fs, "/a", "xy");
    assert_eq!(images(&fs), set(&["", "a=", "a=00", "a=xy"]));
    file.sync().unwrap();
    assert_eq!(images(&fs), set(&["", "a=xy"]), "the name is still pending");
    fs.sync_dir(p("/")).unwrap();
    assert_eq!(images(&fs), set(&["a=xy"]));
    file.write(b"z").unwrap();
    assert_eq!(images(&fs), set(&["a=xy", "a=xy0", "a=xyz"]));
}

#[test]
fn a_durable_name_says_nothing_about_the_bytes() {
    let fs = disk(&[]);
    let _file = write(&fs, "/a", "x");
    fs.sync_dir(p("/")).unwrap();
    assert_eq!(images(&fs), set(&["a=", "a=0", "a=x"]));
}

#[test]
fn writes_survive_in_any_subset_and_tear_at_sectors() {
    let fs = disk(&[]);
    let mut file = write(&fs, "/a", "x");
    file.write(b"y").unwrap();
    fs.sync_dir(p("/")).unwrap();
    assert_eq!(images(&fs), set(&["a=", "a=0", "a=x", "a=00", "a=0y", "a=x0", "a=xy"]));

    let fs = disk(&[]);
    let _file = write(&fs, "/a", &"x".repeat(1100));
    fs.sync_dir(p("/")).unwrap();
    let lengths: BTreeSet<usize> = images(&fs).iter().map(|text| text.matches('x').count()).collect();
    assert_eq!(lengths, BTreeSet::from([0, 512, 1024, 1100]));
}

#[test]
fn a_rename_leaves_the_old_name_or_the_new_one_or_both() {
    let fs = disk(&["/tmp", "/new"]);
    let mut file = write(&fs, "/tmp/a", "x");
    file.sync().unwrap();
    fs.sync_dir(p("/tmp")).unwrap();
    fs.rename(p("/tmp/a"), p("/new/a")).unwrap();
    let (old, new, both) = ("new/ tmp/a=x", "new/a=x tmp/", "new/a=x tmp/a=x");
    assert_eq!(images(&fs), set(&[old, new, both]));
    let other = fs.crash().images(3, 1).next().unwrap();
    fs.sync_dir(p("/new")).unwrap();
    assert_eq!(images(&fs), set(&[new, both]), "it is there for good, and the old name may be");
    fs.sync_dir(p("/tmp")).unwrap();
    assert_eq!(images(&fs), set(&[new]));
    // Where the old name is gone for good, the new one is there.
    other.rename(p("/tmp/a"), p("/new/a")).unwrap();
    other.sync_dir(p("/tmp")).unwrap();
    assert_eq!(images(&other), set(&[new]));
}

#[test]
fn what_a_rename_replaces_is_replaced_whole_or_not_at_all() {
    let fs = disk(&[]);
    for (name, text) in [("/list", "old"), ("/list.new", "new")] {
        write(&fs, name, text).sync().unwrap();
    }
    fs.sync_dir(p("/")).unwrap();
    fs.rename(p("/list.new"), p("/list")).unwrap();
    assert_eq!(images(&fs), set(&["list=old list.new=new", "list=new", "list=new list.new=new"]));
}

#[test]
fn a_name_that_was_removed_may_come_back_alone() {
    let fs = disk(&["/tmp", "/new"]);
    write(&fs, "/tmp/a", "x").sync().unwrap();
    fs.sync_dir(p("/tmp")).unwrap();
    fs.link(p("/tmp/a"), p("/new/a")).unwrap();
    fs.unlink(p("/tmp/a")).unwrap();
    assert!(images(&fs).contains("new/ tmp/"), "a link and an unlink are two changes: the file may lose both names");
    fs.sync_dir(p("/new")).unwrap();
    assert_eq!(images(&fs), set(&["new/a=x tmp/", "new/a=x tmp/a=x"]));
}

#[test]
fn a_directory_is_made_in_its_parent() {
    let fs = disk(&[]);
    fs.make_dir(p("/d")).unwrap();
    write(&fs, "/d/a", "x").sync().unwrap();
    fs.sync_dir(p("/d")).unwrap();
    assert_eq!(images(&fs), set(&["", "d/a=x"]));
    fs.rename(p("/d"), p("/e")).unwrap();
    assert_eq!(images(&fs), set(&["", "d/a=x", "e/a=x"]), "a directory has one name");
}

#[test]
fn an_older_change_does_not_undo_a_newer_one_that_is_durable() {
    let fs = disk(&["/d"]);
    write(&fs, "/a", "old").sync().unwrap();
    write(&fs, "/d/b", "new").sync().unwrap();
    fs.sync_dir(p("/d")).unwrap();
    fs.rename(p("/d/b"), p("/a")).unwrap();
    // Makes the removal durable, and with it the new name; "a" was created before and is pending.
    fs.sync_dir(p("/d")).unwrap();
    assert_eq!(images(&fs), set(&["a=new d/"]));
}

// DSK-06
#[test]
fn a_failed_sync_is_not_made_up_for_by_another() {
    let fs = disk(&[]);
    let mut file = write(&fs, "/a", "x");
    fs.sync_dir(p("/")).unwrap();
    fs.fail_at(0, nix::errno::Errno::EIO as i32, false);
    assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::Io);
    drop(file);
    let mut again = fs.open_append(p("/a")).unwrap();
    again.sync().unwrap();
    assert_eq!(images(&fs), set(&["a=", "a=0", "a=x"]));
}

#[test]
fn a_failed_sync_of_a_directory_is_made_up_for_by_one_after_a_new_change_alone() {
    let fs = disk(&[]);
    drop(fs.create(p("/a")).unwrap());
    fs.fail_at(0, nix::errno::Errno::EIO as i32, false);
    fs.sync_dir(p("/")).unwrap_err();
    fs.sync_dir(p("/")).unwrap();
    assert_eq!(images(&fs), set(&["", "a="]));
    drop(fs.create(p("/b")).unwrap());
    fs.sync_dir(p("/")).unwrap();
    assert_eq!(images(&fs), set(&["a= b="]));
}

#[test]
fn a_change_that_fails_has_happened_or_not() {
    for carried_out in [false, true] {
        let fs = disk(&[]);
        fs.fail_at(0, nix::errno::Errno::EIO as i32, carried_out);
        assert_eq!(fs.create(p("/a")).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(fs.metadata(p("/a")).is_ok(), carried_out);
        assert!(!fs.heal());
    }
}

#[test]
fn power_cuts_are_recorded_after_each_change() {
    let fs = disk(&[]);
    fs.record();
    let before = fs.changes();
    let mut file = write(&fs, "/a", "x");
    file.sync().unwrap();
    file.close().unwrap();
    let crashes = fs.recorded();
    assert_eq!(crashes.iter().map(|crash| crash.changes() - before).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(crashes.iter().map(|crash| crash.images(100, 1).count()).collect::<Vec<_>>(), [2, 4, 2, 2]);
    assert!(fs.recorded().is_empty());
}

#[test]
fn who_asks_for_fewer_than_there_are_does_not_get_all() {
    let fs = disk(&[]);
    let mut file = write(&fs, "/a", "x");
    file.sync().unwrap();
    let mut images = fs.crash().images(1, 1);
    assert_eq!((images.by_ref().count(), images.is_complete()), (1, false));
    let mut images = fs.crash().images(2, 1);
    assert_eq!((images.by_ref().count(), images.next().is_none(), images.is_complete()), (2, true, true));
}

#[test]
fn too_many_states_are_drawn_by_lot_and_the_extremes_are_among_them() {
    let fs = disk(&[]);
    for n in 0..20 {
        write(&fs, &format!("/{n:02}"), "x").sync().unwrap();
    }
    let mut images = fs.crash().images(100, 7);
    let counts: Vec<usize> = images.by_ref().map(|disk| disk.list(p("/")).unwrap().len()).collect();
    assert!(!images.is_complete());
    let mut few = fs.crash().images(3, 7);
    assert_eq!((few.by_ref().count(), few.is_complete()), (3, false));
    assert_eq!((counts.len(), counts[0], counts[1]), (100, 0, 20));
    assert_eq!((counts[2..22].to_vec(), counts[22..42].to_vec()), (vec![19; 20], vec![1; 20]));
    let again: Vec<usize> = fs.crash().images(100, 7).map(|disk| disk.list(p("/")).unwrap().len()).collect();
    assert_eq!(counts, again, "the same seed draws the same lots");
}

#[derive(Clone, Debug)]
enum Step {
    Create(usize, u8),
    Append(usize, u8),
    Rename(usize, usize),
    Link(usize, usize),
    Unlink(usize),
    MakeDir(usize),
    RemoveDir(usize),
    SyncDir(usize),
    Read(usize),
    List(usize),
}

const NAMES: [&str; 8] = ["a", "b", "d", "d/a", "d/b", "e", "e/a", "e/./b"];

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    prop_oneof![
        (name(), any::<u8>()).prop_map(|(a, b)| Step::Create(a, b)),
        (name(), any::<u8>()).prop_map(|(a, b)| Step::Append(a, b)),
        (name(), name()).prop_map(|(a, b)| Step::Rename(a, b)),
        (name(), name()).prop_map(|(a, b)| Step::Link(a, b)),
        name().prop_map(Step::Unlink),
        name().prop_map(Step::MakeDir),
        name().prop_map(Step::RemoveDir),
        name().prop_map(Step::SyncDir),
        name().prop_map(Step::Read),
        name().prop_map(Step::List),
    ]
}

/// What a step comes to, as far as it does not depend on the machine.
fn run(fs: &dyn Fs, root: &Path, step: &Step) -> std::result::Result<Vec<u8>, (Op, ErrorKind)> {
    let at = |name: &usize| -> PathBuf { root.join(NAMES[*name]) };
    let append = |file: Result<File>, byte: &u8| {
        let mut file = file?;
        file.write(&[*byte])?;
        file.close()
    };
    let done = match step {
        Step::Create(name, byte) => append(fs.create(&at(name)), byte),
        Step::Append(name, byte) => append(fs.open_append(&at(name)), byte),
        Step::Rename(from, to) => fs.rename(&at(from), &at(to)),
        Step::Link(from, to) => fs.link(&at(from), &at(to)),
        Step::Unlink(name) => fs.unlink(&at(name)),
        Step::MakeDir(name) => fs.make_dir(&at(name)),
        Step::RemoveDir(name) => fs.remove_dir(&at(name)),
        Step::SyncDir(name) => fs.sync_dir(&at(name)),
        Step::Read(name) => return fs.read(&at(name), 100).map_err(|e| (e.op(), e.kind())),
        Step::List(name) => {
            let mut names: Vec<String> = fs
                .list(&at(name))
                .map_err(|e| (e.op(), e.kind()))?
                .into_iter()
                .map(|entry| format!("{:?} {:?}", entry.kind, entry.name))
                .collect();
            names.sort();
            return Ok(names.join("\n").into_bytes());
        }
    };
    done.map(|()| Vec::new()).map_err(|e| (e.op(), e.kind()))
}

#[test]
fn a_lock_ends_with_its_holder_and_with_the_power() {
    let fs = SimulatedFs::new();
    let mut first = fs.create(p("/a")).unwrap();
    first.sync().unwrap();
    fs.sync_dir(p("/")).unwrap();
    assert!(first.try_lock().unwrap() && first.try_lock().unwrap());
    let mut second = fs.open(p("/a")).unwrap();
    assert!(!second.try_lock().unwrap());
    let after = fs.crash().images(1, 1).next().unwrap();
    assert!(after.open(p("/a")).unwrap().try_lock().unwrap());
    assert_ne!(after.boot(), fs.boot());
    drop(first);
    assert!(second.try_lock().unwrap());
    second.close().unwrap();
    assert!(fs.open_append(p("/a")).unwrap().try_lock().unwrap());
}

proptest! {

    /// Only the answers to what makes no sense (a directory in place of a file) may be worded otherwise.
    #[test]
    fn it_answers_as_the_real_one(steps in proptest::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let fs = SimulatedFs::new();
        for step in &steps {
            let (real, simulated) = (run(&RealFs, dir.path(), step), run(&fs, p("/"), step));
            match (&real, &simulated) {
                (Err((op, _)), Err((other, _))) => prop_assert_eq!(op, other, "{:?}", step),
                _ => prop_assert_eq!(&real, &simulated, "{:?}", step),
            }
        }
    }

    /// With everything synced there is one disk to be found: the one that was seen.
    #[test]
    fn nothing_is_pending_after_all_syncs(steps in proptest::collection::vec(step(), 1..40)) {
        let fs = SimulatedFs::new();
        for step in &steps {
            let _ = run(&fs, p("/"), step);
        }
        fn sync(fs: &SimulatedFs, path: &Path) {
            fs.sync_dir(path).unwrap();
            for entry in fs.list(path).unwrap() {
                let path = path.join(&entry.name);
                match fs.open(&path) {
                    Ok(mut file) => file.sync().unwrap(),
                    Err(_) => sync(fs, &path),
                }
            }
        }
        sync(&fs, p("/"));
        // Directories that were moved or removed while changes in them were pending may leave such changes behind; they name nothing.
        let found: Vec<String> = fs.crash().images(100, 1).map(|disk| disk.dump()).collect();
        prop_assert_eq!(found, vec![fs.dump()]);
    }
}

#[test]
fn a_power_cut_lets_go_of_locks() {
    let fs = disk(&[]);
    let held = fs.create_locked(p("/a"), b"mine").unwrap();
    assert_eq!(fs.create_locked(p("/a"), b"other").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(!fs.open(p("/a")).unwrap().try_lock().unwrap());
    fs.sync_dir(p("/")).unwrap();
    assert_eq!(images(&fs), set(&["a=", "a=0000", "a=mine"]));
    for disk in fs.crash().images(10_000, 1) {
        assert!(disk.open(p("/a")).unwrap().try_lock().unwrap());
        assert_ne!(disk.boot(), fs.boot());
    }
    drop(held);
    assert!(fs.open(p("/a")).unwrap().try_lock().unwrap());
}
