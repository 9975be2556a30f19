//! Small files that are replaced whole: after a power cut there is the old one or the new one, and the new one if it was told.

use std::time::Duration;

use pillarbox_fs::SimulatedFs;
use pillarbox_maildir::{
    Acl, EntryName, Identifier, Layout, Quota, Result, Rights, RightsChange, Tree, TreeOptions, Who,
};

use crate::world::{ROOT, name, start};

/// Annotation of the owner, that of a guest, rights, use of a mailbox, and the account's limit.
fn there(tree: &Tree) -> Result<[String; 5]> {
    let folder = tree.mailbox(&name("a"))?;
    let comment = EntryName::parse("/private/comment").unwrap();
    let metadata = folder.metadata()?;
    let value = |entry| String::from_utf8_lossy(metadata.value("joe", &entry).unwrap_or_default()).into_owned();
    let rights = folder.acl()?.rights(&Who { user: Some("ann"), ..Who::default() });
    let limit = tree.limits()?.and_then(|limits| limits.messages).map(|limit| limit.to_string()).unwrap_or_default();
    Ok([value(comment), value(guests()), rights.to_string(), folder.special_uses()?.join(" "), limit])
}

/// What another has set.
fn guests() -> EntryName {
    EntryName::parse("/shared/comment").unwrap()
}

fn set(tree: &Tree, which: usize, value: &str) -> Result<()> {
    let folder = tree.mailbox(&name("a"))?;
    let comment = EntryName::parse("/private/comment").unwrap();
    match which {
        0 => folder.set_metadata("joe", &[(comment, Some(value.as_bytes()))]),
        1 => {
            folder.set_acl(&Identifier::User("ann".into()), false, RightsChange::Replace(Rights::parse(value).unwrap()))
        }
        2 => folder.set_special_uses(&[value]),
        4 => folder.set_metadata_for("ann", "joe", &[(guests(), Some(value.as_bytes()))]),
        _ => tree.set_limits(Quota { bytes: None, messages: value.parse().ok() }),
    }
}

#[test]
fn replaced_whole() {
    let fs = SimulatedFs::new();
    let tree = Tree::create(&start(&fs, 1), ROOT).unwrap();
    tree.create_mailbox(&name("a")).unwrap();
    // After each change: since when it is told, and what is there then.
    let mut told = vec![(fs.changes(), there(&tree).unwrap())];
    fs.record();
    // Longer than what a disk writes at once.
    let long = "x".repeat(2000);
    for (which, value) in [
        (0, "one"),
        (1, "lr"),
        (2, "\\Sent"),
        (4, "guest"),
        (0, &*long),
        (1, "lrs"),
        (3, "5"),
        (2, "\\Junk"),
        (0, "two"),
        (4, "guest again"),
        (3, "700"),
        (1, "l"),
    ] {
        set(&tree, which, value).unwrap();
        told.push((fs.changes(), there(&tree).unwrap()));
    }
    let mut disks = 0;
    for crash in fs.recorded() {
        let last = told.iter().rposition(|(since, _)| *since <= crash.changes()).unwrap();
        let possible = [&told[last].1, &told[(last + 1).min(told.len() - 1)].1];
        for disk in crash.images(40, crash.changes()) {
            disks += 1;
            disk.advance(Duration::from_secs(300));
            let tree = Tree::open(&start(&disk, disks), ROOT).unwrap();
            let found = there(&tree).unwrap();
            assert!(possible.contains(&&found), "{found:?}, and not one of {possible:?}\n{crash:?}\n{}", disk.dump());
            set(&tree, 0, "after").unwrap();
            set(&tree, 1, "lw").unwrap();
            set(&tree, 2, "\\All").unwrap();
            set(&tree, 3, "9").unwrap();
            set(&tree, 4, "guest").unwrap();
            assert_eq!(there(&tree).unwrap(), ["after", "guest", "lw", "\\All", "9"]);
        }
    }
    println!("replaced whole: {disks} disks");
    assert!(disks > 300, "{disks} disks");
}

/// A mailbox that came to be without its list would be everybody's to make, and nobody's to use.
#[test]
fn a_mailbox_has_its_list_from_its_beginning() {
    let list = Acl::parse(b"user=ann lrs\n-user=joe w\n").unwrap();
    let other = Acl::parse(b"anyone lrwstipekxa\n").unwrap();
    let (mut there, mut absent) = (0, 0);
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let mut options = TreeOptions::default();
        options.layout = layout;
        let fs = SimulatedFs::new();
        let tree = Tree::create_with(&start(&fs, 1), ROOT, options.clone()).unwrap();
        fs.record();
        tree.create_mailbox_with_acl(&name("a/b"), &["\\Junk"], &list).unwrap();
        let told = fs.changes();
        for crash in fs.recorded() {
            for disk in crash.images(40, crash.changes()) {
                disk.advance(Duration::from_secs(300));
                let tree = Tree::open_with(&start(&disk, there + absent), ROOT, options.clone()).unwrap();
                match tree.mailbox(&name("a/b")) {
                    Ok(folder) => {
                        there += 1;
                        assert_eq!(folder.acl().unwrap(), list, "{layout:?} {crash:?}\n{}", disk.dump());
                    }
                    Err(error) => {
                        absent += 1;
                        assert!(crash.changes() < told, "{error}: {layout:?} {crash:?}\n{}", disk.dump());
                        // Nothing of the first list is left in that of the next.
                        let next = if absent % 2 == 0 { &other } else { &Acl::default() };
                        let folder = tree.create_mailbox_with_acl(&name("a/b"), &[], next).unwrap();
                        assert_eq!(folder.acl().unwrap(), *next);
                        assert_eq!(folder.special_uses().unwrap(), [""; 0]);
                    }
                }
            }
        }
    }
    println!("with its list: {there} disks with the mailbox, {absent} without");
    assert!(there > 20 && absent > 100, "{there} {absent}");
}

/// What was INBOX's mail is never in a mailbox with no list, nor with one that somebody else left there.
#[test]
fn what_inbox_is_renamed_to_has_its_list_from_its_beginning() {
    let list = Acl::parse(b"user=ann lrs\n").unwrap();
    for (list, left) in [(list, &b""[..]), (Acl::default(), b"anyone lrwstipekxa\n")] {
        let fs = SimulatedFs::new();
        let tree = Tree::create_with(&start(&fs, 1), ROOT, TreeOptions::default()).unwrap();
        if !left.is_empty() {
            // Of a mailbox that was not made to its end.
            let folder = tree.create_mailbox_with_acl(&name("old"), &[], &Acl::parse(left).unwrap()).unwrap();
            for part in ["cur", "new", "tmp"] {
                pillarbox_fs::Fs::remove_dir(&fs, &folder.path().join(part)).unwrap();
            }
            pillarbox_fs::Fs::sync_dir(&fs, folder.path()).unwrap();
        }
        fs.record();
        tree.rename_inbox(&name("old"), &list).unwrap();
        let mut there = 0;
        for crash in fs.recorded() {
            for disk in crash.images(10, crash.changes()) {
                disk.advance(Duration::from_secs(300));
                let tree = Tree::open_with(&start(&disk, there), ROOT, TreeOptions::default()).unwrap();
                if let Ok(folder) = tree.mailbox(&name("old")) {
                    there += 1;
                    assert_eq!(folder.acl().unwrap(), list, "{crash:?}\n{}", disk.dump());
                }
            }
        }
        assert!(there > 10, "{there}");
        assert_eq!(tree.mailbox(&name("old")).unwrap().acl().unwrap(), list);
    }
}
