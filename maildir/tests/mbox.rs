//! mbox files: what is read of them, and that what is written comes back.

use std::io::{Cursor, Read, Seek, SeekFrom};

use pillarbox_core::WallTime;
use pillarbox_maildir::Flags;
use pillarbox_maildir::mbox::{Envelope, Format, Marks, MboxError, MboxReader, MboxWriter};
use proptest::prelude::*;

/// Gives at most so many octets at a time.
struct Slow<R>(R, usize);

impl<R: Read> Read for Slow<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

impl<R: Seek> Seek for Slow<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

type Read1 = (String, Vec<u8>, Marks, u64);

fn read_from(source: impl Read + Seek, format: Format) -> Result<Vec<Read1>, MboxError> {
    let mut mbox = MboxReader::with_format(source, format)?;
    let mut all = Vec::new();
    while let Some(envelope) = mbox.next_message()? {
        let mut message = Vec::new();
        while let Some(piece) = mbox.read()? {
            assert!(!piece.is_empty() && piece.len() <= 192 << 10);
            message.extend_from_slice(piece);
        }
        if !mbox.is_internal() {
            all.push((envelope.sender, message, mbox.marks().clone(), mbox.line()));
        }
    }
    Ok(all)
}

fn read(file: &[u8], format: Format) -> Vec<Read1> {
    let whole = read_from(Cursor::new(file), format).unwrap();
    for most in [1, 3, 7] {
        assert_eq!(read_from(Slow(Cursor::new(file), most), format).unwrap(), whole, "{most} octets at a time");
    }
    whole
}

fn texts(file: &str, format: Format) -> Vec<String> {
    let read = read(file.as_bytes(), format);
    read.into_iter().map(|(_, message, ..)| String::from_utf8(message).unwrap().replace("\r\n", "|")).collect()
}

const FROM: &str = "From a@b.example Wed Feb  3 10:11:12 2021";

#[test]
fn where_messages_begin_and_end() {
    for (file, messages) in [
        (String::new(), vec![]),
        ("\n\r\n\n".into(), vec![]),
        (format!("{FROM}\nA: b\n\nbody\n\n{FROM}\nC: d\n\n"), vec!["A: b||body|", "C: d|"]),
        (format!("\n\n{FROM}\r\nA: b\r\n\r\nbody\r\n\r\n{FROM}\r\n\r\n"), vec!["A: b||body|", ""]),
        // No empty line before it, and no line end at the end of the file.
        (format!("{FROM}\nA: b\n\nbody\n{FROM}\nC: d"), vec!["A: b||body|", "C: d"]),
        (format!("{FROM}\nA: b\n{FROM}\n{FROM}\n"), vec!["A: b|", "", ""]),
        (FROM.to_owned(), vec![""]),
        // One empty line is taken, more are the message's.
        (format!("{FROM}\nA: b\n\nbody\n\n\n\n{FROM}\nC: d\n\n\n"), vec!["A: b||body|||", "C: d||"]),
        // No date, no From_ line.
        (format!("{FROM}\nA: b\n\nFrom here on\n\nFrom me to you\n"), vec!["A: b||From here on||From me to you|"]),
        // The first line is not asked for one.
        ("From somebody\nA: b\n\n".into(), vec!["A: b|"]),
        // What stands behind the last message is part of it.
        (format!("{FROM}\nA: b\n\n\u{0}\n\ngarbage \u{fffd}"), vec!["A: b||\u{0}||garbage \u{fffd}"]),
    ] {
        assert_eq!(texts(&file, Format::Detect), messages, "{file:?}");
    }
    let lines: Vec<u64> = read(format!("\n{FROM}\nA: b\n\n{FROM}\nStatus: R\n\n\n{FROM}\n").as_bytes(), Format::Detect)
        .iter()
        .map(|(.., line)| *line)
        .collect();
    assert_eq!(lines, [2, 5, 9]);
}

#[test]
fn what_is_no_mbox() {
    for (file, line) in [("Subject: x\n\n", 1), ("\n\n\0", 3), ("from a@b\n", 1), (">From a\n", 1), ("From", 1)] {
        match read_from(Cursor::new(file), Format::Detect) {
            Err(MboxError::NotMbox { line: told }) => assert_eq!(told, line, "{file:?}"),
            other => panic!("{file:?}: {other:?}"),
        }
    }
}

#[test]
fn quotes() {
    let file =
        format!("{FROM}\n>From: x\n\n>From a\n>>From b\n>>>>>>>From c\n >From d\n>from e\n>\n>>\n>Fro\n>From\n>");
    let rd = ">From: x||From a|>From b|>>>>>>From c| >From d|>from e|>|>>|>Fro|>From|>";
    let o = ">From: x||From a|>>From b|>>>>>>>From c| >From d|>from e|>|>>|>Fro|>From|>";
    let none = ">From: x||>From a|>>From b|>>>>>>>From c| >From d|>from e|>|>>|>Fro|>From|>";
    for (format, expected) in
        [(Format::Detect, rd), (Format::Mboxrd, rd), (Format::Mboxcl, rd), (Format::Mboxo, o), (Format::Mboxcl2, none)]
    {
        assert_eq!(texts(&file, format), [expected], "{format:?}");
    }
}

#[test]
fn lengths_count_where_they_are_right() {
    let with = |length: &str, body: &str| format!("{FROM}\nA: b\nContent-Length: {length}\n\n{body}");
    let two = format!("one\n\n{FROM}\n\n>From x\n");
    // mboxcl2: nothing is quoted, and what looks like another message is none.
    let all = format!("A: b||one||{FROM}||>From x|");
    for tail in ["", "\n", "\n\n\n"] {
        let file = with(&two.len().to_string(), &format!("{two}{tail}"));
        assert_eq!(texts(&file, Format::Detect), [&*all], "{tail:?}");
        assert_eq!(texts(&file, Format::Mboxcl2), [&*all], "{tail:?}");
        assert_eq!(texts(&file, Format::Mboxcl), [all.replace(">From x", "From x")], "{tail:?}");
        assert_eq!(texts(&file, Format::Mboxrd).len(), 2, "{tail:?}");
    }
    let followed = with(&two.len().to_string(), &format!("{two}\n{FROM}\nC: d\n\n"));
    assert_eq!(texts(&followed, Format::Detect), [&*all, "C: d|"]);
    // mboxcl: no line begins with `From `, so it is quoted.
    let quoted = "one\n\n>From x\n\n\n";
    assert_eq!(texts(&with(&quoted.len().to_string(), quoted), Format::Detect), ["A: b||one||From x|||"]);
    // None is right that does not lead to the end of a line and the next message.
    for wrong in ["0", "1", "3", "6", "999", "-1", "+4", "", "x", "99999999999999999999999", "18446744073709551615"] {
        let file = with(wrong, &format!("one\n\n{FROM}\n\n>From x\n"));
        let expected = vec!["A: b||one|".to_owned(), "|From x|".to_owned()];
        assert_eq!(texts(&file, Format::Detect), expected, "{wrong:?}");
    }
    assert_eq!(texts(&with("0", ""), Format::Detect), ["A: b||"]);
    assert_eq!(texts(&with("0", &format!("{FROM}\nC: d\n")), Format::Detect), ["A: b||", "C: d|"]);
    // Beyond what is in the buffer, and with the words across the edge of a piece.
    for size in [(64 << 10) - 3, 64 << 10, 200_000] {
        let long = format!("{}\nFrom x\n>From y\n", "a".repeat(size));
        let file = with(&long.len().to_string(), &format!("{long}\n{FROM}\nC: d\n"));
        let read = read_from(Cursor::new(&file), Format::Detect).unwrap();
        assert_eq!(read.len(), 2);
        assert!(read[0].1.ends_with(b"a\r\nFrom x\r\n>From y\r\n"), "{size}");
        assert_eq!(read[1].1, b"C: d\r\n");
    }
}

#[test]
fn fields_that_are_the_files() {
    let file = format!(
        "{FROM}\nX-IMAP: 1 2\nSubject: DON'T DELETE THIS MESSAGE\n\nnote\n\n{FROM}\nstatus: RO\nSubject: x\nX-Status:\n  AF\nX-Keywords: \
         one two\n\tthree\nX-UID: 7\n folded\nContent-Length: 99\nX-Spam: y\n\nStatus: D\n"
    );
    let read = read(file.as_bytes(), Format::Detect);
    assert_eq!(read.len(), 1, "UW-imapd's note is passed over");
    let (_, message, marks, _) = &read[0];
    assert_eq!(
        String::from_utf8_lossy(message),
        "Subject: x\r\n folded\r\nX-Spam: y\r\n\r\nStatus: D\r\n".replace(" folded\r\n", "")
    );
    assert_eq!(marks.flags, Flags::SEEN | Flags::ANSWERED | Flags::FLAGGED);
    assert_eq!(marks.keywords, ["one", "two", "three"]);
    // Only the first message can be that note.
    let second = format!("{FROM}\nA: b\n\n{FROM}\nX-IMAP: 1\nC: d\n\n");
    assert_eq!(texts(&second, Format::Detect), ["A: b|", "C: d|"]);
    // A value without end means nothing, and takes no memory.
    let long = format!("{FROM}\nX-Keywords: {}\nSubject: x\n\n", "k ".repeat(1 << 20));
    let read = read_from(Cursor::new(&long), Format::Detect).unwrap();
    assert_eq!((&read[0].1[..], read[0].2.keywords.len()), (&b"Subject: x\r\n"[..], 1));
}

/// An endless line, made as it is read.
struct Endless {
    at: u64,
    len: u64,
    octet: u8,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let start = format!("{FROM}\n");
        if self.at < start.len() as u64 {
            let rest = &start.as_bytes()[self.at as usize..];
            let n = rest.len().min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            self.at += n as u64;
            return Ok(n);
        }
        let n = into.len().min((self.len - self.at) as usize);
        into[..n].fill(self.octet);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Endless {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(_) => self.len,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).unwrap(),
        };
        Ok(self.at)
    }
}

#[test]
fn a_line_without_end_is_read_in_pieces() {
    let len = 1 << 26;
    for octet in [b'x', b'>', b'\0', b'\r', b'\n', b' '] {
        let mut mbox = MboxReader::new(Endless { at: 0, len, octet }).unwrap();
        mbox.next_message().unwrap().unwrap();
        let mut total = 0u64;
        while let Some(piece) = mbox.read().unwrap() {
            assert!(piece.len() <= 192 << 10);
            total += piece.len() as u64;
        }
        let body = len - FROM.len() as u64 - 1;
        assert_eq!(total, if octet == b'\n' { 2 * (body - 1) } else { body }, "{octet}");
        assert!(mbox.next_message().unwrap().is_none());
    }
}

fn written(messages: &[(Envelope, Marks, Vec<u8>)]) -> Vec<u8> {
    let mut mbox = MboxWriter::new(Vec::new());
    for (envelope, marks, message) in messages {
        mbox.add(envelope, marks, Cursor::new(message)).unwrap();
    }
    mbox.into_inner()
}

fn comes_back(message: &[u8]) -> String {
    let file = written(&[(Envelope::default(), Marks::default(), message.to_vec())]);
    let shown = file.escape_ascii().to_string();
    let read = read(&file, Format::Detect);
    assert_eq!(read.len(), 1, "{shown}");
    assert_eq!(read[0].1.escape_ascii().to_string(), message.escape_ascii().to_string(), "{shown}");
    assert_eq!(read[0].2, Marks::default(), "{shown}");
    String::from_utf8_lossy(&file).into_owned()
}

#[test]
fn what_is_written_comes_back() {
    for (message, exported) in [
        (&b""[..], false),
        (b"\r\n", false),
        (b"\r\n\r\n", false),
        (b"Subject: x\r\n", false),
        (b"Subject: x\r\n\r\n", false),
        (b"Subject: x\r\n\r\nFrom a\r\n>From b\r\n>>From c\r\n", false),
        (b"Subject: x\r\n\r\nStatus: R\r\n", false),
        (b"From x\r\nSubject: y\r\n\r\n", false),
        (b">From x\r\nSubject: y\r\n\r\n", false),
        (b"no header\r\nStatus: R\r\n", false),
        (b"Subject: x\r\n\r\na\rb\r\n", false),
        // One field more says how.
        (b"Subject: x", true),
        (b"Subject: x\r\n\r\nbody", true),
        (b"Subject: x\r\n\r\nbody\r", true),
        (b"Subject: x\r\n\r\nbody\n", true),
        (b"Subject: x\n\nbody\r\n\r\r\n", true),
        (b"\n", true),
        (b"\r", true),
        (b"Status: RO\r\nSubject: x\r\n\r\n", true),
        (b"Subject: x\r\nX-UID: 1\r\nContent-Length: 3\r\n\r\nabc\r\n", true),
        (b"From x\r\nStatus: R\r\n\r\n", true),
        (b" folded\r\n\r\n", true),
        (b"X-Pillarbox-Export: unended\r\n\r\n", true),
        (b"X-Pillarbox-Export: lines\r\nA: b\r\n\r\n", true),
        (b"A: b\r\nX-Pillarbox-Export: lines\r\n\r\nx", true),
        (b"X-IMAP: 1\r\n\r\n", true),
    ] {
        let file = comes_back(message);
        let field = file.split_once("Status: O\n").unwrap().1.starts_with("X-Pillarbox-Export:");
        assert_eq!(field, exported, "{}", message.escape_ascii());
    }
}

#[test]
fn what_is_written_is_told_by_the_return_path() {
    for (line, sender) in [
        ("Return-Path: <a@b.example>\r\n", "a@b.example"),
        ("return-path:a@b.example\r\n", "a@b.example"),
        ("Return-Path: <>\r\n", "MAILER-DAEMON"),
        ("Return-Path: <\"a b\"@c.example>\r\n", "MAILER-DAEMON"),
        ("", "MAILER-DAEMON"),
    ] {
        let message = format!("{line}Subject: x\r\n\r\n");
        let file = written(&[(Envelope::default(), Marks::default(), message.into_bytes())]);
        assert_eq!(read(&file, Format::Detect)[0].0, sender, "{line}");
    }
}

fn a_message() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "From ",
        ">",
        "From",
        "F",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "Status: RO",
        "X-Status: A",
        "X-Keywords: a b",
        "Content-Length: 4",
        "X-Pillarbox-Export:",
        " lines",
        " unended",
        "Subject: x",
        " ",
        ":",
        "a",
        "\0",
        "\u{e4}",
        FROM,
        "X-IMAP: 1",
        "Return-Path: <a@b>",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_messages_come_back(
        messages in prop::collection::vec((a_message(), 0u8..32, prop::collection::vec("[a-z$]{1,4}", 0..3), 0i64..4_000_000_000), 0..5),
        format in prop::sample::select(vec![Format::Detect, Format::Mboxrd]),
        most in 1usize..40,
    ) {
        let all = [Flags::SEEN, Flags::ANSWERED, Flags::FLAGGED, Flags::DELETED, Flags::DRAFT];
        let messages: Vec<_> = messages
            .into_iter()
            .map(|(message, flags, mut keywords, date)| {
                keywords.sort();
                keywords.dedup();
                let flags = (0..5).filter(|n| flags >> n & 1 == 1).fold(Flags::NONE, |set, n| set | all[n]);
                let envelope = Envelope { sender: "a@b.example".into(), date: Some(WallTime::new(date, 0)) };
                (envelope, Marks { flags, keywords }, message)
            })
            .collect();
        let file = written(&messages);
        let read = read_from(Slow(Cursor::new(&file), most), format).unwrap();
        prop_assert_eq!(read.len(), messages.len(), "{}", file.escape_ascii());
        for ((sender, message, marks, _), (envelope, wanted, original)) in read.iter().zip(&messages) {
            prop_assert_eq!(message.escape_ascii().to_string(), original.escape_ascii().to_string(), "{}", file.escape_ascii());
            prop_assert_eq!((sender, marks), (&envelope.sender, wanted));
        }
    }

    #[test]
    fn any_file_is_read_alike_however_it_comes(pieces in prop::collection::vec(a_message(), 0..4), most in 1usize..9) {
        let mut file = format!("{FROM}\n").into_bytes();
        file.extend(pieces.concat());
        for format in [Format::Detect, Format::Mboxrd, Format::Mboxo, Format::Mboxcl, Format::Mboxcl2] {
            let whole = read_from(Cursor::new(&file), format).unwrap();
            prop_assert_eq!(&read_from(Slow(Cursor::new(&file), most), format).unwrap(), &whole);
        }
    }
}
