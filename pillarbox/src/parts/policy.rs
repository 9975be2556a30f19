//! Which connections, senders, recipients and messages are accepted.

use std::collections::HashSet;
use std::net::IpAddr;

use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::{Reply, TlsFacts};
use pillarbox_smtp::command::ClientAttributes;
use pillarbox_smtp::server::{Mail, Rcpt};

use super::{BoxFuture, Identity};

/// What is known about a session when a question is asked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Session {
    /// The number of the session in this process.
    pub number: u64,
    /// What the listener is for: `smtp`, `submission`, `lmtp`.
    pub service: &'static str,
    /// The client's address, or the one that a proxy of ours told; `None` on a unix socket, or where the proxy knows none.
    pub ip: Option<IpAddr>,
    /// What the client called itself.
    pub hello: Option<String>,
    /// Facts about TLS, if it is on.
    pub tls: Option<TlsFacts>,
    /// Who logged in.
    pub identity: Option<Identity>,
    /// Octets that the client sent before the greeting.
    pub early_talk: usize,
    /// The octets that the client announced for the message under way (RFC 1870): of use when a recipient is asked for.
    pub size: Option<u64>,
    /// The sender of the message under way: of use when a recipient is asked for. `None` before MAIL.
    pub sender: Option<ReversePath<'static>>,
    /// The recipients that were accepted, when [`header`](Policy::header) is asked; empty otherwise.
    pub recipients: Vec<ForwardPath<'static>>,
    /// What a proxy of ours said of its client by XCLIENT; `ip`, `hello` and `identity` follow from it.
    pub xclient: Option<ClientAttributes>,
    /// What a filter of ours said by XFORWARD of where the message came from. It changes nothing else.
    pub xforward: Option<ClientAttributes>,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Yes.
    Accept,
    /// No, with this reply: 5yz for good, 4yz for now.
    Refuse(Reply),
    /// No, and the connection is closed after this reply.
    Hangup(Reply),
}

/// Which connections, senders, recipients and messages are accepted.
pub trait Policy: Send + Sync {
    /// A client connected; with XCLIENT, a proxy said who the client is, and this is asked again.
    fn connect<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, Verdict> {
        let _ = session;
        Box::pin(std::future::ready(Verdict::Accept))
    }
    /// MAIL FROM.
    fn sender<'a>(&'a self, session: &'a Session, mail: &'a Mail<'a>) -> BoxFuture<'a, Verdict> {
        let _ = (session, mail);
        Box::pin(std::future::ready(Verdict::Accept))
    }
    /// RCPT TO. There is no default: whoever answers for recipients answers for being an open relay.
    fn recipient<'a>(&'a self, session: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict>;
    /// Whether [`header`](Policy::header) is to be asked about the messages of this session, at each of them. The header is
    /// collected for it, as long as the session's limits allow.
    fn wants_header(&self, session: &Session) -> bool {
        let _ = session;
        false
    }
    /// The header of a message is complete, with the empty line behind it if there is one; the body may not have come yet.
    fn header<'a>(&'a self, session: &'a Session, header: &'a [u8]) -> BoxFuture<'a, Verdict> {
        let _ = (session, header);
        Box::pin(std::future::ready(Verdict::Accept))
    }
}

/// Accepts recipients out of a list, for tests and first tries. `postmaster` is accepted bare and at every domain of the
/// list (RFC 5321 §4.5.1).
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    addresses: HashSet<String>,
    domains: HashSet<String>,
}

impl AllowList {
    /// Accepts these addresses.
    ///
    /// ```
    /// use pillarbox::parts::AllowList;
    ///
    /// let list = AllowList::new(["you@localhost"]);
    /// assert!(list.accepts("You@LOCALHOST"));
    /// assert!(!list.accepts("else@localhost"));
    /// ```
    pub fn new<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = AllowList::default();
        for address in addresses {
            let address = address.to_ascii_lowercase();
            if let Some((_, domain)) = address.rsplit_once('@') {
                list.domains.insert(domain.to_owned());
            }
            list.addresses.insert(address);
        }
        list
    }

    /// Whether mail to this address is accepted.
    pub fn accepts(&self, address: &str) -> bool {
        self.addresses.contains(&address.to_ascii_lowercase())
    }

    fn accepts_address(&self, address: &Address<'_>) -> bool {
        let local = address.local().unquoted();
        let domain = address.domain().as_str().to_ascii_lowercase();
        if local.eq_ignore_ascii_case("postmaster") && self.domains.contains(&domain) {
            return true;
        }
        self.accepts(&format!("{local}@{domain}"))
    }
}

impl Policy for AllowList {
    fn recipient<'a>(&'a self, _session: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        let known = match &rcpt.to {
            ForwardPath::Postmaster => true,
            ForwardPath::Address(address) => self.accepts_address(address),
        };
        let verdict = match known {
            true => Verdict::Accept,
            false => Verdict::Refuse(Reply::enhanced(550, 5, 1, 1, "no such mailbox here")),
        };
        Box::pin(std::future::ready(verdict))
    }
}
