//! Counting a header while its message still arrives.

use memchr::memchr;

/// What a header may come to. A message beyond it is refused (552 5.3.4, or 554 5.4.6 for hops).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderLimits {
    /// Octets of one field with its folds: 102,400, as much as common servers take.
    pub field_size_max: usize,
    /// Octets of all fields together: 1 MiB.
    pub size_max: usize,
    /// Number of fields: 1,000.
    pub fields_max: usize,
    /// Number of Received fields: 100. RFC 5321 §6.3 asks for at least that, so that a loop ends and a long way does not.
    pub received_max: usize,
}

impl Default for HeaderLimits {
    fn default() -> Self {
        HeaderLimits { field_size_max: 102_400, size_max: 1 << 20, fields_max: 1000, received_max: 100 }
    }
}

/// The limit that a header has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderLimit {
    /// [`HeaderLimits::field_size_max`]
    #[error("a header field is too long")]
    FieldSize,
    /// [`HeaderLimits::size_max`]
    #[error("the header is too long")]
    Size,
    /// [`HeaderLimits::fields_max`]
    #[error("too many header fields")]
    Fields,
    /// [`HeaderLimits::received_max`]: the message goes in a circle.
    #[error("too many hops")]
    Hops,
}

/// Where a [`HeaderScanner`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum HeaderStatus {
    /// Still in the header; all that was fed belongs to it.
    Open,
    /// The header has ended. `body` octets at the end of the slice that was just fed belong to the body.
    Complete {
        /// How many octets of the slice are behind the empty line.
        body: usize,
    },
}

/// Finds the end of a header in the slices of a message, in any cuts, and counts what is in it without holding it. It reads
/// by the rules of [the module](super).
///
/// ```
/// use pillarbox_core::header::{HeaderLimits, HeaderScanner, HeaderStatus};
///
/// let mut scanner = HeaderScanner::new(HeaderLimits::default());
/// assert_eq!(scanner.feed(b"Received: from a\r\n by b\r\nrecei"), Ok(HeaderStatus::Open));
/// assert_eq!(scanner.feed(b"ved : from c\r\n\r"), Ok(HeaderStatus::Open));
/// assert_eq!(scanner.feed(b"\nbody"), Ok(HeaderStatus::Complete { body: 4 }));
/// assert_eq!((scanner.fields(), scanner.received()), (2, 2));
/// ```
#[derive(Clone, Debug)]
pub struct HeaderScanner {
    limits: HeaderLimits,
    state: State,
    name: Name,
    size: usize,
    field_size: usize,
    longest_field: usize,
    fields: usize,
    received: usize,
    passed: Option<HeaderLimit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first octet of a line.
    LineStart,
    /// Behind a CR at the start of a line: the end, if an LF follows.
    Cr,
    InLine,
    Complete,
}

/// How far the name of the field has been compared with "received".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// So many octets are equal.
    Equal(usize),
    /// All were, and white space followed.
    Ended,
    /// Another name, or the name is over.
    Settled,
}

const RECEIVED: &[u8] = b"received";

impl HeaderScanner {
    /// A scanner at the start of a message.
    pub const fn new(limits: HeaderLimits) -> Self {
        HeaderScanner {
            limits,
            state: State::LineStart,
            name: Name::Settled,
            size: 0,
            field_size: 0,
            longest_field: 0,
            fields: 0,
            received: 0,
            passed: None,
        }
    }

    /// Takes the next octets of the message. Once the header is complete, all of them are the body's.
    ///
    /// # Errors
    ///
    /// The first [`HeaderLimit`] that was passed, and the same from then on: the rest is no longer looked at.
    pub fn feed(&mut self, slice: &[u8]) -> Result<HeaderStatus, HeaderLimit> {
        let mut rest = slice;
        while let (Some(&first), None) = (rest.first(), self.passed) {
            match (self.state, first) {
                (State::Complete, _) => break,
                (State::LineStart | State::Cr, b'\n') => {
                    self.end_field();
                    self.take_of_empty_line(State::Complete);
                    rest = &rest[1..];
                }
                (State::LineStart, b'\r') => {
                    self.take_of_empty_line(State::Cr);
                    rest = &rest[1..];
                }
                (State::LineStart, b' ' | b'\t') if self.fields > 0 => {
                    self.state = State::InLine;
                }
                (State::LineStart, _) => {
                    self.begin_field();
                }
                (State::Cr, _) => {
                    // The line begins with a bare CR, so it is a field without a name.
                    self.begin_field();
                    self.field_size = 1;
                    self.name = Name::Settled;
                }
                (State::InLine, _) => {
                    let end = memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
                    self.take(&rest[..end]);
                    rest = &rest[end..];
                }
            }
        }
        match (self.passed, self.state) {
            (Some(limit), _) => Err(limit),
            (None, State::Complete) => Ok(HeaderStatus::Complete { body: rest.len() }),
            (None, _) => Ok(HeaderStatus::Open),
        }
    }

    /// The message has ended; without an empty line all of it is header. Only the counts change.
    ///
    /// # Errors
    ///
    /// As [`feed`](HeaderScanner::feed).
    pub fn finish(&mut self) -> Result<(), HeaderLimit> {
        if let Some(limit) = self.passed {
            return Err(limit);
        }
        if self.state == State::Cr {
            self.begin_field();
            self.field_size = 1;
        }
        if self.state != State::Complete {
            self.end_field();
            self.state = State::Complete;
        }
        self.passed.map_or(Ok(()), Err)
    }

    /// Number of fields begun, those without a name included.
    pub const fn fields(&self) -> usize {
        self.fields
    }

    /// Number of Received fields: how many hosts the message has passed.
    pub const fn received(&self) -> usize {
        self.received
    }

    /// Octets of the header so far, with the empty line. After an error: how many octets stand in front of the one that
    /// passed the limit, so that the place does not depend on how the message was cut.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Octets of the longest field so far, with its folds and line ends.
    pub fn longest_field(&self) -> usize {
        self.longest_field.max(self.field_size)
    }

    /// Whether the end of the header was seen.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    fn begin_field(&mut self) {
        self.end_field();
        self.fields += 1;
        self.name = Name::Equal(0);
        self.state = State::InLine;
        if self.fields > self.limits.fields_max {
            self.passed = Some(HeaderLimit::Fields);
        }
    }

    /// Takes one octet of what may be the empty line.
    const fn take_of_empty_line(&mut self, next: State) {
        if self.size < self.limits.size_max {
            self.size += 1;
            self.state = next;
        } else {
            self.passed = Some(HeaderLimit::Size);
        }
    }

    fn end_field(&mut self) {
        self.longest_field = self.longest_field();
        self.field_size = 0;
        self.name = Name::Settled;
    }

    /// Takes octets of one line, with its LF if that is there, up to the one that passes a limit.
    fn take(&mut self, octets: &[u8]) {
        let field_room = self.limits.field_size_max.saturating_sub(self.field_size);
        let room = self.limits.size_max.saturating_sub(self.size);
        let mut fits = octets.len().min(field_room).min(room);
        if fits < octets.len() {
            self.passed = Some(if field_room <= room { HeaderLimit::FieldSize } else { HeaderLimit::Size });
        }
        for (at, octet) in octets[..fits].iter().enumerate() {
            if self.name == Name::Settled {
                break;
            }
            self.compare(*octet);
            if self.received > self.limits.received_max {
                self.passed = Some(HeaderLimit::Hops);
                fits = at;
                break;
            }
        }
        self.size += fits;
        self.field_size += fits;
        if octets.ends_with(b"\n") {
            self.state = State::LineStart;
        }
    }

    fn compare(&mut self, octet: u8) {
        let is_space = octet.is_ascii_whitespace();
        self.name = match self.name {
            Name::Equal(n) if RECEIVED.get(n) == Some(&octet.to_ascii_lowercase()) => Name::Equal(n + 1),
            Name::Equal(n) if n == RECEIVED.len() && is_space => Name::Ended,
            Name::Ended if is_space => Name::Ended,
            Name::Equal(n) if n < RECEIVED.len() => Name::Settled,
            Name::Equal(_) | Name::Ended if octet == b':' => {
                self.received += 1;
                Name::Settled
            }
            _ => Name::Settled,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fields, split};
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn header(fields: usize, field: &str) -> Vec<u8> {
        let mut header = field.repeat(fields).into_bytes();
        header.extend_from_slice(b"\r\n");
        header
    }

    fn feed(message: &[u8]) -> Result<HeaderStatus, HeaderLimit> {
        HeaderScanner::new(HeaderLimits::default()).feed(message)
    }

    #[test]
    fn each_limit_at_its_edge() {
        let complete = Ok(HeaderStatus::Complete { body: 0 });
        // RFC 5321 §6.3: one hundred hops are a long way, one more is a circle.
        assert_eq!(feed(&header(100, "Received: a\r\n")), complete);
        assert_eq!(feed(&header(101, "Received: a\r\n")), Err(HeaderLimit::Hops));
        assert_eq!(feed(&header(101, "X-Received: a\r\n")), complete);
        assert_eq!(feed(&header(1000, "A: b\r\n")), complete);
        assert_eq!(feed(&header(1001, "A: b\r\n")), Err(HeaderLimit::Fields));
        let long = |length: usize| header(1, &format!("A: {}\r\n", "x".repeat(length - 5)));
        assert_eq!(feed(&long(102_400)), complete);
        assert_eq!(feed(&long(102_401)), Err(HeaderLimit::FieldSize));
        let sized = |length: usize| header(length / 2048, &format!("A: {}\r\n", "x".repeat(2043)));
        assert_eq!(feed(&sized(1 << 20)[..1 << 20]), Ok(HeaderStatus::Open));
        assert_eq!(feed(&sized(1 << 20)), Err(HeaderLimit::Size));
    }

    #[test]
    fn a_passed_limit_stays_passed() {
        let mut scanner = HeaderScanner::new(HeaderLimits { fields_max: 1, ..HeaderLimits::default() });
        assert_eq!(scanner.feed(b"A: 1\r\nB"), Err(HeaderLimit::Fields));
        assert_eq!(scanner.feed(b": 2\r\n\r\n"), Err(HeaderLimit::Fields));
        assert_eq!(scanner.finish(), Err(HeaderLimit::Fields));
        let mut scanner = HeaderScanner::new(HeaderLimits { field_size_max: 4, ..HeaderLimits::default() });
        assert_eq!(scanner.feed(b"A: 12"), Err(HeaderLimit::FieldSize));
        assert_eq!(scanner.finish(), Err(HeaderLimit::FieldSize));
    }

    /// What a scanner says of a message in pieces of so many octets: its limit, and how many octets stood within all limits.
    fn passed(message: &[u8], limits: HeaderLimits, piece: usize) -> (Result<(), HeaderLimit>, usize) {
        let mut scanner = HeaderScanner::new(limits);
        let result = message.chunks(piece).try_for_each(|piece| scanner.feed(piece).map(drop));
        (result, scanner.size())
    }

    #[test]
    fn where_a_limit_is_passed_does_not_depend_on_the_cut() {
        let limits = HeaderLimits { field_size_max: 14, size_max: 40, fields_max: 3, received_max: 1 };
        for (message, limit, within) in [
            // The colon counts, and the octets before it are within all limits.
            (&b"Received: a\r\nReceived: bb\r\nReceived: cccccccccccccc\r\n\r\n"[..], HeaderLimit::Hops, 21),
            (b"A: 1\r\nReceived: bbbbbb\r\nReceived: c\r\n\r\n", HeaderLimit::FieldSize, 20),
            (b"A: 1\r\nB: 2\r\nC: 3\r\nD: 456789012345\r\n\r\n", HeaderLimit::Fields, 18),
            (b"A: 1\r\n 2\r\n 3\r\n 4\r\nB: 2\r\n\r\n", HeaderLimit::FieldSize, 14),
        ] {
            for piece in 1..=message.len() {
                assert_eq!(passed(message, limits, piece), (Err(limit), within), "{piece}");
            }
        }
        let limits = HeaderLimits { size_max: 9, ..HeaderLimits::default() };
        for (message, within) in [(&b"A: 1\r\nB: 2\r\n\r\n"[..], 9), (b"A: 56\r\n\r\nx", 9), (b"A: 567\r\n\r\nx", 9)] {
            for piece in 1..=message.len() {
                let expected = if within == 9 && message.len() < 11 { Ok(()) } else { Err(HeaderLimit::Size) };
                assert_eq!(passed(message, limits, piece), (expected, within), "{message:?} {piece}");
            }
        }
    }

    proptest! {
        /// The scanner reads as `split` and `Fields` do, however the message is cut.
        #[test]
        fn one_reading(
            lines in prop::collection::vec(prop::sample::select(&[
                "Received: a", "RECEIVED :b", "Received\r\n : c", "Receive: d", "Received", "Receivedd: e", " f", "\t",
                ": g", "\r", "\rReceived: h", "Received\r: i", "A: 1",
            ][..]), 0..8),
            crlf in any::<bool>(),
            blank in any::<bool>(),
            cuts in prop::collection::vec(any::<usize>(), 0..6),
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let mut message = lines.iter().map(|line| format!("{line}{end}")).collect::<String>().into_bytes();
            if blank {
                message.extend_from_slice(end.as_bytes());
                message.extend_from_slice(b"Received: body\r\n\r\n");
            }
            let mut cuts = cuts.iter().map(|cut| cut % (message.len() + 1)).collect::<Vec<_>>();
            cuts.extend([0, message.len()]);
            cuts.sort_unstable();

            let mut scanner = HeaderScanner::new(HeaderLimits::default());
            let mut body = Vec::new();
            for pair in cuts.windows(2) {
                let slice = &message[pair[0]..pair[1]];
                if let HeaderStatus::Complete { body: length } = scanner.feed(slice).unwrap() {
                    body.extend_from_slice(&slice[slice.len() - length..]);
                }
            }
            scanner.finish().unwrap();

            let fields = Fields::new(&message).collect::<Vec<_>>();
            prop_assert_eq!(scanner.fields(), fields.len());
            prop_assert_eq!(scanner.received(), fields.iter().filter(|field| field.name_is("received")).count());
            prop_assert_eq!(scanner.longest_field(), fields.iter().map(|field| field.raw.len()).max().unwrap_or(0));
            prop_assert_eq!(scanner.size(), split(&message).0.len());
            prop_assert_eq!(&body[..], split(&message).1);
        }
    }
}
