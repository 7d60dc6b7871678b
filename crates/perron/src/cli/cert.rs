use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) const EXAMPLES: &str = "\
Examples:
  perron cert authority /etc/perron/ca --name \"Lab\"
  perron cert server --authority /etc/perron/ca www.lab.example --ip 10.0.0.9
  perron cert client --authority /etc/perron/ca --user rapi-1
  perron cert revoke --authority /etc/perron/ca /etc/perron/ca/rapi-1.pem
  perron cert show /etc/perron/ca/www.lab.example.pem

An authority is a folder: ca.pem, which others trust (client-ca, ca), ca.key, which signs and which nobody else may \
read, and crl.pem, the list of what is revoked (client-crl). It is for a lab or a cluster of one's own: nobody outside \
knows it.";

/// `perron cert …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Cert {
    /// Make an authority: its certificate, its key, and an empty list of what is revoked.
    Authority {
        /// The folder, which is made if it is missing.
        folder: PathBuf,
        /// What it is called.
        #[arg(long, default_value = "Perron")]
        name: String,
        #[command(flatten)]
        making: Making<3650>,
    },
    /// Make a server's certificate and key.
    Server {
        #[command(flatten)]
        by: By,
        /// Its names; `*.example.org` is each name one below.
        #[arg(value_name = "NAME", required_unless_present = "addresses")]
        names: Vec<String>,
        /// Its address; more than once for several.
        #[arg(long = "ip", value_name = "ADDRESS")]
        addresses: Vec<IpAddr>,
        /// Where to write: PATH.pem and PATH.key [default: the authority's folder, by the first name].
        #[arg(long, value_name = "PATH")]
        out: Option<PathBuf>,
        #[command(flatten)]
        making: Making<365>,
    },
    /// Make a client's certificate and key.
    Client {
        #[command(flatten)]
        by: By,
        /// Who it is: the common name (`user = "subject.CN"`).
        #[arg(long, value_name = "NAME")]
        user: String,
        /// Where to write: PATH.pem and PATH.key [default: the authority's folder, by the user's name].
        #[arg(long, value_name = "PATH")]
        out: Option<PathBuf>,
        #[command(flatten)]
        making: Making<365>,
    },
    /// Add certificates to the authority's list of what is revoked, and write it anew.
    Revoke {
        #[command(flatten)]
        by: By,
        /// Their serial numbers, or the files with them; none: the list is only made valid for longer.
        #[arg(value_name = "SERIAL|FILE")]
        certificates: Vec<String>,
        /// For how many days the list is valid. It holds after that as well, and is told of.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=MAX_DAYS))]
        days: u32,
    },
    /// Say what certificates, keys and lists are in a file, and until when they are valid.
    Show {
        /// PEM.
        file: PathBuf,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

/// More is no date that certificates have.
const MAX_DAYS: i64 = 36_500;

/// Who signs.
#[derive(Debug, Args)]
pub(crate) struct By {
    /// The authority's folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) authority: PathBuf,
}

/// How a certificate is made.
#[derive(Debug, Args)]
pub(crate) struct Making<const DAYS: u32> {
    /// For how many days it is valid.
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=MAX_DAYS))]
    pub(crate) days: u32,
    /// A key of RSA, 2048 bits, instead of the elliptic curve P-256.
    #[arg(long)]
    pub(crate) rsa: bool,
    /// Write over files that exist.
    #[arg(long)]
    pub(crate) force: bool,
}
