//! Media types by the ending of a file's name.

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// Sorted by ending. What a cluster boots and installs from comes first in importance: packages, images, scripts.
const TYPES: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("avif", "image/avif"),
    ("bz2", "application/x-bzip2"),
    ("cfg", TEXT),
    ("conf", TEXT),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("deb", "application/vnd.debian.binary-package"),
    ("drpm", "application/x-rpm"),
    ("efi", "application/efi"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("img", BYTES),
    ("ini", TEXT),
    ("ipxe", TEXT),
    ("iso", "application/vnd.efi.iso"),
    ("jar", "application/java-archive"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("ks", TEXT),
    ("log", TEXT),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("pem", "application/x-pem-file"),
    ("png", "image/png"),
    ("preseed", TEXT),
    ("qcow2", BYTES),
    ("repo", TEXT),
    ("rpm", "application/x-rpm"),
    ("sh", TEXT),
    ("sha256", TEXT),
    ("squashfs", "application/vnd.squashfs"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("toml", "application/toml"),
    ("ttf", "font/ttf"),
    ("txt", TEXT),
    ("wasm", "application/wasm"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("whl", "application/zip"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The longest ending of [`TYPES`].
const ENDING_MAX: usize = 8;

/// The media type of a file, by its name's ending in any case.
pub(crate) fn media_type(path: &[u8]) -> &'static str {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    // A leading dot hides a file; it begins no ending.
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0) else {
        return BYTES;
    };
    let ending = &name[dot + 1..];
    let mut lower = [0; ENDING_MAX];
    let Some(lower) = lower.get_mut(..ending.len()) else {
        return BYTES;
    };
    lower.copy_from_slice(ending);
    lower.make_ascii_lowercase();
    match TYPES.binary_search_by(|(known, _)| known.as_bytes().cmp(lower)) {
        Ok(at) => TYPES[at].1,
        Err(_) => BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_ending() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("/repo/repodata/REPOMD.XML", "application/xml"),
            ("rootfs.squashfs", "application/vnd.squashfs"),
            ("linux-6.1.tar.gz", "application/gzip"),
            ("boot.ipxe", "text/plain; charset=utf-8"),
            ("shimx64.efi", "application/efi"),
            ("vmlinuz-6.1.0", "application/octet-stream"),
            ("vmlinuz", "application/octet-stream"),
            (".html", "application/octet-stream"),
            ("dir.html/vmlinuz", "application/octet-stream"),
            ("name.", "application/octet-stream"),
            ("name.averylongending", "application/octet-stream"),
        ] {
            assert_eq!(media_type(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn the_table_can_be_searched() {
        assert!(TYPES.is_sorted_by(|left, right| left.0 < right.0));
        assert_eq!(TYPES.iter().map(|(ending, _)| ending.len()).max(), Some(ENDING_MAX));
    }
}
