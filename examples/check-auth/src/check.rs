//! The check itself.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use pillarbox::crypto::RingCrypto;
use pillarbox::dns::{StubConfig, StubResolver};
use pillarbox::mailcore::address::ReversePath;
use pillarbox::mailcore::dns::{FixedZone, Name, ZoneFile};
use pillarbox::parts::{Resolver, SystemClock, resolve_within};
use pillarbox_auth::inbound::{Config, Inbound, Verdicts};

use crate::message::Incoming;
use crate::{Trouble, date};

#[derive(Args)]
pub struct CheckArgs {
    /// The message, header and body; `-` reads the standard input. Lines may end with LF.
    pub message: PathBuf,
    /// The address of the client that brought it. Without it there is neither SPF nor iprev.
    #[arg(long)]
    pub ip: Option<IpAddr>,
    /// The name in its HELO or EHLO.
    #[arg(long, value_name = "NAME")]
    pub helo: Option<String>,
    /// The path of its MAIL FROM, with or without angle brackets; the null path is `<>` or an empty text.
    #[arg(long, value_name = "ADDRESS", value_parser = path)]
    pub mail_from: Option<ReversePath<'static>>,
    /// Takes all answers of the DNS from this file, in the form of RFC 1035, and asks nobody. A comment `; TEMPFAIL name`
    /// marks a name whose lookups fail.
    #[arg(long, value_name = "FILE")]
    pub zone: Option<PathBuf>,
    /// Asks this server, `address` or `address:port`, instead of those in /etc/resolv.conf; can be repeated.
    #[arg(long, value_name = "SERVER", value_parser = server, conflicts_with = "zone")]
    pub resolver: Vec<SocketAddr>,
    /// Seconds that the DNS may take in all.
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    pub patience: u64,
    /// What time it is: seconds since 1970, or a date as in 2026-01-31T23:59:59Z. The clock of the system by default.
    #[arg(long, value_name = "TIME", value_parser = date::parse)]
    pub now: Option<u64>,
    /// Our name in Authentication-Results.
    #[arg(long, default_value = "localhost", value_name = "NAME")]
    pub authserv_id: String,
    /// A domain whose ARC seals are believed; can be repeated.
    #[arg(long, value_name = "DOMAIN")]
    pub trust_sealer: Vec<Name>,
    /// Writes Received-SPF, too.
    #[arg(long)]
    pub received_spf: bool,
}

/// Checks a message.
pub fn check(args: &CheckArgs, message: Incoming) -> Result<Verdicts, Trouble> {
    let mut inbound = begin(args);
    message.for_each(|piece| {
        inbound.write(piece);
        Ok(())
    })?;
    conclude(args, inbound)
}

/// A machine that knows the session.
pub fn begin(args: &CheckArgs) -> Inbound {
    let mut config = Config::new(&args.authserv_id);
    config.trusted_sealers.clone_from(&args.trust_sealer);
    config.received_spf = args.received_spf;
    let mut inbound = Inbound::new(Arc::new(RingCrypto), Arc::new(config), args.now.unwrap_or_else(date::now));
    if let Some(ip) = args.ip {
        inbound.connect(ip);
    }
    if let Some(helo) = &args.helo {
        inbound.helo(helo);
    }
    if let Some(path) = &args.mail_from {
        inbound.mail_from(path);
    }
    inbound
}

/// Ends a message, and asks what there is to ask.
pub fn conclude(args: &CheckArgs, mut inbound: Inbound) -> Result<Verdicts, Trouble> {
    inbound.finish();
    let clock = Arc::new(SystemClock::new());
    // The sockets of the resolver live in it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        let resolver: Box<dyn Resolver> = match &args.zone {
            Some(path) => Box::new(read_zone(path)?),
            None => Box::new(StubResolver::new(servers(args)?, clock.clone())),
        };
        Ok(resolve_within(inbound, &*resolver, &*clock, Duration::from_secs(args.patience)).await)
    })
}

fn read_zone(path: &Path) -> Result<FixedZone, Trouble> {
    let name = path.display();
    let text = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    Ok(ZoneFile::parse(&text).map_err(|error| format!("{name}: {error}"))?.zone)
}

fn servers(args: &CheckArgs) -> Result<StubConfig, Trouble> {
    if !args.resolver.is_empty() {
        return Ok(StubConfig::new(args.resolver.iter().copied()));
    }
    let path = "/etc/resolv.conf";
    Ok(StubConfig::from_resolv_conf(&std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?))
}

fn path(text: &str) -> Result<ReversePath<'static>, String> {
    let bracketed = if text.starts_with('<') { text.to_owned() } else { format!("<{text}>") };
    match ReversePath::take(bracketed.as_bytes(), true) {
        Ok((path, b"")) => Ok(path.into_owned()),
        Ok(_) => Err("there is something behind the address".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn server(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
    with_port.map_err(|_| "neither an address nor address:port".into())
}
