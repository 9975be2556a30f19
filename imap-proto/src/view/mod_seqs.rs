//! Up to which mod-sequence a client knows everything, and up to which it thinks so.

use crate::types::ModSeq;

/// A client keeps one mod-sequence for a mailbox: the HIGHESTMODSEQ that it was told last or, if it was told none since its last
/// command ended, the highest MODSEQ of a FETCH answer (RFC 7162 §6). When it comes back it asks for what changed after that. If
/// it thought of one that is too high, because the expunge of another message waited to be told, it would never hear of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ModSeqs {
    /// The highest of which we know; none in a mailbox without mod-sequences.
    learned: Option<ModSeq>,
    /// The lowest of expunges that wait to be told.
    expunge_waits: Option<ModSeq>,
    /// The lowest and the highest of flags that were forgotten.
    forgotten: Option<(ModSeq, ModSeq)>,
    /// What the client thought when its last command ended; none: nothing yet.
    believed: Option<ModSeq>,
    /// The highest that it was told by FETCH since.
    fetched: Option<ModSeq>,
}

impl ModSeqs {
    /// The client was told this one at selection.
    pub(super) fn new(highest: ModSeq) -> Self {
        ModSeqs { learned: Some(highest), believed: Some(highest), ..ModSeqs::default() }
    }

    pub(super) fn are_there(&self) -> bool {
        self.learned.is_some()
    }

    pub(super) fn learn(&mut self, mod_seq: Option<ModSeq>) {
        if self.are_there() {
            self.learned = self.learned.max(mod_seq);
        }
    }

    pub(super) fn expunge_waits(&mut self, mod_seq: Option<ModSeq>) {
        self.expunge_waits = self.expunge_waits.into_iter().chain(mod_seq).min();
    }

    pub(super) fn expunges_told(&mut self) {
        self.expunge_waits = None;
    }

    pub(super) fn forgot(&mut self, mod_seq: Option<ModSeq>) {
        let Some(mod_seq) = mod_seq else { return };
        let (low, high) = self.forgotten.unwrap_or((mod_seq, mod_seq));
        self.forgotten = Some((low.min(mod_seq), high.max(mod_seq)));
    }

    pub(super) fn highest_forgotten(&self) -> Option<ModSeq> {
        self.forgotten.map(|(_, high)| high)
    }

    pub(super) fn fetched(&mut self, mod_seq: ModSeq) {
        self.fetched = self.fetched.max(Some(mod_seq));
    }

    /// The client begins to listen: what it was told before does not count.
    pub(super) fn begin(&mut self) {
        (self.believed, self.fetched) = (None, None);
    }

    /// Everything was told that may be: what the client has to be told as HIGHESTMODSEQ so that it thinks of the right one.
    /// `flags_forgotten`: there are flags that it was not told. `untold`: the first change that it does not want to hear of now.
    pub(super) fn settle(&mut self, flags_forgotten: bool, untold: Option<ModSeq>) -> Option<ModSeq> {
        if !flags_forgotten {
            self.forgotten = None;
        }
        let mut highest = self.learned?;
        for missing in [self.expunge_waits, self.forgotten.map(|(low, _)| low), untold].into_iter().flatten() {
            highest = highest.min(missing.before()?);
        }
        let believed = self.believed.max(self.fetched.take());
        self.believed = Some(highest);
        (believed != self.believed).then_some(highest)
    }
}
