//! The base64 lines that carry an exchange in SMTP, LMTP and IMAP (RFC 4954 §4, RFC 9051 §6.2.2).

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SaslError;

/// The longest line of an exchange in octets, without CRLF (RFC 4954 §4).
pub const LINE_MAX: usize = 12_288;

/// Decodes a line that a client sent in answer to a challenge; without its CRLF.
///
/// ```
/// use pillarbox_core::sasl::{SaslError, decode_response};
///
/// assert_eq!(decode_response(b"am9l"), Ok(b"joe".to_vec()));
/// assert_eq!(decode_response(b""), Ok(b"".to_vec()));
/// assert_eq!(decode_response(b"*"), Err(SaslError::Cancelled));
/// ```
///
/// # Errors
///
/// [`SaslError::Cancelled`] for `*`, [`SaslError::TooLong`], [`SaslError::BadBase64`].
pub fn decode_response(line: &[u8]) -> Result<Vec<u8>, SaslError> {
    match line {
        b"*" => Err(SaslError::Cancelled),
        _ if line.len() > LINE_MAX => Err(SaslError::TooLong),
        // RFC 4954 §4: octets outside the alphabet and pads inside are refused, never skipped.
        _ => STANDARD.decode(line).map_err(|_| SaslError::BadBase64),
    }
}

/// Decodes the initial response behind the mechanism in the AUTH or AUTHENTICATE command, where `=` stands for a response
/// without octets (RFC 4954 §4, RFC 9051 §6.2.2).
///
/// ```
/// use pillarbox_core::sasl::{SaslError, decode_initial_response};
///
/// assert_eq!(decode_initial_response(b"="), Ok(b"".to_vec()));
/// assert_eq!(decode_initial_response(b"*"), Err(SaslError::BadBase64));
/// ```
///
/// # Errors
///
/// [`SaslError::TooLong`], [`SaslError::BadBase64`].
pub fn decode_initial_response(argument: &[u8]) -> Result<Vec<u8>, SaslError> {
    match argument {
        b"=" => Ok(Vec::new()),
        // RFC 4954 §4 lets only a line of its own cancel.
        b"" | b"*" => Err(SaslError::BadBase64),
        _ => decode_response(argument),
    }
}

/// Encodes a challenge or a response for the line; without CRLF.
///
/// ```
/// assert_eq!(pillarbox_core::sasl::encode(b"Username:"), "VXNlcm5hbWU6");
/// ```
pub fn encode(message: &[u8]) -> String {
    STANDARD.encode(message)
}

/// Encodes what a client sends behind the mechanism in its command, where a response without octets is `=` (RFC 4954 §4,
/// RFC 9051 §6.2.2).
///
/// ```
/// assert_eq!(pillarbox_core::sasl::encode_initial_response(b""), "=");
/// ```
pub fn encode_initial_response(message: &[u8]) -> String {
    match message {
        b"" => "=".into(),
        _ => encode(message),
    }
}
