//! What is left of a value for those who may not see it.
//!
//! A masked value is always a text, and no value stays no value. What is masked is a value's one text form, so that
//! equal values look equal under a mask wherever they come from (a column, an earlier state in the history):
//!
//! - `hash` and `tokenise` are for telling whether two values are the same, so a number counts without the zeros at its
//!   end: 1.5 and 1.50 are one number, also when the field's scale has changed since one of them was recorded.
//! - `partial` shows the end of what the others see, so a number has as many decimals as its column.
//! - JSON counts with its keys in order and without the spaces between them.

use std::fmt::{self, Write};

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::value::RawValue;
use sha2::Sha256;

use crate::decimal;
use crate::field::{Field, FieldType};
use crate::name::SchemaPath;
use crate::value::{Value, write_json_string};

/// What `redact` shows, and every mask of what it has no answer for.
pub const REDACTED: &str = "***";
/// Characters that `partial` leaves where the schema says nothing.
pub const VISIBLE_DEFAULT: usize = 4;
/// Bytes of the HMAC that `hash` shows.
const HASH_BYTES: usize = 8;
/// Bytes of the HMAC that `tokenise` shows.
const TOKEN_BYTES: usize = 16;

/// How a field is masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// The last characters stay, never more than half of them; `*` for each other one.
    Partial {
        /// How many stay.
        visible: usize,
    },
    /// The first 16 hex digits of an HMAC-SHA256 under the installation's key.
    Hash,
    /// The half-open band that the number is in: `1000..2000`.
    Range {
        /// The width of the bands, above zero; one of them begins at zero.
        size: BigDecimal,
    },
    /// `***`.
    Redact,
    /// `tok_` and 32 hex digits of an HMAC-SHA256 under a key of this field of this schema alone.
    Tokenise,
}

/// The installation's key for masks.
#[derive(Clone)]
pub struct MaskKey([u8; 32]);

impl MaskKey {
    /// The key. All replicas of an installation have the same.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(…)")
    }
}

/// The mask of one field of one schema, ready to be applied to its values.
#[derive(Clone)]
pub struct FieldMask {
    how: Ready,
    /// Decimals of the field's column, where it is a number.
    scale: Option<u32>,
}

#[derive(Clone)]
enum Ready {
    Partial(usize),
    Hash(Hmac<Sha256>),
    Range(BigDecimal),
    Redact,
    Tokenise(Hmac<Sha256>),
}

impl fmt::Debug for FieldMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.how {
            Ready::Partial(_) => "FieldMask(partial)",
            Ready::Hash(_) => "FieldMask(hash)",
            Ready::Range(_) => "FieldMask(range)",
            Ready::Redact => "FieldMask(redact)",
            Ready::Tokenise(_) => "FieldMask(tokenise)",
        })
    }
}

impl FieldMask {
    /// The mask of `field`, a field of the schema at `path`.
    pub fn new(mask: &Mask, key: &MaskKey, path: &SchemaPath, field: &Field) -> Self {
        let how = match mask {
            Mask::Partial { visible } => Ready::Partial(*visible),
            Mask::Hash => keyed(&key.0).map_or(Ready::Redact, Ready::Hash),
            Mask::Range { size } if size.sign() == Sign::Plus => Ready::Range(size.clone()),
            Mask::Tokenise => token_key(key, path, field).map_or(Ready::Redact, Ready::Tokenise),
            Mask::Redact | Mask::Range { .. } => Ready::Redact,
        };
        let scale = match &field.kind {
            FieldType::Number { scale, .. } => Some(*scale),
            _ => None,
        };
        Self { how, scale }
    }

    /// What is shown in the place of `value`, as text without quotes; `None` where there is no value.
    pub fn apply(&self, value: &Value) -> Option<String> {
        if value.is_null() || matches!(value, Value::Json(json) if json.trim_ascii() == "null") {
            return None;
        }
        let mut out = String::new();
        self.write(value, &mut out);
        Some(out)
    }

    /// [`Self::apply`] to a text, at the end of `out`.
    pub fn apply_to_text(&self, text: &str, out: &mut String) {
        match &self.how {
            Ready::Partial(visible) => partial(text, *visible, out),
            Ready::Hash(mac) => digest(mac, text, HASH_BYTES, out),
            Ready::Tokenise(mac) => {
                out.push_str("tok_");
                digest(mac, text, TOKEN_BYTES, out);
            }
            Ready::Redact | Ready::Range(_) => out.push_str(REDACTED),
        }
    }

    fn write(&self, value: &Value, out: &mut String) {
        match (&self.how, value) {
            (Ready::Redact, _) => out.push_str(REDACTED),
            (_, Value::String(text)) => self.apply_to_text(text, out),
            (Ready::Range(size), Value::Integer(number)) => band(&BigDecimal::from(*number), size, out),
            (Ready::Range(size), Value::Number(number)) => band(number, size, out),
            // Of another type than the field has today: what its end or its size says is not known.
            (Ready::Range(_), _)
            | (Ready::Partial(_), Value::Json(_) | Value::Array(_) | Value::Bytes(_) | Value::Boolean(_)) => {
                out.push_str(REDACTED);
            }
            (Ready::Partial(_), Value::Number(number)) => {
                self.apply_to_text(&decimal::to_text(&as_in_column(number, self.scale)), out);
            }
            (_, value) => self.apply_to_text(&identity(value), out),
        }
    }
}

fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()
}

/// A key that no other field has, and that no value can be hashed to: texts have no U+0000.
fn token_key(key: &MaskKey, path: &SchemaPath, field: &Field) -> Option<Hmac<Sha256>> {
    let mut mac = keyed(&key.0)?;
    mac.update(format!("tokenise\0{path}\0{}", field.name).as_bytes());
    keyed(&mac.finalize().into_bytes())
}

fn digest(mac: &Hmac<Sha256>, text: &str, bytes: usize, out: &mut String) {
    let mut mac = mac.clone();
    mac.update(text.as_bytes());
    for byte in mac.finalize().into_bytes().iter().take(bytes) {
        let _ = write!(out, "{byte:02x}");
    }
}

fn partial(text: &str, visible: usize, out: &mut String) {
    let count = text.chars().count();
    let hidden = count - visible.min(count / 2);
    out.extend(std::iter::repeat_n('*', hidden));
    out.extend(text.chars().skip(hidden));
}

/// The band of a number: `from..to`, the lower end belonging to it. Exact, and floored below zero.
fn band(number: &BigDecimal, size: &BigDecimal, out: &mut String) {
    let (size_digits, size_scale) = size.as_bigint_and_exponent();
    let (digits, scale) = number.as_bigint_and_exponent();
    let common = size_scale.max(scale).max(0);
    let (Some(number), Some(size)) =
        (scaled(&digits, common - scale), scaled(&size_digits, common - size_scale))
    else {
        out.push_str(REDACTED);
        return;
    };
    let rest = ((&number % &size) + &size) % &size;
    let from = number - rest;
    let to = &from + size;
    let text = |number| decimal::to_text(&plain(&BigDecimal::new(number, common)));
    let _ = write!(out, "{}..{}", text(from), text(to));
}

/// The digits with so many zeros behind; `None` where that is more than any column has.
fn scaled(digits: &bigdecimal::num_bigint::BigInt, zeros: i64) -> Option<bigdecimal::num_bigint::BigInt> {
    let zeros = u32::try_from(zeros).ok().filter(|zeros| *zeros <= 4_000)?;
    Some(digits * bigdecimal::num_bigint::BigInt::from(10).pow(zeros))
}

/// The number without zeros at its end, and without an exponent.
fn plain(number: &BigDecimal) -> BigDecimal {
    let number = number.normalized();
    if number.fractional_digit_count() < 0 { number.with_scale(0) } else { number }
}

/// The number with as many decimals as its column has, and with those beyond that it had before.
fn as_in_column(number: &BigDecimal, scale: Option<u32>) -> BigDecimal {
    let number = plain(number);
    match scale.map(i64::from) {
        Some(scale) if number.fractional_digit_count() < scale => number.with_scale(scale),
        _ => number,
    }
}

/// The same text for equal values.
fn identity(value: &Value) -> String {
    match value {
        Value::Number(number) => decimal::to_text(&plain(number)),
        Value::Json(json) => canonical(json),
        Value::Array(items) => {
            let mut out = String::from("[");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                match item {
                    Value::Number(number) => out.push_str(&decimal::to_text(&plain(number))),
                    other => other.write_json(&mut out),
                }
            }
            out.push(']');
            out
        }
        other => other.to_text(),
    }
}

/// JSON with its keys in order, without spaces, its numbers without zeros at their end.
fn canonical(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    write_canonical(json, &mut out, 0);
    out
}

/// A document is at most [`crate::field::JSON_DEPTH_MAX`] deep; what is deeper stays as it is written.
fn write_canonical(json: &str, out: &mut String, depth: usize) {
    let json = json.trim_ascii();
    let known = depth <= crate::field::JSON_DEPTH_MAX
        && match json.as_bytes().first() {
            Some(b'{') => write_object(json, out, depth),
            Some(b'[') => write_array(json, out, depth),
            Some(b'"') => serde_json::from_str::<String>(json).is_ok_and(|text| {
                write_json_string(&text, out);
                true
            }),
            Some(b'-' | b'0'..=b'9') => decimal::parse(json).is_ok_and(|number| {
                out.push_str(&decimal::to_text(&plain(&number)));
                true
            }),
            _ => false,
        };
    if !known {
        out.push_str(json);
    }
}

fn write_object(json: &str, out: &mut String, depth: usize) -> bool {
    let Ok(members) = serde_json::from_str::<std::collections::BTreeMap<String, &RawValue>>(json) else {
        return false;
    };
    out.push('{');
    for (index, (name, raw)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_json_string(name, out);
        out.push(':');
        write_canonical(raw.get(), out, depth + 1);
    }
    out.push('}');
    true
}

fn write_array(json: &str, out: &mut String, depth: usize) -> bool {
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) else { return false };
    out.push('[');
    for (index, raw) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_canonical(raw.get(), out, depth + 1);
    }
    out.push(']');
    true
}

#[cfg(test)]
mod tests;
