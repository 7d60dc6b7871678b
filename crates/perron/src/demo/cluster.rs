//! The processes of the demo: configurations, starts, restarts, the end.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::load::ask;

/// What hello.txt holds.
pub(super) const HELLO: &str = "hello from inside\n";

/// A process listens within this time, or the demo cannot begin.
const START_PATIENCE: Duration = Duration::from_secs(15);

/// A process that died stays away for this long, so that its loss can be seen.
const AWAY: Duration = Duration::from_secs(8);

/// Processes that have not finished by then are ended by force.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

const ORIGINS: [&str; 3] = ["alpha", "beta", "gamma"];
const DIRECTORS: [&str; 2] = ["north", "south"];

/// Two directors and three origins.
pub(super) struct Cluster {
    folder: TempDir,
    origins: Vec<Member>,
    directors: Vec<Member>,
}

/// One `perron run`.
struct Member {
    name: &'static str,
    /// Where clients reach it.
    address: SocketAddr,
    /// Its dashboard.
    admin: Option<SocketAddr>,
    child: Option<Child>,
    back_at: Option<Instant>,
}

impl Cluster {
    /// Writes everything into a folder for temporary files, starts it, and waits until all of it listens.
    pub(super) async fn start() -> anyhow::Result<Cluster> {
        let folder = tempfile::Builder::new().prefix("perron-demo-").tempdir()?;
        // As root, the serving processes are somebody else.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        write_site(&folder.path().join("site"))?;
        let ports = free_addresses(ORIGINS.len() + 2 * DIRECTORS.len())?;
        let (for_origins, for_directors) = ports.split_at(ORIGINS.len());
        let origins: Vec<Member> =
            ORIGINS.iter().zip(for_origins).map(|(name, address)| Member::new(name, *address, None)).collect();
        let directors: Vec<Member> = DIRECTORS
            .iter()
            .zip(for_directors.chunks(2))
            .map(|(name, pair)| Member::new(name, pair[0], Some(pair[1])))
            .collect();
        for member in &origins {
            fs::write(member.file(folder.path(), "toml"), origin_config(member))?;
        }
        for member in &directors {
            fs::write(member.file(folder.path(), "toml"), director_config(member, &origins))?;
        }
        let mut cluster = Cluster { folder, origins, directors };
        for member in cluster.origins.iter_mut().chain(&mut cluster.directors) {
            member.start(cluster.folder.path())?;
        }
        if let Err(error) = cluster.wait_until_ready().await {
            cluster.stop().await;
            return Err(error);
        }
        Ok(cluster)
    }

    /// Where clients reach the directors.
    pub(super) fn director_addresses(&self) -> Vec<SocketAddr> {
        self.directors.iter().map(|member| member.address).collect()
    }

    /// What there is, and what to try with it.
    pub(super) fn introduction(&self) -> String {
        let mut text = String::from("A cluster runs on this machine: two directors before three origins.\n\n");
        for member in &self.directors {
            let admin = member.admin.map_or_else(String::new, |admin| format!("   dashboard http://{admin}/"));
            let pid = member.pid();
            writeln!(text, "  director {:6} pid {pid:<7} http://{}/{admin}", member.name, member.address)
                .expect("a string takes everything");
        }
        for member in &self.origins {
            writeln!(text, "  origin   {:6} pid {:<7} http://{}/", member.name, member.pid(), member.address)
                .expect("a string takes everything");
        }
        let folder = self.folder.path().display();
        let (north, alpha, beta) = (&self.directors[0], &self.origins[0], &self.origins[1]);
        let control = north.file(self.folder.path(), "sock");
        let control = control.display();
        let called = std::env::args_os().next().unwrap_or_else(|| "perron".into());
        let perron = Path::new(&called).display();
        write!(
            text,
            "\nLook at http://{}/ in a browser, then try in another terminal:\n\
             \x20 wget -O /dev/null http://{}/large.bin    sent on to an origin: the bytes do not pass the director\n\
             \x20 curl -o /dev/null http://{}/large.bin    relayed: a plain curl does not follow redirects\n\
             \x20 kill -9 {:<24}  origin {} dies; its turns go to the others; it is back after {} s\n\
             \x20 kill -9 {:<24}  director {} dies; clients use the other; it is back after {} s\n\
             \x20 pkill -9 -P {:<20}  only its serving process dies: a new one is there at once\n\
             \x20 pkill -STOP -P {:<17}  its serving process hangs: it is found out and replaced after 5 s\n\
             \x20 {perron} server drain origins/{} --control {control}\n\
             \x20 {perron} top --control {control}\n\
             \x20 {perron} events --follow --control {control}\n\
             \x20 {perron} reload --control {control}    after a change to north.toml\n\
             Configurations and logs are in {folder}. Ctrl-C ends all of it.\n\n",
            north.address,
            north.address,
            north.address,
            beta.pid(),
            beta.name,
            AWAY.as_secs(),
            north.pid(),
            north.name,
            AWAY.as_secs(),
            north.pid(),
            north.pid(),
            alpha.name,
        )
        .expect("a string takes everything");
        text
    }

    /// Notes who died and brings back who was away long enough; what happened, as lines.
    pub(super) fn look_after(&mut self) -> Vec<String> {
        let folder = self.folder.path();
        let members = self.origins.iter_mut().chain(&mut self.directors);
        members.filter_map(|member| member.look_after(folder)).collect()
    }

    /// Has every process finish what it does, and waits for them.
    pub(super) async fn stop(&mut self) {
        let members = || self.directors.iter().chain(&self.origins);
        for pid in members().filter_map(|member| Pid::from_raw(i32::try_from(member.pid()).ok()?)) {
            // One that is gone has nothing to finish.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        for child in self.directors.iter_mut().chain(&mut self.origins).filter_map(|member| member.child.as_mut()) {
            if timeout(deadline.saturating_duration_since(Instant::now()), child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        let folder = self.folder.path();
        for member in self.origins.iter_mut().chain(&mut self.directors) {
            // A director answers for its origins once it has checked them.
            while ask(member.address).is_none() {
                let died = member.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
                if died.is_some() || Instant::now() > deadline {
                    let said = fs::read_to_string(member.file(folder, "log")).unwrap_or_default();
                    bail!("{} does not begin to serve:\n{said}", member.name);
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}

impl Member {
    fn new(name: &'static str, address: SocketAddr, admin: Option<SocketAddr>) -> Member {
        Member { name, address, admin, child: None, back_at: None }
    }

    fn file(&self, folder: &Path, kind: &str) -> std::path::PathBuf {
        folder.join(format!("{}.{kind}", self.name))
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).unwrap_or(0)
    }

    fn start(&mut self, folder: &Path) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.file(folder, "log"))?;
        let child = Command::new("/proc/self/exe")
            .arg0("perron")
            .args(["run", "--end-with-parent", "--config"])
            .arg(self.file(folder, "toml"))
            .arg("--control")
            .arg(self.file(folder, "sock"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for the demo, which ends them one by one.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.name))?;
        self.child = Some(child);
        Ok(())
    }

    fn look_after(&mut self, folder: &Path) -> Option<String> {
        if let Some(died) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
            self.child = None;
            self.back_at = Some(Instant::now() + AWAY);
            return Some(format!("{} died ({}); it is back after {} s", self.name, how(died), AWAY.as_secs()));
        }
        if self.back_at.is_none_or(|at| at > Instant::now()) {
            return None;
        }
        self.back_at = None;
        match self.start(folder) {
            Ok(()) => Some(format!("{} is back, pid {}", self.name, self.pid())),
            Err(error) => {
                self.back_at = Some(Instant::now() + AWAY);
                Some(format!("{} is not back: {error:#}", self.name))
            }
        }
    }
}

fn how(status: ExitStatus) -> String {
    status.to_string()
}

/// Addresses that nobody listens on just now, all different.
fn free_addresses(count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    Ok(held.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?)
}

fn write_site(site: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(site.join("folder"))?;
    fs::write(site.join("index.html"), include_str!("page.html"))?;
    fs::write(site.join("hello.txt"), HELLO)?;
    fs::write(site.join("folder/a file.txt"), "A folder without an index is listed.\n")?;
    // It takes no room: the file has no blocks.
    File::create(site.join("large.bin"))?.set_len(64 << 20)?;
    Ok(())
}

fn origin_config(origin: &Member) -> String {
    let (name, address) = (origin.name, origin.address);
    format!(
        r#"# An origin of `perron demo`: serves files, and says how much it has to send.

[frontend.origin]
bind = "{address}"
response-headers = {{ set = {{ X-Origin = "{name}" }} }}

[[frontend.origin.route]]
path = "/health"
health = "site"

[[frontend.origin.route]]
path = "/"
files = {{ root = "site", listing = true }}

[admin]
bind = "off"

[process]
workers = 1
access-log = "off"
"#
    )
}

fn director_config(director: &Member, origins: &[Member]) -> String {
    let admin = director.admin.expect("a director has a dashboard");
    let mut text = format!(
        r#"# A director of `perron demo`: one URL over three origins.

[frontend.www]
bind = "{}"
backend = "origins"

[backend.origins]
balance = "bandwidth"      # whose link will have sent what it has to first
deliver = "auto"           # who follows redirects is sent to an origin; the others' answers are relayed
check = {{ type = "http", path = "/health", interval = "500ms", rise = 2, fall = 2 }}
"#,
        director.address
    );
    for origin in origins {
        let (name, address) = (origin.name, origin.address);
        text += &format!(
            "\n[[backend.origins.server]]\nname = \"{name}\"\naddress = \"{address}\"\n\
             redirect-to = \"http://{address}\"\nbandwidth = \"1Gbit\"\n"
        );
    }
    text + &format!(
        "\n[admin]\nbind = \"{admin}\"\n\n[process]\nworkers = 1\naccess-log = \"./{}-access.log\"\n",
        director.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configurations_are_right() {
        let addresses = free_addresses(4).unwrap();
        let origins = [Member::new("alpha", addresses[0], None), Member::new("beta", addresses[1], None)];
        let director = Member::new("north", addresses[2], Some(addresses[3]));
        for text in [origin_config(&origins[0]), director_config(&director, &origins)] {
            let sources = config::Sources::from_texts(vec![("demo.toml".to_owned(), text)], "/tmp".into());
            let loaded = config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}"));
            assert_eq!(loaded.warnings.to_string(), "");
        }
    }
}
