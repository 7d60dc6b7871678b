//! The field's own: PHP's process manager, and flup for Python.

use std::fs;
use std::path::Path;

use lab::{Perron, SOON, Skip, php_fpm, wait_for};

use crate::{FRONT, Site};

fn text(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}

#[test]
fn php_answers() {
    let site = lab::require!(Site::new("fastcgi-php"));
    let (_php, root) = lab::require!(php_fpm(&site.front, &site.folder.join("php.sock")));
    for (name, script) in [
        ("index.php", "<?php echo 'index ', $_SERVER['REQUEST_URI'];"),
        ("told.php", "<?php echo $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '-', ' ', $_GET['a'] ?? '-';"),
        ("post.php", "<?php $in = file_get_contents('php://input'); echo strlen($in), ' ', md5($in);"),
        ("much.php", "<?php echo str_repeat('0123456789abcdef', 1 << 20);"),
        ("gone.php", "<?php http_response_code(404); header('X-Site: a'); echo 'gone';"),
        ("moved.php", "<?php header('Location: /index.php');"),
        ("user.php", "<?php echo posix_getuid();"),
        ("broken.php", "<?php error_log('a word to the log'); echo 'fine';"),
        (
            "slow.php",
            "<?php echo 'one'; flush(); while (!file_exists($_GET['file'])) { usleep(1000); clearstatcache(); } echo 'two';",
        ),
    ] {
        fs::write(root.join(name), script).expect("the folder is ours");
    }
    let mut perron = Perron::start(
        &site.front,
        &format!(
            "[frontend.web]\nbind = \"{FRONT}\"\n\
             fastcgi = {{ address = \"unix:{}\", root = \"{}\", split = \".php\" }}\n",
            site.socket("php.sock"),
            root.display(),
        ),
    );
    let get = |path: &str| site.client.curl(&["-i", &format!("http://10.0.0.2{path}")]).text();
    assert!(get("/").ends_with("\r\n\r\nindex /"));
    assert!(get("/no/such").ends_with("\r\n\r\nindex /no/such"));
    assert!(
        get("/told.php/more/path?a=b").ends_with("\r\n\r\n/told.php /more/path b"),
        "{}",
        get("/told.php/more/path?a=b")
    );
    let gone = get("/gone.php");
    assert!(gone.starts_with("HTTP/1.1 404") && gone.contains("X-Site: a") && gone.ends_with("gone"), "{gone}");
    assert!(get("/moved.php").starts_with("HTTP/1.1 302"));
    assert_eq!(get("/much.php").split_once("\r\n\r\n").map(|(_, body)| body.len()), Some(16 << 20));
    let head = site.client.curl(&["-I", "http://10.0.0.2/told.php"]).text();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");

    let file = site.client.new_folder("post").join("body");
    fs::write(&file, vec![b'p'; 10 << 20]).expect("the folder is ours");
    let data = format!("@{}", file.display());
    let posted = site.client.curl(&["--data-binary", &data, "http://10.0.0.2/post.php"]).text();
    // md5sum of so many.
    assert!(posted.starts_with("10485760 "), "{posted}");
    let chunked = ["-i", "-H", "Transfer-Encoding: chunked", "--data-binary", "x", "http://10.0.0.2/post.php"];
    assert!(site.client.curl(&chunked).text().contains("HTTP/1.1 411"), "PHP would take it for empty");

    assert!(get("/broken.php").ends_with("fine"));
    wait_for(SOON, "the log tells", || perron.process().stderr().contains("a word to the log"));

    // The script ends only when its first word is here.
    let said = root.join("said");
    let mut client = site.connect();
    client.send(format!("GET /slow.php?file={} HTTP/1.1\r\nHost: a\r\n\r\n", said.display()));
    client.read_until("one");
    fs::write(&said, "").expect("the folder is ours");
    client.read_until("two");
}

/// A program for flup: what it was asked, or its body's length and sum.
const FLUP: &str = "
import hashlib, sys
from flup.server.fcgi import WSGIServer
def application(environ, start_response):
    body = environ['wsgi.input']
    if environ['PATH_INFO'] == '/sum':
        length, sum = 0, hashlib.sha256()
        while piece := body.read(65536):
            length += len(piece)
            sum.update(piece)
        text = '%d %s' % (length, sum.hexdigest())
    else:
        text = '%s|%s|%s' % (environ['SCRIPT_NAME'], environ['PATH_INFO'], environ['QUERY_STRING'])
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [text.encode()]
WSGIServer(application, bindAddress=sys.argv[1], umask=0, multithreaded=True).run()
";

#[test]
fn flup_answers() {
    let site = lab::require!(Site::new("fastcgi-flup"));
    let python = lab::require!(lab::python());
    let modules = lab::perron_binary().ancestors().nth(2).expect("programs are in target/PROFILE").join("python");
    if !modules.join("flup").exists() {
        let skip = Skip::new("Python has no module flup (scripts/setup test)");
        return skip.announce();
    }
    let socket = site.socket("app.sock");
    let _flup = site.front.spawn_with(&[text(&python), "-c", FLUP, &socket], |command| {
        command.env("PYTHONPATH", &modules);
    });
    wait_for(SOON, "flup listens", || Path::new(&socket).exists());
    let file = site.client.new_folder("post").join("body");
    fs::write(&file, vec![b'p'; 11 << 20]).expect("the folder is ours");
    let sum = site.client.run(&["sha256sum", text(&file)]).text();
    let sum = sum.split(' ').next().unwrap_or_default().to_owned();
    for keys in ["", "keep-connection = true"] {
        let mut perron = site.perron(keys);
        for _ in 0..3 {
            let told = site.client.curl(&["http://10.0.0.2/app/some/thing?q=1"]).text();
            assert_eq!(told, "/app|/some/thing|q=1");
        }
        let data = format!("@{}", file.display());
        let posted = site.client.curl(&["--data-binary", &data, "http://10.0.0.2/app/sum"]).text();
        assert_eq!(posted, format!("{} {sum}", 11 << 20));
        let chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", &data, "http://10.0.0.2/app/sum"];
        assert_eq!(site.client.curl(&chunked).text(), format!("{} {sum}", 11 << 20));
        perron.stop();
    }
}
