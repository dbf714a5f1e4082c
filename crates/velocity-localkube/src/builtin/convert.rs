//! Between how an object is stored and how a version shows it.

use serde_json::{Map, Value, json};

use crate::kind::{Behaviour, Endpoint};

/// The fields that the two Event kinds name differently: core's name first.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("source", "deprecatedSource"),
];

fn set_type(value: &mut Value, api_version: &str, kind: &str) {
    if let Some(object) = value.as_object_mut() {
        object.insert("apiVersion".to_owned(), json!(api_version));
        object.insert("kind".to_owned(), json!(kind));
    }
}

fn rename(value: &mut Value, pairs: impl Iterator<Item = (&'static str, &'static str)>) {
    let Some(object) = value.as_object_mut() else { return };
    let moved: Vec<_> = pairs.filter_map(|(from, to)| Some((to, object.remove(from)?))).collect();
    object.extend(moved.into_iter().map(|(to, field)| (to.to_owned(), field)));
}

fn is_new_event(endpoint: &Endpoint) -> bool {
    endpoint.kind.behaviour == Behaviour::Event && !endpoint.kind.group.is_empty()
}

/// The stored object as `endpoint` shows it.
pub(crate) fn present(endpoint: &Endpoint, stored: &Value) -> Value {
    let mut value = stored.clone();
    if is_new_event(endpoint) {
        rename(&mut value, EVENT_FIELDS.iter().copied());
        if let Some(event) = value.as_object_mut() {
            event.retain(|name, field| !(name.starts_with("reporting") && field == ""));
        }
    }
    set_type(&mut value, &endpoint.api_version(), &endpoint.kind.kind);
    value
}

/// An object of `endpoint` as it is stored.
pub(crate) fn stored(endpoint: &Endpoint, mut value: Value) -> Value {
    if is_new_event(endpoint) {
        rename(&mut value, EVENT_FIELDS.iter().map(|&(core, new)| (new, core)));
    }
    if endpoint.kind.behaviour == Behaviour::Event {
        fill_event(&mut value);
    }
    set_type(&mut value, &endpoint.kind.stored_as, &endpoint.kind.kind);
    value
}

/// Members that Go's encoder always writes for an Event, so that readers find them.
fn fill_event(value: &mut Value) {
    let Some(event) = value.as_object_mut() else { return };
    for name in ["involvedObject", "source"] {
        event.entry(name).or_insert_with(|| Value::Object(Map::new()));
    }
    for name in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        event.entry(name).or_insert(Value::Null);
    }
    for name in ["reportingComponent", "reportingInstance"] {
        event.entry(name).or_insert_with(|| json!(""));
    }
}
