//! The arguments of GETMETADATA and SETMETADATA (RFC 5464 §5).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::combinator::{map, map_opt, value, verify};
use nom::sequence::{preceded, separated_pair};

use super::token::{astring, list_of, literal8, nstring, number, sp, spaced};
use super::{Command, Parsed};
use crate::metadata::{Depth, EntryName, WantedEntries};

/// The most entries of one command: each that is wanted is looked for in all that there are.
const ENTRIES_MAX: usize = 100;

/// What a command about annotations says. The name of the mailbox is empty where those of the server are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the arguments, under the names that RFC 5464 §5 gives them")]
pub enum MetadataCommand<'b> {
    /// GETMETADATA, with the number of MAXSIZE.
    Get { mailbox: Cow<'b, [u8]>, wanted: WantedEntries, size_max: Option<u32> },
    /// SETMETADATA. No value: NIL.
    Set { mailbox: Cow<'b, [u8]>, changes: Vec<(EntryName, Option<Cow<'b, [u8]>>)> },
}

#[derive(Clone)]
enum GetOption {
    SizeMax(u32),
    Depth(Depth),
}

/// `getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries`. The examples of §4.2 have the options behind the
/// mailbox and, in §4.4.1, entries without parentheses: all of it is read.
pub(crate) fn get_metadata(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let (rest, mut options) = opt_options(input)?;
    let (rest, mailbox) = preceded(sp, astring).parse(rest)?;
    let mut rest = rest;
    if options.is_empty() {
        (rest, options) = opt_options(rest)?;
    }
    let entries = alt((list_of(1, ENTRIES_MAX, entry), spaced(ENTRIES_MAX, entry)));
    let (rest, names) = preceded(sp, entries).parse(rest)?;
    let (mut wanted, mut size_max) = (WantedEntries { names: once_each(names), ..WantedEntries::default() }, None);
    for option in options {
        match option {
            GetOption::SizeMax(octets) => size_max = Some(octets),
            GetOption::Depth(depth) => wanted.depth = depth,
        }
    }
    Ok((rest, Command::Metadata(MetadataCommand::Get { mailbox, wanted, size_max })))
}

/// `entries`: one, or several in parentheses. Each once.
pub(super) fn entries(input: &[u8]) -> Parsed<'_, Vec<EntryName>> {
    let one = map(entry, |name| alloc::vec![name]);
    map(alt((list_of(1, ENTRIES_MAX, entry), one)), once_each).parse(input)
}

fn once_each(names: Vec<EntryName>) -> Vec<EntryName> {
    let mut each: Vec<EntryName> = Vec::new();
    for name in names {
        if !each.contains(&name) {
            each.push(name);
        }
    }
    each
}

/// Options, if what is next are options: their names do not begin with a slash.
fn opt_options(input: &[u8]) -> Parsed<'_, Vec<GetOption>> {
    if !input.starts_with(b" (") || input.starts_with(b" (/") || input.starts_with(b" (\"") || input.starts_with(b" ({")
    {
        return Ok((input, Vec::new()));
    }
    let depth = alt((
        value(Depth::Zero, tag_no_case("0")),
        value(Depth::One, tag_no_case("1")),
        value(Depth::Infinity, tag_no_case("infinity")),
    ));
    let option = alt((
        map(preceded((tag_no_case("MAXSIZE"), sp), number), GetOption::SizeMax),
        map(preceded((tag_no_case("DEPTH"), sp), depth), GetOption::Depth),
    ));
    preceded(sp, list_of(1, 2, option)).parse(input)
}

/// `setmetadata = "SETMETADATA" SP mailbox SP entry-values`
pub(crate) fn set_metadata(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let holds = verify(entry, EntryName::can_hold_value);
    // `value = nstring / literal8`
    let octets = alt((map(literal8, |octets| Some(Cow::Borrowed(octets))), nstring));
    let changes = list_of(1, ENTRIES_MAX, separated_pair(holds, sp, octets));
    let both = (preceded(sp, astring), preceded(sp, changes));
    map(both, |(mailbox, changes)| Command::Metadata(MetadataCommand::Set { mailbox, changes })).parse(input)
}

/// `entry = astring`
fn entry(input: &[u8]) -> Parsed<'_, EntryName> {
    map_opt(astring, |name| EntryName::parse(core::str::from_utf8(&name).ok()?).ok()).parse(input)
}
