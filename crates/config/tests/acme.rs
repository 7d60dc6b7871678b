//! What a text becomes that says which authority gives certificates, and for what.

use acme::{AcmeConfig, Challenge, Wanted};
use config::{Acme, Sources};
use tls::config::ClientTls;

fn load(text: &str) -> Result<config::Config, String> {
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
    let loaded = config::load(&sources).map_err(|wrong| wrong.to_string())?;
    assert_eq!(loaded.warnings.to_string(), "");
    Ok(loaded.config)
}

/// A frontend that wants a certificate for these names.
fn frontend(name: &str, port: u16, names: &[String]) -> String {
    format!("[frontend.{name}]\nbind = \"0.0.0.0:{port}\"\nrespond = {{}}\ntls = {{ acme = {names:?} }}\n")
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("h{number}.example")).collect()
}

#[test]
fn frontends_of_the_same_names_share_a_certificate() {
    let both = names(2);
    let text = format!(
        "[acme]\ndirectory = \"https://ca.example/dir\"\nagree-to-terms = true\ncontact = \"mailto:me@example\"\n\
         ca = \"ca.pem\"\nchallenge = \"tls-alpn-01\"\nfolder = \"/var/acme\"\n{}{}{}",
        frontend("a", 1, &both),
        frontend("b", 2, &both),
        frontend("c", 3, &both[1..]),
    );
    let config = load(&text).unwrap();
    let wanted = |names: &[String]| Wanted { label: names[0].clone(), names: names.to_vec() };
    let expected = Acme {
        config: AcmeConfig {
            directory: "https://ca.example/dir".to_owned(),
            contact: vec!["mailto:me@example".to_owned()],
            challenge: Challenge::TlsAlpn01,
            certificates: vec![wanted(&both), wanted(&both[1..])],
        },
        tls: ClientTls { ca: Some("/etc/perron/ca.pem".into()), ..ClientTls::default() },
        folder: "/var/acme".into(),
    };
    assert_eq!(config.acme, Some(expected));
    let shown = |place: usize| config.proxy.frontends[place].tls.clone().unwrap().certificates;
    assert_eq!(shown(0), shown(1));
    assert_eq!(shown(2)[0].certificate.to_str(), Some("/var/acme/h1.example.pem"));
}

#[test]
fn a_certificate_has_a_hundred_names_at_most() {
    let asking = |count| load(&format!("acme.agree-to-terms = true\n{}", frontend("a", 1, &names(count))));
    assert_eq!(asking(100).unwrap().acme.unwrap().config.certificates[0].names.len(), 100);
    let error = asking(101).unwrap_err();
    assert!(error.contains("101 names in one certificate"), "{error}");
}

#[test]
fn what_no_authority_would_take_is_refused() {
    let one = frontend("a", 1, &names(1));
    for (text, words) in [
        (one.clone(), "nothing says which authority gives certificates"),
        (format!("acme.agree-to-terms = false\n{one}"), "who does not agree to its terms"),
        (format!("[acme]\nagree-to-terms = true\ndirectory = \"http://ca.example/\"\n{one}"), "no URL of an authority"),
        (format!("[acme]\nagree-to-terms = true\ncontact = \"me@example\"\n{one}"), "nobody to write to"),
        (
            format!("acme.agree-to-terms = true\n{one}{}", frontend("b", 2, &names(2))),
            "another frontend has a certificate for \"h0.example\" and other names",
        ),
    ] {
        let error = load(&text).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
}
