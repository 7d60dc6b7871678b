//! What checks ask for, as the text says it.

use std::time::Duration;

use check::{
    AgentCheck, BodyMatch, DnsCheck, FileCheck, Kind, Page, PageDigest, Record, ScriptCheck, SmtpCheck, Statuses,
    Target, UdpCheck,
};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The configuration of a server at 10.0.0.1:80 whose backend has these lines.
fn with(lines: &str) -> config::Config {
    let text = format!(
        "[frontend.f]\nbind = \"127.0.0.1:1\"\nbackend = \"b\"\n[backend.b]\n{lines}\n\
         [[backend.b.server]]\naddress = \"10.0.0.1:80\"\n"
    );
    let sources = config::Sources::from_texts(vec![("perron.toml".into(), text)], "/etc/perron".into());
    config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}")).config
}

#[test]
fn each_kind_of_check() {
    let kind = |check: &str| {
        let config = with(&format!("check = {{ {check} }}"));
        assert!(config.later.is_empty(), "{check}");
        let [check] = config.checks[0][0].as_slice() else { panic!("one check") };
        check.clone()
    };
    let smtp = kind("type = \"smtp\", port = 25");
    assert_eq!(smtp.kind, Kind::Smtp(SmtpCheck { helo: "localhost".into() }));
    assert_eq!(smtp.target, Target::Ip("10.0.0.1:25".parse().expect("an address")));
    let named = kind("type = \"smtp\", address = \"10.0.0.9:26\", helo = \"me.example\"");
    assert_eq!(named.kind, Kind::Smtp(SmtpCheck { helo: "me.example".into() }));
    assert_eq!(named.target, Target::Ip("10.0.0.9:26".parse().expect("an address")));
    let question = |record, expect: &[&str]| {
        let expect: Vec<String> = expect.iter().map(|text| (*text).to_owned()).collect();
        Kind::Dns(DnsCheck::new("a.example", record, &expect).expect("a question"))
    };
    assert_eq!(kind("type = \"dns\", name = \"a.example\"").kind, question(Record::A, &[]));
    let mail = "type = \"dns\", name = \"a.example\", record = \"MX\", expect = [\"m.example\", \"n.example\"]";
    assert_eq!(kind(mail).kind, question(Record::Mx, &["m.example", "n.example"]));
    assert_eq!(kind("type = \"ping\"").kind, Kind::Ping);
    let udp = |send: &[u8], reply: Option<&[Option<u8>]>| {
        Kind::Udp(UdpCheck { send: send.to_vec(), reply: reply.map(<[_]>::to_vec) })
    };
    assert_eq!(kind("type = \"udp\", send = \"ab\"").kind, udp(b"ab", None));
    let reply = [Some(0), None, Some(255)];
    assert_eq!(
        kind("type = \"udp\", send = \"hex:00 fF\", reply = \"hex:00XX ff\"").kind,
        udp(&[0, 255], Some(&reply))
    );
    let agent = kind("type = \"agent\", port = 9707, send = \"web\\n\"");
    assert_eq!(agent.kind, Kind::Agent(AgentCheck { send: Some("web\n".into()) }));
    assert_eq!((agent.policy.rise, agent.policy.fall), (1, 1));
    let script = kind("type = \"script\", command = [\"/bin/{ip}\", \"{address}\", \"a{ip}-{port}\"], user = \"me\"");
    assert_eq!(
        script.kind,
        Kind::Script(ScriptCheck {
            words: vec!["/bin/{ip}".into(), "10.0.0.1:80".into(), "a10.0.0.1-80".into()],
            user: Some("me".into()),
            sets_weight: false,
        })
    );
    assert_eq!(
        kind("type = \"file\", file = \"run/up\", sets-weight = true").kind,
        Kind::File(FileCheck { path: "/etc/perron/run/up".into(), sets_weight: true })
    );
}

#[test]
fn pages_digests_and_retries() {
    let md5 = "9b3a0c85a887a256d6939da88aabd8cd";
    let sha256 = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    let lines = format!(
        "check = [\n{{ type = \"http\", status = \"200\", retries = 3, retry-delay = \"4s\", warmup = \"9s\", pages = [\n\
         {{ path = \"/\", status = [201, \"300-301\"] }}, {{ path = \"/v?1\", digest = \"{md5}\", body = \"b\" }} ] }},\n\
         {{ type = \"http\", digest = \"{sha256}\", retries = 1, rise = 4, fall = 5 }},\n]"
    );
    let config = with(&lines);
    let [several, one] = config.checks[0][0].as_slice() else { panic!("two checks") };
    let (Kind::Http(request), Kind::Http(single)) = (&several.kind, &one.kind) else { panic!("http checks") };
    let first = Page { path: "/".into(), statuses: Statuses(vec![201..=201, 300..=301]), body: None, digest: None };
    let digest = 0x9b3a_0c85_a887_a256_d693_9da8_8aab_d8cd_u128.to_be_bytes();
    let second = Page {
        path: "/v?1".into(),
        statuses: Statuses(vec![200..=200]),
        body: Some(BodyMatch::Contains("b".into())),
        digest: Some(PageDigest::Md5(digest)),
    };
    assert_eq!(request.pages, [first, second]);
    let policy = several.policy;
    assert_eq!((policy.retries, policy.retry_delay, policy.warmup), (3, secs(4), Some(secs(9))));
    assert_eq!((policy.rise, policy.fall), (1, 1), "keepalived's, with its tries");
    assert!(matches!(single.pages[0].digest, Some(PageDigest::Sha256([0xba, 0x78, .., 0xad]))));
    let policy = one.policy;
    assert_eq!((policy.retries, policy.retry_delay, policy.warmup), (1, secs(1), None));
    assert_eq!((policy.rise, policy.fall), (4, 5));
}
