//! Our client and our server with a link in memory between them that splits and breaks, and what must hold at the end whatever
//! happened.

#[path = "../../../mailcore/tests/pipe/mod.rs"]
mod pipe;
pub(crate) mod store;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pillarbox_core::{Layer, LayerFacts, Step, Time, TlsFacts, UpgradeError};
use pillarbox_imap::client::{
    self, ClientConfig, ClientSession, Command, CommandId, Credentials, FlagChange, Login, Mirror, Wanted,
};
use pillarbox_imap::server::{Answer, Change, Event, FetchData, FetchItem, Peer, ServerConfig, ServerSession};
use pillarbox_imap::types::{Flag, Flags, Uid, UidSet};
use pipe::Pipe;
use store::{Store, uid_validity};

/// How both sides are made, and what the link does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) starttls: bool,
    pub(crate) compress: bool,
    pub(crate) qresync: bool,
    /// Octets that arrive at a time.
    pub(crate) piece: usize,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The connection breaks behind so many octets.
    BreakToServer(usize),
    BreakToClient(usize),
}

/// The messages of the client's APPEND, which are stored all or none.
pub(crate) const APPENDED: [&[u8]; 2] = [b"Subject: one\r\n\r\nA1 OK\r\n* 1 EXPUNGE\r\n", b"Subject: two {3}\r\n\r\n"];
/// What another client stores while ours is in IDLE.
pub(crate) const OTHER: &[u8] = b"Subject: news\r\n\r\n";

/// What the client does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Select,
    Append,
    Store,
    Fetch,
    Idle,
    Expunge,
    Logout,
}

const STAGES: [Stage; 7] =
    [Stage::Select, Stage::Append, Stage::Store, Stage::Fetch, Stage::Idle, Stage::Expunge, Stage::Logout];

/// What a connection came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What the server said OK to.
    pub(crate) done: BTreeSet<Stage>,
    /// What was never sent, or not to its end.
    pub(crate) unsent: BTreeSet<Stage>,
    /// What may have been done or not.
    pub(crate) unsure: BTreeSet<Stage>,
    pub(crate) to_server: usize,
    pub(crate) to_client: usize,
    pub(crate) failed: bool,
    pub(crate) fetched: BTreeMap<u32, Vec<u8>>,
}

/// One connection.
pub(crate) struct Pair<'a> {
    plan: Plan,
    stages: VecDeque<Stage>,
    now: Time,
    client: ClientSession,
    server: ServerSession,
    to_server: Pipe,
    to_client: Pipe,
    mirror: &'a mut Mirror,
    store: &'a mut Store,
    report: Report,
    open: BTreeMap<CommandId, Stage>,
    settled: BTreeSet<CommandId>,
    /// The messages that are handed to the client's session.
    to_send: VecDeque<&'static [u8]>,
    body: &'static [u8],
    section: Option<(u32, Vec<u8>)>,
    /// The APPEND under way at the server.
    incoming: Vec<(Flags, Vec<u8>)>,
    client_upgrades: bool,
    server_upgrades: bool,
    client_closed: bool,
    server_closed: bool,
}

/// Runs the whole script, or only what brings the mirror up to date.
pub(crate) fn connect(plan: Plan, is_whole: bool, mirror: &mut Mirror, store: &mut Store) -> Report {
    let mut config = ClientConfig::default();
    let mut login = Login::new(Credentials::plain("", "joe", "secret"));
    login.policy.clear_text_without_tls = !plan.starttls;
    config.login = Some(login);
    config.compress = plan.compress;
    if !plan.qresync {
        config.enable.clear();
    }
    let mut server = ServerConfig::default();
    server.starttls = plan.starttls;
    server.login_without_tls = !plan.starttls;
    server.extensions.compress = plan.compress;
    let stages = STAGES.into_iter().filter(|stage| is_whole || matches!(stage, Stage::Select | Stage::Logout));
    let pair = Pair {
        plan,
        stages: stages.collect(),
        now: Time::ZERO,
        client: ClientSession::new(config),
        server: ServerSession::new(Arc::new(server), Peer::default()),
        to_server: Pipe::default(),
        to_client: Pipe::default(),
        mirror,
        store,
        report: Report::default(),
        open: BTreeMap::new(),
        settled: BTreeSet::new(),
        to_send: VecDeque::new(),
        body: b"",
        section: None,
        incoming: Vec::new(),
        client_upgrades: false,
        server_upgrades: false,
        client_closed: false,
        server_closed: false,
    };
    pair.run()
}

impl Pair<'_> {
    fn run(mut self) -> Report {
        let (mut broken, mut server_eof, mut client_eof) = (false, false, false);
        for _ in 0..100_000 {
            let mut moved = self.client_turn();
            moved |= self.server_turn();
            moved |= self.carry();
            if self.client_upgrades && self.server_upgrades {
                self.upgrade_tls(true);
                moved = true;
            }
            if self.client_closed && self.server_closed {
                assert!(self.open.is_empty(), "each command is settled: {:?} {:?}", self.open, self.plan);
                self.report.to_server = self.to_server.arrived;
                self.report.to_client = self.to_client.arrived;
                return self.report;
            }
            if moved {
                continue;
            }
            // Nothing moves: the connection is broken, or one side has closed it, or time has to pass.
            let is_broken = match self.plan.fault {
                Fault::None => false,
                Fault::BreakToServer(n) => self.to_server.arrived == n,
                Fault::BreakToClient(n) => self.to_client.arrived == n,
            };
            if is_broken && !broken {
                broken = true;
                self.upgrade_tls(false);
                self.client.handle_eof(self.now);
                self.server.handle_eof(self.now);
            } else if self.client_closed && !server_eof {
                server_eof = true;
                self.server.handle_eof(self.now);
            } else if self.server_closed && !client_eof {
                client_eof = true;
                self.client.handle_eof(self.now);
            } else {
                let deadlines = [self.client.deadline(), self.server.deadline()];
                if let Some(deadline) = deadlines.into_iter().flatten().min() {
                    self.now = self.now.max(deadline);
                }
                self.client.handle_timeout(self.now);
                self.server.handle_timeout(self.now);
            }
        }
        panic!("no end: {:?} {:?}", self.plan, self.report);
    }

    fn carry(&mut self) -> bool {
        let (server, client) = match self.plan.fault {
            Fault::None => (usize::MAX, usize::MAX),
            Fault::BreakToServer(n) if self.to_server.arrived == n => (n, self.to_client.arrived),
            Fault::BreakToServer(n) => (n, usize::MAX),
            Fault::BreakToClient(n) if self.to_client.arrived == n => (self.to_server.arrived, n),
            Fault::BreakToClient(n) => (usize::MAX, n),
        };
        let written = self.client.output().to_vec();
        self.client.consume_output(self.now, written.len());
        let mut moved = self.to_server.carry(&written, self.plan.piece, server, self.server.max_unread());
        let written = self.server.output().to_vec();
        self.server.consume_output(self.now, written.len());
        moved |= self.to_client.carry(&written, self.plan.piece, client, self.client.max_unread());
        moved
    }

    fn upgrade_tls(&mut self, works: bool) {
        let facts = || LayerFacts::Tls(TlsFacts::new("TLSv1.3", "TLS_AES_128_GCM_SHA256"));
        if std::mem::take(&mut self.client_upgrades) {
            match works {
                true => self.client.upgraded(self.now, facts()).unwrap(),
                false => self.client.upgrade_failed(self.now, UpgradeError::ConnectionLost),
            }
        }
        if std::mem::take(&mut self.server_upgrades) {
            match works {
                true => self.server.upgraded(self.now, facts()).unwrap(),
                false => self.server.upgrade_failed(self.now, UpgradeError::ConnectionLost),
            }
        }
    }

    fn client_turn(&mut self) -> bool {
        let unread = self.to_client.unread.clone();
        let mut rest = &unread[..];
        let step = self.client.poll(self.now, &mut rest);
        let mut moved = self.to_client.used(rest.len());
        match step {
            Step::Event(event) => {
                self.heard(event);
                moved = true;
            }
            Step::NeedAnswer => {
                // Small pieces, so that a message is under way when the link breaks.
                let n = self.body.len().min(5).min(self.client.room());
                let (piece, rest) = self.body.split_at(n);
                let answer = if self.body.is_empty() { client::Answer::BodyEnd } else { client::Answer::Body(piece) };
                moved |= n > 0 || self.body.is_empty();
                self.client.answer(self.now, answer).unwrap();
                self.body = rest;
            }
            Step::Upgrade(Layer::Deflate) => {
                // What came behind the answer belongs to the layer, and shows again at once.
                self.client.upgraded(self.now, LayerFacts::Deflate).unwrap();
                moved = true;
            }
            Step::Upgrade(_) => self.client_upgrades = true,
            Step::Closed => self.client_closed = true,
            Step::NeedInput => {}
            Step::NeedTime => unreachable!("a client delays nothing"),
        }
        moved
    }

    fn heard(&mut self, event: client::Event<'_>) {
        use client::Event;
        match event {
            Event::Ready => self.go_on(),
            Event::Response(response) => {
                self.mirror.learn(&response);
                if self.mirror.wanted() != Wanted::Nothing {
                    self.client.done(self.now);
                }
            }
            Event::Section(section) => self.section = Some((section.uid.unwrap().get(), Vec::new())),
            Event::Body(octets) => self.section.as_mut().unwrap().1.extend_from_slice(&octets),
            Event::SectionEnd => self.report.fetched.extend(self.section.take()),
            Event::Idling => {}
            Event::NeedMessage(_) => self.body = self.to_send.pop_front().expect("as many as were announced"),
            Event::Completed { id, status } => {
                assert!(self.settled.insert(id), "settled twice: {:?}", self.plan);
                let stage = self.open.remove(&id).expect("a command of ours");
                assert!(status.is_ok(), "{stage:?}: {status:?} {:?}", self.plan);
                if stage == Stage::Select && !self.report.done.contains(&Stage::Select) {
                    self.mirror.selected(true);
                } else {
                    // What the mirror asks for is of that stage.
                    self.mirror.completed(&status, stage == Stage::Select);
                }
                self.report.done.insert(stage);
                self.go_on();
            }
            Event::Lost { id, was_sent } => {
                assert!(self.settled.insert(id), "settled twice: {:?}", self.plan);
                let stage = self.open.remove(&id).expect("a command of ours");
                if stage == Stage::Select && !self.report.done.contains(&stage) {
                    self.mirror.selected(false);
                }
                if was_sent { &mut self.report.unsure } else { &mut self.report.unsent }.insert(stage);
            }
            Event::Failed(_) => self.report.failed = true,
            _ => {}
        }
    }

    /// The next command: what the mirror wants to know, or the next of the script.
    fn go_on(&mut self) {
        if !self.open.is_empty() {
            return;
        }
        if self.report.done.contains(&Stage::Select)
            && let Some(command) = self.mirror.command(self.client.capabilities())
        {
            return self.submit(Stage::Select, command);
        }
        let Some(stage) = self.stages.pop_front() else { return };
        let one = UidSet::one(Uid::new(1).unwrap());
        let seen: Flags = [Flag::Seen].into_iter().collect();
        let command = match stage {
            Stage::Select => {
                let known = self.mirror.known().filter(|_| self.client.enabled().has("QRESYNC"));
                self.mirror.selecting(known.as_ref());
                match &known {
                    Some(known) => Command::select("INBOX").qresync(known),
                    None => Command::select("INBOX").condstore(),
                }
            }
            Stage::Append => {
                self.to_send = APPENDED.into();
                Command::append("INBOX", &Flags::new(), None, APPENDED[0].len() as u64).and_message(
                    &seen,
                    None,
                    APPENDED[1].len() as u64,
                )
            }
            Stage::Store => Command::uid_store(&one, FlagChange::Add, &[Flag::Deleted].into_iter().collect(), None),
            Stage::Fetch => Command::uid_fetch("1:*", "(BODY.PEEK[] FLAGS)"),
            Stage::Idle => Command::idle(),
            Stage::Expunge => Command::uid_expunge(&one),
            Stage::Logout => Command::logout(),
        };
        self.submit(stage, command);
    }

    fn submit(&mut self, stage: Stage, command: Command) {
        match self.client.submit(self.now, command) {
            Ok(id) => drop(self.open.insert(id, stage)),
            // The connection has ended meanwhile, which is told next.
            Err(_) => drop(self.report.unsent.insert(stage)),
        }
    }

    fn server_turn(&mut self) -> bool {
        let unread = self.to_server.unread.clone();
        let mut rest = &unread[..];
        let step = self.server.poll(self.now, &mut rest);
        let moved = self.to_server.used(rest.len());
        match step {
            Step::Event(event) => {
                let event = match event {
                    Event::AppendBody(octets) => {
                        self.incoming.last_mut().expect("a message has begun").1.extend_from_slice(octets);
                        return true;
                    }
                    event => event.into_owned().expect("bodies are above"),
                };
                self.serve(event);
                true
            }
            Step::Upgrade(Layer::Deflate) if self.server.output().is_empty() => {
                self.server.upgraded(self.now, LayerFacts::Deflate).unwrap();
                true
            }
            Step::Upgrade(Layer::Deflate) => moved,
            Step::Upgrade(_) => {
                self.server_upgrades = true;
                moved
            }
            Step::Closed => {
                self.server_closed = true;
                moved
            }
            _ => moved,
        }
    }

    fn learn(&mut self, change: Change) {
        self.server.learn(self.now, change);
    }

    fn serve(&mut self, event: Event<'static>) {
        let now = self.now;
        match event {
            Event::Login { .. } => self.server.answer(now, Answer::LoggedIn("joe".into())).unwrap(),
            Event::Select { .. } => {
                let snapshot = self.store.snapshot();
                self.server.answer(now, Answer::Selected(snapshot)).unwrap();
            }
            Event::Vanished { uids, since } => {
                let gone: UidSet = self.store.gone_since(since).iter().filter(|uid| uids.contains(*uid)).collect();
                self.server.answer(now, Answer::Vanished(&gone)).unwrap();
                self.server.answer(now, Answer::Done).unwrap();
            }
            Event::Fetch { uids, wanted, changed_since, .. } => {
                let messages = self.store.messages.iter().filter(|message| uids.contains(message.uid));
                for message in messages.filter(|message| changed_since.is_none_or(|since| message.mod_seq > since)) {
                    self.server.answer(now, Answer::Message(message.uid)).unwrap();
                    for item in &wanted {
                        let told = match item {
                            FetchItem::Flags => Answer::Data(FetchData::Flags(message.flags.clone())),
                            FetchItem::ModSeq => Answer::Data(FetchData::ModSeq(message.mod_seq)),
                            FetchItem::Section { section, name, .. } => {
                                let len = message.octets.len() as u64;
                                let literal = Answer::Literal { section, name: *name, origin: None, len };
                                self.server.answer(now, literal).unwrap();
                                Answer::Chunk(&message.octets)
                            }
                            _ => continue,
                        };
                        self.server.answer(now, told).unwrap();
                    }
                    self.server.answer(now, Answer::MessageEnd).unwrap();
                }
                self.server.answer(now, Answer::Done).unwrap();
            }
            Event::Store { uids, change, flags, .. } => {
                for message in self.store.flag(&uids, change, &flags) {
                    let (uid, flags, mod_seq) = (message.uid, message.flags, Some(message.mod_seq));
                    self.learn(Change::Flags { uid, flags: flags.clone(), mod_seq });
                    self.server.answer(now, Answer::Flags { uid, flags, mod_seq }).unwrap();
                }
                self.server.answer(now, Answer::Done).unwrap();
            }
            Event::Expunge { only } => {
                let (gone, change) = self.store.remove(&only.expect("the client says which"));
                self.learn(change);
                self.server.answer(now, Answer::Expunged(&gone)).unwrap();
                self.server.answer(now, Answer::Done).unwrap();
            }
            Event::AppendStart(start) => {
                if start.index == 0 {
                    self.incoming.clear();
                }
                self.incoming.push((start.flags, Vec::new()));
                self.server.answer(now, Answer::Done).unwrap();
            }
            Event::AppendEnd => {
                let (uids, change) = self.store.add(std::mem::take(&mut self.incoming));
                self.learn(change);
                self.server.answer(now, Answer::Appended { uid_validity: uid_validity(), uids: &uids }).unwrap();
            }
            Event::Idle => {
                // Another client comes.
                let (_, change) = self.store.add(vec![(Flags::new(), OTHER.to_vec())]);
                self.learn(change);
            }
            Event::Search { .. } => {
                let all: Vec<Uid> = self.store.messages.iter().map(|message| message.uid).collect();
                self.server.answer(now, Answer::Found(&all)).unwrap();
                self.server.answer(now, Answer::Done).unwrap();
            }
            Event::Connect | Event::StartTls | Event::Sync => self.server.answer(now, Answer::Done).unwrap(),
            Event::IdleEnd | Event::Deselected => {}
            Event::Abandoned => self.incoming.clear(),
            other => panic!("{other:?} {:?}", self.plan),
        }
    }
}
