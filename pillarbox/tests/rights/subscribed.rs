//! Subscriptions to mailboxes of others.

use pillarbox::maildir::{Layout, TreeOptions};
use pillarbox::parts::{MailboxStore, NameChange};
use pillarbox::store::{AclStore, MaildirStore};
use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::list::List;
use pillarbox_imap::server::Listed;
use pillarbox_imap::types::Separator;

use crate::world::{in_maildirs, name, user};

async fn over(source: MaildirStore, hers: &str) {
    let store = AclStore::new(source).other_users(name("Other Users"));
    let (ann, bob) = (user("ann@example.org"), user("bob@example.org"));
    store.create(&ann, &name(hers), &[]).await.unwrap();
    store.set_acl(&ann, &name(hers), "bob@example.org", RightsChange::parse("lr")).await.unwrap();
    let there = name("Other Users/ann@example.org/Work");
    let (mine, away) = (name(hers), name("Other Users/eve@example.org/Gone"));
    store.create(&bob, &mine, &[]).await.unwrap();
    let mut watch = store.watch_names(&bob, &[]).await.unwrap();
    let mut list = List::new("*");
    (list.subscribed, list.extended) = (true, true);
    let told = async || {
        let listed = store.list(&bob, &list).await.unwrap();
        let one = |listed: &Listed| {
            let is_there = !listed.attributes.iter().any(|attribute| attribute == "\\NonExistent");
            (listed.name.to_string(), is_there)
        };
        listed.iter().map(one).collect::<Vec<_>>()
    };
    for subscribed in [&mine, &there, &away] {
        store.subscribe(&bob, subscribed, true).await.unwrap();
        assert_eq!(watch.changes().await.unwrap(), [NameChange::Subscribed(subscribed.clone())]);
    }
    let mut listed = told().await;
    listed.sort();
    let names: Vec<(&str, bool)> = listed.iter().map(|(name, there)| (name.as_str(), *there)).collect();
    let mut expected = [(hers, true), (there.as_str(), true), (away.as_str(), false)];
    expected.sort();
    assert_eq!(names, expected);
    // Nor are they told where the user's own are asked for.
    let mut own = List::new(format!("{}*", &hers[..2]));
    own.lsub = true;
    let listed = store.list(&bob, &own).await.unwrap();
    assert_eq!(listed.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>(), [hers]);
    for subscribed in [&there, &away] {
        store.subscribe(&bob, subscribed, false).await.unwrap();
    }
    assert_eq!(told().await.len(), 1);
}

#[tokio::test]
async fn accounts_that_are_called_after_addresses() {
    let dir = tempfile::tempdir().unwrap();
    over(in_maildirs(dir.path()), "Work").await;
    let dir = tempfile::tempdir().unwrap();
    let mut options = TreeOptions::default();
    options.layout = Layout::Fs;
    over(in_maildirs(dir.path()).lying_as(move |_| options.clone()), "Work").await;
}

#[tokio::test]
async fn a_prefix_is_of_the_users_own_mailboxes_alone() {
    let dir = tempfile::tempdir().unwrap();
    over(in_maildirs(dir.path()).in_namespace("INBOX/", Separator::Slash).unwrap(), "INBOX/Work").await;
}
