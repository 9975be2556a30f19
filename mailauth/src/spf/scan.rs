//! A record gone through from end to end, or to the next term that may match. Records are lists of networks, of which hardly
//! any has the client in it: so these are looked at as they are read, and nothing is kept of them. The forms that nearly all
//! terms have are recognised here; what is not is left to the parser of terms, which also says what is wrong.

use core::net::IpAddr;

use pillarbox_core::dns::Name;

use super::ip::{self, Network4};
use super::record::{Marks, Mechanism, Prefixes, Qualifier, RecordError, RecordFault, Term};
use super::stops::{Kind, Stop, Stops, place};
use super::term;

/// The address of the client, as networks are compared with it.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClientIp {
    /// No client: no network has it in it.
    Nobody,
    V4(u32),
    V6(u128),
}

impl ClientIp {
    pub(super) fn new(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => ClientIp::V4(ip.into()),
            IpAddr::V6(ip) => ClientIp::V6(ip.into()),
        }
    }

    // RFC 7208 §5: the high-order bits that count are equal.
    pub(super) fn look_at_ip4(self, network: u32, prefix: u8) -> Kind {
        match self {
            ClientIp::V4(ip) if u64::from(network ^ ip) >> (32 - prefix.min(32)) == 0 => Kind::Network(prefix),
            _ => Kind::Outside,
        }
    }

    pub(super) fn look_at_ip6(self, network: impl FnOnce() -> u128, prefix: u8) -> Kind {
        match self {
            ClientIp::V6(ip) if (network() ^ ip).leading_zeros() >= prefix.into() => Kind::Network(prefix),
            _ => Kind::Outside,
        }
    }
}

/// Goes through all terms from an octet on, and notes those that may match as far as there is room.
pub(super) fn whole(
    text: &[u8],
    from: usize,
    mut client: ClientIp,
    marks: &mut Marks,
    stops: &mut Stops,
) -> Result<(), RecordError> {
    let mut rest = &text[from..];
    let (mut is_decided, mut is_behind_networks) = (false, false);
    loop {
        if let [b' ', b'i', b'p', ..] = rest {
            let mut inside = None;
            let behind = skip_common_networks(rest, client, &mut inside);
            is_behind_networks |= behind.len() < rest.len();
            rest = behind;
            if let Some(Inside { prefix, len }) = inside {
                let (network, behind) = (&rest[1..], &rest[usize::from(len)..]);
                let stop = Stop::new(text, network, behind, Kind::Network(prefix), 0);
                stops.note(Stop { is_behind_networks, ..stop });
                // What is behind it is not looked at, but must be right.
                (is_decided, client, rest) = (true, ClientIp::Nobody, behind);
                continue;
            }
        }
        // RFC 7208 §4.6.1: terms are separated by one space or several, and by nothing else.
        while let [b' ', behind @ ..] = rest {
            rest = behind;
        }
        if rest.is_empty() {
            break;
        }
        let kind;
        match look_quickly(rest, client) {
            Some((quick, domain, behind)) => {
                if quick.may_match() && !is_decided {
                    stops.note(Stop { is_behind_networks, ..Stop::new(text, rest, behind, quick, domain) });
                }
                (kind, rest) = (quick, behind);
            }
            None => {
                let stop = look_closely(text, text.len() - rest.len(), client)?;
                match stop.kind {
                    Kind::Redirect => note(&mut marks.redirect, &stop)?,
                    Kind::Explanation => note(&mut marks.explanation, &stop)?,
                    kind if kind.may_match() && !is_decided => stops.note(Stop { is_behind_networks, ..stop }),
                    _ => {}
                }
                (kind, rest) = (stop.kind, &text[stop.end.into()..]);
            }
        }
        if kind.may_match() {
            is_behind_networks = false;
        }
        is_behind_networks |= kind == Kind::Outside;
        marks.has_all |= kind == Kind::All;
        if kind.matches() {
            (is_decided, client) = (true, ClientIp::Nobody);
        }
    }
    if !is_decided {
        stops.note(Stop::end(text, is_behind_networks));
    }
    Ok(())
}

/// RFC 7208 §6: "These two modifiers MUST NOT appear in a record more than once each."
fn note(known: &mut Option<(u16, u16)>, modifier: &Stop) -> Result<(), RecordError> {
    match known.replace(modifier.domain) {
        Some(_) => Err(RecordError { fault: RecordFault::Repeated, at: modifier.start.into() }),
        None => Ok(()),
    }
}

/// Goes from an octet on to the next term that may match, in a record that was gone through as a whole and has more of them than
/// were noted.
pub(super) fn next(text: &[u8], from: usize, client: ClientIp) -> Stop {
    let (mut at, mut is_behind_networks) = (from, false);
    while let Some(stop) = term_behind(text, at, client) {
        if stop.kind.may_match() {
            return Stop { is_behind_networks, ..stop };
        }
        is_behind_networks |= stop.kind == Kind::Outside;
        at = stop.end.into();
    }
    Stop::end(text, is_behind_networks)
}

/// The term behind an octet, whatever it is, in a record that was gone through as a whole. `None` behind the last.
pub(super) fn term_behind(text: &[u8], from: usize, client: ClientIp) -> Option<Stop> {
    let at = from + text.get(from..)?.iter().position(|octet| *octet != b' ')?;
    // What is wrong was found before.
    look(text, at, client).ok()
}

fn look(text: &[u8], at: usize, client: ClientIp) -> Result<Stop, RecordError> {
    let rest = &text[at..];
    match look_quickly(rest, client) {
        Some((kind, domain, behind)) => Ok(Stop::new(text, rest, behind, kind, domain)),
        None => look_closely(text, at, client),
    }
}

/// A network with the client in it.
#[derive(Clone, Copy)]
struct Inside {
    prefix: u8,
    /// Of the octets of the term and the space in front of it.
    len: u8,
}

/// Goes over networks in common form, each behind one space, to the end of those or to the first that the client is in: most of a
/// long record.
// By itself, so that it has all registers.
#[inline(never)]
fn skip_common_networks<'a>(mut text: &'a [u8], client: ClientIp, inside: &mut Option<Inside>) -> &'a [u8] {
    loop {
        // Nothing that is a network has less, and eight octets are compared in one step.
        let Some((head, _)) = text.split_first_chunk::<8>() else { return text };
        let behind = match u64::from_le_bytes(*head) << 24 {
            IP4 => match ip::common_network4(&text[5..]) {
                Some(Network4 { address, prefix, len }) => match client.look_at_ip4(address, prefix) {
                    Kind::Outside => text.get(5 + usize::from(len)..),
                    _ => {
                        *inside = Some(Inside { prefix, len: 5 + len });
                        None
                    }
                },
                None => None,
            },
            // Those of IPv6 only where they need no comparing.
            IP6 if !matches!(client, ClientIp::V6(_)) => behind_common_network6(&text[5..]),
            _ => None,
        };
        let Some(behind) = behind else { return text };
        text = behind;
    }
}

const IP4: u64 = u64::from_le_bytes(*b"\0\0\0 ip4:");
const IP6: u64 = u64::from_le_bytes(*b"\0\0\0 ip6:");

#[inline(always)]
fn behind_common_network6(text: &[u8]) -> Option<&[u8]> {
    let (_, behind) = take_prefix(text.get(ip::len_of_common_ip6(text)?..)?, 128)?;
    is_end(behind).then_some(behind)
}

const fn is_end(rest: &[u8]) -> bool {
    matches!(rest, [] | [b' ', ..])
}

/// Where the term that begins at an octet ends.
pub(super) fn end_of_term(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + memchr::memchr(b' ', rest).unwrap_or(rest.len())
}

#[cold]
fn look_closely(text: &[u8], start: usize, client: ClientIp) -> Result<Stop, RecordError> {
    let end = end_of_term(text, start);
    let octets = &text[start..end];
    if let Some(at) = octets.iter().position(|octet| !octet.is_ascii_graphic()) {
        return Err(RecordError { fault: RecordFault::UnexpectedOctet, at: start + at });
    }
    let term = core::str::from_utf8(octets).expect("the octets of a term are visible ASCII");
    let qualifier = Qualifier::of(octets[0]);
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
        (Some(domain), Some(at)) => (place(start + at + 1), place(start + at + 1 + domain.as_str().len())),
        _ => (place(end), place(end)),
    };
    let (start, end) = (place(start), place(end));
    Ok(Stop { start, end, domain, kind, qualifier, is_plain: false, is_behind_networks: false })
}

/// The same for the forms that nearly all terms have: what it is, the length of the domain at its end, and what stands behind
/// it. `None` for other forms, and for all that is wrong.
#[inline(always)]
fn look_quickly(term: &[u8], client: ClientIp) -> Option<(Kind, usize, &[u8])> {
    let mechanism = match term {
        [b'+' | b'-' | b'~' | b'?', mechanism @ ..] => mechanism,
        _ => term,
    };
    let (kind, domain) = match mechanism {
        [b'a', b'l', b'l', rest @ ..] => return ended(Kind::All, 0, rest),
        [b'a', b':', domain @ ..] => (Kind::A(Prefixes::WHOLE), domain),
        [b'a', rest @ ..] => return ended(Kind::A(Prefixes::WHOLE), 0, rest),
        [b'm', b'x', b':', domain @ ..] => (Kind::Mx(Prefixes::WHOLE), domain),
        [b'm', b'x', rest @ ..] => return ended(Kind::Mx(Prefixes::WHOLE), 0, rest),
        [b'i', b'p', version @ (b'4' | b'6'), b':', network @ ..] => {
            return look_at_network(*version, network, client).map(|(kind, behind)| (kind, 0, behind));
        }
        _ => match mechanism.split_first_chunk::<7>()? {
            (b"include", [b':', domain @ ..]) => (Kind::Include, domain),
            (b"exists:", domain) => (Kind::Exists, domain),
            _ => return None,
        },
    };
    let (len, rest) = take_domain(domain)?;
    ended(kind, len, rest)
}

/// A network, and what stands behind it.
#[inline(never)]
fn look_at_network(version: u8, network: &[u8], client: ClientIp) -> Option<(Kind, &[u8])> {
    let (kind, behind) = if version == b'4' {
        let (network, rest) = ip::take_ip4(network)?;
        let (prefix, behind) = take_prefix(rest, 32)?;
        (client.look_at_ip4(network, prefix), behind)
    } else {
        let (network, rest) = ip::take_ip6(network)?;
        let (prefix, behind) = take_prefix(rest, 128)?;
        (client.look_at_ip6(|| network.address(), prefix), behind)
    };
    is_end(behind).then_some((kind, behind))
}

fn ended(kind: Kind, domain: usize, rest: &[u8]) -> Option<(Kind, usize, &[u8])> {
    if is_end(rest) { Some((kind, domain, rest)) } else { None }
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

/// The length of a domain that is a plain name and ends in a top-level label of letters, and what stands behind it.
#[inline(always)]
fn take_domain(text: &[u8]) -> Option<(usize, &[u8])> {
    let (domain, rest) = text.split_at_checked(Name::plain_len(text)?)?;
    let mut labels = domain;
    while let [front @ .., b'a'..=b'z'] = labels {
        labels = front;
    }
    // RFC 7208 §7.1
    let is_top_label = labels.len() < domain.len() && labels.ends_with(b".");
    is_top_label.then_some((domain.len(), rest))
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;
    use pillarbox_core::dns::{self, RecordSet};
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
                let text = text.as_bytes();
                let closely = look_closely(text, 0, client);
                if let Some((kind, domain, behind)) = look_quickly(text, client) {
                    let stop = Stop::new(text, text, behind, kind, domain);
                    prop_assert_eq!(closely, Ok(Stop { is_plain: false, ..stop }));
                    let domain = &text[stop.domain()];
                    if stop.is_plain {
                        prop_assert_eq!(Name::from_octets(domain), Ok(Name::from_plain(domain)));
                    }
                    prop_assert_eq!(stop.is_plain, !domain.is_empty());
                }
                let spaced = [b" ", text].concat();
                let mut inside = None;
                let behind = skip_common_networks(&spaced, client, &mut inside);
                if let Some(Inside { prefix, len }) = inside {
                    let stop = closely.map(|stop| (stop.kind, usize::from(stop.end) + 1));
                    prop_assert_eq!(stop, Ok((Kind::Network(prefix), len.into())));
                }
                if behind.len() < spaced.len() {
                    prop_assert_eq!(closely.map(|stop| (stop.kind, stop.end.into())), Ok((Kind::Outside, text.len() - rest.len())));
                    prop_assert_eq!(behind, rest.as_bytes());
                }
            }
        }
    }

    /// A record that was not checked yet.
    fn of_answer(text: &str) -> Record {
        let set = RecordSet::new(Name::root(), 0, vec![dns::Record::txt(text)]);
        Record::of_answer(set, 0)
    }

    /// The stops of a record one after another, and the end.
    fn stops(mut record: Record, client: ClientIp) -> Result<Vec<Stop>, RecordError> {
        let mut stops = Stops::NONE;
        record.look(client, &mut stops)?;
        let mut all = Vec::<Stop>::new();
        loop {
            let stop = *stops.current();
            all.push(Stop { is_plain: false, ..stop });
            if stop.kind.matches() || stop.kind == Kind::End {
                return Ok(all);
            }
            assert_eq!(stops.go_on(record.octets(), client), stop.end);
        }
    }

    /// The same, term by term.
    fn slow_stops(text: &[u8], client: ClientIp) -> Result<Vec<Stop>, RecordError> {
        if let Some(at) = text.iter().position(|octet| !matches!(octet, b' '..=b'~')) {
            return Err(RecordError { fault: RecordFault::UnexpectedOctet, at });
        }
        let (mut all, mut known, mut at, mut is_over, mut is_behind_networks) =
            (Vec::new(), [None; 2], 6, false, false);
        while at < text.len() {
            let end = end_of_term(text, at);
            if end > at {
                let stop = look_closely(text, at, client)?;
                match stop.kind {
                    Kind::Redirect => note(&mut known[0], &stop)?,
                    Kind::Explanation => note(&mut known[1], &stop)?,
                    Kind::Outside => is_behind_networks = true,
                    kind if kind.may_match() && !is_over => {
                        is_over = kind.matches();
                        all.push(Stop { is_behind_networks, ..stop });
                        is_behind_networks = false;
                    }
                    _ => {}
                }
            }
            at = end + 1;
        }
        if !is_over {
            all.push(Stop::end(text, is_behind_networks));
        }
        Ok(all)
    }

    fn good_term() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just("ip4:192.0.2.0/24"),
            Just("ip4:192.0.2.1"),
            Just("ip4:198.51.100.0/25"),
            Just("ip6:2001:db8::/32"),
            Just("ip6:::1"),
            Just("a"),
            Just("mx/24"),
            Just("a:a.example"),
            Just("include:%{d}.example"),
            Just("x=y"),
            Just("all"),
            Just("exp=a.example"),
            Just("redirect=a.example"),
            Just(""),
        ];
        ("[-~?]?", word).prop_map(|(qualifier, word)| if word.contains('=') { word.into() } else { qualifier + word })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// A whole record is read as its terms are, and what is wrong with it is found where it is.
        #[test]
        fn quick_and_slow_stops_agree(
            terms in proptest::collection::vec(good_term(), 0..9),
            wrong in proptest::option::weighted(0.2, ("[ -~\\x00\u{e9}]{0,3}", any::<proptest::sample::Index>())),
        ) {
            let mut terms = terms;
            if let Some((wrong, at)) = wrong {
                terms.insert(at.index(terms.len() + 1), wrong);
            }
            let text = String::from("v=spf1 ") + &terms.join(" ");
            for client in [ClientIp::Nobody, ClientIp::V4(0xc000_0201), ClientIp::V4(0), ClientIp::V6(1), ClientIp::V6(0)] {
                let slow = slow_stops(text.as_bytes(), client);
                let slow = slow.map(|stops| stops.into_iter().map(|stop| Stop { is_plain: false, ..stop }).collect());
                prop_assert_eq!(stops(of_answer(&text), client), slow.clone(), "{}", text);
                let listed = Record::parse(text.as_bytes());
                prop_assert_eq!(listed.and_then(|record| stops(record, client)), slow, "{}", text);
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
            "include:_spf-17.long-name-of-a-provider.example.net",
        ] {
            assert!(look_quickly(term.as_bytes(), client).is_some(), "{term}");
        }
    }
}
