//! Another program in the same process, under load: nothing is lost, and what cannot serve is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lab::{Lab, Load, LoadShape, Nginx, Perron, SOON, perron_binary, wait_for};
use rustix::process::Signal;

const FRONT: &str = "10.0.0.2:8080";

const CONFIG: &str = "[frontend.web]\nbind = \"10.0.0.2:8080\"\nbackend = \"web\"\n\
    [backend.web]\ncheck = { type = \"tcp\" }\n\
    [[backend.web.server]]\nname = \"one\"\naddress = \"10.0.0.3:80\"\n";

/// The running program, its process id, and what it is a copy of.
struct Upgraded {
    perron: Perron,
    pid: u32,
    programs: Vec<PathBuf>,
}

impl Upgraded {
    fn program(&self) -> PathBuf {
        fs::read_link(format!("/proc/{}/exe", self.pid)).expect("it runs")
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("it runs").count()
    }

    fn wait_for_one_process(&self) {
        wait_for(SOON, "the old process ends", || self.perron.serve_pids().len() == 1);
    }

    /// An upgrade that is refused with these words, and changes nothing.
    fn refused(&self, binary: &Path, code: i32, words: &str) {
        let before = (self.program(), self.perron.serve_pids());
        let output = self.perron.ask(&["upgrade", "--binary", binary.to_str().expect("a plain path")]);
        assert_eq!(output.code, Some(code), "{}", output.stderr);
        assert!(output.stderr.contains(words), "{}", output.stderr);
        assert_eq!((self.program(), self.perron.serve_pids()), before);
    }

    /// How often each kind of event is told.
    fn events(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for line in self.perron.ask(&["events", "-n", "1000"]).text().lines() {
            *kinds.entry(line.split_whitespace().nth(2).unwrap_or_default().to_owned()).or_default() += 1;
        }
        kinds
    }
}

#[test]
fn reloads_and_upgrades_under_load_lose_nothing_and_what_cannot_serve_is_refused() {
    let lab = lab::require!(Lab::new("upgrade"));
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let server = lab.host("server", "10.0.0.3/24");
    let _nginx = lab::require!(Nginx::start(&server, "nginx"));
    let folder = front.new_folder("programs");
    let programs: Vec<PathBuf> = ["one", "two", "three"].map(|name| folder.join(name)).into();
    for program in &programs {
        fs::copy(perron_binary(), program).expect("the folder is ours");
    }
    let mut perron = Perron::start_ready(&front, CONFIG);
    let mut it = Upgraded { pid: perron.process().id(), perron, programs };

    let kept = Load::start(&client, FRONT, &LoadShape { clients: 16, ..LoadShape::default() });
    let fresh = Load::start(&client, FRONT, &LoadShape { clients: 4, fresh: true, ..LoadShape::default() });
    let mut descriptors = Vec::new();
    for (round, program) in it.programs.iter().enumerate() {
        it.perron.reload(&format!("{CONFIG}# {round}\n")).expect("the text is right");
        kept.wait_for_more(200);
        let output = it.perron.ask(&["upgrade", "--binary", program.to_str().expect("a plain path")]).text();
        let generation = 2 * round + 3;
        assert_eq!(output, format!("upgraded: 0.1.0 \u{2192} 0.1.0, generation {generation} serves\n"));
        assert_eq!(&it.program(), program);
        assert_eq!(it.perron.status()["generation"], generation);
        kept.wait_for_more(200);
        fresh.wait_for_more(20);
        it.wait_for_one_process();
        descriptors.push(it.descriptors());
    }
    // What was asked last, and what is being read just now, has some for a moment.
    let first = descriptors[0];
    wait_for(SOON, &format!("no descriptors stay open: {descriptors:?}"), || it.descriptors() <= first);

    it.refused(Path::new("/bin/false"), 1, "/bin/false check: exit status: 1");
    it.refused(Path::new("/bin/true"), 1, "/bin/true is not perron");
    it.refused(Path::new("/nonexistent/perron"), 1, "cannot open /nonexistent/perron");
    it.perron.rewrite(&CONFIG.replace("bind", "bnid"));
    it.refused(&it.programs[0], 2, "bnid");
    it.perron.rewrite(CONFIG);
    kept.wait_for_more(200);
    let (kept, fresh) = (kept.finish(), fresh.finish());
    assert_eq!((kept.failed(), fresh.failed()), (0, 0), "{kept:?} {fresh:?}");
    assert!(kept.closed_idle + kept.closed_under_request <= 1, "closed without a word: {kept:?}");

    it.perron.reload(CONFIG).expect("the text is right");
    it.wait_for_one_process();
    it.perron.signal_serve(Signal::KILL);
    assert_eq!(client.curl(&[&format!("http://{FRONT}/")]).text(), "nginx\n");
    it.perron.process().signal(Signal::USR2);
    wait_for(SOON, "the signal's upgrade", || it.events()["upgrade"] == 4);
    assert_eq!(it.program(), it.programs[2], "the file that the running program was started from");
    let events = it.events();
    let told = |kind: &str| events.get(kind).copied().unwrap_or_default();
    assert_eq!((told("start"), told("reload"), told("upgrade"), told("upgrade-refused")), (1, 4, 4, 4), "{events:?}");
    assert_eq!(told("serve-died"), 1, "{events:?}");
    it.perron.process().signal(Signal::TERM);
    assert!(it.perron.process().wait(SOON).success());
    assert!(client.try_connect(FRONT).is_err());
}
