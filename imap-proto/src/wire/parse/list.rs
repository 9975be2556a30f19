//! The arguments of LIST and LSUB (RFC 9051 §6.3.9; RFC 5258 §6; RFC 3501 §6.3.9).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::combinator::{map, map_opt, opt};
use nom::sequence::{preceded, separated_pair};

use super::metadata::entries;
use super::token::{astring, atom, list_mailbox, list_of, sp};
use super::{Command, Parsed, arguments::status_items};
use crate::metadata::EntryName;
use crate::server::StatusItem;

/// The most patterns of one LIST: each name is matched with all of them.
const PATTERNS_MAX: usize = 50;
/// The most options in one list. There are not so many different ones.
const OPTIONS_MAX: usize = 16;

/// What LIST says.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the arguments, under the names that RFC 9051 §6.3.9 gives them")]
pub struct ListArguments<'b> {
    pub reference: Cow<'b, [u8]>,
    pub patterns: Vec<Cow<'b, [u8]>>,
    /// LSUB.
    pub lsub: bool,
    /// Selection options, several patterns or return options were written, even if there is none in the parentheses.
    pub extended: bool,
    pub select_subscribed: bool,
    pub select_special_use: bool,
    pub select_recursive: bool,
    pub return_subscribed: bool,
    pub return_special_use: bool,
    /// `STATUS (..)`, empty if it was not asked for.
    pub return_status: Vec<StatusItem>,
    pub return_my_rights: bool,
    /// `METADATA (..)`, empty if it was not asked for.
    pub return_metadata: Vec<EntryName>,
}

enum Selection {
    Subscribed,
    Remote,
    RecursiveMatch,
    SpecialUse,
}

enum Return {
    Subscribed,
    Children,
    SpecialUse,
    Status(Vec<StatusItem>),
    MyRights,
    Metadata(Vec<EntryName>),
}

/// `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`
pub(crate) fn list(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let (rest, selection) = opt(preceded(sp, list_of(0, OPTIONS_MAX, selection))).parse(input)?;
    let several = list_of(1, PATTERNS_MAX, list_mailbox);
    let patterns = alt((map(several, |all| (all, true)), map(list_mailbox, |one| (alloc::vec![one], false))));
    let (rest, (reference, (patterns, in_parentheses))) =
        preceded(sp, separated_pair(astring, sp, patterns)).parse(rest)?;
    let returns = preceded((sp, tag_no_case("RETURN"), sp), list_of(0, OPTIONS_MAX, returned));
    let (rest, returns) = opt(returns).parse(rest)?;
    let mut list = ListArguments { reference, patterns, ..ListArguments::default() };
    list.extended = selection.is_some() || in_parentheses || returns.is_some();
    for option in selection.unwrap_or_default() {
        match option {
            Selection::Subscribed => list.select_subscribed = true,
            Selection::RecursiveMatch => list.select_recursive = true,
            Selection::SpecialUse => list.select_special_use = true,
            // No mailbox here lies elsewhere.
            Selection::Remote => {}
        }
    }
    for option in returns.unwrap_or_default() {
        match option {
            Return::Subscribed => list.return_subscribed = true,
            Return::SpecialUse => list.return_special_use = true,
            Return::Status(items) => list.return_status = items,
            Return::MyRights => list.return_my_rights = true,
            Return::Metadata(names) => list.return_metadata = names,
            // RFC 5258 §4: whoever knows may always tell, and LIST always does.
            Return::Children => {}
        }
    }
    // RFC 5258 §3.1 and §6, list-select-opts: RECURSIVEMATCH modifies an option of which children have information.
    if list.select_recursive && !list.select_subscribed {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)));
    }
    Ok((rest, Command::List(list)))
}

/// `list-select-opt`: unknown ones are a syntax error (RFC 5258 §3).
fn selection(input: &[u8]) -> Parsed<'_, Selection> {
    map_opt(atom, |name| {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        Some(match () {
            () if is("SUBSCRIBED") => Selection::Subscribed,
            () if is("REMOTE") => Selection::Remote,
            () if is("RECURSIVEMATCH") => Selection::RecursiveMatch,
            () if is("SPECIAL-USE") => Selection::SpecialUse,
            () => return None,
        })
    })
    .parse(input)
}

/// `return-option`
fn returned(input: &[u8]) -> Parsed<'_, Return> {
    let (rest, name) = atom(input)?;
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    match () {
        () if is("SUBSCRIBED") => Ok((rest, Return::Subscribed)),
        () if is("CHILDREN") => Ok((rest, Return::Children)),
        () if is("SPECIAL-USE") => Ok((rest, Return::SpecialUse)),
        // RFC 5819 §4
        () if is("STATUS") => map(preceded(sp, status_items), Return::Status).parse(rest),
        // RFC 8440 §5
        () if is("MYRIGHTS") => Ok((rest, Return::MyRights)),
        // RFC 9590
        () if is("METADATA") => map(preceded(sp, entries), Return::Metadata).parse(rest),
        () => Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Alt))),
    }
}

/// `lsub = "LSUB" SP mailbox SP list-mailbox`
pub(crate) fn lsub(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = preceded(sp, separated_pair(astring, sp, list_mailbox));
    map(both, |(reference, pattern)| {
        Command::List(ListArguments {
            reference,
            patterns: alloc::vec![pattern],
            lsub: true,
            ..ListArguments::default()
        })
    })
    .parse(input)
}
