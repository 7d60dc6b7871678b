//! Which program a request is for.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use fcgi_proto::Given;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;

/// Where programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In this folder and those below it: the request's path names one.
    Root(PathBuf),
    /// It is always this one.
    Script(PathBuf),
}

/// A program, and what the request's path says beside its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The file.
    pub(super) file: PathBuf,
    /// The part of the path that names it (RFC 3875 §4.1.13).
    pub(super) name: Vec<u8>,
    /// The rest (§4.1.5).
    pub(super) rest: Vec<u8>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// No such file.
    NotFound,
    /// It leads out of the root, is no file, or this user may not look.
    Forbidden,
}

impl Place {
    /// The program that a request with these parameters is for.
    pub(super) fn find(&self, given: &Given) -> Result<Found, Missing> {
        let param = |wanted: &[u8]| {
            given.iter().find(|(name, _)| name == wanted).map_or(&b""[..], |(_, value)| value.as_slice())
        };
        let (name, rest) = (param(b"SCRIPT_NAME"), param(b"PATH_INFO"));
        match self {
            Place::Script(file) => Ok(Found { file: file.clone(), name: name.to_vec(), rest: rest.to_vec() }),
            Place::Root(root) => below(root, name, rest),
        }
    }
}

/// The first file on the way that `rest` is from the root.
fn below(root: &Path, name: &[u8], rest: &[u8]) -> Result<Found, Missing> {
    let folder = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let folder = folder.map_err(|_| Missing::NotFound)?;
    let mut at = OsString::new();
    let mut end = 0;
    for segment in rest.split(|byte| *byte == b'/').skip(1) {
        end += 1 + segment.len();
        if segment == b".." || segment == b"." || segment.contains(&0) {
            return Err(Missing::NotFound);
        }
        if segment.is_empty() {
            continue;
        }
        if !at.is_empty() {
            at.push("/");
        }
        at.push(OsStr::from_bytes(segment));
        // Links are followed, but never out of the root.
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let found = openat2(&folder, Path::new(&at), OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), beneath);
        let found = found.map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Missing::NotFound,
            _ => Missing::Forbidden,
        })?;
        match fstat(&found).map(|found| FileType::from_raw_mode(found.st_mode)) {
            Ok(FileType::Directory) => {}
            Ok(FileType::RegularFile) => {
                return Ok(Found {
                    file: root.join(&at),
                    name: [name, &rest[..end]].concat(),
                    rest: rest[end..].to_vec(),
                });
            }
            _ => return Err(Missing::Forbidden),
        }
    }
    Err(Missing::NotFound)
}

/// What a program finds in its environment (RFC 3875 §4.1): what the gateway says, and where the program is.
pub(super) fn variables(given: &Given, found: &Found) -> Vec<(OsString, OsString)> {
    let mut variables = Vec::new();
    let mut set = |name: &[u8], value: &[u8]| {
        variables.push((OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec())));
    };
    for (name, value) in given {
        let is_name = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let is_ours = matches!(&name[..], b"SCRIPT_NAME" | b"SCRIPT_FILENAME" | b"PATH_INFO" | b"PATH_TRANSLATED")
            // Programs take it for where their own requests go: a client would choose (CVE-2016-5387).
            || name == b"HTTP_PROXY"
            // RFC 3875 §4.1.2: without a body, or without its length, it is not set.
            || (name == b"CONTENT_LENGTH" && value.is_empty());
        if is_name && !is_ours && !value.contains(&0) {
            set(name, value);
        }
    }
    set(b"GATEWAY_INTERFACE", b"CGI/1.1");
    set(b"SCRIPT_NAME", &found.name);
    set(b"SCRIPT_FILENAME", found.file.as_os_str().as_bytes());
    if !found.rest.is_empty() {
        set(b"PATH_INFO", &found.rest);
        if let Some((_, root)) = given.iter().find(|(name, _)| name == b"DOCUMENT_ROOT") {
            set(b"PATH_TRANSLATED", &[root, &found.rest[..]].concat());
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use rustix::fs::CWD;

    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Given {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_first_file_on_the_way_is_the_program_and_the_rest_is_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        for name in ["root/one", "root/sub/two", "outside"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("../outside", root.join("out")).unwrap();
        std::os::unix::fs::symlink("sub/two", root.join("in")).unwrap();
        rustix::fs::mkfifoat(CWD, root.join("fifo"), Mode::RWXU).unwrap();
        let place = Place::Root(root.clone());
        let find = |path: &str| place.find(&given(&[("SCRIPT_NAME", "/cgi"), ("PATH_INFO", path)]));
        let found = |file: &str, name: &str, rest: &str| {
            Ok(Found { file: root.join(file), name: name.into(), rest: rest.into() })
        };
        assert_eq!(find("/one"), found("one", "/cgi/one", ""));
        assert_eq!(find("/one/more/x"), found("one", "/cgi/one", "/more/x"));
        assert_eq!(find("/sub/two/"), found("sub/two", "/cgi/sub/two", "/"));
        assert_eq!(find("//sub//two/a//b"), found("sub/two", "/cgi//sub//two", "/a//b"));
        assert_eq!(find("/in"), found("in", "/cgi/in", ""));
        for path in ["", "/", "/none", "/sub", "/sub/", "/../outside", "/sub/../one", "/./one", "/one\0"] {
            assert_eq!(find(path), Err(Missing::NotFound), "{path:?}");
        }
        assert_eq!(find("/out"), Err(Missing::Forbidden));
        assert_eq!(find("/fifo"), Err(Missing::Forbidden));
        let always = Place::Script("/srv/x".into());
        let found = always.find(&given(&[("PATH_INFO", "/../y"), ("SCRIPT_NAME", "/x")])).unwrap();
        assert_eq!(found, Found { file: "/srv/x".into(), name: b"/x".into(), rest: b"/../y".into() });
    }

    #[test]
    fn the_environment_is_what_the_gateway_says_and_what_only_the_bridge_knows() {
        let found = Found { file: "/srv/cgi/x".into(), name: b"/cgi/x".into(), rest: b"/p".into() };
        let given = given(&[
            ("REQUEST_METHOD", "GET"),
            ("HTTP_HOST", "h"),
            ("HTTP_PROXY", "evil"),
            ("CONTENT_LENGTH", ""),
            ("SCRIPT_NAME", "/cgi"),
            ("PATH_INFO", "/x/p"),
            ("BASH_FUNC_x%%", "() { :; }"),
            ("NUL", "a\0b"),
            ("DOCUMENT_ROOT", "/srv/www"),
        ]);
        let written: Vec<String> = variables(&given, &found)
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        let expected = [
            "REQUEST_METHOD=GET",
            "HTTP_HOST=h",
            "DOCUMENT_ROOT=/srv/www",
            "GATEWAY_INTERFACE=CGI/1.1",
            "SCRIPT_NAME=/cgi/x",
            "SCRIPT_FILENAME=/srv/cgi/x",
            "PATH_INFO=/p",
            "PATH_TRANSLATED=/srv/www/p",
        ];
        assert_eq!(written, expected);
    }
}
