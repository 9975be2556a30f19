//! A mirror of the selected mailbox, kept right by what the server tells.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;

use super::code::{Code, Status};
use super::command::{Command, SET_MAX};
use super::numbering::Numbering;
use super::response::Response;
use super::selecting::Selecting;
use super::words::Capabilities;
use super::{Fetch, Numbers};
use crate::types::{Flags, ModSeq, Uid, UidSet, UidValidity};

/// The most messages of a mailbox that are mirrored: a server names four billion of them in a line.
pub(super) const MESSAGES_MAX: u32 = 1 << 22;

/// The messages of a mailbox and their flags, as far as the server has told them.
///
/// Feed it every [`Response`] in order. When SELECT or EXAMINE is submitted say [`selecting`](Mirror::selecting), when it is
/// over [`selected`](Mirror::selected); then submit what [`command`](Mirror::command) gives until it gives nothing, and say
/// [`completed`](Mirror::completed) of each. What it takes to be right again depends on the server: nothing with QRESYNC
/// (RFC 7162), a list of UIDs and the changes with CONDSTORE, all flags with neither.
///
/// ```
/// use pillarbox_imap::client::{Mirror, Wanted};
///
/// let mut mirror = Mirror::default();
/// mirror.selecting(None);
/// // ... every response goes to mirror.learn() ...
/// mirror.selected(true);
/// // It was told nothing of the mailbox, which is then empty.
/// assert_eq!((mirror.exists(), mirror.wanted()), (0, Wanted::Nothing));
/// ```
///
/// What a server says against its own words (a UID in two places, a count that falls by itself) makes the mirror ask for
/// everything anew. A mailbox of more than 4,194,304 messages is not mirrored: [`command`](Mirror::command) gives nothing then,
/// and [`is_right`](Mirror::is_right) is false.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    uid_validity: Option<UidValidity>,
    /// The mod-sequence up to which all is known, if the mailbox has them.
    mod_seq: Option<ModSeq>,
    /// The highest mod-sequence that was told of a message since the last command was over.
    seen: Option<ModSeq>,
    /// The server said since then up to where all is told.
    is_said: bool,
    exists: u32,
    /// The UIDs of the first messages, in order.
    uids: Numbering,
    /// UIDs of messages further on, by their numbers.
    ahead: BTreeMap<u32, Uid>,
    data: BTreeMap<Uid, Message>,
    /// Those of them whose flags are not known.
    flagless: BTreeSet<Uid>,
    selecting: Option<Selecting>,
    wanted: Wanted,
    /// What the last command asked for that is not over.
    asked: Option<Wanted>,
}

/// What is known of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Its flags; none before they were told, and when they have changed since.
    pub flags: Option<Flags>,
    /// Its mod-sequence, if it has one that was told.
    pub mod_seq: Option<ModSeq>,
}

/// What a client remembers of a mailbox for the next time: [`Command::qresync`] tells it to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMailbox {
    /// UIDVALIDITY of the mailbox.
    pub uid_validity: UidValidity,
    /// The mod-sequence up to which all is known.
    pub mod_seq: ModSeq,
    /// The messages that are known.
    pub uids: UidSet,
}

/// What a mirror needs to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// Nothing: it is right.
    #[default]
    Nothing,
    /// All messages with their flags.
    Everything,
    /// Which messages there are.
    Uids,
    /// What has changed since.
    Changes(ModSeq),
    /// Messages with this UID and higher ones.
    New(Uid),
    /// The flags of some messages, which have changed: their mod-sequences were told alone.
    Flags,
}

impl Mirror {
    /// What was known when the mailbox was left, to be brought up to date with the next SELECT.
    pub fn restored(uid_validity: UidValidity, mod_seq: Option<ModSeq>, messages: BTreeMap<Uid, Message>) -> Self {
        Mirror {
            uid_validity: Some(uid_validity),
            mod_seq,
            uids: messages.keys().copied().collect(),
            flagless: flagless(&messages),
            data: messages,
            ..Mirror::default()
        }
    }

    /// What the server can be told with [`Command::qresync`]; none if there are no mod-sequences, or not all is known.
    pub fn known(&self) -> Option<KnownMailbox> {
        Some(KnownMailbox {
            uid_validity: self.uid_validity?,
            mod_seq: self.mod_seq()?,
            uids: self.uids.iter().collect(),
        })
    }

    /// SELECT or EXAMINE was submitted; `resync` is what it was told by [`Command::qresync`], which has to be what
    /// [`known`](Mirror::known) gave.
    pub fn selecting(&mut self, resync: Option<&KnownMailbox>) {
        let resyncs = resync.is_some_and(|told| Some(told) == self.known().as_ref());
        self.selecting = Some(Selecting { resyncs, ..Selecting::default() });
    }

    /// SELECT or EXAMINE is over. If it was not done, no mailbox is selected; what is known stays for the next time.
    pub fn selected(&mut self, is_ok: bool) {
        let Some(told) = self.selecting.take() else { return };
        self.drop_ahead();
        self.exists = 0;
        self.asked = None;
        // Some flags were never told, and would not be told as changes.
        if core::mem::take(&mut self.wanted) == Wanted::Everything {
            self.mod_seq = None;
        }
        if !is_ok {
            return;
        }
        self.exists = told.exists;
        if told.uid_validity.is_none() || told.uid_validity != self.uid_validity {
            // RFC 9051 §2.3.1.1: no UID means what it meant.
            self.forget();
            self.mod_seq = None;
        }
        self.uid_validity = told.uid_validity;
        let before = self.mod_seq.take();
        self.mod_seq = told.mod_seq;
        (self.seen, self.is_said) = (None, false);
        // A server that was put back from a backup, which may give UIDs anew.
        let is_put_back = told.mod_seq.is_some() && told.mod_seq < before;
        if told.exists > MESSAGES_MAX || is_put_back {
            return self.start_over();
        }
        if told.resyncs && before.is_some() && told.mod_seq.is_some() && self.resync(&told) {
            if self.wanted() != Wanted::Nothing {
                self.mod_seq = before;
            }
            return;
        }
        match (before, told.mod_seq) {
            // Nothing has happened: the same messages with the same flags.
            (Some(before), Some(now)) if before == now && self.uids.len() as u64 == u64::from(self.exists) => {}
            (Some(_), Some(_)) if self.exists == 0 => self.forget(),
            (Some(before), Some(_)) => {
                // Not all is known before that is over.
                self.mod_seq = Some(before);
                self.wanted = Wanted::Uids;
            }
            _ => self.start_over(),
        }
    }

    /// Applies what SELECT told with QRESYNC. False if that does not make the mailbox that it told of.
    fn resync(&mut self, told: &Selecting) -> bool {
        if told.is_odd {
            return false;
        }
        let mut data = self.data.clone();
        if let Some(left) = &told.left {
            data.retain(|uid, _| left.contains(*uid));
        }
        for (_, uid, message) in &told.fetched {
            data.insert(*uid, message.clone());
        }
        let uids: Numbering = data.keys().copied().collect();
        let fits = |&(seq, uid, _): &(u32, Uid, Message)| uids.get(seq as usize - 1) == Some(uid);
        // Those behind the last one that is known are asked for.
        if uids.len() as u64 > u64::from(told.exists) || !told.fetched.iter().all(fits) {
            return false;
        }
        (self.uids, self.flagless, self.data) = (uids, flagless(&data), data);
        true
    }

    /// Takes what the server tells.
    pub fn learn(&mut self, response: &Response) {
        if let Some(told) = &mut self.selecting {
            return told.learn(response, &self.uids);
        }
        match response {
            // A count does not fall by itself.
            Response::Exists(count) if *count < self.exists || *count > MESSAGES_MAX => {
                self.exists = *count;
                self.start_over();
            }
            Response::Exists(count) => self.exists = *count,
            Response::Expunge(seq) => self.expunge(seq.get()),
            Response::Vanished { earlier: false, uids } => self.vanish(uids),
            // They are said to have gone before, and are here.
            Response::Vanished { earlier: true, uids } if self.has_any(uids) => {
                self.start_over();
            }
            Response::Fetch(fetch) => self.fetched(fetch),
            Response::Search { numbers, .. } if self.awaits_uids() => {
                self.listed(&numbers.iter().copied().filter_map(Uid::new).collect());
            }
            Response::ESearch(found) if self.awaits_uids() && found.is_uid && found.mailbox.is_none() => {
                self.listed(&found.all.as_ref().map(Numbers::to_uids).unwrap_or_default());
            }
            Response::Status(status) => self.learn_status(status),
            _ => {}
        }
    }

    fn learn_status(&mut self, status: &Status) {
        if let Some(Code::HighestModSeq(mod_seq)) = status.code
            && self.mod_seq.is_some()
            && self.is_right()
        {
            self.mod_seq = self.mod_seq.max(Some(mod_seq));
            self.is_said = true;
        }
    }

    /// What a search finds is the list that was asked for.
    fn awaits_uids(&self) -> bool {
        self.wanted == Wanted::Uids && self.asked == Some(Wanted::Uids)
    }

    /// A command of any kind is over. `is_own` says that it is the one that [`command`](Mirror::command) gave last: no other
    /// brings what that asks for.
    pub fn completed(&mut self, status: &Status, is_own: bool) {
        // The end of the search that told the UIDs is not the end of what is asked behind it.
        let is_told = is_own && self.asked.take() == Some(self.wanted) && status.is_ok();
        match self.wanted {
            Wanted::Changes(_) if is_told => self.wanted = Wanted::Nothing,
            Wanted::Everything if is_told && self.uids.len() as u64 == u64::from(self.exists) => {
                self.wanted = Wanted::Nothing;
            }
            _ => {}
        }
        self.learn_status(status);
        // RFC 7162 §6: what the server says counts, as it may have held back what is lower than what it told of messages;
        // and where it says nothing, the highest that it told, once a command is over.
        if self.is_right() {
            if self.mod_seq.is_some() && !self.is_said {
                self.mod_seq = self.mod_seq.max(self.seen);
            }
            (self.seen, self.is_said) = (None, false);
        }
    }

    /// What it needs to be told.
    pub fn wanted(&self) -> Wanted {
        let is_short = (self.uids.len() as u64) < u64::from(self.exists);
        match self.wanted {
            Wanted::Nothing if is_short => Wanted::New(self.uids.last().and_then(|uid| uid.next()).unwrap_or(Uid::MIN)),
            // While no mailbox is selected nobody can be asked for them.
            Wanted::Nothing if self.exists > 0 && !self.flagless.is_empty() => Wanted::Flags,
            wanted => wanted,
        }
    }

    /// The command that brings what is [`wanted`](Mirror::wanted), none if that is nothing. `capabilities` are those of the
    /// server. No search of the caller's may be under way or waiting in front of it: neither has a name in what is found.
    pub fn command(&mut self, capabilities: &Capabilities) -> Option<Command> {
        if self.exists > MESSAGES_MAX {
            return None;
        }
        let with_mod_seq = capabilities.has("CONDSTORE") || capabilities.has("QRESYNC");
        let items = match with_mod_seq && self.mod_seq.is_some() {
            true => "(UID FLAGS MODSEQ)",
            false => "(UID FLAGS)",
        };
        let wanted = self.wanted();
        self.asked = Some(wanted);
        Some(match wanted {
            Wanted::Nothing => return None,
            Wanted::Everything => Command::uid_fetch("1:*", items),
            Wanted::Uids => Command::uid_search("ALL"),
            Wanted::Changes(mod_seq) => Command::uid_fetch("1:*", "(UID FLAGS)").changed_since(mod_seq, false),
            Wanted::New(uid) => Command::uid_fetch(&alloc::format!("{uid}:*"), items),
            Wanted::Flags => {
                let uids: UidSet = self.flagless.iter().copied().collect();
                let mut text = uids.to_string();
                if text.len() > SET_MAX
                    && let (Some(first), Some(last)) = (uids.first(), uids.last())
                {
                    text = alloc::format!("{first}:{last}");
                }
                Command::uid_fetch(&text, items)
            }
        })
    }

    /// How many messages there are.
    pub const fn exists(&self) -> u32 {
        self.exists
    }

    /// UIDVALIDITY of the mailbox, once it was told.
    pub const fn uid_validity(&self) -> Option<UidValidity> {
        self.uid_validity
    }

    /// The mod-sequence up to which all is known; none if the mailbox has none, or not all flags were told yet.
    pub fn mod_seq(&self) -> Option<ModSeq> {
        self.mod_seq.filter(|_| self.wanted != Wanted::Everything)
    }

    /// The messages that are known, with their UIDs.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = (Uid, &Message)> {
        self.data.iter().map(|(uid, message)| (*uid, message))
    }

    /// What is known of a message.
    pub fn message(&self, uid: Uid) -> Option<&Message> {
        self.data.get(&uid)
    }

    /// Whether the messages that are known are those that there are, and their flags are those that they had when the server
    /// last told.
    pub fn is_right(&self) -> bool {
        self.selecting.is_none() && self.wanted() == Wanted::Nothing
    }

    fn forget(&mut self) {
        self.uids.clear();
        self.ahead.clear();
        self.data.clear();
        self.flagless.clear();
    }

    /// A message has gone.
    fn drop_message(&mut self, uid: Uid) {
        self.data.remove(&uid);
        self.flagless.remove(&uid);
    }

    fn start_over(&mut self) {
        self.forget();
        self.wanted = if self.exists == 0 { Wanted::Nothing } else { Wanted::Everything };
    }

    fn expunge(&mut self, seq: u32) {
        if seq > self.exists {
            return self.start_over();
        }
        self.exists -= 1;
        if let Some(index) = (seq as usize).checked_sub(1).filter(|index| *index < self.uids.len()) {
            // Before the messages are known in this numbering a number says nothing of a UID.
            if self.wanted == Wanted::Uids {
                return;
            }
            if let Some(uid) = self.uids.remove(index) {
                self.drop_message(uid);
            }
        }
        self.drop_ahead();
    }

    /// Their numbers are no longer known; they are told again.
    fn drop_ahead(&mut self) {
        for uid in core::mem::take(&mut self.ahead).into_values() {
            self.drop_message(uid);
        }
    }

    fn has_any(&self, uids: &UidSet) -> bool {
        uids.ranges().any(|range| !self.uids.places(&range).is_empty())
    }

    fn vanish(&mut self, gone: &UidSet) {
        if self.wanted == Wanted::Uids {
            self.exists = self.exists.saturating_sub(u32::try_from(gone.len()).unwrap_or(u32::MAX));
            return;
        }
        let before = self.uids.len();
        for range in gone.ranges() {
            self.uids.remove_range(&range, |uid| {
                self.data.remove(&uid);
                self.flagless.remove(&uid);
            });
        }
        let mut removed = (before - self.uids.len()) as u64;
        self.drop_ahead();
        // Each of the others is one of those that are not known yet, as far as there are any.
        let unknown = u64::from(self.exists).saturating_sub(before as u64);
        removed += (gone.len() - removed).min(unknown);
        self.exists -= u32::try_from(removed).unwrap_or(self.exists).min(self.exists);
    }

    fn fetched(&mut self, fetch: &Fetch) {
        self.seen = self.seen.max(fetch.mod_seq);
        let Some(seq) = fetch.seq else {
            if let Some(uid) = fetch.uid.filter(|uid| self.data.contains_key(uid)) {
                self.update(uid, fetch);
            }
            return;
        };
        let index = seq.get() as usize - 1;
        if seq.get() > self.exists {
            return self.start_over();
        }
        // The numbers are those of the mailbox as it is, and the UIDs those of the mailbox as it was.
        if self.wanted == Wanted::Uids || self.exists > MESSAGES_MAX {
            return;
        }
        let told = self.uids.get(index).or_else(|| self.ahead.get(&seq.get()).copied());
        let uid = match (told, fetch.uid) {
            (Some(told), Some(uid)) if told != uid => return self.start_over(),
            (Some(told), _) => told,
            (None, None) => return,
            // Without its flags it is not known.
            (None, Some(_)) if fetch.flags.is_none() => return,
            // It is known at another place.
            (None, Some(uid)) if self.data.contains_key(&uid) => return self.start_over(),
            (None, Some(uid)) if index == self.uids.len() => {
                if self.uids.highest().is_some_and(|highest| highest >= uid) {
                    return self.start_over();
                }
                self.uids.push(uid);
                if !self.join_ahead() {
                    return;
                }
                uid
            }
            (None, Some(uid)) => {
                self.ahead.insert(seq.get(), uid);
                uid
            }
        };
        self.update(uid, fetch);
    }

    /// Notes what is told of a message.
    fn update(&mut self, uid: Uid, fetch: &Fetch) {
        let message = self.data.entry(uid).or_default();
        let known = message.mod_seq.or(self.mod_seq);
        update(message, fetch);
        if fetch.flags.is_some() {
            self.flagless.remove(&uid);
        } else if fetch.mod_seq > known {
            // RFC 7162 §3.1.3: .SILENT is answered like that.
            message.flags = None;
            self.flagless.insert(uid);
        }
    }

    /// Those further on whose place is now the next one. False if that makes no sense.
    fn join_ahead(&mut self) -> bool {
        while let Some(entry) = self.ahead.first_entry()
            && *entry.key() as usize == self.uids.len() + 1
        {
            let uid = entry.remove();
            if self.uids.highest().is_some_and(|highest| highest >= uid) {
                self.start_over();
                return false;
            }
            self.uids.push(uid);
        }
        true
    }

    /// The server told all UIDs that there are.
    fn listed(&mut self, uids: &UidSet) {
        // Something came or went meanwhile: it is asked again.
        if uids.len() != u64::from(self.exists) || self.exists > MESSAGES_MAX {
            return;
        }
        self.data.retain(|uid, _| uids.contains(*uid));
        for uid in uids.iter() {
            self.data.entry(uid).or_default();
        }
        self.uids = uids.iter().collect();
        self.flagless = flagless(&self.data);
        self.ahead.clear();
        self.wanted = match self.mod_seq {
            Some(mod_seq) => Wanted::Changes(mod_seq),
            None => Wanted::Everything,
        };
    }
}

fn flagless(messages: &BTreeMap<Uid, Message>) -> BTreeSet<Uid> {
    messages.iter().filter(|(_, message)| message.flags.is_none()).map(|(uid, _)| *uid).collect()
}

pub(super) fn update(message: &mut Message, fetch: &Fetch) {
    if let Some(flags) = &fetch.flags {
        message.flags = Some(flags.flags.clone());
    }
    if fetch.mod_seq.is_some() {
        message.mod_seq = fetch.mod_seq;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::FlagList;
    use crate::types::Seq;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn told() -> impl Strategy<Value = Response> {
        let set = |first: u32, more: u32| -> UidSet {
            Uid::new(first).zip(Uid::new(first + more)).map(|(first, last)| first..=last).into_iter().collect()
        };
        prop_oneof![
            2 => (0..12u32).prop_map(Response::Exists),
            2 => (1..10u32).prop_filter_map("0", |seq| Seq::new(seq).map(Response::Expunge)),
            2 => (1..20u32, 0..3u32, any::<bool>()).prop_map(move |(first, more, earlier)| Response::Vanished {
                earlier,
                uids: set(first, more),
            }),
            8 => (1..12u32, 1..20u32, any::<bool>()).prop_map(|(seq, uid, has_flags)| Response::Fetch(Fetch {
                seq: Seq::new(seq),
                uid: Uid::new(uid),
                flags: has_flags.then(FlagList::default),
                ..Fetch::default()
            })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_known_stands_in_one_place(responses in prop::collection::vec(told(), 0..60)) {
            let mut mirror = Mirror::default();
            for response in responses {
                mirror.learn(&response);
                let places: Vec<Uid> = mirror.uids.iter().chain(mirror.ahead.values().copied()).collect();
                prop_assert_eq!(places.len(), mirror.data.len());
                prop_assert!(places.iter().all(|uid| mirror.data.contains_key(uid)));
                prop_assert!(mirror.uids.iter().is_sorted());
                if mirror.is_right() {
                    prop_assert_eq!(mirror.data.len() as u64, u64::from(mirror.exists));
                }
            }
        }
    }

    #[test]
    fn expunges_cost_what_they_say() {
        let mailbox = |count: u32| {
            let uids = (1..=count).filter_map(Uid::new);
            let told = Message { flags: Some(Flags::new()), mod_seq: None };
            let mut mirror = Mirror::restored(UidValidity::MIN, None, uids.map(|uid| (uid, told.clone())).collect());
            mirror.exists = count;
            assert!(mirror.is_right());
            mirror
        };
        crate::steps::assert_linear_logarithmic("EXPUNGE", 4_000, |count| {
            let mut mirror = mailbox(count as u32);
            for _ in 0..count {
                mirror.learn(&Response::Expunge(crate::types::Seq::MIN));
            }
            assert!(mirror.is_right() && mirror.exists() == 0);
        });
        crate::steps::assert_linear_logarithmic("VANISHED", 4_000, |count| {
            let mut mirror = mailbox(count as u32 * 2);
            // Each line names all that have gone by then, and one more.
            let gone = (1..=count as u32).map(|last| {
                let ranges = [Uid::MIN..=Uid::new(last).unwrap_or(Uid::MIN)];
                Response::Vanished { earlier: false, uids: ranges.into_iter().collect() }
            });
            gone.for_each(|response| mirror.learn(&response));
            assert!(mirror.is_right() && mirror.exists() as usize == count);
        });
        crate::steps::assert_linear_logarithmic("VANISHED (EARLIER)", 4_000, |count| {
            let mut mirror = mailbox(count as u32);
            mirror.selecting = Some(Selecting { resyncs: true, ..Selecting::default() });
            let uids: UidSet = [Uid::MIN..=Uid::new(u32::MAX).unwrap_or(Uid::MIN)].into_iter().collect();
            for _ in 0..count {
                mirror.learn(&Response::Vanished { earlier: true, uids: uids.clone() });
            }
        });
    }
}
