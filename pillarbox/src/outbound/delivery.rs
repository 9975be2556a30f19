//! One delivery: the recipients of one message that go one way, from the look-up to the report.

use std::collections::BTreeMap;
use std::sync::Arc;

use pillarbox_core::address::Domain;
use pillarbox_core::header::{self, Fields};
use pillarbox_core::{EnhancedCode, Reply, WallTime};
use pillarbox_fs::ErrorKind;
use pillarbox_smtp::tls_required::is_tls_waived;
use pillarbox_spool::{
    Attempt, Attempted, Fault, Health, Message, MessageId, Outcome, Reason, Selector, StoreError, Task,
};

use super::body::Content;
use super::forward;
use super::fresh::Fresh;
use super::hosts;
use super::local;
use super::record::{AGAIN_MAX, Word, done};
use super::route::Route;
use super::seat::Seat;
use super::shared::Shared;
use super::tls::Need;
use crate::parts::QueueEvent;

/// Octets of a message in which its header is looked for, as much as a session takes.
pub(super) const HEADER_MAX: usize = 1 << 20;

/// A message that is being delivered.
pub(super) struct Delivery {
    pub(super) shared: Arc<Shared>,
    pub(super) task: Task,
    pub(super) message: Arc<Message>,
    pub(super) body: Arc<Content>,
    pub(super) seat: Arc<Seat>,
    pub(super) need: Need,
    /// The key of the way that the open recipients go now.
    pub(super) destination: Arc<str>,
    /// Recipients of which nobody has said anything final, or for now, in this round.
    pub(super) open: Vec<u32>,
    /// Those of them that a server did not take with others, while it is asked about the rest.
    pub(super) later: Vec<u32>,
    /// Those of which it is written down already what became of them.
    pub(super) recorded: Vec<u32>,
    /// What was said of the others.
    pub(super) words: Vec<Word>,
    pub(super) health: Health,
    /// What last went wrong, for those who stay open.
    pub(super) trouble: Option<Attempt>,
}

/// Carries out a task to its report.
pub(super) async fn deliver(shared: Arc<Shared>, task: Task, seat: Arc<Seat>) {
    let attempted = match load(&shared, &task).await {
        Ok((message, body)) => attempt(&shared, &task, (message, body), seat).await,
        Err(attempted) => attempted,
    };
    let now = shared.parts.clock.now();
    // The engine sees that this has ended, and looks what is due then.
    shared.schedule().report(now, &task, attempted);
}

/// The message and its content; or what there is to report without them.
async fn load(shared: &Arc<Shared>, task: &Task) -> Result<(Arc<Message>, Arc<Content>), Attempted> {
    let (store, id) = (shared.store.clone(), task.id);
    if let Some(Fresh { message, body }) = shared.fresh.take(id) {
        // It may have been deleted since.
        return if store.is_held(id).is_some() { Ok((message, body)) } else { Err(Attempted::all_of(task)) };
    }
    let loaded = shared.disk.run(move || Ok::<_, StoreError>((store.message(id)?, store.body(id)?))).await;
    match loaded {
        Ok((message, body)) => Ok((Arc::new(message), Arc::new(Content::new(body)))),
        Err(error) => Err(unreadable(shared, task, &error).await),
    }
}

async fn unreadable(shared: &Arc<Shared>, task: &Task, error: &StoreError) -> Attempted {
    match error {
        // It was deleted.
        StoreError::NoSuchMessage(_) => {}
        StoreError::Damaged(..) if set_aside(shared, task.id, error).await => {}
        // It is in the queue still, and is looked at again.
        StoreError::Damaged(..) => return Attempted::none(Health::Unknown, Fault::default()),
        _ => {
            shared.tell(&QueueEvent::Failed { what: "reading a message", cause: error });
            return Attempted::none(Health::Unknown, Fault::default());
        }
    }
    Attempted::all_of(task)
}

/// Whether it is the disk that does not give a message.
pub(super) fn is_not_given(error: &StoreError) -> bool {
    matches!(error, StoreError::Fs(error) if error.kind() == ErrorKind::Io)
}

/// Takes a message out of the queue that cannot be read; false if that cannot be done now, and it stays.
pub(super) async fn set_aside(shared: &Arc<Shared>, id: MessageId, why: &StoreError) -> bool {
    let store = shared.store.clone();
    match shared.disk.run(move || store.set_aside(id)).await {
        Ok(()) | Err(StoreError::NoSuchMessage(_)) => {
            is_set_aside(shared, id, why);
            true
        }
        Err(error) => {
            shared.tell(&QueueEvent::Failed { what: "setting a message aside", cause: &error });
            false
        }
    }
}

/// A message was taken out of the queue because of `why`.
pub(super) fn is_set_aside(shared: &Shared, id: MessageId, why: &StoreError) {
    shared.tell(&QueueEvent::SetAside { id: &id.to_string(), why });
    shared.fresh.forget(id);
    shared.schedule().delete(shared.parts.clock.now(), Selector::Id(id));
}

async fn attempt(
    shared: &Arc<Shared>,
    task: &Task,
    (message, body): (Arc<Message>, Arc<Content>),
    seat: Arc<Seat>,
) -> Attempted {
    // Those that are done are so since before the last start.
    let is_open = |recipient: &u32| state(&message, *recipient).is_some_and(|state| state.outcome.is_none());
    let open: Vec<u32> = task.recipients.iter().copied().filter(is_open).collect();
    if open.is_empty() {
        return Attempted::all_of(task);
    }
    let from_disk = Arc::clone(&body);
    // The header may be large, and an attempt long: what it says is kept, and not the header.
    let says = move || {
        let look = |header: &[u8]| (hops(header), is_tls_waived(header, false));
        from_disk.begin(HEADER_MAX, look).unwrap_or_else(|_| look(&[]))
    };
    let (hops, is_waived) = if body.is_in_memory() { says() } else { shared.disk.run(says).await };
    let need = match message.envelope.require_tls {
        true => Need::Required,
        false if is_waived => Need::Waived,
        false => Need::Usual,
    };
    let mut delivery = Delivery {
        shared: Arc::clone(shared),
        task: task.clone(),
        message: Arc::clone(&message),
        body,
        seat,
        need,
        destination: Arc::clone(&task.destination),
        open,
        later: Vec::new(),
        recorded: Vec::new(),
        words: Vec::new(),
        health: Health::Unknown,
        trouble: None,
    };
    if hops > shared.config.hops_max {
        delivery
            .fail_all(EnhancedCode::new(5, 4, 6), "the message has come through too many servers: it goes in a circle");
    }
    let (mut gives_way, mut health) = (false, Health::Unknown);
    for (destination, way) in delivery.ways() {
        delivery.begin(destination, way.recipients);
        delivery.go(&way.route, &way.domain, &mut gives_way).await;
        // Of where else they go now nothing is said to the schedule.
        if delivery.destination == task.destination {
            health = delivery.health;
        }
        delivery.settle();
    }
    delivery.health = health;
    delivery.finish(shared).await
}

/// The open recipients that go one way.
struct Way {
    route: Route,
    domain: Domain<'static>,
    recipients: Vec<u32>,
}

/// Servers that a message has come through.
fn hops(message: &[u8]) -> usize {
    let (header, _) = header::split(message);
    Fields::new(header).filter(|field| field.name_is("Received")).count()
}

/// Whether it is a judgement of ours that a host cannot take a message.
fn is_for_good(trouble: &Attempt) -> bool {
    trouble.code.is_none() && trouble.status.is_some_and(|status| status.class == 5)
}

pub(super) fn state(message: &Message, recipient: u32) -> Option<&pillarbox_spool::RecipientState> {
    message.recipients.get(usize::try_from(recipient).ok()?)
}

impl Delivery {
    pub(super) fn wall(&self) -> WallTime {
        self.shared.parts.clock.wall()
    }

    /// Parts the open recipients by the way that each goes now. Aliases may have been read again since they were put together.
    fn ways(&mut self) -> Vec<(Arc<str>, Way)> {
        let mut ways: BTreeMap<(String, usize), Way> = BTreeMap::new();
        for recipient in std::mem::take(&mut self.open) {
            let Ok(at) = usize::try_from(recipient) else { continue };
            let (route, domain) = self.shared.route(&self.message.envelope, at);
            let key = (route.key_of(Some(domain.as_str())), route.identity());
            let way = ways.entry(key).or_insert_with(|| Way { route, domain, recipients: Vec::new() });
            way.recipients.push(recipient);
        }
        ways.into_iter().map(|((key, _), way)| (Arc::from(key), way)).collect()
    }

    /// Turns to those that go one way.
    fn begin(&mut self, destination: Arc<str>, recipients: Vec<u32>) {
        // Most often it is that of the task.
        if *destination != *self.destination {
            self.destination = destination;
        }
        (self.open, self.health, self.trouble) = (recipients, Health::Unknown, None);
    }

    /// Goes one way. Where others wait for the room, no host is waited for any more.
    async fn go(&mut self, route: &Route, domain: &Domain<'static>, gives_way: &mut bool) {
        match route {
            Route::Sink(sink) => local::deliver(self, &**sink).await,
            Route::Forward(forward) => forward::deliver(self, forward).await,
            route => {
                let is_tried = !*gives_way;
                if is_tried {
                    let seat = Arc::clone(&self.seat);
                    seat.may_go(true);
                    *gives_way = tokio::select! {
                        biased;
                        () = hosts::deliver(self, route, domain) => false,
                        () = seat.is_asked_for() => true,
                    };
                    seat.may_go(false);
                }
                // One that has come to its end at the same moment has nothing to wait for.
                if *gives_way && !(self.open.is_empty() && self.later.is_empty()) {
                    self.give_way();
                    if !is_tried {
                        self.health = Health::Unknown;
                    }
                }
            }
        }
    }

    /// An attempt of ours that came to no reply.
    pub(super) fn our(&self, outcome: Outcome, status: EnhancedCode, why: impl Into<String>) -> Attempt {
        let mut attempt = Attempt::new(self.wall(), outcome);
        (attempt.status, attempt.text) = (Some(status), why.into());
        attempt
    }

    /// An attempt with a server's reply.
    pub(super) fn of_reply(&self, outcome: Outcome, peer: &str, reply: &Reply) -> Attempt {
        let mut attempt = Attempt::new(self.wall(), outcome);
        (attempt.peer, attempt.code) = (peer.into(), Some(reply.code()));
        attempt.status = reply.enhanced_code();
        attempt.text = reply.text().into();
        attempt
    }

    /// What went wrong with one host. What another one may mend with time counts for more than what it cannot take by our
    /// own judgement: the message goes back when no host is left that might take it, or when it is too old.
    pub(super) fn meet(&mut self, trouble: Attempt) {
        if self.trouble.as_ref().is_none_or(is_for_good) || !is_for_good(&trouble) {
            self.trouble = Some(trouble);
        }
    }

    /// Others wait for the room that this one takes.
    fn give_way(&mut self) {
        self.open.append(&mut self.later);
        self.health = Health::Trouble;
        let why = "no answer came in the time that there was while others waited";
        self.meet(self.our(Outcome::Delayed, EnhancedCode::new(4, 4, 1), why));
    }

    /// None of the open recipients can be delivered to.
    pub(super) fn fail_all(&mut self, status: EnhancedCode, why: &str) {
        let attempt = self.our(Outcome::Failed, status, why);
        self.words.extend(std::mem::take(&mut self.open).into_iter().map(|open| Word::of(open, attempt.clone())));
    }

    /// Those that are still open get what went wrong last.
    fn settle(&mut self) {
        let nobody = self.our(Outcome::Delayed, EnhancedCode::new(4, 4, 1), "no server could be reached");
        let mut trouble = self.trouble.take().unwrap_or(nobody);
        // What no host can take, by our own judgement, is not tried for days.
        if is_for_good(&trouble) {
            trouble.outcome = Outcome::Failed;
        }
        let open = std::mem::take(&mut self.open);
        self.words.extend(open.into_iter().map(|open| Word::of(open, trouble.clone())));
    }

    /// Writes down what was said, and says it to the schedule.
    async fn finish(self, shared: &Arc<Shared>) -> Attempted {
        let delayed = |word: &Word| word.attempt.clone().filter(|attempt| !attempt.outcome.is_final());
        let fault = self.words.iter().find_map(delayed);
        let fault = fault.map(|attempt| Fault { code: attempt.code.unwrap_or(0), status: attempt.status });
        // Recipients that were done before count as well. One of which nothing was said does not: it is tried again.
        let is_settled = |it: &&u32| state(&self.message, **it).is_none_or(|state| state.outcome.is_some());
        let mut all: Vec<u32> = self.task.recipients.iter().filter(is_settled).copied().collect();
        all.extend(self.recorded);
        all.extend(done(&self.words));
        shared.record(&self.message, self.words).await;
        attempted(all, self.health, fault)
    }
}

/// Tells the sender of recipients that are given up.
pub(super) async fn expire(shared: Arc<Shared>, task: Task, reason: Reason) {
    let (store, id) = (shared.store.clone(), task.id);
    // A sender is told with as much as the disk gives.
    let attempted = match shared.disk.run(move || store.message(id).map(Arc::new)).await {
        Ok(message) => {
            let now = shared.parts.clock.wall();
            let (status, why) = match reason {
                // RFC 3463 §3.5
                Reason::Age => (EnhancedCode::new(4, 4, 7), "it could not be delivered in time"),
                // RFC 2852 §4.1.3
                Reason::DeliverBy => {
                    (EnhancedCode::new(5, 4, 7), "it could not be delivered in the time that its sender gave")
                }
            };
            let open = task.recipients.iter().copied();
            let open = open.filter(|it| state(&message, *it).is_some_and(|state| state.outcome.is_none()));
            let words = open.map(|recipient| {
                let last = state(&message, recipient).and_then(|state| state.history.last());
                let mut attempt = Attempt::new(now, Outcome::Failed);
                attempt.status = Some(status);
                attempt.text = why.into();
                if let Some(last) = last {
                    (attempt.peer, attempt.code, attempt.text) = (last.peer.clone(), last.code, last.text.clone());
                }
                Word::of(recipient, attempt)
            });
            let words: Vec<Word> = words.collect();
            shared.record(&message, words).await;
            Attempted::all_of(&task)
        }
        // It was waited for as long as it is waited for anything: a person has to look.
        Err(error) if reason == Reason::Age && is_not_given(&error) && set_aside(&shared, task.id, &error).await => {
            Attempted::all_of(&task)
        }
        Err(error) => unreadable(&shared, &task, &error).await,
    };
    let now = shared.parts.clock.now();
    shared.schedule().report(now, &task, attempted);
}

/// Tells the sender that recipients are waiting still. It is due once: where the message cannot be read now, it is read later.
pub(super) async fn say_late(shared: Arc<Shared>, id: MessageId, recipients: Vec<u32>, reason: Reason) {
    let clock = &shared.parts.clock;
    let read = || {
        let store = shared.store.clone();
        shared.disk.run(move || store.message(id))
    };
    let mut turn = shared.turns.take(id).await;
    let mut message = read().await;
    while let Err(StoreError::Fs(error)) = &message {
        shared.tell(&QueueEvent::Failed { what: "reading a message", cause: error });
        drop(turn);
        clock.sleep_until(clock.now() + AGAIN_MAX).await;
        turn = shared.turns.take(id).await;
        message = read().await;
    }
    match message {
        Ok(message) => {
            let open = recipients.into_iter();
            let open = open.filter(|it| state(&message, *it).is_some_and(|state| state.outcome.is_none()));
            let never = |recipient: u32| {
                let at = usize::try_from(recipient).unwrap_or(usize::MAX);
                message.envelope.recipients.get(at).is_some_and(|it| it.notify.is_some_and(|notify| notify.is_never()))
            };
            // RFC 2852 §4.1.3: who gave a time wants to hear that it has passed.
            let words = open.map(|it| Word::late(it, reason == Reason::DeliverBy && !never(it))).collect();
            // What an attempt has come to meanwhile is known here, or comes after this.
            shared.record_in(&turn, &Arc::new(message), words).await;
        }
        Err(StoreError::NoSuchMessage(_)) => {}
        Err(error @ StoreError::Damaged(..)) => drop(set_aside(&shared, id, &error).await),
        Err(error) => shared.tell(&QueueEvent::Failed { what: "reading a message", cause: &error }),
    }
}

fn attempted(done: Vec<u32>, health: Health, fault: Option<Fault>) -> Attempted {
    let mut attempted = Attempted::default();
    (attempted.done, attempted.health, attempted.fault) = (done, health, fault);
    attempted
}

/// All recipients are done, and nothing was learnt of the destination.
trait AllOf {
    fn all_of(task: &Task) -> Self;
}

impl AllOf for Attempted {
    fn all_of(task: &Task) -> Self {
        attempted(task.recipients.clone(), Health::Unknown, None)
    }
}
