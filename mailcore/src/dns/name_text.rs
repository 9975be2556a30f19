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
    #[inline]
    fn new(text: &[u8]) -> Option<Self> {
        let [a, b, c] = short_words(text)?;
        let mut octets = [0; SHORT_MAX + 1];
        octets[..8].copy_from_slice(&a.to_le_bytes());
        octets[8..16].copy_from_slice(&b.to_le_bytes());
        octets[16..].copy_from_slice(&(c | (text.len() as u64) << 56).to_le_bytes());
        Some(Short(octets))
    }

    const fn len(&self) -> usize {
        self.0[SHORT_MAX] as usize
    }

    fn octets(&self) -> &[u8] {
        self.0.get(..self.len()).unwrap_or_default()
    }
}

impl NameText {
    pub(super) const EMPTY: NameText = NameText(Repr::Short(Short([0; SHORT_MAX + 1])));

    /// ASCII.
    #[inline]
    pub(super) fn new(text: &[u8]) -> Self {
        match Short::new(text) {
            Some(short) => NameText(Repr::Short(short)),
            None => NameText(Repr::Long(as_str(text).into())),
        }
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

/// A text that is short enough to stand in the value, and zeros behind it, as words of which the first octet is the lowest. To
/// call for a copy of so little would take longer.
#[inline]
fn short_words(text: &[u8]) -> Option<[u64; 3]> {
    let len = text.len();
    let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) else {
        let mut word = [0; 8];
        word[..len].copy_from_slice(text);
        return Some([u64::from_le_bytes(word), 0, 0]);
    };
    // The last word, without what stands in those before it.
    let last = u64::from_le_bytes(*last);
    let behind = |end: usize| last.checked_shr(8 * (end - len) as u32).unwrap_or(0);
    let first = u64::from_le_bytes(*first);
    match len {
        ..=16 => Some([first, behind(16), 0]),
        17..=SHORT_MAX => Some([first, u64::from_le_bytes(*text[8..].first_chunk()?), behind(24)]),
        _ => None,
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
