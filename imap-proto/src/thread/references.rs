//! REFERENCES (RFC 5256 §3), step by step under the numbers that it has there.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

use super::dates::Sent;
use super::forest::{NONE, Threads};
use super::links::Links;
use super::{Subjects, Threader};

/// Messages are the nodes from 0 on, and gaps (which RFC 5256 calls dummies) those behind them.
pub(super) fn references(threader: Threader, sent: &Sent) -> Threads {
    let Threader { uids, subjects, ids, references, ends, .. } = threader;
    let messages = uids.len();
    let (nodes, of_references) = nodes(&ids, &references);
    drop((ids, references));
    let mut links = Links::new(nodes);
    let mut start = 0;
    // (1)
    for (message, end) in ends.iter().enumerate() {
        let mut last = NONE;
        for node in &of_references[start..*end as usize] {
            #[cfg(test)]
            crate::steps::count(1);
            if last != NONE && links.parent(*node) == NONE {
                links.link(last, *node);
            }
            last = *node;
        }
        start = *end as usize;
        if links.parent(message as u32) != last {
            links.cut(message as u32);
            if last != NONE {
                links.link(last, message as u32);
            }
        }
    }
    let mut parents = pruned(links.into_parents(), messages);
    gather(&mut parents, messages, &subjects, sent);
    // (6)
    Threads::new(uids, parents, sent)
}

/// How many nodes there are, and the node of each reference.
fn nodes(ids: &[u64], references: &[u64]) -> (usize, Vec<u32>) {
    let numbered = |numbers: &[u64]| {
        let mut numbered: Vec<(u64, u32)> = numbers.iter().enumerate().map(|(at, id)| (*id, at as u32)).collect();
        numbered.sort_unstable();
        numbered
    };
    let mut own = numbered(ids);
    // Of several with one identifier only the first has it.
    own.dedup_by_key(|(id, _)| *id);
    let mut own = own.into_iter().filter(|(id, _)| *id != 0).peekable();
    let mut of_references = alloc::vec![NONE; references.len()];
    let mut nodes = ids.len();
    for same in numbered(references).chunk_by(|one, other| one.0 == other.0) {
        let id = same[0].0;
        while own.next_if(|(known, _)| *known < id).is_some() {}
        let node = own.next_if(|(known, _)| *known == id).map_or(nodes as u32, |(_, message)| message);
        nodes += usize::from(node as usize == nodes);
        for (_, at) in same {
            of_references[*at as usize] = node;
        }
    }
    (nodes, of_references)
}

/// (2) and (3): the parents of messages, and of the gaps that stay, which stand behind the messages and below nothing.
fn pruned(mut parents: Vec<u32>, messages: usize) -> Vec<u32> {
    let is_gap = |node: u32| node as usize >= messages;
    // What a gap's children come below: the next message above, or the gap itself where there is none.
    let mut way = Vec::new();
    for gap in messages..parents.len() {
        let mut at = gap as u32;
        // A gap that was looked at before is below a message or an outermost gap, or is one.
        while parents[at as usize] != NONE && is_gap(parents[at as usize]) {
            #[cfg(test)]
            crate::steps::count(1);
            way.push(at);
            at = parents[at as usize];
        }
        let seat = if parents[at as usize] == NONE { at } else { parents[at as usize] };
        for passed in way.drain(..) {
            parents[passed as usize] = seat;
        }
    }
    let mut counts = alloc::vec![0u32; parents.len()];
    for message in 0..messages {
        let parent = parents[message];
        if parent != NONE && is_gap(parent) {
            let seat = parents[parent as usize];
            parents[message] = if seat == NONE { parent } else { seat };
            if is_gap(parents[message]) {
                counts[parents[message] as usize] += 1;
            }
        }
    }
    // A gap above one thing is none. What stays gets a new number.
    let mut numbers = messages as u32;
    for count in &mut counts[messages..] {
        *count = match *count {
            0 | 1 => NONE,
            _ => {
                numbers += 1;
                numbers - 1
            }
        };
    }
    for parent in parents[..messages].iter_mut().filter(|parent| **parent != NONE && is_gap(**parent)) {
        *parent = counts[*parent as usize];
    }
    parents.truncate(messages);
    parents.resize(numbers as usize, NONE);
    parents
}

/// (4) and (5): threads with one base subject become one.
fn gather(parents: &mut Vec<u32>, messages: usize, subjects: &Subjects, sent: &Sent) {
    let is_gap = |node: u32| node as usize >= messages;
    let mut firsts = alloc::vec![NONE; parents.len() - messages];
    let mut roots: Vec<(u32, &[u8])> = Vec::new();
    for message in sent.order() {
        let parent = parents[*message as usize];
        let root = match parent {
            NONE => *message,
            gap if is_gap(gap) && firsts[gap as usize - messages] == NONE => {
                firsts[gap as usize - messages] = *message;
                gap
            }
            _ => continue,
        };
        // (B) (ii)
        let subject = subjects.of(*message as usize);
        if !subject.is_empty() {
            roots.push((root, subject));
        }
    }
    let is_reply = |node: u32| !is_gap(node) && subjects.replies[node as usize];
    let mut table: BTreeMap<&[u8], u32> = BTreeMap::new();
    for (root, subject) in &roots {
        match table.entry(subject) {
            Entry::Vacant(entry) => {
                entry.insert(*root);
            }
            Entry::Occupied(mut entry) => {
                let known = *entry.get();
                if !is_gap(known) && (is_gap(*root) || is_reply(known) && !is_reply(*root)) {
                    entry.insert(*root);
                }
            }
        }
    }
    // Of gaps that go, the one that their children come below.
    let mut into: Vec<u32> = (messages as u32..parents.len() as u32).collect();
    for (root, subject) in &roots {
        let Some(known) = table.get_mut(subject).filter(|known| **known != *root) else { continue };
        match (is_gap(*known), is_gap(*root)) {
            (true, true) => into[*root as usize - messages] = *known,
            (true, false) => parents[*root as usize] = *known,
            (false, false) if is_reply(*root) && !is_reply(*known) => parents[*root as usize] = *known,
            _ => {
                let gap = parents.len() as u32;
                parents.push(NONE);
                into.push(gap);
                parents[*root as usize] = gap;
                parents[*known as usize] = gap;
                *known = gap;
            }
        }
    }
    for parent in parents[..messages].iter_mut().filter(|parent| **parent != NONE && is_gap(**parent)) {
        *parent = into[*parent as usize - messages];
    }
}
