//! Opens what a power cut left, as a server that starts again does, and compares it with what the client was told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pillarbox_fs::{Fs, Kind, SimulatedFs};
use pillarbox_maildir::{
    Access, Flags, Layout, Mailbox, MailboxName, Purpose, QuotaRules, Result as StoreResult, Tree, Uid, Usage,
};

use crate::ledger::{Known, Ledger, Places, ToldUid};
use crate::world::{ROOT, World, known, marker_of, name, options, start, text_of, words};

/// What is said about a disk that holds less, or more, than it should.
type Verdict = std::result::Result<(), String>;

/// The message that comes and goes after the start.
const USED: &str = "used";

/// What a mailbox shows after the start.
struct Shown {
    validity: u32,
    uid_next: u32,
    /// UID, marker, flags.
    messages: Vec<(u32, String, BTreeSet<String>)>,
    known: Known,
    mod_seqs: BTreeMap<u32, u64>,
    /// What is said to have gone since a mod-sequence.
    gone: BTreeMap<u64, Option<Vec<(u32, u32)>>>,
}

/// How many disks to look at.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    /// After each power cut.
    pub(crate) per_cut: usize,
    /// One disk in so many has its power cut again while it is opened.
    pub(crate) again_every: usize,
    /// Disks after each of these second power cuts.
    pub(crate) per_second_cut: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { per_cut: 20, again_every: 31, per_second_cut: 3 }
    }
}

/// Looks at every disk that any of the recorded power cuts may have left, and returns their number.
///
/// # Panics
/// With a report, if a disk breaks a promise.
pub(crate) fn audit(scenario: &str, world: &World, budget: Budget) -> usize {
    let mut disks = 0;
    let crashes = world.fs.recorded();
    assert!(!crashes.is_empty(), "{scenario} changed nothing");
    // And another process, without a power cut.
    if let Err(why) = clients_come_back(&world.fs, &world.ledger) {
        panic!("{scenario}: without a power cut: {why}\n{}", world.fs.dump());
    }
    for crash in &crashes {
        for disk in crash.images(budget.per_cut, crash.changes()) {
            disks += 1;
            let before = disk.dump();
            let report = |second: &str, why: String| {
                panic!("{scenario}: {why}\n{second}{crash:?}\nfound on the disk:\n{before}\nnow:\n{}", disk.dump())
            };
            let (mut told, mut left) = (Vec::new(), Vec::new());
            let again = disks % budget.again_every == 0;
            if again {
                disk.record();
            }
            if let Err(why) =
                look(&disk, world.layout, &world.ledger, crash.changes(), disks as u64, &mut told, &mut left)
            {
                report("", why);
            }
            for second in disk.recorded() {
                for disk in second.images(budget.per_second_cut, second.changes()) {
                    disks += 1;
                    let mut told = until(&told, second.changes());
                    let mut left = until(&left, second.changes());
                    if let Err(why) =
                        look(&disk, world.layout, &world.ledger, crash.changes(), disks as u64, &mut told, &mut left)
                    {
                        report(&format!("power cut again while it was opened: {second:?}{}", disk.dump()), why);
                    }
                }
            }
        }
    }
    disks
}

fn until<T: Clone>(told: &[(u64, T)], change: u64) -> Vec<(u64, T)> {
    told.iter().filter(|(at, _)| *at <= change).cloned().collect()
}

/// A server starts, is used, and sweeps up. `left` is what clients knew when it was gone that time. `told` are the numbers that it told before the power failed again, and when;
/// those that it tells now are added.
fn look(
    disk: &SimulatedFs,
    layout: Layout,
    ledger: &Ledger,
    cut: u64,
    seed: u64,
    told: &mut Vec<(u64, ToldUid)>,
    left: &mut Vec<(u64, Known)>,
) -> Verdict {
    // A lock that the dead process held is older than its patience by the time that the machine is up.
    disk.advance(Duration::from_secs(300));
    let store = start(disk, 1000 + seed);
    let world = |error| format!("after the start: {error}");
    let tree = Tree::open_with(&store, ROOT, options(layout)).map_err(world)?;
    let names: BTreeSet<String> = tree
        .list()
        .map_err(world)?
        .into_iter()
        .filter(|listed| listed.exists)
        .map(|listed| listed.name.to_string())
        .collect();
    one_of("mailboxes", &names, ledger.mailboxes.at(cut))?;
    let subscribed = tree.subscriptions().map_err(world)?.iter().map(ToString::to_string).collect();
    one_of("subscriptions", &subscribed, ledger.subscriptions.at(cut))?;
    let clients = ledger.known.until(cut).chain(left.iter().map(|(_, known)| known));
    let since: BTreeSet<u64> = clients.map(|known| known.highest).collect();
    let mut all = BTreeMap::new();
    for mailbox in &names {
        all.insert(
            mailbox.clone(),
            show(&tree, mailbox, &since).map_err(|error| format!("{mailbox} after the start: {error}"))?,
        );
    }
    messages(ledger, cut, &all)?;
    for known in ledger.known.until(cut).chain(left.iter().map(|(_, known)| known)) {
        if let Some((mailbox, shown)) = all.iter().find(|(_, shown)| shown.validity == known.validity) {
            come_back(known, shown).map_err(|why| format!("{mailbox}: {why}"))?;
        }
    }
    left.extend(all.values().map(|shown| (disk.changes(), shown.known.clone())));
    let mut latest = BTreeMap::new();
    for told in ledger.uids.until(cut).chain(told.iter().map(|(_, told)| told)) {
        is_kept(told, &all)?;
        latest.insert((told.validity, &told.marker), told.uid);
    }
    is_there(ledger, cut, &latest, &all)?;
    numbers(ledger, cut, &all)?;
    for shown in all.values() {
        for (uid, text, _) in &shown.messages {
            let now = ToldUid { validity: shown.validity, uid: *uid, marker: marker_of(text).into() };
            told.push((disk.changes(), now));
        }
    }
    quota(disk, &tree, ledger, "after the start")?;
    use_it(&tree, ledger, cut, &all).map_err(world)??;
    quota(disk, &tree, ledger, "after its use")?;
    sweep(disk, &tree, &names)
}

fn show(tree: &Tree, mailbox: &str, told: &BTreeSet<u64>) -> StoreResult<Shown> {
    let mut open = Mailbox::open(&tree.mailbox(&name(mailbox))?, Access::ReadWrite)?;
    let numbers = |(first, last): (Uid, Uid)| (first.get(), last.get());
    let gone = |since: &u64| (*since, open.removed_since(*since).map(|gone| gone.into_iter().map(numbers).collect()));
    let mut shown = Shown {
        validity: open.uid_validity(),
        uid_next: open.uid_next(),
        messages: Vec::new(),
        known: known(&open),
        mod_seqs: open.messages().filter_map(|message| Some((message.uid.get(), open.mod_seq(message.uid)?))).collect(),
        gone: told.iter().map(gone).collect(),
    };
    let found: Vec<_> = open.messages().map(|message| (message.uid, message.flags)).collect();
    for (uid, flags) in found {
        let text = text_of(&mut open, uid)?;
        shown.messages.push((uid.get(), text, words(&open, flags)));
    }
    Ok(shown)
}

/// All clients come back to a server that was started again while the system ran on.
fn clients_come_back(disk: &SimulatedFs, ledger: &Ledger) -> Verdict {
    disk.advance(Duration::from_secs(300));
    let tree = Tree::open(&start(disk, 999), ROOT).map_err(|error| error.to_string())?;
    let since = ledger.known.until(u64::MAX).map(|known| known.highest).collect();
    for listed in tree.list().map_err(|error| error.to_string())?.into_iter().filter(|listed| listed.exists) {
        let mailbox = listed.name.to_string();
        let shown = show(&tree, &mailbox, &since).map_err(|error| error.to_string())?;
        for known in ledger.known.until(u64::MAX).filter(|known| known.validity == shown.validity) {
            come_back(known, &shown).map_err(|why| format!("{mailbox}: {why}"))?;
        }
    }
    Ok(())
}

/// A client that comes back with what it knew hears of all that is different, and neither its UIDNEXT nor a mod-sequence has fallen.
fn come_back(known: &Known, shown: &Shown) -> Verdict {
    let now = &shown.known;
    // RFC 9051 §2.3.1.1
    if now.uid_next < known.uid_next {
        return Err(format!("UIDNEXT {} after {}", now.uid_next, known.uid_next));
    }
    if now.highest < known.highest {
        return Err(format!("HIGHESTMODSEQ {} after {}", now.highest, known.highest));
    }
    let mut messages = known.messages.clone();
    let is_there = |uid: &u32| now.messages.contains_key(uid);
    match &shown.gone[&known.highest] {
        Some(gone) => {
            messages.retain(|uid, _| is_there(uid) || !gone.iter().any(|(first, last)| (first..=last).contains(&uid)));
        }
        None => messages.retain(|uid, _| is_there(uid)),
    }
    for (uid, flags) in now.messages.iter().filter(|(uid, _)| shown.mod_seqs[*uid] > known.highest) {
        messages.insert(*uid, flags.clone());
    }
    match messages == now.messages {
        true => Ok(()),
        false => Err(format!("who knew {known:?} believes in {messages:?}, and there is {now:?}")),
    }
}

fn one_of<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, possible: Option<&Vec<T>>) -> Verdict {
    match possible {
        Some(possible) if possible.contains(found) => Ok(()),
        possible => Err(format!("{what}: {found:?}, and not one of {possible:?}")),
    }
}

/// Each message is where it should be, whole, once, with its flags.
fn messages(ledger: &Ledger, cut: u64, all: &BTreeMap<String, Shown>) -> Verdict {
    let mut found: BTreeMap<&str, Places> =
        ledger.messages.keys().map(|marker| (marker.as_str(), Places::new())).collect();
    for (mailbox, shown) in all {
        for (uid, text, flags) in &shown.messages {
            let marker = marker_of(text);
            // Of the use before the power failed again.
            if text == &format!("{USED}\r\n") {
                continue;
            }
            let Some((whole, _)) = ledger.messages.get(marker) else {
                return Err(format!("{mailbox} {uid}: nobody sent {text:?}"));
            };
            if text != whole {
                return Err(format!("{mailbox} {uid}: {text:?} in place of {whole:?}"));
            }
            let places = found.get_mut(marker).expect("all are listed");
            if places.insert(mailbox.clone(), flags.clone()).is_some() {
                return Err(format!("{marker} is in {mailbox} twice"));
            }
        }
    }
    for (marker, places) in &found {
        one_of(marker, places, ledger.messages[*marker].1.at(cut))?;
    }
    Ok(())
}

/// A UID that was told names what it named, and nothing else.
fn is_kept(ToldUid { validity, uid, marker }: &ToldUid, all: &BTreeMap<String, Shown>) -> Verdict {
    for (mailbox, shown) in all.iter().filter(|(_, shown)| shown.validity == *validity) {
        if shown.uid_next <= *uid {
            return Err(format!("{mailbox}: UIDNEXT {} although {uid} was given", shown.uid_next));
        }
        for (now, text, _) in &shown.messages {
            if now == uid && marker_of(text) != marker {
                return Err(format!("{mailbox}: {now} names {}, and {uid} named {marker}", marker_of(text)));
            }
        }
    }
    Ok(())
}

/// A message that nobody touched has the UID that was told last.
fn is_there(
    ledger: &Ledger,
    cut: u64,
    latest: &BTreeMap<(u32, &String), u32>,
    all: &BTreeMap<String, Shown>,
) -> Verdict {
    for (mailbox, shown) in all {
        for (now, text, _) in &shown.messages {
            let marker = marker_of(text).to_owned();
            let untouched = ledger.messages.get(&marker).and_then(|(_, history)| history.at(cut));
            if untouched.is_some_and(|possible| possible.iter().all(|places| places.contains_key(mailbox)))
                && let Some(told) = latest.get(&(shown.validity, &marker)).filter(|told| *told != now)
            {
                return Err(format!("{mailbox}: {marker} is {now}, and was {told}"));
            }
        }
    }
    Ok(())
}

/// UIDVALIDITY stays, and UIDNEXT does not fall (RFC 9051 §2.3.1.1).
fn numbers(ledger: &Ledger, cut: u64, all: &BTreeMap<String, Shown>) -> Verdict {
    for (mailbox, validity) in ledger.validities.at(cut).into_iter().flatten() {
        if let Some(shown) = all.get(mailbox).filter(|shown| shown.validity != *validity) {
            return Err(format!("{mailbox}: UIDVALIDITY {} in place of {validity}", shown.validity));
        }
    }
    for (validity, uid_next) in ledger.uid_nexts.until(cut) {
        let fallen = |(_, shown): &(&String, &Shown)| shown.validity == *validity && shown.uid_next < *uid_next;
        if let Some((mailbox, shown)) = all.iter().find(fallen) {
            return Err(format!("{mailbox}: UIDNEXT {} after {uid_next}", shown.uid_next));
        }
    }
    let validities: BTreeSet<u32> = all.values().map(|shown| shown.validity).collect();
    if validities.len() < all.len() {
        return Err("two mailboxes have one UIDVALIDITY".into());
    }
    Ok(())
}

/// The store works: a message comes, gets a UID above all, is flagged, and goes.
fn use_it(tree: &Tree, ledger: &Ledger, cut: u64, all: &BTreeMap<String, Shown>) -> StoreResult<Verdict> {
    for (mailbox, shown) in all {
        let folder = tree.mailbox(&name(mailbox))?;
        let (flags, _) = folder.keyword_flags(&["after"])?;
        let mut message = folder.begin()?;
        message.write(format!("{USED}\r\n").as_bytes())?;
        let appended = folder.append(vec![message.prepare(Flags::SEEN | flags, None)?])?;
        let uid = appended.uids[0];
        let told = |told: &&ToldUid| told.validity == appended.uid_validity && told.uid >= uid.get();
        if let Some(told) = ledger.uids.until(cut).find(told) {
            return Ok(Err(format!("{mailbox}: {uid} for a new message, and {told:?} was told")));
        }
        if appended.uid_validity != shown.validity || uid.get() < shown.uid_next {
            return Ok(Err(format!("{mailbox}: {uid} for a new message below UIDNEXT {}", shown.uid_next)));
        }
        let mut open = Mailbox::open(&folder, Access::ReadWrite)?;
        let before: Vec<_> = shown.messages.iter().map(|(uid, ..)| *uid).collect();
        let now: Vec<_> = open.messages().map(|message| message.uid.get()).filter(|n| *n != uid.get()).collect();
        if now != before {
            return Ok(Err(format!("{mailbox}: {now:?} at the second look, {before:?} at the first")));
        }
        open.expunge(&[uid])?;
    }
    Ok(Ok(()))
}

/// What is said to be used is what is there, and whoever has room is not refused.
fn quota(disk: &SimulatedFs, tree: &Tree, ledger: &Ledger, when: &str) -> Verdict {
    let Some(limits) = ledger.quota else { return Ok(()) };
    let told = tree.usage(limits).map_err(|error| format!("usage {when}: {error}"))?;
    let mut there = Usage::default();
    for listed in tree.list().map_err(|error| error.to_string())?.into_iter().filter(|listed| listed.exists) {
        let folder = tree.mailbox(&listed.name).map_err(|error| error.to_string())?;
        for dir in [folder.path().join("new"), folder.path().join("cur")] {
            for entry in disk.list(&dir).map_err(|error| error.to_string())? {
                let len = disk.metadata(&dir.join(&entry.name)).map_err(|error| error.to_string())?.len;
                there = there.plus(if entry.kind == Kind::File { Usage::message(len) } else { Usage::default() });
            }
        }
    }
    if told != there {
        return Err(format!("{when} {told:?} is used, and {there:?} is there"));
    }
    let mut rules = QuotaRules::new(limits);
    if let Some(left) = limits.bytes.and_then(|limit| limit.checked_sub(there.bytes)) {
        let room = Usage { bytes: left, messages: 0 };
        let ask = |adding, rules: &QuotaRules| tree.check_quota(rules, &MailboxName::inbox(), adding, Purpose::Own);
        ask(room, &rules).map_err(|error| format!("{when} {left} are left: {error}"))?;
        if ask(Usage { bytes: left + 1, messages: 0 }, &rules).is_ok() {
            return Err(format!("{when} more than {left} are left"));
        }
        rules = QuotaRules::default();
        ask(Usage { bytes: u64::MAX, messages: 0 }, &rules)
            .map_err(|error| format!("{when} without limits: {error}"))?;
    }
    Ok(())
}

/// Two days later nothing is left but mail and the store's own files.
fn sweep(disk: &SimulatedFs, tree: &Tree, names: &BTreeSet<String>) -> Verdict {
    disk.advance(Duration::from_secs(48 * 3600));
    for mailbox in names {
        let folder = tree.mailbox(&name(mailbox)).map_err(|error| error.to_string())?;
        Mailbox::open(&folder, Access::ReadWrite).map_err(|error| error.to_string())?;
        let left = disk.list(&folder.path().join("tmp")).map_err(|error| error.to_string())?;
        if let Some(entry) = left.first() {
            return Err(format!("{mailbox}: tmp/{} is left", entry.name.display()));
        }
    }
    let dump = disk.dump();
    if dump.contains("pillarbox-deleted") {
        return Err(format!("of a deleted mailbox something is left:\n{dump}"));
    }
    Ok(())
}
