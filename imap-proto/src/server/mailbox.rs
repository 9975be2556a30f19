//! Commands about mailboxes: SELECT, EXAMINE, LIST, LSUB, STATUS, CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, CLOSE,
//! UNSELECT.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pillarbox_core::{Misuse, mutf7};

use super::read::Served;
use super::reply::End;
use super::session::{Asked, Doing, Selected, Standing};
use super::{Event, List, Listed, ServerSession, Snapshot, Status, StatusItem};
use crate::types::{Flag, Flags, ResponseCode, Separator};
use crate::view::View;
use crate::wire::encode::{mailbox, push};

/// The most octets of a LIST pattern with its reference: each name is matched with it.
const PATTERN_MAX: usize = 1000;

impl ServerSession {
    /// RFC 9051 §6.3.9, RFC 3501 §6.3.9
    pub(super) fn list<'b>(&mut self, reference: &[u8], pattern: &[u8], subscribed: bool) -> Served<'b> {
        let separator = self.config.separator;
        if pattern.is_empty() {
            // RFC 9051 §6.3.9: an empty pattern asks for the separator and the root of the reference.
            let (out, word) = (self.out.end(), if subscribed { "LSUB" } else { "LIST" });
            push(out, format_args!("* {word} (\\Noselect) \"{}\" \"\"\r\n", separator.as_char()));
            self.finish(End::ok("Separator told"));
            return Ok(None);
        }
        if reference.len() + pattern.len() > PATTERN_MAX {
            return Err(End::no(&ResponseCode::Limit, "The pattern is too long"));
        }
        let pattern = mutf7::decode(&[reference, pattern].concat())
            .map_err(|_| End::no(&ResponseCode::Cannot, "The pattern is not valid modified UTF-7"))?;
        let pattern = match separator {
            Separator::Slash => pattern,
            // No level holds a `/`, so nothing can match.
            Separator::Dot if pattern.contains('/') => {
                self.finish(End::ok("No such mailboxes"));
                return Ok(None);
            }
            Separator::Dot => pattern.replace('.', "/"),
        };
        Ok(self.ask(Asked::List, Event::List(List { pattern: pattern.into(), subscribed })))
    }

    /// RFC 9051 §7.3.1
    pub(super) fn listed(&mut self, listed: &Listed) -> Result<(), Misuse> {
        let is_attribute =
            |a: &str| !a.is_empty() && a.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"]".contains(&b));
        if !listed.attributes.iter().all(|attribute| is_attribute(attribute)) {
            return Err(Misuse::ForbiddenOctet { what: "an attribute of a mailbox" });
        }
        let separator = self.config.separator;
        // A name that holds the separator in a level cannot be told, and nobody could select it.
        if let Some(name) = listed.name.to_wire(separator) {
            let word = if self.running.row.is_some_and(|row| row.name == "LSUB") { "LSUB" } else { "LIST" };
            let out = self.out.end();
            push(out, format_args!("* {word} ({}) \"{}\" ", listed.attributes.join(" "), separator.as_char()));
            crate::wire::encode::astring(out, name.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// RFC 9051 §6.3.11
    pub(super) fn status<'b>(&mut self, name: &[u8], items: Vec<StatusItem>) -> Served<'b> {
        let name = self.mailbox_name(name)?;
        let asked = Asked::Status { mailbox: name.clone(), items: items.clone() };
        Ok(self.ask(asked, Event::Status { mailbox: name, items }))
    }

    /// RFC 9051 §7.3.4
    pub(super) fn status_told(&mut self, status: &Status) {
        let Doing::Asked(Asked::Status { mailbox: name, items }) = &self.doing else { return };
        let told: Vec<String> = items
            .iter()
            .map(|item| match item {
                StatusItem::Messages => alloc::format!("MESSAGES {}", status.messages),
                StatusItem::Recent => alloc::format!("RECENT {}", status.recent),
                StatusItem::UidNext => alloc::format!("UIDNEXT {}", status.uid_next),
                StatusItem::UidValidity => alloc::format!("UIDVALIDITY {}", status.uid_validity),
                StatusItem::Unseen => alloc::format!("UNSEEN {}", status.unseen),
            })
            .collect();
        let out = self.out.end();
        out.extend_from_slice(b"* STATUS ");
        // The name came over the wire, so it can go back.
        let _ = mailbox(out, name, self.config.separator);
        push(out, format_args!(" ({})\r\n", told.join(" ")));
        self.finish(End::ok("Status told"));
    }

    /// RFC 9051 §6.3.2 and §6.3.3: a mailbox that was selected is left first, also where the new one is refused.
    pub(super) fn select<'b>(&mut self, name: &[u8], read_only: bool) -> Served<'b> {
        let left = self.deselect();
        if left {
            self.queue.push_back(Event::Deselected);
        }
        let mailbox = self.mailbox_name(name)?;
        let event = self.ask(Asked::Select { read_only }, Event::Select { mailbox, read_only });
        self.queue.extend(event.and_then(Event::into_owned));
        Ok(None)
    }

    /// RFC 3501 §6.3.1, §7.1
    pub(super) fn selected(&mut self, snapshot: Snapshot, read_only: bool) {
        let read_only = read_only || snapshot.read_only;
        let system = [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft];
        let mut flags: Flags = system.into_iter().collect();
        flags.extend(snapshot.keywords);
        flags.remove(&Flag::Recent);
        let view = View::new(snapshot.uids, self.config.limits.pending_flags_max);
        let first_unseen = snapshot.first_unseen.and_then(|uid| view.seq(uid));
        let out = self.out.end();
        push(out, format_args!("* FLAGS {flags}\r\n"));
        let permanent = match flags.to_string() {
            _ if read_only => "()".to_string(),
            mut all if snapshot.keywords_can_be_made => {
                all.insert_str(all.len() - 1, " \\*");
                all
            }
            all => all,
        };
        push(out, format_args!("* OK [PERMANENTFLAGS {permanent}] Flags that last\r\n"));
        push(out, format_args!("* {} EXISTS\r\n", view.len()));
        push(out, format_args!("* {} RECENT\r\n", snapshot.recent));
        if let Some(seq) = first_unseen {
            push(out, format_args!("* OK [UNSEEN {seq}] First unseen message\r\n"));
        }
        push(out, format_args!("* OK [UIDVALIDITY {}] UIDs valid\r\n", snapshot.uid_validity));
        push(out, format_args!("* OK [UIDNEXT {}] Predicted next UID\r\n", snapshot.uid_next));
        if let Standing::Authenticated { identity } = &mut self.standing {
            let identity = core::mem::take(identity);
            self.standing = Standing::Selected { identity, mailbox: Selected { view, read_only } };
        }
        let code = if read_only { "READ-ONLY" } else { "READ-WRITE" };
        self.finish(End::ok_with(code.to_string(), "Mailbox selected"));
    }

    /// RFC 9051 §6.4.1
    pub(super) fn close_mailbox<'b>(&mut self) -> Served<'b> {
        match &self.standing {
            Standing::Selected { mailbox, .. } if !mailbox.read_only => {
                Ok(self.ask(Asked::Expunge { close: true }, Event::Expunge { only: None }))
            }
            _ => self.unselect(),
        }
    }

    /// RFC 9051 §6.4.2
    // RFC 3691 §2: like CLOSE, but nothing is expunged.
    pub(super) fn unselect<'b>(&mut self) -> Served<'b> {
        self.leave_mailbox();
        Ok(None)
    }

    pub(super) fn leave_mailbox(&mut self) {
        if self.deselect() {
            self.queue.push_back(Event::Deselected);
        }
        self.finish(End::ok("No mailbox is selected now"));
    }

    /// RFC 9051 §6.3.4
    pub(super) fn create<'b>(&mut self, name: &[u8]) -> Served<'b> {
        // RFC 9051 §6.3.4: a separator at the end says that names below will follow; the mailbox is without it.
        let separator = self.config.separator.as_char() as u8;
        let name = self.mailbox_name(name.strip_suffix(&[separator]).unwrap_or(name))?;
        if name.is_inbox() {
            return Err(End::no(&ResponseCode::AlreadyExists, "INBOX is always there"));
        }
        Ok(self.ask(Asked::Simple, Event::Create(name)))
    }

    /// RFC 9051 §6.3.5
    pub(super) fn delete<'b>(&mut self, name: &[u8]) -> Served<'b> {
        let name = self.mailbox_name(name)?;
        if name.is_inbox() {
            return Err(End::no(&ResponseCode::Cannot, "INBOX cannot be deleted"));
        }
        Ok(self.ask(Asked::Simple, Event::Delete(name)))
    }

    /// RFC 9051 §6.3.6
    pub(super) fn rename<'b>(&mut self, from: &[u8], to: &[u8]) -> Served<'b> {
        let (from, to) = (self.mailbox_name(from)?, self.mailbox_name(to)?);
        if to.is_inbox() {
            return Err(End::no(&ResponseCode::AlreadyExists, "INBOX is always there"));
        }
        // INBOX stays where it is and gives its messages away, so that a name below it is a fine target.
        if to.is_below(&from) && !from.is_inbox() {
            return Err(End::no(&ResponseCode::Cannot, "A mailbox cannot move below itself"));
        }
        Ok(self.ask(Asked::Simple, Event::Rename { from, to }))
    }

    /// RFC 9051 §6.3.7 and §6.3.8
    pub(super) fn subscribe<'b>(&mut self, name: &[u8], subscribe: bool) -> Served<'b> {
        let name = self.mailbox_name(name)?;
        Ok(self.ask(Asked::Simple, if subscribe { Event::Subscribe(name) } else { Event::Unsubscribe(name) }))
    }
}
