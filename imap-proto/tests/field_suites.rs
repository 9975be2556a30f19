//! Fields of messages as mail-parser reads them: dates, texts, types, addresses. It is made to guess, so that much of what it
//! makes of broken fields is a matter of taste; what differs is counted and its reasons are told.

// What was compared or differs has to be told.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;

use pillarbox_imap::message::{Address, Limits, Structure, addresses, decode_words, parse_date};
use serde_json::Value;

fn rows(name: &str) -> Option<Vec<(String, Value)>> {
    let Some(folder) = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from) else {
        println!("skipped: PILLARBOX_SHARED is not set");
        return None;
    };
    let path = folder.join("conformance/mime/mail-parser").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    Some(rows.into_iter().map(|row| (row["header"].as_str().unwrap().to_owned(), row["expected"].clone())).collect())
}

/// What stands before the line end that ends the field: some rows have another field behind theirs.
fn value(header: &str) -> &str {
    let ends = header.match_indices('\n').find(|(at, _)| !header[at + 1..].starts_with([' ', '\t']));
    let value = ends.map_or(header, |(at, _)| &header[..at]);
    value.strip_suffix('\r').unwrap_or(value)
}

fn compare(name: &str, ours: impl Fn(&str) -> String, theirs: impl Fn(&Value) -> String, differ: &[usize]) {
    let Some(rows) = rows(name) else { return };
    let mut differences = Vec::new();
    for (number, (header, expected)) in rows.iter().enumerate() {
        let (ours, theirs) = (ours(value(header)), theirs(expected));
        if ours != theirs {
            println!("{name} {number}: {header:?}\n    we: {ours}\n    it: {theirs}");
            differences.push(number);
        }
    }
    println!("{name}: {} rows, {} differ", rows.len(), differences.len());
    assert_eq!(differences, differ, "left: what differs; right: what may");
}

#[test]
fn dates() {
    let theirs = |expected: &Value| {
        let number = |name: &str| expected[name].as_i64().unwrap_or_default();
        if expected.is_null() {
            return "none".to_owned();
        }
        let sign = if expected["tz_before_gmt"] == true { "-" } else { "+" };
        let (date, time) =
            ((number("year"), number("month"), number("day")), (number("hour"), number("minute"), number("second")));
        format!("{date:?} {time:?} {sign}{:02}{:02}", number("tz_hour"), number("tz_minute"))
    };
    let ours = |value: &str| {
        let Some(date) = parse_date(value.as_bytes()) else { return "none".to_owned() };
        let (civil, text) = (date.civil(), date.to_string());
        let time = (i64::from(civil.hour), i64::from(civil.minute), i64::from(civil.second));
        format!("{:?} {time:?} {}", (civil.year, i64::from(civil.month), i64::from(civil.day)), &text[text.len() - 5..])
    };
    // What is no zone of RFC 5322 counts as none (+5, +530, +5:30, junk behind it); days and months that are none are no date, not
    // the nearest one; two- and three-digit years are those of RFC 5322 §4.3; a date without a zone or a day of the week is one.
    compare(
        "date.json",
        ours,
        theirs,
        &[
            10, 12, 28, 40, 41, 42, 43, 44, 46, 47, 48, 51, 52, 53, 55, 61, 63, 64, 65, 68, 69, 72, 73, 74, 76, 77, 78,
            79, 80, 81, 82, 83,
        ],
    );
}

#[test]
fn texts() {
    let ours = |value: &str| {
        let mut text = String::new();
        decode_words(value.as_bytes(), &mut text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let theirs =
        |expected: &Value| expected.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    // An encoded word with an octet that is not encoded rightly is still one; a bare CR is dropped as in a fold.
    compare("unstructured.json", ours, theirs, &[42, 48]);
}

#[test]
fn types() {
    let ours = |value: &str| {
        let raw = format!("Content-Type: {value}\r\n\r\n");
        let limits = Limits::default();
        let content_type = Structure::parse(raw.as_bytes(), &limits).parts()[0].content_type(raw.as_bytes(), &limits);
        let mut names: Vec<String> = content_type
            .parameters()
            .map(|(name, _)| String::from_utf8_lossy(name).trim_end_matches('*').to_ascii_lowercase())
            .collect();
        names.sort();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).to_ascii_lowercase();
        format!("{}/{} {names:?}", text(content_type.main()), text(content_type.sub()))
    };
    let theirs = |expected: &Value| {
        let attributes = expected["attributes"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> =
            attributes.iter().map(|pair| pair[0].as_str().unwrap_or_default().to_ascii_lowercase()).collect();
        names.sort();
        let text = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_ascii_lowercase();
        format!("{}/{} {names:?}", text(&expected["c_type"], "text"), text(&expected["c_subtype"], "plain"))
    };
    // What is no type of RFC 2045 §5.1 is text/plain, with no parameters: dispositions among them. Encoded values are not decoded and
    // their languages not told apart (IMAP shows them as they are), and pieces with gaps stay pieces.
    compare(
        "content_type.json",
        ours,
        theirs,
        &[4, 23, 29, 30, 31, 38, 39, 47, 48, 49, 58, 59, 61, 68, 69, 76, 77, 78, 101, 103, 116, 117, 119, 121, 123],
    );
}

#[test]
fn address_lists() {
    let ours = |value: &str| {
        let text = |octets: &[u8]| {
            let mut decoded = String::new();
            decode_words(octets, &mut decoded);
            decoded
        };
        let list = addresses(value.as_bytes(), 1000).into_iter().map(|address| match address {
            Address::Mailbox { name, mailbox, host, .. } => {
                format!("{}<{}@{}>", name.map(|name| text(&name)).unwrap_or_default(), text(&mailbox), text(&host))
            }
            Address::GroupStart(name) => text(&name) + ":",
            _ => ";".into(),
        });
        list.collect::<Vec<_>>().join(" ")
    };
    fn written(entry: &Value, out: &mut Vec<String>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if let Some(mailbox) = entry.get("mailbox").or(entry.get("address").map(|_| entry)) {
            out.push(format!("{}<{}>", text(&mailbox["name"]), text(&mailbox["address"])));
        }
        if let Some(group) = entry.get("group") {
            out.push(text(&group["name"]) + ":");
            group["mailboxes"].as_array().into_iter().flatten().for_each(|entry| written(entry, out));
            out.push(";".into());
        }
    }
    let theirs = |expected: &Value| {
        let mut out = Vec::new();
        expected.as_array().into_iter().flatten().for_each(|entry| written(entry, &mut out));
        out.join(" ")
    };
    // IMAP wants the parts of an address: what lacks one is told as Dovecot does (MISSING_DOMAIN), and an address of the web is none.
    // Routes are kept apart, comments beside a name are left out, names are not put together from what stands around an address,
    // and a backslash outside of quotes ends an address.
    compare(
        "address.json",
        ours,
        theirs,
        &[
            8, 9, 10, 11, 13, 14, 22, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 51, 55, 56, 60, 61, 62, 64, 69, 73,
            75, 78, 80, 83, 84, 85, 87, 88, 91, 92, 93, 95, 98, 99, 100, 101, 102, 104, 106, 108, 109, 111, 116, 117,
            121, 122, 123, 127, 128, 129, 130, 131,
        ],
    );
}
