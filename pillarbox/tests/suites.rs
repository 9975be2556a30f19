//! The conformance suites on the versions that ship.

use std::sync::Arc;

use pillarbox::delivery::MailboxSink;
use pillarbox::parts::{Identity, MailboxStore, MemoryAuthenticator};
use pillarbox::store::MemoryStore;
use pillarbox::testing::{authenticator_suite, sink_suite};
use pillarbox_core::address::ForwardPath;
use pillarbox_imap::types::MailboxName;

#[tokio::test]
async fn accounts_in_memory() {
    let accounts = MemoryAuthenticator::new().with("joe@example.org", "hunter2");
    authenticator_suite(&accounts, "joe@example.org", "hunter2").await;
}

#[cfg(feature = "passwd")]
#[tokio::test]
async fn accounts_in_a_passwd_file() {
    use pillarbox::passwd::PasswdFile;

    let accounts = PasswdFile::parse("ann:{PLAIN}x\nJoe@example.org:{PLAIN}hunter2\n").unwrap();
    authenticator_suite(&accounts, "joe@example.org", "hunter2").await;
}

#[tokio::test]
async fn mailboxes_as_a_sink() {
    let store = Arc::new(MemoryStore::new());
    let user = |to: &str| Identity::new(to.trim_matches(['<', '>']));
    let accounts = move |to: &ForwardPath<'_>| to.address().map(|_| user(&to.to_string()));
    let sink = MailboxSink::new(store.clone(), accounts);
    let delivered = async |recipient: String| {
        let mut mailbox = store.open(&user(&recipient), &MailboxName::inbox(), true).await.unwrap();
        let mut messages = Vec::new();
        for uid in mailbox.snapshot().await.unwrap().uids {
            let mut reader = mailbox.read(uid).await.unwrap();
            let mut octets = vec![0; usize::try_from(reader.size()).unwrap()];
            let mut filled = 0;
            while filled < octets.len() {
                filled += reader.read_at(filled as u64, &mut octets[filled..]).await.unwrap();
            }
            messages.push(octets);
        }
        messages
    };
    sink_suite(&sink, ["joe@example.org", "ann@example.org"], delivered).await;
}
