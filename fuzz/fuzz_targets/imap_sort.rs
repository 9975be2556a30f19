//! SORT and THREAD: the headers of any messages are put in the order that comparing each with each gives, and each message stands
//! in the threads once; what is kept of a header reads back whole, and not when it was cut.
#![no_main]

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use libfuzzer_sys::fuzz_target;
use pillarbox_imap::sort::{SortCriterion, SortKey, SortKeys, Sorter, base_subject, collation_key, write_sort_keys};
use pillarbox_imap::thread::{ThreadAlgorithm, ThreadKeys, ThreadPart, Threader, write_thread_keys};
use pillarbox_imap::types::Uid;

const KEYS: [SortKey; 9] = [
    SortKey::Arrival,
    SortKey::Cc,
    SortKey::Date,
    SortKey::DisplayFrom,
    SortKey::DisplayTo,
    SortKey::From,
    SortKey::Size,
    SortKey::Subject,
    SortKey::To,
];

/// What a message is sorted and threaded by.
struct Message {
    uid: Uid,
    arrival: i64,
    size: u64,
    sort_keys: Vec<u8>,
    thread_keys: Vec<u8>,
}

/// Messages are apart by NUL, which no header has; the first octet of each says when it came.
fn messages(data: &[u8]) -> Vec<Message> {
    let message = |(at, octets): (usize, &[u8])| {
        let (arrival, header) = octets.split_first().map_or((0, octets), |(first, header)| (i64::from(*first), header));
        let (mut sort_keys, mut thread_keys) = (Vec::new(), Vec::new());
        write_sort_keys(header, &mut sort_keys);
        write_thread_keys(header, &mut thread_keys);
        Message {
            uid: Uid::new(at as u32 + 1).unwrap(),
            arrival,
            size: octets.len() as u64 / 4,
            sort_keys,
            thread_keys,
        }
    };
    data.split(|&octet| octet == 0).enumerate().map(message).collect()
}

/// The order of two messages by one criterion, each sorted alone with the other.
fn compare(criterion: SortCriterion, one: &Message, other: &Message) -> Ordering {
    let first = |reverse| {
        let mut sorter = Sorter::new(&[SortCriterion { key: criterion.key, reverse }]);
        for (number, message) in [(1, one), (2, other)] {
            let uid = Uid::new(number).unwrap();
            sorter.add(uid, message.arrival, message.size, SortKeys::read(&message.sort_keys));
        }
        sorter.finish()[0].get()
    };
    // Equal messages stay as they came, whichever way round.
    match (first(criterion.reverse), first(!criterion.reverse)) {
        (1, 1) => Ordering::Equal,
        (1, 2) => Ordering::Less,
        (2, 1) => Ordering::Greater,
        both => panic!("{criterion:?}: {both:?}"),
    }
}

fn sorts(criteria: &[SortCriterion], messages: &[Message]) {
    let mut sorter = Sorter::new(criteria);
    for message in messages {
        sorter.add(message.uid, message.arrival, message.size, SortKeys::read(&message.sort_keys));
    }
    let sorted = sorter.finish();
    let all: BTreeSet<Uid> = sorted.iter().copied().collect();
    assert_eq!((sorted.len(), all.len()), (messages.len(), messages.len()), "each message once");
    let of = |uid: Uid| &messages[uid.get() as usize - 1];
    for pair in sorted.windows(2) {
        let orders = criteria.iter().map(|criterion| compare(*criterion, of(pair[0]), of(pair[1])));
        let order = orders.fold(Ordering::Equal, Ordering::then).then(pair[0].cmp(&pair[1]));
        assert_eq!(order, Ordering::Less, "{criteria:?}: {pair:?}");
    }
}

fn threads(algorithm: ThreadAlgorithm, messages: &[Message]) {
    let mut threader = Threader::new(algorithm);
    for message in messages {
        threader.add(message.uid, message.arrival, &ThreadKeys::read(&message.thread_keys).unwrap());
    }
    let threads = threader.finish();
    let mut told = BTreeMap::<Uid, usize>::new();
    let mut depth = 0usize;
    for part in threads.parts() {
        match part {
            ThreadPart::Open => depth += 1,
            ThreadPart::Close => depth = depth.checked_sub(1).expect("a list ends that has begun"),
            ThreadPart::Message(uid) => {
                assert!(depth > 0, "{uid} stands in no list");
                *told.entry(uid).or_default() += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(depth, 0, "{threads}");
    assert!(told.values().all(|times| *times == 1), "{threads}");
    assert!(told.into_keys().eq(messages.iter().map(|message| message.uid)), "{threads}");
}

fn subjects(data: &[u8]) {
    let subject = String::from_utf8_lossy(data);
    let (mut room, mut again) = (String::new(), String::new());
    let base = base_subject(&subject, &mut room);
    assert!(base.text.len() <= subject.len());
    assert!(!base.text.starts_with(' ') && !base.text.ends_with(' '), "{base:?}");
    // A reply to it belongs to it.
    let reply = format!("Re: {subject}");
    let of_reply = base_subject(&reply, &mut again);
    assert_eq!((of_reply.text, of_reply.is_reply), (base.text, true));
    let key = |text: &str| {
        let mut key = String::new();
        collation_key(text, &mut key);
        key
    };
    assert_eq!(key(&subject), subject.chars().map(|letter| key(letter.encode_utf8(&mut [0; 4]))).collect::<String>());
}

fuzz_target!(|data: &[u8]| {
    let (choice, data) = data.split_at(data.len().min(3));
    subjects(data);
    let criterion = |octet: &u8| SortCriterion { key: KEYS[usize::from(octet % 9)], reverse: octet & 0x80 != 0 };
    let mut criteria: Vec<SortCriterion> = Vec::new();
    for criterion in choice.iter().map(criterion) {
        if criteria.iter().all(|known| known.key != criterion.key) {
            criteria.push(criterion);
        }
    }
    let messages = messages(data);
    for message in &messages {
        assert!(SortKeys::read(&message.sort_keys).is_some());
        for cut in 0..message.sort_keys.len().min(64) {
            assert_eq!(SortKeys::read(&message.sort_keys[..cut]), None);
        }
    }
    sorts(&criteria, &messages);
    threads(ThreadAlgorithm::OrderedSubject, &messages);
    threads(ThreadAlgorithm::References, &messages);
    // What somebody else wrote is read or not.
    SortKeys::read(data);
    ThreadKeys::read(data);
});
