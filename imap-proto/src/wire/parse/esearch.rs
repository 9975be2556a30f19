//! The arguments of ESEARCH (RFC 7377 §4).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::Parser;
use nom::combinator::map;
use nom::sequence::preceded;

use super::search::{behind_word, program, returned};
use super::token::{astring, fails, list_of, sp};
use super::{Command, Parsed};
use crate::octet::{word, words};

words! { IN, INBOXES, PERSONAL, SELECTED, SUBSCRIBED, SUBTREE, MAILBOXES }

/// The most sources, and the most names in one list; a session may take fewer mailboxes.
const SOURCES_MAX: usize = 1000;

/// One word of what ESEARCH searches, with names as they were written (RFC 7377 §2.2).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the variants are the words of RFC 7377 §2.2")]
pub enum SearchSource<'b> {
    Selected,
    Inboxes,
    Personal,
    Subscribed,
    Subtree(Vec<Cow<'b, [u8]>>),
    SubtreeOne(Vec<Cow<'b, [u8]>>),
    Mailboxes(Vec<Cow<'b, [u8]>>),
}

/// `esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program`
pub(crate) fn esearch(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let (input, sources) = match behind_word(IN, input) {
        Some(behind) => list_of(1, SOURCES_MAX, source).parse(behind)?,
        None => (input, Vec::new()),
    };
    let (input, (returns, wanted)) = returned(input)?;
    let (rest, (key, charset)) = program(input)?;
    Ok((rest, Command::Esearch { sources, key, returns, wanted, charset }))
}

/// `filter-mailboxes`
fn source(input: &[u8]) -> Parsed<'_, SearchSource<'_>> {
    let (name, rest) = word(input);
    match name {
        SELECTED => Ok((rest, SearchSource::Selected)),
        INBOXES => Ok((rest, SearchSource::Inboxes)),
        PERSONAL => Ok((rest, SearchSource::Personal)),
        SUBSCRIBED => Ok((rest, SearchSource::Subscribed)),
        SUBTREE => match rest.split_at_checked(b"-ONE".len()) {
            Some((one, rest)) if one.eq_ignore_ascii_case(b"-ONE") => {
                map(preceded(sp, names), SearchSource::SubtreeOne).parse(rest)
            }
            _ => map(preceded(sp, names), SearchSource::Subtree).parse(rest),
        },
        MAILBOXES => map(preceded(sp, names), SearchSource::Mailboxes).parse(rest),
        _ => fails(input),
    }
}

/// `one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"`
fn names(input: &[u8]) -> Parsed<'_, Vec<Cow<'_, [u8]>>> {
    match input.first() {
        Some(b'(') => list_of(1, SOURCES_MAX, astring).parse(input),
        _ => map(astring, |name| Vec::from([name])).parse(input),
    }
}
