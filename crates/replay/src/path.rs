//! A resolved path stays below its root, and resolving it again changes nothing but what is still encoded.

use http_proto::{host_without_port, resolve_path};

use crate::text;

/// A request's target.
pub fn path(bytes: &[u8]) {
    let target = text(bytes);
    let _ = host_without_port(target);
    let Ok(resolved) = resolve_path(target) else { return };
    if *resolved.path == *b"*" {
        return;
    }
    assert_eq!(resolved.path.first(), Some(&b'/'));
    assert!(!resolved.path.contains(&0));
    assert!(!resolved.path.windows(2).any(|pair| pair == b"//"));
    assert!(resolved.path.split(|&byte| byte == b'/').all(|segment| segment != b"." && segment != b".."));
    if let Ok(path) = std::str::from_utf8(&resolved.path)
        && !path.contains(['%', '?'])
    {
        let again = resolve_path(path).expect("nothing is encoded");
        assert_eq!(again.path, resolved.path);
    }
}
