use http_proto::Condition;
use proxy::config::{Answer, Route};
use units::Network;

use crate::context::Context;
use crate::read::{At, Read, Some1, wrong};
use crate::schema::{Key, Schema, form, optional};
use crate::section::Section;
use crate::sections::answer::{self, Given};
use crate::sections::http::{Host, Method, RoutePath, check_field_name};
use crate::sections::users::{self, Known};
use crate::sections::{basic_auth, files, headers, rate, shape, stream};
use crate::tree::{Node, Value};

const KEYS: [Key; 21] = {
    let [backend, redirect, respond, files, health, fastcgi, cgi] = answer::keys();
    [
        optional(
            "path",
            "path or list",
            "The request's path, decoded, is below one of these: `/rpc` is `/rpc` and `/rpc/x`, not `/rpcx`.",
        ),
        optional("path-exact", "path or list", "The request's path, decoded, is one of these."),
        optional("host", form::TEXTS, "The Host, without its port, is one of these; `*.example.org` is all below it."),
        optional("method", form::TEXTS, "The method is one of these."),
        optional(
            "header",
            "table",
            "These fields are there (`{ X-Debug = true }`) or have these values (`{ X-Site = \"a\" }`).",
        ),
        optional("client", form::NETWORKS, "The client's address is in one of these."),
        backend,
        redirect,
        respond,
        files,
        health,
        fastcgi,
        cgi,
        rate::route_key(),
        stream::route_key(),
        optional("request-headers", form::TABLE, "Changes to the request, after the frontend's."),
        optional("response-headers", form::TABLE, "Changes to the answer, after the frontend's."),
        users::route_key(),
        basic_auth::route_key(),
        shape::compress_key(),
        shape::rewrite_key(),
    ]
};

pub(crate) static ROUTE: Schema = Schema {
    path: "[frontend.NAME.route]",
    about: "Which requests, and what answers them; written `[[frontend.NAME.route]]`, once for each. Routes are tried in \
            their order, and the first whose every condition holds answers; one without conditions takes all. \
            Exactly one of `backend`, `redirect`, `respond`, `files`, `health`, `fastcgi`, `cgi` answers.",
    keys: &KEYS,
};

/// Reads the routes of a frontend; `shown`: clients may show certificates to it.
pub(crate) fn routes(owner: &mut Section<'_>, known: Known, shown: bool, cx: &mut Context) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let mut spans = Vec::new();
    for (index, node) in owner.list("route").into_iter().enumerate() {
        let path = format!("{}.route[{index}]", owner.path);
        let errors = cx.errors();
        let read = Section::open(node, &ROUTE, path, cx).map_or(Vec::new(), |section| route(section, known, shown, cx));
        if cx.errors() > errors {
            continue;
        }
        for route in read {
            let shadow = routes.iter().position(|before| before.when.is_empty() || before.when == route.when);
            if let Some(shadow) = shadow.filter(|shadow| spans[*shadow] != node.span) {
                cx.warn(node.span, "no request comes this far: an earlier route takes all that this one would")
                    .help("put the special route before the general one")
                    .note(spans[shadow], "this one");
            }
            routes.push(route);
            spans.push(node.span);
        }
    }
    routes
}

/// One route of the text; several of the proxy's, if it serves files under several prefixes.
fn route(mut section: Section<'_>, known: Known, shown: bool, cx: &mut Context) -> Vec<Route> {
    let prefixes = section.optional::<Some1<RoutePath>>("path", cx).map_or(Vec::new(), |Some1(paths)| plain(paths));
    let mut when = conditions(&mut section, cx);
    let request_headers = headers::edits(&mut section, "request-headers", cx);
    let response_headers = headers::edits(&mut section, "response-headers", cx);
    let rate_limits = rate::limits(&mut section, cx);
    let stream = stream::stream(&mut section, cx);
    let basic_auth = basic_auth::basic_auth(&mut section, cx);
    let known = if basic_auth.is_some() { Known::Yes } else { known };
    let allow_users = users::allow(&mut section, known, cx);
    let (compress, rewrite) = (shape::compress(&mut section, cx), shape::rewrite(&mut section, cx));
    let route = |when: Vec<Condition>, answer: Answer| Route {
        when,
        answer,
        request_headers: request_headers.clone(),
        response_headers: response_headers.clone(),
        rate_limits,
        stream,
        allow_users: allow_users.clone(),
        basic_auth: basic_auth.clone(),
        compress: compress.clone(),
        rewrite: rewrite.clone(),
    };
    let given = answer::read(&mut section, &prefixes, cx);
    if matches!(given, Given::Nothing) && answer::KEYS.iter().all(|key| !section.has(key)) && !cx.broken {
        cx.error(section.span, "this route answers nothing").help(format!("write one of {}", answer::KEYS.join(", ")));
    }
    if let (Given::Files(answers), Some(entry)) = (&given, section.entry("rate-limit"))
        && answers.len() > 1
    {
        cx.error(entry.span, "files below several paths are several routes, which cannot share a rate-limit")
            .help("write a route for each path, or the limit in the frontend");
    }
    match given {
        Given::Answer(answer) => {
            stream::check(&mut section, &answer, cx);
            shape::check_rewrite(&mut section, &answer, cx);
            when.splice(0..0, below(prefixes));
            vec![route(when, answer)]
        }
        Given::Files(answers) => {
            answers.iter().take(1).for_each(|(_, answer)| {
                stream::check(&mut section, answer, cx);
                files::check_transfers(&mut section, answer, shown, cx);
                shape::check_rewrite(&mut section, answer, cx);
            });
            let one = |(prefix, answer)| {
                let prefix = if prefixes.is_empty() { Vec::new() } else { vec![prefix] };
                route(below(prefix).into_iter().chain(when.iter().cloned()).collect(), answer)
            };
            answers.into_iter().map(one).collect()
        }
        Given::Nothing => Vec::new(),
    }
}

/// The condition of being below one of `prefixes`. Everything is below `/`, so that it is none.
fn below(prefixes: Vec<String>) -> Option<Condition> {
    let all = prefixes.is_empty() || prefixes.iter().any(|prefix| prefix == "/");
    (!all).then_some(Condition::PathPrefix(prefixes))
}

fn plain(paths: Vec<RoutePath>) -> Vec<String> {
    paths.into_iter().map(|RoutePath(path)| path).collect()
}

fn conditions(section: &mut Section<'_>, cx: &mut Context) -> Vec<Condition> {
    let mut when = Vec::new();
    if let Some(Some1(paths)) = section.optional("path-exact", cx) {
        when.push(Condition::PathExact(plain(paths)));
    }
    if let Some(Some1(hosts)) = section.optional::<Some1<Host>>("host", cx) {
        when.push(Condition::Host(hosts.into_iter().map(|Host(host)| host).collect()));
    }
    if let Some(Some1(methods)) = section.optional::<Some1<Method>>("method", cx) {
        when.push(Condition::Method(methods.into_iter().map(|Method(method)| method).collect()));
    }
    if let Some(entry) = section.entry("header") {
        when.extend(header_conditions(&entry.node, cx));
    }
    if let Some(Some1(clients)) = section.optional::<Some1<Network>>("client", cx) {
        when.push(Condition::Client(clients));
    }
    when
}

fn header_conditions(node: &Node, cx: &mut Context) -> Vec<Condition> {
    let Value::Table(table) = &node.value else {
        let help = "write header = { X-Name = \"value\" }, or true for any value";
        let _: Option<()> = wrong(node, "a table", help, cx);
        return Vec::new();
    };
    let mut when = Vec::new();
    for entry in &table.entries {
        if !check_field_name(&entry.key, entry.span, cx) {
            continue;
        }
        let name = entry.key.to_ascii_lowercase();
        match &entry.node.value {
            Value::Boolean(true) => when.push(Condition::Header { name, value: None }),
            Value::Boolean(false) => {
                cx.error(entry.node.span, "a route cannot ask for a field's absence")
                    .help("put a route with true before this one");
            }
            _ => {
                let value = At::<crate::sections::http::FieldValue>::read(&entry.node, cx);
                when.extend(value.map(|value| Condition::Header { name, value: Some(value.value.0) }));
            }
        }
    }
    when
}
