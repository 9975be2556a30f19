//! The file `subscriptions`: which mailboxes the user wants to see. A subscribed mailbox need not exist.
//!
//! Two forms are read: one name a line with `.` between levels (`/` in the layout `fs`), or behind a line `V<TAB>2` and an empty line,
//! one name a line with TAB between levels. Names are written as in directories. The form found is kept for as long as the names can
//! be said in it: a name with a dot in a level, such as another user's mailbox has that is called after an address, needs the second.

use std::collections::BTreeSet;

use pillarbox_fs::{ErrorKind, replace_file};

use crate::dotlock::DotLock;
use crate::{DiskNames, MailboxName, Result, Tree, TreeOptions};

const FILE: &str = "subscriptions";
const V2: &str = "V\t2\n\n";
/// A hundred thousand mailboxes.
const SIZE_MAX: usize = 32 << 20;

impl Tree {
    /// The subscribed mailboxes, in the order of the file.
    pub fn subscriptions(&self) -> Result<Vec<MailboxName>> {
        let file = self.read_subscriptions()?;
        Ok(file.lines.iter().filter_map(|line| file.name(line)).collect())
    }

    /// Subscribes to a name; true if it was not subscribed. There need not be a mailbox of it, nor could there have to be one here:
    /// mailboxes of others are subscribed to in this file as well. Durable.
    pub fn subscribe(&self, name: &MailboxName) -> Result<bool> {
        self.change_subscriptions(name, true)
    }

    /// Ends the subscription to a mailbox; true if it was subscribed. Durable.
    pub fn unsubscribe(&self, name: &MailboxName) -> Result<bool> {
        self.change_subscriptions(name, false)
    }

    fn change_subscriptions(&self, name: &MailboxName, wanted: bool) -> Result<bool> {
        // The lock file of Dovecot's name keeps other writers out; the new contents go to a file of their own, so that the
        // lock's file stays what its owner knows it by.
        let lock = DotLock::acquire(&self.store, self.root.join("subscriptions.lock"))?;
        let mut file = self.read_subscriptions()?;
        let subscribed = file.lines.iter().any(|line| file.name(line).as_ref() == Some(name));
        if subscribed == wanted {
            return Ok(false);
        }
        if wanted {
            if name.components().any(|level| level.contains(file.separator)) {
                file.part_levels_by_tab();
            }
            file.lines.push(name.on_disk(&file.separator.to_string(), file.names).into_bytes());
        } else {
            let keep: Vec<bool> = file.lines.iter().map(|line| file.name(line).as_ref() != Some(name)).collect();
            let mut keep = keep.into_iter();
            file.lines.retain(|_| keep.next() == Some(true));
        }
        self.replace_subscriptions(&lock, &file)?;
        Ok(true)
    }

    /// How many lines name nothing, or what a line before named; they are removed if that is wanted, durably.
    pub(crate) fn bad_subscriptions(&self, remove: bool) -> Result<usize> {
        let lock = match remove {
            true => Some(DotLock::acquire(&self.store, self.root.join("subscriptions.lock"))?),
            false => None,
        };
        let mut file = self.read_subscriptions()?;
        let mut names = BTreeSet::new();
        let keep: Vec<bool> =
            file.lines.iter().map(|line| file.name(line).is_some_and(|name| names.insert(name))).collect();
        let bad = keep.iter().filter(|keep| !**keep).count();
        if let Some(lock) = lock.filter(|_| bad > 0) {
            let mut keep = keep.into_iter();
            file.lines.retain(|_| keep.next() == Some(true));
            self.replace_subscriptions(&lock, &file)?;
        }
        Ok(bad)
    }

    fn replace_subscriptions(&self, lock: &DotLock, file: &Subscriptions) -> Result<()> {
        let written = self.root.join("subscriptions.tmp");
        replace_file(self.store.fs(), &written, &self.root.join(FILE), &file.encode(), || lock.verify())?;
        Ok(self.store.sync_dir(&self.root)?)
    }

    fn read_subscriptions(&self) -> Result<Subscriptions> {
        match self.store.fs().read(&self.root.join(FILE), SIZE_MAX) {
            Ok(bytes) => Ok(Subscriptions::parse(&bytes, &self.options)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Subscriptions { separator: '\t', names: self.options.names, lines: Vec::new() })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Lines stay as they are, also those that name nothing.
#[derive(Debug, PartialEq, Eq)]
struct Subscriptions {
    /// TAB in the newer form.
    separator: char,
    names: DiskNames,
    lines: Vec<Vec<u8>>,
}

impl Subscriptions {
    fn parse(bytes: &[u8], options: &TreeOptions) -> Self {
        let (separator, lines) = match bytes.strip_prefix(V2.as_bytes()) {
            Some(lines) => ('\t', lines),
            None => (options.separator(), bytes),
        };
        let mut lines: Vec<Vec<u8>> = lines.split(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect();
        // Behind the last line feed there is none.
        lines.pop_if(|rest| rest.is_empty());
        Subscriptions { separator, names: options.names, lines }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = if self.separator == '\t' { V2.as_bytes().to_vec() } else { Vec::new() };
        for line in &self.lines {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out
    }

    /// Takes the newer form. Lines that name nothing stay as they are, and go where they would name something then.
    fn part_levels_by_tab(&mut self) {
        let newer = Subscriptions { separator: '\t', names: self.names, lines: Vec::new() };
        let lines = std::mem::take(&mut self.lines).into_iter().filter_map(|line| match self.name(&line) {
            Some(name) => Some(name.on_disk("\t", self.names).into_bytes()),
            None => newer.name(&line).is_none().then_some(line),
        });
        *self = Subscriptions { lines: lines.collect(), ..newer };
    }

    fn name(&self, line: &[u8]) -> Option<MailboxName> {
        let text = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()?;
        MailboxName::from_disk(text, self.separator, self.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Store};
    use pillarbox_fs::RealFs;

    #[test]
    fn both_forms_are_read_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::create(&Store::new(RealFs, Options::from_system()), dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let names = |tree: &Tree| tree.subscriptions().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        let sub = MailboxName::parse("Neu/Ä", '/').unwrap();
        let sent = MailboxName::parse("Sent Mail", '/').unwrap();
        for (before, after) in [
            ("INBOX\nSent Mail\nArchive.2024\n&bad\n", "INBOX\nArchive.2024\n&bad\nNeu.&AMQ-\n"),
            ("V\t2\n\nINBOX\nSent Mail\nArchive\t2024\n..\n", "V\t2\n\nINBOX\nArchive\t2024\n..\nNeu\t&AMQ-\n"),
        ] {
            std::fs::write(&path, before).unwrap();
            assert_eq!(names(&tree), ["INBOX", "Sent Mail", "Archive/2024"]);
            assert!(tree.subscribe(&sub).unwrap());
            assert!(!tree.subscribe(&sub).unwrap());
            assert!(tree.unsubscribe(&sent).unwrap());
            assert!(!tree.unsubscribe(&sent).unwrap());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
            assert_eq!(names(&tree), ["INBOX", "Archive/2024", "Neu/Ä"]);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(names(&tree), [""; 0]);
        assert!(tree.subscribe(&sub).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "V\t2\n\nNeu\t&AMQ-\n");
        assert!(!dir.path().join("subscriptions.lock").exists());
    }

    /// What names nothing where a dot parts levels is no subscription where it is a letter.
    #[test]
    fn lines_that_name_nothing_do_not_become_names() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::create(&Store::new(RealFs, Options::from_system()), dir.path()).unwrap();
        let name = |name: &str| MailboxName::parse(name, '/').unwrap();
        std::fs::write(dir.path().join(FILE), "a.b\nWork.\nc..d\n.Sent\n&bad\n").unwrap();
        assert_eq!(tree.subscriptions().unwrap(), [name("a/b")]);
        assert!(tree.subscribe(&name("x.y")).unwrap());
        assert_eq!(tree.subscriptions().unwrap(), [name("a/b"), name("x.y")]);
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), "V\t2\n\na\tb\n&bad\nx.y\n");
    }

    /// What another program wrote in another character set stays as it is, for that program.
    #[test]
    fn a_line_that_is_no_text_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::create(&Store::new(RealFs, Options::from_system()), dir.path()).unwrap();
        let name = |name: &str| MailboxName::parse(name, '/').unwrap();
        std::fs::write(dir.path().join(FILE), b"a\nEntw\xfcrfe\n\nb\r\nc").unwrap();
        assert_eq!(tree.subscriptions().unwrap(), [name("a"), name("b"), name("c")]);
        assert!(tree.unsubscribe(&name("a")).unwrap());
        assert!(tree.subscribe(&name("d")).unwrap());
        assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), b"Entw\xfcrfe\n\nb\r\nc\nd\n");
    }

    #[test]
    fn in_the_layout_fs_a_slash_parts_levels_and_dots_are_letters() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(RealFs, Options::from_system());
        let mut options = TreeOptions { layout: crate::Layout::Fs, ..TreeOptions::default() };
        let path = dir.path().join(FILE);
        let new = MailboxName::parse("Ä/x.y", '/').unwrap();
        for (names, written) in [(DiskNames::ModifiedUtf7, "&AMQ-/x.y"), (DiskNames::Utf8, "Ä/x.y")] {
            options.names = names;
            let tree = Tree::create_with(&store, dir.path(), options.clone()).unwrap();
            std::fs::write(&path, "INBOX\na/b.c\n").unwrap();
            assert!(tree.subscribe(&new).unwrap());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("INBOX\na/b.c\n{written}\n"));
            let names: Vec<_> = tree.subscriptions().unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(names, ["INBOX", "a/b.c", "Ä/x.y"]);
            std::fs::remove_file(&path).unwrap();
            assert!(tree.subscribe(&new).unwrap());
            let tabbed = written.replace('/', "\t");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("V\t2\n\n{tabbed}\n"));
        }
    }

    #[test]
    fn a_name_with_a_dot_is_no_level_in_maildirplusplus() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::create(&Store::new(RealFs, Options::from_system()), dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let dotted = MailboxName::parse("Other Users/ann@example.org/Work", '/').unwrap();
        let named = |text: &str| MailboxName::parse(text, '/').unwrap();
        // With no file there is the newer form from the beginning.
        assert!(tree.subscribe(&dotted).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"V\t2\n\nOther Users\tann@example.org\tWork\n");
        assert_eq!(tree.subscriptions().unwrap(), std::slice::from_ref(&dotted));
        // The older one gives way to it; what names nothing, and what is no text, stays.
        std::fs::write(&path, b"INBOX\nArchive.2024\n..\nEntw\xfcrfe\n&AMQ-\r\n").unwrap();
        assert!(!tree.unsubscribe(&dotted).unwrap());
        assert!(tree.subscribe(&dotted).unwrap());
        assert!(!tree.subscribe(&dotted).unwrap());
        let after = b"V\t2\n\nINBOX\nArchive\t2024\n..\nEntw\xfcrfe\n&AMQ-\nOther Users\tann@example.org\tWork\n";
        assert_eq!(std::fs::read(&path).unwrap(), after);
        let names = [named("INBOX"), named("Archive/2024"), named("Ä"), dotted.clone()];
        assert_eq!(tree.subscriptions().unwrap(), names);
        assert!(tree.unsubscribe(&dotted).unwrap());
        assert_eq!(tree.subscriptions().unwrap(), names[..3]);
    }
}
