//! A relay: takes mail from the hosts of a network and hands it to one host that knows more. What it has said 250 to is on the disk,
//! and is sent, however often this program or the machine stops, or comes back to its sender.
#![allow(clippy::print_stderr)]

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use pillarbox::mailcore::Reply;
use pillarbox::mailcore::address::Domain;
use pillarbox::outbound::{Outbound, OutboundConfig, OutboundParts, Route, SmartHost, TlsMode, spool};
use pillarbox::parts::{BoxFuture, Observer, Parts, Policy, QueueEvent, Session, Verdict};
use pillarbox::smtp::{Credentials, Login, ServerConfig, SmtpServer};
use pillarbox::smtp_proto::{route::RouteTable, server::Rcpt};
use pillarbox::{Network, PeerLimits, Shutdown};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::signal::unix::{SignalKind, signal};

/// Takes mail from hosts of ours and hands it to one that knows more.
#[derive(Parser)]
struct Args {
    /// Where to listen, as `address:port`
    listen: SocketAddr,
    /// The folder of the queue; it is made if its parent is there
    spool: PathBuf,
    /// The address of the host that gets everything
    relay: IpAddr,
    /// Its port
    #[arg(long, default_value_t = 587)]
    port: u16,
    /// Its name, for which it has to show a certificate; without it there is no login and no promise about TLS
    #[arg(long)]
    name: Option<String>,
    /// What is done about TLS: if-offered, encrypted, or with a name (and then by default) verified or implicit
    #[arg(long, value_parser = tls_mode)]
    tls: Option<TlsMode>,
    /// The certificates that are trusted, in PEM
    #[arg(long, default_value = "/etc/ssl/certs/ca-certificates.crt")]
    ca: PathBuf,
    /// Logs in; the password is read from RELAY_PASSWORD in the environment
    #[arg(long, value_name = "USER", requires = "name")]
    auth: Option<String>,
    /// Who may send: an address or a network
    #[arg(long = "from", default_value = "127.0.0.0/8")]
    networks: Vec<Network>,
    /// What we are called
    #[arg(long, default_value = "localhost.localdomain")]
    hostname: String,
    /// Seconds from the first attempt to the second; each wait is twice the one before, up to 4,000 s
    #[arg(long, default_value_t = 300)]
    retry: u64,
}

fn tls_mode(word: &str) -> Result<TlsMode, String> {
    match word {
        "if-offered" => Ok(TlsMode::IfOffered),
        "encrypted" => Ok(TlsMode::Encrypted),
        "verified" => Ok(TlsMode::Verified),
        "implicit" => Ok(TlsMode::Implicit),
        _ => Err("none of if-offered, encrypted, verified, implicit".into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let shutdown = Shutdown::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut told, stop) = (signal(kind)?, shutdown.clone());
        tokio::spawn(async move { told.recv().await.map(|()| stop.begin()) });
    }
    let (store, recovery) = spool::Store::open(spool::RealFs, &args.spool, spool::Options::from_system())?;
    let mut config = OutboundConfig::new(&args.hostname)?;
    config.schedule.delay_first = Duration::from_secs(args.retry.max(1));
    let outbound = Outbound::new(config, parts(&args)?, routes(&args)?, store);

    let mut config = ServerConfig::new(&args.hostname);
    (config.dsn, config.smtputf8, config.deliver_by) = (true, true, Some(0));
    let parts = Parts {
        sink: Arc::new(outbound.sink()),
        policy: Arc::new(Ours(args.networks.clone())),
        observer: Arc::new(Stderr),
        ..Parts::in_memory()
    };
    let listener = tokio::net::TcpListener::bind(args.listen).await?;
    eprintln!("listening on {}", args.listen);
    let mut limits = PeerLimits::default();
    limits.trusted = args.networks;
    let server = SmtpServer::new(config, parts).peer_limits(limits);
    tokio::join!(server.serve(listener, &shutdown), outbound.run(recovery, &shutdown));
    Ok(())
}

fn routes(args: &Args) -> Result<RouteTable<Route>, Box<dyn Error>> {
    let host = match &args.name {
        Some(name) => Domain::parse(name)?.into_owned(),
        None => Domain::from_ip(args.relay),
    };
    let mut relay = SmartHost::new(host);
    relay.address = Some(args.relay);
    relay.port = args.port;
    relay.tls = args.tls.unwrap_or(if args.name.is_some() { TlsMode::Verified } else { TlsMode::IfOffered });
    if let Some(user) = &args.auth {
        // An error may show the value.
        let password = std::env::var("RELAY_PASSWORD").map_err(|_| "RELAY_PASSWORD: it is not set, or not UTF-8")?;
        relay.login = Some(Login::new(Credentials::plain("", user, password)));
    }
    let mut routes = RouteTable::new();
    routes.set_default(Route::SmartHost(Arc::new(relay)));
    Ok(routes)
}

fn parts(args: &Args) -> Result<OutboundParts, Box<dyn Error>> {
    let mut trusted = rustls::RootCertStore::empty();
    // Without a name no certificate is looked at.
    if args.name.is_some() {
        let unfit = |error| format!("--ca {}: {error}", args.ca.display());
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&args.ca).map_err(unfit)?.collect();
        trusted.add_parsable_certificates(certificates.map_err(unfit)?);
    }
    let tls = rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let mut parts = OutboundParts::from_system();
    (parts.tls, parts.observer) = (Some(Arc::new(tls)), Arc::new(Stderr));
    Ok(parts)
}

/// Hosts that may send to anybody.
struct Ours(Vec<Network>);

impl Policy for Ours {
    fn recipient<'a>(&'a self, session: &'a Session, _rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        let is_ours = session.ip.is_some_and(|ip| self.0.iter().any(|network| network.contains(ip)));
        let no = || Verdict::Refuse(Reply::enhanced(554, 5, 7, 1, "relaying is not for you"));
        Box::pin(std::future::ready(if is_ours { Verdict::Accept } else { no() }))
    }
}

/// Tells what a person would want to know.
struct Stderr;

impl Observer for Stderr {
    fn queue(&self, event: &QueueEvent<'_>) {
        eprintln!("{event}");
    }
}
