//! Reports as a whole: published ones, hostile ones, and ours read again.

mod destinations;
mod schema;
