use proptest::prelude::*;

use super::*;

/// Names and values.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads what a request begins with, as the specification's §3.3 and §3.4 say: apart from the writer.
fn decode(mut bytes: &[u8]) -> (Vec<u8>, Pairs) {
    let mut begin = Vec::new();
    let mut stream = Vec::new();
    let mut ended = false;
    while !bytes.is_empty() {
        assert!(!ended, "nothing follows the end of the parameters");
        assert_eq!((bytes[0], bytes[2], bytes[3], bytes[6]), (1, 0, 1, 0));
        let length = usize::from(bytes[4]) * 256 + usize::from(bytes[5]);
        let content = &bytes[8..8 + length];
        match bytes[1] {
            1 => begin = content.to_vec(),
            4 if length == 0 => ended = true,
            4 => stream.extend_from_slice(content),
            other => panic!("a record of type {other}"),
        }
        bytes = &bytes[8 + length..];
    }
    assert!(ended, "parameters end with an empty record");
    let mut rest = stream.as_slice();
    let mut params = Vec::new();
    while !rest.is_empty() {
        let mut length = || match rest[0] {
            short @ 0..=127 => {
                rest = &rest[1..];
                usize::from(short)
            }
            first => {
                let length = [first & 127, rest[1], rest[2], rest[3]];
                rest = &rest[4..];
                u32::from_be_bytes(length) as usize
            }
        };
        let (name, value) = (length(), length());
        params.push((rest[..name].to_vec(), rest[name..name + value].to_vec()));
        rest = &rest[name + value..];
    }
    (begin, params)
}

#[test]
fn a_request_begins_as_the_specification_has_it() {
    // FastCGI 1.0 §3.4, Appendix B: {BEGIN, 1, {RESPONDER, 0}}, {PARAMS, 1, "\013\002SERVER_PORT80"}, {PARAMS, 1, ""}.
    let mut out = Vec::new();
    let mut params = Params::begin(&mut out, false);
    params.add(b"SERVER_PORT", b"80");
    params.end();
    let expected = [
        b"\x01\x01\x00\x01\x00\x08\x00\x00".as_slice(),
        b"\x00\x01\x00\x00\x00\x00\x00\x00",
        b"\x01\x04\x00\x01\x00\x0f\x00\x00\x0b\x02SERVER_PORT80",
        b"\x01\x04\x00\x01\x00\x00\x00\x00",
    ];
    assert_eq!(out, expected.concat());

    let mut kept = Vec::new();
    Params::begin(&mut kept, true).end();
    assert_eq!(kept[8..16], [0, 1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(kept[16..], [1, 4, 0, 1, 0, 0, 0, 0]);
}

#[test]
fn lengths_of_128_and_more_take_four_bytes() {
    for (length, prefix) in [(127, vec![1, 127]), (128, vec![1, 0x80, 0, 0, 128]), (300, vec![1, 0x80, 0, 1, 44])] {
        let mut out = Vec::new();
        let mut params = Params::begin(&mut out, false);
        params.add(b"A", &vec![b'x'; length]);
        params.end();
        assert_eq!(out[24..24 + prefix.len()], prefix);
    }
}

#[test]
fn fields_are_named_as_cgi_names_them() {
    let mut out = Vec::new();
    let mut params = Params::begin(&mut out, false);
    params.add_field(b"x-Forwarded-for", b"::1");
    params.add_joined(b"PATH_TRANSLATED", &[b"/srv", b"/a"]);
    params.end();
    let (_, params) = decode(&out);
    let expected = [("HTTP_X_FORWARDED_FOR", "::1"), ("PATH_TRANSLATED", "/srv/a")];
    assert_eq!(params, expected.map(|(name, value)| (name.into(), value.into())));
}

#[test]
fn what_fills_a_record_by_a_byte_more_goes_on_in_the_next() {
    // A name of one byte and a long value: 1 + 4 + 1 bytes before it.
    for (value, records) in [(65529, vec![65535, 0]), (65530, vec![65535, 1, 0]), (131_100, vec![65535, 65535, 36, 0])]
    {
        let mut out = Vec::new();
        let mut params = Params::begin(&mut out, false);
        params.add(b"A", &vec![b'x'; value]);
        params.end();
        let mut lengths = Vec::new();
        let mut at = 16;
        while at < out.len() {
            lengths.push(usize::from(out[at + 4]) * 256 + usize::from(out[at + 5]));
            at += 8 + lengths[lengths.len() - 1];
        }
        assert_eq!(lengths, records);
        assert_eq!(decode(&out).1, [(b"A".to_vec(), vec![b'x'; value])]);
    }
}

#[test]
fn a_chain_of_twenty_certificates_goes_through() {
    let chain = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".repeat(20 * 60);
    assert!(chain.len() > CONTENT_MAX);
    let mut out = Vec::new();
    let mut params = Params::begin(&mut out, true);
    params.add(b"SSL_CLIENT_CERT", chain.as_bytes());
    params.add(b"REMOTE_USER", b"node1");
    params.end();
    let expected =
        vec![(b"SSL_CLIENT_CERT".to_vec(), chain.into_bytes()), (b"REMOTE_USER".to_vec(), b"node1".to_vec())];
    assert_eq!(decode(&out).1, expected);
}

proptest! {
    #[test]
    fn what_is_written_is_what_another_reads(
        list in proptest::collection::vec(("[A-Z_]{0,200}", 0_usize..70_000), 0..8),
        fields in proptest::collection::vec("[a-z]{1,150}", 0..8),
    ) {
        let mut out = Vec::new();
        let mut params = Params::begin(&mut out, false);
        let mut expected = Vec::new();
        for (name, length) in list {
            let value = vec![b'v'; length];
            params.add(name.as_bytes(), &value);
            expected.push((name.into_bytes(), value));
        }
        for name in fields {
            params.add_field(name.as_bytes(), b"");
            expected.push((format!("HTTP_{}", name.to_uppercase()).into_bytes(), Vec::new()));
        }
        params.end();
        prop_assert_eq!(decode(&out).1, expected);
    }
}
