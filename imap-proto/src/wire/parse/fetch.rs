//! The arguments of FETCH.

use alloc::string::String;
use alloc::vec::Vec;

use nom::Parser;
use nom::combinator::map;

use super::modifier::modifiers;
use super::token::{astring, fails, number64, nz_number, sequence_set, sp, too_large};
use super::{Command, Parsed};
use crate::message::{Section, SectionText};
use crate::octet::{ASTRING, WORD, word, words};
use crate::server::{FetchItem, SectionName};

/// The most different items of one FETCH: each is computed for every message.
const ITEMS_MAX: usize = 100;
/// The most field names in a section.
const NAMES_MAX: usize = 200;
/// The most part numbers in a section: as deep as messages are read.
const PATH_MAX: usize = 100;

words! {
    ALL, BINARY, BINARY_PEEK = "BINARY.PEEK", BINARY_SIZE = "BINARY.SIZE", BODY, BODY_PEEK = "BODY.PEEK",
    BODYSTRUCTURE, EMAILID, ENVELOPE, FAST, FLAGS, FULL, HEADER, HEADER_FIELDS = "HEADER.FIELDS", INTERNALDATE, LAZY, MIME,
    MODSEQ, PREVIEW, RFC822, RFC822_HEADER = "RFC822.HEADER", RFC822_SIZE = "RFC822.SIZE", RFC822_TEXT = "RFC822.TEXT",
    SAVEDATE, TEXT, THREADID, UID,
}

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
pub(super) fn items(input: &[u8]) -> Parsed<'_, Vec<FetchItem>> {
    let Some(mut rest) = input.strip_prefix(b"(") else { return fails(input) };
    // Clients that list items list a few.
    let mut once: Vec<FetchItem> = Vec::with_capacity(8);
    let mut plain_seen = 0u32;
    loop {
        let (name, behind) = word(rest);
        let after = match plain(name, behind) {
            // A bit for each: comparing with all before takes longer than all else.
            Some((item, bit)) => {
                if plain_seen & bit == 0 {
                    plain_seen |= bit;
                    once.push(item);
                }
                behind
            }
            None => {
                let (after, item) = of_part(name, behind)?;
                let kind = core::mem::discriminant(&item);
                if !once.iter().any(|other| core::mem::discriminant(other) == kind && *other == item) {
                    once.push(item);
                }
                after
            }
        };
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
    const FAST_ITEMS: [FetchItem; 3] = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
    let (name, rest) = word(input);
    let more: &[FetchItem] = match name {
        FAST => &[],
        ALL => &[FetchItem::Envelope],
        FULL => &[FetchItem::Envelope, FetchItem::Body],
        _ => {
            let (rest, item) = match plain(name, rest) {
                Some((item, _)) => (rest, item),
                None => of_part(name, rest)?,
            };
            return Ok((rest, alloc::vec![item]));
        }
    };
    Ok((rest, FAST_ITEMS.iter().chain(more).cloned().collect()))
}

/// The items that are a word and no more, each with a bit of its own.
#[inline(always)]
fn plain(name: u128, behind: &[u8]) -> Option<(FetchItem, u32)> {
    Some(match name {
        BODY if behind.first() != Some(&b'[') => (FetchItem::Body, 1),
        BODYSTRUCTURE => (FetchItem::BodyStructure, 2),
        EMAILID => (FetchItem::EmailId, 128),
        ENVELOPE => (FetchItem::Envelope, 4),
        FLAGS => (FetchItem::Flags, 8),
        INTERNALDATE => (FetchItem::InternalDate, 16),
        MODSEQ => (FetchItem::ModSeq, 256),
        RFC822_SIZE => (FetchItem::Rfc822Size, 32),
        SAVEDATE => (FetchItem::SaveDate, 512),
        THREADID => (FetchItem::ThreadId, 1024),
        UID => (FetchItem::Uid, 64),
        _ => return None,
    })
}

/// The items that name a part of the message.
fn of_part(name: u128, rest: &[u8]) -> Parsed<'_, FetchItem> {
    let whole = |text, name| FetchItem::Section {
        section: Section { path: Vec::new(), text },
        partial: None,
        peek: false,
        name,
    };
    let item = match name {
        BODY => return body_section(false, rest),
        BODY_PEEK => return body_section(true, rest),
        BINARY => return binary(false, rest),
        BINARY_PEEK => return binary(true, rest),
        BINARY_SIZE => return map(section_binary, FetchItem::BinarySize).parse(rest),
        PREVIEW => return preview(rest),
        RFC822 => whole(SectionText::Full, SectionName::Rfc822),
        RFC822_HEADER => whole(SectionText::Header, SectionName::Rfc822Header),
        RFC822_TEXT => whole(SectionText::Text, SectionName::Rfc822Text),
        _ => return fails(rest),
    };
    Ok((rest, item))
}

/// `"PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]` (RFC 8970 §6). What else stands in parentheses is a modifier of FETCH.
fn preview(input: &[u8]) -> Parsed<'_, FetchItem> {
    let Some(mut rest) = input.strip_prefix(b" (") else { return Ok((input, FetchItem::Preview { lazy: false })) };
    loop {
        match word(rest) {
            (LAZY, [b' ', more @ ..]) => rest = more,
            (LAZY, [b')', rest @ ..]) => return Ok((rest, FetchItem::Preview { lazy: true })),
            _ => return Ok((input, FetchItem::Preview { lazy: false })),
        }
    }
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

/// What stands between the brackets; none if it is no section.
pub(crate) fn section_spec(spec: &[u8]) -> Option<Section> {
    match section(&[b"[", spec, b"]"].concat()) {
        Ok((b"", section)) => Some(section),
        _ => None,
    }
}

/// `section-text = section-msgtext / "MIME"`, where
/// `section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"`. `MIME` is of parts only.
fn section_text(in_part: bool, input: &[u8]) -> Parsed<'_, SectionText> {
    let (name, rest) = word(input);
    match name {
        HEADER => Ok((rest, SectionText::Header)),
        HEADER_FIELDS => header_fields(false, rest),
        MIME if in_part => Ok((rest, SectionText::Mime)),
        TEXT => Ok((rest, SectionText::Text)),
        // Too long to be one number.
        _ => match WORD.split(input) {
            (name, rest) if name.eq_ignore_ascii_case(b"HEADER.FIELDS.NOT") => header_fields(true, rest),
            _ => fails(input),
        },
    }
}

/// `SP header-list`
fn header_fields(not: bool, input: &[u8]) -> Parsed<'_, SectionText> {
    let (rest, ()) = sp(input)?;
    let (rest, names) = header_list(rest)?;
    Ok((rest, SectionText::HeaderFields { names, not }))
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
fn header_list(input: &[u8]) -> Parsed<'_, Vec<String>> {
    let Some(behind) = input.strip_prefix(b"(") else { return fails(input) };
    // Made a text once and not name by name.
    let end = memchr::memchr(b')', behind).unwrap_or(behind.len());
    let text = core::str::from_utf8(&behind[..end]).unwrap_or_default();
    let mut names = Vec::with_capacity(4);
    let mut rest = behind;
    loop {
        if names.len() == NAMES_MAX {
            return too_large(rest);
        }
        let (bare, after) = ASTRING.split(rest);
        let at = behind.len() - rest.len();
        let after = match text.get(at..at + bare.len()) {
            Some(name) if !name.is_empty() => {
                names.push(String::from(name));
                after
            }
            _ => {
                let (after, name) = astring(rest)?;
                let Ok(name) = core::str::from_utf8(&name) else { return fails(rest) };
                names.push(String::from(name));
                after
            }
        };
        match after {
            [b' ', more @ ..] => rest = more,
            [b')', after @ ..] => return Ok((after, names)),
            _ => return fails(after),
        }
    }
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
