//! Where a message goes next: the mail exchangers of a domain, in which order and to which of their addresses a client
//! connects, and the routes that an operator sets before all that.
//!
//! ```text
//!   recipient, sender ──▶ RouteTable ──▶ a route of yours (a smart host, LMTP, the disk)
//!                             │ none
//!                             ▼
//!                        Destination ──▶ MxSearch ──▶ Exchangers ──▶ addresses of each ──▶ Attempts ──▶ connect
//!                        (or an address literal)                     (A, AAAA; with DANE: TLSA)
//! ```
//!
//! Nothing here looks up, connects, waits or decides about TLS. [`MxSearch`] is a
//! [`DnsMachine`](pillarbox_core::dns::DnsMachine); the addresses of a host are looked up by the caller, as what belongs to
//! them (TLSA records) depends on the policy.

mod attempts;
mod mx;
mod table;

use core::net::IpAddr;

use pillarbox_core::address::{Domain, DomainKind};
use pillarbox_core::dns::{Name, NameError};

pub use attempts::{AttemptLimits, Attempts, Candidate};
pub use mx::{EXCHANGERS_MAX, Exchanger, Exchangers, MxSearch, NoRoute};
pub use table::{RouteTable, RouteTableError};

/// What the domain of a recipient names (RFC 5321 §2.3.5, §4.1.3).
///
/// ```
/// use pillarbox_core::address::Domain;
/// use pillarbox_smtp::route::Destination;
///
/// assert_eq!(Destination::of(&Domain::parse("Example.ORG")?)?, Destination::Domain("example.org".parse()?));
/// assert_eq!(Destination::of(&Domain::parse("[192.0.2.1]")?)?, Destination::Address([192, 0, 2, 1].into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A domain: its mail exchangers are looked up.
    Domain(Name),
    /// An address: there is nothing to look up (RFC 5321 §5.1 speaks of domain names only).
    Address(IpAddr),
}

impl Destination {
    /// What a domain names.
    ///
    /// # Errors
    ///
    /// Why the DNS cannot be asked for it: among others for a name with characters beyond ASCII, which the caller writes in
    /// A-labels first (RFC 6531 §3.7.4.1 has the look-up done with those).
    pub fn of(domain: &Domain<'_>) -> Result<Self, NameError> {
        Ok(match domain.kind() {
            DomainKind::Ipv4(ip) => Destination::Address(ip.into()),
            DomainKind::Ipv6(ip) => Destination::Address(IpAddr::V6(ip).to_canonical()),
            _ => Destination::Domain(Name::parse(domain.as_str())?),
        })
    }
}
