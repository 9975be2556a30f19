//! How much memory the bodies take that wait to be written, all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
}

/// A part of the budget, given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    budget: Option<Arc<Budget>>,
    octets: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Budget { used: AtomicUsize::new(0), max })
    }
}

impl Reservation {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Reservation { budget: Some(budget.clone()), octets: 0 }
    }

    /// Takes so many octets more; false if there are none left.
    pub(crate) fn grow(&mut self, octets: usize) -> bool {
        let Some(budget) = &self.budget else { return false };
        let used = budget.used.fetch_add(octets, Ordering::Relaxed);
        if used.saturating_add(octets) > budget.max {
            budget.used.fetch_sub(octets, Ordering::Relaxed);
            return false;
        }
        self.octets += octets;
        true
    }

    pub(crate) fn release(&mut self) {
        if let Some(budget) = &self.budget {
            budget.used.fetch_sub(self.octets, Ordering::Relaxed);
            self.octets = 0;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}
