//! The elements of a report: which stand in which, and what their tags say.

use alloc::string::String;

use quick_xml::events::BytesStart;

/// Where in a report the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Around the report: some put it into another element.
    Outside,
    Feedback,
    Metadata,
    DateRange,
    Policy,
    Record,
    Row,
    Evaluated,
    Reason,
    Identifiers,
    AuthResults,
    Dkim,
    Spf,
    /// An element that holds text.
    Leaf(&'static str),
    /// An element that is not known, with all that is in it.
    Unknown,
}

impl Node {
    /// The element of this name within.
    pub(super) fn child(self, name: &str) -> Node {
        let leaf = |names: &'static [&'static str]| {
            names.iter().find(|leaf| **leaf == name).map_or(Node::Unknown, |leaf| Node::Leaf(leaf))
        };
        match (self, name) {
            (Node::Outside, "feedback") => Node::Feedback,
            (Node::Outside, _) => Node::Outside,
            (Node::Feedback, "report_metadata") => Node::Metadata,
            (Node::Feedback, "policy_published") => Node::Policy,
            (Node::Feedback, "record") => Node::Record,
            (Node::Metadata, "date_range") => Node::DateRange,
            (Node::Metadata, _) => {
                leaf(&["org_name", "email", "extra_contact_info", "report_id", "error", "generator"])
            }
            (Node::DateRange, _) => leaf(&["begin", "end"]),
            (Node::Policy, _) => {
                leaf(&["domain", "discovery_method", "p", "sp", "np", "fo", "adkim", "aspf", "testing", "pct"])
            }
            (Node::Record, "row") => Node::Row,
            (Node::Record, "identifiers") => Node::Identifiers,
            (Node::Record, "auth_results") => Node::AuthResults,
            (Node::Row, "policy_evaluated") => Node::Evaluated,
            (Node::Row, _) => leaf(&["source_ip", "count"]),
            (Node::Evaluated, "reason") => Node::Reason,
            (Node::Evaluated, _) => leaf(&["disposition", "dkim", "spf"]),
            (Node::Reason, _) => leaf(&["type", "comment"]),
            (Node::Identifiers, _) => leaf(&["header_from", "envelope_from", "envelope_to"]),
            (Node::AuthResults, "dkim") => Node::Dkim,
            (Node::AuthResults, "spf") => Node::Spf,
            (Node::Dkim, _) => leaf(&["domain", "selector", "result", "human_result"]),
            (Node::Spf, _) => leaf(&["domain", "scope", "result", "human_result"]),
            _ => Node::Unknown,
        }
    }
}

/// What is kept of the name of an element to find its end by: no element of a report has a longer one.
pub(super) fn kept(name: &str) -> &str {
    let end = (0..=name.len().min(64)).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    &name[..end]
}

/// The five entities that XML itself defines.
pub(super) fn predefined(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// No element of a report has more attributes that mean something.
const ATTRIBUTES_MAX: usize = 16;

/// Whether an attribute whose name fits has this value.
pub(super) fn attribute(start: &BytesStart<'_>, fits: impl Fn(&str) -> bool, value: &str) -> bool {
    let mut attributes = start.attributes();
    let attributes = attributes.with_checks(false).take(ATTRIBUTES_MAX).flatten();
    attributes.into_iter().any(|attribute| fits(attribute.key.as_ref()) && &*attribute.value == value)
}

/// The tag of a language (RFC 5646 §2.1, by its characters alone).
pub(super) fn language(start: &BytesStart<'_>) -> Option<String> {
    let mut attributes = start.attributes();
    let mut attributes = attributes.with_checks(false).take(ATTRIBUTES_MAX).flatten();
    let lang = attributes.find(|attribute| matches!(attribute.key.as_ref(), "lang" | "xml:lang"))?.value;
    let is_tag =
        (1..=35).contains(&lang.len()) && lang.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    is_tag.then(|| lang.into_owned())
}
