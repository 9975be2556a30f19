//! What a disk may hold after a power cut: every state that the contract of [`Fs`](crate::Fs) allows.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::SimulatedFs;
use super::disk::{DirectoryNode, Disk, DurableName, FileNode, Id, Node, ROOT, Write};

/// A disk at the moment of a power cut.
#[derive(Clone)]
pub struct Crash {
    pub(super) disk: Disk,
    pub(super) changes: u64,
}

/// The disks that may be found after a [`Crash`], each once.
///
/// Each pending change of a name is there or not, alone; a rename also half, so that the file has both names. Of each
/// file that has a name, each write since its last sync is there or not; the last one that is there may also end at any multiple of 512 bytes in the
/// file, or have made the file longer and left zeros.
#[derive(Debug)]
pub struct Images {
    crash: Crash,
    seen: HashSet<u64>,
    left: usize,
    tries: usize,
    plan: Plan,
}

#[derive(Debug)]
enum Plan {
    /// Every sequence of choices, the last choice changing first.
    All(Option<Vec<(usize, usize)>>),
    /// Too many for that: all alike but one, then by lot.
    Some { round: usize, choices: usize, random: u64 },
}

/// Torn writes are cut at sectors.
const SECTOR: usize = 512;

impl Crash {
    /// How many changes had been made to the disk.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The disks that may be found afterwards: all of them if there are at most about `most`; otherwise those where
    /// nothing pending, everything, everything but one change or one change alone survived, and others by lot, `most`
    /// in all.
    pub fn images(&self, most: usize, seed: u64) -> Images {
        let mut count = Counting { product: 1.0, choices: 0 };
        self.image(&mut count);
        // Different choices often come to the same disk.
        let plan = if count.product <= 8.0 * most as f64 {
            Plan::All(Some(Vec::new()))
        } else {
            Plan::Some { round: 0, choices: count.choices, random: seed }
        };
        Images { crash: self.clone(), seen: HashSet::new(), left: most, tries: most.saturating_mul(16), plan }
    }

    fn image(&self, choose: &mut impl Choose) -> Disk {
        let mut names: BTreeMap<Id, BTreeMap<OsString, DurableName>> = BTreeMap::new();
        for (id, node) in &self.disk.nodes {
            if let Node::Directory(directory) = &**node {
                names.insert(*id, directory.durable.clone());
            }
        }
        let mut set = |parent: Id, name: &OsString, order: u64, node: Option<Id>| {
            let newer = DurableName { order, node };
            let known = names.entry(parent).or_default().entry(name.clone()).or_insert(newer);
            if known.order <= order {
                *known = newer;
            }
        };
        for change in &self.disk.pending {
            let halves = usize::from(change.add.is_some() && change.remove.is_some() && !change.whole);
            let chosen = choose.choose(2 + halves);
            if chosen == 0 {
                continue;
            }
            if let Some((parent, name, node)) = &change.add {
                set(*parent, name, change.order, Some(*node));
            }
            if let Some((parent, name)) = &change.remove
                && chosen == 1
            {
                set(*parent, name, change.order, None);
            }
        }
        // What has no name is gone, and its contents need no choice.
        let mut nodes = BTreeMap::new();
        let mut open = BTreeSet::from([ROOT]);
        while let Some(id) = open.pop_first() {
            if nodes.contains_key(&id) {
                continue;
            }
            let node = match &*self.disk.nodes[&id] {
                Node::File(file) => Node::File(contents(file, choose)),
                Node::Directory(directory) => {
                    let durable = names.remove(&id).unwrap_or_default();
                    let names: BTreeMap<OsString, Id> =
                        durable.iter().filter_map(|(name, known)| Some((name.clone(), known.node?))).collect();
                    open.extend(names.values());
                    Node::Directory(DirectoryNode { names, durable, modified: directory.modified })
                }
            };
            nodes.insert(id, Arc::new(node));
        }
        self.disk.with_nodes(nodes)
    }
}

fn contents(file: &FileNode, choose: &mut impl Choose) -> FileNode {
    let mut bytes = file.durable.clone();
    let mut last: Option<(Vec<u8>, &Write)> = None;
    for write in &file.writes {
        if choose.choose(2) == 1 {
            let before = bytes.clone();
            write.apply(&mut bytes, write.bytes.len());
            last = Some((before, write));
        }
    }
    if let Some((before, write)) = last {
        let first = (write.offset / SECTOR + 1) * SECTOR;
        let cuts: Vec<usize> =
            (first..write.offset + write.bytes.len()).step_by(SECTOR).map(|end| end - write.offset).collect();
        match choose.choose(2 + cuts.len()) {
            1 => {}
            0 => {
                let zeros = Write { bytes: vec![0; write.bytes.len()], ..write.clone() };
                bytes = before;
                zeros.apply(&mut bytes, zeros.bytes.len());
            }
            cut => {
                bytes = before;
                write.apply(&mut bytes, cuts[cut - 2]);
            }
        }
    }
    let old_time = file.durable_modified != file.modified && choose.choose(2) == 0;
    let modified = if old_time { file.durable_modified } else { file.modified };
    FileNode { durable: bytes.clone(), bytes, modified, durable_modified: modified, writes: Vec::new() }
}

impl Images {
    /// True once every state that the contract allows was given: at the end, and only if there were no more than asked for.
    pub fn is_complete(&self) -> bool {
        matches!(self.plan, Plan::All(None))
    }

    fn next_disk(&mut self) -> Option<Disk> {
        match &mut self.plan {
            Plan::All(next) => {
                let mut path = Path { taken: next.take()?, at: 0 };
                let disk = self.crash.image(&mut path);
                *next = path.successor();
                Some(disk)
            }
            Plan::Some { round, choices, random } => {
                let round = std::mem::replace(round, *round + 1);
                let mut choose = match round {
                    0 => Alike { most: 0, but: None, at: 0 },
                    1 => Alike { most: 1, but: None, at: 0 },
                    _ if round - 2 < *choices => Alike { most: 1, but: Some(round - 2), at: 0 },
                    _ if round - 2 < 2 * *choices => Alike { most: 0, but: Some(round - 2 - *choices), at: 0 },
                    _ => return Some(self.crash.image(&mut Lot(random))),
                };
                Some(self.crash.image(&mut choose))
            }
        }
    }
}

impl Iterator for Images {
    type Item = SimulatedFs;

    fn next(&mut self) -> Option<SimulatedFs> {
        while self.left > 0 && self.tries > 0 {
            self.tries -= 1;
            let disk = self.next_disk()?;
            if self.seen.insert(fingerprint(&disk)) {
                self.left -= 1;
                return Some(SimulatedFs::of(disk));
            }
        }
        None
    }
}

fn fingerprint(disk: &Disk) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (id, node) in &disk.nodes {
        id.hash(&mut hasher);
        match &**node {
            Node::File(file) => (&file.bytes, file.modified).hash(&mut hasher),
            Node::Directory(directory) => directory.names.hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Decides between `n` possibilities; the first is that a change did not survive.
trait Choose {
    fn choose(&mut self, n: usize) -> usize;
}

/// The choices of one run, and how many there were to choose from.
struct Path {
    taken: Vec<(usize, usize)>,
    at: usize,
}

impl Path {
    fn successor(mut self) -> Option<Vec<(usize, usize)>> {
        while let Some((taken, of)) = self.taken.pop() {
            if taken + 1 < of {
                self.taken.push((taken + 1, of));
                return Some(self.taken);
            }
        }
        None
    }
}

impl Choose for Path {
    fn choose(&mut self, n: usize) -> usize {
        let at = self.at;
        self.at += 1;
        if at == self.taken.len() {
            self.taken.push((0, n));
        }
        self.taken[at].0
    }
}

/// Everything survives, so that as many choices as possible are met.
struct Counting {
    product: f64,
    choices: usize,
}

impl Choose for Counting {
    fn choose(&mut self, n: usize) -> usize {
        self.product *= n as f64;
        self.choices += 1;
        1
    }
}

/// The same choice everywhere but at one place.
struct Alike {
    most: usize,
    but: Option<usize>,
    at: usize,
}

impl Choose for Alike {
    fn choose(&mut self, _: usize) -> usize {
        let at = self.at;
        self.at += 1;
        if self.but == Some(at) { 1 - self.most } else { self.most }
    }
}

/// SplitMix64: enough to draw lots, and the same on every machine.
struct Lot<'a>(&'a mut u64);

impl Choose for Lot<'_> {
    fn choose(&mut self, n: usize) -> usize {
        *self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = *self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % n as u64) as usize
    }
}

/// What is pending, for the report of a test.
impl fmt::Debug for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "crash after {} changes; pending:", self.changes)?;
        for change in &self.disk.pending {
            match (&change.add, &change.remove) {
                (Some((to, new, node)), Some((from, old))) => {
                    writeln!(f, "  rename {from}/{} to {to}/{} (file {node})", old.display(), new.display())?;
                }
                (Some((to, new, node)), None) => writeln!(f, "  add {to}/{} (file {node})", new.display())?,
                (None, Some((from, old))) => writeln!(f, "  remove {from}/{}", old.display())?,
                (None, None) => {}
            }
        }
        for (id, node) in &self.disk.nodes {
            if let Node::File(file) = &**node {
                for write in &file.writes {
                    writeln!(f, "  write of {} bytes at {} to file {id}", write.bytes.len(), write.offset)?;
                }
            }
        }
        Ok(())
    }
}
