//! The columns that `kubectl get` shows for built-in kinds.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::table::{Column, age_since};

fn text(value: &Value, pointer: &str) -> Value {
    json!(value.pointer(pointer).and_then(Value::as_str).unwrap_or_default())
}

fn created(value: &Value, now: Timestamp) -> Value {
    age_since(&value["metadata"]["creationTimestamp"], now)
}

fn age() -> Column {
    Column::computed("Age", "string", 0, created)
}

fn count(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

pub(super) fn namespace() -> Vec<Column> {
    vec![Column::computed("Status", "string", 0, |value, _| text(value, "/status/phase")), age()]
}

pub(super) fn secret() -> Vec<Column> {
    vec![
        Column::computed("Type", "string", 0, |value, _| text(value, "/type")),
        Column::computed("Data", "string", 0, |value, _| json!(count(&value["data"]))),
        age(),
    ]
}

pub(super) fn config_map() -> Vec<Column> {
    vec![
        Column::computed("Data", "string", 0, |value, _| {
            json!(count(&value["data"]) + count(&value["binaryData"]))
        }),
        age(),
    ]
}

pub(super) fn lease() -> Vec<Column> {
    vec![Column::computed("Holder", "string", 0, |value, _| text(value, "/spec/holderIdentity")), age()]
}

pub(super) fn definition() -> Vec<Column> {
    vec![Column::computed("Created At", "date", 0, |value, _| text(value, "/metadata/creationTimestamp"))]
}

/// A field of an Event under its core or its events.k8s.io name.
fn either<'a>(value: &'a Value, core: &str, new: &str) -> &'a Value {
    let found = &value[core];
    if found.is_null() { &value[new] } else { found }
}

fn first_seen(value: &Value, now: Timestamp) -> Value {
    let first = either(value, "firstTimestamp", "deprecatedFirstTimestamp");
    age_since(if first.is_null() { &value["eventTime"] } else { first }, now)
}

fn last_seen(value: &Value, now: Timestamp) -> Value {
    let series = &value["series"]["lastObservedTime"];
    let last = either(value, "lastTimestamp", "deprecatedLastTimestamp");
    let seen = if !series.is_null() {
        series
    } else if !last.is_null() {
        last
    } else {
        let first = either(value, "firstTimestamp", "deprecatedFirstTimestamp");
        if first.is_null() { &value["eventTime"] } else { first }
    };
    age_since(seen, now)
}

fn event_count(value: &Value) -> Value {
    let series = &value["series"]["count"];
    let count = either(value, "count", "deprecatedCount");
    let found = if series.is_null() { count } else { series };
    json!(found.as_i64().unwrap_or(0).max(1))
}

fn object(value: &Value) -> Value {
    let about = either(value, "involvedObject", "regarding");
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    match about["name"].as_str() {
        Some(name) if !name.is_empty() => json!(format!("{kind}/{name}")),
        _ => json!(kind),
    }
}

fn reported_by(value: &Value) -> Value {
    let source = either(value, "source", "deprecatedSource");
    let component = source["component"].as_str().unwrap_or_default();
    let reporter = either(value, "reportingComponent", "reportingController").as_str().unwrap_or_default();
    let mut parts = vec![if component.is_empty() { reporter } else { component }];
    let host = source["host"].as_str().unwrap_or_default();
    let instance = value["reportingInstance"].as_str().unwrap_or_default();
    let second = if host.is_empty() { instance } else { host };
    if !second.is_empty() {
        parts.push(second);
    }
    json!(parts.join(", "))
}

pub(super) fn event() -> Vec<Column> {
    vec![
        Column::computed("Last Seen", "string", 0, last_seen),
        Column::computed("Type", "string", 0, |value, _| text(value, "/type")),
        Column::computed("Reason", "string", 0, |value, _| text(value, "/reason")),
        Column::computed("Object", "string", 0, |value, _| object(value)),
        Column::computed("Subobject", "string", 1, |value, _| {
            text(either(value, "involvedObject", "regarding"), "/fieldPath")
        }),
        Column::computed("Source", "string", 1, |value, _| reported_by(value)),
        Column::computed("Message", "string", 0, |value, _| {
            json!(either(value, "message", "note").as_str().unwrap_or_default().trim())
        }),
        Column::computed("First Seen", "string", 1, first_seen),
        Column::computed("Count", "string", 1, |value, _| event_count(value)),
        Column::computed("Name", "string", 1, |value, _| text(value, "/metadata/name")).formatted("name"),
    ]
}
