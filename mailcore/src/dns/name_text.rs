//! The text of a name: short ones stand in the value, so that to read, clone and drop a name asks neither the allocator nor a
//! counter that is shared.

use alloc::sync::Arc;
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};

/// ASCII.
#[derive(Clone)]
pub(super) struct NameText(Repr);

#[derive(Clone)]
enum Repr {
    Short(Short),
    Long(Arc<str>),
}

/// How long a text may be that stands in the value.
const SHORT_MAX: usize = 23;

/// In whole words, so that it is written and copied by them. The octets behind the text are 0, but for the last one: that is the
/// length.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(8))]
struct Short([u8; SHORT_MAX + 1]);

impl Short {
    const EMPTY: Short = Short([0; SHORT_MAX + 1]);

    /// Writes a text of [`SHORT_MAX`] octets at most over it.
    #[inline(always)]
    fn set(&mut self, text: &[u8]) {
        let len = text.len();
        let (front, back) = self.0.split_at_mut(16);
        let mut last = (len as u64) << 56;
        // The last word of the text, without what stands in those before it.
        let behind = |word: &[u8; 8], end: usize| {
            let missing = 8 * (end - len) as u32;
            u64::from_le_bytes(*word).checked_shr(missing).unwrap_or(0)
        };
        match (text.first_chunk::<16>(), text.first_chunk::<8>(), text.last_chunk::<8>()) {
            // As a clone reads it: words that were written one by one cannot be read at once.
            (Some(first), _, Some(word)) => {
                front.copy_from_slice(first);
                last |= behind(word, 24);
            }
            (_, Some(first), Some(word)) => {
                front[..8].copy_from_slice(first);
                front[8..].copy_from_slice(&behind(word, 16).to_le_bytes());
            }
            _ => {
                let word = text.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet));
                front[..8].copy_from_slice(&word.to_le_bytes());
                front[8..].fill(0);
            }
        }
        back.copy_from_slice(&last.to_le_bytes());
    }

    const fn len(&self) -> usize {
        self.0[SHORT_MAX] as usize
    }

    fn octets(&self) -> &[u8] {
        self.0.get(..self.len()).unwrap_or_default()
    }
}

impl NameText {
    pub(super) const EMPTY: NameText = NameText(Repr::Short(Short::EMPTY));

    /// ASCII.
    #[inline]
    pub(super) fn new(text: &[u8]) -> Self {
        let mut new = NameText::EMPTY;
        new.set(text);
        new
    }

    /// Writes another text over it, where it stays. ASCII.
    #[inline(always)]
    pub(super) fn set(&mut self, text: &[u8]) {
        match &mut self.0 {
            Repr::Short(short) if text.len() <= SHORT_MAX => short.set(text),
            _ => *self = NameText::apart(text),
        }
    }

    #[cold]
    fn apart(text: &[u8]) -> Self {
        if text.len() > SHORT_MAX {
            return NameText(Repr::Long(as_str(text).into()));
        }
        let mut short = Short::EMPTY;
        short.set(text);
        NameText(Repr::Short(short))
    }

    pub(super) fn octets(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(short) => short.octets(),
            Repr::Long(text) => text.as_bytes(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Short(_) => as_str(self.octets()),
            Repr::Long(text) => text,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        match &self.0 {
            Repr::Short(short) => short.len() == 0,
            Repr::Long(_) => false,
        }
    }
}

fn as_str(octets: &[u8]) -> &str {
    core::str::from_utf8(octets).expect("names are ASCII")
}

impl PartialEq for NameText {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // Of a length that is known, they are compared in a step or two.
            (Repr::Short(a), Repr::Short(b)) => a == b,
            (Repr::Long(a), Repr::Long(b)) => a == b,
            _ => false,
        }
    }
}
impl Eq for NameText {}

impl PartialOrd for NameText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NameText {
    fn cmp(&self, other: &Self) -> Ordering {
        self.octets().cmp(other.octets())
    }
}

impl Hash for NameText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().hash(state);
    }
}
