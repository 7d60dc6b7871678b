use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Why an advert is not taken, though it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Of another virtual router.
    Vrid,
    /// Of another family.
    Family,
    /// Version 2 instead of 3, or 3 instead of 2.
    Version,
    /// A password where there is none, none where there is one, or another one.
    Authentication,
    /// Version 2 with another interval (RFC 3768 §7.1).
    Interval,
    /// Multicast, where peers are named.
    Multicast,
    /// Unicast, where no peers are named.
    Unicast,
    /// Of none of the peers.
    Peer,
    /// It has our own address: it came back, or two have one address.
    OwnAddress,
    /// It would be believed, but we are in fault, or have not begun to listen.
    NotListening,
}

impl Refusal {
    /// Every reason, for counters.
    pub const ALL: [Refusal; 10] = [
        Refusal::Vrid,
        Refusal::Family,
        Refusal::Version,
        Refusal::Authentication,
        Refusal::Interval,
        Refusal::Multicast,
        Refusal::Unicast,
        Refusal::Peer,
        Refusal::OwnAddress,
        Refusal::NotListening,
    ];

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            Refusal::Vrid => "other_vrid",
            Refusal::Family => "other_family",
            Refusal::Version => "other_version",
            Refusal::Authentication => "wrong_authentication",
            Refusal::Interval => "other_interval",
            Refusal::Multicast => "not_unicast",
            Refusal::Unicast => "not_multicast",
            Refusal::Peer => "unknown_peer",
            Refusal::OwnAddress => "own_address",
            Refusal::NotListening => "not_listening",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Refusal::Vrid => "it is of another virtual router",
            Refusal::Family => "it is of another family",
            Refusal::Version => "it is of another version",
            Refusal::Authentication => "its password is not ours",
            Refusal::Interval => "its interval is not ours, and version 2 does not take it then",
            Refusal::Multicast => "it is multicast, and peers are named here",
            Refusal::Unicast => "it is unicast, and no peers are named here",
            Refusal::Peer => "it is of none of the peers",
            Refusal::OwnAddress => "it has our own address: it came back, or two routers have one address",
            Refusal::NotListening => "nobody listens now",
        })
    }
}

/// Something that an operator should know. Each kind is said once until the state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// An advert was not taken. ([`Refusal::NotListening`] is never said.)
    Refused(Refusal, IpAddr),
    /// Another lists other addresses, and is believed all the same (RFC 9568 §7.1).
    OtherAddresses(IpAddr),
    /// Another has another interval, which a backup makes its own (RFC 9568 §6.4.2).
    OtherInterval(IpAddr, Duration),
    /// Another has our priority: the greater address decides, and not who came first.
    EqualPriority(IpAddr),
    /// Another says it owns the addresses, and so do we.
    TwoOwners(IpAddr),
    /// The deadline was handled so late that others may have acted meanwhile.
    Late(Duration),
    /// It is active though it cannot serve, for nobody who can was heard.
    LastResort,
}

impl Note {
    /// One bit for each kind.
    pub(crate) const fn bit(&self) -> u32 {
        match self {
            Note::Refused(refusal, _) => 1 << (*refusal as u32),
            Note::OtherAddresses(_) => 1 << 16,
            Note::OtherInterval(..) => 1 << 17,
            Note::EqualPriority(_) => 1 << 18,
            Note::TwoOwners(_) => 1 << 19,
            Note::Late(_) => 1 << 20,
            Note::LastResort => 1 << 21,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Refused(refusal, from) => write!(formatter, "an advert of {from} is not taken: {refusal}"),
            Note::OtherAddresses(from) => write!(formatter, "{from} lists other addresses"),
            Note::OtherInterval(from, interval) => {
                write!(formatter, "{from} sends adverts each {}ms", interval.as_millis())
            }
            Note::EqualPriority(from) => write!(formatter, "{from} has our priority: the greater address decides"),
            Note::TwoOwners(from) => write!(formatter, "{from} says it owns the addresses, and so do we"),
            Note::Late(by) => write!(formatter, "the host stood still for {}ms", by.as_millis()),
            Note::LastResort => {
                formatter.write_str("it cannot serve, and has the addresses because nobody else takes them")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_remembered_by_itself() {
        let from = IpAddr::from([10, 0, 0, 1]);
        let second = Duration::from_secs(1);
        let mut notes: Vec<Note> = Refusal::ALL.iter().map(|&refusal| Note::Refused(refusal, from)).collect();
        notes.extend([Note::OtherAddresses(from), Note::OtherInterval(from, second), Note::EqualPriority(from)]);
        notes.extend([Note::TwoOwners(from), Note::Late(second), Note::LastResort]);
        let mut bits: Vec<u32> = notes.iter().map(Note::bit).collect();
        bits.sort_unstable();
        bits.dedup();
        assert_eq!(bits.len(), notes.len());
        let mut reasons = Refusal::ALL.map(Refusal::reason).to_vec();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), Refusal::ALL.len());
    }

    #[test]
    fn words_for_people() {
        let from = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(
            Note::Refused(Refusal::Version, from).to_string(),
            "an advert of 10.0.0.1 is not taken: it is of another version"
        );
        assert_eq!(
            Note::OtherInterval(from, Duration::from_millis(500)).to_string(),
            "10.0.0.1 sends adverts each 500ms"
        );
    }
}
