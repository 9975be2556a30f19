//! Which parts a message has and where they lie.

use alloc::vec::Vec;
use core::ops::Range;

use memchr::{memchr, memchr_iter, memmem};

use pillarbox_core::header::Fields;

use super::boundary::{Boundaries, Delimiter};
use super::content_type::ContentType;
use super::lex::only_token;
use super::{Encoding, Limits};

/// The tree of a message's parts as ranges of its octets.
///
/// Built in one pass: neither the depth of the tree nor the number of open boundaries multiplies the cost. Nothing of the
/// message is kept, so the same octets have to be given to whatever reads the tree.
///
/// ```
/// use pillarbox_imap::message::{Limits, PartKind, Structure};
///
/// let raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\n";
/// let structure = Structure::parse(raw, &Limits::default());
/// let parts = structure.parts();
/// assert_eq!(parts.len(), 3);
/// assert_eq!(parts[0].kind(), PartKind::Multipart);
/// assert_eq!(&raw[parts[2].body()], b"two");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    parts: Vec<Part>,
}

/// One part of a message, or the message itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    header: Range<usize>,
    body: Range<usize>,
    lines: usize,
    kind: PartKind,
    /// Whether no Content-Type means message/rfc822 here.
    in_digest: bool,
    /// The index behind the last part within this one.
    end: usize,
}

/// What a part is to IMAP, which describes these in different forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartKind {
    /// text/*: its lines are counted.
    Text,
    /// multipart/*. If it has no usable boundary, or the boundary never comes, one empty text part stands for what it
    /// should have.
    Multipart,
    /// message/rfc822 or message/global: the message in it is its only child.
    Message,
    /// Anything else.
    Other,
    /// A multipart or message that was not opened because of [`Limits`].
    Opaque,
}

impl Part {
    /// The header with its empty line, if it has one.
    pub fn header(&self) -> Range<usize> {
        self.header.clone()
    }

    /// The body as transferred. The line end before a boundary is not part of it (RFC 2046 §5.1.1).
    pub fn body(&self) -> Range<usize> {
        self.body.clone()
    }

    /// Header and body.
    pub fn whole(&self) -> Range<usize> {
        self.header.start..self.body.end
    }

    /// How many line ends the body has.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// What the part is to IMAP.
    pub fn kind(&self) -> PartKind {
        self.kind
    }

    /// The type the part declares, or the one that holds where it declares none or an unreadable one.
    pub fn content_type(&self, raw: &[u8], limits: &Limits) -> ContentType {
        ContentType::of_header(raw.get(self.header()).unwrap_or_default(), self.in_digest, limits)
    }

    /// How the body is encoded for transfer.
    pub fn encoding(&self, raw: &[u8]) -> Encoding {
        let mut fields = Fields::new(raw.get(self.header()).unwrap_or_default());
        let field = fields.find(|field| field.name_is("content-transfer-encoding"));
        field.map_or(Encoding::Identity, |field| Encoding::named(only_token(field.value)))
    }
}

impl Structure {
    /// Takes a message apart. Never fails: whatever is not MIME is text or one opaque part.
    ///
    /// Lines end with LF; a CR before it belongs to the line end.
    pub fn parse(raw: &[u8], limits: &Limits) -> Self {
        let mut scanner = Scanner {
            raw,
            limits,
            position: 0,
            line_feeds: 0,
            parts: Vec::new(),
            open: Vec::new(),
            boundaries: Boundaries::default(),
            delimiters: memmem::Finder::new(b"\n--"),
        };
        let mut next = Next::Part { in_digest: false };
        loop {
            next = match next {
                Next::Part { in_digest } => scanner.part(in_digest),
                Next::Body => scanner.body(),
                Next::End => break,
            }
        }
        scanner.end_parts(0, raw.len(), scanner.line_feeds);
        Structure { parts: scanner.parts }
    }

    /// All parts, each followed by those within it; the first is the message itself.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The indexes of the parts directly within a part, in order.
    pub fn children(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.parts.get(index).map_or(0, |part| part.end);
        let mut next = index + 1;
        core::iter::from_fn(move || {
            let child = (next < end).then_some(next)?;
            next = self.parts[child].end;
            Some(child)
        })
    }
}

/// What the scanner stands before.
enum Next {
    /// The header of a new part within the innermost open one.
    Part {
        in_digest: bool,
    },
    /// Lines of a body, a preamble or an epilogue.
    Body,
    End,
}

/// A part whose end has not been seen.
struct Open {
    index: usize,
    /// Line ends before its body.
    line_feeds: usize,
    is_digest: bool,
}

struct Scanner<'b> {
    raw: &'b [u8],
    limits: &'b Limits,
    /// Start of the line to look at next.
    position: usize,
    /// Line ends before `position`.
    line_feeds: usize,
    parts: Vec<Part>,
    open: Vec<Open>,
    boundaries: Boundaries,
    delimiters: memmem::Finder<'static>,
}

impl<'b> Scanner<'b> {
    /// Reads the header of a part and decides what its body is.
    fn part(&mut self, in_digest: bool) -> Next {
        let start = self.position;
        let index = self.parts.len();
        let mut cut = None;
        loop {
            let (line_start, line_feeds) = (self.position, self.line_feeds);
            match self.line() {
                b"" | b"\n" | b"\r\n" => break,
                [b'-', b'-', rest @ ..] => {
                    if let Some(delimiter) = self.delimiter(rest) {
                        cut = Some((delimiter, line_start, line_feeds));
                        break;
                    }
                }
                _ => {}
            }
        }
        let (header_end, line_feeds) =
            cut.map_or((self.position, self.line_feeds), |(_, line_start, line_feeds)| (line_start, line_feeds));
        let content_type = ContentType::of_header(&self.raw[start..header_end], in_digest, self.limits);
        let mut kind = content_type.kind();
        let is_container = matches!(kind, PartKind::Multipart | PartKind::Message);
        // Every open part but a leaf, of which none is open here, is a container.
        if is_container && (self.is_full(1) || self.open.len() >= self.limits.depth_max.min(200)) {
            kind = PartKind::Opaque;
        }
        self.parts.push(Part {
            header: start..header_end,
            body: header_end..header_end,
            lines: 0,
            kind,
            in_digest,
            end: index + 1,
        });
        self.open.push(Open { index, line_feeds, is_digest: content_type.is("multipart", "digest") });
        if let Some((delimiter, ..)) = cut {
            return self.delimited(delimiter, header_end, line_feeds);
        }
        match kind {
            PartKind::Message => Next::Part { in_digest: false },
            PartKind::Multipart => {
                if let Some(boundary) = content_type.boundary(self.limits) {
                    self.boundaries.open(self.open.len() - 1, boundary.to_vec());
                }
                Next::Body
            }
            _ => Next::Body,
        }
    }

    /// Skips to the next boundary.
    fn body(&mut self) -> Next {
        while !self.boundaries.is_empty() && self.position < self.raw.len() {
            let (line_start, line_feeds) = (self.position, self.line_feeds);
            if self.raw[line_start..].starts_with(b"--") {
                let line = self.line();
                if let Some(delimiter) = self.delimiter(&line[2..]) {
                    return self.delimited(delimiter, line_start, line_feeds);
                }
                // The next line may start with dashes too, and the search below begins with a line end.
                continue;
            }
            let skipped =
                self.delimiters.find(&self.raw[line_start..]).map_or(self.raw.len() - line_start, |at| at + 1);
            self.advance(skipped);
        }
        self.advance(self.raw.len() - self.position);
        Next::End
    }

    /// A boundary was found on the line that starts there, behind so many line ends; the line was read.
    fn delimited(&mut self, delimiter: Delimiter, line_start: usize, line_feeds: usize) -> Next {
        // A part that begins right here is empty; what is before this line belongs to those around it.
        let ending = self.open.get(delimiter.level + 1..).unwrap_or_default().iter().rev();
        let mut starts = ending.map(|open| self.parts[open.index].header.start);
        let part_start = starts.find(|&start| start < line_start).unwrap_or(line_start);
        // RFC 2046 §5.1.1: the line end before the boundary belongs to it, even if it looks like the end of a header.
        let (end, line_feeds) = match &self.raw[part_start..line_start] {
            [.., b'\r', b'\n'] => (line_start - 2, line_feeds - 1),
            [.., b'\n'] => (line_start - 1, line_feeds - 1),
            _ => (line_start, line_feeds),
        };
        self.end_parts(delimiter.level + 1, end, line_feeds);
        if delimiter.closes {
            // What follows is the epilogue, which this boundary does not divide.
            self.boundaries.close(delimiter.level);
            return Next::Body;
        }
        self.boundaries.close(delimiter.level + 1);
        Next::Part { in_digest: self.open.last().is_some_and(|open| open.is_digest) }
    }

    /// Ends the open parts at this level and above it.
    fn end_parts(&mut self, level: usize, end: usize, line_feeds: usize) {
        let Some(last) = self.open.get(level..).and_then(|open| open.last()) else { return };
        let innermost = &self.parts[last.index];
        let is_container = matches!(innermost.kind, PartKind::Multipart | PartKind::Message);
        if is_container && self.parts.len() == last.index + 1 {
            // RFC 9051 §9: body-type-mpart and body-type-msg are not without a body.
            self.parts.push(Part {
                header: end..end,
                body: end..end,
                lines: 0,
                kind: PartKind::Text,
                in_digest: false,
                end: self.parts.len() + 1,
            });
        }
        let parts_end = self.parts.len();
        for open in self.open.drain(level..) {
            let part = &mut self.parts[open.index];
            part.end = parts_end;
            // Where there is no body, the boundary's line end was taken for the header's.
            part.header.start = part.header.start.min(end);
            part.header.end = part.header.end.min(end);
            part.body = part.body.start.min(end)..end;
            part.lines = line_feeds.saturating_sub(open.line_feeds);
        }
    }

    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        // Longer lines only differ behind any boundary, but for the two dashes.
        let line = &line[..line.len().min(self.limits.boundary_size_max + 4)];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let delimiter = self.boundaries.find(line.strip_suffix(b"\r").unwrap_or(line))?;
        // No more parts are told apart, but those that are open still end.
        (delimiter.closes || !self.is_full(0)).then_some(delimiter)
    }

    /// Whether there is no room for a part behind so many that are on their way.
    fn is_full(&self, coming: usize) -> bool {
        self.parts.len() + coming >= self.limits.parts_max
    }

    /// Reads a line with its end; nothing at the end of the message.
    fn line(&mut self) -> &'b [u8] {
        let start = self.position;
        let rest = &self.raw[start..];
        let feed = memchr(b'\n', rest);
        self.line_feeds += usize::from(feed.is_some());
        self.position += feed.map_or(rest.len(), |at| at + 1);
        &self.raw[start..self.position]
    }

    fn advance(&mut self, n: usize) {
        let skipped = &self.raw[self.position..self.position + n];
        self.line_feeds += memchr_iter(b'\n', skipped).count();
        self.position += n;
    }
}
