//! Who is told what happens.

use std::fmt;
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
    /// A message was checked by `auth::AuthSink`, with these results, in the form of Authentication-Results.
    /// What of them is the peer's may hold characters beyond ASCII: escape them before they are shown.
    fn checked(&self, session: u64, what: &str, results: &dyn fmt::Display) {
        let _ = (session, what, results);
    }
    /// A command, recipient or message was refused with this reply.
    fn refused(&self, session: u64, what: &str, reply: &str) {
        let _ = (session, what, reply);
    }
    /// Something happened to a message in the queue.
    fn queue(&self, event: &QueueEvent<'_>) {
        let _ = event;
    }
    /// Something of ours failed (a disk, a database); the peer was told to try later.
    fn failed(&self, session: u64, what: &str, cause: &dyn fmt::Display) {
        let _ = (session, what, cause);
    }
}

/// Something that happened to a message in the queue, or on its way out. Texts of other servers are cleaned of controls, as all
/// replies are.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum QueueEvent<'a> {
    /// A message is in the queue.
    Accepted {
        /// Its name there.
        id: &'a str,
        /// The name that the session gave it.
        session_id: &'a str,
    },
    /// A recipient was tried.
    Tried {
        /// The message.
        id: &'a str,
        /// The recipient.
        to: &'a str,
        /// What came of it: `delivered`, `relayed`, `failed` or `delayed`.
        outcome: &'a str,
        /// The host and its address; empty if nobody was spoken to.
        peer: &'a str,
        /// The reply, or our reason.
        reply: &'a str,
    },
    /// A notice about a message was put into the queue.
    Noticed {
        /// The message.
        id: &'a str,
        /// The notice.
        notice: &'a str,
        /// Who gets it.
        to: &'a str,
    },
    /// A message that failed has nobody to be told of it: it is a notice itself.
    DoubleBounce {
        /// The message.
        id: &'a str,
    },
    /// A message cannot be read and was set aside: a person has to look at it.
    SetAside {
        /// The message.
        id: &'a str,
        /// What is wrong.
        why: &'a dyn fmt::Display,
    },
    /// Something in the queue was found damaged at the start.
    Damaged {
        /// What, and where it is kept.
        finding: &'a dyn fmt::Debug,
    },
    /// How TLS with a host went, for reports (RFC 8460).
    Tls {
        /// The domain whose policy it is.
        domain: &'a str,
        /// The host.
        host: &'a str,
        /// What went wrong, in the words of RFC 8460 §4.3; nothing if all went well.
        failure: Option<&'a str>,
    },
    /// Something of ours failed.
    Failed {
        /// What was being done.
        what: &'a str,
        /// What happened.
        cause: &'a dyn fmt::Display,
    },
}

impl fmt::Display for QueueEvent<'_> {
    /// A line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueEvent::Accepted { id, session_id } => write!(f, "{session_id} is {id} in the queue"),
            QueueEvent::Tried { id, to, outcome, peer, reply } => {
                let by = if peer.is_empty() { String::new() } else { format!(" by {peer}") };
                write!(f, "{id} to {to}: {outcome}{by}: {}", reply.replace('\n', " / "))
            }
            QueueEvent::Noticed { id, notice, to } => write!(f, "{id}: notice {notice} to {to}"),
            QueueEvent::DoubleBounce { id } => write!(f, "{id}: a notice that could not be delivered"),
            QueueEvent::SetAside { id, why } => write!(f, "{id}: set aside: {why}"),
            QueueEvent::Damaged { finding } => write!(f, "the queue is damaged: {finding:?}"),
            QueueEvent::Tls { domain, host, failure: None } => write!(f, "TLS for {domain} with {host}"),
            QueueEvent::Tls { domain, host, failure: Some(failure) } => {
                write!(f, "TLS for {domain} with {host} failed: {failure}")
            }
            QueueEvent::Failed { what, cause } => write!(f, "{what} failed: {cause}"),
        }
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
