//! Values against schemas, in the real server's words.

use serde_json::{Value, json};

use super::format::is_valid;
use super::prune::child;
use super::{Additional, Bound, ListType, Schema, Type, Values};
use crate::field_error::{Fault, FieldError};

/// Every violation of `value`. Parts that equal their counterpart in `old` are not looked at: an object that was
/// stored under a looser schema can still be changed elsewhere.
pub(crate) fn validate(schema: &Schema, value: &Value, old: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    node(schema, value, old, path, &mut errors);
    errors
}

fn node(schema: &Schema, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    if old == Some(value) {
        return;
    }
    check_type(schema, value, path, errors);
    if value.is_null() {
        if !schema.nullable {
            check_enum(&schema.values, value, path, errors);
        }
        return;
    }
    // What can be checked is, also of a value with the wrong type.
    check_alternatives(&schema.values, value, path, errors);
    match value {
        Value::String(text) => check_string(schema, text, path, errors),
        Value::Number(_) => check_number(schema, value, path, errors),
        Value::Array(list) => check_array(schema, list, old, path, errors),
        _ => {}
    }
    check_enum(&schema.values, value, path, errors);
    if let Value::Object(_) = value {
        check_object(schema, value, old, path, errors);
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn fits(kind: Type, value: &Value) -> bool {
    match kind {
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::String => value.is_string(),
        Type::Boolean => value.is_boolean(),
        Type::Number => value.is_number(),
        Type::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0) && value.is_number(),
    }
}

fn words(kind: Type) -> &'static str {
    match kind {
        Type::Object => "object",
        Type::Array => "array",
        Type::String => "string",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
    }
}

fn check_type(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (ok, expected) = match (schema.int_or_string, schema.kind) {
        (true, _) => (fits(Type::Integer, value) || value.is_string(), "integer,string"),
        (false, Some(kind)) => (fits(kind, value), words(kind)),
        (false, None) => return,
    };
    if ok || (value.is_null() && schema.nullable) {
        return;
    }
    // A scalar is held against the format first, and then that is what it should have been.
    let format = schema.values.format.as_deref();
    let (expected, found) = match (format, value) {
        (Some(format), Value::Number(number)) => (format, if number.is_f64() { "float64" } else { "int64" }),
        (Some(format), Value::Bool(_) | Value::Object(_)) => (format, ""),
        _ => (expected, type_name(value)),
    };
    let detail = format!("{path} in body must be of type {expected}: \"{found}\"");
    errors.push(FieldError::new(Fault::TypeInvalid, path, json!(found), detail));
}

fn check_alternatives(values: &Values, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let composite = |text: String| FieldError::invalid("<nil>", json!(""), text);
    let try_all = |schemas: &[Schema]| -> Vec<Vec<FieldError>> {
        schemas.iter().map(|schema| validate(schema, value, None, path)).collect()
    };
    if !values.any_of.is_empty() {
        let results = try_all(&values.any_of);
        if results.iter().all(|errors| !errors.is_empty()) {
            errors.push(composite(format!("\"{path}\" must validate at least one schema (anyOf)")));
            errors.extend(results.into_iter().min_by_key(Vec::len).into_iter().flatten());
        }
    }
    if !values.one_of.is_empty() {
        let results = try_all(&values.one_of);
        let valid = results.iter().filter(|errors| errors.is_empty()).count();
        if valid != 1 {
            let found = if valid == 0 {
                "Found none valid".to_owned()
            } else {
                format!("Found {valid} valid alternatives")
            };
            errors.push(composite(format!(
                "\"{path}\" must validate one and only one schema (oneOf). {found}"
            )));
            if valid == 0 {
                errors.extend(results.into_iter().min_by_key(Vec::len).into_iter().flatten());
            }
        }
    }
    if !values.all_of.is_empty() {
        let results = try_all(&values.all_of);
        let valid = results.iter().filter(|errors| errors.is_empty()).count();
        errors.extend(results.into_iter().flatten());
        if valid < values.all_of.len() {
            let more = if valid == 0 { ". None validated" } else { "" };
            errors.push(composite(format!("\"{path}\" must validate all the schemas (allOf){more}")));
        }
    }
    if values.not.as_ref().is_some_and(|schema| validate(schema, value, None, path).is_empty()) {
        errors.push(composite(format!("\"{path}\" must not validate the schema (not)")));
    }
}

fn check_string(schema: &Schema, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let values = &schema.values;
    let length = text.chars().count() as u64;
    // Only the first of length and pattern is reported.
    if let Some(max) = values.max_length.filter(|max| length > *max) {
        errors.push(FieldError::too_long(path, max));
    } else if let Some(min) = values.min_length.filter(|min| length < *min) {
        let detail = format!("{path} in body should be at least {min} chars long");
        errors.push(FieldError::invalid(path, json!(text), detail));
    } else if let Some(pattern) = values.pattern.as_ref().filter(|pattern| !pattern.regex.is_match(text)) {
        let detail = format!("{path} in body should match '{}'", pattern.source);
        errors.push(FieldError::invalid(path, json!(text), detail));
    }
    if let Some(format) = values.format.as_ref().filter(|format| !is_valid(format, text)) {
        let detail = format!("{path} in body must be of type {format}: {}", json!(text));
        errors.push(FieldError::new(Fault::TypeInvalid, path, json!(text), detail));
    }
}

fn check_number(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let values = &schema.values;
    let number = value.as_f64().unwrap_or(0.0);
    if schema.kind == Some(Type::Integer) {
        let is_int32 = values.format.as_deref() == Some("int32");
        let in_range = !is_int32 || (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
        if number.fract() != 0.0 || !in_range {
            let format = values
                .format
                .as_ref()
                .map_or_else(|| "(default format)".to_owned(), |f| format!("with format {f}"));
            let detail = format!("Checked value must be of type integer {format} in {path}");
            errors.push(FieldError::invalid("<nil>", json!(""), detail));
        }
    }
    let mut complain = |text: String| {
        let detail = format!("{path} in body should be {text}");
        errors.push(FieldError::invalid(path, value.clone(), detail));
    };
    if let Some(factor) = values.multiple_of.filter(|factor| (number / factor).fract() != 0.0) {
        complain(format!("a multiple of {factor}"));
    }
    if let Some(Bound { value: max, exclusive }) = values.maximum
        && (number > max || (exclusive && number >= max))
    {
        complain(format!("less than {}{max}", if exclusive { "" } else { "or equal to " }));
    }
    if let Some(Bound { value: min, exclusive }) = values.minimum
        && (number < min || (exclusive && number <= min))
    {
        complain(format!("greater than {}{min}", if exclusive { "" } else { "or equal to " }));
    }
}

fn check_enum(values: &Values, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if values.allowed.is_empty() || values.allowed.contains(value) {
        return;
    }
    let supported: Vec<String> = values
        .allowed
        .iter()
        .map(|allowed| allowed.as_str().map_or_else(|| allowed.to_string(), str::to_owned))
        .collect();
    errors.push(FieldError::not_supported(path, value.clone(), &supported));
}

fn check_array(
    schema: &Schema,
    list: &[Value],
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let values = &schema.values;
    if let Some(items) = &schema.items {
        for (at, item) in list.iter().enumerate() {
            let before = old.and_then(|old| counterpart(schema, old, item));
            node(items, item, before, &format!("{path}[{at}]"), errors);
        }
    }
    if let Some(min) = values.min_items.filter(|min| (list.len() as u64) < *min) {
        let detail = format!("{path} in body should have at least {min} items");
        errors.push(FieldError::invalid(path, json!(list.len()), detail));
    }
    if let Some(max) = values.max_items.filter(|max| list.len() as u64 > *max) {
        errors.push(FieldError::too_many(path, list.len(), max));
    }
    if values.unique_items && has_duplicates(list) {
        let detail = format!("{path} in body shouldn't contain duplicates");
        errors.push(FieldError::invalid(path, json!(""), detail));
    }
}

fn has_duplicates(list: &[Value]) -> bool {
    list.iter().enumerate().any(|(at, item)| list[..at].contains(item))
}

/// The item of the old list with the same keys; only lists of type map have one.
pub(super) fn counterpart<'a>(schema: &Schema, old: &'a Value, item: &Value) -> Option<&'a Value> {
    if schema.list_type != ListType::Map {
        return None;
    }
    let keys = schema.list_map_keys.as_slice();
    old.as_array()?.iter().find(|before| keys.iter().all(|key| before.get(key) == item.get(key)))
}

fn check_object(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let Some(object) = value.as_object() else { return };
    let values = &schema.values;
    if let Some(min) = values.min_properties.filter(|min| (object.len() as u64) < *min) {
        let detail = format!("{path} in body should have at least {min} properties");
        errors.push(FieldError::invalid(path, json!(object.len()), detail));
    }
    if let Some(max) = values.max_properties.filter(|max| object.len() as u64 > *max) {
        errors.push(FieldError::too_many(path, object.len(), max));
    }
    for (name, member) in object {
        let known = schema.properties.get(name).or(match &schema.additional {
            Some(Additional::Schema(schema)) => Some(schema),
            _ => None,
        });
        if let Some(known) = known {
            node(known, member, old.and_then(|old| old.get(name)), &child(path, name), errors);
        }
    }
    for name in values.required.iter().filter(|name| !object.contains_key(*name)) {
        errors.push(FieldError::required(child(path, name), ""));
    }
}

/// Duplicates in lists of type set and map.
pub(crate) fn check_lists(schema: &Schema, value: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    lists(schema, value, path, &mut errors);
    errors
}

fn lists(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(object) => {
            for (name, member) in object {
                if let Some(known) = schema.member(name) {
                    lists(known, member, &child(path, name), errors);
                }
            }
        }
        Value::Array(list) => {
            let identities: Vec<Value> = match schema.list_type {
                ListType::Atomic => Vec::new(),
                ListType::Set => list.clone(),
                ListType::Map => list.iter().map(|item| keys_of(schema, item)).collect(),
            };
            for (at, identity) in identities.iter().enumerate() {
                // Each value is reported once, at its second place.
                if identities[..at].iter().filter(|one| *one == identity).count() == 1 {
                    let path = format!("{path}[{at}]");
                    errors.push(FieldError::new(Fault::Duplicate, path, identity.clone(), ""));
                }
            }
            for (at, item) in list.iter().enumerate() {
                if let Some(items) = &schema.items {
                    lists(items, item, &format!("{path}[{at}]"), errors);
                }
            }
        }
        _ => {}
    }
}

fn keys_of(schema: &Schema, item: &Value) -> Value {
    schema.list_map_keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tests pass literals")]
    fn errors(schema: Value, value: Value) -> Vec<String> {
        let schema = Schema::parse(&schema, "s").unwrap();
        let mut errors = validate(&schema, &value, None, "spec");
        errors.extend(check_lists(&schema, &value, "spec"));
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn violations_read_as_the_real_server_writes_them() {
        let schema = json!({"type": "object", "required": ["must"], "properties": {
            "kind": {"type": "string", "enum": ["a", "b"]},
            "short": {"type": "string", "maxLength": 3, "pattern": "^x"},
            "count": {"type": "integer", "minimum": 1, "maximum": 3},
            "ratio": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
            "when": {"type": "string", "format": "date-time"},
            "port": {"x-kubernetes-int-or-string": true},
            "list": {"type": "array", "minItems": 2, "maxItems": 3, "x-kubernetes-list-type": "set",
                     "items": {"type": "string"}}
        }});
        let value = json!({"kind": "c", "short": "long", "count": 9, "ratio": 0, "when": "noon", "port": true,
                           "list": ["p", "q", "p", "r"]});
        assert_eq!(
            errors(schema, value),
            [
                "spec.count: Invalid value: 9: spec.count in body should be less than or equal to 3",
                "spec.kind: Unsupported value: \"c\": supported values: \"a\", \"b\"",
                "spec.list: Too many: 4: must have at most 3 items",
                "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
                "spec.ratio: Invalid value: 0: spec.ratio in body should be greater than 0",
                "spec.short: Too long: may not be more than 3 bytes",
                "spec.when: Invalid value: \"noon\": spec.when in body must be of type date-time: \"noon\"",
                "spec.must: Required value",
                "spec.list[2]: Duplicate value: \"p\"",
            ]
        );
    }

    #[test]
    fn what_did_not_change_is_not_complained_about() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "string", "maxLength": 1}, "b": {"type": "string", "maxLength": 1}}});
        let schema = Schema::parse(&schema, "s").unwrap();
        let old = json!({"a": "long", "b": "x"});
        let changed = validate(&schema, &json!({"a": "long", "b": "longer"}), Some(&old), "spec");
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].path, "spec.b");
    }
}
