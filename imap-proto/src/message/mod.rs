//! What IMAP shows of a message, computed from its octets.

mod section;

pub use section::{Section, SectionText};
