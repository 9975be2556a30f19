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

/// In whole words, so that it is copied by them. The octets behind the text are 0.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(8))]
struct Short {
    octets: [u8; SHORT_MAX],
    len: u8,
}

impl NameText {
    pub(super) const EMPTY: NameText = NameText(Repr::Short(Short { octets: [0; SHORT_MAX], len: 0 }));

    /// ASCII.
    pub(super) fn new(text: &[u8]) -> Self {
        let mut octets = [0; SHORT_MAX];
        match octets.get_mut(..text.len()) {
            Some(start) => {
                start.copy_from_slice(text);
                NameText(Repr::Short(Short { octets, len: text.len() as u8 }))
            }
            None => NameText(Repr::Long(as_str(text).into())),
        }
    }

    pub(super) fn octets(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(Short { octets, len }) => octets.get(..usize::from(*len)).unwrap_or_default(),
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
        matches!(self.0, Repr::Short(Short { len: 0, .. }))
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
