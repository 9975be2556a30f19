//! The verifier: a message goes in as it arrives, and its signatures come out judged (RFC 6376 §6).

use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::crypto::{Crypto, HashAlgorithm};
use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Name, QuestionId};

use super::body::{BodyHashId, BodyHashes};
use super::check::{BodyVerdict, Verdict, check, check_body, check_times, is_ahead, signed_data};
use super::intake::{Headed, Header, Message, Reader};
use super::lookup::{KeyAnswer, KeyLookups};
use super::outcome::{DkimResult, Note, Outcome, Reason, Step, Verification};
use super::policy::{PartialBody, Policy};
use super::signature::{Facts, Kind, Refused, Signature, selector};

/// Verifies all signatures of a message in one pass.
///
/// [`write`](Verifier::write) takes the message in slices of any cut, as it is signed: with CRLF line ends, without the
/// dots of SMTP. As soon as the header is complete the verifier asks for the keys, so that the DNS answers while the body
/// arrives. It keeps the header until all keys were tried, and hashes of the body; so memory does not grow with the message.
///
/// ```
/// use std::sync::Arc;
///
/// use pillarbox_auth::RingCrypto;
/// use pillarbox_auth::dkim::{DkimResult, Policy, Verifier};
/// use pillarbox_core::dns::{self, FixedZone, Record};
///
/// // RFC 8463 §A.3
/// let message = b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; \
///     i=@football.example.com;\r\n q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : message-id : \
///     from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
///     b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n\
///     From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\n\
///     Subject: Is dinner ready?\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
///     Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n\
///     Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
/// let zone = FixedZone::new().with(
///     "brisbane._domainkey.football.example.com",
///     Record::txt("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
/// );
///
/// let now = 1_528_637_910;
/// let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), now);
/// for slice in message.chunks(100) {
///     verifier.write(slice);
/// }
/// verifier.finish();
/// let verification = dns::run(&mut verifier, &zone);
/// assert_eq!(verification.signatures[0].result, DkimResult::Pass);
/// assert_eq!(verification.proven_domains().next().unwrap().as_str(), "football.example.com");
/// ```
///
/// As a [`DnsMachine`] it says [`DnsStep::Wait`] also when more of the message, or [`finish`](Verifier::finish), is what it
/// waits for.
#[derive(Debug)]
pub struct Verifier {
    message: Message,
    signatures: Signatures,
}

/// The signatures of a message that somebody else reads, who brings its header and the hashes of its body.
#[derive(Debug)]
pub(crate) struct Signatures {
    crypto: Arc<dyn Crypto>,
    policy: Policy,
    now: u64,
    /// Until all keys were tried.
    header: Option<Arc<Header>>,
    lookups: KeyLookups,
    jobs: Vec<Job>,
    verification: Verification,
    /// Nothing more of the message will come.
    is_ended: bool,
}

/// A signature that is being verified.
#[derive(Debug)]
struct Job {
    /// Its place among the signatures.
    index: usize,
    /// Its place among the fields.
    field: usize,
    signature: Signature,
    lookup: usize,
    body: BodyHashId,
    /// Once the keys are known.
    verdict: Option<Verdict>,
    /// Once the message is complete.
    body_verdict: Option<BodyVerdict>,
}

impl Verifier {
    /// A verifier for one message. `now` is the time in seconds since 1970, for signatures that expire.
    pub fn new(crypto: Arc<dyn Crypto>, policy: Policy, now: u64) -> Self {
        Verifier { message: Message::new(policy.header), signatures: Signatures::new(crypto, policy, now) }
    }

    /// Takes the next octets of the message.
    pub fn write(&mut self, slice: &[u8]) {
        self.read(slice);
    }

    /// The message is complete.
    pub fn finish(&mut self) {
        self.read_end();
        self.signatures.end(&self.message.bodies);
    }
}

impl Reader for Verifier {
    fn message(&mut self) -> &mut Message {
        &mut self.message
    }

    fn begin(&mut self, header: Headed) {
        self.signatures.begin(header, &mut self.message.bodies);
    }
}

impl DnsMachine for Verifier {
    type Output = Verification;

    fn poll(&mut self) -> DnsStep<Verification> {
        self.signatures.poll()
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        self.signatures.answer(id, answer);
    }

    /// Keys that were not answered yet are not available. If the message is not complete either, no signature passes.
    fn give_up(&mut self) {
        self.signatures.give_up();
    }
}

impl Signatures {
    pub(crate) fn new(crypto: Arc<dyn Crypto>, policy: Policy, now: u64) -> Self {
        Signatures {
            crypto,
            policy,
            now,
            header: None,
            lookups: KeyLookups::new(policy.lookups_max),
            jobs: Vec::new(),
            verification: nothing(),
            is_ended: false,
        }
    }

    /// The header is complete: reads all signatures, and takes up those that can be verified.
    pub(crate) fn begin(&mut self, header: Headed, bodies: &mut BodyHashes) {
        match header {
            Ok(header) => self.take_up_all(header, bodies),
            Err(limit) => self.verification.header_limit = Some(limit),
        }
        // It was given up before: nothing is asked any more.
        if self.is_ended {
            self.give_up();
        }
    }

    /// The message is complete, and so are the hashes.
    pub(crate) fn end(&mut self, bodies: &BodyHashes) {
        for job in &mut self.jobs {
            job.body_verdict = Some(check_body(&job.signature, bodies, job.body));
        }
        self.is_ended = true;
    }

    fn take_up_all(&mut self, header: Arc<Header>, bodies: &mut BodyHashes) {
        self.verification.from_fields = header.named(b"from").len();
        let authors = author_domains(&header);
        // Those that can be verified, and whether they are of an author's domain.
        let mut candidates = Vec::new();
        let signatures_max = self.policy.signatures_max;
        for (index, &field) in header.named(b"dkim-signature").iter().enumerate() {
            let mut outcome = match Signature::parse(header.field(field).value, Kind::Dkim) {
                Ok((signature, facts)) => {
                    let mut outcome = outcome(facts);
                    outcome.identity.clone_from(&signature.identity);
                    match check_times(&signature, &self.policy, self.now) {
                        Ok(()) => {
                            outcome.reason = Some(Reason::TooManySignatures);
                            let domain = &signature.domain;
                            let aligned = authors.iter().any(|it| it.is_within(domain) || domain.is_within(it));
                            // Reading it again costs less than keeping a thousand.
                            let kept = (candidates.len() < signatures_max).then_some(signature);
                            candidates.push((!aligned, index, field, kept));
                        }
                        Err(reason) => outcome.reason = Some(reason),
                    }
                    outcome
                }
                Err(Refused { reason, facts }) => {
                    let mut outcome = outcome(facts);
                    outcome.reason = Some(reason);
                    outcome
                }
            };
            if self.verification.from_fields > 1 {
                outcome.notes.push(Note::SeveralFrom);
            }
            outcome.result = outcome.reason.map_or(DkimResult::Neutral, Reason::result);
            self.verification.signatures.push(outcome);
        }
        candidates.sort_unstable_by_key(|(other, index, ..)| (*other, *index));
        candidates.truncate(signatures_max);
        // Questions and outcomes in the order of the message.
        candidates.sort_unstable_by_key(|(_, index, ..)| *index);
        for (_, index, field, kept) in candidates {
            let again = || Signature::parse(header.field(field).value, Kind::Dkim).ok().map(|(signature, _)| signature);
            let Some(signature) = kept.or_else(again) else { continue };
            if let Err(reason) = self.take_up(&header, index, field, signature, bodies) {
                let outcome = &mut self.verification.signatures[index];
                outcome.reason = Some(reason);
                outcome.result = reason.result();
            }
        }
        if !self.jobs.is_empty() {
            self.header = Some(header);
        }
    }

    fn take_up(
        &mut self,
        header: &Header,
        index: usize,
        field: usize,
        signature: Signature,
        bodies: &mut BodyHashes,
    ) -> Result<(), Reason> {
        let lookup = self.lookups.want(&signature.key_name).ok_or(Reason::TooManyLookups)?;
        let crypto = &*self.crypto;
        let body = bodies.want(crypto, signature.body_form, signature.length).map_err(Reason::Crypto)?;
        let ahead = is_ahead(&signature, &self.policy, self.now);
        let outcome = &mut self.verification.signatures[index];
        outcome.trace.push(Step::Read {
            algorithm: signature.algorithm,
            header: signature.header_form,
            body: signature.body_form,
        });
        let fingerprint = crypto.digest(HashAlgorithm::Sha256, &signature.signature).map_err(Reason::Crypto)?;
        outcome.fingerprint = fingerprint.try_into().ok();
        outcome.atps.clone_from(&signature.atps);
        if ahead {
            outcome.notes.push(Note::FutureTimestamp);
        }
        let selected = header.select(signature.names(), Some(field));
        for name in SHOWN {
            // They are selected from the bottom, so that the top one is selected if all are.
            let top = header.named(name.as_bytes()).first();
            if top.is_some_and(|top| !selected.contains(top)) {
                outcome.notes.push(Note::Unsigned(name));
            }
        }
        self.jobs.push(Job { index, field, signature, lookup, body, verdict: None, body_verdict: None });
        Ok(())
    }

    /// Verifies the headers of all signatures that wait for a lookup.
    fn verify_headers(&mut self, lookup: usize) {
        let Signatures { crypto, policy, header, lookups, jobs, verification, .. } = self;
        let (Some(header), Some(answer)) = (header, lookups.answer_of(lookup)) else { return };
        for job in jobs.iter_mut().filter(|job| job.lookup == lookup) {
            let trace = &mut verification.signatures[job.index].trace;
            let count = if let KeyAnswer::Keys(keys) = answer { keys.len() } else { 0 };
            trace.push(Step::Keys { name: lookups.name_of(lookup).clone(), count });
            let mut data = Vec::new();
            if count > 0 {
                let fields;
                (data, fields) = signed_data(header, job.field, &job.signature);
                trace.push(Step::Header { fields, octets: data.len() });
            }
            job.verdict = Some(check(&**crypto, policy, answer, &job.signature, &data, trace));
        }
        if self.jobs.iter().all(|job| job.verdict.is_some()) {
            self.header = None;
        }
    }

    fn conclude(&mut self) -> Verification {
        let policy = self.policy;
        for Job { index, verdict, body_verdict, .. } in core::mem::take(&mut self.jobs) {
            let outcome = &mut self.verification.signatures[index];
            let verdict = verdict.expect("every lookup was answered or given up, and its jobs judged");
            outcome.key_bits = verdict.bits;
            if let Some(bits) = verdict.bits.filter(|bits| verdict.is_rsa && *bits < 2048) {
                outcome.notes.push(Note::WeakKey { bits });
            }
            if verdict.testing {
                outcome.notes.push(Note::Testing);
                outcome.reserved = true;
            }
            if verdict.several {
                outcome.notes.push(Note::SeveralKeys);
            }
            let result = if let Some(BodyVerdict { size, partial, result: body }) = body_verdict {
                outcome.trace.push(Step::Body { size, matches: body.is_ok() });
                if let Some(signed) = partial {
                    outcome.notes.push(Note::PartialBody { signed, size });
                    outcome.reserved |= policy.partial_body == PartialBody::Reserved;
                }
                // RFC 6376 §6.1.2, §6.1.3: the key, then the body, then the signature itself.
                match verdict.result {
                    Err(reason) if reason != Reason::Signature => Err(reason),
                    header => body.and(header),
                }
            } else {
                Err(verdict.result.err().unwrap_or(Reason::Incomplete))
            };
            let is_partial = body_verdict.is_some_and(|body| body.partial.is_some());
            outcome.reason = match result {
                // RFC 6376 §3.8, §8.15: by the letter such a signature is valid, over a message that is not.
                Ok(()) if outcome.notes.contains(&Note::Unsigned("From")) => Some(Reason::UnsignedFrom),
                Ok(()) if is_partial && policy.partial_body == PartialBody::Refused => Some(Reason::PartialBody),
                result => result.err(),
            };
            outcome.result = outcome.reason.map_or(DkimResult::Pass, Reason::result);
        }
        core::mem::replace(&mut self.verification, nothing())
    }
}

impl DnsMachine for Signatures {
    type Output = Verification;

    fn poll(&mut self) -> DnsStep<Verification> {
        match self.lookups.next_question() {
            Some(question) => DnsStep::Ask(question),
            None if self.is_ended && self.lookups.are_answered() => DnsStep::Done(self.conclude()),
            None => DnsStep::Wait,
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        if let Some(lookup) = self.lookups.answer(id, &answer) {
            self.verify_headers(lookup);
        }
    }

    fn give_up(&mut self) {
        self.is_ended = true;
        let open =
            (0..self.lookups.len()).filter(|lookup| self.lookups.answer_of(*lookup).is_none()).collect::<Vec<_>>();
        self.lookups.give_up();
        for lookup in open {
            self.verify_headers(lookup);
        }
    }
}

fn nothing() -> Verification {
    Verification { signatures: Vec::new(), header_limit: None, from_fields: 0 }
}

/// What readers are shown, and what decides how a body is shown.
const SHOWN: [&str; 9] =
    ["From", "Subject", "Date", "To", "Cc", "Reply-To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];

fn outcome(facts: Facts) -> Outcome {
    Outcome {
        domain: facts.domain,
        selector: facts.selector,
        algorithm: facts.algorithm,
        identity: None,
        signature_prefix: facts.prefix,
        result: DkimResult::Neutral,
        reason: None,
        notes: Vec::new(),
        key_bits: None,
        fingerprint: None,
        trace: Vec::new(),
        reserved: false,
        atps: None,
    }
}

/// Places in From fields that are looked at.
const AUTHORS_MAX: usize = 16;

/// What may be domains of authors: what stands behind an `@` in a From field. It only says which of too many signatures are
/// verified; who the author is, is for DMARC to say.
fn author_domains(header: &Header) -> Vec<Name> {
    let is_domain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | 0x80..);
    header
        .named(b"from")
        .iter()
        .flat_map(|field| {
            let value = header.field(*field).value;
            memchr::memchr_iter(b'@', value).map(move |at| {
                let behind = &value[at + 1..];
                &behind[..behind.iter().position(|octet| !is_domain(octet)).unwrap_or(behind.len())]
            })
        })
        .take(AUTHORS_MAX)
        .filter_map(selector)
        .collect()
}
