//! The macro language (RFC 7208 §7).

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::IpAddr;

use pillarbox_core::dns::{Name, NameError};

use super::record::{RecordError, RecordFault};

/// A text with macros as it stands in a record; its syntax is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MacroString<'a>(&'a str);

/// What a text with macros is for; the syntax differs a little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// `domain-spec`
    Domain,
    /// The value of an unknown modifier.
    Modifier,
    /// `explain-string`
    Explanation,
}

/// A part of such a text.
enum Piece<'a> {
    Literal(&'a str),
    /// `%%`, `%_`, `%-`
    Escape(&'static str),
    Macro(Macro<'a>),
}

/// `%{letter digits r delimiters}`
struct Macro<'a> {
    /// In small.
    letter: u8,
    /// A capital letter: escaped for a URL.
    url: bool,
    /// How many parts from the right are kept.
    keep: Option<usize>,
    reverse: bool,
    delimiters: &'a str,
}

/// What the letters stand for.
pub(super) struct Values<'a> {
    pub(super) local: &'a str,
    pub(super) sender_domain: &'a str,
    pub(super) domain: &'a str,
    pub(super) ip: IpAddr,
    pub(super) validated: &'a str,
    pub(super) helo: &'a str,
    pub(super) receiver: &'a str,
    pub(super) now: u64,
}

/// Why a text with macros gave no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// A local part or HELO name beyond ASCII.
    NonAscii,
    /// It is no name.
    Name(NameError),
}

/// Reads a piece off the front.
fn take<'a>(text: &mut &'a str) -> Result<Option<Piece<'a>>, RecordFault> {
    let Some(percent) = memchr::memchr(b'%', text.as_bytes()) else {
        let literal = core::mem::take(text);
        return Ok((!literal.is_empty()).then_some(Piece::Literal(literal)));
    };
    if percent > 0 {
        let (literal, rest) = text.split_at(percent);
        *text = rest;
        return Ok(Some(Piece::Literal(literal)));
    }
    let escape = match text.as_bytes().get(1) {
        Some(b'%') => "%",
        Some(b'_') => " ",
        Some(b'-') => "%20",
        Some(b'{') => {
            let (inner, rest) = text[2..].split_once('}').ok_or(RecordFault::Macro)?;
            *text = rest;
            return parse_macro(inner).map(|found| Some(Piece::Macro(found))).ok_or(RecordFault::Macro);
        }
        _ => return Err(RecordFault::Macro),
    };
    *text = &text[2..];
    Ok(Some(Piece::Escape(escape)))
}

/// RFC 7208 §7.1: `macro-letter transformers *delimiter`
fn parse_macro(inner: &str) -> Option<Macro<'_>> {
    let letter = *inner.as_bytes().first()?;
    if !b"slodiphcrtv".contains(&letter.to_ascii_lowercase()) {
        return None;
    }
    let rest = &inner[1..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let keep = match &rest[..digits] {
        "" => None,
        // More than fits is more than there ever is.
        digits => {
            Some(digits.bytes().fold(0_usize, |n, digit| n.saturating_mul(10).saturating_add((digit - b'0').into())))
        }
    };
    let reverse = rest[digits..].starts_with(['r', 'R']);
    let delimiters = &rest[digits + usize::from(reverse)..];
    // RFC 7208 §7.3: "the value MUST be nonzero"
    if keep == Some(0) || !delimiters.bytes().all(|octet| b".-+,/_=".contains(&octet)) {
        return None;
    }
    Some(Macro { letter: letter.to_ascii_lowercase(), url: letter.is_ascii_uppercase(), keep, reverse, delimiters })
}

/// Checks the syntax of a text of visible octets (and spaces, in an explanation).
pub(super) fn check(text: &str, purpose: Use) -> Result<(), RecordError> {
    let mut rest = text;
    let mut last = None;
    loop {
        let at = text.len() - rest.len();
        let piece = take(&mut rest).map_err(|fault| RecordError { fault, at })?;
        match piece {
            None => break,
            // RFC 7208 §7.2
            Some(Piece::Macro(Macro { letter: b'c' | b'r' | b't', .. })) if purpose == Use::Domain => {
                return Err(RecordError { fault: RecordFault::ExplanationMacro, at });
            }
            piece => last = piece,
        }
    }
    match last {
        // RFC 7208 §7.1: `domain-end = ( "." toplabel [ "." ] ) / macro-expand`
        Some(Piece::Literal(tail)) if purpose == Use::Domain && !ends_in_top_label(tail) => {
            Err(RecordError { fault: RecordFault::TopLabel, at: last_label(text) })
        }
        _ => Ok(()),
    }
}

fn ends_in_top_label(tail: &str) -> bool {
    let tail = tail.strip_suffix('.').unwrap_or(tail);
    let Some(dot) = memchr::memrchr(b'.', tail.as_bytes()) else { return false };
    let label = &tail[dot + 1..];
    // RFC 7208 §7.1: letters, digits and hyphens, the latter not at the ends, and not digits alone.
    !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && label.bytes().any(|octet| !octet.is_ascii_digit())
}

fn last_label(text: &str) -> usize {
    let body = text.strip_suffix('.').unwrap_or(text);
    body.rfind('.').map_or(0, |dot| dot + 1)
}

impl<'a> MacroString<'a> {
    pub(super) const fn from_checked(text: &'a str) -> Self {
        MacroString(text)
    }

    /// The text, its macros not replaced.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether a macro of one of these small letters is used, written small or as a capital.
    pub(super) fn uses(&self, letters: &[u8]) -> bool {
        let mut rest = self.0;
        while let Ok(Some(piece)) = take(&mut rest) {
            if matches!(piece, Piece::Macro(found) if letters.contains(&found.letter)) {
                return true;
            }
        }
        false
    }

    /// The name that it stands for.
    pub(super) fn expand(&self, values: &Values<'_>) -> Result<Name, Unusable> {
        /// What is kept while the text grows: the name ends with it, whatever comes.
        const KEPT: usize = NAME_MAX + 2;
        // RFC 8616 §4: what holds a local part beyond ASCII matches nothing.
        if (!values.local.is_ascii() && self.uses(b"sl")) || (!values.helo.is_ascii() && self.uses(b"h")) {
            return Err(Unusable::NonAscii);
        }
        if self.0.len() <= NAME_MAX && memchr::memchr(b'%', self.0.as_bytes()).is_none() {
            return Name::parse(self.0).map_err(Unusable::Name);
        }
        let mut name = String::with_capacity(self.0.len() + 64);
        let mut rest = self.0;
        while let Ok(Some(piece)) = take(&mut rest) {
            piece.expand(values, &mut name);
            // A record of macros alone would make megabytes of it.
            if name.len() > 8 * KEPT {
                name.drain(..name.len() - KEPT);
            }
        }
        Name::parse(truncate(&name)).map_err(Unusable::Name)
    }
}

/// The longest name in text, without a dot at the end (RFC 7208 §7.3).
pub(super) const NAME_MAX: usize = 253;

/// RFC 7208 §7.3: "the left side is truncated to fit, by removing successive domain labels (and their following dots)".
fn truncate(name: &str) -> &str {
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.len().checked_sub(NAME_MAX) {
        None | Some(0) => name,
        // The dot may be the octet before those that fit.
        Some(over) => name.get(over - 1..).and_then(|rest| rest.split_once('.')).map_or(name, |(_, rest)| rest),
    }
}

/// An explanation (RFC 7208 §6.2): `None` if the text is none, or would not be ASCII. It is cut off behind `size_max` octets.
pub(super) fn explain(text: &str, values: &Values<'_>, size_max: usize) -> Option<String> {
    let is_printable = |text: &str| text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    if !is_printable(text) || check(text, Use::Explanation).is_err() {
        return None;
    }
    let mut explanation = String::new();
    let mut rest = text;
    while let Ok(Some(piece)) = take(&mut rest) {
        piece.expand(values, &mut explanation);
        // A local part in quotes may hold anything: nothing but ASCII goes into a reply.
        if !is_printable(&explanation) {
            return None;
        }
        if explanation.len() >= size_max {
            explanation.truncate(size_max);
            break;
        }
    }
    Some(explanation)
}

/// Whether an explanation uses `%{p}`.
pub(super) fn explanation_uses_validated(text: &str) -> bool {
    MacroString(text).uses(b"p")
}

impl Piece<'_> {
    fn expand(&self, values: &Values<'_>, into: &mut String) {
        match self {
            Piece::Literal(text) => into.push_str(text),
            Piece::Escape(text) => into.push_str(text),
            Piece::Macro(found) => found.expand(values, into),
        }
    }
}

impl Macro<'_> {
    fn expand(&self, values: &Values<'_>, into: &mut String) {
        let value = self.value(values);
        if !self.url && self.keep.is_none() && !self.reverse && self.delimiters.is_empty() {
            return into.push_str(&value);
        }
        // RFC 7208 §7.3: split, turn round, keep the right, join by dots; empty parts are parts.
        let delimiters = if self.delimiters.is_empty() { "." } else { self.delimiters };
        let mut parts = value.split(|c| delimiters.contains(c)).collect::<Vec<_>>();
        if self.reverse {
            parts.reverse();
        }
        let skip = self.keep.map_or(0, |keep| parts.len().saturating_sub(keep));
        let transforms = self.keep.is_some() || self.reverse || !self.delimiters.is_empty();
        let start = into.len();
        if transforms {
            for (index, part) in parts[skip..].iter().enumerate() {
                if index > 0 {
                    into.push('.');
                }
                into.push_str(part);
            }
        } else {
            into.push_str(&value);
        }
        if self.url {
            let plain = into.split_off(start);
            escape(&plain, into);
        }
    }

    fn value<'v>(&self, values: &Values<'v>) -> Cow<'v, str> {
        match self.letter {
            b's' => Cow::Owned(format!("{}@{}", values.local, values.sender_domain)),
            b'l' => Cow::Borrowed(values.local),
            b'o' => Cow::Borrowed(values.sender_domain),
            b'd' => Cow::Borrowed(values.domain),
            b'i' => Cow::Owned(dotted(values.ip)),
            b'p' => Cow::Borrowed(values.validated),
            b'h' => Cow::Borrowed(values.helo),
            b'c' => Cow::Owned(values.ip.to_string()),
            b'r' => Cow::Borrowed(values.receiver),
            b't' => Cow::Owned(values.now.to_string()),
            _ => Cow::Borrowed(if values.ip.is_ipv4() { "in-addr" } else { "ip6" }),
        }
    }
}

/// RFC 7208 §7.3: the dotted quad, or 32 hexadecimal digits with dots between.
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let mut text = String::with_capacity(63);
            for (index, octet) in ip.octets().iter().enumerate() {
                let dot = if index > 0 { "." } else { "" };
                // Writing to a String cannot fail.
                let _ = write!(text, "{dot}{:x}.{:x}", octet >> 4, octet & 15);
            }
            text
        }
    }
}

/// RFC 3986 §2.3: all but unreserved characters.
fn escape(text: &str, into: &mut String) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(octet));
        } else {
            let _ = write!(into, "%{octet:02X}");
        }
    }
}

impl fmt::Display for MacroString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(ip: &str) -> Values<'static> {
        Values {
            local: "strong-bad",
            sender_domain: "email.example.com",
            domain: "email.example.com",
            ip: ip.parse().unwrap(),
            validated: "mx.example.org",
            helo: "mx.example.org",
            receiver: "unknown",
            now: 1_700_000_000,
        }
    }

    fn expand(text: &str, ip: &str) -> String {
        explain(text, &values(ip), 10_000).unwrap()
    }

    /// RFC 7208 §7.4
    #[test]
    fn examples_of_the_rfc() {
        for (text, expanded) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
            ("%{p} %{h} %{r} %{t} %{c}", "mx.example.org mx.example.org unknown 1700000000 192.0.2.3"),
            ("%%%_%-", "% %20"),
            ("%{S}", "strong-bad%40email.example.com"),
            ("%{D99999999999999999999R}", "com.example.email"),
        ] {
            assert_eq!(expand(text, "192.0.2.3"), expanded, "{text}");
        }
        assert_eq!(
            expand("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01"),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        );
    }

    #[test]
    fn empty_parts_are_parts() {
        let values = Values { local: "a..b-", ..values("192.0.2.3") };
        assert_eq!(explain("%{l2}|%{lr}|%{l1-}|%{L}", &values, 99).unwrap(), ".b-|b-..a||a..b-");
    }

    #[test]
    fn names_are_cut_at_the_left() {
        let label = "a".repeat(62);
        let values = Values { domain: &format!("{label}.{label}.{label}.{label}"), ..values("192.0.2.3") };
        let name = |text: &str| MacroString(text).expand(&values);
        assert_eq!(name("%{d}").unwrap().as_str().len(), 251);
        assert_eq!(name("x.%{d}").unwrap().as_str().len(), 253);
        assert_eq!(name("xx.%{d}.").unwrap().as_str().len(), 251);
        assert_eq!(name("%{d}.y.x").unwrap().as_str(), format!("{label}.{label}.{label}.y.x"));
        // However long it becomes.
        let long = format!("{}.end.example", "%{d}".repeat(1000));
        assert_eq!(name(&long).unwrap().as_str(), format!("{label}.{label}.{label}.end.example"));
        let long = format!("{}.example", "%{l}".repeat(1000));
        assert_eq!(name(&long).unwrap().as_str(), "example");
        let long = format!("{}.end.example", "%{d}.".repeat(1000));
        assert_eq!(name(&long), Err(Unusable::Name(NameError::EmptyLabel)));
        let long = format!("{}end.example", "%{d}.".repeat(1000));
        assert_eq!(name(&long).unwrap().as_str(), format!("{label}.{label}.{label}.end.example"));
    }

    #[test]
    fn explanations_are_ascii_and_short() {
        let values = Values { local: "jürgen", ..values("192.0.2.3") };
        assert_eq!(explain("%{l} said", &values, 99), None);
        assert_eq!(explain("%{L} said", &values, 99).as_deref(), Some("j%C3%BCrgen said"));
        assert_eq!(explain("%{L} said", &values, 4).as_deref(), Some("j%C3"));
        assert_eq!(explain("tab\t", &values, 99), None);
        assert_eq!(explain("%{x}", &values, 99), None);
        assert_eq!(explain("\u{feff}x", &values, 99), None);
        let values = Values { local: "a\r\nb", ..values };
        assert_eq!(explain("%{l} said", &values, 99), None);
    }
}
