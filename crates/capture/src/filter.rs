//! What the kernel keeps back of an interface's traffic, so that a busy link costs nothing: a program of its classic
//! packet filter. Offsets are from the network header, wherever the link's ends.

use std::net::{IpAddr, SocketAddr};

use linux::{FILTER_MAX, Filter, Instruction};

use crate::Topics;
use crate::frame::DNS_PORT;

/// Servers whose connections are recorded: what the kernel's limit of a filter has room for.
pub const SERVERS_MAX: usize = 128;

/// Of a connection to a server: the headers, and an answer's first line.
pub(crate) const CONNECTION_BYTES: u32 = 256;

/// Of anything else: all.
const WHOLE: u32 = 1 << 18;

const NOTHING: u32 = 0;

/// linux/filter.h: what is in the frame (SKF_AD_OFF + SKF_AD_PROTOCOL), and the network header (SKF_NET_OFF).
const PROTOCOL: u32 = 0xffff_f000;
const NETWORK: u32 = 0xfff0_0000;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_AT_INDEX: u16 = 0x48;
const INDEX_IPV4_HEADER: u16 = 0xb1;
const IF_EQUAL: u16 = 0x15;
const IF_ANY: u16 = 0x45;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;

const ETHERNET_ARP: u32 = 0x0806;
const ETHERNET_IPV4: u32 = 0x0800;
const ETHERNET_IPV6: u32 = 0x86dd;
/// Tags that the kernel has left in the frame: what is in it is looked at here.
const ETHERNET_VLANS: [u32; 2] = [0x8100, 0x88a8];

const IP_TCP: u32 = 6;
const IP_UDP: u32 = 17;
const IP_AUTHENTICATION: u32 = 51;
const IP_ICMPV6: u32 = 58;
const IP_VRRP: u32 = vrrp_proto::PROTOCOL_NUMBER as u32;
const NEIGHBOUR_SOLICITATION: u32 = 135;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;

/// A filter that lets these topics through. `None` for more than [`SERVERS_MAX`] servers.
pub(crate) fn filter(topics: Topics, servers: &[SocketAddr]) -> Option<Filter> {
    if servers.len() > SERVERS_MAX {
        return None;
    }
    let mut program = Program(Vec::new());
    program.push(LOAD_WORD, PROTOCOL);
    if topics.arp {
        program.return_if(ETHERNET_ARP, WHOLE);
    }
    for vlan in ETHERNET_VLANS {
        program.return_if(vlan, WHOLE);
    }
    program.block_if(ETHERNET_IPV4, ipv4(topics, servers));
    program.block_if(ETHERNET_IPV6, ipv6(topics, servers));
    program.push(RETURN, NOTHING);
    debug_assert!(program.0.len() <= FILTER_MAX);
    Filter::new(program.0)
}

fn ipv4(topics: Topics, servers: &[SocketAddr]) -> Program {
    let mut program = Program(Vec::new());
    program.push(LOAD_BYTE, NETWORK + 9);
    program.vrrp(topics);
    // Ports are in the first fragment only.
    program.push(LOAD_HALF, NETWORK + 6);
    program.0.push(Instruction { code: IF_ANY, jump_true: 0, jump_false: 1, operand: 0x1fff });
    program.push(RETURN, NOTHING);
    program.push(INDEX_IPV4_HEADER, NETWORK);
    program.push(LOAD_BYTE, NETWORK + 9);
    let mut dns = Program(Vec::new());
    let mut connections = Program(Vec::new());
    for (port, address) in [(0, 12), (2, 16)] {
        dns.push(LOAD_HALF_AT_INDEX, NETWORK + port);
        dns.return_if(DNS_PORT.into(), WHOLE);
        for server in servers {
            if let IpAddr::V4(ip) = server.ip() {
                let mut inner = Program(Vec::new());
                inner.push(LOAD_HALF_AT_INDEX, NETWORK + port);
                inner.return_if(server.port().into(), CONNECTION_BYTES);
                connections.push(LOAD_WORD, NETWORK + address);
                connections.only_if(ip.to_bits(), inner);
            }
        }
    }
    program.transports(topics, dns, connections);
    program
}

/// Without headers between that of IPv6 and what is in it.
fn ipv6(topics: Topics, servers: &[SocketAddr]) -> Program {
    let mut program = Program(Vec::new());
    program.push(LOAD_BYTE, NETWORK + 6);
    program.vrrp(topics);
    if topics.arp {
        let mut neighbours = Program(Vec::new());
        neighbours.push(LOAD_BYTE, NETWORK + 40);
        neighbours.return_if(NEIGHBOUR_SOLICITATION, WHOLE);
        neighbours.return_if(NEIGHBOUR_ADVERTISEMENT, WHOLE);
        neighbours.push(RETURN, NOTHING);
        program.block_if(IP_ICMPV6, neighbours);
    }
    let mut dns = Program(Vec::new());
    let mut connections = Program(Vec::new());
    for (port, address) in [(40, 8), (42, 24)] {
        dns.push(LOAD_HALF, NETWORK + port);
        dns.return_if(DNS_PORT.into(), WHOLE);
        for server in servers {
            if let IpAddr::V6(ip) = server.ip() {
                let mut inner = Program(Vec::new());
                inner.push(LOAD_HALF, NETWORK + port);
                inner.return_if(server.port().into(), CONNECTION_BYTES);
                let words = ip.to_bits().to_be_bytes();
                let (words, _) = words.as_chunks::<4>();
                for (index, word) in words.iter().enumerate().rev() {
                    let mut outer = Program(Vec::new());
                    outer.push(LOAD_WORD, NETWORK + address + 4 * index as u32);
                    outer.only_if(u32::from_be_bytes(*word), inner);
                    inner = outer;
                }
                connections.0.extend(inner.0);
            }
        }
    }
    program.transports(topics, dns, connections);
    program
}

/// Instructions. Jumps are within.
struct Program(Vec<Instruction>);

impl Program {
    fn push(&mut self, code: u16, operand: u32) {
        self.0.push(Instruction { code, jump_true: 0, jump_false: 0, operand });
    }

    /// The end, if the accumulator is this.
    fn return_if(&mut self, value: u32, bytes: u32) {
        self.0.push(Instruction { code: IF_EQUAL, jump_true: 0, jump_false: 1, operand: value });
        self.push(RETURN, bytes);
    }

    /// A few instructions, if the accumulator is this: fewer than a conditional jump can pass over.
    fn only_if(&mut self, value: u32, inner: Program) {
        let length = u8::try_from(inner.0.len()).expect("a server's are twenty");
        self.0.push(Instruction { code: IF_EQUAL, jump_true: 0, jump_false: length, operand: value });
        self.0.extend(inner.0);
    }

    /// As [`Program::only_if`], however many.
    fn block_if(&mut self, value: u32, inner: Program) {
        self.0.push(Instruction { code: IF_EQUAL, jump_true: 1, jump_false: 0, operand: value });
        self.push(JUMP, inner.0.len() as u32);
        self.0.extend(inner.0);
    }

    fn vrrp(&mut self, topics: Topics) {
        if topics.vrrp {
            self.return_if(IP_VRRP, WHOLE);
            self.return_if(IP_AUTHENTICATION, WHOLE);
        }
    }

    /// The accumulator is the protocol; nothing comes after.
    fn transports(&mut self, topics: Topics, mut dns: Program, mut connections: Program) {
        for (wanted, protocol, inner) in [(topics.dns, IP_UDP, &mut dns), (topics.checks, IP_TCP, &mut connections)] {
            if wanted {
                inner.push(RETURN, NOTHING);
                self.block_if(protocol, Program(std::mem::take(&mut inner.0)));
            }
        }
        self.push(RETURN, NOTHING);
    }
}
