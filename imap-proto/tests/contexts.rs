//! Searches that are kept up to date (RFC 5267) beside new searches: a client that does what ADDTO and REMOVEFROM say has at the end
//! of each NOOP what it would be told if it asked again.

use std::sync::Arc;

use pillarbox_core::{Step, Time, WallTime};
use pillarbox_imap::search::{MessageFacts, Query, Search};
use pillarbox_imap::server::{Answer, Change, Event, Peer, ServerConfig, ServerSession, Snapshot};
use pillarbox_imap::types::{Flag, Flags, Uid, UidSet, UidValidity};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Happens {
    /// A message of this size comes.
    Added(u64),
    /// The message at this place, of all there are, is seen, or is not any more.
    Seen(usize, bool),
    Removed(usize),
    /// The client itself removes it: the store's own news comes before the answer, behind it, after the command, or never.
    Expunged(usize, News),
    /// A command ends after which no number may change.
    Fetch,
    Noop,
    Idle,
}

#[derive(Clone, Copy, Debug)]
enum News {
    Before,
    Behind,
    Afterwards,
    Never,
}

struct Message {
    uid: Uid,
    flags: Flags,
    size: u64,
}

/// A mailbox, and a session in which it is selected.
struct World {
    messages: Vec<Message>,
    next: u32,
    session: ServerSession,
    client: Client,
    /// The most messages that one question named.
    asked_max: u64,
    /// What the next EXPUNGE removes, and when the store tells of it.
    expunges: Option<(Uid, News)>,
}

/// What the client makes of what it hears: of each context its list, by tag.
#[derive(Default)]
struct Client {
    by_uid: Vec<u32>,
    sorted: Vec<u32>,
    by_number: Vec<u32>,
}

impl Client {
    fn hear(&mut self, line: &str) {
        if let Some(number) = line.strip_prefix("* ").and_then(|line| line.strip_suffix(" EXPUNGE")) {
            let gone: u32 = number.parse().unwrap();
            assert!(!self.by_number.contains(&gone), "{gone} is expunged while it is in a result");
            self.by_number.iter_mut().filter(|number| **number > gone).for_each(|number| *number -= 1);
        }
        let Some(line) = line.strip_prefix("* ESEARCH (TAG \"") else { return };
        let (tag, rest) = line.split_once("\")").unwrap();
        let list = match tag {
            "u" => &mut self.by_uid,
            "s" => &mut self.sorted,
            "n" => &mut self.by_number,
            other => panic!("no context {other}"),
        };
        let rest = rest.strip_prefix(" UID").unwrap_or(rest).trim_start();
        if let Some(all) = rest.strip_prefix("ALL ") {
            *list = numbers(all);
            return;
        }
        let Some((what, pairs)) = rest.split_once(" (") else { return };
        let words: Vec<&str> = pairs.strip_suffix(')').unwrap().split(' ').collect();
        for pair in words.chunks(2) {
            let (place, set) = (pair[0].parse::<usize>().unwrap(), numbers(pair[1]));
            match (what, place) {
                ("ADDTO", 0) => {
                    assert!(set.iter().all(|number| !list.contains(number)), "{line} was there");
                    list.extend(set);
                    list.sort_unstable();
                }
                ("ADDTO", place) => drop(list.splice(place - 1..place - 1, set)),
                ("REMOVEFROM", 0) => {
                    assert!(set.iter().all(|number| list.contains(number)), "{line} was not there");
                    list.retain(|number| !set.contains(number));
                }
                ("REMOVEFROM", place) => {
                    let removed: Vec<u32> = list.drain(place - 1..place - 1 + set.len()).collect();
                    assert_eq!(removed, set, "{line}");
                }
                _ => panic!("{line}"),
            }
        }
    }
}

fn numbers(set: &str) -> Vec<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    };
    set.split(',').flat_map(range).collect()
}

impl World {
    fn new(sizes: &[u64]) -> Self {
        let mut config = ServerConfig::default();
        config.login_without_tls = true;
        let mut world = World {
            messages: Vec::new(),
            next: 1,
            session: ServerSession::new(Arc::new(config), Peer::default()),
            client: Client::default(),
            asked_max: 0,
            expunges: None,
        };
        for size in sizes {
            world.add(*size);
        }
        for line in [
            "a LOGIN joe secret",
            "b SELECT INBOX",
            "u UID SEARCH RETURN (UPDATE ALL) UNSEEN",
            "s UID SORT RETURN (UPDATE ALL) (REVERSE SIZE) UTF-8 UNSEEN",
            "n SEARCH RETURN (UPDATE ALL) OR UNSEEN SMALLER 5",
        ] {
            world.command(line);
        }
        world
    }

    fn add(&mut self, size: u64) -> Uid {
        let uid = Uid::new(self.next).unwrap();
        self.next += 1;
        self.messages.push(Message { uid, flags: Flags::new(), size });
        uid
    }

    fn matching(&self, query: &Query) -> Vec<Uid> {
        let search = Search::new(query, WallTime::default()).unwrap();
        let matches = |message: &&Message| {
            let facts = MessageFacts::new(message.uid, &message.flags, WallTime::default(), message.size);
            search.decide(&facts).unwrap()
        };
        self.messages.iter().filter(matches).map(|message| message.uid).collect()
    }

    fn by_size(&self, mut uids: Vec<Uid>) -> Vec<Uid> {
        let size = |uid: &Uid| {
            let at = self.messages.binary_search_by_key(uid, |message| message.uid).unwrap();
            self.messages[at].size
        };
        uids.sort_by_key(|uid| (std::cmp::Reverse(size(uid)), *uid));
        uids
    }

    fn command(&mut self, line: &str) {
        self.input(&format!("{line}\r\n"));
    }

    fn input(&mut self, input: &str) {
        let mut unread = input.as_bytes();
        loop {
            let step = self.session.poll(Time::ZERO, &mut unread);
            let Step::Event(event) = step else { break };
            let event = event.into_owned().expect("nothing is refused and nothing appended");
            self.serve(event);
        }
        let heard = String::from_utf8(self.session.output().to_vec()).unwrap();
        heard.split_terminator("\r\n").for_each(|line| self.client.hear(line));
        self.session.consume_output(Time::ZERO, usize::MAX);
    }

    fn serve(&mut self, event: Event<'_>) {
        let mut found = None;
        match event {
            Event::Login { .. } => return self.session.answer(Time::ZERO, Answer::LoggedIn("joe".into())).unwrap(),
            Event::Select { .. } => {
                let mut snapshot = Snapshot::new(UidValidity::MIN, Uid::new(self.next).unwrap());
                snapshot.uids = self.messages.iter().map(|message| message.uid).collect();
                return self.session.answer(Time::ZERO, Answer::Selected(snapshot)).unwrap();
            }
            Event::Search { query, .. } => found = Some(self.matching(&query)),
            Event::Sort { query, .. } => found = Some(self.by_size(self.matching(&query))),
            Event::Recheck { query, criteria } => {
                self.asked_max = self.asked_max.max(query.within().unwrap().len());
                let matching = self.matching(&query);
                found = Some(if criteria.is_empty() { matching } else { self.by_size(matching) });
            }
            Event::Idle | Event::IdleEnd => return,
            Event::Expunge { .. } => {
                let (gone, news) = self.expunges.unwrap();
                if let News::Before = news {
                    self.removed(gone);
                }
                self.session.answer(Time::ZERO, Answer::Expunged(&[gone])).unwrap();
                if let News::Behind = news {
                    self.removed(gone);
                }
            }
            _ => {}
        }
        if let Some(found) = found {
            self.session.answer(Time::ZERO, Answer::Found(&found)).unwrap();
        }
        self.session.answer(Time::ZERO, Answer::Done).unwrap();
    }

    fn removed(&mut self, gone: Uid) {
        self.session.learn(Time::ZERO, Change::Removed { uids: UidSet::one(gone), mod_seq: None });
    }

    fn expunge(&mut self, at: usize, news: News) {
        let gone = self.messages.remove(at % self.messages.len()).uid;
        self.expunges = Some((gone, news));
        self.command("e EXPUNGE");
        if let News::Afterwards = news {
            self.removed(gone);
        }
    }

    fn happen(&mut self, what: &Happens) {
        let change = match what {
            Happens::Added(size) => Change::Added { uids: vec![self.add(*size)], mod_seq: None },
            Happens::Seen(at, seen) if !self.messages.is_empty() => {
                let at = at % self.messages.len();
                let message = &mut self.messages[at];
                message.flags = if *seen { [Flag::Seen].into_iter().collect() } else { Flags::new() };
                Change::Flags { uid: message.uid, flags: message.flags.clone(), mod_seq: None }
            }
            Happens::Removed(at) if !self.messages.is_empty() => {
                let gone = self.messages.remove(at % self.messages.len()).uid;
                Change::Removed { uids: UidSet::one(gone), mod_seq: None }
            }
            Happens::Expunged(..) if self.session.is_idling() || self.messages.is_empty() => return,
            Happens::Expunged(at, news) => return self.expunge(*at, *news),
            Happens::Fetch if self.session.is_idling() || self.messages.is_empty() => return,
            Happens::Fetch => return self.command("f FETCH * FLAGS"),
            Happens::Noop => return self.check(),
            Happens::Idle if self.session.is_idling() => return self.input("DONE\r\n"),
            Happens::Idle => return self.command("i IDLE"),
            _ => return,
        };
        self.session.learn(Time::ZERO, change);
        if self.session.is_idling() {
            self.input("");
        }
    }

    /// After NOOP the client knows all there is.
    fn check(&mut self) {
        if self.session.is_idling() {
            self.input("DONE\r\n");
        }
        self.command("p NOOP");
        let unseen = Query::Not(Box::new(Query::Flag(Flag::Seen)));
        let numbers = |uids: Vec<Uid>| uids.into_iter().map(Uid::get).collect::<Vec<_>>();
        assert_eq!(self.client.by_uid, numbers(self.matching(&unseen)));
        assert_eq!(self.client.sorted, numbers(self.by_size(self.matching(&unseen))));
        let either = self.matching(&Query::Or(Box::new(unseen), Box::new(Query::Smaller(5))));
        let view = self.session.view().unwrap();
        let by_number: Vec<u32> = either.into_iter().map(|uid| view.seq(uid).unwrap().get()).collect();
        assert_eq!(self.client.by_number, by_number);
    }
}

fn happens() -> impl Strategy<Value = Happens> {
    let news = prop_oneof![Just(News::Before), Just(News::Behind), Just(News::Afterwards), Just(News::Never)];
    prop_oneof![
        4 => (0..10u64).prop_map(Happens::Added),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(at, seen)| Happens::Seen(at, seen)),
        3 => any::<usize>().prop_map(Happens::Removed),
        2 => (any::<usize>(), news).prop_map(|(at, news)| Happens::Expunged(at, news)),
        1 => Just(Happens::Fetch),
        1 => Just(Happens::Noop),
        1 => Just(Happens::Idle),
    ]
}

proptest! {
    #[test]
    fn an_updated_result_is_that_of_a_new_search(
        sizes in prop::collection::vec(0..10u64, 0..12),
        happens in prop::collection::vec(happens(), 0..60),
    ) {
        let mut world = World::new(&sizes);
        happens.iter().for_each(|what| world.happen(what));
        world.check();
    }
}

#[test]
fn a_large_sorted_result_is_not_sorted_again_for_a_few_messages() {
    let sizes: Vec<u64> = (0..40_000).map(|n| n * 7_919 % 40_009).collect();
    let mut world = World::new(&sizes);
    for size in [0, 5_000, 20_000, 20_000, 50_000] {
        world.happen(&Happens::Added(size));
    }
    world.check();
    // Some hundreds: not the mailbox.
    assert!(world.asked_max <= 300, "{}", world.asked_max);
}
