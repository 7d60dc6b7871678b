//! A module for each part of the language: its schema, and the reading of it.

pub(crate) mod answer;
pub(crate) mod backend;
pub(crate) mod boot;
pub(crate) mod check;
pub(crate) mod class;
pub(crate) mod deliver;
pub(crate) mod fastcgi;
pub(crate) mod files;
pub(crate) mod forward;
pub(crate) mod frontend;
pub(crate) mod headers;
pub(crate) mod http;
pub(crate) mod masters;
pub(crate) mod name_service;
pub(crate) mod process;
pub(crate) mod proxy_header;
pub(crate) mod rate;
pub(crate) mod redirect_to;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod stick;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod users;
pub(crate) mod vip;
pub(crate) mod zone;
