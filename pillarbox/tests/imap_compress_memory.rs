//! What COMPRESS costs a session: sessions with it beside sessions without, in octets that are allocated.
#![cfg(all(feature = "compress", feature = "maildir", feature = "testing"))]
#![allow(clippy::print_stdout, reason = "tests show what they measured")]

mod imap_support;
mod support;

use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress};
use imap_support::{Client, Server};
use peak_alloc::PeakAlloc;
use pillarbox::store::MemoryStore;
use tokio::io::AsyncWriteExt;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const SESSIONS: usize = 50;
/// What compression may add to a session.
const ADDED_MAX: usize = 64 * 1024;
/// Less than an answer, so that the session is left with as much as it can hold.
const PIPE: usize = 2048;

/// Octets that a session holds while its client reads nothing of a long answer, and what is allocated at most for it.
async fn stalled(compressed: bool) -> (usize, usize) {
    let server = Server::compressing(Arc::new(MemoryStore::new()));
    // Nothing that could be told as a repetition.
    let mut state = 1_u32;
    let mut octets = b"a: b\r\n\r\n".to_vec();
    octets.extend(
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 | 1
        })
        .take(200_000),
    );
    server.add("INBOX", &octets).await;
    // What was said before, so that there is a history; then what is not read.
    let command = b"x CAPABILITY\r\n".repeat(40);
    let mut packed = Vec::with_capacity(4096);
    let end = b"y FETCH 1 BODY[]\r\n";
    match compressed {
        true => {
            let mut compress = Compress::new(Compression::best(), false);
            compress.compress_vec(&[&command[..], end].concat(), &mut packed, FlushCompress::Sync).map(drop).unwrap();
        }
        false => packed = [&command[..], end].concat(),
    }
    let mut clients = Vec::with_capacity(SESSIONS + 1);
    let mut before = 0;
    MEMORY.reset_peak_usage();
    for number in 0..=SESSIONS {
        let mut client = Client::new(server.connect(PIPE, None).0);
        client.line().await;
        client.ok("LOGIN you@localhost secret").await;
        client.ok("EXAMINE INBOX").await;
        if compressed {
            client.ok("COMPRESS DEFLATE").await;
        }
        client.stream.get_mut().write_all(&packed).await.unwrap();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        clients.push(client);
        if number == 0 {
            // The first one pays for what all have in common.
            before = MEMORY.current_usage();
            MEMORY.reset_peak_usage();
        }
    }
    let held = (MEMORY.current_usage() - before) / SESSIONS;
    let peak = MEMORY.peak_usage() - before - (SESSIONS - 1) * held;
    (held, peak)
}

#[tokio::test]
async fn a_session_costs_at_most_64_kib_more() {
    let (plain, compressed) = (stalled(false).await, stalled(true).await);
    let added = (compressed.0 - plain.0, compressed.1 - plain.1);
    println!(
        "held {} B without, {} B with: {} B more; at the highest {} B more",
        plain.0, compressed.0, added.0, added.1
    );
    assert!(added.0 > 40_000, "compression was not on: {added:?}");
    assert!(added.0 <= ADDED_MAX && added.1 <= ADDED_MAX, "{added:?}");
}
