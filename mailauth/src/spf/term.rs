//! The syntax of one term (RFC 7208 §12).

use alloc::vec::Vec;
use core::ops::Range;

use super::ip;
use super::macros::{self, Use};
use super::record::{Kind, Prefixes, Qualifier, RecordError, RecordFault, Span, short};

/// Parses a term, which has an octet at least and stands at `at` in its record, and puts it behind the others. (It is written
/// where it stays: to hand it back and copy it would take a tenth of the time of the whole.)
pub(super) fn parse(term: &str, at: usize, terms: &mut Vec<Span>) -> Result<(), RecordError> {
    let mut put = |kind, argument: Range<usize>| {
        terms.push(Span { kind, start: short(at + argument.start), end: short(at + argument.end) });
        Ok(())
    };
    // RFC 7208 §4.6.1: a modifier has its `=` before any `:` or `/`.
    match term.bytes().position(|octet| matches!(octet, b'=' | b':' | b'/')) {
        Some(end) if term.as_bytes()[end] == b'=' => modifier(term, end, &mut put),
        end => directive(term, end.unwrap_or(term.len()), &mut put),
    }
}

fn error<T>(fault: RecordFault, at: usize) -> Result<T, RecordError> {
    Err(RecordError { fault, at })
}

fn modifier(
    term: &str,
    equals: usize,
    put: &mut impl FnMut(Kind, Range<usize>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let name = &term[..equals];
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.'));
    if !is_name {
        return error(RecordFault::ModifierName, 0);
    }
    // The grammar would take a wrong `redirect` for an unknown modifier, but RFC 7208 §12 says of that: "where name is not any
    // known modifier".
    let kind = match name {
        _ if name.eq_ignore_ascii_case("redirect") => Kind::Redirect,
        _ if name.eq_ignore_ascii_case("exp") => Kind::Explanation,
        _ => {
            macros::check(&term[equals + 1..], Use::Modifier).map_err(|error| error.moved(equals + 1))?;
            return put(Kind::Unknown, 0..term.len());
        }
    };
    put(kind, domain_spec(term, equals + 1..term.len())?)
}

/// `[ qualifier ] mechanism`, whose name ends before `name_end`.
fn directive(
    term: &str,
    name_end: usize,
    put: &mut impl FnMut(Kind, Range<usize>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let (qualifier, start) = match term.as_bytes()[0] {
        b'+' => (Qualifier::Pass, 1),
        b'-' => (Qualifier::Fail, 1),
        b'~' => (Qualifier::SoftFail, 1),
        b'?' => (Qualifier::Neutral, 1),
        _ => (Qualifier::Pass, 0),
    };
    let name = term.as_bytes().get(start..name_end).unwrap_or_default();
    let has_colon = term.as_bytes().get(name_end) == Some(&b':');
    let argument = if has_colon { name_end + 1..term.len() } else { name_end..term.len() };
    let missing = || error(RecordFault::Missing, name_end);
    let trailing = || error(RecordFault::Trailing, name_end);
    match word(name) {
        ALL if name_end < term.len() => trailing(),
        ALL => put(Kind::All(qualifier), 0..0),
        IP4 | IP6 | INCLUDE | EXISTS if !has_colon => missing(),
        IP4 => {
            let (network, prefix) = network(term, argument, 32, RecordFault::Ipv4, ip::take_ip4)?;
            put(Kind::Ip4(qualifier, network, prefix), 0..0)
        }
        IP6 => {
            let (network, prefix) = network(term, argument, 128, RecordFault::Ipv6, ip::take_ip6)?;
            put(Kind::Ip6(qualifier, network, prefix), 0..0)
        }
        INCLUDE => put(Kind::Include(qualifier), domain_spec(term, argument)?),
        EXISTS => put(Kind::Exists(qualifier), domain_spec(term, argument)?),
        PTR if has_colon => put(Kind::Ptr(qualifier), domain_spec(term, argument)?),
        PTR if name_end < term.len() => trailing(),
        PTR => put(Kind::Ptr(qualifier), 0..0),
        A | MX => {
            let (prefixes, end) = prefixes(term, argument.start)?;
            let kind = if name.len() == 1 { Kind::A(qualifier, prefixes) } else { Kind::Mx(qualifier, prefixes) };
            if has_colon {
                return put(kind, domain_spec(term, argument.start..end)?);
            }
            if end > name_end {
                return error(RecordFault::Prefix, name_end);
            }
            put(kind, 0..0)
        }
        _ => error(RecordFault::UnknownMechanism, 0),
    }
}

const ALL: u64 = word(b"all");
const IP4: u64 = word(b"ip4");
const IP6: u64 = word(b"ip6");
const INCLUDE: u64 = word(b"include");
const EXISTS: u64 = word(b"exists");
const PTR: u64 = word(b"ptr");
const A: u64 = word(b"a");
const MX: u64 = word(b"mx");

/// The visible octets of a name as a number, whatever the case of letters: a record has hundreds, and numbers are compared in
/// one step. No name of a mechanism has more than seven; what has is 0.
const fn word(name: &[u8]) -> u64 {
    let (mut word, mut index) = (0, 0);
    while index < name.len() {
        if index == 7 {
            return 0;
        }
        // Letters become small; other octets of names have the bit, or become what is in no name.
        word = word << 8 | (name[index] | 0x20) as u64;
        index += 1;
    }
    word
}

/// The range, if what stands there is a domain-spec.
fn domain_spec(term: &str, range: Range<usize>) -> Result<Range<usize>, RecordError> {
    if range.is_empty() {
        return error(RecordFault::Missing, range.start);
    }
    macros::check(&term[range.clone()], Use::Domain).map_err(|error| error.moved(range.start))?;
    Ok(range)
}

/// An address and the prefix length behind it, `max` if there is none.
fn network<T>(
    term: &str,
    range: Range<usize>,
    max: u8,
    fault: RecordFault,
    take: impl Fn(&[u8]) -> Option<(T, &[u8])>,
) -> Result<(T, u8), RecordError> {
    let text = &term.as_bytes()[range.clone()];
    let fault = if matches!(text, [] | [b'/', ..]) { RecordFault::Missing } else { fault };
    let (address, rest) = take(text).ok_or(RecordError { fault, at: range.start })?;
    let prefix = match rest {
        [_, digits @ ..] => prefix(digits, max, range.end - rest.len())?,
        [] => max,
    };
    Ok((address, prefix))
}

/// RFC 7208 §12: a number from 0 to `max` without zeros before it.
fn prefix(text: &[u8], max: u8, at: usize) -> Result<u8, RecordError> {
    let number = match *text {
        [c @ b'0'..=b'9'] => Some(c - b'0'),
        [b @ b'1'..=b'9', c @ b'0'..=b'9'] => Some((b - b'0') * 10 + (c - b'0')),
        [b'1', b @ b'0'..=b'9', c @ b'0'..=b'9'] => Some(100 + (b - b'0') * 10 + (c - b'0')),
        _ => None,
    };
    number.filter(|number| *number <= max).ok_or(RecordError { fault: RecordFault::Prefix, at })
}

/// `[ "/" ip4 ] [ "//" ip6 ]` at the end of a term, and where that begins. A domain may hold slashes, but its last label may
/// not, so that there is one reading.
fn prefixes(term: &str, from: usize) -> Result<(Prefixes, usize), RecordError> {
    let slash = |text: &str| {
        let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
        let slash = (text.len() - digits).checked_sub(1)?;
        (text.as_bytes()[slash] == b'/' && slash >= from).then_some(slash)
    };
    let mut prefixes = Prefixes::WHOLE;
    let mut end = term.len();
    if let Some(at) = slash(term).filter(|at| *at > from && term.as_bytes()[at - 1] == b'/') {
        prefixes.ip6 = prefix(&term.as_bytes()[at + 1..], 128, at)?;
        end = at - 1;
    }
    if let Some(at) = slash(&term[..end]) {
        prefixes.ip4 = prefix(&term.as_bytes()[at + 1..end], 32, at)?;
        end = at;
    }
    Ok((prefixes, end))
}
