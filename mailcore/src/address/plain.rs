//! The addresses that nearly all are, read in one pass.

use super::domain::LABEL_MAX;
use super::{Address, Domain, LocalPart, PATH_MAX};
use crate::Text;

/// An octet of an atom, dots not counted (RFC 5322 §3.2.3).
const ATOM: u8 = 1;
/// An octet of a label, with the underscore that [`Domain`] takes.
const LABEL: u8 = 2;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let atom = b"!#$%&'*+-/=?^_`{|}~";
    let mut at = 0;
    while at < atom.len() {
        classes[atom[at] as usize] |= ATOM;
        at += 1;
    }
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
    let local_len = dotted(content, ATOM, |_| true)?;
    let (b'@', behind) = content[local_len..].split_first()? else { return None };
    let domain_len = dotted(behind, LABEL, |label| {
        label.len() <= LABEL_MAX && label.first() != Some(&b'-') && label.last() != Some(&b'-')
    })?;
    let (b'>', _) = behind[domain_len..].split_first()? else { return None };
    // Where all is shorter than that, no part is too long.
    (local_len + 1 + domain_len <= PATH_MAX - 2).then_some((local_len, domain_len))
}

/// The length of the words at the front that are parted by single dots and made of octets of a class.
#[inline(always)]
fn dotted(octets: &[u8], class: u8, fits: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut rest = octets;
    loop {
        let mut behind = rest;
        let next = loop {
            let (octet, tail) = behind.split_first()?;
            if CLASSES[usize::from(*octet)] & class == 0 {
                break *octet;
            }
            behind = tail;
        };
        let word = &rest[..rest.len() - behind.len()];
        if word.is_empty() || !fits(word) {
            return None;
        }
        if next != b'.' {
            return Some(octets.len() - behind.len());
        }
        rest = &behind[1..];
    }
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
