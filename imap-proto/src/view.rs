//! What one client knows of its selected mailbox.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::server::Change;
use crate::types::{Flags, Seq, SequenceSet, Uid, UidSet};
use crate::wire::encode::push;

/// What one client knows of its selected mailbox, and what it was not told yet. The only place that knows sequence
/// numbers.
///
/// A view costs four octets for each message that the client knows, and as much for each that it will hear of. Changes of
/// flags wait merged, the last per message; more than a limit of them, or keywords of more than twice the limit in them, are
/// forgotten, and [`View::take_forgotten`] says of which messages the flags have to be asked for anew.
///
/// ```
/// use pillarbox_imap::server::Change;
/// use pillarbox_imap::types::{Uid, UidSet};
/// use pillarbox_imap::view::View;
///
/// let uid = |n| Uid::new(n).unwrap();
/// let mut view = View::new(vec![uid(3), uid(5), uid(9)], 100);
/// view.learn(Change::Removed(UidSet::one(uid(3))));
/// view.learn(Change::Added(vec![uid(12)]));
///
/// let mut out = Vec::new();
/// view.tell(false, &mut out);                     // at the end of FETCH: numbers must not change
/// assert_eq!(out, b"* 4 EXISTS\r\n");
/// assert_eq!(view.seq(uid(5)).unwrap().get(), 2);
///
/// out.clear();
/// view.tell(true, &mut out);                      // at the end of NOOP
/// assert_eq!(out, b"* 1 EXPUNGE\r\n");
/// assert_eq!(view.seq(uid(5)).unwrap().get(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The messages that the client knows, rising: the place plus one is the sequence number.
    uids: Vec<Uid>,
    /// Messages that it will hear of, rising, all above those.
    added: Vec<Uid>,
    /// Messages that it knows and that are gone.
    removed: UidSet,
    /// Flags of messages that it knows.
    flags: BTreeMap<Uid, Flags>,
    flags_max: usize,
    /// Keywords in those flags, at most.
    keywords: usize,
    /// Messages whose flags were forgotten; may name more than there were.
    forgotten: UidSet,
}

/// A sequence number above the number of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such message")]
pub struct NoSuchMessage;

impl View {
    /// The view of a client that was told these messages by SELECT. `uids` rise. `flags_max` changes of flags may wait.
    pub fn new(mut uids: Vec<Uid>, flags_max: usize) -> Self {
        debug_assert!(uids.is_sorted_by(|a, b| a < b), "the UIDs of a mailbox rise");
        // A view lives as long as its selection, which may be days of IDLE.
        uids.shrink_to_fit();
        View { uids, flags_max, ..View::default() }
    }

    /// How many messages the client knows: the last EXISTS less the EXPUNGEs since.
    pub fn len(&self) -> usize {
        self.uids.len()
    }

    /// Whether the client knows no message.
    pub fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    /// The messages that the client knows, in the order of their sequence numbers.
    pub fn uids(&self) -> &[Uid] {
        &self.uids
    }

    /// The number under which the client knows a message, also when it is gone and the client was not told.
    pub fn seq(&self, uid: Uid) -> Option<Seq> {
        let at = self.uids.binary_search(&uid).ok()?;
        Seq::new(u32::try_from(at + 1).ok()?)
    }

    /// The messages that a set of sequence numbers means. The work follows from the set's text and the messages that
    /// exist, not from the numbers it spans.
    ///
    /// # Errors
    ///
    /// [`NoSuchMessage`] if a number is above the number of messages (RFC 9051 §6.4.5 and §9, seq-number). A range to
    /// `*` may begin there: `1:*` in an empty mailbox means nothing.
    pub fn resolve(&self, set: &SequenceSet) -> Result<UidSet, NoSuchMessage> {
        let exists = u32::try_from(self.uids.len()).unwrap_or(u32::MAX);
        if set.largest_number() > exists {
            return Err(NoSuchMessage);
        }
        let ranges = set.resolve(exists).into_iter();
        let places = ranges.map(|range| (*range.start()).max(1) as usize - 1..(*range.end()).min(exists) as usize);
        Ok(places.filter_map(|places| self.uids.get(places)).collect())
    }

    /// The messages that a set of UIDs means, of those that the client knows: naming others is no error
    /// (RFC 9051 §6.4.9).
    pub fn resolve_uids(&self, set: &SequenceSet) -> UidSet {
        let Some(&last) = self.uids.last() else { return UidSet::new() };
        set.resolve(last.get()).into_iter().map(|range| self.known(*range.start(), *range.end())).collect()
    }

    /// The known UIDs from `first` to `last`.
    fn known(&self, first: u32, last: u32) -> &[Uid] {
        let start = self.uids.partition_point(|uid| uid.get() < first);
        let end = self.uids.partition_point(|uid| uid.get() <= last);
        self.uids.get(start..end).unwrap_or_default()
    }

    /// Takes note of a change; legal at any time, told later. Changes come in commit order. What the client cannot know
    /// or knows already is dropped.
    pub fn learn(&mut self, change: Change) {
        match change {
            Change::Added(uids) => {
                for uid in uids {
                    // UIDs rise, so whatever is not above the last was in the snapshot or came twice.
                    if Some(&uid) > self.added.last().or(self.uids.last()) {
                        self.added.push(uid);
                    }
                }
            }
            Change::Flags { uid, flags } => {
                // A client asks for the flags of a new message when it hears of it.
                if self.seq(uid).is_some() && !self.forgotten.contains(uid) {
                    if self.flags.is_empty() {
                        self.keywords = 0;
                    }
                    // Those of flags that were replaced or dropped still count: the last change always counts in full.
                    self.keywords += flags.keywords().len();
                    self.flags.insert(uid, flags);
                    self.forget_some();
                }
            }
            Change::Removed(gone) => {
                self.added.retain(|uid| !gone.contains(*uid));
                let mut removed = UidSet::new();
                for range in gone.ranges() {
                    for &uid in self.known(range.start().get(), range.end().get()) {
                        removed.insert(uid);
                    }
                }
                self.removed.add(&removed);
            }
            // The session ends; there is nothing left to tell.
            Change::Gone => {}
        }
    }

    fn forget_some(&mut self) {
        // A message may have a hundred keywords, so their number is limited too.
        if self.flags.len() > self.flags_max || self.keywords > self.flags_max.saturating_mul(2) {
            let uids: UidSet = core::mem::take(&mut self.flags).into_keys().collect();
            self.forgotten.add(&uids);
            if self.forgotten.ranges().len() > self.flags_max.max(1) {
                // Rather ask for too many than remember without limit.
                let all = self.forgotten.first().zip(self.forgotten.last()).map(|(first, last)| first..=last);
                self.forgotten = all.into_iter().collect();
            }
        }
    }

    /// The messages among `uids`, which the client knows, whose flags wait to be told or were forgotten.
    pub fn waiting_flags(&self, uids: &UidSet) -> UidSet {
        if self.flags.is_empty() && self.forgotten.is_empty() {
            return UidSet::new();
        }
        uids.iter().filter(|uid| self.flags.contains_key(uid) || self.forgotten.contains(*uid)).collect()
    }

    /// The client was told these flags by other means, or does not want to hear of them: what waited is dropped.
    pub fn drop_flags(&mut self, uid: Uid) {
        self.flags.remove(&uid);
        self.forgotten.remove(uid);
    }

    /// As [`drop_flags`](View::drop_flags) if exactly these flags wait.
    pub fn drop_same_flags(&mut self, uid: Uid, flags: &Flags) {
        if self.flags.get(&uid) == Some(flags) {
            self.flags.remove(&uid);
        }
    }

    /// The messages whose flags must be asked for anew, because too many changes waited; empty if there are none. Whoever
    /// calls this tells the client their flags, or calls [`View::forget`].
    pub fn take_forgotten(&mut self) -> UidSet {
        let forgotten = core::mem::take(&mut self.forgotten);
        let known = forgotten.ranges().flat_map(|range| self.known(range.start().get(), range.end().get()));
        known.copied().filter(|uid| !self.removed.contains(*uid)).collect()
    }

    /// The flags of these messages could not be asked for: they are still to be told.
    pub fn forget(&mut self, uids: &UidSet) {
        self.forgotten.add(uids);
    }

    /// Whether there is something to tell.
    pub fn has_news(&self) -> bool {
        !(self.added.is_empty() && self.removed.is_empty() && self.flags.is_empty())
    }

    /// Appends what the client was not told yet: EXPUNGE (only if `may_expunge`), EXISTS, FETCH with the flags.
    ///
    /// The octets follow from the number of messages that the client knows and from the limit on flags.
    pub fn tell(&mut self, may_expunge: bool, out: &mut Vec<u8>) {
        if may_expunge && !self.removed.is_empty() {
            let removed = core::mem::take(&mut self.removed);
            // From the last to the first, no EXPUNGE changes the number of one that follows (RFC 9051 §7.5.1).
            for (at, _) in self.uids.iter().enumerate().rev().filter(|(_, uid)| removed.contains(**uid)) {
                push(out, format_args!("* {} EXPUNGE\r\n", at + 1));
            }
            self.uids.retain(|uid| !removed.contains(*uid));
        }
        if !self.added.is_empty() {
            self.uids.append(&mut self.added);
            // RFC 9051 §7.4.1
            // Deviates from RFC 3501 §7.3.2: because stores do not say who is the first to see a new message, RECENT does
            // not follow; IMAP4rev2 dropped it.
            push(out, format_args!("* {} EXISTS\r\n", self.uids.len()));
        }
        for (uid, flags) in core::mem::take(&mut self.flags) {
            if let Some(seq) = self.seq(uid) {
                // RFC 9051 §7.5.2. The UID may always be told, and clients that think in UIDs need it.
                push(out, format_args!("* {seq} FETCH (UID {uid} FLAGS {flags})\r\n"));
            }
        }
    }
}
