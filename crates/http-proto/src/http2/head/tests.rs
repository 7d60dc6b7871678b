use super::*;
use crate::http2::lines;
use crate::{Limits, Parsed, field_slots, parse_request};

/// A request's own fields, those of a client that asks by TLS.
#[derive(Clone, Copy)]
struct Pseudo<'a> {
    method: &'a str,
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: Option<&'a str>,
}

fn pseudo<'a>(method: &'a str, authority: Option<&'a str>, path: &'a str) -> Pseudo<'a> {
    let scheme = (method != "CONNECT").then_some("https");
    Pseudo { method, scheme, authority, path: (method != "CONNECT").then_some(path) }
}

impl Pseudo<'_> {
    fn fields(&self) -> Vec<(&str, &str)> {
        let all = [(":method", Some(self.method)), (":scheme", self.scheme), (":authority", self.authority)];
        let all = all.into_iter().chain([(":path", self.path)]);
        all.filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn refused(error: HeadError) -> Result<String, RequestFault> {
    Err(RequestFault::Refused(error))
}

fn written_of(fields: &[(&str, &str)], ends: bool) -> Result<(String, Outline), RequestFault> {
    let (mut out, mut scratch) = (Vec::new(), HeadScratch::default());
    let mut writer = HeadWriter::new(&mut out, &mut scratch);
    for (name, value) in fields {
        writer.field(name.as_bytes(), value.as_bytes());
    }
    let outline = writer.finish(ends)?;
    Ok((String::from_utf8(out).unwrap(), outline))
}

fn written(pseudo: Pseudo<'_>, all: &[(&str, &str)], ends: bool) -> Result<String, RequestFault> {
    written_of(&[&pseudo.fields()[..], all].concat(), ends).map(|(head, _)| head)
}

#[test]
fn a_request_becomes_the_head_that_a_client_of_http1_would_have_sent() {
    let all = [("accept", "*/*"), ("cookie", "a=b"), ("te", "trailers"), ("cookie", "c=d"), ("content-length", "2")];
    let head = written(pseudo("POST", Some("example.org:8443"), "/jobs?x=1"), &all, false);
    assert_eq!(
        head.unwrap(),
        "POST /jobs?x=1 HTTP/1.1\r\nhost: example.org:8443\r\naccept: */*\r\nte: trailers\r\ncontent-length: 2\r\n\
         cookie: a=b; c=d\r\n\r\n"
    );
    let head = written(pseudo("PUT", None, "/f"), &[("host", "h"), ("x", "")], false);
    assert_eq!(head.unwrap(), "PUT /f HTTP/1.1\r\nhost: h\r\nx: \r\ntransfer-encoding: chunked\r\n\r\n");
    let head = written(pseudo("OPTIONS", Some("h"), "*"), &[], true);
    assert_eq!(head.unwrap(), "OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n");
    let head = written(pseudo("CONNECT", Some("h:22"), ""), &[], true);
    assert_eq!(head.unwrap(), "CONNECT h:22 HTTP/1.1\r\nhost: h:22\r\n\r\n");
}

/// RFC 9113 §8.3.1 and §8.5, and what would be another request in HTTP/1.1.
#[test]
fn targets_that_would_name_something_else_are_refused() {
    let target = || refused(HeadError::Target);
    for path in ["", "x", "http://other/", "*", "/a b", "/a\r\nx: y", "/a HTTP/1.1\r\n\r\nGET /b", "/\u{7f}", "/é"] {
        assert_eq!(written(pseudo("GET", Some("h"), path), &[], true), target(), "{path:?}");
    }
    for authority in ["h\r\nx: y", "h h", "h\0"] {
        assert_eq!(written(pseudo("GET", Some(authority), "/"), &[], true), target());
    }
    assert_eq!(written(pseudo("CONNECT", None, ""), &[], true), target());
    let connect = pseudo("CONNECT", Some("h:1"), "");
    for other in [Pseudo { path: Some("/"), ..connect }, Pseudo { scheme: Some("http"), ..connect }] {
        assert_eq!(written(other, &[], true), Err(RequestFault::Malformed));
    }
    let other = Pseudo { scheme: Some("ftp"), ..pseudo("GET", Some("h"), "/") };
    assert_eq!(written(other, &[], true), target());
    for method in ["", "G T", "GET\r\n", "GET /x HTTP/1.1\r\nA:"] {
        assert_eq!(written(pseudo(method, Some("h"), "/"), &[], true), refused(HeadError::Method));
    }
}

/// RFC 9113 §8.3: each once, all before the fields, and no others.
#[test]
fn pseudo_fields_are_all_there_and_where_they_belong() {
    let [method, scheme, path] = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let host = ("host", "h");
    assert!(written_of(&[scheme, path, method, host], true).is_ok());
    for fields in [
        &[scheme, path, host][..],
        &[method, path, host],
        &[method, scheme, host],
        &[],
        &[method, scheme, path, path, host],
        &[method, scheme, host, path],
        &[method, scheme, path, host, (":authority", "h")],
        &[method, scheme, path, (":status", "200"), host],
        &[method, scheme, path, (":protocol", "websocket"), host],
    ] {
        assert_eq!(written_of(fields, true), Err(RequestFault::Malformed), "{fields:?}");
    }
}

/// RFC 9113 §8.3.1: a Host that is not the authority.
#[test]
fn a_host_is_the_authority_or_the_request_is_refused() {
    let with = |authority, hosts: &[(&str, &str)]| written(pseudo("GET", authority, "/"), hosts, true);
    let repeated = || refused(HeadError::HostRepeated);
    assert_eq!(with(Some("a"), &[("host", "b")]), repeated());
    assert_eq!(with(Some("a"), &[("host", "a:80")]), repeated());
    assert_eq!(with(Some("a"), &[("host", "a"), ("host", "a")]), repeated());
    assert_eq!(with(None, &[("host", "a"), ("host", "b")]), repeated());
    assert_eq!(with(Some("a.Example"), &[("host", "A.example")]).unwrap(), "GET / HTTP/1.1\r\nhost: a.Example\r\n\r\n");
    // Without any it is for HTTP/1's rules to refuse.
    let bare = with(None, &[]).unwrap();
    let mut slots = field_slots();
    let missing = parse_request(bare.as_bytes(), &mut slots, &Limits::default());
    assert_eq!(missing.err(), Some(HeadError::HostMissing));
}

/// RFC 9113 §8.2.1 and §8.2.2.
#[test]
fn fields_that_are_no_line_of_http1_or_too_much_of_one_are_refused() {
    let fault = |name: &str, value: &str| written(pseudo("GET", Some("h"), "/"), &[(name, value)], true).err();
    let malformed = Some(RequestFault::Malformed);
    for name in ["", "A", "x y", "x:", ":path", "x\r\ny", "x\0", "é"] {
        assert_eq!(fault(name, "v"), malformed, "{name:?}");
    }
    for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
        assert_eq!(fault("x", value), malformed, "{value:?}");
    }
    for value in [" v", "v ", "\tv", "v\t"] {
        assert_eq!(fault("x", value), Some(RequestFault::Refused(HeadError::FieldValue)), "{value:?}");
    }
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert_eq!(fault(name, "x"), malformed, "{name:?}");
    }
    assert_eq!(fault("te", "gzip"), malformed);
    assert_eq!(fault("te", "trailers, gzip"), malformed);
    assert_eq!(fault("te", "trailers"), None);
    // 64 KiB, with 32 bytes for each.
    assert_eq!(fault("x", &"y".repeat(65_300)), None);
    let too_large = Some(RequestFault::Refused(HeadError::HeadTooLarge));
    assert_eq!(fault("x", &"y".repeat(65_536)), too_large);
    let many = [("x", "y"); 2000];
    assert_eq!(written(pseudo("GET", Some("h"), "/"), &many, true).err(), too_large);
}

/// RFC 9110 §8.6, RFC 9113 §8.1.1.
#[test]
fn how_a_body_is_told_is_what_its_head_and_its_stream_say() {
    let post = pseudo("POST", Some("h"), "/");
    let outline = |lengths: &[&str], ends| {
        let mut fields = post.fields();
        fields.extend(lengths.iter().map(|length| ("content-length", *length)));
        written_of(&fields, ends).map(|(_, outline)| (outline.length, outline.body))
    };
    assert_eq!(outline(&[], true), Ok((None, BodyForm::None)));
    assert_eq!(outline(&[], false), Ok((None, BodyForm::Chunked)));
    assert_eq!(outline(&["5"], false), Ok((Some(5), BodyForm::Plain)));
    assert_eq!(outline(&["0"], true), Ok((Some(0), BodyForm::None)));
    for (lengths, ends) in
        [(&["5"][..], true), (&["5", "5"], false), (&["+5"], false), (&["4, 5"], false), (&[""], false)]
    {
        assert_eq!(outline(lengths, ends), Err(RequestFault::Malformed), "{lengths:?}");
    }
    assert_eq!(outline(&["99999999999999999999"], false), Err(RequestFault::Malformed));
    let (_, connect) = written_of(&pseudo("CONNECT", Some("h:1"), "").fields(), false).unwrap();
    assert_eq!(connect, Outline { is_connect: true, body: BodyForm::Plain, ..Outline::default() });
}

#[test]
fn what_is_written_passes_as_any_other_head() {
    let head = written(pseudo("GET", Some("h"), "/a"), &[("x", "y")], true).unwrap();
    let mut slots = field_slots();
    let Ok(Parsed::Whole(request, taken)) = parse_request(head.as_bytes(), &mut slots, &Limits::default()) else {
        panic!("it is whole");
    };
    assert_eq!((request.host, request.path_and_query, taken), ("h", "/a", head.len()));
    assert_eq!(lines(b"x: y\r\n").count(), 1);
}

#[test]
fn trailers_are_fields_that_may_stand_there() {
    let fields = |all: &[(&'static str, &'static str)]| {
        let line =
            |&(name, value): &(&'static str, &'static str)| Line { name: name.as_bytes(), value: value.as_bytes() };
        all.iter().map(line).collect::<Vec<_>>().into_iter()
    };
    let mut out = Vec::new();
    write_trailers(&mut out, fields(&[("grpc-status", "0"), ("x-sum", "a b")])).unwrap();
    assert_eq!(out, b"grpc-status: 0\r\nx-sum: a b\r\n\r\n");
    for name in ["content-length", "transfer-encoding", "host", "authorization", ":path"] {
        let refused = write_trailers(&mut Vec::new(), fields(&[(name, "1")]));
        assert_eq!(refused, Err(HeadError::FieldName), "{name}");
    }
}
