//! Comparing what the file says with what came of it.

use std::collections::BTreeMap;

use super::super::expect::take_expected;
use super::super::file::{Kind, Line, Rest};
use super::super::plan::Group;
use super::super::report::Failure;
use super::super::text::quote;
use super::{Player, Subject};

impl<'d, S: Subject> Player<'d, S> {
    /// Compares what a group says with what came of it.
    pub(in crate::dialog) fn compare(&mut self, group: &Group<'d>) -> Result<(), Failure> {
        // Per connection: how many events of the group were passed.
        let mut passed: BTreeMap<usize, usize> = BTreeMap::new();
        for (index, (line, part)) in group.lines.iter().enumerate() {
            let number = line.connection;
            let overtaken = group.is_overtaken(*part);
            if !self.connections.contains_key(&number) {
                return Err(self.failure(group, line.number, format!("connection {number} is not open yet")));
            }
            let connection = self.connections.get_mut(&number).expect("looked for above");
            let why = match &line.kind {
                Kind::Event(_) => {
                    let events = passed.entry(number).or_default();
                    *events += 1;
                    let reached = connection.bodies.len() - 1;
                    (*events > reached)
                        .then(|| format!("this event did not come; the machine waits for {}", connection.rest.name()))
                }
                Kind::Expect(expect) => {
                    let taken = take_expected(expect, &mut connection.output, &mut self.bindings);
                    let waits = connection.rest.name();
                    taken.err().map(|why| why.unwrap_or_else(|| format!("nothing came; the machine waits for {waits}")))
                }
                Kind::Never(pattern) if !overtaken => {
                    connection.output.finds(pattern).map(|line| format!("this line came all the same: {line}"))
                }
                Kind::Body(expected) => {
                    let events = passed.get(&number).copied().unwrap_or_default();
                    let body = connection.bodies.get(events).map_or(&[][..], Vec::as_slice);
                    let mut behind = group.lines[index + 1..].iter().take_while(|(_, later)| later == part);
                    let complete = !overtaken
                        || behind.any(|(line, _)| line.connection == number && matches!(line.kind, Kind::Event(_)));
                    let fits = if complete { body == expected } else { body.starts_with(expected) };
                    (!fits).then(|| format!("the body is {}", quote(body)))
                }
                Kind::Wait(rest) if !overtaken => {
                    let actual = connection.rest;
                    (actual != *rest).then(|| format!("the machine waits for {}", actual.name()))
                }
                Kind::Closed(pattern) => {
                    if connection.rest == Rest::Closed {
                        let reason = self.subject.close_reason(&connection.port.machine);
                        let fits = pattern.fits(reason.as_bytes(), &mut self.bindings);
                        (!fits).then(|| format!("the connection is closed because: {reason}"))
                    } else {
                        Some(format!("the connection is not closed, the machine waits for {}", connection.rest.name()))
                    }
                }
                _ => None,
            };
            if let Some(why) = why {
                return Err(self.failure(group, line.number, why));
            }
        }
        let surplus = self.connections.values().find_map(|connection| connection.output.first_line());
        match surplus {
            Some(line) => {
                Err(self.failure(group, group.end - 1, format!("output that the file does not list: {line}")))
            }
            None => {
                for connection in self.connections.values_mut() {
                    connection.output.forget();
                }
                Ok(())
            }
        }
    }

    /// What must hold at the end of the file.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        for (number, connection) in &self.connections {
            let says = |line: &&Line| line.connection == *number && matches!(line.kind, Kind::Closed(_));
            if connection.rest == Rest::Closed && !self.dialog.lines.iter().any(|line| says(&line)) {
                let reason = self.subject.close_reason(&connection.port.machine);
                let why = format!("connection {number} is closed ({reason}), and no closed: line says so");
                return Err(self.plain_failure(self.dialog.length, why));
            }
        }
        Ok(())
    }
}
