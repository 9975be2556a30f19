//! Reading a dialog file. The grammar is described for authors in `docs/dialogs.md`.

use std::time::Duration;

use super::config::{Config, settings};
use super::pattern::Pattern;
use super::report::Failure;
use super::text::unquote;

/// A conversation as a file tells it.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub(super) name: String,
    pub(super) lines: Vec<Line>,
    pub(super) config: Config,
    /// How many lines the text has, read or not: where "the end of the file" is.
    pub(super) length: usize,
}

/// A line of a file that is neither comment nor configuration.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Counted from 1. A block counts as its first line.
    pub(super) number: usize,
    /// The first line behind it.
    pub(super) end: usize,
    pub(super) connection: usize,
    pub(super) text: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// The peer of the machine sends.
    Send(Send),
    /// The machine sends.
    Expect(Expect),
    /// The machine sends no such line.
    Never(Pattern),
    Event(Pattern),
    Answer(String),
    Body(Vec<u8>),
    Clock(Duration),
    Layer(String),
    Eof,
    News(String),
    Stop,
    Closed(Pattern),
    Wait(Rest),
}

#[derive(Clone, Debug)]
pub(super) enum Send {
    /// A line with names in it and without its CRLF.
    Line(String),
    Raw(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(super) enum Expect {
    Piece(Piece),
    /// `S: ...`: the rest of a reply of several lines, or of a run of untagged responses.
    Group,
    /// Responses in any order; `open` if others may stand among them.
    Block {
        items: Vec<Vec<Piece>>,
        open: bool,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Line(Pattern),
    Raw(Vec<u8>),
}

/// What a machine waits for when it returns no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Input,
    Answer,
    Time,
    Upgrade,
    Closed,
}

impl Rest {
    const ALL: [(&'static str, Rest); 5] = [
        ("input", Rest::Input),
        ("answer", Rest::Answer),
        ("time", Rest::Time),
        ("upgrade", Rest::Upgrade),
        ("closed", Rest::Closed),
    ];

    pub(super) fn name(self) -> &'static str {
        Rest::ALL.iter().find(|(_, rest)| *rest == self).map_or("", |(name, _)| name)
    }
}

/// A question of a file with what the file answers, for programs that must prepare the answers before they play.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScriptedAnswer {
    /// The connection, counted from 1.
    pub connection: usize,
    /// The text of the `E:` line, wildcards and all.
    pub event: String,
    /// The texts of its `A:` lines; none where the file leaves the answer to the default.
    pub answers: Vec<String>,
}

/// Reads a dialog file. `name` is for messages.
///
/// # Errors
///
/// A [`Failure`] that names the line that is not in the grammar.
///
/// ```
/// let text = "cfg: size=1000\nS: 220 *\nC: NOOP\nS: 250 ok\nEOF\nclosed: eof\n";
/// let dialog = pillarbox_core::dialog::parse("noop.dialog", text).unwrap();
/// assert_eq!(dialog.config(1).value("size"), Some("1000"));
/// assert!(dialog.runs_on_a_stream());
///
/// let wrong = pillarbox_core::dialog::parse("wrong.dialog", "X: what\n").unwrap_err();
/// assert!(wrong.to_string().starts_with("wrong.dialog:1: "));
/// ```
pub fn parse(name: &str, text: &str) -> Result<Dialog, Failure> {
    let mut dialog =
        Dialog { name: name.into(), lines: Vec::new(), config: Config::default(), length: text.lines().count() };
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    // Which letter is ours must be known before the first line that bears one.
    let mut letters = Letters::default();
    while let Some((number, line)) = lines.next() {
        let failure = |why: String| Failure::new(name, number, why);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (connection, rest) = connection_prefix(line).map_err(failure)?;
        if let Some(rest) = rest.strip_prefix("cfg:") {
            let of = (rest.len() + "cfg:".len() != line.len()).then_some(connection);
            for (key, value) in settings(rest).map_err(failure)? {
                if key == "side" {
                    letters = Letters::of_side(&value).map_err(failure)?;
                }
                dialog.config.add(of, key, value, number);
            }
            continue;
        }
        let mut end = number + 1;
        let kind = if rest.trim_end() == format!("{}{{", letters.machine) {
            let (block, last) = read_block(name, number, connection, letters, &mut lines)?;
            end = last + 1;
            Kind::Expect(block)
        } else {
            letters.kind(rest).map_err(failure)?
        };
        dialog.lines.push(Line { number, end, connection, text: line.into(), kind });
    }
    dialog.config.check(name)?;
    Ok(dialog)
}

impl Dialog {
    /// The name given to [`parse`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The settings of the `cfg:` lines that concern a connection (counted from 1). The player's own keys are not among
    /// them.
    pub fn config(&self, connection: usize) -> Config {
        self.config.of_connection(connection)
    }

    /// How many connections the file has.
    pub fn connections(&self) -> usize {
        self.lines.iter().map(|line| line.connection).max().unwrap_or(1)
    }

    /// The questions that the file lists, in its order, with their answers.
    pub fn answers(&self) -> Vec<ScriptedAnswer> {
        let mut answers: Vec<ScriptedAnswer> = Vec::new();
        for line in &self.lines {
            let text = || line.text.split_once(':').map_or("", |(_, text)| text.trim_start()).to_string();
            match line.kind {
                Kind::Event(_) => {
                    answers.push(ScriptedAnswer { connection: line.connection, event: text(), answers: Vec::new() });
                }
                Kind::Answer(ref answer) => {
                    let question = answers.iter_mut().rev().find(|question| question.connection == line.connection);
                    if let Some(question) = question {
                        question.answers.push(answer.clone());
                    }
                }
                _ => {}
            }
        }
        answers
    }

    /// What the peer sends on a connection, by flights: lines that stand together. A `$name` is left as it is.
    pub fn sent(&self, connection: usize) -> Vec<Vec<u8>> {
        let mut flights: Vec<Vec<u8>> = Vec::new();
        let mut together = false;
        for line in self.lines.iter().filter(|line| line.connection == connection) {
            let Kind::Send(send) = &line.kind else {
                together = false;
                continue;
            };
            if !together {
                flights.push(Vec::new());
            }
            together = true;
            if let Some(flight) = flights.last_mut() {
                match send {
                    Send::Line(text) => flight.extend(text.bytes().chain(*b"\r\n")),
                    Send::Raw(bytes) => flight.extend_from_slice(bytes),
                }
            }
        }
        flights
    }

    /// Whether the file can be played against a server at the other end of a stream: the server is under test, and
    /// nothing in the file needs a hand on its clock, its store or its process.
    pub fn runs_on_a_stream(&self) -> bool {
        let inside = |line: &Line| matches!(line.kind, Kind::Clock(_) | Kind::News(_) | Kind::Stop);
        self.config.loopback() && !self.config.client_side() && !self.lines.iter().any(inside)
    }
}

/// Which letter of a line is the machine under test, and which is its peer.
#[derive(Clone, Copy)]
struct Letters {
    machine: char,
    peer: char,
}

impl Default for Letters {
    fn default() -> Self {
        Letters { machine: 'S', peer: 'C' }
    }
}

impl Letters {
    fn of_side(side: &str) -> Result<Self, String> {
        match side {
            "server" => Ok(Letters::default()),
            "client" => Ok(Letters { machine: 'C', peer: 'S' }),
            _ => Err(format!("side={side} is neither server nor client")),
        }
    }

    fn kind(self, line: &str) -> Result<Kind, String> {
        let bare = line.trim_end();
        match bare {
            "EOF" => return Ok(Kind::Eof),
            "stop" => return Ok(Kind::Stop),
            _ => {}
        }
        let Some(end) = line.find([':', '~']) else {
            return Err(format!("not a line of a dialog: {line}"));
        };
        let (tag, text) = line.split_at(end + 1);
        let text = text.strip_prefix(' ').unwrap_or(text);
        if let Some(tag) = tag.strip_prefix('!') {
            return match self.role(tag) {
                Some((Role::Machine, ':')) => Ok(Kind::Never(Pattern::of_output(text))),
                _ => Err(format!("only lines of the machine ({}) can be forbidden", self.machine)),
            };
        }
        if let Some((role, form)) = self.role(tag) {
            return Ok(match (role, form) {
                (Role::Peer, ':') => Kind::Send(Send::Line(text.into())),
                (Role::Peer, _) => Kind::Send(Send::Raw(unquote(text)?)),
                (Role::Machine, ':') if text.trim_end() == "..." => Kind::Expect(Expect::Group),
                (Role::Machine, ':') => Kind::Expect(Expect::Piece(Piece::Line(Pattern::of_output(text)))),
                (Role::Machine, _) => Kind::Expect(Expect::Piece(Piece::Raw(unquote(text)?))),
            });
        }
        let text = text.trim();
        Ok(match tag {
            "E:" => Kind::Event(Pattern::of_event(text)),
            "A:" => Kind::Answer(text.into()),
            "B:" => Kind::Body(unquote(text)?),
            "T:" => Kind::Clock(duration(text)?),
            "L:" => Kind::Layer(text.into()),
            "N:" => Kind::News(text.into()),
            "closed:" => Kind::Closed(Pattern::of_event(text)),
            "wait:" => {
                let rest = Rest::ALL.iter().find(|(name, _)| *name == text);
                Kind::Wait(rest.ok_or("wait: input, answer, time, upgrade or closed")?.1)
            }
            _ => return Err(format!("not a line of a dialog: {line}")),
        })
    }

    fn role(self, tag: &str) -> Option<(Role, char)> {
        let mut chars = tag.chars();
        let (letter, form) = (chars.next()?, chars.next()?);
        let role = if letter == self.machine {
            Role::Machine
        } else if letter == self.peer {
            Role::Peer
        } else {
            return None;
        };
        (chars.next().is_none() && matches!(form, ':' | '~')).then_some((role, form))
    }
}

enum Role {
    Machine,
    Peer,
}

/// Splits the number of the connection from a line; 1 where there is none.
fn connection_prefix(line: &str) -> Result<(usize, &str), String> {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &line[..line.len() - rest.len()];
    if digits.is_empty() {
        return Ok((1, rest));
    }
    match digits.parse() {
        Ok(connection @ 1..=99) => Ok((connection, rest)),
        _ => Err("connections are counted from 1 to 99".into()),
    }
}

/// Reads the lines of an unordered block; gives the number of the line that ends it too.
fn read_block<'t>(
    name: &str,
    first: usize,
    connection: usize,
    letters: Letters,
    lines: &mut impl Iterator<Item = (usize, &'t str)>,
) -> Result<(Expect, usize), Failure> {
    let mut items: Vec<Vec<Piece>> = Vec::new();
    let mut open = false;
    // A response whose line ends in `{n}` goes on with a literal.
    let mut goes_on = false;
    for (number, line) in lines {
        let failure = |why: String| Failure::new(name, number, why);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.trim() == "}" {
            return Ok((Expect::Block { items, open }, number));
        }
        let (of, rest) = connection_prefix(line.trim_start()).map_err(failure)?;
        if rest.len() != line.trim_start().len() && of != connection {
            return Err(failure(format!("a block belongs to one connection, here {connection}")));
        }
        let piece = match letters.kind(rest).map_err(failure)? {
            Kind::Expect(Expect::Group) => {
                open = true;
                continue;
            }
            Kind::Expect(Expect::Piece(piece)) => piece,
            _ => return Err(failure("only lines of the machine can stand in a block".into())),
        };
        let continues = match &piece {
            Piece::Line(_) => literal_length(rest.as_bytes()).is_some(),
            // The text behind a literal, up to the end of its line, belongs to the same response.
            Piece::Raw(_) => true,
        };
        match items.last_mut() {
            Some(item) if goes_on => item.push(piece),
            _ => items.push(vec![piece]),
        }
        goes_on = continues;
    }
    Err(Failure::new(name, first, "the block has no end: a line with } is missing".into()))
}

/// The length of the literal that a line of an IMAP response announces at its end (RFC 9051 §4.3).
pub(super) fn literal_length(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let brace = inner.iter().rposition(|b| *b == b'{')?;
    let digits = std::str::from_utf8(&inner[brace + 1..]).ok()?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// `+301s`: a number and its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text} is no step of the clock such as +301s (ms, s, m, h)");
    let text_after = text.strip_prefix('+').ok_or_else(error)?;
    let unit = text_after.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text_after[..text_after.len() - unit.len()].parse().map_err(|_| error())?;
    Ok(match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        "h" => Duration::from_secs(number.saturating_mul(3600)),
        _ => return Err(error()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line) in [
            ("S: ok\nX: what\n", 2),
            ("C~ \"a\n", 1),
            ("\n\nT: 5s\n", 3),
            ("T: +5days\n", 1),
            ("wait: forever\n", 1),
            ("!C: x\n", 1),
            ("S{\nS: a\n", 1),
            ("S{\nC: a\n}\n", 2),
            ("2S{\n1S: a\n}\n", 2),
            ("0C: a\n", 1),
            ("cfg: side=both\n", 1),
            ("cfg: modes=fast\n", 1),
            ("hello\n", 1),
        ] {
            let failure = parse("x", text).expect_err(text);
            assert!(failure.to_string().starts_with(&format!("x:{line}: ")), "{text}: {failure}");
        }
    }

    #[test]
    fn sides_swap_the_letters() {
        let dialog = parse("x", "cfg: side=client\nS: 220 mx\nC: EHLO *\n").unwrap();
        assert!(matches!(dialog.lines[0].kind, Kind::Send(_)));
        assert!(matches!(dialog.lines[1].kind, Kind::Expect(_)));
        assert!(!dialog.runs_on_a_stream());
    }

    #[test]
    fn answers_belong_to_their_question() {
        let dialog = parse("x", "E: Mail *\nA: accept\n2E: Fetch\n2A: item\nE: Rcpt\n2A: done\n").unwrap();
        let answers = dialog.answers();
        assert_eq!(answers[0].event, "Mail *");
        assert_eq!(answers[1].answers, ["item", "done"]);
        assert_eq!(answers[2].answers, [""; 0]);
        assert_eq!(dialog.connections(), 2);
    }

    #[test]
    fn blocks_keep_literals_together() {
        let text = "S{\nS: * 1 FETCH (BODY[] {3}\nS~ \"abc\"\nS: )\nS: * 2 EXISTS\nS: ...\n}\nS: a OK\n";
        let dialog = parse("x", text).unwrap();
        let Kind::Expect(Expect::Block { items, open: true }) = &dialog.lines[0].kind else { panic!() };
        assert_eq!(items.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
        assert_eq!((dialog.lines[0].number, dialog.lines[0].end, dialog.lines[1].number), (1, 8, 8));
    }
}
