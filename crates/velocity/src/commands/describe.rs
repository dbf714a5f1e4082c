//! `velocity describe`.

use std::fmt::Write;

use velocity_contract::status::{OperationClass, PendingOperation};

use super::get::Place;
use super::target;
use crate::cluster::{Cluster, Kinds};
use crate::failure::Outcome;
use crate::output::Out;
use crate::output::json::Json;
use crate::output::operations;
use crate::output::table::Table;
use crate::server::segment;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kind of resource: schemadefinition (sd), authstrategy (authstrat), …
    kind: String,
    /// Its name
    name: String,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let cluster = session.cluster().await?;
    let kind = Kinds::of(&cluster).called(&args.kind).await?;
    let objects = Place::of(session, &kind, Some(&args.name), None).objects(&cluster).await?;
    if session.out.is_structured() {
        return objects.iter().try_for_each(|object| session.out.value(object));
    }
    for (position, object) in objects.iter().enumerate() {
        if position > 0 {
            session.out.line("")?;
        }
        let events = events(&cluster, object).await;
        session.out.text(&page(&session.out, object, &events))?;
    }
    Ok(())
}

fn page(out: &Out, object: &Json, events: &[Json]) -> String {
    let mut page = heading(out, object);
    if object.text_at(&["kind"]) == Some("SchemaDefinition") {
        section(out, &mut page, "Fields", &fields(object));
        section(out, &mut page, "Access", &access(object));
        section(out, &mut page, "Narrowed by", &narrowed(object));
    } else if let Some(spec) = object.member("spec") {
        let _ = write!(page, "\n{}\n{}\n", out.color.bold("Spec"), indented(&spec.pretty()));
    }
    section(out, &mut page, "Conditions", &conditions(out, object));
    pending(out, object, &mut page);
    section(out, &mut page, "Events", &event_rows(events));
    page
}

fn heading(out: &Out, object: &Json) -> String {
    let text = |path: &[&str]| object.text_at(path).unwrap_or_default().to_owned();
    let mut table = Table::pairs();
    table.row(["Name", &text(&["metadata", "name"])]);
    table.row(["Namespace", &text(&["metadata", "namespace"])]);
    table.row(["Kind", &text(&["kind"])]);
    for (name, path) in [
        ("Title", ["spec", "displayName"]),
        ("Description", ["spec", "description"]),
        ("Endpoint", ["status", "endpoint"]),
        ("Table", ["status", "table"]),
        ("Spec hash", ["status", "specHash"]),
        ("Created", ["metadata", "creationTimestamp"]),
    ] {
        let value = text(&path);
        if !value.is_empty() {
            table.row([name, &value]);
        }
    }
    let phase = text(&["status", "phase"]);
    if !phase.is_empty() {
        table.row(["Phase", &out.color.state(&phase)]);
    }
    let generation = object.at(&["metadata", "generation"]).map(Json::cell).unwrap_or_default();
    let observed = object.at(&["status", "observedGeneration"]).map_or_else(|| "none".into(), Json::cell);
    table.row(["Generation", &format!("{generation} (observed: {observed})")]);
    table.render()
}

fn section(out: &Out, page: &mut String, title: &str, table: &Table) {
    let text = table.render();
    // A header alone says nothing.
    if text.lines().count() > 1 {
        let _ = write!(page, "\n{}\n{}", out.color.bold(title), indented(&text));
    }
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "  {line}");
        out
    })
}

fn fields(object: &Json) -> Table {
    let mut table = Table::new(["NAME", "TYPE", "FLAGS", "DESCRIPTION"]);
    let fields = object.at(&["spec", "fields"]).and_then(Json::as_array).unwrap_or_default();
    for field in fields {
        let flags = ["required", "unique", "filterable", "sortable", "searchable", "immutable", "deprecated"];
        let mut flags: Vec<String> = flags
            .iter()
            .filter(|flag| field.member(flag) == Some(&Json::Bool(true)))
            .map(|&flag| flag.to_owned())
            .collect();
        if let Some(target) = field.text_at(&["ref", "object"]) {
            flags.push(format!("ref {target}/{}", field.text_at(&["ref", "version"]).unwrap_or_default()));
        }
        let text = |key: &str| field.text_at(&[key]).unwrap_or_default().to_owned();
        table.row([text("name"), text("type"), flags.join(" "), text("description")]);
    }
    table
}

fn access(object: &Json) -> Table {
    let mut table = Table::new(["OPERATION", "ROLES"]);
    if let Some(Json::Object(operations)) = object.at(&["spec", "access", "roles"]) {
        for (operation, roles) in operations {
            let roles: Vec<String> = roles.as_array().unwrap_or_default().iter().map(Json::cell).collect();
            table.row([operation.clone(), roles.join(", ")]);
        }
    }
    table
}

/// What else decides: conditions on requests, row filters, fields.
fn narrowed(object: &Json) -> Table {
    let mut table = Table::new(["RULE", "FOR", "DETAIL"]);
    let all = |key: &str| object.at(&["spec", "access", key]).and_then(Json::as_array).unwrap_or_default();
    let text = |rule: &Json, key: &str| rule.text_at(&[key]).unwrap_or_default().to_owned();
    let words = |rule: &Json, key: &str| {
        let words = rule.member(key).and_then(Json::as_array)?;
        let words: Vec<String> = words.iter().map(Json::cell).collect();
        Some(if words.is_empty() { "platform-admin".to_owned() } else { words.join(", ") })
    };
    for rule in all("abac") {
        let operations = words(rule, "operations").unwrap_or_default();
        table.row(["condition".to_owned(), operations, text(rule, "condition")]);
    }
    for filter in all("rowFilter") {
        let role = Some(text(filter, "role")).filter(|role| role != "*");
        table.row([
            "row filter".to_owned(),
            role.unwrap_or_else(|| "everyone".into()),
            text(filter, "condition"),
        ]);
    }
    for rule in all("fieldAccess") {
        let mut parts = Vec::new();
        parts.extend(words(rule, "read").map(|roles| format!("read by {roles}")));
        parts.extend(words(rule, "write").map(|roles| format!("written by {roles}")));
        let mask = rule.text_at(&["masking", "strategy"]);
        parts.extend(mask.map(|strategy| format!("{strategy} for others")));
        table.row(["field".to_owned(), text(rule, "field"), parts.join("; ")]);
    }
    table
}

fn conditions(out: &Out, object: &Json) -> Table {
    let mut table = Table::new(["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    let conditions = object.at(&["status", "conditions"]).and_then(Json::as_array).unwrap_or_default();
    for condition in conditions {
        let text = |key: &str| condition.text_at(&[key]).unwrap_or_default().to_owned();
        table.row([
            text("type"),
            out.color.state(&text("status")),
            text("reason"),
            text("lastTransitionTime"),
            text("message"),
        ]);
    }
    table
}

/// Each step with its SQL in full: it is what somebody may have to approve.
fn pending(out: &Out, object: &Json, page: &mut String) {
    let steps = object.at(&["status", "pendingOperations"]).map(Json::pretty).unwrap_or_default();
    // A status of another shape is shown by `get -o yaml`; here it has nothing to show.
    let steps: Vec<PendingOperation> = serde_json::from_str(&steps).unwrap_or_default();
    if steps.is_empty() {
        return;
    }
    let _ = write!(page, "\n{}", out.color.bold("Pending operations"));
    let hash = object.text_at(&["status", "planHash"]);
    if let Some(hash) = hash {
        let _ = write!(page, " (plan {hash})");
    }
    page.push('\n');
    page.push_str(&operations::listed(
        out.color,
        &operations::of_status(&steps),
        "  ",
        operations::Detail::Full,
    ));
    let is_breaking = steps.iter().any(|step| step.class == OperationClass::Breaking);
    if let (Some(hash), Some(name), true) = (hash, object.text_at(&["metadata", "name"]), is_breaking) {
        let command = target::approve_command(name, object.text_at(&["metadata", "namespace"]), hash);
        let _ = writeln!(page, "\n  To have it done: {command}");
    }
}

fn event_rows(events: &[Json]) -> Table {
    let mut table = Table::new(["LAST SEEN", "TYPE", "REASON", "MESSAGE"]);
    for event in events {
        let text = |key: &str| event.text_at(&[key]).filter(|text| !text.is_empty());
        let seen = text("lastTimestamp").or(text("eventTime")).or(text("firstTimestamp"));
        // The newer events API calls the message a note.
        let message = text("message").or(text("note")).unwrap_or_default();
        table.row([
            seen.unwrap_or_default(),
            text("type").unwrap_or_default(),
            text("reason").unwrap_or_default(),
            message,
        ]);
    }
    table
}

/// The object's events. A cluster that does not show them to us is no reason to show nothing else.
async fn events(cluster: &Cluster, object: &Json) -> Vec<Json> {
    let (Some(namespace), Some(uid)) =
        (object.text_at(&["metadata", "namespace"]), object.text_at(&["metadata", "uid"]))
    else {
        return Vec::new();
    };
    let path = format!(
        "/api/v1/namespaces/{}/events?fieldSelector=involvedObject.uid%3D{}",
        segment(namespace),
        segment(uid)
    );
    let list = cluster.get(&path).await.and_then(|answer| answer.json());
    let mut events = match list.ok().as_ref().and_then(|list| list.member("items")?.as_array()) {
        Some(items) => items.to_vec(),
        None => Vec::new(),
    };
    // A server without that selector sends those of the whole namespace.
    events.retain(|event| event.text_at(&["involvedObject", "uid"]) == Some(uid));
    events
}
