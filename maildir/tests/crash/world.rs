//! A client at work: each thing that it does is written into the ledger before it begins, and again when the answer is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pillarbox_fs::{Fs, SimulatedFs};
use pillarbox_maildir::{
    Access, Clock, FlagChange, Flags, Layout, Mailbox, MailboxName, Maildir, Options, Quota, Result, Store, Tree,
    TreeOptions, Uid, publish_all,
};

use crate::ledger::{Known, Ledger, Places, ToldUid};

pub(crate) const ROOT: &str = "/mail";

/// The disk's own clock.
struct DiskClock(SimulatedFs);

impl Clock for DiskClock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) {
        self.0.advance(duration);
    }
}

/// A process that starts on this disk.
pub(crate) fn start(fs: &SimulatedFs, seed: u64) -> Store {
    let mut options = Options::from_system();
    options.host = "host".into();
    options.pid = 1;
    options.seed = seed;
    options.clock = Arc::new(DiskClock(fs.clone()));
    // So that a wrong snapshot would be found out.
    options.snapshot_from = 1;
    Store::new(fs.clone(), options)
}

pub(crate) fn name(mailbox: &str) -> MailboxName {
    MailboxName::parse(mailbox, '/').unwrap()
}

/// The flags of a message as words.
pub(crate) fn words(mailbox: &Mailbox, flags: Flags) -> BTreeSet<String> {
    let system = [
        (Flags::DRAFT, "\\Draft"),
        (Flags::FLAGGED, "\\Flagged"),
        (Flags::ANSWERED, "\\Answered"),
        (Flags::SEEN, "\\Seen"),
        (Flags::DELETED, "\\Deleted"),
    ];
    let system = system.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| (*word).to_owned());
    system.chain(mailbox.keyword_names(flags).into_iter().map(str::to_owned)).collect()
}

pub(crate) fn text_of(mailbox: &mut Mailbox, uid: Uid) -> Result<String> {
    let mut reader = mailbox.read(uid)?;
    let mut bytes = vec![0; usize::try_from(reader.len()).unwrap()];
    let mut filled = 0;
    while filled < bytes.len() {
        match reader.read_at(filled as u64, &mut bytes[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a client knows who has asked for everything.
pub(crate) fn known(open: &Mailbox) -> Known {
    let messages = open.messages().map(|message| (message.uid.get(), words(open, message.flags))).collect();
    let highest = open.highest_mod_seq().expect("there are mod-sequences");
    Known { validity: open.uid_validity(), uid_next: open.uid_next(), highest, messages }
}

/// The first word of a message's text.
pub(crate) fn marker_of(text: &str) -> &str {
    text.split("\r\n").next().unwrap_or_default()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(crate) struct World {
    pub(crate) fs: SimulatedFs,
    pub(crate) tree: Tree,
    pub(crate) ledger: Ledger,
    pub(crate) layout: Layout,
    count: u32,
}

pub(crate) fn options(layout: Layout) -> TreeOptions {
    let mut options = TreeOptions::default();
    options.layout = layout;
    options
}

impl World {
    /// An account with INBOX, durable; power cuts are recorded from here on.
    pub(crate) fn new() -> Self {
        World::with(Layout::MaildirPlusPlus)
    }

    pub(crate) fn with(layout: Layout) -> Self {
        let fs = SimulatedFs::new();
        let store = start(&fs, 1);
        let tree = Tree::create_with(&store, ROOT, options(layout)).unwrap();
        fs.record();
        World { fs, tree, ledger: Ledger::new(), layout, count: 0 }
    }

    /// Forgets the power cuts so far: what follows is what the scenario is about.
    pub(crate) fn now_it_begins(&self) {
        self.fs.record();
    }

    fn at(&self) -> u64 {
        self.fs.changes()
    }

    pub(crate) fn folder(&self, mailbox: &str) -> Maildir {
        self.tree.mailbox(&name(mailbox)).unwrap()
    }

    fn new_message(&mut self, lines: usize) -> String {
        self.count += 1;
        let marker = format!("M{}-", self.count);
        let text = format!("{marker}\r\n\r\n{}", "a line of text\r\n".repeat(lines));
        self.ledger.messages.insert(marker.clone(), (text, crate::ledger::History::new()));
        self.ledger.expect(0, &marker, vec![Places::new()]);
        marker
    }

    /// Says what may be so from now on, does it, and says what is so then. After an error anything in between may be so.
    fn act<T>(
        &mut self,
        changes: Vec<(String, Vec<Places>, Places)>,
        act: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Option<T> {
        let at = self.at();
        for (marker, possible, _) in &changes {
            self.ledger.expect(at, marker, possible.clone());
        }
        let done = act(self).ok()?;
        let at = self.at();
        for (marker, _, after) in changes {
            self.ledger.expect(at, &marker, vec![after]);
        }
        Some(done)
    }

    pub(crate) fn deliver(&mut self, mailboxes: &[&str], lines: usize) -> Option<String> {
        self.deliver_in_pieces(mailboxes, lines, false)
    }

    /// A third at a time to each mailbox, and parked after it.
    pub(crate) fn deliver_parked(&mut self, mailboxes: &[&str], lines: usize) -> Option<String> {
        self.deliver_in_pieces(mailboxes, lines, true)
    }

    fn deliver_in_pieces(&mut self, mailboxes: &[&str], lines: usize, parked: bool) -> Option<String> {
        let marker = self.new_message(lines);
        let after: Places = mailboxes.iter().map(|mailbox| ((*mailbox).to_owned(), BTreeSet::new())).collect();
        let done = self.act(vec![(marker.clone(), subsets(&after), after)], |world| {
            let text = world.ledger.messages[&marker].0.clone();
            let mut all: Vec<_> =
                mailboxes.iter().map(|mailbox| world.folder(mailbox).begin()).collect::<Result<_>>()?;
            let piece = if parked { text.len() / 3 } else { text.len() };
            for piece in text.as_bytes().chunks(piece) {
                for incoming in &mut all {
                    incoming.write(piece)?;
                    if parked {
                        incoming.park()?;
                    }
                }
            }
            publish_all(all.into_iter().map(|incoming| incoming.prepare(Flags::NONE, None)).collect::<Result<_>>()?)
        });
        done.map(|_| marker)
    }

    /// IMAP's APPEND of several messages with flags and keywords.
    pub(crate) fn append(&mut self, mailbox: &str, flags: Flags, keywords: &[&str], messages: usize) {
        let markers: Vec<String> = (0..messages).map(|n| self.new_message(n)).collect();
        let mut all: BTreeSet<String> = set(keywords);
        for (flag, word) in [(Flags::SEEN, "\\Seen"), (Flags::FLAGGED, "\\Flagged"), (Flags::DELETED, "\\Deleted")] {
            if flags.contains(flag) {
                all.insert(word.into());
            }
        }
        let after = Places::from([(mailbox.to_owned(), all)]);
        let changes =
            markers.iter().map(|marker| (marker.clone(), vec![Places::new(), after.clone()], after.clone())).collect();
        let appended = self.act(changes, |world| {
            let folder = world.folder(mailbox);
            let (letters, _) = folder.keyword_flags(keywords)?;
            let mut prepared = Vec::new();
            for marker in &markers {
                let mut incoming = folder.begin()?;
                incoming.write(world.ledger.messages[marker].0.as_bytes())?;
                prepared.push(incoming.prepare(flags | letters, None)?);
            }
            folder.append(prepared)
        });
        if let Some(appended) = appended {
            self.told_uids(mailbox, appended.uid_validity, markers, appended.uids);
        }
    }

    fn told_uids(&mut self, mailbox: &str, validity: u32, markers: Vec<String>, uids: Vec<Uid>) {
        let at = self.at();
        for (marker, uid) in markers.into_iter().zip(uids) {
            self.ledger.uids.push(at, ToldUid { validity, uid: uid.get(), marker });
        }
        let mut validities = self.ledger.validities.last().cloned().unwrap_or_default();
        validities.insert(mailbox.to_owned(), validity);
        self.ledger.validities.push(at, validities);
    }

    /// SELECT, and FETCH of everything: the client knows the numbers now.
    pub(crate) fn select(&mut self, mailbox: &str) -> Option<Mailbox> {
        let mut open = Mailbox::open(&self.folder(mailbox), Access::ReadWrite).ok()?;
        let uids: Vec<Uid> = open.messages().map(|message| message.uid).collect();
        let markers = uids.iter().map(|uid| marker_of(&text_of(&mut open, *uid).unwrap()).to_owned()).collect();
        let at = self.at();
        self.ledger.uid_nexts.push(at, (open.uid_validity(), open.uid_next()));
        self.told_uids(mailbox, open.uid_validity(), markers, uids);
        self.knows(&open);
        Some(open)
    }

    /// The client knows everything that the view shows, if it has mod-sequences to tell.
    fn knows(&mut self, open: &Mailbox) {
        if open.highest_mod_seq().is_some() {
            let at = self.at();
            self.ledger.known.push(at, known(open));
        }
    }

    /// Another program gives messages flags, or removes them, and syncs nothing before the client has heard of it.
    pub(crate) fn behind_our_back(&mut self, mailbox: &str, which: &[usize], flags: Option<Flags>) {
        let Some(mut open) = self.select(mailbox) else { return };
        let cur = open.maildir().path().join("cur");
        let mut settled = Vec::new();
        for (uid, marker) in self.pick(&mut open, which) {
            let before = self.ledger.places(&marker);
            let mut after = before.clone();
            let base = open.message(uid).expect("it was picked").name.to_vec();
            let old = self.fs.list(&cur).unwrap().into_iter().map(|entry| entry.name);
            let old = old.into_iter().find(|name| name.as_encoded_bytes().starts_with(&base)).expect("it is there");
            let at = self.at();
            match flags {
                Some(flags) => {
                    after.insert(mailbox.to_owned(), words(&open, flags));
                    self.ledger.expect(at, &marker, vec![before, after.clone()]);
                    let new = format!("{}:2,{flags}", String::from_utf8_lossy(&base));
                    self.fs.rename(&cur.join(&old), &cur.join(new)).unwrap();
                }
                None => {
                    after.remove(mailbox);
                    self.ledger.expect(at, &marker, vec![before, after.clone()]);
                    self.fs.unlink(&cur.join(&old)).unwrap();
                }
            }
            settled.push((marker, after));
        }
        // Files that are written at one instant look alike.
        self.fs.advance(Duration::from_secs(5));
        open.refresh().unwrap();
        self.knows(&open);
        // What it was in new/ may come back as well.
        self.fs.sync_dir(&open.maildir().path().join("new")).unwrap();
        self.fs.sync_dir(&cur).unwrap();
        let at = self.at();
        for (marker, after) in settled {
            self.ledger.expect(at, &marker, vec![after]);
        }
    }

    /// Another program gave a UID to a message that is gone: UIDNEXT is all that tells. It appends to the list and syncs nothing, or
    /// writes it anew and does not sync the directory.
    pub(crate) fn uid_given_behind_our_back(&mut self, mailbox: &str, anew: bool) {
        let Some(open) = self.select(mailbox) else { return };
        let list = open.maildir().path().join("dovecot-uidlist");
        let line = format!("{} :gone\n", open.uid_next());
        if anew {
            let written = list.with_extension("other");
            let before = self.fs.read(&list, 1 << 20).unwrap();
            let mut file = self.fs.create(&written).unwrap();
            file.write(&[&before, line.as_bytes()].concat()).and_then(|()| file.sync()).unwrap();
            file.close().unwrap();
            self.fs.rename(&written, &list).unwrap();
        } else {
            let mut file = self.fs.open_append(&list).unwrap();
            file.write(line.as_bytes()).and_then(|()| file.close()).unwrap();
        }
        let told = self.select(mailbox).map(|now| now.uid_next());
        assert_eq!(told, Some(open.uid_next() + 1), "it counts");
    }

    /// A message is in both: a copy of it would be there twice.
    pub(crate) fn shares(&self, one: &str, other: &str) -> bool {
        let there = self.ledger.markers_in(other);
        self.ledger.markers_in(one).iter().any(|marker| there.contains(marker))
    }

    /// The messages at these places of a mailbox.
    fn pick(&mut self, open: &mut Mailbox, which: &[usize]) -> Vec<(Uid, String)> {
        let uids: Vec<Uid> = open.messages().map(|message| message.uid).collect();
        let picked = which.iter().filter_map(|n| uids.get(*n).copied());
        picked.map(|uid| (uid, marker_of(&text_of(open, uid).unwrap()).to_owned())).collect()
    }

    pub(crate) fn store_flags(
        &mut self,
        mailbox: &str,
        which: &[usize],
        how: FlagChange,
        flags: Flags,
        keywords: &[&str],
    ) {
        let Some(mut open) = self.select(mailbox) else { return };
        let picked = self.pick(&mut open, which);
        let Ok((letters, _)) = open.maildir().keyword_flags(keywords) else { return };
        let _ = open.refresh();
        let words = &words(&open, flags | letters) | &set(keywords);
        let changes = picked
            .iter()
            .map(|(_, marker)| {
                let before = self.ledger.places(marker);
                let mut after = before.clone();
                let there = after.get_mut(mailbox).expect("it is there");
                *there = match how {
                    FlagChange::Add => &*there | &words,
                    FlagChange::Remove => &*there - &words,
                    _ => words.clone(),
                };
                (marker.clone(), vec![before, after.clone()], after)
            })
            .collect();
        let uids: Vec<Uid> = picked.iter().map(|(uid, _)| *uid).collect();
        if self.act(changes, |_| open.set_flags(&uids, how, flags | letters)).is_some() {
            self.knows(&open);
        }
    }

    pub(crate) fn expunge(&mut self, mailbox: &str, which: &[usize]) {
        let Some(mut open) = self.select(mailbox) else { return };
        let picked = self.pick(&mut open, which);
        let changes = picked
            .iter()
            .map(|(_, marker)| {
                let before = self.ledger.places(marker);
                let mut after = before.clone();
                after.remove(mailbox);
                (marker.clone(), vec![before, after.clone()], after)
            })
            .collect();
        let uids: Vec<Uid> = picked.iter().map(|(uid, _)| *uid).collect();
        if self.act(changes, |_| open.expunge(&uids)).is_some() {
            self.knows(&open);
        }
    }

    pub(crate) fn copy(&mut self, from: &str, which: &[usize], to: &str, moves: bool) {
        let Some(mut open) = self.select(from) else { return };
        let picked = self.pick(&mut open, which);
        let changes = picked
            .iter()
            .map(|(_, marker)| {
                let before = self.ledger.places(marker);
                let mut both = before.clone();
                both.insert(to.to_owned(), before[from].clone());
                let mut after = both.clone();
                let mut possible = vec![before, both];
                if moves {
                    after.remove(from);
                    possible.push(after.clone());
                }
                (marker.clone(), possible, after)
            })
            .collect();
        let uids: Vec<Uid> = picked.iter().map(|(uid, _)| *uid).collect();
        let target = self.folder(to);
        let copied =
            self.act(changes, |_| if moves { open.move_to(&uids, &target) } else { open.copy(&uids, &target) });
        if let Some(copied) = copied {
            let markers = picked.into_iter().map(|(_, marker)| marker).collect();
            self.told_uids(to, copied.uid_validity, markers, copied.uids.iter().map(|(_, there)| *there).collect());
        }
    }

    /// A message in another mailbox with the same text takes the place of one.
    pub(crate) fn replace(&mut self, from: &str, which: usize, to: &str) {
        let Some(mut open) = self.select(from) else { return };
        let Some((uid, marker)) = self.pick(&mut open, &[which]).pop() else { return };
        let before = self.ledger.places(&marker);
        let mut both = before.clone();
        both.insert(to.to_owned(), set(&["\\Draft"]));
        let mut after = both.clone();
        after.remove(from);
        let target = self.folder(to);
        let changes = vec![(marker.clone(), vec![before, both, after.clone()], after)];
        let replaced = self.act(changes, |world| {
            let mut incoming = target.begin()?;
            incoming.write(world.ledger.messages[&marker].0.as_bytes())?;
            open.replace(uid, incoming.prepare(Flags::DRAFT, None)?)
        });
        if let Some(replaced) = replaced {
            self.told_uids(to, replaced.uid_validity, vec![marker], replaced.uids);
        }
    }

    pub(crate) fn create(&mut self, mailbox: &str, uses: &[&str]) {
        let before = self.ledger.mailboxes_now();
        let mut after = before.clone();
        after.insert(mailbox.to_owned());
        self.change_mailboxes(vec![before, after.clone()], after, |world| {
            world.tree.create_mailbox_for(&name(mailbox), uses).map(drop)
        });
    }

    pub(crate) fn delete(&mut self, mailbox: &str) {
        let before = self.ledger.mailboxes_now();
        let mut after = before.clone();
        after.remove(mailbox);
        self.forget_validity(&[mailbox]);
        let changes = self.moved(&[(mailbox, None)]);
        self.act(changes, |world| {
            world.change_mailboxes(vec![before, after.clone()], after, |world| {
                world.tree.delete_mailbox(&name(mailbox))
            });
            Ok(())
        });
    }

    /// RENAME of a mailbox with all below it. In Maildir++ each of them is renamed alone, so that after a power cut some may have the
    /// new name and some the old one, as RFC 9051 §6.3.6 leaves it open. In the layout `fs` all are in one directory.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let before = self.ledger.mailboxes_now();
        let is_below = |mailbox: &&String| *mailbox == from || mailbox.starts_with(&format!("{from}/"));
        let moved: Vec<(String, String)> =
            before.iter().filter(is_below).map(|mailbox| (mailbox.clone(), mailbox.replacen(from, to, 1))).collect();
        let mut possible = vec![before];
        for (old, new) in &moved {
            for mut names in possible.clone() {
                names.remove(old);
                names.insert(new.clone());
                possible.push(names);
            }
        }
        let after = possible.last().cloned().expect("there is one at least");
        if self.layout == Layout::Fs {
            possible = vec![possible[0].clone(), after.clone()];
        }
        let validities = self.ledger.validities.last().cloned().unwrap_or_default();
        let names: Vec<&str> = moved.iter().map(|(old, _)| old.as_str()).collect();
        self.forget_validity(&names);
        let changes =
            self.moved(&moved.iter().map(|(old, new)| (old.as_str(), Some(new.as_str()))).collect::<Vec<_>>());
        self.act(changes, |world| {
            world.change_mailboxes(possible, after, |world| world.tree.rename_mailbox(&name(from), &name(to)));
            Ok(())
        });
        let kept: BTreeMap<String, u32> = validities
            .into_iter()
            .map(|(mailbox, validity)| match moved.iter().find(|(old, _)| *old == mailbox) {
                Some((_, new)) => (new.clone(), validity),
                None => (mailbox, validity),
            })
            .collect();
        let at = self.at();
        self.ledger.validities.push(at, kept);
    }

    /// RENAME of INBOX: its messages move.
    pub(crate) fn rename_inbox(&mut self, to: &str) {
        let before = self.ledger.mailboxes_now();
        let mut after = before.clone();
        after.insert(to.to_owned());
        let changes = self
            .ledger
            .markers_in("INBOX")
            .into_iter()
            .map(|marker| {
                let before = self.ledger.places(&marker);
                let mut both = before.clone();
                both.insert(to.to_owned(), before["INBOX"].clone());
                let mut after = both.clone();
                after.remove("INBOX");
                (marker, vec![before, both, after.clone()], after)
            })
            .collect();
        self.act(changes, |world| {
            world.change_mailboxes(vec![before, after.clone()], after, |world| {
                world.tree.rename_mailbox(&name("INBOX"), &name(to))
            });
            Ok(())
        });
    }

    /// The account gets a limit, or another one; all is counted and written down.
    pub(crate) fn limit(&mut self, bytes: u64) {
        let limits = Quota { bytes: Some(bytes), messages: Some(50) };
        self.ledger.quota = Some(limits);
        let _ = self.tree.recount(limits);
    }

    pub(crate) fn subscribe(&mut self, mailbox: &str, subscribe: bool) {
        let before = match self.ledger.subscriptions.last().map(Vec::as_slice) {
            Some([names]) => names.clone(),
            _ => return,
        };
        let mut after = before.clone();
        if subscribe {
            after.insert(mailbox.to_owned());
        } else {
            after.remove(mailbox);
        }
        let at = self.at();
        self.ledger.subscriptions.push(at, vec![before, after.clone()]);
        let name = name(mailbox);
        let done = if subscribe { self.tree.subscribe(&name) } else { self.tree.unsubscribe(&name) };
        if done.is_ok() {
            let at = self.at();
            self.ledger.subscriptions.push(at, vec![after]);
        }
    }

    fn change_mailboxes(
        &mut self,
        possible: Vec<BTreeSet<String>>,
        after: BTreeSet<String>,
        change: impl FnOnce(&mut Self) -> Result<()>,
    ) {
        let at = self.at();
        self.ledger.mailboxes.push(at, possible);
        if change(self).is_ok() {
            let at = self.at();
            self.ledger.mailboxes.push(at, vec![after]);
        }
    }

    fn forget_validity(&mut self, mailboxes: &[&str]) {
        let mut validities = self.ledger.validities.last().cloned().unwrap_or_default();
        validities.retain(|mailbox, _| !mailboxes.contains(&mailbox.as_str()));
        let at = self.at();
        self.ledger.validities.push(at, validities);
    }

    /// What becomes of the messages of mailboxes that get another name, or none, one after the other.
    fn moved(&self, mailboxes: &[(&str, Option<&str>)]) -> Vec<(String, Vec<Places>, Places)> {
        let markers: BTreeSet<String> = mailboxes.iter().flat_map(|(old, _)| self.ledger.markers_in(old)).collect();
        markers
            .into_iter()
            .map(|marker| {
                let mut possible = vec![self.ledger.places(&marker)];
                for (old, new) in mailboxes {
                    for mut places in possible.clone() {
                        if let Some(flags) = places.remove(*old) {
                            places.extend(new.map(|new| (new.to_owned(), flags)));
                            possible.push(places);
                        }
                    }
                }
                let after = possible.last().cloned().expect("there is one at least");
                (marker, possible, after)
            })
            .collect()
    }
}

/// A message for several mailboxes may have come to some of them when the power fails, while its sender has no answer.
fn subsets(all: &Places) -> Vec<Places> {
    let mut subsets = vec![Places::new()];
    for (mailbox, flags) in all {
        for mut places in subsets.clone() {
            places.insert(mailbox.clone(), flags.clone());
            subsets.push(places);
        }
    }
    subsets
}
