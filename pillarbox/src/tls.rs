//! TLS under a session: the handshake and what it told.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::{CertificateFault, TlsFacts, UpgradeError};
use rustls::pki_types::ServerName;
use rustls::server::{ProducesTickets, StoresServerSessions};
use rustls::{CertificateError, ClientConfig, ConnectionCommon, ProtocolVersion, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::net::Transport;
use crate::parts::Clock;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Whose part of the handshake is ours.
pub(crate) enum Side {
    Server(Arc<ServerConfig>),
    Client(Arc<ClientConfig>, ServerName<'static>),
}

impl From<Arc<ServerConfig>> for Side {
    fn from(config: Arc<ServerConfig>) -> Self {
        Side::Server(config)
    }
}

/// The configuration of one service: what a browser speaks is refused, and no other service resumes its sessions.
pub(crate) fn of_service(config: &ServerConfig, service: &'static str, alpn: &[u8]) -> Arc<ServerConfig> {
    let mut config = config.clone();
    // RFC 7301 §3.2: a client that names protocols, and not ours, is sent away in the handshake, before it can be made to say
    // anything in another protocol's name. One that names none is served.
    if config.alpn_protocols.is_empty() {
        config.alpn_protocols = vec![alpn.to_vec()];
    }
    config.session_storage = Arc::new(OfService { service, inner: Arc::clone(&config.session_storage) });
    config.ticketer = Arc::new(OfService { service, inner: Arc::clone(&config.ticketer) });
    Arc::new(config)
}

/// What resumes sessions, for one service only. One certificate and one configuration may serve several; a session that began
/// at one of them must not go on at another, which may ask more of its clients, or be told other things by them.
#[derive(Debug)]
struct OfService<T: ?Sized> {
    service: &'static str,
    inner: Arc<T>,
}

impl<T: ?Sized> OfService<T> {
    /// The octets with the name of the service in front.
    fn marked(&self, octets: &[u8]) -> Vec<u8> {
        [self.service.as_bytes(), b"\0", octets].concat()
    }

    /// The octets behind the name of the service, if it is this one.
    fn unmarked(&self, octets: Vec<u8>) -> Option<Vec<u8>> {
        octets.strip_prefix(self.service.as_bytes())?.strip_prefix(b"\0").map(<[u8]>::to_vec)
    }
}

impl StoresServerSessions for OfService<dyn StoresServerSessions> {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.inner.put(self.marked(&key), value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.inner.get(&self.marked(key))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.inner.take(&self.marked(key))
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
}

impl ProducesTickets for OfService<dyn ProducesTickets> {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&self.marked(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.unmarked(self.inner.decrypt(cipher)?)
    }
}

/// Makes our side of the handshake on a connection. On failure the connection is gone: nobody goes back to clear text.
pub(crate) async fn handshake(
    side: impl Into<Side>,
    transport: Box<dyn Transport>,
    clock: &dyn Clock,
) -> Result<(Box<dyn Transport>, TlsFacts), UpgradeError> {
    let deadline = clock.now() + HANDSHAKE_TIMEOUT;
    tokio::select! {
        made = shake(side.into(), transport) => made.map_err(|error| match (fault(&error), error.kind()) {
            (Some(fault), _) => UpgradeError::Certificate(fault),
            // The library reports every fault in the records themselves as invalid data.
            (None, std::io::ErrorKind::InvalidData) => UpgradeError::Handshake,
            _ => UpgradeError::ConnectionLost,
        }),
        () = clock.sleep_until(deadline) => Err(UpgradeError::Timeout),
    }
}

/// What is wrong with the peer's certificate, if that is why the handshake failed.
fn fault(error: &std::io::Error) -> Option<CertificateFault> {
    let certificate = match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(error) => error,
        rustls::Error::NoCertificatesPresented => return Some(CertificateFault::Untrusted),
        _ => return None,
    };
    Some(match certificate {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::OtherName
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => CertificateFault::Expired,
        // What our own verifier says of it.
        CertificateError::ApplicationVerificationFailure => CertificateFault::OtherThanTlsa,
        _ => CertificateFault::Untrusted,
    })
}

async fn shake(side: Side, transport: Box<dyn Transport>) -> std::io::Result<(Box<dyn Transport>, TlsFacts)> {
    match side {
        Side::Server(config) => {
            let ems_required = config.require_ems;
            let stream = TlsAcceptor::from(config).accept(transport).await?;
            let connection = stream.get_ref().1;
            let mut facts = facts(connection, ems_required);
            facts.sni = connection.server_name().map(str::to_owned);
            Ok((Box::new(stream), facts))
        }
        Side::Client(config, name) => {
            let ems_required = config.require_ems;
            let stream = TlsConnector::from(config).connect(name, transport).await?;
            let facts = facts(stream.get_ref().1, ems_required);
            Ok((Box::new(stream), facts))
        }
    }
}

fn facts<Data>(connection: &ConnectionCommon<Data>, ems_required: bool) -> TlsFacts {
    let version = connection.protocol_version();
    let version_name = match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLS",
    };
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    let suite = suite.as_ref().and_then(|suite| suite.as_str()).unwrap_or("unknown");
    let mut facts = TlsFacts::new(version_name, iana_name(suite));
    facts.alpn = connection.alpn_protocol().map(<[u8]>::to_vec);
    facts.peer_certificate =
        connection.peer_certificates().and_then(|chain| chain.first()).map(|certificate| certificate.to_vec());
    // RFC 9266 §2: with TLS 1.2 the binding is only sound with the extended master secret, and the library does not tell
    // whether that was agreed on unless the configuration insists on it.
    if version == Some(ProtocolVersion::TLSv1_3) || ems_required {
        // RFC 9266 §2: a context of zero length, which TLS 1.2 tells apart from none.
        facts.exporter = connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).ok();
    }
    facts
}

/// The registered name of a suite; the library calls those of TLS 1.3 `TLS13_...`.
fn iana_name(suite: &str) -> String {
    match suite.strip_prefix("TLS13_") {
        Some(rest) => format!("TLS_{rest}"),
        None => suite.into(),
    }
}
