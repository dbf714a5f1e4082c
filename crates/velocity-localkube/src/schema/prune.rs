//! Dropping what a schema does not know.

use serde_json::Value;

use super::{Additional, Schema};

/// Removes unknown members; returns their paths.
pub(crate) fn prune(schema: &Schema, value: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    walk(schema, value, "", &mut dropped);
    dropped.sort();
    dropped
}

/// `parent.name`, without a leading dot at the root.
pub(crate) fn child(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn walk(schema: &Schema, value: &mut Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.retain(|name, member| {
            let here = child(path, name);
            if let Some(known) = schema.properties.get(name) {
                walk(known, member, &here, dropped);
                return true;
            }
            match &schema.additional {
                Some(Additional::Schema(schema)) => {
                    walk(schema, member, &here, dropped);
                    true
                }
                Some(Additional::Allowed) => true,
                None if schema.preserve_unknown => true,
                None if schema.embedded_resource && is_resource_field(name) => true,
                None => {
                    dropped.push(here);
                    false
                }
            }
        }),
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for (at, item) in list.iter_mut().enumerate() {
                    walk(items, item, &format!("{path}[{at}]"), dropped);
                }
            }
        }
        _ => {}
    }
}

fn is_resource_field(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_members_go_except_where_they_are_preserved() {
        let schema = Schema::parse(
            &json!({"type": "object", "properties": {
                "a": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"strict": {"type": "object", "properties": {}}}},
                "map": {"type": "object", "additionalProperties": {"type": "object"}}
            }}),
            "s",
        )
        .unwrap();
        let mut value = json!({
            "a": [{"x": "1", "y": 2}], "b": 1, "free": {"any": {"thing": 1}, "strict": {"no": 1}}, "map": {"k": {"z": 1}}
        });
        assert_eq!(prune(&schema, &mut value), ["a[0].y", "b", "free.strict.no", "map.k.z"]);
        assert_eq!(
            value,
            json!({"a": [{"x": "1"}], "free": {"any": {"thing": 1}, "strict": {}}, "map": {"k": {}}})
        );
    }
}
