//! Request bodies to JSON values, with a list of the members that were given twice.

use std::fmt;

use http::{HeaderMap, header};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::status::ApiError;

/// A body and what was odd about it.
pub(crate) struct Decoded {
    pub(crate) value: Value,
    /// `duplicate field "spec.a"` for each.
    pub(crate) duplicates: Vec<String>,
}

/// The media type without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// Reads a body of JSON or, where `yaml` allows it, YAML.
pub(crate) fn decode(body: &[u8], yaml: bool) -> Result<Decoded, ApiError> {
    let mut duplicates = Vec::new();
    let looks_like_json = body
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|&byte| byte == b'{' || byte == b'[');
    if !yaml || looks_like_json {
        let seed = Recorder { path: String::new(), duplicates: &mut duplicates };
        let mut json = serde_json::Deserializer::from_slice(body);
        let parsed = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
        match parsed {
            Ok(value) => return Ok(Decoded { value, duplicates }),
            Err(error) if !yaml => {
                return Err(ApiError::bad_request(json_error(&error)));
            }
            Err(_) => duplicates.clear(),
        }
    }
    let value = serde_saphyr::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
    Ok(Decoded { value, duplicates })
}

/// A parse error, in Go's words for the most common one.
fn json_error(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() }
}

/// Builds a value and notes repeated members; the last one counts, as in Go.
struct Recorder<'a> {
    path: String,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Recorder<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Recorder<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // Go writes a float without a fraction as an integer.
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return Ok((value as i64).into());
        }
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, values.len());
            match list.next_element_seed(Recorder { path, duplicates: self.duplicates })? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let value = map.next_value_seed(Recorder { path: path.clone(), duplicates: self.duplicates })?;
            if object.insert(key, value).is_some() {
                if self.duplicates.len() > 100 {
                    return Err(A::Error::custom("too many duplicate fields"));
                }
                self.duplicates.push(format!("duplicate field \"{path}\""));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_given_twice_are_noted_with_their_path() {
        let decoded = decode(br#"{"a": 1, "b": [{"c": 1, "c": 2}], "a": 3}"#, false).unwrap();
        assert_eq!(decoded.duplicates, ["duplicate field \"b[0].c\"", "duplicate field \"a\""]);
        assert_eq!(decoded.value["a"], 3);
        assert_eq!(decoded.value["b"][0]["c"], 2);
    }

    #[test]
    fn json_nested_too_deep_is_refused() {
        let deep = "[".repeat(100_000);
        assert_eq!(decode(deep.as_bytes(), false).err().unwrap().reason(), "BadRequest");
        assert_eq!(decode(deep.as_bytes(), true).err().unwrap().reason(), "BadRequest");
    }
}
