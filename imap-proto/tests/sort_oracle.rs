//! SORT and THREAD of 109 messages, compared with what Dovecot 2.3.19 answered.

// What was skipped, compared or differs has to be told.
#![allow(clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};

use pillarbox_core::WallTime;
use pillarbox_imap::sort::{SortCriterion, SortKey, SortKeys, Sorter, write_sort_keys};
use pillarbox_imap::thread::{ThreadAlgorithm, ThreadKeys, Threader, write_thread_keys};
use pillarbox_imap::types::Uid;
use serde_json::Value;

/// Commands in which message 48 has another place with us: its Date field lacks a space before the zone. We read it; Dovecot does not,
/// and takes INTERNALDATE.
const WHERE_48_IS_ELSEWHERE: &[&str] = &[
    "SORT (DATE) UTF-8 ALL",
    "SORT (REVERSE DATE) UTF-8 ALL",
    "SORT (REVERSE SUBJECT DATE) UTF-8 ALL",
    "THREAD ORDEREDSUBJECT UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
    "UID THREAD REFERENCES UTF-8 SEEN",
];

struct Message {
    uid: Uid,
    seen: bool,
    arrival: i64,
    raw: Vec<u8>,
}

#[test]
fn sorts_and_threads_as_dovecot_does() {
    let Some(folder) = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from) else {
        println!("skipped: PILLARBOX_SHARED is not set");
        return;
    };
    let conformance = folder.join("conformance");
    let text = fs::read_to_string(conformance.join("imap/dovecot-oracle/search-sort-thread.json")).unwrap();
    let oracle: Value = serde_json::from_str(&text).unwrap();
    let rows = oracle["mailbox"].as_array().unwrap();
    let mailbox: Vec<Message> = rows.iter().map(|row| message(&conformance.join("mime"), row)).collect();
    let (mut compared, mut differences) = (0, Vec::new());
    for case in oracle["cases"].as_array().unwrap() {
        let command = case["command"].as_str().unwrap();
        let Some(ours) = answer(&mailbox, command.strip_prefix("UID ").unwrap_or(command)) else { continue };
        compared += 1;
        let theirs = case["untagged"][0].as_str().unwrap();
        if ours != theirs {
            let without = |answer: &str| answer.replace("(48)", "").replace(" 48 ", " ").replace(" 48", "");
            assert_eq!(without(&ours), without(theirs), "{command}");
            differences.push(command);
        }
    }
    assert_eq!(differences, WHERE_48_IS_ELSEWHERE);
    assert!(compared >= 16, "{compared}");
    println!("{compared} answers compared");
}

/// The answer to one of the oracle's commands; none to a search, an algorithm that is not ours, or where only numbers of the
/// result are asked for.
fn answer(mailbox: &[Message], command: &str) -> Option<String> {
    let (name, rest) = command.split_once(' ')?;
    let keys = command.rsplit(' ').next()?;
    let found = mailbox.iter().filter(|message| match keys {
        "ALL" => true,
        "SEEN" => message.seen,
        "UNSEEN" => !message.seen,
        other => panic!("{other}"),
    });
    match name {
        "SORT" => {
            let (criteria, _) = rest.strip_prefix('(')?.split_once(')')?;
            let mut sorter = Sorter::new(&criteria_of(criteria));
            for message in found {
                let mut octets = Vec::new();
                write_sort_keys(&message.raw, &mut octets);
                sorter.add(message.uid, message.arrival, message.raw.len() as u64, SortKeys::read(&octets));
            }
            let numbers: Vec<String> = sorter.finish().iter().map(Uid::to_string).collect();
            Some(format!("* SORT {}", numbers.join(" ")))
        }
        "THREAD" => {
            let mut threader = Threader::new(match rest.split(' ').next()? {
                "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
                "REFERENCES" => ThreadAlgorithm::References,
                _ => return None,
            });
            for message in found {
                let mut octets = Vec::new();
                write_thread_keys(&message.raw, &mut octets);
                threader.add(message.uid, message.arrival, &ThreadKeys::read(&octets).unwrap());
            }
            Some(format!("* THREAD {}", threader.finish()))
        }
        _ => None,
    }
}

fn criteria_of(text: &str) -> Vec<SortCriterion> {
    use SortKey::*;
    let mut reverse = false;
    let mut criteria = Vec::new();
    for word in text.split(' ') {
        if word == "REVERSE" {
            reverse = true;
            continue;
        }
        let all = [Arrival, Cc, Date, DisplayFrom, DisplayTo, From, Size, Subject, To];
        let key = all.into_iter().find(|key| key.as_str() == word).unwrap();
        criteria.push(SortCriterion { key, reverse: std::mem::take(&mut reverse) });
    }
    criteria
}

fn message(folder: &Path, row: &Value) -> Message {
    let bytes = fs::read(folder.join(row["file"].as_str().unwrap())).unwrap();
    let mut raw = Vec::new();
    for &octet in &bytes {
        if octet == b'\n' && raw.last() != Some(&b'\r') {
            raw.push(b'\r');
        }
        raw.push(octet);
    }
    Message {
        uid: Uid::new(row["seq"].as_u64().unwrap() as u32).unwrap(),
        seen: row["flags"].as_array().unwrap().iter().any(|flag| flag == "\\Seen"),
        arrival: arrival(row["internaldate"].as_str().unwrap()),
        raw,
    }
}

fn arrival(text: &str) -> i64 {
    let words: Vec<&str> = text.split([' ', '-', ':']).collect();
    let number = |text: &str| text.parse::<i64>().unwrap();
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(words[1]).unwrap() as u8 / 3 + 1;
    let zone = number(&text[text.len() - 4..]);
    let offset = (zone / 100 * 3600 + zone % 100 * 60) * if text.contains(" -") { -1 } else { 1 };
    let part = |at: usize| number(words[at]) as u8;
    let time = WallTime::from_civil(number(words[2]), month, part(0), part(3), part(4), part(5), 0).unwrap();
    time.unix_seconds() - offset
}
