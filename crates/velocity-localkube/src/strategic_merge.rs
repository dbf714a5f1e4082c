//! Strategic merge patches: merge patches that know which lists merge, and by which key.

use serde_json::{Map, Value};

use crate::schema::Schema;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// A patch that makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PatchError {
    #[error("Unknown patch type found: {0}")]
    UnknownDirective(String),
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey { item: String, key: String },
    #[error("the patch is not an object")]
    NotAnObject,
}

/// Changes `value` as `patch` says, by the merge keys in `schema`.
pub(crate) fn apply(schema: &Schema, value: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let patch = patch.as_object().ok_or(PatchError::NotAnObject)?;
    merge_object(Some(schema), value, patch)
}

fn directive(patch: &Map<String, Value>) -> Result<Option<&str>, PatchError> {
    match patch.get(PATCH) {
        None => Ok(None),
        Some(Value::String(word)) if matches!(word.as_str(), "delete" | "replace" | "merge") => {
            Ok(Some(word))
        }
        Some(other) => Err(PatchError::UnknownDirective(other.to_string())),
    }
}

fn merge_object(
    schema: Option<&Schema>,
    value: &mut Value,
    patch: &Map<String, Value>,
) -> Result<(), PatchError> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Some(object) = value.as_object_mut() else { return Ok(()) };
    match directive(patch)? {
        Some("delete") => {
            object.clear();
            return Ok(());
        }
        Some("replace") => object.clear(),
        _ => {}
    }
    if let Some(Value::Array(kept)) = patch.get(RETAIN_KEYS) {
        object.retain(|name, _| kept.iter().any(|one| one == name));
    }
    for (name, change) in patch {
        if name == PATCH || name == RETAIN_KEYS || name.starts_with(ELEMENT_ORDER) {
            continue;
        }
        if let Some(field) = name.strip_prefix(DELETE_FROM) {
            if let (Some(Value::Array(list)), Some(gone)) = (object.get_mut(field), change.as_array()) {
                list.retain(|item| !gone.contains(item));
            }
            continue;
        }
        let known = schema.and_then(|schema| schema.member(name));
        match change {
            Value::Null => {
                object.remove(name);
            }
            Value::Object(below) => {
                let target = object.entry(name.clone()).or_insert(Value::Null);
                merge_object(known, target, below)?;
            }
            Value::Array(items) if known.is_some_and(|schema| schema.merge_list) => {
                let target = object.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                let before = target.as_array().cloned().unwrap_or_default();
                merge_list(known, target, items)?;
                let order = patch.get(&format!("{ELEMENT_ORDER}{name}")).and_then(Value::as_array);
                arrange(target, &before, order.unwrap_or(items), merge_key(known));
            }
            other => {
                object.insert(name.clone(), other.clone());
            }
        }
    }
    for (name, order) in patch {
        let Some(field) = name.strip_prefix(ELEMENT_ORDER).filter(|field| !patch.contains_key(*field)) else {
            continue;
        };
        let key = merge_key(schema.and_then(|schema| schema.member(field)));
        if let (Some(target @ Value::Array(_)), Some(order)) = (object.get_mut(field), order.as_array()) {
            let before = target.as_array().cloned().unwrap_or_default();
            arrange(target, &before, order, key);
        }
    }
    Ok(())
}

fn merge_key(schema: Option<&Schema>) -> Option<&str> {
    schema.and_then(|schema| schema.merge_key.as_deref())
}

fn merge_list(schema: Option<&Schema>, target: &mut Value, items: &[Value]) -> Result<(), PatchError> {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(list) = target.as_array_mut() else { return Ok(()) };
    let Some(key) = schema.and_then(|schema| schema.merge_key.as_deref()) else {
        for item in items {
            if !list.contains(item) {
                list.push(item.clone());
            }
        }
        return Ok(());
    };
    if items
        .iter()
        .filter_map(Value::as_object)
        .any(|item| item.get(PATCH).is_some_and(|word| word == "replace"))
    {
        *list = items.iter().filter(|item| item.get(PATCH).is_none()).cloned().collect();
        return Ok(());
    }
    let below = schema.and_then(|schema| schema.items.as_deref());
    for item in items {
        let change = item.as_object().ok_or(PatchError::NotAnObject)?;
        let identity = change
            .get(key)
            .ok_or_else(|| PatchError::NoMergeKey { item: item.to_string(), key: key.to_owned() })?;
        let place = list.iter().position(|one| one.get(key) == Some(identity));
        match (directive(change)?, place) {
            (Some("delete"), Some(place)) => {
                list.remove(place);
            }
            (Some("delete"), None) => {}
            (_, Some(place)) => merge_object(below, &mut list[place], change)?,
            (_, None) => {
                let mut new = Value::Object(Map::new());
                merge_object(below, &mut new, change)?;
                list.push(new);
            }
        }
    }
    Ok(())
}

/// Puts the items that `order` names in that order and lays the others between them as they were `before`.
fn arrange(target: &mut Value, before: &[Value], order: &[Value], key: Option<&str>) {
    let Some(list) = target.as_array_mut() else { return };
    let same = |a: &Value, b: &Value| match key {
        Some(key) => a.get(key) == b.get(key),
        None => a == b,
    };
    let place = |item: &Value| before.iter().position(|one| same(one, item));
    let named: Vec<Value> =
        order.iter().filter_map(|wanted| list.iter().find(|item| same(item, wanted)).cloned()).collect();
    let others: Vec<Value> =
        list.iter().filter(|item| order.iter().all(|wanted| !same(item, wanted))).cloned().collect();
    let (mut left, mut right) = (others.into_iter().peekable(), named.into_iter().peekable());
    list.clear();
    loop {
        let take_left = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(a), Some(b)) => matches!((place(a), place(b)), (Some(a), Some(b)) if a < b),
        };
        list.extend(if take_left { left.next() } else { right.next() });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(value: Value, patch: &Value) -> Result<Value, PatchError> {
        let schema = Schema::parse(
            &json!({"type": "object", "properties": {
                "names": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
                "conditions": {"type": "array", "items": {"type": "object"},
                    "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "type"},
                "atomic": {"type": "array", "items": {"type": "string"}}
            }}),
            "s",
        )
        .unwrap();
        let mut value = value;
        apply(&schema, &mut value, patch)?;
        Ok(value)
    }

    #[test]
    fn lists_merge_by_key_or_value_and_others_are_replaced() {
        let value =
            json!({"names": ["a"], "atomic": ["x"], "conditions": [{"type": "A", "s": 1}, {"type": "B"}]});
        let patch = json!({
            "names": ["b", "a"], "atomic": ["y"],
            "conditions": [{"type": "A", "s": 2}, {"type": "B", "$patch": "delete"}, {"type": "C"}]
        });
        assert_eq!(
            patched(value, &patch).unwrap(),
            json!({"names": ["b", "a"], "atomic": ["y"], "conditions": [{"type": "A", "s": 2}, {"type": "C"}]})
        );
    }

    #[test]
    fn directives_delete_replace_and_order() {
        let value = json!({"names": ["a", "b", "c"], "map": {"x": 1, "y": 2}});
        let patch = json!({
            "$deleteFromPrimitiveList/names": ["b"], "$setElementOrder/names": ["c", "a"],
            "map": {"$patch": "replace", "z": 3}
        });
        assert_eq!(patched(value, &patch).unwrap(), json!({"names": ["c", "a"], "map": {"z": 3}}));
    }

    #[test]
    fn an_item_without_its_merge_key_is_refused() {
        let error = patched(json!({}), &json!({"conditions": [{"s": 1}]})).unwrap_err();
        assert!(matches!(error, PatchError::NoMergeKey { .. }));
        assert!(patched(json!({}), &json!({"$patch": "explode"})).is_err());
    }
}
