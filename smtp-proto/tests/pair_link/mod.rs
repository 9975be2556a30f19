//! Our client and our server with a link in memory between them that splits, delays, breaks and goes silent, a clock that
//! is moved by hand, and what must hold at the end whatever happened.

#[path = "../../../mailcore/tests/pipe/mod.rs"]
mod pipe;
#[path = "../../../mailcore/tests/ring_crypto/mod.rs"]
mod ring_crypto;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{Mechanism, ScramAnswer, ScramKeys};
use pillarbox_core::{Layer, LayerFacts, Reply, SeededRandom, Step, Time, TlsFacts, UpgradeError};
use pillarbox_smtp::client::{
    self, BodyKind, ByMode, ClientConfig, ClientSession, Credentials, DeliverBy, Envelope, EnvelopeId, Login,
    MtPriority, Notify, OriginalRecipient, RecipientOutcome, Ret,
};
use pillarbox_smtp::server::{self, Identity, Peer, Protocol, ServerConfig, ServerSession};
use pipe::Pipe;
use ring_crypto::RingCrypto;

/// How both sides are made, what is sent, and what the link does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub protocol: Protocol,
    pub starttls: bool,
    /// The client logs in with SCRAM-SHA-256, bound to TLS if there is TLS.
    pub login: bool,
    pub pipelining: bool,
    /// Texts go by BDAT.
    pub chunking: bool,
    /// The server knows neither BINARYMIME, SMTPUTF8 nor DSN.
    pub bare: bool,
    pub chunk_max: usize,
    pub output_max: usize,
    pub messages: Vec<Message>,
    pub link: Link,
}

/// A message, and what the server says to it. Senders tell messages apart.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub body: Vec<u8>,
    pub kind: BodyKind,
    /// Its addresses hold characters beyond ASCII.
    pub utf8: bool,
    /// It asks for notices, and has a time and a priority.
    pub dsn: bool,
    /// Said to MAIL.
    pub mail: Verdict,
    /// Said to each RCPT, and by LMTP at the end.
    pub recipients: Vec<(Verdict, Verdict)>,
    /// Said to DATA or the first BDAT.
    pub data: Verdict,
    /// Said when so many octets are there.
    pub early: Option<(usize, Verdict)>,
    /// Said at the end, by SMTP.
    pub end: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Refuse,
    Later,
}

impl Verdict {
    fn refusal(self) -> Option<Reply> {
        match self {
            Verdict::Accept => None,
            Verdict::Refuse => Some(Reply::enhanced(550, 5, 7, 1, "never")),
            Verdict::Later => Some(Reply::enhanced(451, 4, 3, 0, "not now")),
        }
    }
}

impl Message {
    /// A text that everybody takes.
    pub(crate) fn text(body: &[u8], recipients: usize) -> Self {
        Message {
            body: body.to_vec(),
            kind: if body.is_ascii() { BodyKind::SevenBit } else { BodyKind::EightBitMime },
            utf8: false,
            dsn: false,
            mail: Verdict::Accept,
            recipients: vec![(Verdict::Accept, Verdict::Accept); recipients],
            data: Verdict::Accept,
            early: None,
            end: Verdict::Accept,
        }
    }

    fn from(&self, number: usize) -> String {
        format!("m{}{number}@c.example", if self.utf8 { "ü" } else { "" })
    }

    fn to(&self, number: usize) -> String {
        format!("r{}{number}@own.example", if self.utf8 { "ü" } else { "" })
    }

    fn envelope(&self, number: usize) -> Envelope {
        let address = |text: &str| Address::parse_utf8(text).unwrap().into_owned();
        let to = (0..self.recipients.len()).map(|index| address(&self.to(index)));
        let mut envelope = Envelope::new(address(&self.from(number)).into(), to);
        envelope.body = self.kind;
        if self.dsn {
            envelope.ret = Some(Ret::Hdrs);
            envelope.envid = Some(EnvelopeId::new(&format!("id+{number}")).unwrap());
            (envelope.deliver_by, envelope.mt_priority) = (Some(DELIVER_BY), MtPriority::new(-2));
            for (index, recipient) in envelope.recipients.iter_mut().enumerate() {
                recipient.notify = Some(notify());
                recipient.orcpt = Some(OriginalRecipient::new("rfc822", &self.original(index)).unwrap());
            }
        }
        envelope
    }

    fn original(&self, index: usize) -> String {
        format!("list+{index}@old.example")
    }

    /// The body once it has arrived: a text with every line ended by CRLF, and no other CR or LF.
    pub(crate) fn arrived(&self) -> Vec<u8> {
        if self.kind == BodyKind::BinaryMime {
            return self.body.clone();
        }
        let mut arrived = Vec::new();
        for (at, octet) in self.body.iter().enumerate() {
            match octet {
                b'\r' if self.body.get(at + 1) == Some(&b'\n') => {}
                b'\r' => arrived.push(b' '),
                b'\n' => arrived.extend_from_slice(b"\r\n"),
                octet => arrived.push(*octet),
            }
        }
        if !arrived.is_empty() && !arrived.ends_with(b"\n") {
            arrived.extend_from_slice(b"\r\n");
        }
        arrived
    }
}

const DELIVER_BY: DeliverBy = DeliverBy { seconds: 60, mode: ByMode::Notify, trace: false };

fn notify() -> Notify {
    let mut notify = Notify::default();
    notify.success = true;
    notify.delay = true;
    notify
}

/// What the link does to a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// How many octets arrive at once.
    pub piece: usize,
    /// How long each piece takes.
    pub delay: Duration,
    pub fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Both sides see the end of the connection once the server was shown so many octets.
    BreakToServer(usize),
    BreakToClient(usize),
    /// Nothing arrives any more, on either side, and nobody is told.
    SilenceToServer(usize),
    SilenceToClient(usize),
}

impl Plan {
    pub(crate) fn new(protocol: Protocol, messages: Vec<Message>) -> Self {
        Plan {
            protocol,
            starttls: false,
            login: false,
            pipelining: true,
            chunking: false,
            bare: false,
            chunk_max: 512,
            output_max: 1024,
            messages,
            link: Link { piece: 1000, delay: Duration::from_millis(10), fault: Fault::None },
        }
    }

    pub(crate) fn with(&self, piece: usize, fault: Fault) -> Self {
        Plan { link: Link { piece, fault, ..self.link }, ..self.clone() }
    }

    /// Runs the conversation to its end and checks what holds whatever the link does.
    pub(crate) fn check(&self) -> Report {
        let report = Pair::new(self).run();
        let delivered = report.delivered();
        assert!(delivered.is_subset(&report.kept), "called delivered and not kept: {self:?} {report:?}");
        assert_eq!(report.sent.len(), report.begun, "each message is settled once: {self:?}");
        for ((message, outcomes), plan) in report.sent.iter().enumerate().zip(&self.messages) {
            assert_eq!(outcomes.len(), plan.recipients.len(), "{self:?}");
            for (recipient, outcome) in outcomes.iter().enumerate() {
                if matches!(outcome, RecipientOutcome::Refused(_)) {
                    let was_said = report.refused.contains(&(message, recipient));
                    assert!(was_said, "a refusal that nobody gave: {self:?} {report:?}");
                }
                if let RecipientOutcome::Delivered(yes) = outcome {
                    assert_eq!(yes.notice_due, plan.dsn && self.bare, "{self:?}");
                }
            }
        }
        if !self.messages.iter().any(|message| message.kind == BodyKind::BinaryMime) {
            let clean = String::from_utf8_lossy(&report.to_wire).replace("\r\n", "");
            assert!(!clean.contains(['\r', '\n']), "a bare CR or LF leaves: {self:?} {clean:?}");
        }
        report
    }
}

/// Who has what at the end. Pairs are (message, recipient).
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What the client was told, by message.
    pub sent: Vec<Vec<RecipientOutcome>>,
    pub begun: usize,
    pub failed: bool,
    /// What the server has promised to keep.
    pub kept: BTreeSet<(usize, usize)>,
    /// Whom the server has refused for good.
    pub refused: BTreeSet<(usize, usize)>,
    pub to_server: usize,
    pub to_client: usize,
    /// All that the client wrote.
    to_wire: Vec<u8>,
}

impl Report {
    pub(crate) fn delivered(&self) -> BTreeSet<(usize, usize)> {
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

struct Pair<'a> {
    plan: &'a Plan,
    now: Time,
    client: ClientSession,
    server: ServerSession,
    to_server: Pipe,
    to_client: Pipe,
    report: Report,
    /// The message that the client sends, as far as it was not handed over.
    body: &'a [u8],
    /// The transaction at the server: which message, its accepted recipients, the body.
    message: usize,
    seen: BTreeSet<usize>,
    accepted: Vec<usize>,
    stored: Vec<u8>,
    is_refused: bool,
    client_upgrades: bool,
    server_upgrades: bool,
    client_closed: bool,
    server_closed: bool,
}

static KEYS: LazyLock<ScramKeys> = LazyLock::new(|| {
    let iterations = NonZeroU32::new(4096).unwrap();
    ScramKeys::derive(&RingCrypto, HashAlgorithm::Sha256, iterations, b"salt", &"hunter2".into()).unwrap()
});

impl<'a> Pair<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut config = ClientConfig::new("c.example").unwrap();
        config.protocol = plan.protocol;
        config.pipelining = plan.pipelining;
        config.chunking = plan.chunking;
        config.limits.chunk_max = plan.chunk_max;
        config.limits.output_max = plan.output_max;
        config.login = plan.login.then(|| Login::new(Credentials::plain("", "joe", "hunter2")));
        let mut server = ServerConfig::new("own.example");
        server.protocol = plan.protocol;
        server.starttls = plan.starttls;
        if !plan.bare {
            (server.binary_mime, server.smtputf8, server.dsn) = (true, true, true);
            (server.deliver_by, server.mt_priority) = (Some(0), Some("MIXER".into()));
        }
        if plan.login {
            server.mechanisms = [Mechanism::ScramSha256, Mechanism::ScramSha256Plus].into();
            server.auth_without_tls = true;
            server.auth_required = true;
        }
        Pair {
            plan,
            now: Time::ZERO,
            client: ClientSession::new(config).with_crypto(Arc::new(RingCrypto), SeededRandom::new(1)),
            server: ServerSession::new(Arc::new(server), Peer::default()),
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            report: Report::default(),
            body: b"",
            message: 0,
            seen: BTreeSet::new(),
            accepted: Vec::new(),
            stored: Vec::new(),
            is_refused: false,
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
                self.now = self.now + self.plan.link.delay;
                continue;
            }
            // Nothing moves: the connection is broken, or one side has closed it, or time has to pass.
            let is_broken = match self.plan.link.fault {
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
        panic!("no end: {:?}", self.plan);
    }

    fn limits(&self) -> (usize, usize) {
        let (mut server, mut client) = (usize::MAX, usize::MAX);
        match self.plan.link.fault {
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
        let piece = self.plan.link.piece;
        let written = self.client.output().to_vec();
        self.report.to_wire.extend_from_slice(&written);
        self.client.consume_output(self.now, written.len());
        let mut moved = self.to_server.carry(&written, piece, server_limit, self.server.max_unread());
        let written = self.server.output().to_vec();
        self.server.consume_output(self.now, written.len());
        let (_, client_limit) = if moved { self.limits() } else { (0, client_limit) };
        moved |= self.to_client.carry(&written, piece, client_limit, self.client.max_unread());
        moved
    }

    fn upgrade(&mut self, works: bool) {
        let facts = || {
            let mut facts = TlsFacts::new("TLSv1.3", "TLS_AES_128_GCM_SHA256");
            facts.exporter = Some([7; 32]);
            LayerFacts::Tls(facts)
        };
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
                let n = self.body.len().min(1 + self.plan.chunk_max / 100).min(self.client.room());
                let answer =
                    if self.body.is_empty() { client::Answer::BodyEnd } else { client::Answer::Body(&self.body[..n]) };
                moved |= n > 0 || self.body.is_empty();
                self.client.answer(self.now, answer).unwrap();
                self.body = &self.body[n..];
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
                let answer = match self.plan.messages.get(self.report.begun) {
                    Some(message) => {
                        self.body = &message.body;
                        self.report.begun += 1;
                        client::Answer::Send(message.envelope(self.report.begun - 1))
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
        let plan = self.plan;
        let mut moved = true;
        let mut answer = None;
        match step {
            Step::Event(Event::Mail(mail)) => answer = Some(self.report_mail(&mail.into_owned())),
            Step::Event(Event::Rcpt(rcpt)) => answer = Some(self.report_rcpt(&rcpt.into_owned())),
            Step::Event(Event::Body(bytes)) => {
                self.stored.extend_from_slice(bytes);
                if let Some((octets, verdict)) = plan.messages[self.message].early
                    && self.stored.len() >= octets
                    && !self.is_refused
                {
                    answer = verdict.refusal().map(|reply| self.refuse(reply));
                }
            }
            Step::Event(Event::Outcome { recipient }) => {
                let message = &plan.messages[self.message];
                assert_eq!(self.stored, message.arrived(), "whole or not at all: {plan:?}");
                let (accepted, verdict) = match recipient {
                    None => (self.accepted.clone(), message.end),
                    Some(at) => (vec![self.accepted[at]], message.recipients[self.accepted[at]].1),
                };
                let whose = accepted.iter().map(|recipient| (self.message, *recipient));
                answer = Some(match verdict.refusal() {
                    Some(reply) => {
                        if verdict == Verdict::Refuse {
                            self.report.refused.extend(whose);
                        }
                        Answer::Refuse(reply)
                    }
                    None => {
                        for it in whose {
                            assert!(self.report.kept.insert(it), "kept twice: {plan:?}");
                        }
                        Answer::Accept
                    }
                });
            }
            Step::Event(Event::Data) => {
                let verdict = plan.messages[self.message].data;
                answer = Some(verdict.refusal().map_or(Answer::Accept, |reply| self.refuse(reply)));
            }
            Step::Event(Event::ScramKeys { .. }) => {
                let random = &mut SeededRandom::new(2);
                answer = Some(Answer::ScramKeys(ScramAnswer::new(KEYS.clone(), Arc::new(RingCrypto), random)));
            }
            Step::Event(Event::Login { .. }) => answer = Some(Answer::LoggedIn(Identity("joe".into()))),
            Step::Event(Event::Connect | Event::Hello(_) | Event::StartTls) => answer = Some(Answer::Accept),
            // RFC 2920 §3.1: what went along before it was known that nobody was accepted.
            Step::Event(Event::Refused { line, .. })
                if (self.accepted.is_empty() || self.is_refused)
                    && [&b"RCPT"[..], b"DATA", b"BDAT"].iter().any(|verb| line.starts_with(verb)) => {}
            Step::Event(Event::Refused { line, reply }) => {
                panic!("our client is refused: {} {reply}: {plan:?}", line.escape_ascii());
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

    fn report_mail(&mut self, mail: &server::Mail<'static>) -> server::Answer<'static> {
        let messages = &self.plan.messages;
        let is_sender = |number: usize| {
            let from = messages[number].from(number);
            matches!(&mail.from, ReversePath::Address(address) if address.to_string() == from)
        };
        self.message = (0..messages.len()).find(|number| is_sender(*number)).expect("a sender of ours");
        assert!(self.seen.insert(self.message), "a second time: {:?}", self.plan);
        self.accepted.clear();
        self.stored.clear();
        self.is_refused = false;
        let message = &messages[self.message];
        assert_eq!((mail.body, mail.smtputf8), (message.kind, message.utf8), "{:?}", self.plan);
        let is_told = message.dsn && !self.plan.bare;
        let envid = format!("id+{}", self.message);
        assert_eq!((mail.ret, mail.envid.as_deref()), (is_told.then_some(Ret::Hdrs), is_told.then_some(&*envid)));
        assert_eq!(mail.deliver_by, is_told.then_some(DELIVER_BY));
        assert_eq!(mail.mt_priority.map(MtPriority::level), is_told.then_some(-2));
        message.mail.refusal().map_or(server::Answer::Accept, |reply| {
            if reply.is_permanent() {
                let all = 0..message.recipients.len();
                self.report.refused.extend(all.map(|recipient| (self.message, recipient)));
            }
            server::Answer::Refuse(reply)
        })
    }

    fn report_rcpt(&mut self, rcpt: &server::Rcpt<'static>) -> server::Answer<'static> {
        let message = &self.plan.messages[self.message];
        let is_recipient = |index: usize| {
            let to = message.to(index);
            matches!(&rcpt.to, ForwardPath::Address(address) if address.to_string() == to)
        };
        let index = (0..message.recipients.len()).find(|index| is_recipient(*index)).expect("a recipient of ours");
        if message.dsn && !self.plan.bare {
            assert_eq!(rcpt.notify, Some(notify()));
            assert_eq!(rcpt.orcpt.as_ref().map(|orcpt| orcpt.address.to_string()), Some(message.original(index)));
        } else {
            assert_eq!((&rcpt.notify, &rcpt.orcpt), (&None, &None));
        }
        match message.recipients[index].0.refusal() {
            None => {
                self.accepted.push(index);
                server::Answer::Accept
            }
            Some(reply) => {
                if reply.is_permanent() {
                    self.report.refused.insert((self.message, index));
                }
                server::Answer::Refuse(reply)
            }
        }
    }

    /// Refuses the message for all accepted recipients.
    fn refuse(&mut self, reply: Reply) -> server::Answer<'static> {
        self.is_refused = true;
        if reply.is_permanent() {
            self.report.refused.extend(self.accepted.iter().map(|recipient| (self.message, *recipient)));
        }
        server::Answer::Refuse(reply)
    }
}
