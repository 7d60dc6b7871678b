use super::*;
use crate::address;

/// A message of the kernel's: kind, flags, sequence number, body.
fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + body.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(body);
    bytes
}

/// 10.0.0.1/24 of link 3.
const ADDRESS: &[u8] = b"\x02\x18\x80\0\x03\0\0\0\x08\0\x02\0\x0a\0\0\x01";

#[test]
fn answers_find_their_requests_in_any_order_and_late_ones_none() {
    // The sequence number may run over.
    let mut acknowledged = Acknowledged::new(u32::MAX, 3);
    let mut datagram = message(2, 0, 1, &(-17_i32).to_le_bytes());
    datagram.extend(message(2, 0, u32::MAX - 1, &[0; 4]));
    datagram.extend(message(2, 0, 2, &[0; 4]));
    datagram.extend(message(2, 0, u32::MAX, &[0; 4]));
    acknowledged.read(&datagram);
    assert!(!acknowledged.is_complete());
    assert_eq!(acknowledged.answers, [Some(Answer::Done), None, Some(Answer::Errno(Errno::EXIST))]);
    // No errno is positive, nor that large, and one of two bytes is none.
    for wrong in [&7_i32.to_le_bytes()[..], &(-5000_i32).to_le_bytes(), &i32::MIN.to_le_bytes(), &[0, 0]] {
        acknowledged.read(&message(2, 0, 0, wrong));
        assert!(!acknowledged.is_complete());
    }
    acknowledged.read(&message(2, 0, 0, &[0; 4]));
    assert!(acknowledged.is_complete());
}

#[test]
fn a_list_ends_where_the_kernel_says_and_knows_whether_it_changed() {
    let mut list = List::new(5, 20, address::parse);
    let mut datagram = message(20, 2, 5, ADDRESS);
    datagram.extend(message(20, 2, 4, ADDRESS));
    assert_eq!(list.read(&datagram), Ok(None));
    assert!(!list.interrupted);
    assert_eq!(list.read(&message(20, 2 | 0x10, 5, ADDRESS)), Ok(None));
    assert_eq!(list.read(&message(3, 2, 5, &[0; 4])), Ok(Some(Answer::Done)));
    assert!(list.interrupted);
    assert_eq!(list.found.len(), 2);
    assert_eq!(list.found[0].ip.to_string(), "10.0.0.1");
}

#[test]
fn a_list_that_is_refused_or_cut_is_no_list() {
    let mut list = List::new(5, 20, address::parse);
    assert_eq!(list.read(&message(3, 2, 5, &(-22_i32).to_le_bytes())), Ok(Some(Answer::Errno(Errno::INVAL))));
    let whole = message(20, 2, 5, ADDRESS);
    for cut in 1..whole.len() {
        assert_eq!(List::new(5, 20, address::parse).read(&whole[..cut]), Err(Malformed), "{cut}");
    }
}
