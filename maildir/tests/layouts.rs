//! Where mailboxes lie: the layout `fs`, INBOX elsewhere, names in UTF-8.

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Op, RealFs};
use pillarbox_maildir::{DiskNames, Layout, MailboxName, MaildirError, NameError, Options, Store, Tree, TreeOptions};
use support::{Bench, deliver};

fn fs_layout() -> TreeOptions {
    let mut options = TreeOptions::default();
    options.layout = Layout::Fs;
    options
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text, '/').unwrap()
}

/// Names, with a question mark behind those that are only a level, and a plus behind those that have something below.
fn list(tree: &Tree) -> Vec<String> {
    let listed = tree.list().unwrap();
    let told = |l: &pillarbox_maildir::Listed| {
        format!("{}{}{}", l.name, if l.exists { "" } else { "?" }, if l.has_children { "+" } else { "" })
    };
    listed.iter().map(told).collect()
}

fn exists<T: std::fmt::Debug>(result: pillarbox_maildir::Result<T>) -> bool {
    matches!(result, Err(MaildirError::MailboxExists(_)))
}

#[test]
fn mailboxes_lie_in_each_other() {
    let bench = Bench::new();
    let tree = Tree::create_with(&bench.store, bench.path("Maildir"), fs_layout()).unwrap();
    for mailbox in ["a", "a/b", "p/q/r", "x.y", "INBOX/child", "Ä"] {
        tree.create_mailbox(&name(mailbox)).unwrap();
        assert!(exists(tree.create_mailbox(&name(mailbox))), "{mailbox}");
    }
    assert_eq!(
        list(&tree),
        ["INBOX+", "INBOX/child", "a+", "a/b", "p?+", "p/q?+", "p/q/r", "x.y", "Ä"],
        "a level above others is no mailbox"
    );
    for directory in ["a/cur", "a/b/cur", "p/q/r/new", "x.y/tmp", "INBOX/child/cur", "&AMQ-/cur"] {
        assert!(bench.path("Maildir").join(directory).is_dir(), "{directory}");
    }
    assert!(!bench.path("Maildir/a/maildirfolder").exists(), "Dovecot has that in Maildir++ only");
    assert!(!bench.path("Maildir/a/dovecot-uidvalidity").exists(), "one for the account, in its root");
    // A level can become a mailbox.
    tree.create_mailbox(&name("p/q")).unwrap();
    assert!(list(&tree).contains(&"p/q+".to_owned()));
    // What lies there as a file, Dovecot's or ours, or is a directory of messages.
    for reserved in ["cur", "a/new", "dovecot-uidlist", "a/subscriptions", "special-use/x"] {
        let refused = tree.create_mailbox(&name(reserved));
        assert!(matches!(refused, Err(MaildirError::Name(NameError::Reserved))), "{reserved}");
    }
}

// MBX-05
#[test]
fn as_many_mailboxes_as_there_may_be_and_levels_count() {
    let bench = Bench::new();
    let mut options = Options::from_system();
    options.mailboxes_max = 3;
    let store = Store::new(pillarbox_fs::RealFs, options);
    let tree = Tree::create_with(&store, bench.path("Maildir"), fs_layout()).unwrap();
    tree.create_mailbox(&name("a/b/c")).unwrap();
    assert!(matches!(tree.create_mailbox(&name("d")), Err(MaildirError::TooManyMailboxes)));
    // Whoever else makes directories there makes no list without end.
    for n in 0..20 {
        fs::create_dir_all(bench.path(&format!("Maildir/other/{n}"))).unwrap();
    }
    assert!(matches!(tree.list(), Err(MaildirError::TooManyMailboxes)));
}

// MBX-05
#[test]
fn a_bottomless_directory_ends_at_the_deepest_name() {
    let bench = Bench::new();
    let tree = Tree::create_with(&bench.store, bench.path("Maildir"), fs_layout()).unwrap();
    let deepest = vec!["d"; 32].join("/");
    tree.create_mailbox(&name(&deepest)).unwrap();
    fs::create_dir_all(bench.path("Maildir").join(vec!["d"; 40].join("/")).join("cur")).unwrap();
    assert_eq!(tree.list().unwrap().len(), 33);
    assert_eq!(tree.list().unwrap().last().unwrap().name, name(&deepest));
}

// MBX-01
#[test]
fn no_link_is_followed() {
    let bench = Bench::new();
    let tree = Tree::create_with(&bench.store, bench.path("Maildir"), fs_layout()).unwrap();
    let outside = Tree::create_with(&bench.store, bench.path("outside"), fs_layout()).unwrap();
    outside.create_mailbox(&name("secret")).unwrap();
    symlink(bench.path("outside"), bench.path("Maildir/link")).unwrap();
    symlink(bench.path("Maildir"), bench.path("Maildir/loop")).unwrap();
    tree.create_mailbox(&name("a")).unwrap();
    symlink(bench.path("outside/secret"), bench.path("Maildir/a/b")).unwrap();
    fs::create_dir(bench.path("Maildir/half")).unwrap();
    symlink(bench.path("outside/secret/cur"), bench.path("Maildir/half/cur")).unwrap();
    assert_eq!(list(&tree), ["INBOX", "a"]);
    for reached in ["link", "link/secret", "loop/a", "a/b", "half"] {
        let opened = tree.mailbox(&name(reached));
        assert!(matches!(opened, Err(MaildirError::NoSuchMailbox(_))), "{reached}: {opened:?}");
        assert!(tree.delete_mailbox(&name(reached)).is_err(), "{reached}");
        assert!(tree.create_mailbox(&name(reached)).is_err(), "{reached}");
        assert!(tree.create_mailbox(&name(&format!("{reached}/new one"))).is_err() || reached == "half", "{reached}");
    }
    assert_eq!(list(&outside), ["INBOX", "secret"]);
}

#[test]
fn what_is_below_a_deleted_mailbox_stays() {
    let bench = Bench::new();
    let tree = Tree::create_with(&bench.store, bench.path("Maildir"), fs_layout()).unwrap();
    for mailbox in ["a", "a/b", "c"] {
        let folder = tree.create_mailbox(&name(mailbox)).unwrap();
        deliver(&folder, "Subject: x\r\n\r\n").unwrap();
    }
    tree.delete_mailbox(&name("a")).unwrap();
    assert_eq!(list(&tree), ["INBOX", "a?+", "a/b", "c"]);
    let left: Vec<_> = fs::read_dir(bench.path("Maildir/a")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["b"]);
    tree.delete_mailbox(&name("c")).unwrap();
    assert!(!bench.path("Maildir/c").exists());
    assert!(matches!(tree.delete_mailbox(&name("a")), Err(MaildirError::NoSuchMailbox(_))));
    // The new one is another mailbox.
    let again = tree.create_mailbox(&name("a")).unwrap();
    let open = pillarbox_maildir::Mailbox::open(&again, pillarbox_maildir::Access::ReadWrite).unwrap();
    assert_eq!(open.messages().count(), 0);
}

/// Killed between the rename that deletes and the removal of what it leaves.
#[test]
fn a_deletion_is_finished_by_whoever_comes_by() {
    let bench = Bench::new();
    let tree = Tree::create_with(&bench.store, bench.path("Maildir"), fs_layout()).unwrap();
    let half_deleted = |mailbox: &str| {
        deliver(&tree.create_mailbox(&name(mailbox)).unwrap(), "Subject: x\r\n\r\n").unwrap();
        let path = bench.path("Maildir").join(mailbox);
        fs::rename(path.join("cur"), path.join("..pillarbox-deleted.1")).unwrap();
        path
    };
    let listed = half_deleted("listed");
    assert_eq!(list(&tree), ["INBOX"]);
    assert_eq!(fs::read_dir(&listed).unwrap().count(), 0);
    let created = half_deleted("created");
    let folder = tree.create_mailbox(&name("created")).unwrap();
    assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0, "nothing comes back");
    assert!(!created.join("..pillarbox-deleted.1").exists());
    // Dovecot made a mailbox there before anybody came by: its mail is not ours to remove.
    let reused = half_deleted("reused");
    fs::create_dir(reused.join("cur")).unwrap();
    assert_eq!(list(&tree), ["INBOX", "created", "reused"]);
    assert_eq!(fs::read_dir(reused.join("new")).unwrap().count(), 1);
    assert!(!reused.join("..pillarbox-deleted.1").exists());
}

/// After a power cut the mailbox would be back without its files, if they went before the rename was durable.
#[test]
fn nothing_deleted_is_removed_before_its_new_name_is_durable() {
    for options in [TreeOptions::default(), fs_layout()] {
        let bench = Bench::new();
        let tree = Tree::create_with(&bench.store, bench.path("Maildir"), options.clone()).unwrap();
        deliver(&tree.create_mailbox(&name("a")).unwrap(), "Subject: x\r\n\r\n").unwrap();
        let root = bench.path("Maildir");
        let holder = if options == fs_layout() { "Maildir/a" } else { "Maildir" };
        match options == fs_layout() {
            true => fs::rename(root.join("a/cur"), root.join("a/..pillarbox-deleted.1")).unwrap(),
            false => fs::rename(root.join(".a"), root.join("..pillarbox-deleted.1")).unwrap(),
        }
        bench.ops();
        list(&Tree::open_with(&bench.store, &root, options).unwrap());
        let ops = bench.ops();
        let removed = ops.iter().position(|(op, _)| matches!(op, Op::Unlink | Op::RemoveDir)).unwrap();
        assert!(ops[..removed].contains(&(Op::SyncDir, holder.to_owned())), "{ops:?}");
    }
}

// MDR-14
#[test]
fn renaming_moves_one_directory() {
    let bench = Bench::new();
    let tree = Tree::create_with(&bench.store, bench.path("Maildir"), fs_layout()).unwrap();
    for mailbox in ["a", "a/b", "a/b/c", "p/q", "other"] {
        deliver(&tree.create_mailbox(&name(mailbox)).unwrap(), "Subject: x\r\n\r\n").unwrap();
    }
    let rename = |from: &str, to: &str| tree.rename_mailbox(&name(from), &name(to));
    assert!(matches!(rename("a", "a/z"), Err(MaildirError::BelowItself(_))));
    assert!(exists(rename("a", "other")));
    assert!(exists(rename("a", "p")), "a level above another mailbox");
    assert!(exists(rename("a", "INBOX")));
    assert!(matches!(rename("nothing", "x"), Err(MaildirError::NoSuchMailbox(_))));
    assert!(matches!(rename("a", "tmp"), Err(MaildirError::Name(NameError::Reserved))));
    assert_eq!(list(&tree).len(), 7);
    rename("a/b", "Archive/deep").unwrap();
    assert_eq!(list(&tree), ["Archive?+", "Archive/deep+", "Archive/deep/c", "INBOX", "a", "other", "p?+", "p/q"]);
    // A level above others goes along with them; one that is left over, with nothing in it, is in nobody's way.
    tree.delete_mailbox(&name("p/q")).unwrap();
    assert!(bench.path("Maildir/p").is_dir());
    rename("Archive", "p").unwrap();
    assert_eq!(list(&tree), ["INBOX", "a", "other", "p?+", "p/deep+", "p/deep/c"]);
    for mailbox in ["p/deep", "p/deep/c"] {
        let folder = tree.mailbox(&name(mailbox)).unwrap();
        let open = pillarbox_maildir::Mailbox::open(&folder, pillarbox_maildir::Access::ReadWrite).unwrap();
        assert_eq!(open.messages().count(), 1, "{mailbox}");
    }
    rename("INBOX", "old/inbox").unwrap();
    assert!(list(&tree).contains(&"INBOX".to_owned()) && list(&tree).contains(&"old/inbox".to_owned()));
}

#[test]
fn the_inbox_can_be_elsewhere_and_has_one_name() {
    let bench = Bench::new();
    for (layout, inside) in [(Layout::Fs, "Maildir/Eingang"), (Layout::MaildirPlusPlus, "Maildir/.Eingang")] {
        for inbox in [inside, "elsewhere"] {
            let bench = Bench::new();
            let mut options = fs_layout();
            options.layout = layout;
            options.inbox = Some(bench.path(inbox));
            let tree = Tree::create_with(&bench.store, bench.path("Maildir"), options.clone()).unwrap();
            assert!(bench.path(inbox).join("cur").is_dir());
            assert!(!bench.path("Maildir/cur").exists());
            let folder = tree.create_mailbox(&name("a")).unwrap();
            assert_eq!(list(&tree), ["INBOX", "a"]);
            let delivered = tree.mailbox(&MailboxName::inbox()).unwrap();
            assert_eq!(delivered.path(), bench.path(inbox));
            deliver(&delivered, "Subject: x\r\n\r\n").unwrap();
            pillarbox_maildir::Mailbox::open(&delivered, pillarbox_maildir::Access::ReadWrite).unwrap();
            assert!(bench.path("Maildir/dovecot-uidvalidity").exists(), "the account's root counts for INBOX too");
            if inbox == inside {
                assert!(tree.mailbox(&name("Eingang")).is_err());
                assert!(tree.delete_mailbox(&name("Eingang")).is_err());
                assert!(exists(tree.create_mailbox(&name("Eingang"))));
                assert!(tree.rename_mailbox(&name("Eingang"), &name("b")).is_err());
                assert!(tree.rename_mailbox(&name("a"), &name("Eingang")).is_err());
                assert!(bench.path(inbox).join("cur").is_dir() && folder.path().is_dir());
            }
            Tree::open_with(&bench.store, bench.path("Maildir"), options).unwrap();
        }
    }
    let mut options = fs_layout();
    options.inbox = Some(bench.path("elsewhere"));
    let opened = Tree::open_with(&bench.store, bench.path("Maildir"), options);
    assert!(matches!(opened, Err(MaildirError::NoSuchMailbox(_))));
}

#[test]
fn names_in_utf8() {
    let bench = Bench::new();
    for (layout, directory) in [(Layout::Fs, "Maildir/Ä/a&b"), (Layout::MaildirPlusPlus, "Flat/.Ä.a&b")] {
        let mut options = TreeOptions::default();
        options.layout = layout;
        options.names = DiskNames::Utf8;
        let root = bench.path(directory.split('/').next().unwrap());
        let tree = Tree::create_with(&bench.store, root, options).unwrap();
        tree.create_mailbox(&name("Ä/a&b")).unwrap();
        assert!(bench.path(directory).join("cur").is_dir());
        assert_eq!(list(&tree), ["INBOX", "Ä?+", "Ä/a&b"]);
    }
}

/// While the lock of the last mailbox is waited for, somebody takes that of the first for stale.
#[test]
fn nothing_is_renamed_after_a_lock_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("Maildir");
    let tree = Tree::create_with(&Store::new(RealFs, Options::from_system()), &root, fs_layout()).unwrap();
    for mailbox in ["a", "a/b"] {
        tree.create_mailbox(&name(mailbox)).unwrap();
    }
    let [first, last] = ["a", "a/b"].map(|mailbox| root.join(mailbox).join("dovecot-uidlist.lock"));
    let fs = Watched::new(RealFs).before(move |op, path| {
        if op == Op::Create && path == last {
            fs::remove_file(&first).unwrap();
        }
    });
    let tree = Tree::open_with(&Store::new(fs, Options::from_system()), &root, fs_layout()).unwrap();
    assert!(matches!(tree.rename_mailbox(&name("a"), &name("c")), Err(MaildirError::LockLost(_))));
    assert_eq!(list(&tree), ["INBOX", "a+", "a/b"]);
}

/// Of the UID list of what is deleted only the first line matters.
#[test]
fn a_mailbox_is_deleted_whatever_its_uid_list_holds() {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let bench = Bench::in_memory();
        let mut options = TreeOptions::default();
        options.layout = layout;
        let tree = Tree::create_with(&bench.store, bench.path("Maildir"), options).unwrap();
        let folder = tree.create_mailbox(&name("a")).unwrap();
        let list = folder.path().join("dovecot-uidlist");
        let ahead = 3_000_000_000u32;
        fs::write(&list, format!("3 V{ahead} N1\n1 no name\nrubbish\n")).unwrap();
        tree.delete_mailbox(&name("a")).unwrap();
        let folder = tree.create_mailbox(&name("a")).unwrap();
        let header = fs::read_to_string(&list).unwrap();
        let validity = header.split_whitespace().find_map(|field| field.strip_prefix('V')).unwrap();
        assert!(validity.parse::<u32>().unwrap() > ahead, "{header}");
        // What cannot be read tells nothing.
        fs::remove_file(&list).unwrap();
        fs::create_dir(&list).unwrap();
        tree.delete_mailbox(&name("a")).unwrap();
        assert!(!folder.exists().unwrap());
    }
}
