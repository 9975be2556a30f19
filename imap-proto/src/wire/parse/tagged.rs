//! A whole command: its tag, its name, its arguments.

use super::Command;
use crate::command::{CommandRow, row_of};
use crate::wire::octet::TAG;

/// A command that was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaggedCommand<'b> {
    /// The client's name for it, which the answer repeats.
    pub tag: &'b str,
    /// Where it may be given, and what it may do.
    pub row: &'static CommandRow,
    /// What it says.
    pub command: Command<'b>,
}

/// Why octets are no command. A server answers each with BAD (RFC 9051 §7.1.3), tagged if [`tag`] finds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// They do not end with CRLF: the command is not whole.
    #[error("a command ends with CRLF")]
    Unended,
    /// They do not begin with a tag and a space.
    #[error("a command begins with a tag")]
    Untagged,
    /// There is no command of this name.
    #[error("unknown command")]
    Unknown,
    /// The command is there, but these are no arguments of it.
    #[error("syntax error in the arguments of {name}")]
    Arguments {
        /// The command's name, in capitals.
        name: &'static str,
    },
}

/// Reads a command: all octets of it, with its literals and its last CRLF, as [`Framer`](crate::wire::frame::Framer) found
/// them. Nothing is copied that can be borrowed, and the time is linear in the octets. Lists in it are limited by their
/// length, so memory is bounded by a small multiple of the octets.
///
/// ```
/// use pillarbox_imap::server::FetchItem;
/// use pillarbox_imap::wire::frame::{FrameLimits, Framed, Framer};
/// use pillarbox_imap::wire::parse::{Command, CommandError, command};
///
/// let (mut framer, limits) = (Framer::new(), FrameLimits::AFTER_LOGIN);
/// let input = b"a1 UID FETCH 7:* (FLAGS BODY.PEEK[1]<0.512>)\r\na2 LOGIN joe {6+}\r\nsecret\r\n";
/// let Framed::Command { len } = framer.frame(input, &limits) else { panic!() };
/// let read = command(&input[..len]).unwrap();
/// assert_eq!((read.tag, read.row.name), ("a1", "UID FETCH"));
/// let Command::Fetch { set, wanted, uid: true, .. } = read.command else { panic!() };
/// assert_eq!((set.to_string().as_str(), &wanted[0]), ("7:*", &FetchItem::Flags));
///
/// // A literal is taken into the command when it is announced.
/// let rest = &input[len..];
/// let Framed::Literal { header, len } = framer.frame(rest, &limits) else { panic!() };
/// assert!(framer.accept(header, len, &limits));
/// let Framed::Command { len } = framer.frame(rest, &limits) else { panic!() };
/// let Command::Login { user, password } = command(&rest[..len]).unwrap().command else { panic!() };
/// assert!(*user == *b"joe" && password.same_as(b"secret"));
///
/// assert_eq!(command(b"a3 FROB\r\n").unwrap_err(), CommandError::Unknown);
/// ```
///
/// # Errors
///
/// [`CommandError`]. APPEND with a message is one too: see [`append_head`](super::append_head).
pub fn command(octets: &[u8]) -> Result<TaggedCommand<'_>, CommandError> {
    let line = octets.strip_suffix(b"\r\n").ok_or(CommandError::Unended)?;
    let (tag, rest) = tag(line).ok_or(CommandError::Untagged)?;
    let (name, text) = name(rest);
    let row = row_of(name).ok_or(CommandError::Unknown)?;
    match (row.arguments)(text) {
        Ok((b"", command)) => Ok(TaggedCommand { tag, row, command }),
        _ => Err(CommandError::Arguments { name: row.name }),
    }
}

/// Takes the tag and the space behind it off the front of a line; `None` if there is none.
///
/// ```
/// use pillarbox_imap::wire::parse::tag;
///
/// assert_eq!(tag(b"a1 NOOP"), Some(("a1", &b"NOOP"[..])));
/// assert_eq!(tag(b"+ NOOP"), None);
/// ```
#[inline]
pub fn tag(line: &[u8]) -> Option<(&str, &[u8])> {
    // RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">
    let (tag, rest) = TAG.split(line);
    let rest = rest.strip_prefix(b" ")?;
    // Only ASCII is left by the test above.
    let tag = core::str::from_utf8(tag).ok().filter(|tag| !tag.is_empty())?;
    Some((tag, rest))
}

/// Takes the name of a command off the front of what follows the tag: letters, and for UID the name behind it. What is
/// left begins with the space before the arguments, if there are any.
///
/// ```
/// use pillarbox_imap::wire::parse::name;
///
/// assert_eq!(name(b"UID FETCH 1 FLAGS"), (&b"UID FETCH"[..], &b" 1 FLAGS"[..]));
/// assert_eq!(name(b"NOOP"), (&b"NOOP"[..], &b""[..]));
/// ```
#[inline]
pub fn name(rest: &[u8]) -> (&[u8], &[u8]) {
    let word = |text: &[u8]| text.iter().position(|b| matches!(b, b' ' | b'\r' | b'\n')).unwrap_or(text.len());
    let mut len = word(rest);
    if rest[..len].eq_ignore_ascii_case(b"UID") && rest.get(len) == Some(&b' ') {
        len += 1 + word(&rest[len + 1..]);
    }
    rest.split_at(len)
}
