//! The files of TLS: which of them the configuration names, what is in them, and what is wrong with that.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use config::Config;
use rustix::fs::OFlags;
use tls::config::{CertificateFiles, ClientTls, ServerTls};
use tls::{Expiry, Finding, MACHINE_AUTHORITIES, Material, Severity};

/// The longest file that is read: some hundred authorities with what is written about each. A certificate with its chain
/// has some kilobytes.
pub(crate) const FILE_MAX: u64 = 1 << 20;

/// What all files may have together: each serving process keeps them, and they are handed over in one message.
pub(crate) const ALL_MAX: usize = 16 << 20;

/// What there is to say of [`Found::open_to_others`].
pub(crate) const OPEN_TO_OTHERS: &str =
    "others on this machine may read it, and there is a key or a secret in it; chmod o= it";

/// What begins with TLS, and which part of the configuration says so.
enum Use<'c> {
    Clients(&'c ServerTls),
    Server(&'c ClientTls),
}

impl Use<'_> {
    fn files(&self) -> Vec<&Path> {
        match self {
            Use::Clients(tls) => tls.files().collect(),
            Use::Server(tls) => tls.files().collect(),
        }
    }

    fn judge(&self, material: &Material, now: SystemTime) -> Vec<Finding> {
        match self {
            Use::Clients(tls) => tls::inspect(tls, material, now),
            Use::Server(tls) => tls::inspect_client(tls, material, now),
        }
    }
}

/// Files as they were found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) material: Material,
    /// By the paths of files that exist; as they were before they were read.
    pub(crate) stamps: BTreeMap<PathBuf, Option<Stamp>>,
    /// Files with keys or secrets that others on this machine may read.
    pub(crate) open_to_others: Vec<PathBuf>,
}

impl Found {
    /// What another had read; that the files have not changed since is not known.
    pub(crate) fn held(material: Material, named: &BTreeMap<PathBuf, String>) -> Found {
        let stamps = named.keys().map(|path| (path.clone(), None)).collect();
        Found { material, stamps, open_to_others: Vec::new() }
    }
}

/// What changes with a file, another one under the same name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file at `path`, at the end of all links; `None`: there is none, or it cannot be looked at.
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        std::fs::metadata(path).ok().as_ref().map(Stamp::from)
    }
}

impl From<&Metadata> for Stamp {
    fn from(data: &Metadata) -> Stamp {
        Stamp {
            device: data.dev(),
            inode: data.ino(),
            length: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

/// Every file that the configuration names, with the first part that does: `frontend.web.tls`.
pub(crate) fn named(config: &Config) -> BTreeMap<PathBuf, String> {
    let mut named = BTreeMap::new();
    for (part, used) in &uses(config) {
        for file in used.files() {
            named.entry(file.to_owned()).or_insert_with(|| part.clone());
        }
    }
    named
}

/// What begins with TLS, each once: servers that differ by their names alone need the same.
fn uses(config: &Config) -> Vec<(String, Use<'_>)> {
    let frontends = config.proxy.frontends.iter();
    let mut uses: Vec<_> = frontends
        .filter_map(|frontend| Some((format!("frontend.{}.tls", frontend.name), Use::Clients(frontend.tls.as_ref()?))))
        .collect();
    uses.extend(config.acme.iter().map(|acme| ("acme".to_owned(), Use::Server(&acme.tls))));
    let mut known: Vec<ClientTls> = Vec::new();
    for (at, backend) in config.proxy.backends.iter().enumerate() {
        for (place, server) in backend.servers.iter().enumerate() {
            let checks = config.checks[at][place].iter().chain(&config.redirect_checks[at][place]);
            let checks = checks.filter_map(|check| Some(("checks", check.tls.as_ref()?)));
            for (what, tls) in server.tls.iter().map(|tls| ("tls", tls)).chain(checks) {
                let nameless = ClientTls { name: None, ..tls.clone() };
                if !known.contains(&nameless) {
                    known.push(nameless);
                    let name = &backend.pool.servers[place].name;
                    uses.push((format!("backend.{}.server.{name}.{what}", backend.name), Use::Server(tls)));
                }
            }
        }
    }
    uses
}

/// Reads every file that the configuration names. Where an authority has yet to give a certificate, there is one that
/// nobody trusts.
pub(crate) fn read_of(config: &Config) -> Result<Found, String> {
    let mut named = named(config);
    let mut awaited = Vec::new();
    for (acme, wanted) in config.acme.iter().flat_map(|acme| acme.config.certificates.iter().map(move |it| (acme, it)))
    {
        let path = acme.file(&wanted.label);
        if Stamp::of(&path).is_none() && named.remove(&path).is_some() {
            awaited.push((path, &wanted.names));
        }
    }
    let mut found = read(&named)?;
    for (path, names) in awaited {
        let text = tls::placeholder(names).map_err(|error| format!("error: acme: {error}\n"))?;
        found.material.insert(path.clone(), text);
        found.stamps.insert(path, None);
    }
    Ok(found)
}

/// Reads these files; those that cannot be read are told in lines, all of them.
pub(crate) fn read(named: &BTreeMap<PathBuf, String>) -> Result<Found, String> {
    let mut found = Found::default();
    let (mut wrong, mut length) = (String::new(), 0);
    for (path, part) in named {
        let stamp = Stamp::of(path);
        match read_one(path) {
            Ok((text, mode)) => {
                length += text.len();
                if mode & 0o007 != 0 && is_secret(&text) {
                    found.open_to_others.push(path.clone());
                }
                found.material.insert(path.clone(), text);
                found.stamps.insert(path.clone(), stamp);
            }
            Err(why) => wrong += &format!("error: {part}: {}: {why}\n", path.display()),
        }
    }
    if length > ALL_MAX {
        wrong += &format!("error: all files of TLS together have more than {} MiB\n", ALL_MAX >> 20);
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

/// The text of one file, and who may read it; an error is a sentence that says what to do.
pub(crate) fn read_one(path: &Path) -> Result<(String, u32), String> {
    if path == Path::new(MACHINE_AUTHORITIES) {
        let text = tls::machine_authorities().map_err(|error| error.to_string())?;
        return Ok((text, 0));
    }
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    let file = file.map_err(|error| why_not(&error))?;
    let data = file.metadata().map_err(|error| why_not(&error))?;
    if data.is_dir() {
        return Err("it is a folder; name the file in it".to_owned());
    }
    if !data.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut text = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut text).map_err(|error| why_not(&error))?;
    if text.len() as u64 > FILE_MAX {
        return Err(format!("it has more than {} MiB; is it the right file?", FILE_MAX >> 20));
    }
    let text = String::from_utf8(text).map_err(
        |_| "it is no text; write PEM, which `openssl x509 -inform DER` or `openssl pkcs12 -nodes` make of other forms",
    )?;
    Ok((text, data.mode()))
}

fn why_not(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file; put it there, or name where it is".to_owned(),
        ErrorKind::PermissionDenied => {
            "this user may not read it; start the service as root, or give the file to the user that starts it"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// Whether it is for the eyes of the service alone.
fn is_secret(text: &str) -> bool {
    text.contains("PRIVATE KEY-----") || !text.contains("-----BEGIN ")
}

/// What there is to say of what these texts are to be used for, with the part of the configuration that does; each once.
pub(crate) fn judge(config: &Config, material: &Material, now: SystemTime) -> Vec<(String, Finding)> {
    let mut judged: Vec<(String, Finding)> = Vec::new();
    for (part, used) in uses(config) {
        for finding in used.judge(material, now) {
            if judged.iter().all(|(_, known)| *known != finding) {
                judged.push((part.clone(), finding));
            }
        }
    }
    judged
}

/// What became of texts that have changed.
#[derive(Debug, Default)]
pub(crate) struct Renewed {
    /// What is to be used from now on.
    pub(crate) material: Material,
    /// Why some of it is what it was before.
    pub(crate) refused: Vec<Finding>,
}

/// Takes over of `fresh` what can be used: all files of a part, or none of them. What is used elsewhere as well waits for
/// those parts too.
pub(crate) fn renew(config: &Config, material: &Material, fresh: &Material, now: SystemTime) -> Renewed {
    let uses = uses(config);
    let mut renewed = Renewed { material: overlaid(material, fresh.iter()), refused: Vec::new() };
    let mut kept: Vec<&Path> = Vec::new();
    for (_, used) in &uses {
        let errors = used.judge(&renewed.material, now).into_iter().filter(is_error);
        let errors: Vec<Finding> = errors.filter(|error| !renewed.refused.contains(error)).collect();
        if !errors.is_empty() {
            kept.extend(used.files());
            renewed.refused.extend(errors);
        }
    }
    if !kept.is_empty() {
        let rest = fresh.iter().filter(|(path, _)| !kept.contains(path));
        renewed.material = overlaid(material, rest);
        if judge(config, &renewed.material, now).iter().any(|(_, finding)| is_error(finding)) {
            renewed.material = material.clone();
        }
    }
    renewed
}

fn overlaid<'m>(below: &'m Material, above: impl Iterator<Item = (&'m Path, &'m str)>) -> Material {
    below.iter().chain(above).map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
}

/// Whether it cannot be used so.
pub(crate) fn is_error(finding: &Finding) -> bool {
    finding.severity == Severity::Error
}

/// The certificates that are shown to clients and servers, and until when they are valid; each file once.
pub(crate) fn shown(config: &Config, material: &Material) -> Vec<Expiry> {
    let mut files: Vec<CertificateFiles> = Vec::new();
    for (_, used) in uses(config) {
        let own: Vec<&CertificateFiles> = match used {
            Use::Clients(tls) => tls.certificates.iter().collect(),
            Use::Server(tls) => tls.certificate.iter().collect(),
        };
        for own in own {
            if files.iter().all(|known| known.certificate != own.certificate) {
                files.push(own.clone());
            }
        }
    }
    tls::expiries(&files, material)
}

#[cfg(test)]
mod tests;
