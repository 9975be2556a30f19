//! Who is told what happens.

use std::net::IpAddr;

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to us.
    Received,
    /// From us to the client.
    Sent,
}

/// Who is told what happens, for logs, metrics and traces. Every method does nothing unless overridden, and none may wait.
///
/// Secrets never come here: lines of an AUTH or AUTHENTICATE exchange and LOGIN arguments are replaced by `<hidden>`.
pub trait Observer: Send + Sync {
    /// A connection was accepted. `session` numbers the connections of this process.
    fn connected(&self, session: u64, service: &'static str, ip: Option<IpAddr>) {
        let _ = (session, service, ip);
    }
    /// A client of SMTP or LMTP did not wait for the greeting. The octets, at most the first thousand or so, are the peer's:
    /// escape them before they are shown.
    fn talked_early(&self, session: u64, octets: &[u8]) {
        let _ = (session, octets);
    }
    /// A connection ended, and why.
    fn disconnected(&self, session: u64, reason: &str) {
        let _ = (session, reason);
    }
    /// Whether [`line`](Observer::line) is wanted. Cutting traffic into lines costs time.
    fn wants_lines(&self) -> bool {
        false
    }
    /// A line of the conversation, without its line end; of message bodies only the number of octets is told. The octets
    /// are the peer's: escape them before they are shown.
    fn line(&self, session: u64, direction: Direction, line: &[u8]) {
        let _ = (session, direction, line);
    }
    /// Somebody logged in.
    fn logged_in(&self, session: u64, user: &str) {
        let _ = (session, user);
    }
    /// A login was refused. The name is the peer's: escape it before it is shown.
    fn login_refused(&self, session: u64, ip: Option<IpAddr>, user: &str) {
        let _ = (session, ip, user);
    }
    /// A message was committed for this recipient. `size` counts the octets that were received.
    fn delivered(&self, session: u64, id: &str, from: &str, to: &str, size: u64) {
        let _ = (session, id, from, to, size);
    }
    /// A command, recipient or message was refused with this reply.
    fn refused(&self, session: u64, what: &str, reply: &str) {
        let _ = (session, what, reply);
    }
    /// Something of ours failed (a disk, a database); the peer was told to try later.
    fn failed(&self, session: u64, what: &str, cause: &dyn std::fmt::Display) {
        let _ = (session, what, cause);
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
