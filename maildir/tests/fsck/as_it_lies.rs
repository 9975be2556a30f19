//! Who only looks changes nothing, in either layout.

use super::*;

/// An account that lies in the layout `fs`, with INBOX elsewhere.
fn in_layout_fs(root: &Path) -> TreeOptions {
    let mut options = TreeOptions::default();
    (options.layout, options.inbox) = (Layout::Fs, Some(root.with_file_name("inbox")));
    options
}

#[test]
fn the_layout_fs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("Maildir");
    let tree = Tree::create_with(&store(RealFs), &root, in_layout_fs(&root)).unwrap();
    for name in ["Lists", "Lists/rust.lang", "INBOX/deep/er"] {
        let folder = tree.create_mailbox(&MailboxName::parse(name, '/').unwrap()).unwrap();
        support::deliver(&folder, "Subject: x\r\n\r\n").unwrap();
        drop(Mailbox::open(&folder, Access::ReadWrite).unwrap());
    }
    support::deliver(&tree.mailbox(&MailboxName::inbox()).unwrap(), "Subject: x\r\n\r\n").unwrap();
    drop(Mailbox::open(&tree.mailbox(&MailboxName::inbox()).unwrap(), Access::ReadWrite).unwrap());
    tree.usage(LIMITS).unwrap();
    let found = check(&tree, Repair::No);
    assert_eq!((problems(&found), found.mailboxes, found.messages), (vec![], 4, 4));

    let message = fs::read_dir(root.join("Lists/rust.lang/cur")).unwrap().next().unwrap().unwrap().path();
    let other = message.to_str().unwrap().replace(",S=", ",S=9");
    fs::rename(&message, &other).unwrap();
    let list = root.join("Lists/rust.lang/dovecot-uidlist");
    fs::write(&list, fs::read_to_string(&list).unwrap().replace(",S=", ",S=9")).unwrap();
    fs::remove_dir(root.join("Lists/new")).unwrap();
    fs::write(root.join("INBOX/deep/er/pillarbox-journal"), "x").unwrap();
    fs::write(root.join("maildirsize"), "1048576S\n1 1\n").unwrap();
    fs::write(dir.path().join("inbox/dovecot-keywords"), "x").unwrap();
    // What a crash left of a deletion, which a server removes in passing.
    fs::create_dir_all(root.join("Gone/..pillarbox-deleted.1")).unwrap();
    fs::write(root.join("Gone/..pillarbox-deleted.1/1.x"), "gone").unwrap();
    let before = snapshot(dir.path());
    let lying = Tree::as_it_lies(&store(RealFs), &root, in_layout_fs(&root)).unwrap();
    let found = check(&lying, Repair::No);
    assert!(snapshot(dir.path()) == before, "looking changes nothing, not even a time");
    let mut names: Vec<&str> = found.findings.iter().map(|finding| finding.problem.name()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["damaged-journal", "damaged-keywords", "no-directory", "wrong-quota", "wrong-sizes"],
        "{found:?}"
    );
    let repaired = check(&lying, Repair::Yes);
    assert!(!repaired.is_left(), "{repaired:?}");
    let again = check(&lying, Repair::No);
    assert!(again.findings.is_empty(), "{again:?}");
    assert!(!root.join("Gone/..pillarbox-deleted.1").exists());
    assert!(message.exists() && !Path::new(&other).exists());
}

/// Opening an account as a server does mends some things in passing. Who only looks leaves them, and finds what is missing.
#[test]
fn an_account_is_looked_at_as_it_lies() {
    for (missing, lost) in [("cur", 0), ("new", 0), ("tmp", 0)] {
        let account = Account::new();
        let (before, validity, _) = messages(&account.tree);
        let spare = account.dir.path().join("spare");
        fs::rename(account.path(missing), &spare).unwrap();
        fs::create_dir_all(account.path("..pillarbox-deleted.1/cur")).unwrap();
        fs::write(account.path("..pillarbox-deleted.1/cur/1.x"), "gone").unwrap();
        let disk = snapshot(account.dir.path());
        let lying = || Tree::as_it_lies(&store(RealFs), account.path(""), TreeOptions::default()).unwrap();
        assert_eq!(problems(&check(&lying(), Repair::No))[..], [Problem::NoDirectory], "{missing}");
        assert!(snapshot(account.dir.path()) == disk, "{missing}: looking changes nothing");
        let repaired = check(&lying(), Repair::Yes);
        assert!(!repaired.is_left() && problems(&repaired)[0] == Problem::NoDirectory, "{repaired:?}");
        assert!(check(&lying(), Repair::No).is_clean());
        assert!(!account.path("..pillarbox-deleted.1").exists());
        if missing != "cur" {
            assert_eq!((messages(&account.tree).0.len() + lost, messages(&account.tree).1), (before.len(), validity));
        }
    }
    // What never was an account is none.
    let dir = tempfile::tempdir().unwrap();
    let none = |path: &Path| Tree::as_it_lies(&store(RealFs), path, TreeOptions::default()).unwrap_err();
    assert!(matches!(none(dir.path()), MaildirError::NoSuchMailbox(_)));
    assert!(matches!(none(&dir.path().join("nowhere")), MaildirError::NoSuchMailbox(_)));
}

/// While somebody writes the list it may look cut off. Who only looks waits until the lock is gone, and does not take it.
#[test]
fn who_only_looks_waits_for_a_lock() {
    let account = Account::new();
    let whole = fs::read(account.path("dovecot-uidlist")).unwrap();
    fs::write(account.path("dovecot-uidlist"), &whole[..whole.len() - 3]).unwrap();
    fs::write(account.path("dovecot-uidlist.lock"), "").unwrap();
    let (lock, list) = (account.path("dovecot-uidlist.lock"), account.path("dovecot-uidlist"));
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let fs = Watched::new(RealFs).before(move |op, path| {
        // At the third look it is done.
        if op == Op::Metadata && path == lock && looks.fetch_add(1, Ordering::SeqCst) == 2 {
            std::fs::write(&list, &whole).unwrap();
            std::fs::remove_file(&lock).unwrap();
        }
    });
    let tree = Tree::as_it_lies(&store(fs), account.path(""), TreeOptions::default()).unwrap();
    assert!(check(&tree, Repair::No).findings.is_empty());
    assert!(!account.path("dovecot-uidlist.lock").exists());
}
