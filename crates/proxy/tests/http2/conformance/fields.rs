//! RFC 7541: how fields are packed.

use super::*;
use crate::raw::code::COMPRESSION_ERROR;

fn with(field: &[u8]) -> Vec<u8> {
    [OWN, field].concat()
}

fn unpacked() -> Vec<End> {
    connection(COMPRESSION_ERROR)
}

#[test]
fn fields_come_in_every_form_that_there_is() {
    // "user-agent" is the 58th of the static table; "a" is 00011 in Huffman's code, padded with ones to 0x1f.
    let cases: [(&'static str, &[u8]); 16] = [
        ("RFC 7541 6.1: of the static table", b"\xba"),
        ("RFC 7541 6.2.1: indexed, its name in the table", b"\x7a\x01a"),
        ("RFC 7541 6.2.1: the same in Huffman's code", b"\x7a\x81\x1f"),
        ("RFC 7541 6.2.1: indexed, a new name", b"\x40\x01a\x01b"),
        ("RFC 7541 6.2.1: the same in Huffman's code", b"\x40\x81\x1f\x81\x1f"),
        ("RFC 7541 6.2.2: not indexed, its name in the table", b"\x0f\x2b\x01a"),
        ("RFC 7541 6.2.2: the same in Huffman's code", b"\x0f\x2b\x81\x1f"),
        ("RFC 7541 6.2.2: not indexed, a new name", b"\0\x01a\x01b"),
        ("RFC 7541 6.2.2: the same in Huffman's code", b"\0\x81\x1f\x81\x1f"),
        ("RFC 7541 6.2.3: never indexed, its name in the table", b"\x1f\x2b\x01a"),
        ("RFC 7541 6.2.3: the same in Huffman's code", b"\x1f\x2b\x81\x1f"),
        ("RFC 7541 6.2.3: never indexed, a new name", b"\x10\x01a\x01b"),
        ("RFC 7541 6.2.3: the same in Huffman's code", b"\x10\x81\x1f\x81\x1f"),
        ("RFC 7541 6.1: of the dynamic table", b"\x40\x01a\x01b\xbe"),
        ("RFC 7541 6.2: a name of the dynamic table", b"\x40\x01a\x01b\x0f\x2f\x01c"),
        ("RFC 7541 5.2: an empty value", b"\0\x01a\0"),
    ];
    let cases: Vec<Case> =
        cases.into_iter().map(|(name, field)| sends(name, &[&request(1, &with(field))], answered(1))).collect();
    hold(&cases);
}

#[test]
fn the_dynamic_table_is_as_large_as_is_said() {
    let first = request(1, &with(b"\x40\x01a\x01b"));
    let again =
        |name, block: Vec<u8>, ends| case(name, [send(&[&first]), Step::Ended(1), send(&[&request(3, &block)])], ends);
    let before = |update: &[u8], field: &[u8]| [update, OWN, field].concat();
    hold(&[
        again("RFC 7541 2.3.2: it lasts", with(b"\xbe"), answered(3)),
        again("RFC 7541 4.3: an update to nothing empties it", before(b"\x20", b"\xbe"), unpacked()),
        again("RFC 7541 4.2: to nothing and back", before(b"\x20\x3f\xe1\x1f", b"\x40\x01c\x01d\xbe"), answered(3)),
        sends("RFC 7541 6.3: an update at the beginning", &[&request(1, &before(b"\x20", b""))], answered(1)),
        sends("RFC 7541 6.3: to what was announced", &[&request(1, &before(b"\x3f\xe1\x1f", b""))], answered(1)),
        sends("RFC 7541 6.3: to one byte more", &[&request(1, &before(b"\x3f\xe2\x1f", b""))], unpacked()),
        sends("RFC 7541 4.2: at the end", &[&request(1, &with(b"\x20"))], unpacked()),
        sends(
            "RFC 7541 4.4: a field larger than the table empties it",
            &[&request(1, &[b"\x3f\x01", OWN, b"\x40\x01a\x01b\xbe"].concat())],
            unpacked(),
        ),
    ]);
}

#[test]
fn what_cannot_be_unpacked_ends_the_connection() {
    let cases: [(&'static str, &[u8]); 14] = [
        ("RFC 7541 2.3.3: an index beyond both tables", b"\xbe"),
        ("RFC 7541 2.3.3: a far one", b"\xff\x80\x01"),
        ("RFC 7541 2.3.3: a name's index beyond both tables", b"\x7e\x01a"),
        ("RFC 7541 6.1: index 0", b"\x80"),
        ("RFC 7541 5.1: a number beyond all measure", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("RFC 7541 5.1: a number without its end", b"\xff\x80"),
        ("RFC 7541 5.2: a name longer than the block", b"\0\x05ab"),
        ("RFC 7541 5.2: a value longer than the block", b"\0\x01a\x05ab"),
        ("RFC 7541 5.2: a length beyond all measure", b"\0\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("RFC 7541 5.2: padding of a byte", b"\0\x01a\x82\x1f\xff"),
        ("RFC 7541 5.2: padding of zeros", b"\0\x01a\x81\x18"),
        ("RFC 7541 5.2: the code's end within", b"\0\x01a\x84\xff\xff\xff\xff"),
        ("RFC 7541 6.2: a field without a value", b"\0\x01a"),
        ("RFC 7541 6.2: a field without a name", b"\x40"),
    ];
    let cases: Vec<Case> =
        cases.into_iter().map(|(name, field)| sends(name, &[&request(1, &with(field))], unpacked())).collect();
    hold(&cases);
}

/// RFC 7541, appendix C.3 and C.4: three requests on one connection, without and with Huffman's code.
#[test]
fn the_standards_own_examples_mean_what_it_says() {
    let plain: [&[u8]; 3] = [
        b"\x82\x86\x84\x41\x0fwww.example.com",
        b"\x82\x86\x84\xbe\x58\x08no-cache",
        b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
    ];
    let huffman: [&[u8]; 3] = [
        b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
        b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf",
        b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
    ];
    let says = [
        ("GET / HTTP/1.1\r\n", "Host: www.example.com\r\n"),
        ("Host: www.example.com\r\n", "cache-control: no-cache\r\n"),
        ("GET /index.html HTTP/1.1\r\nHost: www.example.com\r\n", "custom-key: custom-value\r\n"),
    ];
    let site = site(server::start());
    for blocks in [plain, huffman] {
        let mut raw = Raw::connect(site.address);
        for ((block, stream), (first, second)) in blocks.into_iter().zip([1, 3, 5]).zip(says) {
            raw.send(&request(stream, block));
            let mut body = Vec::new();
            loop {
                let came = raw.wait_for(|came| came.stream == stream && came.kind == kind::DATA);
                body.extend_from_slice(&came.payload);
                if came.ends_stream() {
                    break;
                }
            }
            let text = String::from_utf8(body).unwrap();
            assert!(text.contains(first) && text.contains(second), "{text}");
        }
    }
}
