//! Threads that are made.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::dates::Sent;
use crate::types::Uid;

/// Stands for no node.
pub(super) const NONE: u32 = u32::MAX;

/// Threads, in the order in which they are told.
#[derive(Clone, Debug)]
pub struct Threads {
    uids: Vec<Uid>,
    /// Those that are below nothing. What is no message is a gap: messages below it have something in common that is not there.
    roots: Vec<u32>,
    /// The children of all nodes, each node's behind the other, the earliest first.
    children: Vec<u32>,
    /// Where the children of each node begin; one more at the end.
    starts: Vec<u32>,
}

/// A piece of what THREAD tells (RFC 5256 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThreadPart {
    /// A thread begins, or what branches off.
    Open,
    /// A message: below the one before it in the same list.
    Message(Uid),
    /// It ends.
    Close,
}

impl Threads {
    /// Threads of messages, of which each has a parent or [`NONE`]. Parents above the messages are gaps, and are below nothing.
    pub(super) fn new(uids: Vec<Uid>, parents: Vec<u32>, sent: &Sent) -> Self {
        let mut starts = alloc::vec![0u32; parents.len() + 1];
        for parent in parents[..uids.len()].iter().filter(|parent| **parent != NONE) {
            starts[*parent as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut ends = starts.clone();
        let mut children = alloc::vec![NONE; starts.last().copied().unwrap_or(0) as usize];
        let mut roots = Vec::new();
        for message in sent.order() {
            let parent = parents[*message as usize];
            if parent == NONE {
                roots.push(*message);
                continue;
            }
            let end = &mut ends[parent as usize];
            // RFC 5256 §3: a gap is where its first child is.
            if parent as usize >= uids.len() && *end == starts[parent as usize] {
                roots.push(parent);
            }
            children[*end as usize] = *message;
            *end += 1;
        }
        Threads { uids, roots, children, starts }
    }

    /// All of them in pieces, computed as they are taken.
    pub fn parts(&self) -> ThreadParts<'_> {
        ThreadParts { threads: self, roots: 0, open: Vec::new(), at: At::Between }
    }

    fn children(&self, node: u32) -> Range<u32> {
        self.starts[node as usize]..self.starts[node as usize + 1]
    }
}

/// The pieces of [`Threads`].
#[derive(Clone, Debug)]
pub struct ThreadParts<'t> {
    threads: &'t Threads,
    /// So many roots were begun.
    roots: usize,
    /// Of the lists that are open and branch, the children that are left.
    open: Vec<Range<u32>>,
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// What comes next is for the innermost open list to say.
    Between,
    /// This is to be told.
    Node(u32),
    /// This was told, and what is below it was not.
    Below(u32),
}

impl Iterator for ThreadParts<'_> {
    type Item = ThreadPart;

    fn next(&mut self) -> Option<ThreadPart> {
        loop {
            match self.at {
                At::Between => {
                    let next = match self.open.last_mut() {
                        Some(children) => children.next().map(|at| self.threads.children[at as usize]),
                        None => {
                            self.roots += 1;
                            Some(*self.threads.roots.get(self.roots - 1)?)
                        }
                    };
                    let Some(node) = next else {
                        self.open.pop();
                        return Some(ThreadPart::Close);
                    };
                    self.at = At::Node(node);
                    return Some(ThreadPart::Open);
                }
                At::Node(node) => {
                    self.at = At::Below(node);
                    if let Some(uid) = self.threads.uids.get(node as usize) {
                        return Some(ThreadPart::Message(*uid));
                    }
                }
                At::Below(node) => {
                    let children = self.threads.children(node);
                    match children.len() {
                        0 => {
                            self.at = At::Between;
                            return Some(ThreadPart::Close);
                        }
                        1 => self.at = At::Node(self.threads.children[children.start as usize]),
                        _ => {
                            self.open.push(children);
                            self.at = At::Between;
                        }
                    }
                }
            }
        }
    }
}

impl fmt::Display for Threads {
    /// As THREAD tells them, with UIDs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut after_number = false;
        for part in self.parts() {
            let space = if after_number { " " } else { "" };
            after_number = matches!(part, ThreadPart::Message(_));
            match part {
                ThreadPart::Open => write!(f, "{space}(")?,
                ThreadPart::Message(uid) => write!(f, "{space}{uid}")?,
                ThreadPart::Close => f.write_str(")")?,
            }
        }
        Ok(())
    }
}
