//! What an IMAP server may offer, and how much of everything.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use pillarbox_core::sasl::Mechanism;

use super::Extensions;
use crate::types::Separator;
use crate::wire::frame::FrameLimits;

/// How a server behaves. Shared by its sessions; made with [`Default`] and assignment.
///
/// ```
/// use pillarbox_imap::server::ServerConfig;
///
/// let mut config = ServerConfig::default();
/// config.starttls = true;
/// config.limits.append_size_max = 10 << 20;
/// assert!(!config.login_without_tls);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The text of the greeting. Default: `IMAP4rev1 server ready`.
    pub greeting: Cow<'static, str>,
    /// STARTTLS is offered while there is no TLS. Default: no, for it needs a certificate.
    pub starttls: bool,
    /// What AUTHENTICATE takes; a mechanism without an exchange in [`sasl`](pillarbox_core::sasl) is not offered.
    /// Default: PLAIN. The LOGIN command is always there where passwords are taken.
    pub mechanisms: Vec<Mechanism>,
    /// Passwords are taken without TLS. Default: no (RFC 9051 §11.1).
    pub login_without_tls: bool,
    /// What parts the levels of mailbox names as clients see them. Default: `/`.
    pub separator: Separator,
    /// The prefix of a user's own mailboxes as NAMESPACE tells it (RFC 2342), written as clients see it, such as `INBOX/`.
    /// The names in events carry it. Default: none.
    pub namespace_prefix: String,
    /// What the names of other users' mailboxes begin with, such as `Other Users/`, written in the same way; `None`, the default:
    /// there are none to be seen.
    pub other_users_prefix: Option<String>,
    /// What the names of mailboxes that belong to nobody begin with, such as `Shared/`. Default: none.
    pub shared_prefix: Option<String>,
    /// What `/shared/comment` of the server says (RFC 5464 §3.2.1.1); it cannot be changed by clients then. Default: nothing.
    pub server_comment: Option<String>,
    /// The URI by which the operator is reached, such as `mailto:postmaster@example.com`, for `/shared/admin` of the server.
    /// Default: none.
    pub server_admin: Option<String>,
    /// What is offered of what the store behind the session has to do. Default: all but COMPRESS and UNAUTHENTICATE.
    pub extensions: Extensions,
    /// How much of everything.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            greeting: Cow::Borrowed("IMAP4rev1 server ready"),
            starttls: false,
            mechanisms: alloc::vec![Mechanism::Plain],
            login_without_tls: false,
            separator: Separator::Slash,
            namespace_prefix: String::new(),
            other_users_prefix: None,
            shared_prefix: None,
            server_comment: None,
            server_admin: None,
            extensions: Extensions::default(),
            limits: Limits::default(),
        }
    }
}

/// How much of everything. Nothing that grows with what a peer sends goes without a limit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Commands before login.
    pub before_login: FrameLimits,
    /// Commands after login.
    pub after_login: FrameLimits,
    /// Octets of a message of APPEND, told as APPENDLIMIT (RFC 7889). Default: 52,428,800, as with mail that comes by SMTP.
    pub append_size_max: u64,
    /// Messages of one APPEND (RFC 3502): each is held until the last has come. Default: 100.
    pub append_messages_max: usize,
    /// Parts of one message of APPEND (RFC 4469): each may cost a look into another mailbox. Behind so many in one line no further
    /// URL is taken as a literal. Default: 500.
    pub append_parts_max: usize,
    /// Octets of the value of an annotation (RFC 5464 §4.3), at least 1,024. A store may take less; and a value in a literal cannot be
    /// larger than `literal_max` of [`after_login`](Limits::after_login) lets it be, nor one in quotes than `line_max`. Default: 65,536.
    pub metadata_value_max: u32,
    /// Refused commands before login, the last of which ends the connection. Default: 3.
    pub bad_before_login: u32,
    /// Refused commands after login, the last of which ends the connection. Default: 20.
    pub bad_after_login: u32,
    /// Names of mailboxes in one NOTIFY (RFC 5465): what happens to each is looked for in all of them. Default: 100.
    pub notify_names_max: usize,
    /// Flag changes that wait to be told to a client, with twice as many keywords in them. More of them are forgotten and asked
    /// for again, as a FETCH of the flags of those messages. Default: 10,000.
    pub pending_flags_max: usize,
    /// Searches of a selection that are kept up to date (RFC 5267); a further one is answered and no more. Each keeps its criteria and up
    /// to sixteen octets for each message that it found. Default: 10, as Dovecot has it.
    pub contexts_max: usize,
    /// Messages that came or changed since those searches were last put to some. More end them all, with NOUPDATE. Default: 10,000.
    pub context_changes_max: usize,
    /// Messages of one FETCH, STORE, COPY, MOVE, UID EXPUNGE, SEARCH, SORT, THREAD, ESEARCH or APPEND (RFC 9738). Of more the last are
    /// taken, and the client is told from where on; COPY, APPEND, SORT and THREAD of more are refused. EXPUNGE and CLOSE have no limit.
    /// Below 1,000 clients that do not know of it are of little use. Default: any number, and nothing is said of it.
    pub messages_max: Option<NonZeroU32>,
    /// Messages of one COPY or APPEND (RFC 9738), told as SAVELIMIT, where `messages_max` does not limit all commands; else it does
    /// nothing. More are refused. Default: any number.
    pub copied_messages_max: Option<NonZeroU32>,
    /// How often a client hears how far a command has come that takes long (RFC 9585); zero: never. Default: 10 s.
    pub progress_interval: Duration,
    /// Mailboxes of one ESEARCH (RFC 7377). Default: 500.
    pub search_mailboxes_max: usize,
    /// Output above which [`room`](pillarbox_core::Machine::room) is 0, in octets. Default: 65,536.
    pub output_high_water: usize,
    /// From the connection to a login, whatever is tried meanwhile. Default: 180 s.
    pub login_timeout: Duration,
    /// Between commands, and within IDLE. Default: 30 min, the least that RFC 9051 §5.4 allows.
    pub idle_timeout: Duration,
    /// How long the client may take nothing of what waits for it. Default: 5 min.
    pub output_timeout: Duration,
    /// How often a client in IDLE hears that the server is still there; zero: never. Default: 2 min, below the patience of the
    /// usual address translators.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            before_login: FrameLimits::BEFORE_LOGIN,
            after_login: FrameLimits::AFTER_LOGIN,
            append_size_max: 52_428_800,
            append_messages_max: 100,
            append_parts_max: 500,
            metadata_value_max: 65_536,
            bad_before_login: 3,
            bad_after_login: 20,
            notify_names_max: 100,
            pending_flags_max: 10_000,
            contexts_max: 10,
            context_changes_max: 10_000,
            messages_max: None,
            copied_messages_max: None,
            progress_interval: Duration::from_secs(10),
            search_mailboxes_max: 500,
            output_high_water: 65_536,
            login_timeout: Duration::from_secs(180),
            idle_timeout: Duration::from_secs(30 * 60),
            output_timeout: Duration::from_secs(5 * 60),
            keep_alive: Duration::from_secs(120),
        }
    }
}
