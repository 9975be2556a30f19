//! Commands about mailboxes: SELECT, EXAMINE, CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, CLOSE, UNSELECT.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::context::Contexts;
use super::flags_in_use::FlagsInUse;
use super::read::Served;
use super::reply::End;
use super::session::{Asked, Selected, Standing};
use super::sync::SelectParameters;
use super::{Event, ServerSession, Snapshot};
use crate::acl::Rights;
use crate::types::{MailboxName, ResponseCode, SpecialUse, UidSet};
use crate::view::View;
use crate::wire::encode::push;
use crate::wire::parse::Resync;

/// A name that a client of IMAP4rev2 is told when its command succeeds, and the spelling that it had (RFC 9051 §6.3.9.7).
pub(super) type Renamed = Option<(MailboxName, Vec<u8>)>;

impl ServerSession {
    /// RFC 9051 §6.3.2 and §6.3.3: a mailbox that was selected is left first, also where the new one is refused.
    pub(super) fn select<'b>(&mut self, name: &[u8], parameters: SelectParameters, read_only: bool) -> Served<'b> {
        let SelectParameters { condstore, resync } = parameters;
        // RFC 7162 §3.1: what was selected before is left, so nothing is to be told of it.
        self.enabled.mod_seqs |= condstore;
        let left = self.deselect();
        if left {
            self.queue.push_back(Event::Deselected);
            if self.enabled.rev2 || self.config.extensions.condstore {
                // RFC 9051 §7.1, RFC 7162 §3.2.11
                self.untagged("OK", Some("CLOSED"), "The mailbox before is closed");
            }
        }
        let mailbox = self.mailbox_name(name)?;
        let told = self.enabled.rev2.then(|| (mailbox.clone(), name.to_vec()));
        let event = self.ask(
            Asked::Select { mailbox: mailbox.clone(), read_only, told, resync },
            Event::Select { mailbox, read_only },
        );
        self.queue.extend(event.and_then(Event::into_owned));
        Ok(None)
    }

    /// RFC 3501 §6.3.1, §7.1
    // RFC 9051 §6.3.2: IMAP4rev2 has no RECENT and no UNSEEN, and a LIST line with the mailbox's own name.
    pub(super) fn selected(
        &mut self,
        name: MailboxName,
        snapshot: Snapshot,
        read_only: bool,
        told: &Renamed,
        resync: Option<&Resync>,
    ) {
        let rev2 = self.enabled.rev2;
        let rights = snapshot.rights.unwrap_or(Rights::ALL);
        let read_only = read_only || snapshot.read_only;
        let mut flags = FlagsInUse::new(snapshot.keywords, snapshot.keywords_can_be_made, rights, read_only);
        let read_only = flags.is_read_only();
        let mut view = View::new(snapshot.uids, self.config.limits.pending_flags_max);
        let highest = snapshot.highest_mod_seq.filter(|_| self.config.extensions.condstore);
        if self.enabled.mod_seqs {
            view.tell_mod_seqs();
        }
        if self.enabled.uid_only {
            view.tell_uids_only();
        }
        if self.enabled.qresync {
            view.tell_vanished();
        }
        if let Some(highest) = highest {
            view = view.with_mod_seqs(highest);
        }
        let first_unseen = snapshot.first_unseen.and_then(|uid| view.seq(uid));
        let out = self.out.end();
        flags.tell(out);
        push(out, format_args!("* {} EXISTS\r\n", view.len()));
        if !rev2 {
            push(out, format_args!("* {} RECENT\r\n", snapshot.recent));
        }
        // RFC 9586: nor is this number told.
        if let Some(seq) = first_unseen.filter(|_| !rev2 && !self.enabled.uid_only) {
            push(out, format_args!("* OK [UNSEEN {seq}] First unseen message\r\n"));
        }
        push(out, format_args!("* OK [UIDVALIDITY {}] UIDs valid\r\n", snapshot.uid_validity));
        push(out, format_args!("* OK [UIDNEXT {}] Predicted next UID\r\n", snapshot.uid_next));
        match highest {
            // RFC 7162 §3.1.2.1. Told also to those who did not ask: some programs look for it first.
            Some(highest) => push(out, format_args!("* OK [HIGHESTMODSEQ {highest}] Highest\r\n")),
            None if self.enabled.mod_seqs => self.no_mod_seqs(),
            None => {}
        }
        if let Some(id) = snapshot.mailbox_id.filter(|_| self.config.extensions.object_id) {
            // RFC 8474 §4.2
            push(self.out.end(), format_args!("* OK [MAILBOXID ({id})] The mailbox's own\r\n"));
        }
        if let Some((name, supplied)) = told {
            self.tell_name(name, Some(supplied));
        }
        if let Standing::Authenticated { identity } = &mut self.standing {
            let identity = core::mem::take(identity);
            let mailbox = Box::new(Selected {
                view,
                flags,
                read_only,
                name,
                uid_validity: snapshot.uid_validity,
                saved: UidSet::new(),
                brought: UidSet::new(),
                contexts: Contexts::default(),
            });
            self.standing = Standing::Selected { identity, mailbox };
        }
        let code = if read_only { "READ-ONLY" } else { "READ-WRITE" };
        let end = End::ok_with(code.to_string(), "Mailbox selected");
        let begun =
            resync.is_some_and(|resync| self.resynchronise(resync, snapshot.uid_validity, snapshot.uid_next, &end));
        if !begun {
            self.finish(end);
        }
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
    pub(super) fn create<'b>(&mut self, name: &[u8], uses: Option<Vec<Option<SpecialUse>>>) -> Served<'b> {
        if uses.is_some() && !self.config.extensions.create_special_use {
            return Err(End::bad("CREATE takes no uses here"));
        }
        let mut known = Vec::new();
        for special in uses.into_iter().flatten() {
            match special {
                // RFC 6154 §3
                None => return Err(End::no(&ResponseCode::UseAttr, "There is no such use here")),
                Some(special) if known.contains(&special) => {}
                Some(special) => known.push(special),
            }
        }
        // RFC 9051 §6.3.4: a separator at the end says that names below will follow; the mailbox is without it.
        let separator = self.config.separator.as_char() as u8;
        let octets = name.strip_suffix(&[separator]).unwrap_or(name);
        let name = self.mailbox_name(octets)?;
        if name.is_inbox() {
            return Err(End::no(&ResponseCode::AlreadyExists, "INBOX is always there"));
        }
        let told = self.respelled(&name, octets);
        Ok(self.ask(Asked::Create { told }, Event::Create { mailbox: name, uses: known }))
    }

    /// What is told of a name that is spelled otherwise than the client did.
    fn respelled(&self, name: &MailboxName, supplied: &[u8]) -> Renamed {
        let spelled = name.to_wire(self.config.separator, self.name_encoding())?;
        (self.enabled.rev2 && spelled.as_bytes() != supplied).then(|| (name.clone(), supplied.to_vec()))
    }

    /// RFC 9051 §6.3.5
    pub(super) fn delete<'b>(&mut self, name: &[u8]) -> Served<'b> {
        let name = self.mailbox_name(name)?;
        if name.is_inbox() {
            return Err(End::no(&ResponseCode::Cannot, "INBOX cannot be deleted"));
        }
        Ok(self.ask(Asked::Simple { told: None }, Event::Delete(name)))
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
        // RFC 9051 §6.3.6: of INBOX nothing is told, for it stays.
        let old = from.to_wire(self.config.separator, self.name_encoding()).map(|old| old.into_bytes());
        let told = old.filter(|_| self.enabled.rev2 && !from.is_inbox()).map(|old| (to.clone(), old));
        Ok(self.ask(Asked::Simple { told }, Event::Rename { from, to }))
    }

    /// RFC 9051 §6.3.7 and §6.3.8
    pub(super) fn subscribe<'b>(&mut self, name: &[u8], subscribe: bool) -> Served<'b> {
        let name = self.mailbox_name(name)?;
        let event = if subscribe { Event::Subscribe(name) } else { Event::Unsubscribe(name) };
        Ok(self.ask(Asked::Simple { told: None }, event))
    }
}
