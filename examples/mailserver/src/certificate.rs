//! Certificates: read from PEM files, read again while the server runs, or made for a first try.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;
use crate::secret_file;

/// A certificate with its key, as the files were when they were last read.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files and checks that they belong together.
    pub fn load(files: &TlsFiles) -> Result<Self, String> {
        Ok(Certificate { files: files.clone(), current: RwLock::new(read(files)?) })
    }

    /// Reads the files again, for the handshakes to come. If they are not good, what was there before stays.
    pub fn reload(&self) -> Result<(), String> {
        let fresh = read(&self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// TLS for one listener. Each has its own, so that a session of one service cannot be resumed at another.
    ///
    /// `alpn` names the listener's protocol: a client that asks for others only is refused, so that a browser cannot be made
    /// to talk to a mail server (the attack known as ALPACA).
    pub fn server_config(self: &Arc<Self>, alpn: &[u8]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider supports its own versions")
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(files: &TlsFiles) -> Result<Arc<CertifiedKey>, String> {
    let pair = pair(read_chain(&files.certificate)?, read_key(&files.key)?);
    pair.map(Arc::new).map_err(|error| format!("{}: {error}", files.key.display()))
}

/// Reads a certificate with its chain.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| format!("cannot read the certificate {}: {}", path.display(), cause(error)))?;
    match chain.is_empty() {
        true => Err(format!("there is no certificate in {}", path.display())),
        false => Ok(chain),
    }
}

/// Reads a private key that not everybody can read.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound => format!("there is no private key in {}", path.display()),
        error => format!("cannot read the private key {}: {}", path.display(), cause(error)),
    })?;
    secret_file::check_rights(path)?;
    Ok(key)
}

fn cause(error: pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// Puts a certificate and its key together, if they belong together.
pub fn pair(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<CertifiedKey, String> {
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".into(),
        error => format!("the certificate and its key cannot be used: {error}"),
    })
}

/// Makes a self-signed certificate for this machine, unless there is one already.
pub fn make_self_signed(files: &TlsFiles) -> Result<(), String> {
    if files.certificate.exists() && files.key.exists() {
        return Ok(());
    }
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made =
        rcgen::generate_simple_self_signed(names).map_err(|error| format!("cannot make a certificate: {error}"))?;
    write_new(&files.key, made.signing_key.serialize_pem().as_bytes(), 0o600)?;
    write_new(&files.certificate, made.cert.pem().as_bytes(), 0o644)
}

/// Writes a file with these rights from its first octet on. What was there before is removed, not written through.
pub fn write_new(path: &Path, contents: &[u8], mode: u32) -> Result<(), String> {
    let told = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error)),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(told)?;
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(told)
}
