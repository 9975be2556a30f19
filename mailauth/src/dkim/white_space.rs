//! White space in the body of a message, found and taken out many octets at a time (RFC 6376 §3.4.4).
//!
//! Blocks of octets are looked at without a branch, which compilers turn into the wide instructions of the processor: not the
//! hash but this is what a message would wait for.

pub(super) const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// Finds what the relaxed form does not leave as it is: a tab, or a space with another one, a line end, or nothing behind it.
/// What is found in a block is kept until the block is done.
pub(super) struct Blocks<'s> {
    slice: &'s [u8],
    /// Where the block begins, and a bit for each octet in it.
    start: usize,
    irregular: u64,
}

/// Octets of a block: as many as a mask has bits.
pub(super) const BLOCK: usize = 64;

impl<'s> Blocks<'s> {
    pub(super) fn new(slice: &'s [u8]) -> Self {
        let mut blocks = Blocks { slice, start: 0, irregular: 0 };
        blocks.look_at(0);
        blocks
    }

    /// The place of the first such octet from `at` on, or the end.
    pub(super) fn next_irregular(&mut self, at: usize) -> usize {
        match at.checked_sub(self.start) {
            Some(passed) if passed < BLOCK => self.irregular &= u64::MAX << passed,
            _ => self.look_at(at),
        }
        while self.irregular == 0 {
            let next = self.start + BLOCK;
            if next >= self.slice.len() {
                return self.slice.len();
            }
            self.look_at(next);
        }
        self.start + self.irregular.trailing_zeros() as usize
    }

    fn look_at(&mut self, start: usize) {
        self.start = start;
        let rest = &self.slice[start..];
        self.irregular = match rest.first_chunk() {
            Some(window) => irregular(window),
            None => {
                let mut window = [0; BLOCK + 1];
                window[..rest.len()].copy_from_slice(rest);
                irregular(&window)
            }
        };
    }
}

fn irregular(window: &[u8; BLOCK + 1]) -> u64 {
    let mut found = [0_u8; BLOCK];
    let mut any = 0;
    for index in 0..BLOCK {
        let (octet, next) = (window[index], window[index + 1]);
        let is_irregular = u8::from(octet == b'\t') | (u8::from(octet == b' ') & u8::from(next <= b' '));
        found[index] = is_irregular.wrapping_neg() & (1 << (index % 8));
        any |= is_irregular;
    }
    if any == 0 { 0 } else { mask(&found) }
}

/// One bit for each octet, of octets that have at most the bit of their place in their group of eight.
fn mask(found: &[u8; BLOCK]) -> u64 {
    let mut mask = 0;
    for (group, bits) in found.as_chunks().0.iter().enumerate() {
        // Their sum has the bits of all.
        let sum = u64::from_le_bytes(*bits).wrapping_mul(0x0101_0101_0101_0101) >> 56;
        mask |= sum << (8 * group);
    }
    mask
}

/// Puts a body together without the white space that the relaxed form leaves out, block by block.
pub(super) struct Compactor {
    buffer: [u8; BUFFER + BLOCK],
    len: usize,
    /// Whether there are tabs in the buffer, which are to become spaces.
    tabs: bool,
}

/// So that a hash is not called for little, and all of it stays in the first cache.
const BUFFER: usize = 2048;
/// Octets that are copied at once, whether they are wanted or not: to copy what is not wanted takes less time than to ask.
const WORD: usize = 16;

impl Compactor {
    /// Octets that must be there to take a block: those behind it decide about its end.
    pub(super) const WINDOW: usize = 2 * BLOCK - WORD;

    pub(super) const fn new() -> Self {
        Compactor { buffer: [0; BUFFER + BLOCK], len: 0, tabs: false }
    }

    /// Takes the block at the front. Whether it had anything to change.
    pub(super) fn take(&mut self, window: &[u8; Self::WINDOW]) -> bool {
        let (left_out, tabs) = left_out(window);
        self.tabs |= tabs;
        let mut len = self.len;
        if left_out == 0 {
            self.buffer[len..][..BLOCK].copy_from_slice(&window[..BLOCK]);
            self.len = len + BLOCK;
            return tabs;
        }
        // Where octets that are kept begin and end, in turn.
        let mut edges = !left_out ^ (!left_out << 1);
        while edges != 0 {
            let from = edges.trailing_zeros() as usize;
            edges &= edges - 1;
            // 64 where there is none: at the end of the block.
            let to = edges.trailing_zeros() as usize;
            edges &= edges.wrapping_sub(1);
            // The block fits, so that this changes nothing: but the compiler sees it, too, and does not check.
            let place = len % BUFFER;
            self.buffer[place..place + WORD].copy_from_slice(&window[from..from + WORD]);
            if to - from > WORD {
                let (from, place) = (from + WORD, place + WORD);
                self.buffer[place..place + BLOCK - WORD].copy_from_slice(&window[from..from + BLOCK - WORD]);
            }
            len += to - from;
        }
        self.len = len;
        true
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds an octet in front of the next block.
    pub(super) const fn push(&mut self, octet: u8) {
        self.buffer[self.len] = octet;
        self.len += 1;
    }

    /// Whether another block may not fit.
    pub(super) const fn is_full(&self) -> bool {
        self.len > BUFFER - BLOCK
    }

    /// What was put together since it was cleared.
    pub(super) fn octets(&mut self) -> &[u8] {
        let octets = &mut self.buffer[..self.len];
        if self.tabs {
            for octet in &mut *octets {
                *octet = if *octet == b'\t' { b' ' } else { *octet };
            }
            self.tabs = false;
        }
        octets
    }
}

/// The octets of a block that the relaxed form leaves out, white space in front of other white space or a line end; and whether
/// the block has a tab.
fn left_out(window: &[u8; Compactor::WINDOW]) -> (u64, bool) {
    let mut found = [0_u8; BLOCK];
    let (mut any, mut tabs) = (0, 0);
    for index in 0..BLOCK {
        let [octet, next, third] = [window[index], window[index + 1], window[index + 2]];
        let is = |octet: u8, other: u8| u8::from(octet == other);
        let is_tab = is(octet, b'\t');
        let is_line_end = is(next, b'\r') & is(third, b'\n');
        let is_left_out = (is(octet, b' ') | is_tab) & (is(next, b' ') | is(next, b'\t') | is_line_end);
        found[index] = is_left_out.wrapping_neg() & (1 << (index % 8));
        any |= is_left_out;
        tabs |= is_tab;
    }
    (if any == 0 { 0 } else { mask(&found) }, tabs != 0)
}
