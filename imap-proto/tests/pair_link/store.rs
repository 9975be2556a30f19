//! A mailbox that outlives the connections to it.

use pillarbox_imap::server::{Change, FlagChange, Snapshot};
use pillarbox_imap::types::{Flags, ModSeq, Uid, UidSet, UidValidity};

#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) uid: Uid,
    pub(crate) flags: Flags,
    pub(crate) mod_seq: ModSeq,
    pub(crate) octets: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) messages: Vec<Kept>,
    added: u32,
    commits: u64,
    gone: Vec<(Uid, ModSeq)>,
}

pub(crate) fn uid_validity() -> UidValidity {
    UidValidity::new(7).unwrap()
}

impl Store {
    fn commit(&mut self) -> ModSeq {
        self.commits += 1;
        self.highest()
    }

    /// Above 0 before anything happened, and higher with each commit.
    fn highest(&self) -> ModSeq {
        ModSeq::new(self.commits + 1).unwrap()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new(uid_validity(), Uid::new(self.added + 1).unwrap());
        snapshot.uids = self.messages.iter().map(|message| message.uid).collect();
        snapshot.highest_mod_seq = Some(self.highest());
        snapshot
    }

    pub(crate) fn add(&mut self, messages: Vec<(Flags, Vec<u8>)>) -> (Vec<Uid>, Change) {
        let mod_seq = self.commit();
        let mut uids = Vec::new();
        for (flags, octets) in messages {
            self.added += 1;
            let uid = Uid::new(self.added).unwrap();
            uids.push(uid);
            self.messages.push(Kept { uid, flags, mod_seq, octets });
        }
        (uids.clone(), Change::Added { uids, mod_seq: Some(mod_seq) })
    }

    /// The messages as they are then.
    pub(crate) fn flag(&mut self, uids: &UidSet, change: FlagChange, flags: &Flags) -> Vec<Kept> {
        let mod_seq = self.commit();
        let mut changed = Vec::new();
        for message in self.messages.iter_mut().filter(|message| uids.contains(message.uid)) {
            message.flags = match change {
                FlagChange::Replace => flags.clone(),
                FlagChange::Add => message.flags.iter().chain(flags.iter()).collect(),
                FlagChange::Remove => message.flags.iter().filter(|flag| !flags.contains(flag)).collect(),
            };
            message.mod_seq = mod_seq;
            changed.push(message.clone());
        }
        changed
    }

    pub(crate) fn remove(&mut self, uids: &UidSet) -> (Vec<Uid>, Change) {
        let mod_seq = self.commit();
        let gone: Vec<Uid> =
            self.messages.iter().map(|message| message.uid).filter(|uid| uids.contains(*uid)).collect();
        self.messages.retain(|message| !uids.contains(message.uid));
        self.gone.extend(gone.iter().map(|uid| (*uid, mod_seq)));
        (gone.clone(), Change::Removed { uids: gone.into_iter().collect(), mod_seq: Some(mod_seq) })
    }

    pub(crate) fn gone_since(&self, since: ModSeq) -> UidSet {
        self.gone.iter().filter(|(_, mod_seq)| *mod_seq > since).map(|(uid, _)| *uid).collect()
    }
}
