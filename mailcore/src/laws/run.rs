//! One run of a machine over some input, under watch.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Broken, Law, Options};
use crate::dialog::{Port, Reached, Seen, Subject, Turn};
use crate::{Layer, Machine, Random, SeededRandom, Time};

/// How the input of a flight is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// All that there is, even if it is more than `max_unread()`. Output is taken when the machine waits.
    Whole,
    /// Byte by byte. Output is taken after each step.
    Bytes,
    /// In pieces, output too.
    Random(u64),
}

/// What comes behind the last flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing.
    Stay,
    /// The peer ends its side.
    Eof,
    /// The peer says nothing, until there is no deadline any more; then it ends its side.
    Time,
    /// We stop; then the peer ends its side.
    ShutDown,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) events: Vec<Event>,
    pub(super) output: Vec<u8>,
    /// How it ended.
    pub(super) end: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Text(String),
    Body(Vec<u8>),
}

/// How many answers, deadlines, layers and other turns one wait may take, beside those that use input.
const ROUNDS_MAX: usize = 100_000;

/// Runs a new machine over the flights.
pub(super) fn run<S: Subject>(
    subject: &mut impl FnMut() -> S,
    flights: &[&[u8]],
    cut: Cut,
    ending: Ending,
    options: &Options,
) -> Result<Trace, Broken> {
    let mut trace = Trace::default();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut subject = subject();
        let machine = subject.connect(1, &options.config).map_err(|why| Broken::new(Law::Subject, why))?;
        let seed = if let Cut::Random(seed) = cut { seed } else { 0 };
        let runner = Runner {
            port: Port::new(machine),
            subject,
            cut,
            options,
            random: SeededRandom::new(seed),
            now: Time::ZERO,
            trace: &mut trace,
            in_body: false,
            question: None,
        };
        runner.run(flights, ending)
    }));
    match ran {
        Ok(done) => done?,
        Err(panic) => return Err(Broken::new(Law::NoPanic, said(&*panic))),
    }
    Ok(trace)
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a text".into())
}

struct Runner<'r, S: Subject> {
    port: Port<S::Machine>,
    subject: S,
    cut: Cut,
    options: &'r Options,
    random: SeededRandom,
    now: Time,
    trace: &'r mut Trace,
    in_body: bool,
    question: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Input,
    Closed,
}

impl<S: Subject> Runner<'_, S> {
    fn run(mut self, flights: &[&[u8]], ending: Ending) -> Result<(), Broken> {
        let mut rest = self.until_rest()?;
        for flight in flights {
            if rest == Rest::Closed {
                break;
            }
            self.port.send(flight);
            rest = self.until_rest()?;
        }
        if ending == Ending::Time {
            for round in 0.. {
                let Some(deadline) = self.port.machine.deadline().filter(|_| rest == Rest::Input) else { break };
                if round == ROUNDS_MAX {
                    return Err(Broken::new(Law::Progress, format!("{round} deadlines, and another one is due")));
                }
                self.pass(deadline)?;
                rest = self.until_rest()?;
            }
        }
        if ending == Ending::ShutDown && rest == Rest::Input {
            self.port.machine.shut_down(self.now);
            rest = self.until_rest()?;
        }
        if ending == Ending::Stay {
            self.trace.end = format!("{rest:?}");
            return Ok(());
        }
        if rest == Rest::Input {
            self.port.end(self.now);
            self.until_rest()?;
        }
        self.trace.end = self.subject.close_reason(&self.port.machine);
        self.stays_closed()
    }

    /// Polls, answers and reads until everything on the wire was shown and the machine waits for more, or is closed.
    fn until_rest(&mut self) -> Result<Rest, Broken> {
        let rounds = ROUNDS_MAX + 16 * self.port.on_wire();
        for _ in 0..rounds {
            let waiting = self.port.on_wire() > 0;
            let reached = self.port.step(&mut self.subject, 1, self.now)?;
            let is_event = matches!(reached, Reached::Event(_));
            let mut ask = false;
            match reached {
                Reached::Event(Seen::Body(bytes)) => {
                    match self.trace.events.last_mut() {
                        Some(Event::Body(body)) if self.in_body => body.extend_from_slice(&bytes),
                        _ => self.trace.events.push(Event::Body(bytes)),
                    }
                    self.in_body = true;
                }
                Reached::Event(Seen::Note(text)) => {
                    self.in_body = false;
                    self.trace.events.push(Event::Text(text));
                }
                Reached::Event(Seen::Question(text)) => {
                    self.in_body = false;
                    self.trace.events.push(Event::Text(text.clone()));
                    self.question = Some(text);
                    ask = true;
                }
                Reached::Answer => {
                    // A part of a streamed answer needs room.
                    self.flush(true)?;
                    ask = true;
                }
                Reached::Input if waiting => {
                    self.flush(true)?;
                    self.read();
                }
                Reached::Input => {
                    self.flush(true)?;
                    return Ok(Rest::Input);
                }
                Reached::Time => {
                    self.flush(true)?;
                    let deadline = self.port.machine.deadline();
                    self.pass(deadline.ok_or(Broken::new(Law::Progress, "NeedTime without a deadline()"))?)?;
                }
                // What follows an upgrade too early is shown before the go-ahead is sent.
                Reached::Upgrade(_) if waiting => self.read(),
                Reached::Upgrade(layer) => {
                    self.flush(true)?;
                    self.upgrade(layer)?;
                }
                Reached::Closed => {
                    self.flush(true)?;
                    return Ok(Rest::Closed);
                }
            }
            if ask {
                self.answer()?;
            }
            if is_event || ask {
                self.flush(false)?;
            }
            self.check_bounds()?;
        }
        Err(Broken::new(Law::Progress, format!("no rest within {rounds} steps")))
    }

    fn answer(&mut self) -> Result<(), Broken> {
        let Some(question) = self.question.clone() else {
            return Err(Broken::new(Law::Progress, "NeedAnswer, but no question was asked"));
        };
        let turn = Turn { machine: &mut self.port.machine, connection: 1, now: self.now };
        match self.subject.answer_by_default(turn, &question) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Broken::new(Law::Subject, format!("no default answer to: {question}"))),
            Err(why) => Err(Broken::new(Law::Subject, format!("the default answer to {question}: {why}"))),
        }
    }

    fn upgrade(&mut self, layer: Layer) -> Result<(), Broken> {
        let facts = self.subject.layer_facts(layer, "").map_err(|why| Broken::new(Law::Subject, why))?;
        let taken = self.port.machine.upgraded(self.now, facts);
        taken.map_err(|misuse| Broken::new(Law::Progress, format!("Upgrade({layer:?}), but then: {misuse}")))
    }

    fn pass(&mut self, deadline: Time) -> Result<(), Broken> {
        self.now = self.now.max(deadline);
        self.port.machine.handle_timeout(self.now);
        self.check_bounds()
    }

    fn read(&mut self) {
        let on_wire = self.port.on_wire();
        match self.cut {
            Cut::Whole => self.port.read_all(),
            Cut::Bytes => {
                self.port.read(1);
            }
            Cut::Random(_) => {
                let most = if self.random.below(2) == 0 { on_wire.min(4) } else { on_wire };
                self.port.read(1 + self.random.below(most as u64) as usize);
            }
        }
    }

    fn flush(&mut self, all: bool) -> Result<(), Broken> {
        self.check_bounds()?;
        let n = match self.cut {
            _ if all => usize::MAX,
            Cut::Whole => 0,
            Cut::Bytes => usize::MAX,
            Cut::Random(_) => self.random.below(self.port.machine.output().len() as u64 + 1) as usize,
        };
        let taken = self.port.take_output(n, self.now);
        self.trace.output.extend(taken);
        if all && !self.port.machine.output().is_empty() {
            return Err(Broken::new(Law::Progress, "output() is not empty after all of it was consumed"));
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), Broken> {
        let (unread, output) = (self.port.max_unread.max(self.port.machine.max_unread()), self.port.machine.output());
        if unread > self.options.max_unread {
            let why = format!("max_unread() is {unread}, the bound is {}", self.options.max_unread);
            return Err(Broken::new(Law::Bounds, why));
        }
        if output.len() > self.options.max_output {
            let why = format!("{} bytes of output wait, the bound is {}", output.len(), self.options.max_output);
            return Err(Broken::new(Law::Bounds, why));
        }
        Ok(())
    }

    /// Nothing that can happen to a closed machine brings anything new.
    fn stays_closed(&mut self) -> Result<(), Broken> {
        let reason = self.trace.end.clone();
        for round in 0..5 {
            let what = match round {
                0 => "another poll",
                1 => {
                    self.port.send(b"QUIT\r\na LOGOUT\r\n.\r\n");
                    self.port.read_all();
                    "more bytes"
                }
                2 => {
                    self.port.end(self.now);
                    "EOF"
                }
                3 => {
                    let deadline = self.port.machine.deadline().unwrap_or(self.now);
                    self.now = deadline.max(self.now) + std::time::Duration::from_secs(1_000_000);
                    self.port.machine.handle_timeout(self.now);
                    "time"
                }
                _ => {
                    self.port.machine.shut_down(self.now);
                    "shut_down()"
                }
            };
            let broken = |came: String| Err(Broken::new(Law::Finality, format!("after Closed, {what} brought {came}")));
            match self.port.step(&mut self.subject, 1, self.now) {
                Ok(Reached::Closed) => {}
                Ok(other) => return broken(format!("{other:?}")),
                Err(other) => return broken(other.to_string()),
            }
            let output = self.port.machine.output();
            if !output.is_empty() {
                return broken(format!("the output {:?}", String::from_utf8_lossy(output)));
            }
            if self.subject.close_reason(&self.port.machine) != reason {
                return broken("another close reason".into());
            }
        }
        Ok(())
    }
}
