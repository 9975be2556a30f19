//! TXT records that begin with a version, and whose fields stand between semicolons: MTA-STS (RFC 8461 §3.1) and TLS-RPT
//! (RFC 8460 §3). Unlike the tag lists of DKIM, a name may stand twice, and then the first counts.

use alloc::vec::Vec;

use pillarbox_core::dns::{DnsAnswer, DnsOutcome, DnsStep, Name, Question, QuestionId, Record, RecordKind};

/// Octets of a record that are looked at. Those in use have less than 200.
const RECORD_MAX: usize = 4096;

/// A field that is no `name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedField;

/// A name and its value.
pub(crate) type Field<'a> = (&'a [u8], &'a [u8]);

/// Whether a record is of this version, as `v=STSv1`: others that stand at the same name are not looked at.
pub(crate) fn is_version(record: &[u8], version: &str) -> bool {
    fields_behind(record, version).is_some()
}

/// The fields behind the version, from left to right; `None` if the record is of another version or has no field.
pub(crate) fn fields<'a>(
    record: &'a [u8],
    version: &str,
) -> Option<impl Iterator<Item = Result<Field<'a>, MalformedField>>> {
    let fields = fields_behind(record, version)?;
    // One semicolon may stand at the end.
    let fields = fields.strip_suffix(b";").unwrap_or(fields);
    Some(fields.split(|octet| *octet == b';').map(|field| {
        let field = trim(field);
        let equals = memchr::memchr(b'=', field).ok_or(MalformedField)?;
        let (name, value) = (&field[..equals], &field[equals + 1..]);
        // RFC 8461 §3.1, RFC 8460 §3: the names of extensions, which those of the known fields follow too.
        let is_name = name.first().is_some_and(u8::is_ascii_alphanumeric)
            && name.len() <= 32
            && name.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.'));
        let is_value = !value.is_empty() && value.iter().all(|octet| matches!(octet, b' ' | b'\t' | 0x21..=0x7e));
        if is_name && is_value { Ok((name, value)) } else { Err(MalformedField) }
    }))
}

fn fields_behind<'a>(record: &'a [u8], version: &str) -> Option<&'a [u8]> {
    let rest = record.strip_prefix(version.as_bytes())?;
    Some(trim(trim(rest).strip_prefix(b";")?))
}

/// Octets without spaces and tabs at their ends.
pub(crate) fn trim(octets: &[u8]) -> &[u8] {
    let is_space = |octet: &u8| matches!(octet, b' ' | b'\t');
    let start = octets.iter().position(|octet| !is_space(octet)).unwrap_or(octets.len());
    let end = octets.iter().rposition(|octet| !is_space(octet)).map_or(start, |last| last + 1);
    &octets[start..end]
}

/// What records of a version are at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    /// None: there is no policy.
    None,
    /// Just one.
    One(Vec<u8>),
    /// More than one: there is no policy either, as nobody can say which it is.
    Several,
    /// Nobody knows.
    TryLater,
}

impl Records {
    pub(crate) fn of(answer: &DnsAnswer, version: &str) -> Self {
        match answer.outcome {
            DnsOutcome::Found(_) => {}
            DnsOutcome::NoData | DnsOutcome::NoSuchName => return Records::None,
            _ => return Records::TryLater,
        }
        let texts = answer.records().filter_map(Record::text).filter(|text| text.len() <= RECORD_MAX);
        let mut records = texts.filter(|text| is_version(text, version));
        match (records.next(), records.next()) {
            (None, _) => Records::None,
            (Some(record), None) => Records::One(record.to_vec()),
            (Some(_), Some(_)) => Records::Several,
        }
    }
}

/// One question for the text at a name.
#[derive(Clone, Debug)]
pub(crate) enum TextLookup {
    Ask(Name),
    Wait,
    Answered(DnsAnswer),
    Finished,
}

impl TextLookup {
    /// A look-up below a label of a domain; a name that would be too long does not exist.
    pub(crate) fn below(labels: &str, domain: &Name) -> Self {
        match domain.with_prefix(labels) {
            Ok(name) => TextLookup::Ask(name),
            Err(_) => TextLookup::Answered(DnsAnswer::no_such_name()),
        }
    }

    pub(crate) fn poll(&mut self) -> DnsStep<DnsAnswer> {
        match core::mem::replace(self, TextLookup::Finished) {
            TextLookup::Ask(name) => {
                *self = TextLookup::Wait;
                DnsStep::Ask(Question::new(QuestionId(0), name, RecordKind::Txt))
            }
            TextLookup::Wait => {
                *self = TextLookup::Wait;
                DnsStep::Wait
            }
            TextLookup::Answered(answer) => DnsStep::Done(answer),
            TextLookup::Finished => DnsStep::Wait,
        }
    }

    pub(crate) fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        if matches!(self, TextLookup::Wait) && id == QuestionId(0) {
            *self = TextLookup::Answered(answer);
        }
    }

    pub(crate) fn give_up(&mut self) {
        if matches!(self, TextLookup::Ask(_) | TextLookup::Wait) {
            *self = TextLookup::Answered(DnsAnswer::try_later());
        }
    }
}
