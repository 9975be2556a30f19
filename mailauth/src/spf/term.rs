//! The syntax of one term (RFC 7208 §12).

use core::net::{Ipv4Addr, Ipv6Addr};
use core::ops::Range;

use super::ip;
use super::macros::{self, MacroString, Use};
use super::record::{Mechanism, Prefixes, Qualifier, RecordError, RecordFault, Term};

/// Checks a text with macros.
type Check = fn(&str, Use) -> Result<(), RecordError>;

/// Parses a term, which has an octet at least.
pub(super) fn parse(term: &str) -> Result<Term<'_>, RecordError> {
    read(term, macros::check)
}

/// A term of a record that was checked.
pub(super) fn lend(term: &str) -> Option<Term<'_>> {
    read(term, |_, _| Ok(())).ok()
}

fn read(term: &str, check: Check) -> Result<Term<'_>, RecordError> {
    // RFC 7208 §4.6.1: a modifier has its `=` before any `:` or `/`.
    match term.bytes().position(|octet| matches!(octet, b'=' | b':' | b'/')) {
        Some(end) if term.as_bytes()[end] == b'=' => modifier(term, end, check),
        end => directive(term, end.unwrap_or(term.len()), check),
    }
}

fn error<T>(fault: RecordFault, at: usize) -> Result<T, RecordError> {
    Err(RecordError { fault, at })
}

fn modifier(term: &str, equals: usize, check: Check) -> Result<Term<'_>, RecordError> {
    let name = &term[..equals];
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.'));
    if !is_name {
        return error(RecordFault::ModifierName, 0);
    }
    let value = equals + 1..term.len();
    // The grammar would take a wrong `redirect` for an unknown modifier, but RFC 7208 §12 says of that: "where name is not any
    // known modifier".
    if name.eq_ignore_ascii_case("redirect") {
        return Ok(Term::Redirect(domain_spec(term, value, check)?));
    }
    if name.eq_ignore_ascii_case("exp") {
        return Ok(Term::Explanation(domain_spec(term, value, check)?));
    }
    let value = &term[value];
    check(value, Use::Modifier).map_err(|error| error.moved(equals + 1))?;
    Ok(Term::Unknown { name, value })
}

/// `[ qualifier ] mechanism`, whose name ends before `name_end`.
fn directive(term: &str, name_end: usize, check: Check) -> Result<Term<'_>, RecordError> {
    let first = term.as_bytes()[0];
    let start = usize::from(matches!(first, b'+' | b'-' | b'~' | b'?'));
    let name = term.as_bytes().get(start..name_end).unwrap_or_default();
    let has_colon = term.as_bytes().get(name_end) == Some(&b':');
    let argument = if has_colon { name_end + 1..term.len() } else { name_end..term.len() };
    let missing = || error(RecordFault::Missing, name_end);
    let trailing = || error(RecordFault::Trailing, name_end);
    let mechanism = match word(name) {
        ALL if name_end < term.len() => return trailing(),
        ALL => Mechanism::All,
        IP4 | IP6 | INCLUDE | EXISTS if !has_colon => return missing(),
        IP4 => {
            let (network, prefix) = network(term, argument, 32, RecordFault::Ipv4, ip::take_ip4)?;
            Mechanism::Ip4 { network: Ipv4Addr::from(network), prefix }
        }
        IP6 => {
            let (network, prefix) = network(term, argument, 128, RecordFault::Ipv6, ip::take_ip6)?;
            Mechanism::Ip6 { network: Ipv6Addr::from(network.address()), prefix }
        }
        INCLUDE => Mechanism::Include(domain_spec(term, argument, check)?),
        EXISTS => Mechanism::Exists(domain_spec(term, argument, check)?),
        PTR if has_colon => Mechanism::Ptr(Some(domain_spec(term, argument, check)?)),
        PTR if name_end < term.len() => return trailing(),
        PTR => Mechanism::Ptr(None),
        word @ (A | MX) => {
            let (prefixes, end) = prefixes(term, argument.start)?;
            let domain = if has_colon {
                Some(domain_spec(term, argument.start..end, check)?)
            } else if end > name_end {
                return error(RecordFault::Prefix, name_end);
            } else {
                None
            };
            if word == A { Mechanism::A { domain, prefixes } } else { Mechanism::Mx { domain, prefixes } }
        }
        _ => return error(RecordFault::UnknownMechanism, 0),
    };
    Ok(Term::Directive(Qualifier::of(first), mechanism))
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

/// What stands there, if it is a domain-spec.
fn domain_spec(term: &str, range: Range<usize>, check: Check) -> Result<MacroString<'_>, RecordError> {
    if range.is_empty() {
        return error(RecordFault::Missing, range.start);
    }
    let text = &term[range.clone()];
    check(text, Use::Domain).map_err(|error| error.moved(range.start))?;
    Ok(MacroString::from_checked(text))
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
