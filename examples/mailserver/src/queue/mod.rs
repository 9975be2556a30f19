//! `mailserver queue`: what waits to be sent, and what is done about it.

mod client;
mod content;
mod offline;
mod protocol;
mod selection;
pub mod server;
mod shown;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use self::protocol::{Answer, IDS_MAX, Part, Request, ShownMessage, VERSION, Verb};
use self::selection::Selection;
use crate::config::Config;
use crate::sending::SOCKET_NAME;
use crate::show::{complain, say};

/// What to do with the queue.
#[derive(Subcommand)]
pub enum Action {
    /// List the messages, with the recipients that are waiting, what their last attempt came to, and when the next is
    ///
    /// `!` behind a name means that the message is held, `*` that it is being tried.
    List(Meant),
    /// Show messages with all recipients and all attempts that are known, or what is in one of them
    Show(Shown),
    /// Try messages now, unless they are held
    Flush(Meant),
    /// Keep messages from being tried, and from going back, until they are released; they grow older meanwhile
    Hold(Meant),
    /// Let held messages go on; those that are too old by now are tried once more before they go back
    Release(Meant),
    /// Try messages now, and wait as for new ones from there on
    Requeue(Meant),
    /// Forget messages; nobody is told, and nothing brings them back
    Delete(Meant),
}

/// What is shown of which messages.
#[derive(Args)]
pub struct Shown {
    #[command(flatten)]
    meant: Meant,
    /// Print the content of the message, and nothing else, as it would be sent
    #[arg(long, conflicts_with = "header")]
    content: bool,
    /// Print its header
    #[arg(long)]
    header: bool,
}

/// Which messages are meant: those that all that is said here fits.
#[derive(Args)]
pub struct Meant {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// These messages, by the names that `queue list` shows
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All messages
    #[arg(long, conflicts_with_all = ["ids", "sender", "domain", "older_than", "error", "held"])]
    all: bool,
    /// Those of a sender; `<>` is the null path, which bounces have
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// Those with a recipient in this domain that is waiting
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Those that are here for at least so long: 90s, 5m, 4h, 5d
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    older_than: Option<u64>,
    /// Those with a recipient that is waiting because of something with this text in it
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Those that are held
    #[arg(long)]
    held: bool,
    /// Print a JSON object a line for each message
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<u64, String> {
    crate::config::duration(text).map(|time| time.as_secs())
}

fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Asks the server that runs, or looks at the disk if none does.
pub fn run(action: Action) -> Result<(), Box<dyn std::error::Error>> {
    let mut part = None;
    let (verb, meant) = match action {
        Action::List(meant) => (Verb::List, meant),
        Action::Show(Shown { meant, content, header }) => {
            part = content.then_some(Part::Content).or(header.then_some(Part::Header));
            (Verb::Show, meant)
        }
        Action::Flush(meant) => (Verb::Flush, meant),
        Action::Hold(meant) => (Verb::Hold, meant),
        Action::Release(meant) => (Verb::Release, meant),
        Action::Requeue(meant) => (Verb::Requeue, meant),
        Action::Delete(meant) => (Verb::Delete, meant),
    };
    let path = meant.config;
    let config = Config::load(&path)?;
    let Some(sending) = &config.sending else {
        return Err(format!("there is no queue: {} has no [queue]", path.display()).into());
    };
    let select = Selection {
        all: meant.all,
        ids: meant.ids,
        sender: meant.sender.map(|sender| sender.trim_matches(['<', '>']).to_owned()),
        domain: meant.domain,
        older_than: meant.older_than,
        error: meant.error,
        held: meant.held,
    };
    if select.says_nothing() && verb != Verb::List {
        return Err(
            "which messages are meant? Name them, say what they have in common (--sender, --domain, --older-than, \
                    --error, --held), or say --all"
                .into(),
        );
    }
    select.parsed_ids()?;
    if part.is_some() && (select.ids.len() != 1 || select.looks_inside()) {
        return Err("content is shown of one message: name it".into());
    }
    let content = part.map(|_| Vec::new());
    let mut printer = Printer { verb, json: meant.json, messages: 0, octets: 0, missing: 0, content };
    // A question has room for some names at a time.
    let some =
        if select.ids.is_empty() { vec![Vec::new()] } else { select.ids.chunks(IDS_MAX).map(<[_]>::to_vec).collect() };
    for ids in some {
        let request = Request { version: VERSION, verb, select: Selection { ids, ..select.clone() }, part };
        let asked = match client::connect(&sending.folder.join(SOCKET_NAME))? {
            Some(stream) => client::ask(&stream, &request, |answer| printer.take(answer)),
            None => offline::carry_out(&config, sending, &request, |answer| printer.take(answer)),
        };
        if let Err(why) = asked {
            printer.tell_done();
            return Err(why.into());
        }
    }
    printer.tell_content(&select.ids);
    printer.finish()
}

/// Prints what comes.
struct Printer {
    verb: Verb,
    json: bool,
    messages: usize,
    octets: u64,
    missing: usize,
    /// The content that was asked for, where it is printed in one with JSON.
    content: Option<Vec<u8>>,
}

/// As it is; a terminal is not to obey what a stranger wrote.
fn print(octets: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.is_terminal() {
        false => out.write_all(octets)?,
        true => out.write_all(&for_terminal(octets))?,
    }
    out.flush()
}

/// What of a piece a terminal is shown: nothing that moves its cursor but the ends of lines. With a CR alone a line could be written over.
fn for_terminal(octets: &[u8]) -> Vec<u8> {
    let shown = |(at, octet): (usize, &u8)| match (octet, octets.get(at + 1)) {
        // That of a line's end, which may come with the next piece.
        (b'\r', Some(b'\n') | None) => None,
        (b'\t' | b'\n' | b' '..=b'~', _) => Some(*octet),
        _ => Some(b'?'),
    };
    octets.iter().enumerate().filter_map(shown).collect()
}

impl Printer {
    fn tell_content(&self, ids: &[String]) {
        if let Some(content) = self.content.as_ref().filter(|_| self.json && self.missing == 0) {
            let content = String::from_utf8_lossy(content);
            say(serde_json::json!({ "id": ids.first(), "content": content }));
        }
    }

    fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Message(message) => self.message(&message),
            Answer::Content(text) => {
                let octets = content::decode(&text);
                match &mut self.content {
                    Some(content) if self.json => content.extend(octets),
                    // Whoever read it has gone: there is nobody to tell.
                    _ => drop(print(&octets)),
                }
            }
            Answer::Changed(ids) => {
                self.messages += ids.len();
                for id in ids {
                    if self.json {
                        say(serde_json::json!({ "id": id, "done": self.verb }));
                    }
                }
            }
            Answer::Missing(id) => {
                self.missing += 1;
                complain(format_args!("{}: no such message is waiting", id.escape_debug()));
            }
            Answer::Note(note) => complain(note.escape_debug()),
            Answer::Done | Answer::Error(_) => {}
        }
    }

    fn message(&mut self, message: &ShownMessage) {
        if self.json {
            match serde_json::to_string(message) {
                Ok(line) => say(line),
                Err(error) => complain(error),
            }
        } else {
            if self.messages == 0 {
                say(shown::HEADING);
            }
            say(shown::as_text(message, self.verb == Verb::Show, unix_now()));
        }
        self.messages += 1;
        self.octets = self.octets.saturating_add(message.size);
    }

    /// Says what was done before something went wrong.
    fn tell_done(&self) {
        if self.messages > 0 && !self.json {
            say(self.done());
        }
    }

    fn done(&self) -> String {
        let s = if self.messages == 1 { "" } else { "s" };
        match self.verb {
            Verb::List | Verb::Show if self.messages == 0 && self.missing == 0 => {
                "no message is waiting that is meant".into()
            }
            Verb::List | Verb::Show => format!("{} message{s}, {} octets", self.messages, self.octets),
            Verb::Flush | Verb::Requeue => format!("{} message{s} to be tried now", self.messages),
            Verb::Hold => format!("{} message{s} held", self.messages),
            Verb::Release => format!("{} message{s} released", self.messages),
            Verb::Delete => format!("{} message{s} deleted", self.messages),
        }
    }

    fn finish(self) -> Result<(), Box<dyn std::error::Error>> {
        if !self.json && self.content.is_none() {
            say(self.done());
        }
        match self.missing {
            0 => Ok(()),
            1 => {
                Err("one of the messages that were named is not waiting: it was delivered, returned or deleted".into())
            }
            n => Err(format!("{n} of the messages that were named are not waiting").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_shown_lines_and_nothing_that_moves_its_cursor() {
        assert_eq!(for_terminal(b"a\tb\r\nc\n\x1b[2J\xc3d\r"), b"a\tb\nc\n?[2J?d");
        assert_eq!(for_terminal(b"Subject: x\rFrom: y"), b"Subject: x?From: y");
    }
}
