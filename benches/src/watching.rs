//! Section 11: what a thousand sessions that watch a mailbox by NOTIFY cost whoever delivers into it, and the memory they hold.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pillarbox::Shutdown;
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::parts::{Append, Identity, MailboxStore, MemoryAuthenticator, Parts};
use pillarbox::store::{MaildirStore, MemoryStore};
use pillarbox_imap::types::MailboxName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Runtime};

use crate::allocation::counted;
use crate::measure::{cpu_time, cpu_time_of_all};
use crate::report::{Goal, Quantity, Row, Spread, Unit};
use crate::sample;

const YOU: &str = "you@localhost";
/// What the pipe between a session and its client holds.
const PIPE: usize = 1024;

#[derive(Clone, Copy, PartialEq)]
enum Watch {
    /// INBOX is selected, and each message there is told.
    Selected,
    /// Nothing is selected; the numbers of all mailboxes are told, of which INBOX is the only one.
    Personal,
}

impl Watch {
    fn commands(self) -> &'static [&'static str] {
        match self {
            Watch::Selected => {
                &["a SELECT INBOX\r\n", "a NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))\r\n"]
            }
            Watch::Personal => &["a NOTIFY SET (personal (MessageNew MessageExpunge FlagChange))\r\n"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Watch::Selected => "selected",
            Watch::Personal => "personal",
        }
    }
}

/// A server without sockets, its sessions on threads of their own.
struct Server {
    server: ImapServer,
    store: Arc<dyn MailboxStore>,
    sessions: Runtime,
    /// Of those who read nothing.
    silent: Vec<DuplexStream>,
}

impl Server {
    fn over(store: Arc<dyn MailboxStore>) -> Self {
        let mut config = ServerConfig::default();
        (config.login_without_tls, config.extensions.notify) = (true, true);
        let parts = Parts {
            store: Arc::clone(&store),
            authenticator: Arc::new(MemoryAuthenticator::new().with(YOU, "secret")),
            ..Parts::in_memory()
        };
        let sessions = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        Server { server: ImapServer::new(config, parts), store, sessions, silent: Vec::new() }
    }

    fn watched_by(mut self, count: usize, watch: Watch, reads: bool) -> Self {
        for _ in 0..count {
            let (mut client, there) = tokio::io::duplex(PIPE);
            let server = self.server.clone();
            self.sessions.spawn(async move { server.serve_connection(there, None, &Shutdown::new()).await });
            self.sessions.block_on(async {
                heard(&mut client, "* OK ").await;
                for command in ["a LOGIN you@localhost secret\r\n"].iter().chain(watch.commands()) {
                    client.write_all(command.as_bytes()).await.expect("the session is there");
                    heard(&mut client, "a OK ").await;
                }
            });
            match reads {
                true => drop(self.sessions.spawn(async move {
                    let mut octets = [0; PIPE];
                    while client.read(&mut octets).await.is_ok_and(|count| count > 0) {}
                })),
                false => self.silent.push(client),
            }
        }
        self
    }

    /// On the thread that calls, if the store needs no other.
    fn deliver(&self, messages: usize) {
        let message = sample::small();
        let (user, inbox) = (Identity::new(YOU), MailboxName::inbox());
        let deliverer = Builder::new_current_thread().enable_all().build().expect("a thread");
        deliverer.block_on(async {
            for _ in 0..messages {
                let mut append = self.store.append(&user, &inbox, Append::default()).await.expect("there is room");
                append.write(&message).await.expect("there is room");
                append.publish().await.expect("there is room");
            }
        });
    }
}

/// Reads until a line begins so.
async fn heard(client: &mut DuplexStream, start: &str) {
    let (mut all, mut octets) = (Vec::new(), [0; PIPE]);
    loop {
        let count = client.read(&mut octets).await.expect("the session is there");
        assert!(count > 0, "the session ended: {}", all.escape_ascii());
        all.extend_from_slice(&octets[..count]);
        let text = String::from_utf8_lossy(&all);
        if text.ends_with("\r\n") && text.lines().last().is_some_and(|line| line.starts_with(start)) {
            return;
        }
    }
}

pub fn rows(dir: &Path, quick: bool) -> Vec<Row> {
    let (sessions, in_memory, on_disk, rounds) = if quick { (100, 5_000, 500, 2) } else { (1000, 30_000, 5_000, 3) };
    let mut rows = Vec::new();
    for watch in [Watch::Selected, Watch::Personal] {
        let each = |sessions| {
            let server = Server::over(Arc::new(MemoryStore::new())).watched_by(sessions, watch, true);
            cpu_time(|| server.deliver(in_memory)).as_nanos() as f64 / in_memory as f64
        };
        let (mut alone, mut watched) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            alone.push(each(0));
            watched.push(each(sessions));
        }
        rows.push(Row {
            section: 11,
            name: format!("memory store, a delivery, {sessions} watch ({})", watch.name()),
            ours: Quantity { unit: Unit::Nanoseconds, spread: Spread::of(watched) },
            allocations: None,
            peer: None,
            ratio: None,
            goals: vec![Goal::AtMost(Spread::of(alone.clone()).median * 1.1)],
            note: format!("processor time of the thread that delivers; nobody watches: {}", nanoseconds(alone)),
        });
        rows.push(on_the_disk(dir, watch, sessions, on_disk, rounds));
        rows.extend(memory(watch, sessions, in_memory));
    }
    rows
}

fn nanoseconds(samples: Vec<f64>) -> String {
    Quantity { unit: Unit::Nanoseconds, spread: Spread::of(samples) }.to_string()
}

/// Messages in a second by the clock on the wall; the sessions take their part of the same processors. What all take of the
/// processors for a delivery says the same where other programs keep them busy.
fn on_the_disk(dir: &Path, watch: Watch, sessions: usize, messages: usize, rounds: usize) -> Row {
    let rate = |sessions| {
        let folder = tempfile::tempdir_in(dir).expect("a place to work in");
        let root = folder.path().to_owned();
        let store = MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")));
        let server = Server::over(Arc::new(store));
        // The account is made by the first delivery.
        server.deliver(1);
        let server = server.watched_by(sessions, watch, true);
        let start = Instant::now();
        let taken = cpu_time_of_all(|| server.deliver(messages));
        let rate = messages as f64 / start.elapsed().as_secs_f64();
        server.sessions.shutdown_timeout(Duration::from_secs(10));
        (rate, taken.as_nanos() as f64 / messages as f64)
    };
    let (mut alone, mut watched) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(rate(0));
        watched.push(rate(sessions));
    }
    let ((alone, taken_alone), (watched, taken)): ((Vec<_>, Vec<_>), (Vec<_>, Vec<_>)) =
        (alone.into_iter().unzip(), watched.into_iter().unzip());
    let at_least = Spread::of(alone.clone()).median * 0.9;
    let alone = Quantity { unit: Unit::MessagesPerSecond, spread: Spread::of(alone) };
    let (taken, taken_alone) = (nanoseconds(taken), nanoseconds(taken_alone));
    Row {
        section: 11,
        name: format!("Maildir, deliveries one by one, {sessions} watch ({})", watch.name()),
        ours: Quantity { unit: Unit::MessagesPerSecond, spread: Spread::of(watched) },
        allocations: None,
        peer: None,
        ratio: None,
        goals: vec![Goal::AtLeast(at_least)],
        note: format!(
            "clock on the wall until the last delivery is done, the sessions on the same two cores; nobody watches: {alone}; \
             processor time of all threads for a delivery: {taken}, and {taken_alone} where nobody watches"
        ),
    }
}

/// What a session holds when it has begun to watch, and what it holds more when its client has read nothing of many deliveries.
fn memory(watch: Watch, sessions: usize, messages: usize) -> [Row; 2] {
    let bare = Server::over(Arc::new(MemoryStore::new()));
    let (_, _, kept) = counted(|| bare.deliver(messages));
    let (server, _, begun) = counted(|| Server::over(Arc::new(MemoryStore::new())).watched_by(sessions, watch, false));
    // Long enough for each session to fill its pipe, however often it waits for more before it tells.
    let (_, _, delivered) = counted(|| {
        server.deliver(messages / 2);
        std::thread::sleep(Duration::from_secs(2));
        server.deliver(messages - messages / 2);
        std::thread::sleep(Duration::from_secs(2));
    });
    let row = |name: &str, octets: isize, note: String| Row {
        section: 11,
        name: format!("memory of a session that watches ({}), {name}", watch.name()),
        ours: Quantity { unit: Unit::Octets, spread: Spread::exact(octets as f64 / sessions as f64) },
        allocations: None,
        peer: None,
        ratio: None,
        goals: vec![],
        note,
    };
    let behind =
        format!("{messages} deliveries, of which its client has read nothing; the log that all share is in it");
    [
        row(
            "begun",
            begun,
            format!("mean of {sessions}, with the task, both buffers of the driver, and what the pipe holds"),
        ),
        row("behind", delivered - kept, behind),
    ]
}
