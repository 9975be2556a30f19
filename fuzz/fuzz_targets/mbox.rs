//! mbox: any file is read alike however it comes, and any message that is written comes back.
#![no_main]

use std::io::{Cursor, Read, Seek, SeekFrom};

use libfuzzer_sys::fuzz_target;
use pillarbox_maildir::mbox::{Envelope, Format, Marks, MboxError, MboxReader, MboxWriter};

/// Gives few octets at a time.
struct Slow<'a>(Cursor<&'a [u8]>, usize);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

impl Seek for Slow<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

type Messages = Vec<(Envelope, Vec<u8>, Marks, u64)>;

/// The messages, and whether the file is an mbox.
fn read(source: impl Read + Seek, format: Format) -> (Messages, bool) {
    let mut mbox = MboxReader::with_format(source, format).unwrap();
    let mut all = Vec::new();
    loop {
        match mbox.next_message() {
            Ok(Some(envelope)) => {
                let mut message = Vec::new();
                while let Some(piece) = mbox.read().unwrap() {
                    assert!(!piece.is_empty());
                    message.extend_from_slice(piece);
                }
                all.push((envelope, message, mbox.marks().clone(), mbox.line()));
            }
            Ok(None) => return (all, true),
            Err(MboxError::NotMbox { .. }) => return (all, false),
            Err(error) => panic!("{error}"),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, file)) = data.split_first() else { return };
    let formats = [Format::Detect, Format::Mboxrd, Format::Mboxo, Format::Mboxcl, Format::Mboxcl2];
    let format = formats[usize::from(*choice) % formats.len()];
    let whole = read(Cursor::new(file), format);
    assert_eq!(read(Slow(Cursor::new(file), 1 + usize::from(*choice) / 8), format), whole);
    let octets: usize = whole.0.iter().map(|(_, message, ..)| message.len()).sum();
    assert!(octets <= 2 * file.len(), "no more than each LF as CRLF");

    // What was read, and the file itself, as messages.
    let mut mbox = MboxWriter::new(Vec::new());
    let mut expected: Vec<(Vec<u8>, Marks)> = whole.0.into_iter().map(|(_, message, marks, _)| (message, marks)).collect();
    expected.push((file.to_vec(), Marks::default()));
    for (message, marks) in &mut expected {
        // Commas part words in some programs' files.
        marks.keywords.retain(|word| word.chars().all(|c| c.is_ascii_alphanumeric()));
        mbox.add(&Envelope::default(), marks, Cursor::new(&message)).unwrap();
    }
    let written = mbox.into_inner();
    let again: Vec<(Vec<u8>, Marks)> =
        read(Cursor::new(&written), Format::Detect).0.into_iter().map(|(_, message, marks, _)| (message, marks)).collect();
    assert!(again == expected, "{}", written.escape_ascii());
});
