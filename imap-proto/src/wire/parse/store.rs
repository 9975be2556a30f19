//! The arguments of STORE, COPY and MOVE.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::char;
use nom::combinator::{map, opt, value};
use nom::sequence::{preceded, separated_pair};

use super::modifier::modifiers;
use super::token::{astring, flag_list, flags, sequence_set, sp};
use super::{Command, Parsed};
use crate::server::FlagChange;

/// `store = "STORE" SP sequence-set [store-modifiers] SP store-att-flags`, where
/// `store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))`
pub(crate) fn store(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let change = alt((
        value(FlagChange::Add, char('+')),
        value(FlagChange::Remove, char('-')),
        nom::combinator::success(FlagChange::Replace),
    ));
    let silent = map(opt(tag_no_case(".SILENT")), |silent: Option<&[u8]>| silent.is_some());
    let what = (change, preceded(tag_no_case("FLAGS"), silent), preceded(sp, alt((flag_list, flags))));
    let all = (preceded(sp, sequence_set), modifiers, preceded(sp, what));
    map(all, move |(set, modifiers, (change, silent, flags))| Command::Store {
        set,
        modifiers,
        change,
        flags,
        silent,
        uid,
    })
    .parse(input)
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
