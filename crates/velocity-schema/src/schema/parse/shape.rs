//! From JSON to the raw spec: every key that is unknown, every value of another type and every key that is missing,
//! each with its path, all at once.
//!
//! The derived `Deserialize` of the spec says which keys there are (it hands them to `deserialize_struct`), so the
//! messages cannot drift from the types. Reading stops at the first value that does not fit; that value is then left
//! out and the document is read again, until nothing is left to report.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde_json::Value as Json;

use crate::violation::{Violations, did_you_mean};

/// Most values that are left out one after the other: enough for any person, and a bound on the work.
const ROUNDS: usize = 100;

/// What was read.
pub(super) struct Read<T> {
    /// The value, without the parts that did not fit; `None` when nothing of use is left.
    pub(super) value: Option<T>,
    /// Whether parts were left out of it; unknown keys are none.
    pub(super) partial: bool,
}

/// Reads `json` as `T`; what does not fit is added to `errors`, with paths that begin with `root`.
pub(super) fn read<T: DeserializeOwned>(json: &Json, root: &str, errors: &mut Violations) -> Read<T> {
    let state = RefCell::new(State::default());
    for _ in 0..ROUNDS {
        state.borrow_mut().failed = None;
        let reader = Reader { json, path: root.to_owned(), state: &state };
        let misread = match T::deserialize(reader) {
            Ok(value) => {
                let state = state.into_inner();
                errors.0.extend(state.found.0);
                return Read { value: Some(value), partial: !state.left_out.is_empty() };
            }
            Err(misread) => misread,
        };
        let mut state = state.borrow_mut();
        let at = state.failed.take().unwrap_or_else(|| root.to_owned());
        state.report(&at, misread);
        if at == root || !state.left_out.insert(at) {
            break;
        }
    }
    errors.0.extend(state.into_inner().found.0);
    Read { value: None, partial: true }
}

#[derive(Default)]
struct State {
    found: Violations,
    unknown: BTreeSet<String>,
    left_out: BTreeSet<String>,
    /// Where the current reading stopped.
    failed: Option<String>,
}

impl State {
    fn report(&mut self, at: &str, misread: Misread) {
        match misread {
            Misread::Missing(key) => {
                let path = format!("{at}.{key}");
                // What is missing only because it was left out has been reported.
                if !self.left_out.contains(&path) {
                    self.found.push(path, "required", "is required");
                }
            }
            Misread::Type(message) => self.found.push(at, "type", message),
        }
    }

    fn unknown_key(&mut self, at: &str, key: &str, known: &'static [&'static str]) {
        let path = format!("{at}.{}", shown(key));
        if self.unknown.insert(path.clone()) {
            let near = did_you_mean(key, known.iter().copied());
            let message = format!("is not a field here{near}; there are {}", known.join(", "));
            self.found.push(path, "unknownField", message);
        }
    }
}

/// A key as an error may show it.
fn shown(key: &str) -> String {
    let cut: String = key.chars().take(80).collect();
    cut.escape_debug().to_string()
}

/// What stopped a reading.
#[derive(Debug)]
enum Misread {
    Missing(&'static str),
    Type(String),
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "`{key}` is required"),
            Self::Type(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Misread {}

impl de::Error for Misread {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Type(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Type(format!("must be {}, not {}", in_words(expected), kind(&found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Type(format!("must be {}", in_words(expected)))
    }
}

/// serde's words for what it expects, in the contract's.
fn in_words(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "a boolean" => "true or false".into(),
        "a string" => "text".into(),
        "a sequence" => "a list".into(),
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "f32" | "f64" => "a number".into(),
        other if other.starts_with("struct ") => "an object".into(),
        _ => words,
    }
}

fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) => "text",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

fn unexpected(json: &Json) -> Unexpected<'_> {
    match json {
        Json::Null => Unexpected::Unit,
        Json::Bool(value) => Unexpected::Bool(*value),
        Json::Number(number) => Unexpected::Float(number.as_f64().unwrap_or_default()),
        Json::String(text) => Unexpected::Str(text),
        Json::Array(_) => Unexpected::Seq,
        Json::Object(_) => Unexpected::Map,
    }
}

struct Reader<'de> {
    json: &'de Json,
    path: String,
    state: &'de RefCell<State>,
}

impl<'de> Reader<'de> {
    fn of(&self, json: &'de Json, path: String) -> Self {
        Self { json, path, state: self.state }
    }

    fn is_left_out(&self, path: &str) -> bool {
        self.state.borrow().left_out.contains(path)
    }

    /// Reads a part; the innermost one that fails is where the reading stopped.
    fn part<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Misread> {
        let (path, state) = (self.path.clone(), self.state);
        seed.deserialize(self).inspect_err(|_| {
            state.borrow_mut().failed.get_or_insert(path);
        })
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Misread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        match self.json {
            Json::Null => visitor.visit_unit(),
            Json::Bool(value) => visitor.visit_bool(*value),
            Json::String(text) => visitor.visit_borrowed_str(text),
            Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or_default()),
            },
            Json::Array(items) => {
                let rest = items.iter().enumerate();
                visitor.visit_seq(Items { reader: self, rest })
            }
            Json::Object(map) => {
                let entries: Vec<(&str, &Json)> =
                    map.iter().map(|(key, json)| (key.as_str(), json)).collect();
                visitor.visit_map(Entries { reader: self, rest: entries.into_iter(), value: None })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        if self.json.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        let Json::Object(map) = self.json else {
            return Err(Misread::invalid_type(unexpected(self.json), &"an object"));
        };
        let mut entries = Vec::new();
        for (key, json) in map {
            if !known.contains(&key.as_str()) {
                self.state.borrow_mut().unknown_key(&self.path, key, known);
            } else if !self.is_left_out(&format!("{}.{key}", self.path)) {
                entries.push((key.as_str(), json));
            }
        }
        visitor.visit_map(Entries { reader: self, rest: entries.into_iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        let listed = variants.join(", ");
        match self.json {
            Json::String(word) if variants.contains(&word.as_str()) => {
                visitor.visit_enum(word.as_str().into_deserializer())
            }
            Json::String(word) => {
                let near = did_you_mean(word, variants.iter().copied());
                Err(Misread::custom(format!("must be one of {listed}{near}")))
            }
            other => {
                Err(Misread::custom(format!("must be one of {listed}, not {}", kind(&unexpected(other)))))
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier
    }
}

struct Items<'de> {
    reader: Reader<'de>,
    rest: std::iter::Enumerate<std::slice::Iter<'de, Json>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misread;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misread> {
        for (index, json) in self.rest.by_ref() {
            let path = format!("{}[{index}]", self.reader.path);
            if !self.reader.is_left_out(&path) {
                return self.reader.of(json, path).part(seed).map(Some);
            }
        }
        Ok(None)
    }
}

struct Entries<'de> {
    reader: Reader<'de>,
    rest: std::vec::IntoIter<(&'de str, &'de Json)>,
    value: Option<(&'de str, &'de Json)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misread;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misread> {
        self.value = self.rest.next();
        match self.value {
            Some((key, _)) => seed.deserialize(key.into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misread> {
        let (key, json) = self.value.take().ok_or_else(|| Misread::custom("a value without a key"))?;
        self.reader.of(json, format!("{}.{}", self.reader.path, shown(key))).part(seed)
    }
}
