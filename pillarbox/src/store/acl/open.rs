//! One selection of a mailbox: each operation looks at what the user may do now.

use std::collections::BTreeMap;
use std::sync::Arc;

use pillarbox_imap::acl::{Rights, right_to_change};
use pillarbox_imap::search::Query;
use pillarbox_imap::server::{Change, FlagChange, Snapshot};
use pillarbox_imap::types::{Flag, Flags, MailboxName, ModSeq, Uid, UidSet};

use super::carry::carry;
use super::incoming::{Admission, allowed_flags, to_take_away};
use super::places::Place;
use super::{AclSource, Inner, Result, permit};
use crate::parts::{
    Append, BoxFuture, Cached, Computed, Copied, FlagsSet, Identity, IncomingAppend, Mailbox, MessageData,
    MessageFlags, MessageReader, Piece, Progress, SetFlags, StoreError, StoreErrorKind,
};

const SYSTEM_FLAGS: [Flag; 5] = [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft];
/// What it takes to change every flag.
const ALL_FLAGS: [Rights; 3] = [Rights::SEEN, Rights::DELETE_MESSAGES, Rights::WRITE];

/// RFC 4315 §3: who cannot open a mailbox learns nothing of what is in it.
fn told(copied: Copied, rights: Rights) -> Copied {
    if rights.contains(Rights::READ) { copied } else { Copied::Untold(copied.sources().collect()) }
}

pub(super) struct Open<S> {
    store: Arc<Inner<S>>,
    user: Identity,
    place: Place,
    mailbox: Box<dyn Mailbox>,
    read_only: bool,
    /// News that were taken and not told yet.
    news: Vec<Change>,
    /// What the session was told that the user may do.
    rights: Rights,
    progress: Progress,
}

impl<S: AclSource + 'static> Open<S> {
    pub(super) fn new(
        store: Arc<Inner<S>>,
        user: Identity,
        place: Place,
        mailbox: Box<dyn Mailbox>,
        read_only: bool,
    ) -> Self {
        let (news, rights, progress) = (Vec::new(), Rights::NONE, Progress::default());
        Open { store, user, place, mailbox, read_only, news, rights, progress }
    }

    /// What the user may do here, if they may do this. Who may read it knows of it, also where it is not listed.
    async fn check(&mut self, needed: Rights) -> Result<Rights> {
        let rights = self.store.rights_inside(&self.user, &self.place).await?;
        let to_know = if rights.contains(Rights::READ) { Rights::LOOKUP } else { Rights::NONE };
        permit(rights | to_know, needed).map(|()| rights)
    }

    /// What is to be told, to somebody who may still read. Who may not loses the mailbox, as RFC 4314 §5.1.1 allows.
    async fn news(&mut self) -> Result<Vec<Change>> {
        match self.check(Rights::READ).await {
            Ok(rights) => {
                let mut news = std::mem::take(&mut self.news);
                if std::mem::replace(&mut self.rights, rights) != rights {
                    news.insert(0, Change::Rights(rights));
                }
                Ok(news)
            }
            Err(error) if matches!(error.kind, StoreErrorKind::NoPermission | StoreErrorKind::NoSuchMailbox) => {
                self.news.clear();
                Ok(vec![Change::Gone])
            }
            Err(error) => Err(error),
        }
    }

    /// Where messages are to go; and whether they can go there as they are.
    async fn target(&mut self, target: &MailboxName) -> Result<(Place, Rights, bool)> {
        let (place, rights) = self.store.permitted(&self.user, target, Rights::INSERT).await?;
        let as_they_are =
            place.account == self.place.account && ALL_FLAGS.into_iter().all(|right| rights.contains(right));
        Ok((place, rights, as_they_are))
    }

    /// Brings messages to where they cannot go as they are; from here they go away `if_away`.
    async fn carry(&mut self, uids: &UidSet, target: Place, rights: Rights, if_away: bool) -> Result<Copied> {
        let admission = self.admission(target, rights, if_away);
        let progress = self.progress.clone();
        let (sources, mut incoming) = carry(self, uids, admission, &progress).await?;
        Ok(match incoming.publish().await?.uids {
            Some((uid_validity, there)) => Copied::Known(uid_validity, sources.into_iter().zip(there).collect()),
            None => Copied::Untold(sources),
        })
    }

    fn admission(&self, target: Place, rights: Rights, if_away: bool) -> Admission<S> {
        let (store, user, needed) = (Arc::clone(&self.store), self.user.clone(), Rights::INSERT);
        Admission { store, user, target, needed, source: if_away.then(|| self.place.clone()), rights }
    }

    /// Reads what was told so far, between two steps of one command: the second must not find this session behind by all that the first
    /// told. What cannot be read now is read later.
    async fn catch_up(&mut self) {
        if let Ok(news) = self.mailbox.refresh().await {
            self.news.extend(news);
        }
    }

    /// RFC 4314 §4: of the flags that a client sets, those that the user may.
    async fn set_some(&mut self, uids: &UidSet, what: &SetFlags, rights: Rights) -> Result<Vec<FlagsSet>> {
        let mut allowed = what.clone();
        allowed.flags = allowed_flags(&what.flags, rights);
        if what.change != FlagChange::Replace {
            return self.mailbox.set_flags(uids, &allowed).await;
        }
        // In two steps, neither of which touches what the user may not change: others may be changing it.
        let (mut set, mut on_time) = (BTreeMap::new(), UidSet::new());
        let mut unwanted: Flags = SYSTEM_FLAGS.into_iter().collect();
        for message in self.mailbox.flags(uids).await? {
            let is_late = |since| message.mod_seq.is_some_and(|mod_seq| mod_seq.get() > since);
            if what.unchanged_since.is_some_and(is_late) {
                set.insert(message.uid, FlagsSet::new(message, true));
                continue;
            }
            on_time.insert(message.uid);
            unwanted.extend(message.flags.keywords().iter().cloned().map(Flag::Keyword));
        }
        let unwanted = unwanted.iter().filter(|flag| !allowed.flags.contains(flag)).collect();
        let unwanted = allowed_flags(&unwanted, rights);
        for (change, flags) in [(FlagChange::Add, allowed.flags), (FlagChange::Remove, unwanted)] {
            if on_time.is_empty() || flags.is_empty() {
                continue;
            }
            self.catch_up().await;
            let step = SetFlags { change, flags, unchanged_since: allowed.unchanged_since };
            let mut last = None;
            for mut one in self.mailbox.set_flags(&on_time, &step).await? {
                match one.refused {
                    true => drop(on_time.remove(one.now.uid)),
                    // The next step is not too late because of this one.
                    false => last = last.max(one.now.mod_seq),
                }
                one.changed |= set.get(&one.now.uid).is_some_and(|before: &FlagsSet| before.changed);
                set.insert(one.now.uid, one);
            }
            allowed.unchanged_since =
                allowed.unchanged_since.map(|since| last.map_or(since, |last| last.get().max(since)));
        }
        Ok(set.into_values().collect())
    }
}

impl<S: AclSource + 'static> Mailbox for Open<S> {
    fn snapshot(&mut self) -> BoxFuture<'_, Result<Snapshot>> {
        Box::pin(async move {
            let rights = self.check(Rights::READ).await?;
            let mut snapshot = self.mailbox.snapshot().await?;
            snapshot.rights = Some(rights);
            self.rights = rights;
            self.news.clear();
            Ok(snapshot)
        })
    }

    fn refresh(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        Box::pin(async move {
            let news = self.mailbox.refresh().await?;
            self.news.extend(news);
            self.news().await
        })
    }

    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        Box::pin(async move {
            if self.news.is_empty() {
                // Kept at once: whoever waits may stop waiting while the rights are looked at.
                let news = self.mailbox.changes().await?;
                self.news.extend(news);
            }
            self.news().await
        })
    }

    fn messages<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageData>>> {
        Box::pin(async move {
            self.check(Rights::READ).await?;
            self.mailbox.messages(uids).await
        })
    }

    fn flags<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageFlags>>> {
        Box::pin(async move {
            self.check(Rights::READ).await?;
            self.mailbox.flags(uids).await
        })
    }

    fn changed<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet>> {
        Box::pin(async move {
            self.check(Rights::READ).await?;
            self.mailbox.changed(uids, since).await
        })
    }

    fn vanished<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet>> {
        Box::pin(async move {
            self.check(Rights::READ).await?;
            self.mailbox.vanished(uids, since).await
        })
    }

    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>>> {
        Box::pin(async move {
            self.check(Rights::READ).await?;
            self.mailbox.read(uid).await
        })
    }

    fn count_in(&mut self, progress: Progress) {
        self.progress = progress.clone();
        self.mailbox.count_in(progress);
    }

    fn set_flags<'a>(&'a mut self, uids: &'a UidSet, what: &'a SetFlags) -> BoxFuture<'a, Result<Vec<FlagsSet>>> {
        Box::pin(async move {
            let rights = self.check(Rights::READ).await?;
            let needed: Vec<Rights> = match what.change {
                FlagChange::Replace => ALL_FLAGS.into(),
                FlagChange::Add | FlagChange::Remove => what.flags.iter().map(|flag| right_to_change(&flag)).collect(),
            };
            let has = needed.iter().filter(|right| rights.contains(**right)).count();
            match has {
                _ if has == needed.len() => self.mailbox.set_flags(uids, what).await,
                0 => {
                    Err(StoreError::new(StoreErrorKind::NoPermission, format!("with `{rights}` no such flag changes")))
                }
                _ => self.set_some(uids, what, rights).await,
            }
        })
    }

    fn copy<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied>> {
        Box::pin(async move {
            self.check(Rights::READ).await?;
            match self.target(target).await? {
                (place, rights, true) => Ok(told(self.mailbox.copy(uids, &place.mailbox).await?, rights)),
                (place, rights, false) => self.carry(uids, place, rights, false).await,
            }
        })
    }

    fn move_to<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied>> {
        Box::pin(async move {
            self.check(to_take_away()).await?;
            if self.read_only {
                return Err(StoreError::new(StoreErrorKind::Cannot, "the mailbox is open for reading only"));
            }
            let (place, rights) = match self.target(target).await? {
                (place, rights, true) => return Ok(told(self.mailbox.move_to(uids, &place.mailbox).await?, rights)),
                (place, rights, false) => (place, rights),
            };
            let copied = self.carry(uids, place, rights, true).await?;
            let sources: UidSet = copied.sources().collect();
            let deleted = SetFlags::new(FlagChange::Add, [Flag::Deleted].into_iter().collect());
            self.mailbox.set_flags(&sources, &deleted).await?;
            self.catch_up().await;
            let gone = self.mailbox.expunge(Some(&sources)).await?;
            // Somebody else may have taken the mark away: such a message is in both mailboxes. Its copy stays where it is, as
            // somebody else may also have expunged it because of our mark.
            Ok(match copied {
                Copied::Known(uid_validity, mut pairs) => {
                    // There may be as many as a mailbox holds.
                    let gone: UidSet = gone.into_iter().collect();
                    pairs.retain(|(here, _)| gone.contains(*here));
                    Copied::Known(uid_validity, pairs)
                }
                Copied::Untold(_) => Copied::Untold(gone),
            })
        })
    }

    fn replace<'a>(
        &'a mut self,
        uid: Uid,
        target: &'a MailboxName,
        mut append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>>> {
        Box::pin(async move {
            self.check(to_take_away()).await?;
            let (place, rights, _) = self.target(target).await?;
            if place.account != self.place.account {
                return Err(StoreError::new(StoreErrorKind::Cannot, "a message is replaced within its account"));
            }
            let mut admission = self.admission(place, rights, true);
            admission.admit(&mut append);
            let incoming = self.mailbox.replace(uid, &admission.target.mailbox, append).await?;
            Ok(admission.of(incoming))
        })
    }

    fn expunge<'a>(&'a mut self, only: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>>> {
        Box::pin(async move {
            self.check(Rights::EXPUNGE).await?;
            self.mailbox.expunge(only).await
        })
    }

    fn search<'a>(&'a mut self, query: &'a Query) -> BoxFuture<'a, Result<Option<Vec<Uid>>>> {
        Box::pin(async move {
            self.check(Rights::READ).await?;
            self.mailbox.search(query).await
        })
    }

    fn caches(&self) -> bool {
        self.mailbox.caches()
    }

    fn cached<'a>(&'a mut self, uids: &'a [Uid], wanted: &'a [Piece]) -> BoxFuture<'a, Cached> {
        Box::pin(async move {
            match self.check(Rights::READ).await {
                Ok(_) => self.mailbox.cached(uids, wanted).await,
                Err(_) => Cached::default(),
            }
        })
    }

    fn remember(&mut self, computed: Vec<Computed>) -> BoxFuture<'_, ()> {
        self.mailbox.remember(computed)
    }
}
