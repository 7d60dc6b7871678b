//! Clients of others: curl and nghttp2's.

use std::process::Command;

use crate::server;
use crate::site::site;

/// What a program prints; `None`: it is not here, and that is said.
fn run(program: &str, words: &[&str]) -> Option<String> {
    match Command::new(program).args(words).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{program} {words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
            Some(text)
        }
        Err(error) => {
            println!("SKIPPED: {program} cannot be run: {error}");
            None
        }
    }
}

#[test]
fn curl_is_served_with_prior_knowledge() {
    let site = site(server::start());
    let url = |path: &str| format!("http://{}{path}", site.address);
    let curl = |words: &[&str]| run("curl", &[&["-sS", "--http2-prior-knowledge", "--max-time", "20"], words].concat());
    let Some(answer) = curl(&["-i", "-d", "name=value", &url("/form")]) else { return };
    assert!(answer.starts_with("HTTP/2 200 ") && answer.contains("POST /form HTTP/1.1"), "{answer}");
    assert!(answer.ends_with("name=value"), "{answer}");
    let versions = curl(&["-o", "/dev/null", "-w", "%{http_version} %{size_download}", &url("/big")]).unwrap();
    assert_eq!(versions, format!("2 {}", 4 << 20));
    let trailers = curl(&["-i", "-T", "-", "-H", "Expect:", &url("/trailers")]).unwrap();
    assert!(trailers.contains("grpc-status: 0"), "{trailers}");
    assert!(curl(&["-I", &url("/own")]).unwrap().starts_with("HTTP/2 200 "));
}

#[test]
fn nghttp2s_clients_are_served() {
    let site = site(server::start());
    let url = |path: &str| format!("http://{}{path}", site.address);
    if let Some(told) = run("nghttp", &["-v", "-n", &url("/trailers"), &url("/own")]) {
        assert!(told.contains("grpc-status: 0") && told.matches(":status: 200").count() == 2, "{told}");
    }
    for path in ["/own", "/relayed"] {
        let words = ["-n", "4000", "-c", "8", "-m", "40", "-t", "1", &url(path)];
        if let Some(told) = run("h2load", &words) {
            assert!(told.contains("4000 succeeded, 0 failed, 0 errored"), "{told}");
        }
    }
}
