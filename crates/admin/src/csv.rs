//! HAProxy's statistics in CSV, so that monitors made for it need no change.
//!
//! Columns that we have no number for are empty, as HAProxy leaves those that do not apply.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;

use crate::haproxy::{backend_state, server_state, usable, usable_weight};
use crate::model::{Backend, Check, Classes, Frontend, Level, Mode, Server, Status, Traffic};

/// HAProxy 2.6's header, to the letter. The last column is followed by a comma, as every row's is.
pub(crate) const HEADER: &str = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,\
eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,\
tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,\
hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,\
lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,\
check_rise,check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,\
conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,srv_icur,src_ilim,\
qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,uweight,\
agg_server_status,agg_server_check_status,agg_check_status,-,ssl_sess,ssl_reused_sess,ssl_failed_handshake,\
h2_headers_rcvd,h2_data_rcvd,h2_settings_rcvd,h2_rst_stream_rcvd,h2_goaway_rcvd,\
h2_detected_conn_protocol_errors,h2_detected_strm_protocol_errors,h2_rst_stream_resp,h2_goaway_resp,\
h2_open_connections,h2_backend_open_streams,h2_total_connections,h2_backend_total_streams,h1_open_connections,\
h1_open_streams,h1_total_connections,h1_total_streams,h1_bytes_in,h1_bytes_out,h1_spliced_bytes_in,\
h1_spliced_bytes_out,";

/// The header and a row for each frontend, and for each backend its servers' rows and its own.
pub(crate) fn render(status: &Status) -> String {
    let mut csv = String::from(HEADER);
    csv.push('\n');
    let mut id = 0;
    for frontend in &status.frontends {
        id += 1;
        frontend_row(frontend, id).write(&mut csv);
    }
    for backend in &status.backends {
        id += 1;
        for (index, server) in backend.servers.iter().enumerate() {
            server_row(backend, server, id, index + 1).write(&mut csv);
        }
        backend_row(backend, id).write(&mut csv);
    }
    csv
}

static COLUMNS: LazyLock<BTreeMap<&str, usize>> = LazyLock::new(|| {
    let names = HEADER.trim_start_matches("# ").trim_end_matches(',').split(',');
    names.enumerate().map(|(index, name)| (name, index)).collect()
});

struct Row(Vec<String>);

impl Row {
    /// The columns that every row has. `id` is the proxy's, from 1; `server`'s is 0 for the proxy itself.
    fn new(proxy: &str, name: &str, id: usize, server: usize) -> Row {
        let mut row = Row(vec![String::new(); COLUMNS.len()]);
        row.set("pxname", quoted(proxy));
        row.set("svname", quoted(name));
        row.set("pid", 1);
        row.set("iid", id);
        row.set("sid", server);
        row.set("-", "-");
        row
    }

    fn set(&mut self, column: &str, value: impl Display) {
        let index = COLUMNS.get(column).expect("rows name columns of HEADER only");
        self.0[*index] = value.to_string();
    }

    fn set_some(&mut self, column: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(column, value);
        }
    }

    fn set_sessions(&mut self, level: Level, total: u64) {
        self.set("scur", level.now);
        self.set("smax", level.max);
        self.set_some("slim", level.limit);
        self.set("stot", total);
    }

    fn set_classes(&mut self, classes: &Classes) {
        let columns = ["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"];
        for (column, (_, count)) in columns.into_iter().zip(classes.named()) {
            self.set(column, count);
        }
    }

    fn set_traffic(&mut self, traffic: &Traffic, mode: Mode) {
        self.set("bin", traffic.bytes_in);
        self.set("bout", traffic.bytes_out);
        self.set("dresp", 0);
        self.set("econ", traffic.connection_errors);
        self.set("eresp", traffic.response_errors);
        self.set("wretr", traffic.retries);
        self.set("wredis", traffic.redispatches);
        self.set("lbtot", traffic.requests);
        self.set("rate", traffic.request_rate.now);
        self.set("rate_max", traffic.request_rate.max);
        self.set("cli_abrt", traffic.client_aborts);
        self.set("connect", traffic.connections_opened);
        self.set("reuse", traffic.connections_reused);
        self.set("mode", mode.as_str());
        if mode == Mode::Http {
            self.set_classes(&traffic.responses);
            self.set("req_tot", traffic.requests);
        }
    }

    fn write(self, csv: &mut String) {
        for cell in self.0 {
            csv.push_str(&cell);
            csv.push(',');
        }
        csv.push('\n');
    }
}

fn frontend_row(frontend: &Frontend, id: usize) -> Row {
    let mut row = Row::new(&frontend.name, "FRONTEND", id, 0);
    row.set("type", 0);
    row.set("status", "OPEN");
    row.set_sessions(frontend.connections, frontend.connections_total);
    row.set("bin", frontend.bytes_in);
    row.set("bout", frontend.bytes_out);
    row.set("dreq", 0);
    row.set("dresp", 0);
    row.set("ereq", frontend.refused.values().sum::<u64>());
    row.set("rate", frontend.connection_rate.now);
    row.set("rate_max", frontend.connection_rate.max);
    row.set("rate_lim", 0);
    row.set("conn_rate", frontend.connection_rate.now);
    row.set("conn_rate_max", frontend.connection_rate.max);
    row.set("conn_tot", frontend.connections_total);
    row.set("mode", frontend.mode.as_str());
    if frontend.mode == Mode::Http {
        row.set_classes(&frontend.responses);
        row.set("req_rate", frontend.request_rate.now);
        row.set("req_rate_max", frontend.request_rate.max);
        row.set("req_tot", frontend.requests);
    }
    row
}

fn backend_row(backend: &Backend, id: usize) -> Row {
    let mut row = Row::new(&backend.name, "BACKEND", id, 0);
    let (active, backup) = usable(backend);
    row.set("type", 1);
    row.set("status", backend_state(backend));
    row.set("qcur", backend.queue.now);
    row.set("qmax", backend.queue.max);
    row.set_sessions(backend.in_flight, backend.traffic.requests);
    row.set_traffic(&backend.traffic, backend.mode);
    row.set("dreq", 0);
    row.set("weight", usable_weight(backend));
    row.set("act", active);
    row.set("bck", backup);
    row.set("algo", quoted(&backend.algorithm));
    row
}

fn server_row(backend: &Backend, server: &Server, id: usize, number: usize) -> Row {
    let mut row = Row::new(&backend.name, &server.name, id, number);
    row.set("type", 2);
    row.set("status", server_status(server));
    row.set("qcur", 0);
    row.set("qmax", 0);
    row.set_sessions(server.in_flight, server.traffic.requests);
    row.set_traffic(&server.traffic, backend.mode);
    row.set("weight", server.effective_weight);
    row.set("uweight", server.weight);
    row.set("act", u8::from(server.tier == 0));
    row.set("bck", u8::from(server.tier > 0));
    row.set("lastchg", server.last_change_s);
    row.set("addr", quoted(&server.address));
    row.set("srv_icur", server.idle_connections);
    row.set("idle_conn_cur", server.idle_connections);
    row.set("used_conn_cur", server.in_flight.now);
    if server.effective_weight < server.weight {
        row.set("throttle", server.effective_weight * 100 / server.weight);
    }
    if let Some(check) = &server.check {
        set_check(&mut row, check);
    }
    row
}

fn set_check(row: &mut Row, check: &Check) {
    row.set("chkfail", check.failures);
    row.set("chkdown", check.downs);
    row.set("check_status", quoted(&check.code));
    row.set_some("check_code", check.http_status);
    row.set("check_duration", check.duration_us / 1000);
    row.set("last_chk", quoted(&check.text));
}

fn server_status(server: &Server) -> &'static str {
    match server_state(server) {
        "UP" if server.check.is_none() => "no check",
        state => state,
    }
}

/// A cell that may hold anything: quoted where a reader of CSV needs it (RFC 4180 §2).
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_haproxys() {
        assert_eq!(format!("{HEADER}\n"), include_str!("../tests/haproxy-2.6-csv-header.txt"));
    }

    #[test]
    fn a_cell_that_holds_a_comma_is_quoted() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
    }
}
