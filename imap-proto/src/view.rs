//! What one client knows of its selected mailbox.

mod mod_seqs;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use self::mod_seqs::ModSeqs;
use crate::server::Change;
use crate::types::{Flags, ModSeq, Seq, SequenceSet, Uid, UidSet};
use crate::wire::encode::push;
use crate::wire::parse::Run;

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
/// view.learn(Change::Removed { uids: UidSet::one(uid(3)), mod_seq: None });
/// view.learn(Change::Added { uids: vec![uid(12)], mod_seq: None });
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
    /// The mod-sequence at which the first of them came.
    added_at: Option<ModSeq>,
    /// Messages that it knows and that are gone.
    removed: UidSet,
    /// Flags of messages that it knows, and the mod-sequences at which they became so.
    flags: BTreeMap<Uid, (Flags, Option<ModSeq>)>,
    flags_max: usize,
    /// Keywords in those flags, at most.
    keywords: usize,
    /// Messages whose flags were forgotten; may name more than there were.
    forgotten: UidSet,
    mod_seqs: ModSeqs,
    /// It is told mod-sequences.
    tells_mod_seqs: bool,
    /// It is told VANISHED instead of EXPUNGE.
    tells_vanished: bool,
    /// It is told UIDs and no sequence numbers.
    tells_uids_only: bool,
}

/// Which news are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling {
    pub(crate) expunges: bool,
    pub(crate) arrivals: bool,
    pub(crate) flags: bool,
}

/// What was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// Some messages are gone.
    pub(crate) expunged: bool,
    /// So many have come: the last that the client knows.
    pub(crate) arrived: usize,
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

    /// The same in a mailbox with mod-sequences, of which the client was told the highest (RFC 7162 §3.1.2.1).
    #[must_use]
    pub fn with_mod_seqs(self, highest: ModSeq) -> Self {
        View { mod_seqs: ModSeqs::new(highest), ..self }
    }

    /// Whether the mailbox has mod-sequences.
    pub fn has_mod_seqs(&self) -> bool {
        self.mod_seqs.are_there()
    }

    /// From now on the client is told mod-sequences where the mailbox has them (RFC 7162 §3.1, CONDSTORE enabling
    /// commands). If it was not before, [`settle`](View::settle) gives it the highest next.
    pub fn tell_mod_seqs(&mut self) {
        if !core::mem::replace(&mut self.tells_mod_seqs, true) {
            self.mod_seqs.begin();
        }
    }

    /// From now on the client is told VANISHED instead of EXPUNGE where the mailbox has mod-sequences (RFC 7162 §3.2.10).
    pub fn tell_vanished(&mut self) {
        self.tells_vanished = true;
    }

    /// From now on the client is told no sequence numbers: UIDFETCH instead of FETCH, and VANISHED instead of EXPUNGE (RFC 9586).
    pub fn tell_uids_only(&mut self) {
        self.tells_uids_only = true;
    }

    pub(crate) fn tells_uids_only(&self) -> bool {
        self.tells_uids_only
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
        match set.largest_number() > exists {
            true => Err(NoSuchMessage),
            false => Ok(self.resolve_existing(set)),
        }
    }

    /// The same for a search: a number above the number of messages is that of no message, and no error (RFC 7377 §2).
    pub fn resolve_existing(&self, set: &SequenceSet) -> UidSet {
        existing(&self.uids, set)
    }

    /// The messages that a set of UIDs means, of those that the client knows: naming others is no error
    /// (RFC 9051 §6.4.9).
    pub fn resolve_uids(&self, set: &SequenceSet) -> UidSet {
        let Some(&last) = self.uids.last() else { return UidSet::new() };
        set.resolve(last.get()).into_iter().map(|range| self.known(*range.start(), *range.end())).collect()
    }

    /// The known UIDs from `first` to `last`.
    fn known(&self, first: u32, last: u32) -> &[Uid] {
        known_between(&self.uids, first, last)
    }

    /// Takes note of a change; legal at any time, told later. Changes come in commit order. What the client cannot know
    /// or knows already is dropped.
    pub fn learn(&mut self, change: Change) {
        match change {
            Change::Added { uids, mod_seq } => {
                self.mod_seqs.learn(mod_seq);
                if self.added.is_empty() {
                    self.added_at = mod_seq;
                }
                for uid in uids {
                    // UIDs rise, so whatever is not above the last was in the snapshot or came twice.
                    if Some(&uid) > self.added.last().or(self.uids.last()) {
                        self.added.push(uid);
                    }
                }
            }
            Change::Flags { uid, flags, mod_seq } => {
                self.mod_seqs.learn(mod_seq);
                // A client asks for the flags of a new message when it hears of it.
                if self.forgotten.contains(uid) {
                    self.mod_seqs.forgot(mod_seq);
                } else if self.seq(uid).is_some() {
                    if self.flags.is_empty() {
                        self.keywords = 0;
                    }
                    // Those of flags that were replaced or dropped still count: the last change always counts in full.
                    self.keywords += flags.keywords().len();
                    self.flags.insert(uid, (flags, mod_seq));
                    self.forget_some();
                }
            }
            Change::Removed { uids: gone, mod_seq } => {
                self.mod_seqs.learn(mod_seq);
                for range in gone.ranges() {
                    let start = self.added.partition_point(|uid| uid < range.start());
                    let end = self.added.partition_point(|uid| uid <= range.end());
                    self.added.drain(start..end);
                }
                let removed = self.known_of(&gone);
                if !removed.is_empty() {
                    self.mod_seqs.expunge_waits(mod_seq);
                }
                self.removed.add(&removed);
            }
            // The session ends; or it is nothing about messages.
            Change::Gone | Change::Keywords { .. } | Change::Rights(_) => {}
        }
    }

    fn forget_some(&mut self) {
        // A message may have a hundred keywords, so their number is limited too.
        if self.flags.len() > self.flags_max || self.keywords > self.flags_max.saturating_mul(2) {
            let flags = core::mem::take(&mut self.flags);
            flags.values().for_each(|(_, mod_seq)| self.mod_seqs.forgot(*mod_seq));
            self.forgotten.add(&flags.into_keys().collect());
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

    /// Whether flags of a higher mod-sequence than this wait to be told of a message.
    pub fn has_newer_flags(&self, uid: Uid, than: Option<ModSeq>) -> bool {
        than.is_some() && self.flags.get(&uid).is_some_and(|(_, mod_seq)| *mod_seq > than)
    }

    /// The client was told flags by other means, or does not want to hear of them: what waited is dropped, unless it is
    /// of a higher mod-sequence than what the client was told.
    pub fn drop_flags(&mut self, uid: Uid, told: Option<ModSeq>) {
        if !self.has_newer_flags(uid, told) {
            self.flags.remove(&uid);
        }
        if told.is_none() || self.mod_seqs.highest_forgotten() <= told {
            self.forgotten.remove(uid);
        }
    }

    /// As [`drop_flags`](View::drop_flags) if exactly these flags wait and, where the client is told mod-sequences, it
    /// was told one that is as high.
    pub fn drop_same_flags(&mut self, uid: Uid, flags: &Flags, told: Option<ModSeq>) {
        let same = |(waiting, mod_seq): &(Flags, Option<ModSeq>)| {
            waiting == flags && (!self.tells_mod_seqs || *mod_seq <= told)
        };
        if self.flags.get(&uid).is_some_and(same) {
            self.flags.remove(&uid);
        }
    }

    /// The client was told the mod-sequence of a message by other means.
    pub fn told_mod_seq(&mut self, mod_seq: ModSeq) {
        self.mod_seqs.fetched(mod_seq);
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

    /// The messages that the client will hear of.
    pub(crate) fn unheard_of(&self) -> UidSet {
        [self.added.as_slice()].into_iter().collect()
    }

    /// Which of these messages are there and the client knows them.
    pub(crate) fn still_there(&self, uids: &UidSet) -> UidSet {
        self.known_of(uids).without(&self.removed)
    }

    /// Which of these messages are there, and known once what waits is told.
    pub(crate) fn will_know(&self, uids: &UidSet) -> UidSet {
        let mut all = self.still_there(uids);
        all.add(&self.unheard_of().intersect(uids));
        all
    }

    /// Whether there is something to tell.
    pub fn has_news(&self) -> bool {
        !(self.added.is_empty() && self.removed.is_empty() && self.flags.is_empty())
    }

    /// Appends what the client was not told yet: EXPUNGE or VANISHED (only if `may_expunge`), EXISTS, FETCH with the
    /// flags. True if messages were told to be gone.
    ///
    /// The octets follow from the number of messages that the client knows and from the limit on flags.
    pub fn tell(&mut self, may_expunge: bool, out: &mut Vec<u8>) -> bool {
        self.tell_some(Telling { expunges: may_expunge, arrivals: true, flags: true }, out).expunged
    }

    /// Whether there is something to tell of these kinds.
    pub(crate) fn has_news_to_tell(&self, telling: Telling) -> bool {
        telling.arrivals && !self.added.is_empty()
            || telling.expunges && !self.removed.is_empty()
            || telling.flags && !self.flags.is_empty()
    }

    /// As [`tell`](View::tell), of some kinds of news only: the others wait.
    pub(crate) fn tell_some(&mut self, telling: Telling, out: &mut Vec<u8>) -> Told {
        let expunges = telling.expunges && !self.removed.is_empty();
        let mut told = Told { expunged: expunges, arrived: 0 };
        if expunges {
            let removed = core::mem::take(&mut self.removed);
            self.mod_seqs.expunges_told();
            if self.tells_uids_only || self.tells_vanished && self.has_mod_seqs() {
                // RFC 7162 §3.2.10.2: only messages that the client knows are in there.
                vanished(&removed, "", out);
            } else {
                // From the last to the first, no EXPUNGE changes the number of one that follows (RFC 9051 §7.5.1).
                for (at, _) in self.uids.iter().enumerate().rev().filter(|(_, uid)| removed.contains(**uid)) {
                    push(out, format_args!("* {} EXPUNGE\r\n", at + 1));
                }
            }
            self.uids.retain(|uid| !removed.contains(*uid));
        }
        if telling.arrivals && !self.added.is_empty() {
            let added = core::mem::take(&mut self.added);
            told.arrived = added.len();
            if self.uids.capacity() - self.uids.len() < added.len() {
                // An eighth is enough to grow in, and a thousand views that grow together hold no second half that is empty.
                self.uids.reserve_exact(added.len().max(self.uids.len() / 8));
            }
            self.uids.extend(added);
            // RFC 9051 §7.4.1
            // Deviates from RFC 3501 §7.3.2: because stores do not say who is the first to see a new message, RECENT does
            // not follow; IMAP4rev2 dropped it.
            push(out, format_args!("* {} EXISTS\r\n", self.uids.len()));
        }
        let flags = if telling.flags { core::mem::take(&mut self.flags) } else { BTreeMap::new() };
        for (uid, (flags, mod_seq)) in flags {
            if let Some(seq) = self.seq(uid) {
                // RFC 9051 §7.5.2. The UID may always be told, and clients that think in UIDs need it.
                match self.tells_uids_only {
                    true => push(out, format_args!("* {uid} UIDFETCH (FLAGS {flags}")),
                    false => push(out, format_args!("* {seq} FETCH (UID {uid} FLAGS {flags}")),
                }
                self.mod_seq(mod_seq, out);
                out.extend_from_slice(b")\r\n");
            }
        }
        told
    }

    /// Writes a mod-sequence behind other items of a FETCH answer, if the client is told them (RFC 7162 §3.2.4).
    pub(crate) fn mod_seq(&mut self, mod_seq: Option<ModSeq>, out: &mut Vec<u8>) {
        if let Some(mod_seq) = mod_seq.filter(|_| self.tells_mod_seqs && self.has_mod_seqs()) {
            self.mod_seqs.fetched(mod_seq);
            push(out, format_args!(" MODSEQ ({mod_seq})"));
        }
    }

    /// To be called when a command ends, after [`tell`](View::tell): the HIGHESTMODSEQ that the client has to be told,
    /// because it would otherwise come to another one by what it was told. One that is too high would hide an expunge
    /// that waits from a client that comes back (RFC 7162 §3.2); one that is too low makes work.
    pub fn settle(&mut self) -> Option<ModSeq> {
        let arrivals = self.added_at.filter(|_| !self.added.is_empty());
        let untold = self.flags.values().filter_map(|(_, mod_seq)| *mod_seq).chain(arrivals).min();
        self.mod_seqs.settle(!self.forgotten.is_empty(), untold).filter(|_| self.tells_mod_seqs)
    }

    /// The last of these pairs of sequence numbers and UIDs that is true here (RFC 7162 §3.2.5.2): the client knows of
    /// everything that went up to there, because it counts as many messages as there are.
    pub(crate) fn last_match(&self, runs: &[Run]) -> Option<Uid> {
        runs.iter().rev().find_map(|&(seq, uid, len)| {
            let from_there = self.uids.get(seq as usize - 1..)?;
            let places = &from_there[..from_there.len().min(len as usize)];
            // UIDs rise at least as fast as the places do: what is ahead of its pair stays ahead.
            let pair = |at: usize| u64::from(uid.get()) + at as u64;
            let (mut low, mut high) = (0, places.len());
            while low < high {
                let middle = low + (high - low) / 2;
                match u64::from(places[middle].get()) <= pair(middle) {
                    true => low = middle + 1,
                    false => high = middle,
                }
            }
            let last = low.checked_sub(1)?;
            (u64::from(places[last].get()) == pair(last)).then_some(places[last])
        })
    }

    /// Which of these messages the client knows.
    pub fn known_of(&self, uids: &UidSet) -> UidSet {
        known_of(&self.uids, uids)
    }
}

/// The messages that sequence numbers mean in a mailbox with these UIDs; those of no message mean none.
pub(crate) fn existing(uids: &[Uid], set: &SequenceSet) -> UidSet {
    let exists = u32::try_from(uids.len()).unwrap_or(u32::MAX);
    let ranges = set.resolve(exists).into_iter();
    let places = ranges.map(|range| (*range.start()).max(1) as usize - 1..(*range.end()).min(exists) as usize);
    places.filter_map(|places| uids.get(places)).collect()
}

fn known_between(known: &[Uid], first: u32, last: u32) -> &[Uid] {
    let start = known.partition_point(|uid| uid.get() < first);
    let end = known.partition_point(|uid| uid.get() <= last);
    known.get(start..end).unwrap_or_default()
}

/// Which of these messages there are among the UIDs of a mailbox, which rise.
pub(crate) fn known_of(known: &[Uid], uids: &UidSet) -> UidSet {
    uids.ranges().map(|range| known_between(known, range.start().get(), range.end().get())).collect()
}

/// How many ranges stand in one VANISHED line: some ten thousand octets, which clients take in one piece.
const RANGES_MAX: usize = 500;

/// Writes VANISHED lines; `tag` is empty or ` (EARLIER)` (RFC 7162 §3.2.10).
pub(crate) fn vanished(uids: &UidSet, tag: &str, out: &mut Vec<u8>) {
    for (index, range) in uids.ranges().enumerate() {
        match index % RANGES_MAX {
            0 if index == 0 => push(out, format_args!("* VANISHED{tag} ")),
            0 => push(out, format_args!("\r\n* VANISHED{tag} ")),
            _ => out.push(b','),
        }
        match range.start() == range.end() {
            true => push(out, format_args!("{}", range.start())),
            false => push(out, format_args!("{}:{}", range.start(), range.end())),
        }
    }
    if !uids.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
}
