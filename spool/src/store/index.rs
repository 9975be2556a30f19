//! What is known in memory: of each waiting message where it is and who is done, of each segment how much still counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::MessageId;
use crate::error::StoreError;
use crate::format::record::{MessageFields, Place, notices, notices_bits, outcome, outcome_number};
use crate::state::{Notices, Outcome, RecipientReport, RecipientState};

#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) messages: BTreeMap<MessageId, Entry>,
    pub(crate) segments: BTreeMap<u64, SegmentState>,
    /// Not all that was there at the start has been read.
    pub(crate) reading: bool,
    /// The floor that the newest segment names.
    pub(crate) recorded_floor: u64,
    /// Records of messages may be missing: a body that belongs to nobody may be that of one of them.
    pub(crate) is_short: bool,
    /// Parts of segments that are damaged and of which no copy could be made yet: segment, from, to.
    pub(crate) unkept: Vec<(u64, u64, u64)>,
    /// Segments that could not even be opened: only another start learns from them.
    pub(crate) unread: BTreeSet<u64>,
    /// Messages that the disk did not give when they were to be carried forward.
    pub(crate) not_given: BTreeSet<MessageId>,
    /// Messages that were set aside while the log was tidied, and why.
    pub(crate) set_aside: Vec<(MessageId, StoreError)>,
    /// Messages that are finished and whose bodies have files.
    pub(crate) finished_bodies: Vec<MessageId>,
}

/// A waiting message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where the record with its envelope is, and how long that is.
    pub(crate) first: Place,
    pub(crate) len: u64,
    /// The last report.
    pub(crate) last: Option<Place>,
    pub(crate) recipients: Box<[Status]>,
    pub(crate) reports: u32,
    /// Seconds of the last attempt.
    pub(crate) last_report: i64,
    pub(crate) held: bool,
    pub(crate) is_large: bool,
    /// Records about it that are not synced yet.
    pub(crate) pending: u16,
}

impl Entry {
    /// It was released, and somebody has not been tried since.
    pub(crate) fn is_owed(&self) -> bool {
        self.recipients.iter().any(|status| status.is_owed())
    }
}

/// Outcome and notices of a recipient, and whether it is owed a try, in one octet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status(u8);

impl Status {
    const OWED: u8 = 1 << 6;

    pub(crate) fn of(state: &RecipientState) -> Self {
        let mut status = Status(state.outcome.map_or(0, outcome_number) | notices_bits(state.notices) << 3);
        status.owe(state.is_owed);
        status
    }

    /// What is known of a recipient here, beside its history.
    pub(crate) fn tell(self, state: &mut RecipientState) {
        (state.outcome, state.notices, state.is_owed) = (self.outcome(), self.notices(), self.is_owed());
    }

    pub(crate) fn outcome(self) -> Option<Outcome> {
        outcome(self.0 & 7).ok().filter(|outcome| outcome.is_final())
    }

    pub(crate) fn notices(self) -> Notices {
        notices(self.0 >> 3 & 7)
    }

    pub(crate) fn is_owed(self) -> bool {
        self.0 & Self::OWED != 0
    }

    /// Nothing is owed to who has a final outcome.
    fn owe(&mut self, is_owed: bool) {
        let owed = if is_owed && self.outcome().is_none() { Self::OWED } else { 0 };
        self.0 = self.0 & !Self::OWED | owed;
    }

    /// What an attempt came to, if there was one, and which notices were made.
    fn add(&mut self, outcome: Option<Outcome>, notices: Notices) {
        let is_owed = self.is_owed() && outcome.is_none();
        let outcome = self.outcome().or(outcome.filter(|outcome| outcome.is_final()));
        let notices = self.notices().and(notices);
        *self = Status(outcome.map_or(0, outcome_number) | notices_bits(notices) << 3);
        self.owe(is_owed);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SegmentState {
    pub(crate) salt: u64,
    /// What its first group chains to; `None` if its header is damaged.
    pub(crate) chain: Option<u32>,
    /// Where it ends; 0 if nothing in it counts.
    pub(crate) end: u64,
    /// Octets of records of waiting messages.
    pub(crate) live: u64,
    /// How many messages those are.
    pub(crate) waiting: u32,
    /// Something in it could not be read and is not in safety yet.
    pub(crate) pinned: bool,
    /// Nothing in it counts any more; its file goes as soon as the log says so.
    pub(crate) retired: bool,
}

impl SegmentState {
    pub(crate) fn new(salt: u64, chain: Option<u32>, end: u64) -> Self {
        SegmentState { salt, chain, end, live: 0, waiting: 0, pinned: false, retired: false }
    }
}

impl Index {
    /// The first segment that still counts.
    pub(crate) fn floor(&self) -> u64 {
        let counts = self.segments.iter().find(|(_, segment)| !segment.retired);
        counts.map_or(1, |(number, _)| *number)
    }

    /// A message is waiting here from now on, whatever was known of it.
    pub(crate) fn place_message(&mut self, fields: &MessageFields, first: Place, len: u64) {
        let entry = Entry {
            first,
            len,
            last: None,
            recipients: fields.states.iter().map(Status::of).collect(),
            reports: fields.reports,
            last_report: fields.last_report,
            held: fields.held,
            is_large: fields.large.is_some(),
            pending: 0,
        };
        self.place_entry(fields.id, entry);
    }

    pub(crate) fn place_entry(&mut self, id: MessageId, entry: Entry) {
        self.forget(id);
        if let Some(segment) = self.segments.get_mut(&entry.first.segment) {
            segment.live += entry.len;
            segment.waiting += 1;
        }
        self.messages.insert(id, entry);
    }

    /// News about a message. What is finished is forgotten.
    pub(crate) fn add_news(&mut self, id: MessageId, place: Place, recipients: &[RecipientReport]) {
        let Some(entry) = self.messages.get_mut(&id) else { return };
        entry.last = Some(place);
        let mut tried = false;
        for news in recipients {
            // Nobody but a damaged disk names a recipient that is not there.
            let known = usize::try_from(news.recipient).ok().and_then(|at| entry.recipients.get_mut(at));
            if let Some(status) = known {
                status.add(news.attempt.as_ref().map(|attempt| attempt.outcome), news.notices);
                if let Some(attempt) = &news.attempt {
                    tried = true;
                    entry.last_report = entry.last_report.max(attempt.at.unix_seconds());
                }
            }
        }
        entry.reports = entry.reports.saturating_add(u32::from(tried));
        if entry.recipients.iter().all(|status| status.outcome().is_some()) {
            self.finish(id);
        }
    }

    pub(crate) fn set_held(&mut self, id: MessageId, held: bool) {
        if let Some(entry) = self.messages.get_mut(&id) {
            if held || entry.held {
                entry.recipients.iter_mut().for_each(|status| status.owe(!held));
            }
            entry.held = held;
        }
    }

    /// Nothing is left to do about a message.
    pub(crate) fn finish(&mut self, id: MessageId) {
        self.not_given.remove(&id);
        if self.forget(id).is_some_and(|entry| entry.is_large) {
            self.finished_bodies.push(id);
        }
    }

    fn forget(&mut self, id: MessageId) -> Option<Entry> {
        let entry = self.messages.remove(&id)?;
        if let Some(segment) = self.segments.get_mut(&entry.first.segment) {
            segment.live -= entry.len;
            segment.waiting -= 1;
        }
        Some(entry)
    }
}
