//! From a configuration to who checks what comes, and signs what goes.

use std::sync::Arc;

use pillarbox::auth::{self, AuthSink, SigningSink, Treatment};
use pillarbox::delivery::{JunkSink, MailboxSink};
use pillarbox::imap_proto::types::MailboxName;
use pillarbox::mailauth::authres::Trusted;
use pillarbox::mailauth::dmarc::{Disposition, DmarcResult, OverrideReason};
use pillarbox::parts::{MessageSink, Parts};

use crate::config::{Authentication, Config, DmarcUse, Listener, Mailboxes, Protocol, Quarantine};
use crate::relaying::is_among;
use crate::signing::Signing;

/// What is put on top of a message that is to be kept apart. Filters of others know the name.
const MARK: &str = "X-Spam: Yes";
/// The mailbox for it, where the account has none for that use.
const JUNK: &str = "Junk";

/// The name in our fields Authentication-Results.
pub fn authserv_id<'a>(config: &'a Config, authentication: &'a Authentication) -> &'a str {
    authentication.authserv_id.as_deref().unwrap_or(&config.hostname)
}

/// Where mail for the accounts goes: what is marked to the mailbox for junk, if that is wanted.
pub fn mailboxes(config: &Config, inbox: MailboxSink) -> Result<Arc<dyn MessageSink>, String> {
    match &config.authentication {
        Some(Authentication {
            dmarc: DmarcUse::Quarantine | DmarcUse::Honour, quarantine: Quarantine::Junk, ..
        }) => {
            let junk = inbox.clone().into_junk(junk_name(&config.mailboxes)?);
            Ok(Arc::new(JunkSink::new(MARK, Arc::new(inbox), Arc::new(junk))))
        }
        _ => Ok(Arc::new(inbox)),
    }
}

/// Its name as the store knows it: with the prefix, and `/` between levels.
fn junk_name(mailboxes: &Mailboxes) -> Result<MailboxName, String> {
    let prefix = mailboxes.prefix.replace(mailboxes.separator.as_char(), "/");
    MailboxName::new(&format!("{prefix}{JUNK}")).map_err(|error| format!("{prefix}{JUNK}: {error}"))
}

/// The sink of a listener in front of that of `parts`.
pub fn sink(config: &Config, listener: &Listener, parts: &Parts, signing: Option<&Signing>) -> Arc<dyn MessageSink> {
    let mut parts = parts.clone();
    if let Some(signing) = signing {
        let hosts = listener.relay_from.clone();
        let sink = SigningSink::new(signing.keys.clone(), &parts);
        let is_ours =
            move |session: &pillarbox::parts::Session| session.identity.is_some() || is_among(&hosts, session.ip);
        parts.sink = Arc::new(sink.signs(move |envelope| is_ours(&envelope.session)));
    }
    match &config.authentication {
        // LMTP comes from a server of ours, which has looked at it.
        Some(authentication) if matches!(listener.protocol, Protocol::Smtp | Protocol::Submission) => {
            Arc::new(checking(config, authentication, listener, &parts))
        }
        _ => parts.sink,
    }
}

fn checking(config: &Config, authentication: &Authentication, listener: &Listener, parts: &Parts) -> AuthSink {
    let mut inbound = auth::Config::new(authserv_id(config, authentication));
    // Readers may believe either name.
    inbound.own = Trusted::new([inbound.authserv_id.as_str(), config.hostname.as_str()]);
    inbound.receiver = config.hostname.parse().ok();
    inbound.received_spf = authentication.received_spf;
    inbound.dmarc.defers_on_temp_error = authentication.defers;
    inbound.trusted_sealers.clone_from(&authentication.trusted_sealers);
    let trusted = authentication.trusted.clone();
    // What comes over a filter does not come from the address of its sender.
    let ours = [&*listener.relay_from, &*listener.xforward].concat();
    let sink = AuthSink::new(inbound, parts).care(move |envelope| {
        let session = &envelope.session;
        match session.ip {
            _ if session.identity.is_some() => Treatment::Strip,
            ip if is_among(&trusted, ip) => Treatment::Pass,
            ip if is_among(&ours, ip) => Treatment::Strip,
            // A socket of this machine, unless a proxy brings somebody whom it does not know.
            None if session.xclient.is_none() => Treatment::Pass,
            _ => Treatment::Check,
        }
    });
    match authentication.dmarc {
        DmarcUse::Honour => sink.quarantine_mark(MARK),
        // What has no author is refused all the same.
        DmarcUse::Quarantine => sink.quarantine_mark(MARK).rule(|_, verdicts| {
            let has_failed = verdicts.dmarc.as_ref().is_some_and(|dmarc| dmarc.result == DmarcResult::Fail);
            if has_failed && verdicts.disposition() == Disposition::Reject {
                verdicts.override_disposition(OverrideReason::LocalPolicy, Disposition::Quarantine);
            }
        }),
        DmarcUse::Monitor => sink.rule(|_, verdicts| {
            if verdicts.disposition() != Disposition::Defer {
                verdicts.override_disposition(OverrideReason::LocalPolicy, Disposition::None);
            }
        }),
    }
}
