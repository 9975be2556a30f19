//! Who is meant: the names that clients write, and those in the lists.

use std::fmt;
use std::sync::Arc;

use pillarbox_imap::acl::{self, AclEntry, Rights};
use pillarbox_maildir::{self as maildir, Acl, AclError, Identifier};

use super::Result;
use crate::parts::{Identity, StoreError, StoreErrorKind};

/// What makes one of all spellings of an account's name.
#[derive(Clone)]
pub(super) struct Names(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Names {
    pub(super) fn new(names: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Names(Arc::new(names))
    }

    pub(super) fn name(&self, text: &str) -> String {
        (self.0)(text)
    }

    pub(super) fn account(&self, text: &str) -> Identity {
        Identity::new(self.name(text))
    }

    /// Whom an identifier means. The name of the owner, if mailboxes have one, is theirs however it is spelled.
    fn meant(&self, identifier: &Identifier, owner: Option<&str>) -> Identifier {
        let Identifier::User(name) = identifier else { return identifier.clone() };
        let name = self.name(name);
        match owner.is_some_and(|owner| self.name(owner) == name) {
            true => Identifier::Owner,
            false => Identifier::User(name),
        }
    }

    /// A list with one name for each whom it means.
    pub(super) fn identified(&self, list: &Acl, owner: Option<&str>) -> Acl {
        list.identified(|identifier| self.meant(identifier, owner))
    }
}

impl Default for Names {
    fn default() -> Self {
        Names::new(str::to_owned)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

/// A change of one entry of a list.
#[derive(Clone, Debug)]
pub struct AclChange {
    identifier: Identifier,
    negative: bool,
    change: Option<maildir::RightsChange>,
    names: Names,
    owner: Option<String>,
}

impl AclChange {
    /// The entry of an identifier, or with `negative` the one that takes rights away, is changed so; without `change` it goes. Names
    /// are compared by their octets, and nobody's is the owner's.
    pub fn new(identifier: Identifier, negative: bool, change: Option<maildir::RightsChange>) -> Self {
        AclChange { identifier, negative, change, names: Names::default(), owner: None }
    }

    /// In a list of this owner's mailbox, in which accounts are called so.
    pub(super) fn among(mut self, names: &Names, owner: Option<&str>) -> Self {
        (self.names, self.owner) = (names.clone(), owner.map(str::to_owned));
        self
    }

    /// Changes a list. Entries that mean the same account by other spellings of its name, or the owner by their name, become one before:
    /// what is left of them would go on to count.
    ///
    /// # Errors
    ///
    /// [`AclError`], if the name can be nobody's or there are too many entries.
    ///
    /// ```
    /// use pillarbox::maildir::{Acl, Identifier, Rights, RightsChange};
    /// use pillarbox::store::AclChange;
    ///
    /// let lookup = RightsChange::Replace(Rights::LOOKUP);
    /// let mut list = Acl::default();
    /// AclChange::new(Identifier::User("ann".into()), false, Some(lookup)).apply(&mut list)?;
    /// assert_eq!(list.encode(), b"user=ann l\n");
    /// # Ok::<(), pillarbox::maildir::AclError>(())
    /// ```
    pub fn apply(&self, list: &mut Acl) -> std::result::Result<(), AclError> {
        let mut changed = self.names.identified(list, self.owner.as_deref());
        match self.change {
            Some(change) => changed.set(&self.identifier, self.negative, change)?,
            None => changed.remove(&self.identifier, self.negative),
        }
        *list = changed;
        Ok(())
    }
}

/// The same rights, as clients know them.
pub(super) fn rights_of(rights: maildir::Rights) -> Rights {
    Rights::parse(&rights.to_string()).expect("both have the letters of RFC 4314")
}

fn rights_on_disk(rights: Rights) -> maildir::Rights {
    maildir::Rights::parse(&rights.to_string()).expect("both have the letters of RFC 4314")
}

pub(super) fn changed_by(change: acl::RightsChange) -> maildir::RightsChange {
    match change {
        acl::RightsChange::Replace(rights) => maildir::RightsChange::Replace(rights_on_disk(rights)),
        acl::RightsChange::Add(rights) => maildir::RightsChange::Add(rights_on_disk(rights)),
        acl::RightsChange::Remove(rights) => maildir::RightsChange::Remove(rights_on_disk(rights)),
    }
}

/// Reads what a client wrote, in the words of Dovecot: `$` in front of a group, `!$` where it counts more than the user. The account's
/// own name is its owner. RFC 4314 §2: a name is that of a user however LOGIN lets it be spelled.
pub(super) fn on_disk(text: &str, owner: Option<&str>, names: &Names) -> Result<(bool, Identifier)> {
    let (negative, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
    let wrong = || StoreError::new(StoreErrorKind::Cannot, "that can be nobody's name");
    if name.is_empty() || name.starts_with(['#', '-']) || name.chars().any(char::is_control) {
        return Err(wrong());
    }
    let identifier = match name {
        "anyone" => Identifier::Anyone,
        "authenticated" => Identifier::Authenticated,
        "owner" => Identifier::Owner,
        _ => match (name.strip_prefix("!$"), name.strip_prefix('$')) {
            (Some(group), _) if !group.is_empty() => Identifier::GroupOverride(group.into()),
            (_, Some(group)) if !group.is_empty() => Identifier::Group(group.into()),
            (None, None) => names.meant(&Identifier::User(name.into()), owner),
            _ => return Err(wrong()),
        },
    };
    Ok((negative, identifier))
}

fn told(identifier: &Identifier, owner: Option<&str>) -> String {
    match identifier {
        Identifier::Owner => owner.unwrap_or("owner").into(),
        Identifier::User(name) => name.clone(),
        Identifier::Group(group) => format!("${group}"),
        Identifier::GroupOverride(group) => format!("!${group}"),
        // `anyone` and `authenticated` are the same in both.
        other => other.to_string(),
    }
}

/// A list, [identified](Names::identified), as clients are told it. The owner's rights are in it also where no line says so.
pub(super) fn entries(list: &Acl, owner: Option<&str>) -> Vec<AclEntry> {
    let mut all = Vec::new();
    if let Some(owner) = owner {
        let is_theirs = |entry: &&maildir::AclEntry| !entry.negative && entry.identifier == Identifier::Owner;
        let begins_with = list.entries().find(is_theirs).map_or(Rights::ALL, |entry| rights_of(entry.rights));
        all.push(AclEntry { identifier: owner.into(), rights: begins_with | Rights::LOOKUP | Rights::ADMIN });
    }
    let others =
        list.entries().filter(|entry| entry.negative || owner.is_none() || entry.identifier != Identifier::Owner);
    all.extend(others.map(|entry| {
        let sign = if entry.negative { "-" } else { "" };
        AclEntry { identifier: format!("{sign}{}", told(&entry.identifier, owner)), rights: rights_of(entry.rights) }
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_both_ways() {
        for (text, identifier) in [
            ("anyone", Identifier::Anyone),
            ("authenticated", Identifier::Authenticated),
            ("owner", Identifier::Owner),
            ("$team", Identifier::Group("team".into())),
            ("!$team", Identifier::GroupOverride("team".into())),
            ("bob@example.com", Identifier::User("bob@example.com".into())),
            ("user=bob", Identifier::User("user=bob".into())),
        ] {
            assert_eq!(on_disk(text, Some("ann"), &Names::default()).unwrap(), (false, identifier.clone()), "{text}");
            assert_eq!(
                on_disk(&format!("-{text}"), Some("ann"), &Names::default()).unwrap(),
                (true, identifier.clone()),
                "{text}"
            );
            assert_eq!(told(&identifier, None), text);
        }
        assert_eq!(on_disk("ann", Some("ann"), &Names::default()).unwrap().1, Identifier::Owner);
        for wrong in ["", "-", "--x", "$", "!$", "#global", "a\nb"] {
            assert!(on_disk(wrong, Some("ann"), &Names::default()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_owner_is_always_in_the_list() {
        let told = |list: &[u8], owner| {
            let list = Acl::parse(list).unwrap();
            let told = entries(&list, owner).into_iter().map(|entry| format!("{}:{}", entry.identifier, entry.rights));
            told.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(b"", Some("ann")), "ann:lrswipkxtea");
        assert_eq!(told(b"owner r\n-user=bob w\n", Some("ann")), "ann:lra -bob:w");
        assert_eq!(told(b"owner r\nanyone l\n", None), "owner:r anyone:l");
    }
}
