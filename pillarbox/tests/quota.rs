//! A user's quota, as clients and senders meet it.
#![cfg(feature = "maildir")]

mod imap_support;
mod support;

use std::sync::Arc;

use imap_support::{Server, YOU};
use pillarbox::delivery::{MailboxSink, OverQuota};
use pillarbox::maildir::{Grace, Options, Quota, QuotaRules, Store, Tree, Usage};
use pillarbox::parts::{Envelope, Identity, MailboxStore, MessageSink, Outcome, StoreErrorKind};
use pillarbox::store::MaildirStore;
use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_imap::quota::Resource;
use pillarbox_imap::types::MailboxName;

const LIMIT: u64 = 1000;

fn store(dir: &tempfile::TempDir) -> Arc<MaildirStore> {
    let root = dir.path().to_owned();
    // `free@localhost` has no limits.
    let mut rules = QuotaRules::new(Quota { bytes: Some(LIMIT), messages: Some(10) });
    rules.add("Trash:bytes=+500").unwrap();
    Arc::new(MaildirStore::with_quotas(
        move |account| Some(root.join(account.user())),
        move |account| (account.user() != "free@localhost").then(|| rules.clone()),
    ))
}

fn used(dir: &tempfile::TempDir, user: &str) -> Usage {
    let files = Store::new(pillarbox_fs::RealFs, Options::from_system());
    Tree::open(&files, dir.path().join(user))
        .unwrap()
        .recount(Quota { bytes: Some(LIMIT), messages: Some(10) })
        .unwrap()
}

async fn deliver(sink: &MailboxSink, to: &[&str], octets: usize, all: bool) -> Vec<Outcome> {
    let address = |text: &str| Address::parse(text).unwrap().into_owned();
    let recipients = to.iter().map(|to| ForwardPath::Address(address(to))).collect();
    let envelope = Envelope::new("id", ReversePath::Address(address("from@client.example")), recipients);
    match sink.begin(envelope).await {
        Ok(mut incoming) => match incoming.write(&vec![b'x'; octets]).await {
            Ok(()) => incoming.commit(all).await,
            Err(error) => vec![Outcome::Refused(error.reply); to.len()],
        },
        Err(error) => vec![Outcome::Refused(error.reply); to.len()],
    }
}

fn sink(store: &Arc<MaildirStore>) -> MailboxSink {
    MailboxSink::new(store.clone(), |to| Some(Identity::new(to.address()?.to_string())))
}

fn replies(outcomes: &[Outcome]) -> Vec<String> {
    let reply = |outcome: &Outcome| match outcome {
        Outcome::Refused(reply) => reply.to_string()[..9].to_owned(),
        _ => "250".to_owned(),
    };
    outcomes.iter().map(reply).collect()
}

// DSK-08
#[tokio::test]
async fn one_recipient_of_two_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let sink = sink(&store);
    let both = ["full@localhost", "free@localhost"];
    assert_eq!(replies(&deliver(&sink, &both[..1], 900, false).await), ["250"]);
    assert_eq!(replies(&deliver(&sink, &both, 200, false).await), ["452 4.2.2", "250"]);
    assert_eq!(used(&dir, "full@localhost").messages, 1);
    // One answer for all: nobody gets it, and the client comes again, whatever is said of the full one.
    assert_eq!(replies(&deliver(&sink, &both, 200, true).await), ["452 4.2.2", "451 4.3.0"]);
    let refusing = sink.clone().over_quota(OverQuota::Refuse);
    assert_eq!(replies(&deliver(&refusing, &both, 200, false).await), ["552 5.2.2", "250"]);
    assert_eq!(replies(&deliver(&refusing, &both, 200, true).await), ["552 5.2.2", "451 4.3.0"]);
    assert_eq!((used(&dir, "full@localhost").messages, used(&dir, "free@localhost").messages), (1, 2));
    assert_eq!(std::fs::read_dir(dir.path().join("full@localhost/tmp")).unwrap().count(), 0);
}

/// At RCPT, where only that one is refused in SMTP too.
#[tokio::test]
async fn a_full_mailbox_is_known_before_the_message() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let sink = sink(&store);
    let (full, free) = (Identity::new("full@localhost"), Identity::new("free@localhost"));
    let told = async |sink: &MailboxSink, user, size| sink.no_room(user, size).await.map(|reply| reply.to_string());
    assert_eq!(told(&sink, &full, Some(LIMIT * 11 / 10)).await, None, "a tenth more may be delivered");
    assert!(told(&sink, &full, Some(LIMIT * 11 / 10 + 1)).await.unwrap().starts_with("452 4.2.2 "));
    assert_eq!(told(&sink, &full, None).await, None);
    assert_eq!(replies(&deliver(&sink, &["full@localhost"], 1000, false).await), ["250"]);
    assert!(used(&dir, "full@localhost").bytes > LIMIT, "the last one passed the limit");
    assert!(told(&sink, &full, None).await.unwrap().starts_with("452 4.2.2 "));
    let refusing = sink.over_quota(OverQuota::Refuse);
    assert!(told(&refusing, &full, None).await.unwrap().starts_with("552 5.2.2 "));
    assert_eq!(told(&refusing, &free, Some(u64::MAX)).await, None);
}

/// RFC 9208 §4.3
#[tokio::test]
async fn what_a_client_puts_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(store(&dir));
    let mut client = server.client().await;
    let append = |mailbox: &str, octets: usize| format!("APPEND {mailbox} {{{octets}+}}\r\n{}", "x".repeat(octets));
    client.ok("CREATE Trash").await;
    client.ok("CREATE a").await;
    client.ok(&append("INBOX", 600)).await;
    client.fails(&append("INBOX", 401), "NO [OVERQUOTA]").await;
    // Too much before it comes.
    client.fails(&append("INBOX", 2000), "NO [OVERQUOTA]").await;
    client.ok(&append("INBOX", 300)).await;
    client.ok("SELECT INBOX").await;
    client.fails("COPY 2 a", "NO [OVERQUOTA]").await;
    client.ok("COPY 2 Trash").await;
    assert_eq!(used(&dir, YOU), Usage { bytes: 1200, messages: 3 });
    // A move needs no room, though more is used than may be.
    client.ok("MOVE 1 a").await;
    client.fails("COPY 1 a", "NO [OVERQUOTA]").await;
    assert_eq!(used(&dir, YOU), Usage { bytes: 1200, messages: 3 });
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    client.ok("EXPUNGE").await;
    client.ok(&append("INBOX", 100)).await;
    client.ok("DELETE a").await;
    for _ in 0..8 {
        client.ok(&append("INBOX", 1)).await;
    }
    client.fails(&append("INBOX", 1), "NO [OVERQUOTA]").await;
    assert_eq!(used(&dir, YOU), Usage { bytes: 408, messages: 10 });
    client.ok("RENAME INBOX old").await;
    assert_eq!(used(&dir, YOU), Usage { bytes: 408, messages: 10 });
}

/// RFC 8508 §3.4: only the net use counts.
#[tokio::test]
async fn a_message_that_takes_the_place_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(store(&dir));
    let mut client = server.client().await;
    client.ok(&format!("APPEND INBOX {{900+}}\r\n{}", "x".repeat(900))).await;
    client.ok("SELECT INBOX").await;
    let replace = |octets: usize| format!("REPLACE 1 INBOX {{{octets}+}}\r\n{}", "x".repeat(octets));
    client.fails(&replace(1001), "NO [OVERQUOTA]").await;
    client.fails(&replace(3000), "NO [OVERQUOTA]").await;
    assert_eq!(used(&dir, YOU), Usage { bytes: 900, messages: 1 });
    client.ok(&replace(1000)).await;
    client.ok(&replace(1000)).await;
    assert_eq!(used(&dir, YOU), Usage { bytes: 1000, messages: 1 });
}

/// Several in one command: all or none, by what they need together.
#[tokio::test]
async fn several_messages_need_room_together() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(store(&dir));
    let mut client = server.client().await;
    let two = |octets: usize| {
        let one = format!("{{{octets}+}}\r\n{}", "x".repeat(octets));
        format!("APPEND INBOX {one} {one}")
    };
    client.fails(&two(501), "NO [OVERQUOTA]").await;
    client.ok(&two(500)).await;
    assert_eq!(used(&dir, YOU), Usage { bytes: 1000, messages: 2 });
}

/// RFC 9208: the client is told what is used of its limits, and what an EXPUNGE would make free.
#[tokio::test]
async fn limits_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(store(&dir));
    let mut client = server.client().await;
    let capabilities = client.ok("CAPABILITY").await;
    assert!(capabilities.contains(" QUOTA QUOTA=RES-MESSAGE QUOTA=RES-STORAGE "), "{capabilities}");
    assert!(!capabilities.contains("QUOTASET"), "{capabilities}");
    client.append("INBOX", vec![b'x'; 100]).await;
    client.append("INBOX", vec![b'x'; 200]).await;
    let told = client.ok("GETQUOTAROOT Nowhere").await;
    let quota = format!("* QUOTA #user/{YOU} (STORAGE 1 0 MESSAGE 2 10)\r\n");
    assert!(told.contains(&format!("* QUOTAROOT Nowhere #user/{YOU}\r\n{quota}")), "{told}");
    assert!(client.ok(&format!("GETQUOTA #user/{YOU}")).await.contains(&quota));
    client.fails("GETQUOTA #user/other", "NO [NONEXISTENT]").await;
    client.fails(&format!("SETQUOTA #user/{YOU} (STORAGE 1)"), "BAD").await;
    client.ok("SELECT INBOX").await;
    client.ok("STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    let status = client.ok("STATUS INBOX (DELETED DELETED-STORAGE)").await;
    assert!(status.contains("* STATUS INBOX (DELETED 1 DELETED-STORAGE 200)\r\n"), "{status}");
}

/// SETQUOTA (RFC 9208 §4.1.3): whom the operator lets, and nobody else; kept with the account.
#[tokio::test]
async fn limits_are_set_by_whom_the_operator_lets() {
    let dir = tempfile::tempdir().unwrap();
    let setting = |by: &'static str| {
        let store = Arc::into_inner(store(&dir)).unwrap();
        Arc::new(store.quotas_set_by(move |user| user.user() == by))
    };
    let user = |name: &str| Identity::new(name);
    let inbox = MailboxName::inbox();
    // One whom nobody lets: not a word of it.
    let plain = setting("admin@localhost");
    let server = Server::over(plain.clone());
    let mut client = server.client().await;
    assert!(!client.ok("CAPABILITY").await.contains("QUOTASET"));
    client.fails(&format!("SETQUOTA #user/{YOU} (STORAGE 100)"), "NO [NOPERM]").await;
    let limits = [(Resource::Storage, 5000)];
    let refused = plain.set_quota(&user(YOU), &format!("#user/{YOU}"), &limits).await;
    assert_eq!(refused.map_err(|error| error.kind), Err(StoreErrorKind::NoPermission), "nor past the session");
    plain.open(&user("free@localhost"), &inbox, true).await.map(drop).unwrap();
    client.fails("GETQUOTA #user/free@localhost", "NO [NONEXISTENT] no such quota root").await;
    assert!(!dir.path().join(YOU).join("pillarbox-limits").exists());

    let server = Server::over(setting(YOU));
    let mut admin = server.client().await;
    let capabilities = admin.ok("CAPABILITY").await;
    assert!(capabilities.contains(" QUOTASET ") || capabilities.contains(" QUOTASET\r\n"), "{capabilities}");
    admin.fails("GETQUOTA #user/free@localhost", "NO [NONEXISTENT]").await;
    let told = admin.ok("SETQUOTA #user/free@localhost (STORAGE 1 MESSAGE 3)").await;
    assert!(told.starts_with("* QUOTA #user/free@localhost (STORAGE 0 1 MESSAGE 0 3)\r\n"), "{told}");
    assert!(admin.ok("GETQUOTA #user/free@localhost").await.contains("(STORAGE 0 1 MESSAGE 0 3)"));
    // RFC 9208 §4.1.3: what is not named is limited no more.
    // An account comes to be when it is used, and not by this.
    admin.fails(&format!("SETQUOTA #user/{YOU} (STORAGE 2)"), "NO [NONEXISTENT]").await;
    admin.ok("STATUS INBOX (MESSAGES)").await;
    let told = admin.ok(&format!("SETQUOTA #user/{YOU} (STORAGE 2)")).await;
    assert!(told.starts_with(&format!("* QUOTA #user/{YOU} (STORAGE 0 2)\r\n")), "{told}");
    admin.ok(&format!("APPEND INBOX {{2000+}}\r\n{}", "x".repeat(2000))).await;
    admin.fails(&format!("APPEND INBOX {{49+}}\r\n{}", "x".repeat(49)), "NO [OVERQUOTA]").await;
    for nobody in ["#user/nobody@localhost", "#user/", "root", "#user/../x"] {
        admin.fails(&format!("SETQUOTA {nobody} (STORAGE 2)"), "NO [NONEXISTENT] no such quota root").await;
    }
    assert!(!dir.path().join("nobody@localhost").exists(), "and no account comes to be");

    // Another process finds them, and deliveries too; what the rules say of single mailboxes holds beside them.
    let other = setting("nobody");
    let roots = other.quota_roots(&user("free@localhost"), &inbox).await.unwrap();
    assert_eq!(roots[0].resources.len(), 2);
    let sink = sink(&other);
    assert_eq!(replies(&deliver(&sink, &["free@localhost"], 1200, false).await), ["452 4.2.2"]);
    assert_eq!(replies(&deliver(&sink, &["free@localhost"], 900, false).await), ["250"]);
    // RFC 9208 §7: a QUOTA response names one resource at least, so that of none there is nothing to tell.
    let told = admin.ok(&format!("SETQUOTA #user/{YOU} ()")).await;
    assert!(!told.contains("* QUOTA"), "{told}");
    assert_eq!(other.quota_roots(&user(YOU), &inbox).await.unwrap(), []);
    // A file that was damaged: what the configuration says, and the next who sets limits mends it.
    std::fs::write(dir.path().join(YOU).join("pillarbox-limits"), "garbage").unwrap();
    assert_eq!(other.quota_roots(&user(YOU), &inbox).await.unwrap()[0].resources[0].limit, LIMIT);
    admin.ok(&format!("SETQUOTA #user/{YOU} (MESSAGE 7)")).await;
    assert_eq!(other.quota_roots(&user(YOU), &inbox).await.unwrap()[0].resources[0].limit, 7);
    // Where the configuration has no limits, those that were set last still stand in `maildirsize`.
    std::fs::write(dir.path().join("free@localhost/pillarbox-limits"), "garbage").unwrap();
    let limits = other.quota_roots(&user("free@localhost"), &inbox).await.unwrap().pop().unwrap().resources;
    assert_eq!(limits.iter().map(|one| one.limit).collect::<Vec<_>>(), [1024, 3]);
}

/// What is said of deliveries and of single mailboxes holds for an account that had no limits before they were set.
#[tokio::test]
async fn rules_hold_beside_limits_that_were_set() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let mut rules = QuotaRules::default().with_grace(Grace::Bytes(0));
    rules.add("Trash:bytes=+500").unwrap();
    assert!(rules.is_unlimited());
    let quotas = move |_: &Identity| Some(rules.clone());
    let store = MaildirStore::with_quotas(move |account| Some(root.join(account.user())), quotas);
    let store = Arc::new(store.quotas_set_by(|user| user.user() == YOU));
    let server = Server::over(store.clone());
    let mut client = server.client().await;
    let append = |mailbox: &str, octets: usize| format!("APPEND {mailbox} {{{octets}+}}\r\n{}", "x".repeat(octets));
    client.ok("CREATE Trash").await;
    client.append("Trash", b"x".to_vec()).await;
    assert!(!dir.path().join(YOU).join("maildirsize").exists(), "nothing is counted where nothing is limited");
    client.ok(&format!("SETQUOTA #user/{YOU} (STORAGE 1)")).await;
    client.ok(&append("INBOX", 1023)).await;
    client.fails(&append("INBOX", 1), "NO [OVERQUOTA]").await;
    client.ok(&append("Trash", 500)).await;
    client.fails(&append("Trash", 1), "NO [OVERQUOTA]").await;
    store.open(&Identity::new("other@localhost"), &MailboxName::inbox(), true).await.map(drop).unwrap();
    client.ok("SETQUOTA #user/other@localhost (STORAGE 1)").await;
    let sink = sink(&store);
    assert_eq!(replies(&deliver(&sink, &["other@localhost"], 1025, false).await), ["452 4.2.2"]);
    assert_eq!(replies(&deliver(&sink, &["other@localhost"], 900, false).await), ["250"]);
}

/// One's own root is there from the first login on, as GETQUOTAROOT tells it.
#[tokio::test]
async fn ones_own_root_is_there_before_the_account_was_used() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(store(&dir));
    let told = server.client().await.ok(&format!("GETQUOTA #user/{YOU}")).await;
    assert!(told.contains(&format!("* QUOTA #user/{YOU} (STORAGE 0 0 MESSAGE 0 10)\r\n")), "{told}");
}

#[tokio::test]
async fn who_has_no_limits_is_told_of_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let roots = store.quota_roots(&Identity::new("free@localhost"), &MailboxName::inbox()).await.unwrap();
    assert_eq!(roots, []);
}
