//! An IMAP server under COMPRESS, and any octets behind the answer; the session ends when they do, and no part of it panics.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use pillarbox::Shutdown;
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::parts::{MemoryAuthenticator, Observer, Parts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Does not keep a panic to itself, as the server does.
struct Loud;

impl Observer for Loud {
    fn failed(&self, _: u64, what: &str, error: &dyn std::fmt::Display) {
        assert!(what != "session", "{error}");
    }
}

const BEFORE: &[u8] = b"a LOGIN joe secret\r\nb SELECT INBOX\r\nc COMPRESS DEFLATE\r\n";

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let mut config = ServerConfig::default();
        (config.login_without_tls, config.extensions.compress) = (true, true);
        let accounts = MemoryAuthenticator::new().with("joe", "secret");
        let parts = Parts { authenticator: Arc::new(accounts), observer: Arc::new(Loud), ..Parts::in_memory() };
        let server = ImapServer::new(config, parts);
        let (mut client, there) = tokio::io::duplex(1 << 16);
        let shutdown = Shutdown::new();
        let session = server.serve_connection(there, None, &shutdown);
        let client = async move {
            let _ = client.write_all(BEFORE).await;
            let mut told = Vec::new();
            while !told.ends_with(b"c OK DEFLATE active\r\n") {
                assert!(client.read_buf(&mut told).await.expect("a pipe does not fail") > 0, "{}", told.escape_ascii());
            }
            let (mut reads, mut writes) = tokio::io::split(client);
            let write = async {
                let _ = writes.write_all(data).await;
                let _ = writes.shutdown().await;
            };
            let mut rest = Vec::new();
            let _ = tokio::join!(write, reads.read_to_end(&mut rest));
        };
        tokio::join!(session, client);
    });
});
