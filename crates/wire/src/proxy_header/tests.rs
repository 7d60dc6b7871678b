use proptest::prelude::*;

use super::*;

const SIGNATURE_LITERAL: [u8; 12] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

fn proxied(source: &str, destination: &str) -> Header {
    Header::Proxied { source: source.parse().expect(source), destination: destination.parse().expect(destination) }
}

/// Version 2 with these bytes behind the signature.
fn block(rest: &[u8]) -> Vec<u8> {
    [&SIGNATURE_LITERAL[..], rest].concat()
}

/// PROXY over TCP of IPv4, from 192.0.2.7:1025 to 198.51.100.9:443, with these additional values.
fn with_values(values: &[u8]) -> Vec<u8> {
    let length = u8::try_from(12 + values.len()).expect("short");
    let fixed = [0x21, 0x11, 0, length, 192, 0, 2, 7, 198, 51, 100, 9, 0x04, 0x01, 0x01, 0xbb];
    block(&[&fixed, values].concat())
}

#[test]
fn the_lines_of_the_specification_are_read() {
    let longest_unknown =
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest_unknown.len(), 107);
    let longest_six =
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    let all_ones = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    let cases = [
        ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", proxied("192.168.0.1:56324", "192.168.0.11:443")),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            proxied("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        (longest_six, proxied(all_ones, all_ones)),
        ("PROXY TCP6 2001:db8::7 ::1 0 80\r\n", proxied("[2001:db8::7]:0", "[::1]:80")),
        ("PROXY UNKNOWN\r\n", Header::Local),
        (longest_unknown, Header::Local),
        ("PROXY UNKNOWN \u{1}whatever\r\n", Header::Local),
    ];
    for (line, header) in cases {
        assert_eq!(parse_header(line.as_bytes()), Ok(Parsed::Whole(header, line.len())), "{line:?}");
        let followed = format!("{line}GET / HTTP/1.1\r\n");
        assert_eq!(parse_header(followed.as_bytes()), Ok(Parsed::Whole(header, line.len())), "{followed:?}");
    }
}

#[test]
fn malformed_lines_are_refused() {
    let cases = [
        ("GET / HTTP/1.1\r\n", HeaderError::Missing),
        ("POST", HeaderError::Missing),
        ("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", HeaderError::Missing),
        (" PROXY UNKNOWN\r\n", HeaderError::Missing),
        ("PROXY\tUNKNOWN\r\n", HeaderError::Missing),
        ("PROXY \r\n", HeaderError::Line),
        ("PROXY UNKNOWNS\r\n", HeaderError::Line),
        ("PROXY TCP4\r\n", HeaderError::Line),
        ("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", HeaderError::Line),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", HeaderError::Line),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", HeaderError::Line),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", HeaderError::Line),
        ("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", HeaderError::Line),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n", HeaderError::Address),
        ("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", HeaderError::Address),
        ("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", HeaderError::Address),
        ("PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", HeaderError::Address),
        ("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", HeaderError::Address),
        ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", HeaderError::Address),
        ("PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", HeaderError::Address),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", HeaderError::Address),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", HeaderError::Address),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", HeaderError::Address),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n", HeaderError::Address),
    ];
    for (line, error) in cases {
        assert_eq!(parse_header(line.as_bytes()), Err(error), "{line:?}");
    }
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 93]].concat();
    assert_eq!(parse_header(&endless), Err(HeaderError::TooLong));
    assert_eq!(parse_header(&endless[..106]), Ok(Parsed::Partial));
}

#[test]
fn blocks_are_read() {
    let four = with_values(&[]);
    assert_eq!(parse_header(&four), Ok(Parsed::Whole(proxied("192.0.2.7:1025", "198.51.100.9:443"), 28)));
    let mut six = vec![0x21, 0x21, 0, 36];
    six.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    six.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    six.extend([0x1f, 0x90, 0, 80]);
    assert_eq!(parse_header(&block(&six)), Ok(Parsed::Whole(proxied("[2001:db8::7]:8080", "[::1]:80"), 52)));
    // A client that came to its relay over UDP has an address too.
    six[1] = 0x22;
    assert_eq!(parse_header(&block(&six)), Ok(Parsed::Whole(proxied("[2001:db8::7]:8080", "[::1]:80"), 52)));

    let unix = block(&[&[0x21, 0x31, 0, 216][..], &[b'/'; 216]].concat());
    let local: [(Vec<u8>, usize); 5] = [
        (block(&[0x20, 0x00, 0, 0]), 16),
        (block(&[0x20, 0x11, 0, 2, 1, 2]), 18),
        (block(&[0x21, 0x00, 0, 0]), 16),
        (block(&[0x21, 0x00, 0, 3, 9, 9, 9]), 19),
        (unix, 232),
    ];
    for (bytes, length) in local {
        assert_eq!(parse_header(&bytes), Ok(Parsed::Whole(Header::Local, length)), "{bytes:02x?}");
        let followed = [&bytes[..], b"GET"].concat();
        assert_eq!(parse_header(&followed), Ok(Parsed::Whole(Header::Local, length)), "{bytes:02x?}");
    }
}

#[test]
fn malformed_blocks_are_refused() {
    let cases = [
        (block(&[0x11, 0x11, 0, 12]), HeaderError::Version),
        (block(&[0x31, 0x11, 0, 12]), HeaderError::Version),
        (block(&[0x22, 0x11, 0, 12]), HeaderError::Command),
        (block(&[0x2f, 0x11, 0, 12]), HeaderError::Command),
        (block(&[0x21, 0x41, 0, 12]), HeaderError::Family),
        (block(&[0x21, 0x13, 0, 12]), HeaderError::Family),
        (block(&[0x21, 0x11, 0x0f, 0xf1]), HeaderError::TooLong),
        (block(&[0x20, 0x00, 0xff, 0xff]), HeaderError::TooLong),
        (block(&[&[0x21, 0x11, 0, 11][..], &[0; 11]].concat()), HeaderError::Length),
        (block(&[&[0x21, 0x21, 0, 35][..], &[0; 35]].concat()), HeaderError::Length),
        (block(&[&[0x21, 0x21, 0, 12][..], &[0; 12]].concat()), HeaderError::Length),
        (block(&[&[0x21, 0x31, 0, 215][..], &[0; 215]].concat()), HeaderError::Length),
        (with_values(&[0x04]), HeaderError::Length),
        (with_values(&[0x04, 0, 1]), HeaderError::Length),
        (with_values(&[0x04, 0, 0, 0x04, 0xff, 0xff]), HeaderError::Length),
        (with_values(&[0x03, 0, 2, 0, 0]), HeaderError::Length),
        (with_values(&[0x03, 0, 4, 0, 0, 0, 0]), HeaderError::Checksum),
        (b"\r\n\r\n\0\r\nQUIX".to_vec(), HeaderError::Missing),
        (b"\r\n\r\nGET / HTTP/1.1".to_vec(), HeaderError::Missing),
    ];
    for (bytes, error) in cases {
        assert_eq!(parse_header(&bytes), Err(error), "{bytes:02x?}");
    }
    // The longest that is read: 16 and 4080 bytes.
    assert_eq!(parse_header(&block(&[0x20, 0x00, 0x0f, 0xf0])), Ok(Parsed::Partial));
}

#[test]
fn the_checksum_is_castagnolis() {
    // RFC 3720, appendix B.4.
    assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
    assert_eq!(crc32c([0xff; 32].into_iter()), 0x62a8_ab43);
    assert_eq!(crc32c(0..32), 0x46dd_794e);
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
}

#[test]
fn additional_values_are_passed_over_and_the_checksum_compared() {
    let header = proxied("192.0.2.7:1025", "198.51.100.9:443");
    // PP2_TYPE_ALPN "h2" and PP2_TYPE_NOOP.
    let plain = with_values(&[0x01, 0, 2, b'h', b'2', 0x04, 0, 0]);
    assert_eq!(parse_header(&plain), Ok(Parsed::Whole(header, plain.len())));
    let mut summed = with_values(&[0x04, 0, 1, 9, 0x03, 0, 4, 0, 0, 0, 0, 0x04, 0, 0]);
    let place = summed.len() - 7;
    let sum = crc32c(summed.iter().copied()).to_be_bytes();
    summed[place..place + 4].copy_from_slice(&sum);
    assert_eq!(parse_header(&summed), Ok(Parsed::Whole(header, summed.len())));
    for wrong in (FIXED..summed.len() - 3).filter(|at| ![28, 29, 30, 32, 33, 34].contains(at)) {
        let mut bytes = summed.clone();
        bytes[wrong] ^= 1;
        assert_eq!(parse_header(&bytes), Err(HeaderError::Checksum), "byte {wrong}");
    }
    // What follows the checksum must be whole as well.
    *summed.last_mut().expect("not empty") = 1;
    assert_eq!(parse_header(&summed), Err(HeaderError::Checksum));
    let sum_place = place..place + 4;
    summed[sum_place.clone()].fill(0);
    let sum = crc32c(summed.iter().copied()).to_be_bytes();
    summed[sum_place].copy_from_slice(&sum);
    assert_eq!(parse_header(&summed), Err(HeaderError::Length));
}

#[test]
fn headers_are_written() {
    let written = |version, header| {
        let mut out = Vec::new();
        write_header(&mut out, version, header);
        out
    };
    let four = proxied("192.0.2.7:1025", "198.51.100.9:443");
    assert_eq!(written(Version::V1, four), b"PROXY TCP4 192.0.2.7 198.51.100.9 1025 443\r\n");
    assert_eq!(written(Version::V2, four), with_values(&[]));
    let mapped = proxied("[::ffff:192.0.2.7]:1025", "[::ffff:198.51.100.9]:443");
    assert_eq!(written(Version::V1, mapped), b"PROXY TCP4 192.0.2.7 198.51.100.9 1025 443\r\n");
    assert_eq!(written(Version::V2, mapped), with_values(&[]));
    let six = proxied("[2001:db8::7]:8080", "[::1]:80");
    assert_eq!(written(Version::V1, six), b"PROXY TCP6 2001:db8::7 ::1 8080 80\r\n");
    let mixed = proxied("192.0.2.7:1", "[2001:db8::1]:80");
    assert_eq!(written(Version::V1, mixed), b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 80\r\n");
    let block_of_six = written(Version::V2, six);
    assert_eq!(block_of_six[..18], block(&[0x21, 0x21, 0, 36, 0x20, 0x01]));
    assert_eq!(block_of_six[48..], [0x1f, 0x90, 0, 80]);
    assert_eq!(written(Version::V1, Header::Local), b"PROXY UNKNOWN\r\n");
    assert_eq!(written(Version::V2, Header::Local), block(&[0x20, 0x00, 0, 0]));
}

#[test]
fn reasons_are_distinct() {
    let mut words = HeaderError::ALL.map(HeaderError::reason).to_vec();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), HeaderError::ALL.len());
}

fn any_header() -> impl Strategy<Value = Header> {
    let four = (any::<[Ipv4Addr; 2]>(), any::<[u16; 2]>()).prop_map(|(addresses, ports)| {
        let [source, destination] = [0, 1].map(|at| SocketAddr::new(addresses[at].into(), ports[at]));
        Header::Proxied { source, destination }
    });
    let six = (any::<[Ipv6Addr; 2]>(), any::<[u16; 2]>()).prop_map(|(addresses, ports)| {
        // 2000::/3, where no address stands for one of IPv4.
        let six = |at: usize| Ipv6Addr::from(u128::from(addresses[at]) >> 3 | 1 << 125);
        let [source, destination] = [0, 1].map(|at| SocketAddr::new(six(at).into(), ports[at]));
        Header::Proxied { source, destination }
    });
    prop_oneof![four, six, Just(Header::Local)]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        header in any_header(), v2 in any::<bool>(), behind in proptest::collection::vec(any::<u8>(), 0..40)
    ) {
        let mut bytes = Vec::new();
        write_header(&mut bytes, if v2 { Version::V2 } else { Version::V1 }, header);
        let length = bytes.len();
        for part in 0..length {
            prop_assert_eq!(parse_header(&bytes[..part]), Ok(Parsed::Partial));
        }
        bytes.extend(behind);
        prop_assert_eq!(parse_header(&bytes), Ok(Parsed::Whole(header, length)));
    }

    #[test]
    fn no_bytes_panic_and_more_of_them_change_no_verdict(
        start in prop_oneof![Just(&b"PROXY "[..]), Just(&SIGNATURE_LITERAL[..]), Just(&b""[..])],
        rest in proptest::collection::vec(any::<u8>(), 0..300),
        cut in any::<proptest::sample::Index>(),
    ) {
        let bytes = [start, &rest].concat();
        let part = &bytes[..cut.index(bytes.len() + 1)];
        match parse_header(part) {
            Ok(Parsed::Partial) => {}
            verdict => prop_assert_eq!(verdict, parse_header(&bytes)),
        }
    }
}
