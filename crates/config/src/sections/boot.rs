use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use units::Network;

use crate::binds::{Claim, Transport};
use crate::context::Context;
use crate::read::{At, Line, Period, Some1, Whole};
use crate::schema::{Schema, form, optional, required, with};
use crate::section::Section;

pub(crate) static BOOT: Schema = Schema {
    path: "boot",
    about: "How nodes boot.",
    keys: &[
        required("url", "URL", "The one URL that the nodes load from.").later(),
        optional("dhcp", form::TABLE, "See `boot.dhcp`.").later(),
        optional("tftp", form::TABLE, "See `boot.tftp`.").later(),
        optional("nfs", form::TABLE, "See `boot.nfs`.").later(),
        optional("profile", "tables `[boot.profile.NAME]`", "What nodes boot; see `boot.profile`.").later(),
    ],
};

pub(crate) static DHCP: Schema = Schema {
    path: "boot.dhcp",
    about: "Addresses for nodes.",
    keys: &[
        required("interface", form::TEXT, "Where it listens.").later(),
        required("subnet", "network", "The nodes' network.").later(),
        optional("pool", "list: first and last `\"IP\"`", "Addresses for machines that the inventory gives none.").later(),
        optional("gateway", "`\"IP\"`", "The nodes' router.").later(),
        optional("dns", "`\"IP\"` or list", "The nodes' name servers.").later(),
        with("lease", form::TIME, "\"1h\"", "How long an address is lent.").later(),
        with("unknown-machines", "`\"ignore\"`, `\"discover\"`", "\"ignore\"", "What machines get that the inventory does not have: nothing, or they are recorded and booted into nothing.").later(),
    ],
};

pub(crate) static TFTP: Schema = Schema {
    path: "boot.tftp",
    about: "Files for firmware.",
    keys: &[
        required("bind", form::ADDRESS, "Where it listens.").later(),
        optional("root", form::PATH, "A tree served beside what is rendered.").later(),
    ],
};

pub(crate) static NFS: Schema = Schema {
    path: "boot.nfs",
    about: "Roots for nodes, read-only.",
    keys: &[
        required("bind", form::ADDRESS, "Where it listens.").later(),
        required("export", form::PATH, "The tree of images.").later(),
    ],
};

pub(crate) static PROFILE: Schema = Schema {
    path: "boot.profile.NAME",
    about: "What a node boots: an image, an installer (`kickstart`), or a waiting master (`master = true`).",
    keys: &[
        optional("image", "name of an image", "What it runs.").later(),
        optional("loader", "`\"grub\"`, `\"ipxe\"`", "What loads it.").later(),
        optional("root", "`\"nfs\"`, `\"http\"`", "Its root: mounted, or a squashfs loaded into memory.").later(),
        optional("overlay", "`\"tmpfs\"`, `\"disk\"`, `\"none\"`", "Where it writes.").later(),
        optional("bond", form::TABLE, "Interfaces bonded before the root is mounted; see `bond`.").later(),
        optional("kernel-arguments", form::TEXT, "More arguments of the kernel.").later(),
        optional("kickstart", form::PATH, "The installer's template.").later(),
        with("master", form::BOOLEAN, "false", "Boots from memory, fetches its key, calls back, waits.").later(),
    ],
};

pub(crate) static BOND: Schema = Schema {
    path: "boot.profile.NAME.bond",
    about: "Interfaces as one.",
    keys: &[
        with("name", form::TEXT, "\"bond0\"", "The bond's name.").later(),
        required("interfaces", "1 to 32", "How many.").later(),
        required("mode", "word", "The kernel's: `\"802.3ad\"`, `\"active-backup\"`, and so on.").later(),
    ],
};

/// Reads `[boot]`.
pub(crate) fn boot(mut section: Section<'_>, cx: &mut Context) {
    cx.later("boot: how nodes boot", section.span);
    if let Some(url) = section.required::<At<Line>>("url", cx)
        && !["http://", "https://"].iter().any(|scheme| url.value.0.starts_with(scheme))
    {
        cx.error(url.span, "this is no URL").help("write \"http://10.0.0.1\"");
    }
    if let Some(dhcp) = section.optional_section("dhcp", &DHCP, cx) {
        self::dhcp(dhcp, cx);
    }
    if let Some(mut tftp) = section.optional_section("tftp", &TFTP, cx) {
        cx.later("boot.tftp: TFTP", tftp.span);
        if let Some(bind) = tftp.required::<At<SocketAddr>>("bind", cx) {
            cx.claims.push(Claim::ip(Transport::Udp, &bind));
        }
        let _: Option<PathBuf> = tftp.optional("root", cx);
    }
    if let Some(mut nfs) = section.optional_section("nfs", &NFS, cx) {
        cx.later("boot.nfs: NFS", nfs.span);
        if let Some(bind) = nfs.required::<At<SocketAddr>>("bind", cx) {
            cx.claims.push(Claim::ip(Transport::Tcp, &bind));
        }
        let _: Option<PathBuf> = nfs.required("export", cx);
    }
    for (entry, profile) in section.named("profile", &PROFILE, cx) {
        cx.later(format!("boot.profile.{}: boot profiles", entry.key), entry.span);
        self::profile(profile, cx);
    }
}

fn dhcp(mut section: Section<'_>, cx: &mut Context) {
    cx.later("boot.dhcp: DHCP", section.span);
    let _: Option<Line> = section.required("interface", cx);
    let subnet: Option<Network> = section.required("subnet", cx);
    let pool: Option<Vec<At<IpAddr>>> = section.optional("pool", cx);
    let gateway: Option<At<IpAddr>> = section.optional("gateway", cx);
    let _: Option<Some1<IpAddr>> = section.optional("dns", cx);
    let _: Period = section.value("lease", cx);
    section.choice("unknown-machines", &[("ignore", ()), ("discover", ())], cx);
    if let Some(subnet) = subnet {
        for address in pool.iter().flatten().chain(&gateway).filter(|address| !subnet.contains(address.value)) {
            cx.error(address.span, format!("{} is not in the subnet {subnet}", address.value))
                .help("write an address of the subnet");
        }
    }
    match (pool.as_deref(), section.entry("pool")) {
        (Some([first, last]), _) if first.value > last.value => {
            cx.error(last.span, "the pool ends before it begins").help("write the lower address first");
        }
        (Some([_, _]) | None, _) | (_, None) => {}
        (_, Some(entry)) => {
            cx.error(entry.node.span, "a pool is two addresses").help("write [\"10.0.0.100\", \"10.0.0.200\"]");
        }
    }
}

fn profile(mut section: Section<'_>, cx: &mut Context) {
    let _: Option<Line> = section.optional("image", cx);
    section.optional_choice("loader", &[("grub", ()), ("ipxe", ())], cx);
    section.optional_choice("root", &[("nfs", ()), ("http", ())], cx);
    section.optional_choice("overlay", &[("tmpfs", ()), ("disk", ()), ("none", ())], cx);
    let _: Option<Line> = section.optional("kernel-arguments", cx);
    let _: Option<PathBuf> = section.optional("kickstart", cx);
    let master: bool = section.value("master", cx);
    if let Some(mut bond) = section.optional_section("bond", &BOND, cx) {
        let _: Line = bond.value("name", cx);
        let _: Option<Whole<1, 32>> = bond.required("interfaces", cx);
        let modes =
            ["802.3ad", "active-backup", "balance-rr", "balance-xor", "broadcast", "balance-tlb", "balance-alb"];
        if bond.entry("mode").is_none() {
            bond.missing("mode", cx);
        }
        bond.optional_choice("mode", &modes.map(|mode| (mode, ())), cx);
    }
    let boots = section.has("image") || section.has("kickstart") || master;
    if !boots && !cx.broken {
        cx.error(section.span, "this profile boots nothing").help("write image, kickstart or master = true");
    }
}
