//! mbox: many messages in one file (RFC 4155), as mail programs before Maildir kept them, and as they are still handed over.
//!
//! ```text
//! From alice@example.org Wed Feb  3 10:11:12 2021      <- the From_ line: a sender, and when it arrived, in UTC
//! Status: RO                                           <- flags, in fields that are not the message's
//! Subject: hello
//!
//! >From is quoted at the start of a line
//!                                                      <- an empty line
//! From bob@example.org Wed Feb  3 10:12:00 2021
//! ```
//!
//! **Where a message begins.** At a line `From `, a sender, and a date as `asctime` writes it, with or without seconds, with a zone
//! before or behind the year or without one. The first line of the file need only begin with `From `. A line `From ` without such
//! a date is text. The empty line in front of a From_ line, or at the end of the file, is not the message's.
//!
//! **Which of its dialects a file is written in** is found out for each message ([`Format::Detect`]): if it has a `Content-Length` that
//! leads to the next From_ line or to the end of the file, that is the length of its body (mboxcl), and if in such a body a line
//! begins with `From `, nothing in it is quoted (mboxcl2). All else is read as mboxrd: of a line of any number of `>`
//! and `From ` one `>` is taken away. Of mboxo, which quotes `From ` only, that brings everything back but lines that
//! began with `>From ` before; no reader can tell those.
//!
//! **Flags** are in the fields `Status` (R: seen), `X-Status` (A, F, D, T: answered, flagged, deleted, draft) and
//! `X-Keywords` (words between spaces or commas). These, and `X-UID`, `X-IMAP`, `X-IMAPbase` and `Content-Length`, describe the file and not
//! the message: they are taken out, as Dovecot and UW-imapd do. A message with a field `X-IMAP` at the start of the file
//! is UW-imapd's note to itself and is passed over.
//!
//! **Nothing else is an error.** Lines may end in LF or CRLF, and be as long as they like; NUL is an octet; what stands behind
//! the last message is part of it. Memory is bounded, and the time grows with the size of the file.
//!
//! **What is written** is mboxrd with LF line ends. A message that would not come back from that octet for octet has one field more,
//! `X-Pillarbox-Export`, behind the fields for flags: with it all that follows is the message's, also fields that look like
//! those for flags. Its words say: `lines`, line ends are as they stand; `unended`, the last line end is not the message's.

mod export;
mod from_line;
mod import;
mod marks;
mod reader;
mod source;
mod writer;

pub use export::{Exported, export_maildir, export_mbox};
pub use from_line::Envelope;
pub use import::{ImportError, Imported, Progress, forget_import, import_maildir, import_mbox};
pub use marks::Marks;
pub use reader::{Format, MboxError, MboxReader};
pub use writer::MboxWriter;
