//! Addresses in text, as the standard library reads them. Records are lists of networks, so that reading these is much of the
//! work of a check, and the standard library takes half as long again.

/// RFC 7208 §12: `ip4-network` as a number, and what stands behind it: nothing, a slash or a space.
#[inline(always)]
pub(super) fn take_ip4(text: &[u8]) -> Option<(u32, &[u8])> {
    let (a, rest) = take_number(text)?;
    let (b, rest) = take_number(rest.strip_prefix(b".")?)?;
    let (c, rest) = take_number(rest.strip_prefix(b".")?)?;
    let (d, rest) = take_number(rest.strip_prefix(b".")?)?;
    is_end(rest).then_some((a << 24 | b << 16 | c << 8 | d, rest))
}

/// An IPv4 network, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network4 {
    pub(super) address: u32,
    /// 0 to 32.
    pub(super) prefix: u8,
    /// Of its octets.
    pub(super) len: u8,
}

/// A network in the form that nearly all have: an address, and one or two digits of a prefix length, or none. `None` for other
/// forms, and for all that is wrong. Only at the end of a record is it copied, so that none of the octets that are looked at
/// can be missing.
#[inline(always)]
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
    let (written, rest) = common_number::<19, 16>(Written::default(), octets)?;
    let (written, rest) = common_number::<15, 12>(written, behind_dot(rest)?)?;
    let (written, rest) = common_number::<11, 8>(written, behind_dot(rest)?)?;
    let (Written { address, len }, rest) = common_number::<7, 4>(written, behind_dot(rest)?)?;
    let value = |digit: u8| digit.wrapping_sub(b'0');
    let (prefix, prefix_len) = match *rest {
        [b'/', a @ b'1'..=b'3', b @ b'0'..=b'9', b' '] => (value(a) * 10 + value(b), 3),
        [b'/', a @ b'0'..=b'9', b' ', _] => (value(a), 2),
        [b' ', ..] => (32, 0),
        _ => return None,
    };
    // Three dots stand between the numbers.
    if prefix <= 32 { Some(Network4 { address, prefix, len: len + 3 + prefix_len }) } else { None }
}

/// The numbers of an address so far, and how many digits they have.
#[derive(Clone, Copy, Default)]
struct Written {
    address: u32,
    len: u8,
}

/// `255.255.255.255/32` and a space.
const NETWORK4_MAX: usize = 19;

/// One more number up to 255 that has no zero in front, and what stands behind it, `REST` octets of it. Where that is three less
/// than `LEN`, no octet can be missing.
#[inline(always)]
fn common_number<const LEN: usize, const REST: usize>(
    before: Written,
    text: &[u8; LEN],
) -> Option<(Written, &[u8; REST])> {
    let with = |number, digits| Written { address: before.address << 8 | number, len: before.len + digits };
    let a = digit(text[0])?;
    let Some(b) = digit(text[1]) else { return Some((with(a, 1), text[1..].first_chunk()?)) };
    if a == 0 {
        return None;
    }
    let Some(c) = digit(text[2]) else { return Some((with(a * 10 + b, 2), text[2..].first_chunk()?)) };
    let number = a * 100 + b * 10 + c;
    if number <= 255 { Some((with(number, 3), text[3..].first_chunk()?)) } else { None }
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

/// How many octets an address has in the form that nearly all networks are written in: hexadecimal digits in small letters, one
/// `::`, and no more than 24 octets; and not at the end of a record. What stands behind it is for others to look at. `None` for
/// other forms, and for all that is wrong. A client that has an IPv4 address is in none of these networks, so that their numbers need not be known.
#[inline(always)]
pub(super) fn len_of_common_ip6(text: &[u8]) -> Option<usize> {
    let front = text.first_chunk::<16>()?;
    let mut octets = Ip6Octets::of(front[..8].first_chunk()?).with(1, front[8..].first_chunk()?);
    if octets.allowed == 0xffff {
        octets = octets.with(2, text.get(16..)?.first_chunk()?);
    }
    let len = octets.allowed.trailing_ones();
    let colons = octets.colons & ((1 << len) - 1);
    let digits = !octets.colons & ((1 << len) - 1);
    let gap = colons & colons >> 1;
    // Each of the others stands between two groups.
    let single = colons & !(gap | gap << 1);
    let has_group_of_five = {
        let two = digits & digits >> 1;
        two & two >> 2 & digits >> 4 != 0
    };
    // Seven of them, two in the gap, make seven groups at most.
    let is_common = gap.is_power_of_two()
        && single & (1 | 1 << len >> 1) == 0
        && !has_group_of_five
        && (len < 15 || colons.count_ones() <= 7);
    is_common.then_some(len as usize)
}

/// Which octets of a text may stand in an address, and which of these are colons. A bit for each, the first one the lowest.
#[derive(Clone, Copy)]
struct Ip6Octets {
    allowed: u32,
    colons: u32,
}

impl Ip6Octets {
    /// Of eight octets. A text with others than ASCII gives something or other in which not all are allowed.
    #[inline(always)]
    fn of(octets: &[u8; 8]) -> Self {
        let word = u64::from_le_bytes(*octets);
        // Each octet is in as many of these as there are bounds below it: an odd number within `0` to `:` and `a` to `f`.
        let [colon, behind_colon] = [at_least(word, b':'), at_least(word, b':' + 1)];
        let allowed = at_least(word, b'0') ^ behind_colon ^ at_least(word, b'a') ^ at_least(word, b'f' + 1);
        Ip6Octets { allowed: high_bits(allowed & !word), colons: high_bits(colon ^ behind_colon) }
    }

    /// The same with eight more, as the octets from 8 times `place` on.
    #[inline(always)]
    fn with(self, place: u32, octets: &[u8; 8]) -> Self {
        let more = Ip6Octets::of(octets);
        Ip6Octets {
            allowed: self.allowed | more.allowed << (8 * place),
            colons: self.colons | more.colons << (8 * place),
        }
    }
}

/// The high bits of those octets of ASCII that are at least `least`.
#[inline(always)]
const fn at_least(word: u64, least: u8) -> u64 {
    word.wrapping_add(u64::from_le_bytes([0x80 - least; 8]))
}

/// The high bits of eight octets as the bits of one, that of the first octet the lowest.
#[inline(always)]
const fn high_bits(word: u64) -> u32 {
    ((word & u64::from_le_bytes([0x80; 8])).wrapping_mul(0x0002_0408_1020_4081) >> 56) as u32
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
                let (written, behind) = text.split_at(network.len.into());
                prop_assert!(matches!(behind, [] | [b' ', ..]));
                let digits = written[text.len() - rest.len()..].strip_prefix(b"/");
                let prefix = digits.map_or(32, |digits| core::str::from_utf8(digits).unwrap().parse().unwrap());
                prop_assert!(prefix <= 32 && digits.is_none_or(|digits| digits.len() == 1 || digits[0] != b'0'));
                prop_assert_eq!((network.address, network.prefix), (ip, prefix));
            }
            if let Some(len) = len_of_common_ip6(text) {
                let address = core::str::from_utf8(&text[..len]).unwrap();
                prop_assert!(address.parse::<Ipv6Addr>().is_ok(), "{}", address);
            }
        }

        #[test]
        fn every_address(ip4: Ipv4Addr, ip6: Ipv6Addr) {
            prop_assert_eq!(parse_ip4(&ip4.to_string()), Some(ip4));
            prop_assert_eq!(parse_ip6(&ip6.to_string()), Some(ip6));
            let text = ip4.to_string();
            prop_assert_eq!(common_network4(text.as_bytes()), Some(Network4 { address: ip4.into(), prefix: 32, len: text.len() as u8 }));
            let (with_ip4, with_ip6) = (format!("{ip4}/8"), format!("{ip6}/8"));
            prop_assert_eq!(take_ip4(with_ip4.as_bytes()), Some((ip4.into(), &b"/8"[..])));
            let read = take_ip6(with_ip6.as_bytes()).map(|(ip, rest)| (ip.address(), rest));
            prop_assert_eq!(read, Some((ip6.into(), &b"/8"[..])));
        }
    }
}
