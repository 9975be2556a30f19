//! What a client session is told at its start: its name, its protocol, TLS, limits, patience.

use core::time::Duration;

use pillarbox_core::StartTls;
use pillarbox_core::address::{AddressError, Domain};
use pillarbox_core::sasl::Login;

use crate::reply_parser::ReplyLimits;
use crate::server::Protocol;

/// How a client session behaves.
///
/// ```
/// use pillarbox_smtp::client::{ClientConfig, StartTls};
///
/// let mut config = ClientConfig::new("mail.c.example").unwrap();
/// config.starttls = StartTls::Required;
/// // The name stands in EHLO, so it cannot hold a second command.
/// assert!(ClientConfig::new("mail.c.example\r\nMAIL FROM:<>").is_err());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    hello_name: Domain<'static>,
    /// SMTP, or LMTP with its reply per recipient.
    pub protocol: Protocol,
    /// What is done about STARTTLS. Over a connection that has TLS from its start this is of no account.
    pub starttls: StartTls,
    /// Who logs in. Without it nobody does.
    pub login: Option<Login>,
    /// Whether MAIL, RCPT and DATA go out together where the server offers that (RFC 2920). Off is for servers that offer
    /// it and cannot do it.
    pub pipelining: bool,
    /// Whether every message goes by BDAT where the server offers that (RFC 3030): with PIPELINING in one flight with its
    /// envelope, and a refusal before its end costs no connection. Default: no, as DATA is what servers know best. Binary
    /// messages go by BDAT in any case.
    pub chunking: bool,
    /// How much is held.
    pub limits: ClientLimits,
    /// How long is waited.
    pub timeouts: ClientTimeouts,
}

impl ClientConfig {
    /// A configuration for SMTP that takes TLS if it is offered. `hello_name` is what EHLO says we are: our host name,
    /// or an address literal such as `[192.0.2.1]` (RFC 5321 §4.1.4).
    ///
    /// # Errors
    ///
    /// [`AddressError`] if that is no domain of ASCII characters.
    pub fn new(hello_name: &str) -> Result<Self, AddressError> {
        Ok(ClientConfig {
            hello_name: Domain::parse(hello_name)?.into_owned(),
            protocol: Protocol::Smtp,
            starttls: StartTls::IfOffered,
            login: None,
            pipelining: true,
            chunking: false,
            limits: ClientLimits::default(),
            timeouts: ClientTimeouts::default(),
        })
    }

    /// What EHLO says we are.
    pub const fn hello_name(&self) -> &Domain<'static> {
        &self.hello_name
    }
}

/// What a session holds. Every number has a reason; 0 never means "unlimited".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// How much of a reply is taken.
    pub reply: ReplyLimits,
    /// Octets of a message that may wait in the output before [`room`](pillarbox_core::Machine::room) is 0; less than
    /// 1024 counts as that.
    pub output_max: usize,
    /// Octets of a chunk of BDAT; less than 512 counts as that, and one always fits into the output. As much of a message
    /// is held besides the output until it is a chunk: a server can refuse a message only behind a chunk (RFC 3030 §2).
    pub chunk_max: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits { reply: ReplyLimits::default(), output_max: 65_536, chunk_max: 65_536 }
    }
}

/// How long a server may take (RFC 5321 §4.5.3.2). Each is a deadline for the whole reply, not a gap between octets, so
/// that a drip does not hold the connection. While a question to the embedder is open no time runs, unless octets of a
/// message wait for the server to take them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientTimeouts {
    /// For the greeting (RFC 5321 §4.5.3.2.1).
    pub greeting: Duration,
    /// For the replies to EHLO, HELO, LHLO and STARTTLS.
    pub hello: Duration,
    /// For each reply within a login.
    pub auth: Duration,
    /// For the reply to MAIL (RFC 5321 §4.5.3.2.2).
    pub mail: Duration,
    /// For the reply to each RCPT (RFC 5321 §4.5.3.2.3).
    pub rcpt: Duration,
    /// For the reply to DATA (RFC 5321 §4.5.3.2.4).
    pub data_start: Duration,
    /// For the server to take some of what waits in the output (RFC 5321 §4.5.3.2.5), and for its reply to a chunk that is
    /// not the last one.
    pub data_block: Duration,
    /// For the final reply, LMTP: for all of them, from when the end mark left (RFC 5321 §4.5.3.2.6).
    pub data_end: Duration,
    /// For the replies to RSET and QUIT. The RFC has no number; nothing is lost by giving up.
    pub quit: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        ClientTimeouts {
            greeting: Duration::from_secs(300),
            hello: Duration::from_secs(300),
            auth: Duration::from_secs(300),
            mail: Duration::from_secs(300),
            rcpt: Duration::from_secs(300),
            data_start: Duration::from_secs(120),
            data_block: Duration::from_secs(180),
            data_end: Duration::from_secs(600),
            quit: Duration::from_secs(20),
        }
    }
}
