//! The small words of IMAP: numbers, sets of numbers, flags, mailbox names, response codes. Values that break a rule of
//! the protocol cannot be made.

mod code;
mod few;
mod flag;
mod mailbox;
mod mod_seq;
mod number;
mod object_id;
mod pattern;
mod set;
mod special_use;

pub use code::{OtherCode, ResponseCode};
pub use flag::{Flag, Flags, Keyword};
pub use mailbox::{MailboxName, MailboxNameError, NameEncoding, Separator};
pub use mod_seq::ModSeq;
pub use number::{Seq, Uid, UidValidity};
pub use object_id::ObjectId;
pub use pattern::{ListPattern, list_matches};
pub use set::{SequenceSet, SetNumber, UidSet};
pub use special_use::SpecialUse;
