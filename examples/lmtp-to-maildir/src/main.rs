//! Takes mail by LMTP and delivers it into Maildirs, one for each address under a folder: `<root>/<domain>/<local>/Maildir`.
//! Who has such a folder gets mail; nobody else does, and none is made.
#![allow(clippy::print_stderr)]

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use pillarbox::delivery::MailboxSink;
use pillarbox::mailcore::Reply;
use pillarbox::mailcore::address::ForwardPath;
use pillarbox::parts::{BoxFuture, Identity, Observer, Parts, Policy, Session, Verdict};
use pillarbox::smtp::{Protocol, ServerConfig, SmtpServer};
use pillarbox::smtp_proto::server::Rcpt;
use pillarbox::store::MaildirStore;
use pillarbox::{Listener, Shutdown};
use tokio::net::{TcpListener, UnixListener};

/// Delivers mail that comes by LMTP into Maildirs.
#[derive(Parser)]
struct Args {
    /// Where to listen: the path of a socket to make, or `address:port`. Whoever reaches it can deliver.
    listen: String,
    /// The folder that holds `<domain>/<local part>/` for every address that gets mail, in small letters.
    root: PathBuf,
    /// What we are called.
    #[arg(long, default_value = "localhost")]
    hostname: String,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let args = Args::parse();
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        // Without a signal to wait for there is nothing to stop by, and it goes on.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.begin();
        }
    });
    if args.listen.contains('/') {
        serve(&args, UnixListener::bind(&args.listen)?, &shutdown).await;
        std::fs::remove_file(&args.listen)
    } else {
        serve(&args, TcpListener::bind(&args.listen).await?, &shutdown).await;
        Ok(())
    }
}

async fn serve(args: &Args, listener: impl Listener, shutdown: &Shutdown) {
    let folders = Arc::new(Folders { root: args.root.clone() });
    let (known, found) = (folders.clone(), folders.clone());
    let store = Arc::new(MaildirStore::new(move |account| Some(known.folder(account.user())?.join("Maildir"))));
    let parts = Parts {
        sink: Arc::new(MailboxSink::new(store.clone(), move |to| found.account(to))),
        policy: folders,
        store,
        observer: Arc::new(Stderr),
        ..Parts::in_memory()
    };
    let mut config = ServerConfig::new(&args.hostname);
    config.protocol = Protocol::Lmtp;
    eprintln!("listening on {}", args.listen);
    SmtpServer::new(config, parts).serve(listener, shutdown).await;
}

/// The folders that say who gets mail.
struct Folders {
    root: PathBuf,
}

impl Folders {
    /// The folder of `local@domain`, if there is one.
    fn folder(&self, user: &str) -> Option<PathBuf> {
        let (local, domain) = user.rsplit_once('@')?;
        // An address can hold what leads elsewhere in a path, if it is quoted.
        let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        let folder = self.root.join(domain).join(local);
        (is_name(local) && is_name(domain) && Path::is_dir(&folder)).then_some(folder)
    }

    fn account(&self, to: &ForwardPath<'_>) -> Option<Identity> {
        let address = to.address()?;
        let user = format!("{}@{}", address.local().unquoted(), address.domain().as_str()).to_lowercase();
        self.folder(&user).map(|_| Identity::new(user))
    }
}

impl Policy for Folders {
    fn recipient<'a>(&'a self, _session: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        let verdict = match self.account(&rcpt.to) {
            Some(_) => Verdict::Accept,
            None => Verdict::Refuse(Reply::enhanced(550, 5, 1, 1, "no such mailbox here")),
        };
        Box::pin(std::future::ready(verdict))
    }
}

/// Tells what a person would want to know.
struct Stderr;

impl Observer for Stderr {
    fn connected(&self, session: u64, service: &str, ip: Option<IpAddr>) {
        eprintln!("{session}: {service} from {}", ip.map_or("a socket".into(), |ip| ip.to_string()));
    }
    fn delivered(&self, session: u64, id: &str, from: &str, to: &str, size: u64) {
        eprintln!("{session}: {id} from {from} to {to}: {size} octets");
    }
    fn failed(&self, session: u64, what: &str, cause: &dyn std::fmt::Display) {
        eprintln!("{session}: {what} failed: {cause}");
    }
}
