//! What two machines of a test have between them.

use std::collections::VecDeque;

/// One direction of a link in memory.
#[derive(Default)]
pub(crate) struct Pipe {
    /// What was written and has not arrived.
    wire: VecDeque<u8>,
    /// So many octets have arrived.
    pub(crate) arrived: usize,
    /// What has arrived and was not used.
    pub(crate) unread: Vec<u8>,
}

impl Pipe {
    /// Takes what was written, and brings a piece of what is under way; tells whether anything moved.
    pub(crate) fn carry(&mut self, written: &[u8], piece: usize, limit: usize, max_unread: usize) -> bool {
        self.wire.extend(written);
        let room = max_unread.saturating_sub(self.unread.len());
        let n = piece.min(self.wire.len()).min(limit.saturating_sub(self.arrived)).min(room);
        self.unread.extend(self.wire.drain(..n));
        self.arrived += n;
        n > 0 || !written.is_empty()
    }

    /// What is left of what had arrived stays; tells whether anything was used.
    pub(crate) fn used(&mut self, left: usize) -> bool {
        let used = self.unread.len() - left;
        self.unread.drain(..used);
        used > 0
    }
}
