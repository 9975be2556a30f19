//! The field Authentication-Results (RFC 8601): written, read, and taken out where it is forged.
//!
//! The field carries what a checking host found to whoever believes that host. Two things make it dangerous: its values come
//! from the sender of the message, and anybody can write the field. So
//!
//! - a value is a [`Text`], which [`AuthenticationResults::to_field`] quotes wherever the grammar asks for it: no value can end
//!   early, begin a comment, or become a result of its own. What is written reads back as the same value;
//! - [`Trusted`] finds the fields that claim to come from a name of ours, in whatever spelling, so that they can be removed
//!   before ours is added (RFC 8601 §5).
//!
//! ```
//! use pillarbox_auth::authres::{AuthenticationResults, Keyword, MethodResult, Property};
//!
//! let results = AuthenticationResults::new("mx.example.org")
//!     .with(
//!         MethodResult::new(Keyword::SPF, Keyword::fixed("pass"))
//!             .with(Property::smtp(Keyword::MAILFROM, "joe@example.net")),
//!     )
//!     .with(
//!         MethodResult::new(Keyword::DKIM, Keyword::fixed("fail"))
//!             .reason("body hash differs")
//!             .with(Property::header(Keyword::fixed("d"), "legit.example(.attacker.example")),
//!     );
//! let field = results.to_field();
//! assert_eq!(
//!     field,
//!     "Authentication-Results: mx.example.org;\r\n\
//!      \tspf=pass smtp.mailfrom=joe@example.net;\r\n\
//!      \tdkim=fail reason=\"body hash differs\"\r\n\
//!      \t header.d=\"legit.example(.attacker.example\"\r\n"
//! );
//! let value = field.split_once(':').unwrap().1;
//! assert_eq!(AuthenticationResults::parse(value.as_bytes())?, results);
//! # Ok::<(), pillarbox_auth::authres::AuthresError>(())
//! ```
//!
//! # What is read beyond the grammar
//!
//! Hosts that are worth believing write these, and none of them can be read in two ways:
//!
//! | written | read as |
//! |---|---|
//! | `policy.iprev=2001:db8::1`, `header.b=a/b+c=` without quotes | the value up to white space or `;` |
//! | `smtp.mailfrom=` with nothing behind it | the empty value |
//! | a `;` at the end | nothing |
//! | `action=none`, `version=TLSv1.2` without a property type | nothing: passed over |
//! | `reason=` behind a property | the reason |
//!
//! A comment that touches an unquoted value is refused, although RFC 8601 §2.2 has it: hosts that quote nothing write
//! `header.d=legit.example(.attacker.example)`, and must not be read as if they had named `legit.example`.

mod lexer;
mod parse;
mod strip;
mod text;
mod write;

use alloc::vec::Vec;
use core::fmt;

pub use parse::{AuthresError, AuthresFault};
pub use strip::{Claim, Trusted};
pub use text::{Keyword, KeywordError, Text};

/// Results that one field may hold; a message has no more signatures than that, and a reader needs an end.
pub(crate) const RESULTS_MAX: usize = 100;
/// Properties that one result may have.
pub(crate) const PROPERTIES_MAX: usize = 32;

/// One field Authentication-Results: who checked, and what came out.
///
/// Without any result it says `none`: the message was looked at and nothing was checked (RFC 8601 §2.2 `no-result`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthenticationResults {
    /// Whose results these are (`authserv-id`, RFC 8601 §2.5): mostly a domain.
    pub authserv_id: Text,
    /// The results in the order of the field.
    pub results: Vec<MethodResult>,
}

impl AuthenticationResults {
    /// The field of a host that has checked nothing yet.
    pub fn new(authserv_id: impl fmt::Display) -> Self {
        AuthenticationResults { authserv_id: Text::new(authserv_id), results: Vec::new() }
    }

    /// The same with one more result. Beyond 100 results none is added: no reader would take them.
    #[must_use]
    pub fn with(mut self, result: MethodResult) -> Self {
        if self.results.len() < RESULTS_MAX {
            self.results.push(result);
        }
        self
    }

    /// Whether the field can be written into a message that is not internationalised (RFC 6532 §3).
    pub fn is_ascii(&self) -> bool {
        self.authserv_id.as_str().is_ascii() && self.results.iter().all(MethodResult::is_ascii)
    }
}

/// What one method came to (`resinfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodResult {
    /// The method, such as `spf` (RFC 8601 §2.7).
    pub method: Keyword,
    /// The version of the method's specification, where the field gives it; 1 if it does not.
    pub version: Option<u32>,
    /// The result, such as `pass`.
    pub result: Keyword,
    /// The first comment behind the result, for people.
    pub comment: Option<Text>,
    /// Why it came out like this, for people.
    pub reason: Option<Text>,
    /// What was looked at, in the order of the field.
    pub properties: Vec<Property>,
}

impl MethodResult {
    /// A result without anything else.
    pub const fn new(method: Keyword, result: Keyword) -> Self {
        MethodResult { method, version: None, result, comment: None, reason: None, properties: Vec::new() }
    }

    /// The same with a reason.
    #[must_use]
    pub fn reason(mut self, reason: impl fmt::Display) -> Self {
        self.reason = Some(Text::new(reason));
        self
    }

    /// The same with a comment.
    #[must_use]
    pub fn comment(mut self, comment: impl fmt::Display) -> Self {
        self.comment = Some(Text::new(comment));
        self
    }

    /// The same with one more property; beyond 32 none is added.
    #[must_use]
    pub fn with(mut self, property: Property) -> Self {
        if self.properties.len() < PROPERTIES_MAX {
            self.properties.push(property);
        }
        self
    }

    /// The value of the first property of this name.
    pub fn property(&self, kind: &PropertyType, name: &str) -> Option<&Text> {
        self.properties.iter().find(|property| property.kind == *kind && property.name == *name).map(|p| &p.value)
    }

    /// Whether the method's specification is one that this crate knows. Others may mean something else by the same words
    /// and are to be ignored (RFC 8601 §2.6).
    pub const fn is_known_version(&self) -> bool {
        matches!(self.version, None | Some(1))
    }

    fn is_ascii(&self) -> bool {
        let texts = self.comment.iter().chain(&self.reason).chain(self.properties.iter().map(|p| &p.value));
        texts.map(Text::as_str).all(str::is_ascii)
    }
}

/// Something that a method looked at, or a decision beside its result (`propspec`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Property {
    /// Where it comes from.
    pub kind: PropertyType,
    /// What it is, such as `mailfrom`.
    pub name: Keyword,
    /// Its value. A mailbox stands in the form of RFC 5321 §4.1.2, its local part quoted where it has to be.
    pub value: Text,
}

impl Property {
    /// A property.
    pub fn new(kind: PropertyType, name: Keyword, value: impl fmt::Display) -> Self {
        Property { kind, name, value: Text::new(value) }
    }

    /// A parameter of an SMTP command.
    pub fn smtp(name: Keyword, value: impl fmt::Display) -> Self {
        Property::new(PropertyType::Smtp, name, value)
    }

    /// Something out of the header.
    pub fn header(name: Keyword, value: impl fmt::Display) -> Self {
        Property::new(PropertyType::Header, name, value)
    }

    /// A decision of the checking host.
    pub fn policy(name: Keyword, value: impl fmt::Display) -> Self {
        Property::new(PropertyType::Policy, name, value)
    }
}

/// Where a property comes from (`ptype`, RFC 8601 §2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PropertyType {
    /// A command of the SMTP session.
    Smtp,
    /// The header of the message.
    Header,
    /// Its body.
    Body,
    /// A decision that adds to a method's result or replaces it (RFC 8601 §2.4).
    Policy,
    /// Another type. No decision may be built on it (RFC 8601 §2.3).
    Other(Keyword),
}

impl PropertyType {
    /// The word of the field.
    pub fn as_str(&self) -> &str {
        match self {
            PropertyType::Smtp => "smtp",
            PropertyType::Header => "header",
            PropertyType::Body => "body",
            PropertyType::Policy => "policy",
            PropertyType::Other(word) => word.as_str(),
        }
    }
}

impl From<Keyword> for PropertyType {
    fn from(word: Keyword) -> Self {
        match word.as_str() {
            "smtp" => PropertyType::Smtp,
            "header" => PropertyType::Header,
            "body" => PropertyType::Body,
            "policy" => PropertyType::Policy,
            _ => PropertyType::Other(word),
        }
    }
}

impl fmt::Display for PropertyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
