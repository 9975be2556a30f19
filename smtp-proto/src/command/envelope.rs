//! MAIL and RCPT: a path and its parameters.

use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::address::{AddressError, AddressFault, ForwardPath, ReversePath};

use super::extensions::{self, Extensions};
use super::octets::{Begin, Front, front, take};
use super::parameters::{self, Parameters, once};
use super::{Command, CommandError, dsn, has_last_word, worst};
use crate::server::{Mail, Rcpt};

// A command is large. So that it is written once, where the caller wants it, what makes it is inlined into the two functions
// that return it; senders and recipients of a rare form go another way.

/// `"FROM:" Reverse-path [SP Mail-parameters]`
#[inline(never)]
pub(super) fn mail<'b>(line: &[u8], argument: &'b [u8], understood: &[String]) -> Result<Command<'b>, CommandError> {
    let Some(path) = after_keyword(argument, const { front("FROM:") }) else {
        return Err(worst(line, CommandError::Argument));
    };
    let Some((from, rest)) = ReversePath::take_plain(path) else { return any_mail(line, path, understood) };
    match mail_parameters(from, rest, None, understood) {
        Ok(mail) => Ok(Command::Mail(mail)),
        Err(error) => Err(worst(line, error)),
    }
}

/// MAIL with a sender of any form.
#[cold]
fn any_mail<'b>(line: &[u8], path: &'b [u8], understood: &[String]) -> Result<Command<'b>, CommandError> {
    // The parameter that allows UTF-8 in the path stands behind it.
    let read = match ReversePath::take(path, false) {
        Ok((from, rest)) => Ok((from, rest, None)),
        Err(error) if error.fault == AddressFault::NonAscii => match ReversePath::take(path, true) {
            Ok((from, rest)) => Ok((from, rest, Some(error))),
            Err(invalid) if has_last_word(path, "SMTPUTF8") => Err(invalid),
            Err(_) => Err(error),
        },
        Err(error) => Err(error),
    };
    let mail = read
        .map_err(CommandError::Sender)
        .and_then(|(from, rest, needs_utf8)| mail_parameters(from, rest, needs_utf8, understood));
    mail.map(Command::Mail).map_err(|error| worst(line, error))
}

/// `"TO:" Forward-path [SP Rcpt-parameters]`, in a transaction with SMTPUTF8 or in another.
#[inline(never)]
pub(super) fn rcpt<'b>(
    line: &[u8],
    argument: &'b [u8],
    utf8: bool,
    understood: &[String],
) -> Result<Command<'b>, CommandError> {
    let Some(path) = after_keyword(argument, const { front("TO:") }) else {
        return Err(worst(line, CommandError::Argument));
    };
    let Some((to, rest)) = ForwardPath::take_plain(path) else { return any_rcpt(line, path, utf8, understood) };
    match rcpt_parameters(to, rest, utf8, understood) {
        Ok(rcpt) => Ok(Command::Rcpt(rcpt)),
        Err(error) => Err(worst(line, error)),
    }
}

/// RCPT with a recipient of any form.
#[cold]
fn any_rcpt<'b>(line: &[u8], path: &'b [u8], utf8: bool, understood: &[String]) -> Result<Command<'b>, CommandError> {
    let read = ForwardPath::take(path, utf8).map_err(CommandError::Recipient);
    let rcpt = read.and_then(|(to, rest)| rcpt_parameters(to, rest, utf8, understood));
    rcpt.map(Command::Rcpt).map_err(|error| worst(line, error))
}

/// Reads what stands behind the sender. `needs_utf8` is what is wrong with the sender where SMTPUTF8 is not among it.
#[inline(always)]
fn mail_parameters<'b>(
    from: ReversePath<'b>,
    rest: &'b [u8],
    needs_utf8: Option<AddressError>,
    understood: &[String],
) -> Result<Mail<'b>, CommandError> {
    const SIZE: Front = front("SIZE=");
    const BODY: Front = front("BODY=");
    const AUTH: Front = front("AUTH=");
    const SMTPUTF8: Front = front("SMTPUTF8");
    const RET: Front = front("RET=");
    const ENVID: Front = front("ENVID=");

    let mut parameters = Parameters::of(rest, false)?;
    let (mut size, mut body, mut smtputf8, mut auth, mut ret, mut envid) = (None, None, None, None, None, None);
    let mut rare = Extensions::default();
    while parameters.next() {
        if parameters.is(SIZE) {
            once(&mut size, parameters.size()?)?;
        } else if parameters.is(BODY) {
            once(&mut body, parameters.body()?)?;
        } else if parameters.is_bare(SMTPUTF8) {
            once(&mut smtputf8, ())?;
        } else if parameters.is(AUTH) {
            once(&mut auth, parameters::auth(parameters.text()?)?)?;
        } else if parameters.is(RET) {
            once(&mut ret, dsn::ret(parameters.text()?)?)?;
        } else if parameters.is(ENVID) {
            once(&mut envid, dsn::envid(parameters.text()?)?)?;
        } else {
            let (keyword, value) = other(&mut parameters, &["SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"])?;
            rare.read(keyword, value, understood)?;
        }
    }
    if let (Some(error), None) = (needs_utf8, smtputf8) {
        return Err(CommandError::Sender(error));
    }
    let Extensions { require_tls, future_release, deliver_by, mt_priority, others } = rare;
    Ok(Mail {
        from,
        size,
        body: body.unwrap_or_default(),
        auth,
        smtputf8: smtputf8.is_some(),
        ret,
        envid,
        require_tls,
        future_release,
        deliver_by,
        mt_priority,
        others,
    })
}

/// Reads what stands behind the recipient.
#[inline(always)]
fn rcpt_parameters<'b>(
    to: ForwardPath<'b>,
    rest: &'b [u8],
    utf8: bool,
    understood: &[String],
) -> Result<Rcpt<'b>, CommandError> {
    const NOTIFY: Front = front("NOTIFY=");
    const ORCPT: Front = front("ORCPT=");

    let mut parameters = Parameters::of(rest, utf8)?;
    let (mut notify, mut orcpt, mut others) = (None, None, Vec::new());
    while parameters.next() {
        if parameters.is(NOTIFY) {
            once(&mut notify, dsn::notify(&mut parameters)?)?;
        } else if parameters.is(ORCPT) {
            once(&mut orcpt, dsn::orcpt(&mut parameters)?)?;
        } else {
            let (keyword, value) = other(&mut parameters, &["NOTIFY", "ORCPT"])?;
            extensions::keep(&mut others, keyword, value, understood)?;
        }
    }
    Ok(Rcpt { to, index: 0, notify, orcpt, others })
}

/// A parameter that is none of those in `known`. With one of their keywords it lacks the value that belongs to it, or has one
/// where none belongs.
#[cold]
fn other<'b>(parameters: &mut Parameters<'b>, known: &[&str]) -> Result<(&'b str, Option<&'b str>), CommandError> {
    let (keyword, value) = parameters.whole()?;
    if known.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
        return Err(CommandError::Parameter);
    }
    Ok((keyword, value))
}

/// What stands behind `FROM:` or `TO:`.
// Deviates from RFC 5321 §3.3: because clients put a space behind the colon, and nothing else can be meant by it.
#[inline(always)]
fn after_keyword(argument: &[u8], keyword: Front) -> Option<&[u8]> {
    let mut path = argument;
    if !keyword.take(&mut path, Begin::of(argument)) {
        return None;
    }
    while take(&mut path, b' ') {}
    Some(path)
}
