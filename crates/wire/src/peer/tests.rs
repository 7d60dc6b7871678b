use proptest::prelude::*;

use super::*;

const HELLO_OF_TWO: &[u8] = b"\0\x29\x01PPST\x01\x02d1\0\x02\
    \x03api\0\0\0\0\x07\x08\
    \x03app\x01\x0aJSESSIONID\0\0\x0e\x10";

fn two_tables() -> Hello<'static> {
    let api = Table { name: "api", kind: TableKind::Source, ttl: 1800 };
    let app = Table { name: "app", kind: TableKind::Cookie("JSESSIONID"), ttl: 3600 };
    Hello { name: "d1", tables: vec![api, app] }
}

fn whole(bytes: &[u8]) -> Frame<'_> {
    match parse_frame(bytes) {
        Ok(Parsed::Whole(frame, length)) if length == bytes.len() => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hello_is_written_as_the_module_says() {
    let mut out = Vec::new();
    write_hello(&mut out, &two_tables());
    assert_eq!(out, HELLO_OF_TWO);
    assert_eq!(whole(HELLO_OF_TWO), Frame::Hello(two_tables()));
}

#[test]
fn entries_are_written_as_the_module_says() {
    let entries = [Entry { key: 0x0102_0304_0506_0708, name: 0x0a0b_0c0d, age: 90 }, Entry { key: 1, name: 2, age: 3 }];
    let mut out = Vec::new();
    assert_eq!(write_entries(&mut out, 5, entries.into_iter()), 2);
    let expected = b"\0\x23\x02\0\x05\
        \x01\x02\x03\x04\x05\x06\x07\x08\x0a\x0b\x0c\x0d\0\0\0\x5a\
        \0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x03";
    assert_eq!(out, expected);
    let Frame::Entries(read) = whole(expected) else { panic!() };
    assert_eq!((read.table, read.iter().collect::<Vec<_>>()), (5, entries.to_vec()));
}

#[test]
fn the_short_frames() {
    let mut out = Vec::new();
    write_dumped(&mut out);
    write_heartbeat(&mut out);
    assert_eq!(out, b"\0\x01\x03\0\x01\x04");
    assert_eq!(parse_frame(&out), Ok(Parsed::Whole(Frame::Dumped, 3)));
    assert_eq!(whole(&out[3..]), Frame::Heartbeat);
}

#[test]
fn a_frame_takes_no_more_entries_than_it_may_have() {
    let entry = Entry { key: 1, name: 2, age: 3 };
    let mut out = Vec::new();
    assert_eq!(write_entries(&mut out, 0, std::iter::repeat_n(entry, ENTRIES_MAX + 1)), ENTRIES_MAX);
    assert_eq!(out.len(), 16_389);
    let Frame::Entries(read) = whole(&out) else { panic!() };
    assert_eq!(read.iter().len(), ENTRIES_MAX);
    out.extend_from_slice(&[0; ENTRY]);
    out[..2].copy_from_slice(&(16_387u16 + 16).to_be_bytes());
    assert_eq!(parse_frame(&out), Err(PeerError::TooMany));
}

#[test]
fn the_longest_hello_fits_a_frame() {
    let longest = "n".repeat(TEXT_MAX);
    let table = Table { name: &longest, kind: TableKind::Cookie(&longest), ttl: u32::MAX };
    let hello = Hello { name: &longest, tables: vec![table; TABLES_MAX] };
    let mut out = Vec::new();
    write_hello(&mut out, &hello);
    assert_eq!(out.len(), 34_635);
    assert_eq!(whole(&out), Frame::Hello(hello));
}

#[test]
fn what_is_malformed_is_refused() {
    assert_eq!(parse_frame(b"\0\0"), Err(PeerError::Length));
    assert_eq!(parse_frame(b"GET / HTTP/1.1\r\n"), Err(PeerError::Kind));
    let bodies: [(&[u8], PeerError); 17] = [
        (b"\0", PeerError::Kind),
        (b"\x05", PeerError::Kind),
        (b"\x04\0", PeerError::Length),
        (b"\x03\0", PeerError::Length),
        (b"\x02\0", PeerError::Length),
        (b"\x02\0\0\0", PeerError::Length),
        (b"\x01", PeerError::Length),
        (b"\x01PPSU\x01\x01d\0\0", PeerError::Magic),
        (b"\x01PPST\x02\x01d\0\0", PeerError::Version),
        (b"\x01PPST\x01\0\0\0", PeerError::Text),
        (b"\x01PPST\x01\x01\xff\0\0", PeerError::Text),
        (b"\x01PPST\x01\x41d\0\0", PeerError::Text),
        (b"\x01PPST\x01\x01d\x01\x01", PeerError::TooMany),
        (b"\x01PPST\x01\x01d\0\x01", PeerError::Length),
        (b"\x01PPST\x01\x01d\0\x01\x01t\0\0\0\0\0\x01\0", PeerError::Length),
        (b"\x01PPST\x01\x01d\0\x01\x01t\x01\0\0\0\0\x01", PeerError::Text),
        (b"\x01PPST\x01\x01d\0\x01\x01t\x02\0\0\0\0\x01", PeerError::Kind),
    ];
    for (body, error) in bodies {
        let frame = [&(body.len() as u16).to_be_bytes(), body].concat();
        assert_eq!(parse_frame(&frame), Err(error), "{frame:?}");
    }
}

#[test]
fn reasons_are_distinct() {
    let mut words = PeerError::ALL.map(PeerError::reason).to_vec();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), PeerError::ALL.len());
}

fn any_table() -> impl Strategy<Value = (String, Option<String>, u32)> {
    ("[a-z.]{1,64}", proptest::option::of("[A-Za-z_]{1,64}"), any::<u32>())
}

fn any_entry() -> impl Strategy<Value = Entry> {
    (any::<u64>(), any::<u32>(), any::<u32>()).prop_map(|(key, name, age)| Entry { key, name, age })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        name in "\\PC{1,16}",
        tables in proptest::collection::vec(any_table(), 0..8),
        table in any::<u16>(),
        entries in proptest::collection::vec(any_entry(), 0..20),
    ) {
        let tables = tables.iter().map(|(name, cookie, ttl)| {
            let kind = cookie.as_deref().map_or(TableKind::Source, TableKind::Cookie);
            Table { name, kind, ttl: *ttl }
        });
        let hello = Hello { name: &name, tables: tables.collect() };
        let mut bytes = Vec::new();
        write_hello(&mut bytes, &hello);
        let first = bytes.len();
        write_entries(&mut bytes, table, entries.iter().copied());
        for part in 0..first {
            prop_assert_eq!(parse_frame(&bytes[..part]), Ok(Parsed::Partial));
        }
        prop_assert_eq!(parse_frame(&bytes), Ok(Parsed::Whole(Frame::Hello(hello), first)));
        match parse_frame(&bytes[first..]) {
            Ok(Parsed::Whole(Frame::Entries(read), length)) => {
                prop_assert_eq!(length, bytes.len() - first);
                prop_assert_eq!(read.table, table);
                prop_assert_eq!(read.iter().collect::<Vec<_>>(), entries);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn no_bytes_panic_and_more_of_them_change_no_verdict(
        start in prop_oneof![Just(&b""[..]), Just(&HELLO_OF_TWO[..20]), Just(&b"\0\x13\x02"[..]), Just(&b"\0\x02"[..])],
        rest in proptest::collection::vec(any::<u8>(), 0..100),
        cut in any::<proptest::sample::Index>(),
    ) {
        let bytes = [start, &rest].concat();
        let part = &bytes[..cut.index(bytes.len() + 1)];
        match parse_frame(part) {
            Ok(Parsed::Partial) => {}
            verdict => prop_assert_eq!(verdict, parse_frame(&bytes)),
        }
    }
}
