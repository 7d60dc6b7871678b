use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use rustix::process::Resource;

use super::*;

/// What this kernel has of landlock, as a process of its own finds it.
fn is_here() -> bool {
    let here = in_a_thread(|| see_only(&[], &[]).unwrap()) != Seen::Everything;
    if !here {
        eprintln!("SKIPPED: this kernel has no landlock, or it is not switched on (lsm=landlock,…)");
    }
    here
}

/// Its restrictions end with it.
fn in_a_thread<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap()
}

fn no_new_privs() {
    rustix::thread::set_no_new_privs(true).unwrap();
}

#[test]
fn only_what_is_shown_is_seen() {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["read", "write", "hidden"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("file"), name).unwrap();
    }
    let open = fs::File::open(at("hidden/file")).unwrap();
    let denied = |result: io::Result<()>| result.unwrap_err().kind() == io::ErrorKind::PermissionDenied;
    in_a_thread(|| {
        let (read, write) = (show(&at("read")).unwrap(), show(&at("write")).unwrap());
        assert_ne!(see_only(&[read], &[write]).unwrap(), Seen::Everything);
        assert_eq!(fs::read(at("read/file")).unwrap(), b"read");
        assert!(denied(fs::write(at("read/file"), "x")));
        assert!(denied(fs::write(at("read/new"), "x")));
        fs::write(at("write/.new"), "x").unwrap();
        fs::rename(at("write/.new"), at("write/new")).unwrap();
        fs::create_dir(at("write/folder")).unwrap();
        fs::write(at("write/folder/file"), "x").unwrap();
        assert!(std::os::unix::fs::symlink("/etc/passwd", at("write/link")).is_err(), "links lead elsewhere");
        assert!(std::os::unix::net::UnixListener::bind(at("write/socket")).is_err());
        assert!(fs::rename(at("write/new"), at("write/folder/new")).is_err(), "to where it is not");
        fs::remove_file(at("write/new")).unwrap();
        assert!(denied(fs::read(at("hidden/file")).map(drop)));
        assert!(denied(fs::read_dir(at("hidden")).map(drop)));
        assert!(denied(fs::read("/etc/passwd").map(drop)));
        assert!(denied(std::process::Command::new("/bin/true").status().map(drop)), "nothing is run");
        use std::io::Read;
        let mut text = String::new();
        (&open).read_to_string(&mut text).unwrap();
        assert_eq!(text, "hidden", "what is open stays so");
    });
    assert_eq!(fs::read(at("hidden/file")).unwrap(), b"hidden", "of this thread alone");
}

#[test]
fn no_port_is_listened_on() {
    if !is_here() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (here, free) =
        (listener.local_addr().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    in_a_thread(move || {
        if see_only(&[], &[]).unwrap() != Seen::Only {
            eprintln!("SKIPPED: this kernel's landlock knows no ports");
            return;
        }
        TcpStream::connect(here).unwrap();
        listener.accept().unwrap();
        assert_eq!(TcpListener::bind(free).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    });
}

#[test]
fn what_no_serving_process_needs_fails() {
    let failed = in_a_thread(|| {
        no_new_privs();
        call_only_what_serving_needs(Refused::Fails).unwrap();
        // What is needed works.
        let file = fs::File::open("/dev/null").unwrap();
        drop(file);
        std::thread::spawn(|| ()).join().unwrap();
        let stream = TcpListener::bind("127.0.0.1:0").map(drop);
        let run = std::process::Command::new("/bin/true").status().map(drop);
        let mount = rustix::mount::unmount(Path::new("/none"), rustix::mount::UnmountFlags::empty());
        let raw = rustix::net::socket(rustix::net::AddressFamily::PACKET, rustix::net::SocketType::RAW, None).map(drop);
        let parent = rustix::process::getppid();
        let limit = rustix::process::getrlimit(Resource::Nofile);
        let limited = rustix::process::prlimit(parent, Resource::Nofile, limit).map(drop);
        let told = parent.map_or(Ok(()), rustix::process::test_kill_process);
        let [mount, raw, limited, told] = [mount, raw, limited, told].map(|result| result.map_err(io::Error::from));
        [stream, run, mount, raw, limited, told].map(|result| result.unwrap_err().raw_os_error())
    });
    assert_eq!(failed, [Some(libc::EPERM); 6]);
}

#[test]
fn in_the_mode_that_only_tells_everything_works() {
    in_a_thread(|| {
        no_new_privs();
        call_only_what_serving_needs(Refused::IsLogged).unwrap();
        TcpListener::bind("127.0.0.1:0").unwrap();
    });
}
