//! The arguments of SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314 §7).

use alloc::borrow::Cow;

use nom::Parser;
use nom::combinator::{map, map_opt};
use nom::sequence::preceded;

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

/// `identifier = astring`, of UTF-8.
fn identifier(input: &[u8]) -> Parsed<'_, Cow<'_, str>> {
    map_opt(astring, |octets| match octets {
        octets if octets.is_empty() || octets.len() > IDENTIFIER_MAX => None,
        Cow::Borrowed(octets) => core::str::from_utf8(octets).ok().map(Cow::Borrowed),
        Cow::Owned(octets) => alloc::string::String::from_utf8(octets).ok().map(Cow::Owned),
    })
    .parse(input)
}
