//! The configuration file: what can be said in it, and reading it without passing anything over.

mod authentication;
mod disk;
mod error;
mod location;
mod read;
mod read_authentication;
mod read_forward;
mod read_route;
mod read_sending;
mod read_tls_reports;
mod sending;
mod table;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use pillarbox::Network;
use pillarbox::delivery::OverQuota;
use pillarbox::imap_proto::types::{MailboxName, Separator};
use pillarbox::maildir::{DiskNames, Layout, QuotaRules, TreeOptions};
use toml::de::DeTable;

pub use authentication::{Authentication, DmarcUse, Quarantine};
pub use error::{ConfigError, Mistake};
pub use location::MailLocation;
use read::Draft;
pub use read_route::domain_of;
pub use read_sending::duration;
pub use sending::{
    DkimKey, Dns, DomainKeyFile, Forwarding, HostRoute, NextHop, RouteOf, RouteTls, Sending, SrsFiles, TlsReports,
};

/// What a configuration file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our name in greetings and Received fields.
    pub hostname: String,
    /// The domains whose mail is delivered here, in lower case.
    pub domains: Vec<String>,
    /// The account that gets mail for `postmaster`, bare and at each domain (RFC 5321 §4.5.1).
    pub postmaster: String,
    /// The passwd-file with the accounts.
    pub accounts: PathBuf,
    /// Where the mail of an account is.
    pub mail: MailLocation,
    /// How the mailboxes of an account lie there, and what clients call them.
    pub mailboxes: Mailboxes,
    /// The certificate, if some listener speaks TLS.
    pub tls: Option<TlsFiles>,
    /// What is listened on.
    pub listeners: Vec<Listener>,
    /// The limits.
    pub limits: Limits,
    /// What each account may use, unless its line in the passwd-file says otherwise.
    pub quota: QuotaRules,
    /// What senders hear when it is used up.
    pub over_quota: OverQuota,
    /// Accounts that may set the limits of all by IMAP, in small letters. None: nobody may.
    pub quota_set_by: Vec<String>,
    /// How mail for elsewhere is sent, if it is.
    pub sending: Option<Sending>,
    /// How what strangers send is checked, if it is.
    pub authentication: Option<Authentication>,
    /// The keys that sign what users send.
    pub signing: Vec<DomainKeyFile>,
    /// Whom to ask for names.
    pub dns: Dns,
}

/// How mailboxes lie in the folder of their account, and what clients call them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailboxes {
    /// How levels of names become directories.
    pub layout: Layout,
    /// How names are written there.
    pub names: DiskNames,
    /// Where INBOX is, if it is not the folder itself.
    pub inbox: Option<MailLocation>,
    /// What the names of all mailboxes but INBOX begin with for clients.
    pub prefix: String,
    /// What parts the levels of names for clients.
    pub separator: Separator,
    /// Users may let each other into their mailboxes, if this is said.
    pub sharing: Option<Sharing>,
}

/// How users let each other into their mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// What the names of other users' mailboxes begin with, without the separator behind it. None where names of accounts cannot be
    /// levels.
    pub other_users: Option<MailboxName>,
    /// The mailboxes that belong to nobody, if there are such.
    pub public: Option<Public>,
    /// They may do so for all at once.
    pub anyone: bool,
}

/// Mailboxes that belong to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// What their names begin with.
    pub name: MailboxName,
    /// The account that has them.
    pub account: String,
}

impl Mailboxes {
    /// How the mailboxes of an account lie.
    pub fn of(&self, user: &str, domain: &str) -> TreeOptions {
        let mut options = TreeOptions::default();
        (options.layout, options.names) = (self.layout, self.names);
        options.inbox = self.inbox.as_ref().and_then(|inbox| inbox.folder(user, domain));
        options
    }
}

/// Certificate and key files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles<P = PathBuf> {
    /// The certificate with its chain.
    pub certificate: P,
    /// Its private key.
    pub key: P,
}

/// One place that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where it is.
    pub address: Address,
    /// How TLS begins there.
    pub tls: TlsMode,
    /// The load balancers through which all of its connections come, with a PROXY header; empty: there are none.
    pub proxies: Vec<Network>,
    /// The proxies that may say by XCLIENT who their client is.
    pub xclient: Vec<Network>,
    /// The filters that may say by XFORWARD where a message came from.
    pub xforward: Vec<Network>,
    /// Whoever may send to everybody without a login.
    pub relay_from: Vec<Network>,
    /// IMAP sessions can be compressed.
    pub compress: bool,
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tls = match self.tls {
            TlsMode::None => "",
            TlsMode::StartTls => ", STARTTLS",
            TlsMode::Implicit => ", TLS",
        };
        write!(f, "listening on {} for {}{tls}", self.address, self.protocol.name())
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Mail from everywhere, for our domains (RFC 5321).
    Smtp,
    /// Mail from our users (RFC 6409).
    Submission,
    /// Mail from a server of ours (RFC 2033).
    Lmtp,
    /// Reading mail (RFC 3501).
    Imap,
}

impl Protocol {
    /// Its name in the file and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Smtp => "smtp",
            Protocol::Submission => "submission",
            Protocol::Lmtp => "lmtp",
            Protocol::Imap => "imap",
        }
    }
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address with a port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How TLS begins on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Not at all.
    None,
    /// When the client says STARTTLS.
    StartTls,
    /// At once (RFC 8314).
    Implicit,
}

/// The limits that a file can set. The rest are the defaults of the protocol crates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a message.
    pub message_size: u64,
    /// Recipients of a message.
    pub recipients: usize,
    /// Messages that one command of IMAP may be about (RFC 9738); any number if nothing is said.
    pub messages_per_command: Option<NonZeroU32>,
    /// Octets that are left free on the disk of the mail: no message comes in that would take of them.
    pub free_space: u64,
    /// Files that may still be made there: with fewer, no message comes in.
    pub free_files: u64,
    /// Connections in all, for each listener.
    pub connections: usize,
    /// Connections that nobody has logged in to, for all listeners together.
    pub unauthenticated: usize,
    /// Connections from one address, for each listener.
    pub connections_per_address: usize,
    /// Connections from one address within a minute, for each listener.
    pub connections_per_minute: u32,
    /// Networks that are not limited by address, and may guess passwords as fast as they like.
    pub trusted: Vec<Network>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_size: 52_428_800,
            recipients: 1000,
            messages_per_command: None,
            free_space: 104_857_600,
            free_files: 1000,
            connections: 10_000,
            unauthenticated: 1000,
            connections_per_address: 50,
            connections_per_minute: 300,
            trusted: Vec::new(),
        }
    }
}

impl Config {
    /// Reads a file and checks it with all that it names, so that nothing is left that a start could find wrong, except
    /// that a port may be taken or not permitted.
    pub fn load(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let told = |error| format!("cannot read the configuration file {}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(told)?;
        // Paths in the file begin at its folder, wherever the server is started.
        let base = std::path::absolute(path).map_err(told)?.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Config::parse(path, &text, &base, disk::examine)?)
    }

    /// Checks a text, and what `examine` finds about what could be read of it; `path` is for messages.
    fn parse(
        path: &Path,
        text: &str,
        base: &Path,
        examine: impl FnOnce(&Draft, &mut Vec<Mistake>),
    ) -> Result<Self, ConfigError> {
        let parsed = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            ConfigError::new(path, text, vec![Mistake::new(span, error.message().replace('\n', ", "))])
        })?;
        let mut mistakes = Vec::new();
        let draft = read::draft(parsed.get_ref(), base, &mut mistakes);
        examine(&draft, &mut mistakes);
        match draft.finish() {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigError::new(path, text, mistakes)),
        }
    }
}

#[cfg(test)]
mod tests;
