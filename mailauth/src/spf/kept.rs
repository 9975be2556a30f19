//! Texts that a check keeps.

use alloc::sync::Arc;
use core::fmt;

/// A text that is kept as long as a check: short ones stand in the value, so that to keep them asks neither the allocator nor a
/// counter that is shared.
#[derive(Clone)]
pub(super) enum Kept {
    Short(u8, [u8; SHORT_MAX]),
    Shared(Arc<str>),
}

/// How long a text may be that stands in the value: most local parts and names of hosts.
const SHORT_MAX: usize = 31;

impl Kept {
    fn short(octets: &[u8]) -> Option<Self> {
        let mut short = [0; SHORT_MAX];
        short.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(Kept::Short(u8::try_from(octets.len()).ok()?, short))
    }

    /// A copy of octets that are known to be UTF-8.
    pub(super) fn copy(octets: &[u8]) -> Self {
        Kept::short(octets).unwrap_or_else(|| Kept::Shared(as_str(octets).into()))
    }

    /// A text that somebody else keeps, too.
    pub(super) fn share(text: &Arc<str>) -> Self {
        Kept::short(text.as_bytes()).unwrap_or_else(|| Kept::Shared(text.clone()))
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Kept::Short(len, octets) => as_str(octets.get(..usize::from(*len)).unwrap_or_default()),
            Kept::Shared(text) => text,
        }
    }
}

fn as_str(octets: &[u8]) -> &str {
    core::str::from_utf8(octets).expect("what is kept is UTF-8")
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_texts_are_kept() {
        for text in ["", "joe", "j\u{fc}rgen", &"a".repeat(SHORT_MAX), &"a".repeat(SHORT_MAX + 1), &"\u{fc}".repeat(50)]
        {
            assert_eq!(Kept::copy(text.as_bytes()).as_str(), text);
            assert_eq!(Kept::share(&text.into()).as_str(), text);
            assert_eq!(matches!(Kept::copy(text.as_bytes()), Kept::Short(..)), text.len() <= SHORT_MAX, "{text}");
        }
    }
}
