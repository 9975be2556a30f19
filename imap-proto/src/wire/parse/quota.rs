//! The arguments of GETQUOTA and GETQUOTAROOT (RFC 9208 §7).

use alloc::borrow::Cow;

use nom::Parser;
use nom::combinator::{map, map_opt};
use nom::sequence::preceded;

use super::token::{astring, sp};
use super::{Command, Parsed};

/// What a command about limits says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaCommand<'b> {
    /// GETQUOTA, with the name of a root.
    Root(Cow<'b, str>),
    /// GETQUOTAROOT, with that of a mailbox.
    Roots(Cow<'b, [u8]>),
}

/// `getquota = "GETQUOTA" SP quota-root-name`
pub(crate) fn get_quota(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let name = map_opt(astring, |octets| match octets {
        Cow::Borrowed(octets) => core::str::from_utf8(octets).ok().map(Cow::Borrowed),
        Cow::Owned(octets) => alloc::string::String::from_utf8(octets).ok().map(Cow::Owned),
    });
    map(preceded(sp, name), |root| Command::Quota(QuotaCommand::Root(root))).parse(input)
}

/// `getquotaroot = "GETQUOTAROOT" SP mailbox`
pub(crate) fn get_quota_root(input: &[u8]) -> Parsed<'_, Command<'_>> {
    map(preceded(sp, astring), |mailbox| Command::Quota(QuotaCommand::Roots(mailbox))).parse(input)
}
