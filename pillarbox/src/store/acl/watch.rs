//! Mailboxes that are watched by those who may know and read them.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use pillarbox_imap::acl::Rights;
use pillarbox_imap::server::Status;
use pillarbox_imap::types::MailboxName;

use super::places::Place;
use super::{AclSource, Inner, Result};
use crate::parts::{BoxFuture, Identity, MailboxWatch, NameChange, NameWatch, Stirred};

/// RFC 5465 §5: what it takes to hear of a mailbox.
fn needed() -> Rights {
    Rights::LOOKUP | Rights::READ
}

pub(super) async fn mailbox<S: AclSource + 'static>(
    store: &Arc<Inner<S>>,
    user: &Identity,
    mailbox: &MailboxName,
) -> Result<Box<dyn MailboxWatch>> {
    let (place, _) = store.permitted(user, mailbox, needed()).await?;
    let watch = store.source.watch(&place.account, &place.mailbox).await?;
    let (store, user, untold) = (Arc::clone(store), user.clone(), Stirred::default());
    Ok(Box::new(Watched { store, user, place, watch, untold }))
}

struct Watched<S> {
    store: Arc<Inner<S>>,
    user: Identity,
    place: Place,
    watch: Box<dyn MailboxWatch>,
    /// What was heard and not told yet.
    untold: Stirred,
}

impl<S: AclSource + 'static> MailboxWatch for Watched<S> {
    fn stirred(&mut self) -> BoxFuture<'_, Result<Stirred>> {
        Box::pin(async move {
            if self.untold == Stirred::default() {
                // Kept at once: whoever waits may stop waiting while the rights are looked at.
                self.untold = self.watch.stirred().await?;
            }
            self.store.check(&self.user, &self.place, needed()).await?;
            Ok(std::mem::take(&mut self.untold))
        })
    }

    fn numbers(&mut self) -> BoxFuture<'_, Result<Option<Status>>> {
        Box::pin(async move {
            self.store.check(&self.user, &self.place, needed()).await?;
            self.watch.numbers().await
        })
    }
}

pub(super) async fn names<S: AclSource + 'static>(
    store: &Arc<Inner<S>>,
    user: &Identity,
    others: &[MailboxName],
) -> Result<Box<dyn NameWatch>> {
    let mut accounts = vec![Account { in_front: None, watch: store.source.watch_names(user, &[]).await? }];
    if let Some((below, account)) = &store.places.shared {
        let watch = store.source.watch_names(account, &[]).await?;
        accounts.push(Account { in_front: Some(below.to_string()), watch });
    }
    if let Some(below) = &store.places.others {
        let others = others.iter().filter_map(|name| {
            let rest = name.as_str().strip_prefix(below.as_str())?.strip_prefix('/')?;
            Some(rest.split('/').next().unwrap_or(rest).to_owned())
        });
        // Each costs a watch. As many as a session may name.
        for other in others.collect::<std::collections::BTreeSet<_>>() {
            let watch = store.source.watch_names(&Identity::new(&other), &[]).await?;
            accounts.push(Account { in_front: Some(format!("{below}/{other}")), watch });
        }
    }
    let (store, user) = (Arc::clone(store), user.clone());
    Ok(Box::new(Accounts { store, user, accounts, unchecked: VecDeque::new(), untold: Vec::new() }))
}

struct Account {
    /// What the names of its mailboxes begin with; none: they are the user's own.
    in_front: Option<String>,
    watch: Box<dyn NameWatch>,
}

struct Accounts<S> {
    store: Arc<Inner<S>>,
    user: Identity,
    accounts: Vec<Account>,
    /// What was heard, in the user's names, and may not be for the user.
    unchecked: VecDeque<NameChange>,
    /// What is for the user. Both are kept: whoever waits may stop waiting while rights are looked at.
    untold: Vec<NameChange>,
}

impl<S: AclSource + 'static> Accounts<S> {
    /// A change as the user sees it; none if it is about a name that nobody can reach.
    fn seen(&self, in_front: Option<&str>, change: NameChange) -> Option<NameChange> {
        let places = &self.store.places;
        let seen = |name: MailboxName| match in_front {
            None => places.is_own(&name).then_some(name),
            Some(in_front) => places.seen_below(in_front, &name),
        };
        Some(match change {
            NameChange::Created(name) => NameChange::Created(seen(name)?),
            NameChange::Deleted(name) => NameChange::Deleted(seen(name)?),
            NameChange::Renamed { from, to } => match (seen(from), seen(to)) {
                (Some(from), Some(to)) => NameChange::Renamed { from, to },
                (Some(from), None) => NameChange::Deleted(from),
                (None, to) => NameChange::Created(to?),
            },
            // What others subscribe to is theirs.
            NameChange::Subscribed(name) => match in_front {
                // Somebody else's mailbox is subscribed to by the name that the user has for it.
                None => NameChange::Subscribed(name),
                Some(_) => return None,
            },
            NameChange::Rights(name) => NameChange::Rights(seen(name)?),
            NameChange::Annotated { seen_by: Some(other), .. } if other != self.user => return None,
            NameChange::Annotated { mailbox: Some(name), entry, seen_by } => {
                NameChange::Annotated { mailbox: Some(seen(name)?), entry, seen_by }
            }
            // Each account has its own.
            NameChange::Annotated { mailbox: None, .. } if in_front.is_some() => return None,
            other => other,
        })
    }

    /// Leaves out annotations of mailboxes of which the user may not ask for any.
    async fn check(&mut self) -> Result<()> {
        // A command changes several at once.
        let mut last: Option<(MailboxName, bool)> = None;
        while let Some(change) = self.unchecked.front() {
            let may = match change {
                NameChange::Annotated { mailbox: Some(name), .. } => match &last {
                    Some((before, may)) if before == name => *may,
                    _ => {
                        let may = self.store.hears_of_annotations(&self.user, name).await?;
                        last = Some((name.clone(), may));
                        may
                    }
                },
                _ => true,
            };
            self.untold.extend(self.unchecked.pop_front().filter(|_| may));
        }
        Ok(())
    }
}

impl<S: AclSource + 'static> NameWatch for Accounts<S> {
    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<NameChange>>> {
        Box::pin(async move {
            loop {
                self.check().await?;
                if !self.untold.is_empty() {
                    return Ok(std::mem::take(&mut self.untold));
                }
                let (at, changes) = {
                    let mut waiting: Vec<_> = self.accounts.iter_mut().map(|account| account.watch.changes()).collect();
                    poll_fn(|context| {
                        for (at, waiting) in waiting.iter_mut().enumerate() {
                            if let Poll::Ready(changes) = pin!(waiting).poll(context) {
                                return Poll::Ready((at, changes));
                            }
                        }
                        Poll::Pending
                    })
                    .await
                };
                let in_front = self.accounts[at].in_front.as_deref();
                let seen: Vec<_> = changes?.into_iter().filter_map(|change| self.seen(in_front, change)).collect();
                self.unchecked.extend(seen);
            }
        })
    }
}
