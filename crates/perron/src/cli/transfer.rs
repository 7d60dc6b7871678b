use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use client::{Digest, Url};

use super::call::{Tls, parse_field};
use super::parse_duration;

pub(crate) const EXPORT_EXAMPLES: &str = "\
Examples:
  perron export disk.img https://other.example.org:1811/export/disk.img --ca ca.pem --cert me.pem --key me.key
  perron export disk.img URL --resume '/export/disk.img?upload=6f1d'
  zstd -c disk.img | perron export - URL

The server takes it as docs/transfers.md says. After a break it goes on where the server has it; with --resume, a later \
call does. The server compares SHA-256 before the file is in its place. What comes from standard input is sent once.

Exit status: 0 it is there; 1 it is not; 2 wrong usage.";

pub(crate) const IMPORT_EXAMPLES: &str = "\
Examples:
  perron import-data https://other.example.org:1811/export/disk.img /srv/disk.img --ca ca.pem --cert me.pem --key me.key
  perron import-data URL disk.img --parallel 8 --sha256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
  perron import-data https://node1:1811/transfers/7/contents disk.img --done
  perron import-data URL - | tar x

It is fetched into `.NAME.perron-import` beside its place and renamed when it is whole, verified and on the disk. After a \
break, or when this command is given again, it goes on with what is there if the file is still the same at the server.

Exit status: 0 it is there; 1 it is not; 2 wrong usage.";

/// What imports and exports have in common.
#[derive(Debug, Args)]
pub(crate) struct Way {
    /// A field of every request, such as \"X-Job: 7\"; more than once for several.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_field)]
    pub(crate) headers: Vec<(http::HeaderName, http::HeaderValue)>,
    #[command(flatten)]
    pub(crate) tls: Tls,
    /// Give up when nothing has moved for so long, with tries in between.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub(crate) patience: Duration,
    /// Show what came of it in JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `perron export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file; - for standard input.
    pub(crate) source: PathBuf,
    /// Where it is to be: http:// or https://, with the file's name.
    #[arg(value_parser = Url::parse)]
    pub(crate) url: Url,
    /// Go on where an earlier export stopped, which said where.
    #[arg(long, value_name = "PLACE")]
    pub(crate) resume: Option<String>,
    #[command(flatten)]
    pub(crate) way: Way,
}

/// `perron import-data`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// What to fetch: http:// or https://.
    #[arg(value_parser = Url::parse)]
    pub(crate) url: Url,
    /// Where it is to be; - for standard output.
    pub(crate) destination: PathBuf,
    /// Connections that fetch parts of it at once.
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) parallel: u16,
    /// Its SHA-256 must be this one [default: the one that the server tells, if it does].
    #[arg(long, value_name = "HEX", value_parser = parse_digest)]
    pub(crate) sha256: Option<Digest>,
    /// When it is there, tell the server by POST: `.../contents` becomes `.../done`.
    #[arg(long)]
    pub(crate) done: bool,
    #[command(flatten)]
    pub(crate) way: Way,
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    Digest::from_hex(text).ok_or_else(|| "write 64 hexadecimal digits, as sha256sum prints them".to_owned())
}
