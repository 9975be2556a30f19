//! The arguments of SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314 §7).

use alloc::borrow::Cow;

use nom::Parser;
use nom::combinator::{map, map_opt};
use nom::sequence::preceded;
use pillarbox_core::sasl::prepare;

use super::token::{astring, sp};
use super::{Command, Parsed};
use crate::acl::RightsChange;

/// The most octets of an identifier. Names of accounts are shorter.
const IDENTIFIER_MAX: usize = 512;

/// What a command about rights says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the arguments, under the names that RFC 4314 §7 gives them")]
pub enum AclCommand<'b> {
    /// SETACL.
    Set { mailbox: Cow<'b, [u8]>, identifier: Cow<'b, str>, change: RightsChange },
    /// DELETEACL.
    Delete { mailbox: Cow<'b, [u8]>, identifier: Cow<'b, str> },
    /// GETACL.
    List(Cow<'b, [u8]>),
    /// LISTRIGHTS.
    Grantable { mailbox: Cow<'b, [u8]>, identifier: Cow<'b, str> },
    /// MYRIGHTS.
    Mine(Cow<'b, [u8]>),
}

/// `setacl = "SETACL" SP mailbox SP identifier SP mod-rights`. A letter that is no right is an error in the arguments (§3.1).
pub(crate) fn set_acl(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let change = map_opt(astring, |text| RightsChange::parse(core::str::from_utf8(&text).ok()?));
    let all = (preceded(sp, astring), preceded(sp, identifier), preceded(sp, change));
    map(all, |(mailbox, identifier, change)| Command::Acl(AclCommand::Set { mailbox, identifier, change })).parse(input)
}

/// `deleteacl = "DELETEACL" SP mailbox SP identifier`
pub(crate) fn delete_acl(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = (preceded(sp, astring), preceded(sp, identifier));
    map(both, |(mailbox, identifier)| Command::Acl(AclCommand::Delete { mailbox, identifier })).parse(input)
}

/// `getacl = "GETACL" SP mailbox`
pub(crate) fn get_acl(input: &[u8]) -> Parsed<'_, Command<'_>> {
    map(preceded(sp, astring), |mailbox| Command::Acl(AclCommand::List(mailbox))).parse(input)
}

/// `listrights = "LISTRIGHTS" SP mailbox SP identifier`
pub(crate) fn list_rights(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = (preceded(sp, astring), preceded(sp, identifier));
    map(both, |(mailbox, identifier)| Command::Acl(AclCommand::Grantable { mailbox, identifier })).parse(input)
}

/// `myrights = "MYRIGHTS" SP mailbox`
pub(crate) fn my_rights(input: &[u8]) -> Parsed<'_, Command<'_>> {
    map(preceded(sp, astring), |mailbox| Command::Acl(AclCommand::Mine(mailbox))).parse(input)
}

/// `identifier = astring`, of UTF-8, in the form that SASLprep gives it (RFC 4314 §3); behind a `-` in front (§2) stands one too.
fn identifier(input: &[u8]) -> Parsed<'_, Cow<'_, str>> {
    map_opt(astring, |octets| match octets {
        Cow::Borrowed(octets) => prepared(core::str::from_utf8(octets).ok()?),
        Cow::Owned(octets) => Some(Cow::Owned(prepared(core::str::from_utf8(&octets).ok()?)?.into_owned())),
    })
    .parse(input)
}

fn prepared(text: &str) -> Option<Cow<'_, str>> {
    if text.len() > IDENTIFIER_MAX {
        return None;
    }
    let name = text.strip_prefix('-').unwrap_or(text);
    let prepared = prepare(name).ok()?;
    // What only looks like the sign of negative rights would become it.
    if prepared.starts_with('-') || prepared.len() > IDENTIFIER_MAX {
        return None;
    }
    match prepared {
        Cow::Borrowed(_) => Some(Cow::Borrowed(text)),
        Cow::Owned(name) if text.starts_with('-') => Some(Cow::Owned(alloc::format!("-{name}"))),
        Cow::Owned(name) => Some(Cow::Owned(name)),
    }
}
