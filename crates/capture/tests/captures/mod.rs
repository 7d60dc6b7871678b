//! Captures as text.

#![allow(dead_code)]

use std::fs;
use std::path::Path;

use capture::{Event, Explainer, Link, Packet, Scope};
use units::Instant;

/// Frames of Ethernet with their times.
pub(crate) struct Capture {
    pub(crate) frames: Vec<(Instant, Vec<u8>)>,
}

impl Capture {
    pub(crate) fn read(name: &str) -> Capture {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/captures/{name}.txt"));
        let text = fs::read_to_string(path).expect("the capture is there");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let frames = lines.map(|line| {
            let (time, bytes) = line.split_once(' ').expect("a time and bytes");
            let (seconds, nanos) = time.split_once('.').expect("seconds and nanoseconds");
            let nanos: u64 = nanos.parse().expect("nine digits");
            let seconds: u64 = seconds.parse().expect("digits");
            (Instant::from_nanos(seconds * 1_000_000_000 + nanos), unhex(bytes))
        });
        Capture { frames: frames.collect() }
    }
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}

/// What is told of it, and then of the two seconds after its end.
pub(crate) fn events(capture: &Capture, scope: Scope) -> Vec<Event> {
    let mut explainer = Explainer::new(scope);
    let mut events = Vec::new();
    for (time, bytes) in &capture.frames {
        let packet = Packet { time: *time, interface: 0, bytes, length: bytes.len() as u32 };
        explainer.explain(Link::ETHERNET, &packet, true, &mut events);
    }
    events
}

/// Time in milliseconds, packet, kind and text of what is no routine.
pub(crate) fn timeline(capture: &Capture) -> Vec<String> {
    let told = events(capture, Scope::default()).into_iter().filter(|event| !event.is_routine);
    let line = |event: Event| {
        let packet = event.packet.map_or("-".to_owned(), |packet| packet.to_string());
        let millis = event.time.as_nanos() as f64 / 1e6;
        format!("{millis:.1} #{packet} {}: {}", event.kind, event.text)
    };
    told.map(line).collect()
}
