//! What happens to the active director.

use clap::ValueEnum;

use super::director::Kind;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// kill -9 of all of it, and its link down
    Dead,
    /// kill -9 of all of it, its link up
    Killed,
    /// an orderly stop
    Stopped,
    /// its cable out
    Cut,
    /// all of it stopped by SIGSTOP
    Frozen,
    /// kill -9 of what serves, and of what is started in its place
    ServeDead,
    /// what serves stopped by SIGSTOP
    ServeFrozen,
}

impl Fault {
    pub(crate) const ALL: [Fault; 7] =
        [Fault::Dead, Fault::Killed, Fault::Stopped, Fault::Cut, Fault::Frozen, Fault::ServeDead, Fault::ServeFrozen];

    /// In the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Fault::Dead => "`kill -9` of all of it, its link down",
            Fault::Killed => "`kill -9` of all of it, its link up",
            Fault::Stopped => "orderly stop",
            Fault::Cut => "cable out",
            Fault::Frozen => "all of it frozen",
            Fault::ServeDead => "`serve` dead, and not coming back",
            Fault::ServeFrozen => "`serve` frozen",
        }
    }

    /// keepalived does not know what serves; scripts that tell it run each second at the most.
    pub(crate) fn is_known_to(self, kind: Kind) -> bool {
        kind == Kind::Perron || !matches!(self, Fault::ServeDead | Fault::ServeFrozen)
    }

    /// Whether the service of the director ends with it: nobody would notice a failover otherwise.
    pub(crate) fn ends_the_service(self) -> bool {
        !matches!(self, Fault::Stopped | Fault::Cut)
    }

    /// Tried at long intervals, too.
    pub(crate) fn matters_most(self) -> bool {
        matches!(self, Fault::Dead | Fault::Stopped)
    }
}
