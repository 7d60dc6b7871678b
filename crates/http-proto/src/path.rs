//! Request paths as servers of files and routes see them: decoded, without dot segments and doubled slashes.

use std::borrow::Cow;

/// A path to look up or to route by. It begins with `/`, unless the target was `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPath<'a> {
    /// Decoded; borrowed if that changed nothing. An encoded slash stays the three characters `%2F`.
    pub path: Cow<'a, [u8]>,
    /// What follows the first `?`, as it was sent.
    pub query: Option<&'a str>,
}

/// Why a path is refused; the answer is 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathError {
    /// A `%` that two hexadecimal digits do not follow.
    Percent,
    /// An encoded NUL, which ends names in some programs and not in others.
    Nul,
}

impl PathError {
    /// Every reason, for counters.
    pub const ALL: [PathError; 2] = [PathError::Percent, PathError::Nul];

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            PathError::Percent => "path_percent",
            PathError::Nul => "path_nul",
        }
    }
}

/// Decodes the path of a target and resolves it (RFC 3986 §2.1, §5.2.4).
///
/// Dot segments are resolved after decoding, never above the root; doubled slashes count as one. `%2F` is no slash,
/// so it stays as it is, written with a capital F; that a `%252F` gives the same characters is harmless, for
/// neither separates segments.
///
/// # Errors
/// If the path has a malformed percent-encoding or an encoded NUL.
pub fn resolve_path(path_and_query: &str) -> Result<ResolvedPath<'_>, PathError> {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let path = match path.as_bytes() {
        b"" => Cow::Borrowed(b"/".as_slice()),
        b"*" => Cow::Borrowed(b"*".as_slice()),
        path if is_resolved(path) => Cow::Borrowed(path),
        path => Cow::Owned(resolve(path)?),
    };
    Ok(ResolvedPath { path, query })
}

/// The same path as programs see it that take an encoded slash for a slash; `None`: it has none.
///
/// RFC 3986 §2.2 makes it data, but common servers decode the whole path before they split it. A rule that holds for
/// one of the two readings alone can be got around.
///
/// # Errors
/// As [`resolve_path`].
pub fn resolve_with_slashes(path_and_query: &str) -> Result<Option<Vec<u8>>, PathError> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let is_slash =
        |at: &usize| path.as_bytes()[at + 1..].starts_with(b"2F") || path.as_bytes()[at + 1..].starts_with(b"2f");
    if !memchr::memchr_iter(b'%', path.as_bytes()).any(|at| is_slash(&at)) {
        return Ok(None);
    }
    resolve(path.replace("%2F", "/").replace("%2f", "/").as_bytes()).map(Some)
}

/// Whether resolving would change nothing.
fn is_resolved(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') || path.contains(&0) || memchr::memchr(b'%', path).is_some() {
        return false;
    }
    memchr::memchr_iter(b'/', path).all(|slash| {
        let segment = &path[slash + 1..];
        let dots = segment.iter().take_while(|&&byte| byte == b'.').count();
        match segment.get(dots) {
            Some(b'/') => dots > 2,
            Some(_) => true,
            None => dots == 0 || dots > 2,
        }
    })
}

fn resolve(path: &[u8]) -> Result<Vec<u8>, PathError> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let mut out = Vec::with_capacity(path.len() + 1);
    out.push(b'/');
    let mut segments = path.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        decode(segment, &mut out)?;
        match &out[start..] {
            b"" | b"." => out.truncate(start),
            b".." => {
                let parent = memchr::memrchr(b'/', &out[..start - 1]).map_or(1, |slash| slash + 1);
                out.truncate(parent);
            }
            _ if segments.peek().is_some() => out.push(b'/'),
            _ => {}
        }
    }
    Ok(out)
}

fn decode(segment: &[u8], out: &mut Vec<u8>) -> Result<(), PathError> {
    let mut bytes = segment.iter();
    while let Some(&byte) = bytes.next() {
        if byte == 0 {
            return Err(PathError::Nul);
        }
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|&byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(PathError::Percent);
        };
        match (high << 4 | low) as u8 {
            0 => return Err(PathError::Nul),
            b'/' => out.extend_from_slice(b"%2F"),
            decoded => out.push(decoded),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
