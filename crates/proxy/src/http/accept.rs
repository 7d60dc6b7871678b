//! What clients can read.

use http_proto::Fields;

/// Beginnings of the User-Agents of boot firmware and what it loads: they are never given coded answers, whatever they say.
const FIRMWARE: [&[u8]; 5] = [b"iPXE/", b"GRUB ", b"UefiHttpBoot", b"U-Boot", b"shim"];

/// Whether a client is boot firmware.
pub(crate) fn is_firmware(fields: Fields<'_>) -> bool {
    fields.values("user-agent").any(|agent| FIRMWARE.iter().any(|name| agent.starts_with(name)))
}

/// Whether Accept-Encoding names a coding, and not to refuse it (RFC 9110 §12.5.3). `*` names none: who knows a coding
/// says so.
pub(crate) fn accepts(fields: Fields<'_>, coding: &str) -> bool {
    let mut items = fields.values("accept-encoding").flat_map(|value| value.split(|&byte| byte == b','));
    items.any(|item| {
        let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding.as_bytes()));
        is_it && !parts.any(is_zero)
    })
}

/// Whether a parameter is a quality of nothing: `q=0`, `q=0.000`.
fn is_zero(parameter: &[u8]) -> bool {
    let quality = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
    quality.is_some_and(|quality| quality.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_proto::Field;

    #[test]
    fn what_is_named_and_not_refused_is_accepted() {
        for (value, zstd, gzip) in [
            ("gzip", false, true),
            ("gzip, deflate, br, zstd", true, true),
            ("GZIP;q=0.5 , zstd ;q=0", false, true),
            ("zstd;q=0.000, gzip;Q=0.001", false, true),
            ("*", false, false),
            ("identity", false, false),
            ("", false, false),
        ] {
            let fields = [Field { name: "Accept-Encoding", value: value.as_bytes() }];
            let fields = Fields(&fields);
            assert_eq!((accepts(fields, "zstd"), accepts(fields, "gzip")), (zstd, gzip), "{value}");
        }
        let of = |agent: &str| is_firmware(Fields(&[Field { name: "User-Agent", value: agent.as_bytes() }]));
        assert!(of("iPXE/1.21.1") && of("GRUB 2.06") && of("UefiHttpBoot/1.0") && !of("curl/8.5"));
    }
}
