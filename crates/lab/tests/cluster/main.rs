//! The cluster's one URL as `examples/cluster-http.toml` and `cluster-http-origin.toml` have it.

mod failover;
mod http;
mod https;
mod site;
