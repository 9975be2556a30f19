//! What happened in the selected mailbox, told to the session.

use std::time::Duration;

use pillarbox_core::Time;

use super::Connection;
use crate::parts::StoreError;

impl Connection {
    /// Tells the session what happened in the selected mailbox, if that can be found out. What was done before was done: a
    /// message that is stored must not be called refused because of another mailbox.
    pub(in crate::imap) async fn look(&mut self) {
        if let Err(error) = self.catch_up().await {
            self.failed("mailbox", &error);
        }
    }

    /// Tells the session what happened in the selected mailbox.
    pub(super) async fn catch_up(&mut self) -> Result<(), StoreError> {
        if let Some(mailbox) = &mut self.selected {
            let changes = self.wire.answer(mailbox.refresh()).await?;
            let now = self.wire.now();
            self.wire.machine.learn_all(now, changes);
        }
        Ok(())
    }
}

/// When a session that has just told news tells more: with all others. What one of them reads of the mailbox then is what the
/// others tell too; a thousand who ask at a thousand moments would read a folder that changes a thousand times. A beat that is nearer
/// than half a pause is left out, for behind it there would be no pause.
pub(super) fn beat(now: Time, pause: Duration) -> Time {
    let since = now.since_origin() + pause / 2;
    Time::from_origin(since + pause - Duration::from_nanos((since.as_nanos() % pause.as_nanos()) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_are_common_and_half_a_pause_away_at_least() {
        let pause = Duration::from_millis(250);
        let millis = |millis| Time::from_origin(Duration::from_millis(millis));
        for (now, next) in
            [(0, 250), (1, 250), (124, 250), (125, 500), (126, 500), (249, 500), (250, 500), (374, 500), (375, 750)]
        {
            assert_eq!(beat(millis(now), pause), millis(next), "{now}");
        }
    }
}
