use rustix::io::Errno;

/// Why a file is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It could not be had without waiting.
    Wait,
    /// It is not there, lies outside the root, or is nothing that has bytes to serve.
    Missing,
    /// The file system does not let us.
    Denied,
    /// The root was replaced under our descriptor.
    Stale,
    /// It was cut while it was read.
    Changed,
    /// Not now: the root is not there, the disk fails, descriptors or memory have run out.
    Unavailable,
}

impl Failure {
    /// What an error means that came of an attempt that was allowed to wait.
    pub(crate) fn from_blocking(errno: Errno) -> Failure {
        match errno {
            // Leaving the root is EXDEV; a forbidden symbolic link is ELOOP; a socket is ENXIO; a zero byte is EINVAL.
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::XDEV | Errno::LOOP | Errno::INVAL => {
                Failure::Missing
            }
            Errno::NXIO | Errno::NODEV | Errno::ISDIR => Failure::Missing,
            Errno::ACCESS | Errno::PERM => Failure::Denied,
            Errno::STALE => Failure::Stale,
            _ => Failure::Unavailable,
        }
    }

    /// What an error means that came of an attempt that was not.
    pub(crate) fn from_cached(errno: Errno) -> Failure {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::ACCESS | Errno::PERM => {
                Failure::from_blocking(errno)
            }
            // Among them another mount (EXDEV), and kernels before 5.12, which do not know RESOLVE_CACHED (EINVAL).
            _ => Failure::Wait,
        }
    }

    pub(crate) fn status(self) -> u16 {
        match self {
            Failure::Missing => 404,
            Failure::Denied => 403,
            Failure::Wait | Failure::Stale | Failure::Changed | Failure::Unavailable => 503,
        }
    }
}
