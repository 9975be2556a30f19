//! What is kept of one message.

use std::fmt;

/// Pieces of answers about one message, each with its kind and a name, in at most 32 KiB.
///
/// ```
/// use pillarbox_maildir::Pieces;
///
/// const FIELD: u8 = 17;
/// let mut pieces = Pieces::new();
/// assert!(pieces.insert(FIELD, b"subject", b"hello"));
/// assert!(!pieces.insert(FIELD, b"references", &[b'<'; 40_000]));     // finds no room
/// assert_eq!(pieces.find(FIELD, b"subject"), Some(&b"hello"[..]));
/// assert_eq!(pieces.iter().count(), 1);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    /// As they stand in a record: each its kind, the length of its name, the length of its octets in four octets, its name and
    /// its octets. Always whole.
    encoded: Vec<u8>,
}

/// One piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece<'a> {
    /// What its octets are, by the caller's own count.
    pub kind: u8,
    /// Which one of that kind; empty where there is but one.
    pub name: &'a [u8],
    /// The piece itself.
    pub octets: &'a [u8],
}

/// Octets of all pieces of a message, with what stands before each.
pub(super) const LEN_MAX: usize = 32 << 10;

/// So many pieces are kept of a message.
const COUNT_MAX: usize = 128;

/// What stands before a piece.
const HEAD: usize = 6;

impl Pieces {
    /// None yet.
    pub const fn new() -> Self {
        Pieces { encoded: Vec::new() }
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Piece<'_>> {
        Iter { rest: &self.encoded }
    }

    /// The octets of a piece.
    pub fn find(&self, kind: u8, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|piece| piece.kind == kind && piece.name == name).map(|piece| piece.octets)
    }

    /// Adds a piece, in the place of one with its kind and name; false, and nothing is changed, if it finds no room: the name
    /// is longer than 255 octets, there are 128 already, or all would be larger than 32 KiB.
    pub fn insert(&mut self, kind: u8, name: &[u8], octets: &[u8]) -> bool {
        if self.find(kind, name).is_some() {
            let mut others = Pieces::new();
            for piece in self.iter().filter(|piece| (piece.kind, piece.name) != (kind, name)) {
                others.push(piece);
            }
            let inserted = others.push(Piece { kind, name, octets });
            if inserted {
                *self = others;
            }
            return inserted;
        }
        self.push(Piece { kind, name, octets })
    }

    /// These, and those of older ones that are not among them.
    pub(super) fn merged(&self, older: &Pieces) -> Pieces {
        let mut merged = self.clone();
        for piece in older.iter().filter(|piece| self.find(piece.kind, piece.name).is_none()) {
            merged.push(piece);
        }
        merged
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Pieces as they stand in a record; `None` if these octets are no pieces, or too many.
    pub(super) fn decode(encoded: &[u8]) -> Option<Pieces> {
        self::encoded(encoded).map(|_| Pieces { encoded: encoded.to_vec() })
    }

    fn push(&mut self, piece: Piece<'_>) -> bool {
        let len = self.encoded.len() + HEAD + piece.name.len() + piece.octets.len();
        let Ok(name_len) = u8::try_from(piece.name.len()) else { return false };
        if len > LEN_MAX || self.iter().count() >= COUNT_MAX {
            return false;
        }
        let octets_len = u32::try_from(piece.octets.len()).expect("it is below LEN_MAX");
        self.encoded.extend_from_slice(&[piece.kind, name_len]);
        self.encoded.extend_from_slice(&octets_len.to_le_bytes());
        self.encoded.extend_from_slice(piece.name);
        self.encoded.extend_from_slice(piece.octets);
        true
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Pieces as they stand in a record; `None` if these octets are no pieces, or too many.
pub(super) fn encoded(octets: &[u8]) -> Option<impl Iterator<Item = Piece<'_>>> {
    let mut pieces = Iter { rest: octets };
    let count = pieces.by_ref().count();
    let whole = pieces.rest.is_empty() && count <= COUNT_MAX && octets.len() <= LEN_MAX;
    whole.then_some(Iter { rest: octets })
}

struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Piece<'a>;

    /// Ends before what is no piece.
    fn next(&mut self) -> Option<Piece<'a>> {
        let (head, rest) = self.rest.split_first_chunk::<HEAD>()?;
        let len = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        let (name, rest) = rest.split_at_checked(usize::from(head[1]))?;
        let (octets, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(Piece { kind: head[0], name, octets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_new_one_stays_and_the_oldest_go() {
        let mut old = Pieces::new();
        assert!(old.insert(16, b"", b"old") && old.insert(17, b"a", &[b'x'; 30_000]));
        assert!(old.insert(16, b"", b"older"));
        let mut new = Pieces::new();
        assert!(new.insert(16, b"", b"new") && new.insert(18, b"", &[b'y'; 10_000]));
        let merged = new.merged(&old);
        assert_eq!(merged.find(16, b""), Some(&b"new"[..]));
        assert_eq!((merged.find(17, b"a"), merged.iter().count()), (None, 2));
        assert!(!new.insert(16, b"", &[0; 32_000]));
        assert_eq!(new.find(16, b""), Some(&b"new"[..]), "nothing changed");
        assert!(!new.insert(16, &[b'n'; 256], b""));
        let mut many = Pieces::new();
        assert_eq!((0..200u8).filter(|n| many.insert(16, &[*n], b"")).count(), 128);
    }

    proptest! {
        // MDR-06
        #[test]
        fn any_octets_are_pieces_or_none(octets in proptest::collection::vec(prop_oneof![Just(0u8), 0..8u8, any::<u8>()], 0..200)) {
            if let Some(pieces) = Pieces::decode(&octets) {
                let mut again = Vec::new();
                for piece in pieces.iter() {
                    again.extend_from_slice(&[piece.kind, piece.name.len() as u8]);
                    again.extend_from_slice(&(piece.octets.len() as u32).to_le_bytes());
                    again.extend_from_slice(piece.name);
                    again.extend_from_slice(piece.octets);
                }
                prop_assert_eq!(again, octets);
            }
        }
    }
}
