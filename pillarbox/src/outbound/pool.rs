//! Connections that are kept for the next message to the same destination.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::smtp::SmtpClient;

/// What a kept connection is good for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The destination in the schedule.
    pub(super) destination: Arc<str>,
    /// Which route led there: two hosts of one name may have two logins.
    pub(super) route: usize,
    /// The least that a message needs of TLS.
    pub(super) need: super::tls::Need,
}

/// A connection, with whom, and how often it was used.
pub(super) struct Kept {
    pub(super) client: SmtpClient,
    pub(super) peer: String,
    pub(super) host: String,
    pub(super) messages: u32,
}

#[derive(Default)]
pub(super) struct Pool(Mutex<State>);

#[derive(Default)]
struct State {
    kept: HashMap<Key, Vec<(u64, Kept)>>,
    next: u64,
    is_closed: bool,
}

impl Pool {
    /// The connection that was kept last, which is the least likely to be gone.
    pub(super) fn take(&self, key: &Key) -> Option<Kept> {
        let mut state = self.state();
        let kept = state.kept.get_mut(key)?;
        let (_, last) = kept.pop()?;
        if kept.is_empty() {
            state.kept.remove(key);
        }
        Some(last)
    }

    /// Keeps a connection; the number is for [`expire`](Pool::expire).
    ///
    /// # Errors
    ///
    /// The connection, if nothing is kept any more.
    #[expect(clippy::result_large_err, reason = "it is what was given")]
    pub(super) fn keep(&self, key: Key, kept: Kept) -> Result<u64, Kept> {
        let mut state = self.state();
        if state.is_closed {
            return Err(kept);
        }
        let number = state.next;
        state.next += 1;
        state.kept.entry(key).or_default().push((number, kept));
        Ok(number)
    }

    /// Takes a connection if nobody has used it since.
    pub(super) fn expire(&self, key: &Key, number: u64) -> Option<Kept> {
        let mut state = self.state();
        let kept = state.kept.get_mut(key)?;
        let place = kept.iter().position(|(known, _)| *known == number)?;
        let (_, expired) = kept.remove(place);
        if kept.is_empty() {
            state.kept.remove(key);
        }
        Some(expired)
    }

    /// Takes all of them; no more are kept.
    pub(super) fn close(&self) -> Vec<Kept> {
        let mut state = self.state();
        state.is_closed = true;
        std::mem::take(&mut state.kept).into_values().flatten().map(|(_, kept)| kept).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
