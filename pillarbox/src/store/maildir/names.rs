//! Where an account's mailboxes lie, and how their names differ from those that clients see.

use std::sync::Arc;

use pillarbox_imap::types::{MailboxName, NameEncoding, Separator};
use pillarbox_maildir::{self as maildir, MaildirError, Tree, TreeOptions};

use super::{Inner, MaildirStore, Result, told};
use crate::parts::{Identity, Namespace, StoreError, StoreErrorKind};

impl MaildirStore {
    /// How each account lies in its folder: what stands behind the path in Dovecot's `mail_location`. For folders that
    /// Dovecot has used, say what its configuration says.
    ///
    /// ```
    /// use pillarbox::maildir::{Layout, TreeOptions};
    /// use pillarbox::store::MaildirStore;
    ///
    /// // mail_location = maildir:/var/mail/%u:LAYOUT=fs
    /// let mut options = TreeOptions::default();
    /// options.layout = Layout::Fs;
    /// let store = MaildirStore::new(|_| Some("/var/mail/you".into())).lying_as(move |_| options.clone());
    /// ```
    ///
    /// # Panics
    ///
    /// If the store is in use: this is said while it is put together.
    #[must_use]
    pub fn lying_as(mut self, options: impl Fn(&Identity) -> TreeOptions + Send + Sync + 'static) -> Self {
        self.being_made().lies_as = Box::new(options);
        self
    }

    /// Shows mailboxes other than INBOX below `prefix`, and the levels of names parted by `separator`, as Dovecot's
    /// `namespace inbox { prefix = INBOX. separator = . }` does. Nothing on disk changes by it, subscriptions included: clients
    /// that were used to such names find theirs.
    ///
    /// The prefix is written as clients see it, and ends with the separator; empty, there is none.
    ///
    /// ```
    /// use pillarbox::imap_proto::types::Separator;
    /// use pillarbox::store::MaildirStore;
    ///
    /// let store = MaildirStore::new(|_| Some("/var/mail/you".into())).in_namespace("INBOX.", Separator::Dot)?;
    /// # Ok::<(), pillarbox::parts::StoreError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the prefix is no name with a separator behind it.
    ///
    /// # Panics
    ///
    /// If the store is in use: this is said while it is put together.
    pub fn in_namespace(mut self, prefix: &str, separator: Separator) -> Result<Self> {
        let names = Names::new(prefix, separator)?;
        self.being_made().names = names;
        Ok(self)
    }

    pub(super) fn being_made(&mut self) -> &mut Inner {
        Arc::get_mut(&mut self.inner).expect("nobody has a copy of a store that is being put together")
    }
}

/// The names that clients see.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// What clients and sessions are told.
    namespace: Option<Namespace>,
    /// The prefix, with `/` between levels and none at the end.
    prefix: Option<MailboxName>,
}

impl Names {
    fn new(prefix: &str, separator: Separator) -> Result<Self> {
        let namespace = Some(Namespace { prefix: prefix.to_owned(), separator, ..Namespace::default() });
        if prefix.is_empty() {
            return Ok(Names { namespace, prefix: None });
        }
        let wrong = || {
            let text = format!("the prefix {prefix:?} is no mailbox name with {:?} behind it", separator.as_char());
            StoreError::new(StoreErrorKind::Cannot, text)
        };
        let levels = prefix.strip_suffix(separator.as_char()).ok_or_else(wrong)?;
        if separator == Separator::Dot && levels.contains('/') {
            return Err(wrong());
        }
        let name = MailboxName::new(&levels.replace(separator.as_char(), "/")).map_err(|_| wrong())?;
        // Clients are told it as they will see it again.
        let spelled =
            format!("{}{}", name.as_str().replace('/', &separator.as_char().to_string()), separator.as_char());
        let namespace = Namespace { prefix: spelled, separator, ..Namespace::default() };
        Ok(Names { namespace: Some(namespace), prefix: Some(name) })
    }

    pub(super) fn namespace(&self) -> Option<Namespace> {
        self.namespace.clone()
    }

    /// The name on disk of a mailbox that a client names. Another program may have written it in another form of Unicode than clients
    /// are told (RFC 5198 §3): what is there in the form of its own goes first, and what is not there at all would be made so.
    pub(super) fn find(&self, tree: &Tree, name: &MailboxName) -> Result<maildir::MailboxName> {
        let on_disk = self.on_disk(name)?;
        if name.as_str().is_ascii() {
            return Ok(on_disk);
        }
        match tree.mailbox(&on_disk) {
            Err(MaildirError::NoSuchMailbox(_)) => {}
            // Trouble meets whoever opens it.
            _ => return Ok(on_disk),
        }
        let listed = tree.list().map_err(told)?.into_iter().filter(|listed| listed.exists);
        let otherwise = listed.map(|listed| listed.name).find(|other| self.in_imap(other).as_ref() == Some(name));
        Ok(otherwise.unwrap_or(on_disk))
    }

    /// The checked name that paths are made of.
    fn on_disk(&self, name: &MailboxName) -> Result<maildir::MailboxName> {
        let text = match &self.prefix {
            Some(prefix) if !name.is_inbox() => {
                let below = name.as_str().strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('/'));
                below.ok_or_else(|| {
                    let text = format!("{name} is in no namespace: mailboxes are below {prefix}");
                    StoreError::new(StoreErrorKind::Cannot, text)
                })?
            }
            _ => name.as_str(),
        };
        let on_disk = maildir::MailboxName::parse(text, '/').map_err(|error| told(error.into()))?;
        if on_disk.is_inbox() && !name.is_inbox() {
            // With the prefix INBOX, `INBOX/INBOX` would be one more name of INBOX.
            return Err(StoreError::new(StoreErrorKind::Cannot, format!("{name} would be INBOX")));
        }
        Ok(on_disk)
    }

    /// What clients call it, in normal form C; `None` if it cannot be said to them. A name on disk that is no name in IMAP is another
    /// program's business.
    pub(super) fn in_imap(&self, name: &maildir::MailboxName) -> Option<MailboxName> {
        let text = match &self.prefix {
            Some(prefix) if !name.is_inbox() => format!("{prefix}/{}", name.joined('/')),
            _ => name.joined('/'),
        };
        let seen = MailboxName::from_wire(text.as_bytes(), Separator::Slash, NameEncoding::Utf8).ok();
        // The Kelvin sign would be a K. In ASCII a name is looked for in one spelling only.
        seen.filter(|seen| text.is_ascii() || !seen.as_str().is_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imap(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    #[test]
    fn names_both_ways() {
        for (prefix, separator, spelled, pairs) in [
            ("", Separator::Slash, "", [("INBOX", "INBOX"), ("a/b", "a/b"), ("INBOX/x", "INBOX/x")]),
            (
                "INBOX.",
                Separator::Dot,
                "INBOX.",
                [("INBOX", "INBOX"), ("INBOX/a/b", "a/b"), ("INBOX/INBOX/x", "INBOX/x")],
            ),
            ("inbox/", Separator::Slash, "INBOX/", [("INBOX", "INBOX"), ("INBOX/Sent", "Sent"), ("INBOX/a.b", "a.b")]),
            ("My.Mail.", Separator::Dot, "My.Mail.", [("INBOX", "INBOX"), ("My/Mail/a", "a"), ("My/Mail/a/b", "a/b")]),
        ] {
            let names = Names::new(prefix, separator).unwrap();
            assert_eq!(
                names.namespace(),
                Some(Namespace { prefix: spelled.into(), separator, ..Namespace::default() })
            );
            for (seen, on_disk) in pairs {
                let name = names.on_disk(&imap(seen)).unwrap();
                assert_eq!(name.joined('/'), on_disk, "{prefix} {seen}");
                assert_eq!(names.in_imap(&name), Some(imap(seen)), "{prefix} {on_disk}");
            }
        }
        assert_eq!(Names::default().namespace(), None);
    }

    // MBX-01, MBX-06
    #[test]
    fn names_outside_the_namespace() {
        let names = Names::new("INBOX.", Separator::Dot).unwrap();
        for outside in ["Other", "INBOXx", "INBOX/INBOX", "INBOX/inbox", "Inboxes/a"] {
            let refused = names.on_disk(&imap(outside)).map_err(|error| error.kind);
            assert_eq!(refused, Err(StoreErrorKind::Cannot), "{outside}");
        }
        let names = Names::new("Mail/", Separator::Slash).unwrap();
        for outside in ["Mail", "a", "INBOX/a", "Mail/INBOX", "Mailbox/a"] {
            assert!(names.on_disk(&imap(outside)).is_err(), "{outside}");
        }
    }

    #[test]
    fn prefixes_that_are_none() {
        for (prefix, separator) in [
            ("INBOX", Separator::Dot),
            (".", Separator::Dot),
            ("INBOX.", Separator::Slash),
            ("a/b.", Separator::Dot),
            ("../", Separator::Slash),
            ("a//", Separator::Slash),
            ("~/", Separator::Slash),
        ] {
            assert!(Names::new(prefix, separator).is_err(), "{prefix}");
        }
    }
}
