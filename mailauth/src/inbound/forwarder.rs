//! What a forwarder may say for a message that fails DMARC here, because it was changed on its way (RFC 7960, RFC 8617 §7.2).

use pillarbox_core::dns::Name;

use crate::arc::{ArcResult, SealedSet, Verification};
use crate::authres::{AuthenticationResults, Keyword, PropertyType};
use crate::dmarc::{Disposition, DmarcResult, Outcome, OverrideReason};
use crate::idn;

/// Looks for a forwarder on our list that saw the message pass DMARC; if there is one, the message is not refused, and the
/// forwarder is told. The result stays a fail.
///
/// A claim counts if the one who makes it and all who sealed after are on the list: any of them could have written another
/// message under it. Those before the claim need not be, as it is not theirs. It has to be about the author whom readers see
/// now, and the last signature has to cover the From field, which RFC 8617 does not ask for.
pub(super) fn vouch(dmarc: &mut Outcome, arc: &Verification, sealers: &[Name]) -> Option<Name> {
    let author = dmarc.author.as_ref()?;
    let is_refused = matches!(dmarc.disposition, Disposition::Quarantine | Disposition::Reject);
    if dmarc.result != DmarcResult::Fail || !is_refused || arc.result != ArcResult::Pass || !arc.from_is_signed {
        return None;
    }
    let trusted = arc.sets.iter().rev().take_while(|set| sealers.contains(&set.sealer));
    let forwarder = trusted.into_iter().find(|set| saw_a_pass(set, author))?.sealer.clone();
    dmarc.override_disposition(OverrideReason::TrustedForwarder, Disposition::None);
    Some(forwarder)
}

/// Whether a set says `dmarc=pass` for an author domain.
fn saw_a_pass(set: &SealedSet, author: &Name) -> bool {
    let Ok(claims) = AuthenticationResults::parse(&set.results) else { return false };
    claims.results.iter().any(|claim| {
        let from = claim.property(&PropertyType::Header, Keyword::FROM.as_str());
        let from = from.and_then(|from| Name::parse(&idn::to_ascii(from.as_str()).ok()?).ok());
        claim.method == Keyword::DMARC
            && claim.is_known_version()
            && claim.result == *"pass"
            && from.as_ref() == Some(author)
    })
}
