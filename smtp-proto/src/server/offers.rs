//! What EHLO offers, and what of it a MAIL command may use: the two read the same switches, so that nothing is taken that was
//! not offered (RFC 5321 §4.1.1.11).

use alloc::string::String;
use core::fmt::Write as _;

use pillarbox_core::address::{Domain, ForwardPath, ReversePath};
use pillarbox_core::sasl::Mechanism;
use pillarbox_core::{Reply, WallTime};

use super::session::ServerSession;
use super::state::Kind;
use super::{BodyKind, Mail, Protocol, Rcpt, ServerConfig, replies};
use crate::command::{ByMode, CommandError, Utc, XCLIENT, XFORWARD};

/// RFC 4865 §3: an interval has nine digits at most.
const HOLD_MAX: u32 = 999_999_999;
/// RFC 9422: a limit has six digits at most.
const TOLD_MAX: u64 = 999_999;

impl ServerSession {
    /// The reply to EHLO or LHLO: what is on offer here and now.
    pub(super) fn offers(&self) -> Reply {
        let config = &*self.config;
        let mut text = config.hostname.clone();
        text.push_str("\nPIPELINING");
        // Writing to a String does not fail.
        let _ = write!(text, "\nSIZE {}", config.limits.message_size_max);
        text.push_str("\n8BITMIME\nENHANCEDSTATUSCODES");
        for (offered, keyword) in [
            (config.chunking, "\nCHUNKING"),
            // RFC 3030 §3: it cannot come but in chunks.
            (config.chunking && config.binary_mime, "\nBINARYMIME"),
            (config.smtputf8, "\nSMTPUTF8"),
            (config.dsn, "\nDSN"),
            (self.offers_require_tls(), "\nREQUIRETLS"),
            (config.offers_etrn(), "\nETRN"),
            (config.expn, "\nEXPN"),
        ] {
            if offered {
                text.push_str(keyword);
            }
        }
        self.offer_times(&mut text);
        for (trusted, keyword, attributes) in
            [(self.may_xclient, "\nXCLIENT ", XCLIENT), (self.may_xforward, "\nXFORWARD ", XFORWARD)]
        {
            if trusted {
                text.push_str(keyword);
                text.push_str(attributes);
            }
        }
        if config.tell_limits {
            offer_limits(&mut text, config);
        }
        // RFC 3207 §4.2: not a second time.
        if config.starttls && self.tls.is_none() && !self.proxied {
            text.push_str("\nSTARTTLS");
        }
        // RFC 4954 §6: what the lack of encryption forbids is not advertised.
        if self.may_log_in() {
            let possible = config.mechanisms.iter().filter(|mechanism| {
                // For CRAM-MD5 the embedder is asked for a challenge.
                mechanism.is_possible(self.tls.as_ref()) || **mechanism == Mechanism::CramMd5
            });
            for (index, mechanism) in possible.enumerate() {
                text.push_str(if index == 0 { "\nAUTH " } else { " " });
                text.push_str(mechanism.name());
            }
        }
        for line in config.ehlo_keywords.iter().filter(|line| is_ehlo_line(line)) {
            text.push('\n');
            text.push_str(line);
        }
        Reply::new(250, text)
    }

    /// The keywords of FUTURERELEASE, DELIVERBY and MT-PRIORITY with what stands behind them.
    fn offer_times(&self, text: &mut String) {
        let config = &*self.config;
        // Writing to a String does not fail.
        if let Some((hold_max, date)) = self.offers_future_release() {
            let until = WallTime::new(date.unix_seconds().saturating_add(i64::from(hold_max)), 0);
            let _ = write!(text, "\nFUTURERELEASE {hold_max} {}", Utc(until));
        }
        match config.deliver_by {
            // RFC 2852 §2 (3): without a number nothing is said about it.
            Some(0) => text.push_str("\nDELIVERBY"),
            Some(least) => {
                let _ = write!(text, "\nDELIVERBY {}", least.min(HOLD_MAX));
            }
            None => {}
        }
        if let Some(profile) = &config.mt_priority {
            text.push_str("\nMT-PRIORITY");
            // RFC 6710 §7
            let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
            if (1..=20).contains(&profile.len()) && profile.bytes().all(fits) {
                text.push(' ');
                text.push_str(profile);
            }
        }
    }

    /// RFC 8689 §2: a client may ask for it under TLS only, so it is not on offer before.
    fn offers_require_tls(&self) -> bool {
        self.config.require_tls && self.tls.is_some()
    }

    /// The longest hold, and what date it is.
    fn offers_future_release(&self) -> Option<(u32, WallTime)> {
        // RFC 4865 §4.2 (2)
        let hold_max = self.config.future_release.filter(|_| self.config.submission)?;
        Some((hold_max.clamp(1, HOLD_MAX), self.date()?))
    }

    /// Whether a MAIL command uses what is on offer, and only that.
    pub(super) fn check_mail(&self, mail: &Mail<'_>) -> Result<Kind, Reply> {
        let config = &*self.config;
        // RFC 1870 §6.1
        if mail.size.is_some_and(|size| size > config.limits.message_size_max) {
            return Err(replies::too_large());
        }
        for (used, offered) in [
            (mail.auth.is_some(), !config.mechanisms.is_empty()),
            (mail.smtputf8, config.smtputf8),
            (mail.ret.is_some() || mail.envid.is_some(), config.dsn),
            (mail.require_tls, config.require_tls),
            (mail.future_release.is_some(), self.offers_future_release().is_some()),
            (mail.deliver_by.is_some(), config.deliver_by.is_some()),
            (mail.mt_priority.is_some(), config.mt_priority.is_some()),
        ] {
            // RFC 5321 §4.1.1.11: a parameter of an extension that is not offered.
            if used && !offered {
                return Err(CommandError::UnknownParameter.reply());
            }
        }
        let kind = Kind { binary: mail.body == BodyKind::BinaryMime, utf8: mail.smtputf8 };
        if kind.binary && !(config.chunking && config.binary_mime) {
            return Err(CommandError::Parameter.reply());
        }
        // RFC 8689 §2: it would be a promise that is broken already.
        if mail.require_tls && self.tls.is_none() {
            return Err(replies::require_tls_without_tls(config.starttls));
        }
        self.check_times(mail)?;
        match &mail.from {
            ReversePath::Address(from) if config.submission && !is_qualified(from.domain()) => {
                Err(replies::unqualified(8))
            }
            _ => Ok(kind),
        }
    }

    /// Whether a message can be held as long, and delivered as soon, as MAIL asks for.
    fn check_times(&self, mail: &Mail<'_>) -> Result<(), Reply> {
        let least = self.config.deliver_by.unwrap_or_default();
        if let Some(by) = mail.deliver_by
            && by.mode == ByMode::Return
            && i64::from(by.seconds) < i64::from(least)
        {
            // RFC 2852 §3
            return Err(replies::deliver_by_too_soon(least));
        }
        if let (Some(release), Some((hold_max, date))) = (mail.future_release, self.offers_future_release()) {
            let hold = release.seconds_from(date);
            // RFC 4865 §4.2 (7), (8), (10), (11)
            if hold < 0 || hold > i64::from(hold_max) {
                return Err(CommandError::Parameter.reply());
            }
            // RFC 4865 §5.2.2: it would be late before it is sent.
            if mail.deliver_by.is_some_and(|by| hold > i64::from(by.seconds)) {
                return Err(CommandError::Parameter.reply());
            }
        }
        Ok(())
    }

    /// Whether a RCPT command uses what is on offer, and only that.
    pub(super) fn check_rcpt(&self, rcpt: &Rcpt<'_>) -> Result<(), Reply> {
        if (rcpt.notify.is_some() || rcpt.orcpt.is_some()) && !self.config.dsn {
            return Err(CommandError::UnknownParameter.reply());
        }
        match &rcpt.to {
            ForwardPath::Address(to) if self.config.submission && !is_qualified(to.domain()) => {
                Err(replies::unqualified(2))
            }
            _ => Ok(()),
        }
    }
}

impl ServerConfig {
    /// RFC 6409 §7: not for submission. LMTP has no queue that could be run.
    pub(super) fn offers_etrn(&self) -> bool {
        self.etrn && !self.submission && self.protocol == Protocol::Smtp
    }
}

/// RFC 9422: what is told is what is enforced.
fn offer_limits(text: &mut String, config: &ServerConfig) {
    let limits = &config.limits;
    let told = |limit: u64| limit.clamp(1, TOLD_MAX);
    // Writing to a String does not fail.
    let _ = write!(text, "\nLIMITS RCPTMAX={}", told(limits.recipients_max as u64));
    if let Some(mails) = limits.mails_max {
        let _ = write!(text, " MAILMAX={}", told(u64::from(mails)));
    }
    if let Some(domains) = limits.recipient_domains_max {
        let _ = write!(text, " RCPTDOMAINMAX={}", told(u64::from(domains)));
    }
}

/// RFC 6409 §4.2. An address literal needs no domain, and `localhost` is the whole of a name (RFC 6761 §6.3).
fn is_qualified(domain: &Domain<'_>) -> bool {
    let name = domain.as_str();
    name.starts_with('[') || name.contains('.') || name.eq_ignore_ascii_case("localhost")
}

/// RFC 5321 §4.1.1.1: `ehlo-keyword *( SP ehlo-param )`
fn is_ehlo_line(line: &str) -> bool {
    let mut words = line.split(' ');
    let keyword = words.next().unwrap_or_default();
    keyword.starts_with(|first: char| first.is_ascii_alphanumeric())
        && keyword.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && words.all(|word| !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ehlo() {
        for line in ["X-A", "1 a b", "NO-SOLICITING net.example:ADV"] {
            assert!(is_ehlo_line(line), "{line}");
        }
        for line in ["", " X", "-X", "X  a", "X ", "X\na", "X a\rb", "X\u{e9}", "X \u{e9}", "X_Y"] {
            assert!(!is_ehlo_line(line), "{line:?}");
        }
    }

    #[test]
    fn qualified_domains() {
        let qualified = |name: &str| is_qualified(&Domain::parse(name).unwrap());
        for name in ["a.example", "[192.0.2.1]", "LocalHost"] {
            assert!(qualified(name), "{name}");
        }
        for name in ["sales", "localhost1"] {
            assert!(!qualified(name), "{name}");
        }
    }
}
