//! The HTTP front of a node daemon, `examples/ganeti-node.toml` as it stands but for where its files are: curl and
//! Python with and without certificates of two authorities, a FastCGI application of flup that is another user. Beside it
//! in a copy with more routes: PHP's process manager, and flup that the service runs itself.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lab::{Authority, Host, Lab, Output, Perron, Process, SOON, Skip, wait_for};
use serde_json::Value;

/// The address of `eth1`, and of the master's side of it.
const NODE: &str = "172.20.0.2";
const URL: &str = "https://172.20.0.2:1811";

/// Whom `daemon` starts applications as; the front runs as nobody.
const DAEMON: &str = "33";

/// What the front may take of memory while a big transfer goes through.
const RSS_KIB: u64 = 64 * 1024;

struct Site {
    master: Host,
    node: Host,
    folder: PathBuf,
    ours: Authority,
    theirs: Authority,
    perron: Perron,
    _daemons: Vec<Process>,
    _lab: Lab,
}

impl Site {
    fn new(name: &str) -> Result<Site, Skip> {
        Site::with(name, |_, _| Ok((String::new(), Vec::new())))
    }

    /// With more behind the example, which is told of the node's folder, and what that needs.
    fn with(name: &str, more: impl FnOnce(&Host, &Path) -> Result<(String, Vec<Process>), Skip>) -> Result<Site, Skip> {
        let lab = Lab::new(name)?;
        lab::program("setpriv")?;
        let master = lab.host("controller", "10.0.0.1/24");
        let node = lab.host("node", "10.0.0.2/24");
        master.add_address("172.20.0.1/24");
        for command in [
            "link add eth1 link eth0 type macvlan mode bridge",
            "address add 172.20.0.2/24 dev eth1",
            "link set eth1 up",
        ] {
            node.run(&[&["ip"], &command.split(' ').collect::<Vec<_>>()[..]].concat()).success();
        }
        let folder = node.new_folder("node");
        for (sub, mode) in [("run", 0o777), ("export", 0o777), ("gates", 0o777)] {
            fs::create_dir(folder.join(sub)).expect("the folder is ours");
            fs::set_permissions(folder.join(sub), fs::Permissions::from_mode(mode)).expect("the folder is ours");
        }
        let (ours, theirs) = (Authority::new(&folder, "ca")?, Authority::new(&folder, "others")?);
        ours.server("server", &["node1.example.org", NODE]);
        let socket = folder.join("run/noded.sock");
        let (more, mut daemons) = more(&node, &folder)?;
        daemons.push(daemon(&node, &folder, text(&socket))?);
        daemons.push(daemon(&node, &folder, "127.0.0.1:9001")?);
        wait_for(SOON, "both daemons listen", || {
            socket.exists() && node.run(&["ss", "-tln"]).text().contains("127.0.0.1:9001")
        });
        let example = fs::read_to_string(lab::examples().join("ganeti-node.toml")).expect("it is in the repository");
        let told = example
            .replace("/run/ganeti/", &format!("{}/", folder.join("run").display()))
            .replace("/srv/ganeti/export", text(&folder.join("export")))
            .replace("\"server.pem\"", &format!("{:?}", folder.join("server.pem")))
            .replace("\"ca.pem\"", &format!("{:?}", folder.join("ca.pem")));
        let perron = Perron::start(&node, &format!("{told}\n{more}"));
        Ok(Site { master, node, folder, ours, theirs, perron, _daemons: daemons, _lab: lab })
    }

    /// curl with this certificate.
    fn curl(&self, certificate: &Path, arguments: &[&str]) -> Output {
        let authority = self.ours.certificate();
        self.master.curl(&[&["--cacert", text(&authority), "--cert", text(certificate)], arguments].concat())
    }

    /// The most memory that the front has had.
    fn peak_kib(&self) -> u64 {
        let peak = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has memory");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
        };
        self.perron.serve_pids().iter().map(peak).max().expect("one serves")
    }
}

/// The application, as another user than the front.
fn daemon(node: &Host, folder: &Path, address: &str) -> Result<Process, Skip> {
    let modules = python_modules()?;
    let script = folder.join("daemon.py");
    fs::write(&script, include_str!("daemon.py")).expect("the folder is ours");
    let python = lab::python()?;
    let gates = folder.join("gates");
    let as_daemon = ["setpriv", "--reuid=33", "--regid=33", "--clear-groups"];
    let run = [text(&python), text(&script), address, text(&gates)];
    Ok(node.spawn_with(&[&as_daemon[..], &run].concat(), |command| {
        command.env("PYTHONPATH", modules);
    }))
}

/// Where `scripts/setup test` has put what Debian does not have.
fn python_modules() -> Result<PathBuf, Skip> {
    let test = std::env::current_exe().expect("a running test has a path");
    let modules = test.ancestors().nth(3).expect("tests are in target/PROFILE/deps").join("python");
    match modules.join("flup").is_dir() {
        true => Ok(modules),
        false => Err(Skip::new("flup is missing: scripts/setup test fetches it")),
    }
}

#[test]
fn who_shows_no_certificate_of_ours_gets_nothing() {
    let site = lab::require!(Site::new("ganeti-strangers"));
    let authority = site.ours.certificate();
    let without = site.master.curl(&["--cacert", text(&authority), &format!("{URL}/rpc/env")]);
    assert_ne!(without.code, Some(0), "{without:?}");
    assert!(without.stdout.is_empty());
    let stranger = site.theirs.client("stranger", "/CN=rapi-stranger");
    let refused = site.curl(&stranger, &[&format!("{URL}/rpc/env")]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stdout.is_empty());
    let two_names = site.ours.client("two", "/CN=admin/CN=node1.example.org");
    let refused = site.curl(&two_names, &[&format!("{URL}/rpc/env")]);
    assert!(refused.stdout.is_empty(), "who is that? {refused:?}");
    let clear = site.master.curl(&[&URL.replace("https", "http")]);
    assert!(!String::from_utf8_lossy(&clear.stdout).contains("uid"), "nothing is served in clear text: {clear:?}");
}

#[test]
fn the_daemon_is_another_user_and_knows_its_client() {
    let site = lab::require!(Site::new("ganeti-identity"));
    let client = site.ours.client("master", "/O=Cluster/CN=master.example.org");
    let ask = |version: &str| {
        let forged = ["--fail", "-H", "SSL_CLIENT_S_DN_CN: forged", "-H", "REMOTE-USER: root"];
        let told = ["-w", "%{stderr}%{http_version}", &format!("{URL}/rpc/env?a=b")];
        let answer = site.curl(&client, &[&forged[..], &[version], &told].concat());
        let spoken = answer.stderr.clone();
        (serde_json::from_str::<HashMap<String, Value>>(&answer.text()).expect("the daemon says JSON"), spoken)
    };
    let ((told, older), (in_http2, newer)) = (ask("--http1.1"), ask("--http2"));
    assert_eq!([older, newer], ["1.1", "2"]);
    for (name, value) in [
        ("REMOTE_USER", "master.example.org"),
        ("SSL_CLIENT_VERIFY", "SUCCESS"),
        ("SSL_CLIENT_S_DN_CN", "master.example.org"),
        ("SSL_CLIENT_S_DN_O", "Cluster"),
        ("REMOTE_ADDR", "172.20.0.1"),
        ("SERVER_PORT", "1811"),
        ("REQUEST_METHOD", "GET"),
        ("QUERY_STRING", "a=b"),
        ("HTTPS", "on"),
    ] {
        assert_eq!(told.get(name).and_then(Value::as_str), Some(value), "{name} in {told:#?}");
        assert_eq!(told.get(name), in_http2.get(name), "{name} over HTTP/2");
    }
    let of_client = |told: &HashMap<String, Value>| {
        let names = told.iter().filter(|(name, _)| name.starts_with("SSL_CLIENT_"));
        names.map(|(name, value)| (name.clone(), value.clone())).collect::<HashMap<_, _>>()
    };
    assert_eq!(of_client(&told), of_client(&in_http2));
    let pem = fs::read_to_string(site.folder.join("master.crt")).expect("it was made");
    assert_eq!(told["SSL_CLIENT_CERT"].as_str().map(str::trim), Some(pem.trim()));
    assert_eq!(told["uid"].to_string(), DAEMON);
    for pid in site.perron.serve_pids() {
        assert_eq!(users(pid.into()), ["65534"; 4], "the front is nobody");
    }
}

#[test]
fn php_and_a_flup_that_is_run_here_are_other_users_too() {
    let site = lab::require!(Site::with("ganeti-applications", |node, folder| {
        let (modules, python) = (python_modules()?, lab::python()?);
        let socket = folder.join("run/php.sock");
        let (process, root) = lab::php_fpm(node, &socket)?;
        fs::create_dir(root.join("php")).expect("the folder is ours");
        let script = "<?php echo json_encode(['pid' => getmypid()] + $_SERVER);";
        fs::write(root.join("php/env.php"), script).expect("the folder is ours");
        let routes = format!(
            "[[frontend.node.route]]\npath = \"/php/\"\n\
             fastcgi = {{ address = \"unix:{}\", root = \"{}\", split = \".php\" }}\n\
             [[frontend.node.route]]\npath = \"/own/\"\n\
             fastcgi = {{ command = [{:?}, {:?}, {:?}], user = \"www-data\", environment = {{ PYTHONPATH = {:?} }} }}\n",
            socket.display(),
            root.display(),
            python,
            folder.join("daemon.py"),
            folder.join("gates"),
            modules
        );
        Ok((routes, vec![process]))
    }));
    let client = site.ours.client("master", "/CN=master.example.org");
    let fronts = site.perron.serve_pids();
    let ask = |path: &str| -> HashMap<String, Value> {
        let answer = site.curl(&client, &["--fail", &format!("{URL}{path}")]).text();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path} says no JSON: {error}: {answer}"))
    };
    for path in ["/rpc/env", "/php/env.php", "/own/env"] {
        let told = ask(path);
        assert_eq!(told["REMOTE_USER"], "master.example.org", "{path}");
        assert_eq!(told["SSL_CLIENT_S_DN_CN"], "master.example.org", "{path}");
        let pid = told["pid"].as_u64().expect("a process id");
        assert_eq!(users(pid), [DAEMON; 4], "{path} is answered by another user");
        assert!(fronts.iter().all(|front| u64::from(*front) != pid && users((*front).into()) == ["65534"; 4]));
    }
    let shown = site.perron.status();
    let own = ask("/own/env")["pid"].clone();
    assert!(shown["applications"][0]["pids"].as_array().is_some_and(|pids| pids.contains(&own)), "{shown}");
}

#[test]
fn python_talks_to_it_and_hears_each_message_before_the_next_is_made() {
    let site = lab::require!(Site::new("ganeti-python"));
    lab::require!(lab::python_module("requests"));
    let python = lab::require!(lab::python());
    let client = site.ours.client("rapi", "/CN=rapi-client");
    let script = site.folder.join("client.py");
    fs::write(&script, include_str!("client.py")).expect("the folder is ours");
    let (authority, gates) = (site.ours.certificate(), site.folder.join("gates"));
    let arguments = [NODE, "1811", "node1.example.org", text(&authority), text(&client), text(&gates)];
    let output = site.master.run(&[&[text(&python), text(&script)], &arguments[..]].concat());
    let said: Vec<Value> = output.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let find = |key: &str| said.iter().find_map(|line| line.get(key)).unwrap_or(&Value::Null).clone();
    assert_eq!(find("env")["REMOTE_USER"], "rapi-client");
    assert_eq!(find("chunked"), "700000");
    assert_eq!(find("sized"), "300000");
    assert_eq!(find("rapi"), 200);
    let progress = find("progress");
    assert_eq!(progress.as_array().map(Vec::len), Some(4), "{progress}");
    assert_eq!(progress[3]["result"], "disk copied");
}

#[test]
fn routes_are_for_the_users_that_they_name() {
    let site = lab::require!(Site::new("ganeti-users"));
    let node = site.ours.client("node7", "/CN=node7.example.org");
    let admin = site.ours.client("admin", "/CN=admin");
    let status = |certificate: &Path, path: &str| {
        site.curl(certificate, &["-o", "/dev/null", "-w", "%{http_code}", &format!("{URL}{path}")]).text()
    };
    assert_eq!(status(&admin, "/2/env"), "200");
    assert_eq!(status(&node, "/2/env"), "403");
    fs::write(site.folder.join("export/disk"), "content").expect("the folder is ours");
    assert_eq!(status(&node, "/export/disk"), "200");
    assert_eq!(status(&admin, "/export/disk"), "403");
    assert_eq!(status(&admin, "/elsewhere"), "404");
}

#[test]
fn disks_come_and_go_in_constant_memory() {
    let site = lab::require!(Site::new("ganeti-transfers"));
    let node = site.ours.client("node1", "/CN=node1.example.org");
    let disk = fs::File::create(site.folder.join("export/disk")).expect("the folder is ours");
    disk.set_len(512 << 20).expect("it takes no room");
    let size = site.curl(&node, &["-o", "/dev/null", "-w", "%{size_download}", &format!("{URL}/export/disk")]);
    assert_eq!(size.text(), (512 << 20).to_string());
    let from = site.folder.join("export/disk");
    let put = ["-T", text(&from), "-o", "/dev/null", "-w", "%{http_code}", &format!("{URL}/export/copy")];
    let authority = site.ours.certificate();
    let put = [&["--max-time", "60", "--cacert", text(&authority), "--cert", text(&node)], &put[..]].concat();
    assert_eq!(site.master.curl(&put).text(), "201");
    assert_eq!(fs::metadata(site.folder.join("export/copy")).expect("it is there").len(), 512 << 20);
    let peak = site.peak_kib();
    assert!(peak < RSS_KIB, "the front took {peak} KiB");
}

#[test]
fn nothing_listens_where_nothing_is_named() {
    let site = lab::require!(Site::new("ganeti-sockets"));
    let listed = site.node.run(&["ss", "-H", "-tulnp"]).text();
    let pids = site.perron.pids();
    let is_ours = |line: &&str| pids.iter().any(|pid| line.contains(&format!("pid={pid},")));
    let ours: Vec<&str> = listed.lines().filter(is_ours).collect();
    assert!(!ours.is_empty(), "{listed}");
    for line in ours {
        let local = line.split_whitespace().nth(4).expect("ss shows the local address");
        // The dashboard is for this machine alone, whatever the text says.
        let is_of_eth1 = local == format!("{NODE}:1811") || local.ends_with("%eth1:1811");
        assert!(is_of_eth1 || local == "127.0.0.1:7070", "{line}");
    }
    assert!(site.master.try_connect("10.0.0.2:1811").is_err(), "eth0 is not named");
}

/// As whom a process runs: its real, effective, saved and file-system user.
#[track_caller]
fn users(pid: u64) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("it has a user");
    line.split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn text(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}
