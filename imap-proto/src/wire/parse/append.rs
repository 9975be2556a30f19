//! APPEND up to each of its messages, which are never part of a parsed command.

use alloc::borrow::Cow;

use nom::Parser;
use nom::bytes::complete::tag_no_case;
use nom::combinator::{all_consuming, map, opt};
use nom::sequence::preceded;
use pillarbox_core::WallTime;

use super::Parsed;
use super::token::{astring, date_time, flag_list, sp};
use crate::types::Flags;

/// What APPEND says before its first message (RFC 9051 §6.3.12).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AppendHead<'b> {
    /// Where to.
    pub mailbox: Cow<'b, [u8]>,
    /// What it says of that message.
    pub message: AppendMessage,
}

/// What APPEND says of a message before it comes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AppendMessage {
    /// The flags that it gets.
    pub flags: Flags,
    /// Its internal date.
    pub date: Option<WallTime>,
    /// It stands in `UTF8 (..)` (RFC 6855 §4), so that a parenthesis follows it.
    pub utf8: bool,
}

/// Reads what stands between the word APPEND and the announcement of a literal, both excluded.
///
/// `Ok(None)`: the literal is the mailbox's name, not the message. `Err(())`: a syntax error.
#[allow(clippy::result_unit_err, reason = "which error it was is of no use to a client")]
pub fn append_head(arguments: &[u8]) -> Result<Option<AppendHead<'_>>, ()> {
    if arguments == b" " {
        return Ok(None);
    }
    match all_consuming((preceded(sp, astring), message)).parse(arguments) {
        Ok((_, (mailbox, message))) => Ok(Some(AppendHead { mailbox, message })),
        Err(_) => Err(()),
    }
}

/// Reads what stands between a message and the announcement of the next (RFC 3502 §6); `None` is a syntax error.
///
/// ```
/// use pillarbox_imap::wire::parse::append_message;
///
/// assert!(append_message(b" (\\Seen) ").is_some());
/// assert!(append_message(b" UTF8 (").unwrap().utf8);
/// assert!(append_message(b" NIL ").is_none());
/// ```
pub fn append_message(text: &[u8]) -> Option<AppendMessage> {
    all_consuming(message).parse(text).ok().map(|(_, message)| message)
}

/// `[SP flag-list] [SP date-time] SP ["UTF8" SP "("]`
fn message(input: &[u8]) -> Parsed<'_, AppendMessage> {
    let utf8 = map(opt(tag_no_case("UTF8 (")), |utf8: Option<&[u8]>| utf8.is_some());
    let parts = (opt(preceded(sp, flag_list)), opt(preceded(sp, date_time)), preceded(sp, utf8));
    map(parts, |(flags, date, utf8)| AppendMessage { flags: flags.unwrap_or_default(), date, utf8 }).parse(input)
}
