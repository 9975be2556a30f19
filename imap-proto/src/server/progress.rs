//! INPROGRESS (RFC 9585): how far a command that takes long has come.

use pillarbox_core::Time;

use super::ServerSession;
use super::session::{Asked, Doing};

impl ServerSession {
    /// Takes note of how far the answer to the open question has come: `done` of `goal` messages, if it is known how many there will be.
    /// Legal in every state. The client is told now and then ([`Limits::progress_interval`](super::Limits::progress_interval)), between
    /// the lines of the answer; true if it was told just now, so that the output is worth sending at once.
    pub fn in_progress(&mut self, now: Time, done: u64, goal: Option<u64>) -> bool {
        self.timer.advance(now);
        let interval = self.config.limits.progress_interval;
        let due = self.running.progress_told + interval <= self.timer.now;
        if !self.config.extensions.in_progress || interval.is_zero() || !due || !self.is_between_lines() {
            return false;
        }
        self.tell_progress(done, goal);
        true
    }

    /// The same at once, to a client that has closed its side and may be gone: if it is, the connection breaks sooner or later after
    /// something was said. Legal in every state. False where nothing can be said, which is within a line of the answer.
    pub fn probe(&mut self, now: Time, done: u64, goal: Option<u64>) -> bool {
        self.timer.advance(now);
        if self.config.extensions.in_progress && self.is_between_lines() {
            self.tell_progress(done, goal);
            return true;
        }
        let says =
            self.is_between_lines() || matches!(self.doing, Doing::Asked(Asked::Recheck(_) | Asked::AppendPart(..)));
        if says {
            self.untagged("OK", None, "Still at it");
            self.timer.output(true);
        }
        says
    }

    fn tell_progress(&mut self, done: u64, goal: Option<u64>) {
        self.running.progress_told = self.timer.now;
        // RFC 9585 §4: no code may hold a `]`, and nothing is at its goal before it is done with.
        let tag = match self.running.tag.contains(']') {
            true => "NIL".into(),
            false => alloc::format!("\"{}\"", self.running.tag),
        };
        let state = match (done, goal.filter(|goal| *goal > 0)) {
            (0, None) => "NIL NIL".into(),
            (done, None) => alloc::format!("{done} NIL"),
            (done, Some(goal)) => alloc::format!("{} {goal}", done.min(goal - 1)),
        };
        let code = alloc::format!("INPROGRESS ({tag} {state})");
        self.untagged("OK", Some(&code), "Still at it");
        self.timer.output(true);
    }

    /// Whether a command is being served, and a line of its own may stand where the output ends.
    fn is_between_lines(&self) -> bool {
        match &self.doing {
            Doing::Asked(Asked::Search(searching)) => !searching.is_open(),
            Doing::Asked(Asked::SearchMailboxes(searching)) => !searching.is_open(),
            Doing::Asked(Asked::Thread(threading)) => !threading.is_open(),
            Doing::Asked(Asked::Fetch(fetching)) => !fetching.is_open(),
            Doing::Asked(
                Asked::Store { .. }
                | Asked::Copy { .. }
                | Asked::Move { .. }
                | Asked::Expunge { .. }
                | Asked::Deleted(_)
                | Asked::AppendEnd { .. },
            ) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use pillarbox_core::Step;

    use super::super::{Answer, Event, Peer, ServerConfig, Snapshot};
    use super::*;
    use crate::types::{Uid, UidValidity};

    #[test]
    fn nothing_is_told_within_a_line() {
        let config = ServerConfig { login_without_tls: true, ..ServerConfig::default() };
        let mut session = ServerSession::new(Arc::new(config), Peer::default());
        let (start, later) = (Time::ZERO, Time::ZERO + core::time::Duration::from_secs(10));
        let mut unread = &b"a LOGIN joe secret\r\nb SELECT INBOX\r\nc SEARCH ALL\r\n"[..];
        loop {
            let Step::Event(event) = session.poll(start, &mut unread) else { panic!("a question is next") };
            let answer = match event {
                Event::Login { .. } => Answer::LoggedIn("joe".into()),
                Event::Select { .. } => {
                    let mut snapshot = Snapshot::new(UidValidity::MIN, Uid::MAX);
                    snapshot.uids = alloc::vec![Uid::MIN];
                    Answer::Selected(snapshot)
                }
                Event::Search { .. } => break,
                _ => Answer::Done,
            };
            session.answer(start, answer).unwrap();
        }
        assert!(!session.in_progress(start, 0, None), "it has only begun");
        session.answer(start, Answer::Found(&[Uid::MIN])).unwrap();
        assert!(!session.in_progress(later, 1, None), "`* SEARCH 1` waits for its end");
        assert!(!session.probe(later, 1, None));
        session.answer(later, Answer::Done).unwrap();
        assert!(!session.in_progress(later, 1, None), "nothing is asked any more");
        assert!(!session.probe(later, 1, None));
    }
}
