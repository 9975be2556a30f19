//! A hundred large messages at once, by as many clients, on their way to Maildirs: memory is what a session may hold, and not
//! what the messages are.
//!
//! `MESSAGE_OCTETS` says how large they are.
#![cfg(all(feature = "tokio", feature = "maildir"))]
#![allow(clippy::print_stdout, reason = "tests show what they measured")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use peak_alloc::PeakAlloc;
use pillarbox::Shutdown;
use pillarbox::delivery::MailboxSink;
use pillarbox::parts::{AllowList, Identity, Parts};
use pillarbox::smtp::{ServerConfig, SmtpServer};
use pillarbox::store::MaildirStore;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const CLIENTS: usize = 100;
/// What all of them may add.
const OCTETS_MAX: usize = 64 << 20;

#[tokio::test]
async fn a_hundred_large_messages_at_once() {
    let size: usize = std::env::var("MESSAGE_OCTETS").map_or(1_000_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let store = Arc::new(MaildirStore::new(move |user: &Identity| Some(root.join(user.user()))));
    let parts = Parts {
        policy: Arc::new(AllowList::new(["you@localhost"])),
        sink: Arc::new(MailboxSink::new(store.clone(), |_: &_| Some(Identity::new("you@localhost")))),
        store,
        ..Parts::in_memory()
    };
    let server = SmtpServer::new(ServerConfig::new("mx.localhost"), parts);
    let line = [&[b'x'; 76][..], b"\r\n"].concat();
    let block = Arc::new(line.repeat(400));
    // All are in the middle of their messages before any of them ends.
    let (half, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));

    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (server, block, half, go) = (server.clone(), Arc::clone(&block), Arc::clone(&half), Arc::clone(&go));
        clients.spawn(async move {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let serving = tokio::spawn(async move { server.serve_connection(ours, None, &Shutdown::new()).await });
            let mut client = BufReader::new(theirs);
            for (said, code) in [
                ("", "220"),
                ("HELO c.example\r\n", "250"),
                ("MAIL FROM:<a@c.example>\r\n", "250"),
                ("RCPT TO:<you@localhost>\r\n", "250"),
                ("DATA\r\n", "354"),
            ] {
                client.get_mut().write_all(said.as_bytes()).await.unwrap();
                let mut reply = String::new();
                client.read_line(&mut reply).await.unwrap();
                assert!(reply.starts_with(code), "{reply}");
            }
            client.get_mut().write_all(b"Subject: x\r\n\r\n").await.unwrap();
            let blocks = size.div_ceil(block.len());
            for number in 0..blocks {
                if number == blocks / 2 {
                    half.fetch_add(1, Ordering::Relaxed);
                    while !go.load(Ordering::Relaxed) {
                        tokio::task::yield_now().await;
                    }
                }
                client.get_mut().write_all(&block).await.unwrap();
            }
            client.get_mut().write_all(b".\r\n").await.unwrap();
            let mut reply = String::new();
            client.read_line(&mut reply).await.unwrap();
            assert!(reply.starts_with("250"), "{reply}");
            drop(client);
            serving.await.unwrap();
        });
    }
    while half.load(Ordering::Relaxed) < CLIENTS {
        tokio::task::yield_now().await;
    }
    go.store(true, Ordering::Relaxed);
    clients.join_all().await;
    let added = MEMORY.peak_usage() - before;
    println!("{CLIENTS} messages of {size} octets at once: {added} octets of memory at most");
    assert!(added <= OCTETS_MAX, "{added} octets");
    let stored = std::fs::read_dir(folder.path().join("you@localhost/new")).unwrap().count();
    assert_eq!(stored, CLIENTS);
}
