//! What happens in mailboxes other than the selected one.

use std::sync::Arc;

use pillarbox_imap::notify::{Notification, Watch};
use pillarbox_imap::server::Answer;
use pillarbox_imap::types::{MailboxName, ResponseCode, Uid};

use super::news::beat;
use super::{Connection, NEWS_RETRY, Trouble};
use crate::imap::watch::Watching;
use crate::parts::{NameChange, StoreErrorKind};

/// How long a session gathers what happens elsewhere before it tells more. Nobody looks at these mailboxes now, and to ask a
/// thousand times for numbers that are out of date when they come would slow down those who make them so.
const ELSEWHERE_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

impl Connection {
    /// Watches other mailboxes from now on.
    pub(super) async fn watch(&mut self, watch: Watch) -> Result<(), Trouble> {
        if watch.groups.is_empty() {
            self.watching = None;
            self.untold.clear();
            self.answer(Answer::Done);
            return Ok(());
        }
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        let shared = Arc::clone(&self.shared);
        let begun = self.wire.answer(Box::pin(Watching::begin(store, user, watch, &shared.config))).await;
        let (watching, told) = match begun {
            Err(error) if error.kind == StoreErrorKind::Limit => {
                // RFC 5465 §3.1
                let code = ResponseCode::other("NOTIFICATIONOVERFLOW");
                self.answer(Answer::No { code, text: "these are too many mailboxes".into() });
                return Ok(());
            }
            begun => begun?,
        };
        self.watching = Some(Box::new(watching));
        self.elsewhere_quiet_until = None;
        self.untold.clear();
        for notification in told {
            self.answer(Answer::Notification(notification));
            self.flush_if_full().await?;
        }
        self.answer(Answer::Done);
        Ok(())
    }

    /// The session does this to a name.
    pub(super) fn did(&mut self, change: NameChange) {
        if let Some(watching) = &mut self.watching {
            watching.did(change);
        }
    }

    /// The session has put these messages there.
    pub(super) fn brought(&mut self, mailbox: &MailboxName, uids: impl Iterator<Item = Uid>) {
        if let Some(watching) = &mut self.watching {
            watching.brought(mailbox, uids);
        }
    }

    /// Tells what happened elsewhere, as much of it as the session takes now.
    pub(super) async fn tell_elsewhere(&mut self) {
        if self.untold.is_empty() {
            self.gather_elsewhere().await;
        }
        // Once there is no room, the session sends what there is and comes back; and whatever was sent meanwhile may have made
        // room for a question about the selected mailbox, which comes first.
        while self.wire.machine.takes_notifications()
            && let Some(notification) = self.untold.pop_front()
        {
            let now = self.wire.now();
            if let Err(misuse) = self.wire.machine.notify(now, notification) {
                // Only an error of this driver leads here.
                unreachable!("the driver told something that does not fit: {misuse}");
            }
        }
    }

    async fn gather_elsewhere(&mut self) {
        let Some(mut watching) = self.watching.take() else { return };
        let told = self.wire.answer(Box::pin(watching.tell())).await;
        let told = match told {
            Ok(told) => told,
            Err(error) => {
                self.failed("mailbox", &error);
                self.elsewhere_quiet_until = Some(self.wire.now() + NEWS_RETRY);
                // What was not told is lost, and the client has to know that it does not know.
                vec![Notification::Overflow]
            }
        };
        if told.last() != Some(&Notification::Overflow) {
            self.watching = Some(watching);
            self.elsewhere_quiet_until = Some(beat(self.wire.now(), ELSEWHERE_PAUSE));
        }
        self.untold = told.into();
    }
}
