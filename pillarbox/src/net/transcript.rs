//! The lines of a conversation for an observer, with secrets hidden and bodies counted.

use std::sync::Arc;

use pillarbox_smtp::command::{self, Command, Verb};

use crate::parts::{Direction, Observer};

/// Which protocol's secrets are to be hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// AUTH and what the client sends until a reply other than 334, and what is no command behind that; the message between 354
    /// and the next reply, and the chunks of BDAT.
    Smtp,
    /// LOGIN, AUTHENTICATE and what the client sends until a tagged response; literals.
    Imap,
}

/// Cuts the octets of a connection into lines and shows them to an observer.
///
/// It knows as little of the protocols as hiding needs, and hides too much rather than too little: a client that sends
/// its password without waiting for the prompt has it hidden as well.
pub(crate) struct Transcript {
    observer: Arc<dyn Observer>,
    session: u64,
    dialect: Dialect,
    wanted: bool,
    hiding: bool,
    /// The last command that is known was AUTH (SMTP).
    after_auth: bool,
    /// A message follows (SMTP).
    body: bool,
    /// Octets of a literal (IMAP) or a chunk (SMTP) that still come, received and sent.
    literal: [u64; 2],
    /// How much of the machine's output was shown already.
    shown: usize,
}

const HIDDEN: &[u8] = b"<hidden>";

impl Transcript {
    pub(crate) fn new(observer: Arc<dyn Observer>, session: u64, dialect: Dialect) -> Self {
        let wanted = observer.wants_lines();
        Transcript {
            observer,
            session,
            dialect,
            wanted,
            hiding: false,
            after_auth: false,
            body: false,
            literal: [0; 2],
            shown: 0,
        }
    }

    /// The machine used these octets.
    pub(crate) fn received(&mut self, octets: &[u8]) {
        if !self.wanted || octets.is_empty() {
            return;
        }
        if self.body {
            self.observer.line(self.session, Direction::Received, format!("<{} octets>", octets.len()).as_bytes());
            return;
        }
        self.lines(Direction::Received, octets);
    }

    /// The machine's whole output, before each step and each flush. What was shown before is not shown again.
    pub(crate) fn sending(&mut self, output: &[u8]) {
        if !self.wanted {
            return;
        }
        let new = output.get(self.shown..).unwrap_or_default();
        self.shown = output.len();
        self.lines(Direction::Sent, new);
    }

    /// The first octets of the output left.
    pub(crate) fn sent(&mut self, octets: usize) {
        self.shown = self.shown.saturating_sub(octets);
    }

    fn lines(&mut self, direction: Direction, mut octets: &[u8]) {
        while !octets.is_empty() {
            let literal = &mut self.literal[usize::from(direction == Direction::Sent)];
            if *literal > 0 {
                let len = octets.len().min(usize::try_from(*literal).unwrap_or(usize::MAX));
                *literal -= len as u64;
                if self.hiding && direction == Direction::Received {
                    // Its length would tell how long a password is.
                    self.observer.line(self.session, direction, HIDDEN);
                } else {
                    self.observer.line(self.session, direction, format!("<{len} octets>").as_bytes());
                }
                octets = &octets[len..];
                continue;
            }
            let end = memchr_lf(octets);
            let (line, rest) = octets.split_at(end);
            octets = rest;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            self.line(direction, line.strip_suffix(b"\r").unwrap_or(line));
        }
    }

    fn line(&mut self, direction: Direction, line: &[u8]) {
        let shown = match (self.dialect, direction) {
            (Dialect::Smtp, Direction::Received) => self.smtp_received(line),
            (Dialect::Smtp, Direction::Sent) => self.smtp_sent(line),
            (Dialect::Imap, _) => self.imap(direction, line),
        };
        match shown {
            Shown::First(octets) if octets == line.len() => self.observer.line(self.session, direction, line),
            Shown::All => self.observer.line(self.session, direction, line),
            Shown::First(octets) => {
                let hidden = [&line[..octets], HIDDEN].concat();
                self.observer.line(self.session, direction, &hidden);
            }
        }
    }

    fn smtp_received(&mut self, line: &[u8]) -> Shown {
        if self.hiding {
            return Shown::First(0);
        }
        if let Some(start) = secret_in(Dialect::Smtp, line) {
            (self.hiding, self.after_auth) = (true, true);
            return Shown::First(start);
        }
        if self.after_auth && Verb::of(line).is_none() {
            // A client that does not look at replies sends its secret behind a refusal, too.
            return Shown::First(0);
        }
        self.after_auth = false;
        if let Ok(Command::Bdat { size, .. }) = command::parse(line) {
            self.literal[0] = size;
        }
        Shown::All
    }

    fn smtp_sent(&mut self, line: &[u8]) -> Shown {
        self.body = line.starts_with(b"354");
        // A reply that comes before the octets of a chunk says that they are none to the session.
        self.literal[0] = 0;
        if line.starts_with(b"334") {
            self.hiding = true;
            return Shown::First(line.len().min(4));
        }
        self.hiding = false;
        Shown::All
    }

    fn imap(&mut self, direction: Direction, line: &[u8]) -> Shown {
        let shown = match direction {
            Direction::Received if self.hiding => Shown::First(0),
            Direction::Received => match secret_in(Dialect::Imap, line) {
                Some(start) => {
                    self.hiding = true;
                    Shown::First(start)
                }
                None => Shown::All,
            },
            Direction::Sent => {
                // A tagged response ends the command that held the secret; "+" and "*" do not.
                if !line.starts_with(b"+") && !line.starts_with(b"*") {
                    self.hiding = false;
                }
                Shown::All
            }
        };
        self.literal[usize::from(direction == Direction::Sent)] = literal_at_end(line).unwrap_or(0);
        shown
    }
}

enum Shown {
    All,
    /// So many octets, then `<hidden>`.
    First(usize),
}

/// Where the secret begins in a line of a client's that may hold one: behind AUTH, LOGIN and AUTHENTICATE, and behind the
/// mechanism where one stands there. Commands that are written wrongly (without a tag, with a tab) hold secrets all the same.
fn secret_in(dialect: Dialect, line: &[u8]) -> Option<usize> {
    let is_space = |octet: &u8| octet.is_ascii_whitespace();
    let (mut at, mut position) = (0, 0);
    let (end, names_mechanism) = loop {
        at += line[at..].iter().take_while(|octet| is_space(octet)).count();
        let word = line[at..].split(is_space).next().unwrap_or_default();
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        match dialect {
            Dialect::Smtp if word.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH")) => {
                break (at + 4, true);
            }
            Dialect::Imap if is(b"LOGIN") => break (at + word.len(), false),
            Dialect::Imap if is(b"AUTHENTICATE") => break (at + word.len(), true),
            Dialect::Imap if position == 0 && !word.is_empty() => {}
            _ => return None,
        }
        at += word.len();
        position += 1;
    };
    let mechanism = line[end..].strip_prefix(b" ").filter(|_| names_mechanism).unwrap_or_default();
    let len = mechanism.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
    match mechanism.get(len) {
        // RFC 4422 §3.1: at most 20 characters; what is longer is none.
        None | Some(b' ') if (1..=20).contains(&len) => Some(end + 1 + len + usize::from(mechanism.len() > len)),
        _ => Some(end + usize::from(line.get(end).is_some_and(is_space))),
    }
}

/// The length of the literal that a line announces: `{5}`, `{5+}` (RFC 9051 §4.3).
fn literal_at_end(line: &[u8]) -> Option<u64> {
    let inside = line.strip_suffix(b"}")?;
    let open = inside.iter().rposition(|&octet| octet == b'{')?;
    let digits = &inside[open + 1..];
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn memchr_lf(octets: &[u8]) -> usize {
    octets.iter().position(|&octet| octet == b'\n').map_or(octets.len(), |index| index + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Observer for Lines {
        fn wants_lines(&self) -> bool {
            true
        }
        fn line(&self, _session: u64, direction: Direction, line: &[u8]) {
            let mark = if direction == Direction::Sent { '<' } else { '>' };
            self.0.lock().unwrap().push(format!("{mark} {}", String::from_utf8_lossy(line)));
        }
    }

    fn play(dialect: Dialect, octets: &[(Direction, &str)]) -> Vec<String> {
        let lines = Arc::new(Lines::default());
        let mut transcript = Transcript::new(lines.clone(), 1, dialect);
        for (direction, octets) in octets {
            match direction {
                Direction::Received => transcript.received(octets.as_bytes()),
                Direction::Sent => {
                    transcript.sending(octets.as_bytes());
                    transcript.sent(octets.len());
                }
            }
        }
        lines.0.lock().unwrap().clone()
    }

    const IN: Direction = Direction::Received;
    const OUT: Direction = Direction::Sent;

    #[test]
    fn smtp_secrets_are_hidden_and_bodies_counted() {
        let lines = play(
            Dialect::Smtp,
            &[
                (IN, "EHLO c\r\nauth plain AHUAcA==\r\n"),
                (OUT, "235 2.7.0 ok\r\n"),
                (IN, "AUTH LOGIN\r\ndXNlcg==\r\n"),
                (OUT, "334 VXNlcm5hbWU6\r\n"),
                (IN, "dXNlcg==\r\n"),
                (OUT, "535 5.7.8 no\r\n"),
                (IN, "DATA\r\n"),
                (OUT, "354 go\r\n"),
                (IN, "Subject: x\r\n\r\nbody\r\n.\r\n"),
                (OUT, "250 ok\r\n"),
                (IN, "QUIT\r\n"),
            ],
        );
        let expected = [
            "> EHLO c",
            "> auth plain <hidden>",
            "< 235 2.7.0 ok",
            "> AUTH LOGIN",
            "> <hidden>",
            "< 334 <hidden>",
            "> <hidden>",
            "< 535 5.7.8 no",
            "> DATA",
            "< 354 go",
            "> <23 octets>",
            "< 250 ok",
            "> QUIT",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn chunks_are_counted() {
        let lines = play(
            Dialect::Smtp,
            &[
                (IN, "BDAT 12\r\n"),
                (IN, "AUTH x\r\n"),
                (IN, "QUITBDAT 3 LAST\r\n\r\n."),
                (OUT, "250 ok\r\n250 ok\r\n"),
                (IN, "bdat 99999999999999999999\r\n"),
                (OUT, "552 no\r\n"),
                (IN, "QUIT\r\n"),
            ],
        );
        let expected = [
            "> BDAT 12",
            "> <8 octets>",
            "> <4 octets>",
            "> BDAT 3 LAST",
            "> <3 octets>",
            "< 250 ok",
            "< 250 ok",
            "> bdat 99999999999999999999",
            "< 552 no",
            "> QUIT",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn secrets_behind_a_refusal_are_hidden() {
        let no = (OUT, "538 5.7.11 no\r\n");
        let lines = play(
            Dialect::Smtp,
            &[
                (IN, "AUTH LOGIN\r\n"),
                no,
                (IN, "dXNlcg==\r\n"),
                no,
                (IN, "aHVudGVyMg==\r\n"),
                no,
                (IN, "NOOP\r\nX\r\n"),
            ],
        );
        let refused = "< 538 5.7.11 no";
        assert_eq!(lines, ["> AUTH LOGIN", refused, "> <hidden>", refused, "> <hidden>", refused, "> NOOP", "> X"]);
    }

    #[test]
    fn imap_secrets_are_hidden_and_literals_counted() {
        let lines = play(
            Dialect::Imap,
            &[
                (IN, "a LOGIN {4}\r\n"),
                (OUT, "+ go\r\n"),
                (IN, "user {6}\r\nsecret\r\n"),
                (OUT, "a OK\r\n"),
                (IN, "b AUTHENTICATE PLAIN\r\n"),
                (OUT, "+ \r\n"),
                (IN, "AHUAcA==\r\n"),
                (OUT, "* CAPABILITY IMAP4rev1\r\nb OK\r\n"),
                (IN, "c APPEND INBOX {5+}\r\nab\r\nc\r\n"),
                (OUT, "* 1 FETCH (BODY[] {3}\r\nx\r\n)\r\nc OK\r\n"),
            ],
        );
        let expected = [
            "> a LOGIN <hidden>",
            "< + go",
            // The name, what stands behind it, the password, the end of the line.
            "> <hidden>",
            "> <hidden>",
            "> <hidden>",
            "> ",
            "< a OK",
            "> b AUTHENTICATE PLAIN",
            "< + ",
            "> <hidden>",
            "< * CAPABILITY IMAP4rev1",
            "< b OK",
            "> c APPEND INBOX {5+}",
            "> <5 octets>",
            "> ",
            "< * 1 FETCH (BODY[] {3}",
            "< <3 octets>",
            "< )",
            "< c OK",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn commands_that_are_written_wrongly_hold_secrets_too() {
        let smtp = |line| play(Dialect::Smtp, &[(IN, line)]).concat();
        assert_eq!(smtp("AUTH PLAIN secret more"), "> AUTH PLAIN <hidden>");
        assert_eq!(smtp("AUTH PLAIN"), "> AUTH PLAIN");
        assert_eq!(smtp("RCPT TO:<auth@login.example>"), "> RCPT TO:<auth@login.example>");
        for line in ["AUTH  PLAIN secret", "AUTH\tsecret", "AUTH=secret", " auth PLAIN=secret", "AUTHsecret"] {
            let shown = smtp(line);
            assert!(shown.ends_with("<hidden>") && !shown.contains("secret"), "{line}: {shown}");
        }
        let imap = |line| play(Dialect::Imap, &[(IN, line)]).concat();
        assert_eq!(imap("a AUTHENTICATE PLAIN secret"), "> a AUTHENTICATE PLAIN <hidden>");
        assert_eq!(imap("a SELECT LOGIN"), "> a SELECT LOGIN");
        for line in [
            "a LOGIN u secret",
            "LOGIN u secret",
            " a  login u secret",
            "a\tLOGIN\tu\tsecret",
            "a AUTHENTICATE  secret",
        ] {
            let shown = imap(line);
            assert!(shown.ends_with("<hidden>") && !shown.contains("secret"), "{line}: {shown}");
        }
    }

    #[test]
    fn output_that_left_in_parts_is_shown_once() {
        let lines = Arc::new(Lines::default());
        let mut transcript = Transcript::new(lines.clone(), 1, Dialect::Smtp);
        transcript.sending(b"250 one\r\n");
        transcript.sent(4);
        transcript.sending(b"one\r\n250 two\r\n");
        transcript.sent(100);
        assert_eq!(*lines.0.lock().unwrap(), ["< 250 one", "< 250 two"]);
    }
}
