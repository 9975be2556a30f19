//! ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051 §7.5.2).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::data::text;
use super::value::{Malformed, Value};

/// The fields of ENVELOPE, as the server read them from the header. The octets are those of the message: encoded words are
/// not decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// Date.
    pub date: Option<Vec<u8>>,
    /// Subject.
    pub subject: Option<Vec<u8>>,
    /// From.
    pub from: Vec<EnvelopeAddress>,
    /// Sender, or From where there is none.
    pub sender: Vec<EnvelopeAddress>,
    /// Reply-To, or From where there is none.
    pub reply_to: Vec<EnvelopeAddress>,
    /// To.
    pub to: Vec<EnvelopeAddress>,
    /// Cc.
    pub cc: Vec<EnvelopeAddress>,
    /// Bcc.
    pub bcc: Vec<EnvelopeAddress>,
    /// In-Reply-To.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID.
    pub message_id: Option<Vec<u8>>,
}

/// An address of ENVELOPE. Without `host` it begins a group, whose name is `mailbox`, or ends one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvelopeAddress {
    /// What stands before the address.
    pub name: Option<Vec<u8>>,
    /// What is left of `@`.
    pub mailbox: Option<Vec<u8>>,
    /// What is right of it.
    pub host: Option<Vec<u8>>,
}

fn string(value: Option<&Value<'_>>) -> Option<Vec<u8>> {
    value.and_then(Value::octets).map(<[u8]>::to_vec)
}

impl Envelope {
    pub(super) fn from_value(value: &Value<'_>) -> Result<Self, Malformed> {
        let fields = value.list().ok_or(Malformed)?;
        let addresses = |at: usize| -> Vec<EnvelopeAddress> {
            let list = fields.get(at).and_then(Value::list).unwrap_or_default();
            list.iter().filter_map(Value::list).map(EnvelopeAddress::from_fields).collect()
        };
        Ok(Envelope {
            date: string(fields.first()),
            subject: string(fields.get(1)),
            from: addresses(2),
            sender: addresses(3),
            reply_to: addresses(4),
            to: addresses(5),
            cc: addresses(6),
            bcc: addresses(7),
            in_reply_to: string(fields.get(8)),
            message_id: string(fields.get(9)),
        })
    }
}

impl EnvelopeAddress {
    fn from_fields(fields: &[Value<'_>]) -> Self {
        // The second is a route, which RFC 5321 has done away with.
        EnvelopeAddress { name: string(fields.first()), mailbox: string(fields.get(2)), host: string(fields.get(3)) }
    }
}

/// A message or a part of it, with its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyStructure {
    /// The type in capitals, such as `TEXT`, `MULTIPART`.
    pub kind: String,
    /// The subtype in capitals, such as `PLAIN`.
    pub subtype: String,
    /// The parameters of the type; the names as they were written.
    pub parameters: Vec<(String, Vec<u8>)>,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding in capitals; empty for MULTIPART.
    pub encoding: String,
    /// Octets as they are encoded; 0 for MULTIPART, of which it is not told.
    pub size: u64,
    /// Lines, told of TEXT and of messages.
    pub lines: Option<u64>,
    /// The message within, if this is one.
    pub message: Option<Box<(Envelope, BodyStructure)>>,
    /// The parts of MULTIPART.
    pub parts: Vec<BodyStructure>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
}

/// Content-Disposition of a part (RFC 2183).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disposition {
    /// The kind in capitals, such as `ATTACHMENT`.
    pub kind: String,
    /// The parameters; the names as they were written.
    pub parameters: Vec<(String, Vec<u8>)>,
}

impl BodyStructure {
    pub(super) fn from_value(value: &Value<'_>) -> Result<Self, Malformed> {
        let fields = value.list().ok_or(Malformed)?;
        let mut structure = BodyStructure {
            kind: "MULTIPART".into(),
            subtype: String::new(),
            parameters: Vec::new(),
            id: None,
            description: None,
            encoding: String::new(),
            size: 0,
            lines: None,
            message: None,
            parts: Vec::new(),
            disposition: None,
        };
        // A multipart without parts, which the grammar has no word for, begins with NIL or its subtype.
        let parts = fields.iter().take_while(|field| field.list().is_some_and(|list| !list.is_empty())).count();
        if parts > 0 || fields.len() == 1 {
            for part in &fields[..parts] {
                structure.parts.push(BodyStructure::from_value(part)?);
            }
            structure.subtype = capitals(fields.get(parts));
            structure.parameters = parameters(fields.get(parts + 1));
            structure.disposition = disposition(fields.get(parts + 2));
            return Ok(structure);
        }
        structure.kind = capitals(fields.first());
        structure.subtype = capitals(fields.get(1));
        structure.parameters = parameters(fields.get(2));
        structure.id = string(fields.get(3));
        structure.description = string(fields.get(4));
        structure.encoding = capitals(fields.get(5));
        structure.size = fields.get(6).and_then(Value::number).unwrap_or(0);
        let mut extension = 7;
        match fields.get(7) {
            // MESSAGE/RFC822 and MESSAGE/GLOBAL; some servers leave the message out.
            Some(envelope @ Value::List(_)) if structure.kind == "MESSAGE" && fields.len() > 8 => {
                let inner = BodyStructure::from_value(&fields[8])?;
                structure.message = Some(Box::new((Envelope::from_value(envelope)?, inner)));
                structure.lines = fields.get(9).and_then(Value::number);
                extension = 10;
            }
            Some(lines) if structure.kind == "TEXT" => {
                structure.lines = lines.number();
                extension = 8;
            }
            _ => {}
        }
        // The first of the extension data is the MD5 of the body.
        structure.disposition = disposition(fields.get(extension + 1));
        Ok(structure)
    }
}

fn capitals(value: Option<&Value<'_>>) -> String {
    value.and_then(Value::octets).map(text).unwrap_or_default().to_ascii_uppercase()
}

fn parameters(value: Option<&Value<'_>>) -> Vec<(String, Vec<u8>)> {
    let values = value.and_then(Value::list).unwrap_or_default();
    let pairs = values.chunks_exact(2);
    pairs
        .map(|pair| (pair[0].octets().map(text).unwrap_or_default(), string(pair.get(1)).unwrap_or_default()))
        .collect()
}

fn disposition(value: Option<&Value<'_>>) -> Option<Disposition> {
    match value? {
        Value::List(values) => {
            Some(Disposition { kind: capitals(values.first()), parameters: parameters(values.get(1)) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::Reader;
    use super::*;

    fn structure(text: &str) -> BodyStructure {
        BodyStructure::from_value(&Reader::new(text.as_bytes()).value().unwrap()).unwrap()
    }

    #[test]
    fn parts_within_parts() {
        let read = structure(
            "((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 20 2 NIL (\"attachment\" (\"filename\" \"a\")))\
             (\"MESSAGE\" \"RFC822\" NIL \"<i>\" NIL \"7BIT\" 99 (NIL \"s\" ((\"N\" NIL \"m\" \"h\")) NIL NIL NIL NIL NIL NIL NIL) \
             (\"TEXT\" \"HTML\" NIL NIL NIL \"8BIT\" 7 1) 9) \"mixed\" (\"boundary\" \"b\"))",
        );
        assert_eq!((&*read.subtype, read.parts.len()), ("MIXED", 2));
        assert_eq!(read.parameters, [("boundary".into(), b"b".to_vec())]);
        let (text, message) = (&read.parts[0], &read.parts[1]);
        assert_eq!((&*text.kind, text.size, text.lines), ("TEXT", 20, Some(2)));
        assert_eq!(text.disposition.as_ref().unwrap().kind, "ATTACHMENT");
        let (envelope, inner) = &**message.message.as_ref().unwrap();
        assert_eq!(envelope.from[0].mailbox.as_deref(), Some(&b"m"[..]));
        assert_eq!((&*inner.subtype, message.lines), ("HTML", Some(9)));
    }
}
