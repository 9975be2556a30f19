//! Cutting a file into groups: something is done to the machine, and what is expected then.

use std::time::Duration;

use super::file::{Dialog, Kind, Line, Rest, Send};
use super::pattern::refers;

/// One step of a play, with the lines that say what comes of it.
#[derive(Clone, Debug)]
pub(super) struct Group<'d> {
    pub(super) connection: usize,
    pub(super) stimulus: Stimulus<'d>,
    /// Lines of expectations and of the answers that belong to them, each with the part of the group that it came with.
    pub(super) lines: Vec<(&'d Line, usize)>,
    /// How many groups of the file were merged into this one.
    pub(super) parts: usize,
    /// Connections whose question stays open at the end of the group.
    pub(super) holds: Vec<usize>,
    /// The numbers of the first line of the group and of the first line behind it.
    pub(super) first: usize,
    pub(super) end: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Stimulus<'d> {
    Connect,
    Send(Vec<&'d Line>),
    /// Answers to a question of an earlier group.
    Answer(Vec<&'d Line>),
    Clock(Duration),
    Layer(&'d str),
    Eof,
    News(&'d str),
    Stop,
}

/// The groups of a file as written.
pub(super) fn groups(dialog: &Dialog) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut connected: Vec<usize> = Vec::new();
    for line in &dialog.lines {
        let connection = line.connection;
        let new = |stimulus| Group {
            connection,
            stimulus,
            lines: Vec::new(),
            parts: 1,
            holds: Vec::new(),
            first: line.number,
            end: line.end,
        };
        if !connected.contains(&connection) {
            connected.push(connection);
            groups.push(Group { end: line.number, ..new(Stimulus::Connect) });
        }
        // A connection was pushed above, so there is a group.
        let last = groups.len() - 1;
        let group = &mut groups[last];
        let stands_alone = group.lines.is_empty() && group.connection == connection;
        let stimulus = match &line.kind {
            Kind::Send(_) => match &mut group.stimulus {
                Stimulus::Send(lines) if stands_alone => {
                    lines.push(line);
                    group.end = line.end;
                    continue;
                }
                _ => Stimulus::Send(vec![line]),
            },
            Kind::Answer(_) => {
                let asked = |(l, _): &(&Line, usize)| l.connection == connection && matches!(l.kind, Kind::Event(_));
                match &mut group.stimulus {
                    _ if group.lines.iter().any(asked) => {
                        group.lines.push((line, 0));
                        group.end = line.end;
                        continue;
                    }
                    Stimulus::Answer(lines) if stands_alone => {
                        lines.push(line);
                        group.end = line.end;
                        continue;
                    }
                    _ => Stimulus::Answer(vec![line]),
                }
            }
            Kind::Clock(step) => Stimulus::Clock(*step),
            Kind::Layer(text) => Stimulus::Layer(text),
            Kind::Eof => Stimulus::Eof,
            Kind::News(text) => Stimulus::News(text),
            Kind::Stop => Stimulus::Stop,
            _ => {
                group.lines.push((line, 0));
                group.end = line.end;
                continue;
            }
        };
        groups.push(new(stimulus));
    }
    mark_holds(&mut groups);
    groups
}

/// A question stays open if the next line that asks or answers on its connection answers, and is of a later group; or
/// if the file says so with `wait: answer`.
fn mark_holds(groups: &mut [Group<'_>]) {
    let mut answered_next: Vec<usize> = Vec::new();
    for group in groups.iter_mut().rev() {
        group.holds = answered_next.clone();
        let waits = group.lines.iter().filter(|(line, _)| matches!(line.kind, Kind::Wait(Rest::Answer)));
        group.holds.extend(waits.map(|(line, _)| line.connection));
        for (line, _) in group.lines.iter().rev() {
            if let Kind::Event(_) | Kind::Answer(_) = line.kind {
                // Answers inside a group belong to a question inside it.
                answered_next.retain(|of| *of != line.connection);
            }
        }
        if let Stimulus::Answer(_) = group.stimulus {
            answered_next.push(group.connection);
        }
    }
}

impl<'d> Group<'d> {
    /// What the file expects from the machine first, after the last line that was sent.
    pub(super) fn expected_output(&self) -> &'d str {
        let ours = |line: &Line, part: usize| line.connection == self.connection && !self.is_overtaken(part);
        let lines = self.lines.iter().filter(|(line, part)| ours(line, *part));
        let mut outputs = lines.filter(|(line, _)| matches!(line.kind, Kind::Expect(_)));
        outputs.next().and_then(|(line, _)| line.text.split_once(':')).map_or("", |(_, text)| text.trim_start())
    }

    /// Whether what `next` sends could be sent along with what this group sends.
    pub(super) fn can_take(&self, next: &Group<'d>) -> bool {
        let Stimulus::Send(lines) = &next.stimulus else { return false };
        let known = |line: &&Line| !matches!(&line.kind, Kind::Send(Send::Line(text)) if refers(text));
        matches!(self.stimulus, Stimulus::Send(_)) && self.connection == next.connection && lines.iter().all(known)
    }

    /// Whether the peer has sent more by the time that a line of this part is compared.
    pub(super) fn is_overtaken(&self, part: usize) -> bool {
        part + 1 < self.parts
    }

    /// Adds what `next` sends and expects.
    pub(super) fn take(&mut self, next: Group<'d>) {
        if let (Stimulus::Send(lines), Stimulus::Send(more)) = (&mut self.stimulus, next.stimulus) {
            lines.extend(more);
        }
        let part = self.parts;
        self.parts += 1;
        self.lines.extend(next.lines.into_iter().map(|(line, _)| (line, part)));
        self.holds = next.holds;
        self.end = next.end;
    }
}
