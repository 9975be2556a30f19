//! The machine: what a session says goes in, and all methods run beside each other.

use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Range;

use pillarbox_core::Reply;
use pillarbox_core::address::ReversePath;
use pillarbox_core::crypto::Crypto;
use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Question, QuestionId};
use pillarbox_core::header::HeaderLimit;

use super::part::{Method, OpenQuestions, Part};
use super::{Config, Verdicts, forwarder};
use crate::arc::SealedChain;
use crate::dkim::Signatures;
use crate::dkim::intake::{Headed, Message, Reader};
use crate::dmarc::{DkimInput, Evidence, SpfIdentity, SpfInput, Verification, Weakness};
use crate::from::Authors;
use crate::iprev::ReverseCheck;
use crate::spf::{Client, SpfResult};
use crate::{dkim, dmarc, spf};

/// All methods over one message, fed by what a session says. The [module](super) has an example.
///
/// What is known is told as soon as it is: [`connect`](Inbound::connect), [`helo`](Inbound::helo) and
/// [`mail_from`](Inbound::mail_from), in this order and each if there is such a thing, and each takes back what was told
/// behind it before; then the message by
/// [`write`](Inbound::write) in slices of any cut, as it was sent, without the dots of SMTP and without our own trace
/// fields; then [`finish`](Inbound::finish). Each brings questions, and between any two of them (and while the body arrives)
/// may be polled and answered. What is told of the session after the message has begun changes nothing.
///
/// As a [`DnsMachine`] it says [`DnsStep::Wait`] also when more of the message, or [`finish`](Inbound::finish), is what it
/// waits for.
#[derive(Debug)]
pub struct Inbound {
    config: Arc<Config>,
    client: Option<Client>,
    now: u64,
    message: Message,
    is_begun: bool,
    is_finished: bool,
    is_given_up: bool,
    questions: OpenQuestions,
    iprev: Part<ReverseCheck>,
    spf_helo: Part<spf::Check>,
    spf_mail_from: Part<spf::Check>,
    dkim: Part<Signatures>,
    arc: Part<SealedChain>,
    dmarc: Part<dmarc::Check>,
    authors: Option<Authors>,
    forged: Option<Vec<Range<usize>>>,
    header_limit: Option<HeaderLimit>,
    is_used: bool,
}

impl Inbound {
    /// A machine for one message. `now` is the time in seconds since 1970.
    pub fn new(crypto: Arc<dyn Crypto>, config: Arc<Config>, now: u64) -> Self {
        Inbound {
            client: None,
            now,
            message: Message::new(config.dkim.header),
            is_begun: false,
            is_finished: false,
            is_given_up: false,
            questions: OpenQuestions::default(),
            iprev: Part::Off,
            spf_helo: Part::Off,
            spf_mail_from: Part::Off,
            dkim: Part::Running(Signatures::new(crypto.clone(), config.dkim, now)),
            arc: Part::Running(SealedChain::new(crypto, config.dkim, now)),
            dmarc: Part::Off,
            authors: None,
            forged: None,
            header_limit: None,
            is_used: false,
            config,
        }
    }

    /// The address of the client. Without it (a socket of this machine) there is neither iprev nor SPF.
    pub fn connect(&mut self, ip: IpAddr) {
        if self.is_begun {
            return;
        }
        let mut client = Client::new(ip, "");
        client.receiver.clone_from(&self.config.receiver);
        client.now = self.now;
        self.client = Some(client);
        self.forget_helo();
        if self.config.iprev_names_max > 0 {
            self.questions.forget(Method::Iprev);
            self.iprev = Part::Running(ReverseCheck::new(ip, self.config.iprev_names_max));
        }
    }

    fn forget_helo(&mut self) {
        self.questions.forget(Method::SpfHelo);
        self.spf_helo = Part::Off;
        self.forget_path();
    }

    fn forget_path(&mut self) {
        self.questions.forget(Method::SpfMailFrom);
        self.spf_mail_from = Part::Off;
    }

    /// The name in HELO or EHLO, whatever it is.
    pub fn helo(&mut self, name: &str) {
        if self.is_begun {
            return;
        }
        self.forget_helo();
        if let Some(client) = &mut self.client {
            client.helo = name.into();
            self.spf_helo = Part::Running(spf::Check::helo(client, self.config.spf.clone()));
        }
    }

    /// The path of MAIL.
    pub fn mail_from(&mut self, path: &ReversePath<'_>) {
        if self.is_begun {
            return;
        }
        self.forget_path();
        if let Some(client) = &self.client {
            self.spf_mail_from = Part::Running(spf::Check::mail_from(client, path, self.config.spf.clone()));
        }
    }

    /// Takes the next octets of the message.
    pub fn write(&mut self, slice: &[u8]) {
        self.is_begun = true;
        self.read(slice);
    }

    /// The message is complete.
    pub fn finish(&mut self) {
        self.is_begun = true;
        if self.is_finished {
            return;
        }
        self.read_end();
        if let Some(dkim) = self.dkim.running() {
            dkim.end(&self.message.bodies);
        }
        if let Some(arc) = self.arc.running() {
            arc.end(&self.message.bodies);
        }
        self.is_finished = true;
    }

    /// The reply to a message that is refused whatever follows, as soon as that is known: 552 5.3.4 if its header passes a
    /// limit. Nothing in such a header was looked at, so that nothing can be taken out of it either.
    pub fn early_refusal(&self) -> Option<Reply> {
        self.header_limit.map(too_long)
    }

    /// Where in the message, as it comes, fields Authentication-Results stand that others wrote in our name: each with its
    /// line end, in order, to be taken out of what is kept (RFC 8601 §5). `None` until the header is complete, which is
    /// before the first octet of the body has been taken.
    pub fn forged(&self) -> Option<&[Range<usize>]> {
        self.forged.as_deref()
    }

    /// The next question of any method.
    fn next_question(&mut self) -> Option<Question> {
        let (method, question) = if let Some(question) = self.iprev.next_question() {
            (Method::Iprev, question)
        } else if let Some(question) = self.spf_helo.next_question() {
            (Method::SpfHelo, question)
        } else if let Some(question) = self.spf_mail_from.next_question() {
            (Method::SpfMailFrom, question)
        } else if let Some(question) = self.dkim.next_question() {
            (Method::Dkim, question)
        } else if let Some(question) = self.arc.next_question() {
            (Method::Arc, question)
        } else {
            self.supply();
            (Method::Dmarc, self.dmarc.next_question()?)
        };
        Some(self.questions.add(method, question))
    }

    /// Gives DMARC what SPF and DKIM found, once they have.
    fn supply(&mut self) {
        let (Part::Running(dmarc), Some(dkim), false) =
            (&mut self.dmarc, self.dkim.output(), self.spf_mail_from.is_running())
        else {
            return;
        };
        let spf = self.spf_mail_from.output().and_then(spf_input);
        dmarc.supply(Evidence::new(spf, dkim_inputs(dkim)));
    }

    fn is_running(&self) -> bool {
        self.iprev.is_running()
            || self.spf_helo.is_running()
            || self.spf_mail_from.is_running()
            || self.dkim.is_running()
            || self.arc.is_running()
            || self.dmarc.is_running()
    }

    fn conclude(&mut self) -> Verdicts {
        self.is_used = true;
        let take = "it has ended, as nothing is running";
        let arc = core::mem::replace(&mut self.arc, Part::Off).into_output().expect(take);
        let mut dmarc = core::mem::replace(&mut self.dmarc, Part::Off).into_output();
        let forwarder = dmarc.as_mut().and_then(|dmarc| forwarder::vouch(dmarc, &arc, &self.config.trusted_sealers));
        Verdicts {
            config: self.config.clone(),
            iprev: core::mem::replace(&mut self.iprev, Part::Off).into_output(),
            spf_helo: core::mem::replace(&mut self.spf_helo, Part::Off).into_output(),
            spf_mail_from: core::mem::replace(&mut self.spf_mail_from, Part::Off).into_output(),
            dkim: core::mem::replace(&mut self.dkim, Part::Off).into_output().expect(take),
            arc,
            authors: self.authors.take(),
            dmarc,
            forwarder,
            forged: self.forged.take().unwrap_or_default(),
            header_limit: self.header_limit,
        }
    }
}

impl Reader for Inbound {
    fn message(&mut self) -> &mut Message {
        &mut self.message
    }

    fn begin(&mut self, header: Headed) {
        match &header {
            Ok(header) => {
                self.forged = Some(self.config.own.forged(header.octets()).collect());
                let authors = Authors::read(header.octets(), &self.config.from);
                self.dmarc = Part::Running(dmarc::Check::new(&authors, &self.config.dmarc));
                self.authors = Some(authors);
            }
            Err(limit) => {
                self.header_limit = Some(*limit);
                self.forged = Some(Vec::new());
            }
        }
        if let Some(dkim) = self.dkim.running() {
            dkim.begin(header.clone(), &mut self.message.bodies);
        }
        if let Some(arc) = self.arc.running() {
            arc.begin(header, &mut self.message.bodies);
        }
    }
}

impl DnsMachine for Inbound {
    type Output = Verdicts;

    fn poll(&mut self) -> DnsStep<Verdicts> {
        while self.questions.count() < self.config.open_questions_max.max(1) {
            let Some(question) = self.next_question() else { break };
            if !self.is_given_up {
                return DnsStep::Ask(question);
            }
            self.answer(question.id, DnsAnswer::try_later());
        }
        if (self.is_finished || self.is_given_up) && !self.is_used && !self.is_running() {
            return DnsStep::Done(self.conclude());
        }
        DnsStep::Wait
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        let Some((method, id)) = self.questions.take(id) else { return };
        match method {
            Method::Iprev => self.iprev.answer(id, answer),
            Method::SpfHelo => self.spf_helo.answer(id, answer),
            Method::SpfMailFrom => self.spf_mail_from.answer(id, answer),
            Method::Dkim => self.dkim.answer(id, answer),
            Method::Arc => self.arc.answer(id, answer),
            Method::Dmarc => self.dmarc.answer(id, answer),
        }
    }

    /// What is open stays without an answer. Before [`finish`](Inbound::finish) that ends the message, too: what was not
    /// read of it is not there, so signatures are temporary errors.
    fn give_up(&mut self) {
        self.is_given_up = true;
        self.questions.forget_all();
        self.iprev.give_up();
        self.spf_helo.give_up();
        self.spf_mail_from.give_up();
        self.dkim.give_up();
        self.arc.give_up();
        self.dmarc.give_up();
    }
}

/// The reply to a message whose header passes a limit.
pub(super) fn too_long(limit: HeaderLimit) -> Reply {
    Reply::enhanced(552, 5, 3, 4, limit.to_string())
}

/// What DMARC is told of SPF. A domain that is none has no say.
fn spf_input(outcome: &spf::Outcome) -> Option<SpfInput> {
    // RFC 9989 §4.4.2
    let identity = if outcome.is_null_path() { SpfIdentity::NullMailFrom } else { SpfIdentity::MailFrom };
    let verification = match outcome.result {
        SpfResult::Pass => Verification::Pass,
        SpfResult::TempError => Verification::TempError,
        _ => Verification::Fail,
    };
    Some(SpfInput::new(identity, verification, outcome.domain()?.clone()))
}

/// What DMARC is told of DKIM. What proves something comes first, so that no crowd of other signatures hides it.
fn dkim_inputs(verification: &dkim::Verification) -> Vec<DkimInput> {
    let inputs = verification.signatures.iter().filter_map(|outcome| {
        let (rank, verification) = match outcome.result {
            dkim::DkimResult::Pass if outcome.proven_domain().is_some() => (0, Verification::Pass),
            dkim::DkimResult::Pass => (2, Verification::Pass),
            dkim::DkimResult::TempError => (1, Verification::TempError),
            _ => (3, Verification::Fail),
        };
        let mut input = DkimInput::new(verification, outcome.domain.clone()?);
        if rank == 2 {
            let is_partial = outcome.notes.iter().any(|note| matches!(note, dkim::Note::PartialBody { .. }));
            input.weakness = Some(if is_partial { Weakness::PartialBody } else { Weakness::TestKey });
        }
        Some((rank, input))
    });
    let mut inputs = inputs.collect::<Vec<_>>();
    inputs.sort_by_key(|(rank, _)| *rank);
    inputs.into_iter().map(|(_, input)| input).collect()
}
