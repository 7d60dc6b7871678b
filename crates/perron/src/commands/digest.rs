//! `perron digest`: what a check of a page must find.

use std::process::ExitCode;

use anyhow::bail;
use check::{Digests, Target};
use data_encoding::HEXLOWER;

use super::{dial, print};
use crate::cli::Digest;

/// `perron digest`.
pub(crate) fn digest(options: &Digest) -> anyhow::Result<ExitCode> {
    let url = &options.url;
    let connector = dial::connector_to(url, &options.tls, !options.insecure)?;
    let connector = match connector {
        Some(connector) => Some(connector.named(options.name.as_deref())?),
        None => None,
    };
    let target = Target::Name { host: url.host().trim_matches(['[', ']']).to_owned(), port: url.port() };
    let host = options.host.as_deref().unwrap_or_else(|| url.authority());
    let found = dial::block_on(async {
        Ok(check::digests(&target, connector.as_ref(), url.target(), Some(host), options.timeout).await)
    })?;
    let (status, Digests { md5, sha256, length }) = match found {
        Ok(found) => found,
        Err(finding) => bail!("{url}: {finding}"),
    };
    let (md5, sha256) = (HEXLOWER.encode(&md5), HEXLOWER.encode(&sha256));
    if options.json {
        let value = serde_json::json!({ "status": status, "length": length, "md5": md5, "sha256": sha256 });
        print(&format!("{value}\n"))?;
    } else {
        print(&format!("status  {status}\nlength  {length}\nmd5     {md5}\nsha256  {sha256}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
