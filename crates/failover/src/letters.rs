use std::net::IpAddr;

use vrrp_proto::{Peers, Priority, VirtualRouter, multicast_group, write};

/// Adverts as they are sent, made when something in them changes and not when they are sent.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    made_for: Option<Priority>,
    each: Vec<(IpAddr, Vec<u8>)>,
}

impl Letters {
    /// After a change of the configuration: they are made anew.
    pub(crate) fn forget(&mut self) {
        self.made_for = None;
    }

    /// To each who is to have it, with this priority. Memory is taken for the first only.
    pub(crate) fn of(&mut self, router: &VirtualRouter, priority: Priority) -> &[(IpAddr, Vec<u8>)] {
        if self.made_for != Some(priority) {
            self.make(router, priority);
            self.made_for = Some(priority);
        }
        &self.each
    }

    fn make(&mut self, router: &VirtualRouter, priority: Priority) {
        let settings = router.config().settings();
        let group = [multicast_group(settings.addresses.as_addresses().family())];
        let to = match &settings.peers {
            Peers::Multicast => &group[..],
            Peers::Unicast(peers) => peers,
        };
        self.each.resize_with(to.len(), || (group[0], Vec::new()));
        for ((destination, bytes), &to) in self.each.iter_mut().zip(to) {
            *destination = to;
            bytes.clear();
            write(bytes, &router.advert(priority), settings.source, to);
        }
    }
}
