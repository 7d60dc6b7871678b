//! `cargo xtask corpus`: the inputs that the tests replay, kept as text.
//!
//! `fuzz/corpora/TARGET.txt` holds an input a line, escaped as a Rust byte string is; `fuzz/corpus/TARGET/`, which is
//! not kept, holds an input a file, as libFuzzer wants it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// Inputs that are kept of one target: as many as a test replays in a moment.
const INPUTS_MAX: usize = 150;

/// Bytes that are kept of one target, as they are written: as many as a reader may scroll past.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The text of these inputs, the shortest first. Of too many, some of each length are kept; the longest go first where
/// the text gets too long.
pub fn packed(mut inputs: Vec<Vec<u8>>) -> String {
    inputs.retain(|input| !input.is_empty());
    inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    inputs.dedup();
    let kept = inputs.len().min(INPUTS_MAX);
    let mut text = String::new();
    for place in 0..kept {
        let line = inputs[place * inputs.len() / kept].escape_ascii().to_string();
        if text.len() + line.len() >= TEXT_BYTES_MAX {
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The inputs that a text holds.
///
/// # Errors
/// If a line has an escape that Rust's byte strings do not have.
pub fn unpacked(text: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    text.lines().zip(1..).map(|(line, number)| unescaped(line).with_context(|| format!("line {number}"))).collect()
}

/// Where a target's text is.
pub fn text_path(root: &Path, target: &str) -> PathBuf {
    root.join(format!("fuzz/corpora/{target}.txt"))
}

/// Writes a target's text from its folder of inputs.
///
/// # Errors
/// If the folder cannot be read or holds nothing, or the text cannot be written.
pub fn pack(root: &Path, target: &str) -> anyhow::Result<()> {
    let folder = folder(root, target);
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        inputs.push(fs::read(entry?.path())?);
    }
    ensure!(!inputs.is_empty(), "{} is empty: nothing was fuzzed", folder.display());
    let path = text_path(root, target);
    fs::write(&path, packed(inputs)).with_context(|| path.display().to_string())
}

/// Writes the inputs of a target's text into its folder, beside what is there.
///
/// # Errors
/// If the text cannot be read or the folder not be written.
pub fn unpack(root: &Path, target: &str) -> anyhow::Result<()> {
    let path = text_path(root, target);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let folder = folder(root, target);
    fs::create_dir_all(&folder)?;
    for (number, input) in unpacked(&text).with_context(|| path.display().to_string())?.iter().enumerate() {
        fs::write(folder.join(format!("packed-{number}")), input)?;
    }
    Ok(())
}

fn folder(root: &Path, target: &str) -> PathBuf {
    root.join(format!("fuzz/corpus/{target}"))
}

fn unescaped(line: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(quoted @ (b'\\' | b'\'' | b'"')) => quoted,
            Some(b'x') => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { bail!("\\x needs two hexadecimal digits") };
                (high << 4 | low) as u8
            }
            _ => bail!("no byte string has this escape"),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_of_any_bytes_are_lines_of_text_and_come_back() {
        let inputs = vec![b"a\r\n\t\"'\\\0\xff# b".to_vec(), (0..=255).collect()];
        let text = packed(inputs.clone());
        assert!(text.starts_with("a\\r\\n\\t\\\"\\'\\\\\\x00\\xff# b\n"), "{text}");
        assert_eq!(text.lines().count(), 2);
        assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..0x7f).contains(&byte)));
        assert_eq!(unpacked(&text).unwrap(), inputs);
        assert_eq!(unpacked("\\0").unwrap(), [[0]]);
    }

    #[test]
    fn what_is_no_escape_is_told_with_its_line() {
        for wrong in ["a\n\\", "a\n\\q", "a\n\\x1", "a\n\\xg0"] {
            assert_eq!(unpacked(wrong).unwrap_err().to_string(), "line 2");
        }
    }

    #[test]
    fn as_many_inputs_are_kept_as_fit_some_of_each_length() {
        let many = unpacked(&packed((1..=300).map(|length| vec![b'a'; length]).collect())).unwrap();
        let lengths: Vec<usize> = many.iter().map(Vec::len).collect();
        assert_eq!((lengths.len(), &lengths[..3], lengths[149]), (150, &[1, 3, 5][..], 299));
        let large = vec![vec![b'a'; TEXT_BYTES_MAX], b"b".to_vec(), b"b".to_vec(), Vec::new()];
        assert_eq!(packed(large), "b\n");
    }

    #[test]
    fn a_text_becomes_files_and_a_text_again() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("fuzz/corpora")).unwrap();
        let text = "a\n\\x00b\n";
        fs::write(text_path(root.path(), "head"), text).unwrap();
        unpack(root.path(), "head").unwrap();
        fs::remove_file(text_path(root.path(), "head")).unwrap();
        pack(root.path(), "head").unwrap();
        assert_eq!(fs::read_to_string(text_path(root.path(), "head")).unwrap(), text);
        assert!(pack(root.path(), "tail").is_err());
    }
}
