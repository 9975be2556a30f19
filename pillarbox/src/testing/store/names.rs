//! What stores tell of names: subscriptions, levels, and what mailboxes are for.

use pillarbox_imap::list::List;
use pillarbox_imap::server::Listed;
use pillarbox_imap::types::SpecialUse;

use super::name;
use crate::parts::{Identity, MailboxStore, StoreErrorKind};

/// The answer, as name and attributes.
async fn ask(store: &dyn MailboxStore, user: &Identity, list: &List) -> Vec<String> {
    let listed = store.list(user, list).await.expect("names are listed");
    let line = |item: Listed| {
        let below = if item.subscribed_below { " +" } else { "" };
        format!("{} {}{below}", item.name, item.attributes.join(" "))
    };
    listed.into_iter().map(line).collect()
}

/// LIST with its options (RFC 5258).
pub(super) async fn listing(store: &dyn MailboxStore, user: &Identity) {
    for mailbox in ["List", "List/Fruit", "List/Fruit/Banana", "List/Tofu"] {
        store.create(user, &name(mailbox), &[]).await.expect("a mailbox is made");
    }
    for subscribed in ["List/Fruit/Banana", "List/Lost", "List/Tofu"] {
        store.subscribe(user, &name(subscribed), true).await.expect("a name is subscribed");
    }
    let list = |pattern: &str| {
        let mut list = List::new(pattern);
        list.extended = true;
        list
    };
    let mut telling = list("List/%");
    telling.tell_subscribed = true;
    assert_eq!(
        ask(store, user, &telling).await,
        ["List/Fruit \\HasChildren", "List/Tofu \\HasNoChildren \\Subscribed"],
        "what exists is told, and whether it is subscribed"
    );
    let mut subscribed = list("List/*");
    subscribed.subscribed = true;
    assert_eq!(
        ask(store, user, &subscribed).await,
        [
            "List/Fruit/Banana \\HasNoChildren \\Subscribed",
            "List/Lost \\NonExistent \\HasNoChildren \\Subscribed",
            "List/Tofu \\HasNoChildren \\Subscribed"
        ],
        "what is subscribed is told, also where it does not exist"
    );
    let mut recursive = list("List/%");
    (recursive.subscribed, recursive.recursive) = (true, true);
    assert!(
        ask(store, user, &recursive).await.contains(&"List/Fruit \\HasChildren +".to_owned()),
        "what only leads to a subscription is told as that"
    );
    let mut several = list("List/T*");
    several.patterns.push("List/%u".into());
    assert_eq!(ask(store, user, &several).await, ["List/Tofu \\HasNoChildren"], "each name once");
    let mut lsub = List::new("List/%");
    lsub.lsub = true;
    assert_eq!(
        ask(store, user, &lsub).await.iter().map(|line| line.trim_end()).collect::<Vec<_>>(),
        ["List/Fruit \\Noselect", "List/Lost", "List/Tofu"],
        "LSUB tells levels above what is subscribed"
    );
    for subscribed in ["List/Fruit/Banana", "List/Lost", "List/Tofu"] {
        store.subscribe(user, &name(subscribed), false).await.expect("a name is taken off");
    }
}

/// What mailboxes are for (RFC 6154).
pub(super) async fn special_uses(store: &dyn MailboxStore, user: &Identity) {
    let can = store.capabilities();
    if !can.create_special_use {
        let made = store.create(user, &name("Special"), &[SpecialUse::Sent]).await;
        assert!(made.is_err(), "a store that cannot make special mailboxes makes none");
        return;
    }
    assert!(can.special_use, "what is made can be told");
    let uses = [SpecialUse::Drafts, SpecialUse::Sent];
    store.create(user, &name("Special/Sent"), &uses).await.expect("a special mailbox is made");
    let mut list = List::new("*");
    list.special_use = true;
    let told = ["Special/Sent \\HasNoChildren \\Drafts \\Sent"];
    assert_eq!(ask(store, user, &list).await, told, "and told as such, alone");
    let error = store.create(user, &name("Special/All"), &[SpecialUse::All]).await.expect_err("there are no views");
    assert_eq!(error.kind, StoreErrorKind::NotForThatUse);
    assert!(store.status(user, &name("Special/All"), &[]).await.is_err(), "what is refused is not made");
    let again = store.create(user, &name("Special/Sent"), &uses).await.expect_err("a name is made twice");
    assert_eq!(again.kind, StoreErrorKind::AlreadyExists);
    store.rename(user, &name("Special/Sent"), &name("Special/Moved")).await.expect("it is renamed");
    assert_eq!(ask(store, user, &list).await, ["Special/Moved \\HasNoChildren \\Drafts \\Sent"], "its uses go with it");
    store.delete(user, &name("Special/Moved")).await.expect("it is deleted");
    assert_eq!(ask(store, user, &list).await, [] as [&str; 0]);
    store.create(user, &name("Special/Moved"), &[]).await.expect("the name is free again");
    assert_eq!(ask(store, user, &list).await, [] as [&str; 0], "a new mailbox is for nothing");
    store.create(user, &name("Special/Trash"), &[SpecialUse::Trash]).await.expect("another is made");
    store.delete(user, &name("Special/Trash")).await.expect("and deleted");
}
