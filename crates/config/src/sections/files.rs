use std::path::PathBuf;

use origin::{FilesConfig, TransfersConfig, UploadConfig};
use proxy::config::{Answer, HandlerIndex};
use units::ByteSize;

use crate::Handler;
use crate::context::Context;
use crate::read::{At, Line, Period, Read};
use crate::schema::{Schema, form, optional, required, says, with};
use crate::section::Section;
use crate::sections::answer::{Given, handler};
use crate::tree::{Node, Table, Value};

pub(crate) static FILES: Schema = Schema {
    path: "files",
    about: "In a frontend or a route: `files = \"/srv/www\"`, or as a table with these keys. The route's `path` stands \
            for the root: with `path = \"/export/\"` and root `/srv/x`, `/export/a` is `/srv/x/a`. Nothing outside the \
            root is ever opened, and nothing is kept in memory. What a client that uploads says and hears is in \
            [transfers](transfers.md).",
    keys: &[
        required("root", form::PATH, "The tree to serve."),
        with("listing", form::BOOLEAN, "false", "List folders that have no index."),
        with("index", form::TEXTS, "[\"index.html\"]", "Files looked for in a folder, in this order."),
        with("symlinks", form::BOOLEAN, "false", "Follow symbolic links, never out of the root."),
        with("precompressed", form::BOOLEAN, "false", "Send `NAME.zst`, `NAME.br`, `NAME.gz` to who accepts them."),
        with("timeout", form::TIME, "\"5s\"", "How long opening or reading may take before the client gets 503."),
        optional(
            "transfers",
            form::PATH,
            "Files only as transfers, each to one client: the folder with their descriptions. See \
             [transfers](transfers.md).",
        ),
        with("upload", form::BOOLEAN, "false", "Take files in: PUT, POST to a name, and PATCH to go on with one."),
        with("delete", form::BOOLEAN, "false", "Let files be deleted. With `upload`."),
        says("max-size", form::SIZE, "no limit", "Bytes of one file. With `upload`."),
        says("quota", form::SIZE, "no limit", "Bytes that the tree may hold for more to be taken. With `upload`."),
        says("keep-free", form::SIZE, "nothing", "Bytes of the disk that uploads leave free. With `upload`."),
        with("mode", "text", "\"0644\"", "The permissions of new files, in octal digits. With `upload`."),
        with("make-directories", form::BOOLEAN, "false", "Make folders that are missing. With `upload`."),
        with(
            "keep-partial",
            form::TIME,
            "\"1d\"",
            "How long uploads are kept that nobody goes on with. With `upload`.",
        ),
        says(
            "partial-quota",
            form::SIZE,
            "no limit",
            "Bytes that uploads under way may hold together; those longest untouched are removed. With `upload`.",
        ),
        with(
            "upload-timeout",
            form::TIME,
            "\"30s\"",
            "How long the disk may take for one step of an upload before the client gets 503. With `upload`.",
        ),
    ],
};

/// What only means something where files are taken in.
const UPLOADS_ONLY: [&str; 9] = [
    "delete",
    "max-size",
    "quota",
    "keep-free",
    "mode",
    "make-directories",
    "keep-partial",
    "partial-quota",
    "upload-timeout",
];

/// What has no meaning where files are transfers.
const NO_TRANSFERS: [&str; 5] = ["listing", "index", "precompressed", "upload", "delete"];

/// Reads `files` for each of the route's prefixes.
pub(crate) fn files(node: &Node, path: String, prefixes: &[String], cx: &mut Context) -> Given {
    let Some((files, described)) = files_config(node, path, cx) else {
        return Given::Nothing;
    };
    let whole = ["/".to_owned()];
    let prefixes = if prefixes.is_empty() { &whole } else { prefixes };
    let mut answers = Vec::new();
    for prefix in prefixes {
        let files = FilesConfig { strip_prefix: prefix.clone(), ..files.clone() };
        let serves = match described.clone() {
            Some(described) => Handler::Transfers(TransfersConfig { files, described }),
            None => Handler::Files(files),
        };
        answers.push((prefix.clone(), handler(serves, node.span, cx)));
    }
    Given::Files(answers)
}

/// Says so where `answer` is transfers, and no client ever shows a certificate.
pub(crate) fn check_transfers(owner: &mut Section<'_>, answer: &Answer, shown: bool, cx: &mut Context) {
    let Answer::Handler(HandlerIndex(index)) = answer else { return };
    let are_transfers = matches!(cx.handlers.get(usize::from(*index)), Some(Handler::Transfers(_)));
    if let (true, false, Some(entry)) = (are_transfers, shown, owner.entry("files")) {
        cx.error(entry.span, "transfers are for clients that show a certificate, and none is asked for here")
            .help("write client-certificate = \"required\" and client-ca = \"ca.pem\" in the frontend's tls");
    }
}

/// A tree, and where it is said which files of it are whose.
fn files_config(node: &Node, path: String, cx: &mut Context) -> Option<(FilesConfig, Option<PathBuf>)> {
    let (mut section, root) = path_or_table(node, &FILES, "root", path, cx);
    let described = section.optional::<PathBuf>("transfers", cx);
    if described.is_some() {
        section.refuse(&NO_TRANSFERS, "is for files that everybody may ask for by name", "remove one of the two", cx);
    }
    let files = FilesConfig {
        root: PathBuf::new(),
        strip_prefix: "/".to_owned(),
        listing: section.value("listing", cx),
        index: section.value::<Vec<At<Line>>>("index", cx).into_iter().filter_map(|name| file_name(name, cx)).collect(),
        symlinks: section.value("symlinks", cx),
        precompressed: section.value("precompressed", cx),
        timeout: section.value::<Period>("timeout", cx).0,
        upload: upload(&mut section, cx),
    };
    Some((FilesConfig { root: root?, ..files }, described))
}

fn upload(section: &mut Section<'_>, cx: &mut Context) -> Option<UploadConfig> {
    if !section.value::<bool>("upload", cx) {
        section.refuse(&UPLOADS_ONLY, "is for files that are taken in", "write upload = true beside it", cx);
        return None;
    }
    let mut size = |name: &str, cx: &mut Context| section.optional::<ByteSize>(name, cx).map(|ByteSize(bytes)| bytes);
    let [max_size, quota] = ["max-size", "quota"].map(|name| size(name, cx));
    let [keep_free, partial_quota] = ["keep-free", "partial-quota"].map(|name| size(name, cx));
    Some(UploadConfig {
        max_size,
        quota,
        keep_free,
        mode: mode(&section.value::<At<Line>>("mode", cx), cx),
        make_directories: section.value("make-directories", cx),
        delete: section.value("delete", cx),
        keep_partial: section.value::<Period>("keep-partial", cx).0,
        partial_quota,
        timeout: section.value::<Period>("upload-timeout", cx).0,
    })
}

/// Permissions that the owner at least can read and write by, and that give nobody another's rights.
fn mode(text: &At<Line>, cx: &mut Context) -> u32 {
    const LEAST: u32 = 0o600;
    let Line(digits) = &text.value;
    let is_octal = digits.len() <= 4 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(digits, 8).ok().filter(|_| is_octal) {
        Some(mode) if mode & LEAST == LEAST && mode <= 0o777 => mode,
        _ => {
            cx.error(text.span, format!("\"{}\" are no permissions of files taken in", digits.escape_debug()))
                .help("write octal digits that let the owner read and write, such as \"0644\" or \"0640\"");
            LEAST
        }
    }
}

/// A table, or a path alone that stands for a table with just `key`.
pub(crate) fn path_or_table<'t>(
    node: &'t Node,
    schema: &'static Schema,
    key: &str,
    path: String,
    cx: &mut Context,
) -> (Section<'t>, Option<PathBuf>) {
    if let Value::Table(table) = &node.value {
        let mut section = Section::of(table, node.span, schema, path, cx);
        let value = section.required(key, cx);
        return (section, value);
    }
    let mut section = Section::of(Table::EMPTY, node.span, schema, path, cx);
    section.entry(key);
    (section, PathBuf::read(node, cx))
}

fn file_name(name: At<Line>, cx: &mut Context) -> Option<String> {
    let Line(text) = name.value;
    if text.contains('/') || text == "." || text == ".." {
        cx.error(name.span, format!("\"{}\" is no file's name", text.escape_debug()))
            .help("write a name without /, such as \"index.html\"");
        return None;
    }
    Some(text)
}
