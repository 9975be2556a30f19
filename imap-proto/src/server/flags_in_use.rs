//! FLAGS and PERMANENTFLAGS: which flags there are in the selected mailbox, and which of them the client may change for good.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::ServerSession;
use super::session::Standing;
use crate::acl::{Rights, right_to_change};
use crate::types::{Flag, Flags};
use crate::wire::encode::push;

/// What the client is told of flags, and what of it is new.
#[derive(Debug)]
pub(super) struct FlagsInUse {
    flags: Flags,
    can_be_made: bool,
    rights: Rights,
    /// Whatever the rights are: EXAMINE, or a mailbox that can only be read.
    read_only: bool,
    untold: Untold,
}

/// What the client was not told yet.
#[derive(Clone, Copy, Debug)]
struct Untold {
    flags: bool,
    permanent: bool,
    read_only: bool,
}

impl FlagsInUse {
    /// At selection, when the client has to be told of everything but whether the mailbox can be changed, which stands in the tagged
    /// answer.
    pub(super) fn new(keywords: Vec<Flag>, can_be_made: bool, rights: Rights, read_only: bool) -> Self {
        let untold = Untold { flags: true, permanent: true, read_only: false };
        FlagsInUse { flags: with_system(keywords), can_be_made, rights, read_only, untold }
    }

    /// Whether nothing can be changed: asked for so, or for lack of rights.
    pub(super) fn is_read_only(&self) -> bool {
        // RFC 4314 §5.2: flags are shared here.
        let changes = Rights::INSERT | Rights::EXPUNGE | Rights::SEEN | Rights::WRITE | Rights::DELETE_MESSAGES;
        self.read_only || !self.rights.has_any(changes)
    }

    pub(super) fn learn_keywords(&mut self, keywords: Vec<Flag>, can_be_made: bool) {
        let flags = with_system(keywords);
        self.untold.flags |= flags != self.flags;
        let before = self.permanent();
        (self.flags, self.can_be_made) = (flags, can_be_made);
        self.untold.permanent |= self.permanent() != before;
    }

    pub(super) fn learn_rights(&mut self, rights: Rights) {
        let (before, was_read_only) = (self.permanent(), self.is_read_only());
        self.rights = rights;
        self.untold.permanent |= self.permanent() != before;
        self.untold.read_only |= self.is_read_only() != was_read_only;
    }

    /// RFC 4314 §5.1.1
    fn permanent(&self) -> String {
        if self.is_read_only() {
            return "()".into();
        }
        let permanent: Flags = self.flags.iter().filter(|flag| self.rights.contains(right_to_change(flag))).collect();
        let mut permanent = permanent.to_string();
        if self.can_be_made && self.rights.contains(Rights::WRITE) {
            let star = if permanent == "()" { "\\*" } else { " \\*" };
            permanent.insert_str(permanent.len() - 1, star);
        }
        permanent
    }

    pub(super) fn has_news(&self) -> bool {
        let Untold { flags, permanent, read_only } = self.untold;
        flags || permanent || read_only
    }

    /// RFC 9051 §7.3.5, §7.1: what is new.
    pub(super) fn tell(&mut self, out: &mut Vec<u8>) {
        let nothing = Untold { flags: false, permanent: false, read_only: false };
        let untold = core::mem::replace(&mut self.untold, nothing);
        if untold.flags {
            push(out, format_args!("* FLAGS {}\r\n", self.flags));
        }
        if untold.permanent {
            push(out, format_args!("* OK [PERMANENTFLAGS {}] Flags that last\r\n", self.permanent()));
        }
        if untold.read_only {
            let code = if self.is_read_only() { "READ-ONLY" } else { "READ-WRITE" };
            push(out, format_args!("* OK [{code}] Your rights have changed\r\n"));
        }
    }
}

/// The five of the system and these.
fn with_system(keywords: Vec<Flag>) -> Flags {
    let mut flags: Flags =
        [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft].into_iter().collect();
    flags.extend(keywords);
    flags.remove(&Flag::Recent);
    flags
}

impl ServerSession {
    /// Tells of flags that are new in the mailbox, so that no answer shows any that the client does not know.
    pub(super) fn tell_flags_in_use(&mut self) {
        if let Standing::Selected { mailbox, .. } = &mut self.standing
            && mailbox.flags.has_news()
        {
            mailbox.flags.tell(self.out.end());
        }
    }
}
