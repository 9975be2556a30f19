//! Who makes connections to other servers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tokio::net::{TcpSocket, TcpStream};

use crate::net::Transport;
use crate::parts::BoxFuture;

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// A host: its name, for logs and for whoever knows it by that, and one of its addresses with the port.
    Tcp {
        /// The name.
        host: String,
        /// The address.
        address: SocketAddr,
    },
    /// A socket in the file system.
    Socket(PathBuf),
}

/// Who makes connections to other servers. How long it may take is for the caller to see to.
pub trait Connect: Send + Sync {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Why there is no connection.
    fn dial<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Connected>>;
}

/// A connection that was made.
#[non_exhaustive]
pub struct Connected {
    /// The connection itself.
    pub transport: Box<dyn Transport>,
    /// The address that it comes from, for reports; none where that is not known.
    pub local: Option<IpAddr>,
}

impl Connected {
    /// A connection that comes from an address, if it is known.
    pub fn new(transport: impl Transport + 'static, local: Option<IpAddr>) -> Self {
        Connected { transport: Box::new(transport), local }
    }
}

/// Connects by the network of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpConnect {
    /// The addresses that connections come from, at most one of each family; a family without one takes what the system
    /// gives.
    pub source: Vec<IpAddr>,
}

impl Connect for TcpConnect {
    fn dial<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Connected>> {
        Box::pin(async move {
            let address = match endpoint {
                Endpoint::Tcp { address, .. } => *address,
                #[cfg(unix)]
                Endpoint::Socket(path) => {
                    let stream = tokio::net::UnixStream::connect(path).await?;
                    return Ok(Connected::new(stream, None));
                }
                #[cfg(not(unix))]
                Endpoint::Socket(_) => return Err(io::ErrorKind::Unsupported.into()),
            };
            let source = self.source.iter().find(|source| source.is_ipv4() == address.is_ipv4());
            let stream = match source {
                None => TcpStream::connect(address).await?,
                Some(source) => {
                    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                    socket.bind(SocketAddr::new(*source, 0))?;
                    socket.connect(address).await?
                }
            };
            // Flights are written at once; waiting for more would only delay them.
            stream.set_nodelay(true)?;
            let local = stream.local_addr().ok().map(|local| local.ip());
            Ok(Connected::new(stream, local))
        })
    }
}
