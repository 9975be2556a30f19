//! From a configuration to running servers, and the queue beside them.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pillarbox::delivery::MailboxSink;
use pillarbox::imap::ImapServer;
use pillarbox::mailcore::address::ForwardPath;
use pillarbox::mailcore::sasl::Mechanism;
use pillarbox::parts::{
    Identity, LoginGuard, LoginLimits, MailboxStore, Observer, OwnSenders, Parts, Reserve, Room, UnauthenticatedLimit,
};
use pillarbox::smtp::SmtpServer;
use pillarbox::store::{AclStore, MaildirStore, room_on_disk};
use pillarbox::{PeerLimits, Shutdown};
use tokio::net::{TcpListener, UnixListener};

use crate::accounts::{Accounts, LocalOnly};
use crate::authentication;
use crate::certificate::Certificate;
use crate::config::{Address, Config, Listener, Protocol, Sharing, TlsMode};
use crate::forwarding::Forwarded;
use crate::queue;
use crate::relaying::{Relaying, account_of, is_among};
use crate::sending::{self, Logins, Queue};
use crate::signing::Signing;

/// A server for one listener.
enum Server {
    Smtp(SmtpServer),
    Imap(ImapServer),
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a unix socket; removed when we stop.
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> Result<Self, String> {
        let found = std::fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(SocketFile { path: path.to_owned(), inode: found.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A server that was started while we ended has put its own there.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // Nothing is lost if it stays: the next start finds that nobody listens there.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The files that may change while the servers run.
pub struct Files {
    certificate: Option<Arc<Certificate>>,
    accounts: Arc<Accounts>,
    logins: Logins,
    forward: Option<Forwarded>,
    signing: Option<Signing>,
}

impl Files {
    /// Reads the certificate, the accounts, the aliases, the keys and the passwords for other servers again, and says what it read. What cannot be used is told, and what was there before stays.
    pub fn read_again(&self) -> Result<String, String> {
        let certificate = self.certificate.as_ref().map_or(Ok(()), |certificate| certificate.reload());
        let forward = self.forward.as_ref().and_then(|forward| forward.read_again().err());
        let signing = self.signing.as_ref().and_then(|signing| signing.read_again().err());
        let troubles = [certificate.err(), self.accounts.trouble(), forward, signing];
        let troubles: Vec<String> = troubles.into_iter().flatten().chain(self.logins.read_again()).collect();
        if !troubles.is_empty() {
            return Err(troubles.join("\n"));
        }
        let mut read = vec!["the certificate", "the accounts"];
        read.extend(self.forward.as_ref().map(|_| "the aliases"));
        read.extend(self.signing.as_ref().map(|_| "the keys"));
        if !self.logins.is_empty() {
            read.push("the passwords for other servers");
        }
        let last = read.pop().unwrap_or_default();
        Ok(format!("{} and {last}", read.join(", ")))
    }
}

/// The mailboxes as users see them who let each other in.
fn shared(store: MaildirStore, sharing: &Sharing, accounts: &Arc<Accounts>) -> Result<AclStore<MaildirStore>, String> {
    let groups = accounts.clone();
    let mut shown =
        AclStore::new(store).names(str::to_ascii_lowercase).groups(move |account| groups.groups(account.user()));
    if let Some(below) = &sharing.other_users {
        shown = shown.other_users(below.clone());
    }
    if sharing.anyone {
        shown = shown.for_anyone();
    }
    if let Some(public) = &sharing.public {
        if accounts.folder(&public.account).is_none() {
            return Err(format!("the public mailboxes: the account {} can have no folder here", public.account));
        }
        shown = shown.shared(public.name.clone(), Identity::new(&*public.account));
    }
    Ok(shown)
}

/// All servers of a configuration, ready to listen.
pub struct Assembly {
    servers: Vec<(Server, Listener)>,
    queue: Option<Queue>,

    pub files: Arc<Files>,
}

impl Assembly {
    /// Reads the files that the configuration names and puts the servers together. Takes the queue, and listens to nothing.
    pub fn new(config: &Config, observer: Arc<dyn Observer>) -> Result<Self, String> {
        let accounts = Arc::new(Accounts::load(config, observer.clone())?);
        let certificate = config.tls.as_ref().map(Certificate::load).transpose()?.map(Arc::new);
        let (folders, quotas, lying) = (accounts.clone(), accounts.clone(), accounts.clone());
        let store = MaildirStore::with_quotas(
            move |account| folders.folder(account.user()),
            move |account| Some(quotas.quota(account.user())),
        );
        let store = match config.quota_set_by.clone() {
            nobody if nobody.is_empty() => store,
            set_by => store.quotas_set_by(move |user| set_by.iter().any(|name| name.eq_ignore_ascii_case(user.user()))),
        };
        let store = store
            .lying_as(move |account| lying.lies_as(account.user()))
            .in_namespace(&config.mailboxes.prefix, config.mailboxes.separator)
            .map_err(|error| error.to_string())?;
        // What comes by SMTP goes to INBOX of the recipient's own, which is nobody else's to refuse.
        let shown: Arc<dyn MailboxStore> = match &config.mailboxes.sharing {
            Some(sharing) => Arc::new(shared(store.clone(), sharing, &accounts)?),
            None => Arc::new(store.clone()),
        };
        let store = Arc::new(store);
        let (recipients, senders) = ((accounts.clone(), config.hostname.clone()), accounts.clone());
        let is_for = move |path: &ForwardPath<'_>| account_of(&recipients.0, &recipients.1, path);
        let is_here = is_for.clone();
        let sink = MailboxSink::new(store, is_for).over_quota(config.over_quota);
        let local = LocalOnly { accounts: accounts.clone(), sink: sink.clone() };
        let own = OwnSenders::new(Arc::new(local), move |user, from| senders.owns(user, from));
        let (root, limits) = (config.mail.root(), &config.limits);
        let reserve = Room { octets: limits.free_space, files: limits.free_files };
        let mut parts = Parts { observer: observer.clone(), ..Parts::in_memory() };
        if config.sending.is_some() || config.authentication.is_some() {
            parts.resolver = sending::resolver(&config.dns, &parts.clock)?;
        }
        let policy = Reserve::new(Arc::new(own), reserve, move || room_on_disk(&root)).with_clock(parts.clock.clone());
        let policy = Arc::new(policy);
        let sink = authentication::mailboxes(config, sink)?;
        let signing = Signing::load(&config.signing)?;
        let (mut queue, mut forward, mut spool) = (None, None, None);
        if let Some(sending) = &config.sending {
            let opened = sending::open(config, sending, &sink, &parts)?;
            forward.clone_from(&opened.forward);
            let sent_on = opened.forward.clone();
            let is_here = move |path: &ForwardPath<'_>| {
                is_here(path).is_some() && !sent_on.as_ref().is_some_and(|forward| forward.shared.current().takes(path))
            };
            spool = Some(opened.outbound.sink().local(sink.clone(), is_here));
            queue = Some(opened);
        }
        let mut logins = LoginLimits::default();
        logins.trusted.clone_from(&config.limits.trusted);
        let parts = Parts {
            authenticator: accounts.clone(),
            logins: Arc::new(LoginGuard::new(logins)),
            unauthenticated: Arc::new(UnauthenticatedLimit::new(config.limits.unauthenticated)),
            policy: policy.clone(),
            sink,
            store: shown,
            ..parts
        };
        let server = |listener: &Listener| {
            let policy = Relaying {
                here: policy.clone(),
                accounts: accounts.clone(),
                sends: config.sending.is_some(),
                forward: forward.as_ref().map(|forward| forward.shared.clone()),
                hosts: listener.relay_from.clone(),
            };
            let mut parts = Parts { policy: Arc::new(policy), ..parts.clone() };
            if let Some(spool) = &spool {
                let hosts = listener.relay_from.clone();
                let spool = spool.clone().priority_max(PRIORITY_MAX);
                parts.sink = Arc::new(spool.own(move |envelope| is_among(&hosts, envelope.session.ip)));
            }
            parts.sink = authentication::sink(config, listener, &parts, signing.as_ref());
            server(config, listener, certificate.as_ref(), parts)
        };
        let servers = config.listeners.iter().map(|listener| (server(listener), listener.clone())).collect();
        let files = Files {
            certificate,
            accounts,
            logins: queue.as_ref().map_or_else(Default::default, |queue| queue.logins.clone()),
            forward,
            signing: signing.clone(),
        };
        Ok(Assembly { servers, queue, files: Arc::new(files) })
    }

    /// Listens and serves until `shutdown` begins and the sessions have ended. `listening` is told of each listener, with the
    /// port that the system picked where the configuration says 0, once all are open.
    pub async fn run(self, shutdown: Shutdown, listening: impl FnOnce(&[Listener])) -> Result<(), String> {
        let (mut open, mut listeners) = (Vec::new(), Vec::new());
        for (server, mut listener) in self.servers {
            let socket = bind(&mut listener.address).await?;
            open.push((server, socket));
            listeners.push(listener);
        }
        let asked = match &self.queue {
            Some(queue) => Some((queue::server::listen(&queue.socket)?, SocketFile::of(&queue.socket)?)),
            None => None,
        };
        listening(&listeners);
        let mut running = tokio::task::JoinSet::new();
        for (server, socket) in open {
            let shutdown = shutdown.clone();
            running.spawn(async move {
                match (server, socket) {
                    (Server::Smtp(server), Socket::Tcp(socket)) => server.serve(socket, &shutdown).await,
                    (Server::Smtp(server), Socket::Unix(socket, _file)) => server.serve(socket, &shutdown).await,
                    (Server::Imap(server), Socket::Tcp(socket)) => server.serve(socket, &shutdown).await,
                    (Server::Imap(server), Socket::Unix(socket, _file)) => server.serve(socket, &shutdown).await,
                }
            });
        }
        if let Some(Queue { outbound, recovery, .. }) = self.queue {
            let (handle, stop) = (outbound.handle(), shutdown.clone());
            running.spawn(async move { outbound.run(recovery, &shutdown).await });
            if let Some((socket, file)) = asked {
                running.spawn(async move {
                    queue::server::serve(socket, handle, &stop).await;
                    drop(file);
                });
            }
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(|error| format!("a part of the server broke: {error}"))?;
        }
        Ok(())
    }
}

fn server(config: &Config, listener: &Listener, certificate: Option<&Arc<Certificate>>, parts: Parts) -> Server {
    let mut clients = PeerLimits::default();
    clients.connections_max = config.limits.connections;
    clients.connections_per_address_max = config.limits.connections_per_address;
    clients.connections_per_minute_max = config.limits.connections_per_minute;
    clients.trusted = [&*config.limits.trusted, &listener.xclient].concat();
    clients.proxies.clone_from(&listener.proxies);
    let tls = |alpn| certificate.filter(|_| listener.tls != TlsMode::None).map(|found| found.server_config(alpn));
    let implicit = listener.tls == TlsMode::Implicit;
    if listener.protocol == Protocol::Imap {
        let mut imap = pillarbox::imap::ServerConfig::default();
        imap.limits.append_size_max = config.limits.message_size;
        imap.limits.messages_max = config.limits.messages_per_command;
        imap.mechanisms = mechanisms();
        imap.server_admin = Some(format!("mailto:{}", config.postmaster));
        imap.extensions.compress = listener.compress;
        let mut server = ImapServer::new(imap, parts).peer_limits(clients);
        if let Some(tls) = tls(b"imap") {
            server = server.tls(tls).implicit_tls(implicit);
        }
        return Server::Imap(server);
    }
    let mut smtp = pillarbox::smtp::ServerConfig::new(config.hostname.clone());
    smtp.limits.message_size_max = config.limits.message_size;
    smtp.limits.recipients_max = config.limits.recipients;
    // Mailboxes keep every octet, and IMAP shows them; what goes to a server that does not take them goes back.
    smtp.smtputf8 = true;
    match listener.protocol {
        Protocol::Submission => {
            smtp.mechanisms = mechanisms();
            smtp.mechanisms.push(Mechanism::Login);
            (smtp.submission, smtp.auth_required) = (true, true);
            if config.sending.is_some() {
                // For users alone: strangers could have notices sent to others.
                (smtp.dsn, smtp.require_tls, smtp.deliver_by) = (true, true, Some(0));
                smtp.future_release = Some(HOLD_MAX);
                // By no other rule than that of RFC 6710, appendix B, which needs no name.
                smtp.mt_priority = Some(String::new());
            }
        }
        Protocol::Lmtp => smtp.protocol = pillarbox::smtp::Protocol::Lmtp,
        Protocol::Smtp | Protocol::Imap => {}
    }
    let mut server = SmtpServer::new(smtp, parts).service(listener.protocol.name()).peer_limits(clients);
    server = server.xclient_hosts(listener.xclient.clone()).xforward_hosts(listener.xforward.clone());
    if let Some(tls) = tls(b"smtp") {
        server = server.tls(tls).implicit_tls(implicit);
    }
    Server::Smtp(server)
}

/// The highest priority of what users send (RFC 6710); what asks for more gets this. What is higher is for mail that has to come before
/// that of everybody.
const PRIORITY_MAX: i8 = 4;

/// Seconds that a user may have a message held (RFC 4865): 30 days.
pub const HOLD_MAX: u32 = 30 * 24 * 3600;

/// What a client can log in with, if the accounts have what it takes.
fn mechanisms() -> Vec<Mechanism> {
    vec![Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain]
}

/// Opens a listener, and puts the port that the system picked in the place of port 0.
async fn bind(address: &mut Address) -> Result<Socket, String> {
    let opened = match address {
        Address::Tcp(at) => TcpListener::bind(*at).await.and_then(|socket| {
            *at = socket.local_addr()?;
            Ok(Socket::Tcp(socket))
        }),
        Address::Unix(path) => bind_unix(path).await,
    };
    opened.map_err(|error| cannot_listen(address, &error))
}

async fn bind_unix(path: &Path) -> Result<Socket, Error> {
    remove_dead_socket(path).await?;
    let socket = UnixListener::bind(path)?;
    // Whoever may write there can send mail to our users as anybody.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    let inode = std::fs::symlink_metadata(path)?.ino();
    Ok(Socket::Unix(socket, SocketFile { path: path.to_owned(), inode }))
}

/// A socket that nobody listens on is left over from a server that was killed. Anything else at that path stays.
async fn remove_dead_socket(path: &Path) -> Result<(), Error> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match tokio::net::UnixStream::connect(path).await {
            Ok(_) => Err(ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            Err(error) => Err(error),
        },
        _ => Ok(()),
    }
}

fn cannot_listen(address: &Address, error: &Error) -> String {
    match (error.kind(), address) {
        (ErrorKind::AddrInUse, Address::Unix(_)) => {
            format!("cannot listen on {address}: another program does, or the file is no socket")
        }
        (ErrorKind::AddrInUse, _) => format!("cannot listen on {address}: another program does"),
        (ErrorKind::PermissionDenied, Address::Tcp(at)) if at.port() < 1024 => format!(
            "cannot listen on {address}: not permitted; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE \
             (with systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
        ),
        _ => format!("cannot listen on {address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_port_cannot_be_had() {
        let told = |address: &str, kind| cannot_listen(&Address::Tcp(address.parse().unwrap()), &Error::from(kind));
        let denied = told("0.0.0.0:25", ErrorKind::PermissionDenied);
        assert!(
            denied.starts_with("cannot listen on 0.0.0.0:25: not permitted; ports below 1024 need root"),
            "{denied}"
        );
        assert_eq!(told("[::]:25", ErrorKind::AddrInUse), "cannot listen on [::]:25: another program does");
    }
}
