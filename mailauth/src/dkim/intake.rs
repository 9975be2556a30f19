//! An arriving message: where its header ends, which fields it has, which of them a list of names selects; and who reads it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::header::{Field, Fields, HeaderLimit, HeaderLimits, HeaderScanner, HeaderStatus};

use super::body::BodyHashes;

/// A message on its way in. Its header is collected; of its body nothing is kept but hashes, each made once for all who want
/// it.
#[derive(Debug)]
pub(crate) struct Message {
    scanner: HeaderScanner,
    header: Vec<u8>,
    has_header: bool,
    /// Those that are wanted have to be asked for before the first octet of the body.
    pub(crate) bodies: BodyHashes,
}

/// A header that is complete; or the limit that it passes, and then the message is not looked at any more.
pub(crate) type Headed = Result<Arc<Header>, HeaderLimit>;

/// Whoever reads a message: verifiers and signers.
pub(crate) trait Reader {
    /// The message that is read.
    fn message(&mut self) -> &mut Message;

    /// The header has ended. What is wanted of the body is asked for now.
    fn begin(&mut self, header: Headed);

    /// Takes the next octets.
    fn read(&mut self, slice: &[u8]) {
        if let Some((header, body)) = self.message().write(slice) {
            self.begin(header);
            self.message().bodies.write(body);
        }
    }

    /// The message is complete; without an empty line all of it was header.
    fn read_end(&mut self) {
        if let Some(header) = self.message().end_header() {
            self.begin(header);
        }
        self.message().bodies.finish();
    }
}

impl Message {
    pub(crate) fn new(limits: HeaderLimits) -> Self {
        Message {
            scanner: HeaderScanner::new(limits),
            header: Vec::new(),
            has_header: false,
            bodies: BodyHashes::default(),
        }
    }

    /// Takes the next octets. If the header ends in them, it is given, and the start of the body.
    fn write<'b>(&mut self, slice: &'b [u8]) -> Option<(Headed, &'b [u8])> {
        if self.has_header {
            self.bodies.write(slice);
            return None;
        }
        match self.scanner.feed(slice) {
            Ok(HeaderStatus::Open) => {
                self.header.extend_from_slice(slice);
                None
            }
            Ok(HeaderStatus::Complete { body }) => {
                let (header, body) = slice.split_at(slice.len() - body);
                self.header.extend_from_slice(header);
                Some((Ok(self.complete()), body))
            }
            Err(limit) => Some((self.refuse(limit), b"")),
        }
    }

    fn end_header(&mut self) -> Option<Headed> {
        if self.has_header {
            return None;
        }
        Some(match self.scanner.finish() {
            Ok(()) => Ok(self.complete()),
            Err(limit) => self.refuse(limit),
        })
    }

    fn complete(&mut self) -> Arc<Header> {
        self.has_header = true;
        // It may be kept for long, and has grown by doubling.
        self.header.shrink_to_fit();
        Arc::new(Header::new(core::mem::take(&mut self.header)))
    }

    fn refuse(&mut self, limit: HeaderLimit) -> Headed {
        self.has_header = true;
        self.header = Vec::new();
        Err(limit)
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

    /// Keeps the header, and the body as far as hashes tell.
    struct Kept {
        message: Message,
        headed: Option<Headed>,
    }

    impl Kept {
        fn new(limits: HeaderLimits) -> Self {
            Kept { message: Message::new(limits), headed: None }
        }
    }

    impl Reader for Kept {
        fn message(&mut self) -> &mut Message {
            &mut self.message
        }

        fn begin(&mut self, header: Headed) {
            assert!(self.headed.replace(header).is_none(), "a message has one header");
        }
    }

    #[test]
    fn a_header_is_found_in_any_cut() {
        let message = b"A: 1\r\nB: 2\r\n\r\nbody";
        for cut in 0..message.len() {
            let mut kept = Kept::new(HeaderLimits::default());
            kept.read(&message[..cut]);
            kept.read(&message[cut..]);
            assert_eq!(kept.headed.as_ref().unwrap().as_ref().unwrap().octets(), &message[..14]);
            kept.read_end();
            kept.read_end();
            kept.read(b"more");
        }
        let mut kept = Kept::new(HeaderLimits::default());
        kept.read(b"A: 1");
        assert!(kept.headed.is_none());
        kept.read_end();
        assert_eq!(kept.headed.unwrap().unwrap().len(), 1);
        let mut limits = HeaderLimits::default();
        limits.fields_max = 1;
        for piece in [1, 100] {
            let mut kept = Kept::new(limits);
            message.chunks(piece).for_each(|piece| kept.read(piece));
            kept.read_end();
            assert_eq!(kept.headed.unwrap().unwrap_err(), HeaderLimit::Fields);
        }
    }
}
