//! The player of dialog files: conversations that test a machine.
//!
//! A dialog file tells one behaviour of a protocol as a conversation: what the client sends (`C:`), what the server
//! sends (`S:`), which events the machine lends (`E:`) and what the embedder answers (`A:`). A crate supplies a
//! [`Subject`], which knows how its machine is made and how its events read as text; [`play_dir`] plays each file of a
//! folder four ways ([`Mode`]), and [`play_stream`] plays the same files against a whole server behind a socket.
//!
//! ```text
//! # A line of one dot ends the message; two dots at the start of a line lose one.
//! cfg: size=1000
//! S: 220 mx.example *
//! C: EHLO c.example
//! S: 250-*
//! S: ...
//! C: MAIL FROM:<a@c.example>
//! E: Mail <a@c.example>
//! A: accept
//! S: 250 2.1.0 *
//! ```
//!
//! A whole machine with its subject, played and put through the [law kit](crate::laws):
//!
//! ```
//! use pillarbox_core::dialog::{Config, Mode, Seen, Subject, Turn, play_text};
//! use pillarbox_core::{LayerFacts, Machine, Misuse, Step, Time, UpgradeError, laws};
//!
//! /// Sends every octet back, and ends with the wire.
//! #[derive(Default)]
//! struct Echo {
//!     output: Vec<u8>,
//!     ended: bool,
//! }
//!
//! impl Machine for Echo {
//!     type Event<'b> = &'b [u8];
//!     type Answer<'a> = ();
//!
//!     fn poll<'b>(&mut self, _: Time, input: &mut &'b [u8]) -> Step<&'b [u8]> {
//!         match (std::mem::take(input), self.ended) {
//!             ([], false) => Step::NeedInput,
//!             ([], true) => Step::Closed,
//!             (_, true) if self.output.is_empty() => Step::Closed,
//!             (octets, _) => {
//!                 self.output.extend_from_slice(octets);
//!                 Step::Event(octets)
//!             }
//!         }
//!     }
//!     fn output(&self) -> &[u8] {
//!         &self.output
//!     }
//!     fn consume_output(&mut self, _: Time, n: usize) {
//!         self.output.drain(..n.min(self.output.len()));
//!     }
//!     fn handle_eof(&mut self, _: Time) {
//!         self.ended = true;
//!     }
//!     fn max_unread(&self) -> usize {
//!         64
//!     }
//!     // It asks nothing, measures no time and needs no layer.
//!     fn answer(&mut self, _: Time, (): ()) -> Result<(), Misuse> {
//!         Err(Misuse::NoOpenQuestion)
//!     }
//!     fn room(&self) -> usize {
//!         0
//!     }
//!     fn deadline(&self) -> Option<Time> {
//!         None
//!     }
//!     fn handle_timeout(&mut self, _: Time) {}
//!     fn upgraded(&mut self, _: Time, _: LayerFacts) -> Result<(), Misuse> {
//!         Err(Misuse::NoUpgrade)
//!     }
//!     fn upgrade_failed(&mut self, _: Time, _: UpgradeError) {}
//!     fn shut_down(&mut self, _: Time) {
//!         self.ended = true;
//!     }
//! }
//!
//! struct EchoSubject;
//!
//! impl Subject for EchoSubject {
//!     type Machine = Echo;
//!
//!     fn connect(&mut self, _: usize, _: &Config) -> Result<Echo, String> {
//!         Ok(Echo::default())
//!     }
//!     fn describe(&mut self, _: usize, octets: &[u8]) -> Seen {
//!         Seen::Body(octets.to_vec())
//!     }
//!     fn answer(&mut self, _: Turn<'_, Echo>, text: &str) -> Result<(), String> {
//!         Err(format!("nothing was asked: {text}"))
//!     }
//!     fn is_sync_point(&mut self, _: usize, _: &[u8], _: &str) -> bool {
//!         false
//!     }
//!     fn close_reason(&self, _: &Echo) -> String {
//!         "eof".into()
//!     }
//! }
//!
//! let dialog = "C: hello\nB: \"hello\\r\\n\"\nS: hello\nEOF\nclosed: eof\n";
//! play_text("echo.dialog", dialog, || EchoSubject, &Mode::all()).unwrap();
//!
//! let failure = play_text("wrong.dialog", "C: one\nS: two\n", || EchoSubject, &Mode::all()).unwrap_err();
//! assert_eq!((failure.line, failure.why.as_str()), (2, "this came instead: one"));
//!
//! laws::check(|| EchoSubject, &[b"one\r\n", b"two"], &laws::Options::default()).unwrap();
//! ```
//!
//! The grammar is in `docs/dialogs.md`. Environment variables of a test run: `DIALOG=substring` plays only the files
//! with that in their path, `DIALOG_SEED=number` repeats the random cuts of an earlier run, and `UPDATE_DIALOGS=1`
//! rewrites what the files expect (`S:`, `E:`, `B:`, `closed:`) to what the machine does.

mod config;
mod dir;
mod expect;
mod file;
mod log;
mod pattern;
mod plan;
mod play;
mod port;
mod report;
mod seed;
mod stream;
mod text;
mod update;

use crate::{Layer, LayerFacts, Machine, Time, TlsFacts};

pub use config::Config;
pub use dir::play_dir;
pub use file::{Dialog, ScriptedAnswer, parse};
pub use play::play_text;
pub use report::Failure;
pub use stream::{Connect, Stream, play_stream};
pub use update::updated_text;

pub(crate) use dir::find as find_files;
pub(crate) use port::{Port, Reached};
pub(crate) use seed::seed as test_seed;

/// What a protocol crate supplies so that dialog files can be played against its machine, and the laws checked on it.
///
/// One subject lives as long as one play of one file, whose connections share it (and whatever store it keeps for
/// them).
pub trait Subject {
    /// The machine under test.
    type Machine: Machine;

    /// Starts one connection (counted from 1) as the file's `cfg:` lines say.
    ///
    /// # Errors
    ///
    /// A text for the reader of the test if a setting makes no sense. A setting that is not looked at is an error too,
    /// which the player finds by itself.
    fn connect(&mut self, connection: usize, config: &Config) -> Result<Self::Machine, String>;

    /// How an event reads in the file.
    fn describe(&mut self, connection: usize, event: <Self::Machine as Machine>::Event<'_>) -> Seen;

    /// Gives the answer of one `A:` line. A streamed answer has an `A:` line per part.
    ///
    /// # Errors
    ///
    /// A text for the reader of the test: the line cannot be read, or the machine called it a
    /// [`Misuse`](crate::Misuse).
    fn answer(&mut self, turn: Turn<'_, Self::Machine>, text: &str) -> Result<(), String>;

    /// Answers a question for which the file has no `A:` line (and every question, when the laws are checked). Gives
    /// `false` if the question has no default answer. Where the answer is streamed, each call gives a part of it: the
    /// player sends what is to be sent and calls again as long as the question is open.
    ///
    /// # Errors
    ///
    /// As [`Subject::answer`].
    fn answer_by_default(&mut self, turn: Turn<'_, Self::Machine>, question: &str) -> Result<bool, String> {
        let _ = (turn, question);
        Ok(false)
    }

    /// Brings the news of an `N:` line to the machine.
    ///
    /// # Errors
    ///
    /// A text for the reader of the test if the line cannot be read.
    fn news(&mut self, turn: Turn<'_, Self::Machine>, text: &str) -> Result<(), String> {
        let _ = turn;
        Err(format!("this machine takes no news: {text}"))
    }

    /// Brings a connection what the other connections of the file changed meanwhile; `true` if there was anything.
    fn deliver_news(&mut self, turn: Turn<'_, Self::Machine>) -> bool {
        let _ = turn;
        false
    }

    /// The facts of an `L: tls started version=TLSv1.2 alpn=imap` line; `text` is what stands behind `started`. The
    /// keys are those of [`TlsFacts`], with the exporter as 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// A text for the reader of the test if the line cannot be read.
    fn layer_facts(&mut self, layer: Layer, text: &str) -> Result<LayerFacts, String> {
        layer_facts(layer, text)
    }

    /// Whether a client has to wait for our output before it sends anything behind these bytes (the table of
    /// synchronisation points of the protocol). It is asked when a file is played pipelined, about the line behind which
    /// more could be sent along; `expected` is the text of the next line that the file expects from the machine, such as
    /// `334 *` (empty if there is none before the peer sends again).
    fn is_sync_point(&mut self, connection: usize, sent: &[u8], expected: &str) -> bool;

    /// Why the machine is closed, as it reads in a `closed:` line.
    fn close_reason(&self, machine: &Self::Machine) -> String;
}

/// A machine at the moment at which it is told something.
#[derive(Debug)]
#[non_exhaustive]
pub struct Turn<'m, M> {
    /// The machine.
    pub machine: &'m mut M,
    /// The number of its connection, counted from 1.
    pub connection: usize,
    /// What the clock says.
    pub now: Time,
}

impl<'m, M> Turn<'m, M> {
    /// A turn, for callers that are not the player: a test of a subject, or a server made of its parts.
    pub fn new(machine: &'m mut M, connection: usize, now: Time) -> Self {
        Turn { machine, connection, now }
    }
}

/// How an event reads in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Bytes of a body: compared by `B:` lines, with adjacent ones merged.
    Body(Vec<u8>),
    /// `E: text`, to which nothing has to be said.
    Note(String),
    /// `E: text`, which has to be answered.
    Question(String),
}

/// A way of playing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Lines that stand together arrive in one piece.
    Whole,
    /// Bytes arrive one by one.
    Bytes,
    /// All that a client may send before it has to wait arrives in one piece ([`Subject::is_sync_point`]).
    Pipelined,
    /// Cut at random, with this seed.
    Cuts(u64),
}

impl Mode {
    /// All four, with a new seed for the cuts (or the one in `DIALOG_SEED`).
    pub fn all() -> Vec<Mode> {
        vec![Mode::Whole, Mode::Bytes, Mode::Pipelined, Mode::Cuts(seed::seed())]
    }

    fn parse_list(list: &str) -> Result<Vec<Mode>, String> {
        list.split(',')
            .map(|name| match name {
                "whole" => Ok(Mode::Whole),
                "bytes" => Ok(Mode::Bytes),
                "pipelined" => Ok(Mode::Pipelined),
                "cuts" => Ok(Mode::Cuts(seed::seed())),
                _ => Err(format!("modes={name} is not one of whole, bytes, pipelined, cuts")),
            })
            .collect()
    }

    /// Whether both are the same way, whatever the seed.
    fn is_like(self, other: Mode) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mode::Whole => f.write_str("whole"),
            Mode::Bytes => f.write_str("byte by byte"),
            Mode::Pipelined => f.write_str("pipelined"),
            Mode::Cuts(seed) => write!(f, "cut at random, DIALOG_SEED={seed}"),
        }
    }
}

fn layer_facts(layer: Layer, text: &str) -> Result<LayerFacts, String> {
    let settings = config::settings(text)?;
    if layer == Layer::Deflate {
        return match settings.first() {
            Some((key, _)) => Err(format!("there is nothing to tell about DEFLATE, not even {key}")),
            None => Ok(LayerFacts::Deflate),
        };
    }
    let mut facts = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
    for (key, value) in settings {
        match key.as_str() {
            "version" => facts.version = value,
            "cipher" => facts.cipher = value,
            "alpn" => facts.alpn = Some(value.into_bytes()),
            "sni" => facts.sni = Some(value),
            "exporter" => {
                let mut exporter = [0; 32];
                for (index, byte) in exporter.iter_mut().enumerate() {
                    let digits = value.get(index * 2..index * 2 + 2);
                    *byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok()).ok_or("exporter needs 64 digits")?;
                }
                facts.exporter = Some(exporter);
            }
            _ => return Err(format!("{key} is no fact of TLS: version, cipher, alpn, sni, exporter")),
        }
    }
    Ok(LayerFacts::Tls(facts))
}
