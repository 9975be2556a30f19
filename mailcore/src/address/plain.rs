//! The addresses that nearly all are, read in one pass.

use super::domain::LABEL_MAX;
use super::{Address, Domain, LocalPart, PATH_MAX};
use crate::Text;

/// An octet of a dot-atom (RFC 5322 §3.2.3).
const ATOM: u8 = 1;
/// A dot, or an octet of a label, with the underscore that [`Domain`] takes.
const LABEL: u8 = 2;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let atom = b"!#$%&'*+-/=?^_`{|}~";
    let mut at = 0;
    while at < atom.len() {
        classes[atom[at] as usize] |= ATOM;
        at += 1;
    }
    classes[b'.' as usize] |= ATOM | LABEL;
    classes[b'-' as usize] |= LABEL;
    classes[b'_' as usize] |= LABEL;
    let mut octet = 0;
    while octet < 128 {
        if (octet as u8).is_ascii_alphanumeric() {
            classes[octet] |= ATOM | LABEL;
        }
        octet += 1;
    }
    classes
};

/// Takes `<local@domain>` off the front of `input`, if the local part is a dot-string and the domain a name, all in ASCII and
/// nothing wrong with them. `None` leaves the path to the careful reading, which knows quotes, literals, routes and UTF-8,
/// and says what is wrong.
#[inline(always)]
pub(super) fn take(input: &[u8]) -> Option<(Address<'_>, &[u8])> {
    let (local_len, domain_len) = lengths(input)?;
    let (local, behind) = input.get(1..)?.split_at_checked(local_len)?;
    let (domain, rest) = behind.get(1..)?.split_at_checked(domain_len)?;
    // All octets of both classes are ASCII.
    let local = LocalPart::from_checked(Text::from_checked(local));
    Some((Address { local, domain: Domain::from_checked_name(domain) }, rest.get(1..)?))
}

/// The lengths of both parts. A function of its own, as the address is best put together where it is wanted.
#[inline(never)]
fn lengths(input: &[u8]) -> Option<(usize, usize)> {
    let (b'<', content) = input.split_first()? else { return None };
    let (local, behind) = run(content, ATOM);
    let ([b'@', behind @ ..], false) = (behind, local.is_empty() || has_empty_word(local)) else { return None };
    let (domain, behind) = run(behind, LABEL);
    let ([b'>', ..], false) = (behind, domain.is_empty() || has_wrong_label(domain)) else { return None };
    // Where all is shorter than that, no part is too long.
    (local.len() + 1 + domain.len() <= PATH_MAX - 2).then_some((local.len(), domain.len()))
}

/// The octets of a class at the front, and what stands behind them.
#[inline(always)]
fn run(octets: &[u8], class: u8) -> (&[u8], &[u8]) {
    let is = |octet: u8| CLASSES[usize::from(octet)] & class;
    let mut len = 0;
    // Four at a time: one question for all of them, and the rest is looked at where it ends.
    while let Some([a, b, c, d]) = octets.get(len..).and_then(<[u8]>::first_chunk) {
        if is(*a) & is(*b) & is(*c) & is(*d) == 0 {
            break;
        }
        len += 4;
    }
    while octets.get(len).is_some_and(|octet| is(*octet) != 0) {
        len += 1;
    }
    octets.split_at_checked(len).unwrap_or_default()
}

/// Eight octets, the first one lowest.
type Eight = u64;

const fn each(octet: u8) -> Eight {
    Eight::from_le_bytes([octet; 8])
}

/// The highest bit of each octet that is this one; of ASCII.
#[inline(always)]
const fn which(octets: Eight, octet: u8) -> Eight {
    // No difference is above 0x7f, so no octet borrows from the next.
    (each(0x80) - (octets ^ each(octet))) & each(0x80)
}

/// Whether any eight octets are wrong. Neighbours are seen together at least once; where there are fewer than eight, NUL stands
/// behind them.
#[inline(always)]
fn any_eight(octets: &[u8], is_wrong: impl Fn(Eight) -> bool) -> bool {
    let Some(last) = octets.last_chunk() else {
        let padded = octets.iter().rev().fold(0, |eight, octet| eight << 8 | Eight::from(*octet));
        return is_wrong(padded);
    };
    let mut rest = octets;
    while let (Some(eight), true) = (rest.first_chunk(), rest.len() > 8) {
        if is_wrong(Eight::from_le_bytes(*eight)) {
            return true;
        }
        rest = &rest[7..];
    }
    is_wrong(Eight::from_le_bytes(*last))
}

/// Whether dots stand together, or at an end.
#[inline(always)]
fn has_empty_word(local: &[u8]) -> bool {
    let ends = [local.first(), local.last()];
    ends.contains(&Some(&b'.'))
        || any_eight(local, |octets| {
            let dots = which(octets, b'.');
            dots & (dots << 8) != 0
        })
}

/// Whether a label is empty, begins or ends with a hyphen, or may be too long.
#[inline(always)]
fn has_wrong_label(domain: &[u8]) -> bool {
    let ends = [domain.first(), domain.last()];
    ends.contains(&Some(&b'.'))
        || ends.contains(&Some(&b'-'))
        || any_eight(domain, |octets| {
            let dots = which(octets, b'.');
            let marks = dots | which(octets, b'-');
            (dots & (marks << 8)) | (marks & (dots << 8)) != 0
        })
        || (domain.len() > LABEL_MAX && domain.split(|octet| *octet == b'.').any(|label| label.len() > LABEL_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{ForwardPath, ReversePath, path};
    use alloc::string::String;
    use proptest::prelude::*;

    /// What stands in paths, and what could be taken for it.
    fn path() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            8 => "[a-zA-Z0-9]{1,3}",
            4 => prop::sample::select(&[".", "@", "-", ">"][..]).prop_map(String::from),
            1 => "[ -~]",
            1 => Just(String::from("x").repeat(61)),
            1 => prop::sample::select(&["\"", "\\", "[", "]", "<", "_", ":", ",", "é", "\u{3002}", "\0", "\r"][..])
                .prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..9).prop_map(|pieces| {
            let mut text = String::from("<");
            text.extend(pieces);
            text.push_str("> x");
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn the_careful_reading_says_the_same(text in path(), utf8 in any::<bool>()) {
            if let Some((address, rest)) = take(text.as_bytes()) {
                let (careful, careful_rest) = path::take_carefully(text.as_bytes(), utf8).expect("it is well formed");
                let careful = careful.expect("it is not empty");
                prop_assert_eq!((address.local().as_str(), address.domain().as_str()),
                    (careful.local().as_str(), careful.domain().as_str()));
                prop_assert_eq!((address.domain().ip(), rest), (careful.domain().ip(), careful_rest));
            }
        }
    }

    #[test]
    fn dots_and_hyphens_are_seen_wherever_they_stand() {
        for len in 1..40 {
            for at in 0..len {
                for pair in ["..", "-.", ".-", ".", "-", "a.a", "a-a", "a--a"] {
                    let domain = [&"x".repeat(at), pair, &"x".repeat(len - at)].concat();
                    for text in [["<a@", &*domain, ">"].concat(), ["<", &*domain, "@b>"].concat()] {
                        let careful = path::take_carefully(text.as_bytes(), false).is_ok();
                        assert_eq!(take(text.as_bytes()).is_some(), careful, "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn plain_ones_are_taken_and_others_left() {
        for text in ["<a@b>", "<joe.smith+x@mx-1.example.org> SIZE=1", "<a@b_c.example>>"] {
            assert!(take(text.as_bytes()).is_some(), "{text}");
        }
        let longest = [&"x".repeat(252), "@b"].concat();
        assert!(take(["<", &longest, ">"].concat().as_bytes()).is_some());
        let label = "x".repeat(63);
        assert!(take(["<a@", &label, ">"].concat().as_bytes()).is_some());
        for text in [
            "",
            "<",
            "<>",
            "<a>",
            "<a@b",
            "a@b>",
            "<@b>",
            "<a@>",
            "<a..b@c>",
            "<.a@b>",
            "<a.@b>",
            "<a@b.>",
            "<a@b..c>",
            "<a@-b>",
            "<a@b->",
            "<a@b c>",
            "<\"a\"@b>",
            "<a@[192.0.2.1]>",
            "<@r:a@b>",
            "<é@b>",
            "<a@é>",
        ] {
            assert!(take(text.as_bytes()).is_none(), "{text}");
        }
        for text in [["<x", &longest, ">"], ["<a@", &label, "x>"]].map(|parts| parts.concat()) {
            assert!(take(text.as_bytes()).is_none(), "{text}");
            assert!(ReversePath::take(text.as_bytes(), false).is_err(), "{text}");
            assert!(ForwardPath::take(text.as_bytes(), false).is_err(), "{text}");
        }
    }
}
