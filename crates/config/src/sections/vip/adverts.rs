//! What a virtual router sends, and to whom.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use failover::VipAddress;
use vrrp_proto::{AnnouncePolicy, Centiseconds, Checksum, Family, Password, Peers, Protocol};

use super::addresses::{self, Known};
use crate::context::Context;
use crate::read::{At, Line, Period, Some1, Whole};
use crate::schema::{Schema, form, required, says, with};
use crate::section::Section;
use crate::sections::forward::is_multiple;

pub(crate) static UNICAST: Schema = Schema {
    path: "vip.NAME.unicast",
    about: "Adverts where multicast does not reach, over routers if need be. Adverts from others than `peers` are refused.",
    keys: &[
        says("source", "`\"IP\"`", "the interface's first address that does not move", "This director's address."),
        required("peers", "`\"IP\"` or list", "The others'."),
    ],
};

pub(crate) static AUTHENTICATION: Schema = Schema {
    path: "vip.NAME.authentication",
    about: "RFC 2338's, which version 3 no longer has. It keeps mistakes out, not attackers.",
    keys: &[
        with("type", "`\"pass\"`", "\"pass\"", "The password is in the advert, to be read by all."),
        required("password", form::TEXT, "At most 8 bytes."),
    ],
};

pub(crate) static ANNOUNCE: Schema = Schema {
    path: "vip.NAME.announce",
    about: "How often hosts and switches are told where the addresses are now: rounds of gratuitous ARP, or of \
            unsolicited neighbour advertisements.",
    keys: &[
        with("repeat", "1 to 255", "5", "Packets of a round, for each address."),
        with("again", form::TIME, "\"5s\"", "From the first round to the second; `\"0s\"`: there is no second."),
        says("heal-repeat", "1 to 255", "as `repeat`", "`repeat`, after another active director was heard."),
        says("heal-again", form::TIME, "as `again`", "`again`, then."),
        with("refresh", form::TIME, "\"0s\"", "Between further rounds while active; `\"0s\"`: there are none."),
        with("refresh-repeat", "1 to 255", "1", "Packets of such a round, for each address."),
    ],
};

/// Reads `version`, `advert-interval`, `checksum` and `authentication` of a vip whose addresses are of `family`.
pub(super) fn protocol(vip: &mut Section<'_>, family: Option<Family>, cx: &mut Context) -> Option<Protocol> {
    let version: At<Whole<2, 3>> = vip.value("version", cx);
    let number: u8 = version.value.get();
    let interval: At<Period> = vip.value("advert-interval", cx);
    let checksum = [("pseudo-header", Checksum::PseudoHeader), ("message", Checksum::Message)];
    let checksum = vip.choice("checksum", &checksum, cx);
    if number == 2 || family == Some(Family::V6) {
        vip.refuse(&["checksum"], "is a choice of version 3 with IPv4 alone", "remove it", cx);
    }
    if number == 2 && family == Some(Family::V6) {
        cx.error(version.span, "version 2 has no IPv6").help("write version = 3");
    }
    let password = match vip.optional_section("authentication", &AUTHENTICATION, cx) {
        Some(section) => password(section, number, cx),
        None => None,
    };
    let units = check_interval(number, interval, cx)?;
    Some(match number {
        2 => Protocol::V2 { seconds: NonZeroU8::new(u8::try_from(units).ok()?)?, password },
        _ => Protocol::V3 { interval: Centiseconds::new(units)?, checksum },
    })
}

/// Reads `unicast`: where adverts come from, and who hears.
pub(super) fn peers(
    vip: &mut Section<'_>,
    addresses: Option<&[VipAddress]>,
    known: &[Known],
    cx: &mut Context,
) -> (Option<IpAddr>, Peers) {
    let Some(mut unicast) = vip.optional_section("unicast", &UNICAST, cx) else {
        return (None, Peers::Multicast);
    };
    let source: Option<At<IpAddr>> = unicast.optional("source", cx);
    let peers: Option<Some1<At<IpAddr>>> = unicast.required("peers", cx);
    let peers = peers.map_or(Vec::new(), |Some1(peers)| peers);
    for (index, one) in source.iter().chain(&peers).enumerate() {
        if addresses.is_some_and(|addresses| addresses[0].ip.is_ipv4() != one.value.is_ipv4()) {
            cx.error(one.span, "the adverts of this vip are of the other family, as its addresses are")
                .help("write an address of the family of `addresses`");
        }
        if let Some(moves) = addresses::find(known, one.value) {
            cx.error(one.span, format!("{} moves: whoever has it is not always the same", one.value))
                .help("write the address that the director keeps")
                .note(moves.span, "it moves here");
        }
        if one.value.is_unspecified() || one.value.is_multicast() {
            cx.error(one.span, format!("{} is no director's address", one.value)).help("write each director's own");
        }
        if let Some(first) = source.iter().chain(&peers).take(index).find(|first| first.value == one.value) {
            cx.error(one.span, format!("{} is there already", one.value))
                .help("remove it: peers are the other directors, each once")
                .note(first.span, "first here");
        }
    }
    (source.map(|source| source.value), Peers::Unicast(peers.into_iter().map(|peer| peer.value).collect()))
}

/// Reads `announce`.
pub(super) fn announce(vip: &mut Section<'_>, cx: &mut Context) -> AnnouncePolicy {
    let mut section = vip.section("announce", &ANNOUNCE, cx);
    let repeat: Whole<1, 255> = section.value("repeat", cx);
    let again: Duration = section.value("again", cx);
    let written = repeat.get::<u8>().to_string();
    let heal_repeat: Whole<1, 255> = section.computed("heal-repeat", repeat, written, cx);
    let written = format!("\"{}\"", units::write_duration(again));
    let heal_again: Duration = section.computed("heal-again", again, written, cx);
    let refresh: Duration = section.value("refresh", cx);
    let refresh_repeat: Whole<1, 255> = section.value("refresh-repeat", cx);
    let some = |duration: Duration| (!duration.is_zero()).then_some(duration);
    AnnouncePolicy {
        repeat: repeat.get(),
        again: some(again),
        heal_repeat: heal_repeat.get(),
        heal_again: some(heal_again),
        refresh: some(refresh),
        refresh_repeat: refresh_repeat.get(),
    }
}

/// Seconds or centiseconds: RFC 3768 section 5.3.7 counts the ones in 8 bits, RFC 9568 section 5.2.7 the others in 12.
fn check_interval(version: u8, interval: At<Period>, cx: &mut Context) -> Option<u16> {
    let Period(duration) = interval.value;
    let (unit, most) = match version {
        2 => (Duration::from_secs(1), Duration::from_secs(255)),
        _ => (Duration::from_millis(10), Duration::from_millis(40_950)),
    };
    if !is_multiple(duration, unit) || duration > most {
        let help = if version == 2 {
            "write whole seconds, 1s to 255s, or version = 3"
        } else {
            "write 10ms to 40950ms, in tens"
        };
        cx.error(interval.span, format!("version {version} cannot send adverts at this interval")).help(help);
        return None;
    }
    u16::try_from(duration.as_millis() / unit.as_millis()).ok()
}

fn password(mut section: Section<'_>, version: u8, cx: &mut Context) -> Option<Password> {
    section.choice("type", &[("pass", ())], cx);
    let password: Option<At<Line>> = section.required("password", cx);
    if version != 2 {
        cx.error(section.span, "version 3 has no authentication").help("remove it, or write version = 2");
    }
    let password = password?;
    let fits = Password::new(password.value.0.as_bytes());
    if fits.is_none() {
        cx.error(password.span, "the password has more than 8 bytes").help("shorten it: the rest would not be sent");
    }
    fits
}
