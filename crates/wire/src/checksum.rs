//! The Internet's checksum (RFC 1071).

use std::net::IpAddr;

/// The sum of 16-bit words whose complement is a checksum. 64 bits hold that of any packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes, of which an odd last one counts as if a zero followed. Only the last bytes added may be odd in number.
    pub fn add(&mut self, bytes: &[u8]) {
        let (pairs, last) = bytes.as_chunks::<2>();
        for &pair in pairs {
            self.0 += u64::from(u16::from_be_bytes(pair));
        }
        for &byte in last {
            self.0 += u64::from(byte) << 8;
        }
    }

    /// Adds what upper layers sum of the header of IP: of IPv6 by RFC 8200 §8.1, of IPv4 as TCP does. The layouts differ
    /// and their sums do not. `length` is that of the message, with its own header.
    pub fn add_pseudo_header(&mut self, source: IpAddr, destination: IpAddr, protocol: u8, length: usize) {
        for address in [source, destination] {
            match address {
                IpAddr::V4(address) => self.add(&address.octets()),
                IpAddr::V6(address) => self.add(&address.octets()),
            }
        }
        self.0 += u64::from(protocol) + length as u64;
    }

    /// Whether what was added, its checksum among it, has arrived as it was sent.
    pub fn is_right(self) -> bool {
        self.folded() == 0xffff
    }

    /// The checksum, of bytes in which it stands as zero.
    pub fn checksum(self) -> [u8; 2] {
        (!self.folded()).to_be_bytes()
    }

    fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_rfc_1071() {
        // Its §3: 0001 f203 f4f5 f6f7 sum to ddf2, whose complement is 220d.
        let mut sum = Sum::default();
        sum.add(&[0x00, 0x01, 0xf2, 0x03]);
        sum.add(&[0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.checksum(), [0x22, 0x0d]);
        assert!(!sum.is_right());
        sum.add(&[0x22, 0x0d]);
        assert!(sum.is_right());
    }

    #[test]
    fn an_odd_byte_is_the_upper_half_of_a_word() {
        let mut sum = Sum::default();
        sum.add(&[0x12, 0x34, 0x56]);
        // 1234 + 5600 = 6834.
        assert_eq!(sum.checksum(), [0x97, 0xcb]);
    }

    #[test]
    fn the_pseudo_header_counts_addresses_protocol_and_length() {
        let mut sum = Sum::default();
        sum.add_pseudo_header([10, 9, 0, 1].into(), [224, 0, 0, 18].into(), 112, 12);
        // 0a09 + 0001 + e000 + 0012 + 0070 + 000c = ea98.
        assert_eq!(sum.checksum(), [0x15, 0x67]);
    }
}
