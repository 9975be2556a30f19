//! As much of DER (ITU-T X.690) as keys and certificates need.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const SEQUENCE: u8 = 0x30;

/// A value.
pub(crate) struct Element<'a> {
    pub(crate) content: &'a [u8],
    /// With tag and length.
    pub(crate) whole: &'a [u8],
}

/// The value at the start, which has this tag, and what follows it.
pub(crate) fn element(input: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    let (&[first, length], rest) = input.split_first_chunk()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // No certificate needs more than three octets for its length, and DER has no length without an end.
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
            // X.690 §10.1: in as few octets as possible.
            let shortest = if octets.len() == 1 { 0x80 } else { 1 << (8 * (octets.len() - 1)) };
            if length < shortest {
                return None;
            }
            (length, rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((Element { content, whole: &input[..input.len() - after.len()] }, after))
}

/// The content of the value that all of the input is.
pub(crate) fn whole(input: &[u8], tag: u8) -> Option<&[u8]> {
    element(input, tag).filter(|(_, rest)| rest.is_empty()).map(|(element, _)| element.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_form() {
        for length in [&[0x80][..], &[0x81, 0x05], &[0x82, 0x00, 0x80], &[0x84, 0, 0, 0, 1], &[0xff]] {
            let odd = [&[SEQUENCE], length, &[0; 200]].concat();
            assert!(element(&odd, SEQUENCE).is_none(), "{length:x?}");
        }
        for (length, size) in [(&[0x00][..], 0), (&[0x7f], 127), (&[0x81, 0x80], 128), (&[0x82, 0x01, 0x00], 256)] {
            let value = [&[SEQUENCE], length, &[7; 300]].concat();
            let (element, rest) = element(&value, SEQUENCE).unwrap();
            assert_eq!(
                (element.content.len(), element.whole.len(), rest.len()),
                (size, 1 + length.len() + size, 300 - size)
            );
            assert!(super::element(&value, INTEGER).is_none());
        }
    }
}
