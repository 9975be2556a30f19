//! What IMAP shows of a message, computed from its octets.

mod boundary;
mod content_type;
mod field;
mod lex;
mod limits;
mod section;
mod structure;

pub use content_type::ContentType;
pub use limits::Limits;
pub use section::{Section, SectionText};
pub use structure::{Part, PartKind, Structure};
