//! Messages out of a stream of bytes, as whoever makes them sets them apart. Pure.

/// The longest message that is taken: far more than progress needs, and a result may be a list of everything.
pub const MESSAGE_BYTES: usize = 16 << 20;

/// RFC 7464 begins each JSON text with this byte; it is no part of one.
const RECORD_SEPARATOR: u8 = 0x1e;

/// The byte after each message of Ganeti's LUXI: ASCII's end of text.
const END_OF_TEXT: u8 = 0x03;

/// What ends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// This byte.
    Byte(u8),
    /// The blank line of server-sent events; their `data` is the message.
    Events,
    /// The byte 0x03, which no JSON text can hold, or a line's end outside of any JSON object or array.
    Auto,
}

/// A message is longer than [`MESSAGE_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is longer than {} MiB", MESSAGE_BYTES >> 20)]
pub struct TooLong;

/// Takes a stream in pieces, however it was cut, and gives its messages.
#[derive(Debug)]
pub struct Splitter {
    separator: Separator,
    /// The message, or the line of an event, as far as it has come.
    held: Vec<u8>,
    nesting: Nesting,
    event: Event,
}

/// Where in a JSON text its end so far is.
#[derive(Debug, Default)]
struct Nesting {
    /// Its first byte that is no white space.
    first: Option<u8>,
    depth: usize,
    in_text: bool,
    is_escaped: bool,
}

/// An event as far as it has come.
#[derive(Debug, Default)]
struct Event {
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a CR: an LF now belongs to the same line's end.
    after_return: bool,
    /// Whether a line has come: a byte order mark stands only before the first.
    has_begun: bool,
}

impl Splitter {
    /// Nothing has come yet.
    pub fn new(separator: Separator) -> Splitter {
        Splitter { separator, held: Vec::new(), nesting: Nesting::default(), event: Event::default() }
    }

    /// Takes what comes next, and gives each message that it completes to `each`, without the white space around it;
    /// one of white space alone (a heartbeat) is none.
    ///
    /// # Errors
    /// If a message is too long; nothing sensible can follow.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), TooLong> {
        for &byte in bytes {
            if self.separator == Separator::Events {
                self.push_of_event(byte, &mut each)?;
            } else if self.ends_at(byte) {
                give(&self.held, &mut each);
                self.held.clear();
                self.nesting = Nesting::default();
            } else {
                self.hold(byte)?;
            }
        }
        Ok(())
    }

    /// The stream has ended: what came after the last separator is a message too, except of events.
    pub fn finish(self, mut each: impl FnMut(&[u8])) {
        if self.separator != Separator::Events {
            give(&self.held, &mut each);
        }
    }

    fn hold(&mut self, byte: u8) -> Result<(), TooLong> {
        if self.held.len() + self.event.data.len() >= MESSAGE_BYTES {
            return Err(TooLong);
        }
        self.held.push(byte);
        Ok(())
    }

    fn ends_at(&mut self, byte: u8) -> bool {
        match self.separator {
            Separator::Byte(separator) => byte == separator,
            Separator::Events => false,
            Separator::Auto => byte == END_OF_TEXT || self.ends_outside(byte),
        }
    }

    /// Whether a line ends here, and with it all that is open of JSON. Other text has one message a line.
    fn ends_outside(&mut self, byte: u8) -> bool {
        let nesting = &mut self.nesting;
        if nesting.first.is_none() && !is_around(byte) {
            nesting.first = Some(byte);
        }
        if !matches!(nesting.first, Some(b'{' | b'[')) {
            return byte == b'\n';
        }
        match byte {
            _ if nesting.is_escaped => nesting.is_escaped = false,
            b'\\' if nesting.in_text => nesting.is_escaped = true,
            b'"' => nesting.in_text = !nesting.in_text,
            _ if nesting.in_text => {}
            b'{' | b'[' => nesting.depth += 1,
            b'}' | b']' => nesting.depth = nesting.depth.saturating_sub(1),
            b'\n' => return nesting.depth == 0,
            _ => {}
        }
        false
    }

    /// WHATWG HTML §9.2.6.
    fn push_of_event(&mut self, byte: u8, each: &mut impl FnMut(&[u8])) -> Result<(), TooLong> {
        let is_same_end = std::mem::replace(&mut self.event.after_return, byte == b'\r') && byte == b'\n';
        match byte {
            b'\n' if is_same_end => {}
            b'\r' | b'\n' => self.end_line(each),
            _ => self.hold(byte)?,
        }
        Ok(())
    }

    fn end_line(&mut self, each: &mut impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.held);
        let mut line = line.as_slice();
        if !std::mem::replace(&mut self.event.has_begun, true) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            (self.event.has_begun, self.event.after_return) = (true, event.after_return);
            give(&event.data, each);
            return;
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, value) = colon.map_or((line, &[][..]), |colon| (&line[..colon], &line[colon + 1..]));
        if name == b"data" {
            if std::mem::replace(&mut self.event.has_data, true) {
                self.event.data.push(b'\n');
            }
            self.event.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
    }
}

fn is_around(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == RECORD_SEPARATOR
}

fn give(message: &[u8], each: &mut impl FnMut(&[u8])) {
    let begin = message.iter().position(|&byte| !is_around(byte));
    let end = message.iter().rposition(|&byte| !is_around(byte));
    if let (Some(begin), Some(end)) = (begin, end) {
        each(&message[begin..=end]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(separator: Separator, pieces: &[&[u8]]) -> Result<Vec<String>, TooLong> {
        let mut messages = Vec::new();
        let mut splitter = Splitter::new(separator);
        let mut keep = |message: &[u8]| messages.push(String::from_utf8_lossy(message).into_owned());
        for piece in pieces {
            splitter.push(piece, &mut keep)?;
        }
        splitter.finish(&mut keep);
        Ok(messages)
    }

    fn whole(separator: Separator, text: &str) -> Vec<String> {
        split(separator, &[text.as_bytes()]).unwrap()
    }

    #[test]
    fn a_reserved_byte_ends_a_message_wherever_it_is_cut() {
        let text = "{\"a\":\n1}\n\x03\x03 \n\x03[true,2]\x03rest";
        assert_eq!(whole(Separator::Byte(3), text), ["{\"a\":\n1}", "[true,2]", "rest"]);
        let cut = split(Separator::Byte(3), &[b"{\"a\"", b":1}", b"\x03", b"", b"x\x03y"]);
        assert_eq!(cut.unwrap(), ["{\"a\":1}", "x", "y"]);
        assert_eq!(whole(Separator::Byte(b'\n'), "one\r\ntwo\n\nthree"), ["one", "two", "three"]);
    }

    #[test]
    fn either_separator_is_found_without_being_told() {
        assert_eq!(whole(Separator::Auto, "{\"a\":1}\n{\"b\":2}\n"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(whole(Separator::Auto, "{\"a\":1}\n\x03{\"b\":2}\n\x03"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(
            whole(Separator::Auto, "{\n \"a\": [\n1\n]\n}\n[true,\n0]\n"),
            ["{\n \"a\": [\n1\n]\n}", "[true,\n0]"]
        );
        // Braces and quotes within text open and close nothing.
        assert_eq!(whole(Separator::Auto, "{\"a\":\"}\\\"{\"}\n2\n"), ["{\"a\":\"}\\\"{\"}", "2"]);
        assert_eq!(whole(Separator::Auto, "starting [1/3\nnext\n"), ["starting [1/3", "next"]);
        assert_eq!(whole(Separator::Auto, "\x1e{\"a\":1}\n\x1e{\"b\":2}\n"), ["{\"a\":1}", "{\"b\":2}"]);
        // What never closes ends with the reserved byte at the latest.
        assert_eq!(whole(Separator::Auto, "{\"a\n\x032\n"), ["{\"a", "2"]);
    }

    /// The examples of WHATWG HTML §9.2.6, and each form of a line's end.
    #[test]
    fn events_are_read_as_browsers_read_them() {
        let stocks = "data: YHOO\ndata: +2\ndata: 10\n\n";
        assert_eq!(whole(Separator::Events, stocks), ["YHOO\n+2\n10"]);
        let comments = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n";
        assert_eq!(whole(Separator::Events, comments), ["first event", "second event"]);
        assert_eq!(whole(Separator::Events, "data:test\n\ndata: test\n\n"), ["test", "test"]);
        assert_eq!(whole(Separator::Events, "\u{feff}data: a\r\ndata: b\r\r\ndata: c\r\rdata\n\n"), ["a\nb", "c"]);
        assert_eq!(split(Separator::Events, &[b"data: a\r", b"\n\r", b"\ndata: b\n\n"]).unwrap(), ["a", "b"]);
    }

    #[test]
    fn no_message_is_longer_than_16_mib() {
        let most = vec![b'x'; 16 << 20];
        for separator in [Separator::Byte(3), Separator::Auto] {
            assert_eq!(split(separator, &[&most, b"\x03y"]).unwrap().len(), 2, "{separator:?}");
            assert_eq!(split(separator, &[&most, b"x\x03"]), Err(TooLong));
        }
        // An event's lines count together.
        let half = vec![b'x'; (8 << 20) + 1];
        assert_eq!(split(Separator::Events, &[b"data: ", &half, b"\ndata: ", &half, b"\n\n"]), Err(TooLong));
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_changes_nothing(
            bytes in proptest::collection::vec(prop_oneof![Just(3), Just(b'\n'), Just(b'\r'), Just(b'{'), Just(b'}'),
                Just(b'"'), Just(b'\\'), Just(b':'), Just(b'd'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            for separator in [Separator::Byte(3), Separator::Byte(b'\n'), Separator::Events, Separator::Auto] {
                prop_assert_eq!(split(separator, &[&bytes]), split(separator, &pieces));
            }
        }

        #[test]
        fn json_comes_out_as_it_went_in(
            texts in proptest::collection::vec("\\PC{0,20}", 0..8),
            is_pretty in any::<bool>(),
        ) {
            let values: Vec<serde_json::Value> =
                texts.iter().map(|text| serde_json::json!({ text.as_str(): [text, { "n": 1 }] })).collect();
            let write = |value| if is_pretty { format!("{value:#}") } else { format!("{value}") };
            for end in ["\n", "\x03", "\n\x03"] {
                let stream: String = values.iter().map(|value| write(value) + end).collect();
                let read: Vec<serde_json::Value> =
                    whole(Separator::Auto, &stream).iter().map(|text| serde_json::from_str(text).unwrap()).collect();
                prop_assert_eq!(&read, &values);
            }
        }
    }
}
