use std::fs;

use lab::{Lab, Perron, SOON, wait_for};

use crate::{backend, folder, program, wait_until};

/// Servers whose scripts hang at the same time; each check has one, and few run at once.
const MANY: usize = 300;

fn server(command: &str, more: &str) -> String {
    format!(
        "address = \"10.0.0.11:80\"\n\
         checks = [{{ type = \"script\", command = [\"{command}\", \"{{address}}\"], user = \"nobody\", {more} }}]"
    )
}

/// Processes whose command line holds this, but for those that have ended.
fn processes(marker: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("there is one").flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(marker)).count()
}

#[test]
fn scripts_that_misbehave_do_no_harm() {
    let lab = lab::require!(Lab::new("checks-scripts"));
    let front = lab.host("front", "10.0.0.1/24");
    let here = folder(&front, "scripts");
    let marker = here.display().to_string();
    let passes = program(&here, "passes", "test \"$1\" = 10.0.0.11:80 && test \"$(id -un)\" = nobody");
    let fails = program(&here, "fails", "exit 3");
    let hangs = program(&here, "hangs", &format!("{marker}/forked & {marker}/forked & sleep 1000"));
    program(&here, "forked", "trap '' TERM\nwhile :; do sleep 1000; done");
    let floods = program(&here, "floods", "yes | head -c 20000000; yes | head -c 20000000 >&2");
    let killed = program(&here, "killed", "kill -KILL $$");
    let perron = Perron::start(
        &front,
        &backend(&[
            ("passes", server(&passes, "timeout = \"5s\"")),
            ("fails", server(&fails, "timeout = \"5s\"")),
            ("hangs", server(&hangs, "timeout = \"500ms\", interval = \"1s\"")),
            ("floods", server(&floods, "timeout = \"5s\"")),
            ("killed", server(&killed, "timeout = \"5s\"")),
        ]),
    );
    wait_until(&perron, "passes", "up", "the script passed (0)");
    wait_until(&perron, "fails", "down", "the script failed (3)");
    wait_until(&perron, "hangs", "down", "the script took too long and was ended");
    wait_until(&perron, "floods", "up", "the script passed (0)");
    wait_until(&perron, "killed", "down", "the script failed after");
    program(&here, "passes", "exit 1");
    wait_until(&perron, "passes", "down", "the script failed (1)");
    fs::remove_file(here.join("fails")).expect("it is ours");
    wait_until(&perron, "fails", "down", "the script could not be run");
    assert!(processes(&marker) < 20, "{} are left", processes(&marker));
    assert_eq!(perron.ask(&["stop"]).code, Some(0));
    wait_for(SOON, "nothing is left of the scripts", || processes(&marker) == 0);
}

/// The scripts of all servers hang at once: no more run than may, clients are served, and a reload finds them in order.
#[test]
fn many_servers_that_fail_at_once_are_no_fork_bomb() {
    let lab = lab::require!(Lab::new("checks-many-scripts"));
    let front = lab.host("front", "10.0.0.1/24");
    let here = folder(&front, "scripts");
    let hangs = program(&here, "hangs", "exec sleep 1000");
    let names: Vec<String> = (0..MANY).map(|number| format!("s{number}")).collect();
    let servers: Vec<(&str, String)> =
        names.iter().map(|name| (name.as_str(), server(&hangs, "timeout = \"300ms\", interval = \"500ms\""))).collect();
    let text = backend(&servers) + "[frontend.alive]\nbind = \"0.0.0.0:8081\"\nrespond = { status = 200 }\n";
    let perron = Perron::start(&front, &text);
    let mut most = 0;
    wait_for(SOON, "every script has had its turn", || {
        most = most.max(perron.pids().len());
        assert_eq!(front.curl(&["-o", "/dev/null", "-w", "%{http_code}", "http://10.0.0.1:8081/"]).text(), "200");
        let status = perron.status();
        let servers = status["backends"][0]["servers"].as_array().expect("servers").iter();
        servers.filter(|server| server["status"] == "down").count() == MANY
    });
    // 32 scripts, those that are just being ended, and the processes of the service.
    assert!((16..=80).contains(&most), "{most} at once");
    assert_eq!(perron.ask(&["reload"]).code, Some(0));
    wait_for(SOON, "the checks go on", || {
        perron.server("all/s0")["check"]["text"].as_str().is_some_and(|text| text.contains("took too long"))
    });
}
