//! One look at processes or at a file. Both may wait for the system, so both belong on a thread that may hang.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// So much of a file is read: a number has less.
const FILE_MAX: u64 = 64;

/// So much of a process's `stat` and `cmdline` is read: what is looked for stands at the beginning.
const PROCESS_MAX: u64 = 4096;

/// The number that the file holds; 0 if it is not there, or holds none.
pub(crate) fn number(path: &Path) -> i32 {
    let read = || {
        // A FIFO without a writer would have us wait for one.
        let flags = OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        let mut text = String::new();
        file.metadata().ok().filter(fs::Metadata::is_file)?;
        file.take(FILE_MAX).read_to_string(&mut text).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    read().unwrap_or(0)
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// It is not there.
    Missing,
    /// Nothing but blanks and line ends.
    Empty,
    /// This number, alone or before other words.
    Number(i64),
    /// Something else, or it cannot be read.
    Other,
}

/// What is at the beginning of the file, by its first word.
pub(crate) fn content(path: &Path) -> Content {
    let read = || -> std::io::Result<Option<String>> {
        // A FIFO without a writer would have us wait for one.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(FILE_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8(bytes).ok())
    };
    match read() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Content::Missing,
        Err(_) | Ok(None) => Content::Other,
        Ok(Some(text)) => match text.split_whitespace().next() {
            None => Content::Empty,
            Some(word) => word.parse().map_or(Content::Other, Content::Number),
        },
    }
}

/// How many processes of this name run, up to `enough`. Those that have ended and are not yet waited for do not count.
pub(crate) fn processes(name: &str, enough: u32) -> u32 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let mut found = 0;
    for entry in entries.flatten() {
        if found >= enough {
            break;
        }
        let number = entry.file_name();
        if number.as_bytes().iter().all(u8::is_ascii_digit) && is_called(&entry.path(), name.as_bytes()) {
            found += 1;
        }
    }
    found
}

/// Whether the process of this folder of /proc runs and is called `name`: by itself, by its file or by its first word.
fn is_called(process: &Path, name: &[u8]) -> bool {
    let Some(stat) = beginning(&process.join("stat")) else { return false };
    let Some((own, running)) = own_name(&stat) else { return false };
    if !running {
        return false;
    }
    if own == name {
        return true;
    }
    let last = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next() == Some(name);
    let file = fs::read_link(process.join("exe")).is_ok_and(|path| {
        let path = path.as_os_str().as_bytes();
        // So the kernel calls one whose file has been replaced.
        last(path.strip_suffix(b" (deleted)").unwrap_or(path))
    });
    file || beginning(&process.join("cmdline"))
        .is_some_and(|line| line.split(|byte| *byte == 0).next().is_some_and(last))
}

/// From `/proc/PID/stat`: the name in parentheses, which may hold some itself, and whether the process still runs
/// (proc_pid_stat(5)).
fn own_name(stat: &[u8]) -> Option<(&[u8], bool)> {
    let start = stat.iter().position(|byte| *byte == b'(')? + 1;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let state = *stat.get(end + 2)?;
    Some((stat.get(start..end)?, !b"ZXx".contains(&state)))
}

fn beginning(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(PROCESS_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_a_number_or_counts_as_0() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("n");
        assert_eq!(number(&file), 0);
        let table = [
            ("5\n", 5),
            (" -12 of 20", -12),
            ("+3", 3),
            ("2147483647", i32::MAX),
            ("2147483648", 0),
            ("x", 0),
            ("", 0),
            ("1.5", 0),
        ];
        for (text, expected) in table {
            fs::write(&file, text).unwrap();
            assert_eq!(number(&file), expected, "{text:?}");
        }
        // Beyond the first 64 bytes nothing is read.
        fs::write(&file, format!("{}7", " ".repeat(64))).unwrap();
        assert_eq!(number(&file), 0);
        assert_eq!(number(folder.path()), 0, "a folder");
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        assert_eq!(number(&fifo), 0, "a FIFO that nobody writes to");
    }

    #[test]
    fn a_file_is_missing_empty_a_number_or_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("n");
        assert_eq!(content(&file), Content::Missing);
        let long = format!("{}7", " ".repeat(64));
        let table = [
            ("", Content::Empty),
            (" \n", Content::Empty),
            ("5\n", Content::Number(5)),
            ("-12 of 20", Content::Number(-12)),
            ("99999999999", Content::Number(99_999_999_999)),
            ("99999999999999999999", Content::Other),
            ("up", Content::Other),
            ("1.5", Content::Other),
            // Beyond the first 64 bytes nothing is read.
            (&long, Content::Empty),
        ];
        for (text, expected) in table {
            fs::write(&file, text).unwrap();
            assert_eq!(content(&file), expected, "{text:?}");
        }
        fs::write(&file, b"\xff").unwrap();
        assert_eq!(content(&file), Content::Other);
        assert_eq!(content(folder.path()), Content::Other, "a folder");
        assert_eq!(content(&file.join("x")), Content::Other, "beneath a file");
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        assert_eq!(content(&fifo), Content::Other, "a FIFO that nobody writes to");
    }

    #[test]
    fn names_of_processes_may_hold_parentheses() {
        let own =
            |stat: &'static str| own_name(stat.as_bytes()).map(|(name, runs)| (str::from_utf8(name).unwrap(), runs));
        assert_eq!(own("12 (nginx) S 1 12 12"), Some(("nginx", true)));
        assert_eq!(own("12 (a) R (b) c) Z 1"), Some(("a) R (b) c", false)));
        assert_eq!(own("12 (x"), None);
        assert_eq!(own(""), None);
    }

    #[test]
    fn processes_are_known_by_their_file_and_by_their_first_word() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("a-rather-long-name-of-a-program");
        fs::copy("/bin/sleep", &copy).unwrap();
        assert_eq!(processes("a-rather-long-name-of-a-program", 9), 0);
        let mut one = std::process::Command::new(&copy).arg("1000").spawn().unwrap();
        let mut two = std::process::Command::new(&copy).arg("1000").spawn().unwrap();
        // The kernel keeps 15 bytes of it.
        assert_eq!((processes("a-rather-long-n", 9), processes("a-rather-long-name-of-a-program", 9)), (2, 2));
        assert_eq!(processes("a-rather-long-n", 1), 1, "enough are enough");
        one.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        // It is not waited for yet: a process that has ended does not count.
        while processes("a-rather-long-n", 9) != 1 {
            assert!(std::time::Instant::now() < deadline, "one that was killed still counts");
            std::thread::yield_now();
        }
        for process in [&mut one, &mut two] {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}
