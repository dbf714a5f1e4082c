//! From the keys of a field to its type with constraints.

use bigdecimal::BigDecimal;
use regex::RegexBuilder;
use serde_json::Number;
use serde_json::value::RawValue;

use crate::decimal;
use crate::field::{DEFAULT_PRECISION, DEFAULT_SCALE, FieldType, Pattern};
use crate::spec::{FieldSpec, TypeSpec};
use crate::value::Value;
use crate::violation::Violations;

/// Largest compiled regular expression, in bytes: what keeps a pattern from eating memory.
const PATTERN_SIZE_MAX: usize = 1 << 20;
/// Most characters of an enum's value.
const ENUM_VALUE_MAX: usize = 200;

/// Compiles a pattern of the linear-time dialect.
pub(in crate::schema) fn compile_pattern(text: &str) -> Result<Pattern, String> {
    RegexBuilder::new(text).size_limit(PATTERN_SIZE_MAX).build().map(Pattern).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "is too large once compiled; use smaller repetitions".to_owned(),
        other => format!(
            "is not a regular expression of the linear-time dialect: {}",
            last_line(&other.to_string())
        ),
    })
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

/// Constraints that belong to another type are contradictions, not decoration.
pub(super) fn stray_constraints(spec: &FieldSpec, at: &str, errors: &mut Violations) {
    use TypeSpec as T;
    let given: [(&str, bool, &[T]); 14] = [
        ("minLength", spec.min_length.is_some(), &[T::String]),
        ("maxLength", spec.max_length.is_some(), &[T::String]),
        ("pattern", spec.pattern.is_some(), &[T::String]),
        ("min", spec.min.is_some(), &[T::Integer, T::Number]),
        ("max", spec.max.is_some(), &[T::Integer, T::Number]),
        ("precision", spec.precision.is_some(), &[T::Number]),
        ("scale", spec.scale.is_some(), &[T::Number]),
        ("enum", !spec.values.is_empty(), &[T::Enum]),
        ("maxSize", spec.max_size.is_some(), &[T::Bytes]),
        ("items", spec.items.is_some(), &[T::Array]),
        ("minItems", spec.min_items.is_some(), &[T::Array]),
        ("maxItems", spec.max_items.is_some(), &[T::Array]),
        ("uniqueItems", spec.unique_items, &[T::Array]),
        ("schema", spec.schema.is_some(), &[T::Json]),
    ];
    for (key, present, types) in given {
        let array_of_numbers = spec.field_type == T::Array
            && spec.items == Some(T::Number)
            && matches!(key, "precision" | "scale");
        if present && !types.contains(&spec.field_type) && !array_of_numbers {
            let word = serde_json::to_value(spec.field_type).unwrap_or_default();
            let word = word.as_str().unwrap_or_default();
            errors.push(
                format!("{at}.{key}"),
                "constraint",
                format!("does not belong to a field of type {word}"),
            );
        }
    }
}

/// The type of a field.
pub(super) fn parse(
    spec: &FieldSpec,
    kind: TypeSpec,
    at: &str,
    errors: &mut Violations,
) -> Option<FieldType> {
    Some(match kind {
        TypeSpec::String => string_type(spec, at, errors),
        TypeSpec::Integer => integer_type(spec, at, errors),
        TypeSpec::Number => number_type(spec, at, errors),
        TypeSpec::Boolean => FieldType::Boolean,
        TypeSpec::Timestamp => FieldType::Timestamp,
        TypeSpec::Date => FieldType::Date,
        TypeSpec::Time => FieldType::Time,
        TypeSpec::Json => FieldType::Json,
        TypeSpec::Uuid => FieldType::Uuid,
        TypeSpec::Bytes => FieldType::Bytes { max_size: spec.max_size },
        TypeSpec::Enum => enum_type(spec, at, errors),
        TypeSpec::Array => return array_type(spec, at, errors),
    })
}

/// Reports a smallest length that is larger than the largest.
fn ordered(at: &str, low: (&str, Option<u32>), high: (&str, Option<u32>), errors: &mut Violations) {
    if low.1.zip(high.1).is_some_and(|(low, high)| low > high) {
        errors.push(format!("{at}.{}", low.0), "range", format!("is larger than {}", high.0));
    }
}

fn string_type(spec: &FieldSpec, at: &str, errors: &mut Violations) -> FieldType {
    ordered(at, ("minLength", spec.min_length), ("maxLength", spec.max_length), errors);
    let pattern = spec.pattern.as_deref().and_then(|text| {
        compile_pattern(text).map_err(|why| errors.push(format!("{at}.pattern"), "pattern", why)).ok()
    });
    FieldType::String { min_length: spec.min_length, max_length: spec.max_length, pattern }
}

fn integer_type(spec: &FieldSpec, at: &str, errors: &mut Violations) -> FieldType {
    let bound = |key: &str, number: &Option<Number>, errors: &mut Violations| -> Option<i64> {
        let number = number.as_ref()?;
        number.as_i64().or_else(|| {
            errors.push(format!("{at}.{key}"), "type", "must be a whole number of 64 bits");
            None
        })
    };
    let (min, max) = (bound("min", &spec.min, errors), bound("max", &spec.max, errors));
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        errors.push(format!("{at}.min"), "range", "is larger than max");
    }
    FieldType::Integer { min, max }
}

fn array_type(spec: &FieldSpec, at: &str, errors: &mut Violations) -> Option<FieldType> {
    ordered(at, ("minItems", spec.min_items), ("maxItems", spec.max_items), errors);
    let items = match spec.items {
        None => {
            errors.push(format!("{at}.items"), "required", "an array names the type of its elements");
            return None;
        }
        Some(TypeSpec::Array | TypeSpec::Json | TypeSpec::Enum | TypeSpec::Bytes) => {
            errors.push(
                format!("{at}.items"),
                "type",
                "elements are of a scalar type: string, integer, number, boolean, timestamp, date, time or uuid; use a json field for others",
            );
            return None;
        }
        // Constraints other than precision and scale are the array's or strays, which are reported elsewhere.
        Some(TypeSpec::String) => FieldType::plain_string(),
        Some(TypeSpec::Integer) => FieldType::Integer { min: None, max: None },
        Some(scalar) => parse(spec, scalar, at, errors)?,
    };
    Some(FieldType::Array {
        items: Box::new(items),
        min_items: spec.min_items,
        max_items: spec.max_items,
        unique_items: spec.unique_items,
    })
}

/// How many digits a number has, and how many of them after the point; said or not.
pub(in crate::schema) fn digits(spec: &FieldSpec) -> (u32, u32) {
    let precision = spec.precision.unwrap_or(DEFAULT_PRECISION.max(spec.scale.unwrap_or(0)));
    (precision, spec.scale.unwrap_or(DEFAULT_SCALE.min(precision)))
}

fn number_type(spec: &FieldSpec, at: &str, errors: &mut Violations) -> FieldType {
    let (precision, scale) = digits(spec);
    if !(1..=1000).contains(&precision) {
        errors.push(format!("{at}.precision"), "range", "is from 1 to 1000 digits");
    }
    if scale > precision {
        errors.push(format!("{at}.scale"), "range", "is larger than precision");
    }
    let bound =
        |key: &str, number: &Option<serde_json::Number>, errors: &mut Violations| -> Option<BigDecimal> {
            let number = number.as_ref()?;
            let Ok(value) = decimal::parse(&number.to_string()) else {
                errors.push(format!("{at}.{key}"), "range", "has more digits than any number field holds");
                return None;
            };
            if !decimal::fits(&value, precision, scale.min(precision)) {
                errors.push(
                    format!("{at}.{key}"),
                    "range",
                    format!("does not fit a number of {precision} digits, {scale} of them after the point"),
                );
            }
            Some(value)
        };
    let (min, max) = (bound("min", &spec.min, errors), bound("max", &spec.max, errors));
    if min.as_ref().zip(max.as_ref()).is_some_and(|(min, max)| min > max) {
        errors.push(format!("{at}.min"), "range", "is larger than max");
    }
    FieldType::Number { precision, scale: scale.min(precision), min, max }
}

fn enum_type(spec: &FieldSpec, at: &str, errors: &mut Violations) -> FieldType {
    if spec.values.is_empty() {
        errors.push(format!("{at}.enum"), "required", "an enum lists its values");
    }
    for (index, value) in spec.values.iter().enumerate() {
        let path = format!("{at}.enum[{index}]");
        if spec.values[..index].contains(value) {
            errors.push(&path, "unique", format!("`{value}` is there already"));
        }
        if value.is_empty() || value.chars().count() > ENUM_VALUE_MAX || value.contains('\0') {
            errors.push(
                &path,
                "length",
                format!("is a text of 1 to {ENUM_VALUE_MAX} characters, without U+0000"),
            );
        }
    }
    FieldType::Enum { values: spec.values.clone() }
}

/// The default, which every constraint holds for.
pub(super) fn default_value(
    kind: &FieldType,
    json: &serde_json::Value,
    at: &str,
    errors: &mut Violations,
) -> Option<Value> {
    let raw = RawValue::from_string(json.to_string()).ok()?;
    match kind.read_json(&raw) {
        Ok(Value::Null) => None,
        Ok(value) => Some(value),
        Err(misfit) => {
            errors.push(format!("{at}.default"), misfit.rule, misfit.message);
            None
        }
    }
}
