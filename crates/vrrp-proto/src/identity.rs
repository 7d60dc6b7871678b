use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The number of VRRP among the protocols of IP (RFC 9568 §5.1.1.4, §5.1.2.4).
pub const PROTOCOL_NUMBER: u8 = 112;

/// The time to live, or hop limit, of every advert: one that has passed a router has less (RFC 9568 §5.1.1.3, §5.1.2.3).
pub const TTL: u8 = 255;

/// The family of a virtual router's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// Where adverts go unless they are unicast (RFC 9568 §5.1.1.2, §5.1.2.2).
pub const fn multicast_group(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
    }
}

/// The hardware address that moves with the addresses (RFC 9568 §7.3).
pub const fn virtual_mac(family: Family, vrid: Vrid) -> [u8; 6] {
    let block = match family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    [0x00, 0x00, 0x5e, 0x00, block, vrid.get()]
}

/// A virtual router's number on its network, 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(u8);

impl Vrid {
    /// `None` for 0.
    pub const fn new(number: u8) -> Option<Vrid> {
        if number == 0 { None } else { Some(Vrid(number)) }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Who is to be active: the highest (RFC 9568 §5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// Of an advert only: the sender is active no more.
    pub const LEAVING: Priority = Priority(0);
    /// Of a router that cannot serve, and stands by for the case that nobody can. Whoever has more takes the addresses
    /// from it at once, also without [`crate::Preempt`].
    pub const LAST_RESORT: Priority = Priority(1);
    /// What one has that names none.
    pub const DEFAULT: Priority = Priority(100);
    /// The highest that is no owner's.
    pub const HIGHEST: Priority = Priority(254);
    /// Of the router whose own addresses these are.
    pub const OWNER: Priority = Priority(255);

    /// Any value that an advert can have.
    pub const fn from_wire(value: u8) -> Priority {
        Priority(value)
    }

    /// A router's own: `None` for 0.
    pub const fn new(value: u8) -> Option<Priority> {
        if value == 0 { None } else { Some(Priority(value)) }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The interval between adverts of version 3: 10 ms to 40.95 s, in 12 bits (RFC 9568 §5.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Centiseconds(u16);

impl Centiseconds {
    /// The longest.
    pub const MAX: Centiseconds = Centiseconds(0xfff);

    /// `None` for 0 and for more than 4095.
    pub const fn new(value: u16) -> Option<Centiseconds> {
        if value == 0 || value > Centiseconds::MAX.0 { None } else { Some(Centiseconds(value)) }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// What adverts of version 2 may carry in the clear (RFC 2338 §5.3.10). It keeps mistakes out, not attackers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password([u8; 8]);

impl Password {
    /// `None` for more than eight bytes; a shorter one is filled with zeros.
    pub fn new(text: &[u8]) -> Option<Password> {
        let mut bytes = [0; 8];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Password(bytes))
    }

    /// As they are sent.
    pub const fn bytes(&self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Debug for Password {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_standard_numbers() {
        let vrid = Vrid::new(51).unwrap();
        assert_eq!(virtual_mac(Family::V4, vrid), [0x00, 0x00, 0x5e, 0x00, 0x01, 0x33]);
        assert_eq!(virtual_mac(Family::V6, vrid), [0x00, 0x00, 0x5e, 0x00, 0x02, 0x33]);
        assert_eq!(multicast_group(Family::V4).to_string(), "224.0.0.18");
        assert_eq!(multicast_group(Family::V6).to_string(), "ff02::12");
    }

    #[test]
    fn numbers_end_where_their_fields_do() {
        assert_eq!((Vrid::new(0), Vrid::new(255).map(Vrid::get)), (None, Some(255)));
        assert_eq!((Priority::new(0), Priority::new(255)), (None, Some(Priority::OWNER)));
        assert_eq!(Centiseconds::new(0), None);
        assert_eq!(Centiseconds::new(4095), Some(Centiseconds::MAX));
        assert_eq!(Centiseconds::new(4096), None);
    }

    #[test]
    fn a_password_is_eight_bytes_and_not_told() {
        assert_eq!(Password::new(b"s3cret").unwrap().bytes(), *b"s3cret\0\0");
        assert_eq!(Password::new(b"12345678").unwrap().bytes(), *b"12345678");
        assert_eq!(Password::new(b"123456789"), None);
        assert_eq!(format!("{:?}", Password::new(b"s3cret")), "Some(Password)");
    }
}
