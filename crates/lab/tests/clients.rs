//! The field's clients through the program: curl, wget, apt, git, a WebSocket, a browser, a long download.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use lab::{ApacheHttpd, Host, Lab, Nginx, Perron, SOON, Skip, wait_for};

/// Where the program answers.
const URL: &str = "http://10.0.0.2:8080";

/// A client, the program's host and a server's host.
struct Hosts {
    client: Host,
    front: Host,
    server: Host,
    _lab: Lab,
}

#[test]
fn curl_and_wget_get_and_send() {
    let hosts = lab::require!(hosts("clients-curl"));
    let nginx = lab::require!(Nginx::start_with(
        &hosts.server,
        "nginx",
        "location /up { dav_methods PUT; client_max_body_size 0; }"
    ));
    let _perron = relay_to(&hosts, 80);
    fs::create_dir(nginx.root().join("up")).expect("the root is ours");
    let content = noise(3_000_000);
    fs::write(nginx.root().join("big"), &content).expect("the root is ours");
    let big = &format!("{URL}/big");

    assert!(hosts.client.curl(&[big]).success().stdout == content, "curl got other bytes");
    let wget = lab::require!(lab::program("wget"));
    let wget = wget.to_str().expect("plain");
    assert!(hosts.client.run(&[wget, "-q", "-O", "-", big]).success().stdout == content, "wget got other bytes");
    assert!(hosts.client.curl(&["--http1.0", big]).success().stdout == content, "HTTP/1.0");
    let range = hosts.client.curl(&["-r", "1000000-1000099", big]).success();
    assert!(range.stdout == content[1_000_000..1_000_100], "a range");

    let file = hosts.client.new_folder("sent").join("big");
    fs::write(&file, &content).expect("the folder is ours");
    let file = file.to_str().expect("plain");
    let put = hosts.client.curl(&["-w", "%{http_code}", "-T", file, &format!("{URL}/up/length")]).text();
    assert_eq!(put, "201");
    let chunked = ["-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue"];
    let put = hosts
        .client
        .curl(&[&["-w", "%{http_code}", "-T", file][..], &chunked, &[&format!("{URL}/up/chunked")]].concat());
    assert_eq!(put.text(), "201");
    for name in ["up/length", "up/chunked"] {
        assert!(fs::read(nginx.root().join(name)).expect("it was sent") == content, "{name} arrived otherwise");
    }
    // nginx answers before it has read the body, and closes.
    let refused = hosts.client.curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        "Expect:",
        "-T",
        file,
        &format!("{URL}/much"),
    ]);
    assert_eq!(String::from_utf8_lossy(&refused.stdout), "413", "{}", refused.stderr);
    // Three transfers over one connection.
    let reused = hosts.client.curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{num_connects} ",
        big,
        "-o",
        "/dev/null",
        big,
        "-o",
        "/dev/null",
        big,
    ]);
    assert_eq!(reused.text(), "1 0 0 ");
}

#[test]
fn apt_updates_and_downloads() {
    let hosts = lab::require!(hosts("clients-apt"));
    for program in ["apt-get", "dpkg-deb", "dpkg-scanpackages"] {
        lab::require!(lab::program(program));
    }
    let nginx = lab::require!(Nginx::start(&hosts.server, "nginx"));
    let _perron = relay_to(&hosts, 80);
    let package = hosts.server.new_folder("package");
    fs::create_dir(package.join("DEBIAN")).expect("the folder is ours");
    let control = "Package: lab-sample\nVersion: 1.0\nArchitecture: all\nMaintainer: Lab <lab@example.org>\nDescription: a sample\n";
    fs::write(package.join("DEBIAN/control"), control).expect("the folder is ours");
    fs::write(package.join("content"), noise(2_000_000)).expect("the folder is ours");
    let make = format!(
        "dpkg-deb --build --root-owner-group {} {root}/lab-sample_1.0_all.deb && cd {root} && dpkg-scanpackages . > Packages && gzip -k Packages",
        package.display(),
        root = nginx.root().display()
    );
    hosts.server.run(&["sh", "-c", &make]).success();

    let home = hosts.client.new_folder("apt");
    for folder in ["state/lists/partial", "cache/archives/partial", "etc"] {
        fs::create_dir_all(home.join(folder)).expect("the folder is ours");
    }
    fs::write(home.join("status"), "").expect("the folder is ours");
    fs::write(home.join("etc/sources.list"), format!("deb [trusted=yes] {URL}/ ./\n")).expect("the folder is ours");
    let settings = format!(
        "Dir::State \"{home}/state\"; Dir::State::status \"{home}/status\"; Dir::Cache \"{home}/cache\"; Dir::Etc \"{home}/etc\";
         Dir::Etc::parts \"-\"; Dir::Etc::sourceparts \"-\"; Dir::Log \"{home}\"; APT::Sandbox::User \"root\"; Acquire::Retries \"0\";
         Acquire::http::Proxy \"DIRECT\"; Acquire::Languages \"none\";",
        home = home.display()
    );
    fs::write(home.join("apt.conf"), settings).expect("the folder is ours");
    let apt = |arguments: &[&str]| {
        let process = hosts.client.spawn_with(&[&["apt-get", "-q"], arguments].concat(), |command| {
            command.env("APT_CONFIG", home.join("apt.conf")).current_dir(&home);
        });
        process.output()
    };
    apt(&["update"]).success();
    apt(&["download", "lab-sample"]).success();
    let sent = fs::read(nginx.root().join("lab-sample_1.0_all.deb")).expect("it was built");
    assert!(fs::read(home.join("lab-sample_1.0_all.deb")).expect("apt put it here") == sent);
}

#[test]
fn git_clones_and_pushes() {
    let hosts = lab::require!(hosts("clients-git"));
    lab::require!(lab::program("git"));
    let backend = hosts.server.run(&["git", "--exec-path"]).text();
    let backend = Path::new(backend.trim()).join("git-http-backend");
    let repositories = hosts.server.new_folder("repositories");
    let directives = format!(
        "SetEnv GIT_PROJECT_ROOT {root}\nSetEnv GIT_HTTP_EXPORT_ALL 1\nSetEnv GIT_CONFIG_COUNT 1
         SetEnv GIT_CONFIG_KEY_0 safe.directory\nSetEnv GIT_CONFIG_VALUE_0 *
         ScriptAlias /smart/ {backend}/\nAlias /dumb/ {root}/
         <Directory {root}>\nRequire all granted\n</Directory>\n<Location /smart/>\nRequire all granted\n</Location>",
        root = repositories.display(),
        backend = backend.display()
    );
    let _apache = lab::require!(ApacheHttpd::start_with(&hosts.server, "apache", &directives));
    let _perron = relay_to(&hosts, 80);
    let make = format!(
        "set -e; export HOME=$PWD; git config --global user.name lab; git config --global user.email lab@example.org
         git init -q -b main made; cd made; head -c 2000000 /dev/urandom > noise; echo hello > file; git add .; git commit -q -m first
         git clone -q --bare . {root}/one.git; cd {root}/one.git; git config http.receivepack true; git update-server-info; chmod -R a+rwX .",
        root = repositories.display()
    );
    hosts.server.run(&["sh", "-c", &make]).success();

    let home = hosts.client.new_folder("git");
    let git = |script: &str| {
        let script = format!("set -e; {script}");
        let process = hosts.client.spawn_with(&["sh", "-c", &script], |command| {
            command.env("HOME", &home).env("GIT_TERMINAL_PROMPT", "0").current_dir(&home);
        });
        process.output().text()
    };
    assert_eq!(git(&format!("git clone -q {URL}/smart/one.git smart && cat smart/file")), "hello\n");
    assert_eq!(git(&format!("GIT_SMART_HTTP=0 git clone -q {URL}/dumb/one.git dumb && cat dumb/file")), "hello\n");
    // A small buffer makes git send the pack in chunks.
    git(
        "git config --global user.name lab; git config --global user.email lab@example.org; git config --global http.postBuffer 4096
         cd smart; head -c 1000000 /dev/urandom > more; git add .; git commit -q -m second; git push -q origin main",
    );
    let pushed = hosts.server.run(&[
        "git",
        "-c",
        "safe.directory=*",
        "-C",
        &format!("{}/one.git", repositories.display()),
        "log",
        "--format=%s",
        "main",
    ]);
    assert_eq!(pushed.text(), "second\nfirst\n");
}

#[test]
fn a_websocket_speaks_both_ways() {
    const SERVER: &str = "
import asyncio, websockets
async def echo(socket):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(echo, '10.0.0.3', 9000, max_size=None):
        await asyncio.Future()
asyncio.run(main())
";
    const CLIENT: &str = "
import asyncio, websockets
async def main():
    async with websockets.connect('ws://10.0.0.2:8080/chat', max_size=None) as socket:
        for message in ['hello', 'x' * 3000000, b'\\0' * 70000, 'bye']:
            await socket.send(message)
            assert await socket.recv() == message
        pong = await socket.ping()
        await pong
    print('done', socket.close_code)
asyncio.run(main())
";
    let hosts = lab::require!(hosts("clients-websocket"));
    lab::require!(lab::python_module("websockets"));
    let python = lab::require!(lab::python());
    let python = python.to_str().expect("plain");
    let _server = hosts.server.spawn(&[python, "-c", SERVER]);
    wait_for(SOON, "the WebSocket server listens", || hosts.server.try_connect("10.0.0.3:9000").is_ok());
    let _perron = relay_to(&hosts, 9000);
    assert_eq!(hosts.client.run(&[python, "-c", CLIENT]).text(), "done 1000\n");
}

#[test]
fn a_browser_loads_a_page_with_its_parts() {
    const HEAD: &str = "<!doctype html><title>lab</title><link rel=stylesheet href=style.css>
<body><p id=said>not yet</p><img src=dot.svg><script>let sum = 0</script>";
    const TAIL: &str = "<script>
const said = document.getElementById('said');
said.textContent = 'sum ' + sum + ' ' + getComputedStyle(said).color;
</script></body>";
    let hosts = lab::require!(hosts("clients-browser"));
    let chromium = lab::require!(lab::program("chromium"));
    let nginx = lab::require!(Nginx::start(&hosts.server, "nginx"));
    let _perron = relay_to(&hosts, 80);
    let root = nginx.root();
    let scripts: String = (0..12).map(|number| format!("<script src=part{number}.js></script>")).collect();
    let files = [
        ("page.html".to_owned(), format!("{HEAD}{scripts}{TAIL}")),
        ("style.css".to_owned(), "#said { color: rgb(1, 2, 3) }".to_owned()),
        ("dot.svg".to_owned(), "<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>".to_owned()),
    ];
    let parts = (0..12).map(|number| (format!("part{number}.js"), format!("sum += {number}")));
    for (name, content) in files.into_iter().chain(parts) {
        fs::write(root.join(name), content).expect("the root is ours");
    }
    // An address that comes while it loads (IPv6's, once nobody else has it) has it give up: ERR_NETWORK_CHANGED.
    hosts.client.set("net/ipv6/conf/all/disable_ipv6", "1").expect("the namespace is ours");
    let profile = format!("--user-data-dir={}", hosts.client.new_folder("profile").display());
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-proxy-server",
        "--disable-background-networking",
        "--virtual-time-budget=20000",
    ];
    let page = [chromium.to_str().expect("plain"), &profile, "--dump-dom", &format!("{URL}/page.html")];
    let shown = hosts.client.run(&[&page[..1], &arguments, &page[1..]].concat()).text();
    assert!(shown.contains("sum 66 rgb(1, 2, 3)"), "{shown}");
}

#[test]
fn four_gibibytes_in_two_ranges_leave_memory_flat() {
    const HALF: u64 = 2 << 30;
    const GROWTH_KIB: u64 = 16 * 1024;
    let hosts = lab::require!(hosts("clients-long"));
    let nginx = lab::require!(Nginx::start(&hosts.server, "nginx"));
    let perron = relay_to(&hosts, 80);
    let file = File::create(nginx.root().join("image")).expect("the root is ours");
    file.set_len(2 * HALF).expect("a sparse file costs nothing");
    file.write_all_at(b"left", HALF - 4).expect("the file is ours");
    file.write_all_at(b"right", HALF).expect("the file is ours");
    let url = &format!("{URL}/image");

    let around = format!("{}-{}", HALF - 4, HALF + 4);
    assert_eq!(hosts.client.curl(&["-r", &around, url]).text(), "leftright");
    let before = resident_kib(&perron);
    let ranges = [format!("0-{}", HALF - 1), format!("{HALF}-")];
    let mut downloads = ranges.map(|range| {
        hosts.client.spawn(&[
            "curl",
            "-sS",
            "--max-time",
            "60",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{size_download}",
            "-r",
            &range,
            url,
        ])
    });
    let mut most = before;
    wait_for(Duration::from_secs(60), "both ranges are there", || {
        most = most.max(resident_kib(&perron));
        downloads.iter_mut().all(|download| !download.is_running())
    });
    for download in downloads {
        assert_eq!(download.output().text(), format!("206 {HALF}"));
    }
    assert!(most <= before + GROWTH_KIB, "resident memory grew from {before} KiB to {most} KiB");
}

fn hosts(name: &str) -> Result<Hosts, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let server = lab.host("server", "10.0.0.3/24");
    Ok(Hosts { client, front, server, _lab: lab })
}

fn relay_to(hosts: &Hosts, port: u16) -> Perron {
    let text = format!(
        "[frontend.web]\nbind = \"10.0.0.2:8080\"\nbackend = \"web\"\n\
         [backend.web]\n[[backend.web.server]]\nname = \"one\"\naddress = \"10.0.0.3:{port}\"\n"
    );
    Perron::start_ready(&hosts.front, &text)
}

/// Bytes that neither repeat soon nor compress.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(count).collect()
}

fn resident_kib(perron: &Perron) -> u64 {
    let statuses =
        perron.serve_pids().into_iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
    statuses
        .filter_map(|status| {
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        })
        .sum()
}
