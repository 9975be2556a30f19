//! From a configuration to what is sent on.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pillarbox::outbound::{Aliases, Forward, Srs};
use pillarbox::parts::MessageSink;

use crate::config::{Config, Forwarding, SrsFiles};
use crate::secret_file;

/// Reads the files. A copy that stays goes to `local`.
pub fn load(config: &Config, forwarding: &Forwarding, local: Option<&Arc<dyn MessageSink>>) -> Result<Forward, String> {
    let path = forwarding.aliases.display();
    // Names without a domain are in the first one.
    let domain = config.domains.first().map_or("", String::as_str);
    let aliases = Aliases::parse(&read(&forwarding.aliases)?, domain).map_err(|error| format!("{path}: {error}"))?;
    let srs = forwarding.srs.as_ref().map(|files| srs(config, files)).transpose()?;
    let forward = Forward::new(aliases, srs);
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
