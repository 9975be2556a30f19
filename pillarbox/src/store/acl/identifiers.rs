//! Who is meant: the names that clients write, and those in the lists.

use pillarbox_imap::acl::{self, AclEntry, Rights};
use pillarbox_maildir::{self as maildir, Acl, Identifier};

use super::Result;
use crate::parts::{StoreError, StoreErrorKind};

/// A change of one entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclChange {
    /// Whose entry.
    pub identifier: Identifier,
    /// The one that takes rights away.
    pub negative: bool,
    /// To what; `None`: the entry goes.
    pub change: Option<maildir::RightsChange>,
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
/// own name is its owner.
pub(super) fn on_disk(text: &str, owner: Option<&str>) -> Result<(bool, Identifier)> {
    let (negative, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
    let wrong = || StoreError::new(StoreErrorKind::Cannot, "that can be nobody's name");
    if name.is_empty() || name.starts_with(['#', '-']) || name.chars().any(char::is_control) {
        return Err(wrong());
    }
    let identifier = match name {
        "anyone" => Identifier::Anyone,
        "authenticated" => Identifier::Authenticated,
        "owner" => Identifier::Owner,
        _ if owner == Some(name) => Identifier::Owner,
        _ => match (name.strip_prefix("!$"), name.strip_prefix('$')) {
            (Some(group), _) if !group.is_empty() => Identifier::GroupOverride(group.into()),
            (_, Some(group)) if !group.is_empty() => Identifier::Group(group.into()),
            (None, None) => Identifier::User(name.into()),
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

/// A list as clients are told it. The owner's rights are in it also where no line says so.
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
            assert_eq!(on_disk(text, Some("ann")).unwrap(), (false, identifier.clone()), "{text}");
            assert_eq!(on_disk(&format!("-{text}"), Some("ann")).unwrap(), (true, identifier.clone()), "{text}");
            assert_eq!(told(&identifier, None), text);
        }
        assert_eq!(on_disk("ann", Some("ann")).unwrap().1, Identifier::Owner);
        for wrong in ["", "-", "--x", "$", "!$", "#global", "a\nb"] {
            assert!(on_disk(wrong, Some("ann")).is_err(), "{wrong:?}");
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
