//! Whatever a capture file says, it is read to an end and explained within bounds; and what is written of it is read again.

use std::io::Cursor;

use capture::{Explainer, Link, Packet, ReadError, Reader, Scope, Verdict, Writer};
use units::Instant;

use crate::split_first;

/// One byte chooses: 0 to 127, a whole file follows; else frames of one link, each after its length and the milliseconds that
/// have passed, a byte each.
pub fn capture_file(bytes: &[u8]) {
    let (choice, rest) = split_first(bytes);
    let servers = vec!["10.0.0.21:80".parse().expect("an address and a port")];
    let mut explainer = Explainer::new(Scope { servers, ..Scope::default() });
    if choice < 128 {
        whole_file(&mut explainer, rest);
    } else {
        let links = [Link::ETHERNET, Link::RAW, Link::LINUX_SLL, Link::LINUX_SLL2];
        frames(&mut explainer, links[usize::from(choice) % links.len()], rest);
    }
}

fn whole_file(explainer: &mut Explainer, file: &[u8]) {
    let Ok(mut reader) = Reader::new(Cursor::new(file)) else { return };
    let mut written = Vec::new();
    let mut writer = Writer::new(&mut written).expect("memory takes all");
    let (mut packets, mut events) = (Vec::new(), Vec::new());
    let end = loop {
        match reader.next_packet() {
            Ok(Some((interface, packet))) => {
                let verdict = explainer.explain(interface.link, &packet, true, &mut events);
                let number = writer.interfaces();
                writer.interface(interface).expect("memory takes all");
                let packet = Packet { interface: number, ..packet };
                let comment = if let Verdict::Comment(comment) = &verdict { Some(comment.as_str()) } else { None };
                writer.packet(&packet, comment).expect("memory takes all");
                packets.push((packet.time, interface.link, packet.bytes.to_vec(), packet.length));
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert_ne!(end, Some(ReadError::Unreadable), "memory gives all");
    assert!(events.iter().all(|event| !event.text.contains(char::is_control)), "a terminal is not to obey packets");
    let mut again = Reader::new(Cursor::new(&written)).expect("it was written");
    for (time, link, bytes, length) in packets {
        let (interface, packet) = again.next_packet().expect("it is whole").expect("there are as many");
        assert_eq!((packet.time, interface.link, packet.bytes, packet.length), (time, link, &bytes[..], length));
    }
    assert!(again.next_packet().expect("it is whole").is_none());
}

fn frames(explainer: &mut Explainer, link: Link, mut rest: &[u8]) {
    let (mut now, mut events, mut number) = (Instant::from_millis(1_000_000), Vec::new(), 0);
    while let [length, millis, after @ ..] = rest {
        let (frame, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        now = now + std::time::Duration::from_millis(u64::from(*millis));
        let packet = Packet { time: now, interface: 0, bytes: frame, length: u32::from(*length) };
        if explainer.explain(link, &packet, false, &mut events) != Verdict::Other {
            number += 1;
        }
        assert!(explainer.deadline().is_none_or(|deadline| deadline > now), "what was due was said");
    }
    explainer.handle_deadline(now + std::time::Duration::from_secs(3600), &mut events);
    let numbers = events.iter().filter_map(|event| event.packet);
    assert!(numbers.max().unwrap_or(0) <= number, "an event names a packet that there is not");
    assert!(events.iter().all(|event| !event.text.contains(char::is_control)), "a terminal is not to obey packets");
}
