use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use client::{Separator, Url};

use super::parse_duration;

pub(crate) const CALL_EXAMPLES: &str = "\
Examples:
  perron call http://node1:1811/rpc/status
  perron call https://node1:1811/rpc/import --data @instance.json --ca ca.pem --cert me.pem --key me.key
  perron call http://node1:1811/rpc/x --json | jq .progress
  perron call http://node1:1811/events --separator events

Messages are JSON, one after the other: {\"progress\": 0.4} or {\"progress\": {\"done\": 3, \"total\": 8}}, either with a \
\"message\" if there is something to say, or a {\"message\": \"…\"} alone. The last one is the result: {\"success\": true, \
\"result\": …}, {\"success\": false, \"error\": …}, or [true, …] as Ganeti's daemons answer. It goes to standard output, all \
else to standard error; what is none of these is shown as it is.

Exit status: 0 success; 1 the result is a failure, there is none, or the server refuses; 2 wrong usage.";

/// `perron call`.
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// What to ask for: http:// or https://.
    #[arg(value_parser = Url::parse)]
    pub(crate) url: Url,
    /// Send this: text, usually JSON; `@FILE` what is in a file, `@-` what comes on standard input.
    #[arg(short, long, value_name = "JSON|@FILE")]
    pub(crate) data: Option<String>,
    /// The request's method [default: GET, or POST with --data].
    #[arg(short = 'X', long, value_name = "METHOD", value_parser = parse_method)]
    pub(crate) method: Option<http::Method>,
    /// A field of the request, such as \"X-Job: 7\"; more than once for several.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_field)]
    pub(crate) headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// What ends a message: a byte such as 0x03, `newline`, `events` (server-sent), or `auto`, which finds out.
    #[arg(long, value_name = "WHAT", default_value = "auto", value_parser = parse_separator)]
    pub(crate) separator: Wanted,
    /// Give up when nothing has come for so long: neither a message nor a heartbeat.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub(crate) patience: Duration,
    #[command(flatten)]
    pub(crate) tls: Tls,
    /// Show every message as one line of JSON on standard output, the result last.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What ends a message, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// What the answer looks like.
    Auto,
    /// This.
    Just(Separator),
}

/// Who the server must be, and who we are.
#[derive(Debug, Args)]
pub(crate) struct Tls {
    /// Believe servers whose certificates these authorities signed [default: those that this machine trusts].
    #[arg(long, value_name = "PEM")]
    pub(crate) ca: Option<PathBuf>,
    /// Show this certificate to a server that asks who we are.
    #[arg(long, value_name = "PEM")]
    pub(crate) cert: Option<PathBuf>,
    /// The certificate's key [default: in the same file].
    #[arg(long, value_name = "PEM", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

fn parse_method(text: &str) -> Result<http::Method, String> {
    text.parse().map_err(|_| "write a method, such as GET or POST".to_owned())
}

pub(super) fn parse_field(text: &str) -> Result<(http::HeaderName, http::HeaderValue), String> {
    let parsed = text.split_once(':').and_then(|(name, value)| Some((name.parse().ok()?, value.trim().parse().ok()?)));
    parsed.ok_or_else(|| "write NAME: VALUE, such as \"X-Job: 7\"".to_owned())
}

fn parse_separator(text: &str) -> Result<Wanted, String> {
    let byte = |hex| u8::from_str_radix(hex, 16).ok();
    match text {
        "auto" => Ok(Wanted::Auto),
        "newline" => Ok(Wanted::Just(Separator::Byte(b'\n'))),
        "events" => Ok(Wanted::Just(Separator::Events)),
        _ => text
            .strip_prefix("0x")
            .and_then(byte)
            .map(|byte| Wanted::Just(Separator::Byte(byte)))
            .ok_or_else(|| "write a byte such as 0x03, or newline, events or auto".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators() {
        assert_eq!(parse_separator("0x03"), Ok(Wanted::Just(Separator::Byte(3))));
        assert_eq!(parse_separator("0x0a"), parse_separator("newline"));
        assert_eq!(parse_separator("auto"), Ok(Wanted::Auto));
        for wrong in ["", "3", "0x", "0x103", "0xg", "lines"] {
            assert!(parse_separator(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields() {
        let field = |text| parse_field(text).map(|(name, value)| format!("{name}={}", value.to_str().unwrap()));
        assert_eq!(field("X-Job: 7"), Ok("x-job=7".to_owned()));
        assert_eq!(field("a:b: c"), Ok("a=b: c".to_owned()));
        for wrong in ["X-Job", "X Job: 7", "X: a\nb", ": x"] {
            assert!(field(wrong).is_err(), "{wrong}");
        }
    }
}
