//! The command lines of SMTP and LMTP: verbs, arguments, and what is wrong with them (RFC 5321 §4.1).
//!
//! Parsing knows no state: what a session makes of a command is decided elsewhere.

mod deliver_by;
mod dsn;
mod envelope;
mod extensions;
mod forwarded;
mod future_release;
mod initial_response;
mod mt_priority;
mod octets;
mod parameters;

use alloc::boxed::Box;

use pillarbox_core::address::{AddressError, AddressFault};
use pillarbox_core::{Reply, Text};

use crate::server::{Hello, HelloVerb, Mail, Rcpt};
pub use deliver_by::{ByMode, DeliverBy};
pub use extensions::{Parameter, Understood};
pub use forwarded::{ClientAttributes, Source, Told};
pub(crate) use forwarded::{XCLIENT, XFORWARD};
pub use future_release::FutureRelease;
pub(crate) use future_release::Utc;
pub use initial_response::InitialResponse;
pub use mt_priority::MtPriority;
use octets::{Begin, Front, front, is_end, is_host_name, is_uncontrolled, take};

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

/// The verbs that are known, with what they mean for the flow of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verb {
    /// RFC 5321 §4.1.1.1.
    Ehlo,
    /// RFC 5321 §4.1.1.1.
    Helo,
    /// RFC 2033 §4.1.
    Lhlo,
    /// RFC 5321 §4.1.1.2.
    Mail,
    /// RFC 5321 §4.1.1.3.
    Rcpt,
    /// RFC 5321 §4.1.1.4.
    Data,
    /// RFC 3030 §2.
    Bdat,
    /// RFC 5321 §4.1.1.5.
    Rset,
    /// RFC 5321 §4.1.1.6.
    Vrfy,
    /// RFC 5321 §4.1.1.7.
    Expn,
    /// RFC 5321 §4.1.1.8.
    Help,
    /// RFC 5321 §4.1.1.9.
    Noop,
    /// RFC 5321 §4.1.1.10.
    Quit,
    /// RFC 3207 §4.
    StartTls,
    /// RFC 4954 §4.
    Auth,
    /// RFC 1985 §5.
    Etrn,
    /// Postfix's.
    XClient,
    /// Postfix's.
    XForward,
    /// RFC 5321 appendix F.2.
    Turn,
    /// RFC 5321 appendix F.6.
    Send,
    /// RFC 5321 appendix F.6.
    Soml,
    /// RFC 5321 appendix F.6.
    Saml,
    /// `VERB` of Sendmail: tell more.
    Verbose,
    /// `ONEX` of Sendmail: one transaction only.
    Onex,
}

/// What a verb means for the flow of a session.
struct Row {
    verb: Verb,
    text: &'static str,
    /// The client has to wait for the reply before it sends more (RFC 2920 §3.1, RFC 3207 §4, RFC 4954 §4). VRFY, EXPN
    /// and NOOP are not among them: RFC 2920 forbids a client to go on behind them, but nothing breaks if one does.
    waits: bool,
    /// RFC 2920 §3.2 (5): the reply must not be held back. That of STARTTLS and AUTH is waited for as well.
    prompt: bool,
    /// It moves no mail, so there is a limit on how often it may come.
    idle: bool,
}

#[rustfmt::skip]
static VERBS: [Row; 24] = [
    Row { verb: Verb::Ehlo,     text: "EHLO",     waits: true,  prompt: true,  idle: true  },
    Row { verb: Verb::Helo,     text: "HELO",     waits: true,  prompt: true,  idle: true  },
    Row { verb: Verb::Lhlo,     text: "LHLO",     waits: true,  prompt: true,  idle: true  },
    Row { verb: Verb::Mail,     text: "MAIL",     waits: false, prompt: false, idle: false },
    Row { verb: Verb::Rcpt,     text: "RCPT",     waits: false, prompt: false, idle: false },
    Row { verb: Verb::Data,     text: "DATA",     waits: true,  prompt: true,  idle: false },
    Row { verb: Verb::Bdat,     text: "BDAT",     waits: false, prompt: false, idle: false },
    Row { verb: Verb::Rset,     text: "RSET",     waits: false, prompt: false, idle: true  },
    Row { verb: Verb::Vrfy,     text: "VRFY",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Expn,     text: "EXPN",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Help,     text: "HELP",     waits: false, prompt: false, idle: true  },
    Row { verb: Verb::Noop,     text: "NOOP",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Quit,     text: "QUIT",     waits: false, prompt: true,  idle: false },
    Row { verb: Verb::StartTls, text: "STARTTLS", waits: true,  prompt: true,  idle: false },
    Row { verb: Verb::Auth,     text: "AUTH",     waits: true,  prompt: true,  idle: false },
    Row { verb: Verb::Etrn,     text: "ETRN",     waits: false, prompt: true,  idle: true  },
    // The session begins anew behind it.
    Row { verb: Verb::XClient,  text: "XCLIENT",  waits: true,  prompt: true,  idle: true  },
    Row { verb: Verb::XForward, text: "XFORWARD", waits: false, prompt: false, idle: false },
    Row { verb: Verb::Turn,     text: "TURN",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Send,     text: "SEND",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Soml,     text: "SOML",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Saml,     text: "SAML",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Verbose,  text: "VERB",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Onex,     text: "ONEX",     waits: false, prompt: true,  idle: true  },
];

/// The verbs as they are looked for.
static FRONTS: [Front; VERBS.len()] = {
    let mut fronts = [front(""); VERBS.len()];
    let mut at = 0;
    while at < VERBS.len() {
        fronts[at] = front(VERBS[at].text);
        at += 1;
    }
    fronts
};

impl Verb {
    /// The verb at the front of a line, in any case of letters; `None` if it is not known.
    pub fn of(line: &[u8]) -> Option<Verb> {
        Verb::take(line).map(|(verb, _)| verb)
    }

    /// The verb at the front of a line, and what stands behind it.
    #[inline(always)]
    fn take(line: &[u8]) -> Option<(Verb, &[u8])> {
        let begin = Begin::of(line);
        let (row, front) = VERBS.iter().zip(&FRONTS).find(|(_, front)| begin.is(**front))?;
        let mut rest = line;
        (front.take(&mut rest, begin) && is_end(rest)).then_some((row.verb, rest))
    }

    /// The verb in capitals.
    pub fn as_str(self) -> &'static str {
        self.row().text
    }

    /// Whether a client has to wait for the reply before it sends more.
    pub fn waits(self) -> bool {
        self.row().waits
    }

    /// Whether RFC 2920 §3.2 forbids to hold the reply back.
    pub fn is_prompt(self) -> bool {
        self.row().prompt
    }

    /// Whether it moves no mail.
    pub fn is_idle(self) -> bool {
        self.row().idle
    }

    /// The rows stand in the order of the verbs.
    const fn row(self) -> &'static Row {
        &VERBS[self as usize]
    }
}

/// What is wrong with a command line; always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The verb is not known.
    #[error("the command is not known")]
    Unknown,
    /// The line holds a control octet, or one beyond ASCII.
    #[error("the line holds an octet that no command may hold")]
    Octet,
    /// There is an argument too many, one is missing, or it is not what the verb takes.
    #[error("the arguments do not fit the command")]
    Argument,
    /// The size behind BDAT is none, so nobody knows where its octets end and commands begin again.
    #[error("the size of the chunk is wrong")]
    ChunkSize,
    /// The name behind EHLO, HELO or LHLO is neither a domain nor an address literal.
    #[error("the host name is wrong")]
    HostName,
    /// The path of MAIL is wrong.
    #[error("the sender is wrong: {0}")]
    Sender(AddressError),
    /// The path of RCPT is wrong.
    #[error("the recipient is wrong: {0}")]
    Recipient(AddressError),
    /// A parameter has a wrong value, or is there twice.
    #[error("a parameter has a wrong value or is there twice")]
    Parameter,
    /// A parameter is not known.
    #[error("a parameter is not known")]
    UnknownParameter,
}

impl CommandError {
    /// The reply it implies.
    pub fn reply(&self) -> Reply {
        match self {
            CommandError::Unknown => Reply::enhanced(500, 5, 5, 1, "This command is not known"),
            // RFC 5321 §4.1.2
            CommandError::Octet => Reply::enhanced(501, 5, 5, 2, "The line holds an octet that no command may hold"),
            CommandError::Argument => Reply::enhanced(501, 5, 5, 4, "The arguments do not fit this command"),
            CommandError::ChunkSize => Reply::enhanced(501, 5, 5, 4, "BDAT takes a size, and LAST if nothing follows"),
            CommandError::HostName => Reply::enhanced(501, 5, 5, 4, "This is neither a domain nor an address literal"),
            CommandError::Sender(error) | CommandError::Recipient(error) if error.fault == AddressFault::NonAscii => {
                // RFC 6531 §3.5
                Reply::enhanced(553, 5, 6, 7, "An address beyond ASCII needs SMTPUTF8")
            }
            CommandError::Sender(_) => Reply::enhanced(501, 5, 1, 7, "The address of the sender is wrong"),
            CommandError::Recipient(_) => Reply::enhanced(501, 5, 1, 3, "The address of the recipient is wrong"),
            CommandError::Parameter => Reply::enhanced(501, 5, 5, 4, "A parameter has a wrong value or is there twice"),
            // RFC 5321 §4.1.1.11
            CommandError::UnknownParameter => Reply::enhanced(555, 5, 5, 4, "A parameter is not known"),
        }
    }
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
    let (verb, argument) = Verb::take(line).ok_or_else(|| worst(line, CommandError::Unknown))?;
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

/// Whether a line was never meant for a mail server: a request of HTTP (which browsers can be made to send anywhere, with
/// commands in its body), the line of a proxy that we were not told of, or the banner of SSH.
pub fn is_foreign(line: &[u8]) -> bool {
    #[rustfmt::skip]
    const WORDS: [&str; 11] =
        ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PRI", "PROXY", "PUT", "TRACE"];
    let word = first_word(line);
    WORDS.iter().any(|foreign| foreign.as_bytes().eq_ignore_ascii_case(word)) || word.starts_with(b"SSH-")
}

/// How much of a line may be shown in a log: all of it, but of AUTH only the mechanism. Where AUTH is written wrongly
/// (behind a space, with a tab), a secret may stand there all the same.
pub(crate) fn without_secrets(line: &[u8]) -> &[u8] {
    let verb_start = line.len() - line.trim_ascii_start().len();
    let verb_end = verb_start + Verb::Auth.as_str().len();
    if !line.get(verb_start..verb_end).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH")) {
        return line;
    }
    if Verb::of(line) != Some(Verb::Auth) {
        return &line[..verb_end];
    }
    let argument = line[verb_end..].trim_ascii_start();
    let start = line.len() - argument.len();
    let of_mechanism = |octet: &&u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    &line[..start + argument.iter().take_while(of_mechanism).count()]
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

fn first_word(line: &[u8]) -> &[u8] {
    line.split(|octet| *octet == b' ').next().unwrap_or_default()
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
mod tests {
    use super::*;
    use crate::server::BodyKind;
    use alloc::format;
    use alloc::string::ToString;

    #[track_caller]
    fn code(line: &str) -> u16 {
        parse(line.as_bytes()).expect_err(line).reply().code()
    }

    #[test]
    fn every_verb_has_a_row_of_its_own() {
        for row in &VERBS {
            assert_eq!(row.verb.as_str(), row.text);
            assert_eq!(Verb::of(format!("{} x", row.text.to_lowercase()).as_bytes()), Some(row.verb));
        }
    }

    #[test]
    fn verbs_are_whole_words() {
        for line in ["", "MAILFROM:<a@b.example>", "QUITX", "RSET\u{e9}", "X", "BDAT3", ".", "DATA\t"] {
            assert!(matches!(parse(line.as_bytes()), Err(CommandError::Unknown | CommandError::Octet)), "{line}");
        }
    }

    #[test]
    fn controls_are_refused_anywhere() {
        for line in
            ["EH\rLO x", "NOOP \0", "MAIL FROM:<a\r@b.example>", "MAIL FROM:<a@b.example> SIZE=\r1\r2", "NOOP\t"]
        {
            assert_eq!(parse(line.as_bytes()), Err(CommandError::Octet), "{line:?}");
        }
        assert_eq!(parse(b"RCPT TO:<a\x7f@b.example>"), Err(CommandError::Octet));
        assert_eq!(parse(b"NOOP \xff"), Err(CommandError::Octet));
        assert_eq!(parse(b"RCPT TO:<a\xff@b.example>").unwrap_err().reply().code(), 553);
    }

    #[test]
    fn sizes_of_chunks() {
        for (line, size, last) in [
            ("BDAT 0", 0, false),
            ("bdat 7 last", 7, true),
            ("BDAT 007  LAST ", 7, true),
            ("BDAT 18446744073709551615", u64::MAX, false),
            ("BDAT 18446744073709551617 LAST", u64::MAX, true),
            ("BDAT 999999999999999999999990", u64::MAX, false),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(Command::Bdat { size, last }), "{line}");
        }
        for line in [
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT +1",
            "BDAT 0x10",
            "BDAT 1.0",
            "BDAT LAST",
            "BDAT 5 FIRST",
            "BDAT 5 LAST 6",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(CommandError::ChunkSize), "{line}");
        }
    }

    #[test]
    fn paths_and_their_spaces() {
        for line in ["MAIL FROM:<a@b.example>", "mail from: <a@b.example>", "MAIL  FROM:<a@b.example>  "] {
            let Ok(Command::Mail(mail)) = parse(line.as_bytes()) else { panic!("{line}") };
            assert_eq!(mail.from.to_string(), "<a@b.example>");
        }
        for line in ["MAIL", "MAIL FROM", "MAIL FROM <a@b.example>", "MAIL TO:<a@b.example>", "RCPT FROM:<a@b.example>"]
        {
            assert_eq!(code(line), 501, "{line}");
        }
        for line in ["MAIL FROM:a@b.example", "MAIL FROM:", "RCPT TO:<>", "RCPT TO:<a@b..example>"] {
            assert_eq!(code(line), 501, "{line}");
        }
    }

    #[test]
    fn parameters_of_mail() {
        let line = b"MAIL FROM:<> BODY=8bitmime SIZE=00012 AUTH=e+3Dmc2@example.com";
        let Ok(Command::Mail(mail)) = parse(line) else { panic!() };
        assert!(mail.from.is_null());
        assert_eq!((mail.size, mail.body), (Some(12), BodyKind::EightBitMime));
        assert_eq!(mail.auth.as_deref(), Some("e=mc2@example.com"));
        let Ok(Command::Mail(mail)) = parse(b"MAIL FROM:<> AUTH=<> SIZE=99999999999999999999") else { panic!() };
        assert_eq!((mail.auth.as_deref(), mail.size), (Some(""), Some(u64::MAX)));

        let wrong = [
            "SIZE",
            "SIZE=",
            "SIZE=-1",
            "SIZE=+1",
            "SIZE=1x",
            "SIZE=999999999999999999999990",
            "SIZE=1 SIZE=1",
            "BODY",
            "BODY=9BIT",
            "BODY=7BIT BODY=7BIT",
            "AUTH",
            "AUTH=a",
            "AUTH=a+zz@b.example",
            "AUTH=a+0D@b.example",
            "AUTH=<> AUTH=<>",
            "=1",
            "-X=1",
            "SIZE==1",
            "S\u{e9}=1",
        ];
        for parameter in wrong {
            assert_eq!(code(&format!("MAIL FROM:<a@b.example> {parameter}")), 501, "{parameter}");
        }
        assert_eq!(code("MAIL FROM:<a@b.example>SIZE=1"), 501);
        assert_eq!(code("MAIL FROM:<a@b.example> X-OTHER=1"), 555);
        assert_eq!(code("MAIL FROM:<a@b.example> NOTIFY=NEVER"), 555);
        assert_eq!(code("RCPT TO:<a@b.example> RET=FULL"), 555);
        assert_eq!(code("RCPT TO:<a@b.example> NOTIFY==NEVER"), 501);
    }

    #[test]
    fn utf8_only_where_it_was_announced() {
        let Ok(Command::Mail(mail)) = parse("MAIL FROM:<zoë@b.example> smtputf8".as_bytes()) else { panic!() };
        assert!(mail.smtputf8);
        assert_eq!(mail.from.to_string(), "<zoë@b.example>");
        for (line, expected) in [
            ("MAIL FROM:<zoë@b.example>", 553),
            ("MAIL FROM:<zoë@b.example> SIZE=1", 553),
            ("MAIL FROM:<a@b.example> SMTPUTF8=yes", 501),
            ("MAIL FROM:<a@b.example> SMTPUTF8 SMTPUTF8", 501),
            ("MAIL FROM:<a@b.example> SMTPUTF8 X=é", 501),
            ("RCPT TO:<zoë@b.example>", 553),
            ("RCPT TO:<a@b.example> SMTPUTF8", 555),
            ("VRFY zoë", 501),
            ("VRFY SMTPUTF8", 0),
            ("VRFY zoë smtputf8", 0),
        ] {
            assert_eq!(parse(line.as_bytes()).map_or_else(|error| error.reply().code(), |_| 0), expected, "{line}");
        }
        assert_eq!(parse(b"MAIL FROM:<a\xff@b.example> SMTPUTF8").unwrap_err().reply().code(), 501);
        assert_eq!(parse_in(b"RCPT TO:<a\xff@b.example>", true).unwrap_err().reply().code(), 501);
        assert_eq!(parse(b"VRFY a\xff SMTPUTF8"), Err(CommandError::Octet));
        let Ok(Command::Rcpt(rcpt)) = parse_in("RCPT TO:<zoë@b.example>".as_bytes(), true) else { panic!() };
        assert_eq!(rcpt.to.to_string(), "<zoë@b.example>");
    }

    #[test]
    fn host_names_that_could_break_a_received_field() {
        for name in ["a(b", "a)", "a;b", "a b", "<a>", "a\"", "a\\b", "a,b", "[127.0.0.1] by trusted", ""] {
            assert_eq!(code(&format!("EHLO {name}")), 501, "{name}");
        }
        assert_eq!(code(&format!("EHLO {}", "a".repeat(256))), 501);
        for name in ["a", "a_b.example", "[127.0.0.1]", "[IPv6:::1]", "192.0.2.1"] {
            assert!(parse(format!("EHLO {name}").as_bytes()).is_ok(), "{name}");
        }
    }

    #[test]
    fn secrets_do_not_reach_the_log() {
        assert_eq!(without_secrets(b"AUTH PLAIN AGEAYg=="), b"AUTH PLAIN");
        assert_eq!(without_secrets(b"auth  LOGIN  YQ== YQ=="), b"auth  LOGIN");
        assert_eq!(without_secrets(b"AUTH"), b"AUTH");
        assert_eq!(without_secrets(b"AUTH PLAIN=AGEAYg=="), b"AUTH PLAIN");
        assert_eq!(without_secrets(b" AUTH PLAIN AGEAYg=="), b" AUTH");
        assert_eq!(without_secrets(b"auth\tPLAIN AGEAYg=="), b"auth");
        assert_eq!(without_secrets(b"NOOP x y"), b"NOOP x y");
    }

    #[test]
    fn foreign_words() {
        for line in
            ["GET / HTTP/1.1", "post /", "SSH-2.0-OpenSSH_9.2", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "PRI * HTTP/2.0"]
        {
            assert!(is_foreign(line.as_bytes()), "{line}");
        }
        for line in ["EHLO x", "GETX", "NOOP GET", "", "."] {
            assert!(!is_foreign(line.as_bytes()), "{line}");
        }
    }
}
