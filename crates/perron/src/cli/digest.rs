use std::time::Duration;

use clap::Args;
use client::Url;

use super::{Tls, parse_duration};

pub(super) const DIGEST_EXAMPLES: &str = "\
Examples:
  perron digest http://10.0.0.1/version.html
  perron digest https://10.0.0.1/ --host www.example.org --name www.example.org --ca ca.pem
  perron digest http://10.0.0.1/ --json | jq -r .sha256

Both are of the page's body alone, as a server sends it to a check: MD5 is what keepalived's genhash prints. Either one is what \
a check of type http or https takes: { type = \"http\", path = \"/version.html\", digest = \"…\" }. Redirects are not followed.

Exit status: 0 printed; 1 the page could not be fetched; 2 wrong usage.";

/// `perron digest`.
#[derive(Debug, Args)]
pub(crate) struct Digest {
    /// The page: http:// or https://.
    #[arg(value_parser = Url::parse)]
    pub(crate) url: Url,
    /// The Host that is asked for [default: that of the URL].
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// The name that is asked for in TLS, and that the certificate must have [default: that of the URL].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Take any certificate, as keepalived does.
    #[arg(long, conflicts_with = "ca")]
    pub(crate) insecure: bool,
    /// Give up after so long.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) tls: Tls,
    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
