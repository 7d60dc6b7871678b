//! The name service: begun, told of, ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use admin::model::{NameAddress, NameService};
use dns::Server;
use tokio::sync::{mpsc, watch};

use crate::event::{Event, Kind};
use crate::log::Level;

/// The name service, and the way to tell it what is up.
pub(super) struct Names {
    pub(super) server: Arc<Server>,
    up: watch::Sender<Option<BTreeSet<String>>>,
}

impl Names {
    /// The addresses that move are like this.
    pub(super) fn tell(&self, report: &failover::Report) {
        // A report without any is one that has not come yet.
        let up = (!report.vips.is_empty())
            .then(|| report.vips.iter().filter(|vip| vip.up).map(|vip| vip.name.clone()).collect::<BTreeSet<String>>());
        self.up.send_if_modified(|known| {
            let is_news = *known != up;
            *known = up;
            is_news
        });
    }
}

/// Answers at these sockets, if the configuration has a name to answer for.
pub(super) fn begin(
    config: &config::Config,
    sockets: dns::Sockets,
) -> anyhow::Result<(Option<Names>, mpsc::Receiver<dns::Event>)> {
    let Some(plan) = &config.dns else { return Ok((None, mpsc::channel(1).1)) };
    // Until somebody tells which addresses are up, all of them are answered.
    let (up, known) = watch::channel(None);
    let (server, events) = Server::start(plan, sockets, known)?;
    Ok((Some(Names { server: Arc::new(server), up }), events))
}

/// What happened to the name, for operators.
pub(super) fn event(event: dns::Event, server: &Server, generation: u64) -> Event {
    let name = server.status().name;
    let (level, kind, text) = match event {
        dns::Event::NoneUp => (Level::Warn, Kind::NameNoneUp, format!("no address of {name} is up: all are answered")),
        dns::Event::SomeUp => (Level::Info, Kind::NameUp, format!("an address of {name} is up again")),
    };
    Event::new(level, kind, &format!("dns/{name}"), generation, &text)
}

/// What the status says of it.
pub(super) fn status(server: &Server) -> NameService {
    let dns::Status { name, addresses, answers, dropped } = server.status();
    let answers = answers.into_iter().map(|(answer, count)| (answer.as_str().to_owned(), count));
    let dropped = dropped.into_iter().map(|(reason, count)| (reason.as_str().to_owned(), count));
    NameService {
        name,
        addresses: addresses
            .into_iter()
            .map(|(address, up)| NameAddress { address: address.to_string(), up })
            .collect(),
        answers: answers.collect::<BTreeMap<String, u64>>(),
        dropped: dropped.collect::<BTreeMap<String, u64>>(),
    }
}
