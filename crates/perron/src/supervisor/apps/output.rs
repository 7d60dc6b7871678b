//! What applications say: lines of a bounded length, and so many of them.

use std::time::Duration;

use units::Instant;

/// Of a longer line the rest is left out.
pub(super) const LINE_MAX: usize = 2048;

/// Lines at once of one process, after a silence.
const BURST: u32 = 200;

/// One more line after each of these.
const LINE_PERIOD: Duration = Duration::from_millis(20);

/// Makes lines of what a process says, and counts those that are too many.
#[derive(Debug)]
pub(super) struct Lines {
    /// The beginning of a line; never longer than [`LINE_MAX`].
    begun: Vec<u8>,
    /// Whether the line that has begun is longer.
    cut: bool,
    /// How many lines may be told now.
    room: u32,
    filled_at: Instant,
    left_out: u64,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A line, without control characters.
    Line(String),
    /// So many lines before the next one were too many.
    LeftOut(u64),
}

impl Lines {
    pub(super) fn new(now: Instant) -> Lines {
        Lines { begun: Vec::new(), cut: false, room: BURST, filled_at: now, left_out: 0 }
    }

    /// Takes what a process has said.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant, told: &mut Vec<Told>) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(&rest[..end]);
            self.end_line(now, told);
            rest = &rest[end + 1..];
        }
        self.extend(rest);
    }

    /// It says nothing any more.
    pub(super) fn finish(&mut self, now: Instant, told: &mut Vec<Told>) {
        self.end_line(now, told);
        self.tell_left_out(told);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_MAX - self.begun.len();
        self.cut |= bytes.len() > room;
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self, now: Instant, told: &mut Vec<Told>) {
        let (line, cut) = (std::mem::take(&mut self.begun), std::mem::take(&mut self.cut));
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        self.fill(now);
        if self.room == 0 {
            self.left_out += 1;
            return;
        }
        self.room -= 1;
        self.tell_left_out(told);
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if cut {
            text.push('…');
        }
        told.push(Told::Line(text));
    }

    fn fill(&mut self, now: Instant) {
        let periods = now.since(self.filled_at).as_nanos() / LINE_PERIOD.as_nanos();
        let more = u32::try_from(periods).unwrap_or(u32::MAX).min(BURST);
        if more > 0 {
            self.room = (self.room + more).min(BURST);
            self.filled_at = now;
        }
    }

    fn tell_left_out(&mut self, told: &mut Vec<Told>) {
        if self.left_out > 0 {
            told.push(Told::LeftOut(std::mem::take(&mut self.left_out)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn line(text: &str) -> Told {
        Told::Line(text.to_owned())
    }

    #[test]
    fn lines_are_told_whole_without_what_a_terminal_obeys() {
        let mut lines = Lines::new(at(0));
        let mut told = Vec::new();
        lines.push(b"one\ntw", at(0), &mut told);
        lines.push(b"o\r\n\n  \n\x1b[1mthree\xff\nfour", at(0), &mut told);
        assert_eq!(told, [line("one"), line("two"), line(" [1mthree\u{fffd}")]);
        told.clear();
        lines.finish(at(0), &mut told);
        assert_eq!(told, [line("four")]);
    }

    #[test]
    fn a_line_has_2048_bytes_at_most() {
        let mut lines = Lines::new(at(0));
        let mut told = Vec::new();
        for _ in 0..100 {
            lines.push(&[b'x'; 1000], at(0), &mut told);
        }
        assert_eq!(lines.begun.len(), 2048);
        lines.push(b"\nnext\n", at(0), &mut told);
        assert_eq!(told, [Told::Line(format!("{}…", "x".repeat(2048))), line("next")]);
        told.clear();
        lines.push(&[&[b'y'; 2048][..], b"\n"].concat(), at(0), &mut told);
        assert_eq!(told, [line(&"y".repeat(2048))], "just so long");
    }

    #[test]
    fn of_too_many_lines_the_number_is_told() {
        let mut lines = Lines::new(at(0));
        let mut told = Vec::new();
        lines.push("a\n".repeat(1_000).as_bytes(), at(0), &mut told);
        assert_eq!(told, vec![line("a"); 200]);
        told.clear();
        // 50 lines a second.
        lines.push("b\n".repeat(10).as_bytes(), at(100), &mut told);
        assert_eq!(told[..2], [Told::LeftOut(800), line("b")]);
        assert_eq!(told.len(), 6);
        told.clear();
        lines.finish(at(100), &mut told);
        assert_eq!(told, [Told::LeftOut(5)]);
    }
}
