use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;

/// Whoever runs the tests.
fn us() -> User {
    let uid = rustix::process::geteuid().as_raw();
    User { name: "us".into(), uid, gid: rustix::process::getegid().as_raw(), groups: Vec::new() }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A program in a folder of its own, which is ours alone, in a folder that is everybody's, with the sticky bit.
struct Place {
    _folder: tempfile::TempDir,
    inner: PathBuf,
    program: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let inner = root.join("inner");
    fs::create_dir(&inner).unwrap();
    mode(&inner, 0o755);
    mode(&root, 0o755);
    let program = inner.join("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    mode(&program, 0o755);
    Place { _folder: folder, inner, program }
}

/// What is said of the program; empty: nothing.
fn said(program: &Path) -> String {
    check(program, &us()).err().map_or(String::new(), |error| error.to_string())
}

#[test]
fn what_only_root_and_the_user_can_change_is_run() {
    let place = place();
    assert_eq!(said(&place.program), "");
    assert_eq!(said(&place.inner.join("../inner/./program")), "");
    assert_eq!(said(Path::new("/bin/sh")), "", "where /bin may be a link to usr/bin");
}

#[test]
fn what_is_not_there_or_no_program_is_told() {
    let Place { inner, program, _folder } = place();
    let absent = inner.join("absent");
    assert_eq!(said(&absent), format!("{} is not there", absent.display()));
    assert_eq!(said(&absent.join("x")), format!("{} is not there", absent.display()));
    assert_eq!(said(&program.join("x")), format!("{} is not there", program.join("x").display()));
    assert_eq!(said(&inner), format!("{} is no file", inner.display()));
    mode(&program, 0o644);
    let expected = "cannot be executed by us: its mode is 0644; write chmod a+x";
    assert_eq!(said(&program), format!("{} {expected}", program.display()));
}

#[test]
fn whoever_may_execute_it_may() {
    let Place { program, _folder, .. } = place();
    let user = |uid, groups: &[u32]| User { uid, groups: groups.to_vec(), ..us() };
    let found = |bits| {
        mode(&program, bits);
        fs::metadata(&program).unwrap()
    };
    let (owner, group) = (found(0o700).uid(), found(0o700).gid());
    if owner != 0 {
        eprintln!("SKIPPED: only root has programs that are not executed as their owner");
        return;
    }
    assert!(executable(&found(0o100), &user(0, &[])));
    assert!(executable(&found(0o001), &user(0, &[])), "root needs one bit of them");
    assert!(!executable(&found(0o644), &user(0, &[])));
    assert!(executable(&found(0o010), &user(7, &[5, group])));
    assert!(!executable(&found(0o701), &user(7, &[group])), "of a group the group's bits count");
    assert!(executable(&found(0o701), &user(7, &[5])));
    assert!(!executable(&found(0o770), &user(7, &[5])));
}

#[test]
fn what_others_could_write_is_refused_wherever_it_stands() {
    let Place { inner, program, _folder } = place();
    mode(&program, 0o757);
    let told = said(&program);
    assert!(told.starts_with(&format!("{} could be changed by everybody (owner ", program.display())), "{told}");
    assert!(told.ends_with("mode 0757), so the program is not run; write chmod go-w"), "{told}");
    mode(&program, 0o755);
    mode(&inner, 0o777);
    assert!(said(&program).starts_with(&format!("{} could be changed by everybody", inner.display())));
    // With this bit nobody takes away what is not his.
    mode(&inner, 0o1777);
    assert_eq!(said(&program), "");
    mode(&inner, 0o755);
}

#[test]
fn other_owners_and_groups_are_refused_and_root_is_not() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files away");
        return;
    }
    let Place { inner, program, _folder } = place();
    mode(&inner, 0o775);
    assert_eq!(said(&program), "", "the group is root's");
    chown(&inner, Some(0), Some(4242)).unwrap();
    let expected = "could be changed by its group (owner 0, group 4242, mode 0775), so the program is not run";
    assert_eq!(said(&program), format!("{} {expected}; write chmod go-w", inner.display()));
    mode(&inner, 0o755);
    assert_eq!(said(&program), "");
    chown(&program, Some(4242), None).unwrap();
    let expected = "could be changed by its owner (owner 4242, group 0, mode 0755), so the program is not run";
    assert_eq!(said(&program), format!("{} {expected}; give it to root", program.display()));
    // Who runs it may as well have written it.
    assert!(check(&program, &User { uid: 4242, ..us() }).is_ok());
    assert!(check(&program, &User { uid: 4243, ..us() }).is_err());
}

#[test]
fn links_are_followed_and_what_they_lead_to_is_looked_at() {
    let Place { inner, program, _folder } = place();
    let other = inner.join("other");
    fs::create_dir(&other).unwrap();
    symlink("../program", other.join("relative")).unwrap();
    symlink(&program, other.join("absolute")).unwrap();
    symlink("other", inner.join("folder")).unwrap();
    for name in ["other/relative", "other/absolute", "folder/relative"] {
        assert_eq!(said(&inner.join(name)), "", "{name}");
    }
    // The link's own folder, and where a link on the way leads.
    mode(&other, 0o777);
    for name in ["other/absolute", "folder/absolute"] {
        let told = said(&inner.join(name));
        assert!(told.starts_with(&format!("{} could be changed", other.display())), "{name}: {told}");
    }
    mode(&other, 0o755);
    mode(&program, 0o757);
    assert!(said(&other.join("relative")).starts_with(&format!("{} could be changed", program.display())));
    mode(&program, 0o755);

    let round = other.join("round");
    symlink("round", &round).unwrap();
    assert_eq!(said(&round), format!("the way to {} has more than 40 symbolic links", round.display()));
    symlink("nowhere", other.join("dangling")).unwrap();
    assert_eq!(said(&other.join("dangling")), format!("{} is not there", other.join("nowhere").display()));
}
