use hickory_proto::op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use crate::Dropped;

/// A message's header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// Type and class, after the name (RFC 1035 section 4.1.2).
const AFTER_NAME: usize = 4;

/// Records beside the question: EDNS, and a signature that is not looked at. Nobody has a reason to send more.
const ADDITIONALS_MAX: u16 = 2;

/// A question for a record.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) metadata: Metadata,
    pub(crate) query: Query,
    pub(crate) edns: Option<Edns>,
}

/// Why a message is none.
#[derive(Debug)]
pub(crate) enum NoQuestion {
    /// It is not answered.
    Drop(Dropped),
    /// It is answered with this, and nothing of it but the header.
    Error(Metadata, ResponseCode),
}

impl Question {
    pub(crate) fn read(message: &[u8]) -> Result<Question, NoQuestion> {
        let mut decoder = BinDecoder::new(message);
        let Ok(Header { metadata, counts }) = Header::read(&mut decoder) else {
            return Err(NoQuestion::Drop(Dropped::Short));
        };
        if metadata.message_type == MessageType::Response {
            return Err(NoQuestion::Drop(Dropped::Response));
        }
        if metadata.op_code != OpCode::Query {
            return Err(NoQuestion::Error(metadata, ResponseCode::NotImp));
        }
        let malformed = NoQuestion::Error(metadata, ResponseCode::FormErr);
        // RFC 9619 section 4.
        if counts.queries != 1 || counts.answers != 0 || counts.additionals > ADDITIONALS_MAX {
            return Err(malformed);
        }
        let Ok(query) = Query::read(&mut decoder) else { return Err(malformed) };
        // There is nothing before it that it could point to.
        let is_plain = decoder.index() == HEADER + length(&query) + AFTER_NAME;
        // What the client of a transfer has (RFC 1995 section 3).
        let authorities = u16::from(query.query_type == RecordType::IXFR);
        if !is_plain || counts.authorities > authorities {
            return Err(malformed);
        }
        match rest(&mut decoder, counts.authorities, counts.additionals) {
            Ok(edns) if decoder.is_empty() => Ok(Question { metadata, query, edns }),
            _ => Err(malformed),
        }
    }
}

/// Of a name on the wire, not compressed: each label with its length, and the root's.
fn length(query: &Query) -> usize {
    query.name.iter().map(|label| 1 + label.len()).sum::<usize>() + 1
}

fn rest(decoder: &mut BinDecoder<'_>, authorities: u16, additionals: u16) -> Result<Option<Edns>, DecodeError> {
    Message::read_records(decoder, usize::from(authorities), false, OpCode::Query)?;
    let (_, edns, _) = Message::read_records(decoder, usize::from(additionals), true, OpCode::Query)?;
    Ok(edns)
}
