//! Putting a query to messages.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::WallTime;
use pillarbox_core::header::Fields;

use super::needles::{Haystack, Needles};
use super::{Date, Query};
use crate::message::{Decoder, Limits, Part, PartKind, Structure, charset, decode_words, parse_sent_date};
use crate::types::{Flags, ObjectId, Uid, UidSet};

/// A query that is ready to be put to messages.
///
/// ```
/// use pillarbox_core::WallTime;
/// use pillarbox_imap::search::{MessageFacts, Needs, Query, Search};
/// use pillarbox_imap::types::{Flag, Flags, Uid};
///
/// // UNSEEN SUBJECT "größe"
/// let query = Query::And(vec![
///     Query::Not(Box::new(Query::Flag(Flag::Seen))),
///     Query::Header { name: "Subject".into(), text: "größe".into() },
/// ]);
/// let search = Search::new(&query, WallTime::default()).unwrap();
/// assert_eq!(search.needs(), Needs::Header);
///
/// let raw = b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\n\r\n";
/// let unseen = Flags::new();
/// let facts = MessageFacts::new(Uid::new(1).unwrap(), &unseen, WallTime::default(), raw.len() as u64);
/// assert_eq!(search.decide(&facts), None);
/// assert!(search.matches(&facts, raw));
///
/// // A message that was seen need not be opened.
/// let seen = [Flag::Seen].into_iter().collect();
/// assert_eq!(search.decide(&MessageFacts { flags: &seen, ..facts }), Some(false));
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    root: Node,
    keys: Vec<Key>,
    needles: Needles,
    limits: Limits,
}

/// What a mailbox knows of a message without opening it.
#[derive(Clone, Copy, Debug)]
pub struct MessageFacts<'a> {
    /// Its UID.
    pub uid: Uid,
    /// Its flags, with `\Recent` where the session says so.
    pub flags: &'a Flags,
    /// Its INTERNALDATE.
    pub internal_date: WallTime,
    /// Its size in octets.
    pub size: u64,
    /// Its mod-sequence; 0 if the store keeps none.
    pub mod_seq: u64,
    /// When it came into the mailbox, if the store knows.
    pub save_date: Option<WallTime>,
    /// Its EMAILID, if the store has such.
    pub email_id: Option<&'a ObjectId>,
    /// Its THREADID, if the store has such.
    pub thread_id: Option<&'a ObjectId>,
}

impl<'a> MessageFacts<'a> {
    /// The facts of a message without a mod-sequence, a save date and identifiers.
    pub fn new(uid: Uid, flags: &'a Flags, internal_date: WallTime, size: u64) -> Self {
        MessageFacts { uid, flags, internal_date, size, mod_seq: 0, save_date: None, email_id: None, thread_id: None }
    }
}

/// What of a message a search has to see at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Needs {
    /// Nothing: [`Search::decide`] always settles it.
    Nothing,
    /// The header with its empty line.
    Header,
    /// All of it.
    Body,
}

/// A query is nested too deeply, or asks for too many texts, each of which is looked for in each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the search is too complex")]
pub struct TooComplex;

/// How deep keys may be nested; evaluating them uses the stack.
const DEPTH_MAX: usize = 100;
/// How many texts one search may look for.
const TEXTS_MAX: usize = 100;
/// How many octets of a body are decoded at a time.
const PIECE: usize = 16 * 1024;

#[derive(Clone, Debug)]
enum Node {
    Known(bool),
    And(Vec<Node>),
    Or(Box<(Node, Node)>),
    Not(Box<Node>),
    Fact(Fact),
    /// What only the message tells: the number of a [`Key`].
    Key(usize),
}

#[derive(Clone, Debug)]
enum Fact {
    Uids(UidSet),
    Flag(crate::types::Flag),
    Date(Compare, Date),
    /// INTERNALDATE at this second or before.
    Until(i64),
    /// INTERNALDATE at this second or after.
    From(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    EmailId(ObjectId),
    ThreadId(ObjectId),
    Saved(Compare, Date),
    HasSaveDate,
}

#[derive(Clone, Copy, Debug)]
enum Compare {
    Before,
    On,
    Since,
}

impl Compare {
    fn holds(self, date: Date, key: Date) -> bool {
        match self {
            Compare::Before => date < key,
            Compare::On => date == key,
            Compare::Since => date >= key,
        }
    }
}

#[derive(Clone, Debug)]
enum Key {
    Sent(Compare, Date),
    Header { name: String, needle: usize },
    Body { needle: usize },
    Text { needle: usize },
}

impl Search {
    /// Makes a query ready. `now` is the present, which OLDER and YOUNGER count from.
    ///
    /// # Errors
    ///
    /// [`TooComplex`] if it is nested deeper than 100 levels or has more than 100 texts.
    pub fn new(query: &Query, now: WallTime) -> Result<Self, TooComplex> {
        let mut search = Search {
            root: Node::Known(true),
            keys: Vec::new(),
            needles: Needles::default(),
            limits: Limits::default(),
        };
        search.root = search.compile(query, now, 0)?;
        Ok(search)
    }

    /// What of a message [`matches`](Search::matches) has to be given at most.
    pub fn needs(&self) -> Needs {
        let needs = self.keys.iter().map(|key| match key {
            Key::Sent(..) | Key::Header { .. } => Needs::Header,
            Key::Body { .. } | Key::Text { .. } => Needs::Body,
        });
        needs.max().unwrap_or(Needs::Nothing)
    }

    /// Whether a message matches, if that can be said without opening it.
    pub fn decide(&self, facts: &MessageFacts<'_>) -> Option<bool> {
        self.root.evaluate(facts, &[])
    }

    /// Whether a message matches. `raw` is the message; its header is enough if the search [`needs`](Search::needs) no
    /// more.
    ///
    /// Texts are found without regard to case in the decoded header fields and text parts. The text of a message within
    /// the message counts as body, its header and those of parts only for TEXT.
    pub fn matches(&self, facts: &MessageFacts<'_>, raw: &[u8]) -> bool {
        let mut found = alloc::vec![None; self.keys.len()];
        let mut settled = self.root.evaluate(facts, &found);
        if settled.is_none() {
            self.read_header(raw, &mut found);
            settled = self.root.evaluate(facts, &found);
        }
        if settled.is_none() {
            self.read_body(raw, &mut found);
            for answer in &mut found {
                answer.get_or_insert(false);
            }
            settled = self.root.evaluate(facts, &found);
        }
        settled.unwrap_or(false)
    }

    fn compile(&mut self, query: &Query, now: WallTime, depth: usize) -> Result<Node, TooComplex> {
        if depth > DEPTH_MAX {
            return Err(TooComplex);
        }
        let ago = |seconds: &u32| now.unix_seconds() - i64::from(*seconds);
        Ok(match query {
            Query::All => Node::Known(true),
            Query::And(all) => {
                Node::And(all.iter().map(|query| self.compile(query, now, depth + 1)).collect::<Result<_, _>>()?)
            }
            Query::Or(a, b) => Node::Or(Box::new((self.compile(a, now, depth + 1)?, self.compile(b, now, depth + 1)?))),
            Query::Not(query) => Node::Not(Box::new(self.compile(query, now, depth + 1)?)),
            Query::Uids(uids) => Node::Fact(Fact::Uids(uids.clone())),
            Query::Flag(flag) => Node::Fact(Fact::Flag(flag.clone())),
            Query::Before(date) => Node::Fact(Fact::Date(Compare::Before, *date)),
            Query::On(date) => Node::Fact(Fact::Date(Compare::On, *date)),
            Query::Since(date) => Node::Fact(Fact::Date(Compare::Since, *date)),
            Query::Older(seconds) => Node::Fact(Fact::Until(ago(seconds))),
            Query::Younger(seconds) => Node::Fact(Fact::From(ago(seconds))),
            Query::Larger(size) => Node::Fact(Fact::Larger(*size)),
            Query::Smaller(size) => Node::Fact(Fact::Smaller(*size)),
            Query::ModSeq(mod_seq) => Node::Fact(Fact::ModSeq(*mod_seq)),
            Query::EmailId(id) => Node::Fact(Fact::EmailId(id.clone())),
            Query::ThreadId(id) => Node::Fact(Fact::ThreadId(id.clone())),
            Query::SavedBefore(date) => Node::Fact(Fact::Saved(Compare::Before, *date)),
            Query::SavedOn(date) => Node::Fact(Fact::Saved(Compare::On, *date)),
            Query::SavedSince(date) => Node::Fact(Fact::Saved(Compare::Since, *date)),
            Query::SaveDateSupported => Node::Fact(Fact::HasSaveDate),
            Query::SentBefore(date) => self.key(Key::Sent(Compare::Before, *date))?,
            Query::SentOn(date) => self.key(Key::Sent(Compare::On, *date))?,
            Query::SentSince(date) => self.key(Key::Sent(Compare::Since, *date))?,
            Query::Header { name, text } => {
                let needle = self.needles.add(text);
                self.key(Key::Header { name: name.clone(), needle })?
            }
            Query::Body(text) => {
                let needle = self.needles.add(text);
                self.key(Key::Body { needle })?
            }
            Query::Text(text) => {
                let needle = self.needles.add(text);
                self.key(Key::Text { needle })?
            }
        })
    }

    fn key(&mut self, key: Key) -> Result<Node, TooComplex> {
        if self.keys.len() == TEXTS_MAX {
            return Err(TooComplex);
        }
        self.keys.push(key);
        Ok(Node::Key(self.keys.len() - 1))
    }

    /// Settles what the header settles.
    fn read_header(&self, raw: &[u8], found: &mut [Option<bool>]) {
        let mut sent = None;
        for field in Fields::new(raw) {
            if sent.is_none() && field.name_is("date") {
                sent = Some(parse_sent_date(field.value));
            }
            self.search_field("", field.value, found, |key| match key {
                Key::Header { name, needle } => field.name_is(name).then_some(*needle),
                _ => None,
            });
        }
        self.search_header(raw, found);
        // As Dovecot has it: what was sent at no known time was sent long ago.
        let sent = Date::of(sent.flatten().unwrap_or_default());
        for (key, answer) in self.keys.iter().zip(found) {
            match key {
                Key::Sent(compare, date) => *answer = Some(compare.holds(sent, *date)),
                Key::Header { .. } => *answer = answer.or(Some(false)),
                _ => {}
            }
        }
    }

    /// Looks for what TEXT wants in each field of a header.
    fn search_header(&self, header: &[u8], found: &mut [Option<bool>]) {
        if !self.keys.iter().any(|key| matches!(key, Key::Text { .. })) {
            return;
        }
        for field in Fields::new(header) {
            // RFC 9051 §6.4.4: TEXT finds what stands in the header, names included.
            let name = alloc::format!("{}: ", String::from_utf8_lossy(field.name));
            self.search_field(&name, field.value, found, |key| match key {
                Key::Text { needle } => Some(*needle),
                _ => None,
            });
        }
    }

    fn read_body(&self, raw: &[u8], found: &mut [Option<bool>]) {
        let structure = Structure::parse(raw, &self.limits);
        for (index, part) in structure.parts().iter().enumerate() {
            if index > 0 {
                self.search_header(&raw[part.header()], found);
            }
            self.search_part(raw, part, found);
        }
    }

    fn search_part(&self, raw: &[u8], part: &Part, found: &mut [Option<bool>]) {
        let content_type = part.content_type(raw, &self.limits);
        let is_text = match part.kind() {
            PartKind::Text => true,
            // Delivery reports and the like.
            PartKind::Other => content_type.main().eq_ignore_ascii_case(b"message"),
            _ => false,
        };
        let wanted = self.wanted(found, |key| match key {
            Key::Body { needle } | Key::Text { needle } => Some(*needle),
            _ => None,
        });
        if !is_text || wanted.is_empty() {
            return;
        }
        let mut haystack = Haystack::new(&self.needles, wanted);
        let mut transfer = Decoder::new(part.encoding(raw));
        let mut text = charset(content_type.parameter("charset")).new_decoder();
        let (mut octets, mut piece) = (Vec::new(), String::new());
        let mut pieces = raw[part.body()].chunks(PIECE).peekable();
        let mut more = true;
        while more {
            octets.clear();
            piece.clear();
            let last = match pieces.next() {
                Some(raw) => {
                    transfer.decode(raw, &mut octets);
                    pieces.peek().is_none()
                }
                None => true,
            };
            if last {
                transfer.finish(&mut octets);
            }
            piece.reserve(text.max_utf8_buffer_length(octets.len()).unwrap_or(4 * PIECE));
            // The buffer holds all that can come of the input, so one call takes all of it.
            let _ = text.decode_to_string(&octets, &mut piece, last);
            more = haystack.add(&piece) && !last;
        }
        self.mark(&haystack, found);
    }

    /// Looks for the needles of the keys that `pick` picks in a text and a field's value behind it.
    fn search_field(
        &self,
        before: &str,
        value: &[u8],
        found: &mut [Option<bool>],
        pick: impl Fn(&Key) -> Option<usize>,
    ) {
        let wanted = self.wanted(found, pick);
        if wanted.is_empty() {
            return;
        }
        let mut haystack = Haystack::new(&self.needles, wanted);
        let mut text = String::from(before);
        decode_words(value.trim_ascii(), &mut text);
        haystack.add(&text);
        self.mark(&haystack, found);
    }

    /// The needles that `pick` picks of the keys that are not settled.
    fn wanted(&self, found: &[Option<bool>], pick: impl Fn(&Key) -> Option<usize>) -> Vec<usize> {
        let open = self.keys.iter().zip(found).filter(|(_, answer)| answer.is_none());
        open.filter_map(|(key, _)| pick(key)).collect()
    }

    fn mark(&self, haystack: &Haystack<'_>, found: &mut [Option<bool>]) {
        for (key, answer) in self.keys.iter().zip(found) {
            if let Key::Header { needle, .. } | Key::Body { needle } | Key::Text { needle } = key
                && haystack.found().contains(needle)
            {
                *answer = Some(true);
            }
        }
    }
}

impl Node {
    /// The answer, as far as it follows from the facts and from the keys that are settled.
    fn evaluate(&self, facts: &MessageFacts<'_>, found: &[Option<bool>]) -> Option<bool> {
        match self {
            Node::Known(answer) => Some(*answer),
            Node::And(nodes) => {
                let mut answer = Some(true);
                for node in nodes {
                    match node.evaluate(facts, found) {
                        Some(true) => {}
                        Some(false) => return Some(false),
                        None => answer = None,
                    }
                }
                answer
            }
            Node::Or(both) => match (both.0.evaluate(facts, found), both.1.evaluate(facts, found)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Node::Not(node) => node.evaluate(facts, found).map(|answer| !answer),
            Node::Fact(fact) => Some(fact.holds(facts)),
            Node::Key(number) => found.get(*number).copied().flatten(),
        }
    }
}

impl Fact {
    fn holds(&self, facts: &MessageFacts<'_>) -> bool {
        match self {
            Fact::Uids(uids) => uids.contains(facts.uid),
            Fact::Flag(flag) => facts.flags.contains(flag),
            // RFC 9051 §6.4.4: time and zone are disregarded, so the day is the one that the date itself shows.
            Fact::Date(compare, date) => compare.holds(Date::of(facts.internal_date), *date),
            Fact::Until(second) => facts.internal_date.unix_seconds() <= *second,
            Fact::From(second) => facts.internal_date.unix_seconds() >= *second,
            Fact::Larger(size) => facts.size > *size,
            Fact::Smaller(size) => facts.size < *size,
            Fact::ModSeq(mod_seq) => facts.mod_seq >= *mod_seq,
            Fact::EmailId(id) => facts.email_id == Some(id),
            Fact::ThreadId(id) => facts.thread_id == Some(id),
            Fact::Saved(compare, date) => {
                compare.holds(Date::of(facts.save_date.unwrap_or(facts.internal_date)), *date)
            }
            Fact::HasSaveDate => facts.save_date.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn search(query: &Query) -> Search {
        Search::new(query, WallTime::new(1_000_000, 0)).unwrap()
    }

    fn matches(query: Query, raw: &[u8]) -> bool {
        let flags = Flags::new();
        let facts = MessageFacts::new(Uid::new(5).unwrap(), &flags, WallTime::new(999_000, 0), raw.len() as u64);
        search(&query).matches(&facts, raw)
    }

    fn header(name: &str, text: &str) -> Query {
        Query::Header { name: name.into(), text: text.into() }
    }

    #[test]
    fn header_texts() {
        let raw =
            "Subject: =?utf-8?q?=C3=84pfel?=\r\n und Birnen\r\nX:\r\nSUBJECT: second\r\n\r\nSubject: body".as_bytes();
        for (query, expected) in [
            (header("subject", "äpfel UND birnen"), true),
            (header("subject", "second"), true),
            (header("subject", "body"), false),
            (header("subject", "subject"), false),
            (header("x", ""), true),
            (header("y", ""), false),
            (Query::Text("Subject: ä".into()), true),
            (Query::Text("body".into()), true),
            (Query::Body("äpfel".into()), false),
        ] {
            assert_eq!(matches(query.clone(), raw), expected, "{query:?}");
        }
    }

    #[test]
    fn folds_are_spaces_whatever_they_were_made_with() {
        // ENVELOPE shows a space where a fold was made with a tab; who types what it shows finds the message.
        let raw = b"Subject: one\r\n\ttwo =?utf-8?q?three?=\r\n\tfour\tfive\r\n\r\n";
        for text in ["one two", "three four", "four\tfive"] {
            assert!(matches(header("subject", text), raw) && matches(Query::Text(text.into()), raw), "{text}");
        }
    }

    #[test]
    fn body_texts() {
        let raw =
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nein sch=F6ner La=\r\nng\r\n--x\r\n\
            Content-Type: text/html; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n\r\naABpAA==\r\n--x\r\n\
            Content-Type: application/pdf\r\n\r\nbinary\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n\
            Subject: within\r\n\r\nforwarded\r\n--x--\r\n";
        for (text, in_body, in_text) in [
            ("SCHÖNER LANG", true, true),
            ("hi", true, true),
            ("binary", false, false),
            ("forwarded", true, true),
            ("within", false, true),
            ("application/pdf", false, true),
            ("", true, true),
        ] {
            assert_eq!(matches(Query::Body(text.into()), raw), in_body, "{text}");
            assert_eq!(matches(Query::Text(text.into()), raw), in_text, "{text}");
        }
        // Across the pieces that are decoded at a time.
        for before in PIECE - 3..PIECE + 2 {
            let raw = [b"\r\n".to_vec(), vec![b'x'; before], b"needle".to_vec()].concat();
            assert!(matches(Query::Body("NEEDLE".into()), &raw), "{before}");
        }
    }

    #[test]
    fn what_is_known_without_the_message_is_not_read() {
        let flags = Flags::new();
        let facts = MessageFacts::new(Uid::new(5).unwrap(), &flags, WallTime::new(999_000, 0), 10);
        let text = || Query::Text("x".into());
        let decide = |query: &Query| search(query).decide(&facts);
        assert_eq!(decide(&Query::And(vec![text(), Query::Larger(10)])), Some(false));
        assert_eq!(decide(&Query::And(vec![text(), Query::Larger(9)])), None);
        assert_eq!(decide(&Query::Or(Box::new(text()), Box::new(Query::Younger(1_000)))), Some(true));
        assert_eq!(decide(&Query::Or(Box::new(text()), Box::new(Query::Younger(999)))), None);
        assert_eq!(decide(&Query::Not(Box::new(Query::Older(1_000)))), Some(false));
        assert_eq!(decide(&Query::Older(1_001)), Some(false));
        assert_eq!(decide(&Query::ModSeq(1)), Some(false));
        let date = Date::new(1970, 1, 12).unwrap();
        assert_eq!((decide(&Query::On(date)), decide(&Query::Before(date))), (Some(true), Some(false)));
        assert_eq!(search(&Query::All).needs(), Needs::Nothing);
        assert_eq!(search(&Query::SentOn(date)).needs(), Needs::Header);
        assert_eq!(search(&Query::Not(Box::new(text()))).needs(), Needs::Body);
    }

    #[test]
    fn sent_dates_disregard_time_and_zone() {
        let date = |day| Date::new(1997, 11, day).unwrap();
        let raw = b"Date: Fri, 21 Nov 1997 23:55:06 -0600\r\nDate: 1 Jan 2000 00:00 Z\r\n\r\n";
        assert!(matches(Query::SentOn(date(21)), raw) && !matches(Query::SentOn(date(22)), raw));
        assert!(matches(Query::SentBefore(date(22)), raw) && matches(Query::SentSince(date(21)), raw));
        // RFC 5256 §2.2: the day counts where the time cannot be read.
        assert!(matches(Query::SentOn(date(21)), b"Date: 21 Nov 1997 25:00\r\n\r\n"));
        // Unreadable or missing: long ago.
        assert!(
            matches(Query::SentBefore(date(1)), b"Date: Friday\r\n\r\n") && !matches(Query::SentSince(date(1)), b"")
        );
    }

    #[test]
    fn what_is_too_complex_is_refused() {
        let nested = |depth| (0..depth).fold(Query::All, |query, _| Query::Not(Box::new(query)));
        let now = WallTime::default();
        assert!(Search::new(&nested(100), now).is_ok());
        assert!(Search::new(&nested(101), now).is_err());
        let texts = |count| Query::And(vec![Query::Body("x".into()); count]);
        assert!(Search::new(&texts(100), now).is_ok());
        assert!(Search::new(&texts(101), now).is_err());
    }
}
