//! What the server session tells and asks, and what it takes for an answer. UIDs only: sequence numbers stay inside.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::WallTime;
use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{Credentials, Mechanism, ScramAnswer};

use super::{FetchData, FetchItem, Listed, SectionName, Snapshot, Status};
use crate::acl::{AclEntry, AclQuestion, Grantable, Rights};
use crate::list::{List, SearchScope};
use crate::message::Section;
use crate::metadata::{EntryName, MetadataQuestion};
use crate::notify::{Notification, Watch};
use crate::quota::{QuotaQuestion, QuotaRoot};
use crate::search::{MailboxesQuery, Query};
use crate::sort::SortCriterion;
use crate::thread::{ThreadAlgorithm, ThreadPart};
use crate::types::{Flags, MailboxName, ModSeq, ObjectId, ResponseCode, SpecialUse, Uid, UidSet, UidValidity};

/// What happened. Events marked with a question mark must be answered before anything else is read:
///
/// | event | ? | answers |
/// |---|---|---|
/// | [`Connect`](Event::Connect) | ? | `Done` greets, `Bye` refuses |
/// | [`StartTls`](Event::StartTls) | ? | `Done`, `No` |
/// | [`ScramKeys`](Event::ScramKeys) | ? | `ScramKeys`, `No`, `Bye` |
/// | [`Login`](Event::Login) | ? | `LoggedIn`, `No`, `Bye` |
/// | [`WrongProof`](Event::WrongProof) | ? | `No`, `Bye` |
/// | [`List`](Event::List) | ? | (`Listed`, `Entry`*)* then `Done`, as [`Listed::has_metadata`] says; `No` |
/// | [`Acl`](Event::Acl) | ? | `Acl`, `Grantable`, `Rights` or `Done`, as [`AclQuestion`] says; `No` |
/// | [`Metadata`](Event::Metadata) | ? | `Entry`* then `Done`, as [`MetadataQuestion`] says; `No` |
/// | [`Quota`](Event::Quota) | ? | `QuotaRoots` and `Quota`*, as [`QuotaQuestion`] says, then `Done`; `No` |
/// | [`Status`](Event::Status) | ? | `Status`, `No` |
/// | [`Select`](Event::Select) | ? | `Selected`, `No` |
/// | [`Create`](Event::Create) | ? | `Created`, or `Done` where mailboxes have no identifiers; `No` |
/// | [`Delete`](Event::Delete), [`Rename`](Event::Rename), [`Subscribe`](Event::Subscribe), [`Unsubscribe`](Event::Unsubscribe) | ? | `Done`, `No` |
/// | [`AppendStart`](Event::AppendStart) | ? | `Done` (bring the bytes), `No` (to any message of several: to all of them) |
/// | [`AppendBody`](Event::AppendBody) | | an early `No` is allowed |
/// | [`AppendPart`](Event::AppendPart) | ? | `Part`, `NoPart`, `No` |
/// | [`AppendEnd`](Event::AppendEnd) | ? | `Appended`, or `Done` where the UIDs are not known; `No` |
/// | [`Notify`](Event::Notify) | ? | `Notification`* then `Done`; `No` |
/// | [`Sync`](Event::Sync) | ? | `Done`, after every change was given to `learn()` |
/// | [`Fetch`](Event::Fetch) | ? | (`Message`, `Data`*, `Literal` or `BinaryLiteral` with its `Chunk`s*, `MessageEnd`)* then `Done` or `No` |
/// | [`Vanished`](Event::Vanished) | ? | `Vanished`* then `Done`, `No` |
/// | [`Store`](Event::Store) | ? | `Flags`* and `Modified`* then `Done` or `No` |
/// | [`Search`](Event::Search) | ? | `Found`* (or `FoundWithModSeqs`*) then `Done`, `No` |
/// | [`Sort`](Event::Sort) | ? | as `Search`, in their order |
/// | [`SearchMailboxes`](Event::SearchMailboxes) | ? | (`Searched`, `Found`*)* then `Done` or `DoneInPart`, `No` |
/// | [`Recheck`](Event::Recheck) | ? | `Found`* then `Done`, `No` |
/// | [`Thread`](Event::Thread) | ? | `Threads`* then `Done`, `No` |
/// | [`Copy`](Event::Copy) | ? | `Copied`, or `Done` where the UIDs are not known or not to be told; `No` |
/// | [`Move`](Event::Move) | ? | `Copied`, or `Expunged`* then `Done` where the UIDs there are not to be told; `No` |
/// | [`Expunge`](Event::Expunge) | ? | `Expunged`* then `Done`, `No` |
/// | [`Idle`](Event::Idle), [`IdleEnd`](Event::IdleEnd), [`Deselected`](Event::Deselected), [`Abandoned`](Event::Abandoned), [`Unauthenticated`](Event::Unauthenticated), [`Refused`](Event::Refused) | | |
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
    List(List),
    /// ? SETACL, DELETEACL, GETACL, LISTRIGHTS or MYRIGHTS.
    Acl(AclQuestion),
    /// ? GETMETADATA or SETMETADATA.
    Metadata(MetadataQuestion),
    /// ? GETQUOTA, GETQUOTAROOT or SETQUOTA.
    Quota(QuotaQuestion),
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
    Create {
        /// Which mailbox.
        mailbox: MailboxName,
        /// What it is to be for (RFC 6154 §3), each once; if it cannot be made for all of that, it is not made, and the
        /// answer is `No` with [`ResponseCode::UseAttr`].
        uses: Vec<SpecialUse>,
    },
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
    /// ? APPEND with all but the message; asked before the client is told to send it. Again for each further message of the
    /// same command (RFC 3502): they become visible together, or none does.
    AppendStart(AppendStart),
    /// A piece of the message; a slice of the caller's buffer.
    AppendBody(&'b [u8]),
    /// ? A part of the message that is elsewhere (RFC 4469): its octets belong behind those that came so far.
    AppendPart(AppendPart),
    /// ? All messages of APPEND, or that of REPLACE, are complete. `Appended` and `Done` are a promise: they are on stable
    /// storage, and with REPLACE the other message is gone.
    AppendEnd,
    /// ? NOTIFY: of which mailboxes, other than the selected one, the client wants to hear from now on; of none if there is no group.
    /// The answer tells the numbers of each, if they are wanted, and names that the user may see and not read
    /// ([`Notification`]); what happens afterwards is for [`notify`](super::ServerSession::notify). `No` leaves everything as it
    /// was.
    Notify(Watch),
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
        /// Only those whose mod-sequence is higher (RFC 7162 §3.1.4.1).
        changed_since: Option<ModSeq>,
    },
    /// ? Which messages were expunged after a mod-sequence (RFC 7162 §3.2.5 and §3.2.6). Where that is not known back to it:
    /// which of `uids` are not there and are below the next UID, as if each had gone since.
    Vanished {
        /// Of these. The set may span all numbers there are.
        uids: UidSet,
        /// After this.
        since: ModSeq,
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
        /// Only messages whose mod-sequence (or that of the flags in question, where the store knows it) is not higher; the
        /// others are answered with [`Answer::Modified`] (RFC 7162 §3.1.3). Each message is compared and changed in one step.
        unchanged_since: Option<u64>,
    },
    /// ? SEARCH and UID SEARCH.
    Search {
        /// What is looked for; sequence sets were already turned into UID sets.
        query: Query,
        /// The mod-sequence of each message that is found is wanted (RFC 7162 §3.1.5):
        /// [`Answer::FoundWithModSeqs`].
        mod_seqs: bool,
    },
    /// ? SORT and UID SORT.
    Sort {
        /// What is looked for, as in [`Search`](Event::Search).
        query: Query,
        /// What it is sorted by, at least one; equal messages rise by UID. A [`Sorter`](crate::sort::Sorter) does it.
        criteria: Vec<SortCriterion>,
        /// As in [`Search`](Event::Search).
        mod_seqs: bool,
    },
    /// ? ESEARCH of other mailboxes than the selected one (RFC 7377). Of each the user has to have the right to read it, and to see it
    /// where it is not named (RFC 4314); the others are left out, as if they were not there.
    SearchMailboxes {
        /// What is searched, each mailbox once, however often it is meant.
        sources: Vec<SearchScope>,
        /// What is looked for in each: [`in_mailbox`](MailboxesQuery::in_mailbox) says it, once it is known which messages the
        /// mailbox has.
        query: Box<MailboxesQuery>,
        /// More than so many are not searched: the answer is then `No` with [`ResponseCode::Limit`].
        mailboxes_max: usize,
    },
    /// ? Which of the messages that changed belong to the result of a search that is kept up to date (RFC 5267), asked when a command
    /// ends and within IDLE. The query begins with the set of those messages, so that no others need be looked at. It need not be found
    /// out first what is new in the mailbox. After `No` that search is kept up to date no longer.
    Recheck {
        /// What is looked for, as in [`Search`](Event::Search).
        query: Query,
        /// What the answer is sorted by, as in [`Sort`](Event::Sort); empty: by nothing.
        criteria: Vec<SortCriterion>,
    },
    /// ? THREAD and UID THREAD.
    Thread {
        /// What is looked for, as in [`Search`](Event::Search).
        query: Query,
        /// How it is made into threads. A [`Threader`](crate::thread::Threader) does it.
        algorithm: ThreadAlgorithm,
    },
    /// ? COPY and UID COPY.
    Copy {
        /// Which messages.
        uids: UidSet,
        /// Where to.
        mailbox: MailboxName,
    },
    /// ? MOVE and UID MOVE (RFC 6851). `Copied` says that these messages are in the other mailbox and no longer in this one, and so
    /// does `Expunged`, of messages whose UIDs there the user may not hear (RFC 4315 §3).
    Move {
        /// Which messages.
        uids: UidSet,
        /// Where to.
        mailbox: MailboxName,
    },
    /// ? EXPUNGE, UID EXPUNGE, and CLOSE in a mailbox that may be changed. Before a UID EXPUNGE that names more messages than one command
    /// may be about, [`Search`](Event::Search) asks which of them have `\\Deleted`.
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
    /// An APPEND under way is gone: forget what arrived of it, all messages of it.
    Abandoned,
    /// UNAUTHENTICATE (RFC 8437): the client is nobody any more. Forget who it was.
    Unauthenticated,
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
            Event::List(list) => Event::List(list),
            Event::Acl(question) => Event::Acl(question),
            Event::Metadata(question) => Event::Metadata(question),
            Event::Quota(question) => Event::Quota(question),
            Event::Connect => Event::Connect,
            Event::StartTls => Event::StartTls,
            Event::ScramKeys { mechanism, user, hash } => Event::ScramKeys { mechanism, user, hash },
            Event::Login { mechanism, credentials } => Event::Login { mechanism, credentials },
            Event::WrongProof { mechanism, authentication_id } => Event::WrongProof { mechanism, authentication_id },
            Event::Status { mailbox, items } => Event::Status { mailbox, items },
            Event::Select { mailbox, read_only } => Event::Select { mailbox, read_only },
            Event::Create { mailbox, uses } => Event::Create { mailbox, uses },
            Event::Delete(mailbox) => Event::Delete(mailbox),
            Event::Rename { from, to } => Event::Rename { from, to },
            Event::Subscribe(mailbox) => Event::Subscribe(mailbox),
            Event::Unsubscribe(mailbox) => Event::Unsubscribe(mailbox),
            Event::AppendStart(start) => Event::AppendStart(start),
            Event::AppendPart(part) => Event::AppendPart(part),
            Event::AppendEnd => Event::AppendEnd,
            Event::Notify(watch) => Event::Notify(watch),
            Event::Sync => Event::Sync,
            Event::Fetch { uids, wanted, mark_seen, changed_since } => {
                Event::Fetch { uids, wanted, mark_seen, changed_since }
            }
            Event::Vanished { uids, since } => Event::Vanished { uids, since },
            Event::Store { uids, change, flags, silent, unchanged_since } => {
                Event::Store { uids, change, flags, silent, unchanged_since }
            }
            Event::Search { query, mod_seqs } => Event::Search { query, mod_seqs },
            Event::Sort { query, criteria, mod_seqs } => Event::Sort { query, criteria, mod_seqs },
            Event::SearchMailboxes { sources, query, mailboxes_max } => {
                Event::SearchMailboxes { sources, query, mailboxes_max }
            }
            Event::Recheck { query, criteria } => Event::Recheck { query, criteria },
            Event::Thread { query, algorithm } => Event::Thread { query, algorithm },
            Event::Copy { uids, mailbox } => Event::Copy { uids, mailbox },
            Event::Move { uids, mailbox } => Event::Move { uids, mailbox },
            Event::Expunge { only } => Event::Expunge { only },
            Event::Idle => Event::Idle,
            Event::IdleEnd => Event::IdleEnd,
            Event::Deselected => Event::Deselected,
            Event::Abandoned => Event::Abandoned,
            Event::Unauthenticated => Event::Unauthenticated,
        })
    }
}

/// A message of APPEND before it comes (RFC 9051 §6.3.12).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendStart {
    /// Where to.
    pub mailbox: MailboxName,
    /// How many messages of the same command came before (RFC 3502): they and this one are stored all or none.
    pub index: usize,
    /// The flags that it gets.
    pub flags: Flags,
    /// The internal date that it gets; none: now.
    pub date: Option<WallTime>,
    /// Octets of the message; none where it comes in parts (RFC 4469).
    pub size: Option<u64>,
    /// It may hold NUL (RFC 3516 §4.4, RFC 6855 §4).
    pub binary: bool,
    /// REPLACE (RFC 8508): the message of the selected mailbox that goes when this one comes, in one step. It is the only one of
    /// its command. Of quota only what the two differ by is needed.
    pub replaces: Option<Uid>,
}

/// A part of a message that is copied from another one (RFC 4469), as if it were fetched with `BODY.PEEK`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendPart {
    /// Where that message is; none: in the selected mailbox.
    pub mailbox: Option<MailboxName>,
    /// If the mailbox has another, the part is not there.
    pub uid_validity: Option<UidValidity>,
    /// The message, of which nothing is known here: it may not be there.
    pub uid: Uid,
    /// What of it.
    pub section: Section,
    /// The first octet of that and, if not all that follow, how many.
    pub partial: Option<(u64, Option<u64>)>,
    /// The most octets for which there is room. More are answered with `No` and [`ResponseCode::TooBig`] before one is copied.
    pub size_max: u64,
}

/// One thing that STATUS can ask for (RFC 9051 §6.3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusItem {
    /// APPENDLIMIT (RFC 7889 §3.1): told by the session.
    AppendLimit,
    /// DELETED.
    Deleted,
    /// DELETED-STORAGE (RFC 9208 §4.1.4).
    DeletedStorage,
    /// HIGHESTMODSEQ (RFC 7162 §3.1.7).
    HighestModSeq,
    /// MAILBOXID (RFC 8474 §4.3).
    MailboxId,
    /// MESSAGES.
    Messages,
    /// RECENT (RFC 3501 §6.3.10).
    Recent,
    /// SIZE (RFC 8438).
    Size,
    /// UIDNEXT.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// UNSEEN.
    Unseen,
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
    /// Yes, as far as the limit on messages lets it be: the last part of an answer to [`SearchMailboxes`](Event::SearchMailboxes).
    DoneInPart,
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
    /// Who may do what with a mailbox.
    Acl(&'a [AclEntry]),
    /// What somebody can be granted.
    Grantable(Grantable),
    /// What the user may do.
    Rights(Rights),
    /// An annotation, of the mailbox that was listed last where LIST asks. It may be left out where it is larger than the client wants: the session sees to that.
    Entry {
        /// Its name.
        name: &'a EntryName,
        /// Its value.
        value: &'a [u8],
    },
    /// The names of the quota roots of a mailbox.
    QuotaRoots(&'a [&'a str]),
    /// What limits mailboxes.
    Quota(&'a QuotaRoot),
    /// One name of a list.
    Listed(Listed),
    /// The status of a mailbox.
    Status(Status),
    /// What NOTIFY tells at first.
    Notification(Notification),
    /// The mailbox is selected.
    Selected(Snapshot),
    /// The mailbox is made, and has this identifier (RFC 8474 §4.1).
    Created(ObjectId),
    /// The appended messages got these UIDs (RFC 4315 §3), in the order in which they came.
    Appended {
        /// The mailbox's UIDVALIDITY.
        uid_validity: UidValidity,
        /// One UID for each message.
        uids: &'a [Uid],
    },
    /// The part is copied: so many octets.
    Part(u64),
    /// There is no such mailbox, message or part: BADURL.
    NoPart,
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
        origin: Option<u64>,
        /// How many octets follow.
        len: u64,
    },
    /// The octets of a part that holds NUL begin, undone of their encoding: so many `Chunk` octets must follow.
    BinaryLiteral {
        /// Which of the parts that were asked for with [`FetchItem::Binary`].
        section: &'a Section,
        /// The first octet, if a part was asked for.
        origin: Option<u64>,
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
        origin: Option<u64>,
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
        /// Its mod-sequence, in a mailbox that has them.
        mod_seq: Option<ModSeq>,
    },
    /// A message that STORE left as it is, because it changed since (RFC 7162 §3.1.3).
    Modified {
        /// The message.
        uid: Uid,
        /// All its flags.
        flags: Flags,
        /// Its mod-sequence.
        mod_seq: ModSeq,
    },
    /// What follows was found in this mailbox, up to the next or the end.
    Searched {
        /// The mailbox.
        mailbox: MailboxName,
        /// Its UIDVALIDITY.
        uid_validity: UidValidity,
    },
    /// Messages that SEARCH found, rising, or SORT in its order.
    Found(&'a [Uid]),
    /// The same with their mod-sequences.
    FoundWithModSeqs(&'a [(Uid, ModSeq)]),
    /// Pieces of threads of THREAD, which may be parted anywhere. A message that the client was not told of is left out; better
    /// is not to give it to the algorithm.
    Threads(&'a [ThreadPart]),
    /// Messages that were expunged, in as many parts as the caller likes; each is a line of its own.
    Vanished(&'a UidSet),
    /// What COPY or MOVE made: the sources and their copies, pair by pair (RFC 4315 §3).
    Copied {
        /// The target mailbox's UIDVALIDITY.
        uid_validity: UidValidity,
        /// The source and target UIDs, in the order of the sources.
        uids: &'a [(Uid, Uid)],
    },
    /// Messages that are gone by this command.
    Expunged(&'a [Uid]),
}
