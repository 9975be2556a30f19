//! Networks of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address, or all that share its first bits.
///
/// ```
/// use pillarbox::Network;
///
/// let network: Network = "192.0.2.0/24".parse()?;
/// assert!(network.contains("192.0.2.7".parse().unwrap()));
/// assert!(network.contains("::ffff:192.0.2.7".parse().unwrap()), "it is the same address");
/// assert!("192.0.2.1/24".parse::<Network>().is_err(), "bits are set that the network does not have");
/// # Ok::<(), pillarbox::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// What is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 192.0.2.0/24 or 2001:db8::/32")]
pub struct NetworkError(String);

impl Network {
    /// The network whose addresses share the first `prefix` bits of `first`; `None` if there are not so many, or others are
    /// set.
    pub fn new(first: IpAddr, prefix: u8) -> Option<Self> {
        let network = Network { first, prefix };
        (u32::from(prefix) <= bits(first) && start_of(first, prefix) == first).then_some(network)
    }

    /// The network of this many bits that an address is in.
    pub(crate) fn around(ip: IpAddr, prefix: u8) -> Self {
        let ip = ip.to_canonical();
        Network { first: start_of(ip, prefix), prefix }
    }

    /// How many bits its addresses share.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the address is in it. One of IPv4 that came as `::ffff:192.0.2.7` counts as such.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.first.is_ipv4() && start_of(ip, self.prefix) == self.first
    }
}

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Network { first: ip, prefix: if ip.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let network = match text.split_once('/') {
            None => text.parse().ok().map(|ip: IpAddr| Network::from(ip)),
            Some((first, prefix)) => {
                let prefix = prefix.bytes().all(|digit| digit.is_ascii_digit()).then(|| prefix.parse().ok()).flatten();
                first.parse().ok().zip(prefix).and_then(|(first, prefix)| Network::new(first, prefix))
            }
        };
        network.ok_or_else(|| NetworkError(text.into()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::from(self.prefix) == bits(self.first) {
            true => self.first.fmt(f),
            false => write!(f, "{}/{}", self.first, self.prefix),
        }
    }
}

const fn bits(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The address with all bits behind the prefix cleared.
fn start_of(ip: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for text in ["192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0", "::1"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for text in ["", "a.example", "192.0.2.0/33", "192.0.2.1/24", "192.0.2.0/+8", "192.0.2.0/", "::/129", "1/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn members() {
        let within = |network: &str, ip: &str| network.parse::<Network>().unwrap().contains(ip.parse().unwrap());
        assert!(within("192.0.2.128/25", "192.0.2.200") && !within("192.0.2.128/25", "192.0.2.100"));
        assert!(within("2001:db8::/32", "2001:db8:1::7") && !within("2001:db8::/32", "2001:db9::7"));
        assert!(within("0.0.0.0/0", "192.0.2.1") && !within("0.0.0.0/0", "::1") && !within("::/0", "192.0.2.1"));
        assert!(within("192.0.2.7", "::ffff:192.0.2.7"));
        assert_eq!(Network::around("2001:db8:1:2:3::".parse().unwrap(), 48).to_string(), "2001:db8:1::/48");
    }
}
