//! SORT: base subjects, the order of texts, and messages put in order (RFC 5256, RFC 5957).
//!
//! What a message is sorted by follows from its header and never changes, so it can be kept: [`write_sort_keys`] computes
//! it as octets, [`SortKeys`] reads them again, and a [`Sorter`] takes them one message after the other.
//!
//! Sorting takes linear-logarithmic time whatever stands in the headers. Of each text the first 512 octets count.

mod collation;
mod keys;
mod order;
mod subject;

pub use collation::collation_key;
pub(crate) use keys::{COLLATED_MAX, collated, sent_date};
pub use keys::{SortKeys, write_sort_keys};
pub use order::{CRITERIA_MAX, SortCriterion, SortKey, Sorter};
pub use subject::{BaseSubject, base_subject};
