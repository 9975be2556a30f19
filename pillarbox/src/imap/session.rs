//! One connection: the loop between the protocol machine, the accounts and the store.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::{Layer, Step, Time, UpgradeError};
use pillarbox_imap::notify::Notification;
use pillarbox_imap::server::{Answer, Event, Peer, ServerSession};
use pillarbox_imap::types::{MailboxName, ModSeq, UidSet};
use pillarbox_imap::view::View;

use super::Shared;
use super::catenate::Sources;
use super::seats::UserSeat;
use super::watch::Watching;
use crate::login::{refused, without_unjudged};
use crate::net::{Dialect, Lost, Transcript, Transport, Wire};
use crate::parts::{
    Copied, FlagsSet, Guest, Identity, IncomingAppend, Mailbox, MessageFlags, NameChange, SetFlags, StoreError,
    StoreErrorKind,
};
use crate::shutdown::Shutdown;

mod append;
mod elsewhere;
mod list;
mod logins;
mod metadata;
mod news;
mod progress;
mod quota;
mod refusal;
mod rights;

use self::logins::wrong_password;
use self::news::beat;
use self::progress::Counted;
pub(super) use self::refusal::no_mailbox;
use self::refusal::try_create;

/// So much output is sent before more input is looked at, so that a long flight of commands cannot pile up replies.
const OUTPUT_MAX: usize = 16 * 1024;

/// So many ranges of messages that are gone are told at a time, so that a client that does not read holds up no more.
const VANISHED_MAX: usize = 500;

/// How long a session in IDLE gathers news before it tells more. What comes first is told at once; of a thousand deliveries in
/// a burst, told one by one to a thousand sessions, none would hear in time.
const NEWS_PAUSE: Duration = Duration::from_millis(250);

/// How long a mailbox in trouble is left alone before a session in IDLE asks it for news again.
const NEWS_RETRY: Duration = Duration::from_secs(10);

/// A session and its connection.
pub(super) struct Connection {
    pub(super) wire: Wire<ServerSession>,
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    ip: Option<IpAddr>,
    /// The network that the connection counts for; none if it does not count.
    address: Option<IpAddr>,
    identity: Option<Identity>,
    /// Held while somebody is logged in from an address that counts.
    seat: Option<UserSeat>,
    /// Counts the session while nobody is logged in; none if it does not count.
    guest: Option<Guest>,
    /// The selected mailbox.
    pub(super) selected: Option<Box<dyn Mailbox>>,
    /// The message of an APPEND under way.
    pub(super) append: Option<Box<dyn IncomingAppend>>,
    /// Where it goes.
    append_to: Option<MailboxName>,
    /// Where its parts come from.
    pub(super) sources: Sources,
    /// What else the client wants to hear of.
    watching: Option<Box<Watching>>,
    /// What happened there and could not be told yet.
    untold: VecDeque<Notification>,
    /// It was told of that, and is told more then.
    elsewhere_quiet_until: Option<Time>,
    /// The mailbox was asked for news, or could not be; it is asked again then.
    quiet_until: Option<Time>,
    /// Long work found that the client has closed its side.
    closed_side: Option<Time>,
    /// When something was said to it since, to see whether it is there.
    probed: Option<Time>,
}

/// Why a question could not be answered as it was asked.
pub(super) enum Trouble {
    /// The store says no.
    Store(StoreError),
    /// The connection is of no more use.
    Lost(Lost),
    /// The client closed its side long ago, and work for it is broken off.
    HungUp,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Store(error)
    }
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Self {
        Trouble::Lost(lost)
    }
}

/// Whether a command changes what there is of names, or what is known of them.
fn is_about_names(event: &Event<'_>) -> bool {
    use Event::{Acl, Create, Delete, Metadata, Rename, Subscribe, Unsubscribe};
    matches!(event, Acl(_) | Create { .. } | Delete(_) | Rename { .. } | Subscribe(_) | Unsubscribe(_) | Metadata(_))
}

/// Begins a session on a fresh connection; with implicit TLS that is after the handshake.
pub(super) async fn start(
    shared: &Arc<Shared>,
    transport: Box<dyn Transport>,
    ip: Option<IpAddr>,
    address: Option<IpAddr>,
    number: u64,
    guest: Option<Guest>,
) -> Result<Connection, UpgradeError> {
    let mut peer = Peer::default();
    peer.ip = ip;
    #[cfg(feature = "tls")]
    let mut transport = transport;
    #[cfg(feature = "tls")]
    if shared.implicit_tls {
        let config = shared.tls.clone().ok_or(UpgradeError::Handshake)?;
        let (secured, facts) = crate::tls::handshake(config, transport, &*shared.parts.clock).await?;
        transport = secured;
        peer.tls = Some(facts);
    }
    let mut config = Arc::clone(&shared.config);
    if let Some(judged) = without_unjudged(&config.mechanisms, &*shared.parts.authenticator) {
        Arc::make_mut(&mut config).mechanisms = judged;
    }
    let machine = ServerSession::new(config, peer);
    let transcript = Transcript::new(Arc::clone(&shared.parts.observer), number, Dialect::Imap);
    let wire = Wire::new(machine, transport, Default::default(), Arc::clone(&shared.parts.clock), transcript);
    let shared = Arc::clone(shared);
    Ok(Connection {
        wire,
        shared,
        number,
        ip,
        address,
        identity: None,
        seat: None,
        guest,
        selected: None,
        append: None,
        append_to: None,
        sources: Sources::default(),
        watching: None,
        untold: VecDeque::new(),
        elsewhere_quiet_until: None,
        quiet_until: None,
        closed_side: None,
        probed: None,
    })
}

impl Connection {
    /// Runs the session until its machine is closed; then call [`close`](Self::close).
    pub(super) async fn run(&mut self, shutdown: &Shutdown) -> Result<(), Lost> {
        let mut stopping = false;
        loop {
            let (step, used) = self.wire.poll();
            let event = match step {
                Step::Event(Event::AppendBody(octets)) => {
                    let written = match &mut self.append {
                        Some(append) => append.write(octets).await,
                        None => Ok(()),
                    };
                    self.wire.used(used);
                    if let Err(error) = written {
                        self.append = None;
                        self.refuse(&error, None);
                    }
                    continue;
                }
                Step::Event(Event::Refused { line, told }) => {
                    self.shared.parts.observer.refused(self.number, &String::from_utf8_lossy(line), &told);
                    self.wire.used(used);
                    continue;
                }
                Step::Event(event) => {
                    let event = event.into_owned();
                    self.wire.used(used);
                    event.expect("the events that lend octets are handled above")
                }
                Step::NeedInput => {
                    self.wire.used(used);
                    self.wire.flush().await?;
                    // What was sent may have made room for news, and those for a question.
                    if !self.wire.machine.has_events() {
                        self.wait(shutdown, &mut stopping, false).await?;
                    }
                    continue;
                }
                Step::NeedTime => {
                    self.wire.used(used);
                    self.wire.flush().await?;
                    self.wait(shutdown, &mut stopping, true).await?;
                    continue;
                }
                Step::NeedAnswer => unreachable!("every question was answered when it was asked"),
                Step::Upgrade(layer) => {
                    self.wire.used(used);
                    self.upgrade(layer).await?;
                    continue;
                }
                Step::Closed => {
                    self.wire.used(used);
                    return Ok(());
                }
            };
            match self.serve(event).await {
                Ok(()) => {}
                Err(Trouble::Store(error)) => self.refuse(&error, None),
                Err(Trouble::Lost(lost)) => return Err(lost),
                Err(Trouble::HungUp) => return Err(Lost),
            }
            if self.wire.is_overdue() && self.is_over() {
                return Err(Lost);
            }
            if self.wire.machine.output().len() >= OUTPUT_MAX {
                self.wire.flush().await?;
            }
        }
    }

    /// Waits for input, the deadline, the end of the server, and, where the client listens, for news of mailboxes.
    async fn wait(&mut self, shutdown: &Shutdown, stopping: &mut bool, delayed: bool) -> Result<(), Lost> {
        self.sources.shrink();
        let (listens, takes) = (self.wire.machine.listens(), self.wire.machine.takes_notifications());
        let elsewhere = async {
            match &mut self.watching {
                _ if takes && !self.untold.is_empty() => {}
                Some(watching) if takes => {
                    if let Some(moment) = self.elsewhere_quiet_until {
                        self.shared.parts.clock.sleep_until(moment).await;
                    }
                    watching.news().await;
                }
                _ => std::future::pending().await,
            }
        };
        let news = async {
            match &mut self.selected {
                Some(mailbox) if listens => {
                    if let Some(moment) = self.quiet_until {
                        self.shared.parts.clock.sleep_until(moment).await;
                    }
                    mailbox.changes().await
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shutdown.begun(), if !*stopping => {
                *stopping = true;
                self.wire.shut_down();
            }
            ended = self.wire.wait(delayed) => ended?,
            changes = news => match changes {
                Ok(changes) => {
                    let now = self.wire.now();
                    self.quiet_until = Some(beat(now, NEWS_PAUSE));
                    self.wire.machine.learn_all(now, changes);
                }
                Err(error) => {
                    self.failed("mailbox", &error);
                    self.quiet_until = Some(self.wire.now() + NEWS_RETRY);
                }
            },
            () = elsewhere => self.tell_elsewhere().await,
        }
        Ok(())
    }

    async fn upgrade(&mut self, layer: Layer) -> Result<(), Lost> {
        #[cfg(feature = "tls")]
        if let (Layer::Tls, Some(config)) = (layer, self.shared.tls.clone()) {
            return self.wire.start_tls(config).await;
        }
        #[cfg(feature = "compress")]
        if layer == Layer::Deflate {
            return self.wire.start_deflate().await;
        }
        self.no_layer(layer).await
    }

    /// A layer that is not there; none was offered that is not.
    async fn no_layer(&mut self, _layer: Layer) -> Result<(), Lost> {
        self.wire.flush().await?;
        let now = self.wire.now();
        self.wire.machine.upgrade_failed(now, UpgradeError::Handshake);
        Ok(())
    }

    /// Answers one event, if it is a question.
    async fn serve(&mut self, event: Event<'static>) -> Result<(), Trouble> {
        let store = Arc::clone(&self.shared.parts.store);
        if let Some(watching) = &mut self.watching
            && is_about_names(&event)
        {
            watching.acts();
        }
        match event {
            Event::Connect | Event::StartTls => self.answer(Answer::Done),
            Event::ScramKeys { user, hash, .. } => self.scram_keys(&user, hash).await,
            Event::Login { mechanism, credentials } => self.log_in(mechanism, credentials).await,
            Event::WrongProof { authentication_id, .. } => {
                let shared = Arc::clone(&self.shared);
                let refused = refused(&shared.parts, self.number, self.ip, &authentication_id, None);
                self.wire.answer(Box::pin(refused)).await;
                self.answer(wrong_password());
            }
            Event::List(list) => self.list(list).await?,
            Event::Status { mailbox, items } => {
                let user = self.user()?;
                let status = self.wire.answer(store.status(&user, &mailbox, &items)).await?;
                self.answer(Answer::Status(status));
            }
            Event::Select { mailbox, read_only } => {
                let user = self.user()?;
                self.selected = None;
                let mut opened = self.wire.answer(store.open(&user, &mailbox, read_only)).await?;
                let snapshot = self.wire.answer(opened.snapshot()).await?;
                self.selected = Some(opened);
                self.answer(Answer::Selected(snapshot));
            }
            Event::Acl(question) => self.rights(question).await?,
            Event::Metadata(question) => self.metadata(question).await?,
            Event::Quota(question) => self.quota(question).await?,
            Event::Create { mailbox, uses } => {
                let user = self.user()?;
                let created = self.wire.answer(store.create(&user, &mailbox, &uses)).await?;
                self.did(NameChange::Created(mailbox));
                match created {
                    Some(id) => self.answer(Answer::Created(id)),
                    None => self.answer(Answer::Done),
                }
            }
            Event::Delete(mailbox) => {
                let user = self.user()?;
                self.wire.answer(store.delete(&user, &mailbox)).await?;
                self.did(NameChange::Deleted(mailbox));
                self.answer(Answer::Done);
            }
            Event::Rename { from, to } => {
                let user = self.user()?;
                self.wire.answer(store.rename(&user, &from, &to)).await?;
                self.did(match from.is_inbox() {
                    // It stays.
                    true => NameChange::Created(to),
                    false => NameChange::Renamed { from, to },
                });
                self.answer(Answer::Done);
            }
            Event::Subscribe(mailbox) => {
                let user = self.user()?;
                self.wire.answer(store.subscribe(&user, &mailbox, true)).await?;
                self.did(NameChange::Subscribed(mailbox));
                self.answer(Answer::Done);
            }
            Event::Unsubscribe(mailbox) => {
                let user = self.user()?;
                self.wire.answer(store.subscribe(&user, &mailbox, false)).await?;
                self.did(NameChange::Subscribed(mailbox));
                self.answer(Answer::Done);
            }
            Event::AppendStart(start) => self.append_start(start).await?,
            Event::AppendPart(part) => self.append_part(part).await?,
            Event::AppendEnd => self.append_end().await?,
            Event::Abandoned => (self.append, self.sources) = (None, Sources::default()),
            Event::Sync => {
                self.catch_up().await?;
                self.answer(Answer::Done);
            }
            Event::Fetch { uids, wanted, mark_seen, changed_since } => {
                self.fetch(uids, &wanted, mark_seen, changed_since).await?;
            }
            Event::Vanished { uids, since } => self.vanished(&uids, since).await?,
            Event::Store { uids, change, flags, silent, unchanged_since } => {
                let mut what = SetFlags::new(change, flags);
                what.unchanged_since = unchanged_since;
                let set = {
                    let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
                    let counted = Counted::new(&self.shared, Some(&mut **mailbox), Some(uids.len()));
                    counted.wait(&mut self.wire, mailbox.set_flags(&uids, &what)).await?
                };
                // First what everybody is told, then the answer: the session then knows that this client was told.
                self.look().await;
                // RFC 2180 §4.2: .SILENT asks for nothing that could be missing.
                let expunged = !silent && (set.len() as u64) < uids.len();
                for FlagsSet { now: MessageFlags { uid, flags, mod_seq }, refused, changed } in set {
                    // RFC 3501 §6.4.6: all that happened to it is the doing of others, and waits to be told.
                    let waits = |view: &View| !view.waiting_flags(&UidSet::one(uid)).is_empty();
                    if silent && !refused && !changed && self.wire.machine.view().is_some_and(waits) {
                        continue;
                    }
                    match mod_seq.filter(|_| refused) {
                        Some(mod_seq) => self.answer(Answer::Modified { uid, flags, mod_seq }),
                        None => self.answer(Answer::Flags { uid, flags, mod_seq }),
                    }
                    self.flush_if_full().await?;
                }
                if expunged {
                    return Err(StoreError::new(StoreErrorKind::Expunged, "some messages are gone").into());
                }
                self.answer(Answer::Done);
            }
            Event::Search { query, mod_seqs } => self.search(query, mod_seqs).await?,
            Event::Sort { query, criteria, mod_seqs } => self.sort(query, &criteria, mod_seqs).await?,
            Event::SearchMailboxes { sources, mut query, mailboxes_max } => {
                self.search_mailboxes(&sources, &mut query, mailboxes_max).await?;
            }
            Event::Recheck { query, criteria } => self.recheck(&query, &criteria).await?,
            Event::Thread { query, algorithm } => self.thread(query, algorithm).await?,
            Event::Copy { uids, mailbox: target } => {
                let copied = {
                    let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
                    let counted = Counted::new(&self.shared, Some(&mut **mailbox), Some(uids.len()));
                    counted.wait(&mut self.wire, mailbox.copy(&uids, &target)).await
                };
                self.copied(copied, &target, false);
            }
            Event::Move { uids, mailbox: target } => {
                let moved = {
                    let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
                    let counted = Counted::new(&self.shared, Some(&mut **mailbox), Some(uids.len()));
                    counted.wait(&mut self.wire, mailbox.move_to(&uids, &target)).await
                };
                self.look().await;
                self.copied(moved, &target, true);
            }
            Event::Expunge { only } => {
                let gone = {
                    let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
                    let counted = Counted::new(&self.shared, Some(&mut **mailbox), None);
                    counted.wait(&mut self.wire, mailbox.expunge(only.as_ref())).await?
                };
                self.look().await;
                self.answer(Answer::Expunged(&gone));
                self.answer(Answer::Done);
            }
            Event::Notify(watch) => self.watch(watch).await?,
            // The machine says when it listens.
            Event::Idle | Event::IdleEnd => {}
            Event::Deselected => self.selected = None,
            Event::Unauthenticated => {
                // A mailbox of this user is nothing for the next.
                (self.seat, self.selected, self.append) = (None, None, None);
                self.sources = Sources::default();
                self.watching = None;
                self.untold.clear();
                self.set_identity(None);
            }
            // A question of a later version of the protocol crate.
            _ => self.answer(Answer::No { code: None, text: "not supported here".into() }),
        }
        Ok(())
    }

    fn set_identity(&mut self, identity: Option<Identity>) {
        if let Some(guest) = &mut self.guest {
            guest.set_logged_in(identity.is_some());
        }
        self.identity = identity;
    }

    /// Which of these messages are gone since.
    async fn vanished(&mut self, uids: &UidSet, since: ModSeq) -> Result<(), Trouble> {
        let gone = {
            let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
            self.wire.answer(mailbox.vanished(uids, since)).await?
        };
        let ranges: Vec<_> = gone.ranges().collect();
        for some in ranges.chunks(VANISHED_MAX) {
            self.answer(Answer::Vanished(&some.iter().cloned().collect()));
            self.flush_if_full().await?;
        }
        self.answer(Answer::Done);
        Ok(())
    }

    fn copied(&mut self, copied: Result<Copied, StoreError>, target: &MailboxName, is_move: bool) {
        match copied {
            Ok(Copied::Known(uid_validity, uids)) => {
                self.brought(target, uids.iter().map(|(_, there)| *there));
                self.answer(Answer::Copied { uid_validity, uids: &uids });
            }
            Ok(Copied::Untold(sources)) => {
                if is_move {
                    self.answer(Answer::Expunged(&sources));
                }
                self.answer(Answer::Done);
            }
            Err(error) => self.refuse(&error, try_create(&error)),
        }
    }

    /// Sends what there is once the session has no room for more, while a question is open. Whoever takes nothing for so
    /// long that the session is over is lost: the rest of the answer would be said to nobody.
    pub(super) async fn flush_if_full(&mut self) -> Result<(), Lost> {
        if self.wire.machine.room() == 0 && !self.is_over() {
            self.wire.flush().await?;
        }
        match self.is_over() {
            true => Err(Lost),
            false => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        self.wire.machine.close_reason().is_some()
    }

    pub(super) fn answer(&mut self, answer: Answer<'_>) {
        let now = self.wire.now();
        if let Err(misuse) = self.wire.machine.answer(now, answer) {
            // Only an error of this driver leads here; the session is of no use then, but others are.
            unreachable!("the driver gave an answer that does not fit: {misuse}");
        }
    }

    pub(super) fn user(&self) -> Result<Identity, StoreError> {
        self.identity.clone().ok_or_else(|| StoreError::new(StoreErrorKind::Cannot, "nobody is logged in"))
    }

    pub(super) fn failed(&self, what: &str, error: &StoreError) {
        self.shared.parts.observer.failed(self.number, what, error);
    }

    /// Why the session ended; `None` if it did not come to an end.
    pub(super) fn close_reason(&self) -> Option<String> {
        self.wire.machine.close_reason().map(|reason| format!("{reason:?}"))
    }

    pub(super) async fn close(self) {
        self.wire.close().await;
    }

    /// Ends a session that broke.
    pub(super) async fn abort(self) {
        self.wire.abort(b"* BYE [SERVERBUG] internal error\r\n").await;
    }
}
