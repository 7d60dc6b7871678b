use std::io;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use h2::SendStream;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_proto::Chunked;
use http_proto::http2::lines;

/// The most of a body that is given to the library at once, and that it holds of one stream.
pub(super) const SEND_BYTES: usize = 64 * 1024;

/// A body of HTTP/1 on its way into a stream of HTTP/2.
#[derive(Debug)]
pub(super) struct Writing {
    send: SendStream<Bytes>,
    left: Left,
}

/// What is left of it.
#[derive(Debug)]
pub(super) enum Left {
    /// So many bytes.
    Length(u64),
    /// Chunks and trailers; those that have come.
    Chunked(Box<(Chunked, Vec<u8>)>),
    /// Everything until it is said to be the end.
    Endless,
    /// Nothing.
    Nothing,
}

impl Writing {
    pub(super) fn new(send: SendStream<Bytes>, left: Left) -> Writing {
        Writing { send, left }
    }

    /// Whether the stream has been told its end.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    /// Writes what the windows of the stream and the connection have room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.left {
            Left::Nothing => Err(io::ErrorKind::InvalidData.into()),
            Left::Length(left) => {
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let room = room(&mut self.send, wanted)?;
                *left -= room as u64;
                let is_last = *left == 0;
                if is_last {
                    self.left = Left::Nothing;
                }
                self.send_data(Bytes::copy_from_slice(&bytes[..room]), is_last)?;
                Ok(room)
            }
            Left::Endless => {
                let room = room(&mut self.send, bytes.len())?;
                self.send_data(Bytes::copy_from_slice(&bytes[..room]), false)?;
                Ok(room)
            }
            Left::Chunked(_) => self.write_chunked(bytes),
        }
    }

    /// All payload among `bytes` goes in one frame, with the end if that is there.
    fn write_chunked(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Left::Chunked(state) = &mut self.left else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let (chunked, trailers) = &mut **state;
        let mut payload = Vec::new();
        let mut taken = 0;
        let mut is_full = false;
        while taken < bytes.len() && !chunked.ended() {
            let data = usize::try_from(chunked.data_left()).unwrap_or(usize::MAX).min(bytes.len() - taken);
            if data == 0 {
                if chunked.is_in_trailers() {
                    trailers.push(bytes[taken]);
                }
                chunked.advance(&bytes[taken..=taken]).map_err(|_| io::ErrorKind::InvalidData)?;
                taken += 1;
                continue;
            }
            let room = room(&mut self.send, payload.len() + data).unwrap_or(0).saturating_sub(payload.len()).min(data);
            payload.extend_from_slice(&bytes[taken..taken + room]);
            chunked.pass(room as u64);
            taken += room;
            if room < data {
                is_full = true;
                break;
            }
        }
        let ended = chunked.ended();
        let trailers = if ended { std::mem::take(trailers) } else { Vec::new() };
        let fields = fields_of(&trailers)?;
        if ended {
            self.left = Left::Nothing;
        }
        if !payload.is_empty() || (ended && fields.is_empty()) {
            self.send_data(payload.into(), ended && fields.is_empty())?;
        }
        if ended && !fields.is_empty() {
            self.send.send_trailers(fields).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        match taken {
            0 if is_full => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    fn send_data(&mut self, data: Bytes, is_last: bool) -> io::Result<()> {
        self.send.send_data(data, is_last).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits until the windows have room.
    pub(super) fn poll_room(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if self.is_done() || self.send.capacity() > 0 {
            return Poll::Ready(Ok(()));
        }
        match self.send.poll_capacity(cx) {
            Poll::Ready(Some(Ok(_))) => Poll::Ready(Ok(())),
            Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The end of a body that says its end in no other way.
    pub(super) fn end(&mut self) {
        if matches!(self.left, Left::Endless) {
            self.left = Left::Nothing;
            let _ = self.send_data(Bytes::new(), true);
        }
    }

    /// Tells the peer that what came was not the whole.
    pub(super) fn cut(&mut self, reason: h2::Reason) {
        if !self.is_done() {
            self.left = Left::Nothing;
            self.send.send_reset(reason);
        }
    }
}

/// For how many of `wanted` bytes there is room now; not 0.
fn room(send: &mut SendStream<Bytes>, wanted: usize) -> io::Result<usize> {
    let wanted = wanted.min(SEND_BYTES);
    if send.capacity() < wanted {
        send.reserve_capacity(wanted);
    }
    match send.capacity().min(wanted) {
        0 if wanted > 0 => Err(io::ErrorKind::WouldBlock.into()),
        room => Ok(room),
    }
}

fn fields_of(text: &[u8]) -> io::Result<HeaderMap> {
    let mut fields = HeaderMap::new();
    for line in lines(text) {
        let name = HeaderName::from_bytes(line.name).map_err(|_| io::ErrorKind::InvalidData)?;
        let value = HeaderValue::from_bytes(line.value).map_err(|_| io::ErrorKind::InvalidData)?;
        fields.try_append(name, value).map_err(|_| io::ErrorKind::InvalidData)?;
    }
    Ok(fields)
}

/// What the fields of a head of ours become, those of the connection apart, and how its body ends by them.
pub(super) fn fields_and_end(text: &Bytes) -> io::Result<(HeaderMap, Left)> {
    let mut fields = HeaderMap::with_capacity(16);
    let mut left = Left::Endless;
    for line in lines(text) {
        let name = HeaderName::from_bytes(line.name).map_err(|_| io::ErrorKind::InvalidData)?;
        match name.as_str() {
            "connection" | "keep-alive" | "proxy-connection" | "upgrade" | "te" | "host" => continue,
            "transfer-encoding" => {
                left = Left::Chunked(Box::new((Chunked::new(), Vec::new())));
                continue;
            }
            "content-length" => {
                let length = std::str::from_utf8(line.value).ok().and_then(|text| text.parse().ok());
                left = Left::Length(length.ok_or(io::ErrorKind::InvalidData)?);
            }
            _ => {}
        }
        let value = HeaderValue::from_maybe_shared(text.slice_ref(line.value));
        let value = value.map_err(|_| io::ErrorKind::InvalidData)?;
        fields.try_append(name, value).map_err(|_| io::ErrorKind::InvalidData)?;
    }
    Ok((fields, left))
}
