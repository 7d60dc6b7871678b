//! Which engines there are.

use crate::{Engine, Ipvs, Nftables};

/// Opens an engine, or says in a sentence why there is none.
pub(crate) fn open(kind: forward_plan::Engine) -> Result<Box<dyn Engine>, String> {
    match kind {
        forward_plan::Engine::Ipvs => match Ipvs::open() {
            Ok(engine) => Ok(Box::new(engine)),
            Err(netlink::Error::Absent { what, .. }) => Err(what),
            Err(error) => Err(format!("IPVS cannot be used: {error}")),
        },
        forward_plan::Engine::Nftables => match Nftables::open() {
            Ok(engine) => Ok(Box::new(engine)),
            Err(error) => Err(format!("nftables cannot be used: {error}")),
        },
    }
}
