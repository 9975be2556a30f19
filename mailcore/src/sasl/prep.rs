//! SASLprep: the one form of a name or password that hashes are made of (RFC 4013).

use alloc::borrow::Cow;

use super::SaslError;

/// The prepared form of a name or a password: characters that nobody sees are left out, and of several ways to write one text one is
/// taken (RFC 4013).
///
/// Without the feature `std` only printable ASCII has such a form.
///
/// # Errors
///
/// [`SaslError::Unprepared`] if it holds what is forbidden, such as control characters, or mixes the directions of writing;
/// [`SaslError::Empty`] if nothing is left of it.
///
/// ```
/// use pillarbox_core::sasl::{SaslError, prepare};
///
/// assert_eq!(prepare("joe")?, "joe");
/// # #[cfg(feature = "std")] {
/// assert_eq!(prepare("I\u{ad}X")?, "IX");
/// assert_eq!(prepare("\u{2168}")?, "IX");
/// # }
/// assert_eq!(prepare("a\u{7}"), Err(SaslError::Unprepared));
/// # Ok::<(), SaslError>(())
/// ```
///
/// Deviates from RFC 5802 §5.1: because code points that Unicode 3.2 had not assigned are refused in names too, where a query
/// would allow them. A name that nobody can have stored is nobody's.
pub fn prepare(text: &str) -> Result<Cow<'_, str>, SaslError> {
    match form_of(text)? {
        prepared if prepared.is_empty() => Err(SaslError::Empty),
        prepared => Ok(prepared),
    }
}

#[cfg(feature = "std")]
fn form_of(text: &str) -> Result<Cow<'_, str>, SaslError> {
    stringprep::saslprep(text).map_err(|_| SaslError::Unprepared)
}

/// RFC 5802 §2.2: who does not implement SASLprep must refuse what is not ASCII.
#[cfg(not(feature = "std"))]
fn form_of(text: &str) -> Result<Cow<'_, str>, SaslError> {
    match text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
        true => Ok(Cow::Borrowed(text)),
        false => Err(SaslError::Unprepared),
    }
}
