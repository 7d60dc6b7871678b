use crate::listing::json::rfc3339;
use crate::listing::{ENTRIES_MAX, Entry, Key, Listing};
use crate::url;
use std::io::Write;

/// One page, nothing to load: it must look right on a network that leads nowhere.
const STYLE: &str = "\
:root{color-scheme:light dark;--line:light-dark(#e3e6ea,#2c3138);--soft:light-dark(#69717c,#8d96a2);\
--hover:light-dark(#f3f6fa,#1d2228);--link:light-dark(#0b57b7,#7db4ff);--back:light-dark(#fff,#14171b)}\
body{font:15px/1.5 system-ui,sans-serif;background:var(--back);max-width:62rem;margin:2rem auto;padding:0 1rem}\
nav{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere;margin-bottom:1rem}\
nav i{color:var(--soft);font-style:normal;font-weight:400;padding:0 .3em}\
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}\
table{width:100%;border-collapse:collapse}\
th{text-align:left;font-weight:500;font-size:.85rem;position:sticky;top:0;background:var(--back)}\
th a{color:var(--soft)}th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line)}\
tbody tr:hover{background:var(--hover)}td:first-child{overflow-wrap:anywhere}\
td:nth-child(n+2),th:nth-child(n+2){text-align:right;white-space:nowrap;color:var(--soft);font-variant-numeric:tabular-nums}\
td a::before{content:'';display:inline-block;width:.85em;height:.85em;margin-right:.6em;border-radius:2px;\
border:1.5px solid var(--line);vertical-align:-.08em}\
td a.d::before{background:light-dark(#f2b84b,#c9963a);border-color:transparent;border-radius:2px 5px 2px 2px}\
p{color:var(--soft);font-size:.85rem}\
@media(max-width:40rem){td:nth-child(3),th:nth-child(3){display:none}}";

/// Appends a listing as an HTML page.
///
/// `path` is the folder's, as the client asked for it; its first `prefix_length` bytes stand for the root.
pub(crate) fn write(listing: &Listing, path: &[u8], prefix_length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    url::escape_html(path, out);
    out.extend_from_slice(b"</title>\n<meta name=\"viewport\" content=\"width=device-width\"><style>");
    out.extend_from_slice(STYLE.as_bytes());
    out.extend_from_slice(b"</style></head>\n<body><nav>");
    breadcrumbs(path, prefix_length, out);
    out.extend_from_slice(b"</nav>\n<table><thead><tr>");
    heading("Name", "name", Key::Name, listing, out);
    heading("Size", "size", Key::Size, listing, out);
    heading("Modified (UTC)", "modified", Key::Modified, listing, out);
    out.extend_from_slice(b"</tr></thead>\n<tbody>\n");
    if path.len() > prefix_length {
        out.extend_from_slice(b"<tr><td><a class=\"d\" href=\"../\">..</a></td><td></td><td></td></tr>\n");
    }
    for entry in &listing.entries {
        row(entry, out);
    }
    out.extend_from_slice(b"</tbody></table>\n<p>");
    summary(listing, out);
    out.extend_from_slice(b"</p></body></html>\n");
}

/// Each folder on the way, as a link; the last one is where we are.
fn breadcrumbs(path: &[u8], prefix_length: usize, out: &mut Vec<u8>) {
    let (root, below) = path.split_at(prefix_length.min(path.len()));
    let mut crumb = |end: usize, name: &[u8]| {
        out.extend_from_slice(b"<a href=\"");
        url::encode_path(&path[..end], out);
        out.extend_from_slice(b"\">");
        url::escape_html(name, out);
        out.extend_from_slice(b"</a>");
        if name != b"/" {
            out.extend_from_slice(b"<i>/</i>");
        }
    };
    let name = root.trim_ascii();
    crumb(root.len(), if name == b"/" { name } else { name.strip_suffix(b"/").unwrap_or(name) });
    let mut end = root.len();
    for segment in below.split_inclusive(|&byte| byte == b'/') {
        end += segment.len();
        crumb(end, segment.strip_suffix(b"/").unwrap_or(segment));
    }
}

fn heading(text: &str, word: &str, key: Key, listing: &Listing, out: &mut Vec<u8>) {
    let is_current = listing.order.key == key;
    let (mark, aria) = match (is_current, listing.order.descending) {
        (false, _) => ("", ""),
        (true, false) => (" ↑", " aria-sort=\"ascending\""),
        (true, true) => (" ↓", " aria-sort=\"descending\""),
    };
    let turn = if is_current && !listing.order.descending { "-" } else { "" };
    write!(out, "<th{aria}><a href=\"?sort={turn}{word}\">{text}{mark}</a></th>").expect("a Vec takes every byte");
}

fn row(entry: &Entry, out: &mut Vec<u8>) {
    let slash: &[u8] = if entry.is_folder { b"/" } else { b"" };
    out.extend_from_slice(if entry.is_folder { b"<tr><td><a class=\"d\" href=\"" } else { b"<tr><td><a href=\"" });
    url::encode_segment(&entry.name, out);
    out.extend_from_slice(slash);
    out.extend_from_slice(b"\">");
    url::escape_html(&entry.name, out);
    out.extend_from_slice(slash);
    out.extend_from_slice(b"</a></td><td>");
    if !entry.is_folder {
        write!(out, "<span title=\"{} bytes\">{}</span>", entry.size, human(entry.size))
            .expect("a Vec takes every byte");
    }
    out.extend_from_slice(b"</td><td>");
    let date = rfc3339(entry.modified);
    out.extend_from_slice(&date[..10]);
    out.push(b' ');
    out.extend_from_slice(&date[11..16]);
    out.extend_from_slice(b"</td></tr>\n");
}

fn summary(listing: &Listing, out: &mut Vec<u8>) {
    let folders = listing.entries.iter().filter(|entry| entry.is_folder).count();
    let files = listing.entries.len() - folders;
    let bytes = listing.entries.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.size));
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    let (folders, files, bytes) = (count(folders, "folder"), count(files, "file"), human(bytes));
    write!(out, "{folders}, {files}, {bytes}").expect("a Vec takes every byte");
    if listing.cut {
        write!(out, ". This folder has more: only {ENTRIES_MAX} entries are shown.").expect("a Vec takes every byte");
    }
}

/// A size with at least two digits that count: `999 B`, `1.5 KiB`, `64 MiB`.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let unit = bytes.ilog2() / 10;
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    let unit = UNITS[unit as usize - 1];
    if tenths < 100 { format!("{}.{} {unit}", tenths / 10, tenths % 10) } else { format!("{} {unit}", tenths / 10) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Order;

    #[test]
    fn sizes_for_people() {
        let sizes = [0, 1023, 1024, 1536, 10_239, 10_240, 1_048_575, 1_048_576, 67_108_864, 5_368_709_120, u64::MAX];
        let expected = [
            "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "9.9 KiB", "10 KiB", "1023 KiB", "1.0 MiB", "64 MiB", "5.0 GiB",
            "15 EiB",
        ];
        assert_eq!(sizes.map(human), expected);
    }

    fn page(name: &[u8], path: &[u8], prefix_length: usize) -> String {
        let entry = Entry { name: name.to_vec(), is_folder: false, size: 1536, modified: 784_111_777 };
        let listing = Listing { entries: vec![entry], order: Order::of(Some("-size")), cut: true };
        let mut out = Vec::new();
        write(&listing, path, prefix_length, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_made_harmless() {
        let page = page(b"<script>\"\xff", b"/<b>/", 1);
        assert!(page.contains("<a href=\"%3Cscript%3E%22%FF\">&lt;script&gt;&quot;\u{fffd}</a>"), "{page}");
        assert!(page.contains("<title>/&lt;b&gt;/</title>"), "{page}");
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn a_page_leads_on_and_back() {
        let page = page(b"a", b"/export/x y/z/", 8);
        let crumbs = "<nav><a href=\"/export/\">/export</a><i>/</i><a href=\"/export/x%20y/\">x y</a><i>/</i>\
                      <a href=\"/export/x%20y/z/\">z</a><i>/</i></nav>";
        assert!(page.contains(crumbs), "{page}");
        assert!(page.contains("<th aria-sort=\"descending\"><a href=\"?sort=size\">Size ↓</a></th>"), "{page}");
        assert!(page.contains("<span title=\"1536 bytes\">1.5 KiB</span></td><td>1994-11-06 08:49</td>"), "{page}");
        assert!(page.contains("0 folders, 1 file, 1.5 KiB. This folder has more: only 10000 entries are shown."));
        assert!(page.contains("href=\"../\""));
    }
}
