//! From a configuration to keys, and to who signs with them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pillarbox::auth::SigningKeys;
use pillarbox::crypto::RingCrypto;
use pillarbox::mailauth::dkim::{DomainKey, read_private_key};
use pillarbox::mailcore::crypto::{Crypto as _, SigningKey};
use pillarbox::mailcore::dns::Name;

use crate::config::{DkimKey, DomainKeyFile};
use crate::secret_file;

/// Reads a private key from a file that not everybody may use.
pub fn read_key(file: &Path) -> Result<Arc<dyn SigningKey>, String> {
    secret_file::check_rights(file)?;
    let wrong = |error: &dyn std::fmt::Display| format!("cannot read the key {}: {error}", file.display());
    let pem = fs::read(file).map_err(|error| wrong(&error))?;
    let key = read_private_key(&pem).map_err(|error| wrong(&error))?;
    Ok(RingCrypto.load_key(&key).map_err(|error| wrong(&error))?.into())
}

/// Reads the key of a domain.
pub fn domain_key(domain: &str, DkimKey { selector, file }: &DkimKey) -> Result<DomainKey, String> {
    let name = |text: &str| Name::parse(text).map_err(|error| format!("{text}: {error}"));
    Ok(DomainKey::new(name(domain)?, name(selector)?, read_key(file)?))
}

/// The keys that sign what users send, and where they are read from again.
#[derive(Clone)]
pub struct Signing {
    pub keys: SigningKeys,
    files: Arc<[DomainKeyFile]>,
}

impl Signing {
    /// Reads the keys for the first time; `None` if there are none.
    pub fn load(files: &[DomainKeyFile]) -> Result<Option<Self>, String> {
        let keys = SigningKeys::new(read(files)?);
        Ok((!files.is_empty()).then(|| Signing { keys, files: files.into() }))
    }

    /// Reads them again. If one of them cannot be used that is told, and those from before sign on.
    pub fn read_again(&self) -> Result<(), String> {
        self.keys.set(read(&self.files)?);
        Ok(())
    }
}

fn read(files: &[DomainKeyFile]) -> Result<Vec<DomainKey>, String> {
    files.iter().map(|file| domain_key(&file.domain, &file.key)).collect()
}
