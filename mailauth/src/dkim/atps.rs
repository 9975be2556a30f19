//! Authorised third-party signatures (RFC 6541): an author's domain says who else signs for it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::crypto::{Crypto, CryptoError, HashAlgorithm};
use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsOutcome, DnsStep, Name, Question, QuestionId, Record, RecordKind};

use super::Verification;
use super::signature::{AtpsClaim, AtpsHash, domain};
use crate::tag_list::TagList;
use crate::words::words;

/// Names that are asked for.
const LOOKUPS_MAX: usize = 8;
/// Text records of one name that are looked at.
const RECORDS_MAX: usize = 16;

/// Asks the author's domain about those who signed for it. An experiment that few take part in, so it is for the caller to
/// start: after DKIM, if no signature of the author's own domain passes.
///
/// ```
/// use pillarbox_auth::RingCrypto;
/// use pillarbox_auth::dkim::{Atps, AtpsResult, Policy, Verifier};
/// use pillarbox_core::dns::{self, FixedZone};
/// # let mut verifier = Verifier::new(std::sync::Arc::new(RingCrypto), Policy::default(), 0);
/// # verifier.finish();
///
/// let zone = FixedZone::new();
/// let verification = dns::run(&mut verifier, &zone);
/// let author = "example.com".parse()?;
/// let mut atps = Atps::new(&RingCrypto, &verification, &author);
/// assert_eq!(dns::run(&mut atps, &zone).result, AtpsResult::None);
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Debug)]
pub struct Atps {
    claims: usize,
    lookups: Vec<Lookup>,
    asked: usize,
}

#[derive(Debug)]
struct Lookup {
    name: Name,
    signer: Name,
    answer: Option<AtpsResult>,
}

/// What came of the question who signs for an author.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AtpsOutcome {
    /// The result.
    pub result: AtpsResult,
    /// Whom the author's domain authorises, if the result is a pass.
    pub signer: Option<Name>,
}

words! {
    /// A result in the words of RFC 6541 §8.3.
    #[non_exhaustive]
    pub enum AtpsResult {
        /// No valid signature claims to be for somebody else.
        None = "none",
        /// One does, and the author's domain confirms it.
        Pass = "pass",
        /// None is confirmed, or none is for this author.
        Fail = "fail",
        /// The DNS does not know for now.
        TempError = "temperror",
    }
}

impl Atps {
    /// The question about the signatures of a message whose author is of this domain. Only those count that pass without a
    /// reservation.
    pub fn new(crypto: &dyn Crypto, verification: &Verification, author: &Name) -> Self {
        let mut atps = Atps { claims: 0, lookups: Vec::new(), asked: 0 };
        for outcome in &verification.signatures {
            let (Some(signer), Some(claim)) = (outcome.proven_domain(), &outcome.atps) else { continue };
            atps.claims += 1;
            // RFC 6541 §4.3: a claim for another domain is ignored.
            if claim.author != *author || atps.lookups.len() == LOOKUPS_MAX {
                continue;
            }
            let Ok(Some(name)) = query_name(crypto, signer, claim) else { continue };
            if atps.lookups.iter().all(|lookup| lookup.name != name) {
                atps.lookups.push(Lookup { name, signer: signer.clone(), answer: None });
            }
        }
        atps
    }

    fn outcome(&self) -> AtpsOutcome {
        let with = |result| self.lookups.iter().find(|lookup| lookup.answer == Some(result));
        let signer = with(AtpsResult::Pass).map(|lookup| lookup.signer.clone());
        let result = if signer.is_some() {
            AtpsResult::Pass
        } else if with(AtpsResult::TempError).is_some() {
            AtpsResult::TempError
        } else if self.claims > 0 {
            AtpsResult::Fail
        } else {
            AtpsResult::None
        };
        AtpsOutcome { result, signer }
    }
}

impl DnsMachine for Atps {
    type Output = AtpsOutcome;

    fn poll(&mut self) -> DnsStep<AtpsOutcome> {
        if let Some(lookup) = self.lookups.get(self.asked) {
            let id = QuestionId(u32::try_from(self.asked).expect("eight are asked at most"));
            self.asked += 1;
            return DnsStep::Ask(Question::new(id, lookup.name.clone(), RecordKind::Txt));
        }
        if self.lookups.iter().all(|lookup| lookup.answer.is_some()) {
            return DnsStep::Done(self.outcome());
        }
        DnsStep::Wait
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        let at = usize::try_from(id.0).unwrap_or(usize::MAX);
        if let Some(lookup) = self.lookups.get_mut(at).filter(|_| at < self.asked) {
            lookup.answer.get_or_insert_with(|| read(&answer, &lookup.signer));
        }
    }

    fn give_up(&mut self) {
        for lookup in &mut self.lookups {
            lookup.answer.get_or_insert(AtpsResult::TempError);
        }
        self.asked = self.lookups.len();
    }
}

// RFC 6541 §4.4
fn read(answer: &DnsAnswer, signer: &Name) -> AtpsResult {
    if answer.outcome == DnsOutcome::TryLater {
        return AtpsResult::TempError;
    }
    let confirms = |text: &[u8]| {
        let list = TagList::parse(text).ok()?;
        // The name tells a collision of hashes from a confirmation.
        let is_signer = list.find("d").is_none_or(|name| domain(name).as_ref() == Some(signer));
        (list.find("v")? == b"ATPS1" && is_signer).then_some(())
    };
    let mut texts = answer.records().take(RECORDS_MAX).filter_map(Record::text);
    if texts.any(|text| confirms(text).is_some()) { AtpsResult::Pass } else { AtpsResult::Fail }
}

/// Where the author's domain speaks of a signer (RFC 6541 §4.3); `None` if that would be no name.
fn query_name(crypto: &dyn Crypto, signer: &Name, claim: &AtpsClaim) -> Result<Option<Name>, CryptoError> {
    let hash = |hash| Ok(base32(&crypto.digest(hash, signer.as_str().as_bytes())?));
    let label = match claim.hash {
        AtpsHash::None => signer.as_str().into(),
        AtpsHash::Sha1 => hash(HashAlgorithm::Sha1)?,
        AtpsHash::Sha256 => hash(HashAlgorithm::Sha256)?,
    };
    Ok(claim.author.with_prefix(&format!("{label}._atps")).ok())
}

/// RFC 4648 §6, in small letters as names have them, and without padding, which no name has.
fn base32(octets: &[u8]) -> String {
    const ALPHABET: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(octets.len().div_ceil(5) * 8);
    for chunk in octets.chunks(5) {
        let mut block = [0; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(block);
        for digit in 0..(chunk.len() * 8).div_ceil(5) {
            let value = bits >> (35 - 5 * digit) & 31;
            text.push(char::from(ALPHABET[usize::try_from(value).expect("it is below 32")]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 §10
    #[test]
    fn base32_of_the_rfc() {
        for (text, expected) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(base32(text.as_bytes()), expected);
        }
    }

    /// RFC 6541 §A
    #[cfg(feature = "ring")]
    #[test]
    fn names_of_the_rfc() {
        let author = "example.com".parse::<Name>().unwrap();
        for (signer, hash, label) in [
            ("one.example.net", AtpsHash::Sha1, "QSP4I4D24CRHOPDZ3O3ZIU2KSGS3X6Z6"),
            ("two.example.net", AtpsHash::Sha1, "ZTZGRRV3F45A4U6HLDKBF3ZCOW4V2AJX"),
            ("two.example.net", AtpsHash::None, "two.example.net"),
        ] {
            let claim = AtpsClaim { author: author.clone(), hash };
            let name = query_name(&crate::RingCrypto, &signer.parse().unwrap(), &claim).unwrap().unwrap();
            assert_eq!(name, format!("{label}._atps.example.com").parse().unwrap());
        }
    }
}
