//! JSON with every digit and the server's order of keys.
//!
//! `serde_json::Value` would read numbers as floats and sort keys; what a record holds must come out as it came in.

use std::fmt;

use serde::Serialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::failure::{Failure, Outcome};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// Its text.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a JSON text.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        Self::read(serde_json::from_str(text)?)
    }

    fn read(raw: &RawValue) -> Result<Self, serde_json::Error> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: Members<'_> = serde_json::from_str(text)?;
                let read = members.0.into_iter().map(|(key, raw)| Ok((key, Self::read(raw)?)));
                Self::Object(read.collect::<Result<_, serde_json::Error>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::Array(items.into_iter().map(Self::read).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::String(serde_json::from_str(text)?),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(text.to_owned()),
        })
    }

    /// A value that serde knows.
    pub(crate) fn of<T: Serialize>(value: &T) -> Outcome<Self> {
        let text = serde_json::to_string(value);
        text.and_then(|text| Self::parse(&text))
            .map_err(|error| Failure::failed(format!("the answer cannot be shown: {error}")))
    }

    /// The member of that name.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value at a path of member names.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, name| value.member(name))
    }

    /// The text at a path of member names; nothing where there is none.
    pub(crate) fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).and_then(Self::as_str)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// A table's cell: text without quotes, nothing for null.
    pub(crate) fn cell(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Indented by two.
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(Some(0), &mut out);
        out
    }

    fn write(&self, indent: Option<usize>, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => velocity_schema::value::write_json_string(text, out),
            Self::Array(items) => {
                write_list(('[', ']'), items, indent, out, Self::write);
            }
            Self::Object(members) => {
                write_list(('{', '}'), members, indent, out, |(key, value), deeper, out| {
                    velocity_schema::value::write_json_string(key, out);
                    out.push_str(if deeper.is_some() { ": " } else { ":" });
                    value.write(deeper, out);
                });
            }
        }
    }
}

fn write_list<T>(
    (open, close): (char, char),
    items: &[T],
    indent: Option<usize>,
    out: &mut String,
    write: impl Fn(&T, Option<usize>, &mut String),
) {
    let deeper = indent.map(|spaces| spaces + 2);
    let new_line = |spaces: Option<usize>, out: &mut String| {
        if let Some(spaces) = spaces {
            out.push('\n');
            out.push_str(&" ".repeat(spaces));
        }
    };
    out.push(open);
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        new_line(deeper, out);
        write(item, deeper, out);
    }
    if !items.is_empty() {
        new_line(indent, out);
    }
    out.push(close);
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(None, &mut out);
        f.write_str(&out)
    }
}

/// The members of an object, in order, unread.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_and_the_order_of_keys_stay() {
        let text =
            r#"{"z":1.50,"a":[123456789012345678901234567890,{}],"s":"é\"\n","n":null,"t":true,"e":[]}"#;
        assert_eq!(Json::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn pretty_is_indented_by_two() {
        let json = Json::parse(r#"{"a":[1,{"b":2}],"c":{}}"#).unwrap();
        assert_eq!(
            json.pretty(),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n  \"c\": {}\n}"
        );
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_form_reads_back_as_the_same_value(value in any_json()) {
            let json = Json::parse(&value.to_string()).unwrap();
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&json.to_string()).unwrap(), &value);
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&json.pretty()).unwrap(), &value);
            let yaml = super::super::yaml::render(&json);
            let back: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
            prop_assert_eq!(&back, &value, "{}", yaml);
        }
    }
}
