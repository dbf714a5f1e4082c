//! YAML with the place of every value.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// A value whose parts know their lines.
#[derive(Debug)]
pub(super) enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    /// The value, and the line of each of its parts by path. A member's line is that of its key.
    pub(super) fn split(self, line: u64) -> (Value, HashMap<String, u64>) {
        let mut lines = HashMap::from([(String::new(), line)]);
        let value = self.take_apart("", &mut lines);
        (value, lines)
    }

    fn take_apart(self, path: &str, lines: &mut HashMap<String, u64>) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::List(items) => Value::Array(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(position, item)| {
                        let here = format!("{path}[{position}]");
                        lines.insert(here.clone(), item.referenced.line());
                        item.value.take_apart(&here, lines)
                    })
                    .collect(),
            ),
            Self::Map(members) => {
                let mut map = Map::new();
                for (key, value) in members {
                    let here =
                        if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) };
                    lines.insert(here.clone(), key.referenced.line());
                    let value = value.value.take_apart(&here, lines);
                    map.insert(key.value, value);
                }
                Value::Object(map)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value)
            .map(|number| Node::Scalar(number.into()))
            .ok_or_else(|| E::custom("infinity and NaN are no values of a resource"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members: Vec<(Spanned<String>, Spanned<Node>)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Node>>()? {
            if members.iter().any(|(other, _)| other.value == key.value) {
                return Err(A::Error::custom(format!("`{}` is there twice", key.value)));
            }
            members.push((key, value));
        }
        Ok(Node::Map(members))
    }
}
