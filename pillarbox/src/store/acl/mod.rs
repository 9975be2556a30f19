//! Rights in front of a store: who is let into whose mailboxes.

mod carry;
mod identifiers;
mod incoming;
mod listing;
mod metadata;
mod open;
mod places;
mod source;
mod watch;

use std::sync::Arc;

use pillarbox_imap::acl::{AclEntry, Grantable, Rights, RightsChange};
use pillarbox_imap::list::List;
use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::quota::{QuotaRoot, Resource};
use pillarbox_imap::server::{Listed, Status, StatusItem};
use pillarbox_imap::types::{MailboxName, ObjectId, SpecialUse};
use pillarbox_maildir::{Acl, Identifier, Who};

pub use self::identifiers::AclChange;
use self::identifiers::{Names, changed_by, entries, on_disk, rights_of};
use self::incoming::Admission;
use self::open::Open;
use self::places::{Place, Places};
pub use self::source::AclSource;
use crate::parts::{
    Append, BoxFuture, Identity, IncomingAppend, Mailbox, MailboxStore, MailboxWatch, NameWatch, Namespace,
    StoreCapabilities, StoreError, StoreErrorKind,
};

type Result<T> = std::result::Result<T, StoreError>;

/// A store in which users let each other into their mailboxes (RFC 4314), in front of one that knows nothing of that.
///
/// Every operation looks at the mailbox's list when it is done, also in a mailbox that is open. Who may not know of a mailbox is
/// answered as if there were none. Mailboxes of others are below [`other_users`](Self::other_users), a level for each account; ones
/// that belong to nobody are below [`shared`](Self::shared). LIST tells of another's mailboxes where a pattern names whose, and
/// where they are subscribed: nobody's names are gone through for everyone else.
///
/// A new mailbox has the list of the one above it, and so have the levels between them that come to be. Messages come from one account to another as copies, with the
/// identifiers of their sources (RFC 8474 §5.1).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), pillarbox::parts::StoreError> {
/// use pillarbox::imap_proto::acl::RightsChange;
/// use pillarbox::imap_proto::types::MailboxName;
/// use pillarbox::parts::{Identity, MailboxStore};
/// use pillarbox::store::{AclStore, MemoryStore};
///
/// let store = AclStore::new(MemoryStore::new()).other_users(MailboxName::new("Other Users").unwrap());
/// let (ann, bob) = (Identity::new("ann"), Identity::new("bob"));
/// let name = |text| MailboxName::new(text).unwrap();
/// store.create(&ann, &name("Work"), &[]).await?;
/// assert!(store.status(&bob, &name("Other Users/ann/Work"), &[]).await.is_err());
/// store.set_acl(&ann, &name("Work"), "bob", RightsChange::parse("lr")).await?;
/// assert_eq!(store.status(&bob, &name("Other Users/ann/Work"), &[]).await?.messages, 0);
/// # Ok(()) }
/// ```
pub struct AclStore<S> {
    inner: Arc<Inner<S>>,
}

impl<S> Clone for AclStore<S> {
    fn clone(&self) -> Self {
        AclStore { inner: Arc::clone(&self.inner) }
    }
}

type Groups = dyn Fn(&Identity) -> Vec<String> + Send + Sync;

struct Inner<S> {
    source: S,
    places: Places,
    groups: Box<Groups>,
    for_anyone: bool,
}

impl<S: AclSource + 'static> AclStore<S> {
    /// Each user sees their own mailboxes and no others, and is in no group.
    pub fn new(source: S) -> Self {
        let places = Places::new(source.namespace());
        AclStore { inner: Arc::new(Inner { source, places, groups: Box::new(|_| Vec::new()), for_anyone: false }) }
    }

    /// Shows mailboxes of other users below this name, such as `Other Users/ann/Work`; INBOX is `Other Users/ann/INBOX`. What an
    /// account of its own has under this name or below it is listed no more and cannot be reached; it is on disk as it was.
    ///
    /// # Panics
    ///
    /// If the store is in use: this is said while it is put together.
    #[must_use]
    pub fn other_users(mut self, below: MailboxName) -> Self {
        self.being_made().places.others = Some(below);
        self
    }

    /// Shows the mailboxes of an account that is nobody's below this name. Whoever may do what there is said by its lists alone;
    /// that of its INBOX says who may make mailboxes at the top. What an account of its own has there cannot be reached, as with
    /// [`other_users`](Self::other_users).
    ///
    /// # Panics
    ///
    /// If the store is in use.
    #[must_use]
    pub fn shared(mut self, below: MailboxName, account: Identity) -> Self {
        let places = &mut self.being_made().places;
        places.shared = Some((below, places.names.account(account.user())));
        self
    }

    /// What an account is called of all the spellings that a login takes for its name, such as the one in lower case. By it names in
    /// lists, in what clients say of them, and below [`other_users`](Self::other_users) are compared; without it, by their octets. Users
    /// have to be known by this name when they have logged in.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), pillarbox::parts::StoreError> {
    /// use pillarbox::imap_proto::acl::RightsChange;
    /// use pillarbox::imap_proto::types::MailboxName;
    /// use pillarbox::parts::{Identity, MailboxStore};
    /// use pillarbox::store::{AclStore, MemoryStore};
    ///
    /// let store = AclStore::new(MemoryStore::new()).names(str::to_ascii_lowercase);
    /// let (ann, work) = (Identity::new("ann"), MailboxName::new("Work").unwrap());
    /// store.create(&ann, &work, &[]).await?;
    /// store.set_acl(&ann, &work, "Bob", RightsChange::parse("lr")).await?;
    /// assert_eq!(store.acl(&ann, &work).await?[1].identifier, "bob");
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the store is in use.
    #[must_use]
    pub fn names(mut self, names: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let places = &mut self.being_made().places;
        places.names = Names::new(names);
        if let Some((_, account)) = &mut places.shared {
            *account = places.names.account(account.user());
        }
        self
    }

    /// Which groups a user is in. It is asked at each operation, by LIST once. It must answer at once: what it waits for
    /// holds up the sessions of others.
    ///
    /// # Panics
    ///
    /// If the store is in use.
    #[must_use]
    pub fn groups(mut self, groups: impl Fn(&Identity) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.being_made().groups = Box::new(groups);
        self
    }

    /// Lets users share their mailboxes with everybody at once, by the identifiers `anyone` and `authenticated`. Otherwise they
    /// may do so in shared mailboxes only, as far as they have the right `a` there.
    ///
    /// # Panics
    ///
    /// If the store is in use.
    #[must_use]
    pub fn for_anyone(mut self) -> Self {
        self.being_made().for_anyone = true;
        self
    }

    fn being_made(&mut self) -> &mut Inner<S> {
        Arc::get_mut(&mut self.inner).expect("nobody has a copy of a store that is being put together")
    }
}

impl<S: AclSource + 'static> Inner<S> {
    fn member<'u>(&self, user: &'u Identity) -> Member<'u> {
        Member { user, name: self.places.names.name(user.user()), groups: (self.groups)(user) }
    }

    fn rights_of(&self, acl: &Acl, member: &Member<'_>, place: &Place) -> Rights {
        let groups: Vec<&str> = member.groups.iter().map(String::as_str).collect();
        let who = Who { user: Some(&member.name), groups: &groups, is_owner: place.account == *member.user };
        rights_of(self.identified(acl, place).rights(&who))
    }

    fn rights_by(&self, acl: &Acl, user: &Identity, place: &Place) -> Rights {
        self.rights_of(acl, &self.member(user), place)
    }

    /// The list of a mailbox with one name for each whom it means.
    fn identified(&self, acl: &Acl, place: &Place) -> Acl {
        self.places.names.identified(acl, self.owner(place))
    }

    /// What a user may do with a mailbox that is there, or what keeps us from knowing.
    async fn rights_known(&self, user: &Identity, place: &Place) -> Result<Rights> {
        let acl = self.source.list_of(&place.account, &place.mailbox).await?;
        Ok(self.rights_by(&acl, user, place))
    }

    /// What a user may do with a mailbox that is there.
    async fn rights_there(&self, user: &Identity, place: &Place) -> Result<Rights> {
        match self.rights_known(user, place).await {
            // Whatever it is, others must not learn from it that there is such a mailbox.
            Err(error) if place.account != *user => Err(StoreError::new(StoreErrorKind::NoSuchMailbox, error.cause)),
            rights => rights,
        }
    }

    /// The list of a mailbox whose user may see it. INBOX of their own has one before it is there.
    async fn list_for(&self, user: &Identity, place: &Place) -> Result<Acl> {
        match self.source.list_of(&place.account, &place.mailbox).await {
            Err(error) if error.kind == StoreErrorKind::NoSuchMailbox && place.is_inbox_of(user) => Ok(Acl::default()),
            list => list,
        }
    }

    /// What a user may do with a mailbox. To one of their own that is not there they may do everything: what is to be said of it the
    /// store says.
    async fn rights_in(&self, user: &Identity, place: &Place) -> Result<Rights> {
        all_if_none(self.rights_there(user, place).await, user, place)
    }

    /// The same, for somebody who has been let in and knows that it is there: a moment's trouble with its list must not look like its
    /// end, with which a session goes down.
    async fn rights_inside(&self, user: &Identity, place: &Place) -> Result<Rights> {
        all_if_none(self.rights_known(user, place).await, user, place)
    }

    /// Where a mailbox is, and what the user may do there, if they may do this.
    async fn permitted(&self, user: &Identity, mailbox: &MailboxName, needed: Rights) -> Result<(Place, Rights)> {
        let place = self.places.find(user, mailbox)?;
        let rights = self.check(user, &place, needed).await?;
        Ok((place, rights))
    }

    /// What a user may do with a mailbox, if they may do this.
    async fn check(&self, user: &Identity, place: &Place, needed: Rights) -> Result<Rights> {
        let rights = self.rights_in(user, place).await?;
        permit(rights, needed).map(|()| rights)
    }

    /// The same, for somebody who has been let in.
    async fn check_inside(&self, user: &Identity, place: &Place, needed: Rights) -> Result<Rights> {
        let rights = self.rights_inside(user, place).await?;
        permit(rights, needed).map(|()| rights)
    }

    /// Where a mailbox can be made, and with which list.
    async fn permitted_to_create(&self, user: &Identity, mailbox: &MailboxName) -> Result<Making> {
        let place = self.places.find(user, mailbox)?;
        let is_owner = place.account == *user;
        let mut making = Making { place, list: Acl::default() };
        let place = &making.place;
        // RFC 4314 §4: the nearest one above that is there.
        let mut next = place.mailbox.parent();
        while let Some(name) = next {
            match self.source.list_of(&place.account, &name).await {
                Ok(acl) => {
                    permit(self.rights_by(&acl, user, place), Rights::CREATE)?;
                    // What is below INBOX is there in name only.
                    if !(is_owner && name.is_inbox()) {
                        making.list = acl;
                    }
                    return Ok(making);
                }
                Err(error) if error.kind == StoreErrorKind::NoSuchMailbox => {
                    next = name.parent();
                }
                Err(error) if is_owner => return Err(error),
                Err(error) => return Err(StoreError::new(StoreErrorKind::NoSuchMailbox, error.cause)),
            }
        }
        if is_owner {
            return Ok(making);
        }
        let top = Place { account: place.account.clone(), mailbox: MailboxName::inbox() };
        permit(self.rights_there(user, &top).await?, Rights::CREATE)?;
        making.list = self.source.list_of(&top.account, &top.mailbox).await?;
        Ok(making)
    }

    /// Whose mailboxes these are, and whose name stands for `owner`; none where they belong to nobody.
    fn owner<'p>(&self, place: &'p Place) -> Option<&'p str> {
        let is_shared = self.places.shared.as_ref().is_some_and(|(_, account)| *account == place.account);
        (!is_shared).then(|| place.account.user())
    }

    /// Whether rights in a mailbox of this owner may be given to somebody.
    fn may_be_given(&self, to: &Identifier, owner: Option<&str>) -> bool {
        let is_everybody = matches!(to, Identifier::Anyone | Identifier::Authenticated);
        !is_everybody || owner.is_none() || self.for_anyone
    }
}

/// Somebody who asks, and the groups that they are in now.
struct Member<'u> {
    user: &'u Identity,
    /// What lists call them.
    name: String,
    groups: Vec<String>,
}

/// A mailbox that is to be made.
struct Making {
    place: Place,
    /// The list that it is to have.
    list: Acl,
}

fn all_if_none(rights: Result<Rights>, user: &Identity, place: &Place) -> Result<Rights> {
    match rights {
        Err(error) if error.kind == StoreErrorKind::NoSuchMailbox && place.account == *user => Ok(Rights::ALL),
        rights => rights,
    }
}

/// Lack of a right looks like absence to those who may not know of the mailbox (RFC 4314 §6).
fn permit(rights: Rights, needed: Rights) -> Result<()> {
    if rights.contains(needed) {
        return Ok(());
    }
    let kind = match rights.contains(Rights::LOOKUP) {
        true => StoreErrorKind::NoPermission,
        false => StoreErrorKind::NoSuchMailbox,
    };
    Err(StoreError::new(kind, format!("of the rights `{needed}` there are `{rights}`")))
}

impl<S: AclSource + 'static> MailboxStore for AclStore<S> {
    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { rights: true, ..self.inner.source.capabilities() }
    }

    fn namespace(&self) -> Option<Namespace> {
        Some(self.inner.places.told())
    }

    fn list<'a>(&'a self, user: &'a Identity, list: &'a List) -> BoxFuture<'a, Result<Vec<Listed>>> {
        Box::pin(self.inner.listed(user, list))
    }

    fn status<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        items: &'a [StatusItem],
    ) -> BoxFuture<'a, Result<Status>> {
        Box::pin(async move {
            let (place, _) = self.inner.permitted(user, mailbox, Rights::READ).await?;
            self.inner.source.status(&place.account, &place.mailbox, items).await
        })
    }

    fn create<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
    ) -> BoxFuture<'a, Result<Option<ObjectId>>> {
        Box::pin(async move {
            let Making { place, list } = self.inner.permitted_to_create(user, mailbox).await?;
            if place.account != *user && !uses.is_empty() {
                // RFC 6154 §7: where the owner's programs put what the owner sends is for the owner to say.
                return Err(StoreError::new(StoreErrorKind::NotForThatUse, "another's account has its own uses"));
            }
            self.inner.source.create_with_list(&place.account, &place.mailbox, uses, &list).await
        })
    }

    fn delete<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (place, _) = self.inner.permitted(user, mailbox, Rights::DELETE).await?;
            self.inner.source.delete(&place.account, &place.mailbox).await
        })
    }

    fn rename<'a>(
        &'a self,
        user: &'a Identity,
        from: &'a MailboxName,
        to: &'a MailboxName,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (from, _) = self.inner.permitted(user, from, Rights::DELETE).await?;
            let Making { place: to, list } = self.inner.permitted_to_create(user, to).await?;
            if from.account != to.account {
                return Err(StoreError::new(StoreErrorKind::Cannot, "a mailbox stays in its account"));
            }
            match from.mailbox.is_inbox() {
                // INBOX keeps its list, and what its messages are in now is a new mailbox (RFC 4314 §4).
                true => self.inner.source.rename_inbox(&to.account, &to.mailbox, &list).await,
                false => self.inner.source.rename(&from.account, &from.mailbox, &to.mailbox).await,
            }
        })
    }

    fn subscribe<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        subscribed: bool,
    ) -> BoxFuture<'a, Result<()>> {
        // A name is no mailbox: nothing is looked up, and nothing told.
        let kept = self.inner.places.kept(mailbox);
        Box::pin(async move { self.inner.source.subscribe(user, &kept, subscribed).await })
    }

    fn open<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        read_only: bool,
    ) -> BoxFuture<'a, Result<Box<dyn Mailbox>>> {
        Box::pin(async move {
            let (place, _) = self.inner.permitted(user, mailbox, Rights::READ).await?;
            let mailbox = self.inner.source.open(&place.account, &place.mailbox, read_only).await?;
            Ok(Box::new(Open::new(Arc::clone(&self.inner), user.clone(), place, mailbox, read_only))
                as Box<dyn Mailbox>)
        })
    }

    fn room<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName, size: u64) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (place, _) = self.inner.permitted(user, mailbox, Rights::POST).await?;
            self.inner.source.room(&place.account, &place.mailbox, size).await
        })
    }

    fn quota_roots<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Vec<QuotaRoot>>> {
        Box::pin(async move {
            // RFC 9208 §6: it tells how much is in another's mailboxes.
            let (place, _) = self.inner.permitted(user, mailbox, Rights::READ).await?;
            self.inner.source.quota_roots(&place.account, &place.mailbox).await
        })
    }

    fn quota_root<'a>(&'a self, user: &'a Identity, root: &'a str) -> BoxFuture<'a, Result<QuotaRoot>> {
        self.inner.source.quota_root(user, root)
    }

    fn may_set_quota(&self, user: &Identity) -> bool {
        self.inner.source.may_set_quota(user)
    }

    fn set_quota<'a>(
        &'a self,
        user: &'a Identity,
        root: &'a str,
        limits: &'a [(Resource, u64)],
    ) -> BoxFuture<'a, Result<QuotaRoot>> {
        self.inner.source.set_quota(user, root, limits)
    }

    fn metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        wanted: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>>> {
        Box::pin(self.inner.annotations(user, mailbox, wanted))
    }

    fn set_metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        changes: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.inner.annotate(user, mailbox, changes))
    }

    fn rights<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<Rights>> {
        Box::pin(async move {
            let place = self.inner.places.find(user, mailbox)?;
            let rights = match self.inner.rights_there(user, &place).await {
                // It will be there as soon as anything is done with it.
                Err(error) if error.kind == StoreErrorKind::NoSuchMailbox && place.is_inbox_of(user) => Rights::ALL,
                rights => rights?,
            };
            // RFC 4314 §4
            let some = Rights::LOOKUP | Rights::READ | Rights::INSERT | Rights::CREATE | Rights::DELETE | Rights::ADMIN;
            match rights.has_any(some) {
                true => Ok(rights),
                false => Err(StoreError::new(StoreErrorKind::NoSuchMailbox, format!("only `{rights}`"))),
            }
        })
    }

    fn acl<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<Vec<AclEntry>>> {
        Box::pin(async move {
            let (place, _) = self.inner.permitted(user, mailbox, Rights::ADMIN).await?;
            let acl = self.inner.list_for(user, &place).await?;
            Ok(entries(&self.inner.identified(&acl, &place), self.inner.owner(&place)))
        })
    }

    fn set_acl<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        identifier: &'a str,
        change: Option<RightsChange>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let place = self.inner.places.find(user, mailbox)?;
            // The owner may always, also where the list cannot be read: this is how it is mended.
            if place.account != *user {
                permit(self.inner.rights_there(user, &place).await?, Rights::ADMIN)?;
            }
            let owner = self.inner.owner(&place);
            let (negative, identifier) = on_disk(identifier, owner, &self.inner.places.names)?;
            let gives = matches!(change, Some(RightsChange::Add(_) | RightsChange::Replace(_))) && !negative;
            if gives && !self.inner.may_be_given(&identifier, owner) {
                let text = "users share with everybody only where the operator lets them";
                return Err(StoreError::new(StoreErrorKind::NoPermission, text));
            }
            let change = AclChange::new(identifier, negative, change.map(changed_by));
            let change = change.among(&self.inner.places.names, owner);
            if place.is_inbox_of(user) {
                // Whoever asks for it makes it, if it is not there yet.
                self.inner.source.status(user, &place.mailbox, &[]).await?;
            }
            self.inner.source.change_list(&place.account, &place.mailbox, &change).await
        })
    }

    fn grantable<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        identifier: &'a str,
    ) -> BoxFuture<'a, Result<Grantable>> {
        Box::pin(async move {
            let (place, _) = self.inner.permitted(user, mailbox, Rights::ADMIN).await?;
            self.inner.list_for(user, &place).await?;
            let owner = self.inner.owner(&place);
            let (negative, identifier) = on_disk(identifier, owner, &self.inner.places.names)?;
            if !negative && !self.inner.may_be_given(&identifier, owner) {
                return Ok(Grantable::default());
            }
            let required = match identifier {
                Identifier::Owner if !negative => Rights::LOOKUP | Rights::ADMIN,
                _ => Rights::NONE,
            };
            Ok(Grantable { required, optional: Rights::ALL.minus(required).each().collect() })
        })
    }

    fn watch<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Box<dyn MailboxWatch>>> {
        Box::pin(watch::mailbox(&self.inner, user, mailbox))
    }

    fn watch_names<'a>(
        &'a self,
        user: &'a Identity,
        others: &'a [MailboxName],
    ) -> BoxFuture<'a, Result<Box<dyn NameWatch>>> {
        Box::pin(watch::names(&self.inner, user, others))
    }

    fn append<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>>> {
        Box::pin(async move {
            let needed = if append.delivery { Rights::POST } else { Rights::INSERT };
            let (target, rights) = self.inner.permitted(user, mailbox, needed).await?;
            let (store, user) = (Arc::clone(&self.inner), user.clone());
            Admission { store, user, target, needed, source: None, rights }.begin(append).await
        })
    }
}
