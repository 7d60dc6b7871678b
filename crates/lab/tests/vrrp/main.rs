//! Virtual routers beside keepalived's and under faults.

mod interop;
mod site;
