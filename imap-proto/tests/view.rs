//! The view against an oracle: whatever happens, each client can rebuild the mailbox from what it was told. A fuzz target plays it too.
#![allow(unreachable_pub, reason = "shared with the fuzz target")]

use std::collections::BTreeMap;

use pillarbox_core::{Random, SeededRandom};
use pillarbox_imap::server::Change;
use pillarbox_imap::types::{Flag, Flags, ModSeq, SequenceSet, Uid, UidSet};
use pillarbox_imap::view::{NoSuchMessage, View};

/// What of RFC 7162 a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Condstore,
    Qresync,
}

/// A client that knows nothing but the bytes it is told. Of a message that it only heard of by EXISTS it does not know the
/// UID.
struct Client {
    kind: Kind,
    messages: Vec<(Option<Uid>, Option<Flags>)>,
    /// What it comes back with (RFC 7162 §6), and the highest MODSEQ that it heard since its last command ended.
    highest: u64,
    fetched: u64,
}

impl Client {
    fn hear(&mut self, told: &[u8], may_expunge: bool) {
        let told = std::str::from_utf8(told).unwrap();
        assert!(told.is_empty() || told.ends_with("\r\n"));
        for line in told.split_terminator("\r\n") {
            let words = line.strip_prefix("* ").unwrap();
            if let Some(gone) = words.strip_prefix("VANISHED ") {
                assert!(may_expunge && self.kind == Kind::Qresync, "{line}");
                let before = self.messages.len();
                let gone = SequenceSet::parse(gone.as_bytes()).unwrap().resolve(0);
                let is_gone = |uid: Uid| gone.iter().any(|range| range.contains(&uid.get()));
                self.messages.retain(|(uid, _)| !is_gone(uid.expect("it asks for the UIDs of what comes")));
                let count: usize = gone.iter().map(|range| range.clone().count()).sum();
                assert_eq!(before - self.messages.len(), count, "{line}: only what it knew");
                continue;
            }
            let mut words = words.splitn(3, ' ');
            let number: usize = words.next().unwrap().parse().unwrap();
            match words.next().unwrap() {
                "EXPUNGE" => {
                    assert!(may_expunge && self.kind != Kind::Qresync, "{line}");
                    assert!((1..=self.messages.len()).contains(&number), "{line}");
                    self.messages.remove(number - 1);
                }
                "EXISTS" => {
                    assert!(number > self.messages.len(), "{line}: EXISTS only grows");
                    self.messages.resize(number, (None, None));
                }
                "FETCH" => {
                    let (uid, flags) = words.next().unwrap().split_once(" FLAGS ").unwrap();
                    let uid = Uid::new(uid.strip_prefix("(UID ").unwrap().parse().unwrap());
                    let mut flags = flags.strip_suffix(')').unwrap();
                    if let Some((before, mod_seq)) = flags.split_once(" MODSEQ (") {
                        assert!(self.kind != Kind::Plain, "{line}");
                        self.fetched = self.fetched.max(mod_seq.strip_suffix(')').unwrap().parse().unwrap());
                        flags = before;
                    } else {
                        assert!(self.kind == Kind::Plain, "{line}");
                    }
                    let flags = flags.trim_matches(['(', ')']);
                    let flags = flags.split_whitespace().map(|flag| Flag::parse(flag).unwrap()).collect();
                    let message = &mut self.messages[number - 1];
                    assert!(message.0.is_none() || message.0 == uid, "{line}: it was {:?}", message.0);
                    *message = (uid, Some(flags));
                }
                other => panic!("{other}"),
            }
        }
    }

    /// Its command ended, perhaps with HIGHESTMODSEQ.
    fn settle(&mut self, told: Option<ModSeq>) {
        self.highest = told.map_or(self.highest.max(self.fetched), ModSeq::get);
        self.fetched = 0;
    }
}

/// The mailbox as it is: what is there, at which mod-sequence it became so, and what went when.
struct Oracle {
    messages: BTreeMap<Uid, (Flags, ModSeq)>,
    gone: BTreeMap<Uid, ModSeq>,
    uid_next: Uid,
    highest: ModSeq,
}

impl Oracle {
    fn next_mod_seq(&mut self) -> ModSeq {
        self.highest = self.highest.next().unwrap();
        self.highest
    }

    fn view(&self, kind: Kind, flags_max: usize) -> View {
        let mut view = View::new(self.messages.keys().copied().collect(), flags_max).with_mod_seqs(self.highest);
        if kind != Kind::Plain {
            view.tell_mod_seqs();
        }
        if kind == Kind::Qresync {
            view.tell_vanished();
        }
        view
    }
}

fn some_flags(random: &mut impl Random) -> Flags {
    [Flag::Seen, Flag::Flagged, Flag::Deleted, Flag::parse("$Junk").unwrap()]
        .into_iter()
        .filter(|_| random.below(2) == 0)
        .collect()
}

/// Plays `operations` on one mailbox that several clients have selected.
pub fn play(random: &mut impl Random, operations: usize, flags_max: usize) {
    let (messages, gone) = (BTreeMap::new(), BTreeMap::new());
    let mut oracle = Oracle { messages, gone, uid_next: Uid::MIN, highest: ModSeq::MIN };
    let clients = 2 + random.below(3) as usize;
    let mut sessions: Vec<(View, Client)> = (0..clients)
        .map(|_| {
            let kind = [Kind::Plain, Kind::Condstore, Kind::Qresync, Kind::Qresync][random.below(4) as usize];
            (oracle.view(kind, flags_max), Client { kind, messages: Vec::new(), highest: 1, fetched: 0 })
        })
        .collect();
    for _ in 0..operations {
        let change = match random.below(11) {
            0..=2 if oracle.messages.len() < 60 => {
                let mod_seq = oracle.next_mod_seq();
                let mut added = Vec::new();
                for _ in 0..=random.below(3) {
                    // UIDs may leave gaps.
                    let uid = Uid::new(oracle.uid_next.get() + random.below(3) as u32).unwrap();
                    oracle.messages.insert(uid, (Flags::new(), mod_seq));
                    oracle.uid_next = uid.next().unwrap();
                    added.push(uid);
                }
                Some(Change::Added { uids: added, mod_seq: Some(mod_seq) })
            }
            0..=3 if !oracle.messages.is_empty() => {
                let mod_seq = oracle.next_mod_seq();
                let gone: UidSet = oracle.messages.keys().copied().filter(|_| random.below(8) == 0).collect();
                oracle.messages.retain(|uid, _| !gone.contains(*uid));
                oracle.gone.extend(gone.iter().map(|uid| (uid, mod_seq)));
                Some(Change::Removed { uids: gone, mod_seq: Some(mod_seq) })
            }
            4..=6 if !oracle.messages.is_empty() => {
                let at = random.below(oracle.messages.len() as u64) as usize;
                let mod_seq = oracle.next_mod_seq();
                let (uid, state) = oracle.messages.iter_mut().nth(at).unwrap();
                *state = (some_flags(random), mod_seq);
                Some(Change::Flags { uid: *uid, flags: state.0.clone(), mod_seq: Some(mod_seq) })
            }
            _ => None,
        };
        match change {
            Some(change) => sessions.iter_mut().for_each(|(view, _)| view.learn(change.clone())),
            None => {
                let at = random.below(clients as u64) as usize;
                match random.below(4) {
                    0 => come_back(&mut sessions[at], &oracle, flags_max),
                    choice => tell(&mut sessions[at], choice > 1, &oracle),
                }
            }
        }
    }
    for session in &mut sessions {
        tell(session, true, &oracle);
        let (view, client) = session;
        assert!(view.uids().iter().eq(oracle.messages.keys()), "the client knows exactly what is there");
        assert_eq!(client.messages.len(), oracle.messages.len());
    }
}

/// What the end of a command tells, and what must then be true.
fn tell((view, client): &mut (View, Client), may_expunge: bool, oracle: &Oracle) {
    let forgotten = view.take_forgotten();
    let mut told = Vec::new();
    let expunged = view.tell(may_expunge, &mut told);
    client.hear(&told, may_expunge);
    assert!(!expunged || may_expunge);
    assert!(!view.has_news() || !may_expunge, "everything was told that may be");
    assert_eq!(client.messages.len(), view.len());
    client.settle(view.settle());
    for (index, ((uid, flags), known)) in client.messages.iter_mut().zip(view.uids()).enumerate() {
        assert!(uid.is_none_or(|uid| uid == *known), "number {} is {known}, not {uid:?}", index + 1);
        assert_eq!(view.seq(*known).unwrap().get() as usize, index + 1);
        // A message that the client knows by number only is fetched by it, and so is what the view forgot.
        let now = oracle.messages.get(known);
        if uid.is_none() || forgotten.contains(*known) {
            (*uid, *flags) = (Some(*known), now.map(|(flags, _)| flags.clone()));
        }
        if let Some((now, _)) = now {
            assert_eq!(flags.as_ref(), Some(now), "the flags of {known}");
        }
        // What it comes back with hides nothing from it.
        let went = oracle.gone.get(known).map_or(u64::MAX, |mod_seq| mod_seq.get());
        assert!(client.kind == Kind::Plain || went > client.highest, "{known} went at {went}");
    }
    if client.kind != Kind::Plain && may_expunge {
        assert_eq!(client.highest, oracle.highest.get(), "nor does it ask for more than it must");
    }
}

/// The connection breaks, and the client selects the mailbox anew: with what it knows if it uses QRESYNC (RFC 7162 §3.2.5).
fn come_back((view, client): &mut (View, Client), oracle: &Oracle, flags_max: usize) {
    *view = oracle.view(client.kind, flags_max);
    client.fetched = 0;
    let all = || oracle.messages.iter().map(|(uid, (flags, _))| (Some(*uid), Some(flags.clone()))).collect();
    if client.kind == Kind::Qresync {
        client.messages.retain(|(uid, _)| {
            uid.is_some_and(|uid| oracle.gone.get(&uid).is_none_or(|went| went.get() <= client.highest))
        });
        let last = client.messages.last().and_then(|(uid, _)| *uid);
        for (uid, flags) in &mut client.messages {
            let now = oracle.messages.get(&uid.unwrap());
            let (now, changed) = now.unwrap_or_else(|| panic!("nobody told it that {uid:?} is gone"));
            if changed.get() > client.highest {
                *flags = Some(now.clone());
            }
        }
        // Only what is new is asked for.
        let new = oracle.messages.iter().filter(|(uid, _)| Some(**uid) > last);
        client.messages.extend(new.map(|(uid, (flags, _))| (Some(*uid), Some(flags.clone()))));
        assert_eq!(client.messages, all(), "it is as if it had asked for everything");
    } else {
        client.messages = all();
    }
    client.highest = oracle.highest.get();
}

#[test]
fn each_client_can_rebuild_the_mailbox() {
    // 100,000 operations in all; every third run with so little room that flags are forgotten all the time.
    for seed in 0..250 {
        play(&mut SeededRandom::new(seed), 400, if seed % 3 == 0 { 2 } else { 1000 });
    }
}

fn uids(numbers: impl IntoIterator<Item = u32>) -> Vec<Uid> {
    numbers.into_iter().filter_map(Uid::new).collect()
}

#[test]
fn sets_mean_what_the_client_knows() {
    let view = View::new(uids([2, 3, 7, 20]), 10);
    let seqs = |text: &str| view.resolve(&SequenceSet::parse(text.as_bytes()).unwrap()).map(|set| set.to_string());
    let by_uid = |text: &str| view.resolve_uids(&SequenceSet::parse(text.as_bytes()).unwrap()).to_string();
    for (text, meant) in
        [("1", "2"), ("1:2,4", "2:3,20"), ("*", "20"), ("4:1", "2:3,7,20"), ("9:*", "20"), ("*:*", "20")]
    {
        assert_eq!(seqs(text).as_deref(), Ok(meant), "{text}");
    }
    for text in ["5", "1:5", "4294967295", "1:4294967295"] {
        assert_eq!(seqs(text), Err(NoSuchMessage), "{text}");
    }
    for (text, meant) in [
        ("1", ""),
        ("1:7", "2:3,7"),
        ("*", "20"),
        ("99:*", "20"),
        ("8:19", ""),
        ("1:4294967295", "2:3,7,20"),
        ("30", ""),
    ] {
        assert_eq!(by_uid(text), meant, "{text}");
    }
}

#[test]
fn huge_sets_cost_no_more_than_their_text() {
    // 30,000 ranges that each span everything, and 30,000 single numbers: the work is their sorting.
    let view = View::new(uids(1..=100_000), 10);
    let spans = ["1:4294967295"; 5000].join(",");
    let odd = (0..30_000).map(|n| (2 * n + 1).to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(view.resolve_uids(&SequenceSet::parse(spans.as_bytes()).unwrap()).len(), 100_000);
    assert_eq!(view.resolve(&SequenceSet::parse(odd.as_bytes()).unwrap()).unwrap().len(), 30_000);
}

#[test]
fn what_waits_has_a_limit() {
    let mut view = View::new(uids(1..=100_000), 100);
    let flags: Flags = [Flag::Seen].into_iter().collect();
    // Every second message, so that nothing can be drawn together.
    for uid in uids((1..=4000).step_by(2)) {
        view.learn(Change::Flags { uid, flags: flags.clone(), mod_seq: None });
    }
    let mut out = Vec::new();
    view.tell(false, &mut out);
    assert!(out.iter().filter(|octet| **octet == b'\n').count() <= 100);
    let forgotten = view.take_forgotten();
    assert!(forgotten.contains(Uid::MIN) && forgotten.len() >= 1000, "{}", forgotten.len());
    assert!(view.take_forgotten().is_empty());
}

#[test]
fn what_was_forgotten_still_waits_until_it_is_dropped() {
    let mut view = View::new(uids(1..=10), 2);
    let flags: Flags = [Flag::Seen].into_iter().collect();
    for uid in uids(1..=3) {
        view.learn(Change::Flags { uid, flags: flags.clone(), mod_seq: None });
    }
    let some: UidSet = uids([1, 5]).into_iter().collect();
    assert_eq!(view.waiting_flags(&some).to_string(), "1");
    view.drop_flags(Uid::MIN, None);
    assert_eq!(view.take_forgotten().to_string(), "2:3", "a client that was told is not told again");
}
