//! Reading what was waiting before the start, while new messages already come.

use std::collections::VecDeque;

use pillarbox_fs::{ErrorKind, FsError};

use super::index::Index;
use super::read::OpenSegment;
use super::segment::{Found, SegmentFile};
use super::survey::{Survey, is_passing};
use super::{Finding, Store, lock};
use crate::error::{Result, StoreError};
use crate::format::Malformed;
use crate::format::frame::{Kind, Record, SEGMENT_HEADER};
use crate::format::record::{Place, decode_id, decode_message, decode_news};
use crate::state::{Notices, Outcome};
use crate::{Envelope, MessageId, Recipient};

/// So often a segment that cannot be opened is tried once more; where files are short, for as long as they are.
const TRIES_MAX: u32 = 3;

/// What was waiting before the start, and what was found damaged. Run it to its end on a thread of its own: until then the
/// store knows only what it accepted itself, and nothing is tidied.
///
/// It reads the log once to learn what is waiting, and then the envelopes of the waiting messages one after the other, so that
/// no more than one of them is in memory.
#[derive(Debug)]
pub struct Recovery {
    store: Store,
    findings: VecDeque<Finding>,
    /// What is being learnt.
    index: Index,
    /// The segment that was read last.
    open: Option<OpenSegment>,
    /// How often the segment that is read next could not be opened.
    tries: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// This segment is read next, and those behind it.
    Segments(u64),
    Messages(std::vec::IntoIter<MessageId>),
}

/// Something that a [`Recovery`] tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Recovered {
    /// A message that is waiting.
    Waiting(Box<Waiting>),
    /// Something that was not as it should be.
    Finding(Finding),
    /// The log cannot be read now, for want of open files or as the disk fails. The recovery goes on where it was when it is asked again, which had
    /// better be a little later.
    Later(StoreError),
    /// A message that is waiting and could not be read now: [`Store::waiting`] may give it later. If it is [damaged](StoreError::Damaged), it should be
    /// [set aside](Store::set_aside).
    Unreadable(MessageId, StoreError),
}

/// A message that is waiting: what a schedule needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The message.
    pub id: MessageId,
    /// What it was accepted with.
    pub envelope: Envelope,
    /// For each recipient the final outcome, if there is one, and the notices that were made.
    pub recipients: Vec<(Option<Outcome>, Notices)>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last, in seconds since 1970.
    pub last_attempt: Option<i64>,
    /// It is held.
    pub held: bool,
    /// It was released, and some recipient not tried since: it is tried once more, however old it is.
    pub is_owed: bool,
    /// Octets of content.
    pub size: u64,
}

impl Waiting {
    /// The recipients that have no final outcome, with their places in the envelope.
    pub fn open_recipients(&self) -> impl Iterator<Item = (u32, &Recipient)> {
        let open = self.recipients.iter().map(|(outcome, _)| outcome.is_none());
        (0..).zip(&self.envelope.recipients).zip(open).filter_map(|(recipient, is_open)| is_open.then_some(recipient))
    }
}

impl Recovery {
    pub(super) fn new(store: Store, survey: Survey) -> Self {
        let is_short = survey.is_short;
        let index = Index { segments: survey.segments, is_short, ..Index::default() };
        Recovery { store, findings: survey.findings.into(), index, open: None, tries: 0, stage: Stage::Segments(0) }
    }

    /// # Errors
    ///
    /// For now: the segment has to be read again.
    fn read_segment(&mut self, number: u64) -> Result<()> {
        let Recovery { store, findings, index, tries, .. } = self;
        let state = index.segments[&number].clone();
        // What nobody can learn from any more, or never could.
        if state.retired || state.end == 0 {
            return Ok(());
        }
        let path = store.0.paths.segment(number, state.salt);
        let mut damaged = Vec::new();
        if state.chain.is_none() {
            damaged.push((0, SEGMENT_HEADER as u64, "the header of the segment"));
        }
        let read = SegmentFile::open_past_gaps(&*store.0.fs, &path).and_then(|mut segment| {
            segment.scan(state.salt, state.chain, state.end, &mut |found| {
                match found {
                    Found::Record { offset, record, fields } => {
                        let place = Place { segment: number, offset: *offset };
                        if let Err(Malformed(why)) = learn(index, place, record, fields) {
                            damaged.push((*offset, *offset + record.len(), why));
                        }
                    }
                    Found::Damage { from, to, why } => damaged.push((*from, *to, *why)),
                }
                Ok(())
            })?;
            Ok(segment)
        });
        let pin = |index: &mut Index| index.segments.get_mut(&number).expect("it is being read").pinned = true;
        let mut segment = match read {
            Ok(segment) => Some(segment),
            Err(error) if is_passing(&error) => return Err(error),
            // A disk that stumbled gives it the next time.
            Err(error) if *tries < TRIES_MAX && !is_not_found(&error) => {
                *tries += 1;
                return Err(error);
            }
            Err(_) => {
                damaged = vec![(0, state.end, "the disk does not give it")];
                None
            }
        };
        if !damaged.is_empty() && !index.is_short {
            index.is_short = true;
            // A sweep asks for the mark again.
            let _ = store.0.paths.mark_incomplete(&*store.0.fs);
        }
        for (from, to, why) in damaged {
            let kept = segment.as_mut().and_then(|segment| store.0.keep_part(number, segment, from, to).ok());
            if kept.is_none() {
                pin(index);
                match segment {
                    Some(_) => index.unkept.push((number, from, to)),
                    None => drop(index.unread.insert(number)),
                }
            }
            findings.push_back(Finding::Damaged { segment: number, from, to, why, kept });
        }
        Ok(())
    }

    /// What was learnt becomes what the store knows, beside what came meanwhile.
    fn hand_over(&mut self) -> Vec<MessageId> {
        let ids = self.index.messages.keys().copied().collect();
        let learnt = std::mem::take(&mut self.index);
        let mut index = lock(&self.store.0.index);
        let new = std::mem::replace(&mut index.messages, learnt.messages);
        index.messages.extend(new);
        for (number, state) in learnt.segments {
            let known = index.segments.entry(number).or_insert_with(|| state.clone());
            (known.live, known.waiting) = (state.live, state.waiting);
            known.pinned = state.pinned;
        }
        index.finished_bodies.extend(learnt.finished_bodies);
        index.is_short = learnt.is_short;
        (index.unkept, index.unread) = (learnt.unkept, learnt.unread);
        index.reading = false;
        ids
    }
}

fn learn(index: &mut Index, place: Place, record: &Record, fields: &[u8]) -> std::result::Result<(), Malformed> {
    match record.kind {
        Kind::Message | Kind::Carried => index.place_message(&decode_message(fields)?, place, record.len()),
        Kind::News => {
            let news = decode_news(fields)?;
            index.add_news(news.id, place, &news.recipients);
        }
        Kind::Hold => index.set_held(decode_id(fields)?, true),
        Kind::Release => index.set_held(decode_id(fields)?, false),
        Kind::Delete => index.finish(decode_id(fields)?),
        Kind::Unknown(_) => unreachable!("the scan tells it as damage"),
    }
    Ok(())
}

impl Iterator for Recovery {
    type Item = Recovered;

    fn next(&mut self) -> Option<Recovered> {
        loop {
            if let Some(finding) = self.findings.pop_front() {
                return Some(Recovered::Finding(finding));
            }
            match &mut self.stage {
                Stage::Segments(from) => match self.index.segments.range(*from..).next() {
                    Some((number, _)) => {
                        let number = *number;
                        if let Err(error) = self.read_segment(number) {
                            return Some(Recovered::Later(error));
                        }
                        (self.stage, self.tries) = (Stage::Segments(number + 1), 0);
                    }
                    None => self.stage = Stage::Messages(self.hand_over().into_iter()),
                },
                Stage::Messages(ids) => {
                    let id = ids.next()?;
                    match self.store.waiting_in(id, &mut self.open) {
                        Ok(waiting) => return Some(Recovered::Waiting(Box::new(waiting))),
                        // It was deleted meanwhile.
                        Err(StoreError::NoSuchMessage(_)) => {}
                        Err(error) => return Some(Recovered::Unreadable(id, error)),
                    }
                }
            }
        }
    }
}

/// Whether a file is not there.
pub(super) fn is_not_found(error: &StoreError) -> bool {
    matches!(error, StoreError::Fs(error) if error.kind() == ErrorKind::NotFound)
}

/// As a result that is fine with it.
pub(super) fn if_found(result: std::result::Result<(), FsError>) -> Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
