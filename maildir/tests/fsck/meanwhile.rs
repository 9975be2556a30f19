//! Repairs while others work, and repairs that fail or are cut off.

use super::*;

/// A file gets the right sizes, and whoever opens the mailbox at any moment of it knows the message by the UID that it had.
#[test]
fn a_repair_of_sizes_beside_another_server() {
    for moment in 0.. {
        let account = Account::new();
        let file = account.files().swap_remove(4);
        fs::write(&file, [&fs::read(&file).unwrap()[..], b"more\n"].concat()).unwrap();
        fs::remove_file(account.path("pillarbox-cache")).unwrap();
        let (before, ..) = messages(&account.tree);
        let mut options = Options::from_system();
        options.clock = TestClock::new();
        options.lock_patience = std::time::Duration::ZERO;
        let other = Tree::open(&Store::new(RealFs, options), account.path("")).unwrap();
        let inbox = other.mailbox(&MailboxName::inbox()).unwrap();
        let steps = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = steps.clone();
        let fs = Watched::new(RealFs).before(move |op, _| {
            if !matches!(op, Op::Open | Op::Metadata | Op::List) && count.fetch_add(1, Ordering::SeqCst) == moment {
                // Who finds the lock taken shows what has a UID.
                let _ = Mailbox::open(&inbox, Access::ReadWrite);
            }
        });
        let tree = Tree::open(&store(fs), account.path("")).unwrap();
        let report = check(&tree, Repair::Yes);
        assert!(problems(&report).contains(&Problem::WrongSizes) && !report.is_left(), "{report:?}");
        let struck = steps.load(Ordering::SeqCst) > moment;
        let (after, ..) = messages(&account.tree);
        assert_eq!(after, before, "step {moment}");
        assert!(check(&account.tree, Repair::No).findings.is_empty(), "step {moment}");
        if !struck {
            assert!(moment > 4);
            break;
        }
    }
}

/// The list cannot be written: the files have their names back, so that no message loses its UID.
#[test]
fn a_repair_of_sizes_that_fails() {
    for n in 0.. {
        let account = Account::new();
        let file = account.files().swap_remove(4);
        fs::write(&file, [&fs::read(&file).unwrap()[..], b"more\n"].concat()).unwrap();
        fs::remove_file(account.path("pillarbox-cache")).unwrap();
        let (before, ..) = messages(&account.tree);
        let fs = Watched::new(RealFs);
        let tree = Tree::open(&store(fs.clone()), account.path("")).unwrap();
        fs.fail_at(n, 28);
        let report = check(&tree, Repair::Yes);
        let healed = fs.heal();
        assert!(healed || report.is_left() || problems(&report).contains(&Problem::WrongSizes), "{report:?}");
        assert_eq!(messages(&account.tree).0, before, "step {n}");
        check(&account.tree, Repair::Yes);
        assert_eq!(messages(&account.tree).0, before, "step {n}");
        if healed {
            break;
        }
    }
}

#[test]
fn servers_may_work_meanwhile() {
    let account = Account::new();
    let stop = Arc::new(AtomicBool::new(false));
    let worker = std::thread::spawn({
        let (stop, root) = (stop.clone(), account.path(""));
        move || {
            let tree = Tree::open(&store(RealFs), root).unwrap();
            let inbox = tree.mailbox(&MailboxName::inbox()).unwrap();
            let mut mailbox = Mailbox::open(&inbox, Access::ReadWrite).unwrap();
            let mut delivered = 0;
            while !stop.load(Ordering::SeqCst) {
                support::deliver(&inbox, &format!("Subject: busy {delivered}\r\n\r\n")).unwrap();
                delivered += 1;
                let changes = mailbox.refresh().unwrap();
                assert!(!changes.reset && changes.removed.is_empty(), "{changes:?}");
                let last = mailbox.messages().next_back().unwrap().uid;
                mailbox.set_flags(&[last], FlagChange::Add, Flags::FLAGGED).unwrap();
            }
            delivered
        }
    });
    for _ in 0..40 {
        let report = check(&account.tree, Repair::Yes);
        assert!(report.is_clean(), "{report:?}");
    }
    stop.store(true, Ordering::SeqCst);
    let delivered = worker.join().unwrap();
    let (after, ..) = messages(&account.tree);
    assert_eq!(after.len(), 7 + delivered);
}

/// A power cut at any moment of a repair: every message is there, and the next repair ends it.
#[test]
fn a_power_cut_during_a_repair() {
    let root = Path::new("/Maildir");
    let fs = SimulatedFs::new();
    let tree = used(&store(fs.clone()), root);
    let (before, ..) = messages(&tree);
    let list = root.join("dovecot-uidlist");
    let mut text = String::from_utf8(fs.read(&list, 1 << 20).unwrap()).unwrap();
    text = text.replace("\n4 ", "\nx ");
    // A message that the list has, with a size that is wrong in both.
    let line = text.lines().find(|line| line.starts_with("6 ")).unwrap().to_owned();
    let base = line.split_once(':').unwrap().1;
    let wrong = base.replace(",W=", ",W=9");
    text = text.replace(base, &wrong);
    let names = fs.list(&root.join("cur")).unwrap();
    let named = names.iter().map(|entry| entry.name.to_str().unwrap()).find(|name| name.starts_with(base)).unwrap();
    fs.rename(&root.join("cur").join(named), &root.join("cur").join(named.replace(",W=", ",W=9"))).unwrap();
    fs.sync_dir(&root.join("cur")).unwrap();
    let put = |path: &Path, octets: &[u8]| {
        let _ = fs.unlink(path);
        let mut file = fs.create(path).unwrap();
        file.write(octets).unwrap();
        file.sync().unwrap();
        fs.sync_dir(path.parent().unwrap()).unwrap();
    };
    put(&list, text.as_bytes());
    put(&root.join("dovecot-keywords"), b"\0\0");
    put(&root.join("subscriptions"), b"V\t2\n\n..\nINBOX\n");
    put(&root.join("cur/1.odd,S=1,W=2:2,S"), b"Subject: odd\n\n");
    fs.unlink(&root.join("pillarbox-cache")).unwrap();
    fs.sync_dir(root).unwrap();
    fs.record();
    let report = check(&tree, Repair::Yes);
    assert!(report.findings.len() >= 5, "{report:?}");
    let crashes = fs.recorded();
    let mut images = 0;
    for crash in &crashes {
        for fs in crash.images(24, 7) {
            images += 1;
            let tree = Tree::open(&store(fs), root).unwrap();
            let report = check(&tree, Repair::Yes);
            assert!(!report.is_left(), "{report:?}");
            let again = check(&tree, Repair::No);
            assert!(again.findings.is_empty(), "{again:?}");
            let (after, ..) = messages(&tree);
            for (text, uids) in &before {
                let now = &after[text];
                // The message whose line was lost gets a UID that nobody has had.
                assert!(now == uids || uids[0].get() == 4 && now[0].get() > 8, "{uids:?} {now:?}");
            }
            assert_eq!(after[&b"Subject: odd\r\n\r\n"[..]].len(), 1);
        }
    }
    assert!(images > 200, "{images}");
}

#[derive(Clone, Debug)]
enum Damage {
    Octet(prop::sample::Index, prop::sample::Index, u8),
    Cut(prop::sample::Index, prop::sample::Index),
    Remove(prop::sample::Index),
    Rename(prop::sample::Index, &'static str, &'static str),
    Copy(prop::sample::Index, &'static str),
}

fn damages() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), at(), any::<u8>()).prop_map(|(file, at, octet)| Damage::Octet(file, at, octet)),
        (at(), at()).prop_map(|(file, at)| Damage::Cut(file, at)),
        at().prop_map(Damage::Remove),
        (at(), prop_oneof![Just((",S=", ",S=1")), Just((",W=", ",X=")), Just((":2,", ":2,xyz")), Just((":2,", ""))])
            .prop_map(|(file, (from, to))| Damage::Rename(file, from, to)),
        (at(), prop_oneof![Just("T"), Just("0")]).prop_map(|(file, end)| Damage::Copy(file, end)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever befalls the files beside the messages, and the names of these: all messages are there afterwards, and those
    /// that have their UID in the list keep it.
    #[test]
    fn random_damage(damages in proptest::collection::vec(damages(), 1..6)) {
        let account = Account::new();
        let (before, validity, uid_next) = messages(&account.tree);
        let beside = ["dovecot-uidlist", "dovecot-keywords", "subscriptions", "pillarbox-cache", "dovecot-uidvalidity"];
        for damage in &damages {
            match damage {
                Damage::Octet(file, at, octet) => {
                    let path = account.path(beside[file.index(beside.len())]);
                    if let Ok(mut bytes) = fs::read(&path) && !bytes.is_empty() {
                        let at = at.index(bytes.len());
                        bytes[at] = *octet;
                        fs::write(path, bytes).unwrap();
                    }
                }
                Damage::Cut(file, at) => {
                    let path = account.path(beside[file.index(beside.len())]);
                    if let Ok(bytes) = fs::read(&path) {
                        fs::write(path, &bytes[..at.index(bytes.len() + 1)]).unwrap();
                    }
                }
                Damage::Remove(file) => {
                    let _ = fs::remove_file(account.path(beside[file.index(beside.len())]));
                }
                Damage::Rename(file, from, to) => {
                    let files = account.files();
                    account.rename(file.index(files.len()), |name| name.replacen(from, to, 1));
                }
                Damage::Copy(file, end) => {
                    let files = account.files();
                    let path = &files[file.index(files.len())];
                    let mut copy = path.clone().into_os_string();
                    copy.push(end);
                    fs::copy(path, copy).unwrap();
                }
            }
        }
        let tree = Tree::open(&store(RealFs), account.path("")).unwrap();
        let report = check(&tree, Repair::Yes);
        prop_assert!(!report.is_left(), "{report:?}");
        let again = check(&tree, Repair::No);
        prop_assert!(again.findings.is_empty(), "{damages:?} {again:?}");
        let (after, validity_after, uid_next_after) = messages(&tree);
        prop_assert!(before.keys().eq(after.keys()), "{damages:?}");
        // A name with another field is another name.
        let numbers_untouched = damages.iter().all(|damage| match damage {
            Damage::Rename(_, _, to) => *to != ",X=",
            Damage::Copy(..) => true,
            Damage::Octet(..) | Damage::Cut(..) | Damage::Remove(_) => false,
        });
        if numbers_untouched {
            prop_assert_eq!(validity_after, validity);
            prop_assert!(uid_next_after >= uid_next);
            prop_assert!(before.iter().all(|(text, uids)| after[text].contains(&uids[0])), "{damages:?}");
        }
    }
}
