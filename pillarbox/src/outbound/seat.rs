//! The room that a delivery takes, and whether it can be had back.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// One of the places for deliveries at a time. It is kept until [`may_go`](Seat::may_go) says otherwise.
#[derive(Default)]
pub(super) struct Seat {
    may_go: AtomicBool,
    asked: Notify,
}

impl Seat {
    /// Asks for the place; false if it cannot be had now.
    pub(super) fn ask(&self) -> bool {
        let may_go = self.may_go.load(Ordering::Acquire);
        if may_go {
            self.asked.notify_one();
        }
        may_go
    }

    /// Waits until the place is asked for at a moment at which it can be had.
    pub(super) async fn is_asked_for(&self) {
        loop {
            self.asked.notified().await;
            if self.may_go.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Whether it can be had from here on. Where content is on its way it may be taken at any moment: to go away then would
    /// double it.
    pub(super) fn may_go(&self, may_go: bool) {
        self.may_go.store(may_go, Ordering::Release);
    }
}
