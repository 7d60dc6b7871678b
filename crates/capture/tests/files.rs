//! Capture files: those of others are read, ours are as the draft says.

mod captures;

use std::io::Cursor;

use capture::{
    BLOCK_MAX, Explainer, INTERFACES_MAX, Interface, Link, Packet, ReadError, Reader, Scope, Verdict, Writer,
};
use captures::{Capture, unhex};
use units::Instant;

/// A packet of a real keepalived, as Wireshark's editcap 4.0.17 writes it alone: pcapng with nanoseconds, and with a comment of
/// its own; pcap with microseconds.
const PCAPNG: &str = "0a0d0d0a6c0000004d3c2b1a01000000ffffffffffffffff0400450045646974636170202857697265736861726b2920342e302e31372028\
    4769742076342e302e3137207061636b6167656420617320342e302e31372d302b6465623132753329000000000000006c00000001000000200000000100\
    00000000040009000100090000000000000020000000060000006000000000000000d315ea189988233b2e0000002e00000001005e000012020000000003\
    080045c0002000010000ff70d0970a000003e000001231336401000a76260a00000900000100050068656c6c6f0000000000000060000000";
const PCAP: &str = "d4c3b2a10200040000000000000000000000040001000000e6aa016b57a306002e0000002e00000001005e000012020000000003\
    080045c0002000010000ff70d0970a000003e000001231336401000a76260a000009";
const NANOS: u64 = 1_795_271_398_435_031_193;
const FRAME: &str = "01005e000012020000000003080045c0002000010000ff70d0970a000003e000001231336401000a76260a000009";

/// A datagram to port 53, as tcpdump 4.99 records it from "any" interface.
const SLL2: &str = "d4c3b2a1020004000000000000000000000004001401000077ae016b75130d0031000000310000000800000000000001\
    0304000600000000000000004500001d647f40004011d84e7f0000017f00000184af00350009fe1c78";

/// Time, interface's link, bytes and length of each packet, and why there are no more.
type Read = (Vec<(u64, Link, Vec<u8>, u32)>, Option<ReadError>);

fn read(file: &[u8]) -> Read {
    let mut packets = Vec::new();
    let mut reader = match Reader::new(Cursor::new(file)) {
        Ok(reader) => reader,
        Err(error) => return (packets, Some(error)),
    };
    loop {
        match reader.next_packet() {
            Ok(Some((interface, packet))) => {
                packets.push((packet.time.as_nanos(), interface.link, packet.bytes.to_vec(), packet.length));
            }
            Ok(None) => return (packets, None),
            Err(error) => return (packets, Some(error)),
        }
    }
}

fn one(nanos: u64) -> Read {
    (vec![(nanos, Link::ETHERNET, unhex(FRAME), 46)], None)
}

#[test]
fn files_of_others() {
    assert_eq!(read(&unhex(PCAPNG)), one(NANOS));
    assert_eq!(read(&unhex(PCAP)), one(NANOS / 1000 * 1000));
    let (packets, error) = read(&unhex(SLL2));
    assert_eq!((packets.len(), packets[0].1, error), (1, Link::LINUX_SLL2, None));
}

/// The same packet in the other order of bytes, and with nanoseconds.
#[test]
fn every_form_of_pcap() {
    let numbers = |magic: u32, fraction: u32, big: bool| {
        let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
        let mut file = word(magic).to_vec();
        file.extend(if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] });
        for number in [0, 0, 65535, 1, 1_795_271_398, fraction, 46, 60] {
            file.extend(word(number));
        }
        file.extend(unhex(FRAME));
        read(&file)
    };
    let expected = |nanos| (vec![(nanos, Link::ETHERNET, unhex(FRAME), 60)], None);
    for big in [false, true] {
        assert_eq!(numbers(0xa1b2_c3d4, 435_031, big), expected(1_795_271_398_435_031_000), "{big}");
        assert_eq!(numbers(0xa1b2_3c4d, 435_031_193, big), expected(NANOS), "{big}");
    }
}

/// Big-endian pcapng, two sections with an interface each; units of 2^-20 s and an offset; microseconds if nothing is said.
#[test]
fn pcapng_says_what_its_times_mean() {
    let section = "0a0d0d0a0000001c1a2b3c4d00010000ffffffffffffffff0000001c";
    let described = "000000010000002c0001000000000000000900019400000000\
                     0e0008000000000000000a000000000000002c";
    let plain = "0000000100000014006500000000000000000014";
    // 3 × 2^20 units; a packet of four bytes.
    let packet = |ticks: &str| format!("0000000600000024{:0>8}{ticks}00000004000000040102030400000024", 0);
    let file =
        format!("{section}{described}{}{section}{plain}{}", packet("0000000000300000"), packet("00000000000f4240"));
    let bytes = unhex(&file);
    let four = vec![1, 2, 3, 4];
    let expected = vec![(13_000_000_000, Link::ETHERNET, four.clone(), 4), (1_000_000_000, Link::RAW, four, 4)];
    assert_eq!(read(&bytes), (expected, None));
}

/// draft-ietf-opsawg-pcapng §4.1, §4.2, §4.3, by hand.
#[test]
fn what_is_written_is_as_the_draft_says() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    writer.interface(&Interface { name: Some("eth0".to_owned()), link: Link::ETHERNET }).unwrap();
    let bytes = [1, 2, 3, 4, 5];
    let packet = Packet { time: Instant::from_nanos(0x1_0000_0002), interface: 0, bytes: &bytes, length: 9 };
    writer.packet(&packet, Some("said")).unwrap();
    writer.packet(&packet, None).unwrap();
    let name = concat!("perron ", env!("CARGO_PKG_VERSION")).as_bytes();
    let mut expected = unhex("0a0d0d0a300000004d3c2b1a01000000ffffffffffffffff04000c00");
    assert_eq!(name.len(), 12, "the version has another length now: so has the block");
    expected.extend(name);
    expected.extend(unhex("0000000030000000"));
    expected.extend(unhex(
        "010000002800000001000000000000000200040065746830090001000900000000000000 28000000".replace(' ', "").as_str(),
    ));
    expected.extend(unhex(
        "060000003400000000000000010000000200000005000000090000000102030405000000010004007361696400000000\
                           34000000",
    ));
    expected.extend(unhex("060000002c00000000000000010000000200000005000000090000000102030405000000000000002c000000"));
    assert_eq!(file, expected);
}

#[test]
fn a_comment_that_is_too_long_is_cut_between_characters() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    writer.interface(&Interface { name: None, link: Link::ETHERNET }).unwrap();
    let packet = Packet { time: Instant::ZERO, interface: 0, bytes: &[], length: 0 };
    writer.packet(&packet, Some(&format!("a{}", "é".repeat(5000)))).unwrap();
    // 1 + 2047 × 2: one more character would not be whole.
    let option = file.windows(4).position(|bytes| bytes == [1, 0, 0xff, 0x0f]);
    assert!(option.is_some(), "no comment of 4095 bytes");
    assert_eq!(read(&file).1, None);
}

#[test]
fn what_is_written_is_read_again() {
    let capture = Capture::read("kill");
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    writer.interface(&Interface { name: Some("eth0".to_owned()), link: Link::ETHERNET }).unwrap();
    let (mut explainer, mut events) = (Explainer::new(Scope::default()), Vec::new());
    for (time, bytes) in &capture.frames {
        let packet = Packet { time: *time, interface: 0, bytes, length: bytes.len() as u32 };
        let verdict = explainer.explain(Link::ETHERNET, &packet, true, &mut events);
        let comment = if let Verdict::Comment(comment) = &verdict { Some(comment.as_str()) } else { None };
        writer.packet(&packet, comment).unwrap();
    }
    let (packets, error) = read(&file);
    assert_eq!(error, None);
    let whole: Vec<_> = packets.into_iter().map(|(nanos, _, bytes, _)| (Instant::from_nanos(nanos), bytes)).collect();
    assert_eq!(whole, capture.frames);
    // Wherever it ends, what came before is read.
    for end in 0..file.len() {
        let (packets, error) = read(&file[..end]);
        let all = capture.frames.iter().zip(&packets).all(|((_, bytes), packet)| *bytes == packet.2);
        assert!(all && packets.len() < capture.frames.len(), "{end}");
        if error.is_none() {
            assert!(end > 0, "it ends between two blocks");
        }
    }
}

#[test]
fn files_that_are_none() {
    assert_eq!(read(b"").1, Some(ReadError::NotACapture));
    assert_eq!(read(b"GET / HTTP/1.1\r\n\r\nand so on and so on").1, Some(ReadError::NotACapture));
    assert_eq!(read(&unhex(PCAP)[..60]).1, Some(ReadError::CutOff));
    let mut damaged = unhex(PCAPNG);
    damaged[0x70] = 0;
    assert_eq!(read(&damaged).1, Some(ReadError::Damaged));
}

#[test]
fn a_packet_ends_somewhere() {
    let mut file = unhex(PCAP);
    file.truncate(24);
    let length = BLOCK_MAX as u32 + 1;
    for number in [0, 0, length, length] {
        file.extend(number.to_le_bytes());
    }
    file.resize(file.len() + BLOCK_MAX + 1, 0);
    assert_eq!(read(&file), (Vec::new(), Some(ReadError::TooLong)));
    // One of half that length is read.
    let mut file = unhex(PCAP);
    file.truncate(24);
    let length = BLOCK_MAX as u32 / 2;
    for number in [0, 0, length, length] {
        file.extend(number.to_le_bytes());
    }
    file.resize(file.len() + BLOCK_MAX / 2, 0);
    let (packets, error) = read(&file);
    assert_eq!((packets.len(), error), (1, None));
}

#[test]
fn interfaces_end_somewhere() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    for _ in 0..=INTERFACES_MAX {
        writer.interface(&Interface { name: None, link: Link::ETHERNET }).unwrap();
    }
    assert_eq!(read(&file).1, Some(ReadError::TooManyInterfaces));
}
