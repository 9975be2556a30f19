//! The program against servers that say things in an order of their own, and with a folder that takes no more.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

/// Two messages, told of with `messages`, which is called with the connection when they are fetched.
fn fetch(folder: &Path, messages: impl FnOnce(&mut TcpStream) + Send) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(listener, messages));
        let mut program = Command::new(env!("CARGO_BIN_EXE_imap-fetch"));
        program.args([&address, "joe", "INBOX", "--clear", "--to"]).arg(folder).env("IMAP_PASSWORD", "secret");
        let ended = program.output().unwrap();
        server.join().unwrap();
        ended
    })
}

fn serve(listener: TcpListener, messages: impl FnOnce(&mut TcpStream)) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut messages = Some(messages);
    stream.write_all(b"* OK [CAPABILITY IMAP4rev1] hi\r\n").unwrap();
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let Ok(line) = line else { return };
        let (tag, command) = line.split_once(' ').unwrap();
        match command {
            "EXAMINE INBOX" => stream.write_all(b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n").unwrap(),
            "UID FETCH 1:* (UID FLAGS)" => {
                stream.write_all(b"* 1 FETCH (UID 5 FLAGS ())\r\n* 2 FETCH (UID 6 FLAGS ())\r\n").unwrap();
            }
            "UID FETCH 1:* (UID BODY.PEEK[])" => messages.take().unwrap()(&mut stream),
            _ => {}
        }
        let code = if command.starts_with("LOGIN") { "[CAPABILITY IMAP4rev1] " } else { "" };
        // Who has hung up hears nothing.
        let _ = stream.write_all(format!("{tag} OK {code}done\r\n").as_bytes());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_a_message_is_may_stand_behind_it_and_beside_others() {
    let folder = tempfile::tempdir().unwrap();
    let ended = fetch(folder.path(), |stream| {
        stream.write_all(b"* 1 FETCH (BODY[] {5}\r\nhello UID 5)\r\n").unwrap();
        stream.write_all(b"* 1 FETCH (FLAGS (\\Seen))\r\n").unwrap();
        stream
            .write_all(
                b"* 2 FETCH (UID 6 RFC822.HEADER {3}\r\nabc BODY[]<1> \"b\" BODY[] {3}\r\nxyz BODY[TEXT] \"c\")\r\n",
            )
            .unwrap();
    });
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(names(folder.path()), ["5.eml", "6.eml"]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!((&*read("5.eml"), &*read("6.eml")), ("hello", "xyz"));
}

#[test]
fn what_has_no_name_or_no_octets_is_not_there() {
    for (told, says) in [
        ("* 1 FETCH (BODY[] \"a\")\r\n", "does not say which message"),
        ("* 1 FETCH (UID 5 BODY[] \"a\" BODY[] \"b\")\r\n", "twice"),
        ("* 1 FETCH (UID 5 BODY[] NIL)\r\n", "2 of 2 messages did not come"),
        ("* 1 FETCH (UID 5 BODY[] \"a\" UID x)\r\n", "2 of 2 messages did not come"),
        ("", "2 of 2 messages did not come"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ended = fetch(folder.path(), |stream| stream.write_all(told.as_bytes()).unwrap());
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(says), "{told}: {said}");
        assert!(names(folder.path()).iter().all(|name| name.ends_with(".part")), "{told}");
    }
}

#[test]
fn a_full_disk_ends_it() {
    /// More than all buffers on the way hold.
    const PIECES: usize = 1024;
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("5.eml.part")).unwrap();
    let mut sent = 0;
    let ended = fetch(folder.path(), |stream| {
        let piece = vec![b'x'; 65_536];
        stream.write_all(format!("* 1 FETCH (UID 5 BODY[] {{{}}}\r\n", PIECES * piece.len()).as_bytes()).unwrap();
        while sent < PIECES && stream.write_all(&piece).is_ok() {
            sent += 1;
        }
        let _ = stream.write_all(b")\r\n");
    });
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("No space left"), "{said}");
    assert!(sent < PIECES, "it has taken all of it");
}
