//! The small words of responses: sets of numbers, flags, names of mailboxes, capabilities.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use super::value::{Malformed, Value, number};
use crate::types::{Flag, Flags, NameEncoding, SequenceSet, Uid, UidSet};

/// The most flags of a list: the flags of a mailbox, or of a message.
const FLAGS_MAX: usize = 1000;
/// The most capabilities that are kept.
const WORDS_MAX: usize = 1000;
/// The longest capability that is kept, in octets.
const WORD_MAX: usize = 256;

/// Numbers in the order in which a server wrote them, as ranges: COPYUID pairs them, and SORT by ESEARCH orders them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    ranges: Vec<RangeInclusive<u32>>,
}

impl Numbers {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let set = SequenceSet::parse(text).ok_or(Malformed)?;
        // RFC 9051 §9: a server names numbers, never `*` or `$`.
        let ranges = set.as_written().ok_or(Malformed)?;
        Ok(Numbers { ranges: ranges.map(|range| range.start().get()..=range.end().get()).collect() })
    }

    /// The ranges, in their order.
    pub fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.ranges
    }

    /// The numbers, in their order. There may be as many as 4,294,967,295 in few octets.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().cloned().flatten()
    }

    /// How many numbers there are, one that stands there twice counted twice.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.end() - range.start()) + 1).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The numbers as UIDs.
    pub fn to_uids(&self) -> UidSet {
        let uid = |number: u32| Uid::new(number).unwrap_or(Uid::MIN);
        self.ranges.iter().map(|range| uid(*range.start())..=uid(*range.end())).collect()
    }
}

/// Flags as a server told them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagList {
    /// Those that this crate has words for, and keywords.
    pub flags: Flags,
    /// What is neither: `\*` of PERMANENTFLAGS, system flags that no RFC knows, keywords of more than 50 octets.
    pub others: Vec<String>,
}

impl FlagList {
    pub(super) fn from_value(value: &Value<'_>) -> Result<Self, Malformed> {
        let Value::List(values) = value else {
            return if *value == Value::Nil { Ok(FlagList::default()) } else { Err(Malformed) };
        };
        if values.len() > FLAGS_MAX {
            return Err(Malformed);
        }
        let mut list = FlagList::default();
        for value in values {
            // Courier and others put a keyword between quotes.
            let Some(text) = value.octets() else { continue };
            match core::str::from_utf8(text).ok().and_then(Flag::parse) {
                Some(flag) => {
                    list.flags.insert(flag);
                }
                None => list.others.push(String::from_utf8_lossy(text).into_owned()),
            }
        }
        Ok(list)
    }

    /// Whether a client may make keywords of its own: `\*` (RFC 9051 §7.1).
    pub fn may_make_keywords(&self) -> bool {
        self.others.iter().any(|flag| flag == "\\*")
    }
}

/// The name of a mailbox as a server spells it, with whatever separator and encoding it has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireName(Vec<u8>);

impl WireName {
    /// A name as it was sent. INBOX is one name in any case (RFC 9051 §5.1).
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        let octets = octets.into();
        WireName(if octets.eq_ignore_ascii_case(b"INBOX") { b"INBOX".to_vec() } else { octets })
    }

    /// The octets, which a command takes as they are.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name for people; none if it is not encoded like that.
    ///
    /// ```
    /// use pillarbox_imap::client::WireName;
    /// use pillarbox_imap::types::NameEncoding;
    ///
    /// let name = WireName::new(*b"Entw&APw-rfe");
    /// assert_eq!(name.to_text(NameEncoding::ModifiedUtf7).unwrap(), "Entwürfe");
    /// ```
    pub fn to_text(&self, encoding: NameEncoding) -> Option<String> {
        encoding.decode(&self.0)
    }

    pub(super) fn from_value(value: &Value<'_>) -> Result<Self, Malformed> {
        match value {
            // A mailbox can be called NIL, and a server can forget to quote that.
            Value::Nil => Ok(WireName::new(*b"NIL")),
            value => Ok(WireName::new(value.octets().ok_or(Malformed)?)),
        }
    }
}

impl fmt::Debug for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// What a server says it can do (RFC 9051 §7.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    words: Vec<String>,
}

impl Capabilities {
    /// Reads the words behind CAPABILITY. Words of more than 256 octets are left out.
    ///
    /// ```
    /// use pillarbox_imap::client::Capabilities;
    ///
    /// let offered = Capabilities::parse(b"imap4rev1 IDLE AUTH=PLAIN AUTH=LOGIN APPENDLIMIT=1000");
    /// assert!(offered.has("IMAP4rev1") && offered.has("Idle") && !offered.has("AUTH"));
    /// assert!(offered.values("AUTH").eq(["PLAIN", "LOGIN"]));
    /// ```
    pub fn parse(text: &[u8]) -> Self {
        let words =
            text.split(|octet| *octet == b' ').filter(|word| (1..=WORD_MAX).contains(&word.len())).take(WORDS_MAX);
        Capabilities { words: words.map(|word| String::from_utf8_lossy(word).into_owned()).collect() }
    }

    /// Whether this word is there, in any case.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own.eq_ignore_ascii_case(word))
    }

    /// What stands behind `name=`, as often as it is there.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.words.iter().filter_map(move |word| {
            let (own, value) = word.split_once('=')?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// All words, as they were written.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    /// The most octets that APPEND takes (RFC 7889), if the server says so for all mailboxes.
    pub fn append_limit(&self) -> Option<u64> {
        self.values("APPENDLIMIT").find_map(|value| number(value.as_bytes()))
    }

    /// Adds those of the other that are not there.
    pub(super) fn add(&mut self, other: &Capabilities) {
        for word in &other.words {
            if self.words.len() < WORDS_MAX && !self.has(word) {
                self.words.push(word.clone());
            }
        }
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.words.retain(|word| is_kept(word));
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}
