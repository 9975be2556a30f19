//! The arguments of all commands whose arguments are simple. ABNF: RFC 9051 §9.

use alloc::vec::Vec;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while1};
use nom::character::complete::char;
use nom::combinator::{map, map_opt, opt, recognize, value};
use nom::sequence::{preceded, separated_pair};
use pillarbox_core::Secret;

use super::modifier::modifiers;
use super::token::{astring, atom, list_of, nstring, sequence_set, sp, spaced, string};
use super::{Command, Parsed};
use crate::server::StatusItem;
use crate::types::SpecialUse;

/// The most items of STATUS, those that stand twice counted.
const STATUS_ITEMS_MAX: usize = 30;
/// The most special uses of a new mailbox.
const USES_MAX: usize = 16;
/// The most tags of CANCELUPDATE.
const TAGS_MAX: usize = 100;
/// The most words of ENABLE.
const ENABLE_MAX: usize = 50;

macro_rules! with_mailbox {
    ($($name:ident => $command:ident),+ $(,)?) => {$(
        pub(crate) fn $name(input: &[u8]) -> Parsed<'_, Command<'_>> {
            map(preceded(sp, astring), Command::$command).parse(input)
        }
    )+};
}

with_mailbox! {
    delete => Delete,
    subscribe => Subscribe,
    unsubscribe => Unsubscribe,
}

/// `rename = "RENAME" SP mailbox SP mailbox`
pub(crate) fn rename(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let names = preceded(sp, separated_pair(astring, sp, astring));
    map(names, |(from, to)| Command::Rename { from, to }).parse(input)
}

/// `"CANCELUPDATE" 1*(SP quoted)` (RFC 5267 §5)
pub(crate) fn cancel_update(input: &[u8]) -> Parsed<'_, Command<'_>> {
    map(preceded(sp, spaced(TAGS_MAX, string)), Command::CancelUpdate).parse(input)
}

/// `login = "LOGIN" SP userid SP password`
pub(crate) fn login(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = preceded(sp, separated_pair(astring, sp, astring));
    map(both, |(user, password)| Command::Login { user, password: Secret::new(password) }).parse(input)
}

/// `authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]` (RFC 4959 §7)
pub(crate) fn authenticate(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let response = preceded(sp, take_while1(|b: u8| b.is_ascii_graphic()));
    let both = (preceded(sp, atom), opt(response));
    map(both, |(mechanism, initial)| Command::Authenticate { mechanism, initial_response: initial.map(Secret::new) })
        .parse(input)
}

/// `select = "SELECT" SP mailbox [select-params]` (RFC 4466 §2.1)
pub(crate) fn select(read_only: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    map((preceded(sp, astring), modifiers), |(mailbox, parameters)| Command::Select { mailbox, parameters, read_only })
        .parse(input)
}

/// `create = "CREATE" SP mailbox [SP "(" create-param *(SP create-param) ")"]` (RFC 4466 §2.2), of which RFC 6154 §6 has
/// `"USE" SP "(" [use-attr *(SP use-attr)] ")"`.
pub(crate) fn create(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let known = map(atom_behind_backslash, SpecialUse::parse);
    let uses = preceded((tag_no_case("USE"), sp), list_of(0, USES_MAX, known));
    let parameters = list_of(1, 1, uses);
    let (rest, mailbox) = preceded(sp, astring).parse(input)?;
    let (rest, uses) = opt(preceded(sp, parameters)).parse(rest)?;
    Ok((rest, Command::Create { mailbox, uses: uses.map(|uses| uses.into_iter().flatten().collect()) }))
}

/// `"\" atom`
fn atom_behind_backslash(input: &[u8]) -> Parsed<'_, &str> {
    map_opt(recognize(preceded(char('\\'), atom)), |octets: &[u8]| core::str::from_utf8(octets).ok()).parse(input)
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`
pub(crate) fn status(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let both = (preceded(sp, astring), preceded(sp, status_items));
    map(both, |(mailbox, items)| Command::Status { mailbox, items }).parse(input)
}

/// `"(" status-att *(SP status-att) ")"`, each item once.
pub(crate) fn status_items(input: &[u8]) -> Parsed<'_, Vec<StatusItem>> {
    let item = map_opt(atom, |name| {
        let known = [
            ("APPENDLIMIT", StatusItem::AppendLimit),
            ("DELETED", StatusItem::Deleted),
            ("DELETED-STORAGE", StatusItem::DeletedStorage),
            ("HIGHESTMODSEQ", StatusItem::HighestModSeq),
            ("MAILBOXID", StatusItem::MailboxId),
            ("MESSAGES", StatusItem::Messages),
            ("RECENT", StatusItem::Recent),
            ("SIZE", StatusItem::Size),
            ("UIDNEXT", StatusItem::UidNext),
            ("UIDVALIDITY", StatusItem::UidValidity),
            ("UNSEEN", StatusItem::Unseen),
        ];
        known.into_iter().find_map(|(known, item)| known.eq_ignore_ascii_case(name).then_some(item))
    });
    map(list_of(1, STATUS_ITEMS_MAX, item), |items| {
        let mut once = Vec::new();
        for item in items {
            if !once.contains(&item) {
                once.push(item);
            }
        }
        once
    })
    .parse(input)
}

/// `"UID" SP "EXPUNGE" SP sequence-set` (RFC 4315 §4)
pub(crate) fn uid_expunge(input: &[u8]) -> Parsed<'_, Command<'_>> {
    map(preceded(sp, sequence_set), |set| Command::Expunge { only: Some(set) }).parse(input)
}

/// `compress = "COMPRESS" SP algorithm`, where `algorithm = "DEFLATE"` (RFC 4978 §5)
pub(crate) fn compress(input: &[u8]) -> Parsed<'_, Command<'_>> {
    value(Command::Compress, preceded(sp, tag_no_case("DEFLATE"))).parse(input)
}

/// `enable = "ENABLE" 1*(SP capability)` (RFC 5161 §5)
pub(crate) fn enable(input: &[u8]) -> Parsed<'_, Command<'_>> {
    map(preceded(sp, spaced(ENABLE_MAX, atom)), Command::Enable).parse(input)
}

/// `id = "ID" SP ("(" [string SP nstring *(SP string SP nstring)] ")" / nil)` (RFC 2971 §4)
pub(crate) fn id(input: &[u8]) -> Parsed<'_, Command<'_>> {
    // RFC 2971 §3.3: at most 30 pairs.
    let pairs = list_of(0, 30, (string, sp, nstring));
    let parameters = alt((value((), pairs), value((), tag_no_case("NIL"))));
    value(Command::Id, preceded(sp, parameters)).parse(input)
}
