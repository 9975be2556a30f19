//! What a message needs, what a server offers, and the commands that follow from both.

use alloc::string::String;
use core::fmt::Write as _;

use pillarbox_core::address::{Address, Domain, ForwardPath, ReversePath};

use super::dsn::{Xtext, ret_word};
use super::{Capabilities, Envelope, Lack, Recipient, Submitter};
use crate::command::{ByMode, DeliverBy, FutureRelease};
use crate::server::{BodyKind, Notify};

/// What a message and a server have agreed on.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The server wants to know the size (RFC 1870 §5).
    size: bool,
    /// The server knows addresses beyond ASCII (RFC 6531).
    utf8_offered: bool,
    /// This message asks for it.
    utf8: bool,
    /// RFC 3461
    dsn: bool,
    /// RFC 4954
    auth: bool,
    /// RFC 6710
    mt_priority: bool,
    /// How soon the message has to be delivered, and whether the server was told (RFC 2852).
    deliver_by: Option<(DeliverBy, bool)>,
}

impl Terms {
    /// Compares what the message needs with what the server offers. A domain beyond ASCII takes its form in ASCII where the
    /// server needs that (RFC 6531 §3.2).
    pub(super) fn new(envelope: &mut Envelope, server: &Capabilities, is_tls: bool) -> Result<Self, Lack> {
        if envelope.require_tls && !(is_tls && server.has("REQUIRETLS")) {
            return Err(Lack::RequireTls);
        }
        if envelope.future_release.is_some_and(|release| !holds(server, release)) {
            return Err(Lack::FutureRelease);
        }
        let deliver_by = match envelope.deliver_by {
            Some(by) => Some((by, keeps(server, by)?)),
            None => None,
        };
        if let (Some(size), Some(max)) = (envelope.size, server.size_max())
            && size > max
        {
            return Err(Lack::Size { max });
        }
        match envelope.body {
            // RFC 6152 §3: converted or returned, but not sent as it is. Converting is not ours: it breaks signatures.
            BodyKind::EightBitMime if !server.has("8BITMIME") => return Err(Lack::EightBitMime),
            // RFC 3030 §3: never under any circumstances.
            BodyKind::BinaryMime if !(server.has("BINARYMIME") && server.has("CHUNKING")) => {
                return Err(Lack::BinaryMime);
            }
            _ => {}
        }
        let utf8_offered = server.has("SMTPUTF8");
        if envelope.smtputf8 && !utf8_offered {
            return Err(Lack::SmtpUtf8);
        }
        if let ReversePath::Address(from) = &envelope.from
            && !utf8_offered
            && !from.is_ascii()
        {
            envelope.from = in_ascii(from, envelope.from_ascii_domain.as_ref()).ok_or(Lack::SmtpUtf8)?.into();
        }
        let utf8 = envelope.smtputf8 || envelope.from.address().is_some_and(|from| !from.is_ascii());
        Ok(Terms {
            size: server.has("SIZE"),
            utf8_offered,
            utf8,
            dsn: server.has("DSN"),
            auth: server.has("AUTH"),
            mt_priority: server.has("MT-PRIORITY"),
            deliver_by,
        })
    }

    /// The same for a recipient, who is going to be asked about if this is no error.
    pub(super) fn add(&mut self, recipient: &mut Recipient) -> Result<(), Lack> {
        let Some(to) = recipient.to.address().filter(|to| !to.is_ascii()) else { return Ok(()) };
        if self.utf8_offered {
            // RFC 6531 §3.4
            self.utf8 = true;
        } else {
            let to = in_ascii(to, recipient.ascii_domain.as_ref()).ok_or(Lack::SmtpUtf8)?;
            recipient.to = to.into();
        }
        Ok(())
    }

    /// Whether a notice that the sender asked for is ours to send once the server took the message for this recipient.
    pub(super) fn notice_due(&self, recipient: &Recipient) -> bool {
        // RFC 3461 §5.2.2 (b)
        let success = !self.dsn && recipient.notify.is_some_and(|notify| notify.success);
        // RFC 2852 §4.1.4, §4.1.4.2
        let handed_on = self.deliver_by.is_some_and(|(by, is_told)| by.trace || !is_told);
        success || (handed_on && !recipient.notify.is_some_and(Notify::is_never))
    }

    /// What the server is asked to tell the sender of this recipient.
    fn notify(&self, recipient: &Recipient) -> Option<Notify> {
        match (recipient.notify, self.deliver_by) {
            // RFC 2852 §4.1.4.2: the next server does not know that the message can be late, but can tell of its delay.
            (None, Some((_, false))) => Some(Notify { failure: true, delay: true, success: false }),
            (Some(notify), Some((_, false))) if !notify.is_never() => Some(Notify { delay: true, ..notify }),
            (notify, _) => notify,
        }
    }

    /// MAIL with its parameters.
    pub(super) fn mail(&self, envelope: &Envelope) -> String {
        let mut line = String::from("MAIL FROM:");
        self.write_mail(&mut line, envelope).expect("a String takes all that is written");
        line
    }

    fn write_mail(&self, line: &mut String, envelope: &Envelope) -> core::fmt::Result {
        write!(line, "{}", envelope.from)?;
        if let Some(size) = envelope.size.filter(|_| self.size) {
            write!(line, " SIZE={size}")?;
        }
        match envelope.body {
            BodyKind::SevenBit => {}
            BodyKind::EightBitMime => line.push_str(" BODY=8BITMIME"),
            BodyKind::BinaryMime => line.push_str(" BODY=BINARYMIME"),
        }
        if self.utf8 {
            line.push_str(" SMTPUTF8");
        }
        if envelope.require_tls {
            line.push_str(" REQUIRETLS");
        }
        if let Some(release) = envelope.future_release {
            write!(line, " {release}")?;
        }
        if let Some((by, true)) = self.deliver_by {
            write!(line, " {by}")?;
        }
        if let Some(priority) = envelope.mt_priority.filter(|_| self.mt_priority) {
            write!(line, " MT-PRIORITY={priority}")?;
        }
        if let Some(ret) = envelope.ret.filter(|_| self.dsn) {
            write!(line, " RET={}", ret_word(ret))?;
        }
        if let Some(envid) = envelope.envid.as_ref().filter(|_| self.dsn) {
            write!(line, " ENVID={}", Xtext(envid.as_str()))?;
        }
        // RFC 4954 §5
        match envelope.submitter.as_ref().filter(|_| self.auth) {
            None => {}
            Some(Submitter::Mailbox(address)) if address.is_ascii() => {
                let mut text = String::new();
                write!(text, "{address}")?;
                write!(line, " AUTH={}", Xtext(&text))?;
            }
            Some(_) => line.push_str(" AUTH=<>"),
        }
        Ok(())
    }

    /// RCPT with its parameters.
    pub(super) fn rcpt(&self, recipient: &Recipient) -> String {
        let mut line = String::from("RCPT TO:");
        self.write_rcpt(&mut line, recipient).expect("a String takes all that is written");
        line
    }

    fn write_rcpt(&self, line: &mut String, recipient: &Recipient) -> core::fmt::Result {
        write!(line, "{}", recipient.to)?;
        if self.dsn {
            if let Some(notify) = self.notify(recipient) {
                write!(line, " NOTIFY={notify}")?;
            }
            if let Some(orcpt) = &recipient.orcpt {
                line.push_str(" ORCPT=");
                orcpt.write(line, self.utf8)?;
            }
        }
        Ok(())
    }
}

/// RFC 4865 §4.1: whether the server holds a message for so long.
fn holds(server: &Capabilities, release: FutureRelease) -> bool {
    let Some(mut limits) = server.parameters("FUTURERELEASE") else { return false };
    let (seconds_max, date_max) = (limits.next(), limits.next());
    match release {
        FutureRelease::For(seconds) => {
            seconds_max.and_then(|max| max.parse().ok()).is_some_and(|max: u32| seconds <= max)
        }
        FutureRelease::Until(date) => {
            let max = date_max.and_then(|max| FutureRelease::parse("HOLDUNTIL", max).ok());
            matches!(max, Some(FutureRelease::Until(max)) if date.unix_seconds() <= max.unix_seconds())
        }
    }
}

/// RFC 2852 §4.1.4: whether the server keeps the time of a message, which one that comes back has to.
fn keeps(server: &Capabilities, by: DeliverBy) -> Result<bool, Lack> {
    if by.mode == ByMode::Return && by.seconds <= 0 {
        return Err(Lack::TimePassed);
    }
    // RFC 2852 §2: the shortest time that a message can ask for that comes back.
    let seconds_min = server.parameters("DELIVERBY").map(|mut minimum| minimum.next().map(str::parse::<i32>));
    match (by.mode, seconds_min) {
        (ByMode::Notify, offer) => Ok(offer.is_some()),
        (ByMode::Return, Some(None)) => Ok(true),
        (ByMode::Return, Some(Some(Ok(min)))) if min <= by.seconds => Ok(true),
        (ByMode::Return, _) => Err(Lack::DeliverBy),
    }
}

/// The address with its domain in A-labels, if nothing else is beyond ASCII.
fn in_ascii(address: &Address<'static>, domain: Option<&Domain<'static>>) -> Option<Address<'static>> {
    let domain = domain.filter(|domain| domain.as_str().is_ascii())?;
    address.local().as_str().is_ascii().then(|| Address::new(address.local().clone(), domain.clone()).ok())?
}

/// The domain of a recipient; `<Postmaster>` has none.
pub(super) fn domain_of<'a>(to: &'a ForwardPath<'static>) -> Option<&'a Domain<'static>> {
    to.address().map(Address::domain)
}
