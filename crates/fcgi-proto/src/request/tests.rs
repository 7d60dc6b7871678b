use super::*;

/// Of what a gateway's bytes mean, in pieces of `size`.
fn read(bytes: &[u8], size: usize) -> Result<Vec<String>, RequestError> {
    let mut request = Request::new();
    let mut said: Vec<String> = Vec::new();
    for mut piece in bytes.chunks(size) {
        while let Some(next) = request.next(&mut piece)? {
            match next {
                Said::Params(given) => said.extend(given.iter().map(|(name, value)| {
                    format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
                })),
                // Pieces may be cut anywhere.
                Said::Body(piece) => match said.last_mut() {
                    Some(last) if last.starts_with("body ") => last.push_str(&String::from_utf8_lossy(piece)),
                    _ => said.push(format!("body {}", String::from_utf8_lossy(piece))),
                },
                Said::BodyEnd => said.push("end".to_owned()),
                Said::Abort => said.push("abort".to_owned()),
            }
        }
    }
    Ok(said)
}

/// The example of FastCGI 1.0, appendix B.1, with a body, padding and a request's number of its own.
const REQUEST: &[u8] = b"\x01\x01\x02\x03\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\
    \x01\x04\x02\x03\x00\x0f\x01\x00\x0b\x02SERVER_PORT80?\
    \x01\x04\x02\x03\x00\x0d\x02\x00\x0b\x00CONTENT_TYP??\
    \x01\x04\x02\x03\x00\x01\x00\x00E\
    \x01\x04\x02\x03\x00\x00\x00\x00\
    \x01\x05\x02\x03\x00\x03\x05\x00abc?????\
    \x01\x05\x02\x03\x00\x02\x00\x00de\
    \x01\x05\x02\x03\x00\x00\x00\x00";

#[test]
fn a_request_is_read_in_whatever_pieces_it_comes() {
    // The second parameter's name has 12 bytes, not 11: it lies in two records.
    let bytes = [&REQUEST[..48], b"\x0c", &REQUEST[49..]].concat();
    for size in [1, 2, 3, 7, 8, 9, 16, 1000] {
        let said = read(&bytes, size).unwrap();
        assert_eq!(said, ["SERVER_PORT=80", "CONTENT_TYPE=", "body abcde", "end"], "in pieces of {size}");
    }
    let mut request = Request::new();
    assert_eq!(request.id(), 0);
    request.next(&mut &bytes[..8]).unwrap();
    assert_eq!(request.id(), 0x0203);
}

#[test]
fn long_parameters_have_lengths_of_four_bytes() {
    let value = vec![b'v'; 300];
    let pair = [b"\x04\x80\x00\x01\x2cNAME", &value[..]].concat();
    let header = [1, 4, 0, 1, (pair.len() >> 8) as u8, pair.len() as u8, 0, 0];
    let begin = b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00";
    let bytes = [&begin[..], &header, &pair, b"\x01\x04\x00\x01\x00\x00\x00\x00"].concat();
    assert_eq!(read(&bytes, 50).unwrap(), [format!("NAME={}", "v".repeat(300))]);
}

#[test]
fn an_abort_is_heard_before_and_after_the_body() {
    const ABORT: &[u8] = b"\x01\x02\x02\x03\x00\x00\x00\x00";
    assert_eq!(read(&[&REQUEST[..16], ABORT].concat(), 5).unwrap(), ["abort"]);
    let mut bytes = [&REQUEST[..48], b"\x0c", &REQUEST[49..], ABORT].concat();
    assert_eq!(read(&bytes, 5).unwrap().last().unwrap(), "abort");
    let last = bytes.len() - 3;
    bytes[last] = 1;
    assert_eq!(read(&bytes, 5), Err(RequestError::Length));
}

#[test]
fn what_is_no_request_is_refused_with_its_reason() {
    let table: [(&[u8], RequestError); 10] = [
        (b"\x02\x01\x00\x01\x00\x08\x00\x00", RequestError::Version),
        (b"\x01\x04\x00\x01\x00\x08\x00\x00", RequestError::RecordType),
        (b"\x01\x09\x00\x00\x00\x08\x00\x00", RequestError::RecordType),
        (b"\x01\x02\x00\x01\x00\x00\x00\x00", RequestError::RecordType),
        (b"\x01\x01\x00\x01\x00\x07\x00\x00", RequestError::Length),
        (b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00", RequestError::Role),
        (
            b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01\x04\x00\x02\x00\x00\x00\x00",
            RequestError::RequestId,
        ),
        (
            b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01\x05\x00\x01\x00\x00\x00\x00",
            RequestError::RecordType,
        ),
        (
            b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\
              \x01\x04\x00\x01\x00\x03\x00\x00\x05\x05a\x01\x04\x00\x01\x00\x00\x00\x00",
            RequestError::ParamsCut,
        ),
        (
            b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\
              \x01\x04\x00\x01\x00\x02\x00\x00\x80\x00\x01\x04\x00\x01\x00\x00\x00\x00",
            RequestError::ParamsCut,
        ),
    ];
    for (bytes, expected) in table {
        assert_eq!(read(bytes, 3), Err(expected), "{bytes:?}");
    }
}

#[test]
fn parameters_have_a_mebibyte_at_most() {
    let begin = b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    let record = [&b"\x01\x04\x00\x01\x80\x00\x00\x00"[..], &[0; 0x8000]].concat();
    let whole = [&begin[..], &record.repeat(32)].concat();
    assert_eq!(read(&whole, 4096), Ok(Vec::new()));
    let beyond = [&whole[..], b"\x01\x04\x00\x01\x00\x01\x00\x00\x00"].concat();
    assert_eq!(read(&beyond, 4096), Err(RequestError::ParamsTooLarge));
}

#[test]
fn an_answers_records_are_laid_out_as_the_specification_has_them() {
    assert_eq!(stdout_header(0x0102, 0x0304), [1, 6, 1, 2, 3, 4, 0, 0]);
    assert_eq!(stderr_header(1, 65535), [1, 7, 0, 1, 255, 255, 0, 0]);
    assert_eq!(end_request(1, 0x0102_0304), [1, 3, 0, 1, 0, 8, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]);
}
