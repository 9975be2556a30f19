//! A certificate for `localhost` that client and server agree on.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Both sides' configurations.
pub struct Pair {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
    roots: RootCertStore,
}

pub fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = CertificateDer::from(made.cert);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
    Pair { server: Arc::new(server), client: Arc::new(client), roots }
}

/// A client of these versions of TLS only.
#[allow(dead_code, reason = "not every test file has a use for it")]
pub fn client_of(pair: &Pair, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_protocol_versions(versions);
    Arc::new(builder.with_root_certificates(pair.roots.clone()).with_no_client_auth())
}

pub fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}
