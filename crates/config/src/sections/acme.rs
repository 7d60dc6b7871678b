use std::path::PathBuf;

use acme::{AcmeConfig, Challenge, Wanted};
use tls::config::ClientTls;

use crate::Acme;
use crate::context::Context;
use crate::read::{At, Line, Some1};
use crate::schema::{Schema, form, optional, required, says, with};
use crate::section::Section;
use crate::sections::name_service::Name;
use crate::sources::Span;

/// The names that one certificate has at most: what public authorities allow.
const NAMES_MAX: usize = 100;

pub(crate) static ACME: Schema = Schema {
    path: "acme",
    about: "Certificates from an authority that gives them by ACME (RFC 8555), for frontends with \
            `tls = { acme = [\"NAME\"] }`: asked for at the start, renewed when two thirds of their time are over, and asked \
            for again after failures, ever later. Until the first has come, clients are shown one that nobody trusts. Names \
            are proved to be this director's; of several directors, each has certificates of its own, and a name that leads \
            to another than the one that asks is not proved.",
    keys: &[
        with(
            "directory",
            "URL",
            "\"https://acme-v02.api.letsencrypt.org/directory\"",
            "Where the authority tells what it can do.",
        ),
        required("agree-to-terms", "`true`", "That you have read the authority's terms of service, and agree."),
        optional("contact", form::TEXTS, "Whom the authority may write to: `\"mailto:admin@example.org\"`."),
        says(
            "ca",
            form::PATH,
            "the authorities that this machine trusts",
            "PEM with the authorities that its own certificate is checked by.",
        ),
        with(
            "challenge",
            "`\"http-01\"`, `\"tls-alpn-01\"`",
            "\"http-01\"",
            "How names are proved: at port 80, by any frontend that reads HTTP; or at port 443, by any frontend with `acme`.",
        ),
        with("folder", form::PATH, "\"/var/lib/perron/acme\"", "Where keys and certificates are kept, for root alone."),
    ],
};

/// Reads `[acme]`.
pub(crate) fn acme(mut section: Section<'_>, cx: &mut Context) -> Option<Acme> {
    let directory: At<Line> = section.value("directory", cx);
    let Line(url) = directory.value;
    let is_url = url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if !is_url || !url.is_ascii() || url.contains(' ') {
        cx.error(directory.span, format!("\"{}\" is no URL of an authority", url.escape_debug()))
            .help("write one that begins with https://");
    }
    let agreed: Option<At<bool>> = section.required("agree-to-terms", cx);
    if let Some(agreed) = agreed.filter(|agreed| !agreed.value) {
        cx.error(agreed.span, "an authority gives nothing to who does not agree to its terms")
            .help("read them, and write true");
    }
    let contact = section.optional::<Some1<At<Line>>>("contact", cx).map_or(Vec::new(), |Some1(contact)| contact);
    for At { value: Line(whom), span } in &contact {
        if !whom.starts_with("mailto:") {
            cx.error(*span, format!("\"{}\" is nobody to write to", whom.escape_debug()))
                .help("write \"mailto:NAME@HOST\"");
        }
    }
    let challenges = [("http-01", Challenge::Http01), ("tls-alpn-01", Challenge::TlsAlpn01)];
    Some(Acme {
        config: AcmeConfig {
            directory: url,
            contact: contact.into_iter().map(|whom| whom.value.0).collect(),
            challenge: section.choice("challenge", &challenges, cx),
            certificates: Vec::new(),
        },
        tls: ClientTls { ca: section.optional("ca", cx), ..ClientTls::default() },
        folder: section.value::<PathBuf>("folder", cx),
    })
}

/// Reads `acme` of a frontend's `tls`: the file that the certificate will be in.
pub(crate) fn certificate(section: &mut Section<'_>, cx: &mut Context) -> Option<PathBuf> {
    let written: Some1<At<Name>> = section.optional("acme", cx)?;
    let span = section.entry("acme").map_or(section.span, |entry| entry.span);
    let mut names: Vec<String> = Vec::new();
    for At { value: Name(name), span } in written.0 {
        if names.contains(&name) {
            cx.warn(span, format!("\"{name}\" is there twice")).help("remove one of the two");
        } else {
            names.push(name);
        }
    }
    if names.len() > NAMES_MAX {
        cx.error(span, format!("{} names in one certificate", names.len()))
            .help(format!("authorities give certificates of at most {NAMES_MAX} names: use several frontends"));
    }
    want(names, span, cx)
}

fn want(names: Vec<String>, span: Span, cx: &mut Context) -> Option<PathBuf> {
    let label = names.first()?.clone();
    let Some(acme) = &mut cx.acme else {
        if !cx.broken {
            cx.error(span, "nothing says which authority gives certificates")
                .help("write [acme] with agree-to-terms = true, or certificate = \"PATH\" instead");
        }
        return None;
    };
    let path = acme.file(&label);
    let known = acme.config.certificates.iter().find(|wanted| wanted.label == label);
    match known {
        Some(known) if known.names == names => {}
        Some(_) => {
            cx.error(span, format!("another frontend has a certificate for \"{label}\" and other names"))
                .help("write the same names, or another name first");
        }
        None => acme.config.certificates.push(Wanted { label, names }),
    }
    Some(path)
}

/// Takes what the frontends ask for; to be called after they are read.
pub(crate) fn finish(span: Span, cx: &mut Context) -> Option<Acme> {
    let acme = cx.acme.take()?;
    if acme.config.certificates.is_empty() && !cx.broken {
        cx.warn(span, "no frontend wants a certificate from this authority")
            .help("write tls = { acme = [\"NAME\"] } in a frontend");
    }
    Some(acme)
}
