//! The laws of [`Machine`](crate::Machine), checked on any of them.
//!
//! A [`Subject`] (the same that plays dialog files) makes machines and answers all their questions by default;
//! everything here feeds such machines with bytes and compares what comes of it.
//!
//! | law | checked by |
//! |---|---|
//! | 1 split invariance | [`check`]: whole, byte by byte and cut at random give the same events, bodies and output; [`check_bytes`] inside lines |
//! | 2 progress | every run: no endless events, no `NeedInput` with a full buffer or after EOF, deadlines that move |
//! | 3 bounds | every run: `max_unread()` and the unsent output never pass [`Options`] (memory is for a counting allocator of the caller) |
//! | 4 order | [`check_order`]: one final reply per command, when it is due |
//! | 5 finality | every run: after `Closed` neither bytes, EOF, time nor a farewell bring anything |
//! | 6 no panic | every run |
//! | 7 determinism | every input is run twice |
//!
//! The kit is for tests, property tests ([`check`]), torture with mutated dialogs ([`torture`]) and fuzz targets
//! ([`check_bytes`]).

mod run;
mod torture;

use std::fmt;

use crate::dialog::{Config, Subject};
use crate::{Random, SeededRandom};

use run::{Cut, Ending, Trace, run};
pub use torture::{seeds, torture};

/// What the kit may assume about a machine, and how hard it tries.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The settings that the subject's machines are made with.
    pub config: Config,
    /// The most bytes that `max_unread()` may ask for (law 3).
    pub max_unread: usize,
    /// The most bytes that may wait in `output()` at any time (law 3). One flight can make many replies before the
    /// machine next waits, so this is a limit per flight.
    pub max_output: usize,
    /// How many random cuts of each input are compared.
    pub cuts: usize,
    /// Where the randomness comes from: the same seed gives the same run.
    pub seed: u64,
}

impl Default for Options {
    /// An empty configuration, no bounds, 8 cuts, and the seed of this test run (`DIALOG_SEED` sets it).
    fn default() -> Self {
        Options {
            config: Config::default(),
            max_unread: usize::MAX,
            max_output: usize::MAX,
            cuts: 8,
            seed: crate::dialog::test_seed(),
        }
    }
}

/// A law that a machine broke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// Which one.
    pub law: Law,
    /// How, for the reader of the test.
    pub why: String,
}

/// The laws of [`Machine`](crate::Machine), by their numbers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Law {
    /// 1: the cutting of the input does not matter.
    SplitInvariance,
    /// 2: polling comes to an end.
    Progress,
    /// 3: memory follows from the limits.
    Bounds,
    /// 4: one final reply per command, in their order.
    Order,
    /// 5: nothing follows `Closed`.
    Finality,
    /// 6: no input makes it panic.
    NoPanic,
    /// 7: equal inputs give equal runs.
    Determinism,
    /// No law of the machine: the subject could not make one, or had no answer to its question.
    Subject,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Law::SplitInvariance => "law 1 (split invariance)",
            Law::Progress => "law 2 (progress)",
            Law::Bounds => "law 3 (bounds)",
            Law::Order => "law 4 (order)",
            Law::Finality => "law 5 (finality)",
            Law::NoPanic => "law 6 (no panic)",
            Law::Determinism => "law 7 (determinism)",
            Law::Subject => "the contract of the test's subject",
        })
    }
}

impl Broken {
    pub(crate) fn new(law: Law, why: impl Into<String>) -> Self {
        Broken { law, why: why.into() }
    }

    fn with(mut self, context: &str) -> Self {
        self.why = format!("{} ({context})", self.why);
        self
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {}", self.law, self.why)
    }
}

impl std::error::Error for Broken {}

/// Checks all laws but the fourth on one input. Each flight is what the peer may send before it has to wait for us
/// (what stands between two synchronisation points); it is shown whole, byte by byte, and cut at random, and output is
/// taken late, early, and in pieces.
///
/// # Errors
///
/// The first law found [`Broken`].
///
/// The page of [`dialog`](crate::dialog) has an example.
pub fn check<S: Subject>(mut subject: impl FnMut() -> S, flights: &[&[u8]], options: &Options) -> Result<(), Broken> {
    let mut go = |cut: Cut, ending: Ending| run(&mut subject, flights, cut, ending, options);
    let whole = go(Cut::Whole, Ending::Eof)?;
    same(Law::Determinism, &whole, &go(Cut::Whole, Ending::Eof)?, "the same run twice")?;
    same(Law::SplitInvariance, &whole, &go(Cut::Bytes, Ending::Eof)?, "whole against byte by byte")?;
    let mut random = SeededRandom::new(options.seed);
    for _ in 0..options.cuts {
        let seed = random.next_u64();
        let context = format!("whole against cuts of seed {}", options.seed);
        same(Law::SplitInvariance, &whole, &go(Cut::Random(seed), Ending::Eof)?, &context)?;
    }
    go(Cut::Whole, Ending::Time)?;
    go(Cut::Whole, Ending::ShutDown)?;
    Ok(())
}

/// Checks arbitrary bytes, as a fuzzer makes them: what [`check`] checks, but cut inside lines only, since a protocol
/// may have to wait behind any line. The bytes are also shown in one piece, for all laws but the first. The cuts follow
/// from the bytes, so that a fuzzer's finding repeats.
///
/// # Errors
///
/// The first law found [`Broken`].
pub fn check_bytes<S: Subject>(mut subject: impl FnMut() -> S, data: &[u8], options: &Options) -> Result<(), Broken> {
    let lines: Vec<&[u8]> = data.split_inclusive(|b| *b == b'\n').collect();
    let seed = data.iter().fold(data.len() as u64, |seed, b| seed.wrapping_mul(0x100_0000_01b3) ^ u64::from(*b));
    let options = Options { seed, ..options.clone() };
    check(&mut subject, &lines, &options)?;
    let mut go = |cut: Cut, ending: Ending| run(&mut subject, &[data], cut, ending, &options);
    let whole = go(Cut::Whole, Ending::Eof)?;
    same(Law::Determinism, &whole, &go(Cut::Whole, Ending::Eof)?, "the same run twice, all in one piece")?;
    go(Cut::Random(seed), Ending::Time)?;
    go(Cut::Random(seed), Ending::ShutDown)?;
    Ok(())
}

/// Checks law 4: each command is sent by itself and has to bring exactly one more final reply; then all are sent
/// together and have to bring the same output. `final_replies` counts the final replies in all output so far (for LMTP
/// a command is the end of a message for one recipient); what is in the output before the first command, such as a
/// greeting, is not counted. The commands must have no synchronisation point among them, except at the end.
///
/// # Errors
///
/// The law found [`Broken`].
pub fn check_order<S: Subject>(
    mut subject: impl FnMut() -> S,
    commands: &[&[u8]],
    mut final_replies: impl FnMut(&[u8]) -> usize,
    options: &Options,
) -> Result<(), Broken> {
    let mut counted = Vec::new();
    for sent in 0..=commands.len() {
        let trace = run(&mut subject, &commands[..sent], Cut::Whole, Ending::Stay, options)?;
        counted.push(final_replies(&trace.output));
    }
    for (index, pair) in counted.windows(2).enumerate() {
        if pair[1] != pair[0] + 1 {
            let command = String::from_utf8_lossy(commands[index]).into_owned();
            let replies = pair[1].wrapping_sub(pair[0]) as isize;
            return Err(Broken::new(Law::Order, format!("{replies} final replies to command {index}: {command:?}")));
        }
    }
    let apart = run(&mut subject, commands, Cut::Whole, Ending::Stay, options)?;
    let together = run(&mut subject, &[&commands.concat()], Cut::Whole, Ending::Stay, options)?;
    same(Law::Order, &apart, &together, "one by one against all at once")
}

/// Compares two runs that have to be equal.
fn same(law: Law, one: &Trace, other: &Trace, context: &str) -> Result<(), Broken> {
    let differ = |what: &str, a: &str, b: &str| Err(Broken::new(law, format!("{what}: {a} against {b}")).with(context));
    for index in 0..one.events.len().max(other.events.len()) {
        let (a, b) = (one.events.get(index), other.events.get(index));
        if a != b {
            return differ(&format!("event {index}"), &shown(a), &shown(b));
        }
    }
    if one.output != other.output {
        let equal = one.output.iter().zip(&other.output).take_while(|(a, b)| a == b).count();
        let line = one.output[..equal].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let text = |output: &[u8]| {
            let rest = &output[line..];
            format!("{:?}", String::from_utf8_lossy(&rest[..rest.len().min(120)]))
        };
        return differ(&format!("output at byte {line}"), &text(&one.output), &text(&other.output));
    }
    if one.end != other.end {
        return differ("the end", &one.end, &other.end);
    }
    Ok(())
}

fn shown(event: Option<&run::Event>) -> String {
    match event {
        None => "nothing".into(),
        Some(event) => {
            let text = format!("{event:?}");
            text.chars().take(160).collect()
        }
    }
}
