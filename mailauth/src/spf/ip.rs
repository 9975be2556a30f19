//! Addresses in text, as the standard library reads them. Records are lists of networks, so that reading these is much of the
//! work of a check, and the standard library takes half as long again.

use core::num::NonZeroU64;

/// RFC 7208 §12: `ip4-network` as a number, and what stands behind it: nothing, a slash or a space.
#[inline(always)]
pub(super) fn take_ip4(text: &[u8]) -> Option<(u32, &[u8])> {
    let (a, rest) = take_number(text)?;
    let (b, rest) = take_number(rest.strip_prefix(b".")?)?;
    let (c, rest) = take_number(rest.strip_prefix(b".")?)?;
    let (d, rest) = take_number(rest.strip_prefix(b".")?)?;
    is_end(rest).then_some((a << 24 | b << 16 | c << 8 | d, rest))
}

/// An IPv4 network, its prefix length, and the octets that it was written in. One number, so that it stays in one register: none
/// of them is written in no octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network4(NonZeroU64);

impl Network4 {
    fn new(network: u32, prefix: u32, len: usize) -> Option<Self> {
        NonZeroU64::new(u64::from(network) << 32 | u64::from(prefix) << 8 | len as u64).map(Network4)
    }

    pub(super) const fn address(self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    /// 0 to 32.
    pub(super) const fn prefix(self) -> u8 {
        (self.0.get() >> 8) as u8
    }

    pub(super) const fn len(self) -> usize {
        (self.0.get() & 0xff) as usize
    }
}

/// A network in the form that nearly all have: an address, and one or two digits of a prefix length, or none. `None` for other
/// forms, and for all that is wrong. Only at the end of a record is it copied, so that none of the octets that are looked at
/// can be missing.
// Inlined, it would share registers with all that stands around.
#[inline(never)]
pub(super) fn common_network4(text: &[u8]) -> Option<Network4> {
    let mut padded;
    let octets = match text.first_chunk::<NETWORK4_MAX>() {
        Some(octets) => octets,
        None => {
            padded = [b' '; NETWORK4_MAX];
            padded[..text.len()].copy_from_slice(text);
            &padded
        }
    };
    let (a, a_len, rest) = common_number::<19, 16>(octets)?;
    let (b, b_len, rest) = common_number::<15, 12>(behind_dot(rest)?)?;
    let (c, c_len, rest) = common_number::<11, 8>(behind_dot(rest)?)?;
    let (d, d_len, rest) = common_number::<7, 4>(behind_dot(rest)?)?;
    let value = |digit: u8| u32::from(digit.wrapping_sub(b'0'));
    let (prefix, prefix_len) = match *rest {
        [b'/', a @ b'1'..=b'3', b @ b'0'..=b'9', b' '] => (value(a) * 10 + value(b), 3),
        [b'/', a @ b'0'..=b'9', b' ', _] => (value(a), 2),
        [b' ', ..] => (32, 0),
        _ => return None,
    };
    if prefix > 32 {
        return None;
    }
    Network4::new(a << 24 | b << 16 | c << 8 | d, prefix, a_len + b_len + c_len + d_len + 3 + prefix_len)
}

/// `255.255.255.255/32` and a space.
const NETWORK4_MAX: usize = 19;

/// A number up to 255 that has no zero in front, how many digits it has, and what stands behind it, `REST` octets of it. Where
/// that is three less than `LEN`, no octet can be missing.
#[inline(always)]
fn common_number<const LEN: usize, const REST: usize>(text: &[u8; LEN]) -> Option<(u32, usize, &[u8; REST])> {
    let a = digit(text[0])?;
    let Some(b) = digit(text[1]) else { return Some((a, 1, text[1..].first_chunk()?)) };
    if a == 0 {
        return None;
    }
    let Some(c) = digit(text[2]) else { return Some((a * 10 + b, 2, text[2..].first_chunk()?)) };
    let number = a * 100 + b * 10 + c;
    if number <= 255 { Some((number, 3, text[3..].first_chunk()?)) } else { None }
}

#[inline(always)]
fn behind_dot<const LEN: usize, const REST: usize>(text: &[u8; LEN]) -> Option<&[u8; REST]> {
    if text[0] == b'.' { text[1..].first_chunk() } else { None }
}

const fn is_end(rest: &[u8]) -> bool {
    matches!(rest, [] | [b'/' | b' ', ..])
}

/// A number up to 255 that has no zero in front. Another digit may stand behind it, where nothing takes one.
#[inline(always)]
fn take_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let [first, rest @ ..] = text else { return None };
    let mut number = digit(*first)?;
    let [second, behind @ ..] = rest else { return Some((number, rest)) };
    let Some(value) = digit(*second).filter(|_| number > 0) else { return Some((number, rest)) };
    number = number * 10 + value;
    let [third, last @ ..] = behind else { return Some((number, behind)) };
    let Some(value) = digit(*third) else { return Some((number, behind)) };
    number = number * 10 + value;
    (number <= 255).then_some((number, last))
}

const fn digit(octet: u8) -> Option<u32> {
    let value = octet.wrapping_sub(b'0');
    if value <= 9 { Some(value as u32) } else { None }
}

/// An IPv6 address as it is written: put together only where there is something to compare it with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip6 {
    groups: u128,
    count: u32,
    /// How many groups stand before the gap.
    gap: Option<u32>,
}

impl Ip6 {
    /// The address as a number.
    pub(super) fn address(self) -> u128 {
        let Some(before) = self.gap else { return self.groups };
        let behind = 16 * (self.count - before);
        // What stands before the gap belongs to the front.
        let front = (self.groups >> behind).checked_shl(128 - 16 * before).unwrap_or(0);
        front | self.groups & ((1 << behind) - 1)
    }
}

/// RFC 4291 §2.2: an address, and what stands behind it: nothing, a slash or a space.
pub(super) fn take_ip6(text: &[u8]) -> Option<(Ip6, &[u8])> {
    let (mut groups, mut count) = (0_u128, 0_u32);
    let mut gap = None;
    let mut at = 0;
    if let [b':', b':', ..] = text {
        (gap, at) = (Some(0), 2);
    }
    // Nothing need stand behind a gap.
    let mut may_end = gap.is_some();
    loop {
        let rest = text.get(at..)?;
        if may_end && is_end(rest) {
            break;
        }
        let (group, digits) = hex_digits(rest);
        // The last two groups may be written as an IPv4 address.
        if rest.get(digits) == Some(&b'.') {
            let (ip4, behind) = take_ip4(rest)?;
            groups = groups << 32 | u128::from(ip4);
            count += 2;
            at = text.len() - behind.len();
            break;
        }
        if digits == 0 || digits > 4 || count == 8 {
            return None;
        }
        groups = groups << 16 | u128::from(group);
        count += 1;
        at += digits;
        match text.get(at) {
            Some(b':') => at += 1,
            None | Some(b'/' | b' ') => break,
            Some(_) => return None,
        }
        may_end = false;
        if gap.is_none() && text.get(at) == Some(&b':') {
            (gap, may_end) = (Some(count), true);
            at += 1;
        }
    }
    let is_whole = if gap.is_none() { count == 8 } else { count < 8 };
    is_whole.then(|| (Ip6 { groups, count, gap }, &text[at..]))
}

/// The octets of an address in the form that nearly all have: without an IPv4 address in it, and not at the end of the record.
/// `None` for others, and for all that is wrong. A client that has an IPv4 address is in none of these networks, so that their
/// numbers need not be known.
// Inlined, it would share registers with all that stands around.
#[inline(never)]
pub(super) fn len_of_common_ip6(text: &[u8]) -> Option<usize> {
    let (mut rest, mut count, mut has_gap) = (text, 0, false);
    if let [b':', b':', behind @ ..] = text {
        (rest, has_gap) = (behind, true);
    }
    loop {
        // Nothing need stand behind a gap.
        if has_gap && count < 8 && is_end(rest) {
            break;
        }
        // Two octets behind four digits are looked at, and none is missing.
        let octets = rest.first_chunk::<6>()?;
        let is_digit = |at: usize| HEX_DIGITS[usize::from(octets[at])] <= 15;
        if !is_digit(0) || count == 8 {
            return None;
        }
        count += 1;
        let (digits, [octet, next]) = if !is_digit(1) {
            (1, [octets[1], octets[2]])
        } else if !is_digit(2) {
            (2, [octets[2], octets[3]])
        } else if !is_digit(3) {
            (3, [octets[3], octets[4]])
        } else {
            (4, [octets[4], octets[5]])
        };
        if octet != b':' {
            rest = &rest[digits..];
            if is_end(rest) && has_gap == (count < 8) {
                break;
            }
            return None;
        }
        if next != b':' {
            rest = &rest[digits + 1..];
            // Something must.
            if is_end(rest) {
                return None;
            }
        } else if has_gap {
            return None;
        } else {
            has_gap = true;
            rest = &rest[digits + 2..];
        }
    }
    Some(text.len() - rest.len())
}

/// The value of the last four hexadecimal digits at the front, and how many there are.
#[inline(always)]
fn hex_digits(text: &[u8]) -> (u16, usize) {
    let (mut value, mut count) = (0_u32, 0);
    for octet in text {
        let digit = HEX_DIGITS[usize::from(*octet)];
        if digit > 15 {
            break;
        }
        value = value << 4 | u32::from(digit);
        count += 1;
    }
    ((value & 0xffff) as u16, count)
}

/// The values of hexadecimal digits; more than 15 is none.
static HEX_DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        let small = b"0123456789abcdef"[value as usize];
        digits[small as usize] = value;
        digits[small.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    digits
};

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;

    fn parse_ip4(text: &str) -> Option<Ipv4Addr> {
        take_ip4(text.as_bytes()).filter(|(_, rest)| rest.is_empty()).map(|(ip, _)| ip.into())
    }

    fn parse_ip6(text: &str) -> Option<Ipv6Addr> {
        take_ip6(text.as_bytes()).filter(|(_, rest)| rest.is_empty()).map(|(ip, _)| ip.address().into())
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

        /// The quick ways take less than the others, but never more, and find the same.
        #[test]
        fn quick_ways_agree(
            text in "([0-9]{1,3}\\.){3}[0-9]{1,3}(/[0-9]{0,3})?( .{0,20})?|[0-9a-fA-F:./ ]{0,24}|([0-9a-f]{1,4}::?){0,9}([0-9]{1,9})?/?( a)?|(::)?([0-9a-f]{1,4}:){5,8}[0-9a-f:]{0,4}"
        ) {
            let text = text.as_bytes();
            if let Some(network) = common_network4(text) {
                let (ip, rest) = take_ip4(text).unwrap();
                let (written, behind) = text.split_at(network.len());
                prop_assert!(matches!(behind, [] | [b' ', ..]));
                let digits = written[text.len() - rest.len()..].strip_prefix(b"/");
                let prefix = digits.map_or(32, |digits| core::str::from_utf8(digits).unwrap().parse().unwrap());
                prop_assert!(prefix <= 32 && digits.is_none_or(|digits| digits.len() == 1 || digits[0] != b'0'));
                prop_assert_eq!((network.address(), network.prefix()), (ip, prefix));
            }
            if let Some(len) = len_of_common_ip6(text) {
                prop_assert_eq!(take_ip6(text).map(|(_, rest)| rest), Some(&text[len..]));
            } else if !text.contains(&b'.') {
                let longer = [text, b"        "].concat();
                prop_assert_eq!(take_ip6(text).is_some(), len_of_common_ip6(&longer).is_some());
            }
        }

        #[test]
        fn every_address(ip4: Ipv4Addr, ip6: Ipv6Addr) {
            prop_assert_eq!(parse_ip4(&ip4.to_string()), Some(ip4));
            prop_assert_eq!(parse_ip6(&ip6.to_string()), Some(ip6));
            let text = ip4.to_string();
            prop_assert_eq!(common_network4(text.as_bytes()), Network4::new(ip4.into(), 32, text.len()));
            let (with_ip4, with_ip6) = (format!("{ip4}/8"), format!("{ip6}/8"));
            prop_assert_eq!(take_ip4(with_ip4.as_bytes()), Some((ip4.into(), &b"/8"[..])));
            let read = take_ip6(with_ip6.as_bytes()).map(|(ip, rest)| (ip.address(), rest));
            prop_assert_eq!(read, Some((ip6.into(), &b"/8"[..])));
        }
    }
}
