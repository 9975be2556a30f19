//! The messages of mechanisms with a single one: EXTERNAL, ANONYMOUS, OAUTHBEARER and XOAUTH2.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Credentials, SaslError};
use crate::Secret;

/// The octet between the parts of a message of OAUTHBEARER and XOAUTH2.
const SEPARATOR: char = '\x01';
/// RFC 4505 §2: a token has 255 characters at most.
const TRACE_MAX: usize = 255;

/// RFC 4422 appendix A.1: the identity to act as, or nothing.
pub(super) fn parse_external(message: &[u8]) -> Result<Credentials, SaslError> {
    Ok(Credentials::External { authorization_id: utf8(message)?.into() })
}

/// RFC 4505 §2
pub(super) fn parse_anonymous(message: &[u8]) -> Result<Credentials, SaslError> {
    let trace = utf8(message)?;
    match trace.chars().count() <= TRACE_MAX && !trace.contains(char::is_control) {
        true => Ok(Credentials::Anonymous { trace: trace.into() }),
        false => Err(SaslError::Malformed),
    }
}

/// RFC 7628 §3.1: a GS2 header, then `key=value` pairs.
pub(super) fn parse_oauthbearer(message: &[u8]) -> Result<Credentials, SaslError> {
    let (header, pairs) = utf8(message)?.split_once(SEPARATOR).ok_or(SaslError::Malformed)?;
    // There is no form of this mechanism that is bound to a channel.
    let name = header.strip_prefix("n,").or(header.strip_prefix("y,")).and_then(|rest| rest.strip_suffix(','));
    let authorization_id = match name.ok_or(SaslError::Malformed)? {
        "" => String::new(),
        // An example of RFC 7628 §4.4 has `user=`; the grammar has not.
        name => super::scram::unescape(name.strip_prefix("a=").ok_or(SaslError::Malformed)?)?,
    };
    let (mut credentials_token, mut host_name, mut port_number) = (None, None, None);
    let pairs = pairs.strip_suffix(SEPARATOR).ok_or(SaslError::Malformed)?;
    for (key, value) in parse_pairs(pairs)? {
        match key {
            "auth" if credentials_token.is_none() => credentials_token = Some(bearer_token(value)?),
            "host" if host_name.is_none() => host_name = Some(value.into()),
            "port" if port_number.is_none() => port_number = Some(value.parse().map_err(|_| SaslError::Malformed)?),
            // Two that differ would mean something else to another reader.
            "auth" | "host" | "port" => return Err(SaslError::Malformed),
            _ => {}
        }
    }
    let token = credentials_token.ok_or(SaslError::Malformed)?;
    Ok(Credentials::Bearer { authorization_id, token, host: host_name, port: port_number })
}

/// The message of XOAUTH2, which no RFC has: `user=`, `auth=`, each ended by the separator, and one more.
pub(super) fn parse_xoauth2(message: &[u8]) -> Result<Credentials, SaslError> {
    let pairs = utf8(message)?.strip_suffix(SEPARATOR).ok_or(SaslError::Malformed)?;
    let [("user", user), ("auth", auth)] = parse_pairs(pairs)?[..] else { return Err(SaslError::Malformed) };
    if user.is_empty() {
        return Err(SaslError::Empty);
    }
    Ok(Credentials::Bearer { authorization_id: user.into(), token: bearer_token(auth)?, host: None, port: None })
}

pub(super) fn write_oauthbearer(
    authorization_id: &str,
    token: &Secret<String>,
    host: Option<&str>,
    port: Option<u16>,
) -> Secret<Vec<u8>> {
    let mut message = match authorization_id {
        "" => String::from("n,,\x01"),
        name => alloc::format!("n,a={},\x01", super::scram::escape(name)),
    };
    if let Some(host) = host {
        message.push_str(&alloc::format!("host={host}\x01"));
    }
    if let Some(port) = port {
        message.push_str(&alloc::format!("port={port}\x01"));
    }
    message.push_str(&alloc::format!("auth=Bearer {}\x01\x01", token.expose()));
    Secret::new(message.into_bytes())
}

pub(super) fn write_xoauth2(user: &str, token: &Secret<String>) -> Secret<Vec<u8>> {
    Secret::new(alloc::format!("user={user}\x01auth=Bearer {}\x01\x01", token.expose()).into_bytes())
}

/// Pairs, each ended by the separator.
fn parse_pairs(text: &str) -> Result<Vec<(&str, &str)>, SaslError> {
    let pairs = text.strip_suffix(SEPARATOR).ok_or(SaslError::Malformed)?;
    let pairs = pairs.split(SEPARATOR).map(|pair| {
        let is_key = |key: &str| !key.is_empty() && key.bytes().all(|octet| octet.is_ascii_alphabetic());
        pair.split_once('=').filter(|(key, _)| is_key(key)).ok_or(SaslError::Malformed)
    });
    pairs.collect()
}

/// The token of `Bearer token`, with that word in any case of letters (RFC 6750 §2.1, RFC 7628 §4).
fn bearer_token(value: &str) -> Result<Secret<String>, SaslError> {
    // RFC 7628 §4.3: a client that wants to know what token to bring. We do not tell.
    if value.is_empty() {
        return Err(SaslError::Empty);
    }
    let (scheme, token) = value.split_once(' ').ok_or(SaslError::Malformed)?;
    let token = token.trim_matches(' ');
    match scheme.eq_ignore_ascii_case("Bearer") && token.bytes().all(|octet| octet.is_ascii_graphic()) {
        true if token.is_empty() => Err(SaslError::Empty),
        true => Ok(token.into()),
        false => Err(SaslError::Malformed),
    }
}

fn utf8(message: &[u8]) -> Result<&str, SaslError> {
    match core::str::from_utf8(message) {
        Ok(text) if text.contains('\0') => Err(SaslError::Malformed),
        Ok(text) => Ok(text),
        Err(_) => Err(SaslError::InvalidUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_oauthbearer_messages() {
        for (message, error) in [
            (&b""[..], SaslError::Malformed),
            (b"\x01", SaslError::Malformed),
            (b"n,,\x01\x01", SaslError::Malformed),
            (b"n,,\x01auth=Bearer x\x01", SaslError::Malformed),
            (b"n,\x01auth=Bearer x\x01\x01", SaslError::Malformed),
            (b"p=tls-exporter,,\x01auth=Bearer x\x01\x01", SaslError::Malformed),
            (b"n,joe,\x01auth=Bearer x\x01\x01", SaslError::Malformed),
            (b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01", SaslError::Malformed),
            (b"n,,\x01auth=Bearer x\x01port=99999\x01\x01", SaslError::Malformed),
            (b"n,,\x01auth=Basic x\x01\x01", SaslError::Malformed),
            (b"n,,\x01auth=Bearer a b\x01\x01", SaslError::Malformed),
            (b"n,,\x01auth\x01\x01", SaslError::Malformed),
            (b"n,,\x01a1=x\x01auth=Bearer x\x01\x01", SaslError::Malformed),
            (b"n,,\x01auth=Bearer x\0\x01\x01", SaslError::Malformed),
            (b"n,,\x01auth=Bearer \xff\x01\x01", SaslError::InvalidUtf8),
            (b"n,,\x01auth=Bearer \x01\x01", SaslError::Empty),
            (b"n,,\x01auth=\x01\x01", SaslError::Empty),
        ] {
            assert_eq!(parse_oauthbearer(message).unwrap_err(), error, "{}", message.escape_ascii());
        }
        assert!(parse_oauthbearer(b"y,,\x01mthd=POST\x01auth=bEARER x\x01\x01").is_ok());
    }

    #[test]
    fn malformed_xoauth2_messages() {
        for (message, error) in [
            (&b""[..], SaslError::Malformed),
            (b"user=joe\x01auth=Bearer x\x01", SaslError::Malformed),
            (b"auth=Bearer x\x01user=joe\x01\x01", SaslError::Malformed),
            (b"user=joe\x01auth=Bearer x\x01auth=Bearer y\x01\x01", SaslError::Malformed),
            (b"user=\x01auth=Bearer x\x01\x01", SaslError::Empty),
        ] {
            assert_eq!(parse_xoauth2(message).unwrap_err(), error, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn visitors_and_certificates() {
        assert!(parse_anonymous(&[b'x'; TRACE_MAX]).is_ok());
        assert_eq!(parse_anonymous(&[b'x'; TRACE_MAX + 1]).unwrap_err(), SaslError::Malformed);
        assert_eq!(parse_anonymous(b"a\nb").unwrap_err(), SaslError::Malformed);
        assert_eq!(parse_external(b"a\0b").unwrap_err(), SaslError::Malformed);
        assert_eq!(parse_external(b"").unwrap().authorization_id(), None);
    }
}
