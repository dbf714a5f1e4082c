//! Values of fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bigdecimal::BigDecimal;
use uuid::Uuid;

use crate::{decimal, time};

/// A value of a field, of exactly the field's declared type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// string and enum.
    String(String),
    /// integer.
    Integer(i64),
    /// number: exact, with the scale as it was given.
    Number(BigDecimal),
    /// boolean.
    Boolean(bool),
    /// timestamp: microseconds since the Unix epoch.
    Timestamp(i64),
    /// date: days since the Unix epoch.
    Date(i32),
    /// time: microseconds since midnight.
    Time(i64),
    /// json: valid JSON text.
    Json(String),
    /// uuid.
    Uuid(Uuid),
    /// bytes.
    Bytes(Vec<u8>),
    /// array: every element of the declared type, none null.
    Array(Vec<Value>),
}

impl Value {
    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Writes the value as the HTTP API shows it; numbers with every digit.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::String(text) => write_json_string(text, out),
            Self::Integer(number) => out.push_str(&number.to_string()),
            Self::Number(number) => out.push_str(&decimal::to_text(number)),
            Self::Boolean(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Self::Json(json) => out.push_str(json),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Timestamp(_) | Self::Date(_) | Self::Time(_) | Self::Uuid(_) | Self::Bytes(_) => {
                out.push('"');
                self.write_text(out);
                out.push('"');
            }
        }
    }

    /// Writes the value as a CSV cell or an id in a URL has it: text without quotes; nothing for null.
    pub fn write_text(&self, out: &mut String) {
        match self {
            Self::Null => {}
            Self::String(text) => out.push_str(text),
            Self::Timestamp(micros) => time::write_timestamp(*micros, out),
            Self::Date(days) => time::write_date(*days, out),
            Self::Time(micros) => time::write_time(*micros, out),
            Self::Uuid(uuid) => out.push_str(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            Self::Bytes(bytes) => STANDARD.encode_string(bytes, out),
            Self::Integer(_) | Self::Number(_) | Self::Boolean(_) | Self::Json(_) | Self::Array(_) => {
                self.write_json(out);
            }
        }
    }

    /// [`Self::write_text`] as a new text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out);
        out
    }
}

/// Writes `text` as a JSON string (RFC 8259, section 7).
pub fn write_json_string(text: &str, out: &mut String) {
    use std::fmt::Write;
    out.push('"');
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[start..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        start = at + 1;
    }
    out.push_str(&text[start..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_are_written_as_every_json_reader_reads_them(text in any::<String>()) {
            let mut out = String::new();
            write_json_string(&text, &mut out);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn numbers_keep_their_zeros() {
        let mut out = String::new();
        Value::Number(decimal::parse("10.50").unwrap()).write_json(&mut out);
        assert_eq!(out, "10.50");
    }
}
