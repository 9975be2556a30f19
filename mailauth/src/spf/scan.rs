//! A record gone through from end to end, or to the next term that may match. Records are lists of networks, of which hardly
//! any has the client in it: so these are looked at as they are read, and nothing is kept of them. The forms that nearly all
//! terms have are recognised here; what is not is left to the parser of terms, which also says what is wrong.

use core::net::IpAddr;
use core::ops::Range;

use super::ip;
use super::macros::NAME_MAX;
use super::record::{Marks, Mechanism, Prefixes, RecordError, RecordFault, Term};
use super::term;

/// The address of the client, as networks are compared with it.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClientIp {
    /// No client: no network has it in it.
    Nobody,
    V4(u32),
    V6(u128),
}

/// Terms that cannot match, up to one that may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// Whether there are networks among them, or only modifiers, or nothing.
    pub(super) has_networks: bool,
    /// The octet that they begin at.
    pub(super) start: usize,
    pub(super) stop: Stop,
}

/// A term that may match, or the end of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    /// The octet that it begins at.
    pub(super) start: usize,
    /// That behind it.
    pub(super) end: usize,
    pub(super) kind: Kind,
    /// Where its domain is, or that of a modifier; nothing if it has none.
    pub(super) domain: (usize, usize),
    /// Whether its domain, if it has one, is without macros, of two labels or more and short enough for a name.
    pub(super) is_plain: bool,
}

/// What a term is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A network without the client.
    Outside,
    /// One with it, and how many of its bits count.
    Network(u8),
    All,
    Include,
    Exists,
    A(Prefixes),
    Mx(Prefixes),
    Ptr,
    Redirect,
    Explanation,
    Unknown,
    /// There is none.
    End,
}

impl ClientIp {
    pub(super) fn new(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => ClientIp::V4(ip.into()),
            IpAddr::V6(ip) => ClientIp::V6(ip.into()),
        }
    }

    // RFC 7208 §5: the high-order bits that count are equal.
    fn look_at_ip4(self, network: u32, prefix: u8) -> Kind {
        match self {
            ClientIp::V4(ip) if (network ^ ip).leading_zeros() >= prefix.into() => Kind::Network(prefix),
            _ => Kind::Outside,
        }
    }

    fn look_at_ip6(self, network: impl FnOnce() -> u128, prefix: u8) -> Kind {
        match self {
            ClientIp::V6(ip) if (network() ^ ip).leading_zeros() >= prefix.into() => Kind::Network(prefix),
            _ => Kind::Outside,
        }
    }
}

impl Stop {
    /// The term that begins at an octet, of one of the forms that are recognised at once.
    fn plain(text: &[u8], start: usize, end: usize, kind: Kind) -> Self {
        let colon = text[start..end].iter().position(|octet| *octet == b':');
        let domain = match (kind, colon) {
            (Kind::Network(_) | Kind::Outside, _) | (_, None) => (end, end),
            (_, Some(colon)) => (start + colon + 1, end),
        };
        Stop { start, end, kind, domain, is_plain: domain.1 - domain.0 <= NAME_MAX }
    }

    const fn end(text: &[u8]) -> Self {
        Stop { start: text.len(), end: text.len(), kind: Kind::End, domain: (0, 0), is_plain: false }
    }
}

/// Goes through all terms from an octet on. The octets are visible ones and spaces.
pub(super) fn whole(text: &[u8], from: usize, client: ClientIp) -> Result<(Marks, Stretch), RecordError> {
    let mut marks = Marks::default();
    let mut stretch = Stretch { has_networks: false, start: from, stop: Stop::end(text) };
    let mut is_first = true;
    let mut rest = &text[from..];
    // RFC 7208 §4.6.1: terms are separated by one space or several, and by nothing else.
    while let [octet, behind @ ..] = rest {
        if *octet == b' ' {
            rest = behind;
            continue;
        }
        let start = text.len() - rest.len();
        let (stop, end) = match look_quickly(rest, client) {
            Some((Kind::Outside, behind)) => {
                stretch.has_networks |= is_first;
                rest = behind;
                continue;
            }
            Some((kind, behind)) => {
                marks.has_all |= matches!(kind, Kind::All);
                let end = text.len() - behind.len();
                (is_first.then(|| Stop::plain(text, start, end, kind)), end)
            }
            None => {
                let stop = look_closely(text, start, client)?;
                match stop.kind {
                    Kind::Outside => stretch.has_networks |= is_first,
                    Kind::Redirect => note(&mut marks.redirect, &stop)?,
                    Kind::Explanation => note(&mut marks.explanation, &stop)?,
                    Kind::All => marks.has_all = true,
                    _ => {}
                }
                (Some(stop).filter(|stop| is_first && stop.kind.may_match()), stop.end)
            }
        };
        if let Some(stop) = stop {
            (stretch.stop, is_first) = (stop, false);
        }
        rest = &text[end..];
    }
    Ok((marks, stretch))
}

/// RFC 7208 §6: "These two modifiers MUST NOT appear in a record more than once each."
fn note(known: &mut Option<Range<usize>>, modifier: &Stop) -> Result<(), RecordError> {
    match known.replace(modifier.domain.0..modifier.domain.1) {
        Some(_) => Err(RecordError { fault: RecordFault::Repeated, at: modifier.start }),
        None => Ok(()),
    }
}

/// Goes from an octet on to the next term that may match, in a record that was gone through as a whole.
pub(super) fn next(text: &[u8], from: usize, client: ClientIp) -> Stretch {
    let mut stretch = Stretch { has_networks: false, start: from, stop: Stop::end(text) };
    let mut rest = text.get(from..).unwrap_or_default();
    while let [octet, behind @ ..] = rest {
        if *octet == b' ' {
            rest = behind;
            continue;
        }
        let start = text.len() - rest.len();
        let stop = match look_quickly(rest, client) {
            Some((Kind::Outside, behind)) => {
                stretch.has_networks = true;
                rest = behind;
                continue;
            }
            Some((kind, behind)) => Stop::plain(text, start, text.len() - behind.len(), kind),
            None => match look_closely(text, start, client) {
                Ok(stop) => stop,
                // It was gone through before.
                Err(_) => break,
            },
        };
        if stop.kind.may_match() {
            stretch.stop = stop;
            break;
        }
        stretch.has_networks |= stop.kind == Kind::Outside;
        rest = &text[stop.end..];
    }
    stretch
}

impl Kind {
    const fn may_match(self) -> bool {
        !matches!(self, Kind::Outside | Kind::Redirect | Kind::Explanation | Kind::Unknown | Kind::End)
    }
}

/// Where the term that begins at an octet ends.
pub(super) fn end_of_term(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + memchr::memchr(b' ', rest).unwrap_or(rest.len())
}

#[cold]
fn look_closely(text: &[u8], start: usize, client: ClientIp) -> Result<Stop, RecordError> {
    let end = end_of_term(text, start);
    let term = core::str::from_utf8(&text[start..end]).expect("the octets of a record are visible ASCII");
    let (kind, domain) = match term::parse(term).map_err(|error| error.moved(start))? {
        Term::Directive(_, mechanism) => {
            let kind = match mechanism {
                Mechanism::Ip4 { network, prefix } => client.look_at_ip4(network.into(), prefix),
                Mechanism::Ip6 { network, prefix } => client.look_at_ip6(|| network.into(), prefix),
                Mechanism::All => Kind::All,
                Mechanism::Include(_) => Kind::Include,
                Mechanism::Exists(_) => Kind::Exists,
                Mechanism::A { prefixes, .. } => Kind::A(prefixes),
                Mechanism::Mx { prefixes, .. } => Kind::Mx(prefixes),
                Mechanism::Ptr(_) => Kind::Ptr,
            };
            (kind, mechanism.domain())
        }
        Term::Redirect(domain) => (Kind::Redirect, Some(domain)),
        Term::Explanation(domain) => (Kind::Explanation, Some(domain)),
        Term::Unknown { .. } => (Kind::Unknown, None),
    };
    // A domain stands behind the first `:` or `=` of its term.
    let domain = match (domain, term.find([':', '='])) {
        (Some(domain), Some(at)) => (start + at + 1, start + at + 1 + domain.as_str().len()),
        _ => (end, end),
    };
    Ok(Stop { start, end, kind, domain, is_plain: false })
}

/// The same for the forms that nearly all terms have, with what stands behind the term. `None` for other forms, and for all
/// that is wrong.
#[inline(always)]
fn look_quickly(term: &[u8], client: ClientIp) -> Option<(Kind, &[u8])> {
    let mechanism = match term {
        [b'+' | b'-' | b'~' | b'?', mechanism @ ..] => mechanism,
        _ => term,
    };
    // Four octets are compared in one step.
    let (kind, rest) = match mechanism.split_first_chunk::<4>() {
        Some((b"ip4:", rest)) => {
            let (network, rest) = ip::take_ip4(rest)?;
            let (prefix, rest) = take_prefix(rest, 32)?;
            (client.look_at_ip4(network, prefix), rest)
        }
        Some((b"ip6:", rest)) => {
            let (network, rest) = ip::take_ip6(rest)?;
            let (prefix, rest) = take_prefix(rest, 128)?;
            (client.look_at_ip6(|| network.address(), prefix), rest)
        }
        Some((b"incl", [b'u', b'd', b'e', b':', rest @ ..])) => (Kind::Include, skip_domain(rest)?),
        Some((b"exis", [b't', b's', b':', rest @ ..])) => (Kind::Exists, skip_domain(rest)?),
        _ => match mechanism {
            [b'a', b'l', b'l', rest @ ..] => (Kind::All, rest),
            [b'a', b':', rest @ ..] => (Kind::A(Prefixes::WHOLE), skip_domain(rest)?),
            [b'm', b'x', b':', rest @ ..] => (Kind::Mx(Prefixes::WHOLE), skip_domain(rest)?),
            [b'a', rest @ ..] => (Kind::A(Prefixes::WHOLE), rest),
            [b'm', b'x', rest @ ..] => (Kind::Mx(Prefixes::WHOLE), rest),
            _ => return None,
        },
    };
    if let [] | [b' ', ..] = rest { Some((kind, rest)) } else { None }
}

/// RFC 7208 §12: a number from 0 to `max` behind a slash, without zeros before it; `max` where there is no slash.
#[inline(always)]
fn take_prefix(text: &[u8], max: u8) -> Option<(u8, &[u8])> {
    let value = |digit: u8| digit - b'0';
    let (prefix, rest) = match text {
        [b'/', b'1', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => (100 + value(*b) * 10 + value(*c), rest),
        [b'/', a @ b'1'..=b'9', b @ b'0'..=b'9', rest @ ..] => (value(*a) * 10 + value(*b), rest),
        [b'/', a @ b'0'..=b'9', rest @ ..] => (value(*a), rest),
        [b'/', ..] => return None,
        rest => (max, rest),
    };
    (prefix <= max).then_some((prefix, rest))
}

/// What stands behind a domain of labels of letters, digits, hyphens and underscores, that ends in a top-level label.
fn skip_domain(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|octet| CLASSES[usize::from(*octet)] == 0).unwrap_or(text.len());
    let (domain, rest) = text.split_at(end);
    let mut classes = 0;
    // RFC 7208 §7.1: letters, digits and hyphens, the latter not at the ends, and not digits alone.
    let label = domain.iter().rev().take_while(|octet| **octet != b'.').inspect(|octet| {
        classes |= CLASSES[usize::from(**octet)];
    });
    let len = label.count();
    let dot = end.checked_sub(len + 1)?;
    let is_top_label = classes & UNDERSCORE == 0
        && classes & (LETTER | HYPHEN) != 0
        && domain.get(dot + 1) != Some(&b'-')
        && domain.last() != Some(&b'-');
    if is_top_label { Some(rest) } else { None }
}

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const HYPHEN: u8 = 4;
const UNDERSCORE: u8 = 8;
const DOT: u8 = 16;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        classes[octet as usize] = match octet {
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' => DIGIT,
            b'-' => HYPHEN,
            b'_' => UNDERSCORE,
            b'.' => DOT,
            _ => 0,
        };
        octet += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    fn term() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just("all"),
            Just("a"),
            Just("a:"),
            Just("mx"),
            Just("mx:"),
            Just("ip4:"),
            Just("ip6:"),
            Just("include:"),
            Just("exists:"),
            Just("ptr"),
            Just("IP4:"),
            Just("redirect="),
            Just("x="),
            Just("ip4"),
            Just(""),
        ];
        let value = prop_oneof![
            Just(String::new()),
            any::<u32>().prop_map(|ip| core::net::Ipv4Addr::from(ip & 0xf0f0_01ff).to_string()),
            any::<u128>().prop_map(|ip| core::net::Ipv6Addr::from(ip & (0xffff_u128 << 112 | 0xf00f)).to_string()),
            "[0-9.]{1,12}",
            "[0-9a-f:.]{1,12}",
            "[a-c1_.-]{1,8}",
            "[a-c1_.-]{1,8}\\.[a-c1_-]{1,3}\\.?",
            "%\\{[dl]\\}",
            "[!-~]{1,4}",
        ];
        let prefix = prop_oneof![Just(String::new()), "/[0-9]{0,4}", "//?[0-9]{1,3}"];
        ("[-+~?]?", word, value, prefix)
            .prop_map(|(qualifier, word, value, prefix)| qualifier + word + &value + &prefix)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What is recognised at once is what the parser of terms finds, and where it does not end is no term.
        #[test]
        fn quick_and_close_looks_agree(term in term(), rest in prop_oneof![Just(""), Just(" "), Just(" a"), Just("  -all")]) {
            let text = term + rest;
            for client in [ClientIp::Nobody, ClientIp::V4(0xc000_0201), ClientIp::V4(0), ClientIp::V6(1), ClientIp::V6(0xf << 124)] {
                if text.is_empty() || text.starts_with(' ') {
                    continue;
                }
                if let Some((kind, rest)) = look_quickly(text.as_bytes(), client) {
                    let quickly = Stop::plain(text.as_bytes(), 0, text.len() - rest.len(), kind);
                    let closely = look_closely(text.as_bytes(), 0, client).map(|stop| Stop { is_plain: true, ..stop });
                    prop_assert_eq!(closely, Ok(quickly), "{}", text);
                }
            }
        }
    }

    #[test]
    fn common_forms_are_recognised() {
        let client = ClientIp::V4(0xc000_0201);
        for term in [
            "ip4:192.0.2.0/24",
            "ip4:10.0.0.1",
            "-ip6:2001:db8::/32",
            "~all",
            "a",
            "+mx",
            "a:a.example",
            "include:_spf.a-b.example",
            "exists:a.b",
        ] {
            assert!(look_quickly(term.as_bytes(), client).is_some(), "{term}");
        }
    }
}
