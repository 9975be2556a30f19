//! The arguments of all commands whose arguments are simple. ABNF: RFC 9051 §9, and RFC 3501 §9 for LSUB.

use alloc::vec::Vec;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while1};
use nom::character::complete::char;
use nom::combinator::{map, map_opt, opt, value, verify};
use nom::multi::{many1_count, separated_list0, separated_list1};
use nom::sequence::{delimited, preceded, separated_pair};

use super::token::{astring, atom, list_mailbox, nstring, sequence_set, sp, string};
use super::{Command, Parsed};
use crate::server::StatusItem;

macro_rules! without_arguments {
    ($($name:ident => $command:ident),+ $(,)?) => {$(
        pub(crate) fn $name(input: &[u8]) -> Parsed<'_, Command<'_>> {
            Ok((input, Command::$command))
        }
    )+};
}

without_arguments! {
    append => Append,
    capability => Capability,
    check => Check,
    close => Close,
    idle => Idle,
    logout => Logout,
    namespace => Namespace,
    noop => Noop,
    starttls => StartTls,
    unselect => Unselect,
}

macro_rules! with_mailbox {
    ($($name:ident => $command:ident),+ $(,)?) => {$(
        pub(crate) fn $name(input: &[u8]) -> Parsed<'_, Command<'_>> {
            map(preceded(sp, astring), Command::$command).parse(input)
        }
    )+};
}

with_mailbox! {
    create => Create,
    delete => Delete,
    examine => Examine,
    select => Select,
    subscribe => Subscribe,
    unsubscribe => Unsubscribe,
}

/// `rename = "RENAME" SP mailbox SP mailbox`
pub(crate) fn rename(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let names = preceded(sp, separated_pair(astring, sp, astring));
    map(names, |(from, to)| Command::Rename { from, to }).parse(input)
}

/// `login = "LOGIN" SP userid SP password`
pub(crate) fn login(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = preceded(sp, separated_pair(astring, sp, astring));
    map(both, |(user, password)| Command::Login { user, password }).parse(input)
}

/// `authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]` (RFC 4959 §7)
pub(crate) fn authenticate(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let response = preceded(sp, take_while1(|b: u8| b.is_ascii_graphic()));
    let both = (preceded(sp, atom), opt(response));
    map(both, |(mechanism, initial_response)| Command::Authenticate { mechanism, initial_response }).parse(input)
}

/// `list = "LIST" SP mailbox SP list-mailbox`
pub(crate) fn list(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = preceded(sp, separated_pair(astring, sp, list_mailbox));
    map(both, |(reference, pattern)| Command::List { reference, pattern, subscribed: false }).parse(input)
}

/// `lsub = "LSUB" SP mailbox SP list-mailbox`
pub(crate) fn lsub(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = preceded(sp, separated_pair(astring, sp, list_mailbox));
    map(both, |(reference, pattern)| Command::List { reference, pattern, subscribed: true }).parse(input)
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`
pub(crate) fn status(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let item = map_opt(atom, |name| {
        let known = [
            ("MESSAGES", StatusItem::Messages),
            ("RECENT", StatusItem::Recent),
            ("UIDNEXT", StatusItem::UidNext),
            ("UIDVALIDITY", StatusItem::UidValidity),
            ("UNSEEN", StatusItem::Unseen),
        ];
        known.into_iter().find_map(|(known, item)| known.eq_ignore_ascii_case(name).then_some(item))
    });
    let items = delimited(char('('), separated_list1(sp, item), char(')'));
    map((preceded(sp, astring), preceded(sp, items)), |(mailbox, items)| {
        let mut once = Vec::new();
        for item in items {
            if !once.contains(&item) {
                once.push(item);
            }
        }
        Command::Status { mailbox, items: once }
    })
    .parse(input)
}

/// `EXPUNGE` (RFC 9051 §6.4.3)
pub(crate) fn expunge(input: &[u8]) -> Parsed<'_, Command<'_>> {
    Ok((input, Command::Expunge { only: None }))
}

/// `"UID" SP "EXPUNGE" SP sequence-set` (RFC 4315 §4)
pub(crate) fn uid_expunge(input: &[u8]) -> Parsed<'_, Command<'_>> {
    map(preceded(sp, sequence_set), |set| Command::Expunge { only: Some(set) }).parse(input)
}

/// `enable = "ENABLE" 1*(SP capability)` (RFC 5161 §5)
pub(crate) fn enable(input: &[u8]) -> Parsed<'_, Command<'_>> {
    value(Command::Enable, many1_count((sp, atom))).parse(input)
}

/// `id = "ID" SP ("(" [string SP nstring *(SP string SP nstring)] ")" / nil)` (RFC 2971 §4)
pub(crate) fn id(input: &[u8]) -> Parsed<'_, Command<'_>> {
    // RFC 2971 §3.3: at most 30 pairs.
    let pairs = verify(separated_list0(sp, (string, sp, nstring)), |pairs: &Vec<_>| pairs.len() <= 30);
    let parameters = alt((value((), delimited(char('('), pairs, char(')'))), value((), tag_no_case("NIL"))));
    value(Command::Id, preceded(sp, parameters)).parse(input)
}
