//! What a message needs, what a server offers, and the commands that follow from both.

use alloc::string::String;
use core::fmt::Write as _;

use pillarbox_core::address::{Address, Domain, ForwardPath, ReversePath};

use super::dsn::{NotifyWords, Xtext, ret_word};
use super::{Capabilities, Envelope, Lack, Recipient, Submitter};
use crate::server::BodyKind;

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
}

impl Terms {
    /// Compares what the message needs with what the server offers. A domain beyond ASCII takes its form in ASCII where the
    /// server needs that (RFC 6531 §3.2).
    pub(super) fn new(envelope: &mut Envelope, server: &Capabilities, is_tls: bool) -> Result<Self, Lack> {
        if envelope.require_tls && !(is_tls && server.has("REQUIRETLS")) {
            return Err(Lack::RequireTls);
        }
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
        Ok(Terms { size: server.has("SIZE"), utf8_offered, utf8, dsn: server.has("DSN"), auth: server.has("AUTH") })
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
        !self.dsn && recipient.notify.is_some_and(|notify| notify.success)
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
            if let Some(notify) = recipient.notify {
                write!(line, " NOTIFY={}", NotifyWords(notify))?;
            }
            if let Some(orcpt) = &recipient.orcpt {
                line.push_str(" ORCPT=");
                orcpt.write(line, self.utf8)?;
            }
        }
        Ok(())
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
