//! What a response says, in our words.

use hickory_resolver::proto::op::{DnsResponse, ResponseCode};
use hickory_resolver::proto::rr::{Name as WireName, RData, RecordType};
use pillarbox_core::dns::{Name, Record, RecordKind, RecordSet};

use super::StubLimits;

/// What a response says of a question.
#[derive(Debug)]
pub(super) enum Reading {
    /// Records.
    Found(RecordSet),
    /// The name exists without such a record; the seconds that this may be kept.
    NoData(u32),
    /// The name does not exist.
    NoSuchName(u32),
    /// An alias, whose target the response does not tell.
    Alias(Name),
}

/// Reads a response. `aliases_left` and `ttl` go down with each alias on the way. `None`: nothing that can be used.
pub(super) fn read(
    response: &DnsResponse,
    name: &Name,
    kind: RecordKind,
    aliases_left: &mut u32,
    ttl: &mut u32,
    limits: &StubLimits,
) -> Option<Reading> {
    let mut owner = name.clone();
    loop {
        let wire_owner = to_hickory(&owner)?;
        // Names on the wire compare without case.
        let here = || response.answers.iter().filter(|record| record.name == wire_owner);
        let mut records = Vec::new();
        let (mut count, mut text_size) = (0, 0);
        for record in here().filter(|record| record.record_type() == record_type(kind)) {
            count += 1;
            if count > limits.records_max {
                return None;
            }
            *ttl = record.ttl.min(*ttl);
            // Somebody's slip in one record of several must not cost the domain its mail.
            let Some(data) = from_hickory(&record.data) else { continue };
            if let Record::Txt(text) = &data {
                text_size += text.len();
            }
            if text_size > limits.text_size_max {
                return None;
            }
            records.push(data);
        }
        if !records.is_empty() {
            return Some(Reading::Found(RecordSet::new(owner, *ttl, records)));
        }
        if count > 0 {
            // There are records, so this is no absence, from which something else would follow (RFC 5321 §5.1).
            return None;
        }
        let alias = here().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((record.ttl, from_wire_name(&target.0))),
            _ => None,
        });
        match alias {
            Some((alias_ttl, target)) => {
                *aliases_left = aliases_left.checked_sub(1)?;
                *ttl = alias_ttl.min(*ttl);
                owner = target?;
            }
            None => {
                let keep = response.negative_ttl().map(|negative| negative.min(*ttl).min(limits.negative_ttl_max));
                return match response.metadata.response_code {
                    ResponseCode::NXDomain => Some(Reading::NoSuchName(keep.unwrap_or(0))),
                    // The chain ends where the server stopped, and not where the names do.
                    ResponseCode::NoError if owner != *name && keep.is_none() => Some(Reading::Alias(owner)),
                    ResponseCode::NoError => Some(Reading::NoData(keep.unwrap_or(0))),
                    _ => None,
                };
            }
        }
    }
}

pub(super) const fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Mx => RecordType::MX,
        RecordKind::Txt => RecordType::TXT,
        RecordKind::Ptr => RecordType::PTR,
        RecordKind::Cname => RecordType::CNAME,
        RecordKind::Tlsa => RecordType::TLSA,
        // A kind that is not known here has no answer.
        _ => RecordType::ZERO,
    }
}

pub(super) fn to_hickory(name: &Name) -> Option<WireName> {
    let mut wire = WireName::from_labels(name.labels().map(str::as_bytes)).ok()?;
    wire.set_fqdn(true);
    Some(wire)
}

/// A name out of an answer, if it is one that could be asked for.
fn from_wire_name(wire: &WireName) -> Option<Name> {
    if wire.is_root() {
        return Some(Name::root());
    }
    let mut text = String::new();
    for label in wire.iter() {
        // A dot within a label is not the dot between two.
        let label = std::str::from_utf8(label).ok().filter(|label| !label.contains('.'))?;
        text.push_str(label);
        text.push('.');
    }
    Name::parse(&text).ok()
}

/// `None`: it leads to a name that cannot be asked for.
fn from_hickory(data: &RData) -> Option<Record> {
    Some(match data {
        RData::A(ip) => Record::A(ip.0),
        RData::AAAA(ip) => Record::Aaaa(ip.0),
        RData::MX(mx) => Record::mx(mx.preference, from_wire_name(&mx.exchange)?),
        RData::TXT(text) => Record::Txt(text.txt_data.concat()),
        RData::PTR(name) => Record::Ptr(from_wire_name(&name.0)?),
        RData::CNAME(name) => Record::Cname(from_wire_name(&name.0)?),
        RData::TLSA(tlsa) => Record::Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        },
        _ => return None,
    })
}
