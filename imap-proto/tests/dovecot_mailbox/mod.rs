//! 109 messages, and what Dovecot 2.3.19 answered to commands about them.

#![allow(clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};

use pillarbox_core::WallTime;
use pillarbox_imap::types::{Flag, Flags, Uid};
use serde_json::Value;

/// A command and its first untagged response.
pub(crate) type Answered = (String, String);

/// The mailbox and the answers; none where the material is not there.
pub(crate) fn mailbox_and_answers() -> Option<(Vec<Message>, Vec<Answered>)> {
    let Some(folder) = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from) else {
        println!("skipped: PILLARBOX_SHARED is not set");
        return None;
    };
    let conformance = folder.join("conformance");
    let text = fs::read_to_string(conformance.join("imap/dovecot-oracle/search-sort-thread.json")).unwrap();
    let oracle: Value = serde_json::from_str(&text).unwrap();
    let rows = oracle["mailbox"].as_array().unwrap();
    let mailbox = rows.iter().map(|row| message(&conformance.join("mime"), row)).collect();
    let pair = |case: &Value| {
        let answer = case["untagged"][0].as_str().unwrap_or_default();
        (case["command"].as_str().unwrap().to_owned(), answer.to_owned())
    };
    Some((mailbox, oracle["cases"].as_array().unwrap().iter().map(pair).collect()))
}

/// A message of the mailbox.
pub(crate) struct Message {
    pub(crate) uid: Uid,
    pub(crate) flags: Flags,
    pub(crate) date: WallTime,
    pub(crate) raw: Vec<u8>,
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
    let mut flags: Flags =
        row["flags"].as_array().unwrap().iter().map(|flag| Flag::parse(flag.as_str().unwrap()).unwrap()).collect();
    // They were new to the connection that searched.
    flags.insert(Flag::Recent);
    Message {
        uid: Uid::new(row["seq"].as_u64().unwrap() as u32).unwrap(),
        flags,
        date: date(&row["internaldate"]),
        raw,
    }
}

/// A Maildir keeps the moment and not the zone; the oracle's server ran in UTC.
fn date(text: &Value) -> WallTime {
    let words: Vec<&str> = text.as_str().unwrap().split([' ', '-', ':']).collect();
    let text = text.as_str().unwrap();
    let (zone, sign) = (&text[text.len() - 4..], if text.contains(" -") { -1 } else { 1 });
    let number = |text: &str| text.parse::<i64>().unwrap();
    let (day, year) = (number(words[0]) as u8, number(words[2]));
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(words[1]).unwrap() as u8 / 3 + 1;
    let time = WallTime::from_civil(
        year,
        month,
        day,
        number(words[3]) as u8,
        number(words[4]) as u8,
        number(words[5]) as u8,
        0,
    );
    let offset = sign * (number(zone) / 100 * 3600 + number(zone) % 100 * 60);
    WallTime::new(time.unwrap().unix_seconds() - offset, 0)
}
