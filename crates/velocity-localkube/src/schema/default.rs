//! Filling in what was left out.

use serde_json::Value;

use super::{Additional, Schema};

impl Schema {
    fn refuses_null(&self) -> bool {
        !self.nullable
    }
}

/// Removes nulls that mean "not there", then sets defaults.
pub(crate) fn fill_defaults(schema: &Schema, value: &mut Value) {
    remove_nulls(schema, value);
    set_defaults(schema, value);
}

fn remove_nulls(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(object) => object.retain(|name, member| {
            let Some(known) = schema.member(name) else { return true };
            if member.is_null() && known.refuses_null() && known.default.is_none() {
                return false;
            }
            remove_nulls(known, member);
            true
        }),
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for item in list {
                    remove_nulls(items, item);
                }
            }
        }
        _ => {}
    }
}

fn set_defaults(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, known) in &schema.properties {
                let Some(default) = &known.default else { continue };
                let missing = object.get(name).is_none_or(|found| found.is_null() && known.refuses_null());
                if missing {
                    object.insert(name.clone(), default.clone());
                }
            }
            for (name, member) in object.iter_mut() {
                match (schema.properties.get(name), &schema.additional) {
                    (Some(known), _) => set_defaults(known, member),
                    (None, Some(Additional::Schema(known))) => default_or_descend(known, member),
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for item in list {
                    default_or_descend(items, item);
                }
            }
        }
        _ => {}
    }
}

fn default_or_descend(schema: &Schema, value: &mut Value) {
    if let (true, true, Some(default)) = (value.is_null(), schema.refuses_null(), &schema.default) {
        *value = default.clone();
    }
    set_defaults(schema, value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_fill_gaps_and_nulls_that_may_not_be() {
        let schema = Schema::parse(
            &json!({"type": "object", "properties": {
                "a": {"type": "object", "default": {}, "properties": {"b": {"type": "integer", "default": 3}}},
                "n": {"type": "string", "default": "x"},
                "may": {"type": "string", "nullable": true},
                "drop": {"type": "string"},
                "list": {"type": "array", "items": {"type": "object", "properties": {"q": {"type": "boolean", "default": false}}}}
            }}),
            "s",
        )
        .unwrap();
        let mut value = json!({"n": null, "may": null, "drop": null, "list": [{}]});
        fill_defaults(&schema, &mut value);
        assert_eq!(value, json!({"a": {"b": 3}, "n": "x", "may": null, "list": [{"q": false}]}));
    }
}
