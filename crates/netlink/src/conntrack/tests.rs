//! Bodies of messages, by hand after linux/netfilter/nfnetlink_conntrack.h.

use super::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (value.len() + 4) as u16;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn way(source: [u8; 4], destination: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
    let addresses = [attribute(1, &source), attribute(2, &destination)].concat();
    let [from, to] = ports.map(u16::to_be_bytes);
    let ports = [attribute(1, &[6]), attribute(2, &from), attribute(3, &to)].concat();
    [attribute(1, &addresses), attribute(2, &ports)].concat()
}

#[test]
fn a_rewritten_connection_is_read() {
    let state = attribute(1, &attribute(1, &[3]));
    let body = [
        vec![2, 0, 0, 0],
        attribute(1, &way([192, 168, 10, 2], [192, 168, 10, 100], [40000, 80])),
        attribute(2, &way([192, 168, 20, 11], [192, 168, 10, 2], [8080, 40000])),
        attribute(3, &0x2eu32.to_be_bytes()),
        attribute(4, &state),
        attribute(12, &7u32.to_be_bytes()),
    ]
    .concat();
    let flow = parse(&body).unwrap().unwrap();
    assert_eq!((flow.rewritten, flow.active, flow.id), (true, true, 7));
    assert_eq!(flow.original.destination.to_string(), "192.168.10.100");
    assert_eq!((flow.original.source_port, flow.original.destination_port), (40000, 80));
    assert_eq!((flow.reply.source.to_string().as_str(), flow.reply.source_port), ("192.168.20.11", 8080));
}

#[test]
fn bytes_that_are_no_connection_are_malformed_and_other_families_are_passed_over() {
    assert_eq!(parse(&[]), Err(Malformed));
    assert_eq!(parse(&[2, 0, 0, 0]), Err(Malformed));
    assert_eq!(parse(&[7, 0, 0, 0]), Ok(None));
    let cut = [vec![2, 0, 0, 0], vec![40, 0, 1, 0, 1, 2, 3, 4]].concat();
    assert_eq!(parse(&cut), Err(Malformed));
}
