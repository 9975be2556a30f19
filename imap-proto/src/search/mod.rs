//! Finding messages: the question as data, and the text matching.
//!
//! A [`Query`] is what a client asks, free of sequence numbers. A [`Search`] is a query made ready to be put to many
//! messages: first by what a mailbox knows without opening them, then, where that does not settle it, by their octets.

mod mailboxes;
mod needles;
mod query;
mod run;

pub use mailboxes::MailboxesQuery;
pub(crate) use mailboxes::{RANGES_MAX, last_of, uids_after, uids_before};
pub use query::{Date, Query};
pub use run::{MessageFacts, Needs, Search, TooComplex};
