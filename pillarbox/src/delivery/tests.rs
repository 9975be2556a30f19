use std::sync::Mutex;

use pillarbox_core::address::{Address, ReversePath};
use pillarbox_imap::list::List;
use pillarbox_imap::server::{Listed, Status, StatusItem};
use pillarbox_imap::types::{ObjectId, SpecialUse};

use super::*;
use crate::parts::{AppendedMessages, Mailbox, StoreCapabilities};
use crate::store::MemoryStore;

fn account(to: &ForwardPath<'_>) -> Option<Identity> {
    let local = to.address()?.local().unquoted().into_owned();
    // `joe+folder` is joe's too.
    let user = local.split('+').next().unwrap_or_default();
    (user != "nobody").then(|| Identity::new(user))
}

fn envelope(recipients: &[&str]) -> Envelope {
    let address = |text| Address::parse(text).unwrap().into_owned();
    let to = recipients.iter().map(|text| ForwardPath::Address(address(text))).collect();
    let mut envelope = Envelope::new("id", ReversePath::Address(address("from@client.example")), to);
    envelope.trace = b"Received: by test\r\n".to_vec();
    envelope
}

async fn inbox(store: &dyn MailboxStore, user: &str) -> Vec<String> {
    in_mailbox(store, user, "INBOX").await
}

/// The messages of a mailbox; none if it is not there.
async fn in_mailbox(store: &dyn MailboxStore, user: &str, name: &str) -> Vec<String> {
    let name = MailboxName::new(name).unwrap();
    let Ok(mut mailbox) = store.open(&Identity::new(user), &name, true).await else { return Vec::new() };
    let mut messages = Vec::new();
    for uid in mailbox.snapshot().await.unwrap().uids {
        let mut reader = mailbox.read(uid).await.unwrap();
        let mut octets = vec![0; usize::try_from(reader.size()).unwrap()];
        let mut filled = 0;
        while filled < octets.len() {
            filled += reader.read_at(filled as u64, &mut octets[filled..]).await.unwrap();
        }
        messages.push(String::from_utf8(octets).unwrap());
    }
    messages
}

async fn deliver(
    store: Arc<dyn MailboxStore>,
    to: &[&str],
    message: &str,
    all: bool,
) -> Result<Vec<Outcome>, SinkError> {
    let sink = MailboxSink::new(store, account);
    let mut incoming = sink.begin(envelope(to)).await?;
    for piece in message.as_bytes().chunks(5) {
        incoming.write(piece).await?;
    }
    Ok(incoming.commit(all).await)
}

#[tokio::test]
async fn each_account_gets_one_copy_with_fields_of_its_own() {
    let store = Arc::new(MemoryStore::new());
    let to = ["joe@localhost", "ann@localhost", "joe+list@localhost"];
    let message = "Return-Path: <forged@example>\r\nSubject: x\r\nDelivered-To: ann@localhost\r\n\r\nbody\r\n";
    let outcomes = deliver(store.clone(), &to, message, true).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Delivered; 3]);
    for user in ["joe", "ann"] {
        let expected = format!(
            "Return-Path: <from@client.example>\r\nDelivered-To: {user}@localhost\r\nReceived: by test\r\nSubject: x\r\nDelivered-To: ann@localhost\r\n\r\nbody\r\n"
        );
        assert_eq!(inbox(&*store, user).await, [expected]);
    }
}

#[tokio::test]
async fn recipients_without_an_account() {
    let store = Arc::new(MemoryStore::new());
    let refused = Outcome::Refused(no_such_mailbox());
    let to = ["joe@localhost", "nobody@localhost"];
    let outcomes = deliver(store.clone(), &to, "x\r\n", false).await.unwrap();
    assert_eq!(outcomes, [Outcome::Delivered, refused.clone()]);
    let outcomes = deliver(store.clone(), &to, "x\r\n", true).await.unwrap();
    assert_eq!(outcomes, [Outcome::Refused(with_others()), refused]);
    assert_eq!(inbox(&*store, "joe").await.len(), 1, "only what one-by-one delivery stored");
    let error = deliver(store, &["nobody@localhost"], "x\r\n", true).await.unwrap_err();
    assert_eq!(error.reply.code(), 550);
}

/// Where the copy of the user `bad` fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// In every mailbox but INBOX.
    Elsewhere,
    /// When the mailboxes are to be listed.
    List,
    Begin,
    Write,
    Prepare,
    Publish,
}

/// A store in memory that fails for one user, and writes down what happens to the copies.
struct Faulty {
    inner: MemoryStore,
    fault: Fault,
    kind: StoreErrorKind,
    log: Arc<Mutex<Vec<&'static str>>>,
}

struct FaultyAppend {
    inner: Box<dyn IncomingAppend>,
    fault: Option<Fault>,
    kind: StoreErrorKind,
    log: Arc<Mutex<Vec<&'static str>>>,
}

impl FaultyAppend {
    fn check(&self, here: Fault) -> Result<(), StoreError> {
        match self.fault {
            Some(fault) if fault == here => Err(StoreError::new(self.kind, "as was wished")),
            _ => Ok(()),
        }
    }

    fn note(&self, what: &'static str) {
        self.log.lock().unwrap().push(what);
    }
}

impl IncomingAppend for FaultyAppend {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.check(Fault::Write)?;
            self.inner.write(octets).await
        })
    }
    fn prepare(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.check(Fault::Prepare)?;
            self.note("prepare");
            self.inner.prepare().await
        })
    }
    fn publish(&mut self) -> BoxFuture<'_, Result<AppendedMessages, StoreError>> {
        Box::pin(async move {
            self.check(Fault::Publish)?;
            self.note("publish");
            self.inner.publish().await
        })
    }
    fn undo(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.note("undo");
        self.inner.undo()
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl MailboxStore for Faulty {
    fn append<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        append: Append,
    ) -> Answer<'a, Box<dyn IncomingAppend>> {
        Box::pin(async move {
            let fault = (user.user() == "bad").then_some(self.fault);
            if fault == Some(Fault::Elsewhere) && !mailbox.is_inbox() {
                return Err(StoreError::new(self.kind, "not there"));
            }
            let inner = self.inner.append(user, mailbox, append).await?;
            let incoming = FaultyAppend { inner, fault, kind: self.kind, log: self.log.clone() };
            incoming.check(Fault::Begin)?;
            Ok(Box::new(incoming) as Box<dyn IncomingAppend>)
        })
    }
    fn open<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        read_only: bool,
    ) -> Answer<'a, Box<dyn Mailbox>> {
        self.inner.open(user, mailbox, read_only)
    }
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
    fn list<'a>(&'a self, user: &'a Identity, list: &'a List) -> Answer<'a, Vec<Listed>> {
        if self.fault == Fault::List && user.user() == "bad" {
            return Box::pin(async { Err(StoreError::new(self.kind, "as was wished")) });
        }
        self.inner.list(user, list)
    }
    fn status<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        items: &'a [StatusItem],
    ) -> Answer<'a, Status> {
        self.inner.status(user, mailbox, items)
    }
    fn create<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
    ) -> Answer<'a, Option<ObjectId>> {
        self.inner.create(user, mailbox, uses)
    }
    fn delete<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName) -> Answer<'a, ()> {
        self.inner.delete(user, mailbox)
    }
    fn rename<'a>(&'a self, user: &'a Identity, from: &'a MailboxName, to: &'a MailboxName) -> Answer<'a, ()> {
        self.inner.rename(user, from, to)
    }
    fn subscribe<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName, subscribed: bool) -> Answer<'a, ()> {
        self.inner.subscribe(user, mailbox, subscribed)
    }
}

#[tokio::test]
async fn a_failing_copy_takes_all_with_it_or_only_itself() {
    for fault in [Fault::Begin, Fault::Write, Fault::Prepare, Fault::Publish] {
        for all in [true, false] {
            let log = Arc::new(Mutex::new(Vec::new()));
            let kind = StoreErrorKind::OverQuota;
            let store = Arc::new(Faulty { inner: MemoryStore::new(), fault, kind, log: log.clone() });
            let to = ["joe@localhost", "bad@localhost", "ann@localhost"];
            let outcomes = deliver(store.clone(), &to, "Subject: x\r\n\r\nbody\r\n", all).await.unwrap();
            let (good, copies) = match all {
                true => (Outcome::Refused(with_others()), 0),
                false => (Outcome::Delivered, 1),
            };
            assert_eq!(outcomes, [good.clone(), Outcome::Refused(reply(kind)), good], "{fault:?} {all}");
            for (user, copies) in [("joe", copies), ("bad", 0), ("ann", copies)] {
                assert_eq!(inbox(&*store, user).await.len(), copies, "{user} {fault:?} {all}");
            }
            let log = log.lock().unwrap();
            let first_publish = log.iter().position(|what| *what == "publish").unwrap_or(log.len());
            assert!(!log[first_publish..].contains(&"prepare"), "all are prepared before one is visible: {log:?}");
            assert_eq!(log.contains(&"undo"), all && fault == Fault::Publish, "{log:?}");
        }
    }
}

#[tokio::test]
async fn the_message_is_refused_early_when_nobody_is_left() {
    for (kind, code) in [
        (StoreErrorKind::NoSpace, 452),
        (StoreErrorKind::OverQuota, 452),
        (StoreErrorKind::NoSuchMailbox, 550),
        (StoreErrorKind::Unavailable, 451),
    ] {
        for fault in [Fault::Begin, Fault::Write] {
            let store = Arc::new(Faulty { inner: MemoryStore::new(), fault, kind, log: Arc::default() });
            let error = deliver(store.clone(), &["bad@localhost"], "x\r\n", true).await.unwrap_err();
            assert_eq!(error.reply.code(), code);
            assert!(inbox(&*store, "bad").await.is_empty());
        }
    }
}

const MARK: &str = "X-Spam: Yes";

/// Delivers a message in pieces to joe and ann, and gives what is in the INBOX and the Junk of joe afterwards.
async fn filed(store: &Arc<MemoryStore>, trace: &str, message: &str, piece: usize) -> [Vec<String>; 2] {
    let inbox_sink = MailboxSink::new(store.clone(), account);
    let junk = inbox_sink.clone().into_junk(MailboxName::new("Junk").unwrap());
    let sink = JunkSink::new(MARK, Arc::new(inbox_sink), Arc::new(junk));
    let mut envelope = envelope(&["joe@localhost", "ann@localhost"]);
    envelope.trace = trace.into();
    let mut incoming = sink.begin(envelope).await.unwrap();
    for piece in message.as_bytes().chunks(piece) {
        incoming.write(piece).await.unwrap();
    }
    assert_eq!(incoming.commit(true).await, [Outcome::Delivered, Outcome::Delivered]);
    [in_mailbox(&**store, "joe", "INBOX").await, in_mailbox(&**store, "joe", "Junk").await]
}

#[tokio::test]
async fn what_this_host_has_marked_is_filed_apart() {
    let own = "Authentication-Results: mx.localhost;\r\n\tdmarc=fail\r\n";
    let received = "Received: by mx\r\n";
    for (trace, message, is_junk) in [
        ("", format!("{MARK}\r\n{own}{received}Subject: x\r\n\r\nbody\r\n"), true),
        ("", format!("{own}{MARK}\r\n{received}\r\nbody\r\n"), true),
        // Below its Received field stands what a stranger wrote.
        (received, format!("{MARK}\r\nSubject: x\r\n\r\nbody\r\n"), false),
        ("", format!("{own}{received}{MARK}\r\n\r\nbody\r\n"), false),
        ("", format!("{own}{received}\r\n{MARK}\r\n{received}"), false),
        ("", format!("{MARK}, and more\r\n more\r\n{received}\r\nbody\r\n"), false),
        // Without a Received field nothing tells who has put it there.
        ("", format!("{MARK}\r\nSubject: x\r\n\r\nbody\r\n"), false),
        ("", "Subject: a notice\r\n\r\nbody\r\n".into(), false),
        ("", "no header and no end".into(), false),
        ("", format!("X: {}\r\n{MARK}\r\n{received}\r\n", "x".repeat(70_000)), false),
    ] {
        for piece in [7, 1000, 1 << 20] {
            let store = Arc::new(MemoryStore::new());
            let [inbox, junk] = filed(&store, trace, &message, piece).await;
            assert_eq!([inbox.len(), junk.len()], if is_junk { [0, 1] } else { [1, 0] }, "{trace}{message}");
            let all = [inbox, junk].concat();
            let front = "Return-Path: <from@client.example>\r\nDelivered-To: joe@localhost\r\n";
            assert_eq!(all, [format!("{front}{trace}{message}")]);
        }
    }
}

#[tokio::test]
async fn the_mailbox_for_junk_is_the_users_own_if_there_is_one() {
    let store = Arc::new(MemoryStore::new());
    let message = format!("{MARK}\r\nReceived: by mx\r\n\r\nbody\r\n");
    store.create(&Identity::new("joe"), &MailboxName::new("Spam").unwrap(), &[SpecialUse::Junk]).await.unwrap();
    let [inbox, junk] = filed(&store, "", &message, 100).await;
    assert_eq!((inbox.len(), junk.len(), in_mailbox(&*store, "joe", "Spam").await.len()), (0, 0, 1));
    // Hers was made, once, and is subscribed.
    let [.., junk] = filed(&store, "", &message, 100).await;
    assert!(junk.is_empty());
    assert_eq!(in_mailbox(&*store, "ann", "Junk").await.len(), 2);
    let mut list = List::new("*");
    (list.subscribed, list.special_use) = (true, true);
    let listed = store.list(&Identity::new("ann"), &list).await.unwrap();
    assert_eq!(listed.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>(), ["Junk"]);
}

#[tokio::test]
async fn what_cannot_be_filed_apart_is_in_the_inbox_unless_it_can_wait() {
    for (kind, is_told) in [
        (StoreErrorKind::NoPermission, false),
        (StoreErrorKind::NoSuchMailbox, false),
        (StoreErrorKind::Unavailable, true),
        (StoreErrorKind::OverQuota, true),
    ] {
        let store = Arc::new(Faulty { inner: MemoryStore::new(), fault: Fault::Elsewhere, kind, log: Arc::default() });
        let junk = MailboxSink::new(store.clone(), account).into_junk(MailboxName::new("Junk").unwrap());
        let outcome = match junk.begin(envelope(&["bad@localhost"])).await {
            Ok(incoming) => incoming.commit(true).await.remove(0),
            Err(error) => Outcome::Refused(error.reply),
        };
        let refused = Outcome::Refused(reply(kind));
        assert_eq!(outcome, if is_told { refused } else { Outcome::Delivered }, "{kind:?}");
        assert_eq!(inbox(&*store, "bad").await.len(), usize::from(!is_told), "{kind:?}");
    }
}

#[tokio::test]
async fn no_mailbox_for_junk_is_made_where_the_users_own_is_not_known() {
    for (kind, is_told) in [(StoreErrorKind::Unavailable, true), (StoreErrorKind::NoPermission, false)] {
        let store = Arc::new(Faulty { inner: MemoryStore::new(), fault: Fault::List, kind, log: Arc::default() });
        let junk = MailboxSink::new(store.clone(), account).into_junk(MailboxName::new("Junk").unwrap());
        let outcome = match junk.begin(envelope(&["bad@localhost"])).await {
            Ok(incoming) => incoming.commit(true).await.remove(0),
            Err(error) => Outcome::Refused(error.reply),
        };
        assert_eq!(outcome, if is_told { Outcome::Refused(reply(kind)) } else { Outcome::Delivered }, "{kind:?}");
        assert_eq!(inbox(&*store, "bad").await.len(), usize::from(!is_told), "{kind:?}");
        let listed = store.inner.list(&Identity::new("bad"), &List::new("*")).await.unwrap();
        assert!(listed.iter().all(|listed| listed.name.is_inbox()), "{kind:?}");
    }
}
