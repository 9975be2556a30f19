//! Commands that change messages or their number: STORE, COPY, MOVE, EXPUNGE; and which messages a command means.

use alloc::string::String;
use alloc::vec::Vec;

use super::read::Served;
use super::reply::End;
use super::session::{Asked, Selected, Standing};
use super::{Change, Event, FlagChange, ServerSession};
use crate::types::{Flags, SequenceSet, Uid, UidSet, UidValidity};
use crate::wire::encode::push;

impl ServerSession {
    /// The selected mailbox. The command table lets nothing through that needs one where there is none.
    pub(super) fn mailbox(&mut self) -> Result<&mut Selected, End> {
        match &mut self.standing {
            Standing::Selected { mailbox, .. } => Ok(mailbox),
            _ => Err(End::bad("No mailbox is selected")),
        }
    }

    /// The messages that a set means.
    pub(super) fn resolve(&mut self, set: &SequenceSet, uid: bool) -> Result<UidSet, End> {
        let mailbox = self.mailbox()?;
        let mut uids = match uid {
            true => mailbox.view.resolve_uids(set),
            false => mailbox.view.resolve(set).map_err(|_| End::bad("No such message"))?,
        };
        if set.names_saved() {
            // RFC 5182 §2.1: what was expunged is no longer in it.
            uids.add(&mailbox.saved.iter().filter(|uid| mailbox.view.seq(*uid).is_some()).collect());
        }
        Ok(uids)
    }

    fn refuse_read_only(&mut self) -> Result<(), End> {
        if self.mailbox()?.read_only {
            return Err(End { code: Some("READ-ONLY".into()), ..End::no_such("The mailbox can only be read") });
        }
        Ok(())
    }

    /// RFC 9051 §6.4.6
    pub(super) fn store<'b>(
        &mut self,
        set: &SequenceSet,
        change: FlagChange,
        flags: Flags,
        silent: bool,
        uid: bool,
    ) -> Served<'b> {
        self.refuse_read_only()?;
        let uids = self.resolve(set, uid)?;
        if uids.is_empty() {
            self.finish(End::ok("No such messages"));
            return Ok(None);
        }
        let waiting = self.mailbox()?.view.waiting_flags(&uids);
        Ok(self.ask(Asked::Store { silent, waiting }, Event::Store { uids, change, flags, silent }))
    }

    /// A message has these flags after STORE.
    pub(super) fn flags_stored(&mut self, uid: Uid, flags: &Flags, tell: bool) {
        let Standing::Selected { mailbox: Selected { view, .. }, .. } = &mut self.standing else { return };
        view.drop_flags(uid);
        if let Some(seq) = view.seq(uid).filter(|_| tell) {
            push(self.out.end(), format_args!("* {seq} FETCH (UID {uid} FLAGS {flags})\r\n"));
        }
    }

    /// RFC 9051 §6.4.7
    pub(super) fn copy<'b>(&mut self, set: &SequenceSet, mailbox: &[u8], uid: bool) -> Served<'b> {
        let mailbox = self.mailbox_name(mailbox)?;
        let uids = self.resolve(set, uid)?;
        if uids.is_empty() {
            self.finish(End::ok("No such messages"));
            return Ok(None);
        }
        Ok(self.ask(Asked::Copy, Event::Copy { uids, mailbox }))
    }

    /// RFC 6851 §3.1
    pub(super) fn move_messages<'b>(&mut self, set: &SequenceSet, mailbox: &[u8], uid: bool) -> Served<'b> {
        if !self.config.extensions.moves {
            return Err(End::bad("MOVE is not on offer"));
        }
        let mailbox = self.mailbox_name(mailbox)?;
        self.refuse_read_only()?;
        let uids = self.resolve(set, uid)?;
        if uids.is_empty() {
            self.finish(End::ok("No such messages"));
            return Ok(None);
        }
        Ok(self.ask(Asked::Move, Event::Move { uids, mailbox }))
    }

    pub(super) fn copied(&mut self, uid_validity: UidValidity, uids: &[(Uid, Uid)]) {
        let end = match copy_uid(uid_validity, uids) {
            None => End::ok("Nothing was copied"),
            Some(code) => End::ok_with(code, "Copied"),
        };
        self.finish(end);
    }

    /// RFC 6851 §4.3: COPYUID comes before the EXPUNGEs, in an answer of its own.
    pub(super) fn moved(&mut self, uid_validity: UidValidity, uids: &[(Uid, Uid)]) {
        if let Some(code) = copy_uid(uid_validity, uids) {
            self.untagged("OK", Some(&code), "These became those");
            self.expunged(&uids.iter().map(|(source, _)| *source).collect::<Vec<_>>());
        }
        self.finish(End::ok(if uids.is_empty() { "Nothing was moved" } else { "Moved" }));
    }

    /// RFC 9051 §6.4.3, RFC 4315 §2.1
    pub(super) fn expunge<'b>(&mut self, only: Option<&SequenceSet>) -> Served<'b> {
        self.refuse_read_only()?;
        let only = only.map(|set| self.resolve(set, true)).transpose()?;
        if only.as_ref().is_some_and(UidSet::is_empty) {
            self.finish(End::ok("No such messages"));
            return Ok(None);
        }
        Ok(self.ask(Asked::Expunge { close: false }, Event::Expunge { only }))
    }

    /// Messages are gone by the running command.
    pub(super) fn expunged(&mut self, uids: &[Uid]) {
        if let Standing::Selected { mailbox, .. } = &mut self.standing {
            mailbox.view.learn(Change::Removed(uids.iter().copied().collect()));
        }
    }
}

/// RFC 4315 §3: the n-th source became the n-th copy.
fn copy_uid(uid_validity: UidValidity, uids: &[(Uid, Uid)]) -> Option<String> {
    let sources = in_order(uids.iter().map(|(source, _)| *source));
    let copies = in_order(uids.iter().map(|(_, copy)| *copy));
    (!uids.is_empty()).then(|| alloc::format!("COPYUID {uid_validity} {sources} {copies}"))
}

/// UIDs as a set that keeps their order, runs drawn together.
pub(super) fn in_order(uids: impl Iterator<Item = Uid>) -> String {
    use core::fmt::Write;
    let mut text = String::new();
    let mut run: Option<(Uid, Uid)> = None;
    let mut write = |run: Option<(Uid, Uid)>| {
        let Some((first, last)) = run else { return };
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to memory cannot fail.
        let _ = if first == last { write!(text, "{comma}{first}") } else { write!(text, "{comma}{first}:{last}") };
    };
    for uid in uids {
        match &mut run {
            Some((_, last)) if last.next() == Some(uid) => *last = uid,
            _ => write(run.replace((uid, uid))),
        }
    }
    write(run);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_copies_is_kept() {
        let set = |numbers: &[u32]| in_order(numbers.iter().filter_map(|&n| Uid::new(n)));
        assert_eq!(set(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(set(&[5, 4, 3]), "5,4,3");
        assert_eq!(set(&[u32::MAX]), "4294967295");
        assert_eq!(set(&[]), "");
    }
}
