use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::*;
use crate::Answers;

/// Is there an A record of `w.ex`? (RFC 1035 section 4.1.)
const ASKED: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x01w\x02ex\0\0\x01\0\x01";

/// Longer than anything should take.
const DEADLINE: Duration = Duration::from_secs(20);

struct Running {
    server: Server,
    events: mpsc::Receiver<Event>,
    up: watch::Sender<Option<BTreeSet<String>>>,
    udp: SocketAddr,
    tcp: SocketAddr,
}

fn start(rate_limit: u32) -> Running {
    let vip =
        |name: &str, last: u8| Answers::Vip { name: name.to_owned(), addresses: vec![IpAddr::from([10, 20, 0, last])] };
    let plan = Plan {
        binds: Vec::new(),
        name: "w.ex".to_owned(),
        addresses: vec![vip("a", 11), vip("b", 12)],
        ttl: Duration::from_secs(5),
        rate_limit,
    };
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let (up, known) = watch::channel(None);
    let sockets = Sockets { udp: vec![udp], tcp: vec![tcp] };
    let (server, events) = Server::start(&plan, sockets, known).unwrap();
    Running { server, events, up, udp: addresses.0, tcp: addresses.1 }
}

impl Running {
    fn tell(&self, names: &[&str]) {
        self.up.send_replace(Some(names.iter().map(|name| (*name).to_owned()).collect()));
    }

    fn ask(&self, client: &UdpSocket, message: &[u8]) -> Vec<u8> {
        client.send_to(message, self.udp).unwrap();
        let mut reply = [0; 2048];
        let (length, from) = client.recv_from(&mut reply).unwrap();
        assert_eq!(from, self.udp);
        reply[..length].to_vec()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    fn dropped(&self, reason: Dropped) -> u64 {
        self.server.status().dropped.iter().find(|(dropped, _)| *dropped == reason).unwrap().1
    }

    fn answered(&self, which: Answer) -> u64 {
        self.server.status().answers.iter().find(|(answer, _)| *answer == which).unwrap().1
    }
}

fn client() -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

fn read_framed(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// The last bytes of the addresses: the question has 22 bytes with the header, each record 16.
fn last_bytes(reply: &[u8]) -> Vec<u8> {
    reply[22..].chunks(16).map(|record| record[15]).collect()
}

#[test]
fn what_is_up_is_answered_and_told() {
    let mut running = start(1000);
    let client = client();
    assert_eq!(last_bytes(&running.ask(&client, ASKED)), [11, 12]);
    running.tell(&["b"]);
    until("b alone", || last_bytes(&running.ask(&client, ASKED)) == [12]);
    assert_eq!(running.server.status().addresses.iter().map(|(_, is_up)| *is_up).collect::<Vec<_>>(), [false, true]);
    running.tell(&[]);
    assert_eq!(running.events.blocking_recv(), Some(Event::NoneUp));
    assert_eq!(last_bytes(&running.ask(&client, ASKED)).len(), 2);
    running.tell(&["a"]);
    assert_eq!(running.events.blocking_recv(), Some(Event::SomeUp));
    assert_eq!(last_bytes(&running.ask(&client, ASKED)), [11]);
}

#[test]
fn a_source_that_asks_too_much_is_told_to_use_tcp_at_every_second_question() {
    let running = start(2);
    let client = client();
    for _ in 0..6 {
        client.send_to(ASKED, running.udp).unwrap();
    }
    until("six questions", || running.answered(Answer::Slipped) == 2 && running.dropped(Dropped::RateLimit) == 2);
    let mut reply = [0; 512];
    let mut flags = Vec::new();
    for _ in 0..4 {
        client.recv(&mut reply).unwrap();
        flags.push(reply[2]);
    }
    // An authoritative answer twice, and then a truncated one.
    assert_eq!(flags, [0x85, 0x85, 0x83, 0x83]);
    let mut stream = running.connect();
    stream.write_all(&framed(ASKED)).unwrap();
    assert_eq!(last_bytes(&read_framed(&mut stream)).len(), 2);
}

#[test]
fn a_connection_has_an_answer_for_each_question_until_it_asks_too_much() {
    let running = start(3);
    let mut stream = running.connect();
    stream.write_all(&framed(ASKED).repeat(4)).unwrap();
    for _ in 0..3 {
        assert_eq!(last_bytes(&read_framed(&mut stream)).len(), 2);
    }
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(running.dropped(Dropped::RateLimit), 1);
}

#[test]
fn what_is_too_long_is_not_read() {
    let running = start(1000);
    let client = client();
    client.send_to(&[0; MESSAGE_MAX + 1], running.udp).unwrap();
    client.send_to(&[0; 3], running.udp).unwrap();
    until("both", || running.dropped(Dropped::Long) == 1 && running.dropped(Dropped::Short) == 1);
    let mut stream = running.connect();
    stream.write_all(&u16::try_from(MESSAGE_MAX + 1).unwrap().to_be_bytes()).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(running.dropped(Dropped::Long), 2);
    let longest = [ASKED, &vec![0; MESSAGE_MAX - ASKED.len()]].concat();
    assert_eq!(running.ask(&client, &longest)[2..4], [0x81, 1]);
}

#[test]
fn a_source_has_sixteen_connections() {
    let running = start(1000);
    let mut open: Vec<TcpStream> = (0..16).map(|_| running.connect()).collect();
    let mut refused = running.connect();
    assert_eq!(refused.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(running.dropped(Dropped::Connections), 1);
    drop(open.pop());
    until("another may connect", || {
        let mut next = running.connect();
        next.write_all(&framed(ASKED)).is_ok() && next.read(&mut [0; 1]).is_ok_and(|length| length == 1)
    });
}

#[test]
fn all_sources_have_256_connections() {
    let running = start(1000);
    // Linux routes all of 127.0.0.0/8 to itself: a source for each 16 connections.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connect = |host: u8| {
        runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 1, host], 0))).unwrap();
            socket.connect(running.tcp).await.unwrap().into_std().unwrap()
        })
    };
    let open: Vec<TcpStream> = (0..256_u16).map(|number| connect(1 + (number / 16) as u8)).collect();
    let mut beyond = connect(200);
    beyond.set_nonblocking(false).unwrap();
    beyond.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(beyond.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(running.dropped(Dropped::Connections), 1);
    drop(open);
}

#[test]
fn who_finishes_reads_no_more_datagrams_and_takes_leave_of_connections() {
    let running = start(1000);
    let mut stream = running.connect();
    stream.write_all(&framed(ASKED)).unwrap();
    assert_eq!(last_bytes(&read_framed(&mut stream)).len(), 2);
    running.server.finish();
    // These may have been under way.
    stream.write_all(&framed(ASKED).repeat(2)).unwrap();
    assert_eq!(last_bytes(&read_framed(&mut stream)).len(), 2);
    assert_eq!(last_bytes(&read_framed(&mut stream)).len(), 2);
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    until("the thread's end", || running.server.is_finished());
    // The sockets are closed.
    assert!(TcpStream::connect(running.tcp).is_err());
}
