//! What the server prints: messages as they land, trouble, and the conversation with `--show-dialog`.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use pillarbox::parts::{Direction, Observer};

/// Prints what happens, a line each.
pub struct Show {
    dialog: bool,
    services: Mutex<HashMap<u64, &'static str>>,
}

impl Show {
    pub fn new(dialog: bool) -> Self {
        Show { dialog, services: Mutex::default() }
    }

    fn service(&self, session: u64) -> &'static str {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).get(&session).copied().unwrap_or("?")
    }

    fn print(&self, session: u64, text: impl Display) {
        println!("{}[{session}] {text}", self.service(session));
    }
}

/// Octets of a peer, with everything escaped that could move a cursor or fake a line.
struct Escaped<'a>(&'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
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
        self.services.lock().unwrap_or_else(PoisonError::into_inner).insert(session, service);
        if self.dialog {
            self.print(session, format_args!("connection from {}", address(ip)));
        }
    }

    fn disconnected(&self, session: u64, reason: &str) {
        if self.dialog {
            self.print(session, format_args!("closed: {reason}"));
        }
        self.services.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }

    fn wants_lines(&self) -> bool {
        self.dialog
    }

    fn line(&self, session: u64, direction: Direction, line: &[u8]) {
        let (who, note) = match direction {
            Direction::Received => ("C:", annotation(line)),
            Direction::Sent => ("S:", ""),
        };
        match note {
            "" => self.print(session, format_args!("{who} {}", Escaped(line))),
            note => self.print(session, format_args!("{who} {:<50} # {note}", Escaped(line).to_string())),
        }
    }

    fn logged_in(&self, session: u64, user: &str) {
        self.print(session, format_args!("{} logged in", Escaped(user.as_bytes())));
    }

    fn login_refused(&self, session: u64, ip: Option<IpAddr>, user: &str) {
        self.print(session, format_args!("login refused for \"{}\" from {}", Escaped(user.as_bytes()), address(ip)));
    }

    fn delivered(&self, session: u64, id: &str, from: &str, to: &str, size: u64) {
        let (from, to) = (Escaped(from.as_bytes()), Escaped(to.as_bytes()));
        self.print(session, format_args!("message {id} from {from} to {to}, {size} octets: delivered"));
    }

    fn refused(&self, session: u64, what: &str, reply: &str) {
        self.print(session, format_args!("refused {}: {}", Escaped(what.as_bytes()), Escaped(reply.as_bytes())));
    }

    fn failed(&self, session: u64, what: &str, cause: &dyn Display) {
        self.print(session, format_args!("TROUBLE with {what}: {}", Escaped(cause.to_string().as_bytes())));
    }
}

/// What a client's line is for, in a few words.
fn annotation(line: &[u8]) -> &'static str {
    const NOTES: [(&str, &str); 42] = [
        ("EHLO", "who the client is; what can you do?"),
        ("HELO", "who the client is, the old way"),
        ("LHLO", "who the client is, in LMTP"),
        ("MAIL", "a message begins; notices go to this address"),
        ("RCPT", "one more recipient"),
        ("DATA", "the message follows"),
        ("RSET", "forget the message"),
        ("NOOP", "nothing, or: anything new?"),
        ("VRFY", "is there such a mailbox?"),
        ("HELP", "what commands are there?"),
        ("QUIT", "goodbye"),
        ("AUTH", "log in"),
        ("STARTTLS", "from here on encrypted"),
        ("CAPABILITY", "what can you do?"),
        ("LOGOUT", "goodbye"),
        ("LOGIN", "log in"),
        ("AUTHENTICATE", "log in"),
        ("LIST", "which mailboxes are there?"),
        ("LSUB", "which mailboxes are subscribed?"),
        ("STATUS", "how many messages are in a mailbox?"),
        ("SELECT", "open a mailbox"),
        ("EXAMINE", "open a mailbox for reading"),
        ("CREATE", "make a mailbox"),
        ("DELETE", "remove a mailbox"),
        ("RENAME", "give a mailbox another name"),
        ("SUBSCRIBE", "remember a mailbox"),
        ("UNSUBSCRIBE", "forget a mailbox"),
        ("NAMESPACE", "where do mailboxes begin?"),
        ("APPEND", "put a message into a mailbox"),
        ("CHECK", "anything new?"),
        ("CLOSE", "leave the mailbox; deleted messages go"),
        ("UNSELECT", "leave the mailbox as it is"),
        ("EXPUNGE", "deleted messages go"),
        ("SEARCH", "which messages are like this?"),
        ("FETCH", "show me this of these messages"),
        ("STORE", "change flags"),
        ("COPY", "copy messages to another mailbox"),
        ("UID", "the same, by lasting numbers"),
        ("IDLE", "tell me of news at once"),
        ("DONE", "enough waiting"),
        ("ID", "which program are you?"),
        ("ENABLE", "let us use this extension"),
    ];
    let text = String::from_utf8_lossy(line);
    // SMTP has the command first, IMAP behind a tag.
    let words = text.split_ascii_whitespace().take(2);
    words
        .filter_map(|word| NOTES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)))
        .map(|(_, note)| *note)
        .next()
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sends_stays_in_its_line() {
        assert_eq!(Escaped(b"a\r\nb\x1b[2J\xff\\").to_string(), r"a\r\nb\u{1b}[2J\xff\\");
        assert_eq!(Escaped("ü\u{202e}x".as_bytes()).to_string(), r"ü\u{202e}x");
    }

    #[test]
    fn commands_are_explained() {
        assert_eq!(annotation(b"mail from:<a@b.example>"), "a message begins; notices go to this address");
        assert_eq!(annotation(b"a1 FETCH 1 ALL"), "show me this of these messages");
        assert_eq!(annotation(b"Subject: hello"), "");
    }
}
