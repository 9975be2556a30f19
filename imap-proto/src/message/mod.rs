//! What IMAP shows of a message, computed from its octets.

mod address;
mod body;
mod boundary;
mod content_type;
mod date;
mod decode;
mod envelope;
mod lex;
mod limits;
mod locate;
mod section;
mod string;
mod structure;
mod word;

pub use address::{Address, addresses};
pub use body::write_body;
pub use content_type::ContentType;
pub use date::parse_date;
pub use decode::{Decoder, Encoding};
pub use envelope::write_envelope;
pub use limits::Limits;
pub use locate::SectionData;
pub use section::{Section, SectionText};
pub use structure::{Part, PartKind, Structure};
pub(crate) use word::charset;
pub use word::decode_words;
