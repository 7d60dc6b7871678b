use super::*;
use crate::config::Statuses;

fn page(body: Option<&str>, digest: Option<PageDigest>) -> Page {
    let body = body.map(|text| BodyMatch::Contains(text.to_owned()));
    Page { path: "/".to_owned(), statuses: Statuses::default(), body, digest }
}

async fn judged(answer: &[u8], page: &Page) -> Finding {
    judge(&mut &answer[..], "GET", page, &mut None).await
}

#[tokio::test]
async fn a_body_that_holds_the_text_passes_whatever_follows_it_in_the_same_packet() {
    let well = page(Some("well"), None);
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, expected) in [
        (&b"4\r\nwell\r\nno chunk"[..], Finding::Answered),
        (b"4\r\nsick\r\nno chunk", Finding::BadAnswer),
        (b"4\r\nsick\r\n0\r\n\r\n", Finding::WrongBody),
    ] {
        let answer = [head, body].concat();
        assert_eq!(judged(&answer, &well).await, expected, "{}", body.escape_ascii());
    }
}

/// RFC 1321 appendix A.5 has the MD5 of `abc`, FIPS 180-2 appendix B.1 its SHA-256.
const ABC_MD5: [u8; 16] =
    [0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0, 0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72];
const ABC_SHA256: [u8; 32] = [
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61,
    0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
];

#[tokio::test]
async fn a_digest_is_of_the_body_alone_however_it_comes() {
    let (md5, sha256) = (PageDigest::Md5(ABC_MD5), PageDigest::Sha256(ABC_SHA256));
    let answers: [(&[u8], Finding); 8] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Finding::Answered),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", Finding::Answered),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", Finding::Answered),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n2\r\nbc\r\n0\r\nT: x\r\n\r\n",
            Finding::Answered,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc\n", Finding::WrongDigest),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", Finding::BadAnswer),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Finding::BadAnswer),
        (b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nabc", Finding::WrongStatus),
    ];
    for (answer, expected) in answers {
        for digest in [md5, sha256] {
            assert_eq!(judged(answer, &page(None, Some(digest))).await, expected, "{}", answer.escape_ascii());
        }
    }
    let whole = b"HTTP/1.1 200 OK\r\n\r\nabc";
    for (text, expected) in [("bc", Finding::Answered), ("cb", Finding::WrongBody)] {
        assert_eq!(judged(whole, &page(Some(text), Some(md5))).await, expected, "{text}");
    }
    let found = digests(&mut &whole[..]).await;
    assert_eq!(found, Ok((200, Digests { md5: ABC_MD5, sha256: ABC_SHA256, length: 3 })));
}

/// 16 MiB, and one byte more.
#[tokio::test]
async fn no_digest_is_made_of_more_than_16_mib() {
    let answer = |length: usize| [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; length]].concat();
    let wanted = page(None, Some(PageDigest::Md5([0; 16])));
    assert_eq!(judged(&answer(16_777_216), &wanted).await, Finding::WrongDigest);
    assert_eq!(judged(&answer(16_777_217), &wanted).await, Finding::BodyTooLong);
    assert_eq!(digests(&mut &answer(16_777_217)[..]).await, Err(Finding::BodyTooLong));
}

#[tokio::test]
async fn floods_of_fields_and_of_interim_answers_are_called_too_long() {
    let any = page(None, None);
    let fields = "X: y\r\n".repeat(129);
    assert_eq!(judged(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes(), &any).await, Finding::AnswerTooLong);
    let interim = |count| "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(count) + "HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(judged(interim(16).as_bytes(), &any).await, Finding::Answered);
    assert_eq!(judged(interim(17).as_bytes(), &any).await, Finding::AnswerTooLong);
}
