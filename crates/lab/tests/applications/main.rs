//! Applications that the service runs itself: as whom, within which limits, and what becomes of them.

mod cgi;

use std::fs;
use std::path::PathBuf;

use lab::{Host, Lab, Perron, SOON, wait_for};
use rustix::process::Signal;

/// A responder in a folder of its own, and the frontend's text up to its `fastcgi` table's end.
struct Site {
    program: PathBuf,
}

impl Site {
    fn new(host: &Host) -> Site {
        let program = host.new_folder("application").join("responder.py");
        fs::write(&program, include_str!("responder.py")).expect("the folder is ours");
        Site { program }
    }

    /// With these keys more.
    fn text(&self, keys: &str) -> String {
        let program = self.program.display();
        format!(
            "[frontend.web]\nbind = \"10.0.0.1:80\"\n[[frontend.web.route]]\npath = \"/app\"\n\
             fastcgi = {{ name = \"app\", command = [\"/usr/bin/python3\", \"{program}\"], user = \"daemon\", {keys} }}\n"
        )
    }
}

fn ask(host: &Host, word: &str) -> String {
    host.curl(&[&format!("http://10.0.0.1/app/{word}")]).text()
}

/// The processes of an application, as the status has them.
fn pids(perron: &Perron, name: &str) -> Vec<u32> {
    let status = perron.status();
    let all = status["applications"].as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|application| application["name"] == name);
    let pids = found.and_then(|application| application["pids"].as_array().cloned()).unwrap_or_default();
    pids.iter().filter_map(|pid| pid.as_u64()).map(|pid| u32::try_from(pid).expect("a process id")).collect()
}

/// As [`pids`], once there are so many.
#[track_caller]
fn await_pids(perron: &Perron, name: &str, count: usize) -> Vec<u32> {
    wait_for(SOON, &format!("{count} processes of {name}"), || pids(perron, name).len() == count);
    pids(perron, name)
}

fn proc_line(pid: u32, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn an_application_is_another_user_than_the_front_and_holds_nothing() {
    let lab = lab::require!(Lab::new("apps-user"));
    lab::require!(lab::program("python3"));
    let here = lab.host("here", "10.0.0.1/24");
    let site = Site::new(&here);
    let perron =
        Perron::start(&here, &site.text("processes = 3, environment = { COLOUR = \"blue\" }, directory = \"/usr\""));
    let uid = here.run(&["id", "-u", "daemon"]).text().trim().to_owned();
    let gid = here.run(&["id", "-g", "daemon"]).text().trim().to_owned();
    let told = ask(&here, "who");
    let words: Vec<&str> = told.split(' ').collect();
    assert_eq!(words[1..], [&uid, &gid, "blue", "/usr"]);
    let processes = await_pids(&perron, "app", 3);
    assert!(processes.contains(&words[0].parse().expect("a process id")));
    let front = perron.serve_pids()[0];
    assert_ne!(proc_line(front, "Uid")[0], uid, "the front is another");
    for pid in processes {
        assert_eq!(proc_line(pid, "Uid"), [uid.as_str(); 4]);
        assert!(!proc_line(pid, "Groups").contains(&"0".to_owned()));
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(proc_line(pid, set), ["0000000000000000"], "{set}");
        }
        assert_eq!(proc_line(pid, "NoNewPrivs"), ["1"]);
        let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("root sees all").count();
        assert_eq!(open, 3, "nothing of the service's is open in process {pid}");
    }
    let shown = perron.ask(&["status"]).text();
    assert!(shown.contains("app") && shown.contains("3 of 3"), "{shown}");
    // Nobody else is let in: the socket is the front's alone.
    let folder = perron.control().with_extension("apps");
    let sockets: Vec<_> = fs::read_dir(&folder).expect("it is there").flatten().collect();
    assert_eq!(sockets.len(), 1);
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let found = sockets[0].metadata().expect("it is there");
    assert_eq!((found.permissions().mode() & 0o777, found.uid()), (0o600, 65534));
}

#[test]
fn limits_hold_and_what_is_said_is_in_the_log() {
    let lab = lab::require!(Lab::new("apps-limits"));
    lab::require!(lab::program("python3"));
    let here = lab.host("here", "10.0.0.1/24");
    let site = Site::new(&here);
    let limits = "processes = 1, limits = { memory = \"256MiB\", files = 99, cpu-time = \"1s\" }";
    let perron = Perron::start(&here, &site.text(limits));
    assert_eq!(ask(&here, "limits"), format!("{} 99 1", 256 << 20));
    assert_eq!(ask(&here, "memory"), "refused");
    assert_eq!(ask(&here, "complain"), "said");
    wait_for(SOON, "the log has what was said", || perron.written().contains("something is odd [1m"));
    wait_for(SOON, "a long line is cut", || perron.written().contains(&format!("{}…", "x".repeat(2048))));
    assert!(!perron.written().contains(&"x".repeat(2049)));
    assert!(perron.written().contains("application=app"), "{}", perron.written());
    // A second of work, and the kernel ends it. What it may have begun is not asked of another.
    let before = await_pids(&perron, "app", 1);
    let code = here.curl(&["-X", "POST", "-o", "/dev/null", "-w", "%{http_code}", "http://10.0.0.1/app/spin"]).text();
    assert_eq!(code, "502");
    wait_for(SOON, "another takes its place", || pids(&perron, "app") != before && pids(&perron, "app").len() == 1);
    let events = perron.ask(&["events"]).text();
    assert!(events.contains("app-died"), "{events}");
}

#[test]
fn one_that_dies_is_replaced_and_one_that_dies_at_once_ever_later() {
    let lab = lab::require!(Lab::new("apps-death"));
    lab::require!(lab::program("python3"));
    let here = lab.host("here", "10.0.0.1/24");
    let site = Site::new(&here);
    let mut perron = Perron::start(&here, &site.text("processes = 2"));
    let before = await_pids(&perron, "app", 2);
    perron.signal(&before[..1], Signal::KILL);
    wait_for(SOON, "another takes its place", || {
        let now = pids(&perron, "app");
        now.len() == 2 && !now.contains(&before[0]) && now.contains(&before[1])
    });
    assert!(ask(&here, "who").contains(' '));
    let text = "[frontend.web]\nbind = \"10.0.0.1:80\"\n\
                fastcgi = { name = \"bad\", command = [\"/bin/false\"], user = \"daemon\", processes = 1 }\n";
    perron.reload(text).expect("the text is right");
    let waits = |events: &str| ["at once", "100ms", "200ms", "400ms"].iter().all(|wait| events.contains(wait));
    wait_for(SOON, "the waits grow", || waits(&perron.ask(&["events"]).text()));
    // The other ends when the process that served it has.
    wait_for(SOON, "the other one ended", || perron.ask(&["events"]).text().contains("app-ended"));
    perron.stop();
}

#[test]
fn a_reload_keeps_what_is_the_same_and_renews_the_rest_on_the_same_socket() {
    let lab = lab::require!(Lab::new("apps-reload"));
    lab::require!(lab::program("python3"));
    let here = lab.host("here", "10.0.0.1/24");
    let site = Site::new(&here);
    let text = site.text("processes = 2");
    let mut perron = Perron::start(&here, &text);
    let first = await_pids(&perron, "app", 2);
    let folder = perron.control().with_extension("apps");
    let socket = || fs::read_dir(&folder).expect("it is there").flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let before = socket();
    perron.reload(&format!("{text}# again\n")).expect("the text is right");
    assert!(ask(&here, "who").contains(' '));
    assert_eq!(await_pids(&perron, "app", 2), first, "nothing has changed for it");
    perron.reload(&site.text("processes = 3")).expect("the text is right");
    let more = await_pids(&perron, "app", 3);
    assert!(first.iter().all(|pid| more.contains(pid)), "one more, and the same");
    perron.reload(&site.text("processes = 3, environment = { COLOUR = \"red\" }")).expect("the text is right");
    wait_for(SOON, "others have taken their place", || {
        let now = pids(&perron, "app");
        now.len() == 3 && now.iter().all(|pid| !more.contains(pid))
    });
    assert!(ask(&here, "who").contains("red"));
    assert_eq!(socket(), before, "the socket is the same");
    let wrong = site.text("processes = 3").replace("user = \"daemon\", ", "");
    let refused = perron.reload(&wrong).expect_err("root runs nothing for nobody");
    assert!(refused.contains("name whom it is to be run as"), "{refused}");
    let last = pids(&perron, "app");
    perron.stop();
    assert!(last.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()), "none is left");
    assert!(!folder.join("x").exists() && socket().is_empty(), "and no socket");
}

#[test]
fn an_upgrade_keeps_processes_and_socket() {
    let lab = lab::require!(Lab::new("apps-upgrade"));
    lab::require!(lab::program("python3"));
    let here = lab.host("here", "10.0.0.1/24");
    let site = Site::new(&here);
    let perron = Perron::start(&here, &site.text("processes = 2"));
    let before = await_pids(&perron, "app", 2);
    perron.ask(&["upgrade"]).success();
    assert!(ask(&here, "who").contains(' '));
    assert_eq!(await_pids(&perron, "app", 2), before);
    ask(&here, "complain");
    wait_for(SOON, "the log has what was said", || perron.written().contains("something is odd"));
    perron.signal(&before[..1], Signal::KILL);
    wait_for(SOON, "another takes its place", || {
        let now = pids(&perron, "app");
        now.len() == 2 && !now.contains(&before[0])
    });
}

#[test]
fn a_program_that_others_could_change_is_refused_with_its_path() {
    let lab = lab::require!(Lab::new("apps-unfit"));
    let here = lab.host("here", "10.0.0.1/24");
    let perron = Perron::start(&here, "[frontend.web]\nbind = \"10.0.0.1:80\"\nrespond = {}\n");
    let program = here.new_folder("open").join("program");
    fs::write(&program, "#!/bin/sh\n").expect("the folder is ours");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let text = format!(
        "[frontend.web]\nbind = \"10.0.0.1:80\"\nfastcgi = {{ command = [\"{}\"], user = \"daemon\" }}\n",
        program.display()
    );
    let refused = perron.reload(&text).expect_err("anybody could have written it");
    assert!(refused.contains(&program.display().to_string()) && refused.contains("everybody"), "{refused}");
}

#[test]
fn the_capabilities_that_the_unit_for_systemd_leaves_are_enough() {
    let lab = lab::require!(Lab::new("apps-unit"));
    lab::require!(lab::program("python3"));
    lab::require!(lab::program("setpriv"));
    let here = lab.host("here", "10.0.0.1/24");
    let site = Site::new(&here);
    let folder = here.new_folder("home");
    let (config, control) = (folder.join("perron.toml"), folder.join("control.sock"));
    fs::write(&config, site.text("processes = 1")).expect("the folder is ours");
    let unit = fs::read_to_string(lab::examples().with_file_name("packaging").join("perron.service"));
    let unit = unit.expect("it is in the repository");
    let left = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).expect("it says so");
    let left: String = left.split(' ').map(|name| name.to_lowercase().replace("cap_", ",+")).collect();
    let bounding = format!("-all{left}");
    let binary = lab::perron_binary();
    let [binary, config, control] = [&binary, &config, &control].map(|path| path.to_str().expect("plain"));
    let confined = ["setpriv", "--no-new-privs", "--bounding-set", &bounding];
    let _perron = here.spawn(&[&confined[..], &[binary, "run", "-c", config, "--control", control]].concat());
    wait_for(SOON, "the application answers", || {
        here.run(&["curl", "-s", "http://10.0.0.1/app/who"]).stdout.ends_with(b" - /")
    });
}
