use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use health::{Finding, Outcome};
use lab::Authority;
use tls::config::{CertificateFiles, ClientTls, ServerTls};
use tls::{Acceptor, Connector, Material, Read, Session, TicketSecret};
use wire::proxy_header;

use crate::config::{CheckConfig, HttpCheck, Kind, Page, Statuses, Target};
use crate::lookup::Lookup;
use crate::means::Means;
use crate::probe::tests as probe_tests;

const PATIENT: Duration = Duration::from_secs(20);
const HASTY: Duration = Duration::from_millis(200);

fn material(path: &Path) -> Material {
    [(path.to_owned(), std::fs::read_to_string(path).expect("a file of the test"))].into_iter().collect()
}

fn acceptor(certificate: &Path) -> Acceptor {
    let wanted = ServerTls::showing(vec![CertificateFiles::together(certificate)]);
    let secret = TicketSecret::random().expect("chance");
    Acceptor::new(&wanted, &material(certificate), &secret).expect("an acceptor")
}

fn wanted(ca: &Path, name: Option<&str>) -> ClientTls {
    ClientTls { ca: Some(ca.to_owned()), name: name.map(str::to_owned), ..ClientTls::default() }
}

fn connector(ca: &Path, name: Option<&str>) -> Connector {
    Connector::new(&wanted(ca, name), &material(ca)).expect("a connector")
}

/// A server that reads `first` in clear, then shakes hands and answers one head with 204.
fn server(certificate: PathBuf, first: &'static [u8]) -> SocketAddr {
    let (listener, acceptor) = (TcpListener::bind("127.0.0.1:0").expect("a port"), acceptor(&certificate));
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut clear = vec![0; first.len()];
            let is_as_told = socket.read_exact(&mut clear).is_ok() && clear == first;
            let session = acceptor.begin().expect("a session");
            // A client that goes away has seen enough.
            let _ = is_as_told.then(|| serve(&mut socket, session));
        }
    });
    address
}

fn serve(socket: &mut TcpStream, mut session: Session) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        while session.wants_write() {
            session.write_tls(socket)?;
        }
        let mut bytes = [0; 1000];
        match session.read(&mut bytes)? {
            Read::Bytes(read) => head.extend_from_slice(&bytes[..read]),
            Read::End => return Ok(()),
            Read::Nothing => match session.read_tls(socket)? {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(_) => return socket.write_all(b""),
            },
        }
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            session.write(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
    }
}

fn config(target: Target, kind: Kind, tls: ClientTls, timeout: Duration) -> CheckConfig {
    CheckConfig { tls: Some(tls), ..probe_tests::config(target, kind, timeout) }
}

fn http() -> Kind {
    let statuses = Statuses(vec![204..=204]);
    let page = Page { path: "/".to_owned(), statuses, body: None, digest: None };
    Kind::Http(HttpCheck { method: "GET".to_owned(), host: None, pages: vec![page] })
}

async fn probe(check: &CheckConfig, connector: Option<&Connector>) -> Outcome {
    crate::probe::probe(check, &Lookup::new(), &Means::default(), connector).await.outcome
}

#[tokio::test]
async fn a_server_is_asked_through_tls_and_must_be_who_it_is_said_to_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = match Authority::new(folder.path(), "ca") {
        Ok(authority) => authority,
        Err(skip) => return skip.announce(),
    };
    let other = Authority::new(folder.path(), "other").expect("openssl is there").certificate();
    let expired = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth";
    let expired = authority.sign("expired", "/CN=expired", expired, &["-days", "-1"]);
    let right = authority.server("right", &["127.0.0.1"]);
    let ca = authority.certificate();
    for (certificate, ca, name, finding, words) in [
        (&right, &ca, None, Finding::Answered, "answered as expected"),
        (&right, &other, None, Finding::CertificateAuthority, "of an authority that is not believed"),
        (&right, &ca, Some("node1.example"), Finding::CertificateName, "its certificate is for other names"),
        (&expired, &ca, None, Finding::CertificateExpired, "its certificate has expired"),
    ] {
        let address = server(certificate.clone(), b"");
        let (tls, connector) = (wanted(ca, name), connector(ca, name));
        for (kind, on_success) in [(http(), Finding::Answered), (Kind::Tcp, Finding::Secured)] {
            let outcome = probe(&config(Target::Ip(address), kind, tls.clone(), PATIENT), Some(&connector)).await;
            let expected = if finding == Finding::Answered { on_success } else { finding };
            assert_eq!(outcome.finding, expected, "{words}");
            assert!(expected == Finding::Secured || outcome.to_string().contains(words), "{outcome}");
        }
    }
    // By a name that is looked up, as where clients are redirected: the certificate must have it.
    let named = server(authority.server("named", &["localhost"]), b"");
    let target = Target::Name { host: "localhost".to_owned(), port: named.port() };
    let found = probe(&config(target, http(), wanted(&ca, None), PATIENT), Some(&connector(&ca, None))).await;
    assert_eq!((found.finding, found.status), (Finding::Answered, Some(204)));
    // A PROXY header comes first, in clear: version 1's for a connection of the load balancer's own.
    let address = server(right, b"PROXY UNKNOWN\r\n");
    let mut check = config(Target::Ip(address), http(), wanted(&ca, None), PATIENT);
    check.send_proxy = Some(proxy_header::Version::V1);
    assert_eq!(probe(&check, Some(&connector(&ca, None))).await.finding, Finding::Answered);
}

#[tokio::test]
async fn what_speaks_no_tls_or_nothing_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = match Authority::new(folder.path(), "ca") {
        Ok(authority) => authority.certificate(),
        Err(skip) => return skip.announce(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = Target::Ip(listener.local_addr().expect("an address"));
    let connector = connector(&ca, None);
    let silent = probe(&config(target.clone(), Kind::Tcp, wanted(&ca, None), HASTY), Some(&connector)).await;
    assert_eq!(silent.finding, Finding::TlsTimedOut);
    let without = probe(&config(target.clone(), Kind::Tcp, wanted(&ca, None), PATIENT), None).await;
    assert_eq!(without.finding, Finding::LocalFault, "the files have not been handed over");
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let clear = probe(&config(target, Kind::Tcp, wanted(&ca, None), PATIENT), Some(&connector)).await;
    assert_eq!(clear.finding, Finding::TlsFailed);
}
