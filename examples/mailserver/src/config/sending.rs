//! What a configuration says about mail for elsewhere: the queue, its routes, and whom it asks for names.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use pillarbox::mailcore::address::Address;

use crate::password::PasswordSource;

/// What `[queue]`, `[[route]]`, `[forward]` and `[tls_reports]` say. Without it nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Where the queue lies.
    pub folder: PathBuf,
    /// A sender is told of a message that is still waiting at this age.
    pub notice_after: Duration,
    /// A message of this age goes back.
    pub expire_after: Duration,
    /// A bounce of this age is given up.
    pub bounce_expire_after: Duration,
    /// From the first attempt to the second; each wait is twice the one before.
    pub retry_first: Duration,
    /// The longest wait.
    pub retry_max: Duration,
    /// Deliveries at a time.
    pub deliveries: usize,
    /// Deliveries at a time to one destination.
    pub deliveries_per_destination: u32,
    /// What we call ourselves in EHLO, if it is not `hostname`.
    pub hello: Option<String>,
    /// The addresses that connections come from, at most one of each family.
    pub source: Vec<IpAddr>,
    /// Whether the postmaster is told of bounces that cannot be delivered.
    pub double_bounces: bool,
    /// Whose signature on a server's certificate counts, if it is not those whom the system trusts.
    pub trusted_certificates: Option<PathBuf>,
    /// Where policies of MTA-STS are kept; without it there are none.
    pub policies: Option<PathBuf>,
    /// Policies are fetched from hosts with private addresses as well.
    pub private_policy_hosts: bool,
    /// What is sent on.
    pub forwarding: Option<Forwarding>,
    /// Who reports on TLS.
    pub tls_reports: Option<TlsReports>,
    /// Which mail takes which way; the rest goes to the mail exchangers of its domain.
    pub routes: Vec<RouteRule>,
}

/// What `[forward]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// The file with the aliases.
    pub aliases: PathBuf,
    /// Whether and how senders are rewritten.
    pub srs: Option<SrsFiles>,
    /// Who gets the bounces of what strangers send to aliases, in place of the senders that they name.
    pub bounces_to: Option<String>,
    /// What seals (RFC 8617), if something does.
    pub seal: Option<DomainKeyFile>,
}

/// How senders are rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrsFiles {
    /// The domain of rewritten senders.
    pub domain: String,
    /// The file with the secrets, one a line.
    pub secrets: PathBuf,
}

/// What `[tls_reports]` says (RFC 8460).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsReports {
    /// Where what was counted is kept.
    pub folder: PathBuf,
    /// What the organisation is called that reports.
    pub organization_name: String,
    /// Who sends the reports; its domain is the submitter.
    pub sender_address: Address<'static>,
    /// Whom to ask about reports, if it is not the sender.
    pub contact_info: Option<String>,
    /// How long after the end of a day its reports go out at the latest.
    pub spread_out_delivery: Duration,
    /// Reports are posted to hosts with private addresses as well.
    pub private_hosts: bool,
    /// What signs the mails.
    pub dkim: Option<DkimKey>,
}

/// A key that signs for a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainKeyFile {
    /// The domain, in lower case.
    pub domain: String,
    /// The key.
    pub key: DkimKey,
}

/// A key that signs mail for the domain of its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimKey {
    /// Where its public half stands in the DNS.
    pub selector: String,
    /// The file with the private one.
    pub file: PathBuf,
}

/// Whom to ask for names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// The servers; empty: those in `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// Whether their word counts that an answer was validated, so that DANE is used; unset: as `/etc/resolv.conf` says, and not
    /// for servers that are named here.
    pub validates: Option<bool>,
}

/// One `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    /// Whose mail it is about.
    pub of: RouteOf,
    /// The way.
    pub to: NextHop,
}

/// Whose mail a route is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteOf {
    /// Mail to these addresses and domains.
    Recipients(Vec<String>),
    /// Mail from these addresses and domains.
    Senders(Vec<String>),
    /// All other mail.
    Rest,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// To the mail exchangers of each recipient's domain, with TLS as the domain has published.
    Mx,
    /// The same with TLS as is said here.
    MxWithTls(RouteTls),
    /// To a host.
    Host(HostRoute),
    /// To a server of LMTP on a socket in the file system.
    LmtpSocket(PathBuf),
}

/// A host that takes all mail that is routed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRoute {
    /// Whether it speaks LMTP.
    pub is_lmtp: bool,
    /// Its name, for which it shows a certificate, or its address in brackets.
    pub host: String,
    /// Where it is, if the DNS is not to be asked.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
    /// What is done about TLS.
    pub tls: RouteTls,
    /// Who logs in there, if somebody does.
    pub login: Option<(String, PasswordSource)>,
}

/// What is done about TLS with a next server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteTls {
    /// None.
    None,
    /// If it is offered, whoever the server is.
    Opportunistic,
    /// Always, whoever the server is.
    Required,
    /// Always, and with a certificate for its name.
    Verified,
    /// The same, from the first octet.
    Implicit,
}
