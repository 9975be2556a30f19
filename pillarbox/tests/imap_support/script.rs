//! Parts that answer what a dialog file says, and what its subject answers by default.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use pillarbox::parts::{
    Append, AppendedMessages, Authenticator, BoxFuture, Copied, FlagsSet, Identity, IncomingAppend, LoginAttempt,
    LoginOutcome, Mailbox, MailboxStore, MessageData, MessageFlags, MessageReader, SetFlags, StoreCapabilities,
    StoreError, StoreErrorKind,
};
use pillarbox_core::WallTime;
use pillarbox_core::dialog::Dialog;
use pillarbox_core::sasl::Mechanism;
use pillarbox_imap::acl::{AclEntry, Grantable, Rights, RightsChange};
use pillarbox_imap::list::List;
use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::quota::{QuotaRoot, Resource};
use pillarbox_imap::search::Query;
use pillarbox_imap::server::{Change, FlagChange, Listed, Snapshot, Status, StatusItem};
use pillarbox_imap::types::{Flags, MailboxName, ModSeq, ObjectId, SpecialUse, Uid, UidSet, UidValidity};

use crate::server_subject::words::{
    acl, entry, flags, grantable, listed as words_listed, mod_seq as words_mod_seq, object_id, quota_root, quoted,
    rights, snapshot, status, uid, uid_set, uid_validity, uids, uids_with_mod_seqs,
};

type Result<T> = std::result::Result<T, StoreError>;

/// What the file answers to the questions that parts answer, in its order.
#[derive(Clone)]
pub struct Script {
    said: Arc<Mutex<VecDeque<(String, Said)>>>,
    /// UIDs 1 to this are in every mailbox.
    messages: u32,
    /// Their mod-sequence, and that of mailboxes.
    mod_seq: Option<ModSeq>,
    /// What the file says of mailboxes that were listed.
    told: Arc<Mutex<Vec<ListedWith>>>,
}

/// A name with its annotations.
type ListedWith = (Listed, Vec<Entry>);

#[derive(Clone, Debug)]
pub enum Said {
    Default,
    No,
    Login(String),
    Listed(Vec<ListedWith>),
    Status(Status),
    Selected(Snapshot),
    Appended(UidValidity, Vec<Uid>),
    Fetched(Vec<Message>),
    Flags(Vec<FlagsSet>),
    Uids(Vec<Uid>),
    UidsWithModSeqs(Vec<(Uid, ModSeq)>),
    Vanished(UidSet),
    Created(ObjectId),
    NoPermission,
    TooManyAnnotations,
    NoPrivateAnnotations,
    Rights(Rights),
    Acl(Vec<AclEntry>),
    Grantable(Grantable),
    Quota(Vec<QuotaRoot>),
    Entries(Vec<Entry>),
    Copied(Copied),
}

/// A message of a FETCH.
#[derive(Clone, Debug)]
pub struct Message {
    uid: Uid,
    flags: Flags,
    date: i64,
    size: u64,
    mod_seq: Option<ModSeq>,
    saved: Option<WallTime>,
    email_id: Option<ObjectId>,
    thread_id: Option<ObjectId>,
    octets: Vec<u8>,
}

impl Message {
    /// As it is where the file says nothing.
    fn usual(uid: Uid, mod_seq: Option<ModSeq>) -> Message {
        let octets = b"hello".to_vec();
        let (saved, email_id, thread_id) = (None, ObjectId::new("M1"), None);
        Message { uid, flags: Flags::new(), date: 0, size: 5, mod_seq, saved, email_id, thread_id, octets }
    }

    fn data(&self) -> MessageData {
        let mut data = MessageData::new(self.uid, self.flags.clone(), WallTime::new(self.date, 0), self.size);
        (data.mod_seq, data.save_date) = (self.mod_seq, self.saved);
        (data.email_id, data.thread_id) = (self.email_id.clone(), self.thread_id.clone());
        data
    }
}

/// Those questions.
const QUESTIONS: [&str; 30] = [
    "SetQuota",
    "GetMetadata",
    "SetMetadata",
    "SetAcl",
    "DeleteAcl",
    "GetAcl",
    "ListRights",
    "MyRights",
    "GetQuota",
    "GetQuotaRoot",
    "Login",
    "List",
    "Lsub",
    "Status",
    "Select",
    "Examine",
    "Create",
    "Delete",
    "Rename",
    "Subscribe",
    "Unsubscribe",
    "AppendStart",
    "AppendEnd",
    "Fetch",
    "Vanished",
    "Store",
    "Search",
    "Copy",
    "Move",
    "Expunge",
];

fn number(number: u32) -> Uid {
    Uid::new(number).expect("numbers here are not 0")
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Script {
    /// The script of a file, or why parts cannot give its answers.
    pub fn of(dialog: &Dialog, messages: u32, mod_seq: Option<ModSeq>) -> std::result::Result<Script, &'static str> {
        let mut said = VecDeque::new();
        for question in dialog.answers() {
            let kind = question.event.split(' ').next().unwrap_or_default().to_owned();
            if kind == "Notify" {
                return Err("news of other mailboxes, which come from the server itself");
            }
            let answer = Said::read(&question.answers, mod_seq)?;
            if ["Copy", "Move"].contains(&&*kind) && matches!(answer, Said::Uids(_)) {
                return Err("a mailbox that does not know what it copied");
            }
            if QUESTIONS.contains(&&*kind) {
                said.push_back((kind, answer));
            } else if !matches!(answer, Said::Default) {
                return Err("the server itself answers this question");
            }
        }
        Ok(Script { said: Arc::new(Mutex::new(said)), messages, mod_seq, told: Arc::default() })
    }

    /// The questions that were not asked.
    pub fn left(&self) -> VecDeque<(String, Said)> {
        self.said.lock().unwrap().clone()
    }

    /// What the file said last of a name that was listed.
    fn listed(&self, name: &MailboxName) -> Option<ListedWith> {
        self.told.lock().unwrap().iter().rev().find(|(listed, _)| listed.name == *name).cloned()
    }

    fn next(&self, kind: &str) -> Said {
        let mut said = self.said.lock().unwrap();
        match said.front() {
            Some((front, _)) if front == kind => said.pop_front().map_or(Said::Default, |(_, said)| said),
            _ => Said::Default,
        }
    }

    fn is_next(&self, kind: &str) -> bool {
        self.said.lock().unwrap().front().is_some_and(|(front, _)| front == kind)
    }

    /// For questions that are answered at once with a value or a refusal.
    fn told<T>(&self, kind: &str, value: impl FnOnce(Said) -> Option<T>) -> Result<T> {
        match self.next(kind) {
            Said::No => Err(no()),
            Said::NoPermission => Err(StoreError::new(StoreErrorKind::NoPermission, "as the file says")),
            other => Ok(value(other).expect("a file answers these questions itself")),
        }
    }

    /// For questions that are answered with yes or no.
    fn simple(&self, kind: &str) -> BoxFuture<'static, Result<()>> {
        let refused = |kind| Err(StoreError::new(kind, "as the file says"));
        ready(match self.next(kind) {
            Said::No => Err(no()),
            Said::TooManyAnnotations => refused(StoreErrorKind::TooManyAnnotations),
            Said::NoPrivateAnnotations => refused(StoreErrorKind::NoPrivateAnnotations),
            Said::NoPermission => Err(StoreError::new(StoreErrorKind::NoPermission, "as the file says")),
            _ => Ok(()),
        })
    }

    fn copied(&self, kind: &str, uids: &UidSet) -> Result<Copied> {
        match self.next(kind) {
            Said::No => Err(no()),
            Said::Copied(copied) => Ok(copied),
            Said::Uids(moved) if kind == "Move" => Ok(Copied::Untold(moved)),
            Said::Uids(_) => Ok(Copied::Untold(uids.iter().collect())),
            Said::Default => {
                let pairs = uids.iter().map(|uid| (uid, number(uid.get().saturating_add(100))));
                Ok(Copied::Known(UidValidity::new(9).unwrap(), pairs.collect()))
            }
            other => unreachable!("no answer to COPY: {other:?}"),
        }
    }

    fn all(&self) -> Vec<Uid> {
        (1..=self.messages).map(number).collect()
    }
}

fn no() -> StoreError {
    StoreError::new(StoreErrorKind::NoSuchMailbox, "as the file says")
}

impl Said {
    fn read(answers: &[String], mod_seq: Option<ModSeq>) -> std::result::Result<Said, &'static str> {
        let strange = |_: String| "an answer that no part can give";
        let (mut listed, mut stored) = (Vec::<ListedWith>::new(), Vec::new());
        let (mut numbers, mut fetched) = (Vec::new(), Vec::new());
        let (mut found, mut vanished, mut quota, mut annotations) = (Vec::new(), None, None, Vec::new());
        for text in answers {
            let text = text.replace("$$", "$");
            let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
            match word {
                "no" if [
                    "[NONEXISTENT] no such mailbox",
                    "[TRYCREATE] no such mailbox",
                    "[NONEXISTENT] no such quota root",
                ]
                .contains(&rest) =>
                {
                    return Ok(Said::No);
                }
                "no" if rest == "[METADATA TOOMANY] there are too many annotations" => {
                    return Ok(Said::TooManyAnnotations);
                }
                "no" if rest == "[METADATA NOPRIVATE] there are no private annotations" => {
                    return Ok(Said::NoPrivateAnnotations);
                }
                "no" if rest == "[NOPERM] you may not do that" => return Ok(Said::NoPermission),
                "no" => return Err("a refusal in words that are not the server's"),
                "bye" => return Err("a part cannot hang up"),
                "login" => return Ok(Said::Login(rest.into())),
                "status" => return Ok(Said::Status(status(rest).map_err(strange)?)),
                "selected" => return Ok(Said::Selected(snapshot(rest).map_err(strange)?)),
                "appended" => {
                    let (validity, number) = rest.split_once(' ').unwrap_or((rest, ""));
                    let numbers = uids(number).map_err(strange)?;
                    return Ok(Said::Appended(uid_validity(validity).map_err(strange)?, numbers));
                }
                "copied" => {
                    let (validity, pairs) = rest.split_once(' ').unwrap_or((rest, ""));
                    let pairs = pairs.split(' ').map(|pair| {
                        let (from, to) = pair.split_once(':').unwrap_or((pair, ""));
                        Ok((uid(from).map_err(strange)?, uid(to).map_err(strange)?))
                    });
                    let pairs = pairs.collect::<std::result::Result<_, &'static str>>()?;
                    return Ok(Said::Copied(Copied::Known(uid_validity(validity).map_err(strange)?, pairs)));
                }
                "listed" => {
                    let (name, attributes) = quoted(rest).map_err(strange)?;
                    let name = MailboxName::new(&String::from_utf8_lossy(&name)).map_err(|_| "a name")?;
                    listed.push((words_listed(name, attributes).map_err(strange)?, Vec::new()));
                }
                "flags" | "modified" => {
                    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                    let mut now = MessageFlags::new(uid(number).map_err(strange)?, flags(rest).map_err(strange)?);
                    now.mod_seq = words_mod_seq(rest).map_err(strange)?;
                    stored.push(FlagsSet::new(now, word == "modified"));
                }
                "rights" => return Ok(Said::Rights(rights(rest).map_err(strange)?)),
                "acl" => return Ok(Said::Acl(acl(rest).map_err(strange)?)),
                "grantable" => return Ok(Said::Grantable(grantable(rest).map_err(strange)?)),
                "quotaroots" => quota = Some(Vec::new()),
                "quota" => quota.get_or_insert_default().push(quota_root(rest).map_err(strange)?),
                "entry" => match listed.last_mut() {
                    Some((_, annotations)) => annotations.push(entry(rest).map_err(strange)?),
                    None => annotations.push(entry(rest).map_err(strange)?),
                },
                "created" => return Ok(Said::Created(object_id(rest).map_err(strange)?)),
                "vanished" => vanished.get_or_insert_with(UidSet::new).add(&uid_set(rest).map_err(strange)?),
                "found" if rest.contains('@') => found.extend(uids_with_mod_seqs(rest).map_err(strange)?),
                "found" | "expunged" => numbers.extend(uids(rest).map_err(strange)?),
                "message" => fetched.push(Message::usual(uid(rest).map_err(strange)?, mod_seq)),
                "data" | "section" => {
                    let message = fetched.last_mut().ok_or("data of no message")?;
                    let (what, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                    match (word, what) {
                        ("data", "flags") => message.flags = flags(rest).map_err(strange)?,
                        ("data", "date") => message.date = rest.parse().map_err(|_| "a date")?,
                        ("data", "modseq") => {
                            message.mod_seq = words_mod_seq(&format!("modseq={rest}")).map_err(strange)?;
                        }
                        ("data", "emailid") => message.email_id = Some(object_id(rest).map_err(strange)?),
                        ("data", "threadid") => message.thread_id = object_id(rest).ok().filter(|_| rest != "nil"),
                        ("data", "savedate") => message.saved = rest.parse().ok().map(|date| WallTime::new(date, 0)),
                        ("data", "size") => message.size = rest.parse().map_err(|_| "a size")?,
                        ("section", "0") => message.octets = quoted(rest).map_err(strange)?.0,
                        _ => return Err("the server computes this from messages"),
                    }
                }
                "nosection" | "end" | "done" => {}
                _ => return Err("an answer in smaller pieces than parts give"),
            }
        }
        if let Some(vanished) = vanished {
            return Ok(Said::Vanished(vanished));
        }
        if let Some(quota) = quota {
            return Ok(Said::Quota(quota));
        }
        if !annotations.is_empty() {
            return Ok(Said::Entries(annotations));
        }
        if !found.is_empty() {
            return Ok(Said::UidsWithModSeqs(found));
        }
        Ok(match (listed.is_empty(), stored.is_empty(), numbers.is_empty(), fetched.is_empty()) {
            (false, ..) => Said::Listed(listed),
            (_, false, ..) => Said::Flags(stored),
            (_, _, false, _) => Said::Uids(numbers),
            (.., false) => Said::Fetched(fetched),
            _ if answers.is_empty() => Said::Default,
            _ => Said::Uids(Vec::new()),
        })
    }
}

impl Authenticator for Script {
    fn can_judge(&self, _: &Mechanism) -> bool {
        true
    }

    fn login<'a>(&'a self, attempt: &'a LoginAttempt) -> BoxFuture<'a, LoginOutcome> {
        let credentials = &attempt.credentials;
        let name = credentials.authorization_id().unwrap_or(credentials.authentication_id());
        let good = credentials.password().is_some_and(|password| password.same_as(b"secret"));
        ready(match self.next("Login") {
            Said::Login(name) => LoginOutcome::Accepted(Identity::new(name)),
            Said::Default if good => LoginOutcome::Accepted(Identity::new(name)),
            _ => LoginOutcome::Refused,
        })
    }
    fn knows<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<bool>> {
        ready(None)
    }
}

impl MailboxStore for Script {
    fn capabilities(&self) -> StoreCapabilities {
        let mut can = StoreCapabilities::default();
        (can.hierarchy, can.keywords, can.binary, can.moves) = (true, true, true, true);
        can.replace = true;
        (can.multiappend, can.sizes, can.special_use, can.create_special_use) = (true, true, true, true);
        (can.mod_seqs, can.vanished, can.object_ids, can.save_dates) = (true, true, true, true);
        (can.rights, can.quota, can.quota_set, can.metadata, can.watches) = (true, true, true, true, true);
        can
    }
    fn rights<'a>(&'a self, _: &'a Identity, name: &'a MailboxName) -> BoxFuture<'a, Result<Rights>> {
        if let Some((listed, _)) = self.listed(name).filter(|_| !self.is_next("MyRights")) {
            return ready(listed.rights.ok_or_else(no));
        }
        ready(self.told("MyRights", |said| if let Said::Rights(rights) = said { Some(rights) } else { None }))
    }
    fn acl<'a>(&'a self, _: &'a Identity, _: &'a MailboxName) -> BoxFuture<'a, Result<Vec<AclEntry>>> {
        ready(self.told("GetAcl", |said| if let Said::Acl(entries) = said { Some(entries) } else { None }))
    }
    fn set_acl<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a MailboxName,
        _: &'a str,
        change: Option<RightsChange>,
    ) -> BoxFuture<'a, Result<()>> {
        self.simple(if change.is_some() { "SetAcl" } else { "DeleteAcl" })
    }
    fn grantable<'a>(&'a self, _: &'a Identity, _: &'a MailboxName, _: &'a str) -> BoxFuture<'a, Result<Grantable>> {
        ready(self.told("ListRights", |said| match said {
            Said::Grantable(all) => Some(all),
            Said::Default => Some(Grantable::default()),
            _ => None,
        }))
    }
    fn quota_roots<'a>(&'a self, _: &'a Identity, _: &'a MailboxName) -> BoxFuture<'a, Result<Vec<QuotaRoot>>> {
        ready(self.told("GetQuotaRoot", |said| if let Said::Quota(roots) = said { Some(roots) } else { None }))
    }
    fn quota_root<'a>(&'a self, _: &'a Identity, _: &'a str) -> BoxFuture<'a, Result<QuotaRoot>> {
        ready(self.told("GetQuota", |said| if let Said::Quota(mut roots) = said { roots.pop() } else { None }))
    }
    fn may_set_quota(&self, _: &Identity) -> bool {
        self.said.lock().unwrap().iter().any(|(kind, _)| kind == "SetQuota")
    }
    fn set_quota<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a str,
        _: &'a [(Resource, u64)],
    ) -> BoxFuture<'a, Result<QuotaRoot>> {
        ready(self.told("SetQuota", |said| if let Said::Quota(mut roots) = said { roots.pop() } else { None }))
    }
    fn metadata<'a>(
        &'a self,
        _: &'a Identity,
        name: Option<&'a MailboxName>,
        _: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>>> {
        let listed = name.and_then(|name| self.listed(name)).filter(|_| !self.is_next("GetMetadata"));
        if let Some((listed, entries)) = listed {
            return ready(if listed.has_metadata { Ok(entries) } else { Err(no()) });
        }
        ready(self.told("GetMetadata", |said| match said {
            Said::Entries(entries) => Some(entries),
            _ => Some(Vec::new()),
        }))
    }
    fn set_metadata<'a>(
        &'a self,
        _: &'a Identity,
        _: Option<&'a MailboxName>,
        _: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<()>> {
        self.simple("SetMetadata")
    }
    fn list<'a>(&'a self, _: &'a Identity, list: &'a List) -> BoxFuture<'a, Result<Vec<Listed>>> {
        ready(match self.next(if list.lsub { "Lsub" } else { "List" }) {
            Said::Listed(listed) => {
                self.told.lock().unwrap().extend(listed.iter().cloned());
                Ok(listed.into_iter().map(|(listed, _)| listed).collect())
            }
            Said::No => Err(no()),
            _ => Ok(Vec::new()),
        })
    }
    fn status<'a>(
        &'a self,
        _: &'a Identity,
        name: &'a MailboxName,
        _: &'a [StatusItem],
    ) -> BoxFuture<'a, Result<Status>> {
        // What the file says of a mailbox that is listed.
        let told = self.listed(name).and_then(|(listed, _)| listed.status);
        let mut usual = Status::new(UidValidity::new(1).unwrap(), number(self.messages + 1));
        usual.messages = self.messages;
        usual.highest_mod_seq = self.mod_seq;
        ready(match self.next("Status") {
            Said::Status(status) => Ok(status),
            Said::No => Err(no()),
            _ => told.map_or(Ok(usual), Ok),
        })
    }
    fn create<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a MailboxName,
        _: &'a [SpecialUse],
    ) -> BoxFuture<'a, Result<Option<ObjectId>>> {
        ready(match self.next("Create") {
            Said::No => Err(no()),
            Said::Created(id) => Ok(Some(id)),
            _ => Ok(None),
        })
    }
    fn delete<'a>(&'a self, _: &'a Identity, _: &'a MailboxName) -> BoxFuture<'a, Result<()>> {
        self.simple("Delete")
    }
    fn rename<'a>(&'a self, _: &'a Identity, _: &'a MailboxName, _: &'a MailboxName) -> BoxFuture<'a, Result<()>> {
        self.simple("Rename")
    }
    fn subscribe<'a>(&'a self, _: &'a Identity, _: &'a MailboxName, on: bool) -> BoxFuture<'a, Result<()>> {
        self.simple(if on { "Subscribe" } else { "Unsubscribe" })
    }
    fn open<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a MailboxName,
        read_only: bool,
    ) -> BoxFuture<'a, Result<Box<dyn Mailbox>>> {
        let mut usual = Snapshot::new(UidValidity::new(1).unwrap(), number(self.messages + 1));
        usual.uids = self.all();
        usual.highest_mod_seq = self.mod_seq;
        ready(match self.next(if read_only { "Examine" } else { "Select" }) {
            Said::No => Err(no()),
            Said::Selected(snapshot) => Ok(Box::new(Open::new(self, snapshot)) as Box<dyn Mailbox>),
            _ => Ok(Box::new(Open::new(self, usual)) as Box<dyn Mailbox>),
        })
    }
    fn append<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a MailboxName,
        _: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>>> {
        ready(match self.next("AppendStart") {
            Said::No => Err(no()),
            _ => Ok(Box::new(Incoming { script: self.clone(), messages: 1 }) as Box<dyn IncomingAppend>),
        })
    }
}

struct Incoming {
    script: Script,
    messages: u32,
}

impl IncomingAppend for Incoming {
    fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        ready(Ok(()))
    }
    fn next(&mut self, _: Append) -> BoxFuture<'_, Result<()>> {
        self.messages += 1;
        self.script.simple("AppendStart")
    }
    fn prepare(&mut self) -> BoxFuture<'_, Result<()>> {
        ready(Ok(()))
    }
    fn publish(&mut self) -> BoxFuture<'_, Result<AppendedMessages>> {
        ready(match self.script.next("AppendEnd") {
            Said::No => Err(no()),
            Said::Appended(validity, uids) => Ok(AppendedMessages::new(Some((validity, uids)))),
            _ => {
                let uids = (1..=self.messages).map(|n| number(self.script.messages + n)).collect();
                Ok(AppendedMessages::new(Some((UidValidity::new(1).unwrap(), uids))))
            }
        })
    }
    fn undo(&mut self) -> BoxFuture<'_, Result<()>> {
        ready(Ok(()))
    }
}

struct Open {
    script: Script,
    snapshot: Snapshot,
    /// What the FETCH that is answered tells.
    fetched: Vec<Message>,
    /// It was asked already which of them changed.
    narrowed: bool,
    /// What the SEARCH that is answered found.
    found: Option<Vec<(Uid, ModSeq)>>,
}

impl Open {
    fn new(script: &Script, snapshot: Snapshot) -> Open {
        Open { script: script.clone(), snapshot, fetched: Vec::new(), narrowed: false, found: None }
    }

    fn look(&mut self, uids: &UidSet) {
        self.fetched = match self.script.next("Fetch") {
            Said::Fetched(messages) => messages,
            Said::Uids(_) => Vec::new(),
            _ => uids.iter().map(|uid| Message::usual(uid, self.script.mod_seq)).collect(),
        };
    }
}

impl Mailbox for Open {
    fn snapshot(&mut self) -> BoxFuture<'_, Result<Snapshot>> {
        ready(Ok(self.snapshot.clone()))
    }
    fn refresh(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        ready(Ok(Vec::new()))
    }
    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        Box::pin(std::future::pending())
    }
    fn messages<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageData>>> {
        if let Some(found) = self.found.take() {
            // What SEARCH found, which it asks of for the mod-sequences.
            let data = found.into_iter().map(|(uid, mod_seq)| Message::usual(uid, Some(mod_seq)).data());
            return ready(Ok(data.collect()));
        }
        if !std::mem::take(&mut self.narrowed) {
            self.look(uids);
        }
        ready(Ok(self.fetched.iter().map(Message::data).collect()))
    }
    fn changed<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet>> {
        self.look(uids);
        self.fetched.retain(|message| message.mod_seq > Some(since));
        self.narrowed = true;
        ready(Ok(self.fetched.iter().map(|message| message.uid).collect()))
    }
    fn vanished<'a>(&'a mut self, _: &'a UidSet, _: ModSeq) -> BoxFuture<'a, Result<UidSet>> {
        ready(Ok(match self.script.next("Vanished") {
            Said::Vanished(gone) => gone,
            _ => UidSet::new(),
        }))
    }
    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>>> {
        let message = self.fetched.iter().find(|message| message.uid == uid).expect("it was just told of");
        ready(Ok(Box::new(Octets(message.octets.clone())) as Box<dyn MessageReader>))
    }
    fn set_flags<'a>(&'a mut self, uids: &'a UidSet, what: &'a SetFlags) -> BoxFuture<'a, Result<Vec<FlagsSet>>> {
        if !self.script.is_next("Store") {
            // A FETCH marks messages as seen; files say nothing of that.
            return ready(Ok(Vec::new()));
        }
        let flags = if what.change == FlagChange::Remove { Flags::new() } else { what.flags.clone() };
        let usual = |uid| {
            let mut now = MessageFlags::new(uid, flags.clone());
            now.mod_seq = self.script.mod_seq;
            FlagsSet::new(now, false)
        };
        ready(Ok(match self.script.next("Store") {
            Said::Flags(set) => set,
            _ => uids.iter().map(usual).collect(),
        }))
    }
    fn copy<'a>(&'a mut self, uids: &'a UidSet, _: &'a MailboxName) -> BoxFuture<'a, Result<Copied>> {
        ready(self.script.copied("Copy", uids))
    }
    fn move_to<'a>(&'a mut self, uids: &'a UidSet, _: &'a MailboxName) -> BoxFuture<'a, Result<Copied>> {
        ready(self.script.copied("Move", uids))
    }
    fn replace<'a>(
        &'a mut self,
        _: Uid,
        _: &'a MailboxName,
        _: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>>> {
        ready(match self.script.next("AppendStart") {
            Said::No => Err(no()),
            _ => Ok(Box::new(Incoming { script: self.script.clone(), messages: 1 }) as Box<dyn IncomingAppend>),
        })
    }
    fn expunge<'a>(&'a mut self, _: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>>> {
        ready(Ok(match self.script.next("Expunge") {
            Said::Uids(uids) => uids,
            _ => Vec::new(),
        }))
    }
    fn search<'a>(&'a mut self, _: &'a Query) -> BoxFuture<'a, Result<Option<Vec<Uid>>>> {
        let found = match self.script.next("Search") {
            Said::Uids(uids) => uids,
            Said::UidsWithModSeqs(found) => {
                let uids = found.iter().map(|(uid, _)| *uid).collect();
                self.found = Some(found);
                uids
            }
            _ => self.script.all(),
        };
        ready(Ok(Some(found)))
    }
}

struct Octets(Vec<u8>);

impl MessageReader for Octets {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn read_at<'a>(&'a mut self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<usize>> {
        let rest = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        ready(Ok(read))
    }
}
