//! `metadata`, as every object has it.

use serde_json::{Value, json};

/// The OpenAPI schema of ObjectMeta, with the merge rules of its lists.
pub(crate) fn object_meta() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let time =
        |description: &str| json!({ "type": "string", "format": "date-time", "description": description });
    let map = |description: &str| {
        json!({
            "type": "object",
            "description": description,
            "additionalProperties": { "type": "string", "default": "" },
        })
    };
    json!({
        "type": "object",
        "description": "What every object carries: its name, labels, and what the server keeps about it.",
        "properties": {
            "name": text("The object's name, unique in its namespace. It cannot be changed."),
            "generateName": text("A prefix from which the server makes a unique name when name is empty."),
            "namespace": text("The namespace that the object is in. It cannot be changed."),
            "selfLink": text("No longer set."),
            "uid": text("Unique in time and space; set by the server."),
            "resourceVersion": text("Changes with every change of the object; opaque."),
            "generation": {
                "type": "integer",
                "format": "int64",
                "description": "Counts the changes of the desired state; set by the server."
            },
            "creationTimestamp": time("When the object was created; set by the server."),
            "deletionTimestamp": time("Set once deletion was asked for and finalizers keep the object."),
            "deletionGracePeriodSeconds": {
                "type": "integer",
                "format": "int64",
                "description": "Seconds the object may take to end."
            },
            "labels": map("Keys and values to select objects by."),
            "annotations": map("Keys and values for tools; not for selecting."),
            "finalizers": {
                "type": "array",
                "description": "What must happen before the object goes; each is removed by who is responsible.",
                "items": { "type": "string", "default": "" },
                "x-kubernetes-list-type": "set",
                "x-kubernetes-patch-strategy": "merge"
            },
            "ownerReferences": owner_references(),
            "managedFields": managed_fields()
        }
    })
}

fn owner_references() -> Value {
    json!({
        "type": "array",
        "description": "Objects that this one depends on; it goes when all of them are gone.",
        "items": {
            "type": "object",
            "required": ["apiVersion", "kind", "name", "uid"],
            "properties": {
                "apiVersion": { "type": "string", "description": "API version of the owner.", "default": "" },
                "kind": { "type": "string", "description": "Kind of the owner.", "default": "" },
                "name": { "type": "string", "description": "Name of the owner.", "default": "" },
                "uid": { "type": "string", "description": "UID of the owner.", "default": "" },
                "controller": { "type": "boolean", "description": "Whether the owner is the managing controller." },
                "blockOwnerDeletion": {
                    "type": "boolean",
                    "description": "Whether a foreground deletion of the owner waits for this object."
                }
            },
            "x-kubernetes-map-type": "atomic"
        },
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["uid"],
        "x-kubernetes-patch-merge-key": "uid",
        "x-kubernetes-patch-strategy": "merge"
    })
}

fn managed_fields() -> Value {
    json!({
        "type": "array",
        "description": "Which client manages which fields; kept by the server.",
        "items": {
            "type": "object",
            "properties": {
                "manager": { "type": "string", "description": "Who." },
                "operation": { "type": "string", "description": "Apply or Update." },
                "apiVersion": { "type": "string", "description": "In which version the fields are named." },
                "time": { "type": "string", "format": "date-time", "description": "When the fields last changed." },
                "fieldsType": { "type": "string", "description": "Always FieldsV1." },
                "fieldsV1": {
                    "type": "object",
                    "description": "The fields, as a trie.",
                    "x-kubernetes-preserve-unknown-fields": true
                },
                "subresource": { "type": "string", "description": "Through which subresource." }
            }
        },
        "x-kubernetes-list-type": "atomic"
    })
}
