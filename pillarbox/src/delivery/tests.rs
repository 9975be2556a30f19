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
    let mut mailbox = store.open(&Identity::new(user), &MailboxName::inbox(), true).await.unwrap();
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
