//! Clients that come and go, over the whole server: whatever was cut off, who comes back with what it knows knows everything.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::collections::BTreeMap;

use imap_support::{Client, Server, YOU};
use pillarbox::parts::{Identity, MessageData};
use pillarbox_core::{Random, SeededRandom};
use pillarbox_imap::types::{Flag, Flags, MailboxName, SequenceSet, Uid, UidSet};
use tokio::io::{AsyncReadExt, DuplexStream};

/// What of RFC 7162 a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Condstore,
    Qresync,
}

/// A client that believes what it is told, and nothing else.
struct Mirror {
    kind: Kind,
    wire: Client<DuplexStream>,
    /// UID and flags by sequence number, as far as it was told.
    messages: Vec<(Option<u32>, Option<Flags>)>,
    uid_validity: String,
    /// What it comes back with (RFC 7162 §6).
    highest: u64,
    /// The highest MODSEQ since its last command ended, and whether HIGHESTMODSEQ came meanwhile.
    fetched: u64,
    was_told_highest: bool,
    idles: Option<String>,
    /// The sets of the last MODIFIED.
    modified: Option<String>,
}

type Truth = BTreeMap<u32, MessageData>;

async fn truth(server: &Server) -> Truth {
    let mut inbox = server.store.open(&Identity::new(YOU), &MailboxName::inbox(), true).await.unwrap();
    let mut all = UidSet::new();
    all.insert_range(Uid::MIN..=Uid::MAX);
    inbox.messages(&all).await.unwrap().into_iter().map(|message| (message.uid.get(), message)).collect()
}

fn between<'t>(text: &'t str, before: &str, after: char) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

impl Mirror {
    async fn new(server: &Server, kind: Kind) -> Mirror {
        let wire = server.client().await;
        let (messages, uid_validity, idles, modified) = (Vec::new(), String::new(), None, None);
        let (highest, fetched, was_told_highest) = (0, 0, false);
        let mut new =
            Mirror { kind, wire, messages, uid_validity, highest, fetched, was_told_highest, idles, modified };
        new.come_back(server, &mut SeededRandom::new(0)).await;
        new
    }

    /// Hears a line; `may_expunge`: sequence numbers may change now.
    fn hear(&mut self, line: &str, may_expunge: bool) {
        let line = line.trim_end();
        if let Some(number) = between(line, "[HIGHESTMODSEQ ", ']') {
            assert!(self.kind != Kind::Plain || line.ends_with("Highest"), "{line}");
            (self.highest, self.was_told_highest) = (number.parse().unwrap(), true);
        }
        if let Some(number) = between(line, "[UIDVALIDITY ", ']') {
            self.uid_validity = number.to_owned();
        }
        if let Some(set) = between(line, "[MODIFIED ", ']') {
            self.modified = Some(set.to_owned());
        }
        let Some(rest) = line.strip_prefix("* ") else { return };
        if let Some(gone) = rest.strip_prefix("VANISHED ") {
            assert_eq!(self.kind, Kind::Qresync, "{line}");
            let earlier = gone.strip_prefix("(EARLIER) ");
            let gone = SequenceSet::parse(earlier.unwrap_or(gone).as_bytes()).unwrap().resolve(0);
            let before = self.messages.len();
            self.messages.retain(|(uid, _)| !uid.is_some_and(|uid| gone.iter().any(|range| range.contains(&uid))));
            if earlier.is_none() {
                assert!(may_expunge, "{line}");
                let named: u32 = gone.iter().map(|range| range.end() - range.start() + 1).sum();
                let known = before - self.messages.len();
                let unknown = self.messages.iter().filter(|(uid, _)| uid.is_none()).count();
                assert!(named as usize >= known && named as usize - known <= unknown, "{line}");
                if named as usize > known {
                    // Of messages that it only counts it does not know which went: it has to ask.
                    let first = self.messages.iter().position(|(uid, _)| uid.is_none()).unwrap();
                    self.messages.truncate(first);
                    self.messages.resize(before - named as usize, (None, None));
                }
            }
            return;
        }
        let mut words = rest.splitn(3, ' ');
        let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<usize>), words.next()) else { return };
        match what {
            "EXISTS" => self.messages.resize(number, (None, None)),
            "EXPUNGE" => {
                assert!(may_expunge && self.kind != Kind::Qresync, "{line}");
                self.messages.remove(number - 1);
            }
            "FETCH" => {
                let items = words.next().unwrap();
                if let Some(mod_seq) = between(items, "MODSEQ (", ')') {
                    assert_ne!(self.kind, Kind::Plain, "{line}");
                    self.fetched = self.fetched.max(mod_seq.parse().unwrap());
                }
                let message = &mut self.messages[number - 1];
                if let Some(uid) = between(&items.replace(')', " "), "UID ", ' ') {
                    let uid = uid.parse().unwrap();
                    assert!(message.0.is_none_or(|known| known == uid), "{line}: it was {message:?}");
                    message.0 = Some(uid);
                }
                if let Some(flags) = between(items, "FLAGS (", ')') {
                    message.1 = Some(flags.split_whitespace().map(|flag| Flag::parse(flag).unwrap()).collect());
                }
            }
            _ => {}
        }
    }

    fn settle(&mut self) {
        if !std::mem::take(&mut self.was_told_highest) {
            self.highest = self.highest.max(self.fetched);
        }
        self.fetched = 0;
    }

    /// Reads up to the end of a command.
    async fn finish(&mut self, tag: &str, may_expunge: bool) -> String {
        loop {
            let line = self.wire.line().await;
            self.hear(&line, may_expunge);
            if let Some(end) = line.strip_prefix(tag) {
                self.settle();
                return end.to_owned();
            }
        }
    }

    async fn say(&mut self, command: &str) -> String {
        let name = command.split(' ').next().unwrap();
        let may_expunge = !["FETCH", "STORE", "SEARCH", "SELECT"].contains(&name);
        self.modified = None;
        let tag = self.wire.begin(command).await;
        self.finish(&tag, may_expunge).await
    }

    /// Asks for what it does not know, and knows everything then.
    async fn know_all(&mut self, server: &Server) {
        self.say("NOOP").await;
        let mod_seq = if self.kind == Kind::Plain { "" } else { " MODSEQ" };
        if let Some(first) = self.messages.iter().position(|(uid, flags)| uid.is_none() || flags.is_none()) {
            self.say(&format!("FETCH {}:* (UID FLAGS{mod_seq})", first + 1)).await;
        }
        let truth = truth(server).await;
        let known: Vec<_> = self.messages.iter().map(|(uid, flags)| (uid.unwrap(), flags.clone().unwrap())).collect();
        let all: Vec<_> = truth.values().map(|message| (message.uid.get(), message.flags.clone())).collect();
        assert_eq!(known, all, "{:?}", self.kind);
    }

    /// Selects the mailbox on a new connection, with what it knows if it can.
    async fn come_back(&mut self, server: &Server, random: &mut SeededRandom) {
        self.wire = server.client().await;
        (self.fetched, self.was_told_highest, self.idles) = (0, false, None);
        // From the first message on that it only counted it knows nothing for sure.
        let knew = std::mem::take(&mut self.messages).into_iter();
        let cache: BTreeMap<u32, Option<Flags>> = knew.map_while(|(uid, flags)| Some((uid?, flags))).collect();
        let pairs: Vec<(u32, u32)> = (1..).zip(cache.keys().copied()).collect();
        match self.kind {
            Kind::Plain => self.say("SELECT INBOX").await,
            Kind::Condstore => self.say("SELECT INBOX (CONDSTORE)").await,
            Kind::Qresync => {
                self.say("ENABLE QRESYNC").await;
                match self.highest {
                    0 => self.say("SELECT INBOX").await,
                    highest => {
                        let mut select = format!("SELECT INBOX (QRESYNC ({} {highest}", self.uid_validity);
                        if random.below(2) == 0 && !cache.is_empty() {
                            let known: UidSet = cache.keys().filter_map(|uid| Uid::new(*uid)).collect();
                            select += &format!(" {known}");
                        }
                        let some: Vec<_> = pairs.iter().filter(|_| random.below(3) == 0).collect();
                        if !some.is_empty() {
                            let list = |numbers: Vec<String>| numbers.join(",");
                            let seqs = list(some.iter().map(|(seq, _)| seq.to_string()).collect());
                            let uids = list(some.iter().map(|(_, uid)| uid.to_string()).collect());
                            select += &format!(" ({seqs} {uids})");
                        }
                        self.resync(&(select + "))"), cache).await
                    }
                }
            }
        };
        self.know_all(server).await;
    }

    /// Hears what happened to what it knows.
    async fn resync(&mut self, select: &str, mut cache: BTreeMap<u32, Option<Flags>>) -> String {
        let tag = self.wire.begin(select).await;
        let end = loop {
            let line = self.wire.line().await;
            if let Some(gone) = line.trim_end().strip_prefix("* VANISHED (EARLIER) ") {
                let gone = SequenceSet::parse(gone.as_bytes()).unwrap().resolve(0);
                cache.retain(|uid, _| !gone.iter().any(|range| range.contains(uid)));
            }
            self.hear(&line, false);
            if let Some(end) = line.strip_prefix(&tag) {
                self.settle();
                break end.to_owned();
            }
        };
        assert!(end.starts_with("OK"), "{select}: {end}");
        // What is left of what it knew comes first: new messages have higher UIDs.
        let flags = |place: usize, uid: u32| self.messages[place].1.clone().or(cache.get(&uid).cloned().flatten());
        let left: Vec<_> = cache.keys().enumerate().map(|(place, uid)| (Some(*uid), flags(place, *uid))).collect();
        for (message, known) in self.messages.iter_mut().zip(left) {
            assert!(message.0.is_none() || message.0 == known.0, "{select}: {message:?} is {known:?}");
            *message = known;
        }
        end
    }
}

const FLAGS: [&str; 4] = ["\\Seen", "\\Flagged", "\\Deleted", "$Junk"];

/// One thing that a client does.
async fn act(server: &Server, mirror: &mut Mirror, random: &mut SeededRandom) {
    if let Some(tag) = mirror.idles.take() {
        mirror.wire.send("DONE\r\n").await;
        mirror.finish(&tag, true).await;
    }
    let below = |random: &mut SeededRandom, max: usize| random.below(max.max(1) as u64) as usize;
    let exists = mirror.messages.len();
    let flag = FLAGS[below(random, FLAGS.len())];
    let sign = ["+", "-", ""][below(random, 3)];
    let silent = [".SILENT", ""][below(random, 2)];
    let seq = below(random, exists) + 1;
    let mod_seqs = mirror.kind != Kind::Plain;
    match random.below(20) {
        0..=2 if exists < 40 => {
            mirror.say(&format!("APPEND INBOX ({}) {{1+}}\r\nx", if flag == "\\Deleted" { "" } else { flag })).await;
        }
        0..=5 if exists > 0 => {
            if !silent.is_empty()
                && let Some(flags) = &mut mirror.messages[seq - 1].1
            {
                // What it wants to know itself: it is told if somebody else was quicker.
                let flag = Flag::parse(flag).unwrap();
                match sign {
                    "+" => drop(flags.insert(flag)),
                    "-" => drop(flags.remove(&flag)),
                    _ => *flags = [flag].into_iter().collect(),
                }
            }
            mirror.say(&format!("STORE {seq} {sign}FLAGS{silent} ({flag})")).await;
        }
        6..=7 if exists > 0 && mod_seqs => {
            let truth = truth(server).await;
            let newest = truth.values().filter_map(|message| message.mod_seq).max().map_or(1, |max| max.get());
            let since = newest.saturating_sub(random.below(12));
            mirror.say(&format!("UID STORE 1:* (UNCHANGEDSINCE {since}) FLAGS ({flag})")).await;
            let set = mirror.modified.as_deref().map(|set| SequenceSet::parse(set.as_bytes()).unwrap().resolve(0));
            let refused = |uid: u32| set.iter().flatten().any(|range| range.contains(&uid));
            for (uid, message) in &truth {
                let changed = message.mod_seq.is_some_and(|mod_seq| mod_seq.get() > since);
                let known = mirror.messages.iter().any(|(known, _)| *known == Some(*uid));
                assert!(!known || changed == refused(*uid), "{uid} of {:?} after {since}: {set:?}", message.mod_seq);
            }
        }
        8 => drop(mirror.say("EXPUNGE").await),
        9 if exists > 0 => drop(mirror.say(&format!("UID EXPUNGE {}:*", random.below(200) + 1)).await),
        10 if exists > 0 => drop(mirror.say(&format!("MOVE {seq} Archive")).await),
        11 if exists > 0 => {
            let items = if mod_seqs && flag == "$Junk" { "FLAGS MODSEQ" } else { "FLAGS" };
            mirror.say(&format!("FETCH {seq} ({items})")).await;
        }
        12 if mirror.kind == Kind::Qresync => {
            let since = mirror.highest.max(1);
            mirror.say(&format!("UID FETCH 1:4294967295 (FLAGS) (CHANGEDSINCE {since} VANISHED)")).await;
        }
        12 if mod_seqs => drop(mirror.say("SEARCH MODSEQ 1").await),
        13 => drop(mirror.say("UID SEARCH UNSEEN").await),
        14 => mirror.idles = Some(mirror.wire.begin("IDLE").await),
        15..=16 => {
            // The connection breaks in the middle of an answer.
            let commands = ["NOOP", "EXPUNGE", "FETCH 1:* (FLAGS)", "UID STORE 1:* +FLAGS ($Junk)", "UID SEARCH ALL"];
            mirror.wire.begin(commands[below(random, commands.len())]).await;
            let mut heard = vec![0; below(random, 400)];
            let read = tokio::time::timeout(std::time::Duration::ZERO, mirror.wire.stream.read(&mut heard)).await;
            heard.truncate(read.map_or(0, |read| read.unwrap_or(0)));
            for line in String::from_utf8_lossy(&heard).split_inclusive("\r\n").filter(|line| line.ends_with("\r\n")) {
                let tagged = !line.starts_with("* ");
                mirror.hear(line, true);
                if tagged {
                    mirror.settle();
                }
            }
            mirror.come_back(server, random).await;
        }
        _ => mirror.know_all(server).await,
    }
}

#[tokio::test]
async fn who_comes_back_knows_everything() {
    come_and_go(Server::memory, 10_000).await;
}

#[tokio::test]
async fn who_comes_back_to_a_maildir_knows_everything() {
    come_and_go(Server::maildir, 2_000).await;
}

async fn come_and_go(server: impl Fn() -> Server, operations: u64) {
    // `OPERATIONS=100000` for more.
    let operations: u64 = std::env::var("OPERATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(operations);
    for seed in 1..=5 {
        let mut random = SeededRandom::new(seed);
        let server = server();
        server.client().await.ok("CREATE Archive").await;
        let mut mirrors = vec![Mirror::new(&server, Kind::Qresync).await];
        for kind in [Kind::Qresync, Kind::Condstore, Kind::Plain].into_iter().take(1 + random.below(3) as usize) {
            mirrors.push(Mirror::new(&server, kind).await);
        }
        for _ in 0..operations / 5 {
            let who = random.below(mirrors.len() as u64) as usize;
            act(&server, &mut mirrors[who], &mut random).await;
        }
        for mirror in &mut mirrors {
            if let Some(tag) = mirror.idles.take() {
                mirror.wire.send("DONE\r\n").await;
                mirror.finish(&tag, true).await;
            }
            mirror.know_all(&server).await;
        }
    }
}
