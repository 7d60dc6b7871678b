//! Certificates from an authority that gives them by ACME: pebble, the test server of those who run Let's Encrypt.

use std::fs;
use std::path::{Path, PathBuf};

use lab::{Authority, Host, Lab, Perron, Process, SOON, Skip, wait_for};

const NAME: &str = "front.cluster.example";
const FRONT: &str = "10.0.0.2";

struct Site {
    client: Host,
    front: Host,
    folder: PathBuf,
    text: String,
    _pebble: Process,
    _names: Process,
    _lab: Lab,
}

impl Site {
    fn new(name: &str, challenge: &str) -> Result<Site, Skip> {
        let lab = Lab::new(name)?;
        let (pebble, names) = (lab::program("pebble")?, lab::program("pebble-challtestsrv")?);
        let client = lab.host("client", "10.0.0.1/24");
        let front = lab.host("front", "10.0.0.2/24");
        let authority = lab.host("authority", "10.0.0.3/24");
        let folder = front.new_folder("acme");
        let trusted = Authority::new(&folder, "trusted")?;
        trusted.server("pebble", &["10.0.0.3"]);
        let settings = serde_json::json!({"pebble": {
            "listenAddress": "10.0.0.3:14000",
            "managementListenAddress": "10.0.0.3:15000",
            "certificate": folder.join("pebble.crt"),
            "privateKey": folder.join("pebble.key"),
            "httpPort": 80,
            "tlsPort": 443,
        }});
        let config = folder.join("pebble.json");
        fs::write(&config, settings.to_string()).expect("the folder is ours");
        let names = authority.spawn(&[
            text(&names),
            "-defaultIPv4",
            FRONT,
            "-defaultIPv6",
            "",
            "-dns01",
            "10.0.0.3:53",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-management",
            "10.0.0.3:8055",
        ]);
        let run = [text(&pebble), "-config", text(&config), "-dnsserver", "10.0.0.3:53"];
        let pebble = authority.spawn_with(&run, |command| {
            command.env("PEBBLE_VA_NOSLEEP", "1");
        });
        let text = TEXT
            .replace("CHALLENGE", challenge)
            .replace("FOLDER", text(&folder.join("held")))
            .replace("TRUSTED", text(&trusted.certificate()));
        wait_for(SOON, "the authority listens", || client.try_connect("10.0.0.3:14000").is_ok());
        Ok(Site { client, front, folder, text, _pebble: pebble, _names: names, _lab: lab })
    }

    /// The serial number of the certificate that the front shows, if it is the authority's.
    fn serial(&self) -> Option<String> {
        let root = self.client.curl(&["-k", "https://10.0.0.3:15000/roots/0"]);
        fs::write(self.folder.join("root.pem"), root.stdout).expect("the folder is ours");
        let root = self.folder.join("root.pem");
        let show = format!(
            "openssl s_client -connect {FRONT}:443 -servername {NAME} -CAfile {} -verify_return_error </dev/null 2>/dev/null | openssl x509 -noout -serial",
            root.display()
        );
        let shown = self.client.run(&["sh", "-c", &show]);
        let line = String::from_utf8_lossy(&shown.stdout).trim().to_owned();
        line.starts_with("serial=").then_some(line)
    }

    fn is_served(&self) -> bool {
        let root = self.folder.join("root.pem");
        let resolve = format!("{NAME}:443:{FRONT}");
        let url = format!("https://{NAME}/");
        let got = self.client.curl(&["--cacert", text(&root), "--resolve", &resolve, &url]);
        got.stdout == b"here"
    }
}

const TEXT: &str = r#"
[acme]
directory = "https://10.0.0.3:14000/dir"
agree-to-terms = true
ca = "TRUSTED"
challenge = "CHALLENGE"
folder = "FOLDER"

[frontend.http]
bind = "10.0.0.2:80"
respond = { body = "in clear" }

[frontend.https]
bind = "10.0.0.2:443"
respond = { body = "here" }
tls = { acme = ["front.cluster.example"] }
"#;

#[test]
fn a_name_is_proved_by_a_file_and_its_certificate_outlives_the_service() {
    let site = lab::require!(Site::new("acme-http", "http-01"));
    let mut perron = Perron::start(&site.front, &site.text);
    wait_for(SOON, "the authority's certificate is shown", || site.serial().is_some());
    assert!(site.is_served());
    let serial = site.serial();
    let held = fs::read_dir(site.folder.join("held")).expect("it was made");
    for file in held.flatten() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().expect("it is there").permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{} is root's alone", file.path().display());
    }
    assert!(perron.ask(&["events"]).text().contains(NAME));
    perron.stop();
    let _perron = Perron::start(&site.front, &site.text);
    assert_eq!(site.serial(), serial, "what is still good is not asked for again");
}

#[test]
fn a_name_is_proved_by_a_handshake() {
    let site = lab::require!(Site::new("acme-tls", "tls-alpn-01"));
    let _perron = Perron::start(&site.front, &site.text);
    wait_for(SOON, "the authority's certificate is shown", || site.serial().is_some());
    assert!(site.is_served());
}

#[track_caller]
fn text(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}
