//! The validator of chains (RFC 8617 §5.2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::crypto::Crypto;
use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, QuestionId};

use super::outcome::{ArcReason, ArcResult, FieldKind, SealedSet, Step, Verification};
use super::set::{Chain, Set, split_results};
use crate::dkim::body::{BodyHashId, BodyHashes};
use crate::dkim::check::{BodyVerdict, check, check_body, check_times, signed_data};
use crate::dkim::intake::{Headed, Header, Message, Reader};
use crate::dkim::lookup::KeyLookups;
use crate::dkim::signature::{Kind, Signature};
use crate::dkim::{Canonicalization, Policy, Reason};

/// Validates the chain of a message in one pass: its last message signature and all of its seals.
///
/// It takes the message as [`dkim::Verifier`](crate::dkim::Verifier) does. Of the policy it uses what is about keys, lookups,
/// the header and the clock.
///
/// ```
/// use std::sync::Arc;
///
/// use pillarbox_auth::RingCrypto;
/// use pillarbox_auth::arc::{ArcResult, Verifier};
/// use pillarbox_auth::dkim::Policy;
/// use pillarbox_core::dns::{self, FixedZone};
///
/// let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), 1_700_000_000);
/// verifier.write(b"From: joe@example.org\r\n\r\nIs it ready?\r\n");
/// verifier.finish();
/// assert_eq!(dns::run(&mut verifier, &FixedZone::new()).result, ArcResult::None);
/// ```
#[derive(Debug)]
pub struct Verifier {
    message: Message,
    chain: SealedChain,
}

/// The chain of a message that somebody else reads, who brings its header and the hashes of its body.
#[derive(Debug)]
pub(crate) struct SealedChain {
    crypto: Arc<dyn Crypto>,
    policy: Policy,
    now: u64,
    lookups: KeyLookups,
    job: Option<Job>,
    verification: Verification,
    /// Nothing more of the message will come.
    is_ended: bool,
}

/// A chain that is being validated.
#[derive(Debug)]
struct Job {
    /// Until all keys were tried.
    header: Option<Arc<Header>>,
    sets: Vec<Set>,
    message: Signature,
    message_lookup: usize,
    body: BodyHashId,
    /// The seals from the first on, each with its lookup.
    seals: Vec<(Signature, usize)>,
    /// What the signatures come to, without the body.
    verdict: Result<(), ArcReason>,
    /// Once the message is complete.
    body_verdict: Option<BodyVerdict>,
}

impl Verifier {
    /// A validator for one message. `now` is the time in seconds since 1970.
    pub fn new(crypto: Arc<dyn Crypto>, policy: Policy, now: u64) -> Self {
        Verifier { message: Message::new(policy.header), chain: SealedChain::new(crypto, policy, now) }
    }

    /// Takes the next octets of the message.
    pub fn write(&mut self, slice: &[u8]) {
        self.read(slice);
    }

    /// The message is complete.
    pub fn finish(&mut self) {
        self.read_end();
        self.chain.end(&self.message.bodies);
    }
}

impl Reader for Verifier {
    fn message(&mut self) -> &mut Message {
        &mut self.message
    }

    fn begin(&mut self, header: Headed) {
        self.chain.begin(header, &mut self.message.bodies);
    }
}

impl DnsMachine for Verifier {
    type Output = Verification;

    fn poll(&mut self) -> DnsStep<Verification> {
        self.chain.poll()
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        self.chain.answer(id, answer);
    }

    /// Without all keys and all of the message the chain fails.
    fn give_up(&mut self) {
        self.chain.give_up();
    }
}

impl SealedChain {
    pub(crate) fn new(crypto: Arc<dyn Crypto>, policy: Policy, now: u64) -> Self {
        SealedChain {
            crypto,
            policy,
            now,
            lookups: KeyLookups::new(policy.lookups_max),
            job: None,
            verification: nothing(),
            is_ended: false,
        }
    }

    /// The header is complete.
    pub(crate) fn begin(&mut self, header: Headed, bodies: &mut BodyHashes) {
        let taken_up = match header {
            Ok(header) => self.take_up(header, bodies),
            Err(limit) => Err(ArcReason::Header(limit)),
        };
        if let Err(reason) = taken_up {
            self.verification.sets.clear();
            self.fail(reason);
        }
        // It was given up before: nothing is asked any more.
        if self.is_ended {
            self.give_up();
        }
    }

    /// The message is complete, and so are the hashes.
    pub(crate) fn end(&mut self, bodies: &BodyHashes) {
        if let Some(job) = &mut self.job {
            job.body_verdict = Some(check_body(&job.message, bodies, job.body));
        }
        self.is_ended = true;
    }

    fn fail(&mut self, reason: ArcReason) {
        self.verification.result = ArcResult::Fail;
        self.verification.reason = Some(reason);
    }

    /// Reads the chain and asks for its keys.
    fn take_up(&mut self, header: Arc<Header>, bodies: &mut BodyHashes) -> Result<(), ArcReason> {
        let chain = Chain::read(&header);
        let sets = chain.sets?;
        let Some(last) = sets.last() else { return Ok(()) };
        self.verification.trace.push(Step::Sets { count: chain.highest });

        let in_message = |reason| ArcReason::MessageSignature { instance: chain.highest, reason };
        let (message, _) = Signature::parse(header.field(last.message).value, Kind::ArcMessage)
            .map_err(|refused| in_message(refused.reason))?;
        check_times(&message, &self.policy, self.now).map_err(in_message)?;
        // They are selected from the bottom, so that the top one, which readers see, is selected if all are.
        let selected = header.select(message.names(), Some(last.message));
        self.verification.from_is_signed = header.named(b"from").first().is_some_and(|top| selected.contains(top));
        let message_lookup = self.lookups.want(&message.key_name).ok_or(in_message(Reason::TooManyLookups))?;

        let mut seals = Vec::new();
        for (set, instance) in sets.iter().zip(1..) {
            let in_seal = |reason| ArcReason::Seal { instance, reason };
            let (seal, _) = Signature::parse(header.field(set.seal).value, Kind::ArcSeal)
                .map_err(|refused| in_seal(refused.reason))?;
            let lookup = self.lookups.want(&seal.key_name).ok_or(in_seal(Reason::TooManyLookups))?;
            let results = split_results(header.field(set.results).value).map_or(&b""[..], |(_, results)| results);
            self.verification.sets.push(SealedSet {
                instance,
                sealer: seal.domain.clone(),
                results: results.to_vec(),
                time: seal.time,
            });
            seals.push((seal, lookup));
        }
        let body = bodies
            .want(&*self.crypto, message.body_form, message.length)
            .map_err(|error| in_message(Reason::Crypto(error)))?;
        let (verdict, body_verdict, header) = (Ok(()), None, Some(header));
        self.job = Some(Job { header, sets, message, message_lookup, body, seals, verdict, body_verdict });
        Ok(())
    }

    /// All keys are known: the last message signature, then the seals from the last to the first (RFC 8617 §5.2, steps 4
    /// and 6).
    fn verify_headers(&mut self) {
        let SealedChain { crypto, policy, lookups, job, verification, .. } = self;
        let Some(job) = job else { return };
        let Some(header) = job.header.take() else { return };
        let mut verify = |kind, instance, signature: &Signature, lookup, data: &[u8]| {
            let answer = lookups.answer_of(lookup).expect("all are answered");
            let result = check(&**crypto, policy, answer, signature, data, &mut Vec::new()).result;
            let (key, reason) = (signature.key_name.clone(), result.err());
            verification.trace.push(Step::Verified { kind, instance, key, reason });
            result
        };
        let last = job.seals.len();
        let (data, _) = signed_data(&header, job.sets[last - 1].message, &job.message);
        let message = verify(FieldKind::MessageSignature, instance(last), &job.message, job.message_lookup, &data);
        job.verdict = message.map_err(|reason| ArcReason::MessageSignature { instance: instance(last), reason });
        drop(data);

        // A seal signs all sets before it, its own results and message signature, and itself (RFC 8617 §5.1.1): for the last
        // one all that is in `data`, for each one before it less.
        let mut data = Vec::new();
        let mut ends = Vec::new();
        for set in &job.sets {
            for field in [set.results, set.message] {
                Canonicalization::Relaxed.push_line(&header.field(field), &mut data);
            }
            ends.push(data.len());
            Canonicalization::Relaxed.push_line(&header.field(set.seal), &mut data);
        }
        for (at, (seal, lookup)) in job.seals.iter().enumerate().rev() {
            if job.verdict.is_err() {
                break;
            }
            data.truncate(ends[at]);
            Canonicalization::Relaxed.push_signature(&header.field(job.sets[at].seal), &mut data);
            let result = verify(FieldKind::Seal, instance(at + 1), seal, *lookup, &data);
            job.verdict = result.map_err(|reason| ArcReason::Seal { instance: instance(at + 1), reason });
        }
    }

    fn conclude(&mut self) -> Verification {
        if let Some(job) = self.job.take() {
            let last = instance(job.seals.len());
            let in_message = |reason| ArcReason::MessageSignature { instance: last, reason };
            let verdict = if let Some(BodyVerdict { size, partial, result }) = job.body_verdict {
                self.verification.trace.push(Step::Body { size, matches: result.is_ok() && partial.is_none() });
                // What follows the part that was sealed is nobody's.
                let body = result.and(partial.map_or(Ok(()), |_| Err(Reason::PartialBody)));
                // The body belongs to the message signature, which comes before the seals.
                match (job.verdict, body) {
                    (Err(reason @ ArcReason::MessageSignature { .. }), _) => Err(reason),
                    (_, Err(reason)) => Err(in_message(reason)),
                    (verdict, Ok(())) => verdict,
                }
            } else {
                Err(in_message(Reason::Incomplete))
            };
            match verdict {
                Ok(()) => self.verification.result = ArcResult::Pass,
                Err(reason) => self.fail(reason),
            }
        }
        core::mem::replace(&mut self.verification, nothing())
    }
}

impl DnsMachine for SealedChain {
    type Output = Verification;

    fn poll(&mut self) -> DnsStep<Verification> {
        match self.lookups.next_question() {
            Some(question) => DnsStep::Ask(question),
            None if self.is_ended && self.lookups.are_answered() => DnsStep::Done(self.conclude()),
            None => DnsStep::Wait,
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        if self.lookups.answer(id, &answer).is_some() && self.lookups.are_answered() {
            self.verify_headers();
        }
    }

    fn give_up(&mut self) {
        self.is_ended = true;
        self.lookups.give_up();
        self.verify_headers();
    }
}

/// The instance of the set at so many places from the first.
fn instance(count: usize) -> u8 {
    u8::try_from(count).expect("instances end at 50")
}

fn nothing() -> Verification {
    Verification { result: ArcResult::None, reason: None, sets: Vec::new(), from_is_signed: false, trace: Vec::new() }
}
