//! Clients that stay with their server: through either of two directors, and over the death of each.

use lab::{BadServer, Host, Lab, Perron, SOON, Skip, perron_binary, wait_for};
use rustix::process::Signal;

const SESSIONS: usize = 8;

/// Two directors before two servers that each know the sessions that they began.
struct Pair {
    client: Host,
    hosts: [Host; 2],
    _servers: [BadServer; 2],
    _lab: Lab,
}

/// A session as its client knows it.
struct Session {
    cookie: String,
    server: String,
}

fn pair(name: &str) -> Result<Pair, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let hosts = [lab.host("d1", "10.0.0.2/24"), lab.host("d2", "10.0.0.3/24")];
    let servers = [("one", "10.0.0.11/24"), ("two", "10.0.0.12/24")].map(|(name, address)| {
        let host = lab.host(name, address);
        application(&host, name)
    });
    Ok(Pair { client, hosts, _servers: servers, _lab: lab })
}

/// Says its name, and begins a session with who has none.
fn application(host: &Host, name: &'static str) -> BadServer {
    let sessions = std::sync::atomic::AtomicUsize::new(0);
    BadServer::start(host, 80, move |wire| {
        while let Ok(request) = wire.request() {
            let session = match request.field("cookie") {
                Some(_) => String::new(),
                None => {
                    let number = sessions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    format!("Set-Cookie: id={name}-{number}; Path=/\r\nSet-Cookie: theme=dark\r\n")
                }
            };
            let answer = format!("HTTP/1.1 200 OK\r\n{session}Content-Length: {}\r\n\r\n{name}", name.len());
            if wire.try_send(answer).is_err() {
                return;
            }
        }
    })
}

/// The director of this place; with `peers` it tells the other one.
fn text(place: usize, peers: bool) -> String {
    let (own, other) = ([2, 3][place], [3, 2][place]);
    let peers = match peers {
        true => format!("[peers]\nname = \"d{own}\"\nbind = \"10.0.0.{own}:7000\"\npeers = \"10.0.0.{other}:7000\"\n"),
        false => String::new(),
    };
    format!(
        "[frontend.web]\nbind = \"0.0.0.0:80\"\nbackend = \"app\"\n{peers}\
         [backend.app]\nstick = \"cookie:id\"\nserver = [\
         {{ name = \"one\", address = \"10.0.0.11:80\" }}, {{ name = \"two\", address = \"10.0.0.12:80\" }}]\n"
    )
}

impl Pair {
    fn get(&self, place: usize, cookie: Option<&str>) -> (String, Option<String>) {
        let mut wire = self.client.connect(&self.hosts[place].at(80));
        let cookie = cookie.map_or_else(String::new, |cookie| format!("Cookie: theme=dark; id={cookie}\r\n"));
        wire.send(format!("GET / HTTP/1.1\r\nHost: app\r\n{cookie}\r\n"));
        let answer = wire.answer();
        let set = answer.field("set-cookie").and_then(|set| set.strip_prefix("id=")?.split(';').next());
        (answer.text(), set.map(str::to_owned))
    }

    /// Begins sessions at a director.
    fn sessions(&self, place: usize) -> Vec<Session> {
        let sessions: Vec<Session> = (0..SESSIONS)
            .map(|_| {
                let (server, cookie) = self.get(place, None);
                Session { cookie: cookie.expect("a session begins"), server }
            })
            .collect();
        let of = |name: &str| sessions.iter().filter(|session| session.server == name).count();
        assert_eq!([of("one"), of("two")], [SESSIONS / 2; 2], "the servers take turns");
        sessions
    }

    /// Each session goes on at its server, in an order that the balance would not have.
    #[track_caller]
    fn assert_stay(&self, place: usize, sessions: &[Session]) {
        for session in sessions.iter().chain(sessions.iter().rev()) {
            let (server, _) = self.get(place, Some(&session.cookie));
            assert_eq!(server, session.server, "{} through director {place}", session.cookie);
        }
    }
}

fn remembered(perron: &Perron) -> u64 {
    perron.status()["backends"][0]["stick"]["entries"].as_u64().expect("the backend has a table")
}

#[track_caller]
fn wait_until_remembered(perron: &Perron, sessions: usize) {
    wait_for(SOON, "the director knows all sessions", || remembered(perron) == sessions as u64);
}

#[test]
fn a_session_stays_with_its_server_through_either_director_and_over_the_death_of_one() {
    let pair = lab::require!(pair("stick-pair"));
    let mut first = Perron::start(&pair.hosts[0], &text(0, true));
    let second = Perron::start(&pair.hosts[1], &text(1, true));
    let sessions = pair.sessions(0);
    wait_until_remembered(&second, SESSIONS);
    pair.assert_stay(1, &sessions);
    let more = pair.sessions(1);
    wait_until_remembered(&first, 2 * SESSIONS);
    pair.assert_stay(0, &more);

    let orphans = first.serve_pids();
    first.process().signal(Signal::KILL);
    first.process().wait(SOON);
    wait_for(SOON, "its serving process ends with it", || {
        orphans.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    });
    pair.assert_stay(1, &sessions);
    let first = Perron::start(&pair.hosts[0], &text(0, true));
    // It serves once it knows: nobody waits here.
    assert_eq!(remembered(&first), 2 * SESSIONS as u64);
    pair.assert_stay(0, &sessions);
    pair.assert_stay(0, &more);
    let peers = &first.status()["peers"];
    assert_eq!((&peers["name"], &peers["heard"]), (&"d2".into(), &vec!["d3"].into()), "{peers}");
}

#[test]
fn a_lone_director_keeps_its_table_over_a_reload_an_upgrade_and_the_death_of_its_serving_process() {
    let pair = lab::require!(pair("stick-lone"));
    let perron = Perron::start(&pair.hosts[0], &text(0, false));
    let sessions = pair.sessions(0);
    perron.reload(&format!("{}stick-ttl = \"1h\"\n", text(0, false))).expect("the text is right");
    assert_eq!(remembered(&perron), SESSIONS as u64);
    pair.assert_stay(0, &sessions);
    let before = perron.serve_pids();
    perron.signal_serve(Signal::KILL);
    wait_for(SOON, "another process serves", || {
        let now = perron.serve_pids();
        !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
    });
    pair.assert_stay(0, &sessions);
    let program = perron_binary();
    perron.ask(&["upgrade", "--binary", program.to_str().expect("a plain path")]).text();
    pair.assert_stay(0, &sessions);
    assert_eq!(remembered(&perron), SESSIONS as u64);
}

#[test]
fn a_drained_server_keeps_its_sessions_and_gets_no_others() {
    let pair = lab::require!(pair("stick-drain"));
    let perron = Perron::start(&pair.hosts[0], &text(0, false));
    let sessions = pair.sessions(0);
    perron.ask(&["server", "drain", "app/one"]).success();
    pair.assert_stay(0, &sessions);
    assert_eq!([0; 4].map(|_| pair.get(0, None).0), ["two"; 4]);
    perron.ask(&["server", "maintenance", "app/one"]).success();
    for session in &sessions {
        assert_eq!(pair.get(0, Some(&session.cookie)).0, "two", "{}", session.cookie);
    }
}
