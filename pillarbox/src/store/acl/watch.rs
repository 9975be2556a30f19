//! Mailboxes that are watched by those who may know and read them.

use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use pillarbox_imap::acl::Rights;
use pillarbox_imap::list::List;
use pillarbox_imap::server::Status;
use pillarbox_imap::types::MailboxName;

use super::listing::ACCOUNTS_MAX;
use super::places::Place;
use super::{AclSource, Inner, Result};
use crate::parts::{BoxFuture, Identity, MailboxWatch, NameChange, NameWatch, Stirred, StoreError, StoreErrorKind};

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
            self.store.check_inside(&self.user, &self.place, needed()).await?;
            Ok(std::mem::take(&mut self.untold))
        })
    }

    fn numbers(&mut self) -> BoxFuture<'_, Result<Option<Status>>> {
        Box::pin(async move {
            self.store.check_inside(&self.user, &self.place, needed()).await?;
            self.watch.numbers().await
        })
    }
}

pub(super) async fn names<S: AclSource + 'static>(
    store: &Arc<Inner<S>>,
    user: &Identity,
    others: &[MailboxName],
) -> Result<Box<dyn NameWatch>> {
    let mut accounts = vec![Account { whose: Whose::Own, watch: store.source.watch_names(user, &[]).await? }];
    if let Some((below, account)) = &store.places.shared {
        let watch = store.source.watch_names(account, &[]).await?;
        accounts.push(Account { whose: Whose::Named(below.to_string()), watch });
    }
    let mut follows = false;
    if let Some(below) = &store.places.others {
        follows = others.iter().any(|name| name == below || below.is_below(name));
        // Each costs a watch. As many as a session may name.
        for other in accounts_below(below, others) {
            let watch = store.source.watch_names(&store.places.names.account(&other), &[]).await?;
            accounts.push(Account { whose: Whose::Named(format!("{below}/{other}")), watch });
        }
    }
    let (store, user) = (Arc::clone(store), user.clone());
    let (unchecked, untold) = (VecDeque::new(), Vec::new());
    let mut accounts = Accounts { store, user, accounts, follows, out_of_date: follows, unchecked, untold };
    accounts.follow().await?;
    if accounts.untold.contains(&NameChange::TooMany) {
        return Err(StoreError::new(StoreErrorKind::Limit, "mailboxes of too many accounts are subscribed to"));
    }
    Ok(Box::new(accounts))
}

/// The accounts that these names are of, those that do not name one left out.
fn accounts_below(below: &MailboxName, names: &[MailboxName]) -> BTreeSet<String> {
    let accounts = names.iter().filter_map(|name| {
        let rest = name.as_str().strip_prefix(below.as_str())?.strip_prefix('/')?;
        Some(rest.split('/').next().unwrap_or(rest).to_owned())
    });
    accounts.collect()
}

struct Account {
    whose: Whose,
    watch: Box<dyn NameWatch>,
}

/// Whose names these are, and what they begin with.
enum Whose {
    Own,
    /// Watched as long as anything is.
    Named(String),
    /// Of this account, because something there is subscribed to.
    Subscribed(String, String),
}

impl Whose {
    fn in_front(&self) -> Option<&str> {
        match self {
            Whose::Own => None,
            Whose::Named(in_front) | Whose::Subscribed(_, in_front) => Some(in_front),
        }
    }
}

struct Accounts<S> {
    store: Arc<Inner<S>>,
    user: Identity,
    accounts: Vec<Account>,
    /// The accounts are watched too in which something is subscribed to: those that LIST tells of.
    follows: bool,
    /// Which these are has to be looked up.
    out_of_date: bool,
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
                None => NameChange::Subscribed(places.subscribed(name)),
                Some(_) => return None,
            },
            NameChange::Rights(name) => NameChange::Rights(seen(name)?),
            NameChange::Annotated { seen_by: Some(other), .. } if other != self.user => return None,
            NameChange::Annotated { mailbox: Some(name), entries, seen_by } => {
                NameChange::Annotated { mailbox: Some(seen(name)?), entries, seen_by }
            }
            // Each account has its own.
            NameChange::Annotated { mailbox: None, .. } if in_front.is_some() => return None,
            other => other,
        })
    }

    /// Watches the accounts in which something is subscribed to, and no others but those that were named.
    async fn follow(&mut self) -> Result<()> {
        let Some(below) = self.store.places.others.clone().filter(|_| self.out_of_date) else { return Ok(()) };
        let mut subscribed = List::new("*");
        subscribed.subscribed = true;
        let subscribed = self.store.source.list(&self.user, &subscribed).await?;
        let subscribed: Vec<MailboxName> =
            subscribed.into_iter().map(|listed| self.store.places.subscribed(listed.name)).collect();
        let mut wanted = accounts_below(&below, &subscribed);
        if wanted.len() > ACCOUNTS_MAX {
            // LIST tells of no more either; whoever believes that all are watched has to hear that they are not.
            self.untold.push(NameChange::TooMany);
            self.out_of_date = false;
            return Ok(());
        }
        self.accounts.retain(|account| match &account.whose {
            Whose::Subscribed(account, _) => wanted.contains(account),
            _ => true,
        });
        for account in &self.accounts {
            let named = account.whose.in_front().and_then(|in_front| in_front.strip_prefix(below.as_str()));
            if let Some(account) = named.and_then(|rest| rest.strip_prefix('/')) {
                wanted.remove(account);
            }
        }
        for account in wanted {
            let watch = self.store.source.watch_names(&self.store.places.names.account(&account), &[]).await?;
            let in_front = format!("{below}/{account}");
            self.accounts.push(Account { whose: Whose::Subscribed(account, in_front), watch });
        }
        self.out_of_date = false;
        Ok(())
    }

    /// Whether this may change which accounts are watched.
    fn is_of_others(&self, change: &NameChange) -> bool {
        self.follows && matches!(change, NameChange::Subscribed(name) if !self.store.places.is_own(name))
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
                // Before a subscription is told: what happens there from then on is missed by nobody.
                self.follow().await?;
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
                let in_front = self.accounts[at].whose.in_front();
                let seen: Vec<_> = changes?.into_iter().filter_map(|change| self.seen(in_front, change)).collect();
                self.out_of_date |= seen.iter().any(|change| self.is_of_others(change));
                self.unchecked.extend(seen);
            }
        })
    }
}
