//! Earlier states of a record, read through today's fields.

use serde_json::value::RawValue;

use super::Malformed;
use super::body;
use crate::field::FieldType;
use crate::lineage::Lineage;
use crate::schema::Schema;
use crate::value::Value;

/// Reads a state as the database keeps it in an event: a JSON object whose members are `to_jsonb` of the columns.
///
/// A value for every field of the schema, in order. `seq` is the event's number: `lineage` tells what became of its
/// fields since. What the schema does not have any more is left out; what it has since then is null; what today's type
/// cannot hold is [`Value::Json`], as it was recorded. Constraints do not count: they may be newer than the state.
pub fn read_state(
    schema: &Schema,
    lineage: &Lineage,
    seq: i64,
    state: &str,
) -> Result<Vec<Value>, Malformed> {
    let members = body::members(state.as_bytes())?;
    let mut values = vec![Value::Null; schema.fields().len()];
    for (name, raw) in &members.0 {
        if let Some(name) = lineage.today(seq, name)
            && let Some(position) = schema.position(name)
        {
            let kind = &schema.fields()[position].kind;
            values[position] = read(kind, raw).unwrap_or_else(|| Value::Json(raw.get().to_owned()));
        }
    }
    Ok(values)
}

fn read(kind: &FieldType, raw: &RawValue) -> Option<Value> {
    let json = raw.get();
    if json == "null" {
        return Some(Value::Null);
    }
    match kind {
        FieldType::Json => Some(Value::Json(json.to_owned())),
        FieldType::Array { items, .. } => {
            let raws: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            raws.into_iter().map(|raw| read(items, raw)).collect::<Option<_>>().map(Value::Array)
        }
        _ => {
            let text: String =
                if json.starts_with('"') { serde_json::from_str(json).ok()? } else { json.to_owned() };
            match kind {
                FieldType::Bytes { .. } => hex(text.strip_prefix("\\x")?).map(Value::Bytes),
                _ => kind.read_operand(&text).ok(),
            }
        }
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
