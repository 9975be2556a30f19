//! One of the machines within, and the questions of all of them under numbers of their own.

use alloc::vec::Vec;

use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Question, QuestionId};

/// A machine that may not have begun, and its output when it has ended.
#[derive(Debug)]
pub(super) enum Part<M: DnsMachine> {
    Off,
    Running(M),
    Done(M::Output),
}

impl<M: DnsMachine> Part<M> {
    /// The next question, if there is one now.
    pub(super) fn next_question(&mut self) -> Option<Question> {
        let Part::Running(machine) = self else { return None };
        match machine.poll() {
            DnsStep::Ask(question) => Some(question),
            DnsStep::Wait => None,
            DnsStep::Done(output) => {
                *self = Part::Done(output);
                None
            }
        }
    }

    pub(super) const fn running(&mut self) -> Option<&mut M> {
        match self {
            Part::Running(machine) => Some(machine),
            _ => None,
        }
    }

    pub(super) fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        if let Some(machine) = self.running() {
            machine.answer(id, answer);
        }
    }

    pub(super) fn give_up(&mut self) {
        if let Some(machine) = self.running() {
            machine.give_up();
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self, Part::Running(_))
    }

    pub(super) const fn output(&self) -> Option<&M::Output> {
        match self {
            Part::Done(output) => Some(output),
            _ => None,
        }
    }

    pub(super) fn into_output(self) -> Option<M::Output> {
        match self {
            Part::Done(output) => Some(output),
            _ => None,
        }
    }
}

/// Names the machines within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Iprev,
    SpfHelo,
    SpfMailFrom,
    Dkim,
    Arc,
    Dmarc,
}

/// The questions that are open: each with its number out there, and whose question it is under which number.
#[derive(Debug, Default)]
pub(super) struct OpenQuestions {
    next: u32,
    open: Vec<(QuestionId, Method, QuestionId)>,
}

impl OpenQuestions {
    pub(super) const fn count(&self) -> usize {
        self.open.len()
    }

    /// The question of a machine as it is asked.
    pub(super) fn add(&mut self, method: Method, question: Question) -> Question {
        let id = QuestionId(self.next);
        self.next += 1;
        self.open.push((id, method, question.id));
        Question::new(id, question.name, question.kind)
    }

    /// Whose question it is that was answered, if it is an open one.
    pub(super) fn take(&mut self, id: QuestionId) -> Option<(Method, QuestionId)> {
        let at = self.open.iter().position(|(open, ..)| *open == id)?;
        let (_, method, inner) = self.open.swap_remove(at);
        Some((method, inner))
    }

    /// Nobody waits for the answers to this machine any more.
    pub(super) fn forget(&mut self, method: Method) {
        self.open.retain(|(_, other, _)| *other != method);
    }

    pub(super) fn forget_all(&mut self) {
        self.open.clear();
    }
}
