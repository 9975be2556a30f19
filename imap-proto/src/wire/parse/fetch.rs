//! The arguments of FETCH.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while1};
use nom::character::complete::char;
use nom::combinator::{map, map_opt, opt, peek, value, verify};
use nom::error::{Error, ErrorKind};
use nom::sequence::{delimited, preceded, separated_pair, terminated};

use super::modifier::modifiers;
use super::token::{astring, list_of, number64, nz_number, sequence_set, sp};
use super::{Command, Parsed};
use crate::message::{Section, SectionText};
use crate::server::{FetchItem, SectionName};

/// The most different items of one FETCH: each is computed for every message.
const ITEMS_MAX: usize = 100;
/// The most field names in a section.
const NAMES_MAX: usize = 200;
/// The most part numbers in a section: as deep as messages are read.
const PATH_MAX: usize = 100;

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")") [fetch-modifiers]`
pub(crate) fn fetch(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let wanted = alt((items, all_full_fast, map(item, |item| alloc::vec![item])));
    map((preceded(sp, sequence_set), preceded(sp, wanted), modifiers), move |(set, wanted, modifiers)| Command::Fetch {
        set,
        wanted,
        modifiers,
        uid,
    })
    .parse(input)
}

/// `"(" fetch-att *(SP fetch-att) ")"`, each item once: asking for the whole message a thousand times over gives it once.
fn items(input: &[u8]) -> Parsed<'_, Vec<FetchItem>> {
    let mut once: Vec<FetchItem> = Vec::new();
    let (mut rest, _) = char('(').parse(input)?;
    loop {
        let (after, item) = item(rest)?;
        if !once.contains(&item) {
            once.push(item);
        }
        if once.len() > ITEMS_MAX {
            return Err(nom::Err::Failure(Error::new(rest, ErrorKind::TooLarge)));
        }
        match after {
            [b' ', more @ ..] => rest = more,
            [b')', after @ ..] => return Ok((after, once)),
            _ => return Err(nom::Err::Failure(Error::new(after, ErrorKind::Char))),
        }
    }
}

/// RFC 9051 §6.4.5: the macros stand alone.
fn all_full_fast(input: &[u8]) -> Parsed<'_, Vec<FetchItem>> {
    let macros = [
        (&b"ALL"[..], &[FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size, FetchItem::Envelope][..]),
        (b"FAST", &[FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size]),
        (
            b"FULL",
            &[FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size, FetchItem::Envelope, FetchItem::Body],
        ),
    ];
    map_opt(word, move |word| {
        macros.iter().find_map(|(name, items)| name.eq_ignore_ascii_case(word).then(|| items.to_vec()))
    })
    .parse(input)
}

fn word(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while1(|b: u8| b.is_ascii_alphanumeric() || b == b'.').parse(input)
}

fn item(input: &[u8]) -> Parsed<'_, FetchItem> {
    let (rest, name) = word(input)?;
    let whole = |text, name| FetchItem::Section {
        section: Section { path: Vec::new(), text },
        partial: None,
        peek: false,
        name,
    };
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    if (is("BODY") || is("BODY.PEEK")) && rest.starts_with(b"[") {
        let peek = is("BODY.PEEK");
        let (rest, (section, partial)) = (section, opt(partial)).parse(rest)?;
        return Ok((rest, FetchItem::Section { section, partial, peek, name: SectionName::Body }));
    }
    if is("BINARY") || is("BINARY.PEEK") {
        let (rest, (section, partial)) = (section_binary, opt(partial)).parse(rest)?;
        return Ok((rest, FetchItem::Binary { section, partial, peek: is("BINARY.PEEK") }));
    }
    if is("BINARY.SIZE") {
        return map(section_binary, FetchItem::BinarySize).parse(rest);
    }
    let item = match () {
        () if is("BODY") => FetchItem::Body,
        () if is("BODYSTRUCTURE") => FetchItem::BodyStructure,
        () if is("EMAILID") => FetchItem::EmailId,
        () if is("ENVELOPE") => FetchItem::Envelope,
        () if is("FLAGS") => FetchItem::Flags,
        () if is("INTERNALDATE") => FetchItem::InternalDate,
        () if is("MODSEQ") => FetchItem::ModSeq,
        () if is("RFC822") => whole(SectionText::Full, SectionName::Rfc822),
        () if is("RFC822.HEADER") => whole(SectionText::Header, SectionName::Rfc822Header),
        () if is("RFC822.SIZE") => FetchItem::Rfc822Size,
        () if is("RFC822.TEXT") => whole(SectionText::Text, SectionName::Rfc822Text),
        () if is("SAVEDATE") => FetchItem::SaveDate,
        () if is("THREADID") => FetchItem::ThreadId,
        () if is("UID") => FetchItem::Uid,
        () => return Err(nom::Err::Error(Error::new(input, ErrorKind::Alt))),
    };
    Ok((rest, item))
}

/// `section-part = nz-number *("." nz-number)`
fn path(input: &[u8]) -> Parsed<'_, Vec<u32>> {
    let (mut rest, first) = nz_number(input)?;
    let mut path = alloc::vec![first];
    while let Ok((after, number)) = preceded(char('.'), nz_number).parse(rest) {
        if path.len() == PATH_MAX {
            return Err(nom::Err::Failure(Error::new(rest, ErrorKind::TooLarge)));
        }
        path.push(number);
        rest = after;
    }
    Ok((rest, path))
}

/// `section-binary = "[" [section-part] "]"` (RFC 3516 §7)
fn section_binary(input: &[u8]) -> Parsed<'_, Section> {
    let path = map(opt(path), |path| Section { path: path.unwrap_or_default(), text: SectionText::Full });
    delimited(char('['), path, char(']')).parse(input)
}

/// `section = "[" [section-spec] "]"`
fn section(input: &[u8]) -> Parsed<'_, Section> {
    let in_part = map((path, opt(preceded(char('.'), part_text))), |(path, text)| Section {
        path,
        text: text.unwrap_or_default(),
    });
    let spec = alt((
        in_part,
        map(message_text, |text| Section { path: Vec::new(), text }),
        value(Section::default(), peek(char(']'))),
    ));
    delimited(char('['), spec, char(']')).parse(input)
}

/// `section-text = section-msgtext / "MIME"`
fn part_text(input: &[u8]) -> Parsed<'_, SectionText> {
    alt((value(SectionText::Mime, tag_no_case("MIME")), message_text)).parse(input)
}

/// `section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"`
fn message_text(input: &[u8]) -> Parsed<'_, SectionText> {
    let not = map(opt(tag_no_case(".NOT")), |not: Option<&[u8]>| not.is_some());
    let fields = preceded(tag_no_case("HEADER.FIELDS"), separated_pair(not, sp, header_list));
    alt((
        map(fields, |(not, names)| SectionText::HeaderFields { names, not }),
        value(SectionText::Header, tag_no_case("HEADER")),
        value(SectionText::Text, tag_no_case("TEXT")),
    ))
    .parse(input)
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
fn header_list(input: &[u8]) -> Parsed<'_, Vec<String>> {
    let name = map_opt(astring, |name: Cow<'_, [u8]>| String::from_utf8(name.into_owned()).ok());
    list_of(1, NAMES_MAX, name).parse(input)
}

/// `partial = "<" number64 "." nz-number64 ">"`
fn partial(input: &[u8]) -> Parsed<'_, (u64, u64)> {
    let count = verify(number64, |&count| count != 0);
    delimited(char('<'), (terminated(number64, char('.')), count), char('>')).parse(input)
}
