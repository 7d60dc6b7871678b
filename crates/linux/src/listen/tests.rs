use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;

use super::*;

fn local(listener: &Listener) -> SocketAddr {
    match listener {
        Listener::Tcp(tcp) => tcp.local_addr().unwrap(),
        Listener::Udp(_) | Listener::Unix(_) => panic!("not a TCP listener"),
    }
}

#[test]
fn several_sockets_share_one_port_and_each_is_ready_to_accept() {
    let bind = Bind::Ip("127.0.0.1:0".parse().unwrap());
    let listeners = bind.open(3).unwrap();
    assert_eq!(listeners.len(), 3);
    let port = local(&listeners[0]).port();
    assert!(listeners.iter().all(|listener| local(listener).port() == port));
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    let again = Listener::from_fd(OwnedFd::from(listeners[2].try_clone().unwrap())).unwrap();
    assert_eq!(local(&again).port(), port);
    assert!(Bind::Ip(local(&again)).is_served_by(&again));
}

#[test]
fn an_address_that_is_not_here_can_be_bound() {
    // 203.0.113.0/24 and 2001:db8::/32 are for documentation: no host has them.
    for text in ["203.0.113.77:0", "[2001:db8::77]:0"] {
        assert_eq!(Bind::Ip(text.parse().unwrap()).open(1).unwrap().len(), 1);
    }
}

#[test]
fn ipv6_leaves_ipv4_to_others() {
    let six = Bind::Ip("[::]:0".parse().unwrap()).open(1).unwrap();
    let port = local(&six[0]).port();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(TcpStream::connect(("::1", port)).is_ok());
}

#[test]
fn a_port_of_another_program_is_refused_with_its_name_even_if_that_one_would_share_it() {
    let script = "import socket,sys\n\
        s=socket.socket()\n\
        s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEPORT,1)\n\
        s.bind(('127.0.0.1',0))\n\
        s.listen()\n\
        print(s.getsockname()[1],flush=True)\n\
        sys.stdin.read()";
    let mut other = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(other.stdout.take().unwrap()), &mut line).unwrap();
    let bind = Bind::Ip(format!("127.0.0.1:{}", line.trim()).parse().unwrap());
    let error = bind.open(2).unwrap_err();
    let pid = other.id();
    other.kill().unwrap();
    other.wait().unwrap();
    let said = error.to_string();
    assert!(said.contains(&format!("python3 (pid {pid})")), "{said}");
}

#[test]
fn a_wider_bind_of_our_own_does_not_stand_in_the_way() {
    let wide = Bind::Ip("0.0.0.0:0".parse().unwrap()).open(2).unwrap();
    let port = local(&wide[0]).port();
    assert_eq!(Bind::Ip(SocketAddr::from(([127, 0, 0, 1], port))).open(2).unwrap().len(), 2);
}

#[test]
fn an_interface_is_its_addresses() {
    let listeners = Bind::Interface { name: "lo".to_owned(), port: 0 }.open(1).unwrap();
    assert!(listeners.iter().any(|l| local(l).ip().to_string() == "127.0.0.1"));
    let error = Bind::Interface { name: "none9".to_owned(), port: 80 }.open(1).unwrap_err();
    assert!(matches!(error.reason, OpenReason::NoInterface), "{error}");
}

#[test]
fn a_unix_socket_has_its_mode_and_replaces_a_stale_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("door.sock");
    let bind = Bind::Unix { path: path.clone(), mode: 0o620 };
    let first = bind.open(4).unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o620);
    let error = bind.open(1).unwrap_err();
    assert!(matches!(error.reason, OpenReason::InUse(None)), "{error}");
    drop(first);
    let second = bind.open(1).unwrap();
    assert!(bind.is_served_by(&second[0]));

    let file = folder.path().join("letter");
    std::fs::write(&file, "keep me").unwrap();
    let error = Bind::Unix { path: file.clone(), mode: 0o600 }.open(1).unwrap_err();
    assert!(matches!(error.reason, OpenReason::NotASocket), "{error}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "keep me");
}

#[test]
fn a_descriptor_that_does_not_listen_is_refused() {
    assert!(Listener::from_fd(tempfile::tempfile().unwrap().into()).is_err());
    let (stream, _other) = UnixStream::pair().unwrap();
    assert!(Listener::from_fd(stream.into()).is_err());
}

#[test]
fn datagrams_come_to_one_socket_also_at_an_address_that_is_not_here_yet() {
    let opened = Bind::Udp("127.0.0.1:0".parse().unwrap()).open(4).unwrap();
    let [Listener::Udp(udp)] = &opened[..] else { panic!("{opened:?}") };
    let bind = Bind::Udp(udp.local_addr().unwrap());
    let again = Listener::from_fd(opened[0].try_clone().unwrap().into()).unwrap();
    assert!(bind.is_served_by(&again));
    let error = bind.open(1).unwrap_err();
    assert!(matches!(error.reason, OpenReason::InUse(None)), "{error}");
    assert!(error.to_string().starts_with(&format!("cannot listen on {bind}: another program")), "{error}");
    for text in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        assert_eq!(Bind::Udp(text.parse().unwrap()).open(1).unwrap().len(), 1);
    }
}
