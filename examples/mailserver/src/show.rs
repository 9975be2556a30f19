//! What the server prints: messages as they land, trouble, and the conversation with `--show-dialog`.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::io::Write;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use pillarbox::parts::{Direction, Observer, QueueEvent};

use crate::notes::note;

/// Prints what happens, a line each.
pub struct Show {
    dialog: bool,
    sessions: Mutex<HashMap<u64, (&'static str, Option<IpAddr>)>>,
}

/// How much of the name in a refused login is shown. Real names are shorter; a stranger's may be as long as a line.
const NAME_MAX: usize = 64;
/// Octets of early talk that are shown.
const EARLY_MAX: usize = 100;

impl Show {
    pub fn new(dialog: bool) -> Self {
        Show { dialog, sessions: Mutex::default() }
    }

    /// The service that a session uses, and where its client is.
    fn session(&self, session: u64) -> Option<(&'static str, Option<IpAddr>)> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&session).copied()
    }

    fn print(&self, session: u64, text: impl Display) {
        let name = match self.session(session) {
            Some((service, _)) => format!("{service}[{session}]"),
            None => "server".into(),
        };
        say(format_args!("{name:<15} {text}"));
    }
}

/// Prints a line. That nobody reads it (a closed pipe or terminal) is no reason to stop serving mail.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line for whoever looks after the server.
pub fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Octets of a peer, with everything escaped that could move a cursor or fake a line.
pub struct Escaped<'a>(pub &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    c if c.is_control() => write!(f, "{}", c.escape_default())?,
                    // Marks that reorder text on a screen.
                    '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                        write!(f, "{}", c.escape_unicode())?;
                    }
                    c => write!(f, "{c}")?,
                }
            }
            for octet in chunk.invalid() {
                write!(f, "\\x{octet:02x}")?;
            }
        }
        Ok(())
    }
}

fn address(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| "local".into(), |ip| ip.to_string())
}

impl Observer for Show {
    fn connected(&self, session: u64, service: &'static str, ip: Option<IpAddr>) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(session, (service, ip));
        if self.dialog {
            self.print(session, format_args!("connection from {}", address(ip)));
        }
    }

    fn disconnected(&self, session: u64, reason: &str) {
        if self.dialog {
            self.print(session, format_args!("closed: {reason}"));
        }
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }

    fn wants_lines(&self) -> bool {
        self.dialog
    }

    fn line(&self, session: u64, direction: Direction, line: &[u8]) {
        let who = match direction {
            Direction::Received => "C:",
            Direction::Sent => "S:",
        };
        let imap = self.session(session).is_some_and(|(service, _)| service == "imap");
        match note(imap, direction, line) {
            None => self.print(session, format_args!("{who} {}", Escaped(line))),
            Some(note) => self.print(session, format_args!("{who} {:<48}  # {note}", Escaped(line).to_string())),
        }
    }

    fn logged_in(&self, session: u64, user: &str) {
        self.print(session, format_args!("{} logged in", Escaped(user.as_bytes())));
    }

    // As postscreen says it, but for the port, which nobody is told of.
    fn talked_early(&self, session: u64, octets: &[u8]) {
        let ip = self.session(session).and_then(|(_, ip)| ip);
        let shown = &octets[..octets.len().min(EARLY_MAX)];
        self.print(session, format_args!("PREGREET {} from [{}]: {}", octets.len(), address(ip), Escaped(shown)));
    }

    // What we know comes before what the peer says, so that nobody puts another's address in its place.
    fn login_refused(&self, session: u64, ip: Option<IpAddr>, user: &str) {
        let user = user.chars().take(NAME_MAX).collect::<String>();
        self.print(session, format_args!("login refused from {} for {}", address(ip), Escaped(user.as_bytes())));
    }

    fn delivered(&self, session: u64, id: &str, from: &str, to: &str, size: u64) {
        let (from, to) = (Escaped(from.as_bytes()), Escaped(to.as_bytes()));
        self.print(session, format_args!("message {id} from {from} to {to}, {size} octets: delivered"));
    }

    fn checked(&self, session: u64, what: &str, results: &dyn Display) {
        self.print(session, format_args!("{what} checked: {}", Escaped(results.to_string().as_bytes())));
    }

    fn refused(&self, session: u64, what: &str, reply: &str) {
        // A line that may hold a secret comes empty.
        let what = if what.is_empty() { "a line" } else { what };
        let (what, reply) = (Escaped(what.as_bytes()), Escaped(reply.as_bytes()));
        let ip = self.session(session).and_then(|(_, ip)| ip);
        self.print(session, format_args!("refused to {}: {what}: {reply}", address(ip)));
    }

    fn queue(&self, event: &QueueEvent<'_>) {
        // That all went well with TLS is for reports.
        if matches!(event, QueueEvent::Tls { failure: None, .. }) {
            return;
        }
        let trouble = match event {
            QueueEvent::Failed { .. } | QueueEvent::Damaged { .. } | QueueEvent::SetAside { .. } => "TROUBLE: ",
            _ => "",
        };
        say(format_args!("{:<15} {trouble}{}", "queue", Escaped(event.to_string().as_bytes())));
    }

    fn failed(&self, session: u64, what: &str, cause: &dyn Display) {
        self.print(session, format_args!("TROUBLE with {what}: {}", Escaped(cause.to_string().as_bytes())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sends_stays_in_its_line() {
        assert_eq!(Escaped(b"a\r\nb\x1b[2J\xff\\Seen").to_string(), r"a\r\nb\u{1b}[2J\xff\Seen");
        assert_eq!(Escaped("ü\u{202e}x".as_bytes()).to_string(), r"ü\u{202e}x");
    }
}
