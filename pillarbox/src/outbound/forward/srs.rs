//! Sender rewriting (SRS): the sender of a forwarded message as an address of ours, from which its bounces find back.

use std::fmt;

use pillarbox_core::address::{Address, AddressError, Domain, LocalPart};
use pillarbox_core::crypto::{Crypto as _, HashAlgorithm};
use pillarbox_core::{Reply, Secret, WallTime};

use crate::crypto::RingCrypto;

/// Days for which an address takes bounces.
const DAYS_VALID: u16 = 21;
/// Days after which stamps begin again.
const DAYS_MAX: u16 = 1024;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Rewrites senders, and reads what it has written, as postsrsd and other programs of the kind do.
///
/// ```
/// use pillarbox::mailcore::WallTime;
/// use pillarbox::mailcore::address::Address;
/// use pillarbox::outbound::{Srs, SrsError};
///
/// let srs = Srs::new("srs.example.net", ["a secret of some length"])?.own_domain("example.net")?;
/// let (joe, now) = (Address::parse("Joe@example.org")?, WallTime::new(1_700_000_000, 0));
///
/// let ours = srs.rewrite(&joe, now)?;
/// assert_eq!(ours.to_string(), "SRS0=3qzu=G3=example.org=Joe@srs.example.net");
/// assert_eq!(srs.reverse(&ours, now), Some(Ok(joe)));
/// // Four weeks later.
/// assert_eq!(srs.reverse(&ours, WallTime::new(1_702_419_200, 0)), Some(Err(SrsError::Expired)));
/// // Somebody else's address is none of ours.
/// assert_eq!(srs.reverse(&Address::parse("ann@example.net")?, now), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Srs {
    domain: Domain<'static>,
    /// Domains that this host sends for itself.
    own_domains: Vec<Domain<'static>>,
    secrets: Vec<Secret<String>>,
}

impl fmt::Debug for Srs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srs").field("domain", &self.domain.as_str()).finish_non_exhaustive()
    }
}

/// Why an address is not rewritten, or not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SrsError {
    /// No secret, or an empty one.
    #[error("there is no secret")]
    NoSecret,
    /// The domain is none, or an address literal.
    #[error("the domain is none")]
    Domain,
    /// The rewritten address would be too long.
    #[error("the address is too long to be rewritten")]
    TooLong,
    /// It has the form of a rewritten address, and its hash is not ours, or its parts are none.
    #[error("the address is forged")]
    Forged,
    /// It is ours, and is older than 21 days.
    #[error("the address has expired")]
    Expired,
}

impl SrsError {
    /// What RCPT is answered.
    pub fn reply(self) -> Reply {
        match self {
            SrsError::Expired => Reply::enhanced(550, 5, 1, 6, "this address has expired"),
            _ => Reply::enhanced(550, 5, 1, 1, "no such address here"),
        }
    }
}

impl Srs {
    /// Addresses at `domain`, which should have no others, and whose mail has to come to this host. The first secret makes hashes;
    /// what was made with the others is taken as well, so that a secret can be changed. Keep the old one for 21 days.
    ///
    /// # Errors
    ///
    /// [`SrsError::Domain`], [`SrsError::NoSecret`]
    pub fn new<S: Into<String>>(domain: &str, secrets: impl IntoIterator<Item = S>) -> Result<Self, SrsError> {
        let secrets: Vec<String> = secrets.into_iter().map(Into::into).collect();
        if secrets.is_empty() || secrets.iter().any(String::is_empty) {
            return Err(SrsError::NoSecret);
        }
        let secrets = secrets.into_iter().map(Secret::new).collect();
        Ok(Srs { domain: name(domain)?, own_domains: Vec::new(), secrets })
    }

    /// Senders in this domain are left as they are, where who brought the message may send for them
    /// ([`SpoolSink::own`](crate::outbound::SpoolSink::own)).
    ///
    /// # Errors
    ///
    /// [`SrsError::Domain`]
    pub fn own_domain(mut self, domain: &str) -> Result<Self, SrsError> {
        self.own_domains.push(name(domain)?);
        Ok(self)
    }

    /// The domain of rewritten addresses.
    pub const fn domain(&self) -> &Domain<'static> {
        &self.domain
    }

    /// The sender under which a message of one of ours is sent on.
    ///
    /// # Errors
    ///
    /// [`SrsError::TooLong`]
    pub fn rewrite(&self, from: &Address<'_>, now: WallTime) -> Result<Address<'static>, SrsError> {
        let domain = from.domain().as_str();
        let is_own = |own: &Domain<'_>| own.eq_ignore_ascii_case(domain);
        if is_own(&self.domain) || self.own_domains.iter().any(is_own) {
            return Ok(from.clone().into_owned());
        }
        self.rewrite_any(from, now)
    }

    /// The sender under which a stranger's message is sent on: whoever writes a domain of ours there must not get our good name
    /// for it.
    ///
    /// # Errors
    ///
    /// [`SrsError::TooLong`]
    pub fn rewrite_any(&self, from: &Address<'_>, now: WallTime) -> Result<Address<'static>, SrsError> {
        let domain = from.domain().as_str();
        let local = from.local().unquoted();
        let rewritten = match (after(&local, "SRS0"), after(&local, "SRS1")) {
            // An address of another forwarder: its own part is kept whole, and it is asked first when a bounce comes.
            (Some(_), _) => self.second(domain, &local["SRS0".len()..]),
            (_, Some(rest)) => match rest.split_once('=').and_then(|(_, rest)| rest.split_once('=')) {
                Some((first, rest)) => self.second(first, rest),
                None => self.first(domain, &local, now),
            },
            _ => self.first(domain, &local, now),
        };
        self.address(&rewritten, self.domain.as_str()).map_err(|_| SrsError::TooLong)
    }

    fn first(&self, domain: &str, local: &str, now: WallTime) -> String {
        let stamp = stamp_of(day_of(now));
        let hash = hash(&self.secrets[0], &[&stamp, domain, local]);
        format!("SRS0={hash}={stamp}={domain}={local}")
    }

    fn second(&self, first: &str, rest: &str) -> String {
        let hash = hash(&self.secrets[0], &[first, rest]);
        format!("SRS1={hash}={first}={rest}")
    }

    fn address(&self, local: &str, domain: &str) -> Result<Address<'static>, AddressError> {
        let local = LocalPart::from_unquoted(local)?;
        Ok(Address::new(local, Domain::parse(domain)?.into_owned())?.into_owned())
    }

    /// Whom a bounce to an address is for. `None`: it is no rewritten address of ours.
    ///
    /// # Errors
    ///
    /// [`SrsError::Forged`], [`SrsError::Expired`]: it is not to be taken, and [`SrsError::reply`] says how.
    pub fn reverse(&self, to: &Address<'_>, now: WallTime) -> Option<Result<Address<'static>, SrsError>> {
        if !self.domain.eq_ignore_ascii_case(to.domain().as_str()) {
            return None;
        }
        let local = to.local().unquoted();
        if let Some(rest) = after(&local, "SRS0") {
            return Some(self.reverse_first(rest, now));
        }
        Some(self.reverse_second(after(&local, "SRS1")?))
    }

    fn reverse_first(&self, rest: &str, now: WallTime) -> Result<Address<'static>, SrsError> {
        let mut parts = rest.splitn(4, '=');
        let mut part = || parts.next().ok_or(SrsError::Forged);
        let (hash, stamp, domain, local) = (part()?, part()?, part()?, part()?);
        self.check(hash, &[stamp, domain, local])?;
        let made = day_from(stamp).ok_or(SrsError::Forged)?;
        let age = (day_of(now) + DAYS_MAX - made) % DAYS_MAX;
        // A day of the future: the clocks of two hosts that share a secret differ.
        if age > DAYS_VALID && age != DAYS_MAX - 1 {
            return Err(SrsError::Expired);
        }
        self.address(local, domain).map_err(|_| SrsError::Forged)
    }

    /// The address of the first forwarder, who will judge its age: the form has no date of its own, as with postsrsd.
    fn reverse_second(&self, rest: &str) -> Result<Address<'static>, SrsError> {
        let mut parts = rest.splitn(3, '=');
        let mut part = || parts.next().ok_or(SrsError::Forged);
        let (hash, first, rest) = (part()?, part()?, part()?);
        self.check(hash, &[first, rest])?;
        self.address(&format!("SRS0{rest}"), first).map_err(|_| SrsError::Forged)
    }

    /// Looks at a hash for as long whatever is in it. Its case does not count: hosts on the way may have lost it.
    fn check(&self, told: &str, parts: &[&str]) -> Result<(), SrsError> {
        let mut is_ours = false;
        for secret in &self.secrets {
            let ours = Secret::new(hash(secret, parts).to_ascii_lowercase());
            is_ours |= ours.same_as(told.to_ascii_lowercase().as_bytes());
        }
        if is_ours { Ok(()) } else { Err(SrsError::Forged) }
    }
}

fn name(domain: &str) -> Result<Domain<'static>, SrsError> {
    let domain = Domain::parse(domain).map_err(|_| SrsError::Domain)?.into_owned();
    if domain.name().is_some() { Ok(domain) } else { Err(SrsError::Domain) }
}

/// What stands behind a tag and the character that ends it.
fn after<'l>(local: &'l str, tag: &str) -> Option<&'l str> {
    let (head, rest) = local.split_at_checked(tag.len())?;
    let is_tag = head.eq_ignore_ascii_case(tag) && rest.starts_with(['=', '+', '-']);
    is_tag.then(|| &rest[1..])
}

fn hash(secret: &Secret<String>, parts: &[&str]) -> String {
    let data = parts.concat().to_ascii_lowercase();
    let mac = RingCrypto.hmac(HashAlgorithm::Sha1, secret.expose().as_bytes(), data.as_bytes());
    let mac = mac.unwrap_or_else(|_| unreachable!("ring has HMAC with SHA-1"));
    // Four characters are the first three octets.
    base64(mac[0], mac[1], mac[2])
}

fn base64(a: u8, b: u8, c: u8) -> String {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u32::from_be_bytes([0, a, b, c]);
    [18, 12, 6, 0].map(|shift| char::from(BASE64[(bits >> shift & 63) as usize])).iter().collect()
}

fn day_of(now: WallTime) -> u16 {
    u16::try_from(now.unix_seconds().div_euclid(86_400).rem_euclid(i64::from(DAYS_MAX))).unwrap_or(0)
}

fn stamp_of(day: u16) -> String {
    [day >> 5 & 31, day & 31].map(|digit| char::from(BASE32[usize::from(digit)])).iter().collect()
}

fn day_from(stamp: &str) -> Option<u16> {
    let digit = |octet: u8| BASE32.iter().position(|known| *known == octet.to_ascii_uppercase());
    let [high, low] = stamp.as_bytes() else { return None };
    u16::try_from(digit(*high)? << 5 | digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn at(days: i64) -> WallTime {
        WallTime::new(NOW + days * 86_400, 0)
    }

    fn address(text: &str) -> Address<'static> {
        Address::parse(text).unwrap().into_owned()
    }

    fn srs(domain: &str, secrets: &[&str]) -> Srs {
        Srs::new(domain, secrets.iter().copied()).unwrap()
    }

    #[test]
    fn an_address_is_good_for_three_weeks() {
        let srs = srs("srs.example", &["one"]);
        let joe = address("joe@example.org");
        for born in [0, 5, 700, 900, 1023, 1024] {
            let ours = srs.rewrite(&joe, at(born)).unwrap();
            for age in [0, 1, 21, -1] {
                assert_eq!(srs.reverse(&ours, at(born + age)), Some(Ok(joe.clone())), "{age}");
            }
            for age in [22, 500, 1000] {
                assert_eq!(srs.reverse(&ours, at(born + age)), Some(Err(SrsError::Expired)), "{age}");
            }
        }
    }

    #[test]
    fn postsrsd_writes_the_same() {
        // postsrsd 1.10, on 2026-11-27.
        let (srs, now) = (srs("srs.example.net", &["a secret of some length"]), WallTime::new(1_795_748_700, 0));
        for (from, theirs) in [
            ("Joe@example.org", "SRS0=sdI+=JQ=example.org=Joe@srs.example.net"),
            (
                "SRS0=abcd=G3=example.org=joe@other.example",
                "SRS1=m37H=other.example==abcd=G3=example.org=joe@srs.example.net",
            ),
        ] {
            assert_eq!(srs.rewrite(&address(from), now), Ok(address(theirs)));
            assert_eq!(srs.reverse(&address(theirs), now), Some(Ok(address(from))));
        }
    }

    #[test]
    fn nobody_else_makes_one() {
        let srs = srs("srs.example", &["one"]);
        let ours = srs.rewrite(&address("joe@example.org"), at(0)).unwrap().to_string();
        let forged = |text: &str| assert_eq!(srs.reverse(&address(text), at(0)), Some(Err(SrsError::Forged)), "{text}");
        forged(&ours.replace("=joe", "=jim"));
        forged(&ours.replace("example.org", "example.com"));
        for text in [
            "SRS0=@srs.example",
            "SRS0=aaaa=AA=x@srs.example",
            "SRS0==AA=x.example=y@srs.example",
            "SRS1=a@srs.example",
        ] {
            forged(text);
        }
        let other = self::srs("srs.example", &["two"]);
        assert_eq!(other.reverse(&address(&ours), at(0)), Some(Err(SrsError::Forged)));
        // The old secret counts for a while.
        let changed = self::srs("srs.example", &["two", "one"]);
        assert_eq!(changed.reverse(&address(&ours), at(0)), Some(Ok(address("joe@example.org"))));
        assert_ne!(changed.rewrite(&address("joe@example.org"), at(0)).unwrap(), address(&ours));
        // Hosts on the way may change the case.
        assert_eq!(srs.reverse(&address(&ours.to_lowercase()), at(0)), Some(Ok(address("joe@example.org"))));
        assert_eq!(srs.reverse(&address("ann@srs.example"), at(0)), None);
        assert_eq!(srs.reverse(&address(&ours.replace("srs.example", "else.example")), at(0)), None);
    }

    #[test]
    fn several_forwarders_in_a_row() {
        let [one, two, three] = ["one.example", "two.example", "three.example"].map(|domain| srs(domain, &[domain]));
        let joe = address("joe@example.org");
        let first = one.rewrite(&joe, at(0)).unwrap();
        let second = two.rewrite(&first, at(0)).unwrap();
        assert!(second.to_string().starts_with("SRS1="), "{second}");
        let third = three.rewrite(&second, at(0)).unwrap();
        // A bounce goes from the last one to the first, past those between.
        assert_eq!(third.to_string().len(), second.to_string().len() + "three".len() - "two".len());
        assert_eq!(three.reverse(&third, at(0)), Some(Ok(first.clone())));
        assert_eq!(two.reverse(&second, at(0)), Some(Ok(first.clone())));
        assert_eq!(one.reverse(&first, at(0)), Some(Ok(joe)));
    }

    #[test]
    fn what_is_not_rewritten() {
        let srs = srs("srs.example", &["one"]).own_domain("own.example").unwrap();
        for own in ["joe@own.example", "SRS0=a=b=c=d@srs.example"] {
            assert_eq!(srs.rewrite(&address(own), at(0)), Ok(address(own)));
        }
        // A stranger's all the same.
        for own in ["joe@own.example", "SRS0=a=b=c=d@srs.example"] {
            let ours = srs.rewrite_any(&address(own), at(0)).unwrap();
            assert_ne!(ours, address(own));
            assert_eq!(srs.reverse(&ours, at(0)), Some(Ok(address(own))));
        }
        let long = format!("{}@{}.example", "x".repeat(60), vec!["y".repeat(60); 3].join("."));
        assert!(long.len() < 254);
        assert_eq!(srs.rewrite(&address(&long), at(0)), Err(SrsError::TooLong));
        let quoted = address("\"a b\"@example.org");
        let ours = srs.rewrite(&quoted, at(0)).unwrap();
        assert_eq!(srs.reverse(&ours, at(0)), Some(Ok(quoted)));
        assert_eq!(Srs::new("srs.example", [""; 0]).unwrap_err(), SrsError::NoSecret);
        assert_eq!(Srs::new("[192.0.2.1]", ["one"]).unwrap_err(), SrsError::Domain);
    }
}
