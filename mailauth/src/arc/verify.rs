//! The validator of chains (RFC 8617 §5.2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::crypto::Crypto;
use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, QuestionId};

use super::outcome::{ArcReason, ArcResult, FieldKind, SealedSet, Step, Verification};
use super::set::{Chain, Set, split_results};
use crate::dkim::body::{BodyHashId, BodyHashes};
use crate::dkim::check::{check, check_body, check_times, signed_data};
use crate::dkim::intake::{Header, HeaderReader, Intake};
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
    crypto: Arc<dyn Crypto>,
    policy: Policy,
    now: u64,
    reader: HeaderReader,
    bodies: BodyHashes,
    lookups: KeyLookups,
    job: Option<Job>,
    verification: Verification,
    finished: bool,
    given_up: bool,
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
}

impl Verifier {
    /// A validator for one message. `now` is the time in seconds since 1970.
    pub fn new(crypto: Arc<dyn Crypto>, policy: Policy, now: u64) -> Self {
        Verifier {
            crypto,
            policy,
            now,
            reader: HeaderReader::new(policy.header),
            bodies: BodyHashes::default(),
            lookups: KeyLookups::new(policy.lookups_max),
            job: None,
            verification: nothing(),
            finished: false,
            given_up: false,
        }
    }

    /// Takes the next octets of the message.
    pub fn write(&mut self, slice: &[u8]) {
        if !self.finished {
            let intake = self.reader.write(slice);
            self.take(intake);
        }
    }

    /// The message is complete.
    pub fn finish(&mut self) {
        if !self.finished {
            let intake = self.reader.finish();
            self.end(intake);
        }
    }

    /// The message is complete, and this is what is left of it.
    pub(crate) fn end(&mut self, intake: Intake<'_>) {
        self.take(intake);
        self.bodies.finish();
        self.finished = true;
    }

    /// Takes a part of the message from the reader of somebody else, or from its own.
    pub(crate) fn take(&mut self, intake: Intake<'_>) {
        match intake {
            Intake::Header | Intake::Refused => {}
            Intake::Complete(header, body) => {
                if let Err(reason) = self.begin(header) {
                    self.verification.sets.clear();
                    self.fail(reason);
                }
                self.bodies.write(body);
            }
            Intake::Body(slice) => self.bodies.write(slice),
            Intake::TooLong(limit) => self.fail(ArcReason::Header(limit)),
        }
    }

    fn fail(&mut self, reason: ArcReason) {
        self.verification.result = ArcResult::Fail;
        self.verification.reason = Some(reason);
    }

    /// Reads the chain and asks for its keys.
    fn begin(&mut self, header: Arc<Header>) -> Result<(), ArcReason> {
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
        let body = self
            .bodies
            .want(&*self.crypto, message.body_form, message.length)
            .map_err(|error| in_message(Reason::Crypto(error)))?;
        let verdict = Ok(());
        self.job = Some(Job { header: Some(header), sets, message, message_lookup, body, seals, verdict });
        Ok(())
    }

    /// All keys are known: the last message signature, then the seals from the last to the first (RFC 8617 §5.2, steps 4
    /// and 6).
    fn verify_headers(&mut self) {
        let Verifier { crypto, policy, lookups, job, verification, .. } = self;
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
                push_line(&header, field, &mut data);
            }
            ends.push(data.len());
            push_line(&header, set.seal, &mut data);
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
            let verdict = if self.finished {
                let (hash, size) = self.bodies.result(job.body);
                let body = check_body(&job.message, hash, size).and(match job.message.length {
                    // What follows the part that was sealed is nobody's.
                    Some(length) if length < size => Err(Reason::PartialBody),
                    _ => Ok(()),
                });
                self.verification.trace.push(Step::Body { size, matches: body.is_ok() });
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

impl DnsMachine for Verifier {
    type Output = Verification;

    fn poll(&mut self) -> DnsStep<Verification> {
        if let Some(question) = self.lookups.next_question() {
            return DnsStep::Ask(question);
        }
        if (self.finished || self.given_up) && self.lookups.are_answered() {
            return DnsStep::Done(self.conclude());
        }
        DnsStep::Wait
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        if self.lookups.answer(id, &answer).is_some() && self.lookups.are_answered() {
            self.verify_headers();
        }
    }

    /// Without all keys and all of the message the chain fails.
    fn give_up(&mut self) {
        self.given_up = true;
        self.lookups.give_up();
        self.verify_headers();
    }
}

/// Adds a field with its line end.
fn push_line(header: &Header, field: usize, data: &mut Vec<u8>) {
    Canonicalization::Relaxed.push_field(&header.field(field), data);
    data.extend_from_slice(b"\r\n");
}

/// The instance of the set at so many places from the first.
fn instance(count: usize) -> u8 {
    u8::try_from(count).expect("instances end at 50")
}

fn nothing() -> Verification {
    Verification { result: ArcResult::None, reason: None, sets: Vec::new(), from_is_signed: false, trace: Vec::new() }
}
