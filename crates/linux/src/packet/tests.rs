use lab::{Host, Lab, SOON, wait_for};
use rustix::net::netdevice::name_to_index;

use super::*;
use crate::filter::{FILTER_MAX, IF_EQUAL, Instruction, RETURN};

const ARP: u16 = 0x0806;

/// RFC 5227 §2.3: who has 10.0.0.9 asks for 10.0.0.9.
const ANNOUNCEMENT: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x08, 0x06, // Ethernet
    0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9,
];

const ROOM: usize = 1 << 20;

fn eth0(host: &Host) -> u32 {
    host.in_namespace(|| name_to_index(PacketSocket::sender().unwrap(), "eth0").unwrap())
}

fn receiver(host: &Host, protocol: u16, filter: Option<&Filter>) -> PacketSocket {
    let interface = eth0(host);
    host.in_namespace(|| PacketSocket::receiver(interface, protocol, filter, ROOM).unwrap())
}

fn send(host: &Host, frame: &[u8]) {
    let interface = eth0(host);
    let sender = host.in_namespace(|| PacketSocket::sender().unwrap());
    sender.send(interface, u16::from_be_bytes([frame[12], frame[13]]), frame).unwrap();
}

/// The next frame that `wanted` holds of.
fn next(socket: &PacketSocket, buffer: &mut [u8], wanted: impl Fn(&Frame<'_>) -> bool) -> (Vec<u8>, Frame<'static>) {
    let mut found = None;
    wait_for(SOON, "a frame", || {
        while let Some(frame) = socket.receive(buffer).unwrap() {
            if wanted(&frame) {
                found = Some((frame.bytes.to_vec(), Frame { bytes: &[], ..frame }));
                return true;
            }
        }
        false
    });
    found.unwrap()
}

#[test]
fn a_frame_arrives_as_it_was_sent_with_what_is_known_of_it() {
    let lab = lab::require!(Lab::new("packet"));
    let (one, other) = (lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24"));
    let (here, all) = (receiver(&other, ARP, None), receiver(&one, EVERY_PROTOCOL, None));
    send(&one, &ANNOUNCEMENT);
    let mut buffer = [0; 2048];
    let (bytes, frame) = next(&here, &mut buffer, |_| true);
    assert_eq!(bytes, ANNOUNCEMENT);
    assert_eq!((frame.length, frame.interface, frame.link, frame.protocol), (42, eth0(&other), 1, ARP));
    assert_eq!((frame.direction, frame.vlan), (Direction::Broadcast, None));
    // A clock that nobody has set is before the year 2020.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    assert!(frame.time <= now && now - frame.time < SOON, "{:?} is not now", frame.time);
    let (bytes, frame) = next(&all, &mut buffer, |frame| frame.protocol == ARP);
    assert_eq!((bytes.as_slice(), frame.direction), (&ANNOUNCEMENT[..], Direction::Sent));
}

#[test]
fn a_long_frame_is_cut_to_the_buffer_and_says_so() {
    let lab = lab::require!(Lab::new("packet-cut"));
    let (one, other) = (lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24"));
    let here = receiver(&other, ARP, None);
    send(&one, &[&ANNOUNCEMENT[..], &[7; 1000]].concat());
    let (bytes, frame) = next(&here, &mut [0; 20], |_| true);
    assert_eq!((bytes.as_slice(), frame.length), (&ANNOUNCEMENT[..20], 1042));
}

#[test]
fn only_what_the_filter_lets_through_arrives() {
    let lab = lab::require!(Lab::new("packet-filter"));
    let (one, other) = (lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24"));
    // What `tcpdump -dd 'ether[41] = 9'` prints.
    let program = [(0x30, 0, 0, 41), (0x15, 0, 1, 9), (0x6, 0, 0, 262_144), (0x6, 0, 0, 0)];
    let program =
        program.map(|(code, jump_true, jump_false, operand)| Instruction { code, jump_true, jump_false, operand });
    let here = receiver(&other, ARP, Filter::new(program.to_vec()).as_ref());
    let nothing = receiver(&other, ARP, Some(&Filter::nothing()));
    let mut another = ANNOUNCEMENT;
    another[41] = 8;
    send(&one, &another);
    send(&one, &ANNOUNCEMENT);
    let mut buffer = [0; 2048];
    assert_eq!(next(&here, &mut buffer, |_| true).0, ANNOUNCEMENT);
    assert_eq!(nothing.receive(&mut buffer).unwrap(), None);
}

#[test]
fn filters_have_an_end_and_the_kernel_checks_them() {
    assert_eq!(Filter::new(Vec::new()), None);
    assert_eq!(Filter::new(vec![RETURN; FILTER_MAX + 1]), None);
    assert!(Filter::new(vec![RETURN; FILTER_MAX]).is_some());
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    Filter::nothing().set(socket.as_fd()).unwrap();
    let endless = Filter::new(vec![IF_EQUAL]).unwrap();
    assert_eq!(endless.set(socket.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_tag_that_the_kernel_took_out_is_told() {
    let lab = lab::require!(Lab::new("packet-vlan"));
    let (one, other) = (lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24"));
    let here = receiver(&other, EVERY_PROTOCOL, None);
    let tagged = [&ANNOUNCEMENT[..12], &[0x81, 0x00, 0x60, 0x2a], &ANNOUNCEMENT[12..]].concat();
    send(&one, &tagged);
    let mut buffer = [0; 2048];
    let (bytes, frame) = next(&here, &mut buffer, |frame| frame.vlan.is_some());
    assert_eq!(frame.vlan, Some([0x81, 0x00, 0x60, 0x2a]));
    assert_eq!(bytes, ANNOUNCEMENT);
}

#[test]
fn what_found_no_room_is_counted() {
    let lab = lab::require!(Lab::new("packet-lost"));
    let (one, other) = (lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24"));
    let interface = eth0(&other);
    let small = other.in_namespace(|| PacketSocket::receiver(interface, ARP, None, 0).unwrap());
    for _ in 0..100 {
        send(&one, &ANNOUNCEMENT);
    }
    let (mut taken, mut lost) = (0, 0);
    wait_for(SOON, "100 frames", || {
        while small.receive(&mut [0; 64]).unwrap().is_some() {
            taken += 1;
        }
        lost += small.lost().unwrap();
        taken + lost == 100
    });
    assert!(lost > 0 && taken > 0, "{lost} lost, {taken} taken");
}

#[test]
fn an_interface_that_goes_down_is_an_error_once() {
    let lab = lab::require!(Lab::new("packet-down"));
    let (one, other) = (lab.host("one", "10.0.0.1/24"), lab.host("other", "10.0.0.2/24"));
    let here = receiver(&other, ARP, None);
    let mut buffer = [0; 2048];
    other.link_down();
    assert_eq!(here.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::NetworkDown);
    assert_eq!(here.receive(&mut buffer).unwrap(), None);
    let sent = here.send(eth0(&other), ARP, &ANNOUNCEMENT);
    assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::NetworkDown);
    other.link_up();
    wait_for(SOON, "the link", || {
        send(&one, &ANNOUNCEMENT);
        here.receive(&mut buffer).unwrap().is_some()
    });
}

#[test]
fn an_interface_that_is_not_there_is_refused() {
    let lab = lab::require!(Lab::new("packet-none"));
    let one = lab.host("one", "10.0.0.1/24");
    let error = one.in_namespace(|| PacketSocket::receiver(4000, ARP, None, ROOM).unwrap_err());
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    let interface = eth0(&one);
    receiver(&one, ARP, None).hear_every_group(interface).unwrap();
    assert!(receiver(&one, ARP, None).hear_every_group(4000).is_err());
}
