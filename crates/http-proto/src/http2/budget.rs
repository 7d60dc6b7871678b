use std::time::Duration;

use units::Instant;

use super::frames::{Frame, kind};

/// Frames at once that serve the connection alone (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA …): more than a
/// browser sends in a minute without a request.
const CONTROL_BURST: u32 = 2000;

/// So many of them may come each second besides: what programs send that probe the line with each message.
const CONTROL_RATE: u32 = 500;

/// Streams reset at once: a browser that leaves two pages, each with as many requests under way as it may have.
const RESET_BURST: u32 = 300;

/// So many of them may come each second besides.
const RESET_RATE: u32 = 30;

/// What a request brings with it: a priority, an update of it, a window.
const OF_A_REQUEST: u32 = 4;

/// What a frame of data that was sent is answered with: the stream's window, and the connection's.
const OF_DATA: u32 = 2;

/// Data in smaller pieces is no reason to send windows for each: whoever grants ten bytes at a time plays.
const DATA_BYTES: u32 = 256;

/// How many frames a client may send that nobody has use for. Useful ones earn some, time earns some.
#[derive(Clone, Debug)]
pub struct Budget {
    control: u32,
    resets: u32,
    /// Until when time has been counted.
    since: Instant,
}

/// What there was too much of. The connection is to end (ENHANCE_YOUR_CALM, RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Frames that serve the connection alone.
    Control,
    /// Requests that are reset.
    Resets,
}

impl Budget {
    /// Of a connection that begins.
    pub fn new(now: Instant) -> Budget {
        Budget { control: CONTROL_BURST, resets: RESET_BURST, since: now }
    }

    /// A frame has come; `clock` is asked only when there is little left.
    ///
    /// # Errors
    /// If it is one too many.
    pub fn received(&mut self, frame: Frame, clock: impl FnOnce() -> Instant) -> Result<(), Flood> {
        match frame.kind {
            kind::HEADERS => self.earn(OF_A_REQUEST),
            kind::DATA if frame.length >= DATA_BYTES => self.earn(1),
            kind::DATA if frame.length > 0 || frame.ends_stream() => {}
            kind::RST_STREAM => {
                if self.resets == 0 {
                    self.count_time(clock());
                }
                self.resets = self.resets.checked_sub(1).ok_or(Flood::Resets)?;
            }
            _ => {
                if self.control == 0 {
                    self.count_time(clock());
                }
                self.control = self.control.checked_sub(1).ok_or(Flood::Control)?;
            }
        }
        Ok(())
    }

    /// A frame has been sent.
    pub fn sent(&mut self, frame: Frame) {
        if frame.ends_stream() {
            self.resets = (self.resets + 1).min(RESET_BURST);
            self.earn(OF_DATA);
        } else if frame.kind == kind::DATA && frame.length >= DATA_BYTES {
            self.earn(OF_DATA);
        }
    }

    fn earn(&mut self, frames: u32) {
        self.control = (self.control + frames).min(CONTROL_BURST);
    }

    /// What time has earned is given in whole tenths of a second, so that little of it is lost between them.
    fn count_time(&mut self, now: Instant) {
        let tenths = now.since(self.since).as_millis() / 100;
        let tenths = u32::try_from(tenths).unwrap_or(u32::MAX);
        self.since = self.since + Duration::from_millis(100) * tenths;
        self.control = self.control.saturating_add(tenths.saturating_mul(CONTROL_RATE / 10)).min(CONTROL_BURST);
        self.resets = self.resets.saturating_add(tenths.saturating_mul(RESET_RATE / 10)).min(RESET_BURST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: Frame = Frame { kind: 6, flags: 0, stream: 0, length: 8, code: 0 };
    const RESET: Frame = Frame { kind: kind::RST_STREAM, flags: 0, stream: 1, length: 4, code: 8 };
    const HEADERS: Frame = Frame { kind: kind::HEADERS, flags: 5, stream: 1, length: 40, code: 0 };

    fn data(length: u32, flags: u8) -> Frame {
        Frame { kind: kind::DATA, flags, stream: 1, length, code: 0 }
    }

    #[test]
    fn what_serves_nobody_is_too_much_at_some_time() {
        let now = Instant::from_millis(7);
        for frame in
            [PING, data(0, 0), Frame { kind: 8, ..PING }, Frame { kind: 9, ..PING }, Frame { kind: 77, ..PING }]
        {
            let mut budget = Budget::new(now);
            for _ in 0..2000 {
                assert_eq!(budget.received(frame, || now), Ok(()));
            }
            assert_eq!(budget.received(frame, || now), Err(Flood::Control), "{frame:?}");
        }
        let mut budget = Budget::new(now);
        for _ in 0..300 {
            assert_eq!(budget.received(HEADERS, || now), Ok(()));
            assert_eq!(budget.received(RESET, || now), Ok(()));
        }
        assert_eq!(budget.received(RESET, || now), Err(Flood::Resets));
    }

    #[test]
    fn time_earns_what_a_calm_client_needs() {
        let mut now = Instant::from_millis(7);
        let mut budget = Budget::new(now);
        for second in 0..60 {
            for _ in 0..500 {
                assert_eq!(budget.received(PING, || now), Ok(()), "second {second}");
            }
            for _ in 0..30 {
                assert_eq!(budget.received(RESET, || now), Ok(()), "second {second}");
            }
            now = now + Duration::from_secs(1);
        }
        // Never more than at the beginning, however long it waits.
        now = now + Duration::from_secs(86_400 * 365);
        let passed = (0..10_000).take_while(|_| budget.received(PING, || now).is_ok()).count();
        assert!((2000..=4000).contains(&passed), "{passed}");
    }

    #[test]
    fn use_earns_windows_and_answers_earn_resets() {
        let now = Instant::from_millis(7);
        let mut budget = Budget::new(now);
        let window = Frame { kind: 8, ..PING };
        for _ in 0..100_000 {
            budget.sent(data(16_384, 0));
            assert_eq!((budget.received(window, || now), budget.received(window, || now)), (Ok(()), Ok(())));
        }
        for _ in 0..100_000 {
            budget.sent(data(10, 1));
            assert_eq!(budget.received(RESET, || now), Ok(()));
        }
        // Windows of a few bytes earn nothing.
        let passed = (0..10_000)
            .take_while(|_| {
                budget.sent(data(10, 0));
                budget.received(window, || now).is_ok()
            })
            .count();
        assert_eq!(passed, 2000);
    }
}
