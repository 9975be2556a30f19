//! Public keys of RSA in DER (X.690), to read and to write.

use alloc::vec::Vec;

use crate::der::{BIT_STRING, INTEGER, SEQUENCE, element, whole};

/// RFC 8017 §A.1: the object identifier of rsaEncryption with its NULL, as one sequence.
const RSA_ENCRYPTION: &[u8] =
    &[SEQUENCE, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// Modulus and exponent of an RSA key, big-endian and without zeros at the start. It is a `SubjectPublicKeyInfo`
/// (RFC 5280 §4.1) or the `RSAPublicKey` (RFC 8017 §A.1.1) alone: RFC 6376 §3.6.1 names one and shows the other.
pub(crate) fn read_rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let content = whole(der, SEQUENCE)?;
    let key = match content.strip_prefix(RSA_ENCRYPTION) {
        // No bits are unused in the last octet.
        Some(bits) => whole(whole(bits, BIT_STRING)?.strip_prefix(&[0])?, SEQUENCE)?,
        None => content,
    };
    let (modulus, rest) = element(key, INTEGER)?;
    let exponent = whole(rest, INTEGER)?;
    Some((positive(modulus.content)?, positive(exponent)?))
}

/// The `SubjectPublicKeyInfo` of an RSA key.
pub(crate) fn write_rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        // The highest bit would be taken for a sign.
        let zero: &[u8] = if number.first().is_some_and(|octet| *octet >= 0x80) { &[0] } else { &[] };
        value(INTEGER, &[zero, number].concat())
    };
    let key = value(SEQUENCE, &[integer(modulus), integer(exponent)].concat());
    value(SEQUENCE, &[RSA_ENCRYPTION, &value(BIT_STRING, &[&[0], &key[..]].concat())].concat())
}

/// A number above zero in the shortest form, without the zero that keeps its highest bit from being a sign.
fn positive(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, rest @ ..] if rest.first().is_some_and(|octet| *octet >= 0x80) => Some(rest),
        [1..=0x7f, ..] => Some(integer),
        _ => None,
    }
}

fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = [tag].to_vec();
    match content.len() {
        length @ ..=0x7f => der.push(u8::try_from(length).expect("it is below 0x80")),
        length => {
            let length = u16::try_from(length).expect("keys of 8192 bits are the longest that are written");
            der.push(0x82);
            der.extend_from_slice(&length.to_be_bytes());
        }
    }
    // X.690 §10.1
    if let [_, 0x82, 0, _, ..] = der[..] {
        der.drain(2..3);
        der[1] = 0x81;
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_both_ways() {
        for bits in [512, 1016, 1024, 2048, 4096, 8192] {
            for first in [0x7f, 0x80] {
                let modulus = [&[first][..], &alloc::vec![7; bits / 8 - 1]].concat();
                let der = write_rsa(&modulus, &[1, 0, 1]);
                assert_eq!(read_rsa(&der), Some((&modulus[..], &[1, 0, 1][..])), "{bits}");
                for cut in 0..der.len() {
                    assert_eq!(read_rsa(&der[..cut]), None);
                }
                assert_eq!(read_rsa(&[&der[..], &[0]].concat()), None);
            }
        }
        assert_eq!(read_rsa(b"\x30\x06\x02\x01\x07\x02\x01\x03"), Some((&[7][..], &[3][..])));
    }

    #[test]
    fn another_form_is_no_key() {
        for der in [
            // Zero, negative, too long a form of a number and of a length, another algorithm.
            &b"\x30\x06\x02\x01\x00\x02\x01\x03"[..],
            b"\x30\x06\x02\x01\x87\x02\x01\x03",
            b"\x30\x07\x02\x02\x00\x07\x02\x01\x03",
            b"\x30\x81\x06\x02\x01\x07\x02\x01\x03",
            b"\x30\x05\x06\x03\x2b\x65\x70",
            b"\x30\x80\x02\x01\x07\x02\x01\x03\x00\x00",
        ] {
            assert_eq!(read_rsa(der), None, "{der:?}");
        }
    }
}
