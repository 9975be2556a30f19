//! Delivery into mailboxes: a message sink over a mailbox store.

mod junk;

use std::borrow::Cow;
use std::sync::Arc;

use pillarbox_core::Reply;
use pillarbox_core::address::ForwardPath;
use pillarbox_imap::list::List;
use pillarbox_imap::types::{MailboxName, SpecialUse};
use pillarbox_smtp::trace::{DeliveredTo, ReturnPath, StripField};

use crate::parts::{
    Append, BoxFuture, Envelope, Identity, IncomingAppend, IncomingMessage, MailboxStore, MessageSink, Outcome,
    SinkError, StoreError, StoreErrorKind,
};

pub use junk::JunkSink;

/// Which account gets the mail of an address; `None`: nobody's.
type Accounts = dyn Fn(&ForwardPath<'_>) -> Option<Identity> + Send + Sync;

/// Delivers messages into the INBOX of each recipient's account.
///
/// A message is streamed into all mailboxes at once, each copy with a `Return-Path` and a `Delivered-To` field of its own in
/// front. A `Return-Path` that it brought along is taken out (RFC 5321 §4.4); its `Delivered-To` fields stay, below ours
/// (RFC 9228 §4), and mean nothing here: a mailbox is where mail ends, so nobody can stop it by feigning that it has been
/// there. Recipients that lead to one account get one copy. All copies are brought to stable storage before the first is made visible.
///
/// ```
/// use std::sync::Arc;
/// use pillarbox::delivery::MailboxSink;
/// use pillarbox::parts::{Identity, Parts};
/// use pillarbox::store::MemoryStore;
///
/// let store = Arc::new(MemoryStore::new());
/// let accounts = |to: &pillarbox_core::address::ForwardPath<'_>| {
///     let address = to.address()?;
///     (address.domain().eq_ignore_ascii_case("localhost")).then(|| Identity::new(address.to_string()))
/// };
/// let sink = Arc::new(MailboxSink::new(store.clone(), accounts));
/// let parts = Parts { store, sink, ..Parts::in_memory() };
/// ```
#[derive(Clone)]
pub struct MailboxSink {
    store: Arc<dyn MailboxStore>,
    accounts: Arc<Accounts>,
    over_quota: OverQuota,
    junk: Option<MailboxName>,
}

/// What senders hear whose mail finds no room in the recipient's quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverQuota {
    /// 452 4.2.2: they keep it and try again, for days.
    #[default]
    Later,
    /// 552 5.2.2: it goes back to them at once.
    Refuse,
}

impl MailboxSink {
    /// A sink that delivers into `store` and asks `accounts` whose mail it is.
    pub fn new(
        store: Arc<dyn MailboxStore>,
        accounts: impl Fn(&ForwardPath<'_>) -> Option<Identity> + Send + Sync + 'static,
    ) -> Self {
        MailboxSink { store, accounts: Arc::new(accounts), over_quota: OverQuota::default(), junk: None }
    }

    /// Delivers into the mailbox of each account that is for `\Junk` (RFC 6154), in place of INBOX. Where there is none it is the
    /// one of this name, which is made and subscribed if need be; where that cannot be, it is INBOX: nothing is lost. Trouble that passes is told.
    #[must_use]
    pub fn into_junk(self, name: MailboxName) -> Self {
        MailboxSink { junk: Some(name), ..self }
    }

    /// What senders hear where a quota is used up.
    #[must_use]
    pub fn over_quota(self, over_quota: OverQuota) -> Self {
        MailboxSink { over_quota, ..self }
    }

    /// Why an account has no room for a message of the announced size, or for any where none was announced; `None` if it has. For
    /// a policy to say at RCPT, of this recipient alone: at the end of the message a client of SMTP gets one answer for all.
    pub async fn no_room(&self, account: &Identity, size: Option<u64>) -> Option<Reply> {
        let room = self.store.room(account, &MailboxName::inbox(), size.unwrap_or(1)).await;
        // Other trouble is told when the message comes.
        room.err()
            .filter(|error| error.kind == StoreErrorKind::OverQuota)
            .map(|error| self.over_quota.reply(error.kind))
    }
}

impl MessageSink for MailboxSink {
    fn begin(&self, envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        Box::pin(async move {
            let mut delivery = Delivery {
                copies: Vec::new(),
                copy_of: Vec::new(),
                strip: StripField::return_path(),
                over_quota: self.over_quota,
            };
            let mut accounts: Vec<Identity> = Vec::new();
            for to in &envelope.recipients {
                let Some(account) = (self.accounts)(to) else {
                    delivery.copy_of.push(None);
                    continue;
                };
                let known = accounts.iter().position(|known| *known == account);
                let index = known.unwrap_or(accounts.len());
                delivery.copy_of.push(Some(index));
                if known.is_none() {
                    delivery.copies.push(self.open(&envelope, &account, to).await);
                    accounts.push(account);
                }
            }
            delivery.check_hope()?;
            Ok(Box::new(delivery) as Box<dyn IncomingMessage>)
        })
    }
}

impl MailboxSink {
    /// Begins one copy and writes what stands in front of it.
    async fn open(&self, envelope: &Envelope, account: &Identity, to: &ForwardPath<'_>) -> Copy {
        // The size is not that of the envelope: fields are put in front and taken out.
        let append = Append { delivery: true, ..Append::default() };
        let mut incoming = match &self.junk {
            Some(name) => self.append_junk(account, name, append).await?,
            None => self.store.append(account, &MailboxName::inbox(), append).await?,
        };
        let delivered_to = match to {
            ForwardPath::Postmaster => account.user().to_owned(),
            ForwardPath::Address(address) => address.to_string(),
        };
        let mut front = format!("{}{}", ReturnPath(&envelope.from), DeliveredTo(&delivered_to)).into_bytes();
        front.extend_from_slice(&envelope.trace);
        write(&mut *incoming, &front, envelope.recipients.len() > OPEN_MAX).await?;
        Ok(incoming)
    }

    async fn append_junk(&self, account: &Identity, name: &MailboxName, append: Append) -> Copy {
        let mut list = List::new("*");
        list.special_use = true;
        // What cannot be listed now may be listed later, and then there is one; it is no reason to make another.
        let (listed, is_listed) = match self.store.list(account, &list).await {
            Ok(listed) => (listed, true),
            Err(error) if error.kind == StoreErrorKind::Unavailable => return Err(error),
            Err(_) => (Vec::new(), false),
        };
        let is_junk = |attribute: &Cow<'_, str>| attribute.eq_ignore_ascii_case(SpecialUse::Junk.as_str());
        let known = listed.into_iter().find(|listed| listed.attributes.iter().any(is_junk)).map(|listed| listed.name);
        let may_be_made = is_listed && known.is_none();
        let junk = known.unwrap_or_else(|| name.clone());
        let mut outcome = self.store.append(account, &junk, append.clone()).await;
        if may_be_made && matches!(&outcome, Err(error) if error.kind == StoreErrorKind::NoSuchMailbox) {
            // Another message may have made it meanwhile: that it cannot be made is no reason not to try.
            let _ = self.store.create(account, &junk, &[SpecialUse::Junk]).await;
            outcome = self.store.append(account, &junk, append.clone()).await;
            if outcome.is_ok() {
                // It is there and listed all the same.
                let _ = self.store.subscribe(account, &junk, true).await;
            }
        }
        match outcome {
            Err(StoreError {
                kind: StoreErrorKind::OverQuota | StoreErrorKind::NoSpace | StoreErrorKind::Unavailable,
                ..
            })
            | Ok(_) => outcome,
            Err(_) => self.store.append(account, &MailboxName::inbox(), append).await,
        }
    }
}

/// One copy, or why there is none.
type Copy = Result<Box<dyn IncomingAppend>, StoreError>;

async fn write(copy: &mut dyn IncomingAppend, octets: &[u8], park: bool) -> Result<(), StoreError> {
    copy.write(octets).await?;
    if park { copy.park().await } else { Ok(()) }
}

/// Of more copies than these none holds memory or an open file while it waits for its next piece. A message to a thousand
/// recipients costs no more than one to some.
const OPEN_MAX: usize = 32;

/// A message on its way into mailboxes.
struct Delivery {
    copies: Vec<Copy>,
    /// The copy of each recipient; none if it leads to no account.
    copy_of: Vec<Option<usize>>,
    strip: StripField,
    over_quota: OverQuota,
}

impl Delivery {
    /// An error if no copy is left to write to.
    fn check_hope(&self) -> Result<(), SinkError> {
        if self.copies.iter().any(Result::is_ok) {
            return Ok(());
        }
        let error = self.copies.iter().find_map(|copy| copy.as_ref().err());
        Err(error.map_or_else(
            || SinkError::new(no_such_mailbox(), "no recipient has an account"),
            |error| SinkError::new(self.over_quota.reply(error.kind), error.cause.clone()),
        ))
    }

    async fn write_kept(&mut self, kept: &[u8]) {
        let parks = self.copies.len() > OPEN_MAX;
        for copy in &mut self.copies {
            if let Ok(incoming) = copy
                && let Err(error) = write(&mut **incoming, kept, parks).await
            {
                *copy = Err(error);
            }
        }
    }

    /// Brings every copy to stable storage under a private name. With `all` the first failure spares the rest.
    async fn prepare(&mut self, all: bool) {
        for index in 0..self.copies.len() {
            if let Ok(incoming) = &mut self.copies[index]
                && let Err(error) = incoming.prepare().await
            {
                self.copies[index] = Err(error);
            }
            if all && self.copies[index].is_err() {
                return;
            }
        }
    }

    /// Makes the copies visible; with `all`, takes them back when one fails.
    async fn publish(&mut self, all: bool) {
        for index in 0..self.copies.len() {
            let Ok(incoming) = &mut self.copies[index] else { continue };
            let Err(error) = incoming.publish().await else { continue };
            self.copies[index] = Err(error);
            if all {
                for published in self.copies[..index].iter_mut().flatten() {
                    // A copy that cannot be taken back stays: the client hears "later" and sends it again, so somebody
                    // gets the message twice, which is better than never.
                    let _ = published.undo().await;
                }
                return;
            }
        }
    }

    fn outcomes(&self, all: bool) -> Vec<Outcome> {
        let stored = |index: &Option<usize>| index.is_some_and(|index| self.copies[index].is_ok());
        let nothing = all && !self.copy_of.iter().all(stored);
        // A full disk is everybody's trouble, and the client may wait longer for it.
        let is_full = |copy: &Copy| matches!(copy, Err(error) if error.kind == StoreErrorKind::NoSpace);
        let for_all = if self.copies.iter().any(is_full) { reply(StoreErrorKind::NoSpace) } else { with_others() };
        let outcome = |index: &Option<usize>| match index.map(|index| &self.copies[index]) {
            None => Outcome::Refused(no_such_mailbox()),
            Some(Err(error)) => Outcome::Refused(self.over_quota.reply(error.kind)),
            Some(Ok(_)) if nothing => Outcome::Refused(for_all.clone()),
            Some(Ok(_)) => Outcome::Delivered,
        };
        self.copy_of.iter().map(outcome).collect()
    }
}

impl IncomingMessage for Delivery {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let mut kept = Vec::with_capacity(octets.len());
            self.strip.write(octets, &mut |piece| kept.extend_from_slice(piece));
            self.write_kept(&kept).await;
            self.check_hope()
        })
    }

    fn commit(mut self: Box<Self>, all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>> {
        Box::pin(async move {
            let mut kept = Vec::new();
            self.strip.finish(&mut |piece| kept.extend_from_slice(piece));
            self.write_kept(&kept).await;
            self.prepare(all_or_nothing).await;
            let complete = self.copies.iter().all(Result::is_ok) && self.copy_of.iter().all(Option::is_some);
            if complete || !all_or_nothing {
                self.publish(all_or_nothing).await;
            }
            self.outcomes(all_or_nothing)
        })
    }
}

impl OverQuota {
    /// What a client hears of a store's trouble (RFC 3463).
    fn reply(self, kind: StoreErrorKind) -> Reply {
        match (kind, self) {
            (StoreErrorKind::OverQuota, OverQuota::Refuse) => Reply::enhanced(552, 5, 2, 2, "the mailbox is full"),
            _ => reply(kind),
        }
    }
}

fn reply(kind: StoreErrorKind) -> Reply {
    match kind {
        StoreErrorKind::NoSuchMailbox => no_such_mailbox(),
        StoreErrorKind::OverQuota => Reply::enhanced(452, 4, 2, 2, "the mailbox is full, try again later"),
        StoreErrorKind::NoSpace => Reply::enhanced(452, 4, 3, 1, "no room for the message now, try again later"),
        _ => Reply::enhanced(451, 4, 3, 0, "local trouble, try again later"),
    }
}

fn no_such_mailbox() -> Reply {
    Reply::enhanced(550, 5, 1, 1, "no such mailbox here")
}

/// Said of a recipient whose copy was fine, where another's was not and the client gets one reply for all.
fn with_others() -> Reply {
    Reply::enhanced(451, 4, 3, 0, "another recipient could not be served, try again later")
}

#[cfg(test)]
mod tests;
