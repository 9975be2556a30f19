//! Zone files: the presentation format of records (RFC 1035 §5), for tests, examples and machines without a network.

mod tokens;

use alloc::string::String;
use alloc::vec::Vec;

use self::tokens::{Item, Items, Place, Token};
use super::{FixedZone, Name, NameError, Record, Validation};

/// What a zone file says, as a [`FixedZone`] that answers it.
///
/// Known are `$ORIGIN`, `$TTL`, `@`, names relative to the origin (to the root where none was named), owners left out,
/// parentheses over several lines, quoted strings with `\"` and `\DDD`, numbers of seconds with units as in `1h30m`, and
/// comments; class IN, and records of the kinds of [`Record`]. An owner whose first label is `*` stands for all names below
/// that have nothing of their own (RFC 1034 §4.3.3). `$INCLUDE` and `$GENERATE` are refused.
///
/// Records of other registered types, such as SOA, NS and DNSSEC's, are passed over, so that a real zone can be used as it
/// is; [`skipped`](ZoneFile::skipped) says which. A type that nobody knows is an error, as it is a slip of the pen.
///
/// Two comments mean something: `; TEMPFAIL name` makes the lookups of a name fail where it has no record, and
/// `; DNSSEC validated`, `insecure` or `unknown` says what all answers say of their truth.
///
/// ```
/// use pillarbox_core::dns::{DnsOutcome, Question, QuestionId, RecordKind, ZoneFile};
///
/// let file = ZoneFile::parse(br#"
/// $ORIGIN example.org.
/// @     IN  TXT  ( "v=spf1 mx "   ; in two strings
///                  "-all" )
///       IN  MX   10 mail
/// mail      A    192.0.2.1
/// ; TEMPFAIL slow
/// "#)?;
/// let ask = |name: &str, kind| file.zone.answer(&Question::new(QuestionId(0), name.parse().unwrap(), kind));
/// assert_eq!(ask("example.org", RecordKind::Txt).records().next().unwrap().text().unwrap(), b"v=spf1 mx -all");
/// assert_eq!(ask("slow.example.org", RecordKind::A).outcome, DnsOutcome::TryLater);
///
/// let error = ZoneFile::parse(b"example.org. A 192.0.2.256").unwrap_err();
/// assert_eq!(error.to_string(), "line 1, column 16: no IPv4 address");
/// # Ok::<(), pillarbox_core::dns::ZoneError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ZoneFile {
    /// What the file says.
    pub zone: FixedZone,
    /// Records that were passed over.
    pub skipped: Vec<Skipped>,
}

/// A record that was passed over, because nothing here asks for its type. Its name exists all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its owner.
    pub name: Name,
    /// Its type, in capitals.
    pub kind: String,
    /// The line that it begins on.
    pub line: usize,
}

/// Why a text is no zone file, and where: line and column count from 1, a column is an octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
#[non_exhaustive]
pub struct ZoneError {
    /// What is wrong.
    pub fault: ZoneFault,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What is wrong with a zone file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZoneFault {
    /// A quote is not closed on its line.
    #[error("a quoted string is not closed")]
    UnclosedQuote,
    /// A parenthesis that is not closed, not opened, or inside another.
    #[error("a parenthesis without its partner")]
    Parenthesis,
    /// A backslash at the end, or before digits that are no octet.
    #[error("a wrong escape")]
    Escape,
    /// A name that cannot be asked for.
    #[error("no domain name: {0}")]
    Name(NameError),
    /// A record without an owner, and none before it.
    #[error("a record without a name before it")]
    NoOwner,
    /// A record that ends before its type.
    #[error("the type of the record is missing")]
    NoType,
    /// A type that is not registered.
    #[error("an unknown type of record")]
    UnknownType,
    /// A class other than IN.
    #[error("a class other than IN")]
    Class,
    /// No number of seconds up to 2147483647 (RFC 2181 §8).
    #[error("no number of seconds")]
    Ttl,
    /// A number that is none, or too large for its place.
    #[error("no number, or too large a one")]
    Number,
    /// No IPv4 address.
    #[error("no IPv4 address")]
    Ipv4,
    /// No IPv6 address.
    #[error("no IPv6 address")]
    Ipv6,
    /// No hexadecimal digits, or an odd number of them.
    #[error("no hexadecimal octets")]
    Hex,
    /// A string of more than 255 octets (RFC 1035 §3.3).
    #[error("a string is longer than 255 octets")]
    StringTooLong,
    /// The record ends too early.
    #[error("something is missing at the end of the record")]
    Missing,
    /// The record goes on where it should end.
    #[error("something stands behind the end of the record")]
    Trailing,
    /// A directive that is unknown or refused.
    #[error("an unknown directive; there are $ORIGIN and $TTL")]
    Directive,
    /// `; TEMPFAIL` without exactly one name.
    #[error("TEMPFAIL takes one name")]
    Tempfail,
    /// More than 16 MiB.
    #[error("the file is larger than 16 MiB")]
    TooLarge,
    /// More than 100,000 records.
    #[error("more than 100000 records")]
    TooManyRecords,
}

/// Files larger than this are served by a name server, not by a list in memory.
const SIZE_MAX: usize = 16 << 20;
/// As above; a record takes about 200 octets of memory.
const RECORDS_MAX: usize = 100_000;
/// What a record that says nothing may be kept for: an hour, as in [`FixedZone::with`].
const DEFAULT_TTL: u32 = 3600;
/// RFC 2181 §8
const TTL_MAX: u32 = 0x7fff_ffff;

/// Registered types that are passed over. Others can be written as TYPEnnn (RFC 3597 §5).
const OTHER_TYPES: [&str; 65] = [
    "AFSDB",
    "AMTRELAY",
    "APL",
    "ATMA",
    "AVC",
    "CAA",
    "CDNSKEY",
    "CDS",
    "CERT",
    "CSYNC",
    "DHCID",
    "DLV",
    "DNAME",
    "DNSKEY",
    "DOA",
    "DS",
    "EID",
    "EUI48",
    "EUI64",
    "GPOS",
    "HHIT",
    "HINFO",
    "HIP",
    "HTTPS",
    "IPSECKEY",
    "ISDN",
    "KEY",
    "KX",
    "L32",
    "L64",
    "LOC",
    "LP",
    "MB",
    "MD",
    "MF",
    "MG",
    "MINFO",
    "MR",
    "NAPTR",
    "NID",
    "NIMLOC",
    "NINFO",
    "NS",
    "NSAP",
    "NSAP-PTR",
    "NSEC",
    "NSEC3",
    "NSEC3PARAM",
    "NULL",
    "NXT",
    "OPENPGPKEY",
    "PX",
    "RP",
    "RRSIG",
    "RT",
    "SIG",
    "SMIMEA",
    "SOA",
    "SPF",
    "SRV",
    "SSHFP",
    "SVCB",
    "URI",
    "WKS",
    "ZONEMD",
];

impl ZoneFile {
    /// Reads a zone file.
    ///
    /// # Errors
    ///
    /// [`ZoneError`] says what is wrong and where.
    pub fn parse(text: &[u8]) -> Result<Self, ZoneError> {
        if text.len() > SIZE_MAX {
            return Err(Place { line: 1, column: 1 }.error(ZoneFault::TooLarge));
        }
        let mut reader = Reader {
            file: ZoneFile::default(),
            origin: Name::root(),
            owner: None,
            default_ttl: None,
            last_ttl: None,
            records: 0,
        };
        let mut items = Items::new(text);
        while let Some(item) = items.next()? {
            match item {
                Item::Comment { words, place } => reader.comment(words, place)?,
                Item::Entry { tokens, has_owner } => reader.entry(&tokens, has_owner)?,
            }
        }
        Ok(reader.file)
    }
}

/// What a zone file has said so far.
struct Reader {
    file: ZoneFile,
    origin: Name,
    owner: Option<Name>,
    /// Of `$TTL` (RFC 2308 §4).
    default_ttl: Option<u32>,
    /// Of the record before (RFC 1035 §5.1).
    last_ttl: Option<u32>,
    records: usize,
}

/// The tokens of an entry that are still to be read, and where they end.
struct Rest<'t, 'a> {
    tokens: core::slice::Iter<'t, Token<'a>>,
    end: Place,
}

impl<'a> Rest<'_, 'a> {
    fn next(&mut self) -> Result<Token<'a>, ZoneError> {
        self.tokens.next().copied().ok_or(self.end.error(ZoneFault::Missing))
    }

    fn number<T: TryFrom<u32>>(&mut self) -> Result<T, ZoneError> {
        let token = self.next()?;
        let number = token.word().filter(|word| word.bytes().all(|octet| octet.is_ascii_digit()));
        let number = number.and_then(|word| word.parse::<u32>().ok()).and_then(|number| T::try_from(number).ok());
        number.ok_or(token.place.error(ZoneFault::Number))
    }

    fn parse<T: core::str::FromStr>(&mut self, fault: ZoneFault) -> Result<T, ZoneError> {
        let token = self.next()?;
        token.word().and_then(|word| word.parse().ok()).ok_or(token.place.error(fault))
    }

    fn finish(&mut self) -> Result<(), ZoneError> {
        self.tokens.next().map_or(Ok(()), |token| Err(token.place.error(ZoneFault::Trailing)))
    }
}

impl Reader {
    fn entry(&mut self, tokens: &[Token<'_>], has_owner: bool) -> Result<(), ZoneError> {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return Ok(()) };
        let end = Place { line: last.place.line, column: last.place.column + last.raw.len() };
        let mut rest = Rest { tokens: tokens.iter(), end };
        if !first.quoted && first.raw.starts_with(b"$") && has_owner {
            return self.directive(&mut rest);
        }
        if has_owner {
            self.owner = Some(self.name(rest.next()?)?);
        }
        let owner = self.owner.clone().ok_or(first.place.error(ZoneFault::NoOwner))?;
        self.record(owner, &mut rest)
    }

    fn directive(&mut self, rest: &mut Rest<'_, '_>) -> Result<(), ZoneError> {
        let directive = rest.next()?;
        match directive.word() {
            Some(word) if word.eq_ignore_ascii_case("$ORIGIN") => self.origin = self.name(rest.next()?)?,
            Some(word) if word.eq_ignore_ascii_case("$TTL") => {
                let token = rest.next()?;
                self.default_ttl = Some(token.word().and_then(parse_ttl).ok_or(token.place.error(ZoneFault::Ttl))?);
            }
            _ => return Err(directive.place.error(ZoneFault::Directive)),
        }
        rest.finish()
    }

    /// `[TTL] [class] type data`, or the class first (RFC 1035 §5.1).
    fn record(&mut self, owner: Name, rest: &mut Rest<'_, '_>) -> Result<(), ZoneError> {
        let (mut ttl, mut class) = (None, false);
        let token = loop {
            let token = rest.tokens.next().copied().ok_or(rest.end.error(ZoneFault::NoType))?;
            match token.word() {
                Some(word) if !class && word.eq_ignore_ascii_case("IN") => class = true,
                Some(word) if ["CH", "CS", "HS"].iter().any(|other| word.eq_ignore_ascii_case(other)) => {
                    return Err(token.place.error(ZoneFault::Class));
                }
                Some(word) if ttl.is_none() && word.starts_with(|c: char| c.is_ascii_digit()) => {
                    ttl = Some(parse_ttl(word).ok_or(token.place.error(ZoneFault::Ttl))?);
                }
                _ => break token,
            }
        };
        self.last_ttl = ttl.or(self.last_ttl);
        let ttl = ttl.or(self.default_ttl).or(self.last_ttl).unwrap_or(DEFAULT_TTL);

        self.records += 1;
        if self.records > RECORDS_MAX {
            return Err(token.place.error(ZoneFault::TooManyRecords));
        }
        let kind = token.word().unwrap_or_default().to_ascii_uppercase();
        let data = match kind.as_str() {
            "A" => Record::A(rest.parse(ZoneFault::Ipv4)?),
            "AAAA" => Record::Aaaa(rest.parse(ZoneFault::Ipv6)?),
            "MX" => Record::mx(rest.number()?, self.name(rest.next()?)?),
            "TXT" => Record::Txt(strings(rest)?),
            "PTR" => Record::Ptr(self.name(rest.next()?)?),
            "CNAME" => Record::Cname(self.name(rest.next()?)?),
            "TLSA" => {
                let (usage, selector, matching) = (rest.number()?, rest.number()?, rest.number()?);
                Record::Tlsa { usage, selector, matching, data: hex(rest)? }
            }
            other if is_other_type(other) => {
                self.file.zone.add_name(owner.clone());
                self.file.skipped.push(Skipped { name: owner, kind, line: token.place.line });
                return Ok(());
            }
            _ => return Err(token.place.error(ZoneFault::UnknownType)),
        };
        rest.finish()?;
        self.file.zone.add(owner, ttl, data);
        Ok(())
    }

    /// A name, relative to the origin unless it ends in a dot.
    fn name(&self, token: Token<'_>) -> Result<Name, ZoneError> {
        let wrong = |error| token.place.error(ZoneFault::Name(error));
        if token.word() == Some("@") {
            return Ok(self.origin.clone());
        }
        let (mut text, mut absolute, mut dot_in_label, mut ascii) = (String::new(), false, false, true);
        token.decode(|octet, escaped| {
            // A dot inside a label cannot be told from others in a `Name`.
            dot_in_label |= escaped && octet == b'.';
            absolute = octet == b'.' && !escaped;
            ascii &= octet.is_ascii();
            text.push(char::from(octet));
        })?;
        if dot_in_label || !ascii || token.quoted {
            return Err(wrong(NameError::ForbiddenOctet));
        }
        if absolute { Name::parse(&text) } else { self.origin.with_prefix(&text) }.map_err(wrong)
    }

    fn comment(&mut self, words: &[u8], place: Place) -> Result<(), ZoneError> {
        let Ok(text) = core::str::from_utf8(words) else { return Ok(()) };
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("TEMPFAIL"), Some(name), None) => {
                let name = self.name(Token { raw: name.as_bytes(), quoted: false, place })?;
                self.file.zone.fail(name);
            }
            (Some("TEMPFAIL"), ..) => return Err(place.error(ZoneFault::Tempfail)),
            (Some("DNSSEC"), Some(word), None) => {
                let validation = match word {
                    "validated" => Validation::Validated,
                    "insecure" => Validation::NotValidated,
                    "unknown" => Validation::Unknown,
                    _ => return Ok(()),
                };
                self.file.zone.set_validation(validation);
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_other_type(kind: &str) -> bool {
    OTHER_TYPES.contains(&kind)
        || kind.strip_prefix("TYPE").is_some_and(|number| !number.is_empty() && number.parse::<u16>().is_ok())
}

/// Seconds, or numbers with units as BIND writes them.
fn parse_ttl(word: &str) -> Option<u32> {
    let (mut total, mut number) = (0_u32, None);
    for octet in word.bytes() {
        let unit = match octet.to_ascii_lowercase() {
            b'0'..=b'9' => {
                let digit = u32::from(octet - b'0');
                number = Some(number.unwrap_or(0_u32).checked_mul(10)?.checked_add(digit)?);
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = number.take()?.checked_mul(unit).and_then(|seconds| total.checked_add(seconds))?;
    }
    // A number without a unit stands alone.
    let seconds = if word.bytes().all(|octet| octet.is_ascii_digit()) { number? } else { total };
    (seconds <= TTL_MAX && (number.is_none() || total == 0)).then_some(seconds)
}

/// The strings of a text, joined.
fn strings(rest: &mut Rest<'_, '_>) -> Result<Vec<u8>, ZoneError> {
    let mut text = string(rest.next()?)?;
    for token in rest.tokens.by_ref() {
        text.extend(string(*token)?);
    }
    Ok(text)
}

fn string(token: Token<'_>) -> Result<Vec<u8>, ZoneError> {
    let octets = token.octets()?;
    if octets.len() > 255 {
        return Err(token.place.error(ZoneFault::StringTooLong));
    }
    Ok(octets.into_owned())
}

/// Hexadecimal octets; white space may stand between any two digits (RFC 6698 §2.2).
fn hex(rest: &mut Rest<'_, '_>) -> Result<Vec<u8>, ZoneError> {
    let mut octets = Vec::new();
    let mut high = None;
    let first = rest.next()?;
    for token in core::iter::once(first).chain(rest.tokens.by_ref().copied()) {
        for digit in token.raw {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return Err(token.place.error(ZoneFault::Hex)),
            };
            match high.take() {
                None => high = Some(value << 4),
                Some(high) => octets.push(high | value),
            }
        }
    }
    if high.is_some() || octets.is_empty() { Err(first.place.error(ZoneFault::Hex)) } else { Ok(octets) }
}
