use std::fs;

use lab::{Lab, Nginx, Perron, SOON, wait_for};

use crate::kinds::echo;
use crate::{backend, folder, program, wait_until, wait_until_weight};

/// What an agent, a script and a file say of the weight reaches the balance; an administrator knows more.
#[test]
fn weights_come_from_agents_scripts_and_files() {
    let lab = lab::require!(Lab::new("checks-weights"));
    let (front, server) = (lab.host("front", "10.0.0.1/24"), lab.host("server", "10.0.0.11/24"));
    let _nginx = lab::require!(Nginx::start(&server, "nginx"));
    let said = folder(&front, "said");
    let (line, number) = (said.join("line"), said.join("number"));
    fs::write(&line, "up 50%\n").expect("the folder is ours");
    fs::write(&number, "7\n").expect("the folder is ours");
    let script = program(&said, "script", "exit 12");
    let _agent = lab::require!(echo(&server, 9707, &line));
    let server = |check: &str| {
        format!(
            "address = \"10.0.0.11:80\"\nweight = 100\nchecks = [{{ type = \"http\" }}, {{ timeout = \"2s\", {check} }}]"
        )
    };
    let config = backend(&[
        ("agent", server("type = \"agent\", port = 9707")),
        (
            "script",
            server(&format!(
                "type = \"script\", command = [\"{script}\", \"{{ip}}\"], user = \"nobody\", sets-weight = true"
            )),
        ),
        ("file", server(&format!("type = \"file\", file = \"{}\", sets-weight = true", number.display()))),
    ]);
    let perron = Perron::start(&front, &config);
    wait_until_weight(&perron, "agent", 50, "ready");
    wait_until_weight(&perron, "script", 10, "ready");
    wait_until_weight(&perron, "file", 7, "ready");
    wait_for(SOON, "the change is told", || {
        perron.ask(&["events"]).text().contains("all/script has weight 10, had 100")
    });

    // What is said goes on to hold, across a reload as well.
    assert_eq!(perron.ask(&["reload"]).code, Some(0));
    wait_until_weight(&perron, "agent", 50, "ready");
    wait_until_weight(&perron, "script", 10, "ready");

    // An administrator's weight counts until it is the configured one again.
    assert_eq!(perron.ask(&["server", "weight", "all/file", "33"]).code, Some(0));
    wait_until_weight(&perron, "file", 33, "ready");
    fs::write(&number, "8\n").expect("the folder is ours");
    assert_eq!(perron.ask(&["server", "weight", "all/file", "100"]).code, Some(0));
    wait_until_weight(&perron, "file", 8, "ready");
    fs::write(&number, "-1\n").expect("the folder is ours");
    wait_until(&perron, "file", "down", "the file says that it is down");
    fs::remove_file(&number).expect("it is ours");
    wait_until(&perron, "file", "down", "the file is not there");

    // Draining, maintenance and the way back; an administrator's drain is not undone.
    fs::write(&line, "drain\n").expect("the folder is ours");
    wait_until_weight(&perron, "agent", 50, "drain");
    fs::write(&line, "maint 100%\n").expect("the folder is ours");
    wait_until_weight(&perron, "agent", 100, "maintenance");
    fs::write(&line, "ready\n").expect("the folder is ours");
    wait_until_weight(&perron, "agent", 100, "ready");
    wait_until(&perron, "agent", "up", "");
    assert_eq!(perron.ask(&["server", "drain", "all/agent"]).code, Some(0));
    wait_until_weight(&perron, "agent", 100, "drain");
    assert_eq!(perron.ask(&["server", "ready", "all/agent"]).code, Some(0));
    fs::write(&line, "stopped # for the night\n").expect("the folder is ours");
    wait_until(&perron, "agent", "down", "its agent says that it is down");
    // It rests, or says what nobody understands: what it said last holds.
    fs::write(&line, "what?\n").expect("the folder is ours");
    wait_until(&perron, "agent", "down", "its agent is not understood");
    fs::write(&line, "up\n").expect("the folder is ours");
    wait_until(&perron, "agent", "up", "");
}
