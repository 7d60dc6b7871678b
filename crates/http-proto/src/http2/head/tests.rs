use super::*;
use crate::http2::lines;
use crate::{Limits, Parsed, field_slots, parse_request};

fn pseudo<'a>(method: &'a str, authority: Option<&'a str>, path: &'a str) -> Pseudo<'a> {
    let scheme = (method != "CONNECT").then_some(&b"https"[..]);
    Pseudo { method: method.as_bytes(), scheme, authority: authority.map(str::as_bytes), path: path.as_bytes() }
}

/// Fields as `name: value` lines; white space around values stays, as no line of HTTP/1 could have it.
fn fields<'a>(all: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = Line<'a>> + Clone {
    all.iter().map(|(name, value)| Line { name: name.as_bytes(), value: value.as_bytes() })
}

fn written(pseudo: Pseudo<'_>, all: &[(&str, &str)], framing: Framing) -> Result<String, HeadError> {
    let mut out = Vec::new();
    write_head(&mut out, &pseudo, fields(all), framing)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_request_becomes_the_head_that_a_client_of_http1_would_have_sent() {
    let all = [("accept", "*/*"), ("cookie", "a=b"), ("te", "trailers"), ("cookie", "c=d"), ("content-length", "2")];
    let head = written(pseudo("POST", Some("example.org:8443"), "/jobs?x=1"), &all, Framing::Length(2));
    assert_eq!(
        head.unwrap(),
        "POST /jobs?x=1 HTTP/1.1\r\nhost: example.org:8443\r\naccept: */*\r\nte: trailers\r\ncontent-length: 2\r\n\
         cookie: a=b; c=d\r\n\r\n"
    );
    let head = written(pseudo("PUT", None, "/f"), &[("host", "h"), ("x", "")], Framing::Chunked);
    assert_eq!(head.unwrap(), "PUT /f HTTP/1.1\r\nhost: h\r\nx: \r\ntransfer-encoding: chunked\r\n\r\n");
    let head = written(pseudo("OPTIONS", Some("h"), "*"), &[], Framing::None);
    assert_eq!(head.unwrap(), "OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n");
    let head = written(pseudo("CONNECT", Some("h:22"), ""), &[], Framing::None);
    assert_eq!(head.unwrap(), "CONNECT h:22 HTTP/1.1\r\nhost: h:22\r\n\r\n");
}

/// RFC 9113 §8.3.1 and §8.5, and what would be another request in HTTP/1.1.
#[test]
fn targets_that_would_name_something_else_are_refused() {
    for path in ["", "x", "http://other/", "*", "/a b", "/a\r\nx: y", "/a HTTP/1.1\r\n\r\nGET /b", "/\u{7f}", "/é"] {
        assert_eq!(written(pseudo("GET", Some("h"), path), &[], Framing::None), Err(HeadError::Target), "{path:?}");
    }
    for authority in ["h\r\nx: y", "h h", "h\0"] {
        assert_eq!(written(pseudo("GET", Some(authority), "/"), &[], Framing::None), Err(HeadError::Target));
    }
    assert_eq!(written(pseudo("CONNECT", Some("h:1"), "/"), &[], Framing::None), Err(HeadError::Target));
    assert_eq!(written(pseudo("CONNECT", None, ""), &[], Framing::None), Err(HeadError::Target));
    let other = Pseudo { scheme: Some(b"ftp"), ..pseudo("GET", Some("h"), "/") };
    assert_eq!(written(other, &[], Framing::None), Err(HeadError::Target));
    for method in ["", "G T", "GET\r\n", "GET /x HTTP/1.1\r\nA:"] {
        assert_eq!(written(pseudo(method, Some("h"), "/"), &[], Framing::None), Err(HeadError::Method));
    }
}

/// RFC 9113 §8.3.1: a Host that is not the authority.
#[test]
fn a_host_is_the_authority_or_the_request_is_refused() {
    let with = |authority, hosts: &[(&str, &str)]| written(pseudo("GET", authority, "/"), hosts, Framing::None);
    assert_eq!(with(Some("a"), &[("host", "b")]), Err(HeadError::HostRepeated));
    assert_eq!(with(Some("a"), &[("host", "a:80")]), Err(HeadError::HostRepeated));
    assert_eq!(with(Some("a"), &[("host", "a"), ("host", "a")]), Err(HeadError::HostRepeated));
    assert_eq!(with(None, &[("host", "a"), ("host", "b")]), Err(HeadError::HostRepeated));
    assert_eq!(with(Some("a.Example"), &[("host", "A.example")]).unwrap(), "GET / HTTP/1.1\r\nhost: a.Example\r\n\r\n");
    // Without any it is for HTTP/1's rules to refuse.
    let bare = with(None, &[]).unwrap();
    let mut slots = field_slots();
    let refused = parse_request(bare.as_bytes(), &mut slots, &Limits::default());
    assert_eq!(refused.err(), Some(HeadError::HostMissing));
}

/// RFC 9113 §8.2.1 and §8.2.2.
#[test]
fn fields_that_are_no_line_of_http1_or_too_much_of_one_are_refused() {
    let refused =
        |name: &str, value: &str| written(pseudo("GET", Some("h"), "/"), &[(name, value)], Framing::None).err();
    for name in ["", "A", "x y", "x:", ":path", "x\r\ny", "x\0", "é"] {
        assert_eq!(refused(name, "v"), Some(HeadError::FieldName), "{name:?}");
    }
    for value in [" v", "v ", "\tv", "v\t", "a\r\nb: c", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
        assert_eq!(refused("x", value), Some(HeadError::FieldValue), "{value:?}");
    }
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert_eq!(refused(name, "x"), Some(HeadError::FieldName), "{name:?}");
    }
    assert_eq!(refused("te", "gzip"), Some(HeadError::FieldValue));
    assert_eq!(refused("te", "trailers, gzip"), Some(HeadError::FieldValue));
    assert_eq!(refused("te", "trailers"), None);
}

/// Two lengths, which HTTP/2 allows to be equal, stay what they are to HTTP/1: refused.
#[test]
fn what_is_written_has_to_pass_as_any_other_head() {
    let head = written(
        pseudo("POST", Some("h"), "/"),
        &[("content-length", "5"), ("content-length", "5")],
        Framing::Length(5),
    );
    let head = head.unwrap();
    let mut slots = field_slots();
    let parsed = parse_request(head.as_bytes(), &mut slots, &Limits::default());
    assert_eq!(parsed.err(), Some(HeadError::LengthRepeated));
    let head = written(pseudo("GET", Some("h"), "/a"), &[("x", "y")], Framing::None).unwrap();
    let mut slots = field_slots();
    let Ok(Parsed::Whole(request, taken)) = parse_request(head.as_bytes(), &mut slots, &Limits::default()) else {
        panic!("it is whole");
    };
    assert_eq!((request.host, request.path_and_query, taken), ("h", "/a", head.len()));
    assert_eq!(lines(b"x: y\r\n").count(), 1);
}

#[test]
fn trailers_are_fields_that_may_stand_there() {
    let mut out = Vec::new();
    write_trailers(&mut out, fields(&[("grpc-status", "0"), ("x-sum", "a b")])).unwrap();
    assert_eq!(out, b"grpc-status: 0\r\nx-sum: a b\r\n\r\n");
    for name in ["content-length", "transfer-encoding", "host", "authorization", ":path"] {
        let refused = write_trailers(&mut Vec::new(), fields(&[(name, "1")]));
        assert_eq!(refused, Err(HeadError::FieldName), "{name}");
    }
}
