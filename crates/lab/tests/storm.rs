//! A boot storm in small: clients that follow redirects and clients that do not, in two zones, from islands and a worker.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::{Host, Lab, Perron, SOON, Skip, wait_for};
use serde_json::Value;

const URL: &str = "http://10.0.0.1";

/// Clients at once in the storm: one of each kind in each zone.
const CLIENTS: usize = 8;

/// What each of them fetches.
const FILES: usize = 6;

/// Of each file.
const BYTES: usize = 600_000;

/// A file that no client takes whole.
const HUGE: u64 = 1 << 30;

/// How long a client may take for one file, killed origins and other tests included.
const PATIENCE: Duration = Duration::from_secs(30);

const APT: &str = "Debian APT-HTTP/1.3 (2.7.14)";
const IPXE: &str = "iPXE/1.21.1";

/// Zones `a` and `b` with a client host and an island each; a worker in `b`.
struct Site {
    clients: [Host; 2],
    director: Perron,
    origins: Vec<(Host, Perron)>,
    tree: PathBuf,
    _lab: Lab,
}

fn site(name: &str) -> Result<Site, Skip> {
    for program in ["tc", "wget", "curl"] {
        lab::program(program)?;
    }
    let lab = Lab::new(name)?;
    let front = lab.host("front", "10.0.0.1/8");
    let clients = [lab.host("near-a", "10.1.1.1/8"), lab.host("near-b", "10.2.1.1/8")];
    let tree = clients[0].new_folder("tree");
    for file in 0..FILES {
        fs::write(tree.join(format!("file-{file}")), content(file)).expect("the folder is ours");
    }
    fs::write(tree.join("small"), "small\n").expect("the folder is ours");
    fs::File::create(tree.join("huge")).expect("the folder is ours").set_len(HUGE).expect("a hole takes no room");
    let origins = [("a", "10.1.0.1", "40mbit"), ("b", "10.2.0.1", "40mbit"), ("w", "10.2.0.2", "10mbit")];
    let origins = origins.map(|(name, address, rate)| {
        let host = lab.host(&format!("origin-{name}"), &format!("{address}/8"));
        host.limit_sending(rate);
        let perron = Perron::start(&host, &origin(name, &tree));
        (host, perron)
    });
    let director = Perron::start_ready(&front, &director());
    let redirectable = |server: &str| director.server(server)["redirect"]["why_not"].is_null();
    wait_for(SOON, "clients may be redirected", || ["o/a", "o/b", "o/w"].into_iter().all(redirectable));
    Ok(Site { clients, director, origins: origins.into(), tree, _lab: lab })
}

fn origin(name: &str, tree: &Path) -> String {
    let tree = tree.display();
    format!(
        "[process]\naccess-log = \"off\"\n[frontend.files]\nbind = \"0.0.0.0:80\"\nresponse-headers = {{ set = {{ X-Origin = \"{name}\" }} }}\n\
         [[frontend.files.route]]\npath = \"/health\"\nhealth = \"{tree}\"\n\
         [[frontend.files.route]]\nfiles = {{ root = \"{tree}\" }}\n"
    )
}

fn director() -> String {
    let server = |name: &str, address: &str, class: &str, zone: &str| {
        format!(
            "[[backend.o.server]]\nname = \"{name}\"\naddress = \"{address}:80\"\nclass = \"{class}\"\nzone = \"{zone}\"\n\
             redirect-to = \"http://{address}\"\n"
        )
    };
    [
        "[zone.a]\nnetworks = [\"10.1.0.0/16\"]\n[zone.b]\nnetworks = [\"10.2.0.0/16\"]\n\
         [frontend.cluster]\nbind = \"0.0.0.0:80\"\nbackend = \"o\"\n[backend.o]\nbalance = \"bandwidth\"\ndeliver = \"auto\"\n\
         proxy-clients = [\"iPXE/\", \"curl/\"]\n\
         check = { type = \"http\", path = \"/health\", interval = \"100ms\", timeout = \"2s\", rise = 2, fall = 2 }\n\
         [backend.o.class.island]\nbandwidth = \"40Mbit\"\n\
         [backend.o.class.worker]\nbandwidth = \"10Mbit\"\nmax-share = \"25%\"\n",
        &server("a", "10.1.0.1", "island", "a"),
        &server("b", "10.2.0.1", "island", "b"),
        &server("w", "10.2.0.2", "worker", "b"),
    ]
    .concat()
}

/// Bytes that tell where in which file they stand.
fn content(file: usize) -> Vec<u8> {
    (0..BYTES / 4).flat_map(|at| ((at * FILES + file) as u32).to_le_bytes()).collect()
}

/// The name of the origin that answers a client of this kind through the cluster's URL, and how many redirects led there.
fn who_answers(client: &Host, agent: &str, follows: bool) -> (String, u64) {
    let follow: &[&str] = if follows { &["-L"] } else { &[] };
    let format = "\n%{num_redirects}";
    let url = format!("{URL}/small");
    let said =
        client.curl(&[follow, &["-f", "-A", agent, "-o", "/dev/null", "-D", "-", "-w", format, &url]].concat()).text();
    let origin = said.lines().filter_map(|line| line.strip_prefix("X-Origin: ")).next_back().unwrap_or_default();
    let redirects = said.lines().next_back().and_then(|line| line.parse().ok()).expect("curl counts them");
    (origin.to_owned(), redirects)
}

#[test]
fn clients_are_served_from_their_zone_until_it_is_busy() {
    let site = lab::require!(site("storm-zones"));
    let backlog = |server: &str| number(&site.director.server(server)["link"]["backlog_us"]);
    for (client, zone) in site.clients.iter().zip(["a", "b"]) {
        for (agent, follows) in [("Wget/1.21.3", true), (APT, true), ("curl/8.14.1", false), (IPXE, false)] {
            // How much was asked for is not known at first.
            wait_for(SOON, "nothing is promised", || backlog(&format!("o/{zone}")) == 0);
            let (origin, redirects) = who_answers(client, agent, follows);
            assert_eq!((origin.as_str(), redirects), (zone, u64::from(follows)), "{agent}");
        }
    }

    // Somebody whom the director knows nothing of takes all that the island's link gives, and wants more.
    let glutton = site.clients[0].spawn(&["curl", "-s", "-o", "/dev/null", "http://10.1.0.1/huge"]);
    wait_for(SOON, "the island's link is busy for a second and more", || backlog("o/a") > 1_000_000);
    for (agent, follows) in [(APT, true), (IPXE, false)] {
        let (origin, redirects) = who_answers(&site.clients[0], agent, follows);
        assert!(origin == "b" || origin == "w", "{agent} is served by {origin:?}");
        assert_eq!(redirects, u64::from(follows), "{agent}");
    }
    drop(glutton);
    wait_for(SOON, "the island's link is free", || backlog("o/a") == 0);
    assert_eq!(who_answers(&site.clients[0], APT, true), ("a".to_owned(), 1));
}

#[test]
fn islands_die_and_the_worker_is_spared_and_every_client_ends_with_whole_files() {
    let mut site = lab::require!(site("storm-death"));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let host = site.clients[client % 2].clone();
            host.clone().thread(move || fetch_all(&host, client / 2))
        })
        .collect();
    let director = &site.director;
    let report = |server: &str, figure: &str| number(&director.server(server)["link"]["report"][figure]);
    wait_for(SOON, "the islands have sent a file's worth", || {
        ["o/a", "o/b"].into_iter().all(|island| report(island, "sent") > BYTES as u64)
    });
    let (b, _) = site.origins.remove(1);
    drop(site.origins.remove(0));
    for island in ["o/a", "o/b"] {
        director.wait_for_status(island, "down", SOON);
    }

    // Who was with the islands is counted there until they are known to be down: what was let in by that has to end.
    let wait_for_files = |files: u64, sees: &dyn Fn()| {
        let before = report("o/w", "sent");
        wait_for(SOON, "the worker has sent more files' worth", || {
            sees();
            report("o/w", "sent") > before + files * BYTES as u64
        });
    };
    wait_for_files(4, &|| ());
    wait_for(SOON, "the worker is spared", || report("o/w", "requests") <= CLIENTS as u64 / 4);
    wait_for_files(3, &|| {
        let status = director.status();
        let backend = &status["backends"][0];
        // A quarter of the clients; the others wait.
        assert!(number(&backend["servers"][2]["link"]["report"]["requests"]) <= CLIENTS as u64 / 4, "{backend}");
        assert!(number(&backend["queue"]["now"]) > 0, "{backend}");
    });

    let _b = Perron::start(&b, &origin("b", &site.tree));
    for (client, thread) in clients.into_iter().enumerate() {
        for (file, path) in thread.join().expect("every file came").iter().enumerate() {
            assert!(fs::read(path).expect("it was fetched") == content(file), "client {client}, file {file}");
        }
    }
    let redirects = number(&director.status()["backends"][0]["redirects"]);
    // Half of the clients follow, and begin each file once at least.
    assert!(redirects >= (CLIENTS / 2 * FILES) as u64, "{redirects}");
}

/// Fetches every file one after the other with a program of this kind, which goes on where it was when it was cut off.
fn fetch_all(host: &Host, kind: usize) -> Vec<PathBuf> {
    let folder = host.new_folder("fetched");
    let fetch = |file: usize| {
        let path = folder.join(format!("file-{file}"));
        let (url, out) = (format!("{URL}/file-{file}"), path.to_str().expect("plain").to_owned());
        let parent = folder.to_str().expect("plain");
        let command: &[&str] = match kind {
            0 => &["wget", "-q", "-c", "--tries=1", "--timeout=20", "-P", parent, &url],
            1 => &["curl", "-sSf", "-m", "20", "-L", "-A", APT, "-C", "-", "-o", &out, &url],
            2 => &["curl", "-sSf", "-m", "20", "-C", "-", "-o", &out, &url],
            _ => &["curl", "-sSf", "-m", "20", "-A", IPXE, "-o", &out, &url],
        };
        wait_for(PATIENCE, &format!("{url} comes to {}", command[0]), || host.run(command).code == Some(0));
        path
    };
    (0..FILES).map(fetch).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
