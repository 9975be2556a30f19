//! What a command says. The parsers work on a whole command in the caller's buffer, borrow from it, and know no state.
//!
//! [`command`] is the way in: it reads any command that [`Framer`](super::frame::Framer) found the end of. APPEND is the
//! exception, because its messages stream and are never in the buffer: [`append_head`] and [`append_message`] read what stands
//! before each.
//!
//! Only search keys nest; its depth is limited, so no input exhausts the stack.

mod acl;
mod append;
mod arguments;
mod catenate;
mod esearch;
mod fetch;
mod international;
mod list;
mod metadata;
mod modifier;
mod notify;
mod partial;
mod quota;
mod resync;
mod search;
mod sort;
mod store;
mod tagged;
mod token;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::IResult;
use pillarbox_core::Secret;

use crate::server::{FetchItem, FlagChange, StatusItem};
use crate::sort::SortCriterion;
use crate::thread::ThreadAlgorithm;
use crate::types::{Flags, SequenceSet, SpecialUse};

pub use acl::AclCommand;
pub(crate) use acl::{delete_acl, get_acl, list_rights, my_rights, set_acl};
pub use append::{AppendHead, AppendMessage, append_head, append_message};
pub(crate) use arguments::*;
pub use catenate::AppendItem;
pub(crate) use catenate::{AppendLineError, AppendPlace, append, append_line, append_mailbox, message_number, replace};
pub use esearch::SearchSource;
pub(crate) use esearch::esearch;
pub(crate) use fetch::{fetch, section_spec};
pub(crate) use international::{comparator, language};
pub use list::ListArguments;
pub(crate) use list::{list, lsub};
pub use metadata::MetadataCommand;
pub(crate) use metadata::{get_metadata, set_metadata};
pub use modifier::Modifier;
pub(crate) use notify::notify;
pub use notify::{EventGroup, FilterMailboxes, NotifyCommand, NotifyEvent};
pub use partial::PartialRange;
pub use quota::QuotaCommand;
pub(crate) use quota::{get_quota, get_quota_root, set_quota};
pub(crate) use resync::{Resync, Run, mod_sequence, mod_sequence_or_zero, resync};
pub(crate) use search::search;
pub use search::{DEPTH_MAX, SearchKey, SearchReturns};
pub(crate) use sort::{sort, thread};
pub(crate) use store::{copy, move_messages, store};
pub use tagged::{CommandError, TaggedCommand, command, name, tag};
pub(crate) use tagged::{read_arguments, row};

/// What a parser gives: the rest and the value, or an error. Which error it was is of no use to a client.
pub(crate) type Parsed<'b, T> = IResult<&'b [u8], T>;

/// A command without its tag: what [`command`] read of it. Texts borrow from the line, but for those with a backslash in them.
///
/// `uid` marks the forms that begin with UID, whose sets name UIDs, not sequence numbers. Names of mailboxes are as they were
/// written: [`MailboxName::from_wire`](crate::types::MailboxName::from_wire) reads them. What logs in is hidden from `Debug`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command<'b> {
    /// SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS.
    Acl(AclCommand<'b>),
    /// APPEND without a literal; one with a literal is taken apart earlier, by [`append_head`].
    Append {
        /// The mailbox and what stands behind it: messages of parts that have URLs (RFC 4469). None: nothing stands there.
        parts: Option<(Cow<'b, [u8]>, Vec<AppendItem<'b>>)>,
    },
    /// AUTHENTICATE.
    Authenticate {
        /// The mechanism, as it was written.
        mechanism: &'b str,
        /// What SASL-IR sends along (RFC 4959), still in base64.
        initial_response: Option<Secret<&'b [u8]>>,
    },
    /// CANCELUPDATE, with the tags of searches (RFC 5267 §4.3.5).
    CancelUpdate(Vec<Cow<'b, [u8]>>),
    /// CAPABILITY.
    Capability,
    /// CHECK (RFC 3501 §6.4.1).
    Check,
    /// CLOSE.
    Close,
    /// COMPARATOR, with those that are wanted; none: which it is now.
    Comparator(Vec<Cow<'b, [u8]>>),
    /// COMPRESS, whose only algorithm is DEFLATE.
    Compress,
    /// COPY and UID COPY.
    Copy {
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: Cow<'b, [u8]>,
        /// UID COPY.
        uid: bool,
    },
    /// CREATE.
    Create {
        /// Which mailbox.
        mailbox: Cow<'b, [u8]>,
        /// None in the list: a use that is not known. None at all: nothing was said of uses.
        uses: Option<Vec<Option<SpecialUse>>>,
    },
    /// DELETE.
    Delete(Cow<'b, [u8]>),
    /// ENABLE, with the names as they were written.
    Enable(Vec<&'b str>),
    /// ESEARCH (RFC 7377).
    Esearch {
        /// What is searched; nothing: the selected mailbox.
        sources: Vec<SearchSource<'b>>,
        /// None: the character set is not known, so the texts could not be read.
        key: Option<SearchKey>,
        /// `RETURN (..)`.
        returns: Option<SearchReturns>,
        /// As with [`Search`](Command::Search).
        wanted: Vec<FetchItem>,
        /// `CHARSET ..` was given.
        charset: bool,
    },
    /// EXPUNGE and UID EXPUNGE.
    Expunge {
        /// UID EXPUNGE: only these (RFC 4315 §2.1).
        only: Option<SequenceSet>,
    },
    /// FETCH and UID FETCH.
    Fetch {
        /// Which messages.
        set: SequenceSet,
        /// What of each, each item once.
        wanted: Vec<FetchItem>,
        /// What extensions add (RFC 4466 §2.4).
        modifiers: Vec<Modifier<'b>>,
        /// UID FETCH.
        uid: bool,
    },
    /// ID. What the client says of itself is not kept.
    Id,
    /// IDLE.
    Idle,
    /// LANGUAGE, with those that are wanted; none: which there are.
    Language(Vec<Cow<'b, [u8]>>),
    /// LIST and LSUB.
    List(ListArguments<'b>),
    /// LOGIN.
    Login {
        /// Who.
        user: Cow<'b, [u8]>,
        /// The password.
        password: Secret<Cow<'b, [u8]>>,
    },
    /// LOGOUT.
    Logout,
    /// GETMETADATA and SETMETADATA.
    Metadata(MetadataCommand<'b>),
    /// MOVE and UID MOVE.
    Move {
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: Cow<'b, [u8]>,
        /// UID MOVE.
        uid: bool,
    },
    /// NAMESPACE.
    Namespace,
    /// NOOP.
    Noop,
    /// NOTIFY.
    Notify(NotifyCommand<'b>),
    /// GETQUOTA, GETQUOTAROOT and SETQUOTA.
    Quota(QuotaCommand<'b>),
    /// RENAME.
    Rename {
        /// The name that exists.
        from: Cow<'b, [u8]>,
        /// The name that it is to get.
        to: Cow<'b, [u8]>,
    },
    /// REPLACE and UID REPLACE without a literal (RFC 8508).
    Replace {
        /// Which message goes; none: the last.
        message: Option<u32>,
        /// As with [`Append`](Command::Append).
        parts: Option<(Cow<'b, [u8]>, Vec<AppendItem<'b>>)>,
        /// UID REPLACE.
        uid: bool,
    },
    /// SEARCH and UID SEARCH.
    Search {
        /// None: the character set is not known, so the texts could not be read.
        key: Option<SearchKey>,
        /// `RETURN (..)` (RFC 4731).
        returns: Option<SearchReturns>,
        /// What `UPDATE (..)` asks for of each new message that enters the result, each item once (RFC 5465 §7).
        wanted: Vec<FetchItem>,
        /// `CHARSET ..` was given.
        charset: bool,
        /// UID SEARCH: UIDs are to be told.
        uid: bool,
    },
    /// SELECT and EXAMINE.
    Select {
        /// Which mailbox.
        mailbox: Cow<'b, [u8]>,
        /// What extensions add (RFC 4466 §2.1).
        parameters: Vec<Modifier<'b>>,
        /// EXAMINE.
        read_only: bool,
    },
    /// SORT and UID SORT.
    Sort {
        /// What messages are sorted by, at least one.
        criteria: Vec<SortCriterion>,
        /// None: the character set is not known, so the texts could not be read.
        key: Option<SearchKey>,
        /// `RETURN (..)` (RFC 5267 §3.1).
        returns: Option<SearchReturns>,
        /// As with [`Search`](Command::Search).
        wanted: Vec<FetchItem>,
        /// UID SORT: UIDs are to be told.
        uid: bool,
    },
    /// STARTTLS.
    StartTls,
    /// STATUS.
    Status {
        /// Of which mailbox.
        mailbox: Cow<'b, [u8]>,
        /// What is asked for, each item once.
        items: Vec<StatusItem>,
    },
    /// STORE and UID STORE.
    Store {
        /// On which messages.
        set: SequenceSet,
        /// What extensions add (RFC 4466 §2.5).
        modifiers: Vec<Modifier<'b>>,
        /// What to do with the flags.
        change: FlagChange,
        /// The flags.
        flags: Flags,
        /// `.SILENT`: the new flags are not to be told.
        silent: bool,
        /// UID STORE.
        uid: bool,
    },
    /// SUBSCRIBE.
    Subscribe(Cow<'b, [u8]>),
    /// THREAD and UID THREAD.
    Thread {
        /// How.
        algorithm: ThreadAlgorithm,
        /// None: the character set is not known, so the texts could not be read.
        key: Option<SearchKey>,
        /// UID THREAD: UIDs are to be told.
        uid: bool,
    },
    /// UNAUTHENTICATE.
    Unauthenticate,
    /// UNSELECT.
    Unselect,
    /// UNSUBSCRIBE.
    Unsubscribe(Cow<'b, [u8]>),
}
