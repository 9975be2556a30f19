//! To other addresses: aliases, and bounces of what was forwarded.

mod aliases;
mod onward;
mod seal;
mod shared;
mod srs;

use std::fmt;
use std::sync::{Arc, Mutex};

use pillarbox_auth::dkim::DomainKey;
use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::header::{self, Fields};
use pillarbox_core::{EnhancedCode, Reply, WallTime};
use pillarbox_spool::{Envelope, Health, Notify, OriginalRecipient, Outcome, Recipient, Ret};

pub use aliases::{AliasError, AliasFault, Aliases};
pub use shared::SharedForward;
pub use srs::{Srs, SrsError};

use super::delivery::{Delivery, HEADER_MAX};
use super::local;
use super::record::Word;
use crate::dsn::Action;
use crate::parts::{MessageSink, Verdict};
pub(super) use onward::Onward;

/// Sends mail on to other addresses, from the queue into the queue, in one commit: the route of addresses that have [`Aliases`], and of the
/// domain of [`Srs`].
///
/// The message gets a `Delivered-To` field with the address that it came for. One that has it already goes in a circle, and goes
/// back (RFC 5321 §6.3). The sender becomes an address of ours, so that SPF lets it pass and bounces come here first; the null
/// sender stays null. With [`seal`](Forward::seal) the message is sealed (RFC 8617).
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use pillarbox::outbound::{Aliases, Forward, Route, Srs};
/// use pillarbox::smtp_proto::route::RouteTable;
///
/// let srs = Srs::new("srs.example.net", ["a secret of some length"])?.own_domain("example.net")?;
/// let aliases = Aliases::parse("info: joe@example.org, ann\n", "example.net")?;
///
/// let mut routes = RouteTable::new();
/// let forward = Arc::new(Forward::new(aliases, Some(srs)));
/// forward.add_to(&mut routes)?;
/// assert!(matches!(routes.route(None, &"info@example.net".parse()?), Some(Route::Forward(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Whether RCPT is accepted is for the policy of the server to say: [`judge`](Forward::judge) answers for these addresses, and
/// [`judge_header`](Forward::judge_header) for circles. A
/// [`SpoolSink`](super::SpoolSink) with mailboxes has to take them for not local.
pub struct Forward {
    aliases: Aliases,
    srs: Option<Srs>,
    seal: Option<DomainKey>,
    mailboxes: Option<Arc<dyn MessageSink>>,
    bounces_to: Option<Address<'static>>,
    authserv_id: Option<String>,
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("aliases", &self.aliases).field("srs", &self.srs).finish_non_exhaustive()
    }
}

impl Forward {
    /// By these aliases; the senders are rewritten if there is a domain for it, and stay as they are otherwise.
    pub const fn new(aliases: Aliases, srs: Option<Srs>) -> Self {
        Forward { aliases, srs, seal: None, mailboxes: None, bounces_to: None, authserv_id: None }
    }

    /// What is sent on is sealed with this key.
    ///
    /// What the seal says of the message is taken from the Authentication-Results field of this host
    /// ([`authserv_id`](Forward::authserv_id)) that stands above all Received fields, where only this host
    /// can have put it. Without one nothing is known of the message, and it is not sealed; nor is one that came with a chain of
    /// which the field does not say whether it is good.
    #[must_use]
    pub fn seal(self, key: DomainKey) -> Self {
        Forward { seal: Some(key), ..self }
    }

    /// The mailboxes for an address that is among its own targets: a copy under the first sender stays there, and is a message of
    /// its own in the queue, so that nothing which becomes of it makes the others get theirs twice or not at all. Without mailboxes
    /// it goes in a circle, and back.
    #[must_use]
    pub fn mailboxes(self, sink: Arc<dyn MessageSink>) -> Self {
        Forward { mailboxes: Some(sink), ..self }
    }

    /// Who gets the bounces of what strangers send to the aliases, in place of the senders that they name: anybody can name somebody who
    /// wrote nothing. A stranger's message goes on under this address, and what becomes of it is told to nobody else, here or
    /// behind the next server; but not where the Authentication-Results field of this host, as for [`seal`](Forward::seal), says that
    /// SPF passed: the sender is true then.
    #[must_use]
    pub fn bounces_to(self, address: Address<'static>) -> Self {
        Forward { bounces_to: Some(address), ..self }
    }

    /// The name under which this host writes Authentication-Results, if it is not
    /// [`OutboundConfig::hostname`](super::OutboundConfig::hostname).
    #[must_use]
    pub fn authserv_id(self, name: impl Into<String>) -> Self {
        Forward { authserv_id: Some(name.into()), ..self }
    }

    /// The name of this host in Authentication-Results.
    fn results_of<'a>(&'a self, config: &'a super::OutboundConfig) -> &'a str {
        self.authserv_id.as_deref().unwrap_or_else(|| config.hostname().as_str())
    }

    /// The addresses that have aliases, and where their mail goes.
    pub const fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// Whether RCPT with an address is accepted, in a message from `sender`: `None` if it is none of these. An address that [`Srs`]
    /// has made takes bounces and nothing else: with another sender anybody who has seen one could send through this host.
    pub fn judge(&self, to: &ForwardPath<'_>, sender: &ReversePath<'_>, now: WallTime) -> Option<Verdict> {
        let address = to.address()?;
        match self.srs.as_ref().and_then(|srs| srs.reverse(address, now)) {
            Some(Ok(_)) if sender.is_null() => Some(Verdict::Accept),
            Some(Ok(_)) => {
                Some(Verdict::Refuse(Reply::enhanced(550, 5, 7, 1, "this address takes bounces and nothing else")))
            }
            Some(Err(error)) => Some(Verdict::Refuse(error.reply())),
            None if self.aliases.of(address).is_some() => Some(Verdict::Accept),
            // A domain that has no others.
            None => self.is_ours(address).then(|| Verdict::Refuse(SrsError::Forged.reply())),
        }
    }

    /// Whether a message with this header goes in a circle, for all of its recipients: it has been at each of them before. `None`
    /// if not. Refused while it comes in, it sets off no notice of ours.
    pub fn judge_header(&self, recipients: &[ForwardPath<'_>], header: &[u8]) -> Option<Verdict> {
        let goes_round = |to: &ForwardPath<'_>| self.takes(to) && to.address().is_some_and(|to| was_here(header, to));
        let is_circle = !recipients.is_empty() && recipients.iter().all(goes_round);
        let why = "the message has been at this address before: it goes in a circle";
        is_circle.then(|| Verdict::Refuse(Reply::enhanced(550, 5, 4, 6, why)))
    }

    /// Whether mail for an address is sent on, and does not belong into a mailbox at once.
    pub fn takes(&self, to: &ForwardPath<'_>) -> bool {
        to.address().is_some_and(|address| self.aliases.of(address).is_some() || self.is_ours(address))
    }

    /// Where the copies go that stay here.
    pub(super) fn mailboxes_of_kept(&self) -> Option<&Arc<dyn MessageSink>> {
        self.mailboxes.as_ref()
    }

    fn is_ours(&self, address: &Address<'_>) -> bool {
        self.srs.as_ref().is_some_and(|srs| srs.domain().eq_ignore_ascii_case(address.domain().as_str()))
    }

    /// Sets the routes of all these addresses.
    ///
    /// # Errors
    ///
    /// [`RouteTableError`](pillarbox_smtp::route::RouteTableError) if one of them has a route.
    pub fn add_to(
        self: &Arc<Self>,
        routes: &mut pillarbox_smtp::route::RouteTable<super::Route>,
    ) -> Result<(), pillarbox_smtp::route::RouteTableError> {
        let patterns = self.aliases.names().chain(self.srs.as_ref().map(|srs| srs.domain().as_str()));
        patterns
            .into_iter()
            .try_for_each(|pattern| routes.by_recipient(pattern, super::Route::Forward(Arc::clone(self))))
    }

    fn targets(&self, to: &Address<'_>, now: WallTime) -> Result<Vec<Address<'static>>, SrsError> {
        match self.srs.as_ref().and_then(|srs| srs.reverse(to, now)) {
            Some(original) => Ok(vec![original?]),
            None => self.aliases.of(to).map(<[_]>::to_vec).ok_or(SrsError::Forged),
        }
    }

    /// The sender of what is sent on; `is_vouched`: this host has found that it is who it says.
    fn sender(
        &self,
        before: &Envelope,
        is_vouched: impl FnOnce() -> bool,
        now: WallTime,
    ) -> Result<ReversePath<'static>, SrsError> {
        if let Some(ours) = &self.bounces_to
            && !before.is_own
            && !before.from.is_null()
            && !is_vouched()
        {
            return Ok(ReversePath::Address(ours.clone()));
        }
        match (&before.from, &self.srs) {
            (ReversePath::Address(address), Some(srs)) if before.is_own => {
                srs.rewrite(address, now).map(ReversePath::Address)
            }
            (ReversePath::Address(address), Some(srs)) => srs.rewrite_any(address, now).map(ReversePath::Address),
            _ => Ok(before.from.clone()),
        }
    }
}

/// Sends the message on for all open recipients, each by itself.
pub(super) async fn deliver(delivery: &mut Delivery, forward: &Arc<Forward>) {
    for recipient in std::mem::take(&mut delivery.open) {
        let (word, onward) = send_on(delivery, forward, recipient).await;
        match onward {
            // Now, and not with the others: what was written for this one waits in memory until then.
            Some(onward) => {
                let (shared, message) = (Arc::clone(&delivery.shared), Arc::clone(&delivery.message));
                shared.record_onward(&message, word, onward).await;
                delivery.recorded.push(recipient);
            }
            None => delivery.words.push(word),
        }
    }
    delivery.health = Health::Good;
}

/// What is to be written down about a recipient, and what is to be queued with it in the same commit.
async fn send_on(delivery: &mut Delivery, forward: &Arc<Forward>, recipient: u32) -> (Word, Option<Onward>) {
    let failed = |delivery: &Delivery, status: (u8, u16, u16), why: String| {
        let (class, subject, detail) = status;
        Word::of(recipient, delivery.our(Outcome::Failed, EnhancedCode::new(class, subject, detail), why))
    };
    let now = delivery.wall();
    if delivery.message.envelope.is_kept {
        return (Word::of(recipient, trouble(delivery, "there are no mailboxes for the copy that stays")), None);
    }
    let Some(to) = address_of(delivery, recipient) else {
        return (failed(delivery, (5, 1, 1), "the recipient is no address".into()), None);
    };
    let mut targets = match forward.targets(&to, now) {
        Ok(targets) => targets,
        Err(error) => return (failed(delivery, (5, 1, 1), error.to_string()), None),
    };
    let (content, disk) = (Arc::clone(&delivery.body), delivery.shared.disk.clone());
    let head = match disk.run(move || content.read(0, HEADER_MAX)).await {
        Ok(head) => head,
        Err(error) => return (Word::of(recipient, trouble(delivery, &error.to_string())), None),
    };
    if was_here(&head, &to) {
        let why = format!("the message has been at {to} before: it goes in a circle");
        return (failed(delivery, (5, 4, 6), why), None);
    }
    let is_list = targets.len() > 1;
    let mut kept = None;
    if let Some(sink) = &forward.mailboxes {
        let (key, all) = (aliases::key_of(&to), targets.len());
        targets.retain(|target| aliases::key_of(target) != key);
        if targets.is_empty() {
            let words = local::hand_over(delivery, &**sink, &[recipient]).await;
            let nothing = || Word::of(recipient, trouble(delivery, "the sink gave no outcome"));
            return (words.into_iter().next().unwrap_or_else(nothing), None);
        }
        if targets.len() < all {
            let from = delivery.message.envelope.from.clone();
            let path = ForwardPath::Address(to.clone());
            kept = Some(envelope(delivery, recipient, &to, from, [path], is_list));
        }
    }
    let number = targets.len();
    let stays = if kept.is_some() { ", and a copy stays" } else { "" };
    let host = forward.results_of(&delivery.shared.config);
    let is_vouched = || {
        let from = delivery.message.envelope.from.address();
        from.is_some_and(|from| seal::is_sender_true(&head, host, from))
    };
    let (others, word) = match forward.sender(&delivery.message.envelope, is_vouched, now) {
        Ok(from) => {
            let paths = targets.into_iter().map(ForwardPath::Address);
            let others = envelope(delivery, recipient, &to, from, paths, is_list);
            let why = format!("sent on to {number} addresses{stays}");
            let attempt = delivery.our(Outcome::Relayed, EnhancedCode::new(2, 1, 5), why);
            // RFC 3461 §5.2.7.3: of a list the sender hears here, of a single address there.
            (Some(others), Word { action: is_list.then_some(Action::Expanded), ..Word::of(recipient, attempt) })
        }
        Err(error) => (None, failed(delivery, (5, 1, 7), format!("not sent on{stays}: {error}"))),
    };
    if let Some(kept) = &mut kept {
        kept.is_kept = true;
    }
    if others.is_none() && kept.is_none() {
        return (word, None);
    }
    let (forward, content) = (Arc::clone(forward), Arc::clone(&delivery.body));
    let onward = Onward { forward, content, head, to, now, others, kept, written: Mutex::default() };
    let shared = Arc::clone(&delivery.shared);
    let prepared = delivery.shared.disk.run(move || onward.prepare(&shared).map(|()| onward)).await;
    match prepared {
        Ok(onward) => (word, Some(onward)),
        Err(error) => (Word::of(recipient, trouble(delivery, &error.to_string())), None),
    }
}

fn trouble(delivery: &Delivery, why: &str) -> pillarbox_spool::Attempt {
    delivery.our(Outcome::Delayed, EnhancedCode::new(4, 3, 0), why)
}

fn address_of(delivery: &Delivery, recipient: u32) -> Option<Address<'static>> {
    let at = usize::try_from(recipient).ok()?;
    match &delivery.message.envelope.recipients.get(at)?.to {
        ForwardPath::Address(address) => Some(address.clone()),
        ForwardPath::Postmaster => {
            let own = delivery.shared.config.hostname();
            Address::parse(&format!("postmaster@{own}")).ok().map(Address::into_owned)
        }
    }
}

/// Whether the message has been sent on from this address before.
fn was_here(head: &[u8], to: &Address<'_>) -> bool {
    let (header, _) = header::split(head);
    let key = aliases::key_of(to);
    Fields::new(header).filter(|field| field.name_is("Delivered-To")).any(|field| {
        let value = std::str::from_utf8(field.value).unwrap_or_default();
        Address::parse_utf8(value.trim()).is_ok_and(|address| aliases::key_of(&address) == key)
    })
}

/// The envelope of what is sent on. All that was said of the message stays with it.
fn envelope(
    delivery: &Delivery,
    recipient: u32,
    to: &Address<'_>,
    from: ReversePath<'static>,
    paths: impl IntoIterator<Item = ForwardPath<'static>>,
    is_list: bool,
) -> Envelope {
    let before = &delivery.message.envelope;
    let known = usize::try_from(recipient).ok().and_then(|at| before.recipients.get(at));
    let notify = known.and_then(|known| known.notify);
    let notify = notify.map(|notify| Notify { success: notify.success && !is_list, ..notify });
    // RFC 3461 §5.2.7.1
    let orcpt = known
        .and_then(|known| known.orcpt.clone())
        .or_else(|| to.is_ascii().then(|| OriginalRecipient { addr_type: "rfc822".into(), address: to.to_string() }));
    let recipients = paths.into_iter().map(|path| {
        let mut recipient = Recipient::new(path);
        (recipient.notify, recipient.orcpt) = (notify, orcpt.clone());
        recipient
    });
    let is_rewritten = from != before.from;
    let mut envelope = Envelope::new(delivery.wall(), from, recipients);
    (envelope.envid, envelope.ret) = (before.envid.clone(), before.ret);
    (envelope.body, envelope.smtputf8) = (before.body, before.smtputf8);
    (envelope.require_tls, envelope.deliver_by) = (before.require_tls, before.deliver_by);
    (envelope.priority, envelope.is_last) = (before.priority, before.is_last);
    envelope.is_own = before.is_own || is_rewritten;
    if !before.is_own {
        // Who wrote it is not known: what somebody else may get unasked is short.
        envelope.ret = Some(Ret::Hdrs);
    }
    envelope
}
