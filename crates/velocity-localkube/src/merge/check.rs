//! Whether a configuration can be applied at all.

use std::collections::BTreeMap;

use serde_json::Value;

use super::path::Step;
use super::typed::{Typed, item_step, member};
use crate::schema::{Additional, ListType, Schema, Type};

/// The first thing that an applied configuration may not contain: an undeclared field, a wrong type, items that
/// share a name.
pub(super) fn check(schema: Typed<'_>, value: &Value, path: &mut Vec<Step>) -> Option<String> {
    let known = schema?;
    let here = |path: &[Step]| path.iter().map(ToString::to_string).collect::<String>();
    let expected = |what: &str, got: String| Some(format!("{}: expected {what}, got {got}", here(path)));
    match (known.kind, value) {
        _ if value.is_null() || known.int_or_string => None,
        (Some(Type::Object), Value::Object(object)) => {
            let free = known.preserve_unknown || matches!(known.additional, Some(Additional::Allowed));
            object.iter().find_map(|(name, below)| {
                path.push(Step::field(name));
                let fault = match member(schema, name) {
                    Some(declared) => check(Some(declared), below, path),
                    None if free => None,
                    None => Some(format!("{}: field not declared in schema", here(path))),
                };
                path.pop();
                fault
            })
        }
        (Some(Type::Array), Value::Array(list)) => check_items(known, list, path),
        (Some(Type::Object), other) => expected("map", format!("&{{{}}}", go_text(other))),
        (Some(Type::Array), other) => expected("list", format!("&{{{}}}", go_text(other))),
        (Some(Type::String), other) if !other.is_string() => {
            expected("string", format!("&value.valueUnstructured{{Value:{}}}", go_text(other)))
        }
        (Some(Type::Boolean), other) if !other.is_boolean() => {
            expected("boolean", format!("&{{{}}}", go_text(other)))
        }
        (Some(Type::Integer | Type::Number), other) if !other.is_number() => {
            expected("numeric (int or float)", go_type(other).to_owned())
        }
        _ => None,
    }
}

fn check_items(schema: &Schema, list: &[Value], path: &mut Vec<Step>) -> Option<String> {
    let mut seen = Vec::new();
    for (index, item) in (0..).zip(list) {
        let mut step = Step::Index(index);
        if schema.list_type == ListType::Map && item.is_object() && item_step(schema, item).is_none() {
            let here: String = path.iter().map(ToString::to_string).collect();
            let keys: Vec<String> = schema.list_map_keys.iter().map(|key| format!("\"{key}\"")).collect();
            return Some(format!(
                "{here}: element {index}: associative list with keys has an element that omits all key fields [{}] \
                 (and doesn't have default values for any key fields)",
                keys.join(" ")
            ));
        }
        if schema.list_type != ListType::Atomic
            && let Some(named) = item_step(schema, item)
        {
            if seen.contains(&named) {
                let here: String = path.iter().map(ToString::to_string).collect();
                return Some(format!("{here}: duplicate entries for key {named}"));
            }
            seen.push(named.clone());
            step = named;
        }
        path.push(step);
        let fault = check(schema.items.as_deref(), item, path);
        path.pop();
        if fault.is_some() {
            return fault;
        }
    }
    None
}

/// A value as Go prints it with `%v`.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(object) => {
            let sorted: BTreeMap<&String, &Value> = object.iter().collect();
            let members: Vec<String> =
                sorted.into_iter().map(|(name, value)| format!("{name}:{}", go_text(value))).collect();
            format!("map[{}]", members.join(" "))
        }
        other => other.to_string(),
    }
}

/// A value's Go type as `%T` prints it.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
