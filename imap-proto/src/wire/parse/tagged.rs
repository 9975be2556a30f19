//! A whole command: its tag, its name, its arguments.

use pillarbox_core::Text;

use super::Command;
use crate::command::{Arguments, CommandRow, Place, place_of_number};
use crate::octet::{NAME, TAG, capitals, short_word, word_before_space, words};

/// A command that was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaggedCommand<'b> {
    /// The client's name for it, which the answer repeats.
    pub tag: Text<'b>,
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
/// assert!(read.tag == "a1" && read.row.name == "UID FETCH");
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
#[inline]
pub fn command(octets: &[u8]) -> Result<TaggedCommand<'_>, CommandError> {
    let line = octets.strip_suffix(b"\r\n").ok_or(CommandError::Unended)?;
    let (tag, rest) = tag(line).ok_or(CommandError::Untagged)?;
    let (&Place { row, bare, .. }, text) = place(rest).ok_or(CommandError::Unknown)?;
    match bare {
        // Written here and not by what reads arguments: a large value that is copied as soon as it was written has to be waited for.
        Some(bare) if text.is_empty() => Ok(TaggedCommand { tag, row, command: bare.command() }),
        _ => match read_arguments(row, text) {
            Some(command) => Ok(TaggedCommand { tag, row, command }),
            None => Err(CommandError::Arguments { name: row.name }),
        },
    }
}

/// What a command says, from all that stands behind its name; none if those are no arguments of it.
#[inline]
pub(crate) fn read_arguments<'b>(row: &CommandRow, text: &'b [u8]) -> Option<Command<'b>> {
    match row.arguments {
        Arguments::Absent(bare) => text.is_empty().then(|| bare.command()),
        Arguments::Parsed(arguments) => match arguments(text) {
            Ok((b"", command)) => Some(command),
            _ => None,
        },
    }
}

/// The row of the command whose name stands at the front of what follows the tag, and what is behind the name: as [`name`] and
/// [`row_of`](crate::command::row_of), in one look at it.
#[inline]
pub(crate) fn row(rest: &[u8]) -> Option<(&'static CommandRow, &[u8])> {
    place(rest).map(|(place, text)| (place.row, text))
}

#[inline(always)]
fn place(rest: &[u8]) -> Option<(&'static Place, &[u8])> {
    words! { UID }
    let (name, len) = word_before_space(rest);
    match rest.get(len) {
        None => place_of_number(name).map(|place| (place, &rest[rest.len()..])),
        Some(b' ') if name == UID => {
            // `UID `, and the name behind it.
            let (second, len) = word_before_space(&rest[4..]);
            let behind = &rest[4 + len..];
            let ends = matches!(behind.first(), None | Some(b' ' | b'\r' | b'\n'));
            place_of_number(capitals(b"UID ") | second << 32).filter(|_| ends).map(|place| (place, behind))
        }
        Some(b' ' | b'\r' | b'\n') => place_of_number(name).map(|place| (place, &rest[len..])),
        // A name that goes on with something else is another one.
        Some(_) => None,
    }
}

/// Takes the tag and the space behind it off the front of a line; `None` if there is none.
///
/// ```
/// use pillarbox_imap::wire::parse::tag;
///
/// let (name, rest) = tag(b"a1 NOOP").unwrap();
/// assert!(name == "a1" && rest == b"NOOP");
/// assert_eq!(tag(b"+ NOOP"), None);
/// ```
#[inline]
pub fn tag(line: &[u8]) -> Option<(Text<'_>, &[u8])> {
    // RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">
    // A word has nothing in it that a tag may not have, and nearly every tag is one.
    if let Some(len) = short_word(line) {
        return Some((Text::from_checked(&line[..len]), &line[len + 1..]));
    }
    let (tag, rest) = TAG.split(line);
    let rest = rest.strip_prefix(b" ").filter(|_| !tag.is_empty())?;
    // What a tag is made of is ASCII.
    Some((Text::from_checked(tag), rest))
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
    let (name, arguments) = NAME.split(rest);
    if !name.eq_ignore_ascii_case(b"UID") || arguments.first() != Some(&b' ') {
        return (name, arguments);
    }
    let (second, _) = NAME.split(&arguments[1..]);
    rest.split_at(name.len() + 1 + second.len())
}
