//! Status responses: OK, NO, BAD, BYE and PREAUTH with their codes and texts (RFC 9051 §7.1).

use alloc::string::String;
use alloc::vec::Vec;

use super::value::{Malformed, Reader, Value, number};
use super::words::{Capabilities, FlagList, Numbers};
use crate::types::{ModSeq, ObjectId, ResponseCode, Seq, Uid, UidValidity};

/// A status response, tagged or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Which one.
    pub kind: StatusKind,
    /// What stands in the brackets.
    pub code: Option<Code>,
    /// The text for people, which may be empty, and which nobody has checked.
    pub text: String,
}

/// The five kinds of status responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusKind {
    /// OK.
    Ok,
    /// NO: it could not be done.
    No,
    /// BAD: the server does not understand.
    Bad,
    /// BYE: the server closes the connection.
    Bye,
    /// PREAUTH: the greeting of a server that knows who we are.
    PreAuth,
}

/// A response code. Those that hold data are read; those that are a word are [`ResponseCode`]; every other is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// One of the words.
    Plain(ResponseCode),
    /// APPENDUID (RFC 4315 §3).
    AppendUid {
        /// The UIDVALIDITY of the mailbox that got the messages.
        uid_validity: UidValidity,
        /// Their UIDs, in the order in which they were sent.
        uids: Numbers,
    },
    /// BADEVENT with the events that the server knows (RFC 5465 §8).
    BadEvent(Vec<String>),
    /// BADCHARSET with the charsets that the server knows.
    BadCharset(Vec<String>),
    /// CAPABILITY.
    Capability(Capabilities),
    /// CLOSED (RFC 7162 §3.2.11): what follows is about the mailbox that is being selected.
    Closed,
    /// COPYUID (RFC 4315 §3).
    CopyUid {
        /// The UIDVALIDITY of the mailbox that got the messages.
        uid_validity: UidValidity,
        /// Their UIDs where they were.
        from: Numbers,
        /// Their UIDs where they are, in the same order.
        to: Numbers,
    },
    /// HIGHESTMODSEQ (RFC 7162 §3.1.2.1).
    HighestModSeq(ModSeq),
    /// INPROGRESS (RFC 9585): a command that takes long is under way.
    ///
    /// ```
    /// use pillarbox_imap::client::Code;
    ///
    /// # fn tell(code: &Code) {
    /// if let Code::InProgress { done: Some(done), goal: Some(goal), .. } = code {
    ///     println!("{done} of {goal}");
    /// }
    /// # }
    /// ```
    InProgress {
        /// The tag of the command, if the server says which it is.
        tag: Option<String>,
        /// How far it has come, if that is known.
        done: Option<u64>,
        /// How far it has to go, if that is known; more than `done` or as much.
        goal: Option<u64>,
    },
    /// MAILBOXID (RFC 8474 §4).
    MailboxId(ObjectId),
    /// MESSAGELIMIT (RFC 9738): the command was about more messages than the server takes at once.
    MessageLimit {
        /// So many it takes.
        max: u64,
        /// The last message that was dealt with: what is below it is left.
        last: Option<Uid>,
    },
    /// METADATA LONGENTRIES (RFC 5464 §4.2.1): values were left out that are larger than MAXSIZE allowed, the largest of so many octets.
    MetadataLongEntries(u64),
    /// METADATA MAXSIZE (RFC 5464 §4.3): a value may have so many octets.
    MetadataMaxSize(u64),
    /// METADATA TOOMANY (RFC 5464 §4.3): there are as many annotations as there may be.
    MetadataTooMany,
    /// METADATA NOPRIVATE (RFC 5464 §4.3): there are no private annotations.
    MetadataNoPrivate,
    /// MODIFIED (RFC 7162 §3.1.3): these messages were changed by somebody else and stayed as they are.
    Modified(Numbers),
    /// NOMODSEQ (RFC 7162 §3.1.2.2).
    NoModSeq,
    /// NOTIFICATIONOVERFLOW (RFC 5465 §5.8): too much happened, and nothing is told any more. Whoever wants to know asks for all of it
    /// and sends NOTIFY again.
    NotificationOverflow,
    /// NOUPDATE (RFC 5267 §4.3.1): what changes in the results of the search with this tag is not told any more.
    NoUpdate(String),
    /// PERMANENTFLAGS.
    PermanentFlags(FlagList),
    /// READ-ONLY.
    ReadOnly,
    /// READ-WRITE.
    ReadWrite,
    /// UIDNEXT.
    UidNext(Uid),
    /// UIDNOTSTICKY (RFC 4315 §3): UIDs do not last.
    UidNotSticky,
    /// UIDVALIDITY.
    UidValidity(UidValidity),
    /// UNSEEN: the first message without `\Seen`.
    Unseen(Seq),
    /// Any other code.
    Other {
        /// The first word, in capitals.
        name: String,
        /// What stands behind it.
        arguments: String,
    },
}

impl Status {
    /// Reads what stands behind the tag.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let end = text.iter().position(|octet| *octet == b' ').unwrap_or(text.len());
        let kind = StatusKind::parse(&text[..end]).ok_or(Malformed)?;
        Ok(Status::behind(kind, &text[end..]))
    }

    /// Reads what stands behind the kind. Servers leave out the text, or the space before it.
    pub(super) fn behind(kind: StatusKind, text: &[u8]) -> Self {
        let text = text.trim_ascii();
        if let Some(inner) = text.strip_prefix(b"[")
            && let Some(end) = end_of_code(inner)
        {
            let code = Code::parse(inner[..end].trim_ascii());
            return Status { kind, code, text: lossy(inner[end + 1..].trim_ascii()) };
        }
        Status { kind, code: None, text: lossy(text) }
    }

    /// Whether it is OK.
    pub fn is_ok(&self) -> bool {
        self.kind == StatusKind::Ok
    }

    /// Whether the code is this word.
    pub fn has(&self, code: &ResponseCode) -> bool {
        matches!(&self.code, Some(Code::Plain(own)) if own == code)
    }
}

impl core::fmt::Display for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self.kind {
            StatusKind::Ok => "OK",
            StatusKind::No => "NO",
            StatusKind::Bad => "BAD",
            StatusKind::Bye => "BYE",
            StatusKind::PreAuth => "PREAUTH",
        })?;
        // The server's octets must not do anything to a terminal or a log.
        if self.text.is_empty() { Ok(()) } else { write!(f, " {}", self.text.escape_debug()) }
    }
}

impl StatusKind {
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        const KINDS: [(&[u8], StatusKind); 5] = [
            (b"OK", StatusKind::Ok),
            (b"NO", StatusKind::No),
            (b"BAD", StatusKind::Bad),
            (b"BYE", StatusKind::Bye),
            (b"PREAUTH", StatusKind::PreAuth),
        ];
        KINDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
    }
}

/// Where the brackets close: not within a string, unless that never ends.
fn end_of_code(text: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    let mut at = 0;
    while let Some(octet) = text.get(at) {
        match octet {
            b'\\' if is_quoted => at += 1,
            b'"' => is_quoted = !is_quoted,
            b']' if !is_quoted => return Some(at),
            _ => {}
        }
        at += 1;
    }
    memchr::memchr(b']', text)
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// The codes that are a word.
const PLAIN: [ResponseCode; 24] = [
    ResponseCode::Alert,
    ResponseCode::AlreadyExists,
    ResponseCode::AuthenticationFailed,
    ResponseCode::AuthorizationFailed,
    ResponseCode::Cannot,
    ResponseCode::ClientBug,
    ResponseCode::ContactAdmin,
    ResponseCode::Corruption,
    ResponseCode::Expired,
    ResponseCode::ExpungeIssued,
    ResponseCode::HasChildren,
    ResponseCode::InUse,
    ResponseCode::Limit,
    ResponseCode::NonExistent,
    ResponseCode::NoPerm,
    ResponseCode::OverQuota,
    ResponseCode::Parse,
    ResponseCode::PrivacyRequired,
    ResponseCode::ServerBug,
    ResponseCode::TooBig,
    ResponseCode::TryCreate,
    ResponseCode::Unavailable,
    ResponseCode::UnknownCte,
    ResponseCode::UseAttr,
];

impl Code {
    /// Reads what stands between the brackets; none if there is nothing.
    fn parse(text: &[u8]) -> Option<Self> {
        let end = text.iter().position(|octet| *octet == b' ').unwrap_or(text.len());
        let (name, arguments) = text.split_at(end);
        if name.is_empty() {
            return None;
        }
        let name = lossy(name).to_ascii_uppercase();
        let arguments = arguments.trim_ascii();
        Some(Code::with_data(&name, arguments).unwrap_or_else(|| {
            let plain = PLAIN.iter().find(|code| arguments.is_empty() && alloc::format!("{code}") == name);
            match plain {
                Some(code) => Code::Plain(code.clone()),
                None => Code::Other { name, arguments: lossy(arguments) },
            }
        }))
    }

    /// A code that holds data; none if it is another, or its data cannot be read.
    fn with_data(name: &str, arguments: &[u8]) -> Option<Self> {
        let mut words = arguments.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
        let small = |word: Option<&[u8]>| u32::try_from(number(word?)?).ok();
        Some(match name {
            "APPENDUID" => Code::AppendUid {
                uid_validity: UidValidity::new(small(words.next())?)?,
                uids: Numbers::parse(words.next()?).ok()?,
            },
            "COPYUID" => Code::CopyUid {
                uid_validity: UidValidity::new(small(words.next())?)?,
                from: Numbers::parse(words.next()?).ok()?,
                to: Numbers::parse(words.next()?).ok()?,
            },
            "CAPABILITY" => Code::Capability(Capabilities::parse(arguments)),
            "BADCHARSET" => {
                let values = Reader::new(arguments).values().ok()?;
                let values = match &values[..] {
                    [list] => list.list().unwrap_or(&values),
                    _ => &values,
                };
                Code::BadCharset(values.iter().filter_map(|value| value.octets()).map(lossy).collect())
            }
            "BADEVENT" => {
                let values = Reader::new(arguments).value().ok()?;
                Code::BadEvent(values.list()?.iter().filter_map(|value| value.octets()).map(lossy).collect())
            }
            "CLOSED" => Code::Closed,
            "HIGHESTMODSEQ" => Code::HighestModSeq(ModSeq::new(number(words.next()?)?)?),
            "INPROGRESS" => {
                let values = Reader::new(arguments).values().ok()?;
                let none = [const { Value::Nil }; 3];
                let [tag, done, goal] = match &values[..] {
                    [] => &none,
                    [list] => list.list()?.first_chunk().filter(|_| list.list().is_some_and(|list| list.len() == 3))?,
                    _ => return None,
                };
                let told = |value: &Value<'_>| match value {
                    Value::Nil => Some(None),
                    value => value.number().map(Some),
                };
                let tag = match tag {
                    Value::Nil => None,
                    tag => Some(lossy(tag.octets()?)),
                };
                let (done, goal) = (told(done)?, told(goal)?);
                // An embedder takes one from the other.
                if done.zip(goal).is_some_and(|(done, goal)| done > goal) {
                    return None;
                }
                Code::InProgress { tag, done, goal }
            }
            "MESSAGELIMIT" => {
                let max = number(words.next()?)?;
                let last = match words.next() {
                    None => None,
                    last => Some(Uid::new(small(last)?)?),
                };
                Code::MessageLimit { max, last }
            }
            "METADATA" => match (lossy(words.next()?).to_ascii_uppercase().as_str(), words.next()) {
                ("LONGENTRIES", Some(octets)) => Code::MetadataLongEntries(number(octets)?),
                ("MAXSIZE", Some(octets)) => Code::MetadataMaxSize(number(octets)?),
                ("TOOMANY", None) => Code::MetadataTooMany,
                ("NOPRIVATE", None) => Code::MetadataNoPrivate,
                _ => return None,
            },
            "MAILBOXID" => {
                let id = arguments.strip_prefix(b"(").and_then(|id| id.strip_suffix(b")")).unwrap_or(arguments);
                Code::MailboxId(ObjectId::new(core::str::from_utf8(id).ok()?)?)
            }
            "MODIFIED" => Code::Modified(Numbers::parse(words.next()?).ok()?),
            "NOMODSEQ" => Code::NoModSeq,
            "NOTIFICATIONOVERFLOW" => Code::NotificationOverflow,
            "NOUPDATE" => Code::NoUpdate(lossy(Reader::new(arguments).value().ok()?.octets()?)),
            "PERMANENTFLAGS" => Code::PermanentFlags(FlagList::from_value(&Reader::new(arguments).value().ok()?).ok()?),
            "READ-ONLY" => Code::ReadOnly,
            "READ-WRITE" => Code::ReadWrite,
            "UIDNEXT" => Code::UidNext(Uid::new(small(words.next())?)?),
            "UIDNOTSTICKY" => Code::UidNotSticky,
            "UIDVALIDITY" => Code::UidValidity(UidValidity::new(small(words.next())?)?),
            "UNSEEN" => Code::Unseen(Seq::new(small(words.next())?)?),
            _ => return None,
        })
    }

    /// The code of another kind of this name.
    pub fn other(&self, name: &str) -> Option<&str> {
        match self {
            Code::Other { name: own, arguments } if own.eq_ignore_ascii_case(name) => Some(arguments),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::format;

    use super::*;

    fn status(text: &str) -> Status {
        Status::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn codes_are_read() {
        assert_eq!(status("OK [UIDVALIDITY 7] fine").code, Some(Code::UidValidity(UidValidity::new(7).unwrap())));
        assert_eq!(status("no [overquota]").code, Some(Code::Plain(ResponseCode::OverQuota)));
        let copied = status("OK [COPYUID 1 304,319:320 3956:3958] done");
        let Some(Code::CopyUid { from, to, .. }) = copied.code else { panic!("{copied:?}") };
        assert!(from.iter().eq([304, 319, 320]) && to.iter().eq(3956..=3958));
        let flags = status("OK [PERMANENTFLAGS (\\Seen \\* $Junk \\X)]");
        let Some(Code::PermanentFlags(flags)) = flags.code else { panic!("{flags:?}") };
        assert!(flags.may_make_keywords() && flags.flags.len() == 2 && flags.others.len() == 2);
    }

    #[test]
    fn codes_of_what_takes_long_and_of_what_is_watched() {
        let code = |text: &str| status(text).code.unwrap();
        let progress = |tag: Option<&str>, done, goal| Code::InProgress { tag: tag.map(ToOwned::to_owned), done, goal };
        // The examples of RFC 9585 §4.
        assert_eq!(code("OK [INPROGRESS (\"A001\" 454 1000)] x"), progress(Some("A001"), Some(454), Some(1000)));
        assert_eq!(code("OK [INPROGRESS (\"A001\" 999 NIL)] x"), progress(Some("A001"), Some(999), None));
        assert_eq!(code("OK [INPROGRESS (\"A001\" NIL NIL)] x"), progress(Some("A001"), None, None));
        assert_eq!(code("OK [INPROGRESS (NIL NIL NIL)] x"), progress(None, None, None));
        assert_eq!(code("OK [INPROGRESS] x"), progress(None, None, None));
        assert_eq!(code("OK [INPROGRESS (\"A\" 9 9)] x"), progress(Some("A"), Some(9), Some(9)));
        for bad in ["(\"A001\" 1)", "(NIL x NIL)", "1 2 3", "(\"A\" 9 3)", "((\"A\") 1 2)"] {
            assert!(code(&format!("OK [INPROGRESS {bad}] x")).other("INPROGRESS").is_some(), "{bad}");
        }
        assert_eq!(code("OK [NOTIFICATIONOVERFLOW] x"), Code::NotificationOverflow);
        assert_eq!(code("NO [NOUPDATE \"B001\"] x"), Code::NoUpdate("B001".to_owned()));
        assert_eq!(
            code("NO [BADEVENT (MessageNew FlagChange)] x"),
            Code::BadEvent(alloc::vec!["MessageNew".to_owned(), "FlagChange".to_owned()])
        );
        assert_eq!(code("OK [MESSAGELIMIT 1000 23221] x"), Code::MessageLimit { max: 1000, last: Uid::new(23_221) });
        assert_eq!(code("NO [MESSAGELIMIT 1000] x"), Code::MessageLimit { max: 1000, last: None });
        assert_eq!(code("OK [METADATA LONGENTRIES 2199] x"), Code::MetadataLongEntries(2199));
        assert_eq!(code("NO [METADATA MAXSIZE 1024] x"), Code::MetadataMaxSize(1024));
        assert_eq!(code("NO [METADATA TOOMANY] x"), Code::MetadataTooMany);
        assert_eq!(code("NO [METADATA NOPRIVATE] x"), Code::MetadataNoPrivate);
        assert!(code("NO [METADATA X] x").other("METADATA").is_some());
    }

    #[test]
    fn what_is_not_known_is_kept() {
        let status = status("NO [X-A \"a]b\" c] text");
        assert_eq!(status.code.unwrap().other("x-a"), Some("\"a]b\" c"));
        assert_eq!(status.text, "text");
        // The data make no sense.
        let code = super::tests::status("OK [UIDNEXT 0] x").code.unwrap();
        assert_eq!(code, Code::Other { name: "UIDNEXT".to_owned(), arguments: "0".to_owned() });
    }

    #[test]
    fn texts_that_servers_leave_out() {
        assert_eq!(status("OK").text, "");
        assert_eq!(status("OK  ").text, "");
        assert_eq!(status("OK [ALERT]text").text, "text");
        assert_eq!(
            status("OK [ALERT text"),
            Status { kind: StatusKind::Ok, code: None, text: "[ALERT text".to_owned() }
        );
        assert_eq!(status("OK []").code, None);
        assert!(Status::parse(b"OKAY").is_err());
    }
}
