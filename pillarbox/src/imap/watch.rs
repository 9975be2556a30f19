//! Mailboxes other than the selected one, watched for a client that gave NOTIFY (RFC 5465).

mod access;
mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use pillarbox_imap::list::{List, PATTERNS_SIZE_MAX};
use pillarbox_imap::notify::{Events, Filter, Notification, Watch};
use pillarbox_imap::server::{Listed, ServerConfig, Status, StatusItem};
use pillarbox_imap::types::{MailboxName, Uid, UidSet};

use self::own::{Numbers, Own};

use crate::parts::{
    BoxFuture, Identity, MailboxStore, MailboxWatch, NameChange, NameWatch, Stirred, StoreError, StoreErrorKind,
};

/// Mailboxes that one session watches for what happens to messages: each costs the session a place in that mailbox's feed, and in
/// some stores an open mailbox.
const WATCHED_MAX: usize = 500;

/// Changes of names that wait to be told, of which others made all.
const CHANGES_MAX: usize = 1000;

/// What a notification may have to tell.
const NUMBERS: [StatusItem; 5] =
    [StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity, StatusItem::Unseen, StatusItem::HighestModSeq];

type Waiting<W, T> = BoxFuture<'static, (Box<W>, Result<T, StoreError>)>;

/// What one session watches, and what of it was not told yet: of each mailbox two bits, and changes of names.
///
/// What is the same for all who watch a mailbox, its numbers, they get of the store's [`MailboxWatch`], which counts them once.
pub(super) struct Watching {
    store: Arc<dyn MailboxStore>,
    user: Identity,
    watch: Watch,
    /// What the names of mailboxes begin with that are not the user's own.
    not_own: Vec<MailboxName>,
    mailboxes: BTreeMap<MailboxName, Watched>,
    /// None: nothing that is watched depends on them.
    names: Option<Waiting<dyn NameWatch, Vec<NameChange>>>,
    /// The names that the user could see when the watch began, and what became of them by the changes since.
    visible: BTreeSet<MailboxName>,
    changes: Vec<NameChange>,
    /// Something that was watched cannot be any more: look which can.
    out_of_date: bool,
    own: Own,
    /// Mailboxes that the user may not read, or not know of any more: it was told so.
    unreadable: BTreeSet<MailboxName>,
    /// Mailboxes that LIST told of at the last look and that were not there to be watched.
    missed: BTreeSet<MailboxName>,
}

struct Watched {
    events: Events,
    hearing: Hearing,
    /// What the client was told of it, or was there when the watch began.
    known: Option<Numbers>,
    /// Messages that the session put there since.
    brought: UidSet,
}

/// Whether something happened in a mailbox.
enum Hearing {
    /// Nothing that was not told.
    Waits(Waiting<dyn MailboxWatch, Stirred>),
    /// This, and nobody need hear of more before it is told.
    Stirred(Box<dyn MailboxWatch>, Stirred),
    /// It cannot be watched any more.
    Lost,
}

impl Watched {
    /// What happened was told.
    fn listen_again(&mut self) {
        self.hearing = match std::mem::replace(&mut self.hearing, Hearing::Lost) {
            Hearing::Stirred(watch, _) => Hearing::Waits(stirring(watch)),
            other => other,
        };
    }

    /// What of this the client does not know when it is told these numbers.
    fn news_in(&mut self, stirred: Stirred, status: &Status) -> Events {
        let now = Numbers::of(status);
        // The session may have put more there than is in the numbers, which are told next.
        let is_counted = |uid: &Uid| *uid < status.uid_next;
        let (brought, later) = std::mem::take(&mut self.brought).iter().partition::<Vec<_>, _>(is_counted);
        self.brought = later.into_iter().collect();
        let known = self.known.replace(now);
        let is_own = known.is_some_and(|known| known.come_to(&now, &brought.into_iter().collect()));
        let mut events = Events::default();
        // What came since it was heard that something happened is in the numbers too, and shows by those before.
        events.messages = self.events.messages && (stirred.messages || known.is_some()) && !is_own;
        // Of one that the session made, and that is as empty as it was, there are no flags either.
        events.flags = stirred.flags && (events.messages || status.messages > 0);
        events
    }
}

impl Hearing {
    /// Listens, and gives whether there is something to do about it. What the client does not want to hear of is nothing.
    fn listen(&mut self, events: Events, context: &mut Context<'_>) -> bool {
        while let Hearing::Waits(waiting) = self {
            let Poll::Ready((watch, stirred)) = waiting.as_mut().poll(context) else { return false };
            *self = match stirred {
                Err(_) => Hearing::Lost,
                Ok(Stirred { messages, flags }) => {
                    let wanted = Stirred { messages: messages && events.messages, flags: flags && events.flags };
                    match wanted == Stirred::default() {
                        true => Hearing::Waits(stirring(watch)),
                        false => Hearing::Stirred(watch, wanted),
                    }
                }
            };
        }
        true
    }
}

/// The names that a user sees or subscribes to, as they are now.
type Names = BTreeMap<MailboxName, Listed>;

/// Whether there is something of this name that the user may know of. What is only subscribed to need not be.
fn is_visible(listed: Option<&Listed>) -> bool {
    listed.is_some_and(|listed| !listed.attributes.iter().any(|attribute| attribute == "\\NonExistent"))
}

fn those_visible(names: &Names) -> BTreeSet<MailboxName> {
    names.iter().filter(|(_, listed)| is_visible(Some(listed))).map(|(name, _)| name.clone()).collect()
}

/// Whether a mailbox is gone, or not for this user any more.
fn is_not_there(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::NoPermission | StoreErrorKind::NoSuchMailbox)
}

/// The numbers of a mailbox.
async fn numbers(
    watch: &mut dyn MailboxWatch,
    store: &dyn MailboxStore,
    user: &Identity,
    mailbox: &MailboxName,
) -> Result<Status, StoreError> {
    match watch.numbers().await? {
        Some(status) => Ok(status),
        None => store.status(user, mailbox, &NUMBERS).await,
    }
}

fn stirring(mut watch: Box<dyn MailboxWatch>) -> Waiting<dyn MailboxWatch, Stirred> {
    Box::pin(async move {
        let stirred = watch.stirred().await;
        (watch, stirred)
    })
}

fn changing(mut watch: Box<dyn NameWatch>) -> Waiting<dyn NameWatch, Vec<NameChange>> {
    Box::pin(async move {
        let changes = watch.changes().await;
        (watch, changes)
    })
}

/// Annotations that nobody wants to hear of make nobody look at names.
fn may_matter(watch: &Watch, user: &Identity, change: &NameChange) -> bool {
    match change {
        NameChange::Annotated { seen_by: Some(other), .. } if other != user => false,
        NameChange::Annotated { mailbox: Some(_), .. } => watch.events().annotations,
        NameChange::Annotated { mailbox: None, .. } => watch.events().server_annotations,
        _ => true,
    }
}

/// What was just told is not told again, and entries of one mailbox are told in one line.
fn add(told: &mut Vec<Notification>, next: Notification) {
    match (told.last_mut(), next) {
        (
            Some(Notification::Annotated { mailbox, entries }),
            Notification::Annotated { mailbox: same, entries: more },
        ) if *mailbox == same => entries.extend(more),
        (last, next) if last.as_deref() != Some(&next) => told.push(next),
        _ => {}
    }
}

impl Watching {
    /// Begins to watch, and says what the client is told of it at first.
    pub(super) async fn begin(
        store: Arc<dyn MailboxStore>,
        user: Identity,
        watch: Watch,
        config: &ServerConfig,
    ) -> Result<(Self, Vec<Notification>), StoreError> {
        let spelled = [&config.other_users_prefix, &config.shared_prefix];
        let separator = config.separator.as_char();
        let not_own = spelled.into_iter().flatten().filter_map(|prefix| {
            let levels = prefix.strip_suffix(separator).unwrap_or(prefix);
            MailboxName::new(&levels.replace(separator, "/")).ok()
        });
        let status = watch.status;
        let not_own: Vec<MailboxName> = not_own.collect();
        let mut others: Vec<MailboxName> =
            watch.groups.iter().flat_map(|group| group.filter.names()).cloned().collect();
        if watch.groups.iter().any(|group| matches!(group.filter, Filter::Subscribed)) {
            others.extend_from_slice(&not_own);
        }
        // Before anything is looked at, so that nothing is missed.
        let names = Some(changing(store.watch_names(&user, &others).await?));
        let (mailboxes, visible) = (BTreeMap::new(), BTreeSet::new());
        let (changes, own, unreadable) = (Vec::new(), Own::default(), BTreeSet::new());
        let mut watching = Watching {
            store,
            user,
            watch,
            not_own,
            mailboxes,
            names,
            visible,
            changes,
            own,
            out_of_date: false,
            unreadable,
            missed: BTreeSet::new(),
        };
        let seen = watching.names(&[]).await?;
        let mut told = watching.watch_all(&seen).await?;
        watching.visible = those_visible(&seen);
        for (name, watched) in &mut watching.mailboxes {
            // Also who is not told them: what the session itself makes of them is seen by what they were.
            if let Hearing::Stirred(watch, _) = &mut watched.hearing {
                match numbers(&mut **watch, &*watching.store, &watching.user, name).await {
                    Ok(numbers) => {
                        watched.known = Some(Numbers::of(&numbers));
                        let (mailbox, events) = (name.clone(), watched.events);
                        let first = Notification::Numbers { mailbox, events, first: true, status: numbers };
                        told.extend(Some(first).filter(|_| status));
                    }
                    Err(error) if status && !is_not_there(&error) => return Err(error),
                    Err(_) => {}
                }
            }
            watched.listen_again();
        }
        Ok((watching, told))
    }

    /// Waits until there is something to tell. Cancel-safe.
    pub(super) async fn news(&mut self) {
        poll_fn(|context| {
            self.look(context);
            match self.has_stirred() || !self.changes.is_empty() || self.out_of_date {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn has_stirred(&self) -> bool {
        self.mailboxes.values().any(|watched| matches!(watched.hearing, Hearing::Stirred(..)))
    }

    /// Takes what there is.
    fn look(&mut self, context: &mut Context<'_>) {
        self.mailboxes.retain(|_, Watched { events, hearing, .. }| {
            hearing.listen(*events, context);
            let is_lost = matches!(hearing, Hearing::Lost);
            self.out_of_date |= is_lost;
            !is_lost
        });
        while let Some(Poll::Ready((watch, changes))) = self.names.as_mut().map(|names| names.as_mut().poll(context)) {
            match changes {
                Ok(changes) => {
                    let matters = |change: &NameChange| may_matter(&self.watch, &self.user, change);
                    let changes: Vec<NameChange> = changes.into_iter().filter(matters).collect();
                    for change in changes {
                        match self.own.was_to_come(&change) {
                            true => self.own_change(change),
                            false => self.changes.push(change),
                        }
                    }
                    let lost = self.changes.contains(&NameChange::TooMany) || self.changes.len() > CHANGES_MAX;
                    if lost {
                        self.changes = vec![NameChange::TooMany];
                    }
                    self.names = (!lost).then(|| changing(watch));
                }
                Err(_) => {
                    self.changes.push(NameChange::TooMany);
                    self.names = None;
                }
            }
        }
    }

    /// What is to be told now. [`Notification::Overflow`] as the last: nothing is watched any more.
    pub(super) async fn tell(&mut self) -> Result<Vec<Notification>, StoreError> {
        poll_fn(|context| {
            self.look(context);
            Poll::Ready(())
        })
        .await;
        let changes = std::mem::take(&mut self.changes);
        self.own.told();
        let mut told = Vec::new();
        if changes.contains(&NameChange::TooMany) {
            return Ok(vec![Notification::Overflow]);
        }
        let out_of_date = std::mem::take(&mut self.out_of_date);
        if out_of_date || !changes.is_empty() {
            let now = self.names(&changes).await?;
            self.let_go_unreadable(&changes).await;
            for change in changes {
                for notification in self.told_of(&change, &now) {
                    add(&mut told, notification);
                }
                if let Some(name) = self.lost_by(&change, &now) {
                    self.say_no_access(name, &mut told);
                }
                self.learn(&change, &now);
            }
            for change in self.own.take_done() {
                self.learn(&change, &now);
            }
            match self.watch_all(&now).await {
                Ok(access) => told.extend(access),
                Err(error) if error.kind == StoreErrorKind::Limit => {
                    told.push(Notification::Overflow);
                    return Ok(told);
                }
                Err(error) => return Err(error),
            }
        }
        let mut lost = Vec::new();
        for (name, watched) in &mut self.mailboxes {
            let Hearing::Stirred(watch, stirred) = &mut watched.hearing else { continue };
            let stirred = *stirred;
            match numbers(&mut **watch, &*self.store, &self.user, name).await {
                Ok(status) => {
                    let events = watched.news_in(stirred, &status);
                    if events.has_any_of_messages() {
                        told.push(Notification::Numbers { mailbox: name.clone(), events, first: false, status });
                    }
                    watched.listen_again();
                }
                Err(error) if is_not_there(&error) => lost.push(name.clone()),
                Err(error) => return Err(error),
            }
        }
        self.out_of_date |= !lost.is_empty();
        lost.iter().for_each(|name| {
            self.mailboxes.remove(name);
        });
        Ok(told)
    }

    fn is_own(&self, name: &MailboxName) -> bool {
        !self.not_own.iter().any(|above| name == above || name.is_below(above))
    }

    fn events_of(&self, name: &MailboxName, listed: Option<&Listed>) -> Events {
        let is_subscribed = listed.is_some_and(|listed| listed.attributes.iter().any(|a| a == "\\Subscribed"));
        self.watch.events_of(name, self.is_own(name), is_subscribed)
    }

    /// What is wanted of a name whose subscription changed: it was subscribed to before or is now.
    fn subscription_events(&self, name: &MailboxName) -> Events {
        self.watch.events_of(name, self.is_own(name), true)
    }

    /// The names that may be meant, as LIST tells them, also those that were meant before these changes.
    async fn names(&mut self, changes: &[NameChange]) -> Result<Names, StoreError> {
        let mut list = List::new("*");
        (list.tell_subscribed, list.extended) = (true, true);
        let mut subscribed = List::new("*");
        (subscribed.subscribed, subscribed.tell_subscribed, subscribed.extended) = (true, true, true);
        let mut lists = Vec::new();
        let filters = || self.watch.groups.iter().map(|group| &group.filter);
        if self.watch.events().subscriptions || filters().any(|filter| matches!(filter, Filter::Subscribed)) {
            lists.push(subscribed);
        }
        if !filters().any(|filter| matches!(filter, Filter::Inboxes | Filter::Personal | Filter::Subscribed)) {
            list.patterns.clear();
        }
        // What is subscribed to no more is in no list of subscriptions.
        let was_subscribed = changes.iter().filter_map(|change| match change {
            NameChange::Subscribed(name) if self.subscription_events(name).subscriptions => Some(name),
            _ => None,
        });
        let was_subscribed: BTreeSet<&MailboxName> = was_subscribed.collect();
        // Each name of the account is matched with all of them: those with wildcards are bounded as LIST bounds its patterns.
        let written = filters().flat_map(Filter::names).chain(was_subscribed.iter().copied());
        let wild = written.filter(|name| name.as_str().contains(['*', '%']));
        if wild.map(|name| name.as_str().len()).sum::<usize>() > PATTERNS_SIZE_MAX {
            return Err(StoreError::new(StoreErrorKind::Limit, "the names with wildcards are too long together"));
        }
        for filter in filters() {
            for name in filter.names() {
                // What a wildcard in the name matches besides is left out when events are looked up.
                list.patterns.push(name.to_string());
                if matches!(filter, Filter::Subtree(_)) {
                    list.patterns.push(format!("{name}/*"));
                }
                // A mailbox that is made or deleted is also news of the one above.
                list.patterns.extend(name.parent().map(|parent| parent.to_string()));
            }
        }
        list.patterns.extend(was_subscribed.iter().map(ToString::to_string));
        lists.push(list);
        let mut names = Names::new();
        for list in lists {
            for listed in self.store.list(&self.user, &list).await? {
                names.entry(listed.name.clone()).or_insert(listed);
            }
        }
        Ok(names)
    }

    /// Watches what is wanted and can be watched, and nothing else. Of what is watched from now on the numbers are to be told. Gives
    /// the mailboxes that the user may know of and not read, and those that it was told so of and may read now.
    async fn watch_all(&mut self, names: &Names) -> Result<Vec<Notification>, StoreError> {
        let wanted: BTreeMap<&MailboxName, Events> = names
            .iter()
            .filter(|(_, listed)| listed.is_selectable())
            .map(|(name, listed)| (name, self.events_of(name, Some(listed))))
            .filter(|(_, events)| events.has_any_of_messages())
            .collect();
        if wanted.len() > WATCHED_MAX {
            return Err(StoreError::new(
                StoreErrorKind::Limit,
                format!("{} mailboxes are to be watched", wanted.len()),
            ));
        }
        self.mailboxes.retain(|name, _| wanted.contains_key(name));
        self.forget_access(|name| wanted.contains_key(name), names);
        let mut made = self.own.take_made();
        let (mut told, mut missed) = (Vec::new(), BTreeSet::new());
        for (name, events) in wanted {
            if let Some(watched) = self.mailboxes.get_mut(name) {
                watched.events = events;
                continue;
            }
            match self.store.watch(&self.user, name).await {
                Ok(watch) => {
                    // RFC 5465 §5.9
                    if let Some(listed) = names.get(name).filter(|_| self.unreadable.remove(name)) {
                        told.push(Notification::Listed { listed: listed.clone(), old_name: None });
                    }
                    // One that the session made a moment ago was empty.
                    let (known, brought) = match made.remove(name) {
                        Some(brought) => (Some(Numbers::none()), brought),
                        None => (None, UidSet::new()),
                    };
                    let all = Stirred { messages: events.messages, flags: events.flags };
                    let hearing = Hearing::Stirred(watch, all);
                    self.mailboxes.insert(name.clone(), Watched { events, hearing, known, brought });
                }
                // RFC 5465 §3.1
                Err(error) if error.kind == StoreErrorKind::NoPermission => {
                    self.say_no_access(name, &mut told);
                }
                // It has just gone, or there was trouble that looks like it: LIST says which, unless it says once more that it is there.
                Err(error) if error.kind == StoreErrorKind::NoSuchMailbox && !self.missed.contains(name) => {
                    missed.insert(name.clone());
                }
                // RFC 5465 §5.8: whoever believes that it is watched has to hear that it is not.
                Err(error) => return Err(error),
            }
        }
        self.out_of_date |= !missed.is_empty();
        self.missed = missed;
        Ok(told)
    }

    /// What a change makes visible or not. Nothing else does: a look that came early must not hide that there was a change.
    fn learn(&mut self, change: &NameChange, now: &Names) {
        match change {
            NameChange::Created(name) | NameChange::Deleted(name) | NameChange::Rights(name) => {
                if is_visible(now.get(name)) {
                    self.visible.insert(name.clone());
                    return;
                }
                self.visible.remove(name);
                self.told_gone(|other| other == name, now);
            }
            NameChange::Renamed { from, to } => {
                self.told_gone(|name| name == from || name.is_below(from), now);
                self.visible.retain(|name| name != from && !name.is_below(from));
                self.visible.extend(those_visible(now).into_iter().filter(|name| name == to || name.is_below(to)));
            }
            // Of another's account LIST tells if something there is subscribed to: it was not looked at before.
            NameChange::Subscribed(name) => {
                let Some(account) = self.account_of(name) else { return };
                let is_there = |other: &&MailboxName| **other == account || other.is_below(&account);
                if !self.visible.iter().any(|name| is_there(&name)) {
                    self.visible.extend(those_visible(now).iter().filter(is_there).cloned());
                }
            }
            NameChange::Annotated { .. } | NameChange::TooMany => {}
        }
    }

    /// What stands in front of the names of another's account, if this is one of them.
    fn account_of(&self, name: &MailboxName) -> Option<MailboxName> {
        let above = self.not_own.iter().find(|above| name.is_below(above))?;
        let rest = name.as_str().strip_prefix(above.as_str())?.strip_prefix('/')?;
        let account = rest.split('/').next().unwrap_or(rest);
        MailboxName::new(&format!("{above}/{account}")).ok()
    }

    /// RFC 5465 §5.4, §5.5, §5.9. Of what is not the user's own, and could not be seen before and cannot be seen now, nothing is told.
    fn told_of(&self, change: &NameChange, now: &Names) -> Vec<Notification> {
        let entry = |name: &MailboxName| {
            let gone = || Listed::new(name.clone(), vec!["\\NonExistent".into()]);
            now.get(name).cloned().unwrap_or_else(gone)
        };
        let told = |name: &MailboxName, old_name: Option<&MailboxName>| {
            let may_know = is_visible(now.get(name)) || self.visible.contains(name) || self.is_own(name);
            if !may_know || !self.events_of(name, now.get(name)).names {
                return None;
            }
            let old_name = old_name.filter(|old| self.visible.contains(*old) || self.is_own(old)).cloned();
            Some(Notification::Listed { listed: entry(name), old_name })
        };
        let with_parent = |name: &MailboxName| {
            let parent = name.parent().filter(|parent| is_visible(now.get(parent)) || self.is_own(parent));
            told(name, None).into_iter().chain(parent.and_then(|parent| told(&parent, None))).collect()
        };
        match change {
            NameChange::Created(name) | NameChange::Deleted(name) => with_parent(name),
            NameChange::Renamed { from, to } => match told(to, Some(from)) {
                Some(renamed) => vec![renamed],
                // It went where the client does not look.
                None => told(from, None).into_iter().collect(),
            },
            // A subscription is the user's own: its name is no secret, whatever there is of that name.
            NameChange::Subscribed(name) if self.subscription_events(name).subscriptions => {
                vec![Notification::Listed { listed: entry(name), old_name: None }]
            }
            NameChange::Rights(name) if self.visible.contains(name) != is_visible(now.get(name)) => with_parent(name),
            NameChange::Annotated { mailbox, entries, .. } => {
                let is_wanted = mailbox.as_ref().is_none_or(|name| {
                    let may_know = is_visible(now.get(name)) || self.is_own(name);
                    may_know && self.events_of(name, now.get(name)).annotations
                });
                let entries = entries.iter().cloned().collect();
                is_wanted.then(|| Notification::Annotated { mailbox: mailbox.clone(), entries }).into_iter().collect()
            }
            NameChange::Subscribed(_) | NameChange::Rights(_) | NameChange::TooMany => Vec::new(),
        }
    }
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching").field("watch", &self.watch).finish_non_exhaustive()
    }
}
