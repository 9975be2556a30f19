//! The seal of a forwarded message: what this host found when it came (RFC 8617).

use std::borrow::Cow;
use std::sync::Arc;

use pillarbox_auth::arc::{ArcResult, Sealer};
use pillarbox_auth::authres::{AuthenticationResults, Keyword, MethodResult, PropertyType};
use pillarbox_auth::dkim::{DomainKey, SignOptions};
use pillarbox_auth::idn::to_ascii;
use pillarbox_core::WallTime;
use pillarbox_core::address::Address;
use pillarbox_core::header::{self, Fields};

use crate::crypto::RingCrypto;

/// What this host found out about a message when it came, by the field that it put above its own Received field then. What
/// stands at that field or deeper came with the message, whatever host it names.
fn found(octets: &[u8], host: &str) -> Option<AuthenticationResults> {
    let (header, _) = header::split(octets);
    let mut found = None;
    for field in Fields::new(header) {
        if field.name_is("Received") {
            return found;
        }
        if found.is_none() && field.name_is("Authentication-Results") {
            let results = AuthenticationResults::parse(field.value).ok();
            found = results.filter(|results| results.authserv_id.as_str().eq_ignore_ascii_case(host));
        }
    }
    // Without that field nothing tells apart what was put there and what came.
    None
}

/// Whether this host has found that a message comes from where its sender says.
pub(super) fn is_sender_true(octets: &[u8], host: &str, from: &Address<'_>) -> bool {
    // DKIM and DMARC speak of the author, whoever the envelope names.
    let results = found(octets, host).map(|found| found.results).unwrap_or_default();
    let passed = |result: &&MethodResult| {
        result.method == Keyword::SPF && result.is_known_version() && result.result.as_str() == "pass"
    };
    // What a client calls itself in HELO may be true, whoever the sender is.
    let looked_at =
        results.iter().filter(passed).filter_map(|it| it.property(&PropertyType::Smtp, Keyword::MAILFROM.as_str()));
    let ascii = |domain: &str| to_ascii(domain).map_or_else(|_| domain.to_owned(), Cow::into_owned);
    let ours = ascii(from.domain().as_str());
    let domains = looked_at.map(|value| value.as_str().rsplit_once('@').map_or(value.as_str(), |(_, domain)| domain));
    domains.into_iter().any(|domain| ascii(domain).eq_ignore_ascii_case(&ours))
}

/// What is known of the chain that a message came with; `None` if it has one that nobody here has looked at.
fn chain(octets: &[u8], results: &AuthenticationResults) -> Option<ArcResult> {
    let (header, _) = header::split(octets);
    if !Fields::new(header).any(|field| field.name_is("ARC-Seal")) {
        return Some(ArcResult::None);
    }
    let arc = results.results.iter().find(|result| result.method == Keyword::ARC)?;
    match arc.result.as_str() {
        "pass" => Some(ArcResult::Pass),
        "fail" => Some(ArcResult::Fail),
        _ => None,
    }
}

/// The seal for a message that begins like this. Gives a sealer that is to be shown the message as it goes, and what to end it with.
pub(super) struct Seal {
    sealer: Sealer,
    chain: ArcResult,
    results: String,
}

impl Seal {
    /// `None` where a seal would say what nobody knows: the message, or the chain that it came with, was not looked at here.
    pub(super) fn begin(key: &DomainKey, host: &str, head: &[u8], now: WallTime) -> Option<Self> {
        let results = found(head, host)?;
        let chain = chain(head, &results)?;
        let results = results.to_string();
        let now = u64::try_from(now.unix_seconds()).unwrap_or(0);
        let sealer = Sealer::new(Arc::new(RingCrypto), key.clone(), SignOptions::default(), now);
        Some(Seal { sealer, chain, results })
    }

    pub(super) fn write(&mut self, octets: &[u8]) {
        self.sealer.write(octets);
    }

    /// The fields; none if the message cannot be sealed.
    pub(super) fn finish(self) -> Option<String> {
        self.sealer.finish(self.chain, &self.results).ok()
    }
}
