//! What can be given to the owner, and taken from them.

use pillarbox::parts::{Append, MailboxStore};
use pillarbox::store::AclSource;
use pillarbox_imap::acl::{Rights, RightsChange};
use pillarbox_imap::types::MailboxName;

use crate::world::{World, add, in_both_stores, name};

in_both_stores! {
    what_the_owner_has_is_where_a_change_begins
}

/// RFC 4314 §3.1: added to the existing rights, or removed from them. No line says that the owner has all.
async fn what_the_owner_has_is_where_a_change_begins<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, inbox) = (&world.store, &world.ann, MailboxName::inbox());
    for own_name in ["ann", "owner"] {
        for (change, expected) in [("+x", Rights::ALL), ("-x", Rights::ALL.minus(Rights::DELETE))] {
            for mailbox in [&inbox, &name("Work")] {
                let text = format!("{mailbox} {own_name} {change}");
                store.set_acl(ann, mailbox, own_name, RightsChange::parse(change)).await.unwrap();
                assert_eq!(store.rights(ann, mailbox).await.unwrap(), expected, "{text}");
                assert_eq!(store.acl(ann, mailbox).await.unwrap()[0].rights, expected, "{text}");
                add(store, ann, mailbox.as_str(), &[]).await.unwrap();
                let mut mail = Append::default();
                mail.delivery = true;
                store.append(ann, mailbox, mail).await.unwrap().publish().await.expect("her mail is delivered");
                store.set_acl(ann, mailbox, own_name, None).await.unwrap();
            }
        }
    }
}
