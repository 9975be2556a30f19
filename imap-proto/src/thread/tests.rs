//! Threads beside a slow and obvious way to make them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn threads(algorithm: ThreadAlgorithm, headers: &[String]) -> String {
    let mut threader = Threader::new(algorithm);
    for (at, header) in headers.iter().enumerate() {
        let mut octets = Vec::new();
        write_thread_keys(header.as_bytes(), &mut octets);
        threader.add(Uid::new(at as u32 + 1).unwrap(), 0, &ThreadKeys::read(&octets).unwrap());
    }
    threader.finish().to_string()
}

/// A message: its date, its subject, its identifier, what it refers to.
#[derive(Clone, Debug)]
struct Message {
    date: u8,
    subject: &'static str,
    id: Option<u8>,
    references: Vec<u8>,
}

impl Message {
    fn header(&self) -> String {
        let id = |id: &u8| alloc::format!("<{id}@x>");
        let references: Vec<String> = self.references.iter().map(id).collect();
        let own = self.id.as_ref().map(|own| alloc::format!("Message-ID: {}\r\n", id(own))).unwrap_or_default();
        alloc::format!(
            "Date: 1 Jan 2001 00:{:02}:00 +0000\r\nSubject: {}\r\n{own}References: {}\r\n\r\n",
            self.date,
            self.subject,
            references.join("\r\n ")
        )
    }
}

/// Nodes with lists of children, as RFC 5256 tells it: nothing is kept that could be looked for.
#[derive(Default)]
struct Slow {
    /// The message; none in a dummy.
    messages: Vec<Option<usize>>,
    parents: Vec<Option<usize>>,
    roots: Vec<usize>,
}

impl Slow {
    fn node(&mut self, message: Option<usize>) -> usize {
        self.messages.push(message);
        self.parents.push(None);
        self.messages.len() - 1
    }

    fn children(&self, node: usize) -> Vec<usize> {
        (0..self.parents.len()).filter(|child| self.parents[*child] == Some(node)).collect()
    }

    fn link(&mut self, parent: usize, child: usize) {
        let mut at = Some(parent);
        while let Some(node) = at {
            if node == child {
                return;
            }
            at = self.parents[node];
        }
        self.parents[child] = Some(parent);
    }

    /// The date and number of a message, or of a dummy's first child.
    fn key(&self, node: usize, all: &[Message]) -> (u8, usize) {
        match self.messages[node] {
            Some(message) => (all[message].date, message),
            None => self.children(node).iter().map(|child| self.key(*child, all)).min().unwrap(),
        }
    }

    fn prune(&mut self, node: usize) {
        for child in self.children(node) {
            self.prune(child);
        }
        let children = self.children(node);
        let parent = self.parents[node];
        if self.messages[node].is_none() && (parent.is_some() || children.len() < 2) {
            children.iter().for_each(|child| self.parents[*child] = parent);
            if parent.is_none() {
                self.roots.retain(|root| *root != node);
                self.roots.extend(children);
            }
            self.parents[node] = Some(usize::MAX);
        }
    }

    fn write(&self, node: usize, all: &[Message], out: &mut String) {
        out.push_str(&self.messages[node].map(|message| (message + 1).to_string()).unwrap_or_default());
        let mut children = self.children(node);
        children.sort_by_key(|child| self.key(*child, all));
        if !children.is_empty() && self.messages[node].is_some() {
            out.push(' ');
        }
        match &children[..] {
            [only] => self.write(*only, all, out),
            _ => children.iter().for_each(|child| {
                out.push('(');
                self.write(*child, all, out);
                out.push(')');
            }),
        }
    }

    fn subject(&self, node: usize, all: &[Message]) -> (String, bool) {
        let mut room = String::new();
        let of = |message: usize, room: &mut String| {
            let base = crate::sort::base_subject(all[message].subject, room);
            (base.text.to_uppercase(), base.is_reply)
        };
        match self.messages[node] {
            Some(message) => of(message, &mut room),
            None => (of(self.key(node, all).1, &mut room).0, false),
        }
    }

    fn references(all: &[Message]) -> String {
        let mut slow = Slow::default();
        let mut known: BTreeMap<u8, usize> = BTreeMap::new();
        for (at, message) in all.iter().enumerate() {
            let node = slow.node(Some(at));
            if let Some(id) = message.id {
                known.entry(id).or_insert(node);
            }
        }
        for (at, message) in all.iter().enumerate() {
            let mut last = None;
            for id in &message.references {
                let node = match known.get(id) {
                    Some(node) => *node,
                    None => {
                        let node = slow.node(None);
                        known.insert(*id, node);
                        node
                    }
                };
                if let Some(last) = last
                    && slow.parents[node].is_none()
                {
                    slow.link(last, node);
                }
                last = Some(node);
            }
            slow.parents[at] = None;
            if let Some(last) = last {
                slow.link(last, at);
            }
        }
        slow.roots = (0..slow.messages.len()).filter(|node| slow.parents[*node].is_none()).collect();
        for root in slow.roots.clone() {
            slow.prune(root);
        }
        let mut roots = core::mem::take(&mut slow.roots);
        roots.sort_by_key(|root| slow.key(*root, all));
        slow.roots = roots;
        let mut table: BTreeMap<String, usize> = BTreeMap::new();
        for root in slow.roots.clone() {
            let (subject, is_reply) = slow.subject(root, all);
            if subject.is_empty() {
                continue;
            }
            let is_dummy = slow.messages[root].is_none();
            match table.get(&subject).copied() {
                None => {
                    table.insert(subject, root);
                }
                Some(known) => {
                    let known_reply = slow.subject(known, all).1;
                    if slow.messages[known].is_some() && (is_dummy || known_reply && !is_reply) {
                        table.insert(subject, root);
                    }
                }
            }
        }
        for root in slow.roots.clone() {
            let (subject, is_reply) = slow.subject(root, all);
            let Some(known) = table.get(&subject).copied().filter(|known| *known != root) else { continue };
            if slow.parents[root].is_some() {
                continue;
            }
            let (is_dummy, known_dummy) = (slow.messages[root].is_none(), slow.messages[known].is_none());
            if is_dummy && known_dummy {
                for child in slow.children(root) {
                    slow.parents[child] = Some(known);
                }
                slow.roots.retain(|other| *other != root);
            } else if known_dummy || is_reply && !slow.subject(known, all).1 {
                slow.parents[root] = Some(known);
            } else {
                let dummy = slow.node(None);
                slow.parents[root] = Some(dummy);
                slow.parents[known] = Some(dummy);
                slow.roots.push(dummy);
                table.insert(subject, dummy);
            }
        }
        slow.roots.retain(|root| slow.parents[*root].is_none());
        let mut roots = core::mem::take(&mut slow.roots);
        roots.sort_by_key(|root| slow.key(*root, all));
        slow.roots = roots;
        let mut out = String::new();
        for root in &slow.roots {
            out.push('(');
            slow.write(*root, all, &mut out);
            out.push(')');
        }
        out
    }

    fn ordered_subject(all: &[Message]) -> String {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, message) in all.iter().enumerate() {
            let mut room = String::new();
            let base = crate::sort::base_subject(message.subject, &mut room).text.to_uppercase();
            groups.entry(base).or_default().push(at);
        }
        let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
        groups.iter_mut().for_each(|group| group.sort_by_key(|at| (all[*at].date, *at)));
        groups.sort_by_key(|group| (all[group[0]].date, group[0]));
        let mut out = String::new();
        for group in groups {
            let children: Vec<String> = group[1..].iter().map(|at| (at + 1).to_string()).collect();
            out.push_str(&alloc::format!("({}", group[0] + 1));
            match &children[..] {
                [] => {}
                [only] => out.push_str(&alloc::format!(" {only}")),
                _ => out.push_str(&alloc::format!(" ({})", children.join(")("))),
            }
            out.push(')');
        }
        out
    }
}

fn message() -> impl Strategy<Value = Message> {
    let subject = prop::sample::select(vec!["", "a", "Re: a", "A", "b", "[x] re: B", "c", "Fwd: c", "[fwd: c]"]);
    let id = prop::option::weighted(0.9, 0..14u8);
    (0..20u8, subject, id, prop::collection::vec(0..14u8, 0..5)).prop_map(|(date, subject, id, references)| Message {
        date,
        subject,
        id,
        references,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn are_what_the_rules_make(all in prop::collection::vec(message(), 0..16)) {
        let headers: Vec<String> = all.iter().map(Message::header).collect();
        prop_assert_eq!(threads(ThreadAlgorithm::References, &headers), Slow::references(&all));
        prop_assert_eq!(threads(ThreadAlgorithm::OrderedSubject, &headers), Slow::ordered_subject(&all));
    }

    #[test]
    fn keys_are_read_as_written_or_not_at_all(octets in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Some(keys) = ThreadKeys::read(&octets) {
            prop_assert!(keys.references().count() <= 100);
        }
    }
}

/// Messages that refer only to what they are given.
fn referring(count: usize, references: impl Fn(usize) -> Vec<usize>) -> Vec<String> {
    let id = |at: usize| alloc::format!("<{at}@x>");
    (0..count)
        .map(|at| {
            let references: Vec<String> = references(at).into_iter().map(id).collect();
            alloc::format!("Message-ID: {}\r\nReferences: {}\r\n\r\n", id(at), references.join(" "))
        })
        .collect()
}

#[test]
fn of_many_references_the_first_and_the_last_count() {
    let mut octets = Vec::new();
    let mut header = referring(1, |_| (1..10_000).collect()).remove(0);
    write_thread_keys(header.as_bytes(), &mut octets);
    let keys = ThreadKeys::read(&octets).unwrap();
    let references: Vec<u64> = keys.references().collect();
    assert_eq!(references.len(), 100);
    header.clear();
    let mut few = Vec::new();
    write_thread_keys(referring(1, |_| core::iter::once(1).chain(9901..10_000).collect())[0].as_bytes(), &mut few);
    assert_eq!(octets, few);
}

#[test]
fn what_is_made_to_take_long_does_not() {
    /// What a message refers to, by its number and how many there are.
    type Shape<'s> = (&'s str, &'s dyn Fn(usize, usize) -> Vec<usize>);
    let shapes: [Shape<'_>; 8] = [
        ("a chain", &|at, _| at.checked_sub(1).into_iter().collect()),
        ("a chain from its end", &|at, _| vec![at + 1]),
        ("a circle", &|at, all| vec![(at + 1) % all]),
        ("everybody below one long chain, each with somebody below already", &|at, all| match at * 3 / all {
            0 => vec![at + 1],
            1 => vec![at + all / 3],
            _ => vec![0, at - all / 3],
        }),
        ("twenty references each, all over", &|at, all| (0..20).map(|n| (at * 7919 + n * 104_729) % all).collect()),
        ("each below all, again and again cut off", &|at, all| vec![at % 100, all - at - 1, at / 2]),
        ("what is not there, in one chain that all go through", &|at, all| {
            (0..50).map(|n| all + (at + n) % all).collect()
        }),
        ("the end of a chain tied to its front again and again", &|at, all| {
            vec![all - 1 - at / 2, at / 2, (at + 1) % all]
        }),
    ];
    for (what, shape) in shapes {
        crate::steps::assert_linear_logarithmic(what, 4_000, |count| {
            let told = threads(ThreadAlgorithm::References, &referring(count, |at| shape(at, count)));
            let numbers = told.split(['(', ')', ' ']).filter(|number| !number.is_empty()).count();
            assert_eq!(numbers, count, "{what}");
        });
    }
}
