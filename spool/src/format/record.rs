//! The fields of records, written and read.

use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::{EnhancedCode, WallTime};

use super::Malformed;
use super::fields::{Reader, Writer, date_octets};
use crate::envelope::{BodyKind, ByMode, DeliverBy, Envelope, Notify, OriginalRecipient, Recipient, Ret};
use crate::state::{Attempt, HISTORY_MAX, Notices, Outcome, RecipientReport, RecipientState};
use crate::{MessageId, Report};

/// Octets of a peer's words that are kept.
const TEXT_MAX: usize = 1000;

/// Where a record is: segment and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// A body in a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargeBody {
    pub(crate) length: u64,
    pub(crate) check: u32,
}

/// What a record of a message says; that of one carried forward says what has become of it, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageFields {
    pub(crate) id: MessageId,
    pub(crate) envelope: Envelope,
    pub(crate) large: Option<LargeBody>,
    pub(crate) held: bool,
    pub(crate) states: Vec<RecipientState>,
    /// Reports so far, and seconds of the last one.
    pub(crate) reports: u32,
    pub(crate) last_report: i64,
}

impl MessageFields {
    /// It was released, and somebody has not been tried since.
    pub(crate) fn is_owed(&self) -> bool {
        self.states.iter().any(|state| state.is_owed)
    }
}

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewsFields {
    pub(crate) id: MessageId,
    pub(crate) before: Option<Place>,
    pub(crate) recipients: Vec<RecipientReport>,
}

pub(crate) fn encode_message(id: MessageId, envelope: &Envelope, large: Option<LargeBody>) -> Vec<u8> {
    let mut out = Writer::new();
    put_envelope(&mut out, id, envelope, large);
    out.finish()
}

/// The record of a message that is carried forward, of at most so many octets: where the attempts of all recipients are too
/// much for it, the oldest are left out, of every recipient as many. None if it is too long without any of them.
pub(crate) fn encode_carried(message: &mut MessageFields, octets_max: usize) -> Option<Vec<u8>> {
    let mut most = HISTORY_MAX;
    loop {
        message.states.iter_mut().for_each(|state| state.shorten(most));
        let encoded = encode_with_states(message);
        if encoded.len() <= octets_max {
            return Some(encoded);
        }
        if most == 0 {
            return None;
        }
        most /= 2;
    }
}

/// Octets that the states of recipients take without any attempt, and what else is added to a message carried forward.
pub(crate) const fn states_len(recipients: usize) -> usize {
    recipients.saturating_mul(21).saturating_add(64)
}

fn encode_with_states(message: &MessageFields) -> Vec<u8> {
    let mut out = Writer::new();
    put_envelope(&mut out, message.id, &message.envelope, message.large);
    if message.held {
        out.put(13, &[1]);
    }
    if message.is_owed() {
        out.put(128, &[1]);
        let is_tried = |state: &RecipientState| state.outcome.is_none() && !state.is_owed;
        if message.states.iter().any(is_tried) {
            let octet = |states: &[RecipientState]| {
                (0..).zip(states).fold(0, |octet, (bit, state)| octet | u8::from(is_tried(state)) << bit)
            };
            out.put(129, &message.states.chunks(8).map(octet).collect::<Vec<u8>>());
        }
    }
    for (recipient, state) in (0u32..).zip(&message.states) {
        if *state == RecipientState::default() {
            continue;
        }
        let mut fields = Writer::new();
        let mut fixed = recipient.to_le_bytes().to_vec();
        fixed.extend([state.outcome.map_or(0, outcome_number), notices_bits(state.notices)]);
        fixed.extend(state.attempts.to_le_bytes());
        fields.put(1, &fixed);
        for attempt in &state.history {
            fields.put(2, &encode_attempt(attempt));
        }
        out.put(14, &fields.finish());
    }
    if message.reports > 0 {
        let mut fixed = message.reports.to_le_bytes().to_vec();
        fixed.extend(message.last_report.to_le_bytes());
        out.put(15, &fixed);
    }
    out.finish()
}

pub(crate) fn encode_report(report: &Report) -> Vec<u8> {
    let mut out = Writer::new();
    out.put(1, &report.id.octets());
    for recipient in &report.recipients {
        let mut fields = Writer::new();
        let mut fixed = recipient.recipient.to_le_bytes().to_vec();
        fixed.push(notices_bits(recipient.notices));
        fields.put(1, &fixed);
        if let Some(attempt) = &recipient.attempt {
            fields.put(2, &encode_attempt(attempt));
        }
        out.put(17, &fields.finish());
    }
    out.finish()
}

/// The place of the report before is known only when the report is written.
pub(crate) fn append_before(fields: &mut Vec<u8>, before: Place) {
    let mut out = Writer::new();
    let mut place = before.segment.to_le_bytes().to_vec();
    place.extend(before.offset.to_le_bytes());
    out.put(16, &place);
    fields.extend(out.finish());
}

pub(crate) fn encode_id(id: MessageId) -> Vec<u8> {
    let mut out = Writer::new();
    out.put(1, &id.octets());
    out.finish()
}

fn put_envelope(out: &mut Writer, id: MessageId, envelope: &Envelope, large: Option<LargeBody>) {
    out.put(1, &id.octets());
    out.put_date(2, envelope.received);
    out.put(3, envelope.from.to_string().as_bytes());
    for recipient in &envelope.recipients {
        let mut fields = Writer::new();
        fields.put(1, recipient.to.to_string().as_bytes());
        if let Some(notify) = recipient.notify {
            let bits = Notices { success: notify.success, failure: notify.failure, delay: notify.delay };
            fields.put(2, &[notices_bits(bits)]);
        }
        if let Some(orcpt) = &recipient.orcpt {
            fields.put(3, orcpt.addr_type.as_bytes());
            fields.put(4, orcpt.address.as_bytes());
        }
        out.put(4, &fields.finish());
    }
    if let Some(envid) = &envelope.envid {
        out.put(5, envid.as_bytes());
    }
    match envelope.ret {
        Some(Ret::Full) => out.put(6, &[0]),
        Some(Ret::Hdrs) => out.put(6, &[1]),
        None => {}
    }
    match envelope.body {
        BodyKind::SevenBit => {}
        BodyKind::EightBitMime => out.put(7, &[1]),
        BodyKind::BinaryMime => out.put(7, &[2]),
    }
    let flags = [envelope.smtputf8, envelope.require_tls, envelope.is_own, envelope.is_last, envelope.is_kept];
    let flags = (0..).zip(flags).fold(0, |all, (bit, is_set)| all | u8::from(is_set) << bit);
    if flags != 0 {
        out.put(8, &[flags]);
    }
    if let Some(date) = envelope.hold_until {
        out.put_date(9, date);
    }
    if let Some(by) = envelope.deliver_by {
        let mut fixed = date_octets(by.deadline).to_vec();
        fixed.extend([u8::from(by.mode == ByMode::Return), u8::from(by.trace)]);
        out.put(10, &fixed);
    }
    if envelope.priority != 0 {
        out.put(11, &envelope.priority.to_le_bytes());
    }
    if let Some(large) = large {
        let mut fixed = large.length.to_le_bytes().to_vec();
        fixed.extend(large.check.to_le_bytes());
        out.put(12, &fixed);
    }
}

fn encode_attempt(attempt: &Attempt) -> Vec<u8> {
    let mut out = Writer::new();
    out.put_date(1, attempt.at);
    out.put(2, &[outcome_number(attempt.outcome)]);
    if !attempt.peer.is_empty() {
        out.put(3, cut(&attempt.peer).as_bytes());
    }
    if let Some(code) = attempt.code {
        out.put(4, &code.to_le_bytes());
    }
    if let Some(status) = attempt.status {
        let mut fixed = vec![status.class];
        fixed.extend(status.subject.to_le_bytes());
        fixed.extend(status.detail.to_le_bytes());
        out.put(5, &fixed);
    }
    if !attempt.text.is_empty() {
        out.put(6, cut(&attempt.text).as_bytes());
    }
    out.finish()
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

pub(crate) fn decode_id(fields: &[u8]) -> Result<MessageId, Malformed> {
    match Reader::new(fields).next_field()? {
        Some((1, mut value)) => Ok(MessageId::from_octets(value.octets()?)),
        _ => Err(Malformed("a record begins with the name of its message")),
    }
}

pub(crate) fn decode_message(fields: &[u8]) -> Result<MessageFields, Malformed> {
    let id = decode_id(fields)?;
    let mut envelope = Envelope::new(WallTime::new(0, 0), ReversePath::Null, []);
    let (mut large, mut held, mut states, mut reports, mut last_report) = (None, false, Vec::new(), 0, 0);
    let (mut has_date, mut has_from, mut is_owed, mut tried) = (false, false, false, &[][..]);
    let mut fields = Reader::new(fields);
    while let Some((number, mut value)) = fields.next_field()? {
        match number {
            1 => {}
            2 => (envelope.received, has_date) = (value.date()?, true),
            3 => {
                let (from, rest) =
                    ReversePath::take(value.rest(), true).map_err(|_| Malformed("a path cannot be read"))?;
                all(rest)?;
                (envelope.from, has_from) = (from.into_owned(), true);
            }
            4 => envelope.recipients.push(decode_recipient(value)?),
            5 => envelope.envid = Some(value.text()?),
            6 => envelope.ret = Some(if value.u8()? == 0 { Ret::Full } else { Ret::Hdrs }),
            7 => {
                envelope.body = match value.u8()? {
                    0 => BodyKind::SevenBit,
                    1 => BodyKind::EightBitMime,
                    2 => BodyKind::BinaryMime,
                    _ => return Err(Malformed("an unknown BODY")),
                };
            }
            8 => {
                let flags = value.u8()?;
                (envelope.smtputf8, envelope.require_tls) = (flags & 1 != 0, flags & 2 != 0);
                (envelope.is_own, envelope.is_last) = (flags & 4 != 0, flags & 8 != 0);
                envelope.is_kept = flags & 16 != 0;
                if flags > 31 {
                    return Err(Malformed("an unknown flag"));
                }
            }
            9 => envelope.hold_until = Some(value.date()?),
            10 => {
                let deadline = value.date()?;
                let mode = if value.u8()? == 0 { ByMode::Notify } else { ByMode::Return };
                envelope.deliver_by = Some(DeliverBy { deadline, mode, trace: value.u8()? != 0 });
            }
            11 => envelope.priority = i8::from_le_bytes([value.u8()?]),
            12 => large = Some(LargeBody { length: value.u64()?, check: value.u32()? }),
            13 => held = value.u8()? != 0,
            14 => {
                let (recipient, state) = decode_state(value)?;
                // It stands behind all recipients.
                states.resize(envelope.recipients.len(), RecipientState::default());
                *states.get_mut(recipient).ok_or(Malformed("there is no such recipient"))? = state;
            }
            15 => (reports, last_report) = (value.u32()?, value.i64()?),
            128 => is_owed = value.u8()? != 0,
            129 => tried = value.rest(),
            130.. => {}
            _ => return Err(Malformed("an unknown field")),
        }
    }
    if !has_date || !has_from || envelope.recipients.is_empty() {
        return Err(Malformed("the envelope is not whole"));
    }
    states.resize(envelope.recipients.len(), RecipientState::default());
    for (at, state) in states.iter_mut().enumerate().filter(|(_, state)| is_owed && state.outcome.is_none()) {
        state.is_owed = tried.get(at / 8).is_none_or(|octet| octet >> (at % 8) & 1 == 0);
    }
    Ok(MessageFields { id, envelope, large, held, states, reports, last_report })
}

pub(crate) fn decode_news(fields: &[u8]) -> Result<NewsFields, Malformed> {
    let mut news = NewsFields { id: decode_id(fields)?, before: None, recipients: Vec::new() };
    let mut fields = Reader::new(fields);
    while let Some((number, mut value)) = fields.next_field()? {
        match number {
            1 => {}
            16 => news.before = Some(Place { segment: value.u64()?, offset: value.u64()? }),
            17 => {
                let mut about = RecipientReport { recipient: u32::MAX, attempt: None, notices: Notices::default() };
                while let Some((number, mut value)) = value.next_field()? {
                    match number {
                        1 => (about.recipient, about.notices) = (value.u32()?, notices(value.u8()?)),
                        2 => about.attempt = Some(decode_attempt(value)?),
                        128.. => {}
                        _ => return Err(Malformed("an unknown field")),
                    }
                }
                news.recipients.push(about);
            }
            128.. => {}
            _ => return Err(Malformed("an unknown field")),
        }
    }
    Ok(news)
}

fn decode_recipient(mut fields: Reader<'_>) -> Result<Recipient, Malformed> {
    let (mut to, mut notify, mut addr_type, mut address) = (None, None, None, None);
    while let Some((number, mut value)) = fields.next_field()? {
        match number {
            1 => {
                let (path, rest) =
                    ForwardPath::take(value.rest(), true).map_err(|_| Malformed("a path cannot be read"))?;
                all(rest)?;
                to = Some(path.into_owned());
            }
            2 => {
                let bits = notices(value.u8()?);
                notify = Some(Notify { success: bits.success, failure: bits.failure, delay: bits.delay });
            }
            3 => addr_type = Some(value.text()?),
            4 => address = Some(value.text()?),
            128.. => {}
            _ => return Err(Malformed("an unknown field")),
        }
    }
    let orcpt = addr_type.zip(address).map(|(addr_type, address)| OriginalRecipient { addr_type, address });
    Ok(Recipient { to: to.ok_or(Malformed("a recipient without a path"))?, notify, orcpt })
}

fn decode_state(mut fields: Reader<'_>) -> Result<(usize, RecipientState), Malformed> {
    let mut recipient = usize::MAX;
    let mut state = RecipientState::default();
    while let Some((number, mut value)) = fields.next_field()? {
        match number {
            1 => {
                recipient = usize::try_from(value.u32()?).unwrap_or(usize::MAX);
                let outcome = value.u8()?;
                state.outcome =
                    if outcome == 0 { None } else { Some(self::outcome(outcome)?).filter(|it| it.is_final()) };
                state.notices = notices(value.u8()?);
                state.attempts = value.u32()?;
            }
            2 => state.history.push(decode_attempt(value)?),
            128.. => {}
            _ => return Err(Malformed("an unknown field")),
        }
    }
    Ok((recipient, state))
}

fn decode_attempt(mut fields: Reader<'_>) -> Result<Attempt, Malformed> {
    let mut attempt = Attempt::new(WallTime::new(0, 0), Outcome::Delayed);
    while let Some((number, mut value)) = fields.next_field()? {
        match number {
            1 => attempt.at = value.date()?,
            2 => attempt.outcome = outcome(value.u8()?)?,
            3 => attempt.peer = value.text()?,
            4 => attempt.code = Some(value.u16()?),
            5 => attempt.status = Some(EnhancedCode::new(value.u8()?, value.u16()?, value.u16()?)),
            6 => attempt.text = value.text()?,
            128.. => {}
            _ => return Err(Malformed("an unknown field")),
        }
    }
    Ok(attempt)
}

pub(crate) fn outcome_number(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Delivered => 1,
        Outcome::Relayed => 2,
        Outcome::Expanded => 3,
        Outcome::Failed => 4,
        Outcome::Delayed => 5,
    }
}

pub(crate) fn outcome(number: u8) -> Result<Outcome, Malformed> {
    Ok(match number {
        1 => Outcome::Delivered,
        2 => Outcome::Relayed,
        3 => Outcome::Expanded,
        4 => Outcome::Failed,
        5 => Outcome::Delayed,
        _ => return Err(Malformed("an unknown outcome")),
    })
}

pub(crate) fn notices_bits(notices: Notices) -> u8 {
    u8::from(notices.success) | u8::from(notices.failure) << 1 | u8::from(notices.delay) << 2
}

pub(crate) fn notices(bits: u8) -> Notices {
    Notices { success: bits & 1 != 0, failure: bits & 2 != 0, delay: bits & 4 != 0 }
}

fn all(rest: &[u8]) -> Result<(), Malformed> {
    if rest.is_empty() { Ok(()) } else { Err(Malformed("something follows a path")) }
}
