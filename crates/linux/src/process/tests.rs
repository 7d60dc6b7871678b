use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use lab::Skip;

use super::*;
use crate::child::alone;
use crate::packet::PacketSocket;

const NETWORK: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);

#[test]
fn users_are_found_by_name() {
    let root = User::named("root").unwrap().unwrap();
    assert_eq!((root.uid, root.gid), (0, 0));
    assert!(root.groups.contains(&0));
    assert_eq!(User::named("no-such-user-here").unwrap(), None);
    assert_eq!(User::named("a\0b").unwrap(), None);
}

#[test]
fn the_peer_of_our_own_socket_is_us() {
    let (one, _other) = UnixStream::pair().unwrap();
    let peer = peer_credentials(one.as_fd()).unwrap();
    assert_eq!(peer.pid, std::process::id());
    assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
}

#[test]
fn the_descriptor_limit_becomes_the_hard_one() {
    let granted = raise_descriptor_limit().unwrap();
    let limit = getrlimit(Resource::Nofile);
    assert_eq!(limit.current, limit.maximum);
    assert_eq!(limit.current.unwrap_or(u64::MAX), granted);
}

/// The values of a line of a process's status, in one.
fn value(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn nobody() -> Option<User> {
    if rustix::process::geteuid().is_root() {
        return User::named("nobody").unwrap();
    }
    Skip::new("only root has privileges to give up").announce();
    None
}

#[test]
fn what_is_kept_is_kept_by_this_process_alone() {
    let Some(nobody) = nobody() else { return };
    if !alone("process::tests::what_is_kept_is_kept_by_this_process_alone") {
        return;
    }
    assert!(is_capable(NETWORK | CapabilitySet::SETUID));
    drop_privileges_except(Some(&nobody), NETWORK).unwrap();
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    assert_eq!(value(&status, "Uid"), [nobody.uid.to_string().as_str(); 4].join(" "));
    assert_eq!(value(&status, "Gid"), [nobody.gid.to_string().as_str(); 4].join(" "));
    assert_eq!(value(&status, "Groups"), nobody.gid.to_string());
    // Capabilities 12 and 13.
    for (set, expected) in [("CapPrm", "3000"), ("CapEff", "3000"), ("CapInh", "0"), ("CapBnd", "0"), ("CapAmb", "0")] {
        assert_eq!(value(&status, set), format!("{expected:0>16}"), "{set}");
    }
    assert_eq!(value(&status, "NoNewPrivs"), "1");
    assert!(is_capable(NETWORK) && !is_capable(NETWORK | CapabilitySet::SETUID));
    PacketSocket::sender().unwrap();
    let status = std::process::Command::new("cat").arg("/proc/self/status").output().unwrap();
    assert_eq!(value(str::from_utf8(&status.stdout).unwrap(), "CapEff"), "0".repeat(16));
}

#[test]
fn what_is_not_held_cannot_be_kept() {
    let Some(nobody) = nobody() else { return };
    if !alone("process::tests::what_is_not_held_cannot_be_kept") {
        return;
    }
    drop_privileges(Some(&nobody)).unwrap();
    assert!(!is_capable(CapabilitySet::NET_RAW) && is_capable(CapabilitySet::empty()));
    let refused = drop_privileges_except(None, NETWORK).unwrap_err().to_string();
    assert_eq!(refused, "cannot clear the capabilities: Operation not permitted (os error 1)");
    assert_eq!(PacketSocket::sender().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn a_program_is_run_as_another_user_in_that_ones_groups() {
    let mut command = Command::new("/usr/bin/id");
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can run a program as another user");
        return;
    }
    let user = User { name: "x".into(), uid: 12_345, gid: 23_456, groups: vec![23_456, 34_567] };
    isolate(&mut command, Some(&user));
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(said.trim(), "uid=12345 gid=23456 groups=23456,34567");
}
