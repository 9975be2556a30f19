//! From TOML to who reports on TLS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox::mailcore::address::Address;
use pillarbox::mailcore::dns::Name;
use toml::Spanned;

use super::error::Mistake;
use super::read::{host_name, placed};
use super::read_sending::{duration, within};
use super::sending::{DkimKey, TlsReports};
use super::table::{self, Value};

/// Characters of a name or a contact, which stand in every report.
const TEXT_MAX: usize = 255;

/// What could be read, with the places that later checks will want to name.
#[derive(Default)]
pub struct TlsReportsDraft {
    /// All of it, if nothing is missing.
    pub reports: Option<TlsReports>,
    pub folder: Option<Spanned<PathBuf>>,
    pub dkim_key: Option<Spanned<PathBuf>>,
}

/// Reads `[tls_reports]`.
pub fn read_tls_reports(
    value: &Value<'_>,
    base: &Path,
    domains: Option<&[String]>,
    mistakes: &mut Vec<Mistake>,
) -> TlsReportsDraft {
    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let mut draft = TlsReportsDraft::default();
    let before = mistakes.len();
    let Some(mut table) = table::table(value, mistakes) else { return draft };
    draft.folder = table.required("folder").and_then(|v| placed(v, mistakes, |text| Ok(base.join(text))));
    let organization_name = table.required("organization_name").and_then(|v| table::parsed(v, mistakes, shown));
    let sender_address =
        table.required("sender_address").and_then(|v| table::parsed(v, mistakes, |text| sender(text, domains)));
    let contact_info =
        table.optional("contact_info").map_or(Some(None), |v| table::parsed(v, mistakes, shown).map(Some));
    let spread_out = table.optional("spread_out_delivery").map_or(Some(Duration::from_secs(4 * 3600)), |v| {
        table::parsed(v, mistakes, |text| within(duration(text)?, text, SECOND..=DAY))
    });
    let private_hosts = table.optional("private_hosts").map_or(Some(false), |v| table::boolean(v, mistakes));
    let key_file = table.optional("dkim_key_file");
    draft.dkim_key = key_file.and_then(|v| placed(v, mistakes, |text| Ok(base.join(text))));
    let selector = table.optional("dkim_selector");
    table.finish(mistakes);
    if key_file.is_some() != selector.is_some() {
        mistakes.push(Mistake::new(value.span(), "`dkim_selector` and `dkim_key_file` need each other"));
    }
    let selector = selector.and_then(|v| table::parsed(v, mistakes, host_name));
    let dkim = draft.dkim_key.as_ref().zip(selector);
    let dkim = dkim.map(|(file, selector)| DkimKey { selector, file: file.get_ref().clone() });
    let read = || {
        Some(TlsReports {
            folder: draft.folder.as_ref()?.get_ref().clone(),
            organization_name: organization_name?,
            sender_address: sender_address?,
            contact_info: contact_info?,
            spread_out_delivery: spread_out?,
            private_hosts: private_hosts?,
            dkim,
        })
    };
    draft.reports = read().filter(|_| mistakes.len() == before);
    draft
}

/// A text for people in other places.
fn shown(text: &str) -> Result<String, String> {
    match text {
        "" => Err("this is empty".into()),
        _ if text.chars().count() > TEXT_MAX => Err(format!("this is longer than {TEXT_MAX} characters")),
        _ if text.chars().any(char::is_control) => Err("this holds a control character, such as a line's end".into()),
        _ => Ok(text.into()),
    }
}

/// Whoever answers a report, or wants to know whether it is true, asks the domain of its sender.
fn sender(text: &str, domains: Option<&[String]>) -> Result<Address<'static>, String> {
    let address = Address::parse(text).map_err(|error| format!("`{text}` is not an address: {error}"))?.into_owned();
    let Some(domain) = address.domain().name().filter(|domain| Name::parse(domain).is_ok()) else {
        return Err(format!("the domain of `{text}` is not a name"));
    };
    match domains {
        Some(domains) if !domains.iter().any(|served| served.eq_ignore_ascii_case(domain)) => {
            Err(format!("the domain of `{text}` is not in `domains`"))
        }
        _ => Ok(address),
    }
}
