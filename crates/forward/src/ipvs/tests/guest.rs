//! On Debian's kernel, in a guest; what is there is told by ipvsadm.

use std::collections::BTreeSet;
use std::process::Command;

use forward_plan::{Wanted, plan};

use super::*;

const MODULES: [&str; 11] = [
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_lc",
    "ip_vs_wlc",
    "ip_vs_sh",
    "ip_vs_mh",
    "ip_vs_sed",
    "ip_vs_nq",
    "ip_vs_fo",
    "ip_vs_lblc",
];

/// Servers of the service whose changes are counted.
const MANY: u16 = 5000;

#[test]
fn the_kernel_gets_what_is_wanted_in_as_few_messages_as_there_are_changes() {
    if in_guest() {
        every_scheduler_and_method_is_as_ipvsadm_says();
        what_others_do_is_put_back_and_what_they_made_is_left();
        one_of_many_is_one_message();
        connections_follow_the_role();
        return;
    }
    let lab = require!(Lab::new("forward-ipvs"));
    let plan = GuestPlan::new().modules(&MODULES).program("ipvsadm").with_this_test();
    let guest = require!(Guest::boot(&lab, "director", &plan));
    let this = "the_kernel_gets_what_is_wanted_in_as_few_messages_as_there_are_changes";
    guest.run_test(&format!("ipvs::tests::guest::{this}"));
}

fn ipvsadm(arguments: &str) -> Vec<String> {
    let output = Command::new("ipvsadm").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(words).collect();
    lines.sort();
    lines
}

/// Makes the table what is wanted, and says how many messages it took.
fn reconcile(engine: &mut Ipvs, wanted: &[Service], ours: &BTreeSet<Key>) -> u64 {
    let wanted: Vec<Wanted> =
        wanted.iter().map(|service| Wanted { service: service.clone(), undecided: Vec::new() }).collect();
    let before = engine.changes();
    let observed = engine.observe().unwrap();
    engine.apply(&plan(&wanted, &observed, ours)).unwrap();
    engine.changes() - before
}

fn service(text: &str, settings: Settings, destinations: &[Destination]) -> Service {
    Service { key: key(text), settings, destinations: destinations.to_vec() }
}

fn every_scheduler_and_method_is_as_ipvsadm_says() {
    let mut engine = Ipvs::open().unwrap();
    let destinations = [
        to("10.0.0.2:8080", Method::Nat, 3),
        to("10.0.0.3:80", Method::Direct, 1),
        to("10.0.0.4:80", Method::Tunnel, 0),
        // This machine's own.
        to("127.0.0.1:80", Method::Direct, 2),
    ];
    let mut wanted: Vec<Service> = Scheduler::ALL
        .iter()
        .zip(81..)
        .map(|(scheduler, port)| service(&format!("tcp 192.0.2.1:{port}"), settings(*scheduler), &[]))
        .collect();
    let persistence = Some(Persistence { seconds: 50, prefix: 24 });
    let sticky = Settings { scheduler: Scheduler::WeightedLeastConnections, persistence };
    wanted.push(service("tcp 192.0.2.1:80", sticky, &destinations));
    wanted.push(service(
        "udp [2001:db8::1]:53",
        settings(Scheduler::RoundRobin),
        &[to("[2001:db8::2]:53", Method::Nat, 1)],
    ));
    wanted.push(service("mark 7", settings(Scheduler::RoundRobin), &[to("10.0.0.5", Method::Direct, 1)]));
    assert_eq!(reconcile(&mut engine, &wanted, &BTreeSet::new()), 13 + 6);
    assert_eq!(
        ipvsadm("-Sn"),
        [
            "-A -f 7 -s rr",
            "-A -t 192.0.2.1:80 -s wlc -p 50 -M 255.255.255.0",
            "-A -t 192.0.2.1:81 -s rr",
            "-A -t 192.0.2.1:82 -s wrr",
            "-A -t 192.0.2.1:83 -s lc",
            "-A -t 192.0.2.1:84 -s wlc",
            "-A -t 192.0.2.1:85 -s sh -b sh-fallback",
            "-A -t 192.0.2.1:86 -s mh -b mh-fallback",
            "-A -t 192.0.2.1:87 -s mh -b mh-fallback,mh-port",
            "-A -t 192.0.2.1:88 -s sed",
            "-A -t 192.0.2.1:89 -s nq",
            "-A -t 192.0.2.1:90 -s fo",
            "-A -u [2001:db8::1]:53 -s rr",
            "-a -f 7 -r 10.0.0.5:0 -g -w 1",
            "-a -t 192.0.2.1:80 -r 10.0.0.2:8080 -m -w 3",
            "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -g -w 1",
            "-a -t 192.0.2.1:80 -r 10.0.0.4:80 -i -w 0 --tun-type ipip",
            "-a -t 192.0.2.1:80 -r 127.0.0.1:80 -g -w 2",
            "-a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -m -w 1",
        ]
    );
    // It is as wanted, so that nothing is said.
    assert_eq!(reconcile(&mut engine, &wanted, &BTreeSet::new()), 0);
    let ours: BTreeSet<Key> = wanted.iter().map(|service| service.key).collect();
    engine.remove(&ours.iter().copied().collect::<Vec<_>>()).unwrap();
    assert_eq!(ipvsadm("-Sn"), [""; 0]);
}

fn what_others_do_is_put_back_and_what_they_made_is_left() {
    let mut engine = Ipvs::open().unwrap();
    let destinations = [to("10.0.0.2:80", Method::Nat, 3), to("10.0.0.3:80", Method::Nat, 1)];
    let web = [service("tcp 192.0.2.1:80", settings(Scheduler::WeightedRoundRobin), &destinations)];
    let ours: BTreeSet<Key> = [key("tcp 192.0.2.1:80"), key("tcp 192.0.2.1:81")].into();
    let as_wanted = [
        "-A -t 192.0.2.1:80 -s wrr",
        "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 3",
        "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -m -w 1",
    ];
    // A service of ours that is not wanted any more, and one of somebody else's.
    ipvsadm("-A -t 192.0.2.1:81 -s rr");
    ipvsadm("-A -t 192.0.2.9:80 -s lblc");
    ipvsadm("-a -t 192.0.2.9:80 -r 10.0.0.9 -g");
    assert_eq!(reconcile(&mut engine, &web, &ours), 4);
    let theirs = ["-A -t 192.0.2.9:80 -s lblc", "-a -t 192.0.2.9:80 -r 10.0.0.9:80 -g -w 1"];
    let mut both: Vec<&str> = as_wanted.into_iter().chain(theirs).collect();
    both.sort_unstable();
    assert_eq!(ipvsadm("-Sn"), both);
    // What is done to the table, and the messages that put it back. An addition that finds something there is two.
    for (done, messages) in [
        ("-C", 3),
        ("-D -t 192.0.2.1:80", 3),
        ("-d -t 192.0.2.1:80 -r 10.0.0.2:80", 1),
        ("-e -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 30", 1),
        ("-e -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 3", 1),
        ("-e -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 3 -x 10 -y 5", 1),
        ("-a -t 192.0.2.1:80 -r 10.0.0.8:80 -i --tun-type gue --tun-port 6080", 1),
        ("-E -t 192.0.2.1:80 -s rr", 1),
        ("-E -t 192.0.2.1:80 -s wrr -p 360", 1),
        ("-E -t 192.0.2.1:80 -s lblc", 6),
    ] {
        ipvsadm(done);
        assert_eq!(reconcile(&mut engine, &web, &ours), messages, "{done}");
        assert_eq!(ipvsadm("-Sn"), as_wanted, "{done}");
        assert_eq!(reconcile(&mut engine, &web, &ours), 0, "{done}");
    }
    // Somebody is faster than we are: what was there when we looked is not when we change it.
    let key = key("tcp 192.0.2.1:80");
    ipvsadm("-d -t 192.0.2.1:80 -r 10.0.0.2:80");
    let edit = Operation::EditDestination { key, destination: to("10.0.0.2:80", Method::Nat, 3) };
    engine.apply(&[edit]).unwrap();
    assert_eq!(ipvsadm("-Sn"), as_wanted);
    ipvsadm("-C");
    let add = Operation::AddDestination { key, destination: to("10.0.0.2:80", Method::Nat, 3) };
    assert_eq!(engine.apply(&[add]).unwrap_err().errno(), Some(3));
}

fn one_of_many_is_one_message() {
    let mut engine = Ipvs::open().unwrap();
    let many: Vec<Destination> = (0..MANY)
        .map(|number| to(&format!("10.1.{}.{}:80", number / 250, number % 250 + 1), Method::Direct, 1))
        .collect();
    let mut web = [service("tcp 192.0.2.1:80", settings(Scheduler::WeightedLeastConnections), &many)];
    let none = BTreeSet::new();
    assert_eq!(reconcile(&mut engine, &web, &none), u64::from(MANY) + 1);
    web[0].destinations[4321].weight = 0;
    assert_eq!(reconcile(&mut engine, &web, &none), 1);
    let table = ipvsadm("-Sn");
    assert_eq!(table.len(), usize::from(MANY) + 1);
    let quiet: Vec<&String> = table.iter().filter(|line| line.ends_with("-w 0")).collect();
    assert_eq!(quiet, ["-a -t 192.0.2.1:80 -r 10.1.17.72:80 -g -w 0"]);
    ipvsadm("-C");
}

fn connections_follow_the_role() {
    let mut sync = SyncDaemon::open().unwrap();
    let plan = SyncPlan { port: Some(8850), ..SyncPlan::new("eth0", 51) };
    let running = || ipvsadm("-L --daemon").into_iter().map(|line| line.split(", maxlen").next().unwrap().to_owned());
    let running = || running().collect::<Vec<_>>();
    assert!(sync.follow(Some(&plan), false).unwrap());
    assert_eq!(running(), ["backup sync daemon (mcast=eth0, syncid=51"]);
    assert!(!sync.follow(Some(&plan), false).unwrap());
    assert!(sync.follow(Some(&plan), true).unwrap());
    assert_eq!(running(), ["master sync daemon (mcast=eth0, syncid=51"]);
    // Others' daemon, and one of another group.
    ipvsadm("--start-daemon backup --mcast-interface eth0 --syncid 9");
    assert!(sync.follow(Some(&plan), true).unwrap());
    assert_eq!(running(), ["master sync daemon (mcast=eth0, syncid=51"]);
    assert!(sync.follow(Some(&SyncPlan { id: 52, ..plan.clone() }), true).unwrap());
    assert_eq!(running(), ["master sync daemon (mcast=eth0, syncid=52"]);
    assert!(sync.follow(None, true).unwrap());
    assert_eq!(running(), [""; 0]);
    assert!(!sync.follow(None, false).unwrap());
}
