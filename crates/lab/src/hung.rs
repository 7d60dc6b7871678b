//! A file system that hangs when told: a FUSE mount served by a thread here, so that nothing foreign is needed.
//!
//! Every answer's validity is zero: the kernel asks again for each look, and a hung mount hangs at once.
//! The layouts are those of the kernel's `linux/fuse.h`, protocol 7.31.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::{Host, Skip};

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const READDIR: u32 = 28;
const RELEASEDIR: u32 = 29;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// Length of a request's header.
const HEADER_BYTES: usize = 40;

/// Larger than the kernel's largest request at the write size that INIT answers.
const REQUEST_BYTES: usize = 256 * 1024;

/// Between two looks at whether it still hangs.
const LOOK_EVERY: Duration = Duration::from_millis(2);

const ROOT_NODE: u64 = 1;
const FILE_NODE: u64 = 2;

/// The one file's name.
const FILE_NAME: &str = "file.txt";

/// A mounted folder with one file, `file.txt`; dropping it ends every call that hangs in it.
#[derive(Debug)]
pub struct HungMount {
    folder: PathBuf,
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told {
    hang: AtomicBool,
    end: AtomicBool,
}

impl HungMount {
    /// Mounts it; it works until told to hang.
    ///
    /// # Errors
    /// Without `/dev/fuse`.
    pub fn mount(host: &Host, content: &str) -> Result<HungMount, Skip> {
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.map_err(|error| Skip::new(format!("/dev/fuse: {error}")))?;
        let folder = host.new_folder("mount");
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let data = CString::new(data).expect("no zero byte is in it");
        mount("lab", &folder, c"fuse.lab", MountFlags::NOSUID | MountFlags::NODEV, data.as_c_str())
            .map_err(|error| Skip::new(format!("a FUSE mount is refused: {error}")))?;
        let told = Arc::new(Told::default());
        let (heard, content) = (Arc::clone(&told), content.as_bytes().to_vec());
        std::thread::spawn(move || serve(&device, &heard, &content));
        Ok(HungMount { folder, told })
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// From now on no request is answered.
    pub fn hang(&self) {
        self.told.hang.store(true, Ordering::SeqCst);
    }

    /// From now on requests are answered; those that came while it hung too.
    pub fn recover(&self) {
        self.told.hang.store(false, Ordering::SeqCst);
    }
}

impl Drop for HungMount {
    fn drop(&mut self) {
        self.told.end.store(true, Ordering::SeqCst);
        abort(&self.folder);
        let _ = unmount(&self.folder, UnmountFlags::DETACH);
    }
}

/// Makes the kernel fail everything that waits in the mount; the serving thread ends too.
fn abort(folder: &Path) {
    use std::os::unix::fs::MetadataExt;
    // stat(2) would hang in the mount: its device number is in the kernel's list.
    let list = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut fields = list.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let Some(minor) = fields.find_map(|fields| {
        let is_it = Path::new(fields.get(4)?) == folder;
        is_it.then(|| fields[2].split(':').nth(1).map(str::to_owned)).flatten()
    }) else {
        return;
    };
    let connections = Path::new("/sys/fs/fuse/connections");
    if fs::metadata(connections).is_ok_and(|folder| folder.nlink() < 3) {
        let _ = mount("fusectl", connections, c"fusectl", MountFlags::empty(), None);
    }
    let _ = fs::write(connections.join(minor).join("abort"), "1");
}

fn serve(device: &File, told: &Told, content: &[u8]) {
    let mut request = vec![0; REQUEST_BYTES];
    loop {
        let count = match { device }.read(&mut request) {
            Ok(count) if count >= HEADER_BYTES => count,
            // A request that was interrupted before it was read.
            Err(error) if error.raw_os_error() == Some(2) || error.kind() == std::io::ErrorKind::Interrupted => {
                continue;
            }
            _ => return,
        };
        let request = &request[..count];
        let operation = number32(request, 4);
        if matches!(operation, FORGET | BATCH_FORGET | INTERRUPT) {
            continue;
        }
        while told.hang.load(Ordering::SeqCst) {
            if told.end.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let (error, body) = match answer(operation, request, content) {
            Ok(body) => (0i32, body),
            Err(error) => (-error, Vec::new()),
        };
        let length = u32::try_from(16 + body.len()).expect("answers are small");
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(error.to_ne_bytes());
        message.extend(&request[8..16]);
        message.extend(body);
        // The asker may have been killed meanwhile.
        let _ = { device }.write(&message);
    }
}

fn answer(operation: u32, request: &[u8], content: &[u8]) -> Result<Vec<u8>, i32> {
    const ENOENT: i32 = 2;
    const ENOSYS: i32 = 38;
    let node = number64(request, 16);
    let arguments = &request[HEADER_BYTES..];
    match operation {
        INIT => {
            let mut body = Vec::new();
            // Version 7.31, no read-ahead, no flags, default background limits, writes of 4 KiB.
            for number in [7, 31, 0, 0, 0, 4096, 1] {
                body.extend(u32::to_ne_bytes(number));
            }
            body.resize(64, 0);
            Ok(body)
        }
        LOOKUP if arguments.strip_suffix(b"\0") == Some(FILE_NAME.as_bytes()) => {
            let mut body = FILE_NODE.to_ne_bytes().to_vec();
            body.resize(40, 0);
            body.extend(attributes(FILE_NODE, content));
            Ok(body)
        }
        LOOKUP => Err(ENOENT),
        GETATTR => Ok([vec![0; 16], attributes(node, content)].concat()),
        OPEN | OPENDIR => Ok(vec![0; 16]),
        // A file system of no size.
        STATFS => Ok(vec![0; 80]),
        READ => {
            let (offset, size) = (number64(arguments, 8), number32(arguments, 16));
            let rest = content.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            Ok(rest[..rest.len().min(size as usize)].to_vec())
        }
        READDIR if number64(arguments, 8) == 0 => {
            let mut body = FILE_NODE.to_ne_bytes().to_vec();
            body.extend(1u64.to_ne_bytes());
            body.extend((FILE_NAME.len() as u32).to_ne_bytes());
            body.extend(8u32.to_ne_bytes());
            body.extend(FILE_NAME.as_bytes());
            body.resize(body.len().next_multiple_of(8), 0);
            Ok(body)
        }
        READDIR | RELEASE | RELEASEDIR | FLUSH => Ok(Vec::new()),
        _ => Err(ENOSYS),
    }
}

fn attributes(node: u64, content: &[u8]) -> Vec<u8> {
    let (mode, size) = if node == ROOT_NODE { (0o040_755, 0) } else { (0o100_644, content.len() as u64) };
    let mut body = Vec::new();
    for number in [node, size, 0, 1, 1, 1] {
        body.extend(number.to_ne_bytes());
    }
    for number in [0u32, 0, 0, mode, 1, 0, 0, 0, 4096, 0] {
        body.extend(number.to_ne_bytes());
    }
    body
}

fn number32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn number64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
}
