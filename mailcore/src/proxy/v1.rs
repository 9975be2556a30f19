//! Version 1: a line of text.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{ProxyError, ProxyHeader, V1_MAX};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

pub(super) fn parse(octets: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let shown = &octets[..octets.len().min(V1_MAX)];
    let Some(end) = shown.iter().position(|octet| *octet == b'\n') else {
        return if shown.len() < V1_MAX { Ok(None) } else { Err(ProxyError::TooLong) };
    };
    let line = shown[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(SIGNATURE));
    let line = line.and_then(|line| core::str::from_utf8(line).ok()).ok_or(ProxyError::Malformed)?;
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // Whatever stands behind it.
        return Ok(Some((ProxyHeader::default(), end + 1)));
    }
    let ip = |text: &str| match family {
        "TCP4" => text.parse().map(|ip: Ipv4Addr| IpAddr::V4(ip)).map_err(|_| ProxyError::Malformed),
        "TCP6" => text.parse().map(|ip: Ipv6Addr| IpAddr::V6(ip)).map_err(|_| ProxyError::Malformed),
        _ => Err(ProxyError::Unsupported),
    };
    let mut next = || words.next().unwrap_or_default();
    let (source, destination) = (ip(next())?, ip(next())?);
    let (source_port, destination_port) = (port(next())?, port(next())?);
    if words.next().is_some() {
        return Err(ProxyError::Malformed);
    }
    let header = ProxyHeader {
        source: Some(SocketAddr::new(source.to_canonical(), source_port)),
        destination: Some(SocketAddr::new(destination.to_canonical(), destination_port)),
        ..ProxyHeader::default()
    };
    Ok(Some((header, end + 1)))
}

/// One to five digits without zeros in front.
fn port(text: &str) -> Result<u16, ProxyError> {
    let fits = text.bytes().all(|octet| octet.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| fits).ok_or(ProxyError::Malformed)
}
