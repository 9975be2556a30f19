//! Whose mailbox a name is.

use pillarbox_imap::types::{MailboxName, Separator};

use super::Result;
use super::identifiers::Names;
use crate::parts::{Identity, Namespace, StoreError, StoreErrorKind};

/// Where a mailbox is: in which account, and under which name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) account: Identity,
    pub(super) mailbox: MailboxName,
}

impl Place {
    /// INBOX of a user's own, which comes to be as soon as anything is done with it.
    pub(super) fn is_inbox_of(&self, user: &Identity) -> bool {
        self.account == *user && self.mailbox.is_inbox()
    }
}

/// The namespaces.
#[derive(Debug)]
pub(super) struct Places {
    own: Namespace,
    /// What the names in an account begin with, but INBOX.
    prefix: Option<MailboxName>,
    pub(super) others: Option<MailboxName>,
    pub(super) shared: Option<(MailboxName, Identity)>,
    /// What accounts are called.
    pub(super) names: Names,
}

impl Places {
    pub(super) fn new(own: Option<Namespace>) -> Self {
        let own = own.unwrap_or_default();
        let separator = own.separator.as_char();
        let levels = own.prefix.strip_suffix(separator).unwrap_or(&own.prefix);
        let prefix = MailboxName::new(&levels.replace(separator, "/")).ok();
        Places { own, prefix, others: None, shared: None, names: Names::default() }
    }

    /// The namespaces as clients are told them.
    pub(super) fn told(&self) -> Namespace {
        let separator = self.own.separator.as_char();
        let spelled = |name: &MailboxName| match self.own.separator {
            Separator::Slash => format!("{name}/"),
            Separator::Dot => format!("{}{separator}", name.as_str().replace('/', ".")),
        };
        let other_users = self.others.as_ref().map(spelled);
        Namespace { other_users, shared: self.shared.as_ref().map(|(name, _)| spelled(name)), ..self.own.clone() }
    }

    /// Where a mailbox is. That a place is named says nothing of what is there.
    pub(super) fn find(&self, user: &Identity, name: &MailboxName) -> Result<Place> {
        let none = || StoreError::new(StoreErrorKind::NoSuchMailbox, format!("{name} is no mailbox's name"));
        if let Some((below, account)) = &self.shared
            && let Some(rest) = rest_below(name, below)
        {
            let mailbox = self.in_account(rest.ok_or_else(none)?).ok_or_else(none)?;
            return Ok(Place { account: account.clone(), mailbox });
        }
        if let Some(below) = &self.others
            && let Some(rest) = rest_below(name, below)
        {
            let (account, rest) = rest.and_then(|rest| rest.split_once('/')).ok_or_else(none)?;
            let mailbox = self.in_account(rest).ok_or_else(none)?;
            return Ok(Place { account: self.names.account(account), mailbox });
        }
        Ok(Place { account: user.clone(), mailbox: name.clone() })
    }

    /// Whether a name is one of the user's own account, as [`find`](Self::find) has it.
    pub(super) fn is_own(&self, name: &MailboxName) -> bool {
        let beside = self.others.iter().chain(self.shared.iter().map(|(below, _)| below));
        beside.into_iter().all(|below| rest_below(name, below).is_none())
    }

    /// The name under which a user's account keeps a subscription to a name. An account whose own names have a prefix keeps nothing
    /// else, so that another's mailbox gets the prefix as well.
    pub(super) fn kept(&self, name: &MailboxName) -> MailboxName {
        let below = |prefix: &MailboxName| MailboxName::new(&format!("{prefix}/{name}")).ok();
        self.prefix.as_ref().filter(|_| !self.is_own(name)).and_then(below).unwrap_or_else(|| name.clone())
    }

    /// The name that is [kept](Self::kept) so.
    pub(super) fn subscribed(&self, kept: MailboxName) -> MailboxName {
        let below = |prefix: &MailboxName| MailboxName::new(rest_below(&kept, prefix)??).ok();
        self.prefix.as_ref().and_then(below).filter(|name| !self.is_own(name)).unwrap_or(kept)
    }

    /// Whether accounts keep names of others under ones of their own.
    pub(super) fn keeps_otherwise(&self) -> bool {
        self.prefix.is_some() && (self.others.is_some() || self.shared.is_some())
    }

    /// The name in its account.
    fn in_account(&self, rest: &str) -> Option<MailboxName> {
        let name = MailboxName::new(rest).ok()?;
        match &self.prefix {
            Some(prefix) if !name.is_inbox() => MailboxName::new(&format!("{prefix}/{name}")).ok(),
            _ => Some(name),
        }
    }

    /// What others call a mailbox of an account, where `below` is what stands in front; `None` if that is no name.
    pub(super) fn seen_below(&self, below: &str, mailbox: &MailboxName) -> Option<MailboxName> {
        let name = match &self.prefix {
            Some(prefix) if !mailbox.is_inbox() => mailbox.as_str().strip_prefix(prefix.as_str())?.strip_prefix('/')?,
            _ => mailbox.as_str(),
        };
        MailboxName::new(&format!("{below}/{name}")).ok()
    }
}

/// `None`: the name is not in this namespace. `Some(None)`: it is the namespace itself.
fn rest_below<'n>(name: &'n MailboxName, below: &MailboxName) -> Option<Option<&'n str>> {
    match name.as_str().strip_prefix(below.as_str())? {
        "" => Some(None),
        rest => rest.strip_prefix('/').map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    #[test]
    fn names_and_places() {
        let ann = Identity::new("ann");
        for (prefix, separator, inside) in
            [("", Separator::Slash, "Work/A"), ("INBOX.", Separator::Dot, "INBOX/Work/A")]
        {
            let mut places = Places::new(Some(Namespace { prefix: prefix.into(), separator, ..Namespace::default() }));
            places.others = Some(name("Other Users"));
            places.shared = Some((name("Shared"), Identity::new("everybody")));
            let find = |text| places.find(&ann, &name(text)).map(|place| (place.account, place.mailbox));
            assert_eq!(find("Other Users/bob/Work/A").unwrap(), (Identity::new("bob"), name(inside)));
            assert_eq!(find("Other Users/bob/inbox").unwrap(), (Identity::new("bob"), MailboxName::inbox()));
            assert_eq!(find("Shared/Work/A").unwrap(), (Identity::new("everybody"), name(inside)));
            for text in ["Other Users/bob/Work/A", "Shared/x", "Sharedx", "INBOX", "INBOX/Work"] {
                assert_eq!(places.subscribed(places.kept(&name(text))), name(text));
            }
            assert_eq!(find("Sharedx").unwrap(), (ann.clone(), name("Sharedx")));
            assert!(places.is_own(&name("Sharedx")) && !places.is_own(&name("Shared/Work")));
            assert_eq!(places.seen_below("Other Users/bob", &name(inside)), Some(name("Other Users/bob/Work/A")));
            for nothing in ["Other Users", "Other Users/bob", "Shared"] {
                assert_eq!(find(nothing).map_err(|error| error.kind), Err(StoreErrorKind::NoSuchMailbox), "{nothing}");
            }
            let told = places.told();
            let spelled = |text: &str| Some(format!("{text}{}", separator.as_char()));
            assert_eq!((told.other_users, told.shared), (spelled("Other Users"), spelled("Shared")));
        }
    }
}
