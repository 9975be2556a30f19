//! To other addresses: aliases, and bounces of what was forwarded.

mod aliases;
mod seal;
mod srs;

use std::fmt;
use std::sync::Arc;

use pillarbox_auth::dkim::DomainKey;
use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::header::{self, Fields};
use pillarbox_core::{EnhancedCode, WallTime};
use pillarbox_spool::{Envelope, Health, MessageId, Notify, OriginalRecipient, Outcome, Recipient, StoreError};

pub use aliases::{AliasError, AliasFault, Aliases};
pub use srs::{Srs, SrsError};

use super::body::Content;
use super::delivery::{Delivery, HEADER_MAX};
use super::local;
use super::record::Word;
use crate::dsn::Action;
use crate::parts::{MessageSink, QueueEvent, Verdict};
use seal::Seal;

/// Octets that are copied at a time.
const PIECE: usize = 64 * 1024;

/// Sends mail on to other addresses, from the queue into the queue: the route of addresses that have [`Aliases`], and of the
/// domain of [`Srs`].
///
/// The message gets a `Delivered-To` field with the address that it came for. One that has it already goes in a circle, and goes
/// back (RFC 5321 §6.3). The sender becomes an address of ours, so that SPF lets it pass and bounces come here first; the null
/// sender stays null. With [`seal`](Forward::seal) the message is sealed (RFC 8617).
///
/// ```
/// use std::sync::Arc;
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
/// Whether RCPT is accepted is for the policy of the server to say: [`judge`](Forward::judge) answers for these addresses. A
/// [`SpoolSink`](super::SpoolSink) with mailboxes has to take them for not local.
pub struct Forward {
    aliases: Aliases,
    srs: Option<Srs>,
    seal: Option<DomainKey>,
    mailboxes: Option<Arc<dyn MessageSink>>,
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("aliases", &self.aliases).field("srs", &self.srs).finish_non_exhaustive()
    }
}

impl Forward {
    /// By these aliases; the senders are rewritten if there is a domain for it, and stay as they are otherwise.
    pub const fn new(aliases: Aliases, srs: Option<Srs>) -> Self {
        Forward { aliases, srs, seal: None, mailboxes: None }
    }

    /// What is sent on is sealed with this key.
    ///
    /// What the seal says of the message is taken from the Authentication-Results field of this host
    /// ([`OutboundConfig::hostname`](super::OutboundConfig::hostname)) that stands above all Received fields, where only this host
    /// can have put it. Without one nothing is known of the message, and it is not sealed; nor is one that came with a chain of
    /// which the field does not say whether it is good.
    #[must_use]
    pub fn seal(self, key: DomainKey) -> Self {
        Forward { seal: Some(key), ..self }
    }

    /// Where a copy goes for an address that is among its own targets. Without mailboxes it goes in a circle, and back.
    #[must_use]
    pub fn mailboxes(self, sink: Arc<dyn MessageSink>) -> Self {
        Forward { mailboxes: Some(sink), ..self }
    }

    /// Whether RCPT with an address is accepted: `None` if it is none of these.
    pub fn judge(&self, to: &ForwardPath<'_>, now: WallTime) -> Option<Verdict> {
        let address = to.address()?;
        match self.srs.as_ref().and_then(|srs| srs.reverse(address, now)) {
            Some(Ok(_)) => Some(Verdict::Accept),
            Some(Err(error)) => Some(Verdict::Refuse(error.reply())),
            None if self.aliases.of(address).is_some() => Some(Verdict::Accept),
            // A domain that has no others.
            None => self.is_ours(address).then(|| Verdict::Refuse(SrsError::Forged.reply())),
        }
    }

    /// Whether mail for an address is sent on, and does not belong into a mailbox at once.
    pub fn takes(&self, to: &ForwardPath<'_>) -> bool {
        to.address().is_some_and(|address| self.aliases.of(address).is_some() || self.is_ours(address))
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

    fn sender(&self, from: &ReversePath<'static>, now: WallTime) -> Result<ReversePath<'static>, SrsError> {
        match (from, &self.srs) {
            (ReversePath::Address(address), Some(srs)) => srs.rewrite(address, now).map(ReversePath::Address),
            _ => Ok(from.clone()),
        }
    }
}

/// Sends the message on for all open recipients, each by itself.
pub(super) async fn deliver(delivery: &mut Delivery, forward: &Forward) {
    for recipient in std::mem::take(&mut delivery.open) {
        let word = send_on(delivery, forward, recipient).await;
        delivery.words.push(word);
    }
    delivery.health = Health::Good;
}

async fn send_on(delivery: &mut Delivery, forward: &Forward, recipient: u32) -> Word {
    let failed = |delivery: &Delivery, status: (u8, u16, u16), why: String| {
        let (class, subject, detail) = status;
        Word::of(recipient, delivery.our(Outcome::Failed, EnhancedCode::new(class, subject, detail), why))
    };
    let now = delivery.wall();
    let Some(to) = address_of(delivery, recipient) else {
        return failed(delivery, (5, 1, 1), "the recipient is no address".into());
    };
    let mut targets = match forward.targets(&to, now) {
        Ok(targets) => targets,
        Err(error) => return failed(delivery, (5, 1, 1), error.to_string()),
    };
    let (content, disk) = (Arc::clone(&delivery.body), delivery.shared.disk.clone());
    let head = match disk.run(move || content.read(0, HEADER_MAX)).await {
        Ok(head) => head,
        Err(error) => return Word::of(recipient, trouble(delivery, &error.to_string())),
    };
    if was_here(&head, &to) {
        return failed(delivery, (5, 4, 6), format!("the message has been at {to} before: it goes in a circle"));
    }
    // The copy that stays is made first: what goes on is not sent twice if it fails.
    let key = aliases::key_of(&to);
    if let Some(sink) = forward.mailboxes.as_ref().filter(|_| targets.iter().any(|it| aliases::key_of(it) == key)) {
        let words = local::hand_over(delivery, &**sink, &[recipient]).await;
        targets.retain(|target| aliases::key_of(target) != key);
        match words.into_iter().next() {
            Some(word) if targets.is_empty() || word.action != Some(Action::Delivered) => return word,
            _ => {}
        }
    }
    let from = match forward.sender(&delivery.message.envelope.from, now) {
        Ok(from) => from,
        Err(error) => return failed(delivery, (5, 1, 7), error.to_string()),
    };
    let (number, is_list) = (targets.len(), targets.len() > 1);
    let envelope = envelope(delivery, recipient, &to, from, targets);
    match queue(delivery, forward, &to, head, envelope).await {
        Ok(id) => {
            let ids = (delivery.message.id.to_string(), id.to_string());
            delivery.shared.tell(&QueueEvent::Accepted { id: &ids.1, session_id: &ids.0 });
            let why = format!("sent on to {number} addresses as {id}");
            let attempt = delivery.our(Outcome::Relayed, EnhancedCode::new(2, 1, 5), why);
            // RFC 3461 §5.2.7.3: of a list the sender hears here, of a single address there.
            Word { action: is_list.then_some(Action::Expanded), ..Word::of(recipient, attempt) }
        }
        Err(error) => Word::of(recipient, trouble(delivery, &error.to_string())),
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
    targets: Vec<Address<'static>>,
) -> Envelope {
    let before = &delivery.message.envelope;
    let known = usize::try_from(recipient).ok().and_then(|at| before.recipients.get(at));
    let is_list = targets.len() > 1;
    let notify = known.and_then(|known| known.notify);
    let notify = notify.map(|notify| Notify { success: notify.success && !is_list, ..notify });
    // RFC 3461 §5.2.7.1
    let orcpt = known
        .and_then(|known| known.orcpt.clone())
        .or_else(|| to.is_ascii().then(|| OriginalRecipient { addr_type: "rfc822".into(), address: to.to_string() }));
    let recipients = targets.into_iter().map(|target| {
        let mut recipient = Recipient::new(ForwardPath::Address(target));
        (recipient.notify, recipient.orcpt) = (notify, orcpt.clone());
        recipient
    });
    let mut envelope = Envelope::new(delivery.wall(), from, recipients);
    (envelope.envid, envelope.ret) = (before.envid.clone(), before.ret);
    (envelope.body, envelope.smtputf8) = (before.body, before.smtputf8);
    (envelope.require_tls, envelope.deliver_by) = (before.require_tls, before.deliver_by);
    (envelope.priority, envelope.is_last) = (before.priority, before.is_last);
    envelope
}

/// Puts the message into the queue again. Returns when it is durable.
async fn queue(
    delivery: &Delivery,
    forward: &Forward,
    to: &Address<'_>,
    head: Vec<u8>,
    envelope: Envelope,
) -> Result<MessageId, StoreError> {
    let (shared, content, now) = (Arc::clone(&delivery.shared), Arc::clone(&delivery.body), delivery.wall());
    let trace = format!("Delivered-To: {to}\r\n");
    let seal = forward.seal.as_ref();
    let seal = seal.and_then(|key| Seal::begin(key, shared.config.hostname().as_str(), &head, now));
    let disk = shared.disk.clone();
    disk.run(move || {
        let mut incoming = shared.store.begin(now);
        let id = incoming.id();
        // Whoever seals has to see the whole message before its first octet is written.
        if let Some(mut seal) = seal {
            seal.write(trace.as_bytes());
            each(&content, id, |piece| {
                seal.write(piece);
                Ok(())
            })?;
            incoming.write(seal.finish().unwrap_or_default().as_bytes())?;
        }
        incoming.write(trace.as_bytes())?;
        each(&content, id, |piece| incoming.write(piece))?;
        let item = shared.item(id, &envelope);
        incoming.commit(envelope)?.wait()?;
        shared.admit(item);
        shared.grown.notify_one();
        Ok(id)
    })
    .await
}

/// Shows the content piece by piece. Blocks.
fn each(
    content: &Content,
    id: MessageId,
    mut show: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut at = 0;
    while at < content.len {
        let piece = content.read(at, PIECE).map_err(|_| StoreError::Damaged(id, "it cannot be read"))?;
        if piece.is_empty() {
            return Err(StoreError::Damaged(id, "it ends too soon"));
        }
        show(&piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}
