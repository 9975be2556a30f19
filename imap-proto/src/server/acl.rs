//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314). What is allowed is the store's to say.

use alloc::string::String;

use super::read::Served;
use super::reply::End;
use super::session::{Asked, Doing};
use super::{Event, ServerSession};
use crate::acl::{AclEntry, AclQuestion, Grantable, Rights};
use crate::types::MailboxName;
use crate::wire::encode::{astring, mailbox, utf8_astring};
use crate::wire::parse::AclCommand;

impl ServerSession {
    pub(super) fn acl<'b>(&mut self, command: AclCommand<'b>) -> Served<'b> {
        if !self.config.extensions.acl {
            return Err(End::bad("Unknown command"));
        }
        let owned = |identifier: alloc::borrow::Cow<'_, str>| String::from(identifier);
        let question = match command {
            AclCommand::Set { mailbox, identifier, change } => {
                AclQuestion::Set { mailbox: self.mailbox_name(&mailbox)?, identifier: owned(identifier), change }
            }
            AclCommand::Delete { mailbox, identifier } => {
                AclQuestion::Delete { mailbox: self.mailbox_name(&mailbox)?, identifier: owned(identifier) }
            }
            AclCommand::List(mailbox) => AclQuestion::List(self.mailbox_name(&mailbox)?),
            AclCommand::Grantable { mailbox, identifier } => {
                AclQuestion::Grantable { mailbox: self.mailbox_name(&mailbox)?, identifier: owned(identifier) }
            }
            AclCommand::Mine(mailbox) => AclQuestion::Mine(self.mailbox_name(&mailbox)?),
        };
        Ok(self.ask(Asked::Acl(question.clone()), Event::Acl(question)))
    }

    /// RFC 4314 §3.6
    pub(super) fn acl_told(&mut self, entries: &[AclEntry]) {
        let Doing::Asked(Asked::Acl(AclQuestion::List(name))) = &self.doing else { return };
        let name = name.clone();
        if self.begin_line("ACL", &name) {
            for AclEntry { identifier, rights } in entries {
                self.word(identifier);
                self.word(&rights.told());
            }
            self.out.end().extend_from_slice(b"\r\n");
        }
        self.finish(End::ok("Rights told"));
    }

    /// RFC 4314 §3.7
    pub(super) fn grantable_told(&mut self, grantable: &Grantable) {
        let Doing::Asked(Asked::Acl(AclQuestion::Grantable { mailbox, identifier })) = &self.doing else { return };
        let (name, identifier) = (mailbox.clone(), identifier.clone());
        if self.begin_line("LISTRIGHTS", &name) {
            self.word(&identifier);
            self.word(&grantable.required.told());
            for set in &grantable.optional {
                self.word(&alloc::format!("{set}"));
            }
            // RFC 4314 §2.1.1: alone, for what they stand for is not tied to anything.
            let optional = grantable.optional.iter().fold(Rights::NONE, |all, set| all | *set);
            for (letter, rights) in
                [("c", Rights::CREATE | Rights::DELETE), ("d", Rights::EXPUNGE | Rights::DELETE_MESSAGES)]
            {
                if optional.has_any(rights) && !grantable.required.has_any(rights) {
                    self.word(letter);
                }
            }
            self.out.end().extend_from_slice(b"\r\n");
        }
        self.finish(End::ok("Rights told"));
    }

    /// RFC 4314 §3.8
    pub(super) fn rights_told(&mut self, rights: Rights) {
        let Doing::Asked(Asked::Acl(AclQuestion::Mine(name))) = &self.doing else { return };
        let name = name.clone();
        self.my_rights_line(&name, rights);
        self.finish(End::ok("Rights told"));
    }

    pub(super) fn my_rights_line(&mut self, name: &MailboxName, rights: Rights) {
        if self.begin_line("MYRIGHTS", name) {
            self.word(&rights.told());
            self.out.end().extend_from_slice(b"\r\n");
        }
    }

    /// `* WORD mailbox`; false, with nothing written, if the name cannot be told.
    pub(super) fn begin_line(&mut self, word: &str, name: &MailboxName) -> bool {
        let (separator, encoding) = (self.config.separator, self.name_encoding());
        if name.to_wire(separator, encoding).is_none() {
            return false;
        }
        let out = self.out.end();
        out.extend_from_slice(b"* ");
        out.extend_from_slice(word.as_bytes());
        out.push(b' ');
        mailbox(out, name, separator, encoding)
    }

    /// A space and a word, as the client can read it.
    pub(super) fn word(&mut self, text: &str) {
        let takes_utf8 = self.enabled.rev2 || self.enabled.utf8;
        let out = self.out.end();
        out.push(b' ');
        match takes_utf8 {
            true => utf8_astring(out, text),
            false => astring(out, text.as_bytes()),
        }
    }
}
