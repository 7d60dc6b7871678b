//! The application behind FastCGI: the least work that answers a request, so that core 1 is free for the load.

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

/// Connections at once: more than any gateway has to it here.
const THREADS: usize = 128;

/// The most that one record carries.
const CONTENT_MAX: usize = 65535;

const END_REQUEST: u8 = 3;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const BEGIN_REQUEST: u8 = 1;

/// Answers every request with so many bytes, until killed.
///
/// # Errors
/// If nobody can listen at `socket`.
pub(crate) fn serve(socket: &Path, bytes: usize) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
    let answer = answer(bytes);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Ok((stream, _)) = listener.accept() {
                    // A gateway that goes away is no matter.
                    let _ = converse(stream, &answer);
                }
            });
        }
    });
    Ok(())
}

fn answer(bytes: usize) -> Vec<u8> {
    let head = format!("Content-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n");
    let whole = [head.into_bytes(), vec![b'x'; bytes]].concat();
    let mut records = Vec::with_capacity(whole.len() + 1024);
    for piece in whole.chunks(CONTENT_MAX) {
        records.extend(header(STDOUT, piece.len() as u16));
        records.extend(piece);
    }
    records.extend(header(END_REQUEST, 8));
    records.extend([0; 8]);
    records
}

fn header(kind: u8, content: u16) -> [u8; 8] {
    let [high, low] = content.to_be_bytes();
    [1, kind, 0, 1, high, low, 0, 0]
}

fn converse(mut stream: UnixStream, answer: &[u8]) -> io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    let (mut filled, mut keep) = (0, false);
    loop {
        let read = stream.read(&mut bytes[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let mut at = 0;
        while let Some(record) = bytes[at..filled].get(..8) {
            let (kind, padding) = (record[1], usize::from(record[6]));
            let content = usize::from(u16::from_be_bytes([record[4], record[5]]));
            if at + 8 + content + padding > filled {
                break;
            }
            if kind == BEGIN_REQUEST {
                keep = bytes[at + 10] & 1 == 1;
            }
            at += 8 + content + padding;
            if kind == STDIN && content == 0 {
                stream.write_all(answer)?;
                if !keep {
                    return Ok(());
                }
            }
        }
        bytes.copy_within(at..filled, 0);
        filled -= at;
        if filled == bytes.len() {
            bytes.resize(2 * filled, 0);
        }
    }
}
