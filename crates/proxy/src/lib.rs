//! The front door's data path: accepts clients, routes their requests, relays them to servers.
//!
//! It opens no listening socket (they are handed to it), reads no file and knows no configuration text.

pub mod config;
