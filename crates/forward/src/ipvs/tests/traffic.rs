//! Clients and servers in namespaces, and a guest as the director between them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use forward_plan::{Choice, Wanted};
use lab::{Host, Nginx, wait_for};

use super::*;
use crate::{Asked, Forwarder, Table};

/// Where the guest's program looks whether it is to end, and where it then writes what it knows.
const STOP: &str = "/run/stop";
const REPORT: &str = "/run/report";

/// As long as a test may take on a slow machine.
const LONG: Duration = Duration::from_secs(240);

#[test]
fn clients_are_served_by_nat_and_direct_and_a_flushed_table_comes_back() {
    if in_guest() {
        keep_forwarding();
        return;
    }
    let lab = require!(Lab::new("forward-traffic"));
    let plan = GuestPlan::new().modules(&["ip_vs", "ip_vs_rr", "ip_vs_wlc"]).program("ipvsadm").with_this_test();
    let guest = require!(Guest::boot(&lab, "director", &plan));
    for address in ["10.0.0.2/24", "10.1.0.2/24", "10.1.0.100/32", "10.2.0.2/24", "10.2.0.101/32"] {
        guest.add_address(address);
    }
    guest.set("net.ipv4.ip_forward", "1");
    // All networks are on one link: who is told so would answer past the director.
    guest.set("net.ipv4.conf.all.send_redirects", "0");
    guest.set("net.ipv4.conf.eth0.send_redirects", "0");
    let (near, far) = (lab.host("near", "10.1.0.1/24"), lab.host("far", "10.2.0.1/24"));
    let servers = [server(&lab, "web1", "10.0.0.11/24"), server(&lab, "web2", "10.0.0.12/24")];
    let _nginx = [require!(Nginx::start(&servers[0], "web1")), require!(Nginx::start(&servers[1], "web2"))];
    let this = "ipvs::tests::traffic::clients_are_served_by_nat_and_direct_and_a_flushed_table_comes_back";
    guest.start_test(this);
    wait_for(LONG, "the services are there", || guest.shell("ipvsadm -Sn").text.lines().count() == 6);
    assert_eq!(turns(&near, "http://10.1.0.100/"), ["web1", "web1", "web2", "web2"]);
    assert_eq!(turns(&far, "http://10.2.0.101/"), ["web1", "web1", "web2", "web2"]);
    let table = guest.shell("ipvsadm -Sn").success();
    guest.shell("ipvsadm -C").success();
    wait_for(LONG, "the flushed table comes back", || guest.shell("ipvsadm -Sn").text == table);
    assert_eq!(turns(&near, "http://10.1.0.100/"), ["web1", "web1", "web2", "web2"]);
    // The kernel sums up every two seconds. What a destination had before the flush it has again, if the kernel has not
    // forgotten it meanwhile.
    let sums = || connections(&guest.shell("ipvsadm -Ln --stats --exact").success());
    wait_for(LONG, "the kernel has summed up", || {
        let ends =
            |counts: [u8; 4]| sums().iter().zip(counts).all(|(sum, count)| sum.ends_with(&format!("Some({count})")));
        ends([4, 4, 2, 2]) || ends([2, 2, 0, 0])
    });
    let counted = sums();
    assert_eq!(counted.len(), 4);
    guest.shell(&format!(": >{STOP}")).success();
    wait_for(LONG, "the report is written", || guest.shell(&format!("test -e {REPORT}")).code == 0);
    let reported = guest.shell(&format!("cat {REPORT}")).success();
    assert_eq!(reported.lines().collect::<Vec<_>>(), counted);
    wait_for(LONG, "nothing is left behind", || guest.shell("ipvsadm -Sn").text.is_empty());
}

/// A server that answers the one client through the director, and the other by itself.
fn server(lab: &Lab, name: &str, address: &str) -> Host {
    let host = lab.host(name, address);
    host.run(&["ip", "route", "add", "default", "via", "10.0.0.2"]).success();
    host.run(&["ip", "route", "add", "10.2.0.0/24", "dev", "eth0"]).success();
    host.set("net.ipv4.conf.all.arp_ignore", "1").unwrap();
    host.set("net.ipv4.conf.all.arp_announce", "2").unwrap();
    host.run(&["ip", "address", "add", "10.2.0.101/32", "dev", "lo"]).success();
    host
}

/// What four requests are answered, sorted.
fn turns(client: &Host, url: &str) -> Vec<String> {
    let mut answers: Vec<String> = (0..4).map(|_| client.curl(&[url]).text().trim().to_owned()).collect();
    answers.sort();
    answers
}

/// Service, destination and connections of ipvsadm's lines, in the order of the destinations.
fn connections(listed: &str) -> Vec<String> {
    let mut service = String::new();
    let mut lines = Vec::new();
    for line in listed.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["TCP", address, ..] => service = format!("tcp {address}"),
            ["->", address, connections, ..] if connections != "Conns" => {
                lines.push(format!("{service} {address} Some({connections})"));
            }
            _ => {}
        }
    }
    lines.sort();
    lines
}

/// In the guest: wants the services until it is told to end.
fn keep_forwarding() {
    let services = [("tcp 10.1.0.100:80", Method::Nat), ("tcp 10.2.0.101:80", Method::Direct)];
    let asked = |(text, method): (&str, Method)| Asked {
        frontend: text.to_owned(),
        choice: Choice::Auto,
        end_connections: false,
        wanted: Wanted {
            service: Service {
                key: key(text),
                settings: settings(Scheduler::RoundRobin),
                destinations: vec![to("10.0.0.11:80", method, 1), to("10.0.0.12:80", method, 1)],
            },
            undecided: Vec::new(),
        },
    };
    let forwarder = Forwarder::start(Vec::new(), |event| println!("{}", event.text)).unwrap();
    forwarder.want(Table { services: services.into_iter().map(asked).collect() });
    wait_for(LONG, "somebody says that it is over", || Path::new(STOP).exists());
    let report = forwarder.report();
    let mut lines = String::new();
    for service in report.services {
        for destination in service.destinations {
            lines += &format!("{} {} {:?}\n", service.address, destination.address, destination.connections);
        }
    }
    fs::write("/run/report.new", lines).unwrap();
    fs::rename("/run/report.new", REPORT).unwrap();
    forwarder.stop();
}
