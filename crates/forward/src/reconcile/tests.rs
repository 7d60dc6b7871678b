//! With an engine that is a list.

use std::sync::{Mutex, PoisonError};

use forward_plan::{Choice, Method, Scheduler, Settings, apply};

use super::*;

/// What the engine of this thread has; each test is a process of its own, or at least a thread.
static KERNEL: Mutex<Kernel> = Mutex::new(Kernel { services: Vec::new(), ended: Vec::new(), refuses: false });

/// One test at a time has the kernel.
static TURN: Mutex<()> = Mutex::new(());

#[derive(Default)]
struct Kernel {
    services: Vec<Service>,
    ended: Vec<(Key, Endpoint)>,
    refuses: bool,
}

fn kernel<T>(work: impl FnOnce(&mut Kernel) -> T) -> T {
    work(&mut KERNEL.lock().unwrap_or_else(PoisonError::into_inner))
}

struct Fake;

impl Engine for Fake {
    fn kind(&self) -> Kind {
        Kind::Nftables
    }

    fn observe(&mut self) -> Result<Vec<Service>, netlink::Error> {
        if kernel(|kernel| kernel.refuses) {
            return Err(netlink::Error::Malformed { tried: "looking".to_owned() });
        }
        Ok(kernel(|kernel| kernel.services.clone()))
    }

    fn is_all_ours(&self) -> bool {
        false
    }

    fn apply(&mut self, operations: &[Operation]) -> Result<(), netlink::Error> {
        kernel(|kernel| operations.iter().for_each(|operation| apply(&mut kernel.services, operation)));
        Ok(())
    }

    fn end_connections(&mut self, gone: &[(Key, Endpoint)]) -> Result<u64, netlink::Error> {
        kernel(|kernel| kernel.ended.extend(gone));
        Ok(0)
    }

    fn counts(&mut self) -> Result<Vec<Count>, netlink::Error> {
        Ok(Vec::new())
    }

    fn troubles(&mut self) -> Vec<String> {
        Vec::new()
    }
}

fn open(kind: Kind) -> Result<Box<dyn Engine>, String> {
    match kind {
        Kind::Ipvs => Err("this kernel has no IPVS".to_owned()),
        Kind::Nftables => Ok(Box::new(Fake)),
    }
}

fn service(key: &str, scheduler: Scheduler, servers: &[&str]) -> Service {
    let destination = |endpoint: &&str| Destination {
        endpoint: endpoint.parse().unwrap(),
        method: Method::Nat,
        weight: 1,
        max_connections: None,
    };
    Service {
        key: key.parse().unwrap(),
        settings: Settings { scheduler, persistence: None },
        destinations: servers.iter().map(destination).collect(),
    }
}

fn asked(service: Service, end_connections: bool) -> Asked {
    let wanted = Wanted { service, undecided: Vec::new() };
    Asked { frontend: "web".to_owned(), choice: Choice::Auto, end_connections, wanted }
}

const WEB: &str = "tcp 192.0.2.1:80";
const TURNS: Scheduler = Scheduler::WeightedRoundRobin;

fn texts(events: &mut Vec<Event>) -> Vec<String> {
    events.drain(..).map(|event| event.text).collect()
}

#[test]
fn what_is_wanted_is_made_so_and_kept_so_and_others_stay() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let foreign = service("tcp 192.0.2.9:22", TURNS, &["10.0.0.9:22"]);
    kernel(|kernel| *kernel = Kernel { services: vec![foreign.clone()], ..Kernel::default() });
    let web = service(WEB, TURNS, &["10.0.0.1:80", "10.0.0.2:80"]);
    let mut events = Vec::new();
    let mut reconciler = Reconciler::new(open, Vec::new());
    reconciler.want(Table { services: vec![asked(web.clone(), true)] }, &mut events);
    let told = ["tcp 192.0.2.1:80 is forwarded by nftables: this kernel has no IPVS"];
    assert_eq!(texts(&mut events), told);
    assert_eq!(kernel(|kernel| kernel.services.clone()), [foreign.clone(), web.clone()]);
    kernel(|kernel| kernel.services.pop());
    reconciler.reconcile(&mut events);
    assert_eq!(texts(&mut events), ["what another program changed in nftables is put back: 3 changes"]);
    assert_eq!(kernel(|kernel| kernel.services.clone()), [foreign.clone(), web]);
    reconciler.reconcile(&mut events);
    assert_eq!(texts(&mut events), [""; 0]);
    assert_eq!(reconciler.stop(), [""; 0]);
    assert_eq!(kernel(|kernel| kernel.services.clone()), [foreign]);
}

#[test]
fn connections_of_a_server_that_goes_end_where_that_is_wanted() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    kernel(|kernel| *kernel = Kernel::default());
    let dns = "udp 192.0.2.1:53";
    let services = |web: &[&str], names: &[&str]| Table {
        services: vec![asked(service(WEB, TURNS, web), true), asked(service(dns, TURNS, names), false)],
    };
    let mut reconciler = Reconciler::new(open, Vec::new());
    let mut events = Vec::new();
    reconciler.want(services(&["10.0.0.1:80", "10.0.0.2:80"], &["10.0.0.1:53"]), &mut events);
    reconciler.want(services(&["10.0.0.2:80"], &[]), &mut events);
    assert_eq!(kernel(|kernel| kernel.ended.clone()), [(WEB.parse().unwrap(), "10.0.0.1:80".parse().unwrap())]);
}

#[test]
fn what_cannot_be_done_stands_in_or_is_told() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    kernel(|kernel| *kernel = Kernel::default());
    let least = service(WEB, Scheduler::WeightedLeastConnections, &["10.0.0.1:80"]);
    let mut tunnel = service("tcp 192.0.2.2:80", TURNS, &["10.0.0.1:80"]);
    tunnel.destinations[0].method = Method::Tunnel;
    let mut reconciler = Reconciler::new(open, Vec::new());
    let mut events = Vec::new();
    reconciler.want(Table { services: vec![asked(least, true), asked(tunnel, true)] }, &mut events);
    assert!(events.iter().all(|event| event.trouble));
    let told = texts(&mut events);
    assert_eq!(
        told[0],
        "tcp 192.0.2.1:80 is forwarded by nftables: this kernel has no IPVS; it cannot balance by least-connections, \
         and round-robin stands in"
    );
    assert!(told[1].starts_with("tcp 192.0.2.2:80 is not forwarded: nftables has no method \"tunnel\""), "{told:?}");
    assert_eq!(kernel(|kernel| kernel.services[0].settings.scheduler), TURNS);
    let report = reconciler.report();
    assert_eq!(report.services[0].scheduler, "round-robin");
    assert_eq!(report.services[1].engine, None);
}

#[test]
fn trouble_is_told_once_and_so_is_its_end() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    kernel(|kernel| *kernel = Kernel { refuses: true, ..Kernel::default() });
    let mut reconciler = Reconciler::new(open, Vec::new());
    let mut events = Vec::new();
    let web = service(WEB, TURNS, &["10.0.0.1:80"]);
    reconciler.want(Table { services: vec![asked(web.clone(), true)] }, &mut events);
    let trouble = "nftables: looking: the kernel's answer is no message that is understood";
    assert_eq!(texts(&mut events)[1..], [trouble]);
    reconciler.reconcile(&mut events);
    assert_eq!(texts(&mut events), [""; 0]);
    kernel(|kernel| kernel.refuses = false);
    reconciler.reconcile(&mut events);
    assert_eq!(texts(&mut events), [format!("over: {trouble}")]);
    assert_eq!(kernel(|kernel| kernel.services.clone()), [web]);
}
