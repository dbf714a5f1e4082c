//! From a JSON Schema to a structural schema, as API servers demand it of CRDs.

use serde_json::{Map, Value, json};

/// Formats that API servers know; others bring a warning at every apply.
const KNOWN_FORMATS: [&str; 3] = ["int32", "int64", "date-time"];

/// Rewrites the schema in place: no `$schema` and `title`, no null types, one `enum` for a choice of words, no
/// `additionalProperties: false` beside properties, no default that says what leaving the field out says.
pub(super) fn rewrite(schema: &mut Value) {
    let Value::Object(node) = schema else {
        // `true`: any value.
        *schema = json!({ "x-kubernetes-preserve-unknown-fields": true });
        return;
    };
    for noise in ["$schema", "title", "examples"] {
        node.remove(noise);
    }
    without_null(node);
    collapse_choice(node);
    if node.get("additionalProperties") == Some(&Value::Bool(false)) {
        node.remove("additionalProperties");
    }
    if node.get("format").and_then(Value::as_str).is_some_and(|format| !KNOWN_FORMATS.contains(&format)) {
        node.remove("format");
    }
    if node.get("default").is_some_and(says_nothing) {
        node.remove("default");
    }
    one_line(node);
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        properties.values_mut().for_each(rewrite);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(key) {
            rewrite(child);
        }
    }
    let empty = !node.contains_key("type") && !node.contains_key("x-kubernetes-preserve-unknown-fields");
    if empty {
        node.insert("x-kubernetes-preserve-unknown-fields".into(), Value::Bool(true));
    }
}

/// A field that may be left out is not one that may be null.
fn without_null(node: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            node.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = node.get_mut("anyOf") {
        choices.retain(|choice| choice != &json!({ "type": "null" }));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            node.remove("anyOf");
            for (key, value) in only {
                node.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(words)) = node.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
}

/// A choice of documented words is `oneOf` constants; a structural schema has `enum`.
fn collapse_choice(node: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = node.get("oneOf") else { return };
    let words: Option<Vec<Value>> = choices
        .iter()
        .map(|choice| match (choice.get("const"), choice.get("enum")) {
            (Some(word), _) => Some(vec![word.clone()]),
            (None, Some(Value::Array(words))) => Some(words.clone()),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .map(|lists| lists.concat());
    if let Some(words) = words {
        node.remove("oneOf");
        node.insert("type".into(), json!("string"));
        node.insert("enum".into(), Value::Array(words));
    }
}

fn says_nothing(default: &Value) -> bool {
    match default {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Doc comments are wrapped for the source; `kubectl explain` wraps for itself.
fn one_line(node: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text = text
            .split("\n\n")
            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join("\n");
    }
}

/// Writes JSON as block YAML with a stable order of keys. Texts are quoted as JSON strings, which YAML reads.
pub(super) fn write_yaml(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(members) => {
            for (position, key) in keys_in_order(members).into_iter().enumerate() {
                if position > 0 || !out.ends_with("- ") {
                    out.push_str(&" ".repeat(indent));
                }
                out.push_str(key);
                out.push(':');
                write_member(&members[key], indent, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                out.push_str(&" ".repeat(indent));
                out.push_str("- ");
                match item {
                    Value::Object(members) if !members.is_empty() => write_yaml(item, indent + 2, out),
                    scalar => {
                        out.push_str(&scalar.to_string());
                        out.push('\n');
                    }
                }
            }
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn write_member(value: &Value, indent: usize, out: &mut String) {
    let nested = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
        _ => false,
    };
    if nested {
        out.push('\n');
        write_yaml(value, indent + 2, out);
    } else {
        out.push(' ');
        match value {
            Value::String(text) if is_plain(text) => out.push_str(text),
            other => out.push_str(&other.to_string()),
        }
        out.push('\n');
    }
}

/// Whether YAML reads the text as the same text without quotes.
fn is_plain(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'-' | b'_');
    text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && text.bytes().all(word)
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        )
}

/// What a reader looks for first comes first; the rest by name, as the properties of a schema are.
fn keys_in_order(members: &Map<String, Value>) -> Vec<&String> {
    const FIRST: [&str; 6] = ["apiVersion", "kind", "metadata", "name", "type", "description"];
    let mut keys: Vec<&String> = members.keys().collect();
    keys.sort();
    if !members.values().all(Value::is_object) {
        keys.sort_by_key(|key| FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_lose_their_null_and_choices_become_an_enum() {
        let mut schema = json!({
            "$schema": "x", "title": "T", "type": "object", "additionalProperties": false,
            "properties": {
                "a": { "type": ["string", "null"], "default": null },
                "b": { "anyOf": [{ "oneOf": [{ "const": "x", "description": "d" }, { "enum": ["y"], "type": "string" }] }, { "type": "null" }] },
                "c": { "type": ["integer", "null"], "format": "uint32", "minimum": 0 },
                "d": true,
                "e": { "type": "boolean", "default": false },
                "f": { "type": "string", "default": "id" },
            },
        });
        rewrite(&mut schema);
        assert_eq!(
            schema,
            json!({ "type": "object", "properties": {
                "a": { "type": "string" },
                "b": { "type": "string", "enum": ["x", "y"] },
                "c": { "type": "integer", "minimum": 0 },
                "d": { "x-kubernetes-preserve-unknown-fields": true },
                "e": { "type": "boolean" },
                "f": { "type": "string", "default": "id" },
            } })
        );
    }

    #[test]
    fn yaml_reads_back_as_the_same_json() {
        let value = json!({ "kind": "A", "z": [], "m": {}, "list": [{ "name": "n", "deep": [1, [2]] }, "yes", 1.5, {}],
            "text": "line\none: \"q\" # no comment", "no": "no", "t": true });
        let mut yaml = String::new();
        write_yaml(&value, 0, &mut yaml);
        assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), value, "{yaml}");
    }
}
