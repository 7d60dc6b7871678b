//! Memory that outlives serving processes: which server each client was given.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use balance::Stick;
use config::Config;
use proxy::config::{StickBy, StickConfig};
use serde::{Deserialize, Serialize};

use super::Refusal;

/// One backend's table. It is kept while any configuration that is held has the backend with the same kind and size.
#[derive(Debug)]
pub(super) struct Table {
    kind: Kind,
    pub(super) memory: OwnedFd,
}

/// What makes two tables the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kind {
    backend: String,
    /// The cookie that clients are known by; `None`: by their addresses.
    cookie: Option<String>,
    size: u32,
}

/// A table and the number of its descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HeldTable {
    kind: Kind,
    memory: RawFd,
}

/// By backend: its table, one of those held or a new one.
pub(super) fn tables(config: &Config, held: &[Arc<Table>]) -> Result<Vec<Option<Arc<Table>>>, Refusal> {
    let table = |backend: &proxy::config::Backend| {
        let Some(stick) = &backend.stick else { return Ok(None) };
        let kind = Kind::of(&backend.name, stick);
        if let Some(table) = held.iter().find(|table| table.kind == kind) {
            return Ok(Some(Arc::clone(table)));
        }
        let memory = linux::shared_memory("perron-stick", Stick::words(kind.size)).map_err(|error| {
            Refusal::Failed(format!("there is no memory for backend {}'s stick-size: {error}", backend.name))
        })?;
        Ok(Some(Arc::new(Table { kind, memory })))
    };
    config.proxy.backends.iter().map(table).collect()
}

impl Kind {
    fn of(backend: &str, stick: &StickConfig) -> Kind {
        let cookie = match &stick.by {
            StickBy::Source => None,
            StickBy::Cookie(name) => Some(name.clone()),
        };
        Kind { backend: backend.to_owned(), cookie, size: stick.size }
    }
}

impl HeldTable {
    pub(super) fn new(table: &Table) -> HeldTable {
        HeldTable { kind: table.kind.clone(), memory: table.memory.as_raw_fd() }
    }

    pub(super) fn take_over(self) -> io::Result<Arc<Table>> {
        let memory = linux::inherited_descriptor(self.memory)?;
        Ok(Arc::new(Table { kind: self.kind, memory }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(backends: &str) -> Config {
        let text = format!("[frontend.f]\nbind = \"127.0.0.1:1\"\nbackend = \"a\"\n{backends}");
        let sources = config::Sources::from_texts(vec![("perron.toml".into(), text)], "/".into());
        config::load(&sources).unwrap().config
    }

    #[test]
    fn a_table_is_kept_while_its_backend_is_the_same() {
        let server = "server = [{ address = \"127.0.0.1:2\" }]\n";
        let open = |stick: &str, held: &[Arc<Table>]| {
            let text = format!("[backend.a]\n{stick}{server}[backend.b]\n{server}");
            tables(&config(&text), held).unwrap()
        };
        assert!(open("", &[]).iter().all(Option::is_none));
        let first = open("stick = \"source\"\n", &[]);
        assert!(first[1].is_none());
        let held = [Arc::clone(first[0].as_ref().unwrap())];
        let is_kept = |stick: &str| Arc::ptr_eq(open(stick, &held)[0].as_ref().unwrap(), &held[0]);
        assert!(is_kept("stick = \"source\"\nstick-ttl = \"1h\"\nbalance = \"random\"\n"));
        assert!(!is_kept("stick = \"source\"\nstick-size = 64\n"));
        assert!(!is_kept("stick = \"cookie:id\"\n"));
    }
}
