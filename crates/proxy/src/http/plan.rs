//! What is to be done with a request, decided at once while its head is in the buffer.

use std::net::SocketAddr;
use std::time::Duration;

use http_proto::{
    Forwarded, HeaderEdits, Parsed, RequestForward, RequestHead, RouteQuery, Version, field_slots, host_without_port,
    parse_request, resolve_path, resolve_with_slashes, write_request,
};

use super::accept::{accepts, is_firmware};
use super::application::{Told, write_records};
use super::body::Body;
use super::login::{Credentials, Known, known, unauthorized};
use super::receive::Taken;
use super::redirect::{Detour, ask_size, expand, write_redirect};
use super::reply::{Reply, write_now, write_reply};
use crate::backend::Wish;
use crate::claim::Claim;
use crate::config::{Answer, BackendIndex, BasicAuth, Frontend, FrontendIndex, HandlerIndex, StreamConfig};
use crate::handler::{HandlerAnswer, HandlerRequest, Part, Patience};
use crate::log::Record;
use crate::reason::Reason;
use crate::stream::{Coding, Stream};
use crate::worker::Context;

/// What is known of a client before it says anything.
#[derive(Clone, Copy)]
pub(crate) struct Meta<'a> {
    pub(crate) context: &'a Context,
    pub(crate) frontend: FrontendIndex,
    pub(crate) peer: Option<SocketAddr>,
    /// Where a PROXY header says that it wanted to go.
    pub(crate) destination: Option<SocketAddr>,
    /// What TLS has agreed on with it; `None`: it speaks in clear text.
    pub(crate) secure: Option<&'a tls::Peer>,
    /// What servers are told of its certificate; `None`: they are told nothing of anybody's.
    pub(crate) exported: Option<&'a [u8]>,
    /// Who it is by a name and a password that are right.
    pub(crate) shown: Option<&'a str>,
    /// It speaks HTTP/2; its requests come one by one as if they were HTTP/1's.
    pub(crate) is_http2: bool,
}

impl<'a> Meta<'a> {
    pub(crate) fn configured(&self) -> &'a Frontend {
        self.context.shared.frontend(self.frontend)
    }

    /// What `route` says of streams; `None`: its answers are none.
    pub(crate) fn stream(&self, route: Option<u16>) -> Option<StreamConfig> {
        self.configured().routes[usize::from(route?)].stream
    }

    /// A handler's answer, with the page that is for an error in the place of its words.
    pub(crate) fn dress(&self, status: u16, bytes: Vec<u8>, rest: &[Part], is_head: bool) -> Vec<u8> {
        match self.context.shared.error_page(self.frontend, status) {
            Some(page) if rest.is_empty() => {
                let dressed = page.put_into(&bytes, is_head);
                self.context.recycle(bytes);
                dressed
            }
            _ => bytes,
        }
    }

    /// Who the client is, as its password or its certificate says.
    pub(super) fn user(&self) -> Option<&'a str> {
        self.shown.or_else(|| self.secure?.identity.as_ref()?.user.as_deref())
    }
}

/// What some bytes of a client turned out to be.
#[expect(clippy::large_enum_variant, reason = "most are requests, and it is moved once")]
pub(crate) enum Planned {
    /// The beginning of a head.
    Partial,
    /// The beginning of HTTP/2.
    Http2,
    /// Nothing that may be answered otherwise than with this.
    Refused(Reason),
    /// A request.
    Request(Plan),
    /// A request whose client's name and password are to be verified.
    Doubted(Box<Doubt>),
}

/// A request that is planned once more, should its client be who it says.
pub(crate) struct Doubt {
    pub(crate) auth: BasicAuth,
    pub(crate) shown: Credentials,
    /// The head, and the body as far as it is here.
    pub(crate) bytes: Vec<u8>,
    /// What is done otherwise.
    pub(crate) refusal: Plan,
}

/// Whether a request is planned for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    First,
    /// Its client has been verified meanwhile.
    Again,
}

/// A request, and what is to be done with it.
pub(crate) struct Plan {
    pub(crate) todo: Todo,
    pub(crate) traits: Traits,
    /// Which route's header edits apply to the answer; `None`: the frontend's alone.
    pub(crate) route: Option<u16>,
    /// What the client has yet to send of the body.
    pub(crate) body: Body,
}

/// What of a request's head matters after it has been sent on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    pub(crate) version: Version,
    /// Whether the connection is to be kept: the client wants it and the worker does not drain.
    pub(crate) keep_alive: bool,
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
    pub(crate) wants_upgrade: bool,
    /// Whether sending it twice does the same as once (RFC 9110 §9.2.2).
    pub(crate) is_idempotent: bool,
    /// What its answer may be coded in.
    pub(crate) coding: Option<Coding>,
    /// Whether the client awaits `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
}

/// What answers.
pub(crate) enum Todo {
    /// A server of this backend gets `request`: the head as it is sent on, and the body as far as it is here.
    /// With it comes the head as it came, if an application may have a file sent in its place.
    Forward { backend: BackendIndex, claim: Claim, detour: Option<Detour>, request: Vec<u8>, head: Option<Vec<u8>> },
    /// These bytes, a whole answer, and then `rest`.
    Send { status: u16, bytes: Vec<u8>, rest: Vec<Part>, handler: Option<HandlerIndex> },
    /// An error: the request is one too many, or not its client's to ask.
    TurnAway { reason: Reason, retry_after: Option<Duration> },
    /// The handler, from a thread that may wait; it gets the head anew.
    Ask { handler: HandlerIndex, head: Vec<u8> },
    /// The handler, which takes the body.
    Take(Box<Taken>),
}

/// Reads a head from `bytes`, decides, and leaves in `rest` what belongs to the next request.
pub(crate) fn plan(
    meta: Meta<'_>,
    stream: &Stream,
    bytes: &[u8],
    pass: Pass,
    record: &mut Record,
    rest: &mut Vec<u8>,
) -> Planned {
    let mut slots = field_slots();
    let (head, length) = match parse_request(bytes, &mut slots, &meta.context.shared.limits) {
        Ok(Parsed::Whole(head, length)) => (head, length),
        Ok(Parsed::Partial) => return Planned::Partial,
        Err(error) => return Planned::Refused(Reason::Head(error)),
    };
    note(record, meta, &head);
    let mut body = Body::new(head.framing);
    let after = &bytes[length..];
    let taken = match body.take(after) {
        Ok(taken) => taken,
        Err(error) => return Planned::Refused(Reason::Chunk(error)),
    };
    record.bytes_in = (length + taken) as u64;
    rest.extend_from_slice(&after[taken..]);
    if let Some(content) = meta.context.shared.proofs.find(head.path_and_query) {
        return Planned::Request(prove(meta, traits(&head, true), content.as_bytes(), body));
    }
    let route = match choose(meta, &head) {
        Ok(route) => route,
        Err(reason) => return Planned::Refused(reason),
    };
    let mut traits = traits(&head, meta.context.shared.is_draining());
    let too_many = || meta.context.shared.rates.refuses(meta.frontend, route, meta.peer, meta.context.shared.clock);
    if let Some(retry_after) = (pass == Pass::First).then(too_many).flatten() {
        let todo = Todo::TurnAway { reason: Reason::RateLimit, retry_after: Some(retry_after) };
        return Planned::Request(Plan { todo, traits, route, body });
    }
    let shown = match meta.configured().basic_auth(route).map(|auth| (auth, known(meta.context, auth, &head))) {
        None => None,
        Some((_, Known::Right(user))) => Some(user),
        Some((auth, doubted)) => {
            let refusal = refuse_unknown(meta, auth, traits, route, body);
            let Known::Unknown(shown) = doubted else {
                record.fail(Reason::Unauthorized);
                return Planned::Request(refusal);
            };
            let bytes = bytes[..length + taken].to_vec();
            return Planned::Doubted(Box::new(Doubt { auth: auth.clone(), shown, bytes, refusal }));
        }
    };
    let meta = Meta { shown: shown.as_deref(), ..meta };
    if record.wall.is_some() {
        record.user = meta.user().map(str::to_owned);
    }
    if !meta.configured().is_for(route, meta.user()) {
        let todo = Todo::TurnAway { reason: Reason::Forbidden, retry_after: None };
        return Planned::Request(Plan { todo, traits, route, body });
    }
    let Some(answer) = meta.configured().answer(route) else {
        return Planned::Refused(Reason::NoRoute);
    };
    traits.coding = coding(meta, route, &head);
    // If nobody wants the rest of this body, the answer says that the connection ends with it.
    traits.keep_alive &= wants_body(meta, answer, &head) || body.is_done();
    let request =
        Request { meta, stream, head: &head, traits, bytes: &bytes[..length], early_body: &after[..taken], route };
    match request.todo(answer, record) {
        Ok(todo) => Planned::Request(Plan { todo, traits, route, body }),
        Err(reason) => Planned::Refused(reason),
    }
}

/// Notes what a request is.
fn note(record: &mut Record, meta: Meta<'_>, head: &RequestHead<'_>) {
    record.version = Some(head.version);
    record.is_http2 = meta.is_http2;
    if record.wall.is_some() {
        record.request = format!("{} {}", head.method, head.target);
    }
}

/// What is done with a request whose client does not show who it is.
fn refuse_unknown(meta: Meta<'_>, auth: &BasicAuth, mut traits: Traits, route: Option<u16>, body: Body) -> Plan {
    traits.keep_alive &= body.is_done();
    let bytes = unauthorized(meta, auth, traits, route);
    let todo = Todo::Send { status: 401, bytes, rest: Vec::new(), handler: None };
    Plan { todo, traits, route, body }
}

/// What the answer may be coded in: the first of the configured ones that the client accepts.
fn coding(meta: Meta<'_>, route: Option<u16>, head: &RequestHead<'_>) -> Option<Coding> {
    let codings = meta.configured().compress(route);
    let may_be = !codings.is_empty()
        && matches!(head.method, "GET" | "HEAD" | "POST")
        && head.version == Version::Http11
        && head.upgrade.is_none()
        && meta.stream(route).is_none()
        && !is_firmware(head.fields);
    codings.iter().copied().filter(|_| may_be).find(|coding| accepts(head.fields, coding.name()))
}

/// Whether what answers has a use for the request's body.
fn wants_body(meta: Meta<'_>, answer: &Answer, head: &RequestHead<'_>) -> bool {
    match answer {
        Answer::Backend(_) => true,
        Answer::Handler(index) => meta.context.shared.handlers[usize::from(index.0)].takes(head.method),
        Answer::Redirect(_) | Answer::Respond(_) => false,
    }
}

/// Shows an authority what it looks for.
fn prove(meta: Meta<'_>, traits: Traits, content: &[u8], body: Body) -> Plan {
    let reply = Reply { content_type: Some("application/octet-stream"), body: content, ..Reply::default() };
    let mut bytes = meta.context.buffer();
    write_reply(&mut bytes, &reply, b"Connection: close\r\n", traits.is_head);
    let todo = Todo::Send { status: reply.status, bytes, rest: Vec::new(), handler: None };
    Plan { todo, traits, route: None, body }
}

fn traits(head: &RequestHead<'_>, draining: bool) -> Traits {
    Traits {
        version: head.version,
        keep_alive: head.keep_alive && !draining,
        is_head: head.method == "HEAD",
        is_connect: head.method == "CONNECT",
        wants_upgrade: head.upgrade.is_some(),
        is_idempotent: matches!(head.method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE"),
        coding: None,
        expects_continue: head.expects_continue,
    }
}

/// The first route that matches; `None`: the frontend's default is to answer.
fn choose(meta: Meta<'_>, head: &RequestHead<'_>) -> Result<Option<u16>, Reason> {
    let mut chosen = None;
    if !meta.configured().routes.is_empty() {
        let resolved = resolve_path(head.path_and_query).map_err(|_| Reason::Path)?;
        chosen = route_of(meta, head, &resolved.path);
        // Of two servers behind, one could take the path for another than the route did.
        if let Some(other) = resolve_with_slashes(head.path_and_query).map_err(|_| Reason::Path)?
            && route_of(meta, head, &other) != chosen
        {
            return Err(Reason::Path);
        }
    }
    Ok(chosen)
}

impl Frontend {
    /// What answers.
    fn answer(&self, route: Option<u16>) -> Option<&Answer> {
        match route {
            Some(route) => Some(&self.routes[usize::from(route)].answer),
            None => self.default.as_ref(),
        }
    }

    /// How clients show who they are.
    fn basic_auth(&self, route: Option<u16>) -> Option<&BasicAuth> {
        let of_route = route.and_then(|route| self.routes[usize::from(route)].basic_auth.as_ref());
        of_route.or(self.basic_auth.as_ref())
    }

    /// What answers may be coded in.
    fn compress(&self, route: Option<u16>) -> &[Coding] {
        let of_route = route.and_then(|route| self.routes[usize::from(route)].compress.as_deref());
        of_route.unwrap_or(&self.compress)
    }

    /// Whether this user may ask; `None`: nobody knows who it is.
    fn is_for(&self, route: Option<u16>, user: Option<&str>) -> bool {
        let of_route = route.and_then(|route| self.routes[usize::from(route)].allow_users.as_ref());
        of_route.or(self.allow_users.as_ref()).is_none_or(|allowed| allowed.allows(user))
    }
}

/// The first route that matches a request for this path.
fn route_of(meta: Meta<'_>, head: &RequestHead<'_>, path: &[u8]) -> Option<u16> {
    let query = RouteQuery { head, path, client: meta.peer.map(|peer| peer.ip()) };
    let matches = |route: &crate::config::Route| route.when.iter().all(|condition| condition.matches(&query));
    meta.configured().routes.iter().position(matches).map(|index| index as u16)
}

/// A frontend's edits, and its route's.
pub(crate) fn edits(
    frontend: &Frontend,
    route: Option<u16>,
    of_frontend: impl Fn(&Frontend) -> &HeaderEdits,
    of_route: impl Fn(&crate::config::Route) -> &HeaderEdits,
) -> [&HeaderEdits; 2] {
    static NONE: HeaderEdits = HeaderEdits { remove: Vec::new(), set: Vec::new(), add: Vec::new() };
    let route = route.map(|route| &frontend.routes[usize::from(route)]);
    [of_frontend(frontend), route.map_or(&NONE, of_route)]
}

struct Request<'a> {
    meta: Meta<'a>,
    stream: &'a Stream,
    head: &'a RequestHead<'a>,
    traits: Traits,
    bytes: &'a [u8],
    early_body: &'a [u8],
    route: Option<u16>,
}

impl Request<'_> {
    fn todo(&self, answer: &Answer, record: &mut Record) -> Result<Todo, Reason> {
        match answer {
            Answer::Backend(backend) => match self.rewritten() {
                None => self.deliver(*backend, record),
                Some(path_and_query) => {
                    let head = self.head.with_path(&path_and_query);
                    Request { head: &head, ..*self }.deliver(*backend, record)
                }
            },
            Answer::Redirect(redirect) => {
                let location = expand(&redirect.location, host_without_port(self.head.host), self.head.path_and_query);
                Ok(self.send(Reply { status: redirect.status, location: Some(&location), ..Reply::default() }))
            }
            Answer::Respond(respond) => Ok(self.send(Reply {
                status: respond.status,
                content_type: Some(&respond.content_type),
                body: respond.body.as_bytes(),
                ..Reply::default()
            })),
            Answer::Handler(handler) => self.ask(*handler),
        }
    }

    /// What the server is asked for, if that is not what the client wrote.
    fn rewritten(&self) -> Option<String> {
        let rewrite = self.meta.configured().routes[usize::from(self.route?)].rewrite.as_ref()?;
        rewrite.apply(self.head.path_and_query)
    }

    /// A redirect to the server at once, if one can be taken without waiting; else all that it takes to relay or wait.
    fn deliver(&self, backend: BackendIndex, record: &mut Record) -> Result<Todo, Reason> {
        let context = self.meta.context;
        let mut claim = Claim::of_request(context, backend, self.meta.peer, self.head);
        let configured = &context.shared.config.backends[usize::from(backend.0)];
        let detour = Detour::of(configured, self.head, self.meta.secure.is_some());
        let Some(detour) = detour else {
            return self.forward(backend, claim, None);
        };
        let shared = context.shared.backend(backend);
        claim.turn = Some(shared.next_turn());
        let wish = Wish { claim, chance: context.chance(), tried: &[], patience: Duration::ZERO };
        let Some(server) = shared.take_now(&wish, context.shared.clock.now()) else {
            return self.forward(backend, claim, Some(detour));
        };
        let Some(target) = detour.target(self.meta, backend, server, claim.home) else {
            // The server is the one to relay to; it is chosen again by the same turn.
            shared.give_up(server, claim.size, context.shared.clock.now());
            return self.forward(backend, claim, None);
        };
        if let Some(known) = &mut claim.known {
            shared.remember(known, server);
        }
        shared.send_abroad(server);
        ask_size(self.meta, backend, server, &claim, (self.head.path_and_query, self.head.host));
        record.redirect(backend, server);
        let mut bytes = context.buffer();
        let path = self.head.path_and_query;
        let status = write_redirect(&mut bytes, self.meta, self.traits, self.route, backend, target, path);
        Ok(Todo::Send { status, bytes, rest: Vec::new(), handler: None })
    }

    fn forward(&self, backend: BackendIndex, claim: Claim, detour: Option<Detour>) -> Result<Todo, Reason> {
        let frontend = self.meta.configured();
        let context = self.meta.context;
        let mut request = context.buffer();
        let forwarded: &Forwarded = &frontend.forwarded;
        write_request(
            &mut request,
            self.head,
            &RequestForward {
                client: self.meta.peer.map(|peer| peer.ip()),
                reached: if self.head.host.is_empty() { self.reached() } else { None },
                scheme: if self.meta.secure.is_some() { "https" } else { "http" },
                forwarded,
                identity: self.meta.exported,
                edits: edits(frontend, self.route, |f| &f.request_headers, |r| &r.request_headers),
            },
        );
        let mut head = None;
        if let Some(application) = &context.shared.config.backends[usize::from(backend.0)].application {
            let onward = std::mem::replace(&mut request, context.buffer());
            let (meta, reached) = (self.meta, self.reached());
            let told = Told { meta, head: self.head, onward: &onward, reached, early_body: self.early_body };
            write_records(&mut request, application, &told)?;
            context.recycle(onward);
            head = application.send_file.as_ref().map(|_| self.head_of_get());
        } else {
            request.extend_from_slice(self.early_body);
        }
        Ok(Todo::Forward { backend, claim, detour, request, head })
    }

    /// The head as it came, with another method than GET or HEAD made GET: files are to be had by no other.
    fn head_of_get(&self) -> Vec<u8> {
        match self.head.method {
            "GET" | "HEAD" => self.bytes.to_vec(),
            method => [b"GET", &self.bytes[method.len()..]].concat(),
        }
    }

    fn reached(&self) -> Option<SocketAddr> {
        self.meta.destination.or_else(|| self.stream.reached())
    }

    fn send(&self, reply: Reply<'_>) -> Todo {
        let mut bytes = self.meta.context.buffer();
        let status = reply.status;
        let fields = self.fields();
        write_reply(&mut bytes, &reply, &fields, self.traits.is_head);
        self.meta.context.recycle(fields);
        Todo::Send { status, bytes, rest: Vec::new(), handler: None }
    }

    fn ask(&self, index: HandlerIndex) -> Result<Todo, Reason> {
        let resolved = resolve_path(self.head.path_and_query).map_err(|_| Reason::Path)?;
        let handler = &self.meta.context.shared.handlers[usize::from(index.0)];
        if handler.takes(self.head.method) {
            return Ok(Todo::Take(Box::new(Taken::new(index, self.head, self.bytes, self.early_body))));
        }
        let mut bytes = self.meta.context.buffer();
        let fields = self.fields();
        let mut date = self.meta.context.buffer();
        write_now(&mut date);
        let request = HandlerRequest {
            head: self.head,
            path: &resolved.path,
            query: resolved.query,
            date: &date,
            fields: &fields,
            identity: self.meta.secure.and_then(|peer| peer.identity.as_ref()),
        };
        let answered = handler.answer(&request, Patience::None, &mut bytes);
        self.meta.context.recycle(date);
        self.meta.context.recycle(fields);
        Ok(match answered {
            Ok(HandlerAnswer { status, rest }) => {
                let bytes = self.meta.dress(status, bytes, &rest, self.traits.is_head);
                Todo::Send { status, bytes, rest, handler: Some(index) }
            }
            Err(crate::handler::WouldBlock) => {
                bytes.clear();
                bytes.extend_from_slice(self.bytes);
                Todo::Ask { handler: index, head: bytes }
            }
        })
    }

    /// The last field lines of an answer that is made here.
    fn fields(&self) -> Vec<u8> {
        let mut fields = self.meta.context.buffer();
        super::reply::write_last_fields(&mut fields, self.meta, self.route, self.head.version, self.traits.keep_alive);
        fields
    }
}
