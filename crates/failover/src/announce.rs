//! Telling the network where addresses are.

use std::collections::VecDeque;
use std::net::IpAddr;

use wire::link::LinkFrame;
use wire::{arp, neighbour};

use crate::ground::Spot;

/// Frames that are sent before adverts are looked after again.
const BURST: usize = 64;

/// Frames that wait. Of more than this, a vip's later ones are not sent: its first round says where the addresses are.
const WAITING_MAX: usize = 65_536;

/// An address that is to be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) vip: usize,
    pub(crate) ip: IpAddr,
    pub(crate) spot: Spot,
}

/// Announcements that wait to be sent, a few at a time.
#[derive(Debug, Default)]
pub(crate) struct Announcements {
    waiting: VecDeque<Announcement>,
}

impl Announcement {
    /// The frame, and what it says is in it; `None` of interfaces that do without.
    pub(crate) fn frame(&self) -> Option<(LinkFrame, u16)> {
        let link = self.spot.link.as_ref()?;
        Some(match self.ip {
            IpAddr::V4(ip) => (arp::gratuitous(link, ip), arp::ETHERTYPE),
            // RFC 9568 §6.4.1: as a router, which it is for those who have it as their way out.
            IpAddr::V6(ip) => (neighbour::unsolicited(link, ip, true), neighbour::ETHERTYPE),
        })
    }
}

impl Announcements {
    /// Each of these so many times, all once before any twice. Interfaces that do without are passed over.
    pub(crate) fn add(&mut self, each: &[Announcement], repeat: u8) {
        for _ in 0..repeat {
            for announcement in each.iter().filter(|announcement| announcement.spot.link.is_some()) {
                if self.waiting.len() < WAITING_MAX {
                    self.waiting.push_back(*announcement);
                }
            }
        }
    }

    /// A vip has its addresses no more.
    pub(crate) fn forget(&mut self, vip: usize) {
        self.waiting.retain(|announcement| announcement.vip != vip);
    }

    /// Of another plan.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What is to be sent now.
    pub(crate) fn burst(&mut self) -> impl Iterator<Item = Announcement> + '_ {
        let count = self.waiting.len().min(BURST);
        self.waiting.drain(..count)
    }
}

#[cfg(test)]
mod tests;
