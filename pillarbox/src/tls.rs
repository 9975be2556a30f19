//! TLS under a session: the handshake and what it told.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::{TlsFacts, UpgradeError};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConnectionCommon, ProtocolVersion, ServerConfig};
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

/// Makes our side of the handshake on a connection. On failure the connection is gone: nobody goes back to clear text.
pub(crate) async fn handshake(
    side: impl Into<Side>,
    transport: Box<dyn Transport>,
    clock: &dyn Clock,
) -> Result<(Box<dyn Transport>, TlsFacts), UpgradeError> {
    let deadline = clock.now() + HANDSHAKE_TIMEOUT;
    tokio::select! {
        made = shake(side.into(), transport) => made.map_err(|error| match error.kind() {
            // The library reports every fault in the records themselves as invalid data.
            std::io::ErrorKind::InvalidData => UpgradeError::Handshake,
            _ => UpgradeError::ConnectionLost,
        }),
        () = clock.sleep_until(deadline) => Err(UpgradeError::Timeout),
    }
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
