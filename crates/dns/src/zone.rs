use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::question::{NoQuestion, Question};
use crate::{Answer, Answers, Dropped, Plan};

/// What a datagram without EDNS may have (RFC 1035 section 4.2.1), and with it at the least (RFC 6891 section 6.2.5).
const UDP_MIN: u16 = 512;

/// What we send and take by UDP at the most: no fragments on IPv6's smallest links (1280 less IPv6's and UDP's headers).
const UDP_MAX: u16 = 1232;

/// How long others may remember that something is not there: an address may come up at any moment.
const NEGATIVE_TTL_MAX: Duration = Duration::from_mins(1);

/// Nobody transfers this zone, so its serial number says nothing.
const SERIAL: u32 = 1;

/// Of the SOA record, for servers that would transfer the zone: an hour, ten minutes and a day, in seconds.
const REFRESH: i32 = 3600;
const RETRY: i32 = 600;
const EXPIRE: i32 = 86_400;

/// The name, and what can be answered for it.
#[derive(Debug)]
pub struct Zone {
    name: Name,
    addresses: Vec<Answers>,
    ttl: u32,
    negative_ttl: u32,
}

/// The addresses that are answered now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    v4: Vec<Ipv4Addr>,
    v6: Vec<Ipv6Addr>,
    /// Whether any address is up; if not, all are answered.
    pub is_up: bool,
}

/// Whose turn it is to be first. Resolvers ask for both families in a row: one count for both would never alternate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turns {
    v4: usize,
    v6: usize,
}

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By a datagram.
    Udp,
    /// On a connection.
    Tcp,
}

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This is sent.
    Reply {
        /// The message.
        message: Vec<u8>,
        /// What it says.
        answer: Answer,
    },
    /// Nothing is sent.
    Drop(Dropped),
}

impl Zone {
    /// The zone of a plan.
    pub fn new(plan: &Plan) -> Zone {
        let labels = plan.name.split('.').map(str::as_bytes);
        let name = Name::from_labels(labels).expect("the configuration's reader takes names only");
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Zone {
            name,
            addresses: plan.addresses.clone(),
            ttl: seconds(plan.ttl),
            negative_ttl: seconds(plan.ttl.min(NEGATIVE_TTL_MAX)),
        }
    }

    /// Every address, and whether it is up while the vips of these names are; `None`: nobody knows.
    pub fn addresses(&self, up: Option<&BTreeSet<String>>) -> Vec<(IpAddr, bool)> {
        let mut all = Vec::new();
        for answers in &self.addresses {
            match answers {
                Answers::Address(address) => all.push((*address, true)),
                Answers::Vip { name, addresses } => {
                    let is_up = up.is_some_and(|up| up.contains(name));
                    all.extend(addresses.iter().map(|address| (*address, is_up)));
                }
            }
        }
        all
    }

    /// What is answered while the vips of these names are up; `None`: nobody knows which are.
    pub fn live(&self, up: Option<&BTreeSet<String>>) -> Live {
        let all = self.addresses(up);
        let is_up = all.iter().any(|(_, is_up)| *is_up);
        let mut live = Live { is_up, ..Live::default() };
        // Where nobody knows, an address that is always there is no reason to hide the others.
        let everything = up.is_none() || !is_up;
        for (address, _) in all.into_iter().filter(|(_, is_up)| *is_up || everything) {
            match address {
                IpAddr::V4(address) => live.v4.push(address),
                IpAddr::V6(address) => live.v6.push(address),
            }
        }
        live
    }

    /// Answers a message.
    pub fn answer(&self, message: &[u8], transport: Transport, live: &Live, turns: &mut Turns) -> Verdict {
        let question = match Question::read(message) {
            Ok(question) => question,
            Err(none) => return no_question(&none),
        };
        let mut reply = reply_to(&question);
        let answer = self.fill(&mut reply, &question, live, turns);
        let Ok(bytes) = reply.to_vec() else { return Verdict::Drop(Dropped::Unsent) };
        let room = match transport {
            Transport::Udp => question.edns.as_ref().map_or(UDP_MIN, Edns::max_payload).clamp(UDP_MIN, UDP_MAX),
            Transport::Tcp => u16::MAX,
        };
        if bytes.len() > usize::from(room) {
            return written(&reply.truncate(), Answer::Truncated);
        }
        Verdict::Reply { message: bytes, answer }
    }

    /// Has the client ask again by TCP, with an answer that is no longer than its question.
    pub fn slip(&self, message: &[u8]) -> Verdict {
        match Question::read(message) {
            Ok(question) => written(&reply_to(&question).truncate(), Answer::Slipped),
            Err(_) => Verdict::Drop(Dropped::RateLimit),
        }
    }

    fn fill(&self, reply: &mut Message, question: &Question, live: &Live, turns: &mut Turns) -> Answer {
        let Question { query, edns, .. } = question;
        if edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            reply.metadata.response_code = ResponseCode::BADVERS;
            return Answer::BadVersion;
        }
        let is_transfer = matches!(query.query_type, RecordType::AXFR | RecordType::IXFR);
        if query.query_class != DNSClass::IN || is_transfer || !self.name.zone_of(&query.name) {
            reply.metadata.response_code = ResponseCode::Refused;
            return Answer::Refused;
        }
        reply.metadata.authoritative = true;
        // As the client spells it, which may tell by that whose answer this is.
        let name = query.name.trim_to(self.name.iter().len());
        if query.name.iter().len() > name.iter().len() {
            reply.metadata.response_code = ResponseCode::NXDomain;
            reply.add_authority(self.soa(name, self.negative_ttl));
            return Answer::NoName;
        }
        let answer = match query.query_type {
            RecordType::SOA => {
                reply.add_answer(self.soa(name.clone(), self.ttl));
                Answer::Zone
            }
            RecordType::NS => {
                reply.add_answer(Record::from_rdata(name.clone(), self.ttl, RData::NS(NS(name.clone()))));
                Answer::Zone
            }
            RecordType::A => self.v4(reply, &name, live, turns),
            RecordType::AAAA => self.v6(reply, &name, live, turns),
            // One set of those that there are (RFC 8482 section 4.1).
            RecordType::ANY if live.v4.is_empty() => self.v6(reply, &name, live, turns),
            RecordType::ANY => self.v4(reply, &name, live, turns),
            _ => Answer::NoData,
        };
        if answer != Answer::Zone && reply.answers.is_empty() {
            reply.add_authority(self.soa(name, self.negative_ttl));
            return Answer::NoData;
        }
        answer
    }

    fn v4(&self, reply: &mut Message, name: &Name, live: &Live, turns: &mut Turns) -> Answer {
        let records = in_turn(&live.v4, &mut turns.v4).map(|address| RData::A(address.into()));
        reply.add_answers(records.map(|data| Record::from_rdata(name.clone(), self.ttl, data)));
        Answer::Addresses
    }

    fn v6(&self, reply: &mut Message, name: &Name, live: &Live, turns: &mut Turns) -> Answer {
        let records = in_turn(&live.v6, &mut turns.v6).map(|address| RData::AAAA(address.into()));
        reply.add_answers(records.map(|data| Record::from_rdata(name.clone(), self.ttl, data)));
        Answer::Addresses
    }

    fn soa(&self, name: Name, ttl: u32) -> Record {
        // A name that is too long for it has itself as its mailbox.
        let mailbox = name.prepend_label("hostmaster").unwrap_or_else(|_| name.clone());
        let soa = SOA::new(name.clone(), mailbox, SERIAL, REFRESH, RETRY, EXPIRE, self.negative_ttl);
        Record::from_rdata(name, ttl, RData::SOA(soa))
    }
}

/// All of them, another one first each time.
fn in_turn<T: Copy>(addresses: &[T], turn: &mut usize) -> impl Iterator<Item = T> {
    let first = if addresses.is_empty() { 0 } else { *turn % addresses.len() };
    *turn = turn.wrapping_add(1);
    let (later, sooner) = addresses.split_at(first);
    sooner.iter().chain(later).copied()
}

fn no_question(none: &NoQuestion) -> Verdict {
    let (metadata, code, answer) = match none {
        NoQuestion::Drop(dropped) => return Verdict::Drop(*dropped),
        NoQuestion::Error(metadata, ResponseCode::NotImp) => (metadata, ResponseCode::NotImp, Answer::NotImplemented),
        NoQuestion::Error(metadata, code) => (metadata, *code, Answer::Malformed),
    };
    let mut reply = Message::response(metadata.id, metadata.op_code);
    reply.metadata.recursion_desired = metadata.recursion_desired;
    reply.metadata.response_code = code;
    written(&reply, answer)
}

/// An answer that says nothing yet.
fn reply_to(question: &Question) -> Message {
    let Metadata { id, recursion_desired, .. } = question.metadata;
    let mut reply = Message::response(id, OpCode::Query);
    reply.metadata.recursion_desired = recursion_desired;
    reply.add_query(question.query.clone());
    if let Some(asked) = &question.edns {
        let mut edns = Edns::new();
        // RFC 3225 section 3.
        edns.set_max_payload(UDP_MAX).set_dnssec_ok(asked.flags().dnssec_ok);
        reply.set_edns(edns);
    }
    reply
}

fn written(reply: &Message, answer: Answer) -> Verdict {
    reply.to_vec().map_or(Verdict::Drop(Dropped::Unsent), |message| Verdict::Reply { message, answer })
}

#[cfg(test)]
mod tests;
