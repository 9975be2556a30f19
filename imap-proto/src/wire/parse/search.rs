//! The arguments of SEARCH.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;

use encoding_rs::Encoding;
use nom::Parser;
use nom::character::complete::char;
use nom::combinator::{map, map_opt, opt, verify};
use nom::sequence::{delimited, preceded};

use super::fetch::items;
use super::partial::{PartialRange, partial_range};
use super::token::{
    astring, atom, digits, fails, list_of, month, number64, nz_number, sequence_set, sp, string, too_large,
};
use super::{Command, Parsed};
use crate::octet::{WORD, word, words};
use crate::search::{Date, Query};
use crate::server::FetchItem;
use crate::types::{Flag, ObjectId, SequenceSet, Uid};

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
    /// UIDAFTER: behind this UID; none: behind the last that `$` names (RFC 9738 §3.2).
    UidAfter(Option<Uid>),
    /// UIDBEFORE: before this UID; none: before the first that `$` names.
    UidBefore(Option<Uid>),
    /// All of these.
    And(Vec<SearchKey>),
    /// One or both.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// Not this.
    Not(Box<SearchKey>),
}

/// What `RETURN (..)` asks for (RFC 4731 §3.1, RFC 5182 §2, RFC 5267 §4, RFC 9394 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the options, under their names")]
pub struct SearchReturns {
    pub min: bool,
    pub max: bool,
    pub all: bool,
    pub count: bool,
    pub save: bool,
    /// Instead of `all` (RFC 9394 §3.1).
    pub partial: Option<PartialRange>,
    /// The client is to hear how the result changes (RFC 5267 §4.3).
    pub update: bool,
    /// More searches with the same criteria are likely (RFC 5267 §4.2).
    pub context: bool,
}

words! {
    ALL, ANSWERED, BCC, BEFORE, BODY, CC, CHARSET, CONTEXT, COUNT, DELETED, DRAFT, EMAILID, FLAGGED, FROM, HEADER, KEYWORD, LARGER,
    MAX, MIN, MODSEQ, NEW, NOT, OLD, OLDER, ON, OR, PARTIAL, RECENT, RETURN, SAVE, SAVEDBEFORE, SAVEDON, SAVEDSINCE, SEEN, SENTBEFORE, SENTON,
    SENTSINCE, SINCE, SMALLER, SUBJECT, TEXT, THREADID, TO, UID, UIDAFTER, UIDBEFORE, UNANSWERED, UNDELETED, UNDRAFT, UNFLAGGED, UNKEYWORD,
    UNSEEN, UPDATE, YOUNGER,
}

/// `search = "SEARCH" [search-return-opts] SP ["CHARSET" SP charset SP] search-key *(SP search-key)` (RFC 9051 §9)
pub(crate) fn search(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let (input, (returns, wanted)) = returned(input)?;
    let (rest, (key, charset)) = program(input)?;
    Ok((rest, Command::Search { key, returns, wanted, charset, uid }))
}

/// `search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)` (RFC 4466 §6), and whether a character set was given; no key
/// where that is not known.
pub(super) fn program(input: &[u8]) -> Parsed<'_, (Option<SearchKey>, bool)> {
    let (input, label) = match behind_word(CHARSET, input) {
        Some(behind) => astring(behind).map(|(rest, label)| (rest, Some(label)))?,
        None => (input, None),
    };
    // What is valid UTF-8 is taken for it where nothing else is said: RFC 9051 has no other character set.
    let decoder = match &label {
        None => Some(encoding_rs::UTF_8),
        Some(label) => Encoding::for_label_no_replacement(label),
    };
    let keys = Keys { decoder, left: Cell::new(KEYS_MAX) };
    let (input, ()) = sp(input)?;
    let (rest, key) = keys.all(input, 0)?;
    Ok((rest, (decoder.map(|_| key), label.is_some())))
}

/// `[SP "RETURN" SP search-return-opts]`, and what UPDATE wants of new messages.
pub(super) fn returned(input: &[u8]) -> Parsed<'_, (Option<SearchReturns>, Vec<FetchItem>)> {
    match behind_word(RETURN, input) {
        Some(behind) => map(returns, |(returns, wanted)| (Some(returns), wanted)).parse(behind),
        None => Ok((input, (None, Vec::new()))),
    }
}

/// `SP charset 1*(SP search-key)` (RFC 5256 §5); no key where the character set is not known.
pub(super) fn search_criteria(input: &[u8]) -> Parsed<'_, Option<SearchKey>> {
    let (input, label) = preceded(sp, astring).parse(input)?;
    let decoder = Encoding::for_label_no_replacement(&label);
    let keys = Keys { decoder, left: Cell::new(KEYS_MAX) };
    let (input, ()) = sp(input)?;
    let (rest, key) = keys.all(input, 0)?;
    Ok((rest, decoder.map(|_| key)))
}

/// What stands behind a space, this word, and another space.
pub(super) fn behind_word(known: u128, input: &[u8]) -> Option<&[u8]> {
    let (first, rest) = word(input.strip_prefix(b" ")?);
    rest.strip_prefix(b" ").filter(|_| first == known)
}

/// `"(" [search-return-opt *(SP search-return-opt)] ")"`
fn returns(input: &[u8]) -> Parsed<'_, (SearchReturns, Vec<FetchItem>)> {
    let (mut asked, mut wanted) = (SearchReturns::default(), Vec::new());
    let (rest, options) = list_of(0, RETURNS_MAX, return_option).parse(input)?;
    // RFC 4731 §3.1: `RETURN ()` is `RETURN (ALL)`.
    asked.all = options.is_empty();
    for option in options {
        match option {
            ReturnOption::Min => asked.min = true,
            ReturnOption::Max => asked.max = true,
            ReturnOption::All => asked.all = true,
            ReturnOption::Count => asked.count = true,
            ReturnOption::Save => asked.save = true,
            // RFC 9394 §3.1: one at most.
            ReturnOption::Partial(_) if asked.partial.is_some() => return fails(input),
            ReturnOption::Partial(range) => asked.partial = Some(range),
            ReturnOption::Update(items) => (asked.update, wanted) = (true, items),
            ReturnOption::Context => asked.context = true,
        }
    }
    if asked.all && asked.partial.is_some() { fails(input) } else { Ok((rest, (asked, wanted))) }
}

enum ReturnOption {
    Min,
    Max,
    All,
    Count,
    Save,
    Partial(PartialRange),
    /// With what FETCH is to tell of each new message.
    Update(Vec<FetchItem>),
    Context,
}

/// `search-return-opt`
fn return_option(input: &[u8]) -> Parsed<'_, ReturnOption> {
    let (name, rest) = word(input);
    let option = match name {
        MIN => ReturnOption::Min,
        MAX => ReturnOption::Max,
        ALL => ReturnOption::All,
        COUNT => ReturnOption::Count,
        SAVE => ReturnOption::Save,
        // RFC 5465 §8: `modifier-update = "UPDATE" ["(" fetch-att *(SP fetch-att) ")"]`; in its examples there is a space.
        UPDATE => match rest.strip_prefix(b" ").unwrap_or(rest) {
            list @ [b'(', ..] => return map(items, ReturnOption::Update).parse(list),
            _ => ReturnOption::Update(Vec::new()),
        },
        CONTEXT => ReturnOption::Context,
        PARTIAL => return map(preceded(sp, partial_range), ReturnOption::Partial).parse(rest),
        _ => return fails(input),
    };
    Ok((rest, option))
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
        if rest.first() != Some(&b' ') {
            return Ok((rest, first));
        }
        let mut keys = Vec::with_capacity(4);
        keys.push(first);
        while let Some(more) = rest.strip_prefix(b" ") {
            let (after, key) = self.key(more, depth)?;
            keys.push(key);
            rest = after;
        }
        Ok((rest, SearchKey::And(keys)))
    }

    /// `search-key`
    fn key<'b>(&self, input: &'b [u8], depth: usize) -> Parsed<'b, SearchKey> {
        if depth > DEPTH_MAX {
            return too_large(input);
        }
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return too_large(input),
        }
        match input.first() {
            Some(b'(') => {
                let (rest, key) = self.all(&input[1..], depth + 1)?;
                return match rest.strip_prefix(b")") {
                    Some(rest) => Ok((rest, key)),
                    None => fails(rest),
                };
            }
            Some(b'0'..=b'9' | b'*' | b'$') => return map(sequence_set, SearchKey::Seqs).parse(input),
            _ => {}
        }
        let (name, rest) = word(input);
        let flag = |flag: Flag| Ok((rest, SearchKey::Query(Query::Flag(flag))));
        let no_flag = |flag: Flag| Ok((rest, not(SearchKey::Query(Query::Flag(flag)))));
        match name {
            ALL => Ok((rest, SearchKey::Query(Query::All))),
            ANSWERED => flag(Flag::Answered),
            DELETED => flag(Flag::Deleted),
            DRAFT => flag(Flag::Draft),
            FLAGGED => flag(Flag::Flagged),
            NEW => {
                let (recent, seen) = (Query::Flag(Flag::Recent), Query::Flag(Flag::Seen));
                Ok((rest, SearchKey::And(alloc::vec![SearchKey::Query(recent), not(SearchKey::Query(seen))])))
            }
            NOT => {
                let (rest, key) = self.deeper(rest, depth)?;
                Ok((rest, not(key)))
            }
            OLD => no_flag(Flag::Recent),
            OR => {
                let (rest, one) = self.deeper(rest, depth)?;
                let (rest, other) = self.deeper(rest, depth)?;
                Ok((rest, SearchKey::Or(Box::new(one), Box::new(other))))
            }
            RECENT => flag(Flag::Recent),
            SEEN => flag(Flag::Seen),
            UID => map(preceded(sp, sequence_set), SearchKey::Uids).parse(rest),
            UIDAFTER => map(preceded(sp, beside), SearchKey::UidAfter).parse(rest),
            UIDBEFORE => map(preceded(sp, beside), SearchKey::UidBefore).parse(rest),
            UNANSWERED => no_flag(Flag::Answered),
            UNDELETED => no_flag(Flag::Deleted),
            UNDRAFT => no_flag(Flag::Draft),
            UNFLAGGED => no_flag(Flag::Flagged),
            UNKEYWORD => {
                let (rest, keyword) = preceded(sp, keyword).parse(rest)?;
                Ok((rest, not(SearchKey::Query(Query::Flag(keyword)))))
            }
            UNSEEN => no_flag(Flag::Seen),
            // Too long to be one number.
            _ if WORD.split(input).0.eq_ignore_ascii_case(b"SAVEDATESUPPORTED") => {
                Ok((rest, SearchKey::Query(Query::SaveDateSupported)))
            }
            _ => {
                let (rest, ()) = sp(rest)?;
                let (rest, query) = self.leaf(name, rest)?;
                Ok((rest, SearchKey::Query(query)))
            }
        }
    }

    /// `SP search-key` inside another.
    fn deeper<'b>(&self, input: &'b [u8], depth: usize) -> Parsed<'b, SearchKey> {
        let (rest, ()) = sp(input)?;
        self.key(rest, depth + 1)
    }

    /// The keys with an argument that is no key.
    fn leaf<'b>(&self, name: u128, input: &'b [u8]) -> Parsed<'b, Query> {
        match name {
            BCC => self.header("Bcc", input),
            BEFORE => map(date, Query::Before).parse(input),
            BODY => self.text(input).map(|(rest, text)| (rest, Query::Body(text))),
            CC => self.header("Cc", input),
            EMAILID => map(object_id, Query::EmailId).parse(input),
            FROM => self.header("From", input),
            HEADER => {
                let (rest, name) = self.text(input)?;
                let (rest, ()) = sp(rest)?;
                let (rest, text) = self.text(rest)?;
                Ok((rest, Query::Header { name, text }))
            }
            KEYWORD => map(keyword, Query::Flag).parse(input),
            LARGER => map(number64, Query::Larger).parse(input),
            MODSEQ => map(mod_seq, Query::ModSeq).parse(input),
            // RFC 5032 §3: no message is zero seconds old or younger.
            OLDER => map(nz_number, Query::Older).parse(input),
            ON => map(date, Query::On).parse(input),
            SAVEDBEFORE => map(date, Query::SavedBefore).parse(input),
            SAVEDON => map(date, Query::SavedOn).parse(input),
            SAVEDSINCE => map(date, Query::SavedSince).parse(input),
            SENTBEFORE => map(date, Query::SentBefore).parse(input),
            SENTON => map(date, Query::SentOn).parse(input),
            SENTSINCE => map(date, Query::SentSince).parse(input),
            SINCE => map(date, Query::Since).parse(input),
            SMALLER => map(number64, Query::Smaller).parse(input),
            SUBJECT => self.header("Subject", input),
            TEXT => self.text(input).map(|(rest, text)| (rest, Query::Text(text))),
            THREADID => map(object_id, Query::ThreadId).parse(input),
            TO => self.header("To", input),
            YOUNGER => map(nz_number, Query::Younger).parse(input),
            _ => fails(input),
        }
    }

    fn header<'b>(&self, field: &str, input: &'b [u8]) -> Parsed<'b, Query> {
        let (rest, text) = self.text(input)?;
        Ok((rest, Query::Header { name: field.into(), text }))
    }

    /// An `astring`, converted to UTF-8. An unknown character set gives any text: the search is refused anyway.
    fn text<'b>(&self, input: &'b [u8]) -> Parsed<'b, String> {
        let (rest, octets) = astring(input)?;
        let text = match self.decoder {
            Some(utf8) if utf8 == encoding_rs::UTF_8 => core::str::from_utf8(&octets).ok().map(String::from),
            Some(decoder) => {
                decoder.decode_without_bom_handling_and_without_replacement(&octets).map(|text| text.to_string())
            }
            None => Some(String::new()),
        };
        match text {
            Some(text) => Ok((rest, text)),
            None => fails(input),
        }
    }
}

fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}

/// `uniqueid`, or `$` for none (RFC 9738 §3.2)
fn beside(input: &[u8]) -> Parsed<'_, Option<Uid>> {
    match input.strip_prefix(b"$") {
        Some(rest) => Ok((rest, None)),
        None => map_opt(nz_number, |number| Uid::new(number).map(Some)).parse(input),
    }
}

/// `flag-keyword`
fn keyword(input: &[u8]) -> Parsed<'_, Flag> {
    let (rest, word) = atom(input)?;
    match Flag::parse(word) {
        Some(keyword @ Flag::Keyword(_)) => Ok((rest, keyword)),
        _ => fails(input),
    }
}

/// `search-modsequence = "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer` (RFC 7162 §7), behind the first space.
///
/// RFC 7162 §3.1.5: where a message has one mod-sequence for all of its flags, the entry is not looked at.
fn mod_seq(input: &[u8]) -> Parsed<'_, u64> {
    let name = verify(string, |name: &Cow<'_, [u8]>| is_flag_entry(name));
    let kind =
        verify(atom, |kind: &str| ["priv", "shared", "all"].iter().any(|known| known.eq_ignore_ascii_case(kind)));
    preceded(opt((name, sp, kind, sp)), number64).parse(input)
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
    let Some(behind) = input.strip_prefix(b"\"") else { return date_text(input) };
    let (rest, date) = date_text(behind)?;
    match rest.strip_prefix(b"\"") {
        Some(rest) => Ok((rest, date)),
        None => fails(rest),
    }
}

/// `date-text = 1*2DIGIT "-" date-month "-" 4DIGIT`
fn date_text(input: &[u8]) -> Parsed<'_, Date> {
    let parts = (digits(1, 2), delimited(char('-'), month, char('-')), digits(4, 4));
    map_opt(parts, |(day, month, year)| Date::new(year, month, u8::try_from(day).ok()?)).parse(input)
}
