use std::collections::HashMap;

use proxy::config::{Answer, Mode, ProxyConfig, Zone};

use crate::binds;
use crate::context::Context;
use crate::diagnostics::Diagnostics;
use crate::names::{self, Names};
use crate::read::At;
use crate::reference::ROOT;
use crate::section::Section;
use crate::sections::backend::Balance;
use crate::sections::frontend::Forwarding;
use crate::sections::{acme, backend, boot, frontend, masters, name_service, process, stick, sync, vip, zone};
use crate::sources::{Sources, Span};
use crate::tree;
use crate::{BackendNotify, Config, Listen, Loaded};

/// Frontends, and backends: what a [`proxy::config::BackendIndex`] can point to.
const PARTS_MAX: usize = 1 << 16;

/// The racks of a large cluster.
const ZONES_MAX: usize = 1024;

/// Reads the whole text.
///
/// # Errors
/// Everything that is wrong with it, in its order, warnings among it.
pub fn load(sources: &Sources) -> Result<Loaded, Diagnostics> {
    let mut cx = Context::new(sources);
    let root = tree::read(sources, &mut cx);
    cx.names = Names::collect(&root);
    let start = Span { file: 0, start: 0, end: 0 };
    let section = Section::of(&root, start, &ROOT, String::new(), &mut cx);
    let config = read(section, &mut cx);
    binds::check_claims(&mut cx);
    if cx.errors() == 0 {
        names::warn_unused(&mut cx);
    }
    let diagnostics = cx.diagnostics();
    if diagnostics.errors() > 0 {
        return Err(diagnostics);
    }
    Ok(Loaded { config, warnings: diagnostics, defaults: cx.defaults })
}

fn read(mut root: Section<'_>, cx: &mut Context) -> Config {
    let (process, notify_fifo) = process::process(root.section("process", &process::PROCESS, cx), cx);
    let admin = process::admin(root.section("admin", &process::ADMIN, cx), cx);
    let mut proxy = ProxyConfig::default();
    let (mut checks, mut redirect_checks, mut delivers, mut balances) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut backend_notify = Vec::new();
    // Frontends refer to backends, so these come first; a broken one keeps its place.
    for (entry, section) in root.named("backend", &backend::BACKEND, cx) {
        if proxy.backends.len() == PARTS_MAX {
            cx.error(entry.span, format!("more than {PARTS_MAX} backends")).help("spread them over several directors");
        }
        let read = backend::backend(entry, section, cx);
        proxy.backends.push(read.backend);
        checks.push(read.checks);
        redirect_checks.push(read.redirect_checks);
        delivers.push(read.deliver);
        backend_notify.push(read.notify);
        balances.push(read.balance);
    }
    proxy.zones = zones(&mut root, cx);
    let authority = root.entry("acme").map_or(root.span, |entry| entry.span);
    cx.acme = root.optional_section("acme", &acme::ACME, cx).and_then(|section| acme::acme(section, cx));
    let (listens, mut forward) = frontends(&mut root, &mut proxy, &balances, cx);
    // Those that routes made have no checks, and redirect nobody.
    for application in std::mem::take(&mut cx.applications) {
        checks.push(vec![Vec::new(); application.servers.len()]);
        redirect_checks.push(vec![None; application.servers.len()]);
        backend_notify.push(BackendNotify::default());
        proxy.backends.push(application);
    }
    let acme = acme::finish(authority, cx);
    proxy.password_files = std::mem::take(&mut cx.password_files);
    check_deliveries(&proxy, &delivers, cx);
    check_balances(&proxy, &balances, cx);
    let peers = root.optional_section("peers", &stick::PEERS, cx);
    let peers = peers.and_then(|section| stick::peers(section, &proxy, cx));
    let (moving, dns) = moving(&mut root, cx);
    let (failover, watches, vip_notify, group_notify) = moving.finish();
    forward.sync = sync::finish(&failover, cx);
    later_parts(&mut root, cx);
    if !root.has("frontend") && !root.has("boot") && !root.has("vip") && !cx.broken {
        cx.warn(root.span, "there is no frontend: nothing will be served").help("write [frontend.NAME] with a bind");
    }
    let (parts, later) = (cx.parts(), cx.later_parts());
    Config {
        process,
        admin,
        listens,
        proxy,
        checks,
        redirect_checks,
        forward,
        handlers: std::mem::take(&mut cx.handlers),
        applications: std::mem::take(&mut cx.spawned),
        peers,
        failover,
        watches,
        vip_notify,
        group_notify,
        backend_notify,
        notify_fifo,
        dns,
        acme,
        parts,
        later,
    }
}

/// Where those listen that clients' connections come to, and what the kernel forwards for the others.
fn frontends(
    root: &mut Section<'_>,
    proxy: &mut ProxyConfig,
    balances: &[Balance],
    cx: &mut Context,
) -> (Vec<Listen>, ::forward::Plan) {
    let mut listens = Vec::new();
    let mut forward = Forwarding { balances, plan: ::forward::Plan::default() };
    for (entry, section) in root.named("frontend", &frontend::FRONTEND, cx) {
        if proxy.frontends.len() == PARTS_MAX {
            cx.error(entry.span, format!("more than {PARTS_MAX} frontends")).help("let one bind a list of addresses");
        }
        let name = At { value: entry.key.clone(), span: entry.span };
        frontend::frontend(&name, section, proxy, &mut listens, &mut forward, cx);
    }
    (listens, forward.plan)
}

fn zones(root: &mut Section<'_>, cx: &mut Context) -> Vec<Zone> {
    let mut zones = Vec::new();
    let mut networks = HashMap::new();
    for (entry, section) in root.named("zone", &zone::ZONE, cx) {
        if zones.len() == ZONES_MAX {
            cx.error(entry.span, format!("more than {ZONES_MAX} zones")).help("let one have a list of networks");
        }
        zones.push(zone::zone(entry, section, &mut networks, cx));
    }
    zones
}

/// Reports backends that redirect and that only bytes come to; `delivers` says where they do.
fn check_deliveries(proxy: &ProxyConfig, delivers: &[Option<Span>], cx: &mut Context) {
    for (index, span) in delivers.iter().enumerate() {
        let Some(span) = span else { continue };
        let here = |answer: &Answer| matches!(answer, Answer::Backend(backend) if usize::from(backend.0) == index);
        let mut leading = proxy.frontends.iter().filter(|frontend| {
            frontend.default.iter().any(here) || frontend.routes.iter().any(|route| here(&route.answer))
        });
        let Some(first) = leading.next() else { continue };
        if first.mode == Mode::Tcp && leading.all(|frontend| frontend.mode == Mode::Tcp) {
            cx.error(
                *span,
                format!("only TCP frontends such as \"{}\" lead here, and bytes cannot be redirected", first.name),
            )
            .help("remove it, or write mode = \"http\" in the frontend");
        }
    }
}

/// Reports backends that balance as only the kernel does and that clients' connections come to.
fn check_balances(proxy: &ProxyConfig, balances: &[Balance], cx: &mut Context) {
    for (index, balance) in balances.iter().enumerate().filter(|(_, balance)| balance.algorithm.is_none()) {
        let here = |answer: &Answer| matches!(answer, Answer::Backend(backend) if usize::from(backend.0) == index);
        let leading = proxy.frontends.iter().find(|frontend| {
            frontend.default.iter().any(here) || frontend.routes.iter().any(|route| here(&route.answer))
        });
        if let Some(frontend) = leading {
            let message = format!(
                "only the kernel balances by \"{}\", and frontend \"{}\" leads here",
                balance.word, frontend.name
            );
            cx.error(balance.span, message).help("write mode = \"forward\" there, or balance = \"round-robin\" here");
        }
    }
}

/// Addresses that move, and the name that has them.
fn moving(root: &mut Section<'_>, cx: &mut Context) -> (vip::Moving, Option<dns::Plan>) {
    let mut moving = vip::Moving::default();
    for (entry, section) in root.named("vip", &vip::VIP, cx) {
        vip::vip(entry, section, &mut moving, cx);
    }
    for (entry, section) in root.named("vip-group", &vip::GROUP, cx) {
        vip::group(entry, section, &mut moving, cx);
    }
    let dns = root.optional_section("dns", &name_service::DNS, cx);
    let dns = dns.and_then(|section| name_service::dns(section, &moving, cx));
    (moving, dns)
}

fn later_parts(root: &mut Section<'_>, cx: &mut Context) {
    if let Some(section) = root.optional_section("inventory", &masters::INVENTORY, cx) {
        masters::inventory(section, cx);
    }
    if let Some(section) = root.optional_section("masters", &masters::MASTERS, cx) {
        masters::masters(section, cx);
    }
    if let Some(section) = root.optional_section("boot", &boot::BOOT, cx) {
        boot::boot(section, cx);
    }
}
