//! The OpenAPI schemas of the built-in kinds.

use serde_json::{Value, json};

use super::meta::object_meta;

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn time(description: &str) -> Value {
    json!({ "type": "string", "format": "date-time", "description": description })
}

fn integer(description: &str) -> Value {
    json!({ "type": "integer", "format": "int32", "description": description })
}

fn strings(description: &str) -> Value {
    json!({ "type": "object", "description": description, "additionalProperties": { "type": "string" } })
}

fn bytes(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "additionalProperties": { "type": "string", "format": "byte" },
    })
}

/// Wraps the fields of a kind with `apiVersion`, `kind` and `metadata`.
fn object(description: &str, required: &[&str], fields: Value) -> Value {
    let mut properties = fields;
    properties["apiVersion"] = text("The group and version of this representation.");
    properties["kind"] = text("The kind of resource that this object is.");
    properties["metadata"] = object_meta();
    let mut schema = json!({ "type": "object", "description": description, "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

pub(super) fn namespace() -> Value {
    object(
        "Namespace is a scope for names; deleting it deletes everything in it.",
        &[],
        json!({
            "spec": {
                "type": "object",
                "description": "How the namespace behaves.",
                "properties": {
                    "finalizers": {
                        "type": "array",
                        "description": "What must happen before the namespace goes.",
                        "items": { "type": "string", "default": "" },
                        "x-kubernetes-list-type": "atomic"
                    }
                }
            },
            "status": {
                "type": "object",
                "description": "What state the namespace is in.",
                "properties": {
                    "phase": text("Active or Terminating."),
                    "conditions": {
                        "type": "array",
                        "description": "What holds a deletion up.",
                        "items": {
                            "type": "object",
                            "required": ["type", "status"],
                            "properties": {
                                "type": text("Which condition."),
                                "status": text("True, False or Unknown."),
                                "lastTransitionTime": time("When the status last changed."),
                                "reason": text("Why, in one word."),
                                "message": text("Why, for people.")
                            }
                        },
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["type"],
                        "x-kubernetes-patch-merge-key": "type",
                        "x-kubernetes-patch-strategy": "merge"
                    }
                }
            }
        }),
    )
}

pub(super) fn secret() -> Value {
    object(
        "Secret holds data that few should see.",
        &[],
        json!({
            "type": text("What the data is for; Opaque by default."),
            "data": bytes("The secret data, base64."),
            "stringData": strings("Data as text, for writing only; it is merged into data."),
            "immutable": { "type": "boolean", "description": "Whether data may no longer change." }
        }),
    )
}

pub(super) fn config_map() -> Value {
    object(
        "ConfigMap holds configuration for programs.",
        &[],
        json!({
            "data": strings("Configuration as text."),
            "binaryData": bytes("Configuration as bytes, base64."),
            "immutable": { "type": "boolean", "description": "Whether data may no longer change." }
        }),
    )
}

fn reference(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": text("API version of the object."),
            "kind": text("Kind of the object."),
            "namespace": text("Namespace of the object."),
            "name": text("Name of the object."),
            "uid": text("UID of the object."),
            "resourceVersion": text("The version of the object that is meant."),
            "fieldPath": text("The part of the object that is meant.")
        },
        "x-kubernetes-map-type": "atomic"
    })
}

fn series() -> Value {
    json!({
        "type": "object",
        "description": "How often an event happened again.",
        "properties": {
            "count": integer("How often, up to now."),
            "lastObservedTime": time("When last.")
        }
    })
}

fn source(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "component": text("The program that reports."),
            "host": text("The node on which it happened.")
        }
    })
}

pub(super) fn core_event() -> Value {
    object(
        "Event is a report of something that happened to an object.",
        &["metadata"],
        json!({
            "involvedObject": reference("The object that it happened to."),
            "related": reference("Another object that has to do with it."),
            "reason": text("Why, in one word."),
            "message": text("What happened, for people."),
            "type": text("Normal or Warning."),
            "action": text("What was done or failed."),
            "count": integer("How often it happened."),
            "firstTimestamp": time("When it was first seen."),
            "lastTimestamp": time("When it was last seen."),
            "eventTime": time("When it was first observed."),
            "source": source("Who reports."),
            "series": series(),
            "reportingComponent": text("The controller that reports."),
            "reportingInstance": text("Which instance of the controller.")
        }),
    )
}

pub(super) fn event() -> Value {
    object(
        "Event is a report of something that happened to an object.",
        &[],
        json!({
            "regarding": reference("The object that it happened to."),
            "related": reference("Another object that has to do with it."),
            "reason": text("Why, in one word."),
            "note": text("What happened, for people."),
            "type": text("Normal or Warning."),
            "action": text("What was done or failed."),
            "eventTime": time("When it was first observed."),
            "series": series(),
            "reportingController": text("The controller that reports."),
            "reportingInstance": text("Which instance of the controller."),
            "deprecatedCount": integer("The count of the core group's event."),
            "deprecatedFirstTimestamp": time("The first timestamp of the core group's event."),
            "deprecatedLastTimestamp": time("The last timestamp of the core group's event."),
            "deprecatedSource": source("The source of the core group's event.")
        }),
    )
}

pub(super) fn lease() -> Value {
    object(
        "Lease says who holds a role, such as the leader's.",
        &[],
        json!({
            "spec": {
                "type": "object",
                "description": "Who holds it and since when.",
                "properties": {
                    "holderIdentity": text("Who holds the lease."),
                    "leaseDurationSeconds": integer("After how long without renewal it may be taken over."),
                    "acquireTime": time("When the holder took it."),
                    "renewTime": time("When the holder last renewed it."),
                    "leaseTransitions": integer("How often the holder changed."),
                    "strategy": text("How a coordinated election picks the holder."),
                    "preferredHolder": text("Who should hold it next.")
                }
            }
        }),
    )
}

pub(super) fn definition() -> Value {
    object(
        "CustomResourceDefinition defines a kind of resource. Read-only here.",
        &["spec"],
        json!({
            "spec": {
                "type": "object",
                "description": "What is defined.",
                "x-kubernetes-preserve-unknown-fields": true
            },
            "status": {
                "type": "object",
                "description": "Whether it is served.",
                "x-kubernetes-preserve-unknown-fields": true
            }
        }),
    )
}
