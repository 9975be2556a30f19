//! Reports as a whole: published ones, hostile ones, and ours read again.

mod destinations;
mod forms;
mod hostile;
mod mails;
mod observed;
mod round_trip;
mod schema;
mod suites;
