//! What IMAP shows of a message, computed from its octets.
//!
//! [`Structure`] is the tree of a message's parts as ranges. From it come BODYSTRUCTURE ([`write_body`]), the octets of a
//! section ([`Structure::section`]) and, through a [`Decoder`], of BINARY; ENVELOPE needs only the header
//! ([`write_envelope`]). Nothing here fails: whatever a message is, it can be shown, within [`Limits`].
//!
//! A message is read from front to back and line by line, once for the tree; each header is read again when it is written.
//! Headers are split by [`pillarbox_core::header`], so that what IMAP shows is what DKIM, DMARC and filters saw.
//!
//! Answers are those of Dovecot 2.3 but where an RFC says otherwise; the test `message_oracle` lists these cases.
//!
//! message/global (RFC 6532) is opened like message/rfc822, as RFC 9051 §7.5.2 wants. The grammar of IMAP4rev1 knows only
//! the latter, so a client that spoke it to the letter would stumble over the ENVELOPE of the former.

mod address;
mod binary;
mod body;
mod boundary;
mod content_type;
mod decode;
mod envelope;
mod html;
mod lex;
mod limits;
mod locate;
mod preview;
mod section;
mod string;
mod structure;
mod word;

pub use address::{Address, addresses};
pub use binary::{Binary, BinaryPieces, UnknownEncoding};
pub use body::write_body;
pub use content_type::ContentType;
pub use decode::{Decoder, Encoding};
pub use envelope::write_envelope;
pub use limits::Limits;
pub use locate::SectionData;
pub use pillarbox_core::header::{parse_date, parse_sent_date};
pub use preview::preview;
pub use section::{Section, SectionText};
pub use structure::{Part, PartKind, Structure};
pub use word::decode_words;
pub(crate) use word::{Decoded, charset};
