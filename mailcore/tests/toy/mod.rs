//! A small line protocol that obeys the contract, and can be told to break one law at a time.
//!
//! | command | what happens |
//! |---|---|
//! | (connect) | question `Connect` |
//! | `HELLO name` | question `Hello name`, a reply of three lines; the client waits |
//! | `ECHO text` | note `Echo text`, `250 text` |
//! | `ASK text` | question `Ask text`, `250 answer` |
//! | `DATA` | question `Data`, then a body up to a line with a dot; question `Outcome`; the client waits for 354 |
//! | `LIST` | question `List`, answered in parts: `item x` any number of times, then `done` |
//! | `FETCH` | three untagged responses, one with a literal, in an order that depends on the configuration |
//! | `DELAY` | served after 5 seconds |
//! | `TLS` | asks for TLS; the client waits |
//! | `STORE text` | tells the other connections |
//! | `QUIT` | `221 bye`; the client waits |

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pillarbox_core::dialog::{Config, Seen, Subject, Turn};
use pillarbox_core::{Layer, LayerFacts, Machine, Misuse, Step, Time, UpgradeError};

pub(crate) const LINE_MAX: usize = 64;
const IDLE: Duration = Duration::from_secs(300);

/// The law that a machine breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// An event tells how much of the input was shown.
    SeesTheCut,
    /// What is lent of a body line depends on the cut.
    DropsCutBody,
    /// A long line is never given up.
    WaitsWithFullBuffer,
    /// An event that comes again and again.
    EndlessEvents,
    /// A deadline that never moves.
    StuckDeadline,
    /// Nothing follows EOF, not even Closed.
    HangsAfterEof,
    /// Another slice is put in the place of the input.
    SwapsInput,
    /// `max_unread` grows with what arrives.
    GrowsMaxUnread,
    /// Output is added for ever while a line is incomplete.
    FloodsOutput,
    /// A reply is held until the next command.
    LateReply,
    /// A command gets two replies.
    TwoReplies,
    /// A closed machine still answers.
    OutputAfterClosed,
    /// A closed machine still has news.
    EventAfterClosed,
    /// A line is an index.
    Panics,
    /// Every run has its own number.
    CountsRuns,
    /// Bytes behind TLS are kept for after it.
    KeepsInjectedBytes,
}

pub(crate) enum Event<'b> {
    Connect,
    Hello(&'b str),
    Echo(&'b str),
    Ask(&'b str),
    Data,
    Body(&'b [u8]),
    Outcome,
    List,
    Store(&'b str),
}

pub(crate) enum Answer<'a> {
    Yes,
    No,
    Text(&'a str),
    Item(&'a str),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Ready,
    Open(Question),
    Body { line_start: bool },
    Delay(Time),
    Tls,
    Closed(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Connect,
    Hello,
    Ask,
    Data,
    Outcome,
    List,
}

pub(crate) struct Echo {
    state: State,
    fault: Fault,
    output: Vec<u8>,
    held: Vec<u8>,
    last: Time,
    skipping: bool,
    ended: bool,
    stopping: bool,
    unread_max: usize,
    reversed: bool,
    run: u64,
}

static RUNS: AtomicU64 = AtomicU64::new(0);

impl Echo {
    pub(crate) fn new(fault: Fault) -> Self {
        Echo {
            state: State::Start,
            fault,
            output: Vec::new(),
            held: Vec::new(),
            last: Time::ZERO,
            skipping: false,
            ended: false,
            stopping: false,
            unread_max: LINE_MAX,
            reversed: false,
            run: RUNS.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn reply(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    pub(crate) fn news(&mut self, text: &str) {
        if !matches!(self.state, State::Closed(_)) {
            self.reply(&format!("* NEWS {text}"));
        }
    }

    pub(crate) fn close_reason(&self) -> &'static str {
        if let State::Closed(why) = self.state { why } else { "open" }
    }

    fn close(&mut self, why: &'static str) {
        self.state = State::Closed(why);
    }

    fn ask<'b>(&mut self, question: Question, event: Event<'b>) -> Option<Step<Event<'b>>> {
        self.state = State::Open(question);
        Some(Step::Event(event))
    }

    fn command<'b>(&mut self, now: Time, line: &'b str, behind: usize) -> Option<Step<Event<'b>>> {
        let (verb, text) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "HELLO" => return self.ask(Question::Hello, Event::Hello(text)),
            "ECHO" => {
                match self.fault {
                    Fault::LateReply => {
                        let held = std::mem::take(&mut self.held);
                        self.output.extend(held);
                        self.held = format!("250 {text}\r\n").into_bytes();
                    }
                    Fault::CountsRuns => self.reply(&format!("250 {text} {}", self.run)),
                    _ => self.reply(&format!("250 {text}")),
                }
                if self.fault == Fault::TwoReplies {
                    self.reply("250 again");
                }
                if self.fault == Fault::SeesTheCut && behind > 0 {
                    return Some(Step::Event(Event::Echo("and more")));
                }
                return Some(Step::Event(Event::Echo(text)));
            }
            "ASK" => return self.ask(Question::Ask, Event::Ask(text)),
            "DATA" => return self.ask(Question::Data, Event::Data),
            "LIST" => return self.ask(Question::List, Event::List),
            "FETCH" => {
                let mut responses = ["* 1 EXISTS", "* 1 FETCH (BODY[] {4}\r\na\r\nb)", "* OK [UIDNEXT 7]"];
                if self.reversed {
                    responses.reverse();
                }
                responses.iter().for_each(|line| self.reply(line));
                self.reply("250 fetched");
            }
            "STORE" => {
                self.reply("250 stored");
                return Some(Step::Event(Event::Store(text)));
            }
            "DELAY" => self.state = State::Delay(now + Duration::from_secs(5)),
            "TLS" if behind > 0 && self.fault != Fault::KeepsInjectedBytes => {
                self.reply("554 bytes behind TLS");
                self.close("injection");
            }
            "TLS" => {
                self.reply("220 go");
                self.state = State::Tls;
            }
            "QUIT" => {
                self.reply("221 bye");
                self.close("quit");
            }
            "CRASH" if self.fault == Fault::Panics => panic!("crashed as told"),
            "MORE" if self.fault == Fault::GrowsMaxUnread => {
                self.unread_max *= 8;
                self.reply("250 more");
            }
            _ => self.reply("500 what"),
        }
        None
    }

    fn body<'b>(&mut self, line_start: bool, input: &mut &'b [u8]) -> Option<Step<Event<'b>>> {
        let shown = *input;
        let mut start = 0;
        if line_start && shown.first() == Some(&b'.') {
            match shown {
                [_, b'\r', b'\n', ..] => {
                    *input = &shown[3..];
                    return self.ask(Question::Outcome, Event::Outcome);
                }
                [_] | [_, b'\r'] => return None,
                _ => start = 1,
            }
        }
        let line_end = shown.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2);
        // A CR at the end may be the first half of a line end.
        let whole = shown.len() - usize::from(shown.last() == Some(&b'\r'));
        let end = line_end.unwrap_or(whole);
        if start >= end {
            return None;
        }
        if self.fault == Fault::DropsCutBody && line_end.is_none() {
            start = end;
        }
        *input = &shown[end..];
        self.state = State::Body { line_start: line_end.is_some() };
        Some(Step::Event(Event::Body(&shown[start..end])))
    }

    fn wait<'b>(&mut self) -> Step<Event<'b>> {
        if self.ended && self.fault != Fault::HangsAfterEof {
            self.close("eof");
            return Step::Closed;
        }
        Step::NeedInput
    }

    fn stop_if_asked(&mut self) {
        if self.stopping && matches!(self.state, State::Ready) {
            self.reply("421 stopping");
            self.close("stopped");
        }
    }
}

impl Machine for Echo {
    type Event<'b> = Event<'b>;
    type Answer<'a> = Answer<'a>;

    fn poll<'b>(&mut self, now: Time, input: &mut &'b [u8]) -> Step<Event<'b>> {
        loop {
            match self.state {
                State::Start => return self.ask(Question::Connect, Event::Connect).unwrap_or(Step::NeedInput),
                State::Open(_) => return Step::NeedAnswer,
                State::Delay(until) if now < until => return Step::NeedTime,
                State::Delay(_) => {
                    self.reply("250 delayed");
                    self.state = State::Ready;
                    self.last = now;
                    self.stop_if_asked();
                }
                // Talk that arrived before the go-ahead left is refused, whether or not it was shown with the command.
                State::Tls if !input.is_empty() && self.fault != Fault::KeepsInjectedBytes => {
                    let go_ahead = self.output.len().saturating_sub(b"220 go\r\n".len());
                    self.output.truncate(go_ahead);
                    self.reply("554 bytes behind TLS");
                    self.close("injection");
                }
                State::Tls => return Step::Upgrade(Layer::Tls),
                State::Closed(_) => {
                    if self.fault == Fault::OutputAfterClosed && !input.is_empty() {
                        self.reply("500 closed");
                    }
                    if self.fault == Fault::EventAfterClosed && !input.is_empty() {
                        return Step::Event(Event::Echo("closed"));
                    }
                    return Step::Closed;
                }
                State::Body { line_start } => {
                    self.last = if input.is_empty() { self.last } else { now };
                    return self.body(line_start, input).unwrap_or_else(|| self.wait());
                }
                State::Ready => {
                    let shown = *input;
                    if self.fault == Fault::SwapsInput && shown.len() > 4 {
                        *input = b"ECHO swapped\r\n";
                    }
                    let Some(end) = shown.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2) else {
                        if shown.starts_with(b"EVER") && self.fault == Fault::EndlessEvents {
                            return Step::Event(Event::Echo("ever"));
                        }
                        if shown.starts_with(b"FLOOD") && self.fault == Fault::FloodsOutput {
                            self.output.extend_from_slice(&[b'x'; 10_000]);
                        }
                        if shown.len() >= LINE_MAX && self.fault != Fault::WaitsWithFullBuffer {
                            // All but a CR, which may be the first half of a line end.
                            let kept = usize::from(shown.last() == Some(&b'\r'));
                            *input = &shown[shown.len() - kept..];
                            self.skipping = true;
                        }
                        return self.wait();
                    };
                    self.last = now;
                    let line = &shown[..end - 2];
                    *input = &shown[end..];
                    let too_long = std::mem::take(&mut self.skipping) || end > LINE_MAX;
                    match std::str::from_utf8(line) {
                        Ok(line) if !too_long => {
                            if let Some(step) = self.command(now, line, input.len()) {
                                return step;
                            }
                        }
                        _ => self.reply("500 too long or not text"),
                    }
                }
            }
        }
    }

    fn answer(&mut self, now: Time, answer: Answer<'_>) -> Result<(), Misuse> {
        let State::Open(question) = self.state else { return Err(Misuse::NoOpenQuestion) };
        self.state = State::Ready;
        self.last = now;
        match (question, answer) {
            (Question::Connect, Answer::Yes) => self.reply("220 toy"),
            (Question::Connect, Answer::No) => {
                self.reply("554 no");
                self.close("refused");
            }
            (Question::Hello, Answer::Yes) => self.reply("250-toy\r\n250-LINE 64\r\n250 HELP"),
            (Question::Ask | Question::Outcome, Answer::Yes) => self.reply("250 yes"),
            (Question::Ask | Question::Outcome, Answer::Text(text)) => self.reply(&format!("250 {text}")),
            (Question::Data, Answer::Yes) => {
                self.reply("354 go");
                self.state = State::Body { line_start: true };
            }
            (_, Answer::No) => self.reply("550 no"),
            (Question::List, Answer::Item(item)) => {
                if self.room() < item.len() {
                    self.state = State::Open(question);
                    return Err(Misuse::TooLong { what: "an item" });
                }
                self.reply(&format!("* {item}"));
                self.state = State::Open(question);
            }
            (Question::List, Answer::Done) => self.reply("250 listed"),
            _ => {
                self.state = State::Open(question);
                return Err(Misuse::WrongAnswer { question: "the toy's", answer: "another one" });
            }
        }
        self.stop_if_asked();
        Ok(())
    }

    fn output(&self) -> &[u8] {
        &self.output
    }

    fn consume_output(&mut self, _: Time, n: usize) {
        self.output.drain(..n.min(self.output.len()));
    }

    fn room(&self) -> usize {
        32usize.saturating_sub(self.output.len())
    }

    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Delay(until) => Some(until),
            State::Ready | State::Body { .. } => Some(self.last + IDLE),
            _ => None,
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.fault == Fault::StuckDeadline {
            return;
        }
        if matches!(self.state, State::Ready | State::Body { .. }) && now >= self.last + IDLE {
            self.reply("421 idle");
            self.close("idle");
        }
    }

    fn handle_eof(&mut self, _: Time) {
        self.ended = true;
    }

    fn upgraded(&mut self, now: Time, facts: LayerFacts) -> Result<(), Misuse> {
        let (State::Tls, LayerFacts::Tls(_)) = (self.state, facts) else { return Err(Misuse::NoUpgrade) };
        self.state = State::Ready;
        self.last = now;
        Ok(())
    }

    fn upgrade_failed(&mut self, _: Time, _: UpgradeError) {
        self.close("tls failed");
    }

    fn shut_down(&mut self, _: Time) {
        self.stopping = true;
        if !matches!(self.state, State::Open(Question::Outcome) | State::Closed(_)) {
            self.reply("421 stopping");
            self.close("stopped");
        }
    }

    fn max_unread(&self) -> usize {
        self.unread_max
    }
}

/// Plays dialogs against [`Echo`].
pub(crate) struct Toy {
    fault: Fault,
    /// What a connection has not been told yet.
    untold: BTreeMap<usize, Vec<String>>,
}

impl Toy {
    pub(crate) fn new(fault: Fault) -> Self {
        Toy { fault, untold: BTreeMap::new() }
    }
}

impl Subject for Toy {
    type Machine = Echo;

    fn connect(&mut self, connection: usize, config: &Config) -> Result<Echo, String> {
        self.untold.insert(connection, Vec::new());
        let mut machine = Echo::new(self.fault);
        machine.reversed = config.flag("reversed")?;
        Ok(machine)
    }

    fn describe(&mut self, connection: usize, event: Event<'_>) -> Seen {
        match event {
            Event::Connect => Seen::Question("Connect".into()),
            Event::Hello(name) => Seen::Question(format!("Hello {name}")),
            Event::Echo(text) => Seen::Note(format!("Echo {text}")),
            Event::Ask(text) => Seen::Question(format!("Ask {text}")),
            Event::Data => Seen::Question("Data".into()),
            Event::Body(bytes) => Seen::Body(bytes.to_vec()),
            Event::Outcome => Seen::Question("Outcome".into()),
            Event::List => Seen::Question("List".into()),
            Event::Store(text) => {
                for (_, untold) in self.untold.iter_mut().filter(|(other, _)| **other != connection) {
                    untold.push(text.into());
                }
                Seen::Note(format!("Store {text}"))
            }
        }
    }

    fn answer(&mut self, turn: Turn<'_, Echo>, text: &str) -> Result<(), String> {
        let answer = match text.split_once(' ').unwrap_or((text, "")) {
            ("yes", _) => Answer::Yes,
            ("no", _) => Answer::No,
            ("text", text) => Answer::Text(text),
            ("item", item) => Answer::Item(item),
            ("done", _) => Answer::Done,
            _ => return Err(format!("{text} is no answer of the toy")),
        };
        turn.machine.answer(turn.now, answer).map_err(|misuse| misuse.to_string())
    }

    fn answer_by_default(&mut self, turn: Turn<'_, Echo>, question: &str) -> Result<bool, String> {
        if question == "Ask me" {
            return Ok(false);
        }
        self.answer(turn, if question == "List" { "done" } else { "yes" })?;
        Ok(true)
    }

    fn news(&mut self, turn: Turn<'_, Echo>, text: &str) -> Result<(), String> {
        turn.machine.news(text);
        Ok(())
    }

    fn deliver_news(&mut self, turn: Turn<'_, Echo>) -> bool {
        let untold = self.untold.get_mut(&turn.connection).map(std::mem::take).unwrap_or_default();
        untold.iter().for_each(|text| turn.machine.news(text));
        !untold.is_empty()
    }

    fn is_sync_point(&mut self, _: usize, sent: &[u8], expected: &str) -> bool {
        let waits = [&b"HELLO"[..], b"TLS", b"QUIT"].iter().any(|verb| sent.starts_with(verb));
        waits || expected.starts_with("354")
    }

    fn close_reason(&self, machine: &Echo) -> String {
        machine.close_reason().into()
    }
}
