//! LIST, LSUB and STATUS commands to a tree of mailboxes, compared with what Dovecot 2.3.19 answered.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]
#![allow(clippy::print_stdout, reason = "what was compared and what differs has to be told")]

mod imap_support;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use imap_support::Server;
use serde_json::Value;

/// What Dovecot did not do and a Maildir does, as it may (RFC 9051 §6.3.7).
const REFUSED: &[&str] = &["SUBSCRIBE \"nonexist\"", "SUBSCRIBE \"nonexist/child\""];

/// Commands of LIST-EXTENDED whose answers differ only in `\HasChildren` and `\HasNoChildren`: they come unasked, as they
/// may in any answer to LIST (RFC 5258 §4).
const CHILDREN_UNASKED: &[&str] = &[
    r#"LIST (SUBSCRIBED) "" "*""#,
    r#"LIST (SUBSCRIBED RECURSIVEMATCH) "" "%""#,
    r#"LIST "" ("a" "foo/%")"#,
    r#"LIST (SUBSCRIBED) "" ("a%" "x*")"#,
    r#"LIST "" "a%" RETURN (STATUS (MESSAGES UIDNEXT UNSEEN))"#,
];

/// What is answered otherwise: why, to which commands, what only we tell, and what only Dovecot tells.
type Difference = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

const DIFFERENCES: &[Difference] = &[
    (
        "foo was deleted and has mailboxes below it; Dovecot lists it like one that can be selected, but does not select it",
        &[
            r#"LIST "" "*""#,
            r#"LIST "" "%""#,
            r#"LIST "" "f%""#,
            r#"LIST "" "**""#,
            r#"LIST "" "%%""#,
            r#"LIST "" "*%*""#,
        ],
        &["* LIST (\\HasChildren \\Noselect) / foo"],
        &["* LIST (\\HasChildren) / foo"],
    ),
    (
        "foo, in an answer that knows \\NonExistent",
        &[r#"LIST "" "%" RETURN (SUBSCRIBED CHILDREN)"#],
        &["* LIST (\\HasChildren \\NonExistent) / foo"],
        &["* LIST (\\HasChildren) / foo"],
    ),
    (
        "foo, where we tell of children unasked",
        &[r#"LIST (REMOTE) "" "%""#, r#"LIST () "" "%""#],
        &["* LIST (\\NonExistent) / foo"],
        &["* LIST () / foo"],
    ),
    (
        "INBOX in capitals is what a pattern matches (RFC 3501 §6.3.8); Dovecot matches it in any case",
        &[r#"LIST "" "*b*""#, r#"LIST "" "i*""#],
        &[],
        &["* LIST (\\HasChildren) / INBOX", "* LIST (\\HasNoChildren) / INBOX/child"],
    ),
    (
        "foo and INBOX, as above",
        &[r#"LIST "" "%o%""#],
        &["* LIST (\\HasChildren \\Noselect) / foo"],
        &["* LIST (\\HasChildren) / INBOX", "* LIST (\\HasChildren) / foo"],
    ),
];

/// A line of an answer, where neither quotes nor the order of attributes count.
fn value(line: &str) -> String {
    let line = line.replace('"', "");
    match line.split_once('(').and_then(|(start, rest)| Some((start, rest.split_once(')')?))) {
        Some((start, (attributes, rest))) if !start.starts_with("* STATUS") => {
            let mut attributes: Vec<&str> = attributes.split_whitespace().collect();
            attributes.sort_unstable();
            format!("{start}({}){rest}", attributes.join(" "))
        }
        _ => line,
    }
}

/// The same, where it does not count either whether there are children.
fn childless(line: &str) -> String {
    value(&line.replace("\\HasChildren", "").replace("\\HasNoChildren", ""))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// What an answer tells, nothing of it twice, and `OK`, `NO` or `BAD`.
fn told(untagged: Vec<&str>, last: &str) -> BTreeSet<String> {
    let condition = last.split(' ').next().unwrap_or_default().to_owned();
    let lines = untagged.len();
    let told: BTreeSet<String> = untagged.into_iter().map(value).chain([condition]).collect();
    assert_eq!(told.len(), lines + 1, "{told:?}");
    told
}

#[tokio::test]
async fn lists_what_dovecot_lists() {
    let Some(folder) = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from) else {
        println!("skipped: PILLARBOX_SHARED is not set");
        return;
    };
    let text = std::fs::read_to_string(folder.join("conformance/imap/dovecot-oracle/list.json")).unwrap();
    let oracle: Value = serde_json::from_str(&text).unwrap();
    let server = Server::maildir();
    let mut client = server.client().await;
    for (command, names) in [("CREATE", "create"), ("SUBSCRIBE", "subscribe"), ("DELETE", "delete")] {
        let commands = texts(&oracle[names]).into_iter().map(|name| format!("{command} \"{name}\""));
        for command in commands.filter(|command| !REFUSED.contains(&&**command)) {
            client.ok(&command).await;
        }
    }
    let cases = oracle["cases"].as_array().unwrap();
    let (mut children_unasked, mut differences) = (Vec::new(), BTreeMap::new());
    for case in cases {
        let command = case["command"].as_str().unwrap();
        let theirs = told(texts(&case["untagged"]), case["status"].as_str().unwrap());
        let answer = client.say(command).await;
        let mut lines: Vec<&str> = answer.lines().collect();
        let last = lines.pop().unwrap();
        let mut ours = told(lines, last);
        let do_they_tell = theirs.iter().any(|line| line.contains("Children"));
        if !do_they_tell && ours != theirs {
            // Nobody asked, and only we tell of children.
            ours = ours.iter().map(|line| childless(line)).collect();
            if ours == theirs {
                children_unasked.push(command);
            }
        }
        if ours != theirs {
            let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
            differences.insert(command, (only(&ours, &theirs), only(&theirs, &ours)));
        }
    }
    assert_eq!(children_unasked, CHILDREN_UNASKED, "left: where children are told unasked; right: where they may be");
    let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    let listed = DIFFERENCES.iter().flat_map(|(_, commands, ours, theirs)| {
        commands.iter().map(|&command| (command, (owned(ours), owned(theirs))))
    });
    assert_eq!(differences, listed.collect(), "left: what differs; right: what may");
    assert_eq!(cases.len(), 53);
    let differing = children_unasked.len() + differences.len();
    println!("{} commands compared, {differing} answers differ", cases.len());
}
