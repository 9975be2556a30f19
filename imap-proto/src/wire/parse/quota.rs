//! The arguments of GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208 §7).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::Parser;
use nom::combinator::{map, map_opt};
use nom::sequence::{preceded, separated_pair};

use super::token::{astring, atom, list_of, number64, sp};
use super::{Command, Parsed};

/// The most resources of SETQUOTA: there are four.
const RESOURCES_MAX: usize = 16;

/// What a command about limits says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaCommand<'b> {
    /// GETQUOTA, with the name of a root.
    Root(Cow<'b, str>),
    /// SETQUOTA.
    Set {
        /// The name of a root.
        root: Cow<'b, str>,
        /// Resources, as they were written, and their limits in their own units.
        limits: Vec<(&'b str, u64)>,
    },
    /// GETQUOTAROOT, with that of a mailbox.
    Roots(Cow<'b, [u8]>),
}

/// `getquota = "GETQUOTA" SP quota-root-name`
pub(crate) fn get_quota(input: &[u8]) -> Parsed<'_, Command<'_>> {
    map(preceded(sp, root_name), |root| Command::Quota(QuotaCommand::Root(root))).parse(input)
}

/// `setquota = "SETQUOTA" SP quota-root-name SP setquota-list`. A resource that is not known can be named, and not limited.
pub(crate) fn set_quota(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let limits = list_of(0, RESOURCES_MAX, separated_pair(atom, sp, number64));
    let both = (preceded(sp, root_name), preceded(sp, limits));
    map(both, |(root, limits)| Command::Quota(QuotaCommand::Set { root, limits })).parse(input)
}

/// `getquotaroot = "GETQUOTAROOT" SP mailbox`
pub(crate) fn get_quota_root(input: &[u8]) -> Parsed<'_, Command<'_>> {
    map(preceded(sp, astring), |mailbox| Command::Quota(QuotaCommand::Roots(mailbox))).parse(input)
}

/// `quota-root-name = astring`, of UTF-8.
fn root_name(input: &[u8]) -> Parsed<'_, Cow<'_, str>> {
    map_opt(astring, |octets| match octets {
        Cow::Borrowed(octets) => core::str::from_utf8(octets).ok().map(Cow::Borrowed),
        Cow::Owned(octets) => alloc::string::String::from_utf8(octets).ok().map(Cow::Owned),
    })
    .parse(input)
}
