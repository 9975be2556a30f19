//! As much of DER (ITU-T X.690) as it takes to find the public key in a certificate (RFC 5280 §4.1).

/// The octets are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not a certificate in DER")]
#[non_exhaustive]
pub struct DerError;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`
const VERSION: u8 = 0xa0;

/// The `SubjectPublicKeyInfo` of a certificate, with its tag and length: what TLSA records with the selector SPKI(1) tell.
///
/// # Errors
///
/// [`DerError`] if the octets do not have the shape of a certificate up to there. Nothing else of it is checked.
pub fn subject_public_key_info(certificate: &[u8]) -> Result<&[u8], DerError> {
    let (certificate, rest) = element(certificate, SEQUENCE)?;
    if !rest.is_empty() {
        return Err(DerError);
    }
    let (mut fields, _) = element(certificate.content, SEQUENCE).map(|(tbs, rest)| (tbs.content, rest))?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields, VERSION)?.1;
    }
    // The serial number, then the signature's algorithm, the issuer, the validity and the subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        fields = element(fields, tag)?.1;
    }
    Ok(element(fields, SEQUENCE)?.0.whole)
}

struct Element<'a> {
    content: &'a [u8],
    /// With tag and length.
    whole: &'a [u8],
}

/// The element at the start, which has this tag, and what follows it.
fn element(input: &[u8], tag: u8) -> Result<(Element<'_>, &[u8]), DerError> {
    let (&[first, length], rest) = input.split_first_chunk().ok_or(DerError)?;
    if first != tag {
        return Err(DerError);
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // No certificate needs more than three octets for its length, and DER has no length without an end.
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7f)).ok_or(DerError)?;
            let length = octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
            // X.690 §10.1: in as few octets as possible.
            let shortest = if octets.len() == 1 { 0x80 } else { 1 << (8 * (octets.len() - 1)) };
            if length < shortest {
                return Err(DerError);
            }
            (length, rest)
        }
        _ => return Err(DerError),
    };
    let (content, after) = rest.split_at_checked(length).ok_or(DerError)?;
    Ok((Element { content, whole: &input[..input.len() - after.len()] }, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut out = alloc::vec![tag];
        match length {
            0..=0x7f => out.push(length as u8),
            0x80..=0xff => out.extend([0x81, length as u8]),
            _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        out.extend(content);
        out
    }

    fn certificate(has_version: bool, filler: usize) -> (Vec<u8>, Vec<u8>) {
        let key = wrap(SEQUENCE, &[7; 300]);
        let mut fields = Vec::new();
        if has_version {
            fields.extend(wrap(VERSION, &[2, 1, 2]));
        }
        fields.extend(wrap(INTEGER, &[1]));
        for _ in 0..4 {
            fields.extend(wrap(SEQUENCE, &alloc::vec![0; filler]));
        }
        fields.extend(&key);
        fields.extend(wrap(0xa3, b"extensions"));
        (wrap(SEQUENCE, &[wrap(SEQUENCE, &fields), b"signature".to_vec()].concat()), key)
    }

    #[test]
    fn finds_the_key_in_certificates_of_any_size() {
        for (has_version, filler) in [(true, 0), (false, 10), (true, 127), (true, 128), (true, 255), (true, 256)] {
            let (certificate, key) = certificate(has_version, filler);
            assert_eq!(subject_public_key_info(&certificate), Ok(&key[..]));
        }
    }

    #[test]
    fn other_octets_are_no_certificate() {
        let (certificate, key) = certificate(true, 10);
        for end in 0..certificate.len() {
            assert_eq!(subject_public_key_info(&certificate[..end]), Err(DerError), "{end}");
        }
        let behind = [&certificate[..], b"x"].concat();
        assert_eq!(subject_public_key_info(&behind), Err(DerError));
        assert_eq!(subject_public_key_info(&key), Err(DerError));
        for length in [&[0x80][..], &[0x81, 0x05], &[0x82, 0x00, 0x80], &[0x84, 0, 0, 0, 1], &[0xff]] {
            let odd = [&[SEQUENCE], length, &[0; 200]].concat();
            assert!(element(&odd, SEQUENCE).is_err(), "{length:x?}");
        }
    }
}
