//! The arguments of FETCH.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use nom::Parser;
use nom::combinator::{map, map_opt};
use nom::sequence::preceded;

use super::modifier::modifiers;
use super::token::{astring, fails, list_of, number64, nz_number, sequence_set, sp, too_large};
use super::{Command, Parsed};
use crate::message::{Section, SectionText};
use crate::server::{FetchItem, SectionName};
use crate::wire::octet::{Capitals, WORD};

/// The most different items of one FETCH: each is computed for every message.
const ITEMS_MAX: usize = 100;
/// The most field names in a section.
const NAMES_MAX: usize = 200;
/// The most part numbers in a section: as deep as messages are read.
const PATH_MAX: usize = 100;

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")") [fetch-modifiers]`
pub(crate) fn fetch(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let (rest, ()) = sp(input)?;
    let (rest, set) = sequence_set(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, wanted) = match rest.first() {
        Some(b'(') => items(rest)?,
        _ => macro_or_item(rest)?,
    };
    let (rest, modifiers) = modifiers(rest)?;
    Ok((rest, Command::Fetch { set, wanted, modifiers, uid }))
}

/// `"(" fetch-att *(SP fetch-att) ")"`, each item once: asking for the whole message a thousand times over gives it once.
fn items(input: &[u8]) -> Parsed<'_, Vec<FetchItem>> {
    let Some(mut rest) = input.strip_prefix(b"(") else { return fails(input) };
    // Clients that list items list a few.
    let mut once: Vec<FetchItem> = Vec::with_capacity(8);
    loop {
        let (after, item) = item(rest)?;
        if !once.contains(&item) {
            once.push(item);
        }
        if once.len() > ITEMS_MAX {
            return too_large(rest);
        }
        match after {
            [b' ', more @ ..] => rest = more,
            [b')', after @ ..] => return Ok((after, once)),
            _ => return fails(after),
        }
    }
}

/// RFC 9051 §6.4.5: the macros stand alone.
fn macro_or_item(input: &[u8]) -> Parsed<'_, Vec<FetchItem>> {
    const FAST: [FetchItem; 3] = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
    let (name, rest) = WORD.split(input);
    let more: &[FetchItem] = match Capitals::of(name).as_bytes() {
        b"FAST" => &[],
        b"ALL" => &[FetchItem::Envelope],
        b"FULL" => &[FetchItem::Envelope, FetchItem::Body],
        _ => return item(input).map(|(rest, item)| (rest, alloc::vec![item])),
    };
    Ok((rest, FAST.iter().chain(more).cloned().collect()))
}

fn item(input: &[u8]) -> Parsed<'_, FetchItem> {
    let (name, rest) = WORD.split(input);
    let whole = |text, name| FetchItem::Section {
        section: Section { path: Vec::new(), text },
        partial: None,
        peek: false,
        name,
    };
    let item = match Capitals::of(name).as_bytes() {
        b"BODY" if rest.first() == Some(&b'[') => return body_section(false, rest),
        b"BODY.PEEK" => return body_section(true, rest),
        b"BINARY" => return binary(false, rest),
        b"BINARY.PEEK" => return binary(true, rest),
        b"BINARY.SIZE" => return map(section_binary, FetchItem::BinarySize).parse(rest),
        b"BODY" => FetchItem::Body,
        b"BODYSTRUCTURE" => FetchItem::BodyStructure,
        b"ENVELOPE" => FetchItem::Envelope,
        b"FLAGS" => FetchItem::Flags,
        b"INTERNALDATE" => FetchItem::InternalDate,
        b"RFC822" => whole(SectionText::Full, SectionName::Rfc822),
        b"RFC822.HEADER" => whole(SectionText::Header, SectionName::Rfc822Header),
        b"RFC822.SIZE" => FetchItem::Rfc822Size,
        b"RFC822.TEXT" => whole(SectionText::Text, SectionName::Rfc822Text),
        b"UID" => FetchItem::Uid,
        _ => return fails(input),
    };
    Ok((rest, item))
}

fn body_section(peek: bool, input: &[u8]) -> Parsed<'_, FetchItem> {
    let (rest, section) = section(input)?;
    let (rest, partial) = partial(rest)?;
    Ok((rest, FetchItem::Section { section, partial, peek, name: SectionName::Body }))
}

fn binary(peek: bool, input: &[u8]) -> Parsed<'_, FetchItem> {
    let (rest, section) = section_binary(input)?;
    let (rest, partial) = partial(rest)?;
    Ok((rest, FetchItem::Binary { section, partial, peek }))
}

/// `section-part = nz-number *("." nz-number)`; nothing if no number stands there.
fn path(input: &[u8]) -> Parsed<'_, Vec<u32>> {
    if !matches!(input.first(), Some(b'0'..=b'9')) {
        return Ok((input, Vec::new()));
    }
    let (mut rest, first) = nz_number(input)?;
    let mut path = Vec::with_capacity(4);
    path.push(first);
    while let [b'.', b'0'..=b'9', ..] = rest {
        let (after, number) = nz_number(&rest[1..])?;
        if path.len() == PATH_MAX {
            return too_large(rest);
        }
        path.push(number);
        rest = after;
    }
    Ok((rest, path))
}

/// `section-binary = "[" [section-part] "]"` (RFC 3516 §7)
fn section_binary(input: &[u8]) -> Parsed<'_, Section> {
    let Some(behind) = input.strip_prefix(b"[") else { return fails(input) };
    let (rest, path) = path(behind)?;
    match rest.strip_prefix(b"]") {
        Some(rest) => Ok((rest, Section { path, text: SectionText::Full })),
        None => fails(rest),
    }
}

/// `section = "[" [section-spec] "]"`
fn section(input: &[u8]) -> Parsed<'_, Section> {
    let Some(behind) = input.strip_prefix(b"[") else { return fails(input) };
    let (rest, path) = path(behind)?;
    let in_part = !path.is_empty();
    let (rest, text) = match rest {
        [b']', ..] => (rest, SectionText::Full),
        [b'.', text @ ..] if in_part => section_text(true, text)?,
        _ if !in_part => section_text(false, rest)?,
        _ => return fails(rest),
    };
    match rest.strip_prefix(b"]") {
        Some(rest) => Ok((rest, Section { path, text })),
        None => fails(rest),
    }
}

/// `section-text = section-msgtext / "MIME"`, where
/// `section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"`. `MIME` is of parts only.
fn section_text(in_part: bool, input: &[u8]) -> Parsed<'_, SectionText> {
    let (name, rest) = WORD.split(input);
    let not = match Capitals::of(name).as_bytes() {
        b"HEADER" => return Ok((rest, SectionText::Header)),
        b"TEXT" => return Ok((rest, SectionText::Text)),
        b"MIME" if in_part => return Ok((rest, SectionText::Mime)),
        b"HEADER.FIELDS" => false,
        b"HEADER.FIELDS.NOT" => true,
        _ => return fails(input),
    };
    let (rest, names) = preceded(sp, header_list).parse(rest)?;
    Ok((rest, SectionText::HeaderFields { names, not }))
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
fn header_list(input: &[u8]) -> Parsed<'_, Vec<String>> {
    let name = map_opt(astring, |name: Cow<'_, [u8]>| match name {
        Cow::Borrowed(name) => core::str::from_utf8(name).ok().map(String::from),
        Cow::Owned(name) => String::from_utf8(name).ok(),
    });
    list_of(1, NAMES_MAX, name).parse(input)
}

/// `["<" number64 "." nz-number64 ">"]`
fn partial(input: &[u8]) -> Parsed<'_, Option<(u64, u64)>> {
    let Some(behind) = input.strip_prefix(b"<") else { return Ok((input, None)) };
    let (rest, origin) = number64(behind)?;
    let Some(rest) = rest.strip_prefix(b".") else { return fails(rest) };
    let (rest, count) = number64(rest)?;
    match rest.strip_prefix(b">") {
        Some(rest) if count != 0 => Ok((rest, Some((origin, count)))),
        _ => fails(rest),
    }
}
