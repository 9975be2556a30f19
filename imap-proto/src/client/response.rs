//! One response of a server, read (RFC 9051 §7).

use alloc::string::String;
use alloc::vec::Vec;

use super::code::{Status, StatusKind};
use super::data::{self, ESearch, ListEntry, MailboxStatus, Namespaces, ThreadNode, text};
use super::fetch::Fetch;
use super::value::{Malformed, OwnedValue, Reader, Value, number};
use super::words::{Capabilities, FlagList, Numbers, WireName};
use crate::types::{ModSeq, Seq, UidSet};

/// The most octets of a response that cannot be read that are kept to show.
const UNREAD_MAX: usize = 512;

/// What a server tells without a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// OK, NO, BAD, BYE or PREAUTH. A warning, if it is NO or BAD.
    Status(Status),
    /// CAPABILITY.
    Capability(Capabilities),
    /// ENABLED (RFC 5161): what is on from now on.
    Enabled(Capabilities),
    /// FLAGS: those that the mailbox has.
    Flags(FlagList),
    /// EXISTS: how many messages the mailbox has.
    Exists(u32),
    /// RECENT.
    Recent(u32),
    /// EXPUNGE: the message with this number is gone, and those behind it move up.
    Expunge(Seq),
    /// VANISHED (RFC 7162 §3.2.10): these are gone.
    Vanished {
        /// They went before this session heard of the mailbox, and have no place in its numbering.
        earlier: bool,
        /// Which; there may be some that this client never heard of.
        uids: UidSet,
    },
    /// FETCH, without its sections.
    Fetch(Fetch),
    /// SEARCH.
    Search {
        /// What was found.
        numbers: Vec<u32>,
        /// The highest mod-sequence of those.
        mod_seq: Option<ModSeq>,
    },
    /// ESEARCH.
    ESearch(ESearch),
    /// SORT (RFC 5256), in its order.
    Sort {
        /// What was found.
        numbers: Vec<u32>,
        /// The highest mod-sequence of those.
        mod_seq: Option<ModSeq>,
    },
    /// THREAD (RFC 5256).
    Thread(Vec<ThreadNode>),
    /// LIST, or XLIST of old servers.
    List(ListEntry),
    /// LSUB.
    Lsub(ListEntry),
    /// STATUS.
    MailboxStatus {
        /// Of which mailbox.
        name: WireName,
        /// What was told.
        status: MailboxStatus,
    },
    /// NAMESPACE.
    Namespaces(Namespaces),
    /// ID (RFC 2971): fields and their values; none at all for NIL.
    Id(Vec<(String, Option<Vec<u8>>)>),
    /// QUOTA (RFC 9208): the root, and of each resource its name, what is used and the limit.
    Quota {
        /// The root.
        root: Vec<u8>,
        /// The resources.
        resources: Vec<(String, u64, u64)>,
    },
    /// QUOTAROOT (RFC 9208): a mailbox and its roots.
    QuotaRoot {
        /// The mailbox.
        name: WireName,
        /// The roots.
        roots: Vec<Vec<u8>>,
    },
    /// ACL (RFC 4314): a mailbox, and who has which rights.
    Acl {
        /// The mailbox.
        name: WireName,
        /// Identifiers with their rights.
        entries: Vec<(Vec<u8>, String)>,
    },
    /// MYRIGHTS (RFC 4314).
    MyRights {
        /// The mailbox.
        name: WireName,
        /// Our rights.
        rights: String,
    },
    /// METADATA (RFC 5464) with values: of a mailbox, or of the server if the name is empty.
    Metadata {
        /// The mailbox.
        name: WireName,
        /// Entries with their values; none for one that does not exist.
        entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    },
    /// METADATA without values (RFC 5464 §4.4.2): these entries have changed, of a mailbox, or of the server if the name is empty.
    MetadataChanged {
        /// The mailbox.
        name: WireName,
        /// The entries.
        entries: Vec<Vec<u8>>,
    },
    /// Anything else that has a name: what an extension tells that this crate does not know.
    Other {
        /// The number before the name, if there is one.
        number: Option<u32>,
        /// The name in capitals.
        name: String,
        /// What stands behind it.
        values: Vec<OwnedValue>,
    },
    /// What cannot be read: the first 512 octets. Servers err, and what follows may well be read.
    Unread(Vec<u8>),
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line<'b> {
    /// A command continuation request, and what stands behind the `+`.
    Continue(&'b [u8]),
    /// The end of a command.
    Tagged { tag: &'b [u8], status: Status },
    /// Data.
    Untagged(Response),
    /// The begin of FETCH, whose data stand in `rest`.
    Fetch { number: u32, is_uid: bool, rest: &'b [u8] },
}

/// Reads a response without its line end.
pub(super) fn line(response: &[u8]) -> Result<Line<'_>, Malformed> {
    match response {
        [b'+', rest @ ..] => Ok(Line::Continue(rest.strip_prefix(b" ").unwrap_or(rest))),
        [b'*', rest @ ..] => Ok(untagged(rest).unwrap_or_else(|Malformed| Line::Untagged(unread(response)))),
        // Exchange sends a code without all that belongs before it.
        [b'[', ..] => Ok(Line::Untagged(Response::Status(Status::behind(StatusKind::Ok, response)))),
        [] => Ok(Line::Untagged(unread(response))),
        _ => {
            let end = memchr::memchr(b' ', response).ok_or(Malformed)?;
            let status = Status::parse(response[end..].trim_ascii_start())?;
            match status.kind {
                StatusKind::Ok | StatusKind::No | StatusKind::Bad => Ok(Line::Tagged { tag: &response[..end], status }),
                StatusKind::Bye | StatusKind::PreAuth => Err(Malformed),
            }
        }
    }
}

fn unread(response: &[u8]) -> Response {
    Response::Unread(response[..response.len().min(UNREAD_MAX)].to_vec())
}

fn untagged(text: &[u8]) -> Result<Line<'_>, Malformed> {
    let text = text.trim_ascii_start();
    let (first, rest) = split_word(text);
    if let Some(number) = number(first) {
        let number = u32::try_from(number).map_err(|_| Malformed)?;
        return numbered(number, rest.trim_ascii_start());
    }
    if let Some(kind) = StatusKind::parse(first) {
        return Ok(Line::Untagged(Response::Status(Status::behind(kind, rest))));
    }
    named(&data::text(first).to_ascii_uppercase(), rest).map(Line::Untagged)
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|octet| matches!(octet, b' ' | b'(')).unwrap_or(text.len());
    text.split_at(end)
}

fn numbered(number: u32, text: &[u8]) -> Result<Line<'_>, Malformed> {
    let (name, rest) = split_word(text);
    let name = data::text(name).to_ascii_uppercase();
    Ok(match &*name {
        "FETCH" | "UIDFETCH" if number > 0 => Line::Fetch { number, is_uid: name == "UIDFETCH", rest },
        "EXISTS" => Line::Untagged(Response::Exists(number)),
        "RECENT" => Line::Untagged(Response::Recent(number)),
        "EXPUNGE" => Line::Untagged(Response::Expunge(Seq::new(number).ok_or(Malformed)?)),
        "FETCH" | "UIDFETCH" | "" => return Err(Malformed),
        _ => Line::Untagged(other(Some(number), name, rest)?),
    })
}

fn other(number: Option<u32>, name: String, rest: &[u8]) -> Result<Response, Malformed> {
    let is_name = name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.+/=".contains(&octet));
    if name.is_empty() || !is_name {
        return Err(Malformed);
    }
    let values = Reader::new(rest).values()?;
    Ok(Response::Other { number, name, values: values.iter().map(Value::to_owned_value).collect() })
}

fn named(name: &str, rest: &[u8]) -> Result<Response, Malformed> {
    let mut reader = Reader::new(rest);
    let response = match name {
        "CAPABILITY" => return Ok(Response::Capability(Capabilities::parse(rest))),
        "ENABLED" => return Ok(Response::Enabled(Capabilities::parse(rest))),
        "SEARCH" => return data::found(rest).map(|(numbers, mod_seq)| Response::Search { numbers, mod_seq }),
        "SORT" => return data::found(rest).map(|(numbers, mod_seq)| Response::Sort { numbers, mod_seq }),
        "THREAD" => return data::threads(rest).map(Response::Thread),
        // The number stands behind the name in what some servers send.
        "EXISTS" => {
            return u32::try_from(number(rest.trim_ascii()).ok_or(Malformed)?)
                .map(Response::Exists)
                .map_err(|_| Malformed);
        }
        "FLAGS" => Response::Flags(FlagList::from_value(&reader.value()?)?),
        "VANISHED" => {
            let earlier = reader.is_next(b'(');
            if earlier && !reader.value()?.list().is_some_and(|words| words.iter().any(|word| word.is_word("EARLIER")))
            {
                return Err(Malformed);
            }
            let uids = Numbers::parse(reader.value()?.octets().ok_or(Malformed)?)?.to_uids();
            Response::Vanished { earlier, uids }
        }
        "ESEARCH" => Response::ESearch(ESearch::parse(&mut reader)?),
        "LIST" | "XLIST" => Response::List(ListEntry::parse(&mut reader)?),
        "LSUB" => Response::Lsub(ListEntry::parse(&mut reader)?),
        "STATUS" => {
            let (name, status) = MailboxStatus::parse(&mut reader)?;
            Response::MailboxStatus { name, status }
        }
        "NAMESPACE" => Response::Namespaces(Namespaces::parse(&mut reader)?),
        "ID" => {
            let fields = reader.value()?;
            let pairs = fields.list().unwrap_or_default().chunks_exact(2);
            let field = |pair: &[Value<'_>]| {
                (pair[0].octets().map(text).unwrap_or_default(), pair[1].octets().map(<[u8]>::to_vec))
            };
            Response::Id(pairs.map(field).collect())
        }
        "QUOTA" => {
            let root = string(&mut reader)?;
            let list = reader.value()?;
            let mut resources = Vec::new();
            for triplet in list.list().ok_or(Malformed)?.chunks(3) {
                let [name, used, limit] = triplet else { return Err(Malformed) };
                let number = |value: &Value<'_>| value.number().ok_or(Malformed);
                resources.push((text(name.octets().ok_or(Malformed)?), number(used)?, number(limit)?));
            }
            Response::Quota { root, resources }
        }
        "QUOTAROOT" => {
            let name = data::mailbox(&mut reader)?;
            let roots = reader.values()?;
            Response::QuotaRoot { name, roots: roots.iter().filter_map(Value::octets).map(<[u8]>::to_vec).collect() }
        }
        "ACL" => {
            let name = data::mailbox(&mut reader)?;
            let mut entries = Vec::new();
            for pair in reader.values()?.chunks(2) {
                let [who, rights] = pair else { return Err(Malformed) };
                entries.push((who.octets().ok_or(Malformed)?.to_vec(), text(rights.octets().ok_or(Malformed)?)));
            }
            Response::Acl { name, entries }
        }
        "MYRIGHTS" => {
            let name = data::mailbox(&mut reader)?;
            Response::MyRights { name, rights: data::text(&string(&mut reader)?) }
        }
        "METADATA" if matches!(Reader::new(rest).values()?[..], [_, Value::List(_)]) => {
            let name = data::mailbox(&mut reader)?;
            let mut entries = Vec::new();
            for pair in reader.value()?.list().ok_or(Malformed)?.chunks(2) {
                let [entry, value] = pair else { return Err(Malformed) };
                entries.push((entry.octets().ok_or(Malformed)?.to_vec(), value.octets().map(<[u8]>::to_vec)));
            }
            Response::Metadata { name, entries }
        }
        "METADATA" => {
            let name = data::mailbox(&mut reader)?;
            let entries = reader.values()?;
            let entry = |value: &Value<'_>| Ok(value.octets().ok_or(Malformed)?.to_vec());
            Response::MetadataChanged { name, entries: entries.iter().map(entry).collect::<Result<_, _>>()? }
        }
        _ => return other(None, name.into(), rest),
    };
    if reader.is_at_end() { Ok(response) } else { Err(Malformed) }
}

fn string(reader: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    Ok(reader.value()?.octets().ok_or(Malformed)?.to_vec())
}
