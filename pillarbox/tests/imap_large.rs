//! A mailbox of 100,000 messages through the IMAP driver: nothing piles up.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

use imap_support::{Client, Server};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// A pipe that remembers the most octets that were waiting to be written to it at once, which is the session's output.
struct Watched {
    pipe: DuplexStream,
    most: Arc<AtomicUsize>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.most.fetch_max(buf.len(), SeqCst);
        Pin::new(&mut self.pipe).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn fetch_of_everything_streams() {
    const HIGH_WATER: usize = 64 * 1024;
    /// One part of an answer may pass the mark: here a few items of one message.
    const PART_MAX: usize = 128;
    let server = Server::memory();
    for _ in 0..100_000 {
        server.add("INBOX", b"Subject: hi\r\n\r\nHello\r\n").await;
    }
    let most = Arc::new(AtomicUsize::new(0));
    let (here, pipe) = tokio::io::duplex(4096);
    let watched = Watched { pipe, most: Arc::clone(&most) };
    let (imap, shutdown) = (server.server.clone(), server.shutdown.clone());
    tokio::spawn(async move { imap.serve_connection(watched, None, &shutdown).await });
    let mut client = Client::new(here);
    client.line().await;
    client.ok("LOGIN you@localhost secret").await;
    client.ok("SELECT INBOX").await;
    for items in ["(UID FLAGS)", "(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)", "BODY.PEEK[]"] {
        most.store(0, SeqCst);
        let tag = client.begin(&format!("FETCH 1:* {items}")).await;
        let mut messages = 0;
        while client.octets().await.starts_with(b"* ") {
            messages += 1;
        }
        assert_eq!(messages, 100_000, "{tag}{items}");
        let most = most.load(SeqCst);
        assert!(most <= HIGH_WATER + PART_MAX, "{most} octets waited for {items}");
    }
}
