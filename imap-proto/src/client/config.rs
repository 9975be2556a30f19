//! What a client session is told at its start: TLS, a login, what to enable, limits, patience.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use pillarbox_core::StartTls;
use pillarbox_core::sasl::Login;

/// How a client session behaves.
///
/// ```
/// use pillarbox_core::sasl::Credentials;
/// use pillarbox_imap::client::{ClientConfig, Login, StartTls};
///
/// let mut config = ClientConfig::default();
/// config.starttls = StartTls::Required;
/// config.login = Some(Login::new(Credentials::plain("", "joe", "hunter2")));
/// assert!(!format!("{config:?}").contains("hunter2"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// What is done about STARTTLS. Over a connection that has TLS from its start this is of no account.
    pub starttls: StartTls,
    /// Who logs in. Without it nobody does.
    pub login: Option<Login>,
    /// What is enabled behind the login, of what the server offers (RFC 5161).
    pub enable: Vec<String>,
    /// Whether the connection is compressed behind the login, if the server offers that (RFC 4978). The driver has to know
    /// [`Layer::Deflate`](pillarbox_core::Layer::Deflate).
    pub compress: bool,
    /// How much is held.
    pub limits: ClientLimits,
    /// How long is waited.
    pub timeouts: ClientTimeouts,
}

impl Default for ClientConfig {
    /// TLS if it is offered, nobody logs in, CONDSTORE and QRESYNC are enabled if they are offered.
    fn default() -> Self {
        ClientConfig {
            starttls: StartTls::IfOffered,
            login: None,
            enable: ["CONDSTORE", "QRESYNC"].map(String::from).to_vec(),
            compress: false,
            limits: ClientLimits::default(),
            timeouts: ClientTimeouts::default(),
        }
    }
}

/// What a session holds. Every number has a reason; 0 never means "unlimited".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Octets of a response, without the sections of messages, which are not held. The largest are those to SEARCH, with
    /// seven octets a message.
    pub response_max: usize,
    /// Octets that may wait in the output before [`room`](pillarbox_core::Machine::room) is 0 and no further command is
    /// written; less than 1024 counts as that.
    pub output_max: usize,
    /// Commands that may wait to be sent.
    pub queue_max: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits { response_max: 2 * 1024 * 1024, output_max: 65_536, queue_max: 1000 }
    }
}

/// How long a server may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientTimeouts {
    /// For the greeting.
    pub greeting: Duration,
    /// While a command is under way: for something to come, or some of the output to leave. A search in a large mailbox is
    /// slow, and no RFC has a number.
    pub response: Duration,
    /// For LOGOUT. Nothing is lost by giving up.
    pub logout: Duration,
    /// How long IDLE goes on before it is begun anew: servers may end sessions that say nothing for half an hour
    /// (RFC 2177 §3).
    pub idle: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        ClientTimeouts {
            greeting: Duration::from_secs(60),
            response: Duration::from_secs(300),
            logout: Duration::from_secs(10),
            idle: Duration::from_secs(28 * 60),
        }
    }
}
