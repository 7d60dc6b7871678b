//! A stream of messages, as it comes.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::split::{Separator, Splitter, TooLong};

/// Why a stream goes no further.
#[derive(Debug, thiserror::Error)]
pub enum StreamError<E> {
    /// The connection ended before the stream did.
    #[error(transparent)]
    Broken(E),
    /// It is no stream of messages.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Not even a heartbeat has come for so long.
    #[error("nothing has come for {0:?}")]
    Silent(Duration),
}

/// The messages of a body.
pub struct Messages<B> {
    body: B,
    splitter: Option<Splitter>,
    ready: VecDeque<Vec<u8>>,
    patience: Duration,
}

/// The messages of `body`, which `separator` sets apart: each as soon as all of it is here.
pub fn messages<B: Body<Data = Bytes> + Unpin>(body: B, separator: Separator) -> Messages<B> {
    Messages { body, splitter: Some(Splitter::new(separator)), ready: VecDeque::new(), patience: Duration::MAX }
}

/// How messages are set apart in an answer with this head, if nobody says it.
pub fn separator_of(headers: &HeaderMap) -> Separator {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("text/event-stream") { Separator::Events } else { Separator::Auto }
}

impl<B: Body<Data = Bytes> + Unpin> Messages<B> {
    /// The same, given up when nothing comes for so long.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Messages<B> {
        Messages { patience, ..self }
    }

    /// The next message; `None`: the stream has ended.
    ///
    /// # Errors
    /// If it broke off, a message is too long, or nothing came for longer than the patience.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StreamError<B::Error>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let Some(splitter) = &mut self.splitter else {
                return Ok(None);
            };
            let ready = &mut self.ready;
            let frame = tokio::time::timeout(self.patience, self.body.frame()).await;
            match frame.map_err(|_| StreamError::Silent(self.patience))? {
                Some(Ok(frame)) => {
                    // Trailers say nothing of messages.
                    if let Ok(bytes) = frame.into_data() {
                        splitter.push(&bytes, |message| ready.push_back(message.to_vec()))?;
                    }
                }
                Some(Err(error)) => return Err(StreamError::Broken(error)),
                None => {
                    if let Some(splitter) = self.splitter.take() {
                        splitter.finish(|message| ready.push_back(message.to_vec()));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Channel, Full};

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_message_is_there_before_the_next_has_come() {
        block_on(async {
            let (mut sender, body) = Channel::<Bytes>::new(1);
            let mut messages = messages(body, Separator::Auto);
            for (sent, comes) in [("{\"progress\":0.1}\x03", "{\"progress\":0.1}"), ("[true,1]\n", "[true,1]")] {
                sender.send_data(Bytes::from_static(sent.as_bytes())).await.unwrap();
                assert_eq!(messages.next().await.unwrap().unwrap(), comes.as_bytes());
            }
            drop(sender);
            assert_eq!(messages.next().await.unwrap(), None);
        });
    }

    #[test]
    fn silence_is_given_up_and_heartbeats_are_none() {
        block_on(async {
            let (mut sender, body) = Channel::<Bytes>::new(4);
            let mut messages = messages(body, Separator::Auto).with_patience(Duration::from_millis(50));
            sender.send_data(Bytes::from_static(b"\n\n")).await.unwrap();
            assert!(matches!(messages.next().await, Err(StreamError::Silent(_))));
            drop(sender);
        });
    }

    #[test]
    fn the_last_message_needs_no_separator() {
        let body = Full::new(Bytes::from_static(b"{\"progress\":1}\n[true,2]"));
        let mut messages = messages(body, Separator::Auto);
        let next = |messages: &mut Messages<_>| block_on(messages.next()).unwrap();
        assert_eq!(next(&mut messages), Some(b"{\"progress\":1}".to_vec()));
        assert_eq!(next(&mut messages), Some(b"[true,2]".to_vec()));
        assert_eq!([next(&mut messages), next(&mut messages)], [None, None]);
    }

    #[test]
    fn events_say_so_in_their_type() {
        let of = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            separator_of(&headers)
        };
        assert_eq!(of("text/event-stream; charset=utf-8"), Separator::Events);
        assert_eq!(of("Text/Event-Stream"), Separator::Events);
        assert_eq!(of("application/json"), Separator::Auto);
        assert_eq!(separator_of(&HeaderMap::new()), Separator::Auto);
    }
}
