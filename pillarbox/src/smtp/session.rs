//! One connection: the loop between the protocol machine and the parts.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{CramChallenge, Credentials, Mechanism};
use pillarbox_core::{Layer, Reply, Step, UpgradeError, WallTime};
use pillarbox_smtp::command::ClientAttributes;
use pillarbox_smtp::server::{Answer, Event, Hello, Identity, Mail, Peer, Rcpt, ServerSession};
use pillarbox_smtp::trace::Received;
use tokio::sync::watch;

use super::Shared;
use super::message::Transaction;
use crate::crypto::SystemRandom;
use crate::login::{Tried, log_in, refused, scram_keys, without_unjudged};
use crate::net::{Dialect, Lost, Transcript, Transport, Wire, early_input, early_talk};
use crate::network::Network;
use crate::parts::{self, Guest, LoginAttempt, LoginOutcome, Session, Verdict};
use crate::shutdown::Shutdown;

/// So much output is sent before more input is looked at, so that a long flight of commands cannot pile up replies.
const OUTPUT_MAX: usize = 16 * 1024;

/// A session and its connection.
pub(super) struct Connection {
    wire: Wire<ServerSession>,
    shared: Arc<Shared>,
    /// What the parts are told about the session.
    facts: Session,
    transaction: Option<Transaction>,
    /// Whether connections have become many.
    stress: watch::Receiver<bool>,
    /// Counts the session while nobody is logged in; none if it does not count.
    guest: Option<Guest>,
}

/// An event whose octets are its own, because its answer may take time in which more input is read.
enum Question {
    Connect,
    Hello(Hello<'static>),
    StartTls,
    ScramKeys(String, HashAlgorithm),
    CramChallenge,
    Login(Mechanism, Credentials),
    WrongProof(String),
    Mail(Mail<'static>),
    Rcpt(Rcpt<'static>),
    Data,
    Outcome(Option<usize>),
    Verify,
}

impl Question {
    fn of(event: Event<'_>) -> Option<Question> {
        Some(match event {
            Event::Connect => Question::Connect,
            Event::Hello(hello) => Question::Hello(hello.into_owned()),
            Event::StartTls => Question::StartTls,
            Event::ScramKeys { user, hash, .. } => Question::ScramKeys(user, hash),
            Event::CramChallenge => Question::CramChallenge,
            Event::Login { mechanism, credentials } => Question::Login(mechanism, credentials),
            Event::WrongProof { authentication_id, .. } => Question::WrongProof(authentication_id),
            Event::Mail(mail) => Question::Mail(mail.into_owned()),
            Event::Rcpt(rcpt) => Question::Rcpt(rcpt.into_owned()),
            Event::Data => Question::Data,
            Event::Outcome { recipient } => Question::Outcome(recipient),
            Event::Verify(_) => Question::Verify,
            _ => return None,
        })
    }
}

/// Begins a session on a fresh connection; with implicit TLS that is after the handshake.
pub(super) async fn start(
    shared: &Arc<Shared>,
    mut transport: Box<dyn Transport>,
    ip: Option<IpAddr>,
    number: u64,
    stress: watch::Receiver<bool>,
    guest: Option<Guest>,
) -> Result<Connection, UpgradeError> {
    let clock = &shared.parts.clock;
    let is_among = |hosts: &[Network]| ip.is_some_and(|ip| hosts.iter().any(|host| host.contains(ip)));
    let mut peer = Peer::default();
    peer.ip = ip;
    peer.may_xclient = is_among(&shared.xclient_hosts);
    peer.may_xforward = is_among(&shared.xforward_hosts);
    let uptime = i64::try_from(clock.now().since_origin().as_secs()).unwrap_or(i64::MAX);
    peer.origin = Some(WallTime::new(clock.wall().unix_seconds().saturating_sub(uptime), 0));
    #[cfg(feature = "tls")]
    if shared.implicit_tls {
        let config = shared.tls.clone().ok_or(UpgradeError::Handshake)?;
        let (secured, facts) = crate::tls::handshake(config, transport, &*shared.parts.clock).await?;
        transport = secured;
        peer.tls = Some(facts);
    }
    let early = match shared.greet_wait {
        Duration::ZERO => early_input(&mut *transport).await,
        wait => early_talk(&mut *transport, &**clock, wait).await,
    };
    peer.early_talk = early.unread().len();
    if peer.early_talk > 0 {
        shared.parts.observer.talked_early(number, early.unread());
    }
    let facts = Session {
        number,
        service: shared.service,
        ip,
        tls: peer.tls.clone(),
        early_talk: peer.early_talk,
        ..Session::default()
    };
    let mut config = Arc::clone(&shared.config);
    if let Some(judged) = without_unjudged(&config.mechanisms, &*shared.parts.authenticator) {
        Arc::make_mut(&mut config).mechanisms = judged;
    }
    let mut machine = ServerSession::new(config, peer);
    machine.under_stress(*stress.borrow());
    let transcript = Transcript::new(Arc::clone(&shared.parts.observer), number, Dialect::Smtp);
    let wire = Wire::new(machine, transport, early, Arc::clone(clock), transcript);
    Ok(Connection { wire, shared: Arc::clone(shared), facts, transaction: None, stress, guest })
}

impl Connection {
    /// Runs the session until its machine is closed; then call [`close`](Self::close).
    pub(super) async fn run(&mut self, shutdown: &Shutdown) -> Result<(), Lost> {
        let mut stopping = false;
        loop {
            let (step, used) = self.wire.poll();
            let rest = match step {
                Step::Event(Event::Body(octets)) => {
                    let written = match &mut self.transaction {
                        Some(transaction) => transaction.write(octets).await,
                        None => Ok(()),
                    };
                    self.wire.used(used);
                    if let Err(error) = written {
                        self.failed("message", &error);
                        self.answer(Answer::Refuse(error.reply));
                    } else if let Some(no) = self.judge_header(false).await {
                        self.answer(no);
                    }
                    continue;
                }
                Step::Event(Event::Abandoned(_)) => {
                    // Dropping what arrived leaves nothing behind.
                    self.transaction = None;
                    self.facts.xforward = None;
                    self.wire.used(used);
                    continue;
                }
                Step::Event(Event::Refused { line, reply }) => {
                    let (number, line) = (self.facts.number, String::from_utf8_lossy(line));
                    self.shared.parts.observer.refused(number, &line, &reply.to_string());
                    self.wire.used(used);
                    self.flush_if_due().await?;
                    continue;
                }
                Step::Event(Event::XClient(told)) => {
                    self.wire.used(used);
                    self.begin_anew(*told);
                    continue;
                }
                Step::Event(Event::XForward(told)) => {
                    self.wire.used(used);
                    merge(self.facts.xforward.get_or_insert_default(), *told);
                    continue;
                }
                Step::Event(event) => {
                    let question = Question::of(event);
                    self.wire.used(used);
                    if let Some(question) = question {
                        let answer = self.ask(question).await;
                        self.answer(answer);
                    }
                    self.flush_if_due().await?;
                    continue;
                }
                rest => rest.map(|_| ()),
            };
            self.wire.used(used);
            match rest {
                Step::Event(()) => unreachable!("events were served above"),
                Step::NeedInput | Step::NeedTime => {
                    self.wire.flush().await?;
                    let delayed = rest == Step::NeedTime;
                    tokio::select! {
                        biased;
                        () = shutdown.begun(), if !stopping => {
                            stopping = true;
                            self.wire.shut_down();
                        }
                        Ok(()) = self.stress.changed() => {
                            self.wire.machine.under_stress(*self.stress.borrow_and_update());
                        }
                        ended = self.wire.wait(delayed) => ended?,
                    }
                }
                // Only a question that this driver does not know is still open here.
                Step::NeedAnswer => self.answer(Answer::Refuse(not_implemented())),
                Step::Upgrade(layer) => self.upgrade(layer).await?,
                Step::Closed => return Ok(()),
            }
        }
    }

    /// Sends replies that must not wait, or that have become many.
    async fn flush_if_due(&mut self) -> Result<(), Lost> {
        if self.wire.machine.must_flush() || self.wire.machine.output().len() >= OUTPUT_MAX {
            self.wire.flush().await?;
        }
        Ok(())
    }

    /// Why the session ended, in words for logs.
    pub(super) fn close_reason(&self) -> Option<String> {
        self.wire.machine.close_reason().map(|reason| format!("{reason:?}"))
    }

    /// Sends the last reply and closes.
    pub(super) async fn close(self) {
        self.wire.close().await;
    }

    /// Closes a session that broke in the middle.
    pub(super) async fn abort(self) {
        self.wire.abort(b"421 4.3.0 local trouble, closing\r\n").await;
    }

    /// A proxy of ours said who its client is: that is who the parts hear of from here on.
    fn begin_anew(&mut self, told: ClientAttributes) {
        if let Some(addr) = &told.addr {
            self.facts.ip = addr.value().copied();
        }
        self.facts.hello = told.hello.as_ref().and_then(|told| told.value().cloned());
        self.set_identity(told.login.as_ref().and_then(|told| told.value()).map(parts::Identity::new));
        self.facts.xclient = Some(told);
        self.facts.xforward = None;
    }

    fn set_identity(&mut self, identity: Option<parts::Identity>) {
        if let Some(guest) = &mut self.guest {
            guest.set_logged_in(identity.is_some());
        }
        self.facts.identity = identity;
    }

    /// Asks the part that knows.
    async fn ask(&mut self, question: Question) -> Answer<'static> {
        let shared = Arc::clone(&self.shared);
        let (parts, policy) = (&shared.parts, &*shared.parts.policy);
        match question {
            Question::Connect => {
                let verdict = self.wire.answer(policy.connect(&self.facts)).await;
                self.verdict("connection", verdict)
            }
            Question::Hello(hello) => {
                self.facts.xforward = None;
                self.facts.hello = Some(hello.name.into_string());
                Answer::Accept
            }
            Question::StartTls | Question::Verify => Answer::Accept,
            Question::Login(mechanism, credentials) => {
                let mut attempt = LoginAttempt::new(shared.service, mechanism, credentials, self.facts.ip);
                attempt.tls = self.facts.tls.clone();
                let login = log_in(parts, self.facts.number, attempt);
                match self.wire.answer(Box::pin(login)).await {
                    Tried::Yes(LoginOutcome::Accepted(identity)) => {
                        let name = Identity(Cow::Owned(identity.user().to_owned()));
                        self.set_identity(Some(identity));
                        Answer::LoggedIn(name)
                    }
                    // RFC 4954 §6
                    Tried::Yes(LoginOutcome::Refused) => Answer::Refuse(wrong_password()),
                    Tried::Yes(LoginOutcome::TryLater(_)) => Answer::Refuse(no_check_now()),
                    Tried::TooMany => Answer::Hangup(too_many_failures()),
                }
            }
            Question::ScramKeys(user, hash) => {
                let keys = scram_keys(parts, self.facts.number, self.facts.ip, &user, hash);
                match self.wire.answer(Box::pin(keys)).await {
                    Tried::Yes(Some(keys)) => Answer::ScramKeys(keys),
                    Tried::Yes(None) => Answer::Refuse(no_check_now()),
                    Tried::TooMany => Answer::Hangup(too_many_failures()),
                }
            }
            Question::CramChallenge => {
                let (hostname, random) = (&shared.config.hostname, &mut SystemRandom::default());
                Answer::CramChallenge(CramChallenge::new(hostname, parts.clock.wall(), random))
            }
            Question::WrongProof(user) => {
                let refused = refused(parts, self.facts.number, self.facts.ip, &user, None);
                self.wire.answer(Box::pin(refused)).await;
                Answer::Refuse(wrong_password())
            }
            Question::Mail(mail) => {
                self.facts.size = mail.size;
                self.facts.sender = Some(mail.from.clone().into_owned());
                let verdict = self.wire.answer(policy.sender(&self.facts, &mail)).await;
                let what = format!("sender {}", mail.from);
                if verdict == Verdict::Accept {
                    let arrived = parts.clock.wall();
                    let id = shared.ids.next(arrived.unix_seconds());
                    self.transaction = Some(Transaction::new(id, mail, arrived, shared.config.submission));
                }
                self.verdict(&what, verdict)
            }
            Question::Rcpt(rcpt) => {
                let verdict = self.wire.answer(policy.recipient(&self.facts, &rcpt)).await;
                let what = format!("recipient {}", rcpt.to);
                if let (Verdict::Accept, Some(transaction)) = (&verdict, &mut self.transaction) {
                    transaction.add(rcpt);
                }
                self.verdict(&what, verdict)
            }
            Question::Data => {
                let (trace, session) = (self.trace_fields(), self.facts.clone());
                if let Some(transaction) = &mut self.transaction
                    && policy.wants_header(&self.facts)
                {
                    transaction.collect_header(shared.config.limits.header);
                }
                let Some(transaction) = &mut self.transaction else { return Answer::Refuse(local_error()) };
                match self.wire.answer(Box::pin(transaction.begin(parts, session, trace))).await {
                    Ok(()) => Answer::Accept,
                    Err(error) => {
                        self.failed("message", &error);
                        Answer::Refuse(error.reply)
                    }
                }
            }
            Question::Outcome(recipient) => {
                let judged = self.judge_header(true).await;
                let Some(transaction) = &mut self.transaction else { return Answer::Refuse(local_error()) };
                match judged {
                    Some(Answer::Refuse(reply)) => transaction.refuse(&reply),
                    Some(hangup) => return hangup,
                    None => {
                        if let Err(error) = transaction.end().await {
                            transaction.refuse(&error.reply);
                        }
                    }
                }
                let outcome = transaction.outcome(parts, self.facts.number, recipient);
                let answer = self.wire.answer(Box::pin(outcome)).await;
                if recipient.is_none_or(|index| index + 1 >= transaction.recipients.len()) {
                    self.transaction = None;
                    self.facts.xforward = None;
                }
                answer
            }
        }
    }

    /// Asks the policy about the header, if it wants to be and all of it is there; gives a no.
    async fn judge_header(&mut self, ended: bool) -> Option<Answer<'static>> {
        let transaction = self.transaction.as_mut()?;
        let header = transaction.header(ended)?;
        self.facts.recipients.clone_from(&transaction.recipients);
        let shared = Arc::clone(&self.shared);
        let verdict = self.wire.answer(shared.parts.policy.header(&self.facts, &header)).await;
        self.facts.recipients = Vec::new();
        match self.verdict("header", verdict) {
            Answer::Accept => None,
            no => Some(no),
        }
    }

    /// Gives the machine its answer. One that a part made up and that does not fit (a "refusal" with 250) becomes a
    /// temporary no.
    fn answer(&mut self, answer: Answer<'_>) {
        let now = self.wire.now();
        if let Err(misuse) = self.wire.machine.answer(now, answer) {
            self.failed("answer", &misuse);
            // An early no that comes when the machine itself has refused the message has no question to answer.
            let _ = self.wire.machine.answer(now, Answer::Refuse(local_error()));
        }
    }

    async fn upgrade(&mut self, layer: Layer) -> Result<(), Lost> {
        #[cfg(feature = "tls")]
        if let (Layer::Tls, Some(config)) = (layer, self.shared.tls.clone()) {
            self.wire.start_tls(config).await?;
            // RFC 3207 §4.2: what the client said before is forgotten.
            self.facts.tls = self.wire.machine.tls().cloned();
            self.facts.hello = None;
            self.set_identity(None);
            self.facts.xforward = None;
            self.transaction = None;
            return Ok(());
        }
        // Not on offer, so never asked for.
        let _ = layer;
        let now = self.wire.now();
        self.wire.machine.upgrade_failed(now, UpgradeError::Handshake);
        Ok(())
    }

    /// The Received field of the transaction (RFC 5321 §4.4).
    fn trace_fields(&self) -> Vec<u8> {
        let machine = &self.wire.machine;
        let hostname = &self.shared.config.hostname;
        let mut received = Received::new(hostname, machine.protocol_word(), self.shared.parts.clock.wall());
        received.from = self.facts.hello.as_deref().unwrap_or_default();
        received.ip = self.facts.ip;
        received.reverse_name =
            self.facts.xclient.as_ref().and_then(|told| told.name.as_ref()?.value()).map(|name| &**name);
        received.tls = machine.tls();
        if let Some(transaction) = &self.transaction {
            received.id = &transaction.id;
            received.priority = transaction.mt_priority();
            received.recipients = &transaction.recipients;
        }
        received.to_string().into_bytes()
    }

    fn verdict(&self, what: &str, verdict: Verdict) -> Answer<'static> {
        match verdict {
            Verdict::Accept => Answer::Accept,
            Verdict::Refuse(reply) => {
                self.refused(what, &reply);
                Answer::Refuse(reply)
            }
            Verdict::Hangup(reply) => {
                self.refused(what, &reply);
                Answer::Hangup(reply)
            }
        }
    }

    fn refused(&self, what: &str, reply: &Reply) {
        self.shared.parts.observer.refused(self.facts.number, what, &reply.to_string());
    }

    fn failed(&self, what: &str, cause: &dyn std::fmt::Display) {
        self.shared.parts.observer.failed(self.facts.number, what, cause);
    }
}

/// What a client hears when it was our fault (RFC 3463 §3.4).
pub(super) fn local_error() -> Reply {
    Reply::enhanced(451, 4, 3, 0, "local trouble, try again later")
}

fn wrong_password() -> Reply {
    Reply::enhanced(535, 5, 7, 8, "the name or the password is wrong")
}

fn too_many_failures() -> Reply {
    Reply::enhanced(421, 4, 7, 0, "too many failed logins from your address, try again later")
}

/// What is told anew counts; what is not, holds.
fn merge(known: &mut ClientAttributes, told: ClientAttributes) {
    fn replace<T>(known: &mut Option<T>, told: Option<T>) {
        if told.is_some() {
            *known = told;
        }
    }
    replace(&mut known.name, told.name);
    replace(&mut known.addr, told.addr);
    replace(&mut known.port, told.port);
    replace(&mut known.proto, told.proto);
    replace(&mut known.hello, told.hello);
    replace(&mut known.login, told.login);
    replace(&mut known.dest_addr, told.dest_addr);
    replace(&mut known.dest_port, told.dest_port);
    replace(&mut known.ident, told.ident);
    replace(&mut known.source, told.source);
}

fn no_check_now() -> Reply {
    Reply::enhanced(454, 4, 7, 0, "cannot check passwords now, try again later")
}

fn not_implemented() -> Reply {
    Reply::enhanced(502, 5, 5, 1, "not implemented here")
}
