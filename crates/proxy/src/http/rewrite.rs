//! Another path for the server than the client wrote.

use http_proto::resolve_path;

use crate::config::Rewrite;

impl Rewrite {
    /// The path and query that a server is asked for; `None`: those that the client wrote.
    pub(crate) fn apply(&self, path_and_query: &str) -> Option<String> {
        let resolved = resolve_path(path_and_query).ok()?;
        let rest = resolved.path.strip_prefix(self.from.as_bytes())?;
        // `/old` is not the beginning of `/older`.
        if !self.from.ends_with('/') && !matches!(rest.first(), None | Some(b'/')) {
            return None;
        }
        let mut target = String::with_capacity(self.to.len() + rest.len() + 16);
        push_path(self.to.as_bytes(), &mut target);
        push_path(rest, &mut target);
        if let Some(query) = resolved.query {
            target.push('?');
            target.push_str(query);
        }
        Some(target)
    }
}

/// Appends a decoded path, with what may not stand in one escaped (RFC 3986 §3.3). `%2F` is what a decoded path has of
/// an encoded slash.
fn push_path(path: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for (at, &byte) in path.iter().enumerate() {
        let is_slash = path[at..].starts_with(b"%2F");
        if is_slash || byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(from: &str, to: &str, target: &str) -> Option<String> {
        Rewrite { from: from.to_owned(), to: to.to_owned() }.apply(target)
    }

    #[test]
    fn a_beginning_is_replaced_however_it_is_written() {
        let old = |target: &str| apply("/old/", "/new/", target);
        assert_eq!(old("/old/a").as_deref(), Some("/new/a"));
        assert_eq!(old("/old/a?b=/old/").as_deref(), Some("/new/a?b=/old/"));
        assert_eq!(old("//x/../old//a%20%C3%BC%2fb").as_deref(), Some("/new/a%20%C3%BC%2Fb"));
        assert_eq!(old("/%6fld/a%3Fb").as_deref(), Some("/new/a%3Fb"));
        assert_eq!(old("/old/").as_deref(), Some("/new/"));
        for other in ["/old", "/older/a", "/a/old/", "*", "/old%2Fa", "/%zz"] {
            assert_eq!(old(other), None, "{other}");
        }
    }

    #[test]
    fn names_stay_whole() {
        assert_eq!(apply("/old", "/n e", "/old").as_deref(), Some("/n%20e"));
        assert_eq!(apply("/old", "/new", "/old/a").as_deref(), Some("/new/a"));
        assert_eq!(apply("/old", "/new", "/older"), None);
        assert_eq!(apply("/", "/below/", "/a").as_deref(), Some("/below/a"));
    }
}
