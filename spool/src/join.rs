//! Where the two halves meet: what the store found waiting is something that the schedule can be told.

use crate::{Item, Waiting};

impl From<&Waiting> for Item {
    /// A message that was waiting before a start, with its attempts. Routes have to be added for its
    /// [open recipients](Waiting::open_recipients).
    fn from(waiting: &Waiting) -> Self {
        let mut item = Item::new(waiting.id, &waiting.envelope);
        item.held = waiting.held;
        item.is_noticed |= waiting.recipients.iter().any(|(_, notices)| notices.delay);
        (item.attempts, item.last_attempt) = (waiting.attempts, waiting.last_attempt);
        item
    }
}
