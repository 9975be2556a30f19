//! From the CRLF of the wire to the LF of the disk, where that loses nothing.

use crate::file_name::Sizes;

/// Turns a message into what its file holds, chunk by chunk.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    verbatim: bool,
    /// A CR at the end of the last chunk waits to see whether an LF follows.
    held: bool,
    /// The octet written last was a CR.
    after_cr: bool,
    line_feeds: u64,
    written: u64,
}

/// The message cannot be brought back from LF line ends: go on verbatim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous {
    /// How much of the chunk was used before that was seen.
    pub(crate) used: usize,
}

impl Encoder {
    pub(crate) fn new(verbatim: bool) -> Self {
        Encoder { verbatim, held: false, after_cr: false, line_feeds: 0, written: 0 }
    }

    /// Appends to `out` what the chunk becomes.
    ///
    /// The reader puts a CR before each LF that has none, so two things cannot be stored this way: an LF without
    /// a CR, and a CR right before a CRLF.
    pub(crate) fn encode(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Ambiguous> {
        if self.verbatim {
            self.written += chunk.len() as u64;
            out.extend_from_slice(chunk);
            return Ok(());
        }
        let mut at = 0;
        while at < chunk.len() {
            let end = memchr::memchr2(b'\r', b'\n', &chunk[at..]).map_or(chunk.len(), |n| at + n);
            if end > at {
                self.release(out);
                out.extend_from_slice(&chunk[at..end]);
                self.written += (end - at) as u64;
                self.after_cr = false;
            }
            match chunk.get(end) {
                Some(b'\r') => {
                    self.release(out);
                    self.held = true;
                }
                Some(_) if self.held && !self.after_cr => {
                    self.held = false;
                    out.push(b'\n');
                    self.written += 1;
                    self.line_feeds += 1;
                }
                Some(_) => return Err(Ambiguous { used: end }),
                None => {}
            }
            at = end + 1;
        }
        Ok(())
    }

    /// Appends what is still held, and gives the sizes.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Sizes {
        self.release(out);
        Sizes { file: self.written, message: self.written + self.line_feeds }
    }

    /// Goes on verbatim. `out` gets what was held; everything before has to be written again by [`expand`].
    pub(crate) fn go_verbatim(&mut self, out: &mut Vec<u8>) {
        self.release(out);
        self.verbatim = true;
        self.written += self.line_feeds;
        self.line_feeds = 0;
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held) {
            out.push(b'\r');
            self.written += 1;
            self.after_cr = true;
        }
    }
}

/// Appends `chunk` with a CR before each LF that has none. `after_cr` is carried from chunk to chunk.
pub(crate) fn expand(chunk: &[u8], after_cr: &mut bool, out: &mut Vec<u8>) {
    let mut rest = chunk;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        out.extend_from_slice(line);
        if !line.last().map_or(*after_cr, |octet| *octet == b'\r') {
            out.push(b'\r');
        }
        out.push(b'\n');
        *after_cr = false;
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
    *after_cr = rest.last().map_or(*after_cr, |octet| *octet == b'\r');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The file, and whether it is verbatim.
    fn store(chunks: &[&[u8]]) -> (Vec<u8>, bool, Sizes) {
        let mut encoder = Encoder::new(false);
        let mut file = Vec::new();
        for chunk in chunks {
            if let Err(Ambiguous { used }) = encoder.encode(chunk, &mut file) {
                let mut whole = Vec::new();
                encoder.go_verbatim(&mut file);
                expand(&file, &mut false, &mut whole);
                file = whole;
                encoder.encode(&chunk[used..], &mut file).unwrap();
            }
        }
        let sizes = encoder.finish(&mut file);
        (file, encoder.verbatim, sizes)
    }

    #[test]
    fn what_becomes_of_line_ends() {
        for (message, file, verbatim) in [
            (&b""[..], &b""[..], false),
            (b"a\r\nb\r\n", b"a\nb\n", false),
            (b"a\rb\r\n", b"a\rb\n", false),
            (b"a\r\n\r", b"a\n\r", false),
            (b"\r\n\r\n", b"\n\n", false),
            (b"a\r\r\r", b"a\r\r\r", false),
            (b"a\r\nb\n", b"a\r\nb\n", true),
            (b"a\r\nb\r\r\nc\r\n", b"a\r\nb\r\r\nc\r\n", true),
        ] {
            let (stored, is_verbatim, sizes) = store(&[message]);
            assert_eq!((&stored[..], is_verbatim), (file, verbatim), "{:?}", message.escape_ascii().to_string());
            assert_eq!(sizes, Sizes { file: file.len() as u64, message: message.len() as u64 });
        }
    }

    proptest! {
        #[test]
        fn every_message_comes_back_however_it_is_cut(
            message in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x')], 0..40),
            cuts in proptest::collection::vec(0..40usize, 0..4),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(message.len())).collect();
            cuts.extend([0, message.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &message[pair[0]..pair[1]]).collect();
            let (file, verbatim, sizes) = store(&chunks);
            let whole = store(&[&message]);
            prop_assert_eq!((&file, verbatim, sizes), (&whole.0, whole.1, whole.2));
            prop_assert_eq!(sizes, Sizes { file: file.len() as u64, message: message.len() as u64 });
            let mut read = Vec::new();
            if verbatim { read = file } else { expand(&file, &mut false, &mut read) }
            prop_assert_eq!(read, message);
        }
    }
}
