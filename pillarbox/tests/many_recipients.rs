//! One message to a thousand mailboxes. Alone in its process, because it counts what is open in it.
#![cfg(all(feature = "maildir", target_os = "linux"))]

use std::fs;
use std::sync::Arc;

use pillarbox::delivery::MailboxSink;
use pillarbox::parts::{Envelope, Identity, MessageSink, Outcome};
use pillarbox::store::MaildirStore;
use pillarbox_core::address::{Address, ForwardPath, ReversePath};

const RECIPIENTS: usize = 1000;
const OPEN_MAX: usize = 100;

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What is in memory, in octets.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn a_message_to_a_thousand_costs_few_open_files_and_little_memory() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let root = dir.path().to_owned();
    let store = Arc::new(MaildirStore::new(move |account| Some(root.join(account.user()))));
    let sink = MailboxSink::new(store, |to: &ForwardPath<'_>| {
        Some(Identity::new(to.address()?.to_string().split('@').next()?))
    });
    let address = |text: &str| text.parse::<Address<'_>>().unwrap().into_owned();
    let to = (0..RECIPIENTS).map(|n| ForwardPath::from(address(&format!("u{n}@localhost")))).collect();
    let envelope = Envelope::new("id", ReversePath::Address(address("from@client.example")), to);
    let mut message = sink.begin(envelope).await.unwrap();
    let before = memory();
    assert!(open_files() < OPEN_MAX, "{}", open_files());
    let line = b"0123456789012345678901234567890123456789012345678901234567890\r\n";
    message.write(b"Subject: to all of you\r\n\r\n").await.unwrap();
    for _ in 0..4 {
        message.write(&line.repeat(500)).await.unwrap();
        assert!(open_files() < OPEN_MAX, "{}", open_files());
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < 16 << 20, "a thousand buffers: {grown}");
    let outcomes = message.commit(true).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered)));
    for n in [0, 1, 500, RECIPIENTS - 1] {
        let new: Vec<_> = fs::read_dir(dir.path().join(format!("u{n}/new"))).unwrap().collect();
        let text = fs::read(new[0].as_ref().unwrap().path()).unwrap();
        assert_eq!(new.len(), 1);
        assert!(text.starts_with(b"Return-Path:") && text.ends_with(b"890\n"));
        assert!(text.len() > 4 * 500 * 62);
    }
}
