//! `metadata.managedFields`, decoded.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::set::Set;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who: an updater is another one at each API version, an applier is the same at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ManagerId {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    /// Empty for appliers.
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl ManagerId {
    pub(crate) fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = if operation == Operation::Apply { "" } else { api_version };
        Self {
            name: if name.is_empty() { "unknown" } else { name }.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) set: Set,
    pub(super) api_version: String,
    pub(super) time: Option<String>,
}

pub(super) type Managed = BTreeMap<ManagerId, Entry>;

/// Reads the list; `None` if it is not well formed.
pub(super) fn decode(list: &Value) -> Option<Managed> {
    let mut managed = Managed::new();
    for entry in list.as_array().into_iter().flatten() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        if text("fieldsType") != "FieldsV1" || text("apiVersion").is_empty() {
            return None;
        }
        let empty = json!({});
        let fields = if entry["fieldsV1"].is_null() { &empty } else { &entry["fieldsV1"] };
        let set = Set::decode(fields)?;
        let id = ManagerId::new(text("manager"), operation, text("apiVersion"), text("subresource"));
        let time = entry["time"].as_str().map(str::to_owned);
        managed.insert(id, Entry { set, api_version: text("apiVersion").to_owned(), time });
    }
    Some(managed)
}

/// Whether a client asks to forget all managers: `[]` or `[{}]`.
pub(super) fn is_reset(list: &Value) -> bool {
    match list.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    }
}

pub(super) fn encode(managed: &Managed) -> Value {
    let mut entries: Vec<_> = managed.iter().collect();
    entries.sort_by_key(|(id, entry)| {
        (id.operation, entry.time.clone(), id.name.clone(), entry.api_version.clone(), id.subresource.clone())
    });
    entries
        .into_iter()
        .map(|(id, entry)| {
            let mut value = json!({
                "manager": id.name, "operation": id.operation.name(), "apiVersion": entry.api_version,
                "fieldsType": "FieldsV1", "fieldsV1": entry.set.encode(),
            });
            if let Some(time) = &entry.time {
                value["time"] = json!(time);
            }
            if !id.subresource.is_empty() {
                value["subresource"] = json!(id.subresource);
            }
            value
        })
        .collect()
}

/// Whether two objects differ in nothing but the times in their managed fields.
pub(crate) fn same_but_for_times(a: &Value, b: &Value) -> bool {
    let timeless = |value: &Value| {
        let mut value = value.clone();
        for entry in value["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
        if let Some(list) = value["metadata"]["managedFields"].as_array_mut() {
            list.sort_by_key(|entry| {
                ["operation", "manager", "apiVersion", "subresource"].map(|field| entry[field].to_string())
            });
        }
        value
    };
    timeless(a) == timeless(b)
}
