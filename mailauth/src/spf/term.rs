//! The syntax of one term (RFC 7208 §12).

use core::net::Ipv4Addr;
use core::ops::Range;

use super::macros::{self, Use};
use super::record::{Kind, Prefixes, Qualifier, RecordError, RecordFault};

/// What a term is, and where in it its argument stands.
pub(super) struct Parsed {
    pub(super) kind: Kind,
    pub(super) argument: Range<usize>,
}

/// Parses a term, which has an octet at least.
pub(super) fn parse(term: &str) -> Result<Parsed, RecordError> {
    // RFC 7208 §4.6.1: a modifier has its `=` before any `:` or `/`.
    match term.bytes().position(|octet| matches!(octet, b'=' | b':' | b'/')) {
        Some(end) if term.as_bytes()[end] == b'=' => modifier(term, end),
        end => directive(term, end.unwrap_or(term.len())),
    }
}

fn error<T>(fault: RecordFault, at: usize) -> Result<T, RecordError> {
    Err(RecordError { fault, at })
}

fn modifier(term: &str, equals: usize) -> Result<Parsed, RecordError> {
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
            return Ok(Parsed { kind: Kind::Unknown, argument: 0..term.len() });
        }
    };
    Ok(Parsed { kind, argument: domain_spec(term, equals + 1..term.len())? })
}

/// `[ qualifier ] mechanism`, whose name ends before `name_end`.
fn directive(term: &str, name_end: usize) -> Result<Parsed, RecordError> {
    let (qualifier, start) = match term.as_bytes()[0] {
        b'+' => (Qualifier::Pass, 1),
        b'-' => (Qualifier::Fail, 1),
        b'~' => (Qualifier::SoftFail, 1),
        b'?' => (Qualifier::Neutral, 1),
        _ => (Qualifier::Pass, 0),
    };
    let name = term.as_bytes().get(start..name_end).unwrap_or_default();
    // No name of a mechanism is longer than `include`.
    let mut word = [0; 7];
    let Some(word) = word.get_mut(..name.len()) else { return error(RecordFault::UnknownMechanism, 0) };
    word.copy_from_slice(name);
    word.make_ascii_lowercase();

    let has_colon = term.as_bytes().get(name_end) == Some(&b':');
    let argument = if has_colon { name_end + 1..term.len() } else { name_end..term.len() };
    let missing = || error(RecordFault::Missing, name_end);
    let trailing = || error(RecordFault::Trailing, name_end);
    match &*word {
        b"all" if name_end < term.len() => trailing(),
        b"all" => Ok(Parsed { kind: Kind::All(qualifier), argument: 0..0 }),
        b"ip4" | b"ip6" | b"include" | b"exists" if !has_colon => missing(),
        b"ip4" => {
            let (network, prefix) = network(term, argument, 32, RecordFault::Ipv4, parse_ip4)?;
            Ok(Parsed { kind: Kind::Ip4(qualifier, network, prefix), argument: 0..0 })
        }
        b"ip6" => {
            let (network, prefix) = network(term, argument, 128, RecordFault::Ipv6, |text| text.parse().ok())?;
            Ok(Parsed { kind: Kind::Ip6(qualifier, network, prefix), argument: 0..0 })
        }
        b"include" => Ok(Parsed { kind: Kind::Include(qualifier), argument: domain_spec(term, argument)? }),
        b"exists" => Ok(Parsed { kind: Kind::Exists(qualifier), argument: domain_spec(term, argument)? }),
        b"ptr" if has_colon => Ok(Parsed { kind: Kind::Ptr(qualifier), argument: domain_spec(term, argument)? }),
        b"ptr" if name_end < term.len() => trailing(),
        b"ptr" => Ok(Parsed { kind: Kind::Ptr(qualifier), argument: 0..0 }),
        b"a" | b"mx" => {
            let (prefixes, end) = prefixes(term, argument.start)?;
            let kind = if word.len() == 1 { Kind::A(qualifier, prefixes) } else { Kind::Mx(qualifier, prefixes) };
            if has_colon {
                return Ok(Parsed { kind, argument: domain_spec(term, argument.start..end)? });
            }
            if end > name_end {
                return error(RecordFault::Prefix, name_end);
            }
            Ok(Parsed { kind, argument: 0..0 })
        }
        _ => error(RecordFault::UnknownMechanism, 0),
    }
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
    parse: impl Fn(&str) -> Option<T>,
) -> Result<(T, u8), RecordError> {
    let text = &term[range.clone()];
    let slash = text.bytes().position(|octet| octet == b'/');
    let address = &text[..slash.unwrap_or(text.len())];
    let fault = if address.is_empty() { RecordFault::Missing } else { fault };
    let address = parse(address).ok_or(RecordError { fault, at: range.start })?;
    let prefix = slash.map_or(Ok(max), |slash| prefix(&text[slash + 1..], max, range.start + slash))?;
    Ok((address, prefix))
}

/// RFC 7208 §12: `ip4-network`. By hand, as records are lists of these and the standard library takes four times as long.
fn parse_ip4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.as_bytes().split(|octet| *octet == b'.');
    for octet in &mut octets {
        *octet = match *parts.next()? {
            [c @ b'0'..=b'9'] => c - b'0',
            [b @ b'1'..=b'9', c @ b'0'..=b'9'] => (b - b'0') * 10 + (c - b'0'),
            [a @ b'1'..=b'2', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                ((a - b'0') * 100).checked_add((b - b'0') * 10 + (c - b'0'))?
            }
            _ => return None,
        };
    }
    parts.next().is_none().then(|| octets.into())
}

/// RFC 7208 §12: a number from 0 to `max` without zeros before it.
fn prefix(text: &str, max: u8, at: usize) -> Result<u8, RecordError> {
    let number = match *text.as_bytes() {
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
        prefixes.ip6 = prefix(&term[at + 1..], 128, at)?;
        end = at - 1;
    }
    if let Some(at) = slash(&term[..end]) {
        prefixes.ip4 = prefix(&term[at + 1..end], 32, at)?;
        end = at;
    }
    Ok((prefixes, end))
}
