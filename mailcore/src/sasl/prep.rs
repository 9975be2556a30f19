//! SASLprep: the one form of a name or password that hashes are made of (RFC 4013).

use alloc::borrow::Cow;

use super::SaslError;

/// The prepared form.
///
/// Deviates from RFC 5802 §5.1: because code points that Unicode 3.2 had not assigned are refused in names too, where a query
/// would allow them. A name that nobody can have stored is nobody's.
#[cfg(feature = "std")]
pub(super) fn prepare(text: &str) -> Result<Cow<'_, str>, SaslError> {
    match stringprep::saslprep(text) {
        Ok(prepared) if prepared.is_empty() => Err(SaslError::Empty),
        Ok(prepared) => Ok(prepared),
        Err(_) => Err(SaslError::Unprepared),
    }
}

/// RFC 5802 §2.2: who does not implement SASLprep must refuse what is not ASCII.
#[cfg(not(feature = "std"))]
pub(super) fn prepare(text: &str) -> Result<Cow<'_, str>, SaslError> {
    match text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
        true if text.is_empty() => Err(SaslError::Empty),
        true => Ok(Cow::Borrowed(text)),
        false => Err(SaslError::Unprepared),
    }
}
