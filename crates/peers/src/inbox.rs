//! What one peer says, and what becomes of it.

use balance::{NameHash, StickEntry};
use wire::peer::{Frame, Hello, PeerError};

use crate::Table;

/// Why a connection of a peer is ended from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody of this address is a peer.
    Stranger,
    /// More connections than peers may have.
    TooMany,
    /// Its frames are malformed.
    Malformed(PeerError),
    /// It did not begin with a hello, or had a second one.
    Order,
    /// It has this director's own name.
    OwnName,
    /// It was silent for too long.
    Silent,
}

impl Refusal {
    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            Refusal::Stranger => "peer_stranger",
            Refusal::TooMany => "peer_connections",
            Refusal::Malformed(error) => error.reason(),
            Refusal::Order => "peer_order",
            Refusal::OwnName => "peer_own_name",
            Refusal::Silent => "peer_silent",
        }
    }
}

/// What a frame has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Who speaks.
    Hello(String),
    /// So many entries, of which so many are news.
    Entries { received: usize, news: usize },
    /// All that the peer had at its hello has been heard.
    Dumped,
    /// Nothing.
    Heartbeat,
}

/// The connection of one peer, from its hello on.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// By the peer's places of tables: ours.
    tables: Option<Vec<Option<usize>>>,
}

impl Inbox {
    /// The next frame of the connection.
    pub(crate) fn handle(
        &mut self,
        frame: &Frame<'_>,
        own_name: &str,
        tables: &[Table],
        now: u32,
    ) -> Result<Heard, Refusal> {
        let theirs = match (frame, &self.tables) {
            (Frame::Hello(hello), None) if hello.name == own_name => return Err(Refusal::OwnName),
            (Frame::Hello(hello), None) => {
                self.tables = Some(matched(hello, tables));
                return Ok(Heard::Hello(hello.name.to_owned()));
            }
            (Frame::Hello(_), Some(_)) | (_, None) => return Err(Refusal::Order),
            (_, Some(theirs)) => theirs,
        };
        let entries = match frame {
            Frame::Entries(entries) => entries,
            Frame::Dumped => return Ok(Heard::Dumped),
            _ => return Ok(Heard::Heartbeat),
        };
        let Some(own) = theirs.get(usize::from(entries.table)) else {
            return Err(Refusal::Malformed(PeerError::Length));
        };
        let received = entries.iter().len();
        let Some(table) = own.and_then(|own| tables.get(own)) else {
            return Ok(Heard::Entries { received, news: 0 });
        };
        let merge = |entry: wire::peer::Entry| {
            // What is older than this clock is older than any time to live.
            let used = now.checked_sub(entry.age);
            let entry = used.map(|used| StickEntry { key: entry.key, name: NameHash(entry.name), used });
            entry.is_some_and(|entry| table.stick.merge(entry, now))
        };
        let news = entries.iter().filter(|entry| merge(*entry)).count();
        Ok(Heard::Entries { received, news })
    }
}

/// Which of our tables each of the peer's is: the one of the same name whose clients are known by the same.
fn matched(hello: &Hello<'_>, tables: &[Table]) -> Vec<Option<usize>> {
    let own = |theirs: &wire::peer::Table<'_>| {
        tables.iter().position(|own| own.wire().name == theirs.name && own.wire().kind == theirs.kind)
    };
    hello.tables.iter().map(own).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use balance::Stick;
    use wire::peer::{Entry, Parsed, TableKind, parse_frame, write_entries};

    use super::*;
    use crate::Kind;

    fn table(name: &str, kind: Kind) -> Table {
        let words: Vec<_> = (0..Stick::words(64)).map(|_| AtomicU64::new(0)).collect();
        Table { name: name.to_owned(), kind, stick: Stick::new(words.leak(), Duration::from_secs(100)) }
    }

    fn hello(name: &str) -> Frame<'_> {
        let table = |name, kind| wire::peer::Table { name, kind, ttl: 7 };
        let tables = vec![
            table("unknown", TableKind::Source),
            table("app", TableKind::Cookie("id")),
            table("api", TableKind::Cookie("id")),
            table("api", TableKind::Source),
        ];
        Frame::Hello(Hello { name, tables })
    }

    fn said(inbox: &mut Inbox, tables: &[Table], table: u16, entries: &[Entry]) -> Result<Heard, Refusal> {
        let mut out = Vec::new();
        write_entries(&mut out, table, entries.iter().copied());
        let Ok(Parsed::Whole(frame, _)) = parse_frame(&out) else { panic!() };
        inbox.handle(&frame, "d1", tables, 1000)
    }

    #[test]
    fn entries_find_the_table_of_their_name_and_kind() {
        let tables = [table("api", Kind::Source), table("app", Kind::Cookie("id".to_owned()))];
        let mut inbox = Inbox::default();
        let greeted = inbox.handle(&hello("d2"), "d1", &tables, 1000);
        assert_eq!(greeted, Ok(Heard::Hello("d2".to_owned())));
        let entry = |key, age| Entry { key, name: 5, age };
        let heard = |received, news| Ok(Heard::Entries { received, news });
        assert_eq!(said(&mut inbox, &tables, 0, &[entry(1, 0)]), heard(1, 0));
        assert_eq!(said(&mut inbox, &tables, 2, &[entry(1, 0)]), heard(1, 0));
        assert_eq!(said(&mut inbox, &tables, 3, &[entry(1, 30), entry(2, 200), entry(3, u32::MAX)]), heard(3, 1));
        assert_eq!(said(&mut inbox, &tables, 3, &[entry(1, 30)]), heard(1, 0));
        assert_eq!(said(&mut inbox, &tables, 1, &[entry(4, 0)]), heard(1, 1));
        assert_eq!(tables[0].stick.look_up(1, 1000), Some(NameHash(5)));
        assert_eq!(tables[1].stick.look_up(4, 1000), Some(NameHash(5)));
        assert_eq!(tables.map(|table| table.stick.len(1000)), [1, 1]);
    }

    #[test]
    fn a_connection_begins_with_one_hello() {
        let tables = [table("api", Kind::Source)];
        let mut inbox = Inbox::default();
        assert_eq!(inbox.handle(&Frame::Heartbeat, "d1", &tables, 1000), Err(Refusal::Order));
        assert_eq!(said(&mut inbox, &tables, 0, &[]), Err(Refusal::Order));
        assert_eq!(inbox.handle(&hello("d1"), "d1", &tables, 1000), Err(Refusal::OwnName));
        assert!(inbox.handle(&hello("d2"), "d1", &tables, 1000).is_ok());
        assert_eq!(inbox.handle(&hello("d2"), "d1", &tables, 1000), Err(Refusal::Order));
        assert_eq!(inbox.handle(&Frame::Heartbeat, "d1", &tables, 1000), Ok(Heard::Heartbeat));
        assert_eq!(inbox.handle(&Frame::Dumped, "d1", &tables, 1000), Ok(Heard::Dumped));
        // A table that the hello did not name.
        assert_eq!(said(&mut inbox, &tables, 4, &[]), Err(Refusal::Malformed(PeerError::Length)));
    }
}
