//! The bytes on their way out.

use alloc::vec::Vec;

use pillarbox_core::{Reply, Time};

/// Bytes that the caller has not sent yet.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// How many of them were sent.
    sent: usize,
    must_flush: bool,
    /// So many of the unsent octets are waited for together: octets that come later wait for the next turn, and a peer that
    /// takes one octet from time to time gains nothing.
    due: usize,
    /// Since when.
    since: Time,
}

impl Output {
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent().is_empty()
    }

    pub(super) const fn must_flush(&self) -> bool {
        self.must_flush
    }

    /// Since when the peer is waited for.
    pub(super) const fn since(&self) -> Time {
        self.since
    }

    /// Adds a reply; a prompt one must not be held back (RFC 2920 §3.2).
    pub(super) fn add(&mut self, now: Time, reply: &Reply, prompt: bool) {
        let is_first = self.begin(prompt);
        reply.write(&mut self.bytes);
        if is_first {
            self.wait_anew(now);
        }
    }

    /// Adds a line without CR and LF that no [`Reply`] can hold, and ends it.
    pub(super) fn add_line(&mut self, now: Time, parts: [&str; 2]) {
        let is_first = self.begin(true);
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.bytes.extend_from_slice(b"\r\n");
        if is_first {
            self.wait_anew(now);
        }
    }

    pub(super) fn consume(&mut self, now: Time, n: usize) {
        if n == 0 {
            return;
        }
        self.sent = self.sent.saturating_add(n).min(self.bytes.len());
        self.due = self.due.saturating_sub(n);
        if self.due == 0 {
            self.wait_anew(now);
        }
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops what was not sent.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        // A long answer was rare; what it took is given back.
        self.bytes.shrink_to(KEPT);
        (self.sent, self.due) = (0, 0);
        self.must_flush = false;
    }

    /// Makes ready for more; whether nothing is unsent.
    fn begin(&mut self, prompt: bool) -> bool {
        self.must_flush |= prompt;
        // What was sent goes when it is most of what is kept, so that each octet is moved once at most on average.
        if self.sent >= KEPT && self.sent >= self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.is_empty()
    }

    /// All that is unsent is waited for from now on.
    fn wait_anew(&mut self, now: Time) {
        (self.since, self.due) = (now, self.unsent().len());
    }
}

/// Octets that stay allocated for the next replies.
const KEPT: usize = 1024;
