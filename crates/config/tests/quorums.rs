//! What the text says of quorums reaches who needs it.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use balance::Quorum;
use config::{Sources, load};

fn loaded(text: &str) -> config::Loaded {
    load(&Sources::from_texts(vec![("site.toml".to_owned(), text.to_owned())], "/etc/perron".into())).unwrap()
}

#[test]
fn a_quorum_its_programs_and_its_sorry_server_are_read() {
    let loaded = loaded(
        r#"
        [frontend.f]
        bind = "127.0.0.1:1"
        backend = "web"
        [backend.web]
        quorum = 3
        hysteresis = 1
        on-quorum-up = ["/bin/up", "web"]
        script-user = "nobody"
        script-timeout = "7s"
        sorry-server = "10.0.0.9:80"
        alpha = false
        omega = true
        server = [
            { name = "a", address = "10.0.0.1:80", weight = 3, on-down = ["/bin/down", "a"] },
            { name = "b", address = "10.0.0.2:80" },
        ]
        [backend.plain]
        server = [{ address = "10.0.0.1:80" }]
        "#,
    );
    let config = &loaded.config;
    let pool = &config.proxy.backends[0].pool;
    assert_eq!((pool.quorum, pool.alpha), (Quorum { weight: 3, hysteresis: 1 }, false));
    let sorry = pool.servers.last().unwrap();
    assert_eq!((sorry.name.as_str(), sorry.sorry, sorry.checked), ("sorry-server", true, false));
    assert_eq!(config.proxy.backends[0].servers[2].address.to_string(), "10.0.0.9:80");
    assert_eq!((config.checks[0].len(), config.redirect_checks[0].len()), (3, 3));
    let notify = &config.backend_notify[0];
    let up = notify.quorum.up.as_ref().unwrap();
    assert_eq!(
        (&*up.words, up.user.as_deref(), up.timeout.as_secs()),
        (&["/bin/up".to_owned(), "web".to_owned()][..], Some("nobody"), 7)
    );
    assert_eq!(
        (notify.counts, notify.omega, notify.quorum.down.is_some(), notify.servers.len()),
        (true, true, false, 3)
    );
    assert_eq!(notify.servers[0].down.as_ref().unwrap().words, ["/bin/down", "a"]);
    let plain = &config.proxy.backends[1].pool;
    assert_eq!((plain.quorum, plain.alpha), (Quorum { weight: 1, hysteresis: 0 }, true));
    assert!(!config.backend_notify[1].tells());
}

#[test]
fn a_quorum_that_can_never_be_there_is_warned_of() {
    let text = |quorum: u32| {
        format!(
            "[frontend.f]\nbind = \"127.0.0.1:1\"\nbackend = \"b\"\n[backend.b]\nquorum = {quorum}\nhysteresis = 1\nserver = [{{ address = \"10.0.0.1:80\", weight = 3 }}]\n"
        )
    };
    assert_eq!(loaded(&text(2)).warnings.to_string(), "");
    let warned = loaded(&text(3)).warnings.to_string();
    assert!(
        warned.contains("site.toml:5:10: warning: all servers together weigh 3, and the quorum comes with 4"),
        "{warned}"
    );
}
