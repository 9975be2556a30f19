//! The suite for mailbox stores, run on those that ship.
#![cfg(all(feature = "testing", feature = "maildir"))]

use pillarbox::parts::Identity;
use pillarbox::store::{MaildirStore, MemoryStore};
use pillarbox::testing::store_suite;

#[tokio::test]
async fn memory() {
    store_suite(&MemoryStore::new(), &Identity::new("you@localhost")).await;
}

#[tokio::test]
async fn maildir() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let store = MaildirStore::new(move |account| Some(root.join("mail").join(account.user()).join("Maildir")));
    store_suite(&store, &Identity::new("you@localhost")).await;
}
