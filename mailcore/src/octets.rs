//! Looking at many octets at once.

/// Whether all octets fit. `fits` should have no branches (`&` and `|` instead of `&&` and `||`): the compiler then makes vector
/// code of it, which looks at sixteen octets for the price of a few.
///
/// ```
/// use pillarbox_core::octets::all;
///
/// assert!(all(b"client.example", |octet| (octet > b' ') & (octet < 0x7f)));
/// assert!(!all(b"client example", |octet| (octet > b' ') & (octet < 0x7f)));
/// ```
#[inline(always)]
pub fn all(octets: &[u8], fits: impl Fn(u8) -> bool) -> bool {
    let Some((first, rest)) = octets.split_first_chunk::<16>() else {
        return match (octets.first_chunk::<8>(), octets.last_chunk::<8>()) {
            (Some(first), Some(last)) => all_of(first, &fits) & all_of(last, fits),
            _ => octets.iter().all(|octet| fits(*octet)),
        };
    };
    // The last block may have octets in common with the one before it.
    let last = octets.last_chunk::<16>().unwrap_or(first);
    if !all_of(first, &fits) || !all_of(last, &fits) {
        return false;
    }
    if rest.len() <= 16 {
        return true;
    }
    for block in rest.as_chunks::<16>().0 {
        if !all_of(block, &fits) {
            return false;
        }
    }
    true
}

#[inline(always)]
fn all_of<const N: usize>(octets: &[u8; N], fits: impl Fn(u8) -> bool) -> bool {
    octets.iter().fold(true, |all, octet| all & fits(*octet))
}

/// Whether all octets are printable ASCII: graphic, or a space.
#[inline(never)]
pub fn are_printable(octets: &[u8]) -> bool {
    all(octets, |octet| octet.wrapping_sub(b' ') < 0x7f - b' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn an_octet_is_seen_wherever_it_stands() {
        for len in 0..70 {
            assert!(are_printable(&vec![b'x'; len]));
            for at in 0..len {
                for other in [0, 0x1f, 0x7f, 0x80, 0xff] {
                    let mut octets = vec![b'x'; len];
                    octets[at] = other;
                    assert!(!are_printable(&octets), "{other} at {at} of {len}");
                }
            }
        }
        assert!(are_printable(b" ~"));
    }
}
