//! What is wrong with certificates, or soon will be: for `perron check`, the log, and the metrics.
//!
//! A frontend does not start without a certificate that can be used ([`Severity::Error`]). It does start with one that
//! has expired ([`Severity::Warning`]): clients that insist see what is wrong, those that do not are served, and a
//! director that does not start would serve nobody.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use crate::acceptor::{Acceptor, certified_key};
use crate::by_name::host_names;
use crate::config::{CertificateFiles, ClientAuth, ClientTls, ServerTls};
use crate::connector::{Connector, MACHINE_AUTHORITIES};
use crate::error::SetupError;
use crate::identity::parse;
use crate::material::Material;
use crate::subject::rfc2253;
use crate::ticket::TicketSecret;
use crate::verify::{Verifier, roots};
use crate::{dates, pem};

/// How long before its end a certificate is told of: certificates of ACME are renewed a month ahead, so that one with
/// a fortnight left is one that something keeps from being renewed.
pub const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Right for some, and maybe not meant.
    Note,
    /// It works, and some clients will not take it, or all of them soon.
    Warning,
    /// It cannot be used.
    Error,
}

/// Something that an administrator should know of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file; `None`: no single one.
    pub path: Option<PathBuf>,
    /// What there is, without the file.
    pub text: String,
}

/// As errors are shown: the file first.
impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.path {
            Some(path) => write!(formatter, "{}: {}", path.display(), self.text),
            None => formatter.write_str(&self.text),
        }
    }
}

/// Until when a file's first certificate is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The file.
    pub path: PathBuf,
    /// Whose it is, as RFC 2253 writes it.
    pub subject: String,
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// The end.
    pub at: SystemTime,
}

/// What there is to say of a frontend's files at `now`; an error means that [`Acceptor::new`] fails.
pub fn inspect(wanted: &ServerTls, material: &Material, now: SystemTime) -> Vec<Finding> {
    let mut found = Findings { list: Vec::new(), now: seconds(now) };
    let mut shown: Vec<(bool, Vec<String>)> = Vec::new();
    for files in &wanted.certificates {
        match certified_key(files, material) {
            Ok(certified) => {
                let names = certified.cert.first().map(host_names).unwrap_or_default();
                let is_rsa = certified.key.algorithm() == rustls::SignatureAlgorithm::RSA;
                found.chain(&files.certificate, &certified.cert, true);
                let all_taken = |(rsa, taken): &(bool, Vec<String>)| {
                    *rsa == is_rsa && names.iter().all(|name| taken.contains(name))
                };
                if !names.is_empty() && shown.iter().any(all_taken) {
                    found.warn(&files.certificate, "it is never shown: an earlier one has all of its names");
                }
                shown.push((is_rsa, names));
            }
            Err(error) => found.error(error),
        }
    }
    if let Some(asked) = &wanted.client {
        found.asked(asked, material);
    }
    if let Some(Err(error)) = wanted.ticket_secret.as_ref().map(|path| TicketSecret::from_file(path, material)) {
        found.error(error);
    }
    // What no part of it has shown: that the parts do not go together.
    if !found.list.iter().any(|finding| finding.severity == Severity::Error) {
        let secret = TicketSecret::new(&[0; TicketSecret::MIN_LEN]);
        if let Err(error) = secret.and_then(|secret| Acceptor::new(wanted, material, &secret)) {
            found.error(error);
        }
    }
    found.list
}

/// What there is to say of what is needed for a server at `now`; an error means that [`Connector::new`] fails.
pub fn inspect_client(wanted: &ClientTls, material: &Material, now: SystemTime) -> Vec<Finding> {
    let mut found = Findings { list: Vec::new(), now: seconds(now) };
    if let Some(files) = &wanted.certificate {
        match certified_key(files, material) {
            Ok(certified) => found.chain(&files.certificate, &certified.cert, false),
            Err(error) => found.error(error),
        }
    }
    if wanted.verify {
        let path = wanted.ca.as_deref().unwrap_or(Path::new(MACHINE_AUTHORITIES));
        match pem::certificates(path, material).and_then(|all| roots(path, &all).map(|_| all)) {
            Ok(authorities) if wanted.ca.is_some() => found.authorities(path, &authorities),
            Ok(_) => {}
            Err(error) => found.error(error),
        }
    }
    if !found.list.iter().any(|finding| finding.severity == Severity::Error)
        && let Err(error) = Connector::new(wanted, material)
    {
        found.error(error);
    }
    found.list
}

/// Until when the certificates are valid that can be read.
pub fn expiries(certificates: &[CertificateFiles], material: &Material) -> Vec<Expiry> {
    let of = |files: &CertificateFiles| {
        let chain = pem::certificates(&files.certificate, material).ok()?;
        let first = parse(chain.first()?)?;
        Some(Expiry {
            path: files.certificate.clone(),
            subject: rfc2253(first.subject()),
            names: host_names(chain.first()?),
            at: dates::moment(first.validity().not_after),
        })
    };
    certificates.iter().filter_map(of).collect()
}

/// A certificate that somebody else has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// From when on it is right.
    pub from: SystemTime,
    /// Until when.
    pub until: SystemTime,
    /// The names of hosts that it is for, in lower case and in order.
    pub names: Vec<String>,
}

/// The first certificate of a PEM; `None` if there is none, or if it has signed itself.
pub fn issued(pem: &str) -> Option<Issued> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    let der = chain.first()?;
    let certificate = parse(der).filter(|certificate| certificate.issuer() != certificate.subject())?;
    let (from, until) = (certificate.validity().not_before, certificate.validity().not_after);
    Some(Issued { from: dates::moment(from), until: dates::moment(until), names: host_names(der) })
}

/// Whether one of a frontend's certificates is for this name, in lower case: for the hosts that its routes name.
pub fn covers(wanted: &ServerTls, material: &Material, name: &str) -> bool {
    let wildcard = name.split_once('.').map(|(_, domain)| format!("*.{domain}"));
    wanted.certificates.iter().any(|files| {
        let chain = pem::certificates(&files.certificate, material).unwrap_or_default();
        let names = chain.first().map(host_names).unwrap_or_default();
        names.iter().any(|have| have == name || Some(have) == wildcard.as_ref())
    })
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

struct Findings {
    list: Vec<Finding>,
    now: i64,
}

impl Findings {
    fn add(&mut self, severity: Severity, path: &Path, text: impl Into<String>) {
        self.list.push(Finding { severity, path: Some(path.to_owned()), text: text.into() });
    }

    fn warn(&mut self, path: &Path, text: impl Into<String>) {
        self.add(Severity::Warning, path, text);
    }

    fn error(&mut self, error: SetupError) {
        let (path, text) = match error {
            SetupError::Absent(path) => (Some(path), "the file was not read".to_owned()),
            SetupError::Content { path, what } => (Some(path), what),
            SetupError::Other(what) => (None, what),
        };
        self.list.push(Finding { severity: Severity::Error, path, text });
    }

    /// A certificate that is shown, and those after it.
    fn chain(&mut self, path: &Path, chain: &[CertificateDer<'static>], is_server: bool) {
        let parsed: Vec<_> = chain.iter().map(parse).collect();
        for (place, certificate) in parsed.iter().enumerate() {
            let Some(certificate) = certificate else {
                self.warn(path, format!("certificate {} in it is not readable", place + 1));
                continue;
            };
            self.validity(path, &called(certificate, place), certificate);
        }
        for (place, pair) in parsed.windows(2).enumerate() {
            if let [Some(certificate), Some(next)] = pair
                && certificate.issuer().as_raw() != next.subject().as_raw()
            {
                let (wrong, right) = (rfc2253(next.subject()), rfc2253(certificate.issuer()));
                self.warn(
                    path,
                    format!("certificate {} in it is of \"{wrong}\", and \"{right}\" should come there", place + 2),
                );
            }
        }
        if let Some(Some(last)) = parsed.last()
            && last.issuer().as_raw() != last.subject().as_raw()
        {
            let issuer = rfc2253(last.issuer());
            self.add(
                Severity::Note,
                path,
                format!("its chain ends before \"{issuer}\": right if that is the authority that the others trust, else add its certificate"),
            );
        }
        if let (Some(Some(first)), Some(der)) = (parsed.first(), chain.first()) {
            self.purpose(path, first, der, is_server);
        }
    }

    fn validity(&mut self, path: &Path, called: &str, certificate: &X509Certificate<'_>) {
        let (from, until) = (certificate.validity().not_before, certificate.validity().not_after);
        let (from_day, until_day) = (dates::day(from), dates::day(until));
        if self.is_after(until) {
            self.warn(path, format!("{called} has expired, on {until_day}"));
        } else if self.now < from.timestamp() {
            self.warn(path, format!("{called} is not valid yet: it is from {from_day} on"));
        } else if until.timestamp() - self.now < i64::try_from(EXPIRES_SOON.as_secs()).unwrap_or(i64::MAX) {
            let days = (until.timestamp() - self.now) / (24 * 60 * 60);
            let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
            self.warn(path, format!("{called} expires in {days}, on {until_day}"));
        }
    }

    fn is_after(&self, end: ASN1Time) -> bool {
        self.now > end.timestamp()
    }

    fn purpose(&mut self, path: &Path, first: &X509Certificate<'_>, der: &CertificateDer<'_>, is_server: bool) {
        if let Ok(Some(usage)) = first.extended_key_usage() {
            let is_for = if is_server { usage.value.server_auth } else { usage.value.client_auth };
            if !is_for && !usage.value.any {
                let whose = if is_server { "servers" } else { "clients" };
                self.warn(path, format!("it is not for {whose} (extended key usage)"));
            }
        }
        if is_server && !matches!(first.subject_alternative_name(), Ok(Some(_))) {
            let text = match host_names(der).first() {
                Some(name) => format!("it has its name, {name}, as a common name only, where clients do not look"),
                None => "it is for no name (subject alternative name), so no client takes it".to_owned(),
            };
            self.warn(path, text);
        }
    }

    fn authorities(&mut self, path: &Path, authorities: &[CertificateDer<'static>]) {
        for (place, authority) in authorities.iter().enumerate() {
            let Some(parsed) = parse(authority) else { continue };
            self.validity(path, &called(&parsed, place), &parsed);
            if !parsed.is_ca() {
                self.warn(path, format!("\"{}\" in it is no authority (basic constraints)", rfc2253(parsed.subject())));
            }
        }
    }

    /// What is asked of clients.
    fn asked(&mut self, asked: &ClientAuth, material: &Material) {
        let authorities = match pem::certificates(&asked.ca, material) {
            Ok(authorities) => authorities,
            Err(error) => return self.error(error),
        };
        if let Err(error) = Verifier::new(&std::sync::Arc::new(asked.clone()), material) {
            return self.error(error);
        }
        self.authorities(&asked.ca, &authorities);
        if let Some(crl) = &asked.crl {
            let lists = pem::revocations(crl, material).unwrap_or_default();
            let lists: Vec<_> =
                lists.iter().filter_map(|list| CertificateRevocationList::from_der(list).ok()).collect();
            self.revocations(crl, &asked.ca, lists.iter().map(|(_, list)| list), &authorities);
        }
    }

    fn revocations<'a>(
        &mut self,
        path: &Path,
        ca: &Path,
        lists: impl Iterator<Item = &'a CertificateRevocationList<'a>>,
        authorities: &[CertificateDer<'static>],
    ) {
        let authorities: Vec<_> = authorities.iter().filter_map(parse).collect();
        let mut issuers = Vec::new();
        for list in lists {
            let issuer = rfc2253(list.issuer());
            if let Some(end) = list.next_update().filter(|end| self.is_after(*end)) {
                self.warn(
                    path,
                    format!("the list of \"{issuer}\" is out of date since {}; it still holds", dates::day(end)),
                );
            }
            if self.now < list.last_update().timestamp() {
                self.warn(path, format!("the list of \"{issuer}\" is from {}", dates::day(list.last_update())));
            }
            if !authorities.iter().any(|authority| authority.subject().as_raw() == list.issuer().as_raw()) {
                self.add(
                    Severity::Note,
                    path,
                    format!("\"{issuer}\", whose list is in it, is not in {}", ca.display()),
                );
            }
            issuers.push(list.issuer().as_raw());
        }
        for authority in authorities {
            if !issuers.contains(&authority.subject().as_raw()) {
                let subject = rfc2253(authority.subject());
                self.warn(path, format!("there is no list of \"{subject}\" in it, so all of its clients are refused"));
            }
        }
    }
}

fn called(certificate: &X509Certificate<'_>, place: usize) -> String {
    if place == 0 { "it".to_owned() } else { format!("\"{}\" in it", rfc2253(certificate.subject())) }
}

#[cfg(test)]
mod tests;
