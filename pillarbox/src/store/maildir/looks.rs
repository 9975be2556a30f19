//! Which looks at folders began after a question was asked: who asked before a look began need not look again.
//!
//! A thousand sessions that hear of one delivery ask about its mailbox at the same moment. While they wait for their turns more is
//! delivered, and each of them would read the folder anew for what came since, which it was not told of yet.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the looks of a store, so that they and questions have an order.
#[derive(Debug, Default)]
pub(super) struct Looks(AtomicU64);

/// When something was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedAt(u64);

/// The last look at one folder.
#[derive(Debug, Default)]
pub(super) struct Looked(AtomicU64);

impl Looks {
    pub(super) fn now(&self) -> AskedAt {
        AskedAt(self.0.load(Ordering::SeqCst))
    }

    #[cfg(test)]
    pub(super) fn begun(&self) -> u64 {
        self.now().0
    }

    /// A look begins; what it gives to [`Looked::ended`].
    pub(super) fn begin(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Looked {
    /// A look that began then has found what there was.
    pub(super) fn ended(&self, begun: u64) {
        self.0.fetch_max(begun, Ordering::SeqCst);
    }

    /// Whether a look that has ended began after this was asked.
    pub(super) fn answers(&self, asked: AskedAt) -> bool {
        self.0.load(Ordering::SeqCst) > asked.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_look_that_began_later_answers() {
        let (looks, one, other) = (Looks::default(), Looked::default(), Looked::default());
        let early = looks.now();
        assert!(!one.answers(early), "nobody has looked");
        let under_way = looks.begin();
        let asked = looks.now();
        one.ended(under_way);
        assert!(one.answers(early) && !one.answers(asked), "what came while it looked may be missing");
        one.ended(looks.begin());
        assert!(one.answers(asked) && !one.answers(looks.now()));
        assert!(!other.answers(early), "that was another folder");
    }
}
