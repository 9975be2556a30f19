//! From a configuration to running servers.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use pillarbox::delivery::MailboxSink;
use pillarbox::imap::ImapServer;
use pillarbox::parts::{Authenticator, Parts};
use pillarbox::passwd::PasswdFile;
use pillarbox::smtp::SmtpServer;
use pillarbox::store::MaildirStore;
use pillarbox::{PeerLimits, Shutdown};
use tokio::net::{TcpListener, UnixListener};

use crate::accounts::{LocalOnly, Names};
use crate::certificate;
use crate::config::{Address, Config, Listener, Protocol, TlsMode};
use crate::show::Show;

/// A server and what it listens on.
enum Server {
    Smtp(SmtpServer),
    Imap(ImapServer),
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// All servers of a configuration, checked and ready to listen.
pub struct Assembly {
    servers: Vec<(Server, Listener)>,
}

impl Assembly {
    /// Reads everything that the configuration names and puts the servers together. Changes nothing and listens to nothing.
    pub fn new(config: &Config, show: Show) -> Result<Self, String> {
        let accounts = PasswdFile::load(&config.accounts).map_err(|error| error.to_string())?;
        let accounts: Arc<dyn Authenticator> = Arc::new(accounts);
        let names = Names::new(config);
        let location = config.mail.clone();
        let store = Arc::new(MaildirStore::new(move |account| {
            let (user, domain) = account.user().rsplit_once('@')?;
            location.folder(user, domain)
        }));
        let recipients = names.clone();
        let parts = Parts {
            authenticator: accounts.clone(),
            policy: Arc::new(LocalOnly { names, accounts }),
            sink: Arc::new(MailboxSink::new(store.clone(), move |path| recipients.account(path))),
            store,
            observer: Arc::new(show),
            ..Parts::in_memory()
        };
        let servers =
            config.listeners.iter().map(|listener| Ok((server(config, listener, parts.clone())?, listener.clone())));
        Ok(Assembly { servers: servers.collect::<Result<_, String>>()? })
    }

    /// Listens and serves until `shutdown` begins and the sessions have ended. `listening` is called once all sockets are open.
    pub async fn run(self, shutdown: Shutdown, listening: impl FnOnce()) -> Result<(), String> {
        let mut running = tokio::task::JoinSet::new();
        let mut open = Vec::new();
        for (server, listener) in self.servers {
            let socket = bind(&listener.address).await?;
            open.push((server, socket));
        }
        listening();
        for (server, socket) in open {
            let shutdown = shutdown.clone();
            running.spawn(async move {
                match (server, socket) {
                    (Server::Smtp(server), Socket::Tcp(socket)) => server.serve(socket, &shutdown).await,
                    (Server::Smtp(server), Socket::Unix(socket)) => server.serve(socket, &shutdown).await,
                    (Server::Imap(server), Socket::Tcp(socket)) => server.serve(socket, &shutdown).await,
                    (Server::Imap(server), Socket::Unix(socket)) => server.serve(socket, &shutdown).await,
                }
            });
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(|error| format!("a listener broke: {error}"))?;
        }
        Ok(())
    }
}

fn server(config: &Config, listener: &Listener, parts: Parts) -> Result<Server, String> {
    let mut clients = PeerLimits::default();
    clients.connections_max = config.limits.connections;
    clients.connections_per_address_max = config.limits.connections_per_address;
    let tls = |alpn: &[&[u8]]| match (&config.tls, listener.tls) {
        (_, TlsMode::None) | (None, _) => Ok(None),
        (Some(files), _) => certificate::load(files, alpn).map(Some),
    };
    let implicit = listener.tls == TlsMode::Implicit;
    if listener.protocol == Protocol::Imap {
        let mut imap = pillarbox::imap::ServerConfig::default();
        imap.limits.append_size_max = config.limits.message_size;
        let mut server = ImapServer::new(imap, parts).peer_limits(clients);
        if let Some(tls) = tls(&[b"imap"])? {
            server = server.tls(tls).implicit_tls(implicit);
        }
        return Ok(Server::Imap(server));
    }
    let mut smtp = pillarbox::smtp::ServerConfig::new(config.hostname.clone());
    smtp.limits.message_size_max = config.limits.message_size;
    smtp.limits.recipients_max = config.limits.recipients;
    match listener.protocol {
        Protocol::Submission => {
            use pillarbox::mailcore::sasl::Mechanism;
            smtp.mechanisms = vec![Mechanism::Plain, Mechanism::Login];
            smtp.auth_required = true;
        }
        Protocol::Lmtp => smtp.protocol = pillarbox::smtp::Protocol::Lmtp,
        Protocol::Smtp | Protocol::Imap => {}
    }
    let mut server = SmtpServer::new(smtp, parts).service(listener.protocol.name()).peer_limits(clients);
    if let Some(tls) = tls(&[b"smtp"])? {
        server = server.tls(tls).implicit_tls(implicit);
    }
    Ok(Server::Smtp(server))
}

async fn bind(address: &Address) -> Result<Socket, String> {
    let told = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AddrInUse => format!("cannot listen on {address}: another program does"),
        std::io::ErrorKind::PermissionDenied => {
            format!("cannot listen on {address}: not permitted (ports below 1024 need root)")
        }
        _ => format!("cannot listen on {address}: {error}"),
    };
    match address {
        Address::Tcp(at) => TcpListener::bind(at).await.map(Socket::Tcp).map_err(told),
        Address::Unix(path) => {
            remove_dead_socket(path).await.map_err(told)?;
            let socket = UnixListener::bind(path).map_err(told)?;
            // Whoever may write there can send mail to our users as anybody.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(told)?;
            Ok(Socket::Unix(socket))
        }
    }
}

/// A socket that nobody listens on is left over from a server that was killed. Anything else at that path stays.
async fn remove_dead_socket(path: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match tokio::net::UnixStream::connect(path).await {
            Ok(_) => Err(std::io::ErrorKind::AddrInUse.into()),
            Err(_) => std::fs::remove_file(path),
        },
        _ => Ok(()),
    }
}
