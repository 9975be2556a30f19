//! The arguments of STORE, COPY and MOVE.

use nom::Parser;
use nom::combinator::map;
use nom::sequence::{preceded, separated_pair};

use super::modifier::modifiers;
use super::token::{astring, fails, flag_list, flags, sequence_set, sp};
use super::{Command, Parsed};
use crate::octet::{word, words};
use crate::server::FlagChange;

words! {
    FLAGS, FLAGS_SILENT = "FLAGS.SILENT",
}

/// `store = "STORE" SP sequence-set [store-modifiers] SP store-att-flags`, where
/// `store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))`
pub(crate) fn store(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let (rest, ()) = sp(input)?;
    let (rest, set) = sequence_set(rest)?;
    let (rest, modifiers) = modifiers(rest)?;
    let (rest, ()) = sp(rest)?;
    let (change, rest) = match rest {
        [b'+', rest @ ..] => (FlagChange::Add, rest),
        [b'-', rest @ ..] => (FlagChange::Remove, rest),
        _ => (FlagChange::Replace, rest),
    };
    let (name, rest) = word(rest);
    let silent = match name {
        FLAGS => false,
        FLAGS_SILENT => true,
        _ => return fails(input),
    };
    let (rest, ()) = sp(rest)?;
    let (rest, flags) = match rest.first() {
        Some(b'(') => flag_list(rest)?,
        _ => flags(rest)?,
    };
    Ok((rest, Command::Store { set, modifiers, change, flags, silent, uid }))
}

/// `copy = "COPY" SP sequence-set SP mailbox`
pub(crate) fn copy(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = preceded(sp, separated_pair(sequence_set, sp, astring));
    map(both, move |(set, mailbox)| Command::Copy { set, mailbox, uid }).parse(input)
}

/// `move = "MOVE" SP sequence-set SP mailbox` (RFC 6851 §5)
pub(crate) fn move_messages(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = preceded(sp, separated_pair(sequence_set, sp, astring));
    map(both, move |(set, mailbox)| Command::Move { set, mailbox, uid }).parse(input)
}
