//! Where the octets of a section lie.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

use pillarbox_core::header::Fields;

use super::{PartKind, Section, SectionText, Structure};

/// The octets of a section, as ranges of the message: nothing is copied.
///
/// ```
/// use pillarbox_imap::message::{Limits, Section, SectionText, Structure};
///
/// let raw = b"From: a@b.c\r\nSubject: hello\r\nTo: d@e.f\r\n\r\nbody\r\n";
/// let structure = Structure::parse(raw, &Limits::default());
/// let names = vec!["to".into(), "from".into()];
/// let section = Section { path: vec![], text: SectionText::HeaderFields { names, not: false } };
/// let data = structure.section(raw, &section).unwrap();
/// assert_eq!(data.chunks(raw).collect::<Vec<_>>().concat(), b"From: a@b.c\r\nTo: d@e.f\r\n\r\n");
///
/// // BODY[HEADER.FIELDS (to from)]<6.5>
/// let partial = data.partial(6, 5);
/// assert_eq!((partial.len(), partial.chunks(raw).next()), (5, Some(&b"a@b.c"[..])));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionData {
    ranges: Vec<Range<usize>>,
    /// Which part of [`EMPTY_LINE`] follows.
    tail: Range<usize>,
}

/// What ends the selected fields of a header that has no empty line itself.
const EMPTY_LINE: &[u8] = b"\r\n";

impl SectionData {
    fn of(range: Range<usize>) -> Self {
        SectionData { ranges: alloc::vec![range], tail: 0..0 }
    }

    /// How many octets there are.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum::<usize>() + self.tail.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The octets as slices of the message, in order.
    pub fn chunks<'b>(&self, raw: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        let tail = core::iter::once(&EMPTY_LINE[self.tail.clone()]);
        let body = self.ranges.iter().map(|range| raw.get(range.clone()).unwrap_or_default());
        body.chain(tail).filter(|chunk| !chunk.is_empty())
    }

    /// The octets as ranges of the message, for whoever reads it piecemeal; with the octets that follow them and are not
    /// in the message.
    pub fn ranges(&self) -> (&[Range<usize>], &'static [u8]) {
        (&self.ranges, &EMPTY_LINE[self.tail.clone()])
    }

    /// At most `count` octets from `offset` on: `BODY[..]<offset.count>`. Nothing if the offset is at the end or beyond.
    pub fn partial(&self, offset: u64, count: u64) -> SectionData {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = offset.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        let mut position = 0;
        let mut cut = |range: &Range<usize>| {
            let start = position;
            position += range.len();
            let skip = offset.clamp(start, position) - start;
            let stop = end.clamp(start, position) - start;
            range.start + skip..range.start + stop.max(skip)
        };
        let ranges = self.ranges.iter().map(&mut cut).filter(|range| !range.is_empty()).collect();
        SectionData { ranges, tail: cut(&self.tail) }
    }
}

impl Structure {
    /// Finds a section in the message that this tree was made from. `None` if the message has no such part, or the part
    /// has no such text (`HEADER` of a part that is no message); FETCH then answers NIL.
    pub fn section(&self, raw: &[u8], section: &Section) -> Option<SectionData> {
        let index = self.part(&section.path)?;
        let part = &self.parts()[index];
        // Of a part that holds a message, HEADER and TEXT are that message's (RFC 9051 §6.4.5.1).
        let message = || match section.path.is_empty() {
            true => Some(part),
            false => self.embedded(index).map(|child| &self.parts()[child]),
        };
        match &section.text {
            SectionText::Full if section.path.is_empty() => Some(SectionData::of(part.whole())),
            SectionText::Full => Some(SectionData::of(part.body())),
            SectionText::Mime if section.path.is_empty() => None,
            SectionText::Mime => Some(SectionData::of(part.header())),
            SectionText::Header => message().map(|part| SectionData::of(part.header())),
            SectionText::Text => message().map(|part| SectionData::of(part.body())),
            SectionText::HeaderFields { names, not } => {
                message().map(|part| select_fields(raw, part.header(), names, *not))
            }
        }
    }

    /// The index of the part with this number; of the message for an empty path.
    pub fn part(&self, path: &[u32]) -> Option<usize> {
        let Some((&first, rest)) = path.split_first() else { return Some(0) };
        let mut index = self.part_of_message(0, first)?;
        for &number in rest {
            index = match self.embedded(index) {
                Some(message) => self.part_of_message(message, number)?,
                None => self.nth(index, number)?,
            };
        }
        Some(index)
    }

    /// RFC 9051 §6.4.5.1: a message that is no multipart has one part, which is its body.
    fn part_of_message(&self, message: usize, number: u32) -> Option<usize> {
        match self.parts()[message].kind() {
            PartKind::Multipart => self.nth(message, number),
            _ => (number == 1).then_some(message),
        }
    }

    fn nth(&self, parent: usize, number: u32) -> Option<usize> {
        self.children(parent).nth(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// The message in a message/rfc822 part.
    pub(super) fn embedded(&self, index: usize) -> Option<usize> {
        let is_message = self.parts()[index].kind() == PartKind::Message;
        is_message.then(|| self.children(index).next()).flatten()
    }
}

fn select_fields(raw: &[u8], header: Range<usize>, names: &[alloc::string::String], not: bool) -> SectionData {
    // Sorted, so that many names and many fields do not multiply.
    let mut names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    names.sort_by(|a, b| compare_names(a, b));
    let bytes = raw.get(header.clone()).unwrap_or_default();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut position = header.start;
    for field in Fields::new(bytes) {
        let range = position..position + field.raw.len();
        position = range.end;
        let named = names.binary_search_by(|name| compare_names(name, field.name)).is_ok();
        if named == not {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    let empty_line = position..header.end;
    let tail = if empty_line.is_empty() { 0..EMPTY_LINE.len() } else { 0..0 };
    match ranges.last_mut() {
        Some(last) if last.end == empty_line.start => last.end = empty_line.end,
        _ if empty_line.is_empty() => {}
        _ => ranges.push(empty_line),
    }
    SectionData { ranges, tail }
}

fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Limits;
    use alloc::string::String;

    /// The message of RFC 9051 §6.4.5.1's example, with the part number in each text.
    const MAIL: &str = "Subject: top\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\n\r\n1\r\n\
        --x\r\nContent-Type: message/rfc822\r\n\r\nSubject: two\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n\
        --y\r\nX: 2.1\r\n\r\n2.1\r\n--y--\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: three\r\n\r\n3.1\r\n\r\n--x--\r\n";

    fn fetch(raw: &str, path: &[u32], text: SectionText) -> Option<String> {
        let structure = Structure::parse(raw.as_bytes(), &Limits::default());
        let data = structure.section(raw.as_bytes(), &Section { path: path.to_vec(), text })?;
        Some(String::from_utf8(data.chunks(raw.as_bytes()).collect::<Vec<_>>().concat()).unwrap())
    }

    #[test]
    fn parts_of_parts() {
        use SectionText::{Full, Header, Mime, Text};
        let cases: [(&[u32], SectionText, Option<&str>); 18] = [
            (&[], Full, Some(MAIL)),
            (&[], Mime, None),
            (&[1], Full, Some("1")),
            (&[1], Mime, Some("\r\n")),
            (&[1], Header, None),
            (&[1], Text, None),
            (&[1, 1], Full, None),
            (&[2], Mime, Some("Content-Type: message/rfc822\r\n\r\n")),
            (&[2], Text, Some("--y\r\nX: 2.1\r\n\r\n2.1\r\n--y--")),
            (&[2, 1], Full, Some("2.1")),
            (&[2, 1], Mime, Some("X: 2.1\r\n\r\n")),
            (&[2, 2], Full, None),
            (&[3], Full, Some("Subject: three\r\n\r\n3.1\r\n")),
            (&[3], Header, Some("Subject: three\r\n\r\n")),
            (&[3, 1], Full, Some("3.1\r\n")),
            (&[3, 2], Full, None),
            (&[4], Full, None),
            (&[0], Full, None),
        ];
        for (path, text, expected) in cases {
            assert_eq!(fetch(MAIL, path, text.clone()).as_deref(), expected, "{path:?} {text:?}");
        }
    }

    #[test]
    fn a_message_that_is_no_multipart_has_one_part() {
        let raw = "Subject: x\r\n\r\nbody";
        assert_eq!(fetch(raw, &[1], SectionText::Full).as_deref(), Some("body"));
        assert_eq!(fetch(raw, &[1], SectionText::Mime).as_deref(), Some("Subject: x\r\n\r\n"));
        assert_eq!(fetch(raw, &[2], SectionText::Full), None);
        let forwarded = "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody";
        assert_eq!(fetch(forwarded, &[1], SectionText::Header).as_deref(), Some("Subject: x\r\n\r\n"));
        assert_eq!(fetch(forwarded, &[1, 1], SectionText::Full).as_deref(), Some("body"));
    }

    #[test]
    fn selected_fields() {
        let fields = |raw: &str, names: &[&str], not| {
            let names = names.iter().map(|&name| name.into()).collect();
            fetch(raw, &[], SectionText::HeaderFields { names, not }).unwrap()
        };
        let raw = "A: 1\r\nB: 2\r\n folded\r\na : 3\r\njunk\r\n\r\nA: body";
        assert_eq!(fields(raw, &["a"], false), "A: 1\r\na : 3\r\n\r\n");
        assert_eq!(fields(raw, &["b", "none"], true), "A: 1\r\na : 3\r\njunk\r\n\r\n");
        assert_eq!(fields(raw, &["none"], false), "\r\n");
        // Without an empty line of its own.
        assert_eq!(fields("A: 1\r\n", &["a"], false), "A: 1\r\n\r\n");
        assert_eq!(fields("", &["a"], true), "\r\n");
    }
}
