//! LIST, LSUB and STATUS: names and numbers of mailboxes.

use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::Misuse;

use super::metadata::Getting;
use super::read::Served;
use super::reply::End;
use super::session::{Asked, Doing};
use super::{Event, Listed, ServerSession, Status, StatusItem};
use crate::list::{List, PATTERNS_SIZE_MAX};
use crate::metadata::WantedEntries;
use crate::types::{MailboxName, ModSeq, ResponseCode, Separator};
use crate::wire::encode::{astring, mailbox, push, utf8_astring};
use crate::wire::parse::ListArguments;

/// A LIST that is answered.
#[derive(Debug)]
pub(super) struct Listing {
    status: Vec<StatusItem>,
    my_rights: bool,
    metadata: WantedEntries,
    /// What is told of the annotations of the name that was told last.
    pub(super) getting: Option<Getting>,
}

impl ServerSession {
    /// RFC 9051 §6.3.9, RFC 3501 §6.3.9
    pub(super) fn list<'b>(&mut self, asked: ListArguments<'b>) -> Served<'b> {
        let extensions = &self.config.extensions;
        let special = asked.select_special_use || asked.return_special_use;
        let is_refused = asked.extended && !extensions.list_extended
            || special && !extensions.special_use
            || asked.return_my_rights && !extensions.acl
            || !asked.return_metadata.is_empty() && !extensions.metadata;
        if is_refused {
            return Err(End::bad("This kind of LIST is not on offer"));
        }
        self.refuse_status_items(&asked.return_status)?;
        if !asked.extended && asked.patterns.iter().all(|pattern| pattern.is_empty()) {
            // RFC 9051 §6.3.9: an empty pattern asks for the separator and the root of the reference.
            let (out, word) = (self.out.end(), if asked.lsub { "LSUB" } else { "LIST" });
            push(out, format_args!("* {word} (\\Noselect) \"{}\" \"\"\r\n", self.config.separator.as_char()));
            self.finish(End::ok("Separator told"));
            return Ok(None);
        }
        let mut list = List::default();
        let mut size = 0;
        for pattern in &asked.patterns {
            size += asked.reference.len() + pattern.len();
            if size > PATTERNS_SIZE_MAX {
                return Err(End::no(&ResponseCode::Limit, "The pattern is too long"));
            }
            // RFC 5258 §3: in an extended LIST the empty pattern matches nothing.
            if pattern.is_empty() {
                continue;
            }
            match self.pattern(&[&asked.reference, &pattern[..]].concat()) {
                Some(pattern) => list.patterns.extend(pattern),
                // RFC 5258 §3: a pattern that is not accepted is ignored silently.
                None if asked.extended => {}
                None => return Err(End::no(&ResponseCode::Cannot, "The pattern is not validly encoded")),
            }
        }
        if list.patterns.is_empty() {
            self.finish(End::ok("No such mailboxes"));
            return Ok(None);
        }
        if asked.return_status.contains(&StatusItem::HighestModSeq) {
            self.enable_condstore();
        }
        list.lsub = asked.lsub;
        list.subscribed = asked.select_subscribed;
        list.special_use = asked.select_special_use;
        list.recursive = asked.select_recursive;
        list.tell_subscribed = asked.return_subscribed;
        list.extended = asked.extended || self.enabled.rev2;
        list.status.clone_from(&asked.return_status);
        list.my_rights = asked.return_my_rights;
        list.metadata.names = asked.return_metadata;
        let (my_rights, metadata) = (list.my_rights, list.metadata.clone());
        let listing = Listing { status: asked.return_status, my_rights, metadata, getting: None };
        Ok(self.ask(Asked::List(listing), Event::List(list)))
    }

    /// A pattern with `/` between its levels. `None`: it is no text. `Some(None)`: no name can match it.
    fn pattern(&self, octets: &[u8]) -> Option<Option<String>> {
        let pattern = self.name_encoding().decode(octets)?;
        Some(match self.config.separator {
            Separator::Slash => Some(pattern),
            // No level holds a `/`.
            Separator::Dot if pattern.contains('/') => None,
            Separator::Dot => Some(pattern.replace('.', "/")),
        })
    }

    /// RFC 9051 §7.3.1
    pub(super) fn listed(&mut self, listed: &Listed) -> Result<(), Misuse> {
        if !listed.has_good_attributes() {
            return Err(Misuse::ForbiddenOctet { what: "an attribute of a mailbox" });
        }
        self.end_entries();
        let word = if self.running.row.is_some_and(|row| row.name == "LSUB") { "LSUB" } else { "LIST" };
        // A name that holds the separator in a level cannot be told, and nobody could select it.
        let is_told = self.list_line(word, &listed.name, &listed.attributes.join(" "));
        let Doing::Asked(Asked::List(listing)) = &mut self.doing else { return Ok(()) };
        // RFC 9590: behind the LIST answer of the same mailbox. What cannot be told is not, though it may come.
        if listed.has_metadata && !listing.metadata.names.is_empty() {
            listing.getting = Some(Getting::listed(listed.name.clone(), &listing.metadata));
        }
        if !is_told {
            return Ok(());
        }
        let (items, my_rights) = (listing.status.clone(), listing.my_rights);
        if listed.subscribed_below {
            // RFC 5258 §3.5
            push(self.out.end(), format_args!(" (\"CHILDINFO\" (\"SUBSCRIBED\"))"));
        }
        self.out.end().extend_from_slice(b"\r\n");
        if let Some(numbers) = listed.status.as_ref().filter(|_| !items.is_empty()) {
            // RFC 5819 §2: behind the LIST answer of the same mailbox.
            self.status_line(&listed.name, &items, numbers);
        }
        if let Some(rights) = listed.rights.filter(|_| my_rights) {
            // RFC 8440 §3: never before it.
            self.my_rights_line(&listed.name, rights);
        }
        Ok(())
    }

    /// No more annotations come of the name that was told last.
    pub(super) fn end_entries(&mut self) {
        self.close_entries();
        if let Doing::Asked(Asked::List(listing)) = &mut self.doing {
            listing.getting = None;
        }
    }

    /// Begins a LIST line; false, with nothing written, if the name cannot be told.
    pub(super) fn list_line(&mut self, word: &str, name: &MailboxName, attributes: &str) -> bool {
        let (separator, encoding) = (self.config.separator, self.name_encoding());
        if name.to_wire(separator, encoding).is_none() {
            return false;
        }
        let out = self.out.end();
        push(out, format_args!("* {word} ({attributes}) \"{}\" ", separator.as_char()));
        mailbox(out, name, separator, encoding)
    }

    /// Tells a client of IMAP4rev2 how a name is spelled now, and how it was (RFC 9051 §6.3.9.7). Without `old`, or if that is
    /// the same, the name alone.
    pub(super) fn tell_name(&mut self, name: &MailboxName, old: Option<&[u8]>) {
        let new = name.to_wire(self.config.separator, self.name_encoding());
        if !self.list_line("LIST", name, "") {
            return;
        }
        let out = self.out.end();
        if let Some(old) = old.filter(|old| new.is_none_or(|new| new.as_bytes() != *old)) {
            out.extend_from_slice(b" (\"OLDNAME\" (");
            match core::str::from_utf8(old) {
                Ok(text) => utf8_astring(out, text),
                Err(_) => astring(out, old),
            }
            out.extend_from_slice(b"))");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// RFC 9051 §6.3.11
    pub(super) fn status<'b>(&mut self, name: &[u8], items: Vec<StatusItem>) -> Served<'b> {
        self.refuse_status_items(&items)?;
        let name = self.mailbox_name(name)?;
        if items.contains(&StatusItem::HighestModSeq) {
            // RFC 7162 §3.1
            self.enable_condstore();
        }
        let asked = Asked::Status { mailbox: name.clone(), items: items.clone() };
        Ok(self.ask(asked, Event::Status { mailbox: name, items }))
    }

    /// Refuses items that are not on offer, as items that are not known.
    fn refuse_status_items(&self, items: &[StatusItem]) -> Result<(), End> {
        let extensions = &self.config.extensions;
        let known = items.iter().all(|item| match item {
            // RFC 9051 Appendix E, 12
            StatusItem::Recent => !self.enabled.rev2,
            StatusItem::Size => extensions.status_size,
            StatusItem::HighestModSeq => extensions.condstore,
            StatusItem::MailboxId => extensions.object_id,
            // RFC 9051 §6.3.11, RFC 9208 §4.1.4
            StatusItem::Deleted => extensions.offers_rev2() || extensions.quota,
            StatusItem::DeletedStorage => extensions.quota,
            _ => true,
        });
        if known { Ok(()) } else { Err(End::bad("STATUS knows no such item")) }
    }

    /// RFC 9051 §7.3.4
    pub(super) fn status_told(&mut self, status: &Status) {
        let Doing::Asked(Asked::Status { mailbox, items }) = &self.doing else { return };
        let (name, items) = (mailbox.clone(), items.clone());
        self.status_line(&name, &items, status);
        self.finish(End::ok("Status told"));
    }

    pub(super) fn status_line(&mut self, name: &MailboxName, items: &[StatusItem], status: &Status) {
        let (separator, encoding) = (self.config.separator, self.name_encoding());
        if name.to_wire(separator, encoding).is_none() {
            return;
        }
        let append_limit = self.config.limits.append_size_max;
        let out = self.out.end();
        out.extend_from_slice(b"* STATUS ");
        mailbox(out, name, separator, encoding);
        out.extend_from_slice(b" (");
        let start = out.len();
        for item in items {
            if out.len() > start {
                out.push(b' ');
            }
            match item {
                StatusItem::AppendLimit => push(out, format_args!("APPENDLIMIT {append_limit}")),
                StatusItem::Deleted => push(out, format_args!("DELETED {}", status.deleted)),
                StatusItem::DeletedStorage => push(out, format_args!("DELETED-STORAGE {}", status.deleted_storage)),
                // RFC 7162 §3.1.7: 0 says that there is none.
                StatusItem::HighestModSeq => {
                    push(out, format_args!("HIGHESTMODSEQ {}", status.highest_mod_seq.map_or(0, ModSeq::get)));
                }
                StatusItem::MailboxId => match &status.mailbox_id {
                    Some(id) => push(out, format_args!("MAILBOXID ({id})")),
                    // Without an identifier there is nothing that could be said; the space goes too.
                    None => out.truncate(if out.len() > start { out.len() - 1 } else { start }),
                },
                StatusItem::Messages => push(out, format_args!("MESSAGES {}", status.messages)),
                StatusItem::Recent => push(out, format_args!("RECENT {}", status.recent)),
                StatusItem::Size => push(out, format_args!("SIZE {}", status.size)),
                StatusItem::UidNext => push(out, format_args!("UIDNEXT {}", status.uid_next)),
                StatusItem::UidValidity => push(out, format_args!("UIDVALIDITY {}", status.uid_validity)),
                StatusItem::Unseen => push(out, format_args!("UNSEEN {}", status.unseen)),
            }
        }
        out.extend_from_slice(b")\r\n");
    }
}
