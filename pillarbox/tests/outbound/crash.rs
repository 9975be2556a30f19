//! The power fails after every change of the disk on the way of a message: chunk by chunk through BDAT into the queue, through an alias
//! into other messages, and out to other servers. Every disk that may be left is started from, and runs until nothing waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::Shutdown;
use pillarbox::outbound::{Aliases, Forward, Srs};
use pillarbox::parts::{BoxFuture, Parts, Policy, Session, Verdict};
use pillarbox::smtp::{ServerConfig, SmtpServer};
use pillarbox::smtp_proto::server::{Mail, Rcpt};
use pillarbox_core::Reply;
use pillarbox_core::dns::{FixedZone, Record};
use pillarbox_fs::SimulatedFs;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

use crate::net::{Fault, Mailboxes, Net, Paused, Script};
use crate::station::{OURS, Station, config, parts, routes};

/// Disks that are looked at after each power cut.
const PER_CUT: usize = 12;
const ALIASES: &str = "team: \\team, ann@far.example, bob@far.example\nbox: eve@far.example\n";

/// All is well elsewhere.
struct Fine;

impl Script for Fine {
    fn fault(&self, _host: &str) -> Option<Fault> {
        None
    }

    fn rcpt(&self, _host: &str, to: &str) -> Verdict {
        match to.starts_with("never") {
            true => Verdict::Refuse(Reply::enhanced(550, 5, 1, 1, "no such user")),
            false => Verdict::Accept,
        }
    }

    fn end(&self, _host: &str) -> Option<Reply> {
        None
    }
}

/// Whoever comes is served.
struct Open;

impl Policy for Open {
    fn sender<'a>(&'a self, _session: &'a Session, _mail: &'a Mail<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async { Verdict::Accept })
    }

    fn recipient<'a>(&'a self, _session: &'a Session, _rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async { Verdict::Accept })
    }
}

fn net() -> Arc<Net> {
    let net = Net::new(Paused::new(), Arc::new(Fine));
    Arc::new(net.host("192.0.2.1", "far", ServerConfig::new("far.example")))
}

fn station(net: &Arc<Net>, fs: SimulatedFs, seed: u64) -> Station {
    let zone = FixedZone::new().with("far.example", Record::A([192, 0, 2, 1].into()));
    let mut table = routes(net);
    let mailboxes = Arc::new(Mailboxes(net.copies.clone(), net.now.clone()));
    let srs = Srs::new("srs.here.example", ["secret"]).unwrap();
    let aliases = Aliases::parse(ALIASES, "here.example").unwrap();
    Arc::new(Forward::new(aliases, Some(srs)).mailboxes(mailboxes)).add_to(&mut table).unwrap();
    Station::begin(fs, seed, config(), |diary| parts(net, zone, diary), table)
}

/// A client that sends chunk by chunk.
struct Client {
    wire: BufReader<DuplexStream>,
    fs: SimulatedFs,
}

impl Client {
    async fn new(station: &Station) -> Self {
        let (near, far) = duplex(64 * 1024);
        let parts = Parts { policy: Arc::new(Open), sink: Arc::new(station.sink.clone()), ..Parts::in_memory() };
        let server = SmtpServer::new(ServerConfig::new(OURS), parts);
        tokio::spawn(async move { server.serve_connection(far, None, &Shutdown::new()).await });
        let mut client = Client { wire: BufReader::new(near), fs: station.fs.clone() };
        client.reply("220").await;
        client.ask("EHLO client.example\r\n", "250").await;
        client
    }

    async fn reply(&mut self, code: &str) {
        loop {
            let mut line = String::new();
            self.wire.read_line(&mut line).await.unwrap();
            assert!(line.starts_with(code), "{line}");
            if line.as_bytes()[3] == b' ' {
                return;
            }
        }
    }

    async fn ask(&mut self, command: &str, code: &str) {
        self.wire.get_mut().write_all(command.as_bytes()).await.unwrap();
        self.reply(code).await;
    }

    async fn begin(&mut self, from: &str, to: &[&str]) {
        self.ask(&format!("MAIL FROM:<{from}>\r\n"), "250").await;
        for to in to {
            self.ask(&format!("RCPT TO:<{to}>\r\n"), "250").await;
        }
    }

    /// A message in these chunks; the changes of the disk at the moment of the last answer.
    async fn chunks(&mut self, chunks: &[String]) -> u64 {
        for (n, chunk) in chunks.iter().enumerate() {
            let last = if n + 1 == chunks.len() { " LAST" } else { "" };
            self.ask(&format!("BDAT {}{last}\r\n{chunk}", chunk.len()), "250").await;
        }
        self.fs.changes()
    }
}

/// Who gets a message: its token, and how many copies each has, whatever it turns into.
type Expected = (&'static str, Vec<&'static str>, u64);

/// Starts from every disk, and looks where the copies of the messages went, before the cut and after it.
#[allow(clippy::print_stdout)] // How many disks there were.
async fn explore(scenario: &str, net: &Net, fs: &SimulatedFs, expected: &[Expected], never: &[&str]) -> usize {
    let mut disks = 0;
    let (mut twice, mut before) = (0, 0);
    for crash in fs.recorded() {
        for image in crash.images(PER_CUT, crash.changes()) {
            disks += 1;
            let second = self::net();
            let station = station(&second, image, 1000 + disks as u64);
            tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
            let case = || format!("{scenario}, {crash:?}: {:#?}", station.lines());
            assert_eq!(station.handle().usage().messages, 0, "{}", case());
            let mut got: BTreeMap<(String, String), usize> = BTreeMap::new();
            let first: Vec<_> = net.copies.lock().unwrap().clone();
            let first = first.into_iter().filter(|copy| copy.at.1 <= crash.changes());
            before += first.clone().count();
            for copy in first.chain(second.copies.lock().unwrap().clone()) {
                let text = String::from_utf8([&copy.envelope.trace[..], &copy.octets].concat()).unwrap();
                let token = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or("notice");
                let is_whole = token == "notice" || text.ends_with("the end\r\n");
                assert!(is_whole && !never.contains(&token), "a copy of {token}: {}", case());
                *got.entry((token.into(), copy.to)).or_default() += 1;
            }
            for (token, all, answered) in expected {
                let count = |to: &&str| got.get(&((*token).into(), (*to).into())).copied().unwrap_or(0);
                let counts: Vec<usize> = all.iter().map(count).collect();
                // All of them, or none where there was no answer yet: no copy is lost in the middle of becoming several.
                let is_there = counts.iter().all(|count| *count >= 1);
                let is_not = *answered > crash.changes() && counts.iter().all(|count| *count == 0);
                assert!(is_there || is_not, "{token}: {counts:?} of {all:?}: {}", case());
                assert!(counts.iter().all(|count| *count <= 2), "{token}: {counts:?}: {}", case());
                twice += counts.iter().filter(|count| **count == 2).count();
            }
            drop(station.stop().await);
        }
    }
    println!("{scenario}: {disks} disks, {before} copies before the cut, {twice} of them twice");
    disks
}

// DUR-03, DUR-08, RFC 3030 §2: a chunk that is not the last promises nothing.
#[tokio::test(start_paused = true)]
async fn every_cut_while_chunks_come() {
    let net = net();
    let here = station(&net, SimulatedFs::new(), 1);
    net.now.begin(0, &here.fs);
    here.fs.record();
    let mut client = Client::new(&here).await;
    client.begin("joe@else.example", &["ann@far.example"]).await;
    let small = ["Subject: small\r\n\r\n", "one\r\n", "the end\r\n"].map(String::from);
    let small = client.chunks(&small).await;
    client.begin("joe@else.example", &["ann@far.example", "bob@here.example"]).await;
    // It gets a file of its own on the way, and the last chunk is empty.
    let filling = format!("{}\r\n", "x".repeat(900));
    let chunks =
        ["Subject: large\r\n\r\n".into(), filling.repeat(4), filling.repeat(8), "the end\r\n".into(), "".into()];
    let large = client.chunks(&chunks).await;
    for octets in [100, 9000] {
        client.begin("joe@else.example", &["ann@far.example"]).await;
        let chunk = format!("Subject: given up\r\n\r\n{}the end\r\n", "x\r\n".repeat(octets / 3));
        client.ask(&format!("BDAT {}\r\n{chunk}", chunk.len()), "250").await;
        client.ask("RSET\r\n", "250").await;
    }
    client.begin("joe@else.example", &["ann@far.example"]).await;
    let chunk = format!("Subject: cut off\r\n\r\n{}the end\r\n", filling.repeat(9));
    client.ask(&format!("BDAT {}\r\n{chunk}", chunk.len()), "250").await;
    drop(client);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let expected =
        [("small", vec!["ann@far.example"], small), ("large", vec!["ann@far.example", "bob@here.example"], large)];
    let disks = explore("BDAT", &net, &here.fs, &expected, &["given up", "cut off"]).await;
    assert!(disks > 60, "only {disks} disks");
}

// DUR-05: a message turns into others in one commit, and goes on from there.
#[tokio::test(start_paused = true)]
async fn every_cut_while_an_alias_is_followed() {
    let net = net();
    let here = station(&net, SimulatedFs::new(), 1);
    net.now.begin(0, &here.fs);
    here.fs.record();
    let mut expected = Vec::new();
    for (token, octets) in [("small", 10), ("large", 6000)] {
        let mut client = Client::new(&here).await;
        client.begin("joe@else.example", &["team@here.example", "box@here.example", "joe@here.example"]).await;
        let filling = format!("{}\r\n", "x".repeat(70)).repeat(octets / 70);
        let answered = client.chunks(&[format!("Subject: {token}\r\n\r\n{filling}the end\r\n")]).await;
        let all = ["team@here.example", "ann@far.example", "bob@far.example", "eve@far.example", "joe@here.example"];
        expected.push((token, all.to_vec(), answered));
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let disks = explore("alias", &net, &here.fs, &expected, &[]).await;
    assert!(disks > 200, "only {disks} disks");
}
