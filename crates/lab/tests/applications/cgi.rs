//! Programs that are run for each request.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lab::{Host, Lab, Perron, SOON, wait_for};

fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).expect("the folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// Programs in sh and Python, and the route to them.
fn site(host: &Host, keys: &str) -> (PathBuf, Perron) {
    let root = host.new_folder("cgi-bin");
    script(&root, "env.sh", "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nenv | sort\nid -u\npwd\n");
    script(
        &root,
        "count.py",
        "#!/usr/bin/python3\nimport sys\nbody = sys.stdin.buffer.read()\n\
         print('Status: 201 Created\\nContent-Type: text/plain\\n')\nprint(len(body), sum(body) % 251)\n",
    );
    script(&root, "nph.sh", "#!/bin/sh\nprintf 'HTTP/1.1 418 Teapot\\r\\nContent-Length: 3\\r\\n\\r\\nhot'\n");
    script(
        &root,
        "complain.sh",
        "#!/bin/sh\necho 'a program complains' >&2\nprintf 'Content-Type: text/plain\\n\\nx'\n",
    );
    script(&root, "silent.sh", "#!/bin/sh\nexit 3\n");
    script(
        &root,
        "forever.sh",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\nsleep 1000 &\nsleep 1000\n",
    );
    script(&root, "never.sh", "#!/bin/sh\nsleep 1000\n");
    fs::write(root.join("text"), "no program\n").expect("the folder is ours");
    let text = format!(
        "[frontend.web]\nbind = \"10.0.0.1:80\"\n[[frontend.web.route]]\npath = \"/cgi\"\n\
         cgi = {{ root = \"{}\", user = \"daemon\", name = \"old\", environment = {{ SITE = \"here\" }}, {keys} }}\n",
        root.display()
    );
    (root, Perron::start(host, &text))
}

fn code(host: &Host, path: &str) -> String {
    host.curl(&["-o", "/dev/null", "-w", "%{http_code}", &format!("http://10.0.0.1/cgi/{path}")]).text()
}

/// Whether a process runs that has this argument.
fn runs(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("it is there").flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line.split(|byte| *byte == 0).any(|word| word.ends_with(argument.as_bytes())))
}

#[test]
fn programs_are_told_what_rfc_3875_says_and_answer() {
    let lab = lab::require!(Lab::new("cgi"));
    lab::require!(lab::program("python3"));
    let here = lab.host("here", "10.0.0.1/24");
    let (root, perron) = site(&here, "");
    let told =
        here.curl(&["-H", "X-Thing: 7", "-H", "Proxy: evil", "http://10.0.0.1/cgi/env.sh/more/x?a=b%20c"]).text();
    let uid = here.run(&["id", "-u", "daemon"]).text();
    let file = root.join("env.sh").display().to_string();
    let expected = [
        "GATEWAY_INTERFACE=CGI/1.1".to_owned(),
        "HTTP_X_THING=7".to_owned(),
        "PATH_INFO=/more/x".to_owned(),
        "QUERY_STRING=a=b%20c".to_owned(),
        "REMOTE_ADDR=10.0.0.1".to_owned(),
        "REQUEST_METHOD=GET".to_owned(),
        format!("SCRIPT_FILENAME={file}"),
        "SCRIPT_NAME=/cgi/env.sh".to_owned(),
        "SERVER_PORT=80".to_owned(),
        "SERVER_PROTOCOL=HTTP/1.1".to_owned(),
        "SITE=here".to_owned(),
        uid.trim().to_owned(),
        root.display().to_string(),
    ];
    for line in expected {
        assert!(told.lines().any(|its| its == line), "{line} is not in\n{told}");
    }
    assert!(!told.contains("HTTP_PROXY") && !told.contains("CONTENT_LENGTH="), "{told}");
    let body = here.new_folder("body").join("body");
    fs::write(&body, vec![1; 3_000_000]).expect("the folder is ours");
    let data = format!("@{}", body.display());
    let sent = here.curl(&["-i", "--data-binary", &data, "http://10.0.0.1/cgi/count.py"]).text();
    assert!(sent.contains("HTTP/1.1 201 ") && sent.contains(&format!("3000000 {}", 3_000_000 % 251)), "{sent}");
    let chunked =
        here.curl(&["-H", "Transfer-Encoding: chunked", "--data-binary", &data, "http://10.0.0.1/cgi/count.py"]).text();
    assert!(chunked.contains("3000000"), "{chunked}");
    assert_eq!(code(&here, "nph.sh"), "418");
    for (path, expected) in
        [("text", "403"), ("none", "404"), ("", "404"), ("silent.sh", "502"), ("complain.sh", "200")]
    {
        assert_eq!(code(&here, path), expected, "{path}");
    }
    wait_for(SOON, "the log has the complaint", || perron.written().contains("a program complains"));
}

#[test]
fn a_program_ends_with_its_client_and_with_its_time() {
    let lab = lab::require!(Lab::new("cgi-end"));
    let here = lab.host("here", "10.0.0.1/24");
    let (root, perron) = site(&here, "timeout = \"2s\", max-processes = 2");
    let marker = root.join("forever.sh").display().to_string();
    let mut client = here.connect("10.0.0.1:80");
    client.send("GET /cgi/forever.sh HTTP/1.1\r\nHost: h\r\n\r\n");
    client.read_until("begun\n");
    assert!(runs(&marker), "it runs while its first line is at the client");
    drop(client);
    wait_for(SOON, "it ends with its client", || !runs(&marker));
    assert_eq!(code(&here, "never.sh"), "504");
    assert!(!runs("never.sh"));
    wait_for(SOON, "the log says so", || perron.written().contains("took longer than 2s"));
    // The bridge itself is as others are.
    let bridges = super::pids(&perron, "old");
    assert_eq!(bridges.len(), 1);
    assert_eq!(super::proc_line(bridges[0], "NoNewPrivs"), ["1"]);
}

#[test]
fn a_program_that_others_could_change_is_not_run() {
    let lab = lab::require!(Lab::new("cgi-unfit"));
    let here = lab.host("here", "10.0.0.1/24");
    let (root, perron) = site(&here, "");
    fs::set_permissions(root.join("nph.sh"), fs::Permissions::from_mode(0o777)).expect("it is ours");
    assert_eq!(code(&here, "nph.sh"), "500");
    wait_for(SOON, "the log says who", || perron.written().contains("could be changed by everybody"));
}
