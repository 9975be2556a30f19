//! One mailbox, and many at work in it at once: IMAP sessions, one of which only waits, an LMTP session that delivers, and another
//! program that delivers, flags, renames and removes files under them. What each session is told makes sense by itself, in
//! order, and in the end all know the same.
//!
//! `OPERATIONS` says how many operations each does (150), or `RUN_SECONDS` how long it goes on; `SEED` repeats a choice of operations,
//! though not how they meet.
#![cfg(feature = "maildir")]
#![allow(clippy::print_stdout, reason = "a failure is found again by the seed")]

mod imap_support;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use std::time::{Duration, Instant, SystemTime};

use imap_support::YOU;
use pillarbox::Shutdown;
use pillarbox::delivery::MailboxSink;
use pillarbox::imap::{self, ImapServer};
use pillarbox::parts::{AllowList, Identity, MailboxStore, MemoryAuthenticator, Parts};
use pillarbox::smtp::{Protocol, ServerConfig, SmtpServer};
use pillarbox::store::MaildirStore;
use pillarbox_core::{Random, SeededRandom};
use pillarbox_imap::types::{MailboxName, Uid, UidSet};
use tokio::io::{AsyncBufReadExt, DuplexStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long everybody goes on.
#[derive(Clone, Copy)]
struct Work {
    operations: usize,
    until: Option<Instant>,
}

impl Work {
    fn from_environment() -> Work {
        let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
        let until = number("RUN_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Work { operations: number("OPERATIONS").unwrap_or(150) as usize, until }
    }

    fn goes_on(&self, done: usize) -> bool {
        self.until.map_or(done < self.operations, |until| Instant::now() < until)
    }
}

fn below(random: &mut SeededRandom, n: usize) -> usize {
    (random.next_u64() % n as u64) as usize
}

/// What a client has been told of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
    ident: Option<String>,
}

/// A client that believes what it is told, and complains of what cannot be.
struct Mirror {
    name: &'static str,
    wire: imap_support::Client<DuplexStream>,
    messages: Vec<Known>,
    /// Every message that it ever knew: a UID is one message's for ever, and what went does not come back.
    idents: BTreeMap<u32, String>,
    gone: BTreeSet<u32>,
    /// Those who do something for each thing that this one does, so that all are at work from beginning to end.
    keep_step: Vec<UnboundedSender<usize>>,
}

impl Mirror {
    async fn new(server: &ImapServer, name: &'static str) -> Mirror {
        let (here, there) = tokio::io::duplex(1 << 16);
        let server = server.clone();
        tokio::spawn(async move { server.serve_connection(there, None, &Shutdown::new()).await });
        let mut wire = imap_support::Client::new(here);
        assert!(wire.line().await.starts_with("* OK "));
        wire.ok("LOGIN you@localhost secret").await;
        let (messages, idents, gone, keep_step) = (Vec::new(), BTreeMap::new(), BTreeSet::new(), Vec::new());
        let mut new = Mirror { name, wire, messages, idents, gone, keep_step };
        new.command("SELECT INBOX", true).await;
        new
    }

    fn hear(&mut self, line: &str, may_expunge: bool) {
        let Some((number, what)) = line.strip_prefix("* ").and_then(|rest| rest.split_once(' ')) else { return };
        let Ok(number) = number.parse::<usize>() else { return };
        let name = self.name;
        if what.starts_with("EXISTS") {
            assert!(number >= self.messages.len(), "{name}: {line} after {}", self.messages.len());
            self.messages.resize(number, Known::default());
            return;
        }
        if what.starts_with("RECENT") {
            return;
        }
        assert!((1..=self.messages.len()).contains(&number), "{name}: {line} of {}", self.messages.len());
        if what.starts_with("EXPUNGE") {
            assert!(may_expunge, "{name}: {line} where numbers must stay");
            self.gone.extend(self.messages.remove(number - 1).uid);
        } else if what.starts_with("FETCH") {
            self.hear_fetch(number, what);
        }
    }

    fn hear_fetch(&mut self, number: usize, what: &str) {
        let name = self.name;
        let between = |from: &str, to: char| Some(what.split_once(from)?.1.split_once(to)?.0.to_owned());
        let known = &mut self.messages[number - 1];
        if let Some(uid) = between("UID ", ' ').and_then(|uid| uid.trim_end_matches([')', '\r', '\n']).parse().ok()) {
            assert!(known.uid.is_none_or(|before| before == uid), "{name}: {number} was {known:?}: {what}");
            assert!(!self.gone.contains(&uid), "{name}: UID {uid} is back: {what}");
            known.uid = Some(uid);
        }
        if let Some(flags) = between("FLAGS (", ')') {
            known.flags =
                Some(flags.split_whitespace().filter(|flag| *flag != "\\Recent").map(str::to_owned).collect());
        }
        if let (Some(ident), Some(uid)) = (between("X-Ident: ", '\r'), known.uid) {
            let before = self.idents.insert(uid, ident.clone());
            assert!(before.is_none_or(|before| before == ident), "{name}: UID {uid} is another message: {what}");
            known.ident = Some(ident);
        }
        let uids: Vec<u32> = self.messages.iter().filter_map(|known| known.uid).collect();
        assert!(uids.is_sorted_by(|a, b| a < b), "{name}: UIDs out of order: {uids:?}");
    }

    /// A command with all that comes up to its answer; its last line.
    async fn command(&mut self, command: &str, may_expunge: bool) -> String {
        let tag = self.wire.begin(command).await;
        loop {
            let line = self.wire.line().await;
            if let Some(last) = line.strip_prefix(&tag) {
                assert!(!last.starts_with("BAD"), "{}: {command}: {last}", self.name);
                return last.to_owned();
            }
            self.hear(&line, may_expunge);
        }
    }

    /// Asks for what it only counts.
    async fn catch_up(&mut self) {
        let unknown = |known: &Known| known.uid.is_none() || known.flags.is_none() || known.ident.is_none();
        if let Some(first) = self.messages.iter().position(unknown) {
            let fetch = format!("FETCH {}:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (X-Ident)])", first + 1);
            self.command(&fetch, false).await;
        }
    }

    async fn work(&mut self, work: Work, seed: u64) {
        let random = &mut SeededRandom::new(seed);
        for n in 0.. {
            if !work.goes_on(n) {
                self.keep_step.clear();
                return;
            }
            self.keep_step.iter().for_each(|other| other.send(n).unwrap());
            // Few, so that all meet.
            let (count, choice) = (self.messages.len(), below(random, if self.messages.len() > 40 { 8 } else { 12 }));
            let number = 1 + below(random, count.max(1));
            let flags = ["\\Seen", "\\Flagged work", "later", "\\Answered \\Draft"][below(random, 4)];
            let how = ["FLAGS", "+FLAGS", "-FLAGS", "+FLAGS.SILENT"][below(random, 4)];
            match choice {
                0 if count > 0 => {
                    self.command(&format!("STORE {number} {how} ({flags})"), false).await;
                    if how == "+FLAGS.SILENT" {
                        // What it asked for is what it knows only if nobody else was there.
                        self.messages[number - 1].flags = None;
                    }
                }
                1 if count > 0 => {
                    if let Some(uid) = self.messages[number - 1].uid {
                        self.command(&format!("UID STORE {uid} {} ({flags})", how.trim_end_matches(".SILENT")), true)
                            .await;
                    }
                }
                2 | 3 if count > 0 => {
                    // Who delivers does not wait for anybody.
                    let set = if count > 60 { format!("1:{}", count / 2) } else { number.to_string() };
                    self.command(&format!("STORE {set} +FLAGS (\\Deleted)"), false).await;
                    self.command("EXPUNGE", true).await;
                }
                4 if count > 0 => _ = self.command(&format!("COPY {number} INBOX"), true).await,
                5 => self.catch_up().await,
                6 if count > 0 => {
                    let last = (number + 5).min(count);
                    self.command(&format!("FETCH {number}:{last} (UID FLAGS)"), false).await;
                }
                7 => _ = self.command("NOOP", true).await,
                _ => {
                    let text = format!("Subject: x\r\nX-Ident: {}-{n}\r\n\r\nx\r\n", self.name);
                    let command = format!("APPEND INBOX ({flags}) {{{}+}}\r\n{text}", text.len());
                    assert!(self.command(&command, true).await.starts_with("OK"));
                }
            }
        }
    }

    /// Waits in IDLE for whatever comes, until it is told that all is over.
    async fn wait(&mut self, over: &Notify) {
        let tag = self.wire.begin("IDLE").await;
        loop {
            let line = tokio::select! {
                biased;
                // Nothing is lost if the other is quicker: what was read stays in the buffer.
                filled = self.wire.stream.fill_buf() => {
                    filled.unwrap();
                    self.wire.line().await
                }
                () = over.notified() => break,
            };
            self.hear(&line, true);
        }
        self.wire.send("DONE\r\n").await;
        loop {
            let line = self.wire.line().await;
            if line.starts_with(&tag) {
                return;
            }
            self.hear(&line, true);
        }
    }
}

/// Works on the files, with nothing but the conventions of a Maildir.
fn another_program(inbox: &Path, mut steps: UnboundedReceiver<usize>, seed: u64) {
    let random = &mut SeededRandom::new(seed);
    let any_file = |random: &mut SeededRandom| -> Option<PathBuf> {
        let files: Vec<PathBuf> = ["cur", "new"]
            .iter()
            .flat_map(|name| fs::read_dir(inbox.join(name)).unwrap())
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        (!files.is_empty()).then(|| files[below(random, files.len())].clone())
    };
    while let Some(n) = steps.blocking_recv() {
        let file = any_file(random);
        // Whoever was quicker has renamed or removed it: then it is another's turn.
        match (below(random, 6), file) {
            (0, _) => {
                let name = format!("{}.{n}.other", SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs());
                fs::write(inbox.join("tmp").join(&name), format!("X-Ident: other-{n}\n\nx\n")).unwrap();
                fs::rename(inbox.join("tmp").join(&name), inbox.join("new").join(&name)).unwrap();
            }
            (1, Some(file)) => _ = fs::remove_file(file),
            (_, Some(file)) => {
                let name = file.file_name().unwrap().to_str().unwrap();
                let base = name.split(":2,").next().unwrap();
                let letters = ["", "S", "FS", "R", "DRS"][below(random, 5)];
                _ = fs::rename(&file, inbox.join("cur").join(format!("{base}:2,{letters}")));
            }
            _ => {}
        }
    }
}

/// Every message by UID with its flags, as somebody sees it who was not there.
async fn truth(root: &Path) -> BTreeMap<u32, BTreeSet<String>> {
    let root = root.to_owned();
    let store = MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")));
    let mut inbox = store.open(&Identity::new(YOU), &MailboxName::inbox(), true).await.unwrap();
    inbox.snapshot().await.unwrap();
    let all: UidSet = [Uid::MIN..=Uid::MAX].into_iter().collect();
    let messages = inbox.messages(&all).await.unwrap().into_iter();
    messages.map(|known| (known.uid.get(), known.flags.iter().map(|flag| flag.to_string()).collect())).collect()
}

// MDR-12
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_views_are_legal_and_become_one() {
    let work = Work::from_environment();
    let given = std::env::var("SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed: u64 = given.unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("seed {seed}");
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let store = Arc::new(MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir"))));
    // With a clock that goes on: who waits is told of news now and then.
    let accounts = MemoryAuthenticator::new().with(YOU, "secret");
    let parts = Parts { store: store.clone(), authenticator: Arc::new(accounts), ..Parts::in_memory() };
    let mut config = imap::ServerConfig::default();
    config.login_without_tls = true;
    let server = ImapServer::new(config, parts);
    let mut sessions = Vec::new();
    for name in ["one", "two"] {
        sessions.push(Mirror::new(&server, name).await);
    }
    let mut waiting = Mirror::new(&server, "waiting").await;
    let inbox = dir.path().join(YOU).join("Maildir");
    let over = Arc::new(Notify::new());
    let waits = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            waiting.wait(&over).await;
            waiting
        }
    });
    let (to_other, steps) = unbounded_channel();
    let other = tokio::task::spawn_blocking(move || another_program(&inbox, steps, seed));
    let (to_deliver, steps) = unbounded_channel();
    let delivers = tokio::spawn(deliver(store, steps));
    sessions[0].keep_step = vec![to_other, to_deliver];
    let works = sessions.into_iter().zip(1..).map(|(mut session, n)| {
        tokio::spawn(async move {
            session.work(work, seed.wrapping_add(n)).await;
            session
        })
    });
    let mut sessions = Vec::new();
    for session in works.collect::<Vec<_>>() {
        sessions.push(session.await.unwrap());
    }
    other.await.unwrap();
    let delivered = delivers.await.unwrap();
    over.notify_one();
    sessions.push(waits.await.unwrap());

    let truth = truth(dir.path()).await;
    // What was hidden behind a change of the same moment shows when the folder has been at rest.
    let patience = Instant::now() + Duration::from_secs(30);
    for session in &mut sessions {
        loop {
            session.command("NOOP", true).await;
            session.catch_up().await;
            let view = session.messages.iter().map(|known| (known.uid.unwrap(), known.flags.clone().unwrap()));
            let view: BTreeMap<_, _> = view.collect();
            if view == truth || Instant::now() > patience {
                assert_eq!(view, truth, "{}", session.name);
                break;
            }
        }
        assert!(session.messages.iter().all(|known| known.ident.is_some()));
    }
    // What one saw under a UID nobody saw as another message.
    for session in &sessions {
        for (uid, ident) in &session.idents {
            let other = sessions.iter().find_map(|other| other.idents.get(uid).filter(|seen| *seen != ident));
            assert_eq!(other, None, "UID {uid} was {ident} to {}", session.name);
        }
    }
    let came = sessions.iter().flat_map(|session| session.idents.keys()).collect::<BTreeSet<_>>().len();
    println!("{delivered} delivered, {came} messages seen, {} left", truth.len());
}

/// Delivers by LMTP. Returns how many messages.
async fn deliver(store: Arc<dyn MailboxStore>, mut steps: UnboundedReceiver<usize>) -> usize {
    let parts = Parts {
        policy: Arc::new(AllowList::new([YOU])),
        sink: Arc::new(MailboxSink::new(store, |_| Some(Identity::new(YOU)))),
        ..Parts::in_memory()
    };
    let mut config = ServerConfig::new("localhost");
    config.protocol = Protocol::Lmtp;
    let server = SmtpServer::new(config, parts);
    let (here, there) = tokio::io::duplex(1 << 16);
    let session = tokio::spawn(async move { server.serve_connection(there, None, &Shutdown::new()).await });
    let mut client = support::Client::new(here);
    client.expect("220 ").await;
    client.say("LHLO client.example", "250-").await;
    let mut done = 0;
    while steps.recv().await.is_some() {
        client.say("MAIL FROM:<a@client.example>", "250 ").await;
        client.say(&format!("RCPT TO:<{YOU}>"), "250 ").await;
        client.say("DATA", "354 ").await;
        client.say(&format!("X-Ident: lmtp-{done}\r\n\r\nx\r\n."), "250 ").await;
        done += 1;
    }
    client.say("QUIT", "221 ").await;
    session.await.unwrap();
    done
}
