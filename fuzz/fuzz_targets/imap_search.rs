//! SEARCH: a query made of any keys, put to any message, finds what its keys find alone; what is said without opening the
//! message, or by its header, is what its octets say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_core::WallTime;
use pillarbox_core::header::split;
use pillarbox_imap::search::{Date, MessageFacts, Needs, Query, Search};
use pillarbox_imap::types::{Flag, Flags, Uid, UidSet};

fn now() -> WallTime {
    WallTime::new(1_000_000_000, 0)
}

/// Takes a query off the front of the octets.
fn query(data: &mut &[u8], depth: usize) -> Query {
    let Some((&kind, rest)) = data.split_first() else { return Query::All };
    *data = rest;
    let text = |data: &mut &[u8]| {
        let length = data.first().map_or(0, |length| usize::from(length % 8));
        let (text, rest) = data[usize::from(!data.is_empty())..].split_at_checked(length).unwrap_or_default();
        *data = rest;
        String::from_utf8_lossy(text).into_owned()
    };
    let number = |data: &mut &[u8]| {
        let (number, rest) = data.split_at_checked(2).unwrap_or_default();
        *data = rest;
        number.iter().fold(0, |number, &octet| number << 8 | u32::from(octet))
    };
    let date = |number: u32| Date::new(1970 + (number >> 9) as u16, (number >> 5) as u8 % 12 + 1, 1).unwrap();
    match kind % 20 {
        0 if depth < 8 => Query::Not(Box::new(query(data, depth + 1))),
        1 if depth < 8 => {
            let first = query(data, depth + 1);
            Query::Or(Box::new(first), Box::new(query(data, depth + 1)))
        }
        2 if depth < 8 => Query::And((0..kind / 20 % 4).map(|_| query(data, depth + 1)).collect()),
        3 => Query::Uids([1, number(data)].into_iter().filter_map(Uid::new).collect::<UidSet>()),
        4 => Query::Flag(Flag::Seen),
        5 => Query::Before(date(number(data))),
        6 => Query::On(date(number(data))),
        7 => Query::Since(date(number(data))),
        8 => Query::SentBefore(date(number(data))),
        9 => Query::SentOn(date(number(data))),
        10 => Query::SentSince(date(number(data))),
        11 => Query::Larger(number(data).into()),
        12 => Query::Smaller(number(data).into()),
        13 => Query::Older(number(data)),
        14 => Query::Younger(number(data)),
        15 | 16 => {
            Query::Header { name: ["Subject", "From", "X", ""][usize::from(kind / 20 % 4)].into(), text: text(data) }
        }
        17 => Query::Body(text(data)),
        18 => Query::Text(text(data)),
        _ => Query::All,
    }
}

/// Each key by itself, and the rest by the rules of logic.
fn one_by_one(query: &Query, facts: &MessageFacts<'_>, raw: &[u8]) -> bool {
    match query {
        Query::And(all) => all.iter().all(|query| one_by_one(query, facts, raw)),
        Query::Or(a, b) => one_by_one(a, facts, raw) || one_by_one(b, facts, raw),
        Query::Not(query) => !one_by_one(query, facts, raw),
        key => Search::new(key, now()).expect("one key is not too complex").matches(facts, raw),
    }
}

fuzz_target!(|data: &[u8]| {
    let mut raw = data;
    let query = query(&mut raw, 0);
    let flags: Flags = if raw.len() % 2 == 0 { Flags::new() } else { [Flag::Seen].into_iter().collect() };
    let received = WallTime::new(raw.len() as i64 * 7_000_000, 3600);
    let facts = MessageFacts::new(Uid::new(raw.len() as u32 + 1).unwrap(), &flags, received, raw.len() as u64);
    let Ok(search) = Search::new(&query, now()) else { return };
    let found = search.matches(&facts, raw);
    assert_eq!(found, one_by_one(&query, &facts, raw), "{query:?}");
    if let Some(decided) = search.decide(&facts) {
        assert_eq!(decided, found, "{query:?}");
    }
    match search.needs() {
        Needs::Nothing => assert_eq!(search.decide(&facts), Some(found), "{query:?}"),
        Needs::Header => assert_eq!(search.matches(&facts, split(raw).0), found, "{query:?}"),
        _ => {}
    }
});
