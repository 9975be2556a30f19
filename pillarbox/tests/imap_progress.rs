//! What a client hears of long work with many messages (RFC 9585).
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;
use std::time::Duration;

use imap_support::Server;
use imap_support::bent::Bent;
use pillarbox::parts::{Identity, Progress, SetFlags};
use pillarbox::store::{AclStore, MemoryStore};
use pillarbox_imap::server::FlagChange;
use pillarbox_imap::types::{Flag, MailboxName, Uid, UidSet};

#[tokio::test]
async fn a_client_hears_how_far_its_changes_have_come() {
    for (command, end) in [
        ("COPY 1:20 Archive", "OK [COPYUID "),
        ("UID MOVE 1:20 Archive", "OK Moved"),
        ("STORE 1:20 +FLAGS.SILENT (\\Seen)", "OK Stored"),
    ] {
        let store = Bent::over(MemoryStore::new());
        store.bend.permits.add_permits(1_000_000);
        let server = Server::over(Arc::new(store.clone()));
        for _ in 0..20 {
            server.add("INBOX", b"Subject: hay\r\n\r\n").await;
        }
        let mut client = server.in_inbox().await;
        client.ok("CREATE Archive").await;
        store.bend.changes.forget_permits(100_000_000);
        let tag = client.begin(command).await;
        let told = |done: u32| format!("* OK [INPROGRESS (\"{}\" {done} 20)] Still at it\r\n", tag.trim());
        server.clock.sleeper(Duration::from_secs(10)).await;
        // Nothing is said before its time, nor more often.
        server.clock.advance(Duration::from_secs(9));
        store.bend.changes.add_permits(3);
        while store.bend.changes.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        server.clock.advance(Duration::from_secs(1));
        assert_eq!(client.line().await, told(3), "{command}");
        store.bend.changes.add_permits(4);
        while store.bend.changes.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        server.clock.advance(Duration::from_secs(10));
        assert_eq!(client.line().await, told(7), "{command}");
        store.bend.changes.add_permits(1_000);
        let rest = client.answer(&tag).await;
        assert!(!rest.contains("INPROGRESS"), "{command}: {rest}");
        assert!(rest.lines().last().unwrap().starts_with(&format!("{tag}{end}")), "{command}: {rest}");
    }
}

#[tokio::test]
async fn a_client_hears_that_its_message_is_being_stored() {
    let store = Bent::over(MemoryStore::new());
    let server = Server::over(Arc::new(store.clone()));
    let mut client = server.client().await;
    store.bend.permits.forget_permits(1_000_000);
    let tag = client.begin("APPEND INBOX {3+}\r\nabc").await;
    store.bend.publishing.acquire().await.unwrap().forget();
    server.clock.sleeper(Duration::from_secs(10)).await;
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(client.line().await, format!("* OK [INPROGRESS (\"{}\" NIL NIL)] Still at it\r\n", tag.trim()));
    store.bend.permits.add_permits(1);
    assert!(client.answer(&tag).await.starts_with(&format!("{tag}OK [APPENDUID ")));
}

#[tokio::test]
async fn each_store_counts_what_it_is_done_with() {
    let with_rights = Server::over(Arc::new(AclStore::new(MemoryStore::new())));
    for server in Server::each().into_iter().chain([with_rights]) {
        let (user, inbox) = (Identity::new(imap_support::YOU), MailboxName::inbox());
        let archive = MailboxName::new("Archive").unwrap();
        server.store.create(&user, &archive, &[]).await.unwrap();
        for _ in 0..10 {
            server.add("INBOX", b"Subject: hay\r\n\r\n").await;
        }
        let mut mailbox = server.store.open(&user, &inbox, false).await.unwrap();
        mailbox.snapshot().await.unwrap();
        let uids =
            |first, last| -> UidSet { [Uid::new(first).unwrap()..=Uid::new(last).unwrap()].into_iter().collect() };
        let counted = |mailbox: &mut dyn pillarbox::parts::Mailbox| {
            let progress = Progress::default();
            mailbox.count_in(progress.clone());
            progress
        };
        let progress = counted(&mut *mailbox);
        mailbox.copy(&uids(1, 10), &archive).await.unwrap();
        assert_eq!(progress.done(), 10, "copied");
        let progress = counted(&mut *mailbox);
        let deleted = SetFlags::new(FlagChange::Add, [Flag::Deleted].into_iter().collect());
        mailbox.set_flags(&uids(1, 4), &deleted).await.unwrap();
        assert_eq!(progress.done(), 4, "changed");
        let progress = counted(&mut *mailbox);
        mailbox.expunge(None).await.unwrap();
        assert_eq!(progress.done(), 4, "removed");
        let progress = counted(&mut *mailbox);
        mailbox.move_to(&uids(5, 7), &archive).await.unwrap();
        assert!((3..=6).contains(&progress.done()), "moved: {}", progress.done());
    }
}
