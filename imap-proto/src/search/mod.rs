//! Finding messages: the question as data, and the text matching.

mod query;

pub use query::{Date, Query};
