//! Looking into the text of a JSON document without building it.
//!
//! The text is valid JSON of bounded depth (the record's types see to that). Where an object has a member twice, the
//! last one counts, as in jsonb. Nothing here recurses but [`equal`], by the depth of the document.

use std::borrow::Cow;
use std::collections::HashMap;

use super::budget::{Budget, reading, scan};
use crate::cel::EvaluationError;

/// What a JSON value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    List,
    Object,
}

impl Kind {
    pub(super) fn described(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::List => "an array",
            Self::Object => "an object",
        }
    }
}

pub(super) fn kind(text: &str) -> Kind {
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::List,
        Some(b'"') => Kind::Text,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

/// The end of the value that starts at `start`.
fn end_of(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at) - 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' | b',' | b':' if depth == 0 => return at,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
        let closed = matches!(byte, b'"' | b']' | b'}');
        if depth == 0 && closed {
            return at;
        }
    }
    at
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn skip_blank(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b':')) {
        at += 1;
    }
    at
}

/// The parts of a list, or the keys and values of an object in turn, as text.
pub(super) struct Parts<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = skip_blank(bytes, self.at);
        if start >= bytes.len() || matches!(bytes[start], b']' | b'}') {
            return None;
        }
        self.at = end_of(bytes, start);
        self.text.get(start..self.at).map(str::trim_ascii_end)
    }
}

pub(super) fn parts(text: &str) -> Parts<'_> {
    let start = text.len() - text.trim_ascii_start().len();
    Parts { text, at: start + 1 }
}

/// The members of an object. A key that comes twice is given twice.
pub(super) fn members(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = parts(text);
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
}

/// The member of that name; the last where there are several.
pub(super) fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    if kind(text) != Kind::Object {
        return None;
    }
    members(text).filter(|(key, _)| string(key) == name).last().map(|(_, value)| value)
}

/// The element at that place.
pub(super) fn element(text: &str, index: usize) -> Option<&str> {
    if kind(text) == Kind::List { parts(text).nth(index) } else { None }
}

/// The characters of a JSON string.
pub(super) fn string(text: &str) -> Cow<'_, str> {
    let inner =
        text.trim_ascii().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if inner.contains('\\') {
        Cow::Owned(serde_json::from_str(text).unwrap_or_default())
    } else {
        Cow::Borrowed(inner)
    }
}

/// Whether two documents are equal as jsonb values are: numbers by value, objects without order. Each level of nesting
/// is walked once more, and paid for.
pub(super) fn equal(left: &str, right: &str, budget: &mut Budget) -> Result<bool, EvaluationError> {
    let found = kind(left);
    if found != kind(right) {
        return Ok(false);
    }
    budget.spend(1 + scan(left.len() as u64 + right.len() as u64))?;
    match found {
        Kind::List => equal_lists(left, right, budget),
        Kind::Object => equal_objects(left, right, budget),
        Kind::Text => Ok(string(left) == string(right)),
        Kind::Null | Kind::Boolean => Ok(left.trim_ascii() == right.trim_ascii()),
        Kind::Number => {
            let (left, right) = (left.trim_ascii(), right.trim_ascii());
            budget.spend(reading(left.len() as u64) + reading(right.len() as u64))?;
            Ok(match (crate::decimal::parse(left), crate::decimal::parse(right)) {
                (Ok(left), Ok(right)) => left == right,
                _ => left == right,
            })
        }
    }
}

fn equal_lists(left: &str, right: &str, budget: &mut Budget) -> Result<bool, EvaluationError> {
    let (mut lefts, mut rights) = (parts(left), parts(right));
    loop {
        match (lefts.next(), rights.next()) {
            (None, None) => return Ok(true),
            (Some(left), Some(right)) if equal(left, right, budget)? => {}
            _ => return Ok(false),
        }
    }
}

fn equal_objects(left: &str, right: &str, budget: &mut Budget) -> Result<bool, EvaluationError> {
    let lefts: HashMap<_, _> = members(left).map(|(key, value)| (string(key), value)).collect();
    let rights: HashMap<_, _> = members(right).map(|(key, value)| (string(key), value)).collect();
    if lefts.len() != rights.len() {
        return Ok(false);
    }
    for (key, left) in &lefts {
        match rights.get(key) {
            Some(right) if equal(left, right, budget)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn equal(left: &str, right: &str) -> bool {
        super::equal(left, right, &mut Budget::of(u64::MAX, u64::MAX)).unwrap()
    }

    const DOCUMENT: &str =
        r#" { "a" : [1, {"b":"]}"}, "x\"y"] ,"é": null, "a\u0062": 2.50,"a":{"c" :true } } "#;

    #[test]
    fn members_and_elements_are_found_whatever_the_strings_contain() {
        assert_eq!(member(DOCUMENT, "ab"), Some("2.50"));
        assert_eq!(member(DOCUMENT, "é"), Some("null"));
        assert_eq!(member(DOCUMENT, "a"), Some(r#"{"c" :true }"#), "the last one counts");
        assert_eq!(member(DOCUMENT, "c"), None);
        let list = r#"[1, {"b":"]}"}, "x\"y"]"#;
        assert_eq!(element(list, 1).and_then(|e| member(e, "b")).map(string), Some("]}".into()));
        assert_eq!(element(list, 2).map(string), Some("x\"y".into()));
        assert_eq!(element(list, 3), None);
        assert_eq!((element("{}", 0), member("[]", "a"), element("[]", 0)), (None, None, None));
        assert_eq!(string(r#""""#), "");
    }

    #[test]
    fn documents_are_equal_by_value() {
        assert!(equal(r#"{"a":1.0,"b":[null]}"#, r#"{ "b":[ null ],"a":1 }"#));
        assert!(equal(r#""\u0061""#, r#""a""#));
        assert!(!equal("[1,2]", "[2,1]") && !equal("1", "\"1\"") && !equal("[1]", "[1,1]"));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map("[a-c\"\\\\é]{0,2}", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_json_parser_finds(document in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
            let text = text.unwrap();
            prop_assert!(equal(&text, &document.to_string()));
            if let Some(object) = document.as_object() {
                for (key, value) in object {
                    let found: serde_json::Value = serde_json::from_str(member(&text, key).unwrap()).unwrap();
                    prop_assert_eq!(&found, value);
                }
                prop_assert_eq!(members(&text).count(), object.len());
            }
            if let Some(list) = document.as_array() {
                for (index, value) in list.iter().enumerate() {
                    let found: serde_json::Value = serde_json::from_str(element(&text, index).unwrap()).unwrap();
                    prop_assert_eq!(&found, value);
                }
                prop_assert_eq!(parts(&text).count(), list.len());
            }
        }
    }
}
