//! Opens what a power cut left, as a server that starts again does, and compares it with what was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use pillarbox_fs::{Fs, SimulatedFs};
use pillarbox_spool::{Finding, MessageId, Outcome, Recovered, Store, StoreError};

use crate::ledger::{Ledger, Shown, Together, Waits};
use crate::support::{ROOT, accept, content, open, report, small, tell};
use crate::world::World;

/// What is said about a disk that holds less, or more, than it should.
type Verdict = std::result::Result<(), String>;

/// On one disk in so many somebody looks before the start.
const GLANCE_EVERY: u64 = 5;

/// Messages that come and go after the start.
const USED: &[u8] = b"used";

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
        Budget { per_cut: 60, again_every: 31, per_second_cut: 3 }
    }
}

/// What was seen at a start, and after which change of the disk: it has to stay.
#[derive(Default)]
struct Seen {
    shown: Option<(u64, BTreeMap<MessageId, Waits>)>,
    /// A message that was accepted then.
    used: Option<(u64, MessageId)>,
}

/// Looks at every disk that any of the recorded power cuts may have left, and returns their number.
///
/// # Panics
/// With a report, if a disk breaks a promise.
pub(crate) fn audit(scenario: &str, world: &World, budget: Budget) -> usize {
    let mut disks = 0;
    let crashes = world.fs.recorded();
    assert!(!crashes.is_empty(), "{scenario} changed nothing");
    for crash in &crashes {
        for disk in crash.images(budget.per_cut, crash.changes()) {
            disks += 1;
            let before = disk.clone_of_dump();
            let fail = |second: &str, why: String| {
                panic!("{scenario}: {why}\n{second}{crash:?}\nfound on the disk:\n{before}\nnow:\n{}", disk.dump())
            };
            let mut seen = Seen::default();
            if disks % budget.again_every == 0 {
                disk.record();
            }
            if let Err(why) = look(&disk, &world.ledger, crash.changes(), disks as u64, &mut seen) {
                fail("", why);
            }
            for second in disk.recorded() {
                for disk in second.images(budget.per_second_cut, second.changes()) {
                    disks += 1;
                    let until = |at: u64| at <= second.changes();
                    let mut seen = Seen {
                        shown: seen.shown.clone().filter(|(at, _)| until(*at)),
                        used: seen.used.filter(|(at, _)| until(*at)),
                    };
                    if let Err(why) = look(&disk, &world.ledger, crash.changes(), disks as u64, &mut seen) {
                        fail(&format!("power cut again while it was opened: {second:?}{}", disk.dump()), why);
                    }
                }
            }
        }
    }
    disks
}

/// What somebody sees who only looks. Nothing is changed by that.
fn glance(disk: &SimulatedFs) -> Result<BTreeMap<MessageId, Waits>, String> {
    let before = disk.changes();
    let told = |error: StoreError| format!("a look: {error}");
    let (store, recovery) = Store::look(disk.clone(), ROOT).map_err(told)?;
    let waiting = recovery.filter_map(|recovered| match recovered {
        Recovered::Waiting(message) => Some(message.id),
        _ => None,
    });
    let mut all = BTreeMap::new();
    for id in waiting.collect::<Vec<_>>() {
        all.insert(id, Waits::of(&store.message(id).map_err(told)?));
    }
    if disk.changes() != before {
        return Err("a look has changed something".into());
    }
    Ok(all)
}

/// A server starts, is used, and tidies up.
fn look(disk: &SimulatedFs, ledger: &Ledger, cut: u64, seed: u64, seen: &mut Seen) -> Verdict {
    let glanced = if seed % GLANCE_EVERY == 0 { Some(glance(disk)?) } else { None };
    let (store, all) = start(disk, 1000 + 2 * seed)?;
    if let Some(glanced) = glanced.filter(|glanced| *glanced != all) {
        return Err(format!("{glanced:?} at a look, {all:?} at the start"));
    }
    messages(ledger, cut, &store, &all, seen)?;
    seen.shown = Some((disk.changes(), all.clone()));
    let world = |error: StoreError| format!("after the start: {error}");
    let id = accept(&store, USED, 2).map_err(world)?;
    seen.used = Some((disk.changes(), id));
    tell(&store, report(id, &[(0, Outcome::Delivered)])).map_err(world)?;
    // Enough that segments are full, carried forward and deleted.
    for _ in 0..3 {
        accept(&store, &[b'u'; 900], 1)
            .and_then(|id| tell(&store, report(id, &[(0, Outcome::Delivered)])))
            .map_err(world)?;
        store.tend().map_err(world)?;
    }
    drop(store);
    let (store, mut again) = start(disk, 1001 + 2 * seed)?;
    let used = again.remove(&id).ok_or("a message that was accepted after the start is gone")?;
    if used.recipients[0].0 != Some(Outcome::Delivered) {
        return Err(format!("news after the start is gone: {used:?}"));
    }
    if again != all {
        return Err(format!("{again:?} at the second start, {all:?} at the first"));
    }
    for id in again.keys() {
        whole(ledger, &store, *id)?;
    }
    // Two days later nothing is left but what is waiting.
    disk.advance(Duration::from_secs(48 * 3600));
    store.sweep(disk.now()).map_err(world)?;
    let bodies: BTreeSet<String> =
        disk.list(Path::new("/spool/bodies")).unwrap().into_iter().map(|it| it.name.into_string().unwrap()).collect();
    if let Some(name) = bodies.iter().find(|name| !again.contains_key(&name.parse().unwrap())) {
        return Err(format!("bodies/{name} is left"));
    }
    Ok(())
}

/// Opens a spool; after a power cut nothing is damaged and nothing is moved.
fn start(disk: &SimulatedFs, seed: u64) -> Result<(Store, BTreeMap<MessageId, Waits>), String> {
    let (store, waiting, findings) = open(disk.clone(), ROOT, small(seed)).map_err(|error| format!("open: {error}"))?;
    if let Some(finding) = findings.iter().find(|finding| !matches!(finding, Finding::Cut { .. })) {
        return Err(format!("found after a power cut: {finding}"));
    }
    let mut all = BTreeMap::new();
    for known in waiting {
        let message = store.message(known.id).map_err(|error| format!("{}: {error}", known.id))?;
        let shown = Waits::of(&message);
        let told: Vec<_> = shown.recipients.iter().map(|(outcome, notices, ..)| (*outcome, *notices)).collect();
        if (known.held, known.is_owed, message.is_owed, &known.recipients)
            != (shown.held, shown.is_owed(), shown.is_owed(), &told)
        {
            return Err(format!("{known:?} was told, and it is {shown:?}"));
        }
        if let Some(state) = message.recipients.iter().find(|it| it.attempts as usize != it.history.len()) {
            return Err(format!("{}: attempts are missing: {state:?}", known.id));
        }
        if all.insert(known.id, shown).is_some() {
            return Err(format!("{} is told twice", known.id));
        }
    }
    Ok((store, all))
}

/// Each message is there or not, as it should be, whole.
fn messages(ledger: &Ledger, cut: u64, store: &Store, all: &BTreeMap<MessageId, Waits>, seen: &Seen) -> Verdict {
    for id in all.keys() {
        whole(ledger, store, *id)?;
    }
    for id in ledger.messages.keys() {
        let shown: Shown = all.get(id).cloned();
        let possible = ledger.at(*id, cut);
        if !possible.contains(&shown) {
            return Err(format!("{id}: {shown:?}, and not one of {possible:?}"));
        }
        if let Some((_, before)) = &seen.shown
            && before.get(id) != shown.as_ref()
        {
            return Err(format!("{id}: {shown:?}, and an earlier start had {:?}", before.get(id)));
        }
    }
    // RFC 5321 §6.1: who is told of a failure is told of one that is recorded, and the other way round.
    for Together { changes, .. } in ledger.together.iter().filter(|it| (it.from..it.to).contains(&cut)) {
        let is = |which: &dyn Fn(&(MessageId, Shown, Shown)) -> Shown| {
            changes.iter().all(|change| all.get(&change.0).cloned() == which(change))
        };
        if !is(&|(_, before, _)| before.clone()) && !is(&|(_, _, after)| after.clone()) {
            return Err(format!("one commit is there in part: {changes:?}"));
        }
    }
    match seen.used {
        Some((_, id)) if !all.contains_key(&id) => Err("a message that was accepted after a start is gone".into()),
        _ => Ok(()),
    }
}

fn whole(ledger: &Ledger, store: &Store, id: MessageId) -> Verdict {
    let found = content(store, id).map_err(|error| format!("{id}: {error}"))?;
    match ledger.messages.get(&id) {
        Some((whole, _)) if *whole != found => Err(format!("{id}: {} in place of its content", found.escape_ascii())),
        None if found != USED && found != [b'u'; 900] => Err(format!("{id}: nobody sent {}", found.escape_ascii())),
        _ => Ok(()),
    }
}

/// The text is made only where it is shown: most disks are fine.
trait Shows {
    fn clone_of_dump(&self) -> Before;
}

struct Before(pillarbox_fs::Crash);

impl Shows for SimulatedFs {
    fn clone_of_dump(&self) -> Before {
        Before(self.crash())
    }
}

impl std::fmt::Display for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let disk = self.0.images(1, 0).next();
        f.write_str(&disk.map(|disk| disk.dump()).unwrap_or_default())
    }
}
