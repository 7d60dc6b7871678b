/// A Rust source with its comments and the insides of its literals turned into spaces; line breaks stay where they are.
pub(super) fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' | b'b' | b'c' if !is_word_before(bytes, at) => raw_string_end(bytes, at).unwrap_or(at + 1),
            b'\'' => char_end(bytes, at),
            _ => at + 1,
        };
        if end > at + 1 {
            for byte in &mut code[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end;
    }
    String::from_utf8(code).expect("only whole comments and literals were blanked")
}

/// Where `word` stands as a word of its own, as byte offsets.
pub(super) fn word_places<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let after = text.as_bytes().get(at + word.len());
        !is_word_before(text.as_bytes(), at) && !after.is_some_and(|&byte| is_word(byte))
    })
}

/// The line of a byte offset, counted from one.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'t> {
    pub(super) name: &'t str,
    /// Where `fn` stands.
    pub(super) line: usize,
    /// From `fn` to the closing brace, both counted.
    pub(super) lines: usize,
    /// Between the name and the body.
    pub(super) signature: &'t str,
    /// Whether it is `pub` to everyone.
    pub(super) public: bool,
}

/// Every function with a body in blanked code, inner ones too.
pub(super) fn functions(code: &str) -> Vec<Function<'_>> {
    word_places(code, "fn").filter_map(|at| function_at(code, at)).collect()
}

fn function_at(code: &str, at: usize) -> Option<Function<'_>> {
    let rest = code[at + 2..].trim_start();
    let name = &rest[..rest.bytes().take_while(|&byte| is_word(byte)).count()];
    if name.is_empty() {
        return None;
    }
    let after_name = code.len() - rest.len() + name.len();
    let bytes = code.as_bytes();
    let mut depth = 0;
    let mut body = after_name;
    loop {
        match bytes.get(body)? {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => break,
            _ => {}
        }
        body += 1;
    }
    let mut braces = 0;
    let mut end = body;
    loop {
        match bytes.get(end)? {
            b'{' => braces += 1,
            b'}' => braces -= 1,
            _ => {}
        }
        if braces == 0 {
            break;
        }
        end += 1;
    }
    let line = line_of(code, at);
    let line_start = code[..at].rfind('\n').map_or(0, |before| before + 1);
    Some(Function {
        name,
        line,
        lines: line_of(code, end) - line + 1,
        signature: &code[after_name..body],
        public: code[line_start..at].split_whitespace().next() == Some("pub"),
    })
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

fn is_word_before(bytes: &[u8], at: usize) -> bool {
    at > 0 && is_word(bytes[at - 1])
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |offset| at + offset)
}

fn comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `r"…"`, `br#"…"#`, `b"…"`, `b'…'` and the like that begin at `start`; `None` if none does.
fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let prefix = bytes[start..].iter().take_while(|byte| matches!(byte, b'r' | b'b' | b'c')).count();
    let raw = bytes[start..start + prefix].contains(&b'r');
    let hashes = bytes[start + prefix..].iter().take_while(|&&byte| byte == b'#').count();
    let quote = start + prefix + hashes;
    match bytes.get(quote) {
        Some(b'"') if raw => {
            let mut end = vec![b'#'; hashes + 1];
            end[0] = b'"';
            let inside = &bytes[quote + 1..];
            let offset = inside.windows(end.len()).position(|window| window == end)?;
            Some(quote + 1 + offset + end.len())
        }
        Some(b'"') if hashes == 0 => Some(string_end(bytes, quote)),
        Some(b'\'') if hashes == 0 && !raw => Some(char_end(bytes, quote)),
        _ => None,
    }
}

/// The end of a character literal that begins at `start`, or just past a lifetime's quote.
fn char_end(bytes: &[u8], start: usize) -> usize {
    let inside = &bytes[start + 1..];
    if inside.first() == Some(&b'\\') {
        let close = inside.iter().skip(2).position(|&byte| byte == b'\'');
        return close.map_or(bytes.len(), |offset| start + 1 + 2 + offset + 1);
    }
    let width = match inside.first() {
        Some(byte) if *byte >= 0xf0 => 4,
        Some(byte) if *byte >= 0xe0 => 3,
        Some(byte) if *byte >= 0xc0 => 2,
        _ => 1,
    };
    if inside.get(width) == Some(&b'\'') { start + 1 + width + 1 } else { start + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "a /* x /* y */\n z */ b // c\nlet s = r#\"q\"d\"#; let c = '\"'; fn f<'a>(x: &'a str) {}\nb\"\\\"\" 'é' '\\'' e";
        let code = blanked(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), 4);
        assert_eq!(
            code.split_whitespace().collect::<Vec<_>>().join(" "),
            "a b let s = ; let c = ; fn f<'a>(x: &'a str) {} e"
        );
    }

    #[test]
    fn functions_are_measured_from_their_name_to_their_last_brace() {
        let code =
            blanked("pub fn a(x: [u8; 2]) -> u8 {\n  fn b() {}\n  1 // }\n}\ntrait T { fn c(); }\nlet d: fn() = a;");
        let found = functions(&code);
        let measured: Vec<_> = found.iter().map(|f| (f.name, f.line, f.lines, f.public)).collect();
        assert_eq!(measured, [("a", 1, 4, true), ("b", 2, 1, false)]);
        assert_eq!(found[0].signature.trim(), "(x: [u8; 2]) -> u8");
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(word_places("unsafe unsafe_code an_unsafe unsafe{", "unsafe").collect::<Vec<_>>(), [0, 29]);
    }
}
