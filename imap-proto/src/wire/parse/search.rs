//! The arguments of SEARCH.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;

use encoding_rs::Encoding;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while1};
use nom::character::complete::char;
use nom::combinator::{map, map_opt, opt, verify};
use nom::error::{Error, ErrorKind};
use nom::sequence::{delimited, preceded, terminated};

use super::token::{astring, atom, digits, list_of, month, number64, nz_number, sequence_set, sp, string};
use super::{Command, Parsed};
use crate::search::{Date, Query};
use crate::types::{Flag, ObjectId, SequenceSet};

/// How deep parentheses, NOT and OR may nest: a limit for the stack of whoever walks the query.
pub const DEPTH_MAX: usize = 50;
/// The most keys, each of which takes some tens of octets and a look at each message. A client that has more to say than that
/// says it with a set of numbers.
const KEYS_MAX: usize = 2000;
/// The most return options, those that stand twice counted.
const RETURNS_MAX: usize = 16;

/// A search key whose numbers are not resolved yet.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SearchKey {
    /// A key without numbers.
    Query(Query),
    /// Sequence numbers.
    Seqs(SequenceSet),
    /// UIDs.
    Uids(SequenceSet),
    /// All of these.
    And(Vec<SearchKey>),
    /// One or both.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// Not this.
    Not(Box<SearchKey>),
}

/// What `RETURN (..)` asks for (RFC 4731 §3.1, RFC 5182 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the options, under their names")]
pub struct SearchReturns {
    pub min: bool,
    pub max: bool,
    pub all: bool,
    pub count: bool,
    pub save: bool,
}

/// `search = "SEARCH" [search-return-opts] SP ["CHARSET" SP charset SP] search-key *(SP search-key)` (RFC 9051 §9)
pub(crate) fn search(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let (input, returns) = opt(preceded((sp, tag_no_case("RETURN"), sp), returns)).parse(input)?;
    let (input, label) = opt(preceded((sp, tag_no_case("CHARSET"), sp), astring)).parse(input)?;
    // What is valid UTF-8 is taken for it where nothing else is said: RFC 9051 has no other character set.
    let decoder = match &label {
        None => Some(encoding_rs::UTF_8),
        Some(label) => Encoding::for_label(label),
    };
    let keys = Keys { decoder, left: Cell::new(KEYS_MAX) };
    let (rest, key) = preceded(sp, |input| keys.all(input, 0)).parse(input)?;
    Ok((rest, Command::Search { key: decoder.map(|_| key), returns, charset: label.is_some(), uid }))
}

/// `"(" [search-return-opt *(SP search-return-opt)] ")"`
fn returns(input: &[u8]) -> Parsed<'_, SearchReturns> {
    let mut asked = SearchReturns::default();
    let option = map_opt(atom, |name| {
        ["MIN", "MAX", "ALL", "COUNT", "SAVE"].iter().position(|known| known.eq_ignore_ascii_case(name))
    });
    let (rest, options) = list_of(0, RETURNS_MAX, option).parse(input)?;
    // RFC 4731 §3.1: `RETURN ()` is `RETURN (ALL)`.
    asked.all = options.is_empty();
    for option in options {
        match option {
            0 => asked.min = true,
            1 => asked.max = true,
            2 => asked.all = true,
            3 => asked.count = true,
            _ => asked.save = true,
        }
    }
    Ok((rest, asked))
}

struct Keys {
    decoder: Option<&'static Encoding>,
    /// How many more keys there may be.
    left: Cell<usize>,
}

impl Keys {
    /// `search-key *(SP search-key)`
    fn all<'b>(&self, input: &'b [u8], depth: usize) -> Parsed<'b, SearchKey> {
        let (mut rest, first) = self.key(input, depth)?;
        let mut keys = alloc::vec![first];
        while let Some(more) = rest.strip_prefix(b" ") {
            let (after, key) = self.key(more, depth)?;
            keys.push(key);
            rest = after;
        }
        let key = if keys.len() == 1 { keys.remove(0) } else { SearchKey::And(keys) };
        Ok((rest, key))
    }

    /// `search-key`
    fn key<'b>(&self, input: &'b [u8], depth: usize) -> Parsed<'b, SearchKey> {
        if depth > DEPTH_MAX {
            return Err(nom::Err::Failure(Error::new(input, ErrorKind::TooLarge)));
        }
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(nom::Err::Failure(Error::new(input, ErrorKind::TooLarge))),
        }
        if let Some(inner) = input.strip_prefix(b"(") {
            return terminated(|input| self.all(input, depth + 1), char(')')).parse(inner);
        }
        if input.first().is_some_and(|b| b.is_ascii_digit() || matches!(b, b'*' | b'$')) {
            return map(sequence_set, SearchKey::Seqs).parse(input);
        }
        let (rest, name) = take_while1(|b: u8| b.is_ascii_alphanumeric()).parse(input)?;
        let name = name.to_ascii_uppercase();
        let mut deeper = preceded(sp, |input| self.key(input, depth + 1));
        match &name[..] {
            b"NOT" => map(deeper, not).parse(rest),
            b"OR" => {
                let (rest, one) = deeper.parse(rest)?;
                let (rest, other) = deeper.parse(rest)?;
                Ok((rest, SearchKey::Or(Box::new(one), Box::new(other))))
            }
            b"UID" => map(preceded(sp, sequence_set), SearchKey::Uids).parse(rest),
            _ => match flag_key(&name) {
                Some(key) => Ok((rest, key)),
                None => self.leaf(&name, rest),
            },
        }
    }

    /// The keys with an argument that is no key.
    fn leaf<'b>(&self, name: &[u8], input: &'b [u8]) -> Parsed<'b, SearchKey> {
        let text = preceded(sp, |input| self.text(input));
        let day = preceded(sp, date);
        let size = preceded(sp, number64);
        // RFC 5032 §3: no message is zero seconds old or younger.
        let seconds = preceded(sp, nz_number);
        let header = |field: &'static str| move |text| Query::Header { name: field.into(), text };
        let keyword = map_opt(preceded(sp, atom), |word| match Flag::parse(word) {
            Some(Flag::Keyword(keyword)) => Some(Query::Flag(Flag::Keyword(keyword))),
            _ => None,
        });
        let (rest, query) = match name {
            b"BCC" => map(text, header("Bcc")).parse(input),
            b"BEFORE" => map(day, Query::Before).parse(input),
            b"BODY" => map(text, Query::Body).parse(input),
            b"CC" => map(text, header("Cc")).parse(input),
            b"EMAILID" => map(preceded(sp, object_id), Query::EmailId).parse(input),
            b"FROM" => map(text, header("From")).parse(input),
            b"HEADER" => {
                let both = (preceded(sp, |input| self.text(input)), text);
                map(both, |(name, text)| Query::Header { name, text }).parse(input)
            }
            b"KEYWORD" => map(keyword, |query| query).parse(input),
            b"LARGER" => map(size, Query::Larger).parse(input),
            b"MODSEQ" => map(mod_seq, Query::ModSeq).parse(input),
            b"OLDER" => map(seconds, Query::Older).parse(input),
            b"ON" => map(day, Query::On).parse(input),
            b"SAVEDBEFORE" => map(day, Query::SavedBefore).parse(input),
            b"SAVEDON" => map(day, Query::SavedOn).parse(input),
            b"SAVEDSINCE" => map(day, Query::SavedSince).parse(input),
            b"SENTBEFORE" => map(day, Query::SentBefore).parse(input),
            b"SENTON" => map(day, Query::SentOn).parse(input),
            b"SENTSINCE" => map(day, Query::SentSince).parse(input),
            b"SINCE" => map(day, Query::Since).parse(input),
            b"SMALLER" => map(size, Query::Smaller).parse(input),
            b"SUBJECT" => map(text, header("Subject")).parse(input),
            b"TEXT" => map(text, Query::Text).parse(input),
            b"THREADID" => map(preceded(sp, object_id), Query::ThreadId).parse(input),
            b"TO" => map(text, header("To")).parse(input),
            b"YOUNGER" => map(seconds, Query::Younger).parse(input),
            b"UNKEYWORD" => return map(keyword, |query| not(SearchKey::Query(query))).parse(input),
            _ => Err(nom::Err::Error(Error::new(input, ErrorKind::Alt))),
        }?;
        Ok((rest, SearchKey::Query(query)))
    }

    /// An `astring`, converted to UTF-8. An unknown character set gives any text: the search is refused anyway.
    fn text<'b>(&self, input: &'b [u8]) -> Parsed<'b, String> {
        map_opt(astring, |octets: Cow<'b, [u8]>| match self.decoder {
            Some(decoder) => {
                decoder.decode_without_bom_handling_and_without_replacement(&octets).map(|text| text.to_string())
            }
            None => Some(String::new()),
        })
        .parse(input)
    }
}

fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}

/// The keys without arguments.
fn flag_key(name: &[u8]) -> Option<SearchKey> {
    let flag = |flag: Flag| SearchKey::Query(Query::Flag(flag));
    Some(match name {
        b"ALL" => SearchKey::Query(Query::All),
        b"ANSWERED" => flag(Flag::Answered),
        b"DELETED" => flag(Flag::Deleted),
        b"DRAFT" => flag(Flag::Draft),
        b"FLAGGED" => flag(Flag::Flagged),
        b"NEW" => SearchKey::And(alloc::vec![flag(Flag::Recent), not(flag(Flag::Seen))]),
        b"OLD" => not(flag(Flag::Recent)),
        b"RECENT" => flag(Flag::Recent),
        b"SAVEDATESUPPORTED" => SearchKey::Query(Query::SaveDateSupported),
        b"SEEN" => flag(Flag::Seen),
        b"UNANSWERED" => not(flag(Flag::Answered)),
        b"UNDELETED" => not(flag(Flag::Deleted)),
        b"UNDRAFT" => not(flag(Flag::Draft)),
        b"UNFLAGGED" => not(flag(Flag::Flagged)),
        b"UNSEEN" => not(flag(Flag::Seen)),
        _ => return None,
    })
}

/// `search-modsequence = "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer` (RFC 7162 §7), without its first word.
///
/// RFC 7162 §3.1.5: where a message has one mod-sequence for all of its flags, the entry is not looked at.
fn mod_seq(input: &[u8]) -> Parsed<'_, u64> {
    let name = verify(string, |name: &Cow<'_, [u8]>| is_flag_entry(name));
    let kind =
        verify(atom, |kind: &str| ["priv", "shared", "all"].iter().any(|known| known.eq_ignore_ascii_case(kind)));
    preceded((opt((sp, name, sp, kind)), sp), number64).parse(input)
}

/// `entry-flag-name = DQUOTE "/flags/" attr-flag DQUOTE`
fn is_flag_entry(name: &[u8]) -> bool {
    let Some((path, flag)) = name.split_at_checked(b"/flags/".len()) else { return false };
    let flag = core::str::from_utf8(flag.strip_prefix(b"\\").unwrap_or(flag));
    path.eq_ignore_ascii_case(b"/flags/")
        && flag.is_ok_and(|flag| atom(flag.as_bytes()).is_ok_and(|(rest, _)| rest.is_empty()))
}

/// `objectid = 1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474 §7)
fn object_id(input: &[u8]) -> Parsed<'_, ObjectId> {
    map_opt(atom, ObjectId::new).parse(input)
}

/// `date = date-text / DQUOTE date-text DQUOTE`
fn date(input: &[u8]) -> Parsed<'_, Date> {
    let text = || {
        let parts = (digits(1, 2), delimited(char('-'), month, char('-')), digits(4, 4));
        map_opt(parts, |(day, month, year)| Date::new(year, month, u8::try_from(day).ok()?))
    };
    alt((delimited(char('"'), text(), char('"')), text())).parse(input)
}
