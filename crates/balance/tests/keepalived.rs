//! keepalived as the oracle of quorums: virtual servers with quorums of every kind, whose real servers come and go, and
//! its sorry servers come and go with ours.

use std::fmt::Write as _;
use std::time::Duration;

use balance::{Algorithm, Pool, PoolConfig, Quorum, ServerConfig, ServerIndex};
use lab::{Guest, GuestPlan, Lab, require, wait_for};
use units::{AdminState, Instant, Status, Weight};

const SERVERS: usize = 4;
/// keepalived polls nothing here: it hears of files. It is emulated, though.
const PATIENCE: Duration = Duration::from_secs(30);
/// The port of the service that shows which real servers keepalived takes for alive; the others follow it.
const WITNESS: u16 = 8000;
const SORRY: &str = "10.9.9.9:80";

/// Weights, quorum, hysteresis.
const CASES: [([u16; SERVERS], u32, u32); 26] = [
    ([1, 1, 1, 1], 1, 0),
    ([1, 1, 1, 1], 2, 0),
    ([1, 1, 1, 1], 2, 1),
    ([1, 1, 1, 1], 3, 0),
    ([1, 1, 1, 1], 3, 1),
    ([1, 1, 1, 2], 3, 2),
    ([1, 1, 1, 1], 4, 0),
    ([2, 2, 1, 1], 4, 2),
    ([2, 2, 1, 1], 5, 1),
    ([3, 1, 1, 1], 2, 1),
    ([3, 1, 1, 1], 3, 0),
    ([3, 1, 1, 1], 3, 1),
    ([3, 1, 1, 1], 3, 2),
    ([3, 1, 1, 1], 4, 2),
    ([3, 1, 1, 1], 6, 0),
    ([5, 4, 3, 2], 7, 0),
    ([5, 4, 3, 2], 7, 2),
    ([5, 4, 3, 2], 7, 6),
    ([5, 4, 3, 2], 8, 4),
    ([5, 4, 3, 2], 14, 0),
    ([0, 1, 1, 1], 1, 0),
    ([0, 1, 1, 1], 2, 1),
    ([0, 0, 2, 2], 2, 0),
    ([0, 0, 2, 2], 3, 1),
    ([0, 0, 0, 9], 9, 0),
    ([10, 20, 30, 40], 50, 10),
];

/// Which server changes its state next; all are down at first.
const WALK: [usize; 30] = [0, 1, 2, 3, 0, 1, 2, 3, 3, 2, 1, 0, 3, 2, 1, 0, 1, 3, 1, 0, 3, 2, 0, 3, 1, 2, 0, 1, 3, 2];

fn pool(weights: [u16; SERVERS], quorum: Quorum) -> Pool {
    let server = |(place, weight): (usize, u16)| ServerConfig {
        name: format!("rs{place}"),
        weight: Weight::new(weight),
        max_in_flight: None,
        tier: 0,
        checked: true,
        admin: AdminState::Ready,
        class: None,
        zone: None,
        bandwidth: None,
        sorry: false,
    };
    let mut servers: Vec<ServerConfig> = weights.into_iter().enumerate().map(server).collect();
    servers.push(ServerConfig { checked: false, sorry: true, ..server((SERVERS, 1)) });
    let config = PoolConfig {
        algorithm: Algorithm::RoundRobin,
        slow_start: Duration::ZERO,
        servers,
        classes: Vec::new(),
        max_in_flight: None,
        quorum,
        alpha: true,
    };
    Pool::new(config, Instant::ZERO)
}

fn configuration() -> String {
    let mut text = String::from("global_defs {\n  router_id oracle\n}\n");
    for server in 0..SERVERS {
        let _ = write!(text, "track_file rs{server} {{\n  file /run/rs{server}\n  weight 0\n}}\n");
    }
    let witness = ([1; SERVERS], 1, 0);
    for ((weights, quorum, hysteresis), port) in [witness].iter().chain(&CASES).zip(WITNESS..) {
        let _ = write!(
            text,
            "virtual_server 10.9.0.1 {port} {{\n  delay_loop 1\n  lvs_sched rr\n  lvs_method NAT\n  protocol TCP\n  alpha\n  \
             quorum {quorum}\n  hysteresis {hysteresis}\n"
        );
        if port != WITNESS {
            text += "  sorry_server 10.9.9.9 80\n";
        }
        for (server, weight) in weights.iter().enumerate() {
            let _ = write!(
                text,
                "  real_server 10.9.1.{} 80 {{\n    weight {weight}\n    FILE_CHECK {{\n      track_file rs{server}\n      \
                 weight 0\n    }}\n  }}\n",
                server + 1
            );
        }
        text += "}\n";
    }
    text
}

/// What stands under each service's port, as `ipvsadm -Ln` shows it.
fn table(guest: &Guest) -> Vec<(u16, Vec<String>)> {
    let mut table: Vec<(u16, Vec<String>)> = Vec::new();
    for line in guest.run(&["ipvsadm", "-Ln"]).success().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["TCP", service, ..] => {
                let port = service.rsplit(':').next().and_then(|port| port.parse().ok());
                table.push((port.expect("a service has a port"), Vec::new()));
            }
            ["->", server, ..] => table.iter_mut().last().into_iter().for_each(|row| row.1.push(server.to_owned())),
            _ => {}
        }
    }
    table
}

/// The table once the witness has exactly the servers that are up.
fn settled(guest: &Guest, is_up: &[bool; SERVERS]) -> Vec<(u16, Vec<String>)> {
    let wanted: Vec<String> = (1..).zip(is_up).filter(|(_, up)| **up).map(|(n, _)| format!("10.9.1.{n}:80")).collect();
    wait_for(PATIENCE, &format!("keepalived to have {wanted:?}"), || {
        let found = table(guest);
        let mut there = found.iter().find(|(port, _)| *port == WITNESS).map(|row| row.1.clone()).unwrap_or_default();
        there.sort();
        there == wanted && found.len() == CASES.len() + 1
    });
    // The last services may have followed while that was read.
    table(guest)
}

#[test]
fn keepalived_has_its_sorry_servers_when_we_have_ours() {
    let lab = require!(Lab::new("quorum"));
    let plan = GuestPlan::new().modules(&["ip_vs", "ip_vs_rr"]).program("ipvsadm").program("keepalived");
    let guest = require!(Guest::boot(&lab, "director", &plan));
    guest.shell("modprobe ip_vs && modprobe ip_vs_rr").success();
    guest.add_address("10.9.0.1/16");
    for server in 0..SERVERS {
        guest.write(&format!("/run/rs{server}"), "1\n");
    }
    guest.write("/run/keepalived.conf", &configuration());
    guest
        .shell("keepalived -C -f /run/keepalived.conf -p /run/k.pid -c /run/c.pid -l -D </dev/null >/run/log 2>&1 &")
        .success();
    let mut pools = CASES.map(|(weights, weight, hysteresis)| pool(weights, Quorum { weight, hysteresis }));
    for pool in &mut pools {
        (0..SERVERS as u16).for_each(|server| {
            pool.handle_status(ServerIndex(server), Status::Down, Instant::ZERO);
        });
    }
    let mut is_up = [false; SERVERS];
    settled(&guest, &is_up);
    let mut seen = [0; 2];
    for (step, server) in WALK.into_iter().enumerate() {
        is_up[server] ^= true;
        // It must never be seen half written.
        let down = u8::from(!is_up[server]);
        guest.shell(&format!("echo {down} >/run/new && mv /run/new /run/rs{server}")).success();
        let status = if is_up[server] { Status::Up } else { Status::Down };
        let table = settled(&guest, &is_up);
        for ((case, pool), port) in CASES.iter().zip(&mut pools).zip(WITNESS + 1..) {
            pool.handle_status(ServerIndex(server as u16), status, Instant::ZERO);
            let servers = &table.iter().find(|row| row.0 == port).expect("it is there").1;
            let is_sorry = servers.iter().any(|server| server == SORRY);
            assert_eq!(pool.is_sorry(), is_sorry, "step {step}, {is_up:?}, {case:?}: keepalived has {servers:?}");
            seen[usize::from(is_sorry)] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times > 100), "{seen:?}");
}
