//! The view against an oracle: whatever happens, each client can rebuild the mailbox from what it was told. A fuzz target plays it too.
#![allow(unreachable_pub, reason = "shared with the fuzz target")]

use std::collections::BTreeMap;

use pillarbox_core::{Random, SeededRandom};
use pillarbox_imap::server::Change;
use pillarbox_imap::types::{Flag, Flags, SequenceSet, Uid, UidSet};
use pillarbox_imap::view::{NoSuchMessage, View};

/// A client that knows nothing but the bytes it is told. Of a message that it only heard of by EXISTS it does not know the
/// UID.
#[derive(Default)]
struct Client {
    messages: Vec<(Option<Uid>, Option<Flags>)>,
}

impl Client {
    fn hear(&mut self, told: &[u8], may_expunge: bool) {
        let told = std::str::from_utf8(told).unwrap();
        assert!(told.is_empty() || told.ends_with("\r\n"));
        for line in told.split_terminator("\r\n") {
            let mut words = line.strip_prefix("* ").unwrap().splitn(3, ' ');
            let number: usize = words.next().unwrap().parse().unwrap();
            match words.next().unwrap() {
                "EXPUNGE" => {
                    assert!(may_expunge, "{line}");
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
                    let flags = flags.strip_suffix(')').unwrap().trim_matches(['(', ')']);
                    let flags = flags.split_whitespace().map(|flag| Flag::parse(flag).unwrap()).collect();
                    let message = &mut self.messages[number - 1];
                    assert!(message.0.is_none() || message.0 == uid, "{line}: it was {:?}", message.0);
                    *message = (uid, Some(flags));
                }
                other => panic!("{other}"),
            }
        }
    }
}

/// The mailbox as it is.
struct Oracle {
    messages: BTreeMap<Uid, Flags>,
    uid_next: Uid,
}

fn some_flags(random: &mut impl Random) -> Flags {
    [Flag::Seen, Flag::Flagged, Flag::Deleted, Flag::parse("$Junk").unwrap()]
        .into_iter()
        .filter(|_| random.below(2) == 0)
        .collect()
}

/// Plays `operations` on one mailbox that several clients have selected.
pub fn play(random: &mut impl Random, operations: usize, flags_max: usize) {
    let mut oracle = Oracle { messages: BTreeMap::new(), uid_next: Uid::MIN };
    let clients = 2 + random.below(3) as usize;
    let mut sessions: Vec<(View, Client)> =
        (0..clients).map(|_| (View::new(vec![], flags_max), Client::default())).collect();
    for _ in 0..operations {
        let change = match random.below(10) {
            0..=2 if oracle.messages.len() < 60 => {
                let mut added = Vec::new();
                for _ in 0..=random.below(3) {
                    // UIDs may leave gaps.
                    let uid = Uid::new(oracle.uid_next.get() + random.below(3) as u32).unwrap();
                    oracle.messages.insert(uid, Flags::new());
                    oracle.uid_next = uid.next().unwrap();
                    added.push(uid);
                }
                Some(Change::Added(added))
            }
            0..=3 if !oracle.messages.is_empty() => {
                let gone: UidSet = oracle.messages.keys().copied().filter(|_| random.below(8) == 0).collect();
                oracle.messages.retain(|uid, _| !gone.contains(*uid));
                Some(Change::Removed(gone))
            }
            4..=6 if !oracle.messages.is_empty() => {
                let at = random.below(oracle.messages.len() as u64) as usize;
                let (uid, flags) = oracle.messages.iter_mut().nth(at).unwrap();
                *flags = some_flags(random);
                Some(Change::Flags { uid: *uid, flags: flags.clone() })
            }
            _ => None,
        };
        match change {
            Some(change) => sessions.iter_mut().for_each(|(view, _)| view.learn(change.clone())),
            None => {
                let at = random.below(clients as u64) as usize;
                let may_expunge = random.below(2) == 0;
                tell(&mut sessions[at], may_expunge, &oracle);
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
    view.tell(may_expunge, &mut told);
    client.hear(&told, may_expunge);
    assert!(!view.has_news() || !may_expunge, "everything was told that may be");
    assert_eq!(client.messages.len(), view.len());
    for (index, ((uid, flags), known)) in client.messages.iter_mut().zip(view.uids()).enumerate() {
        assert!(uid.is_none_or(|uid| uid == *known), "number {} is {known}, not {uid:?}", index + 1);
        assert_eq!(view.seq(*known).unwrap().get() as usize, index + 1);
        // A message that the client knows by number only is fetched by it, and so is what the view forgot.
        let Some(now) = oracle.messages.get(known) else { continue };
        if flags.is_none() || forgotten.contains(*known) {
            (*uid, *flags) = (Some(*known), Some(now.clone()));
        }
        assert_eq!(flags.as_ref(), Some(now), "the flags of {known}");
    }
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
        view.learn(Change::Flags { uid, flags: flags.clone() });
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
        view.learn(Change::Flags { uid, flags: flags.clone() });
    }
    let some: UidSet = uids([1, 5]).into_iter().collect();
    assert_eq!(view.waiting_flags(&some).to_string(), "1");
    view.drop_flags(Uid::MIN);
    assert_eq!(view.take_forgotten().to_string(), "2:3", "a client that was told is not told again");
}
