//! The program: its command line, its supervisor, and the process that carries the traffic.

mod beats;
mod certificates;
mod cgi;
mod cli;
mod commands;
mod control;
mod demo;
mod event;
mod log;
mod messages;
mod network;
mod quickstart;
mod serve;
mod supervisor;
mod whole;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(options) => supervisor::run(options),
        Command::Check(options) => commands::check(&options),
        Command::Status(options) => commands::status(&options),
        Command::Top(options) => commands::top(&options),
        Command::Events(options) => commands::events(&options),
        Command::Server(change) => commands::server(change),
        Command::Vip(what) => commands::vip(what),
        Command::Reload(client) => commands::reload(&client),
        Command::Upgrade(options) => commands::upgrade(&options),
        Command::Stop(client) => commands::stop(&client),
        Command::Call(options) => commands::call(&options),
        Command::Export(options) => commands::export(options),
        Command::ImportData(options) => commands::import(options),
        Command::Capture(options) => commands::capture(&options),
        Command::Digest(options) => commands::digest(&options),
        Command::Cert(what) => commands::cert(what),
        Command::Demo(options) => demo::run(&options),
        Command::Completions { shell } => commands::completions(shell),
        Command::Man { folder } => commands::man(&folder),
        Command::Serve => commands::serve(),
        Command::Network => commands::network(),
        Command::CgiBridge(options) => cgi::run(options).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("perron: {error:#}");
        ExitCode::FAILURE
    })
}
