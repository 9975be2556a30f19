//! Addresses in text, as the standard library reads them. Records are lists of networks, so that reading these is much of the
//! work of a check, and the standard library takes half as long again.

use core::net::{Ipv4Addr, Ipv6Addr};

/// RFC 7208 §12: `ip4-network`, and what stands behind it: nothing, or a slash.
pub(super) fn take_ip4(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (a, rest) = take_number(text)?;
    let (b, rest) = take_number(rest.strip_prefix(b".")?)?;
    let (c, rest) = take_number(rest.strip_prefix(b".")?)?;
    let (d, rest) = take_number(rest.strip_prefix(b".")?)?;
    matches!(rest, [] | [b'/', ..]).then_some((Ipv4Addr::new(a, b, c, d), rest))
}

/// A number up to 255 that has no zero in front. Another digit may stand behind it, where nothing takes one.
fn take_number(text: &[u8]) -> Option<(u8, &[u8])> {
    let value = |digit: u8| u16::from(digit - b'0');
    let (number, rest) = match text {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            (value(*a) * 100 + value(*b) * 10 + value(*c), rest)
        }
        [a @ b'1'..=b'9', b @ b'0'..=b'9', rest @ ..] => (value(*a) * 10 + value(*b), rest),
        [a @ b'0'..=b'9', rest @ ..] => (value(*a), rest),
        _ => return None,
    };
    Some((u8::try_from(number).ok()?, rest))
}

/// RFC 4291 §2.2, and what stands behind it: nothing, or a slash.
pub(super) fn take_ip6(text: &[u8]) -> Option<(Ipv6Addr, &[u8])> {
    let mut groups = [0_u16; 8];
    let mut count = 0;
    let mut gap = None;
    let mut rest = text;
    if let [b':', b':', behind @ ..] = rest {
        (gap, rest) = (Some(0), behind);
    }
    while !matches!(rest, [] | [b'/', ..]) {
        let (mut group, mut digits) = (0_u16, 0);
        while let Some(digit) = rest.get(digits).and_then(|octet| hex_digit(*octet)) {
            if digits == 4 {
                return None;
            }
            group = group << 4 | digit;
            digits += 1;
        }
        // The last two groups may be written as an IPv4 address.
        if rest.get(digits) == Some(&b'.') {
            let (ip4, behind) = take_ip4(rest)?;
            let [a, b, c, d] = ip4.octets();
            rest = behind;
            groups
                .get_mut(count..count + 2)?
                .copy_from_slice(&[u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
            count += 2;
            break;
        }
        if digits == 0 {
            return None;
        }
        *groups.get_mut(count)? = group;
        count += 1;
        rest = match &rest[digits..] {
            behind @ ([] | [b'/', ..]) => behind,
            [b':', b':', behind @ ..] if gap.is_none() => {
                gap = Some(count);
                behind
            }
            [b':', behind @ ..] if !matches!(behind, [] | [b'/', ..]) => behind,
            _ => return None,
        };
    }
    match gap {
        None if count < 8 => return None,
        None => {}
        Some(_) if count == 8 => return None,
        // What stands behind the gap belongs to the end.
        Some(gap) => {
            groups.copy_within(gap..count, 8 - (count - gap));
            groups[gap..8 - (count - gap)].fill(0);
        }
    }
    Some((Ipv6Addr::from(groups), rest))
}

const fn hex_digit(octet: u8) -> Option<u16> {
    match octet {
        b'0'..=b'9' => Some((octet - b'0') as u16),
        b'a'..=b'f' => Some((octet - b'a' + 10) as u16),
        b'A'..=b'F' => Some((octet - b'A' + 10) as u16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn parse_ip4(text: &str) -> Option<Ipv4Addr> {
        take_ip4(text.as_bytes()).filter(|(_, rest)| rest.is_empty()).map(|(ip, _)| ip)
    }

    fn parse_ip6(text: &str) -> Option<Ipv6Addr> {
        take_ip6(text.as_bytes()).filter(|(_, rest)| rest.is_empty()).map(|(ip, _)| ip)
    }

    #[test]
    fn as_the_standard_library() {
        for text in [
            "",
            "::",
            ":",
            ":::",
            "1",
            "::1",
            "1::",
            "1::2::3",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8::",
            "::1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "12345::",
            "::1.2.3.4",
            "1:2:3:4:5:6:1.2.3.4",
            "1:2:3:4:5:6:7:1.2.3.4",
            "::1.2.3.4:5",
            "1.2.3.4",
            "::1.2.3",
            "::ffff:1.2.3.4",
            "1:",
            ":1",
            "::1:",
            "g::",
            "1 ::",
            "fe80::1%1",
            "1.2.3.256",
            "01.2.3.4",
            "1.2.3.04",
            "1.2.3.4.",
            ".1.2.3.4",
            "0.0.0.0",
            "255.255.255.255",
            "1..2.3",
            "1.2.3.1000",
            "00.0.0.0",
            "1:2:3:4::5:6:7:8",
        ] {
            assert_eq!(parse_ip4(text), text.parse().ok(), "{text}");
            assert_eq!(parse_ip6(text), text.parse().ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn as_the_standard_library_on_anything(text in "([0-9]{1,3}\\.){3}[0-9]{1,3}|[0-9a-fA-F:.]{0,24}|([0-9a-f]{1,4}::?){0,9}([0-9.]{1,9})?") {
            prop_assert_eq!(parse_ip4(&text), text.parse().ok());
            prop_assert_eq!(parse_ip6(&text), text.parse().ok());
        }

        #[test]
        fn every_address(ip4: Ipv4Addr, ip6: Ipv6Addr) {
            prop_assert_eq!(parse_ip4(&ip4.to_string()), Some(ip4));
            prop_assert_eq!(parse_ip6(&ip6.to_string()), Some(ip6));
            let (with_ip4, with_ip6) = (format!("{ip4}/8"), format!("{ip6}/8"));
            prop_assert_eq!(take_ip4(with_ip4.as_bytes()), Some((ip4, &b"/8"[..])));
            prop_assert_eq!(take_ip6(with_ip6.as_bytes()), Some((ip6, &b"/8"[..])));
        }
    }
}
