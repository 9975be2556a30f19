//! Our client against our server over a link in memory that splits, delays, breaks and goes silent, with a clock that is
//! moved by hand.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::{Layer, LayerFacts, Reply, Step, Time, TlsFacts, UpgradeError};
use pillarbox_smtp::client::{self, ClientConfig, ClientSession, Envelope, RecipientOutcome};
use pillarbox_smtp::server::{self, Peer, Protocol, ServerConfig, ServerSession};

/// What the link does to a conversation.
#[derive(Clone, Copy, Debug)]
struct Link {
    protocol: Protocol,
    starttls: bool,
    pipelining: bool,
    /// How many octets arrive at once.
    piece: usize,
    /// How long each piece takes.
    delay: Duration,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Both sides see the end of the connection once the server was shown so many octets.
    BreakToServer(usize),
    BreakToClient(usize),
    /// Nothing arrives any more, on either side, and nobody is told.
    SilenceToServer(usize),
    SilenceToClient(usize),
}

impl Link {
    const fn new(protocol: Protocol) -> Self {
        Link {
            protocol,
            starttls: false,
            pipelining: true,
            piece: 1000,
            delay: Duration::from_millis(10),
            fault: Fault::None,
        }
    }
}

/// The messages that the client sends: senders tell them apart, and each has its body. The first one is a trap for a server
/// that takes a bare newline for a line end, and for a client that sends one.
const MESSAGES: [(&str, &[&str], &str); 3] = [
    ("<m0@c.example>", &["<u@own.example>", "<nobody@own.example>", "<full@own.example>"], "a\r\n.\r\nb\n.\nQUIT\r.\r"),
    ("<m1@c.example>", &["<nobody@own.example>"], "never"),
    ("<m2@c.example>", &["<slow@own.example>", "<Postmaster>"], ""),
];

/// What the bodies of the first and the last message are once they arrived.
const ARRIVED: [&str; 3] = ["a\r\n.\r\nb\r\n.\r\nQUIT . \r\n", "", ""];

/// Who has what at the end. Pairs are (message, recipient).
#[derive(Debug, Default)]
struct Report {
    /// What the client was told, by message.
    sent: Vec<Vec<RecipientOutcome>>,
    begun: usize,
    failed: bool,
    /// What the server has promised to keep.
    kept: BTreeSet<(usize, usize)>,
    to_server: usize,
    to_client: usize,
}

impl Report {
    fn delivered(&self) -> BTreeSet<(usize, usize)> {
        let mut delivered = BTreeSet::new();
        for (message, outcomes) in self.sent.iter().enumerate() {
            for (recipient, outcome) in outcomes.iter().enumerate() {
                if matches!(outcome, RecipientOutcome::Delivered(_)) {
                    delivered.insert((message, recipient));
                }
            }
        }
        delivered
    }
}

/// One direction.
#[derive(Default)]
struct Pipe {
    wire: VecDeque<u8>,
    arrived: usize,
    unread: Vec<u8>,
}

impl Pipe {
    /// Takes what was written, and brings a piece of what is under way; tells whether anything moved.
    fn carry(&mut self, written: &[u8], piece: usize, limit: usize, max_unread: usize) -> bool {
        self.wire.extend(written);
        let room = max_unread.saturating_sub(self.unread.len());
        let n = piece.min(self.wire.len()).min(limit - self.arrived).min(room);
        self.unread.extend(self.wire.drain(..n));
        self.arrived += n;
        n > 0 || !written.is_empty()
    }

    fn used(&mut self, left: usize) -> bool {
        let used = self.unread.len() - left;
        self.unread.drain(..used);
        used > 0
    }
}

struct Pair {
    link: Link,
    now: Time,
    client: ClientSession,
    server: ServerSession,
    to_server: Pipe,
    to_client: Pipe,
    report: Report,
    /// The message that the client sends, as far as it was not handed over.
    body: &'static [u8],
    /// The transaction at the server: which message, its accepted recipients, the body.
    message: usize,
    accepted: Vec<(usize, bool)>,
    stored: Vec<u8>,
    client_upgrades: bool,
    server_upgrades: bool,
    client_closed: bool,
    server_closed: bool,
}

impl Pair {
    fn new(link: Link) -> Self {
        let mut config = ClientConfig::new("c.example").unwrap();
        config.protocol = link.protocol;
        config.pipelining = link.pipelining;
        let mut server = ServerConfig::new("own.example");
        server.protocol = link.protocol;
        server.starttls = link.starttls;
        Pair {
            link,
            now: Time::ZERO,
            client: ClientSession::new(config),
            server: ServerSession::new(Arc::new(server), Peer::default()),
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            report: Report::default(),
            body: b"",
            message: 0,
            accepted: Vec::new(),
            stored: Vec::new(),
            client_upgrades: false,
            server_upgrades: false,
            client_closed: false,
            server_closed: false,
        }
    }

    fn run(mut self) -> Report {
        let (mut broken, mut server_eof, mut client_eof) = (false, false, false);
        for _ in 0..100_000 {
            let mut moved = self.client_turn();
            moved |= self.server_turn();
            moved |= self.carry();
            if self.client_upgrades && self.server_upgrades {
                self.upgrade(true);
                moved = true;
            }
            if self.client_closed && self.server_closed {
                self.report.to_server = self.to_server.arrived;
                self.report.to_client = self.to_client.arrived;
                return self.report;
            }
            if moved {
                self.now = self.now + self.link.delay;
                continue;
            }
            // Nothing moves: the connection is broken, or one side has closed it, or time has to pass.
            let is_broken = match self.link.fault {
                Fault::BreakToServer(n) => self.to_server.arrived == n,
                Fault::BreakToClient(n) => self.to_client.arrived == n,
                _ => false,
            };
            if is_broken && !broken {
                broken = true;
                self.upgrade(false);
                self.client.handle_eof(self.now);
                self.server.handle_eof(self.now);
            } else if self.client_closed && !server_eof {
                server_eof = true;
                self.server.handle_eof(self.now);
            } else if self.server_closed && !client_eof {
                client_eof = true;
                self.client.handle_eof(self.now);
            } else {
                // Over a silent link a handshake times out by the driver's clock.
                self.upgrade(false);
                let deadlines = [self.client.deadline(), self.server.deadline()];
                if let Some(deadline) = deadlines.into_iter().flatten().min() {
                    self.now = self.now.max(deadline);
                }
                self.client.handle_timeout(self.now);
                self.server.handle_timeout(self.now);
            }
        }
        panic!("no end: {:?}", self.link);
    }

    fn limits(&self) -> (usize, usize) {
        let (mut server, mut client) = (usize::MAX, usize::MAX);
        match self.link.fault {
            Fault::None => {}
            Fault::BreakToServer(n) | Fault::SilenceToServer(n) => server = n,
            Fault::BreakToClient(n) | Fault::SilenceToClient(n) => client = n,
        }
        // Silence in one direction is silence in the other, too.
        if self.to_server.arrived == server || self.to_client.arrived == client {
            (server, client) = (self.to_server.arrived, self.to_client.arrived);
        }
        (server, client)
    }

    fn carry(&mut self) -> bool {
        let (server_limit, client_limit) = self.limits();
        let written = self.client.output().to_vec();
        self.client.consume_output(self.now, written.len());
        let mut moved = self.to_server.carry(&written, self.link.piece, server_limit, self.server.max_unread());
        let written = self.server.output().to_vec();
        self.server.consume_output(self.now, written.len());
        let (_, client_limit) = if moved { self.limits() } else { (0, client_limit) };
        moved |= self.to_client.carry(&written, self.link.piece, client_limit, self.client.max_unread());
        moved
    }

    fn upgrade(&mut self, works: bool) {
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
        let mut unread = &self.to_client.unread[..];
        let step = self.client.poll(self.now, &mut unread);
        let left = unread.len();
        let mut moved = self.to_client.used(left);
        match step {
            Step::Event(event) => {
                self.heard(event);
                moved = true;
            }
            Step::NeedAnswer => {
                // Small pieces, so that many of them are under way when the link breaks.
                let n = self.body.len().min(5).min(self.client.room());
                let answer =
                    if self.body.is_empty() { client::Answer::BodyEnd } else { client::Answer::Body(&self.body[..n]) };
                self.client.answer(self.now, answer).unwrap();
                self.body = &self.body[n..];
                moved = true;
            }
            Step::Upgrade(layer) => {
                assert_eq!(layer, Layer::Tls);
                self.client_upgrades = true;
            }
            Step::Closed => self.client_closed = true,
            Step::NeedInput => {}
            Step::NeedTime => unreachable!("a client delays nothing"),
        }
        moved
    }

    fn heard(&mut self, event: client::Event) {
        match event {
            client::Event::Ready => {
                let answer = match MESSAGES.get(self.report.begun) {
                    Some((from, to, body)) => {
                        self.report.begun += 1;
                        self.body = body.as_bytes();
                        let path = |text: &'static &str| ForwardPath::take(text.as_bytes(), false).unwrap().0;
                        let from = ReversePath::take(from.as_bytes(), false).unwrap().0;
                        client::Answer::Send(Envelope::new(from, to.iter().map(path)))
                    }
                    None => client::Answer::Quit,
                };
                self.client.answer(self.now, answer).unwrap();
            }
            client::Event::Sent(outcomes) => self.report.sent.push(outcomes),
            client::Event::Failed(failure) => {
                assert!(failure.is_temporary(), "{failure}");
                self.report.failed = true;
            }
            _ => {}
        }
    }

    fn server_turn(&mut self) -> bool {
        use server::{Answer, Event};
        let mut unread = &self.to_server.unread[..];
        let step = self.server.poll(self.now, &mut unread);
        let left = unread.len();
        let mut moved = true;
        let mut answer = None;
        match step {
            Step::Event(Event::Mail(mail)) => {
                let from = mail.from.to_string();
                self.message = MESSAGES.iter().position(|(sender, ..)| *sender == from).expect("a sender of ours");
                self.accepted.clear();
                self.stored.clear();
                answer = Some(Answer::Accept);
            }
            Step::Event(Event::Rcpt(rcpt)) => {
                let to = rcpt.to.to_string();
                let index = MESSAGES[self.message].1.iter().position(|recipient| *recipient == to);
                answer = Some(match to.as_str() {
                    "<nobody@own.example>" => Answer::Refuse(Reply::enhanced(550, 5, 1, 1, "nobody")),
                    "<slow@own.example>" => Answer::Refuse(Reply::enhanced(451, 4, 3, 0, "not now")),
                    _ => {
                        let is_full = to.starts_with("<full@") && self.link.protocol == Protocol::Lmtp;
                        self.accepted.push((index.expect("a recipient of ours"), is_full));
                        Answer::Accept
                    }
                });
            }
            Step::Event(Event::Body(bytes)) => self.stored.extend_from_slice(bytes),
            Step::Event(Event::Outcome { recipient }) => {
                assert_eq!(self.stored, ARRIVED[self.message].as_bytes(), "whole or not at all");
                let (accepted, now): (&[_], _) = match recipient {
                    None => (&self.accepted, false),
                    Some(at) => (&self.accepted[at..=at], self.accepted[at].1),
                };
                answer = Some(if now {
                    Answer::Refuse(Reply::enhanced(452, 4, 2, 2, "over quota"))
                } else {
                    self.report.kept.extend(accepted.iter().map(|(recipient, _)| (self.message, *recipient)));
                    Answer::Accept
                });
            }
            Step::Event(Event::Connect | Event::Hello(_) | Event::StartTls | Event::Data) => {
                answer = Some(Answer::Accept);
            }
            // RFC 2920 §3.1: DATA goes along before anybody knows that nobody was accepted.
            Step::Event(Event::Refused { line: b"DATA", .. }) if self.accepted.is_empty() => {}
            Step::Event(Event::Refused { line, reply }) => {
                panic!("our client is refused: {} {reply}", line.escape_ascii());
            }
            Step::Event(_) => {}
            other => {
                moved = false;
                match other {
                    Step::Upgrade(_) => self.server_upgrades = true,
                    Step::Closed => self.server_closed = true,
                    _ => {}
                }
            }
        }
        moved |= self.to_server.used(left);
        if let Some(answer) = answer {
            self.server.answer(self.now, answer).unwrap();
        }
        moved
    }
}

/// What holds whatever the link does.
fn check(link: Link) -> Report {
    let report = Pair::new(link).run();
    let delivered = report.delivered();
    assert!(delivered.is_subset(&report.kept), "called delivered and not kept: {link:?} {report:?}");
    assert_eq!(report.sent.len(), report.begun, "each message is settled once: {link:?}");
    for (outcomes, (_, to, _)) in report.sent.iter().zip(MESSAGES) {
        assert_eq!(outcomes.len(), to.len());
    }
    // Refusals are believed only when they were said.
    for (message, outcomes) in report.sent.iter().enumerate() {
        for (recipient, outcome) in outcomes.iter().enumerate() {
            if matches!(outcome, RecipientOutcome::Refused(_)) {
                assert_eq!(MESSAGES[message].1[recipient], "<nobody@own.example>", "{link:?}");
            }
        }
    }
    report
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Smtp, Protocol::Lmtp];

#[test]
fn a_link_that_works_in_pieces_of_any_size() {
    for protocol in PROTOCOLS {
        for (starttls, pipelining) in [(false, true), (true, true), (false, false), (true, false)] {
            for piece in [1, 2, 3, 7, 50, 1000] {
                let report = check(Link { starttls, pipelining, piece, ..Link::new(protocol) });
                assert!(!report.failed && report.begun == MESSAGES.len(), "{report:?}");
                assert_eq!(report.delivered(), report.kept);
                let kept: &[(usize, usize)] = match protocol {
                    Protocol::Smtp => &[(0, 0), (0, 2), (2, 1)],
                    Protocol::Lmtp => &[(0, 0), (2, 1)],
                };
                assert_eq!(report.kept, kept.iter().copied().collect());
                assert!(matches!(&report.sent[1][..], [RecipientOutcome::Refused(_)]));
                assert!(matches!(&report.sent[2][0], RecipientOutcome::Later(Some(reply)) if reply.code() == 451));
            }
        }
    }
}

#[test]
fn a_link_with_delay() {
    for protocol in PROTOCOLS {
        // Each piece takes a while, but each reply comes in time.
        let report = check(Link { delay: Duration::from_secs(20), ..Link::new(protocol) });
        assert!(!report.failed);
        // Each takes longer than anybody waits.
        let report = check(Link { delay: Duration::from_secs(700), ..Link::new(protocol) });
        assert_eq!(report.delivered(), report.kept);
    }
}

#[test]
fn a_link_that_fails_after_any_octet() {
    for protocol in PROTOCOLS {
        for (starttls, pipelining) in [(false, true), (true, true), (false, false), (true, false)] {
            let link = Link { starttls, pipelining, ..Link::new(protocol) };
            let whole = check(link);
            let (mut unsure, mut settled) = (0, 0);
            for piece in [1, 1000] {
                let to_server = (0..whole.to_server).flat_map(|n| [Fault::BreakToServer(n), Fault::SilenceToServer(n)]);
                let to_client = (0..whole.to_client).flat_map(|n| [Fault::BreakToClient(n), Fault::SilenceToClient(n)]);
                for fault in to_server.chain(to_client) {
                    let report = check(Link { piece, fault, ..link });
                    unsure += usize::from(report.delivered() != report.kept);
                    settled += usize::from(!report.delivered().is_empty());
                }
            }
            // The test sees both: the window in which the server has kept what the client cannot know, and deliveries.
            assert!(unsure > 10 && settled > 100, "{unsure} {settled}");
        }
    }
}
