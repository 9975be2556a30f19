//! The public key in a certificate (RFC 5280 §4.1).

use crate::der::{INTEGER, SEQUENCE, element, whole};

/// The octets are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not a certificate in DER")]
#[non_exhaustive]
pub struct DerError;

/// `[0] EXPLICIT`
const VERSION: u8 = 0xa0;

/// The `SubjectPublicKeyInfo` of a certificate, with its tag and length: what TLSA records with the selector SPKI(1) tell.
///
/// # Errors
///
/// [`DerError`] if the octets do not have the shape of a certificate up to there. Nothing else of it is checked.
pub fn subject_public_key_info(certificate: &[u8]) -> Result<&[u8], DerError> {
    find(certificate).ok_or(DerError)
}

fn find(certificate: &[u8]) -> Option<&[u8]> {
    let (to_be_signed, _) = element(whole(certificate, SEQUENCE)?, SEQUENCE)?;
    let mut fields = to_be_signed.content;
    if fields.first() == Some(&VERSION) {
        fields = element(fields, VERSION)?.1;
    }
    // The serial number, then the signature's algorithm, the issuer, the validity and the subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        fields = element(fields, tag)?.1;
    }
    Some(element(fields, SEQUENCE)?.0.whole)
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
    }
}
