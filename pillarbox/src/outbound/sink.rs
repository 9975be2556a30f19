//! The sink that fills the queue.

use std::sync::Arc;

use pillarbox_core::address::ForwardPath;
use pillarbox_core::{Reply, WallTime};
use pillarbox_smtp::command;
use pillarbox_smtp::server::{self, Orcpt};
use pillarbox_spool::{
    BodyKind, ByMode, Change, DeliverBy, Envelope, Incoming, Item, Notify, OriginalRecipient, Ready, Recipient, Ret,
    StoreError,
};

use super::body::Content;
use super::fresh::Fresh;
use super::shared;
use crate::parts::{self, BoxFuture, IncomingMessage, MessageSink, Outcome, QueueEvent, SinkError};

/// Octets that are collected before they are given to the store, which may write them to the disk.
const PIECE: usize = 64 * 1024;

/// Whether a recipient is here.
type IsLocal = dyn Fn(&ForwardPath<'_>) -> bool + Send + Sync;
/// What an envelope tells of a message.
type Judge = dyn Fn(&parts::Envelope) -> bool + Send + Sync;

/// A sink that puts messages into the queue. All that was said of them stays with them: notices, SMTPUTF8, REQUIRETLS, times,
/// priority. A message is accepted once the log is synced that holds it, with all its recipients or none.
///
/// With [`local`](SpoolSink::local), a message that is for mailboxes here and nowhere else goes there without a detour; one
/// that is for others too goes into the queue as one, and from there to either, so that one 250 hides no loss and no duplicate.
#[derive(Clone)]
pub struct SpoolSink {
    shared: shared::Handle,
    local: Option<(Arc<dyn MessageSink>, Arc<IsLocal>)>,
    silent: Option<Arc<Judge>>,
    own: Option<Arc<Judge>>,
    priority_max: i8,
}

impl SpoolSink {
    pub(super) const fn new(shared: shared::Handle) -> Self {
        SpoolSink { shared, local: None, silent: None, own: None, priority_max: 9 }
    }

    /// Messages with none but local recipients go to `sink`, unless they are to wait or their sender wants to be told of
    /// success. What `is_local` says of an address has to agree with the routes.
    #[must_use]
    pub fn local(
        mut self,
        sink: Arc<dyn MessageSink>,
        is_local: impl Fn(&ForwardPath<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.local = Some((sink, Arc::new(is_local)));
        self
    }

    /// Messages of which nobody is told what becomes of them, here or behind the next hop (as with NOTIFY=NEVER): those whose
    /// sender was proven false, so that no notice goes to somebody who wrote nothing.
    #[must_use]
    pub fn silent(mut self, is_silent: impl Fn(&parts::Envelope) -> bool + Send + Sync + 'static) -> Self {
        self.silent = Some(Arc::new(is_silent));
        self
    }

    /// Messages beside those of users who logged in whose sender is taken for one of ours: those from hosts that may send for the
    /// domains here. Their sender is left as it is in mail that is [sent on](super::Forward).
    #[must_use]
    pub fn own(mut self, is_own: impl Fn(&parts::Envelope) -> bool + Send + Sync + 'static) -> Self {
        self.own = Some(Arc::new(is_own));
        self
    }

    /// The highest priority that a message may have, -9 to 9: one that asks for more gets that (RFC 6710 §4.1), so that nobody
    /// comes before all others by saying so. Without it, 9.
    #[must_use]
    pub const fn priority_max(mut self, level: i8) -> Self {
        self.priority_max = level;
        self
    }

    fn straight(&self, envelope: &parts::Envelope) -> Option<&Arc<dyn MessageSink>> {
        let (sink, is_local) = self.local.as_ref()?;
        let wants_word = |notices: &parts::Notices| notices.notify.is_some_and(|notify| notify.success);
        let waits = envelope.future_release.is_some() || envelope.deliver_by.is_some_and(|by| by.trace);
        let all = envelope.recipients.iter().all(|to| is_local(to));
        (all && !waits && !envelope.notices.iter().any(wants_word)).then_some(sink)
    }
}

impl MessageSink for SpoolSink {
    fn begin(&self, envelope: parts::Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        Box::pin(async move {
            if let Some(sink) = self.straight(&envelope) {
                return sink.begin(envelope).await;
            }
            let silent = self.silent.as_ref().is_some_and(|is_silent| is_silent(&envelope));
            let is_own =
                envelope.session.identity.is_some() || self.own.as_ref().is_some_and(|is_own| is_own(&envelope));
            let shared = Arc::clone(&self.shared);
            let size = envelope.size.map(|size| size.saturating_add(envelope.trace.len() as u64));
            let (store, now) = (shared.store.clone(), shared.parts.clock.now());
            let check_room = move |size| store.check_room(size);
            let checked = shared.space.check(now, &shared.disk, size, check_room).await;
            checked.map_err(|error| sink_error(&error))?;
            let now = shared.parts.clock.wall();
            let incoming = shared.store.begin(now);
            let mut queued = queued(&envelope, now, silent);
            queued.is_own = is_own;
            queued.priority = queued.priority.min(self.priority_max);
            let mut message = SpoolMessage {
                session_id: envelope.id.clone(),
                pending: Vec::new(),
                is_ascii: true,
                incoming: Some(incoming),
                envelope: queued,
                shared,
            };
            message.write(&envelope.trace).await?;
            Ok(Box::new(message) as Box<dyn IncomingMessage>)
        })
    }
}

/// A message on its way into the queue.
struct SpoolMessage {
    shared: shared::Handle,
    session_id: String,
    envelope: Envelope,
    incoming: Option<Incoming>,
    /// What is collected for a message that is not held in memory.
    pending: Vec<u8>,
    is_ascii: bool,
}

impl SpoolMessage {
    async fn hand_on(&mut self) -> Result<(), SinkError> {
        let Some(mut incoming) = self.incoming.take() else { return Err(broken()) };
        let octets = std::mem::take(&mut self.pending);
        let (incoming, written) = self
            .shared
            .disk
            .run(move || {
                let written = incoming.write(&octets);
                (incoming, written)
            })
            .await;
        written.map_err(|error| sink_error(&error))?;
        self.incoming = Some(incoming);
        Ok(())
    }
}

impl IncomingMessage for SpoolMessage {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.is_ascii &= octets.is_ascii();
            let in_memory = |incoming: &mut Incoming| incoming.write_in_memory(octets);
            if self.pending.is_empty() && self.incoming.as_mut().is_some_and(in_memory) {
                return Ok(());
            }
            self.pending.extend_from_slice(octets);
            if self.pending.len() < PIECE { Ok(()) } else { self.hand_on().await }
        })
    }

    fn commit(mut self: Box<Self>, _all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>> {
        Box::pin(async move {
            let recipients = self.envelope.recipients.len();
            let all = |outcome: Outcome| vec![outcome; recipients];
            let Some(mut incoming) = self.incoming.take() else { return all(Outcome::Refused(broken().reply)) };
            if !self.is_ascii && self.envelope.body == BodyKind::SevenBit {
                // The next server has to be told what is true.
                self.envelope.body = BodyKind::EightBitMime;
            }
            let Self { shared, session_id, envelope, pending, .. } = *self;
            let id = incoming.id();
            let item = shared.item(id, &envelope);
            let is_sent_at_once = envelope.hold_until.is_none();
            let ready = match pending.is_empty() && incoming.is_in_memory() {
                true => incoming.finish(envelope),
                false => {
                    let finished = shared.disk.run(move || {
                        incoming.write(&pending)?;
                        incoming.finish(envelope)
                    });
                    finished.await
                }
            };
            let written = match ready {
                Ok(ready) => accept(&shared, ready, item, is_sent_at_once).await,
                Err(error) => Err(error),
            };
            match written {
                Ok(()) => {
                    shared.tell(&QueueEvent::Accepted { id: &id.to_string(), session_id: &session_id });
                    all(Outcome::Delivered)
                }
                Err(error) => {
                    let error = sink_error(&error);
                    shared.tell(&QueueEvent::Failed { what: "accepting a message", cause: &error });
                    all(Outcome::Refused(error.reply))
                }
            }
        })
    }
}

/// Commits a message, and has it sent.
async fn accept(shared: &shared::Handle, ready: Ready, item: Item, is_sent_at_once: bool) -> Result<(), StoreError> {
    let fresh = ready.in_memory().filter(|_| is_sent_at_once);
    let fresh = fresh.map(|(message, body)| Fresh { message: Arc::new(message), body: Arc::new(Content::new(body)) });
    let commit = shared.store.commit(vec![Change::Accept(ready)])?;
    let known = Arc::clone(shared);
    // The answer and the schedule belong together: a message that the log has is tried, whoever waits for this.
    let then = move |committed: Result<(), StoreError>| {
        committed?;
        if let Some(fresh) = fresh {
            known.fresh.keep(fresh, item.routes.len());
        }
        known.admit(item);
        known.grown.notify_one();
        Ok(())
    };
    shared.commits.wait(commit, then).await
}

fn broken() -> SinkError {
    SinkError::new(Reply::enhanced(451, 4, 3, 0, "local trouble, try again later"), "the message could not be written")
}

/// What a client hears of the store's trouble (RFC 3463 §3.4).
fn sink_error(error: &StoreError) -> SinkError {
    let reply = match error {
        error if error.is_full() => Reply::enhanced(452, 4, 3, 1, "no room for the message now, try again later"),
        StoreError::TooLarge => Reply::enhanced(552, 5, 5, 3, "too many recipients for one message"),
        _ => Reply::enhanced(451, 4, 3, 0, "local trouble, try again later"),
    };
    SinkError::new(reply, error.to_string())
}

/// The envelope as the queue keeps it: times are moments there.
fn queued(envelope: &parts::Envelope, now: WallTime, silent: bool) -> Envelope {
    let recipients = envelope.recipients.iter().enumerate().map(|(index, to)| {
        let notices = envelope.notices.get(index);
        let mut recipient = Recipient::new(to.clone());
        recipient.notify = match silent {
            true => Some(Notify::default()),
            false => notices.and_then(|notices| notices.notify).map(notify),
        };
        recipient.orcpt = notices.and_then(|notices| notices.orcpt.as_ref()).map(orcpt);
        recipient
    });
    let mut queued = Envelope::new(now, envelope.from.clone(), recipients);
    let arrived = envelope.arrived.unwrap_or(now);
    let after = |seconds: i64| WallTime::new(arrived.unix_seconds().saturating_add(seconds), 0);
    queued.envid.clone_from(&envelope.envid);
    queued.ret = envelope.ret.map(|ret| match ret {
        server::Ret::Full => Ret::Full,
        server::Ret::Hdrs => Ret::Hdrs,
    });
    queued.body = match envelope.body {
        server::BodyKind::SevenBit => BodyKind::SevenBit,
        server::BodyKind::EightBitMime => BodyKind::EightBitMime,
        // Of what is not known here, no octet is changed.
        _ => BodyKind::BinaryMime,
    };
    queued.smtputf8 = envelope.smtputf8;
    queued.require_tls = envelope.require_tls;
    queued.hold_until = envelope.future_release.map(|release| after(release.seconds_from(arrived)));
    queued.deliver_by = envelope.deliver_by.map(|by| DeliverBy {
        deadline: after(i64::from(by.seconds)),
        mode: match by.mode {
            command::ByMode::Notify => ByMode::Notify,
            command::ByMode::Return => ByMode::Return,
        },
        trace: by.trace,
    });
    queued.priority = envelope.mt_priority.map_or(0, command::MtPriority::level);
    queued
}

const fn notify(notify: server::Notify) -> Notify {
    Notify { success: notify.success, failure: notify.failure, delay: notify.delay }
}

fn orcpt(orcpt: &Orcpt<'_>) -> OriginalRecipient {
    OriginalRecipient { addr_type: orcpt.addr_type.to_string(), address: orcpt.address.to_string() }
}
