//! The code of RFC 7541, appendix B.

use super::PackError;

/// The bits of each byte's code; last the end of a string's. The code is canonical: shorter codes come first, those of the
/// same length in the order of their bytes, and each is one more than the one before. So the lengths alone tell it.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6,
    12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15,
    5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20,
    22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
    23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26,
    27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// Bytes, and the end of a string.
const SYMBOLS: usize = 257;

const END: u16 = 256;

const LENGTH_MAX: usize = 30;

/// Codes of up to so many bits are found at once.
const FAST_BITS: usize = 10;

static CODE: Code = Code::new();

struct Code {
    /// By the first bits: the symbol times 16 and its code's length; 0: the code is longer.
    fast: [u16; 1 << FAST_BITS],
    /// By length: the first code of it, which place of `symbols` it has, and how many there are.
    first: [u32; LENGTH_MAX + 1],
    place: [u16; LENGTH_MAX + 1],
    count: [u16; LENGTH_MAX + 1],
    /// In the order of their codes.
    symbols: [u16; SYMBOLS],
}

impl Code {
    const fn new() -> Code {
        let mut code = Code {
            fast: [0; 1 << FAST_BITS],
            first: [0; LENGTH_MAX + 1],
            place: [0; LENGTH_MAX + 1],
            count: [0; LENGTH_MAX + 1],
            symbols: [0; SYMBOLS],
        };
        let (mut next, mut place, mut length) = (0_u32, 0, 1);
        while length <= LENGTH_MAX {
            next <<= 1;
            code.first[length] = next;
            code.place[length] = place as u16;
            let mut symbol = 0;
            while symbol < SYMBOLS {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[place] = symbol as u16;
                    code.spread(next, symbol, length);
                    place += 1;
                    next += 1;
                }
                symbol += 1;
            }
            code.count[length] = place as u16 - code.place[length];
            length += 1;
        }
        code
    }

    /// Enters a short code wherever it is a beginning.
    const fn spread(&mut self, code: u32, symbol: usize, length: usize) {
        if length > FAST_BITS {
            return;
        }
        let free = FAST_BITS - length;
        let mut at = (code as usize) << free;
        let end = at + (1 << free);
        while at < end {
            self.fast[at] = ((symbol << 4) | length) as u16;
            at += 1;
        }
    }

    /// The symbol at the beginning of `bits`, which are followed by zeros, and its code's length.
    fn find(&self, bits: u64) -> Option<(u16, u32)> {
        let entry = self.fast[(bits >> (64 - FAST_BITS)) as usize];
        if entry != 0 {
            return Some((entry >> 4, u32::from(entry & 15)));
        }
        (FAST_BITS + 1..=LENGTH_MAX).find_map(|length| {
            let nth = ((bits >> (64 - length)) as u32).wrapping_sub(self.first[length]);
            let is_here = nth < u32::from(self.count[length]);
            is_here.then(|| (self.symbols[usize::from(self.place[length]) + nth as usize], length as u32))
        })
    }
}

/// Appends what a string means (RFC 7541 §5.2).
///
/// # Errors
/// If it has the code of a string's end, or ends in anything but less than eight ones.
pub(super) fn decode(mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), PackError> {
    let (mut bits, mut held) = (0_u64, 0_u32);
    loop {
        while held <= 56
            && let Some((&byte, rest)) = bytes.split_first()
        {
            bits |= u64::from(byte) << (56 - held);
            held += 8;
            bytes = rest;
        }
        if held == 0 {
            return Ok(());
        }
        let (symbol, length) = CODE.find(bits).ok_or(PackError::Huffman)?;
        if length > held {
            let is_padding = held < 8 && (bits >> (64 - held)) + 1 == 1 << held;
            return if is_padding { Ok(()) } else { Err(PackError::Huffman) };
        }
        if symbol == END {
            return Err(PackError::Huffman);
        }
        out.push(symbol as u8);
        bits <<= length;
        held -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Result<String, PackError> {
        let mut out = Vec::new();
        decode(bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    /// Some rows of appendix B, of the shortest codes and of the longest.
    #[test]
    fn codes_are_the_standards() {
        for (symbol, code, length) in [
            (b'0', 0x0, 5),
            (b'a', 0x3, 5),
            (b' ', 0x14, 6),
            (b'z', 0x7b, 7),
            (b'X', 0xfc, 8),
            (b'!', 0x3f8, 10),
            (b'|', 0x7fc, 11),
            (b'~', 0x1ffd, 13),
            (b'\\', 0x7fff0, 19),
            (0, 0x1ff8, 13),
            (1, 0x7f_ffd8, 23),
            (255, 0x3ff_ffee, 26),
            (10, 0x3fff_fffc, 30),
            (22, 0x3fff_fffe, 30),
        ] {
            assert_eq!(CODE.find(code << (64 - length)), Some((u16::from(symbol), length as u32)), "{symbol}");
        }
        assert_eq!(CODE.find(0x3fff_ffff << 34), Some((END, 30)));
    }

    /// RFC 7541, appendices C.4 and C.6.
    #[test]
    fn the_standards_strings_are_read() {
        let cases: [(&[u8], &str); 6] = [
            (b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", "www.example.com"),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (b"\x64\x02", "302"),
            (
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (
                b"\x94\xe7\x82\x1d\xd7\xf2\xe6\xc7\xb3\x35\xdf\xdf\xcd\x5b\x39\x60\xd5\xaf\x27\x08\x7f\x36\x72\xc1\xab\
                  \x27\x0f\xb5\x29\x1f\x95\x87\x31\x60\x65\xc0\x03\xed\x4e\xe5\xb1\x06\x3d\x50\x07",
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ),
        ];
        for (bytes, text) in cases {
            assert_eq!(decoded(bytes).as_deref(), Ok(text));
        }
        assert_eq!(decoded(b""), Ok(String::new()));
    }

    #[test]
    fn endings_that_are_none_are_refused() {
        // "a" is 00011.
        assert_eq!(decoded(b"\x1f").as_deref(), Ok("a"));
        for bytes in [&b"\x1f\xff"[..], b"\x18", b"\xff", b"\xff\xff\xff\xff", b"\x1e"] {
            assert_eq!(decoded(bytes), Err(PackError::Huffman), "{bytes:x?}");
        }
    }
}
