use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::{Value, json};
use tls::authority::{self, Authority, Issued, KeyKind, Validity};
use tls::config::CertificateFiles;
use tls::describe::{Certificate, Revocations, Section, describe};
use tls::{Material, SetupError};
use units::Utc;

use super::print;
use crate::cli::{Cert, Making};
use crate::whole::{self, Readable};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `perron cert …`.
pub(crate) fn cert(what: Cert) -> anyhow::Result<ExitCode> {
    let done = match what {
        Cert::Authority { folder, name, making } => create(&folder, &name, &making),
        Cert::Server { by, names, addresses, out, making } => {
            let first = names.first().cloned().or_else(|| addresses.first().map(ToString::to_string));
            let out = out.unwrap_or_else(|| by.authority.join(file_name(&first.unwrap_or_default())));
            let sign = |authority: &Authority, kind, validity| authority.server(&names, &addresses, kind, validity);
            issue(&by.authority, &out, &making, sign)
        }
        Cert::Client { by, user, out, making } => {
            let out = out.unwrap_or_else(|| by.authority.join(file_name(&user)));
            issue(&by.authority, &out, &making, |authority, kind, validity| authority.client(&user, kind, validity))
        }
        Cert::Revoke { by, certificates, days } => revoke(&by.authority, &certificates, days),
        Cert::Show { file, json } => show(&file, json),
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // What no file is to blame for was asked for wrongly.
        Err(error) if matches!(error.downcast_ref(), Some(SetupError::Other(_))) => {
            eprintln!("perron: {error:#}");
            Ok(ExitCode::from(2))
        }
        Err(error) => Err(error),
    }
}

fn create(folder: &Path, name: &str, making: &Making<3650>) -> anyhow::Result<()> {
    let validity = validity(making.days);
    let issued = Authority::create(name, kind(making.rsa), validity)?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let files = authority_files(folder);
    write_pair(&files.certificate, &folder.join("ca.key"), &issued, making.force)?;
    let list = load(folder)?.revoke(None, &[], Validity { until: validity.now + 365 * DAY, ..validity })?;
    write(&folder.join("crl.pem"), &list, Readable::ByAll, true)?;
    print(&format!("the authority \"{name}\" is in {}: ca.pem is for others, ca.key for nobody\n", folder.display()))
}

fn issue<const DAYS: u32>(
    folder: &Path,
    out: &Path,
    making: &Making<DAYS>,
    sign: impl Fn(&Authority, KeyKind, Validity) -> Result<Issued, SetupError>,
) -> anyhow::Result<()> {
    let issued = sign(&load(folder)?, kind(making.rsa), validity(making.days))?;
    let (certificate, key) = (with_suffix(out, ".pem"), with_suffix(out, ".key"));
    write_pair(&certificate, &key, &issued, making.force)?;
    let (certificate, key) = (certificate.display(), key.display());
    print(&format!("{certificate} and {key} have serial number {} for {} days\n", issued.serial, making.days))
}

fn revoke(folder: &Path, certificates: &[String], days: u32) -> anyhow::Result<()> {
    let authority = load(folder)?;
    let mut serials = Vec::new();
    for text in certificates {
        let path = Path::new(text);
        let serial = match path.exists() {
            true => authority::serial_of(path, &material(&[path])?)?,
            false => authority::serial(text)?,
        };
        serials.push(serial);
    }
    let path = folder.join("crl.pem");
    let before = if path.exists() { Some(material(&[&path])?) } else { None };
    let before = before.as_ref().map(|material| (path.as_path(), material));
    let list = authority.revoke(before, &serials, validity(days))?;
    write(&path, &list, Readable::ByAll, true)?;
    let files = material(&[&path])?;
    let sections = describe(&path, &files)?;
    let revoked: usize = sections.iter().map(Section::revoked).sum();
    print(&format!("{} has {revoked} revoked\n", path.display()))
}

fn show(file: &Path, json: bool) -> anyhow::Result<()> {
    let sections = describe(file, &material(&[file])?)?;
    let now = SystemTime::now();
    if json {
        let sections: Vec<Value> = sections.iter().map(|section| as_json(section, now)).collect();
        return print(&format!("{:#}\n", json!({ "file": file, "sections": sections })));
    }
    let sections: Vec<String> = sections.iter().map(|section| as_text(section, now)).collect();
    print(&sections.join("\n"))
}

fn as_text(section: &Section, now: SystemTime) -> String {
    let mut text = String::new();
    // A string takes everything.
    let _ = match section {
        Section::Key => writeln!(text, "private key"),
        Section::Other => writeln!(text, "something else"),
        Section::Certificate(certificate) => {
            let Certificate { subject, issuer, serial, from, until, names, key, is_authority, purposes, fingerprint } =
                &**certificate;
            let kind = if *is_authority { "authority" } else { "certificate" };
            let purposes = if purposes.is_empty() { "any".to_owned() } else { purposes.join(", ") };
            writeln!(
                text,
                "{kind} {subject}\n  signed by    {issuer}\n  valid        {} to {}, {}\n  names        {}\n  purposes     \
                 {purposes}\n  key          {key}\n  serial       {serial}\n  fingerprint  {fingerprint}",
                moment(*from),
                moment(*until),
                left(*from, *until, now),
                if names.is_empty() { "none".to_owned() } else { names.join(", ") },
            )
        }
        Section::Revocations(Revocations { issuer, from, until, revoked }) => {
            let end =
                until.map_or("no end".to_owned(), |until| format!("{}, {}", moment(until), left(*from, until, now)));
            let head = writeln!(text, "revoked by {issuer}\n  valid        {} to {end}", moment(*from));
            revoked.iter().fold(head, |done, (serial, since)| {
                done.and_then(|()| writeln!(text, "  {serial} since {}", moment(*since)))
            })
        }
    };
    text
}

fn left(from: SystemTime, until: SystemTime, now: SystemTime) -> String {
    if now < from {
        return "not yet".to_owned();
    }
    match until.duration_since(now) {
        Ok(left) => format!("{} days left", left.as_secs() / DAY.as_secs()),
        Err(_) => "over".to_owned(),
    }
}

fn as_json(section: &Section, now: SystemTime) -> Value {
    match section {
        Section::Key => json!({ "kind": "key" }),
        Section::Other => json!({ "kind": "other" }),
        Section::Certificate(certificate) => json!({
            "kind": "certificate",
            "subject": certificate.subject,
            "issuer": certificate.issuer,
            "serial": certificate.serial,
            "from": moment(certificate.from),
            "until": moment(certificate.until),
            "valid": certificate.from <= now && now <= certificate.until,
            "names": certificate.names,
            "key": certificate.key,
            "authority": certificate.is_authority,
            "purposes": certificate.purposes,
            "fingerprint": certificate.fingerprint,
        }),
        Section::Revocations(list) => json!({
            "kind": "revocations",
            "issuer": list.issuer,
            "from": moment(list.from),
            "until": list.until.map(moment),
            "valid": list.from <= now && list.until.is_none_or(|until| now <= until),
            "revoked": list.revoked.iter().map(|(serial, since)| json!({ "serial": serial, "since": moment(*since) }))
                .collect::<Vec<_>>(),
        }),
    }
}

/// RFC 3339, to the second.
fn moment(at: SystemTime) -> String {
    let Utc { year, month, day, hour, minute, second, .. } = Utc::at(at.duration_since(UNIX_EPOCH).unwrap_or_default());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn validity(days: u32) -> Validity {
    let now = SystemTime::now();
    Validity { now, until: now + DAY * days }
}

fn kind(rsa: bool) -> KeyKind {
    if rsa { KeyKind::Rsa2048 } else { KeyKind::P256 }
}

fn authority_files(folder: &Path) -> CertificateFiles {
    CertificateFiles { certificate: folder.join("ca.pem"), key: Some(folder.join("ca.key")) }
}

fn load(folder: &Path) -> anyhow::Result<Authority> {
    let files = authority_files(folder);
    let material = material(&[&files.certificate, &folder.join("ca.key")])?;
    Ok(Authority::load(&files, &material)?)
}

fn material(paths: &[&Path]) -> anyhow::Result<Material> {
    let read = |path: &&Path| {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Ok((path.to_path_buf(), text))
    };
    paths.iter().map(read).collect()
}

/// A file's name for whoever is called so.
fn file_name(name: &str) -> String {
    let name = name.replacen("*.", "wildcard.", 1);
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._@-".contains(letter);
    let plain = name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect::<String>();
    // Neither hidden nor the authority itself.
    match plain.as_str() {
        "ca" | "crl" => format!("{plain}_"),
        _ if plain.starts_with('.') => format!("_{plain}"),
        _ => plain,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The key before the certificate, so that no certificate is without its key.
fn write_pair(certificate: &Path, key: &Path, issued: &Issued, force: bool) -> anyhow::Result<()> {
    for path in [certificate, key] {
        if !force && path.symlink_metadata().is_ok() {
            anyhow::bail!("{} exists already; --force writes over it", path.display());
        }
    }
    write(key, &issued.key, Readable::ByOwner, force)?;
    write(certificate, &issued.certificate, Readable::ByAll, force)
}

/// Whole or not at all, and never over what another has written meanwhile.
fn write(path: &Path, text: &str, readable: Readable, force: bool) -> anyhow::Result<()> {
    whole::write(path, text, readable, force).with_context(|| format!("writing {}", path.display()))
}
