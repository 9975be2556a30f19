//! What the embedder tells of mailboxes and connections.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use pillarbox_core::TlsFacts;

use crate::acl::Rights;
use crate::types::{Flag, Flags, MailboxName, ModSeq, ObjectId, Uid, UidSet, UidValidity};

/// One name of LIST or LSUB.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The name.
    pub name: MailboxName,
    /// Its attributes, such as `\HasChildren` (RFC 9051 §7.3.1).
    pub attributes: Vec<Cow<'static, str>>,
    /// Something below it is subscribed, which RECURSIVEMATCH asks for (RFC 5258 §3.5, CHILDINFO).
    pub subscribed_below: bool,
    /// What [`List::status`](crate::list::List::status) asks for; none for a name that cannot be selected, or whose numbers
    /// cannot be told now.
    pub status: Option<Status>,
    /// What [`List::my_rights`](crate::list::List::my_rights) asks for; none for a name that cannot be selected, or where they
    /// cannot be told now.
    pub rights: Option<Rights>,
    /// What [`List::metadata`](crate::list::List::metadata) asks for follows, in an [`Entry`](super::Answer::Entry) for each
    /// annotation that is there. False for a name that cannot be selected, or whose annotations cannot be told now.
    pub has_metadata: bool,
    /// It meets what the options of LIST select, and is not told only for what lies below it (RFC 5258 §3.5).
    pub matches_itself: bool,
}

impl Listed {
    /// A name with attributes.
    pub fn new(name: MailboxName, attributes: Vec<Cow<'static, str>>) -> Self {
        Listed {
            name,
            attributes,
            subscribed_below: false,
            status: None,
            rights: None,
            has_metadata: false,
            matches_itself: true,
        }
    }

    /// Whether more may be told of it than its name: it is a mailbox that can be selected, and one of those that were asked for
    /// (RFC 5819 §2, RFC 8440 §4).
    ///
    /// ```
    /// use pillarbox_imap::list::{KnownName, List};
    /// use pillarbox_imap::types::MailboxName;
    ///
    /// let name = |text| MailboxName::new(text).unwrap();
    /// let mut list = List::new("%");
    /// (list.subscribed, list.recursive) = (true, true);
    /// let mut below = KnownName::existing(name("Fruit/Banana"));
    /// below.subscribed = true;
    /// let listed = list.answer([KnownName::existing(name("Fruit")), below]);
    /// assert!(listed[0].is_selectable() && !listed[0].tells_more(), "it is told for what lies below");
    /// ```
    pub fn tells_more(&self) -> bool {
        self.matches_itself && self.is_selectable()
    }

    /// Whether all attributes are such.
    pub(crate) fn has_good_attributes(&self) -> bool {
        let is_attribute =
            |a: &str| !a.is_empty() && a.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"]".contains(&b));
        self.attributes.iter().all(|attribute| is_attribute(attribute))
    }

    /// Whether there is a mailbox of this name that can be selected.
    pub fn is_selectable(&self) -> bool {
        !self.attributes.iter().any(|attribute| {
            attribute.eq_ignore_ascii_case("\\Noselect") || attribute.eq_ignore_ascii_case("\\NonExistent")
        })
    }
}

/// The numbers of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// The sum of the sizes of messages with `\Deleted`, in octets (RFC 9208 §4.1.4); 0 if nobody asked for it.
    pub deleted_storage: u64,
    /// The sum of the sizes of all messages, in octets (RFC 8438); 0 if nobody asked for it.
    pub size: u64,
    /// The highest mod-sequence in use (RFC 7162 §3.1.7); `None` if the mailbox has none.
    pub highest_mod_seq: Option<ModSeq>,
    /// The mailbox's identifier (RFC 8474 §4), there where OBJECTID is offered.
    pub mailbox_id: Option<ObjectId>,
}

impl Status {
    /// The numbers of an empty mailbox.
    pub const fn new(uid_validity: UidValidity, uid_next: Uid) -> Self {
        Status {
            messages: 0,
            recent: 0,
            uid_next,
            uid_validity,
            unseen: 0,
            deleted: 0,
            deleted_storage: 0,
            size: 0,
            highest_mod_seq: None,
            mailbox_id: None,
        }
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
    /// What the user may do, where that is kept (RFC 4314): PERMANENTFLAGS and READ-ONLY tell of it.
    pub rights: Option<Rights>,
    /// The highest mod-sequence in use, of a change that the rest of the snapshot shows (RFC 7162 §3.1.2.1); `None` if the
    /// mailbox has none that last.
    pub highest_mod_seq: Option<ModSeq>,
    /// The mailbox's identifier (RFC 8474 §4), there where OBJECTID is offered.
    pub mailbox_id: Option<ObjectId>,
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
            rights: None,
            highest_mod_seq: None,
            mailbox_id: None,
        }
    }
}

/// What changed in the selected mailbox, as the store's feed tells it (in commit order, after commit).
///
/// `mod_seq` is the mod-sequence of the change; none in a mailbox without. It rises from each commit to the next, so that a
/// client that was told of a mod-sequence was told of all below it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "`mod_seq` is said above, once for all")]
pub enum Change {
    /// Messages came.
    Added {
        /// Their UIDs, which rise.
        uids: Vec<Uid>,
        mod_seq: Option<ModSeq>,
    },
    /// A message has these flags now.
    Flags {
        /// The message.
        uid: Uid,
        /// All its flags.
        flags: Flags,
        mod_seq: Option<ModSeq>,
    },
    /// Messages are gone.
    Removed {
        /// Which.
        uids: UidSet,
        mod_seq: Option<ModSeq>,
    },
    /// The mailbox has these keywords from now on, whoever made them; told before the first flags in which one of them is
    /// (RFC 9051 §7.3.5).
    Keywords {
        /// All that are in use, as in [`Snapshot::keywords`].
        keywords: Vec<Flag>,
        /// As in [`Snapshot::keywords_can_be_made`].
        can_be_made: bool,
    },
    /// This is what the user may do from now on, where that is kept (RFC 4314). Who may no longer read has lost the mailbox:
    /// [`Gone`](Change::Gone).
    Rights(Rights),
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
    /// Compression was agreed on and could not be begun.
    Compression,
    /// A store failed inside octets that were already announced: the client can no longer follow.
    Broken,
    /// The selected mailbox is gone.
    MailboxGone,
    /// Our side stopped.
    ShutDown,
}
