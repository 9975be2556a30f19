//! What the targets share.
#![forbid(unsafe_code)]

/// Cuts the rest of `data` into slices whose lengths are taken from its front, and gives the uncut rest too. Short lengths
/// are likely, as the interesting states last for one or two octets.
pub fn cut(data: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
    const LENGTHS: usize = 8;
    let (lengths, whole) = data.split_at(data.len().min(LENGTHS));
    let mut turns = lengths.iter().cycle();
    let mut rest = whole;
    let pieces = std::iter::from_fn(move || {
        let turn = usize::from(*turns.next()?);
        let length = if turn < 0xe0 { turn % 4 } else { turn };
        let (piece, left) = rest.split_at(rest.len().min(length.max(1)));
        rest = left;
        (!piece.is_empty()).then_some(piece)
    });
    (whole, pieces)
}
