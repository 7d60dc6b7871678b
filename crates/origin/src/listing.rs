//! What is in a folder.

pub(crate) mod html;
pub(crate) mod json;

use crate::failure::Failure;
use crate::tree::Root;
use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;
use std::os::fd::AsFd;

/// The most entries that a listing holds. A page with more is of no use, and each costs a question to the file system.
pub(crate) const ENTRIES_MAX: usize = 10_000;

/// A folder's entries that can be asked for, folders first. Names that begin with a dot are left out.
pub(crate) struct Listing {
    pub(crate) entries: Vec<Entry>,
    pub(crate) order: Order,
    /// Whether the folder has more than [`ENTRIES_MAX`].
    pub(crate) cut: bool,
}

pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) is_folder: bool,
    /// Bytes; of a folder zero.
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) modified: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Name,
    Size,
    Modified,
}

/// How entries are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) key: Key,
    pub(crate) descending: bool,
}

impl Order {
    /// Reads `name`, `size` or `modified`, with a `-` before it for the other direction; anything else means `name`.
    pub(crate) fn of(text: Option<&str>) -> Order {
        let text = text.unwrap_or("name");
        let (descending, key) = text.strip_prefix('-').map_or((false, text), |key| (true, key));
        match key {
            "name" => Order { key: Key::Name, descending },
            "size" => Order { key: Key::Size, descending },
            "modified" => Order { key: Key::Modified, descending },
            _ => Order { key: Key::Name, descending: false },
        }
    }
}

impl Listing {
    /// Reads a folder; may wait.
    pub(crate) fn read(root: &Root, path: &[u8], symlinks: bool, order: Order) -> Result<Listing, Failure> {
        let folder = root.open_beneath(path, true)?;
        if folder.kind != FileType::Directory {
            return Err(Failure::Missing);
        }
        let mut listing = Listing { entries: Vec::new(), order, cut: false };
        for found in Dir::read_from(&folder.file).map_err(Failure::from_blocking)? {
            let found = found.map_err(Failure::from_blocking)?;
            let name = found.file_name().to_bytes();
            if name.starts_with(b".") {
                continue;
            }
            if listing.entries.len() == ENTRIES_MAX {
                listing.cut = true;
                break;
            }
            let entry = match found.file_type() {
                FileType::Symlink if symlinks => follow(root, path, name),
                FileType::RegularFile | FileType::Directory | FileType::Unknown => look(folder.file.as_fd(), name),
                _ => None,
            };
            listing.entries.extend(entry);
        }
        listing.sort();
        Ok(listing)
    }

    pub(crate) fn sort(&mut self) {
        let Order { key, descending } = self.order;
        self.entries.sort_by(|left, right| {
            let ordering = match key {
                Key::Name => left.name.cmp(&right.name),
                Key::Size => left.size.cmp(&right.size).then_with(|| left.name.cmp(&right.name)),
                Key::Modified => left.modified.cmp(&right.modified).then_with(|| left.name.cmp(&right.name)),
            };
            let ordering = if descending { ordering.reverse() } else { ordering };
            right.is_folder.cmp(&left.is_folder).then(ordering)
        });
    }
}

impl Entry {
    fn new(name: &[u8], kind: FileType, size: u64, modified: u64) -> Option<Entry> {
        let is_folder = match kind {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return None,
        };
        let size = if is_folder { 0 } else { size };
        Some(Entry { name: name.to_vec(), is_folder, size, modified })
    }
}

/// An entry that is no symbolic link, unless it has gone in the meantime.
fn look(folder: std::os::fd::BorrowedFd<'_>, name: &[u8]) -> Option<Entry> {
    let stat: Result<_, Errno> = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let stat = stat.ok()?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    Entry::new(name, kind, u64::try_from(stat.st_size).unwrap_or(0), u64::try_from(stat.st_mtime).unwrap_or(0))
}

/// What a symbolic link leads to, if that lies within the root.
fn follow(root: &Root, path: &[u8], name: &[u8]) -> Option<Entry> {
    let path = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
    let target = root.locate(&path).ok()?;
    Entry::new(name, target.kind, target.size, target.modified)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, is_folder: bool, size: u64, modified: u64) -> Entry {
        Entry { name: name.as_bytes().to_vec(), is_folder, size, modified }
    }

    #[test]
    fn folders_come_first_in_every_order() {
        let names = |order: &str| {
            let entries = vec![entry("b", false, 1, 9), entry("z", true, 0, 1), entry("a", false, 2, 8)];
            let mut listing = Listing { entries, order: Order::of(Some(order)), cut: false };
            listing.sort();
            listing.entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect::<String>()
        };
        assert_eq!(names("name"), "zab");
        assert_eq!(names("-name"), "zba");
        assert_eq!(names("size"), "zba");
        assert_eq!(names("-size"), "zab");
        assert_eq!(names("modified"), "zab");
        assert_eq!(names("nonsense"), "zab");
    }
}
