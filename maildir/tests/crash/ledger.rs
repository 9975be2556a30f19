//! What a client was told, and since when: the only thing that the auditor knows.

use std::collections::{BTreeMap, BTreeSet};

use pillarbox_maildir::Quota;

/// Where a message is, with which flags there.
pub(crate) type Places = BTreeMap<String, BTreeSet<String>>;

/// What held from which change on.
#[derive(Clone, Debug)]
pub(crate) struct History<T>(Vec<(u64, T)>);

impl<T> History<T> {
    pub(crate) fn new() -> Self {
        History(Vec::new())
    }

    pub(crate) fn push(&mut self, at: u64, value: T) {
        self.0.push((at, value));
    }

    pub(crate) fn at(&self, change: u64) -> Option<&T> {
        self.0.iter().rev().find(|(at, _)| *at <= change).map(|(_, value)| value)
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.0.last().map(|(_, value)| value)
    }

    /// Everything that has been said until then.
    pub(crate) fn until(&self, change: u64) -> impl Iterator<Item = &T> {
        self.0.iter().filter(move |(at, _)| *at <= change).map(|(_, value)| value)
    }
}

/// A message with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToldUid {
    pub(crate) validity: u32,
    pub(crate) uid: u32,
    pub(crate) marker: String,
}

/// What a client knows of a mailbox that it left: with this it comes back (RFC 7162 §3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) validity: u32,
    pub(crate) uid_next: u32,
    /// HIGHESTMODSEQ.
    pub(crate) highest: u64,
    /// Flags by UID.
    pub(crate) messages: BTreeMap<u32, BTreeSet<String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// By the marker that its text begins with: the text, and where it may be. While something is done to it there are several
    /// possibilities; one of them has to be so.
    pub(crate) messages: BTreeMap<String, (String, History<Vec<Places>>)>,
    /// The sets of mailboxes that there may be.
    pub(crate) mailboxes: History<Vec<BTreeSet<String>>>,
    pub(crate) subscriptions: History<Vec<BTreeSet<String>>>,
    /// UIDVALIDITY as it was told, while it may not change.
    pub(crate) validities: History<BTreeMap<String, u32>>,
    pub(crate) uids: History<ToldUid>,
    /// The account's limits, if it has a quota.
    pub(crate) quota: Option<Quota>,
    /// UIDVALIDITY and a UIDNEXT that was told with it.
    pub(crate) uid_nexts: History<(u32, u32)>,
    pub(crate) known: History<Known>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let mut ledger = Ledger {
            messages: BTreeMap::new(),
            mailboxes: History::new(),
            subscriptions: History::new(),
            validities: History::new(),
            uids: History::new(),
            uid_nexts: History::new(),
            known: History::new(),
            quota: None,
        };
        ledger.mailboxes.push(0, vec![BTreeSet::from(["INBOX".to_owned()])]);
        ledger.subscriptions.push(0, vec![BTreeSet::new()]);
        ledger.validities.push(0, BTreeMap::new());
        ledger
    }

    /// Where a message certainly is now. The scenarios begin nothing with a message before the last thing is settled.
    pub(crate) fn places(&self, marker: &str) -> Places {
        match self.messages[marker].1.last().map(Vec::as_slice) {
            Some([places]) => places.clone(),
            other => panic!("{marker} is in several states: {other:?}"),
        }
    }

    /// From now on one of these is so.
    pub(crate) fn expect(&mut self, at: u64, marker: &str, possible: Vec<Places>) {
        self.messages.get_mut(marker).expect("it was begun").1.push(at, possible);
    }

    pub(crate) fn markers_in(&self, mailbox: &str) -> Vec<String> {
        let is_there = |history: &History<Vec<Places>>| {
            history.last().is_some_and(|possible| possible.iter().any(|places| places.contains_key(mailbox)))
        };
        self.messages.iter().filter(|(_, (_, history))| is_there(history)).map(|(marker, _)| marker.clone()).collect()
    }

    pub(crate) fn mailboxes_now(&self) -> BTreeSet<String> {
        match self.mailboxes.last().map(Vec::as_slice) {
            Some([names]) => names.clone(),
            other => panic!("mailboxes are in several states: {other:?}"),
        }
    }
}
