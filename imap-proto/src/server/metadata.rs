//! GETMETADATA and SETMETADATA (RFC 5464). Where values are, and who may see and change them, is the store's to say.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::list::Listing;
use super::read::Served;
use super::reply::{End, Output};
use super::session::{Asked, Doing};
use super::{Event, ServerSession};
use crate::metadata::{Depth, EntryName, MetadataQuestion, WantedEntries};
use crate::types::{MailboxName, ResponseCode};
use crate::wire::encode::{astring, push, string};
use crate::wire::parse::MetadataCommand;

/// Octets of a value that is told in quotes. Lines should not be long.
const QUOTED_MAX: usize = 1000;

/// Two entries of the server, which are its configuration's.
const COMMENT: &str = "/shared/comment";
const ADMIN: &str = "/shared/admin";

/// A GETMETADATA that is answered.
#[derive(Debug)]
pub(super) struct Getting {
    /// None: the server's.
    mailbox: Option<MailboxName>,
    wanted: WantedEntries,
    size_max: Option<u32>,
    /// The octets of the largest value that the client did not want.
    longest: usize,
    /// Those that were named and have not been told.
    absent: Vec<EntryName>,
    /// A response has begun.
    is_open: bool,
}

impl Getting {
    /// Of a mailbox that LIST told, which entries are wanted of.
    pub(super) fn listed(mailbox: MailboxName, wanted: &WantedEntries) -> Self {
        let absent = wanted.names.iter().filter(|name| name.can_hold_value()).cloned().collect();
        let wanted = wanted.clone();
        Getting { mailbox: Some(mailbox), wanted, size_max: None, longest: 0, absent, is_open: false }
    }

    /// The one that is under way.
    fn of(doing: &mut Doing) -> Option<&mut Self> {
        match doing {
            Doing::Asked(Asked::GetMetadata(getting) | Asked::List(Listing { getting: Some(getting), .. })) => {
                Some(getting)
            }
            _ => None,
        }
    }

    /// Ends the response that has begun.
    pub(super) fn close(&mut self, out: &mut Output) {
        if core::mem::take(&mut self.is_open) {
            out.end().extend_from_slice(b")\r\n");
        }
    }
}

/// RFC 5464 §4.3: more octets than this are not taken.
pub(super) fn value_too_large(value_max: u32) -> End {
    End::no(&ResponseCode::MetadataMaxSize(value_max), "The annotation is too large")
}

impl ServerSession {
    pub(super) fn metadata<'b>(&mut self, command: MetadataCommand<'b>) -> Served<'b> {
        let offered = &self.config.extensions;
        if !offered.metadata && !offered.metadata_server {
            return Err(End::bad("Unknown command"));
        }
        match command {
            MetadataCommand::Get { mailbox, wanted, size_max } => {
                let mailbox = self.annotated(&mailbox)?;
                let absent = match wanted.depth {
                    Depth::Zero => wanted.names.iter().filter(|name| name.can_hold_value()).cloned().collect(),
                    // Below a name there may be nothing.
                    _ => Vec::new(),
                };
                let question = MetadataQuestion::Get { mailbox: mailbox.clone(), wanted: wanted.clone() };
                let getting = Getting { mailbox, wanted, size_max, longest: 0, absent, is_open: false };
                Ok(self.ask(Asked::GetMetadata(getting), Event::Metadata(question)))
            }
            MetadataCommand::Set { mailbox, changes } => {
                let mailbox = self.annotated(&mailbox)?;
                if mailbox.is_none() && changes.iter().any(|(name, _)| self.is_configured(name)) {
                    // RFC 5464 §3.2.1.1
                    return Err(End::no(&ResponseCode::NoPerm, "That is the operator's to say"));
                }
                let value_max = self.config.limits.metadata_value_max;
                let is_too_large = |value: &Cow<'_, [u8]>| value.len() > value_max as usize;
                if changes.iter().any(|(_, value)| value.as_ref().is_some_and(is_too_large)) {
                    return Err(value_too_large(value_max));
                }
                let changes = changes.into_iter().map(|(name, value)| (name, value.map(Cow::into_owned))).collect();
                let question = MetadataQuestion::Set { mailbox, changes };
                Ok(self.ask(Asked::SetMetadata, Event::Metadata(question)))
            }
        }
    }

    /// What is annotated: a mailbox, or the server, which has no name.
    fn annotated(&self, mailbox: &[u8]) -> Result<Option<MailboxName>, End> {
        match mailbox {
            [] => Ok(None),
            _ if !self.config.extensions.metadata => Err(End::bad("Only the server has annotations")),
            name => self.mailbox_name(name).map(Some),
        }
    }

    fn is_configured(&self, name: &EntryName) -> bool {
        name.as_str() == ADMIN || name.as_str() == COMMENT && self.config.server_comment.is_some()
    }

    /// RFC 5464 §4.4.1: one response for all entries.
    pub(super) fn entry_told(&mut self, name: &EntryName, value: &[u8]) {
        let Some(getting) = Getting::of(&mut self.doing) else { return };
        getting.absent.retain(|absent| absent != name);
        if getting.size_max.is_some_and(|max| value.len() > max as usize) {
            // RFC 5464 §4.2.1
            getting.longest = getting.longest.max(value.len());
            return;
        }
        self.entry_line(name, Some(value));
    }

    fn entry_line(&mut self, name: &EntryName, value: Option<&[u8]>) {
        let Some(getting) = Getting::of(&mut self.doing) else { return };
        if core::mem::replace(&mut getting.is_open, true) {
            self.out.end().push(b' ');
        } else {
            match getting.mailbox.clone() {
                Some(mailbox) if !self.begin_line("METADATA", &mailbox) => {
                    // A name of LIST that the client cannot be told.
                    if let Some(getting) = Getting::of(&mut self.doing) {
                        getting.is_open = false;
                    }
                    return;
                }
                Some(_) => {}
                None => self.out.end().extend_from_slice(b"* METADATA \"\""),
            }
            self.out.end().extend_from_slice(b" (");
        }
        let out = self.out.end();
        astring(out, name.as_str().as_bytes());
        out.push(b' ');
        match value {
            None => out.extend_from_slice(b"NIL"),
            Some(octets) if octets.contains(&0) => {
                push(out, format_args!("~{{{}}}\r\n", octets.len()));
                out.extend_from_slice(octets);
            }
            Some(octets) if octets.len() > QUOTED_MAX => {
                push(out, format_args!("{{{}}}\r\n", octets.len()));
                out.extend_from_slice(octets);
            }
            Some(octets) => string(out, octets),
        }
    }

    /// All that the store has is told.
    pub(super) fn metadata_told(&mut self) {
        let Doing::Asked(Asked::GetMetadata(getting)) = &self.doing else { return };
        if getting.mailbox.is_none() {
            let config = alloc::sync::Arc::clone(&self.config);
            for (name, value) in [(COMMENT, &config.server_comment), (ADMIN, &config.server_admin)] {
                let (Ok(name), Some(value)) = (EntryName::parse(name), value) else { continue };
                let Doing::Asked(Asked::GetMetadata(getting)) = &self.doing else { return };
                if getting.wanted.has(&name) {
                    self.entry_told(&name, value.as_bytes());
                }
            }
        }
        self.close_entries();
        let Doing::Asked(Asked::GetMetadata(getting)) = &self.doing else { return };
        let end = match getting.longest {
            0 => End::ok("Annotations told"),
            longest => End::ok_with(alloc::format!("METADATA LONGENTRIES {longest}"), "Annotations told"),
        };
        self.finish(end);
    }
    /// Ends the response with what is not there.
    pub(super) fn close_entries(&mut self) {
        let Some(getting) = Getting::of(&mut self.doing) else { return };
        // RFC 5464 §4.2: a response is required, so what is not there is told as well.
        for name in core::mem::take(&mut getting.absent) {
            self.entry_line(&name, None);
        }
        if let Some(getting) = Getting::of(&mut self.doing) {
            getting.close(&mut self.out);
        }
    }
}
