//! SEARCH commands put to 109 messages, compared with what Dovecot 2.3.19 answered.

// What was skipped, compared or differs has to be told.
#![allow(clippy::print_stdout)]

mod dovecot_mailbox;

use dovecot_mailbox::mailbox_and_answers;
use pillarbox_core::WallTime;
use pillarbox_imap::search::{Date, MessageFacts, Query, Search};
use pillarbox_imap::types::{Flag, Uid, UidSet};

/// Commands that we answer otherwise, which messages we find and Dovecot does not and the reverse, and why.
const DIFFERENCES: &[(&str, &[u32], &[u32], &str)] = &[
    (
        "SEARCH NOT (SEEN FLAGGED)",
        &[1],
        &[],
        "message 1 is not flagged; Dovecot has it in neither this nor (SEEN FLAGGED)",
    ),
    ("SEARCH NOT SENTSINCE 1-Jan-1990", &[], &[48], "its date lacks a space before the zone and is readable"),
    (
        "SEARCH NOT BODY a",
        &[],
        &[15, 72, 95],
        "what has no readable Content-Type is text (RFC 2045 §5.2), and so is text in an unknown encoding, as it stands",
    ),
];

#[test]
fn finds_what_dovecot_finds() {
    let Some((mailbox, answers)) = mailbox_and_answers() else { return };
    let mut compared = 0;
    let mut differences = Vec::new();
    for (command, theirs) in &answers {
        let command = command.as_str();
        let keys = command.strip_prefix("UID SEARCH ").or(command.strip_prefix("SEARCH "));
        let Some(keys) = keys.filter(|keys| !["RETURN ", "$", "CHARSET X-"].iter().any(|no| keys.starts_with(no)))
        else {
            continue;
        };
        compared += 1;
        let query = Keys { rest: keys, last: mailbox.len() as u32 }.all();
        let search = Search::new(&query, WallTime::new(1_790_000_000, 0)).unwrap();
        let ours = mailbox.iter().filter(|message| {
            let size = message.raw.len() as u64;
            let facts = MessageFacts::new(message.uid, &message.flags, message.date, size);
            let found = search.matches(&facts, &message.raw);
            assert!(search.decide(&facts).is_none_or(|decided| decided == found), "{command}");
            found
        });
        let ours: Vec<u32> = ours.map(|message| message.uid.get()).collect();
        let theirs = theirs.strip_prefix("* SEARCH").unwrap();
        let theirs: Vec<u32> = theirs.split_whitespace().map(|uid| uid.parse().unwrap()).collect();
        let only = |a: &[u32], b: &[u32]| a.iter().copied().filter(|uid| !b.contains(uid)).collect::<Vec<_>>();
        if ours != theirs {
            differences.push((command, only(&ours, &theirs), only(&theirs, &ours)));
        }
    }
    let listed = DIFFERENCES.iter().map(|(command, ours, theirs, _)| (*command, ours.to_vec(), theirs.to_vec()));
    assert_eq!(differences, listed.collect::<Vec<_>>(), "left: what differs; right: what may");
    assert!(compared > 55, "{compared}");
    println!("{compared} searches compared");
}

/// Search keys as the oracle writes them; nothing is checked.
struct Keys<'t> {
    rest: &'t str,
    last: u32,
}

impl Keys<'_> {
    fn all(&mut self) -> Query {
        let mut all = Vec::new();
        while !self.rest.is_empty() && !self.rest.starts_with(')') {
            all.push(self.key());
        }
        Query::And(all)
    }

    fn word(&mut self) -> String {
        self.rest = self.rest.trim_start();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let (word, rest) = quoted.split_once('"').unwrap();
            self.rest = rest.trim_start();
            return word.to_owned();
        }
        let end = self.rest.find([' ', ')']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word.to_owned()
    }

    fn date(&mut self) -> Date {
        let word = self.word();
        let words: Vec<&str> = word.split('-').collect();
        let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(words[1]).unwrap() as u8 / 3 + 1;
        Date::new(words[2].parse().unwrap(), month, words[0].parse().unwrap()).unwrap()
    }

    fn set(&self, text: &str) -> Query {
        let number = |text: &str| Uid::new(text.parse().unwrap_or(self.last)).unwrap();
        let mut set = UidSet::new();
        let (a, b) = text.split_once(':').unwrap_or((text, text));
        let (a, b) = (number(a), number(b));
        set.insert_range(a.min(b)..=a.max(b));
        Query::Uids(set)
    }

    fn key(&mut self) -> Query {
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let all = self.all();
            self.rest = self.rest[1..].trim_start();
            return all;
        }
        let flag = |name: &str| Query::Flag(Flag::parse(name).unwrap());
        let not = |query| Query::Not(Box::new(query));
        let word = self.word();
        match word.as_str() {
            "ALL" => Query::All,
            "CHARSET" => {
                self.word();
                self.key()
            }
            "NOT" => not(self.key()),
            "OR" => {
                let first = self.key();
                Query::Or(Box::new(first), Box::new(self.key()))
            }
            "UID" => {
                let set = self.word();
                self.set(&set)
            }
            "KEYWORD" => flag(&self.word()),
            "UNKEYWORD" => not(flag(&self.word())),
            "SEEN" | "FLAGGED" | "DELETED" | "DRAFT" | "ANSWERED" | "RECENT" => flag(&format!("\\{word}")),
            "UNSEEN" | "UNDELETED" => not(flag(&format!("\\{}", &word[2..]))),
            "NEW" => Query::And(vec![flag("\\Recent"), not(flag("\\Seen"))]),
            "OLD" => not(flag("\\Recent")),
            "LARGER" => Query::Larger(self.word().parse().unwrap()),
            "SMALLER" => Query::Smaller(self.word().parse().unwrap()),
            "OLDER" => Query::Older(self.word().parse().unwrap()),
            "YOUNGER" => Query::Younger(self.word().parse().unwrap()),
            "BEFORE" => Query::Before(self.date()),
            "ON" => Query::On(self.date()),
            "SINCE" => Query::Since(self.date()),
            "SENTBEFORE" => Query::SentBefore(self.date()),
            "SENTON" => Query::SentOn(self.date()),
            "SENTSINCE" => Query::SentSince(self.date()),
            "SUBJECT" | "FROM" | "TO" | "CC" | "BCC" => Query::Header { name: word, text: self.word() },
            "HEADER" => Query::Header { name: self.word(), text: self.word() },
            "BODY" => Query::Body(self.word()),
            "TEXT" => Query::Text(self.word()),
            set if set.starts_with(|c: char| c == '*' || c.is_ascii_digit()) => self.set(set),
            other => panic!("an unknown key: {other}"),
        }
    }
}
