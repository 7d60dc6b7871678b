//! Virtual routers beside keepalived's and under faults.

mod faults;
mod interop;
mod site;
