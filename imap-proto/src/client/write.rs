//! How commands are written: strings in quotes or as literals, and messages as they are brought.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;

use super::CommandId;
use super::command::{Command, Part};
use super::session::{ClientSession, Purpose, Running};
use crate::octet::ASTRING;
use crate::types::NameEncoding;
use crate::wire::encode::{push, string};

/// The most octets that go in quotes: servers read lines, and those have limits.
const QUOTED_MAX: usize = 1024;
/// The largest literal that LITERAL- lets go without waiting (RFC 7888 §5).
const LITERAL_MINUS_MAX: u64 = 4096;

/// A command that is not written to its end: what is left of it, and what it waits for.
pub(super) struct Writing {
    parts: VecDeque<Part>,
    pub(super) wait: Wait,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The server has to ask for the octets of a literal.
    Literal(Vec<u8>),
    /// The server has to ask for a message.
    Announced(u64),
    /// The embedder brings the message.
    Message { left: u64, is_asked: bool },
}

impl ClientSession {
    /// Begins a command.
    pub(super) fn start(&mut self, purpose: Purpose, command: Command) {
        let tag = format!("A{}", self.next_tag);
        self.next_tag += 1;
        let start = self.left + self.output().len() as u64;
        push(&mut self.output, format_args!("{tag} {}", command.name));
        self.running.push_back(Running { tag, purpose, rules: command.rules, start, end: None, refused: None });
        self.write_on(command.parts.into());
        self.expect_something();
    }

    /// Writes parts of the last command, to its end or to where something has to be waited for.
    fn write_on(&mut self, mut parts: VecDeque<Part>) {
        let is_refused = self.running.back().is_some_and(|running| running.refused.is_some());
        while let Some(part) = parts.pop_front().filter(|_| !is_refused) {
            let wait = match part {
                Part::Raw(octets) => {
                    self.output.extend_from_slice(&octets);
                    continue;
                }
                Part::Name(name) => {
                    let encoding = self.name_encoding();
                    let name = match encoding {
                        NameEncoding::Utf8 => name.into_bytes(),
                        NameEncoding::ModifiedUtf7 => pillarbox_core::mutf7::encode(&name).into_bytes(),
                    };
                    match self.write_string(name, true) {
                        Some(wait) => wait,
                        None => continue,
                    }
                }
                Part::Text(octets) => match self.write_string(octets, true) {
                    Some(wait) => wait,
                    None => continue,
                },
                Part::Value(octets) => match self.write_string(octets, false) {
                    Some(wait) => wait,
                    None => continue,
                },
                Part::Message { size, is_binary } => {
                    if is_binary {
                        self.output.push(b'~');
                    }
                    match self.announce(size) {
                        true => Wait::Announced(size),
                        false => Wait::Message { left: size, is_asked: false },
                    }
                }
            };
            self.writing = Some(Writing { parts, wait });
            return;
        }
        self.output.extend_from_slice(b"\r\n");
        self.writing = None;
        let end = self.left + self.output().len() as u64;
        let Some(running) = self.running.back_mut() else { return };
        running.end = Some(end);
        if let Some(status) = running.refused.take()
            && let Some(running) = self.running.pop_back()
        {
            self.completed(running.purpose, status);
        }
    }

    /// Writes a string; what has to be waited for, if it is a literal that has.
    fn write_string(&mut self, octets: Vec<u8>, may_be_atom: bool) -> Option<Wait> {
        let takes_utf8 = self.name_encoding() == NameEncoding::Utf8 && core::str::from_utf8(&octets).is_ok();
        let goes_quoted = |octet: &u8| matches!(octet, b' '..=b'~') || (takes_utf8 && *octet >= 0x80);
        if octets.len() > QUOTED_MAX || !octets.iter().all(goes_quoted) {
            if self.announce(octets.len() as u64) {
                return Some(Wait::Literal(octets));
            }
            self.output.extend_from_slice(&octets);
        } else if may_be_atom
            && !octets.is_empty()
            && octets.iter().all(|octet| ASTRING.holds(*octet) && *octet != b'[' && *octet != b']')
            && !octets.eq_ignore_ascii_case(b"NIL")
        {
            self.output.extend_from_slice(&octets);
        } else if octets.is_ascii() {
            string(&mut self.output, &octets);
        } else {
            // RFC 9051 §9, RFC 6855 §3: quoted strings hold UTF-8 once that is enabled.
            self.output.push(b'"');
            for octet in octets {
                if octet == b'"' || octet == b'\\' {
                    self.output.push(b'\\');
                }
                self.output.push(octet);
            }
            self.output.push(b'"');
        }
        None
    }

    /// Announces a literal; true if the server has to ask for its octets first.
    fn announce(&mut self, size: u64) -> bool {
        let is_small = size <= LITERAL_MINUS_MAX;
        // RFC 9051 §4.3: IMAP4rev2 has what LITERAL- is.
        let offers = |word| self.capabilities.has(word);
        // A server that does not know a command may know nothing of its literals either, and read their octets as commands:
        // Dovecot does.
        let is_unknown = self.running.back().is_some_and(|running| running.rules.is_unknown);
        let waits = is_unknown || !(offers("LITERAL+") || (is_small && (offers("LITERAL-") || offers("IMAP4rev2"))));
        push(&mut self.output, format_args!("{{{size}{}}}\r\n", if waits { "" } else { "+" }));
        waits
    }

    /// How the server spells names of mailboxes, and takes them: [`WireName::to_text`](super::WireName::to_text) is told this.
    pub fn name_encoding(&self) -> NameEncoding {
        // RFC 9051 §6.1.1: a server with nothing but IMAP4rev2 need not be asked for what that has.
        let is_rev2_only = self.capabilities.has("IMAP4rev2") && !self.capabilities.has("IMAP4rev1");
        match is_rev2_only || self.enabled.has("UTF8=ACCEPT") || self.enabled.has("IMAP4rev2") {
            true => NameEncoding::Utf8,
            false => NameEncoding::ModifiedUtf7,
        }
    }

    /// The server asks for what was announced. False if nothing was.
    pub(super) fn continues(&mut self) -> bool {
        let Some(writing) = self.writing.take() else { return false };
        match writing.wait {
            Wait::Literal(octets) => {
                self.output.extend_from_slice(&octets);
                self.write_on(writing.parts);
                true
            }
            Wait::Announced(size) => {
                self.writing = Some(Writing { wait: Wait::Message { left: size, is_asked: false }, ..writing });
                true
            }
            Wait::Message { .. } => {
                self.writing = Some(writing);
                false
            }
        }
    }

    /// The server said no to a command that it was not told all of.
    pub(super) fn refused_while_written(&mut self) {
        match self.writing.take() {
            // RFC 9051 §4.3: what was announced and refused is not sent, nor what would follow it.
            Some(Writing { wait: Wait::Literal(_) | Wait::Announced(_), .. }) => {
                if let Some(running) = self.running.pop_back()
                    && let Some(status) = running.refused
                {
                    self.completed(running.purpose, status);
                }
            }
            // RFC 7888 §4: what does not wait is sent to its end, as the server skips it.
            writing => self.writing = writing,
        }
    }

    /// The message that the embedder was not asked for yet.
    pub(super) fn message_to_ask_for(&mut self) -> Option<CommandId> {
        let Some(Writing { wait: Wait::Message { is_asked, .. }, .. }) = &mut self.writing else { return None };
        let Some(Running { purpose: Purpose::User { id, .. }, .. }) = self.running.back() else { return None };
        if *is_asked {
            return None;
        }
        *is_asked = true;
        Some(*id)
    }

    /// The embedder has brought a message.
    pub(super) fn message_is_written(&mut self) {
        if let Some(writing) = self.writing.take() {
            self.write_on(writing.parts);
        }
    }
}
