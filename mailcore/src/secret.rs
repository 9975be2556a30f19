//! A value that must not be printed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hint::black_box;

/// A password, token or key. `Debug` hides it, there is no `Display`, and comparison takes the same time whatever differs.
///
/// ```
/// use pillarbox_core::Secret;
///
/// let password = Secret::new(String::from("hunter2"));
/// assert_eq!(format!("{password:?}"), "Secret(..)");
/// assert!(password.same_as(b"hunter2"));
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Secret(value)
    }

    /// The value itself. Whoever calls this answers for where it goes.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Unwraps the value.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T: AsRef<[u8]>> Secret<T> {
    /// Whether the secret has exactly these bytes. The time depends on the lengths alone (an attacker who measures it
    /// learns nothing about the content).
    pub fn same_as(&self, other: &[u8]) -> bool {
        let own = self.0.as_ref();
        let mut difference = u8::from(own.len() != other.len());
        for (a, b) in own.iter().zip(other) {
            difference |= black_box(a ^ b);
        }
        black_box(difference) == 0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Secret(value.into())
    }
}

impl From<&[u8]> for Secret<Vec<u8>> {
    fn from(value: &[u8]) -> Self {
        Secret(value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_is_exact() {
        let secret = Secret::new("abc");
        assert!(secret.same_as(b"abc"));
        for other in [&b"abd"[..], b"ab", b"abcd", b"", b"Abc"] {
            assert!(!secret.same_as(other));
        }
        assert!(Secret::new("").same_as(b""));
    }
}
