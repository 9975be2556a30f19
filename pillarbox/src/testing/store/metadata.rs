//! Annotations (RFC 5464).

use pillarbox_imap::metadata::{Depth, EntryChange, EntryName, WantedEntries};
use pillarbox_imap::types::MailboxName;

use super::{listed, name};
use crate::parts::{Identity, MailboxStore, StoreError, StoreErrorKind};

fn entry(name: &str) -> EntryName {
    EntryName::parse(name).expect("the suite's names are good")
}

fn change(name: &str, value: &[u8]) -> EntryChange {
    (entry(name), Some(value.to_vec()))
}

/// `name=value`, by name.
async fn told(
    store: &dyn MailboxStore,
    user: &Identity,
    mailbox: Option<&str>,
    names: &[&str],
    depth: Depth,
) -> Result<Vec<String>, StoreError> {
    let wanted = WantedEntries { names: names.iter().map(|name| entry(name)).collect(), depth };
    let mailbox = mailbox.map(name);
    let entries = store.metadata(user, mailbox.as_ref(), &wanted).await?;
    let mut told: Vec<_> =
        entries.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect();
    told.sort();
    Ok(told)
}

pub(super) async fn annotations(store: &dyn MailboxStore, user: &Identity) {
    if store.capabilities().server_metadata {
        of_the_server(store, user).await;
    }
    if !store.capabilities().metadata {
        return;
    }
    let all =
        async |mailbox: &'static str| told(store, user, Some(mailbox), &["/private", "/shared"], Depth::Infinity).await;
    let set = async |mailbox: &str, changes: &[EntryChange]| {
        store.set_metadata(user, Some(&name(mailbox)), changes).await.map_err(|error| error.kind)
    };
    for mailbox in ["Noted", "Noted/Below"] {
        store.create(user, &name(mailbox), &[]).await.expect("a mailbox is made");
    }
    assert_eq!(all("Noted").await.expect("annotations are told"), [""; 0], "a new mailbox has none");
    let both = [change("/private/comment", b"mine\r\nof two lines"), change("/shared/comment", b"\0\xff")];
    set("Noted", &both).await.expect("annotations are set");
    assert_eq!(
        told(store, user, Some("Noted"), &["/private/comment"], Depth::Zero).await.expect("one is told"),
        ["/private/comment=mine\r\nof two lines"]
    );
    let wanted = WantedEntries { names: vec![entry("/shared/comment")], depth: Depth::Zero };
    let octets = store.metadata(user, Some(&name("Noted")), &wanted).await.expect("the other is told");
    assert_eq!(octets, [(entry("/shared/comment"), b"\0\xff".to_vec())], "octet for octet");
    set("Noted", &[change("/private/comment/a", b"1"), change("/private/comment/a/b", b"")]).await.expect("more");
    let below = async |depth| told(store, user, Some("Noted"), &["/private/comment"], depth).await.expect("told").len();
    assert_eq!([below(Depth::Zero).await, below(Depth::One).await, below(Depth::Infinity).await], [1, 2, 3]);

    // All or none.
    let before = all("Noted").await.expect("annotations are told");
    let too_large = set("Noted", &[change("/shared/new", b"x"), change("/shared/large", &vec![b'x'; 1 << 20])]).await;
    assert!(matches!(too_large, Err(StoreErrorKind::AnnotationTooLarge(1024..))), "{too_large:?}");
    let many: Vec<_> = (0..10_000).map(|number| change(&format!("/shared/{number}"), b"")).collect();
    assert_eq!(set("Noted", &many).await, Err(StoreErrorKind::TooManyAnnotations));
    assert_eq!(all("Noted").await.expect("annotations are told"), before);
    set("Noted", &many[..10]).await.expect("so many are allowed everywhere");
    let ten: Vec<_> = many[..10].iter().map(|(name, _)| (name.clone(), None)).collect();
    set("Noted", &ten).await.expect("and go again");
    set("Noted", &[(entry("/shared/never"), None)]).await.expect("what is not there can go too");
    assert_eq!(all("Noted").await.expect("annotations are told"), before);

    // RFC 5464 §4.1: they go where the mailbox goes, and no mailbox inherits them.
    store.rename(user, &name("Noted"), &name("Noted too")).await.expect("it is renamed");
    assert_eq!(all("Noted too").await.expect("annotations are told"), before);
    assert_eq!(all("Noted").await.map_err(|error| error.kind), Err(StoreErrorKind::NoSuchMailbox));
    assert_eq!(set("Noted", &both).await, Err(StoreErrorKind::NoSuchMailbox));
    store.delete(user, &name("Noted too/Below")).await.expect("it is deleted");
    store.delete(user, &name("Noted too")).await.expect("it is deleted");
    store.create(user, &name("Noted too"), &[]).await.expect("and made again");
    assert_eq!(all("Noted too").await.expect("annotations are told"), [""; 0]);
    set("INBOX", &both[..1]).await.expect("INBOX is annotated");
    store.rename(user, &MailboxName::inbox(), &name("Noted inbox")).await.expect("INBOX gives its messages away");
    let inbox = all("INBOX").await.expect("annotations are told");
    assert_eq!(inbox, ["/private/comment=mine\r\nof two lines"], "they stay");
    assert_eq!(all("Noted inbox").await.expect("annotations are told"), inbox, "and go along");
    for mailbox in ["Noted too", "Noted inbox"] {
        store.delete(user, &name(mailbox)).await.expect("it is deleted");
    }
    set("INBOX", &[(entry("/private/comment"), None)]).await.expect("it is empty again");
    if store.capabilities().special_use {
        uses(store, user).await;
    }
}

async fn of_the_server(store: &dyn MailboxStore, user: &Identity) {
    let set = async |changes: &[EntryChange]| store.set_metadata(user, None, changes).await.map_err(|error| error.kind);
    let all = async || told(store, user, None, &["/private", "/shared"], Depth::Infinity).await.expect("they are told");
    assert_eq!(all().await, [""; 0], "nobody has said anything");
    let private = change("/private/vendor/suite/x", b"mine");
    set(std::slice::from_ref(&private)).await.expect("a user has annotations of their own");
    assert_eq!(all().await, ["/private/vendor/suite/x=mine"]);
    set(&[(private.0, None)]).await.expect("and may remove them");
    assert_eq!(all().await, [""; 0]);
}

/// RFC 6154 §4
async fn uses(store: &dyn MailboxStore, user: &Identity) {
    let special_use = EntryName::special_use();
    let set = async |mailbox: &str, value: Option<&str>| {
        let changes = [(special_use.clone(), value.map(|value| value.as_bytes().to_vec()))];
        store.set_metadata(user, Some(&name(mailbox)), &changes).await.map_err(|error| error.kind)
    };
    let told = async |mailbox| told(store, user, Some(mailbox), &[special_use.as_str()], Depth::Zero).await;
    for mailbox in ["Uses/a", "Uses/b"] {
        store.create(user, &name(mailbox), &[]).await.expect("a mailbox is made");
        assert_eq!(told(mailbox).await.expect("annotations are told"), [""; 0]);
    }
    set("Uses/a", Some("\\Junk")).await.expect("a use can be given");
    assert_eq!(told("Uses/a").await.expect("it is told"), ["/private/specialuse=\\Junk"]);
    assert_eq!(set("Uses/b", Some("\\Junk")).await, Err(StoreErrorKind::NotForThatUse), "it is taken");
    assert_eq!(set("Uses/b", Some("\\All")).await, Err(StoreErrorKind::NotForThatUse), "there are no views");
    assert_eq!(set("Uses/b", Some("Junk")).await, Err(StoreErrorKind::NotForThatUse), "that is no use");
    assert_eq!(set("INBOX", Some("\\Archive")).await, Err(StoreErrorKind::NotForThatUse));
    set("Uses/a", Some("\\Junk")).await.expect("it may keep its own");
    set("Uses/a", None).await.expect("and lose it");
    assert_eq!(told("Uses/a").await.expect("annotations are told"), [""; 0]);
    set("Uses/b", Some("\\junk")).await.expect("now it is free");
    store.delete(user, &name("Uses/b")).await.expect("it is deleted");
    assert!(listed(store, user, "*", false).await.contains(&"Uses/a".into()));
}
