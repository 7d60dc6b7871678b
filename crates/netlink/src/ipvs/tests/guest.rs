//! Against Debian's kernel, in a guest; what is there is told by ipvsadm.

use std::fs;
use std::process::Command;

use lab::{Guest, GuestPlan, Lab, in_guest, require};

use super::*;

const MODULES: [&str; 5] = ["ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_wlc", "ip_vs_mh"];

#[test]
fn a_kernel_loads_its_ipvs_when_it_is_asked_for_it_and_does_what_it_is_told() {
    if in_guest() {
        is_loaded_or_named();
        is_what_ipvsadm_says();
        is_changed_where_it_is();
        remembers_time_outs_and_daemons();
        return;
    }
    let lab = require!(Lab::new("netlink-ipvs"));
    let plan = GuestPlan::new().modules(&MODULES).program("ipvsadm").with_this_test();
    let guest = require!(Guest::boot(&lab, "director", &plan));
    let this = "a_kernel_loads_its_ipvs_when_it_is_asked_for_it_and_does_what_it_is_told";
    guest.run_test(&format!("ipvs::tests::guest::{this}"));
}

fn ipvsadm(arguments: &[&str]) -> String {
    let output = Command::new("ipvsadm").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn outcomes(ipvs: &mut Ipvs, changes: &[Change]) -> Vec<Outcome> {
    ipvs.apply(changes).into_iter().map(Result::unwrap).collect()
}

fn is_loaded_or_named() {
    fs::rename("/lib/modules", "/lib/elsewhere").unwrap();
    let error = Ipvs::open().unwrap_err().to_string();
    assert!(
        error.starts_with("asking the kernel for IPVS: this kernel has no IPVS: the module ip_vs is not"),
        "{error}"
    );
    fs::rename("/lib/elsewhere", "/lib/modules").unwrap();
    let mut ipvs = Ipvs::open().unwrap();
    // One that no kernel has.
    let error = ipvs.apply(&[Change::AddService(Service::new(tcp("192.0.2.1:80"), "chance"))]).remove(0).unwrap_err();
    let error = error.to_string();
    assert!(error.ends_with("this kernel has no scheduler chance: no module ip_vs_chance"), "{error}");
}

fn is_what_ipvsadm_says() {
    let mut ipvs = Ipvs::open().unwrap();
    let (web, six) = (tcp("192.0.2.1:80"), persistent());
    let changes = [
        Change::AddService(Service::new(web, "wlc")),
        Change::AddDestination(web, limited()),
        Change::AddDestination(web, Destination::new(at("10.0.0.3:80"), Method::Direct, 1)),
        Change::AddDestination(web, Destination::new(at("10.0.0.4:80"), gue(), 1)),
        Change::AddService(six.clone()),
        Change::AddDestination(six.key, Destination::new(at("[2001:db8::2]:443"), Method::Nat, 0)),
        Change::AddService(marked()),
        Change::AddDestination(marked().key, Destination::new(at("10.0.0.5:0"), Method::Direct, 5)),
    ];
    assert_eq!(outcomes(&mut ipvs, &changes), [Outcome::Changed; 8]);
    assert_eq!(outcomes(&mut ipvs, &changes), [Outcome::AlreadySo; 8]);
    let mut rules: Vec<String> = ipvsadm(&["-Sn"]).lines().map(|line| line.trim().to_owned()).collect();
    rules.sort();
    assert_eq!(
        rules,
        [
            "-A -f 7 -s wrr -p 50 -M 255.255.255.0",
            "-A -t 192.0.2.1:80 -s wlc",
            "-A -t [2001:db8::1]:443 -s mh -p 300 -M 64 -b mh-fallback,mh-port",
            "-a -f 7 -r 10.0.0.5:0 -g -w 5",
            "-a -t 192.0.2.1:80 -r 10.0.0.2:8080 -m -w 3",
            "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -g -w 1",
            "-a -t 192.0.2.1:80 -r 10.0.0.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
            "-a -t [2001:db8::1]:443 -r [2001:db8::2]:443 -m -w 0",
        ]
    );
    // It saves no thresholds, and lists them: the upper one, the lower one, connections.
    let thresholds = ipvsadm(&["-Ln", "--thresholds"]);
    let of_one = thresholds.lines().find(|line| line.contains("10.0.0.2:8080")).unwrap();
    assert_eq!(of_one.split_whitespace().collect::<Vec<_>>(), ["->", "10.0.0.2:8080", "100", "80", "0", "0"]);
    let mut services: Vec<Service> = ipvs.services().unwrap().into_iter().map(|listed| listed.service).collect();
    services.sort_by_key(|service| service.key.to_string());
    assert_eq!(services, [marked(), Service::new(web, "wlc"), six]);
    let mut found: Vec<Destination> = ipvs.destinations(&web).unwrap().iter().map(|one| one.destination).collect();
    found.sort_by_key(|destination| destination.target);
    let wanted: Vec<Destination> = changes
        .iter()
        .filter_map(|change| match change {
            Change::AddDestination(key, destination) if *key == web => Some(*destination),
            _ => None,
        })
        .collect();
    assert_eq!(found, wanted);
}

fn is_changed_where_it_is() {
    let mut ipvs = Ipvs::open().unwrap();
    let web = tcp("192.0.2.1:80");
    let changes = [
        Change::SetService(Service::new(web, "rr")),
        Change::SetDestination(web, Destination::new(at("10.0.0.2:8080"), Method::Nat, 0)),
        Change::RemoveDestination(web, at("10.0.0.4:80")),
        Change::RemoveDestination(web, at("10.0.0.4:80")),
        Change::RemoveService(persistent().key),
        Change::RemoveService(persistent().key),
        Change::RemoveService(marked().key),
    ];
    use Outcome::{AlreadySo, Changed};
    let done = outcomes(&mut ipvs, &changes);
    assert_eq!(done, [Changed, Changed, Changed, AlreadySo, Changed, AlreadySo, Changed]);
    assert_eq!(ipvs.changes(), 7);
    assert_eq!(
        ipvsadm(&["-Sn"]).split_whitespace().collect::<Vec<_>>().join(" "),
        "-A -t 192.0.2.1:80 -s rr -a -t 192.0.2.1:80 -r 10.0.0.2:8080 -m -w 0 -a -t 192.0.2.1:80 -r 10.0.0.3:80 -g -w 1"
    );
    let absent = Destination::new(at("10.0.0.9:80"), Method::Nat, 1);
    let errno = |change: Change, ipvs: &mut Ipvs| ipvs.apply(&[change]).remove(0).unwrap_err().errno();
    assert_eq!(errno(Change::SetDestination(web, absent), &mut ipvs), Some(2));
    assert_eq!(errno(Change::SetService(persistent()), &mut ipvs), Some(3));
    assert_eq!(errno(Change::AddDestination(persistent().key, absent), &mut ipvs), Some(3));
}

fn remembers_time_outs_and_daemons() {
    let mut ipvs = Ipvs::open().unwrap();
    let timeouts = Timeouts { tcp_seconds: 600, tcp_fin_seconds: 70, udp_seconds: 40 };
    ipvs.set_timeouts(timeouts).unwrap();
    assert_eq!(ipvs.timeouts().unwrap(), timeouts);
    assert_eq!(ipvsadm(&["-L", "--timeout"]).trim(), "Timeout (tcp tcpfin udp): 600 70 40");
    assert_eq!(ipvs.start_daemon(&master()).unwrap(), Outcome::Changed);
    assert_eq!(ipvs.start_daemon(&master()).unwrap(), Outcome::AlreadySo);
    assert_eq!(ipvs.daemons().unwrap(), [master()]);
    assert_eq!(
        ipvsadm(&["-L", "--daemon"]).trim(),
        "master sync daemon (mcast=eth0, syncid=51, maxlen=1400, group=224.0.0.90, port=8849, ttl=3)"
    );
    assert_eq!(ipvs.stop_daemon(Role::Master).unwrap(), Outcome::Changed);
    assert_eq!(ipvs.stop_daemon(Role::Master).unwrap(), Outcome::AlreadySo);
    let elsewhere = Daemon { interface: "nowhere".into(), ..master() };
    let error = ipvs.start_daemon(&elsewhere).unwrap_err();
    assert_eq!(error.errno(), Some(19), "{error}");
    assert_eq!(ipvs.daemons().unwrap(), []);
}
