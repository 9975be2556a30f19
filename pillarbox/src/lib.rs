//! Embeddable mail: plug-in traits, their in-memory versions, and drivers.

pub mod delivery;
#[cfg(feature = "tokio")]
pub mod imap;
#[cfg(feature = "tokio")]
mod login;
#[cfg(feature = "tokio")]
mod net;
pub mod parts;
#[cfg(feature = "passwd")]
pub mod passwd;
#[cfg(feature = "tokio")]
mod shutdown;
#[cfg(feature = "tokio")]
pub mod smtp;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "tokio")]
pub use net::{Listener, PeerLimits, Transport};
#[cfg(feature = "tokio")]
pub use shutdown::Shutdown;

pub use pillarbox_core as mailcore;
pub use pillarbox_imap as imap_proto;
pub use pillarbox_lmtp as lmtp_proto;
pub use pillarbox_smtp as smtp_proto;
