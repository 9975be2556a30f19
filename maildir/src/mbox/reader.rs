//! Reading, one piece after the other.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::Envelope;
use super::from_line::LINE_MAX;
use super::marks::{Field, Marks, NAME_MAX, Start};

/// The dialect of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Found out for each message, as the [module](super) says.
    #[default]
    Detect,
    /// One `>` of any number in front of `From ` is a quote. Lengths count for nothing.
    Mboxrd,
    /// Only of `>From ` the `>` is a quote. Lengths count for nothing.
    Mboxo,
    /// Lengths count where they are right; lines are quoted as in mboxrd.
    Mboxcl,
    /// Lengths count where they are right, and nothing is quoted.
    Mboxcl2,
}

/// What is wrong with a file.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MboxError {
    /// It cannot be read on.
    #[error("line {line}: {error}")]
    Read {
        /// The line that was being read, from 1.
        line: u64,
        /// Why.
        error: Arc<io::Error>,
    },
    /// It does not begin with a From_ line.
    #[error("line {line}: no mbox: it does not begin with `From `")]
    NotMbox {
        /// The first line that is not empty.
        line: u64,
    },
}

/// Reads the messages of an mbox, in pieces, in bounded memory.
///
/// The source has to be one that can be read again: whether a length leads to the next message is seen by looking there.
///
/// ```
/// use pillarbox_maildir::Flags;
/// use pillarbox_maildir::mbox::MboxReader;
///
/// let file = "From a@b.example Wed Feb  3 10:11:12 2021\nStatus: RO\nSubject: hi\n\n>From me\n\n";
/// let mut mbox = MboxReader::new(std::io::Cursor::new(file))?;
/// let envelope = mbox.next_message()?.expect("one message");
/// assert_eq!(envelope.sender, "a@b.example");
///
/// let mut message = Vec::new();
/// while let Some(piece) = mbox.read()? {
///     message.extend_from_slice(piece);
/// }
/// assert_eq!(message, b"Subject: hi\r\n\r\nFrom me\r\n");
/// assert_eq!(mbox.marks().flags, Flags::SEEN);
/// assert!(mbox.next_message()?.is_none());
/// # Ok::<(), pillarbox_maildir::mbox::MboxError>(())
/// ```
#[derive(Debug)]
pub struct MboxReader<R> {
    source: R,
    len: u64,
    format: Format,
    buffer: Vec<u8>,
    /// What is unread in the buffer.
    start: usize,
    end: usize,
    eof: bool,
    /// Of `start`, in the file.
    position: u64,
    /// Of `start`, from 1.
    line: u64,
    place: Place,
    /// Where the line goes on that a piece ended in.
    within: Within,
    message: Message,
    out: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first message.
    Start,
    /// At a From_ line, or at empty lines before one, or at the end.
    Between,
    Header,
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    LineStart,
    /// In a line of the message.
    Line,
    /// In a run of `>`, of which one is kept back until it is seen what follows, and so many were there.
    Quotes(u64),
    /// In a field that is taken out.
    Ours,
}

/// What is known of the message that is being read.
#[derive(Debug, Default)]
struct Message {
    line: u64,
    offset: u64,
    marks: Marks,
    /// The field that is being taken out, and its value.
    field: Option<(Field, Vec<u8>)>,
    content_length: Option<u64>,
    internal: bool,
    /// A field of its own has been read, so that no more of ours can be those that an export put first.
    own_fields: bool,
    /// Line ends stay as they are.
    lines: bool,
    /// The last line end is not its own.
    unended: bool,
    /// Where in the file it ends, if its length is right.
    until: Option<u64>,
    quoted: bool,
    /// So many line ends may not be its own: that of an empty line, and in an `unended` one that of the line before.
    held: u8,
}

const BUFFER: usize = 64 << 10;
/// So much is read of the value of a field that is taken out; the rest of it means nothing.
const VALUE_MAX: usize = 64 << 10;

impl<R: Read + Seek> MboxReader<R> {
    /// Reads from the beginning of `source`, and finds out the dialect.
    pub fn new(source: R) -> Result<Self, MboxError> {
        Self::with_format(source, Format::Detect)
    }

    /// Reads a file of a dialect that is known.
    pub fn with_format(mut source: R, format: Format) -> Result<Self, MboxError> {
        let told = |error| MboxError::Read { line: 1, error: Arc::new(error) };
        let len = source.seek(SeekFrom::End(0)).map_err(told)?;
        source.rewind().map_err(told)?;
        Ok(MboxReader {
            source,
            len,
            format,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            eof: false,
            position: 0,
            line: 1,
            place: Place::Start,
            within: Within::LineStart,
            message: Message::default(),
            out: Vec::new(),
        })
    }

    /// Goes on to the next message, whether the one before was read or not; `None` at the end of the file.
    pub fn next_message(&mut self) -> Result<Option<Envelope>, MboxError> {
        while self.read()?.is_some() {}
        loop {
            let (place, number) = (self.place, self.line);
            let line = self.look(LINE_MAX + 2)?;
            let Some(end) = memchr::memchr(b'\n', line).or((!line.is_empty()).then_some(line.len())) else {
                return Ok(None);
            };
            let content = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
            let is_empty = content.is_empty();
            let envelope = match place {
                Place::Start if !is_empty => match Envelope::parse_first(content) {
                    Some(envelope) => Some(envelope),
                    None => return Err(MboxError::NotMbox { line: number }),
                },
                _ if is_empty => None,
                _ => Some(Envelope::parse(content).unwrap_or_default()),
            };
            let (line, offset) = (self.line, self.position);
            self.skip_line()?;
            if let Some(envelope) = envelope {
                self.place = Place::Header;
                self.within = Within::LineStart;
                self.message = Message { line, offset, quoted: self.format != Format::Mboxcl2, ..Message::default() };
                return Ok(Some(envelope));
            }
        }
    }

    /// The next piece of the message, line ends as CRLF; `None` at its end. Pieces are at most some 128 KiB long.
    pub fn read(&mut self) -> Result<Option<&[u8]>, MboxError> {
        self.out.clear();
        while self.out.len() < BUFFER && matches!(self.place, Place::Header | Place::Body) {
            self.advance()?;
        }
        if self.out.is_empty() { Ok(None) } else { Ok(Some(&self.out)) }
    }

    /// The flags of the message, as far as it has been read.
    pub fn marks(&self) -> &Marks {
        &self.message.marks
    }

    /// Whether the message, as far as it has been read, is UW-imapd's note to itself.
    pub fn is_internal(&self) -> bool {
        self.message.internal && self.message.offset == 0
    }

    /// The line of the message's From_ line, from 1.
    pub fn line(&self) -> u64 {
        self.message.line
    }

    /// The octet of the file at which the message's From_ line begins.
    pub fn offset(&self) -> u64 {
        self.message.offset
    }

    /// How many octets the file has.
    pub fn file_len(&self) -> u64 {
        self.len
    }

    /// Takes in some of the file.
    fn advance(&mut self) -> Result<(), MboxError> {
        match self.within {
            Within::LineStart => self.begin_line(),
            Within::Line => self.go_on(),
            Within::Quotes(count) => self.go_on_quotes(count),
            Within::Ours => self.go_on_ours(),
        }
    }

    fn begin_line(&mut self) -> Result<(), MboxError> {
        if self.message.until.is_some_and(|until| self.position >= until) {
            self.end_message();
            return Ok(());
        }
        let (measured, lines) = (self.message.until.is_some(), self.message.lines);
        let line = self.look(LINE_MAX + 2)?;
        if line.is_empty() || !measured && is_from_line(line) {
            self.end_message();
            return Ok(());
        }
        let empty = match line {
            [b'\n', ..] => Some(1),
            // Where line ends are as they stand, a CR is an octet of a line.
            [b'\r', b'\n', ..] if !lines => Some(2),
            _ => None,
        };
        let (start, quote) = (Start::of(&line[..line.len().min(NAME_MAX)]), line[0] == b'>');
        if self.place == Place::Header && start != Start::Folded {
            self.end_field();
        }
        if let Some(octets) = empty {
            self.consume(octets);
            if self.place == Place::Header {
                self.begin_body()?;
            }
            self.hold();
            return Ok(());
        }
        if self.place == Place::Header {
            match start {
                // An export puts it before all that is the message's.
                Start::Ours(Field::Export, _) if self.message.own_fields => {}
                Start::Ours(field, value) => {
                    self.message.field = Some((field, Vec::new()));
                    self.consume(value);
                    self.within = Within::Ours;
                    return Ok(());
                }
                Start::Folded if self.message.field.is_some() => {
                    self.within = Within::Ours;
                    return Ok(());
                }
                Start::Field | Start::Folded => self.message.own_fields = true,
                Start::Text => self.place = Place::Body,
            }
        }
        self.release();
        self.within = if quote && self.message.quoted { Within::Quotes(0) } else { Within::Line };
        Ok(())
    }

    /// Up to the end of the line.
    fn go_on(&mut self) -> Result<(), MboxError> {
        let (left, lines) = (self.left(), self.message.lines);
        let rest = self.look(2)?;
        let rest = &rest[..rest.len().min(left)];
        let end = memchr::memchr(b'\n', rest);
        let mut piece = &rest[..end.unwrap_or(rest.len())];
        let mut used = piece.len() + usize::from(end.is_some());
        if !lines && (end.is_some() || piece.len() > 1) {
            // One at the end of a piece waits to see what follows.
            if let Some(without) = piece.strip_suffix(b"\r") {
                piece = without;
                used -= usize::from(end.is_none());
            }
        }
        let at_end = rest.is_empty();
        let (len, is_whole) = (piece.len(), end.is_some());
        self.out.extend_from_slice(&self.buffer[self.start..self.start + len]);
        self.consume(used);
        if is_whole {
            if self.message.unended { self.hold() } else { self.put() }
        }
        if is_whole || at_end {
            self.within = Within::LineStart;
        }
        Ok(())
    }

    fn go_on_quotes(&mut self, count: u64) -> Result<(), MboxError> {
        let left = self.left();
        let rest = self.look(5)?;
        let rest = &rest[..rest.len().min(left)];
        let run = rest.iter().position(|octet| *octet != b'>').unwrap_or(rest.len());
        if run > 0 {
            // One of all is kept back. All are alike, so it does not matter which.
            self.out.resize(self.out.len() + run - usize::from(count == 0), b'>');
            self.consume(run);
            self.within = Within::Quotes(count + run as u64);
            return Ok(());
        }
        let is_quote = rest.starts_with(b"From ") && (self.format != Format::Mboxo || count == 1);
        if !is_quote {
            self.out.push(b'>');
        }
        self.within = Within::Line;
        Ok(())
    }

    fn go_on_ours(&mut self) -> Result<(), MboxError> {
        let rest = self.look(1)?;
        let end = memchr::memchr(b'\n', rest);
        let used = end.map_or(rest.len(), |end| end + 1);
        if let Some((_, value)) = &mut self.message.field {
            let most = used.min(VALUE_MAX - value.len());
            value.extend_from_slice(&self.buffer[self.start..self.start + most]);
        }
        self.consume(used);
        if end.is_some() || used == 0 {
            self.within = Within::LineStart;
            if matches!(self.message.field, Some((Field::Export, _))) {
                self.end_field();
            }
        }
        Ok(())
    }

    /// Octets up to where the message ends, as far as that is known.
    fn left(&self) -> usize {
        let left = self.message.until.map_or(u64::MAX, |until| until - self.position);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Reads the value of the field that was taken out.
    fn end_field(&mut self) {
        let Some((field, value)) = self.message.field.take() else { return };
        let message = &mut self.message;
        match field {
            Field::Internal => message.internal = true,
            Field::ContentLength => {
                let text = std::str::from_utf8(&value).unwrap_or_default().trim();
                let digits = text.bytes().all(|octet| octet.is_ascii_digit());
                message.content_length = text.parse().ok().filter(|_| digits);
            }
            Field::Export => {
                let words = String::from_utf8_lossy(&value);
                message.lines = words.split_ascii_whitespace().any(|word| word == "lines");
                message.unended = words.split_ascii_whitespace().any(|word| word == "unended");
                message.content_length = None;
                self.place = Place::Body;
            }
            field => message.marks.take(field, &value),
        }
    }

    /// Behind the empty line that ends a header.
    fn begin_body(&mut self) -> Result<(), MboxError> {
        self.place = Place::Body;
        if matches!(self.format, Format::Mboxrd | Format::Mboxo) {
            return Ok(());
        }
        let Some(until) = self.message.content_length.and_then(|length| self.position.checked_add(length)) else {
            return Ok(());
        };
        if until > self.len || !self.is_boundary(until)? {
            return Ok(());
        }
        self.message.until = Some(until);
        if self.format == Format::Detect {
            self.message.quoted = !self.holds_from(until)?;
        }
        Ok(())
    }

    /// Whether a message can end here: at the end of a line, with nothing but empty lines before a From_ line or the end.
    fn is_boundary(&mut self, at: u64) -> Result<bool, MboxError> {
        let mut near = [0; LINE_MAX];
        // With the octet before.
        let read = self.read_aside(at - 1, &mut near)?;
        let (before, mut rest) = near[..read].split_at(read.min(1));
        if before != b"\n" {
            return Ok(false);
        }
        loop {
            match rest {
                [b'\n', more @ ..] | [b'\r', b'\n', more @ ..] => rest = more,
                [] => return Ok(at - 1 + read as u64 == self.len),
                _ => break,
            }
        }
        Ok(is_from_line(rest))
    }

    /// Whether a line between here and there begins with `From `.
    fn holds_from(&mut self, until: u64) -> Result<bool, MboxError> {
        let finder = memchr::memmem::Finder::new(b"\nFrom ");
        let mut piece = vec![0; BUFFER];
        // From the end of the line before.
        let mut at = self.position - 1;
        while at < until {
            let most = usize::try_from(until - at).unwrap_or(usize::MAX).min(BUFFER);
            let read = self.read_aside(at, &mut piece[..most])?;
            if finder.find(&piece[..read]).is_some() {
                return Ok(true);
            }
            if read < finder.needle().len() {
                break;
            }
            // The words may lie across the end of the piece.
            at += (read - (finder.needle().len() - 1)) as u64;
        }
        Ok(false)
    }

    /// Reads at an offset, from the buffer if it is there, and comes back.
    fn read_aside(&mut self, at: u64, into: &mut [u8]) -> Result<usize, MboxError> {
        let buffered = self.position - self.start as u64..self.position + (self.end - self.start) as u64;
        if at >= buffered.start && (at + into.len() as u64 <= buffered.end || self.eof && at <= buffered.end) {
            let from = (at - buffered.start) as usize;
            let read = into.len().min(self.end - from);
            into[..read].copy_from_slice(&self.buffer[from..from + read]);
            return Ok(read);
        }
        let mut read = 0;
        let result = self.source.seek(SeekFrom::Start(at)).and_then(|_| {
            while read < into.len() {
                match self.source.read(&mut into[read..]) {
                    Ok(0) => break,
                    Ok(n) => read += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.source.seek(SeekFrom::Start(buffered.end))
        });
        result.map_err(|error| self.told(error))?;
        Ok(read)
    }

    fn end_message(&mut self) {
        self.end_field();
        self.message.held = 0;
        self.place = Place::Between;
        self.within = Within::LineStart;
    }

    /// A line end that is the message's only if more of it follows.
    fn hold(&mut self) {
        let most = if self.message.unended { 2 } else { 1 };
        // Within a length every line end is.
        if self.message.until.is_some() || self.message.held == most {
            self.put();
        } else {
            self.message.held += 1;
        }
    }

    fn release(&mut self) {
        for _ in 0..std::mem::take(&mut self.message.held) {
            self.put();
        }
    }

    fn put(&mut self) {
        self.out.extend_from_slice(if self.message.lines { b"\n" } else { b"\r\n" });
    }

    /// At least so many octets, fewer only at the end of the file; more if they are there.
    fn look(&mut self, least: usize) -> Result<&[u8], MboxError> {
        while self.end - self.start < least && !self.eof {
            if self.end == self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.eof = true,
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.told(error)),
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, octets: usize) {
        let used = &self.buffer[self.start..self.start + octets];
        self.line += memchr::memchr_iter(b'\n', used).count() as u64;
        self.start += octets;
        self.position += octets as u64;
    }

    fn skip_line(&mut self) -> Result<(), MboxError> {
        loop {
            let rest = self.look(1)?;
            let end = memchr::memchr(b'\n', rest).map(|end| end + 1);
            let used = end.unwrap_or(rest.len());
            self.consume(used);
            if end.is_some() || used == 0 {
                return Ok(());
            }
        }
    }

    fn told(&self, error: io::Error) -> MboxError {
        MboxError::Read { line: self.line, error: Arc::new(error) }
    }
}

/// Whether a line, which may be followed by others, is a From_ line.
fn is_from_line(line: &[u8]) -> bool {
    let end = memchr::memchr(b'\n', line).unwrap_or(line.len());
    line.starts_with(b"From ") && Envelope::parse(line[..end].strip_suffix(b"\r").unwrap_or(&line[..end])).is_some()
}
