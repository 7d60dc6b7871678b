//! What the kernel forwards, as the supervisor knows it: what is wanted, and what came of it.

use serde::{Deserialize, Serialize};

use super::Supervisor;
use crate::event::{self, Kind};
use crate::log::Level;
use crate::messages::ToNetwork;

/// What is known of it. The next supervisor goes on with it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Forwarding {
    /// As the serving process said last; `None`: none has yet, and what is in the kernel stays.
    pub(super) table: Option<forward::Table>,
    /// As the process that keeps it there said last.
    pub(super) report: forward::Report,
}

impl Supervisor {
    /// Whether the kernel forwards for some frontends.
    pub(super) fn forwards(&self) -> bool {
        !self.current.config.forward.frontends.is_empty()
    }

    /// Another configuration is served: one without such frontends has nobody who would say that there are none.
    pub(super) fn forwarding_plan(&mut self) {
        if !self.forwards() && self.network.forwarding.table.take().is_some() && self.has_vips() {
            self.network.tell(ToNetwork::Forward(forward::Table::default()));
        }
    }

    /// The serving process said what is wanted.
    pub(in crate::supervisor) fn take_forwarding(&mut self, table: forward::Table) {
        if self.network.forwarding.table.as_ref() != Some(&table) {
            self.network.tell(ToNetwork::Forward(table.clone()));
            self.network.forwarding.table = Some(table);
        }
    }

    pub(super) fn take_forwarding_report(&mut self, report: forward::Report) {
        self.network.forwarding.report = report;
        self.answer_forwarding_askers();
    }

    /// Something happened to what is forwarded.
    pub(super) fn forwarded(&mut self, event: &forward::Event) {
        let severity = if event.trouble { Level::Warn } else { Level::Info };
        let subject = event.frontend.as_deref().unwrap_or("forwarding");
        let happened = event::Event::new(severity, Kind::Forward, subject, self.generation, &event.text);
        self.record.add(happened);
    }

    /// What the process is there for.
    pub(super) fn duty(&self) -> &'static str {
        match (self.has_vips(), self.forwards()) {
            (false, true) => "keeps what the kernel forwards",
            (true, true) => "moves the addresses and keeps what the kernel forwards",
            (_, false) => "moves the addresses",
        }
    }
}
