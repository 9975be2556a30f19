//! When messages were sent, as an order.

use alloc::vec::Vec;

/// The order of messages by date. Of two with one date the one with the lower number comes first.
pub(super) struct Sent(Vec<u32>);

impl Sent {
    pub(super) fn new(dates: &[i64]) -> Self {
        let mut keyed: Vec<(i64, u32)> = dates.iter().enumerate().map(|(at, date)| (*date, at as u32)).collect();
        keyed.sort_unstable();
        Sent(keyed.into_iter().map(|(_, message)| message).collect())
    }

    /// The messages, the earliest first.
    pub(super) fn order(&self) -> &[u32] {
        &self.0
    }
}
