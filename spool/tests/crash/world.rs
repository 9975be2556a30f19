//! A server at work: each thing that it does is written into the ledger before it begins, and again when the answer is there.

use pillarbox_fs::SimulatedFs;
use pillarbox_spool::{Change, Commit, MessageId, Report, Result, Store};

use crate::ledger::{Ledger, Shown, Together, Waits};
use crate::support::{ROOT, envelope, now, open, small};

pub(crate) struct World {
    pub(crate) fs: SimulatedFs,
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    count: u64,
}

/// Something that is under way: its answer, and what it makes of which messages.
pub(crate) struct UnderWay {
    begun: u64,
    commit: Result<Commit>,
    changes: Vec<(MessageId, Shown, Shown)>,
}

impl World {
    /// An empty queue, durable; power cuts are recorded from here on.
    pub(crate) fn new() -> Self {
        let fs = SimulatedFs::new();
        let (store, ..) = open(fs.clone(), ROOT, small(1)).unwrap();
        fs.record();
        World { fs, store, ledger: Ledger::default(), count: 0 }
    }

    /// Forgets the power cuts so far: what follows is what the scenario is about.
    pub(crate) fn now_it_begins(&self) {
        self.fs.record();
    }

    /// The process ends and another one begins. What it finds of what was not answered is so from now on.
    pub(crate) fn restart(&mut self, seed: u64) {
        let fs = self.fs.clone();
        self.ledger.refused.clear();
        let placeholder = SimulatedFs::new();
        self.store = open(placeholder, ROOT, small(seed)).unwrap().0;
        let (store, waiting, _) = open(fs, ROOT, small(seed)).unwrap();
        self.store = store;
        let at = self.fs.changes();
        let ids: Vec<MessageId> = self.ledger.messages.keys().copied().collect();
        for id in ids {
            let shown = waiting.iter().any(|it| it.id == id).then(|| Waits::of(&self.store.message(id).unwrap()));
            assert!(self.ledger.at(id, at).contains(&shown), "{id} after a restart: {shown:?}");
            self.ledger.expect(at, id, vec![shown]);
        }
    }

    /// Commits, and says what may be shown from now on.
    pub(crate) fn begin(&mut self, changes: Vec<(Change, Shown)>) -> UnderWay {
        let at = self.fs.changes();
        let mut made: Vec<(MessageId, Shown, Shown)> = Vec::new();
        let mut all = Vec::new();
        for (change, after) in changes {
            let id = id_of(&change);
            all.push(change);
            match made.iter_mut().find(|(known, ..)| *known == id) {
                Some(known) => known.2 = after,
                None => {
                    let before = self.ledger.now(id).expect("nothing else is under way").clone();
                    made.push((id, before, after));
                }
            }
        }
        for (id, before, after) in &made {
            self.ledger.expect(at, *id, vec![before.clone(), after.clone()]);
        }
        UnderWay { begun: at, commit: self.store.commit(all), changes: made }
    }

    /// Waits for the answer.
    pub(crate) fn end(&mut self, under_way: UnderWay) -> bool {
        let answer = under_way.commit.and_then(Commit::wait);
        let at = self.fs.changes();
        let changes = under_way.changes.clone();
        self.ledger.together.push(Together { from: under_way.begun, to: at, changes });
        for (id, before, after) in under_way.changes {
            match answer {
                Ok(()) => self.ledger.expect(at, id, vec![after]),
                Err(_) => self.ledger.refused.push((id, before)),
            }
        }
        if answer.is_ok() {
            for (id, before) in std::mem::take(&mut self.ledger.refused) {
                self.ledger.expect(at, id, vec![before]);
            }
        }
        answer.is_ok()
    }

    fn change(&mut self, changes: Vec<(Change, Shown)>) -> bool {
        let under_way = self.begin(changes);
        self.end(under_way)
    }

    /// A message whose content is complete.
    pub(crate) fn receive(&mut self, octets: usize, recipients: usize) -> Option<(Change, Shown)> {
        self.count += 1;
        let mut content = format!("message {}\r\n", self.count).into_bytes();
        content.resize(octets.max(content.len()), b'a' + (self.count % 26) as u8);
        let mut incoming = self.store.begin(now());
        self.ledger.begin(incoming.id(), content.clone());
        for piece in content.chunks(700) {
            incoming.write(piece).ok()?;
        }
        let ready = incoming.finish(envelope(recipients)).ok()?;
        Some((Change::Accept(ready), Some(Waits::new(recipients))))
    }

    pub(crate) fn accept(&mut self, octets: usize, recipients: usize) -> Option<MessageId> {
        let change = self.receive(octets, recipients)?;
        let id = id_of(&change.0);
        self.change(vec![change]).then_some(id)
    }

    pub(crate) fn news(&self, report: Report) -> (Change, Shown) {
        let before = self.ledger.now(report.id).expect("nothing else is under way");
        let after = before.as_ref().expect("it is waiting").after(&report);
        (Change::Report(report), after)
    }

    pub(crate) fn report(&mut self, report: Report) -> bool {
        let change = self.news(report);
        self.change(vec![change])
    }

    pub(crate) fn hold(&mut self, id: MessageId, held: bool) -> bool {
        let before = self.ledger.now(id).cloned().flatten().expect("it is waiting");
        let change = if held { Change::Hold(id) } else { Change::Release(id) };
        self.change(vec![(change, Some(before.let_go(held)))])
    }

    pub(crate) fn delete(&mut self, id: MessageId) -> bool {
        self.change(vec![(Change::Delete(id), None)])
    }

    /// Something fails whose sender must be told: the news and the notice in one commit.
    pub(crate) fn bounce(&mut self, report: Report, octets: usize) -> bool {
        let news = self.news(report);
        match self.receive(octets, 1) {
            Some(notice) => self.change(vec![news, notice]),
            None => false,
        }
    }

    /// A recipient's message turns into others: its news and they in one commit.
    pub(crate) fn send_on(&mut self, report: Report, octets: &[usize]) -> bool {
        let news = self.news(report);
        let others: Vec<_> = octets.iter().filter_map(|octets| self.receive(*octets, 2)).collect();
        others.len() == octets.len() && self.change(std::iter::once(news).chain(others).collect())
    }

    /// The work itself changes nothing that anybody is told.
    pub(crate) fn tend(&mut self) -> usize {
        self.store.tend().map_or(0, |tended| tended.carried + tended.deleted)
    }
}

pub(crate) fn id_of(change: &Change) -> MessageId {
    match change {
        Change::Accept(ready) => ready.id(),
        Change::Report(report) => report.id,
        Change::Hold(id) | Change::Release(id) | Change::Delete(id) => *id,
        other => panic!("{other:?}"),
    }
}
