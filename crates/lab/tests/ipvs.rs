//! A director whose kernel has IPVS: what `ipvsadm` says of it, and who tells the others of connections.

use std::time::Duration;

use lab::{Guest, GuestPlan, Lab, eventually, perron_binary, require};

/// It is emulated, and comes to be active after three adverts.
const PATIENCE: Duration = Duration::from_secs(120);

const MODULES: [&str; 4] = ["ip_vs", "ip_vs_wlc", "ip_vs_wrr", "nf_conntrack"];

const SITE: &str = r#"
[process]
user = "root"
sandbox = "off"
[admin]
bind = "off"
[vip.web]
interface = "eth0"
router-id = 51
version = 2
addresses = ["192.168.10.100/24"]
[frontend.web]
mode = "forward"
bind = "192.168.10.100:80"
backend = "web"
forward = { persistence = "50s" }
sync = { interface = "eth0", id = 51 }
[backend.web]
balance = "weighted-least-connections"
[[backend.web.server]]
name = "web1"
address = "192.168.20.11:80"
weight = 3
[[backend.web.server]]
name = "web2"
address = "192.168.20.12:80"
"#;

const TABLE: &str = "TCP 192.168.10.100:80 wlc persistent 50\n\
                     -> 192.168.20.11:80 Masq 3 0 0\n\
                     -> 192.168.20.12:80 Masq 1 0 0\n";

/// What `ipvsadm` says, without its heading, with one space between words.
fn ipvsadm(guest: &Guest) -> String {
    let text = guest.run(&["ipvsadm", "-L", "-n"]).success();
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let rows = lines.filter(|line| line.starts_with("TCP") || line.starts_with("-> 1"));
    rows.map(|row| row + "\n").collect()
}

#[test]
fn ipvs_is_kept_as_it_is_wanted_and_who_is_active_tells_of_connections() {
    let lab = require!(Lab::new("ipvs"));
    let plan = GuestPlan::new().modules(&MODULES).program("ipvsadm").file(&perron_binary(), "/bin/perron");
    let guest = require!(Guest::boot(&lab, "director", &plan));
    guest.add_address("192.168.10.1/24");
    guest.shell("mkdir -p /etc /run; [ -e /etc/passwd ] || echo root:x:0:0:root:/:/bin/sh >/etc/passwd").success();
    guest.write("/run/site.toml", SITE);
    let perron = "perron run -c /run/site.toml --control /run/perron.sock </dev/null >>/run/log 2>&1 &";
    guest.shell(perron).success();
    let log = || guest.shell("cat /run/log").text;
    let wait = |what: &str, condition: &dyn Fn() -> bool| {
        let limit = PATIENCE;
        let met = eventually(limit, condition);
        assert!(met, "{what}, within {limit:?}; the log says:\n{}", log());
    };

    wait("the services", &|| ipvsadm(&guest) == TABLE);
    let told = "master sync daemon (mcast=eth0, syncid=51";
    wait("an active director that tells", &|| guest.run(&["ipvsadm", "-L", "--daemon"]).text.contains(told));
    assert!(log().contains("connections that are forwarded are heard of from other directors on eth0"), "{}", log());
    let status = guest.shell("perron status forward --control /run/perron.sock").success();
    let words = status.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("ipvs") && words.contains("192.168.20.11:80"), "{status}");

    // What others do to it is undone.
    guest.run(&["ipvsadm", "-C"]).success();
    guest.run(&["ipvsadm", "--stop-daemon", "master"]).success();
    wait("the table again", &|| ipvsadm(&guest) == TABLE);
    wait("the daemon again", &|| guest.run(&["ipvsadm", "-L", "--daemon"]).text.contains(told));

    // Nothing goes with the processes, and the next ones go on with it.
    let kill =
        "for one in /proc/[0-9]*; do [ \"$(readlink $one/exe)\" = /bin/perron ] && kill -9 ${one#/proc/}; done; true";
    guest.shell(kill).success();
    assert_eq!(ipvsadm(&guest), TABLE);
    guest.shell(perron).success();
    wait("the next one", &|| {
        guest.shell("perron status forward --control /run/perron.sock").text.contains("192.168.20.11:80")
    });
    assert_eq!(ipvsadm(&guest), TABLE);

    guest.shell("perron stop --control /run/perron.sock").success();
    wait("nothing", &|| ipvsadm(&guest).is_empty());
    wait("no daemon", &|| !guest.run(&["ipvsadm", "-L", "--daemon"]).text.contains("daemon"));
}
