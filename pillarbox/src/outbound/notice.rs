//! Notices about messages in the queue, put into the queue themselves.

use std::io;

use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::{EnhancedCode, WallTime};
use pillarbox_fs::ErrorKind;
use pillarbox_smtp::client::OriginalRecipient;
use pillarbox_smtp::server;
use pillarbox_spool::{BodyKind, Envelope, Item, Message, Notify, Ready, Recipient, Ret, StoreError};

use super::body::read;
use super::record::{Word, words_of};
use super::shared::Shared;
use crate::dsn::{Action, Notice, RecipientReport};

/// Octets of a large message that are looked at for its header.
const HEADER_MAX: usize = 64 * 1024;

/// A notice that is ready to be committed.
pub(super) struct Written {
    pub(super) ready: Ready,
    pub(super) item: Item,
    /// Who gets it.
    pub(super) to: String,
}

pub(super) fn notify(known: Notify) -> server::Notify {
    let mut notify = server::Notify::default();
    (notify.success, notify.failure, notify.delay) = (known.success, known.failure, known.delay);
    notify
}

/// Writes a notice with these words, if there is somebody to tell. Blocks.
pub(super) fn write(shared: &Shared, message: &Message, words: &[&Word]) -> Result<Option<Written>, StoreError> {
    let Some(to) = told(shared, message, words) else { return Ok(None) };
    let now = shared.parts.clock.wall();
    let mut incoming = shared.store.begin(now);
    let hostname = shared.config.hostname().as_str();
    let message_id = format!("{}@{hostname}", incoming.id());
    let (original, is_whole) = original(shared, message)?;
    let mut notice = Notice::new(hostname, &shared.config.notices_from, &to, now, &message_id, &original);
    (notice.original_is_whole, notice.envelope_id) = (is_whole, message.envelope.envid.as_deref());
    notice.arrival = Some(message.envelope.received);
    notice.ret = match message.envelope.ret {
        // RFC 8689 §5: the way back need not be as safe as the way here was.
        _ if message.envelope.require_tls => Some(server::Ret::Hdrs),
        Some(Ret::Full) => Some(server::Ret::Full),
        Some(Ret::Hdrs) => Some(server::Ret::Hdrs),
        None => None,
    };
    let known: Vec<Known<'_>> = words.iter().filter_map(|word| Known::of(shared, message, word)).collect();
    notice.recipients = known.iter().map(Known::report).collect();
    let mail = notice.write(&mut **shared.random());
    incoming.write(&mail.octets)?;

    let mut recipient = Recipient::new(ForwardPath::Address(to.clone()));
    // RFC 3464 §2: nobody is told what becomes of a notice.
    recipient.notify = Some(Notify::default());
    let mut envelope = Envelope::new(now, ReversePath::Null, [recipient]);
    envelope.is_last = message.envelope.from.is_null();
    envelope.smtputf8 = mail.smtputf8;
    // RFC 6710 §4.6
    envelope.priority = message.envelope.priority;
    envelope.body = if mail.is_eight_bit() { BodyKind::EightBitMime } else { BodyKind::SevenBit };
    let item = shared.item(incoming.id(), &envelope);
    Ok(Some(Written { ready: incoming.finish(envelope)?, item, to: to.to_string() }))
}

/// Who is told: the sender. Of a notice that failed somebody may hear by choice, but of one to that somebody nobody does, wherever
/// it was sent on to: there is no third notice.
fn told(shared: &Shared, message: &Message, words: &[&Word]) -> Option<Address<'static>> {
    if words.is_empty() || message.envelope.is_last {
        return None;
    }
    if let Some(from) = message.envelope.from.address() {
        return Some(from.clone());
    }
    let postmaster = shared.config.double_bounces_to.as_ref()?;
    let is_theirs = message.envelope.recipients.iter().any(|recipient| recipient.to.address() == Some(postmaster));
    let failed = words.iter().any(|word| word.action == Some(Action::Failed));
    (failed && !is_theirs).then(|| postmaster.clone())
}

/// What the notice holds of the message, and whether it is all of it. A sender has to be told all the same where the message cannot
/// be read: only what passes by itself is waited for.
fn original(shared: &Shared, message: &Message) -> Result<(Vec<u8>, bool), StoreError> {
    match begin_of(shared, message) {
        Err(error) if !passes(&error) => Ok((Vec::new(), false)),
        known => known,
    }
}

fn begin_of(shared: &Shared, message: &Message) -> Result<(Vec<u8>, bool), StoreError> {
    let body = shared.store.body(message.id)?;
    let octets = read(&body, 0, HEADER_MAX).map_err(|error: io::Error| match error.downcast::<StoreError>() {
        Ok(error) => error,
        Err(_) => StoreError::Damaged(message.id, "it cannot be read"),
    })?;
    let is_whole = octets.len() as u64 == body.len();
    Ok((octets, is_whole))
}

/// Whether it is no trouble of the message itself: it is gone, or files cannot be opened for now.
fn passes(error: &StoreError) -> bool {
    match error {
        StoreError::NoSuchMessage(_) | StoreError::StillReading => true,
        StoreError::Fs(cause) => error.is_full() || cause.kind() == ErrorKind::TooManyOpenFiles,
        _ => false,
    }
}

/// What is known of a recipient, owned, so that a report can borrow it.
struct Known<'a> {
    address: Address<'static>,
    original: Option<OriginalRecipient>,
    action: Action,
    status: EnhancedCode,
    remote_mta: Option<&'a str>,
    diagnostic: String,
    last_attempt: Option<WallTime>,
    until: Option<WallTime>,
}

impl<'a> Known<'a> {
    fn of(shared: &Shared, message: &'a Message, word: &'a Word) -> Option<Self> {
        let at = usize::try_from(word.recipient).ok()?;
        let recipient = message.envelope.recipients.get(at)?;
        let address = match &recipient.to {
            ForwardPath::Address(address) => address.clone(),
            ForwardPath::Postmaster => shared.config.postmaster(),
        };
        let action = word.action?;
        let last = word.attempt.as_ref().or_else(|| message.recipients.get(at)?.history.last());
        let class = match action {
            Action::Failed => 5,
            Action::Delayed => 4,
            _ => 2,
        };
        let status = last.and_then(|last| last.status).unwrap_or(EnhancedCode::new(class, 0, 0));
        let until = (action == Action::Delayed).then(|| {
            let from = message.envelope.hold_until.unwrap_or(message.envelope.received);
            let seconds = i64::try_from(shared.config.schedule.expire_after.as_secs()).unwrap_or(i64::MAX);
            WallTime::new(from.unix_seconds().saturating_add(seconds), 0)
        });
        Some(Known {
            address,
            original: recipient.orcpt.as_ref().and_then(|it| OriginalRecipient::new(&it.addr_type, &it.address).ok()),
            action,
            // RFC 3464 §2.3.4: the first digit and the action say the same, but for what was tried for too long.
            status: if action == Action::Failed || status.class == class {
                status
            } else {
                EnhancedCode::new(class, 0, 0)
            },
            remote_mta: last.and_then(|last| last.peer.split(' ').next()).filter(|name| !name.is_empty()),
            diagnostic: last.map(words_of).unwrap_or_default(),
            last_attempt: last.map(|last| last.at),
            until,
        })
    }

    fn report(&self) -> RecipientReport<'_> {
        let status = (self.status.class, self.status.subject, self.status.detail);
        let mut report = RecipientReport::new(&self.address, self.action, status);
        report.original = self.original.as_ref();
        report.remote_mta = self.remote_mta;
        report.diagnostic = Some(&*self.diagnostic).filter(|words| !words.is_empty());
        report.last_attempt = self.last_attempt;
        report.will_retry_until = self.until;
        report
    }
}
