use super::table::{Dynamic, ENTRY_BYTES, Name, STATIC};
use super::{PackError, huffman};

/// The largest number that anything here needs: more than any block has bytes.
const NUMBER_MAX: usize = 1 << 24;

/// Unpacks the header blocks of one direction of a connection, one after the other.
#[derive(Clone, Debug)]
pub struct Decoder {
    table: Dynamic,
    /// What its table may come to, as the peer was told.
    table_max: usize,
    /// A name and a value as they are read.
    text: Vec<u8>,
}

/// How a field is to be kept (RFC 7541 §6.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Yes,
    No,
}

/// A string within a block.
#[derive(Clone, Copy)]
enum Text<'b> {
    /// As it stands there.
    Plain(&'b [u8]),
    /// Unpacked, at this place of the decoder's own text.
    Unpacked(usize, usize),
}

impl Decoder {
    /// For a peer that was told that `table_max` bytes of fields are kept for it (SETTINGS_HEADER_TABLE_SIZE).
    pub fn new(table_max: usize) -> Decoder {
        Decoder { table: Dynamic::new(table_max), table_max, text: Vec::new() }
    }

    /// Unpacks a whole block; `seen` gets each field, its name and its value. All of a block has to be unpacked, wanted or
    /// not: the next one may build on it.
    ///
    /// # Errors
    /// If it is none, or its fields come to more than `list_max` bytes, with 32 more for each (RFC 9113 §6.5.2).
    pub fn decode(
        &mut self,
        mut block: &[u8],
        list_max: usize,
        mut seen: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), PackError> {
        let mut list = 0;
        let mut has_fields = false;
        while let Some(&first) = block.first() {
            if first & 0xe0 == 0x20 {
                let size = number(&mut block, 5)?;
                if has_fields || size > self.table_max {
                    return Err(PackError::TableSize);
                }
                self.table.resize(size);
                continue;
            }
            has_fields = true;
            list += ENTRY_BYTES;
            let mut counted = |name: &[u8], value: &[u8]| {
                list += name.len() + value.len();
                if list <= list_max {
                    seen(name, value);
                }
            };
            if first & 0x80 != 0 {
                let index = number(&mut block, 7)?;
                let (name, value) = self.entry(index)?;
                counted(name, value);
            } else {
                let (keep, prefix) = if first & 0x40 != 0 { (Keep::Yes, 6) } else { (Keep::No, 4) };
                self.literal(&mut block, prefix, keep, &mut counted)?;
            }
            if list > list_max {
                return Err(PackError::List);
            }
        }
        Ok(())
    }

    /// A field that stands there, its name perhaps by its index.
    fn literal(
        &mut self,
        block: &mut &[u8],
        prefix: u32,
        keep: Keep,
        seen: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), PackError> {
        let index = number(block, prefix)?;
        self.text.clear();
        let own_name = if index == 0 { Some(self.string(block)?) } else { None };
        let value = self.string(block)?;
        let value = of(&self.text, value);
        match own_name {
            Some(name) => {
                let name = of(&self.text, name);
                seen(name, value);
                if keep == Keep::Yes {
                    self.table.insert(Name::Text(name), value)?;
                }
            }
            None => {
                seen(self.entry(index)?.0, value);
                if keep == Keep::Yes {
                    let name = match index.checked_sub(STATIC.len() + 1) {
                        Some(place) => Name::Of(place),
                        None => Name::Text(STATIC[index - 1].0.as_bytes()),
                    };
                    self.table.insert(name, value)?;
                }
            }
        }
        Ok(())
    }

    /// RFC 7541 §2.3.3.
    fn entry(&self, index: usize) -> Result<(&[u8], &[u8]), PackError> {
        let place = index.checked_sub(1).ok_or(PackError::Index)?;
        match STATIC.get(place) {
            Some((name, value)) => Ok((name.as_bytes(), value.as_bytes())),
            None => self.table.entry(place - STATIC.len()),
        }
    }

    /// RFC 7541 §5.2.
    fn string<'b>(&mut self, block: &mut &'b [u8]) -> Result<Text<'b>, PackError> {
        let is_packed = *block.first().ok_or(PackError::Truncated)? & 0x80 != 0;
        let length = number(block, 7)?;
        let (text, rest) = block.split_at_checked(length).ok_or(PackError::Truncated)?;
        *block = rest;
        if !is_packed {
            return Ok(Text::Plain(text));
        }
        let from = self.text.len();
        huffman::decode(text, &mut self.text)?;
        Ok(Text::Unpacked(from, self.text.len()))
    }
}

fn of<'a>(unpacked: &'a [u8], text: Text<'a>) -> &'a [u8] {
    match text {
        Text::Plain(text) => text,
        Text::Unpacked(from, to) => &unpacked[from..to],
    }
}

/// A number of which the first byte has the first `prefix` bits (RFC 7541 §5.1).
fn number(block: &mut &[u8], prefix: u32) -> Result<usize, PackError> {
    let mut next = || -> Result<usize, PackError> {
        let (&byte, rest) = block.split_first().ok_or(PackError::Truncated)?;
        *block = rest;
        Ok(usize::from(byte))
    };
    let most = (1 << prefix) - 1;
    let mut value = next()? & most;
    if value < most {
        return Ok(value);
    }
    for shift in [0, 7, 14, 21] {
        let byte = next()?;
        value += (byte & 0x7f) << shift;
        if value > NUMBER_MAX {
            return Err(PackError::Number);
        }
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(PackError::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, PackError> {
        let mut fields = Vec::new();
        decoder.decode(block, 1 << 16, |name, value| {
            fields.push(format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        })?;
        Ok(fields)
    }

    /// RFC 7541, appendices C.1.1 to C.1.3.
    #[test]
    fn numbers_are_the_standards() {
        for (bytes, prefix, value) in [(&b"\x0a"[..], 5, 10), (b"\x1f\x9a\x0a", 5, 1337), (b"\x2a", 8, 42)] {
            let mut rest = bytes;
            assert_eq!((number(&mut rest, prefix), rest), (Ok(value), &b""[..]));
        }
        assert_eq!(number(&mut &b"\xff\x80"[..], 7), Err(PackError::Truncated));
        assert_eq!(number(&mut &b"\xff\xff\xff\xff\x0f"[..], 7), Err(PackError::Number));
        assert_eq!(number(&mut &b"\xff\x80\x80\x80\x80\x80\x01"[..], 7), Err(PackError::Number));
    }

    /// RFC 7541, appendix C.2.
    #[test]
    fn fields_are_the_standards() {
        for (block, field) in [
            (&b"\x40\x0acustom-key\x0dcustom-header"[..], "custom-key: custom-header"),
            (b"\x04\x0c/sample/path", ":path: /sample/path"),
            (b"\x10\x08password\x06secret", "password: secret"),
            (b"\x82", ":method: GET"),
        ] {
            assert_eq!(unpack(&mut Decoder::new(4096), block), Ok(vec![field.to_owned()]));
        }
    }

    /// RFC 7541, appendices C.3 and C.4.
    #[test]
    fn requests_of_one_connection_build_on_each_other() {
        let plain: [&[u8]; 3] = [
            b"\x82\x86\x84\x41\x0fwww.example.com",
            b"\x82\x86\x84\xbe\x58\x08no-cache",
            b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
        ];
        let huffman: [&[u8]; 3] = [
            b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
            b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf",
            b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
        ];
        for blocks in [plain, huffman] {
            let mut decoder = Decoder::new(4096);
            let mut next = |index: usize| unpack(&mut decoder, blocks[index]).unwrap().join("\n");
            assert_eq!(next(0), ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com");
            assert_eq!(
                next(1),
                ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache"
            );
            assert_eq!(
                next(2),
                ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value"
            );
        }
    }

    /// RFC 7541, appendix C.5: a table of 256 bytes, from which answers push out each other's fields.
    #[test]
    fn answers_of_one_connection_push_fields_out() {
        let mut decoder = Decoder::new(256);
        let first = b"\x48\x03302\x58\x07private\x61\x1dMon, 21 Oct 2013 20:13:21 GMT\x6e\x17https://www.example.com";
        let second = b"\x48\x03307\xc1\xc0\xbf";
        let third = b"\x88\xc1\x61\x1dMon, 21 Oct 2013 20:13:22 GMT\xc0\x5a\x04gzip\x77\x38foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
        assert_eq!(unpack(&mut decoder, first).unwrap()[0], ":status: 302");
        assert_eq!(
            unpack(&mut decoder, second).unwrap().join("\n"),
            ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com"
        );
        assert_eq!(
            unpack(&mut decoder, third).unwrap().join("\n"),
            ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\n\
             location: https://www.example.com\ncontent-encoding: gzip\n\
             set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
        );
        // Three are left, of 98, 52 and 65 bytes.
        assert_eq!(unpack(&mut decoder, b"\xc0").unwrap(), ["date: Mon, 21 Oct 2013 20:13:22 GMT"]);
        assert_eq!(unpack(&mut decoder, b"\xc1"), Err(PackError::Index));
    }

    #[test]
    fn blocks_that_are_none_are_told_apart() {
        let cases: [(&[u8], PackError); 12] = [
            (b"\xbe", PackError::Index),
            (b"\x80", PackError::Index),
            (b"\x7e\x01a", PackError::Index),
            (b"\xff\x80", PackError::Truncated),
            (b"\0\x05ab", PackError::Truncated),
            (b"\0\x01a", PackError::Truncated),
            (b"\x40", PackError::Truncated),
            (b"\0\x7f\xff\xff\xff\xff\x0f", PackError::Number),
            (b"\0\x01a\x82\x1f\xff", PackError::Huffman),
            (b"\x3f\xe2\x1f", PackError::TableSize),
            (b"\x82\x20", PackError::TableSize),
            (b"\x20\x40\x01a\x01b\xbe", PackError::Index),
        ];
        for (block, error) in cases {
            assert_eq!(unpack(&mut Decoder::new(4096), block), Err(error), "{block:x?}");
        }
        assert_eq!(unpack(&mut Decoder::new(4096), b"\x20\x3f\xe1\x1f\x40\x01c\x01d\xbe").unwrap().len(), 2);
    }

    /// A field of 4033 bytes of the list for each byte of the block.
    #[test]
    fn small_blocks_that_mean_large_lists_are_refused() {
        let mut decoder = Decoder::new(4096);
        let large = [&b"\x40\x01x\x7f\xa1\x1e"[..], &[b'y'; 4000]].concat();
        assert_eq!(unpack(&mut decoder, &large).unwrap().len(), 1);
        assert_eq!(unpack(&mut decoder, &[0xbe; 16]).unwrap().len(), 16);
        assert_eq!(unpack(&mut decoder, &[0xbe; 17]), Err(PackError::List));
    }
}
