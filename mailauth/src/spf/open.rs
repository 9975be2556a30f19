//! The questions that were not answered yet.

use alloc::vec::Vec;

use pillarbox_core::dns::QuestionId;

/// Numbers of questions. There seldom is more than one, for which no list is made.
#[derive(Clone, Debug)]
pub(super) struct OpenQuestions {
    one: Option<QuestionId>,
    others: Vec<QuestionId>,
}

impl OpenQuestions {
    pub(super) const NONE: OpenQuestions = OpenQuestions { one: None, others: Vec::new() };

    pub(super) fn len(&self) -> usize {
        usize::from(self.one.is_some()) + self.others.len()
    }

    pub(super) fn add(&mut self, id: QuestionId) {
        match self.one {
            None => self.one = Some(id),
            Some(_) => self.others.push(id),
        }
    }

    /// Whether the question was open.
    pub(super) fn remove(&mut self, id: QuestionId) -> bool {
        if self.one == Some(id) {
            self.one = None;
            return true;
        }
        let at = self.others.iter().position(|open| *open == id);
        at.map(|at| self.others.swap_remove(at)).is_some()
    }
}
