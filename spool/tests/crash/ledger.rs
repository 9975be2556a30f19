//! What was answered, and since when: the only thing that the auditor knows.

use std::collections::BTreeMap;

use pillarbox_spool::{Message, MessageId, Notices, Outcome, Report};

/// A waiting message as the queue shows it; `None` if it is not there.
pub(crate) type Shown = Option<Waits>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waits {
    pub(crate) held: bool,
    /// Outcome, notices, attempts, and whether it was released and not tried since.
    pub(crate) recipients: Vec<(Option<Outcome>, Notices, u32, bool)>,
}

impl Waits {
    pub(crate) fn new(recipients: usize) -> Self {
        Waits { held: false, recipients: vec![(None, Notices::default(), 0, false); recipients] }
    }

    pub(crate) fn of(message: &Message) -> Self {
        let recipients = message.recipients.iter().map(|it| (it.outcome, it.notices, it.attempts, it.is_owed));
        Waits { held: message.held, recipients: recipients.collect() }
    }

    /// What is shown after it was held, or released.
    pub(crate) fn let_go(&self, held: bool) -> Self {
        let mut after = self.clone();
        if held || self.held {
            after.recipients.iter_mut().for_each(|(outcome, _, _, is_owed)| *is_owed = !held && outcome.is_none());
        }
        after.held = held;
        after
    }

    /// Whether somebody is owed a try.
    pub(crate) fn is_owed(&self) -> bool {
        self.recipients.iter().any(|(.., is_owed)| *is_owed)
    }

    /// What is shown after a report.
    pub(crate) fn after(&self, report: &Report) -> Shown {
        let mut after = self.clone();
        for news in &report.recipients {
            let (outcome, notices, attempts, is_owed) = &mut after.recipients[news.recipient as usize];
            *notices = notices.and(news.notices);
            if let Some(attempt) = &news.attempt {
                *attempts += 1;
                *is_owed = false;
                *outcome = outcome.or(Some(attempt.outcome).filter(|outcome| outcome.is_final()));
            }
        }
        let is_done = after.recipients.iter().all(|(outcome, ..)| outcome.is_some());
        (!is_done).then_some(after)
    }
}

/// What may be shown, and from which change on.
pub(crate) type History = Vec<(u64, Vec<Shown>)>;

/// A commit: what each message was before and is after it, and from which change of the disk to which it was under way.
#[derive(Clone, Debug)]
pub(crate) struct Together {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) changes: Vec<(MessageId, Shown, Shown)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Of each message the content, and what may be shown from which change on. While something is under way there are
    /// several possibilities.
    pub(crate) messages: BTreeMap<MessageId, (Vec<u8>, History)>,
    pub(crate) together: Vec<Together>,
    /// Changes that were answered with an error: they may be found made until a later one is answered otherwise.
    pub(crate) refused: Vec<(MessageId, Shown)>,
}

impl Ledger {
    pub(crate) fn begin(&mut self, id: MessageId, content: Vec<u8>) {
        self.messages.insert(id, (content, vec![(0, vec![None])]));
    }

    /// From now on one of these is shown.
    pub(crate) fn expect(&mut self, at: u64, id: MessageId, possible: Vec<Shown>) {
        self.messages.get_mut(&id).expect("it was begun").1.push((at, possible));
    }

    pub(crate) fn at(&self, id: MessageId, change: u64) -> &[Shown] {
        let history = &self.messages[&id].1;
        &history.iter().rev().find(|(at, _)| *at <= change).expect("it begins at 0").1
    }

    /// What is certainly shown now.
    pub(crate) fn now(&self, id: MessageId) -> Option<&Shown> {
        match self.messages[&id].1.last().map(|(_, possible)| possible.as_slice()) {
            Some([shown]) => Some(shown),
            _ => None,
        }
    }

    /// Messages that are certainly waiting.
    pub(crate) fn waiting(&self) -> Vec<MessageId> {
        self.messages.keys().copied().filter(|id| self.now(*id).is_some_and(Option::is_some)).collect()
    }
}
