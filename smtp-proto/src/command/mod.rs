//! The command lines of SMTP and LMTP: verbs, arguments, and what is wrong with them (RFC 5321 §4.1).
//!
//! Parsing knows no state: what a session makes of a command is decided elsewhere.

mod deliver_by;
mod dsn;
mod envelope;
mod error;
mod extensions;
mod foreign;
mod forwarded;
mod future_release;
mod initial_response;
mod mt_priority;
mod octets;
mod parameters;
mod secrets;
mod verb;

use alloc::boxed::Box;

use pillarbox_core::Text;

use crate::server::{Hello, HelloVerb, Mail, Rcpt};
pub use deliver_by::{ByMode, DeliverBy};
pub use error::CommandError;
pub use extensions::{Parameter, Understood};
pub use foreign::is_foreign;
pub use forwarded::{ClientAttributes, Source, Told};
pub(crate) use forwarded::{XCLIENT, XFORWARD};
pub use future_release::FutureRelease;
pub(crate) use future_release::Utc;
pub use initial_response::InitialResponse;
pub use mt_priority::MtPriority;
use octets::{is_host_name, is_uncontrolled, take};
pub(crate) use secrets::without_secrets;
pub use verb::Verb;

/// A command with its arguments, borrowed from its line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'b> {
    /// EHLO, HELO or LHLO.
    Hello(Hello<'b>),
    /// MAIL FROM.
    Mail(Mail<'b>),
    /// RCPT TO; the session knows the index.
    Rcpt(Rcpt<'b>),
    /// DATA.
    Data,
    /// BDAT (RFC 3030 §2): its octets follow the line.
    Bdat {
        /// How many octets follow. More than 64 bits can say is the largest number that they can.
        size: u64,
        /// They are the last of the message.
        last: bool,
    },
    /// RSET.
    Rset,
    /// NOOP; what stands behind it means nothing (RFC 5321 §4.1.1.9).
    Noop,
    /// VRFY.
    Vrfy {
        /// What to look for.
        name: &'b str,
        /// The client can read UTF-8, and the name may hold it (RFC 6531 §3.7.4.2).
        smtputf8: bool,
    },
    /// EXPN.
    Expn {
        /// The list.
        name: &'b str,
    },
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// STARTTLS (RFC 3207 §4).
    StartTls,
    /// AUTH (RFC 4954 §4).
    Auth {
        /// The name of the mechanism as it came.
        mechanism: &'b str,
        /// The initial response.
        initial: Option<InitialResponse<'b>>,
    },
    /// ETRN (RFC 1985 §5).
    Etrn {
        /// Whose queue is to be run: a domain, behind `@` one with those below it, behind `#` a name of the server's own.
        node: &'b str,
    },
    /// XCLIENT of Postfix: who the client behind a proxy is.
    XClient(Box<ClientAttributes>),
    /// XFORWARD of Postfix: who the client behind a filter was.
    XForward(Box<ClientAttributes>),
    /// A verb of times past, or of programs past: TURN, SEND, SOML, SAML (RFC 5321 appendix F), VERB, ONEX.
    Obsolete,
}

/// Parses one line without its CRLF.
///
/// ```
/// use pillarbox_smtp::command::{Command, CommandError, parse};
///
/// assert_eq!(parse(b"quit"), Ok(Command::Quit));
/// let Ok(Command::Mail(mail)) = parse(b"MAIL FROM:<joe@example.org> SIZE=1000") else { panic!() };
/// assert_eq!(mail.from.to_string(), "<joe@example.org>");
/// assert_eq!(mail.size, Some(1000));
/// assert_eq!(parse(b"DATA now"), Err(CommandError::Argument));
/// assert_eq!(CommandError::Argument.reply().code(), 501);
/// ```
///
/// # Errors
///
/// [`CommandError`] says what is wrong, and which reply that implies.
#[inline]
pub fn parse(line: &[u8]) -> Result<Command<'_>, CommandError> {
    parse_in(line, false)
}

/// The same within a transaction; in one with SMTPUTF8 (`utf8`), RCPT and its parameters may hold UTF-8 (RFC 6531 §3.3). MAIL
/// and VRFY say so themselves.
///
/// ```
/// use pillarbox_smtp::command::{Command, parse, parse_in};
///
/// let line = "RCPT TO:<zoë@example.org>".as_bytes();
/// assert_eq!(parse(line).unwrap_err().reply().code(), 553);
/// assert!(matches!(parse_in(line, true), Ok(Command::Rcpt(_))));
/// ```
///
/// # Errors
///
/// As [`parse`].
#[inline]
pub fn parse_in(line: &[u8], utf8: bool) -> Result<Command<'_>, CommandError> {
    parse_with(line, utf8, Understood::default())
}

/// The same for a caller that understands more parameters of MAIL and RCPT than this crate knows: they are kept in
/// [`Mail::others`] and [`Rcpt::others`] instead of refused.
///
/// ```
/// use pillarbox_smtp::command::{Command, Understood, parse, parse_with};
///
/// let line = b"MAIL FROM:<joe@example.org> X-COLOUR=blue";
/// assert_eq!(parse(line).unwrap_err().reply().code(), 555);
/// let mail = ["X-COLOUR".to_owned()];
/// let understood = Understood { mail: &mail, ..Understood::default() };
/// let Ok(Command::Mail(mail)) = parse_with(line, false, understood) else { panic!() };
/// assert_eq!(mail.others[0].value.as_deref(), Some("blue"));
/// ```
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with<'b>(line: &'b [u8], utf8: bool, understood: Understood<'_>) -> Result<Command<'b>, CommandError> {
    parse_taken(line, Verb::take(line), utf8, understood)
}

/// The same of a line whose verb was [taken](Verb::take) already.
#[inline(always)]
pub(crate) fn parse_taken<'b>(
    line: &'b [u8],
    taken: Option<(Verb, &'b [u8])>,
    utf8: bool,
    understood: Understood<'_>,
) -> Result<Command<'b>, CommandError> {
    let (verb, argument) = taken.ok_or_else(|| worst(line, CommandError::Unknown))?;
    let argument = trim_spaces(argument);
    match verb {
        Verb::Mail => envelope::mail(line, argument, understood.mail),
        Verb::Rcpt => envelope::rcpt(line, argument, utf8, understood.rcpt),
        Verb::Ehlo => hello(line, HelloVerb::Ehlo, argument),
        Verb::Helo => hello(line, HelloVerb::Helo, argument),
        Verb::Lhlo => hello(line, HelloVerb::Lhlo, argument),
        verb if is_uncontrolled(line) => other(verb, argument),
        _ => Err(CommandError::Octet),
    }
}

/// What to say about a line that is refused.
// RFC 5321 §4.1.2: a control octet inside a line is how one program is made to see two lines where another sees one. No command
// is read with one in it, so only lines that are wrong need a look, and then nothing else that is wrong with them counts.
#[cold]
fn worst(line: &[u8], error: CommandError) -> CommandError {
    if is_uncontrolled(line) { error } else { CommandError::Octet }
}

/// The commands whose argument is no path and no name of a host; without a control in it.
#[inline(never)]
fn other(verb: Verb, argument: &[u8]) -> Result<Command<'_>, CommandError> {
    if verb == Verb::Vrfy {
        return vrfy(argument);
    }
    // The paths tell addresses beyond ASCII apart from other mistakes; everywhere else they are just wrong.
    let argument = core::str::from_utf8(argument).ok().filter(|text| text.is_ascii()).ok_or(CommandError::Octet)?;
    // RFC 5321 §4.3.2: an argument where none belongs is a 501.
    let alone = |command| if argument.is_empty() { Ok(command) } else { Err(CommandError::Argument) };
    match verb {
        Verb::Data => alone(Command::Data),
        Verb::Bdat => bdat(argument),
        Verb::Rset => alone(Command::Rset),
        Verb::Quit => alone(Command::Quit),
        Verb::StartTls => alone(Command::StartTls),
        Verb::Noop => Ok(Command::Noop),
        Verb::Help => Ok(Command::Help),
        Verb::Expn if argument.is_empty() => Err(CommandError::Argument),
        Verb::Expn => Ok(Command::Expn { name: argument }),
        Verb::Auth => auth(argument),
        Verb::Etrn => etrn(argument),
        Verb::XClient => forwarded::attributes(argument, XCLIENT).map(|told| Command::XClient(Box::new(told))),
        Verb::XForward => forwarded::attributes(argument, XFORWARD).map(|told| Command::XForward(Box::new(told))),
        Verb::Turn | Verb::Send | Verb::Soml | Verb::Saml | Verb::Verbose | Verb::Onex => Ok(Command::Obsolete),
        Verb::Ehlo | Verb::Helo | Verb::Lhlo | Verb::Mail | Verb::Rcpt | Verb::Vrfy => unreachable!("read elsewhere"),
    }
}

/// The argument without the spaces around it.
#[inline(always)]
fn trim_spaces(mut argument: &[u8]) -> &[u8] {
    while take(&mut argument, b' ') {}
    while let [rest @ .., b' '] = argument {
        argument = rest;
    }
    argument
}

#[inline(never)]
fn hello<'b>(line: &[u8], verb: HelloVerb, argument: &'b [u8]) -> Result<Command<'b>, CommandError> {
    // Deviates from RFC 5321 §4.1.1.1: because many clients call themselves by a name that is no domain (an underscore, a
    // bare address in brackets that lack their tag). What could end the clause of a Received field stays out.
    if (1..=255).contains(&argument.len()) && is_host_name(argument) {
        return Ok(Command::Hello(Hello { verb, name: Text::from_checked(argument) }));
    }
    let error = match argument {
        [] => CommandError::Argument,
        name if !name.is_ascii() => CommandError::Octet,
        _ => CommandError::HostName,
    };
    Err(worst(line, error))
}

/// `"VRFY" SP String [SP "SMTPUTF8"]` (RFC 6531 §3.7.4.2)
fn vrfy(argument: &[u8]) -> Result<Command<'_>, CommandError> {
    let smtputf8 = has_last_word(argument, "SMTPUTF8");
    let name = if smtputf8 { argument[..argument.len() - "SMTPUTF8".len()].trim_ascii_end() } else { argument };
    let name = core::str::from_utf8(name).ok().filter(|name| smtputf8 || name.is_ascii()).ok_or(CommandError::Octet)?;
    if name.is_empty() {
        return Err(CommandError::Argument);
    }
    Ok(Command::Vrfy { name, smtputf8 })
}

/// Whether the text ends in this word, with another in front of it.
fn has_last_word(text: &[u8], word: &str) -> bool {
    text.len()
        .checked_sub(word.len() + 1)
        .is_some_and(|at| text[at] == b' ' && text[at + 1..].eq_ignore_ascii_case(word.as_bytes()))
}

/// `"BDAT" SP chunk-size [SP end-marker]` (RFC 3030 §2)
fn bdat(argument: &str) -> Result<Command<'_>, CommandError> {
    let (size, marker) =
        argument.split_once(' ').map_or((argument, None), |(size, rest)| (size, Some(rest.trim_ascii())));
    let last = marker.is_some_and(|marker| marker.eq_ignore_ascii_case("LAST"));
    if size.is_empty() || !size.bytes().all(|octet| octet.is_ascii_digit()) || last != marker.is_some() {
        return Err(CommandError::ChunkSize);
    }
    // All are digits, so the only thing wrong with the number can be that it is too large.
    Ok(Command::Bdat { size: size.parse().unwrap_or(u64::MAX), last })
}

/// `"ETRN" SP ["@" / "#"] node-name` (RFC 1985 §5)
fn etrn(argument: &str) -> Result<Command<'_>, CommandError> {
    let name = argument.strip_prefix(['@', '#']).unwrap_or(argument);
    let of_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    match name {
        "" => Err(CommandError::Argument),
        name if name.len() <= 255 && name.bytes().all(of_name) => Ok(Command::Etrn { node: argument }),
        _ => Err(CommandError::Argument),
    }
}

/// `"AUTH" SP sasl-mech [SP initial-response]`
fn auth(argument: &str) -> Result<Command<'_>, CommandError> {
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(CommandError::Argument)?;
    let initial = words.next().map(InitialResponse::new);
    if words.next().is_some() {
        return Err(CommandError::Argument);
    }
    Ok(Command::Auth { mechanism, initial })
}

#[cfg(test)]
mod tests;
