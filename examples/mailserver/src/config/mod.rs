//! The configuration file: what can be said in it, and reading it without passing anything over.

mod error;
mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use error::{ConfigError, Mistake};
use table::{Table, Value};

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
    /// The certificate, if some listener speaks TLS.
    pub tls: Option<TlsFiles>,
    /// What is listened on.
    pub listeners: Vec<Listener>,
    /// The limits.
    pub limits: Limits,
}

/// Certificate and key files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
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
    /// Connections in all, for each listener.
    pub connections: usize,
    /// Connections from one address, for each listener.
    pub connections_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { message_size: 52_428_800, recipients: 1000, connections: 10_000, connections_per_address: 50 }
    }
}

/// Where the mail of an account is: a path with `{domain}` and `{user}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailLocation(String);

impl MailLocation {
    /// A location out of its template.
    pub fn parse(template: &str) -> Result<Self, String> {
        if !template.starts_with('/') && !template.starts_with("./") {
            return Err(format!("the mail location `{template}` must be an absolute path (or begin with ./)"));
        }
        let mut rest = template;
        while let Some(open) = rest.find(['{', '}']) {
            match ["{user}", "{domain}"].iter().find(|name| rest[open..].starts_with(**name)) {
                Some(name) => rest = &rest[open + name.len()..],
                None => return Err("in a mail location only `{user}` and `{domain}` stand in braces".into()),
            }
        }
        if !template.contains("{user}") {
            return Err("the mail location must hold `{user}`, or all accounts would share one folder".into());
        }
        Ok(MailLocation(template.to_owned()))
    }

    /// The folder that the mail of all accounts is under.
    pub fn root(&self) -> &Path {
        let fixed = self.0.split('{').next().unwrap_or_default();
        Path::new(fixed.rsplit_once('/').map_or(fixed, |(folder, _)| if folder.is_empty() { "/" } else { folder }))
    }

    /// The folder of an account. `None` if its name cannot safely be a part of a path.
    pub fn folder(&self, user: &str, domain: &str) -> Option<PathBuf> {
        let safe = |part: &str| {
            !part.is_empty()
                && part.len() <= 255
                && !part.starts_with('.')
                && !part.chars().any(|c| c == '/' || c == '\\' || c.is_control())
        };
        // Replaced in one pass: a user called `{domain}` stays one.
        let mut folder = String::new();
        let mut rest = self.0.as_str();
        while let Some(open) = rest.find('{') {
            folder.push_str(&rest[..open]);
            let (part, len) = if rest[open..].starts_with("{user}") { (user, 6) } else { (domain, 8) };
            if !safe(part) {
                return None;
            }
            folder.push_str(part);
            rest = &rest[open + len..];
        }
        folder.push_str(rest);
        Some(PathBuf::from(folder))
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the configuration file {}: {error}", path.display()))?;
        Ok(Config::parse(path, &text)?)
    }

    /// Checks the text of a file; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let parsed = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            ConfigError::new(path, text, vec![Mistake::new(span, error.message().replace('\n', ", "))])
        })?;
        let mut mistakes = Vec::new();
        let config = read(Table::new(parsed.get_ref(), 0..0), &mut mistakes);
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigError::new(path, text, mistakes)),
        }
    }
}

/// Reads the whole file; `None` only if a mistake was noted.
fn read(mut file: Table<'_, '_>, mistakes: &mut Vec<Mistake>) -> Option<Config> {
    let hostname = file.required("hostname", mistakes).and_then(|v| table::parsed(v, mistakes, host_name));
    let domains = file.required("domains", mistakes).and_then(|v| read_domains(v, mistakes));
    let postmaster = file.required("postmaster", mistakes).and_then(|value| {
        table::parsed(value, mistakes, |text| match text.split_once('@') {
            Some((user, domain)) if !user.is_empty() && host_name(domain).is_ok() => Ok(text.to_ascii_lowercase()),
            _ => Err(format!("`{text}` is not an account such as `you@example.org`")),
        })
    });
    let accounts = file.required("accounts", mistakes).and_then(|v| table::text(v, mistakes)).map(PathBuf::from);
    let mail = file.required("mail", mistakes).and_then(|v| table::parsed(v, mistakes, MailLocation::parse));
    let tls = file.optional("tls").map(|v| read_tls(v, mistakes));
    let listeners = file.required("listener", mistakes).and_then(|v| read_listeners(v, tls.is_some(), mistakes));
    let limits = file.optional("limits").map_or_else(|| Some(Limits::default()), |v| read_limits(v, mistakes));
    file.finish(mistakes);
    Some(Config {
        hostname: hostname?,
        domains: domains?,
        postmaster: postmaster?,
        accounts: accounts?,
        mail: mail?,
        tls: match tls {
            Some(files) => Some(files?),
            None => None,
        },
        listeners: listeners?,
        limits: limits?,
    })
}

/// A host or domain name: letters, digits and hyphens between dots (RFC 5321 §2.3.5), in lower case.
fn host_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.len() <= 255 && text.split('.').all(label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("`{text}` is not a host name (international names are written in their xn-- form)")),
    }
}

fn read_domains(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<Vec<String>> {
    let before = mistakes.len();
    let mut domains = Vec::new();
    for item in table::list(value, mistakes)? {
        if let Some(domain) = table::parsed(item, mistakes, host_name) {
            if domains.contains(&domain) {
                mistakes.push(Mistake::new(item.span(), format!("the domain `{domain}` stands here twice")));
            }
            domains.push(domain);
        }
    }
    if domains.is_empty() && mistakes.len() == before {
        mistakes.push(Mistake::new(value.span(), "at least one domain is needed"));
    }
    (mistakes.len() == before).then_some(domains)
}

fn read_tls(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<TlsFiles> {
    let mut tls = table::table(value, mistakes)?;
    let certificate = tls.required("certificate", mistakes).and_then(|v| table::text(v, mistakes));
    let key = tls.required("key", mistakes).and_then(|v| table::text(v, mistakes));
    tls.finish(mistakes);
    Some(TlsFiles { certificate: certificate?.into(), key: key?.into() })
}

fn read_listeners(value: &Value<'_>, have_tls: bool, mistakes: &mut Vec<Mistake>) -> Option<Vec<Listener>> {
    let before = mistakes.len();
    let mut listeners: Vec<Listener> = Vec::new();
    for item in table::list(value, mistakes)? {
        let Some(listener) = read_listener(item, have_tls, mistakes) else { continue };
        if listeners.iter().any(|other| other.address == listener.address) {
            mistakes.push(Mistake::new(item.span(), format!("two listeners have the address {}", listener.address)));
        }
        listeners.push(listener);
    }
    if listeners.is_empty() && mistakes.len() == before {
        mistakes.push(Mistake::new(value.span(), "at least one [[listener]] is needed"));
    }
    (mistakes.len() == before).then_some(listeners)
}

fn read_listener(value: &Value<'_>, have_tls: bool, mistakes: &mut Vec<Mistake>) -> Option<Listener> {
    const PROTOCOLS: [(&str, Protocol); 4] = [
        ("smtp", Protocol::Smtp),
        ("submission", Protocol::Submission),
        ("lmtp", Protocol::Lmtp),
        ("imap", Protocol::Imap),
    ];
    const MODES: [(&str, TlsMode); 3] =
        [("none", TlsMode::None), ("starttls", TlsMode::StartTls), ("implicit", TlsMode::Implicit)];
    let mut listener = table::table(value, mistakes)?;
    let protocol = listener.required("protocol", mistakes).and_then(|v| table::word(v, &PROTOCOLS, mistakes));
    let address = listener.required("address", mistakes);
    let address_at = address.map_or(value.span(), |v| v.span());
    let address = address.and_then(|v| table::parsed(v, mistakes, parse_address));
    let tls = listener.optional("tls");
    let tls_at = tls.map_or(value.span(), |v| v.span());
    let tls = tls.map_or(Some(TlsMode::None), |v| table::word(v, &MODES, mistakes));
    listener.finish(mistakes);
    let listener = Listener { protocol: protocol?, address: address?, tls: tls? };

    if listener.tls != TlsMode::None && !have_tls {
        mistakes.push(Mistake::new(
            tls_at.clone(),
            "TLS needs a certificate: add a [tls] table with `certificate` and `key`",
        ));
    }
    match (listener.protocol, &listener.address) {
        // RFC 2033 §5: a server that speaks SMTP there would be taken for one that queues.
        (Protocol::Lmtp, Address::Tcp(at)) if at.port() == 25 => {
            mistakes.push(Mistake::new(address_at, "LMTP must not be spoken on port 25 (RFC 2033 §5)"));
        }
        // Passwords would cross the network in the clear (RFC 8314 §3), or nobody could log in.
        (Protocol::Submission | Protocol::Imap, _) if listener.tls == TlsMode::None => {
            let name = listener.protocol.name();
            let message =
                format!("a listener for {name} needs TLS, since users log in there: `starttls` or `implicit`");
            mistakes.push(Mistake::new(tls_at, message));
        }
        _ => {}
    }
    Some(listener)
}

fn parse_address(text: &str) -> Result<Address, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("after `unix:` the path of the socket is missing".into()),
        Some(path) => Ok(Address::Unix(path.into())),
        None => text.parse().map(Address::Tcp).map_err(|_| {
            format!("`{text}` is not an address such as `0.0.0.0:25`, `[::]:25` or `unix:/run/mailserver/lmtp`")
        }),
    }
}

fn read_limits(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<Limits> {
    let mut limits = table::table(value, mistakes)?;
    let mut number = |key, default, range| match limits.optional(key) {
        Some(value) => table::number(value, range, mistakes),
        None => Some(default),
    };
    let default = Limits::default();
    let message_size = number("message_size", default.message_size, 1024..=1 << 40);
    // RFC 5321 §4.5.3.1.8 asks for at least 100.
    let recipients = number("recipients", default.recipients as u64, 100..=1_000_000);
    let connections = number("connections", default.connections as u64, 1..=10_000_000);
    let per_address = number("connections_per_address", default.connections_per_address as u64, 1..=10_000_000);
    limits.finish(mistakes);
    Some(Limits {
        message_size: message_size?,
        recipients: recipients? as usize,
        connections: connections? as usize,
        connections_per_address: per_address? as usize,
    })
}

#[cfg(test)]
mod tests;
