//! The outermost object of a body, its members still raw.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::Malformed;

/// The members of a JSON object in the order of the text; a name may come more than once.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

/// Reads the outermost object. What is inside is only scanned, by a loop, so depth costs no stack.
pub(super) fn members(body: &[u8]) -> Result<Members<'_>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|error| not_utf8(body, error.valid_up_to()))?;
    if text.trim_ascii().is_empty() {
        return Err(Malformed {
            message: "the body is empty; send a JSON object".into(),
            line: 0,
            column: 0,
        });
    }
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Malformed {
            message: "a record is a JSON object; the body is something else".into(),
            line: 1,
            column: 1,
        });
    }
    serde_json::from_str(text).map_err(|error| {
        let message = match error.classify() {
            Category::Eof => "the JSON ends too early".to_owned(),
            _ => format!("the body is not JSON: {}", without_position(&error.to_string())),
        };
        Malformed { message, line: error.line(), column: error.column() }
    })
}

fn not_utf8(body: &[u8], at: usize) -> Malformed {
    let before = &body[..at];
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    Malformed { message: "the body is not UTF-8".into(), line, column }
}

fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            members.push((name.0, value));
        }
        Ok(Members(members))
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// Whether an object somewhere in the JSON has the same key twice. The text was checked for depth before.
pub(super) fn has_twin_keys(json: &str) -> bool {
    json.contains('{') && serde_json::from_str::<NoTwins>(json).is_err()
}

struct NoTwins;

impl<'de> Deserialize<'de> for NoTwins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoTwinsVisitor)
    }
}

struct NoTwinsVisitor;

impl<'de> Visitor<'de> for NoTwinsVisitor {
    type Value = NoTwins;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without twin keys")
    }

    fn visit_bool<E>(self, _: bool) -> Result<NoTwins, E> {
        Ok(NoTwins)
    }

    fn visit_i64<E>(self, _: i64) -> Result<NoTwins, E> {
        Ok(NoTwins)
    }

    fn visit_u64<E>(self, _: u64) -> Result<NoTwins, E> {
        Ok(NoTwins)
    }

    fn visit_f64<E>(self, _: f64) -> Result<NoTwins, E> {
        Ok(NoTwins)
    }

    fn visit_str<E>(self, _: &str) -> Result<NoTwins, E> {
        Ok(NoTwins)
    }

    fn visit_unit<E>(self) -> Result<NoTwins, E> {
        Ok(NoTwins)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NoTwins, A::Error> {
        while let Some(NoTwins) = seq.next_element()? {}
        Ok(NoTwins)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoTwins, A::Error> {
        let mut seen = HashSet::new();
        while let Some((Name(name), NoTwins)) = map.next_entry()? {
            if !seen.insert(name) {
                return Err(A::Error::custom("twin keys"));
            }
        }
        Ok(NoTwins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_malformed_with_its_position() {
        let at = |body: &[u8]| members(body).err().map(|e| (e.line, e.column));
        assert_eq!(at(b"{\"a\": 1,\n \"b\" 2}"), Some((2, 6)));
        assert_eq!(at(b"{\"a\": [1, 2"), Some((1, 11)));
        assert_eq!(at(b""), Some((0, 0)));
        assert_eq!(at(b"[1]"), Some((1, 1)));
        assert_eq!(at(b"{}x"), Some((1, 3)));
        assert_eq!(at(b"{\"a\n\": \"\xff\"}"), Some((2, 5)));
        assert!(at(b" {} ").is_none());
    }

    #[test]
    fn a_hundred_thousand_levels_cost_no_stack() {
        let deep = |open: &str, close: &str| {
            format!("{{\"a\": {}1{}}}", open.repeat(100_000), close.repeat(100_000))
        };
        assert_eq!(members(deep("[", "]").as_bytes()).map(|m| m.0.len()), Ok(1));
        assert_eq!(members(deep("{\"a\":", "}").as_bytes()).map(|m| m.0.len()), Ok(1));
        let unclosed = "{\"a\":".repeat(100_000);
        assert!(members(unclosed.as_bytes()).is_err());
    }

    #[test]
    fn twin_keys_are_found_at_any_depth() {
        assert!(has_twin_keys(r#"[{"a": {"b": 1, "b": 2}}]"#));
        assert!(has_twin_keys(r#"{"a": 1, "\u0061": 2}"#));
        assert!(!has_twin_keys(r#"{"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}"#));
    }
}
