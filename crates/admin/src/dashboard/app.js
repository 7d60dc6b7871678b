// Draws /api/v1/status once a second. Data reaches the page through textContent and attributes only.
"use strict";

const SPARK_POINTS = 60;
const WINDOW_SECONDS = 10;
const POLL_MS = 1000;
const PATIENCE_MS = 5000;

/** Answers of the last WINDOW_SECONDS, oldest first; each with an index of its things by key. */
let answers = [];
/** Requests a second by key, for the sparklines. */
const history = new Map();
/** What is on the page: its shape, and its updates by key. */
let shape = "";
let updates = [];
let lastAnswer = 0;

// --- Numbers ---------------------------------------------------------------------------------------------------

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function amount(number) {
  if (number > 0 && number < 0.05) return "<0.1";
  return number > 0 && number < 10 ? number.toFixed(1) : grouped.format(number);
}

function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) { number /= 1000; unit += 1; }
  return `${number >= 100 || unit === 0 ? number.toFixed(0) : number.toFixed(1)} ${units[unit]}`;
}

function micros(number) {
  if (number < 1000) return `${number.toFixed(0)} µs`;
  if (number < 1e6) return `${(number / 1e3).toPrecision(number < 1e4 ? 2 : 3).replace(/e.*/, "")} ms`;
  return `${(number / 1e6).toFixed(1)} s`;
}

function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const parts = units.slice(first, first + 2).map(([name, size]) => {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    return count ? `${count} ${name}` : "";
  });
  return parts.filter(Boolean).join(" ");
}

/** The duration below which `share` of the counts lie: text, or a dash without any. */
function quantile(counts, bounds, share) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (!all) return "–";
  let left = all * share;
  for (let bucket = 0; bucket < bounds.length; bucket += 1) {
    if (left <= counts[bucket] && counts[bucket]) {
      const lower = bucket ? bounds[bucket - 1] : 0;
      return micros(lower + (bounds[bucket] - lower) * (left / counts[bucket]));
    }
    left -= counts[bucket];
  }
  return `> ${micros(bounds[bounds.length - 1])}`;
}

// --- Answers ---------------------------------------------------------------------------------------------------

const vipsOf = (status) => status.vips?.vips ?? [];

/** Frontends, backends, servers and vips of a status by key. A name may hold anything but the key's separator. */
function index(status) {
  const things = new Map();
  for (const frontend of status.frontends) things.set(`f\n${frontend.name}`, frontend);
  for (const backend of status.backends) {
    things.set(`b\n${backend.name}`, backend);
    for (const server of backend.servers) things.set(`s\n${backend.name}\n${server.name}`, server);
  }
  for (const vip of vipsOf(status)) things.set(`v\n${vip.name}`, vip);
  return things;
}

function take(status) {
  const last = answers.at(-1)?.status;
  if (last && (last.pid !== status.pid || last.taken_unix_ms >= status.taken_unix_ms)) answers = [];
  answers.push({ status, things: index(status) });
  while (answers.length > 2 && status.taken_unix_ms - answers[1].status.taken_unix_ms >= WINDOW_SECONDS * 1000) answers.shift();
}

/** How much `number` of the thing rose a second, since the answer before or over the whole window. */
function rate(key, number, whole = false) {
  const now = answers.at(-1);
  const before = whole ? answers[0] : answers.at(-2);
  const [to, from] = [now.things.get(key), before?.things.get(key)];
  if (!from || before === now) return 0;
  const seconds = (now.status.taken_unix_ms - before.status.taken_unix_ms) / 1000;
  return Math.max(0, number(to) - number(from)) / seconds;
}

/** The bucket counts of the window. */
function counts(key) {
  const to = answers.at(-1).things.get(key).total_time.counts;
  const from = answers.length > 1 && answers[0].things.get(key)?.total_time.counts;
  return to.map((count, bucket) => (from ? Math.max(0, count - from[bucket]) : 0));
}

function remember(key, value) {
  if (answers.length < 2) return;
  const past = history.get(key) ?? [];
  past.push(value);
  if (past.length > SPARK_POINTS) past.shift();
  history.set(key, past);
}

const requestsOf = (thing) => thing.requests;
const failuresOf = (thing) => thing.responses["5xx"] + thing.connection_errors + thing.response_errors;
const refusedOf = (frontend) => Object.values(frontend.refused).reduce((sum, count) => sum + count, 0);
const sum = (list, number) => list.reduce((total, item) => total + number(item), 0);

function statusWord(server) {
  if (server.admin === "maintenance") return "maintenance";
  return server.admin === "drain" && server.status === "up" ? "drain" : server.status;
}

const isFull = (level) => level.limit !== null && level.now >= level.limit;

function needsLook(key, thing) {
  if (key.startsWith("v")) return thing.diagnosis.length > 0 || !["active", "backup"].includes(thing.state) || !thing.up;
  if (key.startsWith("f")) return isFull(thing.connections) || rate(key, (f) => f.responses["5xx"] + refusedOf(f), true) > 0;
  const here = isFull(thing.in_flight) || rate(key, failuresOf, true) > 0;
  if (key.startsWith("s")) return here || statusWord(thing) !== "up" || Boolean(thing.redirect?.why_not);
  return here || thing.status !== "up" || thing.queue.now > 0 ||
    thing.servers.some((server) => statusWord(server) !== "up" || server.redirect?.why_not);
}

// --- Building blocks of the page -------------------------------------------------------------------------------

function element(name, classes = "", ...children) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.append(...children);
  return made;
}

function write(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

function svg(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

function sparkline(key) {
  const root = svg("svg", { viewBox: `0 0 ${SPARK_POINTS - 1} 20`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const area = svg("path", { class: "area" });
  const line = svg("path", { class: "stroke" });
  root.append(area, line);
  const update = () => {
    const past = history.get(key) ?? [];
    if (past.length < 2) return;
    const top = Math.max(...past) || 1;
    const start = SPARK_POINTS - past.length;
    const points = past.map((value, at) => `${start + at},${(19 - (value / top) * 18).toFixed(2)}`);
    line.setAttribute("d", `M${points.join("L")}`);
    area.setAttribute("d", `M${start},20L${points.join("L")}L${SPARK_POINTS - 1},20Z`);
  };
  return [root, update];
}

function bar() {
  const root = svg("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true" });
  const fill = svg("rect", { class: "fill", height: 4, width: 0 });
  root.append(svg("rect", { class: "track", height: 4, width: 100 }), fill);
  const update = (level) => {
    root.toggleAttribute("hidden", level.limit === null);
    root.classList.toggle("full", isFull(level));
    fill.setAttribute("width", level.limit ? Math.min(100, (100 * level.now) / level.limit) : 0);
  };
  return [root, update];
}

/** A cell with a first line and a quiet second one; `name` is its heading where the table becomes a list. */
function cell(name, classes = "number") {
  const [main, under] = [element("span", "main"), element("span", "under")];
  const root = element("td", classes, main, under);
  if (name) root.dataset.name = name;
  return { root, set(first, second = "") { write(main, first); write(under, second); } };
}

function table(headings, rows) {
  const line = element("tr");
  for (const [text, classes] of headings) {
    const heading = element("th", classes, text);
    heading.scope = "col";
    line.append(heading);
  }
  return element("table", "", element("thead", "", line), element("tbody", "", ...rows));
}

function pill() {
  const root = element("span", "status");
  return { root, set(word) { root.className = `status ${word}`; write(root, word); } };
}

const limited = (level) => (level.limit === null ? grouped.format(level.now) : `${grouped.format(level.now)} / ${grouped.format(level.limit)}`);

/** Cells that frontends and servers share, with what fills them. */
function trafficCells(key, levelName, level) {
  const [held, requests, latency, moved] = [cell(levelName), cell("Requests/s"), cell("Latency"), cell("Bytes/s")];
  const [gauge, setGauge] = bar();
  const [spark, drawSpark] = sparkline(key);
  held.root.append(gauge);
  requests.root.append(spark);
  const update = (thing, bounds) => {
    held.set(limited(level(thing)), `peak ${grouped.format(level(thing).max)}`);
    setGauge(level(thing));
    requests.set(amount(rate(key, requestsOf)));
    drawSpark();
    const recent = counts(key);
    latency.set(`p50 ${quantile(recent, bounds, 0.5)}`, `p99 ${quantile(recent, bounds, 0.99)}`);
    moved.set(`${bytes(rate(key, (t) => t.bytes_out))} out`, `${bytes(rate(key, (t) => t.bytes_in))} in`);
  };
  return { cells: { held, requests, latency, moved }, update };
}

// --- Frontends, backends, servers ------------------------------------------------------------------------------

function frontendRow(frontend) {
  const key = `f\n${frontend.name}`;
  const name = cell("", "whole");
  const { cells, update } = trafficCells(key, "Connections", (f) => f.connections);
  const [answered, refused] = [cell("Answers/s", "number wide"), cell("Refused", "number whole")];
  const row = element("tr", "", ...[name, cells.held, cells.requests, cells.latency, cells.moved, answered, refused].map((c) => c.root));
  updates.push({ key, words: `${frontend.name} ${frontend.binds.join(" ")}`, root: row, set(now, bounds) {
    const held = now.streams ? ` · streams held ${micros(now.streams.at_once.max_us)} at most` : "";
    name.set(now.name, `${now.mode} on ${now.binds.join(", ")}${held}`);
    update(now, bounds);
    const codes = now.mode === "tcp" ? [] : ["2xx", "3xx", "4xx", "5xx"];
    const seen = codes.map((code) => [code, rate(key, (f) => f.responses[code], true)])
      .filter(([, count]) => count > 0).map(([code, count]) => `${code} ${amount(count)}`);
    answered.set(seen.slice(0, 2).join(" · ") || "–", seen.slice(2).join(" · "));
    const reasons = Object.entries(now.refused).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
    refused.set(grouped.format(refusedOf(now)), reasons.slice(0, 2).map(([reason, count]) => `${reason.replaceAll("_", " ")} ${count}`).join(", "));
  } });
  return row;
}

/** Whether clients go to a server themselves, or bytes are counted: that is one more column. */
const hasLinks = (backend) => backend.servers.some((server) => server.redirect || server.link);

/** What is known of a server's link, and of the way of its clients. */
function linkCell(key) {
  const link = cell("Redirects", "wide");
  const update = (now) => {
    const { redirect, link: known } = now;
    const first = !redirect ? "relayed" : redirect.why_not ? "off" : `${amount(rate(key, (s) => s.redirects))}/s`;
    link.root.firstChild.classList.toggle("warn", Boolean(redirect?.why_not));
    const facts = [];
    if (redirect?.why_not) facts.push(redirect.why_not);
    else if (redirect) facts.push(`${grouped.format(redirect.in_flight)} under way there`);
    if (known) {
      facts.push(known.backlog_us ? `free in ${micros(known.backlog_us)}` : "free", `takes ${bytes(known.rate_believed)}/s`);
      if (known.rate_seen !== null) facts.push(`seen ${bytes(known.rate_seen)}/s`);
    }
    link.set(first, facts.join(" · "));
    link.root.title = redirect?.to ?? "";
  };
  return [link, update];
}

function serverRow(backend, server) {
  const key = `s\n${backend.name}\n${server.name}`;
  const [state, name, weight] = [cell(""), cell("", "wide"), cell("Weight")];
  const { cells, update } = trafficCells(key, "In flight", (s) => s.in_flight);
  const [failed, kept, check] = [cell("Errors"), cell("Idle conns"), cell("Last check", "wide")];
  const word = pill();
  state.root.className = "";
  state.root.prepend(word.root);
  const [link, setLink] = linkCell(key);
  const links = hasLinks(backend);
  const all = [state, name, weight, cells.held, cells.requests, cells.latency, cells.moved, ...(links ? [link] : []), failed, kept, check];
  const row = element("tr", "", ...all.map((c) => c.root));
  updates.push({ key, words: [backend.name, server.name, server.address, server.class, server.zone].join(" "), root: row, set(now, bounds) {
    word.set(statusWord(now));
    const asked = now.admin !== "ready" && statusWord(now) !== now.admin ? `, ${now.admin}` : "";
    state.set("", `for ${span(now.last_change_s)}${asked}`);
    name.set(now.name, [now.address, now.class, now.zone].filter(Boolean).join(" · "));
    if (links) setLink(now);
    const share = now.effective_weight === now.weight ? `${now.weight}` : `${now.effective_weight} of ${now.weight}`;
    weight.set(share, now.sorry ? "sorry server" : now.tier ? `backup ${now.tier}` : "");
    update(now, bounds);
    const recent = rate(key, failuresOf, true);
    failed.root.firstChild.classList.toggle("bad", recent > 0);
    failed.set(`${amount(recent)}/s`, `${compact.format(failuresOf(now)).replace("K", "k")} in all`);
    const used = now.connections_opened + now.connections_reused;
    kept.set(grouped.format(now.idle_connections), used ? `${Math.round((100 * now.connections_reused) / used)} % reused` : "");
    if (!now.check) { check.set("none"); return; }
    const first = [now.check.code, now.check.http_status, micros(now.check.duration_us)].filter((part) => part !== null);
    check.root.firstChild.classList.toggle("bad", now.status === "down");
    check.set(now.check.code === "INI" ? "not answered yet" : first.join(" · "), now.check.text);
  } });
  return row;
}

const headingsOf = (backend) => SERVER_HEADINGS.toSpliced(7, 0, ...(hasLinks(backend) ? [["Redirects", "w-link"]] : []));

const SERVER_HEADINGS = [
  ["Status", "w-status"], ["Server", "w-name"], ["Weight", "number w-small"], ["In flight", "number"], ["Requests/s", "number"],
  ["Latency", "number w-moved"], ["Bytes/s", "number w-moved"], ["Errors", "number"], ["Idle conns", "number"], ["Last check", "w-check"],
];

function fact(name) {
  const value = element("b");
  const root = element("span", "fact", `${name} `, value);
  return { root, set(text, tone = "") { write(value, text); root.className = `fact ${tone}`; } };
}

function backendCard(backend) {
  const key = `b\n${backend.name}`;
  const word = pill();
  const about = element("span", "quiet");
  const names = ["requests/s", "p50", "p99", "queue", "errors/s", "retries", "redispatched", ...(backend.deliver === "proxy" ? [] : ["redirects/s"])];
  const facts = names.map(fact);
  const head = element("div", "head", word.root, element("h2", "", backend.name), about,
    element("div", "facts", ...facts.map((f) => f.root)));
  const rows = backend.servers.map((server) => serverRow(backend, server));
  const card = element("section", "card", head, table(headingsOf(backend), rows));
  updates.push({ key, words: "", root: card, set(now, bounds) {
    word.set(now.status);
    card.classList.toggle("down", now.status === "down");
    const regular = now.servers.filter((server) => !server.sorry);
    const usable = regular.filter((server) => statusWord(server) === "up").length;
    const classes = now.classes.map((one) => `${one.name} ${limited({ now: one.in_flight, limit: one.limit })}`);
    const how = [now.mode, now.algorithm, ...(now.deliver === "proxy" ? [] : [`deliver ${now.deliver}`])];
    const quorum = now.quorum ? [`quorum ${now.quorum.weight} of ${now.quorum.wanted}${now.quorum.sorry ? ", the sorry server stands in" : ""}`] : [];
    write(about, [...how, `${usable} of ${regular.length} servers up`, ...quorum, ...classes].join(" · "));
    const recent = counts(key);
    const failed = rate(key, failuresOf, true);
    const values = [
      [amount(rate(key, requestsOf))], [quantile(recent, bounds, 0.5)], [quantile(recent, bounds, 0.99)],
      [limited(now.queue), now.queue.now ? "warn" : ""], [amount(failed), failed ? "bad" : ""],
      [grouped.format(now.retries)], [grouped.format(now.redispatches)],
      [amount(rate(key, (b) => b.redirects))],
    ];
    facts.forEach((one, at) => one.set(...values[at]));
  } });
  return card;
}

// --- Vips ------------------------------------------------------------------------------------------------------

const VIP_HEADINGS = [
  ["State", "w-status"], ["Vip", "w-name"], ["Active router", "w-check"], ["Priority", "number w-small"],
  ["Adverts out", "number w-moved"], ["Adverts in", "number w-moved"], ["Depends on", "w-check"], ["Why", ""],
];
const HOLDS = { given_up: "given up", held: "held" };
const total = (counts) => sum(Object.values(counts), (count) => count);
const ago = (unixMs) => span(Math.max(0, Math.round((answers.at(-1).status.taken_unix_ms - unixMs) / 1000)));

function vipRow(vip) {
  const key = `v\n${vip.name}`;
  const [state, name, active] = [cell(""), cell("", "wide"), cell("Active router", "wide")];
  const [priority, sent, received] = [cell("Priority"), cell("Adverts out"), cell("Adverts in")];
  const [track, why] = [cell("Depends on", "wide"), cell("Why", "whole")];
  const word = pill();
  state.root.className = "";
  state.root.prepend(word.root);
  const row = element("tr", "", ...[state, name, active, priority, sent, received, track, why].map((one) => one.root));
  updates.push({ key, words: [vip.name, vip.interface, ...vip.addresses].join(" "), root: row, set(now) {
    word.set(now.state);
    state.set("", [`for ${ago(now.since_unix_ms)}`, HOLDS[now.hold]].filter(Boolean).join(", "));
    name.set(now.name, `${now.addresses.join(" ")} · ${now.interface} vrid ${now.vrid}${now.group ? ` · ${now.group}` : ""}`);
    if (now.state === "active") active.set("here");
    else if (now.active) active.set(now.active[0], `priority ${now.active[1]}`);
    else active.set("nobody known");
    active.root.firstChild.classList.toggle("bad", !now.up);
    priority.set(now.priority, now.priority === now.base_priority ? "" : `of ${now.base_priority}`);
    sent.set(grouped.format(now.adverts_sent), `every ${now.advert_interval_ms} ms`);
    const refused = total(now.refused);
    received.set(grouped.format(now.adverts_received), refused ? `${grouped.format(refused)} refused` : "");
    received.root.title = Object.entries(now.refused).map(([reason, count]) => `${reason}: ${count}`).join("\n");
    const unwell = now.track.filter((one) => one.state !== "well");
    track.root.firstChild.classList.toggle("bad", unwell.length > 0);
    const all = `${now.track.length} well`;
    track.set(unwell.length ? unwell.map((one) => `${one.subject} ${one.state}`).join(", ") : now.track.length ? all : "nothing");
    why.root.lastChild.className = "under warn";
    why.set(now.why, now.diagnosis.join(" "));
  } });
  return row;
}

function vipCard(status) {
  const about = element("span", "quiet");
  const head = element("div", "head", element("h2", "", "Vips"), about);
  const here = vipsOf(status).length;
  write(about, `${here} ${here === 1 ? "address set moves" : "address sets move"} between directors`);
  return element("section", "card", head, table(VIP_HEADINGS, vipsOf(status).map(vipRow)));
}

// --- The page --------------------------------------------------------------------------------------------------

function tile(name) {
  const [value, note] = [element("div", "value"), element("div", "note")];
  const root = element("div", "tile", element("div", "name", name), value, note);
  return { root, set(text, quiet, bad = false) { write(value, text); write(note, quiet); root.classList.toggle("bad", bad); } };
}

const tiles = ["Requests/s", "In flight", "Latency p50", "Out", "Servers up", "Queue", "Errors/s"].map(tile);
const [totalSpark, drawTotalSpark] = sparkline("total");
tiles[0].root.append(totalSpark);
document.getElementById("totals").append(...tiles.map((one) => one.root));

function drawTotals(status) {
  const fronts = status.frontends.map((frontend) => `f\n${frontend.name}`);
  const backs = status.backends.map((backend) => `b\n${backend.name}`);
  const requests = sum(fronts, (key) => rate(key, requestsOf));
  remember("total", requests);
  tiles[0].set(amount(requests), `peak ${amount(Math.max(0, ...(history.get("total") ?? [])))} in the last minute`);
  drawTotalSpark();
  const flying = sum(status.backends, (backend) => backend.in_flight.now);
  tiles[1].set(grouped.format(flying), `${grouped.format(sum(status.frontends, (f) => f.connections.now))} connections`);
  const http = status.frontends.filter((frontend) => frontend.mode === "http").map((f) => counts(`f\n${f.name}`));
  const recent = status.latency_bounds_us.map((_, bucket) => sum(http, (one) => one[bucket]));
  recent.push(sum(http, (one) => one.at(-1)));
  tiles[2].set(quantile(recent, status.latency_bounds_us, 0.5), `p99 ${quantile(recent, status.latency_bounds_us, 0.99)}`);
  tiles[3].set(`${bytes(sum(fronts, (key) => rate(key, (f) => f.bytes_out)))}/s`, `in ${bytes(sum(fronts, (key) => rate(key, (f) => f.bytes_in)))}/s`);
  const words = status.backends.flatMap((backend) => backend.servers.map(statusWord));
  const others = ["down", "unknown", "drain", "maintenance"].map((word) => [words.filter((w) => w === word).length, word]);
  const down = others[0][0];
  tiles[4].set(`${words.filter((word) => word === "up").length} of ${words.length}`,
    others.filter(([count]) => count).map(([count, word]) => `${count} ${word}`).join(", ") || "all well", down > 0);
  const waiting = sum(status.backends, (backend) => backend.queue.now);
  tiles[5].set(grouped.format(waiting), waiting ? `in ${status.backends.filter((b) => b.queue.now).map((b) => b.name).join(", ")}` : "nobody waits");
  const failed = sum(backs, (key) => rate(key, failuresOf, true));
  const refused = sum(fronts, (key) => rate(key, refusedOf, true));
  tiles[6].set(amount(failed + refused), `${amount(failed)} server, ${amount(refused)} refused`, failed + refused > 0);
}

/** Builds the page anew if frontends, backends or servers came or went. */
function build(status) {
  const wanted = JSON.stringify([status.frontends.map((f) => f.name), status.backends.map((b) => [b.name, b.deliver, hasLinks(b), b.servers.map((s) => s.name)]), vipsOf(status).map((v) => v.name)]);
  if (wanted === shape) return;
  shape = wanted;
  updates = [];
  for (const key of history.keys()) if (key !== "total" && !answers.at(-1).things.has(key)) history.delete(key);
  const headings = [["Frontend", "w-front"], ["Connections", "number"], ["Requests/s", "number"], ["Latency", "number"],
    ["Bytes/s", "number"], ["Answers/s", "number"], ["Refused", "number"]];
  const fronts = table(headings, status.frontends.map(frontendRow));
  const head = element("div", "head", element("h2", "", "Frontends"));
  document.getElementById("frontends").replaceChildren(...(status.frontends.length ? [element("section", "card", head, fronts)] : []));
  document.getElementById("vips").replaceChildren(...(vipsOf(status).length ? [vipCard(status)] : []));
  document.getElementById("backends").replaceChildren(...status.backends.map(backendCard));
}

function draw() {
  const { status, things } = answers.at(-1);
  write(document.getElementById("about"),
    `${status.version} · up ${span(status.uptime_s)} · configuration ${status.generation} · pid ${status.pid} · ` +
    `${status.process.workers} ${status.process.workers === 1 ? "worker" : "workers"} · ${bytes(status.process.rss_bytes)} memory · ${grouped.format(status.process.open_fds)} files open`);
  for (const { key, set } of updates) set(things.get(key), status.latency_bounds_us);
  filter();
}

/** Shows what the filter asks for. A backend is shown while one of its servers is. */
function filter() {
  const now = answers.at(-1);
  if (!now) return;
  const wanted = document.getElementById("words").value.trim().toLowerCase();
  const trouble = document.getElementById("trouble").checked;
  const shown = new Set();
  for (const { key, words, root } of updates) {
    const show = key.startsWith("b")
      ? [...root.querySelectorAll("tbody tr")].some((row) => !row.hidden) || (!wanted && (!trouble || needsLook(key, now.things.get(key))))
      : words.toLowerCase().includes(wanted) && (!trouble || needsLook(key, now.things.get(key)));
    root.hidden = !show;
    if (show) shown.add(key);
  }
  for (const card of document.querySelectorAll("#frontends .card, #vips .card")) {
    card.hidden = ![...card.querySelectorAll("tbody tr")].some((row) => !row.hidden);
  }
  document.getElementById("none").hidden = shown.size > 0;
}

function link(state, text) {
  const node = document.getElementById("link");
  node.className = `link ${state}`;
  write(node, text);
  document.body.classList.toggle("stale", state === "lost");
}

async function poll() {
  try {
    const response = await fetch("api/v1/status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const status = await response.json();
    take(status);
    for (const key of answers.at(-1).things.keys()) if (!key.startsWith("v")) remember(key, rate(key, requestsOf));
    build(status);
    drawTotals(status);
    draw();
    lastAnswer = Date.now();
    link("live", "live");
  } catch (error) {
    console.error(error);
    const since = lastAnswer ? `for ${span(Math.round((Date.now() - lastAnswer) / 1000))}` : "yet";
    link("lost", `no answer ${since}`);
  }
  setTimeout(poll, POLL_MS);
}

document.getElementById("words").addEventListener("input", filter);
document.getElementById("trouble").addEventListener("change", filter);
document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
poll();
