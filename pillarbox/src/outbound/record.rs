//! What became of recipients, written down: the report and the notice about it are one commit.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::address::ForwardPath;
use pillarbox_spool::{Attempt, Change, Item, Message, MessageId, Notices, Outcome, Report, StoreError};

use super::forward::Onward;
use super::notice;
use super::shared::Shared;
use super::turns::Turn;
use crate::dsn::Action;
use crate::parts::QueueEvent;

/// Recipients in one record of the log, whose size has a limit.
const RECORD_MAX: usize = 1000;
/// After a commit that failed it is made again, later and later.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
pub(super) const AGAIN_MAX: Duration = Duration::from_secs(60);

/// What there is to say of one recipient.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) recipient: u32,
    /// What came of trying; none where nothing was tried, and the message is only late.
    pub(super) attempt: Option<Attempt>,
    /// What the sender is told, if it wants to be.
    pub(super) action: Option<Action>,
    /// It has asked for that in a way that is known already (RFC 3461 §5.2.2, RFC 2852 §4.1.4).
    pub(super) is_due: bool,
}

impl Word {
    /// About an attempt. Success is told by us only where nobody else will.
    pub(super) fn of(recipient: u32, attempt: Attempt) -> Self {
        let action = (attempt.outcome == Outcome::Failed).then_some(Action::Failed);
        Word { recipient, attempt: Some(attempt), action, is_due: false }
    }

    /// That a message is still waiting.
    pub(super) const fn late(recipient: u32, is_due: bool) -> Self {
        Word { recipient, attempt: None, action: Some(Action::Delayed), is_due }
    }

    fn is_final(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.outcome.is_final())
    }

    fn notices(&self) -> Notices {
        let mut notices = Notices::default();
        match self.action {
            Some(Action::Failed) => notices.failure = true,
            Some(Action::Delayed) => notices.delay = true,
            Some(_) => notices.success = true,
            None => {}
        }
        notices
    }
}

/// The recipients that have a final outcome now.
pub(super) fn done(words: &[Word]) -> Vec<u32> {
    words.iter().filter(|word| word.is_final()).map(|word| word.recipient).collect()
}

/// What is committed together, and what is tried once it is.
struct Prepared {
    changes: Vec<Change>,
    /// With who gets it.
    notice: Option<(Item, String)>,
    sent_on: Vec<Item>,
}

impl Shared {
    /// Writes down what became of recipients, with the notice that their sender wants, in one commit: a crash gives neither no
    /// notice nor two. Returns when it is durable, however long that takes; without it a message would be sent again that the
    /// next server has.
    pub(super) async fn record(self: &Arc<Self>, message: &Arc<Message>, words: Vec<Word>) {
        let turn = self.turns.take(message.id).await;
        self.record_in(&turn, message, words).await;
    }

    /// The same for who has the turn of the message.
    pub(super) async fn record_in(
        self: &Arc<Self>,
        _turn: &Turn<'_, MessageId>,
        message: &Arc<Message>,
        words: Vec<Word>,
    ) {
        self.record_all(message, words, None).await;
    }

    /// Writes down what became of a recipient, with what was sent on for it, in one commit: a crash neither loses that nor sends it
    /// twice.
    pub(super) async fn record_onward(self: &Arc<Self>, message: &Arc<Message>, word: Word, onward: Onward) {
        let _turn = self.turns.take(message.id).await;
        self.record_all(message, vec![word], Some(Arc::new(onward))).await;
    }

    async fn record_all(self: &Arc<Self>, message: &Arc<Message>, words: Vec<Word>, onward: Option<Arc<Onward>>) {
        self.tell_attempts(message, &words);
        self.fresh.forget(message.id);
        let words = Arc::new(words);
        let mut wait = AGAIN_FIRST;
        loop {
            match self.commit(message, &words, onward.as_ref()).await {
                Ok(notice) => {
                    if let Some((notice, to)) = notice {
                        let (id, notice) = (message.id.to_string(), notice.to_string());
                        self.tell(&QueueEvent::Noticed { id: &id, notice: &notice, to: &to });
                    }
                    return;
                }
                // It was deleted meanwhile.
                Err(StoreError::NoSuchMessage(_)) => return,
                Err(error) => self.tell(&QueueEvent::Failed { what: "writing down an outcome", cause: &error }),
            }
            let clock = &self.parts.clock;
            clock.sleep_until(clock.now() + wait).await;
            wait = (wait * 2).min(AGAIN_MAX);
        }
    }

    /// Gives the notice that was made, and to whom it goes.
    async fn commit(
        self: &Arc<Self>,
        message: &Arc<Message>,
        words: &Arc<Vec<Word>>,
        onward: Option<&Arc<Onward>>,
    ) -> Result<Option<(MessageId, String)>, StoreError> {
        let is_double = message.envelope.from.is_null() && self.config.double_bounces_to.is_some();
        let prepared = if onward.is_none() && !words.iter().any(|word| is_wanted(message, word, is_double)) {
            // Nobody is told anything, and nothing is read for it.
            self.prepare(message, words, None)?
        } else {
            let (shared, known, news) = (Arc::clone(self), Arc::clone(message), Arc::clone(words));
            let onward = onward.cloned();
            self.disk.run(move || shared.prepare(&known, &news, onward.as_deref())).await?
        };
        if prepared.changes.is_empty() {
            return Ok(None);
        }
        let Prepared { changes, notice, sent_on } = prepared;
        let commit = self.store.commit(changes)?;
        let (shared, id) = (Arc::clone(self), message.id);
        let then = move |committed: Result<(), StoreError>| {
            committed?;
            shared.grown.notify_one();
            for item in sent_on {
                shared.tell(&QueueEvent::Accepted { id: &item.id.to_string(), session_id: &id.to_string() });
                shared.admit(item);
            }
            Ok(notice.map(|(item, to)| {
                let id = item.id;
                shared.admit(item);
                (id, to)
            }))
        };
        self.commits.wait(commit, then).await
    }

    /// Blocks, where somebody is told or something is sent on.
    fn prepare(&self, message: &Message, words: &[Word], onward: Option<&Onward>) -> Result<Prepared, StoreError> {
        let is_double = message.envelope.from.is_null() && self.config.double_bounces_to.is_some();
        let is_wanted = |word: &Word| is_wanted(message, word, is_double);
        let told: Vec<&Word> = words.iter().filter(|word| is_wanted(word)).collect();
        let written = notice::write(self, message, &told)?;
        let mut changes = Vec::new();
        for some in words.chunks(RECORD_MAX) {
            let mut report = Report::new(message.id);
            for word in some {
                let notices = if is_wanted(word) { word.notices() } else { Notices::default() };
                match &word.attempt {
                    Some(attempt) => {
                        report.attempt(word.recipient, attempt.clone());
                        if let Some(last) = report.recipients.last_mut() {
                            last.notices = notices;
                        }
                    }
                    None if notices != Notices::default() => drop(report.noticed(word.recipient, notices)),
                    None => {}
                }
            }
            if !report.recipients.is_empty() {
                changes.push(Change::Report(report));
            }
        }
        let mut prepared = Prepared { changes, notice: None, sent_on: Vec::new() };
        if prepared.changes.is_empty() {
            return Ok(prepared);
        }
        if let Some(written) = written {
            prepared.changes.push(Change::Accept(written.ready));
            prepared.notice = Some((written.item, written.to));
        }
        for written in onward.map_or_else(|| Ok(Vec::new()), |onward| onward.take(self))? {
            prepared.changes.push(Change::Accept(written.ready));
            prepared.sent_on.push(written.item);
        }
        Ok(prepared)
    }

    fn tell_attempts(&self, message: &Message, words: &[Word]) {
        let id = message.id.to_string();
        for word in words {
            let Some(attempt) = &word.attempt else { continue };
            let to = address_of(message, word.recipient);
            let outcome = match attempt.outcome {
                Outcome::Failed => "failed",
                Outcome::Delayed => "delayed",
                Outcome::Relayed => "relayed",
                _ => "delivered",
            };
            let reply = words_of(attempt);
            self.tell(&QueueEvent::Tried { id: &id, to: &to, outcome, peer: &attempt.peer, reply: &reply });
        }
        if message.envelope.from.is_null() && words.iter().any(|word| word.action == Some(Action::Failed)) {
            self.tell(&QueueEvent::DoubleBounce { id: &id });
        }
    }
}

/// Whether the sender is told: by what it asked for, and once. `is_double`: in place of a sender somebody here is told of
/// failures, and is told whatever the message asks for, which in a notice of ours is nothing.
fn is_wanted(message: &Message, word: &Word, is_double: bool) -> bool {
    let Some(action) = word.action else { return false };
    let at = usize::try_from(word.recipient).unwrap_or(usize::MAX);
    let Some(recipient) = message.envelope.recipients.get(at) else { return false };
    let notify = recipient.notify.map(notice::notify);
    let made = message.recipients.get(at).map(|state| state.notices).unwrap_or_default();
    let is_double = is_double && action == Action::Failed;
    (word.is_due || is_double || action.is_wanted(notify)) && made.and(word.notices()) != made
}

fn address_of(message: &Message, recipient: u32) -> String {
    let at = usize::try_from(recipient).unwrap_or(usize::MAX);
    match message.envelope.recipients.get(at).map(|recipient| &recipient.to) {
        Some(ForwardPath::Address(address)) => address.to_string(),
        _ => "postmaster".into(),
    }
}

/// The reply as a server wrote it, or our reason.
pub(super) fn words_of(attempt: &Attempt) -> String {
    let code = attempt.code.map(|code| format!("{code} ")).unwrap_or_default();
    let status = attempt.status.map(|status| format!("{status} ")).unwrap_or_default();
    match attempt.code {
        Some(_) => format!("{code}{status}{}", attempt.text),
        None => attempt.text.clone(),
    }
}
