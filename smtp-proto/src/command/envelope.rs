//! MAIL and RCPT: a path and its parameters.

use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::address::{AddressFault, ForwardPath, ReversePath};

use super::extensions::{self, Extensions};
use super::octets::{Begin, Front, front, take};
use super::parameters::{self, Parameters, once};
use super::{Command, CommandError, dsn, has_last_word, worst};
use crate::server::{Mail, Rcpt};

/// MAIL with its argument.
#[inline(never)]
pub(super) fn mail<'b>(line: &[u8], argument: &'b [u8], understood: &[String]) -> Result<Command<'b>, CommandError> {
    match read_mail(argument, understood) {
        Ok(mail) => Ok(Command::Mail(mail)),
        Err(error) => Err(worst(line, error)),
    }
}

/// RCPT with its argument; in a transaction with SMTPUTF8 or in another.
#[inline(never)]
pub(super) fn rcpt<'b>(
    line: &[u8],
    argument: &'b [u8],
    utf8: bool,
    understood: &[String],
) -> Result<Command<'b>, CommandError> {
    match read_rcpt(argument, utf8, understood) {
        Ok(rcpt) => Ok(Command::Rcpt(rcpt)),
        Err(error) => Err(worst(line, error)),
    }
}

/// `"FROM:" Reverse-path [SP Mail-parameters]`
// Inlined, as its caller's result is large and should be written once.
#[inline(always)]
fn read_mail<'b>(argument: &'b [u8], understood: &[String]) -> Result<Mail<'b>, CommandError> {
    const FROM: Front = front("FROM:");
    const SIZE: Front = front("SIZE=");
    const BODY: Front = front("BODY=");
    const AUTH: Front = front("AUTH=");
    const SMTPUTF8: Front = front("SMTPUTF8");
    const RET: Front = front("RET=");
    const ENVID: Front = front("ENVID=");

    let path = after_keyword(argument, FROM)?;
    // The parameter that allows UTF-8 in the path stands behind it.
    let (from, rest, needs_utf8) = match ReversePath::take(path, false) {
        Ok((from, rest)) => (from, rest, None),
        Err(error) if error.fault == AddressFault::NonAscii => match ReversePath::take(path, true) {
            Ok((from, rest)) => (from, rest, Some(error)),
            Err(invalid) if has_last_word(path, "SMTPUTF8") => return Err(CommandError::Sender(invalid)),
            Err(_) => return Err(CommandError::Sender(error)),
        },
        Err(error) => return Err(CommandError::Sender(error)),
    };
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

/// `"TO:" Forward-path [SP Rcpt-parameters]`
#[inline(always)]
fn read_rcpt<'b>(argument: &'b [u8], utf8: bool, understood: &[String]) -> Result<Rcpt<'b>, CommandError> {
    const TO: Front = front("TO:");
    const NOTIFY: Front = front("NOTIFY=");
    const ORCPT: Front = front("ORCPT=");

    let path = after_keyword(argument, TO)?;
    let (to, rest) = ForwardPath::take(path, utf8).map_err(CommandError::Recipient)?;
    let mut parameters = Parameters::of(rest, utf8)?;
    let (mut notify, mut orcpt, mut others) = (None, None, Vec::new());
    while parameters.next() {
        if parameters.is(NOTIFY) {
            once(&mut notify, dsn::notify(&mut parameters)?)?;
        } else if parameters.is(ORCPT) {
            once(&mut orcpt, dsn::orcpt(parameters.text()?)?)?;
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
fn after_keyword(argument: &[u8], keyword: Front) -> Result<&[u8], CommandError> {
    let mut path = argument;
    if !keyword.take(&mut path, Begin::of(argument)) {
        return Err(CommandError::Argument);
    }
    while take(&mut path, b' ') {}
    Ok(path)
}
