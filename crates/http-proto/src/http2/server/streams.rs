use super::{FIRST_WINDOW, Key, STREAM_WINDOW};
use crate::chunked::{Chunked, LAST_CHUNK, write_chunk_head};
use crate::head_error::HeadError;
use crate::http2::head::{BodyForm, Outline};

/// A buffer of a stream's that has grown beyond this is not kept for the next one.
const KEPT_BYTES: usize = 4 * 1024;

/// Payload that has been read is let go of when it is more than this.
const READ_BYTES: usize = 64 * 1024;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Whether somebody serves it.
    pub(super) has_begun: bool,
    /// The client has sent all of it.
    pub(super) has_ended: bool,
    /// All has been answered.
    pub(super) is_answered: bool,
    /// Both, or it was reset.
    pub(super) is_closed: bool,
    /// It was reset, or its connection is over.
    pub(super) is_gone: bool,
    pub(super) refused: Option<HeadError>,
    pub(super) outline: Outline,
    /// Of the length that it said.
    pub(super) length_left: Option<u64>,
    /// What comes before the payload that is here: the head, a chunk's line, trailers.
    pub(super) text: Vec<u8>,
    text_at: usize,
    data: Vec<u8>,
    data_at: usize,
    /// Payload of which the chunk's line has been written.
    chunk_left: usize,
    /// Lines of trailers, with the blank one.
    pub(super) trailers: Vec<u8>,
    /// Its end has been written.
    is_told: bool,
    pub(super) receive_window: i64,
    /// Bytes that came and have not been read.
    unread: u32,
    /// Bytes that were read, of which the client has not been told.
    untold: u32,
    pub(super) tiny: u32,
    pub(super) send_window: i64,
    pub(super) answer: Answer,
    /// It is among those that wait for room.
    pub(super) is_waiting: bool,
    /// What it may write at its turn.
    pub(super) grant: usize,
    /// It waits for its own window.
    pub(super) is_blocked: bool,
}

/// How far an answer has come.
#[derive(Debug)]
pub(super) enum Answer {
    /// Its head is awaited.
    Head,
    /// So many bytes are left.
    Length(u64),
    /// Chunks and trailers; the trailers that have come.
    Chunked(Box<(Chunked, Vec<u8>)>),
    /// Everything until it is said to be the end.
    Endless,
    /// Nothing is left.
    Nothing,
}

impl Stream {
    fn new() -> Stream {
        Stream {
            id: 0,
            has_begun: false,
            has_ended: false,
            is_answered: false,
            is_closed: true,
            is_gone: false,
            refused: None,
            outline: Outline::default(),
            length_left: None,
            text: Vec::new(),
            text_at: 0,
            data: Vec::new(),
            data_at: 0,
            chunk_left: 0,
            trailers: Vec::new(),
            is_told: false,
            receive_window: 0,
            unread: 0,
            untold: 0,
            tiny: 0,
            send_window: 0,
            answer: Answer::Head,
            is_waiting: false,
            grant: 0,
            is_blocked: false,
        }
    }

    /// Begins anew, with the buffers of the one before.
    fn open(&mut self, id: u32, send_window: u32) {
        let kept = |buffer: &mut Vec<u8>| {
            let mut buffer = std::mem::take(buffer);
            buffer.clear();
            if buffer.capacity() > KEPT_BYTES { Vec::new() } else { buffer }
        };
        let (text, data, trailers) = (kept(&mut self.text), kept(&mut self.data), kept(&mut self.trailers));
        *self = Stream {
            id,
            is_closed: false,
            text,
            data,
            trailers,
            receive_window: i64::from(STREAM_WINDOW),
            send_window: i64::from(send_window),
            ..Stream::new()
        };
    }

    /// Drops what has not been read; how many bytes of the connection's window that frees.
    pub(super) fn let_go(&mut self) -> u32 {
        self.data = Vec::new();
        self.data_at = 0;
        self.chunk_left = 0;
        std::mem::take(&mut self.unread)
    }

    /// Payload has come.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.data.extend_from_slice(piece);
        self.unread += piece.len() as u32;
    }

    /// Whether there is payload that nobody has read.
    pub(super) fn has_data(&self) -> bool {
        self.data_at < self.data.len()
    }

    /// Whether bytes can be read at once.
    pub(super) fn has_bytes(&self) -> bool {
        self.text_at < self.text.len() || self.has_data() || (self.has_ended && !self.is_told && self.tells_end())
    }

    /// Whether the end is something that is read.
    fn tells_end(&self) -> bool {
        self.outline.body == BodyForm::Chunked
    }

    /// Copies what there is, as HTTP/1; how much, and how many bytes of windows that frees.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> (usize, u32) {
        let (mut copied, mut freed) = (0, 0);
        let is_chunked = self.outline.body == BodyForm::Chunked;
        while copied < buffer.len() {
            if self.text_at < self.text.len() {
                self.text_at += put(buffer, &mut copied, &self.text[self.text_at..]);
            } else if self.chunk_left > 0 {
                let piece = &self.data[self.data_at..self.data_at + self.chunk_left];
                let taken = put(buffer, &mut copied, piece);
                self.data_at += taken;
                self.chunk_left -= taken;
                freed += taken as u32;
                if self.chunk_left == 0 {
                    self.tidy();
                    if is_chunked {
                        self.say(b"\r\n");
                    }
                }
            } else if self.has_data() {
                self.chunk_left = self.data.len() - self.data_at;
                if is_chunked {
                    self.say(b"");
                    write_chunk_head(&mut self.text, self.chunk_left as u64);
                }
            } else if self.has_ended && !self.is_told && is_chunked {
                self.is_told = true;
                self.say(b"");
                if self.trailers.is_empty() {
                    self.text.extend_from_slice(LAST_CHUNK);
                } else {
                    self.text.extend_from_slice(b"0\r\n");
                    self.text.append(&mut self.trailers);
                }
            } else {
                break;
            }
        }
        self.unread -= freed;
        (copied, freed)
    }

    /// What is read next.
    fn say(&mut self, text: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.text_at = 0;
    }

    fn tidy(&mut self) {
        if self.data_at == self.data.len() {
            self.data.clear();
            self.data_at = 0;
        } else if self.data_at > READ_BYTES {
            self.data.drain(..self.data_at);
            self.data_at = 0;
        }
    }

    /// Bytes have been read: by how many the client's window opens again, if that is worth a word.
    pub(super) fn reopen(&mut self, freed: u32) -> Option<u32> {
        self.untold += freed;
        if self.has_ended || self.is_closed || self.untold < STREAM_WINDOW / 2 {
            return None;
        }
        self.receive_window += i64::from(self.untold);
        Some(std::mem::take(&mut self.untold))
    }
}

/// Puts as much of `bytes` behind what is there as there is room for.
fn put(buffer: &mut [u8], filled: &mut usize, bytes: &[u8]) -> usize {
    let taken = bytes.len().min(buffer.len() - *filled);
    buffer[*filled..*filled + taken].copy_from_slice(&bytes[..taken]);
    *filled += taken;
    taken
}

/// All streams that are held.
#[derive(Debug, Default)]
pub(super) struct Streams {
    places: Vec<Stream>,
    free: Vec<u16>,
    /// Identifiers, ever larger, and where they are.
    by_id: Vec<(u32, u16)>,
    /// Those that are not closed.
    pub(super) active: usize,
}

impl Streams {
    pub(super) fn held(&self) -> usize {
        self.by_id.len()
    }

    /// A new one, whose identifier is larger than all before.
    pub(super) fn open(&mut self, id: u32, send_window: u32) -> Key {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Stream::new());
            (self.places.len() - 1) as u16
        });
        self.places[usize::from(place)].open(id, send_window);
        self.by_id.push((id, place));
        self.active += 1;
        Key { place, id }
    }

    pub(super) fn key_of(&self, id: u32) -> Option<Key> {
        let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(Key { place: self.by_id[at].1, id })
    }

    pub(super) fn find(&mut self, key: Key) -> Option<&mut Stream> {
        self.places.get_mut(usize::from(key.place)).filter(|stream| stream.id == key.id)
    }

    pub(super) fn look(&self, key: Key) -> Option<&Stream> {
        self.places.get(usize::from(key.place)).filter(|stream| stream.id == key.id)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.by_id.iter().map(|&(id, place)| Key { place, id })
    }

    /// Forgets a stream that is closed.
    pub(super) fn free(&mut self, key: Key) {
        if let Ok(at) = self.by_id.binary_search_by_key(&key.id, |(id, _)| *id) {
            self.by_id.remove(at);
            self.places[usize::from(key.place)].id = 0;
            self.free.push(key.place);
        }
    }

    /// Changes every window by as much; `false`: one becomes larger than may be.
    pub(super) fn shift_windows(&mut self, by: i64, mut opened: impl FnMut(Key)) -> bool {
        for &(id, place) in &self.by_id {
            let stream = &mut self.places[usize::from(place)];
            if stream.is_closed {
                continue;
            }
            stream.send_window += by;
            if stream.send_window > super::WINDOW_MAX {
                return false;
            }
            if stream.is_blocked && stream.send_window > 0 {
                stream.is_blocked = false;
                opened(Key { place, id });
            }
        }
        true
    }
}

const _: () = assert!(FIRST_WINDOW < STREAM_WINDOW, "a client that has not heard of our window keeps within it");
