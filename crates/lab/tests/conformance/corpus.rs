//! The corpus as data: families of cases in TOML, their bytes with escapes, the outcomes that a standard allows.

use std::fs;
use std::path::Path;

use serde::Deserialize;

/// A file of the corpus.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Family {
    /// Its name in the table.
    pub(crate) family: String,
    /// Outcomes of the cases that say none of their own.
    #[serde(default)]
    expect: Vec<String>,
    #[serde(default)]
    tolerate: Vec<String>,
    #[serde(rename = "case")]
    pub(crate) cases: Vec<Case>,
}

/// A hostile or ambiguous message and what may become of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Of the standard.
    pub(crate) section: String,
    /// What the section says of it, or what goes wrong otherwise.
    pub(crate) why: String,
    /// What the client sends. In the folder of answers: a plain GET if nothing is said.
    #[serde(default = "plain_request")]
    pub(crate) send: String,
    /// What the server answers, in the folder of answers.
    pub(crate) answer: Option<String>,
    /// What it sends besides, once the client has its answer.
    pub(crate) late: Option<String>,
    /// Whether it closes behind its answer.
    #[serde(default)]
    pub(crate) close: bool,
    /// Whether the first answer is one to HEAD.
    #[serde(default)]
    pub(crate) head: bool,
    /// Whether `send` is whole, so that a request can follow.
    #[serde(default = "yes")]
    pub(crate) follow: bool,
    /// How a server's log begins the line of the request `a`, if that cannot name the case.
    pub(crate) logged: Option<String>,
    /// What the receiver must get, in lower case: the recorder of a request, the client of an answer.
    #[serde(default)]
    pub(crate) must: Vec<String>,
    /// What it may not get.
    #[serde(default)]
    pub(crate) never: Vec<String>,
    /// The same for what is asked with SHOULD: otherwise the outcome is tolerated.
    #[serde(default)]
    pub(crate) should: Vec<String>,
    #[serde(default)]
    pub(crate) should_not: Vec<String>,
    /// The outcomes of the strict reading; each alternative that the standard leaves is here.
    #[serde(default)]
    pub(crate) expect: Vec<String>,
    /// Further outcomes that harm nobody: a SHOULD not followed, or a leniency that is permitted.
    #[serde(default)]
    pub(crate) tolerate: Vec<String>,
    /// Why Perron's outcome is one of those.
    pub(crate) perron: Option<String>,
}

/// What stands behind the name of a request that the server itself refused.
pub(crate) const REFUSED: &str = "!400";

/// How good an outcome is; of several the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Expected,
    Tolerated,
    Wrong,
    /// Somebody took bytes for a message that are none, or got what was another's.
    Desync,
}

/// What became of a case at one server, in words, and what to think of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) verdict: Verdict,
}

impl Case {
    /// What to think of an outcome without a desynchronisation. That a server refuses what is passed on to it is its own
    /// judgement: it makes nothing wrong, and harmless what should have been refused before.
    pub(crate) fn judge(&self, outcome: &str) -> Verdict {
        let passed = outcome.replace(REFUSED, "");
        let is_one_of = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, &passed));
        let may_refuse = self.expect.iter().any(|pattern| pattern.starts_with(['4', '5']));
        // Whoever may refuse may also hang up, or say so in other words: less polite, and as safe.
        let refused = ["closed", "4xx", "501", "505", "a!400", "a!400 after"].iter().any(|word| matches(word, outcome));
        if is_one_of(&self.expect) {
            Verdict::Expected
        } else if is_one_of(&self.tolerate) || (may_refuse && refused) {
            Verdict::Tolerated
        } else {
            Verdict::Wrong
        }
    }

    /// What a receiver's bytes, in lower case, have that they may not, or lack; and what to think of it.
    pub(crate) fn look_through(&self, raw: &str) -> Vec<(String, Verdict)> {
        let lacks = |texts: &[String], verdict| {
            let missing = texts.iter().filter(|text| !raw.contains(text.as_str()));
            missing.map(|text| (format!(" [lacks {text:?}]"), verdict)).collect::<Vec<_>>()
        };
        let has = |texts: &[String], verdict| {
            let there = texts.iter().filter(|text| raw.contains(text.as_str()));
            there.map(|text| (format!(" [has {text:?}]"), verdict)).collect::<Vec<_>>()
        };
        [
            lacks(&self.must, Verdict::Wrong),
            has(&self.never, Verdict::Wrong),
            lacks(&self.should, Verdict::Tolerated),
            has(&self.should_not, Verdict::Tolerated),
        ]
        .concat()
    }

    /// Whether some right outcome has this word.
    pub(crate) fn mentions(&self, word: &str) -> bool {
        let patterns = self.expect.iter().chain(&self.tolerate);
        patterns.flat_map(|pattern| pattern.split([' ', '|', '(', ')'])).any(|its| its == word)
    }
}

/// Whether an outcome is what the pattern says: word by word, `|` between alternatives, `x` for any digit.
fn matches(pattern: &str, outcome: &str) -> bool {
    let fits = |wanted: &str, found: &str| {
        wanted.len() == found.len()
            && wanted.bytes().zip(found.bytes()).all(|(w, f)| w == f || (w == b'x' && f.is_ascii_digit()))
    };
    let (mut wanted, mut found) = (pattern.split(' '), outcome.split(' '));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted.split('|').any(|one| fits(one, found)) => {}
            _ => return false,
        }
    }
}

/// Reads the files of a folder beside this one, in the order of their names.
pub(crate) fn families(folder: &str) -> Vec<Family> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(folder);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the corpus is here").map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    let read = |path: &Path| {
        let text = fs::read_to_string(path).expect("the corpus is text");
        let mut family: Family = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in family.cases.iter_mut().filter(|case| case.expect.is_empty()) {
            case.expect.clone_from(&family.expect);
            case.tolerate.extend_from_slice(&family.tolerate);
        }
        family
    };
    files.iter().map(|path| read(path)).collect()
}

/// The bytes that a text stands for. Line feeds and the white space behind them are layout; `\r`, `\n`, `\t`, `\\`,
/// `\{` and `\xHH` are bytes; `{name}` is a path of this run of the case, `{name.}` a host of it, `{seen}` the field
/// by which an answer is known, and `{repeat N TEXT}` a text many times.
pub(crate) fn bytes(text: &str, id: &str) -> Vec<u8> {
    let text: String = text.lines().map(str::trim_start).collect();
    let mut out = Vec::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '\\' => rest = escape(rest, &mut out),
            '{' => {
                let (inside, after) = rest.split_once('}').expect("a brace is closed");
                place(inside, id, &mut out);
                rest = after;
            }
            other => out.extend_from_slice(other.to_string().as_bytes()),
        }
    }
    out
}

fn escape<'t>(rest: &'t str, out: &mut Vec<u8>) -> &'t str {
    let (kind, after) = rest.split_at(1);
    out.push(match kind {
        "r" => b'\r',
        "n" => b'\n',
        "t" => b'\t',
        "\\" | "{" => kind.as_bytes()[0],
        "x" => {
            out.push(u8::from_str_radix(&after[..2], 16).expect("two hexadecimal digits"));
            return &after[2..];
        }
        other => panic!("\\{other} is no escape"),
    });
    after
}

fn place(inside: &str, id: &str, out: &mut Vec<u8>) {
    if let Some(rest) = inside.strip_prefix("repeat ") {
        let (count, text) = rest.split_once(' ').expect("a count and a text");
        let text = bytes(text, id);
        out.extend(text.repeat(count.parse().expect("a number")));
    } else if let Some(name) = inside.strip_suffix('.') {
        out.extend_from_slice(format!("{id}.{name}").as_bytes());
    } else if inside == "seen" {
        out.extend_from_slice(format!("X-Seen: /{id}/a\r\n").as_bytes());
    } else {
        assert!(inside.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{inside:?} is no name");
        out.extend_from_slice(format!("/{id}/{inside}").as_bytes());
    }
}

/// The name behind the first place where this run's id stands in a text.
pub(crate) fn name_in(text: &str, id: &str) -> Option<String> {
    let after = &text[text.find(id)? + id.len()..];
    let name: String = after.chars().skip(1).take_while(char::is_ascii_alphanumeric).collect();
    Some(name)
}

fn yes() -> bool {
    true
}

fn plain_request() -> String {
    r"GET {a} HTTP/1.1\r\nHost: h.example\r\n\r\n".to_owned()
}

#[test]
fn texts_stand_for_bytes() {
    let text = "GET {a} x\\r\\n\n   \\x00\\x7f{repeat 3 ab}\\t\n{b.}";
    assert_eq!(bytes(text, "k1"), b"GET /k1/a x\r\n\x00\x7fababab\tk1.b");
    assert_eq!(name_in("GET http://h/k1/after HTTP/1.1", "k1").as_deref(), Some("after"));
}

#[test]
fn patterns_match_word_by_word() {
    assert!(matches("a 4xx|501", "a 501") && matches("a 4xx|501", "a 431") && matches("400 (saw a)", "400 (saw a)"));
    assert!(!matches("a 4xx", "a") && !matches("a", "a 400") && !matches("4xx", "501") && !matches("a", "b"));
}
