//! REPLACE with another text, in one mailbox and into another: after a power cut there is the old message, the new one or both, and
//! the new one alone if that was told.

use std::time::Duration;

use pillarbox_fs::SimulatedFs;
use pillarbox_maildir::{Access, Flags, Mailbox, Maildir, Result, Tree, Uid};

use crate::world::{ROOT, name, start, text_of};

fn prepared(folder: &Maildir, text: &str) -> Result<pillarbox_maildir::Prepared> {
    let mut incoming = folder.begin()?;
    incoming.write(text.as_bytes())?;
    incoming.prepare(Flags::DRAFT, None)
}

/// UIDs and texts.
fn there(folder: &Maildir) -> Result<Vec<(u32, String)>> {
    let mut open = Mailbox::open(folder, Access::ReadWrite)?;
    let uids: Vec<Uid> = open.messages().map(|message| message.uid).collect();
    uids.into_iter().map(|uid| Ok((uid.get(), text_of(&mut open, uid)?))).collect()
}

fn at_every_moment(from: &str, to: &str) {
    let fs = SimulatedFs::new();
    let tree = Tree::create(&start(&fs, 1), ROOT).unwrap();
    for mailbox in ["a", "b"] {
        tree.create_mailbox(&name(mailbox)).unwrap();
    }
    let folder = |tree: &Tree, mailbox: &str| tree.mailbox(&name(mailbox)).unwrap();
    let source = folder(&tree, from);
    source.append(vec![prepared(&source, "stays\r\n").unwrap(), prepared(&source, "0\r\n").unwrap()]).unwrap();
    let mut uid = Uid::new(2).unwrap();
    let mut at = from;
    // What there is of the one that is replaced, and since when it is told: the text and its UID.
    let mut told = vec![(fs.changes(), ("0\r\n".to_owned(), uid.get(), from))];
    fs.record();
    for (number, target) in [(1, to), (2, to), (3, from)] {
        let mut open = Mailbox::open(&folder(&tree, at), Access::ReadWrite).unwrap();
        let text = format!("{number}\r\n");
        let appended = open.replace(uid, prepared(&folder(&tree, target), &text).unwrap()).unwrap();
        (uid, at) = (appended.uids[0], target);
        told.push((fs.changes(), (text, uid.get(), target)));
    }
    let mut disks = 0;
    for crash in fs.recorded() {
        let last = told.iter().rposition(|(since, _)| *since <= crash.changes()).unwrap();
        let (known, next) = (&told[last].1, told.get(last + 1).map(|(_, next)| next));
        for disk in crash.images(60, crash.changes()) {
            disks += 1;
            disk.advance(Duration::from_secs(300));
            let tree = Tree::open(&start(&disk, disks), ROOT).unwrap();
            let mut found = Vec::new();
            for mailbox in ["a", "b"] {
                let messages = there(&folder(&tree, mailbox)).unwrap();
                found.extend(messages.into_iter().map(|(uid, text)| (text, uid, mailbox)));
            }
            let report =
                || format!("{found:?} where {known:?} was told and {next:?} follows\n{crash:?}\n{}", disk.dump());
            let stays = ("stays\r\n".to_owned(), 1, from);
            let others: Vec<_> = found.iter().filter(|message| **message != stays).collect();
            assert_eq!(others.len() + 1, found.len(), "{}", report());
            let is_new = |message: &&(String, u32, &str)| {
                next.is_some_and(|next| (&message.0, message.2) == (&next.0, next.2) && message.1 >= next.1)
            };
            let (old, new) = (others.contains(&known), others.iter().any(is_new));
            assert!(old || new, "{}", report());
            assert_eq!(others.len(), usize::from(old) + usize::from(new), "{}", report());
        }
    }
    println!("replaced, {from} to {to}: {disks} disks");
    assert!(disks > 300, "{disks} disks");
}

#[test]
fn within_one_mailbox() {
    at_every_moment("a", "a");
}

#[test]
fn into_another_mailbox() {
    at_every_moment("a", "b");
}
