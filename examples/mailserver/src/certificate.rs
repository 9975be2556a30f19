//! Certificates: read from PEM files, or made for a first try.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

/// Reads a certificate with its chain and its key, and checks that they belong together.
///
/// `alpn` names the protocols of the listener: a client that asks for others only is refused, so that a browser cannot be
/// made to talk to a mail server (the attack known as ALPACA).
pub fn load(files: &TlsFiles, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, String> {
    let certificate = files.certificate.display();
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| format!("cannot read the certificate {certificate}: {error}"))?;
    if chain.is_empty() {
        return Err(format!("there is no certificate in {certificate}"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("cannot read the private key {}: {error}", files.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports its own versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("{certificate} and {} do not fit together: {error}", files.key.display()))?;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
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

/// Writes a file with these rights from its first octet on.
pub fn write_new(path: &Path, contents: &[u8], mode: u32) -> Result<(), String> {
    let told = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error)),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(told)?;
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(told)
}
