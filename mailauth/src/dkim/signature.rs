//! What stands in a DKIM-Signature field (RFC 6376 §3.5), and in the fields of ARC that are made like it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pillarbox_core::address::LocalPart;
use pillarbox_core::crypto::SignatureAlgorithm;
use pillarbox_core::dns::Name;

use super::{Canonicalization, Reason};
use crate::idn;
use crate::tag_list::{TagList, TagListError, trim, without_space};

/// The algorithm of a signature: the values of `a=` (RFC 6376 §3.3, RFC 8463 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// `rsa-sha256`
    RsaSha256,
    /// `ed25519-sha256`
    Ed25519Sha256,
    /// `rsa-sha1`, which is historic and proves nothing (RFC 8301 §3.1).
    RsaSha1,
}

impl Algorithm {
    /// The word in `a=`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
            Algorithm::RsaSha1 => "rsa-sha1",
        }
    }

    /// The algorithm that a key signs with.
    pub(crate) const fn of_key(algorithm: SignatureAlgorithm) -> Option<Self> {
        match algorithm {
            SignatureAlgorithm::RsaSha256 => Some(Algorithm::RsaSha256),
            SignatureAlgorithm::Ed25519 => Some(Algorithm::Ed25519Sha256),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The agent or user for whom the domain signs: `i=`, by default the domain itself (RFC 6376 §3.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Identity {
    /// What stands before the `@`, if anything does.
    pub local_part: Option<LocalPart<'static>>,
    /// The signing domain, or one below it.
    pub domain: Name,
}

impl fmt::Display for Identity {
    /// As an address, with nothing before the `@` if there is no local part.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.local_part.as_ref().map_or("", LocalPart::as_str);
        write!(f, "{local}@{}", self.domain)
    }
}

/// Which name a third party claims to sign for (RFC 6541 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AtpsClaim {
    pub(crate) author: Name,
    pub(crate) hash: AtpsHash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtpsHash {
    None,
    Sha1,
    Sha256,
}

/// Which fields are read as a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Dkim,
    ArcMessage,
    ArcSeal,
}

/// A signature field that is well formed.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) algorithm: Algorithm,
    /// `b=`
    pub(crate) signature: Vec<u8>,
    /// `bh=`; empty in a seal.
    pub(crate) body_hash: Vec<u8>,
    /// `c=`
    pub(crate) header_form: Canonicalization,
    pub(crate) body_form: Canonicalization,
    /// `d=`
    pub(crate) domain: Name,
    /// Where the key is (RFC 6376 §3.6.2.1).
    pub(crate) key_name: Name,
    /// `h=`, without white space.
    names: Vec<u8>,
    /// `i=`, of DKIM.
    pub(crate) identity: Option<Identity>,
    /// `l=`
    pub(crate) length: Option<u64>,
    /// `t=`
    pub(crate) time: Option<u64>,
    /// `x=`
    pub(crate) expires: Option<u64>,
    pub(crate) atps: Option<AtpsClaim>,
}

/// What can be said of a signature field that is not well formed, or not to be verified.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) facts: Facts,
}

/// What names a signature in results, as far as it could be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) domain: Option<Name>,
    pub(crate) selector: Option<Name>,
    pub(crate) algorithm: Option<Algorithm>,
    /// The first eight characters of `b=` (RFC 6008 §4).
    pub(crate) prefix: Option<String>,
}

impl Signature {
    /// Reads the value of a field.
    pub(crate) fn parse(value: &[u8], kind: Kind) -> Result<(Self, Facts), Refused> {
        let list = TagList::parse(value).map_err(|error| Refused {
            reason: match error {
                TagListError::Duplicate => Reason::DuplicateTag,
                TagListError::Malformed | TagListError::TooMany => Reason::NoTagList,
            },
            facts: Facts::default(),
        })?;
        let facts = Facts::of(&list);
        match read(&list, &facts, kind) {
            Ok(signature) => Ok((signature, facts)),
            Err(reason) => Err(Refused { reason, facts }),
        }
    }

    /// The names in `h=`, as they are written.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.split(|octet| *octet == b':')
    }
}

impl Facts {
    fn of(list: &TagList<'_>) -> Self {
        Facts {
            domain: list.find("d").and_then(domain),
            selector: list.find("s").and_then(selector),
            algorithm: list.find("a").and_then(algorithm),
            prefix: list.find("b").and_then(|b| {
                let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=');
                let octets = b.iter().filter(|octet| !matches!(octet, b' ' | b'\t' | b'\r' | b'\n')).take(8);
                octets.map(|octet| is_base64(octet).then(|| char::from(*octet))).collect()
            }),
        }
    }
}

fn read(list: &TagList<'_>, facts: &Facts, kind: Kind) -> Result<Signature, Reason> {
    let required = |name: &'static str| list.find(name).ok_or(Reason::MissingTag(name));
    if kind == Kind::Dkim {
        // RFC 6376 §6.1.1: another version is another language, so nothing else is read.
        match required("v")? {
            b"1" => {}
            _ => return Err(Reason::Version),
        }
    }
    let (a, b) = (required("a")?, required("b")?);
    let has_body = kind != Kind::ArcSeal;
    let bh = if has_body { required("bh")? } else { b"" };
    required("d")?;
    // RFC 8617 §4.1.3: a seal covers what it always covers.
    let names = match kind {
        Kind::ArcSeal if list.find("h").is_some() => return Err(Reason::SealWithNames),
        Kind::ArcSeal => Vec::new(),
        Kind::Dkim | Kind::ArcMessage => header_names(required("h")?)?,
    };
    required("s")?;

    // RFC 6376 §3.5: names that no resolver would read in two ways, before one is asked.
    let domain = facts.domain.clone().ok_or(Reason::InvalidTag("d"))?;
    let selector = facts.selector.clone().ok_or(Reason::InvalidTag("s"))?;
    let prefix = alloc::format!("{selector}._domainkey");
    let key_name = domain.with_prefix(&prefix).map_err(|_| Reason::InvalidTag("s"))?;
    let signature = Some(base64(b).ok_or(Reason::InvalidTag("b"))?)
        .filter(|signature| !signature.is_empty())
        .ok_or(Reason::InvalidTag("b"))?;
    let body_hash = base64(bh).filter(|hash| hash.is_empty() != has_body).ok_or(Reason::InvalidTag("bh"))?;
    let (header_form, body_form) = match (kind, list.find("c")) {
        // RFC 8617 §4.1.3
        (Kind::ArcSeal, _) => (Canonicalization::Relaxed, Canonicalization::Relaxed),
        // Deviates from RFC 8617 §4.1.2, which has the default of DKIM: because the validation suite of its authors reads the
        // absence of c= so, and so do others.
        (Kind::ArcMessage, None) => (Canonicalization::Relaxed, Canonicalization::Relaxed),
        (_, None) => (Canonicalization::Simple, Canonicalization::Simple),
        (_, Some(value)) => canonicalizations(value).ok_or(Reason::InvalidTag("c"))?,
    };
    let number = |name: &'static str, digits_max| match list.find(name) {
        Some(value) => number(value, digits_max).map(Some).ok_or(Reason::InvalidTag(name)),
        None => Ok(None),
    };
    // RFC 6376 §3.5: up to 76 and 12 digits. A length that no u64 holds is longer than any body.
    let length = if has_body { number("l", 76)? } else { None };
    let (time, expires) = (number("t", 12)?, number("x", 12)?);
    let (identity, atps) = match kind {
        Kind::Dkim => (identity(list, &domain)?, atps(list)),
        Kind::ArcMessage | Kind::ArcSeal => (None, None),
    };
    // RFC 6376 §6.1.1, the From field; RFC 8617 asks for nothing of the kind.
    if kind == Kind::Dkim && !names.split(|octet| *octet == b':').any(|name| name.eq_ignore_ascii_case(b"from")) {
        return Err(Reason::FromNotSigned);
    }
    if kind == Kind::ArcMessage
        && names.split(|octet| *octet == b':').any(|name| name.eq_ignore_ascii_case(b"arc-seal"))
    {
        return Err(Reason::SealSigned);
    }
    if kind == Kind::Dkim {
        query_methods(list)?;
    }
    // RFC 6376 §3.3: what is not implemented is ignored, not taken for wrong.
    let algorithm = match facts.algorithm {
        Some(Algorithm::RsaSha1) => return Err(Reason::HistoricAlgorithm),
        Some(algorithm) => algorithm,
        None if is_algorithm(a) => return Err(Reason::UnknownAlgorithm),
        None => return Err(Reason::InvalidTag("a")),
    };
    Ok(Signature {
        algorithm,
        signature,
        body_hash,
        header_form,
        body_form,
        domain,
        key_name,
        names,
        identity,
        length,
        time,
        expires,
        atps,
    })
}

fn algorithm(value: &[u8]) -> Option<Algorithm> {
    [Algorithm::RsaSha256, Algorithm::Ed25519Sha256, Algorithm::RsaSha1]
        .into_iter()
        .find(|algorithm| value.eq_ignore_ascii_case(algorithm.as_str().as_bytes()))
}

/// RFC 6376 §3.5, `sig-a-tag-alg`: whether it is an algorithm at all.
fn is_algorithm(value: &[u8]) -> bool {
    let is_word =
        |word: &[u8]| word.first().is_some_and(u8::is_ascii_alphabetic) && word.iter().all(u8::is_ascii_alphanumeric);
    let mut parts = value.splitn(2, |octet| *octet == b'-');
    parts.next().is_some_and(is_word) && parts.next().is_some_and(is_word)
}

/// Base64 with white space in it (RFC 6376 §3.2, `base64string`), padded or not.
pub(crate) fn base64(value: &[u8]) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ENGINE.decode(without_space(value)).ok()
}

/// RFC 6376 §3.5, `domain-name`: two labels at least. RFC 8616 §4: U-labels may stand there.
pub(crate) fn domain(value: &[u8]) -> Option<Name> {
    Some(value).filter(|value| value.contains(&b'.')).and_then(selector)
}

/// RFC 6376 §3.1: labels of letters, digits and hyphens. An underscore is taken, as selectors have it.
pub(crate) fn selector(value: &[u8]) -> Option<Name> {
    let ascii = idn::to_ascii(core::str::from_utf8(value).ok()?).ok()?;
    let is_allowed = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    if ascii.ends_with('.') || !ascii.bytes().all(is_allowed) {
        return None;
    }
    Name::parse(&ascii).ok()
}

fn canonicalizations(value: &[u8]) -> Option<(Canonicalization, Canonicalization)> {
    let form = |word: &[u8]| {
        [Canonicalization::Simple, Canonicalization::Relaxed]
            .into_iter()
            .find(|form| word.eq_ignore_ascii_case(form.as_str().as_bytes()))
    };
    let mut words = value.splitn(2, |octet| *octet == b'/');
    let header = form(words.next()?)?;
    // RFC 6376 §3.5: one word alone is for the header.
    let body = words.next().map_or(Some(Canonicalization::Simple), form)?;
    Some((header, body))
}

/// RFC 6376 §3.5, `h=`: names with colons between. An empty place selects nothing.
fn header_names(value: &[u8]) -> Result<Vec<u8>, Reason> {
    let is_name = |name: &[u8]| name.iter().all(u8::is_ascii_graphic);
    if !value.split(|octet| *octet == b':').all(|name| is_name(trim(name))) {
        return Err(Reason::InvalidTag("h"));
    }
    Ok(without_space(value))
}

/// Digits alone; what no u64 holds is the largest one.
pub(crate) fn number(value: &[u8], digits_max: usize) -> Option<u64> {
    if value.is_empty() || value.len() > digits_max || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let push = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(value.iter().fold(0, push))
}

// RFC 6376 §3.5, `q=`: unknown ways to ask for a key are passed over.
fn query_methods(list: &TagList<'_>) -> Result<(), Reason> {
    let Some(value) = list.find("q") else { return Ok(()) };
    let is_dns = |method: &[u8]| trim(method).eq_ignore_ascii_case(b"dns/txt");
    if value.split(|octet| *octet == b':').any(is_dns) { Ok(()) } else { Err(Reason::UnknownQuery) }
}

// RFC 6376 §3.5, `i=`
fn identity(list: &TagList<'_>, signing: &Name) -> Result<Option<Identity>, Reason> {
    let Some(value) = list.find("i") else { return Ok(None) };
    let invalid = Reason::InvalidTag("i");
    let decoded = quoted_printable(value).ok_or(invalid)?;
    let text = core::str::from_utf8(&decoded).map_err(|_| invalid)?;
    let (local, name) = text.rsplit_once('@').ok_or(invalid)?;
    let name = domain(name.as_bytes()).ok_or(invalid)?;
    // RFC 6376 §6.1.1: label by label, so that evilexample.com is not taken for a part of example.com.
    if !name.is_within(signing) {
        return Err(Reason::IdentityOutsideDomain);
    }
    let local_part = match local {
        "" => None,
        local => Some(LocalPart::parse_utf8(local).map_err(|_| invalid)?.into_owned()),
    };
    Ok(Some(Identity { local_part, domain: name }))
}

/// RFC 6376 §2.11, `dkim-quoted-printable`
fn quoted_printable(value: &[u8]) -> Option<Vec<u8>> {
    let value = without_space(value);
    let mut decoded = Vec::with_capacity(value.len());
    let mut octets = value.iter();
    while let Some(&octet) = octets.next() {
        if octet != b'=' {
            decoded.push(octet);
            continue;
        }
        let digit = |octet: Option<&u8>| match octet? {
            octet @ b'0'..=b'9' => Some(octet - b'0'),
            octet @ b'A'..=b'F' => Some(octet - b'A' + 10),
            _ => None,
        };
        let (high, low) = (digit(octets.next())?, digit(octets.next())?);
        decoded.push(high << 4 | low);
    }
    Some(decoded)
}

/// RFC 6541 §4.2. A claim that is not well formed is none.
fn atps(list: &TagList<'_>) -> Option<AtpsClaim> {
    let author = domain(list.find("atps")?)?;
    let hash = match list.find("atpsh")?.to_ascii_lowercase()[..] {
        [b'n', b'o', b'n', b'e'] => AtpsHash::None,
        [b's', b'h', b'a', b'1'] => AtpsHash::Sha1,
        [b's', b'h', b'a', b'2', b'5', b'6'] => AtpsHash::Sha256,
        _ => return None,
    };
    Some(AtpsClaim { author, hash })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const GOOD: &str = "v=1; a=rsa-sha256; d=example.org; s=sel; h=From:To; bh=AAAA; b=BBBB";

    fn parse(value: &str) -> Result<Signature, Reason> {
        Signature::parse(value.as_bytes(), Kind::Dkim).map(|(signature, _)| signature).map_err(|refused| refused.reason)
    }

    #[test]
    fn defaults_and_white_space() {
        let signature = parse(GOOD).unwrap();
        assert_eq!((signature.header_form, signature.body_form), Default::default());
        assert_eq!(signature.key_name.as_str(), "sel._domainkey.example.org");
        let folded = "\r\n v\t=\t1 ;a=rsa-sha256;d=EXAMPLE.org;s=a.b\r\n\t;h=from\r\n :\r\n to : x ;bh=A A\r\n A A;b=B\r\n BBB; \
                      c=relaxed; t=1; x=2; l=5; q=http/x : dns/txt; z=any; new=; i=a=40b@c.example.org;";
        // A quoted pair would have to stand in a quoted string: two `@` make no local part.
        assert_eq!(parse(folded).unwrap_err(), Reason::InvalidTag("i"));
        let signature = parse(&folded.replace("a=40b@", "a=2Bb@")).unwrap();
        assert_eq!((signature.header_form, signature.body_form), (Canonicalization::Relaxed, Canonicalization::Simple));
        assert_eq!(signature.names().collect::<Vec<_>>(), [&b"from"[..], b"to", b"x"]);
        assert_eq!((signature.time, signature.expires, signature.length), (Some(1), Some(2), Some(5)));
        assert_eq!(format!("{}", signature.identity.unwrap()), "a+b@c.example.org");
        assert_eq!(signature.key_name.as_str(), "a.b._domainkey.example.org");
    }

    #[test]
    fn each_tag_has_its_rule() {
        assert_eq!(parse(&format!("{GOOD};; x=1")).unwrap_err(), Reason::NoTagList);
        assert_eq!(parse(&format!("{GOOD}; d=example.org")).unwrap_err(), Reason::DuplicateTag);
        for tag in ["v", "a", "d", "s", "h", "bh", "b"] {
            let without = GOOD.split("; ").filter(|spec| !spec.starts_with(&format!("{tag}="))).collect::<Vec<_>>();
            assert!(matches!(parse(&without.join("; ")), Err(Reason::MissingTag(missing)) if missing == tag), "{tag}");
        }
        for (from, to, reason) in [
            ("v=1", "v=2", Reason::Version),
            ("v=1", "v=1.0", Reason::Version),
            ("rsa-sha256", "rsa-sha1", Reason::HistoricAlgorithm),
            ("rsa-sha256", "ecdsa-sha256", Reason::UnknownAlgorithm),
            ("rsa-sha256", "rsa", Reason::InvalidTag("a")),
            ("AAAA", "A*AA", Reason::InvalidTag("bh")),
            ("AAAA", "", Reason::InvalidTag("bh")),
            ("BBBB", "", Reason::InvalidTag("b")),
            ("BBBB", "BBBBB", Reason::InvalidTag("b")),
            ("From:To", "To", Reason::FromNotSigned),
            ("From:To", "X-From:Fromm", Reason::FromNotSigned),
            ("From:To", "From:T o", Reason::InvalidTag("h")),
            ("v=1", "v=1; c=relaxed/relaxed/relaxed", Reason::InvalidTag("c")),
            ("v=1", "v=1; c=nowsp", Reason::InvalidTag("c")),
            ("v=1", "v=1; c=", Reason::InvalidTag("c")),
            ("v=1", "v=1; l=-1", Reason::InvalidTag("l")),
            ("v=1", "v=1; l=", Reason::InvalidTag("l")),
            ("v=1", "v=1; t=1 2", Reason::InvalidTag("t")),
            ("v=1", "v=1; x=1234567890123", Reason::InvalidTag("x")),
            ("v=1", "v=1; q=dns/srv", Reason::UnknownQuery),
            ("v=1", "v=1; i=@example.com", Reason::IdentityOutsideDomain),
            ("v=1", "v=1; i=a@evilexample.org", Reason::IdentityOutsideDomain),
            ("v=1", "v=1; i=example.org", Reason::InvalidTag("i")),
            ("v=1", "v=1; i=a=4@example.org", Reason::InvalidTag("i")),
            ("v=1", "v=1; i=a(b@example.org", Reason::InvalidTag("i")),
        ] {
            assert_eq!(parse(&GOOD.replacen(from, to, 1)).unwrap_err(), reason, "{to}");
        }
        let longest = format!("v=1; l=18446744073709551616; x={}", "9".repeat(12));
        let signature = parse(&GOOD.replacen("v=1", &longest, 1)).unwrap();
        assert_eq!((signature.length, signature.expires), (Some(u64::MAX), Some(999_999_999_999)));
    }

    /// Parts that read such names differently were played against each other.
    #[test]
    fn names_that_are_read_in_two_ways_are_no_names() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = ["a".repeat(60).as_str(); 5].join(".");
        for name in [
            "legit.example(.attack.example",
            "legit.example'a.attack.example",
            "a\"b.example",
            "a b.example",
            "a\r\n b.example",
            ".example.org",
            "example..org",
            "example.org.",
            "a@b.example",
            "a/b.example",
            &long,
            &longer,
        ] {
            assert_eq!(
                parse(&GOOD.replace("d=example.org", &format!("d={name}"))).unwrap_err(),
                Reason::InvalidTag("d")
            );
            assert_eq!(parse(&GOOD.replace("s=sel", &format!("s={name}"))).unwrap_err(), Reason::InvalidTag("s"));
        }
        assert_eq!(parse(&GOOD.replace("d=example.org", "d=org")).unwrap_err(), Reason::InvalidTag("d"));
        assert_eq!(parse(&GOOD.replace("s=sel", "s=a\0b")).unwrap_err(), Reason::NoTagList);
        let too_long = ["a".repeat(60).as_str(); 4].join(".");
        assert_eq!(parse(&GOOD.replace("s=sel", &format!("s={too_long}"))).unwrap_err(), Reason::InvalidTag("s"));
        let international = parse(&GOOD.replace("d=example.org", "d=bücher.example; i=jürgen@bücher.example")).unwrap();
        assert_eq!(international.domain.as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn what_was_read_names_the_signature() {
        let refused =
            Signature::parse(b"v=2; d=example.org; s=a(; a=rsa-sha1; b=abcd efgh ijkl", Kind::Dkim).unwrap_err();
        assert_eq!(refused.facts.domain.as_ref().map(Name::as_str), Some("example.org"));
        assert_eq!(refused.facts.selector, None);
        assert_eq!(refused.facts.algorithm, Some(Algorithm::RsaSha1));
        assert_eq!(refused.facts.prefix.as_deref(), Some("abcdefgh"));
    }
}
