//! From TOML to what is sent on.

use std::path::Path;

use pillarbox::mailcore::address::Address;

use super::error::Mistake;
use super::read::host_name;
use super::sending::{Forwarding, SrsFiles};
use super::table::{self, Value};

/// Reads `[forward]`.
pub fn read_forward(value: &Value<'_>, base: &Path, mistakes: &mut Vec<Mistake>) -> Option<Forwarding> {
    let before = mistakes.len();
    let mut forward = table::table(value, mistakes)?;
    let aliases = forward.required("aliases").and_then(|v| table::parsed(v, mistakes, |text| Ok(base.join(text))));
    let mut path = |key| forward.optional(key).map(|v| table::parsed(v, mistakes, |text| Ok(base.join(text))));
    let secrets = path("srs_secrets");
    let srs_domain = forward.optional("srs_domain").map(|v| table::parsed(v, mistakes, host_name));
    let bounces_to = forward.optional("bounces_to").and_then(|v| table::parsed(v, mistakes, address));
    forward.finish(mistakes);
    let mut srs = None;
    match (srs_domain, secrets) {
        (Some(domain), Some(secrets)) => {
            srs = domain.zip(secrets).map(|(domain, secrets)| SrsFiles { domain, secrets });
        }
        (None, None) => {}
        _ => mistakes.push(Mistake::new(value.span(), "`srs_domain` and `srs_secrets` need each other")),
    }
    let aliases = aliases?;
    (mistakes.len() == before).then_some(Forwarding { aliases, srs, bounces_to })
}

fn address(text: &str) -> Result<String, String> {
    Address::parse(text).map(|_| text.to_owned()).map_err(|error| format!("`{}`: {error}", text.escape_debug()))
}
