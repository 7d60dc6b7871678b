//! What has to be said to the kernel so that it has these services instead of those.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use forward_plan::{Family as Addresses, Key, Method, Ports};
use netlink::nft::{Base, Comparison, Connection, Expression, Family, Hook, Meta, NewElement, Register, Transaction};

use super::built::Built;
use super::{Known, TABLE};

/// Before other programs' NAT, which by convention is at -100 and 100: the first that rewrites a connection wins.
const BEFORE_OTHERS: i32 = -105;
const BEFORE_OTHERS_OUT: i32 = 95;

/// Frames of links: before other programs' chains at 0.
const INGRESS: i32 = -5;

const PREROUTING: &str = "prerouting";
const POSTROUTING: &str = "postrouting";
const DISPATCH: &str = "dispatch";

/// What a link's chain is called after.
const INGRESS_OF: &str = "ingress-";

/// Where a value lies that is compared at once.
const SCRATCH: Register = Register(0);

/// IPS_DST_NAT.
const DESTINATION_REWRITTEN: u32 = 1 << 5;

/// The rules of a chain.
pub(super) type Rules = Vec<Vec<Expression>>;

/// The table that has the service.
pub(super) fn family_of(built: &Built) -> Family {
    if built.method == Method::Direct { Family::Netdev } else { Family::Inet }
}

/// What makes of the services that are known those that are to be, and the tables that are there then.
pub(super) fn changes(
    known: &Known,
    services: &BTreeMap<Key, Built>,
    devices: &BTreeSet<String>,
) -> (Transaction, BTreeSet<Family>) {
    let mut draw = Draw::default();
    let mut tables = known.tables.clone();
    let dispatches = dispatches(services, devices);
    let known_dispatches = self::dispatches(&known.services, &known.devices);
    for family in services.values().map(family_of) {
        if tables.insert(family) {
            draw.transaction.add_table(family, TABLE);
        }
    }
    let mut gone = Vec::new();
    for (key, built) in services {
        match known.services.get(key) {
            Some(before) if before == built => {}
            Some(before) if before.is_like(built) => draw.change(before, built),
            Some(before) if family_of(before) == family_of(built) => draw.remake(before, built),
            before => {
                draw.make(built);
                gone.extend(before);
            }
        }
    }
    for ((family, chain), rules) in &dispatches {
        if !tables.contains(family)
            || known.tables.contains(family) && known_dispatches.get(&(*family, chain.clone())) == Some(rules)
        {
            continue;
        }
        draw.transaction.add_chain(*family, TABLE, chain, hook(chain).as_ref());
        draw.transaction.flush_chain(*family, TABLE, chain);
        draw.rules(*family, chain, rules);
    }
    gone.extend(known.services.iter().filter(|(key, _)| !services.contains_key(key)).map(|(_, built)| built));
    for built in gone {
        draw.unmake(built);
    }
    (draw.transaction, tables)
}

/// Everything anew; `wreck` are the families in which a table of ours is there, in whatever state.
pub(super) fn anew(
    wreck: &[Family],
    services: &BTreeMap<Key, Built>,
    devices: &BTreeSet<String>,
) -> (Transaction, BTreeSet<Family>) {
    let (made, tables) = changes(&Known::default(), services, devices);
    let mut transaction = nothing(wreck);
    transaction.extend(made);
    (transaction, tables)
}

/// None of these tables.
pub(super) fn nothing(there: &[Family]) -> Transaction {
    let mut transaction = Transaction::new();
    for family in there {
        transaction.delete_table(*family, TABLE);
    }
    transaction
}

/// The hook of one of [`dispatches`]' chains.
fn hook(chain: &str) -> Option<Hook> {
    match chain {
        PREROUTING => Some(Hook::RewriteDestination { priority: BEFORE_OTHERS }),
        POSTROUTING => Some(Hook::RewriteSource { priority: BEFORE_OTHERS_OUT }),
        chain => {
            let device = chain.strip_prefix(INGRESS_OF)?;
            Some(Hook::Ingress { device: device.to_owned(), priority: INGRESS })
        }
    }
}

/// The link that a chain of the netdev table looks at.
pub(super) fn device_of(chain: &str) -> Option<&str> {
    chain.strip_prefix(INGRESS_OF)
}

/// The chains that lead to services', with their rules: of both tables, whether they are there or not.
pub(super) fn dispatches(
    services: &BTreeMap<Key, Built>,
    devices: &BTreeSet<String>,
) -> BTreeMap<(Family, String), Rules> {
    let in_use = || services.values().filter(|built| !built.members.is_empty());
    let leading = |family: Family| -> Rules {
        let there = in_use().filter(|built| family_of(built) == family);
        there.map(|built| [matching(family, &built.key), vec![Expression::Goto(built.name())]].concat()).collect()
    };
    let mut going = Rules::new();
    for built in in_use().filter(|built| family_of(built) == Family::Inet) {
        going.push([going_out(&built.key), built.count()].concat());
        going.extend(built.pin_sent().map(|pin| [going_out(&built.key), pin].concat()));
        if built.method == Method::Masquerade {
            going.push([going_out(&built.key), vec![Expression::Masquerade]].concat());
        }
    }
    let mut chains = BTreeMap::from([
        ((Family::Inet, PREROUTING.to_owned()), leading(Family::Inet)),
        ((Family::Inet, POSTROUTING.to_owned()), going),
        ((Family::Netdev, DISPATCH.to_owned()), leading(Family::Netdev)),
    ]);
    for device in devices {
        let rule = vec![Expression::Goto(DISPATCH.to_owned())];
        chains.insert((Family::Netdev, format!("{INGRESS_OF}{device}")), vec![rule]);
    }
    chains
}

/// The first rule of a service's chain does nothing, but says what the service is.
pub(super) fn header(built: &Built) -> String {
    let persistence = built.settings.persistence;
    let persistence = persistence.map(|known| format!(" {}s/{}", known.seconds, known.prefix)).unwrap_or_default();
    format!("{} {} {}{persistence}", built.method.as_str(), built.settings.scheduler.as_str(), built.key)
}

/// What a rule's comment says of it: another one has another, so that a changed rule is seen (FNV-1a).
pub(super) fn digest(rule: &[Expression]) -> String {
    let text = format!("{rule:?}");
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// Whether a packet is the service's.
fn matching(family: Family, key: &Key) -> Vec<Expression> {
    let mut steps = match family {
        Family::Inet => of_family(key.family()),
        // Frames for other machines come by where a bridge does not know better.
        Family::Netdev => [is(Meta::Whom, &[0]), is(Meta::Protocol, protocol(key.family()))].concat(),
    };
    match key {
        Key::Address { protocol, address, ports } => {
            let (offset, bytes) = destination(*address);
            let length = bytes.len() as u32;
            steps.push(Expression::Payload { base: Base::Network, offset, length, to: SCRATCH });
            steps.push(equal(&bytes));
            steps.extend(is(Meta::Transport, &[protocol.number()]));
            steps.push(Expression::Payload { base: Base::Transport, offset: 2, length: 2, to: SCRATCH });
            steps.extend(among(*ports));
        }
        Key::Mark { mark, .. } => steps.extend(is(Meta::Mark, &mark.get().to_ne_bytes())),
    }
    steps
}

/// Whether a packet to a server is of a connection of the service's.
fn going_out(key: &Key) -> Vec<Expression> {
    let rewritten = DESTINATION_REWRITTEN.to_ne_bytes();
    let mut steps = of_family(key.family());
    steps.push(Expression::Connection { what: Connection::Status, to: SCRATCH });
    steps.push(Expression::Mask { from: SCRATCH, to: SCRATCH, mask: rewritten.to_vec() });
    steps.push(equal(&rewritten));
    match key {
        Key::Address { protocol, address, ports } => {
            let what = if address.is_ipv4() { Connection::Destination4 } else { Connection::Destination6 };
            steps.extend([Expression::Connection { what, to: SCRATCH }, equal(&destination(*address).1)]);
            steps.extend(is(Meta::Transport, &[protocol.number()]));
            steps.push(Expression::Connection { what: Connection::DestinationPort, to: SCRATCH });
            steps.extend(among(*ports));
        }
        Key::Mark { mark, .. } => steps.extend(is(Meta::Mark, &mark.get().to_ne_bytes())),
    }
    steps
}

fn of_family(family: Addresses) -> Vec<Expression> {
    // AF_INET and AF_INET6.
    is(Meta::Family, &[if family == Addresses::Ipv4 { 2 } else { 10 }])
}

/// The number by which frames name the protocol.
fn protocol(family: Addresses) -> &'static [u8] {
    if family == Addresses::Ipv4 { &[0x08, 0x00] } else { &[0x86, 0xdd] }
}

/// Where a packet's destination stands, and what stands there.
fn destination(address: IpAddr) -> (u32, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (16, address.octets().to_vec()),
        IpAddr::V6(address) => (24, address.octets().to_vec()),
    }
}

fn is(what: Meta, value: &[u8]) -> Vec<Expression> {
    vec![Expression::Meta { what, to: SCRATCH }, equal(value)]
}

fn equal(value: &[u8]) -> Expression {
    Expression::Compare { register: SCRATCH, is: Comparison::Equal, value: value.to_vec() }
}

fn among(ports: Ports) -> Vec<Expression> {
    let compare = |is, port: u16| Expression::Compare { register: SCRATCH, is, value: port.to_be_bytes().to_vec() };
    match ports.single() {
        Some(port) => vec![compare(Comparison::Equal, port)],
        None => vec![compare(Comparison::AtLeast, ports.first()), compare(Comparison::AtMost, ports.last())],
    }
}

/// A transaction as it grows.
#[derive(Default)]
struct Draw {
    transaction: Transaction,
}

impl Draw {
    /// A service that is not there.
    fn make(&mut self, built: &Built) {
        let family = family_of(built);
        self.transaction.add_chain(family, TABLE, &built.name(), None);
        self.fill(built);
    }

    /// Maps and rules into a chain without any.
    fn fill(&mut self, built: &Built) {
        let family = family_of(built);
        for set in built.sets() {
            self.transaction.add_set(family, TABLE, &set);
        }
        for (set, elements) in built.elements() {
            self.transaction.add_elements(family, TABLE, &set, &elements);
        }
        self.service_rules(built);
    }

    /// A service whose maps are of another kind than they were.
    fn remake(&mut self, before: &Built, built: &Built) {
        let family = family_of(before);
        self.transaction.flush_chain(family, TABLE, &before.name());
        for set in before.sets() {
            self.transaction.delete_set(family, TABLE, &set.name);
        }
        self.fill(built);
    }

    /// A service that nothing leads to any more.
    fn unmake(&mut self, built: &Built) {
        let family = family_of(built);
        self.transaction.flush_chain(family, TABLE, &built.name());
        self.transaction.delete_chain(family, TABLE, &built.name());
        for set in built.sets() {
            self.transaction.delete_set(family, TABLE, &set.name);
        }
    }

    /// Only what differs.
    fn change(&mut self, before: &Built, built: &Built) {
        let family = family_of(built);
        let known = before.elements();
        for (set, elements) in built.elements() {
            let known = by_key(known.get(&set).map(Vec::as_slice).unwrap_or_default());
            let wanted = by_key(&elements);
            let differs = |(key, element): &(&&[u8], &&NewElement), other: &BTreeMap<&[u8], &NewElement>| {
                other.get(**key) != Some(*element)
            };
            let gone: Vec<NewElement> = known
                .iter()
                .filter(|one| differs(one, &wanted))
                .map(|(_, element)| NewElement { data: Vec::new(), comment: None, ..(**element).clone() })
                .collect();
            let new: Vec<NewElement> =
                wanted.iter().filter(|one| differs(one, &known)).map(|(_, element)| (**element).clone()).collect();
            self.transaction.delete_elements(family, TABLE, &set, &gone);
            self.transaction.add_elements(family, TABLE, &set, &new);
        }
        if before.rules() != built.rules() || header(before) != header(built) {
            self.transaction.flush_chain(family, TABLE, &built.name());
            self.service_rules(built);
        }
    }

    fn service_rules(&mut self, built: &Built) {
        let (family, chain) = (family_of(built), built.name());
        self.transaction.add_rule(family, TABLE, &chain, &[Expression::Counter], &header(built));
        self.rules(family, &chain, &built.rules());
    }

    fn rules(&mut self, family: Family, chain: &str, rules: &[Vec<Expression>]) {
        for rule in rules {
            self.transaction.add_rule(family, TABLE, chain, rule, &digest(rule));
        }
    }
}

fn by_key(elements: &[NewElement]) -> BTreeMap<&[u8], &NewElement> {
    elements.iter().map(|element| (element.key.as_slice(), element)).collect()
}
