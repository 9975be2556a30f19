//! The syntax of IMAP: where a command ends, what it says, and how answers are written.
//!
//! Framing comes first and knows no grammar; parsing comes second and knows no state.

pub mod encode;
pub mod frame;
pub mod parse;
