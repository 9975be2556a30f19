//! Connections that we make: what the clients of all protocols share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::{Layer, Machine, TlsFacts, UpgradeError};
use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};

use super::{Lost, Transport, Wire};
use crate::parts::Clock;

/// How long it may take to connect, over all addresses of a host.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// TLS towards a server: with whom, and when. Made with the feature `tls`.
#[derive(Clone, Debug)]
pub struct ClientTls {
    #[cfg(feature = "tls")]
    config: Arc<rustls::ClientConfig>,
    #[cfg(feature = "tls")]
    server_name: rustls::pki_types::ServerName<'static>,
    /// The connection begins with TLS.
    #[cfg(feature = "tls")]
    is_implicit: bool,
    #[cfg(not(feature = "tls"))]
    never: std::convert::Infallible,
}

#[cfg(feature = "tls")]
impl ClientTls {
    /// TLS by STARTTLS, as the configuration of the session says. `server_name` is what the server's certificate has to be for.
    pub const fn starttls(
        config: Arc<rustls::ClientConfig>,
        server_name: rustls::pki_types::ServerName<'static>,
    ) -> Self {
        ClientTls { config, server_name, is_implicit: false }
    }

    /// TLS from the first octet (RFC 8314 §3).
    pub const fn implicit(
        config: Arc<rustls::ClientConfig>,
        server_name: rustls::pki_types::ServerName<'static>,
    ) -> Self {
        ClientTls { config, server_name, is_implicit: true }
    }

    fn side(&self) -> crate::tls::Side {
        crate::tls::Side::Client(Arc::clone(&self.config), self.server_name.clone())
    }
}

/// A connection over TCP to one of the addresses that `allow` lets pass.
pub(crate) async fn dial<E>(
    address: impl ToSocketAddrs,
    clock: &dyn Clock,
    allow: impl FnOnce(&[SocketAddr]) -> Result<(), E>,
    failed: impl Fn(std::io::Error) -> E,
) -> Result<TcpStream, E> {
    let connected = async {
        let addresses: Vec<SocketAddr> = lookup_host(address).await.map_err(&failed)?.collect();
        allow(&addresses)?;
        TcpStream::connect(&addresses[..]).await.map_err(&failed)
    };
    let stream = tokio::select! {
        stream = connected => stream?,
        () = clock.sleep_until(clock.now() + CONNECT_TIMEOUT) => return Err(failed(std::io::ErrorKind::TimedOut.into())),
    };
    // What is said is written at once; waiting for more would only delay it.
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// Begins with TLS, if that is how the connection begins.
#[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "only a handshake runs by the clock"))]
pub(crate) async fn begin(
    tls: Option<&ClientTls>,
    transport: Box<dyn Transport>,
    clock: &dyn Clock,
) -> Result<(Box<dyn Transport>, Option<TlsFacts>), UpgradeError> {
    match tls {
        #[cfg(feature = "tls")]
        Some(tls) if tls.is_implicit => {
            let (transport, facts) = crate::tls::handshake(tls.side(), transport, clock).await?;
            Ok((transport, Some(facts)))
        }
        #[cfg(not(feature = "tls"))]
        Some(tls) => match tls.never {},
        _ => Ok((transport, None)),
    }
}

/// The layer that a session has asked for; where there is nothing to make it with the session is told so.
pub(crate) async fn upgrade<M: Machine>(wire: &mut Wire<M>, layer: Layer, tls: Option<&ClientTls>) -> Result<(), Lost> {
    match (layer, tls) {
        #[cfg(feature = "tls")]
        (Layer::Tls, Some(tls)) => wire.start_tls(tls.side()).await,
        #[cfg(feature = "compress")]
        (Layer::Deflate, _) => wire.start_deflate().await,
        _ => {
            let now = wire.now();
            wire.machine.upgrade_failed(now, UpgradeError::Handshake);
            Ok(())
        }
    }
}

/// What a login is proved with.
pub(crate) fn proofs() -> Arc<dyn pillarbox_core::crypto::Crypto> {
    #[cfg(feature = "cram-md5")]
    let crypto = crate::crypto::WithMd5(crate::crypto::RingCrypto);
    #[cfg(not(feature = "cram-md5"))]
    let crypto = crate::crypto::RingCrypto;
    Arc::new(crypto)
}
