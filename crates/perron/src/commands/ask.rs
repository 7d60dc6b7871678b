use std::path::PathBuf;
use std::process::ExitCode;

use admin::Command;
use units::AdminState;

use crate::cli::{Client, Server, ServerName, Upgrade};
use crate::control::{self, Answer, Request};

/// `perron reload`.
pub(crate) fn reload(client: &Client) -> anyhow::Result<ExitCode> {
    ask(client, &Request::Reload, |answer| match answer["generation"].as_u64() {
        Some(generation) => println!("reloaded: generation {generation} serves"),
        None => println!("reloaded"),
    })
}

/// `perron upgrade`.
pub(crate) fn upgrade(options: &Upgrade) -> anyhow::Result<ExitCode> {
    // The service stands in another folder.
    let binary = options.binary.as_deref().map(std::path::absolute).transpose()?;
    ask(&options.client, &Request::Upgrade { binary }, |answer| {
        let word = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        println!("upgraded: {} \u{2192} {}, generation {} serves", word("from"), word("to"), answer["generation"]);
    })
}

/// `perron stop`.
pub(crate) fn stop(client: &Client) -> anyhow::Result<ExitCode> {
    ask(client, &Request::Stop, |_| println!("stopped"))
}

/// `perron server …`.
pub(crate) fn server(change: Server) -> anyhow::Result<ExitCode> {
    let (name, told, command) = match change {
        Server::Drain(name) => set_admin(name, AdminState::Drain, "finishes what it has and gets nothing new"),
        Server::Maintenance(name) => set_admin(name, AdminState::Maintenance, "is in maintenance"),
        Server::Ready(name) => set_admin(name, AdminState::Ready, "serves when its checks pass"),
        Server::Weight { name, weight } => {
            let (backend, server) = name.server.clone();
            (name, format!("has weight {weight}"), Command::SetWeight { backend, server, weight })
        }
    };
    let (backend, server) = &name.server;
    ask(&name.client, &Request::Server(command), |_| println!("{backend}/{server} {told}"))
}

/// Asks a service, and shows its refusal or what `show` makes of its answer.
pub(super) fn ask(
    client: &Client,
    request: &Request,
    show: impl FnOnce(&serde_json::Value),
) -> anyhow::Result<ExitCode> {
    match control::ask(&socket(client), request)? {
        Answer::Done(answer) => {
            show(&answer);
            Ok(ExitCode::SUCCESS)
        }
        Answer::Failed(why) => {
            eprintln!("perron: {why}");
            Ok(ExitCode::FAILURE)
        }
        Answer::Wrong(why) => {
            eprintln!("{}", why.trim_end());
            Ok(ExitCode::from(2))
        }
    }
}

fn socket(client: &Client) -> PathBuf {
    client.control.control.clone().unwrap_or_else(control::default_path)
}

fn set_admin(name: ServerName, admin: AdminState, told: &str) -> (ServerName, String, Command) {
    let (backend, server) = name.server.clone();
    (name, told.to_owned(), Command::SetAdmin { backend, server, admin })
}
