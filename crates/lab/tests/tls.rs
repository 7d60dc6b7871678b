//! TLS with the field's programs: curl, wget and OpenSSL before the program, nginx behind it.

use std::path::Path;
use std::time::Duration;

use lab::{Authority, BadServer, Host, Lab, Nginx, Perron, SOON, Skip, wait_for};

const FRONT: &str = "10.0.0.2:443";

/// A client, the program's host, a server's host, and who signs their certificates.
struct Hosts {
    client: Host,
    front: Host,
    server: Host,
    authority: Authority,
    _lab: Lab,
}

fn hosts(name: &str) -> Result<Hosts, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let server = lab.host("server", "10.0.0.3/24");
    let authority = Authority::new(&lab.folder().join("certificates"), "ca")?;
    Ok(Hosts { client, front, server, authority, _lab: lab })
}

/// The program with this `tls` before a server in clear text.
fn perron(hosts: &Hosts, tls: &str) -> Perron {
    let text = format!(
        "[frontend.web]\nbind = \"{FRONT}\"\nbackend = \"web\"\ntls = {{ {tls} }}\n\
         [backend.web]\n[[backend.web.server]]\nname = \"one\"\naddress = \"10.0.0.3:80\"\n"
    );
    Perron::start_ready(&hosts.front, &text)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}

/// What `openssl s_client` says of a connection, with `said` on its standard input.
fn s_client(hosts: &Hosts, arguments: &[&str], said: &str) -> String {
    let ca = hosts.authority.certificate();
    let script = format!(
        "printf '{said}' | openssl s_client -connect {FRONT} -CAfile {} -verify_return_error {} 2>&1",
        text(&ca),
        arguments.join(" ")
    );
    let output = hosts.client.run(&["sh", "-c", &script]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Ends the connection with the answer, so that what it says is whole.
const ASK: &str = "GET / HTTP/1.1\\r\\nHost: a.example\\r\\nConnection: close\\r\\n\\r\\n";

#[test]
fn clients_of_every_kind_are_served_by_the_certificate_for_their_name() {
    let hosts = lab::require!(hosts("tls-clients"));
    let told = "location /told { default_type text/plain; return 200 \"$http_x_forwarded_proto\"; }";
    let _nginx = lab::require!(Nginx::start_with(&hosts.server, "nginx", told));
    let first = hosts.authority.server("first", &["a.example", "10.0.0.2"]);
    let second = hosts.authority.server("second", &["b.example"]);
    let perron = perron(&hosts, &format!("certificate = [\"{}\", \"{}\"]", text(&first), text(&second)));
    let ca = hosts.authority.certificate();
    let url = format!("https://{FRONT}/told");
    for version in [&["--tlsv1.2", "--tls-max", "1.2"][..], &["--tlsv1.3"], &["--http1.1"]] {
        let told = hosts.client.curl(&[&["--cacert", text(&ca)], version, &[&url]].concat()).text();
        assert_eq!(told, "https", "{version:?}");
    }
    if lab::program("wget").is_ok() {
        let got = hosts.client.run(&["wget", "-q", "-O", "-", &format!("--ca-certificate={}", text(&ca)), &url]);
        assert_eq!(got.text(), "https");
    }
    for (name, subject) in [("a.example", "CN = first"), ("b.example", "CN = second"), ("c.example", "CN = first")] {
        let said = s_client(&hosts, &["-servername", name], ASK);
        assert!(said.contains(&format!("subject={subject}")), "{name}: {said}");
    }
    for suite in ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"] {
        let said = s_client(&hosts, &["-tls1_2", "-cipher", suite], ASK);
        assert!(said.contains(&format!("Cipher is {suite}")) && said.contains("Verify return code: 0"), "{said}");
    }
    // Without forward secrecy, with CBC, and what is older than TLS 1.2.
    for arguments in [
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"][..],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
        &["-tls1_1", "-cipher", "ALL@SECLEVEL=0"],
    ] {
        let said = s_client(&hosts, arguments, ASK);
        assert!(said.contains("Cipher is (NONE)"), "{arguments:?}: {said}");
    }
    let refused = |perron: &Perron| perron.status()["frontends"][0]["refused"]["tls_nothing_in_common"].as_u64();
    wait_for(SOON, "they are counted", || refused(&perron) == Some(3));
}

#[test]
fn sessions_are_resumed_and_neither_renegotiated_nor_begun_with_data() {
    let hosts = lab::require!(hosts("tls-sessions"));
    let _nginx = lab::require!(Nginx::start(&hosts.server, "nginx"));
    let certificate = hosts.authority.server("first", &["a.example", "10.0.0.2"]);
    let perron = perron(&hosts, &format!("certificate = \"{}\"", text(&certificate)));
    for version in ["-tls1_2", "-tls1_3"] {
        let session = certificate.with_file_name(format!("session{version}"));
        let first = s_client(&hosts, &[version, "-ign_eof", "-sess_out", text(&session)], ASK);
        assert!(first.contains("\nNew, TLSv1."), "{version}: {first}");
        assert!(version == "-tls1_2" || first.contains("Max Early Data: 0"), "{first}");
        let again = s_client(&hosts, &[version, "-ign_eof", "-sess_in", text(&session)], ASK);
        assert!(again.contains("\nReused, TLSv1."), "{version}: {again}");
        assert!(again.contains("HTTP/1.1 200 OK"), "{version}: {again}");
    }
    let handshakes = perron.status()["frontends"][0]["handshakes"].clone();
    assert_eq!(handshakes, serde_json::json!({ "full": 2, "resumed": 2 }));
    // `R` asks for a renegotiation, which TLS 1.3 no longer has.
    let said = s_client(&hosts, &["-tls1_2"], "R\\nQ\\n");
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
}

#[test]
fn clear_text_is_answered_with_a_word_of_help_or_served() {
    let hosts = lab::require!(hosts("tls-clear-text"));
    let _nginx = lab::require!(Nginx::start(&hosts.server, "nginx"));
    let certificate = hosts.authority.server("first", &["a.example", "10.0.0.2"]);
    let keys = format!("certificate = \"{}\"", text(&certificate));
    let perron = perron(&hosts, &keys);
    let url = format!("http://{FRONT}/");
    let told = hosts.client.curl(&["-s", "-w", "%{http_code}", &url]).text();
    assert!(told.ends_with("400") && told.contains("write https:// instead of http://"), "{told}");
    wait_for(SOON, "it is counted", || perron.status()["reasons"]["clear_text"] == 1);
    drop(perron);
    let _perron = self::perron(&hosts, &format!("{keys}, clear-text = true"));
    assert_eq!(hosts.client.curl(&[&url]).text(), "nginx\n");
    let ca = hosts.authority.certificate();
    assert_eq!(hosts.client.curl(&["--cacert", text(&ca), &format!("https://{FRONT}/")]).text(), "nginx\n");
}

#[test]
fn servers_are_reached_through_tls_if_they_are_who_they_should_be() {
    let hosts = lab::require!(hosts("tls-servers"));
    let right = hosts.authority.server("right", &["10.0.0.3"]);
    let named = hosts.authority.server("named", &["other.example"]);
    let usage = "subjectAltName=IP:10.0.0.3\nextendedKeyUsage=serverAuth";
    let expired = hosts.authority.sign("expired", "/CN=expired", usage, &["-days", "-1"]);
    let secured = |port: u16, certificate: &Path| {
        let file = text(certificate);
        format!(
            "server {{ listen {port} ssl; ssl_certificate {file}; ssl_certificate_key {file}; return 200 \"{port}\"; }}"
        )
    };
    let servers = [(441, &right), (442, &named), (443, &expired)].map(|(port, file)| secured(port, file)).concat();
    // The braces close the server that they stand in and open one that is closed behind them.
    let directives = format!("}} {servers} server {{ listen 9999;");
    let _nginx = lab::require!(Nginx::start_with(&hosts.server, "nginx", &directives));
    let ca = hosts.authority.certificate();
    let backend = |name: &str, port: u16, check: &str| {
        format!(
            "[backend.{name}]\ntls = {{ ca = \"{}\" }}\n{check}\n[[backend.{name}.server]]\nname = \"{name}\"\n\
             address = \"10.0.0.3:{port}\"\n",
            text(&ca)
        )
    };
    let check = "check = { type = \"https\", interval = \"100ms\", timeout = \"5s\" }";
    let routes = ["right", "named", "expired", "unchecked"]
        .map(|name| format!("[[frontend.web.route]]\npath = \"/{name}\"\nbackend = \"{name}\"\n"));
    let config = format!(
        "[frontend.web]\nbind = \"10.0.0.2:80\"\n{}{}{}{}{}",
        routes.concat(),
        backend("right", 441, check),
        backend("named", 442, check),
        backend("expired", 443, check),
        backend("unchecked", 443, "")
    );
    let perron = Perron::start(&hosts.front, &config);
    let ask = |name: &str| hosts.client.curl(&["-s", "-w", " %{http_code}", &format!("http://10.0.0.2/{name}")]).text();
    perron.wait_for_status("right/right", "up", Duration::from_secs(10));
    assert_eq!(ask("right"), "441 200");
    for (name, words) in [("named", "its certificate is for other names"), ("expired", "its certificate has expired")] {
        let server = format!("{name}/{name}");
        perron.wait_for_status(&server, "down", Duration::from_secs(10));
        assert!(ask(name).ends_with(" 503"), "{name}");
        let check = perron.server(&server)["check"].clone();
        assert!(check["text"].as_str().is_some_and(|text| text.contains(words)), "{check}");
        assert_eq!(check["code"], "L6RSP");
    }
    assert!(ask("unchecked").ends_with(" 503"));
    wait_for(SOON, "it is counted", || {
        perron.status()["reasons"]["server_tls_certificate_expired"].as_u64().is_some_and(|count| count > 0)
    });
}

#[test]
fn servers_are_told_whose_certificate_it_is_whatever_the_client_says() {
    let hosts = lab::require!(hosts("tls-told"));
    let _server = BadServer::start(&hosts.server, 80, |wire| {
        while let Ok(request) = wire.request() {
            let told = request.fields.iter().filter(|(name, _)| name.to_ascii_lowercase().starts_with("ssl"));
            let body: String = told.map(|(name, value)| format!("{name}: {value}\n")).collect();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if wire.try_send(answer).is_err() {
                return;
            }
        }
    });
    let front = hosts.authority.server("front", &["10.0.0.2"]);
    let mine = hosts.authority.client("mine", "/O=Lab/CN=rapi-1");
    let ca = hosts.authority.certificate();
    let keys = format!(
        "certificate = \"{}\", client-certificate = \"optional\", client-ca = \"{}\", export-headers = true, \
         clear-text = true",
        text(&front),
        text(&ca)
    );
    let _perron = perron(&hosts, &keys);
    let forged = [
        "SSL-Client-Verify: SUCCESS",
        "SSL_Client_S_DN: CN=forged",
        "ssl-client-s-dn-cn: forged",
        "SSL-Client-Cert: forged",
    ];
    let forged: Vec<&str> = forged.iter().flat_map(|field| ["-H", field]).collect();
    let ask = |more: &[&str]| {
        let told = hosts.client.curl(&[&["--cacert", text(&ca)], &forged[..], more].concat()).text();
        assert!(!told.contains("forged"), "{told}");
        told
    };
    let url = format!("https://{FRONT}/");
    let nobody = ask(&[&url]);
    assert!(nobody.contains("SSL-Protocol: TLSv1.3\n") && nobody.contains("SSL-Client-Verify: NONE\n"), "{nobody}");
    let known = ask(&["--cert", text(&mine), &url]);
    for (name, value) in [
        ("SSL-Client-Verify", "SUCCESS"),
        ("SSL-Client-S-DN", "CN=rapi-1,O=Lab"),
        ("SSL-Client-S-DN-CN", "rapi-1"),
        // The second that the authority has signed, from 4096 on.
        ("SSL-Client-M-Serial", "1001"),
    ] {
        assert!(known.contains(&format!("{name}: {value}\n")), "{name}: {known}");
        assert_eq!(known.matches(&format!("{name}:")).count(), 1, "{known}");
    }
    assert_eq!(ask(&[&format!("http://{FRONT}/")]), "", "in clear text there is nothing to tell");
}
