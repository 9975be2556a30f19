//! What the server session tells and asks, and what it takes for an answer. UIDs only: sequence numbers stay inside.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{Credentials, Mechanism, ScramAnswer};
use pillarbox_core::{TlsFacts, WallTime};

use crate::message::Section;
use crate::search::Query;
use crate::types::{Flag, Flags, MailboxName, ResponseCode, Uid, UidSet, UidValidity};

/// What happened. Events marked with a question mark must be answered before anything else is read:
///
/// | event | ? | answers |
/// |---|---|---|
/// | [`Connect`](Event::Connect) | ? | `Done` greets, `Bye` refuses |
/// | [`StartTls`](Event::StartTls) | ? | `Done`, `No` |
/// | [`ScramKeys`](Event::ScramKeys) | ? | `ScramKeys`, `No`, `Bye` |
/// | [`Login`](Event::Login) | ? | `LoggedIn`, `No`, `Bye` |
/// | [`WrongProof`](Event::WrongProof) | ? | `No`, `Bye` |
/// | [`List`](Event::List) | ? | `Listed`* then `Done`; `No` |
/// | [`Status`](Event::Status) | ? | `Status`, `No` |
/// | [`Select`](Event::Select) | ? | `Selected`, `No` |
/// | [`Create`](Event::Create), [`Delete`](Event::Delete), [`Rename`](Event::Rename), [`Subscribe`](Event::Subscribe), [`Unsubscribe`](Event::Unsubscribe) | ? | `Done`, `No` |
/// | [`AppendStart`](Event::AppendStart) | ? | `Done` (bring the bytes), `No` |
/// | [`AppendBody`](Event::AppendBody) | | an early `No` is allowed |
/// | [`AppendEnd`](Event::AppendEnd) | ? | `Appended`, `No` |
/// | [`Sync`](Event::Sync) | ? | `Done`, after every change was given to `learn()` |
/// | [`Fetch`](Event::Fetch) | ? | (`Message`, `Data`* or `Literal` with its `Chunk`s*, `MessageEnd`)* then `Done` or `No` |
/// | [`Store`](Event::Store) | ? | `Flags`* then `Done` or `No` |
/// | [`Search`](Event::Search) | ? | `Found`* then `Done`, `No` |
/// | [`Copy`](Event::Copy) | ? | `Copied`, `No` |
/// | [`Expunge`](Event::Expunge) | ? | `Expunged`* then `Done`, `No` |
/// | [`Idle`](Event::Idle), [`IdleEnd`](Event::IdleEnd), [`Deselected`](Event::Deselected), [`Abandoned`](Event::Abandoned), [`Refused`](Event::Refused) | | |
///
/// Any question may also be answered with `Bye`, which closes the connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'b> {
    /// ? The connection is there: greet or refuse it.
    Connect,
    /// ? STARTTLS; after `Done` the next step is [`Upgrade`](pillarbox_core::Step::Upgrade).
    StartTls,
    /// ? A SCRAM exchange needs the keys of an account (RFC 5802). For a name that there is not, answer with those of
    /// [`ScramKeys::decoy`](pillarbox_core::sasl::ScramKeys::decoy): a refusal here would tell strangers which there are.
    ScramKeys {
        /// The mechanism.
        mechanism: Mechanism,
        /// Whose keys.
        user: String,
        /// The hash that they are for.
        hash: HashAlgorithm,
    },
    /// ? A SCRAM exchange has failed: the proof is wrong, or the keys were a decoy's. It is a wrong password like any other:
    /// refuse it in the same words, and as slowly.
    WrongProof {
        /// The mechanism.
        mechanism: Mechanism,
        /// Who the client said to be.
        authentication_id: String,
    },
    /// ? LOGIN, or an AUTHENTICATE exchange that came to its credentials.
    Login {
        /// The mechanism; LOGIN counts as PLAIN.
        mechanism: Mechanism,
        /// Who says to be who.
        credentials: Credentials,
    },
    /// ? LIST or LSUB.
    List(List<'b>),
    /// ? STATUS.
    Status {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// What is asked for.
        items: Vec<StatusItem>,
    },
    /// ? SELECT or EXAMINE. A mailbox that was selected before was left with [`Event::Deselected`].
    Select {
        /// Which mailbox.
        mailbox: MailboxName,
        /// EXAMINE: nothing may be changed.
        read_only: bool,
    },
    /// ? CREATE.
    Create(MailboxName),
    /// ? DELETE.
    Delete(MailboxName),
    /// ? RENAME.
    Rename {
        /// The name that exists.
        from: MailboxName,
        /// The name that it gets.
        to: MailboxName,
    },
    /// ? SUBSCRIBE.
    Subscribe(MailboxName),
    /// ? UNSUBSCRIBE.
    Unsubscribe(MailboxName),
    /// ? APPEND with all but the message; asked before the client is told to send it.
    AppendStart {
        /// Where to.
        mailbox: MailboxName,
        /// The flags that it gets.
        flags: Flags,
        /// The internal date that it gets; none: now.
        date: Option<WallTime>,
        /// Octets of the message.
        size: u64,
    },
    /// A piece of the message; a slice of the caller's buffer.
    AppendBody(&'b [u8]),
    /// ? The message of APPEND is complete. `Appended` is a promise: it is on stable storage.
    AppendEnd,
    /// ? NOOP, CHECK and the start of IDLE want to know what is new in the selected mailbox: bring every change since the
    /// last one to `learn()`, then answer `Done`.
    Sync,
    /// ? FETCH and UID FETCH. Where `wanted` needs `\Seen` set ([`FetchItem::sets_seen`]), `mark_seen` is true and the store
    /// sets it first.
    Fetch {
        /// Of which messages, all of them in the selected mailbox as far as this client knows.
        uids: UidSet,
        /// What of each.
        wanted: Vec<FetchItem>,
        /// `\Seen` is to be set on each (never in a mailbox that was selected read-only).
        mark_seen: bool,
    },
    /// ? STORE and UID STORE.
    Store {
        /// On which messages.
        uids: UidSet,
        /// What to do with the flags.
        change: FlagChange,
        /// The flags.
        flags: Flags,
        /// `.SILENT`: the new flags of messages that only this command changed are not told; the session drops them.
        silent: bool,
    },
    /// ? SEARCH and UID SEARCH; sequence sets were already turned into UID sets.
    Search(Query),
    /// ? COPY and UID COPY.
    Copy {
        /// Which messages.
        uids: UidSet,
        /// Where to.
        mailbox: MailboxName,
    },
    /// ? EXPUNGE, UID EXPUNGE, and CLOSE in a mailbox that may be changed.
    Expunge {
        /// Only these (UID EXPUNGE, RFC 4315 §2.1); none: all that have `\Deleted`.
        only: Option<UidSet>,
    },
    /// IDLE began: bring changes to `learn()` as they happen.
    Idle,
    /// IDLE ended.
    IdleEnd,
    /// The selected mailbox was left: let go of it.
    Deselected,
    /// An APPEND under way is gone: forget what arrived of it.
    Abandoned,
    /// The session refused this line without asking (for logs; lines with credentials are not shown).
    Refused {
        /// The line, cut at 512 octets. The octets are the peer's: escape them before they are shown.
        line: &'b [u8],
        /// What it was told, such as `BAD unknown command`.
        told: Cow<'static, str>,
    },
}

impl Event<'_> {
    /// The same event with nothing borrowed, for an answer that takes time. `None` for the two that lend octets and ask
    /// nothing, [`AppendBody`](Event::AppendBody) and [`Refused`](Event::Refused): they are done with at once.
    pub fn into_owned(self) -> Option<Event<'static>> {
        Some(match self {
            Event::AppendBody(_) | Event::Refused { .. } => return None,
            Event::List(List { pattern, subscribed }) => {
                Event::List(List { pattern: Cow::Owned(pattern.into_owned()), subscribed })
            }
            Event::Connect => Event::Connect,
            Event::StartTls => Event::StartTls,
            Event::ScramKeys { mechanism, user, hash } => Event::ScramKeys { mechanism, user, hash },
            Event::Login { mechanism, credentials } => Event::Login { mechanism, credentials },
            Event::WrongProof { mechanism, authentication_id } => Event::WrongProof { mechanism, authentication_id },
            Event::Status { mailbox, items } => Event::Status { mailbox, items },
            Event::Select { mailbox, read_only } => Event::Select { mailbox, read_only },
            Event::Create(mailbox) => Event::Create(mailbox),
            Event::Delete(mailbox) => Event::Delete(mailbox),
            Event::Rename { from, to } => Event::Rename { from, to },
            Event::Subscribe(mailbox) => Event::Subscribe(mailbox),
            Event::Unsubscribe(mailbox) => Event::Unsubscribe(mailbox),
            Event::AppendStart { mailbox, flags, date, size } => Event::AppendStart { mailbox, flags, date, size },
            Event::AppendEnd => Event::AppendEnd,
            Event::Sync => Event::Sync,
            Event::Fetch { uids, wanted, mark_seen } => Event::Fetch { uids, wanted, mark_seen },
            Event::Store { uids, change, flags, silent } => Event::Store { uids, change, flags, silent },
            Event::Search(query) => Event::Search(query),
            Event::Copy { uids, mailbox } => Event::Copy { uids, mailbox },
            Event::Expunge { only } => Event::Expunge { only },
            Event::Idle => Event::Idle,
            Event::IdleEnd => Event::IdleEnd,
            Event::Deselected => Event::Deselected,
            Event::Abandoned => Event::Abandoned,
        })
    }
}

/// LIST or LSUB with its pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct List<'b> {
    /// The reference name and the pattern joined, decoded to UTF-8; `*` and `%` are wildcards (RFC 9051 §6.3.9).
    pub pattern: Cow<'b, str>,
    /// LSUB: only subscribed names, whether they exist or not.
    pub subscribed: bool,
}

/// One thing that STATUS can ask for (RFC 9051 §6.3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusItem {
    /// MESSAGES.
    Messages,
    /// RECENT (RFC 3501 §6.3.10).
    Recent,
    /// UIDNEXT.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// UNSEEN.
    Unseen,
}

/// One thing that FETCH can ask for of a message. The macros ALL, FAST and FULL come taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchItem {
    /// UID.
    Uid,
    /// FLAGS.
    Flags,
    /// INTERNALDATE.
    InternalDate,
    /// RFC822.SIZE.
    Rfc822Size,
    /// ENVELOPE.
    Envelope,
    /// BODY without a section.
    Body,
    /// BODYSTRUCTURE.
    BodyStructure,
    /// BODY[...] and BODY.PEEK[...]; RFC822, RFC822.HEADER and RFC822.TEXT under the names that RFC 3501 gave them.
    Section {
        /// Which part.
        section: Section,
        /// The first octet and the number of octets asked for.
        partial: Option<(u32, u32)>,
        /// `.PEEK`: do not set `\Seen`.
        peek: bool,
        /// The name under which the answer goes out.
        name: SectionName,
    },
}

impl FetchItem {
    /// Whether fetching this sets `\Seen` (RFC 9051 §6.4.5).
    pub const fn sets_seen(&self) -> bool {
        matches!(
            self,
            FetchItem::Section {
                peek: false,
                name: SectionName::Body | SectionName::Rfc822 | SectionName::Rfc822Text,
                ..
            }
        )
    }
}

/// Under which name a section was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SectionName {
    /// `BODY[...]`.
    Body,
    /// `RFC822` (RFC 3501 §6.4.5).
    Rfc822,
    /// `RFC822.HEADER`.
    Rfc822Header,
    /// `RFC822.TEXT`.
    Rfc822Text,
}

/// What STORE does with the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagChange {
    /// FLAGS: these and no others.
    Replace,
    /// +FLAGS: these as well.
    Add,
    /// -FLAGS: these no longer.
    Remove,
}

/// What the embedder says to a question, whole or in parts; the table at [`Event`] says which fits which.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// Yes; the last part of an answer in parts.
    Done,
    /// No, with a response code (RFC 5530) and a text.
    No {
        /// The code, if one fits.
        code: Option<ResponseCode>,
        /// A text for people.
        text: Cow<'a, str>,
    },
    /// Close the connection with this text.
    Bye(Cow<'a, str>),
    /// The credentials are good; who it is, in the embedder's own spelling.
    LoggedIn(Cow<'a, str>),
    /// The keys that a SCRAM exchange needs.
    ScramKeys(ScramAnswer),
    /// One name of a list.
    Listed(Listed),
    /// The status of a mailbox.
    Status(Status),
    /// The mailbox is selected.
    Selected(Snapshot),
    /// The appended message got this UID (RFC 4315 §3).
    Appended {
        /// The mailbox's UIDVALIDITY.
        uid_validity: UidValidity,
        /// The message's UID.
        uid: Uid,
    },
    /// A message of FETCH begins.
    Message(Uid),
    /// A piece of data about the message that began.
    Data(FetchData<'a>),
    /// The octets of a section begin: so many `Chunk` octets must follow.
    Literal {
        /// Which of the wanted sections.
        section: &'a Section,
        /// The name under which it was asked for.
        name: SectionName,
        /// The first octet, if a part was asked for.
        origin: Option<u32>,
        /// How many octets follow.
        len: u64,
    },
    /// The section does not exist: NIL.
    NoSection {
        /// Which of the wanted sections.
        section: &'a Section,
        /// The name under which it was asked for.
        name: SectionName,
        /// The first octet, if a part was asked for.
        origin: Option<u32>,
    },
    /// Octets of a section, at most [`room`](pillarbox_core::Machine::room) at a time.
    Chunk(&'a [u8]),
    /// The message that began is complete.
    MessageEnd,
    /// The message's flags as they are now (STORE).
    Flags {
        /// The message.
        uid: Uid,
        /// All its flags.
        flags: Flags,
    },
    /// Messages that SEARCH found.
    Found(&'a [Uid]),
    /// What COPY made: the sources and their copies, pair by pair (RFC 4315 §3).
    Copied {
        /// The target mailbox's UIDVALIDITY.
        uid_validity: UidValidity,
        /// The source and target UIDs, in the order of the sources.
        uids: &'a [(Uid, Uid)],
    },
    /// Messages that are gone by this command.
    Expunged(&'a [Uid]),
}

/// Data about one message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FetchData<'a> {
    /// FLAGS.
    Flags(Flags),
    /// INTERNALDATE.
    InternalDate(WallTime),
    /// RFC822.SIZE: octets with CRLF line ends.
    Rfc822Size(u64),
    /// ENVELOPE, BODY or BODYSTRUCTURE as written by [`message`](crate::message), without its name.
    Written {
        /// [`FetchItem::Envelope`], [`FetchItem::Body`] or [`FetchItem::BodyStructure`].
        item: FetchItem,
        /// The text in parentheses.
        text: &'a [u8],
    },
}

/// One name of LIST or LSUB.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The name.
    pub name: MailboxName,
    /// Its attributes, such as `\HasChildren` (RFC 9051 §7.3.1).
    pub attributes: Vec<Cow<'static, str>>,
}

impl Listed {
    /// A name with attributes.
    pub fn new(name: MailboxName, attributes: Vec<Cow<'static, str>>) -> Self {
        Listed { name, attributes }
    }
}

/// The numbers of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Messages in it.
    pub messages: u32,
    /// Messages that nobody saw arrive yet (RFC 3501 `\Recent`).
    pub recent: u32,
    /// The UID that the next message will at least get.
    pub uid_next: Uid,
    /// The UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Messages without `\Seen`.
    pub unseen: u32,
}

impl Status {
    /// The numbers of an empty mailbox.
    pub const fn new(uid_validity: UidValidity, uid_next: Uid) -> Self {
        Status { messages: 0, recent: 0, uid_next, uid_validity, unseen: 0 }
    }
}

/// A mailbox at the moment of its selection.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UID that the next message will at least get.
    pub uid_next: Uid,
    /// The UIDs of all messages, rising.
    pub uids: Vec<Uid>,
    /// The first message without `\Seen`.
    pub first_unseen: Option<Uid>,
    /// How many messages are `\Recent`.
    pub recent: u32,
    /// The flags in use, beside the five of the system.
    pub keywords: Vec<Flag>,
    /// New keywords can be stored (`\*` in PERMANENTFLAGS).
    pub keywords_can_be_made: bool,
    /// The mailbox can only be read, whatever was asked for.
    pub read_only: bool,
}

impl Snapshot {
    /// The snapshot of an empty mailbox that can be changed.
    pub const fn new(uid_validity: UidValidity, uid_next: Uid) -> Self {
        Snapshot {
            uid_validity,
            uid_next,
            uids: Vec::new(),
            first_unseen: None,
            recent: 0,
            keywords: Vec::new(),
            keywords_can_be_made: true,
            read_only: false,
        }
    }
}

/// What changed in the selected mailbox, as the store's feed tells it (in commit order, after commit).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Messages came; UIDs rise.
    Added(Vec<Uid>),
    /// A message has these flags now.
    Flags {
        /// The message.
        uid: Uid,
        /// All its flags.
        flags: Flags,
    },
    /// Messages are gone.
    Removed(UidSet),
    /// The mailbox itself is gone, or its UIDs are no longer valid: the session ends.
    Gone,
}

/// What is known about the client when the session begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its address; `None` on a unix socket.
    pub ip: Option<core::net::IpAddr>,
    /// Facts about TLS where the listener starts with it.
    pub tls: Option<TlsFacts>,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// LOGOUT.
    Logout,
    /// The peer closed its side.
    EndOfInput,
    /// The embedder refused the connection or closed it.
    Refused,
    /// A deadline passed.
    Timeout,
    /// Too many errors or logins.
    TooManyErrors,
    /// Something else than IMAP was spoken, or bytes stood behind a synchronisation point.
    Synchronisation,
    /// The TLS handshake failed.
    Tls,
    /// A store failed inside octets that were already announced: the client can no longer follow.
    Broken,
    /// The selected mailbox is gone.
    MailboxGone,
    /// Our side stopped.
    ShutDown,
}
