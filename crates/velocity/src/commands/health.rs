//! `velocity health`.

use serde_json::json;

use crate::failure::{Exit, Failure, Outcome};
use crate::output::table::Table;
use crate::server::{Request, Server};
use crate::session::Session;

/// What a probe said.
pub(super) struct Probe {
    pub(super) ok: bool,
    /// What the server added, where it was not ready.
    pub(super) detail: String,
}

pub(super) async fn run(session: &Session) -> Outcome {
    let server = session.server()?;
    let alive = probe(server, "/healthz").await?;
    let ready = probe(server, "/readyz").await?;
    if session.out.is_structured() {
        session.out.serialized(&json!({
            "server": server.url(), "alive": alive.ok, "ready": ready.ok, "detail": ready.detail,
        }))?;
    } else {
        let mut table = Table::pairs();
        for (name, good, bad, probe) in
            [("healthz", "ok", "failed", &alive), ("readyz", "ready", "not ready", &ready)]
        {
            let word = session.out.color.state(if probe.ok { good } else { bad });
            table.row([name.to_owned(), word, probe.detail.clone()]);
        }
        session.out.table(&table)?;
    }
    if alive.ok && ready.ok {
        return Ok(());
    }
    let what = if alive.ok { "not ready" } else { "not well" };
    Err(Failure::new(Exit::Unavailable, format!("{} is {what}", server.url())))
}

/// Asks one of the probes. A server that does not answer at all is a failure.
pub(super) async fn probe(server: &Server, path: &str) -> Outcome<Probe> {
    let reply = server.send_once(&Request::get(path)).await?;
    let ok = reply.status.is_success();
    let detail = if ok { String::new() } else { said(&reply.body) };
    Ok(Probe { ok, detail })
}

/// What the probe waits for, the sentence of an error body, or the beginning of the body itself.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let missing: Vec<&str> =
        json["missing"].as_array().into_iter().flatten().filter_map(|m| m.as_str()).collect();
    match json["detail"].as_str() {
        Some(detail) => detail.to_owned(),
        None if !missing.is_empty() => format!("waiting for: {}", missing.join(", ")),
        None => text.trim().chars().take(500).collect(),
    }
}
