use std::net::IpAddr;

use super::{Condition, RouteQuery, host_without_port};
use crate::{Limits, Parsed, field_slots, parse_request, resolve_path};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn matches(condition: &Condition, request: &str, client: Option<&str>) -> bool {
    let mut slots = field_slots();
    let parsed = parse_request(request.as_bytes(), &mut slots, &Limits::default()).unwrap();
    let Parsed::Whole(head, _) = parsed else { panic!("{request:?} is not whole") };
    let resolved = resolve_path(head.path_and_query).unwrap();
    let client = client.map(|address| address.parse::<IpAddr>().unwrap());
    condition.matches(&RouteQuery { head: &head, path: &resolved.path, client })
}

fn host_matches(wanted: &[&str], host: &str) -> bool {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    matches(&Condition::Host(strings(wanted)), &request, None)
}

fn path_matches(condition: &Condition, path: &str) -> bool {
    matches(condition, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"), None)
}

#[test]
fn hosts_are_compared_without_port_and_case() {
    assert!(host_matches(&["example.org"], "example.org"));
    assert!(host_matches(&["a", "example.org"], "EXAMPLE.org:8080"));
    assert!(host_matches(&["example.org"], "example.org.:80"));
    assert!(!host_matches(&["example.org"], "www.example.org"));
    assert!(host_matches(&["[2001:db8::1]"], "[2001:db8::1]:80"));
    assert!(!host_matches(&["example.org"], ""));
}

#[test]
fn a_star_stands_for_one_or_more_labels() {
    assert!(host_matches(&["*.example.org"], "www.example.org:1"));
    assert!(host_matches(&["*.example.org"], "a.B.Example.org"));
    assert!(!host_matches(&["*.example.org"], "example.org"));
    assert!(!host_matches(&["*.example.org"], ".example.org"));
    assert!(!host_matches(&["*.example.org"], "badexample.org"));
}

#[test]
fn prefixes_end_at_segments() {
    let bare = Condition::PathPrefix(strings(&["/rpc"]));
    let slash = Condition::PathPrefix(strings(&["/rpc/"]));
    let root = Condition::PathPrefix(strings(&["/"]));
    let table = [
        ("/rpc", true, false),
        ("/rpc/", true, true),
        ("/rpc/x", true, true),
        ("/rpc?x", true, false),
        ("/rpcx", false, false),
        ("/a/../rpc//x", true, true),
        ("/rp%63/x", true, true),
        ("/rpc%2Fx", false, false),
        ("/x/rpc", false, false),
    ];
    for (path, below_bare, below_slash) in table {
        assert_eq!(path_matches(&bare, path), below_bare, "{path}");
        assert_eq!(path_matches(&slash, path), below_slash, "{path}");
        assert!(path_matches(&root, path), "{path}");
    }
}

#[test]
fn exact_paths_are_resolved_first() {
    let health = Condition::PathExact(strings(&["/health"]));
    assert!(path_matches(&health, "/health?verbose"));
    assert!(path_matches(&health, "//x/../health"));
    assert!(!path_matches(&health, "/health/"));
    assert!(!path_matches(&health, "/Health"));
}

#[test]
fn methods_fields_and_clients() {
    let request = "GET / HTTP/1.1\r\nHost: x\r\nX-Tier: gold\r\nx-tier: tin\r\n\r\n";
    assert!(matches(&Condition::Method(strings(&["PUT", "GET"])), request, None));
    assert!(!matches(&Condition::Method(strings(&["get"])), request, None));
    let header =
        |name: &str, value: Option<&str>| Condition::Header { name: name.to_owned(), value: value.map(str::to_owned) };
    assert!(matches(&header("x-tier", None), request, None));
    assert!(matches(&header("x-tier", Some("tin")), request, None));
    assert!(!matches(&header("x-tier", Some("Gold")), request, None));
    assert!(!matches(&header("x-other", None), request, None));
    let inside = Condition::Client(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
    assert!(matches(&inside, request, Some("10.1.2.3")));
    assert!(matches(&inside, request, Some("::ffff:10.1.2.3")));
    assert!(matches(&inside, request, Some("2001:db8::9")));
    assert!(!matches(&inside, request, Some("192.0.2.1")));
    assert!(!matches(&inside, request, None));
}

#[test]
fn ports_are_cut_where_they_are_ports() {
    let table = [
        ("a:80", "a"),
        ("a:", "a"),
        ("a", "a"),
        ("", ""),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("[2001:db8::80]", "[2001:db8::80]"),
    ];
    for (host, expected) in table {
        assert_eq!(host_without_port(host), expected, "{host}");
    }
}
