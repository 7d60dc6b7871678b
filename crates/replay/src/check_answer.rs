//! A check's verdict depends on the answer's bytes, not on the pieces in which they come.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use check::{BodyMatch, Head, Page, PageDigest, Statuses, judge};
use tokio::io::{AsyncRead, ReadBuf};

use crate::split_first;

/// One byte chooses the question and the length of the pieces; the rest is the answer, at the end of which the server
/// closes.
pub fn check_answer(bytes: &[u8]) {
    let (choice, answer) = split_first(bytes);
    let method = if choice & 1 == 0 { "GET" } else { "HEAD" };
    let page = Page {
        path: "/".to_owned(),
        statuses: Statuses::default(),
        body: (choice & 2 == 0).then(|| BodyMatch::Contains("well".to_owned())),
        // That of `well`.
        digest: (choice & 4 == 0)
            .then_some(PageDigest::Md5(0xf932_3f5b_51fc_23e3_0c10_623b_d38d_e6ff_u128.to_be_bytes())),
    };
    let whole = judged(answer, usize::MAX, method, &page);
    let pieces = judged(answer, usize::from(choice >> 3) + 1, method, &page);
    assert_eq!(whole, pieces);
}

fn judged(answer: &[u8], piece: usize, method: &str, page: &Page) -> (health::Finding, Option<Head>) {
    let mut head = None;
    let mut server = Server { answer, piece };
    let finding = {
        let judging = pin!(judge(&mut server, method, page, &mut head));
        match judging.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(finding) => finding,
            Poll::Pending => panic!("everything is there"),
        }
    };
    (finding, head)
}

struct Server<'a> {
    answer: &'a [u8],
    piece: usize,
}

impl AsyncRead for Server<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = self.piece.min(into.remaining()).min(self.answer.len());
        let (now, later) = self.answer.split_at(length);
        into.put_slice(now);
        self.answer = later;
        Poll::Ready(Ok(()))
    }
}
