//! The same requests to this server and to the one that the environment names: the whole answers must be the same.
//!
//! The other suites say what a Kubernetes API answers where somebody thought of it; here a real one says it.

mod builtin;
mod custom;
mod reads;

use std::sync::LazyLock;

use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use velocity_localkube::Options;

use crate::harness::{Server, is_local, private, server};

/// A request, `VERB path`. Verbs beside HTTP's: `MERGE`, `JSON`, `STRATEGIC` and `APPLY` are patches, `TABLE` and
/// `META` are other forms of GET. Paths without a leading `/` are in the test's namespace: `parcels`, `leases`,
/// `newevents` of their groups, others of the core group. `$rv3` and `$uid3` in path and body stand for what the
/// answer to the third request had.
pub(super) struct Step {
    line: &'static str,
    body: Value,
}

pub(super) fn step(line: &'static str, body: Value) -> Step {
    Step { line, body }
}

/// A request without a body.
pub(super) fn ask(line: &'static str) -> Step {
    step(line, Value::Null)
}

fn full_path(namespace: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.replace("$ns", namespace);
    }
    let within = format!("namespaces/{namespace}/{path}");
    match path.split(['/', '?']).next().unwrap_or_default() {
        "parcels" => format!("/apis/test.velocity.sh/v1/{within}"),
        "leases" => format!("/apis/coordination.k8s.io/v1/{within}"),
        "newevents" => format!("/apis/events.k8s.io/v1/{}", within.replace("newevents", "events")),
        _ => format!("/api/v1/{within}"),
    }
}

/// Puts in what earlier answers had.
fn filled(text: &str, answers: &[Value]) -> String {
    let placeholder = Regex::new(r"\$(rv|uid)([0-9]+)").unwrap();
    placeholder
        .replace_all(text, |found: &regex::Captures<'_>| {
            let number: usize = found[2].parse().unwrap();
            let field = if &found[1] == "rv" { "resourceVersion" } else { "uid" };
            answers[number - 1]["metadata"][field].as_str().unwrap_or_default().to_owned()
        })
        .into_owned()
}

/// Status, the headers that clients read, and the body of each answer.
async fn played(server: &Server, namespace: &str, steps: &[Step]) -> Vec<Value> {
    let (mut bodies, mut answers) = (Vec::new(), Vec::new());
    for step in steps {
        let (verb, path) = step.line.split_once(' ').unwrap();
        let path = full_path(namespace, &filled(path, &bodies));
        let (method, media, accept) = match verb {
            "MERGE" => (Method::PATCH, "application/merge-patch+json", "application/json"),
            "JSON" => (Method::PATCH, "application/json-patch+json", "application/json"),
            "STRATEGIC" => (Method::PATCH, "application/strategic-merge-patch+json", "application/json"),
            "APPLY" => (Method::PATCH, "application/apply-patch+yaml", "application/json"),
            "TABLE" => (Method::GET, "", "application/json;as=Table;v=v1;g=meta.k8s.io"),
            "META" => (Method::GET, "", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
            verb => (verb.parse().unwrap(), "application/json", "application/json"),
        };
        let mut request = server.request(method, &path).header("accept", accept);
        if !step.body.is_null() {
            let text = filled(&step.body.to_string().replace("$ns", namespace), &bodies);
            request = request.header("content-type", media).body(text);
        }
        let reply = server.send(request).await;
        let header = |name: &str| -> Vec<String> {
            let values = reply.headers.get_all(name);
            values.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        let body = match reply.body {
            // The events of a watch.
            Value::String(text) if text.contains('\n') => {
                text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!(line))).collect()
            }
            body => body,
        };
        answers.push(json!({
            "code": reply.code.as_u16(), "type": header("content-type"), "warning": header("warning"), "body": body,
        }));
        bodies.push(body);
    }
    answers
}

static UID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap());
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(resource ?version[^0-9]{0,40}|current: )[0-9]+( \([0-9]+\))?").unwrap()
});
static AGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[0-9]+m?s$").unwrap());

/// The same where it may differ: who an object is, when it was made, how many versions there were.
fn masked(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let of_one_server = [
                    "uid",
                    "resourceVersion",
                    "creationTimestamp",
                    "deletionTimestamp",
                    "time",
                    "storageVersionHash",
                ];
                let value = match value {
                    Value::String(text) if of_one_server.contains(&name.as_str()) && !text.is_empty() => {
                        json!("…")
                    }
                    Value::String(_) if name == "continue" => json!("…"),
                    // In each server's own words.
                    Value::String(_) if name == "description" => json!("…"),
                    // The real server goes through fields as Go goes through maps: in any order.
                    Value::Array(causes) if name == "causes" => {
                        let mut causes: Vec<Value> = causes.iter().map(masked).collect();
                        causes.sort_by_key(Value::to_string);
                        json!(causes)
                    }
                    Value::String(text)
                        if name == "message" && (text.contains(": [") || text.contains('\n')) =>
                    {
                        let mut parts: Vec<&str> = text.split([',', '[', ']', '\n']).map(str::trim).collect();
                        parts.sort_unstable();
                        masked(&json!(parts))
                    }
                    Value::Array(entries) if name == "managedFields" => {
                        let mut entries: Vec<Value> = entries.iter().map(masked).collect();
                        // In the order of their times, which have no fractions of seconds.
                        entries.sort_by_key(|entry| {
                            format!("{} {} {}", entry["manager"], entry["operation"], entry["subresource"])
                        });
                        json!(entries)
                    }
                    value => masked(value),
                };
                (name.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::String(text) => {
            let text = UID.replace_all(text, "…");
            json!(AGE.replace(&VERSION.replace_all(&text, "$1…"), "…"))
        }
        value => value.clone(),
    }
}

/// Where two values differ, and how.
fn differences(place: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let missing = Value::Null;
                let (a, b) = (a.get(name).unwrap_or(&missing), b.get(name).unwrap_or(&missing));
                differences(&format!("{place}.{name}"), a, b, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{place}[{index}]"), a, b, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("  {place}\n    ours:   {ours}\n    theirs: {theirs}")),
    }
}

async fn agree(steps: &[Step]) {
    let (local, other) = (private(Options::default()), server());
    assert!(!is_local(&other), "there is no other server; KUBE_CONFORMANCE_URL names one");
    let namespace = other.namespace().await.name;
    let same = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    local.server.post("/api/v1/namespaces", &same).await.ok();
    let ours = played(&local.server, &namespace, steps).await;
    let theirs = played(&other, &namespace, steps).await;
    let mut report = Vec::new();
    for (number, ((step, ours), theirs)) in steps.iter().zip(&ours).zip(&theirs).enumerate() {
        let mut found = Vec::new();
        if ours["code"] == theirs["code"] {
            differences("", &masked(ours), &masked(theirs), &mut found);
        } else {
            found.push(format!("  ours:   {ours}\n  theirs: {theirs}"));
        }
        if !found.is_empty() {
            report.push(format!("{}. {} {}\n{}", number + 1, step.line, step.body, found.join("\n")));
        }
    }
    assert!(report.is_empty(), "the servers differ:\n{}", report.join("\n"));
}
