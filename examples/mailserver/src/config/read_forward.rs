//! From TOML to what is sent on.

use std::path::Path;

use super::error::Mistake;
use super::read::host_name;
use super::sending::{Forwarding, SealFiles, SrsFiles};
use super::table::{self, Value};

/// Reads `[forward]`.
pub fn read_forward(value: &Value<'_>, base: &Path, mistakes: &mut Vec<Mistake>) -> Option<Forwarding> {
    let before = mistakes.len();
    let mut forward = table::table(value, mistakes)?;
    let aliases = forward.required("aliases").and_then(|v| table::parsed(v, mistakes, |text| Ok(base.join(text))));
    let mut path = |key| forward.optional(key).map(|v| table::parsed(v, mistakes, |text| Ok(base.join(text))));
    let (secrets, key) = (path("srs_secrets"), path("seal_key"));
    let mut name = |key| forward.optional(key).map(|v| table::parsed(v, mistakes, host_name));
    let (srs_domain, seal_domain, selector) = (name("srs_domain"), name("seal_domain"), name("seal_selector"));
    forward.finish(mistakes);
    let mut srs = None;
    match (srs_domain, secrets) {
        (Some(domain), Some(secrets)) => {
            srs = domain.zip(secrets).map(|(domain, secrets)| SrsFiles { domain, secrets })
        }
        (None, None) => {}
        _ => mistakes.push(Mistake::new(value.span(), "`srs_domain` and `srs_secrets` need each other")),
    }
    let mut seal = None;
    match (key, seal_domain, selector) {
        (Some(key), Some(domain), Some(selector)) => {
            let names = domain.zip(selector);
            seal = key.zip(names).map(|(key, (domain, selector))| SealFiles { key, domain, selector });
        }
        (None, None, None) => {}
        _ => {
            mistakes.push(Mistake::new(value.span(), "`seal_key`, `seal_domain` and `seal_selector` need each other"));
        }
    }
    let aliases = aliases?;
    (mistakes.len() == before).then_some(Forwarding { aliases, srs, seal })
}
