//! Asks a name server by UDP.

use std::fmt;
use std::net::IpAddr;

use health::Finding;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::{Instant, timeout_at};

use crate::chance::unguessable;
use crate::config::Target;
use crate::datagram::{DATAGRAM_MAX, open};

/// What an answer may have at the most: no fragments on IPv6's smallest links.
const UDP_MAX: u16 = 1232;

/// What is asked of a name server, and what its answer must have.
#[derive(Clone, PartialEq, Eq)]
pub struct DnsCheck {
    name: Name,
    record: RecordType,
    expect: Vec<Expected>,
}

/// Which record is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Addresses of IPv4.
    A,
    /// Addresses of IPv6.
    Aaaa,
    /// Another name.
    Cname,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
    /// The zone.
    Soa,
    /// Text.
    Txt,
}

/// What is wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrongQuestion {
    /// The name is none.
    Name,
    /// This is not what such a record has.
    Expected(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Address(IpAddr),
    Name(Name),
    Text(String),
}

impl fmt::Debug for DnsCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DnsCheck({} {} {:?})", self.name, self.record, self.expect)
    }
}

impl DnsCheck {
    /// A question for `name`, in whose answer each of `expect` must be: addresses, the names that CNAME, MX and NS lead
    /// to, or texts.
    ///
    /// # Errors
    /// If the name is none, or such a record has nothing like that.
    pub fn new(name: &str, record: Record, expect: &[String]) -> Result<DnsCheck, WrongQuestion> {
        let name = name_of(name).ok_or(WrongQuestion::Name)?;
        let expect = expect.iter().map(|text| expected(record, text).ok_or(WrongQuestion::Expected(text.clone())));
        Ok(DnsCheck { name, record: record.kind(), expect: expect.collect::<Result<_, _>>()? })
    }

    fn question(&self, id: u16) -> Message {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.record));
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX);
        message.set_edns(edns);
        message
    }

    /// What a message is worth as the answer to the question of this number; `None`: it answers another.
    fn judge(&self, id: u16, message: &Message) -> Option<(Finding, u16)> {
        let metadata = &message.metadata;
        let is_ours = metadata.id == id && metadata.message_type == MessageType::Response;
        let asked = Query::query(self.name.clone(), self.record);
        // RFC 5452 §9.1: id, addresses and ports, and the question.
        if !is_ours || message.queries.len() != 1 || !same(&message.queries[0], &asked) {
            return None;
        }
        let code = u16::from(metadata.response_code);
        if metadata.response_code != ResponseCode::NoError {
            return Some((Finding::WrongStatus, code));
        }
        let has = |expected: &Expected| message.answers.iter().any(|record| expected.is(&record.data));
        let all = self.expect.iter().all(has);
        Some((if all { Finding::Answered } else { Finding::WrongRecord }, code))
    }
}

impl Record {
    fn kind(self) -> RecordType {
        match self {
            Record::A => RecordType::A,
            Record::Aaaa => RecordType::AAAA,
            Record::Cname => RecordType::CNAME,
            Record::Mx => RecordType::MX,
            Record::Ns => RecordType::NS,
            Record::Soa => RecordType::SOA,
            Record::Txt => RecordType::TXT,
        }
    }
}

impl Expected {
    fn is(&self, data: &RData) -> bool {
        match (self, data) {
            (Expected::Address(IpAddr::V4(wanted)), RData::A(found)) => *wanted == found.0,
            (Expected::Address(IpAddr::V6(wanted)), RData::AAAA(found)) => *wanted == found.0,
            (Expected::Name(wanted), RData::CNAME(found)) => *wanted == found.0,
            (Expected::Name(wanted), RData::NS(found)) => *wanted == found.0,
            (Expected::Name(wanted), RData::MX(found)) => *wanted == found.exchange,
            (Expected::Text(wanted), RData::TXT(found)) => found.txt_data.concat() == wanted.as_bytes(),
            _ => false,
        }
    }
}

fn expected(record: Record, text: &str) -> Option<Expected> {
    match record {
        Record::A => text.parse().ok().filter(IpAddr::is_ipv4).map(Expected::Address),
        Record::Aaaa => text.parse().ok().filter(IpAddr::is_ipv6).map(Expected::Address),
        Record::Cname | Record::Mx | Record::Ns => name_of(text).map(Expected::Name),
        Record::Txt => Some(Expected::Text(text.to_owned())),
        Record::Soa => None,
    }
}

/// The name, from the root on.
fn name_of(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn same(one: &Query, other: &Query) -> bool {
    (&one.name, one.query_type, one.query_class) == (&other.name, other.query_type, other.query_class)
}

/// Asks, and waits for the answer to this very question; what else comes is passed over.
pub(crate) async fn judge(target: &Target, check: &DnsCheck, deadline: Instant) -> (Finding, Option<u16>) {
    let socket = match open(target).await {
        Ok(socket) => socket,
        Err(finding) => return (finding, None),
    };
    let id = (unguessable() & 0xffff) as u16;
    let Ok(question) = check.question(id).to_vec() else { return (Finding::LocalFault, None) };
    if let Err(error) = socket.send(&question).await {
        return (crate::probe::connect_fault(&error), None);
    }
    let mut bytes = [0; DATAGRAM_MAX];
    let mut otherwise = Finding::AnswerTimedOut;
    loop {
        match timeout_at(deadline, socket.recv(&mut bytes)).await {
            Ok(Ok(length)) => {
                let answer = Message::from_vec(&bytes[..length]).ok();
                match answer.and_then(|answer| check.judge(id, &answer)) {
                    Some((finding, code)) => return (finding, Some(code)),
                    None => otherwise = Finding::BadAnswer,
                }
            }
            Ok(Err(error)) => return (crate::probe::connect_fault(&error), None),
            Err(_) => return (otherwise, None),
        }
    }
}

#[cfg(test)]
mod tests;
