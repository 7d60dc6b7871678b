//! Which clients follow redirects.

use crate::config::ClientRule;

/// Beginnings of the User-Agents of clients that follow a redirect by themselves, in each of their releases that is in
/// use. Who is not here is relayed: boot firmware (`UefiHttpBoot/`, `GRUB `, `U-Boot/`) fails at a redirect, curl
/// follows only if it is told to, and iPXE's images come through scripts that name their server.
const FOLLOWING: [&str; 12] = [
    "Wget",
    "Debian APT-HTTP/",
    "Ubuntu APT-HTTP/",
    "libdnf",
    "dnf5/",
    "urlgrabber/",
    "ZYpp ",
    "Mozilla/",
    "python-requests/",
    "pip/",
    "Go-http-client/",
    "aria2/",
];

/// Within the User-Agent of every installer of Anaconda's kind, behind the product's own name.
const ANACONDA: &str = " (anaconda)/";

/// Busybox's wget, whose older releases know no redirect beyond 303.
const BUSYBOX: &str = "Wget";

/// Whether a client that calls itself `user_agent` follows a redirect of this status; `rules` come before what is known here.
pub(crate) fn follows(user_agent: &[u8], status: u16, rules: &[ClientRule]) -> bool {
    let begins = |prefix: &str| {
        let beginning = user_agent.get(..prefix.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    if let Some(rule) = rules.iter().find(|rule| begins(&rule.prefix)) {
        return rule.follows;
    }
    if status > 303 && user_agent == BUSYBOX.as_bytes() {
        return false;
    }
    FOLLOWING.iter().any(|prefix| begins(prefix))
        || user_agent.windows(ANACONDA.len()).any(|window| window == ANACONDA.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloaders_and_browsers_follow_and_firmware_does_not() {
        let following = [
            "Wget/1.21.4",
            "Wget",
            "Debian APT-HTTP/1.3 (2.7.14)",
            "libdnf (Fedora Linux 40; server; Linux.x86_64)",
            "urlgrabber/3.10 yum/3.4.3",
            "Fedora (anaconda)/40.22.3",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ];
        for client in following {
            assert!(follows(client.as_bytes(), 302, &[]), "{client}");
        }
        let not = ["curl/8.5.0", "iPXE/1.21.1+", "UefiHttpBoot/1.0", "GRUB 2.12", "U-Boot/2024.01", "", "x Wget/1"];
        for client in not {
            assert!(!follows(client.as_bytes(), 302, &[]), "{client}");
        }
    }

    #[test]
    fn an_old_busybox_is_spared_redirects_that_it_does_not_know() {
        assert!(!follows(b"Wget", 307, &[]));
        assert!(!follows(b"Wget", 308, &[]));
        assert!(follows(b"Wget/1.21.4", 307, &[]));
    }

    #[test]
    fn the_configuration_knows_better() {
        let rule = |prefix: &str, follows| ClientRule { prefix: prefix.to_owned(), follows };
        let rules = [rule("curl/8", true), rule("wget", false)];
        assert!(follows(b"curl/8.5.0", 302, &rules));
        assert!(!follows(b"curl/7.88.1", 302, &rules));
        assert!(!follows(b"Wget/1.21.4", 302, &rules));
    }
}
