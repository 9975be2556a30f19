//! The authors of a message: one strict reading of its From field (RFC 5322 §3.6.2, RFC 6854, RFC 6532).
//!
//! DMARC judges the domain that the reader is shown. If the check and the reader's program take two different addresses from
//! one field, everything that was checked is worth nothing, and so whatever programs are known to read in more than one
//! way is refused here and has no author at all. What is read:
//!
//! - fields named From, as [`pillarbox_core::header`] reads names; never Sender, Resent-From or another;
//! - mailboxes and groups, display names, comments at any depth, quoted strings, empty members of a list, and characters
//!   beyond ASCII in UTF-8. A route before an address (`<@a,@b:c@d>`) is read over, as RFC 5322 §4.4 asks;
//! - encoded words as the atoms that they are: they are never decoded, so none can become an address.
//!
//! Deviates from RFC 5322 §4: because readers disagree about them, these obsolete forms are refused: white space or comments
//! around the dots of an address, a local part of several words, controls, and a group that is not closed.

mod lex;
mod list;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use pillarbox_core::address::Address;
use pillarbox_core::dns::Name;
use pillarbox_core::header::{Field, Fields};

use crate::idn;

/// What reading may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Words, comments and marks in all From fields together: 10,000, which is more than any person wrote and keeps what is
    /// held of a header below a few megabytes.
    pub tokens_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { tokens_max: 10_000 }
    }
}

/// The authors of a message, or why nobody can tell who they are.
///
/// ```
/// use pillarbox_auth::from::{Authors, FromFault, Limits};
///
/// let authors = Authors::read(b"From: \"Joe\" <joe@Example.org>\r\nTo: a@b\r\n\r\n", &Limits::default());
/// assert_eq!(authors.domain().unwrap().as_str(), "example.org");
/// assert_eq!(authors.mailboxes().unwrap()[0].to_string(), "joe@Example.org");
///
/// let authors = Authors::read(b"From: <a@example.net>joe@example.org\r\n\r\n", &Limits::default());
/// assert_eq!(authors.domain(), Err(FromFault::Syntax { at: 16 }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authors {
    mailboxes: Vec<Address<'static>>,
    domains: Vec<Name>,
    fault: Option<FromFault>,
}

/// Why a message has no single author domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FromFault {
    /// There is no From field.
    #[error("no From field")]
    Missing,
    /// There are several, and readers choose differently.
    #[error("several From fields")]
    SeveralFields,
    /// More than space and tab stands between the name of a From field and its colon. Some programs do not see the field.
    #[error("a From field whose name is folded")]
    FieldName,
    /// A From field is no list of addresses, or is written in a form that is read in more than one way.
    #[error("a From field that cannot be read, at octet {at}")]
    Syntax {
        /// The octet of the value that was not expected, counted from 0 behind the colon, with folds taken out.
        at: usize,
    },
    /// [`Limits::tokens_max`] was passed.
    #[error("a From field that is too long")]
    TooMany,
    /// Nothing, or only groups without a member (RFC 6854).
    #[error("a From field without an address")]
    NoMailbox,
    /// What stands behind an `@` is an address literal, or no name that the DNS could know.
    #[error("an author without a domain name")]
    NotAName,
    /// The authors have different domains.
    #[error("authors in several domains")]
    SeveralDomains,
}

impl Authors {
    /// Reads the authors from a header, or from a message; takes time linear in the size of the header.
    pub fn read(header: &[u8], limits: &Limits) -> Self {
        let mut tokens_left = limits.tokens_max;
        let mut fields = 0;
        let mut mailboxes = Vec::new();
        let mut fault = None;
        for field in Fields::new(header).filter(|field| field.name_is("from")) {
            fields += 1;
            if let Err(error) = read_field(&field, &mut tokens_left, &mut mailboxes) {
                fault.get_or_insert(error);
            }
        }
        let names = mailboxes.iter().map(|mailbox| author_domain(mailbox));
        let has_odd_domain = names.clone().any(|name| name.is_none());
        let domains = names.flatten().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
        let fault = fault.or(match (fields, mailboxes.len(), domains.len()) {
            (0, ..) => Some(FromFault::Missing),
            (2.., ..) => Some(FromFault::SeveralFields),
            (_, 0, _) => Some(FromFault::NoMailbox),
            _ if has_odd_domain => Some(FromFault::NotAName),
            (.., 2..) => Some(FromFault::SeveralDomains),
            _ => None,
        });
        Authors { mailboxes, domains, fault }
    }

    /// The one domain of all authors, as the DNS knows it (RFC 9989 §5.3.1).
    ///
    /// # Errors
    ///
    /// Why there is no such domain.
    pub fn domain(&self) -> Result<&Name, FromFault> {
        match (self.fault, &self.domains[..]) {
            (None, [domain]) => Ok(domain),
            (fault, _) => Err(fault.unwrap_or(FromFault::NoMailbox)),
        }
    }

    /// The mailboxes of all authors from left to right, those in groups included. For the question whether somebody may
    /// write in the name of each of them (RFC 6409 §6.1).
    ///
    /// # Errors
    ///
    /// Why that cannot be told; several domains, or authors without a domain name, are no obstacle here.
    pub fn mailboxes(&self) -> Result<&[Address<'static>], FromFault> {
        match self.fault {
            None | Some(FromFault::SeveralDomains | FromFault::NotAName) => Ok(&self.mailboxes),
            Some(fault) => Err(fault),
        }
    }

    /// Why there is no single author domain.
    pub const fn fault(&self) -> Option<FromFault> {
        self.fault
    }

    /// The domains of all authors of all From fields, each once, as far as those can be read and have a domain name. Not
    /// for a pass: only [`Authors::domain`] says that nothing else is shown to the reader.
    pub fn domains(&self) -> &[Name] {
        &self.domains
    }
}

fn read_field(
    field: &Field<'_>,
    tokens_left: &mut usize,
    mailboxes: &mut Vec<Address<'static>>,
) -> Result<(), FromFault> {
    // RFC 5322 §4.5: the obsolete syntax has white space before the colon, but no fold.
    let before_colon = field.raw[field.name.len()..].iter().take_while(|octet| **octet != b':');
    if !before_colon.copied().all(|octet| matches!(octet, b' ' | b'\t')) {
        return Err(FromFault::FieldName);
    }
    let value = field.unfolded();
    let value = core::str::from_utf8(&value).map_err(|error| FromFault::Syntax { at: error.valid_up_to() })?;
    list::read(value, tokens_left, mailboxes)
}

/// The domain as the DNS knows it (RFC 9989 §5.3.1: U-labels become A-labels).
fn author_domain(mailbox: &Address<'_>) -> Option<Name> {
    let ascii = idn::to_ascii(mailbox.domain().name()?).ok()?;
    Name::parse(&ascii).ok()
}
