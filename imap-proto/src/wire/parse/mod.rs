//! What a command says. The parsers work on a whole command in the caller's buffer, borrow from it, and know no state.
//!
//! Only SEARCH nests; its depth is limited, so no input exhausts the stack.

mod append;
mod arguments;
mod fetch;
mod list;
mod modifier;
mod resync;
mod search;
mod store;
mod token;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::IResult;
use pillarbox_core::Secret;

use crate::server::{FetchItem, FlagChange, StatusItem};
use crate::types::{Flags, SequenceSet, SpecialUse};

pub use append::{AppendHead, AppendMessage, append_head, append_message};
pub(crate) use arguments::*;
pub(crate) use fetch::fetch;
pub use list::ListArguments;
pub(crate) use list::{list, lsub};
pub use modifier::Modifier;
pub(crate) use resync::{Resync, Run, mod_sequence, mod_sequence_or_zero, resync};
pub(crate) use search::search;
pub use search::{DEPTH_MAX, SearchKey, SearchReturns};
pub(crate) use store::{copy, move_messages, store};

/// What a parser gives: the rest and the value, or an error. Which error it was is of no use to a client.
pub(crate) type Parsed<'b, T> = IResult<&'b [u8], T>;

/// A command without its tag. `uid` marks the forms that begin with UID. What logs in is hidden from `Debug`.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the arguments, under the names that RFC 9051 §6 gives them")]
pub enum Command<'b> {
    /// APPEND without a message; one with a message is taken apart earlier, by [`append_head`].
    Append,
    Authenticate {
        mechanism: &'b str,
        initial_response: Option<Secret<&'b [u8]>>,
    },
    Capability,
    Check,
    Close,
    Copy {
        set: SequenceSet,
        mailbox: Cow<'b, [u8]>,
        uid: bool,
    },
    Create {
        mailbox: Cow<'b, [u8]>,
        /// None in the list: a use that is not known. None at all: nothing was said of uses.
        uses: Option<Vec<Option<SpecialUse>>>,
    },
    Delete(Cow<'b, [u8]>),
    Enable(Vec<&'b str>),
    Expunge {
        only: Option<SequenceSet>,
    },
    Fetch {
        set: SequenceSet,
        wanted: Vec<FetchItem>,
        modifiers: Vec<Modifier<'b>>,
        uid: bool,
    },
    Id,
    Idle,
    List(ListArguments<'b>),
    Login {
        user: Cow<'b, [u8]>,
        password: Secret<Cow<'b, [u8]>>,
    },
    Logout,
    Move {
        set: SequenceSet,
        mailbox: Cow<'b, [u8]>,
        uid: bool,
    },
    Namespace,
    Noop,
    Rename {
        from: Cow<'b, [u8]>,
        to: Cow<'b, [u8]>,
    },
    Search {
        /// None: the character set is not known, so the texts could not be read.
        key: Option<SearchKey>,
        /// `RETURN (..)` (RFC 4731).
        returns: Option<SearchReturns>,
        /// `CHARSET ..` was given.
        charset: bool,
        uid: bool,
    },
    Select {
        mailbox: Cow<'b, [u8]>,
        parameters: Vec<Modifier<'b>>,
        /// EXAMINE.
        read_only: bool,
    },
    StartTls,
    Status {
        mailbox: Cow<'b, [u8]>,
        items: Vec<StatusItem>,
    },
    Store {
        set: SequenceSet,
        modifiers: Vec<Modifier<'b>>,
        change: FlagChange,
        flags: Flags,
        silent: bool,
        uid: bool,
    },
    Subscribe(Cow<'b, [u8]>),
    Unauthenticate,
    Unselect,
    Unsubscribe(Cow<'b, [u8]>),
}

/// Takes the tag and the space behind it off the front of a line; `None` if there is none.
///
/// ```
/// use pillarbox_imap::wire::parse::tag;
///
/// assert_eq!(tag(b"a1 NOOP"), Some(("a1", &b"NOOP"[..])));
/// assert_eq!(tag(b"+ NOOP"), None);
/// ```
pub fn tag(line: &[u8]) -> Option<(&str, &[u8])> {
    // RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">
    let len = line.iter().take_while(|&&b| super::encode::is_astring_char(b) && b != b'+').count();
    let (tag, rest) = line.split_at(len);
    let rest = rest.strip_prefix(b" ")?;
    // Only ASCII is left by the test above.
    let tag = core::str::from_utf8(tag).ok().filter(|tag| !tag.is_empty())?;
    Some((tag, rest))
}

/// Takes the name of a command off the front of what follows the tag: letters, and for UID the name behind it. What is
/// left begins with the space before the arguments, if there are any.
///
/// ```
/// use pillarbox_imap::wire::parse::name;
///
/// assert_eq!(name(b"UID FETCH 1 FLAGS"), (&b"UID FETCH"[..], &b" 1 FLAGS"[..]));
/// assert_eq!(name(b"NOOP"), (&b"NOOP"[..], &b""[..]));
/// ```
pub fn name(rest: &[u8]) -> (&[u8], &[u8]) {
    let word = |text: &[u8]| text.iter().take_while(|&&b| b != b' ' && b != b'\r' && b != b'\n').count();
    let mut len = word(rest);
    if rest[..len].eq_ignore_ascii_case(b"UID") && rest.get(len) == Some(&b' ') {
        len += 1 + word(&rest[len + 1..]);
    }
    rest.split_at(len)
}
