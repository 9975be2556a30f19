//! FETCH with a cache answers what it answers without one, and opens nothing for it.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]
// What was skipped has to be told.
#![allow(clippy::print_stdout)]

mod imap_support;
mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use imap_support::{Client, Server};
use pillarbox::store::MaildirStore;
use pillarbox_core::{Random, SeededRandom};
use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Op, RealFs};
use pillarbox_maildir::{Options, Store};
use tokio::io::DuplexStream;

/// A folder of mail, and servers that run on it one after the other.
struct Folder {
    dir: tempfile::TempDir,
    fs: Watched,
    /// How often message files were opened.
    opened: Arc<AtomicUsize>,
}

impl Folder {
    fn new() -> Folder {
        let opened = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&opened);
        let fs = Watched::new(RealFs).on_sync_dir(Box::new(|_| Ok(()))).before(move |op, path| {
            let of_message = path.parent().is_some_and(|folder| folder.ends_with("cur") || folder.ends_with("new"));
            count.fetch_add(usize::from(op == Op::Open && of_message), SeqCst);
        });
        Folder { dir: tempfile::tempdir().unwrap(), fs, opened }
    }

    /// A server that has seen nothing yet.
    fn server(&self) -> Server {
        let root = self.dir.path().to_owned();
        let files = Store::new(self.fs.clone(), Options::from_system());
        Server::over(Arc::new(MaildirStore::over(files, move |_| Some(root.join("Maildir")))))
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("Maildir/pillarbox-cache")
    }

    /// How often messages were opened since the last question.
    fn opened(&self) -> usize {
        self.opened.swap(0, SeqCst)
    }
}

async fn fetch(client: &mut Client<DuplexStream>, items: &str) -> Vec<Vec<u8>> {
    let tag = client.begin(&format!("FETCH 1:* {items}")).await;
    let mut lines = Vec::new();
    loop {
        let line = client.octets().await;
        if line.starts_with(tag.as_bytes()) {
            assert!(line.starts_with(format!("{tag}OK").as_bytes()), "{items}: {}", line.escape_ascii());
            return lines;
        }
        lines.push(line);
    }
}

/// What the cache answers alone, and what needs the messages.
const FROM_CACHE: [&str; 9] = [
    "ENVELOPE",
    "BODYSTRUCTURE",
    "(UID RFC822.SIZE BODY)",
    "(RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)",
    "(UID BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID Received X-Nothing)])",
    "(BODY.PEEK[HEADER.FIELDS (SUBJECT from From)]<3.40> ENVELOPE)",
    "(BODY.PEEK[HEADER.FIELDS (date \"x y\")] BODY.PEEK[HEADER.FIELDS (Content-Type)] BODYSTRUCTURE)",
    "(BODY.PEEK[HEADER.FIELDS (Subject)]<1000000.5>)",
    "(BODY.PEEK[HEADER.FIELDS (x-nothing)])",
];
const FROM_MESSAGES: [&str; 6] = [
    "BODY.PEEK[]",
    "(ENVELOPE BODY.PEEK[]<0.100>)",
    "(BODY.PEEK[HEADER] ENVELOPE)",
    "BODY.PEEK[HEADER.FIELDS.NOT (Received)]",
    "(ENVELOPE BODY.PEEK[1])",
    "(BODY.PEEK[1.HEADER.FIELDS (From)] BODY.PEEK[TEXT])",
];

/// Asks a server that has a cache and one that has none for the same.
async fn compare(messages: &[Vec<u8>]) {
    let plain = Server::memory();
    let folder = Folder::new();
    let server = folder.server();
    for message in messages {
        plain.add("INBOX", message).await;
        server.add("INBOX", message).await;
    }
    let (mut plain, mut first) = (plain.in_inbox().await, server.in_inbox().await);
    for items in FROM_CACHE {
        let expected = fetch(&mut plain, items).await;
        assert_eq!(expected.len(), messages.len());
        for _ in 0..2 {
            assert_eq!(first_difference(&expected, &fetch(&mut first, items).await), None, "{items}");
        }
    }
    drop(first);
    folder.opened();
    // Another process.
    let server = folder.server();
    let mut later = server.in_inbox().await;
    for items in FROM_CACHE {
        let expected = fetch(&mut plain, items).await;
        assert_eq!(first_difference(&expected, &fetch(&mut later, items).await), None, "{items}");
    }
    let large = messages.iter().filter(|message| message.len() > 24 << 10).count();
    let opened = folder.opened();
    assert!(opened <= large * FROM_CACHE.len(), "{opened} messages were opened, and {large} are large");
    for items in FROM_MESSAGES {
        let expected = fetch(&mut plain, items).await;
        assert_eq!(first_difference(&expected, &fetch(&mut later, items).await), None, "{items}");
    }
}

fn first_difference(expected: &[Vec<u8>], found: &[Vec<u8>]) -> Option<(String, String)> {
    let text = |line: Option<&Vec<u8>>| line.map(|line| line.escape_ascii().to_string()).unwrap_or_default();
    let at = (0..expected.len().max(found.len())).find(|&n| expected.get(n) != found.get(n))?;
    Some((text(expected.get(at)), text(found.get(at))))
}

#[tokio::test]
async fn published_messages_with_and_without_a_cache() {
    let Some(shared) = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from) else {
        println!("skipped: PILLARBOX_SHARED is not set");
        return;
    };
    let conformance = shared.join("conformance");
    let oracle = fs::read_to_string(conformance.join("imap/dovecot-oracle/mime-fetch.json")).unwrap();
    let files = oracle.split("\"file\": \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let messages: Vec<Vec<u8>> = files
        .map(|file| {
            let lines = fs::read(conformance.join("mime").join(file)).unwrap();
            let mut crlf = Vec::new();
            for octet in lines {
                if octet == b'\n' && crlf.last() != Some(&b'\r') {
                    crlf.push(b'\r');
                }
                crlf.push(octet);
            }
            crlf.retain(|octet| *octet != 0);
            crlf
        })
        .collect();
    assert!(messages.len() > 200, "{}", messages.len());
    compare(&messages).await;
}

#[tokio::test]
async fn random_messages_with_and_without_a_cache() {
    const PIECES: [&str; 24] = [
        "From: A <a@b.c>\r\n",
        "from: \"x\\\"y\" <d@e>, group: f@g;\r\n",
        "Subject: hello\r\n",
        "SUBJECT : =?utf-8?q?=C3=A4?=\r\n",
        "subject:\r\n",
        "X y: 1\r\n",
        " folded\r\n",
        "\tfolded \"\\\r\n",
        "Date: Wed, 17 May 2000 23:08:29 -0400\r\n",
        "Content-Type: multipart/mixed; boundary=x\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: text/html; charset=\"a\"\r\n",
        "Message-ID: <1@x>\r\n",
        "To: \u{fc}@example.com\r\n",
        "junk\r\n",
        ": no name\r\n",
        "Received: from x\r\n",
        "\r\n",
        "--x\r\n",
        "--x--\r\n",
        "\n",
        "\r",
        "body",
        "Subject: unended",
    ];
    let mut random = SeededRandom::new(20_261_126);
    let mut below = |n: usize| usize::try_from(random.next_u64() % n as u64).unwrap();
    let message = |below: &mut dyn FnMut(usize) -> usize| {
        let count = below(24);
        (0..count).map(|_| PIECES[below(PIECES.len())]).collect::<String>().into_bytes()
    };
    let mut messages: Vec<Vec<u8>> = (0..300).map(|_| message(&mut below)).collect();
    // What is too long to be kept is answered too.
    messages.push(format!("Subject: {}\r\n\r\n", "long ".repeat(10_000)).into_bytes());
    messages
        .push([b"Content-Type: multipart/mixed; boundary=x\r\n\r\n".as_slice(), &b"--x\r\n\r\n".repeat(900)].concat());
    messages.push(b"Received: from x\r\n".repeat(2_000));
    compare(&messages).await;
}

#[tokio::test]
async fn a_message_is_opened_once_for_all_that_was_asked_for() {
    let folder = Folder::new();
    let server = folder.server();
    let message = |n: usize| format!("Subject: {n}\r\nFrom: a@b\r\n\r\nbody\r\n");
    for n in 0..100 {
        server.add("INBOX", message(n).as_bytes()).await;
    }
    let mut client = server.in_inbox().await;
    folder.opened();
    fetch(&mut client, "(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)").await;
    assert_eq!(folder.opened(), 100);
    fetch(&mut client, "(BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (From)])").await;
    assert_eq!(folder.opened(), 100);
    for items in ["(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)", "(BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (From)])"] {
        fetch(&mut client, items).await;
        assert_eq!(folder.opened(), 0, "{items}");
    }
    // A new one is opened once: what is asked for second was computed along. So it is for a process that has just begun.
    server.add("INBOX", message(100).as_bytes()).await;
    client.ok("NOOP").await;
    fetch(&mut client, "(BODYSTRUCTURE)").await;
    fetch(&mut client, "(ENVELOPE BODY.PEEK[HEADER.FIELDS (From)])").await;
    assert_eq!(folder.opened(), 1);
    let later = folder.server();
    later.add("INBOX", message(101).as_bytes()).await;
    let mut client = later.in_inbox().await;
    fetch(&mut client, "(BODYSTRUCTURE)").await;
    let answer = fetch(&mut client, "(ENVELOPE BODY.PEEK[HEADER.FIELDS (From)])").await;
    assert_eq!((folder.opened(), answer.len()), (1, 102));
}

#[tokio::test]
async fn a_cache_that_is_lost_or_damaged_is_nobodys_trouble() {
    let folder = Folder::new();
    let server = folder.server();
    for n in 0..50 {
        server.add("INBOX", format!("Subject: {n}\r\n\r\nbody\r\n").as_bytes()).await;
    }
    let items = "(ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (Subject)])";
    let mut client = server.in_inbox().await;
    let expected = fetch(&mut client, items).await;
    let good = fs::read(folder.cache()).unwrap();
    let mut random = SeededRandom::new(7);
    for round in 0..60 {
        let mut bytes = good.clone();
        match round % 4 {
            0 => bytes.truncate(usize::try_from(random.next_u64()).unwrap() % bytes.len()),
            1 => bytes.iter_mut().step_by(777).for_each(|octet| *octet ^= 0x20),
            2 => bytes.fill(0),
            _ => bytes.clear(),
        }
        fs::remove_file(folder.cache()).unwrap();
        fs::write(folder.cache(), bytes).unwrap();
        assert_eq!(fetch(&mut client, items).await, expected);
        let mut other = folder.server().in_inbox().await;
        assert_eq!(fetch(&mut other, items).await, expected);
    }
    folder.opened();
    fetch(&mut client, items).await;
    assert_eq!(folder.opened(), 0, "it was made anew");
}
