//! The recipients of a job.

use std::collections::BTreeSet;

/// Nearly all jobs have one.
#[derive(Debug)]
pub(super) enum Recipients {
    One(u32),
    Many(Box<[u32]>),
}

impl Recipients {
    pub(super) fn of(recipients: Vec<u32>) -> Self {
        match recipients[..] {
            [one] => Recipients::One(one),
            _ => Recipients::Many(recipients.into_boxed_slice()),
        }
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Recipients::One(one) => std::slice::from_ref(one),
            Recipients::Many(many) => many,
        }
    }

    pub(super) fn remove(&mut self, done: &[u32]) {
        let done: BTreeSet<u32> = done.iter().copied().collect();
        let left: Vec<u32> = self.as_slice().iter().copied().filter(|it| !done.contains(it)).collect();
        if left.len() < self.as_slice().len() {
            *self = Recipients::of(left);
        }
    }
}
