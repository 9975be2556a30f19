//! Which messages are meant.

use pillarbox::mailcore::address::ForwardPath;
use pillarbox::outbound::spool::{Message, MessageId};
use serde::{Deserialize, Serialize};

use super::shown::words_of;

/// Which messages are meant: those that all that is said here fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Nothing more is said: all.
    pub all: bool,
    /// These.
    pub ids: Vec<String>,
    /// Those of a sender; empty for the null path.
    pub sender: Option<String>,
    /// Those with waiting recipients in a domain.
    pub domain: Option<String>,
    /// Those that were received at least so many seconds ago.
    pub older_than: Option<u64>,
    /// Those with waiting recipients whose last attempt came to something with this text in it.
    pub error: Option<String>,
    /// Those that are held.
    pub held: bool,
}

impl Selection {
    /// Whether it says something of messages beside their names.
    pub fn looks_inside(&self) -> bool {
        self.sender.is_some() || self.domain.is_some() || self.older_than.is_some() || self.error.is_some() || self.held
    }

    /// Whether it says nothing at all, not even that all are meant.
    pub fn says_nothing(&self) -> bool {
        !self.all && self.ids.is_empty() && !self.looks_inside()
    }

    /// The messages that it names.
    pub fn parsed_ids(&self) -> Result<Vec<MessageId>, String> {
        let parse = |text: &String| {
            text.parse().map_err(|_| {
                format!("`{}` is not the name of a message, such as 35afrg0001q9p4kd", text.escape_debug())
            })
        };
        self.ids.iter().map(parse).collect()
    }

    /// Whether a message is meant, as far as its name does not say.
    pub fn fits(&self, message: &Message, now: i64) -> bool {
        let envelope = &message.envelope;
        if let Some(sender) = &self.sender {
            let known = envelope.from.address().map(ToString::to_string).unwrap_or_default();
            if !known.eq_ignore_ascii_case(sender) {
                return false;
            }
        }
        if let Some(age) = self.older_than {
            let known = now.saturating_sub(envelope.received.unix_seconds());
            if known < i64::try_from(age).unwrap_or(i64::MAX) {
                return false;
            }
        }
        if self.held && !message.held {
            return false;
        }
        if self.domain.is_none() && self.error.is_none() {
            return true;
        }
        let mut waiting =
            envelope.recipients.iter().zip(&message.recipients).filter(|(_, state)| state.outcome.is_none());
        waiting.any(|(recipient, state)| {
            let in_domain = self.domain.as_ref().is_none_or(|domain| match &recipient.to {
                ForwardPath::Address(address) => address.domain().as_str().eq_ignore_ascii_case(domain),
                ForwardPath::Postmaster => false,
            });
            let has_error = self.error.as_ref().is_none_or(|error| {
                let last = state.history.last();
                last.is_some_and(|last| words_of(last).to_lowercase().contains(&error.to_lowercase()))
            });
            in_domain && has_error
        })
    }
}
