//! Writing, as mboxrd.

use std::io::{self, Read, Seek, Write};

use super::Envelope;
use super::marks::{Marks, NAME_MAX, Start};
use crate::line_ends::Encoder;

/// Writes messages to an mbox, so that [`MboxReader`](super::MboxReader) gives each back octet for octet.
///
/// ```
/// use pillarbox_maildir::Flags;
/// use pillarbox_maildir::mbox::{Envelope, Marks, MboxWriter};
///
/// let mut file = Vec::new();
/// let mut mbox = MboxWriter::new(&mut file);
/// let marks = Marks { flags: Flags::SEEN, ..Marks::default() };
/// let message = "Subject: hi\r\n\r\nFrom me\r\n";
/// mbox.add(&Envelope::default(), &marks, std::io::Cursor::new(message))?;
/// let expected = "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nStatus: RO\nSubject: hi\n\n>From me\n\n";
/// assert_eq!(String::from_utf8(file).unwrap(), expected);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct MboxWriter<W> {
    out: W,
    piece: Vec<u8>,
    quoted: Vec<u8>,
}

const PIECE: usize = 64 << 10;
/// What stands for an empty sender, and for one that cannot be written.
const RETURN_PATH: &[u8] = b"Return-Path:";

/// What has to be known of a message before its first octet is written.
#[derive(Debug, Default)]
struct Facts {
    /// Some line ends are not CRLF.
    lines: bool,
    unended: bool,
    /// What it begins with would not be told from the fields for flags.
    fields: bool,
    return_path: Option<String>,
}

impl<W: Write> MboxWriter<W> {
    /// Writes to `out`, which is at its beginning or behind other messages.
    pub fn new(out: W) -> Self {
        MboxWriter { out, piece: vec![0; PIECE], quoted: Vec::new() }
    }

    /// Adds a message. It is read twice. Without a sender, that of its Return-Path is written.
    ///
    /// # Errors
    ///
    /// What reading or writing reports. Part of the message may have been written.
    pub fn add(&mut self, envelope: &Envelope, marks: &Marks, mut message: impl Read + Seek) -> io::Result<()> {
        message.rewind()?;
        let mut facts = self.look_over(&mut message)?;
        message.rewind()?;
        let mut envelope = envelope.clone();
        if envelope.sender.is_empty() {
            envelope.sender = facts.return_path.take().unwrap_or_default();
        }
        writeln!(self.out, "{envelope}")?;
        self.out.write_all(marks.encode().as_bytes())?;
        if facts.lines || facts.unended || facts.fields {
            let word = |is_so, word| if is_so { word } else { "" };
            let (lines, unended) = (word(facts.lines, " lines"), word(facts.unended, " unended"));
            writeln!(self.out, "X-Pillarbox-Export:{lines}{unended}")?;
        }
        self.write_quoted(&mut message, facts.lines)?;
        // The line end that it lacks, and the empty line behind it.
        self.out.write_all(if facts.unended { b"\n\n" } else { b"\n" })
    }

    /// Ends, and gives back where it wrote to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn look_over(&mut self, message: &mut impl Read) -> io::Result<Facts> {
        let mut facts = Facts::default();
        let (mut encoder, mut encoded) = (Encoder::new(false), Vec::new());
        let mut header = Header::default();
        let mut last = None;
        loop {
            let read = read_some(message, &mut self.piece)?;
            if read == 0 {
                break;
            }
            let piece = &self.piece[..read];
            header.look_at(piece, &mut facts);
            encoded.clear();
            facts.lines = facts.lines || encoder.encode(piece, &mut encoded).is_err();
            last = piece.last().copied();
        }
        header.end(&mut facts);
        facts.unended = last.is_some_and(|octet| octet != b'\n');
        // With the line end that will be added, it would be one of CR and LF.
        facts.lines |= last == Some(b'\r');
        Ok(facts)
    }

    fn write_quoted(&mut self, message: &mut impl Read, lines: bool) -> io::Result<()> {
        let mut quoter = Quoter::default();
        let mut held_cr = false;
        loop {
            let read = read_some(message, &mut self.piece)?;
            if read == 0 {
                break;
            }
            self.quoted.clear();
            let mut rest = &self.piece[..read];
            while !lines && !rest.is_empty() {
                if std::mem::take(&mut held_cr) && rest[0] != b'\n' {
                    quoter.write(b"\r", &mut self.quoted);
                }
                let cr = memchr::memchr(b'\r', rest);
                quoter.write(&rest[..cr.unwrap_or(rest.len())], &mut self.quoted);
                held_cr = cr.is_some();
                rest = &rest[cr.map_or(rest.len(), |cr| cr + 1)..];
            }
            quoter.write(rest, &mut self.quoted);
            self.out.write_all(&self.quoted)?;
        }
        // A CR at the very end has its line ends as they are, so that none is held here.
        self.quoted.clear();
        quoter.end(&mut self.quoted);
        self.out.write_all(&self.quoted)
    }
}

/// What a header says before it is written.
#[derive(Default)]
struct Header {
    /// The first octets of a line.
    line: Vec<u8>,
    any: bool,
    ended: bool,
}

/// Of a line, as far as a Return-Path may need.
const LINE_MAX: usize = 512;

impl Header {
    fn look_at(&mut self, piece: &[u8], facts: &mut Facts) {
        let mut rest = piece;
        while !self.ended && !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let content = &rest[..end.unwrap_or(rest.len())];
            self.line.extend_from_slice(&content[..content.len().min(LINE_MAX - self.line.len())]);
            rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
            if end.is_some() {
                self.end_line(facts);
            }
        }
    }

    fn end_line(&mut self, facts: &mut Facts) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let start = match line.starts_with(FROM) {
            // It will be quoted, and then be taken for a field.
            true => Start::Field,
            false => Start::of(&line[..line.len().min(NAME_MAX)]),
        };
        self.ended = line.is_empty() || start == Start::Text;
        facts.fields |= matches!(start, Start::Ours(..)) || !self.any && start == Start::Folded;
        self.any = true;
        if facts.return_path.is_none()
            && line.len() > RETURN_PATH.len()
            && line[..RETURN_PATH.len()].eq_ignore_ascii_case(RETURN_PATH)
        {
            let address = String::from_utf8_lossy(&line[RETURN_PATH.len()..]);
            let address = address.trim();
            let address = address.strip_prefix('<').and_then(|address| address.strip_suffix('>')).unwrap_or(address);
            facts.return_path = Some(address.to_owned());
        }
    }

    /// The message may end in its header.
    fn end(mut self, facts: &mut Facts) {
        if !self.ended && !self.line.is_empty() {
            self.end_line(facts);
        }
    }
}

/// Puts one `>` more in front of lines of any number of them and `From `.
#[derive(Default)]
struct Quoter {
    /// In the middle of a line.
    within: bool,
    /// How much of `From ` has been seen, and not been written.
    seen: usize,
}

const FROM: &[u8] = b"From ";

impl Quoter {
    fn write(&mut self, mut rest: &[u8], out: &mut Vec<u8>) {
        while !rest.is_empty() {
            if self.within {
                let used = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                self.within = rest[used - 1] != b'\n';
                out.extend_from_slice(&rest[..used]);
                rest = &rest[used..];
            } else if rest[0] == FROM[self.seen] {
                self.seen += 1;
                rest = &rest[1..];
                if self.seen == FROM.len() {
                    // Among others of its kind it does not matter which is new.
                    out.push(b'>');
                    self.end(out);
                    self.within = true;
                }
            } else if rest[0] == b'>' && self.seen == 0 {
                let run = rest.iter().position(|octet| *octet != b'>').unwrap_or(rest.len());
                out.extend_from_slice(&rest[..run]);
                rest = &rest[run..];
            } else {
                self.end(out);
                self.within = true;
            }
        }
    }

    /// Writes what was kept back.
    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&FROM[..std::mem::take(&mut self.seen)]);
    }
}

fn read_some(message: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match message.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
