use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network in CIDR notation: an address and how many of its leading bits count.
///
/// An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) is taken as the IPv4 address that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// The part before `/` is no IPv4 or IPv6 address.
    Address,
    /// The part after `/` is no number, or more bits than the address has.
    Prefix,
    /// Bits beyond the prefix are set, so another network or a host was probably meant.
    HostBits,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            NetworkError::Address => "no IPv4 or IPv6 address",
            NetworkError::Prefix => "the prefix is not a number of bits that the address has",
            NetworkError::HostBits => "bits beyond the prefix are set",
        })
    }
}

impl std::error::Error for NetworkError {}

impl Network {
    /// The network of `prefix` bits that `address` begins.
    ///
    /// # Errors
    /// If the prefix is longer than the address, or bits beyond it are set.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Network, NetworkError> {
        let network = Network { address, prefix };
        if prefix > network.width() {
            return Err(NetworkError::Prefix);
        }
        if network.bits(address) & !network.mask() != 0 {
            return Err(NetworkError::HostBits);
        }
        Ok(network)
    }

    /// Whether `address` stands in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.bits(address) & self.mask() == self.bits(self.address)
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits count.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    fn width(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn mask(&self) -> u128 {
        let host_bits = u32::from(self.width() - self.prefix);
        u128::MAX.checked_shl(host_bits).unwrap_or(0)
    }

    fn bits(&self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        }
    }
}

impl From<Ipv4Addr> for Network {
    fn from(address: Ipv4Addr) -> Network {
        Network { address: address.into(), prefix: 32 }
    }
}

impl From<Ipv6Addr> for Network {
    fn from(address: Ipv6Addr) -> Network {
        Network { address: address.into(), prefix: 128 }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| NetworkError::Prefix)?,
            None => whole,
        };
        Network::new(address, prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect(text)
    }

    #[test]
    fn contains_its_own_addresses_and_no_others() {
        let ten = network("10.20.1.0/24");
        assert!(ten.contains("10.20.1.255".parse().expect("an address")));
        assert!(!ten.contains("10.20.2.0".parse().expect("an address")));
        assert!(ten.contains("::ffff:10.20.1.7".parse().expect("an address")));
        assert!(!ten.contains("2001:db8::1".parse().expect("an address")));
        assert!(network("0.0.0.0/0").contains("192.0.2.1".parse().expect("an address")));
        assert!(network("::/0").contains("2001:db8::1".parse().expect("an address")));
        assert!(!network("::/0").contains("192.0.2.1".parse().expect("an address")));
    }

    #[test]
    fn refuses_what_was_probably_not_meant() {
        assert_eq!("10.0.0.1/24".parse::<Network>(), Err(NetworkError::HostBits));
        assert_eq!("10.0.0.0/33".parse::<Network>(), Err(NetworkError::Prefix));
        assert_eq!("10.0.0".parse::<Network>(), Err(NetworkError::Address));
        assert_eq!("2001:db8::/129".parse::<Network>(), Err(NetworkError::Prefix));
    }
}
