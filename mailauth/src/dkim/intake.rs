//! The header of an arriving message: where it ends, which fields it has, which of them a list of names selects.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::header::{Field, Fields, HeaderLimit, HeaderLimits, HeaderScanner, HeaderStatus};

/// Collects a header, and lets the body pass.
#[derive(Debug)]
pub(crate) struct HeaderReader {
    scanner: HeaderScanner,
    header: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Header,
    Body,
    Refused,
}

/// What a slice of a message is. Several may read one message, whose header is then held once.
#[derive(Clone, Debug)]
pub(crate) enum Intake<'b> {
    /// All of it is header.
    Header,
    /// It has the end of the header: this is it, and the start of the body.
    Complete(Arc<Header>, &'b [u8]),
    /// All of it is body.
    Body(&'b [u8]),
    /// The header passes a limit. Said once.
    TooLong(HeaderLimit),
    /// The header passed a limit.
    Refused,
}

impl HeaderReader {
    pub(crate) fn new(limits: HeaderLimits) -> Self {
        HeaderReader { scanner: HeaderScanner::new(limits), header: Vec::new(), state: State::Header }
    }

    pub(crate) fn write<'b>(&mut self, slice: &'b [u8]) -> Intake<'b> {
        match self.state {
            State::Body => Intake::Body(slice),
            State::Refused => Intake::Refused,
            State::Header => match self.scanner.feed(slice) {
                Ok(HeaderStatus::Open) => {
                    self.header.extend_from_slice(slice);
                    Intake::Header
                }
                Ok(HeaderStatus::Complete { body }) => {
                    let (header, body) = slice.split_at(slice.len() - body);
                    self.header.extend_from_slice(header);
                    self.complete(body)
                }
                Err(limit) => self.refuse(limit),
            },
        }
    }

    /// The message has ended; without an empty line all of it was header.
    pub(crate) fn finish(&mut self) -> Intake<'static> {
        match self.state {
            State::Body => Intake::Body(b""),
            State::Refused => Intake::Refused,
            State::Header => match self.scanner.finish() {
                Ok(()) => self.complete(b""),
                Err(limit) => self.refuse(limit),
            },
        }
    }

    fn complete<'b>(&mut self, body: &'b [u8]) -> Intake<'b> {
        self.state = State::Body;
        // It may be kept for long, and has grown by doubling.
        self.header.shrink_to_fit();
        Intake::Complete(Arc::new(Header::new(core::mem::take(&mut self.header))), body)
    }

    fn refuse(&mut self, limit: HeaderLimit) -> Intake<'static> {
        self.state = State::Refused;
        self.header = Vec::new();
        Intake::TooLong(limit)
    }
}

/// A whole header, with an index of its names.
#[derive(Debug)]
pub(crate) struct Header {
    octets: Vec<u8>,
    /// Where each field begins, and at last where the last one ends.
    bounds: Vec<usize>,
    /// The length of each name: a field begins with it.
    names: Vec<usize>,
    /// The fields by name, and those of one name from the top.
    by_name: Vec<usize>,
}

impl Header {
    pub(crate) fn new(octets: Vec<u8>) -> Self {
        let (mut bounds, mut names) = ([0].to_vec(), Vec::new());
        let mut at = 0;
        for field in Fields::new(&octets) {
            at += field.raw.len();
            bounds.push(at);
            names.push(field.name.len());
        }
        let mut by_name = (0..names.len()).collect::<Vec<_>>();
        let mut header = Header { octets, bounds, names, by_name: Vec::new() };
        by_name.sort_by(|a, b| compare(header.name(*a), header.name(*b)));
        header.by_name = by_name;
        header
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// A field by its place from the top.
    pub(crate) fn field(&self, index: usize) -> Field<'_> {
        Fields::new(&self.octets[self.bounds[index]..self.bounds[index + 1]]).next().expect("a field begins there")
    }

    fn name(&self, index: usize) -> &[u8] {
        &self.octets[self.bounds[index]..][..self.names[index]]
    }

    /// The places of the fields of a name, from the top.
    pub(crate) fn named(&self, name: &[u8]) -> &[usize] {
        let start = self.by_name.partition_point(|index| compare(self.name(*index), name).is_lt());
        let length = self.by_name[start..].partition_point(|index| compare(self.name(*index), name).is_eq());
        &self.by_name[start..start + length]
    }

    /// The fields that a list of names selects, in its order: each name takes the last field of that name that was not
    /// taken yet, and nothing if there is none left (RFC 6376 §5.4.2). `own` is the signature itself, which is never taken
    /// (§3.5, `h=`).
    pub(crate) fn select<'n>(&self, names: impl Iterator<Item = &'n [u8]>, own: Option<usize>) -> Vec<usize> {
        // How many fields of a name are left, by the place of its first field. A list may name one a thousand times.
        let mut left = BTreeMap::<usize, usize>::new();
        let mut selected = Vec::new();
        for name in names {
            let fields = self.named(name);
            let Some(first) = fields.first().filter(|_| !name.is_empty()) else { continue };
            let left = left.entry(*first).or_insert(fields.len());
            while let Some(rest) = left.checked_sub(1) {
                *left = rest;
                if own != Some(fields[rest]) {
                    selected.push(fields[rest]);
                    break;
                }
            }
        }
        selected
    }
}

/// Any order in which names are equal whatever their case: most differ in length, which is seen at once.
fn compare(a: &[u8], b: &[u8]) -> core::cmp::Ordering {
    let octets = || a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase));
    a.len().cmp(&b.len()).then_with(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_select_from_the_bottom() {
        let header = Header::new(b"A: 1\r\nb: 2\r\nB: 3\r\n\tx\r\nC: 4\r\nB: 5\r\njunk\r\n\r\n".to_vec());
        assert_eq!(header.len(), 6);
        assert_eq!(header.named(b"B"), [1, 2, 4]);
        assert_eq!(header.named(b""), [5]);
        let select = |names: &str, own| header.select(names.split(':').map(str::as_bytes), own);
        assert_eq!(select("b:a:b:x:b:b:a", None), [4, 0, 2, 1]);
        assert_eq!(select("b:b:b:b", Some(2)), [4, 1]);
        assert!(select("", None).is_empty());
        assert_eq!(header.field(2).value, b" 3\r\n\tx");
    }

    #[test]
    fn a_header_is_found_in_any_cut() {
        let message = b"A: 1\r\nB: 2\r\n\r\nbody";
        for cut in 0..message.len() {
            let mut reader = HeaderReader::new(HeaderLimits::default());
            let (mut header, mut body) = (None, Vec::new());
            for slice in [&message[..cut], &message[cut..]] {
                match reader.write(slice) {
                    Intake::Complete(complete, start) => {
                        header = Some(complete);
                        body.extend_from_slice(start);
                    }
                    Intake::Body(slice) => body.extend_from_slice(slice),
                    Intake::Header => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((header.unwrap().len(), &body[..]), (2, &b"body"[..]));
        }
        let mut reader = HeaderReader::new(HeaderLimits::default());
        assert!(matches!(reader.write(b"A: 1"), Intake::Header));
        assert!(matches!(reader.finish(), Intake::Complete(header, b"") if header.len() == 1));
    }
}
