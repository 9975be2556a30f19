//! What FETCH can ask for of a message, and what it is told.

use pillarbox_core::WallTime;

use crate::message::Section;
use crate::types::{Flags, ModSeq, ObjectId};

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
    /// EMAILID (RFC 8474 §5.1).
    EmailId,
    /// MODSEQ (RFC 7162 §3.1.4.2).
    ModSeq,
    /// PREVIEW (RFC 8970): what [`message::preview`](crate::message::preview) gives.
    Preview {
        /// `(LAZY)`: only if it is at hand.
        lazy: bool,
    },
    /// SAVEDATE (RFC 8514 §4.2).
    SaveDate,
    /// THREADID (RFC 8474 §5.2).
    ThreadId,
    /// BINARY[...] and BINARY.PEEK[...] (RFC 3516): a part, undone of its encoding.
    Binary {
        /// Which part: a number without more.
        section: Section,
        /// The first octet and the number of octets asked for, of what is decoded.
        partial: Option<(u64, u64)>,
        /// `.PEEK`: do not set `\Seen`.
        peek: bool,
    },
    /// BINARY.SIZE[...]: how many octets BINARY[...] would have.
    BinarySize(Section),
    /// BODY[...] and BODY.PEEK[...]; RFC822, RFC822.HEADER and RFC822.TEXT under the names that RFC 3501 gave them.
    Section {
        /// Which part.
        section: Section,
        /// The first octet and the number of octets asked for.
        partial: Option<(u64, u64)>,
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
            FetchItem::Binary { peek: false, .. }
                | FetchItem::Section {
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
    /// `BINARY[...]` (RFC 3516), for what holds no NUL; what does goes out as
    /// [`Answer::BinaryLiteral`](super::Answer::BinaryLiteral).
    Binary,
    /// `BODY[...]`.
    Body,
    /// `RFC822` (RFC 3501 §6.4.5).
    Rfc822,
    /// `RFC822.HEADER`.
    Rfc822Header,
    /// `RFC822.TEXT`.
    Rfc822Text,
}

/// Data about one message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FetchData<'a> {
    /// BINARY.SIZE[...].
    BinarySize {
        /// Which part.
        section: &'a Section,
        /// Its octets, undone of their encoding.
        size: u64,
    },
    /// EMAILID.
    EmailId(ObjectId),
    /// FLAGS.
    Flags(Flags),
    /// INTERNALDATE.
    InternalDate(WallTime),
    /// MODSEQ, as it was when the flags were those that are told with it.
    ModSeq(ModSeq),
    /// PREVIEW; `None`, which only a lazy one may be told, where it is not at hand.
    Preview(Option<&'a str>),
    /// RFC822.SIZE: octets with CRLF line ends.
    Rfc822Size(u64),
    /// SAVEDATE; `None` where the mailbox does not know.
    SaveDate(Option<WallTime>),
    /// THREADID; `None` where there are no threads.
    ThreadId(Option<ObjectId>),
    /// ENVELOPE, BODY or BODYSTRUCTURE as written by [`message`](crate::message), without its name.
    Written {
        /// [`FetchItem::Envelope`], [`FetchItem::Body`] or [`FetchItem::BodyStructure`].
        item: FetchItem,
        /// The text in parentheses.
        text: &'a [u8],
    },
}
