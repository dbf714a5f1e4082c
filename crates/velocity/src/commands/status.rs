//! `velocity status`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::health::probe;
use super::version;
use crate::cluster::Kinds;
use crate::failure::Outcome;
use crate::output::table::Table;
use crate::session::Session;

/// A schema that is not ready, with its reason.
struct Waiting {
    name: String,
    namespace: String,
    phase: String,
    message: String,
}

#[derive(Default)]
struct Schemas {
    by_phase: BTreeMap<String, usize>,
    waiting: Vec<Waiting>,
}

/// One line for each part; a part that is away is a line, not a failure.
pub(super) async fn run(session: &Session) -> Outcome {
    let context = session.context()?;
    let api = api_state(session).await;
    let schemas = schemas(session).await;
    if session.out.is_structured() {
        let (schemas, kubernetes) = match &schemas {
            Ok(schemas) => (json!(schemas.by_phase), "reachable".to_owned()),
            Err(failure) => (Value::Null, failure.message().to_owned()),
        };
        return session.out.serialized(&json!({
            "context": context.name, "server": context.server, "api": api.0, "apiDetail": api.1,
            "kubernetes": kubernetes, "schemas": schemas,
        }));
    }
    let color = session.out.color;
    let mut table = Table::pairs();
    table.row(["Context", context.name.as_str(), context.server.as_str()]);
    table.row(["API", &color.state(api.0), &api.1]);
    match &schemas {
        Ok(schemas) => {
            table.row(["Kubernetes", &color.state("ok"), ""]);
            let counts: Vec<String> =
                schemas.by_phase.iter().map(|(phase, n)| format!("{n} {phase}")).collect();
            table.row(["Schemas", if counts.is_empty() { "none" } else { "" }, &counts.join(", ")]);
        }
        Err(failure) => table.row(["Kubernetes", &color.state("unreachable"), failure.message()]),
    }
    session.out.table(&table)?;
    if let Ok(Schemas { waiting, .. }) = &schemas
        && !waiting.is_empty()
    {
        let mut table = Table::new(["NAMESPACE", "SCHEMA", "PHASE", "REASON"]);
        for one in waiting {
            table.row([one.namespace.as_str(), &one.name, &color.state(&one.phase), &one.message]);
        }
        session.out.line("")?;
        session.out.table(&table)?;
    }
    Ok(())
}

/// A word and a detail.
async fn api_state(session: &Session) -> (&'static str, String) {
    let ready = match session.server() {
        Ok(server) => probe(server, "/readyz").await,
        Err(failure) => Err(failure),
    };
    match ready {
        Ok(probe) if probe.ok => {
            let version = version::ask(session).await;
            ("ready", version.map_or_else(|_| String::new(), |v| format!("{} {}", v.name, v.version)))
        }
        Ok(probe) => ("not ready", probe.detail),
        Err(failure) => ("unreachable", failure.message().to_owned()),
    }
}

async fn schemas(session: &Session) -> Outcome<Schemas> {
    let cluster = session.cluster().await?;
    let kind = Kinds::of(&cluster).called("schemadefinitions").await?;
    let list = cluster.get(&kind.collection(session.namespace())).await?.value()?;
    let mut schemas = Schemas::default();
    for item in list["items"].as_array().into_iter().flatten() {
        let phase = item["status"]["phase"].as_str().unwrap_or("Unseen");
        *schemas.by_phase.entry(phase.to_owned()).or_default() += 1;
        let of = |kind: &str| {
            let mut all = item["status"]["conditions"].as_array().into_iter().flatten();
            all.find(|condition| condition["type"] == *kind)
        };
        let drifted = of("Drifted").filter(|condition| condition["status"] == "True");
        if phase != "Ready" || drifted.is_some() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (word, condition) = match (phase, drifted) {
                ("Ready", Some(drifted)) => ("Drifted", Some(drifted)),
                _ => (phase, of("Ready")),
            };
            schemas.waiting.push(Waiting {
                name: text(&item["metadata"]["name"]),
                namespace: text(&item["metadata"]["namespace"]),
                phase: word.to_owned(),
                message: condition
                    .map_or_else(|| "no operator has looked at it yet".to_owned(), |c| text(&c["message"])),
            });
        }
    }
    Ok(schemas)
}
