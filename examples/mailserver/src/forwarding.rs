//! From a configuration to what is sent on.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pillarbox::crypto::RingCrypto;
use pillarbox::mailauth::dkim::{DomainKey, read_private_key};
use pillarbox::mailcore::crypto::Crypto as _;
use pillarbox::mailcore::dns::Name;
use pillarbox::outbound::{Aliases, Forward, Srs};
use pillarbox::parts::MessageSink;

use crate::config::{Config, Forwarding, SealFiles, SrsFiles};
use crate::secret_file;

/// Reads the files. A copy that stays goes to `local`.
pub fn load(config: &Config, forwarding: &Forwarding, local: Option<&Arc<dyn MessageSink>>) -> Result<Forward, String> {
    let path = forwarding.aliases.display();
    // Names without a domain are in the first one.
    let domain = config.domains.first().map_or("", String::as_str);
    let aliases = Aliases::parse(&read(&forwarding.aliases)?, domain).map_err(|error| format!("{path}: {error}"))?;
    let srs = forwarding.srs.as_ref().map(|files| srs(config, files)).transpose()?;
    let mut forward = Forward::new(aliases, srs);
    if let Some(files) = &forwarding.seal {
        forward = forward.seal(seal_key(files)?);
    }
    Ok(match local {
        Some(local) => forward.mailboxes(Arc::clone(local)),
        None => forward,
    })
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

fn seal_key(files: &SealFiles) -> Result<DomainKey, String> {
    let path = files.key.display();
    secret_file::check_rights(&files.key)?;
    let key = read_private_key(read(&files.key)?.as_bytes()).map_err(|error| format!("{path}: {error}"))?;
    let key = RingCrypto.load_key(&key).map_err(|error| format!("{path}: {error}"))?;
    let name = |text: &str| Name::parse(text).map_err(|error| format!("{text}: {error}"));
    Ok(DomainKey::new(name(&files.domain)?, name(&files.selector)?, key.into()))
}
