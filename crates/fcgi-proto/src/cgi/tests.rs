use super::*;

fn translated(head: &str, bodiless: bool) -> Result<(String, Framing), AnswerError> {
    let mut out = Vec::new();
    let framing = translate(head.as_bytes(), bodiless, &mut out)?;
    Ok((String::from_utf8(out).unwrap(), framing))
}

/// Asserts what each head becomes for a GET.
fn becomes(cases: &[(&str, &str, Framing)]) {
    for (head, http, framing) in cases {
        assert_eq!(translated(head, false), Ok(((*http).to_owned(), *framing)), "{head:?}");
    }
}

#[test]
fn heads_of_rfc_3875() {
    becomes(&[
        // §6.2.1, a document.
        (
            "Content-Type: text/plain\n\n",
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing::Chunked,
        ),
        (
            "Content-Type:a/b\r\nContent-Length: 12\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 12\r\n\r\n",
            Framing::Length(12),
        ),
        (
            "Status: 404 Not Found\nContent-Length: 0\n\n",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            Framing::Length(0),
        ),
        ("status:201\nContent-Length: 1\n\n", "HTTP/1.1 201 \r\nContent-Length: 1\r\n\r\n", Framing::Length(1)),
        // §6.2.2 to §6.2.4, redirects.
        (
            "Location: /here\nContent-Length: 0\n\n",
            "HTTP/1.1 302 Found\r\nLocation: /here\r\nContent-Length: 0\r\n\r\n",
            Framing::Length(0),
        ),
        (
            "Status: 303 See Other\nLocation: http://x/\nContent-Length: 0\n\n",
            "HTTP/1.1 303 See Other\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n",
            Framing::Length(0),
        ),
        // §5, heads that are HTTP's.
        (
            "HTTP/1.0 403 Go away\r\nStatus: kept\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 403 Go away\r\nStatus: kept\r\nContent-Length: 3\r\n\r\n",
            Framing::Length(3),
        ),
    ]);
}

#[test]
fn what_is_between_two_ends_of_a_connection_is_not_the_applications() {
    becomes(&[
        (
            "Connection: close\nKeep-Alive: x\nTrailer: a\nUpgrade: b\nProxy-Connection: c\nContent-Length: 5\n\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            Framing::Length(5),
        ),
        (
            "Transfer-Encoding: chunked\nX: y\n\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n",
            Framing::Own,
        ),
    ]);
}

#[test]
fn answers_without_a_body() {
    becomes(&[
        ("Status: 204 No Content\nContent-Length: 0\n\n", "HTTP/1.1 204 No Content\r\n\r\n", Framing::None),
        (
            "Status: 304 Not Modified\nContent-Length: 9\n\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            Framing::None,
        ),
        (
            "Status: 103 Early Hints\nLink: <a>\nContent-Length: 9\n\n",
            "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n",
            Framing::Interim,
        ),
    ]);
    let head = translated("Content-Type: a/b\nContent-Length: 7\n\n", true);
    assert_eq!(
        head,
        Ok(("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 7\r\n\r\n".to_owned(), Framing::None))
    );
    let head = translated("Content-Type: a/b\nTransfer-Encoding: chunked\n\n", true);
    assert_eq!(head, Ok(("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n".to_owned(), Framing::None)));
}

#[test]
fn what_is_no_head() {
    for (head, error) in [
        ("no colon\n\n", AnswerError::HeadLine),
        (": no name\n\n", AnswerError::HeadLine),
        ("A: b\n folded\n\n", AnswerError::HeadLine),
        ("Content-Length: -1\n\n", AnswerError::HeadLine),
        ("Content-Length: 1000000000000000000\n\n", AnswerError::HeadLine),
        ("Content-Length:\n\n", AnswerError::HeadLine),
        ("Status: 99 x\n\n", AnswerError::Status),
        ("Status: 600\n\n", AnswerError::Status),
        ("Status: 2000\n\n", AnswerError::Status),
        ("Status: OK\n\n", AnswerError::Status),
        ("Status:\n\n", AnswerError::Status),
        ("Status: 200 OK\nStatus: 500 Oops\n\n", AnswerError::Status),
        ("Status: 101 Switching Protocols\n\n", AnswerError::Status),
        ("HTTP/1.1 101 Switching Protocols\n\n", AnswerError::Status),
        ("HTTP/1.1\n\n", AnswerError::Status),
        ("HTTP/1.1 abc\n\n", AnswerError::Status),
    ] {
        assert_eq!(translated(head, false), Err(error), "{head:?}");
    }
}

#[test]
fn a_head_ends_at_its_blank_line_however_it_comes() {
    for (bytes, end) in [
        ("A: b\n\nbody", Some(6)),
        ("A: b\r\n\r\nbody", Some(8)),
        ("A: b\n\r\nbody", Some(7)),
        ("A: b\r\n\nbody", Some(7)),
        ("A: b\nC: d\n\n", Some(11)),
        ("A: b\n", None),
        ("A: b\r\n\r", None),
        ("\n", None),
        ("", None),
    ] {
        for from in 0..=end.map_or(bytes.len(), |end| end - 1) {
            assert_eq!(end_of_head(bytes.as_bytes(), from), end, "{bytes:?} from {from}");
        }
    }
}
