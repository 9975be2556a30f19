//! CONDSTORE and QRESYNC (RFC 7162): how a client comes to hear of mod-sequences, what it may ask with them, and how it
//! is told what happened while it was away.

use alloc::vec::Vec;

use super::fetch::Fetching;
use super::read::uid_required;
use super::reply::End;
use super::session::{Asked, Doing, Standing};
use super::{Event, FetchItem, ServerSession};
use crate::types::{ModSeq, Uid, UidSet, UidValidity};
use crate::view;
use crate::wire::parse::{Modifier, PartialRange, Resync, mod_sequence, mod_sequence_or_zero, resync};

/// The parameters of SELECT and EXAMINE.
#[derive(Debug, Default)]
pub(super) struct SelectParameters {
    pub(super) condstore: bool,
    pub(super) resync: Option<Resync>,
}

/// The modifiers of FETCH.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FetchModifiers {
    pub(super) changed_since: Option<ModSeq>,
    /// Only these of the set.
    pub(super) partial: Option<PartialRange>,
    pub(super) vanished: bool,
}

/// RFC 4466 §2: what was not offered is an error.
fn unknown() -> End {
    End::bad("There is no such modifier")
}

fn bad_value() -> End {
    End::bad("Syntax error in the value of a modifier")
}

/// A modifier that has no value.
fn without_value(modifier: &Modifier<'_>) -> Result<bool, End> {
    if modifier.value.is_empty() { Ok(true) } else { Err(bad_value()) }
}

impl ServerSession {
    /// The modifiers, each of which may stand once (RFC 7162 §7, store-modifier).
    fn modifiers<'m, 'b>(all: &'m [Modifier<'b>]) -> Result<&'m [Modifier<'b>], End> {
        let again = |(at, one): (usize, &Modifier<'_>)| all[..at].iter().any(|m| m.name.eq_ignore_ascii_case(one.name));
        match all.iter().enumerate().any(again) {
            true => Err(End::bad("A modifier stands there twice")),
            false => Ok(all),
        }
    }

    /// RFC 7162 §3.1.8, §3.2.5
    pub(super) fn select_parameters(&self, all: &[Modifier<'_>]) -> Result<SelectParameters, End> {
        let condstore = self.config.extensions.condstore;
        let mut parameters = SelectParameters::default();
        for modifier in Self::modifiers(all)? {
            match modifier.name {
                name if name.eq_ignore_ascii_case("CONDSTORE") && condstore => {
                    parameters.condstore = without_value(modifier)?;
                }
                name if name.eq_ignore_ascii_case("QRESYNC") && self.config.extensions.offers_qresync() => {
                    self.refuse_before_enable()?;
                    let asked = resync(modifier.value).ok_or_else(bad_value)?;
                    if self.enabled.uid_only && !asked.matches.is_empty() {
                        return Err(uid_required());
                    }
                    parameters.resync = Some(asked);
                }
                _ => return Err(unknown()),
            }
        }
        Ok(parameters)
    }

    /// RFC 7162 §3.1.4.1, §3.2.6
    pub(super) fn fetch_modifiers(&self, all: &[Modifier<'_>], uid: bool) -> Result<FetchModifiers, End> {
        let mut modifiers = FetchModifiers::default();
        for modifier in Self::modifiers(all)? {
            match modifier.name {
                name if name.eq_ignore_ascii_case("CHANGEDSINCE") && self.config.extensions.condstore => {
                    modifiers.changed_since = Some(mod_sequence(modifier.value).ok_or_else(bad_value)?);
                }
                // RFC 9394 §3.3
                name if uid && name.eq_ignore_ascii_case("PARTIAL") && self.config.extensions.partial => {
                    modifiers.partial = Some(PartialRange::parse(modifier.value).ok_or_else(bad_value)?);
                }
                name if name.eq_ignore_ascii_case("VANISHED") && self.config.extensions.offers_qresync() => {
                    self.refuse_before_enable()?;
                    modifiers.vanished = without_value(modifier)?;
                }
                _ => return Err(unknown()),
            }
        }
        match modifiers.vanished && (!uid || modifiers.changed_since.is_none()) {
            true => Err(End::bad("VANISHED needs UID FETCH and CHANGEDSINCE")),
            false => Ok(modifiers),
        }
    }

    /// RFC 7162 §3.1.3
    pub(super) fn store_modifiers(&self, all: &[Modifier<'_>]) -> Result<Option<u64>, End> {
        let mut unchanged_since = None;
        for modifier in Self::modifiers(all)? {
            if !modifier.name.eq_ignore_ascii_case("UNCHANGEDSINCE") || !self.config.extensions.condstore {
                return Err(unknown());
            }
            unchanged_since = Some(mod_sequence_or_zero(modifier.value).ok_or_else(bad_value)?);
        }
        Ok(unchanged_since)
    }

    /// RFC 7162 §3.2.3
    fn refuse_before_enable(&self) -> Result<(), End> {
        if self.enabled.qresync { Ok(()) } else { Err(End::bad("ENABLE QRESYNC first")) }
    }

    /// RFC 7162 §3.1.2.2: what cannot be answered in a mailbox without mod-sequences is BAD.
    pub(super) fn refuse_without_mod_seqs(&mut self) -> Result<(), End> {
        match self.mailbox()?.view.has_mod_seqs() {
            true => Ok(()),
            false => Err(End::bad("This mailbox has no mod-sequences")),
        }
    }

    /// A CONDSTORE enabling command was given (RFC 7162 §3.1). HIGHESTMODSEQ follows when the command ends, for by then
    /// everything up to it was told.
    pub(super) fn enable_condstore(&mut self) {
        let first = !core::mem::replace(&mut self.enabled.mod_seqs, true);
        let Standing::Selected { mailbox, .. } = &mut self.standing else { return };
        mailbox.view.tell_mod_seqs();
        if first && !mailbox.view.has_mod_seqs() {
            self.no_mod_seqs();
        }
    }

    /// RFC 7162 §3.1.2.2
    pub(super) fn no_mod_seqs(&mut self) {
        self.untagged("OK", Some("NOMODSEQ"), "No mod-sequences here");
    }

    /// Begins to tell a client that comes back to a mailbox what happened there since (RFC 7162 §3.2.5). False if there
    /// is nothing to be told: its knowledge is of another UIDVALIDITY, or the mailbox has no mod-sequences.
    pub(super) fn resynchronise(
        &mut self,
        resync: &Resync,
        uid_validity: UidValidity,
        uid_next: Uid,
        end: &End,
    ) -> bool {
        let Standing::Selected { mailbox, .. } = &mut self.standing else { return false };
        let view = &mut mailbox.view;
        if resync.uid_validity != uid_validity || !view.has_mod_seqs() {
            return false;
        }
        // RFC 7162 §3.2.5.1: without the list of known UIDs, all below UIDNEXT.
        let there_were: UidSet = Uid::new(uid_next.get() - 1).map(|last| Uid::MIN..=last).into_iter().collect();
        let known = match &resync.known_uids {
            Some(known) => known.intersect(&there_were),
            None => there_were,
        };
        let fetch = view.known_of(&known);
        // RFC 7162 §3.2.5.2
        let unsure = match view.last_match(&resync.matches) {
            Some(sure) => known.intersect(&sure.next().map(|first| first..=Uid::MAX).into_iter().collect()),
            None => known,
        };
        let fetching =
            Fetching::new(alloc::vec![FetchItem::Flags, FetchItem::ModSeq], !self.enabled.uid_only, end.clone())
                .selecting();
        if unsure.is_empty() {
            self.fetch_changes(resync.mod_seq, fetch, fetching);
        } else {
            let event = self.ask_vanished(unsure, resync.mod_seq, fetch, fetching);
            self.queue.push_back(event);
        }
        true
    }

    /// Asks which of `unsure` are gone; then follows the FETCH.
    pub(super) fn ask_vanished(
        &mut self,
        unsure: UidSet,
        since: ModSeq,
        fetch: UidSet,
        fetching: Fetching,
    ) -> Event<'static> {
        self.doing = Doing::Asked(Asked::Vanished { since, fetch, fetching });
        Event::Vanished { uids: unsure, since }
    }

    /// RFC 7162 §3.2.10.1
    // Of messages that the client counts, VANISHED without the tag has to tell: it alone changes sequence numbers.
    pub(super) fn vanished_earlier(&mut self, uids: &UidSet) {
        let Standing::Selected { mailbox, .. } = &mut self.standing else { return };
        let told = uids.without(&mailbox.view.known_of(uids));
        view::vanished(&told, " (EARLIER)", self.out.end());
    }

    /// Everything that vanished was told: the changes of what did not.
    pub(super) fn fetch_changes(&mut self, since: ModSeq, uids: UidSet, fetching: Fetching) {
        if uids.is_empty() {
            self.finish(fetching.end());
            return;
        }
        let mark_seen = fetching.marks_seen();
        let wanted: Vec<FetchItem> = fetching.wanted().to_vec();
        self.queue.push_back(Event::Fetch { uids, wanted, mark_seen, changed_since: Some(since) });
        self.doing = Doing::Asked(Asked::Fetch(fetching));
    }
}
