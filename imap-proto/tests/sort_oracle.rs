//! SORT and THREAD of 109 messages, compared with what Dovecot 2.3.19 answered.

// What was skipped, compared or differs has to be told.
#![allow(clippy::print_stdout)]

mod dovecot_mailbox;

use dovecot_mailbox::{Message, mailbox_and_answers};
use pillarbox_imap::sort::{SortCriterion, SortKey, SortKeys, Sorter, write_sort_keys};
use pillarbox_imap::thread::{ThreadAlgorithm, ThreadKeys, Threader, write_thread_keys};
use pillarbox_imap::types::{Flag, Uid};

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

#[test]
fn sorts_and_threads_as_dovecot_does() {
    let Some((mailbox, answers)) = mailbox_and_answers() else { return };
    let (mut compared, mut differences) = (0, Vec::new());
    for (command, theirs) in &answers {
        let command = command.as_str();
        let Some(ours) = answer(&mailbox, command.strip_prefix("UID ").unwrap_or(command)) else { continue };
        compared += 1;
        if ours != *theirs {
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
        "SEEN" => message.flags.contains(&Flag::Seen),
        "UNSEEN" => !message.flags.contains(&Flag::Seen),
        other => panic!("{other}"),
    });
    match name {
        "SORT" => {
            let (criteria, _) = rest.strip_prefix('(')?.split_once(')')?;
            let mut sorter = Sorter::new(&criteria_of(criteria));
            for message in found {
                let mut octets = Vec::new();
                write_sort_keys(&message.raw, &mut octets);
                sorter.add(message.uid, message.date.unix_seconds(), message.raw.len() as u64, SortKeys::read(&octets));
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
                threader.add(message.uid, message.date.unix_seconds(), &ThreadKeys::read(&octets).unwrap());
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
