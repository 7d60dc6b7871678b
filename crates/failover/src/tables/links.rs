//! Interfaces of our own, and settings of others', without which addresses on them do harm.

use netlink::{Family, HardwareAddress, promotes_secondaries, set_promote_secondaries, set_setting};
use vrrp_proto::virtual_mac;

use super::Tables;
use crate::Vip;
use crate::ground::macvlan_name;
use crate::wanted::{is_our_macvlan, macvlan};

impl Tables {
    /// Macvlans, and settings of interfaces, without which addresses on them do harm.
    pub(super) fn prepare_links(&mut self) {
        let plan = self.plan.clone();
        for vip in plan.vips.iter().filter(|vip| vip.virtual_mac) {
            let parent = self.links.iter().find(|link| link.name == vip.interface);
            let Some((index, is_there)) = parent.map(|link| (link.index, macvlan(vip, &self.links).is_some())) else {
                continue;
            };
            if !is_there && let Err(error) = self.make_macvlan(vip, index) {
                self.trouble(error);
            }
        }
        for vip in &plan.vips {
            for address in vip.all_addresses().filter(|address| address.ip.is_ipv4() && address.prefix < 32) {
                let name = address.interface.as_ref().unwrap_or(&vip.interface);
                self.promote_secondaries(name);
            }
        }
    }

    /// When an address goes that stands for its network, the kernel takes others of that network along, unless it is told
    /// not to: an administrator's, or other vips'.
    fn promote_secondaries(&self, interface: &str) {
        if !self.links.iter().any(|link| link.name == interface) || promotes_secondaries(interface).unwrap_or(true) {
            return;
        }
        if let Err(error) = set_promote_secondaries(interface, true) {
            self.trouble(format!("net.ipv4.conf.{interface}.promote_secondaries cannot be set: {error}"));
        }
    }

    /// It is down until the vip is active. Neither it nor its parent answers for the other's addresses, and it takes what
    /// comes from hosts whose way back is the parent.
    fn make_macvlan(&mut self, vip: &Vip, parent: u32) -> Result<(), String> {
        let name = macvlan_name(vip, parent);
        let mac = virtual_mac(vip.family(), vip.vrid);
        let hardware = HardwareAddress::new(&mac).ok_or("a MAC address has six bytes")?;
        self.kernel.create_macvlan(&name, parent, hardware).map_err(|error| error.to_string())?;
        let link = self.kernel.link(&name).map_err(|error| error.to_string())?;
        self.links.extend(link);
        let settings = [
            (name.as_str(), "arp_ignore", 1),
            (&name, "accept_local", 1),
            // Loose: 0 would become the strict 1 where that is set for all.
            (&name, "rp_filter", 2),
            (&vip.interface, "arp_ignore", 1),
            (&vip.interface, "arp_filter", 1),
        ];
        for (interface, setting, value) in settings {
            set_setting(Family::Ipv4, interface, setting, value)
                .map_err(|error| format!("net.ipv4.conf.{interface}.{setting} cannot be set: {error}"))?;
        }
        Ok(())
    }

    /// Of vips that are no more, here or in a process before.
    pub(super) fn stale_macvlans(&self) -> impl Iterator<Item = u32> {
        let wanted: Vec<u32> =
            self.plan.vips.iter().filter_map(|vip| macvlan(vip, &self.links)).map(|link| link.index).collect();
        let stale = self.links.iter().filter(move |link| is_our_macvlan(link) && !wanted.contains(&link.index));
        stale.map(|link| link.index).collect::<Vec<_>>().into_iter()
    }
}
