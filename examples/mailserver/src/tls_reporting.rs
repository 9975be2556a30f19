//! From a configuration to who reports on TLS.

use pillarbox::outbound::TlsReporting;

use crate::config::TlsReports;
use crate::signing;

/// Reads the key, if there is one, and puts together the rest.
pub fn reporting(reports: &TlsReports) -> Result<TlsReporting, String> {
    let (name, sender) = (&reports.organization_name, &reports.sender_address);
    let mut reporting = TlsReporting::new(name, sender.clone(), &reports.folder)
        .ok_or_else(|| format!("the domain of `{sender}` is not a name"))?;
    if let Some(contact) = &reports.contact_info {
        reporting.contact.clone_from(contact);
    }
    reporting.delay_max = reports.spread_out_delivery;
    if let Some(key) = &reports.dkim {
        reporting.key = Some(signing::domain_key(sender.domain().as_str(), key)?);
    }
    Ok(reporting)
}
