//! The name service: what is asked, and which addresses are told (RFC 1035 §4.1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use units::Instant;

use super::router::Finding;
use super::words::list;
use crate::Kind;
use crate::frame::Datagram;

/// Names whose last addresses are remembered. Of more, the one that was asked for longest ago is forgotten.
pub(crate) const NAMES_MAX: usize = 1024;

/// Answers that are looked at of one message.
const ANSWERS_MAX: usize = 64;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    told: BTreeMap<(String, u16), Told>,
}

#[derive(Clone, Debug)]
struct Told {
    addresses: BTreeSet<IpAddr>,
    heard: Instant,
}

/// A message, as far as it is explained.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    is_answer: bool,
    /// RCODE.
    code: u8,
    name: String,
    kind: u16,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// What it means; `None` if it cannot be read.
    pub(crate) fn hear(&mut self, now: Instant, datagram: &Datagram<'_>) -> Option<Finding> {
        let message = read(datagram.payload)?;
        let (client, name) = (datagram.destination.ip(), &message.name);
        let kind = word(message.kind);
        let said = |is_routine, text| Some(Finding { time: now, kind: Kind::Name, text, is_routine });
        if !message.is_answer {
            return said(true, format!("{} asks for {name} {kind}", datagram.source.ip()));
        }
        let server = datagram.source.ip();
        match message.code {
            0 => {}
            3 => return said(false, format!("{server} tells {client} that there is no {name}")),
            5 => return said(false, format!("{server} refuses to tell {client} of {name}")),
            code => return said(false, format!("{server} fails to tell {client} of {name}: code {code}")),
        }
        if !matches!(message.kind, TYPE_A | TYPE_AAAA) {
            return said(true, format!("{server} answers {client} about {name} {kind}"));
        }
        let addresses: BTreeSet<IpAddr> = message.addresses.iter().copied().collect();
        let told = Told { addresses: addresses.clone(), heard: now };
        let before = self.told.insert((name.clone(), message.kind), told);
        self.forget();
        let is_routine = before.as_ref().is_some_and(|before| before.addresses == addresses);
        let mut text = match message.addresses.is_empty() {
            true => format!("{server} tells {client} that {name} has no {kind}"),
            false => format!("{server} tells {client}: {name} is {}", list(message.addresses.iter())),
        };
        if let Some(before) = before {
            let gone: Vec<_> = before.addresses.difference(&addresses).collect();
            let new: Vec<_> = addresses.difference(&before.addresses).collect();
            if !gone.is_empty() {
                text += &format!(", and no longer {}", list(gone.into_iter()));
            }
            if !new.is_empty() {
                text += &format!(", newly {}", list(new.into_iter()));
            }
        }
        said(is_routine, text)
    }

    fn forget(&mut self) {
        if self.told.len() > NAMES_MAX
            && let Some((oldest, _)) = self.told.iter().min_by_key(|(_, told)| told.heard)
        {
            let oldest = oldest.clone();
            self.told.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.told.len()
    }
}

fn word(kind: u16) -> String {
    match kind {
        TYPE_A => "A".to_owned(),
        TYPE_AAAA => "AAAA".to_owned(),
        other => format!("TYPE{other}"),
    }
}

/// The header, the first question, and the addresses among the answers.
fn read(bytes: &[u8]) -> Option<Message> {
    let ([_, _, flags, code, q0, q1, a0, a1, _, _, _, _], mut rest) = bytes.split_first_chunk::<12>()?;
    if u16::from_be_bytes([*q0, *q1]) == 0 {
        return None;
    }
    let name = name(&mut rest)?;
    let kind = number(&mut rest)?;
    let _class = number(&mut rest)?;
    let count = usize::from(u16::from_be_bytes([*a0, *a1])).min(ANSWERS_MAX);
    let addresses = (0..count).map_while(|_| answer(&mut rest)).flatten().collect();
    Some(Message { is_answer: flags & 0x80 != 0, code: code & 0x0f, name, kind, addresses })
}

/// A name that is spelled out, for people: without its last dot, and with anything unusual replaced.
fn name(rest: &mut &[u8]) -> Option<String> {
    let mut name = String::new();
    loop {
        let (&length, after) = rest.split_first()?;
        // Longer ones are references to other places (RFC 1035 §4.1.4), which a question has no use for.
        if length > 63 {
            return None;
        }
        let (label, after) = after.split_at_checked(usize::from(length))?;
        *rest = after;
        if label.is_empty() {
            return Some(if name.is_empty() { ".".to_owned() } else { name });
        }
        if !name.is_empty() {
            name.push('.');
        }
        for &byte in label {
            match byte.to_ascii_lowercase() {
                plain @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => name.push(char::from(plain)),
                other => write!(name, "\\{other:03}").expect("a string takes all"),
            }
        }
        // RFC 1035 §2.3.4.
        if name.len() > 1024 {
            return None;
        }
    }
}

/// An answer's address, `Some(None)` if it is of another type; `None` if it cannot be read.
fn answer(rest: &mut &[u8]) -> Option<Option<IpAddr>> {
    loop {
        let (&length, after) = rest.split_first()?;
        *rest = after;
        match length {
            0 => break,
            1..=63 => *rest = rest.get(usize::from(length)..)?,
            _ => {
                *rest = rest.get(1..)?;
                break;
            }
        }
    }
    let kind = number(rest)?;
    let (_class_and_life, after) = rest.split_at_checked(6)?;
    *rest = after;
    let length = number(rest)?;
    let (data, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    Some(match kind {
        TYPE_A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
        TYPE_AAAA => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
        _ => None,
    })
}

fn number(rest: &mut &[u8]) -> Option<u16> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u16::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message to or from 10.0.0.2, by hand: flags, the question's type, and the rest as it follows the question for `web.cluster`.
    fn message(flags: [u8; 2], kind: u8, answers: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, flags[0], flags[1], 0, 1, 0, answers.len() as u8, 0, 0, 0, 0];
        bytes.extend(b"\x03Web\x07cluster\x00");
        bytes.extend([0, kind, 0, 1]);
        bytes.extend(answers.concat());
        bytes
    }

    fn said(names: &mut Names, payload: &[u8]) -> Option<(bool, String)> {
        let (source, destination) = ("10.0.0.2:53".parse().unwrap(), "10.0.0.50:4000".parse().unwrap());
        let finding = names.hear(Instant::ZERO, &Datagram { source, destination, payload })?;
        Some((finding.is_routine, finding.text))
    }

    const A9: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x09";
    const A10: &[u8] = b"\x03web\x07cluster\x00\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x0a";
    const ALIAS: &[u8] = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x05\x00\x02\xc0\x0c";

    #[test]
    fn addresses_that_come_and_go() {
        let mut names = Names::default();
        let mut told = |answers: &[&[u8]]| said(&mut names, &message([0x84, 0], 1, answers)).unwrap();
        let first = "10.0.0.2 tells 10.0.0.50: web.cluster is 10.0.0.9, 10.0.0.10";
        assert_eq!(told(&[ALIAS, A9, A10]), (false, first.to_owned()));
        // Another order is the same.
        let turned = "10.0.0.2 tells 10.0.0.50: web.cluster is 10.0.0.10, 10.0.0.9";
        assert_eq!(told(&[A10, A9]), (true, turned.to_owned()));
        let fewer = "10.0.0.2 tells 10.0.0.50: web.cluster is 10.0.0.9, and no longer 10.0.0.10";
        assert_eq!(told(&[A9]), (false, fewer.to_owned()));
        let none = "10.0.0.2 tells 10.0.0.50 that web.cluster has no A, and no longer 10.0.0.9";
        assert_eq!(told(&[]), (false, none.to_owned()));
        let more = "10.0.0.2 tells 10.0.0.50: web.cluster is 10.0.0.9, newly 10.0.0.9";
        assert_eq!(told(&[A9]), (false, more.to_owned()));
    }

    #[test]
    fn questions_and_refusals() {
        let told = |flags, kind| said(&mut Names::default(), &message(flags, kind, &[])).unwrap();
        assert_eq!(told([1, 0], 28), (true, "10.0.0.2 asks for web.cluster AAAA".to_owned()));
        assert_eq!(told([0x84, 5], 1), (false, "10.0.0.2 refuses to tell 10.0.0.50 of web.cluster".to_owned()));
        assert_eq!(told([0x84, 3], 1), (false, "10.0.0.2 tells 10.0.0.50 that there is no web.cluster".to_owned()));
        assert_eq!(told([0x84, 2], 1), (false, "10.0.0.2 fails to tell 10.0.0.50 of web.cluster: code 2".to_owned()));
        assert_eq!(told([0x84, 0], 15), (true, "10.0.0.2 answers 10.0.0.50 about web.cluster TYPE15".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let whole = message([0x84, 0], 1, &[A9]);
        let question = whole.len() - A9.len();
        for end in 0..question {
            assert_eq!(said(&mut Names::default(), &whole[..end]), None, "{end}");
        }
        // No question; a reference in its place; bytes that no terminal should have.
        let mut none = whole.clone();
        none[5] = 0;
        assert_eq!(said(&mut Names::default(), &none), None);
        let mut reference = whole.clone();
        reference[12] = 0xc0;
        assert_eq!(said(&mut Names::default(), &reference), None);
        let mut strange = whole;
        strange[13] = 0x1b;
        let (_, text) = said(&mut Names::default(), &strange).unwrap();
        assert!(text.contains(r"\027eb.cluster"), "{text}");
    }

    #[test]
    fn of_many_answers_some_are_looked_at() {
        let answers = [A9; ANSWERS_MAX + 1];
        let message = read(&message([0x84, 0], 1, &answers)).unwrap();
        assert_eq!(message.addresses.len(), ANSWERS_MAX);
    }
}
