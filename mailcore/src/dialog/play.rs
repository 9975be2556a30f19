//! Playing a file against a machine.

mod compare;

use std::collections::BTreeMap;
use std::time::Duration;

use super::expect::Output;
use super::file::{Dialog, Kind, Line, Rest, Send, parse};
use super::log::{Happening, Log, written};
use super::pattern::Bindings;
use super::plan::{Group, Stimulus, groups};
use super::port::{Port, Reached};
use super::report::{Details, Failure};
use super::{Mode, Seen, Subject, Turn};
use crate::{Layer, Machine, Random, SeededRandom, Time, UpgradeError};

/// Plays a text against a machine, once in each of the modes that both the caller and the file name. `subject` makes a
/// new subject for each play.
///
/// # Errors
///
/// The [`Failure`] of the first play that did not go as the file says.
///
/// The [module page](super) has an example.
pub fn play_text<S: Subject>(
    name: &str,
    text: &str,
    mut subject: impl FnMut() -> S,
    modes: &[Mode],
) -> Result<(), Failure> {
    let dialog = parse(name, text)?;
    let allowed = dialog.config.modes();
    for mode in modes.iter().filter(|mode| allowed.iter().any(|allowed| allowed.is_like(**mode))) {
        Player::new(&dialog, subject(), *mode).play()?;
    }
    Ok(())
}

/// How often default answers, deadlines and news may follow each other before it counts as without end.
const ROUNDS_MAX: usize = 10_000;

/// One play of a file.
pub(super) struct Player<'d, S: Subject> {
    pub(super) dialog: &'d Dialog,
    subject: S,
    mode: Mode,
    cuts: SeededRandom,
    now: Time,
    connections: BTreeMap<usize, Connection<S::Machine>>,
    pub(super) bindings: Bindings,
    pub(super) log: Log,
    pub(super) group_start: usize,
    /// Rewriting the file: events that it does not expect are taken as they come.
    pub(super) lenient: bool,
    /// Such an event came in this group.
    pub(super) surprised: bool,
    /// The connections that were closed before this group.
    closed_before: Vec<usize>,
}

struct Connection<M> {
    port: Port<M>,
    rest: Rest,
    layer: Option<Layer>,
    /// What the machine sent and no line of the file has expected yet.
    output: Output,
    /// Whether the last event was a part of a body.
    in_body: bool,
    /// The question that is being answered by default.
    by_default: Option<String>,
    /// The file leaves the open question open.
    held: bool,
    /// The wire ends behind what is on it.
    ends: bool,
    /// The bodies of the group: before its first event, then after each event that the file lists.
    bodies: Vec<Vec<u8>>,
}

impl<'d, S: Subject> Player<'d, S> {
    pub(super) fn new(dialog: &'d Dialog, subject: S, mode: Mode) -> Self {
        let seed = if let Mode::Cuts(seed) = mode { seed } else { 0 };
        // Each file has cuts of its own, whatever else is played in the run.
        let seed = dialog.name.bytes().fold(seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Player {
            dialog,
            subject,
            mode,
            cuts: SeededRandom::new(seed),
            now: Time::ZERO,
            connections: BTreeMap::new(),
            bindings: Bindings::default(),
            log: Log::default(),
            group_start: 0,
            lenient: false,
            surprised: false,
            closed_before: Vec::new(),
        }
    }

    fn play(mut self) -> Result<(), Failure> {
        let mut rest = groups(self.dialog).into_iter().peekable();
        if rest.peek().is_none() {
            return Err(Failure::new(&self.dialog.name, 1, "the file has no line to play".into()));
        }
        while let Some(mut group) = rest.next() {
            if self.mode == Mode::Pipelined {
                while rest.peek().is_some_and(|next| group.can_take(next)) && !self.must_wait(&group)? {
                    if let Some(next) = rest.next() {
                        group.take(next);
                    }
                }
            }
            self.act(&group)?;
            self.compare(&group)?;
        }
        self.finish()
    }

    /// Whether the peer waits behind the last line that a group sends.
    fn must_wait(&mut self, group: &Group<'d>) -> Result<bool, Failure> {
        let Stimulus::Send(lines) = &group.stimulus else { return Ok(true) };
        let Some(last) = lines.last() else { return Ok(true) };
        let sent = self.bytes_of(last)?;
        Ok(self.subject.is_sync_point(group.connection, &sent, group.expected_output()))
    }

    fn bytes_of(&self, line: &Line) -> Result<Vec<u8>, Failure> {
        match &line.kind {
            Kind::Send(Send::Raw(bytes)) => Ok(bytes.clone()),
            Kind::Send(Send::Line(text)) => {
                let mut bytes = self.bindings.substitute(text).map_err(|why| self.plain_failure(line.number, why))?;
                bytes.extend_from_slice(b"\r\n");
                Ok(bytes)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Does to the machine what a group says, and lets all machines run until they rest.
    pub(super) fn act(&mut self, group: &Group<'d>) -> Result<(), Failure> {
        self.group_start = self.log.len();
        self.surprised = false;
        let closed = self.connections.iter().filter(|(_, connection)| connection.rest == Rest::Closed);
        self.closed_before = closed.map(|(number, _)| *number).collect();
        for connection in self.connections.values_mut() {
            let body = connection.bodies.pop().unwrap_or_default();
            connection.bodies = vec![body];
        }
        let number = group.connection;
        if let Stimulus::Connect = group.stimulus {
            self.connect(group)?;
        } else if let Stimulus::Clock(step) = group.stimulus {
            self.note(group);
            return self.move_clock(group, step);
        } else if self.connection(number).rest == Rest::Closed {
            return Err(self.failure(group, group.first, "the connection is closed already".into()));
        }
        let now = self.now;
        match &group.stimulus {
            Stimulus::Connect | Stimulus::Clock(_) => {}
            Stimulus::Send(lines) => {
                let mut sent = Vec::new();
                for line in lines {
                    sent.extend(self.bytes_of(line)?);
                }
                self.connection(number).port.send(&sent);
                self.log.add(number, Happening::Sent(sent));
            }
            Stimulus::Answer(lines) => {
                if self.connection(number).rest != Rest::Answer {
                    return Err(self.failure(group, group.first, "an answer, but no question is open".into()));
                }
                self.give_answers(group, number, lines)?;
            }
            Stimulus::Layer(text) => {
                self.note(group);
                self.start_layer(group, text)?;
            }
            Stimulus::Eof => {
                self.note(group);
                let connection = self.connection(number);
                connection.ends = true;
                if connection.rest == Rest::Upgrade {
                    let why = "the end of the wire while a layer starts is told by: L: tls failed lost";
                    return Err(self.failure(group, group.first, why.into()));
                }
                if connection.rest == Rest::Answer {
                    // Nothing is polled while the question is open, but the end can be noticed.
                    connection.port.read(usize::MAX);
                    if connection.port.on_wire() == 0 {
                        connection.ends = false;
                        connection.port.end(now);
                    }
                }
            }
            Stimulus::News(text) => {
                self.note(group);
                let told = self.with_turn(number, |subject, turn| subject.news(turn, text));
                told.map_err(|why| self.failure(group, group.first, why))?;
            }
            Stimulus::Stop => {
                self.note(group);
                self.connection(number).port.machine.shut_down(now);
            }
        }
        self.run(group, number)?;
        self.settle(group)
    }

    fn connect(&mut self, group: &Group<'d>) -> Result<(), Failure> {
        let config = self.dialog.config(group.connection);
        let made = self.subject.connect(group.connection, &config);
        let machine = made.map_err(|why| self.failure(group, group.first, why))?;
        if let Some((line, key)) = config.unseen() {
            return Err(self.plain_failure(line, format!("cfg: nobody knows the key {key}")));
        }
        let connection = Connection {
            port: Port::new(machine),
            rest: Rest::Input,
            layer: None,
            output: Output::default(),
            in_body: false,
            by_default: None,
            held: false,
            ends: false,
            bodies: vec![Vec::new()],
        };
        self.connections.insert(group.connection, connection);
        Ok(())
    }

    fn start_layer(&mut self, group: &Group<'d>, text: &str) -> Result<(), Failure> {
        let now = self.now;
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (what, facts) = rest.split_once(' ').unwrap_or((rest, ""));
        let layer = match name {
            "tls" => Layer::Tls,
            "deflate" => Layer::Deflate,
            _ => return Err(self.failure(group, group.first, format!("{name} is no layer: tls or deflate"))),
        };
        let connection = self.connection(group.connection);
        if connection.layer != Some(layer) {
            let why = format!("nobody asked for {name}: the machine waits for {}", connection.rest.name());
            return Err(self.failure(group, group.first, why));
        }
        connection.layer = None;
        let done = match (what, facts) {
            ("started", facts) => self.subject.layer_facts(layer, facts).and_then(|facts| {
                let machine = &mut self.connection(group.connection).port.machine;
                machine.upgraded(now, facts).map_err(|misuse| misuse.to_string())
            }),
            ("failed", why) => match why {
                "" | "handshake" => Ok(UpgradeError::Handshake),
                "timeout" => Ok(UpgradeError::Timeout),
                "lost" => Ok(UpgradeError::ConnectionLost),
                _ => Err(format!("{why}: handshake, timeout or lost")),
            }
            .map(|why| self.connection(group.connection).port.machine.upgrade_failed(now, why)),
            _ => Err("L: a layer is started or failed".into()),
        };
        done.map_err(|why| self.failure(group, group.first, why))
    }

    /// Moves the clock from deadline to deadline.
    fn move_clock(&mut self, group: &Group<'d>, step: Duration) -> Result<(), Failure> {
        let end = self.now + step;
        for _ in 0..ROUNDS_MAX {
            let alive = self.connections.iter().filter(|(_, connection)| connection.rest != Rest::Closed);
            let due = alive.filter_map(|(number, connection)| Some((connection.port.machine.deadline()?, *number)));
            let Some((deadline, number)) = due.min().filter(|(deadline, _)| *deadline <= end) else {
                self.now = end;
                for number in self.numbers() {
                    self.run(group, number)?;
                }
                return self.settle(group);
            };
            self.now = self.now.max(deadline);
            let now = self.now;
            self.connection(number).port.machine.handle_timeout(now);
            self.run(group, number)?;
            self.settle(group)?;
        }
        Err(self.failure(group, group.first, format!("deadline() was due {ROUNDS_MAX} times and is due again")))
    }

    /// Lets the connections hear from each other until there is nothing new.
    fn settle(&mut self, group: &Group<'d>) -> Result<(), Failure> {
        for _ in 0..ROUNDS_MAX {
            let mut news = false;
            for number in self.numbers() {
                if self.connection(number).rest != Rest::Closed
                    && self.with_turn(number, |subject, turn| subject.deliver_news(turn))
                {
                    news = true;
                    self.run(group, number)?;
                }
            }
            if !news {
                return Ok(());
            }
        }
        Err(self.failure(group, group.first, "deliver_news() has news without end".into()))
    }

    /// Polls a machine until it rests, brings it what is on the wire, and answers its questions.
    fn run(&mut self, group: &Group<'d>, number: usize) -> Result<(), Failure> {
        if self.connection(number).rest == Rest::Closed {
            return Ok(());
        }
        let now = self.now;
        let client_side = self.dialog.config.client_side();
        let mut defaults = 0;
        loop {
            let connection = self.connections.get_mut(&number).expect("run() is called for known connections");
            let rest = match connection.port.step(&mut self.subject, number, now) {
                Err(broken) => return Err(self.failure(group, group.first, broken.to_string())),
                Ok(Reached::Event(Seen::Body(bytes))) => {
                    if let Some(body) = connection.bodies.last_mut() {
                        if !connection.in_body {
                            body.clear();
                        }
                        body.extend_from_slice(&bytes);
                    }
                    connection.in_body = true;
                    self.log.add(number, Happening::Body(bytes));
                    continue;
                }
                Ok(Reached::Event(Seen::Note(text))) => {
                    self.hear(group, number, text, false)?;
                    self.flush(number, false);
                    continue;
                }
                Ok(Reached::Event(Seen::Question(text))) => {
                    self.hear(group, number, text, true)?;
                    self.flush(number, false);
                    continue;
                }
                Ok(Reached::Input) => Rest::Input,
                Ok(Reached::Answer) => Rest::Answer,
                Ok(Reached::Time) => Rest::Time,
                Ok(Reached::Upgrade(layer)) => {
                    connection.layer = Some(layer);
                    Rest::Upgrade
                }
                Ok(Reached::Closed) => Rest::Closed,
            };
            connection.rest = rest;
            connection.held &= rest == Rest::Answer;
            let waiting = connection.port.on_wire() > 0;
            // A client session reads while it is asked for more: a server may refuse a message that is half sent.
            let reads = rest == Rest::Input || rest == Rest::Answer && client_side;
            let has_input = reads && (waiting || connection.ends);
            match rest {
                Rest::Answer if connection.by_default.is_some() && defaults < ROUNDS_MAX => {
                    defaults += 1;
                    self.flush(number, true);
                    self.answer_by_default(group, number)?;
                    continue;
                }
                Rest::Answer if group.holds.contains(&number) => connection.held = true,
                Rest::Answer if !has_input && !connection.held => {
                    let why = "the question is still open: its last A: line does not finish the answer";
                    return Err(self.failure(group, group.first, why.into()));
                }
                // What follows an upgrade too early is shown before the go-ahead is sent, as on a real wire.
                Rest::Upgrade if waiting => {
                    self.read_more(number);
                    continue;
                }
                _ => {}
            }
            self.flush(number, true);
            let connection = self.connection(number);
            if has_input && waiting {
                if self.read_more(number) == 0 {
                    return Ok(());
                }
            } else if has_input {
                connection.ends = false;
                connection.port.end(now);
            } else {
                return Ok(());
            }
        }
    }

    /// Gives how many bytes there was room for.
    fn read_more(&mut self, number: usize) -> usize {
        let on_wire = self.connection(number).port.on_wire();
        let n = match self.mode {
            Mode::Bytes => 1,
            // Short cuts and long ones alike.
            Mode::Cuts(_) if self.cuts.below(2) == 0 => 1 + self.cuts.below(4) as usize,
            Mode::Cuts(_) => 1 + self.cuts.below(on_wire as u64) as usize,
            _ => on_wire,
        };
        self.connection(number).port.read(n)
    }

    /// Takes output as if it were sent: all of it where the contract wants that, otherwise as the mode likes.
    fn flush(&mut self, number: usize, all: bool) {
        let now = self.now;
        let n = match self.mode {
            _ if all => usize::MAX,
            Mode::Whole => usize::MAX,
            Mode::Cuts(_) => {
                let available = self.connection(number).port.machine.output().len();
                self.cuts.below(available as u64 + 1) as usize
            }
            _ => 0,
        };
        let connection = self.connection(number);
        let taken = connection.port.take_output(n, now);
        if !taken.is_empty() {
            connection.output.add(&taken);
            self.log.add(number, Happening::Output(taken));
        }
    }

    /// Compares an event with the file, and answers it if it is a question.
    fn hear(&mut self, group: &Group<'d>, number: usize, text: String, question: bool) -> Result<(), Failure> {
        self.log.add(number, Happening::Event(text.clone()));
        let connection = self.connection(number);
        connection.in_body = false;
        connection.by_default = None;
        let heard = self.connection(number).bodies.len() - 1;
        let asked = |(_, (line, _)): &(usize, &(&'d Line, usize))| {
            line.connection == number && matches!(line.kind, Kind::Event(_))
        };
        let mut answers: Vec<&'d Line> = Vec::new();
        let strict = self.dialog.config.lists_every_event();
        let next = group.lines.iter().enumerate().filter(asked).nth(heard);
        let fits = match next {
            Some((_, (Line { kind: Kind::Event(pattern), .. }, _))) => {
                pattern.fits(text.as_bytes(), &mut self.bindings)
            }
            _ => false,
        };
        self.surprised |= strict && !fits;
        let listed = next.filter(|_| fits || strict && self.lenient);
        if let Some((_, (line, _))) = next.filter(|_| listed.is_none() && strict) {
            return Err(self.failure(group, line.number, format!("another event came: {text}")));
        }
        if listed.is_none() && strict && !self.lenient {
            return Err(self.failure(group, group.first, format!("an event that the file does not list: E: {text}")));
        }
        if let Some((index, _)) = listed {
            self.connection(number).bodies.push(Vec::new());
            let behind = group.lines[index + 1..].iter().map(|(line, _)| *line);
            answers = behind
                .filter(|line| line.connection == number)
                .take_while(|line| !matches!(line.kind, Kind::Event(_)))
                .filter(|line| matches!(line.kind, Kind::Answer(_)))
                .collect();
        }
        if !question {
            return match answers.first() {
                Some(line) => {
                    Err(self.failure(group, line.number, format!("an answer, but this is no question: {text}")))
                }
                None => Ok(()),
            };
        }
        if !answers.is_empty() {
            return self.give_answers(group, number, &answers);
        }
        let is_last = heard + 1 >= group.lines.iter().enumerate().filter(asked).count();
        if (listed.is_some() || self.lenient) && is_last && group.holds.contains(&number) {
            return Ok(());
        }
        self.connection(number).by_default = Some(text);
        self.answer_by_default(group, number)
    }

    fn give_answers(&mut self, group: &Group<'d>, number: usize, lines: &[&'d Line]) -> Result<(), Failure> {
        self.connection(number).held = false;
        for line in lines {
            let Kind::Answer(text) = &line.kind else { continue };
            let text = self.bindings.substitute(text).map_err(|why| self.plain_failure(line.number, why))?;
            let text = String::from_utf8_lossy(&text).into_owned();
            self.log.add(number, Happening::Answered(text.clone()));
            let given = self.with_turn(number, |subject, turn| subject.answer(turn, &text));
            given.map_err(|why| self.failure(group, line.number, why))?;
            // The next part of a streamed answer needs room.
            self.flush(number, lines.len() > 1);
        }
        Ok(())
    }

    fn answer_by_default(&mut self, group: &Group<'d>, number: usize) -> Result<(), Failure> {
        let Some(question) = self.connection(number).by_default.clone() else { return Ok(()) };
        let given = self.with_turn(number, |subject, turn| subject.answer_by_default(turn, &question));
        match given {
            Ok(true) => Ok(()),
            Ok(false) => {
                let asked = |line: &Line| line.connection == number && matches!(line.kind, Kind::Event(_));
                let line = group.lines.iter().rev().find(|(line, _)| asked(line)).map_or(group.first, |l| l.0.number);
                Err(self.failure(group, line, format!("an A: line is missing for the question: {question}")))
            }
            Err(why) => Err(self.failure(group, group.first, format!("the default answer to {question}: {why}"))),
        }
    }

    /// The numbers of the connections that were opened.
    pub(super) fn numbers(&self) -> Vec<usize> {
        self.connections.keys().copied().collect()
    }

    /// The body behind an event of the group, counted as `B:` lines count.
    pub(super) fn body(&self, number: usize, event: usize) -> Vec<u8> {
        self.connections.get(&number).and_then(|connection| connection.bodies.get(event)).cloned().unwrap_or_default()
    }

    /// The connections that this group closed, with the reasons.
    pub(super) fn newly_closed(&self) -> Vec<(usize, String)> {
        let closed = self.connections.iter().filter(|(_, connection)| connection.rest == Rest::Closed);
        let new = closed.filter(|(number, _)| !self.closed_before.contains(number));
        new.map(|(number, connection)| (*number, self.subject.close_reason(&connection.port.machine))).collect()
    }

    /// Counts all output as accounted for.
    pub(super) fn forget_output(&mut self) {
        self.connections.values_mut().for_each(|connection| connection.output = Output::default());
    }

    fn connection(&mut self, number: usize) -> &mut Connection<S::Machine> {
        self.connections.get_mut(&number).expect("a group of a connection follows the group that opens it")
    }

    fn with_turn<T>(&mut self, number: usize, call: impl FnOnce(&mut S, Turn<'_, S::Machine>) -> T) -> T {
        let now = self.now;
        let connection = self.connections.get_mut(&number).expect("only known connections are told anything");
        call(&mut self.subject, Turn { machine: &mut connection.port.machine, connection: number, now })
    }

    fn note(&mut self, group: &Group<'d>) {
        let line = self.dialog.lines.iter().find(|line| line.number == group.first);
        if let Some(line) = line {
            self.log.add(group.connection, Happening::Line(without_number(&line.text).into()));
        }
    }

    /// A failure of the file rather than of the machine.
    fn plain_failure(&self, line: usize, why: String) -> Failure {
        Failure::new(&self.dialog.name, line, why).with(Some(self.mode), Details::default())
    }

    pub(super) fn failure(&mut self, group: &Group<'d>, line: usize, why: String) -> Failure {
        for number in self.numbers() {
            self.flush(number, true);
        }
        let many = self.dialog.connections() > 1;
        let (machine, peer) = self.dialog.config.letters();
        let before = written(self.log.since(self.group_start.saturating_sub(BEFORE)), machine, peer, many);
        let got = written(self.log.since(self.group_start), machine, peer, many);
        let before = &before[..before.len() - got.len()];
        let expected = self.dialog.lines.iter().filter(|line| (group.first..group.end).contains(&line.number));
        let details = Details {
            before: before[before.len().saturating_sub(BEFORE)..].to_vec(),
            expected: expected.map(|line| line.text.trim_end().to_string()).collect(),
            got,
        };
        Failure::new(&self.dialog.name, line, why).with(Some(self.mode), details)
    }
}

/// How many lines a report shows of what went before.
pub(super) const BEFORE: usize = 8;

/// A line without the number of its connection.
pub(super) fn without_number(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_ascii_digit())
}
