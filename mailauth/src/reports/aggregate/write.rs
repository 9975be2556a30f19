//! Writing a report as XML (RFC 9990 appendix A, RFC 7489 appendix C).

use alloc::string::{String, ToString};
use core::fmt::Display;

use super::{
    ActionDisposition, Dialect, DkimAuthResult, Metadata, PolicyPublished, Record, Report, SpfAuthResult, SpfScope,
    Text,
};
use crate::dmarc::OverrideReason;

/// RFC 9990 §6.1
pub(super) const NAMESPACE: &str = "urn:ietf:params:xml:ns:dmarc-2.0";

impl Report {
    /// The report as an XML document, in its [dialect](Report::dialect). What is `None` is left out, so that nothing is
    /// said that nobody said; words that the dialect does not have are written as the nearest one that it has.
    pub fn to_xml(&self) -> String {
        let mut xml = Xml::new(self.dialect);
        let attribute = match self.dialect {
            Dialect::Rfc9990 => Some(("xmlns", NAMESPACE)),
            Dialect::Rfc7489 => None,
        };
        xml.element("feedback", attribute, |xml| {
            xml.leaf("version", "1.0");
            xml.element("report_metadata", None, |xml| write_metadata(xml, &self.metadata));
            xml.element("policy_published", None, |xml| write_policy(xml, &self.policy));
            for record in &self.records {
                xml.element("record", None, |xml| write_record(xml, record));
            }
        });
        xml.out
    }
}

fn write_metadata(xml: &mut Xml, metadata: &Metadata) {
    xml.leaf("org_name", &metadata.org_name);
    xml.leaf("email", &metadata.email);
    xml.optional_text("extra_contact_info", metadata.extra_contact_info.as_ref());
    xml.leaf("report_id", &metadata.report_id);
    xml.element("date_range", None, |xml| {
        xml.leaf("begin", metadata.period.begin);
        xml.leaf("end", metadata.period.end);
    });
    match (xml.dialect, &metadata.errors[..]) {
        (Dialect::Rfc7489, errors) => errors.iter().for_each(|error| xml.text("error", error)),
        (Dialect::Rfc9990, []) => {}
        (Dialect::Rfc9990, [error]) => xml.text("error", error),
        (Dialect::Rfc9990, [first, rest @ ..]) => {
            let joined = rest.iter().fold(first.text.clone(), |joined, error| joined + "; " + &error.text);
            xml.text("error", &Text { text: joined, lang: first.lang.clone() });
        }
    }
    if xml.dialect == Dialect::Rfc9990 {
        xml.optional("generator", metadata.generator.as_ref());
    }
}

fn write_policy(xml: &mut Xml, policy: &PolicyPublished) {
    xml.leaf("domain", &policy.domain);
    xml.optional("adkim", policy.adkim);
    xml.optional("aspf", policy.aspf);
    xml.optional("p", policy.p);
    xml.optional("sp", policy.sp);
    match xml.dialect {
        Dialect::Rfc9990 => {
            xml.optional("np", policy.np);
            xml.optional("fo", policy.fo.as_ref());
            xml.optional("testing", policy.testing.map(|testing| if testing { "y" } else { "n" }));
            xml.optional("discovery_method", policy.discovery);
        }
        Dialect::Rfc7489 => {
            xml.optional("pct", policy.pct);
            xml.optional("fo", policy.fo.as_ref());
        }
    }
}

fn write_record(xml: &mut Xml, record: &Record) {
    let dialect = xml.dialect;
    xml.element("row", None, |xml| {
        xml.leaf("source_ip", record.source_ip);
        xml.leaf("count", record.count);
        xml.element("policy_evaluated", None, |xml| {
            let evaluated = &record.evaluated;
            xml.optional(
                "disposition",
                evaluated.disposition.map(|disposition| match (dialect, disposition) {
                    (Dialect::Rfc7489, ActionDisposition::Pass) => ActionDisposition::None,
                    (_, disposition) => disposition,
                }),
            );
            xml.optional("dkim", evaluated.dkim_aligned.map(pass_or_fail));
            xml.optional("spf", evaluated.spf_aligned.map(pass_or_fail));
            for reason in &evaluated.reasons {
                xml.element("reason", None, |xml| {
                    xml.optional("type", reason.kind.map(|kind| in_dialect(dialect, kind)));
                    xml.optional_text("comment", reason.comment.as_ref());
                });
            }
        });
    });
    xml.element("identifiers", None, |xml| {
        let identifiers = &record.identifiers;
        xml.optional("envelope_to", identifiers.envelope_to.as_ref());
        match (dialect, &identifiers.envelope_from) {
            (Dialect::Rfc7489, None) => xml.leaf("envelope_from", ""),
            (_, envelope_from) => xml.optional("envelope_from", envelope_from.as_ref()),
        }
        xml.leaf("header_from", &identifiers.header_from);
    });
    xml.element("auth_results", None, |xml| {
        for result in &record.dkim {
            xml.element("dkim", None, |xml| write_dkim(xml, result));
        }
        match dialect {
            Dialect::Rfc7489 => {
                record.spf.iter().for_each(|result| xml.element("spf", None, |xml| write_spf(xml, result)));
            }
            // RFC 9990 §3.1.1.13: DMARC uses MAIL FROM alone.
            Dialect::Rfc9990 => {
                if let Some(result) = record.spf.iter().find(|result| result.scope != Some(SpfScope::Helo)) {
                    xml.element("spf", None, |xml| write_spf(xml, result));
                }
            }
        }
    });
}

fn write_dkim(xml: &mut Xml, result: &DkimAuthResult) {
    xml.leaf("domain", &result.domain);
    xml.optional("selector", result.selector.as_ref());
    xml.optional("result", result.result);
    xml.optional_text("human_result", result.human_result.as_ref());
}

fn write_spf(xml: &mut Xml, result: &SpfAuthResult) {
    xml.leaf("domain", &result.domain);
    xml.optional("scope", result.scope);
    xml.optional("result", result.result);
    if xml.dialect == Dialect::Rfc9990 {
        xml.optional_text("human_result", result.human_result.as_ref());
    }
}

const fn pass_or_fail(is_aligned: bool) -> &'static str {
    if is_aligned { "pass" } else { "fail" }
}

const fn in_dialect(dialect: Dialect, kind: OverrideReason) -> OverrideReason {
    match (dialect, kind) {
        (Dialect::Rfc9990, OverrideReason::Forwarded | OverrideReason::SampledOut)
        | (Dialect::Rfc7489, OverrideReason::PolicyTestMode) => OverrideReason::Other,
        (_, kind) => kind,
    }
}

/// A document that is being written.
struct Xml {
    dialect: Dialect,
    out: String,
    depth: usize,
}

impl Xml {
    fn new(dialect: Dialect) -> Self {
        Xml { dialect, out: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), depth: 0 }
    }

    fn indent(&mut self) {
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
    }

    fn element(&mut self, name: &str, attribute: Option<(&str, &str)>, content: impl FnOnce(&mut Self)) {
        self.indent();
        self.open(name, attribute);
        self.out.push('\n');
        self.depth += 1;
        content(self);
        self.depth -= 1;
        self.indent();
        self.close(name);
    }

    fn leaf(&mut self, name: &str, content: impl Display) {
        self.indent();
        self.open(name, None);
        escape(&content.to_string(), &mut self.out);
        self.close(name);
    }

    fn optional(&mut self, name: &str, content: Option<impl Display>) {
        if let Some(content) = content {
            self.leaf(name, content);
        }
    }

    fn text(&mut self, name: &str, text: &Text) {
        self.indent();
        // RFC 7489 has no attributes.
        let lang = text.lang.as_deref().filter(|_| self.dialect == Dialect::Rfc9990);
        self.open(name, lang.map(|lang| ("lang", lang)));
        escape(&text.text, &mut self.out);
        self.close(name);
    }

    fn optional_text(&mut self, name: &str, text: Option<&Text>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn open(&mut self, name: &str, attribute: Option<(&str, &str)>) {
        self.out.push('<');
        self.out.push_str(name);
        if let Some((attribute, value)) = attribute {
            self.out.push(' ');
            self.out.push_str(attribute);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        self.out.push('>');
    }

    fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }
}

/// Text that stays text: what means something in XML is written as a reference, what XML 1.0 cannot hold at all (§2.2) as
/// a replacement character.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // Readers change these otherwise: line ends into LF, and white space in attributes into spaces.
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}
