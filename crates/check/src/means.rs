use tokio::sync::mpsc;

use crate::outside::Question;
use crate::ping::Pinger;

/// What checks need that is not each one's own.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// Who sends echo requests; without, nothing is found out by them.
    pub pinger: Option<Pinger>,
    /// Who runs programs and reads files; without, nothing is found out by them.
    pub asker: Option<mpsc::UnboundedSender<Question>>,
}
