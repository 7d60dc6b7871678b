//! Who may do what: the process that talks to the network holds no privilege.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

use lab::{Host, Lab, Perron};

/// A port that only root may open.
const TEXT: &str = "[frontend.web]\nbind = \"10.0.0.1:80\"\nrespond = { body = \"here\" }\n";

/// Made by libxcrypt: `crypt("correct horse", "$2y$04$abcdefghijklmnopqrstuu")`.
const USERS: &str = "anna:$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n";

/// The values of a line of a process's status.
fn status(pid: u32, name: &str) -> Vec<String> {
    status_of(&format!("/proc/{pid}/status"), name)
}

fn status_of(path: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(path).expect("the process runs");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

fn assert_powerless(host: &Host, perron: &Perron, user: &str) {
    assert_eq!(host.curl(&["http://10.0.0.1/"]).text(), "here");
    let pids = perron.serve_pids();
    assert_eq!(pids.len(), 1, "one process serves");
    let pid = pids[0];
    assert_eq!(status(pid, "Uid"), [user; 4], "real, effective, saved and file-system user");
    assert!(!status(pid, "Gid").contains(&"0".to_owned()), "{:?}", status(pid, "Gid"));
    assert!(!status(pid, "Groups").contains(&"0".to_owned()), "{:?}", status(pid, "Groups"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(pid, set), ["0000000000000000"], "{set}");
    }
    assert_eq!(status(pid, "NoNewPrivs"), ["1"]);
    for thread in fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs").flatten() {
        let thread = thread.file_name().to_string_lossy().into_owned();
        let filtered = status_of(&format!("/proc/{pid}/task/{thread}/status"), "Seccomp");
        assert_eq!(filtered, ["2"], "thread {thread} makes the calls that serving needs, and no other");
    }
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("root sees all");
    let targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    // It may look at itself.
    let folders: Vec<_> =
        targets.filter(|target| target.is_dir() && !target.starts_with(format!("/proc/{pid}"))).collect();
    assert!(folders.is_empty(), "no folder is left open: {folders:?}");
}

#[test]
fn serve_is_nobody_and_holds_nothing() {
    let lab = lab::require!(Lab::new("privileges"));
    let here = lab.host("here", "10.0.0.1/24");
    let perron = Perron::start(&here, TEXT);
    assert_powerless(&here, &perron, "65534");
    perron.reload(&format!("{TEXT}# again\n")).expect("the text is right");
    lab::wait_for(lab::SOON, "one process serves", || perron.serve_pids().len() == 1);
    assert_powerless(&here, &perron, "65534");
}

#[test]
fn serve_is_the_user_that_the_configuration_names() {
    let lab = lab::require!(Lab::new("privileges-user"));
    let here = lab.host("here", "10.0.0.1/24");
    let user = here.run(&["id", "-u", "daemon"]).text();
    let perron = Perron::start(&here, &format!("{TEXT}[process]\nuser = \"daemon\"\n"));
    assert_powerless(&here, &perron, user.trim());
}

#[test]
fn the_control_socket_is_not_everybodys() {
    let lab = lab::require!(Lab::new("privileges-control"));
    lab::require!(lab::program("setpriv"));
    let here = lab.host("here", "10.0.0.1/24");
    let perron = Perron::start(&here, TEXT);
    let metadata = fs::metadata(perron.control()).expect("it is there");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    let binary = lab::perron_binary();
    let control = perron.control().to_str().expect("plain");
    let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let stop = [binary.to_str().expect("plain"), "stop", "--control", control];
    assert_ne!(here.run(&[&as_nobody[..], &stop].concat()).code, Some(0));
    assert_eq!(here.curl(&["http://10.0.0.1/"]).text(), "here");
}

#[test]
fn without_root_everything_that_needs_none_runs() {
    let lab = lab::require!(Lab::new("privileges-unprivileged"));
    lab::require!(lab::program("setpriv"));
    let here = lab.host("here", "10.0.0.1/24");
    let folder = here.new_folder("home");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("the folder is ours");
    let (config, control) = (folder.join("perron.toml"), folder.join("control.sock"));
    fs::write(&config, TEXT.replace(":80", ":8080")).expect("the folder is ours");
    let binary = lab::perron_binary();
    let [binary, config, control] = [&binary, &config, &control].map(|path| path.to_str().expect("plain"));
    let as_daemon = ["setpriv", "--reuid=1", "--regid=1", "--clear-groups"];
    let _perron = here.spawn(&[&as_daemon[..], &[binary, "run", "-c", config, "--control", control]].concat());
    lab::wait_for(lab::SOON, "it answers", || here.run(&["curl", "-s", "http://10.0.0.1:8080/"]).stdout == b"here");
    assert!(here.run(&[binary, "status", "--control", control]).code == Some(0), "root may ask");
}

#[test]
fn the_sandbox_is_as_the_configuration_says() {
    let lab = lab::require!(Lab::new("privileges-sandbox"));
    let here = lab.host("here", "10.0.0.1/24");
    let root = here.new_folder("site").join("tree");
    let text = |mode: &str| {
        let root = root.display();
        format!("[process]\nsandbox = \"{mode}\"\n[frontend.web]\nbind = \"10.0.0.1:80\"\nfiles = \"{root}\"\n")
    };
    let perron = Perron::start(&here, &text("on"));
    let page = || here.curl(&["http://10.0.0.1/page"]).text();
    let code = || here.curl(&["-o", "/dev/null", "-w", "%{http_code}", "http://10.0.0.1/page"]).text();
    // A tree may come later: it is seen by where it is.
    fs::create_dir(&root).expect("the folder is ours");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::write(root.join("page"), "a page").expect("it is ours");
    assert_eq!((page().as_str(), status(perron.serve_pids()[0], "Seccomp")), ("a page", vec!["2".to_owned()]));
    let written = perron.written();
    assert!(written.contains("the sandbox is closed"), "{written}");
    // A link in its place that leads where nothing was named shows what this process sees.
    let elsewhere = here.new_folder("elsewhere");
    fs::write(elsewhere.join("page"), "elsewhere").expect("the folder is ours");
    fs::rename(&root, root.with_file_name("before")).expect("the folder is ours");
    symlink(&elsewhere, &root).expect("the folder is ours");
    if written.contains("no landlock") {
        lab::Skip::new("this kernel has no landlock, so files are not restricted").announce();
    } else {
        assert!(written.contains("files=\"those of the configuration"), "{written}");
        lab::wait_for(lab::SOON, "the tree is looked for anew", || page() != "a page");
        assert_eq!(code(), "403", "it is out of sight");
    }
    for (mode, filtered) in [("off", "0"), ("log", "2"), ("on", "2")] {
        perron.reload(&text(mode)).expect("the text is right");
        lab::wait_for(lab::SOON, "one process serves", || perron.serve_pids().len() == 1);
        let seccomp = status(perron.serve_pids()[0], "Seccomp");
        assert_eq!((page().as_str(), seccomp), ("elsewhere", vec![filtered.to_owned()]), "{mode}");
    }
    assert!(perron.written().contains("no sandbox"));
}

#[test]
fn what_a_reload_names_is_seen_by_the_next_process_and_nothing_is_lost() {
    const BIG: usize = 8 << 20;
    let lab = lab::require!(Lab::new("privileges-reload"));
    let here = lab.host("here", "10.0.0.1/24");
    // Each tree is in a folder of its own, so that none is seen on account of another.
    let tree = |name: &str| {
        let tree = here.new_folder(name).join("tree");
        fs::create_dir(&tree).expect("the folder is ours");
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::write(tree.join("page"), name).expect("it is ours");
        tree
    };
    let (one, two, extras) = (tree("one"), tree("two"), here.new_folder("extras"));
    fs::write(one.join("big"), vec![b'x'; BIG]).expect("it is ours");
    fs::write(extras.join("users"), USERS).expect("it is ours");
    fs::write(extras.join("404.html"), "<h1>not here").expect("it is ours");
    let perron =
        Perron::start(&here, &format!("[frontend.web]\nbind = \"10.0.0.1:80\"\nfiles = \"{}\"\n", one.display()));
    let mut client = here.connect("10.0.0.1:80");
    client.shrink_receive_buffer(64 << 10);
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until("\r\n\r\n");
    let text = |users: &str| {
        format!(
            "[frontend.web]\nbind = \"10.0.0.1:80\"\nfiles = \"{0}\"\nerror-pages = {{ 404 = \"{1}/404.html\" }}\n\
             [[frontend.web.route]]\npath = \"/private/\"\nfiles = \"{0}\"\nbasic-auth = {{ file = \"{1}/{users}\" }}\n",
            two.display(),
            extras.display()
        )
    };
    let refused = perron.reload(&text("nobody")).expect_err("there is no such file");
    assert!(refused.contains("cannot read the users of ") && refused.contains("/nobody: "), "{refused}");
    let get =
        |path: &str, arguments: &[&str]| here.curl(&[arguments, &[&format!("http://10.0.0.1{path}")]].concat()).text();
    assert_eq!(get("/page", &[]), "one", "what is refused changes nothing");
    perron.reload(&text("users")).expect("the text is right");
    assert_eq!(get("/page", &[]), "two");
    assert_eq!(get("/missing", &[]), "<h1>not here");
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(get("/private/page", &code), "401");
    assert_eq!(get("/private/page", &["-u", "anna:correct horse"]), "two");
    client.set_limit(lab::SOON);
    assert!(client.read_exact(BIG).iter().all(|byte| *byte == b'x'), "the process before has finished its answer");
    assert!(!perron.written().contains("files are not restricted"), "{}", perron.written());
}

#[test]
fn each_frontend_listens_on_what_it_names_and_nothing_else_does() {
    let lab = lab::require!(Lab::new("privileges-sockets"));
    let here = lab.host("here", "10.0.0.1/24");
    here.add_address("10.0.0.9/24");
    here.add_address("fd00::9/64");
    let folder = here.new_folder("sockets");
    let text = format!(
        "[admin]\nbind = \"127.0.0.1:7070\"\n[frontend.node]\nbind = \"eth0:1811\"\nrespond = {{}}\n\
         [frontend.one]\nbind = \"10.0.0.9:80\"\nrespond = {{}}\n\
         [frontend.path]\nbind = \"unix:{}/front.sock\"\nrespond = {{}}\n\
         [process]\nworkers = 2\n",
        folder.display()
    );
    let perron = Perron::start(&here, &text);
    let all = here.run(&["ss", "-Hltun"]).text();
    // The fourth word is the local address (netid, state, two queues before it).
    let mut heard: Vec<&str> = all.lines().filter_map(|line| line.split_whitespace().nth(4)).collect();
    heard.sort_unstable();
    heard.dedup();
    // What the kernel gives a link by itself is the interface's too.
    heard.retain(|address| !address.starts_with("[fe80:"));
    assert_eq!(heard, ["10.0.0.1:1811", "10.0.0.9:1811", "10.0.0.9:80", "127.0.0.1:7070", "[fd00::9]:1811"]);
    assert_eq!(here.curl(&["http://10.0.0.9:1811/"]).code, Some(0));
    assert_ne!(here.curl(&["http://127.0.0.1:1811/"]).code, Some(0), "the loopback interface is another");
    // A namespace of its own has the unix sockets of this lab alone; the fifth word is the path.
    let all = here.run(&["ss", "-Hlx"]).text();
    let mut heard: Vec<&str> = all.lines().filter_map(|line| line.split_whitespace().nth(4)).collect();
    heard.sort_unstable();
    let front = folder.join("front.sock").display().to_string();
    let mut expected = vec![perron.control().to_str().expect("plain"), &front];
    expected.sort_unstable();
    assert_eq!(heard, expected);
}
