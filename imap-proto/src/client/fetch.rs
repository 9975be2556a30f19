//! FETCH responses (RFC 9051 §7.5.2): the data about a message, and the octets of its sections as they arrive.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::WallTime;

use super::Event;
use super::data::{mod_seq, object_id, text};
use super::structure::{BodyStructure, Envelope};
use super::value::{Malformed, OwnedValue, Reader, Value, number};
use super::words::FlagList;
use crate::types::{ModSeq, ObjectId, Seq, Uid};

/// The most data of a message that this crate has no word for.
const OTHERS_MAX: usize = 1000;
/// The most sections of a message in one response.
const SECTIONS_MAX: usize = 1000;

/// What a server told of a message, all but the octets of its sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetch {
    /// Its sequence number; none in UIDFETCH (RFC 9586).
    pub seq: Option<Seq>,
    /// UID.
    pub uid: Option<Uid>,
    /// FLAGS.
    pub flags: Option<FlagList>,
    /// MODSEQ; none also for 0.
    pub mod_seq: Option<ModSeq>,
    /// INTERNALDATE.
    pub internal_date: Option<WallTime>,
    /// SAVEDATE (RFC 8514); none also for NIL.
    pub save_date: Option<WallTime>,
    /// RFC822.SIZE.
    pub size: Option<u64>,
    /// ENVELOPE.
    pub envelope: Option<Box<Envelope>>,
    /// BODYSTRUCTURE, or BODY.
    pub structure: Option<Box<BodyStructure>>,
    /// EMAILID (RFC 8474).
    pub email_id: Option<ObjectId>,
    /// THREADID (RFC 8474); none also for NIL.
    pub thread_id: Option<ObjectId>,
    /// PREVIEW (RFC 8970); none also for NIL.
    pub preview: Option<Vec<u8>>,
    /// What else there was, and what could not be read as its name promised.
    pub others: Vec<(String, OwnedValue)>,
}

/// A section of a message, the octets of which follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// The sequence number of the message; none in UIDFETCH.
    pub seq: Option<Seq>,
    /// Its UID, if that was told before the section, as servers do. [`Fetch`] has it in any case.
    pub uid: Option<Uid>,
    /// What it is, in capitals: `BODY[]`, `BODY[1.MIME]`, `BINARY[2]`, `RFC822.HEADER`.
    pub name: String,
    /// The octet that it begins with, if only a part was asked for.
    pub origin: Option<u64>,
    /// How many octets follow; none if there is no such section (NIL).
    pub len: Option<u64>,
}

/// Reads a FETCH response piece by piece: what stands before, between and behind the sections that go past.
#[derive(Clone, Debug)]
pub(super) struct FetchReader {
    fetch: Fetch,
    /// Parentheses that are open.
    depth: usize,
    is_begun: bool,
    /// Octets that were read.
    held: usize,
    sections: usize,
}

impl FetchReader {
    pub(super) fn new(number: u32, is_uid: bool) -> Self {
        let mut fetch = Fetch::default();
        if is_uid {
            fetch.uid = Uid::new(number);
        } else {
            fetch.seq = Seq::new(number);
        }
        FetchReader { fetch, depth: 0, is_begun: false, held: 0, sections: 0 }
    }

    /// Reads on. If the section behind `text` has a size, its octets follow and then more text; else this was the end.
    pub(super) fn read(
        &mut self,
        text: &[u8],
        section: Option<u64>,
        max: usize,
        events: &mut VecDeque<Event<'static>>,
    ) -> Result<(), Malformed> {
        self.held += text.len();
        if self.held > max {
            return Err(Malformed);
        }
        let mut reader = Reader::new(text);
        if !self.is_begun {
            self.is_begun = true;
            if !reader.takes(b'(') {
                return Err(Malformed);
            }
            self.depth = 1;
        }
        while self.depth > 0 {
            if reader.takes(b')') {
                self.depth -= 1;
                continue;
            }
            // Domino puts an item with its data between parentheses of their own.
            if reader.takes(b'(') {
                self.depth += 1;
                continue;
            }
            let name = reader.raw_word();
            if name.is_empty() {
                return Err(Malformed);
            }
            if let Some(len) = section
                && reader.is_at_end()
            {
                events.push_back(Event::Section(self.section(name, Some(len))?));
                return Ok(());
            }
            // Yandex leaves out what it does not have.
            let value = match reader.is_next(b')') || reader.is_at_end() {
                true => Value::Nil,
                false => reader.value()?,
            };
            if is_section(name) {
                let octets = value.octets();
                events.push_back(Event::Section(self.section(name, octets.map(|octets| octets.len() as u64))?));
                if let Some(octets) = octets.filter(|octets| !octets.is_empty()) {
                    events.push_back(Event::Body(octets.to_vec().into()));
                }
                events.push_back(Event::SectionEnd);
            } else {
                self.item(name, &value)?;
            }
        }
        if section.is_some() || !reader.is_at_end() {
            return Err(Malformed);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Fetch {
        self.fetch
    }

    fn section(&mut self, name: &[u8], len: Option<u64>) -> Result<Section, Malformed> {
        self.sections += 1;
        if self.sections > SECTIONS_MAX {
            return Err(Malformed);
        }
        let mut name = text(name).to_ascii_uppercase();
        let mut origin = None;
        if let Some((before, behind)) = name.rsplit_once('<')
            && let Some(octet) = behind.strip_suffix('>').and_then(|digits| number(digits.as_bytes()))
        {
            origin = Some(octet);
            name = before.into();
        }
        Ok(Section { seq: self.fetch.seq, uid: self.fetch.uid, name, origin, len })
    }

    fn item(&mut self, name: &[u8], value: &Value<'_>) -> Result<(), Malformed> {
        let fetch = &mut self.fetch;
        let name = text(name).to_ascii_uppercase();
        let is_read = match &*name {
            "UID" => {
                fetch.uid = Some(value.number().and_then(|n| Uid::new(u32::try_from(n).ok()?)).ok_or(Malformed)?);
                true
            }
            "FLAGS" => {
                fetch.flags = Some(FlagList::from_value(value)?);
                true
            }
            "MODSEQ" => {
                fetch.mod_seq = mod_seq(value);
                true
            }
            "INTERNALDATE" => {
                fetch.internal_date = value.octets().and_then(date_time);
                fetch.internal_date.is_some()
            }
            "SAVEDATE" => {
                fetch.save_date = value.octets().and_then(date_time);
                fetch.save_date.is_some() || *value == Value::Nil
            }
            "RFC822.SIZE" => {
                fetch.size = value.number();
                fetch.size.is_some()
            }
            "ENVELOPE" => {
                fetch.envelope = Envelope::from_value(value).ok().map(Box::new);
                fetch.envelope.is_some()
            }
            "BODYSTRUCTURE" | "BODY" => {
                fetch.structure = BodyStructure::from_value(value).ok().map(Box::new);
                fetch.structure.is_some()
            }
            "EMAILID" => {
                fetch.email_id = object_id(value);
                fetch.email_id.is_some()
            }
            "THREADID" => {
                fetch.thread_id = object_id(value);
                fetch.thread_id.is_some() || *value == Value::Nil
            }
            "PREVIEW" => {
                fetch.preview = value.octets().map(<[u8]>::to_vec);
                true
            }
            _ => false,
        };
        if !is_read {
            if fetch.others.len() == OTHERS_MAX {
                return Err(Malformed);
            }
            fetch.others.push((name, value.to_owned_value()));
        }
        Ok(())
    }
}

/// Whether the name is one that octets of the message follow.
fn is_section(name: &[u8]) -> bool {
    let is_one_of = |names: &[&[u8]]| names.iter().any(|own| name.eq_ignore_ascii_case(own));
    match memchr::memchr(b'[', name) {
        Some(open) => !name[..open].eq_ignore_ascii_case(b"BINARY.SIZE"),
        None => is_one_of(&[b"RFC822", b"RFC822.HEADER", b"RFC822.TEXT"]),
    }
}

/// Reads a `date-time` (RFC 9051 §9), such as ` 7-Jul-1996 02:44:25 -0700`.
fn date_time(octets: &[u8]) -> Option<WallTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = core::str::from_utf8(octets).ok()?;
    let mut words = text.split_ascii_whitespace();
    let (mut date, mut time, zone) = (words.next()?.split('-'), words.next()?.split(':'), words.next()?);
    let small = |word: Option<&str>| u32::try_from(number(word?.as_bytes())?).ok();
    let day = small(date.next())?;
    let name = date.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))? as u32 + 1;
    let year = small(date.next())?;
    let (hour, minute, second) = (small(time.next())?, small(time.next())?, small(time.next())?);
    let (sign, digits) = match zone.as_bytes() {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        _ => return None,
    };
    let offset = i32::try_from(number(digits).filter(|_| digits.len() == 4)?).ok()?;
    let offset = sign * (offset / 100 * 3600 + offset % 100 * 60);
    let [month, day, hour, minute, second] =
        [month, day, hour, minute, second].map(|n| u8::try_from(n).unwrap_or(u8::MAX));
    WallTime::from_civil(year.into(), month, day, hour, minute, second, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let date = |text: &str| date_time(text.as_bytes());
        let one = WallTime::from_civil(1996, 7, 4, 2, 44, 25, -7 * 3600);
        assert_eq!(date(" 4-Jul-1996 02:44:25 -0700"), one);
        assert_eq!(date("04-jul-1996 02:44:25 -0700"), one);
        assert!(date(" 4-Jul-1996 02:44:25 -0700").is_some());
        for bad in
            ["", "4-Jul-1996", "32-Jul-1996 02:44:25 -0700", "4-Foo-1996 02:44:25 -0700", "4-Jul-1996 02:44:25 EST"]
        {
            assert_eq!(date(bad), None, "{bad}");
        }
    }
}
