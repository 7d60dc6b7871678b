//! OpenSSL at the other end, over loopback: what it says of us, and what is refused it.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use tls::config::{CertificateFiles, Cipher, ClientAuth, ClientTls, ServerTls, UserField, Version};
use tls::{Acceptor, Connector, Material, Peer, Read, Session, SessionError, TicketSecret};

/// How long either side may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Files of an authority, a server and a client, all by OpenSSL.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        files.certificate("ca", &ec, &["-x509", "-subj", "/CN=ca"]);
        files.signed("server", &ec, "/CN=server", "subjectAltName=DNS:a.test,IP:127.0.0.1");
        files.signed("rsa", &["-newkey", "rsa:2048"], "/CN=rsa", "subjectAltName=DNS:a.test,IP:127.0.0.1");
        files.signed("client", &ec, "/O=Cluster/CN=rapi-1", "extendedKeyUsage=clientAuth");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn certificate(&self, name: &str, kind: &[&str], rest: &[&str]) {
        let mut command = vec!["req", "-new", "-nodes"];
        command.extend_from_slice(kind);
        let (key, out) = (format!("{name}.key"), format!("{name}.pem"));
        command.extend_from_slice(&["-keyout", &key, "-out", &out]);
        command.extend_from_slice(rest);
        openssl(self.0.path(), &command);
    }

    fn signed(&self, name: &str, kind: &[&str], subject: &str, extension: &str) {
        self.certificate(name, kind, &["-subj", subject, "-addext", extension]);
        std::fs::rename(self.path(&format!("{name}.pem")), self.path("request")).unwrap();
        let out = format!("{name}.pem");
        openssl(
            self.0.path(),
            &[
                "x509",
                "-req",
                "-in",
                "request",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-copy_extensions",
                "copy",
                "-out",
                &out,
            ],
        );
    }

    fn pair(&self, name: &str) -> CertificateFiles {
        CertificateFiles {
            certificate: self.path(&format!("{name}.pem")),
            key: Some(self.path(&format!("{name}.key"))),
        }
    }

    fn material(&self) -> Material {
        let files = std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter_map(|path| Some((path.clone(), std::fs::read_to_string(path).ok()?))).collect()
    }

    fn server(&self) -> ServerTls {
        ServerTls { http2: true, ..ServerTls::showing(vec![self.pair("server"), self.pair("rsa")]) }
    }

    fn asking(&self, required: bool) -> ServerTls {
        let asked = ClientAuth {
            required,
            ca: self.path("ca.pem"),
            crl: None,
            depth: 1,
            minimum_serial: None,
            user: Some(UserField::SubjectCn),
            export: false,
        };
        ServerTls { client: Some(asked), ..self.server() }
    }

    fn acceptor(&self, wanted: &ServerTls) -> Acceptor {
        Acceptor::new(wanted, &self.material(), &TicketSecret::random().unwrap()).unwrap()
    }

    fn client(&self) -> ClientTls {
        ClientTls { ca: Some(self.path("ca.pem")), name: Some("a.test".to_owned()), ..ClientTls::default() }
    }
}

fn openssl(folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new("openssl").current_dir(folder).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Carries what `session` says over a socket until the handshake is over, and then until `bytes` are read.
fn talk(session: &mut Session, socket: &mut TcpStream, bytes: usize) -> Result<Vec<u8>, SessionError> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        while session.wants_write() {
            session.write_tls(socket).unwrap();
        }
        if !session.is_handshaking() && got.len() >= bytes {
            return Ok(got);
        }
        if let Err(error) = session.read_tls(socket).unwrap() {
            while session.wants_write() {
                session.write_tls(socket).unwrap();
            }
            return Err(error);
        }
        while !session.is_handshaking()
            && let Ok(Read::Bytes(read)) = session.read(&mut buffer)
        {
            got.extend_from_slice(&buffer[..read]);
        }
    }
}

/// Serves as many connections as there are calls of `openssl s_client`; what came of each, and what each client said.
fn serve(files: &Files, wanted: &ServerTls, clients: &[&[&str]]) -> Vec<(Result<Peer, SessionError>, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let acceptor = files.acceptor(wanted);
    let mut results = Vec::new();
    for arguments in clients {
        let mut child = Command::new("openssl")
            .current_dir(files.0.path())
            .args(["s_client", "-connect", &address, "-CAfile", "ca.pem", "-verify_return_error"])
            .args(*arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"ping\n").unwrap();
        let mut session = acceptor.begin().unwrap();
        let came = talk(&mut session, &mut socket, 5).map(|_| session.peer().unwrap());
        if came.is_ok() {
            assert_eq!(session.write(b"pong\n"), 5);
            session.close();
            while session.wants_write() {
                session.write_tls(&mut socket).unwrap();
            }
        }
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        results.push((came, said(child)));
    }
    results
}

fn said(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn every_version_and_cipher_is_agreed_on_with_openssl() {
    let files = Files::new();
    let wanted = files.server();
    for name in Cipher::names() {
        let openssl = openssl_name(name);
        let arguments = match openssl.strip_prefix("TLS_") {
            Some(_) => ["-tls1_3", "-ciphersuites", &openssl],
            None => ["-tls1_2", "-cipher", &openssl],
        };
        let arguments = [arguments.as_slice(), &["-servername", "a.test", "-alpn", "h2,http/1.1"]].concat();
        let (came, said) = serve(&files, &wanted, &[&arguments]).remove(0);
        let peer = came.unwrap();
        assert_eq!(peer.cipher, openssl);
        assert_eq!(peer.protocol, if openssl.starts_with("TLS_") { "TLSv1.3" } else { "TLSv1.2" });
        assert!(peer.is_http2 && said.contains("ALPN protocol: h2"), "{said}");
        assert!(said.contains(&format!("Cipher is {openssl}")) && said.contains("pong"), "{said}");
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    }
}

/// OpenSSL's name of a suite, by its own command.
fn openssl_name(standard: &str) -> String {
    let output = openssl(Path::new("."), &["ciphers", "-convert", standard]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.rsplit(':').next().unwrap().trim().to_owned()
}

#[test]
fn what_is_old_or_unknown_is_refused() {
    let files = Files::new();
    let newer = ServerTls { oldest: Version::Tls13, ..files.server() };
    for (wanted, arguments) in [
        (&files.server(), ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]),
        (&files.server(), ["-tls1_2", "-cipher", "AES128-SHA256"]),
        (&files.server(), ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"]),
        (&files.server(), ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"]),
        (&newer, ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]),
    ] {
        let (came, said) = serve(&files, wanted, &[&arguments]).remove(0);
        assert_eq!(came.unwrap_err(), SessionError::NothingInCommon, "{arguments:?} {said}");
        assert!(said.contains("alert"), "{said}");
    }
}

#[test]
fn openssl_resumes_and_sends_nothing_early() {
    let files = Files::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = format!("session{version}");
        let first: &[&str] = &[version, "-sess_out", &session];
        let second: &[&str] = &[version, "-sess_in", &session];
        let results = serve(&files, &files.server(), &[first, second]);
        assert!(!results[0].0.as_ref().unwrap().is_resumed);
        assert!(results[1].0.as_ref().unwrap().is_resumed, "{}", results[1].1);
        assert!(results[1].1.contains("Reused"), "{}", results[1].1);
        assert!(!results[0].1.contains("Max Early Data: 16384"), "{}", results[0].1);
        if version == "-tls1_3" {
            assert!(results[0].1.contains("Early data was not sent"), "{}", results[0].1);
        }
    }
}

#[test]
fn renegotiation_is_refused() {
    let files = Files::new();
    let (_, first) = serve(&files, &files.server(), &[&["-tls1_2"]]).remove(0);
    assert!(first.contains("Secure Renegotiation IS supported"), "{first}");
    // OpenSSL begins one for a line "R".
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-tls1_2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    let mut session = files.acceptor(&files.server()).begin().unwrap();
    talk(&mut session, &mut socket, 0).unwrap();
    child.stdin.as_mut().unwrap().write_all(b"R\n").unwrap();
    // It is warned that there is none (RFC 5246 §7.2.2), and OpenSSL then gives up.
    let came = talk(&mut session, &mut socket, 1);
    drop(socket);
    assert_eq!(came.map(|_| ()), Err(SessionError::Alert));
    assert!(said(child).contains("RENEGOTIATING"));
}

#[test]
fn clients_with_and_without_certificates_are_known() {
    let files = Files::new();
    let mine: &[&str] = &["-cert", "client.pem", "-key", "client.key"];
    for version in ["-tls1_2", "-tls1_3"] {
        let with: Vec<&str> = [&[version], mine].concat();
        let without: &[&str] = &[version];
        let optional = serve(&files, &files.asking(false), &[&with, without]);
        let known = optional[0].0.clone().unwrap().identity.unwrap();
        assert_eq!(known.user.as_deref(), Some("rapi-1"));
        assert_eq!(optional[1].0.clone().unwrap().identity, None);
        assert!(optional[0].1.contains("CN = ca"), "the authority is named: {}", optional[0].1);
        let required = serve(&files, &files.asking(true), &[&with, without]);
        assert!(required[0].0.is_ok());
        assert_eq!(required[1].0.clone().unwrap_err(), SessionError::CertificateMissing);
    }
    // One that says nothing of its use is for any.
    let server: &[&str] = &["-cert", "server.pem", "-key", "server.key"];
    assert!(serve(&files, &files.asking(true), &[server])[0].0.is_ok());
}

/// OpenSSL's `ca` makes lists of the first version unless it is told to number them.
#[test]
fn a_list_of_version_1_is_refused_with_what_to_do() {
    let files = Files::new();
    let own = "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\ndefault_md = sha256\ndefault_crl_days = 30\n";
    std::fs::write(files.path("index.txt"), "").unwrap();
    std::fs::write(files.path("number"), "01\n").unwrap();
    let made_by = |configuration: &str| {
        std::fs::write(files.path("ca.cnf"), configuration).unwrap();
        let arguments = "ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.pem -out list.pem";
        openssl(files.0.path(), &arguments.split(' ').collect::<Vec<_>>());
        let mut wanted = files.asking(true);
        wanted.client.as_mut().unwrap().crl = Some(files.path("list.pem"));
        Acceptor::new(&wanted, &files.material(), &TicketSecret::random().unwrap()).map(drop)
    };
    let error = made_by(own).unwrap_err().to_string();
    assert!(error.contains("list.pem: a list in it is of version 1, and RFC 5280 wants version 2"), "{error}");
    assert_eq!(made_by(&format!("{own}crlnumber = number\n")), Ok(()));
}

#[test]
fn servers_of_openssl_are_judged() {
    let files = Files::new();
    for (wanted, expected) in [
        (files.client(), Ok(())),
        (ClientTls { certificate: Some(files.pair("client")), ..files.client() }, Ok(())),
        (ClientTls { name: Some("b.test".to_owned()), ..files.client() }, Err(SessionError::CertificateName)),
        (ClientTls { ca: Some(files.path("client.pem")), ..files.client() }, Err(SessionError::CertificateAuthority)),
        (ClientTls { verify: false, name: None, ca: None, ..files.client() }, Ok(())),
    ] {
        let (child, port) = openssl_server(&files);
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut session = Connector::new(&wanted, &files.material()).unwrap().begin("127.0.0.1").unwrap();
        let came = talk(&mut session, &mut socket, 0).map(|_| ());
        drop(socket);
        end(child);
        assert_eq!(came, expected, "{wanted:?}");
    }
}

#[test]
fn commands_connect_with_words_for_people() {
    let files = Files::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, expected) in [("a.test", None), ("b.test", Some("not valid for name"))] {
        let (child, port) = openssl_server(&files);
        let wanted = ClientTls { name: Some(name.to_owned()), ..files.client() };
        let connector = Connector::new(&wanted, &files.material()).unwrap();
        let came = runtime.block_on(async {
            let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tls::connect(&connector, "127.0.0.1", socket).await.map(|(_, is_http2)| is_http2)
        });
        end(child);
        match expected {
            None => assert!(!came.unwrap()),
            Some(expected) => {
                let text = came.unwrap_err().to_string();
                assert!(text.contains(expected), "{text}");
            }
        }
    }
}

/// `openssl s_server` on some port, which asks for certificates.
fn openssl_server(files: &Files) -> (Child, u16) {
    let mut child = Command::new("openssl")
        .current_dir(files.0.path())
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key"])
        .args(["-CAfile", "ca.pem", "-verify", "1", "-naccept", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It says `ACCEPT 127.0.0.1:PORT`.
    let mut said = Vec::new();
    let out = child.stdout.as_mut().unwrap();
    let port = loop {
        let mut byte = [0];
        out.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
        if byte == [b'\n']
            && let Some(line) = String::from_utf8_lossy(&said).lines().find(|line| line.starts_with("ACCEPT"))
        {
            break line.rsplit(':').next().unwrap().trim().parse().unwrap();
        }
    };
    let mut rest = child.stdout.take().unwrap();
    thread::spawn(move || rest.read_to_end(&mut Vec::new()));
    (child, port)
}

fn end(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}
