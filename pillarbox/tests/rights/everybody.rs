//! Sharing with many at once.

use pillarbox::parts::MailboxStore;
use pillarbox::store::{AclSource, AclStore, MemoryStore};
use pillarbox_imap::acl::{Grantable, RightsChange};

use crate::StoreErrorKind::{Limit, NoPermission, NoSuchMailbox};
use crate::world::{World, in_both_stores, kind, name, user};

in_both_stores! {
    nobody_shares_with_everybody
    groups_and_everybody
}

/// ACL-05: a mailbox is not shared with everybody, one by one or at once.
async fn nobody_shares_with_everybody<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, work) = (&world.store, &world.ann, name("Work"));
    for everybody in ["anyone", "authenticated"] {
        for change in ["l", "+l"] {
            let refused = store.set_acl(ann, &work, everybody, RightsChange::parse(change)).await;
            assert_eq!(kind(refused), Some(NoPermission), "{everybody} {change}");
        }
        // RFC 4314 §3.7: LISTRIGHTS tells what SETACL would not refuse.
        assert_eq!(store.grantable(ann, &work, everybody).await.unwrap(), Grantable::default(), "{everybody}");
        let negative = format!("-{everybody}");
        store.set_acl(ann, &work, &negative, RightsChange::parse("l")).await.unwrap();
        assert_eq!(store.grantable(ann, &work, &negative).await.unwrap().optional.len(), 11, "{everybody}");
    }
    let nobodys = store.grantable(ann, &name("Shared/INBOX"), "anyone").await.unwrap();
    assert_eq!(nobodys.optional.len(), 11, "what is nobody's is for those to share who have the right `a`");
    let mut shared = 0;
    let refused = loop {
        match store.set_acl(ann, &work, &format!("user{shared}"), RightsChange::parse("l")).await {
            Ok(()) => shared += 1,
            Err(error) => break error.kind,
        }
        assert!(shared <= pillarbox::maildir::ACL_ENTRIES_MAX);
    };
    assert_eq!(refused, Limit);
}

async fn groups_and_everybody<S: AclSource + Clone + 'static>(world: World<S>) {
    let (ann, bob, work) = (&world.ann, &world.bob, name("Work"));
    world.store.set_acl(ann, &work, "$team", RightsChange::parse("lr")).await.unwrap();
    assert_eq!(
        kind(world.store.rights(bob, &world.work()).await),
        Some(NoSuchMailbox),
        "who is in it is said by nobody"
    );
    let source = user("source");
    let store = AclStore::new(MemoryStore::new()).other_users(name("Other Users")).for_anyone();
    let store = store.groups(|user| if user.user() == "bob" { vec!["team".into()] } else { Vec::new() });
    store.create(&source, &work, &[]).await.unwrap();
    store.set_acl(&source, &work, "$team", RightsChange::parse("lr")).await.unwrap();
    let seen = name("Other Users/source/Work");
    assert_eq!(store.rights(bob, &seen).await.unwrap().to_string(), "lr");
    assert_eq!(kind(store.rights(ann, &seen).await), Some(NoSuchMailbox));
    assert_eq!(store.grantable(&source, &work, "anyone").await.unwrap().optional.len(), 11);
    store.set_acl(&source, &work, "anyone", RightsChange::parse("l")).await.unwrap();
    assert_eq!(store.rights(ann, &seen).await.unwrap().to_string(), "l");
    assert_eq!(store.rights(bob, &seen).await.unwrap().to_string(), "lr", "a group says more than everybody");
}
