//! What happened in a play, in its order.

use super::pattern::escape;
use super::text::quote;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// The peer sent this.
    Sent(Vec<u8>),
    /// The machine sent this.
    Output(Vec<u8>),
    Event(String),
    Answered(String),
    Body(Vec<u8>),
    /// Anything else that a line of the file made happen, as that line says it.
    Line(String),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Vec<(usize, Happening)>);

impl Log {
    /// Adds what happened on a connection; adjacent output and adjacent bodies become one.
    pub(crate) fn add(&mut self, connection: usize, happening: Happening) {
        match (&happening, self.0.last_mut()) {
            (Happening::Output(more), Some((of, Happening::Output(bytes))))
            | (Happening::Body(more), Some((of, Happening::Body(bytes))))
                if *of == connection =>
            {
                bytes.extend_from_slice(more);
            }
            _ => self.0.push((connection, happening)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn since(&self, start: usize) -> &[(usize, Happening)] {
        &self.0[start.min(self.0.len())..]
    }
}

/// How happenings read in a file; with the numbers of the connections if there are many.
pub(super) fn written(happenings: &[(usize, Happening)], machine: char, peer: char, many: bool) -> Vec<String> {
    let mut written = Vec::new();
    for (number, happening) in happenings {
        for line in lines(happening, machine, peer) {
            written.push(if many { format!("{number}{line}") } else { line });
        }
    }
    written
}

/// How a happening reads as lines of a file, without the number of the connection; `machine` and `peer` are the letters.
pub(super) fn lines(happening: &Happening, machine: char, peer: char) -> Vec<String> {
    let wire = |letter: char, bytes: &[u8], as_pattern: bool| {
        bytes
            .split_inclusive(|b| *b == b'\n')
            .map(|line| match line.strip_suffix(b"\r\n").map(std::str::from_utf8) {
                Some(Ok(text)) if !text.chars().any(char::is_control) && !text.ends_with(' ') => {
                    let text = if as_pattern { escape(text) } else { text.to_string() };
                    format!("{letter}: {text}").trim_end().to_string()
                }
                _ => format!("{letter}~ {}", quote(line)),
            })
            .collect()
    };
    match happening {
        Happening::Sent(bytes) => wire(peer, bytes, false),
        Happening::Output(bytes) => wire(machine, bytes, true),
        Happening::Event(text) => vec![format!("E: {}", escape(text))],
        Happening::Answered(text) => vec![format!("A: {text}")],
        Happening::Body(bytes) => vec![format!("B: {}", quote(bytes))],
        Happening::Line(text) => vec![text.clone()],
    }
}
