//! Annotations: how many of them who may have.

use pillarbox::parts::{Identity, MailboxStore, StoreErrorKind};
use pillarbox::store::AclSource;
use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::metadata::EntryName;
use pillarbox_imap::types::MailboxName;

use crate::world::{World, in_both_stores, kind, name, user};

in_both_stores! {
    notes_of_one_leave_room_for_others
}

/// Those who may set shared annotations, one after the other and as much as they can: each leaves room for the others, and all of them
/// for the owner.
async fn notes_of_one_leave_room_for_others<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, work) = (&world.store, &world.ann, world.work());
    let names = |who: &str| {
        let who = who.to_owned();
        (0..300).map(move |n| EntryName::parse(&format!("/shared/{who}/{n}")).unwrap())
    };
    let fill = async |who: &Identity, mailbox: &MailboxName, value: &[u8]| {
        let mut set = 0;
        for name in names(who.user()) {
            match store.set_metadata(who, Some(mailbox), &[(name, Some(value.to_vec()))]).await {
                Ok(()) => set += 1,
                refused => {
                    assert_eq!(kind(refused), Some(StoreErrorKind::TooManyAnnotations));
                    break;
                }
            }
        }
        set
    };
    let take_away = async |who: &Identity, mailbox: &MailboxName| {
        let changes: Vec<_> = names(who.user()).map(|name| (name, None)).collect();
        store.set_metadata(who, Some(mailbox), &changes).await.unwrap();
    };
    let guests = ["bob", "eve", "joe", "kim", "lee", "moe", "ned"].map(user);
    for guest in &guests {
        store.set_acl(ann, &name("Work"), guest.user(), RightsChange::parse("lw")).await.unwrap();
    }
    for (value, one) in [(vec![], 32), (vec![b'x'; 60_000], 8)] {
        let mut set = Vec::new();
        for guest in &guests {
            set.push(fill(guest, &work, &value).await);
        }
        assert_eq!(set[..5], [one; 5], "{set:?}");
        assert!(fill(ann, &name("Work"), &value).await >= 2 * one);
        // Who set it last holds it; and what is taken away is nobody's.
        for who in &guests {
            take_away(who, &work).await;
        }
        assert_eq!(fill(&guests[6], &work, &value).await, one);
        take_away(&guests[6], &work).await;
        take_away(ann, &name("Work")).await;
    }
}
