//! COMPRESS against clients that do as they like: bombs, streams that are none, blocks of nothing.
#![cfg(all(feature = "compress", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;
use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use imap_support::{Client, Server};
use pillarbox::store::MemoryStore;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

/// A client that has turned compression on, and what it compresses with.
struct Compressed {
    stream: DuplexStream,
    session: JoinHandle<()>,
    compress: Compress,
    decompress: Decompress,
}

impl Compressed {
    async fn new(server: &Server) -> Compressed {
        let (stream, session) = server.connect(1 << 16, None);
        let mut client = Client::new(stream);
        client.line().await;
        client.ok("LOGIN you@localhost secret").await;
        client.ok("SELECT INBOX").await;
        client.ok("COMPRESS DEFLATE").await;
        let stream = client.stream.into_inner();
        let compress = Compress::new(Compression::best(), false);
        Compressed { stream, session, compress, decompress: Decompress::new(false) }
    }

    fn pack(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut packed = Vec::with_capacity(octets.len() / 2 + 1024);
        self.compress.compress_vec(octets, &mut packed, FlushCompress::Sync).unwrap();
        assert!(packed.len() < packed.capacity());
        packed
    }

    async fn send(&mut self, octets: &[u8]) {
        let packed = self.pack(octets);
        self.stream.write_all(&packed).await.unwrap();
    }

    /// What the server says, up to an answer with this end or to where it closes.
    async fn hear(&mut self, end: &str) -> String {
        let mut heard = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while !heard.ends_with(end.as_bytes()) || end.is_empty() {
            let read = self.stream.read(&mut buffer).await.unwrap();
            if read == 0 {
                break;
            }
            let mut packed = &buffer[..read];
            loop {
                let (taken, given) = (self.decompress.total_in(), heard.len());
                heard.reserve(4096);
                self.decompress.decompress_vec(packed, &mut heard, FlushDecompress::None).unwrap();
                packed = &packed[(self.decompress.total_in() - taken) as usize..];
                if packed.is_empty() && heard.len() == given {
                    break;
                }
            }
        }
        String::from_utf8(heard).unwrap()
    }
}

fn server() -> Server {
    Server::compressing(Arc::new(MemoryStore::new()))
}

#[tokio::test]
async fn answers_come_at_once_and_whole() {
    let mut client = Compressed::new(&server()).await;
    for number in 0..50 {
        client.send(format!("a{number} NOOP\r\n").as_bytes()).await;
        assert_eq!(client.hear("Done\r\n").await, format!("a{number} OK Done\r\n"));
    }
    // In one piece, and octet by octet.
    let packed = client.pack(b"b NOOP\r\nc APPEND INBOX {5+}\r\na: b\n\r\nd UID FETCH 1:* BODY[]\r\n");
    for octet in packed {
        client.stream.write_all(&[octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let heard = client.hear("d OK Fetched\r\n").await;
    assert!(heard.contains("* 1 FETCH (") && heard.contains("BODY[] {5}\r\na: b\n"), "{heard}");
    client.send(b"e LOGOUT\r\n").await;
    assert!(client.hear("").await.ends_with("e OK Logged out\r\n"));
    drop(client.stream);
    client.session.await.unwrap();
}

/// A line of 1 GiB comes as 1 MiB: what counts is what comes out, and the session ends long before it is all there.
#[tokio::test]
async fn a_line_without_end() {
    let mut client = Compressed::new(&server()).await;
    client.send(b"a ").await;
    let mut sent = 0;
    let blanks = vec![b' '; 1 << 20];
    let packed = client.pack(&blanks);
    for _ in 0..1024 {
        if client.stream.write_all(&packed).await.is_err() {
            break;
        }
        sent += 1;
    }
    let heard = client.hear("").await;
    assert!(heard.contains("* BYE [TOOBIG]"), "{heard}");
    assert!(sent < 100, "{sent} MiB");
    client.session.await.unwrap();
}

/// Message after message of blanks, each one allowed: the ratio is not.
#[tokio::test]
async fn messages_that_are_bombs() {
    let server = server();
    let mut client = Compressed::new(&server).await;
    let blanks = vec![b' '; 1 << 20];
    let mut messages = 0;
    'all: for _ in 0..100 {
        client.send(b"a APPEND Nowhere {10485760+}\r\n").await;
        for _ in 0..10 {
            let packed = client.pack(&blanks);
            if client.stream.write_all(&packed).await.is_err() {
                break 'all;
            }
        }
        client.send(b"\r\n").await;
        messages += 1;
    }
    client.session.await.unwrap();
    assert!((5..20).contains(&messages), "{messages} messages of 10 MiB");
    assert_eq!(server.log.lines().last().map(String::as_str), Some("disconnected EndOfInput"));
}

#[tokio::test]
async fn what_is_no_stream_ends_the_session() {
    let server = server();
    let mut client = Compressed::new(&server).await;
    client.send(b"a APPEND INBOX {6+}\r\na: b").await;
    client.stream.write_all(b"\r\n\r\nb NOOP\r\n\xff\xff").await.unwrap();
    assert_eq!(client.hear("").await, "");
    client.session.await.unwrap();
    let mut client = server.in_inbox().await;
    assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 0)"), "half a message was stored");
}

/// Blocks of nothing are read; they are no commands, so the client is let go for its silence all the same.
#[tokio::test]
async fn blocks_of_nothing_are_silence() {
    let server = server();
    let mut client = Compressed::new(&server).await;
    let nothing = b"\x00\x00\x00\xff\xff".repeat(1000);
    let mut minutes = 0;
    while !client.session.is_finished() && minutes < 40 {
        let _ = client.stream.write_all(&nothing).await;
        tokio::task::yield_now().await;
        server.clock.advance(Duration::from_secs(60));
        minutes += 1;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert!((30..=32).contains(&minutes), "{minutes}");
    assert!(client.hear("").await.contains("* BYE Idle for too long"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes behind the answer: the session ends when the client has no more to say, and nothing panics.
    #[test]
    fn any_octets(
        octets in prop::collection::vec(any::<u8>(), 0..2000),
        commands in prop::collection::vec(prop::sample::select(vec![
            "a NOOP\r\n", "b FETCH 1:* BODY[]\r\n", "c APPEND INBOX {3+}\r\nabc\r\n", "d IDLE\r\n", "DONE\r\n", "e COMPRESS DEFLATE\r\n",
        ]), 0..6),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let server = server();
            let mut client = Compressed::new(&server).await;
            let mut packed = client.pack(commands.concat().as_bytes());
            if let Some((at, octet)) = damage {
                let len = packed.len();
                packed[at.index(len)] ^= octet;
            }
            packed.extend_from_slice(&octets);
            let (mut reads, mut writes) = tokio::io::split(client.stream);
            let write = async {
                let _ = writes.write_all(&packed).await;
                let _ = writes.shutdown().await;
            };
            let mut heard = Vec::new();
            let (_, done) = tokio::join!(write, reads.read_to_end(&mut heard));
            done.unwrap();
            client.session.await.unwrap();
            assert!(!server.log.text().contains("panic"), "{}", server.log.text());
        });
    }
}
