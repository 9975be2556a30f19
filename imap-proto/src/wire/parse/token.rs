//! The smallest pieces: atoms, strings, numbers, sets, flags, dates.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take, take_while, take_while_m_n};
use nom::character::complete::char;
use nom::combinator::{map, map_opt, opt, value, verify};
use nom::error::{Error, ErrorKind};
use nom::multi::fold_many0;
use nom::sequence::{delimited, preceded, terminated};
use pillarbox_core::WallTime;

use super::Parsed;
use crate::octet::{ASTRING, ATOM, Class, LIST, QUOTED};
use crate::types::{Flags, SequenceSet};

/// The most flags in one command: a mailbox has a few dozen, and sorting many is work.
const FLAGS_MAX: usize = 100;

/// No parse. Which error it was is of no use to a client.
#[cold]
pub(crate) fn fails<T>(input: &[u8]) -> Parsed<'_, T> {
    Err(nom::Err::Error(Error::new(input, ErrorKind::Verify)))
}

/// No parse, and no other reading of it is worth a try.
#[cold]
pub(crate) fn too_large<T>(input: &[u8]) -> Parsed<'_, T> {
    Err(nom::Err::Failure(Error::new(input, ErrorKind::TooLarge)))
}

#[inline]
pub(crate) fn sp(input: &[u8]) -> Parsed<'_, ()> {
    match input {
        [b' ', rest @ ..] => Ok((rest, ())),
        _ => fails(input),
    }
}

/// One octet or more of a class.
#[inline]
pub(crate) fn some_of(class: Class, input: &[u8]) -> Parsed<'_, &[u8]> {
    match class.split(input) {
        ([], _) => fails(input),
        (octets, rest) => Ok((rest, octets)),
    }
}

/// `atom`: as `astring` without `]`.
pub(crate) fn atom(input: &[u8]) -> Parsed<'_, &str> {
    let (rest, octets) = some_of(ATOM, input)?;
    match core::str::from_utf8(octets) {
        Ok(text) => Ok((rest, text)),
        Err(_) => fails(input),
    }
}

/// Items parted by spaces, at least one and at most `max`: more are refused before they are kept.
pub(crate) fn spaced<'b, T>(
    max: usize,
    mut item: impl Parser<&'b [u8], Output = T, Error = Error<&'b [u8]>>,
) -> impl FnMut(&'b [u8]) -> Parsed<'b, Vec<T>> {
    move |input| {
        let (mut rest, first) = item.parse(input)?;
        if rest.first() != Some(&b' ') {
            return Ok((rest, alloc::vec![first]));
        }
        let mut all = Vec::with_capacity(4);
        all.push(first);
        while let Some(more) = rest.strip_prefix(b" ") {
            match item.parse(more) {
                Ok(_) if all.len() >= max => return too_large(more),
                Ok((after, item)) => {
                    all.push(item);
                    rest = after;
                }
                // What follows the list, not a part of it.
                Err(nom::Err::Error(_)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok((rest, all))
    }
}

/// `"(" [item *(SP item)] ")"` with at least `min` and at most `max` items.
pub(crate) fn list_of<'b, T>(
    min: usize,
    max: usize,
    item: impl Parser<&'b [u8], Output = T, Error = Error<&'b [u8]>>,
) -> impl FnMut(&'b [u8]) -> Parsed<'b, Vec<T>> {
    let mut some = spaced(max, item);
    move |input| {
        let (rest, _) = char('(').parse(input)?;
        let (rest, all) = match rest.first() {
            Some(b')') if min == 0 => (rest, Vec::new()),
            _ => some(rest)?,
        };
        let (rest, _) = char(')').parse(rest)?;
        if all.len() < min {
            return Err(nom::Err::Error(Error::new(input, ErrorKind::Many1)));
        }
        Ok((rest, all))
    }
}

/// `astring = 1*ASTRING-CHAR / string`
pub(crate) fn astring(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    bare_or_string(ASTRING, input)
}

/// `list-mailbox = 1*list-char / string`
pub(crate) fn list_mailbox(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    bare_or_string(LIST, input)
}

#[inline]
fn bare_or_string(class: Class, input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    match class.split(input) {
        ([], _) => string(input),
        (octets, rest) => Ok((rest, Cow::Borrowed(octets))),
    }
}

/// `string = quoted / literal`
pub(crate) fn string(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    match input {
        [b'"', behind @ ..] => match QUOTED.split(behind) {
            (octets, [b'"', rest @ ..]) => Ok((rest, Cow::Borrowed(octets))),
            _ => quoted(input),
        },
        _ => map(literal, Cow::Borrowed).parse(input),
    }
}

/// `nstring = string / nil`
pub(crate) fn nstring(input: &[u8]) -> Parsed<'_, Option<Cow<'_, [u8]>>> {
    alt((value(None, tag_no_case("NIL")), map(string, Some))).parse(input)
}

/// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`, with UTF-8 as RFC 9051 §9 and RFC 6855 §3 have it, and no other octets above 127.
fn quoted(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    verify(quoted_octets, |octets: &Cow<'_, [u8]>| core::str::from_utf8(octets).is_ok()).parse(input)
}

fn quoted_octets(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    let plain = |input| take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0)).parse(input);
    let (rest, first) = preceded(char('"'), plain).parse(input)?;
    if let Some(rest) = rest.strip_prefix(b"\"") {
        return Ok((rest, Cow::Borrowed(first)));
    }
    let escaped = preceded(char('\\'), verify(take(1usize), |c: &[u8]| matches!(c, b"\"" | b"\\")));
    let more = fold_many0(
        (escaped, plain),
        || first.to_vec(),
        |mut text: Vec<u8>, (c, plain): (&[u8], &[u8])| {
            text.extend_from_slice(c);
            text.extend_from_slice(plain);
            text
        },
    );
    terminated(map(more, Cow::Owned), char('"')).parse(rest)
}

/// `literal = "{" number64 ["+"] "}" CRLF *CHAR8`. The framer saw to it that the octets are there.
fn literal(input: &[u8]) -> Parsed<'_, &[u8]> {
    let mut header = delimited(char('{'), nom::character::complete::u32, (opt(char('+')), tag("}\r\n")));
    let (rest, size) = header.parse(input)?;
    // RFC 9051 §9: CHAR8 is any octet but NUL.
    verify(take(size), |octets: &[u8]| memchr::memchr(0, octets).is_none()).parse(rest)
}

/// `literal8 = "~{" number64 ["+"] "}" CRLF *OCTET`
pub(crate) fn literal8(input: &[u8]) -> Parsed<'_, &[u8]> {
    let mut header = delimited(tag("~{"), nom::character::complete::u32, (opt(char('+')), tag("}\r\n")));
    let (rest, size) = header.parse(input)?;
    take(size).parse(rest)
}

/// `number`: at most 32 bits.
pub(crate) fn number(input: &[u8]) -> Parsed<'_, u32> {
    match digits_of(input) {
        Some((number, rest)) if number <= u64::from(u32::MAX) => Ok((rest, number as u32)),
        _ => fails(input),
    }
}

/// `number64`: at most 63 bits.
pub(crate) fn number64(input: &[u8]) -> Parsed<'_, u64> {
    match digits_of(input) {
        Some((number, rest)) if number <= i64::MAX as u64 => Ok((rest, number)),
        _ => fails(input),
    }
}

/// `nz-number`
pub(crate) fn nz_number(input: &[u8]) -> Parsed<'_, u32> {
    match number(input)? {
        (_, 0) => fails(input),
        read => Ok(read),
    }
}

/// The number that the digits at the front are, if it fits, and what is behind them.
#[inline]
fn digits_of(input: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut rest) = match input {
        [digit @ b'0'..=b'9', rest @ ..] => (u64::from(digit - b'0'), rest),
        _ => return None,
    };
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        // One more digit makes it more than any number of the grammar may be.
        if number >= u64::MAX / 10 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        rest = behind;
    }
    Some((number, rest))
}

#[inline]
pub(crate) fn sequence_set(input: &[u8]) -> Parsed<'_, SequenceSet> {
    match SequenceSet::take(input) {
        Some((set, rest)) => Ok((rest, set)),
        None => fails(input),
    }
}

/// `flag-list = "(" [flag *(SP flag)] ")"`
pub(crate) fn flag_list(input: &[u8]) -> Parsed<'_, Flags> {
    let Some(behind) = input.strip_prefix(b"(") else { return fails(input) };
    if let Some(rest) = behind.strip_prefix(b")") {
        return Ok((rest, Flags::new()));
    }
    let (rest, all) = flags(behind)?;
    match rest.strip_prefix(b")") {
        Some(rest) => Ok((rest, all)),
        None => fails(rest),
    }
}

/// `flag *(SP flag)`
pub(crate) fn flags(input: &[u8]) -> Parsed<'_, Flags> {
    let mut all = Flags::new();
    let Some(mut rest) = all.insert_written(input) else { return fails(input) };
    let mut count = 1;
    while let Some(more) = rest.strip_prefix(b" ") {
        if count == FLAGS_MAX {
            return too_large(more);
        }
        let Some(behind) = all.insert_written(more) else { break };
        count += 1;
        rest = behind;
    }
    Ok((rest, all))
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `date-month`, 1 to 12.
pub(crate) fn month(input: &[u8]) -> Parsed<'_, u8> {
    map_opt(take(3usize), |name: &[u8]| {
        let index = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
        u8::try_from(index + 1).ok()
    })
    .parse(input)
}

pub(crate) fn digits<'b>(min: usize, max: usize) -> impl Parser<&'b [u8], Output = u16, Error = Error<&'b [u8]>> {
    // Never more than four digits are asked for, so the sum fits.
    map(take_while_m_n(min, max, |b: u8| b.is_ascii_digit()), |digits: &[u8]| {
        digits.iter().fold(0u16, |sum, b| sum.wrapping_mul(10).wrapping_add(u16::from(b - b'0')))
    })
}

/// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`
pub(crate) fn date_time(input: &[u8]) -> Parsed<'_, WallTime> {
    let two = || digits(2, 2);
    let day = alt((preceded(char(' '), digits(1, 1)), two()));
    let date = (day, delimited(char('-'), month, char('-')), digits(4, 4));
    let time = (two(), preceded(char(':'), two()), preceded(char(':'), two()));
    let zone = (alt((value(1i32, char('+')), value(-1, char('-')))), two(), verify(two(), |&minutes| minutes < 60));
    let all = (date, preceded(sp, time), preceded(sp, zone));
    map_opt(
        delimited(char('"'), all, char('"')),
        |((day, month, year), (hour, minute, second), (sign, hours, minutes))| {
            let offset = sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60);
            let small = |number: u16| u8::try_from(number).ok();
            WallTime::from_civil(year.into(), month, small(day)?, small(hour)?, small(minute)?, small(second)?, offset)
        },
    )
    .parse(input)
}
