use std::path::PathBuf;

use crate::context::Context;
use crate::read::{At, Line, Some1, wrong};
use crate::schema::{Schema, form, optional, required, with};
use crate::section::Section;
use crate::tree::Value;

pub(crate) static FRONTEND_TLS: Schema = Schema {
    path: "frontend.NAME.tls",
    about: "TLS with the clients.",
    keys: &[
        required(
            "certificate",
            "path or list",
            "PEM with the certificate, its chain and, if `key` is not given, its key.",
        )
        .later(),
        optional("key", form::PATH, "PEM with the key.").later(),
        optional("client-ca", form::PATH, "PEM with the authorities that clients' certificates are checked by.")
            .later(),
        with(
            "client-certificate",
            "`\"none\"`, `\"optional\"`, `\"required\"`",
            "\"none\"",
            "Whether clients must show a certificate.",
        )
        .later(),
        with("export-certificate", form::BOOLEAN, "false", "Hand the client's certificate to the application.").later(),
        optional("user", "`\"subject.CN\"` …", "The part of the certificate that names the user.").later(),
    ],
};

pub(crate) static SERVER_TLS: Schema = Schema {
    path: "backend.NAME.tls",
    about: "TLS with the servers, for a backend or one server.",
    keys: &[
        optional("ca", form::PATH, "PEM with the authorities that servers' certificates are checked by.").later(),
        with("verify", form::BOOLEAN, "true", "Whether a certificate must be right.").later(),
        optional("name", form::TEXT, "The name that it must have, and that is asked for.").later(),
    ],
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientCertificate {
    None,
    Optional,
    Required,
}

/// Reads `[frontend.NAME.tls]`.
pub(crate) fn frontend(mut section: Section<'_>, cx: &mut Context) {
    cx.later(format!("{}: TLS", section.path), section.span);
    let _: Option<Some1<PathBuf>> = section.required("certificate", cx);
    let _: Option<PathBuf> = section.optional("key", cx);
    let _: bool = section.value("export-certificate", cx);
    let authority: Option<PathBuf> = section.optional("client-ca", cx);
    let words = [
        ("none", ClientCertificate::None),
        ("optional", ClientCertificate::Optional),
        ("required", ClientCertificate::Required),
    ];
    let wanted = section.choice("client-certificate", &words, cx);
    if wanted != ClientCertificate::None && authority.is_none() && !section.has("client-ca") {
        cx.error(section.span, "clients' certificates are asked for, and nothing says whose are right")
            .help("write client-ca = \"ca.pem\"");
    }
    if let Some(user) = section.optional::<At<Line>>("user", cx) {
        let (part, field) = user.value.0.split_once('.').unwrap_or((&user.value.0, ""));
        if !matches!((part, field), ("subject", "CN" | "UID" | "emailAddress") | ("san", "dns" | "email" | "uri")) {
            cx.error(user.span, format!("\"{}\" is no part of a certificate that names a user", user.value.0))
                .help("known: \"subject.CN\", \"subject.UID\", \"subject.emailAddress\", \"san.dns\", \"san.email\", \"san.uri\"");
        }
    }
}

/// Reads `tls` of a backend or a server: `true`, or a table.
pub(crate) fn server(owner: &mut Section<'_>, cx: &mut Context) {
    let Some(entry) = owner.entry("tls") else {
        return;
    };
    match entry.node.value {
        Value::Boolean(false) => {}
        Value::Boolean(true) => cx.later(format!("{}.tls: TLS with servers", owner.path), entry.span),
        Value::Table(_) => {
            cx.later(format!("{}.tls: TLS with servers", owner.path), entry.span);
            if let Some(mut section) = owner.optional_section("tls", &SERVER_TLS, cx) {
                let _: Option<PathBuf> = section.optional("ca", cx);
                let _: bool = section.value("verify", cx);
                let _: Option<Line> = section.optional("name", cx);
            }
        }
        _ => {
            let _: Option<()> = wrong(&entry.node, "true, false or a table", "write true, or { ca = \"ca.pem\" }", cx);
        }
    }
}
