//! How much the mailboxes of an account hold, and how much they may.

use std::sync::Mutex;

use pillarbox_imap::quota::{QuotaRoot, Resource, ResourceUse};

use super::lock;
use crate::parts::{Identity, StoreError, StoreErrorKind};

/// What messages take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) octets: u64,
    pub(super) messages: u64,
}

impl Usage {
    pub(super) const fn message(octets: u64) -> Self {
        Usage { octets, messages: 1 }
    }

    /// Of messages with so many octets each.
    pub(super) fn of(sizes: impl IntoIterator<Item = usize>) -> Self {
        sizes.into_iter().fold(Usage::default(), |all, size| all.plus(Usage::message(size as u64)))
    }

    pub(super) const fn plus(self, other: Usage) -> Self {
        Usage { octets: self.octets.saturating_add(other.octets), messages: self.messages + other.messages }
    }

    const fn minus(self, other: Usage) -> Self {
        Usage {
            octets: self.octets.saturating_sub(other.octets),
            messages: self.messages.saturating_sub(other.messages),
        }
    }
}

/// What an account may use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) octets: Option<u64>,
    pub(super) messages: Option<u64>,
}

impl Limits {
    pub(super) const fn are_there(self) -> bool {
        self.octets.is_some() || self.messages.is_some()
    }
}

/// One account's.
#[derive(Debug, Default)]
pub(super) struct Used {
    limits: Limits,
    now: Mutex<Usage>,
}

impl Used {
    pub(super) fn new(limits: Limits) -> Self {
        Used { limits, now: Mutex::default() }
    }

    /// Whether there is room for messages.
    pub(super) fn room(&self, coming: Usage) -> Result<(), StoreError> {
        self.room_beside(*lock(&self.now), coming)
    }

    fn room_beside(&self, now: Usage, coming: Usage) -> Result<(), StoreError> {
        let fits = |now: u64, coming: u64, limit: Option<u64>| {
            coming == 0 || limit.is_none_or(|limit| now.saturating_add(coming) <= limit)
        };
        let Limits { octets, messages } = self.limits;
        match fits(now.octets, coming.octets, octets) && fits(now.messages, coming.messages, messages) {
            true => Ok(()),
            false => Err(StoreError::new(StoreErrorKind::OverQuota, "the account may hold no more")),
        }
    }

    /// Counts messages that come, if there is room for what they take beyond ones that go for them. Those are counted on until
    /// they are [given back](Self::give_back).
    pub(super) fn take(&self, coming: Usage, instead: Usage) -> Result<(), StoreError> {
        let mut now = lock(&self.now);
        self.room_beside(*now, coming.minus(instead))?;
        *now = now.plus(coming);
        Ok(())
    }

    /// Messages are gone.
    pub(super) fn give_back(&self, gone: Usage) {
        let mut now = lock(&self.now);
        *now = now.minus(gone);
    }

    /// The root of the account, if anything is limited. Its name is nobody else's.
    pub(super) fn roots(&self, account: &Identity) -> Vec<QuotaRoot> {
        if !self.limits.are_there() {
            return Vec::new();
        }
        let now = *lock(&self.now);
        let one = |resource, used, limit: Option<u64>| limit.map(|limit| ResourceUse { resource, used, limit });
        let storage = one(Resource::Storage, now.octets, self.limits.octets);
        let messages = one(Resource::Message, now.messages, self.limits.messages);
        let resources = storage.into_iter().chain(messages).collect();
        vec![QuotaRoot { name: format!("#user/{account}"), resources }]
    }
}
