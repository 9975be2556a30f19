//! What mailboxes are for.

use pillarbox_imap::types::{MailboxName, ObjectId, SpecialUse};
use pillarbox_maildir::{self as maildir, Acl, Maildir, MaildirError, Tree};

use super::{MaildirStore, Result, mailbox_id, told};
use crate::parts::{BoxFuture, Identity, NameChange, StoreError, StoreErrorKind};
use crate::store::annotations::refuse_inbox;

impl MaildirStore {
    /// Makes a mailbox, if need be with a list from its beginning.
    pub(super) fn make(
        &self,
        user: &Identity,
        mailbox: &MailboxName,
        uses: &[SpecialUse],
        list: Option<Acl>,
    ) -> BoxFuture<'static, Result<Option<ObjectId>>> {
        let (mailbox, uses, account) = (mailbox.clone(), uses.to_vec(), user.clone());
        self.on_tree(user, move |inner, tree| {
            let name = inner.names.find(tree, &mailbox)?;
            let mut id = None;
            inner.change_names(&account, false, || {
                id = mailbox_id(&create(tree, &name, &uses, list.as_ref())?);
                Ok(NameChange::Created(mailbox))
            })?;
            Ok(id)
        })
    }
}

/// What a mailbox is for. One that went away meanwhile is for nothing.
pub(super) fn special_uses(tree: &Tree, name: &maildir::MailboxName) -> Result<Vec<SpecialUse>> {
    match tree.mailbox(name).and_then(|folder| folder.special_uses()) {
        Ok(words) => Ok(words.iter().filter_map(|word| SpecialUse::parse(word)).collect()),
        Err(MaildirError::NoSuchMailbox(_)) => Ok(Vec::new()),
        Err(error) => Err(told(error)),
    }
}

/// Of two that are made at once for the same use one is refused.
fn create(tree: &Tree, name: &maildir::MailboxName, uses: &[SpecialUse], list: Option<&Acl>) -> Result<Maildir> {
    let words: Vec<&str> = uses.iter().map(|special| special.as_str()).collect();
    let create = || match list {
        Some(list) => tree.create_mailbox_with_acl(name, &words, list).map_err(told),
        None => tree.create_mailbox_for(name, &words).map_err(told),
    };
    if uses.is_empty() || tree.mailbox(name).is_ok() {
        return create();
    }
    let create_if_free = || refuse_uses(tree, uses, name).and_then(|()| create());
    tree.while_uses_stay(create_if_free).map_err(told)?
}

/// Says what a mailbox is for from now on. Of two that are to have the same use at once one is refused.
pub(super) fn set(tree: &Tree, name: &maildir::MailboxName, uses: &[SpecialUse]) -> Result<()> {
    if name.is_inbox() {
        return refuse_inbox(uses);
    }
    let words: Vec<&str> = uses.iter().map(|special| special.as_str()).collect();
    let folder = tree.mailbox(name).map_err(told)?;
    let set_if_free = || refuse_uses(tree, uses, name).and_then(|()| folder.set_special_uses(&words).map_err(told));
    tree.while_uses_stay(set_if_free).map_err(told)?
}

/// RFC 6154 §3: there are no views here, and programs would not know which of two mailboxes to use.
fn refuse_uses(tree: &Tree, uses: &[SpecialUse], name: &maildir::MailboxName) -> Result<()> {
    let refused = |special: &SpecialUse| {
        Err(StoreError::new(StoreErrorKind::NotForThatUse, format!("no mailbox can be made for {special}")))
    };
    if let Some(view) = uses.iter().find(|special| special.is_view()) {
        return refused(view);
    }
    for mailbox in tree.list().map_err(told)?.iter().filter(|mailbox| mailbox.exists && mailbox.name != *name) {
        let taken = special_uses(tree, &mailbox.name)?;
        if let Some(special) = uses.iter().find(|special| taken.contains(special)) {
            return refused(special);
        }
    }
    Ok(())
}
