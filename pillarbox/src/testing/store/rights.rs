//! Who may do what (RFC 4314), as the owner sees it.

use pillarbox_imap::acl::{Rights, RightsChange};

use super::name;
use crate::parts::{Identity, MailboxStore, StoreErrorKind};

/// Identifiers and their rights, without the owner's.
async fn others(store: &dyn MailboxStore, user: &Identity, mailbox: &str) -> Vec<(String, String)> {
    let acl = store.acl(user, &name(mailbox)).await.expect("the owner sees the list");
    let others = acl.into_iter().filter(|entry| entry.identifier != user.user());
    others.map(|entry| (entry.identifier, entry.rights.to_string())).collect()
}

/// A list is read as it was written, goes where its mailbox goes, and goes with it.
pub(super) async fn rights(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Lent"), &[]).await.expect("a mailbox");
    let snapshot = store.open(user, &name("Lent"), false).await.expect("it opens").snapshot().await;
    let told = snapshot.expect("a snapshot").rights;
    if !store.capabilities().rights {
        assert_eq!(told, None, "a store without rights tells none");
        assert!(store.rights(user, &name("Lent")).await.is_err(), "a store without rights says so");
        assert!(store.acl(user, &name("Lent")).await.is_err());
        let refused = store.set_acl(user, &name("Lent"), "friend", RightsChange::parse("lr")).await;
        assert!(refused.is_err(), "what would not count is not taken");
        return;
    }
    assert_eq!(told, Some(Rights::ALL), "the owner may do everything");
    assert_eq!(store.rights(user, &name("Lent")).await.expect("rights are told"), Rights::ALL);
    assert_eq!(others(store, user, "Lent").await, [], "and nobody else anything");
    let change = async |mailbox: &str, who: &str, text: &str| {
        store.set_acl(user, &name(mailbox), who, RightsChange::parse(text)).await.expect("the owner may change it");
    };
    let pair = |who: &str, rights: &str| (who.to_owned(), rights.to_owned());
    change("Lent", "friend", "lr").await;
    change("Lent", "friend", "+ws").await;
    change("Lent", "friend", "-r").await;
    change("Lent", "-friend", "s").await;
    assert_eq!(others(store, user, "Lent").await, [pair("friend", "lsw"), pair("-friend", "s")]);
    let grantable = store.grantable(user, &name("Lent"), "friend").await.expect("what can be granted is told");
    let tied = grantable.optional.iter().fold(grantable.required, |all, tied| all | *tied);
    assert_eq!(tied, Rights::ALL, "every right is somewhere in it");

    store.rename(user, &name("Lent"), &name("Lent on")).await.expect("it is renamed");
    assert_eq!(others(store, user, "Lent on").await.len(), 2, "a list goes where its mailbox goes");
    store.set_acl(user, &name("Lent on"), "-friend", None).await.expect("an entry is removed");
    assert_eq!(others(store, user, "Lent on").await, [pair("friend", "lsw")]);
    store.create(user, &name("Lent on/Below"), &[]).await.expect("a mailbox below it");
    assert_eq!(others(store, user, "Lent on/Below").await, [pair("friend", "lsw")], "RFC 4314 §4 leaves it open");
    for mailbox in ["Lent on/Below", "Lent on"] {
        store.delete(user, &name(mailbox)).await.expect("it is deleted");
    }
    store.create(user, &name("Lent on"), &[]).await.expect("another under its name");
    assert_eq!(others(store, user, "Lent on").await, [], "a list goes with its mailbox");
    let missing = name("Lent to nobody");
    let kinds = [
        store.rights(user, &missing).await.err().map(|error| error.kind),
        store.acl(user, &missing).await.err().map(|error| error.kind),
        store.set_acl(user, &missing, "friend", RightsChange::parse("l")).await.err().map(|error| error.kind),
    ];
    assert_eq!(kinds, [Some(StoreErrorKind::NoSuchMailbox); 3], "what is not there has no list");
}
