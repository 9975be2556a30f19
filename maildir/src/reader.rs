//! Reading a message as it came, with CRLF line ends, from any offset.

use pillarbox_fs::File;

use crate::Result;
use crate::file_name::Sizes;
use crate::line_ends::expand;

/// A message that is open for reading. It stays readable while it is held, also after the message is expunged.
///
/// Offsets count octets with CRLF line ends. Reading on where the last read ended costs nothing extra; going back costs
/// at most 64 KiB of reading from a remembered place; the first jump forward reads what lies between.
#[derive(Debug)]
pub struct MessageReader {
    file: File,
    len: u64,
    /// The file holds the message octet for octet.
    verbatim: bool,
    /// What `window` begins at, in the message and in the file.
    start: Mark,
    /// A piece of the message, line ends put back.
    window: Vec<u8>,
    /// Where in the file the next piece begins.
    next: Mark,
    /// Places to begin from, one each [`PIECE`] of the file, from its start on without gaps.
    marks: Vec<Mark>,
    piece: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    in_message: u64,
    in_file: u64,
    after_cr: bool,
}

const PIECE: usize = 64 << 10;

impl MessageReader {
    /// `sizes` are those that were true when somebody wrote them down.
    pub(crate) fn new(file: File, sizes: Option<Sizes>) -> Result<Self> {
        let file_len = file.metadata()?.len;
        // Another program may have changed the file, or set the sizes wrong: they count only if one can be seen true.
        // No line end is more than twice as long as its LF.
        let known = sizes
            .filter(|sizes| sizes.file == file_len && sizes.message >= sizes.file && sizes.message / 2 <= sizes.file);
        let mut reader = MessageReader {
            file,
            len: 0,
            verbatim: known.is_some_and(|sizes| sizes.message == sizes.file),
            start: Mark::default(),
            window: Vec::new(),
            next: Mark::default(),
            marks: vec![Mark::default()],
            piece: Vec::new(),
        };
        reader.len = match known {
            Some(Sizes { message, .. }) => message,
            None => {
                while reader.advance()? {}
                reader.next.in_message
            }
        };
        Ok(reader)
    }

    /// The length of the message in octets, with CRLF line ends.
    #[allow(clippy::len_without_is_empty)] // An empty message is a message like any other.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Reads at an offset and returns how many octets it read: fewer than asked for only at the end.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset.saturating_add(filled as u64);
            if self.verbatim {
                match self.file.read_at(at, &mut buffer[filled..])? {
                    0 => break,
                    n => filled += n,
                }
                continue;
            }
            if !self.seek(at)? {
                break;
            }
            let rest = &self.window[(at - self.start.in_message) as usize..];
            let n = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + n].copy_from_slice(&rest[..n]);
            filled += n;
        }
        Ok(filled)
    }

    /// Brings the window over an offset; false if the message ends before.
    fn seek(&mut self, offset: u64) -> Result<bool> {
        if offset < self.start.in_message || offset >= self.next.in_message {
            let mark = self.marks[self.marks.partition_point(|mark| mark.in_message <= offset) - 1];
            // Reading on from the window is better when the mark lies before its end.
            if offset < self.start.in_message || mark.in_message > self.next.in_message {
                self.start = mark;
                self.next = mark;
                self.window.clear();
            }
        }
        while offset >= self.next.in_message {
            if !self.advance()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the next piece of the file into the window; false at its end.
    fn advance(&mut self) -> Result<bool> {
        self.piece.resize(PIECE, 0);
        let mut filled = 0;
        while filled < PIECE {
            match self.file.read_at(self.next.in_file + filled as u64, &mut self.piece[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        if filled == 0 {
            return Ok(false);
        }
        self.start = self.next;
        self.window.clear();
        let mut after_cr = self.start.after_cr;
        expand(&self.piece[..filled], &mut after_cr, &mut self.window);
        self.next = Mark {
            in_message: self.start.in_message + self.window.len() as u64,
            in_file: self.start.in_file + filled as u64,
            after_cr,
        };
        if self.marks.last().is_none_or(|mark| mark.in_file < self.next.in_file) {
            self.marks.push(self.next);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox_fs::{Fs, RealFs};

    fn reader(content: &[u8], name: &str) -> MessageReader {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        std::fs::write(&path, content).unwrap();
        let sizes = crate::lines::Fields(b"").sizes(name.as_bytes());
        MessageReader::new(RealFs.open(&path).unwrap(), sizes).unwrap()
    }

    #[test]
    fn from_any_offset_in_any_order() {
        let line_feeds: Vec<u8> =
            (0..200_000u32).map(|n| if n % 7 == 0 { b'\n' } else { b'a' + (n % 26) as u8 }).collect();
        let mut message = Vec::new();
        expand(&line_feeds, &mut false, &mut message);
        let sizes = format!("1.h,S={},W={}", line_feeds.len(), message.len());
        for name in [&sizes[..], "1.h", "1.h,S=3,W=5"] {
            let mut reader = reader(&line_feeds, name);
            assert_eq!(reader.len(), message.len() as u64);
            for offset in [0usize, 1, 150_000, 65_536, 65_535, 75_000, 228_571, 3, 228_572, 300_000, 0] {
                for len in [1usize, 2, 1000, 140_000] {
                    let mut buffer = vec![0; len];
                    let n = reader.read_at(offset as u64, &mut buffer).unwrap();
                    let expected = &message[offset.min(message.len())..(offset + len).min(message.len())];
                    assert!(buffer[..n] == *expected, "{name} {offset} {len}");
                }
            }
        }
    }

    #[test]
    fn equal_sizes_mean_octet_for_octet() {
        let mut buffer = [0; 10];
        let mut exact = reader(b"a\nb\r\n", "1.h,S=5,W=5");
        let n = exact.read_at(0, &mut buffer).unwrap();
        assert_eq!((exact.len(), &buffer[..n]), (5, &b"a\nb\r\n"[..]));
        let mut repaired = reader(b"a\nb\r\n", "1.h");
        let n = repaired.read_at(0, &mut buffer).unwrap();
        assert_eq!((repaired.len(), &buffer[..n]), (6, &b"a\r\nb\r\n"[..]));
    }
}
