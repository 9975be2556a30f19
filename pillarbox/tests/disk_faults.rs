//! What clients are told when the disk fails: every fault at every operation, in the assembled servers over a Maildir.
#![cfg(feature = "maildir")]

#[path = "imap_support/mod.rs"]
mod imap_support;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pillarbox::Shutdown;
use pillarbox::delivery::MailboxSink;
use pillarbox::parts::{AllowList, Identity, Parts};
use pillarbox::smtp::{Protocol, ServerConfig, SmtpServer};
use pillarbox::store::MaildirStore;
use pillarbox_core::address::ForwardPath;
use pillarbox_fs::RealFs;
use pillarbox_fs::testing::Watched;
use pillarbox_maildir::{Options, Store};
use support::Client;

/// What a disk can say to any operation, and what the client hears of it by SMTP and by IMAP.
const FAULTS: [(&str, i32, &str, &str); 5] = [
    ("EIO", 5, "451 4.3.0 ", "NO [UNAVAILABLE] "),
    ("EMFILE", 24, "451 4.3.0 ", "NO [UNAVAILABLE] "),
    ("ENOSPC", 28, "452 4.3.1 ", "NO [UNAVAILABLE] "),
    ("EROFS", 30, "451 4.3.0 ", "NO [UNAVAILABLE] "),
    ("EDQUOT", 122, "452 4.2.2 ", "NO [OVERQUOTA] "),
];

/// A disk that can fail, and a store on it.
struct Disk {
    dir: tempfile::TempDir,
    fs: Watched,
    store: Arc<MaildirStore>,
}

impl Disk {
    fn new() -> Disk {
        // Where a sync costs nothing.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let fs = Watched::new(RealFs);
        let root = dir.path().to_owned();
        let files = Store::new(fs.clone(), Options::from_system());
        let store = MaildirStore::over(files, move |account| Some(root.join(account.user()).join("Maildir")));
        Disk { dir, fs, store: Arc::new(store) }
    }

    fn folder(&self, user: &str) -> PathBuf {
        self.dir.path().join(user).join("Maildir")
    }
}

/// Names in `tmp`, and messages in `new` and `cur`.
fn files(folder: &Path) -> (usize, usize) {
    let count = |name| fs::read_dir(folder.join(name)).map_or(0, Iterator::count);
    (count("tmp"), count("new") + count("cur"))
}

async fn begin(client: &mut Client<tokio::io::DuplexStream>, recipients: &[&str]) {
    client.say("MAIL FROM:<a@client.example>", "250 ").await;
    for recipient in recipients {
        client.say(&format!("RCPT TO:<{recipient}>"), "250 ").await;
    }
}

/// The last replies of a message: one for all recipients, or one for each of them.
async fn send(client: &mut Client<tokio::io::DuplexStream>, recipients: &[&str], replies: usize) -> Vec<String> {
    begin(client, recipients).await;
    client.send("DATA\r\n").await;
    let first = client.reply().await;
    if !first.starts_with("354") {
        return vec![first; recipients.len().min(replies)];
    }
    client.send("Subject: x\r\n\r\nx\r\n.\r\n").await;
    let mut said = Vec::new();
    for _ in 0..replies {
        said.push(client.reply().await);
    }
    said
}

// DSK-01, DSK-02, DSK-05
#[tokio::test]
async fn deliveries_meet_every_fault() {
    let recipients = ["a@localhost", "b@localhost"];
    for (lmtp, (name, errno, told, _)) in [false, true].into_iter().flat_map(|lmtp| FAULTS.map(|fault| (lmtp, fault))) {
        let disk = Disk::new();
        let accounts = |to: &ForwardPath<'_>| Some(Identity::new(to.address()?.to_string()));
        let parts = Parts {
            policy: Arc::new(AllowList::new(recipients)),
            sink: Arc::new(MailboxSink::new(disk.store.clone(), accounts)),
            ..Parts::in_memory()
        };
        let mut config = ServerConfig::new("localhost");
        if lmtp {
            config.protocol = Protocol::Lmtp;
        }
        let (server, shutdown) = (SmtpServer::new(config, parts), Shutdown::new());
        let (here, there) = tokio::io::duplex(1 << 16);
        let session = tokio::spawn(async move { server.serve_connection(there, None, &shutdown).await });
        let mut client = Client::new(here);
        client.expect("220 ").await;
        client.say(if lmtp { "LHLO client.example" } else { "EHLO client.example" }, "250-").await;
        let replies = if lmtp { recipients.len() } else { 1 };
        // The first delivery makes the accounts.
        assert!(send(&mut client, &recipients, replies).await.iter().all(|reply| reply.starts_with("250 ")));
        let mut there = [1, 1];
        let mut struck = 0;
        for n in 0.. {
            disk.fs.fail_any_at(n, errno);
            let said = send(&mut client, &recipients, replies).await;
            if disk.fs.heal() {
                assert!(said.iter().all(|reply| reply.starts_with("250 ")), "no fault struck, and yet: {said:?}");
                break;
            }
            struck += usize::from(said.iter().any(|reply| !reply.starts_with("250 ")));
            for (index, count) in there.iter_mut().enumerate() {
                let reply = said.get(index).unwrap_or(&said[0]);
                // Where all stand or fall together, a full mailbox of one is not told of the other.
                let of_another = !lmtp && name == "EDQUOT" && reply.starts_with("451 4.3.0 another recipient");
                assert!(reply.starts_with("250 ") || reply.starts_with(told) || of_another, "{name} {n}: {reply}");
                *count += usize::from(reply.starts_with("250 "));
                let folder = disk.folder(recipients[index]);
                assert_eq!(files(&folder), (0, *count), "{name} {n}: {said:?}");
            }
            // In the same session, now that the fault is gone.
            let said = send(&mut client, &recipients, replies).await;
            assert!(said.iter().all(|reply| reply.starts_with("250 ")), "{name} {n}, the next one: {said:?}");
            there = there.map(|count| count + 1);
        }
        assert!(struck >= 10, "{name}: only {struck}");
        client.say("QUIT", "221 ").await;
        session.await.unwrap();
    }
}

/// Whether nothing is left in `tmp/`. A session that looks again, or keeps for later what it saw, may be writing there at the moment.
async fn tmp_empties(folder: &Path) -> bool {
    for _ in 0..500 {
        if files(folder).0 == 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

// DSK-05, DSK-07
#[tokio::test]
async fn readers_meet_every_fault() {
    let commands = [
        "SELECT INBOX",
        "STATUS INBOX (MESSAGES UNSEEN)",
        "LIST \"\" *",
        "UID STORE 1 +FLAGS (\\Flagged work)",
        "UID FETCH 1 (FLAGS BODY.PEEK[])",
        "UID COPY 1 Archive",
        "UID MOVE 2 Archive",
        "APPEND INBOX {12+}\r\nSubject: x\r\n",
        "UID EXPUNGE 3",
        "CREATE New",
        "SUBSCRIBE New",
        "RENAME New Newer",
        "DELETE Newer",
    ];
    for (name, errno, _, told) in FAULTS {
        for command in commands {
            let mut struck = 0;
            for n in 0.. {
                let disk = Disk::new();
                let server = imap_support::Server::over(disk.store.clone());
                for _ in 0..3 {
                    server.add("INBOX", b"Subject: x\r\n\r\nx\r\n").await;
                }
                let mut client = server.client().await;
                client.ok("CREATE Archive").await;
                if command.contains("New") && !command.starts_with("CREATE") {
                    client.ok(if command.contains("DELETE") { "CREATE Newer" } else { "CREATE New" }).await;
                }
                client.ok("SELECT INBOX").await;
                client.ok("UID STORE 3 FLAGS (\\Deleted)").await;
                disk.fs.fail_any_at(n, errno);
                let answer = client.say(command).await;
                if disk.fs.heal() {
                    assert!(answer.contains("OK"), "no fault struck, and yet: {answer}");
                    break;
                }
                let last = answer.trim_end().lines().last().unwrap_or_default();
                assert!(last.starts_with("OK") || last.starts_with(told), "{command}, {name} {n}: {answer}");
                struck += usize::from(!last.starts_with("OK"));
                let folder = disk.folder(imap_support::YOU);
                assert!(tmp_empties(&folder).await, "{command}, {name} {n}: something is left in tmp");
                // The same again: it succeeds, or has happened.
                let again = client.say(command).await;
                let last = again.trim_end().lines().last().unwrap_or_default();
                let has_happened = ["NO [ALREADYEXISTS]", "NO [NONEXISTENT]", "NO [EXPUNGEISSUED]"];
                assert!(
                    last.starts_with("OK") || has_happened.iter().any(|code| last.starts_with(code)),
                    "{command}, {name} {n}, again: {again}"
                );
                client.ok("UID FETCH 1 (FLAGS BODY.PEEK[])").await;
            }
            assert!(struck > 0, "{command}: {name} was never told");
        }
    }
}
