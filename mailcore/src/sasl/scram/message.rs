//! The messages of SCRAM as they are written (RFC 5802 §7).

use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::SaslError;

/// The longest nonce of a peer, in octets. It is repeated in every message, so it cannot be as long as a line.
const NONCE_MAX: usize = 1024;
/// The longest salt of a server, in octets.
const SALT_MAX: usize = 1024;

/// How the client wants to be bound to the channel: `gs2-cbind-flag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag<'m> {
    /// `n`: it does not support that.
    None,
    /// `y`: it does, and thinks that the server does not.
    NotOffered,
    /// `p=`: to this kind of channel.
    Bound(&'m str),
}

#[derive(Debug)]
pub(super) struct ClientFirst<'m> {
    pub(super) flag: Flag<'m>,
    /// The GS2 header: what stands before `bare`.
    pub(super) header: &'m str,
    pub(super) bare: &'m str,
    pub(super) authorization_id: String,
    pub(super) user: String,
    pub(super) nonce: &'m str,
}

#[derive(Debug)]
pub(super) struct ServerFirst<'m> {
    pub(super) nonce: &'m str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
}

#[derive(Debug)]
pub(super) struct ClientFinal<'m> {
    pub(super) without_proof: &'m str,
    /// Decoded.
    pub(super) channel: Vec<u8>,
    pub(super) nonce: &'m str,
    /// Decoded.
    pub(super) proof: Vec<u8>,
}

pub(super) fn client_first(message: &[u8]) -> Result<ClientFirst<'_>, SaslError> {
    let text = utf8(message)?;
    let (flag, rest) = text.split_once(',').ok_or(SaslError::Malformed)?;
    let flag = match flag {
        "n" => Flag::None,
        "y" => Flag::NotOffered,
        _ => Flag::Bound(flag.strip_prefix("p=").filter(|name| is_binding_name(name)).ok_or(SaslError::Malformed)?),
    };
    let (authorization, bare) = rest.split_once(',').ok_or(SaslError::Malformed)?;
    let authorization_id = match authorization {
        "" => String::new(),
        _ => unescape(authorization.strip_prefix("a=").ok_or(SaslError::Malformed)?)?,
    };
    let header = &text[..text.len() - bare.len()];
    let mut parts = bare.split(',');
    // RFC 5802 §5.1: a mandatory extension, `m`, stands here and is none that we know.
    let user = unescape(attribute(parts.next(), "n=")?)?;
    let nonce = nonce(attribute(parts.next(), "r=")?)?;
    extensions(parts)?;
    Ok(ClientFirst { flag, header, bare, authorization_id, user, nonce })
}

pub(super) fn server_first(message: &[u8]) -> Result<ServerFirst<'_>, SaslError> {
    let mut parts = utf8(message)?.split(',');
    let nonce = nonce(attribute(parts.next(), "r=")?)?;
    let salt = decode(attribute(parts.next(), "s=")?)?;
    let iterations = attribute(parts.next(), "i=")?;
    // `posit-number`: no sign, no zero in front.
    if salt.is_empty() || salt.len() > SALT_MAX || !iterations.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(SaslError::Malformed);
    }
    if iterations.starts_with('0') {
        return Err(SaslError::Malformed);
    }
    let iterations = iterations.parse().map_err(|_| SaslError::Iterations)?;
    extensions(parts)?;
    Ok(ServerFirst { nonce, salt, iterations })
}

pub(super) fn client_final(message: &[u8]) -> Result<ClientFinal<'_>, SaslError> {
    let text = utf8(message)?;
    let (without_proof, proof) = text.rsplit_once(',').ok_or(SaslError::Malformed)?;
    let proof = decode(attribute(Some(proof), "p=")?)?;
    let mut parts = without_proof.split(',');
    let channel = decode(attribute(parts.next(), "c=")?)?;
    let nonce = attribute(parts.next(), "r=")?;
    extensions(parts)?;
    Ok(ClientFinal { without_proof, channel, nonce, proof })
}

/// The server's signature, decoded; the error that it tells instead is [`SaslError::Denied`].
pub(super) fn server_final(message: &[u8]) -> Result<Vec<u8>, SaslError> {
    let mut parts = utf8(message)?.split(',');
    let first = parts.next();
    if first.is_some_and(|part| part.starts_with("e=")) {
        return Err(SaslError::Denied);
    }
    let signature = decode(attribute(first, "v=")?)?;
    extensions(parts)?;
    Ok(signature)
}

/// A name as messages carry it: `saslname`.
pub(in super::super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

pub(in super::super) fn unescape(name: &str) -> Result<String, SaslError> {
    if name.is_empty() {
        return Err(SaslError::Empty);
    }
    let mut parts = name.split('=');
    let mut plain = String::from(parts.next().unwrap_or_default());
    for part in parts {
        let (octet, rest) = part.split_at_checked(2).ok_or(SaslError::Malformed)?;
        plain.push(match octet {
            "2C" => ',',
            "3D" => '=',
            _ => return Err(SaslError::Malformed),
        });
        plain.push_str(rest);
    }
    Ok(plain)
}

pub(super) fn encode(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, SaslError> {
    STANDARD.decode(text).map_err(|_| SaslError::Malformed)
}

fn utf8(message: &[u8]) -> Result<&str, SaslError> {
    match core::str::from_utf8(message) {
        Ok(text) if text.contains('\0') => Err(SaslError::Malformed),
        Ok(text) => Ok(text),
        Err(_) => Err(SaslError::InvalidUtf8),
    }
}

/// The value of the attribute that must stand here.
fn attribute<'m>(part: Option<&'m str>, name: &str) -> Result<&'m str, SaslError> {
    part.and_then(|part| part.strip_prefix(name)).filter(|value| !value.is_empty()).ok_or(SaslError::Malformed)
}

fn nonce(text: &str) -> Result<&str, SaslError> {
    let printable = text.len() <= NONCE_MAX && text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',');
    printable.then_some(text).ok_or(SaslError::Malformed)
}

fn is_binding_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-'))
}

/// RFC 5802 §5.1: unknown optional extensions are passed over, `m` is not optional.
fn extensions<'m>(parts: impl Iterator<Item = &'m str>) -> Result<(), SaslError> {
    for part in parts {
        match part.as_bytes() {
            [b'm', b'=', ..] => return Err(SaslError::Malformed),
            [name, b'=', _, ..] if name.is_ascii_alphabetic() => {}
            _ => return Err(SaslError::Malformed),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_read_back() {
        for (name, written) in [("a,b=c", "a=2Cb=3Dc"), ("=2C", "=3D2C"), ("müller", "müller")] {
            assert_eq!(escape(name), written);
            assert_eq!(unescape(written).unwrap(), name);
        }
        for wrong in ["a=", "a=2", "a=2c", "a=41", "=ü", "=\u{fc}x"] {
            assert_eq!(unescape(wrong), Err(SaslError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn client_first_messages() {
        let first = client_first(b"p=tls-exporter,a=ann,n=joe=2Cx,r=abc,x=y").unwrap();
        assert_eq!((first.flag, first.header), (Flag::Bound("tls-exporter"), "p=tls-exporter,a=ann,"));
        assert_eq!((first.bare, first.nonce), ("n=joe=2Cx,r=abc,x=y", "abc"));
        assert_eq!((&*first.authorization_id, &*first.user), ("ann", "joe,x"));
        for (wrong, error) in [
            (&b""[..], SaslError::Malformed),
            (b"n", SaslError::Malformed),
            (b"n,", SaslError::Malformed),
            (b"x,,n=joe,r=abc", SaslError::Malformed),
            (b"p=,,n=joe,r=abc", SaslError::Malformed),
            (b"p=a b,,n=joe,r=abc", SaslError::Malformed),
            (b"n,ann,n=joe,r=abc", SaslError::Malformed),
            (b"n,a=,n=joe,r=abc", SaslError::Empty),
            (b"n,,n=,r=abc", SaslError::Malformed),
            (b"n,,n=joe", SaslError::Malformed),
            (b"n,,n=joe,r=", SaslError::Malformed),
            (b"n,,n=joe,r=a\x7fb", SaslError::Malformed),
            (b"n,,r=abc,n=joe", SaslError::Malformed),
            (b"n,,m=x,n=joe,r=abc", SaslError::Malformed),
            (b"n,,n=joe,r=abc,m=x", SaslError::Malformed),
            (b"n,,n=joe,r=abc,", SaslError::Malformed),
            (b"n,,n=joe,r=abc,1=x", SaslError::Malformed),
            (b"n,,n=jo\0e,r=abc", SaslError::Malformed),
            (b"n,,n=jo\xff,r=abc", SaslError::InvalidUtf8),
        ] {
            assert_eq!(client_first(wrong).unwrap_err(), error, "{}", wrong.escape_ascii());
        }
        let long = [b"n,,n=joe,r=", &[b'x'; NONCE_MAX + 1][..]].concat();
        assert_eq!(client_first(&long).unwrap_err(), SaslError::Malformed);
    }

    #[test]
    fn server_first_messages() {
        let first = server_first(b"r=abc,s=QSXCR+Q6sek8bf92,i=4096,x=y").unwrap();
        assert_eq!((first.nonce, first.salt.len(), first.iterations.get()), ("abc", 12, 4096));
        for (wrong, error) in [
            (&b"r=abc,s=QSXC"[..], SaslError::Malformed),
            (b"r=abc,s=QSX,i=4096", SaslError::Malformed),
            (b"r=abc,s=,i=4096", SaslError::Malformed),
            (b"r=abc,s=QSXC,i=", SaslError::Malformed),
            (b"r=abc,s=QSXC,i=0", SaslError::Malformed),
            (b"r=abc,s=QSXC,i=04096", SaslError::Malformed),
            (b"r=abc,s=QSXC,i=+4096", SaslError::Malformed),
            (b"r=abc,s=QSXC,i=-4096", SaslError::Malformed),
            (b"r=abc,s=QSXC,i=4096x", SaslError::Iterations),
            (b"r=abc,s=QSXC,i=99999999999", SaslError::Iterations),
            (b"m=x,r=abc,s=QSXC,i=4096", SaslError::Malformed),
            (b"e=other-error", SaslError::Malformed),
        ] {
            assert_eq!(server_first(wrong).unwrap_err(), error, "{}", wrong.escape_ascii());
        }
    }
}
