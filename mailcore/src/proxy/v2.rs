//! Version 2: sixteen octets, addresses, and fields of type, length and value.

use alloc::string::String;
use core::net::{IpAddr, SocketAddr};

use super::{ProxyError, ProxyHeader, ProxyTls, V2_MAX};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Octets in front of the addresses.
const FIXED: usize = 16;

// The types of the fields that are read.
const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;

// The bits of the first octet of the field SSL.
const CLIENT_SSL: u8 = 0x01;
const CLIENT_CERT: u8 = 0x02 | 0x04;

pub(super) fn parse(octets: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let Some((fixed, rest)) = octets.split_first_chunk::<FIXED>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 {
        return Err(ProxyError::Unsupported);
    }
    if len > V2_MAX - FIXED {
        return Err(ProxyError::TooLong);
    }
    let Some(body) = rest.get(..len) else { return Ok(None) };
    let header = match command & 0x0f {
        // LOCAL: what stands behind it means nothing.
        0 => ProxyHeader::default(),
        1 => proxied(family, body, &octets[..FIXED + len])?,
        _ => return Err(ProxyError::Unsupported),
    };
    Ok(Some((header, FIXED + len)))
}

/// `whole` is what a checksum goes over.
fn proxied(family: u8, body: &[u8], whole: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let (header, fields) = match family {
        // Nothing is known.
        0x00 => (ProxyHeader::default(), body),
        0x11 => {
            let (addresses, fields) = body.split_first_chunk::<12>().ok_or(ProxyError::Malformed)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *addresses;
            (between([a, b, c, d].into(), [e, f, g, h].into(), ports), fields)
        }
        0x21 => {
            let (addresses, fields) = body.split_first_chunk::<36>().ok_or(ProxyError::Malformed)?;
            let ip = |at: usize| {
                let octets: [u8; 16] = addresses[at..at + 16].try_into().expect("16 octets were taken");
                IpAddr::from(octets)
            };
            (between(ip(0), ip(16), [addresses[32], addresses[33], addresses[34], addresses[35]]), fields)
        }
        // Two paths, which are no addresses of ours.
        0x31 => (ProxyHeader::default(), body.get(216..).ok_or(ProxyError::Malformed)?),
        _ => return Err(ProxyError::Unsupported),
    };
    read_fields(header, fields, whole)
}

fn between(source: IpAddr, destination: IpAddr, ports: [u8; 4]) -> ProxyHeader {
    let [a, b, c, d] = ports;
    ProxyHeader {
        source: Some(SocketAddr::new(source.to_canonical(), u16::from_be_bytes([a, b]))),
        destination: Some(SocketAddr::new(destination.to_canonical(), u16::from_be_bytes([c, d]))),
        ..ProxyHeader::default()
    }
}

fn read_fields(mut header: ProxyHeader, fields: &[u8], whole: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let mut rest = fields;
    let mut has_checksum = false;
    while let Some((kind, value)) = field(&mut rest)? {
        let once = match kind {
            ALPN => header.alpn.replace(value.into()).is_none(),
            AUTHORITY => header.authority.replace(text(value)?).is_none(),
            CRC32C => {
                let told: [u8; 4] = value.try_into().map_err(|_| ProxyError::Malformed)?;
                let at = whole.len() - rest.len() - told.len();
                if checksum(whole, at) != u32::from_be_bytes(told) {
                    return Err(ProxyError::Checksum);
                }
                !core::mem::replace(&mut has_checksum, true)
            }
            SSL => match tls(value)? {
                Some(tls) => header.tls.replace(tls).is_none(),
                None => true,
            },
            _ => true,
        };
        if !once {
            return Err(ProxyError::Malformed);
        }
    }
    Ok(header)
}

/// The next field: a type, a length of two octets, a value.
fn field<'b>(rest: &mut &'b [u8]) -> Result<Option<(u8, &'b [u8])>, ProxyError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let ([kind, high, low], behind) = rest.split_first_chunk::<3>().ok_or(ProxyError::Malformed)?;
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let (value, behind) = behind.split_at_checked(len).ok_or(ProxyError::Malformed)?;
    *rest = behind;
    Ok(Some((*kind, value)))
}

/// The field SSL: a set of bits, the result of the verification (0: good), and fields. `None` if TLS was not used.
fn tls(value: &[u8]) -> Result<Option<ProxyTls>, ProxyError> {
    let ([client, verify @ ..], mut rest) = value.split_first_chunk::<5>().ok_or(ProxyError::Malformed)?;
    let client_certificate = client & CLIENT_CERT != 0;
    let client_verified = client_certificate && *verify == [0; 4];
    let mut tls = ProxyTls { client_certificate, client_verified, ..ProxyTls::default() };
    while let Some((kind, value)) = field(&mut rest)? {
        let slot = match kind {
            SSL_VERSION => &mut tls.version,
            SSL_CN => &mut tls.common_name,
            SSL_CIPHER => &mut tls.cipher,
            _ => continue,
        };
        if slot.replace(text(value)?).is_some() {
            return Err(ProxyError::Malformed);
        }
    }
    Ok((client & CLIENT_SSL != 0).then_some(tls))
}

fn text(value: &[u8]) -> Result<String, ProxyError> {
    let printable = value.iter().all(|octet| octet.is_ascii_graphic() || *octet == b' ');
    let text = core::str::from_utf8(value).ok().filter(|_| printable && !value.is_empty());
    text.map(String::from).ok_or(ProxyError::Malformed)
}

/// CRC-32C of the octets, the four at `at` taken for zeros: they are where it stands.
fn checksum(octets: &[u8], at: usize) -> u32 {
    !octets.iter().enumerate().fold(u32::MAX, |mut crc, (index, octet)| {
        crc ^= if (at..at + 4).contains(&index) { 0 } else { u32::from(*octet) };
        for _ in 0..8 {
            // The polynomial of Castagnoli, its bits in reverse.
            crc = (crc >> 1) ^ (0x82F6_3B78 & 0u32.wrapping_sub(crc & 1));
        }
        crc
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::checksum;
    use alloc::vec::Vec;

    /// The header with the right checksum in its last four octets.
    pub(in super::super) fn sealed(mut header: Vec<u8>) -> Vec<u8> {
        let at = header.len() - 4;
        let sum = checksum(&header, at);
        header[at..].copy_from_slice(&sum.to_be_bytes());
        header
    }

    #[test]
    fn checksum_of_the_nine_digits() {
        // The check value of CRC-32C, with four octets behind it that count as zeros.
        assert_eq!(checksum(b"123456789", usize::MAX - 4), 0xE306_9283);
        assert_eq!(checksum(b"1234\xff\xff\xff\xff", 4), checksum(b"1234\0\0\0\0", usize::MAX - 4));
    }
}
