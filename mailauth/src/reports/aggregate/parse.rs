//! Reading a report from XML.
//!
//! Reports are read as they are written in the world: elements in any order, unknown ones passed over, ends that are missing
//! supplied, words in any case. A document type is passed over unread, and a reference to an entity stands for nothing, so
//! that no few octets can stand for many.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::element::{Node, attribute, kept, language, predefined};
use super::write::NAMESPACE;
use super::{
    ActionDisposition, Dialect, DkimAuthResult, DkimResult, Identifiers, Metadata, Period, PolicyEvaluated,
    PolicyPublished, Reason, Record, Report, SpfAuthResult, SpfResult, SpfScope, Text,
};
use crate::dmarc::{AlignmentMode, Method, OverrideReason, Policy};
use crate::reports::fault::{FaultKind, Faults};

/// What is read of a document at most. Its length is limited when it is [unpacked](crate::reports::unpack).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseLimits {
    /// Records. 100,000; a document with more is refused, as half a report is worse than none.
    pub records_max: usize,
    /// Signatures of a record. 100, as RFC 9990 §3.1.3 advises.
    pub signatures_max: usize,
    /// SPF results of a record. 10.
    pub spf_max: usize,
    /// Reasons of a record, and errors of the report. 20.
    pub reasons_max: usize,
    /// Octets of one text. 4096; what is longer is cut.
    pub text_len_max: usize,
    /// Elements within each other. 64; reports have eight.
    pub depth_max: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        ParseLimits {
            records_max: 100_000,
            signatures_max: 100,
            spf_max: 10,
            reasons_max: 20,
            text_len_max: 4096,
            depth_max: 64,
        }
    }
}

/// A report that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parsed {
    /// The report.
    pub report: Report,
    /// What was wrong with it.
    pub faults: Faults,
}

/// Why a document is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// There is no element `feedback`.
    #[error("not an aggregate report")]
    NotAReport,
    /// The document ends within the report.
    #[error("the report ends early")]
    Truncated,
    /// It is no XML from this octet on.
    #[error("no XML at octet {at}")]
    Syntax {
        /// Counted from 0, in the document as UTF-8.
        at: u64,
    },
    /// An element is missing without which the report says nothing.
    #[error("the report has no {element}")]
    Missing {
        /// Its name.
        element: &'static str,
    },
    /// Elements within each other beyond the limit.
    #[error("too many elements within each other")]
    TooDeep,
    /// More records than the limit.
    #[error("too many records")]
    TooManyRecords,
}

impl Report {
    /// Reads a report from its XML, in either form.
    ///
    /// ```
    /// use pillarbox_auth::reports::aggregate::{ParseLimits, Report};
    ///
    /// let xml = b"<feedback><report_metadata><date_range><begin>0</begin><end>9</end></date_range></report_metadata>
    ///     <policy_published><domain>example.org</domain></policy_published></feedback>";
    /// let parsed = Report::parse(xml, &ParseLimits::default())?;
    /// assert_eq!(parsed.report.policy.domain, "example.org");
    /// assert!(parsed.faults.iter().any(|fault| fault.to_string() == "record is missing"));
    /// # Ok::<(), pillarbox_auth::reports::aggregate::ParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ParseError`] if there is nothing to be had. What is wrong and can be passed over is told in
    /// [`Parsed::faults`].
    pub fn parse(xml: &[u8], limits: &ParseLimits) -> Result<Parsed, ParseError> {
        let mut builder = Builder::new(limits);
        let text = decode(xml, &mut builder.faults);
        builder.read(&text)?;
        builder.finish()
    }
}

/// The document as text. UTF-16 is told by its mark; all else is taken for UTF-8, whatever it says.
fn decode<'x>(xml: &'x [u8], faults: &mut Faults) -> Cow<'x, str> {
    let units = |from: fn([u8; 2]) -> u16| {
        let pairs = xml[2..].chunks_exact(2);
        String::from_utf16_lossy(&pairs.map(|pair| from([pair[0], pair[1]])).collect::<Vec<_>>())
    };
    let text = match xml {
        [0xff, 0xfe, ..] => return Cow::Owned(units(u16::from_le_bytes)),
        [0xfe, 0xff, ..] => return Cow::Owned(units(u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        _ => String::from_utf8_lossy(xml),
    };
    if matches!(text, Cow::Owned(_)) {
        faults.note("feedback", FaultKind::NotUtf8);
    }
    text
}

/// An element that was begun and not ended.
struct Open {
    node: Node,
    name: String,
}

struct Builder<'l> {
    limits: &'l ParseLimits,
    faults: Faults,
    open: Vec<Open>,
    /// The prefix of the report's elements, with its colon; those with another one are extensions.
    prefix: Option<String>,
    is_rfc9990: bool,
    is_done: bool,
    has_records: bool,
    /// The text of the leaf that is open, and the tag of its language.
    text: String,
    lang: Option<String>,
    org_name: Option<String>,
    email: Option<String>,
    report_id: Option<String>,
    begin: Option<u64>,
    end: Option<u64>,
    domain: Option<String>,
    metadata: Metadata,
    policy: PolicyPublished,
    records: Vec<Record>,
    record: RecordDraft,
}

/// A record whose end has not come.
#[derive(Default)]
struct RecordDraft {
    source_ip: Option<IpAddr>,
    count: Option<u64>,
    evaluated: PolicyEvaluated,
    header_from: Option<String>,
    envelope_from: Option<String>,
    envelope_to: Option<String>,
    dkim: Vec<DkimAuthResult>,
    spf: Vec<SpfAuthResult>,
    reason_kind: Option<OverrideReason>,
    reason_comment: Option<Text>,
    result_domain: Option<String>,
    dkim_draft: DkimAuthResult,
    spf_draft: SpfAuthResult,
}

impl<'l> Builder<'l> {
    fn new(limits: &'l ParseLimits) -> Self {
        Builder {
            limits,
            faults: Faults::default(),
            open: Vec::new(),
            prefix: None,
            is_rfc9990: false,
            is_done: false,
            has_records: false,
            text: String::new(),
            lang: None,
            org_name: None,
            email: None,
            report_id: None,
            begin: None,
            end: None,
            domain: None,
            metadata: Metadata::default(),
            policy: PolicyPublished::default(),
            records: Vec::new(),
            record: RecordDraft::default(),
        }
    }

    fn read(&mut self, text: &str) -> Result<(), ParseError> {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        while !self.is_done {
            match reader.read_event() {
                Ok(Event::Start(start)) => self.enter(&start)?,
                Ok(Event::Empty(start)) => {
                    self.enter(&start)?;
                    self.leave()?;
                }
                Ok(Event::End(end)) => self.end(end.name().as_ref())?,
                Ok(Event::Text(text)) => self.append(&text.into_inner()),
                Ok(Event::CData(text)) => self.append(&text.into_inner()),
                Ok(Event::GeneralRef(reference)) => {
                    let c = match reference.resolve_char_ref() {
                        Ok(Some(c)) => Some(c),
                        Ok(None) => predefined(&reference.into_inner()),
                        Err(_) => None,
                    };
                    match c {
                        Some(c) => self.append(c.encode_utf8(&mut [0; 4])),
                        None => self.faults.note(self.place(), FaultKind::Entity),
                    }
                }
                // A document type may define entities; nobody here knows them.
                Ok(Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_)) => {}
                Ok(Event::Eof) => {
                    let is_inside = self.open.iter().any(|open| open.node == Node::Feedback);
                    return Err(if is_inside { ParseError::Truncated } else { ParseError::NotAReport });
                }
                Err(_) => return Err(ParseError::Syntax { at: reader.error_position() }),
            }
        }
        Ok(())
    }

    fn node(&self) -> Node {
        self.open.last().map_or(Node::Outside, |open| open.node)
    }

    /// What faults are told of.
    fn place(&self) -> &'static str {
        match self.node() {
            Node::Leaf(name) => name,
            _ => "feedback",
        }
    }

    fn enter(&mut self, start: &BytesStart<'_>) -> Result<(), ParseError> {
        if self.open.len() >= self.limits.depth_max {
            return Err(ParseError::TooDeep);
        }
        let name = start.name();
        let name: &str = name.as_ref();
        let (prefix, local) = name.rsplit_once(':').map_or(("", name), |(prefix, local)| (prefix, local));
        let parent = self.node();
        let is_ours = prefix.is_empty() || self.prefix.as_deref().is_none_or(|ours| ours == prefix);
        let node = if is_ours { parent.child(local) } else { Node::Unknown };
        match node {
            Node::Feedback => {
                self.prefix = Some(prefix.into());
                self.is_rfc9990 = attribute(start, |name| name == "xmlns" || name.starts_with("xmlns:"), NAMESPACE);
            }
            Node::Leaf(_) => {
                self.text.clear();
                self.lang = language(start);
            }
            Node::Record => {
                self.has_records = true;
                self.record = RecordDraft::default();
            }
            Node::Reason => (self.record.reason_kind, self.record.reason_comment) = (None, None),
            Node::Dkim | Node::Spf => {
                self.record.result_domain = None;
                self.record.dkim_draft = DkimAuthResult::default();
                self.record.spf_draft = SpfAuthResult::default();
            }
            _ => {}
        }
        self.open.push(Open { node, name: kept(name).into() });
        Ok(())
    }

    /// An end tag: elements within that were not ended end with it.
    fn end(&mut self, name: &str) -> Result<(), ParseError> {
        let Some(at) = self.open.iter().rposition(|open| open.name == kept(name)) else {
            self.faults.note(self.place(), FaultKind::Unbalanced);
            return Ok(());
        };
        if at + 1 < self.open.len() {
            self.faults.note(self.place(), FaultKind::Unbalanced);
        }
        while self.open.len() > at {
            self.leave()?;
        }
        Ok(())
    }

    fn append(&mut self, text: &str) {
        let Node::Leaf(name) = self.node() else { return };
        let room = self.limits.text_len_max.saturating_sub(self.text.len());
        let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(&text[..end]);
        if end < text.len() {
            self.faults.note(name, FaultKind::TooLong);
        }
    }

    fn leave(&mut self) -> Result<(), ParseError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let limits = self.limits;
        match open.node {
            Node::Feedback => self.is_done = true,
            Node::Record => self.end_record()?,
            Node::Reason => {
                let draft = &mut self.record;
                let reason = Reason { kind: draft.reason_kind.take(), comment: draft.reason_comment.take() };
                // Some write the element always, and nothing into it.
                if reason.kind.is_some() || reason.comment.as_ref().is_some_and(|comment| !comment.text.is_empty()) {
                    push(&mut self.faults, "reason", &mut draft.evaluated.reasons, reason, limits.reasons_max);
                }
            }
            Node::Dkim => {
                let draft = &mut self.record;
                let mut result = core::mem::take(&mut draft.dkim_draft);
                result.domain = draft.result_domain.take().unwrap_or_default();
                if result == DkimAuthResult::default() {
                    self.faults.note("dkim", FaultKind::Missing);
                } else {
                    push(&mut self.faults, "dkim", &mut draft.dkim, result, limits.signatures_max);
                }
            }
            Node::Spf => {
                let draft = &mut self.record;
                let mut result = core::mem::take(&mut draft.spf_draft);
                result.domain = draft.result_domain.take().unwrap_or_default();
                if result == SpfAuthResult::default() {
                    self.faults.note("spf", FaultKind::Missing);
                } else {
                    push(&mut self.faults, "spf", &mut draft.spf, result, limits.spf_max);
                }
            }
            Node::Leaf(name) => self.set(name),
            _ => {}
        }
        Ok(())
    }

    /// A leaf ended, and its parent is on top.
    fn set(&mut self, name: &'static str) {
        let text = core::mem::take(&mut self.text);
        let lang = self.lang.take();
        let value = text.trim();
        let parent = self.node();
        let Builder { faults, metadata, policy, record, .. } = self;
        let owned = || Some(value.to_string());
        let spoken = || Some(Text { text: value.to_string(), lang: lang.clone() });
        match (parent, name) {
            (Node::Metadata, "org_name") => once(faults, name, &mut self.org_name, owned()),
            (Node::Metadata, "email") => once(faults, name, &mut self.email, owned()),
            (Node::Metadata, "extra_contact_info") if value.is_empty() => {}
            (Node::Metadata, "extra_contact_info") => once(faults, name, &mut metadata.extra_contact_info, spoken()),
            (Node::Metadata, "report_id") => once(faults, name, &mut self.report_id, owned()),
            (Node::Metadata, "error") if value.is_empty() => {}
            (Node::Metadata, "error") => {
                let error = Text { text: value.to_string(), lang };
                push(faults, name, &mut metadata.errors, error, self.limits.reasons_max);
            }
            (Node::Metadata, "generator") => once(faults, name, &mut metadata.generator, owned()),
            (Node::DateRange, "begin") => once(faults, name, &mut self.begin, value.parse().ok()),
            (Node::DateRange, "end") => once(faults, name, &mut self.end, value.parse().ok()),
            (Node::Policy, "domain") => once(faults, name, &mut self.domain, owned().filter(|text| !text.is_empty())),
            (Node::Policy, "discovery_method") => {
                once(faults, name, &mut policy.discovery, Method::from_word(value));
            }
            (Node::Policy, "p") => once(faults, name, &mut policy.p, Policy::from_word(value)),
            // The defaults of these are often written as nothing.
            (Node::Policy, "sp") if value.is_empty() => {}
            (Node::Policy, "sp") => once(faults, name, &mut policy.sp, Policy::from_word(value)),
            (Node::Policy, "np") if value.is_empty() => {}
            (Node::Policy, "np") => once(faults, name, &mut policy.np, Policy::from_word(value)),
            (Node::Policy, "fo") => once(faults, name, &mut policy.fo, owned()),
            (Node::Policy, "adkim") => once(faults, name, &mut policy.adkim, parse_alignment(value)),
            (Node::Policy, "aspf") => once(faults, name, &mut policy.aspf, parse_alignment(value)),
            (Node::Policy, "testing") => {
                let testing = match value {
                    "y" | "Y" => Some(true),
                    "n" | "N" => Some(false),
                    _ => None,
                };
                once(faults, name, &mut policy.testing, testing);
            }
            (Node::Policy, "pct") => {
                once(faults, name, &mut policy.pct, value.parse().ok().filter(|pct| *pct <= 100));
            }
            (Node::Row, "source_ip") => once(faults, name, &mut record.source_ip, value.parse().ok()),
            (Node::Row, "count") => once(faults, name, &mut record.count, value.parse().ok()),
            (Node::Evaluated, "disposition") => {
                once(faults, name, &mut record.evaluated.disposition, ActionDisposition::from_word(value));
            }
            (Node::Evaluated, "dkim") => {
                once(faults, name, &mut record.evaluated.dkim_aligned, parse_pass_or_fail(value));
            }
            (Node::Evaluated, "spf") => {
                once(faults, name, &mut record.evaluated.spf_aligned, parse_pass_or_fail(value));
            }
            (Node::Reason, "type") if value.is_empty() => faults.note("type", FaultKind::Missing),
            (Node::Reason, "type") => once(faults, name, &mut record.reason_kind, OverrideReason::from_word(value)),
            (Node::Reason, "comment") => once(faults, name, &mut record.reason_comment, spoken()),
            (Node::Identifiers, "header_from") => once(faults, name, &mut record.header_from, owned()),
            (Node::Identifiers, "envelope_from") => once(faults, name, &mut record.envelope_from, owned()),
            (Node::Identifiers, "envelope_to") => once(faults, name, &mut record.envelope_to, owned()),
            (Node::Dkim | Node::Spf, "domain") => once(faults, name, &mut record.result_domain, owned()),
            (Node::Dkim, "selector") => once(faults, name, &mut record.dkim_draft.selector, owned()),
            (Node::Dkim, "result") => {
                once(faults, name, &mut record.dkim_draft.result, DkimResult::from_word(value));
            }
            (Node::Dkim, "human_result") => once(faults, name, &mut record.dkim_draft.human_result, spoken()),
            (Node::Spf, "scope") => once(faults, name, &mut record.spf_draft.scope, SpfScope::from_word(value)),
            (Node::Spf, "result") => once(faults, name, &mut record.spf_draft.result, SpfResult::from_word(value)),
            (Node::Spf, "human_result") => once(faults, name, &mut record.spf_draft.human_result, spoken()),
            _ => {}
        }
    }

    fn end_record(&mut self) -> Result<(), ParseError> {
        let draft = core::mem::take(&mut self.record);
        // A record without these says nothing of anybody.
        let (Some(source_ip), Some(count)) = (draft.source_ip, draft.count) else {
            self.faults.note("record", FaultKind::Unreadable);
            return Ok(());
        };
        if self.records.len() >= self.limits.records_max {
            return Err(ParseError::TooManyRecords);
        }
        for (place, is_missing) in
            [("disposition", draft.evaluated.disposition.is_none()), ("header_from", draft.header_from.is_none())]
        {
            if is_missing {
                self.faults.note(place, FaultKind::Missing);
            }
        }
        let identifiers = Identifiers {
            header_from: draft.header_from.unwrap_or_default(),
            envelope_from: draft.envelope_from,
            envelope_to: draft.envelope_to,
        };
        let record =
            Record { dkim: draft.dkim, spf: draft.spf, ..Record::new(source_ip, count, draft.evaluated, identifiers) };
        self.records.push(record);
        Ok(())
    }

    fn finish(self) -> Result<Parsed, ParseError> {
        let Builder { mut faults, mut metadata, mut policy, records, .. } = self;
        policy.domain = self.domain.ok_or(ParseError::Missing { element: "policy_published/domain" })?;
        let (Some(begin), Some(end)) = (self.begin, self.end) else {
            return Err(ParseError::Missing { element: "date_range" });
        };
        metadata.period = Period { begin, end };
        for (place, is_missing) in [
            ("org_name", self.org_name.as_deref().is_none_or(str::is_empty)),
            ("email", self.email.as_deref().is_none_or(str::is_empty)),
            ("report_id", self.report_id.as_deref().is_none_or(str::is_empty)),
            ("p", policy.p.is_none()),
            ("record", !self.has_records),
        ] {
            if is_missing {
                faults.note(place, FaultKind::Missing);
            }
        }
        if end < begin {
            faults.note("date_range", FaultKind::Unreadable);
        }
        metadata.org_name = self.org_name.unwrap_or_default();
        metadata.email = self.email.unwrap_or_default();
        metadata.report_id = self.report_id.unwrap_or_default();
        // Not everybody who writes the elements that came with RFC 9990 names its namespace.
        let has_new_elements = policy.discovery.is_some() || policy.testing.is_some() || metadata.generator.is_some();
        let dialect = if self.is_rfc9990 || has_new_elements { Dialect::Rfc9990 } else { Dialect::Rfc7489 };
        Ok(Parsed { report: Report { dialect, metadata, policy, records }, faults })
    }
}

fn parse_pass_or_fail(value: &str) -> Option<bool> {
    let is_pass = value.eq_ignore_ascii_case("pass");
    (is_pass || value.eq_ignore_ascii_case("fail")).then_some(is_pass)
}

/// Some spell the modes out.
fn parse_alignment(value: &str) -> Option<AlignmentMode> {
    match value {
        _ if value.eq_ignore_ascii_case("relaxed") => Some(AlignmentMode::Relaxed),
        _ if value.eq_ignore_ascii_case("strict") => Some(AlignmentMode::Strict),
        value => AlignmentMode::from_word(value),
    }
}

/// An element that may stand once.
fn once<T>(faults: &mut Faults, place: &'static str, target: &mut Option<T>, value: Option<T>) {
    match value {
        None => faults.note(place, FaultKind::Unreadable),
        Some(_) if target.is_some() => faults.note(place, FaultKind::Repeated),
        Some(value) => *target = Some(value),
    }
}

/// An element that may stand many times.
fn push<T>(faults: &mut Faults, place: &'static str, target: &mut Vec<T>, value: T, max: usize) {
    if target.len() >= max {
        faults.note(place, FaultKind::TooMany);
    } else {
        target.push(value);
    }
}
