//! Texts that a check keeps.

use alloc::sync::Arc;
use core::fmt;

/// A text that is kept as long as a check: short ones stand in the value, so that to keep them asks neither the allocator nor a
/// counter that is shared.
#[derive(Clone)]
pub(super) struct Kept {
    short: [u8; SHORT_MAX],
    short_len: u8,
    /// A text that is not short.
    shared: Option<Arc<str>>,
}

/// How long a text may be that stands in the value: most local parts and names of hosts.
const SHORT_MAX: usize = 23;

impl Kept {
    pub(super) const EMPTY: Kept = Kept { short: [0; SHORT_MAX], short_len: 0, shared: None };

    /// Keeps a copy of octets that are known to be UTF-8. They are written where they stay: to move what was just written octet by
    /// octet is slow.
    pub(super) fn copy(&mut self, octets: &[u8]) {
        if !self.set_short(octets) {
            self.shared = Some(as_str(octets).into());
        }
    }

    /// Keeps a text that somebody else keeps, too.
    pub(super) fn share(&mut self, text: &Arc<str>) {
        if !self.set_short(text.as_bytes()) {
            self.shared = Some(text.clone());
        }
    }

    #[inline(always)]
    fn set_short(&mut self, octets: &[u8]) -> bool {
        let Some(short) = self.short.get_mut(..octets.len()) else { return false };
        short.copy_from_slice(octets);
        self.short_len = octets.len() as u8;
        self.shared = None;
        true
    }

    pub(super) fn as_str(&self) -> &str {
        match &self.shared {
            Some(text) => text,
            None => as_str(self.short.get(..usize::from(self.short_len)).unwrap_or_default()),
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
        let mut kept = Kept::EMPTY;
        for text in
            ["", "joe", "j\u{fc}rgen", &"a".repeat(SHORT_MAX), &"a".repeat(SHORT_MAX + 1), &"\u{fc}".repeat(50), "b"]
        {
            kept.copy(text.as_bytes());
            assert_eq!(kept.as_str(), text);
            assert_eq!(kept.shared.is_none(), text.len() <= SHORT_MAX, "{text}");
            kept.share(&text.into());
            assert_eq!(kept.as_str(), text);
        }
    }
}
