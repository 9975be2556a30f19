//! A process that is killed while it works: what it was told is durable is there.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use pillarbox_fs::RealFs;
use pillarbox_spool::{MessageId, Outcome};
use support::{accept, content, open, options, report, tell};

/// Set for the process that is to be killed: the folder of its queue.
const FOLDER: &str = "SPOOL_TO_BE_KILLED_IN";

fn small_segments(seed: u64) -> pillarbox_spool::Options {
    let mut options = options(seed);
    (options.segment_size, options.inline_max) = (100_000, 20_000);
    options
}

/// Works until it is killed, and says what is durable: `a` accepted, `d` delayed, `f` finished.
fn work(folder: &str) {
    let seed = u64::from(std::process::id());
    let (store, waiting, _) = open(RealFs, folder, small_segments(seed)).unwrap();
    let say = |what: &str, id: MessageId| {
        // One write for a line: the parent reads whole lines or none.
        std::io::stdout().lock().write_all(format!("{what} {id}\n").as_bytes()).unwrap();
    };
    std::thread::scope(|scope| {
        for message in waiting.chunks(waiting.len().div_ceil(3).max(1)) {
            let store = &store;
            scope.spawn(move || {
                for message in message {
                    if tell(store, report(message.id, &[(0, Outcome::Delivered)])).is_ok() {
                        say("f", message.id);
                    }
                }
            });
        }
        for worker in 0..6 {
            let store = &store;
            scope.spawn(move || {
                for n in 0.. {
                    let octets = if (worker + n) % 20 == 0 { 50_000 } else { 3000 };
                    let id = accept(store, &vec![b'a' + (n % 26) as u8; octets], 1).unwrap();
                    say("a", id);
                    let outcome = if n % 3 == 0 { Outcome::Delayed } else { Outcome::Delivered };
                    tell(store, report(id, &[(0, outcome)])).unwrap();
                    say(if n % 3 == 0 { "d" } else { "f" }, id);
                    if worker == 0 {
                        store.tend().unwrap();
                    }
                }
            });
        }
    });
}

// RST-01
#[test]
fn what_was_durable_survives_kill() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return work(&folder);
    }
    let rounds: u64 = std::env::var("ROUNDS").ok().map_or(5, |n| n.parse().expect("ROUNDS is a number"));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("spool").to_str().unwrap().to_owned();
    // What is known of each message; finished ones stay known, so that none comes back.
    let mut known: BTreeMap<MessageId, u8> = BTreeMap::new();
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["what_was_durable_survives_kill", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, &root)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut count = 0;
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 {
            if let Some((what, id)) = line.trim_end().split_once(' ')
                && let ("a" | "d" | "f", Ok(id)) = (what, id.parse())
                && line.ends_with('\n')
            {
                known.insert(id, what.as_bytes()[0]);
                count += 1;
            }
            line.clear();
            // It goes on working while it is killed.
            if count == 300 + 77 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(count >= 300, "it was killed at work: {count}");
        let (store, waiting, findings) = open(RealFs, &root, small_segments(round)).unwrap();
        assert!(findings.iter().all(|it| matches!(it, pillarbox_spool::Finding::Cut { .. })), "{findings:?}");
        for message in &waiting {
            assert_ne!(known.get(&message.id), Some(&b'f'), "{} was finished", message.id);
            let octets = content(&store, message.id).unwrap();
            assert!([3000, 50_000].contains(&octets.len()) && octets.iter().all(|octet| *octet == octets[0]));
        }
        // The last change of each thread may be durable without having been said, and nothing else.
        let missing = |what: u8| -> Vec<MessageId> {
            let is_missing = |id: &MessageId| waiting.iter().all(|message| message.id != *id);
            known.iter().filter(|(id, known)| **known == what && is_missing(id)).map(|(id, _)| *id).collect()
        };
        let (accepted, delayed) = (missing(b'a'), missing(b'd'));
        let finishing = if round == 0 { 0 } else { 3 };
        assert!(accepted.len() <= 6 && delayed.len() <= finishing, "lost: {accepted:?} {delayed:?}");
        known.extend(accepted.into_iter().chain(delayed).map(|id| (id, b'f')));
        assert!(waiting.len() > 20, "{}", waiting.len());
        drop(store);
    }
}
