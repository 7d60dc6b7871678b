//! What clients see instead of an error's words.

use std::collections::BTreeMap;

/// Bytes of one page: it is kept in memory, and written behind each such answer's head.
pub const ERROR_PAGE_BYTES_MAX: usize = 64 * 1024;

/// A page for an error of this program's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    content_type: String,
    body: Vec<u8>,
}

/// A frontend's pages by the status that they are for.
pub type ErrorPages = BTreeMap<u16, ErrorPage>;

/// A page is longer than [`ERROR_PAGE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a page for an error has {ERROR_PAGE_BYTES_MAX} bytes at most, and this one has {0}")]
pub struct TooLong(pub usize);

impl ErrorPage {
    /// A page of this media type.
    ///
    /// # Errors
    /// If it is too long.
    pub fn new(content_type: &str, body: Vec<u8>) -> Result<ErrorPage, TooLong> {
        match body.len() {
            ..=ERROR_PAGE_BYTES_MAX => Ok(ErrorPage { content_type: content_type.to_owned(), body }),
            length => Err(TooLong(length)),
        }
    }

    pub(crate) fn parts(&self) -> (&str, &[u8]) {
        (&self.content_type, &self.body)
    }

    /// `answer`, a whole one of an error with its words, with this page in the place of these.
    pub(crate) fn put_into(&self, answer: &[u8], is_head: bool) -> Vec<u8> {
        let end = memchr::memmem::find(answer, b"\r\n\r\n").map_or(answer.len(), |end| end + 2);
        let mut out = Vec::with_capacity(end + self.body.len() + 128);
        for line in answer[..end].split_inclusive(|&byte| byte == b'\n') {
            let is = |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
            if !is(b"content-length:") && !is(b"content-type:") {
                out.extend_from_slice(line);
            }
        }
        let fields = format!("Content-Type: {}\r\nContent-Length: {}\r\n\r\n", self.content_type, self.body.len());
        out.extend_from_slice(fields.as_bytes());
        if !is_head {
            out.extend_from_slice(&self.body);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_the_place_of_the_words_alone() {
        let page = ErrorPage::new("text/html", b"<p>later".to_vec()).unwrap();
        let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nRetry-After: 2\r\nContent-Length: 4\r\n\r\n503\n";
        let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Type: text/html\r\nContent-Length: 8\r\n\r\n";
        assert_eq!(page.put_into(answer, true), head.as_bytes());
        assert_eq!(page.put_into(answer, false), [head.as_bytes(), b"<p>later"].concat());
        assert_eq!(ErrorPage::new("a/b", vec![0; 65_537]), Err(TooLong(65_537)));
        assert!(ErrorPage::new("a/b", vec![0; 65_536]).is_ok());
    }
}
