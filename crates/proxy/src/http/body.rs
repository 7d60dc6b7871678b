use http_proto::{ChunkError, Chunked, Framing};

/// What is left of a message's body, whichever way its end is told.
#[derive(Clone, Debug, Default)]
pub(crate) enum Body {
    /// Nothing.
    #[default]
    Done,
    /// So many bytes.
    Length(u64),
    /// Chunks and trailers.
    Chunked(Chunked),
    /// Everything until the server closes.
    UntilClose,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Body {
        match framing {
            Framing::None | Framing::Length(0) => Body::Done,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Chunked::new()),
            Framing::UntilClose => Body::UntilClose,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Body::Done)
    }

    /// Follows the body through `bytes`; says how many of them belong to it.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, ChunkError> {
        let (taken, ended) = match self {
            Body::Done => (0, true),
            Body::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                (taken, *left == 0)
            }
            Body::Chunked(chunked) => chunked.scan(bytes)?,
            Body::UntilClose => (bytes.len(), false),
        };
        if ended {
            *self = Body::Done;
        }
        Ok(taken)
    }

    /// Like [`Body::take`], and appends the payload without its framing to `out`.
    pub(crate) fn take_payload(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, ChunkError> {
        self.take_apart(bytes, out, &mut Vec::new())
    }

    /// Like [`Body::take_payload`], and appends the lines of trailers to `trailers`.
    pub(crate) fn take_apart(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        trailers: &mut Vec<u8>,
    ) -> Result<usize, ChunkError> {
        let Body::Chunked(chunked) = self else {
            let taken = self.take(bytes)?;
            out.extend_from_slice(&bytes[..taken]);
            return Ok(taken);
        };
        let mut taken = 0;
        while taken < bytes.len() && !chunked.ended() {
            let step = chunked.advance_keeping(&bytes[taken..], trailers)?;
            out.extend_from_slice(&bytes[taken..][step.data]);
            taken += step.taken;
        }
        if chunked.ended() {
            *self = Body::Done;
        }
        Ok(taken)
    }

    /// How many bytes come next that need not be looked at.
    pub(crate) fn unseen(&self) -> u64 {
        match self {
            Body::Done => 0,
            Body::Length(left) => *left,
            Body::Chunked(chunked) => chunked.data_left(),
            Body::UntilClose => u64::MAX,
        }
    }

    /// Follows the body past `count` bytes of [`Body::unseen`].
    pub(crate) fn pass(&mut self, count: u64) {
        match self {
            Body::Done | Body::UntilClose => {}
            Body::Length(left) => {
                *left -= count;
                if *left == 0 {
                    *self = Body::Done;
                }
            }
            Body::Chunked(chunked) => chunked.pass(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_ends_where_it_says_and_leaves_the_rest() {
        let mut body = Body::new(Framing::Length(5));
        assert_eq!(body.take(b"abc"), Ok(3));
        assert_eq!(body.take(b"deNEXT"), Ok(2));
        assert!(body.is_done());
    }

    #[test]
    fn chunks_lose_their_framing_for_old_clients() {
        let mut body = Body::new(Framing::Chunked);
        let mut out = Vec::new();
        let bytes = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nNEXT";
        assert_eq!(body.take_payload(bytes, &mut out), Ok(bytes.len() - 4));
        assert_eq!(out, b"abcde");
        assert!(body.is_done());
    }

    #[test]
    fn what_the_kernel_moved_is_not_looked_for_again() {
        let mut body = Body::new(Framing::Chunked);
        assert_eq!(body.take(b"6\r\nab"), Ok(5));
        assert_eq!(body.unseen(), 4);
        body.pass(4);
        assert_eq!(body.take(b"\r\n0\r\n\r\n"), Ok(7));
        assert!(body.is_done());
    }
}
