//! Fields of a validated schema: their types with constraints, and how a value is read.

mod document;

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bigdecimal::BigDecimal;
use regex::Regex;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::name::{FieldName, SchemaPath};
use crate::spec::{OnDelete, Sensitivity};
use crate::value::Value;
use crate::{decimal, time};

/// Digits of a number field that says nothing.
pub const DEFAULT_PRECISION: u32 = 18;
/// Decimals of a number field that says nothing.
pub const DEFAULT_SCALE: u32 = 2;
/// Deepest nesting of a JSON document.
pub const JSON_DEPTH_MAX: usize = 64;

/// A type with its constraints. The column type follows from it alone.
#[derive(Debug, Clone)]
pub enum FieldType {
    /// `text`.
    String {
        /// Fewest characters (Unicode code points).
        min_length: Option<u32>,
        /// Most characters.
        max_length: Option<u32>,
        /// Found in every value.
        pattern: Option<Pattern>,
    },
    /// `bigint`.
    Integer {
        /// Smallest value.
        min: Option<i64>,
        /// Largest value.
        max: Option<i64>,
    },
    /// `numeric(precision, scale)`.
    Number {
        /// Digits in all.
        precision: u32,
        /// Digits after the point.
        scale: u32,
        /// Smallest value.
        min: Option<BigDecimal>,
        /// Largest value.
        max: Option<BigDecimal>,
    },
    /// `boolean`.
    Boolean,
    /// `timestamptz`.
    Timestamp,
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `jsonb`.
    Json,
    /// `text` with a check.
    Enum {
        /// The values, in the order of the schema; at least one.
        values: Vec<String>,
    },
    /// `uuid`.
    Uuid,
    /// `bytea`.
    Bytes {
        /// Most bytes.
        max_size: Option<u32>,
    },
    /// `T[]` of a scalar type.
    Array {
        /// The type of the elements: never json, enum, bytes or array.
        items: Box<FieldType>,
        /// Fewest elements.
        min_items: Option<u32>,
        /// Most elements.
        max_items: Option<u32>,
        /// Whether no element comes twice.
        unique_items: bool,
    },
}

/// A compiled regular expression that remembers its text.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A field of a validated schema.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name, and its column's.
    pub name: FieldName,
    /// Its type.
    pub kind: FieldType,
    /// What it means.
    pub description: Option<String>,
    /// Whether every record has a value.
    pub required: bool,
    /// Whether no two records have the same value.
    pub unique: bool,
    /// What a new record gets when it says nothing.
    pub default: Option<Value>,
    /// Whether conditions may name it.
    pub filterable: bool,
    /// Whether lists may be sorted by it.
    pub sortable: bool,
    /// Whether its value stays as created.
    pub immutable: bool,
    /// Whether the platform fills it in when a new record says nothing.
    pub auto_populated: bool,
    /// How carefully its values are to be handled.
    pub sensitivity: Sensitivity,
    /// Its name before a rename.
    pub renamed_from: Option<FieldName>,
    /// Whether clients should stop using it.
    pub deprecated: bool,
    /// The record that it points to.
    pub reference: Option<Reference>,
    /// Whether the platform owns it: `version`, `created_at` and their like, never sent by clients. `id` is not.
    pub system: bool,
}

impl Field {
    /// Whether it is an event to see its values in clear, where the schema asks for that (`audit.sensitiveReads`).
    pub fn is_sensitive(&self) -> bool {
        self.sensitivity >= Sensitivity::Pii
    }
}

/// A pointer to a record of another schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The target schema.
    pub target: SchemaPath,
    /// The target's field: its id or a unique field.
    pub field: FieldName,
    /// What a delete of the target does.
    pub on_delete: OnDelete,
    /// Whether it is a foreign key.
    pub enforce: bool,
}

/// Why a value does not fit a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The rule that it breaks: `type`, `maxLength`, `enum`, ….
    pub rule: &'static str,
    /// What is wrong and what would be right; never the value itself.
    pub message: String,
}

fn misfit(rule: &'static str, message: impl Into<String>) -> Misfit {
    Misfit { rule, message: message.into() }
}

impl FieldType {
    /// The word that the schema has for the type.
    pub fn name(&self) -> &'static str {
        match self {
            Self::String { .. } => "string",
            Self::Integer { .. } => "integer",
            Self::Number { .. } => "number",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Time => "time",
            Self::Json => "json",
            Self::Enum { .. } => "enum",
            Self::Uuid => "uuid",
            Self::Bytes { .. } => "bytes",
            Self::Array { .. } => "array",
        }
    }

    /// A string without constraints.
    pub fn plain_string() -> Self {
        Self::String { min_length: None, max_length: None, pattern: None }
    }

    /// What a value of the type looks like, for errors.
    fn expected(&self) -> String {
        match self {
            Self::String { .. } => "a string".into(),
            Self::Integer { .. } => "a whole number from -9223372036854775808 to 9223372036854775807".into(),
            Self::Number { precision, scale, .. } => {
                format!("a number of at most {} digits before and {scale} after the point", precision - scale)
            }
            Self::Boolean => "true or false".into(),
            Self::Timestamp => {
                "an RFC 3339 time with its offset, such as 2026-05-19T14:00:00Z, to the microsecond".into()
            }
            Self::Date => "a date as YYYY-MM-DD".into(),
            Self::Time => "a time of day as HH:MM:SS, to the microsecond".into(),
            Self::Json => format!("JSON of at most {JSON_DEPTH_MAX} levels"),
            Self::Enum { values } => format!("one of {}", listed(values)),
            Self::Uuid => "a UUID such as 0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f".into(),
            Self::Bytes { .. } => "base64".into(),
            Self::Array { items, .. } => format!("an array of {}", items.name()),
        }
    }

    fn wrong_type(&self) -> Misfit {
        misfit("type", format!("must be {}", self.expected()))
    }

    /// Reads a JSON value, `null` included, and checks every constraint.
    pub fn read_json(&self, raw: &RawValue) -> Result<Value, Misfit> {
        let text = raw.get();
        if text == "null" {
            return Ok(Value::Null);
        }
        let value = match self {
            Self::Json => Value::Json(document::check(text)?),
            Self::Boolean => match text {
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                _ => return Err(self.wrong_type()),
            },
            Self::Array { items, .. } => {
                let raws: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| self.wrong_type())?;
                let mut values = Vec::with_capacity(raws.len());
                for (index, raw) in raws.into_iter().enumerate() {
                    match items.read_json(raw) {
                        Ok(Value::Null) => {
                            return Err(misfit("items", format!("element {index} must not be null")));
                        }
                        Ok(value) => values.push(value),
                        Err(inner) => {
                            return Err(misfit(inner.rule, format!("element {index} {}", inner.message)));
                        }
                    }
                }
                Value::Array(values)
            }
            Self::Integer { .. } | Self::Number { .. } if !text.starts_with('"') => self.scalar(text)?,
            _ if text.starts_with('"') => {
                let unescaped: String = serde_json::from_str(text).map_err(|_| {
                    misfit("type", "must be a string of Unicode text (it has a lone surrogate)")
                })?;
                self.scalar(&unescaped)?
            }
            _ => return Err(self.wrong_type()),
        };
        self.check(&value)?;
        Ok(value)
    }

    /// Reads the text form that query parameters, CSV cells and URLs have (never null), and checks every constraint.
    pub fn read_text(&self, text: &str) -> Result<Value, Misfit> {
        let value = self.read_operand(text)?;
        self.check(&value)?;
        Ok(value)
    }

    /// As [`Self::read_text`], without the constraints: something to compare with need not be storable.
    pub fn read_operand(&self, text: &str) -> Result<Value, Misfit> {
        match self {
            Self::Json => Ok(Value::Json(document::check(text)?)),
            Self::Boolean => match text {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err(self.wrong_type()),
            },
            Self::Array { .. } => {
                let raw: &RawValue = serde_json::from_str(text).map_err(|_| self.wrong_type())?;
                if text.trim_start().starts_with('[') { self.read_json(raw) } else { Err(self.wrong_type()) }
            }
            _ => self.scalar(text),
        }
    }

    fn scalar(&self, text: &str) -> Result<Value, Misfit> {
        let parsed = match self {
            Self::String { .. } | Self::Enum { .. } => {
                if text.contains('\0') {
                    return Err(misfit(
                        "type",
                        "must not contain the character U+0000, which no database text can hold",
                    ));
                }
                Some(Value::String(text.to_owned()))
            }
            Self::Integer { .. } => integer(text).map(Value::Integer),
            Self::Number { .. } => match decimal::parse(text) {
                Ok(number) => Some(Value::Number(number)),
                Err(decimal::DecimalError::TooLarge) => {
                    return Err(misfit("precision", format!("must be {}", self.expected())));
                }
                Err(decimal::DecimalError::NotANumber) => None,
            },
            Self::Timestamp => time::parse_timestamp(text).map(Value::Timestamp),
            Self::Date => time::parse_date(text).map(Value::Date),
            Self::Time => time::parse_time(text).map(Value::Time),
            Self::Uuid => (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten().map(Value::Uuid),
            Self::Bytes { .. } => STANDARD.decode(text).ok().map(Value::Bytes),
            Self::Boolean | Self::Json | Self::Array { .. } => None,
        };
        parsed.ok_or_else(|| self.wrong_type())
    }

    /// Checks the constraints of a value that is of this type; null passes.
    pub fn check(&self, value: &Value) -> Result<(), Misfit> {
        match (self, value) {
            (Self::String { min_length, max_length, pattern }, Value::String(text)) => {
                let length = text.chars().count();
                at_least(length, *min_length, "minLength", "character")?;
                at_most(length, *max_length, "maxLength", "character")?;
                match pattern {
                    Some(Pattern(regex)) if !regex.is_match(text) => {
                        Err(misfit("pattern", format!("must match {}", regex.as_str())))
                    }
                    _ => Ok(()),
                }
            }
            (Self::Integer { min, max }, Value::Integer(number)) => {
                in_range(number, min.as_ref(), max.as_ref())
            }
            (Self::Number { precision, scale, min, max }, Value::Number(number)) => {
                if !decimal::fits(number, *precision, *scale) {
                    let (_, fraction) = decimal::digits(number);
                    let rule = if fraction > u64::from(*scale) { "scale" } else { "precision" };
                    return Err(misfit(rule, format!("must be {}", self.expected())));
                }
                in_range(number, min.as_ref(), max.as_ref())
            }
            (Self::Enum { values }, Value::String(text)) if !values.contains(text) => {
                let near = crate::violation::did_you_mean(text, values.iter().map(String::as_str));
                Err(misfit("enum", format!("must be one of {}{near}", listed(values))))
            }
            (Self::Bytes { max_size }, Value::Bytes(bytes)) => {
                at_most(bytes.len(), *max_size, "maxSize", "byte")
            }
            (Self::Array { items, min_items, max_items, unique_items }, Value::Array(values)) => {
                at_least(values.len(), *min_items, "minItems", "element")?;
                at_most(values.len(), *max_items, "maxItems", "element")?;
                let mut seen = HashSet::new();
                for (index, value) in values.iter().enumerate() {
                    items
                        .check(value)
                        .map_err(|e| misfit(e.rule, format!("element {index} {}", e.message)))?;
                    if *unique_items && !seen.insert(identity(value)) {
                        return Err(misfit("uniqueItems", format!("element {index} is there already")));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The same text for equal values: `1.0` and `1.00` are one element.
fn identity(value: &Value) -> String {
    match value {
        Value::Number(number) => decimal::to_text(&number.normalized()),
        other => other.to_text(),
    }
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

fn plural(count: u32, unit: &str) -> String {
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

fn at_least(length: usize, min: Option<u32>, rule: &'static str, unit: &str) -> Result<(), Misfit> {
    match min {
        Some(min) if length < min as usize => {
            Err(misfit(rule, format!("must have at least {}", plural(min, unit))))
        }
        _ => Ok(()),
    }
}

fn at_most(length: usize, max: Option<u32>, rule: &'static str, unit: &str) -> Result<(), Misfit> {
    match max {
        Some(max) if length > max as usize => {
            Err(misfit(rule, format!("must have at most {}", plural(max, unit))))
        }
        _ => Ok(()),
    }
}

fn in_range<T: PartialOrd + std::fmt::Display>(
    number: &T,
    min: Option<&T>,
    max: Option<&T>,
) -> Result<(), Misfit> {
    match (min, max) {
        (Some(min), _) if number < min => Err(misfit("min", format!("must be at least {min}"))),
        (_, Some(max)) if number > max => Err(misfit("max", format!("must be at most {max}"))),
        _ => Ok(()),
    }
}

fn listed(values: &[String]) -> String {
    let shown: Vec<&str> = values.iter().take(20).map(String::as_str).collect();
    let more = values.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests;
