//! Binary rows as JSON, without values in between.

use std::io::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use velocity_schema::schema::FieldMask;
use velocity_schema::time::{self, POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS};
use velocity_schema::value::write_json_string;
use velocity_schema::{Schema, Value};
use velocity_sql::SqlType;

use super::{CodecError, Seen, SeenField, array, decode_value, exact, numeric};
use crate::wire::Row;

/// How numbers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Numbers {
    /// As JSON numbers with every digit.
    #[default]
    Json,
    /// As JSON strings: for clients whose JSON reader knows only floats.
    Strings,
}

/// Writes rows of a projection as flat JSON objects, each field as far as it is seen. Made once per schema and view, or per
/// request for a choice of fields.
#[derive(Debug, Clone)]
pub struct RowEncoder {
    columns: Arc<[Column]>,
    /// Whether no column is seen.
    is_empty: bool,
}

#[derive(Debug)]
struct Column {
    /// `{"name":` or `,"name":`
    prefix: Box<[u8]>,
    sql_type: SqlType,
    seen: SeenField,
}

impl RowEncoder {
    /// The encoder of rows whose first columns are the fields at these positions.
    pub fn new(schema: &Schema, projection: &[usize], seen: &Seen) -> Self {
        let fields = projection.iter().filter_map(|at| Some((schema.fields().get(*at)?, seen.field(*at))));
        let mut first = true;
        let columns = fields.map(|(field, seen)| {
            let mut prefix = String::new();
            if !matches!(seen, SeenField::Hidden) {
                prefix.push(if std::mem::take(&mut first) { '{' } else { ',' });
                write_json_string(field.name.as_str(), &mut prefix);
                prefix.push(':');
            }
            Column {
                prefix: prefix.into_bytes().into(),
                sql_type: SqlType::of(&field.kind),
                seen: seen.clone(),
            }
        });
        let columns = columns.collect();
        Self { columns, is_empty: first }
    }

    /// Appends a row as an object. Columns beyond the projection are passed over. After an error `out` ends somewhere.
    pub fn append(&self, row: Row<'_>, numbers: Numbers, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut values = row.values();
        let mut scratch = String::new();
        if self.is_empty {
            out.push(b'{');
        }
        for column in &*self.columns {
            let value = values.next().ok_or(CodecError("row"))?;
            out.extend_from_slice(&column.prefix);
            match &column.seen {
                SeenField::Clear => write(column.sql_type, value, numbers, out, &mut scratch)?,
                SeenField::Masked(mask) => write_masked(mask, column.sql_type, value, out, &mut scratch)?,
                SeenField::Hidden => {}
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// What a mask leaves of a value: a text, or null.
fn write_masked(
    mask: &FieldMask,
    sql_type: SqlType,
    bytes: Option<&[u8]>,
    out: &mut Vec<u8>,
    scratch: &mut String,
) -> Result<(), CodecError> {
    if let (SqlType::Text, Some(bytes)) = (sql_type, bytes) {
        scratch.clear();
        mask.apply_to_text(std::str::from_utf8(bytes).map_err(|_| CodecError("text"))?, scratch);
    } else if let Some(text) = mask.apply(&decode_value(sql_type, bytes)?) {
        *scratch = text;
    } else {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    write_text(scratch.as_bytes(), out);
    Ok(())
}

fn write(
    sql_type: SqlType,
    bytes: Option<&[u8]>,
    numbers: Numbers,
    out: &mut Vec<u8>,
    scratch: &mut String,
) -> Result<(), CodecError> {
    let Some(bytes) = bytes else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    match sql_type {
        SqlType::Text => write_text(bytes, out),
        SqlType::Int8 => {
            let number = i64::from_be_bytes(exact(bytes, "bigint")?);
            quoted_if(numbers, out, |out| write_integer(number, out));
        }
        SqlType::Numeric => {
            let start = out.len();
            numeric::write_json(bytes, out)?;
            if numbers == Numbers::Strings && out.get(start) != Some(&b'"') {
                out.insert(start, b'"');
                out.push(b'"');
            }
        }
        SqlType::Bool => {
            let word: &[u8] = if exact::<1>(bytes, "boolean")? == [0] { b"false" } else { b"true" };
            out.extend_from_slice(word);
        }
        SqlType::Timestamptz => {
            let micros = i64::from_be_bytes(exact(bytes, "timestamp")?);
            write_moment(micros == i64::MIN || micros == i64::MAX, out, scratch, |scratch| {
                time::write_timestamp(micros.saturating_add(POSTGRES_EPOCH_MICROS), scratch);
            });
        }
        SqlType::Date => {
            let days = i32::from_be_bytes(exact(bytes, "date")?);
            write_moment(days == i32::MIN || days == i32::MAX, out, scratch, |scratch| {
                time::write_date(days.saturating_add(POSTGRES_EPOCH_DAYS), scratch);
            });
        }
        SqlType::Time => {
            let micros = i64::from_be_bytes(exact(bytes, "time")?);
            write_moment(false, out, scratch, |scratch| time::write_time(micros, scratch));
        }
        SqlType::Jsonb => match bytes.split_first() {
            Some((1, json)) => out.extend_from_slice(json),
            _ => return Err(CodecError("jsonb")),
        },
        SqlType::Uuid => write_uuid(&exact(bytes, "uuid")?, out),
        SqlType::Bytea => {
            out.push(b'"');
            scratch.clear();
            STANDARD.encode_string(bytes, scratch);
            out.extend_from_slice(scratch.as_bytes());
            out.push(b'"');
        }
        array => {
            let element = array.element().ok_or(CodecError("array"))?;
            out.push(b'[');
            for (index, item) in array::Elements::read(bytes)?.enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(element, item?, numbers, out, scratch)?;
            }
            out.push(b']');
        }
    }
    Ok(())
}

fn quoted_if(numbers: Numbers, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let quote = numbers == Numbers::Strings;
    out.extend(quote.then_some(b'"'));
    write(out);
    out.extend(quote.then_some(b'"'));
}

/// A moment in quotes; one without end, which no field takes, is null.
fn write_moment(infinite: bool, out: &mut Vec<u8>, scratch: &mut String, write: impl FnOnce(&mut String)) {
    if infinite {
        out.extend_from_slice(b"null");
        return;
    }
    scratch.clear();
    write(scratch);
    out.push(b'"');
    out.extend_from_slice(scratch.as_bytes());
    out.push(b'"');
}

fn write_integer(number: i64, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{number}");
}

fn write_uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
    out.push(b'"');
}

/// A JSON string; the server's encoding is UTF-8, so the bytes are text as they are.
fn write_text(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.extend_from_slice(escape);
        }
        start = at + 1;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

/// Writes a value as [`RowEncoder`] writes the same column.
pub fn write_json_value(value: &Value, numbers: Numbers, out: &mut String) {
    match (numbers, value) {
        (Numbers::Strings, Value::Integer(_) | Value::Number(_)) => {
            out.push('"');
            value.write_json(out);
            out.push('"');
        }
        (Numbers::Strings, Value::Array(items)) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json_value(item, numbers, out);
            }
            out.push(']');
        }
        _ => value.write_json(out),
    }
}
