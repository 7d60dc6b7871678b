//! Everything that an operator and bad luck do in a year, in half a minute and under load: no request fails.

use lab::{Host, Lab, Load, LoadShape, Nginx, Perron, SOON, perron_binary, wait_for};

const FRONT: &str = "10.0.0.2:8080";

/// A server that is killed refuses connections at once; one that a busy machine keeps waiting is not to be taken for it,
/// so checks have more time than the tenth of a second between them.
const CONFIG: &str = "[frontend.web]\nbind = \"10.0.0.2:8080\"\nbackend = \"web\"\n[backend.web]\n\
    check = { type = \"http\", path = \"/\", interval = \"100ms\", timeout = \"5s\", rise = 1, fall = 2 }\n\
    [[backend.web.server]]\nname = \"one\"\naddress = \"10.0.0.3:80\"\n\
    [[backend.web.server]]\nname = \"two\"\naddress = \"10.0.0.4:80\"\n";

const RELOADS: usize = 50;
/// Reloads from one upgrade to the next: there are five.
const UPGRADE_EACH: usize = 10;
const DEATHS: usize = 20;

/// A server that dies and comes back.
struct Mortal<'a> {
    name: &'static str,
    host: &'a Host,
    nginx: Option<Nginx>,
}

impl Mortal<'_> {
    fn die(&mut self, perron: &Perron) {
        self.nginx.take().expect("it lives").kill();
        perron.wait_for_status(&format!("web/{}", self.name), "down", SOON);
    }

    fn come_back(&mut self, perron: &Perron) {
        self.nginx = Nginx::start(self.host, self.name).ok();
        perron.wait_for_status(&format!("web/{}", self.name), "up", SOON);
    }
}

#[test]
fn reloads_upgrades_and_dying_servers_fail_no_idempotent_request() {
    let lab = lab::require!(Lab::new("soak"));
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let hosts = [lab.host("one", "10.0.0.3/24"), lab.host("two", "10.0.0.4/24")];
    let mut servers = Vec::new();
    for (name, host) in ["one", "two"].into_iter().zip(&hosts) {
        servers.push(Mortal { name, host, nginx: Some(lab::require!(Nginx::start(host, name))) });
    }
    let perron = Perron::start_ready(&front, CONFIG);
    let binary = perron_binary();
    let kept = Load::start(&client, FRONT, &LoadShape { clients: 8, ..LoadShape::default() });
    let fresh = Load::start(&client, FRONT, &LoadShape { clients: 4, fresh: true, ..LoadShape::default() });

    let mut upgrades = 0;
    for round in 0..RELOADS {
        let server = &mut servers[round % 2];
        if round < DEATHS {
            server.die(&perron);
        }
        perron.reload(&format!("{CONFIG}# {round}\n")).expect("the text is right");
        if round % UPGRADE_EACH == UPGRADE_EACH - 1 {
            perron.ask(&["upgrade", "--binary", binary.to_str().expect("a plain path")]).text();
            upgrades += 1;
        }
        kept.wait_for_more(20);
        fresh.wait_for_more(4);
        if round < DEATHS {
            server.come_back(&perron);
        }
    }
    let generation = perron.status()["generation"].clone();
    let (kept, fresh) = (kept.finish(), fresh.finish());
    println!("{kept:?}\n{fresh:?}");
    assert_eq!(generation, 1 + RELOADS + upgrades);
    assert_eq!((kept.failed(), fresh.failed()), (0, 0), "{kept:?} {fresh:?}");
    for bodies in [&kept.bodies, &fresh.bodies] {
        assert!(
            bodies.keys().all(|body| ["one", "two"].contains(&body.as_str())),
            "an answer of two servers: {bodies:?}"
        );
    }
    wait_for(SOON, "the old processes end", || perron.serve_pids().len() == 1);
}
