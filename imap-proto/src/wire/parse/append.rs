//! APPEND up to its message, which is never part of a parsed command.

use alloc::borrow::Cow;

use nom::Parser;
use nom::combinator::{all_consuming, opt};
use nom::sequence::{preceded, terminated};
use pillarbox_core::WallTime;

use super::token::{astring, date_time, flag_list, sp};
use crate::types::Flags;

/// What APPEND says before its message (RFC 9051 §6.3.12).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AppendHead<'b> {
    /// Where to.
    pub mailbox: Cow<'b, [u8]>,
    /// The flags that the message gets.
    pub flags: Flags,
    /// Its internal date.
    pub date: Option<WallTime>,
}

/// Reads what stands between the word APPEND and the announcement of a literal, both excluded.
///
/// `Ok(None)`: the literal is the mailbox's name, not the message. `Err(())`: a syntax error.
#[allow(clippy::result_unit_err, reason = "which error it was is of no use to a client")]
pub fn append_head(arguments: &[u8]) -> Result<Option<AppendHead<'_>>, ()> {
    if arguments == b" " {
        return Ok(None);
    }
    let head = (preceded(sp, astring), opt(preceded(sp, flag_list)), opt(preceded(sp, date_time)));
    match all_consuming(terminated(head, sp)).parse(arguments) {
        Ok((_, (mailbox, flags, date))) => Ok(Some(AppendHead { mailbox, flags: flags.unwrap_or_default(), date })),
        Err(_) => Err(()),
    }
}
