use std::net::IpAddr;
use std::path::PathBuf;

use proxy::config::ServerAddress;
use tls::config::{CertificateFiles, Cipher, ClientAuth, ClientTls, ServerTls, UserField, Version};

use crate::context::Context;
use crate::read::{At, Line, Read, Some1, Whole, wrong};
use crate::schema::{Schema, form, optional, says, with};
use crate::section::Section;
use crate::sections::acme;
use crate::sections::check::Template;
use crate::sections::deliver::Redirect;
use crate::sections::redirect_to::{Place, is_name_or_ipv4};
use crate::sources::Span;
use crate::suggest;
use crate::tree::{Node, Value};

/// The most certificates between a client's and its authority's that are followed at all (`MAX_SUB_CA_COUNT` of webpki).
const DEPTH_MAX: i64 = 6;

/// The longest serial number of a certificate, in bytes (RFC 5280 section 4.1.2.2).
const SERIAL_MAX: usize = 20;

pub(crate) static FRONTEND_TLS: Schema = Schema {
    path: "frontend.NAME.tls",
    about: "TLS with the clients. All files are PEM, of at most 1 MiB each. The supervisor reads them, as the user that \
            started it (root, mostly), so that keys need be readable by nobody else; it looks each second whether they \
            have changed, and those that are right are used from the next connection on. A file that is wrong is told \
            (`perron events`), and what was there before stays in use.",
    keys: &[
        optional(
            "certificate",
            "path or list",
            "The certificate, then its chain and, if `key` is not given, its key. Of several, clients get the one for the \
             name that they ask for (SNI); the first, if they ask for none of them.",
        ),
        optional(
            "acme",
            "name or list",
            "Names to have a certificate for from the authority that `[acme]` says, instead of `certificate` or behind it.",
        ),
        optional("key", "path or list", "The key; of several certificates, one for each, in their order."),
        with("min-version", VERSION_FORM, "\"1.2\"", "The oldest version of TLS that is spoken."),
        says(
            "ciphers",
            form::TEXTS,
            "all that are held to be safe",
            "Cipher suites that may be used, the best first, such as `\"TLS_AES_256_GCM_SHA384\"`.",
        ),
        with(
            "client-certificate",
            "`\"none\"`, `\"optional\"`, `\"required\"`",
            "\"none\"",
            "Whether clients are asked for a certificate, and whether one without is served. A wrong one never is.",
        ),
        optional("client-ca", form::PATH, "The authorities that clients' certificates are checked by."),
        optional(
            "client-crl",
            form::PATH,
            "Their lists of revoked certificates; the list of each authority that has signed any.",
        ),
        says(
            "client-depth",
            "0 to 6",
            "6",
            "The most certificates between a client's and its authority's; 0: signed by the authority itself.",
        ),
        optional(
            "client-min-serial",
            "number or `\"0x…\"`",
            "Certificates with a smaller serial number are refused: all those issued before.",
        ),
        with(
            "export-certificate",
            form::BOOLEAN,
            "false",
            "Hand the client's whole certificate to the application (`SSL_CLIENT_CERT`).",
        ),
        with(
            "export-headers",
            form::BOOLEAN,
            "false",
            "Tell HTTP servers of the client's certificate in header fields (`SSL-Client-…`); a client's own such fields are removed.",
        ),
        optional(
            "user",
            "`\"subject.CN\"` …",
            "The part of the certificate that names the user (`REMOTE_USER`): `\"subject.CN\"`, `\"subject.UID\"`, \
             `\"subject.emailAddress\"`, `\"san.dns\"`, `\"san.email\"`, `\"san.uri\"`.",
        ),
        says(
            "ticket-secret",
            form::PATH,
            "one that each service makes for itself",
            "A file of at least 32 bytes that several directors share, so that each resumes the sessions that another began.",
        ),
        with(
            "clear-text",
            form::BOOLEAN,
            "false",
            "Whether clients that speak clear text at the same port are served; else they are told, in clear, and left.",
        ),
    ],
};

pub(crate) static SERVER_TLS: Schema = Schema {
    path: "backend.NAME.tls",
    about: "TLS with the servers, for a backend or one server: `true`, or a table with these keys. A server without a \
            word of it speaks TLS if one of its checks of type `https` asks its own port, with what that check says. Checks \
            of type `http` at its own port then ask by TLS too.",
    keys: &[
        says(
            "ca",
            form::PATH,
            "the authorities that this machine trusts",
            "PEM with the authorities that servers' certificates are checked by.",
        ),
        says("verify", form::BOOLEAN, "true", "Whether a certificate must be right."),
        says(
            "name",
            form::TEXT,
            "the host of its redirect-to, if that is https, else its address",
            "The name that it must have, and that is asked for (SNI).",
        ),
        optional("certificate", form::PATH, "PEM with what is shown to servers that ask for a certificate."),
        optional("key", form::PATH, "PEM with its key, if that is not in the same file."),
        with("min-version", VERSION_FORM, "\"1.2\"", "The oldest version of TLS that is spoken."),
    ],
};

const VERSION_FORM: &str = "`\"1.2\"`, `\"1.3\"`";

const VERSIONS: [(&str, Version); 2] = [("1.2", Version::Tls12), ("1.3", Version::Tls13)];

const USER_FIELDS: [(&str, UserField); 6] = [
    ("subject.CN", UserField::SubjectCn),
    ("subject.UID", UserField::SubjectUid),
    ("subject.emailAddress", UserField::SubjectEmail),
    ("san.dns", UserField::SanDns),
    ("san.email", UserField::SanEmail),
    ("san.uri", UserField::SanUri),
];

/// What stands in the names of suites of versions before 1.3 alone, the standard's names and OpenSSL's: those of 1.3 say
/// nothing of how keys are agreed on (RFC 8446 appendix B.4).
const OLDER: [&str; 2] = ["_WITH_", "ECDHE-"];

/// What only means something where clients are asked for a certificate.
const CLIENT_KEYS: [&str; 7] =
    ["client-ca", "client-crl", "client-depth", "client-min-serial", "export-certificate", "export-headers", "user"];

/// What only means something where requests are read.
const HTTP_KEYS: [&str; 3] = ["export-certificate", "export-headers", "user"];

/// Reads `[frontend.NAME.tls]`; `http`: whether requests are read.
pub(crate) fn frontend(mut section: Section<'_>, http: bool, cx: &mut Context) -> Option<ServerTls> {
    if !http {
        let help = "write mode = \"http\", or remove it";
        section.refuse(&HTTP_KEYS, "is for HTTP; this frontend relays bytes unread", help, cx);
    }
    let certificates = certificates(&mut section, cx);
    let oldest = section.choice("min-version", &VERSIONS, cx);
    let ciphers = ciphers(&mut section, oldest, cx);
    let (client, export_headers) = client(&mut section, cx);
    let tls = ServerTls {
        certificates,
        oldest,
        ciphers,
        http2: false,
        client,
        ticket_secret: section.optional("ticket-secret", cx),
        clear_too: section.value("clear-text", cx),
        export_headers,
    };
    (!tls.certificates.is_empty()).then_some(tls)
}

fn certificates(section: &mut Section<'_>, cx: &mut Context) -> Vec<CertificateFiles> {
    let asked_for = acme::certificate(section, cx).map(|certificate| CertificateFiles { certificate, key: None });
    let mut certificates = given(section, cx);
    certificates.extend(asked_for);
    certificates
}

fn given(section: &mut Section<'_>, cx: &mut Context) -> Vec<CertificateFiles> {
    let certificates = match section.has("acme") {
        true => section.optional::<Some1<PathBuf>>("certificate", cx),
        false => section.required("certificate", cx),
    };
    let certificates = certificates.map_or(Vec::new(), |Some1(paths)| paths);
    let keys = section.optional::<At<Some1<PathBuf>>>("key", cx);
    let Some(At { value: Some1(keys), span }) = keys else {
        return certificates.into_iter().map(|certificate| CertificateFiles { certificate, key: None }).collect();
    };
    if keys.len() != certificates.len() && !certificates.is_empty() {
        let (one, other) = (count(certificates.len(), "certificate"), count(keys.len(), "key"));
        cx.error(span, format!("there are {one} and {other}"))
            .help("write the key of each certificate, in the same order, or leave out key where the keys are in the same files");
    }
    let together = certificates.into_iter().zip(keys);
    together.map(|(certificate, key)| CertificateFiles { certificate, key: Some(key) }).collect()
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn ciphers(section: &mut Section<'_>, oldest: Version, cx: &mut Context) -> Vec<Cipher> {
    let Some(Some1(names)) = section.optional::<Some1<At<Line>>>("ciphers", cx) else {
        return Vec::new();
    };
    let known: Vec<&str> = Cipher::names().collect();
    let mut ciphers = Vec::new();
    for At { value: Line(name), span } in &names {
        match Cipher::named(name) {
            Some(cipher) => ciphers.push(cipher),
            None => {
                let near = suggest::nearest(name, &known).map(|near| format!("did you mean \"{near}\"? "));
                let help = format!("{}known: {}", near.unwrap_or_default(), known.join(", "));
                cx.error(*span, format!("unknown cipher suite \"{}\"", name.escape_debug())).help(help);
            }
        }
    }
    let newest_only = oldest == Version::Tls13 && !ciphers.is_empty();
    if let Some(first) = names.first()
        && newest_only
        && names.iter().all(|name| OLDER.iter().any(|older| name.value.0.contains(older)))
    {
        cx.error(first.span, "none of these suites is one of TLS 1.3, and nothing older is spoken here")
            .help("write such as \"TLS_AES_256_GCM_SHA384\", or min-version = \"1.2\"");
    }
    ciphers
}

/// What is asked of clients' certificates, and whether servers are told of them in header fields.
fn client(section: &mut Section<'_>, cx: &mut Context) -> (Option<ClientAuth>, bool) {
    let words = [("none", None), ("optional", Some(false)), ("required", Some(true))];
    let Some(required) = section.choice("client-certificate", &words, cx) else {
        let why = "says something of clients' certificates, and none is asked for";
        section.refuse(&CLIENT_KEYS, why, "write client-certificate = \"required\" or \"optional\"", cx);
        return (None, false);
    };
    let ca: Option<PathBuf> = section.optional("client-ca", cx);
    if ca.is_none() && !section.has("client-ca") {
        cx.error(section.span, "clients' certificates are asked for, and nothing says whose are right")
            .help("write client-ca = \"ca.pem\"");
    }
    let crl = section.optional("client-crl", cx);
    let depth = section.optional::<Whole<0, DEPTH_MAX>>("client-depth", cx).unwrap_or(Whole::of(DEPTH_MAX));
    let minimum_serial = section.optional::<Serial>("client-min-serial", cx).map(|Serial(bytes)| bytes);
    let export = section.value("export-certificate", cx);
    let export_headers = section.value("export-headers", cx);
    let user = section.optional::<UserField>("user", cx);
    let auth = ca.map(|ca| ClientAuth { required, ca, crl, depth: depth.get(), minimum_serial, user, export });
    (auth, export_headers)
}

/// A serial number: big-endian, without leading zeros.
struct Serial(Vec<u8>);

impl Read for Serial {
    fn read(node: &Node, cx: &mut Context) -> Option<Serial> {
        const HELP: &str = "write a number such as 4096, or hexadecimal digits such as \"0x1F3C\"";
        let bytes = match &node.value {
            Value::Integer(Some(number)) if *number >= 0 => number.to_be_bytes().to_vec(),
            Value::Text(text) => match text.strip_prefix("0x").and_then(hexadecimal) {
                Some(bytes) => bytes,
                None => {
                    cx.error(node.span, format!("\"{}\" is no serial number", text.escape_debug())).help(HELP);
                    return None;
                }
            },
            _ => return wrong(node, "a serial number", HELP, cx),
        };
        let bytes: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
        if bytes.len() > SERIAL_MAX {
            cx.error(node.span, format!("no certificate's serial number has more than {SERIAL_MAX} bytes"))
                .help("see those of yours with: openssl x509 -noout -serial -in client.pem");
            return None;
        }
        Some(Serial(bytes))
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    tls::authority::serial(digits).ok().filter(|_| !digits.contains(':'))
}

impl Read for UserField {
    fn read(node: &Node, cx: &mut Context) -> Option<UserField> {
        let Line(text) = Line::read(node, cx)?;
        let found = USER_FIELDS.iter().find(|(word, _)| *word == text).map(|(_, field)| *field);
        if found.is_none() {
            let known: Vec<String> = USER_FIELDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let message = format!("\"{}\" is no part of a certificate that names a user", text.escape_debug());
            cx.error(node.span, message).help(format!("known: {}", known.join(", ")));
        }
        found
    }
}

/// What a backend or a server says of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Clear text, and that is said.
    Clear,
    /// This.
    Tls(ClientTls),
}

/// Reads `tls` of a backend or a server: `true`, or a table; `None` if nothing is said.
pub(crate) fn server(owner: &mut Section<'_>, cx: &mut Context) -> Option<At<Wish>> {
    let entry = owner.entry("tls")?;
    let at = |value| Some(At { value, span: entry.span });
    match entry.node.value {
        Value::Boolean(false) => at(Wish::Clear),
        Value::Boolean(true) => at(Wish::Tls(ClientTls::default())),
        Value::Table(_) => {
            let section = owner.optional_section("tls", &SERVER_TLS, cx)?;
            at(Wish::Tls(client_tls(section, cx)))
        }
        _ => wrong(&entry.node, "true, false or a table", "write true, or { ca = \"ca.pem\" }", cx),
    }
}

fn client_tls(mut section: Section<'_>, cx: &mut Context) -> ClientTls {
    let certificate: Option<PathBuf> = section.optional("certificate", cx);
    let key: Option<At<PathBuf>> = section.optional("key", cx);
    if let (Some(key), false) = (&key, section.has("certificate")) {
        cx.error(key.span, "a key without its certificate").help("write certificate = \"client.pem\"");
    }
    let asked = Asked::read(&mut section, cx);
    ClientTls {
        certificate: certificate.map(|certificate| CertificateFiles { certificate, key: key.map(|key| key.value) }),
        oldest: section.choice("min-version", &VERSIONS, cx),
        ..asked.over(ClientTls::default())
    }
}

/// What connections to a server begin with: what is said of it, or what its checks say, with the name that clients know
/// it by if there is one.
pub(crate) fn of_server(wish: Option<&Wish>, checks: &[Template], redirect: Option<&Redirect>) -> Option<ClientTls> {
    let mut tls = match wish {
        Some(Wish::Clear) => return None,
        Some(Wish::Tls(tls)) => tls.clone(),
        None => checks.iter().find_map(Template::implied_tls)?,
    };
    if let Some(Redirect { place: Place { to, tls: true }, .. }) = redirect {
        tls.name.get_or_insert_with(|| certificate_name(&to.host));
    }
    Some(tls)
}

/// Reports a server whose certificate nobody says the name of.
pub(crate) fn check_name(tls: Option<&ClientTls>, address: &ServerAddress, span: Span, cx: &mut Context) {
    if let (Some(ClientTls { name: None, .. }), ServerAddress::Unix(_)) = (tls, address) {
        cx.error(span, "nothing says what name the certificate of a server on a unix socket has")
            .help("write tls = { name = \"server.example.org\" }");
    }
}

/// The name of a certificate: a host's, or an address.
struct Name(String);

impl Read for Name {
    fn read(node: &Node, cx: &mut Context) -> Option<Name> {
        let Line(text) = Line::read(node, cx)?;
        if text.parse::<IpAddr>().is_err() && !is_name_or_ipv4(&text) {
            cx.error(node.span, format!("\"{}\" is no name that a certificate could have", text.escape_debug()))
                .help("write a host's name, such as \"server.example.org\", or an address");
            return None;
        }
        Some(Name(certificate_name(&text)))
    }
}

/// A host as certificates and SNI name it (RFC 6066 section 3).
pub(crate) fn certificate_name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_owned()
}

/// What is asked of a server's certificate; `None`: not said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    ca: Option<PathBuf>,
    verify: Option<bool>,
    name: Option<String>,
}

impl Asked {
    /// Reads `ca`, `verify` and `name`.
    pub(crate) fn read(section: &mut Section<'_>, cx: &mut Context) -> Asked {
        let verify = section.optional("verify", cx);
        if let (Some(false), Some(entry)) = (verify, section.entry("ca")) {
            cx.error(entry.span, "an authority checks nothing where verify is false").help("remove one of the two");
        }
        let name = section.optional::<Name>("name", cx).map(|Name(name)| name);
        Asked { ca: section.optional("ca", cx), verify, name }
    }

    /// The same of a server that is known by another name.
    pub(crate) fn without_name(self) -> Asked {
        Asked { name: None, ..self }
    }

    /// `tls` with what is said here in the place of what it says.
    pub(crate) fn over(self, tls: ClientTls) -> ClientTls {
        ClientTls {
            ca: self.ca.or(tls.ca),
            verify: self.verify.unwrap_or(tls.verify),
            name: self.name.or(tls.name),
            ..tls
        }
    }
}
