//! SORT and THREAD over the assembled server: the same from messages and from what was kept of them, which opens nothing.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use imap_support::bent::Bent;
use imap_support::{Client, Server};
use pillarbox::store::{MaildirStore, MemoryStore};
use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Op, RealFs};
use pillarbox_maildir::{Options, Store};
use tokio::io::DuplexStream;

const MESSAGES: [&str; 6] = [
    "Date: 3 Jan 2001 00:00 +0000\r\nFrom: Zoe <ann@x>\r\nSubject: pears\r\nMessage-ID: <1@x>\r\n\r\n",
    "Date: 1 Jan 2001 00:00 +0000\r\nFrom: Bob <zack@x>\r\nTo: b@x\r\nSubject: Re: [fruit] Apples\r\n\
     In-Reply-To: <2@x>\r\nMessage-ID: <3@x>\r\n\r\nbody",
    "Date: 2 Jan 2001 00:00 +0000\r\nFrom: bob@x\r\nSubject: apples\r\nMessage-ID: <2@x>\r\n\r\n",
    "Date: nonsense\r\nFrom: carl@x\r\nSubject: late\r\n\r\n",
    "Date: 4 Jan 2001 00:00 +0000\r\nFrom: dan@x\r\nCc: a@x\r\nSubject: =?utf-8?q?=C3=84pfel?=\r\n\
     References: <1@x> <3@x>\r\n\r\n",
    "Subject: Re: Pears\r\nDate: 5 Jan 2001 00:00 +0000\r\n\r\n",
];

const ANSWERS: [(&str, &str); 14] = [
    ("SORT (DATE) UTF-8 1:3,5:6", "* SORT 2 3 1 5 6"),
    ("SORT (DATE) UTF-8 ALL", "* SORT 2 3 1 5 6 4"),
    ("SORT (SUBJECT DATE) UTF-8 ALL", "* SORT 2 3 5 4 1 6"),
    ("SORT (REVERSE SUBJECT) US-ASCII ALL", "* SORT 1 6 4 5 2 3"),
    ("SORT (FROM) UTF-8 ALL", "* SORT 6 1 3 4 5 2"),
    ("SORT (DISPLAYFROM) UTF-8 ALL", "* SORT 6 2 3 4 5 1"),
    ("SORT (REVERSE CC TO) UTF-8 ALL", "* SORT 5 1 3 4 6 2"),
    ("UID SORT (REVERSE SIZE) UTF-8 TEXT body", "* SORT 2"),
    (
        "SORT RETURN (MIN MAX COUNT PARTIAL 2:3) (SUBJECT DATE) UTF-8 ALL",
        "* ESEARCH (TAG \"#\") PARTIAL (2:3 3,5) MIN 2 MAX 6 COUNT 6",
    ),
    ("THREAD REFERENCES UTF-8 ALL", "* THREAD (3 2 5)(1 6)(4)"),
    ("UID THREAD REFERENCES UTF-8 NOT 1", "* THREAD (3 2 5)(6)(4)"),
    ("THREAD ORDEREDSUBJECT UTF-8 ALL", "* THREAD (2 3)(1 6)(5)(4)"),
    ("THREAD REFERENCES UTF-8 SUBJECT nothing", "* THREAD"),
    ("SORT (ARRIVAL SIZE) UTF-8 SUBJECT nothing", "* SORT"),
];

async fn ask(client: &mut Client<DuplexStream>) {
    for (command, expected) in ANSWERS {
        let tag = client.begin(command).await;
        let answer = client.answer(&tag).await;
        assert_eq!(answer.lines().next(), Some(&*expected.replace('#', tag.trim())), "{command}");
    }
}

#[tokio::test]
async fn messages_are_sorted_and_threaded() {
    let server = Server::memory();
    for message in MESSAGES {
        server.add("INBOX", message.as_bytes()).await;
    }
    ask(&mut server.in_inbox().await).await;
}

#[tokio::test]
async fn what_was_kept_is_not_opened_again() {
    let opened = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&opened);
    let fs = Watched::new(RealFs).on_sync_dir(Box::new(|_| Ok(()))).before(move |op, path| {
        let of_message = path.parent().is_some_and(|folder| folder.ends_with("cur") || folder.ends_with("new"));
        count.fetch_add(usize::from(op == Op::Open && of_message), SeqCst);
    });
    let dir = tempfile::tempdir().unwrap();
    let server = || {
        let root = dir.path().to_owned();
        let files = Store::new(fs.clone(), Options::from_system());
        Server::over(Arc::new(MaildirStore::over(files, move |_| Some(root.join("Maildir")))))
    };
    let first = server();
    for message in MESSAGES {
        first.add("INBOX", message.as_bytes()).await;
    }
    ask(&mut first.in_inbox().await).await;
    // Another process, and one that only asks for what the header tells.
    let later = server();
    let mut client = later.in_inbox().await;
    opened.store(0, SeqCst);
    for (command, expected) in
        ANSWERS.iter().filter(|(command, _)| command.ends_with("UTF-8 ALL") && !command.contains("RETURN"))
    {
        assert_eq!(client.ok(command).await.lines().next(), Some(*expected), "{command}");
    }
    assert_eq!(opened.load(SeqCst), 0);
}

/// What a mailbox is sorted by is in memory once for a user: another session waits until that is over, and reads nothing before.
#[tokio::test]
async fn sessions_of_one_user_sort_one_after_the_other() {
    const MESSAGES: usize = 200;
    for (command, expected) in [("SORT (SUBJECT)", "* SORT 1 2 3 "), ("THREAD REFERENCES", "* THREAD (1)(2)(3)")] {
        let store = Bent::over(MemoryStore::new());
        let server = Server::over(Arc::new(store.clone()));
        store.bend.permits.add_permits(MESSAGES);
        for number in 1..=MESSAGES {
            server.add("INBOX", format!("Subject: {number:03}\r\n\r\n").as_bytes()).await;
        }
        let (mut first, mut second) = (server.in_inbox().await, server.in_inbox().await);
        store.bend.openings.forget_permits(100_000_000);
        let opened = async |count: usize| {
            while store.bend.opened.lock().unwrap().len() < count {
                tokio::task::yield_now().await;
            }
        };
        let one = first.begin(&format!("{command} UTF-8 ALL")).await;
        opened(1).await;
        let two = second.begin(&format!("{command} UTF-8 ALL")).await;
        store.bend.openings.add_permits(MESSAGES);
        // The second one's first message.
        opened(MESSAGES + 1).await;
        let answer = tokio::time::timeout(std::time::Duration::from_secs(60), first.answer(&one)).await;
        let answer = answer.expect("the first one has all of its messages");
        assert!(answer.starts_with(expected), "{answer}");
        store.bend.openings.add_permits(MESSAGES);
        assert!(second.answer(&two).await.starts_with(expected));
    }
}
