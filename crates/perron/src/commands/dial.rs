//! How commands that ask servers come to them.

use std::fs;
use std::path::Path;

use anyhow::Context;
use client::Url;
use tls::config::{CertificateFiles, ClientTls};
use tls::{Connector, MACHINE_AUTHORITIES, Material, machine_authorities};

use crate::cli::Tls;

/// What a connection to `url` begins with; `None`: nothing, it is in clear text.
pub(super) fn connector(url: &Url, options: &Tls) -> anyhow::Result<Option<Connector>> {
    connector_to(url, options, true)
}

/// Likewise; who is there needs to be believed only if `verify` says so.
pub(super) fn connector_to(url: &Url, options: &Tls, verify: bool) -> anyhow::Result<Option<Connector>> {
    if !url.is_secure() {
        return Ok(None);
    }
    let mut material = Material::default();
    for path in [&options.ca, &options.cert, &options.key].into_iter().flatten() {
        material.insert(path.clone(), fs::read_to_string(path).with_context(|| path.display().to_string())?);
    }
    if options.ca.is_none() && verify {
        material.insert(Path::new(MACHINE_AUTHORITIES).to_owned(), machine_authorities()?);
    }
    let key = options.key.clone();
    let wanted = ClientTls {
        ca: options.ca.clone(),
        verify,
        certificate: options.cert.clone().map(|certificate| CertificateFiles { certificate, key }),
        ..ClientTls::default()
    };
    Ok(Some(Connector::new(&wanted, &material)?))
}

/// Runs a command that waits for the network.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
