//! Annotations (RFC 5464), as far as stores have them alike.

use std::collections::BTreeMap;

use pillarbox_core::annotation::Shares;
use pillarbox_imap::metadata::{Entry, EntryChange, EntryName, WantedEntries};
use pillarbox_imap::types::SpecialUse;

use crate::parts::{Identity, StoreError, StoreErrorKind};

/// The octets of a value.
const VALUE_MAX: usize = 64 << 10;

/// The annotations of a mailbox or an account, for a store that keeps them in memory: by their names and, where they are private,
/// whose they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Annotations(BTreeMap<(EntryName, Option<Identity>), Held>);

#[derive(Clone, Debug)]
struct Held {
    /// Who set it last.
    holder: Identity,
    value: Vec<u8>,
}

impl Annotations {
    /// Those of the wanted ones that a user sees, by name.
    pub(super) fn seen_by(&self, reader: &Identity, wanted: &WantedEntries) -> Vec<Entry> {
        let seen =
            self.0.iter().filter(|((name, of), _)| of.as_ref().is_none_or(|of| of == reader) && wanted.has(name));
        seen.map(|((name, _), held)| (name.clone(), held.value.clone())).collect()
    }

    /// All or none. `owner` is whose the mailbox or the account is.
    pub(super) fn change(
        &mut self,
        writer: &Identity,
        owner: &Identity,
        changes: &[EntryChange],
    ) -> Result<(), StoreError> {
        let mut changed = self.clone();
        for (name, value) in changes {
            let key = (name.clone(), name.is_private().then(|| writer.clone()));
            match value {
                Some(value) if value.len() > VALUE_MAX => {
                    let kind = StoreErrorKind::AnnotationTooLarge(VALUE_MAX as u32);
                    return Err(StoreError::new(kind, format!("{name} has {} octets", value.len())));
                }
                Some(value) => {
                    changed.0.insert(key, Held { holder: writer.clone(), value: value.clone() });
                }
                None => drop(changed.0.remove(&key)),
            }
        }
        if !changed.shares(writer, owner).may_follow(&self.shares(writer, owner)) {
            return Err(StoreError::new(StoreErrorKind::TooManyAnnotations, "there are as many as there may be"));
        }
        *self = changed;
        Ok(())
    }

    fn shares<'a>(&self, writer: &'a Identity, owner: &'a Identity) -> Shares<'a> {
        let mut shares = Shares::new(writer.user(), owner.user());
        for ((name, _), Held { holder, value }) in &self.0 {
            shares.count(name, holder.user(), value.len());
        }
        shares
    }
}

/// What the entry about a mailbox's uses says (RFC 6154 §4), if the mailbox has any.
pub(super) fn of_uses(uses: &[SpecialUse]) -> Option<Entry> {
    let words: Vec<&str> = uses.iter().map(|special| special.as_str()).collect();
    (!words.is_empty()).then(|| (EntryName::special_use(), words.join(" ").into_bytes()))
}

/// The uses that a mailbox is to have from now on, if that is what is to be changed. They are kept apart from annotations, so that
/// they and others cannot change in one step.
pub(super) fn new_uses(changes: &[EntryChange]) -> Result<Option<Vec<SpecialUse>>, StoreError> {
    let special_use = EntryName::special_use();
    match changes {
        [(name, value)] if *name == special_use => {
            let text = String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
            let unknown = |word: &str| StoreError::new(StoreErrorKind::NotForThatUse, format!("{word:?} is no use"));
            let mut uses = Vec::new();
            for word in text.split_ascii_whitespace() {
                let special = SpecialUse::parse(word).ok_or_else(|| unknown(word))?;
                if !uses.contains(&special) {
                    uses.push(special);
                }
            }
            Ok(Some(uses))
        }
        _ if changes.iter().any(|(name, _)| *name == special_use) => {
            Err(StoreError::new(StoreErrorKind::Cannot, "what a mailbox is for changes alone"))
        }
        _ => Ok(None),
    }
}

/// INBOX is what it is for.
pub(super) fn refuse_inbox(uses: &[SpecialUse]) -> Result<(), StoreError> {
    match uses {
        [] => Ok(()),
        _ => Err(StoreError::new(StoreErrorKind::NotForThatUse, "INBOX has no other use")),
    }
}

/// What all users of the server would see is not for one of them to say; and no account has entries for others.
pub(super) fn refuse_shared(changes: &[EntryChange]) -> Result<(), StoreError> {
    match changes.iter().find(|(name, _)| !name.is_private()) {
        Some((name, _)) => Err(StoreError::new(StoreErrorKind::NoPermission, format!("{name} is the operator's"))),
        None => Ok(()),
    }
}
