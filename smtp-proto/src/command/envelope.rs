//! MAIL and RCPT: a path and its parameters.

use alloc::string::String;

use pillarbox_core::address::{AddressFault, ForwardPath, ReversePath};

use super::octets::{Folded, Front, front, take};
use super::parameters::{self, Parameters, once};
use super::{Command, CommandError, dsn, extensions, has_last_word};
use crate::server::{Mail, Rcpt};

/// `"FROM:" Reverse-path [SP Mail-parameters]`
#[inline]
pub(super) fn mail<'b>(argument: &'b [u8], understood: &[String]) -> Result<Command<'b>, CommandError> {
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
    let mut mail = Mail::new(from);
    let mut body = None;
    while parameters.next() {
        if parameters.is(SIZE) {
            once(&mut mail.size, parameters.size()?)?;
        } else if parameters.is(BODY) {
            once(&mut body, parameters.body()?)?;
        } else if parameters.is_bare(SMTPUTF8) {
            if mail.smtputf8 {
                return Err(CommandError::Parameter);
            }
            mail.smtputf8 = true;
        } else if parameters.is(AUTH) {
            once(&mut mail.auth, parameters::auth(parameters.text()?)?)?;
        } else if parameters.is(RET) {
            once(&mut mail.ret, dsn::ret(parameters.text()?)?)?;
        } else if parameters.is(ENVID) {
            once(&mut mail.envid, dsn::envid(parameters.text()?)?)?;
        } else {
            let (keyword, value) = other(&mut parameters, &["SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"])?;
            extensions::of_mail(&mut mail, keyword, value, understood)?;
        }
    }
    mail.body = body.unwrap_or_default();
    match needs_utf8 {
        Some(error) if !mail.smtputf8 => Err(CommandError::Sender(error)),
        _ => Ok(Command::Mail(mail)),
    }
}

/// `"TO:" Forward-path [SP Rcpt-parameters]`
#[inline]
pub(super) fn rcpt<'b>(argument: &'b [u8], utf8: bool, understood: &[String]) -> Result<Command<'b>, CommandError> {
    const TO: Front = front("TO:");
    const NOTIFY: Front = front("NOTIFY=");
    const ORCPT: Front = front("ORCPT=");

    let path = after_keyword(argument, TO)?;
    let (to, rest) = ForwardPath::take(path, utf8).map_err(CommandError::Recipient)?;
    let mut parameters = Parameters::of(rest, utf8)?;
    let mut rcpt = Rcpt::new(to, 0);
    while parameters.next() {
        if parameters.is(NOTIFY) {
            once(&mut rcpt.notify, dsn::notify(&mut parameters)?)?;
        } else if parameters.is(ORCPT) {
            once(&mut rcpt.orcpt, dsn::orcpt(parameters.text()?)?)?;
        } else {
            let (keyword, value) = other(&mut parameters, &["NOTIFY", "ORCPT"])?;
            extensions::keep(&mut rcpt.others, keyword, value, understood)?;
        }
    }
    Ok(Command::Rcpt(rcpt))
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
    if !keyword.take(&mut path, Folded::of(argument)) {
        return Err(CommandError::Argument);
    }
    while take(&mut path, b' ') {}
    Ok(path)
}
