//! Certificates while the service runs: changed under load, wrong, revoked, and known users by them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lab::{Authority, Host, Lab, Output, Perron, Process, SOON, Skip, perron_binary, wait_for};
use rustix::process::Signal;

const URL: &str = "https://10.0.0.2:8443/";

/// A client, the program's host, and the authority that both trust.
struct Site {
    client: Host,
    front: Host,
    authority: Authority,
    folder: PathBuf,
    _lab: Lab,
}

fn site(name: &str) -> Result<Site, Skip> {
    let lab = Lab::new(name)?;
    let (client, front) = (lab.host("client", "10.0.0.1/24"), lab.host("front", "10.0.0.2/24"));
    let folder = front.new_folder("tls");
    let authority = Authority::new(&folder, "ca")?;
    Ok(Site { client, front, authority, folder, _lab: lab })
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

impl Site {
    /// A certificate of the front's with its key, under this name.
    fn certificate(&self, name: &str) -> PathBuf {
        let path = self.authority.server(name, &["10.0.0.2"]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        path
    }

    fn curl(&self, more: &[&str]) -> Output {
        self.client.curl(&[&["--cacert", plain(&self.authority.certificate())], more].concat())
    }

    /// What `openssl s_client` says of one request, with these arguments.
    fn s_client(&self, more: &str) -> String {
        let request = "GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n";
        let ca = self.authority.certificate();
        let command =
            format!("printf '{request}' | openssl s_client -CAfile {} -ign_eof {more} 2>&1; true", plain(&ca));
        self.client.run(&["sh", "-c", &command]).text()
    }

    /// The name on the certificate that is shown.
    fn shown(&self) -> String {
        let said = self.s_client("-connect 10.0.0.2:8443");
        let subject = said.lines().find_map(|line| line.trim().strip_prefix("subject="));
        subject.unwrap_or_else(|| panic!("no certificate: {said}")).replace(' ', "")
    }

    /// A client that asks without end and writes a line for each answer: its status, and how many connections that took.
    fn asking(&self, more: &[&str]) -> Process {
        let ca = self.authority.certificate();
        let asks = ["stdbuf", "-oL", "curl", "-sS", "--cacert", plain(&ca), "-o", "/dev/null", "-w"];
        let what = ["%{http_code} %{num_connects}\\n", "https://10.0.0.2:8443/[1-1000000]"];
        self.client.spawn(&[&asks[..], &what, more].concat())
    }
}

fn text(tls: &str) -> String {
    format!("[frontend.web]\nbind = \"10.0.0.2:8443\"\nrespond = {{ body = \"here\\n\" }}\n[frontend.web.tls]\n{tls}\n")
}

/// Puts a file in the place of another in one step, as those do that renew certificates.
fn replace(old: &Path, new: &Path) {
    let next = old.with_extension("next");
    fs::copy(new, &next).expect("the folder is ours");
    fs::rename(next, old).expect("the folder is ours");
}

fn answers(process: &Process) -> Vec<String> {
    process.stdout().lines().map(str::to_owned).collect()
}

fn wait_for_more_answers(process: &Process) {
    let before = answers(process).len();
    wait_for(SOON, "further answers", || answers(process).len() > before + 50);
}

fn events(perron: &Perron, kind: &str) -> Vec<String> {
    let told = perron.ask(&["events", "-n", "1000"]).text();
    told.lines().filter(|line| line.split_whitespace().nth(2) == Some(kind)).map(str::to_owned).collect()
}

fn wait_for_event(perron: &Perron, kind: &str, count: usize) -> String {
    wait_for(SOON, &format!("{kind} is told"), || events(perron, kind).len() == count);
    events(perron, kind).pop().unwrap_or_default()
}

#[test]
fn a_certificate_is_renewed_under_load_and_a_wrong_one_is_not_taken() {
    let site = lab::require!(site("certificates-renewed"));
    let (used, next) = (site.certificate("used"), site.certificate("next"));
    let perron = Perron::start(&site.front, &text(&format!("certificate = \"{}\"", plain(&used))));
    assert_eq!(site.shown(), "CN=used");
    let mut clients = [site.asking(&[]), site.asking(&["-H", "Connection: close"])];
    clients.iter().for_each(wait_for_more_answers);

    replace(&used, &next);
    let told = wait_for_event(&perron, "certificate-reloaded", 1);
    assert!(told.contains(&format!("certificate {} reloaded, valid until 20", used.display())), "{told}");
    assert_eq!(site.shown(), "CN=next");
    clients.iter().for_each(wait_for_more_answers);

    // Somebody else's key, then no certificate at all, then nothing.
    let of = |name: &str, end: &str| fs::read(site.folder.join(format!("{name}.{end}"))).expect("it is there");
    site.certificate("other");
    fs::write(&used, [of("next", "crt"), of("other", "key")].concat()).expect("the folder is ours");
    let told = wait_for_event(&perron, "certificate-refused", 1);
    let why = "is not used, what was there before stays: the key is not that of the first certificate";
    assert!(told.contains(plain(&used)) && told.contains(why), "{told}");
    fs::write(&used, "nothing").expect("the folder is ours");
    let told = wait_for_event(&perron, "certificate-refused", 2);
    assert!(told.contains("certificate"), "{told}");
    fs::remove_file(&used).expect("the folder is ours");
    let told = wait_for_event(&perron, "certificate-refused", 3);
    assert!(told.contains("there is no such file"), "{told}");
    assert_eq!(site.shown(), "CN=next");
    let refused = perron.reload(&text(&format!("certificate = \"{}\"", plain(&used)))).expect_err("it is not there");
    assert!(refused.contains(&format!("frontend.web.tls: {}: there is no such file", used.display())), "{refused}");

    // What dies meanwhile comes back with what was right.
    perron.signal_serve(Signal::KILL);
    wait_for(SOON, "another process serves", || site.curl(&[URL]).stdout == b"here\n");
    assert_eq!(site.shown(), "CN=next");
    replace(&used, &site.certificate("last"));
    wait_for_event(&perron, "certificate-reloaded", 2);
    assert_eq!(site.shown(), "CN=last");

    // Until the death, which is not the files' fault, nobody has noticed anything.
    let [kept, fresh] = clients.each_mut().map(|client| {
        client.kill();
        answers(client)
    });
    let well = |lines: &[String]| lines.iter().position(|line| !line.starts_with("200 ")).unwrap_or(lines.len());
    assert!(well(&kept) > 100 && well(&fresh) > 100, "{} {}", well(&kept), well(&fresh));
    let connections = |lines: &[String]| lines.iter().filter(|line| line.ends_with(" 1")).count();
    assert!(connections(&kept[..well(&kept)]) <= 2, "the kept connection was not kept");
    assert!(perron.written().contains("certificate-refused") || !events(&perron, "certificate-refused").is_empty());
}

#[test]
fn links_that_are_switched_are_seen_and_a_key_may_come_after_its_certificate() {
    let site = lab::require!(site("certificates-links"));
    let made = ["one", "two"].map(|name| {
        site.certificate(name);
        let folder = site.folder.join(format!("{name}.d"));
        fs::create_dir(&folder).expect("the folder is ours");
        for (from, to) in [("crt", "cert.pem"), ("key", "key.pem")] {
            fs::copy(site.folder.join(format!("{name}.{from}")), folder.join(to)).expect("the folder is ours");
        }
        folder
    });
    let live = site.folder.join("live");
    std::os::unix::fs::symlink(&made[0], &live).expect("the folder is ours");
    let (certificate, key) = (live.join("cert.pem"), live.join("key.pem"));
    let tls = format!("certificate = \"{}\"\nkey = \"{}\"", plain(&certificate), plain(&key));
    let perron = Perron::start(&site.front, &text(&tls));
    assert_eq!(site.shown(), "CN=one");
    let next = site.folder.join("next");
    std::os::unix::fs::symlink(&made[1], &next).expect("the folder is ours");
    fs::rename(&next, &live).expect("the folder is ours");
    wait_for_event(&perron, "certificate-reloaded", 2);
    assert_eq!((site.shown().as_str(), events(&perron, "certificate-refused").len()), ("CN=two", 0));

    // One after the other, with time between them.
    fs::copy(made[0].join("cert.pem"), made[1].join("cert.pem")).expect("the folder is ours");
    wait_for_event(&perron, "certificate-refused", 1);
    assert_eq!(site.shown(), "CN=two");
    fs::copy(made[0].join("key.pem"), made[1].join("key.pem")).expect("the folder is ours");
    wait_for_event(&perron, "certificate-reloaded", 4);
    assert_eq!(site.shown(), "CN=one");
}

#[test]
fn users_are_known_by_their_certificates_and_a_revoked_one_is_refused_at_once() {
    let site = lab::require!(site("certificates-users"));
    let used = site.certificate("used");
    let clients = ["rapi-1", "node7", "admin"].map(|name| site.authority.client(name, &format!("/O=Lab/CN={name}")));
    let stranger = lab::require!(Authority::new(&site.client.new_folder("stranger"), "other"));
    let stranger = stranger.client("admin", "/CN=admin");
    let list = site.authority.revoke("list", &[]);
    let tls = format!(
        "certificate = \"{}\"\nclient-ca = \"{}\"\nclient-crl = \"{}\"\nclient-certificate = \"required\"\nuser = \"subject.CN\"\n\
         [[frontend.web.route]]\npath = \"/2/\"\nallow-users = [\"rapi-*\", \"admin\"]\nrespond = {{ body = \"two\\n\" }}\n",
        plain(&used),
        plain(&site.authority.certificate()),
        plain(&list),
    );
    let perron = Perron::start(&site.front, &text(&tls));
    let ask = |certificate: &Path, path: &str| {
        let status = ["-o", "/dev/null", "-w", "%{http_code}"];
        site.curl(&[&["--cert", plain(certificate)], &status[..], &[&format!("{URL}{path}")]].concat())
    };
    let asked = |certificate: &Path, path: &str| String::from_utf8(ask(certificate, path).stdout).expect("a number");
    let [rapi, node, admin] = &clients;
    assert_eq!([rapi, node, admin].map(|client| asked(client, "2/x")), ["200", "403", "200"]);
    assert_eq!(asked(node, ""), "200");
    assert_ne!(ask(&stranger, "2/x").code, Some(0), "another authority's");
    assert_ne!(site.curl(&[URL]).code, Some(0), "no certificate");
    let forbidden = || perron.status()["frontends"][0]["refused"]["forbidden"].as_u64();
    assert_eq!(forbidden(), Some(1));
    wait_for(SOON, "the log says who was refused", || {
        perron
            .written()
            .lines()
            .any(|line| line.contains("\"user\":\"node7\"") && line.contains("\"reason\":\"forbidden\""))
    });

    let session = site.client.new_folder("session").join("it");
    let resume = |how: &str| {
        let client = plain(rapi);
        site.s_client(&format!("-connect 10.0.0.2:8443 -cert {client} -key {client} {how} {}", plain(&session)))
    };
    assert!(resume("-sess_out").contains("here"));
    assert!(resume("-sess_in").contains("Reused, TLSv1.3"));
    site.authority.revoke("list", &[rapi]);
    wait_for_event(&perron, "certificate-reloaded", 1);
    assert_ne!(ask(rapi, "2/x").code, Some(0));
    let said = resume("-sess_in");
    assert!(!said.contains("Reused") && !said.contains("here"), "{said}");
    assert_eq!(asked(admin, "2/x"), "200");
}

#[test]
fn directors_with_one_secret_resume_each_others_sessions_and_one_its_own_over_all_that_happens() {
    let lab_site = lab::require!(site("certificates-tickets"));
    let used = lab_site.certificate("used");
    lab_site.front.add_address("10.0.0.3/24");
    let secret = lab_site.folder.join("secret");
    fs::write(&secret, "0123456789abcdef0123456789abcdef\n").expect("the folder is ours");
    let own = format!("certificate = \"{}\"", plain(&used));
    let shared = format!("{own}\nticket-secret = \"{}\"", plain(&secret));
    let other = |text: String| text.replace("10.0.0.2:8443", "10.0.0.3:8443") + "[admin]\nbind = \"off\"\n";
    let one = Perron::start(&lab_site.front, &text(&shared));
    let two = Perron::start(&lab_site.front, &other(text(&shared)));
    let session = lab_site.client.new_folder("session").join("it");
    let said = |address: &str, version: &str, how: &str| {
        lab_site.s_client(&format!("-connect {address}:8443 {version} {how} {}", plain(&session)))
    };
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(said("10.0.0.2", version, "-sess_out").contains("New, "));
        assert!(said("10.0.0.3", version, "-sess_in").contains("Reused, "), "{version}");
    }
    one.reload(&text(&own)).expect("the text is right");
    two.reload(&other(text(&own))).expect("the text is right");
    assert!(said("10.0.0.2", "-tls1_3", "-sess_out").contains("New, "));
    assert!(said("10.0.0.3", "-tls1_3", "-sess_in").contains("New, "), "each has its own secret");
    let resumes = || said("10.0.0.2", "-tls1_3", "-sess_in").contains("Reused, ");
    assert!(resumes());
    one.reload(&text(&own)).expect("the text is right");
    assert!(resumes(), "after a reload");
    one.signal_serve(Signal::KILL);
    wait_for(SOON, "another process serves", || lab_site.curl(&[URL]).stdout == b"here\n");
    assert!(resumes(), "after a death");
    one.ask(&["upgrade", "--binary", plain(&perron_binary())]).success();
    assert!(resumes(), "after an upgrade");
}

#[test]
fn what_the_files_hold_is_shown_before_and_while_it_is_used() {
    let site = lab::require!(site("certificates-shown"));
    let used =
        site.authority.sign("used", "/CN=used", "subjectAltName=IP:10.0.0.2,DNS:www.example.org", &["-days", "2"]);
    let config = text(&format!("certificate = \"{}\"", plain(&used)));
    let file = site.front.new_folder("check").join("perron.toml");
    fs::write(&file, &config).expect("the folder is ours");
    let binary = perron_binary();
    let check = |more: &[&str]| site.front.run(&[&[plain(&binary), "check", "-c", plain(&file)], more].concat());
    let said = check(&[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("it expires in "), "{}", said.stderr);
    assert!(said.stderr.contains("others on this machine may read it"), "{}", said.stderr);

    let perron = Perron::start(&site.front, &config);
    let told = wait_for_event(&perron, "certificate-expires", 1);
    assert!(told.contains(&format!("certificate {} expires in ", used.display())), "{told}");
    let status = perron.status();
    let certificate = &status["certificates"][0];
    assert_eq!(certificate["subject"], "CN=used");
    assert_eq!(certificate["names"][0], "www.example.org");
    let expires = certificate["expires_unix"].as_u64().expect("a time");
    let shown = perron.ask(&["status"]).text();
    let line = shown.lines().find(|line| line.starts_with(plain(&used))).unwrap_or_default();
    assert!(["1", "2"].map(Some).contains(&line.split_whitespace().last()), "{shown}");
    let metrics = site.front.curl(&["http://127.0.0.1:7070/metrics"]).text();
    let metric = format!("perron_certificate_expires_seconds{{file=\"{}\"}} {expires}", used.display());
    assert!(metrics.contains(&metric), "{metrics}");

    fs::remove_file(&used).expect("the folder is ours");
    let said = check(&[]);
    assert_eq!(said.code, Some(2));
    let why = format!("frontend.web.tls: {}: there is no such file; put it there, or name where it is", used.display());
    assert!(said.stderr.contains(&why), "{}", said.stderr);
    assert_eq!(check(&["--text-only"]).code, Some(0));
    let run = site.front.run(&[plain(&binary), "run", "-c", plain(&file)]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains(&why), "{}", run.stderr);
}
