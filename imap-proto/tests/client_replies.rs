//! Replies that servers of others sent, recorded: each is read, and what is not read is known and listed here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pillarbox_core::{Step, Time};
use pillarbox_imap::client::{ClientConfig, ClientSession, Command, Event, Response};

/// Where the recorded replies are, if they are at hand.
fn folder(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("PILLARBOX_SHARED")?;
    Some(Path::new(&shared).join("conformance/imap").join(name))
}

/// What was told of one recording.
#[derive(Debug, Default)]
struct Told {
    responses: Vec<Response>,
    octets: BTreeMap<String, Vec<u8>>,
    completed: usize,
    is_greeted: bool,
    is_idling: bool,
    failure: Option<String>,
}

/// Shows a session the recording in pieces of `piece` octets, behind a greeting of our own if it has none. Tags that stand in
/// the recording are made those of the one command that is under way.
fn play(recording: &[u8], piece: usize) -> Told {
    let greets = [&b"* OK"[..], b"* PREAUTH"].iter().any(|begin| recording.starts_with(begin));
    let is_greeting = greets && recording.iter().filter(|octet| **octet == b'\n').count() == 1;
    let now = Time::ZERO;
    let mut session = ClientSession::new(ClientConfig::default());
    let mut input = Vec::new();
    if !is_greeting {
        input.extend_from_slice(b"* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n");
    }
    let mut told = Told::default();
    let mut section = String::new();
    let mut shown = input.len();
    let mut begun = is_greeting;
    if is_greeting {
        input.extend_from_slice(recording);
        shown = 0;
    }
    let mut used = 0;
    loop {
        let mut unread = &input[used..shown];
        let step = session.poll(now, &mut unread);
        used = shown - unread.len();
        match step {
            Step::Event(Event::Response(response)) => told.responses.push(response),
            Step::Event(Event::Section(begun)) => section = begun.name,
            Step::Event(Event::Body(octets)) => {
                told.octets.entry(section.clone()).or_default().extend_from_slice(&octets);
            }
            Step::Event(Event::Completed { .. }) => told.completed += 1,
            Step::Event(Event::Failed(failure)) => told.failure = Some(failure.to_string()),
            Step::Event(Event::Idling) => told.is_idling = true,
            Step::Event(_) => {}
            Step::NeedInput => {
                session.consume_output(now, usize::MAX);
                if !begun {
                    begun = true;
                    // One that may be asked to go on, and that goes alone.
                    session.submit(now, Command::idle()).unwrap();
                    session.consume_output(now, usize::MAX);
                    input.extend_from_slice(recording);
                }
                if shown == input.len() {
                    // It says something of its own once it was greeted.
                    told.is_greeted = is_greeting && session.close_reason().is_none();
                    return told;
                }
                shown = (shown + piece).min(input.len());
            }
            Step::Closed => return told,
            other => panic!("{other:?}"),
        }
    }
}

/// The recordings have bare LF for CRLF, and stand-ins for tags.
fn on_the_wire(recording: &[u8], tag: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for line in recording.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        match text.strip_prefix(b"A########") {
            Some(rest) => {
                wire.extend_from_slice(tag.as_bytes());
                wire.extend_from_slice(rest);
            }
            None => wire.extend_from_slice(text),
        }
        if line.ends_with(b"\n") {
            wire.extend_from_slice(b"\r\n");
        }
    }
    wire
}

fn recordings(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            recordings(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
}

/// Of a line that was copied out of a text: it goes on in the next line, or there are words of the text in it.
fn is_no_response(line: &str) -> bool {
    let count = |octet| line.matches(octet).count();
    let is_unfinished = count('(') != count(')') || count('"') % 2 == 1;
    is_unfinished
        || line.contains("...")
        || line.contains("<===")
        || line.ends_with([',', ':'])
        || line.ends_with("ALL")
}

#[test]
fn replies_of_many_servers() {
    let Some(folder) = folder("mailkit") else { return };
    let mut files = Vec::new();
    recordings(&folder, &mut files);
    // Its literal is longer than it is announced to be: a space was put into the recording.
    files.retain(|path| !path.ends_with("gmail/headers.1+unsolicited-info.txt"));
    assert_eq!(files.len(), 346);
    let mut wrong = Vec::new();
    for path in &files {
        let recording = on_the_wire(&fs::read(path).unwrap(), "A1");
        let told = play(&recording, usize::MAX / 4);
        let cut = play(&recording, 7);
        let all = |told: &Told| (told.responses.clone(), told.octets.clone(), told.completed);
        assert_eq!(all(&told), all(&cut), "{path:?}");
        let unread = told.responses.iter().find(|response| matches!(response, Response::Unread(_)));
        let is_nothing = told.responses.is_empty() && told.completed == 0 && !told.is_greeted && !told.is_idling;
        if told.failure.is_some() || unread.is_some() || is_nothing {
            wrong.push(format!("{}: {:?} {unread:?}", path.display(), told.failure));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

#[test]
fn lines_of_the_rfcs() {
    let Some(folder) = folder("mox") else { return };
    let lines = fs::read_to_string(folder.join("imapclient-fuzzseed.txt")).unwrap();
    let (mut read, mut cut_off) = (0, 0);
    for line in lines.lines() {
        let line = match line.split_once(' ') {
            Some((tag, rest)) if !matches!(tag, "*" | "+") => format!("A1 {rest}"),
            _ => line.to_string(),
        };
        let told = play(format!("{line}\r\n").as_bytes(), usize::MAX / 4);
        let unread = told.responses.iter().any(|response| matches!(response, Response::Unread(_)));
        if told.failure.is_none() && !unread {
            read += 1;
        } else {
            assert!(is_no_response(&line), "{line}: {told:?}");
            cut_off += 1;
        }
    }
    assert_eq!((read, cut_off), (1019, 37));
}
