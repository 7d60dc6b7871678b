//! Who agrees on HTTP/2 with the program, and who is served by it.

use lab::{Nginx, Perron, SOON, Skip, wait_for};

use crate::{CLEAR, Hosts, SECURE, frontends, hosts, text};

/// nginx behind the program.
fn site(name: &str) -> Result<(Hosts, Nginx, Perron), Skip> {
    let hosts = hosts(name)?;
    let nginx = Nginx::start(&hosts.server, "nginx")?;
    let backend = "[backend.web]\n[[backend.web.server]]\nname = \"one\"\naddress = \"10.0.0.3:80\"\n";
    let perron = Perron::start_ready(&hosts.front, &(frontends(&hosts, "backend = \"web\"") + backend));
    Ok((hosts, nginx, perron))
}

#[test]
fn curl_is_served_in_the_version_that_it_agrees_on() {
    let (hosts, _nginx, perron) = lab::require!(site("http2-curl"));
    let ca = hosts.authority.certificate();
    let asked = |version: &str, url: &str| {
        let told = ["-w", "%{http_version}", url];
        hosts.client.curl(&[&["--cacert", text(&ca), version], &told[..]].concat()).text()
    };
    let secure = format!("https://{SECURE}/");
    for (version, spoken) in [("--http2", "2"), ("--http1.1", "1.1")] {
        assert_eq!(asked(version, &secure), format!("nginx\n{spoken}"));
    }
    let clear = format!("http://{CLEAR}/");
    // An Upgrade to h2c, which RFC 9113 no longer has, is passed over.
    for (version, spoken) in [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1"), ("--http2", "1.1")] {
        assert_eq!(asked(version, &clear), format!("nginx\n{spoken}"));
    }
    wait_for(SOON, "the log tells the versions", || {
        let written = perron.written();
        ["HTTP/2.0\"", "HTTP/1.1\""].map(|version| written.matches(version).count()) == [2, 3]
    });
}

#[test]
fn the_version_is_agreed_on_by_alpn() {
    let (hosts, _nginx, perron) = lab::require!(site("http2-alpn"));
    let s_client = |more: &str| {
        let ca = hosts.authority.certificate();
        let script = format!("openssl s_client -connect {SECURE} -CAfile {} {more} </dev/null 2>&1", text(&ca));
        String::from_utf8_lossy(&hosts.client.run(&["sh", "-c", &script]).stdout).into_owned()
    };
    for version in ["-tls1_2", "-tls1_3"] {
        for (offered, agreed) in [
            ("-alpn h2", "ALPN protocol: h2"),
            ("-alpn http/1.1", "ALPN protocol: http/1.1"),
            // RFC 7301 §3.2: the choice is the server's.
            ("-alpn http/1.1,h2", "ALPN protocol: h2"),
            ("-alpn spdy/3,http/1.1", "ALPN protocol: http/1.1"),
            ("", "No ALPN negotiated"),
        ] {
            let said = s_client(&format!("{version} {offered}"));
            assert!(said.contains(agreed) && said.contains("Verify return code: 0"), "{offered}: {said}");
        }
        let said = s_client(&format!("{version} -alpn spdy/3,h3"));
        assert!(said.contains("no application protocol"), "{said}");
    }
    let refused = || perron.status()["frontends"][0]["refused"]["tls_nothing_in_common"].as_u64();
    wait_for(SOON, "they are counted", || refused() == Some(2));
    // Where HTTP/2 is off there is nothing to choose, and nobody who offers it is told that it is there.
    let config = frontends(&hosts, "respond = { body = \"here\" }\nhttp2 = false");
    perron.reload(&config).expect("the text is right");
    wait_for(SOON, "the next process serves", || s_client("-alpn h2,http/1.1").contains("No ALPN negotiated"));
    assert!(s_client("-alpn h2").contains("No ALPN negotiated"));
}

#[test]
fn nghttp2s_clients_are_served_over_tls() {
    let (hosts, _nginx, _perron) = lab::require!(site("http2-h2load"));
    lab::require!(lab::program("h2load"));
    let url = format!("https://{SECURE}/");
    let told = hosts.client.run(&["h2load", "-n", "4000", "-c", "8", "-m", "40", "-t", "1", &url]).text();
    assert!(told.contains("Application protocol: h2"), "{told}");
    assert!(told.contains("4000 succeeded, 0 failed, 0 errored, 0 timeout"), "{told}");
    let told = hosts.client.run(&["nghttp", "-n", "-v", "-y", &url]).text();
    assert!(told.contains("The negotiated protocol: h2") && told.contains(":status: 200"), "{told}");
}

/// A page with a picture, a style and a script that makes a request of its own, all from the same place.
#[test]
fn chromium_loads_a_page_in_http2() {
    let (hosts, nginx, perron) = lab::require!(site("http2-chromium"));
    let chromium = lab::require!(lab::program("chromium"));
    let page = "<!doctype html><title>t</title><link rel=stylesheet href=/s.css><p id=p>waiting</p><script>\
                fetch('/told', {method: 'POST', body: 'x'.repeat(100000)}).then(a => a.text()).then(t => p.textContent = t)\
                </script>";
    std::fs::write(nginx.root().join("page.html"), page).expect("the folder is ours");
    std::fs::write(nginx.root().join("s.css"), "p { color: red }").expect("the folder is ours");
    let told = "[[frontend.secure.route]]\npath = \"/told\"\nrespond = { body = \"told\" }\n";
    let config = frontends(&hosts, "backend = \"web\"").replace("[frontend.clear]", &format!("{told}[frontend.clear]"));
    let backend = "[backend.web]\n[[backend.web.server]]\nname = \"one\"\naddress = \"10.0.0.3:80\"\n";
    perron.reload(&(config + backend)).expect("the text is right");
    // An address that comes while it loads (IPv6's, once nobody else has it) has it give up: ERR_NETWORK_CHANGED.
    hosts.client.set("net/ipv6/conf/all/disable_ipv6", "1").expect("the namespace is ours");
    let profile = hosts.client.new_folder("profile");
    let dom = hosts.client.run(&[
        text(&chromium),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        &format!("--user-data-dir={}", text(&profile)),
        "--ignore-certificate-errors",
        "--virtual-time-budget=10000",
        "--dump-dom",
        &format!("https://{SECURE}/page.html"),
    ]);
    let shown = String::from_utf8_lossy(&dom.stdout).into_owned();
    assert!(shown.contains("<p id=\"p\">told</p>"), "{shown}{}", dom.stderr);
    wait_for(SOON, "the log tells the version", || {
        let written = perron.written();
        ["GET /page.html HTTP/2.0", "GET /s.css HTTP/2.0", "POST /told HTTP/2.0"]
            .iter()
            .all(|line| written.contains(line))
    });
}
