//! What servers tell of mailboxes and searches (RFC 9051 §7.3).

use alloc::string::String;
use alloc::vec::Vec;

use super::value::{Malformed, OwnedValue, Reader, Value, number};
use super::words::{Numbers, WireName};
use crate::types::{ModSeq, ObjectId, UidValidity};

/// A mailbox of LIST, LSUB or XLIST.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListEntry {
    /// Its name.
    pub name: WireName,
    /// What parts its levels; none if there are none.
    pub separator: Option<char>,
    /// Its attributes with their backslashes, as they were written.
    pub attributes: Vec<String>,
    /// What RFC 5258 calls extended data, by its names: CHILDINFO, OLDNAME.
    pub extended: Vec<(String, OwnedValue)>,
}

impl ListEntry {
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let attributes = reader.value()?;
        let attributes = attributes.list().unwrap_or_default().iter().filter_map(Value::octets).map(text).collect();
        let separator = match reader.value()? {
            Value::Nil => None,
            separator => text(separator.octets().ok_or(Malformed)?).chars().next(),
        };
        let name = if reader.is_at_end() { WireName::new([]) } else { mailbox(reader)? };
        let mut extended = Vec::new();
        if !reader.is_at_end()
            && let Value::List(values) = reader.value()?
        {
            for pair in values.chunks(2) {
                let [name, value] = pair else { return Err(Malformed) };
                extended.push((text(name.octets().ok_or(Malformed)?), value.to_owned_value()));
            }
        }
        Ok(ListEntry { name, separator, attributes, extended })
    }

    /// Whether it has this attribute, in any case: `\NoSelect`, `\Sent`.
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|own| own.eq_ignore_ascii_case(attribute))
    }

    /// What is true of something below it (RFC 5258 §3.5, CHILDINFO), such as `SUBSCRIBED`.
    ///
    /// ```
    /// use pillarbox_imap::client::ListEntry;
    ///
    /// fn leads_to_subscribed(entry: &ListEntry) -> bool {
    ///     entry.child_info().any(|option| option.eq_ignore_ascii_case(b"SUBSCRIBED"))
    /// }
    /// # let _ = leads_to_subscribed;
    /// ```
    pub fn child_info(&self) -> impl Iterator<Item = &[u8]> {
        let told = self.extended.iter().filter(|(name, _)| name.eq_ignore_ascii_case("CHILDINFO"));
        let lists = told.filter_map(|(_, value)| match value {
            OwnedValue::List(values) => Some(values),
            _ => None,
        });
        lists.flatten().filter_map(|value| match value {
            OwnedValue::Word(option) | OwnedValue::String(option) => Some(option.as_slice()),
            _ => None,
        })
    }

    /// The name that it had before (RFC 9051 §6.3.9.7, OLDNAME).
    pub fn old_name(&self) -> Option<WireName> {
        let (_, value) = self.extended.iter().find(|(name, _)| name.eq_ignore_ascii_case("OLDNAME"))?;
        match value {
            OwnedValue::List(values) => match &values[..] {
                [OwnedValue::Word(name) | OwnedValue::String(name)] => Some(WireName::new(name.clone())),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What STATUS told (RFC 9051 §7.3.4). Each is there if it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailboxStatus {
    /// APPENDLIMIT (RFC 7889 §3.1): `Some(None)` is no limit.
    pub append_limit: Option<Option<u64>>,
    /// DELETED: messages with `\Deleted`.
    pub deleted: Option<u64>,
    /// HIGHESTMODSEQ; none also if the mailbox has none.
    pub highest_mod_seq: Option<ModSeq>,
    /// MAILBOXID.
    pub mailbox_id: Option<ObjectId>,
    /// MESSAGES.
    pub messages: Option<u64>,
    /// RECENT.
    pub recent: Option<u64>,
    /// SIZE: octets of all messages.
    pub size: Option<u64>,
    /// UIDNEXT.
    pub uid_next: Option<u64>,
    /// UIDVALIDITY.
    pub uid_validity: Option<UidValidity>,
    /// UNSEEN: messages without `\Seen`.
    pub unseen: Option<u64>,
    /// What else there was.
    pub others: Vec<(String, OwnedValue)>,
}

impl MailboxStatus {
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<(WireName, Self), Malformed> {
        let name = mailbox(reader)?;
        let items = reader.value()?;
        let mut status = MailboxStatus::default();
        for pair in items.list().ok_or(Malformed)?.chunks(2) {
            let [item, value] = pair else { return Err(Malformed) };
            let count = value.number();
            match &*text(item.octets().ok_or(Malformed)?).to_ascii_uppercase() {
                "APPENDLIMIT" => status.append_limit = Some(count),
                "DELETED" => status.deleted = count,
                "HIGHESTMODSEQ" => status.highest_mod_seq = count.and_then(ModSeq::new),
                "MAILBOXID" => status.mailbox_id = object_id(value),
                "MESSAGES" => status.messages = count,
                "RECENT" => status.recent = count,
                "SIZE" => status.size = count,
                "UIDNEXT" => status.uid_next = count,
                "UIDVALIDITY" => {
                    status.uid_validity = count.and_then(|n| UidValidity::new(u32::try_from(n).ok()?));
                }
                "UNSEEN" => status.unseen = count,
                other => status.others.push((other.into(), value.to_owned_value())),
            }
        }
        Ok((name, status))
    }
}

/// The namespaces of a server (RFC 2342).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespaces {
    /// Our own mailboxes.
    pub personal: Vec<Namespace>,
    /// Those of other users.
    pub other_users: Vec<Namespace>,
    /// Those of nobody in particular.
    pub shared: Vec<Namespace>,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespace {
    /// What the names in it begin with.
    pub prefix: Vec<u8>,
    /// What parts the levels in it; none if there are none.
    pub separator: Option<char>,
}

impl Namespaces {
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut spaces = [const { Vec::new() }; 3];
        for space in &mut spaces {
            if reader.is_at_end() {
                break;
            }
            for entry in reader.value()?.list().unwrap_or_default() {
                let [prefix, separator, ..] = entry.list().ok_or(Malformed)? else { return Err(Malformed) };
                space.push(Namespace {
                    prefix: prefix.octets().unwrap_or_default().to_vec(),
                    separator: separator.octets().and_then(|octets| text(octets).chars().next()),
                });
            }
        }
        let [personal, other_users, shared] = spaces;
        Ok(Namespaces { personal, other_users, shared })
    }
}

/// What a search found, told by ESEARCH (RFC 4731, RFC 9051 §7.3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ESearch {
    /// The tag of the command that it answers.
    pub tag: Option<String>,
    /// The mailbox that it is about (RFC 7377), if it is not the selected one.
    pub mailbox: Option<WireName>,
    /// The UIDVALIDITY of that.
    pub uid_validity: Option<UidValidity>,
    /// The numbers are UIDs.
    pub is_uid: bool,
    /// MIN.
    pub min: Option<u32>,
    /// MAX.
    pub max: Option<u32>,
    /// COUNT.
    pub count: Option<u64>,
    /// ALL.
    pub all: Option<Numbers>,
    /// MODSEQ: the highest of those that were found.
    pub mod_seq: Option<ModSeq>,
    /// PARTIAL (RFC 9394): the range that was asked for, as it was written, and what is in it.
    pub partial: Option<(String, Numbers)>,
    /// How the results of a search change that is watched (RFC 5267 §4.3), in the order in which that is to be done.
    pub updates: Vec<ContextUpdate>,
    /// What else there was.
    pub others: Vec<(String, OwnedValue)>,
}

/// A change of the results of a search that is watched (RFC 5267 §4.3).
///
/// Positions count from 1 in the order of the results; 0 is told where there is no order, as with SEARCH.
///
/// ```
/// use pillarbox_imap::client::{ContextUpdate, ESearch};
///
/// /// More results than anybody wants to see: a server names four billion in a line.
/// #[derive(Debug, PartialEq)]
/// struct TooMany;
///
/// /// The results in their order, after what the server told of them.
/// fn follow(results: &mut Vec<u32>, told: &ESearch) -> Result<(), TooMany> {
///     for update in &told.updates {
///         match update {
///             ContextUpdate::Add { numbers, .. } if results.len() as u64 + numbers.len() > 100_000 => {
///                 return Err(TooMany);
///             }
///             // In the order of the mailbox.
///             ContextUpdate::Add { position: 0, numbers } => {
///                 results.extend(numbers.iter());
///                 results.sort_unstable();
///                 results.dedup();
///             }
///             ContextUpdate::Add { position, numbers } => {
///                 let at = (*position as usize - 1).min(results.len());
///                 results.splice(at..at, numbers.iter());
///             }
///             ContextUpdate::Remove { numbers, .. } => {
///                 let is_there = |own: &u32| numbers.ranges().iter().any(|range| range.contains(own));
///                 results.retain(|own| !is_there(own));
///             }
///             _ => {}
///         }
///     }
///     Ok(())
/// }
/// # use pillarbox_core::{Step, Time};
/// # use pillarbox_imap::client::{ClientConfig, ClientSession, Event, Response};
/// # let after = |told: &str| {
/// #     let line = format!("* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n* ESEARCH (TAG \"C01\") UID {told}\r\n");
/// #     let (mut session, mut input) = (ClientSession::new(ClientConfig::default()), line.as_bytes());
/// #     let (mut results, mut is_told) = (vec![2734, 2735], None);
/// #     loop {
/// #         match session.poll(Time::ZERO, &mut input) {
/// #             Step::Event(Event::Response(Response::ESearch(told))) => is_told = Some(follow(&mut results, &told)),
/// #             Step::Event(_) => {}
/// #             _ => return is_told.unwrap().map(|()| results),
/// #         }
/// #     }
/// # };
/// # // RFC 5267 §4.3.3: three ways to say one thing.
/// # assert_eq!(after("ADDTO (1 2733 1 2732 1 2731)"), Ok(vec![2731, 2732, 2733, 2734, 2735]));
/// # assert_eq!(after("ADDTO (1 2733) ADDTO (1 2731:2732)"), Ok(vec![2731, 2732, 2733, 2734, 2735]));
/// # assert_eq!(after("ADDTO (1 2731:2733)"), Ok(vec![2731, 2732, 2733, 2734, 2735]));
/// # assert_eq!(after("ADDTO (0 32768:32769)"), Ok(vec![2734, 2735, 32768, 32769]));
/// # assert_eq!(after("ADDTO (0 2736 0 2731,2735)"), Ok(vec![2731, 2734, 2735, 2736]));
/// # assert_eq!(after("REMOVEFROM (0 2734)"), Ok(vec![2735]));
/// # assert_eq!(after("ADDTO (1 1:4294967295)"), Err(TooMany));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextUpdate {
    /// ADDTO: the first of these is at this position now, and the others stand behind it.
    Add {
        /// Where.
        position: u32,
        /// Which.
        numbers: Numbers,
    },
    /// REMOVEFROM: these are results no more.
    Remove {
        /// Where the first of them was.
        position: u32,
        /// Which.
        numbers: Numbers,
    },
}

impl ContextUpdate {
    /// Reads what stands behind ADDTO or REMOVEFROM: pairs of a position and numbers.
    fn parse(pairs: &Value<'_>, make: fn(u32, Numbers) -> Self, updates: &mut Vec<Self>) -> Result<(), Malformed> {
        for pair in pairs.list().ok_or(Malformed)?.chunks(2) {
            let [position, numbers] = pair else { return Err(Malformed) };
            let position = u32::try_from(position.number().ok_or(Malformed)?).map_err(|_| Malformed)?;
            updates.push(make(position, Numbers::parse(numbers.octets().ok_or(Malformed)?)?));
        }
        Ok(())
    }
}

impl ESearch {
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut told = ESearch::default();
        if reader.is_next(b'(') {
            let correlator = reader.value()?;
            let values = correlator.list().unwrap_or_default();
            // RFC 5267 wraps what others do not: there is no TAG in it then.
            for pair in values.chunks(2) {
                match pair {
                    [name, value] if name.is_word("TAG") => told.tag = value.octets().map(text),
                    [name, value] if name.is_word("MAILBOX") => told.mailbox = Some(WireName::from_value(value)?),
                    [name, value] if name.is_word("UIDVALIDITY") => {
                        told.uid_validity = value.number().and_then(|n| UidValidity::new(u32::try_from(n).ok()?));
                    }
                    _ => {}
                }
            }
        }
        while !reader.is_at_end() {
            let name = reader.value()?;
            if let Value::List(values) = &name {
                told.pairs(values)?;
                continue;
            }
            if name.is_word("UID") {
                told.is_uid = true;
                continue;
            }
            let value = reader.value()?;
            told.pairs(&[name, value])?;
        }
        Ok(told)
    }

    fn pairs(&mut self, values: &[Value<'_>]) -> Result<(), Malformed> {
        for pair in values.chunks(2) {
            let [name, value] = pair else { return Err(Malformed) };
            let small = || u32::try_from(value.number().ok_or(Malformed)?).map_err(|_| Malformed);
            match &*text(name.octets().ok_or(Malformed)?).to_ascii_uppercase() {
                "MIN" => self.min = Some(small()?),
                "MAX" => self.max = Some(small()?),
                "COUNT" => self.count = Some(value.number().ok_or(Malformed)?),
                "ALL" => self.all = Some(Numbers::parse(value.octets().ok_or(Malformed)?)?),
                "MODSEQ" => self.mod_seq = mod_seq(value),
                "ADDTO" => {
                    let add = |position, numbers| ContextUpdate::Add { position, numbers };
                    ContextUpdate::parse(value, add, &mut self.updates)?;
                }
                "REMOVEFROM" => {
                    let remove = |position, numbers| ContextUpdate::Remove { position, numbers };
                    ContextUpdate::parse(value, remove, &mut self.updates)?;
                }
                "PARTIAL" => {
                    let [range, numbers] = value.list().ok_or(Malformed)? else { return Err(Malformed) };
                    let numbers = numbers.octets().map(Numbers::parse).transpose()?.unwrap_or_default();
                    self.partial = Some((text(range.octets().ok_or(Malformed)?), numbers));
                }
                other => self.others.push((other.into(), value.to_owned_value())),
            }
        }
        Ok(())
    }
}

/// A message in the trees that THREAD told (RFC 5256 §4). The trees stand one after the other, parents before their
/// children: however deep a server nests them, they are a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadNode {
    /// Its number; none for a message that is not there and has children nevertheless.
    pub number: Option<u32>,
    /// Where its parent is in the list; none at the top.
    pub parent: Option<usize>,
}

/// How deep the trees of THREAD may lie in each other, each level of which takes 16 octets more. A thread goes deeper only where
/// it branches.
const THREAD_DEPTH_MAX: usize = 65_536;
/// The most nodes of all trees, which take 24 octets each: a mailbox of a million messages, told in 7 MB.
const THREAD_NODES_MAX: usize = 1 << 20;

/// Reads the trees behind THREAD.
pub(super) fn threads(text: &[u8]) -> Result<Vec<ThreadNode>, Malformed> {
    let mut nodes: Vec<ThreadNode> = Vec::new();
    // What the open parentheses stand below, and below what the next number stands.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut parent = None;
    let mut is_fresh = false;
    let mut rest = text;
    while let [octet, behind @ ..] = rest {
        rest = behind;
        if open.len() > THREAD_DEPTH_MAX || nodes.len() > THREAD_NODES_MAX {
            return Err(Malformed);
        }
        match octet {
            b' ' => {}
            b'(' => {
                // A tree that begins with a list has no message at its top.
                if is_fresh {
                    nodes.push(ThreadNode { number: None, parent });
                    parent = Some(nodes.len() - 1);
                }
                open.push(parent);
                is_fresh = true;
            }
            b')' => {
                let above = open.pop().ok_or(Malformed)?;
                parent = if open.is_empty() { None } else { above };
                is_fresh = false;
            }
            b'0'..=b'9' if !open.is_empty() => {
                let len = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
                let start = text.len() - rest.len() - 1;
                let digits = &text[start..start + 1 + len];
                rest = &rest[len..];
                let number = u32::try_from(number(digits).ok_or(Malformed)?).map_err(|_| Malformed)?;
                nodes.push(ThreadNode { number: Some(number), parent });
                parent = Some(nodes.len() - 1);
                is_fresh = false;
            }
            _ => return Err(Malformed),
        }
    }
    if open.is_empty() { Ok(nodes) } else { Err(Malformed) }
}

/// The numbers of SEARCH or SORT, and the mod-sequence that may stand behind them (RFC 7162 §3.1.5).
pub(super) fn found(text: &[u8]) -> Result<(Vec<u32>, Option<ModSeq>), Malformed> {
    let (numbers, behind) = match memchr::memchr(b'(', text) {
        Some(at) => text.split_at(at),
        None => (text, &b""[..]),
    };
    let small = |word: &[u8]| u32::try_from(number(word).ok_or(Malformed)?).map_err(|_| Malformed);
    let words = numbers.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    let numbers = words.map(small).collect::<Result<_, _>>()?;
    let mut reader = Reader::new(behind);
    let highest = match reader.is_at_end() {
        true => None,
        false => match reader.value()?.list() {
            Some([name, value]) if name.is_word("MODSEQ") => value.number().and_then(ModSeq::new),
            _ => return Err(Malformed),
        },
    };
    Ok((numbers, highest))
}

pub(super) fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// The name of a mailbox: a string, or all up to the next space, as servers forget the quotes.
pub(super) fn mailbox(reader: &mut Reader<'_>) -> Result<WireName, Malformed> {
    WireName::from_value(&reader.value()?)
}

/// `(1234)`, or `1234` from those who forget the parentheses. Zero, which some servers send, is none.
pub(super) fn mod_seq(value: &Value<'_>) -> Option<ModSeq> {
    let value = value.list().map_or(Some(value), <[_]>::first)?;
    value.number().and_then(ModSeq::new)
}

/// `(M1)`, or `M1`.
pub(super) fn object_id(value: &Value<'_>) -> Option<ObjectId> {
    let value = value.list().map_or(Some(value), <[_]>::first)?;
    ObjectId::new(core::str::from_utf8(value.octets()?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Vec<(Option<u32>, Option<usize>)> {
        threads(text.as_bytes()).unwrap().iter().map(|node| (node.number, node.parent)).collect()
    }

    #[test]
    fn trees() {
        assert_eq!(
            tree("(2)(3 6 (4 23)(44 7 96))"),
            [
                (Some(2), None),
                (Some(3), None),
                (Some(6), Some(1)),
                (Some(4), Some(2)),
                (Some(23), Some(3)),
                (Some(44), Some(2)),
                (Some(7), Some(5)),
                (Some(96), Some(6)),
            ]
        );
        assert_eq!(tree("((3)(5))"), [(None, None), (Some(3), Some(0)), (Some(5), Some(0))]);
        assert_eq!(tree(""), []);
        for bad in ["(", ")", "1", "(x)", "(4294967296)"] {
            assert!(threads(bad.as_bytes()).is_err(), "{bad}");
        }
        // As deep as there is room for.
        assert_eq!(threads("(1".repeat(10_000).as_bytes()), Err(Malformed));
        let deep = "(1".repeat(10_000) + &")".repeat(10_000);
        assert_eq!(threads(deep.as_bytes()).unwrap().len(), 10_000);
        // And where each octet would take the memory of dozens: no further.
        let nested = |depth: usize| "(".repeat(depth) + "1" + &")".repeat(depth);
        assert_eq!(threads(nested(THREAD_DEPTH_MAX).as_bytes()).unwrap().len(), THREAD_DEPTH_MAX);
        assert_eq!(threads(nested(THREAD_DEPTH_MAX + 1).as_bytes()), Err(Malformed));
        let hollow = alloc::format!("({})", "(())".repeat(THREAD_NODES_MAX + 1));
        assert!(threads(hollow.as_bytes()).is_err());
        let long = alloc::format!("({})", "1 ".repeat(THREAD_NODES_MAX));
        assert_eq!(threads(long.as_bytes()).unwrap().len(), THREAD_NODES_MAX);
        let long = alloc::format!("({})", "1 ".repeat(THREAD_NODES_MAX + 1));
        assert!(threads(long.as_bytes()).is_err());
    }

    #[test]
    fn what_searches_find() {
        assert_eq!(found(b" 2 84  882 "), Ok((alloc::vec![2, 84, 882], None)));
        assert_eq!(found(b"2 (MODSEQ 9)"), Ok((alloc::vec![2], ModSeq::new(9))));
        assert!(found(b"2 x").is_err() && found(b"2 (X 9)").is_err());
    }

    fn esearch(text: &str) -> Result<ESearch, Malformed> {
        ESearch::parse(&mut Reader::new(text.as_bytes()))
    }

    /// Lines as those of RFC 5267 §4.3; what its own lines come to is shown at [`ContextUpdate`].
    #[test]
    fn results_that_change() {
        let numbers = |text: &str| Numbers::parse(text.as_bytes()).unwrap();
        let told = esearch(" (TAG \"B01\") UID ADDTO (1 2733 1 2732:2731)").unwrap();
        assert_eq!((told.tag.as_deref(), told.is_uid), (Some("B01"), true));
        let add = |position, text| ContextUpdate::Add { position, numbers: numbers(text) };
        assert_eq!(told.updates, [add(1, "2733"), add(1, "2732:2731")]);
        let told = esearch("(TAG \"B01\") UID REMOVEFROM (0 32768) ADDTO (0 5) COUNT 3").unwrap();
        let removed = ContextUpdate::Remove { position: 0, numbers: numbers("32768") };
        assert_eq!(told.updates, [removed, add(0, "5")]);
        assert_eq!((told.count, told.others.len()), (Some(3), 0));
        for bad in ["ADDTO 1", "ADDTO (1)", "ADDTO (x 1)", "REMOVEFROM (1 *)", "REMOVEFROM (1 (2))"] {
            assert_eq!(esearch(bad), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn what_is_true_of_children() {
        let entry = |text: &str| ListEntry::parse(&mut Reader::new(text.as_bytes())).unwrap();
        let list = entry("(\\NonExistent) \"/\" Foo (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        assert!(list.child_info().eq([b"SUBSCRIBED"]));
        assert_eq!(entry("() \"/\" Foo").child_info().count(), 0);
        assert_eq!(entry("() \"/\" Foo (\"CHILDINFO\" NIL)").child_info().count(), 0);
    }
}
