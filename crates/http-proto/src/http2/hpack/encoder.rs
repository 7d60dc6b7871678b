use super::table::static_name;

/// Statuses that the static table has, from its place 8 on.
const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// Appends `:status` (RFC 9113 §8.3.2).
pub(crate) fn encode_status(out: &mut Vec<u8>, status: u16) {
    match STATUSES.iter().position(|&other| other == status) {
        Some(place) => out.push(0x88 + place as u8),
        None => {
            let digit = |value: u16| b'0' + (value % 10) as u8;
            out.extend_from_slice(&[0x08, 3, digit(status / 100), digit(status / 10), digit(status)]);
        }
    }
}

/// Appends a field, its name in lower case. Nothing is entered into the peer's table: what is sent to one peer is never
/// looked for in what was sent before, and no peer has to keep anything (RFC 7541 §6.2.2).
pub(crate) fn encode_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    // More than any name of the static table has.
    let mut lower = [0; 32];
    let known = lower.get_mut(..name.len()).and_then(|lower| {
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        static_name(lower)
    });
    match known {
        Some(index) => write_number(out, 0, 4, usize::from(index)),
        None => {
            out.push(0);
            write_number(out, 0, 7, name.len());
            let from = out.len();
            out.extend_from_slice(name);
            out[from..].make_ascii_lowercase();
        }
    }
    write_number(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

/// Appends that nothing is kept of what follows, which a peer has to be told whose table has become smaller than its
/// first (RFC 7541 §4.2). It stands at the beginning of a block.
pub(crate) fn encode_table_of_nothing(out: &mut Vec<u8>) {
    out.push(0x20);
}

/// RFC 7541 §5.1.
fn write_number(out: &mut Vec<u8>, first: u8, prefix: u32, value: usize) {
    let most = (1_usize << prefix) - 1;
    if value < most {
        out.push(first | value as u8);
        return;
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_field(&mut out, name, value);
        out
    }

    #[test]
    fn answers_are_packed_with_the_static_table() {
        let status = |status| {
            let mut out = Vec::new();
            encode_status(&mut out, status);
            out
        };
        assert_eq!((status(200), status(404), status(500)), (vec![0x88], vec![0x8d], vec![0x8e]));
        assert_eq!(status(302), b"\x08\x03302");
        assert_eq!(field(b"Content-Length", b"12"), b"\x0f\x0d\x0212");
        assert_eq!(field(b"X-Served-By", b""), b"\0\x0bx-served-by\0");
        assert_eq!(field(&[b'X'; 40], b"y")[..4], *b"\0\x28xx");
    }

    /// RFC 7541, appendix C.1.
    #[test]
    fn numbers_are_the_standards() {
        let number = |prefix, value| {
            let mut out = Vec::new();
            write_number(&mut out, 0, prefix, value);
            out
        };
        assert_eq!((number(5, 10), number(5, 1337), number(8, 42)), (vec![10], vec![0x1f, 0x9a, 0x0a], vec![42]));
        assert_eq!(field(b"x", &[b'y'; 300])[..5], *b"\0\x01x\x7f\xad");
    }
}
