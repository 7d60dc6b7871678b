use forward_plan::{Endpoint, Key, Operation, Service};
use netlink::Error;

/// Something in the kernel that forwards.
pub trait Engine: Send {
    /// Which it is.
    fn kind(&self) -> forward_plan::Engine;

    /// The services that are there, others' among them. Those that are not as this engine makes them are left out: it
    /// makes them anew when it is asked to add them.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    fn observe(&mut self) -> Result<Vec<Service>, Error>;

    /// Whether all that [`observe`](Engine::observe) finds, and whatever else there is, is of this service: not where
    /// others use the engine as well.
    fn is_all_ours(&self) -> bool;

    /// Whether something is to be done that no operation says.
    fn is_stale(&self) -> bool {
        false
    }

    /// Makes these changes, in their order, of what [`observe`](Engine::observe) has found last.
    ///
    /// # Errors
    /// If the kernel refuses one; what was made of them is to be observed.
    fn apply(&mut self, operations: &[Operation]) -> Result<(), Error>;

    /// Ends the connections of destinations that are gone. Says how many there were, where that is known.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn end_connections(&mut self, gone: &[(Key, Endpoint)]) -> Result<u64, Error>;

    /// What destinations have had, as far as it is counted.
    ///
    /// # Errors
    /// If the kernel does not tell it.
    fn counts(&mut self) -> Result<Vec<Count>, Error>;

    /// What keeps the services from working as they are, in sentences.
    fn troubles(&mut self) -> Vec<String>;

    /// Leaves nothing of these services behind.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn remove(&mut self, ours: &[Key]) -> Result<(), Error> {
        let there: Vec<Key> = self.observe()?.into_iter().map(|service| service.key).collect();
        let gone = ours.iter().filter(|key| there.contains(key));
        let operations: Vec<Operation> = gone.map(|key| Operation::RemoveService { key: *key }).collect();
        self.apply(&operations)
    }
}

/// What a destination has had. What is `None` is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The service.
    pub key: Key,
    /// The destination.
    pub endpoint: Endpoint,
    /// Connections that are open both ways; of UDP, those with packets lately.
    pub active: u64,
    /// Other connections that are remembered.
    pub inactive: u64,
    /// New connections so far.
    pub connections: Option<u64>,
    /// Packets from clients so far.
    pub packets_in: Option<u64>,
    /// Packets to clients so far.
    pub packets_out: Option<u64>,
    /// Bytes from clients so far, with their IP headers.
    pub bytes_in: Option<u64>,
    /// Bytes to clients so far.
    pub bytes_out: Option<u64>,
}
