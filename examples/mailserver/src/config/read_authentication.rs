//! From TOML to who checks mail and who signs it.

use std::path::{Path, PathBuf};

use pillarbox::mailcore::dns::Name;
use toml::Spanned;

use super::authentication::{Authentication, DmarcUse, Quarantine};
use super::error::Mistake;
use super::read::{holds_strangers, host_name, placed, read_networks};
use super::sending::{DkimKey, DomainKeyFile};
use super::table::{self, Value};

/// Reads `[authentication]`.
pub fn read_authentication(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<Authentication> {
    const USES: [(&str, DmarcUse); 3] =
        [("monitor", DmarcUse::Monitor), ("quarantine", DmarcUse::Quarantine), ("honour", DmarcUse::Honour)];
    const PLACES: [(&str, Quarantine); 2] = [("junk", Quarantine::Junk), ("header", Quarantine::Header)];
    const ERRORS: [(&str, bool); 2] = [("accept", false), ("later", true)];
    let before = mistakes.len();
    let mut table = table::table(value, mistakes)?;
    let authserv_id = table.optional("authserv_id").and_then(|v| table::parsed(v, mistakes, host_name));
    let dmarc = table.optional("dmarc").map_or(Some(DmarcUse::Monitor), |v| table::word(v, &USES, mistakes));
    let quarantine = table.optional("quarantine");
    if let (Some(DmarcUse::Monitor), Some(value)) = (dmarc, quarantine) {
        let message = "nothing is kept apart while `dmarc` is \"monitor\": say \"quarantine\" or \"honour\" there, or leave this out";
        mistakes.push(Mistake::new(value.span(), message));
    }
    let quarantine = quarantine.map_or(Some(Quarantine::Junk), |v| table::word(v, &PLACES, mistakes));
    let defers = table.optional("temporary_errors").map_or(Some(false), |v| table::word(v, &ERRORS, mistakes));
    let received_spf = table.optional("received_spf").map_or(Some(false), |v| table::boolean(v, mistakes));
    let trusted_at = table.optional("trusted");
    let trusted = trusted_at.map(|v| read_networks(v, mistakes)).unwrap_or_default();
    if let Some(value) = trusted_at.filter(|_| trusted.iter().any(holds_strangers)) {
        mistakes.push(Mistake::new(
            value.span(),
            "so large a network holds strangers, and nothing that they send would be checked",
        ));
    }
    let sealers = table.optional("trusted_sealers").and_then(|v| table::list(v, mistakes)).unwrap_or_default();
    let sealer = |text: &str| Name::parse(&host_name(text)?).map_err(|error| format!("`{text}`: {error}"));
    let trusted_sealers = sealers.iter().filter_map(|v| table::parsed(v, mistakes, sealer)).collect();
    table.finish(mistakes);
    let read = Authentication {
        authserv_id,
        dmarc: dmarc?,
        defers: defers?,
        quarantine: quarantine?,
        received_spf: received_spf?,
        trusted,
        trusted_sealers,
    };
    (mistakes.len() == before).then_some(read)
}

/// What could be read about keys, with the places that later checks will want to name.
#[derive(Default)]
pub struct SigningDraft {
    /// All of them, if nothing is missing.
    pub keys: Option<Vec<DomainKeyFile>>,
    pub files: Vec<Spanned<PathBuf>>,
}

/// Reads `[[sign]]`.
pub fn read_signing(
    value: Option<&Value<'_>>,
    base: &Path,
    domains: Option<&[String]>,
    mistakes: &mut Vec<Mistake>,
) -> SigningDraft {
    let before = mistakes.len();
    let mut draft = SigningDraft::default();
    let mut keys: Vec<DomainKeyFile> = Vec::new();
    for item in value.and_then(|value| table::list(value, mistakes)).unwrap_or_default() {
        let Some(mut table) = table::table(item, mistakes) else { continue };
        let ours = |text: &str| {
            let name = host_name(text)?;
            match domains {
                Some(domains) if !domains.contains(&name) => {
                    Err(format!("`{text}` is not in `domains`: nobody here writes in its name"))
                }
                _ => Ok(name),
            }
        };
        let domain = table.required("domain").and_then(|v| table::parsed(v, mistakes, ours));
        let selector = table.required("selector").and_then(|v| table::parsed(v, mistakes, host_name));
        let file = table.required("key_file").and_then(|v| placed(v, mistakes, |text| Ok(base.join(text))));
        table.finish(mistakes);
        let names = domain.zip(selector);
        if let Some((domain, selector)) = &names
            && keys.iter().any(|other| other.domain == *domain && other.key.selector == *selector)
        {
            let message = format!("`{selector}` of `{domain}` stands here twice, and can be one key alone");
            mistakes.push(Mistake::new(item.span(), message));
        }
        if let (Some((domain, selector)), Some(file)) = (names, &file) {
            keys.push(DomainKeyFile { domain, key: DkimKey { selector, file: file.get_ref().clone() } });
        }
        draft.files.extend(file);
    }
    draft.keys = Some(keys).filter(|_| mistakes.len() == before);
    draft
}
