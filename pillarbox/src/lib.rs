//! Embeddable mail: plug-in traits, their in-memory versions, and drivers.

#[cfg(feature = "tokio")]
mod login;
#[cfg(feature = "tokio")]
mod net;
pub mod parts;
#[cfg(feature = "tokio")]
mod shutdown;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "tokio")]
pub use net::{Listener, PeerLimits, Transport};
#[cfg(feature = "tokio")]
pub use shutdown::Shutdown;
