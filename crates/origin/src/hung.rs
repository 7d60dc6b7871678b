//! A mount that hangs, for tests: a FUSE file system whose server never answers.

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Whatever asks it waits until this is dropped, and then gets an error.
pub(crate) struct HungMount {
    folder: PathBuf,
    server: Option<OwnedFd>,
}

impl HungMount {
    /// None, and a line that says so, where mounting is not allowed.
    pub(crate) fn new(folder: &Path) -> Option<HungMount> {
        let server = match rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
            Ok(server) => server,
            Err(error) => {
                eprintln!("SKIPPED: no hung mount to try, /dev/fuse: {error}");
                return None;
            }
        };
        let options = format!("fd={},rootmode=40755,user_id=0,group_id=0,allow_other", server.as_raw_fd());
        let options = CString::new(options).expect("options have no zero byte");
        let flags = MountFlags::NODEV | MountFlags::NOSUID;
        match mount("hung", folder, "fuse", flags, options.as_c_str()) {
            Ok(()) => Some(HungMount { folder: folder.to_owned(), server: Some(server) }),
            Err(error) => {
                eprintln!("SKIPPED: no hung mount to try, mount: {error}");
                None
            }
        }
    }
}

impl Drop for HungMount {
    fn drop(&mut self) {
        self.server.take();
        unmount(&self.folder, UnmountFlags::DETACH).expect("what was mounted can be unmounted");
    }
}
