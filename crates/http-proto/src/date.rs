use crate::conditional::imf_fixdate;

/// Appends the moment `unix_seconds` after 1970 as an IMF-fixdate (RFC 9110 §5.6.7): 29 bytes.
pub fn write_date(out: &mut Vec<u8>, unix_seconds: u64) {
    out.extend_from_slice(&imf_fixdate(unix_seconds));
}

#[cfg(test)]
mod tests {
    use super::write_date;

    #[test]
    fn writes_the_date_of_rfc_9110() {
        let mut out = b"Date: ".to_vec();
        write_date(&mut out, 784_111_777);
        assert_eq!(out, b"Date: Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
