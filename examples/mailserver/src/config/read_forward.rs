//! From TOML to what is sent on.

use std::path::{Path, PathBuf};

use pillarbox::mailcore::address::Address;
use toml::Spanned;

use super::error::Mistake;
use super::read::{host_name, placed};
use super::sending::{DkimKey, DomainKeyFile, Forwarding, SrsFiles};
use super::table::{self, Value};

/// Reads `[forward]`, and puts the place of the key that seals into `seal_key`.
pub fn read_forward(
    value: &Value<'_>,
    base: &Path,
    seal_key: &mut Option<Spanned<PathBuf>>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Forwarding> {
    let before = mistakes.len();
    let mut forward = table::table(value, mistakes)?;
    let aliases = forward.required("aliases").and_then(|v| table::parsed(v, mistakes, |text| Ok(base.join(text))));
    let mut path = |key| forward.optional(key).map(|v| table::parsed(v, mistakes, |text| Ok(base.join(text))));
    let secrets = path("srs_secrets");
    let srs_domain = forward.optional("srs_domain").map(|v| table::parsed(v, mistakes, host_name));
    let bounces_to = forward.optional("bounces_to").and_then(|v| table::parsed(v, mistakes, address));
    let seal = ["seal_domain", "seal_selector", "seal_key_file"].map(|key| forward.optional(key));
    forward.finish(mistakes);
    let is_half = seal.iter().any(Option::is_some) && seal.iter().any(Option::is_none);
    if is_half {
        let message = "`seal_domain`, `seal_selector` and `seal_key_file` need each other";
        mistakes.push(Mistake::new(value.span(), message));
    }
    let [domain, selector, file] = seal;
    let domain = domain.and_then(|v| table::parsed(v, mistakes, host_name));
    let selector = selector.and_then(|v| table::parsed(v, mistakes, host_name));
    *seal_key = file.and_then(|v| placed(v, mistakes, |text| Ok(base.join(text))));
    let seal = domain.zip(selector).zip(seal_key.as_ref()).map(|((domain, selector), file)| {
        let file = file.get_ref().clone();
        DomainKeyFile { domain, key: DkimKey { selector, file } }
    });
    let mut srs = None;
    match (srs_domain, secrets) {
        (Some(domain), Some(secrets)) => {
            srs = domain.zip(secrets).map(|(domain, secrets)| SrsFiles { domain, secrets });
        }
        (None, None) => {}
        _ => mistakes.push(Mistake::new(value.span(), "`srs_domain` and `srs_secrets` need each other")),
    }
    let aliases = aliases?;
    (mistakes.len() == before).then_some(Forwarding { aliases, srs, bounces_to, seal })
}

fn address(text: &str) -> Result<String, String> {
    Address::parse(text).map(|_| text.to_owned()).map_err(|error| format!("`{}`: {error}", text.escape_debug()))
}
