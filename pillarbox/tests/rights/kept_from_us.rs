//! What the system keeps from the server: it lasts, and must take away no more than itself.

use pillarbox::maildir::{Options, Store};
use pillarbox::parts::MailboxStore;
use pillarbox::store::{AclSource, AclStore, MaildirStore};
use pillarbox_fs::RealFs;
use pillarbox_fs::testing::Watched;

use crate::world::{name, user};

const EACCES: i32 = 13;

/// A `dovecot-acl` or `subscriptions` that an administrator made theirs, or a directory.
#[tokio::test]
async fn what_is_kept_from_us_hides_itself_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, root) = (Watched::new(RealFs), dir.path().to_owned());
    let files = Store::new(fs.clone(), Options::from_system());
    let source = MaildirStore::over(files, move |account| Some(root.join(account.user()).join("Maildir")));
    let (ann, bob) = (user("ann"), user("bob"));
    let store = AclStore::new(source.clone()).other_users(name("Other Users"));
    for mailbox in ["A", "B", "C"] {
        store.create(&ann, &name(mailbox), &[]).await.unwrap();
        store.set_acl(&ann, &name(mailbox), "bob", pillarbox_imap::acl::RightsChange::parse("lr")).await.unwrap();
    }
    store.subscribe(&ann, &name("A"), true).await.unwrap();
    store.subscribe(&bob, &name("Other Users/ann/A"), true).await.unwrap();
    let (mut least, mut at) = (usize::MAX, 0);
    loop {
        fs.fail_any_at(at, EACCES);
        let there = source.lists_of(&ann).await.unwrap();
        if fs.heal() {
            break;
        }
        least = least.min(there.len());
        at += 1;
    }
    assert!(at > 3 && least < 4, "{at} operations, {least} mailboxes");
    // Nobody watches yet, so that each begins anew.
    let mut at = 0;
    loop {
        fs.fail_any_at(at, EACCES);
        source.watch_names(&ann, &[]).await.map(drop).unwrap();
        if fs.heal() {
            break;
        }
        at += 1;
    }
    assert!(at > 3, "{at} operations");
}
