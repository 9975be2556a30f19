//! Commands that change messages or their number: STORE, COPY, MOVE, EXPUNGE; and which messages a command means.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::read::Served;
use super::reply::{End, Verdict};
use super::session::{Asked, Doing, Selected, Standing};
use super::{Change, Event, FlagChange, ServerSession};
use crate::search::Query;
use crate::types::{Flag, Flags, ModSeq, Seq, SequenceSet, Uid, UidSet, UidValidity};
use crate::view::View;
use crate::wire::encode::push;

/// What STORE is to do.
pub(super) struct StoreArguments {
    pub(super) change: FlagChange,
    pub(super) flags: Flags,
    pub(super) silent: bool,
    pub(super) unchanged_since: Option<u64>,
}

/// A STORE that tells no flags but those that somebody else changed as well.
#[derive(Debug)]
pub(super) struct Silent {
    change: FlagChange,
    flags: Flags,
    /// Messages whose flags somebody else changed.
    changed: UidSet,
}

impl Silent {
    /// A change is learned while the command is being served: its own, or that of somebody who was quicker (RFC 3501 §6.4.6).
    /// A second one of the same message cannot be its own as well, and neither can flags that it would have changed.
    pub(super) fn learn(&mut self, change: &Change, view: &View) {
        let Change::Flags { uid, flags, .. } = change else { return };
        let may_be_its_own = match self.change {
            FlagChange::Replace => *flags == self.flags,
            FlagChange::Add => self.flags.iter().all(|flag| flags.contains(&flag)),
            FlagChange::Remove => !self.flags.iter().any(|flag| flags.contains(&flag)),
        };
        if view.seq(*uid).is_some() && (!may_be_its_own || !view.waiting_flags(&UidSet::one(*uid)).is_empty()) {
            self.changed.insert(*uid);
        }
    }

    pub(super) fn hides(&self, uid: Uid) -> bool {
        !self.changed.contains(uid)
    }
}

impl Selected {
    /// The messages, and those that `$` means if it stands in the set.
    fn with_saved(&self, set: &SequenceSet, mut uids: UidSet) -> UidSet {
        if set.names_saved() {
            // RFC 5182 §2.1: what was expunged is no longer in it.
            uids.add(&self.view.known_of(&self.saved));
        }
        uids
    }
}

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
        let uids = match uid {
            true => mailbox.view.resolve_uids(set),
            false => mailbox.view.resolve(set).map_err(|_| End::bad("No such message"))?,
        };
        Ok(mailbox.with_saved(set, uids))
    }

    /// The same for a search, where numbers of no message are no error (RFC 7377 §2).
    pub(super) fn resolve_searched(&mut self, set: &SequenceSet, uid: bool) -> Result<UidSet, End> {
        let mailbox = self.mailbox()?;
        let uids = match uid {
            true => mailbox.view.resolve_uids(set),
            false => mailbox.view.resolve_existing(set),
        };
        Ok(mailbox.with_saved(set, uids))
    }

    pub(super) fn refuse_read_only(&mut self) -> Result<(), End> {
        if self.mailbox()?.read_only {
            return Err(End { code: Some("READ-ONLY".into()), ..End::no_such("The mailbox can only be read") });
        }
        Ok(())
    }

    /// RFC 9051 §6.4.6, RFC 7162 §3.1.3
    pub(super) fn store<'b>(&mut self, set: &SequenceSet, arguments: StoreArguments, uid: bool) -> Served<'b> {
        let StoreArguments { change, flags, silent, unchanged_since } = arguments;
        self.refuse_read_only()?;
        if unchanged_since.is_some() {
            self.refuse_without_mod_seqs()?;
        }
        let mut uids = self.resolve(set, uid)?;
        self.take_last(&mut uids);
        if unchanged_since.is_some() {
            self.enable_condstore();
        }
        if uids.is_empty() {
            self.finish(End::ok("No such messages"));
            return Ok(None);
        }
        let hidden = match silent {
            true => Some(Silent { change, flags: flags.clone(), changed: self.mailbox()?.view.waiting_flags(&uids) }),
            false => None,
        };
        let asked = Asked::Store { silent: hidden, uid, modified: UidSet::new() };
        Ok(self.ask(asked, Event::Store { uids, change, flags, silent, unchanged_since }))
    }

    /// A message has these flags after STORE.
    pub(super) fn flags_stored(&mut self, uid: Uid, flags: &Flags, mod_seq: Option<ModSeq>, tell: bool) {
        self.tell_flags_in_use();
        let Standing::Selected { mailbox, .. } = &mut self.standing else { return };
        let view = &mut mailbox.view;
        view.drop_flags(uid, mod_seq);
        let Some(seq) = view.seq(uid) else { return };
        let out = self.out.end();
        let start = out.len();
        match view.tells_uids_only() {
            true => push(out, format_args!("* {uid} UIDFETCH (")),
            false => push(out, format_args!("* {seq} FETCH (UID {uid}")),
        }
        let items = out.len();
        if tell {
            push(out, format_args!(" FLAGS {flags}"));
        }
        view.mod_seq(mod_seq, out);
        match out.len() > items {
            true => {
                if view.tells_uids_only() {
                    // Nothing stands before the first of them.
                    out.remove(items);
                }
                out.extend_from_slice(b")\r\n");
            }
            // .SILENT, and no mod-sequence that RFC 7162 §3.1.3 wants to be told nevertheless.
            false => out.truncate(start),
        }
    }

    /// STORE ends: with the messages that it left alone, by sequence numbers or UIDs as the command had them.
    pub(super) fn stored(&mut self, mut end: End, modified: &UidSet, uid: bool) {
        if let Standing::Selected { mailbox, .. } = &self.standing
            && !modified.is_empty()
        {
            let set = match uid {
                true => modified.to_string(),
                false => in_order(modified.iter().filter_map(|uid| mailbox.view.seq(uid)).map(Seq::get)),
            };
            end.code = Some(alloc::format!("MODIFIED {set}").into());
            if end.verdict == Verdict::Ok {
                end.text = "Some messages changed meanwhile".into();
            }
        }
        self.finish(end);
    }

    /// RFC 9051 §6.4.7
    pub(super) fn copy<'b>(&mut self, set: &SequenceSet, mailbox: &[u8], uid: bool) -> Served<'b> {
        let mailbox = self.mailbox_name(mailbox)?;
        let uids = self.resolve(set, uid)?;
        self.refuse_too_many_copies(&uids)?;
        if uids.is_empty() {
            self.finish(End::ok("No such messages"));
            return Ok(None);
        }
        Ok(self.ask(Asked::Copy { target: mailbox.clone() }, Event::Copy { uids, mailbox }))
    }

    /// RFC 6851 §3.1
    pub(super) fn move_messages<'b>(&mut self, set: &SequenceSet, mailbox: &[u8], uid: bool) -> Served<'b> {
        if !self.config.extensions.moves {
            return Err(End::bad("MOVE is not on offer"));
        }
        let mailbox = self.mailbox_name(mailbox)?;
        self.refuse_read_only()?;
        let mut uids = self.resolve(set, uid)?;
        self.take_last(&mut uids);
        if uids.is_empty() {
            self.finish(End::ok("No such messages"));
            return Ok(None);
        }
        Ok(self.ask(Asked::Move { target: mailbox.clone() }, Event::Move { uids, mailbox }))
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
        // RFC 9738 §3.1: only UID EXPUNGE has a limit, and only messages with `\Deleted` count.
        if let Some(uids) = only.as_ref().filter(|uids| self.messages_max().is_some_and(|max| uids.len() > max)) {
            let query = Query::And(alloc::vec![Query::Uids(uids.clone()), Query::Flag(Flag::Deleted)]);
            return Ok(self.ask(Asked::Deleted(Vec::new()), Event::Search { query, mod_seqs: false }));
        }
        Ok(self.ask(Asked::Expunge { close: false }, Event::Expunge { only }))
    }

    /// These messages of a UID EXPUNGE have `\Deleted`.
    pub(super) fn expunge_last(&mut self, deleted: Vec<Uid>) {
        let mut only: UidSet = deleted.into_iter().collect();
        if only.is_empty() {
            return self.finish(End::ok("No such messages"));
        }
        self.take_last(&mut only);
        self.doing = Doing::Asked(Asked::Expunge { close: false });
        self.queue.push_back(Event::Expunge { only: Some(only) });
    }

    /// Messages are gone by the running command.
    pub(super) fn expunged(&mut self, uids: &[Uid]) {
        if let Standing::Selected { mailbox, .. } = &mut self.standing {
            let change = Change::Removed { uids: uids.iter().copied().collect(), mod_seq: None };
            mailbox.learn(change, self.config.limits.context_changes_max);
        }
    }
}

/// RFC 4315 §3: the n-th source became the n-th copy.
fn copy_uid(uid_validity: UidValidity, uids: &[(Uid, Uid)]) -> Option<String> {
    let sources = in_order(uids.iter().map(|(source, _)| source.get()));
    let copies = in_order(uids.iter().map(|(_, copy)| copy.get()));
    (!uids.is_empty()).then(|| alloc::format!("COPYUID {uid_validity} {sources} {copies}"))
}

/// Numbers as a set that keeps their order, runs drawn together.
pub(super) fn in_order(numbers: impl Iterator<Item = u32>) -> String {
    use core::fmt::Write;
    let mut text = String::new();
    let mut run: Option<(u32, u32)> = None;
    let mut write = |run: Option<(u32, u32)>| {
        let Some((first, last)) = run else { return };
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to memory cannot fail.
        let _ = if first == last { write!(text, "{comma}{first}") } else { write!(text, "{comma}{first}:{last}") };
    };
    for number in numbers {
        match &mut run {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => write(run.replace((number, number))),
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
        let set = |numbers: &[u32]| in_order(numbers.iter().copied());
        assert_eq!(set(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(set(&[5, 4, 3]), "5,4,3");
        assert_eq!(set(&[u32::MAX]), "4294967295");
        assert_eq!(set(&[]), "");
    }
}
