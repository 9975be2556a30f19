//! From a configuration to what is sent on.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pillarbox::mailcore::address::Address;
use pillarbox::outbound::{Aliases, Forward, Route, SharedForward, Srs};
use pillarbox::parts::MessageSink;
use pillarbox::smtp_proto::route::RouteTable;

use crate::config::{Config, Forwarding, RouteOf, Sending, SrsFiles};
use crate::{authentication, secret_file, signing};

/// Reads the files. A copy that stays goes to `local`.
pub fn load(config: &Config, forwarding: &Forwarding, local: Option<&Arc<dyn MessageSink>>) -> Result<Forward, String> {
    let path = forwarding.aliases.display();
    // Names without a domain are in the first one.
    let domain = config.domains.first().map_or("", String::as_str);
    let aliases = Aliases::parse(&read(&forwarding.aliases)?, domain).map_err(|error| format!("{path}: {error}"))?;
    let srs = forwarding.srs.as_ref().map(|files| srs(config, files)).transpose()?;
    let mut forward = Forward::new(aliases, srs);
    if let Some(authentication) = &config.authentication {
        forward = forward.authserv_id(authentication::authserv_id(config, authentication));
    }
    if let Some(seal) = &forwarding.seal {
        forward = forward.seal(signing::domain_key(&seal.domain, &seal.key)?);
    }
    if let Some(local) = local {
        forward = forward.mailboxes(Arc::clone(local));
    }
    if let Some(address) = &forwarding.bounces_to {
        let told = |error| format!("bounces_to = {address:?} in [forward]: {error}");
        forward = forward.bounces_to(Address::parse(address).map_err(told)?.into_owned());
    }
    Ok(forward)
}

/// What is sent on, and where it is read from again.
#[derive(Clone)]
pub struct Forwarded {
    pub shared: SharedForward,
    config: Arc<Config>,
    local: Arc<dyn MessageSink>,
}

impl Forwarded {
    /// Reads the files for the first time.
    pub fn load(config: &Config, sending: &Sending, local: &Arc<dyn MessageSink>) -> Result<Option<Self>, String> {
        let Some(forwarding) = &sending.forwarding else { return Ok(None) };
        let forward = checked(config, sending, load(config, forwarding, Some(local))?)?;
        let (shared, config) = (SharedForward::new(forward), Arc::new(config.clone()));
        Ok(Some(Forwarded { shared, config, local: Arc::clone(local) }))
    }

    /// Reads them again. What cannot be used is told, and what was there before stays.
    pub fn read_again(&self) -> Result<(), String> {
        if let Some(sending) = &self.config.sending
            && let Some(forwarding) = &sending.forwarding
        {
            let read = load(&self.config, forwarding, Some(&self.local))?;
            self.shared.set(checked(&self.config, sending, read)?);
        }
        Ok(())
    }
}

/// An address has an alias or a route of its own, and not both: nobody could tell where its mail goes.
pub fn checked(config: &Config, sending: &Sending, forward: Forward) -> Result<Forward, String> {
    let told = |error: pillarbox::smtp_proto::route::RouteTableError| format!("aliases: {error}");
    let mut table = RouteTable::new();
    let domains = config.domains.iter();
    let routed = sending.routes.iter().flat_map(|rule| match &rule.of {
        RouteOf::Recipients(patterns) => patterns.as_slice(),
        _ => &[],
    });
    for pattern in domains.chain(routed) {
        // Of two routes that are the same the routes themselves tell.
        let _ = table.by_recipient(pattern, Route::Mx);
    }
    let forward = Arc::new(forward);
    forward.add_to(&mut table).map_err(told)?;
    drop(table);
    Ok(Arc::into_inner(forward).unwrap_or_else(|| unreachable!("the table had the others")))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// One secret a line: the first makes addresses, the others are taken for a while still.
fn srs(config: &Config, files: &SrsFiles) -> Result<Srs, String> {
    let path = files.secrets.display();
    secret_file::check_rights(&files.secrets)?;
    let text = read(&files.secrets)?;
    let secrets = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let srs = Srs::new(&files.domain, secrets).map_err(|error| format!("{path}: {error}"))?;
    config.domains.iter().try_fold(srs, |srs, own| srs.own_domain(own).map_err(|error| format!("{own}: {error}")))
}
