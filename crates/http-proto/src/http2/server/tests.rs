use super::*;
use crate::http2::frames::{PREFACE, flag};

/// `POST http://t/` and `GET http://t/`, by the static table and literals (RFC 7541 §6).
const POST: &[u8] = b"\x83\x86\x01\x01t\x84";
const GET: &[u8] = b"\x82\x86\x01\x01t\x84";

const WHOLE: u8 = flag::END_STREAM | flag::END_HEADERS;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn begun() -> Vec<u8> {
    [&PREFACE[..], &frame(kind::SETTINGS, 0, 0, b"")].concat()
}

fn get(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, WHOLE, stream, GET)
}

fn post(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, POST)
}

/// A connection, and what has come of it.
struct Tried {
    server: Server,
    events: Vec<Event>,
}

impl Tried {
    /// One that has begun in order; what it said at its beginning has left.
    fn new() -> Tried {
        let mut tried = Tried { server: Server::new(Instant::from_millis(7)), events: Vec::new() };
        tried.receive(&begun()).unwrap();
        tried.said();
        tried
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.server.receive(bytes, || Instant::from_millis(7), &mut self.events)
    }

    /// The requests that have come, taken.
    fn requests(&mut self) -> Vec<Key> {
        let keys = self.events.drain(..).filter_map(|event| match event {
            Event::Request(key) => Some(key),
            Event::Changed(_) => None,
        });
        let keys: Vec<Key> = keys.collect();
        keys.into_iter().filter(|key| self.server.begin(*key).is_some()).collect()
    }

    fn request(&mut self, bytes: &[u8]) -> Key {
        self.receive(bytes).unwrap();
        self.requests()[0]
    }

    fn read(&mut self, key: Key) -> String {
        let mut buffer = vec![0; 1 << 20];
        let read = self.server.read(key, &mut buffer);
        String::from_utf8(buffer[..read].to_vec()).unwrap()
    }

    /// The frames that have left: kind, flags, stream, payload.
    fn said(&mut self) -> Vec<(u8, u8, u32, Vec<u8>)> {
        let bytes = self.server.outgoing().to_vec();
        self.server.sent(bytes.len(), &mut self.events);
        let mut rest = &bytes[..];
        let mut frames = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            frames.push((head[3], head[4], stream, after[..length].to_vec()));
            rest = &after[length..];
        }
        assert!(rest.is_empty());
        frames
    }
}

#[test]
fn a_request_is_read_and_answered_as_http1() {
    let mut tried = Tried::new();
    let key = tried.request(&[post(1), frame(kind::DATA, 0, 1, b"ab"), frame(kind::DATA, 1, 1, b"c")].concat());
    assert_eq!(
        tried.read(key),
        "POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    );
    assert_eq!(tried.server.ready(key), Ready::Over);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\nX-A: b\r\n\r\nabc";
    assert_eq!(tried.server.write(key, answer), Ok(answer.len()));
    let head = b"\x88\x0f\x0d\x013\0\x03x-a\x01b".to_vec();
    assert_eq!(tried.said(), [(kind::HEADERS, 4, 1, head), (kind::DATA, 1, 1, b"abc".to_vec())]);
    assert_eq!(tried.server.active(), 0);
    tried.server.release(key);
    assert_eq!((tried.said(), tried.server.streams.held()), (vec![], 0));
}

#[test]
fn what_comes_means_the_same_however_it_is_cut() {
    let padded = frame(kind::DATA, flag::PADDED, 1, b"\x02cd\0\0");
    let bytes = [
        begun(),
        frame(kind::HEADERS, 0, 1, &POST[..2]),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, &POST[2..]),
        frame(kind::DATA, 0, 1, b"ab"),
        padded,
        frame(kind::PING, 0, 0, b"12345678"),
        frame(kind::HEADERS, WHOLE, 1, b"\0\x01x\x01y"),
    ]
    .concat();
    for cut in 1..bytes.len() {
        let mut tried = Tried { server: Server::new(Instant::from_millis(7)), events: Vec::new() };
        for piece in [&bytes[..cut], &bytes[cut..]] {
            tried.receive(piece).unwrap();
        }
        let key = tried.requests()[0];
        assert_eq!(
            tried.read(key),
            "POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nx: y\r\n\r\n",
            "cut at {cut}"
        );
        // SETTINGS, the connection's window, the acknowledgement, the answer to PING.
        assert_eq!(tried.said().iter().map(|frame| frame.0).collect::<Vec<_>>(), [4, 8, 4, 6], "cut at {cut}");
    }
}

/// The windows of a stream, 256 KiB, and of the connection, 1 MiB.
#[test]
fn windows_open_again_by_what_is_read_and_never_before() {
    let full = frame(kind::DATA, 0, 1, &[b'x'; 16_384]);
    let mut tried = Tried::new();
    let key = tried.request(&[post(1), full.repeat(16)].concat());
    assert!(tried.said().is_empty());
    assert!(tried.read(key).len() > 256 * 1024);
    assert_eq!(tried.said(), [(kind::WINDOW_UPDATE, 0, 1, (256 * 1024_u32).to_be_bytes().to_vec())]);
    tried.receive(&full.repeat(16)).unwrap();
    tried.receive(&full).unwrap();
    // What it held is the connection's again, half of a window together with what was read, and what comes for it still.
    let half = 512 * 1024_u32;
    assert_eq!(
        tried.said(),
        [(kind::RST_STREAM, 0, 1, vec![0, 0, 0, 3]), (kind::WINDOW_UPDATE, 0, 0, half.to_be_bytes().to_vec())]
    );
    assert_eq!(tried.server.ready(key), Ready::Gone);
    tried.server.release(key);
    let mut credit = u64::from(half);
    for _ in 0..640 {
        tried.receive(&full).unwrap();
        for (kind, _, stream, payload) in tried.said() {
            assert_eq!((kind, stream), (kind::WINDOW_UPDATE, 0));
            credit += u64::from(u32::from_be_bytes(payload.try_into().unwrap()));
        }
    }
    // 33 frames before, 640 now; less than half of the window is not told yet.
    let came = 673 * 16_384;
    assert!(credit <= came && came - credit < 512 * 1024, "{credit} of {came}");
    assert_eq!(tried.server.tally, Tally::default());
}

#[test]
fn more_than_a_connections_window_ends_it() {
    let mut tried = Tried::new();
    let full = frame(kind::DATA, 0, 0, &[b'x'; 16_384]);
    let of = |stream: u32| [&full[..5], &stream.to_be_bytes(), &full[9..]].concat().repeat(16);
    for stream in [1, 3, 5, 7] {
        tried.receive(&[post(stream), of(stream)].concat()).unwrap();
    }
    let one_more = [post(9), frame(kind::DATA, 0, 9, b"x")].concat();
    assert_eq!(tried.receive(&one_more), Err(End::Broken(Code::FlowControlError)));
}

/// A frame of a stream that nobody serves any more, of which half has come.
#[test]
fn a_frame_whose_stream_ends_within_it_is_passed_over() {
    let mut tried = Tried::new();
    let bytes = [post(1), frame(kind::DATA, 1, 1, &[b'x'; 1000])].concat();
    let (first, second) = bytes.split_at(bytes.len() - 500);
    let key = tried.request(first);
    tried.server.release(key);
    assert_eq!(tried.said(), [(kind::RST_STREAM, 0, 1, vec![0, 0, 0, 2])]);
    tried.receive(second).unwrap();
    assert_eq!((tried.server.untold, tried.server.streams.held()), (1000, 0));
    // Trailers of one that was reset here are no error, those of one that has ended are.
    let key = tried.request(&post(3));
    tried.server.release(key);
    let trailers = |stream| frame(kind::HEADERS, WHOLE, stream, b"\x40\x01x\x01y");
    tried.receive(&trailers(3)).unwrap();
    // They were unpacked: what they left in the table is there.
    let key = tried.request(&frame(kind::HEADERS, WHOLE, 5, &[GET, b"\xbe"].concat()));
    assert_eq!(tried.read(key), "GET / HTTP/1.1\r\nhost: t\r\nx: y\r\n\r\n");
    tried.server.write(key, b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    tried.server.release(key);
    assert_eq!(tried.receive(&trailers(5)), Err(End::Broken(Code::ProtocolError)));
}

#[test]
fn nothing_of_a_request_that_is_refused_is_read() {
    let mut tried = Tried::new();
    let body = frame(kind::DATA, 1, 1, b"GET / HTTP/1.1\r\nhost: t\r\n\r\n");
    // `other` in Host where `:authority` is `t`.
    let head = frame(kind::HEADERS, flag::END_HEADERS, 1, &[POST, b"\x66\x05other"].concat());
    let key = tried.request(&[head, body].concat());
    assert_eq!(tried.server.begin(key), Some(Begun { refused: Some(HeadError::HostRepeated) }));
    assert_eq!((tried.server.ready(key), tried.read(key)), (Ready::Over, String::new()));
    assert_eq!(tried.server.untold, 27);
}

/// Those that are served and reset by turns, whose ends nobody has come to yet.
#[test]
fn requests_that_are_being_ended_count_too() {
    let mut tried = Tried::new();
    let ids = |from: u32| (from..).step_by(2).take(128);
    let resets = |from| ids(from).flat_map(|id| frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8])).collect::<Vec<u8>>();
    for from in [1, 257] {
        tried.receive(&ids(from).flat_map(get).collect::<Vec<u8>>()).unwrap();
        assert_eq!(tried.requests().len(), 128);
        tried.receive(&resets(from)).unwrap();
    }
    assert_eq!((tried.server.active(), tried.server.streams.held()), (0, 256));
    tried.receive(&get(513)).unwrap();
    assert_eq!(tried.said(), [(kind::RST_STREAM, 0, 513, vec![0, 0, 0, 7])]);
    assert_eq!(tried.server.take_tally(), Tally { malformed: 0, refused: 1 });
    // Those that nobody has begun to serve do not.
    let mut tried = Tried::new();
    for from in (1..1000).step_by(256).take(2) {
        tried.receive(&[ids(from).flat_map(get).collect(), resets(from)].concat()).unwrap();
    }
    assert_eq!((tried.requests().len(), tried.server.streams.held()), (0, 0));
}

#[test]
fn streams_that_are_made_to_be_reset_end_the_connection() {
    let mut tried = Tried::new();
    let bad = |id: u32| [get(id), frame(kind::WINDOW_UPDATE, 0, id, &[0, 0, 0, 0])].concat();
    for id in (1..).step_by(2).take(512) {
        tried.receive(&bad(id)).unwrap();
    }
    assert_eq!(tried.receive(&bad(1025)), Err(End::Excess));
}

#[test]
fn tiny_frames_count_until_they_are_read() {
    let mut tried = Tried::new();
    let tiny = frame(kind::DATA, 0, 1, b"x");
    let key = tried.request(&[post(1), tiny.clone()].concat());
    for _ in 0..3 {
        tried.receive(&tiny.repeat(16_384)).unwrap();
        tried.read(key);
    }
    // The first of them is nobody's fault.
    tried.receive(&tiny.repeat(16_385)).unwrap();
    assert_eq!(tried.receive(&tiny), Err(End::Excess));
}

#[test]
fn blocks_without_end_and_lists_beyond_measure_end_the_connection() {
    let mut tried = Tried::new();
    let part = frame(kind::CONTINUATION, 0, 1, b"");
    tried.receive(&[frame(kind::HEADERS, 0, 1, GET), part.repeat(5)].concat()).unwrap();
    assert_eq!(tried.receive(&part), Err(End::Excess));
    let mut tried = Tried::new();
    let large = [&b"\x40\x01x\x7f\xa1\x1e"[..], &[b'y'; 4000]].concat();
    // 4,033 bytes each: 64 KiB are 16 of them, 256 KiB are 65.
    let key = tried.request(&frame(kind::HEADERS, WHOLE, 1, &[GET, &large, &[0xbe; 40]].concat()));
    assert_eq!(tried.server.begin(key), Some(Begun { refused: Some(HeadError::HeadTooLarge) }));
    assert_eq!(tried.read(key), "");
    assert_eq!(tried.receive(&frame(kind::HEADERS, WHOLE, 3, &[GET, &[0xbe; 70]].concat())), Err(End::Excess));
}

/// 64 KiB wait for the socket; who waits behind them gets 16 KiB at its turn.
#[test]
fn answers_take_turns() {
    let mut tried = Tried::new();
    tried.receive(&frame(kind::SETTINGS, 0, 0, b"\0\x04\x7f\xff\xff\xff")).unwrap();
    tried.receive(&frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).unwrap();
    tried.receive(&[get(1), get(3), get(5)].concat()).unwrap();
    let keys = tried.requests();
    tried.said();
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    let body = vec![b'x'; 1 << 18];
    for key in &keys {
        assert_eq!(tried.server.write(*key, head), Ok(head.len()));
    }
    let first = tried.server.write(keys[0], &body).unwrap();
    assert!((60 * 1024..=64 * 1024).contains(&first), "{first}");
    for key in &keys {
        assert_eq!(tried.server.write(*key, &body), Err(WriteError::Blocked));
        assert!(!tried.server.may_write(*key));
    }
    assert!(!tried.server.is_full());
    tried.said();
    assert_eq!(tried.events, keys.iter().map(|key| Event::Changed(*key)).collect::<Vec<_>>());
    tried.events.clear();
    // At their turn each has what it was promised, however much the first wants; what is left goes to who comes first.
    for key in &keys {
        tried.server.write(*key, &body).unwrap();
    }
    let said = tried.said();
    let bytes = keys.iter().map(|key| {
        let data = said.iter().filter(|frame| (frame.0, frame.2) == (kind::DATA, key.id));
        data.map(|frame| frame.3.len()).sum::<usize>()
    });
    let bytes: Vec<usize> = bytes.collect();
    assert!((16_384..=32_768).contains(&bytes[0]) && bytes[1..] == [16_384; 2], "{bytes:?}");
}

/// Interim heads, which need no window: 128 KiB and one of them wait.
#[test]
fn a_client_that_takes_nothing_is_not_told_ever_more() {
    let mut tried = Tried::new();
    let key = tried.request(&get(1));
    let head = format!("HTTP/1.1 103 Early Hints\r\nx: {}\r\n\r\n", "y".repeat(30_000));
    let written = (0..64).take_while(|_| tried.server.write(key, head.as_bytes()).is_ok()).count();
    assert_eq!((written, tried.server.may_write(key), tried.server.is_full()), (5, false, true));
    tried.said();
    assert_eq!(tried.events, [Event::Changed(key)]);
    assert!(tried.server.may_write(key) && !tried.server.is_full());
}

#[test]
fn windows_hold_answers_back() {
    let mut tried = Tried::new();
    tried.receive(&frame(kind::SETTINGS, 0, 0, b"\0\x04\0\0\0\x03")).unwrap();
    let key = tried.request(&get(1));
    tried.said();
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX: y\r\n\r\n";
    let taken = tried.server.write(key, answer).unwrap();
    assert_eq!(tried.server.write(key, &answer[taken..]), Err(WriteError::Blocked));
    assert_eq!(tried.said()[1..], [(kind::DATA, 0, 1, b"abc".to_vec())]);
    tried.events.clear();
    tried.receive(&frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9])).unwrap();
    assert_eq!(tried.events, [Event::Changed(key)]);
    assert_eq!(tried.server.write(key, &answer[taken..]), Ok(answer.len() - taken));
    let trailers = b"\0\x01x\x01y".to_vec();
    assert_eq!(tried.said(), [(kind::DATA, 0, 1, b"de".to_vec()), (kind::HEADERS, 5, 1, trailers)]);
    assert_eq!(tried.server.write(key, b"x"), Err(WriteError::Malformed));
}

#[test]
fn heads_are_as_long_as_they_need_to_be() {
    let mut tried = Tried::new();
    // A table that the client makes smaller: it is told at once that nothing is kept (RFC 7541 §4.2).
    tried.receive(&frame(kind::SETTINGS, 0, 0, b"\0\x01\0\0\0\0")).unwrap();
    let key = tried.request(&get(1));
    tried.said();
    let head = format!("HTTP/1.1 103 Early Hints\r\nx: {}\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "y".repeat(40_000));
    assert_eq!(tried.server.write(key, head.as_bytes()), Ok(head.len()));
    let said = tried.said();
    let lengths: Vec<_> = said.iter().map(|(kind, flags, _, payload)| (*kind, *flags, payload.len())).collect();
    // 40,000 bytes; a byte of the table, 5 of the status, 3 of the name, 4 of the length.
    assert_eq!(lengths, [(1, 0, 16_384), (9, 0, 16_384), (9, 4, 7245), (1, 5, 1)]);
    assert!(said[0].3.starts_with(b"\x20\x08\x03103\0\x01x\x7f"));
    assert_eq!(said[3].3, b"\x89");
}

#[test]
fn a_client_that_is_asked_to_leave_is_served_until_it_has_heard() {
    let mut tried = Tried::new();
    let key = tried.request(&get(1));
    tried.server.drain();
    let goaway = |last: u32| (kind::GOAWAY, 0, 0, [last.to_be_bytes(), [0; 4]].concat());
    assert_eq!(tried.said(), [goaway(0x7fff_ffff), (kind::PING, 0, 0, b"leaving?".to_vec())]);
    let late = tried.request(&get(3));
    tried.receive(&frame(kind::PING, flag::ACK, 0, b"leaving?")).unwrap();
    assert_eq!(tried.said(), [goaway(3)]);
    tried.receive(&get(5)).unwrap();
    assert!(tried.requests().is_empty() && tried.said().is_empty());
    for key in [key, late] {
        assert!(!tried.server.is_drained());
        tried.server.write(key, b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        tried.server.release(key);
    }
    assert!(tried.server.is_drained());
}

#[test]
fn a_tunnel_goes_on_after_one_side_has_ended() {
    let mut tried = Tried::new();
    let connect = frame(kind::HEADERS, flag::END_HEADERS, 1, b"\x02\x07CONNECT\x01\x03t:1");
    let key = tried.request(&connect);
    assert_eq!(tried.read(key), "CONNECT t:1 HTTP/1.1\r\nhost: t:1\r\n\r\n");
    tried.server.write(key, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef").unwrap();
    tried.receive(&frame(kind::DATA, 1, 1, b"the rest")).unwrap();
    tried.server.end(key);
    assert_eq!(tried.server.active(), 0);
    assert_eq!((tried.read(key).as_str(), tried.server.ready(key)), ("the rest", Ready::End));
    let said = tried.said();
    assert_eq!(said[1..], [(kind::DATA, 0, 1, b"abcdef".to_vec()), (kind::DATA, 1, 1, Vec::new())]);
}

#[test]
fn an_end_is_told_to_every_stream() {
    let mut tried = Tried::new();
    let key = tried.request(&[get(1), post(3)].concat());
    let Err(end) = tried.receive(&frame(kind::PING, 0, 0, b"short")) else {
        panic!("it breaks the protocol");
    };
    tried.server.leave(end.code(), &mut tried.events);
    assert_eq!(tried.said(), [(kind::GOAWAY, 0, 0, vec![0, 0, 0, 3, 0, 0, 0, 6])]);
    assert_eq!((tried.server.ready(key), tried.server.write(key, b"x")), (Ready::Gone, Err(WriteError::Gone)));
    tried.server.release(key);
    tried.receive(&get(5)).unwrap();
    assert!(tried.requests().is_empty() && tried.said().is_empty());
}
