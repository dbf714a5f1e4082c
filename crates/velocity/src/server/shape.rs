//! The fields of a schema, as far as a client needs them: what text on a command line or in a CSV file becomes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Request, Schema, Server};
use crate::failure::{Failure, Outcome};

/// The fields of a schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    /// Each field by its name.
    pub(crate) fields: BTreeMap<String, FieldShape>,
    /// Whether records refer to records of this very schema, so that their order matters.
    pub(crate) refers_to_itself: bool,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldShape {
    /// What its values are.
    pub(crate) kind: Kind,
    /// Whether the platform keeps it, so that nobody sends it.
    pub(crate) read_only: bool,
}

/// What a field's values are, as far as their JSON goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A JSON string whose text may be empty.
    Text,
    /// A JSON string whose text is never empty: a date, a uuid, one of a few words.
    Word,
    Integer,
    Number,
    Boolean,
    /// Any JSON.
    Json,
    Array,
}

impl Shape {
    /// Asks the server.
    pub(crate) async fn of(server: &Server, schema: &Schema) -> Outcome<Self> {
        let reply = server.send(&Request::get(schema.route("schema.json"))).await?;
        let document: Value = serde_json::from_slice(&reply.body).map_err(|error| {
            Failure::failed(format!("the schema that the server sent cannot be read: {error}"))
        })?;
        Ok(Self::read(&document, &schema.path.to_string()))
    }

    fn read(document: &Value, path: &str) -> Self {
        let mut shape = Self::default();
        for (name, property) in document["properties"].as_object().into_iter().flatten() {
            let read_only = property["readOnly"].as_bool().unwrap_or(false);
            shape.fields.insert(name.clone(), FieldShape { kind: kind(property), read_only });
            let target = property["x-velocity-ref"]["endpoint"].as_str().unwrap_or_default();
            let enforced = property["x-velocity-ref"]["enforce"].as_bool().unwrap_or(true);
            shape.refers_to_itself |= enforced && target.strip_prefix("/api/") == Some(path);
        }
        shape
    }

    /// What `text` is for a field: for an unknown one a text, and the server says what is wrong.
    pub(crate) fn kind_of(&self, field: &str) -> Kind {
        self.fields.get(field).map_or(Kind::Text, |field| field.kind)
    }
}

fn kind(property: &Value) -> Kind {
    let json_type = match &property["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        other => other.as_str(),
    };
    match (property["x-velocity-type"].as_str(), json_type) {
        (Some("integer"), _) | (None, Some("integer")) => Kind::Integer,
        (Some("number"), _) | (None, Some("number")) => Kind::Number,
        (Some("boolean"), _) | (None, Some("boolean")) => Kind::Boolean,
        (Some("array"), _) | (None, Some("array")) => Kind::Array,
        (Some("json"), _) | (None, None | Some("object")) => Kind::Json,
        (Some("string"), _) => Kind::Text,
        (None, Some("string")) if property.get("format").is_none() && property.get("enum").is_none() => {
            Kind::Text
        }
        _ => Kind::Word,
    }
}

impl Kind {
    /// Writes `text` as this kind's JSON. What does not look like it is written as a string, for the server to say what is
    /// wrong with it in its own words; only where a string would be taken silently it is an error here.
    pub(crate) fn write_json(self, text: &str, out: &mut String) -> Result<(), &'static str> {
        match self {
            Self::Integer | Self::Number if is_json_number(text) => out.push_str(text),
            Self::Boolean => match boolean(text) {
                Some(value) => out.push_str(if value { "true" } else { "false" }),
                None => velocity_schema::value::write_json_string(text, out),
            },
            Self::Json => {
                let valid = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
                if !valid {
                    return Err("is not JSON; a text needs its quotes");
                }
                out.push_str(text);
            }
            Self::Array => {
                let list = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(text).is_ok();
                if !list {
                    return Err("is not a JSON list, such as [\"a\",\"b\"]");
                }
                out.push_str(text);
            }
            Self::Text | Self::Word | Self::Integer | Self::Number => {
                velocity_schema::value::write_json_string(text, out);
            }
        }
        Ok(())
    }
}

/// RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(after) = rest.strip_prefix('.') {
        let fraction = digits(after);
        if fraction == 0 {
            return false;
        }
        rest = &after[fraction..];
    }
    if let Some(after) = rest.strip_prefix(['e', 'E']) {
        let after = after.strip_prefix(['+', '-']).unwrap_or(after);
        return !after.is_empty() && digits(after) == after.len();
    }
    rest.is_empty()
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(kind: Kind, text: &str) -> Result<String, &'static str> {
        let mut out = String::new();
        kind.write_json(text, &mut out).map(|()| out)
    }

    #[test]
    fn numbers_keep_their_digits_and_what_is_none_is_left_to_the_server() {
        assert_eq!(json(Kind::Number, "10.357019999999999").unwrap(), "10.357019999999999");
        assert_eq!(json(Kind::Integer, "-5").unwrap(), "-5");
        for odd in ["+5", "05", "1.", ".5", "1e", "NA", "1,000", "0x1", ""] {
            assert_eq!(json(Kind::Number, odd).unwrap(), format!("{odd:?}"));
        }
    }

    #[test]
    fn each_kind_has_its_json() {
        assert_eq!(json(Kind::Text, "a\"b").unwrap(), r#""a\"b""#);
        assert_eq!(json(Kind::Boolean, "TRUE").unwrap(), "true");
        assert_eq!(json(Kind::Boolean, "maybe").unwrap(), "\"maybe\"");
        assert_eq!(json(Kind::Json, r#"{"a":1.50}"#).unwrap(), r#"{"a":1.50}"#);
        assert!(json(Kind::Json, "abc").is_err());
        assert_eq!(json(Kind::Array, "[1]").unwrap(), "[1]");
        assert!(json(Kind::Array, "1").is_err());
    }

    proptest! {
        #[test]
        fn a_number_is_what_json_says_it_is(text in "[-+]?[0-9]{0,3}(\\.[0-9]{0,3})?([eE][-+]?[0-9]{0,2})?") {
            prop_assert_eq!(is_json_number(&text), serde_json::from_str::<serde_json::Value>(&text).is_ok() && !text.is_empty());
        }
    }

    #[test]
    fn the_shape_is_read_from_our_keywords_and_from_plain_json_schema() {
        let document = serde_json::json!({ "properties": {
            "id": { "type": "string", "format": "uuid" },
            "note": { "type": ["string", "null"] },
            "n": { "type": ["number", "null"] },
            "any": {},
            "at": { "type": "string", "format": "date-time", "x-velocity-type": "timestamp" },
            "version": { "type": "integer", "readOnly": true },
            "parent": { "type": "string", "x-velocity-type": "string", "x-velocity-ref": { "endpoint": "/api/a/b/c/d/v1", "enforce": true } },
        } });
        let shape = Shape::read(&document, "a/b/c/d/v1");
        let kinds: Vec<Kind> =
            ["id", "note", "n", "any", "at", "parent"].map(|name| shape.kind_of(name)).into();
        assert_eq!(kinds, [Kind::Word, Kind::Text, Kind::Number, Kind::Json, Kind::Word, Kind::Text]);
        assert!(shape.fields["version"].read_only && shape.refers_to_itself);
        assert!(!Shape::read(&document, "a/b/c/e/v1").refers_to_itself);
    }
}
