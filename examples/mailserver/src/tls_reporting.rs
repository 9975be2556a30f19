//! From a configuration to who reports on TLS.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pillarbox::crypto::RingCrypto;
use pillarbox::mailauth::dkim::{DomainKey, read_private_key};
use pillarbox::mailcore::crypto::{Crypto as _, SigningKey};
use pillarbox::mailcore::dns::Name;
use pillarbox::outbound::TlsReporting;

use crate::config::{DkimKey, TlsReports};
use crate::secret_file;

/// Reads the key, if there is one, and puts together the rest.
pub fn reporting(reports: &TlsReports) -> Result<TlsReporting, String> {
    let (name, sender) = (&reports.organization_name, &reports.sender_address);
    let mut reporting = TlsReporting::new(name, sender.clone(), &reports.folder)
        .ok_or_else(|| format!("the domain of `{sender}` is not a name"))?;
    if let Some(contact) = &reports.contact_info {
        reporting.contact.clone_from(contact);
    }
    reporting.delay_max = reports.spread_out_delivery;
    if let Some(DkimKey { selector, file }) = &reports.dkim {
        let name = |text: &str| Name::parse(text).map_err(|error| format!("{text}: {error}"));
        let (domain, selector) = (name(sender.domain().as_str())?, name(selector)?);
        reporting.key = Some(DomainKey::new(domain, selector, read_key(file)?));
    }
    Ok(reporting)
}

/// Reads a private key from a file that not everybody may use.
pub fn read_key(file: &Path) -> Result<Arc<dyn SigningKey>, String> {
    secret_file::check_rights(file)?;
    let wrong = |error: &dyn std::fmt::Display| format!("cannot read the key {}: {error}", file.display());
    let pem = fs::read(file).map_err(|error| wrong(&error))?;
    let key = read_private_key(&pem).map_err(|error| wrong(&error))?;
    Ok(RingCrypto.load_key(&key).map_err(|error| wrong(&error))?.into())
}
