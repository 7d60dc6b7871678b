//! Tokens, lists and field values (RFC 9110 §5.5, §5.6).

/// Which bytes are `tchar` (RFC 9110 §5.6.2).
const TCHAR: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let punctuation = matches!(
            byte as u8,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        table[byte] = (byte as u8).is_ascii_alphanumeric() || punctuation;
        byte += 1;
    }
    table
};

/// Whether `name` is a field name: a token of at least one byte (RFC 9110 §5.1).
pub fn is_field_name(name: &[u8]) -> bool {
    is_token(name)
}

/// Whether `value` can stand in a field line: no control character but the tab (RFC 9110 §5.5).
pub fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| is_value_byte(byte))
}

/// Whether `text` is a token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_tchar(byte))
}

/// Whether `byte` may stand in a token.
pub(crate) fn is_tchar(byte: u8) -> bool {
    TCHAR[usize::from(byte)]
}

/// Whether `byte` may stand in a field value.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// A list's items without the white space around them; empty ones too (RFC 9110 §5.6.1).
pub(crate) fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Where `part`, a slice of `whole`, begins in it.
pub(crate) fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}
